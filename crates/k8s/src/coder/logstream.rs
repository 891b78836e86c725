//! What Kubernetes does for a workspace, in the workspace's own log. <https://github.com/coder/coder-logstream-kube>

use super::{
    pod::{self, Environment, USER},
    workspaces::Workspaces,
};
use crate::{
    Manifest,
    objects::Objects,
    rbac::{Account, READ, Rule, rule},
    workload::{Nodes, Resources, Workload, container},
};
use causeway_core::{Handle, Stack};
use k8s_openapi::api::apps::v1::Deployment;
use std::collections::BTreeMap;

const NAME: &str = "coder-logstream-kube";
const RIGHTS: &[Rule] = &[rule(&[""], &["pods", "events"], READ), rule(&["apps"], &["replicasets"], READ)];

/// What people choose about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its image.
    pub image: String,
    /// The access URL of the server.
    pub url: String,
    /// Where it runs.
    pub nodes: Nodes,
}

/// Adds one pod that watches `workspaces`: with two, each line would come twice. It ends by itself when it cannot go on, and
/// answers nothing, so there is nothing to probe.
pub fn add(stack: &mut Stack, workspaces: &Workspaces, settings: &Settings) -> Handle<Manifest<Deployment>> {
    let mut environment = Environment::default();
    environment
        .set("CODER_URL", &settings.url)
        // What releases up to 0.0.11 read, and what later ones do.
        .set("CODER_NAMESPACE", &workspaces.name)
        .set("CODER_NAMESPACES", &workspaces.name);
    let resources = Resources { cpu: ("50m", "200m"), memory: ("64Mi", "256Mi"), storage: ("64Mi", "256Mi") };
    let mut container = container(NAME, &settings.image, resources);
    container.command = Some(vec![format!("/{NAME}")]);
    container.env = Some(environment.list());
    let work = Workload {
        name: NAME.into(),
        namespace: workspaces.name.clone(),
        part_of: "coder".into(),
        replicas: 1,
        service_account: NAME.into(),
        container,
        init: vec![],
        volumes: vec![],
        nodes: settings.nodes.clone(),
        grace_seconds: 30,
        priority_class: None,
        annotations: BTreeMap::new(),
        user: USER,
    };
    let account = Account::new(&workspaces.name, NAME);
    let mut objects = Objects::after(stack, workspaces.made.clone());
    objects.add("service-account", &account.object(None));
    account.may_in(&mut objects, &workspaces.name, NAME, RIGHTS);
    pod::run(&mut objects, &work)
}
