//! The load balancer of a Service: waited for with a reason, read from its status, and kept when the Service is made anew.

use crate::{
    balancing,
    control_plane::{access, api, by_boto3, registry, sandbox, where_it_is},
    namespace, stack,
};
use causeway_core::{Engine, Stack, engine::Run, event::Event, plan::PlanOptions, store::MemoryStore};
use causeway_k8s::{
    Access, Manifest, k8s_openapi::api::core::v1::Service, platform::load_balancer_controller::SERVICE_CLASS,
};
use causeway_sandbox::kubernetes::{Behaviour, Cluster, Controller};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// One after the other: the stand-in is told to be away, which it then is for both.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn cluster() -> Cluster {
    let (account, region, name) = where_it_is();
    by_boto3(&["tag", name, "kubernetes.io/role/elb"]);
    sandbox().cluster(account, region, name).unwrap()
}

fn engine() -> Engine {
    Engine::new(registry(), Arc::new(MemoryStore::default()))
}

/// A controller, and Services with a load balancer that is protected or not.
fn balanced(access: &Access, space: &str, names: &[&str], protected: bool) -> Stack {
    stack(access, |stack| {
        stack.add("namespace", namespace(space));
        let controller = stack.add("controller", balancing(space));
        for &name in names {
            let annotations = json!({
                "service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing",
                "service.beta.kubernetes.io/aws-load-balancer-attributes":
                    format!("deletion_protection.enabled={protected}"),
            });
            let object = json!({
                "metadata": {"name": name, "namespace": space, "annotations": annotations},
                "spec": {"type": "LoadBalancer", "loadBalancerClass": SERVICE_CLASS, "ports": [{"port": 443}]},
            });
            let service = stack.add(name, Manifest::<Service>::new(&serde_json::from_value(object).unwrap()));
            stack.after(service.address(), controller.address());
        }
    })
}

async fn apply(engine: &Engine, stack: &Stack, run: Run) {
    let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
    let report = engine.apply(planned, &run).await.unwrap();
    assert!(report.is_complete(), "{report:#?}");
}

async fn outputs(engine: &Engine, stack: &Stack, address: &str) -> Json {
    let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
    assert!(planned.plan.is_empty(), "{:?}", planned.plan);
    planned.observed.live[&address.into()].outputs.clone()
}

/// The load balancers of a Service in AWS.
fn in_aws(of: &str) -> Vec<Json> {
    let all = by_boto3(&["balancers", where_it_is().2]);
    let its = |one: &&Json| one["tags"]["service.k8s.aws/stack"] == of;
    all.as_array().unwrap().iter().filter(its).cloned().collect()
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Its name is what its status says, whoever writes it; and until it says one, that is what is waited for.
#[tokio::test]
async fn row_104_load_balancer_wait() {
    let (_alone, access, space) = (ALONE.lock().await, access(), "waited");
    let (cluster, engine) = (cluster(), engine());
    cluster.set(Controller::LoadBalancers, Behaviour::Down);
    let stack = balanced(&access, space, &["told", "made"], false);
    let planned = engine.plan(&stack, &PlanOptions::default()).await.unwrap();
    // What each waits for, and what is done.
    let told: Arc<Mutex<BTreeMap<String, Vec<String>>>> = Arc::default();
    let heard = Arc::clone(&told);
    let listener = move |event| match event {
        Event::Waiting { address, on } => heard.lock().unwrap().entry(address.0).or_default().push(on),
        Event::Done { address, .. } => {
            heard.lock().unwrap().entry(address.0).or_default().push("done".into())
        }
        _ => (),
    };
    let has = |address: &str, words: &str| {
        told.lock().unwrap().get(address).is_some_and(|all| all.iter().any(|one| one.contains(words)))
    };
    let run = Run { listener: Arc::new(listener), ..Run::default() };
    let (report, ()) = tokio::join!(engine.apply(planned, &run), async {
        until("both wait", || {
            ["told", "made"].iter().all(|name| has(name, "its load balancer has no name yet"))
        })
        .await;
        let services: Api<Service> = Api::namespaced(api(), space);
        let status = json!({"status": {"loadBalancer": {"ingress": [{"hostname": "told.elb.example"}]}}});
        services.patch_status("told", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        until("the one that is told is done", || has("told", "done")).await;
        assert!(!has("made", "done"));
        assert!(in_aws("waited/made").is_empty());
        cluster.set(Controller::LoadBalancers, Behaviour::Works);
    });
    let report = report.unwrap();
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(outputs(&engine, &stack, "told").await["address"], "told.elb.example");
    let [one] = &in_aws("waited/made")[..] else { panic!("not one load balancer") };
    assert_eq!(outputs(&engine, &stack, "made").await["address"], one["address"]);
    apply(&engine, &Stack::new("inside"), Run::default()).await;
    until("it is gone", || in_aws("waited/made").is_empty()).await;
}

/// A Service that hangs is taken away by hand, with its finalizers; the one that the next apply makes has the same address,
/// without the dump, the edits and the deletions by force that the README took.
#[tokio::test]
async fn row_105_load_balancer_adoption() {
    let (_alone, access, space) = (ALONE.lock().await, access(), "adopted");
    let (cluster, engine) = (cluster(), engine());
    let stack = balanced(&access, space, &["web"], true);
    apply(&engine, &stack, Run::default()).await;
    let before = outputs(&engine, &stack, "web").await;
    let [first] = &in_aws("adopted/web")[..] else { panic!("not one load balancer") };
    assert_eq!(first["address"], before["address"]);

    cluster.set(Controller::LoadBalancers, Behaviour::Down);
    let services: Api<Service> = Api::namespaced(api(), space);
    services.delete("web", &DeleteParams::default()).await.unwrap();
    let stuck = services.get("web").await.unwrap();
    assert!(stuck.metadata.deletion_timestamp.is_some(), "it is gone without its load balancer");
    let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    services.patch("web", &PatchParams::default(), &none).await.unwrap();
    assert!(services.get_opt("web").await.unwrap().is_none());
    cluster.set(Controller::LoadBalancers, Behaviour::Works);

    apply(&engine, &stack, Run::default()).await;
    let after = outputs(&engine, &stack, "web").await;
    assert_ne!(after["uid"], before["uid"]);
    assert_eq!(after["address"], before["address"]);
    assert_eq!(in_aws("adopted/web").len(), 1);
    // And it goes once it is not protected any more.
    let stack = balanced(&access, space, &["web"], false);
    apply(&engine, &stack, Run::default()).await;
    apply(&engine, &Stack::new("inside"), Run::default()).await;
    until("it is gone", || in_aws("adopted/web").is_empty()).await;
}
