//! Tasks that are kept running, and whether it is our revision that runs.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html>

use super::{
    Alternate, BLUE_GREEN, Strategy,
    blue_green::{self, ROLLING},
    diagnosis, from_tags, in_order_of, incomplete, live_strategy, spread, strategy_items, to_tags,
    write_tags,
};
use crate::{
    Aws, Call,
    id::{Arn, SecurityGroupId, SubnetId},
    shown::shown,
};
use aws_sdk_ecs::types::{
    self, AssignPublicIp, AwsVpcConfiguration, Deployment, DeploymentAlarms, DeploymentCircuitBreaker,
    DeploymentRolloutState, DeploymentStrategy, PropagateTags, ServiceDeploymentBrief,
    ServiceDeploymentStatus,
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff,
    error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Tasks that are kept running.
///
/// It is ready when all tasks of *our* revision run and ECS calls the deployment complete. ECS calls a service steady
/// after a rollback too; here that is a failure, with the reasons for which the tasks stopped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Service {
    /// Unique in the cluster.
    pub name: String,
    /// Name or ARN of the cluster.
    pub cluster: Value<String>,
    /// The revision that is to run.
    pub task_definition: Value<Arn>,
    /// Tasks. `None`: one at first, and then whatever scaling makes of it.
    pub desired_count: Option<i32>,
    /// Like `FARGATE`. `None`: what `capacity_provider_strategy` or the cluster says.
    pub launch_type: Option<String>,
    /// By capacity provider, instead of a launch type. `None`: the cluster's.
    pub capacity_provider_strategy: Option<BTreeMap<String, Strategy>>,
    /// Of Fargate. `None`: `LATEST`.
    pub platform_version: Option<String>,
    /// Needed for the network mode `awsvpc`.
    pub network_configuration: Option<NetworkConfiguration>,
    /// Target groups that its tasks are registered in.
    #[serde(default)]
    pub load_balancers: Vec<LoadBalancer>,
    /// Seconds after the start of a task in which failed health checks do not count. `None`: 0.
    pub health_check_grace_period_seconds: Option<i32>,
    /// How one revision takes over from another. `None`: as its fields say.
    pub deployment_configuration: Option<DeploymentConfiguration>,
    /// Whether `aws ecs execute-command` works. `None`: no.
    pub enable_execute_command: Option<bool>,
    /// Whose tags tasks get: `SERVICE`, `TASK_DEFINITION` or `NONE`. `None`: nobody's.
    pub propagate_tags: Option<String>,
    /// Whether ECS tags tasks with the names of cluster and service. `None`: no.
    pub enable_ecs_managed_tags: Option<bool>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// Where the network interfaces of tasks are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkConfiguration {
    /// All in one VPC.
    pub subnets: Set<SubnetId>,
    /// `None`: the default group of the VPC.
    pub security_groups: Option<Set<SecurityGroupId>>,
    /// Whether tasks get public addresses. `None`: no.
    pub assign_public_ip: Option<bool>,
}

/// A target group that tasks are registered in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// A listener must use it before the service is made.
    pub target_group_arn: Value<Arn>,
    /// As in the task definition.
    pub container_name: String,
    /// As in the task definition.
    pub container_port: i32,
    /// The group that takes turns with this one at blue/green deployments. `None`: those are not possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternate: Option<Alternate>,
}

/// How one revision takes over from another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeploymentConfiguration {
    /// Percent of the desired count that always run. `None`: 100.
    pub minimum_healthy_percent: Option<i32>,
    /// Percent of the desired count that run at most. `None`: 200.
    pub maximum_percent: Option<i32>,
    /// What happens when tasks keep failing. `None`: ECS tries for ever.
    pub deployment_circuit_breaker: Option<CircuitBreaker>,
    /// Alarms that stop a deployment. `None`: none.
    pub alarms: Option<Alarms>,
    /// `ROLLING` or [`BLUE_GREEN`](super::BLUE_GREEN). `None`: rolling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Minutes for which both revisions run after the requests went over, 0 to 1440; of blue/green deployments only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake_time_in_minutes: Option<i32>,
}

/// What happens when tasks keep failing.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CircuitBreaker {
    /// Whether the deployment fails.
    pub enable: bool,
    /// Whether the last revision that worked comes back.
    pub rollback: bool,
}

