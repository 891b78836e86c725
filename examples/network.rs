//! A small network with the libraries alone: a VPC with two public subnets, and a group that lets HTTPS in.
//! `cargo run --bin network`. `benches/peers` compares it with other tools that make the same.

use causeway_aws::{
    AwsStack,
    ec2::{
        AvailabilityZones, Cidr, InternetGateway, Peer, Route, RouteTable, RouteTarget, SecurityGroup,
        SecurityGroupRule, Subnet, Vpc,
    },
};
use causeway_core::{
    Engine, Registry, Stack, Tags, engine::Run, plan::PlanOptions, render, store::LocalStore,
};
use std::{error::Error, sync::Arc};

fn stack() -> Stack {
    let mut stack = Stack::new("network");
    stack.region("us-east-1", |stack| {
        let zones = stack.add("zones", AvailabilityZones::default());
        let vpc = Vpc {
            cidr_block: Cidr::from("10.20.0.0/16"),
            enable_dns_support: Some(true),
            enable_dns_hostnames: Some(true),
            tags: Tags::default(),
        };
        let vpc = stack.add("vpc", vpc);
        let gateway = InternetGateway { vpc_id: vpc.vpc_id.clone(), tags: Tags::default() };
        let gateway = stack.add("gateway", gateway);
        let subnets = ["10.20.0.0/24", "10.20.1.0/24"].into_iter().enumerate().map(|(i, cidr)| {
            let subnet = Subnet {
                vpc_id: vpc.vpc_id.clone(),
                cidr_block: Cidr::from(cidr),
                availability_zone: Some(zones.names.at(&i.to_string())),
                map_public_ip_on_launch: Some(true),
                private_dns_hostname_type_on_launch: None,
                tags: Tags::default(),
            };
            stack.add(&format!("subnet-{i}"), subnet).subnet_id.clone()
        });
        let subnet_ids = subnets.collect();
        let table = RouteTable { vpc_id: vpc.vpc_id.clone(), subnet_ids, tags: Tags::default() };
        let table = stack.add("routes", table);
        let target = RouteTarget::GatewayId(gateway.internet_gateway_id.clone());
        stack.add("internet", Route::anywhere(table.route_table_id.clone(), target));
        let group = stack.add("group", SecurityGroup::new("web", "Lets HTTPS in", vpc.vpc_id.clone()));
        let https = SecurityGroupRule::tcp_in(&group.security_group_id, 443, Peer::anywhere());
        stack.add("https", https);
    });
    stack
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a program of its own")]
async fn main() -> Result<(), Box<dyn Error>> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut registry = Registry::new();
    causeway_aws::register(&mut registry, causeway_aws::sdk_config().await);
    let engine = Engine::new(registry, Arc::new(LocalStore::new(".causeway/network")));
    let planned = engine.plan(&stack(), &PlanOptions::default()).await?;
    print!("{}", render::plan(&planned.plan, false));
    let report = engine.apply(planned, &Run::default()).await?;
    report.failed.iter().for_each(|(address, why)| println!("! {address}  {why}"));
    if report.is_complete() { Ok(()) } else { Err("some steps did not work; run it again".into()) }
}
