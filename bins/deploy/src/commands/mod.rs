//! One file a command.

pub(crate) mod adopt;
mod answers;
mod apply;
mod blame;
mod bootstrap;
mod completions;
mod destroy;
mod diff;
mod drift;
pub(crate) mod exec;
mod graph;
mod history;
pub(crate) mod html;
pub(crate) mod iam_policy;
pub(crate) mod init;
pub(crate) mod llm_key;
pub(crate) mod logs;
pub(crate) mod mirror;
mod outputs;
mod plan;
pub(crate) mod preflight;
mod rebuild;
mod rehearsal;
pub(crate) mod relocate;
pub(crate) mod rollback;
pub(crate) mod run;
mod sandbox;
mod saved;
mod schema;
pub(crate) mod show;
mod state;
mod status;
pub(crate) mod unlock;
pub(crate) mod update;
mod validate;
pub(crate) mod vendor;
mod why;

use crate::{
    cli::{Cli, Command, Global},
    failure::Failure,
    screen::Screen,
};
use std::{process::ExitCode, sync::Arc};

/// What every command gets.
pub(crate) struct Run<'a> {
    pub(crate) global: &'a Global,
    pub(crate) screen: &'a Arc<Screen>,
    /// The command as it is typed.
    pub(crate) name: &'static str,
}

/// Runs the command.
pub(crate) async fn run(cli: &Cli, screen: &Arc<Screen>) -> Result<ExitCode, Failure> {
    log(cli.global.verbose);
    let run = Run { global: &cli.global, screen, name: cli.command.name() };
    let code = match &cli.command {
        Command::Init(flags) => init::run(&run, flags).await,
        Command::Validate => validate::run(&run),
        Command::Plan(flags) => plan::run(&run, flags).await,
        Command::IamPolicy(flags) => iam_policy::run(&run, flags).await,
        Command::Preflight(flags) => preflight::run(&run, flags).await,
        Command::Show(flags) => show::run(&run, flags),
        Command::Apply(flags) => apply::run(&run, flags).await,
        Command::Adopt(flags) => adopt::run(&run, flags).await,
        Command::Destroy(flags) => destroy::run(&run, flags).await,
        Command::Drift(part) => drift::run(&run, part).await,
        Command::Update(flags) => update::run(&run, flags).await,
        Command::Vendor(flags) => vendor::run(&run, flags).await,
        Command::Mirror(flags) => mirror::run(&run, flags).await,
        Command::LlmKey(what) => llm_key::run(&run, what).await,
        Command::Status => status::run(&run).await,
        Command::Outputs => outputs::run(&run).await,
        Command::Rollback(flags) => rollback::run(&run, flags).await,
        Command::Logs(flags) => logs::run(&run, flags).await,
        Command::Exec(flags) => exec::run(&run, flags).await,
        Command::Run(flags) => return run::run(&run, flags).await,
        Command::Why { address } => why::run(&run, address).await,
        Command::Graph(flags) => graph::run(&run, flags).await,
        Command::State(what) => state::run(&run, what).await,
        Command::History => history::run(&run).await,
        Command::Diff(flags) => diff::run(&run, flags).await,
        Command::Blame { field } => blame::run(&run, field).await,
        Command::Schema { of } => schema::run(&run, *of),
        Command::Completions { shell } => completions::run(&run, *shell),
        Command::Sandbox(what) => sandbox::run(&run, what).await,
    };
    code.map(ExitCode::from)
}

fn log(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "info,causeway_core=debug,causeway_aws=debug,causeway_sandbox=debug",
        _ => "debug,hyper_util=info,causeway_core=trace,causeway_aws=trace,causeway_sandbox=trace",
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}
