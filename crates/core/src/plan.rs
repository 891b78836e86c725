//! Compares what is wanted with what is there, and decides. Pure: no call, no clock, no randomness.

mod decide;
mod owner;
mod removals;
mod selection;

pub(crate) use decide::{outlived_by, replacing};
pub(crate) use owner::{foreign, own, passed_on};

use crate::{
    away::{Away, Waiting},
    claim::{self, Verdict},
    diff::Diff,
    journal::State,
    observe::{ObserveError, Observed},
    registry::Registry,
    secret::{SealKey, Sealed},
    stack::{Stack, StackErrors},
    undo::Undo,
    value::{Address, is_unknown, lookup_in, resolve},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the plan document.
pub const FORMAT: u32 = 1;

/// What is done to a resource.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    Keep,
    /// It is made.
    Create,
    /// It is changed in place.
    Update,
    /// A new one is made, and then the old one is removed.
    ReplaceCreateFirst,
    /// The old one is removed, and then a new one is made.
    ReplaceDeleteFirst,
    /// It is removed.
    Delete,
    /// It is there already and not ours, and is taken over.
    Adopt,
    /// It is not ours to make: we wait until it is there and ready.
    Wait,
    /// It is recorded, not wanted, and not there any more.
    Forget,
    /// Only the journal changes: what it waits for, its protection, or which fields are ours.
    Record,
}

impl Action {
    /// Whether what is there is lost.
    pub fn removes(self) -> bool {
        matches!(self, Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst | Action::Delete)
    }

    /// Whether it is a replacement.
    pub fn replaces(self) -> bool {
        matches!(self, Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst)
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Step {
    /// Which resource.
    pub address: Address,
    /// Its kind.
    pub kind: String,
    /// Where it lives, in a word.
    pub place: String,
    /// What is done.
    pub action: Action,
    /// The incarnation that is there; none for a create.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What is wanted, as far as it is known; null for a removal.
    pub wanted: Sealed,
    /// The fields that differ; for a create, all that are wanted.
    pub diff: Diff,
    /// Why, where the fields do not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether it holds data that nobody can bring back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data: bool,
    /// What that is, where it is not data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
    /// Whether it is protected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protect: bool,
    /// Whether it is an incarnation that was replaced before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leftover: bool,
    /// Whether it can be taken back; none where the cloud is not touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
}

/// Why a plan must not be applied, whatever the guards say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Conflict {
    /// Which resource.
    pub address: Address,
    /// What is in the way, and what to do.
    pub why: String,
}

/// What becomes of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Claimed {
    /// Which resource is to stand for it.
    pub address: Address,
    /// Its kind.
    pub kind: String,
    /// The id or the name of what is claimed; for what comes with something that is claimed, what is there.
    pub identity: String,
    /// Whether it is taken over.
    pub verdict: Verdict,
}

/// All that will be done, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: u32,
    /// The stack.
    pub stack: String,
    /// The journal entry that it starts from.
    pub after: u64,
    /// The steps, each after what it waits for; removals last, in the order in which they happen.
    pub steps: Vec<Step>,
    /// How many resources stay as they are.
    pub unchanged: usize,
    /// What is in the way.
    pub conflicts: Vec<Conflict>,
    /// What people should know, though nothing is done about it.
    pub notes: Vec<Conflict>,
    /// What stands at another address now: the new one, by the old one. Only the journal and a tag change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub moves: BTreeMap<Address, Address>,
    /// The resources that would be changed as well, and were not asked for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_out: BTreeSet<Address>,
    /// Whether the journal's word was taken for what is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_journal: bool,
    /// The places that cannot be reached, and what waits for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<Away>,
    /// What becomes of what is claimed, and of what comes with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claimed>,
}

impl Plan {
    /// Whether nothing would be changed in the cloud.
    pub fn is_empty(&self) -> bool {
        self.steps
            .iter()
            .all(|s| matches!(s.action, Action::Keep | Action::Forget | Action::Wait | Action::Record))
    }

    /// The step that makes, changes or replaces the resource at `address`.
    pub fn step(&self, address: &Address) -> Option<&Step> {
        self.steps.iter().find(|s| &s.address == address && !s.leftover)
    }

    /// The place that cannot be reached and for which the resource at `address` waits.
    pub fn waits_for(&self, address: &Address) -> Option<&Away> {
        self.away.iter().find(|away| away.resources.contains(address) || away.needing.contains(address))
    }

    /// What [`step`](Plan::step) says of every address, for whoever asks about many.
    pub(crate) fn by_address(&self) -> BTreeMap<&Address, &Step> {
        let mut steps = BTreeMap::new();
        for step in self.steps.iter().filter(|s| !s.leftover) {
            steps.entry(&step.address).or_insert(step);
        }
        steps
    }

    /// Steps of each action.
    pub fn counts(&self) -> BTreeMap<Action, usize> {
        let mut counts = BTreeMap::new();
        self.steps.iter().for_each(|s| *counts.entry(s.action).or_default() += 1);
        counts
    }

