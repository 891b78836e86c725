//! Fakecloud replaces the tasks of a service at once, starts crashed ones again for ever, and never completes a
//! deployment. This is the service scheduler in its place: old tasks serve until the new ones are healthy, the circuit
//! breaker counts failed tasks and rolls back, deployments, service deployments and events say what happened.
//!
//! How: old tasks are put under task protection, which keeps fakecloud from stopping them when the task definition
//! changes. New tasks are replaced with `RunTask` in the name of the service. A watcher per deployment looks every half
//! second. What fakecloud stores of deployments is replaced in answers.
//!
//! A task counts as good when it runs and its container health check and its targets are healthy; without either, when it
//! has run for [`SETTLED`] seconds. Differences from AWS: no back-off between attempts, no alarms, no lifecycle hooks,
//! no `CODE_DEPLOY` or external controller; `minimumHealthyPercent` and `maximumPercent` are only looked at for whether
//! both revisions may run side by side.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{FixInfo, Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::route::{Backend, Scope};
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "ecs_deployments",
    service: "ecs",
    operations: &[
        "CreateService",
        "UpdateService",
        "DeleteService",
        "DescribeServices",
        "DescribeServiceRevisions",
        "ListServiceDeployments",
        "DescribeServiceDeployments",
        "StopServiceDeployment",
        "StopTask",
        "DescribeTasks",
    ],
    why: "fakecloud stops the old tasks before the new ones run, has no circuit breaker, no events, and invents stop reasons",
};

/// A task without any check counts as good after that many seconds. What crashes at its start must have the time to do
/// so, on a busy machine too.
const SETTLED: f64 = 5.0;
const LOOK: Duration = Duration::from_millis(500);

/// Every service that was made through the gateway, by its ARN, and why tasks were stopped.
#[derive(Default)]
pub(crate) struct Deployments {
    services: Mutex<BTreeMap<String, Service>>,
    stops: Mutex<HashMap<String, (String, String)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rollout {
    InProgress,
    Completed,
    Failed,
}

#[derive(Clone, Debug)]
struct Deployment {
    id: String,
    task_definition: String,
    created: f64,
    updated: f64,
    rollout: Rollout,
    reason: String,
    /// ARNs of the tasks that this deployment replaces.
    old: BTreeSet<String>,
    failed: BTreeSet<String>,
    /// Tasks that we asked to stop; their end is no failure.
    stopping: BTreeSet<String>,
    seen: BTreeSet<String>,
    /// When each task was first seen running; fakecloud's times are whole seconds.
    since: BTreeMap<String, f64>,
    running: usize,
    pending: usize,
    /// Whether a container of the task definition has a health check.
    checked: bool,
}

impl Deployment {
    fn new(task_definition: &str, checked: bool, old: BTreeSet<String>, now: f64) -> Deployment {
        Deployment {
            id: format!("ecs-svc/{:019}", random()),
            task_definition: task_definition.to_owned(),
            created: now,
            updated: now,
            rollout: Rollout::InProgress,
            reason: String::new(),
            old,
            failed: BTreeSet::new(),
            stopping: BTreeSet::new(),
            seen: BTreeSet::new(),
            since: BTreeMap::new(),
            running: 0,
            pending: 0,
            checked,
        }
    }
}

/// What `ListServiceDeployments` shows: one attempt, with its rollback.
#[derive(Clone, Debug)]
struct Attempt {
    id: String,
    created: f64,
    updated: f64,
    finished: Option<f64>,
    status: &'static str,
    reason: String,
    source: Option<String>,
    target: String,
    failures: usize,
    rollback: Option<(f64, String)>,
}

#[derive(Clone, Debug, Default)]
struct Service {
    arn: String,
    name: String,
    cluster: String,
    desired: usize,
    /// Rises with every change of the client, so that an older watcher ends.
    generation: u64,
    breaker: bool,
    rollback: bool,
    grace: f64,
    targets: bool,
    /// The first is the primary one.
    deployments: Vec<Deployment>,
    attempts: VecDeque<Attempt>,
    /// The last task definition that was deployed completely.
    good: Option<String>,
    /// fakecloud is told to run nothing, because the first deployment failed.
    suspended: bool,
    events: VecDeque<(f64, String)>,
}

/// A task as the watcher sees it.
#[derive(Clone, Debug, Default)]
struct Seen {
    arn: String,
    task_definition: String,
    running: bool,
    stopped: bool,
    /// Somebody asked for its end.
    ending: bool,
    started: f64,
    health: String,
    /// State of its targets; `None` if it has none yet.
    target: Option<String>,
}

/// What the watcher does next.
#[derive(Clone, Debug, PartialEq)]
enum Action {
    Launch(usize),
    Stop {
        task: String,
        reason: String,
    },
    /// Tell fakecloud that this is the service's task definition again.
    Revert(String),
    Suspend,
    Release(Vec<String>),
    Done,
}

fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Ids only have to differ; without the system's randomness the clock is enough.
    if getrandom::fill(&mut bytes).is_err() {
        bytes = (seconds() * 1e6).to_bits().to_le_bytes();
    }
    u64::from_le_bytes(bytes) >> 4
}

impl Service {
    fn threshold(&self) -> usize {
        self.desired.div_ceil(2).clamp(3, 200)
    }

    fn tell(&mut self, now: f64, text: &str) {
        self.events.push_front((now, format!("(service {}) {text}", self.name)));
        self.events.truncate(100);
    }

