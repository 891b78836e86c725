//! Whether nodes are too old for the next version is looked at, where fakecloud's insights always pass.
//! <https://docs.aws.amazon.com/eks/latest/userguide/cluster-insights.html>

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::eks_clusters::{behind, look};
use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;

pub(super) const INFO: FixInfo = FixInfo {
    name: "eks_insights",
    service: "eks",
    operations: &["ListInsights"],
    why: "fakecloud's insights pass whatever the nodes are; on AWS the kubelet version skew is an error where nodes would be more than three minor versions behind",
};

/// As many minor versions may a kubelet be behind the API server.
const SKEW: u32 = 3;

pub(super) fn run<'a>(state: &'a Arc<State>, mut request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let (scope, cluster) = (request.scope.clone(), behind(&request, "clusters"));
        // The filter is for what is shown, so it comes last.
        let mut input = request.json();
        let filter = input["filter"].take();
        if input.is_object() {
            request.body = input.to_string().into();
        }
        let mut answer = next.run(request).await;
        let Ok(mut output) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        let path = format!("/clusters/{cluster}");
        let there = look(state, &scope, "DescribeCluster", &path).await.unwrap_or_default();
        let version = minor(&there["cluster"]["version"]).unwrap_or_default();
        let groups = look(state, &scope, "ListNodegroups", &format!("{path}/node-groups")).await;
        let mut old = vec![];
        for group in groups.unwrap_or_default()["nodegroups"].as_array().into_iter().flatten() {
            let name = group.as_str().unwrap_or_default();
            let found = look(state, &scope, "DescribeNodegroup", &format!("{path}/node-groups/{name}")).await;
            let nodes = minor(&found.unwrap_or_default()["nodegroup"]["version"]);
            if nodes.is_some_and(|nodes| nodes + SKEW < version + 1) {
                old.push(name.to_owned());
            }
        }
        let Some(insights) = output["insights"].as_array_mut() else { return answer };
        for insight in insights.iter_mut().filter(|insight| insight["name"] == "Kubelet version skew") {
            if !old.is_empty() {
                let reason = format!("Nodes would be too old for the next version: {}.", old.join(", "));
                insight["insightStatus"] = json!({ "status": "ERROR", "reason": reason });
            }
        }
        insights.retain(|insight| {
            passes(&filter["categories"], &insight["category"])
                && passes(&filter["statuses"], &insight["insightStatus"]["status"])
        });
        answer.body = output.to_string().into();
        answer
    })
}

fn minor(version: &Value) -> Option<u32> {
    version.as_str()?.strip_prefix("1.")?.parse().ok()
}

fn passes(wanted: &Value, value: &Value) -> bool {
    wanted.as_array().is_none_or(|wanted| wanted.is_empty() || wanted.contains(value))
}
