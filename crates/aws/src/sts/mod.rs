//! Security Token Service.

mod caller_identity;

pub use caller_identity::{CallerIdentity, CallerIdentityOutputs, CallerIdentityRefs};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput;
use causeway_core::{coalesce::Coalesce, registry::ProviderKinds};
use std::{collections::BTreeMap, ops::Deref};

/// Speaks to STS.
pub struct Sts {
    api: aws_sdk_sts::Client,
    /// Who deploys.
    pub(crate) caller: Coalesce<(), GetCallerIdentityOutput>,
}

impl Sts {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_sts, config);
        let ask = api.clone();
        let caller = Coalesce::new(1, move |_| {
            let ask = ask.get_caller_identity();
            async move { Ok(BTreeMap::from([((), ask.send().await.call("sts:GetCallerIdentity")?)])) }
        });
        Sts { api, caller }
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
