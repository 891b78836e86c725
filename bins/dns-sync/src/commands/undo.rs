//! `dns-sync undo`: takes a run back.

use super::{actor, open};
use crate::{document, failure::Failure};
use causeway_core::{engine::Run, error::chain, render};
use causeway_dns_sync::undo::UndoError;
use causeway_ending::{Code, screen::Screen};
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The run, by the number that `--list` shows; the last one if left out.
    run: Option<u64>,
    /// Show the runs instead.
    #[arg(long, conflicts_with = "run")]
    list: bool,
    /// Only show what would be done.
    #[arg(long)]
    dry_run: bool,
}

impl From<UndoError> for Failure {
    fn from(error: UndoError) -> Self {
        let text = chain(&error);
        match error {
            UndoError::NotKept => Failure::new(Code::Refused, text).hint("`folder` in [state] keeps one"),
            UndoError::NoRun(_) => Failure::new(Code::Usage, text).hint("dns-sync undo --list"),
            UndoError::Moved { .. } => Failure::new(Code::Refused, format!("{text}; nothing was changed")),
            UndoError::Sync(error) => error.into(),
        }
    }
}

pub(crate) async fn run(file: &Path, flags: &Flags, screen: &Screen) -> Result<Code, Failure> {
    let sync = open(file).await?;
    if flags.list {
        let runs = sync.runs().await?;
        for run in &runs {
            let at = run.at.strftime("%Y-%m-%d %H:%M:%S UTC");
            screen.say(&format!("{:>6}  {at}  {} changes by {}", run.first, run.deeds.len(), run.actor));
        }
        screen.document(&document::done("undo --list", Code::Done, document::Runs { runs }));
        return Ok(Code::Done);
    }
    let prepared = sync.undo(flags.run).await?;
    let plan = prepared.planned.plan.clone();
    screen.say(&render::plan(&plan, false));
    if flags.dry_run || plan.steps.is_empty() {
        screen.document(&document::done("undo", Code::Done, document::Applied::of(&prepared, None)));
        return Ok(Code::Done);
    }
    let nothing = document::Applied::of(&prepared, None);
    let outcome = sync.apply(prepared, Run { actor: actor(), ..Run::default() }).await?;
    let applied = nothing.and(&outcome.report);
    for failed in &applied.failed {
        screen.warn("failed", &format!("{}: {}", failed.address, failed.why));
    }
    let code = if outcome.report.is_complete() { Code::Done } else { Code::Partial };
    screen.say(&format!("{} done, {} not", applied.done.len(), applied.failed.len()));
    screen.warn("hint", "the next apply follows the sources again: change what they say before it comes");
    screen.document(&document::done("undo", code, applied));
    Ok(code)
}
