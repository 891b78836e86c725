//! `deploy outputs`: the values that the stack tells.

use super::Run;
use crate::{
    document,
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::plan::PlanOptions;
use serde_json::Value as Json;
use std::collections::BTreeMap;

pub(crate) async fn run(run: &Run<'_>) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let stack = file.stack(&file.given_to_read())?;
    let work = async |session: &Session| {
        let planned = session.engine.plan(&stack, &PlanOptions::default()).await?;
        Ok(planned.outputs())
    };
    let outputs = Session::within(run.global, file, run.screen, work).await?;
    show(run, &outputs);
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, document::Outputs { outputs }));
    }
    Ok(Code::Done)
}

/// `name = value`, aligned.
pub(crate) fn show(run: &Run<'_>, outputs: &BTreeMap<String, Json>) {
    let width = outputs.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in outputs {
        run.screen.whole(&format!("{name:<width$} = {}", text(value)));
    }
}

/// A value as people write it.
pub(crate) fn text(value: &Json) -> String {
    match value {
        Json::Null => "(not known yet)".into(),
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
