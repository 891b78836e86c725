//! What controllers made goes with the cluster, or after it; what is another cluster's stays.

use crate::{PERMITS, SINGLE_REGION, world::World};
use serde_json::Value as Json;

const LEFTOVERS: &str = "us-east-2/cluster/leftovers";

fn script(world: &World, what: &str) -> String {
    world.boto3(&format!("import sys\nsys.argv[1:] = [{what:?}]\n{}", include_str!("leftovers.py")))
}

fn there(world: &World) -> Json {
    serde_json::from_str(&script(world, "there")).unwrap()
}

/// Two clusters of one account with all that controllers make. Destroying one tells what of it goes, asks for the volume,
/// and leaves what is of the other.
fn swept(world: &World) {
    script(world, "other");
    let before = there(world);
    world.deploy(&["apply", "--yes"]).succeeds();
    script(world, "ours");
    let told = world.deploy(&["plan", "--destroy"]).text();
    for what in [
        "load balancer k8s-coder,",
        "classic load balancer a1b2-coder,",
        "target group k8s-coder-http",
        "machine i-",
        "launch template karpenter.k8s.aws/coder",
        "network interface eni-",
        "instance profile coder_1234",
        "security group k8s-traffic-coder",
        "(20 GiB, home-coder)",
        "log group /aws/eks/coder/karpenter",
        "log group /aws/containerinsights/coder/application",
    ] {
        assert!(told.contains(what), "{what} is not in the plan: {told}");
    }
    assert!(
        !told.contains("k8s-coder-2")
            && !told.contains("home-coder-2")
            && !told.contains("/aws/eks/coder/cluster,"),
        "{told}"
    );
    let mut flags = vec!["destroy", "--yes"];
    PERMITS.iter().for_each(|permit| flags.extend(["--permit", permit]));
    let refused = world.deploy(&flags).exits(101);
    assert!(refused.contains(&format!("--permit {LEFTOVERS}")), "{refused}");
    flags.extend(["--permit", LEFTOVERS]);
    world.deploy(&flags).succeeds();
    assert_eq!(there(world), before);
}

#[test]
fn what_controllers_made_goes_with_their_cluster() {
    swept(&World::with(7106, SINGLE_REGION));
}

/// Somebody has deleted the nodes and the cluster by hand: pulumi-kubernetes #2517 and #2675.
#[test]
fn a_cluster_that_is_gone_is_no_obstacle() {
    let world = World::with(7107, SINGLE_REGION);
    let before = there(&world);
    world.deploy(&["apply", "--yes"]).succeeds();
    script(&world, "ours");
    script(&world, "without-cluster");
    let mut flags = vec!["destroy", "--yes"];
    let permits = PERMITS.iter().filter(|permit| !permit.ends_with("cluster/cluster"));
    permits.chain([&LEFTOVERS]).for_each(|permit| flags.extend(["--permit", permit]));
    let said = world.deploy(&flags).succeeds();
    assert!(said.contains("is not there any more"), "{said}");
    assert_eq!(there(&world), before);
}
