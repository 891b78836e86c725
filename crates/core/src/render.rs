//! Plans as text for people. Plain: the first character of a line says what it is about, and programs that have a
//! terminal colour by it.

use crate::{
    diff::{Change, FieldChange},
    guard::Refusal,
    plan::{Action, Plan, Step},
    value::members,
};
use serde_json::Value as Json;
use std::{fmt::Write, time::Duration};

/// How wide a value may be before it is cut.
const WIDE: usize = 90;

/// `plan` as text. `detail` shows the fields of what is created, too.
pub fn plan(plan: &Plan, detail: bool) -> String {
    let mut out = String::new();
    if plan.from_journal {
        let _ = writeln!(out, "! {FROM_JOURNAL}\n");
    }
    for (from, to) in &plan.moves {
        let _ = writeln!(out, "» {to}  (was `{from}`, and stays what it is)");
    }
    for step in &plan.steps {
        line(&mut out, step, detail);
    }
    for note in &plan.notes {
        let _ = writeln!(out, "! {}  {}", note.address, note.why);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(plan));
    out.push('\n');
    out
}

/// What people must know of a plan that was made without looking.
const FROM_JOURNAL: &str =
    "Not looked at: what is there is what the journal says. Nothing that others changed is seen or mended.";

/// One line: how many of what.
pub fn summary(plan: &Plan) -> String {
    let counts = plan.counts();
    let count = |actions: &[Action]| actions.iter().filter_map(|a| counts.get(a)).sum::<usize>();
    let parts: Vec<String> = [
        (plan.moves.len(), "moved"),
        (count(&[Action::Create]), "to create"),
        (count(&[Action::Adopt]), "to adopt"),
        (count(&[Action::Update]), "to change"),
        (count(&[Action::ReplaceCreateFirst, Action::ReplaceDeleteFirst]), "to replace"),
        (count(&[Action::Delete]), "to delete"),
        (count(&[Action::Wait]), "to wait for"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    let left = match plan.left_out.len() {
        0 => String::new(),
        left => format!(" Left out: {left} that would be changed as well."),
    };
    if plan.is_empty() && parts.is_empty() {
        return format!("Nothing to do: {} resources are as wanted.{left}", plan.unchanged);
    }
    format!("Plan: {}, {} unchanged.{left}", parts.join(", "), plan.unchanged)
}

/// As many characters of the details as fit into a comment of a code host, which takes 65,536 in all.
const COMMENT: usize = 55_000;

/// `plan` as Markdown for a pull request: the summary, a table of the steps, and the fields to unfold.
pub fn markdown(plan: &Plan, against: &[Refusal]) -> String {
    let mut out = format!("### {}\n\n{}\n", cell(&plan.stack), summary(plan));
    if !against.is_empty() {
        out.push_str("\n**`apply` would refuse this:**\n\n");
        for refusal in against {
            let about = refusal.address.as_ref().map_or_else(String::new, |a| format!("{}: ", code(&a.0)));
            let _ = writeln!(out, "- {about}{} [{}]", cell(&refusal.why), refusal.rule);
        }
    }
    if plan.from_journal {
        let _ = writeln!(out, "\n> {FROM_JOURNAL}");
    }
    for (from, to) in &plan.moves {
        let _ = writeln!(out, "\n> {} was {}, and stays what it is.", code(&to.0), code(&from.0));
    }
    for note in &plan.notes {
        let _ = writeln!(out, "\n> {}: {}", code(&note.address.0), cell(&note.why));
    }
    if plan.steps.is_empty() {
        return out;
    }
    let mut rows = String::from("\n| to be | resource | kind | why |\n| --- | --- | --- | --- |\n");
    let mut shown = 0;
    for step in &plan.steps {
        let why = step.why.as_deref().map(cell).unwrap_or_default();
        let (address, kind) = (code(&step.address.0), cell(&step.kind));
        let row = format!("| {} | {address} | {kind} | {why} |\n", deed(step.action));
        if out.len() + rows.len() + row.len() > COMMENT {
            break;
        }
        rows.push_str(&row);
        shown += 1;
    }
    out.push_str(&rows);
    if shown < plan.steps.len() {
        let _ = writeln!(out, "\n{} more steps are not shown.", plan.steps.len() - shown);
    }
    let (mut details, mut cut) = (String::new(), false);
    for step in &plan.steps {
        let mut text = String::new();
        line(&mut text, step, true);
        cut = out.len() + details.len() + text.len() > COMMENT;
        if cut {
            break;
        }
        details.push_str(&text);
    }
    // Longer than any run of backticks inside, so that no value ends the block.
    let fence = "`".repeat(longest_ticks(&details).max(2) + 1);
    let _ = write!(out, "\n<details><summary>Fields</summary>\n\n{fence}diff\n");
    for line in details.lines() {
        // `diff` blocks colour `!`, and know nothing of our other signs.
        let line =
            line.strip_prefix(['~', '±', '∓']).map_or_else(|| line.to_owned(), |rest| format!("!{rest}"));
        let _ = writeln!(out, "{line}");
    }
    let rest = if cut { "\nThe other steps do not fit here.\n" } else { "" };
    let _ = write!(out, "{fence}\n{rest}\n</details>\n");
    let _ = writeln!(out, "\nPlan {}", code(&plan.digest()));
    out
}

/// Text that is no Markdown and no HTML, on one line.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            // Backticks stay: our own reasons name fields in them.
            '|' | '*' | '_' | '[' | ']' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace(['`', '\n'], "").replace('|', "\\|"))
}

