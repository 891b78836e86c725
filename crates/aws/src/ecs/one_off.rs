//! Tasks that run beside a service, in its network and with its roles, and end.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>

use super::{Ecs, diagnosis::StoppedTask, spread, to_tags};
use crate::Call;
use aws_sdk_ecs::types::{
    self, CapacityProviderStrategyItem, ContainerOverride, KeyValuePair, LaunchType, NetworkConfiguration,
    Task, TaskOverride,
};
use causeway_core::{Error, Tags, error::Found};
use std::collections::BTreeMap;

/// One task beside a service.
#[derive(Clone, Debug, Default)]
pub struct OneOff {
    /// Name or ARN of the cluster.
    pub cluster: String,
    /// The revision that it runs.
    pub task_definition: String,
    /// Where its network interface is.
    pub network_configuration: Option<NetworkConfiguration>,
    /// As of the service.
    pub launch_type: Option<LaunchType>,
    /// As of the service, instead of a launch type.
    pub capacity_provider_strategy: Vec<CapacityProviderStrategyItem>,
    /// Of Fargate. `None`: `LATEST`.
    pub platform_version: Option<String>,
    /// The container that `command` and `environment` are for.
    pub container: String,
    /// What the image's entry point gets. Empty: what the task definition says.
    pub command: Vec<String>,
    /// More variables, for everyone to see who may describe tasks: no secrets.
    pub environment: BTreeMap<String, String>,
    /// CPU units of the task. `None`: as in the task definition.
    pub cpu: Option<u32>,
    /// MiB of the task. `None`: as in the task definition.
    pub memory: Option<u32>,
    /// Who started it: up to 128 letters, digits, `-`, `_` and `/`. Tasks can be listed by it.
    pub started_by: String,
    /// The idempotency token: the same request with it starts nothing more.
    pub token: String,
    /// Tags of the task.
    pub tags: Tags,
}

impl OneOff {
    /// A task like those of `service`: its revision, network and platform.
    pub fn like(service: &types::Service) -> Self {
        OneOff {
            cluster: service.cluster_arn().unwrap_or_default().to_owned(),
            task_definition: service.task_definition().unwrap_or_default().to_owned(),
            network_configuration: service.network_configuration().cloned(),
            launch_type: service.launch_type().cloned(),
            capacity_provider_strategy: service.capacity_provider_strategy().to_vec(),
            platform_version: service.platform_version().map(str::to_owned),
            ..OneOff::default()
        }
    }

    /// Starts it, and returns its ARN. May be repeated: with the same token there is one task.
    ///
    /// # Errors
    /// When ECS refuses it, with the reason, or cannot be asked.
    pub async fn start(&self, ecs: &Ecs) -> Result<String, Error> {
        let environment =
            self.environment.iter().map(|(k, v)| KeyValuePair::builder().name(k).value(v).build());
        let environment: Vec<_> = environment.collect();
        let container = ContainerOverride::builder()
            .name(&self.container)
            .set_command(Some(self.command.clone()).filter(|c| !c.is_empty()))
            .set_environment(Some(environment).filter(|e| !e.is_empty()))
            .build();
        let overrides = TaskOverride::builder()
            .container_overrides(container)
            .set_cpu(self.cpu.map(|n| n.to_string()))
            .set_memory(self.memory.map(|n| n.to_string()))
            .build();
        let overridden = !self.command.is_empty()
            || !self.environment.is_empty()
            || self.cpu.is_some()
            || self.memory.is_some();
        let strategy = self.capacity_provider_strategy.clone();
        let call = ecs
            .run_task()
            .client_token(&self.token)
            .cluster(&self.cluster)
            .task_definition(&self.task_definition)
            .count(1)
            .set_launch_type(self.launch_type.clone())
            .set_capacity_provider_strategy(Some(strategy).filter(|s| !s.is_empty()))
            .set_platform_version(self.platform_version.clone())
            .set_network_configuration(self.network_configuration.clone())
            .set_overrides(overridden.then_some(overrides))
            .started_by(&self.started_by)
            .enable_ecs_managed_tags(true)
            .set_tags(to_tags(&self.tags));
        let found = spread(call.send().await.call("ecs:RunTask"))?;
        if let Some(arn) = found.tasks().first().and_then(Task::task_arn) {
            return Ok(arn.to_owned());
        }
        let failure = found.failures().first();
        let reason = failure.and_then(|f| f.reason()).unwrap_or("it gives no reason");
        let detail = failure.and_then(|f| f.detail()).map(|d| format!(" ({d})")).unwrap_or_default();
        Err(Error::Invalid(format!("ECS starts no task: {reason}{detail}")))
    }
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskNow {
    /// The last part of its ARN.
    pub id: String,
    /// Like `PENDING`, `RUNNING` or `STOPPED`.
    pub status: String,
    /// The address of its network interface in the VPC, once it has one.
    pub private_address: Option<String>,
    /// `HEALTHY` or `UNHEALTHY`; `None` without health checks, and before the first.
    pub health: Option<String>,
    /// What became of it, once it has stopped.
    pub stopped: Option<StoppedTask>,
}

impl TaskNow {
    fn of(task: &Task) -> Self {
        let address = task.attachments().iter().flat_map(|a| a.details());
        let address = address.filter(|d| d.name() == Some("privateIPv4Address"));
        let status = task.last_status().unwrap_or("UNKNOWN").to_owned();
        let health = task.health_status().map(|h| h.as_str().to_owned());
        TaskNow {
            id: task.task_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default().to_owned(),
            private_address: address.filter_map(|d| d.value()).next().map(str::to_owned),
            health: health.filter(|h| h != "UNKNOWN"),
            stopped: (status == "STOPPED").then(|| StoppedTask::of(task)),
            status,
        }
    }

