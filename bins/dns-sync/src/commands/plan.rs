//! `dns-sync plan`: what `apply` would do.

use super::{Selection, actor, code_of, open, tell_left};
use crate::{document, failure::Failure};
use causeway_core::{estimate::Estimate, render};
use causeway_ending::{Code, screen::Screen};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    selection: Selection,
    /// End with 2 where there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
    /// Write the plan as Markdown, too.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

pub(crate) async fn run(file: &Path, flags: &Flags, screen: &Screen) -> Result<Code, Failure> {
    let sync = open(file).await?;
    let prepared = sync.plan(&flags.selection.options(false)?, &actor()).await?;
    let plan = &prepared.planned.plan;
    if let Some(path) = &flags.markdown {
        let estimate: Estimate = sync.estimate(&prepared.planned);
        let text = render::markdown(plan, &estimate, &prepared.refusals);
        std::fs::write(path, text)
            .map_err(|e| Failure::new(Code::Usage, format!("cannot write {}: {e}", path.display())))?;
    }
    tell_left(&prepared, screen);
    let code = match code_of(prepared.misses(), prepared.leaves()) {
        _ if !prepared.refusals.is_empty() => Code::Refused,
        Code::Done if flags.detailed_exitcode && !prepared.is_empty() => Code::Changes,
        code => code,
    };
    if !(screen.quiet && prepared.is_empty()) {
        screen.say(&render::plan(plan, false));
        if !prepared.is_empty() {
            screen.say(&format!("to do just this: dns-sync apply --digest {}", plan.digest()));
        }
    }
    for refusal in &prepared.refusals {
        screen.warn(&refusal.rule, &refusal.why);
    }
    screen.document(&document::done(
        "plan",
        code,
        document::Planned {
            plan: plan.clone(),
            digest: plan.digest(),
            refusals: prepared.refusals.clone(),
            left: prepared.left.clone(),
            sources: prepared.said.clone(),
            recovered: prepared.recovered,
        },
    ));
    Ok(code)
}
