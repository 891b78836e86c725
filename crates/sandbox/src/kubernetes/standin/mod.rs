//! What controllers of a cluster would do whose programs do not run, since no pod's does. Each acts only while a pod of its
//! image is ready, so what depends on it waits as it would.

mod certificates;
mod karpenter;
mod kubelets;
mod load_balancers;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::authority::Authority;
use super::client::{Client, Error};
use super::world::{World, path};
use super::{Behaviour, Controller, Inner};
use crate::gateway::{BoxError, Inside};

/// Changes come in bursts; so long more are waited for.
const GATHER: Duration = Duration::from_millis(30);
/// At the latest then it is looked again: at AWS, and at what was told to be slow.
const AGAIN: Duration = Duration::from_secs(2);

/// What the stand-ins work with.
pub(super) struct Stage {
    pub(super) world: Arc<World>,
    pub(super) client: Client,
    pub(super) aws: Inside,
    /// Signs certificates.
    pub(super) vouching: Arc<Authority>,
}

impl Stage {
    /// Changes the status of an object. A kind without the subresource has it in the object itself.
    async fn status(&self, kind: &str, object: &Value, status: Value) -> Result<(), Error> {
        let path = path(kind, object);
        let change = json!({ "status": status });
        match self.client.merge(&format!("{path}/status"), &change).await {
            Err(error) if error.is(404) => self.client.merge(&path, &change).await.map(drop),
            other => other.map(drop),
        }
    }

    /// Tells people about an object.
    async fn event(&self, kind: &str, object: &Value, reason: &str, message: &str) -> Result<(), Error> {
        let meta = &object["metadata"];
        let namespace = meta["namespace"].as_str().unwrap_or("default");
        // One for each reason, told once.
        let name = format!("{}.{}", meta["name"].as_str().unwrap_or_default(), reason.to_lowercase());
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": { "name": name, "namespace": namespace },
            "involvedObject": { "apiVersion": object["apiVersion"], "kind": kind, "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"] },
            "type": "Warning", "reason": reason, "message": message,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            "source": { "component": "causeway-sandbox" },
        });
        match self.client.create(&format!("/api/v1/namespaces/{namespace}/events"), &event).await {
            Err(error) if !error.is(409) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether an object is old enough for a controller that is told to be slow.
fn is_due(object: &Value, behaviour: Behaviour) -> bool {
    let Behaviour::Slow(time) = behaviour else { return true };
    let made =
        object["metadata"]["creationTimestamp"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    made.is_none_or(|made| {
        jiff::Timestamp::now().duration_since(made)
            >= jiff::SignedDuration::try_from(time).unwrap_or_default()
    })
}

/// A condition, and since when; `None` if the object has it already.
fn condition(object: &Value, kind: &str, is: bool, reason: &str, message: &str) -> Option<Value> {
    let status = if is { "True" } else { "False" };
    let mut conditions: Vec<Value> = super::world::each(&object["status"]["conditions"]).cloned().collect();
    let generation = &object["metadata"]["generation"];
    let same = |one: &Value| {
        let known = generation.is_null() || one["observedGeneration"] == *generation;
        one["type"] == kind && one["status"] == status && one["reason"] == reason && known
    };
    if conditions.iter().any(same) {
        return None;
    }
    conditions.retain(|one| one["type"] != kind);
    let mut condition = json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    if !generation.is_null() {
        condition["observedGeneration"] = generation.clone();
    }
    conditions.push(condition);
    Some(conditions.into())
}

/// Plays all of them for ever.
pub(super) async fn play(stage: Stage, cluster: Arc<Inner>) {
    let mut changes = stage.world.changes();
    let mut karpenter = karpenter::Karpenter::default();
    let mut load_balancers = load_balancers::LoadBalancers::default();
    loop {
        let _ = tokio::time::timeout(AGAIN, changes.changed()).await;
        tokio::time::sleep(GATHER).await;
        changes.mark_unchanged();
        let told = |controller| cluster.behaviour(controller);
        let acts = |controller| told(controller) != Behaviour::Down;
        report("kubelets", kubelets::pass(&stage).await.map_err(BoxError::from));
        report("volumes", volumes::pass(&stage).await);
        if acts(Controller::CertManager) {
            let behaviour = told(Controller::CertManager);
            report("cert-manager", certificates::pass(&stage, behaviour).await);
        }
        if acts(Controller::LoadBalancers) {
            let behaviour = told(Controller::LoadBalancers);
            report("load balancers", load_balancers.pass(&stage, behaviour).await);
        }
        if acts(Controller::Karpenter) {
            let behaviour = told(Controller::Karpenter);
            report("karpenter", karpenter.pass(&stage, behaviour).await);
        }
    }
}

/// What failed is tried again with the next change.
fn report(who: &str, done: Result<(), BoxError>) {
    if let Err(error) = done {
        tracing::debug!(error, who, "a stand-in");
    }
}
