//! The AWS Load Balancer Controller: load balancers for Services and Ingresses.
//! <https://kubernetes-sigs.github.io/aws-load-balancer-controller/>

mod rights;
mod webhooks;

use super::definitions;
use crate::{
    custom::{
        Certificate, CertificateSpec, IngressClassParams, IngressClassParamsSpec, Issuer, IssuerRef,
        IssuerSpec, SelfSigned,
    },
    images::Images,
    objects::Objects,
    rbac::{Account, named},
    workload::{Nodes, Resources, Workload, container, http_probe, ports},
};
use causeway_core::{Address, Stack, Value};
use k8s_openapi::api::{
    core::v1::{Container, SecretVolumeSource, Service, ServiceSpec, Volume, VolumeMount},
    networking::v1::{IngressClass, IngressClassParametersReference, IngressClassSpec},
};
use std::collections::BTreeMap;

/// Where it lives. Others know it: the rights of its role of AWS are tied to it.
pub const NAMESPACE: &str = "kube-system";
/// Its name, and that of its service account.
pub const NAME: &str = "aws-load-balancer-controller";
/// The class of Ingresses that it serves.
pub const INGRESS_CLASS: &str = "alb";
/// The class of Services that it serves.
pub const SERVICE_CLASS: &str = "service.k8s.aws/nlb";
const SERVICE: &str = "aws-load-balancer-webhook-service";
const CERTIFICATE: &str = "aws-load-balancer-serving-cert";
const ISSUER: &str = "aws-load-balancer-selfsigned-issuer";
const SECRET: &str = "aws-load-balancer-tls";

/// What is wanted of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The images.
    pub images: Images,
    /// Where its pods run.
    pub nodes: Nodes,
    /// The name of the cluster in EKS.
    pub cluster: String,
    /// The region. It cannot ask the instance metadata, which is kept from pods.
    pub region: String,
    /// The network.
    pub vpc_id: Value<String>,
    /// The role of AWS that it acts as.
    pub role_arn: Value<String>,
    /// Which security group of a node it opens for its load balancers, where a node has several: the one with these tags.
    pub security_group_tags: BTreeMap<String, String>,
}

/// Adds all of it in the scope `load-balancer-controller`. Waits for `earlier`, which has to have cert-manager in it.
/// Ingresses and target group bindings wait for the answer. Services need not: see `webhooks`.
pub fn add(stack: &mut Stack, settings: &Settings, earlier: &[Address]) -> Vec<Address> {
    stack.scope("load-balancer-controller", |stack| {
        let mut objects = Objects::after(stack, earlier.iter().cloned());
        let account = Account::new(NAMESPACE, NAME);
        objects.put("definitions", settings.images.pinned(definitions::load_balancer_controller()));
        objects.add("account", &account.object(Some(&settings.role_arn)));
        rights::add(&mut objects, &account);
        let workload = workload(settings);
        objects.add("service", &service(&workload));
        objects.add(
            "issuer",
            &Issuer {
                metadata: named(Some(NAMESPACE), ISSUER),
                spec: IssuerSpec { self_signed: Some(SelfSigned {}), ..IssuerSpec::default() },
            },
        );
        objects.then();
        objects.add("certificate", &certificate());
        // It reads its certificate when it starts.
        objects.then();
        objects.add("controller", &workload.deployment());
        if let Some(budget) = workload.disruption_budget() {
            objects.add("budget", &budget);
        }
        objects.then();
        webhooks::add(&mut objects);
        objects.then();
        let params = IngressClassParams {
            metadata: named(None, INGRESS_CLASS),
            spec: IngressClassParamsSpec { ip_address_type: Some("ipv4".into()), ..Default::default() },
        };
        objects.add("class-params", &params);
        objects.then();
        objects.add("class", &class());
        objects.all()
    })
}

fn workload(settings: &Settings) -> Workload {
    let resources =
        Resources { cpu: ("100m", "500m"), memory: ("256Mi", "512Mi"), storage: ("64Mi", "256Mi") };
    let mut args = vec![
        format!("--cluster-name={}", settings.cluster),
        format!("--ingress-class={INGRESS_CLASS}"),
        format!("--aws-region={}", settings.region),
        format!("--aws-vpc-id={}", settings.vpc_id.inline()),
    ];
    let tags: Vec<String> =
        settings.security_group_tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if !tags.is_empty() {
        args.push(format!("--service-target-eni-security-group-tags={}", tags.join(",")));
    }
    let container = Container {
        args: Some(args),
        ports: ports(&[("webhook-server", 9_443), ("metrics-server", 8_080), ("health", 61_779)]),
        liveness_probe: Some(http_probe("/healthz", "health", 30)),
        readiness_probe: Some(http_probe("/readyz", "health", 10)),
        volume_mounts: Some(vec![VolumeMount {
            name: "cert".into(),
            mount_path: "/tmp/k8s-webhook-server/serving-certs".into(),
            read_only: Some(true),
            ..VolumeMount::default()
        }]),
        ..container("controller", &settings.images.load_balancer_controller, resources)
    };
    Workload {
        name: NAME.into(),
        namespace: NAMESPACE.into(),
        part_of: "load-balancing".into(),
        replicas: 2,
        service_account: NAME.into(),
        container,
        init: vec![],
        volumes: vec![Volume {
            name: "cert".into(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(SECRET.into()),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        }],
        nodes: Nodes { apart: true, ..settings.nodes.clone() },
        grace_seconds: 10,
        priority_class: Some("system-cluster-critical".into()),
        annotations: BTreeMap::from(
            [("prometheus.io/scrape", "true"), ("prometheus.io/port", "8080")]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
        ),
        user: 65_534,
    }
}

fn service(workload: &Workload) -> Service {
    let mut service = workload.service(&[("webhook-server", 443)]);
    service.metadata = named(Some(NAMESPACE), SERVICE);
    service.spec = service.spec.map(|spec| ServiceSpec { selector: Some(workload.selector()), ..spec });
    service
}

/// Signed by itself: the API server is told by cert-manager. It is kept in a Secret from one apply to the next.
fn certificate() -> Certificate {
    Certificate {
        metadata: named(Some(NAMESPACE), CERTIFICATE),
        spec: CertificateSpec {
            secret_name: SECRET.into(),
            issuer_ref: IssuerRef {
                name: ISSUER.into(),
                kind: "Issuer".into(),
                group: Some("cert-manager.io".into()),
            },
            dns_names: ["svc", "svc.cluster.local"].map(|end| format!("{SERVICE}.{NAMESPACE}.{end}")).into(),
            ..CertificateSpec::default()
        },
    }
}

fn class() -> IngressClass {
    IngressClass {
        metadata: named(None, INGRESS_CLASS),
        spec: Some(IngressClassSpec {
            controller: Some("ingress.k8s.aws/alb".into()),
            parameters: Some(IngressClassParametersReference {
                api_group: Some("elbv2.k8s.aws".into()),
                kind: "IngressClassParams".into(),
                name: INGRESS_CLASS.into(),
                ..IngressClassParametersReference::default()
            }),
        }),
    }
}
