//! `deploy validate`: everything that can be known without asking AWS.

use super::Run;
use crate::{
    document::{self, Place},
    failure::{Code, Failure},
    session,
};
use aws_config::SdkConfig;
use causeway_core::{Registry, lint::lint, render, wanted::unplanned};

pub(crate) fn run(run: &Run<'_>) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let stack = file.stack(&file.given_to_read())?;
    stack.check().map_err(|e| Failure::bug(&e))?;
    // Where a file is checked, its secrets often are not.
    let missing = file.given(&session::environment).err();
    let common = &file.config.stack;
    let resources = stack.nodes().len();
    let refusals = lint(&kinds(), &unplanned(&stack), &file.config.rules([]));
    let (code, verdict) = match refusals.len() {
        0 => (Code::Done, "is right".to_owned()),
        n => (Code::Refused, format!("makes sense, and {n} of its settings would be refused")),
    };
    let what = format!(
        "{} {verdict}: stack `{}` in {}, {resources} resources.",
        run.global.file.display(),
        common.name,
        common.region
    );
    run.screen.say(&what);
    if !refusals.is_empty() && !run.screen.json() {
        run.screen.note_lines(&render::refusals(&refusals));
    }
    if let Some(missing) = &missing {
        for mistake in missing.all() {
            run.screen.note(&format!("`plan` will need this: {}", mistake.message));
        }
    }
    if run.screen.json() {
        let missing = missing.iter().flat_map(Place::all).collect();
        let (stack, region) = (common.name.clone(), common.region.clone());
        let result = document::Validate { stack, region, missing, refusals };
        run.screen.document(&document::done(run.name, code, result));
    }
    Ok(code)
}

/// What AWS has, for their lints; nobody is called.
fn kinds() -> Registry {
    let mut registry = Registry::new();
    causeway_aws::register(&mut registry, SdkConfig::builder().build());
    registry
}
