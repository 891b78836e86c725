//! A rollout that is waited for, against answers of a cluster, while the clock is turned.

use super::*;
use futures::future::{Ready, ready};
use http::{Request, Response};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1,
};
use kube::client::Body;
use serde_json::json;
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};
use tower::Service;

/// What a cluster has, by the last part of the path, and what it was asked.
#[derive(Clone, Default)]
struct Cluster {
    has: Arc<Mutex<BTreeMap<&'static str, Json>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service<Request<Body>> for Cluster {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        locked(&self.asked).push(request.uri().to_string());
        let what = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let answer = match locked(&self.has).get(what.as_str()).cloned() {
            Some(Json::String(log)) => Response::new(Body::from(log.into_bytes())),
            Some(Json::Object(one)) => Response::new(Body::from(Json::Object(one).to_string().into_bytes())),
            Some(items) => {
                let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
                Response::new(Body::from(list.to_string().into_bytes()))
            }
            None => {
                let no = json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"});
                let mut response = Response::new(Body::from(no.to_string().into_bytes()));
                *response.status_mut() = http::StatusCode::FORBIDDEN;
                response
            }
        };
        ready(Ok(answer))
    }
}

impl Cluster {
    fn reasons(&self) -> Reasons {
        Reasons::new(Client::new(self.clone(), "default"))
    }

    fn set(&self, what: &'static str, is: Json) {
        locked(&self.has).insert(what, is);
    }

    fn calls(&self) -> usize {
        locked(&self.asked).len()
    }

    /// One with a replica set and a pod of it whose container is like this.
    fn with(container: &Json) -> Cluster {
        let cluster = Cluster::default();
        let labels = json!({"app": "web", "pod-template-hash": "h2"});
        cluster.set("replicasets", json!([
            {"metadata": {"name": "web-h1", "ownerReferences": [{"uid": "d"}], "annotations": {"deployment.kubernetes.io/revision": "1"}}},
            {"metadata": {"name": "web-h2", "labels": labels, "ownerReferences": [{"uid": "d"}],
                          "annotations": {"deployment.kubernetes.io/revision": "2"}}},
        ]));
        cluster.set("events", json!([]));
        cluster.pod(container);
        cluster
    }

    fn pod(&self, container: &Json) {
        let status = json!({"phase": "Pending", "containerStatuses": [container]});
        self.set("pods", json!([{"metadata": {"name": "web-h2-1", "uid": "p"}, "status": status}]));
    }
}

fn deployment() -> Json {
    json!({
        "metadata": {"name": "web", "namespace": "space", "uid": "d", "generation": 2,
                     "annotations": {"deployment.kubernetes.io/revision": "2"}},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 2, "conditions": [{"type": "ReplicaFailure", "status": "True"}]},
    })
}

