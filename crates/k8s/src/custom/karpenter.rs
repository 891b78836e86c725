//! Karpenter: nodes as pods ask for them. <https://karpenter.sh/docs/concepts/>

use super::{custom_resource, spec};
use k8s_openapi::{
    api::core::v1::{NodeSelectorRequirement, Taint},
    apimachinery::pkg::api::resource::Quantity,
};
use std::collections::BTreeMap;

custom_resource! {
    /// Which nodes may be made.
    NodePool { "karpenter.sh" / "v1", "nodepools", ClusterResourceScope, NodePoolSpec }
}
custom_resource! {
    /// What nodes are made of on EC2.
    EC2NodeClass { "karpenter.k8s.aws" / "v1", "ec2nodeclasses", ClusterResourceScope, EC2NodeClassSpec }
}

spec! {
    /// Which nodes may be made.
    struct NodePoolSpec {
        /// Of each node.
        template: NodeTemplate,
        /// When nodes are taken away.
        disruption: Option<Disruption>,
        /// Of all nodes together, like `cpu`.
        limits: Option<BTreeMap<String, Quantity>>,
        /// Pools with more come first.
        weight: Option<i32>,
    }
    /// Of each node.
    struct NodeTemplate {
        /// Its labels.
        metadata: Option<NodeMetadata>,
        /// What it is.
        spec: NodeSpec,
    }
    /// What a node carries.
    struct NodeMetadata {
        /// Its labels.
        labels: Option<BTreeMap<String, String>>,
    }
    /// What a node is.
    struct NodeSpec {
        /// What it is made of.
        node_class_ref: NodeClassRef,
        /// By labels: zone, architecture, instance type, spot or not.
        requirements: Vec<NodeSelectorRequirement>,
        /// Keep pods away that do not tolerate them.
        taints: Vec<Taint>,
        /// After what time it is replaced, like `720h`, or `Never`.
        expire_after: Option<String>,
        /// How long pods have to end, like `10m`.
        termination_grace_period: Option<String>,
    }
    /// A class.
    struct NodeClassRef {
        /// `karpenter.k8s.aws`
        group: String,
        /// `EC2NodeClass`
        kind: String,
        /// Its name.
        name: String,
    }
    /// When nodes are taken away.
    struct Disruption {
        /// `WhenEmpty` or `WhenEmptyOrUnderutilized`.
        consolidation_policy: Option<String>,
        /// How long a node has to be so, like `1m`.
        consolidate_after: Option<String>,
        /// How many at a time.
        budgets: Vec<Budget>,
    }
    /// How many nodes may go at a time.
    struct Budget {
        /// A number, or a share like `10%`.
        nodes: String,
        /// From when, as a cron line.
        schedule: Option<String>,
        /// For how long, like `8h`.
        duration: Option<String>,
    }
    /// What nodes are made of on EC2.
    struct EC2NodeClassSpec {
        /// The images; any of them will do.
        ami_selector_terms: Vec<AmiSelectorTerm>,
        /// Where they may stand.
        subnet_selector_terms: Vec<SelectorTerm>,
        /// What they are guarded by.
        security_group_selector_terms: Vec<SelectorTerm>,
        /// Their role, by name.
        role: Option<String>,
        /// Their profile, where it is made already.
        instance_profile: Option<String>,
        /// Their disks.
        block_device_mappings: Vec<BlockDeviceMapping>,
        /// Who may ask the instance metadata service, and how.
        metadata_options: Option<MetadataOptions>,
        /// What instances, disks and interfaces are tagged with.
        tags: Option<BTreeMap<String, String>>,
    }
    /// One way to find an image.
    struct AmiSelectorTerm {
        /// Family and version, like `al2023@v20250514`.
        alias: Option<String>,
        /// Its id.
        id: Option<String>,
    }
    /// One way to find a subnet or a security group.
    struct SelectorTerm {
        /// It carries all of them.
        tags: Option<BTreeMap<String, String>>,
        /// Its id.
        id: Option<String>,
    }
    /// A disk.
    struct BlockDeviceMapping {
        /// Like `/dev/xvda`.
        device_name: String,
        /// What it is.
        ebs: BlockDevice,
    }
    /// A volume of EBS.
    struct BlockDevice {
        /// Like `100Gi`.
        volume_size: Option<Quantity>,
        /// Like `gp3`.
        volume_type: Option<String>,
        /// With a key of KMS.
        encrypted: Option<bool>,
        /// It goes with its instance.
        delete_on_termination: Option<bool>,
        /// Operations a second.
        iops: Option<i64>,
        /// MiB a second.
        throughput: Option<i64>,
    }
    /// Who may ask the instance metadata service.
    struct MetadataOptions {
        /// `enabled` or `disabled`.
        http_endpoint: Option<String>,
        /// Over how many hops an answer may go: 1 keeps it from pods.
        http_put_response_hop_limit: Option<i64>,
        /// `required`: only with a session token.
        http_tokens: Option<String>,
    }
}
