//! What a pod says of itself, in the words of its kubelet and of the scheduler.
//! <https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/>

use super::{Hope, Log, Trouble};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// So often a container has to be started again until it counts as hopeless: the back-off is at 40 s by then.
const RESTARTS: i64 = 3;

fn text<'a>(json: &'a Json, path: &str) -> &'a str {
    json.pointer(path).and_then(Json::as_str).unwrap_or_default()
}

fn number(json: &Json, path: &str) -> i64 {
    json.pointer(path).and_then(Json::as_i64).unwrap_or_default()
}

fn each<'a>(json: &'a Json, path: &str) -> impl Iterator<Item = &'a Json> {
    json.pointer(path).and_then(Json::as_array).into_iter().flatten()
}

fn condition<'a>(pod: &'a Json, name: &str) -> Option<&'a Json> {
    each(pod, "/status/conditions").find(|condition| condition["type"] == name)
}

/// Why a pod does not serve; none if it does, is on its way, or ends.
pub(super) fn trouble(pod: &Json) -> Option<Trouble> {
    let holds = |name: &str| condition(pod, name).is_some_and(|one| one["status"] == "True");
    let phase = text(pod, "/status/phase");
    if pod.pointer("/metadata/deletionTimestamp").is_some() || phase == "Succeeded" || holds("Ready") {
        return None;
    }
    let containers = each(pod, "/status/initContainerStatuses").chain(each(pod, "/status/containerStatuses"));
    let found = containers.filter_map(|one| container(pod, one)).max_by_key(|found| found.hope);
    if found.is_some() {
        return found.map(|found| of(pod, found));
    }
    let plain = |kind: &str, why: String, events| Trouble { events, ..Trouble::new(kind, why) };
    let unscheduled = condition(pod, "PodScheduled").filter(|one| one["status"] == "False");
    let told = match () {
        () if phase == "Failed" => plain(
            "Failed",
            format!("{}: {}", text(pod, "/status/reason"), text(pod, "/status/message")),
            false,
        ),
        () if unscheduled.is_some() => {
            let words = unscheduled.unwrap_or(&Json::Null);
            plain("Unschedulable", format!("{}: {}", text(words, "/reason"), text(words, "/message")), false)
        }
        // Somebody outside has to say that it may serve, like the controller of load balancers.
        () if holds("ContainersReady") => {
            let words = condition(pod, "Ready").unwrap_or(&Json::Null);
            plain("NotReady", format!("{}: {}", text(words, "/reason"), text(words, "/message")), false)
        }
        () if phase == "Running" => plain("NotReady", "runs and is not ready".into(), true),
        // What it waits for, volumes or an address, only events say.
        () => plain("Starting", String::new(), true),
    };
    Some(of(pod, told))
}

fn of(pod: &Json, trouble: Trouble) -> Trouble {
    let name = text(pod, "/metadata/name").to_owned();
    let uid = text(pod, "/metadata/uid");
    Trouble {
        count: trouble.count.map(|(what, times)| (format!("{uid}/{what}"), times)),
        about: uid.to_owned(),
        pod: Some(name),
        ..trouble
    }
}

fn container(pod: &Json, status: &Json) -> Option<Trouble> {
    let name = text(status, "/name");
    let waiting = text(status, "/state/waiting/reason");
    let message = text(status, "/state/waiting/message");
    let restarts = number(status, "/restartCount");
    let ended = ["/state/terminated", "/lastState/terminated"]
        .into_iter()
        .find_map(|path| Some((path, status.pointer(path).filter(|ended| ended.is_object())?)));
    let told =
        |hope| Trouble { hope, ..Trouble::new(waiting, format!("container {name}: {waiting}: {message}")) };
    match (waiting, ended) {
        ("" | "ContainerCreating" | "PodInitializing", None) => None,
        // The name itself is wrong.
        ("InvalidImageName", _) => Some(told(Hope::None)),
        // The registry has answered, and has no such image.
        ("ErrImagePull" | "ImagePullBackOff", _) if is_unknown(message) => {
            Some(Trouble { kind: "image".into(), ..told(Hope::Brief) })
        }
        // It is away, or does not let us in yet.
        ("ErrImagePull" | "ImagePullBackOff", _) => {
            Some(Trouble { kind: "image".into(), ..told(Hope::Some) })
        }
        // Its image has another user than its pod may have.
        ("CreateContainerConfigError", _) if message.contains("runAsNonRoot") => Some(told(Hope::None)),
        ("CreateContainerConfigError", _) => Some(Trouble { lacks: lacks(message), ..told(Hope::Some) }),
        ("" | "CrashLoopBackOff" | "PodInitializing", Some((path, ended))) => {
            crash(pod, status, (path, ended), restarts)
        }
        _ => Some(told(Hope::Some)),
    }
}

