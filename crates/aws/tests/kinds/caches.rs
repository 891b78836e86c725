//! Caches, with and without cluster mode.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "elasticache", feature = "ec2"))]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    ec2::{Subnet, Vpc},
    elasticache::{ReplicationGroup, SubnetGroup},
    secretsmanager::{Secret, SecretValue},
};
use causeway_core::{Address, Name, Stack, Tags, Value, plan::Action, testing::Lifecycle, text};

fn cache(cluster: bool) -> ReplicationGroup {
    ReplicationGroup {
        id: "litellm".into(),
        description: "keys and limits".into(),
        engine: "valkey".into(),
        engine_version: "8.0".into(),
        cache_node_type: "cache.r7g.large".into(),
        port: None,
        cluster_enabled: cluster,
        num_node_groups: if cluster { 2 } else { 1 },
        replicas_per_node_group: 1,
        automatic_failover_enabled: Some(true),
        multi_az_enabled: Some(true),
        cache_subnet_group_name: None,
        security_group_ids: None,
        cache_parameter_group_name: None,
        at_rest_encryption_enabled: Some(true),
        kms_key_id: None,
        transit_encryption_enabled: Some(true),
        auth_token_secret_arn: None,
        auth_token_version: None,
        snapshot_retention_limit: Some(7),
        snapshot_window: Some("05:00-06:00".into()),
        preferred_maintenance_window: Some("Sun:06:30-Sun:07:30".into()),
        auto_minor_version_upgrade: Some(true),
        log_delivery: [("slow-log".to_owned(), Value::from("/cache/slow"))].into(),
        skip_final_snapshot: None,
        tags: Tags::from([("team", "one")]),
    }
}

/// A network of `subnets` subnets, the password, and the cache.
fn stack(subnets: u8, password: &str, cache: &ReplicationGroup) -> Stack {
    let mut stack = Stack::new("caches");
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
        let subnet = |n: u8| Subnet {
            vpc_id: vpc.vpc_id.clone(),
            cidr_block: format!("10.0.{n}.0/24").into(),
            availability_zone: Some(format!("us-east-1{}", (b'a' + n) as char).into()),
            map_public_ip_on_launch: None,
            private_dns_hostname_type_on_launch: None,
            tags: Tags::default(),
        };
        let subnets: Vec<_> = (0..3)
            .map(|n| stack.add(&format!("subnet-{n}"), subnet(n)).subnet_id.clone())
            .collect::<Vec<_>>()[..usize::from(subnets)]
            .to_vec();
        let group = stack.add(
            "subnets",
            SubnetGroup {
                name: Name::from("litellm"),
                description: "where the cache stands".into(),
                subnet_ids: subnets.into_iter().collect(),
                tags: cache.tags.clone(),
            },
        );
        let plain = causeway_core::Secret::new(password);
        let secret = stack.add("token", Secret::new("cache-token", SecretValue::Plain(plain)));
        let mut cache = cache.clone();
        cache.cache_subnet_group_name = Some(group.name.clone());
        cache.auth_token_secret_arn = Some(secret.arn.clone());
        cache.auth_token_version = Some(text!(secret.version_id));
        stack.add("cache", cache);
    });
    stack
}

fn action(steps: &[(Address, Action)], address: &str) -> Option<Action> {
    steps.iter().find(|(a, _)| a.0 == address).map(|(_, action)| *action)
}

const FIRST: &str = "first-password-of-all";

#[tokio::test]
async fn a_cluster_grows_shrinks_rotates_and_leaves_a_snapshot() {
    let account = "000000003111";
    let aws = client(account).await;
    let sample = cache(true);
    let mut life = Lifecycle::start(registry(account).await, stack(2, FIRST, &sample)).await;
    let outputs = life.outputs("cache").await;
    assert!(outputs["address"].as_str().unwrap().starts_with("clustercfg.litellm."), "{outputs}");
    assert_eq!(outputs["port"], 6379);
    assert_eq!(outputs["cluster_enabled"], true);
    assert!(outputs["reader_address"].is_null());

    life.drift("snapshots were turned off", "cache", async {
        let off = aws.elasticache.modify_replication_group().replication_group_id("litellm");
        off.snapshot_retention_limit(0).apply_immediately(true).send().await.unwrap();
    })
    .await;
    life.drift("a replica that nobody asked for", "cache", async {
        let more = aws.elasticache.increase_replica_count().replication_group_id("litellm");
        more.new_replica_count(3).apply_immediately(true).send().await.unwrap();
    })
    .await;

    let larger = ReplicationGroup {
        engine_version: "8.1".into(),
        cache_node_type: "cache.r7g.xlarge".into(),
        num_node_groups: 3,
        replicas_per_node_group: 2,
        log_delivery: [("engine-log".to_owned(), Value::from("/cache/engine"))].into(),
        description: "keys".into(),
        tags: Tags::from([("team", "two")]),
        ..sample.clone()
    };
    let steps = life.change("more of everything", stack(3, "second-password-of-all", &larger)).await;
    assert_eq!(action(&steps, "cache"), Some(Action::Update));
    assert_eq!(action(&steps, "subnets"), Some(Action::Update));
    let there = aws.elasticache.describe_replication_groups().send().await.unwrap();
    assert_eq!(there.replication_groups()[0].member_clusters().len(), 9);

    let smaller = ReplicationGroup { num_node_groups: 1, replicas_per_node_group: 1, ..larger };
    let steps = life.change("fewer nodes", stack(3, "second-password-of-all", &smaller)).await;
    assert_eq!(steps, [("cache".into(), Action::Update)]);

    life.end().await;
    let left = aws.elasticache.describe_snapshots().send().await.unwrap();
    let names: Vec<_> = left.snapshots().iter().filter_map(|s| s.snapshot_name()).collect();
    assert!(matches!(names[..], [one] if one.starts_with("litellm-final-")), "{names:?}");
    let left = aws.elasticache.describe_cache_subnet_groups().send().await.unwrap();
    assert!(left.cache_subnet_groups().is_empty());
}

#[tokio::test]
async fn one_primary_has_a_reader_and_loses_its_replica_after_its_failover() {
    let account = "000000003112";
    let sample = ReplicationGroup { skip_final_snapshot: Some(true), ..cache(false) };
    let mut life = Lifecycle::start(registry(account).await, stack(2, FIRST, &sample)).await;
    let outputs = life.outputs("cache").await;
    assert!(outputs["address"].as_str().unwrap().starts_with("master.litellm."), "{outputs}");
    assert!(outputs["reader_address"].as_str().unwrap().starts_with("replica.litellm."), "{outputs}");
    let alone = ReplicationGroup {
        automatic_failover_enabled: Some(false),
        multi_az_enabled: Some(false),
        replicas_per_node_group: 0,
        ..sample.clone()
    };
    let steps = life.change("alone", stack(2, FIRST, &alone)).await;
    assert_eq!(steps, [("cache".into(), Action::Update)]);
    life.change("with a replica again", stack(2, FIRST, &sample)).await;
    // Another mode is another cache.
    let steps = life.change("cluster mode", stack(2, FIRST, &cache(true))).await;
    assert_eq!(action(&steps, "cache"), Some(Action::ReplaceDeleteFirst));
    life.end().await;
}
