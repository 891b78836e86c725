//! Who deploys: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use super::Caller;
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
        Ok(cx.client.sts.caller().await?.map(|Caller { account, arn }| Live {
            spec: self.clone(),
            outputs: CallerIdentityOutputs {
                account,
                partition: arn.split(':').nth(1).unwrap_or("aws").to_owned(),
            },
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
