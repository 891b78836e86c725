//! What is known of services, their deployments and why their tasks stopped, in the words of AWS.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Attempt, Deployment, Rollout, Service, short};
use crate::gateway::fix::{Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::{State, lock};

impl Service {
    /// Writes what we know into a service as fakecloud shows it.
    pub(super) fn show(&self, service: &mut Value) {
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
        self.show_strategy(service);
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

    pub(super) fn attempt_arn(&self, attempt: &Attempt) -> String {
        format!("{}/{}", self.arn.replacen(":service/", ":service-deployment/", 1), attempt.id)
    }

    pub(super) fn revision_arn(&self, task_definition: &str) -> String {
        // Stable per task definition; AWS has an opaque number here.
        let number =
            task_definition.bytes().fold(7u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        // Nineteen digits, and all of the number: the last revisions differ only in its last bits.
        let number = number % 10_000_000_000_000_000_000;
        format!("{}/{number:019}", self.arn.replacen(":service/", ":service-revision/", 1))
    }

    pub(super) fn brief(&self, attempt: &Attempt) -> Value {
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

    pub(super) fn full(&self, attempt: &Attempt) -> Value {
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
        if let Some(green) = self.deployments.iter().find(|d| d.green && d.task_definition == attempt.target)
        {
            shown["deploymentConfiguration"]["strategy"] = self.strategy.clone().into();
            shown["deploymentConfiguration"]["bakeTimeInMinutes"] = json!(self.bake_minutes as i64);
            if attempt.finished.is_none() && attempt.rollback.is_none() {
                shown["lifecycleStage"] = green.stage.into();
            }
        }
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

/// Changes the JSON of a good answer.
pub(super) fn edit(mut answer: Answer, change: impl FnOnce(&mut Value)) -> Answer {
    if answer.status.is_success()
        && let Ok(mut output) = serde_json::from_slice(&answer.body)
    {
        change(&mut output);
        answer.body = output.to_string().into();
    }
    answer
}

pub(super) fn show(state: &State, output: &mut Value) {
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
pub(super) fn tasks(state: &State, output: &mut Value) {
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

pub(super) async fn list(state: &Arc<State>, request: Request, next: Next<'_>) -> Answer {
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

pub(super) async fn describe(state: &Arc<State>, request: Request, next: Next<'_>) -> Answer {
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

pub(super) async fn revisions(state: &Arc<State>, request: Request, next: Next<'_>) -> Answer {
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

pub(super) fn ok(value: &Value) -> Answer {
    Answer::new(http::StatusCode::OK, "application/x-amz-json-1.1", value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

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
