//! Moto hands out a made-up key for a role, which stands for another account and forgets who has it. Here the key is that of the
//! role's account, and the session's token says whose session it is, so that `GetCallerIdentity` can.

use std::sync::Arc;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use http::StatusCode;

use super::{FixInfo, Next, Request};
use crate::account;
use crate::gateway::State;
use crate::gateway::operation::form_value;
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "sts_roles",
    service: "sts",
    operations: &["AssumeRole", "GetCallerIdentity"],
    why: "moto's sessions of roles are of another account, and anybody gets one for a role that is not there; AWS refuses that \
          with AccessDenied, and tells a session by its role",
};

/// What the tokens of such sessions begin with; the ARN and the id of the session follow.
const TOKEN: &str = "sandbox-role.";

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        if request.operation.name == "AssumeRole" {
            return assume(state, &request).await;
        }
        match session(&request) {
            Some((arn, id)) => identity(&arn, &id),
            None => next.run(request).await,
        }
    })
}

async fn assume(state: &Arc<State>, request: &Request) -> Answer {
    let arn = request.param("RoleArn").unwrap_or_default();
    let name = request.param("RoleSessionName").unwrap_or_default();
    let refused = || {
        let message = format!("User is not authorized to perform: sts:AssumeRole on resource: {arn}");
        request.refuse(403, "AccessDenied", &message)
    };
    let mut parts = arn.split(':');
    let (partition, owner) = (parts.nth(1).unwrap_or("aws"), parts.nth(2).unwrap_or_default());
    let Some((key, secret)) = account::credentials(owner) else { return refused() };
    let role = arn.rsplit('/').next().unwrap_or_default();
    let scope = Scope { access_key: key.clone(), ..request.scope.clone() };
    let Ok(found) = state.query(&scope, "iam", "GetRole", &[("RoleName", role)]).await else {
        return refused();
    };
    let id = found.all("RoleId").first().map(|element| element.text()).unwrap_or_default();
    let (arn, id) =
        (format!("arn:{partition}:sts::{owner}:assumed-role/{role}/{name}"), format!("{id}:{name}"));
    let seconds = request.param("DurationSeconds").and_then(|s| s.parse().ok()).unwrap_or(3600);
    let end = jiff::Timestamp::now() + Duration::from_secs(seconds);
    let credentials = Element::new("Credentials")
        .with_text("AccessKeyId", &key)
        .with_text("SecretAccessKey", &secret)
        .with_text("SessionToken", &format!("{TOKEN}{}", URL_SAFE_NO_PAD.encode(format!("{arn} {id}"))))
        .with_text("Expiration", &end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let user = Element::new("AssumedRoleUser").with_text("Arn", &arn).with_text("AssumedRoleId", &id);
    let result = Element::new("AssumeRoleResult").with(credentials).with(user);
    let document = Element::new("AssumeRoleResponse").with(result).document();
    Answer::new(StatusCode::OK, "text/xml", document)
}

/// The ARN and the id of the session that a call is signed in, in its headers or in its URL.
fn session(request: &Request) -> Option<(String, String)> {
    let header = request.headers.get("x-amz-security-token").and_then(|value| value.to_str().ok());
    let token = match header {
        Some(token) => token.to_owned(),
        None => form_value(request.uri.query()?.as_bytes(), "X-Amz-Security-Token")?,
    };
    let text = URL_SAFE_NO_PAD.decode(token.strip_prefix(TOKEN)?).ok()?;
    let (arn, id) = std::str::from_utf8(&text).ok()?.split_once(' ')?;
    Some((arn.to_owned(), id.to_owned()))
}

fn identity(arn: &str, id: &str) -> Answer {
    let account = arn.split(':').nth(4).unwrap_or_default();
    let result = Element::new("GetCallerIdentityResult")
        .with_text("Arn", arn)
        .with_text("UserId", id)
        .with_text("Account", account);
    let document = Element::new("GetCallerIdentityResponse").with(result).document();
    Answer::new(StatusCode::OK, "text/xml", document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_known_by_its_token_in_a_header_or_in_a_url() {
        let token = format!("{TOKEN}{}", URL_SAFE_NO_PAD.encode("arn:aws:sts::1:assumed-role/a/b AROA:b"));
        let mut request = Request::test("sts", "GetCallerIdentity", "");
        assert_eq!(session(&request), None);
        request.uri = format!("/?X-Amz-Security-Token={token}").parse().unwrap();
        let found = Some(("arn:aws:sts::1:assumed-role/a/b".to_owned(), "AROA:b".to_owned()));
        assert_eq!(session(&request), found);
        request.uri = "/".parse().unwrap();
        request.headers.insert("x-amz-security-token", token.parse().unwrap());
        assert_eq!(session(&request), found);
    }
}
