//! Who may reach whom inside a region, and the key that everything at rest is encrypted with.

use causeway_aws::{
    ec2::{Peer, SecurityGroup, SecurityGroupRule},
    id::{Arn, SecurityGroupId, VpcId},
    kms,
};
use causeway_core::{Address, Set, Stack, Tags, Value};

/// The groups of the cluster and its nodes, and the key.
pub(super) struct Security {
    pub cluster: Value<SecurityGroupId>,
    pub nodes: Value<SecurityGroupId>,
    /// Both groups.
    pub groups: [Address; 2],
    pub key: Value<Arn>,
}

/// What the control plane reaches on nodes: the kubelet, and the webhooks and API services of controllers.
const FROM_CONTROL_PLANE: [(u16, &str); 6] = [
    (443, "Webhooks"),
    (4443, "metrics-server"),
    (6443, "API services"),
    (8443, "Webhooks of Karpenter and others"),
    (9443, "Webhooks of the load balancer controller"),
    (10250, "kubelet"),
];

pub(super) fn security(stack: &mut Stack, vpc: &Value<VpcId>, cluster_name: &str) -> Security {
    stack.scope("security", |stack| {
        let cluster = SecurityGroup {
            foreign_rules: Some(Set::default()),
            tags: super::named(stack, "cluster"),
            ..SecurityGroup::new(format!("{cluster_name}-cluster"), "The control plane of EKS", vpc.clone())
        };
        let cluster_group = stack.add("cluster", cluster);
        let cluster = cluster_group.security_group_id.clone();
        let mut tags = Tags::from([("Name", format!("{cluster_name}-node"))]);
        tags.0.insert(format!("kubernetes.io/cluster/{cluster_name}"), "owned".into());
        tags.0.insert("karpenter.sh/discovery".into(), cluster_name.to_owned());
        // The load balancer controller adds the rules of its load balancers.
        let nodes = SecurityGroup {
            tags,
            ..SecurityGroup::new(format!("{cluster_name}-node"), "The nodes of EKS", vpc.clone())
        };
        let nodes_group = stack.add("nodes", nodes);
        let nodes = nodes_group.security_group_id.clone();
        let groups = [cluster_group.address().clone(), nodes_group.address().clone()];
        let api = SecurityGroupRule::tcp_in(&cluster, 443, Peer::group(&nodes));
        open(stack, "cluster-in", api, "The API, for nodes");
        let to_nodes = SecurityGroupRule::all_out(&cluster, Peer::group(&nodes));
        open(stack, "cluster-out", to_nodes, "Nodes, their webhooks and API services");
        for (port, why) in FROM_CONTROL_PLANE {
            let rule = SecurityGroupRule::tcp_in(&nodes, port, Peer::group(&cluster));
            open(stack, &format!("nodes-in-{port}"), rule, why);
        }
        let dns = SecurityGroupRule::tcp_in(&nodes, 53, Peer::group(&nodes));
        open(stack, "nodes-dns-tcp", dns, "DNS between nodes");
        let dns = SecurityGroupRule {
            ip_protocol: "udp".into(),
            ..SecurityGroupRule::tcp_in(&nodes, 53, Peer::group(&nodes))
        };
        open(stack, "nodes-dns-udp", dns, "DNS between nodes");
        let pods = SecurityGroupRule {
            to_port: Some(65535),
            ..SecurityGroupRule::tcp_in(&nodes, 1025, Peer::group(&nodes))
        };
        open(stack, "nodes-between", pods, "Between pods of different nodes");
        let out = SecurityGroupRule::all_out(&nodes, Peer::anywhere());
        open(stack, "nodes-out", out, "Registries, identity providers and clouds");
        let key = stack.add(
            "key",
            kms::Key {
                description: Some(format!("Secrets of {cluster_name}")),
                policy: None,
                enable_key_rotation: Some(true),
                deletion_window_days: Some(30),
                tags: Tags::default(),
            },
        );
        let name = format!("alias/causeway/{cluster_name}");
        stack.add("key-alias", kms::Alias { name, target_key_id: key.key_id.clone() });
        Security { cluster, nodes, groups, key: key.arn.clone() }
    })
}

/// A group of a service that nodes, and nobody else, reach on `port`.
pub(super) fn for_nodes(
    stack: &mut Stack,
    name: &str,
    description: &str,
    vpc: &Value<VpcId>,
    port: u16,
    nodes: &Value<SecurityGroupId>,
) -> Value<SecurityGroupId> {
    let group = SecurityGroup {
        foreign_rules: Some(Set::default()),
        tags: super::named(stack, name),
        ..SecurityGroup::new(format!("{}-{name}", stack.name()), description, vpc.clone())
    };
    let group = stack.add("group", group).security_group_id.clone();
    open(stack, "nodes-in", SecurityGroupRule::tcp_in(&group, port, Peer::group(nodes)), "Nodes");
    group
}

/// Adds a rule with its reason.
pub(super) fn open(stack: &mut Stack, name: &str, rule: SecurityGroupRule, why: &str) {
    stack.add(name, rule.described(why));
}
