//! Coder on ECS: image, task, service, load balancer, certificate, name, database, logs, alarms.

mod alarms;
mod app;
mod balancer;
mod config;
mod database;
mod dns;
mod environment;
mod legal;
mod network;
mod security;

use crate::config::{Given, StackConfig};
use causeway_aws::{AwsStack, rds::Snapshot};
use causeway_core::{Address, Stack, Tags, Value};
pub use config::*;

/// The address of the service.
pub const SERVICE: &str = "app/service";
/// The address of the rehearsal of a new revision, where one is wanted.
pub const REHEARSAL: &str = "app/rehearsal";
/// The address of the task definition.
pub const TASK: &str = "app/task";
/// The address of the image repository.
pub const REPOSITORY: &str = "registry";
/// The address of the database.
pub const DATABASE: &str = "database/instance";
/// The address of the zone of its names, where there is one.
pub const ZONE: &str = "dns/zone";
/// The tag of a task definition that holds the version of Coder.
pub const VERSION: &str = "version";
/// The container that Coder runs in.
pub const CONTAINER: &str = app::CODER;

/// The addresses of a named part of the stack, as patterns: `infra` is everything that a new version of Coder leaves
/// alone, `app` is the rest.
pub fn group(name: &str) -> Option<&'static [&'static str]> {
    match name {
        "infra" => {
            Some(&["network/*", "security/*", "database/*", "balancer/*", "dns/*", "alarms/*", "registry"])
        }
        "app" => Some(&["app/*"]),
        _ => None,
    }
}

/// Builds the stack.
pub fn ecs(stack: &mut Stack, common: &StackConfig, config: &Ecs, given: &Given) {
    for (key, value) in &common.tags {
        stack.tag(key, value);
    }
    stack.region(&common.region, |stack| {
        let network = network::network(stack, &config.network);
        let security = security::security(stack, config, &network);
        let database = database::database(stack, config, &network, &security);
        let (zone, certificate) = dns::certificate(stack, config);
        let balancer = balancer::balancer(stack, config, &network, &security, certificate);
        dns::records(stack, config, zone, &balancer);
        let app = app::app(
            stack,
            common,
            config,
            given,
            &app::Around { network: &network, security: &security, database: &database, balancer: &balancer },
        );
        alarms::alarms(
            stack,
            config,
            &alarms::Watched { database: &database, balancer: &balancer, app: &app },
        );
        stack.output("access_url", config.access_url.trim_end_matches('/'));
    });
}

/// The value of [`VERSION`] for a version as `[ecs.image]` names it: tags cannot hold a `+`.
pub fn version_tag(version: &str) -> String {
    version.replace('+', "-")
}

/// Adds a snapshot of the database `instance` before `what`, named by `at`, and returns its address. It stays when a
/// later stack does not want it.
pub fn snapshot(stack: &mut Stack, common: &StackConfig, instance: &str, what: &str, at: &str) -> Address {
    let snapshot = Snapshot {
        identifier: format!("{instance}-before-{what}-{at}"),
        db_instance_identifier: Value::from(instance),
        tags: Tags::default(),
    };
    let name = format!("snapshot-{at}");
    stack.region(&common.region, |stack| {
        stack.scope("database", |stack| stack.add(&name, snapshot).address().clone())
    })
}

/// The `Name` tag that AWS's own pages show.
fn named(stack: &Stack, what: &str) -> Tags {
    Tags::from([("Name", format!("{}-{what}", stack.name()))])
}
