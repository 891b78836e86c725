//! Karpenter: node classes and node pools are ready, and a pod that fits nowhere gets a node of the first pool whose labels and
//! taints it fits, of the smallest instance type that holds it; others that fit it too wait for it. Nodes are not consolidated:
//! they go with their pool. There are no NodeClaims.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Behaviour, Stage, condition, is_due};
use crate::gateway::BoxError;
use crate::kubernetes::nodes::{Machine, Nodes, Subnet, remove, seed};
use crate::kubernetes::world::{NODE_CLASSES, NODE_POOLS, NODES, PODS, each, has, texts};

const POOL: &str = "karpenter.sh/nodepool";
const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// A pod whose node has just been made is left to the scheduler for so long.
const SCHEDULED: Duration = Duration::from_secs(10);
/// What is tried when a pool names no instance types, from small to large.
const SIZES: &[&str] =
    &["large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge", "24xlarge"];

#[derive(Default)]
pub(super) struct Karpenter {
    nodes: Nodes,
    /// The pods that have got a node, by UID.
    served: BTreeMap<String, Instant>,
    /// The nodes that have just been made.
    fresh: Vec<Fresh>,
    made: u64,
}

/// What is left of a node that the scheduler has not used yet.
struct Fresh {
    at: Instant,
    labels: BTreeMap<String, Vec<String>>,
    taints: Vec<Value>,
    cpu: u64,
    memory: u64,
}

impl Fresh {
    /// Whether a pod fits; then what it asks for is no longer left.
    fn takes(&mut self, pod: &Value) -> bool {
        let (cpu, memory) = requests(pod);
        let fits = self.cpu >= cpu
            && self.memory >= memory
            && self.taints.iter().all(|taint| is_tolerated(pod, taint))
            && chosen(self.labels.clone(), pod).is_some_and(|labels| labels == self.labels);
        if fits {
            self.cpu -= cpu;
            self.memory -= memory;
        }
        fits
    }
}

impl Karpenter {
    pub(super) async fn pass(&mut self, stage: &Stage, behaviour: Behaviour) -> Result<(), BoxError> {
        if !stage.world.runs("karpenter") {
            return Ok(());
        }
        for class in stage.world.all(NODE_CLASSES) {
            class_is_ready(stage, &class, behaviour).await?;
        }
        let mut pools = stage.world.all(NODE_POOLS);
        pools.sort_by_key(|pool| std::cmp::Reverse(pool["spec"]["weight"].as_u64().unwrap_or_default()));
        for pool in &pools {
            let class = pool["spec"]["template"]["spec"]["nodeClassRef"]["name"].as_str().unwrap_or_default();
            let class = stage.world.get(NODE_CLASSES, &format!("/{class}"));
            let told = match class {
                None => {
                    condition(pool, "Ready", false, "NodeClassNotFound", "NodeClass not found on cluster")
                }
                Some(class) if !has(&class, "Ready", "True") => {
                    condition(pool, "Ready", false, "NodeClassNotReady", "NodeClass is not ready")
                }
                Some(_) => condition(pool, "Ready", true, "Ready", ""),
            };
            if let Some(conditions) = told {
                stage.status(NODE_POOLS, pool, json!({ "conditions": conditions })).await?;
            }
        }
        for node in stage.world.all(NODES) {
            let (name, pool) = (&node["metadata"]["name"], &node["metadata"]["labels"][POOL]);
            if let (Some(name), Some(pool)) = (name.as_str(), pool.as_str())
                && !pools.iter().any(|one| one["metadata"]["name"] == *pool)
            {
                remove(&stage.client, name).await?;
            }
        }
        self.served.retain(|_, at| at.elapsed() < SCHEDULED);
        self.fresh.retain(|node| node.at.elapsed() < SCHEDULED);
        let ready: Vec<&Value> =
            pools.iter().map(|pool| &**pool).filter(|pool| has(pool, "Ready", "True")).collect();
        for pod in stage.world.all(PODS) {
            let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
            if !is_unschedulable(&pod) || self.served.contains_key(uid) {
                continue;
            }
            if self.fresh.iter_mut().any(|node| node.takes(&pod)) {
                self.served.insert(uid.to_owned(), Instant::now());
                continue;
            }
            for pool in &ready {
                if self.launch(stage, pool, &pod).await? {
                    self.served.insert(uid.to_owned(), Instant::now());
                    break;
                }
            }
        }
        Ok(())
    }

