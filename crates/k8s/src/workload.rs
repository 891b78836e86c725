//! One program that runs as pods: what every one of ours has in common.
//!
//! No root, no rights beyond its service account, nothing written but to its volumes, requests and limits for all that a node
//! can run out of, spread over hosts and zones by the very labels that its pods carry.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use k8s_openapi::{
    api::{
        apps::v1::{
            Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment, StatefulSet,
            StatefulSetSpec, StatefulSetUpdateStrategy,
        },
        core::v1::{
            Affinity, Capabilities, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction,
            NodeAffinity, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec,
            Probe, ResourceRequirements, SeccompProfile, SecurityContext, Service, ServicePort, ServiceSpec,
            Toleration, TopologySpreadConstraint, Volume, VolumeMount,
        },
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use std::collections::BTreeMap;

/// One program that runs as pods.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name, and that of its pods' label `app.kubernetes.io/name`.
    pub name: String,
    /// Where it runs.
    pub namespace: String,
    /// What it belongs to: the label `app.kubernetes.io/part-of`.
    pub part_of: String,
    /// How many pods.
    pub replicas: i32,
    /// What it may do.
    pub service_account: String,
    /// The program; see [`container`].
    pub container: Container,
    /// Run to their ends first.
    pub init: Vec<Container>,
    /// What its containers mount; see [`scratch`].
    pub volumes: Vec<Volume>,
    /// Where it may run.
    pub nodes: Nodes,
    /// Seconds that a pod has to end.
    pub grace_seconds: i64,
    /// How important it is, like `system-cluster-critical`.
    pub priority_class: Option<String>,
    /// Of the pods: what changes here starts new ones.
    pub annotations: BTreeMap<String, String>,
    /// The group that owns mounted volumes, and the user that runs.
    pub user: i64,
}

/// Where pods may run.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    /// Only on nodes with these labels.
    pub selector: BTreeMap<String, String>,
    /// Also on nodes with these taints.
    pub tolerations: Vec<Toleration>,
    /// Only there, in the words of Kubernetes.
    pub affinity: Option<NodeAffinity>,
    /// Never two of the same workload on one node: it serves also when a node is lost.
    pub apart: bool,
}

impl Nodes {
    /// Nodes that are kept for one purpose: labelled `node.coder.io/used-for`, tainted `dedicated`.
    pub fn dedicated(used_for: &str) -> Self {
        let label = |name: &str, value: &str| (format!("node.coder.io/{name}"), value.to_owned());
        Nodes {
            selector: BTreeMap::from([label("managed-by", "karpenter"), label("used-for", used_for)]),
            tolerations: vec![Toleration {
                key: Some("dedicated".into()),
                operator: Some("Equal".into()),
                value: Some(used_for.to_owned()),
                effect: Some("NoSchedule".into()),
                ..Toleration::default()
            }],
            ..Nodes::default()
        }
    }
}

/// What a container asks for and may use, each as (request, limit).
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// Like `250m`.
    pub cpu: (&'static str, &'static str),
    /// Like `512Mi`.
    pub memory: (&'static str, &'static str),
    /// What it writes to its own file system, its logs and its scratch volumes, like `1Gi`.
    pub storage: (&'static str, &'static str),
}

impl From<Resources> for ResourceRequirements {
    fn from(resources: Resources) -> Self {
        let all = |pick: fn((&'static str, &'static str)) -> &'static str| {
            let of = |name: &str, both| (name.to_owned(), Quantity(pick(both).to_owned()));
            BTreeMap::from([
                of("cpu", resources.cpu),
                of("memory", resources.memory),
                of("ephemeral-storage", resources.storage),
            ])
        };
        ResourceRequirements {
            requests: Some(all(|both| both.0)),
            limits: Some(all(|both| both.1)),
            ..ResourceRequirements::default()
        }
    }
}

/// A container that may do nothing but run: no more rights than it has, and a file system that it cannot write to.
pub fn container(name: &str, image: &str, resources: Resources) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".into()),
        resources: Some(resources.into()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".into()]), ..Capabilities::default() }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..SeccompProfile::default()
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// A folder that a container can write to and that ends with its pod: the volume, and where it is mounted.
pub fn scratch(name: &str, path: &str, limit: &str) -> (Volume, VolumeMount) {
    let volume = Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(limit.to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mount = VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() };
    (volume, mount)
}

/// Ports of a container, by name.
pub fn ports(all: &[(&str, i32)]) -> Option<Vec<ContainerPort>> {
    let port = |&(name, port): &(&str, i32)| ContainerPort {
        name: Some(name.to_owned()),
        container_port: port,
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    Some(all.iter().map(port).collect())
}

/// Asks a container for `path` at its port with this name. It fails after three answers of another kind.
pub fn http_probe(path: &str, port: &str, first_seconds: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            scheme: Some("HTTP".into()),
            ..HTTPGetAction::default()
        }),
        initial_delay_seconds: Some(first_seconds),
        period_seconds: Some(10),
        timeout_seconds: Some(10),
        failure_threshold: Some(3),
        ..Probe::default()
    }
}

impl Workload {
    /// By which its pods are found. It cannot change.
    pub fn selector(&self) -> BTreeMap<String, String> {
        [("app.kubernetes.io/name", &self.name), ("app.kubernetes.io/part-of", &self.part_of)]
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .into()
    }

