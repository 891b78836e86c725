//! EC2 Auto Scaling.

mod group;

pub use group::{Group, GroupOutputs, GroupRefs, RefreshPreferences};

use crate::{Aws, Call, spreading::Spreading};
use aws_config::SdkConfig;
use aws_sdk_autoscaling::types::{AutoScalingGroup, Filter, TagDescription};
use causeway_core::{Error, Tags, coalesce::Coalesce, registry::ProviderKinds};
use std::ops::Deref;

/// Speaks to Auto Scaling.
pub struct AutoScaling {
    api: aws_sdk_autoscaling::Client,
    /// Groups by name.
    pub(crate) groups: Coalesce<String, AutoScalingGroup>,
    pub(crate) spreading: Spreading,
}

/// Names in one call, and answers in one page: the most that the API takes and gives.
const MOST: usize = 100;

impl AutoScaling {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_autoscaling, config);
        let groups = api.clone();
        let groups = Coalesce::new(MOST, move |names| {
            let api = groups.clone();
            async move {
                let request = api.describe_auto_scaling_groups().max_records(100);
                let request = request.set_auto_scaling_group_names(Some(names.into_iter().collect()));
                let found = request.into_paginator().items().send().try_collect().await;
                let found: Vec<AutoScalingGroup> = found.call("autoscaling:DescribeAutoScalingGroups")?;
                Ok(found.into_iter().filter_map(|g| Some((g.auto_scaling_group_name.clone()?, g))).collect())
            }
        });
        AutoScaling { api, groups, spreading: Spreading::default() }
    }

    /// The names and tags of all groups that carry the tag of `stack`.
    pub(crate) async fn tagged(&self, stack: &str) -> Result<Vec<(String, Tags)>, Error> {
        let ours = Filter::builder().name(format!("tag:{}", Tags::STACK)).values(stack).build();
        let request = self.describe_auto_scaling_groups().filters(ours).max_records(100);
        let found = request.into_paginator().items().send().try_collect().await;
        let found: Vec<AutoScalingGroup> = found.call("autoscaling:DescribeAutoScalingGroups")?;
        let named = found.into_iter().filter_map(|g| Some((live_tags(g.tags()), g.auto_scaling_group_name?)));
        Ok(named.map(|(tags, name)| (name, tags)).collect())
    }
}
impl Deref for AutoScaling {
    type Target = aws_sdk_autoscaling::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Group>()
}

fn live_tags<'t>(tags: impl IntoIterator<Item = &'t TagDescription>) -> Tags {
    Tags::live(tags.into_iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default()))))
}
