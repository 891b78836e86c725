//! What cert-manager may do in a cluster, as its own chart of the same version has it.

use super::{INJECTOR, LEASES, NAMESPACE, ROUTE53_ACCOUNT, WEBHOOK, account};
use crate::{
    objects::Objects,
    rbac::{CHANGE, READ, Rule, cluster_role, rule},
};
use std::collections::BTreeMap;

const OWN: &[&str] = &["cert-manager.io"];
const ACME: &[&str] = &["acme.cert-manager.io"];
const CORE: &[&str] = &[""];
const GATEWAY: &[&str] = &["gateway.networking.k8s.io"];
const NETWORK: &[&str] = &["networking.k8s.io"];
const LEASE: &[&str] = &["coordination.k8s.io"];

const TELL: Rule = rule(CORE, &["events"], &["create", "patch"]);
const SECRETS: Rule = rule(CORE, &["secrets"], READ);
const KEEP_SECRETS: Rule = rule(CORE, &["secrets"], &["get", "list", "watch", "create", "update", "delete"]);

const CONTROLLER: [(&str, &[Rule]); 8] = [
    (
        "issuers",
        &[
            rule(OWN, &["issuers", "issuers/status"], CHANGE),
            rule(OWN, &["issuers"], READ),
            KEEP_SECRETS,
            TELL,
        ],
    ),
    (
        "clusterissuers",
        &[
            rule(OWN, &["clusterissuers", "clusterissuers/status"], CHANGE),
            rule(OWN, &["clusterissuers"], READ),
            KEEP_SECRETS,
            TELL,
        ],
    ),
    (
        "certificates",
        &[
            rule(
                OWN,
                &["certificates", "certificates/status", "certificaterequests", "certificaterequests/status"],
                CHANGE,
            ),
            rule(OWN, &["certificates", "certificaterequests", "clusterissuers", "issuers"], READ),
            rule(OWN, &["certificates/finalizers", "certificaterequests/finalizers"], &["update"]),
            rule(ACME, &["orders"], &["create", "delete", "get", "list", "watch"]),
            rule(CORE, &["secrets"], &["get", "list", "watch", "create", "update", "delete", "patch"]),
            TELL,
        ],
    ),
    (
        "orders",
        &[
            rule(ACME, &["orders", "orders/status"], CHANGE),
            rule(ACME, &["orders", "challenges"], READ),
            rule(OWN, &["clusterissuers", "issuers"], READ),
            rule(ACME, &["challenges"], &["create", "delete"]),
            rule(ACME, &["orders/finalizers"], &["update"]),
            SECRETS,
            TELL,
        ],
    ),
    (
        "challenges",
        &[
            rule(ACME, &["challenges", "challenges/status"], CHANGE),
            rule(ACME, &["challenges"], READ),
            rule(OWN, &["issuers", "clusterissuers"], READ),
            SECRETS,
            TELL,
            rule(CORE, &["pods", "services"], &["get", "list", "watch", "create", "delete"]),
            rule(NETWORK, &["ingresses"], &["get", "list", "watch", "create", "delete", "update"]),
            rule(GATEWAY, &["httproutes"], &["get", "list", "watch", "create", "delete", "update"]),
            rule(ACME, &["challenges/finalizers"], &["update"]),
        ],
    ),
    (
        "ingress-shim",
        &[
            rule(OWN, &["certificates", "certificaterequests"], &["create", "update", "delete"]),
            rule(OWN, &["certificates", "certificaterequests", "issuers", "clusterissuers"], READ),
            rule(NETWORK, &["ingresses"], READ),
            rule(NETWORK, &["ingresses/finalizers"], &["update"]),
            rule(GATEWAY, &["gateways", "httproutes"], READ),
            rule(GATEWAY, &["gateways/finalizers", "httproutes/finalizers"], &["update"]),
            TELL,
        ],
    ),
    (
        "approve:cert-manager-io",
        &[rule(OWN, &["signers"], &["approve"])
            .only(&["issuers.cert-manager.io/*", "clusterissuers.cert-manager.io/*"])],
    ),
    (
        "certificatesigningrequests",
        &[
            rule(
                &["certificates.k8s.io"],
                &["certificatesigningrequests"],
                &["get", "list", "watch", "update"],
            ),
            rule(&["certificates.k8s.io"], &["certificatesigningrequests/status"], CHANGE),
            rule(&["certificates.k8s.io"], &["signers"], &["sign"])
                .only(&["issuers.cert-manager.io/*", "clusterissuers.cert-manager.io/*"]),
            rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
        ],
    ),
];

