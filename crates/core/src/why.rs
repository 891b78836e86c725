//! Why a plan does what it does to one resource: by field, with what it comes from.

use crate::{
    diff::{self, Change, FieldChange},
    engine::Planned,
    estimate::{Estimate, Expected},
    plan::{Action, Step},
    registry::Registry,
    undo::Undo,
    value::Address,
};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// Why a resource is treated as it is.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Why {
    /// Which resource.
    pub address: Address,
    /// Its kind.
    pub kind: String,
    /// What is done to it.
    pub action: Action,
    /// The rule that decided it.
    pub rule: String,
    /// The fields that differ; for a create, all that are wanted.
    pub fields: Vec<FieldWhy>,
    /// Whether that can be taken back; none where the cloud is not touched.
    pub undo: Option<Undo>,
    /// When it is expected to run, and how long; a replacement is in here twice.
    pub expected: Vec<Expected>,
    /// What it waits for.
    pub after: BTreeSet<Address>,
    /// What waits for it.
    pub needed_by: BTreeSet<Address>,
    /// What is in the way, or worth knowing.
    pub notes: Vec<String>,
}

/// Why a field changes.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct FieldWhy {
    /// The field and how it differs.
    #[serde(rename = "field")]
    pub change: FieldChange,
    /// The rule by which it differs.
    pub rule: String,
    /// The outputs of other resources that it is made from; none where the configuration says it.
    pub inputs: Vec<Input>,
}

/// An output of another resource that a field is made from.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Input {
    /// The output: `network/vpc#vpc_id`.
    pub reference: String,
    /// Why it is not known before apply; none where it is known.
    pub unknown: Option<String>,
}

/// Why `planned` treats the resource at `address` as it does; none where neither the stack nor the plan has it.
pub fn why(planned: &Planned, estimate: &Estimate, registry: &Registry, address: &Address) -> Option<Why> {
    let node = planned.stack().nodes().get(address);
    let steps: Vec<&Step> = planned.plan.steps.iter().filter(|s| s.address == *address).collect();
    let step = planned.plan.step(address).or(steps.first().copied());
    let kind = step.map(|s| s.kind.clone()).or(node.map(|n| n.kind.to_owned()))?;
    let nodes = planned.stack().nodes().iter();
    let plan = &planned.plan;
    let said = plan.conflicts.iter().chain(&plan.notes).filter(|c| c.address == *address);
    let mut notes: Vec<String> = said.map(|c| c.why.clone()).collect();
    for left in steps.iter().filter(|s| s.leftover) {
        let instance = left.instance.as_deref().unwrap_or_default();
        let why = left.why.as_deref().unwrap_or("is not wanted any more");
        notes.push(format!("incarnation {instance} goes: {why}"));
    }
    Some(Why {
        address: address.clone(),
        action: step.map_or(Action::Keep, |s| s.action),
        rule: match plan.waits_for(address) {
            Some(away) => format!("nobody knows: {} cannot be reached", away.place),
            None => rule(step, node.is_some()),
        },
        fields: step.map_or_else(Vec::new, |s| fields(planned, registry, s)),
        undo: step.and_then(|s| s.undo.clone()),
        expected: estimate.steps.iter().filter(|s| s.address == *address).cloned().collect(),
        after: node.map(|n| n.after.clone()).unwrap_or_default(),
        needed_by: nodes.filter(|(_, n)| n.after.contains(address)).map(|(a, _)| a.clone()).collect(),
        notes,
        kind,
    })
}

fn rule(step: Option<&Step>, wanted: bool) -> String {
    let Some(step) = step else { return "it is as it is wanted".into() };
    let usual = match step.action {
        Action::Keep => "it is as it is wanted",
        Action::Create => "it is wanted, and nothing is there",
        Action::Update => "fields differ, and all of them can change in place",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "a field cannot change in place",
        Action::Delete if wanted => "an incarnation of it was replaced",
        Action::Delete => "it was made by this stack and is not wanted any more",
        Action::Adopt => "it is there already",
        Action::Wait => "it is not ours to make, and is not ready",
        Action::Forget => "it is recorded, and not there any more",
        Action::Record => "the cloud is as it is wanted; only what the journal keeps differs",
    };
    step.why.clone().unwrap_or_else(|| usual.to_owned())
}

