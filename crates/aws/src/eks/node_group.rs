//! Managed nodes: <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateNodegroup.html>

use super::{from_tags, issues, spread, tags_only, to_tags, update::Of, write_tags};
use crate::{
    Aws, Call,
    id::{Arn, SubnetId},
    shown::shown,
};
use aws_sdk_eks::types::{
    self, LaunchTemplateSpecification, Nodegroup, NodegroupScalingConfig, NodegroupStatus,
    NodegroupUpdateConfig, UpdateLabelsPayload, UpdateTaintsPayload,
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff,
    error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Nodes that EKS keeps running and replaces one by one.
///
/// With a generated name another group stands before this one goes, where a change needs that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeGroup {
    /// The cluster.
    pub cluster_name: Value<String>,
    /// Unique in the cluster; 63 characters at most.
    pub name: Name,
    /// What the nodes act as.
    pub node_role_arn: Value<Arn>,
    /// Where the nodes are.
    pub subnet_ids: Set<SubnetId>,
    /// Like `m7i.large`; with several, EKS takes the first that there is. `None`: what the launch template says, or
    /// `t3.medium`.
    #[serde(default)]
    pub instance_types: Option<Vec<String>>,
    /// Like `AL2023_x86_64_STANDARD`. `None`: what EKS chooses.
    #[serde(default)]
    pub ami_type: Option<String>,
    /// `ON_DEMAND` or `SPOT`. `None`: `ON_DEMAND`.
    #[serde(default)]
    pub capacity_type: Option<String>,
    /// How instances are set up. `None`: a template that EKS makes.
    #[serde(default)]
    pub launch_template: Option<LaunchTemplate>,
    /// Kubernetes, like `1.34`; not newer than the cluster's. `None`: whatever the cluster had when it was made.
    #[serde(default)]
    pub version: Option<Value<String>>,
    /// The release of the image, like `1.34.1-20251120`. `None`: the newest at each upgrade.
    #[serde(default)]
    pub release_version: Option<String>,
    /// How many nodes there are.
    pub scaling: Scaling,
    /// Labels of the Kubernetes nodes.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What keeps pods off that do not tolerate it.
    #[serde(default)]
    pub taints: Set<Taint>,
    /// How many percent of the nodes may be replaced at once, 1 to 100. `None`: one node.
    #[serde(default)]
    pub max_unavailable_percentage: Option<i32>,
    /// Tags of the group; those of its instances stand in the launch template. The engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

/// The version of a launch template of ours.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// `lt-..`
    pub id: Value<String>,
    /// Its number.
    pub version: Value<String>,
}

/// How many nodes there are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scaling {
    /// At least.
    pub min_size: i32,
    /// At most; 1 at least.
    pub max_size: i32,
    /// At first. After that it is left to whatever scales the group, within the two limits. `None`: `min_size`.
    #[serde(default)]
    pub desired_size: Option<i32>,
}

/// What keeps pods off that do not tolerate it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taint {
    /// Unique in the group, together with `effect`.
    pub key: String,
    /// May be empty.
    #[serde(default)]
    pub value: String,
    /// `NO_SCHEDULE`, `PREFER_NO_SCHEDULE` or `NO_EXECUTE`.
    pub effect: String,
}

outputs! {
    /// What a node group tells others.
    pub struct NodeGroupOutputs => NodeGroupRefs {
        /// The name.
        pub name: String,
        /// `arn:aws:eks:..:nodegroup/..`
        pub arn: Arn,
        /// The Auto Scaling group that EKS made for it.
        pub auto_scaling_group: String,
        /// Kubernetes, like `1.34`.
        pub version: String,
    }
}

