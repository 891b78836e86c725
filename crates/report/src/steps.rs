//! The steps, each to unfold, with what changes in every field.

use crate::Page;
use causeway_core::{
    diff::{Change, FieldChange},
    estimate::Expected,
    plan::{Action, Plan, Step},
    render,
    undo::{self, Mark},
};
use maud::{Markup, html};
use std::{collections::BTreeMap, time::Duration};

/// The anchor of the step that does something to `address`.
pub(crate) fn id(plan: &Plan, address: &str) -> Option<String> {
    let is = |s: &Step| s.address.0 == address;
    let first = plan.steps.iter().position(|s| is(s) && !s.leftover);
    first.or_else(|| plan.steps.iter().position(is)).map(|i| format!("step-{i}"))
}

/// The class of an action, which decides its colour.
pub(crate) fn class(action: Action) -> &'static str {
    match action {
        Action::Create | Action::Adopt => "create",
        Action::Update => "update",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "replace",
        Action::Delete => "delete",
        Action::Wait => "wait",
        Action::Keep | Action::Forget | Action::Record => "keep",
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Adopt => "adopt",
        Action::Update => "change",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "replace",
        Action::Delete => "delete",
        Action::Wait => "wait for",
        Action::Keep => "keep",
        Action::Forget => "forget",
        Action::Record => "record",
    }
}

pub(crate) fn section(page: &Page<'_>) -> Markup {
    let steps = &page.plan.steps;
    let mut classes: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for step in steps {
        let name = if step.action == Action::Adopt { "create" } else { word(step.action) };
        classes.entry(class(step.action)).or_insert((name, 0)).1 += 1;
    }
    let mut expected: BTreeMap<&str, Vec<&Expected>> = BTreeMap::new();
    for e in &page.estimate.steps {
        expected.entry(e.address.0.as_str()).or_default().push(e);
    }
    html! {
        section #steps aria-labelledby="h-steps" {
            h2 #h-steps { "Steps" }
            @if steps.is_empty() {
                p.verdict.good { "Nothing to do: all " (page.plan.unchanged) " resources are as wanted." }
            } @else {
                div.bar role="search" {
                    label for="find" { "Find" }
                    input #find type="search" placeholder="address, kind or field" autocomplete="off";
                    @for (class, (name, n)) in &classes {
                        button.chip.(class) type="button" data-only=(class) aria-pressed="true" { (name) " " (n) }
                    }
                    span.grow {}
                    button type="button" data-fold="open" { "Unfold all" }
                    button type="button" data-fold="shut" { "Fold all" }
                }
                p #count.hint aria-live="polite" { (steps.len()) " of " (steps.len()) " steps" }
                @for (i, step) in steps.iter().enumerate() {
                    (one(i, step, expected.get(step.address.0.as_str()).map_or(&[], Vec::as_slice)))
                }
            }
        }
    }
}

fn one(i: usize, step: &Step, expected: &[&Expected]) -> Markup {
    let removes = |e: &&&Expected| matches!(e.action, Action::Delete | Action::Forget);
    let own = expected.iter().find(|e| removes(e) == (step.leftover || step.action == Action::Delete));
    let own = own.or(expected.first());
    let text = searched(step);
    html! {
        details.step.(class(step.action)) id={ "step-" (i) } data-class=(class(step.action)) data-text=(text) {
            summary {
                span.sign title=(word(step.action)) {
                    span aria-hidden="true" { (render::sign(step.action)) }
                    span.unseen { (word(step.action)) }
                }
                span.address { (step.address) }
                span.kind { (step.kind) }
                span.badges {
                    @if step.protect { span.badge { "protected" } }
                    @if let Some(undo) = step.undo.as_ref().filter(|u| u.mark != Mark::Reversible) {
                        span.badge.(undo::word(undo.mark)) { (undo::word(undo.mark)) }
                    }
                    @if own.is_some_and(|e| e.critical) { span.badge.critical { "critical path" } }
                    @if let Some(e) = own.filter(|e| e.p50_ms > 0) { span.takes { (said(e.p50_ms)) } }
                }
            }
            div.body {
                dl {
                    @if let Some(why) = &step.why { dt { "Why" } dd { (why) } }
                    @if let Some(undo) = &step.undo { dt { "Undo" } dd { (undo::word(undo.mark)) ": " (undo.why) } }
                    @for e in expected {
                        dt { @if expected.len() > 1 { (word(e.action)) } @else { "Time" } }
                        dd {
                            "begins after " (said(e.start_ms)) ", takes " (said(e.p50_ms)) ", 9 times of 10 at most "
                            (said(e.p90_ms))
                            @if e.seen == 0 { " (as the kind says)" } @else { " (the journal knows " (e.seen) ")" }
                        }
                    }
                    dt { "Place" } dd { (step.place) }
                    @if let Some(instance) = &step.instance { dt { "Incarnation" } dd { code { (instance) } } }
                }
                @if !step.diff.changes.is_empty() { (fields(step)) }
            }
        }
    }
}

fn fields(step: &Step) -> Markup {
    let new = matches!(step.action, Action::Create | Action::Wait);
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th scope="col" { "Field" }
                        @if !new { th scope="col" { "Is" } }
                        th scope="col" { (if new { "Wanted" } else { "Becomes" }) }
                    }
                }
                tbody { @for change in &step.diff.changes { (field(change, new)) } }
            }
        }
    }
}

fn field(change: &FieldChange, new: bool) -> Markup {
    let (from, to) = match &change.change {
        Change::Set { from, to } | Change::Unknown { from, to } => (from, Some(to)),
        Change::Removed { from } => (from, None),
    };
    html! {
        tr {
            th scope="row" { (change.path) }
            @if !new { td.from { (render::whole(from)) } }
            td.to { @match to { Some(to) => (render::whole(to)), None => "(default)" } }
        }
    }
}

/// What a search looks at.
fn searched(step: &Step) -> String {
    let fields: Vec<&str> = step.diff.changes.iter().map(|c| c.path.as_str()).collect();
    let mark = step.undo.as_ref().map_or("", |u| undo::word(u.mark));
    format!("{} {} {} {mark} {}", step.address, step.kind, word(step.action), fields.join(" ")).to_lowercase()
}

pub(crate) fn said(ms: u64) -> String {
    render::duration(render::rounded(Duration::from_millis(ms)))
}