fn longest_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// What speaks against a plan, one line each.
pub fn refusals(refusals: &[Refusal]) -> String {
    let mut out = String::new();
    for r in refusals {
        let about = r.address.as_ref().map_or_else(String::new, |a| format!("{a}  "));
        let _ = writeln!(out, "! {about}{} [{}]", r.why, r.rule);
    }
    out
}

/// The sign of an action, as it stands at the start of its line.
pub fn sign(action: Action) -> &'static str {
    match action {
        Action::Keep => " ",
        Action::Create => "+",
        Action::Update => "~",
        Action::ReplaceCreateFirst => "±",
        Action::ReplaceDeleteFirst => "∓",
        Action::Delete => "-",
        Action::Adopt => "<",
        Action::Wait => "?",
        Action::Forget | Action::Record => ".",
    }
}

/// What an action has done once it is done: `created`.
pub fn deed(action: Action) -> &'static str {
    match action {
        Action::Keep => "kept",
        Action::Create => "created",
        Action::Update => "changed",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "replaced",
        Action::Delete => "deleted",
        Action::Adopt => "adopted",
        Action::Wait => "waited for",
        Action::Forget => "forgotten",
        Action::Record => "recorded",
    }
}

fn line(out: &mut String, step: &Step, detail: bool) {
    let _ = write!(out, "{} {}", sign(step.action), step.address);
    let _ = write!(out, "  {}", step.kind);
    let _ = writeln!(out, "{}", step.why.as_ref().map_or_else(String::new, |w| format!("  ({w})")));
    let quiet = matches!(step.action, Action::Create | Action::Wait) && !detail;
    if quiet {
        return;
    }
    for change in step.diff.changes.iter().filter(|c| !hidden(step, c)) {
        let _ = writeln!(out, "    {}: {}", change.path, changed(change, step.action));
    }
}

/// Ownership tags are ours to keep; they are worth a line only where somebody changed them.
fn hidden(step: &Step, change: &FieldChange) -> bool {
    change.path.starts_with("tags.causeway:") && matches!(step.action, Action::Create | Action::Adopt)
}

fn changed(change: &FieldChange, action: Action) -> String {
    match &change.change {
        Change::Set { to, .. } if matches!(action, Action::Create | Action::Wait) => value(to),
        Change::Set { from, to } => format!("{} -> {}", value(from), value(to)),
        Change::Removed { from } => format!("{} -> (default)", value(from)),
        Change::Unknown { to, .. } if matches!(action, Action::Create | Action::Wait) => value(to),
        Change::Unknown { from, to } => format!("{} -> {}", value(from), value(to)),
    }
}

/// A value in a few characters: references as `(known after network/vpc)`, secrets as `(secret)`.
pub fn value(json: &Json) -> String {
    let text = short(json);
    if text.chars().count() <= WIDE {
        return text;
    }
    let cut: String = text.chars().take(WIDE).collect();
    format!("{cut}…")
}

