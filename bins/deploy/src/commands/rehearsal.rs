//! What a rehearsal does to the database: Coder migrates it when it starts, before anybody knows whether it works.

use crate::{failure::Failure, running::Running, session::Session};
use causeway_config::File;
use causeway_core::{Address, Stack, guard::Refusal, journal::State, plan::PlanOptions};
use causeway_stacks::ecs::{self, REHEARSAL, SERVICE, TASK, VERSION};
use jiff::Timestamp;
use serde_json::Value as Json;

/// What a plan says that may migrate the database; with it stands the time in the name of the snapshot.
pub(crate) const MIGRATION: &str = "migration";

/// A time for the name of a snapshot.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string()
}

/// Why a rehearsal must be permitted: it starts another version on a database that is in use.
pub(crate) fn migration(file: &File, state: &State, options: &PlanOptions) -> Option<Refusal> {
    if !options.wants(&Address::from(REHEARSAL), &file.config.stack.region) {
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
    Some(Refusal { address: Some(Address::from(REHEARSAL)), rule: "migration".into(), field: None, why })
}

/// Refuses such a rehearsal, or, if it was `allowed` at a time, puts the snapshot of that time before it. Answers whether
/// there is one.
///
/// # Errors
/// It was not allowed.
pub(crate) async fn prepare(
    session: &Session,
    stack: &mut Stack,
    options: &mut PlanOptions,
    allowed: Option<&str>,
) -> Result<bool, Failure> {
    let state = session.engine.state().await?;
    let Some(refusal) = migration(&session.file, &state, options) else { return Ok(false) };
    let Some(at) = allowed else { return Err(Failure::refused(vec![refusal])) };
    let running = Running::of(session).await?;
    let snapshot = ecs::snapshot(stack, &session.file.config.stack, running.database()?, "migration", at);
    stack.after(&Address::from(REHEARSAL), &snapshot);
    if !options.only.is_empty() && !options.only.contains(&snapshot.0) {
        options.only.push(snapshot.0);
    }
    Ok(true)
}
