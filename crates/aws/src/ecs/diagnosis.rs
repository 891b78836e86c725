//! Why the tasks of a service stop: what ECS and the containers said, and what that probably means.
//!
//! Everything but the two functions that fetch is pure. The texts that are looked for are those that ECS documents:
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>

use super::Ecs;
use crate::Call;
use aws_sdk_ecs::types::{DesiredStatus, Task, TaskStopCode};
use causeway_core::Error;
use serde::Serialize;
use std::collections::BTreeMap;

/// A task that stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoppedTask {
    /// The last part of its ARN.
    pub id: String,
    /// The ARN of the revision that it ran.
    pub task_definition: String,
    /// Like `TaskFailedToStart`.
    pub stop_code: Option<String>,
    /// In the words of ECS.
    pub stopped_reason: Option<String>,
    /// Seconds since 1970.
    pub stopped_at: Option<i64>,
    /// Its containers.
    pub containers: Vec<StoppedContainer>,
}

/// A container of a task that stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StoppedContainer {
    /// Its name.
    pub name: String,
    /// `None` when it never ran.
    pub exit_code: Option<i32>,
    /// In the words of ECS.
    pub reason: Option<String>,
    /// Like `UNHEALTHY`; `None` without a health check.
    pub health: Option<String>,
}

impl StoppedTask {
    pub(super) fn of(task: &Task) -> Self {
        StoppedTask {
            id: task.task_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default().to_owned(),
            task_definition: task.task_definition_arn().unwrap_or_default().to_owned(),
            stop_code: task.stop_code().map(|c| c.as_str().to_owned()),
            stopped_reason: task.stopped_reason().map(str::to_owned),
            stopped_at: task.stopped_at().or(task.stopping_at()).map(|t| t.secs()),
            containers: task
                .containers()
                .iter()
                .map(|c| StoppedContainer {
                    name: c.name().unwrap_or_default().to_owned(),
                    exit_code: c.exit_code(),
                    reason: c.reason().map(str::to_owned),
                    health: c.health_status().map(|h| h.as_str().to_owned()).filter(|h| h != "UNKNOWN"),
                })
                .collect(),
        }
    }

    /// Whether ECS stopped it for a reason of its own: fewer are wanted, or another revision took over.
    fn is_routine(&self) -> bool {
        let scheduled = self.stop_code.as_deref() == Some(TaskStopCode::ServiceSchedulerInitiated.as_str());
        let asked = self.stop_code.as_deref() == Some(TaskStopCode::UserInitiated.as_str());
        let scaling = self.stopped_reason.as_deref().is_some_and(|r| r.starts_with("Scaling activity"));
        asked || (scheduled && scaling)
    }

    /// In one line.
    fn line(&self) -> String {
        let reason =
            self.stopped_reason.as_deref().or(self.stop_code.as_deref()).unwrap_or("no reason given");
        let containers: Vec<_> = self
            .containers
            .iter()
            .filter_map(|c| {
                let code = c.exit_code.map(|code| format!("exit code {code}"));
                let health = c.health.clone().filter(|h| h == "UNHEALTHY").map(|_| "unhealthy".to_owned());
                // What stopped the task is often said of the container once more.
                let why = c.reason.clone().filter(|why| why != reason);
                let said: Vec<_> = [code, why, health].into_iter().flatten().collect();
                (!said.is_empty()).then(|| format!("{}: {}", c.name, said.join(", ")))
            })
            .collect();
        match containers.is_empty() {
            true => reason.to_owned(),
            false => format!("{reason} ({})", containers.join("; ")),
        }
    }
}

/// What stands behind a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The image is not there or may not be pulled.
    ImagePull,
    /// Image or program are for another CPU.
    Architecture,
    /// A secret is not there or may not be read.
    Secret,
    /// A role cannot be assumed.
    Role,
    /// The log group is not there or may not be written to.
    Logs,
    /// The task reaches nothing, or gets no address.
    Network,
    /// AWS has no room.
    Capacity,
    /// More memory than allowed.
    OutOfMemory,
    /// No room on the disk.
    Disk,
    /// The database refuses or is not reached.
    Database,
    /// The program cannot listen where it wants to.
    Port,
    /// The health checks fail.
    HealthCheck,
    /// The command of the container does not start.
    Command,
    /// The program ended by itself.
    Exit,
}

