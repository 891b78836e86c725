//! What a distribution uses stays, and what it is to use has to be there.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::cloudfront_functions::parse;
use super::cloudfront_sites::behind;
use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;

pub(super) const INFO: FixInfo = FixInfo {
    name: "cloudfront_refusals",
    service: "cloudfront",
    operations: &[
        "CreateDistribution",
        "UpdateDistribution",
        "DeleteFunction",
        "DeleteCachePolicy",
        "DeleteResponseHeadersPolicy",
        "DeleteOriginAccessControl",
    ],
    why: "fakecloud deletes what distributions use, and lets them use functions that were never published; AWS answers \
          FunctionInUse, CachePolicyInUse, ResponseHeadersPolicyInUse, OriginAccessControlInUse and InvalidFunctionAssociation",
};

/// What is deleted: the segment of the path, where a distribution names it, and the refusal.
const USED: &[(&str, &str, &str, &str)] = &[
    ("DeleteFunction", "function", "FunctionARN", "FunctionInUse"),
    ("DeleteCachePolicy", "cache-policy", "CachePolicyId", "CachePolicyInUse"),
    (
        "DeleteResponseHeadersPolicy",
        "response-headers-policy",
        "ResponseHeadersPolicyId",
        "ResponseHeadersPolicyInUse",
    ),
    (
        "DeleteOriginAccessControl",
        "origin-access-control",
        "OriginAccessControlId",
        "OriginAccessControlInUse",
    ),
];

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let operation = request.operation.name.as_str();
        if let Some((_, collection, field, code)) = USED.iter().find(|(name, ..)| *name == operation) {
            let id = behind(&request, collection);
            if is_used(state, &request.scope, field, &id).await {
                return request.refuse(409, code, "A distribution uses it.");
            }
        } else if let Some(config) = parse(&request.body) {
            let functions = config.all("FunctionARN").into_iter().map(|arn| arn.text());
            let names: Vec<String> = functions.map(|arn| ending(&arn).to_owned()).collect();
            if let Some(name) = names.iter().find(|name| !state.fixes.published.has(&request.scope, name)) {
                let message = format!("The function {name} was not published.");
                return request.refuse(400, "InvalidFunctionAssociation", &message);
            }
        }
        next.run(request).await
    })
}

/// What an ARN or an id names.
fn ending(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

/// Whether a distribution names something. What the list leaves out is asked for.
async fn is_used(state: &State, scope: &Scope, field: &str, id: &str) -> bool {
    let Ok(list) = state.cloudfront(scope, "/distribution").await else { return false };
    let ids = parse(&list.body).map(|list| {
        list.all("DistributionSummary").iter().filter_map(|summary| summary.get("Id")).collect::<Vec<_>>()
    });
    for distribution in ids.unwrap_or_default() {
        let Ok(config) = state.cloudfront(scope, &format!("/distribution/{distribution}/config")).await
        else {
            continue;
        };
        let names = |config: &crate::gateway::Element| {
            config.all(field).iter().any(|named| ending(&named.text()) == id)
        };
        if parse(&config.body).is_some_and(|config| names(&config)) {
            return true;
        }
    }
    false
}
