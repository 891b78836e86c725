//! Whose field it is, and whose object: what others set stays, what is ours comes back, and goes when it is not wanted.

use crate::control_plane::{access, api, registry};
use crate::{deployment, namespace, settings, stack};
use causeway_core::{
    Engine, Stack,
    engine::Run,
    plan::{Action, PlanOptions},
    store::MemoryStore,
    testing::Lifecycle,
};
use causeway_k8s::{
    Access, Manifest,
    k8s_openapi::api::{
        apps::v1::Deployment,
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::{ConfigMap, Namespace},
    },
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value as Json, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

fn web(access: &Access, space: &str, change: impl FnOnce(&mut Json)) -> Stack {
    stack(access, |stack| {
        stack.add("namespace", namespace(space));
        stack.add("web", deployment(space, change));
    })
}

async fn there(space: &str) -> Json {
    let deployments: Api<Deployment> = Api::namespaced(api(), space);
    serde_json::to_value(deployments.get("web").await.unwrap()).unwrap()
}

fn container<'a>(object: &'a Json, name: &str) -> &'a Json {
    let all = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap()
}

/// Names and values of variables.
fn variables(container: &Json) -> Vec<(&str, &str)> {
    let all = container["env"].as_array().unwrap();
    all.iter().map(|one| (one["name"].as_str().unwrap(), one["value"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn what_another_manager_takes_comes_back_and_what_it_adds_stays() {
    let (access, space) = (access(), "managers");
    let life = Lifecycle::start(registry(), web(&access, space, |_| ())).await;
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"theirs": "1"}, "annotations": {"team": "theirs"}},
        "spec": {
            "revisionHistoryLimit": 3,
            "template": {
                "metadata": {"annotations": {"theirs": "1"}},
                "spec": {"containers": [
                    {"name": "web", "image": "theirs:1", "env": [{"name": "A", "value": "theirs"}, {"name": "C", "value": "3"}]},
                    {"name": "beside", "image": "beside:1"},
                ]},
            },
        },
    });
    life.drift("taken by force", "web", async {
        let deployments: Api<Deployment> = Api::namespaced(api(), space);
        let force = PatchParams::apply("gitops").force();
        deployments.patch("web", &force, &Patch::Apply(&theirs)).await.unwrap();
    })
    .await;
    let now = there(space).await;
    let ours = container(&now, "web");
    assert_eq!(ours["image"], "web:1");
    assert_eq!(now["metadata"]["annotations"]["team"], "platform");
    let mut env = variables(ours);
    env.sort_unstable();
    assert_eq!(env, [("A", "1"), ("B", "2"), ("C", "3")]);
    assert_eq!(container(&now, "beside")["image"], "beside:1");
    assert_eq!(now["metadata"]["labels"]["theirs"], "1");
    assert_eq!(now["spec"]["revisionHistoryLimit"], 3);
    assert_eq!(now["spec"]["template"]["metadata"]["annotations"]["theirs"], "1");
    life.end().await;
}