/// What a failure probably means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// What stands behind it.
    pub cause: Cause,
    /// What was said that points there.
    pub because: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Where a text must stand to count.
#[derive(Clone, Copy, PartialEq)]
enum Said {
    ByEcs,
    InLog,
}
use Said::{ByEcs, InLog};

/// All of the texts, in lower case, in what was said in one go.
struct Rule(Said, &'static [&'static str], Cause, &'static str);

/// The first that fits says most: special before general.
const RULES: &[Rule] = &[
    Rule(
        ByEcs,
        &["cannotpullcontainererror", "descriptor matching platform"],
        Cause::Architecture,
        "The image has no variant for the task's `cpu_architecture`: build it for that platform, or set `runtime_platform`.",
    ),
    Rule(
        ByEcs,
        &["cannotpullcontainererror", "toomanyrequests"],
        Cause::ImagePull,
        "The registry limits anonymous pulls: copy the image to ECR and use that address.",
    ),
    Rule(
        ByEcs,
        &["cannotpullcontainererror", "no space left"],
        Cause::Disk,
        "The image does not fit: raise `ephemeral_storage`.",
    ),
    Rule(
        ByEcs,
        &["cannotpullcontainererror", "timeout"],
        Cause::Network,
        "The registry cannot be reached: the subnets need a route through a NAT gateway or internet gateway (then with `assign_public_ip`), or VPC endpoints for ecr.api, ecr.dkr and s3; the security group must allow 443 out.",
    ),
    Rule(
        ByEcs,
        &["cannotpullcontainererror", "request canceled"],
        Cause::Network,
        "The registry cannot be reached: the subnets need a route through a NAT gateway or internet gateway (then with `assign_public_ip`), or VPC endpoints for ecr.api, ecr.dkr and s3; the security group must allow 443 out.",
    ),
    Rule(
        ByEcs,
        &["cannotpullcontainererror", "not found"],
        Cause::ImagePull,
        "There is no such image: push it, or correct repository, tag and region in `image`.",
    ),
    Rule(
        ByEcs,
        &["cannotpullcontainererror"],
        Cause::ImagePull,
        "The image cannot be pulled: see that it exists and that the execution role may use ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer.",
    ),
    Rule(
        ByEcs,
        &["resourceinitializationerror", "logger"],
        Cause::Logs,
        "The log group cannot be written to: make it first, and allow the execution role logs:CreateLogStream and logs:PutLogEvents on it.",
    ),
    Rule(
        ByEcs,
        &["resourceinitializationerror", "json key"],
        Cause::Secret,
        "The secret has no such key: correct the part after the ARN in `secrets`, or write the key into the secret.",
    ),
    Rule(
        ByEcs,
        &["resourceinitializationerror", "resourcenotfoundexception"],
        Cause::Secret,
        "There is no such secret, or it has no value yet: correct the ARN in `secrets`, or write the value.",
    ),
    Rule(
        ByEcs,
        &["resourceinitializationerror", "accessdenied"],
        Cause::Secret,
        "The execution role may not read the secret: allow it secretsmanager:GetSecretValue on the secret, and kms:Decrypt on its key where it has its own.",
    ),
    Rule(
        ByEcs,
        &["resourceinitializationerror", "ecr"],
        Cause::ImagePull,
        "The registry's login cannot be had: allow the execution role ecr:GetAuthorizationToken, and give the subnets a way to ECR.",
    ),
    Rule(
        ByEcs,
        &["resourceinitializationerror", "timeout"],
        Cause::Network,
        "Secrets Manager or ECR cannot be reached: the subnets need a route through a NAT gateway or internet gateway (then with `assign_public_ip`), or VPC endpoints; the security group must allow 443 out.",
    ),
    Rule(
        ByEcs,
        &["resourceinitializationerror", "secret"],
        Cause::Secret,
        "The secret cannot be read: see that it exists, that it has a value, that the execution role may read it and that the subnets reach Secrets Manager.",
    ),
    Rule(ByEcs, &["unable to assume the role"], Cause::Role, "Let the role trust ecs-tasks.amazonaws.com."),
    Rule(
        ByEcs,
        &["network interface"],
        Cause::Network,
        "The task got no network interface: see that the subnets have free addresses, and that the account has interfaces left.",
    ),
    Rule(
        ByEcs,
        &["capacity is unavailable"],
        Cause::Capacity,
        "AWS has no room of this kind now: try again, add subnets in other zones, or mix FARGATE with FARGATE_SPOT.",
    ),
    Rule(
        ByEcs,
        &["outofmemory"],
        Cause::OutOfMemory,
        "Raise `memory`, of the task and of the container where it has a limit of its own.",
    ),
    Rule(
        InLog,
        &["exec format error"],
        Cause::Architecture,
        "The program is for another CPU: build the image for the task's `cpu_architecture`, or set `runtime_platform`.",
    ),
    Rule(
        InLog,
        &["password authentication failed"],
        Cause::Database,
        "The database knows another password: set the instance's password from the secret that the task reads.",
    ),
    Rule(
        InLog,
        &["no pg_hba.conf entry"],
        Cause::Database,
        "The database takes only encrypted connections: add `sslmode=require` to the connection URL.",
    ),
    Rule(
        InLog,
        &["database", "does not exist"],
        Cause::Database,
        "Create the database, or correct its name in the connection URL.",
    ),
    Rule(
        InLog,
        &["remaining connection slots"],
        Cause::Database,
        "The database has no connections left: raise `max_connections`, or let fewer tasks hold fewer.",
    ),
    Rule(
        InLog,
        &["too many connections"],
        Cause::Database,
        "The database has no connections left: raise `max_connections`, or let fewer tasks hold fewer.",
    ),
    Rule(
        InLog,
        &[":5432", "refused"],
        Cause::Database,
        "Nothing listens at that address: correct host and port in the connection URL, and see that the instance is available.",
    ),
    Rule(
        InLog,
        &[":5432", "timeout"],
        Cause::Database,
        "The database does not answer: allow its port in its security group, from the security group of the tasks.",
    ),
    Rule(
        InLog,
        &["rds.amazonaws.com", "no such host"],
        Cause::Database,
        "The database has no such name: correct the host in the connection URL, and see that the instance exists.",
    ),
    Rule(
        InLog,
        &["connect to postgres"],
        Cause::Database,
        "The database is not reached: see its status, its security group, and the connection URL.",
    ),
    Rule(
        InLog,
        &["address already in use"],
        Cause::Port,
        "Two containers of the task listen on one port: they share their network, so give them different ports.",
    ),
    Rule(
        InLog,
        &["bind", "permission denied"],
        Cause::Port,
        "The user of the container may not listen on that port: use one above 1023.",
    ),
    Rule(InLog, &["no space left on device"], Cause::Disk, "Raise `ephemeral_storage`."),
    Rule(
        ByEcs,
        &["cannotstartcontainererror"],
        Cause::Command,
        "The container does not start: correct `entry_point` and `command`, and see that the file is in the image and may be run.",
    ),
    Rule(
        ByEcs,
        &["failed elb health checks"],
        Cause::HealthCheck,
        "The load balancer gets no good answer: the container must listen on 0.0.0.0 at the target group's port and answer its health check path with the expected status; allow the port from the load balancer's security group; raise `health_check_grace_period_seconds` if it is slow to start.",
    ),
    Rule(
        ByEcs,
        &["failed container health checks"],
        Cause::HealthCheck,
        "The container's own health check fails: run its command inside the container, and raise `start_period` if it is slow to start.",
    ),
];

