//! Kubernetes 1.33 becomes 1.35 in two applies, each in the order that EKS asks for, and wherever a run is killed the next
//! one goes on.

use crate::{examples::SINGLE_REGION, world::World};
use causeway_sandbox::gateway::{Act, Rule};
use serde_json::Value as Json;
use std::time::{Duration, Instant};

/// What nodes need, and what runs on them.
const BEFORE_NODES: [&str; 3] = ["vpc-cni", "kube-proxy", "eks-pod-identity-agent"];
const AFTER_NODES: [&str; 3] = ["coredns", "aws-ebs-csi-driver", "metrics-server"];

fn old(number: u64) -> World {
    let world = World::with(number, SINGLE_REGION);
    // Out of support by now, which is what upgrades are for.
    let allowed = "[guard]\nallow = [\"out-of-support\"]\n\n[eks]\nversion = \"1.33\"";
    world.edit("[eks]\nversion = \"1.35\"", allowed);
    world.deploy(&["apply", "--yes"]).succeeds();
    world.edit("version = \"1.33\"", "version = \"1.35\"");
    world.forget_calls();
    world
}

/// The versions that boto3 finds: of the cluster, its nodes, and its add-ons by name.
fn versions(world: &World) -> Json {
    let script = "import json\n\
        eks = boto3.client('eks', region_name='us-east-2')\n\
        [cluster] = eks.list_clusters()['clusters']\n\
        [group] = eks.list_nodegroups(clusterName=cluster)['nodegroups']\n\
        addons = eks.list_addons(clusterName=cluster)['addons']\n\
        out = {name: eks.describe_addon(clusterName=cluster, addonName=name)['addon']['addonVersion'] for name in addons}\n\
        out['cluster'] = eks.describe_cluster(name=cluster)['cluster']['version']\n\
        out['nodes'] = eks.describe_nodegroup(clusterName=cluster, nodegroupName=group)['nodegroup']['version']\n\
        print(json.dumps(out))";
    serde_json::from_str(&world.boto3(script)).unwrap()
}

/// What of `names` stands elsewhere in `now` than in `then`.
fn moved<'n>(names: &[&'n str], then: &Json, now: &Json) -> Vec<&'n str> {
    names.iter().filter(|name| then[**name] != now[**name]).copied().collect()
}

/// The calls of an upgrade, in order.
fn updates(world: &World) -> Vec<String> {
    let mut calls = world.mutations();
    calls.sort_by_key(|call| call.at);
    calls.iter().filter(|call| call.service == "eks").map(|call| call.operation.clone()).collect()
}

#[test]
fn an_upgrade_goes_one_minor_version_at_a_time_in_the_order_that_eks_asks_for() {
    let world = old(40);
    let before = versions(&world);
    world.deploy(&["apply", "--yes"]).succeeds();
    let between = versions(&world);
    assert_eq!([&between["cluster"], &between["nodes"]], ["1.34", "1.34"]);
    let [first, last] = [BEFORE_NODES, AFTER_NODES].map(|names| moved(&names, &before, &between).len());
    assert!(first > 0 && last > 0, "{before} {between}");
    let addons = |n: usize| vec!["UpdateAddon"; n];
    let wanted =
        [vec!["UpdateClusterVersion"], addons(first), vec!["UpdateNodegroupVersion"], addons(last)].concat();
    assert_eq!(updates(&world), wanted);

    world.deploy(&["plan", "--detailed-exitcode"]).exits(2);
    world.forget_calls();
    world.deploy(&["apply", "--yes"]).succeeds();
    let after = versions(&world);
    assert_eq!([&after["cluster"], &after["nodes"]], ["1.35", "1.35"]);
    // The sandbox has the same add-ons for 1.34 and 1.35.
    assert_eq!(updates(&world), ["UpdateClusterVersion", "UpdateNodegroupVersion"]);
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
}

#[test]
fn an_upgrade_that_is_killed_at_each_step_goes_on_in_the_same_order() {
    let world = old(41);
    let before = versions(&world);
    let (mut seen, begun) = (vec![], Instant::now());
    // The first call is the one that the run before was killed at.
    for nth in [1].into_iter().chain(std::iter::repeat(2)) {
        let rule = world.rule(Rule::new("eks:Update*", Act::HoldBefore).nth(nth));
        let mut apply = world.start(&["apply", "--yes"]);
        let ended = loop {
            if world.held(rule) > 0 {
                break None;
            }
            if let Some(code) = apply.ended() {
                break Some(code);
            }
            assert!(begun.elapsed() < Duration::from_secs(500), "it takes too long: {seen:?}");
            std::thread::sleep(Duration::from_millis(10));
        };
        drop(apply);
        // A call that is held must not go on: the gateway has to see first that nobody waits for it.
        while world.held(rule) > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        world.unset(rule);
        seen.push(versions(&world));
        if let Some(code) = ended {
            assert_eq!(code, Some(0));
            let now = seen.last().unwrap();
            if now["nodes"] == "1.35" {
                break;
            }
        }
    }
    assert!(seen.len() >= 6, "it was killed too seldom: {seen:?}");
    assert_eq!(seen[0], before, "it was killed before its first call had an effect");
    for now in &seen {
        let is = |what: &str, version: &str| now[what] == version;
        // The versions of add-ons are those of the first step.
        if !moved(&BEFORE_NODES, &before, now).is_empty() {
            assert_ne!(now["cluster"], "1.33", "{now}");
        }
        if !is("nodes", "1.33") {
            assert_ne!(now["cluster"], "1.33", "{now}");
            assert_eq!(
                moved(&BEFORE_NODES, &before, now),
                moved(&BEFORE_NODES, &before, seen.last().unwrap()),
                "{now}"
            );
        }
        if !moved(&AFTER_NODES, &before, now).is_empty() {
            assert_ne!(now["nodes"], "1.33", "{now}");
        }
        // Never two steps at once.
        assert!(!(is("cluster", "1.35") && is("nodes", "1.33")), "{now}");
    }
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
}
