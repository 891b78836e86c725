//! `deploy state rebuild`: a journal that was lost, made again from tags and names.

use super::{Run, apply};
use crate::{
    document::{self, Rebuilt},
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::{Stack, error::chain, rebuild::Found};
use serde_json::Value as Json;
use std::collections::BTreeSet;

pub(crate) async fn run(run: &Run<'_>) -> Result<Code, Failure> {
    apply::may_ask(run)?;
    let file = session::configuration(run.global)?;
    let stack = file.stack(&file.given(&session::environment)?)?;
    let work = async |session: &Session| rebuild(run, session, &stack).await;
    Session::within(run.global, file, run.screen, work).await
}

async fn rebuild(run: &Run<'_>, session: &Session, stack: &Stack) -> Result<Code, Failure> {
    let tagged = causeway_aws::tagged(&session.sdk, &regions(stack), stack.name()).await;
    let tagged = tagged.map_err(|e| {
        Failure::new(Code::Unavailable, format!("what carries our tags could not be listed: {}", chain(&e)))
    })?;
    let rebuilt = session.engine.rebuild(stack, &tagged).await?;
    let screen = run.screen;
    for found in &rebuilt.found {
        screen.say(&format!("= {}  {}", found.address, text(found)));
    }
    for address in &rebuilt.missing {
        screen.say(&format!(". {address}  is not there; apply makes it"));
    }
    for unknown in &rebuilt.unknown {
        screen.say(&format!("? {}  {}", unknown.address, unknown.why));
    }
    let counts = [rebuilt.found.len(), rebuilt.missing.len(), rebuilt.unknown.len()];
    let [found, missing, unknown] = counts;
    screen.say(&format!("\n{found} found, {missing} not there, {unknown} left out."));
    if !run.global.yes && !screen.confirm("Write this as the new journal?") {
        return Err(Failure::new(Code::Refused, "not confirmed; nothing was written"));
    }
    let place = session.store.place();
    let result = Rebuilt {
        journal: place.clone(),
        found: rebuilt.found.clone(),
        missing: rebuilt.missing.clone(),
        unknown: rebuilt.unknown.clone(),
    };
    session.engine.write(rebuilt, &session::actor()).await?;
    screen.say(&format!(
        "The journal is in {place}. Gone with the old one: who did what and when, what was applied and"
    ));
    screen.say("is not wanted any more, and how long things take. Look at `deploy plan` before you apply.");
    if screen.json() {
        screen.document(&document::done(run.name, Code::Done, result));
    }
    Ok(Code::Done)
}

/// The regions that anything of `stack` is in.
pub(crate) fn regions(stack: &Stack) -> Vec<String> {
    let places = stack.nodes().values().map(|node| node.place.spec.json());
    let regions = places.filter_map(|place| place.get("region").and_then(Json::as_str).map(str::to_owned));
    regions.collect::<BTreeSet<_>>().into_iter().collect()
}

fn text(found: &Found) -> String {
    let mut out = format!("found, incarnation {}", found.instance);
    if found.leftover {
        out.push_str(", was replaced: the next apply removes it");
    }
    if let Some(on) = &found.waits_for {
        out.push_str(&format!(", not ready: {on}"));
    }
    if !found.sent_again.is_empty() {
        out.push_str(&format!("; sent again by the next apply: {}", found.sent_again.join(", ")));
    }
    if !found.assumed.is_empty() {
        out.push_str(&format!("; never shown, taken as configured: {}", found.assumed.join(", ")));
    }
    out
}
