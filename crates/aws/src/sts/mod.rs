//! Security Token Service.

mod caller_identity;

pub use caller_identity::{CallerIdentity, CallerIdentityOutputs, CallerIdentityRefs};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use causeway_core::{Error, coalesce::Coalesce, registry::ProviderKinds};
use std::{collections::BTreeMap, ops::Deref};

/// Whose credentials these are. They are those of one user or role for as long as a program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The 12 digits of the account.
    pub account: String,
    /// Of a user, or of a session of a role.
    pub arn: String,
}

/// Speaks to STS.
pub struct Sts {
    api: aws_sdk_sts::Client,
    asked: Coalesce<(), Caller>,
    known: Option<Caller>,
}

impl Sts {
    pub(crate) fn new(config: &SdkConfig, known: Option<Caller>) -> Self {
        let api = crate::client::client!(aws_sdk_sts, config);
        let ask = api.clone();
        let asked = Coalesce::new(1, move |_| {
            let ask = ask.get_caller_identity();
            async move {
                let found = ask.send().await.call("sts:GetCallerIdentity")?;
                let caller = found.account.zip(found.arn).map(|(account, arn)| Caller { account, arn });
                Ok(caller.map(|caller| ((), caller)).into_iter().collect::<BTreeMap<_, _>>())
            }
        });
        Sts { api, asked, known }
    }

    /// Who deploys. `None` where the credentials belong to no account.
    pub(crate) async fn caller(&self) -> Result<Option<Caller>, Error> {
        match &self.known {
            Some(known) => Ok(Some(known.clone())),
            None => self.asked.get(()).await,
        }
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
