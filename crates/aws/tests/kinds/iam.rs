//! Roles, policies and instance profiles through their lives in the sandbox.
#![cfg(feature = "iam")]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    iam::{InstanceProfile, Policy, PolicyDocument, Principal, Role, Statement},
    id::Arn,
};
use causeway_core::{Name, Set, Stack, Tags, plan::Action, testing::Lifecycle, text};

const ACCOUNT: &str = "000000000534";

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

fn changes() -> [(&'static str, Role); 2] {
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
    [("all of it", one), ("less of it", two)]
}

fn in_stack(name: &str, build: impl FnOnce(&mut Stack)) -> Stack {
    let mut stack = Stack::new(name);
    stack.region(REGION, build);
    stack
}

fn role_alone(role: &Role) -> Stack {
    in_stack("role", |stack| {
        stack.add("role", role.clone());
    })
}

#[tokio::test]
async fn role() {
    let iam = &client(ACCOUNT).await.iam;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, role_alone(&sample())).await;
    let name = life.outputs("role").await["name"].as_str().expect("a name").to_owned();
    life.drift("taken off", "role", async {
        let delete = iam.delete_role_policy().role_name(&name).policy_name("read");
        delete.send().await.expect("the emulator takes it");
    })
    .await;
    for (what, changed) in changes() {
        assert_eq!(life.change(what, role_alone(&changed)).await, [("role".into(), Action::Update)]);
        if changed.permissions_boundary.is_some() {
            life.drift("unbounded", "role", async {
                let delete = iam.delete_role_permissions_boundary().role_name(&name);
                delete.send().await.expect("the emulator takes it");
            })
            .await;
        }
    }
    life.end().await;
}

/// A policy of our own, attached to a role that trusts another role of the stack.
fn policy_and_roles(bucket: &str) -> Stack {
    in_stack("policy", |stack| {
        let policy = Policy { description: Some("reads".into()), ..Policy::new("reads", reads(bucket)) };
        let policy = stack.add("policy", policy);
        let task = stack.add("task", Role::assumed_by("policy-task", "ecs-tasks.amazonaws.com"));
        let trust = Statement::assume("sts:AssumeRole", Principal::aws(text!(task.arn)));
        let other = Role {
            managed_policy_arns: Set(vec![policy.arn.clone()]),
            ..Role::trusting("policy-other", [trust])
        };
        stack.add("other", other);
    })
}

#[tokio::test]
async fn policy() {
    let mut life = Lifecycle::start(registry(ACCOUNT).await, policy_and_roles("a")).await;
    // More versions than IAM keeps.
    for bucket in ["b", "c", "d", "e", "f", "g"] {
        let steps = life.change(bucket, policy_and_roles(bucket)).await;
        assert_eq!(steps, [("policy".into(), Action::Update)]);
    }
    life.end().await;
}

fn profile(second: bool) -> Stack {
    in_stack("profile", |stack| {
        let [one, two] = ["profile-one", "profile-two"]
            .map(|name| stack.add(name, Role::assumed_by(name, "ec2.amazonaws.com")).name.clone());
        let role = if second { two } else { one };
        stack
            .add("profile", InstanceProfile { name: "node".into(), path: None, role, tags: Tags::default() });
    })
}

#[tokio::test]
async fn instance_profile() {
    let mut life = Lifecycle::start(registry(ACCOUNT).await, profile(false)).await;
    assert_eq!(life.change("role", profile(true)).await, [("profile".into(), Action::Update)]);
    life.end().await;
}
