//! When an object serves, by its own status, in the words of its conditions.

use causeway_core::Status;
use serde_json::Value as Json;

fn number(object: &Json, path: &str) -> i64 {
    object.pointer(path).and_then(Json::as_i64).unwrap_or_default()
}

fn condition<'a>(object: &'a Json, name: &str) -> Option<&'a Json> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|condition| condition["type"] == name)
}

fn holds(object: &Json, name: &str) -> bool {
    condition(object, name).is_some_and(|condition| condition["status"] == "True")
}

/// Reason and message of a condition.
fn words(condition: &Json) -> String {
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    match (text("reason"), text("message")) {
        (reason, message) if message.is_empty() => reason,
        (reason, message) if reason.is_empty() => message,
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// The status is about the spec that is there now.
pub(crate) fn is_seen(object: &Json) -> bool {
    number(object, "/status/observedGeneration") >= number(object, "/metadata/generation")
}

fn rolled(object: &Json, wanted: i64, [updated, ready]: [&str; 2]) -> Status {
    let (updated, ready) = (number(object, updated), number(object, ready));
    match () {
        () if !is_seen(object) => Status::Pending("its controller has not seen it yet".into()),
        () if updated < wanted => Status::Pending(format!("{updated} of {wanted} pods are of this revision")),
        () if ready < wanted => Status::Pending(format!("{ready} of {wanted} pods are ready")),
        () => Status::Ready,
    }
}

/// What keeps an object that is being removed.
pub(crate) fn leaving(object: &Json) -> Status {
    let remaining =
        ["NamespaceContentRemaining", "NamespaceFinalizersRemaining", "NamespaceDeletionContentFailure"];
    if let Some(why) =
        remaining.iter().filter(|name| holds(object, name)).find_map(|name| condition(object, name))
    {
        return Status::Pending(words(why));
    }
    let finalizers = object.pointer("/metadata/finalizers").and_then(Json::as_array);
    let names: Vec<&str> = finalizers.into_iter().flatten().filter_map(Json::as_str).collect();
    Status::Pending(match names.as_slice() {
        [] => "it is being removed".to_owned(),
        some => format!("it is being removed, waits for {}", some.join(", ")),
    })
}

/// All pods are of this revision and available, and none of another is left.
pub(crate) fn deployment(object: &Json) -> Status {
    let wanted = object.pointer("/spec/replicas").and_then(Json::as_i64).unwrap_or(1);
    let old = number(object, "/status/replicas") - number(object, "/status/updatedReplicas");
    let late = condition(object, "Progressing")
        .filter(|condition| condition["reason"] == "ProgressDeadlineExceeded" && is_seen(object));
    if let Some(late) = late {
        return Status::Failed(words(late));
    }
    match rolled(object, wanted, ["/status/updatedReplicas", "/status/availableReplicas"]) {
        Status::Ready if old > 0 => Status::Pending(format!("{old} pods of an older revision are ending")),
        status => status,
    }
}

/// As a deployment.
pub(crate) fn stateful_set(object: &Json) -> Status {
    let wanted = object.pointer("/spec/replicas").and_then(Json::as_i64).unwrap_or(1);
    rolled(object, wanted, ["/status/updatedReplicas", "/status/availableReplicas"])
}

/// One pod a node that it is meant for; none is enough where there is no such node.
pub(crate) fn daemon_set(object: &Json) -> Status {
    let wanted = number(object, "/status/desiredNumberScheduled");
    rolled(object, wanted, ["/status/updatedNumberScheduled", "/status/numberAvailable"])
}

/// It has run to its end.
pub(crate) fn job(object: &Json) -> Status {
    if holds(object, "Complete") {
        return Status::Ready;
    }
    match condition(object, "Failed").filter(|condition| condition["status"] == "True") {
        Some(failed) => Status::Failed(words(failed)),
        None => Status::Pending(format!("{} pods are running", number(object, "/status/active"))),
    }
}

fn hostname(object: &Json) -> Option<&str> {
    object.pointer("/status/loadBalancer/ingress/0/hostname").and_then(Json::as_str)
}

/// Where others reach it from outside, if anywhere.
pub(crate) fn address(object: &Json) -> Option<String> {
    let ip = || object.pointer("/status/loadBalancer/ingress/0/ip").and_then(Json::as_str);
    hostname(object).or_else(ip).map(str::to_owned)
}

/// One with a load balancer serves once that has a name.
pub(crate) fn service(object: &Json) -> Status {
    match object.pointer("/spec/type").and_then(Json::as_str) {
        Some("LoadBalancer") if address(object).is_none() => {
            Status::Pending("its load balancer has no name yet".into())
        }
        _ => Status::Ready,
    }
}

/// It serves once its load balancer has a name.
pub(crate) fn ingress(object: &Json) -> Status {
    match address(object) {
        Some(_) => Status::Ready,
        None => Status::Pending("its load balancer has no name yet".into()),
    }
}

/// Objects of it can be made.
pub(crate) fn established(object: &Json) -> Status {
    let refused = condition(object, "NamesAccepted").filter(|condition| condition["status"] == "False");
    match refused {
        Some(refused) => Status::Failed(words(refused)),
        None if holds(object, "Established") => Status::Ready,
        None => Status::Pending("it is not established yet".into()),
    }
}

fn wanted_condition(object: &Json, name: &str) -> Status {
    match condition(object, name) {
        Some(condition) if condition["status"] == "True" => Status::Ready,
        Some(condition) => Status::Pending(words(condition)),
        None => Status::Pending("its controller has not looked at it yet".into()),
    }
}

/// What custom resources say of themselves.
pub(crate) fn ready(object: &Json) -> Status {
    wanted_condition(object, "Ready")
}

/// Its callers know by whom it is signed, where somebody else has to tell them.
pub(crate) fn trusted(object: &Json) -> Status {
    let annotations = object.pointer("/metadata/annotations").and_then(Json::as_object);
    let told = annotations
        .is_some_and(|all| all.keys().any(|key| key.starts_with("cert-manager.io/inject-ca-from")));
    let hooks = object["webhooks"].as_array();
    let mut without = hooks.into_iter().flatten().filter(|hook| {
        hook.pointer("/clientConfig/caBundle").and_then(Json::as_str).is_none_or(str::is_empty)
    });
    match without.next() {
        Some(hook) if told => Status::Pending(format!(
            "cert-manager has not told yet who signs for {}",
            hook["name"].as_str().unwrap_or("a webhook")
        )),
        _ => Status::Ready,
    }
}

/// The API answers.
pub(crate) fn available(object: &Json) -> Status {
    wanted_condition(object, "Available")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deployment_serves_when_no_pod_of_another_revision_is_left() {
        let mut object = json!({
            "metadata": {"generation": 2}, "spec": {"replicas": 2},
            "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
        });
        assert!(matches!(deployment(&object), Status::Pending(why) if why.contains("not seen")));
        object["status"]["observedGeneration"] = json!(2);
        assert_eq!(deployment(&object), Status::Ready);
        object["status"]["replicas"] = json!(3);
        assert!(matches!(deployment(&object), Status::Pending(why) if why.contains("1 pods of an older")));
        object["status"]["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}]);
        assert_eq!(deployment(&object), Status::Failed("ProgressDeadlineExceeded: has timed out".into()));
    }

    #[test]
    fn a_webhook_serves_once_its_callers_trust_it() {
        let mut object = json!({
            "metadata": {"annotations": {}},
            "webhooks": [{"name": "a", "clientConfig": {"caBundle": "Cg=="}}, {"name": "b", "clientConfig": {}}],
        });
        assert_eq!(trusted(&object), Status::Ready, "nobody is meant to tell");
        object["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] = json!("here/serving");
        assert!(matches!(trusted(&object), Status::Pending(why) if why.ends_with("who signs for b")));
        object["webhooks"][1]["clientConfig"]["caBundle"] = json!("Cg==");
        assert_eq!(trusted(&object), Status::Ready);
    }

    #[test]
    fn a_service_waits_for_its_load_balancer_and_no_other_does() {
        assert_eq!(service(&json!({"spec": {"type": "ClusterIP"}})), Status::Ready);
        let mut object = json!({"spec": {"type": "LoadBalancer"}});
        assert!(matches!(service(&object), Status::Pending(_)));
        object["status"] = json!({"loadBalancer": {"ingress": [{"hostname": "nlb.example"}]}});
        assert_eq!((service(&object), address(&object).as_deref()), (Status::Ready, Some("nlb.example")));
    }
}
