//! Blue/green deployments: two target groups that take turns, and a rule in front whose weights are ECS's business.

use crate::world::World;
use serde_json::{Value as Json, json};

/// How the listener rule in front of the two groups weighs them, how many targets each has, the first group first, and
/// what the service calls its own group.
fn turn(world: &World) -> Json {
    let script = "import json\n\
        elb = boto3.client('elbv2')\n\
        balancer = elb.describe_load_balancers()['LoadBalancers'][0]['LoadBalancerArn']\n\
        https = [l for l in elb.describe_listeners(LoadBalancerArn=balancer)['Listeners'] if l['Port'] == 443][0]\n\
        rule = [r for r in elb.describe_rules(ListenerArn=https['ListenerArn'])['Rules'] if r['Priority'] == '49000'][0]\n\
        groups = rule['Actions'][0]['ForwardConfig']['TargetGroups']\n\
        first = https['DefaultActions'][0]['TargetGroupArn']\n\
        groups.sort(key=lambda g: g['TargetGroupArn'] != first)\n\
        health = [elb.describe_target_health(TargetGroupArn=g['TargetGroupArn'])['TargetHealthDescriptions'] for g in groups]\n\
        service = boto3.client('ecs').describe_services(cluster='workshop', services=['workshop'])['services'][0]\n\
        print(json.dumps({\n\
            'weights': [g['Weight'] for g in groups],\n\
            'healthy': [sum(t['TargetHealth']['State'] == 'healthy' for t in h) for h in health],\n\
            'own': service['loadBalancers'][0]['targetGroupArn'] == first,\n\
            'strategy': service['deploymentConfiguration'].get('strategy')}))";
    serde_json::from_str(&world.boto3(script)).unwrap()
}

fn turned(weights: [u8; 2], healthy: [u8; 2]) -> Json {
    json!({ "weights": weights, "healthy": healthy, "own": true, "strategy": "BLUE_GREEN" })
}

fn revision(world: &World) -> String {
    let serving = world.serving();
    assert_eq!(serving.as_array().unwrap().len(), 1, "{serving}");
    serving[0].as_str().unwrap().rsplit(':').next().unwrap().to_owned()
}

fn changes(world: &World) -> Vec<String> {
    world.mutations().into_iter().map(|c| c.name()).collect()
}

#[test]
fn two_groups_take_turns_and_a_failing_image_changes_nothing() {
    let world = World::new(45);
    let empty = world.inventory();
    world.edit(
        "[ecs.network]\n",
        "[ecs.deployment]\nstrategy = \"blue_green\"\nbake_time = 2\n\n[ecs.network]\n",
    );
    world.deploy(&["apply", "--yes"]).succeeds();
    assert_eq!(turn(&world), turned([100, 0], [1, 0]));
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();

    // There and back again: each deployment changes nothing but the revision, and leaves a clean plan.
    for (version, weights) in [("v2.28.4", [0, 100]), ("v2.28.5", [100, 0])] {
        world.image(version, "");
        world.forget_calls();
        let told = world.deploy(&["apply", "--yes"]).succeeds();
        assert!(told.contains("stage BAKE_TIME"), "{told}");
        let changed: Vec<String> = changes(&world).into_iter().filter(|c| !c.starts_with("ecr:")).collect();
        assert_eq!(changed, ["ecs:RegisterTaskDefinition", "ecs:UpdateService"]);
        assert_eq!(turn(&world), turned(weights, weights.map(|w| w / 100)));
        world.forget_calls();
        world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
        world.deploy(&["drift"]).succeeds();
        world.deploy(&["apply", "--yes"]).succeeds();
        assert_eq!(changes(&world), Vec::<String>::new());
    }
    assert_eq!(revision(&world), "3");

    world.image("v3.0.0", "crash");
    let failure = world.deploy(&["apply", "--yes"]).exits(100);
    for said in ["the circuit breaker threshold was exceeded", "this image crashes on purpose"] {
        assert!(failure.contains(said), "{failure}");
    }
    assert_eq!(revision(&world), "3");
    assert_eq!(turn(&world), turned([100, 0], [1, 0]));

    let permits = ["database/instance", "database/password", "database/url", "security/key", "registry"];
    let mut flags = vec!["destroy", "--yes"];
    permits.iter().for_each(|p| flags.extend(["--permit", p]));
    world.deploy(&flags).succeeds();
    let mut left = world.inventory();
    left["snapshots"] = Json::from(0);
    assert_eq!(left, empty);
}

#[test]
fn a_running_service_becomes_blue_green_in_place() {
    let world = World::new(46);
    world.deploy(&["apply", "--yes"]).succeeds();
    world.edit(
        "[ecs.network]\n",
        "[ecs.deployment]\nstrategy = \"blue_green\"\nbake_time = 1\n\n[ecs.network]\n",
    );
    let plan = world.deploy(&["plan", "--detailed-exitcode"]).exits(2);
    assert!(plan.contains("~ app/service") && plan.contains("+ balancer/production"), "{plan}");
    world.forget_calls();
    world.deploy(&["apply", "--yes"]).succeeds();
    let updates = changes(&world).into_iter().filter(|c| c == "ecs:UpdateService").count();
    assert_eq!(updates, 2, "the groups first, then the strategy");
    assert!(!changes(&world).contains(&"ecs:CreateService".to_owned()));
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    assert_eq!(turn(&world), turned([100, 0], [1, 0]));

    // A deployment that somebody stops is taken back, also once the requests have gone over.
    world.image("v2.28.4", "");
    world.edit("bake_time = 1\n", "bake_time = 1440\n");
    let mut apply = world.start(&["apply", "--yes"]);
    let bakes = (0..240).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        turn(&world)["weights"] == json!([0, 100])
    });
    assert!(bakes, "{}", turn(&world));
    world.boto3(
        "ecs = boto3.client('ecs')\n\
         arn = ecs.list_service_deployments(cluster='workshop', service='workshop')['serviceDeployments'][0]['serviceDeploymentArn']\n\
         ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType='ROLLBACK')",
    );
    assert_eq!(apply.wait(), Some(100));
    assert_eq!(turn(&world), turned([100, 0], [1, 0]));
    assert_eq!(revision(&world), "1");
}
