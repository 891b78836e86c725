//! Kubelets do not start a container whose Secret or ConfigMap is not there. KWOK cannot look, so an annotation tells it.

use serde_json::{Value, json};

use super::Stage;
use crate::kubernetes::client::Error;
use crate::kubernetes::world::{CONFIG_MAPS, PODS, SECRETS, World, each, path};

const LACKS: &str = "sandbox.causeway/lacks";

pub(super) async fn pass(stage: &Stage) -> Result<(), Error> {
    for pod in stage.world.all(PODS) {
        if pod["status"]["phase"] != "Pending" || !pod["metadata"]["deletionTimestamp"].is_null() {
            continue;
        }
        let lacks = missing(&stage.world, &pod);
        let told = pod["metadata"]["annotations"][LACKS].as_str();
        if lacks.as_deref() == told {
            continue;
        }
        let change = json!({ "metadata": { "annotations": { LACKS: lacks } } });
        match stage.client.merge(&path(PODS, &pod), &change).await {
            Err(error) if !error.is(404) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The first thing that a pod refers to and that is not there, in the kubelet's words.
fn missing(world: &World, pod: &Value) -> Option<String> {
    let namespace = pod["metadata"]["namespace"].as_str()?;
    let spec = &pod["spec"];
    let containers = each(&spec["initContainers"]).chain(each(&spec["containers"]));
    let mut wanted: Vec<(&str, &Value, Option<&str>)> = Vec::new();
    for container in containers {
        for variable in each(&container["env"]) {
            let from = &variable["valueFrom"];
            wanted.push((SECRETS, &from["secretKeyRef"], from["secretKeyRef"]["key"].as_str()));
            wanted.push((CONFIG_MAPS, &from["configMapKeyRef"], from["configMapKeyRef"]["key"].as_str()));
        }
        for from in each(&container["envFrom"]) {
            wanted.push((SECRETS, &from["secretRef"], None));
            wanted.push((CONFIG_MAPS, &from["configMapRef"], None));
        }
    }
    for volume in each(&spec["volumes"]) {
        wanted.push((SECRETS, &volume["secret"], None));
        wanted.push((CONFIG_MAPS, &volume["configMap"], None));
        for source in each(&volume["projected"]["sources"]) {
            wanted.push((SECRETS, &source["secret"], None));
            wanted.push((CONFIG_MAPS, &source["configMap"], None));
        }
    }
    wanted.into_iter().find_map(|(kind, reference, part)| {
        let name = reference["name"].as_str().or(reference["secretName"].as_str())?;
        if reference["optional"] == true {
            return None;
        }
        let word = if kind == SECRETS { "secret" } else { "configmap" };
        let Some(found) = world.get(kind, &format!("{namespace}/{name}")) else {
            return Some(format!("{word} \"{name}\" not found"));
        };
        let part = part?;
        let has = !found["data"][part].is_null() || !found["binaryData"][part].is_null();
        (!has).then(|| format!("couldn't find key {part} in {word} {namespace}/{name}"))
    })
}
