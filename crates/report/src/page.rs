//! The page around its parts.

use crate::{Page, Run, gantt, steps};
use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_core::{
    plan::{Action, Plan},
    render,
    undo::Mark,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(crate) fn html(page: &Page<'_>) -> Markup {
    let title = match &page.run {
        None => format!("Plan for {}", page.plan.stack),
        Some(_) => format!("Apply of {}", page.plan.stack),
    };
    // Nothing but our own script runs, even if something got where it should not be.
    let digest = STANDARD.encode(Sha256::digest(SCRIPT.as_bytes()));
    let policy = format!("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#steps" { "Skip to the steps" }
                header {
                    div.wide {
                        p.over { (if page.run.is_some() { "Apply" } else { "Plan" }) }
                        h1 { (page.plan.stack) }
                        p.under { (page.place) " · " (page.at.strftime("%Y-%m-%d %H:%M UTC")) " · " (page.made_by) }
                        nav aria-label="Sections" {
                            @for (id, name) in sections(page) { a href={ "#" (id) } { (name) } }
                        }
                    }
                }
                main.wide {
                    (summary(page))
                    @if let Some(run) = &page.run { (outcome(page, run)) }
                    (guards(page))
                    (steps::section(page))
                    (graph(page))
                    (gantt::section(page))
                }
                footer.wide {
                    p { "Plan " code { (page.plan.digest()) } }
                    p { "Made after entry " (page.plan.after) " of the journal. Secrets are neither in the plan nor on this page." }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn sections(page: &Page<'_>) -> Vec<(&'static str, &'static str)> {
    let mut out = vec![("summary", "Summary")];
    if page.run.is_some() {
        out.push(("outcome", "Outcome"));
    }
    out.extend([("guards", "Guards"), ("steps", "Steps"), ("graph", "Graph"), ("timeline", "Timeline")]);
    out
}

fn summary(page: &Page<'_>) -> Markup {
    let counts = page.plan.counts();
    let count = |actions: &[Action]| actions.iter().filter_map(|a| counts.get(a)).sum::<usize>();
    let tiles = [
        ("create", "+", count(&[Action::Create, Action::Adopt]), "to create or adopt"),
        ("update", "~", count(&[Action::Update]), "to change"),
        ("replace", "±", count(&[Action::ReplaceCreateFirst, Action::ReplaceDeleteFirst]), "to replace"),
        ("delete", "−", count(&[Action::Delete]), "to delete"),
    ];
    let marked =
        |mark| page.plan.steps.iter().filter(|s| s.undo.as_ref().is_some_and(|u| u.mark == mark)).count();
    let (lost, partly) = (marked(Mark::Irreversible), marked(Mark::Compensable));
    html! {
        section #summary aria-labelledby="h-summary" {
            h2 #h-summary { "Summary" }
            p.lead { (render::summary(page.plan)) }
            div.tiles {
                @for (class, sign, n, label) in tiles {
                    div.tile.(class).none[n == 0] {
                        span.figure { span.sign aria-hidden="true" { (sign) } (n) }
                        span.label { (label) }
                    }
                }
                div.tile.time {
                    span.figure { (render::duration(render::rounded(page.estimate.p50()))) }
                    span.label { "usually; 9 of 10 runs take less than " (render::duration(render::rounded(page.estimate.p90()))) }
                }
                div.tile.lost[lost > 0] {
                    span.figure { (lost) }
                    span.label {
                        "cannot be taken back"
                        @if partly > 0 { ", " (partly) " only in part" }
                    }
                }
            }
            @if page.plan.from_journal {
                p.note { "This plan was made without looking at the cloud: what is there is what the journal says." }
            }
            @for away in &page.plan.away { p.note { strong { (away) } " (" (away.why) ")" } }
            @for note in &page.plan.notes { p.note { code { (note.address) } " " (note.why) } }
        }
    }
}

fn outcome(page: &Page<'_>, run: &Run<'_>) -> Markup {
    let report = run.report;
    html! {
        section #outcome aria-labelledby="h-outcome" {
            h2 #h-outcome { "Outcome" }
            @if report.is_complete() {
                p.verdict.good { strong { "Everything was done" } " in " (render::duration(run.took)) "." }
            } @else {
                p.verdict.bad {
                    strong { "Not finished" } " after " (render::duration(run.took)) ": "
                    (report.done.len()) " done, " (report.failed.len()) " failed, " (report.skipped.len())
                    " not tried. Applying again is safe."
                }
                ul.reasons {
                    @for (address, why) in &report.failed {
                        li { (linked(page.plan, &address.0)) " failed" pre { (why) } }
                    }
                    @for (address, why) in &report.skipped {
                        li { (linked(page.plan, &address.0)) " was not tried: " (why) }
                    }
                }
            }
        }
    }
}

fn guards(page: &Page<'_>) -> Markup {
    let about = "what is in the way, data, protection, open ports, and how much may be removed at once";
    html! {
        section #guards aria-labelledby="h-guards" {
            h2 #h-guards { "Guards" }
            @if page.refusals.is_empty() {
                p.verdict.good { strong { "Nothing speaks against it." } " Looked at: " (about) "." }
            } @else {
                p.verdict.bad { strong { "This would be refused." } " " (page.refusals.len()) " reasons:" }
                ul.reasons {
                    @for refusal in page.refusals {
                        li {
                            span.rule { (refusal.rule) }
                            @if let Some(address) = &refusal.address { " " (linked(page.plan, &address.0)) }
                            " " (refusal.why)
                        }
                    }
                }
            }
        }
    }
}

fn graph(page: &Page<'_>) -> Markup {
    let link = |address: &causeway_core::Address| steps::id(page.plan, &address.0).map(|id| format!("#{id}"));
    html! {
        section #graph aria-labelledby="h-graph" {
            h2 #h-graph { "Graph" }
            p.hint {
                "What is made first stands at the left; an arrow leads to what waits for it. "
                "Orange is the critical path. A resource leads to its step."
            }
            div.bar {
                button type="button" data-zoom="fit" aria-pressed="true" { "Fit" }
                button type="button" data-zoom="full" aria-pressed="false" { "Full size" }
            }
            div.canvas.fit tabindex="0" role="region" aria-label="Graph, can be scrolled" {
                // Escapes its own texts.
                (PreEscaped(page.graph.svg(&link)))
            }
        }
    }
}

/// An address that leads to its step, if it has one.
pub(crate) fn linked(plan: &Plan, address: &str) -> Markup {
    html! {
        @match steps::id(plan, address) {
            Some(id) => { a href={ "#" (id) } { code { (address) } } }
            None => { code { (address) } }
        }
    }
}
