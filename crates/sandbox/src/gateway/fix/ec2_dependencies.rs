//! Moto deletes security groups, subnets and addresses that are in use, and knows nothing of the load balancers,
//! databases and ECS services that use them. AWS refuses with `DependencyViolation`.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_dependencies",
    service: "ec2",
    operations: &[
        "DeleteNetworkInterface",
        "DeleteSecurityGroup",
        "DeleteSubnet",
        "DeleteVpc",
        "DetachInternetGateway",
        "ReleaseAddress",
    ],
    why: "moto deletes what is still in use; AWS answers DependencyViolation, for an address InvalidIPAddress.InUse, for an interface InvalidParameterValue",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let user = match request.operation.name.as_str() {
            "DeleteNetworkInterface" => interface(state, &request).await,
            "DeleteSecurityGroup" => security_group(state, &request).await,
            "DeleteSubnet" => subnet(state, &request).await,
            "DeleteVpc" => vpc(state, &request).await,
            "DetachInternetGateway" => gateway(state, &request).await,
            _ => address(state, &request).await,
        };
        match user {
            Some((code, message)) => request.refuse(400, code, &message),
            None => next.run(request).await,
        }
    })
}

type Refusal = Option<(&'static str, String)>;

async fn ask(
    state: &State,
    scope: &Scope,
    service: &str,
    action: &str,
    filter: &[(&str, &str)],
) -> Option<Element> {
    // What cannot be asked does not stand in the way: moto then answers for itself.
    state.query(scope, service, action, filter).await.ok()
}

/// Filter parameters of a describe call.
fn by<'a>(name: &'a str, value: &'a str) -> [(&'a str, &'a str); 2] {
    [("Filter.1.Name", name), ("Filter.1.Value.1", value)]
}

/// Ids in the items of a describe answer.
fn ids(root: &Option<Element>, name: &str) -> Vec<String> {
    root.iter().flat_map(|root| root.all(name)).map(Element::text).collect()
}

/// Whether load balancers, databases (their subnet groups) or ECS services name an id.
async fn named_elsewhere(state: &State, scope: &Scope, id: &str) -> Option<String> {
    if let Some(root) = ask(state, scope, "elasticloadbalancing", "DescribeLoadBalancers", &[]).await
        && root.all("member").iter().any(|lb| {
            let own = lb
                .all("SecurityGroups")
                .into_iter()
                .flat_map(|list| list.elements())
                .any(|group| group.text() == id);
            lb.child("LoadBalancerArn").is_some()
                && (own || lb.all("SubnetId").iter().any(|subnet| subnet.text() == id))
        })
    {
        return Some("a load balancer".to_owned());
    }
    if let Some(root) = ask(state, scope, "rds", "DescribeDBInstances", &[]).await
        && root.all("DBInstance").iter().any(|instance| {
            let groups = instance.all("VpcSecurityGroupId");
            groups.iter().chain(&instance.all("SubnetIdentifier")).any(|used| used.text() == id)
        })
    {
        return Some("a database instance".to_owned());
    }
    let clusters = state.json(scope, "ecs", "ListClusters", &json!({})).await.ok()?;
    for cluster in clusters["clusterArns"].as_array()? {
        let input = json!({ "cluster": cluster, "maxResults": 100 });
        let Ok(services) = state.json(scope, "ecs", "ListServices", &input).await else { continue };
        for some in services["serviceArns"].as_array()?.chunks(10) {
            let input = json!({ "cluster": cluster, "services": some });
            let Ok(found) = state.json(scope, "ecs", "DescribeServices", &input).await else { continue };
            for service in found["services"].as_array().into_iter().flatten() {
                let names = |list: &serde_json::Value| {
                    list.as_array().is_some_and(|all| all.iter().any(|one| one == id))
                };
                let network = &service["networkConfiguration"]["awsvpcConfiguration"];
                // The interfaces of its tasks are what is in the way on AWS; a service without tasks is not.
                let runs =
                    ["runningCount", "pendingCount"].iter().any(|count| service[count].as_i64() > Some(0));
                if runs && (names(&network["securityGroups"]) || names(&network["subnets"])) {
                    return Some(format!(
                        "tasks of the service {}",
                        service["serviceName"].as_str().unwrap_or_default()
                    ));
                }
            }
        }
    }
    None
}

