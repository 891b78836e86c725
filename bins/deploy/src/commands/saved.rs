//! Saved plans: `plan --output FILE` writes them, `apply FILE` reads them.

use super::Run;
use crate::{
    document::{Cloud, Saved},
    failure::{Code, Failure},
};
use causeway_core::{
    engine::Planned,
    error::chain,
    guard::Refusal,
    plan::PlanOptions,
    saved::{SavedError, SavedPlan},
};
use std::{fs, fs::OpenOptions, io::Write, path::Path};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where a plan is to be applied.
fn target(cloud: &Cloud) -> String {
    let kind = if cloud.sandbox { "sandbox account" } else { "AWS account" };
    format!("{kind} {} in {}", cloud.account, cloud.region)
}

/// Writes `planned` to `path`, where nothing may be yet.
pub(crate) fn write(
    run: &Run<'_>,
    path: &Path,
    planned: &Planned,
    options: &PlanOptions,
    cloud: &Cloud,
) -> Result<Saved, Failure> {
    let saved = SavedPlan::of(planned, options, VERSION, &target(cloud));
    let (file, digest) = (path.display().to_string(), saved.digest());
    // Never over a file that is there: a slip could name the configuration.
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    written.and_then(|mut file| file.write_all(saved.text().as_bytes())).map_err(|error| {
        let failure = Failure::usage(format!("cannot write the plan to {file}: {error}"));
        failure.hint("name a file that is not there yet, in a folder that is")
    })?;
    // On the side, so that it is no part of a plan that is printed as Markdown.
    run.screen.note(&format!("The plan is in {file}; its digest is {digest}."));
    run.screen.note(&format!("    deploy apply {file}    does this and nothing else"));
    Ok(Saved { file, digest })
}

/// Reads what [`write`] wrote; with a `digest`, only that very plan.
pub(crate) fn read(path: &Path, digest: Option<&str>) -> Result<SavedPlan, Failure> {
    let file = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("cannot read {file}: {error}"))
            .hint("`deploy plan --output FILE` makes a plan")
    })?;
    let saved = SavedPlan::read(&text, VERSION).map_err(|error| {
        let code = if matches!(error, SavedError::Decode(_)) { Code::Usage } else { Code::Refused };
        let failure = Failure::new(code, format!("{file} cannot be applied: {}", chain(&error)));
        failure.hint("`deploy plan --output FILE` makes one")
    })?;
    let found = saved.digest();
    match digest.filter(|wanted| !found.eq_ignore_ascii_case(wanted)) {
        Some(wanted) => {
            let why = format!("{file} is another plan: its digest is {found}, and {wanted} was asked for");
            Err(Failure::new(Code::Refused, why))
        }
        None => Ok(saved),
    }
}

/// Looks whether applying `planned` does exactly what `saved` says.
///
/// # Errors
/// Everything that differs.
pub(crate) fn check(saved: &SavedPlan, planned: &Planned, cloud: &Cloud) -> Result<(), Failure> {
    let here = target(cloud);
    if (saved.target != here) || (saved.plan.stack != planned.plan.stack) {
        let (theirs, ours) = (&saved.plan.stack, &planned.plan.stack);
        let why = format!("the plan is for `{theirs}` in {}, and this is `{ours}` in {here}", saved.target);
        return Err(Failure::new(Code::Refused, why));
    }
    let refused = |m: causeway_core::saved::Moved| Refusal {
        address: Some(m.address),
        rule: "saved-plan".into(),
        why: m.why,
    };
    let refusals: Vec<Refusal> = saved.moved(planned).into_iter().map(refused).collect();
    if refusals.is_empty() {
        return Ok(());
    }
    let failure = Failure::refused(refusals).hint("look at `deploy plan`, and save the plan again");
    let (then, now) = (saved.plan.after, planned.plan.after);
    if then == now {
        return Err(failure);
    }
    Err(failure.hint(format!("other runs wrote to the journal since: `deploy diff @{then} @{now}`")))
}