/// Alarms that stop a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alarms {
    /// Names of CloudWatch alarms.
    pub alarm_names: Set<String>,
    /// Whether they are looked at.
    pub enable: bool,
    /// Whether the last revision that worked comes back.
    pub rollback: bool,
}

outputs! {
    /// What a service tells others.
    pub struct ServiceOutputs => ServiceRefs {
        /// The ARN.
        pub arn: Arn,
        /// The name.
        pub name: String,
        /// The revision that runs.
        pub task_definition: Arn,
    }
}

/// How many of the last lines of a failed task are told.
#[cfg(feature = "logs")]
const LOG_LINES: i32 = 12;

impl Resource for Service {
    const KIND: &'static str = "aws.ecs.service";
    const RECOVERY: Recovery = Recovery::Name(&["cluster", "name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("name");
    const REPLACE: &'static [&'static str] = &["name", "cluster", "launch_type"];
    const MOVES: &'static [&'static str] = &["task_definition"];
    // The circuit breaker needs at least three failed tasks, and each may take minutes to fail.
    const TIMING: Timing = Timing::seconds(150, 5, 45 * 60);
    type Client = Aws;
    type Outputs = ServiceOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let key = (self.cluster.get()?.clone(), self.name.clone());
        let Some(service) = cx.client.ecs.services.get(key).await? else { return Ok(None) };
        let status = match service.status() {
            Some("INACTIVE") => return Ok(None),
            Some("DRAINING") => Status::Pending("deleting".into()),
            _ => self.status(cx, &service).await?,
        };
        Ok(Some(self.live(&service, status)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let strategy = self.capacity_provider_strategy.as_ref().map(strategy_items).transpose()?;
        let call = cx
            .client
            .ecs
            .create_service()
            .client_token(cx.token())
            .cluster(self.cluster.get()?)
            .service_name(&self.name)
            .task_definition(self.task_definition.get()?.as_str())
            .desired_count(self.desired_count.unwrap_or(1))
            .set_launch_type(self.launch_type.as_deref().map(Into::into))
            .set_capacity_provider_strategy(strategy)
            .set_platform_version(self.platform_version.clone())
            .set_network_configuration(self.network()?)
            .set_load_balancers(Some(self.target_groups()?).filter(|all| !all.is_empty()))
            .set_health_check_grace_period_seconds(self.health_check_grace_period_seconds)
            .set_deployment_configuration(
                self.deployment_configuration.as_ref().map(|c| c.request(None)).transpose()?,
            )
            .set_enable_execute_command(self.enable_execute_command)
            .set_propagate_tags(self.propagate_tags.as_deref().map(Into::into))
            .set_enable_ecs_managed_tags(self.enable_ecs_managed_tags)
            .set_tags(to_tags(&self.tags));
        spread(call.send().await.call("ecs:CreateService")).map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let ecs = &cx.client.ecs;
        write_tags(ecs, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await?;
        if diff.changes.iter().all(|c| c.path == "tags" || c.path.starts_with("tags.")) {
            return Ok(());
        }
        let (here, there) =
            (self.deployment_configuration.as_ref(), live.spec.deployment_configuration.as_ref());
        // The tasks must have been deployed with both target groups before ECS takes the strategy:
        // <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/update-rolling-to-bluegreen.html>
        let groups_first = is_blue_green(here) && !is_blue_green(there) && diff.touches("load_balancers");
        let on = |field: &str| diff.touches(field) && !(groups_first && field == "deployment_configuration");
        let strategy = self.capacity_provider_strategy.clone().unwrap_or_default();
        let deployment = self.deployment_configuration.clone().unwrap_or_default();
        let call = ecs
            .update_service()
            .cluster(self.cluster.get()?)
            .service(&self.name)
            .set_task_definition(
                Some(self.task_definition.get()?.to_string()).filter(|_| on("task_definition")),
            )
            .set_desired_count(self.desired_count.filter(|_| on("desired_count")))
            .set_capacity_provider_strategy(
                on("capacity_provider_strategy").then(|| strategy_items(&strategy)).transpose()?,
            )
            .set_platform_version(
                on("platform_version")
                    .then(|| self.platform_version.clone().unwrap_or_else(|| "LATEST".into())),
            )
            .set_network_configuration(self.network()?.filter(|_| on("network_configuration")))
            .set_load_balancers(on("load_balancers").then(|| self.target_groups()).transpose()?)
            .set_health_check_grace_period_seconds(
                on("health_check_grace_period_seconds")
                    .then(|| self.health_check_grace_period_seconds.unwrap_or(0)),
            )
            .set_deployment_configuration(
                on("deployment_configuration").then(|| deployment.request(there)).transpose()?,
            )
            .set_enable_execute_command(
                on("enable_execute_command").then(|| self.enable_execute_command.unwrap_or(false)),
            )
            .set_propagate_tags(
                on("propagate_tags")
                    .then(|| self.propagate_tags.as_deref().map_or(PropagateTags::None, Into::into)),
            )
            .set_enable_ecs_managed_tags(
                on("enable_ecs_managed_tags").then(|| self.enable_ecs_managed_tags.unwrap_or(false)),
            )
            // ECS takes another strategy only together with new tasks.
            .set_force_new_deployment(on("capacity_provider_strategy").then_some(true));
        spread(call.send().await.call("ecs:UpdateService")).map(drop)
    }

    fn takes_longer(&self) -> Duration {
        let bake = self.deployment_configuration.as_ref().and_then(|d| d.bake_time_in_minutes);
        Duration::from_secs(60 * u64::try_from(bake.unwrap_or(0)).unwrap_or(0))
    }

    /// Stops its tasks too.
    async fn delete(&self, cx: &Cx<'_, Self>, _live: &Live<Self>) -> Result<(), Error> {
        let call =
            cx.client.ecs.delete_service().cluster(self.cluster.get()?).service(&self.name).force(true);
        call.send().await.call("ecs:DeleteService").found().map(drop)
    }
}

impl NetworkConfiguration {
    pub(super) fn request(&self) -> Result<types::NetworkConfiguration, Error> {
        let groups = self.security_groups.as_ref().map(Set::get).transpose()?;
        let public = self.assign_public_ip.unwrap_or(false);
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.subnets.get()?.into_iter().map(String::from).collect()))
            .set_security_groups(groups.map(|ids| ids.into_iter().map(String::from).collect()))
            .assign_public_ip(if public { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled })
            .build()
            .map_err(|e| incomplete("network configuration", &e))?;
        Ok(types::NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
    }
}

impl DeploymentConfiguration {
    /// `there`: what the service has. Alarms and a strategy must be taken away by name, where leaving them out would
    /// keep them.
    fn request(&self, there: Option<&Self>) -> Result<types::DeploymentConfiguration, Error> {
        let had_alarms = there.is_some_and(|d| d.alarms.is_some());
        let had_strategy = there.is_some_and(|d| d.strategy.is_some());
        let strategy = self.strategy.as_deref().or(had_strategy.then_some(ROLLING));
        let none = Alarms { alarm_names: Set::default(), enable: false, rollback: false };
        let alarms = match self.alarms.as_ref().or(had_alarms.then_some(&none)) {
            Some(alarms) => Some(
                DeploymentAlarms::builder()
                    .set_alarm_names(Some(alarms.alarm_names.get()?))
                    .enable(alarms.enable)
                    .rollback(alarms.rollback)
                    .build()
                    .map_err(|e| incomplete("deployment alarms", &e))?,
            ),
            None => None,
        };
        let breaker =
            self.deployment_circuit_breaker.unwrap_or(CircuitBreaker { enable: false, rollback: false });
        Ok(types::DeploymentConfiguration::builder()
            .minimum_healthy_percent(self.minimum_healthy_percent.unwrap_or(100))
            .maximum_percent(self.maximum_percent.unwrap_or(200))
            .deployment_circuit_breaker(
                DeploymentCircuitBreaker::builder().enable(breaker.enable).rollback(breaker.rollback).build(),
            )
            .set_alarms(alarms)
            .set_strategy(strategy.map(Into::into))
            .set_bake_time_in_minutes(self.bake_time_in_minutes)
            .build())
    }

