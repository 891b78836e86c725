//! Moto looks for the log groups of flow logs in its own CloudWatch Logs, and they are on fakecloud.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::json;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::xml::{Element, Node};

pub(super) const INFO: FixInfo = FixInfo {
    name: "ec2_flow_logs",
    service: "ec2",
    operations: &["DescribeFlowLogs"],
    why: "moto says that nothing arrives in the log group of a flow log, because it looks in the wrong place",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let mut answer = next.run(request).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if answer.status.is_success()
            && let Some(mut root) = Element::parse(&text)
        {
            let mut there = vec![];
            for name in root.all("logGroupName").into_iter().map(Element::text) {
                let input = json!({ "logGroupNamePrefix": name });
                let groups =
                    state.json(&scope, "logs", "DescribeLogGroups", &input).await.unwrap_or_default();
                let groups = groups["logGroups"].as_array().cloned().unwrap_or_default();
                if groups.iter().any(|group| group["logGroupName"] == name.as_str()) {
                    there.push(name);
                }
            }
            root.walk_mut(&mut |log| correct(log, &there));
            answer.body = root.document().into();
        }
        answer
    })
}

fn correct(log: &mut Element, there: &[String]) {
    if log.get("logGroupName").is_some_and(|name| there.contains(&name)) {
        log.set("deliverLogsStatus", "SUCCESS");
        let error =
            |node: &Node| matches!(node, Node::Element(child) if child.name == "deliverLogsErrorMessage");
        log.children.retain(|node| !error(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_no_error() {
        let log = Element::new("item")
            .with_text("logGroupName", "flow")
            .with_text("deliverLogsStatus", "FAILED")
            .with_text("deliverLogsErrorMessage", "Access error");
        let (mut there, mut gone) = (log.clone(), log.clone());
        correct(&mut there, &["flow".to_owned()]);
        assert_eq!(there.get("deliverLogsStatus").as_deref(), Some("SUCCESS"));
        assert_eq!(there.get("deliverLogsErrorMessage"), None);
        correct(&mut gone, &[]);
        assert_eq!(gone, log);
    }
}