fn waits(reason: &str, message: &str) -> Json {
    json!({"name": "web", "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}})
}

fn crashes(restarts: i64) -> Json {
    let ended = json!({"exitCode": 1, "reason": "Error"});
    json!({"name": "web", "restartCount": restarts, "lastState": {"terminated": ended},
           "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}})
}

async fn told(reasons: &Reasons) -> Status {
    reasons.told::<Deployment>(&deployment(), Status::Pending("0 of 1".into()), false).await
}

/// Looks every second, as the engine does, for so long or until it is over.
async fn after(reasons: &Reasons, seconds: u64) -> Status {
    let mut last = told(reasons).await;
    for _ in 0..seconds {
        if matches!(last, Status::Failed(_)) {
            break;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        last = told(reasons).await;
    }
    last
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_quick_costs_no_call_and_one_that_takes_minutes_few() {
    let cluster = Cluster::with(&waits("ContainerCreating", ""));
    let reasons = cluster.reasons();
    let mut object = deployment();
    object["status"]["conditions"] = json!([]);
    for second in 0..300 {
        let pending = Status::Pending("0 of 1".into());
        assert_eq!(reasons.told::<Deployment>(&object, pending.clone(), false).await, pending);
        assert!(second >= 2 || cluster.calls() == 0);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    // Of 300 looks at the deployment itself, each a call.
    assert!((20..=70).contains(&cluster.calls()), "{} calls", cluster.calls());
    let sets = locked(&cluster.asked).iter().filter(|call| call.contains("replicasets")).count();
    assert_eq!(sets, 1, "which revision is the newest is known");
    assert!(locked(&cluster.asked).iter().any(|call| call.contains("pod-template-hash%3Dh2")));
}

#[tokio::test(start_paused = true)]
async fn a_survey_asks_nothing_and_who_may_not_look_is_told_the_count() {
    let cluster = Cluster::with(&waits("ErrImagePull", "not found"));
    let reasons = cluster.reasons();
    let pending = Status::Pending("0 of 1".into());
    for _ in 0..9 {
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(reasons.told::<Deployment>(&deployment(), pending.clone(), true).await, pending);
    }
    assert_eq!(cluster.calls(), 0);
    locked(&cluster.has).clear();
    assert_eq!(after(&reasons, 3).await, pending);
    assert!(cluster.calls() > 0);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_there_gets_a_minute_and_a_registry_that_is_away_all_the_time() {
    let cluster = Cluster::with(&waits("ImagePullBackOff", "Back-off pulling image \"a:1\": not found"));
    let reasons = cluster.reasons();
    let expected =
        "0 of 1: pod web-h2-1: container web: ImagePullBackOff: Back-off pulling image \"a:1\": not found";
    assert_eq!(after(&reasons, 3).await, Status::Pending(expected.into()));
    assert!(matches!(after(&reasons, 50).await, Status::Pending(_)));
    assert_eq!(after(&reasons, 30).await, Status::Failed(expected.into()));
    cluster.pod(&waits("ImagePullBackOff", "dial tcp: i/o timeout"));
    assert!(matches!(after(&cluster.reasons(), 600).await, Status::Pending(_)));
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_waited_for_where_the_plan_makes_it() {
    let cluster =
        Cluster::with(&waits("CreateContainerConfigError", "couldn't find key b in Secret space/a"));
    let reasons = cluster.reasons();
    reasons.wanted::<v1::Secret>(Some("space"), "a", &json!({"data": {"b": "x"}}));
    assert!(
        matches!(after(&reasons, 300).await, Status::Pending(why) if why.ends_with("key b in Secret space/a"))
    );
    let reasons = cluster.reasons();
    reasons.wanted::<v1::Secret>(Some("space"), "a", &json!({"data": {"c": "x"}}));
    reasons.wanted::<v1::ConfigMap>(Some("space"), "a", &json!({"data": {"b": "x"}}));
    assert!(matches!(after(&reasons, 50).await, Status::Pending(_)));
    assert!(
        matches!(after(&reasons, 30).await, Status::Failed(why) if why.ends_with("; this plan does not make it"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_ends_the_wait_once_we_saw_it_go_on() {
    let cluster = Cluster::with(&crashes(7));
    cluster.set(
        "log",
        json!("starting\nno token hunter2, no postgres://coder:***\nat postgres://coder:hunter3@host/db\n"),
    );
    let mut pods = locked(&cluster.has)["pods"].clone();
    let from = |name: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": name, "key": "a"}}});
    pods[0]["spec"] = json!({"containers": [{"env": [from("token"), from("url")]}]});
    cluster.set("pods", pods);
    // Base64 of `hunter2` and of `postgres://coder:hunter3@elsewhere`.
    cluster.set("token", json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "aHVudGVyMg=="}}));
    let url = "cG9zdGdyZXM6Ly9jb2RlcjpodW50ZXIzQGVsc2V3aGVyZQ==";
    cluster.set("url", json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": url}}));
    let reasons = cluster.reasons();
    let Status::Pending(why) = after(&reasons, 60).await else { panic!("what was may be mended") };
    let lines = "starting | no token ***, no postgres://coder:*** | at postgres://coder:***@host/db";
    assert!(why.ends_with(&format!("exit code 1, restarts: 7; its last lines: {lines}")), "{why}");
    let logs = || locked(&cluster.asked).iter().filter(|call| call.contains("/log?")).count();
    assert_eq!(logs(), 1, "read once");
    locked(&cluster.has).remove("token");
    let untold = cluster.reasons();
    let Status::Pending(why) = after(&untold, 3).await else { panic!("it has just begun") };
    assert!(why.ends_with("restarts: 7"), "what may be a secret is not told: {why}");
    cluster.pod(&crashes(8));
    assert!(matches!(after(&reasons, 16).await, Status::Failed(why) if why.contains("restarts: 8")));
    assert_eq!(logs(), 3);
    let young = Cluster::with(&crashes(1));
    let reasons = young.reasons();
    assert!(matches!(after(&reasons, 20).await, Status::Pending(_)));
    young.pod(&crashes(3));
    assert!(matches!(after(&reasons, 20).await, Status::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_refused_ends_the_wait_within_seconds_and_a_quota_does_not() {
    let refused = |message: &str| {
        let cluster = Cluster::with(&waits("ContainerCreating", ""));
        let failure =
            json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message});
        let mut sets = locked(&cluster.has)["replicasets"].clone();
        // The old one's troubles are over with it.
        let old =
            json!([{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity \"old\""}]);
        sets[0]["status"] = json!({"conditions": old});
        sets[1]["status"] = json!({"conditions": [failure]});
        cluster.set("replicasets", sets);
        cluster.set("pods", json!([]));
        cluster
    };
    let reasons = refused("pods \"web\" is forbidden: exceeded quota: all").reasons();
    let Status::Pending(why) = after(&reasons, 300).await else { panic!("others may go") };
    assert_eq!(why, "0 of 1: FailedCreate: pods \"web\" is forbidden: exceeded quota: all");
    let reasons = refused("pods \"web\" is forbidden: violates PodSecurity \"restricted\"").reasons();
    assert!(matches!(after(&reasons, 3).await, Status::Pending(_)), "it has to stay");
    assert!(
        matches!(after(&reasons, 7).await, Status::Failed(why) if why.contains("violates PodSecurity \"restricted\""))
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_without_pods_is_told_by_its_events_if_they_go_on() {
    let cluster = Cluster::default();
    cluster.set("pods", json!([]));
    let happened = |times: i64| {
        let message = "create Pod web-0 failed: admission webhook \"a\" denied the request: no";
        cluster.set("events", json!([{
            "metadata": {"uid": "e"}, "reason": "FailedCreate", "message": message, "count": times, "lastTimestamp": "2026-01-01T00:00:00Z",
        }]));
    };
    let reasons = cluster.reasons();
    let look = async |seconds: u64| {
        let pending = Status::Pending("0 of 1".into());
        for _ in 0..seconds {
            tokio::time::advance(Duration::from_secs(1)).await;
            let status = reasons.told::<StatefulSet>(&deployment(), pending.clone(), false).await;
            if let Status::Failed(why) = status {
                return Some(why);
            }
        }
        None
    };
    happened(9);
    assert_eq!(look(60).await, None, "it may be of an earlier revision");
    happened(10);
    assert!(look(20).await.unwrap().contains("denied the request"));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_an_earlier_run_has_missed_is_no_news() {
    let cluster = Cluster::with(&waits("ContainerCreating", ""));
    let late = Status::Failed("ProgressDeadlineExceeded".into());
    let reasons = cluster.reasons();
    let told = async |status: &Status| reasons.told::<Deployment>(&deployment(), status.clone(), false).await;
    let pending = Status::Pending("ProgressDeadlineExceeded".into());
    for _ in 0..5 {
        assert_eq!(told(&late).await, pending);
        tokio::time::advance(Duration::from_secs(5)).await;
    }
    assert_eq!(told(&Status::Ready).await, Status::Ready);
    assert!(matches!(told(&Status::Pending("0 of 1".into())).await, Status::Pending(_)));
    assert_eq!(told(&late).await, late, "missed while we waited");
}

#[tokio::test(start_paused = true)]
async fn a_service_without_an_address_is_told_by_its_last_event() {
    let cluster = Cluster::default();
    let event = |reason: &str, at: &str| json!({"metadata": {"uid": reason}, "reason": reason, "message": "no subnet", "count": 1, "lastTimestamp": at});
    cluster
        .set("events", json!([event("New", "2026-01-02T00:00:00Z"), event("Old", "2026-01-01T00:00:00Z")]));
    let reasons = cluster.reasons();
    let object = json!({"metadata": {"name": "web", "namespace": "space", "uid": "s"}});
    let mut last = Status::Ready;
    for _ in 0..100 {
        last = reasons.told::<v1::Service>(&object, Status::Pending("no name".into()), false).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(last, Status::Pending("no name: New: no subnet".into()));
    assert!(cluster.calls() < 30, "{}", cluster.calls());
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_told_by_what_its_authority_waits_for() {
    let cluster = Cluster::default();
    let challenge = |name: &str, why: &str| json!({"metadata": {"name": "c"}, "spec": {"dnsName": name}, "status": {"reason": why}});
    cluster.set("events", json!([]));
    let all =
        json!([challenge("other.example", "theirs"), challenge("coder.example", "403 from Cloudflare")]);
    cluster.set("challenges", all);
    let reasons = cluster.reasons();
    let object = json!({
        "metadata": {"name": "web", "namespace": "space", "uid": "s", "generation": 1},
        "spec": {"dnsNames": ["*.coder.example"]},
    });
    let told = async |seconds: u64| {
        let mut last = Status::Ready;
        for _ in 0..seconds {
            let pending = Status::Pending("DoesNotExist".into());
            last = reasons.told::<crate::custom::Certificate>(&object, pending, false).await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        last
    };
    let why = "DoesNotExist: challenge for coder.example: 403 from Cloudflare";
    assert_eq!(told(4).await, Status::Pending(why.into()));
    cluster.set("challenges", json!([]));
    assert_eq!(told(9).await, Status::Pending("DoesNotExist".into()));
    assert!(
        locked(&cluster.asked)
            .iter()
            .any(|call| call.contains("acme.cert-manager.io/v1/namespaces/space/challenges"))
    );
}