    fn live(wanted: Option<&Self>, found: &types::DeploymentConfiguration) -> Self {
        let strategy = found.strategy().map(|s| s.as_str().to_owned());
        DeploymentConfiguration {
            strategy: shown(wanted.and_then(|w| w.strategy.as_ref()), strategy, ROLLING.into()),
            bake_time_in_minutes: shown(
                wanted.and_then(|w| w.bake_time_in_minutes.as_ref()),
                found.bake_time_in_minutes(),
                0,
            ),
            minimum_healthy_percent: found.minimum_healthy_percent(),
            maximum_percent: found.maximum_percent(),
            deployment_circuit_breaker: found
                .deployment_circuit_breaker()
                .map(|b| CircuitBreaker { enable: b.enable(), rollback: b.rollback() }),
            // ECS shows alarms that were taken away as an empty list.
            alarms: found.alarms().filter(|a| a.enable() || !a.alarm_names().is_empty()).map(|a| Alarms {
                alarm_names: a.alarm_names().iter().cloned().collect(),
                enable: a.enable(),
                rollback: a.rollback(),
            }),
        }
    }
}

impl Service {
    fn network(&self) -> Result<Option<types::NetworkConfiguration>, Error> {
        self.network_configuration.as_ref().map(NetworkConfiguration::request).transpose()
    }

