//! Whether the secrets that a container is given are there and hold what is taken from them. A value is only fetched
//! where a key inside it is wanted, and is never shown.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html>

use super::{Finding, Preflight};
use crate::{
    Aws, Call,
    ecs::TaskDefinition,
    iam::Role,
    policy::{Effect, PolicyDocument},
    secretsmanager::Secret,
};
use causeway_core::{Error, Value, error::Found};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let ours: BTreeSet<String> = preflight
        .around::<Secret>()
        .filter_map(|(w, _)| Some(w.outputs::<Secret>()?.arn.to_string()))
        .collect();
    let mut findings = vec![];
    for (_, task, aws) in preflight.all::<TaskDefinition>() {
        let known = task.container_definitions.iter().flat_map(|c| &c.secrets);
        for (variable, from) in known.filter_map(|(variable, from)| Some((variable, from.get().ok()?))) {
            let taken = Taken::of(from);
            if !ours.contains(taken.secret) {
                findings.push(look(preflight, &task, aws, variable, &taken).await?);
            }
        }
    }
    Ok(findings)
}

/// What a variable is taken from.
#[derive(Debug, PartialEq)]
struct Taken<'a> {
    /// ARN, or only a name.
    secret: &'a str,
    key: Option<&'a str>,
}

impl<'a> Taken<'a> {
    /// `secret`, or `secret:key:stage:version` where all but the key may be empty. An ARN has seven parts itself.
    fn of(from: &'a str) -> Self {
        let own = if from.starts_with("arn:") { 7 } else { 1 };
        let mut ends = from.match_indices(':').map(|(at, _)| at).skip(own - 1);
        let Some(end) = ends.next() else { return Taken { secret: from, key: None } };
        let key = from[end + 1..].split(':').next().filter(|key| !key.is_empty());
        Taken { secret: &from[..end], key }
    }
}

async fn look(
    preflight: &Preflight,
    task: &TaskDefinition,
    aws: &Aws,
    variable: &str,
    taken: &Taken<'_>,
) -> Result<Finding, Error> {
    let Taken { secret, key } = *taken;
    let of = key.map_or_else(String::new, |key| format!(", key `{key}`"));
    let asked = format!("whether {variable} can be taken from the secret {secret}{of}");
    if secret.starts_with("arn:") && secret.split(':').nth(2) != Some("secretsmanager") {
        let answer = "it is no secret of Secrets Manager";
        return Ok(Finding::not_asked(asked, answer, "make sure that it is there"));
    }
    let described = aws.secretsmanager.describe_secret().secret_id(secret).send().await;
    let Some(found) = described.call("secretsmanager:DescribeSecret").found()? else {
        let answer = format!("there is no such secret in {}", aws.region);
        let remedy =
            "make it with `aws secretsmanager create-secret`, or correct the name under [ecs.secrets]";
        return Ok(Finding::failed(asked, answer, remedy));
    };
    if found.deleted_date().is_some() {
        let remedy = format!("`aws secretsmanager restore-secret --secret-id {secret}` takes it back");
        return Ok(Finding::failed(asked, "it is scheduled for deletion, and cannot be read", remedy));
    }
    if !secret.starts_with("arn:") {
        let arn = found.arn().unwrap_or("ARN");
        let key = key.map_or_else(String::new, |key| format!("#{key}"));
        let answer = "it is there, but ECS takes a bare name for a parameter of Systems Manager";
        return Ok(Finding::failed(asked, answer, format!("write its ARN: `aws-secret:{arn}{key}`")));
    }
    if let Some(finding) = decrypted(preflight, task, aws, &asked, found.kms_key_id()).await? {
        return Ok(finding);
    }
    let Some(key) = key else {
        let stages = found.version_ids_to_stages().into_iter().flatten();
        if !stages.flat_map(|(_, stages)| stages).any(|stage| stage == "AWSCURRENT") {
            let remedy = format!("`aws secretsmanager put-secret-value --secret-id {secret}` gives it one");
            return Ok(Finding::failed(asked, "it has no value yet", remedy));
        }
        return Ok(Finding::passed(asked, "it is there and has a value"));
    };
    let value = aws.secretsmanager.get_secret_value().secret_id(secret).send().await;
    Ok(match value.call("secretsmanager:GetSecretValue").found() {
        Ok(value) => has_key(asked, value.and_then(|v| v.secret_string).as_deref(), key),
        // Whoever deploys need not be able to read what the tasks read.
        Err(error) => Finding::not_answered(asked, &error),
    })
}

/// Says nothing of the value but whether it has `key`.
fn has_key(asked: String, value: Option<&str>, key: &str) -> Finding {
    let Some(value) = value else {
        return Finding::failed(asked, "it has no value that is text", "write JSON into it");
    };
    match serde_json::from_str::<Json>(value) {
        Ok(Json::Object(all)) => match all.get(key) {
            Some(Json::Null) | None => Finding::failed(
                asked,
                format!("its JSON has no `{key}`"),
                "add it to the secret, or correct what stands behind the `#` under [ecs.secrets]",
            ),
            Some(_) => Finding::passed(asked, "it is there and has the key"),
        },
        _ => Finding::failed(
            asked,
            "it is not a JSON object, so that it has no keys",
            "write JSON into it, or leave the `#` and what follows away",
        ),
    }
}

