//! Corrections of what the emulators get wrong. Each is a file with one entry point, wrapped around the call:
//! it may answer itself, change the request, or change the answer.

mod autoscaling_groups;
mod bedrock_models;
pub(crate) mod cloudfront_functions;
pub(crate) mod cloudfront_keys;
mod cloudfront_refusals;
pub(crate) mod cloudfront_sites;
mod ec2_dependencies;
mod ec2_dry_run;
mod ec2_flow_logs;
mod ec2_launch_templates;
mod ec2_leftovers;
mod ec2_routes;
mod ec2_task_interfaces;
mod ec2_vpc_endpoints;
mod ecs_deployments;
mod ecs_target_groups;
mod ecs_task_definitions;
mod eks_clusters;
mod eks_endpoints;
mod eks_insights;
mod eks_updates;
mod eks_versions;
mod elasticache;
mod elasticache_group;
mod elbv2_refusals;
mod elbv2_targets;
mod iam_policies;
mod iam_simulation;
mod rds_databases;
mod rds_refusals;
mod ssm_parameter_arns;
mod sts_roles;
mod sts_sessions;
mod tag_index;
mod tokens;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Method, Uri};
use serde_json::Value;

use super::operation::{Operation, decode};
use super::refusal::{Answer, internal};
use super::route::{Backend, Scope};
use super::{Clusters, Databases, State};

/// A buffered call on its way to an emulator.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) scope: Scope,
    pub(crate) operation: Operation,
    pub(crate) backend: Backend,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The form of a call in the query protocol, in order.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        self.body
            .split(|byte| *byte == b'&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (decode(&pair[..at]), decode(&pair[at + 1..])),
                None => (decode(pair), String::new()),
            })
            .collect()
    }

    /// One value of the form.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.form().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The values of a list in the form: every key that begins with `prefix`.
    pub(crate) fn params(&self, prefix: &str) -> Vec<String> {
        self.form().into_iter().filter(|(key, _)| key.starts_with(prefix)).map(|(_, value)| value).collect()
    }

    /// The JSON input; `Null` if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What a correction remembers between calls.
pub(crate) struct Memory {
    pub(crate) databases: Option<Arc<dyn Databases>>,
    pub(crate) clusters: Option<Arc<dyn Clusters>>,
    pub(crate) endpoints: eks_endpoints::Endpoints,
    pub(crate) caches: elasticache::Caches,
    pub(crate) twins: elbv2_targets::Twins,
    pub(crate) deployments: ecs_deployments::Deployments,
    pub(crate) servers: rds_databases::Servers,
    pub(crate) tokens: tokens::Tokens,
    pub(crate) networks: eks_clusters::Networks,
    pub(crate) updates: eks_updates::Updates,
    pub(crate) added: eks_versions::Added,
    pub(crate) groups: autoscaling_groups::Groups,
    pub(crate) stores: cloudfront_keys::Stores,
    pub(crate) published: cloudfront_functions::Published,
    pub(crate) sites: cloudfront_sites::Sites,
}

impl Memory {
    pub(crate) fn new(databases: Option<Arc<dyn Databases>>, clusters: Option<Arc<dyn Clusters>>) -> Memory {
        Memory {
            databases,
            clusters,
            endpoints: Default::default(),
            caches: Default::default(),
            twins: Default::default(),
            deployments: Default::default(),
            servers: Default::default(),
            tokens: Default::default(),
            networks: Default::default(),
            updates: Default::default(),
            added: Default::default(),
            groups: Default::default(),
            stores: Default::default(),
            published: Default::default(),
            sites: Default::default(),
        }
    }
}

/// What people may know about a correction.
#[derive(Clone, Copy, Debug)]
pub struct FixInfo {
    /// Name of its file.
    pub name: &'static str,
    /// Name of the service in the credential scope.
    pub service: &'static str,
    /// The operations that it wraps; empty: all of the service.
    pub operations: &'static [&'static str],
    /// What the emulator does, and what AWS does.
    pub why: &'static str,
}

struct Fix {
    info: FixInfo,
    run: for<'a> fn(&'a Arc<State>, Request, Next<'a>) -> BoxFuture<'a, Answer>,
}

