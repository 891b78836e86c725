//! What moto's Auto Scaling groups lack: instance refreshes, the version of the launch template that an instance was
//! started from, metrics that are added and taken away, and the end of instances with all that they have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request, ec2_leftovers};
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::Element;
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "autoscaling_groups",
    service: "autoscaling",
    operations: &[
        "CreateAutoScalingGroup",
        "DeleteAutoScalingGroup",
        "DescribeAutoScalingGroups",
        "DescribeInstanceRefreshes",
        "DisableMetricsCollection",
        "EnableMetricsCollection",
        "StartInstanceRefresh",
        "TerminateInstanceInAutoScalingGroup",
        "UpdateAutoScalingGroup",
    ],
    why: "moto has no instance refreshes, tells the default version of the template as that of every instance, \
          replaces the metrics of a group, deletes groups that have instances, and leaves their interfaces behind",
};

/// How long a refresh takes after its instances were replaced.
const REFRESH: Duration = Duration::from_millis(1200);

/// What moto forgets.
#[derive(Default)]
pub(crate) struct Groups {
    /// Account, region and instance: the version that it was started from.
    versions: Mutex<BTreeMap<String, String>>,
    /// Account, region and group: its refreshes, the newest last.
    refreshes: Mutex<BTreeMap<String, Vec<(String, Instant)>>>,
}

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let group = request.param("AutoScalingGroupName").unwrap_or_default();
        match request.operation.name.as_str() {
            "StartInstanceRefresh" => start(state, &request, &group).await,
            "DescribeInstanceRefreshes" => refreshes(state, &request, &group),
            "DescribeAutoScalingGroups" => {
                let mut answer = next.run(request).await;
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                if answer.status.is_success()
                    && let Some(mut root) = Element::parse(&text)
                {
                    tell_versions(state, &scope, &mut root).await;
                    answer.body = root.document().into();
                }
                answer
            }
            "EnableMetricsCollection" | "DisableMetricsCollection" => metrics(state, &request, &group).await,
            operation => {
                let before = instances(&described(state, &scope, &group).await);
                if operation == "DeleteAutoScalingGroup"
                    && !before.is_empty()
                    && request.param("ForceDelete").as_deref() != Some("true")
                {
                    let message =
                        "You cannot delete an AutoScalingGroup while there are instances still in the group.";
                    return request.refuse(400, "ResourceInUse", message);
                }
                let answer = next.run(request).await;
                let root = described(state, &scope, &group).await;
                let after = instances(&root);
                let gone: Vec<String> = before.into_iter().filter(|id| !after.contains(id)).collect();
                ec2_leftovers::remove_interfaces(state, &scope, &gone).await;
                // Looked at now, while the version that they were started from is still the group's.
                if let Some(mut root) = root {
                    tell_versions(state, &scope, &mut root).await;
                }
                answer
            }
        }
    })
}

fn key(scope: &Scope, name: &str) -> String {
    format!("{} {} {name}", crate::account::of(&scope.access_key), scope.region)
}

async fn described(state: &State, scope: &Scope, group: &str) -> Option<Element> {
    if group.is_empty() {
        return None;
    }
    let name = [("AutoScalingGroupNames.member.1", group)];
    state.query(scope, "autoscaling", "DescribeAutoScalingGroups", &name).await.ok()
}

fn instances(root: &Option<Element>) -> Vec<String> {
    let found = root.iter().flat_map(|root| root.all("Instances")).flat_map(Element::elements);
    found.filter_map(|instance| instance.get("InstanceId")).collect()
}

/// Puts the version into every instance; one that is seen for the first time has that of its group now.
async fn tell_versions(state: &State, scope: &Scope, root: &mut Element) {
    let groups = root.all("AutoScalingGroups").into_iter().flat_map(Element::elements);
    let mut current = BTreeMap::new();
    for group in groups.filter(|group| group.child("Instances").is_some()) {
        let wanted = group.get("LaunchTemplate/Version").unwrap_or_else(|| "$Default".to_owned());
        let Some(template) = group.get("LaunchTemplate/LaunchTemplateId") else { continue };
        let unknown = |id: &String| !lock(&state.fixes.groups.versions).contains_key(&key(scope, id));
        let new: Vec<String> = instances(&Some(group.clone())).into_iter().filter(unknown).collect();
        if new.is_empty() {
            continue;
        }
        let version = match wanted.as_str() {
            "$Latest" | "$Default" => {
                let ids = [("LaunchTemplateId.1", template.as_str())];
                let Ok(root) = state.query(scope, "ec2", "DescribeLaunchTemplates", &ids).await else {
                    continue;
                };
                let number = if wanted == "$Latest" { "latestVersionNumber" } else { "defaultVersionNumber" };
                let Some(number) = root.all(number).first().map(|number| number.text()) else { continue };
                number
            }
            number => number.to_owned(),
        };
        current.extend(new.into_iter().map(|id| (key(scope, &id), version.clone())));
    }
    let mut versions = lock(&state.fixes.groups.versions);
    versions.extend(current);
    root.walk_mut(&mut |instance| {
        if let Some(version) = instance.get("InstanceId").and_then(|id| versions.get(&key(scope, &id)))
            && instance.child("LaunchTemplate").is_some()
        {
            instance.set("LaunchTemplate/Version", version);
        }
    });
}

