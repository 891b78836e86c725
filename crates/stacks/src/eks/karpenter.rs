//! What Karpenter needs of AWS: the role of its nodes, and a queue that tells it of interruptions.

use super::{cluster::Cluster, iam::Site};
use causeway_aws::{
    eks::AccessEntry,
    events::Rule,
    iam::{InstanceProfile, Role},
    id::Arn,
    policy::{Effect, PolicyDocument, Principal, Statement},
    sqs::Queue,
};
use causeway_core::{Set, Stack, Tags, Value};
use serde_json::json;

/// What its controller's rights are tied to.
pub(super) struct Karpenter {
    pub queue: Value<Arn>,
    pub queue_name: Value<String>,
    pub node_role: Value<Arn>,
    pub node_role_name: Value<String>,
}

/// Who tells.
const SOURCES: [&str; 2] = ["aws.ec2", "aws.health"];
/// What they tell. Each kind of event has one source, so one rule lets the same events pass as one for each kind.
/// <https://karpenter.sh/docs/concepts/disruption/#interruption>
const EVENTS: [&str; 4] = [
    "AWS Health Event",
    "EC2 Spot Instance Interruption Warning",
    "EC2 Instance Rebalance Recommendation",
    "EC2 Instance State-change Notification",
];

pub(super) fn karpenter(
    stack: &mut Stack,
    site: &Site,
    cluster: &Cluster,
    boundary: Option<&str>,
) -> Karpenter {
    stack.scope("karpenter", |stack| {
        let role = Role {
            managed_policy_arns: super::cluster::node_policies(site),
            permissions_boundary: boundary.map(|arn| Arn::from(arn).into()),
            ..Role::assumed_by(
                format!("{}-{}-karpenter-node", site.cluster, site.region),
                "ec2.amazonaws.com",
            )
        };
        let role = stack.add("node-role", role);
        // Karpenter puts it into instance profiles, and it cannot go before them.
        stack.after(&cluster.leftovers, role.address());
        let profile = InstanceProfile {
            name: format!("{}-{}-karpenter-node", site.cluster, site.region).into(),
            path: None,
            role: role.name.clone(),
            tags: Tags::default(),
        };
        stack.add("node-profile", profile);
        stack.add("nodes", AccessEntry::nodes(cluster.name.clone(), role.arn.clone()));
        let name = format!("{}-karpenter", site.cluster);
        let senders = Principal {
            kind: "Service".into(),
            ids: Set::from_iter(["events.amazonaws.com", "sqs.amazonaws.com"]),
        };
        let send = Statement::allow(["sqs:SendMessage"], [""; 0]).to([senders]).when(
            "StringEquals",
            "aws:SourceAccount",
            [site.account.clone()],
        );
        let queue = Queue {
            message_retention_period: Some(300),
            sqs_managed_sse_enabled: Some(true),
            policy: Some(PolicyDocument::new([send, only_over_tls()])),
            ..Queue::new(name.clone())
        };
        let queue = stack.add("queue", queue);
        let pattern = json!({ "source": SOURCES, "detail-type": EVENTS });
        let rule = Rule {
            tags: Tags::from([("ClusterName", site.cluster.clone())]),
            ..Rule::new(name.clone(), pattern, "KarpenterInterruptionQueueTarget", queue.arn.clone())
        };
        stack.add("rule", rule);
        Karpenter {
            queue: queue.arn.clone(),
            queue_name: name.into(),
            node_role: role.arn.clone(),
            node_role_name: role.name.clone(),
        }
    })
}

fn only_over_tls() -> Statement {
    let deny = Statement::allow(["sqs:*"], [""; 0]).to([Principal::everybody()]);
    let deny = deny.when("Bool", "aws:SecureTransport", ["false"]);
    Statement { effect: Effect::Deny, ..deny }
}
