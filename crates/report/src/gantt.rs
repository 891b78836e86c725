//! The run in time, before as estimated and after as it was.

use crate::{Page, steps};
use causeway_core::{
    history::{Outcome, What},
    plan::Plan,
    render,
};
use maud::{Markup, html};
use std::time::Duration;

const LABEL: f64 = 250.0;
const TRACK: f64 = 760.0;
const ROW: f64 = 20.0;
const HEAD: f64 = 26.0;
/// The longest that stands behind a bar.
const SAID: f64 = 90.0;

/// One row.
struct Bar<'a> {
    address: &'a str,
    class: &'static str,
    start: u64,
    end: u64,
    /// Nine of ten are over by then.
    late: u64,
    said: String,
    critical: bool,
}

pub(crate) fn section(page: &Page<'_>) -> Markup {
    let estimate = page.estimate;
    let done = page.run.as_ref().and_then(|run| run.timeline);
    html! {
        section #timeline aria-labelledby="h-timeline" {
            h2 #h-timeline { "Timeline" }
            @if let Some(timeline) = done {
                h3 { "As it was" }
                p.hint {
                    "From the journal: " (timeline.actor) " began at "
                    (timeline.at.strftime("%Y-%m-%d %H:%M:%S UTC")) ". Orange is what the end waited for. "
                    "What was only waited for leaves no trace there."
                }
                (chart(page.plan, "Timeline of the run", &bars_done(timeline)))
                h3 { "As it was estimated" }
            }
            @if estimate.p90_ms == 0 {
                p.hint { "Nothing in this plan takes time." }
            } @else {
                p.hint {
                    "Every step at its usual time, " (estimate.at_once) " at once; the thin line ends where 9 of 10 are done. "
                    "Orange is the critical path."
                }
                ul.facts {
                    li { "Takes " (render::taking(estimate)) "." }
                    @for shorter in render::shorter(estimate) { li { "Shorter: " (shorter.replace('`', "")) "." } }
                }
                (chart(page.plan, "Estimated timeline", &bars_expected(page)))
            }
        }
    }
}

fn bars_expected<'a>(page: &Page<'a>) -> Vec<Bar<'a>> {
    let steps = page.estimate.steps.iter();
    steps
        .map(|e| Bar {
            address: &e.address.0,
            class: steps::class(e.action),
            start: e.start_ms,
            end: e.start_ms + e.p50_ms,
            late: e.start_ms + e.p90_ms,
            said: steps::said(e.p50_ms),
            critical: e.critical,
        })
        .collect()
}

fn bars_done(timeline: &causeway_core::timeline::Timeline) -> Vec<Bar<'_>> {
    let class = |b: &causeway_core::timeline::Bar| match (&b.outcome, b.act) {
        (Outcome::Failed(_) | Outcome::Open, _) => "failed",
        (_, What::Create | What::Adopt) => "create",
        (_, What::Update) => "update",
        (_, What::Delete) => "delete",
        (_, What::Forget | What::Note) => "keep",
    };
    let said = |b: &causeway_core::timeline::Bar| {
        let took = match b.end_ms - b.start_ms {
            ms @ 0..1_000 => format!("{ms}ms"),
            ms => render::duration(Duration::from_millis(ms)),
        };
        match b.outcome {
            Outcome::Done => took,
            Outcome::Failed(_) => format!("failed after {took}"),
            Outcome::Open => "not finished".to_owned(),
        }
    };
    timeline
        .bars
        .iter()
        .map(|b| Bar {
            address: &b.address.0,
            class: class(b),
            start: b.start_ms,
            end: b.end_ms,
            late: b.end_ms,
            said: said(b),
            critical: b.critical,
        })
        .collect()
}

fn chart(plan: &Plan, name: &str, bars: &[Bar<'_>]) -> Markup {
    let whole = bars.iter().map(|b| b.end).max().unwrap_or_default().max(1);
    // Late ends may go beyond; what goes far beyond is cut off.
    let shown = bars.iter().map(|b| b.late).max().unwrap_or_default().clamp(whole, whole * 13 / 10);
    let x = |ms: u64| LABEL + TRACK * (ms.min(shown) as f64) / shown as f64;
    let height = HEAD + ROW * bars.len() as f64 + 6.0;
    let width = LABEL + TRACK + SAID;
    let step = tick(shown);
    let ticks: Vec<u64> = (0..).map(|n| n * step).take_while(|t| *t <= shown).collect();
    html! {
        div.canvas tabindex="0" role="region" aria-label={ (name) ", can be scrolled" } {
            svg.gantt viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height) role="group" aria-label=(name) {
                @for t in &ticks {
                    @let at = format!("{:.1}", x(*t));
                    line.grid x1=(at) x2=(at) y1=(HEAD - 6.0) y2=(height) {}
                    text.tick x=(at) y="14" text-anchor="middle" { (render::duration(Duration::from_millis(*t))) }
                }
                @for (i, bar) in bars.iter().enumerate() {
                    (row(plan, bar, HEAD + ROW * i as f64, &x))
                }
            }
        }
    }
}

fn row(plan: &Plan, bar: &Bar<'_>, y: f64, x: &dyn Fn(u64) -> f64) -> Markup {
    let (start, end, late) = (x(bar.start), x(bar.end), x(bar.late));
    let width = (end - start).max(2.5);
    let label = cut(bar.address, 38);
    let inner = html! {
        title { (bar.address) ": " (bar.said) }
        text.address x=(LABEL - 10.0) y=(y + 13.5) text-anchor="end" { (label) }
        @if late > end + 1.0 {
            line.late x1=(format!("{end:.1}")) x2=(format!("{late:.1}")) y1=(y + 9.5) y2=(y + 9.5) {}
        }
        rect.(bar.class).hot[bar.critical] x=(format!("{start:.1}")) y=(y + 3.0) width=(format!("{width:.1}")) height="13" rx="3" {}
        text.said x=(format!("{:.1}", late.max(start + width) + 6.0)) y=(y + 13.5) { (bar.said) }
    };
    html! {
        @match steps::id(plan, bar.address) {
            Some(id) => a href={ "#" (id) } { g { (inner) } },
            None => g { (inner) },
        }
    }
}

/// A round time between two lines of the grid, so that there are four to ten.
fn tick(whole: u64) -> u64 {
    const ROUND: [u64; 18] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 604_800];
    let seconds = ROUND.into_iter().find(|s| whole / (s * 1_000) <= 9).unwrap_or(604_800);
    seconds * 1_000
}

fn cut(text: &str, room: usize) -> String {
    let count = text.chars().count();
    if count <= room {
        return text.to_owned();
    }
    // The end tells more than the scope.
    format!("…{}", text.chars().skip(count + 1 - room).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_neither_dense_nor_empty() {
        for seconds in [1, 7, 45, 100, 840, 5_000, 90_000] {
            let lines = seconds * 1_000 / tick(seconds * 1_000);
            assert!((1..=9).contains(&lines), "{seconds}: {lines}");
        }
    }

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(cut("a/b", 5), "a/b");
        assert_eq!(cut("network/subnet", 7), "…subnet");
    }
}
