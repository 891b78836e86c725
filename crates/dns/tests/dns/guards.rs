//! What a plan for records is refused for.

use crate::world::{World, ZONE, address, at, stack};
use causeway_core::{Stack, plan::PlanOptions};
use causeway_dns::{
    Record,
    guard::{Cap, Policy, Rules, guard},
    provider::memory::{Manner, Memory},
};
use std::sync::Arc;

fn names(names: &[&'static str], target: &str) -> Vec<(&'static str, Record)> {
    names.iter().map(|n| (*n, address(&format!("{n}.example.com"), &[target]))).collect()
}

const SIX: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

async fn six() -> World {
    let world = World::new(Arc::new(Memory::new(ZONE, Manner::Records, 200)));
    world.settle(&stack("prod", names(&SIX, "lb.example.net"))).await;
    world
}

async fn refused(world: &World, stack: &Stack, rules: &Rules) -> Vec<String> {
    let planned = world.plan(stack).await;
    guard(&planned, rules).into_iter().map(|r| r.rule).collect()
}

/// octoDNS #61, #785: its share counts from ten records on.
#[tokio::test]
async fn six_records_are_guarded() {
    let world = six().await;
    let permits = SIX.iter().map(|a| at(a)).collect();
    let rules = Rules::default();
    let five = stack("prod", names(&SIX[..5], "lb.example.net"));
    assert_eq!(refused(&world, &five, &rules).await, ["dns-last"]);
    let four = stack("prod", names(&SIX[..4], "lb.example.net"));
    assert_eq!(refused(&world, &four, &rules).await, ["dns-last", "dns-last", "dns-removals"]);
    assert_eq!(refused(&world, &four, &Rules { permits, ..Rules::default() }).await, Vec::<String>::new());
    let moved = stack("prod", names(&SIX, "other.example.net"));
    assert_eq!(refused(&world, &moved, &rules).await, ["dns-changes"]);
    let all = Cap { most: 10, percent: 100 };
    assert_eq!(refused(&world, &moved, &Rules { changes: all, ..rules.clone() }).await, Vec::<String>::new());
    let mut some = names(&SIX[..3], "other.example.net");
    some.extend(names(&SIX[3..], "lb.example.net"));
    assert_eq!(refused(&world, &stack("prod", some), &rules).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_name_that_another_resource_keeps_is_not_lost() {
    let world = six().await;
    let mut other = names(&SIX[..5], "lb.example.net");
    other.push(("moved", address("f.example.com", &["lb.example.net"])));
    let planned = world.plan(&stack("prod", other)).await;
    assert!(guard(&planned, &Rules::default()).iter().all(|r| r.rule != "dns-last"));
}

#[tokio::test]
async fn a_policy_leaves_out_what_it_does_not_allow() {
    let world = six().await;
    let mut wanted = names(&SIX[..1], "other.example.net");
    wanted.push(("new", address("new.example.com", &["lb.example.net"])));
    let wanted = stack("prod", wanted);
    for (policy, done) in [(Policy::CreateOnly, vec!["new"]), (Policy::UpsertOnly, vec!["a", "new"])] {
        let planned = world.plan(&wanted).await;
        let rules = Rules { policy, ..Rules::default() };
        assert!(guard(&planned, &rules).iter().any(|r| r.rule == "dns-policy"));
        let options = PlanOptions { except: policy.leaves_out(&planned), ..PlanOptions::default() };
        let planned = world.plan_with(&wanted, &options).await;
        let steps: Vec<&str> = planned.plan.steps.iter().map(|s| s.address.0.as_str()).collect();
        assert_eq!(steps, done);
        assert_eq!(guard(&planned, &rules), []);
    }
}
