//! `deploy validate`: everything that can be known without asking AWS.

use super::Run;
use crate::{
    document::{self, Place},
    failure::{Code, Failure},
    session,
};

pub(crate) fn run(run: &Run<'_>) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let stack = file.stack(&file.given_to_read())?;
    stack.check().map_err(|e| Failure::bug(&e))?;
    // Where a file is checked, its secrets often are not.
    let missing = file.given(&session::environment).err();
    let common = &file.config.stack;
    let resources = stack.nodes().len();
    let what = format!(
        "{} is right: stack `{}` in {}, {resources} resources.",
        run.global.file.display(),
        common.name,
        common.region
    );
    run.screen.say(&what);
    if let Some(missing) = &missing {
        for mistake in missing.all() {
            run.screen.note(&format!("`plan` will need this: {}", mistake.message));
        }
    }
    if run.screen.json() {
        let missing = missing.iter().flat_map(|all| all.all().iter().map(|m| Place::of(all, m))).collect();
        let result =
            document::Validate { stack: common.name.clone(), region: common.region.clone(), missing };
        run.screen.document(&document::done(run.name, Code::Done, result));
    }
    Ok(Code::Done)
}
