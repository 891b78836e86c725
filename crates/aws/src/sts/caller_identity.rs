//! Who deploys: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use crate::Aws;
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// The account that is deployed to. Only looked at; it is what ARNs that nobody hands out are made from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct CallerIdentity {}

outputs! {
    /// The account. Not who deploys into it: that differs from run to run.
    pub struct CallerIdentityOutputs => CallerIdentityRefs {
        /// Its 12 digits.
        pub account: String,
        /// `aws`, `aws-cn` or `aws-us-gov`: the second part of every ARN.
        pub partition: String,
    }
}

impl Resource for CallerIdentity {
    const KIND: &'static str = "aws.sts.caller_identity";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = CallerIdentityOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(caller) = cx.client.sts.caller.get(()).await? else { return Ok(None) };
        let account = caller.account().map(str::to_owned);
        let partition = caller.arn().and_then(|arn| arn.split(':').nth(1)).unwrap_or("aws").to_owned();
        Ok(account.map(|account| Live {
            spec: self.clone(),
            outputs: CallerIdentityOutputs { account, partition },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        Err(Error::Invalid(
            "these credentials belong to no account; `aws sts get-caller-identity` tells whose they are"
                .into(),
        ))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}
