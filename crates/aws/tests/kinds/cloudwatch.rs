//! Alarms through their life in the sandbox.
#![cfg(feature = "cloudwatch")]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{AwsStack, cloudwatch::MetricAlarm, id::Arn};
use causeway_core::{Set, Stack, Tags, plan::Action, testing::Lifecycle};

const ACCOUNT: &str = "000000000532";

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

fn changes() -> [(&'static str, MetricAlarm); 2] {
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
    [("a percentile and other topics", one), ("less said, elsewhere", two)]
}

fn stack(wanted: &MetricAlarm) -> Stack {
    let mut stack = Stack::new("cloudwatch");
    stack.region(REGION, |stack| stack.add("alarm", wanted.clone()));
    stack
}

#[tokio::test]
async fn metric_alarm() {
    let cloudwatch = &client(ACCOUNT).await.cloudwatch;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(&sample())).await;
    for (what, changed) in changes() {
        assert_eq!(life.change(what, stack(&changed)).await, [("alarm".into(), Action::Update)]);
    }
    life.drift("deleted", "alarm", async {
        let delete = cloudwatch.delete_alarms().alarm_names("coder-database-space");
        delete.send().await.expect("the emulator takes it");
    })
    .await;
    life.end().await;
}

#[tokio::test]
async fn what_is_not_ours_to_say_survives_an_update() {
    let cloudwatch = &client(ACCOUNT).await.cloudwatch;
    let ours = MetricAlarm { name: "shared".into(), description: None, ..sample() };
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(&ours)).await;
    let alarm = async || {
        let found = cloudwatch.describe_alarms().alarm_names("shared").send().await;
        found.expect("the emulator answers").metric_alarms().first().cloned().expect("the alarm is there")
    };
    let there = alarm().await;
    let by_hand = cloudwatch
        .put_metric_alarm()
        .alarm_name("shared")
        .alarm_description("by hand")
        .set_namespace(there.namespace)
        .set_metric_name(there.metric_name)
        .set_dimensions(there.dimensions)
        .set_statistic(there.statistic)
        .set_period(there.period)
        .set_evaluation_periods(there.evaluation_periods)
        .set_datapoints_to_alarm(there.datapoints_to_alarm)
        .set_threshold(there.threshold)
        .set_comparison_operator(there.comparison_operator)
        .set_treat_missing_data(there.treat_missing_data)
        .set_alarm_actions(there.alarm_actions);
    by_hand.send().await.expect("the emulator takes it");
    life.change("another period", stack(&MetricAlarm { period: 60, ..ours.clone() })).await;
    let there = alarm().await;
    assert_eq!((there.period, there.alarm_description.as_deref()), (Some(60), Some("by hand")));
    life.end().await;
}
