//! What `deploy preflight` asks before the three regions are made.

use crate::{AI_CODER, REGIONS, world::World};
use causeway_sandbox::gateway::{Act, Rule};
use serde_json::Value as Json;

/// The findings, and that looking changed nothing.
fn findings(world: &World, exit: i32) -> Vec<Json> {
    world.forget_calls();
    let output = world.command(env!("CARGO_BIN_EXE_deploy")).args(["preflight", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stdout));
    let changes: Vec<String> = world.mutations().iter().map(|call| call.name()).collect();
    assert!(changes.is_empty(), "{changes:?}");
    let document: Json = serde_json::from_slice(&output.stdout).unwrap();
    document["result"]["findings"].as_array().unwrap().clone()
}

/// The verdict on the one question of `check` that has all these words.
fn verdict<'a>(findings: &'a [Json], check: &str, words: &[&str]) -> (&'a str, &'a str) {
    let asked =
        |f: &&Json| f["check"] == check && words.iter().all(|w| f["asked"].as_str().unwrap().contains(w));
    let found: Vec<&Json> = findings.iter().filter(asked).collect();
    let [one] = found[..] else { panic!("{check} {words:?}: {found:#?} of {findings:#?}") };
    (one["verdict"].as_str().unwrap(), one["answer"].as_str().unwrap())
}

#[test]
fn what_three_regions_need_is_asked_before_they_are_made() {
    let world = World::with(7105, AI_CODER);
    // What a new account may not do is start machines with more than five processors.
    let fine = findings(&world, 101);
    for region in REGIONS {
        for what in ["1 more VPCs", "TiB of gp3 volumes", "1 more EKS clusters"] {
            assert_eq!(verdict(&fine, "quotas", &[what, region]).0, "passed", "{what} in {region}");
        }
        assert_eq!(verdict(&fine, "kubernetes", &["has Kubernetes 1.35", region]).0, "passed");
        let (verdict_of_addons, addons) = verdict(&fine, "kubernetes", &["add-ons", region]);
        assert!(verdict_of_addons == "passed" && addons.contains("coredns v"), "{addons}");
        assert_eq!(verdict(&fine, "ranges", &["is free", region]).0, "passed");
        let nodes = format!("{region}/cluster/system-nodes");
        let (verdict_of_nodes, zones) = verdict(&fine, "machines", &["t3.xlarge", &nodes]);
        assert!(verdict_of_nodes == "passed" && zones.contains(region), "{zones}");
    }
    // Two nodes of four, and a NAT machine of two.
    let processors = "whether the quota leaves room for 10 more vCPUs of on-demand machines";
    assert_eq!(verdict(&fine, "quotas", &[processors, "us-west-2"]), ("failed", "5 are allowed, 0 are used"));
    let (_, roles) = verdict(&fine, "linked roles", &["service-linked roles"]);
    assert!(roles.contains("iam:CreateServiceLinkedRole") || roles == "all of them do", "{roles}");
    // Nobody of a new account has agreed to anything.
    for (region, model) in [("us-east-2", "claude-3-7-sonnet"), ("eu-west-2", "claude-3-haiku")] {
        let (verdict, answer) = verdict(&fine, "models", &["anthropic.*", region]);
        assert!(verdict == "warning" && answer.contains("agreed to its terms"), "{answer}");
        assert!(answer.contains(model), "{answer}");
    }
    assert!(!verdict(&fine, "models", &["anthropic.*", "eu-west-2"]).1.contains("claude-3-5-haiku"));

    world.boto3(
        "ec2 = boto3.client('ec2', region_name='us-west-2')\n\
         for i in range(4): ec2.create_vpc(CidrBlock='10.1.0.0/16')\n\
         ec2.create_volume(AvailabilityZone='us-west-2a', Size=1024, VolumeType='gp3')\n\
         bedrock = boto3.client('bedrock', region_name='us-east-2')\n\
         for model in bedrock.list_foundation_models()['modelSummaries']:\n    \
             bedrock.create_foundation_model_agreement(modelId=model['modelId'], offerToken='offer')",
    );
    let full = findings(&world, 101);
    assert_eq!(
        verdict(&full, "quotas", &["1 more VPCs", "us-west-2"]),
        ("failed", "5 are allowed, 5 are used")
    );
    assert_eq!(verdict(&full, "ranges", &["10.1.0.0/16", "us-west-2"]).0, "warning");
    let (_, disks) = verdict(&full, "quotas", &["gp3", "us-west-2"]);
    assert!(disks.ends_with("1 are used"), "{disks}");
    assert_eq!(verdict(&full, "quotas", &["1 more VPCs", "us-east-2"]).0, "passed");
    assert_eq!(verdict(&full, "models", &["anthropic.*", "us-east-2"]).0, "passed");

    // Where Bedrock may not be asked, nobody knows.
    let denied = world.rule(Rule::new("bedrock:GetFoundationModelAvailability", Act::Denied));
    let unknown = findings(&world, 101);
    world.unset(denied);
    let (unasked, why) = verdict(&unknown, "models", &["the models may be used"]);
    assert!(unasked == "not_asked" && why.contains("GetFoundationModelAvailability"), "{why}");
}