    /// Looks at a task. `None` where ECS does not know it, or not yet.
    ///
    /// # Errors
    /// When ECS cannot be asked.
    pub async fn look(ecs: &Ecs, cluster: &str, task: &str) -> Result<Option<Self>, Error> {
        let call = ecs.describe_tasks().cluster(cluster).tasks(task);
        let found = call.send().await.call("ecs:DescribeTasks")?;
        Ok(found.tasks().first().map(TaskNow::of))
    }
}

impl Ecs {
    /// The service, if it is there and not being deleted.
    ///
    /// # Errors
    /// When ECS cannot be asked.
    pub async fn service(&self, cluster: &str, name: &str) -> Result<Option<types::Service>, Error> {
        let found = self.services.get((cluster.to_owned(), name.to_owned())).await?;
        Ok(found.filter(|s| s.status() == Some("ACTIVE")))
    }

    /// The ARNs of the tasks that are meant to run and that `started_by` started.
    ///
    /// # Errors
    /// When ECS cannot be asked.
    pub async fn tasks_started_by(&self, cluster: &str, started_by: &str) -> Result<Vec<String>, Error> {
        let call = self.list_tasks().cluster(cluster).started_by(started_by);
        // Without a cluster there are no tasks.
        let found = call.send().await.call("ecs:ListTasks").found()?;
        Ok(found.and_then(|f| f.task_arns).unwrap_or_default())
    }

    /// Tells a task to end. One that has ended already, or is not there, is as it should be.
    ///
    /// # Errors
    /// When ECS cannot be asked.
    pub async fn end_task(&self, cluster: &str, task: &str, reason: &str) -> Result<(), Error> {
        let known = TaskNow::look(self, cluster, task).await?;
        if known.is_none_or(|t| t.stopped.is_some()) {
            return Ok(());
        }
        let call = self.stop_task().cluster(cluster).task(task).reason(reason);
        call.send().await.call("ecs:StopTask").found().map(drop)
    }
}

/// A text as a tag may hold it: letters, digits, spaces and `_.:/=+-@`, at most 256.
pub fn tag_value(text: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    text.chars().map(|c| if fits(c) { c } else { '-' }).take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_like_those_of_the_service() {
        let service = types::Service::builder()
            .cluster_arn("arn:c")
            .task_definition("arn:t:3")
            .launch_type(LaunchType::Fargate)
            .platform_version("LATEST")
            .build();
        let task = OneOff::like(&service);
        assert_eq!((task.cluster.as_str(), task.task_definition.as_str()), ("arn:c", "arn:t:3"));
        assert_eq!(task.launch_type, Some(LaunchType::Fargate));
    }

    #[test]
    fn a_task_shows_its_address_and_its_end() {
        let detail = KeyValuePair::builder().name("privateIPv4Address").value("10.0.0.7").build();
        let attachment = types::Attachment::builder().details(detail).build();
        let task = |status: &str| {
            let task = Task::builder().task_arn("arn:aws:ecs:r:0:task/c/abc").last_status(status);
            TaskNow::of(&task.attachments(attachment.clone()).build())
        };
        let running = task("RUNNING");
        assert_eq!((running.id.as_str(), running.private_address.as_deref()), ("abc", Some("10.0.0.7")));
        assert!(running.stopped.is_none() && task("STOPPED").stopped.is_some());
    }

    #[test]
    fn a_tag_holds_only_what_it_may() {
        assert_eq!(tag_value("ada@host, process 7"), "ada@host- process 7");
    }
}