/// What the failures probably mean, the likeliest first: what ECS or the program named, then what exit codes say.
///
/// `log` are the last lines that the containers wrote.
pub fn diagnose(tasks: &[StoppedTask], log: &[String]) -> Vec<Guess> {
    let mut guesses: Vec<Guess> = vec![];
    let mut add = |cause, because: String, remedy| {
        if !guesses.iter().any(|g| g.cause == cause) {
            guesses.push(Guess { cause, because, remedy });
        }
    };
    let failed: Vec<_> = tasks.iter().filter(|t| !t.is_routine()).collect();
    let by_ecs: Vec<&str> = failed
        .iter()
        .flat_map(|t| t.stopped_reason.iter().chain(t.containers.iter().filter_map(|c| c.reason.as_ref())))
        .map(String::as_str)
        .collect();
    let in_log: Vec<&str> = log.iter().map(String::as_str).collect();
    // What was said once is explained by the first rule that fits, and by no more general one after it.
    let mut explained = vec![];
    for Rule(said, texts, cause, remedy) in RULES {
        let lines = if *said == ByEcs { &by_ecs } else { &in_log };
        for line in lines {
            let lower = line.to_lowercase();
            if !explained.contains(line) && texts.iter().all(|text| lower.contains(text)) {
                add(*cause, (*line).to_owned(), *remedy);
                explained.push(line);
            }
        }
    }
    for container in failed.iter().flat_map(|t| &t.containers) {
        let Some(code) = container.exit_code else { continue };
        if let Some((cause, remedy)) = exit(code) {
            add(cause, format!("{} ended with exit code {code}", container.name), remedy);
        }
    }
    guesses
}

