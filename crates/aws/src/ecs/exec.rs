//! A command inside a container that runs: ECS opens a session, AWS's `session-manager-plugin` speaks in it.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html>

use super::Ecs;
use crate::Call;
use aws_sdk_ecs::types::{DesiredStatus, ManagedAgentName, Task};
use causeway_core::{Class, Error, Secret};

/// A container that a session may be opened to, and what speaks against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecTarget {
    /// The last part of the task's ARN.
    pub task: String,
    /// Like `RUNNING`.
    pub status: String,
    /// The container as its host knows it; empty before it runs.
    pub runtime_id: String,
    /// Whether the task was started with `enableExecuteCommand`. A running task cannot get it.
    pub is_enabled: bool,
    /// Status and reason of the agent inside, once there is one.
    pub agent: Option<(String, Option<String>)>,
    /// When it started, in seconds since 1970.
    pub started_at: i64,
}

/// An open session.
#[derive(Debug)]
pub struct ExecSession {
    /// Its id.
    pub id: String,
    /// Where it is spoken.
    pub stream_url: String,
    /// Opens the stream.
    pub token: Secret,
}

impl ExecTarget {
    fn of(task: &Task, container: &str) -> Self {
        let found = task.containers().iter().find(|c| c.name() == Some(container));
        let agents = found.map(|c| c.managed_agents()).unwrap_or_default();
        let agent = agents.iter().find(|a| a.name() == Some(&ManagedAgentName::ExecuteCommandAgent));
        ExecTarget {
            task: task.task_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default().to_owned(),
            status: task.last_status().unwrap_or("UNKNOWN").to_owned(),
            runtime_id: found.and_then(|c| c.runtime_id()).unwrap_or_default().to_owned(),
            is_enabled: task.enable_execute_command(),
            agent: agent
                .map(|a| (a.last_status().unwrap_or("UNKNOWN").to_owned(), a.reason().map(str::to_owned))),
            started_at: task.started_at().map_or(0, |t| t.secs()),
        }
    }

    /// Why no session can be opened, and what to do; `None` where it can.
    pub fn obstacle(&self) -> Option<String> {
        let task = &self.task;
        if self.status != "RUNNING" {
            return Some(format!("task {task} is {}, and must run", self.status.to_lowercase()));
        }
        if !self.is_enabled {
            return Some(format!(
                "task {task} was started without ECS Exec; set `execute_command = true` in [ecs.service] and apply, which starts new tasks"
            ));
        }
        match &self.agent {
            Some((status, _)) if status == "RUNNING" => None,
            Some((status, why)) => {
                let why = why.as_ref().map(|w| format!(" ({w})")).unwrap_or_default();
                Some(format!(
                    "the agent in task {task} is {}{why}; it needs a file system that it can write to, and a few seconds after the start",
                    status.to_lowercase()
                ))
            }
            None => Some(format!("task {task} has no agent yet; try again in a few seconds")),
        }
    }
}

impl Ecs {
    /// The running tasks of a service, the last one that was started first.
    ///
    /// # Errors
    /// When ECS cannot be asked.
    pub async fn exec_targets(
        &self,
        cluster: &str,
        service: &str,
        container: &str,
    ) -> Result<Vec<ExecTarget>, Error> {
        let call = self.list_tasks().cluster(cluster).service_name(service);
        let call = call.desired_status(DesiredStatus::Running);
        let arns = call.send().await.call("ecs:ListTasks")?.task_arns.unwrap_or_default();
        self.exec_target(cluster, arns, container).await
    }

    /// These tasks, by id or ARN; those that ECS does not know are left out.
    ///
    /// # Errors
    /// When ECS cannot be asked.
    pub async fn exec_target(
        &self,
        cluster: &str,
        tasks: Vec<String>,
        container: &str,
    ) -> Result<Vec<ExecTarget>, Error> {
        if tasks.is_empty() {
            return Ok(vec![]);
        }
        let call = self.describe_tasks().cluster(cluster).set_tasks(Some(tasks));
        let found = call.send().await.call("ecs:DescribeTasks")?;
        let mut all: Vec<_> = found.tasks().iter().map(|t| ExecTarget::of(t, container)).collect();
        all.sort_by_key(|t| std::cmp::Reverse(t.started_at));
        Ok(all)
    }

    /// Opens a session in which `command` runs.
    ///
    /// # Errors
    /// When ECS refuses. [`Error::Invalid`] where the agent is not connected, with what it needs.
    pub async fn open_session(
        &self,
        cluster: &str,
        task: &str,
        container: &str,
        command: &str,
    ) -> Result<ExecSession, Error> {
        let call = self.execute_command().cluster(cluster).task(task).container(container);
        let answer = match call.command(command).interactive(true).send().await {
            Err(e) if e.as_service_error().is_some_and(|e| e.is_target_not_connected_exception()) => {
                return Err(Error::Invalid(format!(
                    "the agent in task {task} is not connected: the task role needs ssmmessages:CreateControlChannel, CreateDataChannel, OpenControlChannel and OpenDataChannel, and the subnet a way to ssmmessages"
                )));
            }
            answer => answer.call("ecs:ExecuteCommand")?,
        };
        let session = answer.session.ok_or_else(|| Error::Call {
            call: "ecs:ExecuteCommand",
            class: Class::Final,
            source: "ECS answered without a session".into(),
        })?;
        Ok(ExecSession {
            id: session.session_id.unwrap_or_default(),
            stream_url: session.stream_url.unwrap_or_default(),
            token: Secret::new(session.token_value.unwrap_or_default()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_against_a_session_is_told_with_its_remedy() {
        let ready = ExecTarget {
            task: "t".into(),
            status: "RUNNING".into(),
            runtime_id: "r".into(),
            is_enabled: true,
            agent: Some(("RUNNING".into(), None)),
            started_at: 0,
        };
        assert_eq!(ready.obstacle(), None);
        let told = |target: ExecTarget, text: &str| {
            let why = target.obstacle().unwrap();
            assert!(why.contains(text), "{why}");
        };
        told(ExecTarget { status: "PENDING".into(), ..ready.clone() }, "must run");
        told(ExecTarget { is_enabled: false, ..ready.clone() }, "execute_command = true");
        told(ExecTarget { agent: None, ..ready.clone() }, "no agent yet");
        let stopped = Some(("STOPPED".to_owned(), Some("read-only".to_owned())));
        told(ExecTarget { agent: stopped, ..ready }, "is stopped (read-only)");
    }
}
