//! Whether whoever works may do what the plan does, as IAM simulates it:
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>.
//!
//! IAM is asked for each action on every resource. What it does not see: the policies of the organisation (SCPs), those of
//! a session and of the resources themselves; and a policy that allows only named resources counts as one that does not.

use super::{Finding, Preflight, actions};
use crate::{Aws, Call};
use aws_sdk_iam::types::{EvaluationResult, PolicyEvaluationDecisionType as Decision};
use causeway_core::{Error, error::Found};
use std::collections::BTreeSet;

/// Actions in one call: IAM sets no number, and answers in pages of a hundred.
const AT_ONCE: usize = 100;

/// How many actions are named before the rest is only counted.
const NAMED: usize = 8;

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let (needed, undeclared) = needed(preflight);
    let Some(aws) = preflight.clients.values().next().filter(|_| !needed.is_empty()) else {
        return Ok(vec![]);
    };
    let principal = &preflight.identity.principal;
    let asked = format!("whether {principal} may do the {} actions of this plan", needed.len());
    let source = match Principal::of(principal) {
        Principal::Source(arn) => arn,
        Principal::Role(name) => {
            let role = aws.iam.get_role().role_name(&name).send().await.call("iam:GetRole").found()?;
            match role.and_then(|answer| answer.role) {
                Some(role) => role.arn,
                None => {
                    return Ok(vec![Finding::not_asked(asked, format!("there is no role {name}"), BY_HAND)]);
                }
            }
        }
        Principal::Other(why) => return Ok(vec![Finding::not_asked(asked, why, BY_HAND)]),
    };
    let mut findings = vec![judge(asked, &simulate(aws, &source, &needed).await?)];
    if !undeclared.is_empty() {
        let kinds = undeclared.into_iter().collect::<Vec<_>>().join(", ");
        let remedy = "look at what these kinds call";
        findings.push(Finding::not_asked(format!("what {kinds} need"), "it is not written down", remedy));
    }
    Ok(findings)
}

const BY_HAND: &str = "compare its policies with `deploy iam-policy`";

/// The actions of everything that is looked at or changed, and the kinds of which they are not known.
pub(super) fn needed(preflight: &Preflight) -> (BTreeSet<&'static str>, BTreeSet<String>) {
    let (mut needed, mut undeclared) = (preflight.also.clone(), BTreeSet::new());
    let wanted = preflight.wanted.iter().map(|w| (w.kind, w.action));
    for (kind, action) in
        wanted.chain(preflight.removed.iter().map(|(kind, action)| (kind.as_str(), *action)))
    {
        match actions::actions(kind, action) {
            Some(actions) => needed.extend(actions),
            None if kind.starts_with("aws.") => drop(undeclared.insert(kind.to_owned())),
            // What is inside a server is its users' affair, and not IAM's.
            None => {}
        }
    }
    (needed, undeclared)
}

