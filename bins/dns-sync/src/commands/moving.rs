//! `dns-sync move`: leads a name elsewhere, with its TTL lowered before.

use super::{actor, open};
use crate::{
    document::{self, Moved},
    failure::Failure,
};
use causeway_core::{engine::EngineError, error::chain};
use causeway_dns::Name;
use causeway_dns_sync::{
    Sync, SyncError,
    moving::{MoveError, Progress},
};
use causeway_ending::{Code, screen::Screen};
use jiff::Timestamp;
use std::{collections::BTreeSet, path::Path, time::Duration};

/// The pause between two looks where somebody else has to do something first.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// The names; a wildcard is a name of its own. All that move, if left out.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Where they are to lead: one other name, or addresses; may be repeated. What their sources say, if left out.
    #[arg(long, value_name = "TARGET", requires = "names")]
    to: Vec<String>,
    /// The TTL on the way, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86400))]
    ttl: u32,
    /// End where something has to be waited for; another call goes on.
    #[arg(long)]
    no_wait: bool,
    /// End the moves: names lead where they lead, and their TTL comes back.
    #[arg(long, conflicts_with_all = ["to", "no_wait"])]
    cancel: bool,
}

impl From<MoveError> for Failure {
    fn from(error: MoveError) -> Self {
        let text = chain(&error);
        match error {
            MoveError::Unknown(_) => Failure::new(Code::Usage, text)
                .hint("`dns-sync export` lists what is ours; an apply makes what is new"),
            MoveError::Underway { .. } => {
                Failure::new(Code::Refused, text).hint("leave `--to` out to go on, or end it: --cancel")
            }
            MoveError::Drifted { .. } => {
                Failure::new(Code::Refused, text).hint("let an apply put it right first: dns-sync apply")
            }
            MoveError::Nowhere { .. } => Failure::new(Code::Refused, text),
            MoveError::Silent { .. } => Failure::new(Code::Unavailable, text),
            MoveError::Failed(_) => Failure::new(Code::Partial, text).hint("the same command goes on"),
            MoveError::Sync(error) => error.into(),
        }
    }
}

pub(crate) async fn run(file: &Path, flags: &Flags, screen: &Screen) -> Result<Code, Failure> {
    let names = flags.names.iter().map(|name| Name::parse(name)).collect::<Result<Vec<Name>, _>>();
    let names = names.map_err(|e| Failure::new(Code::Usage, e.to_string()))?;
    let sync = open(file).await?;
    let actor = actor();
    let mut done = vec![];
    if flags.cancel {
        done = sync.cancel(&names, &actor).await?;
        tell(&done, screen);
    } else {
        if !names.is_empty() {
            let to: BTreeSet<String> = flags.to.iter().cloned().collect();
            done = sync.begin(&names, &to, flags.ttl, &actor, Timestamp::now()).await?;
            tell(&done, screen);
        }
        go_on(&sync, &names, flags, &mut done, screen).await?;
    }
    let left = sync.moves().await?;
    let left: Vec<_> =
        left.into_iter().filter(|one| names.is_empty() || is_among(&names, &one.name)).collect();
    let code = if left.is_empty() { Code::Done } else { Code::Unavailable };
    if done.is_empty() && left.is_empty() && !screen.quiet {
        screen.say("nothing moves");
    }
    screen.document(&document::done("move", code, Moved { done, left }));
    Ok(code)
}

fn is_among(names: &[Name], name: &str) -> bool {
    names.iter().any(|one| one.as_str() == name)
}

fn tell(done: &[String], screen: &Screen) {
    done.iter().for_each(|line| screen.say(line));
}

/// Until nothing moves any more, or, with `--no-wait`, until something has to be waited for.
async fn go_on(
    sync: &Sync,
    names: &[Name],
    flags: &Flags,
    done: &mut Vec<String>,
    screen: &Screen,
) -> Result<(), Failure> {
    let mut told = None;
    loop {
        let progress = sync.go_on(names, &actor(), Timestamp::now()).await;
        let progress = match progress {
            // Another run is at work, or was quicker; that ends by itself.
            Err(MoveError::Sync(SyncError::Engine(EngineError::Held(_) | EngineError::Stale { .. })))
                if !flags.no_wait =>
            {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            other => other?,
        };
        let pause = match &progress {
            Progress::Done => return Ok(()),
            Progress::Changed(lines) => {
                tell(lines, screen);
                done.extend(lines.iter().cloned());
                continue;
            }
            Progress::Unseen(lines) => {
                if told.as_ref() != Some(&progress) {
                    lines.iter().for_each(|line| screen.warn("waiting", line));
                }
                PAUSE
            }
            Progress::Waiting(until) => {
                if told.as_ref() != Some(&progress) {
                    screen.say(&format!("waiting until {}", until.strftime("%H:%M:%S UTC")));
                }
                until.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO)
            }
        };
        if flags.no_wait {
            return Ok(());
        }
        told = Some(progress);
        tokio::time::sleep(pause).await;
    }
}