/// A container that ends, or did before it was started again.
fn crash(pod: &Json, status: &Json, (path, ended): (&str, &Json), restarts: i64) -> Option<Trouble> {
    let (name, code) = (text(status, "/name"), number(ended, "/exitCode"));
    let (reason, message) = (text(ended, "/reason"), text(ended, "/message"));
    let loops = text(status, "/state/waiting/reason") == "CrashLoopBackOff";
    let over = path == "/state/terminated";
    // An init container that is done, and one that came right after a restart.
    if !loops && (over && code == 0 || status["ready"] == true) {
        return None;
    }
    let mut why = format!("container {name}: ");
    if loops {
        why += "CrashLoopBackOff: ";
    }
    why += &format!("exit code {code}");
    if !["", "Error", "Completed"].contains(&reason) {
        why += &format!(" ({reason})");
    }
    // The runtime's own. Any other may be a part of the log, with all that stands in it.
    if ["ContainerCannotRun", "StartError"].contains(&reason) {
        why += &format!(": {message}");
    }
    if restarts > 0 {
        why += &format!(", restarts: {restarts}");
    }
    let hope = if loops && restarts >= RESTARTS { Hope::None } else { Hope::Some };
    Some(Trouble {
        hope,
        count: Some((name.to_owned(), restarts)),
        // Killed from outside: by a probe, which events tell, or for its memory, which the reason tells.
        events: [137, 143].contains(&code) && reason != "OOMKilled",
        log: Some(Log {
            pod: text(pod, "/metadata/name").into(),
            container: name.into(),
            previous: !over,
            secrets: secrets(&pod["spec"]),
        }),
        ..Trouble::new("crash", why)
    })
}

/// The Secrets that a pod gets as variables or files.
fn secrets(spec: &Json) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match spec {
        Json::Object(fields) => {
            for (key, value) in fields {
                let name = match key.as_str() {
                    "secretKeyRef" | "secretRef" => text(value, "/name"),
                    "secret" if value["secretName"].is_string() => text(value, "/secretName"),
                    "secret" => text(value, "/name"),
                    _ => "",
                };
                found.extend(Some(name.to_owned()).filter(|name| !name.is_empty()));
                found.extend(secrets(value));
            }
        }
        Json::Array(items) => found.extend(items.iter().flat_map(secrets)),
        _ => (),
    }
    found
}

/// What the runtime says where a registry has no such image.
fn is_unknown(message: &str) -> bool {
    let message = message.to_lowercase();
    ["not found", "manifest unknown", "notfound"].iter().any(|words| message.contains(words))
}

/// A Secret or a ConfigMap that is not there, or a key in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lacks {
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) key: Option<String>,
}