/// Replaces every instance at once, and then takes a little longer.
async fn start(state: &State, request: &Request, group: &str) -> Answer {
    let scope = &request.scope;
    let root = described(state, scope, group).await;
    if root.as_ref().is_none_or(|root| root.all("AutoScalingGroupARN").is_empty()) {
        let message = format!("AutoScalingGroup name not found - AutoScalingGroup '{group}' not found");
        return request.refuse(400, "ValidationError", &message);
    }
    let id = {
        let mut all = lock(&state.fixes.groups.refreshes);
        let own = all.entry(key(scope, group)).or_default();
        if own.last().is_some_and(|(_, started)| started.elapsed() < REFRESH) {
            let message = "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.";
            return request.refuse(400, "InstanceRefreshInProgress", message);
        }
        let id = format!("00000000-0000-4000-8000-{:012x}", own.len() + 1);
        own.push((id.clone(), Instant::now()));
        id
    };
    let old = instances(&root);
    for instance in &old {
        let end = [("InstanceId", instance.as_str()), ("ShouldDecrementDesiredCapacity", "false")];
        let _ = state.query(scope, "autoscaling", "TerminateInstanceInAutoScalingGroup", &end).await;
    }
    ec2_leftovers::remove_interfaces(state, scope, &old).await;
    if let Some(mut root) = described(state, scope, group).await {
        tell_versions(state, scope, &mut root).await;
    }
    document(
        "StartInstanceRefresh",
        Element::new("StartInstanceRefreshResult").with_text("InstanceRefreshId", &id),
    )
}

fn refreshes(state: &State, request: &Request, group: &str) -> Answer {
    let all = lock(&state.fixes.groups.refreshes);
    let mut list = Element::new("InstanceRefreshes");
    for (id, started) in all.get(&key(&request.scope, group)).into_iter().flatten().rev() {
        let (status, percentage) =
            if started.elapsed() < REFRESH { ("InProgress", "50") } else { ("Successful", "100") };
        list = list.with(
            Element::new("member")
                .with_text("InstanceRefreshId", id)
                .with_text("AutoScalingGroupName", group)
                .with_text("Status", status)
                .with_text("PercentageComplete", percentage),
        );
    }
    document("DescribeInstanceRefreshes", Element::new("DescribeInstanceRefreshesResult").with(list))
}

/// Moto keeps exactly what it is given; AWS adds to what there is, and takes from it.
async fn metrics(state: &State, request: &Request, group: &str) -> Answer {
    let root = described(state, &request.scope, group).await;
    let there = root.iter().flat_map(|root| root.all("Metric")).map(Element::text);
    let named = request.params("Metrics.member.");
    let mut wanted: Vec<String> = if request.operation.name == "EnableMetricsCollection" {
        there.chain(named).collect()
    } else if named.is_empty() {
        vec![]
    } else {
        there.filter(|metric| !named.contains(metric)).collect()
    };
    wanted.sort();
    wanted.dedup();
    let keys: Vec<String> = (1..=wanted.len()).map(|n| format!("Metrics.member.{n}")).collect();
    let mut parameters = vec![("AutoScalingGroupName", group), ("Granularity", "1Minute")];
    parameters.extend(keys.iter().map(String::as_str).zip(wanted.iter().map(String::as_str)));
    match state.query(&request.scope, "autoscaling", "EnableMetricsCollection", &parameters).await {
        Ok(_) => document(&request.operation.name, Element::new("Result")),
        Err(refused) => refused,
    }
}

fn document(operation: &str, result: Element) -> Answer {
    let metadata =
        Element::new("ResponseMetadata").with_text("RequestId", "00000000-0000-4000-8000-000000000000");
    let root = Element::new(&format!("{operation}Response")).with(result).with(metadata);
    Answer::new(http::StatusCode::OK, "text/xml", root.document())
}