    /// Makes a node of a pool for a pod, if it fits.
    async fn launch(&mut self, stage: &Stage, pool: &Value, pod: &Value) -> Result<bool, BoxError> {
        let template = &pool["spec"]["template"];
        let name = pool["metadata"]["name"].as_str().unwrap_or_default();
        let taints: Vec<Value> = each(&template["spec"]["taints"]).cloned().collect();
        if !taints.iter().all(|taint| is_tolerated(pod, taint)) {
            return Ok(false);
        }
        let mut labels = requirements(template);
        labels.extend(
            template["metadata"]["labels"]
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(name, value)| Some((name.clone(), vec![value.as_str()?.to_owned()]))),
        );
        labels.insert(POOL.to_owned(), vec![name.to_owned()]);
        let Some(labels) = chosen(labels, pod) else { return Ok(false) };
        let class = template["spec"]["nodeClassRef"]["name"].as_str().unwrap_or_default();
        let Some(class) = stage.world.get(NODE_CLASSES, &format!("/{class}")) else { return Ok(false) };
        let ids: Vec<&str> = each(&class["status"]["subnets"]).filter_map(|one| one["id"].as_str()).collect();
        let disk =
            each(&class["spec"]["blockDeviceMappings"]).find_map(|one| gibibytes(&one["ebs"]["volumeSize"]));
        let zone = labels.get("topology.kubernetes.io/zone");
        let mut subnets = Subnet::all(&stage.aws, &ids).await?;
        subnets.retain(|subnet| zone.is_none_or(|zones| zones.contains(&subnet.zone)));
        let arm = labels
            .get("kubernetes.io/arch")
            .is_some_and(|arch| arch.first().is_some_and(|arch| arch == "arm64"));
        let (cpu, memory) = requests(pod);
        for candidate in candidates(&labels, arm) {
            // One that EC2 does not have is passed over.
            let Ok(shape) = self.nodes.shape(&stage.aws, &candidate).await else { continue };
            let free = shape.free();
            if free.0 < cpu || free.1 < memory {
                continue;
            }
            self.made += 1;
            let seed = seed(&format!("{}/{name}/{}", stage.aws.cluster(), self.made));
            let Some(subnet) =
                subnets.get(usize::try_from(self.made).unwrap_or_default() % subnets.len().max(1))
            else {
                return Err(format!("no subnet of the node pool {name} is in the zones that it names").into());
            };
            let machine = Machine {
                region: stage.aws.region(),
                zone: &subnet.zone,
                address: subnet.address(seed),
                instance_type: &candidate,
                shape,
                disk: disk.unwrap_or(20),
                arm,
                seed,
            };
            // A label with one possible value is that one; of several the first is taken.
            let mut own: serde_json::Map<String, Value> = labels
                .iter()
                .filter_map(|(name, values)| Some((name.clone(), values.first()?.clone().into())))
                .collect();
            for label in [INSTANCE_TYPE, "topology.kubernetes.io/zone"] {
                own.remove(label);
            }
            own.entry("karpenter.sh/capacity-type").or_insert("on-demand".into());
            let node = machine.node(&Value::Object(own), &taints);
            self.fresh.push(Fresh {
                at: Instant::now(),
                labels: node["metadata"]["labels"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter_map(single)
                    .collect(),
                taints: taints.clone(),
                cpu: free.0 - cpu,
                memory: free.1 - memory,
            });
            match stage.client.create("/api/v1/nodes", &node).await {
                Err(error) if !error.is(409) => return Err(error.into()),
                _ => return Ok(true),
            }
        }
        Ok(false)
    }
}

fn single((name, value): (&String, &Value)) -> Option<(String, Vec<String>)> {
    Some((name.clone(), vec![value.as_str()?.to_owned()]))
}

async fn class_is_ready(stage: &Stage, class: &Value, behaviour: Behaviour) -> Result<(), BoxError> {
    // Once its subnets are found, they are not looked for again until it changes.
    let known = each(&class["status"]["conditions"]).any(|one| {
        one["type"] == "Ready"
            && one["status"] == "True"
            && one["observedGeneration"] == class["metadata"]["generation"]
    });
    if !is_due(class, behaviour) || known && behaviour == Behaviour::Works {
        return Ok(());
    }
    let mut found = Vec::new();
    for term in each(&class["spec"]["subnetSelectorTerms"]) {
        found.extend(selected(stage, term).await?);
    }
    let told = match behaviour {
        Behaviour::Fails => condition(class, "Ready", false, "Failed", "the sandbox was told to fail"),
        _ if found.is_empty() => {
            condition(class, "Ready", false, "SubnetsNotFound", "SubnetSelector did not match any Subnets")
        }
        _ => condition(class, "Ready", true, "Ready", ""),
    };
    if let Some(conditions) = told {
        stage.status(NODE_CLASSES, class, json!({ "conditions": conditions, "subnets": found })).await?;
    }
    Ok(())
}

