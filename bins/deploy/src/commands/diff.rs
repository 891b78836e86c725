//! `deploy diff`: what changed in the journal between two of its entries.

use super::Run;
use crate::{
    cli, document,
    failure::{Code, Failure},
    session::Past,
};
use causeway_core::{
    history::{self, Became, Difference},
    render,
};

pub(crate) async fn run(run: &Run<'_>, flags: &cli::Diff) -> Result<Code, Failure> {
    let past = Past::read(run.global).await?;
    let (from, to) = (flags.from, flags.to.unwrap_or(past.state.seq));
    let differences = history::between(&past.entries, from, to)?;
    if differences.is_empty() {
        run.screen.say(&format!("Nothing differs between @{from} and @{to}."));
    } else {
        run.screen.say(differences.iter().map(text).collect::<String>().trim_end());
    }
    if run.screen.json() {
        let result = document::Differences { from, to, differences };
        run.screen.document(&document::done(run.name, Code::Done, result));
    }
    Ok(Code::Done)
}

/// The fields of what was added or removed are all of them, and are told by `state show` or `--json`.
fn text(one: &Difference) -> String {
    let (sign, fields) = match one.became {
        Became::Added => ('+', false),
        Became::Removed => ('-', false),
        Became::Replaced => ('±', true),
        Became::Changed => ('~', true),
    };
    let left = if one.leftover { "  (replaced, to be removed)" } else { "" };
    let mut out = format!("{sign} {}  {}{left}\n", one.address, one.kind);
    for field in one.fields.iter().filter(|_| fields) {
        let (from, to) = (render::value(&field.from), render::value(&field.to));
        out.push_str(&format!("    {}: {from} -> {to}\n", field.path));
    }
    out
}
