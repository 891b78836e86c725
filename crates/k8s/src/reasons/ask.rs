//! The calls that tell why: pods of the newest revision, events, logs. A few for each look, none while all is well.

use super::{Hope, Log, Trouble, Work, pod};
use crate::call::Call;
use causeway_core::Error;
use k8s_openapi::{
    api::{
        apps::v1::ReplicaSet,
        core::v1::{Event, Pod, Secret},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, LogParams},
    core::Selector,
};
use serde_json::Value as Json;

/// More pods than that are not looked at: what keeps one keeps others.
const PODS: u32 = 250;
const LINES: usize = 3;
const LINE: usize = 200;
const LOG: i64 = 4_096;
/// Anything shorter is part of many words.
const SECRET: usize = 6;

fn text<'a>(json: &'a Json, path: &str) -> &'a str {
    json.pointer(path).and_then(Json::as_str).unwrap_or_default()
}

async fn list<K>(api: &Client, namespace: &str, params: &ListParams) -> Result<Vec<Json>, Error>
where
    K: kube::Resource<DynamicType = ()>,
{
    list_of(api, &ApiResource::erase::<K>(&()), namespace, params).await
}

async fn list_of(
    api: &Client,
    kind: &ApiResource,
    namespace: &str,
    params: &ListParams,
) -> Result<Vec<Json>, Error> {
    let objects: Api<DynamicObject> = Api::namespaced_with(api.clone(), namespace, kind);
    let found = objects.list(params).await.call("kubernetes:list")?.items;
    Ok(found.into_iter().filter_map(|one| serde_json::to_value(one).ok()).collect())
}

/// What the authority waits for before it signs: a record in DNS, mostly, or the right to write one.
/// <https://cert-manager.io/docs/troubleshooting/acme/>
async fn challenges(api: &Client, namespace: &str, certificate: &Json) -> Result<Vec<Trouble>, Error> {
    let kind = ApiResource {
        group: "acme.cert-manager.io".into(),
        version: "v1".into(),
        api_version: "acme.cert-manager.io/v1".into(),
        kind: "Challenge".into(),
        plural: "challenges".into(),
    };
    let names = certificate.pointer("/spec/dnsNames").and_then(Json::as_array).into_iter().flatten();
    // The challenge of a wildcard is for the domain itself.
    let names: Vec<&str> = names.filter_map(Json::as_str).map(|name| name.trim_start_matches("*.")).collect();
    let all = list_of(api, &kind, namespace, &ListParams::default()).await?;
    let told = all.iter().filter_map(|one| {
        let (name, why) = (text(one, "/spec/dnsName"), text(one, "/status/reason"));
        let ours = names.contains(&name) && !why.is_empty();
        ours.then(|| Trouble::new("challenge", format!("challenge for {name}: {why}")))
    });
    Ok(told.collect())
}

