//! A deployment that was made by hand, with names of its own, is taken over.

use crate::world::World;
use serde_json::Value as Json;

/// Made with boto3 as people make it with the console: a network, a cluster with a service, a database, a load balancer.
const BY_HAND: &str = include_str!("by_hand.py");

fn by_hand(number: u64) -> (World, Json) {
    let world = World::new(number);
    let made = world.boto3(BY_HAND);
    let ids = serde_json::from_str(made.lines().last().unwrap()).unwrap();
    world.edit(
        "[ecs.database]\n",
        "[ecs.database]\nuser = \"admin_user\"\nname = \"prod\"\nencrypted = false\n",
    );
    (world, ids)
}

fn text<'j>(ids: &'j Json, key: &str) -> &'j str {
    ids[key].as_str().unwrap_or_else(|| panic!("{key} in {ids}"))
}

/// What everything that was made by hand stands for.
fn claims(ids: &Json) -> String {
    let claims = [
        ("network/vpc", "vpc"),
        ("network/gateway", "gateway"),
        ("network/public-routes", "table"),
        ("network/public-1", "public-a"),
        ("network/public-2", "public-b"),
        ("network/private-1", "private-a"),
        ("network/private-2", "private-b"),
        ("security/balancer", "balancer-group"),
        ("security/database", "database-group"),
        ("database/subnets", "subnet-group"),
        ("database/instance", "database"),
        ("balancer/load-balancer", "balancer"),
        ("app/logs", "logs"),
        ("app/execution-role", "role"),
        ("app/cluster", "cluster"),
        ("app/task", "task"),
        ("app/service", "service"),
    ];
    let lines = claims.iter().map(|(address, key)| format!("\"{address}\" = \"{}\"\n", text(ids, key)));
    format!("[adopt]\n{}\n[guard]\n", lines.collect::<String>())
}

/// The ids that nobody may replace.
fn kept(world: &World) -> Json {
    let script = "import json\n\
        ec2, rds, ecs, elb = (boto3.client(c) for c in ('ec2', 'rds', 'ecs', 'elbv2'))\n\
        vpcs = [v['VpcId'] for v in ec2.describe_vpcs()['Vpcs'] if not v['IsDefault']]\n\
        inside = [{'Name': 'vpc-id', 'Values': vpcs}]\n\
        print(json.dumps({\n\
            'vpcs': vpcs,\n\
            'subnets': sorted(s['SubnetId'] for s in ec2.describe_subnets(Filters=inside)['Subnets']),\n\
            'databases': [(d['DBInstanceIdentifier'], d['DbiResourceId']) for d in rds.describe_db_instances()['DBInstances']],\n\
            'clusters': ecs.list_clusters()['clusterArns'],\n\
            'services': ecs.list_services(cluster='prod-cluster')['serviceArns'],\n\
            'balancers': [b['LoadBalancerArn'] for b in elb.describe_load_balancers()['LoadBalancers']],\n\
        }))";
    serde_json::from_str(&world.boto3(script)).unwrap()
}

fn is_settled(world: &World, before: &Json) {
    assert_eq!(kept(world), *before);
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    let drift = world.deploy(&["drift"]).succeeds();
    assert!(!drift.contains("differs"), "{drift}");
}

#[test]
fn a_hand_made_deployment_is_taken_over_and_nothing_is_replaced() {
    let (world, ids) = by_hand(40);
    let before = kept(&world);
    world.forget_calls();
    world.edit("[guard]\n", &claims(&ids));
    let told = world.deploy(&["adopt"]).succeeds();
    assert!(told.contains("  prod-cluster  taken over") && !told.contains("refused:"), "{told}");
    let plan = world.deploy(&["plan"]).succeeds();
    assert!(!plan.contains("would refuse") && plan.contains("is taken over"), "{plan}");
    assert_eq!(world.mutations().len(), 0, "looking changes nothing");
    // What is there has no way from the tasks to the database yet, and preflight looks at what is there.
    // A rule that is claimed with its group goes with the group's other rules, and the next apply makes it.
    world.deploy(&["apply", "--yes", "--skip-preflight"]).text();
    world.deploy(&["apply", "--yes", "--skip-preflight"]).succeeds();
    is_settled(&world, &before);
    // The journal remembers.
    world.edit(&claims(&ids), "[guard]\n");
    is_settled(&world, &before);
}

#[test]
fn claims_are_found_by_tag_and_in_a_terraform_state() {
    let (world, ids) = by_hand(41);
    world.forget_calls();
    let told = world.deploy(&["adopt", "--by-tag", "app=prod", "-o", "tagged.toml"]).text();
    assert!(told.contains("network/vpc") && told.contains("  prod-db  taken over"), "{told}");
    let resource = |of: &str, name: &str, attributes: Json| {
        serde_json::json!({
            "mode": "managed", "type": of, "name": name, "provider": "aws",
            "instances": [{ "attributes": attributes }],
        })
    };
    let state = serde_json::json!({
        "version": 4, "terraform_version": "1.9.5", "serial": 3, "lineage": "x", "outputs": {},
        "resources": [
            resource("aws_vpc", "main", serde_json::json!({ "id": text(&ids, "vpc") })),
            resource("aws_db_instance", "main", serde_json::json!({
                "id": "db-1", "identifier": text(&ids, "database"), "password": "hunter2-canary",
            })),
            resource("aws_ecs_cluster", "main", serde_json::json!({ "name": text(&ids, "cluster") })),
            resource("aws_security_group", "lb", serde_json::json!({ "id": text(&ids, "balancer-group") })),
            resource("aws_security_group", "db", serde_json::json!({ "id": text(&ids, "database-group") })),
            resource("aws_cloudfront_distribution", "docs", serde_json::json!({ "id": "E1" })),
        ],
    });
    world.write("terraform.tfstate", &state.to_string());
    let told = world.deploy(&["adopt", "--tfstate", "terraform.tfstate"]).text();
    for line in [
        format!("\"network/vpc\" = \"{}\"", text(&ids, "vpc")),
        format!("\"security/balancer\" = \"{}\"", text(&ids, "balancer-group")),
        format!("\"security/database\" = \"{}\"", text(&ids, "database-group")),
        "\"database/instance\" = \"prod-db\"".to_owned(),
        "\"app/cluster\" = \"prod-cluster\"".to_owned(),
        "aws_cloudfront_distribution".to_owned(),
    ] {
        assert!(told.contains(&line), "{line} is missing in\n{told}");
    }
    assert!(!told.contains("canary"), "{told}");
    world.write("old.tfstate", r#"{"version": 3, "modules": []}"#);
    let old = world.deploy(&["adopt", "--tfstate", "old.tfstate"]).exits(64);
    assert!(old.contains("version 3"), "{old}");
    assert_eq!(world.mutations().len(), 0, "looking changes nothing");
}

#[test]
fn what_cannot_be_taken_over_is_refused_before_anything_changes() {
    let (world, ids) = by_hand(42);
    world.edit("encrypted = false\n", "");
    world.edit("[guard]\n", &claims(&ids));
    world.boto3(
        "boto3.client('ecs').tag_resource(resourceArn=boto3.client('ecs').list_clusters()['clusterArns'][0], tags=[\
         {'key': 'causeway:stack', 'value': 'theirs'}, {'key': 'causeway:address', 'value': 'x'},\
         {'key': 'causeway:instance', 'value': 'abc'}])",
    );
    world.forget_calls();
    let told = world.deploy(&["apply", "--yes"]).exits(101);
    for part in ["set `ecs.database.encrypted` to false", "belongs to `x` of stack `theirs`"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    assert_eq!(world.mutations().len(), 0);
}
