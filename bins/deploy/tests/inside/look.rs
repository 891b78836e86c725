//! How objects are found, and what is read in them.

use crate::{REGIONS, SEEN, text};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// All objects of a kind in a region.
pub(crate) fn of(region: &str, kind: &str) -> impl Iterator<Item = &'static Json> {
    let place = REGIONS.iter().position(|one| *one == region).unwrap();
    SEEN.objects[place].iter().filter(move |one| one["kind"] == kind)
}

/// The object at `NAMESPACE/NAME`, or at `NAME` where its kind has no namespace.
pub(crate) fn at(region: &str, kind: &str, name: &str) -> &'static Json {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let is =
        |one: &&Json| text(one, "/metadata/namespace") == namespace && text(one, "/metadata/name") == name;
    of(region, kind).find(is).unwrap_or_else(|| panic!("{region} has no {kind} {namespace}/{name}"))
}

/// What is there of a kind, as `NAMESPACE/NAME` or `NAME`.
pub(crate) fn names(region: &str, kind: &str) -> BTreeSet<String> {
    let name = |one: &Json| match text(one, "/metadata/namespace") {
        "" => text(one, "/metadata/name").to_owned(),
        namespace => format!("{namespace}/{}", text(one, "/metadata/name")),
    };
    of(region, kind).map(name).collect()
}

/// The items of a list; none where there is no list.
pub(crate) fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// The texts of a list.
pub(crate) fn texts(json: &Json) -> BTreeSet<&str> {
    list(json).iter().filter_map(Json::as_str).collect()
}

pub(crate) fn holds(object: &Json, condition: &str) -> bool {
    let all = list(&object["status"]["conditions"]);
    all.iter().any(|one| one["type"] == condition && one["status"] == "True")
}

pub(crate) fn annotation<'o>(object: &'o Json, name: &str) -> &'o str {
    object["metadata"]["annotations"][name].as_str().unwrap_or_default()
}

/// The pods of a workload.
pub(crate) fn pod(workload: &Json) -> &Json {
    &workload["spec"]["template"]["spec"]
}

/// The one container of a workload.
pub(crate) fn container(workload: &Json) -> &Json {
    let [one] = list(&pod(workload)["containers"]) else { panic!("not one container: {workload:#}") };
    one
}

/// Variables by name: the value, `SECRET/KEY`, or the field that it is taken from.
pub(crate) fn variables(container: &Json) -> BTreeMap<&str, String> {
    let one = |variable: &Json| {
        let from = &variable["valueFrom"];
        let secret = &from["secretKeyRef"];
        match (variable["value"].as_str(), secret["name"].as_str()) {
            (Some(value), _) => value.to_owned(),
            (_, Some(name)) => format!("{name}/{}", text(secret, "/key")),
            _ => text(from, "/fieldRef/fieldPath").to_owned() + text(from, "/resourceFieldRef/resource"),
        }
    };
    list(&container["env"]).iter().map(|variable| (text(variable, "/name"), one(variable))).collect()
}

/// The ports of a container, or of a Service, by name.
pub(crate) fn ports<'o>(ports: &'o Json, number: &str) -> BTreeMap<&'o str, i64> {
    list(ports).iter().map(|port| (text(port, "/name"), port[number].as_i64().unwrap())).collect()
}

/// `PORT PATH` of an HTTP probe, with the port by name.
pub(crate) fn probe(container: &Json, probe: &str) -> String {
    let get = &container[probe]["httpGet"];
    format!("{} {}", text(get, "/port"), text(get, "/path"))
}

/// As little as is known to be enough, for a pod and its container: no root, no rights, nothing to write to.
pub(crate) fn bounded(workload: &Json, user: i64) {
    let (pod, container) = (pod(workload), container(workload));
    let name = text(workload, "/metadata/name");
    let own = &container["securityContext"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
    assert_eq!(pod["securityContext"]["runAsUser"], user, "{name}");
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
    assert_eq!(own["allowPrivilegeEscalation"], false, "{name}");
    assert_eq!(own["readOnlyRootFilesystem"], true, "{name}");
    assert_eq!(texts(&own["capabilities"]["drop"]), BTreeSet::from(["ALL"]), "{name}");
    for kind in ["requests", "limits"] {
        for resource in ["cpu", "memory", "ephemeral-storage"] {
            assert!(container["resources"][kind][resource].is_string(), "{name}: no {kind} of {resource}");
        }
    }
}

/// The spread of a workload is over these keys, and by labels that its pods have.
pub(crate) fn spread_over(workload: &Json) -> BTreeSet<&str> {
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    let all = list(&pod(workload)["topologySpreadConstraints"]);
    for one in all {
        let wanted = one["labelSelector"]["matchLabels"].as_object().unwrap();
        assert!(!wanted.is_empty() && wanted.iter().all(|(key, value)| labels[key] == *value), "{one}");
    }
    all.iter().map(|one| text(one, "/topologyKey")).collect()
}

/// The one disruption budget that chooses the pods of a workload lets this many go at a time.
pub(crate) fn may_go(region: &str, workload: &Json) -> i64 {
    let labels = &workload["spec"]["template"]["metadata"]["labels"];
    let chooses = |budget: &&Json| {
        let wanted = budget["spec"]["selector"]["matchLabels"].as_object().unwrap();
        budget["metadata"]["namespace"] == workload["metadata"]["namespace"]
            && wanted.iter().all(|(key, value)| labels[key] == *value)
    };
    let all: Vec<_> = of(region, "PodDisruptionBudget").filter(chooses).collect();
    let [one] = all[..] else { panic!("{}: {all:?}", workload["metadata"]["name"]) };
    one["spec"]["maxUnavailable"].as_i64().unwrap()
}

/// What a service account may do by a role of this kind, as `GROUP RESOURCE VERB`, where no names bound it.
pub(crate) fn granted(region: &str, kind: &str, name: &str, account: &str) -> BTreeSet<String> {
    let role = at(region, kind, name);
    let binding = at(region, &format!("{kind}Binding"), name);
    let (namespace, account) = account.split_once('/').unwrap();
    assert_eq!(binding["roleRef"]["kind"], kind);
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    let [subject] = list(&binding["subjects"]) else { panic!("{binding:#}") };
    assert_eq!((text(subject, "/namespace"), text(subject, "/name")), (namespace, account));
    let rules = list(&role["rules"]).iter().filter(|rule| rule["resourceNames"].is_null());
    let each = |rule: &'static Json| {
        let all = move |field: &str| texts(&rule[field]);
        let pairs = all("apiGroups").into_iter().flat_map(move |group| {
            all("resources").into_iter().map(move |resource| format!("{group} {resource}"))
        });
        pairs.flat_map(move |pair| all("verbs").into_iter().map(move |verb| format!("{pair} {verb}")))
    };
    rules.flat_map(each).collect()
}
