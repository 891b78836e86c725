//! Which nodes Karpenter may make, and what they are made of.

use crate::{
    custom::{
        AmiSelectorTerm, BlockDevice, BlockDeviceMapping, Budget, Disruption, EC2NodeClass, EC2NodeClassSpec,
        MetadataOptions, NodeClassRef, NodeMetadata, NodePool, NodePoolSpec, NodeSpec, NodeTemplate,
        SelectorTerm,
    },
    rbac::named,
    workload::Nodes,
};
use causeway_core::Value;
use k8s_openapi::{
    api::core::v1::{NodeSelectorRequirement, Taint},
    apimachinery::pkg::api::resource::Quantity,
};
use std::collections::BTreeMap;

/// The system of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// One disk, for the system and for what pods write.
    Al2023,
    /// Two: one for the system, and one for images and what pods write.
    Bottlerocket,
}

impl System {
    fn family(self) -> &'static str {
        match self {
            System::Al2023 => "al2023",
            System::Bottlerocket => "bottlerocket",
        }
    }

    /// The device that pods write to.
    fn data(self) -> &'static str {
        match self {
            System::Al2023 => "/dev/xvda",
            System::Bottlerocket => "/dev/xvdb",
        }
    }
}

/// What nodes are made of.
#[derive(Clone, Debug)]
pub struct Class {
    /// Unique in the cluster.
    pub name: String,
    /// The system.
    pub system: System,
    /// Its version as in an alias of Karpenter, like `v20250829`, and never `latest`: a new image would replace all nodes at a
    /// time that nobody chose. <https://karpenter.sh/docs/concepts/nodeclasses/#specamiselectorterms>
    pub version: String,
    /// The disk that pods write to, like `100Gi`.
    pub disk: String,
    /// Where nodes stand: in subnets with all of these tags.
    pub subnets: BTreeMap<String, String>,
    /// What guards them: security groups with all of these tags.
    pub security_groups: BTreeMap<String, String>,
    /// What instances, disks and interfaces are tagged with.
    pub tags: BTreeMap<String, String>,
}

/// The system of Bottlerocket never grows.
const SYSTEM_DISK: &str = "20Gi";

impl Class {
    pub(super) fn object(&self, role: &Value<String>) -> EC2NodeClass {
        let tags = |tags: &BTreeMap<String, String>| SelectorTerm { tags: Some(tags.clone()), id: None };
        let disk = |device: &str, size: &str| BlockDeviceMapping {
            device_name: device.to_owned(),
            ebs: BlockDevice {
                volume_size: Some(Quantity(size.to_owned())),
                volume_type: Some("gp3".into()),
                encrypted: Some(true),
                delete_on_termination: Some(true),
                ..BlockDevice::default()
            },
        };
        let mut disks = vec![disk(self.system.data(), &self.disk)];
        if self.system == System::Bottlerocket {
            disks.insert(0, disk("/dev/xvda", SYSTEM_DISK));
        }
        EC2NodeClass {
            metadata: named(None, &self.name),
            spec: EC2NodeClassSpec {
                ami_selector_terms: vec![AmiSelectorTerm {
                    alias: Some(format!("{}@{}", self.system.family(), self.version)),
                    id: None,
                }],
                subnet_selector_terms: vec![tags(&self.subnets)],
                security_group_selector_terms: vec![tags(&self.security_groups)],
                role: Some(role.inline()),
                instance_profile: None,
                block_device_mappings: disks,
                metadata_options: Some(MetadataOptions {
                    http_endpoint: Some("enabled".into()),
                    http_put_response_hop_limit: Some(1),
                    http_tokens: Some("required".into()),
                }),
                tags: Some(self.tags.clone()).filter(|tags| !tags.is_empty()),
            },
        }
    }
}

/// Nodes that are kept for one purpose: pods reach them by [`Nodes::dedicated`] with the pool's name.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Unique in the cluster, and the purpose.
    pub name: String,
    /// What they are made of: a [`Class`] by name.
    pub class: String,
    /// Which machines, like `m6a.xlarge`.
    pub instance_types: Vec<String>,
    /// Whether machines may be ones that EC2 takes back at two minutes' notice. Others are always allowed.
    pub spot: bool,
    /// How much all nodes of the pool may have together, in CPUs.
    pub cpu_limit: u32,
    /// How much memory all of them may have together, in GiB.
    pub memory_limit: u32,
    /// How long a node has to be empty until it goes, like `1m`.
    pub consolidate_after: String,
    /// After what time a node is replaced, like `720h`, or `Never`: what runs on it would be moved.
    pub expire_after: String,
}

impl Pool {
    pub(super) fn object(&self) -> NodePool {
        let one_of = |key: &str, values: Vec<String>| NodeSelectorRequirement {
            key: key.into(),
            operator: "In".into(),
            values: Some(values),
        };
        let capacity = ["spot", "on-demand"].into_iter().filter(|kind| self.spot || *kind != "spot");
        let dedicated = Nodes::dedicated(&self.name);
        let taint = |toleration: &k8s_openapi::api::core::v1::Toleration| Taint {
            key: toleration.key.clone().unwrap_or_default(),
            value: toleration.value.clone(),
            effect: toleration.effect.clone().unwrap_or_default(),
            time_added: None,
        };
        NodePool {
            metadata: named(None, &self.name),
            spec: NodePoolSpec {
                template: NodeTemplate {
                    metadata: Some(NodeMetadata { labels: Some(dedicated.selector) }),
                    spec: NodeSpec {
                        node_class_ref: NodeClassRef {
                            group: "karpenter.k8s.aws".into(),
                            kind: "EC2NodeClass".into(),
                            name: self.class.clone(),
                        },
                        requirements: vec![
                            one_of("kubernetes.io/arch", vec!["amd64".into()]),
                            one_of("kubernetes.io/os", vec!["linux".into()]),
                            one_of("karpenter.sh/capacity-type", capacity.map(str::to_owned).collect()),
                            one_of("node.kubernetes.io/instance-type", self.instance_types.clone()),
                        ],
                        taints: dedicated.tolerations.iter().map(taint).collect(),
                        expire_after: Some(self.expire_after.clone()),
                        termination_grace_period: None,
                    },
                },
                disruption: Some(Disruption {
                    // A node that is only underused has people at work on it.
                    consolidation_policy: Some("WhenEmpty".into()),
                    consolidate_after: Some(self.consolidate_after.clone()),
                    budgets: vec![Budget { nodes: "10%".into(), ..Budget::default() }],
                }),
                limits: Some(BTreeMap::from([
                    ("cpu".into(), Quantity(self.cpu_limit.to_string())),
                    ("memory".into(), Quantity(format!("{}Gi", self.memory_limit))),
                ])),
                weight: None,
            },
        }
    }
}
