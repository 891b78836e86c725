//! A journal in a bucket: made, written, shared, moved and lost.

use crate::world::World;
use causeway_sandbox::gateway::{Act, Rule};
use serde_json::Value as Json;

/// An account whose journal is in `bucket`.
fn in_bucket(number: u64, bucket: &str) -> World {
    let world = World::new(number);
    world.edit("[guard]", &format!("[state]\ns3 = {{ bucket = \"{bucket}\" }}\n\n[guard]"));
    world
}

const NETWORK: [&str; 4] = ["apply", "--yes", "--only", "network/*"];

#[test]
fn a_journal_in_a_bucket_is_made_written_read_and_locked() {
    let world = in_bucket(20, "journals-20");
    let missing = world.deploy(&["plan"]).exits(69);
    assert!(
        missing.contains("`journals-20` does not exist") && missing.contains("init --bootstrap"),
        "{missing}"
    );
    world.deploy(&["apply", "--yes"]).exits(69);
    assert_eq!(world.mutations().len(), 0);

    let made = world.deploy(&["init", "--bootstrap"]).succeeds();
    assert!(made.contains("is made") && made.contains("s3://journals-20/workshop/ is ready"), "{made}");
    let again: Json =
        serde_json::from_str(&world.deploy(&["init", "--bootstrap", "--json"]).output()).unwrap();
    assert_eq!(again["result"]["journal"]["made"], false, "{again}");
    assert_eq!(again["result"]["journal"]["differs"], serde_json::json!([]), "{again}");
    let like = world.boto3(
        "s3 = boto3.client('s3')\n\
         b = {'Bucket': 'journals-20'}\n\
         print(s3.get_bucket_versioning(**b)['Status'])\n\
         print(all(s3.get_public_access_block(**b)['PublicAccessBlockConfiguration'].values()))\n\
         print('aws:SecureTransport' in s3.get_bucket_policy(**b)['Policy'])\n",
    );
    assert_eq!(like.lines().collect::<Vec<_>>(), ["Enabled", "True", "True"]);

    world.deploy(&NETWORK).succeeds();
    world.forget_calls();
    world.deploy(&NETWORK).succeeds();
    world.deploy(&["plan", "--only", "network/*", "--detailed-exitcode"]).succeeds();
    assert_eq!(
        world.mutations().len(),
        0,
        "neither the cloud nor the journal is written when nothing changes"
    );
    assert!(!world.has_local_journal());
    let encrypted = world.boto3(
        "s3 = boto3.client('s3')\n\
         keys = [o['Key'] for o in s3.list_objects_v2(Bucket='journals-20')['Contents']]\n\
         print({s3.head_object(Bucket='journals-20', Key=k)['ServerSideEncryption'] for k in keys})",
    );
    assert_eq!(encrypted.trim(), "{'AES256'}");
    assert!(world.deploy(&["state", "list"]).succeeds().contains("network/vpc"));
    assert!(world.deploy(&["state", "show", "network/vpc"]).succeeds().contains("aws.ec2.vpc"));
    let history = world.deploy(&["history"]).succeeds();
    assert!(history.contains("+ network/vpc ") && history.contains("created @4"), "{history}");
    assert!(world.deploy(&["diff", "@0"]).succeeds().contains("network/vpc"));
    assert!(world.deploy(&["blame", "network/vpc.cidr_block"]).succeeds().contains("when it was created"));
    assert!(world.deploy(&["status"]).succeeds().contains("s3://journals-20/workshop/"));

    // Somebody at work, elsewhere.
    assert!(world.deploy(&["state", "unlock"]).succeeds().contains("Nobody is at work"));
    world.boto3(
        "import json, datetime\n\
         until = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)).isoformat()\n\
         paper = {'who': 'ada@elsewhere, process 7', 'since': '2026-11-21T20:00:00Z', 'until': until}\n\
         boto3.client('s3').put_object(Bucket='journals-20', Key='workshop/lease', Body=json.dumps(paper).encode())\n",
    );
    let held = world.deploy(&NETWORK).exits(69);
    assert!(held.contains("ada@elsewhere, process 7, since 2026-11-21 20:00:00 UTC"), "{held}");
    world.deploy(&["plan"]).succeeds();
    let refused = world.deploy(&["state", "unlock"]).exits(101);
    assert!(refused.contains("ada@elsewhere, process 7") && refused.contains("--force"), "{refused}");
    assert!(world.deploy(&["state", "unlock", "--force"]).succeeds().contains("ada@elsewhere, process 7"));
    world.deploy(&NETWORK).succeeds();
}

