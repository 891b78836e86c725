//! `deploy` against the local cloud, from the empty account and back, checked with boto3 rather than with our own code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod adopt;
mod blue_green;
mod docs;
mod journal;
mod mirror;
mod operate;
mod plans;
mod preflight;
mod versions;
mod world;

use serde_json::Value as Json;
use std::{collections::BTreeMap, time::Duration};
use world::World;

/// The most calls that a plan of the example may take that finds nothing to do.
const PLAN: usize = 40;

/// What the calls of an apply changed, each call once.
fn changes(world: &World) -> Vec<String> {
    world.mutations().into_iter().map(|c| c.name()).collect()
}

/// Plans `what`, which finds nothing to do and takes at most `most` calls.
#[expect(clippy::print_stdout, reason = "how many there are is a figure of docs/performance.md")]
fn clean_plan(world: &World, what: &str, most: usize) {
    let before = world.calls().len();
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    world.calls().iter().skip(before).for_each(|call| *names.entry(call.name()).or_default() += 1);
    let calls: usize = names.values().sum();
    println!("a clean plan of {what} is {calls} calls: {names:?}");
    assert!(calls <= most, "{calls} calls: {names:?}");
}

#[test]
fn applied_twice_nothing_happens_and_a_change_touches_nothing_else() {
    let world = World::new(1);
    world.deploy(&["apply", "--yes"]).succeeds();
    let there = world.inventory();
    assert_eq!(there["services"], serde_json::json!(["workshop"]));
    assert_eq!(there["databases"], serde_json::json!(["workshop"]));

    world.forget_calls();
    world.deploy(&["apply", "--yes"]).succeeds();
    clean_plan(&world, "the ECS target", PLAN);
    world.deploy(&["drift"]).succeeds();
    assert_eq!(changes(&world), Vec::<String>::new());

    world.edit("CODER_TELEMETRY_ENABLE = \"false\"", "CODER_TELEMETRY_ENABLE = \"true\"");
    world.deploy(&["plan", "--detailed-exitcode"]).exits(2);
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(changes(&world), ["ecs:RegisterTaskDefinition", "ecs:UpdateService"]);

    world.forget_calls();
    world.image("v2.28.4", "");
    world.deploy(&["apply", "--yes", "--only", "app"]).succeeds();
    // And back, though its tag is in the repository already, and forth again.
    world.image("v2.28.3", "");
    world.deploy(&["apply", "--yes", "--only", "app"]).succeeds();
    world.forget_calls();
    world.image("v2.28.4", "");
    world.deploy(&["apply", "--yes", "--only", "app"]).succeeds();
    let changed = changes(&world);
    assert!(changed.iter().all(|c| c.starts_with("ecr:") || c.starts_with("ecs:")), "{changed:?}");
    assert_eq!(changed.iter().filter(|c| *c == "ecs:RegisterTaskDefinition").count(), 1);
    assert_eq!(changed.iter().filter(|c| *c == "ecs:UpdateService").count(), 1);

    world.forget_calls();
    world.edit("[ecs.alarms.database-space]\nwatch = \"database-free-gib\"\nbelow = 5.0\n", "");
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(changes(&world), ["monitoring:DeleteAlarms"]);
    let status = world.deploy(&["status"]).succeeds();
    assert!(status.contains("https://coder.example.com") && status.contains("workshop:5"), "{status}");
}

#[test]
fn what_changes_behind_our_back_is_named_and_repaired() {
    let world = World::new(2);
    world.deploy(&["apply", "--yes"]).succeeds();
    let before = world.inventory();
    world.boto3(
        "ecs = boto3.client('ecs')\n\
         ecs.delete_service(cluster='workshop', service='workshop', force=True)\n\
         ec2 = boto3.client('ec2')\n\
         group = [g for g in ec2.describe_security_groups()['SecurityGroups'] if g['GroupName'] == 'workshop-database'][0]\n\
         rules = ec2.describe_security_group_rules(Filters=[{'Name': 'group-id', 'Values': [group['GroupId']]}])\n\
         rule = [r for r in rules['SecurityGroupRules'] if not r['IsEgress']][0]\n\
         front = [g for g in ec2.describe_security_groups()['SecurityGroups'] if g['GroupName'] == 'workshop-service'][0]\n\
         ec2.authorize_security_group_ingress(GroupId=front['GroupId'], IpProtocol='tcp', FromPort=22, ToPort=22, CidrIp='0.0.0.0/0')\n\
         ec2.revoke_security_group_ingress(GroupId=group['GroupId'], SecurityGroupRuleIds=[rule['SecurityGroupRuleId']])\n\
         vpc = [v for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']][0]\n\
         ec2.create_tags(Resources=[vpc['VpcId']], Tags=[{'Key': 'team', 'Value': 'somebody else'}])\n",
    );
    let drift = world.deploy(&["drift"]).exits(2);
    for address in ["app/service", "security/database-in", "ingress tcp 22 from 0.0.0.0/0", "network/vpc"] {
        assert!(drift.contains(address), "{address} is missing in\n{drift}");
    }
    world.deploy(&["apply", "--yes"]).succeeds();
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    assert_eq!(world.inventory(), before);
}

