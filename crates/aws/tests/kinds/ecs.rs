//! Clusters, task definitions and services through their lives in the sandbox, where tasks really run.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "ecs", feature = "ec2", feature = "elbv2"))]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    Aws, AwsStack,
    ec2::{InternetGateway, SecurityGroup, Subnet, Vpc},
    ecs::{
        CircuitBreaker, Cluster, Container, ContainerInsights, DeploymentConfiguration, LoadBalancer,
        NetworkConfiguration, PortMapping, RuntimePlatform, Service, Strategy, TaskDefinition, Ulimit,
        diagnosis,
    },
    elbv2,
};
use causeway_core::{
    Address, Cx, Engine, Handle, Owner, Resource, Set, Stack, Tags,
    engine::Run,
    plan::{Action, PlanOptions},
    store::MemoryStore,
    testing::Lifecycle,
};
use std::{collections::BTreeMap, sync::Arc};

/// What the changed variants change.
#[derive(Clone, Copy)]
struct Wanted {
    image: &'static str,
    count: Option<i32>,
    insights: ContainerInsights,
    spot: bool,
    log_level: Option<&'static str>,
    team: &'static str,
    execute: bool,
    /// Seconds, for a service behind a load balancer.
    grace: Option<i32>,
}

const SAMPLE: Wanted = Wanted {
    image: "ghcr.io/coder/coder:v2.17.2",
    count: Some(1),
    insights: ContainerInsights::Enabled,
    spot: false,
    log_level: Some("debug"),
    team: "one",
    execute: false,
    grace: None,
};

fn stack(wanted: Wanted) -> Stack {
    let mut stack = Stack::new("ecs");
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
        let subnets: Vec<_> = ["us-east-1a", "us-east-1b"]
            .into_iter()
            .enumerate()
            .map(|(n, zone)| {
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
        let front = wanted.grace.map(|_| {
            let gateway = stack.add("gateway", gateway(&vpc));
            let group = stack.add("front-group", security_group(&vpc));
            let target = elbv2::TargetGroup {
                health_check: elbv2::HealthCheck {
                    path: Some("/healthz".into()),
                    interval_seconds: Some(5),
                    timeout_seconds: Some(2),
                    healthy_threshold: Some(2),
                    unhealthy_threshold: Some(2),
                    ..elbv2::HealthCheck::default()
                },
                ..elbv2::TargetGroup::ip("coder", vpc.vpc_id.clone(), 3000, "/healthz")
            };
            let target = stack.add("target", target);
            let balancer = elbv2::LoadBalancer::internet_facing(
                "coder",
                Set(subnets.clone()),
                Set(vec![group.security_group_id.clone()]),
            );
            let balancer = stack.add("balancer", balancer);
            stack.after(balancer.address(), gateway.address());
            let forward = elbv2::Action::forward(target.arn.clone());
            let listener = stack.add("listener", elbv2::Listener::http(balancer.arn.clone(), forward));
            (target, listener)
        });
        let tags = Tags::from([("team", wanted.team)]);
        let providers = if wanted.spot { vec!["FARGATE", "FARGATE_SPOT"] } else { vec!["FARGATE"] };
        let cluster = stack.add(
            "cluster",
            Cluster {
                name: "coder".into(),
                container_insights: Some(wanted.insights),
                capacity_providers: Some(providers.into_iter().map(str::to_owned).collect()),
                default_capacity_provider_strategy: Some(BTreeMap::from([(
                    "FARGATE".to_owned(),
                    Strategy { weight: 1, base: 0 },
                )])),
                tags: tags.clone(),
            },
        );
        let definition = stack.add("definition", definition(wanted, tags.clone()));
        let service = stack.add(
            "service",
            Service {
                name: "coder".into(),
                cluster: cluster.name.clone(),
                task_definition: definition.arn.clone(),
                desired_count: wanted.count,
                launch_type: Some("FARGATE".into()),
                capacity_provider_strategy: None,
                platform_version: Some("LATEST".into()),
                network_configuration: Some(NetworkConfiguration {
                    subnets: Set(subnets),
                    security_groups: None,
                    assign_public_ip: Some(true),
                }),
                load_balancers: front
                    .iter()
                    .map(|(target, _)| LoadBalancer {
                        target_group_arn: target.arn.clone(),
                        container_name: "coder".into(),
                        container_port: 3000,
                        alternate: None,
                    })
                    .collect(),
                health_check_grace_period_seconds: wanted.grace,
                deployment_configuration: Some(DeploymentConfiguration {
                    minimum_healthy_percent: Some(100),
                    maximum_percent: Some(200),
                    deployment_circuit_breaker: Some(CircuitBreaker { enable: true, rollback: true }),
                    ..DeploymentConfiguration::default()
                }),
                enable_execute_command: Some(wanted.execute),
                propagate_tags: Some("SERVICE".into()),
                enable_ecs_managed_tags: Some(true),
                tags,
            },
        );
        if let Some((_, listener)) = front {
            stack.after(service.address(), listener.address());
        }
    });
    stack
}

fn gateway(vpc: &Handle<Vpc>) -> InternetGateway {
    InternetGateway { vpc_id: vpc.vpc_id.clone(), tags: Tags::default() }
}

