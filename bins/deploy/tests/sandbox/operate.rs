//! Working on what runs: logs, one-off tasks, going back, rehearsals.

use crate::{plans, world::World};
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

    // Another entry point takes a revision of its own, and leaves none.
    let revisions = world.inventory()["revisions"].clone();
    world.forget_calls();
    let ran = world.deploy(&["run", "--entrypoint", "/bin/sh", "--json", "--", "exit", "7"]).exits(7);
    let definition = first(&ran)["result"]["task_definition"].as_str().unwrap().to_owned();
    assert!(definition.contains("/workshop-run:1"), "{definition}");
    let changed: Vec<String> = world.mutations().into_iter().map(|c| c.name()).collect();
    assert_eq!(changed, ["ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:DeregisterTaskDefinition"]);
    assert_eq!(world.inventory()["revisions"], revisions);
    let entry = world.boto3(&format!(
        "d = boto3.client('ecs').describe_task_definition(taskDefinition='{definition}')['taskDefinition']\n\
         print(d['status'], d['containerDefinitions'][0]['entryPoint'])"
    ));
    assert_eq!(entry.trim(), "INACTIVE ['/bin/sh']");

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

/// The number of the revision whose tasks run.
fn serving(world: &World) -> String {
    let serving = world.serving();
    let arn = serving[0].as_str().unwrap_or_default().to_owned();
    arn.rsplit(':').next().unwrap().to_owned()
}

#[test]
fn rollback_goes_to_what_ran_and_the_next_apply_goes_forward() {
    let world = World::new(32);
    world.deploy(&["apply", "--yes"]).succeeds();
    let refused = world.deploy(&["rollback", "--yes"]).exits(101);
    assert!(refused.contains("there is nothing to go back to from workshop:1"), "{refused}");
    world.edit("CODER_TELEMETRY_ENABLE = \"false\"", "CODER_TELEMETRY_ENABLE = \"true\"");
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(serving(&world), "2");

    // The file may have moved on meanwhile, and secrets need not be at hand: only the revision changes.
    world.edit("count = 1\n", "count = 2\n");
    world.forget_calls();
    let told = world.deploy(&["rollback", "--yes"]).succeeds();
    assert!(told.contains("the next `deploy apply` goes forward again"), "{told}");
    assert!(told.contains("digest = \"sha256:"), "{told}");
    let changed: Vec<String> = world.mutations().into_iter().map(|c| c.name()).collect();
    assert_eq!(changed, ["ecs:UpdateService"]);
    assert_eq!((serving(&world).as_str(), world.serving().as_array().unwrap().len()), ("1", 1));
    world.deploy(&["drift"]).succeeds();
    world.edit("count = 2\n", "count = 1\n");
    let forward = world.deploy(&["plan", "--detailed-exitcode"]).exits(2);
    assert!(forward.contains("app/service") && forward.contains("1 to change"), "{forward}");
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(serving(&world), "2");

    // A revision that never came to run is not gone back to, and what the journal began is settled.
    world.image("v2.28.3", "crash");
    world.deploy(&["apply", "--yes"]).exits(100);
    let never = world.deploy(&["rollback", "--yes", "--to", "3"]).exits(101);
    assert!(never.contains("workshop:3 never came to run completely") && never.contains("those did: 1, 2"));
    // Where plans are signed, so is this one.
    world.write("key.pem", plans::KEY);
    world.edit("[guard]", &format!("[guard]\nplan_signers = ['''{}''']", plans::PUBLIC));
    let unsigned = world.deploy(&["rollback", "--yes"]).exits(101);
    assert!(unsigned.contains("[signature]") && unsigned.contains("rollback --sign KEYFILE"), "{unsigned}");
    world.deploy(&["rollback", "--yes", "--sign", "key.pem"]).succeeds();
    assert_eq!(serving(&world), "2");
    let status = world.deploy(&["status"]).succeeds();
    assert!(!status.contains("Unfinished"), "{status}");
}

#[test]
fn rollback_across_versions_needs_somebody_who_knows_and_takes_a_snapshot() {
    let world = World::new(33);
    world.deploy(&["apply", "--yes"]).succeeds();
    world.image("v2.29.0", "");
    world.deploy(&["apply", "--yes"]).succeeds();
    let before = world.inventory();
    world.forget_calls();
    let refused = world.deploy(&["rollback", "--yes"]).exits(101);
    assert!(refused.contains("workshop:1 is v2.28.3, and v2.29.0 may have run since"), "{refused}");
    assert!(refused.contains("--across-versions"), "{refused}");
    assert!(world.mutations().is_empty());

    world.deploy(&["rollback", "--yes", "--across-versions"]).succeeds();
    assert_eq!(serving(&world), "1");
    let changed: Vec<String> = world.mutations().into_iter().map(|c| c.name()).collect();
    assert_eq!(changed, ["rds:CreateDBSnapshot", "ecs:UpdateService"]);
    // The snapshot stays, and so does everything else.
    world.deploy(&["apply", "--yes"]).succeeds();
    let mut after = world.inventory();
    assert_eq!(after["snapshots"], 1);
    after["snapshots"] = before["snapshots"].clone();
    assert_eq!(after, before);

    // An image that is gone cannot be gone back to.
    world.boto3(
        "ecr = boto3.client('ecr')\n\
         ids = [i for i in ecr.list_images(repositoryName='coder')['imageIds'] if i.get('imageTag') == 'v2.28.3']\n\
         ecr.batch_delete_image(repositoryName='coder', imageIds=[{'imageDigest': ids[0]['imageDigest']}])",
    );
    let gone = world.deploy(&["rollback", "--yes", "--across-versions"]).exits(101);
    assert!(gone.contains("workshop:1 is passed over") && gone.contains("not in the repository"), "{gone}");
    assert_eq!(serving(&world), "2");
}