    fn target_groups(&self) -> Result<Vec<types::LoadBalancer>, Error> {
        self.load_balancers
            .iter()
            .map(|lb| {
                Ok(types::LoadBalancer::builder()
                    .target_group_arn(lb.target_group_arn.get()?.as_str())
                    .container_name(&lb.container_name)
                    .container_port(lb.container_port)
                    .set_advanced_configuration(lb.alternate.as_ref().map(Alternate::request).transpose()?)
                    .build())
            })
            .collect()
    }

    /// Whether our revision runs.
    ///
    /// The engine reads with what is wanted while it waits, and with what was applied last while it only looks: either
    /// way `self.task_definition` is the revision that is meant.
    async fn status(&self, cx: &Cx<'_, Self>, service: &types::Service) -> Result<Status, Error> {
        let meant = self.task_definition.get().ok().map(Arn::as_str);
        let mut state = rollout(service, meant);
        if service.deployment_configuration().and_then(|c| c.strategy())
            == Some(&DeploymentStrategy::BlueGreen)
        {
            state = self.course(cx, state).await?;
        }
        match state {
            Rollout::Done => Ok(Status::Ready),
            Rollout::Going { text, failed: false } => Ok(Status::Pending(text)),
            Rollout::Going { text, failed: true } => {
                let reasons = self.reasons(cx, meant).await;
                Ok(Status::Pending(format!("{text}; last: {reasons}")))
            }
            Rollout::Failed(reason) => {
                let reason = reason.trim_end_matches('.');
                Ok(Status::Failed(format!("{reason}: {}", self.full_reasons(cx, meant).await)))
            }
            Rollout::Another(state) => match meant {
                Some(meant) => match self.given_up(cx, meant).await? {
                    Some(reason) => {
                        let reasons = self.full_reasons(cx, Some(meant)).await;
                        Ok(Status::Failed(format!("{reason}; {reasons}")))
                    }
                    None => Ok(state),
                },
                None => Ok(state),
            },
        }
    }

    /// What a blue/green deployment makes of the state of the tasks.
    async fn course(&self, cx: &Cx<'_, Self>, by_tasks: Rollout) -> Result<Rollout, Error> {
        let ecs = &cx.client.ecs;
        let call = ecs.list_service_deployments().cluster(self.cluster.get()?).service(&self.name);
        let found = call.send().await.call("ecs:ListServiceDeployments")?;
        let newest = blue_green::newest(found.service_deployments());
        match newest.and_then(|d| d.service_deployment_arn().filter(|_| blue_green::is_going(d))) {
            Some(arn) => {
                let call = ecs.describe_service_deployments().service_deployment_arns(arn);
                let found = call.send().await.call("ecs:DescribeServiceDeployments")?;
                Ok(match found.service_deployments() {
                    [going, ..] => blue_green::course(going, by_tasks),
                    [] => by_tasks,
                })
            }
            // Where it was given up, that is told as of any other deployment.
            None if abandoned(found.service_deployments()).is_some() => Ok(match by_tasks {
                Rollout::Done => Rollout::Another(Status::Ready),
                Rollout::Going { text, .. } => Rollout::Another(Status::Pending(text)),
                other => other,
            }),
            None => Ok(by_tasks),
        }
    }

    /// ECS swaps the two groups of a blue/green service; which of them is called the first is no difference.
    fn as_wanted(&self, live: LoadBalancer) -> LoadBalancer {
        let swapped = |wanted: &&LoadBalancer| {
            let (Some(ours), Some(theirs)) = (&wanted.alternate, &live.alternate) else { return false };
            wanted.target_group_arn == theirs.target_group_arn
                && ours.target_group_arn == live.target_group_arn
        };
        match self.load_balancers.iter().find(swapped) {
            Some(wanted) => LoadBalancer {
                target_group_arn: wanted.target_group_arn.clone(),
                alternate: live
                    .alternate
                    .map(|theirs| Alternate { target_group_arn: live.target_group_arn, ..theirs }),
                ..live
            },
            None => live,
        }
    }

