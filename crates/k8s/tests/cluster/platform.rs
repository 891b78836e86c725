//! The platform in a real API server, with upstream's own definitions: every object passes strict validation, all
//! rollouts complete, and what is guarded is guarded.

use crate::{
    control_plane::{access, api, by_boto3, registry, sandbox, where_it_is},
    rights::{What, all_of, may},
    settings,
    together::Together,
};
use causeway_core::{Stack, testing::Lifecycle};
use causeway_k8s::{
    crds::{Crds, File},
    custom::{ClusterIssuer, IssuerSpec, SelfSigned},
    k8s_openapi::{
        api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Service},
        apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
        apimachinery::pkg::apis::meta::v1::ObjectMeta,
    },
    platform,
    workload::Nodes,
};
use causeway_sandbox::kubernetes::{Behaviour, Controller};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, PostParams},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::{Duration, Instant},
};

/// As the chart of the same version has it: what the controller may do in any namespace.
const CONTROLLER: &[(&str, &str)] = &[
    ("issuers.cert-manager.io", "get list patch update watch"),
    ("issuers/status.cert-manager.io", "patch update"),
    ("clusterissuers.cert-manager.io", "get list patch update watch"),
    ("clusterissuers/status.cert-manager.io", "patch update"),
    ("certificates.cert-manager.io", "create delete get list patch update watch"),
    ("certificates/status.cert-manager.io", "patch update"),
    ("certificates/finalizers.cert-manager.io", "update"),
    ("certificaterequests.cert-manager.io", "create delete get list patch update watch"),
    ("certificaterequests/status.cert-manager.io", "patch update"),
    ("certificaterequests/finalizers.cert-manager.io", "update"),
    ("orders.acme.cert-manager.io", "create delete get list patch update watch"),
    ("orders/status.acme.cert-manager.io", "patch update"),
    ("orders/finalizers.acme.cert-manager.io", "update"),
    ("challenges.acme.cert-manager.io", "create delete get list patch update watch"),
    ("challenges/status.acme.cert-manager.io", "patch update"),
    ("challenges/finalizers.acme.cert-manager.io", "update"),
    ("secrets", "create delete get list patch update watch"),
    ("events", "create patch"),
    ("pods", "create delete get list watch"),
    ("services", "create delete get list watch"),
    ("ingresses.networking.k8s.io", "create delete get list update watch"),
    ("ingresses/finalizers.networking.k8s.io", "update"),
    ("httproutes.gateway.networking.k8s.io", "create delete get list update watch"),
    ("httproutes/finalizers.gateway.networking.k8s.io", "update"),
    ("gateways.gateway.networking.k8s.io", "get list watch"),
    ("gateways/finalizers.gateway.networking.k8s.io", "update"),
    ("certificatesigningrequests.certificates.k8s.io", "get list update watch"),
    ("certificatesigningrequests/status.certificates.k8s.io", "patch update"),
    ("subjectaccessreviews.authorization.k8s.io", "create"),
    // Nothing of these, nor of what others of its programs may.
    ("pods/exec", ""),
    ("nodes", ""),
    ("configmaps", ""),
    ("serviceaccounts/token", ""),
    ("leases.coordination.k8s.io", ""),
    ("roles.rbac.authorization.k8s.io", ""),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", ""),
];
/// And the one that tells who signs.
const INJECTOR: &[(&str, &str)] = &[
    ("certificates.cert-manager.io", "get list watch"),
    ("secrets", "get list watch"),
    ("events", "create get patch update"),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", "get list patch update watch"),
    ("mutatingwebhookconfigurations.admissionregistration.k8s.io", "get list patch update watch"),
    ("apiservices.apiregistration.k8s.io", "get list patch update watch"),
    ("customresourcedefinitions.apiextensions.k8s.io", "get list patch update watch"),
    ("issuers.cert-manager.io", ""),
    ("configmaps", ""),
];
/// And the one that checks what people write.
const WEBHOOK: &[(&str, &str)] = &[
    ("subjectaccessreviews.authorization.k8s.io", "create"),
    ("secrets", ""),
    ("certificates.cert-manager.io", ""),
];

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() }
}

