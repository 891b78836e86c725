//! Moto's routes are active whatever becomes of what they lead to.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_routes",
    service: "ec2",
    operations: &["DescribeRouteTables"],
    why: "moto's routes are always active; AWS shows those to a gateway that is not attached to their VPC as blackhole",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let mut answer = next.run(request).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status.is_success()
            && let Some(mut root) = Element::parse(&text)
            && let Ok(gateways) = state.query(&scope, "ec2", "DescribeInternetGateways", &[]).await
        {
            blackhole(&mut root, &attached(&gateways));
            answer.body = root.document().into();
        }
        answer
    })
}

/// Gateways, each with the network that it is attached to.
fn attached(gateways: &Element) -> BTreeSet<(String, String)> {
    let gateways = gateways.child("internetGatewaySet").into_iter().flat_map(Element::elements);
    let networks = |gateway: &Element| {
        let id = gateway.get("internetGatewayId").unwrap_or_default();
        gateway.all("vpcId").into_iter().map(move |vpc| (id.clone(), vpc.text())).collect::<Vec<_>>()
    };
    gateways.flat_map(networks).collect()
}

fn blackhole(tables: &mut Element, attached: &BTreeSet<(String, String)>) {
    for table in tables.child_mut("routeTableSet").into_iter().flat_map(Element::elements_mut) {
        let vpc = table.get("vpcId").unwrap_or_default();
        for route in table.child_mut("routeSet").into_iter().flat_map(Element::elements_mut) {
            let gateway = route.get("gatewayId").filter(|id| id.starts_with("igw-"));
            if gateway.is_some_and(|gateway| !attached.contains(&(gateway, vpc.clone()))) {
                route.set("state", "blackhole");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_to_a_gateway_that_is_not_attached_leads_nowhere() {
        let gateway = |id: &str, vpc: &str| {
            let attachment = Element::new("item").with_text("vpcId", vpc);
            let set = Element::new("attachmentSet").with(attachment);
            Element::new("item").with_text("internetGatewayId", id).with(set)
        };
        let set = Element::new("internetGatewaySet")
            .with(gateway("igw-1", "vpc-1"))
            .with(gateway("igw-2", "vpc-2"));
        let attached = attached(&Element::new("R").with(set));
        let route = |to: &str| Element::new("item").with_text("gatewayId", to).with_text("state", "active");
        let routes = Element::new("routeSet").with(route("local")).with(route("igw-1")).with(route("igw-2"));
        let table = Element::new("item").with_text("vpcId", "vpc-1").with(routes);
        let mut tables = Element::new("R").with(Element::new("routeTableSet").with(table));
        blackhole(&mut tables, &attached);
        let states: Vec<_> = tables.all("state").into_iter().map(Element::text).collect();
        assert_eq!(states, ["active", "active", "blackhole"]);
    }
}