#[test]
fn a_rehearsal_that_fails_leaves_the_service_alone() {
    let world = World::new(34);
    world.edit("[ecs.network]\n", "[ecs.release]\nrehearse = true\n\n[ecs.network]\n");
    world.deploy(&["apply", "--yes"]).succeeds();
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    let changes = || -> Vec<String> { world.mutations().into_iter().map(|c| c.name()).collect() };

    world.edit("CODER_TELEMETRY_ENABLE = \"false\"", "CODER_TELEMETRY_ENABLE = \"true\"");
    let plan = world.deploy(&["plan"]).succeeds();
    assert!(plan.contains("? app/rehearsal"), "{plan}");
    world.forget_calls();
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(
        changes(),
        [
            "ecs:RegisterTaskDefinition",
            "ecs:RunTask",
            "elasticloadbalancing:RegisterTargets",
            "elasticloadbalancing:DeregisterTargets",
            "ecs:StopTask",
            "ecs:TagResource",
            "ecs:UpdateService"
        ]
    );
    assert_eq!(serving(&world), "2");

    for (behaviour, said) in [
        (
            "unhealthy",
            ["the rehearsal of workshop:3 failed, and the service was not touched", "health checks"],
        ),
        ("crash", ["the rehearsal of workshop:4 failed", "this image crashes on purpose"]),
    ] {
        world.image("v2.28.3", behaviour);
        world.forget_calls();
        let failed = world.deploy(&["apply", "--yes"]).exits(100);
        assert!(said.iter().all(|text| failed.contains(text)), "{failed}");
        assert!(!changes().contains(&"ecs:UpdateService".to_owned()), "{:?}", changes());
        assert_eq!((serving(&world).as_str(), tasks(&world).len()), ("2", 1));
    }

    // Another version would migrate the database while the running one uses it.
    world.image("v2.29.0", "");
    world.forget_calls();
    let refused = world.deploy(&["apply", "--yes"]).exits(101);
    assert!(refused.contains("would migrate the database that v2.28.3 still uses"), "{refused}");
    let plan = world.deploy(&["plan"]).succeeds();
    assert!(plan.contains("--allow-migration"), "{plan}");
    assert!(changes().is_empty());
    let plan = ["plan", "--only", "app", "--allow-migration", "--output", "plan.json"];
    let plan = world.deploy(&plan).succeeds();
    assert!(plan.contains("Permitted: the rehearsal may migrate the database") && !plan.contains("refuse"));
    assert!(changes().is_empty());
    // What was permitted stands in the plan.
    world.deploy(&["apply", "--yes", "plan.json"]).succeeds();
    let all = changes();
    let at = |name: &str| all.iter().position(|c| c == name).unwrap_or_else(|| panic!("{name} in {all:?}"));
    assert!(at("rds:CreateDBSnapshot") < at("ecs:RunTask") && at("ecs:RunTask") < at("ecs:UpdateService"));
}

/// A stand-in for AWS's plugin: it writes down what it was given, and ends with `code`.
fn plugin(world: &World, version: &str, code: u8) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let folder = world.folder().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let told = folder.join("told");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo {version}; exit 0; fi\n\
         {{ for a in \"$@\"; do echo \"$a\"; done; echo \"$AWS_SSM_START_SESSION_RESPONSE\"; }} > {}\nexit {code}\n",
        told.display()
    );
    std::fs::write(folder.join("session-manager-plugin"), script).unwrap();
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.join("session-manager-plugin"), mode).unwrap();
    told
}

#[test]
fn exec_opens_a_session_and_hands_it_to_the_plugin() {
    let world = World::new(35);
    world.deploy(&["apply", "--yes"]).succeeds();
    let none = world.deploy(&["exec", "--", "/bin/sh"]).exits(69);
    assert!(none.contains("`session-manager-plugin` is not installed"), "{none}");
    plugin(&world, "1.2.398.0", 0);
    let old = world.deploy(&["exec", "--", "/bin/sh"]).exits(69);
    assert!(old.contains("version 1.2.398.0, and 1.2.497 is needed"), "{old}");
    let told = plugin(&world, "1.2.707.0", 0);
    let off = world.deploy(&["exec", "--", "/bin/sh"]).exits(69);
    assert!(off.contains("started without ECS Exec") && off.contains("execute_command = true"), "{off}");
    assert!(!told.exists());

    world.edit("count = 1\n", "count = 1\nexecute_command = true\n");
    world.deploy(&["apply", "--yes"]).succeeds();
    world.forget_calls();
    world.deploy(&["exec", "--", "/bin/sh", "-c", "echo 'a b'"]).succeeds();
    assert_eq!(world.mutations().iter().map(|c| c.name()).collect::<Vec<_>>(), ["ecs:ExecuteCommand"]);
    let text = std::fs::read_to_string(&told).unwrap();
    let told: Vec<&str> = text.lines().collect();
    assert_eq!(told[..4], ["AWS_SSM_START_SESSION_RESPONSE", "us-east-1", "StartSession", ""]);
    assert!(told[4].starts_with("{\"Target\":\"ecs:workshop_"), "{text}");
    assert_eq!(told[5], "https://ssm.us-east-1.amazonaws.com");
    let response: Json = serde_json::from_str(told[6]).unwrap();
    assert!(response["SessionId"].as_str().unwrap().starts_with("ecs-execute-command-"), "{text}");

    let other = world.deploy(&["exec", "--task", "0123", "--", "ls"]).exits(69);
    assert!(other.contains("there is no task 0123"), "{other}");
    plugin(&world, "1.2.707.0", 3);
    world.deploy(&["exec", "--", "ls"]).exits(100);
    world.deploy(&["exec", "--json", "--", "ls"]).exits(64);
}
