//! Coder itself: its image, its task, its service.

use super::{
    Architecture, Ecs, balancer::Balancer, database::Database, environment, network::Networks,
    security::Security,
};
use crate::config::{Given, SecretSource, StackConfig};
use causeway_aws::{
    ecr::{ExistingImage, Image, Repository},
    ecs::{
        Alternate, BLUE_GREEN, CircuitBreaker, Cluster, Container, ContainerInsights,
        DeploymentConfiguration, LinuxParameters, LoadBalancer, LogConfiguration, NetworkConfiguration,
        PortMapping, Rehearsal, RuntimePlatform, Service, TaskDefinition, image_tag,
    },
    iam::{PolicyDocument, Role, Statement},
    id::Arn,
    logs::LogGroup,
    secretsmanager::{Secret, SecretValue},
};
use causeway_core::{Handle, Set, Stack, Tags, Value, text};
use std::collections::BTreeMap;

/// What the app stands on.
pub(super) struct Around<'a> {
    pub network: &'a Networks,
    pub security: &'a Security,
    pub database: &'a Database,
    pub balancer: &'a Balancer,
}

/// What the rest of the stack needs of the app.
pub(super) struct App {
    pub cluster: Value<String>,
    pub service: Value<String>,
}

/// The container, and the name of everything that is about it.
pub(super) const CODER: &str = "coder";

pub(super) fn app(
    stack: &mut Stack,
    common: &StackConfig,
    config: &Ecs,
    given: &Given,
    around: &Around<'_>,
) -> App {
    let prefix = stack.name().to_owned();
    let repository = stack.add(
        "registry",
        Repository {
            force_delete: Some(config.image.force_delete),
            ..Repository::new(config.image.repository.as_str())
        },
    );
    stack.output("repository", &repository.repository_uri);
    stack.scope("app", |stack| {
        let digest = image(stack, config, given, &repository);
        let logs = LogGroup::new(format!("/ecs/{prefix}"), i32::from(config.logs.days));
        let logs = stack.add("logs", logs);
        let secrets = secrets(stack, config, given, around);
        let task = task(
            stack,
            &Task { common, config, around, repository: &repository, digest, logs: &logs, secrets },
        );
        let cluster = stack.add(
            "cluster",
            Cluster {
                name: prefix.clone(),
                container_insights: Some(ContainerInsights::Enabled),
                capacity_providers: None,
                default_capacity_provider_strategy: None,
                tags: Tags::default(),
            },
        );
        let wanted = &config.service;
        let network = NetworkConfiguration {
            subnets: around.network.public.clone(),
            security_groups: Some(Set(vec![around.security.service.clone()])),
            // Public subnets have no NAT gateway; the security group lets nobody but the load balancer in.
            assign_public_ip: Some(true),
        };
        let rehearsal = around.balancer.rehearsal.as_ref().map(|(targets, rule)| {
            let rehearsal = Rehearsal {
                cluster: cluster.name.clone(),
                service: prefix.clone(),
                task_definition: task.arn.clone(),
                network_configuration: network.clone(),
                launch_type: Some("FARGATE".into()),
                port: i32::from(environment::PORT),
                target_group_arn: targets.clone(),
                grace_seconds: wanted.health_check_grace_seconds,
            };
            let rehearsal = stack.add("rehearsal", rehearsal);
            stack.after(rehearsal.address(), rule);
            rehearsal
        });
        let bake = config.deployment.bake_minutes();
        let alternate = around.balancer.green.as_ref().map(|green| Alternate {
            target_group_arn: green.target_group.clone(),
            production_listener_rule: green.rule.clone(),
            test_listener_rule: None,
            role_arn: stack.add("infrastructure-role", infrastructure_role(&prefix)).arn.clone(),
        });
        let service = stack.add(
            "service",
            Service {
                name: prefix.clone(),
                cluster: cluster.name.clone(),
                task_definition: task.arn.clone(),
                desired_count: i32::try_from(wanted.count).ok(),
                launch_type: Some("FARGATE".into()),
                capacity_provider_strategy: None,
                platform_version: None,
                network_configuration: Some(network),
                load_balancers: vec![LoadBalancer {
                    target_group_arn: around.balancer.target_group.clone(),
                    container_name: CODER.into(),
                    container_port: i32::from(environment::PORT),
                    alternate,
                }],
                health_check_grace_period_seconds: i32::try_from(wanted.health_check_grace_seconds).ok(),
                deployment_configuration: Some(DeploymentConfiguration {
                    minimum_healthy_percent: Some(100),
                    maximum_percent: Some(200),
                    deployment_circuit_breaker: Some(CircuitBreaker { enable: true, rollback: true }),
                    alarms: None,
                    strategy: bake.map(|_| BLUE_GREEN.to_owned()),
                    bake_time_in_minutes: bake.map(i32::from),
                }),
                enable_execute_command: Some(wanted.execute_command),
                propagate_tags: Some("SERVICE".into()),
                enable_ecs_managed_tags: Some(true),
                tags: Tags::default(),
            },
        );
        stack.after(service.address(), &around.balancer.listener);
        if let Some(rehearsal) = &rehearsal {
            stack.after(service.address(), rehearsal.address());
        }
        stack.output("cluster", &cluster.name);
        stack.output("service", &service.name);
        stack.output("task_definition", &service.task_definition);
        stack.output("log_group", &logs.name);
        App { cluster: cluster.name.clone(), service: service.name.clone() }
    })
}

