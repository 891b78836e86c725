//! What all objects keep to. Each rule is seen to find what breaks it.

use crate::{objects, settings, stack};
use causeway_core::{Address, Stack};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

type Objects = Map<String, Json>;

fn everything() -> Stack {
    stack(|stack| settings::everything(stack, None, |_| ()))
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

struct Pods<'a> {
    address: &'a str,
    namespace: &'a str,
    kind: &'a str,
    /// What has the selector and the replicas, if anything has.
    owner: &'a Json,
    template: &'a Json,
}

fn pods(all: &Objects) -> Vec<Pods<'_>> {
    let mut found = vec![];
    for (address, object) in all {
        let owner = &object["object"]["spec"];
        let template = match text(&object["kind"]) {
            "k8s.apps.deployment" => &owner["template"],
            "k8s.batch.cron_job" => &owner["jobTemplate"]["spec"]["template"],
            _ => continue,
        };
        let (namespace, kind) = (text(&object["namespace"]), text(&object["kind"]));
        found.push(Pods { address, namespace, kind, owner, template });
    }
    found
}

fn containers(template: &Json) -> impl Iterator<Item = &Json> {
    let spec = &template["spec"];
    list(&spec["containers"]).iter().chain(list(&spec["initContainers"]))
}

fn covers(labels: &Json, selector: &Json) -> bool {
    selector.as_object().is_some_and(|wanted| {
        !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

fn bounded(all: &Objects) -> Vec<String> {
    let mut wrong = vec![];
    for pods in pods(all) {
        for container in containers(pods.template) {
            for kind in ["requests", "limits"] {
                for resource in ["cpu", "memory", "ephemeral-storage"] {
                    if container["resources"][kind][resource].is_null() {
                        wrong.push(format!("{}: no {kind} of {resource}", pods.address));
                    }
                }
            }
        }
    }
    wrong
}

fn gibibytes(quantity: &Json) -> f64 {
    let text = text(quantity);
    let (number, unit) = text.split_at(text.len().saturating_sub(2));
    let scale = match unit {
        "Gi" => 1.0,
        "Mi" => 1.0 / 1024.0,
        _ => panic!("{text}"),
    };
    number.parse::<f64>().unwrap() * scale
}

/// What may be written to scratch volumes is within what the pod may write at all, or it is evicted first.
fn scratch_fits(all: &Objects) -> Vec<String> {
    pods(all)
        .iter()
        .filter_map(|pods| {
            let scratch: f64 = list(&pods.template["spec"]["volumes"])
                .iter()
                .filter(|volume| !volume["emptyDir"].is_null())
                .map(|volume| gibibytes(&volume["emptyDir"]["sizeLimit"]))
                .sum();
            let limit: f64 = containers(pods.template)
                .map(|container| gibibytes(&container["resources"]["limits"]["ephemeral-storage"]))
                .sum();
            (scratch > limit).then(|| format!("{}: {scratch} GiB in {limit}", pods.address))
        })
        .collect()
}

fn restricted(all: &Objects) -> Vec<String> {
    let mut wrong = vec![];
    for pods in pods(all) {
        let spec = &pods.template["spec"];
        let pod = &spec["securityContext"];
        let mut say = |what: &str| wrong.push(format!("{}: {what}", pods.address));
        if pod["runAsNonRoot"] != true || pod["runAsUser"].as_i64().unwrap_or(0) == 0 {
            say("runs as root");
        }
        if pod["seccompProfile"]["type"] != "RuntimeDefault" {
            say("no seccomp profile");
        }
        for container in containers(pods.template) {
            let own = &container["securityContext"];
            if own["allowPrivilegeEscalation"] != false || own["capabilities"]["drop"] != json!(["ALL"]) {
                say("may get more rights");
            }
            if own["readOnlyRootFilesystem"] != true {
                say("writes to its root");
            }
        }
    }
    wrong
}

fn probed(all: &Objects) -> Vec<String> {
    let mut wrong = vec![];
    for pods in pods(all).iter().filter(|pods| pods.kind != "k8s.batch.cron_job") {
        for container in list(&pods.template["spec"]["containers"]) {
            // It answers nothing, and ends by itself when it cannot go on.
            if container["name"] == "coder-logstream-kube" {
                continue;
            }
            let ports: Vec<&str> = list(&container["ports"]).iter().map(|port| text(&port["name"])).collect();
            for probe in ["readinessProbe", "livenessProbe"] {
                if !ports.contains(&text(&container[probe]["httpGet"]["port"])) {
                    wrong.push(format!("{}: no {probe} at a port of its own", pods.address));
                }
            }
        }
    }
    wrong
}

/// Whoever chooses pods by labels finds those that are meant.
fn chosen(all: &Objects) -> Vec<String> {
    let mut wrong = vec![];
    let every = pods(all);
    for pods in every.iter().filter(|pods| pods.kind == "k8s.apps.deployment") {
        let labels = &pods.template["metadata"]["labels"];
        if !covers(labels, &pods.owner["selector"]["matchLabels"]) {
            wrong.push(format!("{}: does not choose its own pods", pods.address));
        }
        let spread = list(&pods.template["spec"]["topologySpreadConstraints"]);
        if pods.owner["replicas"].as_i64().unwrap_or(1) > 1 && spread.len() < 2 {
            wrong.push(format!("{}: is not spread", pods.address));
        }
        for constraint in spread {
            if !covers(labels, &constraint["labelSelector"]["matchLabels"]) {
                wrong.push(format!("{}: spreads other pods", pods.address));
            }
        }
    }
    for (address, object) in all {
        let selector = match text(&object["kind"]) {
            "k8s.core.service" => &object["object"]["spec"]["selector"],
            "k8s.policy.pod_disruption_budget" => &object["object"]["spec"]["selector"]["matchLabels"],
            _ => continue,
        };
        let meant: Vec<_> = every
            .iter()
            .filter(|pods| pods.namespace == object["namespace"])
            .filter(|pods| covers(&pods.template["metadata"]["labels"], selector))
            .collect();
        let [one] = meant[..] else {
            wrong.push(format!("{address}: chooses {} workloads", meant.len()));
            continue;
        };
        for port in list(&object["object"]["spec"]["ports"]) {
            let has = containers(one.template)
                .flat_map(|container| list(&container["ports"]))
                .any(|named| named["name"] == port["targetPort"]);
            if !has {
                wrong.push(format!("{address}: no port {}", port["targetPort"]));
            }
        }
    }
    wrong
}

fn names<'a>(all: &'a Objects, kind: &str) -> BTreeSet<(&'a str, &'a str)> {
    let of = |object: &'a Json| (text(&object["namespace"]), text(&object["name"]));
    all.values().filter(|object| object["kind"] == kind).map(of).collect()
}

/// Whatever is named is there.
fn named(all: &Objects) -> Vec<String> {
    let mut wrong = vec![];
    let accounts = names(all, "k8s.core.service_account");
    let maps = names(all, "k8s.core.config_map");
    let roles = names(all, "k8s.rbac.role");
    let mut secrets = names(all, "k8s.core.secret");
    secrets.extend(settings::OTHERS);
    for pods in pods(all) {
        let spec = &pods.template["spec"];
        let volumes: Vec<_> = list(&spec["volumes"]).iter().map(|volume| &volume["name"]).collect();
        for mount in containers(pods.template).flat_map(|container| list(&container["volumeMounts"])) {
            if !volumes.contains(&&mount["name"]) {
                wrong.push(format!("{}: no volume {}", pods.address, mount["name"]));
            }
        }
        let mut needs = |what: &str, known: &BTreeSet<(&str, &str)>, name: &Json| {
            if !name.is_null() && !known.contains(&(pods.namespace, text(name))) {
                wrong.push(format!("{}: no {what} {name}", pods.address));
            }
        };
        needs("service account", &accounts, &spec["serviceAccountName"]);
        for volume in list(&spec["volumes"]) {
            needs("secret", &secrets, &volume["secret"]["secretName"]);
            needs("config map", &maps, &volume["configMap"]["name"]);
        }
        for container in containers(pods.template) {
            for variable in list(&container["env"]) {
                needs("secret", &secrets, &variable["valueFrom"]["secretKeyRef"]["name"]);
            }
        }
    }
    for (address, object) in all.iter().filter(|(_, object)| object["kind"] == "k8s.rbac.role_binding") {
        if !roles.contains(&(text(&object["namespace"]), text(&object["object"]["roleRef"]["name"]))) {
            wrong.push(format!("{address}: no role"));
        }
        for subject in list(&object["object"]["subjects"]) {
            if !accounts.contains(&(text(&subject["namespace"]), text(&subject["name"]))) {
                wrong.push(format!("{address}: no subject"));
            }
        }
    }
    wrong
}

/// No container names an image by a tag that moves.
fn pinned(all: &Objects) -> Vec<String> {
    let mut wrong = vec![];
    for pods in pods(all) {
        for container in containers(pods.template) {
            let image = text(&container["image"]);
            if !image.contains(':') || image.ends_with(":latest") {
                wrong.push(format!("{}: {image}", pods.address));
            }
        }
    }
    wrong
}

type Rule = (&'static str, fn(&Objects) -> Vec<String>, &'static str, fn(&mut Json));

/// The rule, where it is broken, and how.
const RULES: [Rule; 14] = [
    ("bounded", bounded, "coder/deployment", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"]
            .take();
    }),
    ("bounded", bounded, "mirror/job", |object| {
        object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["resources"].take();
    }),
    ("scratch fits", scratch_fits, "litellm/deployment", |object| {
        object["spec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = json!("4Gi");
    }),
    ("restricted", restricted, "keys/bring/job", |object| {
        object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["securityContext"]["runAsUser"] = json!(0);
    }),
    ("restricted", restricted, "litellm/deployment", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
            .take();
    }),
    ("probed", probed, "coder-ws/provisioners/deployment", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["livenessProbe"].take();
    }),
    ("chosen", chosen, "coder/deployment", |object| {
        object["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] =
            json!({"app.kubernetes.io/instance": "coder-v2"});
    }),
    ("chosen", chosen, "coder/service", |object| {
        object["spec"]["ports"][0]["targetPort"] = json!("htpt");
    }),
    ("chosen", chosen, "litellm/disruption-budget", |object| {
        object["spec"]["selector"]["matchLabels"] = json!({"app": "litellm"});
    }),
    ("named", named, "proxy/deployment", |object| {
        object["spec"]["template"]["spec"]["serviceAccountName"] = json!("default");
    }),
    ("named", named, "litellm/deployment", |object| {
        object["spec"]["template"]["spec"]["volumes"][2]["configMap"]["name"] = json!("config-yaml");
    }),
    ("named", named, "coder-ws/logs/binding-coder-logstream-kube", |object| {
        object["roleRef"]["name"] = json!("another");
    }),
    ("named", named, "coder/deployment", |object| {
        object["spec"]["template"]["spec"]["containers"][0]["env"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "X", "valueFrom": {"secretKeyRef": {"name": "nowhere", "key": "x"}}}));
    }),
    ("pinned", pinned, "mirror/job", |object| {
        object["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] =
            json!("deploy:latest");
    }),
];