/// Whether what starts the task may decrypt with the key of a secret. `None` where that is so.
async fn decrypted(
    preflight: &Preflight,
    task: &TaskDefinition,
    aws: &Aws,
    asked: &str,
    key: Option<&str>,
) -> Result<Option<Finding>, Error> {
    // With the key of Secrets Manager itself, whoever may read a secret may decrypt it.
    let Some(key) = key.filter(|key| !key.ends_with("alias/aws/secretsmanager")) else { return Ok(None) };
    let Some(role) = role_of(preflight, task) else { return Ok(None) };
    let described = aws.kms.describe_key().key_id(key).send().await.call("kms:DescribeKey").found()?;
    let Some(arn) = described.and_then(|k| k.key_metadata?.arn) else {
        let answer = format!("the key that it is encrypted with, {key}, is not there");
        return Ok(Some(Finding::failed(asked, answer, "encrypt it with another key")));
    };
    if role.inline_policies.values().any(|policy| allows(policy, "kms:Decrypt", &arn)) {
        return Ok(None);
    }
    let answer =
        format!("it is encrypted with {arn}, which the execution role of the task may not decrypt with");
    let remedy = "encrypt it with the key of Secrets Manager itself: `aws secretsmanager update-secret --kms-key-id \
                  alias/aws/secretsmanager`";
    Ok(Some(Finding::failed(asked, answer, remedy)))
}

/// The role of this stack that starts the task.
fn role_of(preflight: &Preflight, task: &TaskDefinition) -> Option<Role> {
    let wanted = task.execution_role_arn.as_ref()?;
    let roles: BTreeMap<_, _> = preflight.around::<Role>().map(|(w, role)| (&w.address, (w, role))).collect();
    let found = match wanted {
        Value::Ref(reference) => roles.into_iter().find(|(address, _)| *address == reference.from()),
        _ => {
            let arn = wanted.get().ok()?;
            roles.into_iter().find(|(_, (w, _))| w.outputs::<Role>().is_some_and(|o| o.arn == *arn))
        }
    };
    found.map(|(_, (_, role))| role)
}

/// Whether a statement allows `action` on `resource`. Only whole stars are understood, and a condition is taken to hold.
fn allows(policy: &PolicyDocument, action: &str, resource: &str) -> bool {
    let service = action.split(':').next().unwrap_or_default();
    policy.statements.iter().filter(|s| s.effect == Effect::Allow).any(|s| {
        let known = |set: &causeway_core::Set<String>| -> Vec<String> {
            set.0.iter().filter_map(|v| v.get().ok().cloned()).collect()
        };
        known(&s.actions).iter().any(|a| a == "*" || a == action || *a == format!("{service}:*"))
            && known(&s.resources).iter().any(|r| r == "*" || r == resource)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Statement;
    use causeway_core::finding::Verdict;

    const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:oidc-AbCdEf";

    #[test]
    fn what_is_taken_is_told_apart() {
        assert_eq!(Taken::of(ARN), Taken { secret: ARN, key: None });
        let with_key = format!("{ARN}:client_secret::");
        assert_eq!(Taken::of(&with_key), Taken { secret: ARN, key: Some("client_secret") });
        assert_eq!(Taken::of("oidc"), Taken { secret: "oidc", key: None });
        assert_eq!(Taken::of("oidc:id::"), Taken { secret: "oidc", key: Some("id") });
        assert_eq!(Taken::of(&format!("{ARN}:::")), Taken { secret: ARN, key: None });
    }

    #[test]
    fn a_key_is_looked_for_and_nothing_is_shown() {
        for (value, verdict) in [
            (Some(r#"{"id":"hunter2"}"#), Verdict::Passed),
            (Some(r#"{"ID":"hunter2"}"#), Verdict::Failed),
            (Some(r#"{"id":null,"x":"hunter2"}"#), Verdict::Failed),
            (Some("hunter2"), Verdict::Failed),
            (Some(r#"["hunter2"]"#), Verdict::Failed),
            (None, Verdict::Failed),
        ] {
            let finding = has_key(String::new(), value, "id");
            assert_eq!(finding.verdict, verdict, "{value:?}");
            assert!(!format!("{finding:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_policy_allows_what_it_names() {
        let policy = PolicyDocument::new([Statement::allow(["kms:Decrypt"], ["arn:key/a"])]);
        assert!(allows(&policy, "kms:Decrypt", "arn:key/a"));
        assert!(!allows(&policy, "kms:Decrypt", "arn:key/b"));
        assert!(!allows(&policy, "kms:Encrypt", "arn:key/a"));
        let all = PolicyDocument::new([Statement::allow(["kms:*"], ["*"])]);
        assert!(allows(&all, "kms:Decrypt", "arn:key/b"));
    }
}
