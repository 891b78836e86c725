//! A workspace proxy: the way to workspaces for who is near it. <https://coder.com/docs/admin/networking/workspace-proxies>

use super::pod::{self, Environment, LoadBalancer, Program, Tls};
use crate::{
    Manifest,
    kept::{Kept, keep},
    objects::Objects,
    platform::namespace::{self, Namespace, PodSecurity, Port},
    rbac::Account,
    workload::{Nodes, Resources},
};
use causeway_core::{Address, Handle, Stack};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use std::collections::BTreeMap;

/// What people choose about a proxy.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it runs. Made here.
    pub namespace: String,
    /// Its image, of the server's version.
    pub image: String,
    /// How many pods.
    pub replicas: i32,
    /// Of each pod.
    pub resources: Resources,
    /// Where it runs.
    pub nodes: Nodes,
    /// The access URL of the server.
    pub primary_access_url: String,
    /// Its own, `https://..`
    pub access_url: String,
    /// Under which names the ports of workspaces are served, like `*.proxy.example.com`.
    pub wildcard: Option<String>,
    /// What the server gave it to prove who it is. Only a running server can make one.
    pub session_token: Kept,
    /// The certificate that clients are shown. Without, only HTTP is served.
    pub tls: Option<Tls>,
    /// The way in.
    pub load_balancer: LoadBalancer,
    /// Serves figures for Prometheus.
    pub metrics: bool,
    /// Any other variable. It counts more than what is set here.
    pub environment: BTreeMap<String, String>,
}

impl Settings {
    /// What one production proxy has: two pods on nodes of their own.
    pub fn new(image: &str, primary_access_url: &str, access_url: &str, session_token: Kept) -> Self {
        Settings {
            namespace: "coder-proxy".into(),
            image: image.into(),
            replicas: 2,
            resources: Resources {
                cpu: ("250m", "500m"),
                memory: ("512Mi", "1Gi"),
                storage: ("512Mi", "10Gi"),
            },
            nodes: Nodes::dedicated("coder-proxy"),
            primary_access_url: primary_access_url.into(),
            access_url: access_url.into(),
            wildcard: None,
            session_token,
            tls: None,
            load_balancer: LoadBalancer::default(),
            metrics: true,
            environment: BTreeMap::new(),
        }
    }
}

/// What others refer to.
pub struct Proxy {
    /// The way in: its address is the name that DNS points at. It needs the load balancer controller.
    pub service: Handle<Manifest<Service>>,
    /// The proxy answers once this is ready.
    pub deployment: Handle<Manifest<Deployment>>,
    /// The namespace and what belongs to it.
    pub namespace: Vec<Address>,
}

/// Adds the proxy.
pub fn add(stack: &mut Stack, settings: &Settings) -> Proxy {
    let mut ingress = vec![Port::Tcp(8080), Port::Tcp(8443)];
    ingress.extend(settings.metrics.then_some(Port::Tcp(2112)));
    let namespace = Namespace {
        name: &settings.namespace,
        security: PodSecurity::Restricted,
        ingress: &ingress,
        egress: &[Port::Tcp(443)],
        quota: BTreeMap::new(),
    };
    let namespace = stack.scope("namespace", |stack| namespace::add(stack, &namespace));
    let program = Program {
        namespace: &settings.namespace,
        image: &settings.image,
        args: &["wsproxy", "server"],
        replicas: settings.replicas,
        resources: settings.resources,
        nodes: &settings.nodes,
        tls: settings.tls.as_ref(),
        metrics: settings.metrics,
    };
    let mut environment = Environment::default();
    environment
        .set("CODER_PRIMARY_ACCESS_URL", &settings.primary_access_url)
        .set("CODER_ACCESS_URL", &settings.access_url)
        .kept("CODER_PROXY_SESSION_TOKEN", &settings.session_token);
    if let Some(wildcard) = &settings.wildcard {
        environment.set("CODER_WILDCARD_ACCESS_URL", wildcard);
    }
    for (name, value) in &settings.environment {
        environment.set(name, value);
    }
    let mut work = program.workload(environment);
    let account = Account::new(&settings.namespace, &work.service_account);
    let mut objects = Objects::after(stack, namespace.clone());
    objects.add("service-account", &account.object(None));
    let tls = settings.tls.as_ref().map(Tls::kept);
    let secrets: Vec<&Kept> = [&settings.session_token].into_iter().chain(&tls).collect();
    keep(&mut objects, &mut work, &secrets);
    let deployment = pod::run(&mut objects, &work);
    let service = objects.add("service", &settings.load_balancer.service(&work, settings.tls.is_some()));
    Proxy { service, deployment, namespace }
}