#[tokio::test]
async fn what_is_not_set_any_more_goes_from_the_object() {
    let (access, space) = (access(), "less");
    let mut life = Lifecycle::start(registry(), web(&access, space, |_| ())).await;
    let before = there(space).await;
    assert_eq!(before["metadata"]["annotations"]["team"], "platform");
    let changed = life
        .change(
            "less of it",
            web(&access, space, |object| {
                object["metadata"].as_object_mut().unwrap().remove("annotations");
                let web = object["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap();
                web.remove("ports");
                web["env"].as_array_mut().unwrap().remove(0);
                web["resources"]["requests"].as_object_mut().unwrap().remove("memory");
            }),
        )
        .await;
    assert_eq!(changed, [("web".into(), Action::Update)]);
    let now = there(space).await;
    let ours = container(&now, "web");
    assert_eq!(now["metadata"]["annotations"]["team"], Json::Null);
    assert_eq!(variables(ours), [("B", "2")]);
    assert_eq!(ours["ports"], Json::Null);
    assert_eq!(ours["resources"]["requests"], json!({"cpu": "1"}));
    life.end().await;
}

#[tokio::test]
async fn row_182_an_autoscaler_says_how_many_replicas_there_are() {
    let (access, space) = (access(), "autoscaled");
    let all = |image: &'static str| {
        let scaler = json!({
            "metadata": {"name": "web", "namespace": space},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 2, "maxReplicas": 4,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
            },
        });
        let scaler: HorizontalPodAutoscaler = serde_json::from_value(scaler).unwrap();
        let mut stack = web(&access, space, |object| {
            object["spec"]["replicas"] = json!(1);
            let web = &mut object["spec"]["template"]["spec"]["containers"][0];
            web["image"] = json!(image);
            web["resources"] = json!({"requests": {"cpu": "10m"}});
        });
        stack.at(&access, |stack| drop(stack.add("scaler", Manifest::new(&scaler))));
        stack
    };
    let mut life = Lifecycle::start(registry(), all("web:1")).await;
    // The controller of Kubernetes itself: one replica is less than the least.
    let deadline = Instant::now() + Duration::from_secs(90);
    while there(space).await["spec"]["replicas"] != 2 {
        assert!(Instant::now() < deadline, "nothing scales");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(life.outputs("web").await["scaled_by"], "kube-controller-manager");
    assert_eq!(life.change("another image", all("web:2")).await, [("web".into(), Action::Update)]);
    let now = there(space).await;
    assert_eq!((&now["spec"]["replicas"], &container(&now, "web")["image"]), (&json!(2), &json!("web:2")));
    // We are one manager, however often we apply, and not the one of the replicas.
    let managers = now["metadata"]["managedFields"].as_array().unwrap().iter();
    let applied: Vec<&Json> = managers.filter(|by| by["operation"] == "Apply").collect();
    let [ours] = applied[..] else { panic!("{applied:?}") };
    assert_eq!(ours["manager"], "causeway");
    assert_eq!(ours["fieldsV1"]["f:spec"]["f:replicas"], Json::Null);
    life.end().await;
}

#[tokio::test]
async fn what_is_wanted_no_more_goes_in_reverse_and_only_if_it_is_ours() {
    let (access, space) = (access(), "pruned");
    let spaces: Api<Namespace> = Api::all(api());
    let named = json!({"metadata": {"name": space}});
    spaces.create(&PostParams::default(), &serde_json::from_value(named).unwrap()).await.unwrap();
    let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
    let map = |name: &str| {
        let mut map = settings(space, json!({"a": "ours"}));
        map.name = name.into();
        map
    };
    let chain = stack(&access, |stack| {
        let first = stack.add("first", map("first"));
        let second = stack.add("second", map("second"));
        let third = stack.add("third", map("third"));
        stack.after(second.address(), first.address());
        stack.after(third.address(), second.address());
        stack.add("replaced", map("replaced"));
    });
    let apply = async |stack: &Stack| {
        let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
        let report = engine.apply(planned, &Run::default()).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
        report.done.into_iter().map(|(address, action)| (address.0, action)).collect::<Vec<_>>()
    };
    apply(&chain).await;
    let maps: Api<ConfigMap> = Api::namespaced(api(), space);
    maps.delete("replaced", &DeleteParams::default()).await.unwrap();
    let theirs = json!({"metadata": {"name": "replaced"}, "data": {"a": "theirs"}});
    while maps.create(&PostParams::default(), &serde_json::from_value(theirs.clone()).unwrap()).await.is_err()
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut done = apply(&Stack::new("inside")).await;
    done.retain(|(address, _)| address != "replaced");
    let expected = ["third", "second", "first"].map(|address| (address.to_owned(), Action::Delete));
    assert_eq!(done, expected);
    for name in ["third", "second", "first"] {
        assert!(maps.get_opt(name).await.unwrap().is_none(), "{name}");
    }
    assert_eq!(
        maps.get("replaced").await.unwrap().data.unwrap()["a"],
        "theirs",
        "it was made by somebody else"
    );
    spaces.delete(space, &DeleteParams::default()).await.unwrap();
}
