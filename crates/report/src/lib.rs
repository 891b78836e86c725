//! A plan, and what came of it, as one HTML page that stands alone: nothing is loaded from elsewhere, so it can be
//! kept, mailed and opened from a disk. It holds what the plan holds, and so no secrets.
//!
//! All text is escaped where it is written, by [`maud`]; and a policy in the page lets nothing run but its own script.

mod gantt;
mod page;
mod steps;

use causeway_core::{
    apply, estimate::Estimate, graph::Graph, guard::Refusal, plan::Plan, timeline::Timeline,
};
use std::time::Duration;

/// What the page tells.
pub struct Page<'a> {
    /// Where: the account and the region, in words.
    pub place: &'a str,
    /// What made the page, with its version.
    pub made_by: &'a str,
    /// When.
    pub at: jiff::Timestamp,
    /// What will be done, or was to be done.
    pub plan: &'a Plan,
    /// How long that takes.
    pub estimate: &'a Estimate,
    /// What speaks against it.
    pub refusals: &'a [Refusal],
    /// What waits for what.
    pub graph: &'a Graph,
    /// What came of it; none before it was applied.
    pub run: Option<Run<'a>>,
}

/// What came of a plan.
pub struct Run<'a> {
    /// What was done and what was not.
    pub report: &'a apply::Report,
    /// How long it took.
    pub took: Duration,
    /// When everything happened, as the journal has it; none where nothing had to be written.
    pub timeline: Option<&'a Timeline>,
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        page::html(self).into_string()
    }
}
