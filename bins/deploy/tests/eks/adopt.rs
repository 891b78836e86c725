//! A deployment that is kept elsewhere, in many states, becomes the stack's.

use crate::{OHIO, SINGLE_REGION, list, listing, text, world::World};
use serde_json::Value as Json;
use std::fs;

/// The ids of all that must stay what it is.
fn kept(world: &World) -> Json {
    let mut there = listing(world, &[OHIO])["regions"][OHIO].clone();
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
/// they name is found, shown, and taken over, and nothing is made a second time.
#[test]
fn what_many_states_of_terraform_name_is_taken_over() {
    let world = World::with(7109, SINGLE_REGION);
    world.deploy(&["apply", "--yes"]).succeeds();
    let before = kept(&world);
    fs::remove_dir_all(world.folder().join(".causeway")).unwrap();
    let folder = world.folder().display().to_string();
    let script = format!("import sys\nsys.argv[1:] = [{folder:?}]\n{}", include_str!("states.py"));
    let roots: Vec<String> = serde_json::from_str(&world.boto3(&script)).unwrap();
    assert_eq!(roots.len(), 14);
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
    for address in [
        "network/vpc",
        "network/public-1",
        "network/coder-ws-all-3",
        "network/nat-1/interface",
        "network/nat-1/role",
        "security/nodes",
        "security/key",
        "cluster/cluster",
        "cluster/system-nodes",
        "cluster/oidc",
        "database/coder/instance",
        "database/coder/parameters",
        "registry/base-ws",
        "karpenter/queue",
        "roles/provisioner",
    ] {
        assert!(
            lines.contains(&format!("\"us-east-2/{address}\" = ")),
            "{address} is not in\n{lines}\n{told}"
        );
    }
    assert!(!lines.contains("refused"), "{lines}");
    world.edit("[eks]\n", &format!("{lines}\n[eks]\n"));
    let plan: Json = serde_json::from_str(&world.deploy(&["plan", "--json"]).output()).unwrap();
    let made: Vec<&Json> = list(&plan["result"]["plan"]["steps"])
        .iter()
        .filter(|step| ["create", "delete"].iter().any(|a| step["action"] == *a))
        .collect();
    assert!(made.is_empty(), "{made:?}");
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(kept(&world), before);
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    // The journal remembers.
    world.edit(&format!("{lines}\n[eks]\n"), "[eks]\n");
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
}