impl Resource for NodeGroup {
    const KIND: &'static str = "aws.eks.node_group";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["cluster_name", "name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("name");
    const REPLACE: &'static [&'static str] = &[
        "cluster_name",
        "name",
        "node_role_arn",
        "subnet_ids",
        "instance_types",
        "ami_type",
        "capacity_type",
        "launch_template.id",
    ];
    const MOVES: &'static [&'static str] = &["version"];
    // Nodes are replaced one by one, each after its pods have moved.
    const TIMING: Timing = Timing::seconds(150, 5, 3 * 3600);
    type Client = Aws;
    type Outputs = NodeGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(group) = self.describe(cx).await? else { return Ok(None) };
        let mut live = self.live(cx.instance, &group);
        live.status = cx.client.eks.or_updating(self.of(cx)?, live.status).await?;
        Ok(Some(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let Scaling { min_size, max_size, desired_size } = self.scaling;
        let call =
            cx.client
                .eks
                .create_nodegroup()
                .client_request_token(cx.token())
                .cluster_name(self.cluster_name.get()?)
                .nodegroup_name(cx.name(&self.name))
                .node_role(self.node_role_arn.get()?.as_str())
                .set_subnets(Some(self.subnet_ids.get()?.into_iter().map(String::from).collect()))
                .set_instance_types(self.instance_types.clone())
                .set_ami_type(self.ami_type.as_deref().map(Into::into))
                .set_capacity_type(self.capacity_type.as_deref().map(Into::into))
                .set_launch_template(self.template()?)
                .set_version(self.version.as_ref().map(Value::get).transpose()?.cloned())
                .set_release_version(self.release_version.clone())
                .scaling_config(scaling(min_size, max_size, desired_size.unwrap_or(min_size)))
                .set_labels(Some(self.labels.clone().into_iter().collect()))
                .set_taints(Some(self.taints.get()?.iter().map(Taint::request).collect()))
                .set_update_config(self.max_unavailable_percentage.map(|percent| {
                    NodegroupUpdateConfig::builder().max_unavailable_percentage(percent).build()
                }))
                .set_tags(to_tags(&self.tags));
        spread(call.send().await.call("eks:CreateNodegroup")).map(drop)
    }

    /// What needs no new nodes first, in one call, and then the nodes.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let eks = &cx.client.eks;
        if diff.touches("tags") {
            write_tags(eks, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await?;
        }
        if tags_only(diff) {
            return Ok(());
        }
        let on = |field: &str| diff.touches(field);
        let (cluster, name) = (self.cluster_name.get()?, &live.outputs.name);
        // Without tokens of ours: the same change may be made, undone and made again.
        let update = if ["scaling", "labels", "taints", "max_unavailable_percentage"].into_iter().any(on) {
            let scaling = if on("scaling") { Some(self.scaled(cx).await?) } else { None };
            let percentage = on("max_unavailable_percentage").then(|| {
                let config = NodegroupUpdateConfig::builder();
                match self.max_unavailable_percentage {
                    Some(percent) => config.max_unavailable_percentage(percent).build(),
                    None => config.max_unavailable(1).build(),
                }
            });
            let call = eks
                .update_nodegroup_config()
                .cluster_name(cluster)
                .nodegroup_name(name)
                .set_scaling_config(scaling)
                .set_labels(on("labels").then(|| self.relabel(&live.spec, diff)))
                .set_taints(on("taints").then(|| self.retaint(&live.spec)).transpose()?)
                .set_update_config(percentage);
            call.send().await.call("eks:UpdateNodegroupConfig")?.update
        } else if ["version", "release_version", "launch_template"].into_iter().any(on) {
            let call = eks
                .update_nodegroup_version()
                .cluster_name(cluster)
                .nodegroup_name(name)
                // Left out, EKS would take the newest that the cluster allows.
                .set_version(self.version.as_ref().map(Value::get).transpose()?.cloned())
                .set_release_version(self.release_version.clone())
                .set_launch_template(self.template()?.filter(|_| on("launch_template")));
            call.send().await.call("eks:UpdateNodegroupVersion")?.update
        } else {
            return Ok(());
        };
        eks.updates.began(self.of(cx)?, update);
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        if live.status == Status::Pending("deleting".into()) {
            return Ok(());
        }
        let call = cx.client.eks.delete_nodegroup().cluster_name(self.cluster_name.get()?);
        let call = call.nodegroup_name(&live.outputs.name);
        call.send().await.call("eks:DeleteNodegroup").found().map(drop)
    }
}

impl NodeGroup {
    fn of(&self, cx: &Cx<'_, Self>) -> Result<Of, Error> {
        Ok(Of::NodeGroup(self.cluster_name.get()?.clone(), cx.name(&self.name)))
    }

    async fn describe(&self, cx: &Cx<'_, Self>) -> Result<Option<Nodegroup>, Error> {
        let recorded = cx.recorded.as_ref().map(|o| o.name.clone());
        let call = cx.client.eks.describe_nodegroup().cluster_name(self.cluster_name.get()?);
        let call = call.nodegroup_name(recorded.unwrap_or_else(|| cx.name(&self.name)));
        Ok(call.send().await.call("eks:DescribeNodegroup").found()?.and_then(|found| found.nodegroup))
    }

    fn template(&self) -> Result<Option<LaunchTemplateSpecification>, Error> {
        let Some(template) = &self.launch_template else { return Ok(None) };
        let (id, version) = (template.id.get()?, template.version.get()?);
        Ok(Some(LaunchTemplateSpecification::builder().id(id).version(version).build()))
    }

    /// The wanted limits, around as many nodes as there are: EKS refuses limits that these are not within.
    async fn scaled(&self, cx: &Cx<'_, Self>) -> Result<NodegroupScalingConfig, Error> {
        let Scaling { min_size, max_size, .. } = self.scaling;
        let now = self.describe(cx).await?.and_then(|group| group.scaling_config?.desired_size);
        Ok(scaling(min_size, max_size, within(now.unwrap_or(min_size), min_size, max_size)))
    }