/// What an exit code alone says.
fn exit(code: i32) -> Option<(Cause, &'static str)> {
    match code {
        // Ended as it was told to.
        143 => None,
        0 => Some((
            Cause::Exit,
            "The program ended without an error, but a service must keep running: let it run in the foreground.",
        )),
        126 | 127 => Some((
            Cause::Command,
            "The command is not in the image or may not be run: correct `entry_point` and `command`.",
        )),
        137 => Some((
            Cause::OutOfMemory,
            "The container was killed: raise `memory` if it had used it up, or `stop_timeout` if it was slow to stop.",
        )),
        139 => Some((Cause::Exit, "The program crashed (SIGSEGV): try another version of the image.")),
        _ => Some((Cause::Exit, "The program ended with an error of its own: read its last log lines.")),
    }
}

/// Why tasks stopped, in one line: the last ones, and the likeliest remedy.
pub fn summary(tasks: &[StoppedTask]) -> String {
    explained(tasks, &diagnose(tasks, &[]))
}

fn explained(tasks: &[StoppedTask], guesses: &[Guess]) -> String {
    let failed: Vec<_> = tasks.iter().filter(|t| !t.is_routine()).collect();
    if failed.is_empty() {
        return "no stopped task says why".into();
    }
    let mut lines: Vec<String> = vec![];
    for task in &failed {
        let line = task.line();
        if !lines.contains(&line) && lines.len() < 3 {
            lines.push(line);
        }
    }
    let remedy = guesses.first().map(|g| format!(". {}", g.remedy)).unwrap_or_default();
    format!("{}{remedy}", lines.join(" / ").trim_end_matches('.'))
}

/// The tasks of a service that stopped within about the last hour, the last one first; with `revision`, only those
/// that ran this task definition.
///
/// # Errors
/// When ECS cannot be asked.
pub async fn stopped_tasks(
    ecs: &Ecs,
    cluster: &str,
    service: &str,
    revision: Option<&str>,
) -> Result<Vec<StoppedTask>, Error> {
    let call = ecs.list_tasks().cluster(cluster).service_name(service).desired_status(DesiredStatus::Stopped);
    let arns = call.send().await.call("ecs:ListTasks")?.task_arns.unwrap_or_default();
    if arns.is_empty() {
        return Ok(vec![]);
    }
    let call = ecs.describe_tasks().cluster(cluster).set_tasks(Some(arns));
    let found = call.send().await.call("ecs:DescribeTasks")?;
    let mut tasks: Vec<_> = found
        .tasks()
        .iter()
        .map(StoppedTask::of)
        .filter(|t| revision.is_none_or(|r| t.task_definition == r))
        .collect();
    tasks.sort_by_key(|t| std::cmp::Reverse(t.stopped_at));
    Ok(tasks)
}