/// The digest that runs: of the folder that is pushed, the one that was given, or the one that the tag has now.
fn image(stack: &mut Stack, config: &Ecs, given: &Given, repository: &Handle<Repository>) -> Value<String> {
    let tag = image_tag(&config.image.version);
    let digest = match (&config.image.source, &given.source_digest, &config.image.digest) {
        (Some(source), Some(digest), _) => {
            let image = Image {
                repository: repository.name.clone(),
                tag,
                digest: digest.clone(),
                source: source.clone(),
            };
            stack.add("image", image).digest.clone()
        }
        (_, _, Some(digest)) => Value::Known(digest.clone()),
        _ => stack
            .add("image-digest", ExistingImage { repository: repository.name.clone(), tag })
            .digest
            .clone(),
    };
    stack.output("image_digest", &digest);
    digest
}

/// Every secret variable, as ECS is told where to find it.
fn secrets(stack: &mut Stack, config: &Ecs, given: &Given, around: &Around<'_>) -> Secrets {
    let mut all = Secrets::default();
    all.add(environment::DATABASE, around.database.url_secret.clone(), None);
    for (name, source) in &config.secrets {
        match (source, given.secrets.get(&format!("ecs.secrets.{name}"))) {
            (SecretSource::Aws { id, key }, _) => {
                all.add(name, Value::Known(Arn::from(id.as_str())), key.as_deref());
            }
            (_, Some(value)) => {
                let secret = Secret {
                    kms_key_id: Some(around.security.key.clone()),
                    ..Secret::new(format!("{}/{name}", stack.name()), SecretValue::Plain(value.clone()))
                };
                let secret = stack.scope("secrets", |stack| stack.add(name, secret));
                all.add(name, secret.arn.clone(), None);
            }
            // Whoever builds the stack has told people already that the value is missing.
            (_, None) => {}
        }
    }
    all
}

#[derive(Default)]
struct Secrets {
    from: BTreeMap<String, Value<String>>,
    arns: Vec<Value<String>>,
}

impl Secrets {
    fn add(&mut self, name: &str, arn: Value<Arn>, key: Option<&str>) {
        let from = key.map_or_else(|| arn.cast(), |key| text!(arn, ":", key, "::"));
        self.from.insert(name.to_owned(), from);
        self.arns.push(arn.cast());
    }
}

struct Task<'a> {
    common: &'a StackConfig,
    config: &'a Ecs,
    around: &'a Around<'a>,
    repository: &'a Handle<Repository>,
    digest: Value<String>,
    logs: &'a Handle<LogGroup>,
    secrets: Secrets,
}

