//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>

use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_cloudwatch::{
    operation::put_metric_alarm::builders::PutMetricAlarmFluentBuilder,
    types::{Dimension, MetricAlarm as SdkAlarm, Statistic, Tag},
};
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Value, diff::Diff, error::Found, outputs,
    value::Unresolved,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An alarm on one metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MetricAlarm {
    /// Unique in the account and region.
    pub name: Name,
    /// For people: what it means and what to do.
    #[serde(default)]
    pub description: Option<String>,
    /// Like `AWS/RDS`.
    pub namespace: String,
    /// Like `FreeStorageSpace`.
    pub metric_name: String,
    /// Which one of the things that have this metric.
    #[serde(default)]
    pub dimensions: BTreeMap<String, Value<String>>,
    /// `Average`, `Sum`, `Minimum`, `Maximum`, `SampleCount`, or a percentile like `p99`.
    pub statistic: String,
    /// The length of one data point, in seconds: 10, 20, 30 or a multiple of 60.
    pub period: i32,
    /// How many of the last data points count.
    pub evaluation_periods: i32,
    /// How many of them must be beyond the threshold. `None`: all.
    #[serde(default)]
    pub datapoints_to_alarm: Option<i32>,
    /// In the unit of the metric.
    pub threshold: f64,
    /// Like `GreaterThanOrEqualToThreshold` or `LessThanThreshold`.
    pub comparison_operator: String,
    /// What a data point that is missing counts as: `breaching`, `notBreaching`, `ignore` or `missing`. `None`:
    /// `missing`.
    #[serde(default)]
    pub treat_missing_data: Option<String>,
    /// What is told when it goes off: topics, scaling policies, ..
    #[serde(default)]
    pub alarm_actions: Set<Arn>,
    /// What is told when all is well again.
    #[serde(default)]
    pub ok_actions: Set<Arn>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What an alarm tells others.
    pub struct MetricAlarmOutputs => MetricAlarmRefs {
        /// `arn:aws:cloudwatch:..:alarm:..`
        pub arn: Arn,
        /// The name.
        pub name: String,
    }
}