fn security_group(vpc: &Handle<Vpc>) -> SecurityGroup {
    SecurityGroup {
        name: "front".into(),
        description: "of the load balancer".into(),
        vpc_id: vpc.vpc_id.clone(),
        default_egress: true,
        foreign_rules: None,
        tags: Tags::default(),
    }
}

fn definition(wanted: Wanted, tags: Tags) -> TaskDefinition {
    let mut environment = BTreeMap::from([("CODER_HTTP_ADDRESS".to_owned(), "0.0.0.0:3000".into())]);
    environment.extend(wanted.log_level.map(|level| ("CODER_LOG".to_owned(), level.into())));
    TaskDefinition {
        family: "coder".into(),
        cpu: Some(1024),
        memory: Some(2048),
        network_mode: Some("awsvpc".into()),
        requires_compatibilities: Some(["FARGATE".to_owned()].into_iter().collect()),
        execution_role_arn: None,
        task_role_arn: None,
        runtime_platform: Some(RuntimePlatform {
            cpu_architecture: "X86_64".into(),
            operating_system_family: "LINUX".into(),
        }),
        ephemeral_storage: Some(30),
        container_definitions: vec![Container {
            name: "coder".into(),
            image: wanted.image.into(),
            port_mappings: vec![PortMapping::tcp(3000)],
            environment,
            ulimits: BTreeMap::from([("nofile".to_owned(), Ulimit { soft: 8192, hard: 65536 })]),
            stop_timeout: Some(5),
            ..Container::default()
        }],
        tags,
    }
}

fn actions(steps: &[(Address, Action)]) -> Vec<(&str, Action)> {
    steps.iter().map(|(a, action)| (a.0.as_str(), *action)).collect()
}

async fn revisions(aws: &Aws) -> Vec<String> {
    let found = aws.ecs.list_task_definitions().family_prefix("coder").send().await.unwrap();
    found.task_definition_arns.unwrap_or_default()
}

#[tokio::test]
async fn a_service_lives_and_changes_revision_by_revision() {
    let account = "000000003001";
    let aws = client(account).await;
    let mut life = Lifecycle::start(registry(account).await, stack(SAMPLE)).await;
    assert_eq!(revisions(&aws).await.len(), 1);

    let next = Wanted { image: "ghcr.io/coder/coder:v2.18.0", ..SAMPLE };
    let steps = life.change("another image", stack(next)).await;
    assert_eq!(actions(&steps), [("definition", Action::Update), ("service", Action::Update)]);
    assert_eq!(revisions(&aws).await.len(), 2, "the old revision stays");
    assert!(life.outputs("service").await["task_definition"].as_str().unwrap().ends_with(":2"));

    let without = Wanted { log_level: None, ..next };
    life.change("one variable less", stack(without)).await;
    assert_eq!(revisions(&aws).await.len(), 3);

    let more = Wanted {
        count: Some(2),
        insights: ContainerInsights::Disabled,
        spot: true,
        execute: true,
        ..without
    };
    let steps = life.change("more tasks", stack(more)).await;
    assert_eq!(actions(&steps), [("cluster", Action::Update), ("service", Action::Update)]);

    let team = Wanted { team: "two", ..more };
    life.change("other tags", stack(team)).await;
    assert_eq!(revisions(&aws).await.len(), 3, "tags make no revision");

    life.drift("somebody scaled it", "service", async {
        aws.ecs.update_service().cluster("coder").service("coder").desired_count(1).send().await.unwrap();
    })
    .await;

    life.end().await;
    assert!(revisions(&aws).await.is_empty());
}

#[tokio::test]
async fn a_count_that_is_not_wanted_is_left_to_scaling() {
    let account = "000000003002";
    let aws = client(account).await;
    let free = Wanted { count: None, ..SAMPLE };
    let mut life = Lifecycle::start(registry(account).await, stack(free)).await;
    aws.ecs.update_service().cluster("coder").service("coder").desired_count(2).send().await.unwrap();
    // Ends with an empty plan, although two tasks run now.
    life.change("other insights", stack(Wanted { insights: ContainerInsights::Enhanced, ..free })).await;
    let found = aws.ecs.describe_services().cluster("coder").services("coder").send().await.unwrap();
    assert_eq!(found.services()[0].desired_count(), 2);
    life.end().await;
}

