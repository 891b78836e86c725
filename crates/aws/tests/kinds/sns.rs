//! Topics and subscriptions through their lives in the sandbox.
#![cfg(feature = "sns")]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    id::Arn,
    policy::{PolicyDocument, Principal, Statement},
    sns::{Subscription, Topic},
};
use causeway_core::{Stack, Tags, plan::Action, testing::Lifecycle};

const ACCOUNT: &str = "000000000535";

fn sample() -> Topic {
    Topic {
        display_name: Some("Coder".into()),
        kms_master_key_id: Some(Arn::from("arn:aws:kms:us-east-1:123456789012:alias/aws/sns").into()),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..Topic::new("alerts")
    }
}

fn changes() -> [(&'static str, Topic); 2] {
    let policy = PolicyDocument::new([Statement::allow(["sns:Publish"], ["*"])
        .to([Principal::service("cloudwatch.amazonaws.com")])
        .when("StringEquals", "aws:SourceAccount", ["123456789012"])]);
    let one = Topic {
        display_name: Some("Coder alerts".into()),
        kms_master_key_id: None,
        policy: Some(policy),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    let two = Topic { display_name: None, policy: None, ..one.clone() };
    [("all of it", one), ("less said", two)]
}

/// The topic, a queue that listens to it, and a mail address that nobody confirms.
fn stack(topic: &Topic, mail: &str) -> Stack {
    let mut stack = Stack::new("sns");
    stack.region(REGION, |stack| {
        let topic = stack.add("topic", topic.clone());
        let to = |protocol: &str, endpoint: &str| Subscription {
            topic_arn: topic.arn.clone(),
            protocol: protocol.into(),
            endpoint: endpoint.into(),
        };
        stack.add("queue", to("sqs", "arn:aws:sqs:us-east-1:123456789012:queue"));
        stack.add("mail", to("email", mail));
    });
    stack
}

#[tokio::test]
async fn topic_and_subscriptions() {
    let sns = &client(ACCOUNT).await.sns;
    const OPS: &str = "ops@example.com";
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(&sample(), OPS)).await;
    for (what, changed) in changes() {
        assert_eq!(life.change(what, stack(&changed, OPS)).await, [("topic".into(), Action::Update)]);
        if changed.policy.is_some() {
            let arn = life.outputs("topic").await["arn"].as_str().expect("an ARN").to_owned();
            life.drift("opened", "topic", async {
                let set = sns.set_topic_attributes().topic_arn(&arn).attribute_name("Policy");
                let open =
                    PolicyDocument::new([Statement::allow(["sns:*"], ["*"]).to([Principal::everybody()])]);
                let set = set.attribute_value(open.text().expect("it is known")).send().await;
                set.expect("the emulator takes it");
            })
            .await;
        }
    }
    let last = &changes()[1].1;
    let steps = life.change("another address", stack(last, "other@example.com")).await;
    assert!(
        matches!(&steps[..], [(mail, Action::ReplaceDeleteFirst | Action::ReplaceCreateFirst)] if mail.0 == "mail"),
        "{steps:?}"
    );
    life.change("and back", stack(last, OPS)).await;
    life.end().await;
}
