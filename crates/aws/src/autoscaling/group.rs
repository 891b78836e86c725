//! An Auto Scaling group:
//! <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CreateAutoScalingGroup.html>

use super::live_tags;
use crate::{
    Aws, Call,
    id::{Arn, LaunchTemplateId, SubnetId},
};
use aws_sdk_autoscaling::types::{
    self, AutoScalingGroup, Instance, InstanceRefreshStatus, LaunchTemplateSpecification, LifecycleState, Tag,
};
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Keeps some machines of one launch template alive.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Unique in the account and region; 255 characters at most.
    pub name: Name,
    /// What machines are started from.
    pub launch_template_id: Value<LaunchTemplateId>,
    /// Its version: a number, `$Latest` or `$Default`.
    pub launch_template_version: Value<String>,
    /// Where they stand.
    pub subnet_ids: Set<SubnetId>,
    /// As few as may be.
    pub min_size: i32,
    /// As many as may be.
    pub max_size: i32,
    /// As many as there are. `None`: `min_size` at first, and then whoever scales it says.
    #[serde(default)]
    pub desired_capacity: Option<i32>,
    /// `EC2`, or `ELB` to ask the load balancer too.
    pub health_check_type: String,
    /// Seconds before a new machine is looked at. `None`: AWS decides (300).
    #[serde(default)]
    pub health_check_grace_period: Option<i32>,
    /// Metrics of the group that are collected, like `GroupInServiceInstances`; no others are.
    #[serde(default)]
    pub enabled_metrics: Set<String>,
    /// The number of the template's version that all machines are to be of, as a rule
    /// [`LaunchTemplateOutputs::latest_version`](crate::ec2::LaunchTemplateOutputs::latest_version): others are replaced,
    /// and that is waited for. `None`: machines stay until they end.
    #[serde(default)]
    pub instance_version: Option<Value<String>>,
    /// How machines are replaced. AWS only shows it while it does that.
    #[serde(default)]
    pub refresh: Option<RefreshPreferences>,
    /// Tags of the group that its machines get, too. Other keys than in `tags`.
    #[serde(default)]
    pub propagated_tags: BTreeMap<String, String>,
    /// Tags of the group alone.
    #[serde(default)]
    pub tags: Tags,
}

/// How machines are replaced, in the API's words:
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_RefreshPreferences.html>
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RefreshPreferences {
    /// How much of the desired capacity has to be healthy at any time. 0: an old machine may end before there is a new
    /// one. `None`: 90.
    #[serde(default)]
    pub min_healthy_percentage: Option<i32>,
    /// How far it may go beyond, 100 to 200. `None`: 100, old ones end first.
    #[serde(default)]
    pub max_healthy_percentage: Option<i32>,
    /// Seconds before a new machine counts. `None`: the grace period of the health check.
    #[serde(default)]
    pub instance_warmup: Option<i32>,
}

outputs! {
    /// What a group tells others.
    pub struct GroupOutputs => GroupRefs {
        /// `arn:aws:autoscaling:..`
        pub arn: Arn,
        /// The name.
        pub name: String,
    }
}

impl Group {
    /// Exactly `size` machines of this template's newest version in these subnets.
    pub fn fixed(
        name: impl Into<Name>,
        launch_template_id: Value<LaunchTemplateId>,
        subnet_ids: Set<SubnetId>,
        size: i32,
    ) -> Self {
        Group {
            name: name.into(),
            launch_template_id,
            launch_template_version: "$Latest".into(),
            subnet_ids,
            min_size: size,
            max_size: size,
            desired_capacity: Some(size),
            health_check_type: "EC2".to_owned(),
            health_check_grace_period: None,
            enabled_metrics: Set::default(),
            instance_version: None,
            refresh: None,
            propagated_tags: BTreeMap::new(),
            tags: Tags::default(),
        }
    }

    fn template(&self) -> Result<LaunchTemplateSpecification, Error> {
        Ok(LaunchTemplateSpecification::builder()
            .launch_template_id(self.launch_template_id.get()?.as_str())
            .version(self.launch_template_version.get()?)
            .build())
    }

