//! What is in a cluster, kept up to date: a list and a watch for each kind that the sandbox plays something of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::client::{Client, Error};
use crate::gateway::lock;

pub(super) const PODS: &str = "/api/v1/pods";
pub(super) const NODES: &str = "/api/v1/nodes";
pub(super) const SECRETS: &str = "/api/v1/secrets";
pub(super) const CONFIG_MAPS: &str = "/api/v1/configmaps";
pub(super) const SERVICES: &str = "/api/v1/services";
pub(super) const INGRESSES: &str = "/apis/networking.k8s.io/v1/ingresses";
pub(super) const INGRESS_CLASSES: &str = "/apis/networking.k8s.io/v1/ingressclasses";
pub(super) const VALIDATING: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
pub(super) const MUTATING: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
pub(super) const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
pub(super) const API_SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
pub(super) const ISSUERS: &str = "/apis/cert-manager.io/v1/issuers";
pub(super) const CLUSTER_ISSUERS: &str = "/apis/cert-manager.io/v1/clusterissuers";
pub(super) const CERTIFICATES: &str = "/apis/cert-manager.io/v1/certificates";
pub(super) const NODE_POOLS: &str = "/apis/karpenter.sh/v1/nodepools";
pub(super) const NODE_CLASSES: &str = "/apis/karpenter.k8s.aws/v1/ec2nodeclasses";

pub(super) const CLAIMS: &str = "/api/v1/persistentvolumeclaims";
pub(super) const VOLUMES: &str = "/api/v1/persistentvolumes";
pub(super) const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
pub(super) const ATTACHMENTS: &str = "/apis/storage.k8s.io/v1/volumeattachments";

const KINDS: &[&str] = &[
    CLAIMS,
    VOLUMES,
    CLASSES,
    ATTACHMENTS,
    PODS,
    NODES,
    SECRETS,
    CONFIG_MAPS,
    SERVICES,
    INGRESSES,
    INGRESS_CLASSES,
    VALIDATING,
    MUTATING,
    CRDS,
    API_SERVICES,
    ISSUERS,
    CLUSTER_ISSUERS,
    CERTIFICATES,
    NODE_POOLS,
    NODE_CLASSES,
];

/// Until a kind is asked for again whose list or watch failed; most are not defined yet.
const AGAIN: Duration = Duration::from_millis(500);

type Store = BTreeMap<String, Arc<Value>>;

/// The objects of all kinds.
pub(super) struct World {
    stores: Mutex<BTreeMap<&'static str, Store>>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

/// `NAMESPACE/NAME`, or `/NAME`.
pub(super) fn key(object: &Value) -> String {
    let meta = &object["metadata"];
    format!(
        "{}/{}",
        meta["namespace"].as_str().unwrap_or_default(),
        meta["name"].as_str().unwrap_or_default()
    )
}

/// Where an object of a kind is.
pub(super) fn path(kind: &str, object: &Value) -> String {
    let meta = &object["metadata"];
    let name = meta["name"].as_str().unwrap_or_default();
    match meta["namespace"].as_str().and_then(|namespace| Some((namespace, kind.rsplit_once('/')?))) {
        Some((namespace, (group, plural))) => format!("{group}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{kind}/{name}"),
    }
}

/// The texts of a list.
pub(super) fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The members of a list.
pub(super) fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

impl World {
    pub(super) fn new() -> Arc<World> {
        Arc::new(World { stores: Mutex::default(), changes: watch::Sender::new(0) })
    }

    /// Keeps it up to date for ever.
    pub(super) async fn follow(self: Arc<World>, client: Client) {
        futures::future::join_all(KINDS.iter().map(|kind| self.follow_kind(&client, kind))).await;
    }

    async fn follow_kind(&self, client: &Client, kind: &'static str) {
        loop {
            if let Err(error) = self.list_and_watch(client, kind).await {
                tracing::debug!(%error, kind, "watch");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn list_and_watch(&self, client: &Client, kind: &'static str) -> Result<(), Error> {
        let list = client.get(kind).await?.unwrap_or_default();
        let store: Store = each(&list["items"]).map(|item| (key(item), Arc::new(item.clone()))).collect();
        let before = self.stores().insert(kind, store.clone());
        if before.unwrap_or_default() != store {
            self.changed();
        }
        let Some(version) = list["metadata"]["resourceVersion"].as_str() else { return Ok(()) };
        let mut watch = client.watch(kind, version).await?;
        while let Some(event) = watch.next().await? {
            let object = &event["object"];
            {
                let mut stores = self.stores();
                let store = stores.entry(kind).or_default();
                match event["type"].as_str() {
                    Some("ADDED" | "MODIFIED") => drop(store.insert(key(object), Arc::new(object.clone()))),
                    Some("DELETED") => drop(store.remove(&key(object))),
                    Some("BOOKMARK") => continue,
                    // The version is too old; the list is asked for again.
                    _ => return Ok(()),
                }
            }
            self.changed();
        }
        Ok(())
    }

    fn stores(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Store>> {
        lock(&self.stores)
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Hears of changes.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// All objects of a kind.
    pub(super) fn all(&self, kind: &str) -> Vec<Arc<Value>> {
        self.stores().get(kind).map(|store| store.values().cloned().collect()).unwrap_or_default()
    }

    /// One object, by [`key`].
    pub(super) fn get(&self, kind: &str, key: &str) -> Option<Arc<Value>> {
        self.stores().get(kind)?.get(key).cloned()
    }

    /// Whether a pod is ready that has a container of a program, by a part of its image's name.
    pub(super) fn runs(&self, program: &str) -> bool {
        self.all(PODS).iter().any(|pod| is_ready(pod) && is_of(pod, program))
    }
}

/// Whether one of the pod's images is that of a program.
pub(super) fn is_of(pod: &Value, program: &str) -> bool {
    each(&pod["spec"]["containers"])
        .any(|container| container["image"].as_str().is_some_and(|image| image.contains(program)))
}

/// Whether an object has this condition.
pub(super) fn has(object: &Value, condition: &str, status: &str) -> bool {
    each(&object["status"]["conditions"]).any(|one| one["type"] == condition && one["status"] == status)
}

pub(super) fn is_ready(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && has(pod, "Ready", "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_at_the_path_of_its_kind() {
        let object = |namespace: Value| json!({ "metadata": { "name": "a", "namespace": namespace } });
        assert_eq!(path(PODS, &object(json!("x"))), "/api/v1/namespaces/x/pods/a");
        assert_eq!(
            path(CRDS, &object(Value::Null)),
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/a"
        );
    }
}
