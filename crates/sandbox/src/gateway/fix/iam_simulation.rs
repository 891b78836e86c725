//! Moto has no simulator of policies.

use std::sync::Arc;

use futures::future::BoxFuture;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{FixInfo, Next, Request};
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "iam_simulation",
    service: "iam",
    operations: &["SimulatePrincipalPolicy"],
    why: "moto does not have it; here the policies of a user or role that moto knows decide, each action on every \
          resource and without conditions; the sandbox's own principal, which no policy binds, may do everything",
};

/// The user that moto makes up for keys that its IAM did not give out.
const MADE_UP: &str = "user/moto";

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, _next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let arn = request.param("PolicySourceArn").unwrap_or_default();
        let who = arn.splitn(6, ':').nth(5).unwrap_or_default();
        let name = who.rsplit('/').next().unwrap_or_default();
        let kind = if who.starts_with("role/") { "Role" } else { "User" };
        let policies = match policies(state, &request.scope, kind, name).await {
            Some(policies) => policies,
            None if who == MADE_UP => {
                vec![serde_json::json!({ "Effect": "Allow", "Action": "*", "Resource": "*" })]
            }
            None => {
                let message = format!("No such entity {arn}");
                return request.refuse(404, "NoSuchEntity", &message);
            }
        };
        let mut results = Element::new("EvaluationResults");
        for action in request.params("ActionNames.member.") {
            let member = Element::new("member")
                .with_text("EvalActionName", &action)
                .with_text("EvalResourceName", "*")
                .with_text("EvalDecision", decide(&policies, &action));
            results = results.with(member);
        }
        let result =
            Element::new("SimulatePrincipalPolicyResult").with_text("IsTruncated", "false").with(results);
        let document = Element::new("SimulatePrincipalPolicyResponse").with(result).document();
        Answer::new(http::StatusCode::OK, "text/xml", document)
    })
}

/// The statements of all policies of a user or a role; `None` if there is no such one.
async fn policies(state: &Arc<State>, scope: &Scope, kind: &str, name: &str) -> Option<Vec<Value>> {
    let by_name = format!("{kind}Name");
    let ask = async |operation: &str, more: &[(&str, &str)]| {
        let mut pairs = vec![(by_name.as_str(), name)];
        pairs.extend(more);
        state.query(scope, "iam", operation, &pairs).await.ok()
    };
    ask(&format!("Get{kind}"), &[]).await?;
    let mut documents = vec![];
    let inline = ask(&format!("List{kind}Policies"), &[]).await?;
    for policy in inline.all("member") {
        let found = ask(&format!("Get{kind}Policy"), &[("PolicyName", &policy.text())]).await?;
        documents.extend(found.all("PolicyDocument").first().map(|document| document.text()));
    }
    let attached = ask(&format!("ListAttached{kind}Policies"), &[]).await?;
    for policy in attached.all("PolicyArn") {
        let arn = policy.text();
        let found = state.query(scope, "iam", "GetPolicy", &[("PolicyArn", &arn)]).await.ok()?;
        let version = found.all("DefaultVersionId").first()?.text();
        let pairs = [("PolicyArn", arn.as_str()), ("VersionId", version.as_str())];
        let found = state.query(scope, "iam", "GetPolicyVersion", &pairs).await.ok()?;
        documents.extend(found.all("Document").first().map(|document| document.text()));
    }
    let statements = documents.iter().filter_map(|document| {
        let text = percent_decode_str(document).decode_utf8().ok()?;
        Some(serde_json::from_str::<Value>(&text).ok()?["Statement"].clone())
    });
    Some(statements.flat_map(|found| all_of(&found).into_iter().cloned().collect::<Vec<_>>()).collect())
}

/// One value or a list of them.
fn all_of(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(all) => all.iter().collect(),
        Value::Null => vec![],
        one => vec![one],
    }
}

fn decide(statements: &[Value], action: &str) -> &'static str {
    let about = |effect: &str| {
        statements.iter().filter(|s| s["Effect"] == effect).any(|s| {
            let named = all_of(&s["Action"]).iter().any(|a| a.as_str().is_some_and(|a| fits(a, action)));
            named && all_of(&s["Resource"]).iter().any(|r| *r == "*")
        })
    };
    if about("Deny") {
        "explicitDeny"
    } else if about("Allow") {
        "allowed"
    } else {
        "implicitDeny"
    }
}

/// Whether `pattern` with its stars stands for `action`; case does not matter.
fn fits(pattern: &str, action: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(action),
        Some((head, rest)) => {
            let starts = action.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head));
            starts
                && (head.len()..=action.len()).any(|at| action.get(at..).is_some_and(|tail| fits(rest, tail)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_denial_outweighs_and_silence_is_one() {
        let statements = [
            json!({ "Effect": "Allow", "Action": ["ec2:*", "RDS:Create*Instance"], "Resource": "*" }),
            json!({ "Effect": "Deny", "Action": "ec2:DeleteVpc", "Resource": ["*"] }),
            json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::one/*" }),
        ];
        assert_eq!(decide(&statements, "ec2:CreateVpc"), "allowed");
        assert_eq!(decide(&statements, "rds:CreateDBInstance"), "allowed");
        assert_eq!(decide(&statements, "ec2:DeleteVpc"), "explicitDeny");
        assert_eq!(decide(&statements, "s3:GetObject"), "implicitDeny");
        assert_eq!(decide(&statements, "iam:CreateRole"), "implicitDeny");
    }
}