    /// SHA-256 of the canonical JSON: two plans with the same digest do the same.
    ///
    /// # Panics
    /// Never: a plan always serialises.
    pub fn digest(&self) -> String {
        // Through `Json`, whose objects are sorted.
        let canonical = serde_json::to_value(self).expect("a plan is plain data").to_string();
        hex::encode(Sha256::digest(canonical.as_bytes()))
    }
}

/// What the plan may do beyond the usual.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Take over what is there and belongs to nobody.
    pub adopt: bool,
    /// Plan only for addresses that one of these matches; all if empty. `*` stands for anything, and `region:NAME` for
    /// everything in that region.
    pub only: Vec<String>,
    /// Leave these out, whatever `only` says.
    pub except: Vec<String>,
    /// Take the journal's word for what it has as done, instead of looking at it. Drift is not seen then. What the
    /// journal does not know is looked at all the same, and so is everything once more before it is changed.
    pub from_journal: bool,
}

impl PlanOptions {
    /// Whether the resource at `address` in `place`, in a word, is planned for.
    pub fn wants(&self, address: &Address, place: &str) -> bool {
        let matches = |patterns: &[String]| patterns.iter().any(|p| selects(p, address, place));
        (self.only.is_empty() || matches(&self.only)) && !matches(&self.except)
    }
}

/// What a pattern of places begins with.
pub const REGION: &str = "region:";

/// Whether `pattern` means the resource at `address` in `place`, in a word.
pub fn selects(pattern: &str, address: &Address, place: &str) -> bool {
    match pattern.strip_prefix(REGION) {
        Some(region) => matches_pattern(region, place),
        None => matches_pattern(pattern, &address.0),
    }
}

/// Whether `text` is what `pattern` says, where `*` stands for anything.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            (0..=tail.len()).filter(|i| tail.is_char_boundary(*i)).any(|i| matches_pattern(rest, &tail[i..]))
        }),
    }
}

/// Why no plan could be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The stack is wrong in itself.
    #[error("the stack has mistakes")]
    Stack(#[from] StackErrors),
    /// A kind is unknown.
    #[error(transparent)]
    Kind(#[from] ObserveError),
    /// The journal is about another stack.
    #[error("the journal is of the stack `{0}`, not of this one; use another journal folder or name")]
    OtherStack(String),
}

/// Decides what to do so that the cloud becomes as `stack` wants it.
///
/// # Errors
/// Mistakes in the stack, and kinds that are not registered. Things in the way are not errors but
/// [`conflicts`](Plan::conflicts), so that the whole plan is always shown.
pub fn plan(
    stack: &Stack,
    state: &State,
    observed: &Observed,
    registry: &Registry,
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    if !state.stack.is_empty() && state.stack != stack.name() {
        return Err(PlanError::OtherStack(state.stack.clone()));
    }
    let mut planner = Planner {
        stack,
        state,
        observed,
        registry,
        options,
        key: state.seal_key.clone().unwrap_or_else(SealKey::none),
        outputs: BTreeMap::new(),
        delete_first: BTreeSet::new(),
        beside: BTreeSet::new(),
        back: BTreeMap::new(),
        covered: claim::covered(stack, state, registry),
        shared: claim::shared(stack),
        waiting: Waiting::of(stack, state, observed),
        plan: Plan {
            format: FORMAT,
            stack: stack.name().to_owned(),
            after: state.seq,
            from_journal: options.from_journal,
            ..Plan::default()
        },
    };
    planner.twins();
    for address in stack.order()? {
        planner.wanted(&address)?;
    }
    planner.removals()?;
    planner.limit();
    Ok(planner.plan)
}

struct Planner<'a> {
    stack: &'a Stack,
    state: &'a State,
    observed: &'a Observed,
    registry: &'a Registry,
    options: &'a PlanOptions,
    key: SealKey,
    /// Outputs that are known before anything is applied.
    outputs: BTreeMap<Address, Json>,
    /// Resources that are removed before they are made anew.
    delete_first: BTreeSet<Address>,
    /// Resources that are made anew beside the old one.
    beside: BTreeSet<Address>,
    /// Incarnations that were being replaced and stay.
    back: BTreeMap<Address, String>,
    /// What may be taken over because it, or what it belongs to, is claimed.
    covered: BTreeSet<Address>,
    /// Addresses that claim the same thing.
    shared: BTreeMap<Address, Vec<Address>>,
    /// What waits for a place that cannot be reached.
    waiting: Waiting<'a>,
    plan: Plan,
}

/// The outputs that `stack` tells people, as far as they are known.
pub fn stack_outputs(stack: &Stack, outputs: &BTreeMap<Address, Json>) -> BTreeMap<String, Json> {
    stack
        .outputs()
        .iter()
        .map(|(name, value)| {
            let value = resolve(value, &|r| lookup_in(r, |a| outputs.get(a)));
            (name.clone(), if is_unknown(&value) { Json::Null } else { value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches_pattern("app/*", "app/service"));
        assert!(matches_pattern("*", ""));
        assert!(matches_pattern("a*c*e", "abcde"));
        assert!(!matches_pattern("app/*", "infra/app/x"));
        assert!(!matches_pattern("app", "app2"));
    }
}
