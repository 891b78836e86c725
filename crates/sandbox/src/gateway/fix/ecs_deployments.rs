//! Fakecloud replaces the tasks of a service at once, starts crashed ones again for ever, and never completes a
//! deployment. This is the service scheduler in its place: old tasks serve until the new ones are healthy, the circuit
//! breaker counts failed tasks and rolls back, deployments, service deployments and events say what happened.
//!
//! How: old tasks are put under task protection, which keeps fakecloud from stopping them when the task definition
//! changes. New tasks are replaced with `RunTask` in the name of the service. A watcher per deployment looks every half
//! second. What fakecloud stores of deployments is replaced in answers. What happens next is decided in `scheduler.rs`, and
//! told in `shown.rs`; the calls that come in and go out are here.
//!
//! At a blue/green deployment the new tasks register with the other of two target groups, the weights of the listener
//! rule turn once all are good, and the old tasks stay for the bake time, of which a minute lasts [`BAKE_MINUTE`]
//! seconds: a sandbox should not wait for minutes. The first deployment of a service turns nothing.
//!
//! A task counts as good when it runs and its container health check and its targets are healthy; without either, when it
//! has run for [`SETTLED`] seconds. Differences from AWS: no back-off between attempts, no alarms, no lifecycle hooks, no
//! test listener rules, no `CODE_DEPLOY` or external controller; `minimumHealthyPercent` and `maximumPercent` are only looked at for whether
//! both revisions may run side by side.

mod scheduler;
mod shown;
mod turn;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use self::shown::{describe, edit, list, revisions, show, tasks};
use self::turn::Turn;
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
/// How many seconds a minute of bake time lasts.
const BAKE_MINUTE: f64 = 4.0;

/// Every service that was made through the gateway, by its ARN, and why tasks were stopped.
#[derive(Default)]
pub(crate) struct Deployments {
    services: Mutex<BTreeMap<String, Service>>,
    stops: Mutex<HashMap<String, (String, String)>>,
}

impl Deployments {
    /// Forgets the services of an account, so that nobody follows their deployments.
    pub(crate) fn close_account(&self, account: &str) {
        let own = format!(":{account}:");
        lock(&self.services).retain(|arn, _| !arn.contains(&own));
    }
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
    /// Whether its tasks are in the other target group.
    green: bool,
    /// When the requests went over to it.
    shifted: Option<f64>,
    /// The lifecycle stage of a blue/green deployment.
    stage: &'static str,
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
            green: false,
            shifted: None,
            stage: "SCALE_UP",
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
    /// As the client said; empty: it did not.
    strategy: String,
    bake_minutes: f64,
    /// As the client wrote them.
    balancers: Vec<Value>,
    turn: Option<Turn>,
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
    /// Sends requests to this target group.
    Shift(usize),
    /// Takes all targets out of this target group.
    Drain(usize),
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

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        match request.operation.name.as_str() {
            "CreateService" => create(state, request, next).await,
            "UpdateService" => update(state, request, next).await,
            "ListServiceDeployments" => list(state, request, next).await,
            "DescribeServiceDeployments" => describe(state, request, next).await,
            "DescribeServiceRevisions" => revisions(state, request, next).await,
            "StopServiceDeployment" => stop_deployment(state, &request).await,
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
    service.remember(&input);
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
    let mut before = before["services"][0].clone();
    let arn = before["serviceArn"].as_str().unwrap_or_default().to_owned();
    let known = lock(&state.fixes.deployments.services).get(&arn).cloned();
    let Some(known) = known else { return next.run(request).await };
    if !known.balancers.is_empty() {
        before["loadBalancers"] = known.balancers.clone().into();
    }
    let mut then = known.clone();
    then.remember(&input);

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
    if let Some(turn) = then.turn.as_ref().filter(|_| then.takes_turns() && (new_definition || same_tasks)) {
        // Requests that went over to a revision which was not deployed completely go back first.
        if known.deployments.first().is_some_and(|d| d.shifted.is_some() && d.rollout == Rollout::InProgress)
        {
            act(state, &scope, &then, Action::Shift(turn.serving)).await;
        }
        input["loadBalancers"] = then.balancers_at(turn.next());
    }
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
        (service.strategy, service.bake_minutes) = (then.strategy, then.bake_minutes);
        (service.balancers, service.turn) = (then.balancers, then.turn);
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
            let mut input = with("taskDefinition", task_definition.into());
            if let Some(turn) = &service.turn {
                input["loadBalancers"] = service.balancers_at(turn.serving);
            }
            state.json(scope, "ecs", "UpdateService", &input).await.map(drop)
        }
        Action::Suspend => {
            state.json(scope, "ecs", "UpdateService", &with("desiredCount", 0.into())).await.map(drop)
        }
        Action::Shift(index) => match &service.turn {
            Some(turn) => turn::shift(state, scope, turn, index).await,
            None => Ok(()),
        },
        Action::Drain(index) => match &service.turn {
            Some(turn) => turn::drain(state, scope, turn, index).await,
            None => Ok(()),
        },
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

/// Back to the revision that was deployed last. To end a deployment where it is would leave it half done, so that is
/// refused.
async fn stop_deployment(state: &Arc<State>, request: &Request) -> Answer {
    let input = request.json();
    let arn = input["serviceDeploymentArn"].as_str().unwrap_or_default();
    if input["stopType"] == "ABORT" {
        let message = "The sandbox stops service deployments only with a rollback.";
        return request.refuse(400, "UnsupportedFeatureException", message);
    }
    let Some(service) = turn::stopped(state, arn) else {
        let message = "The service deployment is not there, or has ended.";
        return request.refuse(400, "ServiceDeploymentNotFoundException", message);
    };
    let seen = match look(state, &request.scope, &service).await {
        Ok(seen) => seen,
        Err(refused) => return refused,
    };
    let reason = "Service deployment rolled back because of a user request.";
    let actions = match lock(&state.fixes.deployments.services).get_mut(&service.arn) {
        Some(service) => service.give_up(&seen, seconds(), reason, true),
        None => vec![],
    };
    for action in actions {
        act(state, &request.scope, &service, action).await;
    }
    shown::ok(&json!({ "serviceDeploymentArn": arn }))
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
