//! Roles, policies and instance profiles against an emulator of IAM.
#![cfg(feature = "iam")]

mod by_hand;

use by_hand::{One, client};
use causeway_aws::{
    iam::{InstanceProfile, Policy, PolicyDocument, Principal, Role, Statement},
    id::Arn,
};
use causeway_core::{Name, Set, Tags};

fn reads(bucket: &str) -> PolicyDocument {
    PolicyDocument::new([Statement::allow(
        ["s3:ListBucket", "s3:GetObject"],
        [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
    )])
}

const EXECUTION: &str = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";
const PULL: &str = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly";

fn sample() -> Role {
    Role {
        description: Some("Starts tasks, \"quoted\"".into()),
        path: Some("/coder/".into()),
        max_session_duration: Some(7200),
        inline_policies: [("read".into(), reads("one")), ("other".into(), reads("other"))].into(),
        managed_policy_arns: Set::from_iter([Arn::from(EXECUTION)]),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..Role::assumed_by(Name::generated("task"), "ecs-tasks.amazonaws.com")
    }
}

fn changes() -> Vec<(Role, &'static [&'static str])> {
    let trust = PolicyDocument::new([
        Statement::assume("sts:AssumeRole", Principal::service("ecs-tasks.amazonaws.com")),
        Statement::assume("sts:AssumeRole", Principal::aws("123456789012")),
    ]);
    let one = Role {
        assume_role_policy: trust,
        description: None,
        max_session_duration: None,
        inline_policies: [("read".into(), reads("two"))].into(),
        managed_policy_arns: Set::from_iter([Arn::from(PULL)]),
        permissions_boundary: Some(Arn::from(PULL).into()),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    let two = Role { permissions_boundary: None, managed_policy_arns: Set::default(), ..one.clone() };
    vec![
        (
            one,
            &[
                "assume_role_policy.statements",
                "description",
                "max_session_duration",
                "inline_policies.read.statements.0.resources",
                "inline_policies.other",
                "managed_policy_arns",
                "permissions_boundary",
                "tags.team",
                "tags.cost",
            ],
        ),
        (two, &["permissions_boundary", "managed_policy_arns"]),
    ]
}

#[tokio::test]
async fn role() {
    let Some(client) = client().await else { return };
    One::new(&client, "r1").life(sample(), changes()).await;
}

#[tokio::test]
async fn policy() {
    let Some(client) = client().await else { return };
    let policy = |bucket: &str| Policy {
        description: Some("reads".into()),
        tags: Tags::from([("team", bucket)]),
        ..Policy::new("reads-buckets", reads(bucket))
    };
    // More versions than IAM keeps.
    let fields: &[&str] = &["document.statements.0.resources", "tags.team"];
    let changes = ["b", "c", "d", "e", "f", "g"].map(|bucket| (policy(bucket), fields)).to_vec();
    One::new(&client, "p1").life(policy("a"), changes).await;
}

#[tokio::test]
async fn instance_profile() {
    let Some(client) = client().await else { return };
    let roles = ["ip-one", "ip-two"].map(|name| Role::assumed_by(name, "ec2.amazonaws.com"));
    let mut made = [One::new(&client, "ip1"), One::new(&client, "ip2")];
    for (one, role) in made.iter_mut().zip(&roles) {
        one.apply(role).await;
    }
    let profile = |role: &str| InstanceProfile {
        name: "node".into(),
        path: None,
        role: role.into(),
        tags: Tags::default(),
    };
    One::new(&client, "ip3").life(profile("ip-one"), vec![(profile("ip-two"), &["role"])]).await;
    for (one, role) in made.iter().zip(&roles) {
        one.delete(role).await;
    }
}
