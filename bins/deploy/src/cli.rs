//! The flags.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, process::ExitCode};

use crate::{
    commands::{init, relocate, unlock},
    failure::Code,
};

/// Takes an AWS account to a running Coder, and keeps it running.
#[derive(Debug, Parser)]
#[command(name = "deploy", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or nothing to do
  2    there are changes (plan --detailed-exitcode, drift, update --check, mirror --dry-run)
  64   the flags or the configuration are wrong
  69   AWS, the sandbox, the journal or a registry could not be reached
  70   a bug in this program
  100  apply did not finish; running it again is safe
  101  refused by a guard or by you; nothing was changed
`deploy run` ends with the exit code of its command, or with 130 when it was interrupted.";

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The configuration
    #[arg(short, long, global = true, value_name = "FILE", default_value = "causeway.toml")]
    pub(crate) file: PathBuf,
    /// Use a local cloud instead of AWS: the one of `sandbox up`, or one that lives as long as this command
    #[arg(long, global = true, conflicts_with = "state")]
    pub(crate) sandbox: bool,
    /// Print one JSON document on standard output; `deploy schema output` describes it
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The folder of the journal [default: .causeway/STACK beside the configuration]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// How many steps run at a time; an API that throttles has them take turns
    #[arg(long, global = true, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) parallelism: u16,
    /// Work in a session that this MFA device vouches for: its ARN, or the serial number of a hardware token
    #[arg(long, global = true, env = "AWS_MFA_SERIAL", value_name = "SERIAL")]
    pub(crate) mfa_serial: Option<String>,
    /// The six digits that it shows now; asked for at a terminal when no session is kept
    #[arg(long, global = true, value_name = "CODE", requires = "mfa_serial")]
    pub(crate) mfa_code: Option<String>,
    /// Do not ask
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// Print without colour, as with NO_COLOR
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Log what is called, to standard error; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented configuration to start from, or make what it needs before the first apply
    Init(init::Flags),
    /// Check the configuration, without asking AWS
    Validate,
    /// Show what apply would do
    Plan(Plan),
    /// Ask whether apply can work: credentials, image, certificate, secrets, subnets and more
    Preflight(crate::commands::preflight::Args),
    /// Print a policy that allows what the plan calls, and nothing else
    IamPolicy(crate::commands::iam_policy::Args),
    /// Show what a saved plan would do, without asking AWS
    Show(crate::commands::show::Args),
    /// Make it so
    Apply(Apply),
    /// Find what people made by hand or with Terraform, and write the lines that let the stack take it over
    Adopt(crate::commands::adopt::Args),
    /// Delete everything that the stack made
    Destroy(Destroy),
    /// Show what differs from the last apply; exit code 2 if anything does
    Drift(Part),
    /// Look up which images the versions of `causeway.lock` are now, and pin those by digest
    Update(crate::commands::update::Args),
    /// Fetch everything that clusters get from the internet, for networks without it
    Vendor(crate::commands::vendor::Args),
    /// Copy images of others into the repositories of the stack, by digest and for all platforms
    Mirror(crate::commands::mirror::Args),
    /// Make the key that workspaces use LiteLLM with anew, or bring it to them
    #[command(subcommand)]
    LlmKey(crate::commands::llm_key::What),
    /// Show how it stands, on one screen
    Status,
    /// Print the values that the stack tells, like the access URL
    Outputs,
    /// Go back to the revision that ran before
    Rollback(crate::commands::rollback::Args),
    /// Print what Coder logs
    Logs(crate::commands::logs::Args),
    /// Run a command inside a task of the service, and talk to it
    Exec(crate::commands::exec::Args),
    /// Run a command in a task of its own, beside the service and like it
    Run(crate::commands::run::Args),
    /// Show why apply would do what it does to one resource
    Why {
        /// As `plan` shows it
        address: String,
    },
    /// Draw what waits for what, or print it for other programs to draw
    Graph(Graph),
    /// Show what the journal knows, and look after it
    #[command(subcommand)]
    State(State),
    /// Show the runs: when, who, which plan, what was done
    History,
    /// Show what changed in the journal between two of its entries
    Diff(Diff),
    /// Show which run set a field, when, and who ran it
    Blame {
        /// A field as plans show it, `network/vpc.cidr`, or an output, `network/vpc#vpc_id`
        #[arg(value_name = "ADDRESS.FIELD")]
        field: String,
    },
    /// Print a JSON Schema
    Schema {
        /// Of what
        #[arg(value_enum, default_value_t)]
        of: Schema,
    },
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Keep a local cloud running
    #[command(subcommand)]
    Sandbox(Sandbox),
}

