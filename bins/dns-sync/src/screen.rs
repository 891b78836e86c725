//! What people and programs see: reports and documents on standard output, what is wrong on standard error.

use crate::cli::Global;
use causeway_settings::Mistakes;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// The width that mistakes are shown in, as they also end in logs.
const WIDTH: usize = 100;

pub(crate) struct Screen {
    json: bool,
    quiet: bool,
}

impl Screen {
    pub(crate) fn new(global: &Global) -> Self {
        if global.verbose {
            let filter =
                tracing_subscriber::EnvFilter::new("info,causeway_dns=debug,causeway_dns_sync=debug");
            // An error means that there is a subscriber.
            let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
        }
        Screen { json: global.json, quiet: global.quiet }
    }

    /// Whether silence is wanted where there is nothing to tell.
    pub(crate) fn quiet(&self) -> bool {
        self.quiet
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

    pub(crate) fn mistakes(&self, mistakes: &Mistakes) {
        let colour = std::io::stderr().is_terminal();
        let _ = writeln!(std::io::stderr(), "{}", mistakes.render(WIDTH, colour));
    }
}
