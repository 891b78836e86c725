//! `deploy drift`: what differs from the last apply.

use super::{Run, plan};
use crate::{
    cli::Part,
    document,
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_core::{
    Stack,
    diff::Change,
    engine::{Drift, Drifted},
    render,
};

pub(crate) async fn run(run: &Run<'_>, part: &Part) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    Session::within(run.global, file, run.screen, async |session| show(run, session, part).await).await
}

async fn show(run: &Run<'_>, session: &Session, part: &Part) -> Result<Code, Failure> {
    let recorded = plan::known(&Stack::new(""), &session.engine.state().await?);
    let options = plan::part(run, part, &recorded, "the journal")?;
    plan::fits(&options, &recorded)?;
    let Drifted { drift, away } = session.engine.drift().await?.limited(&options);
    let code = match drift.is_empty() {
        _ if !away.is_empty() => Code::Unavailable,
        true => Code::Done,
        false => Code::Changes,
    };
    run.screen.say(render::away(&away).trim_end());
    if drift.is_empty() && !away.is_empty() {
        run.screen.say("No drift where it can be seen.");
    } else if drift.is_empty() {
        run.screen.say("No drift: everything is as it was applied last.");
    } else {
        run.screen.say(&text(&drift));
        run.screen.say(&format!("{} as applied last. `deploy apply` repairs it.", counted(drift.len())));
    }
    plan::unseen(run, &away);
    if run.screen.json() {
        let result = document::Drifted { cloud: session.cloud.clone(), drift, away };
        run.screen.document(&document::done(run.name, code, result));
    }
    Ok(code)
}

fn counted(n: usize) -> String {
    if n == 1 { "1 resource is not".into() } else { format!("{n} resources are not") }
}

/// Each resource, with the fields that differ: what was applied, and what is there.
pub(crate) fn text(drift: &[Drift]) -> String {
    let mut out = String::new();
    for one in drift {
        out.push_str(&format!("~ {}  {}  {}\n", one.address, one.kind, one.what));
        for field in &one.diff.changes {
            let (applied, there) = match &field.change {
                Change::Set { from, to } | Change::Unknown { from, to } => (render::value(to), from),
                Change::Removed { from } => ("(none)".to_owned(), from),
            };
            out.push_str(&format!("    {}: {applied} applied, {} there\n", field.path, render::value(there)));
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::diff::{Diff, FieldChange};
    use serde_json::json;

    #[test]
    fn what_was_applied_comes_before_what_is_there() {
        let change = Change::Set { from: json!(443), to: json!(80) };
        let diff = Diff { changes: vec![FieldChange { path: "port".into(), change }] };
        let (place, what) = ("us-west-2".into(), "differs".into());
        let drift = Drift { address: "a/rule".into(), kind: "aws.x".into(), place, diff, what };
        assert_eq!(text(&[drift]), "~ a/rule  aws.x  differs\n    port: 80 applied, 443 there\n\n");
    }
}
