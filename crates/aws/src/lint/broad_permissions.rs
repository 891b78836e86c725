//! `broad-permissions`: rights that lead to all others: any role handed to a service, or every call to STS.

use super::{called, policies, tail};
use crate::policy::{Effect, Statement};
use causeway_core::{Set, Value, guard::Rules, lint::Breach, plan::matches_pattern, wanted::Wanted};

pub(super) fn judge(wanted: &[Wanted], _: &Rules) -> Vec<Breach> {
    let mut out = vec![];
    for attached in policies(wanted) {
        for (i, statement) in attached.document.statements.iter().enumerate() {
            let breach = |(why, remedy): (&str, &str)| {
                let why = format!("in its {} {why}", called(statement, i));
                Breach::of(attached.wanted, &attached.field, why, remedy)
            };
            out.extend(wrong(statement).into_iter().map(breach));
        }
    }
    out
}

fn wrong(statement: &Statement) -> Vec<(&'static str, &'static str)> {
    let mut out = vec![];
    if statement.effect == Effect::Deny {
        return out;
    }
    let of_identity = statement.principals.0.is_empty() && statement.not_principals.0.is_empty();
    if of_identity && allows(statement, "iam:PassRole") && on_every_role(statement) {
        out.push((
            "allows iam:PassRole on every role, and so whatever any role may do",
            "name the roles, or a path or a beginning that they share",
        ));
    }
    if statement.actions.0.iter().any(|action| is(action, |text| text.eq_ignore_ascii_case("sts:*"))) {
        out.push((
            "allows sts:*, and so to become whoever trusts the account",
            "name the calls that it makes",
        ));
    }
    out
}

fn is(value: &Value<String>, what: impl Fn(&str) -> bool) -> bool {
    matches!(value, Value::Known(text) if what(text))
}

fn allows(statement: &Statement, action: &str) -> bool {
    let names = |actions: &Set<String>| {
        let covers = |text: &str| matches_pattern(&text.to_ascii_lowercase(), &action.to_ascii_lowercase());
        actions.0.iter().any(|pattern| is(pattern, covers))
    };
    let not = &statement.not_actions;
    names(&statement.actions) || (!not.0.is_empty() && !names(not))
}

/// Whether it is about roles whatever they are called.
fn on_every_role(statement: &Statement) -> bool {
    let every = |value: &Value<String>| {
        tail(value).is_some_and(|text| {
            let name = text.rsplit_once("role/").map_or(text.as_str(), |(_, name)| name);
            name.chars().all(|c| c == '*') && !name.is_empty()
        })
    };
    statement.resources.0.iter().any(every) || !statement.not_resources.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Principal;

    fn count(actions: &[&str], resource: &str) -> usize {
        wrong(&Statement::allow(actions.iter().copied(), [resource])).len()
    }

    #[test]
    fn a_role_is_passed_by_name() {
        for every in ["*", "arn:aws:iam::*:role/*", "arn:aws:iam::123456789012:role/*"] {
            assert_eq!(count(&["iam:PassRole"], every), 1, "{every}");
        }
        for pattern in ["iam:*", "*", "iam:pass*"] {
            assert_eq!(count(&[pattern], "*"), 1, "{pattern}");
        }
        assert_eq!(count(&["iam:PassRole"], "arn:aws:iam::1:role/coder-*"), 0);
        assert_eq!(count(&["iam:GetRole"], "*"), 0);
        let mut but = Statement::allow([""; 0], ["*"]);
        but.not_actions = Set::from_iter(["s3:*"]);
        assert_eq!(wrong(&but).len(), 1);
        let resource = Statement::allow(["*"], ["*"]).to([Principal::aws("123456789012")]);
        assert!(wrong(&resource).is_empty(), "what a policy of a key or a bucket allows is about that alone");
    }

    #[test]
    fn calls_to_sts_are_named() {
        assert_eq!(count(&["sts:*"], "*"), 1);
        assert_eq!(count(&["sts:GetCallerIdentity"], "*"), 0);
        let deny = Statement { effect: Effect::Deny, ..Statement::allow(["sts:*"], ["*"]) };
        assert!(wrong(&deny).is_empty());
    }
}