    fn attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.front_mut()
    }

    fn begin(&mut self, task_definition: &str, checked: bool, old: BTreeSet<String>, now: f64) {
        if let Some(attempt) = self.attempt()
            && attempt.finished.is_none()
        {
            attempt.finished = Some(now);
            attempt.status = "STOPPED";
            attempt.reason = "Superseded by a newer service deployment.".to_owned();
        }
        let mut deployment = Deployment::new(task_definition, checked, old, now);
        deployment.reason = format!("ECS deployment {} in progress.", deployment.id);
        self.attempts.push_front(Attempt {
            id: format!("{:022}", random()),
            created: now,
            updated: now,
            finished: None,
            status: "IN_PROGRESS",
            reason: String::new(),
            source: self.good.clone(),
            target: task_definition.to_owned(),
            failures: 0,
            rollback: None,
        });
        self.attempts.truncate(20);
        self.deployments.insert(0, deployment);
        self.deployments.truncate(5);
        self.generation += 1;
    }

    /// Takes one look and says what to do.
    fn advance(&mut self, seen: &[Seen], now: f64) -> Vec<Action> {
        let mut actions = Vec::new();
        let (desired, grace, targets, threshold) = (self.desired, self.grace, self.targets, self.threshold());
        let mut news: Vec<String> = Vec::new();
        let Some(d) = self.deployments.first_mut() else { return vec![Action::Done] };
        let (mut good, mut active) = (0, Vec::new());
        for task in seen.iter().filter(|task| !d.old.contains(&task.arn)) {
            if d.seen.insert(task.arn.clone()) {
                news.push(format!("has started 1 tasks: (task {}).", short(&task.arn)));
            }
            if task.stopped {
                if !d.stopping.contains(&task.arn) && d.failed.insert(task.arn.clone()) {
                    news.push(format!("(task {}) stopped before it was healthy.", short(&task.arn)));
                }
                continue;
            }
            let since = match task.running {
                true => *d.since.entry(task.arn.clone()).or_insert(now),
                false => now,
            };
            let target = task.target.as_deref().unwrap_or("initial");
            let sick = if !task.running || task.ending || d.stopping.contains(&task.arn) {
                None
            } else if task.health == "UNHEALTHY" {
                Some("Task failed container health checks".to_owned())
            } else if targets && target == "unhealthy" && now - since > grace {
                Some("Task failed ELB health checks".to_owned())
            } else {
                None
            };
            if let Some(reason) = sick {
                d.failed.insert(task.arn.clone());
                d.stopping.insert(task.arn.clone());
                news.push(format!("(task {}) is stopped: {reason}.", short(&task.arn)));
                actions.push(Action::Stop { task: task.arn.clone(), reason });
                continue;
            }
            if task.ending || d.stopping.contains(&task.arn) {
                continue;
            }
            active.push(task);
            let settled = d.checked || targets || now - since >= SETTLED;
            let healthy = (!d.checked || task.health == "HEALTHY") && (!targets || target == "healthy");
            if task.running && settled && healthy {
                good += 1;
            }
        }
        d.running = active.iter().filter(|task| task.running).count();
        d.pending = active.len() - d.running;
        d.updated = now;
        let old: Vec<&Seen> = seen.iter().filter(|task| d.old.contains(&task.arn) && !task.stopped).collect();
        let failures = d.failed.len();
        let (id, failing) = (d.id.clone(), self.breaker && failures >= threshold);
        if d.rollout != Rollout::InProgress {
            actions.push(Action::Done);
        } else if failing {
            actions.extend(self.fail(seen, now));
        } else if good >= desired {
            let surplus = active.len().saturating_sub(desired);
            active.sort_by(|a, b| b.started.total_cmp(&a.started));
            for task in active.iter().take(surplus).chain(&old) {
                if d.stopping.insert(task.arn.clone()) {
                    let reason = format!("Scaling activity initiated by (deployment {id})");
                    news.push(format!("has stopped 1 running tasks: (task {}).", short(&task.arn)));
                    actions.push(Action::Stop { task: task.arn.clone(), reason });
                }
            }
            if old.is_empty() && surplus == 0 {
                d.rollout = Rollout::Completed;
                d.reason = format!("ECS deployment {id} completed.");
                let task_definition = d.task_definition.clone();
                let kept = active.iter().map(|task| task.arn.clone()).collect();
                self.deployments.truncate(1);
                self.good = Some(task_definition);
                if let Some(attempt) = self.attempt() {
                    attempt.finished = Some(now);
                    attempt.status =
                        if attempt.rollback.is_some() { "ROLLBACK_SUCCESSFUL" } else { "SUCCESSFUL" };
                }
                news.push(format!("(deployment {id}) deployment completed."));
                news.push("has reached a steady state.".to_owned());
                actions.extend([Action::Release(kept), Action::Done]);
            }
        } else if active.len() < desired && active.len() + old.len() >= desired {
            // Below that, fakecloud's own scheduler fills the gap.
            actions.push(Action::Launch(desired - active.len()));
        }
        if let Some(attempt) = self.attempt()
            && attempt.rollback.is_none()
            && attempt.finished.is_none()
        {
            attempt.failures = failures;
            attempt.updated = now;
        }
        for text in news {
            self.tell(now, &text);
        }
        actions
    }

    /// The circuit breaker has opened.
    fn fail(&mut self, seen: &[Seen], now: f64) -> Vec<Action> {
        const REASON: &str = "ECS deployment circuit breaker: tasks failed to start.";
        let Some(failed) = self.deployments.first_mut() else { return Vec::new() };
        failed.rollout = Rollout::Failed;
        failed.reason = REASON.to_owned();
        let (id, task_definition) = (failed.id.clone(), failed.task_definition.clone());
        let failures = failed.failed.len();
        let old_left = seen.iter().any(|task| failed.old.contains(&task.arn) && !task.stopped);
        let rest: Vec<String> = seen
            .iter()
            .filter(|task| !failed.old.contains(&task.arn) && !task.stopped)
            .filter(|task| failed.stopping.insert(task.arn.clone()))
            .map(|task| task.arn.clone())
            .collect();
        self.tell(now, &format!("(deployment {id}) deployment failed: tasks failed to start."));
        if let Some(attempt) = self.attempt() {
            attempt.failures = failures;
            attempt.updated = now;
        }
        let stop = format!("Scaling activity initiated by (deployment {id})");
        let mut actions: Vec<Action> =
            rest.into_iter().map(|task| Action::Stop { task, reason: stop.clone() }).collect();
        let back = self.good.clone().filter(|good| self.rollback && *good != task_definition);
        if let Some(good) = back {
            let old = seen.iter().filter(|t| t.task_definition != good).map(|t| t.arn.clone()).collect();
            let checked =
                self.deployments.iter().find(|d| d.task_definition == good).is_some_and(|d| d.checked);
            let mut deployment = Deployment::new(&good, checked, old, now);
            deployment.reason =
                format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", deployment.id);
            self.tell(now, &format!("rolling back to deployment {}.", deployment.id));
            self.deployments.insert(0, deployment);
            if let Some(attempt) = self.attempt() {
                attempt.status = "ROLLBACK_IN_PROGRESS";
                attempt.reason = REASON.to_owned();
                attempt.rollback = Some((now, good.clone()));
            }
            actions.push(Action::Revert(good));
            return actions;
        }
        if let Some(attempt) = self.attempt() {
            attempt.status = "STOPPED";
            attempt.reason = REASON.to_owned();
            attempt.finished = Some(now);
        }
        if !old_left {
            self.suspended = true;
            actions.push(Action::Suspend);
        }
        actions.push(Action::Done);
        actions
    }

    /// Writes what we know into a service as fakecloud shows it.
    fn show(&self, service: &mut Value) {
        let alone = self.deployments.len() == 1;
        let (running, pending) = (service["runningCount"].clone(), service["pendingCount"].clone());
        let launch = service["launchType"].clone();
        let network = service["networkConfiguration"].clone();
        let shown: Vec<Value> = self
            .deployments
            .iter()
            .enumerate()
            .map(|(index, d)| {
                let mut shown = json!({
                    "id": d.id,
                    "status": if index == 0 { "PRIMARY" } else { "ACTIVE" },
                    "taskDefinition": d.task_definition,
                    "desiredCount": if index == 0 { self.desired } else { 0 },
                    "runningCount": d.running,
                    "pendingCount": d.pending,
                    "failedTasks": d.failed.len(),
                    "createdAt": d.created,
                    "updatedAt": d.updated,
                    "rolloutState": match d.rollout {
                        Rollout::InProgress => "IN_PROGRESS",
                        Rollout::Completed => "COMPLETED",
                        Rollout::Failed => "FAILED",
                    },
                    "rolloutStateReason": d.reason,
                    "launchType": launch,
                    "networkConfiguration": network,
                });
                if alone {
                    // The watcher has gone home; fakecloud counts on.
                    shown["runningCount"] = running.clone();
                    shown["pendingCount"] = pending.clone();
                }
                shown
            })
            .collect();
        service["deployments"] = shown.into();
        service["desiredCount"] = self.desired.into();
        service["events"] = self
            .events
            .iter()
            .map(|(at, message)| json!({ "id": format!("{}-{at}", self.name), "createdAt": at, "message": message }))
            .collect();
        // Fields that AWS leaves out and fakecloud writes as null confuse nobody, but say nothing.
        if service["networkConfiguration"].is_null() {
            service.as_object_mut().map(|service| service.remove("networkConfiguration"));
        }
    }

    fn attempt_arn(&self, attempt: &Attempt) -> String {
        format!("{}/{}", self.arn.replacen(":service/", ":service-deployment/", 1), attempt.id)
    }

    fn revision_arn(&self, task_definition: &str) -> String {
        // Stable per task definition; AWS has an opaque number here.
        let number =
            task_definition.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        // Nineteen digits, and all of the number: the last revisions differ only in its last bits.
        let number = number % 10_000_000_000_000_000_000;
        format!("{}/{number:019}", self.arn.replacen(":service/", ":service-revision/", 1))
    }

    fn brief(&self, attempt: &Attempt) -> Value {
        let mut shown = json!({
            "serviceDeploymentArn": self.attempt_arn(attempt),
            "serviceArn": self.arn,
            "clusterArn": self.cluster_arn(),
            "createdAt": attempt.created,
            "startedAt": attempt.created,
            "targetServiceRevisionArn": self.revision_arn(&attempt.target),
            "status": attempt.status,
        });
        if let Some(finished) = attempt.finished {
            shown["finishedAt"] = finished.into();
        }
        if !attempt.reason.is_empty() {
            shown["statusReason"] = attempt.reason.clone().into();
        }
        shown
    }

    fn full(&self, attempt: &Attempt) -> Value {
        let mut shown = self.brief(attempt);
        let deployment = self.deployments.iter().find(|d| d.task_definition == attempt.target);
        let revision = |task_definition: &str, counts: Option<&Deployment>| {
            json!({
                "arn": self.revision_arn(task_definition),
                "requestedTaskCount": self.desired,
                "runningTaskCount": counts.map_or(0, |d| d.running),
                "pendingTaskCount": counts.map_or(0, |d| d.pending),
            })
        };
        if let Some(object) = shown.as_object_mut() {
            object.remove("targetServiceRevisionArn");
        }
        shown["updatedAt"] = attempt.updated.into();
        shown["targetServiceRevision"] = revision(&attempt.target, deployment);
        shown["sourceServiceRevisions"] =
            attempt.source.iter().map(|source| revision(source, None)).collect();
        let status = match (self.breaker, attempt.failures >= self.threshold(), attempt.finished) {
            (false, ..) => "DISABLED",
            (true, true, _) => "TRIGGERED",
            (true, false, None) => "MONITORING",
            (true, false, Some(_)) => "MONITORING_COMPLETE",
        };
        shown["deploymentCircuitBreaker"] =
            json!({ "status": status, "failureCount": attempt.failures, "threshold": self.threshold() });
        shown["deploymentConfiguration"] =
            json!({ "deploymentCircuitBreaker": { "enable": self.breaker, "rollback": self.rollback } });
        if let Some((at, back)) = &attempt.rollback {
            shown["rollback"] = json!({
                "reason": attempt.reason,
                "startedAt": at,
                "serviceRevisionArn": self.revision_arn(back),
            });
        }
        shown
    }

    fn cluster_arn(&self) -> String {
        let head = self.arn.split(":service/").next().unwrap_or_default();
        format!("{head}:cluster/{}", self.cluster)
    }
}

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        match request.operation.name.as_str() {
            "CreateService" => create(state, request, next).await,
            "UpdateService" => update(state, request, next).await,
            "ListServiceDeployments" => list(state, request, next).await,
            "DescribeServiceDeployments" => describe(state, request, next).await,
            "DescribeServiceRevisions" => revisions(state, request, next).await,
            "StopServiceDeployment" => stop_deployment(state, &request),
            "StopTask" => {
                let input = request.json();
                let answer = next.run(request).await;
                if let (true, Some(task)) = (answer.status.is_success(), input["task"].as_str()) {
                    let reason = input["reason"].as_str().unwrap_or("Task stopped by user");
                    let stop = ("UserInitiated".to_owned(), reason.to_owned());
                    lock(&state.fixes.deployments.stops).insert(short(task).to_owned(), stop);
                }
                answer
            }
            "DescribeTasks" => edit(next.run(request).await, |output| tasks(state, output)),
            "DeleteService" => {
                let shown = request.clone();
                let answer = next.run(request).await;
                let body = String::from_utf8_lossy(&answer.body);
                if body.contains("ClientException") && body.contains("scaled above 0") {
                    let message = "The service cannot be stopped while it is scaled above 0.";
                    return shown.refuse(400, "InvalidParameterException", message);
                }
                edit(answer, |output| {
                    let arn = output["service"]["serviceArn"].as_str().unwrap_or_default().to_owned();
                    // Its watcher finds nothing and ends.
                    if let Some(service) = lock(&state.fixes.deployments.services).remove(&arn) {
                        service.show(&mut output["service"]);
                        output["service"]["desiredCount"] = 0.into();
                    }
                })
            }
            _ => edit(next.run(request).await, |output| show(state, output)),
        }
    })
}