    fn subnets(&self) -> Result<String, Error> {
        let mut subnets: Vec<String> = self.subnet_ids.get()?.into_iter().map(String::from).collect();
        subnets.sort();
        Ok(subnets.join(","))
    }
}

/// Another change of the group is still on its way.
const BUSY: &[&str] = &["ScalingActivityInProgress", "ResourceContention", "ResourceInUse"];

impl Resource for Group {
    const KIND: &'static str = "aws.autoscaling.group";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const TIMING: Timing = Timing::seconds(45, 5, 1800);
    type Client = Aws;
    type Outputs = GroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let found = cx.client.autoscaling.groups.get(cx.name(&self.name)).await?;
        let Some(group) = found else { return Ok(None) };
        let mut live = self.live(cx.instance, &group);
        if live.status == Status::Ready
            && let Some(why) = waits(&group)
        {
            live.status = Status::Pending(activity(cx, &live.outputs.name).await?.unwrap_or(why));
        } else if live.status == Status::Ready && self.is_outdated(&live.spec) {
            live.status = refresh(cx, &live.outputs.name).await?;
        }
        Ok(Some(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        let tags = self.tags.iter().map(|(key, value)| tag(&name, key, value, false));
        let propagated = self.propagated_tags.iter().map(|(key, value)| tag(&name, key, value, true));
        let propagates = |tag: &Tag| self.propagated_tags.contains_key(tag.key().unwrap_or_default());
        let tags = tags.filter(|tag| !propagates(tag)).chain(propagated).collect();
        // An instance profile that is not seen yet is one meaning of it.
        let codes = cx.client.autoscaling.spreading.codes(cx.instance, &["ValidationError"]);
        cx.client
            .autoscaling
            .create_auto_scaling_group()
            .auto_scaling_group_name(&name)
            .launch_template(self.template()?)
            .vpc_zone_identifier(self.subnets()?)
            .min_size(self.min_size)
            .max_size(self.max_size)
            .set_desired_capacity(self.desired_capacity)
            .health_check_type(&self.health_check_type)
            .set_health_check_grace_period(self.health_check_grace_period)
            .set_tags(Some(tags))
            .send()
            .await
            .call_later("autoscaling:CreateAutoScalingGroup", codes)?;
        // Metrics are left to `update`.
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let api = &cx.client.autoscaling;
        let name = live.outputs.name.as_str();
        self.resize(cx, name, diff).await?;
        if diff.touches("enabled_metrics") {
            let (wanted, there) = (self.enabled_metrics.get()?, live.spec.enabled_metrics.get()?);
            let missing: Vec<_> = wanted.iter().filter(|m| !there.contains(m)).cloned().collect();
            let unwanted: Vec<_> = there.iter().filter(|m| !wanted.contains(m)).cloned().collect();
            // Without a list, both calls mean all metrics.
            if !missing.is_empty() {
                let enable = api.enable_metrics_collection().auto_scaling_group_name(name);
                let enable = enable.granularity("1Minute").set_metrics(Some(missing)).send().await;
                enable.call("autoscaling:EnableMetricsCollection")?;
            }
            if !unwanted.is_empty() {
                let disable = api.disable_metrics_collection().auto_scaling_group_name(name);
                let disable = disable.set_metrics(Some(unwanted)).send().await;
                disable.call("autoscaling:DisableMetricsCollection")?;
            }
        }
        self.retag(cx, live, diff).await?;
        if diff.touches("instance_version") && self.instance_version.is_some() {
            let refresh = self.refresh.clone().unwrap_or_default();
            let preferences = types::RefreshPreferences::builder()
                .set_min_healthy_percentage(refresh.min_healthy_percentage)
                .set_max_healthy_percentage(refresh.max_healthy_percentage)
                .set_instance_warmup(refresh.instance_warmup)
                // So that one that was started twice replaces nothing twice.
                .skip_matching(true)
                .build();
            let start = api.start_instance_refresh().auto_scaling_group_name(name).preferences(preferences);
            let later = ["InstanceRefreshInProgress", "ScalingActivityInProgress", "ResourceContention"];
            start.send().await.call_later("autoscaling:StartInstanceRefresh", &later)?;
        }
        Ok(())
    }

    /// Its machines end with it, and it is there until they have.
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.autoscaling.delete_auto_scaling_group().force_delete(true);
        let delete = delete.auto_scaling_group_name(&live.outputs.name).send().await;
        delete.call_later("autoscaling:DeleteAutoScalingGroup", BUSY).found()?;
        Ok(())
    }
}

