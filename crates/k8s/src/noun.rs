//! The kinds of objects: what each is called in journals, what cannot change in it, and when it serves.

use causeway_core::{Status, Timing, registry::ProviderKinds};
use k8s_openapi::{
    ClusterResourceScope, Metadata, NamespaceResourceScope,
    api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::{CronJob, Job},
        coordination::v1::Lease,
        core::v1::{
            ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Secret, Service,
            ServiceAccount,
        },
        networking::v1::{Ingress, IngressClass, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
        scheduling::v1::PriorityClass,
        storage::v1::{CSIDriver, StorageClass},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{Kubernetes, Manifest, custom, rollout};

/// Whether objects of a kind live in namespaces.
pub trait Scope {
    /// Whether they do.
    const NAMESPACED: bool;
}
impl Scope for NamespaceResourceScope {
    const NAMESPACED: bool = true;
}
impl Scope for ClusterResourceScope {
    const NAMESPACED: bool = false;
}

/// A kind of object that can be managed.
pub trait Noun:
    k8s_openapi::Resource<Scope: Scope>
    + Metadata<Ty = ObjectMeta>
    + Serialize
    + DeserializeOwned
    + Clone
    + Send
    + Sync
    + 'static
{
    /// [`Resource::KIND`](causeway_core::Resource::KIND) of its manifests.
    const NOUN: &'static str;
    /// Fields that the API server does not let change.
    const REPLACE: &'static [&'static str];
    /// Whether it holds data that nobody can bring back.
    const DATA: bool;
    /// The annotation with the attributes of its load balancer. One that is protected goes only as data does, with a
    /// permit: people know its address. Any other holds nothing.
    const BALANCED: Option<&'static str> = None;
    /// How long it takes until it serves.
    const TIMING: Timing;

    /// Whether it serves, by what it tells itself.
    fn status(_object: &Json) -> Status {
        Status::Ready
    }
}

fn definition_of<K: Noun>() -> String {
    format!("{}.{}", K::URL_PATH_SEGMENT, K::GROUP)
}

macro_rules! nouns {
    ($($noun:literal $kind:ty $(: replace $replace:tt)? $(, data $data:literal)? $(, balanced $balanced:literal)? $(, timing $timing:expr)? $(, status $status:path)?;)+) => {
        $(impl Noun for $kind {
            const NOUN: &'static str = $noun;
            const REPLACE: &'static [&'static str] = nouns!(@replace $($replace)?);
            const DATA: bool = nouns!(@data $($data)?);
            $(const BALANCED: Option<&'static str> = Some($balanced);)?
            const TIMING: Timing = nouns!(@timing $($timing)?);
            $(fn status(object: &Json) -> Status {
                $status(object)
            })?
        })+

        /// Every kind, for a registry.
        pub(crate) fn register(kinds: ProviderKinds<'_, Kubernetes>) -> ProviderKinds<'_, Kubernetes> {
            kinds$(.add::<Manifest<$kind>>())+.add::<crate::crds::Crds>()
        }

        /// What a definition of the kind `noun` is called where it is a custom resource: its plural, and its group.
        pub(crate) fn definition(noun: &str) -> Option<String> {
            match noun {
                $($noun => Some(definition_of::<$kind>()),)+
                _ => None,
            }
        }
    };
    (@replace [$($field:literal),*]) => { &["namespace", "name", $(concat!("object.", $field)),*] };
    (@replace) => { &["namespace", "name"] };
    (@data $data:literal) => { $data };
    (@data) => { false };
    (@timing $timing:expr) => { $timing };
    (@timing) => { Timing::seconds(1, 1, 120) };
}

/// Images are pulled, nodes may have to be started first.
const ROLLOUT: Timing = Timing::seconds(60, 2, 900);
/// Whoever tells by whom a webhook is signed looks within seconds.
const TRUST: Timing = Timing::seconds(10, 1, 300);

nouns! {
    "k8s.core.namespace" Namespace, timing Timing::seconds(1, 2, 900);
    "k8s.core.service_account" ServiceAccount;
    "k8s.core.config_map" ConfigMap;
    "k8s.core.secret" Secret: replace ["type"];
    "k8s.core.service" Service:
        // The controller makes another load balancer where the scheme changes.
        replace ["spec.clusterIP", "spec.loadBalancerClass", "metadata.annotations.service.beta.kubernetes.io/aws-load-balancer-scheme"],
        data true, balanced "service.beta.kubernetes.io/aws-load-balancer-attributes",
        timing Timing::seconds(30, 2, 600), status rollout::service;
    "k8s.core.persistent_volume_claim" PersistentVolumeClaim:
        replace ["spec.accessModes", "spec.storageClassName", "spec.volumeMode", "spec.selector"], data true;
    "k8s.core.resource_quota" ResourceQuota;
    "k8s.core.limit_range" LimitRange;
    "k8s.apps.deployment" Deployment: replace ["spec.selector"], timing ROLLOUT, status rollout::deployment;
    "k8s.apps.stateful_set" StatefulSet:
        replace ["spec.selector", "spec.serviceName", "spec.volumeClaimTemplates", "spec.podManagementPolicy"],
        timing ROLLOUT, status rollout::stateful_set;
    "k8s.apps.daemon_set" DaemonSet: replace ["spec.selector"], timing ROLLOUT, status rollout::daemon_set;
    "k8s.batch.job" Job: replace ["spec.selector", "spec.template", "spec.completions", "spec.completionMode"],
        timing ROLLOUT, status rollout::job;
    "k8s.batch.cron_job" CronJob;
    "k8s.autoscaling.horizontal_pod_autoscaler" HorizontalPodAutoscaler;
    "k8s.policy.pod_disruption_budget" PodDisruptionBudget;
    "k8s.networking.network_policy" NetworkPolicy;
    "k8s.networking.ingress" Ingress: replace ["metadata.annotations.alb.ingress.kubernetes.io/scheme"],
        data true, balanced "alb.ingress.kubernetes.io/load-balancer-attributes",
        timing Timing::seconds(30, 2, 600), status rollout::ingress;
    "k8s.networking.ingress_class" IngressClass: replace ["spec.controller"];
    "k8s.rbac.role" Role;
    "k8s.rbac.role_binding" RoleBinding: replace ["roleRef"];
    "k8s.rbac.cluster_role" ClusterRole;
    "k8s.rbac.cluster_role_binding" ClusterRoleBinding: replace ["roleRef"];
    "k8s.scheduling.priority_class" PriorityClass: replace ["value", "preemptionPolicy"];
    "k8s.storage.storage_class" StorageClass:
        replace ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode", "mountOptions"];
    "k8s.storage.csi_driver" CSIDriver: replace ["spec.attachRequired"];
    "k8s.coordination.lease" Lease;
    "k8s.admissionregistration.mutating_webhook_configuration" MutatingWebhookConfiguration, timing TRUST, status rollout::trusted;
    "k8s.admissionregistration.validating_webhook_configuration" ValidatingWebhookConfiguration, timing TRUST, status rollout::trusted;
    "k8s.apiextensions.custom_resource_definition" CustomResourceDefinition: replace ["spec.group", "spec.scope"],
        timing Timing::seconds(2, 1, 120), status rollout::established;
    "k8s.apiregistration.api_service" APIService, timing ROLLOUT, status rollout::available;
    "k8s.cert_manager.issuer" custom::Issuer, timing Timing::seconds(5, 2, 300), status rollout::ready;
    "k8s.cert_manager.cluster_issuer" custom::ClusterIssuer, timing Timing::seconds(5, 2, 300), status rollout::ready;
    "k8s.cert_manager.certificate" custom::Certificate, timing Timing::seconds(90, 5, 1_800), status rollout::ready;
    "k8s.karpenter.node_pool" custom::NodePool, timing Timing::seconds(5, 2, 300), status rollout::ready;
    "k8s.karpenter.ec2_node_class" custom::EC2NodeClass, timing Timing::seconds(10, 2, 300), status rollout::ready;
    "k8s.elbv2.target_group_binding" custom::TargetGroupBinding: replace ["spec.targetGroupARN"];
    "k8s.elbv2.ingress_class_params" custom::IngressClassParams;
    "k8s.monitoring.prometheus_rule" custom::PrometheusRule;
}
