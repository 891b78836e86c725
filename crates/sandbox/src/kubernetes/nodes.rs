//! The nodes of managed node groups: an object for each, with the capacity of its instance type, for KWOK to play. They join
//! and leave as the group's desired size, labels and version say; nodes that leave are not drained.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::KUBERNETES;
use super::client::Client;
use crate::gateway::{BoxError, Inside};

/// The label by which a node is known to belong to a node group.
const GROUP: &str = "eks.amazonaws.com/nodegroup";
/// EKS's disk for nodes whose group says nothing, in GiB.
const DISK: u64 = 20;

/// What is known about the machines of an account.
#[derive(Default)]
pub(super) struct Nodes {
    shapes: BTreeMap<String, Shape>,
    /// What was last asked of each node.
    wanted: BTreeMap<String, Value>,
}

/// An instance type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    cpus: u64,
    /// In MiB.
    memory: u64,
    pods: u64,
}

impl Shape {
    /// What EC2 says about a type.
    pub(super) async fn of(aws: &Inside, instance_type: &str) -> Result<Shape, BoxError> {
        let filter = [("InstanceType.1", instance_type)];
        let said = aws.query("ec2", "DescribeInstanceTypes", "2016-11-15", &filter).await?;
        let number = |name: &str| -> u64 {
            said.all(name).first().and_then(|element| element.text().parse().ok()).unwrap_or_default()
        };
        let (interfaces, addresses) =
            (number("maximumNetworkInterfaces"), number("ipv4AddressesPerInterface"));
        // <https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html>
        let pods = interfaces * addresses.saturating_sub(1) + 2;
        let (cpus, memory) = (number("defaultVCpus"), number("sizeInMiB"));
        if cpus == 0 || memory == 0 {
            return Err(format!("EC2 does not know the instance type {instance_type}").into());
        }
        Ok(Shape { cpus, memory, pods: if cpus > 30 { pods.min(250) } else { pods.min(110) } })
    }

    /// Thousandths of a core and MiB for pods, beside what runs on every node.
    pub(super) fn free(&self) -> (u64, u64) {
        ((self.cpus * 1000).saturating_sub(300), self.memory.saturating_sub(700 + 11 * self.pods))
    }

    /// Capacity, and what EKS's AMIs leave to pods.
    pub(super) fn resources(&self, disk: u64) -> (Value, Value) {
        // The reservations of the EKS AMI's bootstrap: 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 %
        // of the others; 255 MiB and 11 MiB for each pod, and 100 MiB before pods are evicted.
        let reserved_cpu = 60
            + if self.cpus > 1 { 10 } else { 0 }
            + 5 * self.cpus.saturating_sub(2).min(2)
            + 5 * self.cpus.saturating_sub(4) / 2;
        let reserved_memory = 255 + 11 * self.pods + 100;
        let capacity = json!({
            "cpu": self.cpus.to_string(),
            "memory": format!("{}Mi", self.memory),
            "ephemeral-storage": format!("{disk}Gi"),
            "pods": self.pods.to_string(),
        });
        let allocatable = json!({
            "cpu": format!("{}m", self.cpus * 1000 - reserved_cpu),
            "memory": format!("{}Mi", self.memory.saturating_sub(reserved_memory)),
            // A tenth is kept for the system, and what the kubelet needs before it evicts.
            "ephemeral-storage": format!("{}Mi", (disk * 1024 * 9 / 10).saturating_sub(1024)),
            "pods": self.pods.to_string(),
        });
        (capacity, allocatable)
    }
}

/// A machine that is to be a node.
pub(super) struct Machine<'a> {
    pub(super) region: &'a str,
    pub(super) zone: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) instance_type: &'a str,
    pub(super) shape: Shape,
    /// In GiB.
    pub(super) disk: u64,
    pub(super) arm: bool,
    pub(super) seed: u64,
}

impl Machine<'_> {
    pub(super) fn name(&self) -> String {
        let address = self.address.to_string().replace('.', "-");
        // As EC2 names them: without the region in the oldest one.
        match self.region {
            "us-east-1" => format!("ip-{address}.ec2.internal"),
            region => format!("ip-{address}.{region}.compute.internal"),
        }
    }

    pub(super) fn provider_id(&self) -> String {
        format!("aws:///{}/i-{:017x}", self.zone, self.seed)
    }

    /// The object, with labels and taints of its owner.
    pub(super) fn node(&self, labels: &Value, taints: &[Value]) -> Value {
        let name = self.name();
        let (capacity, allocatable) = self.shape.resources(self.disk);
        let mut all = json!({
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": if self.arm { "arm64" } else { "amd64" },
            "node.kubernetes.io/instance-type": self.instance_type,
            "topology.kubernetes.io/region": self.region,
            "topology.kubernetes.io/zone": self.zone,
        });
        merge(&mut all, labels);
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": name, "labels": all },
            "spec": { "providerID": self.provider_id(), "taints": taints },
            "status": {
                "capacity": capacity,
                "allocatable": allocatable,
                "addresses": [
                    { "type": "InternalIP", "address": self.address },
                    { "type": "InternalDNS", "address": name },
                    { "type": "Hostname", "address": name },
                ],
                "nodeInfo": {
                    "architecture": if self.arm { "arm64" } else { "amd64" },
                    "operatingSystem": "linux",
                    "osImage": "played by KWOK",
                    "kubeletVersion": format!("v{KUBERNETES}"),
                    "kubeProxyVersion": format!("v{KUBERNETES}"),
                    "containerRuntimeVersion": "containerd://kwok",
                    "kernelVersion": "kwok",
                    "machineID": "",
                    "systemUUID": "",
                    "bootID": "",
                },
            },
        })
    }
}

