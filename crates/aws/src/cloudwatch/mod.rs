//! CloudWatch: metrics and alarms.

mod alarm;

pub use alarm::{MetricAlarm, MetricAlarmOutputs, MetricAlarmRefs};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use aws_sdk_cloudwatch::types::{AlarmType, MetricAlarm as SdkAlarm};
use causeway_core::{Error, coalesce::Coalesce, registry::ProviderKinds};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

/// Speaks to CloudWatch.
pub struct CloudWatch {
    api: aws_sdk_cloudwatch::Client,
    /// Metric alarms by name.
    pub(crate) alarms: Coalesce<String, SdkAlarm>,
}

impl CloudWatch {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        /// What one DescribeAlarms takes, and gives back at most.
        const MOST: usize = 100;
        let api = crate::client::client!(aws_sdk_cloudwatch, config);
        let describe = api.clone();
        let alarms = Coalesce::new(MOST, move |names| alarms_by_name(describe.clone(), names));
        CloudWatch { api, alarms }
    }
}
impl Deref for CloudWatch {
    type Target = aws_sdk_cloudwatch::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<MetricAlarm>()
}

async fn alarms_by_name(
    api: aws_sdk_cloudwatch::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, SdkAlarm>, Error> {
    let describe = api.describe_alarms().set_alarm_names(Some(names.into_iter().collect()));
    let describe = describe.alarm_types(AlarmType::MetricAlarm).max_records(100).send().await;
    let alarms = describe.call("cloudwatch:DescribeAlarms")?.metric_alarms.unwrap_or_default();
    Ok(alarms.into_iter().filter_map(|alarm| Some((alarm.alarm_name.clone()?, alarm))).collect())
}
