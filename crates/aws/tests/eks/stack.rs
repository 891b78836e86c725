//! A small network with a cluster in it, and all that a cluster has.

use crate::in_sandbox::REGION;
use causeway_aws::{
    AwsStack,
    ec2::{Subnet, Tag, Vpc},
    eks::{
        AccessEntry, AccessPolicy, Addon, AddonVersion, Cluster, LaunchTemplate, NextVersion, NodeGroup,
        PodIdentityAssociation, Scaling, Taint,
    },
    iam::{OidcProvider, Role, ServiceLinkedRole, Statement, trust},
};
use causeway_core::{Handle, Name, Set, Stack, Tags, Value, engine::Run, guard::Rules, text};
use serde_json::json;

/// The name of the cluster.
pub(crate) const CLUSTER: &str = "coder";

/// How it is applied: old versions are what these tests are about.
pub(crate) fn run() -> Run {
    let rules = Rules { allow: ["out-of-support".to_owned()].into(), ..Rules::default() };
    Run { actor: "test".into(), rules, ..Run::default() }
}

/// What the tests vary.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) version: &'static str,
    pub(crate) team: &'static str,
    pub(crate) logs: &'static [&'static str],
    pub(crate) cidrs: &'static [&'static str],
    pub(crate) protected: bool,
    pub(crate) groups: &'static [&'static str],
    pub(crate) admin: bool,
    pub(crate) replicas: u32,
    pub(crate) nodes: (i32, i32),
    pub(crate) label: &'static str,
    pub(crate) taint: Option<&'static str>,
    pub(crate) percentage: Option<i32>,
    /// The role of the pods is another one.
    pub(crate) other_role: bool,
    pub(crate) discovery: &'static str,
    pub(crate) accepted: &'static [&'static str],
    /// Of the nodes, where it is not that of the cluster.
    pub(crate) nodes_version: Option<&'static str>,
    /// The id and the version of a launch template.
    pub(crate) template: Option<(String, &'static str)>,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted {
            version: "1.34",
            team: "one",
            logs: &["api", "audit"],
            cidrs: &["192.0.2.0/24"],
            protected: true,
            groups: &["admins"],
            admin: true,
            replicas: 2,
            nodes: (1, 3),
            label: "system",
            taint: Some("1"),
            percentage: Some(33),
            other_role: false,
            discovery: "coder",
            accepted: &[],
            nodes_version: None,
            template: None,
        }
    }
}

/// A network of two subnets.
pub(crate) fn network(stack: &mut Stack) -> Vec<Handle<Subnet>> {
    let vpc = Vpc {
        cidr_block: "10.0.0.0/16".into(),
        enable_dns_support: None,
        enable_dns_hostnames: None,
        tags: Tags::default(),
    };
    let vpc = stack.add("vpc", vpc);
    let subnet = |n: usize, zone: &str| Subnet {
        vpc_id: vpc.vpc_id.clone(),
        cidr_block: format!("10.0.{n}.0/24").into(),
        availability_zone: Some(zone.into()),
        map_public_ip_on_launch: None,
        private_dns_hostname_type_on_launch: None,
        tags: Tags::default(),
    };
    let zones = ["us-east-1a", "us-east-1b"].into_iter().enumerate();
    zones.map(|(n, zone)| stack.add(&format!("subnet-{n}"), subnet(n, zone))).collect()
}

/// A cluster, and what its add-ons and nodes need of it.
pub(crate) struct Made {
    pub(crate) cluster: Handle<Cluster>,
    /// Of this apply.
    pub(crate) version: Value<String>,
    pub(crate) subnets: Vec<Handle<Subnet>>,
}

/// The cluster and what it needs first.
pub(crate) fn cluster(stack: &mut Stack, wanted: &Wanted) -> Made {
    let subnets = network(stack);
    let role = stack.add("cluster-role", Role::assumed_by("coder-cluster", "eks.amazonaws.com"));
    let next =
        stack.add("next", NextVersion { cluster_name: CLUSTER.into(), wanted: wanted.version.to_owned() });
    let cluster = Cluster {
        public_access_cidrs: wanted.cidrs.iter().copied().collect(),
        enabled_log_types: wanted.logs.iter().copied().collect(),
        deletion_protection: wanted.protected,
        accepted_insights: (!wanted.accepted.is_empty()).then(|| wanted.accepted.iter().copied().collect()),
        tags: Tags::from([("team", wanted.team)]),
        ..Cluster::new(
            CLUSTER,
            next.version.clone(),
            role.arn.clone(),
            Set(subnets.iter().map(|s| s.subnet_id.clone()).collect()),
        )
    };
    Made { cluster: stack.add("cluster", cluster), version: next.version.clone(), subnets }
}

