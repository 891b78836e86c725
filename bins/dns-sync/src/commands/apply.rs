//! `dns-sync apply` and `adopt`: the zone says what the sources say.

use super::{Selection, actor, code_of, open, tell_left};
use crate::{document, failure::Failure, screen::Screen};
use causeway_core::{Stop, engine::Run, render};
use causeway_dns_sync::{Options, Sync};
use causeway_ending::Code;
use std::{path::Path, time::Duration};

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
    let sync = open(file)?;
    let options = flags.selection.options(command == "adopt")?;
    tokio::time::sleep(jitter(flags.jitter)).await;
    once(&sync, &options, flags.digest.as_deref(), Duration::from_secs(flags.time_limit), screen, command)
        .await
}

/// Up to `seconds`. Without randomness from the operating system, all of it.
fn jitter(seconds: u64) -> Duration {
    let mut bytes = [0xff; 8];
    let _ = getrandom::fill(&mut bytes);
    let most = Duration::from_secs(seconds).as_millis();
    let part = u128::from(u64::from_le_bytes(bytes)) * most / u128::from(u64::MAX);
    Duration::from_millis(part.try_into().unwrap_or(0))
}

/// One run.
async fn once(
    sync: &Sync,
    options: &Options,
    digest: Option<&str>,
    limit: Duration,
    screen: &Screen,
    command: &str,
) -> Result<Code, Failure> {
    let begun = tokio::time::Instant::now();
    let actor = actor();
    let planning = sync.plan(options, &actor);
    let Ok(prepared) = tokio::time::timeout(limit, planning).await else {
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
    let (unchanged, changes) = (plan.unchanged, !plan.steps.is_empty());
    if changes {
        screen.say(&render::plan(plan, false));
    }
    let left_code = code_of(prepared.misses(), prepared.leaves());
    let (left, sources, recovered) = (prepared.left.clone(), prepared.said.clone(), prepared.recovered);
    let stop = Stop::default();
    let run = Run { actor, stop: stop.clone(), ..Run::default() };
    let applying = sync.apply(prepared, run);
    tokio::pin!(applying);
    let outcome = tokio::select! {
        outcome = &mut applying => outcome,
        () = stopped(begun + limit) => {
            stop.drain();
            applying.await
        }
    }?;
    let report = outcome.report;
    let failures = report.failed.iter().chain(&report.skipped);
    for (address, why) in failures.clone() {
        screen.warn("failed", &format!("{address}: {why}"));
    }
    let code = match report.is_complete() {
        false if report.failed.is_empty() && report.skipped.is_empty() => Code::Unavailable,
        false => Code::Partial,
        true => left_code,
    };
    if changes {
        screen.say(&format!(
            "{} done, {} not, {unchanged} unchanged",
            report.done.len(),
            failures.clone().count()
        ));
    } else if !screen.quiet() {
        screen.say(&format!("nothing to do; {unchanged} records are as they should be"));
    }
    let failed =
        failures.map(|(address, why)| document::Failed { address: address.clone(), why: why.clone() });
    let done = report
        .done
        .iter()
        .map(|(address, action)| document::Done { address: address.clone(), action: *action });
    screen.document(&document::done(
        command,
        code,
        document::Applied {
            failed: failed.collect(),
            done: done.collect(),
            left,
            sources,
            unchanged,
            recovered,
        },
    ));
    Ok(code)
}

/// Returns when the run is to begin nothing new: its time is over, or somebody asked.
async fn stopped(until: tokio::time::Instant) {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