async fn security_group(state: &State, request: &Request) -> Refusal {
    let scope = &request.scope;
    let id = request.param("GroupId")?;
    let violation = |user: &str| {
        tracing::debug!(group = id, user, "security group is in use");
        Some(("DependencyViolation", format!("resource {id} has a dependent object")))
    };
    let groups = ask(state, scope, "ec2", "DescribeSecurityGroups", &[]).await;
    let groups = groups.as_ref().map(|root| root.all("item")).unwrap_or_default();
    let refers = groups.iter().any(|group| {
        let own = group.get("groupId").as_deref() == Some(id.as_str());
        let rules = group.child("ipPermissions").into_iter().chain(group.child("ipPermissionsEgress"));
        !own && rules.flat_map(|rules| rules.all("groupId")).any(|used| used.text() == id)
    });
    if refers {
        return violation("another security group");
    }
    let interfaces = ask(state, scope, "ec2", "DescribeNetworkInterfaces", &by("group-id", &id)).await;
    if !ids(&interfaces, "networkInterfaceId").is_empty() {
        return violation("a network interface");
    }
    let user = named_elsewhere(state, scope, &id).await?;
    violation(&user)
}

async fn subnet(state: &State, request: &Request) -> Refusal {
    let scope = &request.scope;
    let id = request.param("SubnetId")?;
    let refuse = || {
        Some(("DependencyViolation", format!("The subnet '{id}' has dependencies and cannot be deleted.")))
    };
    let interfaces = ask(state, scope, "ec2", "DescribeNetworkInterfaces", &by("subnet-id", &id)).await;
    let gateways = live_gateways(state, scope).await;
    let used = |gateway: &Element| gateway.get("subnetId").as_deref() == Some(id.as_str());
    if !ids(&interfaces, "networkInterfaceId").is_empty() || gateways.iter().any(used) {
        return refuse();
    }
    named_elsewhere(state, scope, &id).await.and_then(|_| refuse())
}

/// NAT gateways that are not deleted.
async fn live_gateways(state: &State, scope: &Scope) -> Vec<Element> {
    let root = ask(state, scope, "ec2", "DescribeNatGateways", &[]).await;
    let items = root.as_ref().map(|root| root.all("item")).unwrap_or_default();
    let alive = |item: &&Element| {
        item.child("natGatewayId").is_some()
            && !matches!(item.get("state").as_deref(), Some("deleted" | "deleting" | "failed"))
    };
    items.into_iter().filter(alive).cloned().collect()
}

async fn vpc(state: &State, request: &Request) -> Refusal {
    let scope = &request.scope;
    let id = request.param("VpcId")?;
    let subnets = ask(state, scope, "ec2", "DescribeSubnets", &by("vpc-id", &id)).await;
    let attached = ask(state, scope, "ec2", "DescribeInternetGateways", &by("attachment.vpc-id", &id)).await;
    let groups = ask(state, scope, "ec2", "DescribeSecurityGroups", &by("vpc-id", &id)).await;
    let groups = groups.as_ref().map(|root| root.all("item")).unwrap_or_default();
    // The default group goes with the VPC.
    let own = groups.iter().any(|group| {
        group.get("groupName").is_some_and(|name| name != "default") && group.child("ipPermissions").is_some()
    });
    (own || !ids(&subnets, "subnetId").is_empty() || !ids(&attached, "internetGatewayId").is_empty())
        .then(|| ("DependencyViolation", format!("The vpc '{id}' has dependencies and cannot be deleted.")))
}

async fn interface(state: &State, request: &Request) -> Refusal {
    let id = request.param("NetworkInterfaceId")?;
    let filter = by("network-interface-id", &id);
    let there = ask(state, &request.scope, "ec2", "DescribeNetworkInterfaces", &filter).await?;
    let attached = there.all("attachmentId").iter().any(|attachment| !attachment.text().is_empty());
    attached.then(|| ("InvalidParameterValue", format!("Network interface '{id}' is currently in use.")))
}

async fn gateway(state: &State, request: &Request) -> Refusal {
    let id = request.param("VpcId")?;
    let gateways = live_gateways(state, &request.scope).await;
    gateways.iter().any(|gateway| gateway.get("vpcId").as_deref() == Some(id.as_str())).then(|| {
        let message = format!("Network {id} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway.");
        ("DependencyViolation", message)
    })
}

async fn address(state: &State, request: &Request) -> Refusal {
    let id = request.param("AllocationId")?;
    let gateways = live_gateways(state, &request.scope).await;
    gateways
        .iter()
        .any(|gateway| gateway.all("allocationId").iter().any(|used| used.text() == id))
        .then(|| ("InvalidIPAddress.InUse", format!("The address {id} is in use.")))
}
