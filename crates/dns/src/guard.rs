//! Refuses plans for records that are dangerous, beside what the engine's own guard refuses.
//!
//! A share of a few records is less than one, and a share of many is a lot: so both a share and a number count, and six
//! records are guarded as six hundred are.

use crate::{record::Class, resource::Record};
use causeway_core::{
    Address, Resource,
    engine::Planned,
    guard::Refusal,
    plan::{Action, Step},
};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// What may be done to records that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// They are made, changed and removed.
    #[default]
    Sync,
    /// They are made and changed.
    UpsertOnly,
    /// They are made.
    CreateOnly,
}

impl Policy {
    fn allows(self, action: Action) -> bool {
        match self {
            Policy::Sync => true,
            Policy::UpsertOnly => !action.removes(),
            Policy::CreateOnly => !action.removes() && !matches!(action, Action::Update | Action::Adopt),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Policy::Sync => "sync",
            Policy::UpsertOnly => "upsert-only",
            Policy::CreateOnly => "create-only",
        }
    }

    /// The addresses that this policy leaves as they are: to be left out by the options of another plan.
    pub fn leaves_out(self, planned: &Planned) -> Vec<String> {
        let steps = records(planned).filter(|step| !self.allows(step.action));
        steps.map(|step| step.address.0.clone()).collect()
    }
}

/// How many of the records that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// No more than this.
    pub most: usize,
    /// No more than this share of all, in percent; but one always.
    pub percent: usize,
}

impl Cap {
    /// How many of `all`.
    pub fn of(self, all: usize) -> usize {
        self.most.min((all * self.percent / 100).max(1))
    }
}

/// What a run may do to records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What may be done at all.
    pub policy: Policy,
    /// How many may be changed.
    pub changes: Cap,
    /// How many may be removed.
    pub removals: Cap,
    /// Records that may be removed although they are the last of their name.
    pub permits: BTreeSet<Address>,
}

impl Default for Rules {
    /// Half of all may be changed and three in ten removed; not more than 100 and 10.
    fn default() -> Self {
        Rules {
            policy: Policy::Sync,
            changes: Cap { most: 100, percent: 50 },
            removals: Cap { most: 10, percent: 30 },
            permits: BTreeSet::new(),
        }
    }
}

/// Everything that speaks against `planned`, as far as it is about records.
pub fn guard(planned: &Planned, rules: &Rules) -> Vec<Refusal> {
    let mut out: Vec<Refusal> = records(planned)
        .flat_map(|step| [policy(step, rules), apex(step, planned), last(step, planned, rules)])
        .flatten()
        .collect();
    let there = planned.state.records.iter().filter(|(address, record)| {
        record.request.kind == Record::KIND && planned.observed.live.contains_key(*address)
    });
    let all = there.count();
    let removed =
        records(planned).filter(|s| s.action.removes() && !rules.permits.contains(&s.address)).count();
    let changed = records(planned).filter(|s| s.action == Action::Update).count();
    out.extend(too_many("removed", "removals", removed, all, rules.removals));
    out.extend(too_many("changed", "changes", changed, all, rules.changes));
    out
}

fn records(planned: &Planned) -> impl Iterator<Item = &Step> {
    planned.plan.steps.iter().filter(|step| step.kind == Record::KIND && !step.leftover)
}

fn too_many(verb: &str, cap: &str, number: usize, all: usize, allowed: Cap) -> Option<Refusal> {
    (number > allowed.of(all)).then(|| Refusal {
        address: None,
        rule: format!("dns-{cap}"),
        field: None,
        why: format!(
            "{number} of {all} records would be {verb} and {} are allowed (at most {}, and {} % of all); look whether \
             all sources are right, and raise the cap if that is meant",
            allowed.of(all),
            allowed.most,
            allowed.percent
        ),
    })
}

fn refusal(step: &Step, rule: &str, why: String) -> Option<Refusal> {
    Some(Refusal { address: Some(step.address.clone()), rule: rule.into(), field: None, why })
}

fn policy(step: &Step, rules: &Rules) -> Option<Refusal> {
    if rules.policy.allows(step.action) {
        return None;
    }
    let why = format!("the policy is {}, which leaves out what is there", rules.policy.word());
    refusal(step, "dns-policy", why)
}

/// The name and the class of what is there, or else of what is wanted.
fn about(step: &Step, planned: &Planned) -> Option<(String, String)> {
    let of =
        |spec: &Json| Some((spec.get("name")?.as_str()?.to_owned(), spec.get("class")?.as_str()?.to_owned()));
    let live = planned.observed.live.get(&step.address).and_then(|live| of(&live.spec));
    live.or_else(|| of(step.wanted.as_json()))
}

fn apex(step: &Step, planned: &Planned) -> Option<Refusal> {
    let (name, class) = about(step, planned)?;
    if name != step.place || class != Class::Ns.as_str() {
        return None;
    }
    let why = format!("the name servers of `{name}` itself are the provider's affair; take this out");
    refusal(step, "dns-apex", why)
}

/// Whether a name would lead nowhere any more, or be gone.
fn last(step: &Step, planned: &Planned, rules: &Rules) -> Option<Refusal> {
    if !step.action.removes() || rules.permits.contains(&step.address) {
        return None;
    }
    let (name, class) = about(step, planned)?;
    let leads = class == Class::Address.as_str();
    let stays = |spec: &Json, address: &Address| {
        let is = |field: &str, text: &str| spec.get(field).and_then(Json::as_str) == Some(text);
        *address != step.address && is("name", &name) && (!leads || is("class", &class))
    };
    let removed: BTreeSet<&Address> =
        records(planned).filter(|s| s.action.removes()).map(|s| &s.address).collect();
    let kept = planned.observed.live.iter().filter(|(address, _)| !removed.contains(address));
    let remains = kept.into_iter().any(|(address, live)| stays(&live.spec, address))
        || records(planned).any(|s| s.action == Action::Create && stays(s.wanted.as_json(), &s.address));
    if remains {
        return None;
    }
    let why = format!(
        "is the last {} of `{name}`; name it to permit that: --permit {}",
        if leads { "address" } else { "record" },
        step.address
    );
    refusal(step, "dns-last", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_works_for_six_records_as_for_six_hundred() {
        let cap = Cap { most: 10, percent: 30 };
        assert_eq!([1, 6, 7, 20, 600].map(|all| cap.of(all)), [1, 1, 2, 6, 10]);
    }
}
