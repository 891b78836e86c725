//! Fakecloud's EKS ends with Kubernetes 1.34. The gateway adds the version after it, so that an upgrade of two steps can
//! be tried: fakecloud keeps such a cluster as one of 1.34, with the add-ons of 1.34.
//! <https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html>

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::eks_clusters::{behind, key};
use super::{FixInfo, Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "eks_versions",
    service: "eks",
    operations: &[
        "CreateCluster",
        "DescribeCluster",
        "UpdateClusterVersion",
        "DeleteCluster",
        "DescribeClusterVersions",
        "DescribeAddonVersions",
    ],
    why: "fakecloud knows Kubernetes to 1.34 and takes any version; AWS has 1.35 and refuses versions that it does not have",
};

/// The newest version that fakecloud knows, and the one that stands on it.
const KNOWN: &str = "1.34";
const ADDED: &str = "1.35";
/// The oldest one that EKS had when fakecloud's table was made.
const OLDEST: u32 = 28;

/// The clusters of the added version.
#[derive(Default)]
pub(crate) struct Added(Mutex<BTreeSet<[String; 3]>>);

pub(super) fn run<'a>(state: &'a Arc<State>, mut request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        let operation = request.operation.name.clone();
        let mut input = request.json();
        let asked = input["version"].as_str().map(str::to_owned);
        if let Some(version) = &asked {
            if !is_offered(version) {
                return request.refuse(400, "InvalidParameterException", "unsupported Kubernetes version");
            }
            if version == ADDED {
                input["version"] = KNOWN.into();
                request.body = input.to_string().into();
            }
        }
        let wanted = format!("kubernetesVersion={ADDED}");
        let addons = request.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == wanted));
        if addons {
            let uri = request.uri.to_string().replace(&wanted, &format!("kubernetesVersion={KNOWN}"));
            request.uri = uri.parse().unwrap_or(request.uri);
        }
        let path = behind(&request, "clusters");
        let cluster = if path.is_empty() { input["name"].as_str().unwrap_or_default() } else { &path };
        let key = key(&scope, cluster);
        let mut answer = next.run(request).await;
        if !answer.status.is_success() {
            return answer;
        }
        let clusters = &state.fixes.added.0;
        if let Some(version) = &asked {
            if version == ADDED {
                lock(clusters).insert(key.clone());
            } else {
                lock(clusters).remove(&key);
            }
        }
        let Ok(mut output) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        match operation.as_str() {
            "DescribeClusterVersions" => add(&mut output),
            "DescribeAddonVersions" if addons => relabel(&mut output),
            _ if output["cluster"].is_object() && lock(clusters).contains(&key) => {
                output["cluster"]["version"] = ADDED.into();
            }
            _ => return answer,
        }
        if operation == "DeleteCluster" {
            lock(clusters).remove(&key);
        }
        answer.body = output.to_string().into();
        answer
    })
}

fn is_offered(version: &str) -> bool {
    let minor = |version: &str| version.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok());
    minor(version).zip(minor(ADDED)).is_some_and(|(minor, newest)| (OLDEST..=newest).contains(&minor))
}

/// Adds the version to the first page of a list that has the one before it.
fn add(output: &mut Value) {
    let Some(all) = output["clusterVersions"].as_array_mut() else { return };
    if let Some(at) = all.iter().position(|version| version["clusterVersion"] == KNOWN) {
        let mut added = all[at].clone();
        for (field, value) in [
            ("clusterVersion", json!(ADDED)),
            ("defaultVersion", json!(false)),
            ("kubernetesPatchVersion", json!("1.35.0")),
            ("defaultPlatformVersion", json!("eks.3")),
            // 2026-01-27, 2027-03-27 and 2028-03-27.
            ("releaseDate", json!(1_769_472_000)),
            ("endOfStandardSupportDate", json!(1_806_105_600)),
            ("endOfExtendedSupportDate", json!(1_837_728_000)),
        ] {
            added[field] = value;
        }
        all.insert(at, added);
    }
}

fn relabel(output: &mut Value) {
    for addon in output["addons"].as_array_mut().into_iter().flatten() {
        for version in addon["addonVersions"].as_array_mut().into_iter().flatten() {
            for with in version["compatibilities"].as_array_mut().into_iter().flatten() {
                with["clusterVersion"] = ADDED.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_never_were_are_refused() {
        assert!(is_offered("1.28") && is_offered(KNOWN) && is_offered(ADDED));
        assert!(!is_offered("1.27") && !is_offered("1.99") && !is_offered("2.34") && !is_offered("latest"));
    }

    #[test]
    fn the_added_version_stands_beside_the_known_one() {
        let mut output = json!({ "clusterVersions": [{ "clusterVersion": KNOWN, "defaultVersion": true }] });
        add(&mut output);
        assert_eq!(output["clusterVersions"][0]["clusterVersion"], ADDED);
        assert_eq!(output["clusterVersions"][0]["defaultVersion"], false);
        assert_eq!(output["clusterVersions"][1]["defaultVersion"], true);
    }
}
