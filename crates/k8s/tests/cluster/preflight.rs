//! What API servers say beforehand of what a plan changes: real policies, quotas and validation, in dry runs that are counted.

use crate::control_plane::{access, api, connect, registry};
use crate::{deployment, namespace, service, settings, stack};
use causeway_core::{
    Engine, Stack,
    engine::Run,
    finding::{Finding, Verdict},
    plan::PlanOptions,
    store::MemoryStore,
};
use causeway_k8s::{
    Manifest,
    custom::PrometheusRule,
    k8s_openapi::api::{
        core::v1::{ConfigMap, Secret},
        scheduling::v1::PriorityClass,
    },
    preflight,
};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value as Json, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

const SPACE: &str = "asked";

/// How many applies the API server has had that were dry runs, as it tells itself; other tests try other writes in it meanwhile.
async fn dry_runs() -> u64 {
    let request = http::Request::get("/metrics").body(vec![]).unwrap();
    let metrics = api().request_text(request).await.unwrap();
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_request_total{") && line.contains("dry_run=\"All\""))
        .filter(|line| line.contains("verb=\"APPLY\""));
    counted.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// What is found for `stack`, and with how many dry runs.
async fn found(engine: &Engine, stack: &Stack) -> (Vec<Finding>, u64) {
    let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
    let wanted = planned.wanted(engine.registry());
    let before = dry_runs().await;
    let findings = preflight::ask(&planned, &wanted, connect).await;
    assert!(findings.iter().all(|f| f.check == preflight::CHECK), "{findings:#?}");
    (findings, dry_runs().await - before)
}

fn objects<T: serde::de::DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

fn map(name: &str, data: Json) -> Manifest<ConfigMap> {
    Manifest::new(&objects(json!({"metadata": {"name": name, "namespace": SPACE}, "data": data})))
}

/// Its value cannot change.
fn class(value: i32) -> Manifest<PriorityClass> {
    Manifest::new(&objects(json!({"metadata": {"name": "asked"}, "value": value})))
}

/// Everything after the namespace, as stacks have it.
fn world(build: impl FnOnce(&mut Stack)) -> Stack {
    let mut all = stack(&access(), |stack| {
        stack.add("namespace", namespace(SPACE));
        build(stack);
    });
    let later: Vec<_> = all.nodes().keys().filter(|one| one.0 != "namespace").cloned().collect();
    for one in later {
        all.after(&one, &"namespace".into());
    }
    all
}

async fn apply<T: serde::Serialize>(plural: &str, kind: &str, at: Option<&str>, name: &str, object: T) {
    let mut object = serde_json::to_value(object).unwrap();
    let (group, version) = match kind {
        "ResourceQuota" => ("", "v1"),
        _ => ("admissionregistration.k8s.io", "v1"),
    };
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    object["metadata"] = json!({"name": name});
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version,
        kind: kind.into(),
        plural: plural.into(),
    };
    let objects: Api<DynamicObject> = match at {
        Some(space) => Api::namespaced_with(api(), space, &resource),
        None => Api::all_with(api(), &resource),
    };
    objects.patch(name, &PatchParams::apply("admins"), &Patch::Apply(object)).await.unwrap();
}

/// As administrators do: an image that nobody may run, and no services.
async fn rules() {
    let rule = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]});
    let names = json!({"matchLabels": {"kubernetes.io/metadata.name": SPACE}});
    let image = "object.spec.template.spec.containers.all(c, !c.image.startsWith('denied'))";
    let policy = json!({"spec": {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": names},
        "validations": [{"expression": image, "message": "no such image here, says the policy"}],
    }});
    let binding = json!({"spec": {"policyName": "asked", "validationActions": ["Deny"]}});
    apply("validatingadmissionpolicies", "ValidatingAdmissionPolicy", None, "asked", policy).await;
    apply("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", None, "asked", binding)
        .await;
    let quota = json!({"spec": {"hard": {"count/services": "0"}}});
    apply("resourcequotas", "ResourceQuota", Some(SPACE), "asked", quota).await;
}

/// That `address` is refused with these words.
fn told(findings: &[Finding], address: &str, words: &[&str]) {
    let one = findings.iter().find(|f| f.asked.ends_with(&format!(" takes {address}")));
    let one = one.unwrap_or_else(|| panic!("{address}: {findings:#?}"));
    assert_eq!(one.verdict, Verdict::Failed, "{one:#?}");
    let told = format!("{} {}", one.answer, one.remedy.as_deref().unwrap_or_default());
    assert!(words.iter().all(|word| told.contains(word)), "{words:?}: {one:#?}");
}

/// What is found for alerts before the cluster has their definition. The tests of the platform bring it, for good, and ask here before.
pub(crate) async fn without_definitions() -> &'static [Finding] {
    static FOUND: OnceCell<Vec<Finding>> = OnceCell::const_new();
    let ask = async || {
        let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
        let rule = json!({"metadata": {"name": "alerts", "namespace": "default"}, "spec": {}});
        let alerts = Manifest::<PrometheusRule>::new(&objects(rule));
        let stack = stack(&access(), |stack| {
            stack.add("alerts", alerts);
        });
        let planned = engine.plan(&stack, &PlanOptions::default()).await.unwrap();
        preflight::ask(&planned, &planned.wanted(engine.registry()), connect).await
    };
    FOUND.get_or_init(ask).await
}

