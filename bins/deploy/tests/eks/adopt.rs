//! A deployment that is kept elsewhere, in many states, becomes the stack's.

use crate::{AI_CODER, OHIO, REGIONS, SINGLE_REGION, list, listing, text, world::World};
use serde_json::Value as Json;
use std::fs;

/// The ids of all that must stay what it is, by region.
fn kept(world: &World, regions: &[&str]) -> Json {
    let mut there = listing(world, regions)["regions"].take();
    regions.iter().map(|region| ((*region).to_owned(), ids(&mut there[*region]))).collect()
}

fn ids(there: &mut Json) -> Json {
    let ids = [
        ("vpcs", "VpcId"),
        ("subnets", "SubnetId"),
        ("tables", "RouteTableId"),
        ("gateways", "InternetGatewayId"),
        ("groups", "GroupId"),
        ("interfaces", "NetworkInterfaceId"),
        ("endpoints", "VpcEndpointId"),
        ("templates", "LaunchTemplateId"),
        ("scaling", "AutoScalingGroupARN"),
        ("instances", "InstanceId"),
        ("clusters", "arn"),
        ("databases", "DbiResourceId"),
        ("database_subnets", "DBSubnetGroupArn"),
        ("caches", "ARN"),
        ("secrets", "ARN"),
        ("repositories", "repositoryArn"),
        ("queues", "url"),
        ("rules", "Arn"),
        ("logs", "arn"),
    ];
    ids.into_iter()
        .map(|(kind, id)| {
            let mut all: Vec<String> =
                list(&there[kind].take()).iter().map(|t| text(&t[id]).to_owned()).collect();
            all.sort();
            (kind.to_owned(), Json::from(all))
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The states of the original layout, one for each root, name what is there; nothing knows of the stack any more. What
/// they name is found, shown, and taken over, and nothing is made a second time. Only what is in `new` they do not have.
fn taken_over(world: &World, stack: &str, regions: &[&str], addresses: &[&str], new: &[&str]) {
    world.deploy(&["apply", "--yes"]).succeeds();
    let before = kept(world, regions);
    fs::remove_dir_all(world.folder().join(".causeway")).unwrap();
    let folder = world.folder().display().to_string();
    let given = [&[folder.as_str(), stack][..], regions].concat();
    let script = format!("import sys\nsys.argv[1:] = {given:?}\n{}", include_str!("states.py"));
    let roots: Vec<String> = serde_json::from_str(&world.boto3(&script)).unwrap();
    assert_eq!(roots.len(), 14 + 8 * (regions.len() - 1));
    let read = |root: &String| fs::read(world.folder().join(format!("{root}.tfstate"))).unwrap();
    let states: Vec<Vec<u8>> = roots.iter().map(read).collect();
    world.forget_calls();
    let mut flags = vec!["adopt".to_owned()];
    roots.iter().for_each(|root| flags.extend(["--tfstate".to_owned(), format!("{root}.tfstate")]));
    flags.extend(["-o".to_owned(), "found.toml".to_owned()]);
    let told = world.deploy(&flags.iter().map(String::as_str).collect::<Vec<_>>()).succeeds();
    assert!(!told.contains("canary") && !told.contains("may stand for any"), "{told}");
    assert!(told.contains("helm_release"), "{told}");
    assert_eq!(world.mutations().len(), 0, "looking changes nothing");
    assert_eq!(roots.iter().map(read).collect::<Vec<_>>(), states, "states are only read");
    let lines = fs::read_to_string(world.folder().join("found.toml")).unwrap();
    for address in addresses {
        assert!(lines.contains(&format!("\"{address}\" = ")), "{address} is not in\n{lines}\n{told}");
    }
    assert!(!lines.contains("refused"), "{lines}");
    world.edit("[eks]\n", &format!("{lines}\n[eks]\n"));
    let plan: Json = serde_json::from_str(&world.deploy(&["plan", "--json"]).output()).unwrap();
    let steps = list(&plan["result"]["plan"]["steps"]).iter();
    let made =
        steps.filter(|step| !["adopt", "update", "record", "wait"].iter().any(|a| step["action"] == *a));
    assert_eq!(made.map(|step| text(&step["address"])).collect::<Vec<_>>(), new);
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(kept(world, regions), before);
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    // The journal remembers.
    world.edit(&format!("{lines}\n[eks]\n"), "[eks]\n");
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
}

/// What every region has.
const EVERYWHERE: [&str; 10] = [
    "network/vpc",
    "network/public-1",
    "network/nat-1/interface",
    "network/nat-1/role",
    "security/nodes",
    "security/key",
    "cluster/cluster",
    "cluster/system-nodes",
    "cluster/oidc",
    "karpenter/queue",
];

/// What the region of the control plane has beside that.
const SERVER: [&str; 5] = [
    "us-east-2/network/coder-ws-all-3",
    "us-east-2/database/coder/instance",
    "us-east-2/database/coder/parameters",
    "us-east-2/registry/base-ws",
    "us-east-2/roles/provisioner",
];

fn in_each(regions: &[&str]) -> Vec<String> {
    regions.iter().flat_map(|region| EVERYWHERE.map(|address| format!("{region}/{address}"))).collect()
}

#[test]
fn what_many_states_of_terraform_name_is_taken_over() {
    let addresses = in_each(&[OHIO]);
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).chain(SERVER).collect();
    taken_over(&World::with(7109, SINGLE_REGION), "coder", &[OHIO], &addresses, &[]);
}

#[test]
fn what_the_states_of_three_regions_name_is_taken_over() {
    let addresses = in_each(&REGIONS);
    let data = ["us-east-2/database/litellm/instance", "us-east-2/cache/nodes"];
    let addresses = addresses.iter().map(String::as_str).chain(SERVER).chain(data).collect::<Vec<_>>();
    taken_over(
        &World::with(7119, AI_CODER),
        "ai-coder",
        &REGIONS,
        &addresses,
        &["us-east-2/registry/replication"],
    );
}
