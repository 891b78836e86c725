//! The EKS target against the local cloud: a test for each row of what it has to have, named after the row. They check
//! what boto3 lists in the account, after an apply from empty, and none of our own code.
//!
//! Most look at one deployment of the example in three regions. Choices that it does not make are in a second one, in
//! one region, which is then changed; and in a third one with the NAT gateways of AWS.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod actions;
mod adopt;
mod cluster;
mod data;
#[path = "../sandbox/examples.rs"]
mod examples;
mod iam;
mod journal;
mod leftovers;
mod network;
mod preflight;
#[path = "../sandbox/world.rs"]
mod world;

use examples::{AI_CODER, SINGLE_REGION};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};
use world::World;

pub(crate) const OHIO: &str = "us-east-2";
pub(crate) const PROXIES: [&str; 2] = ["us-west-2", "eu-west-2"];
pub(crate) const REGIONS: [&str; 3] = [OHIO, PROXIES[0], PROXIES[1]];

/// A call: its name, its region, and whether it changes anything.
pub(crate) type Made = (String, String, bool);

/// What stands in the account of `world`.
fn listing(world: &World, regions: &[&str]) -> Json {
    let script = include_str!("listing.py");
    let script = format!("import sys\nsys.argv[1:] = {regions:?}\n{script}");
    serde_json::from_str(&world.boto3(&script)).unwrap()
}

/// What a command calls, in order.
fn calls(world: &World, flags: &[&str]) -> (String, Vec<Made>) {
    let before = world.calls().len();
    let told = world.deploy(flags).succeeds();
    (
        told,
        world.calls().into_iter().skip(before).map(|call| (call.name(), call.region, call.mutates)).collect(),
    )
}

fn outputs(world: &World) -> Json {
    let document: Json = serde_json::from_str(&world.stdout(&["outputs", "--json"])).unwrap();
    document["result"]["outputs"].clone()
}

/// `examples/ai-coder.toml` in an empty account.
pub(crate) struct Example {
    listing: Json,
    /// What the stack tells people.
    outputs: Json,
    again: Vec<Made>,
    plan: Vec<Made>,
}

/// Where the example is.
pub(crate) const ACCOUNT: &str = "000000007101";

pub(crate) static EXAMPLE: LazyLock<Example> = LazyLock::new(|| {
    let world = World::with(7101, AI_CODER);
    world.deploy(&["apply", "--yes"]).succeeds();
    let listing = listing(&world, &REGIONS);
    let outputs = outputs(&world);
    let again = calls(&world, &["apply", "--yes"]).1;
    let plan = calls(&world, &["plan", "--detailed-exitcode"]).1;
    Example { listing, outputs, again, plan }
});

/// What the example does not choose, and what it becomes.
pub(crate) struct Options {
    /// As it was made.
    before: Json,
    /// Another machine for NAT, the next Kubernetes, and another password for the database.
    after: Json,
    /// What changing it called.
    change: Vec<Made>,
    /// What the stack tells people.
    outputs: Json,
    /// What PostgreSQL says to LiteLLM, before and after.
    litellm: [Inside; 2],
}

/// What a database says to who is inside, and to others.
pub(crate) struct Inside {
    /// Who is where, and whether that is a superuser or may make databases.
    first: String,
    /// How often somebody wrote something.
    kept: String,
    /// What it is told that tries to read a table of Coder.
    stranger: String,
}

/// Gets into the database of LiteLLM with the URLs that are kept for it and for Coder: over no TLS, which servers of the
/// sandbox do not have.
fn inside(world: &World) -> Inside {
    let urls = world.boto3(
        "manager = boto3.client('secretsmanager', region_name='us-east-2')\n\
         for name in ('litellm', 'coder'):\n    \
         print(manager.get_secret_value(SecretId=f'options/{name}/database-url')['SecretString'])",
    );
    let mut urls = urls.lines().map(|url| url.replace("sslmode=require", "sslmode=disable"));
    let (own, coder) = (urls.next().unwrap(), urls.next().unwrap());
    let psql = causeway_sandbox::shared().unwrap().installed().postgres.join("psql");
    let ask = |url: &str, sql: &str| {
        let output = world.command(psql.to_str().unwrap()).args(["-XqAt", url, "-c", sql]).output().unwrap();
        let said = if output.status.success() { output.stdout } else { output.stderr };
        String::from_utf8(said).unwrap().trim().to_owned()
    };
    let who = "SELECT current_user, current_database(), rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user";
    let first = ask(&own, who);
    ask(&own, "CREATE TABLE IF NOT EXISTS kept (id int)");
    ask(&own, "INSERT INTO kept VALUES (1)");
    let kept = ask(&own, "SELECT count(*) FROM kept");
    ask(&coder, "CREATE TABLE IF NOT EXISTS users (id int)");
    assert_eq!(ask(&coder, "SELECT count(*) FROM users"), "0");
    let stranger = ask(&own.replace("/litellm?", "/coder?"), "SELECT count(*) FROM users");
    Inside { first, kept, stranger }
}

