//! Moto never probes a target, and fakecloud's ECS registers its tasks only with fakecloud's own target groups, where a
//! prober asks the real process over HTTP. So every target group of moto gets a twin on fakecloud: the gateway
//! translates the ARNs on the way to and from ECS, registers targets with both, and lets the twin say who is healthy.
//!
//! The twin probes as often as fakecloud allows (5 seconds, two in a row), whatever the target group says, because a
//! sandbox should not wait for minutes. Path, port, protocol, timeout and accepted codes are those of the target group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::route::{Backend, Scope};
use crate::gateway::xml::Element;
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "elbv2_targets",
    service: "elasticloadbalancing",
    operations: &[
        "CreateTargetGroup",
        "ModifyTargetGroup",
        "DeleteTargetGroup",
        "RegisterTargets",
        "DeregisterTargets",
        "DescribeTargetHealth",
    ],
    why: "moto reports every target as healthy; AWS probes them",
};

/// ARNs of target groups (moto) and of their twins (fakecloud).
#[derive(Default)]
pub(crate) struct Twins(Mutex<BTreeMap<String, String>>);

impl Twins {
    /// The twin of a target group.
    pub(crate) fn twin(&self, arn: &str) -> Option<String> {
        lock(&self.0).get(arn).cloned()
    }

    /// Writes the twins' ARNs into a request for fakecloud.
    pub(crate) fn outbound(&self, text: &str) -> String {
        lock(&self.0).iter().fold(text.to_owned(), |text, (own, twin)| text.replace(own, twin))
    }

    /// Writes the real ARNs into an answer of fakecloud.
    pub(crate) fn inbound(&self, text: &str) -> String {
        lock(&self.0).iter().fold(text.to_owned(), |text, (own, twin)| text.replace(twin, own))
    }
}

/// Parameters of a target group that decide how it is probed, as requests and answers call them.
const PROBE: &[&str] = &[
    "Protocol",
    "Port",
    "HealthCheckProtocol",
    "HealthCheckPort",
    "HealthCheckEnabled",
    "HealthCheckPath",
    "HealthCheckTimeoutSeconds",
];
const PACE: &[(&str, &str)] =
    &[("HealthCheckIntervalSeconds", "5"), ("HealthyThresholdCount", "2"), ("UnhealthyThresholdCount", "2")];

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let form = request.form();
        let arn = request.param("TargetGroupArn").unwrap_or_default();
        match request.operation.name.as_str() {
            "DescribeTargetHealth" => return health(state, &scope, request, &arn, next).await,
            "CreateTargetGroup" => {
                let answer = next.run(request).await;
                if answer.status.is_success() {
                    create(state, &scope, &answer).await;
                }
                return answer;
            }
            _ => {}
        }
        let operation = request.operation.name.clone();
        let answer = next.run(request).await;
        let Some(twin) = state.fixes.twins.twin(&arn).filter(|_| answer.status.is_success()) else {
            return answer;
        };
        let own: Vec<(String, String)> = form
            .into_iter()
            .filter(|(key, _)| {
                key.starts_with("Targets.")
                    || (operation == "ModifyTargetGroup"
                        && (PROBE.contains(&key.as_str()) || key.starts_with("Matcher.")))
            })
            .collect();
        let mut parameters = vec![("TargetGroupArn", twin.as_str())];
        parameters.extend(own.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        if let Err(refused) = twin_call(state, &scope, &operation, &parameters).await {
            tracing::warn!(status = %refused.status, operation, "twin target group refused a change");
        }
        if operation == "DeleteTargetGroup" {
            lock(&state.fixes.twins.0).remove(&arn);
        }
        answer
    })
}

async fn twin_call(
    state: &State,
    scope: &Scope,
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<Element, Answer> {
    state.query_at(Backend::Fakecloud, scope, "elasticloadbalancing", action, parameters).await
}

/// Makes the twin of a target group that moto has just made (or had already: then the twin is there as well).
async fn create(state: &State, scope: &Scope, answer: &Answer) {
    let Some(root) = std::str::from_utf8(&answer.body).ok().and_then(Element::parse) else { return };
    let Some(group) = root.all("member").into_iter().find(|group| group.child("TargetGroupArn").is_some())
    else {
        return;
    };
    let Some(arn) = group.get("TargetGroupArn") else { return };
    if state.fixes.twins.twin(&arn).is_some() {
        return;
    }
    let mut own: Vec<(String, String)> = PROBE
        .iter()
        .filter_map(|name| Some((*name, group.get(name)?)))
        // Moto writes its own idea of "not set", and smaller numbers than fakecloud allows for some protocols.
        .filter(|(_, value)| !value.is_empty() && value != "None")
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    own.push(("Name".to_owned(), group.get("TargetGroupName").unwrap_or_default()));
    own.push(("TargetType".to_owned(), group.get("TargetType").unwrap_or_else(|| "instance".to_owned())));
    if let Some(codes) = group.get("Matcher/HttpCode") {
        own.push(("Matcher.HttpCode".to_owned(), codes));
    }
    let mut parameters: Vec<(&str, &str)> =
        own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    parameters.extend(PACE);
    match twin_call(state, scope, "CreateTargetGroup", &parameters).await {
        Ok(root) => {
            if let Some(twin) = root.all("TargetGroupArn").first() {
                lock(&state.fixes.twins.0).insert(arn, twin.text());
            }
        }
        Err(refused) => {
            let body = String::from_utf8_lossy(&refused.body);
            tracing::warn!(status = %refused.status, %body, arn, "target group has no twin; its targets are not probed");
        }
    }
}

/// The twin's view. A target group that no listener forwards to has only unused targets, as on AWS.
async fn health(state: &Arc<State>, scope: &Scope, request: Request, arn: &str, next: Next<'_>) -> Answer {
    let Some(twin) = state.fixes.twins.twin(arn) else { return next.run(request).await };
    let own = [("TargetGroupArns.member.1", arn)];
    let attached = match state.query(scope, "elasticloadbalancing", "DescribeTargetGroups", &own).await {
        Ok(root) => root.all("LoadBalancerArns").iter().any(|list| list.elements().next().is_some()),
        Err(refused) => return refused,
    };
    let asked: Vec<(String, String)> =
        request.form().into_iter().filter(|(key, _)| key.starts_with("Targets.")).collect();
    let mut parameters = vec![("TargetGroupArn", twin.as_str())];
    parameters.extend(asked.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let mut root = match twin_call(state, scope, "DescribeTargetHealth", &parameters).await {
        Ok(root) => root,
        Err(refused) => return refused,
    };
    root.walk_mut(&mut |element| {
        if element.name != "TargetHealth" {
            return;
        }
        if !attached {
            element.set("State", "unused");
            element.set("Reason", "Target.NotInUse");
            element.set(
                "Description",
                "Target group is not configured to receive traffic from the load balancer",
            );
        }
    });
    Answer::new(http::StatusCode::OK, "text/xml", root.document())
}
