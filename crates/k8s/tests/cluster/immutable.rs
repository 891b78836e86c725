//! What cannot change in place is replaced, and the plan says why; a load balancer that is protected goes only with a permit.

use crate::control_plane::{access, api, by_boto3, registry};
use crate::{balancing, deployment, namespace, stack};
use causeway_core::{
    Engine, Stack,
    engine::{EngineError, Run},
    guard::Rules,
    plan::{Action, Plan, PlanOptions},
    store::MemoryStore,
};
use causeway_k8s::{
    Manifest,
    k8s_openapi::api::{
        apps::v1::{Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::Service,
    },
    platform::load_balancer_controller::SERVICE_CLASS,
};
use kube::Api;
use serde_json::{Value as Json, json};
use std::sync::Arc;

fn object<T: serde::de::DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

fn engine() -> Engine {
    Engine::new(registry(), Arc::new(MemoryStore::default()))
}

/// Applies with a permit for these addresses, and answers with what was planned.
async fn apply(engine: &Engine, stack: &Stack, permits: &[&str]) -> Result<Plan, EngineError> {
    let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
    let plan = planned.plan.clone();
    let permits = permits.iter().map(|&address| address.into()).collect();
    let run = Run { rules: Rules { permits, ..Rules::default() }, ..Run::default() };
    let report = engine.apply(planned, &run).await?;
    assert!(report.is_complete(), "{report:#?}");
    Ok(plan)
}

/// What is done to the resource, and why.
fn step(plan: &Plan, address: &str) -> (Action, String) {
    let step = plan.step(&address.into()).unwrap_or_else(|| panic!("nothing is done to `{address}`"));
    (step.action, step.why.clone().unwrap_or_default())
}

async fn refused(engine: &Engine, stack: &Stack) -> Vec<String> {
    match apply(engine, stack, &[]).await {
        Err(EngineError::Refused(why)) => why.into_iter().map(|one| one.why).collect(),
        other => panic!("it is not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_change_in_place_is_replaced_and_says_why() {
    let (access, space) = (access(), "immutable");
    let all = |word: &str, size: &str| {
        let labels = json!({"app": word});
        let template = |more: Json| {
            let mut spec = json!({"containers": [{"name": "web", "image": format!("{word}:1")}]});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"metadata": {"labels": {"app": "set"}}, "spec": spec})
        };
        let claim = json!({
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}},
        });
        let set = json!({
            "metadata": {"name": "set", "namespace": space},
            "spec": {
                "replicas": 0, "serviceName": "set", "selector": {"matchLabels": {"app": "set"}},
                "template": template(json!({})), "volumeClaimTemplates": [claim],
            },
        });
        let job = json!({
            "metadata": {"name": "job", "namespace": space},
            "spec": {"template": template(json!({"restartPolicy": "Never"}))},
        });
        stack(&access, |stack| {
            stack.add("namespace", namespace(space));
            stack.add(
                "web",
                deployment(space, |object| {
                    object["spec"]["selector"]["matchLabels"] = labels.clone();
                    object["spec"]["template"]["metadata"]["labels"] = labels;
                }),
            );
            stack.add("set", Manifest::<StatefulSet>::new(&object(set)));
            stack.add("job", Manifest::<Job>::new(&object(job)));
        })
    };
    let engine = engine();
    apply(&engine, &all("one", "1Gi"), &[]).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(api(), space);
    let before = deployments.get("web").await.unwrap().metadata.uid;
    let plan = apply(&engine, &all("two", "2Gi"), &[]).await.unwrap();
    for (address, field) in [
        ("web", "`object.spec.selector` cannot change in place"),
        ("set", "`object.spec.volumeClaimTemplates` cannot change in place"),
        ("job", "`object.spec.template` cannot change in place"),
    ] {
        let (action, why) = step(&plan, address);
        assert_eq!(action, Action::ReplaceDeleteFirst, "{address}");
        assert!(why.starts_with(field) && why.contains("the old one goes first"), "{address}: {why}");
    }
    assert_ne!(deployments.get("web").await.unwrap().metadata.uid, before);
    let sets: Api<StatefulSet> = Api::namespaced(api(), space);
    let set = serde_json::to_value(sets.get("set").await.unwrap()).unwrap();
    let size = set.pointer("/spec/volumeClaimTemplates/0/spec/resources/requests/storage");
    assert_eq!(size, Some(&json!("2Gi")));
    apply(&engine, &Stack::new("inside"), &[]).await.unwrap();
}

#[tokio::test]
async fn a_protected_load_balancer_goes_only_with_a_permit() {
    let (access, space) = (access(), "balanced");
    by_boto3(&["tag", "objects", "kubernetes.io/role/elb"]);
    by_boto3(&["tag", "objects", "kubernetes.io/role/internal-elb"]);
    let all = |scheme: &str, protected: bool, wanted: bool| {
        let service = |name: &str, spec: Json, annotations: Json| {
            let metadata = json!({"name": name, "namespace": space, "annotations": annotations});
            Manifest::<Service>::new(&object(json!({"metadata": metadata, "spec": spec})))
        };
        let annotations = json!({
            "service.beta.kubernetes.io/aws-load-balancer-scheme": scheme,
            "service.beta.kubernetes.io/aws-load-balancer-attributes":
                format!("deletion_protection.enabled={protected},load_balancing.cross_zone.enabled=true"),
        });
        let ports = json!([{"port": 443}]);
        let spec = json!({"type": "LoadBalancer", "loadBalancerClass": SERVICE_CLASS, "ports": ports});
        stack(&access, |stack| {
            stack.add("namespace", namespace(space));
            let controller = stack.add("controller", balancing(space));
            if wanted {
                let web = stack.add("web", service("web", spec, annotations));
                stack.after(web.address(), controller.address());
                stack.add("inner", service("inner", json!({"ports": ports}), json!({})));
            }
        })
    };
    let engine = engine();
    apply(&engine, &all("internet-facing", true, true), &[]).await.unwrap();
    let addresses = || {
        let all = by_boto3(&["balancers", "objects"]);
        let ours = |one: &&Json| one["tags"]["service.k8s.aws/stack"] == "balanced/web";
        all.as_array().unwrap().iter().filter(ours).count()
    };
    assert_eq!(addresses(), 1);

    // The controller would make another one, with another address.
    let internal = all("internal", true, true);
    let why = refused(&engine, &internal).await;
    assert!(
        why.len() == 1 && why[0].contains("would be replaced") && why[0].ends_with("--permit web"),
        "{why:?}"
    );
    let plan = apply(&engine, &internal, &["web"]).await.unwrap();
    let (action, why) = step(&plan, "web");
    assert_eq!(action, Action::ReplaceDeleteFirst);
    assert!(why.contains("aws-load-balancer-scheme` cannot change in place"), "{why}");
    assert_eq!(addresses(), 1);

    // Any other change is made in place, and what is not protected goes without a permit.
    let gone = all("internal", true, false);
    let why = refused(&engine, &gone).await;
    assert!(
        why.len() == 1 && why[0].contains("would be deleted") && why[0].ends_with("--permit web"),
        "{why:?}"
    );
    let plan = apply(&engine, &all("internal", false, true), &[]).await.unwrap();
    assert_eq!(step(&plan, "web").0, Action::Update);
    apply(&engine, &all("internal", true, true), &[]).await.unwrap();
    let plan = apply(&engine, &gone, &["web"]).await.unwrap();
    assert!(step(&plan, "web").1.contains("takes along its load balancer, which is protected"));
    assert_eq!(addresses(), 0);
    apply(&engine, &Stack::new("inside"), &[]).await.unwrap();
}