fn task(stack: &mut Stack, task: &Task<'_>) -> Handle<TaskDefinition> {
    let wanted = &task.config.service;
    let execution = stack.add("execution-role", execution_role(stack.name(), task));
    let role = stack.add("task-role", task_role(stack.name(), wanted.execute_command));
    let mut environment: BTreeMap<String, Value<String>> =
        environment::own(task.config).into_iter().map(|(k, v)| (k, v.into())).collect();
    environment.extend(task.config.environment.iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))));
    let container = Container {
        name: CODER.into(),
        image: text!(task.repository.repository_uri, "@", task.digest),
        essential: Some(true),
        port_mappings: vec![PortMapping::tcp(i32::from(environment::PORT))],
        environment,
        secrets: task.secrets.from.clone(),
        log_configuration: Some(LogConfiguration::awslogs(
            task.logs.name.clone(),
            task.common.region.as_str(),
            CODER,
        )),
        linux_parameters: wanted
            .execute_command
            .then_some(LinuxParameters { init_process_enabled: Some(true) }),
        // Coder finishes the requests that it has; 30 seconds, the default, cut off long ones.
        stop_timeout: Some(60),
        ..Container::default()
    };
    let architecture = match wanted.architecture {
        Architecture::X86_64 => "X86_64",
        Architecture::Arm64 => "ARM64",
    };
    stack.add(
        "task",
        TaskDefinition {
            family: stack.name().to_owned(),
            cpu: Some(wanted.cpu),
            memory: Some(wanted.memory),
            network_mode: Some("awsvpc".into()),
            requires_compatibilities: Some(["FARGATE".to_owned()].into_iter().collect()),
            execution_role_arn: Some(execution.arn.clone()),
            task_role_arn: Some(role.arn.clone()),
            runtime_platform: Some(RuntimePlatform {
                cpu_architecture: architecture.into(),
                operating_system_family: "LINUX".into(),
            }),
            ephemeral_storage: None,
            container_definitions: vec![container],
            tags: Tags::from([(super::VERSION, super::version_tag(&task.config.image.version))]),
        },
    )
}

/// What ECS itself needs to start a task: the image, the secrets, the log streams, and nothing else.
fn execution_role(stack: &str, task: &Task<'_>) -> Role {
    let pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
    let statements = [
        Statement::allow(["ecr:GetAuthorizationToken"], ["*"]),
        Statement::allow(pull, [task.repository.arn.cast::<String>()]),
        Statement::allow(["logs:CreateLogStream", "logs:PutLogEvents"], [text!(task.logs.arn, ":*")]),
        Statement::allow(["secretsmanager:GetSecretValue"], task.secrets.arns.clone()),
        Statement::allow(["kms:Decrypt"], [task.around.security.key.cast::<String>()]),
    ];
    Role {
        description: Some("Starts the tasks of Coder".into()),
        inline_policies: BTreeMap::from([("start".into(), PolicyDocument::new(statements))]),
        ..Role::assumed_by(format!("{stack}-execution"), "ecs-tasks.amazonaws.com")
    }
}

/// As whom ECS moves the weights of the listener rule at a blue/green deployment:
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AmazonECSInfrastructureRolePolicyForLoadBalancers.html>
fn infrastructure_role(stack: &str) -> Role {
    let policy = "arn:aws:iam::aws:policy/AmazonECSInfrastructureRolePolicyForLoadBalancers";
    Role {
        description: Some("Turns the load balancer from one revision of Coder to the next".into()),
        managed_policy_arns: Set(vec![Arn::from(policy).into()]),
        ..Role::assumed_by(format!("{stack}-infrastructure"), "ecs.amazonaws.com")
    }
}

/// What Coder itself may do in the account: nothing, but to let people into its task if that is asked for.
fn task_role(stack: &str, execute_command: bool) -> Role {
    let channels = [
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ];
    let policy = PolicyDocument::new([Statement::allow(channels, ["*"])]);
    Role {
        description: Some("What Coder may do in this account".into()),
        inline_policies: execute_command
            .then(|| ("execute-command".to_owned(), policy))
            .into_iter()
            .collect(),
        ..Role::assumed_by(format!("{stack}-task"), "ecs-tasks.amazonaws.com")
    }
}
