//! The order of steps: nothing is made before what it needs, nothing removed before what needs it is gone.

use crate::{
    journal::{Phase, State},
    plan::{Action, Plan},
    registry::Registry,
    schedule::order,
    stack::Stack,
    value::Address,
};
use std::collections::{BTreeMap, BTreeSet};

/// The two halves of a replacement; every other step has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Makes, changes, adopts or waits.
    Make,
    /// Removes this incarnation.
    Remove(String),
}

pub(crate) type Key = (Address, Part);
pub(crate) type Edges = BTreeMap<Key, BTreeSet<Key>>;

/// What each part of `plan` waits for.
pub(crate) fn edges(plan: &Plan, stack: &Stack, state: &State, registry: &Registry) -> Edges {
    let parts = parts(plan);
    let in_the_way = in_the_way(plan, stack, state, registry);
    let wait_for = |(way, moving)| wait_for(plan, stack, state, &parts, way, moving);
    let nothing = BTreeSet::new();
    // What moves off a thing should have moved before the thing goes; where that is a circle, the thing goes first.
    let all = [Moving::All, Moving::OffKept, Moving::None];
    let wishes = [&in_the_way, &nothing].into_iter().flat_map(|way| all.map(|moving| (way, moving)));
    wishes
        .map(wait_for)
        .find(|edges| order(edges).is_ok())
        .unwrap_or_else(|| wait_for((&nothing, Moving::None)))
}

fn parts(plan: &Plan) -> BTreeSet<Key> {
    let mut out = BTreeSet::new();
    for step in &plan.steps {
        let removes = step.action.removes() || step.action == Action::Forget;
        if let (true, Some(instance)) = (removes, &step.instance) {
            out.insert((step.address.clone(), Part::Remove(instance.clone())));
        }
        if !step.leftover && !matches!(step.action, Action::Delete | Action::Forget) {
            out.insert((step.address.clone(), Part::Make));
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Moving {
    All,
    OffKept,
    None,
}

/// Incarnations that were replaced and have to go before the next is made: they are half gone, or have its name.
fn in_the_way(plan: &Plan, stack: &Stack, state: &State, registry: &Registry) -> BTreeSet<Key> {
    let mut out = BTreeSet::new();
    for (address, record) in state.leftovers.iter().flat_map(|(a, all)| all.iter().map(move |r| (a, r))) {
        let Some(node) = stack.nodes().get(address) else { continue };
        let identity = registry.get(node.kind).map_or(&[][..], |k| k.recovery().identity());
        let had = record.request.spec.as_json();
        let generated = |f: &&str| node.spec[*f].get("$generated").is_some();
        // As the plan knows it: under which parent it is may be a reference in the stack.
        let anew = plan.step(address).filter(|s| s.action == Action::Create || s.action.replaces());
        let same = !identity.is_empty()
            && !identity.iter().any(generated)
            && anew.is_some_and(|s| identity.iter().all(|f| s.wanted.as_json()[*f] == had[*f]));
        if same || record.phase == Phase::Deleting {
            out.insert((address.clone(), Part::Remove(record.instance.clone())));
        }
    }
    out
}

/// The steps that make what the resource at `address` needs. What has no step of its own passes on what it needs.
fn needs(address: &Address, stack: &Stack, parts: &BTreeSet<Key>) -> BTreeSet<Key> {
    let after = |a: &Address| stack.nodes().get(a).into_iter().flat_map(|n| &n.after);
    let (mut out, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<&Address> = after(address).collect();
    while let Some(needed) = open.pop() {
        let step = (needed.clone(), Part::Make);
        if parts.contains(&step) {
            out.insert(step);
        } else if seen.insert(needed) {
            open.extend(after(needed));
        }
    }
    out
}

fn wait_for(
    plan: &Plan,
    stack: &Stack,
    state: &State,
    parts: &BTreeSet<Key>,
    in_the_way: &BTreeSet<Key>,
    moving: Moving,
) -> Edges {
    let steps = plan.by_address();
    let action = |a: &Address| steps.get(a).map(|s| s.action);
    let make = |a: &Address| (a.clone(), Part::Make);
    let after = |a: &Address| stack.nodes().get(a).map(|n| n.after.clone()).unwrap_or_default();
    let needs = |a: &Address| needs(a, stack, parts);
    let goes_first = |a: &Address| action(a) == Some(Action::ReplaceDeleteFirst);
    let after_a_removal = |a: &Address| goes_first(a) || stack.below(a).any(goes_first);
    let mut out = Edges::new();
    for key in parts {
        let (address, part) = key;
        let delete_first = goes_first(address);
        let mut waits = BTreeSet::new();
        match part {
            Part::Make => {
                waits.extend(needs(address));
                if action(address) == Some(Action::Create) || action(address).is_some_and(Action::replaces) {
                    waits.extend(in_the_way.iter().filter(|(a, _)| a == address).cloned());
                }
                if delete_first {
                    waits.extend(parts.iter().filter(|(a, p)| a == address && *p != Part::Make).cloned());
                }
            }
            Part::Remove(instance) => {
                let current = state.records.get(address).is_some_and(|r| r.instance == *instance);
                if !(in_the_way.contains(key) || current && delete_first) {
                    waits.insert(make(address));
                }
                for (dependent, record) in
                    state.incarnations().filter(|(_, r)| r.request.after.contains(address))
                {
                    waits.insert((dependent.clone(), Part::Remove(record.instance.clone())));
                    let comes_back = delete_first && after(dependent).contains(address);
                    let wanted = match moving {
                        Moving::All => !comes_back,
                        Moving::OffKept => !delete_first,
                        Moving::None => false,
                    };
                    // What is in the way cannot wait for what is made after it.
                    if wanted && !goes_first(dependent) && !in_the_way.contains(key) {
                        waits.insert(make(dependent));
                    }
                }
                if current && delete_first {
                    // Whether it has to go at all may depend on what these turn out to be; but not those that are made
                    // after something has gone, which may be waiting for this one to go.
                    let settled = needs(address).into_iter();
                    waits.extend(settled.filter(|(a, _)| !after_a_removal(a)));
                }
            }
        }
        waits.retain(|w| parts.contains(w) && w != key);
        out.insert(key.clone(), waits);
    }
    out
}