/// The subnets of one term: an id, or tags.
async fn selected(stage: &Stage, term: &Value) -> Result<Vec<Value>, BoxError> {
    let mut filter: Vec<(String, String)> = Vec::new();
    if let Some(id) = term["id"].as_str() {
        filter.push(("SubnetId.1".to_owned(), id.to_owned()));
    }
    for (number, (name, value)) in (1..).zip(term["tags"].as_object().into_iter().flatten()) {
        let value = value.as_str().unwrap_or_default();
        let any = value == "*";
        filter.push((
            format!("Filter.{number}.Name"),
            if any { "tag-key".to_owned() } else { format!("tag:{name}") },
        ));
        filter.push((format!("Filter.{number}.Value.1"), if any { name.clone() } else { value.to_owned() }));
    }
    let filter: Vec<(&str, &str)> =
        filter.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let said = stage.aws.query("ec2", "DescribeSubnets", "2016-11-15", &filter).await?;
    let texts = |name: &str| said.all(name).into_iter().map(|element| element.text());
    Ok(texts("subnetId")
        .zip(texts("availabilityZone"))
        .map(|(id, zone)| json!({ "id": id, "zone": zone }))
        .collect())
}

fn is_unschedulable(pod: &Value) -> bool {
    pod["spec"]["nodeName"].is_null()
        && pod["metadata"]["deletionTimestamp"].is_null()
        && each(&pod["status"]["conditions"]).any(|one| {
            one["type"] == "PodScheduled" && one["status"] == "False" && one["reason"] == "Unschedulable"
        })
}

fn is_tolerated(pod: &Value, taint: &Value) -> bool {
    taint["effect"] == "PreferNoSchedule"
        || each(&pod["spec"]["tolerations"]).any(|one| {
            let effect = one["effect"].is_null() || one["effect"] == "" || one["effect"] == taint["effect"];
            let exists = one["operator"] == "Exists";
            let key = one["key"] == taint["key"] || exists && one["key"].as_str().is_none_or(str::is_empty);
            let value = |of: &Value| of["value"].as_str().unwrap_or_default().to_owned();
            effect && key && (exists || value(one) == value(taint))
        })
}

/// What a pool's template requires of labels: the values that are possible.
fn requirements(template: &Value) -> BTreeMap<String, Vec<String>> {
    each(&template["spec"]["requirements"])
        .filter(|one| one["operator"] == "In")
        .filter_map(|one| {
            Some((one["key"].as_str()?.to_owned(), texts(&one["values"]).map(str::to_owned).collect()))
        })
        .collect()
}

/// The labels of a node for a pod, narrowed to what the pod asks for; `None` if the pool cannot give it.
fn chosen(mut labels: BTreeMap<String, Vec<String>>, pod: &Value) -> Option<BTreeMap<String, Vec<String>>> {
    let mut asked: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in pod["spec"]["nodeSelector"].as_object().into_iter().flatten() {
        asked.push((name.clone(), vec![value.as_str().unwrap_or_default().to_owned()]));
    }
    // Of several terms any will do; the first is taken.
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    for one in
        each(&affinity["nodeSelectorTerms"][0]["matchExpressions"]).filter(|one| one["operator"] == "In")
    {
        asked.push((one["key"].as_str()?.to_owned(), texts(&one["values"]).map(str::to_owned).collect()));
    }
    for (name, values) in asked {
        match labels.get_mut(&name) {
            Some(possible) => {
                possible.retain(|value| values.contains(value));
                if possible.is_empty() {
                    return None;
                }
            }
            // What every node of EC2 can be, and what nobody says it cannot.
            None if matches!(
                name.as_str(),
                "kubernetes.io/os" | "kubernetes.io/arch" | "topology.kubernetes.io/zone" | INSTANCE_TYPE
            ) =>
            {
                labels.insert(name, values);
            }
            None => return None,
        }
    }
    Some(labels)
}