/// Whose policies are simulated.
#[derive(Debug, PartialEq)]
enum Principal {
    Source(String),
    /// The role that a session assumed, by its name: its path is not in the ARN of the session.
    Role(String),
    Other(&'static str),
}

impl Principal {
    fn of(arn: &str) -> Self {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        match parts[..] {
            ["arn", _, _, _, _, "root"] => {
                Principal::Other("the root user cannot be simulated; it may do everything")
            }
            ["arn", _, "sts", _, _, who] if who.starts_with("assumed-role/") => {
                Principal::Role(who.split('/').nth(1).unwrap_or_default().to_owned())
            }
            ["arn", _, "sts", _, _, who] if who.starts_with("federated-user/") => {
                Principal::Other("a federated user cannot be simulated")
            }
            ["arn", partition, _, _, account, who] if who.starts_with("user/") => {
                Principal::Source(format!("arn:{partition}:iam::{account}:{who}"))
            }
            _ => Principal::Other("it is neither a user nor a role"),
        }
    }
}

async fn simulate(aws: &Aws, source: &str, needed: &BTreeSet<&str>) -> Result<Vec<EvaluationResult>, Error> {
    let needed: Vec<String> = needed.iter().map(ToString::to_string).collect();
    let mut results = vec![];
    for some in needed.chunks(AT_ONCE) {
        let call = aws.iam.simulate_principal_policy().policy_source_arn(source);
        let mut pages = call.set_action_names(Some(some.to_vec())).into_paginator().items().send();
        while let Some(result) = pages.next().await {
            results.push(result.call("iam:SimulatePrincipalPolicy")?);
        }
    }
    Ok(results)
}

fn judge(asked: String, results: &[EvaluationResult]) -> Finding {
    let refused: Vec<&EvaluationResult> =
        results.iter().filter(|r| r.eval_decision != Decision::Allowed).collect();
    // A denial that hangs on what the simulation does not know, like a second factor, is none for sure.
    let (depends, denied): (Vec<_>, Vec<_>) =
        refused.into_iter().partition(|r| !r.missing_context_values().is_empty());
    let scoped = "a policy for named resources only looks like this too";
    if !denied.is_empty() {
        let answer = format!("no policy lets it {} on every resource; {scoped}", named(&denied));
        return Finding::failed(asked, answer, "allow them: `deploy iam-policy` prints a policy that does");
    }
    if !depends.is_empty() {
        let keys: BTreeSet<&str> =
            depends.iter().flat_map(|r| r.missing_context_values()).map(String::as_str).collect();
        let keys = keys.into_iter().collect::<Vec<_>>().join(", ");
        let answer = format!("whether it may {} depends on {keys}", named(&depends));
        return Finding::not_asked(asked, answer, "look at the conditions of its policies");
    }
    Finding::passed(asked, "its policies let it; those of the organisation and of a session were not seen")
}

fn named(results: &[&EvaluationResult]) -> String {
    let mut names: Vec<&str> = results.iter().map(|r| r.eval_action_name.as_str()).collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::finding::Verdict;

    fn result(action: &str, decision: Decision, missing: &[&str]) -> EvaluationResult {
        let missing = missing.iter().map(ToString::to_string).collect();
        let result = EvaluationResult::builder().eval_action_name(action).eval_decision(decision);
        result.set_missing_context_values(Some(missing)).build().unwrap()
    }

    #[test]
    fn a_session_is_simulated_as_its_role() {
        let of = Principal::of;
        assert_eq!(of("arn:aws:sts::1:assumed-role/admin/ada"), Principal::Role("admin".into()));
        assert_eq!(
            of("arn:aws:iam::1:user/team/ada"),
            Principal::Source("arn:aws:iam::1:user/team/ada".into())
        );
        assert!(matches!(of("arn:aws:iam::1:root"), Principal::Other(_)));
        assert!(matches!(of("arn:aws:sts::1:federated-user/ada"), Principal::Other(_)));
    }

    #[test]
    fn what_is_not_allowed_is_named() {
        let allowed = || result("ec2:CreateVpc", Decision::Allowed, &[]);
        assert_eq!(judge(String::new(), &[allowed()]).verdict, Verdict::Passed);
        let denied =
            judge(String::new(), &[allowed(), result("rds:CreateDBInstance", Decision::ImplicitDeny, &[])]);
        assert_eq!(denied.verdict, Verdict::Failed);
        assert!(denied.answer.contains("rds:CreateDBInstance") && !denied.answer.contains("CreateVpc"));
        let factor = result("iam:CreateRole", Decision::ExplicitDeny, &["aws:MultiFactorAuthPresent"]);
        let depends = judge(String::new(), &[factor]);
        assert_eq!(depends.verdict, Verdict::NotAsked);
        assert!(depends.answer.contains("aws:MultiFactorAuthPresent"));
        let many: Vec<_> = (0..10).map(|i| result(&format!("s:A{i}"), Decision::ImplicitDeny, &[])).collect();
        assert!(judge(String::new(), &many).answer.contains("s:A7 and 2 more"));
    }
}