/// Changes the JSON of a good answer.
fn edit(mut answer: Answer, change: impl FnOnce(&mut Value)) -> Answer {
    if answer.status.is_success()
        && let Ok(mut output) = serde_json::from_slice(&answer.body)
    {
        change(&mut output);
        answer.body = output.to_string().into();
    }
    answer
}

fn show(state: &State, output: &mut Value) {
    let services = lock(&state.fixes.deployments.services);
    let one = output.get_mut("service").into_iter();
    // `get_mut` cannot be called twice in one expression.
    for service in one {
        if let Some(known) = service["serviceArn"].as_str().and_then(|arn| services.get(arn)) {
            known.show(service);
        }
    }
    for service in output.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(known) = service["serviceArn"].as_str().and_then(|arn| services.get(arn)) {
            known.show(service);
        }
    }
}

/// Says why tasks stopped in the words of AWS.
fn tasks(state: &State, output: &mut Value) {
    let stops = lock(&state.fixes.deployments.stops);
    for task in output["tasks"].as_array_mut().into_iter().flatten() {
        for attachment in task["attachments"].as_array_mut().into_iter().flatten() {
            if attachment["type"] == "eni" {
                attachment["type"] = "ElasticNetworkInterface".into();
            }
        }
        if task["launchType"] == "FARGATE" {
            task.as_object_mut().map(|task| task.remove("containerInstanceArn"));
        }
        if task["enableExecuteCommand"] == true && task["lastStatus"] == "RUNNING" {
            for container in task["containers"].as_array_mut().into_iter().flatten() {
                let agent = json!({ "name": "ExecuteCommandAgent", "lastStatus": "RUNNING" });
                container["managedAgents"] = json!([agent]);
            }
        }
        if task["lastStatus"] != "STOPPED" {
            continue;
        }
        let id = short(task["taskArn"].as_str().unwrap_or_default()).to_owned();
        if let Some((code, reason)) = stops.get(&id) {
            task["stopCode"] = code.clone().into();
            task["stoppedReason"] = reason.clone().into();
        } else if task["stopCode"] == "EssentialContainerExited" {
            task["stoppedReason"] = "Essential container in task exited".into();
        } else if let Some(reason) = task["stoppedReason"].as_str() {
            let reason = start_failure(reason);
            for container in task["containers"].as_array_mut().into_iter().flatten() {
                if container.get("reason").is_some() {
                    container["reason"] = reason.clone().into();
                }
            }
            task["stoppedReason"] = reason.into();
        }
    }
}

