//! Plans as text for people. Plain: the first character of a line says what it is about, and programs that have a
//! terminal colour by it.

use crate::{
    diff::{Change, FieldChange},
    guard::Refusal,
    plan::{Action, Plan, Step},
    value::members,
};
use serde_json::Value as Json;
use std::{fmt::Write, time::Duration};

/// How wide a value may be before it is cut.
const WIDE: usize = 90;

/// `plan` as text. `detail` shows the fields of what is created, too.
pub fn plan(plan: &Plan, detail: bool) -> String {
    let mut out = String::new();
    for step in &plan.steps {
        line(&mut out, step, detail);
    }
    for note in &plan.notes {
        let _ = writeln!(out, "! {}  {}", note.address, note.why);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(plan));
    out.push('\n');
    out
}

/// One line: how many of what.
pub fn summary(plan: &Plan) -> String {
    let counts = plan.counts();
    let count = |actions: &[Action]| actions.iter().filter_map(|a| counts.get(a)).sum::<usize>();
    let parts: Vec<String> = [
        (count(&[Action::Create]), "to create"),
        (count(&[Action::Adopt]), "to adopt"),
        (count(&[Action::Update]), "to change"),
        (count(&[Action::ReplaceCreateFirst, Action::ReplaceDeleteFirst]), "to replace"),
        (count(&[Action::Delete]), "to delete"),
        (count(&[Action::Wait]), "to wait for"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    if plan.is_empty() && parts.is_empty() {
        return format!("Nothing to do: {} resources are as wanted.", plan.unchanged);
    }
    format!("Plan: {}, {} unchanged.", parts.join(", "), plan.unchanged)
}

/// What speaks against a plan, one line each.
pub fn refusals(refusals: &[Refusal]) -> String {
    let mut out = String::new();
    for r in refusals {
        let about = r.address.as_ref().map_or_else(String::new, |a| format!("{a}  "));
        let _ = writeln!(out, "! {about}{} [{}]", r.why, r.rule);
    }
    out
}

/// The sign of an action, as it stands at the start of its line.
pub fn sign(action: Action) -> &'static str {
    match action {
        Action::Keep => " ",
        Action::Create => "+",
        Action::Update => "~",
        Action::ReplaceCreateFirst => "±",
        Action::ReplaceDeleteFirst => "∓",
        Action::Delete => "-",
        Action::Adopt => "<",
        Action::Wait => "?",
        Action::Forget | Action::Record => ".",
    }
}

/// What an action has done once it is done: `created`.
pub fn deed(action: Action) -> &'static str {
    match action {
        Action::Keep => "kept",
        Action::Create => "created",
        Action::Update => "changed",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "replaced",
        Action::Delete => "deleted",
        Action::Adopt => "adopted",
        Action::Wait => "waited for",
        Action::Forget => "forgotten",
        Action::Record => "recorded",
    }
}

fn line(out: &mut String, step: &Step, detail: bool) {
    let _ = write!(out, "{} {}", sign(step.action), step.address);
    let _ = write!(out, "  {}", step.kind);
    let _ = writeln!(out, "{}", step.why.as_ref().map_or_else(String::new, |w| format!("  ({w})")));
    let quiet = matches!(step.action, Action::Create | Action::Wait) && !detail;
    if quiet {
        return;
    }
    for change in step.diff.changes.iter().filter(|c| !hidden(step, c)) {
        let _ = writeln!(out, "    {}: {}", change.path, changed(change, step.action));
    }
}

/// Ownership tags are ours to keep; they are worth a line only where somebody changed them.
fn hidden(step: &Step, change: &FieldChange) -> bool {
    change.path.starts_with("tags.causeway:") && matches!(step.action, Action::Create | Action::Adopt)
}

fn changed(change: &FieldChange, action: Action) -> String {
    match &change.change {
        Change::Set { to, .. } if matches!(action, Action::Create | Action::Wait) => value(to),
        Change::Set { from, to } => format!("{} -> {}", value(from), value(to)),
        Change::Removed { from } => format!("{} -> (default)", value(from)),
        Change::Unknown { to, .. } if matches!(action, Action::Create | Action::Wait) => value(to),
        Change::Unknown { from, to } => format!("{} -> {}", value(from), value(to)),
    }
}

/// A value in a few characters: references as `(known after network/vpc)`, secrets as `(secret)`.
pub fn value(json: &Json) -> String {
    let text = short(json);
    if text.chars().count() <= WIDE {
        return text;
    }
    let cut: String = text.chars().take(WIDE).collect();
    format!("{cut}…")
}

fn short(json: &Json) -> String {
    match json {
        Json::Null => "(none)".into(),
        Json::String(s) => format!("{s:?}"),
        Json::Array(a) => list(a),
        Json::Object(m) => {
            if let Some(r) = m.get("$ref").and_then(Json::as_str) {
                let from = r.split_once('#').map_or(r, |(a, _)| a);
                return format!("(known after {from})");
            }
            if let Some(parts) = m.get("$text").and_then(Json::as_array) {
                let part = |p: &Json| p.as_str().map_or_else(|| short(p), str::to_owned);
                return format!("\"{}\"", parts.iter().map(part).collect::<String>());
            }
            if m.contains_key("$sealed") {
                return "(secret)".into();
            }
            if let Some(prefix) = m.get("$generated").and_then(Json::as_str) {
                return format!("\"{prefix}-…\"");
            }
            if let Some(items) = members(json) {
                return list(items);
            }
            let fields: Vec<String> =
                m.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| format!("{k}: {}", short(v))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

fn list(items: &[Json]) -> String {
    format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", "))
}

/// A duration as people say it: `45s`, `12m 5s`, `1h 20m`.
pub fn duration(time: Duration) -> String {
    let s = time.as_secs();
    match (s / 3600, s % 3600 / 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}
