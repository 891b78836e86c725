//! Databases through their lives in the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "rds", feature = "ec2"))]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    ec2::{Subnet, Vpc},
    rds::{Instance, ParameterGroup, SubnetGroup},
    secretsmanager::{Secret, SecretValue},
};
use causeway_core::{Name, Stack, Tags, Value, plan::Action, testing::Lifecycle, text};
use std::collections::BTreeMap;

/// What the changed variants change.
struct Wanted {
    subnets: usize,
    version: &'static str,
    class: &'static str,
    storage: i32,
    parameters: &'static [(&'static str, &'static str)],
    protected: bool,
    password: &'static str,
    team: &'static str,
}

const SAMPLE: Wanted = Wanted {
    subnets: 2,
    version: "16.4",
    class: "db.t4g.micro",
    storage: 20,
    parameters: &[("rds.force_ssl", "1"), ("max_connections", "200")],
    protected: true,
    password: "first-password",
    team: "one",
};

/// A database with the groups that it stands on.
pub(crate) fn sample() -> Stack {
    stack(&SAMPLE)
}

fn stack(wanted: &Wanted) -> Stack {
    let mut stack = Stack::new("rds");
    stack.region(REGION, |stack| {
        let vpc = stack.add(
            "vpc",
            Vpc {
                cidr_block: "10.0.0.0/16".into(),
                enable_dns_support: None,
                enable_dns_hostnames: None,
                tags: Tags::default(),
            },
        );
        let subnets: Vec<_> = (0..3)
            .map(|n| {
                let zone = ["us-east-1a", "us-east-1b", "us-east-1c"][n];
                let subnet = Subnet {
                    vpc_id: vpc.vpc_id.clone(),
                    cidr_block: format!("10.0.{n}.0/24").into(),
                    availability_zone: Some(zone.into()),
                    map_public_ip_on_launch: None,
                    private_dns_hostname_type_on_launch: None,
                    tags: Tags::default(),
                };
                stack.add(&format!("subnet-{n}"), subnet).subnet_id.clone()
            })
            .collect();
        let tags = Tags::from([("team", wanted.team)]);
        let group = stack.add(
            "subnets",
            SubnetGroup {
                name: Name::generated("coder"),
                description: "where the database stands".into(),
                subnet_ids: subnets.into_iter().take(wanted.subnets).collect(),
                tags: tags.clone(),
            },
        );
        let parameters = wanted.parameters.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        let major = wanted.version.split('.').next().unwrap();
        let parameters = stack.add(
            "parameters",
            ParameterGroup {
                name: Name::generated("coder"),
                family: format!("postgres{major}"),
                description: "of the database".into(),
                parameters: parameters.collect::<BTreeMap<_, _>>(),
                tags: tags.clone(),
            },
        );
        let plain = causeway_core::Secret::new(wanted.password);
        let secret = stack.add("password", Secret::new("rds-password", SecretValue::Plain(plain)));
        let mut instance = instance(wanted);
        instance.master_password_secret_arn = Some(secret.arn.clone());
        instance.master_password_version = Some(text!(secret.version_id));
        instance.db_subnet_group_name = Some(group.name.clone());
        instance.db_parameter_group_name = Some(parameters.name.clone());
        instance.tags = tags;
        stack.add("db", instance);
    });
    stack
}

fn instance(wanted: &Wanted) -> Instance {
    Instance {
        identifier: "coder".into(),
        engine: "postgres".into(),
        engine_version: Some(wanted.version.into()),
        instance_class: wanted.class.into(),
        allocated_storage: wanted.storage,
        max_allocated_storage: Some(100),
        storage_type: Some("gp3".into()),
        iops: None,
        storage_throughput: None,
        storage_encrypted: Some(true),
        kms_key_id: None,
        db_name: Some("coder".into()),
        master_username: "coder".into(),
        master_password_secret_arn: None,
        master_password_version: None,
        manage_master_user_password: None,
        master_user_secret_kms_key_id: None,
        db_subnet_group_name: None,
        vpc_security_group_ids: None,
        db_parameter_group_name: None,
        parameters_applied: None,
        multi_az: Some(false),
        publicly_accessible: Some(false),
        backup_retention_period: Some(7),
        preferred_backup_window: Some("08:00-09:00".into()),
        preferred_maintenance_window: Some("Sun:09:30-Sun:10:30".into()),
        deletion_protection: Some(wanted.protected),
        auto_minor_version_upgrade: Some(true),
        performance_insights_enabled: None,
        performance_insights_retention_period: None,
        enabled_cloudwatch_logs_exports: Some(
            ["postgresql", "upgrade"].map(str::to_owned).into_iter().collect(),
        ),
        copy_tags_to_snapshot: Some(true),
        skip_final_snapshot: None,
        tags: Tags::default(),
    }
}

fn action(steps: &[(causeway_core::Address, Action)], address: &str) -> Option<Action> {
    steps.iter().find(|(a, _)| a.0 == address).map(|(_, action)| *action)
}