    fn relabel(&self, live: &NodeGroup, diff: &Diff) -> UpdateLabelsPayload {
        let set = self.labels.iter().filter(|(key, value)| live.labels.get(*key) != Some(value));
        let gone = live
            .labels
            .keys()
            .filter(|key| !self.labels.contains_key(*key) && diff.touches(&format!("labels.{key}")));
        let gone: Vec<String> = gone.cloned().collect();
        UpdateLabelsPayload::builder()
            .set_add_or_update_labels(Some(set.map(|(k, v)| (k.clone(), v.clone())).collect()))
            .set_remove_labels((!gone.is_empty()).then_some(gone))
            .build()
    }

    fn retaint(&self, live: &NodeGroup) -> Result<UpdateTaintsPayload, Error> {
        let (wanted, there) = (self.taints.get()?, live.taints.get()?);
        let requests = |taints: Vec<&Taint>| {
            (!taints.is_empty()).then(|| taints.into_iter().map(Taint::request).collect())
        };
        // One whose value changes is written over.
        let gone =
            there.iter().filter(|t| !wanted.iter().any(|w| (&w.key, &w.effect) == (&t.key, &t.effect)));
        Ok(UpdateTaintsPayload::builder()
            .set_add_or_update_taints(requests(wanted.iter().filter(|t| !there.contains(t)).collect()))
            .set_remove_taints(requests(gone.collect()))
            .build())
    }

    fn live(&self, instance: &str, found: &Nodegroup) -> Live<Self> {
        let tags = from_tags(found.tags());
        let name = found.nodegroup_name().unwrap_or_default();
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let limits = found.scaling_config();
        let template = found.launch_template();
        let groups = found.resources().map(|r| r.auto_scaling_groups()).unwrap_or_default();
        let version = text(found.version());
        Live {
            outputs: NodeGroupOutputs {
                name: name.to_owned(),
                arn: found.nodegroup_arn().unwrap_or_default().into(),
                auto_scaling_group: text(groups.first().and_then(|g| g.name())),
                version: version.clone(),
            },
            status: status(found),
            owner: tags.owner(),
            spec: NodeGroup {
                cluster_name: text(found.cluster_name()).into(),
                name: self.name.live(instance, name),
                node_role_arn: Arn::from(found.node_role().unwrap_or_default()).into(),
                subnet_ids: found.subnets().iter().map(|id| SubnetId::from(id.as_str())).collect(),
                instance_types: self.instance_types.as_ref().map(|_| found.instance_types().to_vec()),
                ami_type: self.ami_type.as_ref().map(|_| text(found.ami_type().map(|t| t.as_str()))),
                capacity_type: shown(
                    self.capacity_type.as_ref(),
                    found.capacity_type().map(|t| t.as_str().to_owned()),
                    "ON_DEMAND".into(),
                ),
                // One that was not made with a template never gets one.
                launch_template: self.launch_template.as_ref().map(|_| LaunchTemplate {
                    id: text(template.and_then(|t| t.id())).into(),
                    version: text(template.and_then(|t| t.version())).into(),
                }),
                version: self.version.as_ref().map(|_| version.into()),
                release_version: self.release_version.as_ref().map(|_| text(found.release_version())),
                scaling: Scaling {
                    min_size: limits.and_then(|l| l.min_size()).unwrap_or_default(),
                    max_size: limits.and_then(|l| l.max_size()).unwrap_or_default(),
                    desired_size: None,
                },
                labels: found.labels().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
                taints: found.taints().iter().map(Taint::live).collect(),
                max_unavailable_percentage: found
                    .update_config()
                    .and_then(|c| c.max_unavailable_percentage()),
                tags,
            },
        }
    }
}

impl Taint {
    fn request(&self) -> types::Taint {
        let taint = types::Taint::builder().key(&self.key).effect(self.effect.as_str().into());
        taint.set_value(Some(self.value.clone()).filter(|v| !v.is_empty())).build()
    }

    fn live(found: &types::Taint) -> Self {
        Taint {
            key: found.key().unwrap_or_default().to_owned(),
            value: found.value().unwrap_or_default().to_owned(),
            effect: found.effect().map(|e| e.as_str().to_owned()).unwrap_or_default(),
        }
    }
}

fn scaling(min: i32, max: i32, desired: i32) -> NodegroupScalingConfig {
    NodegroupScalingConfig::builder().min_size(min).max_size(max).desired_size(desired).build()
}

/// `nodes` brought between the limits, also where these are the wrong way round: EKS says so itself.
fn within(nodes: i32, min: i32, max: i32) -> i32 {
    nodes.min(max).max(min)
}

