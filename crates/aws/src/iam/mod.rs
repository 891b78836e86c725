//! Identity and Access Management: who may do what.

mod deployer;
mod instance_profile;
mod listed;
mod oidc_provider;
mod policy;
mod role;
mod service_linked_role;
pub mod trust;

pub use crate::policy::{Condition, Effect, PolicyDocument, Principal, Statement};
pub use deployer::{Deployer, DeployerOutputs, DeployerRefs};
pub use instance_profile::{InstanceProfile, InstanceProfileOutputs, InstanceProfileRefs};
pub use oidc_provider::{OidcProvider, OidcProviderOutputs, OidcProviderRefs};
pub use policy::{Policy, PolicyOutputs, PolicyRefs};
pub use role::{Role, RoleOutputs, RoleRefs};
pub use service_linked_role::{ServiceLinkedRole, ServiceLinkedRoleOutputs, ServiceLinkedRoleRefs};

pub(crate) use listed::Listing;

use crate::{Aws, Call, TagIndex, global::Global, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_iam::types::{PolicyScopeType, Tag};
use causeway_core::{Error, Resource, Tags, coalesce::Coalesce, diff::is_unchanged, registry::ProviderKinds};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

/// Speaks to IAM.
pub struct Iam {
    api: aws_sdk_iam::Client,
    /// ARNs of customer managed policies, by name.
    pub(crate) policies: Coalesce<String, Arn>,
    /// Everything together, which may lag behind.
    listing: Listing,
    /// The index of its tags, which may lag behind.
    tag_index: TagIndex,
}

impl Iam {
    pub(crate) fn new(config: &SdkConfig, global: Global) -> Self {
        let api = crate::client::client!(aws_sdk_iam, config);
        let list = api.clone();
        let policies = Coalesce::new(usize::MAX, move |names| policies_by_name(list.clone(), names));
        Iam { api, policies, listing: global.listing, tag_index: global.tag_index }
    }
}
impl Deref for Iam {
    type Target = aws_sdk_iam::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds
        .add::<Role>()
        .add::<Policy>()
        .add::<InstanceProfile>()
        .add::<OidcProvider>()
        .add::<ServiceLinkedRole>()
        .add::<Deployer>()
}

/// There is no look-up by name: the ARN holds the account and the path.
async fn policies_by_name(
    api: aws_sdk_iam::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, Arn>, Error> {
    let mut found = BTreeMap::new();
    let mut pages = api.list_policies().scope(PolicyScopeType::Local).into_paginator().items().send();
    while let Some(policy) = pages.next().await {
        let policy = policy.call("iam:ListPolicies")?;
        if let (Some(name), Some(arn)) = (policy.policy_name, policy.arn)
            && names.contains(&name)
        {
            found.insert(name, arn.into());
        }
    }
    Ok(found)
}

/// Whether `live` is what the last apply left, which is `applied`.
fn is_as_left<R: Resource>(applied: &R, live: &R) -> Result<bool, Error> {
    let json = |spec: &R| {
        let json = serde_json::to_value(spec);
        json.map_err(|source| Error::Decode { what: "spec", kind: R::KIND, source })
    };
    Ok(is_unchanged(&json(applied)?, &json(live)?))
}

fn live_tags(tags: &[Tag]) -> Tags {
    Tags::live(tags.iter().map(|tag| (tag.key(), tag.value())))
}

fn tag(key: &str, value: &str) -> Result<Tag, Error> {
    Tag::builder().key(key).value(value).build().map_err(|e| Error::Invalid(e.to_string()))
}

fn tags<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Tag>, Error> {
    tags.into_iter().map(|(key, value)| tag(key, value)).collect()
}

/// IAM gives documents back URL-encoded.
fn document(encoded: &str, kind: &'static str) -> Result<PolicyDocument, Error> {
    let text = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy();
    PolicyDocument::parse(&text).map_err(|source| Error::Decode { what: "a policy document", kind, source })
}
