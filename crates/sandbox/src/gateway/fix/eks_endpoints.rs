//! Fakecloud's clusters are records. Behind each the sandbox puts a real control plane: the endpoint and the certificate are
//! its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use serde_json::Value;

use super::eks_clusters::key;
use super::{FixInfo, Next, Request};
use crate::gateway::inside::Inside;
use crate::gateway::refusal::Answer;
use crate::gateway::{Cluster, Endpoint, State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "eks_endpoints",
    service: "eks",
    operations: &["CreateCluster", "DescribeCluster", "DeleteCluster"],
    why: "fakecloud invents an endpoint and a certificate; AWS starts a control plane",
};

/// By account, region and name.
#[derive(Default)]
pub(crate) struct Endpoints(Mutex<BTreeMap<[String; 3], Endpoint>>);

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let Some(clusters) = state.fixes.clusters.clone() else { return next.run(request).await };
        let scope = request.scope.clone();
        let operation = request.operation.name.clone();
        let mut answer = next.run(request).await;
        if !answer.status.is_success() {
            return answer;
        }
        let Ok(mut output) = serde_json::from_slice::<Value>(&answer.body) else { return answer };
        let cluster = &mut output["cluster"];
        let Some(name) = cluster["name"].as_str().map(str::to_owned) else { return answer };
        let key = key(&scope, &name);
        let id = key.join("-");
        match operation.as_str() {
            "CreateCluster" => {
                let issuer = cluster["identity"]["oidc"]["issuer"].as_str();
                let told =
                    Cluster { id, issuer: issuer.unwrap_or("https://kubernetes.default.svc").to_owned() };
                match clusters.open(told, Inside::new(state, &scope, &name)).await {
                    Ok(endpoint) => drop(lock(&state.fixes.endpoints.0).insert(key.clone(), endpoint)),
                    Err(error) => tracing::warn!(error, name, "the cluster has no control plane"),
                }
            }
            "DeleteCluster" => {
                lock(&state.fixes.endpoints.0).remove(&key);
                tokio::spawn(async move {
                    if let Err(error) = clusters.close(&id).await {
                        tracing::warn!(error, id, "the control plane did not stop");
                    }
                });
            }
            _ => {}
        }
        if let Some(endpoint) = lock(&state.fixes.endpoints.0).get(&key) {
            cluster["endpoint"] = endpoint.url.clone().into();
            cluster["certificateAuthority"]["data"] = STANDARD.encode(&endpoint.certificate_authority).into();
            answer.body = output.to_string().into();
        }
        answer
    })
}
