//! What people and programs see: reports and documents on standard output, what is wrong on standard error, and how far a publish
//! is where somebody looks on.

use crate::cli::Global;
use causeway_docs_publish::{
    check::{Finding, RULES},
    progress::Event,
};
use causeway_settings::Mistakes;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::{
    io::{IsTerminal, Write},
    sync::atomic::{AtomicU64, Ordering},
};

/// The width that mistakes are shown in, as they also end in logs.
const WIDTH: usize = 100;

/// How many findings of a rule are shown.
const MOST_OF_A_RULE: usize = 20;

pub(crate) struct Screen {
    json: bool,
    quiet: bool,
    bar: ProgressBar,
    sent: AtomicU64,
}

impl Screen {
    pub(crate) fn new(global: &Global) -> Self {
        if global.verbose {
            let filter = tracing_subscriber::EnvFilter::new("info,causeway_docs_publish=debug");
            // An error means that there is a subscriber.
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
        }
        let target = match global.json || global.quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} objects, {msg}") {
            bar.set_style(style);
        }
        Screen { json: global.json, quiet: global.quiet, bar, sent: AtomicU64::new(0) }
    }

    /// Whether silence is wanted where there is nothing to tell.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet
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
            Event::Verifying => self.bar.set_message("asking the edge"),
        }
    }

    /// From now on lines are written where the bar was.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// A line of the report.
    pub(crate) fn say(&self, line: &str) {
        if !self.json {
            // Whoever closed the pipe does not want to know more.
            let _ = writeln!(std::io::stdout(), "{}", line.trim_end());
        }
    }

    /// One document for programs.
    pub(crate) fn document<T: Serialize>(&self, document: &T) {
        if let (true, Ok(text)) = (self.json, serde_json::to_string(document)) {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// What a command prints whatever was asked for, like a schema.
    pub(crate) fn raw(&self, text: &str) {
        let _ = write!(std::io::stdout(), "{text}");
    }

    /// Something that is wrong.
    pub(crate) fn warn(&self, word: &str, text: &str) {
        let _ = writeln!(std::io::stderr(), "{word}: {}", text.trim_end());
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

    pub(crate) fn mistakes(&self, mistakes: &Mistakes) {
        let colour = std::io::stderr().is_terminal();
        let _ = writeln!(std::io::stderr(), "{}", mistakes.render(WIDTH, colour));
    }
}