const INJECT: &[Rule] = &[
    rule(OWN, &["certificates"], READ),
    SECRETS,
    rule(CORE, &["events"], &["get", "create", "update", "patch"]),
    rule(
        &["admissionregistration.k8s.io"],
        &["validatingwebhookconfigurations", "mutatingwebhookconfigurations"],
        &["get", "list", "watch", "update", "patch"],
    ),
    rule(&["apiregistration.k8s.io"], &["apiservices"], &["get", "list", "watch", "update", "patch"]),
    rule(
        &["apiextensions.k8s.io"],
        &["customresourcedefinitions"],
        &["get", "list", "watch", "update", "patch"],
    ),
];

const LEAD: &[&str] = &["get", "update", "patch"];

/// Who its programs are, and their roles; and what its kinds add to the roles of people.
pub(super) fn add(objects: &mut Objects<'_>) {
    for name in ["cert-manager", WEBHOOK, INJECTOR, ROUTE53_ACCOUNT] {
        objects.add(&format!("account-{name}"), &account(name).object(None));
    }
    let controller = account("cert-manager");
    for (name, rules) in CONTROLLER {
        controller.may(objects, &format!("cert-manager-controller-{name}"), rules);
    }
    let leads = [
        rule(LEASE, &["leases"], LEAD).only(&["cert-manager-controller"]),
        rule(LEASE, &["leases"], &["create"]),
    ];
    controller.may_in(objects, LEASES, "cert-manager:leaderelection", &leads);
    // Tokens for who speaks to Route 53, and for nobody else.
    let token = rule(CORE, &["serviceaccounts/token"], &["create"]);
    let tokens = [token.only(&[ROUTE53_ACCOUNT])];
    controller.may_in(objects, NAMESPACE, "cert-manager-acme-dns01-route53-tokenrequest", &tokens);
    let tokens = [token.only(&["cert-manager"])];
    controller.may_in(objects, NAMESPACE, "cert-manager-tokenrequest", &tokens);

    let injector = account(INJECTOR);
    injector.may(objects, INJECTOR, INJECT);
    let leads = [
        rule(LEASE, &["leases"], LEAD).only(&[
            "cert-manager-cainjector-leader-election",
            "cert-manager-cainjector-leader-election-core",
        ]),
        rule(LEASE, &["leases"], &["create"]),
    ];
    injector.may_in(objects, LEASES, "cert-manager-cainjector:leaderelection", &leads);

    let webhook = account(WEBHOOK);
    let serving = [
        rule(CORE, &["secrets"], &["get", "list", "watch", "update"]).only(&["cert-manager-webhook-ca"]),
        rule(CORE, &["secrets"], &["create"]),
    ];
    webhook.may_in(objects, NAMESPACE, "cert-manager-webhook:dynamic-serving", &serving);
    let reviews = [rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"])];
    webhook.may(objects, "cert-manager-webhook:subjectaccessreviews", &reviews);

    let joins = |roles: &[&str]| -> BTreeMap<String, String> {
        let label =
            |role: &&str| (format!("rbac.authorization.k8s.io/aggregate-to-{role}"), "true".to_owned());
        roles.iter().map(label).collect()
    };
    let kinds: &[&str] = &["certificates", "certificaterequests", "issuers"];
    let write: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
    let view = [rule(OWN, kinds, READ), rule(ACME, &["challenges", "orders"], READ)];
    let edit = [
        rule(OWN, kinds, write),
        rule(OWN, &["certificates/status"], &["update"]),
        rule(ACME, &["challenges", "orders"], write),
    ];
    let cluster = [rule(OWN, &["clusterissuers"], READ)];
    for (name, roles, rules) in [
        ("cert-manager-view", &["view", "edit", "admin", "cluster-reader"][..], &view[..]),
        ("cert-manager-edit", &["edit", "admin"], &edit),
        ("cert-manager-cluster-view", &["cluster-reader"], &cluster),
    ] {
        objects.add(&format!("role-{name}"), &cluster_role(name, joins(roles), rules));
    }
}
