//! External provisioners: they run Terraform for the workspaces of one organization.
//! <https://coder.com/docs/admin/provisioners>

use super::{
    pod::{self, Environment, METRICS, PROGRAM, USER, writable},
    workspaces::{self, Workspaces},
};
use crate::{
    kept::{Kept, keep},
    objects::Objects,
    rbac::Account,
    workload::{Nodes, Resources, Workload, container, http_probe, ports},
};
use causeway_core::{Address, Stack, Value};
use std::collections::BTreeMap;

/// As what they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A Deployment: a successor is there before a provisioner ends.
    #[default]
    Deployment,
    /// A StatefulSet: names stay, so that Coder shows the same provisioners after each change; one ends before its successor starts.
    StatefulSet,
}

/// What people choose about the provisioners of one organization and one set of tags. Both are in their key: provisioners
/// with other tags have another key, and so another name.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Unique in the namespace.
    pub name: String,
    /// Their image, of the server's version.
    pub image: String,
    /// How many; each runs one build at a time.
    pub replicas: i32,
    /// As what they run.
    pub kind: Kind,
    /// Of each pod.
    pub resources: Resources,
    /// Where they run.
    pub nodes: Nodes,
    /// The access URL of the server.
    pub url: String,
    /// The key that the server gave out for them. Only a running server can make one.
    pub key: Kept,
    /// Who they are in the cluster. Of several sets in one namespace each needs another.
    pub service_account: String,
    /// The role of AWS that templates act as.
    pub role_arn: Option<Value<String>>,
    /// Seconds that a build may go on when its provisioner is to end. Cut off, it leaves half a workspace.
    pub grace_seconds: i64,
    /// Any other variable. It counts more than what is set here.
    pub environment: BTreeMap<String, String>,
}

impl Settings {
    /// What one organization has: six provisioners on nodes of their own.
    pub fn new(image: &str, url: &str, key: Kept) -> Self {
        Settings {
            name: "coder-provisioner".into(),
            image: image.into(),
            replicas: 6,
            kind: Kind::default(),
            resources: Resources {
                cpu: ("250m", "500m"),
                memory: ("512Mi", "1Gi"),
                storage: ("2Gi", "10Gi"),
            },
            nodes: Nodes::dedicated("coder-provisioner"),
            url: url.into(),
            key,
            service_account: "coder".into(),
            role_arn: None,
            grace_seconds: pod::GRACE,
            environment: BTreeMap::new(),
        }
    }
}

/// Adds the provisioners of `space`, who may make workspaces there and do nothing else.
pub fn add(stack: &mut Stack, space: &Workspaces, settings: &Settings) -> Address {
    let mut work = workload(space, settings);
    let account = Account::new(&space.name, &work.service_account);
    let mut objects = Objects::after(stack, space.made.clone());
    objects.add("service-account", &account.object(settings.role_arn.as_ref()));
    let role = format!("{}-{}", settings.name, workspaces::ROLE);
    account.may_in(&mut objects, &space.name, &role, workspaces::RIGHTS);
    keep(&mut objects, &mut work, &[&settings.key]);
    match settings.kind {
        Kind::Deployment => pod::run(&mut objects, &work).address().clone(),
        Kind::StatefulSet => pod::run_named(&mut objects, &work).address().clone(),
    }
}

fn workload(space: &Workspaces, settings: &Settings) -> Workload {
    let mut environment = Environment::default();
    environment
        .set("CODER_URL", &settings.url)
        .kept("CODER_PROVISIONER_DAEMON_KEY", &settings.key)
        // It answers nothing else: whether it lives is told by whether it has figures.
        .set("CODER_PROMETHEUS_ENABLE", true)
        .set("CODER_PROMETHEUS_ADDRESS", format!("0.0.0.0:{METRICS}"));
    for (name, value) in &settings.environment {
        environment.set(name, value);
    }
    let (volumes, mounts) = writable();
    let mut container = container("coder", &settings.image, settings.resources);
    container.command = Some(vec![PROGRAM.into()]);
    container.args = Some(vec!["provisionerd".into(), "start".into()]);
    container.env = Some(environment.list());
    container.ports = ports(&[("prometheus-http", METRICS)]);
    container.volume_mounts = Some(mounts);
    container.readiness_probe = Some(http_probe("/metrics", "prometheus-http", 0));
    container.liveness_probe = Some(http_probe("/metrics", "prometheus-http", 30));
    Workload {
        name: settings.name.clone(),
        namespace: space.name.clone(),
        part_of: "coder".into(),
        replicas: settings.replicas,
        service_account: settings.service_account.clone(),
        container,
        init: vec![],
        volumes,
        nodes: settings.nodes.clone(),
        grace_seconds: settings.grace_seconds,
        priority_class: None,
        annotations: BTreeMap::new(),
        user: USER,
    }
}
