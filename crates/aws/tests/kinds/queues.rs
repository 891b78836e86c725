//! A queue, and the rule that fills it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "sqs", feature = "events"))]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    events::{Rule, Target},
    id::Arn,
    policy::{PolicyDocument, Principal, Statement},
    sqs::Queue,
};
use causeway_core::{Stack, Tags, plan::Action, testing::Lifecycle};
use serde_json::json;

const ACCOUNT: &str = "000000003101";

fn queue() -> Queue {
    let send = Statement::allow(["sqs:SendMessage"], [""; 0])
        .to([Principal::service("events.amazonaws.com")])
        .when("StringEquals", "aws:SourceAccount", [ACCOUNT]);
    let plain = Statement {
        effect: causeway_aws::policy::Effect::Deny,
        ..Statement::allow(["sqs:*"], [""; 0]).to([Principal::everybody()])
    };
    Queue {
        message_retention_period: Some(300),
        sqs_managed_sse_enabled: Some(true),
        policy: Some(PolicyDocument::new([send, plain.when("Bool", "aws:SecureTransport", ["false"])])),
        tags: Tags::from([("team", "one")]),
        ..Queue::new("coder-interruptions")
    }
}

fn rule() -> Rule {
    let pattern = json!({"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]});
    // Replaced by the queue's own.
    Rule::new("coder-spot", pattern, "queue", Arn::from(""))
}

fn stack(queue: Queue, rule: Rule) -> Stack {
    let mut stack = Stack::new("queues");
    stack.region(REGION, |stack| {
        let queue = stack.add("queue", queue);
        let mut rule = rule;
        for target in rule.targets.values_mut() {
            target.arn = queue.arn.clone();
        }
        stack.add("rule", rule);
    });
    stack
}

#[tokio::test]
async fn interruptions_reach_a_queue_that_only_events_may_fill() {
    let aws = client(ACCOUNT).await;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(queue(), rule())).await;
    let url = life.outputs("queue").await["url"].as_str().unwrap().to_owned();
    let arn = life.outputs("queue").await["arn"].as_str().unwrap().to_owned();
    assert!(arn.ends_with(&format!("{ACCOUNT}:coder-interruptions")), "{arn}");

    // An event finds its way through what was made.
    let event = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
        .source("aws.ec2")
        .detail_type("EC2 Spot Instance Interruption Warning")
        .detail(r#"{"instance-id":"i-1"}"#)
        .build();
    aws.events.put_events().entries(event).send().await.unwrap();
    let mut heard = false;
    for _ in 0..20 {
        let got = aws.sqs.receive_message().queue_url(&url).wait_time_seconds(1).send().await.unwrap();
        heard |= got.messages().iter().any(|m| m.body().is_some_and(|b| b.contains("i-1")));
        if heard {
            break;
        }
    }
    assert!(heard);

    life.drift("kept for longer", "queue", async {
        use aws_sdk_sqs::types::QueueAttributeName::MessageRetentionPeriod;
        let set = aws.sqs.set_queue_attributes().queue_url(&url).attributes(MessageRetentionPeriod, "600");
        set.send().await.unwrap();
    })
    .await;
    life.drift("opened to everybody", "queue", async {
        use aws_sdk_sqs::types::QueueAttributeName::Policy;
        let open = Statement::allow(["sqs:SendMessage"], [arn.as_str()]).to([Principal::everybody()]);
        let open = PolicyDocument::new([open]).text().unwrap();
        aws.sqs.set_queue_attributes().queue_url(&url).attributes(Policy, open).send().await.unwrap();
    })
    .await;
    life.drift("a rule without its target", "rule", async {
        aws.events.remove_targets().rule("coder-spot").ids("queue").send().await.unwrap();
    })
    .await;
    life.drift("a rule that is off", "rule", async {
        aws.events.disable_rule().name("coder-spot").send().await.unwrap();
    })
    .await;

    let mut other = rule();
    other.event_pattern = json!({"source": ["aws.health"], "detail-type": ["AWS Health Event"]});
    other.description = Some("Health".into());
    other.targets = [("again".to_owned(), Target { arn: Arn::from("").into() })].into();
    other.tags = Tags::from([("team", "two")]);
    let less = Queue { policy: None, tags: Tags::default(), visibility_timeout: Some(60), ..queue() };
    let steps = life.change("others", stack(less.clone(), other.clone())).await;
    assert_eq!(steps, [("queue".into(), Action::Update), ("rule".into(), Action::Update)]);
    other.state = Some("DISABLED".into());
    other.tags = Tags::default();
    assert_eq!(life.change("off", stack(less, other)).await, [("rule".into(), Action::Update)]);
    life.end().await;
    let left = aws.sqs.list_queues().send().await.unwrap();
    assert!(left.queue_urls().is_empty(), "{left:?}");
    let left = aws.events.list_rules().send().await.unwrap();
    assert!(left.rules().is_empty(), "{left:?}");
}
