//! A cluster with all that belongs to it, from its making to its end.

use crate::{
    in_sandbox::{client, registry},
    stack::{CLUSTER, Wanted, all},
};
use aws_sdk_eks::types::{
    AccessScope, AccessScopeType, LogSetup, LogType, Logging, NodegroupScalingConfig, UpdateLabelsPayload,
};
use causeway_aws::Aws;
use causeway_core::{plan::Action, testing::Lifecycle};
use std::collections::BTreeMap;

const ACCOUNT: &str = "000000000551";

async fn change(life: &mut Lifecycle, what: &str, wanted: &Wanted) -> BTreeMap<String, Action> {
    life.change(what, all(wanted)).await.into_iter().map(|(address, action)| (address.0, action)).collect()
}

fn updated<const N: usize>(addresses: [&str; N]) -> BTreeMap<String, Action> {
    addresses.into_iter().map(|a| (a.to_owned(), Action::Update)).collect()
}

/// A launch template with two versions, as another kind would make it.
async fn template(aws: &Aws) -> String {
    use aws_sdk_ec2::types::RequestLaunchTemplateData;
    let data = || RequestLaunchTemplateData::builder().user_data("IyEvYmluL3NoCg==").build();
    let made = aws.ec2.create_launch_template().launch_template_name("nodes").launch_template_data(data());
    let made = made.send().await.unwrap().launch_template.unwrap();
    let id = made.launch_template_id.unwrap();
    let second = aws.ec2.create_launch_template_version().launch_template_id(&id);
    second.launch_template_data(data()).send().await.unwrap();
    id
}

#[tokio::test]
async fn a_cluster_lives_changes_and_dies() {
    let aws = client(ACCOUNT).await;
    let template = template(&aws).await;
    let with = |version| Some((template.clone(), version));
    let first = Wanted { template: with("1"), ..Wanted::default() };
    let mut life = Lifecycle::start(registry(ACCOUNT).await, all(&first)).await;

    // The security group of EKS stands in the VPC of the subnets, with EKS's tags and ours.
    let outputs = life.outputs("cluster").await;
    let group = outputs["cluster_security_group_id"].as_str().unwrap().to_owned();
    let found = aws.ec2.describe_security_groups().group_ids(&group).send().await.unwrap();
    let found = &found.security_groups()[0];
    assert_eq!(found.vpc_id(), life.outputs("vpc").await["vpc_id"].as_str());
    let tags: BTreeMap<_, _> = found.tags().iter().map(|t| (t.key().unwrap(), t.value().unwrap())).collect();
    assert_eq!(tags["aws:eks:cluster-name"], CLUSTER);
    assert_eq!(tags["kubernetes.io/cluster/coder"], "owned");
    assert_eq!(tags["karpenter.sh/discovery"], "coder");

    let second = Wanted {
        team: "two",
        logs: &["audit", "authenticator"],
        cidrs: &[],
        protected: false,
        discovery: "other",
        ..first.clone()
    };
    let steps = change(&mut life, "the control plane", &second).await;
    assert_eq!(steps, updated(["association", "cluster", "coredns", "discovery", "nodes"]));
    let third = Wanted { groups: &[], admin: false, replicas: 3, other_role: true, ..second.clone() };
    let steps = change(&mut life, "what is in it", &third).await;
    assert_eq!(steps, updated(["association", "coredns", "entry"]));
    let fourth = Wanted {
        nodes: (3, 6),
        label: "other",
        taint: None,
        percentage: None,
        template: with("2"),
        ..third.clone()
    };
    let steps = change(&mut life, "the nodes", &fourth).await;
    assert_eq!(steps, updated(["nodes"]));
    let group_name = life.outputs("nodes").await["name"].as_str().unwrap().to_owned();
    let nodes = aws.eks.describe_nodegroup().cluster_name(CLUSTER).nodegroup_name(&group_name);
    let nodes = nodes.send().await.unwrap().nodegroup.unwrap();
    assert_eq!(nodes.scaling_config().unwrap().desired_size(), Some(3), "as many as the new limits ask for");

    drifts(&life, &aws, &group_name, &group).await;

    life.change("nothing at all", causeway_core::Stack::new("eks")).await;
    assert!(aws.eks.list_clusters().send().await.unwrap().clusters().is_empty());
    let groups = aws.ec2.describe_security_groups().send().await.unwrap();
    let left = groups.security_groups().iter().any(|g| g.group_id() == Some(&group));
    assert!(!left, "the group of EKS went with its cluster");
    let providers = aws.iam.list_open_id_connect_providers().send().await.unwrap();
    assert!(providers.open_id_connect_provider_list().is_empty());
    // That belongs to the account.
    let spot =
        aws.iam.list_roles().path_prefix("/aws-service-role/spot.amazonaws.com/").send().await.unwrap();
    assert_eq!(spot.roles().len(), 1);
}

