//! Log groups against an emulator of CloudWatch Logs.
#![cfg(feature = "logs")]

mod by_hand;

use by_hand::{One, client};
use causeway_aws::{id::Arn, logs::LogGroup};
use causeway_core::Tags;

const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";

fn sample() -> LogGroup {
    LogGroup { tags: Tags::from([("team", "platform"), ("cost", "1")]), ..LogGroup::new("/coder/server", 30) }
}

fn changes() -> Vec<(LogGroup, &'static [&'static str])> {
    let one = LogGroup {
        kms_key_id: Some(Arn::from(KEY).into()),
        retention_in_days: Some(90),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    let two = LogGroup { kms_key_id: None, retention_in_days: None, ..one.clone() };
    vec![
        (one, &["kms_key_id", "retention_in_days", "tags.team", "tags.cost"]),
        (two, &["kms_key_id", "retention_in_days"]),
    ]
}

#[tokio::test]
async fn log_group() {
    let Some(client) = client().await else { return };
    // Begins like the one that is looked for, and must not be taken for it.
    let other = LogGroup::new("/coder/server-2", 1);
    let mut beside = One::new(&client, "l2");
    beside.apply(&other).await;
    One::new(&client, "l1").life(sample(), changes()).await;
    beside.delete(&other).await;
}