    fn selected(&self) -> LabelSelector {
        LabelSelector { match_labels: Some(self.selector()), ..LabelSelector::default() }
    }

    /// Of an object of its own.
    pub fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.selector()),
            ..ObjectMeta::default()
        }
    }

    /// Its pods.
    pub fn template(&self) -> PodTemplateSpec {
        let spread = |key: &str| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: key.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".into(),
            label_selector: Some(self.selected()),
            // Of each revision by itself: pods that are about to end do not count.
            match_label_keys: Some(vec!["pod-template-hash".into()]),
            ..TopologySpreadConstraint::default()
        };
        let spread = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"].map(spread);
        let some = |list: Vec<_>| Some(list).filter(|list| !list.is_empty());
        PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(self.selector()),
                annotations: Some(self.annotations.clone()).filter(|all| !all.is_empty()),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                service_account_name: Some(self.service_account.clone()),
                containers: vec![self.container.clone()],
                init_containers: Some(self.init.clone()).filter(|all| !all.is_empty()),
                volumes: Some(self.volumes.clone()).filter(|all| !all.is_empty()),
                node_selector: Some(self.nodes.selector.clone()).filter(|all| !all.is_empty()),
                tolerations: some(self.nodes.tolerations.clone()),
                affinity: self.affinity(),
                priority_class_name: self.priority_class.clone(),
                termination_grace_period_seconds: Some(self.grace_seconds),
                topology_spread_constraints: (self.replicas > 1).then(|| spread.to_vec()),
                security_context: Some(PodSecurityContext {
                    run_as_non_root: Some(true),
                    run_as_user: Some(self.user),
                    run_as_group: Some(self.user),
                    fs_group: Some(self.user),
                    seccomp_profile: Some(SeccompProfile {
                        type_: "RuntimeDefault".into(),
                        ..SeccompProfile::default()
                    }),
                    ..PodSecurityContext::default()
                }),
                ..PodSpec::default()
            }),
        }
    }

    fn affinity(&self) -> Option<Affinity> {
        let apart = PodAffinityTerm {
            label_selector: Some(self.selected()),
            topology_key: "kubernetes.io/hostname".into(),
            ..PodAffinityTerm::default()
        };
        let apart = PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![apart]),
            ..PodAntiAffinity::default()
        };
        let affinity = Affinity {
            node_affinity: self.nodes.affinity.clone(),
            pod_anti_affinity: Some(apart).filter(|_| self.nodes.apart),
            pod_affinity: None,
        };
        Some(affinity).filter(|all| *all != Affinity::default())
    }

    /// Its pods under one name in the cluster, at the ports of its container with these names.
    pub fn service(&self, ports: &[(&str, i32)]) -> Service {
        let port = |&(name, port): &(&str, i32)| ServicePort {
            name: Some(name.to_owned()),
            port,
            target_port: Some(IntOrString::String(name.to_owned())),
            protocol: Some("TCP".into()),
            ..ServicePort::default()
        };
        Service {
            metadata: self.metadata(),
            spec: Some(ServiceSpec {
                type_: Some("ClusterIP".into()),
                selector: Some(self.selector()),
                ports: Some(ports.iter().map(port).collect()),
                ..ServiceSpec::default()
            }),
            status: None,
        }
    }

    /// Pods that are replaced one by one, each once its successor is ready.
    pub fn deployment(&self) -> Deployment {
        // A successor that may not stand beside its predecessor needs its place.
        let (surge, unavailable) = if self.nodes.apart { (0, 1) } else { (1, 0) };
        Deployment {
            metadata: self.metadata(),
            spec: Some(DeploymentSpec {
                replicas: Some(self.replicas),
                selector: self.selected(),
                strategy: Some(DeploymentStrategy {
                    type_: Some("RollingUpdate".into()),
                    rolling_update: Some(RollingUpdateDeployment {
                        max_surge: Some(IntOrString::Int(surge)),
                        max_unavailable: Some(IntOrString::Int(unavailable)),
                    }),
                }),
                template: self.template(),
                ..DeploymentSpec::default()
            }),
            status: None,
        }
    }

    /// Pods with names that stay, each replaced in its place: they end one by one, and start at once.
    pub fn stateful_set(&self) -> StatefulSet {
        let mut template = self.template();
        let spread = template.spec.iter_mut().filter_map(|spec| spec.topology_spread_constraints.as_mut());
        for constraint in spread.flatten() {
            constraint.match_label_keys = Some(vec!["controller-revision-hash".into()]);
        }
        StatefulSet {
            metadata: self.metadata(),
            spec: Some(StatefulSetSpec {
                replicas: Some(self.replicas),
                selector: self.selected(),
                // None waits for another to be ready.
                pod_management_policy: Some("Parallel".into()),
                update_strategy: Some(StatefulSetUpdateStrategy {
                    type_: Some("RollingUpdate".into()),
                    rolling_update: None,
                }),
                template,
                ..StatefulSetSpec::default()
            }),
            status: None,
        }
    }

    /// Nodes are emptied one pod at a time. There is none for a single pod, which would keep its node for ever.
    pub fn disruption_budget(&self) -> Option<PodDisruptionBudget> {
        (self.replicas > 1).then(|| PodDisruptionBudget {
            metadata: self.metadata(),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(1)),
                selector: Some(self.selected()),
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        })
    }
}
