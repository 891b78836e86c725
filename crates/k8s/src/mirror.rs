//! Images of others, kept in our own registry: a job that copies them at set times, with all their platforms and by digest.
//!
//! It runs our own program, `deploy mirror` with the arguments that it is given here: no Docker beside it, no right in the cluster,
//! and nothing that is privileged.

use crate::{
    Manifest,
    cron::Schedule,
    objects::Objects,
    rbac::Account,
    workload::{Nodes, Resources, Workload, container, scratch},
};
use causeway_core::{Address, Handle, Stack, Value};
use k8s_openapi::api::{batch::v1::CronJob, core::v1::EnvVar};
use std::collections::BTreeMap;

const NAME: &str = "fetch-and-store";

/// What people choose about the job.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it runs.
    pub namespace: String,
    /// Its image.
    pub image: String,
    /// What it is to do.
    pub args: Vec<String>,
    /// When.
    pub schedule: Schedule,
    /// The role of AWS that may write to the registry.
    pub role_arn: Option<Value<String>>,
    /// Where it runs.
    pub nodes: Nodes,
    /// What else it is told.
    pub environment: BTreeMap<String, Value<String>>,
}

impl Settings {
    /// In the first hour of each Monday.
    pub fn new(image: &str, args: Vec<String>) -> Self {
        Settings {
            namespace: "coder".into(),
            image: image.into(),
            args,
            schedule: Schedule {
                cron: "0 0 * * 1".into(),
                time_zone: "America/Vancouver".into(),
                limit_seconds: 3_600,
            },
            role_arn: None,
            nodes: Nodes::default(),
            environment: BTreeMap::new(),
        }
    }
}

/// Adds the job, to a namespace that is there once `after` is.
pub fn add(stack: &mut Stack, after: &[Address], settings: &Settings) -> Handle<Manifest<CronJob>> {
    // Layers pass through: some pieces of them are in memory, and nothing is on the disk.
    let resources = Resources { cpu: ("100m", "1"), memory: ("128Mi", "512Mi"), storage: ("64Mi", "256Mi") };
    let (volume, mount) = scratch("tmp", "/tmp", "64Mi");
    let variable = |(name, value): (&String, &Value<String>)| EnvVar {
        name: name.clone(),
        value: Some(value.inline()),
        value_from: None,
    };
    let mut container = container(NAME, &settings.image, resources);
    container.args = Some(settings.args.clone());
    container.env = Some(settings.environment.iter().map(variable).collect());
    container.volume_mounts = Some(vec![mount]);
    let work = Workload {
        name: NAME.into(),
        namespace: settings.namespace.clone(),
        part_of: "coder".into(),
        replicas: 1,
        service_account: NAME.into(),
        container,
        init: vec![],
        volumes: vec![volume],
        nodes: settings.nodes.clone(),
        grace_seconds: 30,
        priority_class: None,
        annotations: BTreeMap::new(),
        user: 65_532,
    };
    let account = Account::new(&settings.namespace, NAME);
    let mut objects = Objects::after(stack, after.to_vec());
    objects.add("service-account", &account.object(settings.role_arn.as_ref()));
    objects.then();
    objects.add("job", &work.cron_job(&settings.schedule))
}
