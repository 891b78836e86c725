//! Updates of clusters, node groups and add-ons take their time, and only one of each goes at a time; what EKS refuses of
//! them and fakecloud takes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures::future::BoxFuture;
use serde_json::Value;

use super::eks_clusters::{behind, key, look};
use super::{FixInfo, Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "eks_updates",
    service: "eks",
    operations: &[
        "UpdateClusterConfig",
        "UpdateClusterVersion",
        "AssociateEncryptionConfig",
        "UpdateNodegroupConfig",
        "UpdateNodegroupVersion",
        "UpdateAddon",
        "DescribeUpdate",
        "DescribeCluster",
        "DescribeNodegroup",
        "DescribeAddon",
        "CreateNodegroup",
        "DeleteCluster",
        "DeleteNodegroup",
    ],
    why: "fakecloud changes at once, takes several updates at a time and skips minor versions; AWS shows UPDATING, answers ResourceInUseException to a second update, and goes one minor version at a time",
};

/// Account, region, cluster, and the node group or add-on.
type Target = ([String; 3], String);

/// Until when a thing is being updated.
#[derive(Default)]
pub(crate) struct Updates(Mutex<BTreeMap<Target, Instant>>);

impl Updates {
    fn goes_on(&self, target: &Target) -> bool {
        lock(&self.0).get(target).is_some_and(|until| *until > Instant::now())
    }
}

fn target(request: &Request) -> Target {
    let query = request.uri.query().unwrap_or_default();
    let named = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name).map(str::to_owned));
    let part =
        [("node-groups", "nodegroupName="), ("addons", "addonName=")].into_iter().find_map(|(at, name)| {
            let name = named(name).or_else(|| Some(behind(request, at)).filter(|name| !name.is_empty()))?;
            Some(format!("{at}/{name}"))
        });
    (key(&request.scope, &behind(request, "clusters")), part.unwrap_or_default())
}

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let operation = request.operation.name.clone();
        let target = target(&request);
        let goes_on = state.fixes.updates.goes_on(&target);
        let updates = !operation.starts_with("Describe") && operation != "CreateNodegroup";
        if updates && goes_on {
            let what = if target.1.is_empty() { &target.0[2] } else { &target.1 };
            let message = format!("Cannot {operation} because {what} currently has update in progress");
            return request.refuse(409, "ResourceInUseException", &message);
        }
        let refused = match operation.as_str() {
            "UpdateClusterConfig" => config(state, &request).await,
            "UpdateClusterVersion" => version(state, &request).await,
            "CreateNodegroup" | "UpdateNodegroupVersion" => nodes(state, &request).await,
            _ => None,
        };
        if let Some(refused) = refused {
            return refused;
        }
        let pends = state.pending.times(&request.scope.access_key).cluster_change;
        let mut answer = next.run(request).await;
        if !answer.status.is_success() {
            return answer;
        }
        if updates && !operation.starts_with("Delete") {
            let until = Instant::now() + pends;
            lock(&state.fixes.updates.0).insert(target, until);
        } else if goes_on && let Ok(mut output) = serde_json::from_slice::<Value>(&answer.body) {
            for (what, status) in [
                ("update", "InProgress"),
                ("cluster", "UPDATING"),
                ("nodegroup", "UPDATING"),
                ("addon", "UPDATING"),
            ] {
                if output[what].is_object() {
                    output[what]["status"] = status.into();
                }
            }
            answer.body = output.to_string().into();
        }
        answer
    })
}

/// What an update changes, in EKS's own grouping.
fn kinds(input: &Value) -> Vec<&'static str> {
    let network = &input["resourcesVpcConfig"];
    let has = |value: &Value, names: &[&str]| names.iter().any(|name| !value[*name].is_null());
    [
        ("LoggingUpdate", has(input, &["logging"])),
        (
            "EndpointAccessUpdate",
            has(network, &["endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs"]),
        ),
        ("VpcConfigUpdate", has(network, &["subnetIds", "securityGroupIds"])),
        ("AccessConfigUpdate", has(input, &["accessConfig"])),
        ("UpgradePolicyUpdate", has(input, &["upgradePolicy"])),
        ("DeletionProtectionUpdate", has(input, &["deletionProtection"])),
    ]
    .into_iter()
    .filter_map(|(kind, is)| is.then_some(kind))
    .collect()
}

async fn config(state: &Arc<State>, request: &Request) -> Option<Answer> {
    let invalid = |message: &str| Some(request.refuse(400, "InvalidParameterException", message));
    let input = request.json();
    let kinds = kinds(&input);
    if kinds.len() > 1 {
        return invalid("Only one type of update can be allowed.");
    }
    if kinds == ["EndpointAccessUpdate"] {
        let path = request.uri.path().trim_end_matches("/update-config").to_owned();
        let there = look(state, &request.scope, "DescribeCluster", &path).await?;
        let (wanted, there) = (&input["resourcesVpcConfig"], &there["cluster"]["resourcesVpcConfig"]);
        let same = |name: &str| wanted[name].is_null() || wanted[name] == there[name];
        if ["endpointPublicAccess", "endpointPrivateAccess", "publicAccessCidrs"].into_iter().all(same) {
            return invalid("Cluster is already at the desired configuration.");
        }
    }
    None
}

/// `1.34` as numbers.
fn minor(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

async fn version(state: &Arc<State>, request: &Request) -> Option<Answer> {
    let path = request.uri.path().trim_end_matches("/updates").to_owned();
    let there = look(state, &request.scope, "DescribeCluster", &path).await?;
    let from = there["cluster"]["version"].as_str()?.to_owned();
    let input = request.json();
    let to = input["version"].as_str()?;
    let next = minor(&from).zip(minor(to)).is_some_and(|(from, to)| to == (from.0, from.1 + 1));
    (!next).then(|| {
        let message = format!("Unsupported Kubernetes minor version update from {from} to {to}");
        request.refuse(400, "InvalidParameterException", &message)
    })
}

async fn nodes(state: &Arc<State>, request: &Request) -> Option<Answer> {
    let input = request.json();
    let wanted = input["version"].as_str()?;
    let path = format!("/clusters/{}", behind(request, "clusters"));
    let there = look(state, &request.scope, "DescribeCluster", &path).await?;
    let cluster = there["cluster"]["version"].as_str()?;
    let newer = minor(wanted).zip(minor(cluster)).is_none_or(|(wanted, cluster)| wanted > cluster);
    newer.then(|| {
        let message = format!("Nodegroup version {wanted} must not be newer than the cluster's, {cluster}.");
        request.refuse(400, "InvalidParameterException", &message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_update_is_of_one_kind() {
        assert_eq!(kinds(&json!({ "logging": {} })), ["LoggingUpdate"]);
        let network = json!({ "resourcesVpcConfig": { "subnetIds": [], "endpointPublicAccess": false } });
        assert_eq!(kinds(&network), ["EndpointAccessUpdate", "VpcConfigUpdate"]);
    }

    #[test]
    fn an_update_is_found_under_what_it_is_about() {
        let of = |uri: &str| {
            let mut request = Request::test("eks", "DescribeUpdate", "");
            request.uri = uri.parse().unwrap();
            target(&request).1
        };
        assert_eq!(of("/clusters/c/updates/1"), "");
        assert_eq!(of("/clusters/c/updates/1?nodegroupName=system"), "node-groups/system");
        assert_eq!(of("/clusters/c/node-groups/system/update-version"), "node-groups/system");
        assert_eq!(of("/clusters/c/addons/coredns/update"), "addons/coredns");
    }
}
