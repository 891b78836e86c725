//! What a rehearsal does to the database: Coder migrates it when it starts, before anybody knows whether it works.

use crate::{failure::Failure, running::Running, session::Session};
use causeway_config::File;
use causeway_core::{
    Address, Stack,
    guard::Refusal,
    journal::State,
    plan::{PlanOptions, matches_pattern},
};
use causeway_stacks::ecs::{self, REHEARSAL, SERVICE, TASK, VERSION};
use jiff::Timestamp;
use serde_json::Value as Json;

/// Why a rehearsal must be permitted: it starts another version on a database that is in use.
pub(crate) fn migration(file: &File, state: &State, options: &PlanOptions) -> Option<Refusal> {
    let planned = |patterns: &[String]| patterns.iter().any(|p| matches_pattern(p, REHEARSAL));
    if !(options.only.is_empty() || planned(&options.only)) || planned(&options.except) {
        return None;
    }
    let config = file.config.ecs.as_ref().filter(|ecs| ecs.release.rehearse)?;
    // Before the first deployment nobody uses the database.
    state.records.get(&Address::from(SERVICE))?;
    let applied = state.records.get(&Address::from(TASK))?.request.spec.as_json();
    let applied = applied.get("tags").and_then(|t| t.get(VERSION)).and_then(Json::as_str);
    let wanted = ecs::version_tag(&config.image.version);
    if applied == Some(wanted.as_str()) {
        return None;
    }
    let why = format!(
        "the rehearsal of {wanted} would migrate the database that {} still uses, and should it fail, the earlier one \
         goes on running but could not start again; --allow-migration permits that, with a snapshot first",
        applied.unwrap_or("the running version")
    );
    Some(Refusal { address: Some(Address::from(REHEARSAL)), rule: "migration".into(), why })
}

/// Refuses such a rehearsal, or puts a snapshot before it.
///
/// # Errors
/// It was not allowed.
pub(crate) async fn prepare(
    session: &Session,
    stack: &mut Stack,
    mut options: PlanOptions,
    allowed: bool,
) -> Result<PlanOptions, Failure> {
    let state = session.engine.state().await?;
    let Some(refusal) = migration(&session.file, &state, &options) else { return Ok(options) };
    if !allowed {
        return Err(Failure::refused(vec![refusal]));
    }
    let running = Running::of(session).await?;
    let at = Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let snapshot = ecs::snapshot(stack, &session.file.config.stack, running.database()?, "migration", &at);
    stack.after(&Address::from(REHEARSAL), &snapshot);
    if !options.only.is_empty() {
        options.only.push(snapshot.0);
    }
    Ok(options)
}