    /// Why ECS gave up the last deployment, if that was one of the revision that is meant.
    async fn given_up(&self, cx: &Cx<'_, Self>, meant: &str) -> Result<Option<String>, Error> {
        let ecs = &cx.client.ecs;
        let call = ecs.list_service_deployments().cluster(self.cluster.get()?).service(&self.name);
        let found = call.send().await.call("ecs:ListServiceDeployments")?;
        let Some((reason, revision)) = abandoned(found.service_deployments()) else { return Ok(None) };
        let call = ecs.describe_service_revisions().service_revision_arns(revision);
        let found = call.send().await.call("ecs:DescribeServiceRevisions")?;
        let is_meant = |r: &types::ServiceRevision| r.task_definition().is_some_and(|d| same(meant, d));
        Ok(found.service_revisions().iter().any(is_meant).then_some(reason))
    }

    /// As [`Service::reasons`], with the last lines that the tasks wrote.
    #[cfg(feature = "logs")]
    async fn full_reasons(&self, cx: &Cx<'_, Self>, revision: Option<&str>) -> String {
        let Ok(cluster) = self.cluster.get() else { return String::new() };
        match diagnosis::report(cx.client, cluster, &self.name, revision, LOG_LINES).await {
            Ok(report) => report.text(),
            // Logs that cannot be read must not hide what ECS says.
            Err(_) => self.reasons(cx, revision).await,
        }
    }

    #[cfg(not(feature = "logs"))]
    async fn full_reasons(&self, cx: &Cx<'_, Self>, revision: Option<&str>) -> String {
        self.reasons(cx, revision).await
    }

    /// Why tasks stopped, in one line. That they cannot be read must not hide that they failed.
    async fn reasons(&self, cx: &Cx<'_, Self>, revision: Option<&str>) -> String {
        let Ok(cluster) = self.cluster.get() else { return String::new() };
        match diagnosis::stopped_tasks(&cx.client.ecs, cluster, &self.name, revision).await {
            Ok(tasks) => diagnosis::summary(&tasks),
            Err(error) => format!("why its tasks stopped cannot be read: {}", error.chain()),
        }
    }