/// Who wraps whom matters: a dry run must not be remembered under its token, and ARNs are translated outside the
/// scheduler, which speaks fakecloud's.
const FIXES: &[Fix] = &[
    Fix { info: ec2_dry_run::INFO, run: ec2_dry_run::run },
    Fix { info: tokens::EC2, run: tokens::run },
    Fix { info: tokens::ECS, run: tokens::run },
    Fix { info: ec2_dependencies::INFO, run: ec2_dependencies::run },
    Fix { info: ec2_leftovers::INFO, run: ec2_leftovers::run },
    Fix { info: ec2_flow_logs::INFO, run: ec2_flow_logs::run },
    Fix { info: ec2_launch_templates::INFO, run: ec2_launch_templates::run },
    Fix { info: ec2_routes::INFO, run: ec2_routes::run },
    Fix { info: ec2_vpc_endpoints::INFO, run: ec2_vpc_endpoints::run },
    Fix { info: autoscaling_groups::INFO, run: autoscaling_groups::run },
    Fix { info: bedrock_models::INFO, run: bedrock_models::run },
    Fix { info: cloudfront_sites::INFO, run: cloudfront_sites::run },
    Fix { info: cloudfront_refusals::INFO, run: cloudfront_refusals::run },
    Fix { info: cloudfront_functions::INFO, run: cloudfront_functions::run },
    Fix { info: cloudfront_keys::STORES, run: cloudfront_keys::stores },
    Fix { info: cloudfront_keys::INFO, run: cloudfront_keys::run },
    Fix { info: ec2_task_interfaces::INFO, run: ec2_task_interfaces::run },
    Fix { info: ecs_task_definitions::INFO, run: ecs_task_definitions::run },
    Fix { info: ecs_target_groups::INFO, run: ecs_target_groups::run },
    Fix { info: ecs_deployments::INFO, run: ecs_deployments::run },
    Fix { info: elasticache::INFO, run: elasticache::run },
    Fix { info: eks_clusters::INFO, run: eks_clusters::run },
    Fix { info: eks_endpoints::INFO, run: eks_endpoints::run },
    Fix { info: eks_updates::INFO, run: eks_updates::run },
    Fix { info: eks_versions::INFO, run: eks_versions::run },
    Fix { info: eks_insights::INFO, run: eks_insights::run },
    Fix { info: elbv2_refusals::INFO, run: elbv2_refusals::run },
    Fix { info: elbv2_targets::INFO, run: elbv2_targets::run },
    Fix { info: iam_policies::INFO, run: iam_policies::run },
    Fix { info: iam_simulation::INFO, run: iam_simulation::run },
    Fix { info: rds_refusals::INFO, run: rds_refusals::run },
    Fix { info: rds_databases::INFO, run: rds_databases::run },
    Fix { info: rds_databases::VERSIONS, run: rds_databases::versions },
    Fix { info: ssm_parameter_arns::INFO, run: ssm_parameter_arns::run },
    Fix { info: sts_roles::INFO, run: sts_roles::run },
    Fix { info: sts_sessions::INFO, run: sts_sessions::run },
    Fix { info: tag_index::INFO, run: tag_index::run },
    Fix { info: rds_databases::SECRETS, run: rds_databases::secrets },
];

/// Every correction, in the order in which a call passes them.
pub fn fixes() -> impl Iterator<Item = FixInfo> {
    FIXES.iter().map(|fix| fix.info)
}

/// The rest of the way of a call: the corrections that follow, then the emulator.
pub(crate) struct Next<'a> {
    state: &'a Arc<State>,
    rest: &'static [Fix],
}

impl<'a> Next<'a> {
    /// Sends the call on.
    pub(crate) fn run(self, request: Request) -> BoxFuture<'a, Answer> {
        let mut rest = self.rest;
        while let Some((fix, after)) = rest.split_first() {
            rest = after;
            let FixInfo { service, operations, .. } = fix.info;
            let named = operations.is_empty() || operations.contains(&request.operation.name.as_str());
            if service == request.scope.service && named {
                return (fix.run)(self.state, request, Next { state: self.state, rest });
            }
        }
        let state = self.state;
        Box::pin(async move { state.send(&request).await })
    }
}

/// A call with all its corrections.
pub(crate) async fn exchange(state: &Arc<State>, request: Request) -> Answer {
    Next { state, rest: FIXES }.run(request).await
}

/// A call from outside, with all its corrections, and as its caller sees it: what is not ready yet pends.
pub(crate) async fn serve(state: &Arc<State>, request: Request) -> Answer {
    let (wire, service) = (request.operation.wire, request.scope.service.clone());
    let state = state.clone();
    // On its own: a caller who goes away stops no correction half-way, and ends no turn at moto before moto has done.
    let served = tokio::spawn(async move {
        let shown = request.clone();
        let answer = exchange(&state, request).await;
        state.pending.show(&shown, answer)
    });
    served.await.unwrap_or_else(|_| internal(wire, &service))
}

#[cfg(test)]
impl Request {
    /// A call for unit tests.
    pub(crate) fn test(service: &str, operation: &str, body: &str) -> Request {
        let scope = Scope { access_key: "AKID".into(), region: "us-east-1".into(), service: service.into() };
        Request::to(&scope, service, operation, Bytes::copy_from_slice(body.as_bytes()))
    }
}
