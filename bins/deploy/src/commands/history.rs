//! `deploy history`: the runs that the journal tells of.

use super::{Run, status::moment};
use crate::{
    document,
    failure::{Code, Failure},
    session::Past,
};
use causeway_core::history::{self, Deed, Outcome, PastRun, What};
use jiff::Timestamp;

pub(crate) async fn run(run: &Run<'_>) -> Result<Code, Failure> {
    let past = Past::read(run.global).await?;
    let runs = history::runs(&past.entries);
    if runs.is_empty() {
        run.screen.say("The journal knows no runs.");
    }
    for past in &runs {
        run.screen.say(&text(past, Timestamp::now()));
    }
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, document::History { runs }));
    }
    Ok(Code::Done)
}

fn text(run: &PastRun, now: Timestamp) -> String {
    let mut out = format!("@{} to @{}, {}, {}\n", run.first, run.last, moment(run.at, now), run.actor);
    out.push_str(&format!("    plan {}\n", run.digest));
    for overruled in &run.overruled {
        out.push_str(&format!("! overruled [{}]: {}\n", overruled.rule, overruled.why));
    }
    for (from, to) in &run.moves {
        out.push_str(&format!("» {to}  was {from}\n"));
    }
    for deed in &run.deeds {
        out.push_str(&line(deed));
    }
    out
}

fn line(deed: &Deed) -> String {
    let (sign, done) = match deed.act {
        What::Create => ('+', "created"),
        What::Adopt => ('<', "adopted"),
        What::Update => ('~', "changed"),
        What::Delete => ('-', "deleted"),
        What::Forget => ('.', "found gone"),
        What::Note => ('.', "noted"),
    };
    let (address, seq) = (&deed.address, deed.seq);
    let copy = deed.copy.as_ref().map_or_else(String::new, |copy| format!("; its data is in {copy}"));
    match &deed.outcome {
        Outcome::Done => format!("{sign} {address}  {done} @{seq}{copy}\n"),
        Outcome::Failed(why) => {
            let why = why.replace('\n', "\n      ");
            format!("! {address}  was to be {done} @{seq} and failed\n      {why}\n")
        }
        Outcome::Open => {
            format!("! {address}  was to be {done} @{seq}; the run ended before that was sure\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_did_not_come_to_an_end_is_not_told_as_done() {
        let deed = |outcome| {
            let instance = "i".to_owned();
            line(&Deed { seq: 7, address: "a/b".into(), instance, act: What::Create, outcome, copy: None })
        };
        assert_eq!(deed(Outcome::Done), "+ a/b  created @7\n");
        assert!(deed(Outcome::Open).starts_with("! a/b  was to be created @7;"));
        assert!(deed(Outcome::Failed("one\ntwo".into())).ends_with("failed\n      one\n      two\n"));
    }
}
