//! The cluster of a region: its control plane, its add-ons, its system nodes, and who may enter.

use super::{
    config::{Eks, SystemNodes},
    iam::Site,
    network::Networks,
    security::Security,
};
use causeway_aws::{
    ec2::{BlockDevice, LaunchTemplate, MetadataOptions, Tag},
    eks::{
        self, AccessEntry, AccessPolicy, Addon, AddonVersion, Leftovers, NextVersion, NodeGroup,
        PodIdentityAssociation, Scaling,
    },
    iam::{OidcProvider, OidcProviderRefs, Role, trust},
    id::Arn,
    logs::LogGroup,
    policy::{Principal, Statement},
};
use causeway_core::{Address, Name, Set, Stack, Tags, Value};
use std::collections::BTreeMap;

/// What the rest of the region needs of its cluster.
pub(super) struct Cluster {
    pub name: Value<String>,
    pub endpoint: Value<String>,
    pub certificate_authority: Value<String>,
    /// Who may enter, and what pods need to run: all that objects inside wait for.
    pub ready: Vec<Address>,
    /// Who vouches for its service accounts.
    pub oidc: OidcProviderRefs,
    /// What removes what controllers made, after the cluster.
    pub leftovers: Address,
}

/// What a node needs before it is of use.
const BEFORE_NODES: [&str; 3] = ["vpc-cni", "kube-proxy", "eks-pod-identity-agent"];
/// What runs on nodes, and is only healthy once there are some.
const ON_NODES: [&str; 3] = ["coredns", "aws-ebs-csi-driver", "metrics-server"];
/// All add-ons.
pub(super) const ADDONS: [&str; 6] =
    [BEFORE_NODES[0], BEFORE_NODES[1], BEFORE_NODES[2], ON_NODES[0], ON_NODES[1], ON_NODES[2]];

/// What is on the system nodes and on no other.
pub(super) const SYSTEM_LABEL: (&str, &str) = ("node.amazonaws.io/managed-by", "asg");

/// Who may do everything.
const ADMIN: &str = "AmazonEKSClusterAdminPolicy";

const NAMESPACE: &str = "kube-system";
const EBS_ACCOUNT: &str = "ebs-csi-controller-sa";

pub(super) fn cluster(
    stack: &mut Stack,
    config: &Eks,
    nodes: &SystemNodes,
    site: &Site,
    networks: &Networks,
    security: &Security,
    deployer: Option<&Value<Arn>>,
) -> Cluster {
    let boundary = || config.permissions_boundary.as_deref().map(|arn| Arn::from(arn).into());
    stack.scope("cluster", |stack| {
        let next = NextVersion { cluster_name: site.cluster.clone(), wanted: config.version.clone() };
        let next = stack.add("version", next);
        let trust = Statement::allow(["sts:AssumeRole", "sts:TagSession"], [""; 0])
            .to([Principal::service("eks.amazonaws.com")]);
        let role = Role {
            managed_policy_arns: Set(vec![
                site.managed("AmazonEKSClusterPolicy"),
                site.managed("AmazonEKSVPCResourceController"),
            ]),
            permissions_boundary: boundary(),
            ..Role::trusting(format!("{}-{}-cluster", site.cluster, site.region), [trust])
        };
        let role = stack.add("role", role);
        let leftovers = Leftovers::of(site.cluster.as_str(), networks.vpc_id.clone());
        let leftovers = stack.add("leftovers", leftovers).address().clone();
        for held in networks.held.iter().chain(&security.groups) {
            stack.after(&leftovers, held);
        }
        // EKS makes it too when it is not there, without a retention.
        let logs = LogGroup::new(format!("/aws/eks/{}/cluster", site.cluster), i32::from(config.logs.days));
        let logs = stack.add("logs", logs);
        // EKS may make it once more with its last lines.
        stack.after(logs.address(), &leftovers);
        let cluster = eks::Cluster {
            security_group_ids: Set(vec![security.cluster.clone()]),
            public_access_cidrs: config.access.from.iter().map(String::as_str).collect(),
            encryption_key_arn: Some(security.key.clone()),
            enabled_log_types: config.logs.types.iter().map(String::as_str).collect(),
            ..eks::Cluster::new(
                site.cluster.as_str(),
                next.version.cast(),
                role.arn.clone(),
                networks.control_plane.clone(),
            )
        };
        let cluster = stack.add("cluster", cluster);
        stack.after(cluster.address(), logs.address());
        stack.after(cluster.address(), &leftovers);
        stack.output(format!("{}_cluster_endpoint", site.region).replace('-', "_"), &cluster.endpoint);
        let group: Value<String> = cluster.cluster_security_group_id.cast();
        for (key, value) in &stack.tags().clone() {
            let tag =
                Tag { resource_id: group.clone(), key: key.clone(), value: value.as_str().to_owned().into() };
            stack.add(&format!("group-tag-{key}"), tag);
        }
        let oidc = stack.add("oidc", OidcProvider::service_accounts(cluster.oidc_issuer.clone()));
        let mut ready = vec![];
        if let Some(arn) = deployer {
            let policies = [AccessPolicy::cluster(ADMIN)];
            let entry = AccessEntry::standard(cluster.name.clone(), arn.clone(), policies);
            ready.push(stack.add("deployer", entry).address().clone());
        }
        for (kind, policy, arns) in [
            ("admin", ADMIN, &config.access.admins),
            ("viewer", "AmazonEKSViewPolicy", &config.access.viewers),
        ] {
            for (i, arn) in arns.iter().enumerate() {
                let policies = [AccessPolicy::cluster(policy)];
                let entry =
                    AccessEntry::standard(cluster.name.clone(), Arn::from(arn.as_str()).into(), policies);
                ready.push(stack.add(&format!("{kind}-{}", i + 1), entry).address().clone());
            }
        }
        let ebs = Role {
            managed_policy_arns: Set(vec![site.managed("service-role/AmazonEBSCSIDriverPolicy")]),
            permissions_boundary: boundary(),
            ..Role::trusting(
                format!("{}-{}-ebs-csi", site.cluster, site.region),
                [trust::pod_identity(&cluster.arn, NAMESPACE, EBS_ACCOUNT)],
            )
        };
        let ebs = stack.add("ebs-csi-role", ebs);
        let association = PodIdentityAssociation {
            cluster_name: cluster.name.clone(),
            namespace: NAMESPACE.into(),
            service_account: EBS_ACCOUNT.into(),
            role_arn: ebs.arn.clone(),
            tags: Tags::default(),
        };
        let association = stack.add("ebs-csi-identity", association).address().clone();
        let addon = |stack: &mut Stack, name: &str| -> Address {
            let version = AddonVersion {
                addon_name: name.into(),
                kubernetes_version: next.version.cast(),
                version: config.addons.get(name).cloned(),
            };
            let version = stack.add(&format!("{name}-version"), version);
            let addon = Addon {
                cluster_name: cluster.name.clone(),
                name: name.into(),
                version: version.version.clone(),
                service_account_role_arn: None,
                configuration: None,
                tags: Tags::default(),
            };
            stack.add(name, addon).address().clone()
        };
        let first: Vec<Address> = BEFORE_NODES.iter().map(|name| addon(stack, name)).collect();
        let group = system_nodes(
            stack,
            nodes,
            &Around { site, networks, security },
            &cluster.name,
            &next.version.cast(),
            boundary(),
        );
        for before in first.iter().chain(&networks.ready) {
            stack.after(&group, before);
        }
        for name in ON_NODES {
            let addon = addon(stack, name);
            stack.after(&addon, &group);
            if name == ON_NODES[1] {
                stack.after(&addon, &association);
            }
            ready.push(addon);
        }
        ready.push(group);
        Cluster {
            name: cluster.name.clone(),
            endpoint: cluster.endpoint.clone(),
            certificate_authority: cluster.certificate_authority.clone(),
            ready,
            oidc: (*oidc).clone(),
            leftovers,
        }
    })
}