fn merge(into: &mut Value, from: &Value) {
    if let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) {
        into.extend(from.clone());
    }
}

/// A number that follows from a text, the same in every run (FNV-1a).
pub(super) fn seed(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Ids have 17 hexadecimal digits; so many fit.
    hash & 0x0fff_ffff_ffff_ffff
}

/// A subnet: its zone, its first address and how many it has.
#[derive(Clone)]
pub(super) struct Subnet {
    pub(super) zone: String,
    first: u32,
    size: u32,
}

impl Subnet {
    /// The subnets with these ids, as EC2 lists them.
    pub(super) async fn all(aws: &Inside, ids: &[&str]) -> Result<Vec<Subnet>, BoxError> {
        let names: Vec<String> = (1..=ids.len()).map(|number| format!("SubnetId.{number}")).collect();
        let filter: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(ids.iter().copied()).collect();
        let said = aws.query("ec2", "DescribeSubnets", "2016-11-15", &filter).await?;
        let texts = |name: &str| said.all(name).into_iter().map(|element| element.text());
        Ok(texts("availabilityZone")
            .zip(texts("cidrBlock"))
            .filter_map(|(zone, cidr)| Subnet::new(zone, &cidr))
            .collect())
    }

    fn new(zone: String, cidr: &str) -> Option<Subnet> {
        let (address, bits) = cidr.split_once('/')?;
        let size = 1u32.checked_shl(32u32.checked_sub(bits.parse().ok()?)?)?;
        Some(Subnet { zone, first: address.parse::<Ipv4Addr>().ok()?.into(), size })
    }

    /// An address that is not one of the five which AWS keeps.
    pub(super) fn address(&self, seed: u64) -> Ipv4Addr {
        let usable = u64::from(self.size.saturating_sub(5).max(1));
        Ipv4Addr::from(self.first + 4 + u32::try_from(seed % usable).unwrap_or_default())
    }
}

impl Nodes {
    /// Makes, changes and takes away nodes so that they are those of the cluster's node groups.
    pub(super) async fn follow(&mut self, client: &Client, aws: &Inside) -> Result<(), BoxError> {
        let mut wanted = BTreeMap::new();
        let groups = aws.eks("ListNodegroups", "/node-groups").await?;
        for group in groups["nodegroups"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let group = aws.eks("DescribeNodegroup", &format!("/node-groups/{group}")).await?;
            // A group that is being made has no nodes yet, one that goes loses them.
            if !matches!(group["nodegroup"]["status"].as_str(), Some("ACTIVE" | "UPDATING")) {
                continue;
            }
            for node in self.of_group(aws, &group["nodegroup"]).await? {
                wanted.insert(node["metadata"]["name"].as_str().unwrap_or_default().to_owned(), node);
            }
        }
        if wanted == self.wanted {
            return Ok(());
        }
        for (name, node) in &wanted {
            match self.wanted.get(name) {
                Some(known) if known == node => {}
                Some(known) => {
                    let change = change(known, node);
                    client.merge(&format!("/api/v1/nodes/{name}"), &change).await?;
                }
                None => match client.create("/api/v1/nodes", node).await {
                    Err(error) if !error.is(409) => return Err(error.into()),
                    _ => {}
                },
            }
        }
        for name in self.wanted.keys().filter(|name| !wanted.contains_key(*name)) {
            remove(client, name).await?;
        }
        self.wanted = wanted;
        Ok(())
    }