/// The name that AWS has for a failed start.
fn start_failure(reason: &str) -> String {
    if let Some(rest) = reason.strip_prefix("image pull failed: ") {
        return format!("CannotPullContainerError: {}", rest.trim());
    }
    if let Some(rest) = reason.strip_prefix("container start failed: ") {
        // Some reasons bring their own name.
        if rest.split(':').next().is_some_and(|name| name.ends_with("Error") && !name.contains(' ')) {
            return rest.trim().to_owned();
        }
        return format!("CannotStartContainerError: {}", rest.trim());
    }
    reason.to_owned()
}

async fn create(state: &Arc<State>, request: Request, next: Next<'_>) -> Answer {
    let scope = request.scope.clone();
    let input = request.json();
    let mut service = Service {
        name: input["serviceName"].as_str().unwrap_or_default().to_owned(),
        cluster: short(input["cluster"].as_str().unwrap_or("default")).to_owned(),
        ..Service::default()
    };
    // Fakecloud remembers the tasks of an earlier service of that name; their ends are not this one's failures.
    let earlier = look(state, &scope, &service).await.unwrap_or_default();
    let earlier: BTreeSet<String> = earlier.into_iter().map(|task| task.arn).collect();
    let answer = next.run(request).await;
    let Ok(output) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
    let live = &output["service"];
    let controller = &input["deploymentController"]["type"];
    let Some(arn) = live["serviceArn"].as_str().filter(|_| answer.status.is_success()) else { return answer };
    if !(controller.is_null() || controller == "ECS") || input["schedulingStrategy"] == "DAEMON" {
        return answer;
    }
    let task_definition = live["taskDefinition"].as_str().unwrap_or_default();
    let checked = has_check(state, &scope, task_definition).await;
    service.arn = arn.to_owned();
    settings(&mut service, live);
    // Counts on, so that a watcher of an earlier service of that name ends.
    service.generation = random() >> 8;
    service.begin(task_definition, checked, earlier, seconds());
    let generation = service.generation;
    lock(&state.fixes.deployments.services).insert(arn.to_owned(), service);
    tokio::spawn(watch(state.clone(), scope, arn.to_owned(), generation));
    edit(answer, |output| show(state, output))
}