/// What the API server says of an object, which is not made.
async fn try_one<K>(namespace: Option<&str>, object: K) -> Result<(), kube::Error>
where
    K: kube::Resource<DynamicType = ()> + serde::Serialize,
{
    let kind = ApiResource::erase::<K>(&());
    let objects: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(api(), namespace, &kind),
        None => Api::all_with(api(), &kind),
    };
    let mut json = serde_json::to_value(object).unwrap();
    json["apiVersion"] = json!(kind.api_version);
    json["kind"] = json!(kind.kind);
    let tried = PostParams { dry_run: true, ..PostParams::default() };
    objects.create(&tried, &serde_json::from_value(json).unwrap()).await.map(drop)
}

async fn rights_of_cert_manager() {
    let api = &api();
    for (name, table) in [
        ("cert-manager", CONTROLLER),
        ("cert-manager-cainjector", INJECTOR),
        ("cert-manager-webhook", WEBHOOK),
    ] {
        let account = format!("cert-manager:{name}");
        let found = all_of(api, &account, table.iter().map(|(resource, _)| *resource), "default").await;
        let wanted = table.iter().flat_map(|(resource, verbs)| {
            verbs.split_whitespace().map(move |verb| format!("{verb} {resource}"))
        });
        assert_eq!(found, wanted.collect::<BTreeSet<_>>(), "{name}");
    }
    // What is bound to a name: leases, the certificate of the webhook, tokens, and who signs.
    let leases = "leases.coordination.k8s.io";
    let signers = "signers.certificates.k8s.io";
    let approved = "signers.cert-manager.io";
    let ours = "clusterissuers.cert-manager.io/any";
    for (account, verb, resource, namespace, name, is) in [
        ("cert-manager", "update", leases, "kube-system", "cert-manager-controller", true),
        ("cert-manager", "create", leases, "kube-system", "", true),
        ("cert-manager", "update", leases, "kube-system", "kube-scheduler", false),
        ("cert-manager", "update", leases, "cert-manager", "cert-manager-controller", false),
        ("cert-manager", "create", "serviceaccounts/token", "cert-manager", "cert-manager", true),
        (
            "cert-manager",
            "create",
            "serviceaccounts/token",
            "cert-manager",
            "cert-manager-acme-dns01-route53",
            true,
        ),
        ("cert-manager", "create", "serviceaccounts/token", "cert-manager", "cert-manager-webhook", false),
        ("cert-manager", "approve", approved, "", ours, false),
        ("cert-manager", "approve", approved, "", "clusterissuers.cert-manager.io/*", true),
        ("cert-manager", "sign", signers, "", "clusterissuers.cert-manager.io/*", true),
        ("cert-manager", "sign", signers, "", "kubernetes.io/kubelet-serving", false),
        (
            "cert-manager-cainjector",
            "patch",
            leases,
            "kube-system",
            "cert-manager-cainjector-leader-election",
            true,
        ),
        ("cert-manager-cainjector", "patch", leases, "kube-system", "cert-manager-controller", false),
        ("cert-manager-webhook", "update", "secrets", "cert-manager", "cert-manager-webhook-ca", true),
        ("cert-manager-webhook", "create", "secrets", "cert-manager", "", true),
        ("cert-manager-webhook", "get", "secrets", "cert-manager", "cloudflare-token", false),
        ("cert-manager-webhook", "get", "secrets", "default", "cert-manager-webhook-ca", false),
    ] {
        let some = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let what = What { verb, resource, namespace: some(namespace), name: some(name) };
        let answer = may(api, &format!("cert-manager:{account}"), what).await;
        assert_eq!(answer, is, "{account}: {verb} {resource} {namespace} {name}");
    }
}

