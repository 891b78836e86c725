//! Plans that somebody approved, and times in which none is applied.

use crate::world::World;
use serde_json::Value as Json;
use std::fs;

/// RFC 8410, 10.3.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    -----END PRIVATE KEY-----\n";
pub(crate) const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PUBLIC KEY-----\n";
/// Of somebody else.
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA4FXD5wLU4SOIIpTC4wNagQBalmkq56VTLjC7bN7JxG other\n";

fn signed(number: u64) -> World {
    let world = World::new(number);
    for (name, text) in [("key.pem", KEY), ("key.pub", PUBLIC), ("other.pub", OTHER)] {
        fs::write(world.folder().join(name), text).unwrap();
    }
    world.edit("[guard]", &format!("[guard]\nplan_signers = ['''{PUBLIC}''']"));
    world
}

#[test]
fn where_plans_are_signed_nothing_else_is_applied() {
    let world = signed(60);
    let network = ["--only", "network/*"];
    let refused = world.deploy(&[&["apply", "--yes"], &network[..]].concat()).exits(101);
    assert!(refused.contains("[signature]") && refused.contains("--sign KEY"), "{refused}");
    world.deploy(&[&["plan", "--output", "unsigned.json"], &network[..]].concat()).succeeds();
    world.deploy(&["apply", "--yes", "unsigned.json"]).exits(101);

    let plan = [&["plan", "--output", "plan.json", "--sign", "key.pem"], &network[..]].concat();
    let told = world.deploy(&plan).succeeds();
    assert!(told.contains("It is signed with SHA256:"), "{told}");
    let text = fs::read_to_string(world.folder().join("plan.json")).unwrap();
    let altered = text.replacen("10.0.0.0", "10.9.0.0", 1);
    assert_ne!(altered, text);
    fs::write(world.folder().join("altered.json"), altered).unwrap();
    let refused = world.deploy(&["apply", "--yes", "altered.json"]).exits(101);
    assert!(refused.contains("altered after it was made"), "{refused}");
    let refused = world.deploy(&["apply", "--yes", "plan.json", "--verify-with", "other.pub"]).exits(101);
    assert!(refused.contains("is signed with SHA256:"), "{refused}");
    let refused = world.deploy(&["apply", "--yes", "plan.json", "--verify-with", "key.pem"]).exits(64);
    assert!(refused.contains("it is a private key") && !refused.contains("MC4C"), "{refused}");
    assert_eq!(world.mutations().len(), 0);
    world.deploy(&["apply", "--yes", "plan.json", "--verify-with", "key.pub"]).succeeds();
    assert_ne!(world.mutations().len(), 0);

    // What it touches and somebody changed meanwhile is named, with what it was.
    let destroy = ["plan", "--destroy", "--output", "destroy.json", "--sign", "key.pem"];
    world.deploy(&destroy).succeeds();
    world.boto3(
        "ec2 = boto3.client('ec2')\n\
         vpc = [v for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']][0]\n\
         ec2.create_tags(Resources=[vpc['VpcId']], Tags=[{'Key': 'team', 'Value': 'somebody else'}])\n",
    );
    world.forget_calls();
    let refused = world.deploy(&["apply", "--yes", "destroy.json"]).exits(101);
    let change = "network/vpc  has changed since the plan was made: tags.team: \"platform\" -> \"somebody else\" [saved-plan]";
    assert!(refused.contains(change), "{refused}");
    world.deploy(&["destroy", "--yes"]).exits(101);
    assert_eq!(world.mutations().len(), 0);
    fs::remove_file(world.folder().join("destroy.json")).unwrap();
    world.deploy(&destroy).succeeds();
    world.deploy(&["apply", "--yes", "destroy.json"]).succeeds();
    let list = world.deploy(&["state", "list"]).succeeds();
    assert!(!list.contains("network/vpc"), "{list}");
}

