//! <https://docs.aws.amazon.com/waf/latest/APIReference/API_AssociateWebACL.html>

use crate::{Aws, Call, id::Arn};
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Status, Timing, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// Puts a web ACL in front of a load balancer. A load balancer has one at most.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebAclAssociation {
    /// The web ACL.
    pub web_acl_arn: Value<Arn>,
    /// What it stands in front of.
    pub resource_arn: Value<Arn>,
}

outputs! {
    /// What an association tells others.
    pub struct WebAclAssociationOutputs => WebAclAssociationRefs {
        /// What the web ACL stands in front of, once it does: who wants to be reached only behind it takes it from
        /// here.
        pub resource_arn: Arn,
    }
}

impl Resource for WebAclAssociation {
    const KIND: &'static str = "aws.wafv2.web_acl_association";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["resource_arn"]);
    const REPLACE: &'static [&'static str] = &["resource_arn"];
    // A load balancer or a web ACL that was just made is not known to the service for some time.
    const TIMING: Timing = Timing::seconds(10, 3, 600);
    type Client = Aws;
    type Outputs = WebAclAssociationOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let resource = self.resource_arn.get()?;
        let answer = cx.client.wafv2.get_web_acl_for_resource().resource_arn(resource.as_str()).send().await;
        let answer = answer.call("wafv2:GetWebACLForResource").found()?;
        Ok(answer.and_then(|a| a.web_acl).map(|acl| Live {
            outputs: WebAclAssociationOutputs { resource_arn: resource.clone() },
            status: Status::Ready,
            owner: Owner::Parent,
            spec: WebAclAssociation {
                web_acl_arn: Value::Known(acl.arn.into()),
                resource_arn: self.resource_arn.clone(),
            },
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        self.associate(cx).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        // Takes the place of the one before, without a gap.
        self.associate(cx).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let resource = live.outputs.resource_arn.as_str();
        let answer = cx.client.wafv2.disassociate_web_acl().resource_arn(resource).send().await;
        answer.call("wafv2:DisassociateWebACL").found()?;
        Ok(())
    }
}

impl WebAclAssociation {
    async fn associate(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .wafv2
            .associate_web_acl()
            .web_acl_arn(self.web_acl_arn.get()?.as_str())
            .resource_arn(self.resource_arn.get()?.as_str())
            .send()
            .await
            .call("wafv2:AssociateWebACL")?;
        Ok(())
    }
}