/// Takes over what decides about deployments from a service as fakecloud has it.
fn settings(service: &mut Service, live: &Value) {
    let breaker = &live["deploymentConfiguration"]["deploymentCircuitBreaker"];
    service.breaker = breaker["enable"] == true;
    service.rollback = breaker["rollback"] == true;
    service.grace = live["healthCheckGracePeriodSeconds"].as_f64().unwrap_or(0.0);
    service.targets = live["loadBalancers"].as_array().is_some_and(|list| !list.is_empty());
    service.desired =
        live["desiredCount"].as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
}

async fn has_check(state: &State, scope: &Scope, task_definition: &str) -> bool {
    let input = json!({ "taskDefinition": task_definition });
    let Ok(output) = state.json(scope, "ecs", "DescribeTaskDefinition", &input).await else { return false };
    let containers = output["taskDefinition"]["containerDefinitions"].as_array();
    containers.is_some_and(|all| all.iter().any(|container| container["healthCheck"]["command"].is_array()))
}

async fn update(state: &Arc<State>, mut request: Request, next: Next<'_>) -> Answer {
    let scope = request.scope.clone();
    let mut input = request.json();
    let find = json!({ "cluster": input["cluster"], "services": [input["service"]] });
    let before = state.json(&scope, "ecs", "DescribeServices", &find).await.unwrap_or_default();
    let before = before["services"][0].clone();
    let arn = before["serviceArn"].as_str().unwrap_or_default().to_owned();
    let known = lock(&state.fixes.deployments.services).get(&arn).cloned();
    let Some(known) = known else { return next.run(request).await };

    // "family" without a revision means the newest, which may or may not be the present one.
    let wanted = input["taskDefinition"].as_str().map(|name| short(name).to_owned());
    let present = short(before["taskDefinition"].as_str().unwrap_or_default());
    let changes =
        |field: &str| input.get(field).is_some_and(|value| !value.is_null() && *value != before[field]);
    let same_tasks = input["forceNewDeployment"] == true
        || changes("networkConfiguration")
        || changes("loadBalancers")
        || known.suspended;
    let new_definition = wanted.as_deref().is_some_and(|wanted| wanted != present);
    if !new_definition && let Some(input) = input.as_object_mut() {
        input.remove("taskDefinition");
    }
    if known.suspended && input["desiredCount"].is_null() {
        input["desiredCount"] = known.desired.into();
    }
    // Without knowing the old tasks they could not be kept; better to refuse than to stop them all.
    let seen = match look(state, &scope, &known).await {
        Ok(seen) => seen,
        Err(refused) => return refused,
    };
    let alive: BTreeSet<String> =
        seen.iter().filter(|task| !task.stopped).map(|task| task.arn.clone()).collect();
    let settings_now = input.get("deploymentConfiguration").unwrap_or(&before["deploymentConfiguration"]);
    let side_by_side = settings_now["maximumPercent"].as_u64().is_none_or(|percent| percent > 100);
    if new_definition && side_by_side {
        protect(state, &scope, &known.cluster, &alive, true).await;
    }
    request.body = input.to_string().into();
    let answer = next.run(request).await;
    if !answer.status.is_success() {
        protect(state, &scope, &known.cluster, &alive, false).await;
        return answer;
    }
    let output: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let live = &output["service"];
    let task_definition = live["taskDefinition"].as_str().unwrap_or_default().to_owned();
    let deploys = task_definition != before["taskDefinition"] || same_tasks;
    let checked = if deploys { has_check(state, &scope, &task_definition).await } else { false };
    // Tasks that ended before this deployment are nobody's failures.
    let old: BTreeSet<String> = seen.into_iter().map(|task| task.arn).collect();
    let generation = lock(&state.fixes.deployments.services).get_mut(&arn).and_then(|service| {
        let desired = service.desired;
        settings(service, live);
        if service.suspended && !deploys {
            service.desired = desired;
        }
        if !deploys {
            return None;
        }
        service.suspended = false;
        service.begin(&task_definition, checked, old, seconds());
        Some(service.generation)
    });
    if let Some(generation) = generation {
        tokio::spawn(watch(state.clone(), scope, arn, generation));
    }
    edit(answer, |output| show(state, output))
}

