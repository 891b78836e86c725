//! Security Token Service.

mod caller_identity;

pub use caller_identity::{CallerIdentity, CallerIdentityOutputs, CallerIdentityRefs};

use crate::Aws;
use aws_config::SdkConfig;
use causeway_core::registry::ProviderKinds;
use std::ops::Deref;

/// Speaks to STS.
pub struct Sts {
    api: aws_sdk_sts::Client,
}

impl Sts {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Sts { api: crate::client::client!(aws_sdk_sts, config) }
    }
}
impl Deref for Sts {
    type Target = aws_sdk_sts::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<CallerIdentity>()
}
