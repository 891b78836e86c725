//! Saved plans: `plan --output FILE` writes them, `apply FILE` reads them.

use super::{Run, rehearsal};
use crate::{
    document::{Cloud, Saved},
    failure::{Code, Failure},
};
use causeway_core::{
    engine::Planned,
    error::chain,
    guard::Refusal,
    plan::PlanOptions,
    saved::{Deviation, Permitted, Program, SavedError, SavedPlan},
    signature::{PublicKey, SigningKey},
};
use std::{fs, fs::OpenOptions, io::Write, path::Path};

/// A plan from a file, and who signed it.
pub(crate) struct Approved {
    pub(crate) plan: SavedPlan,
    pub(crate) signer: Option<PublicKey>,
}

/// This program, which alone may apply what it planned.
fn program() -> Result<Program, Failure> {
    Program::running(env!("CARGO_PKG_VERSION"))
        .map_err(|error| Failure::new(Code::Unavailable, format!("cannot read this program itself: {error}")))
}

/// Reads the key that signs plans.
///
/// # Errors
/// It cannot be read, or is none.
pub(crate) fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    SigningKey::parse(&key_text(path)?)
        .map_err(|error| Failure::usage(format!("{} cannot sign a plan: {error}", path.display())))
}

fn key_text(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read the key {shown}: {error}")))
}

/// Where a plan is to be applied.
fn target(cloud: &Cloud) -> String {
    let kind = if cloud.sandbox { "sandbox account" } else { "AWS account" };
    format!("{kind} {} in {}", cloud.account, cloud.region)
}

/// `planned` as it is kept, by this program and for `cloud`.
pub(crate) fn of(planned: &Planned, options: &PlanOptions, cloud: &Cloud) -> Result<SavedPlan, Failure> {
    Ok(SavedPlan::of(planned, options, &program()?, &target(cloud)))
}

/// Tells what was permitted, a line each.
pub(crate) fn tell(run: &Run<'_>, permitted: &Permitted) {
    for address in &permitted.data {
        run.screen.say(&format!("Permitted: `{address}` may be deleted or replaced, with what it holds."));
    }
    if let Some(at) = permitted.other.get(rehearsal::MIGRATION) {
        run.screen.say(&format!(
            "Permitted: the rehearsal may migrate the database, after a snapshot with {at} in its name."
        ));
    }
}

/// Writes `saved` to `path`, where nothing may be yet.
pub(crate) fn write(
    run: &Run<'_>,
    path: &Path,
    saved: &SavedPlan,
    key: Option<&SigningKey>,
) -> Result<Saved, Failure> {
    let (file, digest) = (path.display().to_string(), saved.digest());
    // Never over a file that is there: a slip could name the configuration.
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    written.and_then(|mut file| file.write_all(saved.text(key).as_bytes())).map_err(|error| {
        let failure = Failure::usage(format!("cannot write the plan to {file}: {error}"));
        failure.hint("name a file that is not there yet, in a folder that is")
    })?;
    // On the side, so that it is no part of a plan that is printed as Markdown.
    run.screen.note(&format!("The plan is in {file}; its digest is {digest}."));
    run.screen.note(&format!("    deploy apply {file}    does this and nothing else"));
    let signer = key.map(|key| key.public().to_string());
    if let Some(signer) = &signer {
        run.screen.note(&format!("It is signed with {signer}."));
    }
    Ok(Saved { file, digest, signer })
}

/// Reads what [`write()`] wrote; with a `digest` only that very plan, and with a key only one that was signed with it.
pub(crate) fn read(path: &Path, digest: Option<&str>, key: Option<&Path>) -> Result<Approved, Failure> {
    let file = path.display();
    let key = key.map(|key| (key, key_text(key)));
    let makes = "`deploy plan --output FILE` makes one";
    let bytes =
        fs::read(path).map_err(|error| Failure::usage(format!("cannot read {file}: {error}")).hint(makes))?;
    let (plan, signer) = SavedPlan::read(&bytes, &program()?).map_err(|error| {
        let code = if matches!(error, SavedError::Decode(_)) { Code::Usage } else { Code::Refused };
        let failure = Failure::new(code, format!("{file} cannot be applied: {}", chain(&error)));
        failure.hint(makes)
    })?;
    let refused = |why: String| Err(Failure::new(Code::Refused, why));
    let found = plan.digest();
    if let Some(wanted) = digest.filter(|wanted| !found.eq_ignore_ascii_case(wanted)) {
        return refused(format!("{file} is another plan: its digest is {found}, and {wanted} was asked for"));
    }
    if let Some((name, text)) = key {
        let shown = name.display();
        let wanted = PublicKey::parse(&text?)
            .map_err(|error| Failure::usage(format!("{shown} cannot verify a plan: {error}")))?;
        if signer != Some(wanted) {
            let who = signer.map_or_else(|| "not signed".to_owned(), |key| format!("signed with {key}"));
            return refused(format!("{file} is {who}, and {wanted} in {shown} was asked for"));
        }
    }
    Ok(Approved { plan, signer })
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
    let refused = |deviation: Deviation| Refusal {
        address: Some(deviation.address),
        rule: "saved-plan".into(),
        field: None,
        why: deviation.why,
    };
    let refusals: Vec<Refusal> = saved.deviations(planned).into_iter().map(refused).collect();
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
