//! The flags.

use crate::commands;
use causeway_ending::Code;
use clap::{Args, Parser, Subcommand, error::ErrorKind};
use std::{path::PathBuf, process::ExitCode};

/// Keeps DNS records where load balancers are.
///
/// Exit codes: 0 done, or nothing to do; 2 there are changes (`plan --detailed-exitcode`); 64 flags or configuration are
/// wrong; 69 a source, a zone or the journal could not be reached: the rest was done; 100 something was not finished, or was
/// left for somebody to look at; 101 refused, nothing was changed.
#[derive(Debug, Parser)]
#[command(name = "dns-sync", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration.
    #[arg(short, long, global = true, value_name = "FILE", default_value = "dns-sync.toml")]
    pub(crate) file: PathBuf,
    /// Print one document for programs, and nothing else, to standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing where nothing changed and nothing is wrong.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say what is done inside, on standard error.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what `apply` would do. Changes nothing in a zone.
    Plan(commands::plan::Flags),
    /// Make the zone say what the sources say.
    Apply(commands::apply::Flags),
    /// As apply, and records that carry nobody's mark are taken over: they get a mark, and say what the sources say.
    Adopt(commands::apply::Flags),
    /// Apply again and again, until told to stop.
    Run(commands::run::Flags),
    /// Ask DNS whether it says what was applied: the zone's own servers, and resolvers of your choice.
    Verify(commands::verify::Flags),
    /// Take a run back, if nothing has changed since.
    Undo(commands::undo::Flags),
    /// Lead names elsewhere with their TTL lowered before, and have it back when that is seen. Goes on where it was ended.
    Move(commands::moving::Flags),
    /// Print what is ours in the zones, as the configuration would say it.
    Export(commands::export::Flags),
    /// Write a configuration to start from.
    Init,
    /// Print the JSON Schema of the configuration, or of the documents of `--json`.
    Schema(commands::schema::Flags),
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Plan(_) => "plan",
            Command::Apply(_) => "apply",
            Command::Adopt(_) => "adopt",
            Command::Run(_) => "run",
            Command::Verify(_) => "verify",
            Command::Undo(_) => "undo",
            Command::Move(_) => "move",
            Command::Export(_) => "export",
            Command::Init => "init",
            Command::Schema(_) => "schema",
        }
    }
}

/// Tells what clap found, with our exit codes.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    // Where standard output is gone there is nobody to tell.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Done.into(),
        _ => Code::Usage.into(),
    }
}