impl Group {
    async fn resize(&self, cx: &Cx<'_, Self>, name: &str, diff: &Diff) -> Result<(), Error> {
        let template = diff.touches("launch_template_id") || diff.touches("launch_template_version");
        let others =
            ["subnet_ids", "min_size", "max_size", "desired_capacity", "health_check_type"].into_iter();
        let mut others = others.chain(["health_check_grace_period"]);
        if !template && !others.any(|field| diff.touches(field)) {
            return Ok(());
        }
        let mut update = cx
            .client
            .autoscaling
            .update_auto_scaling_group()
            .auto_scaling_group_name(name)
            .min_size(self.min_size)
            .max_size(self.max_size)
            .set_desired_capacity(self.desired_capacity)
            .health_check_type(&self.health_check_type)
            .set_health_check_grace_period(self.health_check_grace_period);
        if template {
            update = update.launch_template(self.template()?);
        }
        if diff.touches("subnet_ids") {
            update = update.vpc_zone_identifier(self.subnets()?);
        }
        update.send().await.call_later("autoscaling:UpdateAutoScalingGroup", BUSY)?;
        Ok(())
    }

    async fn retag(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let api = &cx.client.autoscaling;
        let name = live.outputs.name.as_str();
        let steps = self.tags.steps(&live.spec.tags, diff);
        let mut set: Vec<Tag> =
            steps.set.into_iter().map(|(key, value)| tag(name, key, value, false)).collect();
        let mut removed: BTreeSet<&str> = steps.remove.into_iter().collect();
        for (key, value) in &self.propagated_tags {
            if live.spec.propagated_tags.get(key) != Some(value) {
                set.retain(|tag| tag.key() != Some(key));
                set.push(tag(name, key, value, true));
            }
        }
        for key in live.spec.propagated_tags.keys() {
            if !self.propagated_tags.contains_key(key) && diff.touches(&format!("propagated_tags.{key}")) {
                removed.insert(key);
            }
        }
        // One that becomes the other kind of tag is only written.
        removed.retain(|key| !set.iter().any(|tag| tag.key() == Some(key)));
        if !set.is_empty() {
            let write = api.create_or_update_tags().set_tags(Some(set)).send().await;
            write.call_later("autoscaling:CreateOrUpdateTags", BUSY)?;
        }
        if !removed.is_empty() {
            let of = |key: &str| Tag::builder().resource_id(name).resource_type(TYPE).key(key).build();
            let remove = api.delete_tags().set_tags(Some(removed.into_iter().map(of).collect()));
            remove.send().await.call_later("autoscaling:DeleteTags", BUSY)?;
        }
        Ok(())
    }

    /// Whether a machine is of another version than is wanted.
    fn is_outdated(&self, live: &Group) -> bool {
        match (&self.instance_version, &live.instance_version) {
            (Some(wanted), Some(there)) => wanted.get().is_ok() && wanted != there,
            _ => false,
        }
    }