impl Resource for MetricAlarm {
    const KIND: &'static str = "aws.cloudwatch.metric_alarm";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = MetricAlarmOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let cloudwatch = &cx.client.cloudwatch;
        let arn = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (alarm, confirmed) = tokio::join!(
            cloudwatch.alarms.get(cx.name(&self.name)),
            cx.client.tag_index.confirms(cx, arn, &self.tags)
        );
        let Some(alarm) = alarm? else { return Ok(None) };
        let tags = match confirmed {
            Some(tags) => tags,
            None => {
                let list = cloudwatch.list_tags_for_resource();
                let tags = list.resource_arn(alarm.alarm_arn().unwrap_or_default()).send().await;
                let Some(tags) = tags.call("cloudwatch:ListTagsForResource").found()? else {
                    return Ok(None);
                };
                let tags = tags.tags.unwrap_or_default().into_iter();
                Tags::live(tags.filter_map(|tag| Some((tag.key?, tag.value?))))
            }
        };
        Ok(Some(self.live(cx.instance, alarm, tags)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let tags = self.tags.iter().map(|(key, value)| tag(key, value)).collect();
        let put = self.put(cx)?.set_tags(Some(tags)).send().await;
        put.call("cloudwatch:PutMetricAlarm")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let cloudwatch = &cx.client.cloudwatch;
        if diff.changes.iter().any(|change| !change.path.starts_with("tags")) {
            // The whole alarm is written, so what is not ours to say stays as it is; what we said before and say
            // no more goes back to the default.
            let mut whole = self.clone();
            let there = &live.spec;
            let kept = |field| !diff.touches(field);
            whole.description =
                whole.description.or(there.description.clone().filter(|_| kept("description")));
            whole.datapoints_to_alarm = whole
                .datapoints_to_alarm
                .or(there.datapoints_to_alarm.filter(|_| kept("datapoints_to_alarm")));
            whole.treat_missing_data = whole
                .treat_missing_data
                .or(there.treat_missing_data.clone().filter(|_| kept("treat_missing_data")));
            whole.put(cx)?.send().await.call("cloudwatch:PutMetricAlarm")?;
        }
        // An alarm that exists takes no tags from PutMetricAlarm.
        let arn = live.outputs.arn.as_str();
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect();
            let set = cloudwatch.tag_resource().resource_arn(arn).set_tags(Some(set)).send().await;
            set.call("cloudwatch:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = cloudwatch.untag_resource().resource_arn(arn).set_tag_keys(Some(keys)).send().await;
            untag.call("cloudwatch:UntagResource")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.cloudwatch.delete_alarms().alarm_names(&live.outputs.name).send().await;
        delete.call("cloudwatch:DeleteAlarms").found()?;
        Ok(())
    }
}

impl MetricAlarm {
    fn put(&self, cx: &Cx<'_, Self>) -> Result<PutMetricAlarmFluentBuilder, Unresolved> {
        let dimensions = self
            .dimensions
            .iter()
            .map(|(name, value)| Ok(Dimension::builder().name(name).value(value.get()?).build()));
        let arns = |set: &Set<Arn>| Ok(Some(set.get()?.into_iter().map(String::from).collect()));
        let put = cx
            .client
            .cloudwatch
            .put_metric_alarm()
            .alarm_name(cx.name(&self.name))
            .set_alarm_description(self.description.clone())
            .namespace(&self.namespace)
            .metric_name(&self.metric_name)
            .set_dimensions(Some(dimensions.collect::<Result<_, Unresolved>>()?))
            .period(self.period)
            .evaluation_periods(self.evaluation_periods)
            .set_datapoints_to_alarm(self.datapoints_to_alarm)
            .threshold(self.threshold)
            .comparison_operator(self.comparison_operator.as_str().into())
            .set_treat_missing_data(self.treat_missing_data.clone())
            .set_alarm_actions(arns(&self.alarm_actions)?)
            .set_ok_actions(arns(&self.ok_actions)?);
        Ok(match Statistic::try_parse(&self.statistic) {
            Ok(statistic) => put.statistic(statistic),
            Err(_) => put.extended_statistic(&self.statistic),
        })
    }

    fn live(&self, instance: &str, alarm: SdkAlarm, tags: Tags) -> Live<Self> {
        let name = alarm.alarm_name.unwrap_or_default();
        let arns = |arns: Option<Vec<String>>| arns.unwrap_or_default().into_iter().map(Arn).collect();
        let dimensions = alarm.dimensions.unwrap_or_default().into_iter();
        let statistic = alarm.statistic.map(|statistic| statistic.as_str().to_owned());
        Live {
            spec: MetricAlarm {
                name: self.name.live(instance, &name),
                description: shown(self.description.as_ref(), alarm.alarm_description, String::new()),
                namespace: alarm.namespace.unwrap_or_default(),
                metric_name: alarm.metric_name.unwrap_or_default(),
                dimensions: dimensions.filter_map(|d| Some((d.name?, d.value?.into()))).collect(),
                statistic: statistic.or(alarm.extended_statistic).unwrap_or_default(),
                period: alarm.period.unwrap_or_default(),
                evaluation_periods: alarm.evaluation_periods.unwrap_or_default(),
                datapoints_to_alarm: shown(
                    self.datapoints_to_alarm.as_ref(),
                    alarm.datapoints_to_alarm,
                    alarm.evaluation_periods.unwrap_or_default(),
                ),
                threshold: alarm.threshold.unwrap_or_default(),
                comparison_operator: alarm
                    .comparison_operator
                    .map(|operator| operator.as_str().to_owned())
                    .unwrap_or_default(),
                treat_missing_data: shown(
                    self.treat_missing_data.as_ref(),
                    alarm.treat_missing_data,
                    "missing".into(),
                ),
                alarm_actions: arns(alarm.alarm_actions),
                ok_actions: arns(alarm.ok_actions),
                tags: tags.clone(),
            },
            outputs: MetricAlarmOutputs { arn: alarm.alarm_arn.unwrap_or_default().into(), name },
            status: Status::Ready,
            owner: tags.owner(),
        }
    }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}
