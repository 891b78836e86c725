//! What Karpenter may do in a cluster, as its own chart of the same version has it.

use super::NAMESPACE;
use crate::{
    objects::Objects,
    rbac::{Account, CHANGE, READ, Rule, cluster_role, rule},
};
use std::collections::BTreeMap;

const CORE: &[&str] = &[""];
const OWN: &[&str] = &["karpenter.sh"];
const AWS: &[&str] = &["karpenter.k8s.aws"];
const BUFFERS: &[&str] = &["autoscaling.x-k8s.io"];
const LEASE: &[&str] = &["coordination.k8s.io"];

const ALL: &[Rule] = &[
    rule(
        OWN,
        &[
            "nodepools",
            "nodepools/status",
            "nodeclaims",
            "nodeclaims/status",
            "nodeoverlays",
            "nodeoverlays/status",
        ],
        READ,
    ),
    rule(BUFFERS, &["capacitybuffers", "capacitybuffers/status"], READ),
    rule(CORE, &["podtemplates", "events"], READ),
    rule(
        CORE,
        &[
            "pods",
            "nodes",
            "persistentvolumes",
            "persistentvolumeclaims",
            "replicationcontrollers",
            "namespaces",
        ],
        READ,
    ),
    rule(&["storage.k8s.io"], &["storageclasses", "csinodes", "volumeattachments"], READ),
    rule(&["apps"], &["daemonsets", "deployments", "replicasets", "statefulsets"], READ),
    rule(&["policy"], &["poddisruptionbudgets"], READ),
    rule(OWN, &["nodeclaims", "nodeclaims/status"], &["create", "delete", "update", "patch"]),
    rule(OWN, &["nodepools", "nodepools/status", "nodeoverlays/status"], CHANGE),
    rule(BUFFERS, &["capacitybuffers/status"], CHANGE),
    rule(CORE, &["events"], &["create", "patch"]),
    rule(CORE, &["nodes"], &["patch", "delete", "update"]),
    rule(CORE, &["pods/eviction"], &["create"]),
    rule(CORE, &["pods"], &["delete"]),
];

const ON_AWS: &[Rule] =
    &[rule(AWS, &["ec2nodeclasses"], READ), rule(AWS, &["ec2nodeclasses", "ec2nodeclasses/status"], CHANGE)];

const LEADS: &[Rule] = &[
    rule(LEASE, &["leases"], &["get", "watch"]),
    rule(LEASE, &["leases"], CHANGE).only(&["karpenter-leader-election"]),
    rule(LEASE, &["leases"], &["create"]),
];

const NAMES: &[Rule] = &[rule(CORE, &["services"], &["get"]).only(&["kube-dns"])];

const KEEP: &[&str] = &["get", "list", "watch", "create", "delete", "patch"];

pub(super) fn add(objects: &mut Objects<'_>, account: &Account) {
    account.may(objects, "karpenter-core", ALL);
    account.may(objects, "karpenter", ON_AWS);
    account.may_in(objects, NAMESPACE, "karpenter-lead", LEADS);
    account.may_in(objects, "kube-system", "karpenter-dns", NAMES);
    let admins = BTreeMap::from([("rbac.authorization.k8s.io/aggregate-to-admin".into(), "true".into())]);
    let rules = [
        rule(OWN, &["nodepools", "nodepools/status", "nodeclaims", "nodeclaims/status"], KEEP),
        rule(AWS, &["ec2nodeclasses"], KEEP),
    ];
    objects.add("role-karpenter-admin", &cluster_role("karpenter-admin", admins, &rules));
}
