//! `deploy state unlock`: who is at work, and the end of a lock whose run has died.

use super::Run;
use crate::{
    document::{self, Holder, Unlock},
    failure::{Code, Failure},
    journal::Place,
    session::{self, Near},
};
use causeway_core::engine::EngineError;
use clap::Args;
use jiff::Timestamp;

#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Take it away even if it still counts; only for a run that is known to have died
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(run: &Run<'_>, flags: &Flags) -> Result<Code, Failure> {
    let file = session::settled(run.global).await?;
    let near = Near::of(run.global, &file)?;
    let place = Place::of(run.global, &file, &near.beside);
    let store = near.store(&place).await?;
    let holder = store.holder().await.map_err(EngineError::Load)?;
    match &holder {
        None => run.screen.say(&format!("Nobody is at work on {}.", store.place())),
        Some(holder) if holder.is_live(Timestamp::now()) && !flags.force => {
            let failure = Failure::new(Code::Refused, format!("at work: {holder}"));
            let wait = match place {
                Place::Folder(_) => "end that process; the lock ends with it",
                Place::Bucket(_) => "end that process, or wait until the lease has ended",
            };
            return Err(failure
                .hint(wait)
                .hint("if it is known to have died: `deploy state unlock --force`"));
        }
        Some(holder) => {
            store.unlock().await.map_err(EngineError::Load)?;
            run.screen.say(&format!("Unlocked. It was held by {holder}."));
            run.screen.say(
                "If that run still lives, the next one fences it: what it has begun stays in the journal.",
            );
        }
    }
    if run.screen.json() {
        let unlocked = holder.is_some();
        let holder = holder.map(|h| Holder {
            who: h.who,
            since: h.since.map(|at| at.to_string()),
            until: h.until.map(|at| at.to_string()),
        });
        let result = Unlock { journal: store.place(), holder, unlocked };
        run.screen.document(&document::done(run.name, Code::Done, result));
    }
    Ok(Code::Done)
}
