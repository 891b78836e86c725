//! CloudFront: distributions, and what they use.
//!
//! The service is the same in every region; only the index of tags knows distributions in `us-east-1` alone, so that is
//! where they best stand. Certificates have to.

mod cache_policy;
mod distribution;
mod function;
mod key_value_store;
mod origin_access_control;
mod response_headers_policy;

pub use cache_policy::{CachePolicy, CachePolicyOutputs, CachePolicyRefs};
pub use distribution::{
    Behavior, Distribution, DistributionOutputs, DistributionRefs, ErrorResponse, FunctionAssociation,
    Logging, Origin, PathBehavior, ViewerCertificate,
};
pub use function::{Function, FunctionOutputs, FunctionRefs};
pub use key_value_store::{KeyValueStore, KeyValueStoreOutputs, KeyValueStoreRefs};
pub use origin_access_control::{OriginAccessControl, OriginAccessControlOutputs, OriginAccessControlRefs};
pub use response_headers_policy::{
    Header, ResponseHeadersPolicy, ResponseHeadersPolicyOutputs, ResponseHeadersPolicyRefs,
    StrictTransportSecurity,
};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use aws_sdk_cloudfront::{Client, types as sdk};
use aws_smithy_types::error::operation::BuildError;
use causeway_core::{Class, Error, Tags, coalesce::Coalesce, error::Found, registry::ProviderKinds};
use std::{collections::BTreeMap, ops::Deref};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds
        .add::<Distribution>()
        .add::<OriginAccessControl>()
        .add::<Function>()
        .add::<KeyValueStore>()
        .add::<ResponseHeadersPolicy>()
        .add::<CachePolicy>()
}

/// The region that the index of tags counts distributions to, and that their certificates have to be in.
pub const REGION: &str = "us-east-1";

/// The client of CloudFront. It has no look-up by name: everything is found in lists, which all that ask at about the
/// same time share.
pub struct CloudFront {
    api: Client,
    pub(crate) distributions: Coalesce<(), Vec<sdk::DistributionSummary>>,
    pub(crate) functions: Coalesce<(), Vec<sdk::FunctionSummary>>,
    pub(crate) access_controls: Coalesce<(), Vec<sdk::OriginAccessControlSummary>>,
    pub(crate) headers_policies: Coalesce<(), Vec<sdk::ResponseHeadersPolicy>>,
    pub(crate) cache_policies: Coalesce<(), Vec<sdk::CachePolicy>>,
}

impl CloudFront {
    /// The client that `config` describes.
    pub fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_cloudfront, config);
        let [a, b, c, d, e] = std::array::from_fn(|_| api.clone());
        CloudFront {
            distributions: Coalesce::new(1, move |_| distributions(a.clone())),
            functions: Coalesce::new(1, move |_| functions(b.clone())),
            access_controls: Coalesce::new(1, move |_| access_controls(c.clone())),
            headers_policies: Coalesce::new(1, move |_| headers_policies(d.clone())),
            cache_policies: Coalesce::new(1, move |_| cache_policies(e.clone())),
            api,
        }
    }

    /// The tags of a distribution; none if it is gone.
    pub(crate) async fn tags_of(&self, arn: &str) -> Result<Option<Tags>, Error> {
        let tags = self.list_tags_for_resource().resource(arn).send().await;
        let tags = tags.call("cloudfront:ListTagsForResource").found()?;
        let live = |tags: sdk::Tags| {
            let tags = tags.items.unwrap_or_default();
            Tags::live(tags.into_iter().map(|t| (t.key, t.value.unwrap_or_default())))
        };
        Ok(tags.map(|tags| tags.tags.map(live).unwrap_or_default()))
    }

    /// The ids and tags of all distributions.
    pub(crate) async fn tagged(&self) -> Result<Vec<(String, Tags)>, Error> {
        let mut found = vec![];
        for one in self.distributions.get(()).await?.unwrap_or_default() {
            let tags = self.tags_of(&one.arn).await?;
            found.extend(tags.map(|tags| (one.id, tags)));
        }
        Ok(found)
    }
}

impl Deref for CloudFront {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.api
    }
}

/// Somebody else changed it since we looked.
const STALE: [&str; 2] = ["PreconditionFailed", "InvalidIfMatchVersion"];

async fn distributions(api: Client) -> Result<BTreeMap<(), Vec<sdk::DistributionSummary>>, Error> {
    let all = api.list_distributions().into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    Ok([((), all.call("cloudfront:ListDistributions")?)].into())
}

async fn access_controls(api: Client) -> Result<BTreeMap<(), Vec<sdk::OriginAccessControlSummary>>, Error> {
    let all = api.list_origin_access_controls().into_paginator().items().send();
    let all = all.collect::<Result<Vec<_>, _>>().await.call("cloudfront:ListOriginAccessControls")?;
    Ok([((), all)].into())
}

/// All that are published, with their configuration.
async fn functions(api: Client) -> Result<BTreeMap<(), Vec<sdk::FunctionSummary>>, Error> {
    let (mut all, mut next) = (vec![], None);
    loop {
        let page = api.list_functions().stage(sdk::FunctionStage::Live).set_marker(next).send().await;
        let Some(page) = page.call("cloudfront:ListFunctions")?.function_list else { break };
        all.extend(page.items.unwrap_or_default());
        next = page.next_marker.filter(|marker| !marker.is_empty());
        if next.is_none() {
            break;
        }
    }
    Ok([((), all)].into())
}

async fn headers_policies(api: Client) -> Result<BTreeMap<(), Vec<sdk::ResponseHeadersPolicy>>, Error> {
    let (mut all, mut next) = (vec![], None);
    loop {
        let list = api.list_response_headers_policies().set_marker(next);
        let page = list.r#type(sdk::ResponseHeadersPolicyType::Custom).send().await;
        let page = page.call("cloudfront:ListResponseHeadersPolicies")?.response_headers_policy_list;
        let Some(page) = page else { break };
        let items = page.items.unwrap_or_default();
        all.extend(items.into_iter().filter_map(|one| one.response_headers_policy));
        next = page.next_marker.filter(|marker| !marker.is_empty());
        if next.is_none() {
            break;
        }
    }
    Ok([((), all)].into())
}

async fn cache_policies(api: Client) -> Result<BTreeMap<(), Vec<sdk::CachePolicy>>, Error> {
    let (mut all, mut next) = (vec![], None);
    loop {
        let list = api.list_cache_policies().set_marker(next).r#type(sdk::CachePolicyType::Custom);
        let page = list.send().await.call("cloudfront:ListCachePolicies")?.cache_policy_list;
        let Some(page) = page else { break };
        all.extend(page.items.unwrap_or_default().into_iter().filter_map(|one| one.cache_policy));
        next = page.next_marker.filter(|marker| !marker.is_empty());
        if next.is_none() {
            break;
        }
    }
    Ok([((), all)].into())
}

fn sdk_tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Result<sdk::Tags, Error> {
    let tag = |(key, value)| sdk::Tag::builder().key(key).value(value).build().map_err(built);
    Ok(sdk::Tags::builder().set_items(Some(tags.map(tag).collect::<Result<_, _>>()?)).build())
}

/// How many there are, as every list of the service says beside its members.
fn quantity<T>(items: &[T]) -> i32 {
    i32::try_from(items.len()).unwrap_or(i32::MAX)
}

/// A list that is left out where it is empty.
fn items<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

fn not_now(call: &'static str, why: &str) -> Error {
    Error::Call { call, class: Class::NotNow, source: why.into() }
}

fn built(error: BuildError) -> Error {
    Error::Invalid(error.to_string())
}