/// <https://docs.aws.amazon.com/eks/latest/userguide/troubleshooting.html#troubleshoot-managed-node-groups>
fn status(found: &Nodegroup) -> Status {
    let all = found.health().map(|h| h.issues()).unwrap_or_default().iter();
    let told = all.map(|i| (i.code().map(|c| c.as_str().to_owned()), i.message().map(str::to_owned)));
    match found.status() {
        Some(NodegroupStatus::Active) => Status::Ready,
        Some(
            broken @ (NodegroupStatus::Degraded
            | NodegroupStatus::CreateFailed
            | NodegroupStatus::DeleteFailed),
        ) => Status::Failed(format!("{}: {}", broken.as_str().to_lowercase(), issues(told))),
        Some(other) => Status::Pending(other.as_str().to_lowercase()),
        None => Status::Pending("in a state that EKS does not tell".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_eks::types::{Issue, NodegroupHealth, NodegroupIssueCode};
    use causeway_core::secret::{SealKey, Sealed};

    fn wanted(labels: &[(&str, &str)], taints: Vec<Taint>) -> NodeGroup {
        NodeGroup {
            cluster_name: "c".into(),
            name: "system".into(),
            node_role_arn: Arn::from("arn:role").into(),
            subnet_ids: Set::from_iter([SubnetId::from("subnet-1")]),
            instance_types: Some(vec!["m7i.large".into()]),
            ami_type: None,
            capacity_type: None,
            launch_template: None,
            version: Some("1.34".into()),
            release_version: None,
            scaling: Scaling { min_size: 1, max_size: 5, desired_size: Some(2) },
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            taints: Set::from_iter(taints),
            max_unavailable_percentage: None,
            tags: Tags::default(),
        }
    }

    fn found() -> types::builders::NodegroupBuilder {
        Nodegroup::builder()
            .cluster_name("c")
            .nodegroup_name("system")
            .node_role("arn:role")
            .subnets("subnet-1")
            .instance_types("m7i.large")
            .version("1.34")
            .labels("a", "1")
            .scaling_config(scaling(1, 5, 4))
            .status(NodegroupStatus::Active)
    }

    fn diff(wanted: &NodeGroup, live: &NodeGroup, applied: &NodeGroup) -> Diff {
        let sealed =
            |spec: &NodeGroup| Sealed::of(&serde_json::to_value(spec).unwrap(), &SealKey::fixed("k"));
        causeway_core::diff::diff(&sealed(wanted), &sealed(live), &sealed(applied))
    }

    #[test]
    fn how_many_nodes_run_is_left_to_whatever_scales_them() {
        let wanted = wanted(&[("a", "1")], vec![]);
        let live = wanted.live("", &found().build());
        assert_eq!(diff(&wanted, &live.spec, &wanted), Diff::default());
        assert_eq!((within(4, 1, 5), within(9, 1, 5), within(0, 1, 5)), (4, 5, 1));
    }

    #[test]
    fn labels_and_taints_change_by_difference() {
        let taint = |key: &str, value: &str| Taint {
            key: key.into(),
            value: value.into(),
            effect: "NO_SCHEDULE".into(),
        };
        let before = wanted(&[("a", "1"), ("b", "1")], vec![taint("x", "1"), taint("y", "")]);
        let after = wanted(&[("a", "2")], vec![taint("x", "2")]);
        let diff = diff(&after, &before, &before);
        let labels = after.relabel(&before, &diff);
        assert_eq!(labels.add_or_update_labels().unwrap()["a"], "2");
        assert_eq!(labels.remove_labels(), ["b"]);
        let taints = after.retaint(&before).unwrap();
        assert_eq!(taints.add_or_update_taints()[0].value(), Some("2"));
        assert_eq!(taints.remove_taints().iter().map(|t| t.key()).collect::<Vec<_>>(), [Some("y")]);
    }

    #[test]
    fn a_group_that_was_made_without_a_template_is_made_anew_to_get_one() {
        let template = LaunchTemplate { id: "lt-1".into(), version: "1".into() };
        let before = wanted(&[("a", "1")], vec![]);
        let after = NodeGroup { launch_template: Some(template), ..before.clone() };
        let live = after.live("", &found().build());
        assert!(diff(&after, &live.spec, &before).touches("launch_template.id"));
    }

    #[test]
    fn a_group_that_cannot_have_nodes_says_why() {
        let issue =
            Issue::builder().code(NodegroupIssueCode::AsgInstanceLaunchFailures).message("no capacity");
        let health = NodegroupHealth::builder().issues(issue.build()).build();
        let failed = found().status(NodegroupStatus::CreateFailed).health(health).build();
        let Status::Failed(why) = status(&failed) else { panic!("not failed") };
        assert_eq!(why, "create_failed: AsgInstanceLaunchFailures: no capacity");
        assert!(matches!(status(&found().status(NodegroupStatus::Updating).build()), Status::Pending(_)));
    }
}
