//! Rollouts that do not come up: the real reason is told within seconds, hopeless ones end early, the rest of the plan is done.

use crate::control_plane::{access, api, registry};
use crate::{namespace, settings, stack};
use causeway_core::{Engine, Stack, Stop, engine::Run, event::Event, plan::PlanOptions, store::MemoryStore};
use causeway_k8s::{
    Manifest,
    custom::Certificate,
    k8s_openapi::api::{
        admissionregistration::v1::ValidatingWebhookConfiguration,
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        batch::v1::Job,
        core::v1::{ConfigMap, Namespace, Node, ResourceQuota, Secret, Service},
    },
    platform::{definitions, load_balancer_controller::SERVICE_CLASS},
};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const SPACE: &str = "reasons";
/// Its pods are refused by a policy of the API server, which speaks as webhooks do.
const DENIED: &str = "reasons-denied";
/// Pods have to be restricted in it.
const GUARDED: &str = "reasons-guarded";
/// A webhook that nobody answers is asked about what is in it.
const SILENT: &str = "reasons-silent";
/// No pod has room in it.
const FULL: &str = "reasons-full";

fn object<T: serde::de::DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

fn pods(name: &str, image: &str, change: impl FnOnce(&mut Json)) -> Json {
    let container = json!({"name": "web", "image": image, "resources": {"requests": {"cpu": "10m"}}});
    let mut template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}});
    change(&mut template["spec"]);
    template
}

fn workload(space: &str, name: &str, template: &Json, more: &Json) -> Json {
    let mut spec = json!({"selector": {"matchLabels": {"app": name}}, "template": template});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"metadata": {"name": name, "namespace": space}, "spec": spec})
}

fn deployment(space: &str, name: &str, image: &str, change: impl FnOnce(&mut Json)) -> Manifest<Deployment> {
    Manifest::new(&object(workload(space, name, &pods(name, image, change), &json!({}))))
}

