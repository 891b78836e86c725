//! Karpenter: nodes as pods ask for them. <https://karpenter.sh/docs/>

mod nodes;
mod rights;

pub use nodes::{Class, Pool, System};

use super::{
    definitions,
    namespace::{self, Namespace, PodSecurity, Port},
};
use crate::{
    images::Images,
    objects::Objects,
    rbac::Account,
    workload::{Nodes, Resources, Workload, container, http_probe, ports},
};
use causeway_core::{Address, Stack, Value};
use k8s_openapi::{
    api::core::v1::{
        Container, EnvVar, EnvVarSource, NodeSelectorRequirement, NodeSelectorTerm, ObjectFieldSelector,
        ResourceFieldSelector, Toleration,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use std::collections::BTreeMap;

/// Where it lives. Others know it: the rights of its role of AWS are tied to it.
pub const NAMESPACE: &str = "karpenter";
const NAME: &str = "karpenter";
/// Those that upstream has on by default, and consolidation from spot to spot.
const FEATURES: &str = "ReservedCapacity=true,SpotToSpotConsolidation=true,NodeRepair=false,NodeOverlay=false,\
                        StaticCapacity=false,CapacityBuffer=false";

/// What is wanted of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The images.
    pub images: Images,
    /// Where its own pods run. Never on nodes that it made.
    pub nodes: Nodes,
    /// The name of the cluster in EKS.
    pub cluster: String,
    /// The role of AWS that it acts as.
    pub role_arn: Value<String>,
    /// The queue that tells it of interruptions, by name.
    pub queue: Value<String>,
    /// The role of its nodes, by name.
    pub node_role: Value<String>,
    /// What its nodes are made of.
    pub classes: Vec<Class>,
    /// Which nodes it may make.
    pub pools: Vec<Pool>,
}

/// Adds all of it in the scope `karpenter`, the pools last. Pods that need its nodes wait for the answer.
pub fn add(stack: &mut Stack, settings: &Settings) -> Vec<Address> {
    stack.scope("karpenter", |stack| {
        let room = namespace::add(
            stack,
            &Namespace {
                name: NAMESPACE,
                security: PodSecurity::Restricted,
                ingress: &[Port::Tcp(8_080)],
                egress: &[Port::Tcp(443)],
                quota: BTreeMap::new(),
            },
        );
        let mut objects = Objects::after(stack, room);
        let account = Account::new(NAMESPACE, NAME);
        objects.put("definitions", definitions::karpenter());
        objects.add("account", &account.object(Some(&settings.role_arn)));
        rights::add(&mut objects, &account);
        let workload = workload(settings);
        objects.add("service", &workload.service(&[("http-metrics", 8_080)]));
        objects.then();
        objects.add("controller", &workload.deployment());
        if let Some(budget) = workload.disruption_budget() {
            objects.add("budget", &budget);
        }
        // Who made nodes has to be there to take them away.
        objects.then();
        for class in &settings.classes {
            objects.add(&format!("class-{}", class.name), &class.object(&settings.node_role));
        }
        objects.then();
        for pool in &settings.pools {
            objects.add(&format!("pool-{}", pool.name), &pool.object());
        }
        objects.all()
    })
}

fn workload(settings: &Settings) -> Workload {
    let resources = Resources { cpu: ("250m", "1"), memory: ("512Mi", "1Gi"), storage: ("64Mi", "256Mi") };
    let text =
        |name: &str, value: String| EnvVar { name: name.into(), value: Some(value), ..EnvVar::default() };
    let from = |name: &str, from: EnvVarSource| EnvVar {
        name: name.into(),
        value_from: Some(from),
        ..EnvVar::default()
    };
    let resource = |resource: &str, divisor: &str| EnvVarSource {
        resource_field_ref: Some(ResourceFieldSelector {
            container_name: Some("controller".into()),
            resource: resource.into(),
            divisor: Some(Quantity(divisor.into())),
        }),
        ..EnvVarSource::default()
    };
    let here = EnvVarSource {
        field_ref: Some(ObjectFieldSelector { field_path: "metadata.namespace".into(), api_version: None }),
        ..EnvVarSource::default()
    };
    let container = Container {
        env: Some(vec![
            text("KUBERNETES_MIN_VERSION", "1.19.0-0".into()),
            text("KARPENTER_SERVICE", NAME.into()),
            text("LOG_LEVEL", "info".into()),
            text("METRICS_PORT", "8080".into()),
            text("HEALTH_PROBE_PORT", "8081".into()),
            from("SYSTEM_NAMESPACE", here),
            from("CPU_REQUESTS", resource("requests.cpu", "1m")),
            from("MEMORY_LIMIT", resource("limits.memory", "0")),
            text("FEATURE_GATES", FEATURES.into()),
            text("CLUSTER_NAME", settings.cluster.clone()),
            text("INTERRUPTION_QUEUE", settings.queue.inline()),
        ]),
        ports: ports(&[("http-metrics", 8_080), ("http", 8_081)]),
        liveness_probe: Some(http_probe("/healthz", "http", 30)),
        readiness_probe: Some(http_probe("/readyz", "http", 5)),
        ..container("controller", &settings.images.karpenter, resources)
    };
    Workload {
        name: NAME.into(),
        namespace: NAMESPACE.into(),
        part_of: "karpenter".into(),
        replicas: 2,
        service_account: NAME.into(),
        container,
        init: vec![],
        volumes: vec![],
        nodes: not_on_its_own(&settings.nodes),
        grace_seconds: 30,
        priority_class: Some("system-cluster-critical".into()),
        annotations: BTreeMap::new(),
        user: 65_532,
    }
}

/// A node that it takes away must not be its own.
fn not_on_its_own(nodes: &Nodes) -> Nodes {
    let mut nodes = Nodes { apart: true, ..nodes.clone() };
    nodes.tolerations.push(Toleration {
        key: Some("CriticalAddonsOnly".into()),
        operator: Some("Exists".into()),
        ..Toleration::default()
    });
    let others = NodeSelectorRequirement {
        key: "karpenter.sh/nodepool".into(),
        operator: "DoesNotExist".into(),
        values: None,
    };
    let mut affinity = nodes.affinity.take().unwrap_or_default();
    let required = affinity.required_during_scheduling_ignored_during_execution.get_or_insert_default();
    // Terms are alternatives: each has to say so.
    if required.node_selector_terms.is_empty() {
        required.node_selector_terms.push(NodeSelectorTerm::default());
    }
    for term in &mut required.node_selector_terms {
        term.match_expressions.get_or_insert_default().push(others.clone());
    }
    nodes.affinity = Some(affinity);
    nodes
}
