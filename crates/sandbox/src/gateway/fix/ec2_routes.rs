//! Moto's routes are active whatever becomes of what they lead to, and those of an endpoint stay as they were made.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::xml::{Element, Node};

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_routes",
    service: "ec2",
    operations: &["DescribeRouteTables"],
    why: "moto's routes are always active; AWS shows those to a gateway that is not attached to their VPC as blackhole. \
          Tables that a gateway endpoint is given to or taken from later get and lose its route",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let mut answer = next.run(request).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status.is_success()
            && let Some(mut root) = Element::parse(&text)
            && let Ok(gateways) = state.query(&scope, "ec2", "DescribeInternetGateways", &[]).await
            && let Ok(endpoints) = state.query(&scope, "ec2", "DescribeVpcEndpoints", &[]).await
            && let Ok(lists) = state.query(&scope, "ec2", "DescribeManagedPrefixLists", &[]).await
        {
            blackhole(&mut root, &attached(&gateways));
            to_endpoints(&mut root, &given(&endpoints, &lists));
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

/// The routes to gateway endpoints, by table: the endpoint, and the addresses that are behind it.
type Given = BTreeMap<String, BTreeMap<String, String>>;

fn given(endpoints: &Element, lists: &Element) -> Given {
    let lists = lists.child("prefixListSet").into_iter().flat_map(Element::elements);
    let lists: BTreeMap<_, _> =
        lists.filter_map(|list| Some((list.get("prefixListName")?, list.get("prefixListId")?))).collect();
    let mut given = Given::new();
    for endpoint in endpoints.child("vpcEndpointSet").into_iter().flat_map(Element::elements) {
        let (Some(id), Some(list)) =
            (endpoint.get("vpcEndpointId"), endpoint.get("serviceName").and_then(|name| lists.get(&name)))
        else {
            continue;
        };
        if endpoint.get("state").as_deref() == Some("deleted") {
            continue;
        }
        for table in endpoint.child("routeTableIdSet").into_iter().flat_map(Element::elements) {
            given.entry(table.text()).or_default().insert(id.clone(), list.clone());
        }
    }
    given
}

fn to_endpoints(tables: &mut Element, given: &Given) {
    for table in tables.child_mut("routeTableSet").into_iter().flat_map(Element::elements_mut) {
        let given = table.get("routeTableId").and_then(|id| given.get(&id));
        let Some(routes) = table.child_mut("routeSet") else { continue };
        let to_endpoint = |route: &Element| route.get("gatewayId").is_some_and(|id| id.starts_with("vpce-"));
        routes.children.retain(|node| !matches!(node, Node::Element(route) if to_endpoint(route)));
        for (endpoint, list) in given.into_iter().flatten() {
            let route = Element::new("item")
                .with_text("destinationPrefixListId", list)
                .with_text("gatewayId", endpoint)
                .with_text("origin", "CreateRoute")
                .with_text("state", "active");
            routes.children.push(Node::Element(route));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn just_the_tables_of_an_endpoint_have_its_route() {
        let tables = Element::new("routeTableIdSet").with_text("item", "rtb-1").with_text("item", "rtb-2");
        let endpoint = Element::new("item").with_text("vpcEndpointId", "vpce-1");
        let endpoint = endpoint.with_text("serviceName", "s3").with(tables);
        let endpoints = Element::new("R").with(Element::new("vpcEndpointSet").with(endpoint));
        let list = Element::new("item").with_text("prefixListName", "s3").with_text("prefixListId", "pl-1");
        let lists = Element::new("R").with(Element::new("prefixListSet").with(list));
        let table = |id: &str, to: &[&str]| {
            let route = |to: &&str| Element::new("item").with_text("gatewayId", to);
            let routes = to.iter().map(route).fold(Element::new("routeSet"), Element::with);
            Element::new("item").with_text("routeTableId", id).with(routes)
        };
        let set = Element::new("routeTableSet")
            .with(table("rtb-1", &["local", "vpce-1"]))
            .with(table("rtb-2", &["local"]))
            .with(table("rtb-3", &["local", "vpce-1"]));
        let mut root = Element::new("R").with(set);
        to_endpoints(&mut root, &given(&endpoints, &lists));
        let to: Vec<_> = root.all("gatewayId").into_iter().map(Element::text).collect();
        assert_eq!(to, ["local", "vpce-1", "local", "vpce-1", "local"]);
    }

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