/// The managed nodes.
pub(crate) fn nodes(stack: &mut Stack, wanted: &Wanted, made: &Made) -> Handle<NodeGroup> {
    let role = stack.add("node-role", Role::assumed_by("coder-nodes", "ec2.amazonaws.com"));
    let taint = wanted.taint.map(|value| Taint {
        key: "dedicated".into(),
        value: value.into(),
        effect: "NO_SCHEDULE".into(),
    });
    let group = NodeGroup {
        cluster_name: made.cluster.name.clone(),
        name: Name::generated("system"),
        node_role_arn: role.arn.clone(),
        subnet_ids: Set(made.subnets.iter().map(|s| s.subnet_id.clone()).collect()),
        instance_types: Some(vec!["m7i.large".into()]),
        ami_type: None,
        capacity_type: None,
        launch_template: wanted
            .template
            .as_ref()
            .map(|(id, version)| LaunchTemplate { id: id.clone().into(), version: (*version).into() }),
        version: Some(wanted.nodes_version.map_or_else(|| made.version.clone(), Into::into)),
        release_version: None,
        scaling: Scaling { min_size: wanted.nodes.0, max_size: wanted.nodes.1, desired_size: Some(2) },
        labels: [("used-for".to_owned(), wanted.label.to_owned())].into(),
        taints: Set::from_iter(taint),
        max_unavailable_percentage: wanted.percentage,
        tags: Tags::from([("team", wanted.team)]),
    };
    stack.add("nodes", group)
}

/// All of it.
pub(crate) fn all(wanted: &Wanted) -> Stack {
    let mut stack = Stack::new("eks");
    stack.region(REGION, |stack| {
        let made = cluster(stack, wanted);
        let cluster = &made.cluster;
        let name = || cluster.name.clone();
        let tag = Tag {
            resource_id: text!(cluster.cluster_security_group_id),
            key: "karpenter.sh/discovery".into(),
            value: wanted.discovery.into(),
        };
        stack.add("discovery", tag);
        let provider = stack.add("oidc", OidcProvider::service_accounts(cluster.oidc_issuer.clone()));
        let people = stack.add("people", Role::assumed_by("coder-people", "ec2.amazonaws.com"));
        let policy = if wanted.admin { "AmazonEKSClusterAdminPolicy" } else { "AmazonEKSViewPolicy" };
        let entry = AccessEntry {
            kubernetes_groups: wanted.groups.iter().copied().collect(),
            principal_id: Some(people.role_id.clone()),
            ..AccessEntry::standard(name(), people.arn.clone(), [AccessPolicy::cluster(policy)])
        };
        stack.add("entry", entry);
        stack.add("spot", ServiceLinkedRole { service: "spot.amazonaws.com".into() });
        let karpenter = stack.add("karpenter", Role::assumed_by("coder-karpenter", "ec2.amazonaws.com"));
        stack.add("karpenter-entry", AccessEntry::nodes(name(), karpenter.arn.clone()));
        let web = Role::trusting("coder-web", [trust::service_account(&provider, "kube-system", "ebs")]);
        let web = stack.add("web-role", web);
        let trusted: [Statement; 1] = [trust::pod_identity(&cluster.arn, "coder", "coder")];
        let pods = stack.add("pod-role", Role::trusting("coder-pods", trusted));
        let association = PodIdentityAssociation {
            cluster_name: name(),
            namespace: "coder".into(),
            service_account: "coder".into(),
            role_arn: if wanted.other_role { web.arn.clone() } else { pods.arn.clone() },
            tags: Tags::from([("team", wanted.team)]),
        };
        stack.add("association", association);
        let version = AddonVersion {
            addon_name: "coredns".into(),
            kubernetes_version: made.version.clone(),
            version: None,
        };
        let version = stack.add("coredns-version", version);
        let coredns = Addon {
            cluster_name: name(),
            name: "coredns".into(),
            version: version.version.clone(),
            service_account_role_arn: None,
            configuration: Some(json!({ "replicaCount": wanted.replicas })),
            tags: Tags::from([("team", wanted.team)]),
        };
        let coredns = stack.add("coredns", coredns);
        let nodes = nodes(stack, wanted, &made);
        stack.after(nodes.address(), coredns.address());
    });
    stack
}