#[test]
fn a_saved_plan_tells_what_it_permits_and_how_long_it_takes_and_needs_no_second_permission() {
    let world = World::new(63);
    world.deploy(&["apply", "--yes", "--only", "registry"]).succeeds();
    let destroy = |more: &[&str]| world.deploy(&[&["plan", "--destroy", "--output"][..], more].concat());
    let plan = destroy(&["bare.json"]).succeeds();
    assert!(plan.contains("`apply` would refuse this:") && !plan.contains("Permitted:"), "{plan}");
    let plan = destroy(&["plan.json", "--permit", "registry"]).succeeds();
    assert!(
        plan.contains("Permitted: `registry` may be deleted or replaced") && !plan.contains("would refuse"),
        "{plan}"
    );
    destroy(&["slip.json", "--permit", "regsitry"]).exits(64);
    world.forget_calls();
    let calls = world.calls().len();
    let shown = world.deploy(&["show", "plan.json"]).succeeds();
    for part in ["- registry", "Takes about", "Permitted: `registry`", "It is not signed.", "in AWS account"]
    {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    let shown: Json = serde_json::from_str(&world.deploy(&["show", "plan.json", "--json"]).output()).unwrap();
    assert_eq!(shown["result"]["permitted"]["data"], serde_json::json!(["registry"]), "{shown}");
    assert!(shown["result"]["estimate"]["p90_ms"].as_u64().unwrap() > 0, "{shown}");
    assert_eq!(world.calls().len(), calls, "nobody is asked");
    world.deploy(&["apply", "--yes", "bare.json"]).exits(101);
    assert_eq!(world.mutations().len(), 0);
    let applied = world.deploy(&["apply", "--yes", "plan.json"]).succeeds();
    assert!(applied.contains("Permitted: `registry`") && applied.contains("Takes about"), "{applied}");
    assert!(world.deploy(&["state", "list"]).succeeds().contains("knows no resources"));
}

#[test]
fn during_a_freeze_nothing_is_changed_without_a_reason() {
    let world = World::new(61);
    let freeze = "[[guard.freeze]]\nname = \"always\"\nzone = \"Asia/Tokyo\"\n\
                  days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\n[ecs]\n";
    world.edit("[ecs]\n", freeze);
    let apply = ["apply", "--yes", "--only", "network/vpc"];
    let planned = world.deploy(&["plan", "--only", "network/vpc"]).succeeds();
    assert!(planned.contains("`apply` would refuse this:") && planned.contains("[freeze]"), "{planned}");
    let refused = world.deploy(&apply).exits(101);
    assert!(refused.contains("(Asia/Tokyo)") && refused.contains("--during-freeze REASON"), "{refused}");
    world.deploy(&[&apply[..], &["--during-freeze", " "]].concat()).exits(64);
    assert_eq!(world.mutations().len(), 0);
    world.deploy(&[&apply[..], &["--during-freeze", "the lights are out"]].concat()).succeeds();
    let history = world.deploy(&["history"]).succeeds();
    assert!(history.contains("! overruled [freeze]: the lights are out"), "{history}");
}

#[test]
fn what_moves_in_the_file_stays_what_it_is() {
    let world = World::new(62);
    world.deploy(&["apply", "--yes", "--only", "network/vpc"]).succeeds();
    let id = "ec2 = boto3.client('ec2')\nprint([v['VpcId'] for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']])\n";
    let before = world.boto3(id);
    // The journal is as if it had been written when the VPC stood elsewhere.
    let journal = world.folder().join(".causeway/workshop/journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, text.replace("\"network/vpc\"", "\"net/vpc\"")).unwrap();
    world.boto3(
        "ec2 = boto3.client('ec2')\n\
         vpc = [v for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']][0]\n\
         ec2.create_tags(Resources=[vpc['VpcId']], Tags=[{'Key': 'causeway:address', 'Value': 'net/vpc'}])\n",
    );
    let moved = "[[moved]]\nfrom = \"net/*\"\nto = \"network/*\"\n\n[ecs]\n";
    world.edit("[ecs]\n", moved);
    world.forget_calls();
    let plan = world.deploy(&["plan", "--only", "network/vpc"]).succeeds();
    assert!(plan.contains("» network/vpc  (was `net/vpc`, and stays what it is)"), "{plan}");
    world.deploy(&["apply", "--yes", "--only", "network/vpc"]).succeeds();
    let changes: Vec<String> = world.mutations().into_iter().map(|c| c.name()).collect();
    assert_eq!(changes, ["ec2:CreateTags"]);
    assert_eq!(world.boto3(id), before);
    world.deploy(&["plan", "--only", "network/vpc", "--detailed-exitcode"]).succeeds();
}