    fn live(&self, found: &types::Service, status: Status) -> Live<Self> {
        let tags = from_tags(found.tags());
        let running = primary(found).and_then(Deployment::task_definition).or(found.task_definition());
        let running = Arn::from(running.unwrap_or_default());
        let load_balancers = found.load_balancers().iter().filter_map(|lb| {
            Some(LoadBalancer {
                target_group_arn: Value::Known(lb.target_group_arn()?.into()),
                container_name: lb.container_name()?.to_owned(),
                container_port: lb.container_port()?,
                alternate: lb.advanced_configuration().and_then(Alternate::live),
            })
        });
        let load_balancers: Vec<_> = load_balancers.map(|lb| self.as_wanted(lb)).collect();
        let key = |lb: &LoadBalancer| {
            let group = lb.target_group_arn.get().ok().cloned();
            (group, lb.container_name.clone(), lb.container_port)
        };
        let strategy = found.capacity_provider_strategy();
        let vpc = found.network_configuration().and_then(|n| n.awsvpc_configuration());
        Live {
            status,
            owner: tags.owner(),
            outputs: ServiceOutputs {
                arn: found.service_arn().unwrap_or_default().into(),
                name: self.name.clone(),
                task_definition: running.clone(),
            },
            spec: Service {
                name: self.name.clone(),
                cluster: self.cluster.clone(),
                task_definition: match self.task_definition.get() {
                    Ok(wanted) if same(wanted.as_str(), running.as_str()) => wanted.clone().into(),
                    _ => running.into(),
                },
                desired_count: Some(found.desired_count()),
                launch_type: found.launch_type().map(|t| t.as_str().to_owned()),
                capacity_provider_strategy: (!strategy.is_empty()).then(|| live_strategy(strategy)),
                platform_version: found.platform_version().map(str::to_owned),
                network_configuration: vpc.map(|vpc| NetworkConfiguration {
                    subnets: vpc.subnets().iter().cloned().map(SubnetId).collect(),
                    security_groups: Some(
                        vpc.security_groups().iter().cloned().map(SecurityGroupId).collect(),
                    ),
                    assign_public_ip: Some(vpc.assign_public_ip() == Some(&AssignPublicIp::Enabled)),
                }),
                load_balancers: in_order_of(&self.load_balancers, load_balancers, key),
                health_check_grace_period_seconds: found.health_check_grace_period_seconds(),
                deployment_configuration: found
                    .deployment_configuration()
                    .map(|c| DeploymentConfiguration::live(self.deployment_configuration.as_ref(), c)),
                enable_execute_command: Some(found.enable_execute_command()),
                propagate_tags: Some(found.propagate_tags().map_or("NONE", |p| p.as_str()).to_owned()),
                enable_ecs_managed_tags: Some(found.enable_ecs_managed_tags()),
                tags,
            },
        }
    }
}

fn is_blue_green(configuration: Option<&DeploymentConfiguration>) -> bool {
    configuration.and_then(|c| c.strategy.as_deref()) == Some(BLUE_GREEN)
}

fn primary(service: &types::Service) -> Option<&Deployment> {
    service.deployments().iter().find(|d| d.status() == Some("PRIMARY"))
}

/// Whether a task definition (ARN, `family:revision` or `family`) is the one of this ARN.
pub(super) fn same(meant: &str, arn: &str) -> bool {
    let short = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let (meant, actual) = (short(meant), short(arn));
    meant == actual || actual.split_once(':').is_some_and(|(family, _)| family == meant)
}

/// Where no circuit breaker stops a deployment, this many tasks that failed one after the other do.
const HOPELESS: i32 = 10;

/// How far a deployment is.
#[derive(Debug, PartialEq)]
pub(super) enum Rollout {
    Done,
    /// `failed`: tasks of it have stopped already.
    Going {
        text: String,
        failed: bool,
    },
    Failed(String),
    /// Another revision than the one that is meant is being run: it was not deployed yet, or was given up.
    Another(Status),
}

fn rollout(service: &types::Service, meant: Option<&str>) -> Rollout {
    let Some(primary) = primary(service) else {
        return Rollout::Going { text: "waiting for the first deployment".into(), failed: false };
    };
    // A deployment that failed stays in the list while its tasks are being stopped.
    let failed = service.deployments().iter().find(|d| {
        d.rollout_state() == Some(&DeploymentRolloutState::Failed)
            && meant.is_none_or(|meant| d.task_definition().is_some_and(|actual| same(meant, actual)))
    });
    let is_meant =
        meant.is_none_or(|meant| primary.task_definition().is_some_and(|actual| same(meant, actual)));
    if let Some(failed) = failed
        && (!is_meant || primary.rollout_state() == Some(&DeploymentRolloutState::Failed))
    {
        return Rollout::Failed(
            failed.rollout_state_reason().unwrap_or("ECS gave the deployment up").to_owned(),
        );
    }
    let state = progress(service, primary);
    match state {
        state if is_meant => state,
        Rollout::Done => Rollout::Another(Status::Ready),
        Rollout::Going { text, .. } => Rollout::Another(Status::Pending(text)),
        Rollout::Failed(reason) => Rollout::Another(Status::Failed(reason)),
        other => other,
    }
}

/// How far the primary deployment is, whichever revision it runs.
fn progress(service: &types::Service, primary: &Deployment) -> Rollout {
    let (running, desired) = (primary.running_count(), primary.desired_count());
    // Services with other deployment controllers have no rollout state.
    let complete = matches!(primary.rollout_state(), None | Some(DeploymentRolloutState::Completed));
    if primary.rollout_state() == Some(&DeploymentRolloutState::Failed) {
        let reason = primary.rollout_state_reason().unwrap_or("ECS gave the deployment up");
        return Rollout::Failed(reason.to_owned());
    }
    if complete && running == desired && desired == service.desired_count() {
        return Rollout::Done;
    }
    let breaker = service.deployment_configuration().and_then(|c| c.deployment_circuit_breaker());
    if !breaker.is_some_and(DeploymentCircuitBreaker::enable) && primary.failed_tasks() >= HOPELESS {
        let failed = primary.failed_tasks();
        return Rollout::Failed(format!("{failed} tasks failed in a row, and no circuit breaker stops that"));
    }
    let mut text = format!("{running} of {desired} tasks running");
    let old: i32 = service.deployments().iter().map(Deployment::running_count).sum::<i32>() - running;
    if primary.pending_count() > 0 {
        text.push_str(&format!(", {} starting", primary.pending_count()));
    } else if running > 0 && !complete && !service.load_balancers().is_empty() {
        text.push_str(", waiting for health checks");
    } else if running == desired && old > 0 {
        text.push_str(&format!(", {old} of the last revision stopping"));
    }
    if primary.failed_tasks() > 0 {
        text.push_str(&format!(", {} failed", primary.failed_tasks()));
    }
    Rollout::Going { text, failed: primary.failed_tasks() > 0 }
}

/// Why the newest of these deployments was given up, and the ARN of the service revision that it was for. `None` when
/// it was not given up.
fn abandoned(deployments: &[ServiceDeploymentBrief]) -> Option<(String, String)> {
    use ServiceDeploymentStatus as S;
    let newest = blue_green::newest(deployments)?;
    let what = match newest.status()? {
        S::RollbackSuccessful => "was rolled back",
        S::RollbackRequested | S::RollbackInProgress => "is being rolled back",
        S::RollbackFailed => "failed, and so did its rollback",
        S::Stopped | S::StopRequested => "was stopped",
        _ => return None,
    };
    let reason = newest.status_reason().map(|r| format!(": {r}")).unwrap_or_default();
    Some((format!("the deployment {what}{reason}"), newest.target_service_revision_arn()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::DateTime;

    const OLD: &str = "arn:aws:ecs:us-east-1:000000000000:task-definition/coder:1";
    const NEW: &str = "arn:aws:ecs:us-east-1:000000000000:task-definition/coder:2";

    fn deployment(definition: &str, status: &str, state: DeploymentRolloutState, running: i32) -> Deployment {
        Deployment::builder()
            .status(status)
            .task_definition(definition)
            .rollout_state(state)
            .desired_count(2)
            .running_count(running)
            .build()
    }
    fn service(deployments: Vec<Deployment>) -> types::Service {
        types::Service::builder().desired_count(2).set_deployments(Some(deployments)).build()
    }
    use DeploymentRolloutState::{Completed, Failed, InProgress};

    #[test]
    fn only_our_revision_complete_and_running_is_ready() {
        let at = |definition: &str, state, running| {
            rollout(&service(vec![deployment(definition, "PRIMARY", state, running)]), Some(NEW))
        };
        assert_eq!(at(NEW, Completed, 2), Rollout::Done);
        assert!(matches!(at(NEW, Completed, 1), Rollout::Going { .. }), "a task was lost");
        assert!(matches!(at(NEW, InProgress, 2), Rollout::Going { .. }));
        assert_eq!(at(OLD, Completed, 2), Rollout::Another(Status::Ready));
    }

    #[test]
    fn a_failed_deployment_ends_the_wait_with_or_without_rollback() {
        let alone = service(vec![deployment(NEW, "PRIMARY", Failed, 0)]);
        assert!(matches!(rollout(&alone, Some(NEW)), Rollout::Failed(_)));
        let rolled_back =
            service(vec![deployment(OLD, "PRIMARY", InProgress, 1), deployment(NEW, "ACTIVE", Failed, 0)]);
        assert!(matches!(rollout(&rolled_back, Some(NEW)), Rollout::Failed(_)));
        assert!(matches!(rollout(&rolled_back, Some(OLD)), Rollout::Going { .. }));
    }

    #[test]
    fn a_new_try_is_not_blamed_for_the_failed_one() {
        let again =
            service(vec![deployment(NEW, "PRIMARY", InProgress, 0), deployment(NEW, "ACTIVE", Failed, 0)]);
        assert!(matches!(rollout(&again, Some(NEW)), Rollout::Going { .. }));
    }

    #[test]
    fn without_a_circuit_breaker_we_give_up() {
        let mut failing = deployment(NEW, "PRIMARY", InProgress, 0);
        failing.failed_tasks = HOPELESS;
        let mut found = service(vec![failing]);
        assert!(matches!(rollout(&found, Some(NEW)), Rollout::Failed(_)));
        let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(true).build();
        found.deployment_configuration =
            Some(types::DeploymentConfiguration::builder().deployment_circuit_breaker(breaker).build());
        let Rollout::Going { failed, .. } = rollout(&found, Some(NEW)) else { panic!("ECS decides") };
        assert!(failed);
    }

    #[test]
    fn progress_says_what_it_waits_for() {
        let mut found =
            service(vec![deployment(NEW, "PRIMARY", InProgress, 1), deployment(OLD, "ACTIVE", Completed, 1)]);
        found.load_balancers = Some(vec![types::LoadBalancer::builder().target_group_arn("arn:tg").build()]);
        let Rollout::Going { text, failed } = rollout(&found, Some(NEW)) else { panic!("under way") };
        assert_eq!((text.as_str(), failed), ("1 of 2 tasks running, waiting for health checks", false));
    }

    #[test]
    fn the_newest_deployment_says_whether_it_was_given_up() {
        let brief = |at: i64, status: ServiceDeploymentStatus, revision: &str| {
            ServiceDeploymentBrief::builder()
                .created_at(DateTime::from_secs(at))
                .status(status)
                .target_service_revision_arn(revision)
                .status_reason("circuit breaker")
                .build()
        };
        let rolled = brief(2, ServiceDeploymentStatus::RollbackSuccessful, "r2");
        let (reason, revision) =
            abandoned(&[brief(1, ServiceDeploymentStatus::Successful, "r1"), rolled.clone()]).unwrap();
        assert_eq!(
            (reason.as_str(), revision.as_str()),
            ("the deployment was rolled back: circuit breaker", "r2")
        );
        assert_eq!(abandoned(&[rolled, brief(3, ServiceDeploymentStatus::InProgress, "r3")]), None);
    }

    #[test]
    fn a_revision_is_recognised_however_it_is_written() {
        assert!(same(NEW, NEW) && same("coder:2", NEW) && same("coder", NEW));
        assert!(!same("coder:1", NEW) && !same("code", NEW) && !same(OLD, NEW));
    }

    #[test]
    fn alarms_that_are_wanted_no_more_are_taken_away() {
        let none = DeploymentConfiguration::default();
        assert!(none.request(None).unwrap().alarms().is_none());
        let alarms = Alarms { alarm_names: Set::default(), enable: true, rollback: true };
        let had = DeploymentConfiguration { alarms: Some(alarms), ..none.clone() };
        let gone = none.request(Some(&had)).unwrap();
        assert!(!gone.alarms().unwrap().enable());
        assert!(DeploymentConfiguration::live(None, &gone).alarms.is_none());
    }

    #[test]
    fn a_strategy_is_sent_where_it_is_wanted_or_taken_back() {
        let none = DeploymentConfiguration::default();
        assert!(none.request(None).unwrap().strategy().is_none());
        let wanted = DeploymentConfiguration {
            strategy: Some(BLUE_GREEN.into()),
            bake_time_in_minutes: Some(5),
            ..none.clone()
        };
        let sent = wanted.request(None).unwrap();
        assert_eq!(
            (sent.strategy(), sent.bake_time_in_minutes()),
            (Some(&DeploymentStrategy::BlueGreen), Some(5))
        );
        assert_eq!(none.request(Some(&wanted)).unwrap().strategy(), Some(&DeploymentStrategy::Rolling));
        // A service that was made before there were strategies.
        let old = types::DeploymentConfiguration::builder().build();
        let live = DeploymentConfiguration::live(Some(&wanted), &old);
        assert_eq!((live.strategy.as_deref(), live.bake_time_in_minutes), (Some(ROLLING), Some(0)));
        assert_eq!(DeploymentConfiguration::live(None, &old).strategy, None);
    }

    #[test]
    fn groups_that_ecs_swapped_are_still_the_same_two() {
        let balancer = |blue: &str, green: &str| LoadBalancer {
            target_group_arn: Arn::from(blue).into(),
            container_name: "coder".into(),
            container_port: 3000,
            alternate: Some(Alternate {
                target_group_arn: Arn::from(green).into(),
                production_listener_rule: Arn::from("arn:rule").into(),
                test_listener_rule: None,
                role_arn: Arn::from("arn:role").into(),
            }),
        };
        let service = Service { load_balancers: vec![balancer("arn:a", "arn:b")], ..Service::default() };
        let groups = |lb: &LoadBalancer| (lb.target_group_arn.clone(), lb.alternate.clone());
        assert_eq!(
            groups(&service.as_wanted(balancer("arn:b", "arn:a"))),
            groups(&service.load_balancers[0])
        );
        assert_ne!(
            groups(&service.as_wanted(balancer("arn:b", "arn:c"))),
            groups(&service.load_balancers[0])
        );
    }
}