#[tokio::test]
async fn a_rolled_back_deployment_is_a_failure_with_its_reasons() {
    let account = "000000003003";
    let aws = client(account).await;
    let engine = Engine::new(registry(account).await, Arc::new(MemoryStore::default()));
    let apply = async |wanted: Wanted| {
        let planned = engine.plan(&stack(wanted), &PlanOptions::default()).await.unwrap();
        engine.apply(planned, &Run { actor: "test".into(), ..Run::default() }).await.unwrap()
    };
    assert!(apply(SAMPLE).await.is_complete());

    let broken = Wanted { image: "ghcr.io/coder/coder:crash", ..SAMPLE };
    let report = apply(broken).await;
    let failed = format!("{:#?}", report.failed);
    assert!(!report.is_complete(), "ECS calls the service steady after the rollback");
    assert!(failed.contains("exit code 1") && failed.contains("service"), "{failed}");

    // The old revision serves again, and the next plan wants the new one still.
    let found = aws.ecs.describe_services().cluster("coder").services("coder").send().await.unwrap();
    assert!(found.services()[0].task_definition().unwrap().ends_with(":1"));
    let again = engine.plan(&stack(broken), &PlanOptions::default()).await.unwrap().plan;
    let steps: Vec<_> = again.steps.iter().map(|s| (s.address.0.as_str(), s.action)).collect();
    assert_eq!(steps, [("service", Action::Update)]);

    let tasks = diagnosis::stopped_tasks(&aws.ecs, "coder", "coder", None).await.unwrap();
    assert!(diagnosis::diagnose(&tasks, &[]).iter().any(|g| g.cause == diagnosis::Cause::Exit), "{tasks:#?}");

    // And what is mended goes through.
    let report = apply(Wanted { image: "ghcr.io/coder/coder:v2.18.1", ..SAMPLE }).await;
    assert!(report.is_complete(), "{:#?}", report.failed);
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_named() {
    let account = "000000003004";
    let engine = Engine::new(registry(account).await, Arc::new(MemoryStore::default()));
    let wanted = Wanted { image: "ghcr.io/coder/coder:missing", ..SAMPLE };
    let planned = engine.plan(&stack(wanted), &PlanOptions::default()).await.unwrap();
    let report = engine.apply(planned, &Run { actor: "test".into(), ..Run::default() }).await.unwrap();
    let failed = format!("{:#?}", report.failed);
    assert!(failed.contains("CannotPullContainerError") && failed.contains("push it"), "{failed}");
}

#[tokio::test]
async fn a_service_behind_a_load_balancer_waits_for_its_targets() {
    let account = "000000003005";
    let behind = Wanted { grace: Some(30), ..SAMPLE };
    let mut life = Lifecycle::start(registry(account).await, stack(behind)).await;
    let steps = life.change("more patience", stack(Wanted { grace: Some(60), ..behind })).await;
    assert_eq!(actions(&steps), [("service", Action::Update)]);
    life.end().await;
}

#[tokio::test]
async fn a_task_that_fails_its_health_checks_is_named() {
    let account = "000000003006";
    let engine = Engine::new(registry(account).await, Arc::new(MemoryStore::default()));
    let wanted = Wanted { image: "ghcr.io/coder/coder:unhealthy", grace: Some(0), ..SAMPLE };
    let planned = engine.plan(&stack(wanted), &PlanOptions::default()).await.unwrap();
    let report = engine.apply(planned, &Run { actor: "test".into(), ..Run::default() }).await.unwrap();
    let failed = format!("{:#?}", report.failed);
    assert!(failed.contains("failed ELB health checks") && failed.contains("0.0.0.0"), "{failed}");
}

#[tokio::test]
async fn a_revision_whose_registration_was_not_recorded_is_found() {
    let account = "000000003007";
    let aws = client(account).await;
    let address = Address::from("definition");
    let cx = |instance: &'static str, recorded| Cx { client: &aws, address: &address, instance, recorded };
    let owned = |stack: &str| {
        let tags = [(Tags::STACK, stack), (Tags::ADDRESS, "definition"), (Tags::INSTANCE, "i1")];
        definition(SAMPLE, Tags::from(tags))
    };
    let ours = owned("ecs");
    ours.create(&cx("i1", None)).await.unwrap();
    let first = ours.read(&cx("i1", None)).await.unwrap().unwrap();
    assert!(matches!(&first.owner, Owner::Tagged { instance, .. } if instance == "i1"));

    // Another stack registers in the same family: ours is still ours, and alone goes away.
    let theirs = owned("other");
    theirs.create(&cx("i1", None)).await.unwrap();
    let recorded = Some(first.outputs.clone());
    let live = ours.read(&cx("i1", recorded.clone())).await.unwrap().unwrap();
    assert_eq!(live.outputs.revision, 1);
    ours.delete(&cx("i1", recorded.clone()), &live).await.unwrap();
    assert!(ours.read(&cx("i1", recorded)).await.unwrap().is_none());
    let left = revisions(&aws).await;
    assert!(left.len() == 1 && left[0].ends_with(":2"), "{left:?}");
}

#[tokio::test]
async fn a_wrong_definition_is_refused_before_any_call() {
    let aws = client("000000003008").await;
    let address = Address::from("definition");
    let cx = Cx { client: &aws, address: &address, instance: "i1", recorded: None };
    let small = TaskDefinition { memory: Some(512), ..definition(SAMPLE, Tags::default()) };
    let why = small.create(&cx).await.unwrap_err().to_string();
    assert!(why.contains("2048, 3072"), "{why}");
    let plus = definition(Wanted { image: "coder:v2.17.2+b1", ..SAMPLE }, Tags::default());
    let why = plus.create(&cx).await.unwrap_err().to_string();
    assert!(why.contains("v2.17.2-b1"), "{why}");
    assert!(revisions(&aws).await.is_empty());
}