fn short(json: &Json) -> String {
    match json {
        Json::Null => "(none)".into(),
        Json::String(s) => format!("{s:?}"),
        Json::Array(a) => list(a),
        Json::Object(m) => {
            if let Some(r) = m.get("$ref").and_then(Json::as_str) {
                let from = r.split_once('#').map_or(r, |(a, _)| a);
                return format!("(known after {from})");
            }
            if let Some(parts) = m.get("$text").and_then(Json::as_array) {
                let part = |p: &Json| p.as_str().map_or_else(|| short(p), str::to_owned);
                return format!("\"{}\"", parts.iter().map(part).collect::<String>());
            }
            if m.contains_key("$sealed") {
                return "(secret)".into();
            }
            if let Some(prefix) = m.get("$generated").and_then(Json::as_str) {
                return format!("\"{prefix}-…\"");
            }
            if let Some(items) = members(json) {
                return list(items);
            }
            let fields: Vec<String> =
                m.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| format!("{k}: {}", short(v))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

fn list(items: &[Json]) -> String {
    format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", "))
}

/// A duration as people say it: `45s`, `12m 5s`, `1h 20m`.
pub fn duration(time: Duration) -> String {
    let s = time.as_secs();
    match (s / 3600, s % 3600 / 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m {s}s"),
        (h, 0, _) => format!("{h}h"),
        (h, m, _) => format!("{h}h {m}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diff::Diff, secret::Sealed};
    use serde_json::json;

    fn step(address: &str, action: Action, to: &str) -> Step {
        let change = Change::Set { from: json!("old"), to: json!(to) };
        Step {
            address: address.into(),
            kind: "aws.ec2.vpc".into(),
            place: "us-east-1".into(),
            action,
            instance: None,
            wanted: Sealed::default(),
            diff: Diff { changes: vec![FieldChange { path: "field".into(), change }] },
            why: Some("`field` is a|b".into()),
            data: false,
            protect: false,
            leftover: false,
        }
    }

    fn of(steps: Vec<Step>) -> Plan {
        Plan { format: 1, stack: "coder".into(), after: 3, steps, unchanged: 2, ..Plan::default() }
    }

    #[test]
    fn markdown_has_the_summary_the_steps_and_the_fields() {
        let plan = of(vec![step("network/vpc", Action::Update, "new"), step("key", Action::Delete, "x")]);
        let refusal = Refusal { address: Some("key".into()), rule: "data".into(), why: "holds data".into() };
        let text = markdown(&plan, &[refusal]);
        assert!(text.starts_with("### coder\n\nPlan: 1 to change, 1 to delete, 2 unchanged.\n"), "{text}");
        assert!(text.contains("- `key`: holds data [data]\n"), "{text}");
        assert!(text.contains("| changed | `network/vpc` | aws.ec2.vpc | `field` is a\\|b |\n"), "{text}");
        assert!(text.contains("```diff\n! network/vpc") && text.contains("    field: \"old\" -> \"new\"\n"));
        assert!(text.contains(&plan.digest()));
    }

    #[test]
    fn no_value_ends_the_block_and_no_plan_is_too_long() {
        let text = markdown(&of(vec![step("a", Action::Create, "```` </details>")]), &[]);
        assert!(text.contains("`````diff\n"), "{text}");
        let many = (0..5_000).map(|i| step(&format!("scope/resource-{i}"), Action::Create, "x"));
        let text = markdown(&of(many.collect()), &[]);
        assert!(text.chars().count() < 65_536 && text.contains("more steps are not shown"), "{}", text.len());
        let some = (0..700).map(|i| step(&format!("scope/resource-{i}"), Action::Create, "x"));
        let text = markdown(&of(some.collect()), &[]);
        assert!(text.chars().count() < 65_536 && text.contains("resource-699"), "{}", text.len());
        assert!(text.contains("do not fit here"));
    }

    #[test]
    fn nothing_to_do_is_one_line() {
        assert_eq!(markdown(&of(vec![]), &[]), "### coder\n\nNothing to do: 2 resources are as wanted.\n");
    }
}