/// The managed policies of a node.
pub(super) fn node_policies(site: &Site) -> Set<Arn> {
    let names = [
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonEC2ContainerRegistryReadOnly",
        "AmazonSSMManagedInstanceCore",
    ];
    Set(names.iter().map(|name| site.managed(name)).collect())
}

/// What the nodes stand in.
struct Around<'a> {
    site: &'a Site,
    networks: &'a Networks,
    security: &'a Security,
}

fn system_nodes(
    stack: &mut Stack,
    nodes: &SystemNodes,
    around: &Around<'_>,
    cluster_name: &Value<String>,
    version: &Value<String>,
    boundary: Option<Value<Arn>>,
) -> Address {
    let Around { site, networks, security } = around;
    let role = Role {
        managed_policy_arns: node_policies(site),
        permissions_boundary: boundary,
        ..Role::assumed_by(format!("{}-{}-system-node", site.cluster, site.region), "ec2.amazonaws.com")
    };
    let role = stack.add("system-role", role);
    let name = BTreeMap::from([("Name".to_owned(), format!("{}-system", site.cluster))]);
    let template = LaunchTemplate {
        block_device_mappings: vec![BlockDevice::gp3("/dev/xvda", i32::from(nodes.disk))],
        security_group_ids: Set(vec![security.nodes.clone()]),
        // Pods that ask for the role of the node get no answer: they are one hop further away.
        metadata_options: Some(MetadataOptions::imdsv2(Some(1))),
        monitoring: Some(true),
        tag_specifications: ["instance", "volume", "network-interface"]
            .into_iter()
            .map(|of| (of.to_owned(), name.clone()))
            .collect(),
        ..LaunchTemplate::new(format!("{}-system", site.cluster))
    };
    let template = stack.add("system-template", template);
    let group = NodeGroup {
        cluster_name: cluster_name.clone(),
        name: Name::generated("system"),
        node_role_arn: role.arn.clone(),
        subnet_ids: networks.system.clone(),
        instance_types: Some(vec![nodes.instance_type.clone()]),
        ami_type: None,
        capacity_type: Some("ON_DEMAND".into()),
        launch_template: Some(eks::LaunchTemplate {
            id: template.launch_template_id.cast(),
            version: template.latest_version.clone(),
        }),
        version: Some(version.clone()),
        release_version: None,
        scaling: Scaling {
            min_size: i32::from(nodes.min),
            max_size: i32::from(nodes.max),
            desired_size: Some(i32::from(nodes.desired)),
        },
        labels: BTreeMap::from([(SYSTEM_LABEL.0.into(), SYSTEM_LABEL.1.into())]),
        taints: Set::default(),
        max_unavailable_percentage: Some(33),
        tags: Tags::default(),
    };
    stack.add("system-nodes", group).address().clone()
}
