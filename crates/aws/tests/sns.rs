//! Topics and subscriptions against an emulator of SNS.
#![cfg(feature = "sns")]

mod by_hand;

use by_hand::{One, client};
use causeway_aws::{
    id::Arn,
    policy::{PolicyDocument, Principal, Statement},
    sns::{Subscription, Topic},
};
use causeway_core::Tags;

fn sample() -> Topic {
    Topic {
        display_name: Some("Coder".into()),
        kms_master_key_id: Some(Arn::from("arn:aws:kms:us-east-1:123456789012:alias/aws/sns").into()),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..Topic::new("alerts")
    }
}

fn changes() -> Vec<(Topic, &'static [&'static str])> {
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
    vec![
        (one, &["display_name", "kms_master_key_id", "policy.statements.0", "tags.team", "tags.cost"]),
        (two, &["display_name", "policy"]),
    ]
}

#[tokio::test]
async fn topic() {
    let Some(client) = client().await else { return };
    One::new(&client, "n1").life(sample(), changes()).await;
}

#[tokio::test]
async fn subscription() {
    let Some(client) = client().await else { return };
    let topic = Topic::new("subscribed");
    let mut one = One::new(&client, "n2");
    let (live, _) = one.apply(&topic).await;
    let to = |protocol: &str, endpoint: &str| Subscription {
        topic_arn: live.outputs.arn.clone().into(),
        protocol: protocol.into(),
        endpoint: endpoint.into(),
    };
    One::new(&client, "n3").life(to("sqs", "arn:aws:sqs:us-east-1:123456789012:queue"), vec![]).await;
    // Nobody confirms this one.
    One::new(&client, "n4").life(to("email", "ops@example.com"), vec![]).await;
    // And it can be wanted again.
    let mut again = One::new(&client, "n5");
    again.apply(&to("email", "ops@example.com")).await;
    again.delete(&to("email", "ops@example.com")).await;
    one.delete(&topic).await;
}