/// Instance types to try.
fn candidates(labels: &BTreeMap<String, Vec<String>>, arm: bool) -> Vec<String> {
    if let Some(named) = labels.get(INSTANCE_TYPE) {
        return named.clone();
    }
    let family = match labels.get("karpenter.k8s.aws/instance-family").and_then(|families| families.first()) {
        Some(family) => family.clone(),
        None => {
            let category = labels.get("karpenter.k8s.aws/instance-category").and_then(|all| all.first());
            format!("{}6{}", category.map_or("m", String::as_str), if arm { "g" } else { "i" })
        }
    };
    SIZES.iter().map(|size| format!("{family}.{size}")).collect()
}

/// What the containers of a pod ask for, in thousandths of a core and in MiB.
fn requests(pod: &Value) -> (u64, u64) {
    let sum = |name: &str, of: fn(&Value) -> Option<u64>| -> u64 {
        each(&pod["spec"]["containers"]).filter_map(|one| of(&one["resources"]["requests"][name])).sum()
    };
    (sum("cpu", thousandths), sum("memory", mebibytes))
}

fn thousandths(quantity: &Value) -> Option<u64> {
    let text = quantity.as_str()?;
    match text.strip_suffix('m') {
        Some(number) => number.parse().ok(),
        None => text.parse::<u64>().ok().map(|cores| cores * 1000),
    }
}

fn mebibytes(quantity: &Value) -> Option<u64> {
    let text = quantity.as_str()?;
    let unit = |suffix: &str, factor: u64| {
        text.strip_suffix(suffix)?.parse::<u64>().ok().map(|number| number * factor)
    };
    unit("Gi", 1024)
        .or_else(|| unit("Mi", 1))
        .or_else(|| unit("G", 954))
        .or_else(|| unit("M", 1))
        .or_else(|| unit("Ki", 1).map(|number| number / 1024))
        .or_else(|| text.parse::<u64>().ok().map(|bytes| bytes >> 20))
}

fn gibibytes(quantity: &Value) -> Option<u64> {
    mebibytes(quantity).map(|size| size / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_gets_what_a_pool_can_give() {
        let template = json!({ "spec": { "requirements": [
            { "key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot", "on-demand"] },
        ] } });
        let mut labels = requirements(&template);
        labels.insert("team".to_owned(), vec!["coder".to_owned()]);
        let pod = |selector: Value| json!({ "spec": { "nodeSelector": selector } });
        let got = chosen(
            labels.clone(),
            &pod(json!({ "karpenter.sh/capacity-type": "on-demand", "team": "coder" })),
        )
        .unwrap();
        assert_eq!(got["karpenter.sh/capacity-type"], ["on-demand"]);
        assert_eq!(chosen(labels.clone(), &pod(json!({ "team": "other" }))), None);
        assert_eq!(chosen(labels, &pod(json!({ "gpu": "yes" }))), None);
    }

    #[test]
    fn a_node_that_is_new_takes_what_fits_it() {
        let labels = BTreeMap::from([("use".to_owned(), vec!["workspaces".to_owned()])]);
        let mut node = Fresh { at: Instant::now(), labels, taints: Vec::new(), cpu: 2000, memory: 4096 };
        let pod = |cpu: &str, selector: Value| json!({ "spec": { "nodeSelector": selector, "containers": [{ "resources": { "requests": { "cpu": cpu } } }] } });
        assert!(node.takes(&pod("1500m", json!({ "use": "workspaces" }))));
        assert!(!node.takes(&pod("1", json!({}))));
        assert!(node.takes(&pod("500m", json!({}))));
        assert!(!node.takes(&pod("0", json!({ "use": "other" }))));
    }

    #[test]
    fn tolerations_are_those_of_kubernetes() {
        let taint = json!({ "key": "a", "value": "b", "effect": "NoSchedule" });
        let pod = |toleration: Value| json!({ "spec": { "tolerations": [toleration] } });
        assert!(is_tolerated(&pod(json!({ "operator": "Exists" })), &taint));
        assert!(is_tolerated(
            &pod(json!({ "key": "a", "operator": "Exists", "effect": "NoSchedule" })),
            &taint
        ));
        assert!(is_tolerated(&pod(json!({ "key": "a", "value": "b" })), &taint));
        assert!(!is_tolerated(&pod(json!({ "key": "a", "value": "c" })), &taint));
        assert!(!is_tolerated(&json!({ "spec": {} }), &taint));
    }

    #[test]
    fn quantities_are_read() {
        assert_eq!(thousandths(&json!("250m")), Some(250));
        assert_eq!(thousandths(&json!("2")), Some(2000));
        assert_eq!(mebibytes(&json!("2Gi")), Some(2048));
        assert_eq!(gibibytes(&json!("200Gi")), Some(200));
    }
}
