//! What a NAT instance is made of, and what else a network of EKS has: lives in the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "autoscaling", feature = "ec2", feature = "iam", feature = "logs", feature = "ssm"))]

#[path = "../in_sandbox/mod.rs"]
mod in_sandbox;

mod looks;
mod machines;
mod network;
mod parameters;

use causeway_aws::{
    Aws, AwsStack,
    ec2::{Subnet, Vpc},
};
use causeway_core::{Handle, Stack, Tags, plan::Action, testing::Lifecycle};
use in_sandbox::REGION;
use std::collections::BTreeMap;

/// A stack in the region of all tests, with a network and a subnet.
fn with_subnet(name: &str, build: impl FnOnce(&mut Stack, &Handle<Vpc>, &Handle<Subnet>)) -> Stack {
    let mut stack = Stack::new(name);
    stack.region(REGION, |stack| {
        let vpc = Vpc {
            cidr_block: "10.70.0.0/16".into(),
            enable_dns_support: None,
            enable_dns_hostnames: None,
            tags: Tags::default(),
        };
        let vpc = stack.add("vpc", vpc);
        let subnet = Subnet {
            vpc_id: vpc.vpc_id.clone(),
            cidr_block: "10.70.10.0/24".into(),
            availability_zone: Some("us-east-1a".into()),
            map_public_ip_on_launch: None,
            private_dns_hostname_type_on_launch: Some("ip-name".into()),
            tags: Tags::default(),
        };
        let subnet = stack.add("subnet", subnet);
        build(stack, &vpc, &subnet);
    });
    stack
}

/// What changes, but for what is only looked at.
async fn change(life: &mut Lifecycle, what: &str, stack: Stack) -> BTreeMap<String, Action> {
    let steps = life.change(what, stack).await.into_iter();
    let quiet = |action: &Action| matches!(action, Action::Keep | Action::Wait | Action::Record);
    steps.filter(|(_, action)| !quiet(action)).map(|(address, action)| (address.0, action)).collect()
}

fn updates(of: &[&str]) -> BTreeMap<String, Action> {
    of.iter().map(|address| ((*address).to_owned(), Action::Update)).collect()
}

async fn output(life: &Lifecycle, address: &str, field: &str) -> String {
    let outputs = life.outputs(address).await;
    outputs[field].as_str().unwrap_or_else(|| panic!("no {field} in {outputs}")).to_owned()
}

/// What in EC2 carries the tag of the stack `name`. (Moto tells the tags of what is gone, so tags are no witness.)
async fn left(aws: &Aws, name: &str) -> Vec<String> {
    let ours = || {
        let filter = aws_sdk_ec2::types::Filter::builder().name(format!("tag:{}", Tags::STACK));
        filter.values(name).build()
    };
    let ec2 = &aws.ec2;
    let vpcs = ec2.describe_vpcs().filters(ours()).send().await.unwrap().vpcs.unwrap_or_default();
    let groups = ec2.describe_security_groups().filters(ours()).send().await.unwrap();
    let interfaces = ec2.describe_network_interfaces().filters(ours()).send().await.unwrap();
    let templates = ec2.describe_launch_templates().filters(ours()).send().await.unwrap();
    let left = vpcs.into_iter().filter_map(|v| v.vpc_id);
    let left = left.chain(groups.security_groups.unwrap_or_default().into_iter().filter_map(|g| g.group_id));
    let interfaces = interfaces.network_interfaces.unwrap_or_default().into_iter();
    let left = left.chain(interfaces.filter_map(|i| i.network_interface_id));
    let templates = templates.launch_templates.unwrap_or_default().into_iter();
    left.chain(templates.filter_map(|t| t.launch_template_id)).collect()
}
