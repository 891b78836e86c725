//! `wildcard-principal`: a policy that lets in whoever asks: everybody, or any service account of a cluster.

use super::{called, policies, tail};
use crate::policy::{Condition, Effect, Principal, Statement};
use causeway_core::{Value, guard::Rules, lint::Breach, plan::matches_pattern, wanted::Wanted};

/// Conditions that tie a statement to somebody:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status>
/// and <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>.
const NARROW: [&str; 13] = [
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "kms:calleraccount",
];

pub(super) fn judge(wanted: &[Wanted], _: &Rules) -> Vec<Breach> {
    let mut out = vec![];
    for attached in policies(wanted) {
        // Only the network that it stands in reaches an endpoint.
        if attached.wanted.kind == "aws.ec2.vpc_endpoint" {
            continue;
        }
        for (i, statement) in attached.document.statements.iter().enumerate() {
            let breach = |(why, remedy): (String, &str)| {
                let why = format!("in its {} {why}", called(statement, i));
                Breach::of(attached.wanted, &attached.field, why, remedy)
            };
            out.extend(wrong(statement).map(breach));
        }
    }
    out
}

fn wrong(statement: &Statement) -> Option<(String, &'static str)> {
    if statement.effect == Effect::Deny {
        return None;
    }
    let conditions: Vec<&Condition> = statement.conditions.0.iter().filter_map(|c| c.get().ok()).collect();
    let principals: Vec<&Principal> = statement.principals.0.iter().filter_map(|p| p.get().ok()).collect();
    let everybody =
        principals.iter().any(|p| p.kind == "*" || p.ids.0.iter().any(|id| tail(id).as_deref() == Some("*")))
            || !statement.not_principals.0.is_empty();
    if everybody && !conditions.iter().any(|c| narrows(c)) {
        let remedy = "name who it is for, or tie it to an account or an organisation with a condition";
        return Some(("lets everybody in".to_owned(), remedy));
    }
    let web = statement.actions.0.iter().any(|a| tail(a).as_deref() == Some("sts:AssumeRoleWithWebIdentity"));
    if !web || !principals.iter().any(|p| p.kind == "Federated") {
        return None;
    }
    let remedy = "name one, like `system:serviceaccount:NAMESPACE:NAME`";
    let subjects: Vec<&&Condition> =
        conditions.iter().filter(|c| tail(&c.key).is_none_or(|key| key.ends_with(":sub"))).collect();
    if subjects.is_empty() {
        let why = "trusts every identity of the provider: no condition is about its `sub`";
        return Some((why.to_owned(), remedy));
    }
    let values = subjects.iter().filter(|c| c.operator.contains("Like")).flat_map(|c| &c.values.0);
    let wide = values.filter_map(tail).find(|subject| {
        subject == "*" || (subject.starts_with("system:serviceaccount:") && subject.contains(['*', '?']))
    })?;
    Some((format!("trusts more than one service account: `{wide}`"), remedy))
}

/// Whether it holds for somebody only.
fn narrows(condition: &Condition) -> bool {
    let positive = ["String", "Arn", "IpAddress"].iter().any(|start| condition.operator.starts_with(start))
        && !condition.operator.contains("Not")
        && !condition.operator.ends_with("IfExists");
    let of_somebody =
        tail(&condition.key).is_some_and(|key| NARROW.contains(&key.to_ascii_lowercase().as_str()));
    let anybody = |value: &Value<String>| matches!(value, Value::Known(text) if text.ends_with("/0") || matches_pattern(text, "*"));
    positive && of_somebody && !condition.values.0.is_empty() && !condition.values.0.iter().any(anybody)
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::text;

    fn told(statement: &Statement) -> Option<String> {
        wrong(statement).map(|(why, _)| why)
    }

    fn everybody() -> Statement {
        Statement::allow(["sqs:SendMessage"], [""; 0]).to([Principal::everybody()])
    }

    #[test]
    fn everybody_is_let_in_only_under_a_condition_that_names_somebody() {
        assert_eq!(told(&everybody()).unwrap(), "lets everybody in");
        assert!(told(&Statement { effect: Effect::Deny, ..everybody() }).is_none());
        assert!(told(&everybody().to([Principal::aws("*")])).is_some());
        assert!(told(&everybody().to([Principal::aws("123456789012")])).is_none());
        assert!(told(&everybody().to([Principal::service("events.amazonaws.com")])).is_none());
        let when = |operator, key, value: &str| told(&everybody().when(operator, key, [value]));
        assert!(when("StringEquals", "aws:PrincipalOrgID", "o-1").is_none());
        assert!(when("ArnLike", "AWS:SourceArn", "arn:aws:s3:::*").is_none());
        for (operator, key, value) in [
            ("StringLike", "aws:PrincipalOrgID", "*"),
            ("StringNotEquals", "aws:PrincipalOrgID", "o-1"),
            ("StringEqualsIfExists", "aws:SourceAccount", "1"),
            ("IpAddress", "aws:SourceIp", "0.0.0.0/0"),
            ("Bool", "aws:SecureTransport", "true"),
        ] {
            assert!(when(operator, key, value).is_some(), "{operator} {key} {value}");
        }
        let but =
            Statement { not_principals: [Principal::aws("1")].into_iter().collect(), ..everybody().to([]) };
        assert!(told(&but).is_some());
    }

    #[test]
    fn a_provider_that_is_not_there_yet_is_no_reason() {
        let issuer: Value<String> = Value::reference(&"oidc".into(), "issuer");
        let trust =
            Statement::assume("sts:AssumeRoleWithWebIdentity", Principal::federated("arn:oidc".to_owned()));
        let exact = ["system:serviceaccount:coder:coder"];
        assert!(told(&trust.clone().when("StringEquals", text!(issuer, ":", "sub"), exact)).is_none());
        assert!(told(&trust.when("StringEquals", text!(issuer, ":", "aud"), exact)).is_some());
    }

    #[test]
    fn a_role_trusts_one_service_account() {
        let trust = || {
            Statement::assume("sts:AssumeRoleWithWebIdentity", Principal::federated("arn:oidc".to_owned()))
        };
        let subject = |operator, value: &str| told(&trust().when(operator, "oidc.eks/id:sub", [value]));
        assert!(
            told(&trust().when("StringEquals", "oidc.eks/id:aud", ["sts"]))
                .unwrap()
                .contains("every identity")
        );
        assert!(subject("StringEquals", "system:serviceaccount:coder:coder").is_none());
        for wide in ["system:serviceaccount:*:*", "system:serviceaccount:coder:*", "*"] {
            assert!(subject("StringLike", wide).is_some(), "{wide}");
        }
        assert!(subject("StringLike", "repo:coder/coder:ref:refs/tags/*").is_none(), "not of a cluster");
    }
}
