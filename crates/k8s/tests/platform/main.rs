//! The platform as objects: what they are to the letter, and what all of them keep to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod settings;

use causeway_core::{
    Address, Stack,
    secret::{SealKey, Sealed},
};
use causeway_k8s::{
    Access,
    platform::{self, definitions},
    workload::Nodes,
};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

fn stack(build: impl FnOnce(&mut Stack)) -> Stack {
    let access = Access {
        region: "us-east-2".into(),
        name: "coder".into(),
        endpoint: "https://127.0.0.1".into(),
        certificate_authority: "".into(),
    };
    let mut stack = Stack::new("platform");
    stack.at(&access, build);
    stack
}

fn system() -> Nodes {
    let selector = BTreeMap::from([("node.amazonaws.io/managed-by".into(), "asg".into())]);
    Nodes { selector, ..Nodes::default() }
}

fn everything() -> Stack {
    stack(|stack| {
        settings::platform(stack, &system());
        stack.scope("alerts", |stack| platform::alerts::add(stack, &settings::alerts()));
    })
}

/// All objects by address, as they are planned.
fn objects(stack: &Stack) -> Map<String, Json> {
    let one = |(address, node): (&Address, &causeway_core::stack::Node)| {
        let mut spec = node.spec.clone();
        let fields = spec.as_object_mut().unwrap();
        fields.remove("tags");
        fields.insert("kind".into(), json!(node.kind));
        (address.0.clone(), spec)
    };
    stack.nodes().iter().map(one).collect()
}

fn golden(name: &str, stack: &Stack) {
    stack.check().unwrap();
    let sealed = Sealed::of(&Json::Object(objects(stack)), &SealKey::fixed("golden"));
    assert!(!sealed.as_json().to_string().contains("the token of Cloudflare"));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!(name, sealed.as_json()));
}

#[test]
fn cert_manager_is_these_objects() {
    golden(
        "cert-manager",
        &stack(|stack| {
            platform::cert_manager::add(stack, &settings::cert_manager(&system()));
        }),
    );
}

#[test]
fn the_load_balancer_controller_is_these_objects() {
    golden(
        "load-balancer-controller",
        &stack(|stack| {
            let settings = settings::load_balancer_controller(&system());
            platform::load_balancer_controller::add(stack, &settings, &[]);
        }),
    );
}

#[test]
fn karpenter_is_these_objects() {
    golden(
        "karpenter",
        &stack(|stack| {
            platform::karpenter::add(stack, &settings::karpenter(&system()));
        }),
    );
}

#[test]
fn storage_and_alerts_are_these_objects() {
    golden(
        "storage-and-alerts",
        &stack(|stack| {
            platform::storage::add(stack, &platform::storage::Settings::default());
            platform::alerts::add(stack, &settings::alerts());
        }),
    );
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn of<'a>(all: &'a Map<String, Json>, kind: &'a str) -> impl Iterator<Item = (&'a String, &'a Json)> {
    all.iter().filter(move |(_, object)| object["kind"] == kind)
}