fn fields(planned: &Planned, registry: &Registry, step: &Step) -> Vec<FieldWhy> {
    let node = planned.stack().nodes().get(&step.address);
    let replace = registry.get(&step.kind).map_or(&[][..], |k| k.replace());
    let record = planned.state.records.get(&step.address);
    let applied = record.map(|r| r.request.spec.as_json());
    let made = matches!(step.action, Action::Create | Action::Wait);
    let why = |change: &FieldChange| {
        let path = &change.path;
        let before = applied.and_then(|spec| diff::at(spec, path)).unwrap_or(&Json::Null);
        let mut rule = match &change.change {
            _ if made => "it is wanted".to_owned(),
            Change::Unknown { .. } => "it may differ; what is wanted is known only after apply".to_owned(),
            Change::Removed { .. } => "the last apply set it, and it is wanted no more".to_owned(),
            Change::Set { .. } if applied.is_none() => "what is there differs from what is wanted".to_owned(),
            Change::Set { .. } if record.is_some_and(|r| !r.pending.is_empty()) => {
                "the last change of it did not come to its end".to_owned()
            }
            Change::Set { to, .. } if to == before => {
                "it was changed since the last apply, not by us; what is wanted is the same".to_owned()
            }
            // What the cloud never shows back is null there.
            Change::Set { from, .. } if from == before || from.is_null() => {
                "another value is wanted than at the last apply".to_owned()
            }
            Change::Set { .. } => {
                "another value is wanted than at the last apply, and what is there is neither".to_owned()
            }
        };
        let inside = |field: &str| {
            let rest = path.strip_prefix(field);
            rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
        };
        if step.action.replaces() && replace.iter().any(|f| inside(f)) {
            rule.push_str("; it cannot change in place");
        }
        let mut references = BTreeSet::new();
        if let Some(written) = node.and_then(|n| diff::at(&n.spec, path)) {
            outputs_of(written, &mut references);
        }
        let inputs = references.into_iter().map(|reference| {
            let unknown = unknown(planned, registry, &change.change, &reference);
            Input { reference, unknown }
        });
        FieldWhy { rule, inputs: inputs.collect(), change: change.clone() }
    };
    step.diff.changes.iter().map(why).collect()
}

/// Every output that `json` refers to.
fn outputs_of(json: &Json, out: &mut BTreeSet<String>) {
    match json {
        Json::Object(m) => {
            out.extend(m.get("$ref").and_then(Json::as_str).map(str::to_owned));
            m.values().for_each(|v| outputs_of(v, out));
        }
        Json::Array(a) => a.iter().for_each(|v| outputs_of(v, out)),
        _ => {}
    }
}

/// Why `reference` is not known before apply, where it is still in what is wanted.
fn unknown(planned: &Planned, registry: &Registry, change: &Change, reference: &str) -> Option<String> {
    let (Change::Unknown { to, .. } | Change::Set { to, .. }) = change else { return None };
    let mut left = BTreeSet::new();
    outputs_of(to, &mut left);
    if !left.contains(reference) {
        return None;
    }
    let (from, output) = reference.split_once('#')?;
    let address = Address::from(from);
    let Some(step) = planned.plan.step(&address) else {
        return Some(format!("`{from}` stays as it is, and tells no `{output}` yet"));
    };
    let because = step.why.as_ref().map_or_else(String::new, |w| format!(": {w}"));
    let first = output.split('/').next().unwrap_or_default();
    let moves = registry.get(&step.kind).is_some_and(|k| k.moves().contains(&first));
    Some(match step.action {
        Action::Create => format!("`{from}` is to be created{because}"),
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => {
            format!("`{from}` is to be replaced{because}")
        }
        Action::Update if moves => format!("`{from}` is to be changed, which changes its `{output}`"),
        Action::Wait => format!("`{from}` is not ours to make, and is waited for"),
        _ => format!("`{from}` is not ready, or tells no `{output}` yet"),
    })
}