/// Everything that keeps the newest revision from coming up. `hash` is what its pods are told apart by, once it is known.
pub(super) async fn troubles(
    api: &Client,
    work: Work,
    object: &Json,
    hash: &mut Option<String>,
) -> Result<Vec<Trouble>, Error> {
    let namespace = text(object, "/metadata/namespace");
    if work == Work::Certificate {
        let found = challenges(api, namespace, object).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    if matches!(work, Work::Other | Work::Certificate) {
        let told = event(api, namespace, text(object, "/metadata/uid"), None).await?;
        let told = told.map(|told| Trouble::new("event", format!("{}: {}", told.reason, told.message)));
        return Ok(told.into_iter().collect());
    }
    let selector = object.pointer("/spec/selector").cloned().unwrap_or_default();
    let selector = serde_json::from_value::<LabelSelector>(selector).unwrap_or_default();
    // One that cannot be written as text has no pods that we could ask for.
    let Ok(selector) = Selector::try_from(selector) else { return Ok(vec![]) };
    let mut found = vec![];
    let label = match work {
        Work::Deployment => {
            if hash.is_none() || super::is_told(object, "ReplicaFailure") {
                let all = ListParams::default().labels_from(&selector);
                let sets = list::<ReplicaSet>(api, namespace, &all).await?;
                let newest = sets.iter().find(|set| is_newest(object, set));
                let Some(newest) = newest else { return Ok(vec![]) };
                *hash = Some(text(newest, "/metadata/labels/pod-template-hash").to_owned());
                found.extend(
                    super::condition(newest, "ReplicaFailure").map(|why| refused(text(why, "/message"))),
                );
            }
            hash.as_deref().map(|hash| ("pod-template-hash", hash))
        }
        Work::StatefulSet => Some(("controller-revision-hash", text(object, "/status/updateRevision"))),
        Work::DaemonSet => Some((
            "pod-template-generation",
            text(object, "/metadata/annotations/deprecated.daemonset.template.generation"),
        )),
        Work::Job | Work::Certificate | Work::Other => None,
    };
    let mut labels = selector.to_string();
    if let Some((name, value)) = label.filter(|(_, value)| !value.is_empty()) {
        labels = format!("{labels},{name}={value}");
    }
    let mut pods = list::<Pod>(api, namespace, &ListParams::default().labels(&labels).limit(PODS)).await?;
    pods.sort_by(|a, b| created(a).cmp(created(b)));
    found.extend(pods.iter().filter_map(pod::trouble));
    // Only a Deployment has a condition for pods that could not be made.
    if found.is_empty() && work != Work::Deployment {
        let told = event(api, namespace, text(object, "/metadata/uid"), Some("FailedCreate")).await?;
        found.extend(
            told.map(|told| Trouble { count: Some((told.uid, told.times)), ..refused(&told.message) }),
        );
    }
    Ok(found)
}

fn created(object: &Json) -> &str {
    text(object, "/metadata/creationTimestamp")
}

/// Whether this replica set is what the deployment wants now.
fn is_newest(deployment: &Json, set: &Json) -> bool {
    const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";
    let owner = text(deployment, "/metadata/uid");
    let mut owners = set.pointer("/metadata/ownerReferences").and_then(Json::as_array).into_iter().flatten();
    owners.any(|one| one["uid"] == owner) && text(set, REVISION) == text(deployment, REVISION)
}

/// Words by which a refusal is one of the pod itself, whenever it is tried: pod security, an admission webhook, a policy, a
/// limit range, a field that is wrong. Others may pass: a quota is freed, an account or a webhook comes.
const FINAL: [&str; 5] =
    ["violates PodSecurity", "denied the request", "denied request", " usage per ", " is invalid"];

/// Its pods cannot be made.
fn refused(message: &str) -> Trouble {
    let hope = match FINAL.iter().any(|words| message.contains(words)) {
        true => Hope::None,
        false => Hope::Some,
    };
    Trouble { hope, ..Trouble::new("FailedCreate", format!("FailedCreate: {message}")) }
}

struct Told {
    uid: String,
    times: i64,
    reason: String,
    message: String,
}

/// The newest warning about an object, of one reason or of any that says more than that it is tried again.
async fn event(
    api: &Client,
    namespace: &str,
    about: &str,
    reason: Option<&str>,
) -> Result<Option<Told>, Error> {
    let mut fields = format!("involvedObject.uid={about},type=Warning");
    if let Some(reason) = reason {
        fields = format!("{fields},reason={reason}");
    }
    let events = list::<Event>(api, namespace, &ListParams::default().fields(&fields)).await?;
    let when = |event: &Json| {
        ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/metadata/creationTimestamp"]
            .iter()
            .map(|path| text(event, path))
            .find(|time| !time.is_empty())
            .unwrap_or_default()
            .to_owned()
    };
    let newest = events.iter().filter(|event| event["reason"] != "BackOff").max_by_key(|event| when(event));
    Ok(newest.map(|event| Told {
        uid: text(event, "/metadata/uid").into(),
        times: ["/series/count", "/count"]
            .iter()
            .find_map(|path| event.pointer(path)?.as_i64())
            .unwrap_or_default(),
        reason: text(event, "/reason").into(),
        message: text(event, "/message").into(),
    }))
}

/// What events say of the pod that is in trouble.
pub(super) async fn events(api: &Client, object: &Json, trouble: &Trouble) -> Result<Option<String>, Error> {
    let told = event(api, text(object, "/metadata/namespace"), &trouble.about, None).await?;
    Ok(told.map(|told| format!("{}: {}", told.reason, told.message)))
}

/// The last lines that a container has written, on one line, without the secrets of its pod. None where they cannot be had.
pub(super) async fn lines(api: &Client, object: &Json, log: &Log) -> Option<String> {
    let namespace = text(object, "/metadata/namespace");
    let pods: Api<Pod> = Api::namespaced(api.clone(), namespace);
    let params = LogParams {
        container: Some(log.container.clone()),
        previous: log.previous,
        tail_lines: i64::try_from(LINES).ok(),
        limit_bytes: Some(LOG),
        ..LogParams::default()
    };
    let all = pods.logs(&log.pod, &params).await.ok()?;
    let hidden = hidden(api, namespace, log).await?;
    let said: Vec<&str> = all.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &said[said.len().saturating_sub(LINES)..];
    let shown = |line: &&str| {
        let without = hidden.iter().fold((*line).to_owned(), |line, secret| line.replace(secret, "***"));
        super::plain(&without, LINE)
    };
    Some(last.iter().map(shown).collect::<Vec<_>>().join(" | ")).filter(|lines| !lines.is_empty())
}

/// What the Secrets of a pod hold, line by line, and the passwords in addresses; the longest first. None where one of them
/// cannot be read: then nobody knows what may be told.
async fn hidden(api: &Client, namespace: &str, log: &Log) -> Option<Vec<String>> {
    let secrets: Api<Secret> = Api::namespaced(api.clone(), namespace);
    let mut found = vec![];
    for name in &log.secrets {
        let secret = secrets.get_opt(name).await.ok()?;
        for value in secret.into_iter().filter_map(|secret| secret.data).flatten() {
            let value = String::from_utf8_lossy(&value.1.0).into_owned();
            found.extend(password(&value).map(str::to_owned));
            found.extend(value.lines().map(|line| line.trim().to_owned()));
        }
    }
    found.retain(|secret| secret.len() >= SECRET);
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Some(found)
}

/// Of `scheme://user:password@host`.
fn password(address: &str) -> Option<&str> {
    let (user, _) = address.split_once("://")?.1.rsplit_once('@')?;
    Some(user.split_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_pod_is_refused_for_may_pass_or_not() {
        for message in [
            "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false",
            "admission webhook \"a.b.c\" denied the request: no such team",
            "pods \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
            "pods \"a\" is forbidden: maximum cpu usage per Container is 1, but limit is 2",
            "Pod \"a\" is invalid: spec.containers[0].image: Required value",
        ] {
            assert_eq!(refused(message).hope, Hope::None, "{message}");
        }
        for message in [
            "pods \"a\" is forbidden: exceeded quota: all, requested: pods=1, used: pods=0, limited: pods=0",
            "pods \"a\" is forbidden: error looking up service account b/c: serviceaccount \"c\" not found",
            "Internal error occurred: failed calling webhook \"a.b.c\": connection refused",
        ] {
            assert_eq!(refused(message).hope, Hope::Some, "{message}");
        }
    }

    #[test]
    fn a_password_is_found_in_an_address() {
        assert_eq!(password("postgres://coder:p@ss@host:5432/db"), Some("p@ss"));
        assert_eq!(password("https://host/a:b"), None);
        assert_eq!(password("hunter2"), None);
    }

    #[test]
    fn the_newest_replica_set_is_the_one_of_the_deployments_revision() {
        let object = |revision: &str| {
            json!({"metadata": {
                "uid": "d", "ownerReferences": [{"uid": "d"}], "annotations": {"deployment.kubernetes.io/revision": revision},
            }})
        };
        assert!(is_newest(&object("2"), &object("2")));
        assert!(!is_newest(&object("2"), &object("1")));
    }
}
