//! A network: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpc.html>

use super::{
    BY_TAG, Cidr, Spreads, live_tags,
    lookup::{Described, PAGE},
    standing, tagged,
};
use crate::{Aws, Call, id::VpcId};
use aws_sdk_ec2::{
    Client,
    types::{self, AttributeBooleanValue, Filter, ResourceType, Tag, VpcAttributeName, VpcState},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// A network of our own, with one range of IPv4 addresses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Vpc {
    /// Its addresses: between a /16 and a /28.
    pub cidr_block: Cidr,
    /// Whether names are resolved inside. `None`: AWS decides (yes).
    pub enable_dns_support: Option<bool>,
    /// Whether machines with public addresses get names; needs DNS support, and EKS needs both. `None`: AWS decides
    /// (no).
    pub enable_dns_hostnames: Option<bool>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a network tells others.
    pub struct VpcOutputs => VpcRefs {
        /// `vpc-..`
        pub vpc_id: VpcId,
        /// Its addresses.
        pub cidr_block: Cidr,
    }
}

impl Resource for Vpc {
    const KIND: &'static str = "aws.ec2.vpc";
    const RECOVERY: Recovery = BY_TAG;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("vpc_id");
    const REPLACE: &'static [&'static str] = &["cidr_block"];
    const TIMING: Timing = Timing::seconds(3, 1, 300);
    type Client = Aws;
    type Outputs = VpcOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(recorded) = &cx.recorded else {
            let Some(vpc) = cx.client.ec2.vpcs.find(None, cx.instance).await? else { return Ok(None) };
            let dns = dns(cx, vpc.vpc_id().unwrap_or_default()).await?;
            return Ok(dns.map(|dns| live(&vpc, dns)));
        };
        let (vpc, dns) = tokio::try_join!(described(cx, recorded), dns(cx, recorded.vpc_id.as_str()))?;
        Ok(vpc.zip(dns).map(|(vpc, dns)| live(&vpc, dns)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .ec2
            .create_vpc()
            .cidr_block(self.cidr_block.as_str())
            .set_tag_specifications(tagged(ResourceType::Vpc, &self.tags))
            .send()
            .await
            .call("ec2:CreateVpc")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.vpc_id.as_str();
        let modify = || cx.client.ec2.modify_vpc_attribute().vpc_id(id);
        let support = diff.touches("enable_dns_support").then(|| self.enable_dns_support.unwrap_or(true));
        // Names need support: it goes on before them, and off after them. One call sets one attribute.
        if support == Some(true) {
            modify()
                .enable_dns_support(boolean(true))
                .send()
                .await
                .call("ec2:ModifyVpcAttribute")
                .not_yet()?;
        }
        if diff.touches("enable_dns_hostnames") {
            let on = self.enable_dns_hostnames.unwrap_or(false);
            modify()
                .enable_dns_hostnames(boolean(on))
                .send()
                .await
                .call("ec2:ModifyVpcAttribute")
                .not_yet()?;
        }
        if support == Some(false) {
            modify()
                .enable_dns_support(boolean(false))
                .send()
                .await
                .call("ec2:ModifyVpcAttribute")
                .not_yet()?;
        }
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.vpc_id.as_str();
        cx.client.ec2.delete_vpc().vpc_id(id).send().await.call("ec2:DeleteVpc")?;
        Ok(())
    }
}

impl Described for types::Vpc {
    const ID: &'static str = "vpc-id";
    fn id(&self) -> Option<&str> {
        self.vpc_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_vpcs().set_filters(Some(filters)).max_results(PAGE);
        request.into_paginator().items().send().try_collect().await.call("ec2:DescribeVpcs")
    }
}

/// Its attributes show that it is there, and its range never changes, so a survey need not ask for it.
async fn described(cx: &Cx<'_, Vpc>, recorded: &VpcOutputs) -> Result<Option<types::Vpc>, Error> {
    let ec2 = &cx.client.ec2;
    let id = recorded.vpc_id.as_str();
    let Some(tags) = standing::tags(cx, id, std::future::ready(Ok(true))).await? else {
        return ec2.vpcs.by_id(id).await;
    };
    let vpc = types::Vpc::builder().vpc_id(id).cidr_block(recorded.cidr_block.as_str());
    Ok(Some(vpc.set_tags(Some(tags)).build()))
}

/// Whether names are resolved, and whether machines get names. `None` where the VPC is gone.
async fn dns(cx: &Cx<'_, Vpc>, id: &str) -> Result<Option<(bool, bool)>, Error> {
    let (support, hostnames) = tokio::try_join!(
        attribute(cx, id, VpcAttributeName::EnableDnsSupport),
        attribute(cx, id, VpcAttributeName::EnableDnsHostnames),
    )?;
    Ok(support.zip(hostnames))
}

/// `None` where the VPC is gone.
async fn attribute(cx: &Cx<'_, Vpc>, id: &str, attribute: VpcAttributeName) -> Result<Option<bool>, Error> {
    let request = cx.client.ec2.describe_vpc_attribute().vpc_id(id).attribute(attribute);
    let found = request.send().await.call("ec2:DescribeVpcAttribute").found()?;
    Ok(found.map(|a| {
        let value = a.enable_dns_support().or(a.enable_dns_hostnames());
        value.and_then(AttributeBooleanValue::value).unwrap_or(false)
    }))
}

fn boolean(value: bool) -> AttributeBooleanValue {
    AttributeBooleanValue::builder().value(value).build()
}

fn live(vpc: &types::Vpc, (support, hostnames): (bool, bool)) -> Live<Vpc> {
    let tags = live_tags(vpc.tags());
    let cidr_block = Cidr::from(vpc.cidr_block().unwrap_or_default());
    Live {
        outputs: VpcOutputs {
            vpc_id: vpc.vpc_id().unwrap_or_default().into(),
            cidr_block: cidr_block.clone(),
        },
        status: match vpc.state() {
            Some(state @ (VpcState::Pending | VpcState::Deleting)) => Status::Pending(state.to_string()),
            _ => Status::Ready,
        },
        owner: tags.owner(),
        spec: Vpc {
            cidr_block,
            enable_dns_support: Some(support),
            enable_dns_hostnames: Some(hostnames),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_network_is_pending() {
        let vpc = types::Vpc::builder().vpc_id("vpc-1").cidr_block("10.0.0.0/16").state(VpcState::Pending);
        let live = live(&vpc.build(), (true, false));
        assert_eq!(live.status, Status::Pending("pending".into()));
        assert_eq!(live.outputs.vpc_id.as_str(), "vpc-1");
        assert_eq!(live.spec.enable_dns_hostnames, Some(false));
    }
}
