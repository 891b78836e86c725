//! `deploy completions`: for shells.

use super::Run;
use crate::{
    cli::Cli,
    failure::{Code, Failure},
};
use clap::CommandFactory;

pub(crate) fn run(run: &Run<'_>, shell: clap_complete::Shell) -> Result<Code, Failure> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "deploy", &mut script);
    run.screen.raw(&String::from_utf8_lossy(&script));
    Ok(Code::Done)
}