/// What is wrong with workloads: bounds, rights, probes, spread, accounts.
fn wrong(all: &Map<String, Json>) -> Vec<String> {
    let mut wrong = vec![];
    let accounts: BTreeSet<(&str, &str)> = of(all, "k8s.core.service_account")
        .map(|(_, object)| (text(&object["namespace"]), text(&object["name"])))
        .collect();
    for (address, object) in of(all, "k8s.apps.deployment") {
        let mut say = |what: String| wrong.push(format!("{address}: {what}"));
        let spec = &object["object"]["spec"];
        let (labels, pod) = (&spec["template"]["metadata"]["labels"], &spec["template"]["spec"]);
        let chooses = |selector: &Json| {
            let all = selector["matchLabels"].as_object().unwrap();
            !all.is_empty() && all.iter().all(|(key, value)| labels[key] == *value)
        };
        if !accounts.contains(&(text(&object["namespace"]), text(&pod["serviceAccountName"]))) {
            say("no such account".into());
        }
        let spread = list(&pod["topologySpreadConstraints"]);
        if !chooses(&spec["selector"]) || !spread.iter().all(|spread| chooses(&spread["labelSelector"])) {
            say("chooses other pods".into());
        }
        let alone = spec["replicas"] == 1;
        if !alone && spread.len() < 2 {
            say("is not spread".into());
        }
        let budgets = of(all, "k8s.policy.pod_disruption_budget");
        let budgets =
            budgets.filter(|(_, b)| b["name"] == object["name"] && b["namespace"] == object["namespace"]);
        if budgets.count() != usize::from(!alone) {
            say("budget".into());
        }
        if pod["securityContext"]["runAsNonRoot"] != true || pod["securityContext"]["runAsUser"] == 0 {
            say("runs as root".into());
        }
        for container in list(&pod["containers"]) {
            for kind in ["requests", "limits"] {
                for resource in ["cpu", "memory", "ephemeral-storage"] {
                    if container["resources"][kind][resource].is_null() {
                        say(format!("no {kind} of {resource}"));
                    }
                }
            }
            let own = &container["securityContext"];
            let bound = own["allowPrivilegeEscalation"] == false
                && own["capabilities"]["drop"] == json!(["ALL"])
                && own["readOnlyRootFilesystem"] == true
                && own["seccompProfile"]["type"] == "RuntimeDefault";
            if !bound {
                say("has rights that it need not have".into());
            }
            let ports: Vec<&str> = list(&container["ports"]).iter().map(|port| text(&port["name"])).collect();
            for probe in ["livenessProbe", "readinessProbe"] {
                let probe = &container[probe];
                let port = ["httpGet", "tcpSocket"].map(|way| text(&probe[way]["port"]));
                if !port.iter().any(|port| ports.contains(port)) {
                    say("is not asked whether it is well".into());
                }
            }
        }
    }
    wrong
}

#[test]
fn all_workloads_keep_to_the_rules() {
    let all = objects(&everything());
    assert_eq!(of(&all, "k8s.apps.deployment").count(), 5);
    assert_eq!(wrong(&all), Vec::<String>::new());
}

#[test]
fn each_rule_finds_what_breaks_it() {
    type Break = fn(&mut Json);
    let breaks: [(&str, Break); 7] = [
        ("no limits of ephemeral-storage", |spec| {
            spec["template"]["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"].take();
        }),
        ("has rights", |spec| {
            spec["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"].take();
        }),
        ("runs as root", |spec| spec["template"]["spec"]["securityContext"]["runAsUser"] = json!(0)),
        ("is not asked", |spec| {
            spec["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] = json!("other");
        }),
        ("chooses other pods", |spec| {
            spec["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = json!("other");
        }),
        ("is not spread", |spec| {
            spec["template"]["spec"]["topologySpreadConstraints"].take();
        }),
        ("no such account", |spec| spec["template"]["spec"]["serviceAccountName"] = json!("default")),
    ];
    for (what, change) in breaks {
        let mut all = objects(&everything());
        change(&mut all["karpenter/controller"]["object"]["spec"]);
        let found = wrong(&all);
        assert!(
            found.iter().any(|wrong| wrong.starts_with(&format!("karpenter/controller: {what}"))),
            "{found:?}"
        );
    }
}

/// Everything that is made before the object at `address`.
fn before(stack: &Stack, address: &str) -> BTreeSet<String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![Address::from(address)]);
    while let Some(next) = open.pop() {
        for earlier in &stack.nodes()[&next].after {
            if seen.insert(earlier.0.clone()) {
                open.push(earlier.clone());
            }
        }
    }
    seen
}