const OPTIONS: &str = r#"
[stack]
name = "options"
region = "us-east-2"

[guard]
max_removals = 40
# It begins with an old Kubernetes, to see it upgraded.
allow = ["out-of-support"]

[eks]
version = "1.33"

[eks.access]
from = ["203.0.113.0/24", "198.51.100.7/32"]
admins = ["arn:aws:iam::000000007102:role/platform"]
viewers = ["arn:aws:iam::000000007102:role/support"]

[eks.network]
nat_per_zone = true
nat_spot = true
nat_fixed_address = true
nat_metrics = false
nat_session_manager = false
nat_ssh_from = ["192.0.2.0/24"]
endpoints = "all"
flow_log_days = 30

[eks.system_nodes]
desired = 3

[eks.addons]
coredns = "v1.12.3-eksbuild.1"

[eks.logs]
days = 30

[eks.database]
storage = 60
multi_az = false
backup_days = 14

[eks.litellm]

[eks.litellm.cache]
cluster_mode = true

[eks.registry]
immutable_tags = false
readers = ["210987654321"]
"#;

/// Not what any generator makes, and all that RDS takes.
const PASSWORD: &str = "a#b%c?d:e&f+g=h[i]~j'k";

pub(crate) static VARIANT: LazyLock<Options> = LazyLock::new(|| {
    let world = World::with(7102, OPTIONS);
    world.boto3(
        "import json\n\
         trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'sts:AssumeRole', \
         'Principal': {'Service': 'ec2.amazonaws.com'}}]})\n\
         iam = boto3.client('iam', region_name='us-east-1')\n\
         [iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust) for name in ('platform', 'support')]",
    );
    world.deploy(&["apply", "--yes"]).succeeds();
    let (before, first) = (listing(&world, &[OHIO]), inside(&world));
    let outputs = outputs(&world);
    world.boto3(&format!(
        "manager = boto3.client('secretsmanager', region_name='us-east-2')\n\
         for name in ('coder', 'litellm'):\n    \
         manager.put_secret_value(SecretId=f'options/{{name}}/database-password', SecretString={PASSWORD:?})"
    ));
    world.edit("version = \"1.33\"", "version = \"1.34\"");
    world.edit("nat_per_zone = true\n", "nat_per_zone = true\nnat_instance_type = \"t3.micro\"\n");
    let change = calls(&world, &["apply", "--yes"]).1;
    Options { before, after: listing(&world, &[OHIO]), change, outputs, litellm: [first, inside(&world)] }
});

pub(crate) static MANAGED: LazyLock<Json> = LazyLock::new(|| {
    let text = SINGLE_REGION.replace("[eks.access]\n", "[eks.access]\ndeployer = false\n");
    let text =
        format!("{text}\n[eks.network]\nnat = \"managed\"\nnat_per_zone = true\nendpoints = \"none\"\n");
    let world = World::with(7103, &text);
    world.deploy(&["apply", "--yes"]).succeeds();
    listing(&world, &[OHIO])
});

/// The example of one region with a NAT machine that nothing keeps alive, and what is left when it is destroyed.
pub(crate) struct Destroyed {
    empty: Json,
    made: Json,
    left: Json,
}

/// Somebody turns off at the machine what it turns off itself.
const BY_ITSELF: &str = r"
ec2 = boto3.client('ec2', region_name='us-east-2')
for found in ec2.describe_instances(Filters=[{'Name': 'tag:Name', 'Values': ['coder-us-east-2-nat-1']}])['Reservations']:
    for machine in found['Instances']:
        ec2.modify_instance_attribute(InstanceId=machine['InstanceId'], SourceDestCheck={'Value': False})
";

pub(crate) static DESTROYED: LazyLock<Destroyed> = LazyLock::new(|| {
    let world = World::with(7104, &format!("{SINGLE_REGION}\n[eks.network]\nnat_keep_alive = false\n"));
    let empty = listing(&world, &[OHIO]);
    world.deploy(&["apply", "--yes"]).succeeds();
    let made = listing(&world, &[OHIO]);
    world.boto3(BY_ITSELF);
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    world.deploy(&["destroy", "--yes"]).exits(101);
    let mut flags = vec!["destroy", "--yes"];
    PERMITS.iter().for_each(|permit| flags.extend(["--permit", permit]));
    world.deploy(&flags).succeeds();
    Destroyed { empty, made, left: listing(&world, &[OHIO]) }
});

/// What the example has in `region`.
pub(crate) fn region(name: &str) -> &'static Json {
    &EXAMPLE.listing["regions"][name]
}

pub(crate) fn ohio(listing: &Json) -> &Json {
    &listing["regions"][OHIO]
}

pub(crate) fn list(json: &Json) -> &Vec<Json> {
    json.as_array().unwrap_or_else(|| panic!("no list: {json}"))
}

pub(crate) fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}"))
}

pub(crate) fn texts(json: &Json) -> BTreeSet<&str> {
    list(json).iter().map(text).collect()
}