#[tokio::test]
async fn a_database_lives_changes_and_leaves_a_snapshot() {
    let account = "000000002001";
    let aws = client(account).await;
    let mut life = Lifecycle::start(registry(account).await, stack(&SAMPLE)).await;
    let outputs = life.outputs("db").await;
    assert_ne!(outputs["address"], "");
    assert_eq!(outputs["engine_version"], "16.4");

    let more = Wanted {
        subnets: 3,
        version: "16.6",
        class: "db.t4g.small",
        storage: 40,
        // None is taken away: the emulator cannot reset one.
        parameters: &[("rds.force_ssl", "0"), ("max_connections", "200")],
        password: "second-password",
        team: "two",
        ..SAMPLE
    };
    let steps = life.change("more of everything", stack(&more)).await;
    assert_eq!(action(&steps, "subnets"), Some(Action::Update));
    assert_eq!(action(&steps, "db"), Some(Action::Update));
    assert_eq!(action(&steps, "vpc"), None);
    assert_eq!(life.outputs("db").await["engine_version"], "16.6");

    life.drift("protection was turned off", "db", async {
        let call = aws.rds.modify_db_instance().db_instance_identifier("coder").deletion_protection(false);
        call.apply_immediately(true).send().await.unwrap();
    })
    .await;

    life.end().await;
    let left = aws.rds.describe_db_snapshots().db_instance_identifier("coder").send().await.unwrap();
    let names: Vec<_> = left.db_snapshots().iter().filter_map(|s| s.db_snapshot_identifier()).collect();
    assert!(names.iter().any(|n| n.starts_with("coder-final-")), "{names:?}");
    assert!(names.iter().any(|n| n.starts_with("coder-kept-")), "{names:?}");
    assert!(!names.iter().any(|n| n.contains("before")), "{names:?}");
}

#[tokio::test]
async fn a_major_upgrade_takes_a_snapshot_first() {
    let account = "000000002002";
    let aws = client(account).await;
    let mut life = Lifecycle::start(registry(account).await, stack(&SAMPLE)).await;
    let steps = life.change("another major version", stack(&Wanted { version: "17", ..SAMPLE })).await;
    assert_eq!(action(&steps, "db"), Some(Action::Update));
    let outputs = life.outputs("db").await;
    assert!(outputs["engine_version"].as_str().unwrap().starts_with("17"), "{outputs}");
    let taken =
        aws.rds.describe_db_snapshots().db_snapshot_identifier("coder-before-17").send().await.unwrap();
    assert!(taken.db_snapshots()[0].engine_version().unwrap().starts_with("16"));
    life.end().await;
}

#[tokio::test]
async fn a_group_that_others_made_is_seen_as_theirs() {
    let account = "000000002003";
    let aws = client(account).await;
    let call = aws.rds.create_db_parameter_group().db_parameter_group_name("theirs");
    call.db_parameter_group_family("postgres16").description("theirs").send().await.unwrap();
    let theirs = ParameterGroup {
        name: "theirs".into(),
        family: "postgres16".into(),
        description: "theirs".into(),
        parameters: BTreeMap::new(),
        tags: Tags::default(),
    };
    let address = causeway_core::Address::from("group");
    let cx = causeway_core::Cx { client: &aws, address: &address, instance: "", recorded: None };
    let live = causeway_core::Resource::read(&theirs, &cx).await.unwrap().unwrap();
    assert_eq!(live.owner, causeway_core::Owner::Nobody);
    let generated = ParameterGroup { name: Name::generated("theirs"), ..theirs };
    assert!(causeway_core::Resource::read(&generated, &cx).await.unwrap().is_none());
    let _: Value<String> = live.outputs.name.into();
}

#[tokio::test]
async fn rds_keeps_the_password_while_it_is_told_to() {
    let account = "000000002004";
    let aws = client(account).await;
    let stack = |managed: bool| {
        let mut stack = Stack::new("kept");
        stack.region(REGION, |stack| {
            let plain = causeway_core::Secret::new("a-password-of-ours");
            let secret = stack.add("password", Secret::new("rds-own", SecretValue::Plain(plain)));
            let mut instance = instance(&SAMPLE);
            instance.identifier = "kept".into();
            instance.skip_final_snapshot = Some(true);
            instance.manage_master_user_password = Some(managed);
            instance.master_password_secret_arn = (!managed).then(|| secret.arn.clone());
            stack.add("db", instance);
        });
        stack
    };
    let mut life = Lifecycle::start(registry(account).await, stack(true)).await;
    let arn = life.outputs("db").await["master_user_secret_arn"].as_str().unwrap().to_owned();
    let kept = aws.secretsmanager.value(&arn.as_str().into()).await.unwrap();
    assert!(kept.expose().unwrap().contains(r#""username""#));
    let steps = life.change("a password of ours", stack(false)).await;
    assert_eq!(steps, [("db".into(), Action::Update)]);
    assert!(life.outputs("db").await["master_user_secret_arn"].is_null());
    life.end().await;
}
