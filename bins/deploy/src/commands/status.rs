//! `deploy status`: how it stands, on one screen.

use super::{Run, drift, outputs};
use crate::{
    document::{self, LastRun, Unfinished},
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::{
    Address, Stack,
    away::Away,
    engine::{Drift, Drifted},
    journal::{Phase, State},
    plan::PlanOptions,
};
use jiff::{Timestamp, Unit};
use serde_json::Value as Json;
use std::collections::BTreeMap;

pub(crate) async fn run(run: &Run<'_>) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let stack = file.stack(&file.given_to_read())?;
    Session::within(run.global, file, run.screen, async |session| look(run, session, &stack).await).await
}

async fn look(run: &Run<'_>, session: &Session, stack: &Stack) -> Result<Code, Failure> {
    let options = PlanOptions::default();
    // Both only look, so they can look at the same time.
    let (planned, drift) = tokio::join!(session.engine.plan(stack, &options), session.engine.drift());
    let (planned, Drifted { drift, away }) = (planned?, drift?);
    let code = if away.is_empty() { Code::Done } else { Code::Unavailable };
    let outputs = planned.outputs();
    let last_run = planned.state.last_run.as_ref().map(|last| LastRun {
        at: last.at.to_string(),
        actor: last.actor.clone(),
        digest: last.digest.clone(),
    });
    let unfinished = unfinished(&planned.state);
    let resources = planned.state.records.len();
    if run.screen.json() {
        let result = document::Status {
            stack: stack.name().to_owned(),
            cloud: session.cloud.clone(),
            outputs,
            last_run,
            resources,
            unfinished,
            drift,
            away,
        };
        run.screen.document(&document::done(run.name, code, result));
    } else {
        show(run, session, &planned.state, &outputs, &unfinished, &drift, &away);
    }
    Ok(code)
}

fn unfinished(state: &State) -> Vec<Unfinished> {
    let open = state.incarnations().filter(|(_, r)| r.phase != Phase::Ready);
    open.map(|(address, record)| {
        let phase = phase(record.phase).to_owned();
        Unfinished { address: address.clone(), phase, error: record.error.clone() }
    })
    .collect()
}

/// In a word.
pub(crate) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Creating => "creating",
        Phase::Updating => "changing",
        Phase::Deleting => "deleting",
        Phase::Ready => "ready",
    }
}

/// The outputs that people look for first, with the words for them; all others follow in `deploy outputs`.
const LINES: [(&str, &str); 6] = [
    ("access_url", "Access URL"),
    ("load_balancer", "Load balancer"),
    ("task_definition", "Revision"),
    ("image_digest", "Image"),
    ("database_address", "Database"),
    ("certificate_expires", "Certificate"),
];