/// `secret "a" not found`, or `couldn't find key b in Secret space/a`.
fn lacks(message: &str) -> Option<Lacks> {
    let kind = |word: &str| match word.to_lowercase().as_str() {
        "secret" => Some("Secret"),
        "configmap" => Some("ConfigMap"),
        _ => None,
    };
    let words: Vec<&str> = message.split_whitespace().collect();
    match words.as_slice() {
        [word, name, "not", "found"] => {
            Some(Lacks { kind: kind(word)?, name: name.trim_matches('"').into(), key: None })
        }
        ["couldn't", "find", "key", key, "in", word, place] => Some(Lacks {
            kind: kind(word)?,
            name: place.rsplit('/').next()?.into(),
            key: Some((*key).to_owned()),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: &Json) -> Json {
        json!({"metadata": {"name": "web-1", "uid": "u"}, "status": status})
    }

    fn of(state: &Json) -> Trouble {
        let mut one = json!({"name": "web", "ready": false, "restartCount": 0});
        one.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        trouble(&pod(&json!({"phase": "Pending", "containerStatuses": [one]}))).unwrap()
    }

    fn waits(reason: &str, message: &str) -> Trouble {
        of(&json!({"state": {"waiting": {"reason": reason, "message": message}}}))
    }

    #[test]
    fn a_registry_that_is_away_may_come_back_and_an_image_that_is_not_there_gets_a_minute() {
        let away = waits("ErrImagePull", "dial tcp: lookup registry.example: i/o timeout");
        assert_eq!((away.kind.as_str(), away.hope), ("image", Hope::Some));
        let unknown =
            waits("ImagePullBackOff", "Back-off pulling image \"a:1\": ErrImagePull: a:1: not found");
        assert_eq!((unknown.kind.as_str(), unknown.hope), ("image", Hope::Brief));
        assert!(unknown.why.starts_with("container web: ImagePullBackOff: Back-off"), "{}", unknown.why);
        assert_eq!(waits("InvalidImageName", "couldn't parse image name").hope, Hope::None);
    }

    #[test]
    fn what_is_missing_is_known_by_name() {
        let lacks = |message| waits("CreateContainerConfigError", message).lacks;
        let of =
            |kind, key: Option<&str>| Some(Lacks { kind, name: "a".into(), key: key.map(str::to_owned) });
        assert_eq!(lacks("secret \"a\" not found"), of("Secret", None));
        assert_eq!(lacks("configmap \"a\" not found"), of("ConfigMap", None));
        assert_eq!(lacks("couldn't find key b in Secret space/a"), of("Secret", Some("b")));
        assert_eq!(lacks("failed to sync secret cache"), None);
        let root = "container has runAsNonRoot and image will run as root";
        assert_eq!(waits("CreateContainerConfigError", root).hope, Hope::None);
    }

    #[test]
    fn a_crash_loop_is_hopeless_at_its_third_restart() {
        let ended = json!({"exitCode": 2, "reason": "Error"});
        let loops = |restarts: i64| {
            of(&json!({
                "restartCount": restarts, "lastState": {"terminated": ended},
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            }))
        };
        let second = loops(2);
        assert_eq!(second.why, "container web: CrashLoopBackOff: exit code 2, restarts: 2");
        assert_eq!((second.hope, second.count), (Hope::Some, Some(("u/web".into(), 2))));
        assert!(second.log.unwrap().previous, "it waits to be started again");
        assert_eq!(loops(3).hope, Hope::None);
        let killed = json!({"exitCode": 137, "reason": "OOMKilled", "message": "hunter2"});
        let killed =
            of(&json!({"restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": killed}}));
        assert_eq!(killed.why, "container web: exit code 137 (OOMKilled), restarts: 1");
        assert!(!killed.events && killed.hope == Hope::Some);
    }

    #[test]
    fn the_secrets_of_a_pod_are_known_by_name() {
        let spec = json!({
            "containers": [{
                "env": [{"valueFrom": {"secretKeyRef": {"name": "a", "key": "x"}}}, {"value": "plain"}],
                "envFrom": [{"secretRef": {"name": "b"}}, {"configMapRef": {"name": "no"}}],
            }],
            "volumes": [{"secret": {"secretName": "c"}}, {"projected": {"sources": [{"secret": {"name": "d"}}]}}],
        });
        assert_eq!(secrets(&spec).into_iter().collect::<String>(), "abcd");
    }

    #[test]
    fn what_is_done_ready_or_leaving_is_no_trouble() {
        let done = json!({"name": "init", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
        let ready = json!({"phase": "Running", "initContainerStatuses": [done], "conditions": [{"type": "Ready", "status": "True"}]});
        assert!(trouble(&pod(&ready)).is_none());
        assert!(trouble(&pod(&json!({"phase": "Succeeded"}))).is_none());
        let mut leaving = pod(&json!({"phase": "Running"}));
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(trouble(&leaving).is_none());
        let starts = pod(&json!({"phase": "Pending", "initContainerStatuses": [done]}));
        assert_eq!(trouble(&starts).unwrap().kind, "Starting");
    }

    #[test]
    fn a_pod_that_fits_nowhere_is_told_in_the_words_of_the_scheduler() {
        let why = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"});
        let told = trouble(&pod(&json!({"phase": "Pending", "conditions": [why]}))).unwrap();
        assert_eq!((told.why.as_str(), told.hope), ("Unschedulable: 0/2 nodes are available", Hope::Some));
    }
}