#[tokio::test]
async fn a_definition_that_nothing_brings_is_told_before_anything_is_changed() {
    let words = ["knows no prometheusrules.monitoring.coreos.com", "Prometheus operator"];
    told(without_definitions().await, "alerts", &words);
}

#[tokio::test]
async fn what_an_api_server_would_refuse_is_told_before_anything_is_changed() {
    let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
    let image = |image: &'static str| {
        move |object: &mut Json| {
            let pod = &mut object["spec"]["template"]["spec"]["containers"][0];
            pod["image"] = json!(image);
            pod["resources"] = json!({});
        }
    };
    let first = world(|stack| {
        stack.add("settings", settings(SPACE, json!({"a": "1"})));
        stack.add("wrong", map("wrong", json!({"a": "1"})));
        stack.add("taken", map("taken", json!({"a": "1"})));
        stack.add("web", deployment(SPACE, image("web:1")));
        stack.add("class", class(1));
    });
    // All but the namespace stand in a namespace that this very plan makes.
    let (findings, calls) = found(&engine, &first).await;
    let verdicts: Vec<Verdict> = findings.iter().map(|f| f.verdict).collect();
    assert_eq!((verdicts, calls), (vec![Verdict::Passed], 1), "{findings:#?}");
    assert!(findings[0].asked.ends_with("takes 1 of the objects that change"), "{findings:#?}");
    assert!(findings[0].answer.starts_with("it does; 5 more cannot be asked"), "{findings:#?}");
    let planned = engine.plan(&first, &PlanOptions::default()).await.unwrap();
    let report = engine.apply(planned, &Run::default()).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(found(&engine, &first).await, (vec![], 0), "what is clean is not asked about");

    rules().await;
    let maps: Api<ConfigMap> = Api::namespaced(api(), SPACE);
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "taken"}, "data": {"a": "theirs"}});
    maps.patch("taken", &PatchParams::apply("somebody").force(), &Patch::Apply(&theirs)).await.unwrap();
    let second = world(|stack| {
        stack.add("settings", settings(SPACE, json!({"a": "2"})));
        stack.add("wrong", map("wrong", json!({"no key": "1"})));
        stack.add("taken", map("taken", json!({"a": "1"})));
        stack.add("web", deployment(SPACE, image("denied:1")));
        stack.add("service", service(SPACE, json!({"ports": [{"port": 80}]})));
        let nowhere = json!({"metadata": {"name": "lost", "namespace": "nobodys"}});
        stack.add("lost", Manifest::<ConfigMap>::new(&objects(nowhere)));
        // These are not asked: one is secret, and of the other the old one is in the way.
        let secret = json!({"metadata": {"name": "held", "namespace": SPACE}, "stringData": {"a": "b"}});
        stack.add("held", Manifest::<Secret>::new(&objects(secret)));
        stack.add("class", class(2));
    });
    let resource = |map: ConfigMap| map.metadata.resource_version.unwrap();
    let before = resource(maps.get("settings").await.unwrap());
    // The policy is in force a moment after it is there.
    let mut asked = found(&engine, &second).await;
    for _ in 0..20 {
        if asked.0.iter().any(|f| f.answer.contains("says the policy")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        asked = found(&engine, &second).await;
    }
    let (findings, calls) = asked;
    let refused = |address: &str, words: &[&str]| told(&findings, address, words);
    refused("web", &["no such image here, says the policy", "policy, webhook, quota or right"]);
    refused("service", &["exceeded quota: asked"]);
    refused("wrong", &["no key", "data[no key]"]);
    refused("lost", &["namespaces \"nobodys\" not found", "make the namespace"]);
    assert_eq!(findings.len(), 5, "{findings:#?}");
    // What somebody took comes back by force, as the plan shows it.
    let taken = findings.last().unwrap();
    assert!(taken.asked.ends_with("takes 2 of the objects that change"), "{taken:#?}");
    assert!(taken.verdict == Verdict::Passed && taken.answer.starts_with("it does; 2 more"), "{taken:#?}");
    // One for each, and one more by force.
    assert_eq!(calls, 7, "{findings:#?}");
    assert_eq!(resource(maps.get("settings").await.unwrap()), before, "nothing was changed");
    assert_eq!(maps.get("taken").await.unwrap().data.unwrap()["a"], "theirs");

    let gone = engine.plan(&stack(&access(), |_| ()), &PlanOptions::default()).await.unwrap();
    assert!(engine.apply(gone, &Run::default()).await.unwrap().is_complete());
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_one_line() {
    let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
    let space = "unheard";
    let all = stack(&access(), |stack| {
        for name in ["a", "b"] {
            stack.add(name, namespace(&format!("{space}-{name}")));
        }
    });
    let planned = engine.plan(&all, &PlanOptions::default()).await.unwrap();
    let wanted = planned.wanted(engine.registry());
    let elsewhere = |mut access: causeway_k8s::Access| {
        access.endpoint = "https://127.0.0.1:1".into();
        connect(access)
    };
    let findings = preflight::ask(&planned, &wanted, elsewhere).await;
    let [one] = &findings[..] else { panic!("{findings:#?}") };
    assert_eq!(one.verdict, Verdict::Unreachable, "{one:#?}");
    assert!(
        one.asked.ends_with("the API server of objects in us-west-2 takes 2 of the objects that change"),
        "{one:#?}"
    );
}
