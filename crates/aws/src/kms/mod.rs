//! Key Management Service.

mod alias;
mod key;

pub use alias::{Alias, AliasOutputs, AliasRefs};
pub use key::{Key, KeyOutputs, KeyRefs};

use crate::{Aws, Call, id::KeyId};
use aws_config::SdkConfig;
use aws_sdk_kms::types::{AliasListEntry, Tag};
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
    /// Aliases by name.
    pub(crate) aliases: Coalesce<String, AliasListEntry>,
}

impl Kms {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_kms, config);
        let (keys, names) = (api.clone(), api.clone());
        Kms {
            api,
            instances: Coalesce::new(usize::MAX, move |instances| keys_by_instance(keys.clone(), instances)),
            aliases: Coalesce::new(usize::MAX, move |wanted| aliases_by_name(names.clone(), wanted)),
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

async fn aliases_by_name(
    api: aws_sdk_kms::Client,
    wanted: BTreeSet<String>,
) -> Result<BTreeMap<String, AliasListEntry>, Error> {
    let mut found = BTreeMap::new();
    let mut pages = api.list_aliases().into_paginator().items().send();
    while let Some(alias) = pages.next().await {
        let alias = alias.call("kms:ListAliases")?;
        if let Some(name) = alias.alias_name.clone().filter(|name| wanted.contains(name)) {
            found.insert(name, alias);
        }
    }
    Ok(found)
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
