//! Working on what runs: logs, one-off tasks, going back, rehearsals.

use crate::world::World;
use serde_json::Value as Json;
use std::time::Duration;

/// Tasks that run or are about to, whoever started them.
fn tasks(world: &World) -> Vec<Json> {
    let script = "import json\n\
        ecs = boto3.client('ecs')\n\
        arns = ecs.list_tasks(cluster='workshop')['taskArns']\n\
        tasks = ecs.describe_tasks(cluster='workshop', tasks=arns, include=['TAGS'])['tasks'] if arns else []\n\
        print(json.dumps([{k: t.get(k) for k in ('startedBy', 'group', 'taskDefinitionArn', 'tags', 'overrides')} for t in tasks]))";
    serde_json::from_str(&world.boto3(script)).unwrap()
}

/// The document at the start of what a command printed.
fn first(text: &str) -> Json {
    serde_json::Deserializer::from_str(text).into_iter().next().unwrap().unwrap()
}

#[test]
fn logs_are_printed_in_order_and_a_command_runs_beside_the_service() {
    let world = World::new(30);
    let nothing = world.deploy(&["logs"]).exits(69);
    assert!(nothing.contains("`workshop` has no service yet"), "{nothing}");
    world.deploy(&["apply", "--yes"]).succeeds();

    let all = world.deploy(&["logs", "--since", "1h"]).succeeds();
    assert!(all.contains("Your Self-Hosted Remote Development Platform"), "{all}");
    assert!(all.contains("View the Web UI: https://coder.example.com"), "{all}");
    let some = world.deploy(&["logs", "--since", "1h", "--filter", "Web UI"]).succeeds();
    assert!(some.contains("View the Web UI") && !some.contains("Self-Hosted"), "{some}");
    let other = world.deploy(&["logs", "--since", "1h", "--task", "0123456789"]).succeeds();
    assert!(other.contains("nothing was logged") && !other.contains("Web UI"), "{other}");
    let lines = world.deploy(&["logs", "--since", "1h", "--json"]).succeeds();
    let lines: Vec<Json> = lines.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let at: Vec<&str> = lines.iter().map(|l| l["at"].as_str().unwrap()).collect();
    assert!(lines.len() > 2 && at.is_sorted(), "{lines:?}");
    assert_eq!(lines[0]["stream"], format!("coder/coder/{}", lines[0]["task"].as_str().unwrap()));

    world.forget_calls();
    let ran = world.deploy(&["run", "--env", "WHO=me", "--", "exit", "7"]).exits(7);
    assert!(ran.contains("command: exit 7") && ran.contains("\"WHO\""), "{ran}");
    let changed: Vec<String> = world.mutations().into_iter().map(|c| c.name()).collect();
    assert_eq!(changed, ["ecs:RunTask"]);
    let document = world.deploy(&["run", "--json", "--", "create-admin-user"]).succeeds();
    let document = first(&document);
    assert_eq!(document["exit_code"], 0);
    assert_eq!(document["result"]["container_exit_code"], 0);
    assert!(document["result"]["log"].as_array().unwrap().iter().any(|l| l == "command: create-admin-user"));

    let refused = world.deploy(&["run", "--cpu", "300", "--", "exit"]).exits(64);
    assert!(refused.contains("Fargate has no tasks with 300 CPU units"), "{refused}");
    assert_eq!(tasks(&world).len(), 1, "only the service's");
}

#[test]
fn a_command_that_is_interrupted_leaves_no_task() {
    let world = World::new(31);
    world.deploy(&["apply", "--yes"]).succeeds();
    let mut child = world.start(&["run", "--", "sleep", "600"]);
    let ours = || {
        tasks(&world).into_iter().find(|t| t["startedBy"].as_str().unwrap_or("").starts_with("causeway/run/"))
    };
    let task = (0..120).find_map(|_| {
        std::thread::sleep(Duration::from_millis(500));
        ours()
    });
    let task = task.expect("the task has started");
    assert!(task["tags"].to_string().contains("causeway:run-by"), "{task}");
    assert_eq!(child.interrupt(), Some(130));
    assert_eq!(ours(), None);
}
