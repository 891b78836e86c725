//! What people and programs see: reports and documents on standard output, what is wrong on standard error.

use causeway_settings::Mistakes;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// The width that mistakes are shown in, as they also end in logs.
const WIDTH: usize = 100;

/// Where a program tells what it did.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Whether one document is wanted in place of a report.
    pub json: bool,
    /// Whether silence is wanted where there is nothing to tell.
    pub quiet: bool,
}

/// Writes what the program and its libraries do on standard error, as `filter` says:
/// <https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html>.
pub fn log(filter: &str) {
    let filter = tracing_subscriber::EnvFilter::new(filter);
    // An error means that there is a subscriber.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init();
}

impl Screen {
    /// A line of the report.
    pub fn say(&self, line: &str) {
        if !self.json {
            // Whoever closed the pipe does not want to know more.
            let _ = writeln!(io::stdout(), "{}", line.trim_end());
        }
    }

    /// One document for programs.
    pub fn document<T: Serialize>(&self, document: &T) {
        if let (true, Ok(text)) = (self.json, serde_json::to_string(document)) {
            let _ = writeln!(io::stdout(), "{text}");
        }
    }

    /// What a command prints whatever was asked for, like a schema.
    pub fn raw(&self, text: &str) {
        let _ = write!(io::stdout(), "{text}");
    }

    /// Something that is wrong.
    pub fn warn(&self, word: &str, text: &str) {
        let _ = writeln!(io::stderr(), "{word}: {}", text.trim_end());
    }

    /// What is wrong with the configuration, with the lines that it is about.
    pub fn mistakes(&self, mistakes: &Mistakes) {
        let colour = io::stderr().is_terminal();
        let _ = writeln!(io::stderr(), "{}", mistakes.render(WIDTH, colour));
    }
}