#[test]
fn what_guards_and_what_defines_comes_before_what_is_guarded_and_defined() {
    let stack = everything();
    let all = objects(&stack);
    for (later, earlier) in [
        ("cert-manager/cert-manager-webhook", "cert-manager/binding-cert-manager-webhook:dynamic-serving"),
        ("cert-manager/validating", "cert-manager/cert-manager-webhook"),
        ("cert-manager/issuer-letsencrypt", "cert-manager/validating"),
        ("cert-manager/issuer-letsencrypt", "cert-manager/definitions"),
        ("load-balancer-controller/certificate", "cert-manager/validating"),
        ("load-balancer-controller/controller", "load-balancer-controller/certificate"),
        ("load-balancer-controller/mutating", "load-balancer-controller/controller"),
        ("load-balancer-controller/class", "load-balancer-controller/definitions"),
        ("karpenter/pool-coder-ws", "karpenter/class-workspaces"),
        ("karpenter/class-workspaces", "karpenter/controller"),
        ("karpenter/class-workspaces", "karpenter/definitions"),
    ] {
        assert!(before(&stack, later).contains(earlier), "{later} does not wait for {earlier}");
    }
    for (address, object) in &all {
        let room = match text(&object["namespace"]) {
            space @ ("cert-manager" | "karpenter") => format!("{space}/namespace"),
            _ => continue,
        };
        assert!(address.starts_with("alerts/") || before(&stack, address).contains(&room), "{address}");
    }
}

#[test]
fn a_controller_that_is_away_keeps_nobody_from_making_services_of_ours() {
    let all = objects(&everything());
    let hooks = |address: &str| list(&all[address]["object"]["webhooks"]);
    let services: Vec<&Json> = ["cert-manager", "load-balancer-controller"]
        .iter()
        .flat_map(|scope| ["mutating", "validating"].map(|kind| format!("{scope}/{kind}")))
        .flat_map(|address| hooks(&address))
        .filter(|hook| {
            list(&hook["rules"]).iter().any(|rule| list(&rule["resources"]).contains(&json!("services")))
        })
        .collect();
    let [hook] = services[..] else { panic!("{services:?}") };
    assert_eq!(hook["failurePolicy"], "Ignore");
    assert!(text(&hook["matchConditions"][0]["expression"]).contains("!has(object.spec.loadBalancerClass)"));
}

#[test]
fn pods_of_bottlerocket_write_to_its_large_disk_and_every_disk_is_encrypted() {
    let all = objects(&everything());
    let disks = |class: &str| -> BTreeMap<String, String> {
        let disks = list(&all[&format!("karpenter/class-{class}")]["object"]["spec"]["blockDeviceMappings"]);
        assert!(disks.iter().all(|disk| disk["ebs"]["encrypted"] == true));
        disks.iter().map(|d| (text(&d["deviceName"]).into(), text(&d["ebs"]["volumeSize"]).into())).collect()
    };
    let map = |all: &[(&str, &str)]| all.iter().map(|&(k, v)| (k.into(), v.into())).collect();
    assert_eq!(disks("workspaces"), map(&[("/dev/xvda", "20Gi"), ("/dev/xvdb", "1400Gi")]));
    assert_eq!(disks("server"), map(&[("/dev/xvda", "100Gi")]));
}

#[test]
fn a_pool_has_the_nodes_that_pods_of_its_purpose_ask_for() {
    let all = objects(&everything());
    let pool = &all["karpenter/pool-coder-ws"]["object"]["spec"];
    let wanted = Nodes::dedicated("coder-ws");
    assert_eq!(pool["template"]["metadata"]["labels"], json!(wanted.selector));
    let taint = &pool["template"]["spec"]["taints"][0];
    let tolerated = &wanted.tolerations[0];
    assert_eq!(
        (taint["key"].as_str(), taint["value"].as_str()),
        (tolerated.key.as_deref(), tolerated.value.as_deref())
    );
    let keys: Vec<&str> =
        list(&pool["template"]["spec"]["requirements"]).iter().map(|one| text(&one["key"])).collect();
    assert!(keys.contains(&"karpenter.sh/capacity-type"), "{keys:?}");
    assert_eq!(pool["limits"], json!({"cpu": "512", "memory": "2048Gi"}));
}

#[test]
fn definitions_are_at_a_tag_and_have_a_digest_where_somebody_vouches_for_it() {
    for (crds, vouched) in [
        (definitions::cert_manager(), true),
        (definitions::karpenter(), true),
        (definitions::load_balancer_controller(), false),
    ] {
        for file in crds.files {
            assert!(file.url.split('/').nth(5).is_some_and(|tag| tag.starts_with('v')), "{}", file.url);
            assert_eq!(file.sha256.is_some_and(|digest| digest.len() == 64), vouched, "{}", file.url);
        }
    }
}
