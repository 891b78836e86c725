//! `deploy state`: what the journal knows.

use super::{Run, rebuild, relocate, status::phase, unlock};
use crate::{
    cli,
    document::{self, Incarnation, Recorded, StateList, StateShow},
    failure::{Code, Failure},
    session::Past,
};
use causeway_core::{
    Address,
    history::HistoryError,
    journal::{Record, State},
    render,
};
use serde_json::Value as Json;

pub(crate) async fn run(run: &Run<'_>, what: &cli::State) -> Result<Code, Failure> {
    match what {
        cli::State::List => list(run, &Past::read(run.global).await?.state),
        cli::State::Show { address } => show(run, &Past::read(run.global).await?.state, address)?,
        cli::State::Move(flags) => return relocate::run(run, flags).await,
        cli::State::Rebuild => return rebuild::run(run).await,
        cli::State::Unlock(flags) => return unlock::run(run, flags).await,
    }
    Ok(Code::Done)
}

fn recorded(state: &State, address: &Address, record: &Record) -> Recorded {
    Recorded {
        address: address.clone(),
        kind: record.request.kind.clone(),
        place: record.request.place.label(),
        instance: record.instance.clone(),
        phase: phase(record.phase).to_owned(),
        at: record.at.to_string(),
        protect: record.request.protect,
        leftover: state.records.get(address).is_none_or(|r| r.instance != record.instance),
    }
}

fn list(run: &Run<'_>, state: &State) {
    let mut resources: Vec<Recorded> = state.incarnations().map(|(a, r)| recorded(state, a, r)).collect();
    resources.sort_by(|a, b| (&a.address, a.leftover).cmp(&(&b.address, b.leftover)));
    let width = |of: fn(&Recorded) -> &str| resources.iter().map(|r| of(r).len()).max().unwrap_or_default();
    let (addresses, kinds) = (width(|r| &r.address.0), width(|r| &r.kind));
    for r in &resources {
        let mut what = r.phase.clone();
        if r.leftover {
            what.push_str(", to be removed");
        }
        if r.protect {
            what.push_str(", protected");
        }
        let line = format!("{:<addresses$}  {:<kinds$}  {}  {what}", r.address.0, r.kind, r.place);
        run.screen.whole(&line);
    }
    if resources.is_empty() {
        run.screen.say("The journal knows no resources.");
    }
    if run.screen.json() {
        let list = StateList { last: state.seq, resources };
        run.screen.document(&document::done(run.name, Code::Done, list));
    }
}

fn show(run: &Run<'_>, state: &State, wanted: &str) -> Result<(), Failure> {
    let found = state.incarnations().filter(|(address, _)| address.0 == wanted);
    let incarnations: Vec<Incarnation> = found
        .map(|(address, record)| Incarnation {
            resource: recorded(state, address, record),
            after: record.request.after.clone(),
            spec: record.request.spec.clone(),
            outputs: record.outputs.clone(),
            error: record.error.clone(),
        })
        .collect();
    if incarnations.is_empty() {
        return Err(HistoryError::NoResource(wanted.to_owned()).into());
    }
    for incarnation in &incarnations {
        run.screen.say(&text(incarnation));
    }
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, StateShow { incarnations }));
    }
    Ok(())
}

fn text(incarnation: &Incarnation) -> String {
    let r = &incarnation.resource;
    let left = if r.leftover { ", was replaced and is to be removed" } else { "" };
    let mut out = format!("{}  {} in {}{left}\n", r.address, r.kind, r.place);
    let mut line = |name: &str, value: &str| out.push_str(&format!("  {name:<11}  {value}\n"));
    line("incarnation", &r.instance);
    line("phase", &format!("{} since {}", r.phase, r.at));
    if r.protect {
        line("protected", "yes");
    }
    if let Some(error) = &incarnation.error {
        line("error", error);
    }
    if !incarnation.after.is_empty() {
        let after: Vec<&str> = incarnation.after.iter().map(|a| a.0.as_str()).collect();
        line("needs", &after.join(", "));
    }
    for (title, json) in
        [("spec", Some(incarnation.spec.as_json())), ("outputs", incarnation.outputs.as_ref())]
    {
        let fields = json.and_then(Json::as_object).into_iter().flatten();
        let lines =
            fields.filter(|(_, v)| !v.is_null()).map(|(k, v)| format!("    {k}: {}\n", render::value(v)));
        let lines: String = lines.collect();
        if !lines.is_empty() {
            out.push_str(&format!("  {title}\n{lines}"));
        }
    }
    out
}
