//! Moto gives every session the same made-up key, which stands for another account, and never asks for a second factor.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::{FixInfo, Next, Request};
use crate::account;
use crate::gateway::State;
use crate::gateway::refusal::Answer;
use crate::gateway::xml::Element;

pub(super) const INFO: FixInfo = FixInfo {
    name: "sts_sessions",
    service: "sts",
    operations: &["GetSessionToken"],
    why: "moto's sessions are of another account and take any code; AWS refuses devices and codes that are wrong (here: \
          000000) with AccessDenied",
};

/// The code that is never right, so that a wrong one can be tried out.
const WRONG: &str = "000000";

pub(super) fn run<'a>(_state: &'a Arc<State>, request: Request, _next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move { session(&request) })
}

fn session(request: &Request) -> Answer {
    let (key, account) = (&request.scope.access_key, account::of(&request.scope.access_key));
    if let Some(serial) = request.param("SerialNumber") {
        if !serial.starts_with(&format!("arn:aws:iam::{account}:mfa/")) {
            let message = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial \
                           number is valid and associated with this user.";
            return request.refuse(403, "AccessDenied", message);
        }
        if request.param("TokenCode").is_none_or(|code| code == WRONG) {
            let message = "MultiFactorAuthentication failed with invalid MFA one time pass code. ";
            return request.refuse(403, "AccessDenied", message);
        }
    }
    let seconds = request.param("DurationSeconds").and_then(|s| s.parse().ok()).unwrap_or(43200);
    let end = jiff::Timestamp::now() + Duration::from_secs(seconds);
    // The key says which account is meant, so a session has its user's.
    let credentials = Element::new("Credentials")
        .with_text("AccessKeyId", key)
        .with_text("SecretAccessKey", "sandbox")
        .with_text("SessionToken", "sandbox-session")
        .with_text("Expiration", &end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let result = Element::new("GetSessionTokenResult").with(credentials);
    Answer::new(
        http::StatusCode::OK,
        "text/xml",
        Element::new("GetSessionTokenResponse").with(result).document(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_to_be_right_and_the_device_ones_own() {
        let ask = |account: &str, code: &str| {
            let body = format!("SerialNumber=arn%3Aaws%3Aiam%3A%3A{account}%3Amfa%2Fada&TokenCode={code}");
            let answer = session(&Request::test("sts", "GetSessionToken", &body));
            (answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned())
        };
        let (status, body) = ask(account::DEFAULT, "123456");
        assert!(status == 200 && body.contains("<AccessKeyId>AKID</AccessKeyId>"), "{body}");
        assert!(ask(account::DEFAULT, WRONG).1.contains("AccessDenied"));
        assert_eq!(ask("000000000001", "123456").0, 403);
    }
}
