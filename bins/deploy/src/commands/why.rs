//! `deploy why`: the reasons of a plan for one resource.

use super::{Run, plan};
use crate::{
    cli::Scope,
    document,
    failure::{Code, Failure},
    session::Session,
};
use causeway_core::{
    Address,
    diff::Change,
    engine::Planned,
    estimate::Expected,
    plan::Action,
    render, undo,
    why::{self, FieldWhy, Why},
};
use std::{collections::BTreeSet, time::Duration};

pub(crate) async fn run(run: &Run<'_>, address: &str) -> Result<Code, Failure> {
    let work = async |session: &Session, planned: Planned| {
        let estimate = session.engine.estimate(&planned);
        Ok(why::why(&planned, &estimate, session.engine.registry(), &address.into()))
    };
    let why = plan::planned(run, &Scope::whole(), work).await?;
    let none = || Failure::usage(format!("neither the configuration nor the journal has `{address}`"));
    let why = why.ok_or_else(|| none().hint("`deploy plan` and `deploy state list` show addresses"))?;
    run.screen.say(&text(&why));
    if run.screen.json() {
        run.screen.document(&document::done(run.name, Code::Done, why));
    }
    Ok(Code::Done)
}

fn text(why: &Why) -> String {
    let mut out = format!("{} {}  {}\n", render::sign(why.action), why.address, why.kind);
    let deed = match why.action {
        Action::Keep => "stays".to_owned(),
        action => format!("to be {}", render::deed(action)),
    };
    out.push_str(&format!("    {deed}: {}\n", why.rule));
    if let Some(undo) = &why.undo {
        out.push_str(&format!("    {}: {}\n", undo::word(undo.mark), undo.why));
    }
    for expected in &why.expected {
        out.push_str(&format!("    {}\n", takes(expected)));
    }
    for note in &why.notes {
        out.push_str(&format!("    {note}\n"));
    }
    for field in &why.fields {
        out.push_str(&of_field(field, matches!(why.action, Action::Create | Action::Wait)));
    }
    let mut all = |title: &str, addresses: &BTreeSet<Address>| {
        if !addresses.is_empty() {
            let names: Vec<&str> = addresses.iter().map(|a| a.0.as_str()).collect();
            out.push_str(&format!("    {title} {}\n", names.join(", ")));
        }
    };
    all("after", &why.after);
    all("before", &why.needed_by);
    out
}

/// When a step runs, and how long.
fn takes(expected: &Expected) -> String {
    let said = |ms| render::duration(render::rounded(Duration::from_millis(ms)));
    let known = match expected.seen {
        0 => "as the kind says".to_owned(),
        n => format!("the journal knows {n} such steps"),
    };
    let critical = if expected.critical { "; on the critical path" } else { "" };
    format!(
        "begins after {}, takes {}, 9 times of 10 at most {} ({known}){critical}",
        said(expected.start_ms),
        said(expected.p50_ms),
        said(expected.p90_ms)
    )
}

/// That the fields of something new are wanted goes without saying.
fn of_field(field: &FieldWhy, new: bool) -> String {
    let path = &field.change.path;
    let change = match &field.change.change {
        Change::Set { from, to } | Change::Unknown { from, to } if from.is_null() => render::value(to),
        Change::Set { from, to } | Change::Unknown { from, to } => {
            format!("{} -> {}", render::value(from), render::value(to))
        }
        Change::Removed { from } => format!("{} -> (default)", render::value(from)),
    };
    let mut out = format!("    {path}: {change}\n");
    if !new {
        out.push_str(&format!("        {}\n", field.rule));
    }
    for input in &field.inputs {
        let unknown =
            input.unknown.as_ref().map_or_else(String::new, |why| format!(", not known yet: {why}"));
        out.push_str(&format!("        from {}{unknown}\n", input.reference));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::{diff::FieldChange, why::Input};
    use serde_json::json;

    #[test]
    fn a_field_says_its_rule_and_what_it_is_made_from() {
        let change = Change::Unknown { from: json!(null), to: json!({ "$ref": "network/vpc#vpc_id" }) };
        let unknown = Some("`network/vpc` is to be replaced".to_owned());
        let field = FieldWhy {
            change: FieldChange { path: "vpc_id".into(), change },
            rule: "it may differ".into(),
            inputs: vec![Input { reference: "network/vpc#vpc_id".into(), unknown }],
        };
        assert_eq!(
            of_field(&field, false),
            "    vpc_id: (known after network/vpc)\n        it may differ\n        \
             from network/vpc#vpc_id, not known yet: `network/vpc` is to be replaced\n"
        );
        assert!(!of_field(&field, true).contains("it may differ"));
    }
}
