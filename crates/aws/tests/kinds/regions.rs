//! A network in two regions of the sandbox, of which one is cut off at the gateway.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "ec2")]

use crate::in_sandbox::{REGION, config, registry};
use causeway_aws::{
    Aws, AwsStack, Region,
    ec2::{Peer, SecurityGroup, SecurityGroupRule, Subnet, Vpc},
};
use causeway_core::{
    Engine, Stack, Tags,
    apply::Report,
    engine::Run,
    plan::{Action, Plan, PlanOptions},
    render,
    store::MemoryStore,
};
use causeway_sandbox::gateway::{Act, Rule};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const ACCOUNT: &str = "000000000481";
const WEST: &str = "us-west-2";

/// In each region a network with two subnets and a group with a rule.
fn network(description: &str) -> Stack {
    let mut stack = Stack::new("two-regions");
    for (region, net) in [(REGION, "10.20"), (WEST, "10.21")] {
        stack.region(region, |stack| {
            stack.scope(region, |stack| {
                let vpc = Vpc {
                    cidr_block: format!("{net}.0.0/16").as_str().into(),
                    enable_dns_support: None,
                    enable_dns_hostnames: None,
                    tags: Tags::default(),
                };
                let vpc = stack.add("vpc", vpc);
                for (name, part) in [("subnet-a", "0.0/20"), ("subnet-b", "16.0/20")] {
                    let subnet = Subnet {
                        vpc_id: vpc.vpc_id.clone(),
                        cidr_block: format!("{net}.{part}").as_str().into(),
                        availability_zone: None,
                        map_public_ip_on_launch: None,
                        private_dns_hostname_type_on_launch: None,
                        tags: Tags::from([("about", description)]),
                    };
                    stack.add(name, subnet);
                }
                let group = SecurityGroup::new("web", "Lets HTTPS in", vpc.vpc_id.clone());
                let group = stack.add("group", group);
                let https = SecurityGroupRule::tcp_in(&group.security_group_id, 443, Peer::anywhere());
                stack.add("https", https);
            });
        });
    }
    stack
}

async fn planned(engine: &Engine, stack: &Stack) -> Plan {
    engine.plan(stack, &PlanOptions::default()).await.unwrap().plan
}

async fn applied(engine: &Engine, stack: &Stack) -> Report {
    let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
    let mut run = Run::default();
    run.rules.public_ports = [443].into();
    engine.apply(planned, &run).await.unwrap()
}

/// How many networks of ours there are in `region`.
async fn networks(region: &str) -> usize {
    let aws = Aws::new(&config(ACCOUNT).await, &Region::new(region));
    let of_stack =
        aws_sdk_ec2::types::Filter::builder().name("tag:causeway:stack").values("two-regions").build();
    aws.ec2.describe_vpcs().filters(of_stack).send().await.unwrap().vpcs().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_is_cut_off_in_the_middle_and_comes_back() {
    let sandbox = causeway_sandbox::shared().unwrap();
    let (key, _) = sandbox.credentials(ACCOUNT).unwrap();
    let engine = Engine::new(registry(ACCOUNT).await, Arc::new(MemoryStore::default()));
    let (stack, east) = (network("first"), |address: &str| address.starts_with(REGION));
    // The network and what comes at once with it are made; then nobody answers.
    let west = || Rule::new("*", Act::CutBefore).access_key(&key).region(WEST);
    let rule = sandbox.gateway().rules().add(Rule { skip: 4, ..west() });
    let start = Instant::now();
    let report = applied(&engine, &stack).await;
    let took = start.elapsed();
    assert_eq!(report.done.iter().filter(|(a, _)| east(&a.0)).count(), 5, "{report:?}");
    assert!(report.failed.iter().chain(&report.skipped).all(|(a, _)| !east(&a.0)), "{report:?}");
    assert_eq!(report.away.len(), 1, "{report:?}");
    assert!((1..5).contains(&report.away[0].resources.len()), "{report:?}");
    assert!(report.failed[0].1.starts_with("cannot connect to us-west-2: ec2:"), "{report:?}");
    assert!(took < Duration::from_secs(160), "{took:?}");

    // Away: nothing of it is gone, or drifted, and the other region is repaired.
    sandbox.gateway().rules().remove(rule);
    let rule = sandbox.gateway().rules().add(west());
    let other = network("second");
    let changes = || sandbox.gateway().mutations().iter().filter(|c| c.access_key == key).count();
    let before = changes();
    let (plan, drifted) = tokio::join!(planned(&engine, &other), engine.drift());
    let drifted = drifted.unwrap();
    let steps: Vec<_> = plan.steps.iter().map(|s| (s.address.0.as_str(), s.action)).collect();
    assert_eq!(steps, [("us-east-1/subnet-a", Action::Update), ("us-east-1/subnet-b", Action::Update)]);
    assert_eq!((plan.away.len(), plan.away[0].resources.len()), (1, 5));
    assert!(render::plan(&plan, false).starts_with("! us-west-2 cannot be reached: 5 resources there wait"));
    assert_eq!((drifted.drift.len(), drifted.away.len()), (0, 1), "{drifted:?}");
    assert_eq!(changes(), before);

    // Back: one more run, and nothing is there twice.
    sandbox.gateway().rules().remove(rule);
    let report = applied(&engine, &other).await;
    assert!(report.is_complete(), "{report:?}");
    let plan = planned(&engine, &other).await;
    assert!(plan.steps.is_empty() && plan.away.is_empty(), "{}", render::plan(&plan, true));
    assert_eq!((networks(REGION).await, networks(WEST).await), (1, 1));
    let report = applied(&engine, &Stack::new("two-regions")).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((networks(REGION).await, networks(WEST).await), (0, 0));
}
