//! What people see besides reports: how far a publish is, where somebody looks on, and what was found in a folder.

use crate::cli::Global;
use causeway_docs_publish::{
    check::{Finding, RULES},
    progress::Event,
};
use causeway_ending::screen;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

/// How many findings of a rule are shown.
const MOST_OF_A_RULE: usize = 20;

pub(crate) struct Screen {
    plain: screen::Screen,
    bar: ProgressBar,
    sent: AtomicU64,
}

impl Deref for Screen {
    type Target = screen::Screen;

    fn deref(&self) -> &screen::Screen {
        &self.plain
    }
}

impl Screen {
    pub(crate) fn new(global: &Global) -> Self {
        if global.verbose {
            screen::log("info,causeway_docs_publish=debug");
        }
        let target = match global.json || global.quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} objects, {msg}") {
            bar.set_style(style);
        }
        let plain = screen::Screen { json: global.json, quiet: global.quiet };
        Screen { plain, bar, sent: AtomicU64::new(0) }
    }

    /// How far a publish is.
    pub(crate) fn watch(&self, event: Event) {
        match event {
            Event::Begin { objects, .. } => self.bar.set_length(objects as u64),
            Event::Made { bytes } => {
                self.bar.inc(1);
                let sent = self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
                self.bar.set_message(format!("{} sent", HumanBytes(sent)));
            }
            Event::Proving => self.bar.set_message("looking over the bucket"),
            Event::Switched => self.bar.set_message("visitors get it"),
            Event::Invalidating => self.bar.set_message("waiting for an invalidation"),
            Event::Deploying => self.bar.set_message("waiting for the distribution"),
            Event::Verifying => self.bar.set_message("asking the edge"),
        }
    }

    /// From now on lines are written where the bar was.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// What was found in a folder: of each rule the first few.
    pub(crate) fn findings(&self, found: &[Finding]) {
        for rule in RULES {
            let of: Vec<&Finding> = found.iter().filter(|finding| finding.rule == rule).collect();
            for one in of.iter().take(MOST_OF_A_RULE) {
                let word = if one.refuses { "refused" } else { "note" };
                self.warn(word, &format!("{}: {} ({rule})", one.path, one.message));
            }
            if of.len() > MOST_OF_A_RULE {
                self.warn("note", &format!("and {} more ({rule})", of.len() - MOST_OF_A_RULE));
            }
        }
    }
}
