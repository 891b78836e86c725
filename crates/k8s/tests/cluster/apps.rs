//! Coder and LiteLLM in a real API server: every object passes strict validation, pods keep to what their namespace lets
//! them be and find nodes, all rollouts complete, and nobody may do more than is written.

use crate::{
    applications,
    control_plane::{access, api, by_boto3, registry},
    stack,
};
use causeway_core::{Address, Stack, testing::Lifecycle};
use causeway_k8s::{
    Manifest,
    k8s_openapi::{
        api::{
            apps::v1::Deployment,
            authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
            batch::v1::CronJob,
            core::v1::{Pod, Secret},
        },
        apimachinery::pkg::apis::meta::v1::ObjectMeta,
    },
    workload::Nodes,
};
use kube::{Api, Client, api::PostParams};
use serde_json::json;
use std::collections::BTreeMap;

/// Whether the account `coder-ws:coder` may `get pods` in a namespace, and the like.
async fn may(api: &Client, account: &str, what: &str, namespace: &str, name: Option<&str>) -> bool {
    let (verb, resource) = what.split_once(' ').unwrap();
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{account}")),
            resource_attributes: Some(ResourceAttributes {
                verb: Some(verb.into()),
                group: Some(group.into()),
                resource: Some(resource.into()),
                namespace: Some(namespace.into()),
                name: name.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(api.clone());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

async fn rights(api: &Client) {
    let all = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    for verb in all {
        for resource in ["pods", "persistentvolumeclaims", "deployments.apps"] {
            let what = format!("{verb} {resource}");
            assert!(may(api, "coder-ws:coder", &what, "coder-ws", None).await, "{what}");
            assert!(!may(api, "coder-ws:coder", &what, "coder-ws-demo", None).await, "{what} elsewhere");
            assert!(!may(api, "coder-ws:coder-ws", &what, "coder-ws", None).await, "a workspace: {what}");
            assert!(!may(api, "coder:coder", &what, "coder-ws", None).await, "the server: {what}");
        }
        let what = format!("{verb} secrets");
        assert!(!may(api, "coder-ws:coder", &what, "coder-ws", None).await, "{what}");
        let named = ["get", "patch", "update"].contains(&verb);
        let key = may(api, "coder-ws:rotate-key", &what, "coder-ws", Some("litellm")).await;
        assert_eq!(key, named || verb == "create", "{what} litellm");
        let other = may(api, "coder-ws:rotate-key", &what, "coder-ws", Some("psk")).await;
        assert_eq!(other, verb == "create", "{what} psk");
        let looks =
            may(api, "coder-ws:coder-logstream-kube", &format!("{verb} events"), "coder-ws", None).await;
        assert_eq!(looks, ["get", "list", "watch"].contains(&verb), "{verb} events");
    }
}

/// What other parts of a stack make: the controller of load balancers, and Secrets.
fn others(stack: &mut Stack) {
    let controller = json!({
        "metadata": {"name": "controller-for-apps", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "controller-for-apps"}},
            "template": {
                "metadata": {"labels": {"app": "controller-for-apps"}},
                "spec": {"containers": [{"name": "controller", "image": "a/aws-load-balancer-controller:v2"}]},
            },
        },
    });
    let controller: Deployment = serde_json::from_value(controller).unwrap();
    let controller = stack.add("controller", Manifest::new(&controller));
    for balanced in ["coder/service", "proxy/service"] {
        stack.after(&balanced.into(), controller.address());
    }
    let data = json!({"tls.crt": "eA==", "tls.key": "eA==", "proxy.key": "eA==", "token.key": "eA=="});
    for (namespace, name) in applications::OTHERS {
        let secret = json!({"metadata": {"name": name, "namespace": namespace}, "data": data});
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let secret = stack.add(&format!("others/{namespace}/{name}"), Manifest::new(&secret));
        let space = match namespace {
            "coder" => "coder/namespace/namespace".to_owned(),
            "coder-proxy" => "proxy/namespace/namespace".to_owned(),
            other => format!("{other}/workspaces/namespace"),
        };
        stack.after(secret.address(), &Address(space));
    }
}

/// What a template makes, told by what the namespace answers when it is tried.
async fn try_pod(api: &Client, namespace: &str, context: serde_json::Value) -> Result<Pod, kube::Error> {
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "tried"},
        "spec": {"containers": [{"name": "dev", "image": "dev:1", "securityContext": context}]},
    }));
    let pods: Api<Pod> = Api::namespaced(api.clone(), namespace);
    pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod.unwrap()).await
}

/// The pods that the jobs would start are taken as they are.
async fn jobs(api: &Client) {
    for (namespace, name) in
        [("litellm", "rotate-key"), ("coder-ws", "rotate-key"), ("coder", "fetch-and-store")]
    {
        let jobs: Api<CronJob> = Api::namespaced(api.clone(), namespace);
        let job = jobs.get(name).await.unwrap().spec.unwrap().job_template.spec.unwrap();
        let pod = Pod {
            metadata: ObjectMeta { name: Some(format!("{name}-tried")), ..job.template.metadata.unwrap() },
            spec: job.template.spec,
            status: None,
        };
        let pods: Api<Pod> = Api::namespaced(api.clone(), namespace);
        pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await.unwrap();
    }
}

#[tokio::test]
async fn coder_and_litellm_come_up_and_go() {
    let access = access();
    by_boto3(&["nodes", "objects", "apps", "6"]);
    for tag in ["kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"] {
        by_boto3(&["tag", "objects", tag]);
    }
    let nodes = Nodes { selector: BTreeMap::from([("team".into(), "apps".into())]), ..Nodes::default() };
    let all = stack(&access, |stack| {
        applications::everything(stack, Some(&nodes));
        others(stack);
    });
    let life = Lifecycle::start(registry(), all).await;
    for address in ["coder/service", "proxy/service"] {
        let outputs = life.outputs(address).await;
        assert!(outputs["address"].as_str().unwrap().contains("elb"), "{address}: {outputs}");
    }
    let api = &api();
    rights(api).await;
    jobs(api).await;
    try_pod(api, "coder-ws", json!({"runAsUser": 0})).await.unwrap();
    let refused = try_pod(api, "coder-ws", json!({"privileged": true})).await.unwrap_err().to_string();
    assert!(refused.contains("PodSecurity \"baseline"), "{refused}");
    let refused = try_pod(api, "coder", json!({"runAsUser": 0})).await.unwrap_err().to_string();
    assert!(refused.contains("PodSecurity \"restricted"), "{refused}");
    let pod = try_pod(api, "coder-ws", json!({})).await.unwrap().spec.unwrap();
    let limits = pod.containers[0].resources.clone().unwrap().limits.unwrap();
    assert_eq!(limits["ephemeral-storage"].0, "50Gi", "what a template does not say is bounded");
    life.end().await;
}
