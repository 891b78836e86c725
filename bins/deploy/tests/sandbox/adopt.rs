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
    world.edit("public_ports = [80, 443]\n", "public_ports = [80, 443]\nallow = [\"unencrypted-storage\"]\n");
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
            'rules': sorted(r['SecurityGroupRuleId'] for r in ec2.describe_security_group_rules()['SecurityGroupRules']\n\
                            if r.get('FromPort') == 443),\n\
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
    assert!(!plan.contains("foreign_rules"), "{plan}");
    world.deploy(&["apply", "--yes"]).succeeds();
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
            resource("aws_cloudfront_key_group", "docs", serde_json::json!({ "id": "E1" })),
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
        "aws_cloudfront_key_group".to_owned(),
    ] {
        assert!(told.contains(&line), "{line} is missing in\n{told}");
    }
    assert!(!told.contains("canary"), "{told}");
    world.write("old.tfstate", r#"{"version": 3, "modules": []}"#);
    let old = world.deploy(&["adopt", "--tfstate", "old.tfstate"]).exits(64);
    assert!(old.contains("version 3"), "{old}");
    assert_eq!(world.mutations().len(), 0, "looking changes nothing");
}

/// Takes over all that `lines` claim, and looks with boto3 that nothing is there twice.
fn is_taken_over_whole(world: &World, lines: &str) {
    let before = kept(world);
    world.edit("[guard]\n", &format!("{lines}\n[guard]\n"));
    world.forget_calls();
    let plan: Json = serde_json::from_str(&world.deploy(&["plan", "--json"]).output()).unwrap();
    let plan = &plan["result"]["plan"];
    let steps = plan["steps"].as_array().unwrap();
    let claims: Vec<&Json> = plan["claims"].as_array().unwrap().iter().collect();
    for line in lines.lines().filter(|line| line.starts_with('"')) {
        let mut parts = line.split('"').skip(1).step_by(2);
        let (address, identity) = (parts.next().unwrap(), parts.next().unwrap());
        let claim = claims.iter().find(|c| c["address"] == address).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(claim["identity"].as_str().map(|is| identity.ends_with(is)), Some(true), "{claim}");
        assert!(["as_it_is", "changed"].iter().any(|v| claim["verdict"] == *v), "{claim}");
        let step = steps.iter().find(|s| s["address"] == address).unwrap();
        assert_eq!(step["action"], "adopt", "{step}");
    }
    assert_eq!(world.mutations().len(), 0, "looking changes nothing");
    world.deploy(&["apply", "--yes"]).succeeds();
    is_settled(world, &before);
    let there = world.inventory();
    for (what, is) in [
        ("vpcs", serde_json::json!(1)),
        ("gateways", serde_json::json!(1)),
        ("subnets", serde_json::json!(["10.0.1.0/24", "10.0.101.0/24", "10.0.102.0/24", "10.0.2.0/24"])),
        // The stack has one group more than the people who made the others.
        ("groups", serde_json::json!(["prod-balancer-sg", "prod-database-sg", "workshop-service"])),
        ("rules", serde_json::json!(6)),
        ("databases", serde_json::json!(["prod-db"])),
        ("subnet_groups", serde_json::json!(["prod-subnets"])),
        ("clusters", serde_json::json!(["prod-cluster"])),
        ("services", serde_json::json!(["prod-service"])),
        ("balancers", serde_json::json!(["prod-lb"])),
        ("targets", serde_json::json!(1)),
        ("log_groups", serde_json::json!(["/ecs/prod"])),
        ("roles", serde_json::json!(["prodTaskExecutionRole", "workshop-task"])),
    ] {
        assert_eq!(there[what], is, "{what} of {there}");
    }
}

#[test]
fn all_that_carries_a_tag_is_taken_over() {
    let (world, _) = by_hand(43);
    let told = world.deploy(&["adopt", "--by-tag", "app=prod", "-o", "tagged.toml"]).succeeds();
    let lines = std::fs::read_to_string(world.folder().join("tagged.toml")).unwrap();
    assert_eq!(lines.lines().count(), 18, "{told}");
    is_taken_over_whole(&world, &lines);
}