impl Command {
    /// As it is typed.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Init(_) => "init",
            Command::Validate => "validate",
            Command::Plan(_) => "plan",
            Command::Preflight(_) => "preflight",
            Command::IamPolicy(_) => "iam-policy",
            Command::Show(_) => "show",
            Command::Apply(_) => "apply",
            Command::Adopt(_) => "adopt",
            Command::Destroy(_) => "destroy",
            Command::Drift(_) => "drift",
            Command::Update(_) => "update",
            Command::Vendor(_) => "vendor",
            Command::Mirror(_) => "mirror",
            Command::LlmKey(what) => what.name(),
            Command::Status => "status",
            Command::Outputs => "outputs",
            Command::Rollback(_) => "rollback",
            Command::Logs(_) => "logs",
            Command::Exec(_) => "exec",
            Command::Run(_) => "run",
            Command::Why { .. } => "why",
            Command::Graph(_) => "graph",
            Command::State(State::List) => "state list",
            Command::State(State::Show { .. }) => "state show",
            Command::State(State::Move(_)) => "state move",
            Command::State(State::Rebuild) => "state rebuild",
            Command::State(State::Unlock(_)) => "state unlock",
            Command::History => "history",
            Command::Diff(_) => "diff",
            Command::Blame { .. } => "blame",
            Command::Schema { .. } => "schema",
            Command::Completions { .. } => "completions",
            Command::Sandbox(Sandbox::Up { .. }) => "sandbox up",
            Command::Sandbox(Sandbox::Status) => "sandbox status",
            Command::Sandbox(Sandbox::Down) => "sandbox down",
            Command::Sandbox(Sandbox::Serve { .. }) => "sandbox serve",
        }
    }
}

/// Which resources are meant.
#[derive(Debug, Args)]
pub(crate) struct Part {
    /// Only this part: infra, app, docs, addresses like `database/*`, or `region:NAME`; may be repeated
    #[arg(long, value_name = "PART")]
    pub(crate) only: Vec<String>,
    /// Not this part, whatever --only says; may be repeated
    #[arg(long, value_name = "PART")]
    pub(crate) except: Vec<String>,
}

/// What is planned.
#[derive(Debug, Args)]
pub(crate) struct Scope {
    #[command(flatten)]
    pub(crate) part: Part,
    /// Take over what is there already and belongs to nobody
    #[arg(long)]
    pub(crate) adopt: bool,
    /// With `--refresh=false`, take the journal's word for what is there, and do not see what others changed
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) refresh: bool,
    /// Show the fields of what is created, too
    #[arg(long)]
    pub(crate) detail: bool,
}