    fn live(&self, instance: &str, group: &AutoScalingGroup) -> Live<Self> {
        let name = group.auto_scaling_group_name().unwrap_or_default();
        let template = group.launch_template();
        let all = live_tags(group.tags());
        let propagates = |key: &str| {
            group.tags().iter().any(|t| t.key() == Some(key) && t.propagate_at_launch() == Some(true))
        };
        let (propagated, own): (BTreeMap<_, _>, BTreeMap<_, _>) =
            all.0.clone().into_iter().partition(|(key, _)| propagates(key));
        Live {
            outputs: GroupOutputs {
                arn: group.auto_scaling_group_arn().unwrap_or_default().into(),
                name: name.to_owned(),
            },
            status: match group.status() {
                Some(status) => Status::Pending(status.to_owned()),
                None => Status::Ready,
            },
            owner: all.owner(),
            spec: Group {
                name: self.name.live(instance, name),
                launch_template_id: template
                    .and_then(|t| t.launch_template_id())
                    .map(LaunchTemplateId::from)
                    .unwrap_or_default()
                    .into(),
                launch_template_version: template.and_then(|t| t.version()).unwrap_or("$Default").into(),
                subnet_ids: group
                    .vpc_zone_identifier()
                    .unwrap_or_default()
                    .split(',')
                    .filter(|id| !id.is_empty())
                    .map(SubnetId::from)
                    .collect(),
                min_size: group.min_size().unwrap_or_default(),
                max_size: group.max_size().unwrap_or_default(),
                desired_capacity: group.desired_capacity(),
                health_check_type: group.health_check_type().unwrap_or("EC2").to_owned(),
                health_check_grace_period: group.health_check_grace_period(),
                enabled_metrics: group
                    .enabled_metrics()
                    .iter()
                    .filter_map(|m| m.metric().map(str::to_owned))
                    .collect(),
                instance_version: self.instance_version.as_ref().map(|wanted| version(wanted, group)),
                refresh: None,
                propagated_tags: propagated,
                tags: Tags(own),
            },
        }
    }
}

/// The version of a machine that is not of the wanted one; the wanted one where there is none, because the next machine
/// is of that.
fn version(wanted: &Value<String>, group: &AutoScalingGroup) -> Value<String> {
    let of = |instance: &Instance| {
        let version = instance.launch_template().and_then(|t| t.version()).unwrap_or_default();
        Value::Known(version.to_owned())
    };
    let going = |i: &&Instance| i.lifecycle_state().is_some_and(|s| s.as_str().starts_with("Terminat"));
    let staying = group.instances().iter().filter(|i| !going(i));
    staying.map(of).find(|version| version != wanted).unwrap_or_else(|| wanted.clone())
}

/// What it waits for, while fewer machines serve than should.
fn waits(group: &AutoScalingGroup) -> Option<String> {
    let serves = |i: &&Instance| {
        i.lifecycle_state() == Some(&LifecycleState::InService) && i.health_status() == Some("Healthy")
    };
    let (serving, wanted) =
        (group.instances().iter().filter(serves).count(), group.desired_capacity().unwrap_or_default());
    let enough = i32::try_from(serving).is_ok_and(|serving| serving >= wanted);
    (!enough).then(|| format!("{serving} of {wanted} machines in service"))
}

/// Why the last machine could not be started, in AWS's words. It is tried again and again, so it may still come.
async fn activity(cx: &Cx<'_, Group>, name: &str) -> Result<Option<String>, Error> {
    let last = cx.client.autoscaling.describe_scaling_activities().auto_scaling_group_name(name);
    let last = last.max_records(1).send().await.call("autoscaling:DescribeScalingActivities").found()?;
    let last = last.and_then(|found| found.activities).unwrap_or_default();
    let failed = last.first().filter(|a| a.status_code().is_some_and(|code| code.as_str() == "Failed"));
    Ok(failed.and_then(|a| a.status_message()).map(str::to_owned))
}

/// How the newest refresh stands; only asked while machines are of another version.
async fn refresh(cx: &Cx<'_, Group>, name: &str) -> Result<Status, Error> {
    let last = cx.client.autoscaling.describe_instance_refreshes().auto_scaling_group_name(name);
    let last = last.max_records(1).send().await.call("autoscaling:DescribeInstanceRefreshes").found()?;
    let last = last.and_then(|found| found.instance_refreshes).unwrap_or_default();
    Ok(last.first().map_or(Status::Ready, progress))
}

