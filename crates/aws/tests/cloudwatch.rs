//! Alarms against an emulator of CloudWatch.
#![cfg(feature = "cloudwatch")]

mod by_hand;

use by_hand::{One, client};
use causeway_aws::{cloudwatch::MetricAlarm, id::Arn};
use causeway_core::{Set, Tags};

fn sample() -> MetricAlarm {
    MetricAlarm {
        name: "coder-database-space".into(),
        description: Some("Give the database more room.".into()),
        namespace: "AWS/RDS".into(),
        metric_name: "FreeStorageSpace".into(),
        dimensions: [("DBInstanceIdentifier".into(), "coder".into())].into(),
        statistic: "Average".into(),
        period: 300,
        evaluation_periods: 3,
        datapoints_to_alarm: Some(2),
        threshold: 2e9,
        comparison_operator: "LessThanThreshold".into(),
        treat_missing_data: Some("breaching".into()),
        alarm_actions: Set::from_iter([Arn::from("arn:aws:sns:us-east-1:123456789012:alerts")]),
        ok_actions: Set::default(),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
    }
}

fn changes() -> Vec<(MetricAlarm, &'static [&'static str])> {
    let topics = ["arn:aws:sns:us-east-1:123456789012:b", "arn:aws:sns:us-east-1:123456789012:a"];
    let one = MetricAlarm {
        statistic: "p99".into(),
        threshold: 0.5,
        alarm_actions: topics.map(Arn::from).into_iter().collect(),
        ok_actions: topics.map(Arn::from).into_iter().rev().collect(),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    let two = MetricAlarm {
        description: None,
        treat_missing_data: None,
        dimensions: [("DBInstanceIdentifier".into(), "other".into())].into(),
        ..one.clone()
    };
    vec![
        (one, &["statistic", "threshold", "alarm_actions", "ok_actions", "tags.team", "tags.cost"]),
        (two, &["description", "treat_missing_data", "dimensions.DBInstanceIdentifier"]),
    ]
}

#[tokio::test]
async fn metric_alarm() {
    let Some(client) = client().await else { return };
    One::new(&client, "c1").life(sample(), changes()).await;
}

#[tokio::test]
async fn what_is_not_ours_to_say_survives_an_update() {
    let Some(client) = client().await else { return };
    let ours = MetricAlarm { name: "shared".into(), description: None, ..sample() };
    let mut one = One::new(&client, "c2");
    one.apply(&ours).await;
    // Somebody writes a description.
    let theirs = MetricAlarm { description: Some("by hand".into()), ..ours.clone() };
    One::new(&client, "c2").apply(&theirs).await;
    let (live, touched) = one.apply(&MetricAlarm { period: 60, ..ours.clone() }).await;
    assert_eq!(touched, ["period"]);
    assert_eq!(live.spec.description.as_deref(), Some("by hand"));
    one.delete(&ours).await;
}
