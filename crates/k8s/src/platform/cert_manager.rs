//! cert-manager: certificates from Let's Encrypt, proved over DNS, renewed in time.
//! <https://cert-manager.io/docs/>

mod issuers;
mod rights;
mod webhooks;

pub use issuers::{PRODUCTION, STAGING, Solver, certificate};

use super::{
    definitions,
    namespace::{self, Namespace, PodSecurity, Port},
};
use crate::{
    images::Images,
    kept::Keeper,
    objects::Objects,
    rbac::Account,
    workload::{Nodes, Resources, Workload, container, http_probe, ports},
};
use causeway_core::{Address, Stack};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, Probe, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// Where it lives. Others know it: the rights of its role of AWS are tied to it.
pub const NAMESPACE: &str = "cert-manager";
/// Who it is to Route 53.
pub const ROUTE53_ACCOUNT: &str = "cert-manager-acme-dns01-route53";
/// The namespace of its leases.
const LEASES: &str = "kube-system";
const WEBHOOK: &str = "cert-manager-webhook";
const INJECTOR: &str = "cert-manager-cainjector";

/// What is wanted of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The images.
    pub images: Images,
    /// Where its pods run.
    pub nodes: Nodes,
    /// Who Let's Encrypt writes to.
    pub email: String,
    /// How names are proved to be ours. There are no issuers without one.
    pub solvers: Vec<Solver>,
    /// May edit the zones at Cloudflare: the key `token.key` of the Secret `cloudflare-token`.
    pub cloudflare_token: Keeper,
}

/// Adds all of it in the scope `cert-manager`, the issuers last. Certificates wait for the answer.
pub fn add(stack: &mut Stack, settings: &Settings) -> Vec<Address> {
    stack.scope("cert-manager", |stack| {
        let room = namespace::add(
            stack,
            &Namespace {
                name: NAMESPACE,
                security: PodSecurity::Restricted,
                // The API server asks the webhook; who measures asks all.
                ingress: &[Port::Tcp(10_250), Port::Tcp(9_402)],
                // AWS, Cloudflare and Let's Encrypt; and the name servers of the zones, to see the records.
                egress: &[Port::Tcp(443), Port::Tcp(53), Port::Udp(53)],
                quota: BTreeMap::new(),
            },
        );
        let mut objects = Objects::after(stack, room);
        objects.put("definitions", definitions::cert_manager());
        rights::add(&mut objects);
        issuers::credentials(&mut objects, &settings.cloudflare_token);
        let workloads = [controller(settings), webhook(settings), injector(settings)];
        for (workload, ports) in &workloads {
            objects.add(&format!("service-{}", workload.name), &workload.service(ports));
        }
        objects.then();
        for (workload, _) in &workloads {
            objects.add(&workload.name, &workload.deployment());
            if let Some(budget) = workload.disruption_budget() {
                objects.add(&format!("budget-{}", workload.name), &budget);
            }
        }
        // They guard objects of cert-manager only, which nobody makes before they answer.
        objects.then();
        webhooks::add(&mut objects);
        objects.then();
        issuers::add(&mut objects, settings);
        objects.all()
    })
}

type Ports = Vec<(&'static str, i32)>;

fn workload(settings: &Settings, name: &str, replicas: i32, container: Container) -> Workload {
    Workload {
        name: name.to_owned(),
        namespace: NAMESPACE.to_owned(),
        part_of: "cert-manager".to_owned(),
        replicas,
        service_account: name.to_owned(),
        container,
        init: vec![],
        volumes: vec![],
        nodes: settings.nodes.clone(),
        grace_seconds: 30,
        priority_class: Some("system-cluster-critical".into()),
        annotations: BTreeMap::new(),
        user: 1_000,
    }
}

fn controller(settings: &Settings) -> (Workload, Ports) {
    let resources =
        Resources { cpu: ("50m", "500m"), memory: ("128Mi", "512Mi"), storage: ("64Mi", "256Mi") };
    let container = Container {
        args: Some(
            [
                "--v=2",
                "--cluster-resource-namespace=$(POD_NAMESPACE)",
                &format!("--leader-election-namespace={LEASES}"),
                &format!("--acme-http01-solver-image={}", settings.images.cert_manager_solver),
                "--max-concurrent-challenges=60",
            ]
            .map(str::to_owned)
            .into(),
        ),
        env: Some(vec![pod_namespace()]),
        ports: ports(&[("http-metrics", 9_402), ("http-healthz", 9_403)]),
        liveness_probe: Some(Probe {
            failure_threshold: Some(8),
            ..http_probe("/livez", "http-healthz", 10)
        }),
        readiness_probe: Some(http_probe("/livez", "http-healthz", 5)),
        ..container("controller", &settings.images.cert_manager, resources)
    };
    (workload(settings, "cert-manager", 1, container), vec![("http-metrics", 9_402)])
}

fn webhook(settings: &Settings) -> (Workload, Ports) {
    let resources = Resources { cpu: ("25m", "250m"), memory: ("64Mi", "256Mi"), storage: ("64Mi", "256Mi") };
    let names = ["", ".$(POD_NAMESPACE)", ".$(POD_NAMESPACE).svc"];
    let mut args = vec![
        "--v=2".to_owned(),
        "--secure-port=10250".to_owned(),
        "--dynamic-serving-ca-secret-namespace=$(POD_NAMESPACE)".to_owned(),
        format!("--dynamic-serving-ca-secret-name={WEBHOOK}-ca"),
    ];
    args.extend(names.map(|end| format!("--dynamic-serving-dns-names={WEBHOOK}{end}")));
    let container = Container {
        args: Some(args),
        env: Some(vec![pod_namespace()]),
        ports: ports(&[("https", 10_250), ("healthcheck", 6_080), ("http-metrics", 9_402)]),
        liveness_probe: Some(http_probe("/livez", "healthcheck", 60)),
        readiness_probe: Some(Probe { period_seconds: Some(5), ..http_probe("/healthz", "healthcheck", 5) }),
        ..container("webhook", &settings.images.cert_manager_webhook, resources)
    };
    // Nobody can write a certificate while there is none.
    (workload(settings, WEBHOOK, 2, container), vec![("https", 443), ("http-metrics", 9_402)])
}

fn injector(settings: &Settings) -> (Workload, Ports) {
    let resources =
        Resources { cpu: ("25m", "250m"), memory: ("128Mi", "512Mi"), storage: ("64Mi", "256Mi") };
    // It has no path that says whether it is well.
    let listens = |first| Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String("http-metrics".into()),
            ..TCPSocketAction::default()
        }),
        http_get: None,
        ..http_probe("", "", first)
    };
    let container = Container {
        args: Some(vec!["--v=2".into(), format!("--leader-election-namespace={LEASES}")]),
        env: Some(vec![pod_namespace()]),
        ports: ports(&[("http-metrics", 9_402)]),
        liveness_probe: Some(listens(30)),
        readiness_probe: Some(listens(5)),
        ..container("cainjector", &settings.images.cert_manager_injector, resources)
    };
    (workload(settings, INJECTOR, 1, container), vec![("http-metrics", 9_402)])
}

fn pod_namespace() -> EnvVar {
    EnvVar {
        name: "POD_NAMESPACE".into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.namespace".into(),
                api_version: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn account(name: &str) -> Account {
    Account::new(NAMESPACE, name)
}
