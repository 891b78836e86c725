//! The flags.

use crate::commands;
use causeway_ending::Code;
use clap::{Args, Parser, Subcommand, error::ErrorKind};
use std::{path::PathBuf, process::ExitCode};

/// Publishes a static site behind CloudFront all at once, and takes it back in a second.
///
/// Exit codes: 0 done, or nothing to do; 2 there are changes (`diff --detailed-exitcode`); 64 flags, configuration or the folder
/// are wrong; 69 AWS could not be reached; 100 something was not finished, or is not as it should be; 101 refused, visitors get
/// what they got before.
#[derive(Debug, Parser)]
#[command(name = "docs-publish", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration; `docs-publish.toml` if it is there.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The distribution, by its id.
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) distribution: Option<String>,
    /// The distribution, by one of its names.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "distribution")]
    pub(crate) site: Option<String>,
    /// The profile of the AWS CLI.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Where the API of AWS is, for the sandbox. AWS_ENDPOINT_URL says it as well.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// Ask the edge here, instead of at the site's own name, for the sandbox.
    #[arg(long, global = true, value_name = "URL", env = "CAUSEWAY_EDGE_URL")]
    pub(crate) edge_url: Option<String>,
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
    /// Make a folder what visitors get.
    Publish(commands::publish::Flags),
    /// Publish a folder for those only who have the address that is printed.
    Preview(commands::publish::Flags),
    /// Show what `publish` would change. Changes nothing.
    Diff(commands::diff::Flags),
    /// Look for what speaks against publishing a folder. Asks nobody.
    Check(commands::check::Flags),
    /// Ask the edge whether it serves what was published, by the manifest that is published with it. For monitors.
    Verify(commands::verify::Flags),
    /// Compare a distribution and its bucket with good practice, and say what mends them.
    Audit,
    /// Show the releases that are kept.
    Releases,
    /// Make an earlier release what visitors get.
    Rollback(commands::rollback::Flags),
    /// Remove old releases, and immutable files that no other release needs.
    Gc(commands::gc::Flags),
    /// Print the JSON Schema of the configuration, or of the documents of `--json`.
    Schema(commands::schema::Flags),
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Publish(_) => "publish",
            Command::Preview(_) => "preview",
            Command::Diff(_) => "diff",
            Command::Check(_) => "check",
            Command::Verify(_) => "verify",
            Command::Audit => "audit",
            Command::Releases => "releases",
            Command::Rollback(_) => "rollback",
            Command::Gc(_) => "gc",
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
