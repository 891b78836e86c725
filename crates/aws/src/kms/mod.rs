//! Key Management Service.

mod alias;
mod key;

pub use alias::{Alias, AliasOutputs, AliasRefs};
pub use key::{Key, KeyOutputs, KeyRefs};

use crate::{Aws, Call, id::KeyId};
use aws_config::SdkConfig;
use aws_sdk_kms::types::{KeyMetadata, Tag};
use causeway_core::{
    Error, Stop, Tags, coalesce::Coalesce, error::Class, error::Found, registry::ProviderKinds, repeated,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

/// Speaks to KMS.
pub struct Kms {
    api: aws_sdk_kms::Client,
    /// Keys by the incarnation in their tag.
    pub(crate) instances: Coalesce<String, KeyId>,
    /// Keys by id, or by the name of an alias.
    pub(crate) keys: Coalesce<String, KeyMetadata>,
}

impl Kms {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_kms, config);
        let (tagged, named) = (api.clone(), api.clone());
        Kms {
            api,
            instances: Coalesce::new(usize::MAX, move |instances| {
                keys_by_instance(tagged.clone(), instances)
            }),
            keys: Coalesce::new(usize::MAX, move |wanted| keys(named.clone(), wanted)),
        }
    }
}
impl Kms {
    /// The ids and tags of all keys.
    pub(crate) async fn tagged(&self) -> Result<Vec<(String, Tags)>, Error> {
        keys_with_tags(&self.api).await
    }
}
impl Deref for Kms {
    type Target = aws_sdk_kms::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Key>().add::<Alias>()
}

/// KMS finds no key by its tags, so every key is asked for them. Only a create whose answer was lost comes here.
async fn keys_by_instance(
    api: aws_sdk_kms::Client,
    instances: BTreeSet<String>,
) -> Result<BTreeMap<String, KeyId>, Error> {
    let mut found = BTreeMap::new();
    for (id, tags) in keys_with_tags(&api).await? {
        if let Some(instance) = tags.0.get(Tags::INSTANCE).filter(|i| instances.contains(*i)) {
            found.insert(instance.clone(), KeyId(id));
        }
    }
    Ok(found)
}

/// Every key that lets us look at its tags.
async fn keys_with_tags(api: &aws_sdk_kms::Client) -> Result<Vec<(String, Tags)>, Error> {
    let mut found = vec![];
    let mut pages = api.list_keys().into_paginator().items().send();
    while let Some(key) = pages.next().await {
        let Some(id) = key.call("kms:ListKeys")?.key_id else { continue };
        // Key by key: with many keys no repeat of the whole list gets past servers that fail now and then.
        let tags = match repeated(&Stop::default(), || tags_of(api, &id)).await {
            Ok(Some(tags)) => tags,
            Ok(None) => continue,
            // A key of somebody else whose policy keeps us out.
            Err(error) if error.class() == Class::Denied => continue,
            Err(error) => return Err(error),
        };
        found.push((id, tags));
    }
    Ok(found)
}

/// One call for each, and none for a key whose alias is asked for as well.
async fn keys(
    api: aws_sdk_kms::Client,
    wanted: BTreeSet<String>,
) -> Result<BTreeMap<String, KeyMetadata>, Error> {
    let (aliases, ids): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|name| name.starts_with("alias/"));
    let mut found = described(&api, aliases).await?;
    let named: BTreeMap<_, _> = found.values().map(|key| (key.key_id.clone(), key.clone())).collect();
    let (known, unknown): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| named.contains_key(id));
    found.extend(known.into_iter().filter_map(|id| Some((id.clone(), named.get(&id)?.clone()))));
    found.extend(described(&api, unknown).await?);
    Ok(found)
}

async fn described(
    api: &aws_sdk_kms::Client,
    names: Vec<String>,
) -> Result<BTreeMap<String, KeyMetadata>, Error> {
    let asked = names.into_iter().map(|name| async move {
        let found = api.describe_key().key_id(&name).send().await.call("kms:DescribeKey").found()?;
        Ok::<_, Error>(found.and_then(|found| Some((name, found.key_metadata?))))
    });
    Ok(futures::future::try_join_all(asked).await?.into_iter().flatten().collect())
}

async fn tags_of(api: &aws_sdk_kms::Client, key: &str) -> Result<Option<Tags>, Error> {
    let mut tags = vec![];
    let mut pages = api.list_resource_tags().key_id(key).into_paginator().items().send();
    while let Some(tag) = pages.next().await {
        let Some(Tag { tag_key, tag_value, .. }) = tag.call("kms:ListResourceTags").found()? else {
            return Ok(None);
        };
        tags.push((tag_key, tag_value));
    }
    Ok(Some(Tags::live(tags)))
}