    async fn of_group(&mut self, aws: &Inside, group: &Value) -> Result<Vec<Value>, BoxError> {
        let name = group["nodegroupName"].as_str().unwrap_or_default();
        let ids: Vec<&str> =
            group["subnets"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let subnets = Subnet::all(aws, &ids).await?;
        let instance_type = group["instanceTypes"][0].as_str().unwrap_or("t3.medium");
        let shape = self.shape(aws, instance_type).await?;
        let disk = group["diskSize"].as_u64().filter(|disk| *disk > 0).unwrap_or(DISK);
        let disk = match group["launchTemplate"]["id"].as_str() {
            Some(template) => {
                disk_of(aws, template, &group["launchTemplate"]["version"]).await?.unwrap_or(disk)
            }
            None => disk,
        };
        let mut labels = json!({
            GROUP: name,
            "eks.amazonaws.com/capacityType": group["capacityType"].as_str().unwrap_or("ON_DEMAND"),
        });
        merge(&mut labels, &group["labels"]);
        let taints: Vec<Value> = group["taints"].as_array().into_iter().flatten().map(taint).collect();
        let count = group["scalingConfig"]["desiredSize"].as_u64().unwrap_or_default();
        let generation = group["version"].as_str().unwrap_or_default();
        let machine = |number: u64| {
            let subnet = subnets.get(usize::try_from(number).ok()? % subnets.len().max(1))?;
            let seed = seed(&format!("{}/{name}/{generation}/{number}", aws.cluster()));
            let machine = Machine {
                region: aws.region(),
                zone: &subnet.zone,
                address: subnet.address(seed),
                instance_type,
                shape,
                disk,
                arm: group["amiType"].as_str().is_some_and(|kind| kind.contains("ARM_64")),
                seed,
            };
            Some(machine.node(&labels, &taints))
        };
        Ok((0..count).filter_map(machine).collect())
    }

    pub(super) async fn shape(&mut self, aws: &Inside, instance_type: &str) -> Result<Shape, BoxError> {
        if let Some(shape) = self.shapes.get(instance_type) {
            return Ok(*shape);
        }
        let shape = Shape::of(aws, instance_type).await?;
        self.shapes.insert(instance_type.to_owned(), shape);
        Ok(shape)
    }
}

/// The disk of a launch template's version, in GiB.
async fn disk_of(aws: &Inside, template: &str, version: &Value) -> Result<Option<u64>, BoxError> {
    let version = version.as_str().unwrap_or("$Default");
    let filter = [("LaunchTemplateId", template), ("LaunchTemplateVersion.1", version)];
    let said = aws.query("ec2", "DescribeLaunchTemplateVersions", "2016-11-15", &filter).await?;
    Ok(said.all("volumeSize").first().and_then(|element| element.text().parse().ok()))
}

/// EKS writes effects in capitals.
fn taint(of: &Value) -> Value {
    let effect = match of["effect"].as_str() {
        Some("NO_EXECUTE") => "NoExecute",
        Some("PREFER_NO_SCHEDULE") => "PreferNoSchedule",
        _ => "NoSchedule",
    };
    let mut taint = json!({ "key": of["key"], "effect": effect });
    if let Some(value) = of["value"].as_str() {
        taint["value"] = value.into();
    }
    taint
}

/// What a group's change means for a node that is there: labels that went go, what others have set stays.
fn change(known: &Value, wanted: &Value) -> Value {
    let mut labels = Map::new();
    for name in known["metadata"]["labels"].as_object().into_iter().flat_map(Map::keys) {
        labels.insert(name.clone(), Value::Null);
    }
    labels.extend(wanted["metadata"]["labels"].as_object().cloned().unwrap_or_default());
    let mut change = json!({ "metadata": { "labels": labels } });
    if known["spec"]["taints"] != wanted["spec"]["taints"] {
        change["spec"]["taints"] = wanted["spec"]["taints"].clone();
    }
    change
}

/// Takes a node away with its pods.
pub(super) async fn remove(client: &Client, name: &str) -> Result<(), BoxError> {
    client.delete(&format!("/api/v1/nodes/{name}")).await?;
    let pods =
        client.get(&format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{name}")).await?.unwrap_or_default();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let meta = &pod["metadata"];
        if let (Some(namespace), Some(name)) = (meta["namespace"].as_str(), meta["name"].as_str()) {
            client.delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_leaves_its_pods_what_eks_does() {
        // An m5.large: the figures of the EKS AMI.
        let (capacity, allocatable) = Shape { cpus: 2, memory: 8192, pods: 29 }.resources(20);
        assert_eq!(capacity["cpu"], "2");
        assert_eq!(allocatable["cpu"], "1930m");
        assert_eq!(allocatable["memory"], format!("{}Mi", 8192 - 255 - 319 - 100));
    }

    #[test]
    fn nodes_have_addresses_of_their_subnet() {
        let subnet = Subnet::new("a".into(), "10.0.16.0/20").unwrap();
        for text in ["a", "b", "c"] {
            let address = u32::from(subnet.address(seed(text)));
            assert!(
                (u32::from(Ipv4Addr::new(10, 0, 16, 4))..u32::from(Ipv4Addr::new(10, 0, 31, 255)))
                    .contains(&address)
            );
        }
    }

    #[test]
    fn a_label_that_the_group_lost_goes() {
        let node = |labels: Value| json!({ "metadata": { "labels": labels }, "spec": { "taints": [] } });
        let change = change(&node(json!({ "a": "1", "b": "1" })), &node(json!({ "a": "2" })));
        assert_eq!(change, json!({ "metadata": { "labels": { "a": "2", "b": null } } }));
    }
}