#[test]
fn all_objects_keep_to_the_rules() {
    let all = objects(&everything());
    assert_eq!(pods(&all).len(), 3 + 6 + 3);
    for (name, rule, ..) in RULES {
        assert_eq!(rule(&all), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn each_rule_finds_what_breaks_it() {
    let all = objects(&everything());
    for (name, rule, address, breaks) in RULES {
        let mut broken = all.clone();
        breaks(&mut broken.get_mut(address).unwrap_or_else(|| panic!("nothing at {address}"))["object"]);
        let found = rule(&broken);
        assert!(found.iter().any(|wrong| wrong.starts_with(address)), "{name} at {address}: {found:?}");
    }
}

#[test]
fn all_is_made_after_what_it_needs() {
    let stack = everything();
    stack.check().unwrap();
    let all = objects(&stack);
    let namespaces: BTreeMap<&str, &str> = all
        .iter()
        .filter(|(_, object)| object["kind"] == "k8s.core.namespace")
        .map(|(address, object)| (text(&object["name"]), address.as_str()))
        .collect();
    assert_eq!(namespaces.len(), 6);
    let before = |address: &str| -> BTreeSet<&Address> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![Address::from(address)]);
        while let Some(next) = open.pop() {
            for earlier in &stack.nodes()[&next].after {
                if seen.insert(earlier) {
                    open.push(earlier.clone());
                }
            }
        }
        seen
    };
    // The jobs are added by the caller, who says what they come after.
    for (address, object) in all.iter().filter(|(a, _)| !a.starts_with("keys") && !a.starts_with("mirror")) {
        let Some(namespace) = object["namespace"].as_str() else { continue };
        assert!(
            before(address).contains(&Address::from(namespaces[namespace])),
            "{address} does not wait for {namespace}"
        );
    }
    for pods in pods(&all) {
        let scope = pods.address.rsplit_once('/').unwrap().0;
        let before = before(pods.address);
        for (address, object) in &all {
            let mounted = [
                "k8s.core.secret",
                "k8s.core.config_map",
                "k8s.core.service_account",
                "k8s.rbac.role_binding",
            ];
            if address.starts_with(&format!("{scope}/")) && mounted.contains(&text(&object["kind"])) {
                assert!(before.contains(&Address(address.clone())), "{} before {address}", pods.address);
            }
        }
    }
}

#[test]
fn no_secret_is_in_any_text() {
    let stack = everything();
    let sealed = causeway_core::secret::Sealed::of(
        &Json::Object(objects(&stack)),
        &causeway_core::secret::SealKey::fixed("k"),
    );
    let shown = sealed.as_json().to_string();
    assert!(!shown.contains("the url of postgres") && !shown.contains("the master of litellm-keys"));
}