async fn rights_of_the_others() {
    let api = &api();
    let asked = async |account: &str, verb: &str, resource: &str, namespace: Option<&str>| {
        may(api, account, What { verb, resource, namespace, name: None }).await
    };
    let controller = "kube-system:aws-load-balancer-controller";
    assert!(asked(controller, "patch", "services/status", Some("default")).await);
    assert!(
        !asked(controller, "update", "leases.coordination.k8s.io", Some("kube-system")).await,
        "any lease"
    );
    assert!(!asked(controller, "get", "secrets", Some("kube-system")).await);
    let karpenter = "karpenter:karpenter";
    for (verb, resource) in [
        ("create", "nodeclaims.karpenter.sh"),
        ("create", "pods/eviction"),
        ("patch", "ec2nodeclasses/status.karpenter.k8s.aws"),
        ("delete", "nodes"),
    ] {
        assert!(asked(karpenter, verb, resource, None).await, "karpenter: {verb} {resource}");
    }
    assert!(!asked(karpenter, "get", "secrets", None).await);
}

/// The definitions of cert-manager that are there, with what they say of themselves.
async fn definitions() -> BTreeMap<String, CustomResourceDefinition> {
    let all: Api<CustomResourceDefinition> = Api::all(api());
    let all = all.list(&ListParams::default()).await.unwrap().items;
    let named = all.into_iter().map(|one| (one.metadata.name.clone().unwrap(), one));
    named.filter(|(name, _)| name.ends_with("cert-manager.io")).collect()
}

const DEFINED: [&str; 6] = [
    "certificaterequests.cert-manager.io",
    "certificates.cert-manager.io",
    "challenges.acme.cert-manager.io",
    "clusterissuers.cert-manager.io",
    "issuers.cert-manager.io",
    "orders.acme.cert-manager.io",
];

async fn are_established() {
    let found = definitions().await;
    assert_eq!(found.keys().collect::<Vec<_>>(), DEFINED);
    for (name, one) in found {
        let conditions = one.status.unwrap().conditions.unwrap();
        assert!(conditions.iter().any(|it| it.type_ == "Established" && it.status == "True"), "{name}");
        assert_eq!(one.metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "causeway", "{name}");
    }
}

/// Nobody answers the webhooks: Services can be made all the same, ours at once.
async fn services_without_webhooks() {
    let (account, region, name) = where_it_is();
    let cluster = sandbox().cluster(account, region, name).unwrap();
    cluster.set(Controller::Webhooks, Behaviour::Down);
    let services: Api<Service> = Api::namespaced(api(), "default");
    let mut told = vec![];
    for (name, kind, class) in [
        ("ours", "LoadBalancer", true),
        ("theirs", "LoadBalancer", false),
        ("inner", "ClusterIP", false),
        ("port", "NodePort", false),
    ] {
        let mut spec = json!({"type": kind, "selector": {"app": "none"}, "ports": [{"port": 80}]});
        if class {
            spec["loadBalancerClass"] = json!(platform::load_balancer_controller::SERVICE_CLASS);
        }
        let service = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
        let made = services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await;
        told.extend(made.err().map(|why| format!("{name}: {why}")));
        let _ = services.delete(name, &DeleteParams::default()).await;
    }
    // What is `Fail` is refused, so that somebody was to be asked.
    let spec = IssuerSpec { self_signed: Some(SelfSigned {}), ..IssuerSpec::default() };
    let tried = try_one(None, ClusterIssuer { metadata: named("tried"), spec }).await;
    cluster.set(Controller::Webhooks, Behaviour::Works);
    assert!(told.is_empty(), "{told:#?}");
    let why = tried.unwrap_err().to_string();
    assert!(why.contains("failed calling webhook"), "{why}");
}

