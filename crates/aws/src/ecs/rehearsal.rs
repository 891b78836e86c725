//! A revision is tried in a task of its own before a service gets it.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>

use super::{
    Ecs, NetworkConfiguration, OneOff, TaskNow,
    diagnosis::{self, StoppedTask},
    service::same,
};
use crate::{Aws, Call, id::Arn};
use aws_sdk_ecs::types::{DeploymentRolloutState, Tag, TaskDefinitionField};
use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Status, Stop, Timing, Value, diff::Diff, error::Found,
    outputs, repeated,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// One task of a revision, started like those of a service, checked by the load balancer, and ended. It never gets a
/// request of anybody.
///
/// An observation that must be made before it can be looked up: nothing of it stays but a tag on the revision. A
/// revision that the service runs already needs none. Whatever happens, its task is ended; if this program dies
/// meanwhile, the next plan shows the rehearsal again, and its first act is to end what is left of the last one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Name of the cluster.
    pub cluster: Value<String>,
    /// The service that is to get the revision. It need not be there yet.
    pub service: String,
    /// The revision.
    pub task_definition: Value<Arn>,
    /// As of the service.
    pub network_configuration: NetworkConfiguration,
    /// As of the service, like `FARGATE`.
    pub launch_type: Option<String>,
    /// The port that is checked.
    pub port: i32,
    /// A target group that nothing else is in and that no request reaches, though a listener uses it: a load balancer
    /// checks only what a listener uses.
    pub target_group_arn: Value<Arn>,
    /// Seconds after the task runs in which failed checks do not count.
    pub grace_seconds: u32,
}

outputs! {
    /// What a rehearsal tells others.
    pub struct RehearsalOutputs => RehearsalRefs {
        /// The revision that passed.
        pub task_definition: Arn,
    }
}

/// The tag of a revision that passed; its value is when, in seconds since 1970.
const PASSED: &str = "causeway:rehearsed";
/// How long ECS may take until the task runs: the image is pulled for the first time.
const START: Duration = Duration::from_secs(15 * 60);
/// How long the load balancer may take, after the grace period, until it has an opinion.
const OPINION: Duration = Duration::from_secs(3 * 60);
const PAUSE: Duration = Duration::from_secs(2);
const LOG_LINES: i32 = 12;

impl Resource for Rehearsal {
    const KIND: &'static str = "aws.ecs.rehearsal";
    const RECOVERY: Recovery = Recovery::Observed;
    const TIMING: Timing = Timing::seconds(120, 2, 60);
    type Client = Aws;
    type Outputs = RehearsalOutputs;