/// Keeps fakecloud from stopping tasks, or lets it again.
async fn protect(state: &State, scope: &Scope, cluster: &str, tasks: &BTreeSet<String>, on: bool) {
    if tasks.is_empty() {
        return;
    }
    let input = json!({ "cluster": cluster, "tasks": tasks, "protectionEnabled": on });
    if let Err(refused) = state.json(scope, "ecs", "UpdateTaskProtection", &input).await {
        tracing::warn!(status = %refused.status, "fakecloud refused a task protection");
    }
}

/// Every task of a service that fakecloud still knows.
async fn look(state: &State, scope: &Scope, service: &Service) -> Result<Vec<Seen>, Answer> {
    let mut arns = Vec::new();
    for status in ["RUNNING", "STOPPED"] {
        let input =
            json!({ "cluster": service.cluster, "serviceName": service.name, "desiredStatus": status });
        let output = state.json(scope, "ecs", "ListTasks", &input).await?;
        arns.extend(output["taskArns"].as_array().cloned().unwrap_or_default());
    }
    let mut found = Vec::new();
    for some in arns.chunks(100) {
        let input = json!({ "cluster": service.cluster, "tasks": some });
        let output = state.json(scope, "ecs", "DescribeTasks", &input).await?;
        found.extend(output["tasks"].as_array().cloned().unwrap_or_default());
    }
    let health = if service.targets { health(state, scope, service).await? } else { HashMap::new() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(found
        .iter()
        .map(|task| {
            let details = task["attachments"][0]["details"].as_array();
            let address = details.and_then(|all| all.iter().find(|one| one["name"] == "privateIPv4Address"));
            Seen {
                arn: text(&task["taskArn"]),
                task_definition: text(&task["taskDefinitionArn"]),
                running: task["lastStatus"] == "RUNNING",
                stopped: task["lastStatus"] == "STOPPED",
                ending: task["desiredStatus"] == "STOPPED",
                started: task["startedAt"].as_f64().unwrap_or(f64::MAX),
                health: text(&task["healthStatus"]),
                target: address.and_then(|one| health.get(one["value"].as_str()?).cloned()),
            }
        })
        .collect())
}

/// The state of each target address of a service; the worst, if it is in several target groups.
async fn health(state: &State, scope: &Scope, service: &Service) -> Result<HashMap<String, String>, Answer> {
    let input = json!({ "cluster": service.cluster, "services": [service.name] });
    let output = state.json(scope, "ecs", "DescribeServices", &input).await?;
    let mut found: HashMap<String, String> = HashMap::new();
    for balancer in output["services"][0]["loadBalancers"].as_array().into_iter().flatten() {
        let Some(group) = balancer["targetGroupArn"].as_str() else { continue };
        let own = [("TargetGroupArn", group)];
        let root = state
            .query_at(Backend::Fakecloud, scope, "elasticloadbalancing", "DescribeTargetHealth", &own)
            .await?;
        for member in root.all("member") {
            if let (Some(address), Some(now)) = (member.get("Target/Id"), member.get("TargetHealth/State")) {
                let worst = found.entry(address).or_insert_with(|| now.clone());
                if now != "healthy" {
                    *worst = now;
                }
            }
        }
    }
    Ok(found)
}

/// Follows one deployment to its end.
async fn watch(state: Arc<State>, scope: Scope, arn: String, generation: u64) {
    loop {
        tokio::time::sleep(LOOK).await;
        let current = |service: &Service| service.generation == generation;
        let Some(service) = lock(&state.fixes.deployments.services).get(&arn).filter(|s| current(s)).cloned()
        else {
            return;
        };
        // Fakecloud may be busy; the next look will tell.
        let Ok(seen) = look(&state, &scope, &service).await else { continue };
        let actions = match lock(&state.fixes.deployments.services).get_mut(&arn) {
            Some(service) if current(service) => service.advance(&seen, seconds()),
            _ => return,
        };
        for action in actions {
            if action == Action::Done {
                return;
            }
            act(&state, &scope, &service, action).await;
        }
    }
}

async fn act(state: &State, scope: &Scope, service: &Service, action: Action) {
    let here = json!({ "cluster": service.cluster, "service": service.name });
    let with = |name: &str, value: Value| {
        let mut input = here.clone();
        input[name] = value;
        input
    };
    let outcome = match action {
        Action::Done => return,
        Action::Launch(count) => launch(state, scope, service, count).await,
        Action::Stop { task, reason } => {
            let stop = ("ServiceSchedulerInitiated".to_owned(), reason.clone());
            lock(&state.fixes.deployments.stops).insert(short(&task).to_owned(), stop);
            let input = json!({ "cluster": service.cluster, "task": task, "reason": reason });
            state.json(scope, "ecs", "StopTask", &input).await.map(drop)
        }
        Action::Revert(task_definition) => {
            let input = with("taskDefinition", task_definition.into());
            state.json(scope, "ecs", "UpdateService", &input).await.map(drop)
        }
        Action::Suspend => {
            state.json(scope, "ecs", "UpdateService", &with("desiredCount", 0.into())).await.map(drop)
        }
        Action::Release(tasks) => {
            protect(state, scope, &service.cluster, &tasks.into_iter().collect(), false).await;
            Ok(())
        }
    };
    if let Err(refused) = outcome {
        let body = String::from_utf8_lossy(&refused.body);
        tracing::warn!(status = %refused.status, %body, service = service.name, "fakecloud refused the scheduler");
    }
}

/// Starts tasks that fakecloud takes for the service's own.
async fn launch(state: &State, scope: &Scope, service: &Service, count: usize) -> Result<(), Answer> {
    let input = json!({ "cluster": service.cluster, "services": [service.name] });
    let output = state.json(scope, "ecs", "DescribeServices", &input).await?;
    let live = &output["services"][0];
    let input = json!({
        "cluster": service.cluster,
        "taskDefinition": live["taskDefinition"],
        "count": count.min(10),
        "launchType": live["launchType"],
        "networkConfiguration": live["networkConfiguration"],
        "enableExecuteCommand": live["enableExecuteCommand"],
        "startedBy": format!("ecs-svc/{}", service.name),
        "group": format!("service:{}", service.name),
    });
    state.json(scope, "ecs", "RunTask", &input).await.map(drop)
}

async fn list(state: &Arc<State>, request: Request, next: Next<'_>) -> Answer {
    let input = request.json();
    let name = short(input["service"].as_str().unwrap_or_default()).to_owned();
    let cluster = short(input["cluster"].as_str().unwrap_or("default")).to_owned();
    let only: Vec<&str> =
        input["status"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // Only the emulator of the caller's account and region knows which service of that name is meant.
    let find = json!({ "cluster": cluster, "services": [name] });
    let live = state.json(&request.scope, "ecs", "DescribeServices", &find).await.unwrap_or_default();
    let arn = live["services"][0]["serviceArn"].as_str().unwrap_or_default().to_owned();
    let found = lock(&state.fixes.deployments.services).get(&arn).cloned();
    let Some(found) = found else { return next.run(request).await };
    let shown: Vec<Value> = found
        .attempts
        .iter()
        .filter(|attempt| only.is_empty() || only.contains(&attempt.status))
        .map(|attempt| found.brief(attempt))
        .collect();
    ok(&json!({ "serviceDeployments": shown }))
}

async fn describe(state: &Arc<State>, request: Request, next: Next<'_>) -> Answer {
    let input = request.json();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    {
        let services = lock(&state.fixes.deployments.services);
        for arn in input["serviceDeploymentArns"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let attempt = services.values().find_map(|service| {
                let attempt = service.attempts.iter().find(|attempt| service.attempt_arn(attempt) == arn)?;
                Some(service.full(attempt))
            });
            match attempt {
                Some(attempt) => found.push(attempt),
                None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
            }
        }
    }
    if found.is_empty() {
        return next.run(request).await;
    }
    ok(&json!({ "serviceDeployments": found, "failures": failures }))
}

async fn revisions(state: &Arc<State>, request: Request, next: Next<'_>) -> Answer {
    let input = request.json();
    let mut found = Vec::new();
    {
        let services = lock(&state.fixes.deployments.services);
        for arn in input["serviceRevisionArns"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            for service in services.values() {
                let known =
                    service.attempts.iter().flat_map(|a| [Some(&a.target), a.source.as_ref()]).flatten();
                if let Some(task_definition) =
                    known.into_iter().find(|name| service.revision_arn(name) == arn)
                {
                    found.push(json!({
                        "serviceRevisionArn": arn,
                        "serviceArn": service.arn,
                        "clusterArn": service.cluster_arn(),
                        "taskDefinition": task_definition,
                    }));
                    break;
                }
            }
        }
    }
    if found.is_empty() {
        return next.run(request).await;
    }
    ok(&json!({ "serviceRevisions": found, "failures": [] }))
}

/// `StopServiceDeployment` is refused rather than half done.
fn stop_deployment(_state: &State, request: &Request) -> Answer {
    request.refuse(
        400,
        "UnsupportedFeatureException",
        "The sandbox does not stop service deployments; deploy again instead.",
    )
}

fn ok(value: &Value) -> Answer {
    Answer::new(http::StatusCode::OK, "application/x-amz-json-1.1", value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(desired: usize) -> Service {
        Service {
            arn: "arn:aws:ecs:us-east-1:1:service/c/web".into(),
            name: "web".into(),
            cluster: "c".into(),
            desired,
            breaker: true,
            rollback: true,
            ..Service::default()
        }
    }

    fn task(id: &str, definition: &str, now: f64) -> Seen {
        Seen {
            arn: format!("arn:task/c/{id}"),
            task_definition: definition.into(),
            running: true,
            started: now,
            ..Seen::default()
        }
    }

    fn crashed(id: &str, definition: &str) -> Seen {
        Seen { stopped: true, running: false, ..task(id, definition, 0.0) }
    }

    #[test]
    fn a_task_that_settles_completes_the_first_deployment() {
        let mut web = service(1);
        web.begin("web:1", false, BTreeSet::new(), 0.0);
        assert_eq!(web.advance(&[task("a", "web:1", 1.0)], 2.0), []);
        assert_eq!(web.advance(&[task("a", "web:1", 1.0)], 6.5), [], "not before it has settled");
        assert_eq!(web.deployments[0].rollout, Rollout::InProgress);
        let actions = web.advance(&[task("a", "web:1", 1.0)], 7.0);
        assert_eq!(actions.last(), Some(&Action::Done));
        assert_eq!(web.deployments[0].rollout, Rollout::Completed);
        assert_eq!((web.good.as_deref(), web.attempts[0].status), (Some("web:1"), "SUCCESSFUL"));
    }

    fn deployed() -> Service {
        let mut web = service(1);
        web.begin("web:1", false, BTreeSet::new(), 0.0);
        web.advance(&[task("a", "web:1", 0.0)], 1.0);
        web.advance(&[task("a", "web:1", 0.0)], 6.0);
        web.begin("web:2", false, BTreeSet::from(["arn:task/c/a".to_owned()]), 10.0);
        web
    }

    #[test]
    fn the_old_task_serves_until_the_new_one_is_good() {
        let mut web = deployed();
        let (old, new) = (task("a", "web:1", 0.0), task("b", "web:2", 11.0));
        assert_eq!(web.advance(&[old.clone(), new.clone()], 12.0), []);
        let stop = web.advance(&[old.clone(), new.clone()], 17.0);
        assert!(matches!(&stop[..], [Action::Stop { task, .. }] if task.ends_with("/a")), "{stop:?}");
        assert_eq!(web.advance(&[old.clone(), new.clone()], 17.5), [], "asked once");
        let gone = Seen { stopped: true, ..old };
        web.advance(&[gone, new], 18.0);
        assert_eq!(web.deployments.len(), 1);
        assert_eq!(web.deployments[0].rollout, Rollout::Completed);
        assert_eq!(web.good.as_deref(), Some("web:2"));
    }

    #[test]
    fn three_crashes_open_the_breaker_and_the_old_revision_stays() {
        let mut web = deployed();
        let old = task("a", "web:1", 0.0);
        assert_eq!(web.advance(&[old.clone(), crashed("b", "web:2")], 12.0), [Action::Launch(1)]);
        assert_eq!(
            web.advance(&[old.clone(), crashed("b", "web:2"), crashed("c", "web:2")], 13.0),
            [Action::Launch(1)]
        );
        let all = [old.clone(), crashed("b", "web:2"), crashed("c", "web:2"), crashed("d", "web:2")];
        assert_eq!(web.advance(&all, 14.0), [Action::Revert("web:1".into())]);
        assert_eq!(web.attempts[0].status, "ROLLBACK_IN_PROGRESS");
        assert_eq!(web.deployments[1].rollout, Rollout::Failed);
        web.advance(&all, 14.5);
        let end = web.advance(&all, 19.5);
        assert_eq!(end.last(), Some(&Action::Done));
        assert_eq!(web.attempts[0].status, "ROLLBACK_SUCCESSFUL");
        assert_eq!(web.full(&web.attempts[0])["deploymentCircuitBreaker"]["status"], "TRIGGERED");
        assert_eq!((web.deployments.len(), &*web.deployments[0].task_definition), (1, "web:1"));
        assert!(web.events.iter().any(|(_, text)| text.contains("deployment failed: tasks failed to start")));
    }

    #[test]
    fn without_a_good_revision_the_service_stands_still() {
        let mut web = service(1);
        web.begin("web:1", false, BTreeSet::new(), 0.0);
        let crashes = [crashed("a", "web:1"), crashed("b", "web:1"), crashed("c", "web:1")];
        assert_eq!(web.advance(&crashes, 9.0), [Action::Suspend, Action::Done]);
        assert_eq!((web.suspended, web.attempts[0].status), (true, "STOPPED"));
        let mut live = json!({ "desiredCount": 0, "runningCount": 0 });
        web.show(&mut live);
        assert_eq!(live["desiredCount"], 1);
        assert_eq!(live["deployments"][0]["rolloutState"], "FAILED");
    }

    #[test]
    fn an_unhealthy_target_fails_after_the_grace_period() {
        let mut web = deployed();
        web.targets = true;
        web.grace = 10.0;
        let old = Seen { target: Some("healthy".into()), ..task("a", "web:1", 0.0) };
        let new = Seen { target: Some("unhealthy".into()), ..task("b", "web:2", 11.0) };
        assert_eq!(web.advance(&[old.clone(), new.clone()], 20.0), []);
        let stop = web.advance(&[old.clone(), new.clone()], 30.5);
        assert!(
            matches!(&stop[0], Action::Stop { reason, .. } if reason.contains("ELB health checks")),
            "{stop:?}"
        );
        assert_eq!(stop[1], Action::Launch(1));
        let healthy = Seen { target: Some("healthy".into()), ..new };
        let mut web = deployed();
        web.targets = true;
        assert!(
            matches!(&web.advance(&[old, healthy], 11.5)[..], [Action::Stop { task, .. }] if task.ends_with("/a"))
        );
    }

    #[test]
    fn every_revision_has_an_arn_of_its_own() {
        let web = deployed();
        let arns: BTreeSet<String> = (1..=20).map(|n| web.revision_arn(&format!("web:{n}"))).collect();
        assert_eq!(arns.len(), 20);
    }

    #[test]
    fn failed_starts_have_their_aws_names() {
        assert_eq!(
            start_failure("image pull failed: manifest unknown\n"),
            "CannotPullContainerError: manifest unknown"
        );
        assert_eq!(start_failure("ResourceInitializationError: x"), "ResourceInitializationError: x");
        let nested = "container start failed: ResourceInitializationError: no log group";
        assert_eq!(start_failure(nested), "ResourceInitializationError: no log group");
        assert_eq!(start_failure("container start failed: no: such"), "CannotStartContainerError: no: such");
    }
}