/// Where a container of a task wrote its output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogStream {
    /// The log group.
    pub group: String,
    /// The stream.
    pub stream: String,
}

/// Where the containers of `task` wrote their output, as the driver `awslogs` names its streams.
///
/// # Errors
/// When ECS cannot be asked for the task definition.
pub async fn log_streams(ecs: &Ecs, task: &StoppedTask) -> Result<BTreeMap<String, LogStream>, Error> {
    let call = ecs.describe_task_definition().task_definition(&task.task_definition);
    let found = call.send().await.call("ecs:DescribeTaskDefinition")?;
    let containers = found.task_definition().map(|d| d.container_definitions()).unwrap_or_default();
    Ok(containers
        .iter()
        .filter_map(|c| {
            let name = c.name()?;
            let options = c.log_configuration()?.options()?;
            let group = options.get("awslogs-group")?.clone();
            let prefix = options.get("awslogs-stream-prefix")?;
            Some((name.to_owned(), LogStream { group, stream: format!("{prefix}/{name}/{}", task.id) }))
        })
        .collect())
}

/// All there is to know about the failures of a service.
#[cfg(feature = "logs")]
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The tasks, the last one first.
    pub tasks: Vec<StoppedTask>,
    /// The last lines of the last task, by container.
    pub log: BTreeMap<String, Vec<String>>,
    /// What it probably means, the likeliest first.
    pub guesses: Vec<Guess>,
}

#[cfg(feature = "logs")]
impl Report {
    /// What happened and what it probably means, other possible causes, and the last lines of the log, each on a line
    /// of its own.
    pub fn text(&self) -> String {
        let mut text = explained(&self.tasks, &self.guesses);
        for other in self.guesses.iter().skip(1) {
            text.push_str(&format!("\nor: {} ({})", other.remedy, other.because));
        }
        for (container, lines) in &self.log {
            text.push_str(&format!("\nlast lines of {container}:"));
            lines.iter().for_each(|line| text.push_str(&format!("\n  {}", line.trim_end())));
        }
        text
    }
}

/// Collects why the tasks of a service stopped, with up to `lines` log lines of each container of the last one.
///
/// # Errors
/// When ECS cannot be asked. Logs that are not there are left out.
#[cfg(feature = "logs")]
pub async fn report(
    aws: &crate::Aws,
    cluster: &str,
    service: &str,
    revision: Option<&str>,
    lines: i32,
) -> Result<Report, Error> {
    report_of(aws, stopped_tasks(&aws.ecs, cluster, service, revision).await?, lines).await
}