    /// Not there while a task of an earlier rehearsal runs: that one has to be ended.
    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ecs = &cx.client.ecs;
        let left = ecs.tasks_started_by(self.cluster.get()?, &self.started_by()).await?;
        if !left.is_empty() || !self.is_known(ecs).await? {
            return Ok(None);
        }
        Ok(Some(Live {
            spec: self.clone(),
            outputs: RehearsalOutputs { task_definition: self.task_definition.get()?.clone() },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let ecs = &cx.client.ecs;
        self.end_all(ecs).await?;
        if self.is_known(ecs).await? {
            return Ok(());
        }
        let outcome = self.rehearse(cx.client).await;
        // The answer to a start may have been lost, so what runs is looked up.
        let ended = self.end_all(ecs).await;
        outcome?;
        ended?;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let tag = Tag::builder().key(PASSED).value(now.as_secs().to_string()).build();
        let call = ecs.tag_resource().resource_arn(self.task_definition.get()?.as_str()).tags(tag);
        call.send().await.call("ecs:TagResource").map(drop)
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

/// Repeats what may pass; who aborts the run drops all of it.
async fn again<T, F: Future<Output = Result<T, Error>>>(call: impl FnMut() -> F) -> Result<T, Error> {
    repeated(&Stop::default(), call).await
}

impl Rehearsal {
    fn started_by(&self) -> String {
        format!("causeway/rehearsal/{}", self.service)
    }

    /// Whether the revision runs in the service, or has passed before.
    async fn is_known(&self, ecs: &Ecs) -> Result<bool, Error> {
        let revision = self.task_definition.get()?.as_str();
        let service = ecs.service(self.cluster.get()?, &self.service).await?;
        let runs = service.is_some_and(|s| {
            s.deployments().iter().any(|d| {
                d.rollout_state() == Some(&DeploymentRolloutState::Completed)
                    && d.task_definition().is_some_and(|arn| same(revision, arn))
            })
        });
        if runs {
            return Ok(true);
        }
        let call = ecs.describe_task_definition().task_definition(revision);
        let found =
            call.include(TaskDefinitionField::Tags).send().await.call("ecs:DescribeTaskDefinition")?;
        Ok(found.tags().iter().any(|t| t.key() == Some(PASSED)))
    }

    async fn end_all(&self, ecs: &Ecs) -> Result<(), Error> {
        let (cluster, by) = (self.cluster.get()?, self.started_by());
        for task in again(|| ecs.tasks_started_by(cluster, &by)).await? {
            again(|| ecs.end_task(cluster, &task, "the rehearsal is over")).await?;
        }
        Ok(())
    }

    async fn rehearse(&self, aws: &Aws) -> Result<(), Error> {
        let mut token = [0; 16];
        getrandom::fill(&mut token)
            .map_err(|e| Error::Invalid(format!("the operating system gives no random bytes: {e}")))?;
        let task = OneOff {
            cluster: self.cluster.get()?.clone(),
            task_definition: self.task_definition.get()?.to_string(),
            network_configuration: Some(self.network_configuration.request()?),
            launch_type: self.launch_type.as_deref().map(Into::into),
            started_by: self.started_by(),
            token: format!("{:032x}", u128::from_le_bytes(token)),
            ..OneOff::default()
        };
        let arn = again(|| task.start(&aws.ecs)).await?;
        let address = self.until_running(aws, &arn).await?;
        let target = TargetDescription::builder().id(&address).port(self.port).build();
        let group = self.target_group_arn.get()?.as_str();
        let register = || async {
            let call = aws.elbv2.register_targets().target_group_arn(group).targets(target.clone());
            call.send().await.call("elasticloadbalancing:RegisterTargets")
        };
        again(register).await?;
        let outcome = self.until_healthy(aws, &arn, &address).await;
        let deregister = || async {
            let call = aws.elbv2.deregister_targets().target_group_arn(group).targets(target.clone());
            call.send().await.call("elasticloadbalancing:DeregisterTargets").found()
        };
        let out = again(deregister).await;
        outcome.and(out.map(drop))
    }

    /// The address of the task, once it runs.
    async fn until_running(&self, aws: &Aws, arn: &str) -> Result<String, Error> {
        let deadline = Instant::now() + START;
        loop {
            let now = self.look(aws, arn).await?;
            if let Some(address) =
                now.as_ref().filter(|t| t.status == "RUNNING").and_then(|t| t.private_address.clone())
            {
                return Ok(address);
            }
            if Instant::now() >= deadline {
                let status = now.map_or_else(|| "not there".to_owned(), |t| t.status.to_lowercase());
                let why = format!("its task is still {status} after {} minutes", START.as_secs() / 60);
                return Err(self.failed(&why));
            }
            sleep(PAUSE).await;
        }
    }

    async fn until_healthy(&self, aws: &Aws, arn: &str, address: &str) -> Result<(), Error> {
        let group = self.target_group_arn.get()?;
        let grace = Instant::now() + Duration::from_secs(self.grace_seconds.into());
        loop {
            let task = self.look(aws, arn).await?;
            let all = again(|| aws.elbv2.target_health(group)).await?;
            let health = all.into_iter().find(|h| h.target == address);
            if health.as_ref().is_some_and(|h| h.is_healthy()) {
                return Ok(());
            }
            let state = health.as_ref().map_or("unknown", |h| h.state.as_str());
            let sick = state == "unhealthy" && Instant::now() >= grace;
            if sick || Instant::now() >= grace + OPINION {
                let said = health.as_ref().and_then(|h| h.description.clone());
                let said = said.map(|d| format!(": {d}")).unwrap_or_default();
                let stopped = StoppedTask {
                    id: task.map(|t| t.id).unwrap_or_default(),
                    task_definition: self.task_definition.get()?.to_string(),
                    stopped_reason: Some(format!("Task failed ELB health checks: it is {state}{said}")),
                    ..StoppedTask::default()
                };
                return Err(self.diagnosed(aws, stopped).await);
            }
            sleep(PAUSE).await;
        }
    }

    /// The task, unless it has stopped, which is the end of the rehearsal.
    async fn look(&self, aws: &Aws, arn: &str) -> Result<Option<TaskNow>, Error> {
        let cluster = self.cluster.get()?;
        let now = again(|| TaskNow::look(&aws.ecs, cluster, arn)).await?;
        match now.as_ref().and_then(|t| t.stopped.clone()) {
            Some(stopped) => Err(self.diagnosed(aws, stopped).await),
            None => Ok(now),
        }
    }

    async fn diagnosed(&self, aws: &Aws, task: StoppedTask) -> Error {
        // What was written last becomes readable a little later.
        sleep(PAUSE).await;
        let summary = diagnosis::summary(std::slice::from_ref(&task));
        match diagnosis::report_of(aws, vec![task], LOG_LINES).await {
            Ok(report) => self.failed(&report.text()),
            Err(_) => self.failed(&summary),
        }
    }

    fn failed(&self, why: &str) -> Error {
        let revision =
            self.task_definition.get().map(|arn| arn.as_str().rsplit('/').next().unwrap_or_default());
        let revision = revision.unwrap_or("the revision");
        Error::Invalid(format!("the rehearsal of {revision} failed, and the service was not touched: {why}"))
    }
}
