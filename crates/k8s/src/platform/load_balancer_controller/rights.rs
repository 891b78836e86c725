//! What the controller may do in a cluster, as its own chart has it.

use super::NAMESPACE;
use crate::{
    objects::Objects,
    rbac::{Account, CHANGE, READ, Rule, rule},
};

const CORE: &[&str] = &[""];
const ELB: &[&str] = &["elbv2.k8s.aws"];
const GATEWAY: &[&str] = &["gateway.networking.k8s.io"];
const OWN_GATEWAY: &[&str] = &["gateway.k8s.aws"];
const INGRESS: &[&str] = &["extensions", "networking.k8s.io"];
const LEASE: &[&str] = &["coordination.k8s.io"];
const LEADER: &[&str] = &["aws-load-balancer-controller-leader"];
const LEAD: &[&str] = &["get", "update", "patch"];
const KEEP: &[&str] = &["get", "list", "patch", "update", "watch"];
const LOOK: &[&str] = &["get", "list", "patch", "watch"];

const RULES: &[Rule] = &[
    rule(CORE, &["configmaps"], &["create", "delete", "get", "update"]),
    rule(CORE, &["endpoints", "namespaces", "nodes", "pods"], READ),
    rule(CORE, &["events"], &["create", "patch"]),
    rule(CORE, &["pods/status", "services/status"], CHANGE),
    rule(CORE, &["services"], KEEP),
    rule(&["discovery.k8s.io"], &["endpointslices"], READ),
    rule(ELB, &["ingressclassparams"], READ),
    rule(ELB, &["targetgroupbindings"], &["create", "delete", "get", "list", "patch", "update", "watch"]),
    rule(ELB, &["targetgroupbindings/status"], CHANGE),
    rule(INGRESS, &["ingresses"], KEEP),
    rule(INGRESS, &["ingresses/status"], CHANGE),
    rule(&["networking.k8s.io"], &["ingressclasses"], READ),
    rule(
        OWN_GATEWAY,
        &["listenerruleconfigurations", "loadbalancerconfigurations", "targetgroupconfigurations"],
        LOOK,
    ),
    rule(
        OWN_GATEWAY,
        &[
            "listenerruleconfigurations/finalizers",
            "loadbalancerconfigurations/finalizers",
            "targetgroupconfigurations/finalizers",
        ],
        CHANGE,
    ),
    rule(
        OWN_GATEWAY,
        &[
            "listenerruleconfigurations/status",
            "loadbalancerconfigurations/status",
            "targetgroupconfigurations/status",
        ],
        LEAD,
    ),
    rule(GATEWAY, &["gatewayclasses", "gateways", "referencegrants"], LOOK),
    rule(GATEWAY, &["gatewayclasses/finalizers", "gateways/finalizers"], CHANGE),
    rule(
        GATEWAY,
        &[
            "gatewayclasses/status",
            "gateways/status",
            "grpcroutes/status",
            "httproutes/status",
            "tcproutes/status",
            "tlsroutes/status",
            "udproutes/status",
        ],
        LEAD,
    ),
    rule(GATEWAY, &["grpcroutes", "httproutes", "tcproutes", "tlsroutes", "udproutes"], READ),
    rule(
        GATEWAY,
        &[
            "grpcroutes/finalizers",
            "httproutes/finalizers",
            "tcproutes/finalizers",
            "tlsroutes/finalizers",
            "udproutes/finalizers",
        ],
        &["update"],
    ),
];

const LEADS: &[Rule] = &[
    rule(CORE, &["configmaps"], &["create"]),
    rule(CORE, &["configmaps"], LEAD).only(LEADER),
    rule(LEASE, &["leases"], &["create"]),
    rule(LEASE, &["leases"], LEAD).only(LEADER),
];

pub(super) fn add(objects: &mut Objects<'_>, account: &Account) {
    account.may(objects, "aws-load-balancer-controller-role", RULES);
    account.may_in(objects, NAMESPACE, "aws-load-balancer-controller-leader-election-role", LEADS);
}
