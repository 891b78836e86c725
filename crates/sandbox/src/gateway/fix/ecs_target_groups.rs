//! ECS (fakecloud) must name the twins of the target groups (moto), and clients must not see them. A service that names
//! a target group which does not exist, or which no load balancer uses yet, is refused as by AWS.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;

pub(super) const INFO: FixInfo = FixInfo {
    name: "ecs_target_groups",
    service: "ecs",
    operations: &[
        "CreateService",
        "UpdateService",
        "DescribeServices",
        "DeleteService",
        "DescribeServiceRevisions",
        "CreateTaskSet",
        "DescribeTaskSets",
    ],
    why: "fakecloud's ECS knows only its own target groups and accepts any ARN; AWS wants one that a load balancer uses",
};

pub(super) fn run<'a>(state: &'a Arc<State>, mut request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let twins = &state.fixes.twins;
        if request.operation.name == "CreateService"
            && let Some(refused) = check(state, &request).await
        {
            return refused;
        }
        if let Ok(body) = std::str::from_utf8(&request.body) {
            request.body = twins.outbound(body).into();
        }
        let mut answer = next.run(request).await;
        if let Ok(body) = std::str::from_utf8(&answer.body) {
            answer.body = twins.inbound(body).into();
        }
        answer
    })
}

async fn check(state: &State, request: &Request) -> Option<Answer> {
    let input = request.json();
    let groups = input["loadBalancers"].as_array()?;
    for arn in groups.iter().filter_map(|balancer| balancer["targetGroupArn"].as_str()) {
        let own = [("TargetGroupArns.member.1", arn)];
        let Ok(root) =
            state.query(&request.scope, "elasticloadbalancing", "DescribeTargetGroups", &own).await
        else {
            let message = format!("The specified target group does not exist: {arn}");
            return Some(request.refuse(400, "InvalidParameterException", &message));
        };
        if !root.all("LoadBalancerArns").iter().any(|list| list.elements().next().is_some()) {
            let message = format!(
                "The target group with targetGroupArn {arn} does not have an associated load balancer."
            );
            return Some(request.refuse(400, "InvalidParameterException", &message));
        }
    }
    let ports: Vec<&Value> = groups.iter().map(|balancer| &balancer["containerPort"]).collect();
    ports.iter().any(|port| port.is_null()).then(|| {
        request.refuse(
            400,
            "InvalidParameterException",
            "containerPort is required when a load balancer is specified.",
        )
    })
}
