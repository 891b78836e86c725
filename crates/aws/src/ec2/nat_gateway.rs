//! A NAT gateway: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNatGateway.html>

use super::{
    Spreads, live_tags,
    lookup::{Described, PAGE},
    tagged,
};
use crate::{
    Aws, Call,
    id::{AllocationId, NatGatewayId, SubnetId},
};
use aws_sdk_ec2::{
    Client,
    types::{self, ConnectivityType, Filter, NatGatewayState, ResourceType, Tag},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};

/// Lets machines without public addresses reach the internet, under an address of its own.
///
/// It fails for good if its network has no internet gateway attached when it is made; no value says so, so put it
/// after the public route with [`Stack::after`](causeway_core::Stack::after).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NatGateway {
    /// The subnet that it stands in: a public one.
    pub subnet_id: Value<SubnetId>,
    /// Its address, which it alone can have.
    pub allocation_id: Value<AllocationId>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a NAT gateway tells others.
    pub struct NatGatewayOutputs => NatGatewayRefs {
        /// `nat-..`
        pub nat_gateway_id: NatGatewayId,
        /// The address that packets come from.
        pub public_ip: String,
    }
}

impl Resource for NatGateway {
    const KIND: &'static str = "aws.ec2.nat_gateway";
    // Sent with a token and found by its tag; but what makes two of them impossible is the address, so with the same
    // address the old one has to go first.
    const RECOVERY: Recovery = Recovery::NaturalKey(&["allocation_id"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("nat_gateway_id");
    const REPLACE: &'static [&'static str] = &["subnet_id", "allocation_id"];
    const TIMING: Timing = Timing::seconds(110, 5, 900);
    type Client = Aws;
    type Outputs = NatGatewayOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let recorded = cx.recorded.as_ref().map(|o| o.nat_gateway_id.as_str());
        let found = cx.client.ec2.nat_gateways.find(recorded, cx.instance).await?;
        Ok(found.as_ref().map(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .ec2
            .create_nat_gateway()
            .client_token(cx.token())
            .connectivity_type(ConnectivityType::Public)
            .subnet_id(self.subnet_id.get()?.as_str())
            .allocation_id(self.allocation_id.get()?.as_str())
            .set_tag_specifications(tagged(ResourceType::Natgateway, &self.tags))
            .send()
            .await
            .call("ec2:CreateNatGateway")
            .not_yet()?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.nat_gateway_id.as_str();
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.nat_gateway_id.as_str();
        cx.client.ec2.delete_nat_gateway().nat_gateway_id(id).send().await.call("ec2:DeleteNatGateway")?;
        Ok(())
    }
}

impl Described for types::NatGateway {
    const ID: &'static str = "nat-gateway-id";
    fn id(&self) -> Option<&str> {
        self.nat_gateway_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_nat_gateways().set_filter(Some(filters)).max_results(PAGE);
        let found = request.into_paginator().items().send().try_collect().await;
        let mut found: Vec<Self> = found.call("ec2:DescribeNatGateways")?;
        // A deleted one is shown for about an hour.
        found.retain(|gateway| gateway.state() != Some(&NatGatewayState::Deleted));
        Ok(found)
    }
}

fn live(gateway: &types::NatGateway) -> Live<NatGateway> {
    let tags = live_tags(gateway.tags());
    let addresses = gateway.nat_gateway_addresses();
    let primary = addresses.iter().find(|a| a.is_primary() == Some(true)).or(addresses.first());
    let allocation = primary.and_then(|a| a.allocation_id()).unwrap_or_default();
    Live {
        outputs: NatGatewayOutputs {
            nat_gateway_id: gateway.nat_gateway_id().unwrap_or_default().into(),
            public_ip: primary.and_then(|a| a.public_ip()).unwrap_or_default().to_owned(),
        },
        status: match gateway.state() {
            Some(state @ (NatGatewayState::Pending | NatGatewayState::Deleting)) => {
                Status::Pending(state.to_string())
            }
            Some(NatGatewayState::Failed) => {
                let code = gateway.failure_code().unwrap_or("failed");
                let message = gateway.failure_message().unwrap_or("AWS does not say why");
                Status::Failed(format!("{code}: {message}"))
            }
            _ => Status::Ready,
        },
        owner: tags.owner(),
        spec: NatGateway {
            subnet_id: SubnetId::from(gateway.subnet_id().unwrap_or_default()).into(),
            allocation_id: AllocationId::from(allocation).into(),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::NatGatewayAddress;

    fn gateway(state: NatGatewayState) -> types::builders::NatGatewayBuilder {
        let address = |id: &str, primary| {
            NatGatewayAddress::builder().allocation_id(id).public_ip("192.0.2.1").is_primary(primary).build()
        };
        types::NatGateway::builder()
            .nat_gateway_id("nat-1")
            .subnet_id("subnet-1")
            .nat_gateway_addresses(address("eipalloc-2", false))
            .nat_gateway_addresses(address("eipalloc-1", true))
            .state(state)
    }

    #[test]
    fn the_first_address_is_the_primary_one() {
        let live = live(&gateway(NatGatewayState::Available).build());
        assert_eq!(live.spec.allocation_id, AllocationId::from("eipalloc-1").into());
        assert_eq!((live.status, live.outputs.public_ip.as_str()), (Status::Ready, "192.0.2.1"));
    }

    #[test]
    fn a_failure_says_why() {
        let failed = gateway(NatGatewayState::Failed)
            .failure_code("Gateway.NotAttached")
            .failure_message("Network vpc-1 has no Internet gateway attached");
        let Status::Failed(why) = live(&failed.build()).status else { panic!("not failed") };
        assert!(why.starts_with("Gateway.NotAttached: Network vpc-1"));
        assert_eq!(
            live(&gateway(NatGatewayState::Deleting).build()).status,
            Status::Pending("deleting".into())
        );
    }
}
