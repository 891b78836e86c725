//! Kubelets do not start a container whose Secret or ConfigMap is not there, and mount no volume of one. KWOK cannot look, so an
//! annotation tells it.

use serde_json::{Value, json};

use super::Stage;
use crate::kubernetes::client::Error;
use crate::kubernetes::world::{CONFIG_MAPS, PODS, SECRETS, World, each, path};

const LACKS: &str = "sandbox.causeway/lacks";
/// So begins what a kubelet says of a volume; the stages know it too.
const MOUNT: &str = "MountVolume";

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
        if let Some(lacks) = &lacks {
            let (reason, said) = match lacks.starts_with(MOUNT) {
                true => ("FailedMount", lacks.clone()),
                false => ("Failed", format!("Error: {lacks}")),
            };
            stage.event("Pod", &pod, reason, &said).await?;
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
    let mut referred: Vec<(&'static str, &Value, Option<&str>)> = Vec::new();
    let mut mounted: Vec<(&'static str, &Value, &str)> = Vec::new();
    for container in containers {
        for variable in each(&container["env"]) {
            let from = &variable["valueFrom"];
            referred.push((SECRETS, &from["secretKeyRef"], from["secretKeyRef"]["key"].as_str()));
            referred.push((CONFIG_MAPS, &from["configMapKeyRef"], from["configMapKeyRef"]["key"].as_str()));
        }
        for from in each(&container["envFrom"]) {
            referred.push((SECRETS, &from["secretRef"], None));
            referred.push((CONFIG_MAPS, &from["configMapRef"], None));
        }
    }
    for volume in each(&spec["volumes"]) {
        let name = volume["name"].as_str().unwrap_or_default();
        // What Kubernetes adds by itself comes with the namespace; the stages do not wait for it either.
        if name.starts_with("kube-api-access-") {
            continue;
        }
        let sources = each(&volume["projected"]["sources"]).chain([volume]);
        for source in sources {
            mounted.push((SECRETS, &source["secret"], name));
            mounted.push((CONFIG_MAPS, &source["configMap"], name));
        }
    }
    // Volumes are mounted before containers are made.
    let mounted = mounted.into_iter().find_map(|(kind, reference, volume)| {
        let why = lacking(world, namespace, kind, reference, None)?;
        Some(format!("{MOUNT}.SetUp failed for volume \"{volume}\" : {why}"))
    });
    let wanted = |(kind, reference, part)| lacking(world, namespace, kind, reference, part);
    mounted.or_else(|| referred.into_iter().find_map(wanted))
}

/// Why a reference cannot be followed, if it is one.
fn lacking(
    world: &World,
    namespace: &str,
    kind: &'static str,
    reference: &Value,
    part: Option<&str>,
) -> Option<String> {
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
}
