//! What AWS refuses and moto accepts when load balancers and listeners are made and deleted.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "elbv2_refusals",
    service: "elasticloadbalancing",
    operations: &["CreateLoadBalancer", "DescribeLoadBalancers", "CreateListener", "DeleteLoadBalancer"],
    why: "moto makes a second listener on a port, deletes a protected load balancer, and takes one subnet; AWS answers DuplicateListener, OperationNotPermitted, ValidationError; the same load balancer again is the same one; moto leaves the default scheme out",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let early = match request.operation.name.as_str() {
            "CreateLoadBalancer" => balancer(state, &request).await,
            "CreateListener" => listener(state, &request).await,
            "DescribeLoadBalancers" => None,
            _ => protection(state, &request).await,
        };
        match early {
            Some(answer) => scheme(answer),
            None => scheme(next.run(request).await),
        }
    })
}

/// Writes the scheme that a load balancer has by default.
fn scheme(mut answer: Answer) -> Answer {
    let Some(mut root) = std::str::from_utf8(&answer.body).ok().and_then(Element::parse) else {
        return answer;
    };
    let mut changed = false;
    root.walk_mut(&mut |element| {
        if element.child("LoadBalancerName").is_some()
            && element.get("Scheme").is_none_or(|scheme| scheme.is_empty())
        {
            element.set("Scheme", DEFAULT_SCHEME);
            changed = true;
        }
    });
    if changed {
        answer.body = root.document().into();
    }
    answer
}

const DEFAULT_SCHEME: &str = "internet-facing";

const SERVICE: &str = "elasticloadbalancing";

async fn balancer(state: &State, request: &Request) -> Option<Answer> {
    let subnets: Vec<String> =
        [request.params("Subnets.member."), request.params("SubnetMappings.member.")].concat();
    let kind = request.param("Type").unwrap_or_else(|| "application".to_owned());
    if kind == "application" && subnets.iter().filter(|subnet| subnet.starts_with("subnet-")).count() < 2 {
        let message = "At least two subnets in two different Availability Zones must be specified";
        return Some(request.refuse(400, "ValidationError", message));
    }
    let name = request.param("Name")?;
    let root = state
        .query(&request.scope, SERVICE, "DescribeLoadBalancers", &[("Names.member.1", &name)])
        .await
        .ok()?;
    let found = root.all("member").into_iter().find(|member| member.child("LoadBalancerArn").is_some())?;
    let scheme = request.param("Scheme").unwrap_or_else(|| DEFAULT_SCHEME.to_owned());
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let groups: Vec<String> = found
        .child("SecurityGroups")
        .into_iter()
        .flat_map(|list| list.elements())
        .map(|group| group.text())
        .collect();
    let same = found.get("Scheme").filter(|scheme| !scheme.is_empty()).as_deref().unwrap_or(DEFAULT_SCHEME)
        == scheme
        && found.get("Type").as_deref() == Some(&kind)
        && sorted(found.all("SubnetId").iter().map(|subnet| subnet.text()).collect()) == sorted(subnets)
        && sorted(groups) == sorted(request.params("SecurityGroups.member."));
    if !same {
        let message =
            format!("A load balancer with the same name '{name}' exists, but with different settings");
        return Some(request.refuse(400, "DuplicateLoadBalancerName", &message));
    }
    let text = root.document().replace("DescribeLoadBalancers", "CreateLoadBalancer");
    Some(Answer::new(http::StatusCode::OK, "text/xml", text))
}

async fn listener(state: &State, request: &Request) -> Option<Answer> {
    let balancer = request.param("LoadBalancerArn")?;
    let port = request.param("Port")?;
    let root = state
        .query(&request.scope, SERVICE, "DescribeListeners", &[("LoadBalancerArn", &balancer)])
        .await
        .ok()?;
    let taken = root
        .all("member")
        .iter()
        .any(|member| member.get("Port").as_deref() == Some(&port) && member.child("ListenerArn").is_some());
    taken.then(|| {
        request.refuse(
            400,
            "DuplicateListener",
            "A listener already exists on this port for this load balancer",
        )
    })
}

async fn protection(state: &State, request: &Request) -> Option<Answer> {
    let arn = request.param("LoadBalancerArn")?;
    let own = [("LoadBalancerArn", arn.as_str())];
    let root = state.query(&request.scope, SERVICE, "DescribeLoadBalancerAttributes", &own).await.ok()?;
    let protected = root.all("member").iter().any(|attribute| {
        attribute.get("Key").as_deref() == Some("deletion_protection.enabled")
            && attribute.get("Value").as_deref() == Some("true")
    });
    protected.then(|| {
        let message =
            format!("Load balancer '{arn}' cannot be deleted because deletion protection is enabled");
        request.refuse(400, "OperationNotPermitted", &message)
    })
}
