//! `deploy show`: what a saved plan would do. Asks nobody: neither AWS nor the journal.

use super::{Run, saved};
use crate::{
    document,
    failure::{Code, Failure},
};
use causeway_core::render;
use std::path::PathBuf;

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `plan --output` wrote
    #[arg(value_name = "FILE")]
    plan: PathBuf,
    /// Refuse a plan with another digest than this one
    #[arg(long, value_name = "SHA256")]
    digest: Option<String>,
    /// Refuse a plan that was not signed with this public key, PEM or OpenSSH
    #[arg(long, value_name = "KEYFILE")]
    verify_with: Option<PathBuf>,
    /// Show the fields of what is created, too
    #[arg(long)]
    detail: bool,
}

pub(crate) fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    let approved = saved::read(&flags.plan, flags.digest.as_deref(), flags.verify_with.as_deref())?;
    let (plan, signer) = (approved.plan, approved.signer.map(|key| key.to_string()));
    let digest = plan.digest();
    let screen = run.screen;
    screen.say(&format!("{}{}", render::plan(&plan.plan, flags.detail), render::estimate(&plan.estimate)));
    saved::tell(run, &plan.permitted);
    let (stack, after) = (&plan.plan.stack, plan.plan.after);
    screen.say(&format!("For `{stack}` in {}, after entry {after} of its journal.", plan.target));
    screen.say(&format!("Made by {}; its digest is {digest}.", plan.program));
    screen.say(&match &signer {
        Some(signer) => format!("It is signed with {signer}."),
        None => "It is not signed.".to_owned(),
    });
    if screen.json() {
        let file = flags.plan.display().to_string();
        let result = document::Shown {
            target: plan.target,
            version: plan.program.version,
            plan: plan.plan,
            estimate: plan.estimate,
            permitted: plan.permitted,
            saved: document::Saved { file, digest, signer },
        };
        screen.document(&document::done(run.name, Code::Done, result));
    }
    Ok(Code::Done)
}
