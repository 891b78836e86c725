//! The network interface of a Fargate task lives on fakecloud, so moto's EC2 does not know it; AWS shows it, with a
//! public address if the service asked for one. The address shown is from the documentation range and leads nowhere.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::{Element, Node};

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_task_interfaces",
    service: "ec2",
    operations: &["DescribeNetworkInterfaces"],
    why: "the interface of a Fargate task, with its public address, is unknown to moto; AWS shows it",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let asked = request.params("NetworkInterfaceId.");
        if asked.is_empty() {
            return next.run(request).await;
        }
        let answer = next.run(request.clone()).await;
        if answer.status.is_success() {
            return answer;
        }
        let mut found = Vec::new();
        for task in tasks(state, &request.scope).await {
            if let Some(interface) = interface(state, &request.scope, &task, &asked).await {
                found.push(interface);
            }
        }
        if found.len() < asked.len() {
            // Some may be moto's own; those that neither has are moto's to refuse.
            let theirs: Vec<&String> = asked
                .iter()
                .filter(|id| !found.iter().any(|one| one.get("networkInterfaceId").as_ref() == Some(id)))
                .collect();
            let names: Vec<String> = (1..=theirs.len()).map(|n| format!("NetworkInterfaceId.{n}")).collect();
            let own: Vec<(&str, &str)> =
                names.iter().zip(theirs).map(|(n, id)| (n.as_str(), id.as_str())).collect();
            match state.query(&request.scope, "ec2", "DescribeNetworkInterfaces", &own).await {
                Ok(root) => {
                    let sets = root.all("networkInterfaceSet");
                    found.extend(sets.into_iter().flat_map(Element::elements).cloned());
                }
                Err(refused) => return refused,
            }
        }
        let mut set = Element::new("networkInterfaceSet");
        set.children = found.into_iter().map(Node::Element).collect();
        let root =
            Element::new("DescribeNetworkInterfacesResponse").with_text("requestId", "sandbox").with(set);
        Answer::new(http::StatusCode::OK, "text/xml;charset=UTF-8", root.document())
    })
}

/// Every running task of the account and region.
async fn tasks(state: &State, scope: &Scope) -> Vec<Value> {
    let mut found = Vec::new();
    let clusters = state.json(scope, "ecs", "ListClusters", &json!({})).await.unwrap_or_default();
    for cluster in clusters["clusterArns"].as_array().into_iter().flatten() {
        let listed =
            state.json(scope, "ecs", "ListTasks", &json!({ "cluster": cluster })).await.unwrap_or_default();
        let arns = listed["taskArns"].as_array().filter(|arns| !arns.is_empty());
        let Some(arns) = arns else { continue };
        let input = json!({ "cluster": cluster, "tasks": arns });
        let described = state.json(scope, "ecs", "DescribeTasks", &input).await.unwrap_or_default();
        found.extend(described["tasks"].as_array().cloned().unwrap_or_default());
    }
    found
}

async fn interface(state: &State, scope: &Scope, task: &Value, asked: &[String]) -> Option<Element> {
    let details = task["attachments"][0]["details"].as_array()?;
    let detail =
        |name: &str| details.iter().find(|one| one["name"] == name).and_then(|one| one["value"].as_str());
    let id = detail("networkInterfaceId").filter(|id| asked.iter().any(|asked| asked == id))?;
    let subnet = detail("subnetId")?;
    let address = detail("privateIPv4Address")?;
    let network = match task["group"].as_str().and_then(|group| group.strip_prefix("service:")) {
        Some(service) => {
            let input = json!({ "cluster": task["clusterArn"], "services": [service] });
            let found = state.json(scope, "ecs", "DescribeServices", &input).await.ok()?;
            found["services"][0]["networkConfiguration"]["awsvpcConfiguration"].clone()
        }
        None => Value::Null,
    };
    let subnets = state.query(scope, "ec2", "DescribeSubnets", &[("SubnetId.1", subnet)]).await.ok();
    let place = |name: &str| subnets.as_ref().and_then(|root| root.all(name).first().map(|one| one.text()));
    let mut groups = Element::new("groupSet");
    for group in network["securityGroups"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        groups = groups.with(Element::new("item").with_text("groupId", group));
    }
    let mut own = Element::new("item").with_text("privateIpAddress", address).with_text("primary", "true");
    let mut item = Element::new("item")
        .with_text("networkInterfaceId", id)
        .with_text("subnetId", subnet)
        .with_text("vpcId", &place("vpcId").unwrap_or_default())
        .with_text("availabilityZone", &place("availabilityZone").unwrap_or_default())
        .with_text("description", task["attachments"][0]["id"].as_str().unwrap_or_default())
        .with_text("ownerId", crate::account::of(&scope.access_key))
        .with_text("requesterManaged", "true")
        .with_text("status", "in-use")
        .with_text("macAddress", detail("macAddress").unwrap_or_default())
        .with_text("privateIpAddress", address)
        .with_text("sourceDestCheck", "true")
        .with_text("interfaceType", "interface")
        .with(groups);
    if network["assignPublicIp"] == "ENABLED" {
        let sum = id.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let public = format!("203.0.113.{}", 1 + sum % 254);
        let association = Element::new("association")
            .with_text("publicIp", &public)
            .with_text("publicDnsName", &format!("ec2-{}.compute.amazonaws.com", public.replace('.', "-")))
            .with_text("ipOwnerId", "amazon");
        item = item.with(association.clone());
        own = own.with(association);
    }
    Some(item.with(Element::new("privateIpAddressesSet").with(own)))
}
