//! `deploy apply`: makes it so. `destroy` is an apply of the empty stack.

use super::{
    Run, bootstrap,
    html::Sheet,
    plan, preflight, rehearsal,
    saved::{self, Approved},
};
use crate::{
    cli,
    document::{self, Done, NotDone},
    failure::{Code, Failure},
    progress::{Progress, doing},
    session::{self, Session},
};
use causeway_core::{
    Address, Stack, Stop,
    apply::Report,
    away::Away,
    engine,
    guard::Rules,
    plan::{Action, Plan, PlanOptions, stack_outputs},
    render,
    signature::PublicKey,
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(run: &Run<'_>, flags: &cli::Apply) -> Result<Code, Failure> {
    may_ask(run)?;
    let saved = match &flags.plan {
        Some(path) => Some(saved::read(path, flags.digest.as_deref(), flags.verify_with.as_deref())?),
        None => None,
    };
    let file = session::configuration(run.global)?;
    let destroys = saved.as_ref().is_some_and(|saved| saved.plan.destroy);
    let stack = match destroys {
        true => Stack::new(&file.config.stack.name),
        false => file.stack(&file.given(&session::environment)?)?,
    };
    let options = match &saved {
        Some(saved) => saved.plan.options(),
        None => plan::options(run, &flags.scope, &stack)?,
    };
    let migration = match &saved {
        Some(saved) => saved.plan.permitted.other.get(rehearsal::MIGRATION).cloned(),
        None => flags.allow_migration.then(rehearsal::now),
    };
    let how = How {
        options,
        detail: flags.scope.detail,
        permits: &flags.permits,
        saved,
        signer: None,
        preflight: !flags.skip_preflight && !destroys,
        html: flags.html.as_deref(),
    };
    let work = async |session: &Session| match destroys {
        true => carry_out(run, session, &stack, &how).await,
        false => make(run, session, stack, how, migration.as_deref()).await,
    };
    Session::within(run.global, file, run.screen, work).await
}

async fn make(
    run: &Run<'_>,
    session: &Session,
    mut stack: Stack,
    mut how: How<'_>,
    migration: Option<&str>,
) -> Result<Code, Failure> {
    rehearsal::prepare(session, &mut stack, &mut how.options, migration).await?;
    match carry_out(run, session, &stack, &how).await? {
        Code::Done => super::answers::check(run, session).await,
        other => Ok(other),
    }
}

/// Nobody can be asked without a terminal, so that nothing must have to be asked.
///
/// # Errors
/// There is neither a terminal nor `--yes`.
pub(crate) fn may_ask(run: &Run<'_>) -> Result<(), Failure> {
    if run.global.yes || run.screen.interactive() {
        return Ok(());
    }
    let why = if run.screen.json() { "with --json" } else { "without a terminal" };
    let failure = Failure::usage(format!("{} cannot ask {why}; nothing was changed", run.name));
    Err(failure.hint("look at `deploy plan`, and then add --yes"))
}

/// How a stack is applied.
pub(crate) struct How<'a> {
    pub(crate) options: PlanOptions,
    /// Show the fields of what is created, too.
    pub(crate) detail: bool,
    pub(crate) permits: &'a cli::Permits,
    /// Do this and nothing else.
    pub(crate) saved: Option<Approved>,
    /// Who signs it now.
    pub(crate) signer: Option<PublicKey>,
    /// Ask first whether it can work.
    pub(crate) preflight: bool,
    /// Write it, and what came of it, as a page.
    pub(crate) html: Option<&'a Path>,
}