#[test]
fn a_bucket_that_is_missing_is_made_by_the_first_apply() {
    let world = World::new(24);
    world.edit("[guard]", "[state]\ns3 = { bucket = \"journals-24\", create = true }\n\n[guard]");
    let planned = world.deploy(&["plan", "--only", "network/*"]).succeeds();
    assert!(planned.contains("`journals-24` for the journal does not exist yet"), "{planned}");
    assert!(planned.contains("+ network/vpc"), "{planned}");
    assert_eq!(world.mutations().len(), 0);
    let whole = world.deploy(&["plan"]).succeeds();
    assert!(whole.contains("a month, and $0 before") && whole.contains("Of that guessed: "), "{whole}");
    let applied = world.deploy(&NETWORK).succeeds();
    assert!(applied.contains("The bucket `journals-24` in us-east-1 is made"), "{applied}");
    let like = world.boto3("print(boto3.client('s3').get_bucket_versioning(Bucket='journals-24')['Status'])");
    assert_eq!(like.trim(), "Enabled");
    assert!(world.deploy(&["state", "list"]).succeeds().contains("network/vpc"));
    assert!(!world.has_local_journal());
    world.forget_calls();
    let again = world.deploy(&["plan", "--only", "network/*", "--detailed-exitcode"]).succeeds();
    assert!(!again.contains("journals-24"), "{again}");
    world.deploy(&NETWORK).succeeds();
    assert_eq!(world.mutations().len(), 0);

    // Whoever deletes the bucket gets nothing twice.
    world.boto3(
        "s3 = boto3.resource('s3').Bucket('journals-24')\n\
         s3.object_versions.delete()\n\
         s3.delete()\n",
    );
    world.forget_calls();
    for command in [&NETWORK[..], &["plan"]] {
        let lost = world.deploy(command).exits(101);
        assert!(lost.contains("its journal is lost") && lost.contains("state rebuild"), "{lost}");
    }
    assert_eq!(world.mutations().len(), 0);
}

#[test]
fn whatever_ends_a_command_the_next_one_goes_on_at_once() {
    let world = in_bucket(23, "journals-23");
    world.deploy(&["init", "--bootstrap"]).succeeds();
    let nobody = || assert!(world.deploy(&["state", "unlock"]).succeeds().contains("Nobody is at work"));
    let denied = world.rule(Rule::new("ec2:DescribeAvailabilityZones", Act::Denied));
    for command in [&["plan"][..], &["preflight"], &["iam-policy"], &["why", "network/vpc"], &NETWORK] {
        world.deploy(command).exits(69);
        nobody();
    }
    world.unset(denied);
    let denied = world.rule(Rule::new("ec2:CreateInternetGateway", Act::Denied));
    world.deploy(&NETWORK).exits(100);
    nobody();
    world.unset(denied);
    world.deploy(&NETWORK).succeeds();
    nobody();
}

#[test]
fn a_journal_moves_to_a_bucket_and_back_and_nobody_goes_on_from_what_it_left() {
    let world = World::new(21);
    world.deploy(&["state", "move", "--to", "s3"]).exits(64);
    world.deploy(&NETWORK).succeeds();
    let deeds = || {
        let history: Json = serde_json::from_str(&world.deploy(&["history", "--json"]).output()).unwrap();
        history["result"]["runs"][0]["deeds"].clone()
    };
    let before = deeds();
    let config = "[state]\ns3 = { bucket = \"journals-21\" }\n\n";
    world.edit("[guard]", &format!("{config}[guard]"));
    let behind = world.deploy(&["plan"]).exits(101);
    assert!(behind.contains("goes on in") && behind.contains("state move --to s3"), "{behind}");
    world.deploy(&["state", "move", "--to", "s3"]).exits(69);
    world.deploy(&["init", "--bootstrap"]).succeeds();
    let moved = world.deploy(&["state", "move", "--to", "s3"]).succeeds();
    assert!(moved.contains("goes on in s3://journals-21/workshop/"), "{moved}");
    assert_eq!(deeds(), before);
    world.forget_calls();
    world.deploy(&["plan", "--only", "network/*", "--detailed-exitcode"]).succeeds();
    assert_eq!(world.mutations().len(), 0);

    // What was left behind.
    world.edit(config, "");
    let left = world.deploy(&["apply", "--yes"]).exits(101);
    assert!(left.contains("was moved to s3://journals-21/workshop/"), "{left}");
    world.deploy(&["state", "list"]).exits(101);

    world.edit("[guard]", &format!("{config}[guard]"));
    world.deploy(&["state", "move", "--to", "folder"]).succeeds();
    world.deploy(&["plan"]).exits(101);
    world.edit(config, "");
    world.deploy(&["plan", "--only", "network/*", "--detailed-exitcode"]).succeeds();
    assert_eq!(deeds(), before);
}

#[test]
fn a_journal_that_was_deleted_is_made_again_from_tags_and_names() {
    let world = in_bucket(22, "journals-22");
    world.deploy(&["init", "--bootstrap"]).succeeds();
    world.deploy(&["apply", "--yes"]).succeeds();
    let there = world.inventory();
    world.deploy(&["state", "rebuild", "--yes"]).exits(101);
    world.boto3(
        "s3 = boto3.resource('s3')\n\
         s3.Bucket('journals-22').object_versions.delete()\n\
         s3.Bucket('journals-22').objects.delete()\n",
    );
    assert!(world.deploy(&["state", "list"]).succeeds().contains("knows no resources"));
    world.forget_calls();
    let told = world.deploy(&["state", "rebuild", "--yes"]).succeeds();
    for address in ["network/vpc", "security/key", "database/instance", "app/service", "registry"] {
        assert!(told.contains(&format!("= {address} ")), "{address} is missing in\n{told}");
    }
    let changes: Vec<String> = world.mutations().into_iter().map(|c| c.name()).collect();
    assert!(changes.iter().all(|c| c == "s3:PutObject"), "{changes:?}");
    let plan = world.deploy(&["plan", "--detailed-exitcode"]);
    eprintln!("{told}");
    plan.succeeds();
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(world.inventory(), there);
}
