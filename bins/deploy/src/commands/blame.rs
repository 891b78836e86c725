//! `deploy blame`: which run set a field.

use super::{Run, status::moment};
use crate::{
    document,
    failure::{Code, Failure},
    session::Past,
};
use causeway_core::{
    history::{self, Blame, What},
    render,
};
use jiff::Timestamp;

pub(crate) async fn run(run: &Run<'_>, field: &str) -> Result<Code, Failure> {
    let past = Past::read(run.global).await?;
    let blame = history::blame(&past.entries, field)?;
    run.screen.say(&text(&blame, Timestamp::now()));
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, blame));
    }
    Ok(Code::Done)
}

fn text(blame: &Blame, now: Timestamp) -> String {
    let dot = if blame.field.starts_with('#') { "" } else { "." };
    let mut out = format!("{}{dot}{} = {}\n", blame.address, blame.field, render::value(&blame.value));
    let how = match blame.act {
        Some(What::Create) => "when it was created",
        Some(What::Adopt) => "when it was adopted",
        Some(What::Update) => "when it was changed",
        Some(What::Delete | What::Forget | What::Note) | None => "in this run",
    };
    out.push_str(&format!("    {how}, entry @{}, {}\n", blame.seq, moment(blame.at, now)));
    out.push_str(&format!("    by {}\n    plan {}", blame.actor, blame.digest));
    if blame.unsure {
        out.push_str("\n    a later change was begun and not finished: AWS may have another value");
    }
    out
}