/// What people do by hand is seen and undone.
async fn drifts(life: &Lifecycle, aws: &Aws, nodes: &str, group: &str) {
    let eks = &aws.eks;
    life.drift("another log", "cluster", async {
        let setup = LogSetup::builder().types(LogType::Audit).enabled(false).build();
        let logging = Logging::builder().cluster_logging(setup).build();
        eks.update_cluster_config().name(CLUSTER).logging(logging).send().await.unwrap();
        settled(aws).await;
    })
    .await;
    life.drift("a label and the limits", "nodes", async {
        let labels = UpdateLabelsPayload::builder().add_or_update_labels("used-for", "games").build();
        let limits = NodegroupScalingConfig::builder().min_size(0).max_size(9).desired_size(9).build();
        let update = eks.update_nodegroup_config().cluster_name(CLUSTER).nodegroup_name(nodes);
        update.labels(labels).scaling_config(limits).send().await.unwrap();
        settled(aws).await;
    })
    .await;
    life.drift("other settings", "coredns", async {
        let update = eks.update_addon().cluster_name(CLUSTER).addon_name("coredns");
        update.configuration_values(r#"{"replicaCount": 9}"#).send().await.unwrap();
        settled(aws).await;
    })
    .await;
    let people = life.outputs("people").await["arn"].as_str().unwrap().to_owned();
    life.drift("more rights", "entry", async {
        let scope = AccessScope::builder().r#type(AccessScopeType::Cluster).build();
        let add = eks.associate_access_policy().cluster_name(CLUSTER).principal_arn(&people);
        let add = add.policy_arn("arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminPolicy");
        add.access_scope(scope).send().await.unwrap();
    })
    .await;
    life.drift("a tag", "discovery", async {
        let tag = aws_sdk_ec2::types::Tag::builder().key("karpenter.sh/discovery").value("mine").build();
        aws.ec2.create_tags().resources(group).tags(tag).send().await.unwrap();
    })
    .await;
    life.drift("no tag", "discovery", async {
        let tag = aws_sdk_ec2::types::Tag::builder().key("karpenter.sh/discovery").build();
        aws.ec2.delete_tags().resources(group).tags(tag).send().await.unwrap();
    })
    .await;
    life.drift("no role for the pods", "association", async {
        let all = eks.list_pod_identity_associations().cluster_name(CLUSTER).send().await.unwrap();
        let id = all.associations()[0].association_id().unwrap();
        let delete = eks.delete_pod_identity_association().cluster_name(CLUSTER).association_id(id);
        delete.send().await.unwrap();
    })
    .await;
}

/// Lets the update that was begun by hand come to its end.
async fn settled(aws: &Aws) {
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let cluster = aws.eks.describe_cluster().name(CLUSTER).send().await.unwrap().cluster.unwrap();
    assert_eq!(cluster.status().unwrap().as_str(), "ACTIVE");
}
