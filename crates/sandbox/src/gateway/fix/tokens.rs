//! Idempotency tokens that the emulators ignore: the same token and the same parameters give the first answer again,
//! other parameters are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::operation::Wire;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Protocol;

pub(super) const EC2: FixInfo = FixInfo {
    name: "tokens",
    service: "ec2",
    operations: &[
        "CreateFlowLogs",
        "CreateLaunchTemplateVersion",
        "CreateNatGateway",
        "CreateNetworkInterface",
        "CreateRouteTable",
        "CreateVpcEndpoint",
        "RunInstances",
    ],
    why: "moto ignores ClientToken; AWS gives the resource of the first call, or IdempotentParameterMismatch",
};

pub(super) const ECS: FixInfo = FixInfo {
    name: "tokens",
    service: "ecs",
    operations: &["CreateService", "RunTask"],
    why: "fakecloud ignores clientToken; AWS gives the resource of the first call, or ConflictException",
};

/// Account, region, operation and token, with the parameters and the answer of the first call. One lock, so that two
/// calls with one token do not both go through.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<String, First>>);

/// The parameters and the answer of the first call with a token.
type First = (Vec<(String, String)>, Answer);

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let (token, parameters) = parameters(&request);
        let Some(token) = token else { return next.run(request).await };
        let (scope, operation) = (&request.scope, &request.operation);
        let account = crate::account::of(&scope.access_key);
        let key = format!("{account} {} {}:{} {token}", scope.region, scope.service, operation.name);
        let mut tokens = state.fixes.tokens.0.lock().await;
        if let Some((first, answer)) = tokens.get(&key) {
            if *first == parameters {
                return answer.clone();
            }
            let (status, code) = match operation.wire {
                Wire::Service(Protocol::Ec2) => (400, "IdempotentParameterMismatch"),
                _ => (400, "ConflictException"),
            };
            return request.refuse(status, code, "The client token was used before with other parameters.");
        }
        let answer = next.run(request).await;
        if answer.status.is_success() {
            tokens.insert(key, (parameters, answer.clone()));
        }
        answer
    })
}

/// The token, and everything else in an order that does not depend on the client.
fn parameters(request: &Request) -> (Option<String>, Vec<(String, String)>) {
    let mut all = match request.json() {
        Value::Object(input) => input
            .into_iter()
            .map(|(key, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (key, text)
            })
            .collect(),
        _ => request.form(),
    };
    let at = all.iter().position(|(key, _)| key == "ClientToken" || key == "clientToken");
    let token = at.map(|at| all.remove(at).1).filter(|token| !token.is_empty());
    all.sort();
    (token, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_apart_from_the_parameters() {
        let a = Request::test("ec2", "RunInstances", "B=2&ClientToken=t&A=1");
        let b = Request::test("ec2", "RunInstances", "A=1&B=2&ClientToken=t");
        assert_eq!(parameters(&a), parameters(&b));
        assert_eq!(parameters(&a).0.as_deref(), Some("t"));
        let c = Request::test("ecs", "RunTask", r#"{"count":1,"clientToken":"u"}"#);
        assert_eq!(parameters(&c), (Some("u".into()), vec![("count".into(), "1".into())]));
        assert_eq!(parameters(&Request::test("ec2", "RunInstances", "A=1")).0, None);
    }
}
