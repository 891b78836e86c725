//! What is to be done about each thing that is wanted.

use super::{
    Action, Claimed, Conflict, PlanError, Planner, Step,
    owner::{claimed_alone, foreign, is_ours, not_as_it_is, own, share_tags, what_it_is},
};
use crate::{
    claim::{self, ClaimedBy, Verdict},
    diff::{Change, Diff, diff, diff_sent},
    journal::{Phase, Record},
    observe::{kind_of, resolved_place},
    place::PlaceData,
    registry::{AnyKind, AnyLive, Registry},
    resource::{Owner, Recovery, Status},
    secret::Sealed,
    stack::{Node, Stack},
    undo,
    value::{Address, is_unknown, lookup_in, references, resolve},
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// What was decided for one wanted resource.
struct Decision {
    action: Action,
    diff: Diff,
    why: Option<String>,
}

impl<'a> Planner<'a> {
    /// What two resources of the stack are both found by is one thing, which cannot be both.
    pub(super) fn twins(&mut self) {
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

    pub(super) fn wanted(&mut self, address: &Address) -> Result<(), PlanError> {
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

    pub(super) fn is_current(&self, address: &Address, instance: &str) -> bool {
        self.state.records.get(address).is_some_and(|r| r.instance == instance)
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