/// As [`report`], of these tasks.
///
/// # Errors
/// When ECS cannot be asked. Logs that are not there are left out.
#[cfg(feature = "logs")]
pub async fn report_of(aws: &crate::Aws, tasks: Vec<StoppedTask>, lines: i32) -> Result<Report, Error> {
    use causeway_core::error::Found;
    let mut log = BTreeMap::new();
    if let Some(last) = tasks.iter().find(|t| !t.is_routine()) {
        for (container, at) in log_streams(&aws.ecs, last).await? {
            let call = aws
                .logs
                .get_log_events()
                .log_group_name(at.group)
                .log_stream_name(at.stream)
                .start_from_head(false)
                .limit(lines);
            // A container that never ran has no stream.
            let Some(found) = call.send().await.call("logs:GetLogEvents").found()? else { continue };
            let said: Vec<_> = found.events().iter().filter_map(|e| e.message().map(str::to_owned)).collect();
            log.insert(container, said);
        }
    }
    let all: Vec<String> = log.values().flatten().cloned().collect();
    Ok(Report { guesses: diagnose(&tasks, &all), tasks, log })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(stop_code: &str, reason: &str, exit_code: Option<i32>, said: Option<&str>) -> StoppedTask {
        StoppedTask {
            id: "t".into(),
            stop_code: Some(stop_code.into()),
            stopped_reason: Some(reason.into()),
            containers: vec![StoppedContainer {
                name: "coder".into(),
                exit_code,
                reason: said.map(str::to_owned),
                health: None,
            }],
            ..StoppedTask::default()
        }
    }
    fn causes(tasks: &[StoppedTask], log: &[&str]) -> Vec<Cause> {
        let log: Vec<_> = log.iter().map(|l| l.to_string()).collect();
        diagnose(tasks, &log).into_iter().map(|g| g.cause).collect()
    }
    fn to_start(reason: &str) -> Vec<Cause> {
        causes(&[task("TaskFailedToStart", reason, None, None)], &[])
    }
    fn exited(code: i32, said: Option<&str>, log: &[&str]) -> Vec<Cause> {
        let task = task("EssentialContainerExited", "Essential container in task exited", Some(code), said);
        causes(&[task], log)
    }

    #[test]
    fn what_ecs_names_is_recognised() {
        for (reason, cause) in [
            (
                "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref \
                 docker.io/x/coder:9: not found",
                Cause::ImagePull,
            ),
            (
                "CannotPullContainerError: ref pull has been retried 5 time(s): failed to do request: dial tcp \
                 192.0.2.1:443: i/o timeout",
                Cause::Network,
            ),
            (
                "CannotPullContainerError: image Manifest does not contain descriptor matching platform \
                 'linux/arm64'",
                Cause::Architecture,
            ),
            (
                "ResourceInitializationError: unable to pull secrets or registry auth: execution resource \
                 retrieval failed: unable to retrieve secret from asm: AccessDeniedException: not authorized",
                Cause::Secret,
            ),
            (
                "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 \
                 times: ResourceNotFoundException: The specified log group does not exist.",
                Cause::Logs,
            ),
            ("Task failed ELB health checks in (target-group arn:aws:x)", Cause::HealthCheck),
            ("Timeout waiting for network interface provisioning to complete.", Cause::Network),
            ("ECS was unable to assume the role 'arn:aws:iam::0:role/x'", Cause::Role),
        ] {
            assert_eq!(to_start(reason), [cause], "{reason}");
        }
    }

    #[test]
    fn the_log_explains_more_than_the_exit_code() {
        let said = exited(1, None, &["starting", "pq: password authentication failed for user \"coder\""]);
        assert_eq!(said, [Cause::Database, Cause::Exit]);
        let said = exited(1, None, &["dial tcp 10.0.1.7:5432: i/o timeout"]);
        assert_eq!(said[0], Cause::Database);
        assert_eq!(exited(1, None, &["exec /opt/coder: exec format error"])[0], Cause::Architecture);
    }

    #[test]
    fn exit_codes_are_the_last_resort() {
        let killed = exited(137, Some("OutOfMemoryError: Container killed due to memory usage"), &[]);
        assert_eq!(killed, [Cause::OutOfMemory]);
        assert_eq!(exited(127, None, &[]), [Cause::Command]);
        assert_eq!(exited(0, None, &[]), [Cause::Exit]);
        assert_eq!(exited(143, None, &[]), []);
    }

    #[test]
    fn a_task_that_was_scaled_away_is_no_failure() {
        let routine = task(
            "ServiceSchedulerInitiated",
            "Scaling activity initiated by (deployment ecs-svc/1)",
            Some(137),
            None,
        );
        assert_eq!(causes(std::slice::from_ref(&routine), &[]), []);
        assert_eq!(summary(&[routine]), "no stopped task says why");
    }

    #[test]
    fn a_summary_says_each_reason_once_and_what_to_do() {
        let one = task("EssentialContainerExited", "Essential container in task exited", Some(1), None);
        let text = summary(&[one.clone(), one]);
        assert_eq!(
            text,
            "Essential container in task exited (coder: exit code 1). The program ended with an error of its own: \
             read its last log lines."
        );
    }
}
