//! Moto deletes a policy that is attached, and takes any text as a trust policy.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;

pub(super) const INFO: FixInfo = FixInfo {
    name: "iam_policies",
    service: "iam",
    operations: &["DeletePolicy", "CreateRole", "UpdateAssumeRolePolicy"],
    why: "moto deletes attached policies and takes malformed trust policies; AWS answers DeleteConflict and MalformedPolicyDocument",
};

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        if let Some(arn) = request.param("PolicyArn") {
            let found = state.query(&request.scope, "iam", "GetPolicy", &[("PolicyArn", &arn)]).await.ok();
            let count = found.and_then(|root| root.all("AttachmentCount").first().map(|count| count.text()));
            if count.is_some_and(|count| count != "0") {
                let message = "Cannot delete a policy attached to entities.";
                return request.refuse(409, "DeleteConflict", message);
            }
        }
        let document = request.param("AssumeRolePolicyDocument").or_else(|| request.param("PolicyDocument"));
        if let Some(document) = document
            && !is_policy(&document)
        {
            return request.refuse(400, "MalformedPolicyDocument", "This policy contains invalid Json");
        }
        next.run(request).await
    })
}

fn is_policy(document: &str) -> bool {
    serde_json::from_str::<Value>(document)
        .is_ok_and(|policy| policy["Statement"].is_array() || policy["Statement"].is_object())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_json_with_statements() {
        assert!(is_policy(r#"{"Version":"2012-10-17","Statement":[]}"#));
        assert!(!is_policy("{}"));
        assert!(!is_policy("not json"));
    }
}
