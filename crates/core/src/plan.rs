//! Compares what is wanted with what is there, and decides. Pure: no call, no clock, no randomness.

use crate::{
    away::{Away, Waiting},
    claim::{self, ClaimedBy, Verdict},
    diff::{Change, Diff, diff, diff_sent},
    journal::{Phase, Record, State},
    observe::{ObserveError, Observed, kind_of, resolved_place},
    place::PlaceData,
    registry::{AnyKind, AnyLive, Registry},
    resource::{Owner, Recovery, Status, Tags},
    secret::{SealKey, Sealed},
    stack::{Node, Stack, StackErrors},
    undo::{self, Undo},
    value::{Address, is_unknown, lookup_in, references, resolve},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

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

/// What was decided for one wanted resource.
struct Decision {
    action: Action,
    diff: Diff,
    why: Option<String>,
}

impl<'a> Planner<'a> {
    /// What two resources of the stack are both found by is one thing, which cannot be both.
    fn twins(&mut self) {
        let mut named: BTreeMap<(&str, &PlaceData, String), &Address> = BTreeMap::new();
        for (address, node) in self.stack.nodes() {
            let Some(kind) = self.registry.get(node.kind) else { continue };
            let fields = kind.recovery().identity();
            let found_by: Vec<&Json> = fields.iter().filter_map(|field| node.spec.get(*field)).collect();
            // A generated name is another one for each.
            if fields.is_empty() || found_by.iter().any(|json| json.get("$generated").is_some()) {
                continue;
            }
            match named.entry((node.kind, &node.place, json!(found_by).to_string())) {
                Entry::Vacant(free) => drop(free.insert(address)),
                Entry::Occupied(first) => {
                    let (fields, first) = (fields.join(", "), first.get());
                    let why = format!(
                        "has the same {fields} as `{first}`, so both would be one; change one of them"
                    );
                    self.plan.conflicts.push(Conflict { address: address.clone(), why });
                }
            }
        }
    }

    fn wanted(&mut self, address: &Address) -> Result<(), PlanError> {
        let Some(node) = self.stack.nodes().get(address) else { return Ok(()) };
        let kind = kind_of(self.registry, address, node.kind)?;
        if self.waiting.holds(address) {
            return Ok(());
        }
        let record = self.state.records.get(address);
        // What was being replaced is not somebody else's: it is taken back, or goes before the next is made.
        let live = self
            .observed
            .live
            .get(address)
            .filter(|l| record.is_some() || !self.was_replaced(address, kind.as_ref(), l));
        if let Some(record) = record
            && record.request.kind != node.kind
        {
            let why = format!(
                "is a {} in the journal and is wanted as a {}; give the new one another address",
                record.request.kind, node.kind
            );
            self.plan.conflicts.push(Conflict { address: address.clone(), why });
            return Ok(());
        }
        if let (Some(record), Some(identity)) = (record, self.stack.claims().get(address)) {
            self.has_its_thing(address, kind.as_ref(), record, identity);
        }
        let resolved = resolve(&node.spec, &|r| lookup_in(r, |a| self.outputs.get(a)));
        let mut decision = self.decide(address, node, kind.as_ref(), record, live, resolved.clone());
        let (mut record, mut live) = (record, live);
        if (decision.action == Action::Create || decision.action.replaces())
            && let Some((outgoing, there, diff)) = self.outgoing(address, kind.as_ref(), &resolved)
        {
            let why = Some("was to be replaced when the last run ended, and stays".to_owned());
            decision = Decision { action: Action::Adopt, diff, why };
            (record, live) = (Some(outgoing), Some(there));
            self.back.insert(address.clone(), outgoing.instance.clone());
        }
        if decision.action == Action::ReplaceDeleteFirst {
            self.delete_first.insert(address.clone());
        }
        // What is made anew has other outputs than what is recorded.
        if matches!(decision.action, Action::ReplaceCreateFirst | Action::Create) {
            self.beside.insert(address.clone());
        }
        if let Some(live) = live
            && matches!(decision.action, Action::Keep | Action::Record | Action::Update | Action::Adopt)
            && live.status == Status::Ready
        {
            let moves = if decision.diff.is_empty() { &[] } else { kind.moves() };
            self.outputs.insert(address.clone(), without(&live.outputs, moves));
        }
        if let (Some(AnyLive { status: Status::Failed(why), .. }), Action::Keep) = (live, decision.action) {
            self.plan.notes.push(Conflict { address: address.clone(), why: format!("is failed: {why}") });
        }
        let place = resolved_place(&node.place, &|r| lookup_in(r, |a| self.outputs.get(a)));
        if let (Some(record), Some(place)) = (record, place)
            && record.request.place != place
        {
            let (there, here) = (record.request.place.label(), node.place.label());
            let why = format!(
                "is in {there} and is wanted in {here}; nothing moves: give the new one another address"
            );
            self.plan.conflicts.push(Conflict { address: address.clone(), why });
        }
        if decision.action == Action::Keep {
            self.plan.unchanged += 1;
            return Ok(());
        }
        let mut wanted = resolved;
        match record {
            Some(record) => own(&mut wanted, self.stack, address, &json!(record.instance)),
            None => share_tags(&mut wanted, self.stack),
        }
        self.plan.steps.push(Step {
            address: address.clone(),
            kind: node.kind.to_owned(),
            place: node.place.label(),
            action: decision.action,
            instance: record.map(|r| r.instance.clone()),
            wanted: Sealed::of(&wanted, &self.key),
            undo: undo::of(kind.as_ref(), decision.action, &decision.diff, kind.data()),
            diff: decision.diff,
            why: decision.why,
            data: kind.data(),
            holds: kind.holds().map(str::to_owned),
            protect: node.protect,
            leftover: false,
        });
        Ok(())
    }

    fn decide(
        &mut self,
        address: &Address,
        node: &Node,
        kind: &dyn AnyKind,
        record: Option<&Record>,
        live: Option<&AnyLive>,
        mut spec: Json,
    ) -> Decision {
        let decision = |action, diff| Decision { action, diff, why: None };
        let because = |action, diff, why: &str| Decision { action, diff, why: Some(why.to_owned()) };
        if kind.recovery() == Recovery::Observed {
            return match live {
                // What was seen is what it pointed to so far; where that is made anew, it is looked at once more.
                Some(live) if live.status == Status::Ready && !is_unknown(&spec) => {
                    decision(Action::Keep, Diff::default())
                }
                _ => decision(Action::Wait, self.all_of(&spec)),
            };
        }
        let Some(live) = live else {
            let all = self.all_of(&spec);
            return match record {
                None => {
                    if let Some(identity) = self.stack.claims().get(address) {
                        let why = claim::not_found(node, kind, identity, &self.beside);
                        self.refuse_claim(address, node, identity, Verdict::NotFound, why);
                    }
                    decision(Action::Create, all)
                }
                Some(r) if r.phase == Phase::Creating && claim::claimed(&r.request).is_some() => {
                    because(Action::Create, all, "was being taken over and is not there any more")
                }
                Some(r) if r.phase == Phase::Creating => {
                    because(Action::Create, all, "was being created when the last run ended")
                }
                Some(_) => because(Action::Create, all, "is recorded and not there any more"),
            };
        };
        let Some(record) = record else {
            if live.owner == Owner::Anybody {
                return decision(Action::Create, self.all_of(&spec));
            }
            own(&mut spec, self.stack, address, &json!({ "$ref": format!("{address}#instance") }));
            let diff = self.diff(&spec, live, None);
            let why = match self.covered.contains(address) {
                true => self.takes_over(address, node, kind, live, &diff),
                false => {
                    if let Some(why) = foreign(&live.owner, self.stack.name(), address, self.options.adopt) {
                        let why = why + &claimed_alone(address, kind, live);
                        self.plan.conflicts.push(Conflict { address: address.clone(), why });
                    }
                    if let Some(field) = replacing(kind, &diff) {
                        let why = not_as_it_is(node, &diff, &field);
                        self.plan.conflicts.push(Conflict { address: address.clone(), why });
                    }
                    "is there already and not in the journal".to_owned()
                }
            };
            return because(Action::Adopt, diff, &why);
        };
        own(&mut spec, self.stack, address, &json!(record.instance));
        if let Owner::Tagged { stack, address: theirs, instance } = &live.owner
            && *instance != record.instance
        {
            let why = format!(
                "what is there under its name belongs to `{theirs}` of stack `{stack}` (incarnation {instance}); \
                 rename one of them"
            );
            self.plan.conflicts.push(Conflict { address: address.clone(), why });
        }
        let diff = self.diff(&spec, live, Some(record));
        if record.phase == Phase::Creating
            && let Status::Failed(why) = &live.status
        {
            let why = format!("its creation failed: {why}");
            return because(Action::ReplaceDeleteFirst, diff, &why);
        }
        if record.phase == Phase::Deleting && live.status != Status::Ready {
            return because(Action::ReplaceDeleteFirst, diff, "was being deleted when the last run ended");
        }
        if let Some(field) = replacing(kind, &diff) {
            return self.replace(address, node, kind, record, diff, &field);
        }
        if !diff.is_empty() {
            return decision(Action::Update, diff);
        }
        let noted = record.request.after != self.outlived_by(node)
            || record.request.protect != node.protect
            || (!is_unknown(&spec) && record.request.spec != Sealed::of(&spec, &self.key));
        match (record.phase, &live.status) {
            (Phase::Ready, Status::Pending(on)) => {
                let why = format!("is not ready: {on}");
                because(Action::Update, diff, &why)
            }
            (Phase::Ready, _) if noted => decision(Action::Record, diff),
            (Phase::Ready, _) => decision(Action::Keep, diff),
            _ => because(Action::Update, diff, "the last run ended before it was finished"),
        }
    }

    /// The verdict on something that was found under a claim; says why it is taken over.
    fn takes_over(
        &mut self,
        address: &Address,
        node: &Node,
        kind: &dyn AnyKind,
        live: &AnyLive,
        diff: &Diff,
    ) -> String {
        let explicit = self.stack.claims().get(address);
        let identity = explicit.cloned().unwrap_or_else(|| what_it_is(kind, live));
        let tool = live.spec.get("tags").and_then(claim::other_tool).filter(|_| !self.options.adopt);
        let others = self.shared.get(address).cloned();
        let (verdict, against) = if let Some(others) = others {
            let others = others.iter().map(|a| format!("`{a}`")).collect::<Vec<_>>().join(", ");
            let why =
                format!("is claimed as `{identity}`, and so is {others}; one thing stands for one resource");
            (Verdict::Mistaken, Some(why))
        } else if let Some(why) = explicit.and_then(|id| claim::other_thing(kind, live, id)) {
            (Verdict::Mistaken, Some(why))
        } else if let Some(why) = foreign(&live.owner, self.stack.name(), address, true) {
            (Verdict::Owned, Some(format!("`{identity}` {why}")))
        } else if let Some(tool) = tool {
            let why = format!(
                "`{identity}` is kept by {tool}; take it out of there first, then plan and apply with `--adopt`"
            );
            (Verdict::OtherTool, Some(why))
        } else if let Some(field) = replacing(kind, diff) {
            (Verdict::WouldReplace, Some(format!("`{identity}` {}", not_as_it_is(node, diff, &field))))
        } else if diff.changes.iter().all(|c| is_ours(&c.path)) {
            (Verdict::AsItIs, None)
        } else {
            (Verdict::Changed, None)
        };
        match against {
            Some(why) => self.refuse_claim(address, node, &identity, verdict, why),
            None => self.plan.claims.push(Claimed {
                address: address.clone(),
                kind: node.kind.to_owned(),
                identity: identity.clone(),
                verdict,
            }),
        }
        match (explicit.is_some(), verdict) {
            (_, Verdict::AsItIs) => format!("`{identity}` is taken over as it is"),
            (true, _) => format!("`{identity}` is taken over"),
            (false, _) => format!("`{identity}` comes with what it belongs to"),
        }
    }

    fn refuse_claim(
        &mut self,
        address: &Address,
        node: &Node,
        identity: &str,
        verdict: Verdict,
        why: String,
    ) {
        let (kind, identity) = (node.kind.to_owned(), identity.to_owned());
        self.plan.claims.push(Claimed { address: address.clone(), kind, identity, verdict });
        self.plan.conflicts.push(Conflict { address: address.clone(), why });
    }

    /// A claim on a resource that has been made or taken over already does nothing; says so if it means another thing.
    fn has_its_thing(&mut self, address: &Address, kind: &dyn AnyKind, record: &Record, identity: &str) {
        let same = match kind.claimed_by() {
            ClaimedBy::Id(field) => record.outputs.as_ref().and_then(|o| o.get(field)),
            ClaimedBy::Name(field) => record.request.spec.as_json().get(field),
            ClaimedBy::Key | ClaimedBy::Nothing => return,
        };
        let same = same.and_then(Json::as_str).or_else(|| claim::claimed(&record.request));
        if same != Some(identity) {
            let is = same.map_or_else(String::new, |is| format!(" `{is}`"));
            let why = format!(
                "stands for{is} already, so that the claim on `{identity}` does nothing; take it out"
            );
            self.plan.notes.push(Conflict { address: address.clone(), why });
        }
    }

    /// An incarnation that was being replaced, and can become what is wanted in place.
    fn outgoing(
        &self,
        address: &Address,
        kind: &dyn AnyKind,
        spec: &Json,
    ) -> Option<(&'a Record, &'a AnyLive, Diff)> {
        let left = self.state.leftovers.get(address)?;
        left.iter().rev().find_map(|record| {
            let live = self.observed.leftovers.get(&(address.clone(), record.instance.clone()))?;
            let theirs =
                matches!(&live.owner, Owner::Tagged { instance, .. } if *instance != record.instance);
            // What is found by its tag alone may be out of sight again until its id is recorded.
            let known = record.phase != Phase::Creating || !kind.recovery().identity().is_empty();
            let usable = known && live.status == Status::Ready;
            if theirs || !usable {
                return None;
            }
            let mut spec = spec.clone();
            own(&mut spec, self.stack, address, &json!(record.instance));
            let diff = self.diff(&spec, live, Some(record));
            replacing(kind, &diff).is_none().then_some((record, live, diff))
        })
    }

    /// Whether `live`, found without a record, is an incarnation that was being replaced.
    fn was_replaced(&self, address: &Address, kind: &dyn AnyKind, live: &AnyLive) -> bool {
        let identity = kind.recovery().identity();
        let mut left = self.state.leftovers.get(address).into_iter().flatten();
        !identity.is_empty()
            && left.any(|record| {
                let theirs = self.observed.leftovers.get(&(address.clone(), record.instance.clone()));
                theirs.is_some_and(|t| {
                    t.owner == live.owner && identity.iter().all(|f| t.spec.get(f) == live.spec.get(f))
                })
            })
    }

    fn replace(
        &self,
        address: &Address,
        node: &Node,
        kind: &dyn AnyKind,
        record: &Record,
        diff: Diff,
        field: &str,
    ) -> Decision {
        let identity = kind.recovery().identity();
        let generated = |f: &str| node.spec.get(f).is_some_and(|v| v.get("$generated").is_some());
        let moved = identity.iter().any(|f| certainly(&diff, f) || self.follows(&diff, f));
        let beside = identity.is_empty() || identity.iter().any(|f| generated(f)) || moved;
        let parent = self
            .delete_first
            .iter()
            .find(|d| self.rests_on(record, d) && self.stack.below(address).any(|a| a == *d));
        let unknown = !certainly(&diff, field);
        let perhaps = if unknown { ", if it turns out to differ" } else { "" };
        let (action, order) = match (parent, beside) {
            (Some(parent), _) => {
                (Action::ReplaceDeleteFirst, format!("the old one goes first, because `{parent}` has to"))
            }
            (None, true) => (Action::ReplaceCreateFirst, "the new one is made first".to_owned()),
            (None, false) => (
                Action::ReplaceDeleteFirst,
                format!("the old one goes first, because `{}` stays the same", identity.join("`, `")),
            ),
        };
        Decision { action, diff, why: Some(format!("`{field}` cannot change in place{perhaps}; {order}")) }
    }

    /// Whether the old one has to be gone before what is at `address` can go: it refers to that, or to something that goes
    /// with it.
    fn rests_on(&self, record: &Record, address: &Address) -> bool {
        let goes = |a: &Address| !self.stack.nodes().contains_key(a) || self.beside.contains(a);
        let (mut open, mut seen) = (vec![record], BTreeSet::new());
        while let Some(record) = open.pop() {
            if record.request.after.contains(address) {
                return true;
            }
            let next = record.request.after.iter().filter(|a| goes(a) && seen.insert(*a));
            open.extend(next.filter_map(|a| self.state.records.get(a)));
        }
        false
    }

    /// Whether `field` will differ because what it comes from is made anew beside the old one.
    fn follows(&self, diff: &Diff, field: &str) -> bool {
        let inside =
            |path: &str| path == field || path.strip_prefix(field).is_some_and(|r| r.starts_with('.'));
        let mut from = BTreeSet::new();
        for change in diff.changes.iter().filter(|c| inside(&c.path)) {
            if let Change::Unknown { to, .. } = &change.change {
                references(to, &mut from);
            }
        }
        from.iter().any(|a| self.beside.contains(a))
    }

    /// What must outlive `node`: what it waits for, and through kinds that are only observed, what those wait for.
    fn outlived_by(&self, node: &Node) -> BTreeSet<Address> {
        outlived_by(self.stack, self.registry, node)
    }

    fn diff(&self, spec: &Json, live: &AnyLive, record: Option<&Record>) -> Diff {
        let seal = |json| Sealed::of(json, &self.key);
        let (applied, sent) = record.map(|r| (r.applied(), r.sent())).unwrap_or_default();
        diff_sent(&seal(spec), &seal(&live.spec), &applied, &sent)
    }

    /// Everything that is wanted, as a diff from nothing.
    fn all_of(&self, spec: &Json) -> Diff {
        let mut spec = spec.clone();
        share_tags(&mut spec, self.stack);
        let empty = Sealed::of(&json!({}), &self.key);
        diff(&Sealed::of(&spec, &self.key), &empty, &Sealed::default())
    }

    fn is_current(&self, address: &Address, instance: &str) -> bool {
        self.state.records.get(address).is_some_and(|r| r.instance == instance)
    }

    /// Removals of what is recorded and not wanted, each after what depends on it.
    fn removals(&mut self) -> Result<(), PlanError> {
        let mut removed: Vec<(&Address, &Record, bool)> = vec![];
        for (address, record) in self.state.incarnations() {
            let back = self.back.get(address);
            if back == Some(&record.instance) || self.waiting.holds(address) {
                continue;
            }
            let leftover = back.is_some() || !self.is_current(address, &record.instance);
            if leftover || !self.stack.nodes().contains_key(address) {
                removed.push((address, record, leftover));
            }
        }
        let edges: BTreeMap<(&Address, &str), BTreeSet<(&Address, &str)>> = removed
            .iter()
            .map(|(a, r, _)| {
                let dependents = removed.iter().filter(|(_, d, _)| d.request.after.contains(*a));
                ((*a, r.instance.as_str()), dependents.map(|(b, d, _)| (*b, d.instance.as_str())).collect())
            })
            .collect();
        let order = crate::schedule::order(&edges).unwrap_or_else(|_| edges.keys().copied().collect());
        for (address, instance) in order {
            let Some((_, record, leftover)) =
                removed.iter().find(|(a, r, _)| *a == address && r.instance == instance).copied()
            else {
                continue;
            };
            let kind = kind_of(self.registry, address, &record.request.kind)?;
            let live = if self.is_current(address, instance) {
                self.observed.live.get(address)
            } else {
                self.observed.leftovers.get(&(address.clone(), instance.to_owned()))
            };
            // Under a fixed name there may be the next incarnation by now, or somebody else's thing.
            let live = live.filter(|l| match &l.owner {
                Owner::Tagged { instance: theirs, .. } => theirs == instance,
                Owner::Parent => !passed_on(kind.as_ref(), self.state, address, record),
                Owner::Nobody | Owner::Anybody => true,
            });
            let unsure = record.phase == Phase::Creating && kind.recovery().identity().is_empty();
            let along = live.map(|live| kind.takes_along(&live.spec)).filter(|along| !along.is_empty());
            let along = along.map(|along| format!("takes along {}", along.join(", ")));
            let (action, why) = match live {
                Some(_) if kind.retain() => (Action::Forget, Some("stays where it is".to_owned())),
                Some(_) if self.back.contains_key(address) => {
                    (Action::Delete, Some("was to replace what stays".to_owned()))
                }
                Some(_) if leftover => (Action::Delete, Some("was replaced".to_owned())),
                Some(_) => (Action::Delete, along),
                None if unsure => {
                    let why = "may have been created when the last run ended: looked for once more";
                    (Action::Delete, Some(why.to_owned()))
                }
                None => (Action::Forget, Some("is not there any more".to_owned())),
            };
            let data = live.map_or(kind.data(), |live| kind.holds_data(&live.spec));
            self.plan.steps.push(Step {
                address: address.clone(),
                kind: record.request.kind.clone(),
                place: record.request.place.label(),
                action,
                instance: Some(instance.to_owned()),
                wanted: Sealed::default(),
                diff: Diff::default(),
                why,
                data,
                holds: kind.holds().map(str::to_owned),
                protect: record.request.protect,
                leftover,
                undo: undo::of(kind.as_ref(), action, &Diff::default(), data),
            });
        }
        Ok(())
    }

    /// Leaves out what was not asked for, and says what is missing then.
    fn limit(&mut self) {
        self.wait();
        let (options, stack, state) = (self.options, self.stack, self.state);
        let place = |a: &Address| {
            let recorded =
                || state.incarnations().find(|(b, _)| *b == a).map(|(_, r)| r.request.place.label());
            stack.nodes().get(a).map(|n| n.place.label()).or_else(recorded).unwrap_or_default()
        };
        let wants = |a: &Address| options.wants(a, &place(a));
        self.plan.away = self.waiting.told(self.observed, stack, wants);
        let waiting = &self.waiting;
        self.plan.notes.retain(|c| !waiting.holds(&c.address));
        self.plan.conflicts.retain(|c| wants(&c.address) && !waiting.holds(&c.address));
        self.plan.claims.retain(|c| wants(&c.address) && !waiting.holds(&c.address));
        let steps = std::mem::take(&mut self.plan.steps);
        let (kept, left): (Vec<Step>, Vec<Step>) =
            steps.into_iter().partition(|s| options.wants(&s.address, &s.place));
        for step in &kept {
            let missing: Vec<String> = left.iter().filter_map(|l| self.missing(step, l)).collect();
            self.plan
                .conflicts
                .extend(missing.into_iter().map(|why| Conflict { address: step.address.clone(), why }));
        }
        let visible = |s: &&Step| !matches!(s.action, Action::Record | Action::Forget);
        self.plan.left_out = left.iter().filter(visible).map(|s| s.address.clone()).collect();
        self.plan.steps = kept;
    }

    /// Takes out what cannot be done while a place is away: nothing is removed from under what waits there, and nothing
    /// is done that needs what stays for that.
    fn wait(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut held: Vec<Step> = vec![];
        loop {
            let (mut kept, mut stays) = (vec![], vec![]);
            for step in std::mem::take(&mut self.plan.steps) {
                let causes = self.needed_by(&step, &held);
                if causes.is_empty() { kept.push(step) } else { stays.push((step, causes)) }
            }
            self.plan.steps = kept;
            if stays.is_empty() {
                return;
            }
            for (step, causes) in stays {
                self.waiting.join(&step.address, &causes);
                held.push(step);
            }
        }
    }

    /// What waits and keeps `step` from being done.
    fn needed_by(&self, step: &Step, held: &[Step]) -> BTreeSet<Address> {
        let removes = step.instance.is_some() && step.action.removes();
        let above = self.state.incarnations().filter(|(a, r)| {
            removes && self.waiting.holds(a) && **a != step.address && r.request.after.contains(&step.address)
        });
        let missing = held.iter().filter(|l| l.address == step.address || self.missing(step, l).is_some());
        above.map(|(a, _)| a).chain(missing.map(|l| &l.address)).cloned().collect()
    }

    /// Why `step` cannot be done without `left`.
    fn missing(&self, step: &Step, left: &Step) -> Option<String> {
        let (address, leaves) = (&left.address, step.action == Action::Delete || step.leftover);
        let node = self.stack.nodes().get(&step.address).filter(|_| !leaves);
        if node.is_some_and(|n| n.after.contains(address)) && !left.leftover {
            let what = match left.action {
                Action::Create | Action::Adopt | Action::Wait => "is not there yet",
                Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "is to be replaced",
                // What is there already can be changed later.
                _ => return None,
            };
            return Some(format!("needs `{address}`, which was left out and {what}; choose both or neither"));
        }
        let gone = step.instance.as_ref().filter(|_| step.action.removes())?;
        let stays = left.instance.as_ref()?;
        let find =
            |a: &Address, i: &String| self.state.incarnations().find(|(b, r)| *b == a && r.instance == *i);
        let (_, dependent) = find(address, stays)?;
        find(&step.address, gone)?;
        let stays = !matches!(left.action, Action::Record | Action::Forget);
        (stays && dependent.request.after.contains(&step.address)).then(|| {
            format!("is needed by `{address}`, which was left out and is still there; choose both or neither")
        })
    }
}

/// What must outlive `node`: what it waits for, and through kinds that are only observed, what those wait for.
pub(crate) fn outlived_by(stack: &Stack, registry: &Registry, node: &Node) -> BTreeSet<Address> {
    let mut out = BTreeSet::new();
    let mut open: Vec<&Address> = node.after.iter().collect();
    while let Some(address) = open.pop() {
        let Some(other) = stack.nodes().get(address) else { continue };
        let observed = registry.get(other.kind).is_some_and(|k| k.recovery() == Recovery::Observed);
        if observed {
            open.extend(&other.after);
        } else {
            out.insert(address.clone());
        }
    }
    out
}

/// Writes the stack's tags into a spec that has tags.
fn share_tags(spec: &mut Json, stack: &Stack) {
    let Some(tags) = spec.get_mut("tags").and_then(Json::as_object_mut) else { return };
    for (key, value) in stack.tags() {
        tags.entry(key).or_insert_with(|| json!(value));
    }
}

/// Whether what `record` is found by is now what the incarnation that counts is found by.
pub(crate) fn passed_on(kind: &dyn AnyKind, state: &State, address: &Address, record: &Record) -> bool {
    let identity = kind.recovery().identity();
    state.records.get(address).is_some_and(|current| {
        let (theirs, ours) = (current.request.spec.as_json(), record.request.spec.as_json());
        current.instance != record.instance
            && !identity.is_empty()
            && identity.iter().all(|f| theirs.get(f) == ours.get(f))
    })
}

/// Writes the stack's tags and the ownership tags into a spec that has tags.
pub(crate) fn own(spec: &mut Json, stack: &Stack, address: &Address, instance: &Json) {
    share_tags(spec, stack);
    let Some(tags) = spec.get_mut("tags").and_then(Json::as_object_mut) else { return };
    tags.insert(Tags::STACK.into(), json!(stack.name()));
    tags.insert(Tags::ADDRESS.into(), json!(address));
    tags.insert(Tags::INSTANCE.into(), instance.clone());
}

/// Why something that is there and not in the journal may not be taken over.
pub(crate) fn foreign(owner: &Owner, stack: &str, address: &Address, adopt: bool) -> Option<String> {
    match owner {
        Owner::Tagged { stack: theirs, address: there, .. } if theirs != stack || *there != address.0 => {
            Some(format!("belongs to `{there}` of stack `{theirs}`; rename one of them"))
        }
        Owner::Tagged { .. } if !adopt => Some(
            "carries our tags and is not in the journal, which may be the wrong one or have been lost; \
             `--adopt` takes it over"
                .into(),
        ),
        Owner::Nobody | Owner::Parent if !adopt => Some(
            "is there already and was not made by this stack; `--adopt` takes it over, or give ours another name"
                .into(),
        ),
        _ => None,
    }
}

/// How what people made is taken over and nothing else, where its id says which it is.
fn claimed_alone(address: &Address, kind: &dyn AnyKind, live: &AnyLive) -> String {
    let ClaimedBy::Id(field) = kind.claimed_by() else { return String::new() };
    match live.outputs.get(field).and_then(Json::as_str) {
        Some(id) if live.owner == Owner::Nobody => {
            format!("; `\"{address}\" = \"{id}\"` under [adopt] takes over this one alone")
        }
        _ => String::new(),
    }
}

/// Whether a field is only our own mark.
fn is_ours(path: &str) -> bool {
    [Tags::STACK, Tags::ADDRESS, Tags::INSTANCE].iter().any(|tag| path.strip_prefix("tags.") == Some(tag))
}

/// What something is called that has no claim of its own.
fn what_it_is(kind: &dyn AnyKind, live: &AnyLive) -> String {
    let fields = kind.recovery().identity().iter().filter_map(|f| live.spec.get(f));
    let texts = fields.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    texts.collect::<Vec<_>>().join(" ")
}

/// Why something that is there cannot be taken over, and what to set so that it can.
fn not_as_it_is(node: &Node, diff: &Diff, field: &str) -> String {
    let inside = |path: &str| path == field || path.strip_prefix(field).is_some_and(|r| r.starts_with('.'));
    let change = diff.changes.iter().find(|c| inside(&c.path)).map(|c| &c.change);
    let there = match change {
        Some(Change::Set { from, to }) => {
            format!(": it is {} there and {} is wanted", crate::render::value(from), crate::render::value(to))
        }
        Some(Change::Unknown { from, .. }) => format!(": it is {} there", crate::render::value(from)),
        _ => String::new(),
    };
    let remedy = match (node.setting(field), change) {
        (Some(setting), Some(Change::Set { from, .. })) => {
            format!("set `{setting}` to {}", crate::render::value(from))
        }
        (Some(setting), _) => format!("`{setting}` decides it"),
        (None, _) => "leave it out to have a new one made beside it".to_owned(),
    };
    format!("cannot be taken over as it is: `{field}` differs and cannot change in place{there}; {remedy}")
}

/// The field of `diff` that cannot change in place, if there is one.
pub(crate) fn replacing(kind: &dyn AnyKind, diff: &Diff) -> Option<String> {
    let fields = kind.replace().iter().filter(|f| diff.touches(f));
    // A field that surely differs is the better reason.
    let mut fields: Vec<&&str> = fields.collect();
    fields.sort_by_key(|f| !certainly(diff, f));
    fields.first().map(|f| (**f).to_owned())
}

/// Whether `field` differs for sure: not only because its value is not known yet.
fn certainly(diff: &Diff, field: &str) -> bool {
    let inside = |path: &str| path == field || path.strip_prefix(field).is_some_and(|r| r.starts_with('.'));
    diff.changes.iter().any(|c| inside(&c.path) && !matches!(c.change, Change::Unknown { .. }))
}

fn without(outputs: &Json, moves: &[&str]) -> Json {
    match outputs {
        Json::Object(m) => m
            .iter()
            .filter(|(k, _)| !moves.contains(&k.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        other => other.clone(),
    }
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