fn progress(refresh: &types::InstanceRefresh) -> Status {
    match refresh.status() {
        None | Some(InstanceRefreshStatus::Successful) => Status::Ready,
        Some(
            status @ (InstanceRefreshStatus::Failed
            | InstanceRefreshStatus::Cancelled
            | InstanceRefreshStatus::RollbackFailed
            | InstanceRefreshStatus::RollbackSuccessful),
        ) => Status::Failed(format!(
            "machines were not replaced: {status}: {}",
            refresh.status_reason().unwrap_or("AWS does not say why")
        )),
        Some(status) => Status::Pending(format!(
            "machines are replaced: {status}, {} %",
            refresh.percentage_complete().unwrap_or_default()
        )),
    }
}

const TYPE: &str = "auto-scaling-group";

fn tag(group: &str, key: &str, value: &str, propagate: bool) -> Tag {
    Tag::builder()
        .resource_id(group)
        .resource_type(TYPE)
        .key(key)
        .value(value)
        .propagate_at_launch(propagate)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_autoscaling::types::TagDescription;

    fn machine(version: &str, state: LifecycleState) -> Instance {
        Instance::builder()
            .instance_id("i-1")
            .lifecycle_state(state)
            .health_status("Healthy")
            .launch_template(LaunchTemplateSpecification::builder().version(version).build())
            .build()
    }

    fn group(machines: Vec<Instance>) -> AutoScalingGroup {
        let tag = |key: &str, propagate| {
            TagDescription::builder().key(key).value("x").propagate_at_launch(propagate).build()
        };
        AutoScalingGroup::builder()
            .auto_scaling_group_name("nat")
            .desired_capacity(1)
            .vpc_zone_identifier("subnet-1,subnet-2")
            .tags(tag("Name", true))
            .tags(tag("team", false))
            .set_instances(Some(machines))
            .build()
    }

    fn wanted(version: &str) -> Group {
        let subnets = Set::from_iter([SubnetId::from("subnet-1")]);
        let group = Group::fixed("nat", LaunchTemplateId::from("lt-1").into(), subnets, 1);
        Group { instance_version: Some(version.into()), ..group }
    }

    #[test]
    fn a_machine_of_another_version_is_a_difference() {
        let there = |machines| wanted("2").live("i", &group(machines)).spec;
        let old = there(vec![machine("1", LifecycleState::InService)]);
        assert_eq!(old.instance_version, Some("1".into()));
        assert!(wanted("2").is_outdated(&old));
        for machines in [
            vec![],
            vec![machine("2", LifecycleState::InService)],
            vec![machine("1", LifecycleState::Terminating), machine("2", LifecycleState::Pending)],
        ] {
            assert_eq!(there(machines).instance_version, Some("2".into()));
        }
        let unmanaged = Group { instance_version: None, ..wanted("2") };
        assert_eq!(
            unmanaged.live("i", &group(vec![machine("1", LifecycleState::InService)])).spec.instance_version,
            None
        );
    }

    #[test]
    fn tags_are_told_apart_by_who_gets_them() {
        let there = wanted("1").live("i", &group(vec![])).spec;
        assert_eq!(there.tags, Tags::from([("team", "x")]));
        assert_eq!(there.propagated_tags.keys().collect::<Vec<_>>(), ["Name"]);
        assert_eq!(there.subnet_ids.0.len(), 2);
    }

    #[test]
    fn too_few_machines_are_waited_for() {
        assert_eq!(waits(&group(vec![])).as_deref(), Some("0 of 1 machines in service"));
        assert!(waits(&group(vec![machine("1", LifecycleState::Pending)])).is_some());
        assert!(waits(&group(vec![machine("1", LifecycleState::InService)])).is_none());
    }

    #[test]
    fn a_refresh_that_failed_says_why() {
        let refresh = |status: InstanceRefreshStatus| types::InstanceRefresh::builder().status(status);
        let failed = refresh(InstanceRefreshStatus::Failed).status_reason("no capacity").build();
        let Status::Failed(why) = progress(&failed) else { panic!("not failed") };
        assert!(why.contains("no capacity"));
        let half = refresh(InstanceRefreshStatus::InProgress).percentage_complete(50).build();
        assert_eq!(progress(&half), Status::Pending("machines are replaced: InProgress, 50 %".into()));
        assert_eq!(progress(&refresh(InstanceRefreshStatus::Successful).build()), Status::Ready);
    }
}
