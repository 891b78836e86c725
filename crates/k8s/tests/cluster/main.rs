//! Objects in a real API server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "../apps/settings.rs"]
mod applications;
mod apps;
mod balancers;
mod control_plane;
mod immutable;
mod platform;
mod preflight;
mod reasons;
mod rights;
#[path = "../platform/settings.rs"]
mod settings;
mod together;
mod versions;
mod whose;

use causeway_core::{
    Engine, Stack,
    plan::{Action, PlanOptions},
    store::MemoryStore,
    testing::Lifecycle,
};
use causeway_k8s::{
    Access, Manifest,
    k8s_openapi::api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Secret, Service},
    },
};
use control_plane::{access, api, registry};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn namespace(name: &str) -> Manifest<Namespace> {
    Manifest::new(&serde_json::from_value(json!({"metadata": {"name": name}})).unwrap())
}

fn settings(namespace: &str, data: Json) -> Manifest<ConfigMap> {
    let object = json!({"metadata": {"name": "settings", "namespace": namespace}, "data": data});
    Manifest::new(&serde_json::from_value(object).unwrap())
}

fn service(namespace: &str, spec: Json) -> Manifest<Service> {
    let object = json!({"metadata": {"name": "web", "namespace": namespace}, "spec": spec});
    Manifest::new(&serde_json::from_value(object).unwrap())
}

fn deployment(namespace: &str, change: impl FnOnce(&mut Json)) -> Manifest<Deployment> {
    let mut object = json!({
        "metadata": {"name": "web", "namespace": namespace, "annotations": {"team": "platform"}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{
                    "name": "web", "image": "web:1",
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                    "ports": [{"containerPort": 80}],
                    "resources": {"requests": {"cpu": "1000m", "memory": "0.5Gi"}},
                }]},
            },
        },
    });
    change(&mut object);
    Manifest::new(&serde_json::from_value(object).unwrap())
}

/// A pod that stands in for the controller of load balancers.
fn balancing(namespace: &str) -> Manifest<Deployment> {
    deployment(namespace, |object| {
        object["spec"]["replicas"] = json!(1);
        let web = &mut object["spec"]["template"]["spec"]["containers"][0];
        web["image"] = json!("a/aws-load-balancer-controller:v2");
        web["resources"] = json!({"requests": {"cpu": "10m"}});
    })
}

fn stack(access: &Access, build: impl FnOnce(&mut Stack)) -> Stack {
    let mut stack = Stack::new("inside");
    stack.at(access, build);
    stack
}

#[tokio::test]
async fn objects_live_change_and_go() {
    let (access, space) = (access(), "life");
    let all = |data: Json, spec: Json| {
        stack(&access, |stack| {
            stack.add("namespace", namespace(space));
            stack.add("settings", settings(space, data));
            stack.add("service", service(space, spec));
        })
    };
    let ports = json!([{"name": "http", "port": 80, "targetPort": "http"}]);
    let spec = |kind: &str| json!({"type": kind, "selector": {"app": "web"}, "ports": ports});
    let first = all(json!({"a": "1", "b": "2"}), spec("ClusterIP"));
    let mut life = Lifecycle::start(registry(), first).await;

    let maps: Api<ConfigMap> = Api::namespaced(api(), space);
    let theirs = json!({"data": {"a": "changed", "c": "theirs"}});
    life.drift("edited by somebody", "settings", async {
        let patch = Patch::Merge(&theirs);
        maps.patch(
            "settings",
            &PatchParams { field_manager: Some("somebody".into()), ..Default::default() },
            &patch,
        )
        .await
        .unwrap();
    })
    .await;
    let data = maps.get("settings").await.unwrap().data.unwrap();
    assert_eq!((data["a"].as_str(), data["c"].as_str()), ("1", "theirs"), "ours came back, theirs stayed");

    let changed = life.change("less", all(json!({"a": "1"}), spec("ClusterIP"))).await;
    assert_eq!(changed, [("settings".into(), Action::Update)]);
    let data = maps.get("settings").await.unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["a", "c"], "what is not wanted any more is removed");

    let changed = life.change("another type", all(json!({"a": "1"}), spec("NodePort"))).await;
    assert_eq!(changed, [("service".into(), Action::Update)]);
    life.end().await;
}