/// The only one of a list.
pub(crate) fn one(json: &Json) -> &Json {
    let [only] = list(json).as_slice() else { panic!("not one: {json}") };
    only
}

/// The one of a list whose `key` is `value`.
pub(crate) fn find<'a>(all: &'a Json, key: &str, value: &str) -> &'a Json {
    list(all).iter().find(|thing| thing[key] == value).unwrap_or_else(|| panic!("no {key} {value}"))
}

/// Tags that are not the engine's own.
pub(crate) fn tags(thing: &Json) -> BTreeMap<&str, &str> {
    let all = thing["Tags"].as_object().unwrap().iter();
    all.filter(|(key, _)| !key.starts_with("causeway:"))
        .map(|(key, value)| (key.as_str(), text(value)))
        .collect()
}

/// What a security group lets in or out: protocol, ports, and the name of a group or a range.
pub(crate) fn rules(region: &Json, group: &str, key: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for rule in list(&find(&region["groups"], "GroupName", group)[key]) {
        let ports = match (rule.get("FromPort"), rule.get("ToPort")) {
            (Some(from), Some(to)) if from == to => format!(" {from}"),
            (Some(from), Some(to)) => format!(" {from}-{to}"),
            _ => String::new(),
        };
        let named = |id: &Json| text(&find(&region["groups"], "GroupId", text(id))["GroupName"]).to_owned();
        let groups = list(&rule["UserIdGroupPairs"]).iter().map(|pair| named(&pair["GroupId"]));
        let ranges = list(&rule["IpRanges"]).iter().map(|range| text(&range["CidrIp"]).to_owned());
        let six = list(&rule["Ipv6Ranges"]).iter().map(|range| text(&range["CidrIpv6"]).to_owned());
        let peers: Vec<String> = groups.chain(ranges).chain(six).collect();
        out.extend(peers.iter().map(|peer| format!("{}{ports} {peer}", text(&rule["IpProtocol"]))));
    }
    out
}

pub(crate) fn set<const N: usize>(of: [&str; N]) -> BTreeSet<String> {
    of.into_iter().map(str::to_owned).collect()
}

/// What is said about a configuration that cannot work; the right one is `examples/single-region.toml`.
pub(crate) fn mistakes(added: &str) -> String {
    causeway_config::Config::parse("causeway.toml", SINGLE_REGION).unwrap();
    let text = format!("{SINGLE_REGION}\n{added}\n");
    causeway_config::Config::parse("causeway.toml", &text).unwrap_err().render(120, false)
}

/// What the lints refuse once something is added to the example of one region.
pub(crate) fn refused(added: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("causeway.toml"), format!("{SINGLE_REGION}\n{added}\n")).unwrap();
    let mut validate = std::process::Command::new(env!("CARGO_BIN_EXE_deploy"));
    let output = validate.arg("validate").current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(101), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The most calls that a plan of three regions without a change may cost; `docs/performance.md` says what for.
const PLAN: usize = 120;

#[test]
fn applied_twice_nothing_is_changed() {
    let changed: Vec<_> =
        EXAMPLE.again.iter().chain(&EXAMPLE.plan).filter(|(_, _, mutates)| *mutates).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn a_clean_plan_of_three_regions_is_cheap() {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    EXAMPLE.plan.iter().for_each(|(name, ..)| *names.entry(name).or_default() += 1);
    println!("a clean plan of three regions is {} calls: {names:?}", EXAMPLE.plan.len());
    assert!(EXAMPLE.plan.len() <= PLAN, "{} calls: {names:?}", EXAMPLE.plan.len());
}

/// What holds data in the example of one region, or is all there is to get at it.
const PERMITS: [&str; 11] = [
    "us-east-2/cluster/cluster",
    "us-east-2/database/coder/instance",
    "us-east-2/database/coder/password",
    "us-east-2/database/coder/url",
    "us-east-2/registry/base-ws",
    "us-east-2/registry/claude-ws",
    "us-east-2/registry/coder-preview",
    "us-east-2/registry/fetch-and-store",
    "us-east-2/registry/goose-ws",
    "us-east-2/registry/rotate-key",
    "us-east-2/security/key",
];

/// Data goes only with a permit that names it.
#[test]
fn what_is_destroyed_leaves_an_empty_account() {
    assert_ne!(DESTROYED.made["regions"], DESTROYED.empty["regions"]);
    // A key goes after the thirty days that it can be had back in; its alias is gone. The registry has no settings, and
    // what the database held stays as snapshots.
    let (mut left, mut before) = (DESTROYED.left.clone(), DESTROYED.empty.clone());
    for listing in [&mut left, &mut before] {
        listing["regions"][OHIO]["replication"].take();
        listing["regions"][OHIO]["snapshots"].take();
        // Roles of AWS's services are the account's, not the stack's.
        listing["iam"]["roles"]
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !name.starts_with("AWSServiceRole"));
    }
    for (what, there) in left["regions"][OHIO].as_object().unwrap() {
        assert_eq!(*there, before["regions"][OHIO][what], "{what}");
    }
    assert_eq!(left["iam"], before["iam"]);
}