/// The apply does not give up while the webhook is silent, and makes nothing that it would have been asked about: how many
/// issuers there were, four seconds after it was to be asked.
async fn silent_for_a_while() -> usize {
    let (account, region, name) = where_it_is();
    let cluster = sandbox().cluster(account, region, name).unwrap();
    cluster.set(Controller::Webhooks, Behaviour::Down);
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(api());
    let is_told = async || {
        let found = webhooks.get_opt("cert-manager-webhook").await.unwrap();
        let hooks = found.and_then(|one| one.webhooks).unwrap_or_default();
        !hooks.is_empty() && hooks.iter().all(|hook| hook.client_config.ca_bundle.is_some())
    };
    let begun = Instant::now();
    while !is_told().await && begun.elapsed() < Duration::from_secs(240) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let issuers: Api<ClusterIssuer> = Api::all(api());
    let made = issuers.list(&ListParams::default()).await.unwrap().items.len();
    cluster.set(Controller::Webhooks, Behaviour::Works);
    made
}

/// As upstream's own job looks whether its API is ready.
async fn a_certificate_is_taken() {
    let hosts = ["tried.example.com"];
    let object = platform::cert_manager::certificate("default", "tried", "letsencrypt", &hosts);
    try_one(Some("default"), object).await.unwrap();
}

static SEEN: LazyLock<Together> = LazyLock::new(|| Together::of(seen));

async fn seen() -> Together {
    crate::preflight::without_definitions().await;
    let nodes = Nodes { selector: BTreeMap::from([("team".into(), "system".into())]), ..Nodes::default() };
    let rules = Crds {
        name: "prometheus".into(),
        files: vec![File {
            url: "https://raw.githubusercontent.com/prometheus-operator/prometheus-operator/v0.85.0/example/\
                  prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"
                .into(),
            sha256: Some("98fd16c9ab79fba8dcd6ef62c957c98cd6546ab74ce0a4ecf09ddf2fda03020e".into()),
            names: vec!["prometheusrules.monitoring.coreos.com".into()],
        }],
    };
    let access = access();
    by_boto3(&["tag", where_it_is().2, "nodes"]);
    let mut stack = Stack::new("platform");
    stack.at(&access, |stack| {
        settings::platform(stack, &nodes);
        let rules = stack.add("rules", rules);
        let alerts = platform::alerts::add(stack, &settings::alerts());
        stack.after(&alerts[0], rules.address());
        stack.after(&alerts[0], &"cert-manager/namespace".into());
    });
    let silence = tokio::spawn(silent_for_a_while());
    let life = Lifecycle::start(registry(), stack).await;
    let made = silence.await.unwrap();

    let mut together = Together::default();
    together.check("definitions", are_established()).await;
    together.check("rights of cert-manager", rights_of_cert_manager()).await;
    together.check("rights of the others", rights_of_the_others()).await;
    together
        .check("start", async {
            assert_eq!(made, 0, "made before the webhook answered");
            a_certificate_is_taken().await;
        })
        .await;
    together.check("services", services_without_webhooks()).await;
    life.end().await;
    together
        .check("kept", async {
            assert_eq!(definitions().await.keys().collect::<Vec<_>>(), DEFINED);
            let issuers: Api<ClusterIssuer> = Api::all(api());
            assert_eq!(issuers.list(&ListParams::default()).await.unwrap().items.len(), 0);
        })
        .await;
    together
}

#[test]
fn the_platform_comes_up_and_goes() {
    SEEN.passed("rights of the others");
}

#[test]
fn row_076_cert_manager_definitions() {
    SEEN.passed("definitions");
    SEEN.passed("kept");
}

#[test]
fn row_079_cert_manager_rights() {
    SEEN.passed("rights of cert-manager");
}

/// No job that waits a minute and fails: what the webhook guards is asked again until it answers.
#[test]
fn row_080_startup_check() {
    SEEN.passed("start");
}

/// With the controller gone no new Service of the cluster could be made before.
#[test]
fn row_089_services_without_their_webhook() {
    SEEN.passed("services");
}