#[tokio::test]
async fn what_the_server_writes_differently_is_no_difference() {
    let (access, space) = (access(), "normal");
    let all = |change: fn(&mut Json)| {
        stack(&access, |stack| {
            stack.add("namespace", namespace(space));
            stack.add("web", deployment(space, change));
        })
    };
    let mut life = Lifecycle::start(registry(), all(|_| ())).await;
    let deployments: Api<Deployment> = Api::namespaced(api(), space);
    let written = deployments.get("web").await.unwrap();
    assert!(
        serde_json::to_string(&written).unwrap().contains(r#""cpu":"1""#),
        "the server did not normalise"
    );

    let more = life
        .change(
            "one variable less",
            all(|object| {
                object["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut().unwrap().remove(0);
            }),
        )
        .await;
    assert_eq!(more, [("web".into(), Action::Update)]);
    let replaced = life
        .change(
            "another selector",
            all(|object| {
                object["spec"]["selector"]["matchLabels"]["app"] = json!("other");
                object["spec"]["template"]["metadata"]["labels"]["app"] = json!("other");
            }),
        )
        .await;
    assert_eq!(replaced, [("web".into(), Action::ReplaceDeleteFirst)]);
    life.end().await;
}

#[tokio::test]
async fn how_many_replicas_there_are_is_left_to_who_scales() {
    let (access, space) = (access(), "scaled");
    let all = |image: &'static str| {
        stack(&access, |stack| {
            stack.add("namespace", namespace(space));
            stack.add(
                "web",
                deployment(space, |object| {
                    let web = &mut object["spec"]["template"]["spec"]["containers"][0];
                    web["image"] = json!(image);
                    web["resources"] = json!({"requests": {"cpu": "100m"}});
                }),
            );
        })
    };
    let mut life = Lifecycle::start(registry(), all("web:1")).await;
    let deployments: Api<Deployment> = Api::namespaced(api(), space);
    let scale = Patch::Merge(json!({"spec": {"replicas": 0}}));
    deployments.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
    let scale = Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments.patch_scale("web", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(life.change("another image", all("web:2")).await, [("web".into(), Action::Update)]);
    assert_eq!(deployments.get("web").await.unwrap().spec.unwrap().replicas, Some(3));
    life.end().await;
}

#[tokio::test]
async fn secrets_reach_the_cluster_and_nothing_else() {
    let (access, space) = (access(), "secrets");
    let all = |value: &str| {
        let mut secret: Manifest<Secret> = Manifest::new(
            &serde_json::from_value(
                json!({"metadata": {"name": "token", "namespace": space}, "type": "Opaque"}),
            )
            .unwrap(),
        );
        secret.object["data"] = json!({"token": causeway_core::Secret::new(value)});
        stack(&access, |stack| {
            stack.add("namespace", namespace(space));
            stack.add("token", secret);
        })
    };
    let mut life = Lifecycle::start(registry(), all("hunter2")).await;
    let secrets: Api<Secret> = Api::namespaced(api(), space);
    let held = async || secrets.get("token").await.unwrap().data.unwrap()["token"].0.clone();
    assert_eq!(held().await, b"hunter2");
    assert_eq!(life.change("another", all("hunter3")).await, [("token".into(), Action::Update)]);
    assert_eq!(held().await, b"hunter3");
    life.drift("overwritten", "token", async {
        let patch = Patch::Merge(json!({"stringData": {"token": "theirs"}}));
        secrets.patch("token", &PatchParams::default(), &patch).await.unwrap();
    })
    .await;
    assert_eq!(held().await, b"hunter3");
    life.end().await;
}

#[tokio::test]
async fn a_cluster_that_cannot_show_who_it_is_is_told_at_once() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let stranger = rcgen::generate_simple_self_signed(vec!["somebody".into()]).unwrap().cert.pem();
    let access = Access { certificate_authority: STANDARD.encode(stranger).into(), ..access() };
    let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
    let stack = stack(&access, |stack| drop(stack.add("settings", settings("default", json!({"a": "1"})))));
    let begun = Instant::now();
    let error = match engine.plan(&stack, &PlanOptions::default()).await {
        Ok(planned) => panic!("{:?}", planned.plan),
        Err(error) => causeway_core::error::chain(&error),
    };
    assert!(error.contains("a certificate that the cluster's authority did not sign"), "{error}");
    assert!(error.contains("UnknownIssuer") || error.contains("BadSignature"), "{error}");
    // Half a minute where it is repeated.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
