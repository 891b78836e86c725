//! The platform in a real API server, with upstream's own definitions: every object passes strict validation, all
//! rollouts complete, and what is guarded is guarded.

use crate::control_plane::{access, api, by_boto3, registry, sandbox, where_it_is};
use crate::settings;
use causeway_core::{Stack, testing::Lifecycle};
use causeway_k8s::{
    crds::{Crds, File},
    k8s_openapi::api::{
        authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
        core::v1::Service,
    },
    platform,
    workload::Nodes,
};
use causeway_sandbox::kubernetes::{Behaviour, Controller};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use std::collections::BTreeMap;

/// May the account do this? As the API server says it.
async fn may(
    account: (&str, &str),
    verb: &str,
    group: &str,
    resource: &str,
    namespace: Option<&str>,
) -> bool {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub.to_owned())),
        None => (resource, None),
    };
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{}:{}", account.0, account.1)),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.into()),
                group: Some(group.into()),
                resource: Some(resource.into()),
                subresource,
                namespace: namespace.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(api());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

fn service(name: &str, class: bool) -> Service {
    let mut spec = json!({"type": "LoadBalancer", "selector": {"app": "none"}, "ports": [{"port": 80}]});
    if class {
        spec["loadBalancerClass"] = json!(platform::load_balancer_controller::SERVICE_CLASS);
    }
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec})).unwrap()
}

#[tokio::test]
async fn the_platform_comes_up_and_goes() {
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
    let life = Lifecycle::start(registry(), stack).await;

    let controller = ("kube-system", "aws-load-balancer-controller");
    assert!(may(controller, "patch", "", "services/status", Some("default")).await);
    assert!(
        !may(controller, "update", "coordination.k8s.io", "leases", Some("kube-system")).await,
        "any lease"
    );
    assert!(!may(controller, "get", "", "secrets", Some("kube-system")).await);
    let karpenter = ("karpenter", "karpenter");
    for (verb, group, resource) in [
        ("create", "karpenter.sh", "nodeclaims"),
        ("create", "", "pods/eviction"),
        ("patch", "karpenter.k8s.aws", "ec2nodeclasses/status"),
        ("delete", "", "nodes"),
    ] {
        assert!(may(karpenter, verb, group, resource, None).await, "karpenter: {verb} {resource}");
    }
    assert!(!may(karpenter, "get", "", "secrets", None).await);
    let cert_manager = ("cert-manager", "cert-manager");
    assert!(may(cert_manager, "create", "acme.cert-manager.io", "orders", Some("default")).await);
    assert!(may(cert_manager, "create", "coordination.k8s.io", "leases", Some("kube-system")).await);
    assert!(!may(cert_manager, "create", "", "pods/exec", Some("default")).await);

    // Nobody answers the webhooks: Services can be made all the same, ours at once.
    let (account, region, name) = where_it_is();
    let cluster = sandbox().cluster(account, region, name).unwrap();
    cluster.set(Controller::Webhooks, Behaviour::Down);
    let services: Api<Service> = Api::namespaced(api(), "default");
    for (name, class) in [("ours", true), ("theirs", false)] {
        services.create(&PostParams::default(), &service(name, class)).await.unwrap();
        services.delete(name, &DeleteParams::default()).await.unwrap();
    }
    cluster.set(Controller::Webhooks, Behaviour::Works);
    life.end().await;
}
