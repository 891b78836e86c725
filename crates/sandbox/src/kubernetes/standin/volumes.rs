//! The EBS CSI driver: a volume for each claim of its class, bound and attached. No volume is made in EC2.

use serde_json::{Value, json};

use super::Stage;
use crate::gateway::BoxError;
use crate::kubernetes::nodes::seed;
use crate::kubernetes::world::{ATTACHMENTS, CLAIMS, CLASSES, NODES, VOLUMES, path, texts};

const DRIVER: &str = "ebs.csi.aws.com";
const ZONE: &str = "topology.kubernetes.io/zone";
/// What the controller of claims says about who is to make the volume, and the scheduler about where.
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const NODE: &str = "volume.kubernetes.io/selected-node";
const MADE_BY: &str = "pv.kubernetes.io/provisioned-by";

pub(super) async fn pass(stage: &Stage) -> Result<(), BoxError> {
    let claims = stage.world.all(CLAIMS);
    let volumes = stage.world.all(VOLUMES);
    let is_ours = |object: &Value, annotation: &str| object["metadata"]["annotations"][annotation] == DRIVER;
    let waiting =
        claims.iter().filter(|claim| claim["status"]["phase"] == "Pending" && is_ours(claim, PROVISIONER));
    let released =
        volumes.iter().filter(|volume| volume["status"]["phase"] == "Released" && is_ours(volume, MADE_BY));
    let attachments = stage.world.all(ATTACHMENTS);
    let attaching = attachments
        .iter()
        .filter(|one| one["spec"]["attacher"] == DRIVER && one["status"]["attached"] != true);
    let waiting: Vec<_> = waiting.collect();
    let released: Vec<_> = released.collect();
    let attaching: Vec<_> = attaching.collect();
    if waiting.is_empty() && released.is_empty() && attaching.is_empty() || !is_there(stage).await? {
        return Ok(());
    }
    for claim in waiting {
        let volume = volume(stage, claim);
        match stage.client.create(VOLUMES, &volume).await {
            Err(error) if !error.is(409) => return Err(error.into()),
            _ => {}
        }
    }
    for volume in released.into_iter().filter(|one| one["spec"]["persistentVolumeReclaimPolicy"] == "Delete")
    {
        stage.client.delete(&path(VOLUMES, volume)).await?;
    }
    for attachment in attaching {
        stage.status(ATTACHMENTS, attachment, json!({ "attached": true })).await?;
    }
    Ok(())
}

/// Whether the driver is deployed, or EKS has it as an add-on, whose pods are not shown.
async fn is_there(stage: &Stage) -> Result<bool, BoxError> {
    if stage.world.runs("ebs-csi-driver") {
        return Ok(true);
    }
    let addons = stage.aws.eks("ListAddons", "/addons").await?;
    Ok(texts(&addons["addons"]).any(|addon| addon == "aws-ebs-csi-driver"))
}

fn volume(stage: &Stage, claim: &Value) -> Value {
    let (meta, spec) = (&claim["metadata"], &claim["spec"]);
    let uid = meta["uid"].as_str().unwrap_or_default();
    let class = spec["storageClassName"].as_str().unwrap_or_default();
    let class = stage.world.get(CLASSES, &format!("/{class}"));
    let policy = class.and_then(|class| class["reclaimPolicy"].as_str().map(str::to_owned));
    let mut volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": { "name": format!("pvc-{uid}"), "annotations": { MADE_BY: DRIVER } },
        "spec": {
            "capacity": { "storage": spec["resources"]["requests"]["storage"] },
            "accessModes": spec["accessModes"],
            "storageClassName": spec["storageClassName"],
            "persistentVolumeReclaimPolicy": policy.unwrap_or_else(|| "Delete".to_owned()),
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"],
            },
            "csi": { "driver": DRIVER, "volumeHandle": format!("vol-{:017x}", seed(uid)), "fsType": "ext4" },
        },
    });
    let node =
        meta["annotations"][NODE].as_str().and_then(|node| stage.world.get(NODES, &format!("/{node}")));
    if let Some(zone) = node.and_then(|node| node["metadata"]["labels"][ZONE].as_str().map(str::to_owned)) {
        let terms = [json!({ "matchExpressions": [{ "key": ZONE, "operator": "In", "values": [zone] }] })];
        volume["spec"]["nodeAffinity"] = json!({ "required": { "nodeSelectorTerms": terms } });
    }
    volume
}