/// Plans, shows, asks and applies.
pub(crate) async fn carry_out(
    run: &Run<'_>,
    session: &Session,
    stack: &Stack,
    how: &How<'_>,
) -> Result<Code, Failure> {
    session.is_free().await?;
    let planned = session.engine.plan(stack, &how.options).await?;
    plan::fits(&how.options, &plan::known(planned.stack(), &planned.state))?;
    if let Some(saved) = &how.saved {
        saved::check(&saved.plan, &planned, &session.cloud)?;
    }
    let plan = planned.plan.clone();
    let estimate = session.engine.estimate(&planned);
    run.screen.say(&format!("{}{}", render::plan(&plan, how.detail), render::estimate(&estimate)));
    let mut permits = permitted(&how.permits.permit, &plan)?;
    if let Some(saved) = &how.saved {
        saved::tell(run, &saved.plan.permitted);
        permits.extend(saved.plan.permitted.data.iter().cloned());
    }
    let rules = Rules {
        during_freeze: how.permits.overrules.during_freeze.clone(),
        signed_by: how.saved.as_ref().and_then(|saved| saved.signer).or(how.signer),
        ..session.file.config.rules(permits)
    };
    let refusals = session.engine.refusals(&planned, &rules);
    let sheet = how.html.map(|path| Sheet::new(path, &planned, &estimate, &refusals, &session.cloud));
    // Before anything is changed: it may be that it cannot be written.
    if let Some(sheet) = &sheet {
        sheet.write(run, None)?;
    }
    if !refusals.is_empty() {
        return Err(Failure::refused(refusals));
    }
    if !plan.is_empty() {
        bootstrap::foretell(run, session, &planned).await?;
    }
    if how.preflight {
        preflight::before(run, session, &planned).await?;
    }
    let destroys = run.name == "destroy" || how.saved.as_ref().is_some_and(|saved| saved.plan.destroy);
    let question = if destroys { "Delete all of this?" } else { "Do this?" };
    if !plan.is_empty() && !run.global.yes && !run.screen.confirm(question) {
        return Err(Failure::new(Code::Refused, "not confirmed; nothing was changed"));
    }
    if !plan.is_empty() {
        bootstrap::before_the_first(run, session).await?;
    }
    let approved = how.saved.as_ref();
    let progress = Progress::new(&plan, run.screen);
    let stop = Stop::default();
    let signals = tokio::spawn(listen(stop.clone()));
    let listener = Arc::clone(&progress);
    let how = engine::Run {
        actor: session::actor(),
        rules,
        listener: Arc::new(move |event| listener.tell(&event)),
        stop,
    };
    let report = session.engine.apply(planned, &how).await;
    signals.abort();
    progress.finish();
    let report = report?;
    if let Some(sheet) = &sheet {
        // What was done must be told all the same.
        if outcome(run, session, sheet, &report, progress.elapsed()).await.is_err() {
            run.screen.note("The page could not be written again; it shows the plan only.");
        }
    }
    // A saved plan does what it says, and no more where a region is back that was away when it was made.
    let left: &[Away] = match approved {
        Some(saved) if report.away.is_empty() => &saved.plan.plan.away,
        _ => &report.away,
    };
    let code = if report.is_complete() && left.is_empty() { Code::Done } else { Code::Partial };
    let outputs = stack_outputs(stack, &report.outputs);
    if run.screen.json() {
        let result = document::Apply {
            cloud: session.cloud.clone(),
            digest: plan.digest(),
            estimate,
            done: report
                .done
                .iter()
                .map(|(a, action)| Done { address: a.clone(), action: *action })
                .collect(),
            failed: not_done(&plan, &report.failed),
            skipped: not_done(&plan, &report.skipped),
            away: left.to_vec(),
            outputs,
            plan,
        };
        run.screen.document(&document::done(run.name, code, result));
        return Ok(code);
    }
    if code == Code::Done {
        if !plan.is_empty() {
            let done = format!("Done in {}.", render::duration(progress.elapsed()));
            run.screen.say(&run.screen.news(true, &done));
            run.screen.say("");
        }
        super::outputs::show(run, &outputs);
    } else {
        unfinished(run, &plan, &report, left);
    }
    Ok(code)
}

/// The page once more, with what came of the plan.
async fn outcome(
    run: &Run<'_>,
    session: &Session,
    sheet: &Sheet,
    report: &Report,
    took: Duration,
) -> Result<(), Failure> {
    // What was done a moment ago is the last run, unless nothing had to be written.
    let timeline = if report.done.is_empty() { None } else { session.engine.last_run().await? };
    sheet.write(run, Some(causeway_report::Run { report, took, timeline: timeline.as_ref() }))
}

/// The addresses of `--permit`, each of which must be of use: a slip would otherwise be told only by the guard.
pub(crate) fn permitted(names: &[String], plan: &Plan) -> Result<Vec<Address>, Failure> {
    let mut out = vec![];
    for name in names {
        let address = Address::from(name.as_str());
        if !plan.steps.iter().any(|s| s.address == address) {
            let failure =
                Failure::usage(format!("--permit {name}: the plan does nothing to it; nothing was changed"));
            return Err(failure.hint("give an address as the plan shows it"));
        }
        out.push(address);
    }
    Ok(out)
}

/// First drains, then aborts.
async fn listen(stop: Stop) {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.is_draining() {
            stop.abort();
        } else {
            stop.drain();
        }
    }
}

fn action(plan: &Plan, address: &Address) -> Action {
    let step = plan.step(address).or_else(|| plan.steps.iter().find(|s| &s.address == address));
    step.map_or(Action::Keep, |s| s.action)
}

fn not_done(plan: &Plan, all: &[(Address, String)]) -> Vec<NotDone> {
    all.iter()
        .map(|(a, why)| NotDone { address: a.clone(), action: action(plan, a), why: why.clone() })
        .collect()
}

/// What did not work, once more and together.
fn unfinished(run: &Run<'_>, plan: &Plan, report: &Report, away: &[Away]) {
    let screen = run.screen;
    let (failed, skipped) = (report.failed.len(), report.skipped.len());
    let mut counts = vec![format!("{} done", report.done.len())];
    if failed > 0 {
        counts.push(format!("{failed} failed"));
    }
    if skipped > 0 {
        counts.push(format!("{skipped} not tried"));
    }
    if !away.is_empty() {
        counts.push(format!("{} not reached", render::places(away)));
    }
    let mut text = format!("\n{}", render::away(away).trim_end());
    if !away.is_empty() {
        text.push('\n');
    }
    for (address, why) in &report.failed {
        text.push_str(&format!("! {address}  {} failed\n", doing(action(plan, address))));
        for line in why.lines() {
            text.push_str(&format!("      {line}\n"));
        }
    }
    screen.note_lines(&text);
    screen.error(&format!("not finished: {}", counts.join(", ")));
    screen.hint(&format!("Running `deploy {}` again is safe.", run.name));
}
