//! A subnet: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSubnet.html>

use super::{
    Cidr, Spreads, live_tags,
    lookup::{Described, PAGE},
    tagged,
};
use crate::{
    Aws, Call,
    id::{SubnetId, VpcId},
};
use aws_sdk_ec2::{
    Client,
    types::{self, AttributeBooleanValue, Filter, ResourceType, SubnetState, Tag},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};

/// A part of a network that lies in one availability zone. Its addresses cannot overlap with those of another, so
/// network and range find it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subnet {
    /// The network.
    pub vpc_id: Value<VpcId>,
    /// Its addresses: a part of those of the network, /16 to /28.
    pub cidr_block: Cidr,
    /// Like `us-east-2a`. `None`: AWS chooses.
    pub availability_zone: Option<Value<String>>,
    /// Whether machines get a public address without asking. `None`: AWS decides (no).
    pub map_public_ip_on_launch: Option<bool>,
    /// How machines are called inside the network: `ip-name` or `resource-name`. `None`: AWS decides (`ip-name`).
    #[serde(default)]
    pub private_dns_hostname_type_on_launch: Option<String>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a subnet tells others.
    pub struct SubnetOutputs => SubnetRefs {
        /// `subnet-..`
        pub subnet_id: SubnetId,
        /// Like `us-east-2a`.
        pub availability_zone: String,
        /// Its addresses.
        pub cidr_block: Cidr,
    }
}

/// What AWS calls machines unless it is told otherwise.
const IP_NAME: &str = "ip-name";

impl Resource for Subnet {
    const KIND: &'static str = "aws.ec2.subnet";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["vpc_id", "cidr_block"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("subnet_id");
    const KEEPS: &'static [&'static str] = &["availability_zone"];
    const REPLACE: &'static [&'static str] = &["vpc_id", "cidr_block", "availability_zone"];
    const TIMING: Timing = Timing::seconds(2, 1, 300);
    type Client = Aws;
    type Outputs = SubnetOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let subnets = &cx.client.ec2.subnets;
        let found = match &cx.recorded {
            Some(recorded) => subnets.by_id(recorded.subnet_id.as_str()).await?,
            None => subnets.within(self.vpc_id.get()?.as_str(), self.cidr_block.as_str()).await?,
        };
        Ok(found.as_ref().map(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let availability_zone = self.availability_zone.as_ref().map(Value::get).transpose()?.cloned();
        cx.client
            .ec2
            .create_subnet()
            .vpc_id(self.vpc_id.get()?.as_str())
            .cidr_block(self.cidr_block.as_str())
            .set_availability_zone(availability_zone)
            .set_tag_specifications(tagged(ResourceType::Subnet, &self.tags))
            .send()
            .await
            .call("ec2:CreateSubnet")
            .not_yet()?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.subnet_id.as_str();
        if diff.touches("map_public_ip_on_launch") {
            let on = self.map_public_ip_on_launch.unwrap_or(false);
            cx.client
                .ec2
                .modify_subnet_attribute()
                .subnet_id(id)
                .map_public_ip_on_launch(AttributeBooleanValue::builder().value(on).build())
                .send()
                .await
                .call("ec2:ModifySubnetAttribute")
                .not_yet()?;
        }
        if diff.touches("private_dns_hostname_type_on_launch") {
            let kind = self.private_dns_hostname_type_on_launch.as_deref().unwrap_or(IP_NAME);
            let request = cx.client.ec2.modify_subnet_attribute().subnet_id(id);
            let request = request.private_dns_hostname_type_on_launch(kind.into());
            request.send().await.call("ec2:ModifySubnetAttribute").not_yet()?;
        }
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.subnet_id.as_str();
        cx.client.ec2.delete_subnet().subnet_id(id).send().await.call("ec2:DeleteSubnet")?;
        Ok(())
    }
}

impl Described for types::Subnet {
    const ID: &'static str = "subnet-id";
    const WITHIN: Option<[&'static str; 2]> = Some(["vpc-id", "cidr-block"]);
    fn id(&self) -> Option<&str> {
        self.subnet_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    fn within(&self) -> Option<[&str; 2]> {
        Some([self.vpc_id()?, self.cidr_block()?])
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_subnets().set_filters(Some(filters)).max_results(PAGE);
        request.into_paginator().items().send().try_collect().await.call("ec2:DescribeSubnets")
    }
}

fn live(subnet: &types::Subnet) -> Live<Subnet> {
    let tags = live_tags(subnet.tags());
    let cidr_block = Cidr::from(subnet.cidr_block().unwrap_or_default());
    let zone = subnet.availability_zone().unwrap_or_default();
    Live {
        outputs: SubnetOutputs {
            subnet_id: subnet.subnet_id().unwrap_or_default().into(),
            availability_zone: zone.to_owned(),
            cidr_block: cidr_block.clone(),
        },
        status: match subnet.state() {
            Some(state @ (SubnetState::Failed | SubnetState::FailedInsufficientCapacity)) => {
                Status::Failed(state.to_string())
            }
            Some(state @ (SubnetState::Pending | SubnetState::Unavailable)) => {
                Status::Pending(state.to_string())
            }
            _ => Status::Ready,
        },
        owner: tags.owner(),
        spec: Subnet {
            vpc_id: VpcId::from(subnet.vpc_id().unwrap_or_default()).into(),
            cidr_block,
            availability_zone: Some(zone.into()),
            map_public_ip_on_launch: subnet.map_public_ip_on_launch(),
            private_dns_hostname_type_on_launch: Some(
                subnet
                    .private_dns_name_options_on_launch()
                    .and_then(|o| o.hostname_type())
                    .map_or(IP_NAME, |kind| kind.as_str())
                    .to_owned(),
            ),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_told_as_it_is_wanted() {
        let subnet = types::Subnet::builder()
            .subnet_id("subnet-1")
            .vpc_id("vpc-1")
            .cidr_block("10.0.16.0/20")
            .availability_zone("us-east-2b")
            .map_public_ip_on_launch(true)
            .state(SubnetState::Available)
            .build();
        let live = live(&subnet);
        assert_eq!(live.status, Status::Ready);
        assert_eq!(live.outputs.availability_zone, "us-east-2b");
        assert_eq!(live.spec.vpc_id, VpcId::from("vpc-1").into());
        assert_eq!(live.spec.map_public_ip_on_launch, Some(true));
    }
}
