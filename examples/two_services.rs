//! Deploys two services of your own with the libraries alone: `cargo run --bin two-services`, in whatever account the
//! environment names. Run it again and nothing happens; change something here, and just that changes.

use causeway_aws::{
    AwsStack,
    ec2::{ExistingVpc, VpcSelector},
    ecs::{Cluster, Container, NetworkConfiguration, Service, TaskDefinition},
};
use causeway_core::{
    Engine, Registry, Set, Stack, engine::Run, plan::PlanOptions, render, store::LocalStore,
};
use std::{error::Error, sync::Arc};

fn stack() -> Stack {
    let mut stack = Stack::new("two-services");
    stack.region("us-east-1", |stack| {
        let network = stack.add("network", ExistingVpc { selector: VpcSelector::Default });
        let cluster = stack.add("cluster", Cluster { name: "two-services".into(), ..Cluster::default() });
        for (name, image) in [("web", "nginx:1.27"), ("api", "httpd:2.4")] {
            let container = Container { name: name.into(), image: image.into(), ..Container::default() };
            let task = TaskDefinition {
                family: name.into(),
                cpu: Some(256),
                memory: Some(512),
                network_mode: Some("awsvpc".into()),
                requires_compatibilities: Some(["FARGATE".to_owned()].into_iter().collect()),
                container_definitions: vec![container],
                ..TaskDefinition::default()
            };
            let task = stack.add(&format!("{name}/task"), task);
            let network = NetworkConfiguration {
                subnets: Set(vec![network.subnet_ids.cast()]),
                security_groups: None,
                assign_public_ip: Some(true),
            };
            let service = Service {
                name: name.into(),
                cluster: cluster.name.clone(),
                task_definition: task.arn.clone(),
                launch_type: Some("FARGATE".into()),
                network_configuration: Some(network),
                ..Service::default()
            };
            stack.add(&format!("{name}/service"), service);
        }
    });
    stack
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program of its own")]
async fn main() -> Result<(), Box<dyn Error>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut registry = Registry::new();
    causeway_aws::register(&mut registry, causeway_aws::sdk_config().await);
    let engine = Engine::new(registry, Arc::new(LocalStore::new(".causeway/two-services")));
    let planned = engine.plan(&stack(), &PlanOptions::default()).await?;
    print!("{}", render::plan(&planned.plan, false));
    let report = engine.apply(planned, &Run::default()).await?;
    report.failed.iter().for_each(|(address, why)| println!("! {address}  {why}"));
    if report.is_complete() { Ok(()) } else { Err("some steps did not work; run it again".into()) }
}