fn everything(stack: &mut Stack) {
    let guarded = json!({"metadata": {"name": GUARDED, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let guarded = stack.add("guarded", Manifest::<Namespace>::new(&object(guarded)));
    for space in [SPACE, DENIED, SILENT, FULL] {
        stack.add(space, namespace(space));
    }
    let full = json!({"metadata": {"name": "all", "namespace": FULL}, "spec": {"hard": {"pods": "0"}}});
    let full = stack.add("quota", Manifest::<ResourceQuota>::new(&object(full)));
    let held = json!({"metadata": {"name": "held", "namespace": SPACE}, "stringData": {"a": "b"}});
    let held = stack.add("held", Manifest::<Secret>::new(&object(held)));

    stack.add("image", deployment(SPACE, "image", "missing:1", |_| ()));
    stack.add("crash", deployment(SPACE, "crash", "crash:1", |_| ()));
    let lacks = |secret: &'static str, key: &'static str| {
        move |spec: &mut Json| {
            let from = json!({"secretKeyRef": {"name": secret, "key": key}});
            spec["containers"][0]["env"] = json!([{"name": "A", "valueFrom": from}]);
        }
    };
    stack.add("secret", deployment(SPACE, "secret", "web:1", lacks("nobodys", "a")));
    let key = stack.add("key", deployment(SPACE, "key", "web:1", lacks("held", "b")));
    stack.after(key.address(), held.address());
    let security = stack.add("security", deployment(GUARDED, "security", "web:1", |_| ()));
    stack.after(security.address(), guarded.address());
    stack.add("denied", deployment(DENIED, "denied", "web:1", |_| ()));
    let more = json!({"serviceName": "set"});
    let set = workload(DENIED, "set", &pods("set", "web:1", |_| ()), &more);
    stack.add("set", Manifest::<StatefulSet>::new(&object(set)));
    stack.add("unanswered", deployment(SILENT, "unanswered", "web:1", |_| ()));
    let asked = json!({"metadata": {"name": "asked", "namespace": SILENT}, "data": {"a": "b"}});
    stack.add("asked", Manifest::<ConfigMap>::new(&object(asked)));
    let daemon = workload(SPACE, "daemon", &pods("daemon", "crash:1", |_| ()), &json!({}));
    stack.add("daemon", Manifest::<DaemonSet>::new(&object(daemon)));
    let template = pods("job", "crash:1", |spec| spec["restartPolicy"] = json!("Never"));
    let job = json!({"metadata": {"name": "job", "namespace": SPACE}, "spec": {"backoffLimit": 0, "template": template}});
    stack.add("job", Manifest::<Job>::new(&object(job)));

    stack.add(
        "nowhere",
        deployment(SPACE, "nowhere", "web:1", |spec| {
            spec["nodeSelector"] = json!({"reasons": "here"});
        }),
    );
    let fits = stack.add("fits", deployment(FULL, "fits", "web:1", |_| ()));
    stack.after(fits.address(), full.address());
    stack.add("probe", deployment(SPACE, "probe", "unready:1", |_| ()));

    stack.add(
        "volume",
        deployment(SPACE, "volume", "web:1", |spec| {
            spec["volumes"] = json!([{"name": "token", "secret": {"secretName": "late"}}]);
        }),
    );
    let controller =
        stack.add("controller", deployment(SPACE, "controller", "aws-load-balancer-controller:1", |_| ()));
    let annotations = json!({"service.beta.kubernetes.io/aws-load-balancer-subnets": "subnet-nobodys"});
    let balanced = json!({
        "metadata": {"name": "balanced", "namespace": SPACE, "annotations": annotations},
        "spec": {"type": "LoadBalancer", "loadBalancerClass": SERVICE_CLASS, "ports": [{"port": 80}]},
    });
    let balanced = stack.add("balanced", Manifest::<Service>::new(&object(balanced)));
    stack.after(balanced.address(), controller.address());

    let definitions = stack.add("definitions", definitions::cert_manager());
    let certificate = json!({
        "metadata": {"name": "web", "namespace": SPACE},
        "spec": {
            "secretName": "web", "dnsNames": ["coder.example", "*.coder.example"],
            "issuerRef": {"kind": "ClusterIssuer", "name": "nobody"},
        },
    });
    let certificate = stack.add("certificate", Manifest::<Certificate>::new(&object(certificate)));
    stack.after(certificate.address(), definitions.address());

    let good = stack.add("good", deployment(SPACE, "good", "web:1", |_| ()));
    let after = json!({"metadata": {"name": "after", "namespace": SPACE}, "data": {"a": "b"}});
    let after = stack.add("after", Manifest::<ConfigMap>::new(&object(after)));
    stack.after(after.address(), good.address());
}

/// A webhook that is away, without which nothing is made or changed in `space`, by the name of which it is called.
async fn silence(space: &str) {
    let operations = ["CREATE", "UPDATE"];
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": ["configmaps", "pods"]});
    let made = json!({"metadata": {"name": space}, "webhooks": [{
        "name": "silent.causeway.example",
        // The port for what is thrown away.
        "clientConfig": {"url": "https://127.0.0.1:9/"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}},
        "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"],
    }]});
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(api());
    webhooks.create(&PostParams::default(), &object(made)).await.unwrap();
}

async fn hear_again(space: &str) {
    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(api());
    webhooks.delete(space, &DeleteParams::default()).await.unwrap();
}

/// What the API server refuses, as an admission webhook would.
async fn policy() {
    let create = async |plural: &str, kind: &str, spec: Json| {
        let kind = ApiResource {
            group: "admissionregistration.k8s.io".into(),
            version: "v1".into(),
            api_version: "admissionregistration.k8s.io/v1".into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        let all: Api<DynamicObject> = Api::all_with(api(), &kind);
        let made = object(json!({"metadata": {"name": "reasons"}, "spec": spec}));
        all.create(&PostParams::default(), &made).await.unwrap();
    };
    let rule =
        json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [rule],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": DENIED}},
        },
        "validations": [{"expression": "false", "message": "no pods in here"}],
    });
    create("validatingadmissionpolicies", "ValidatingAdmissionPolicy", spec).await;
    let spec = json!({"policyName": "reasons", "validationActions": ["Deny"]});
    create("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", spec).await;
}

/// What each waited for, and when since the apply began.
type Waits = BTreeMap<String, Vec<(Duration, String)>>;

/// What was heard of an apply: waits, and what has ended.
#[derive(Clone, Default)]
struct Told {
    waits: Arc<Mutex<Waits>>,
    ended: Arc<Mutex<BTreeSet<String>>>,
}

