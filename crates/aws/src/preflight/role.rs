//! Whether ECS may assume the roles that a task names and this stack does not make.

use super::{Finding, Preflight};
use crate::{
    Aws, Call,
    ecs::TaskDefinition,
    iam::Role,
    policy::{Effect, PolicyDocument},
};
use causeway_core::{Error, error::Found};
use std::collections::BTreeSet;

/// Who starts tasks.
const ECS: &str = "ecs-tasks.amazonaws.com";

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let ours: BTreeSet<String> =
        preflight.around::<Role>().filter_map(|(w, _)| Some(w.outputs::<Role>()?.arn.to_string())).collect();
    let mut findings = vec![];
    for (_, task, aws) in preflight.all::<TaskDefinition>() {
        let roles = [&task.execution_role_arn, &task.task_role_arn].into_iter().flatten();
        let roles: BTreeSet<String> = roles.filter_map(|r| Some(r.get().ok()?.to_string())).collect();
        for arn in roles.difference(&ours) {
            findings.push(look(aws, arn).await?);
        }
    }
    Ok(findings)
}

async fn look(aws: &Aws, arn: &str) -> Result<Finding, Error> {
    let asked = format!("whether ECS may assume the role {arn}");
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let found = aws.iam.get_role().role_name(name).send().await.call("iam:GetRole").found()?;
    let Some(role) = found.and_then(|answer| answer.role) else {
        return Ok(Finding::failed(asked, "there is no such role", "make it, or correct its ARN"));
    };
    let text = role.assume_role_policy_document().unwrap_or_default();
    let text = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    Ok(match PolicyDocument::parse(&text) {
        Ok(policy) if trusts(&policy) => Finding::passed(asked, "it may"),
        Ok(_) => Finding::failed(
            asked,
            format!("its trust policy does not name {ECS}"),
            "`aws iam update-assume-role-policy` adds it: Principal Service, Action sts:AssumeRole",
        ),
        Err(e) => {
            Finding::not_asked(asked, format!("its trust policy cannot be read: {e}"), "look at it by hand")
        }
    })
}

fn trusts(policy: &PolicyDocument) -> bool {
    let has = |set: &causeway_core::Set<String>, wanted: &[&str]| {
        set.0.iter().any(|v| v.get().is_ok_and(|v| wanted.contains(&v.as_str())))
    };
    policy.statements.iter().filter(|s| s.effect == Effect::Allow).any(|s| {
        has(&s.actions, &["sts:AssumeRole", "sts:*", "*"])
            && s.principals
                .0
                .iter()
                .any(|p| p.get().is_ok_and(|p| p.kind == "Service" && has(&p.ids, &[ECS])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trust_policy_names_ecs_or_does_not() {
        let policy = |service: &str| {
            let text = format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole",
                    "Principal":{{"Service":"{service}"}}}}]}}"#
            );
            PolicyDocument::parse(&text).unwrap()
        };
        assert!(trusts(&policy(ECS)));
        assert!(!trusts(&policy("ec2.amazonaws.com")));
    }
}
