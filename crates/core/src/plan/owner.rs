//! Whose something is, and how that is told.

use crate::{
    claim::ClaimedBy,
    diff::{Change, Diff},
    journal::{Record, State},
    registry::{AnyKind, AnyLive},
    resource::{Owner, Tags},
    stack::{Node, Stack},
    value::Address,
};
use serde_json::{Value as Json, json};

/// Writes the stack's tags into a spec that has tags.
pub(super) fn share_tags(spec: &mut Json, stack: &Stack) {
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
pub(super) fn claimed_alone(address: &Address, kind: &dyn AnyKind, live: &AnyLive) -> String {
    let ClaimedBy::Id(field) = kind.claimed_by() else { return String::new() };
    match live.outputs.get(field).and_then(Json::as_str) {
        Some(id) if live.owner == Owner::Nobody => {
            format!("; `\"{address}\" = \"{id}\"` under [adopt] takes over this one alone")
        }
        _ => String::new(),
    }
}

/// Whether a field is only our own mark.
pub(super) fn is_ours(path: &str) -> bool {
    [Tags::STACK, Tags::ADDRESS, Tags::INSTANCE].iter().any(|tag| path.strip_prefix("tags.") == Some(tag))
}

/// What something is called that has no claim of its own.
pub(super) fn what_it_is(kind: &dyn AnyKind, live: &AnyLive) -> String {
    let fields = kind.recovery().identity().iter().filter_map(|f| live.spec.get(f));
    let texts = fields.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    texts.collect::<Vec<_>>().join(" ")
}

/// Why something that is there cannot be taken over, and what to set so that it can.
pub(super) fn not_as_it_is(node: &Node, diff: &Diff, field: &str) -> String {
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