impl Told {
    fn hear(&self, event: Event, at: Duration) {
        match event {
            Event::Waiting { address, on } => {
                self.waits.lock().unwrap().entry(address.0).or_default().push((at, on));
            }
            Event::Done { address, .. } | Event::Failed { address, .. } => {
                self.ended.lock().unwrap().insert(address.0);
            }
            _ => (),
        }
    }

    /// When `address` was first told to wait for something with these words in it.
    fn first(&self, address: &str, words: &str) -> Option<Duration> {
        let waits = self.waits.lock().unwrap();
        waits.get(address)?.iter().find(|(_, on)| on.contains(words)).map(|(at, _)| *at)
    }

    async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(240);
        while !is(self) {
            assert!(Instant::now() < deadline, "{what}: {:#?}", self.waits);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What cert-manager would make for the certificate.
async fn challenge() {
    let kind = ApiResource {
        group: "acme.cert-manager.io".into(),
        version: "v1".into(),
        api_version: "acme.cert-manager.io/v1".into(),
        kind: "Challenge".into(),
        plural: "challenges".into(),
    };
    let challenges: Api<DynamicObject> = Api::namespaced_with(api(), SPACE, &kind);
    let made = object(
        json!({"apiVersion": "acme.cert-manager.io/v1", "kind": "Challenge", "metadata": {"name": "web"}, "spec": {
            "authorizationURL": "https://acme.example/1", "url": "https://acme.example/2", "type": "DNS-01",
            "dnsName": "coder.example", "wildcard": true, "key": "key", "token": "token", "solver": {}, "issuerRef": {"name": "nobody"},
        }}),
    );
    // A webhook that guards them may be turned off by another test.
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = challenges.create(&PostParams::default(), &made).await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let why = Patch::Merge(json!({"status": {"reason": "Cloudflare says 403", "state": "pending"}}));
    challenges.patch_status("web", &PatchParams::default(), &why).await.unwrap();
}

/// Ends the apply, also where the test fails.
struct Abort(Stop);
impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const UNANSWERED: &str = "failed calling webhook \"silent.causeway.example\": failed to call webhook: ";

/// What may heal is waited for, and heals.
async fn heal(told: Told, stop: Stop, all: usize) {
    let _end = Abort(stop);
    for (address, words) in [
        ("nowhere", "Unschedulable: 0/"),
        ("fits", "exceeded quota: all"),
        ("volume", "FailedMount: MountVolume.SetUp failed for volume \"token\" : secret \"late\" not found"),
        ("probe", "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 500"),
        ("balanced", "its load balancer has no name yet: FailedBuildModel: "),
        ("asked", UNANSWERED),
        ("unanswered", UNANSWERED),
    ] {
        told.until(words, |told| told.first(address, words).is_some()).await;
    }
    challenge().await;
    let words = "challenge for coder.example: Cloudflare says 403";
    told.until(words, |told| told.first("certificate", words).is_some()).await;
    hear_again(SILENT).await;
    let quotas: Api<ResourceQuota> = Api::namespaced(api(), FULL);
    let room = Patch::Merge(json!({"spec": {"hard": {"pods": "1"}}}));
    quotas.patch("all", &PatchParams::default(), &room).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(api(), SPACE);
    secrets.create(&PostParams::default(), &object(json!({"metadata": {"name": "late"}}))).await.unwrap();
    let nodes: Api<Node> = Api::all(api());
    let node = nodes.list(&ListParams::default().labels("team=system")).await.unwrap().items.remove(0);
    let label = Patch::Merge(json!({"metadata": {"labels": {"reasons": "here"}}}));
    nodes.patch(node.metadata.name.as_ref().unwrap(), &PatchParams::default(), &label).await.unwrap();
    told.until("all but three end", |told| told.ended.lock().unwrap().len() == all - 3).await;
}

#[tokio::test]
async fn row_098_why_a_rollout_does_not_come_up_is_told_within_seconds() {
    let access = access();
    policy().await;
    silence(SILENT).await;
    // Where no node has joined yet, a daemon set has nothing to run, and is done.
    let nodes: Api<Node> = Api::all(api());
    while nodes.list(&ListParams::default()).await.unwrap().items.len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let engine = Engine::new(registry(), Arc::new(MemoryStore::default())).at_once(40);
    let stack = stack(&access, everything);
    let planned = engine.plan(&stack, &PlanOptions::default()).await.unwrap();
    let (told, stop, begun) = (Told::default(), Stop::default(), Instant::now());
    let heard = told.clone();
    let healing = tokio::spawn(heal(told.clone(), stop.clone(), planned.plan.steps.len()));
    let run =
        Run { stop, listener: Arc::new(move |event| heard.hear(event, begun.elapsed())), ..Run::default() };
    let report = engine.apply(planned, &run).await.unwrap();
    let done: Vec<&str> = report.done.iter().map(|(address, _)| address.0.as_str()).collect();
    for address in ["good", "after", "nowhere", "fits", "volume", "asked", "unanswered"] {
        assert!(done.contains(&address), "`{address}`: {report:#?}");
    }
    healing.await.unwrap();
    let failed: BTreeMap<&str, &str> =
        report.failed.iter().map(|(address, why)| (address.0.as_str(), why.as_str())).collect();
    let lines =
        "its last lines: the sandbox plays crash:1 | the sandbox ends this container with exit code 1";
    for (address, words) in [
        (
            "image",
            vec!["pod image-", "container web: ImagePullBackOff: Back-off pulling image \"missing:1\""],
        ),
        ("crash", vec!["pod crash-", "container web: CrashLoopBackOff: exit code 1, restarts: 3", lines]),
        (
            "secret",
            vec!["CreateContainerConfigError: secret \"nobodys\" not found; this plan does not make it"],
        ),
        ("key", vec!["couldn't find key b in secret reasons/held; this plan does not make it"]),
        ("security", vec!["violates PodSecurity \"restricted"]),
        ("denied", vec!["0 of 1 pods", "denied request: no pods in here"]),
        ("set", vec!["denied request: no pods in here"]),
        ("daemon", vec!["pod daemon-", "exit code 1, restarts: 3", lines]),
        ("job", vec!["BackoffLimitExceeded", "pod job-", "exit code 1", lines]),
        ("probe", vec!["aborted"]),
        ("balanced", vec!["aborted"]),
        ("certificate", vec!["aborted"]),
    ] {
        let why =
            failed.get(address).unwrap_or_else(|| panic!("`{address}` did not fail: {:#?}", told.waits));
        assert!(words.iter().all(|words| why.contains(words)), "`{address}`: {why}\n{:#?}", told.waits);
        // The words behind a count; a job fails at once.
        let first = told.first(address, ": ");
        let seconds = Duration::from_secs(30);
        assert!(
            address == "job" || first.is_some_and(|at| at < seconds),
            "`{address}`: {first:?} {:#?}",
            told.waits
        );
    }
}

/// Nothing else is going on that would show that the cluster is there.
#[tokio::test]
async fn a_change_that_waits_for_a_webhook_says_so_and_is_made_when_it_answers() {
    let (access, space) = (access(), "reasons-changed");
    let all = |value: &str| {
        stack(&access, |stack| {
            stack.add("namespace", namespace(space));
            stack.add("settings", settings(space, json!({"a": value})));
        })
    };
    let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
    let apply = async |value: &str, run: Run| {
        let planned = engine.plan(&all(value), &PlanOptions::default()).await.unwrap();
        let report = engine.apply(planned, &run).await.unwrap();
        assert!(report.is_complete(), "{report:#?}");
    };
    apply("1", Run::default()).await;
    silence(space).await;
    let maps: Api<ConfigMap> = Api::namespaced(api(), space);
    let other = Patch::Merge(json!({"data": {"b": "2"}}));
    let is_guarded =
        async || maps.patch("settings", &PatchParams::default().dry_run(), &other).await.is_err();
    while !is_guarded().await {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (told, begun) = (Told::default(), Instant::now());
    let heard = told.clone();
    let run = Run { listener: Arc::new(move |event| heard.hear(event, begun.elapsed())), ..Run::default() };
    tokio::join!(apply("2", run), async {
        told.until(UNANSWERED, |told| told.first("settings", UNANSWERED).is_some()).await;
        hear_again(space).await;
    });
    assert!(told.first("settings", UNANSWERED).unwrap() < Duration::from_secs(30), "{:#?}", told.waits);
}