impl Scope {
    /// Everything, as it is there.
    pub(crate) fn whole() -> Self {
        let part = Part { only: vec![], except: vec![] };
        Scope { part, adopt: false, refresh: true, detail: false }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Keep the plan in this file, for `deploy apply FILE`; it holds no secrets
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Sign the plan in the file with this Ed25519 key: PEM as `openssl genpkey` writes it, or OpenSSH
    #[arg(long, value_name = "KEYFILE", requires = "output")]
    pub(crate) sign: Option<PathBuf>,
    /// Allow this data-bearing resource to be deleted or replaced, also when the file is applied; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) permit: Vec<String>,
    /// Let the rehearsal of another version of Coder migrate the database, after a snapshot, also when the file is applied
    #[arg(long)]
    pub(crate) allow_migration: bool,
    /// Plan to delete everything, as `destroy` would
    #[arg(long, conflicts_with_all = ["only", "except", "adopt", "allow_migration"])]
    pub(crate) destroy: bool,
    /// Print it as Markdown, for a pull request
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Write it as a page to this file, with the graph and the timeline
    #[arg(long, value_name = "FILE", value_parser = crate::commands::html::file)]
    pub(crate) html: Option<PathBuf>,
    /// Exit with 2 if there is anything to do
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Do what this saved plan says and nothing else; refused if anything that it touches has moved
    #[arg(value_name = "FILE", conflicts_with_all = ["only", "except", "adopt", "refresh"])]
    pub(crate) plan: Option<PathBuf>,
    /// Refuse a saved plan with another digest than this one, which `plan --output` told
    #[arg(long, value_name = "SHA256", requires = "plan")]
    pub(crate) digest: Option<String>,
    /// Refuse a saved plan that was not signed with this public key, PEM or OpenSSH
    #[arg(long, value_name = "KEYFILE", requires = "plan")]
    pub(crate) verify_with: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) scope: Scope,
    /// Write it, and what came of it, as a page to this file
    #[arg(long, value_name = "FILE", value_parser = crate::commands::html::file)]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) permits: Permits,
    /// Do not ask first whether it can work
    #[arg(long)]
    pub(crate) skip_preflight: bool,
    /// Let the rehearsal of another version of Coder migrate the database; a snapshot is taken first
    #[arg(long, conflicts_with = "plan")]
    pub(crate) allow_migration: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Destroy {
    #[command(flatten)]
    pub(crate) part: Part,
    /// Write it, and what came of it, as a page to this file
    #[arg(long, value_name = "FILE", value_parser = crate::commands::html::file)]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) permits: Permits,
}

#[derive(Debug, Args)]
pub(crate) struct Permits {
    /// Allow this data-bearing resource to be deleted or replaced; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) permit: Vec<String>,
    #[command(flatten)]
    pub(crate) overrules: Overrules,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Overrules {
    /// Change something although `[guard]` has a freeze; the reason goes into the journal
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub(crate) during_freeze: Option<String>,
}

/// A reason that says something.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() { Err("say why it cannot wait".to_owned()) } else { Ok(text.to_owned()) }
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// In which language
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: GraphFormat,
    /// Ask AWS, and colour what apply would change
    #[arg(long)]
    pub(crate) plan: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz
    #[default]
    Dot,
    /// For Markdown
    Mermaid,
    /// A drawing, for browsers
    Svg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum State {
    /// One line a resource
    List,
    /// All of one resource; secrets are not kept and not shown
    Show {
        /// As `state list` shows it
        address: String,
    },
    /// Move the journal to the bucket of `[state]`, or from there to a folder
    Move(relocate::Flags),
    /// Make a journal that was lost again, from tags and names
    Rebuild,
    /// Show who is at work, and end the lock of a run that has died
    Unlock(unlock::Flags),
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The first entry, like @12; @0 is before everything
    #[arg(value_parser = entry)]
    pub(crate) from: u64,
    /// The second entry [default: the last one]
    #[arg(value_parser = entry)]
    pub(crate) to: Option<u64>,
}

/// The number of an entry, with or without its `@`.
fn entry(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix('@').unwrap_or(text);
    number.parse().map_err(|_| "expected the number of an entry, like @12".to_owned())
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Schema {
    /// causeway.toml
    #[default]
    Config,
    /// What --json prints
    Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sandbox {
    /// Start it in the background; the first time installs it, which takes minutes
    Up {
        /// Print only the `export` lines with which AWS programs reach it
        #[arg(long)]
        env: bool,
        /// The region of its environment
        #[arg(long, default_value = "us-east-1")]
        region: String,
    },
    /// Show where it is
    Status,
    /// Stop it, and forget everything in it
    Down,
    /// Keep it, in the background process
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        region: String,
    },
}

/// Prints what clap has to say. Help and version are no mistakes.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell when even this cannot be printed.
    let _ = error.print();
    if error.use_stderr() { Code::Usage.into() } else { ExitCode::SUCCESS }
}