fn show(
    run: &Run<'_>,
    session: &Session,
    state: &State,
    known: &BTreeMap<String, Json>,
    unfinished: &[Unfinished],
    drift: &[Drift],
    away: &[Away],
) {
    let screen = run.screen;
    let now = Timestamp::now();
    // What does not fit beside the name goes below it.
    let line = |name: &str, value: &str| {
        let value = value.replace('\n', &format!("\n{:18}", ""));
        screen.say(&format!("  {}  {value}", screen.quiet(&format!("{name:<14}"))));
    };
    let cloud = &session.cloud;
    let account = if cloud.sandbox { "a sandbox".into() } else { format!("AWS account {}", cloud.account) };
    screen.say(&format!("{}  {account}, {}", screen.title(&session.file.config.stack.name), cloud.region));
    screen.say("");
    // Values that need nothing to be there would look as if something were.
    let lines = LINES.into_iter().filter(|_| !state.records.is_empty());
    for (output, name) in lines {
        if let Some(value) = known.get(output).filter(|v| !v.is_null()) {
            line(name, &value_of(output, value, known, now));
        }
    }
    match &state.last_run {
        Some(last) => line("Last deploy", &format!("{}\nby {}", moment(last.at, now), last.actor)),
        None => line("Last deploy", "never; `deploy apply` makes the first"),
    }
    line("Journal", &session.store.place());
    line("Resources", &state.records.len().to_string());
    if !unfinished.is_empty() {
        line("Unfinished", &screen.news(false, &format!("{}; `deploy apply` goes on", unfinished.len())));
    }
    // What was not finished differs of course, and is told above.
    let begun = |address: &Address| unfinished.iter().any(|u| u.address == *address);
    let drift: Vec<Drift> = drift.iter().filter(|d| !begun(&d.address)).cloned().collect();
    let (good, text) = match drift.len() {
        _ if state.records.is_empty() => (true, "nothing is deployed".to_owned()),
        0 if !away.is_empty() => (true, "none where it can be seen".to_owned()),
        0 => (true, "none".to_owned()),
        n => (false, format!("{n} of the resources; `deploy apply` repairs it")),
    };
    line("Drift", &screen.news(good, &text));
    for one in away {
        line("Not reached", &screen.news(false, &format!("{one}\n{}", one.why)));
    }
    if !unfinished.is_empty() {
        let lines = unfinished.iter().map(|u| {
            let why = u.error.as_ref().map_or_else(String::new, |e| format!("  {e}"));
            format!("! {}  {}{why}\n", u.address, u.phase)
        });
        screen.say(&format!("\n{}", lines.collect::<String>()));
    }
    if !drift.is_empty() {
        screen.say(&format!("\n{}", drift::text(&drift).trim_end()));
    }
}

fn value_of(output: &str, value: &Json, known: &BTreeMap<String, Json>, now: Timestamp) -> String {
    let text = outputs::text(value);
    match output {
        // `arn:aws:ecs:..:task-definition/coder:12`: people say `coder:12`.
        "task_definition" => text.rsplit('/').next().unwrap_or(&text).to_owned(),
        "database_address" => match known.get("database_version").and_then(Json::as_str) {
            Some(version) => format!("PostgreSQL {version}\n{text}"),
            None => text,
        },
        // Enough to tell it from others; `deploy outputs` has all of it.
        "image_digest" if text.len() > 19 => format!("{}…", text.get(..19).unwrap_or(&text)),
        "certificate_expires" => match text.parse::<Timestamp>() {
            Ok(at) => format!("until {}", moment(at, now)),
            Err(_) => text,
        },
        _ => text,
    }
}

/// `2026-11-21 19:30 UTC (3 hours ago)`.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    let words = match now.since(at).and_then(|span| span.total(Unit::Second)) {
        Ok(seconds) if seconds >= 0.0 => format!("{} ago", about(seconds)),
        Ok(seconds) => format!("in {}", about(-seconds)),
        Err(_) => String::new(),
    };
    format!("{} ({words})", at.strftime("%Y-%m-%d %H:%M UTC"))
}

fn about(seconds: f64) -> String {
    let units = [(86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute")];
    let found = units.into_iter().find(|(size, _)| seconds >= *size);
    let Some((size, name)) = found else { return "a moment".into() };
    let n = (seconds / size).floor();
    if n < 2.0 { format!("1 {name}") } else { format!("{n} {name}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_say_how_far_they_are() {
        let now: Timestamp = "2026-11-21T19:30:00Z".parse().unwrap();
        let at = |text: &str| moment(text.parse().unwrap(), now);
        assert_eq!(at("2026-11-21T16:29:00Z"), "2026-11-21 16:29 UTC (3 hours ago)");
        assert_eq!(at("2027-11-21T19:30:00Z"), "2027-11-21 19:30 UTC (in 365 days)");
        assert_eq!(at("2026-11-21T19:29:50Z"), "2026-11-21 19:29 UTC (a moment ago)");
        assert_eq!(at("2026-11-20T19:00:00Z"), "2026-11-20 19:00 UTC (1 day ago)");
    }

    #[test]
    fn a_revision_is_named_as_people_say_it() {
        let arn = Json::from("arn:aws:ecs:us-east-1:123456789012:task-definition/coder:12");
        assert_eq!(value_of("task_definition", &arn, &BTreeMap::new(), Timestamp::UNIX_EPOCH), "coder:12");
    }
}
