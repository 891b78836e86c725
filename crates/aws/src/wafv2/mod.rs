//! WAF: a web ACL of managed rules and a limit of requests, and what it stands in front of. Regional resources only.

mod web_acl;
mod web_acl_association;

pub use web_acl::{ManagedRuleGroup, WebAcl, WebAclOutputs, WebAclRefs};
pub use web_acl_association::{WebAclAssociation, WebAclAssociationOutputs, WebAclAssociationRefs};

use crate::Aws;
use aws_config::SdkConfig;
use aws_sdk_wafv2::Client;
use causeway_core::registry::ProviderKinds;
use std::ops::Deref;

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<WebAcl>().add::<WebAclAssociation>()
}

/// The client of WAF in one region. There are few of its resources in a stack, so nothing is shared between look-ups.
pub struct Wafv2 {
    api: Client,
}

impl Wafv2 {
    /// The client that `config` describes.
    pub fn new(config: &SdkConfig) -> Self {
        Wafv2 { api: crate::client::client!(aws_sdk_wafv2, config) }
    }
}

impl Deref for Wafv2 {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.api
    }
}