#[test]
fn an_image_that_does_not_work_fails_with_its_reason_and_the_old_one_goes_on() {
    let world = World::new(3);
    world.deploy(&["apply", "--yes"]).succeeds();
    let serving = world.serving();
    for (version, behaviour, reasons) in [
        // The program's own words, from its log.
        ("v3.0.0", "crash", ["exit code 1", "this image crashes on purpose"]),
        ("v3.0.1", "unhealthy", ["health check", "last lines of coder"]),
    ] {
        world.image(version, behaviour);
        let failure = world.deploy(&["apply", "--yes"]).exits(100);
        assert!(reasons.iter().all(|r| failure.contains(r)), "{behaviour}: {failure}");
        assert_eq!(world.serving(), serving, "{behaviour}");
    }
    // An image that is not there at all.
    world.edit("source = \"image\"\n", &format!("digest = \"sha256:{}\"\n", "0".repeat(64)));
    let refused = world.deploy(&["apply", "--yes"]).exits(101);
    assert!(refused.contains("ECR does not have it"), "{refused}");
    let failure = world.deploy(&["apply", "--yes", "--skip-preflight"]).exits(100);
    assert!(failure.contains("CannotPullContainer"), "{failure}");
    assert_eq!(world.serving(), serving);
}

#[test]
fn a_saved_plan_is_applied_as_it_is_or_not_at_all() {
    let world = World::new(6);
    world.deploy(&["apply", "--yes"]).succeeds();
    world.edit("CODER_TELEMETRY_ENABLE = \"false\"", "CODER_TELEMETRY_ENABLE = \"true\"");
    let saved = world.deploy(&["plan", "--output", "plan.json"]).succeeds();
    let digest = saved.split("its digest is ").nth(1).unwrap().split('.').next().unwrap().to_owned();
    let why = world.deploy(&["why", "app/service"]).succeeds();
    assert!(why.contains("from app/task#arn, not known yet: `app/task` is"), "{why}");
    let markdown = world.deploy(&["plan", "--markdown"]).succeeds();
    assert!(markdown.contains("### workshop") && markdown.contains("`app/service`"), "{markdown}");

    world.forget_calls();
    let scaled = |count: u32| {
        world.boto3(&format!(
            "boto3.client('ecs').update_service(cluster='workshop', service='workshop', desiredCount={count})"
        ));
    };
    scaled(2);
    let theirs = changes(&world);
    let moved = world.deploy(&["apply", "--yes", "plan.json"]).exits(101);
    assert!(
        moved.contains("app/service") && moved.contains("has changed since the plan was made"),
        "{moved}"
    );
    assert_eq!(changes(&world), theirs);
    scaled(1);

    world.forget_calls();
    world.deploy(&["apply", "--yes", "plan.json", "--digest", &"0".repeat(64)]).exits(101);
    world.deploy(&["apply", "--yes", "plan.json", "--digest", &digest]).succeeds();
    assert_eq!(changes(&world), ["ecs:RegisterTaskDefinition", "ecs:UpdateService"]);
    let again = world.deploy(&["apply", "--yes", "plan.json"]).exits(101);
    assert!(again.contains("was to be changed, and is not any more"), "{again}");
    assert_eq!(changes(&world).len(), 2);
}

#[test]
fn destroy_wants_a_permit_for_the_database_and_leaves_a_snapshot() {
    let world = World::new(4);
    let empty = world.inventory();
    world.deploy(&["apply", "--yes"]).succeeds();
    let refused = world.deploy(&["destroy", "--yes"]).exits(101);
    assert!(refused.contains("--permit database/instance"), "{refused}");
    assert_eq!(world.inventory()["databases"], serde_json::json!(["workshop"]));
    let permits = ["database/instance", "database/password", "database/url", "security/key", "registry"];
    let mut flags = vec!["destroy", "--yes"];
    permits.iter().for_each(|p| flags.extend(["--permit", p]));
    world.deploy(&flags).succeeds();
    let mut left = world.inventory();
    assert_eq!(left["snapshots"], 2, "the one that was there before the deletion, and the final one");
    left["snapshots"] = Json::from(0);
    assert_eq!(left, empty);
}

#[test]
fn killed_at_any_moment_it_ends_in_the_same_place() {
    let reference = World::new(5);
    reference.deploy(&["apply", "--yes"]).succeeds();
    let wanted = reference.inventory();
    // The moments are counted in changes, so they are spread over the whole run whatever the machine does.
    let total = reference.mutations().len();
    let moments: Vec<(u64, usize)> = (0..20).map(|i| (100 + i as u64, 1 + i * (total - 1) / 19)).collect();
    // A few at once: a run mostly waits.
    for some in moments.chunks(4) {
        std::thread::scope(|scope| {
            for (account, moment) in some {
                let wanted = &wanted;
                scope.spawn(move || {
                    let world = World::new(*account);
                    world.kill_after(*moment, Duration::from_secs(120));
                    world.deploy(&["apply", "--yes"]).succeeds();
                    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
                    assert_eq!(
                        differences(&world.inventory(), wanted),
                        BTreeMap::new(),
                        "killed after {moment} changes"
                    );
                });
            }
        });
    }
}

/// What differs, by name.
fn differences(found: &Json, wanted: &Json) -> BTreeMap<String, (Json, Json)> {
    let (Some(found), Some(wanted)) = (found.as_object(), wanted.as_object()) else { return BTreeMap::new() };
    wanted
        .iter()
        .filter(|(k, v)| found.get(*k) != Some(*v))
        // A revision that was registered and never answered for is there twice, which harms nobody.
        .filter(|(k, _)| *k != "revisions")
        .map(|(k, v)| (k.clone(), (found.get(k).cloned().unwrap_or_default(), v.clone())))
        .collect()
}

#[test]
fn a_journal_of_another_account_is_refused() {
    let world = World::new(8);
    world.deploy(&["apply", "--yes", "--only", "network/*"]).succeeds();
    let other = World::new(7);
    other.take_journal(&world);
    let refused = other.deploy(&["plan"]).exits(64);
    assert!(refused.contains("000000000008") && refused.contains("000000000007"), "{refused}");
}