#[test]
fn all_that_a_terraform_state_names_is_taken_over() {
    let (world, ids) = by_hand(44);
    world.write("terraform.tfstate", &state(&ids));
    let told = world.deploy(&["adopt", "--tfstate", "terraform.tfstate", "-o", "named.toml"]).succeeds();
    let lines = std::fs::read_to_string(world.folder().join("named.toml")).unwrap();
    assert_eq!(lines.lines().count(), 18, "{told}");
    is_taken_over_whole(&world, &lines);
}

/// What `terraform state pull` would print, had Terraform made it.
fn state(ids: &Json) -> String {
    let id = |key: &str| serde_json::json!({ "id": text(ids, key) });
    let named = |key: &str| serde_json::json!({ "id": text(ids, key), "name": text(ids, key) });
    let region = "us-east-1:000000000044";
    let single = [
        ("aws_vpc", "main", id("vpc")),
        ("aws_internet_gateway", "main", id("gateway")),
        ("aws_route_table", "public", id("table")),
        (
            "aws_route",
            "out",
            serde_json::json!({ "id": "r-rtb1080289494", "gateway_id": text(ids, "gateway") }),
        ),
        ("aws_security_group", "balancer", id("balancer-group")),
        ("aws_security_group", "database", id("database-group")),
        ("aws_db_subnet_group", "main", named("subnet-group")),
        (
            "aws_db_instance",
            "main",
            serde_json::json!({
                "id": "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "identifier": text(ids, "database"), "password": "by-hand-1",
            }),
        ),
        (
            "aws_lb",
            "main",
            serde_json::json!({
                "id": format!("arn:aws:elasticloadbalancing:{region}:loadbalancer/app/prod-lb/0123456789abcdef"),
                "arn": format!("arn:aws:elasticloadbalancing:{region}:loadbalancer/app/prod-lb/0123456789abcdef"),
                "name": text(ids, "balancer"),
            }),
        ),
        ("aws_cloudwatch_log_group", "coder", named("logs")),
        (
            "aws_iam_role",
            "execution",
            serde_json::json!({
                "id": "prodTaskExecutionRole", "name": "prodTaskExecutionRole", "arn": text(ids, "role"),
            }),
        ),
        (
            "aws_ecs_cluster",
            "main",
            serde_json::json!({
                "id": format!("arn:aws:ecs:{region}:cluster/prod-cluster"), "name": text(ids, "cluster"),
            }),
        ),
        (
            "aws_ecs_task_definition",
            "coder",
            serde_json::json!({
                "id": "prod", "family": "prod", "revision": 1, "arn": format!("arn:aws:ecs:{region}:task-definition/prod:1"),
            }),
        ),
        (
            "aws_ecs_service",
            "coder",
            serde_json::json!({
                "id": format!("arn:aws:ecs:{region}:service/prod-cluster/prod-service"), "name": "prod-service",
                "cluster": format!("arn:aws:ecs:{region}:cluster/prod-cluster"),
            }),
        ),
    ];
    let provider = "provider[\"registry.terraform.io/hashicorp/aws\"]";
    let managed = |of: &str, name: &str, instances: Json| {
        serde_json::json!({
            "mode": "managed", "type": of, "name": name, "provider": provider, "instances": instances,
        })
    };
    let one = |attributes: &Json| serde_json::json!([{ "schema_version": 0, "attributes": attributes }]);
    let mut resources: Vec<Json> = single.iter().map(|(of, name, a)| managed(of, name, one(a))).collect();
    for kind in ["public", "private"] {
        let instance = |(i, letter): (usize, &str)| serde_json::json!({ "index_key": i, "schema_version": 1, "attributes": id(&format!("{kind}-{letter}")) });
        let both: Vec<Json> = ["a", "b"].into_iter().enumerate().map(instance).collect();
        resources.push(managed("aws_subnet", kind, both.into()));
    }
    let state = serde_json::json!({
        "version": 4, "terraform_version": "1.9.5", "serial": 7, "lineage": "x", "outputs": {},
        "resources": resources,
    });
    state.to_string()
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
