//! A route: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRoute.html>

use super::{Cidr, Spreads};
use crate::{
    Aws, Call,
    id::{InternetGatewayId, NatGatewayId, NetworkInterfaceId, RouteTableId},
};
use aws_sdk_ec2::types;
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, Timing, Value, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// Where packets for some addresses go. A table has one route for each range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Route {
    /// The table.
    pub route_table_id: Value<RouteTableId>,
    /// The IPv4 addresses; `0.0.0.0/0` for all that no other route has.
    pub destination_cidr_block: Cidr,
    /// Where they go; changes in place.
    pub target: RouteTarget,
}

/// Where a route leads, in the API's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum RouteTarget {
    /// An internet gateway, or a virtual private gateway.
    GatewayId(Value<InternetGatewayId>),
    /// A NAT gateway.
    NatGatewayId(Value<NatGatewayId>),
    /// The network interface of a machine that forwards.
    NetworkInterfaceId(Value<NetworkInterfaceId>),
    /// A transit gateway.
    TransitGatewayId(Value<String>),
    /// A peering connection to another network.
    VpcPeeringConnectionId(Value<String>),
}

outputs! {
    /// What finds a route again.
    pub struct RouteOutputs => RouteRefs {
        /// The table.
        pub route_table_id: RouteTableId,
        /// The addresses.
        pub destination_cidr_block: Cidr,
    }
}

impl Route {
    /// Everything that no other route has goes to `target`.
    pub fn anywhere(route_table_id: Value<RouteTableId>, target: RouteTarget) -> Self {
        Route { route_table_id, destination_cidr_block: Cidr::anywhere(), target }
    }
}

impl Resource for Route {
    const KIND: &'static str = "aws.ec2.route";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["route_table_id", "destination_cidr_block"]);
    const REPLACE: &'static [&'static str] = &["route_table_id", "destination_cidr_block"];
    const TIMING: Timing = Timing::seconds(2, 1, 300);
    type Client = Aws;
    type Outputs = RouteOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let (table, destination) = match &cx.recorded {
            Some(recorded) => (&recorded.route_table_id, &recorded.destination_cidr_block),
            None => (self.route_table_id.get()?, &self.destination_cidr_block),
        };
        let found = cx.client.ec2.route_tables.by_id(table.as_str()).await?;
        Ok(found.and_then(|found| live(&found, table, destination)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let request = cx
            .client
            .ec2
            .create_route()
            .route_table_id(self.route_table_id.get()?.as_str())
            .destination_cidr_block(self.destination_cidr_block.as_str());
        let request = match &self.target {
            RouteTarget::GatewayId(id) => request.gateway_id(id.get()?.as_str()),
            RouteTarget::NatGatewayId(id) => request.nat_gateway_id(id.get()?.as_str()),
            RouteTarget::NetworkInterfaceId(id) => request.network_interface_id(id.get()?.as_str()),
            RouteTarget::TransitGatewayId(id) => request.transit_gateway_id(id.get()?),
            RouteTarget::VpcPeeringConnectionId(id) => request.vpc_peering_connection_id(id.get()?),
        };
        request.send().await.call("ec2:CreateRoute").not_yet()?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        if !diff.touches("target") {
            return Ok(());
        }
        let request = cx
            .client
            .ec2
            .replace_route()
            .route_table_id(live.outputs.route_table_id.as_str())
            .destination_cidr_block(live.outputs.destination_cidr_block.as_str());
        let request = match &self.target {
            RouteTarget::GatewayId(id) => request.gateway_id(id.get()?.as_str()),
            RouteTarget::NatGatewayId(id) => request.nat_gateway_id(id.get()?.as_str()),
            RouteTarget::NetworkInterfaceId(id) => request.network_interface_id(id.get()?.as_str()),
            RouteTarget::TransitGatewayId(id) => request.transit_gateway_id(id.get()?),
            RouteTarget::VpcPeeringConnectionId(id) => request.vpc_peering_connection_id(id.get()?),
        };
        request.send().await.call("ec2:ReplaceRoute").not_yet()?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        cx.client
            .ec2
            .delete_route()
            .route_table_id(live.outputs.route_table_id.as_str())
            .destination_cidr_block(live.outputs.destination_cidr_block.as_str())
            .send()
            .await
            .call("ec2:DeleteRoute")?;
        Ok(())
    }
}

fn live(table: &types::RouteTable, id: &RouteTableId, destination: &Cidr) -> Option<Live<Route>> {
    let route = table.routes().iter().find(|r| r.destination_cidr_block() == Some(destination.as_str()))?;
    Some(Live {
        outputs: RouteOutputs { route_table_id: id.clone(), destination_cidr_block: destination.clone() },
        // A black hole is mended by another target, so it does not count as failed.
        status: Status::Ready,
        owner: Owner::Parent,
        spec: Route {
            route_table_id: id.clone().into(),
            destination_cidr_block: destination.clone(),
            target: target(route),
        },
    })
}

/// A machine's route shows the machine and its interface; the interface is what we write.
fn target(route: &types::Route) -> RouteTarget {
    if let Some(id) = route.nat_gateway_id() {
        RouteTarget::NatGatewayId(NatGatewayId::from(id).into())
    } else if let Some(id) = route.network_interface_id() {
        RouteTarget::NetworkInterfaceId(NetworkInterfaceId::from(id).into())
    } else if let Some(id) = route.transit_gateway_id() {
        RouteTarget::TransitGatewayId(id.into())
    } else if let Some(id) = route.vpc_peering_connection_id() {
        RouteTarget::VpcPeeringConnectionId(id.into())
    } else {
        RouteTarget::GatewayId(InternetGatewayId::from(route.gateway_id().unwrap_or_default()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_found_by_its_destination() {
        let local = types::Route::builder().destination_cidr_block("10.0.0.0/16").gateway_id("local");
        let out = types::Route::builder().destination_cidr_block("0.0.0.0/0").nat_gateway_id("nat-1");
        let table = types::RouteTable::builder().routes(local.build()).routes(out.build()).build();
        let live = live(&table, &"rtb-1".into(), &Cidr::anywhere()).unwrap();
        assert_eq!(live.spec.target, RouteTarget::NatGatewayId(NatGatewayId::from("nat-1").into()));
        assert!(super::live(&table, &"rtb-1".into(), &"10.1.0.0/16".into()).is_none());
    }

    #[test]
    fn another_type_of_target_is_a_difference_that_shows() {
        let wanted = RouteTarget::GatewayId(Value::reference(&"igw".into(), "internet_gateway_id"));
        let json = serde_json::to_value(&wanted).unwrap();
        assert_eq!(
            json,
            serde_json::json!({ "type": "gateway_id", "id": { "$ref": "igw#internet_gateway_id" } })
        );
        assert_eq!(serde_json::from_value::<RouteTarget>(json).unwrap(), wanted);
    }
}
