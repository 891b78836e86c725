//! `dns-sync apply` and `adopt`: the zone says what the sources say.

use super::{Selection, actor, code_of, open, tell_left};
use crate::{
    document::{self, Applied, Document},
    failure::Failure,
};
use causeway_core::{Stop, engine::Run, render};
use causeway_dns_sync::{Options, Sync};
use causeway_ending::{Code, screen::Screen};
use std::{path::Path, sync::LazyLock, time::Duration};
use tokio::{sync::watch, time::Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    selection: Selection,
    /// Do it only if the plan is still this one, which `plan` told.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Wait up to so many seconds at first, a different time each time: for cron jobs that start all at once.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    jitter: u64,
    /// Begin nothing new after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    time_limit: u64,
}

pub(crate) async fn run(file: &Path, flags: &Flags, screen: &Screen, command: &str) -> Result<Code, Failure> {
    let sync = open(file).await?;
    let options = flags.selection.options(command == "adopt")?;
    tokio::time::sleep(jitter(flags.jitter)).await;
    let limit = Duration::from_secs(flags.time_limit);
    let nobody = std::future::pending();
    let ended = once(&sync, &options, flags.digest.as_deref(), limit, nobody, screen).await?;
    screen.document(&ended.document(command));
    Ok(ended.code)
}

/// Up to `seconds`. Without randomness from the operating system, all of it.
pub(crate) fn jitter(seconds: u64) -> Duration {
    let mut bytes = [0xff; 8];
    let _ = getrandom::fill(&mut bytes);
    let most = Duration::from_secs(seconds).as_millis();
    let part = u128::from(u64::from_le_bytes(bytes)) * most / u128::from(u64::MAX);
    Duration::from_millis(part.try_into().unwrap_or(0))
}

/// What came of one run.
pub(crate) struct Ended {
    pub(crate) code: Code,
    pub(crate) applied: Applied,
    /// Whether somebody asked it to stop.
    pub(crate) stopped: bool,
}

impl Ended {
    pub(crate) fn document(&self, command: &str) -> Document<&Applied> {
        document::done(command, self.code, &self.applied)
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_quiet(&self) -> bool {
        self.code == Code::Done && self.applied.done.is_empty()
    }
}

/// One run. Nothing new is begun after `limit`, or once `lost` has come.
pub(crate) async fn once(
    sync: &Sync,
    options: &Options,
    digest: Option<&str>,
    limit: Duration,
    lost: impl Future<Output = ()>,
    screen: &Screen,
) -> Result<Ended, Failure> {
    let until = Instant::now() + limit;
    let actor = actor();
    let Ok(prepared) = tokio::time::timeout_at(until, sync.plan(options, &actor)).await else {
        let text = format!("planning took longer than {} s; nothing was changed", limit.as_secs());
        return Err(Failure::new(Code::Unavailable, text).hint("`--time-limit SECONDS` allows more"));
    };
    let prepared = prepared?;
    tell_left(&prepared, screen);
    let plan = &prepared.planned.plan;
    if let Some(wanted) = digest
        && plan.digest() != wanted
    {
        let text = format!("the plan is another one by now ({}); nothing was changed", plan.digest());
        return Err(Failure::new(Code::Refused, text).hint("look at it: dns-sync plan"));
    }
    let changes = !plan.steps.is_empty();
    if changes {
        screen.say(&render::plan(plan, false));
    }
    let left_code = code_of(prepared.misses(), prepared.leaves());
    let nothing = Applied::of(&prepared, Some(&prepared.said));
    let stop = Stop::default();
    let applying = sync.apply(prepared, Run { actor, stop: stop.clone(), ..Run::default() });
    tokio::pin!(applying);
    let mut asked = false;
    let outcome = tokio::select! {
        outcome = &mut applying => outcome,
        by_somebody = stopped(until) => {
            asked = by_somebody;
            stop.drain();
            applying.await
        }
        () = lost => {
            stop.drain();
            applying.await
        }
    }?;
    let applied = nothing.and(&outcome.report);
    for failed in &applied.failed {
        screen.warn("failed", &format!("{}: {}", failed.address, failed.why));
    }
    let code = match outcome.report.is_complete() {
        false if applied.failed.is_empty() => Code::Unavailable,
        false => Code::Partial,
        true => left_code,
    };
    let (done, failed, unchanged) = (applied.done.len(), applied.failed.len(), applied.unchanged);
    if changes {
        screen.say(&format!("{done} done, {failed} not, {unchanged} unchanged"));
    } else if !screen.quiet {
        screen.say(&format!("nothing to do; {unchanged} records are as they should be"));
    }
    Ok(Ended { code, applied, stopped: asked })
}

/// Returns `true` when somebody asked to stop, also before this was called, and `false` when it is `until`.
pub(crate) async fn stopped(until: Instant) -> bool {
    let mut asked = asked();
    tokio::select! {
        _ = asked.wait_for(|asked| *asked) => true,
        () = tokio::time::sleep_until(until) => false,
    }
}

/// Whether somebody has asked to stop. It is listened for from the first call on and for good: a signal that comes while
/// nobody waits would be lost.
fn asked() -> watch::Receiver<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    static ASKED: LazyLock<watch::Receiver<bool>> = LazyLock::new(|| {
        let (tell, asked) = watch::channel(false);
        let signals = signal(SignalKind::interrupt())
            .and_then(|interrupted| Ok((interrupted, signal(SignalKind::terminate())?)));
        tokio::spawn(async move {
            if let Ok((mut interrupted, mut terminated)) = signals {
                tokio::select! {
                    _ = interrupted.recv() => {}
                    _ = terminated.recv() => {}
                }
                tell.send_replace(true);
            }
            // Whoever waits would take its end for the wish.
            std::future::pending::<()>().await;
        });
        asked
    });
    ASKED.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_signal_that_comes_while_nobody_waits_is_heard() {
        assert!(!stopped(Instant::now()).await);
        let me = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &me]).status().unwrap().success());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(stopped(Instant::now() + Duration::from_secs(60)).await);
    }
}
