//! Plans as text for people. Plain: the first character of a line says what it is about, and programs that have a
//! terminal colour by it.

use crate::{
    away::Away,
    diff::{Change, FieldChange},
    estimate::{Estimate, Expected},
    guard::Refusal,
    plan::{Action, Plan, Step},
    undo::{Mark, word},
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
    out.push_str(&away(&plan.away));
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
    if let Some(undo) = undo(plan) {
        out.push_str(&undo);
        out.push('\n');
    }
    out
}

/// What people must know of a plan that was made without looking.
const FROM_JOURNAL: &str =
    "Not looked at: what is there is what the journal says. Nothing that others changed is seen or mended.";

/// The places that cannot be reached, what waits for them and why, a line each, and a line that is empty; nothing where
/// all can be.
pub fn away(away: &[Away]) -> String {
    let mut out: String = away.iter().map(|one| format!("! {one} ({})\n", one.why)).collect();
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// What of `plan` cannot be taken back, or only somehow; none where all of it can.
pub fn undo(plan: &Plan) -> Option<String> {
    let count = |mark| plan.steps.iter().filter(|s| s.undo.as_ref().is_some_and(|u| u.mark == mark)).count();
    let parts: Vec<String> = [
        (count(Mark::Irreversible), "cannot be taken back [irreversible]"),
        (count(Mark::Compensable), "can be taken back only in part [compensable]"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{n} {what}"))
    .collect();
    (!parts.is_empty()).then(|| format!("Of these, {}.", parts.join(", ")))
}

/// How long a plan takes, what decides that, and what would shorten it. Empty if there is nothing to wait for.
pub fn estimate(estimate: &Estimate) -> String {
    if estimate.p90_ms == 0 {
        return String::new();
    }
    let guessed = |ms| duration(rounded(Duration::from_millis(ms)));
    let mut out = format!("Takes {}", taking(estimate));
    let known = estimate.steps.iter().filter(|s| s.seen > 0).count();
    let _ = match known {
        0 => writeln!(out, ", as far as is known before the first run."),
        n => writeln!(out, "; the journal knows {n} of {} durations.", estimate.steps.len()),
    };
    // What takes next to nothing decides next to nothing.
    let path: Vec<&Expected> = estimate.critical_path().collect();
    let worth = |s: &&&Expected| s.p50_ms * 50 >= estimate.p50_ms;
    let named: Vec<String> =
        path.iter().filter(worth).map(|s| format!("{} ({})", s.address, guessed(s.p50_ms))).collect();
    let quick = path.len() - named.len();
    let rest =
        if quick > 0 && !named.is_empty() { format!(", and {quick} quick ones") } else { String::new() };
    let _ = writeln!(out, "Critical path: {}{rest}", named.join(", "));
    for shorter in shorter(estimate) {
        let _ = writeln!(out, "Shorter: {shorter}");
    }
    out
}

/// `about 12m, 9 times of 10 at most 16m`.
pub fn taking(estimate: &Estimate) -> String {
    let (p50, p90) = (duration(rounded(estimate.p50())), duration(rounded(estimate.p90())));
    if p50 == p90 { format!("about {p50}") } else { format!("about {p50}, 9 times of 10 at most {p90}") }
}

/// What would shorten it, in a sentence each.
pub fn shorter(estimate: &Estimate) -> Vec<String> {
    let guessed = |ms| duration(rounded(Duration::from_millis(ms)));
    let mut out = vec![];
    if let Some(gain) = estimate.gains.first() {
        out.push(format!("by {} if `{}` took no time", guessed(gain.gain_ms), gain.address));
    }
    let slots = estimate.p50_ms.saturating_sub(estimate.unlimited_ms);
    if slots * 10 > estimate.p50_ms {
        let (at_once, gain) = (estimate.at_once, guessed(slots));
        out.push(format!("by {gain} if more than {at_once} steps ran at a time"));
    }
    out
}

/// Without the seconds that a guess cannot know.
pub fn rounded(time: Duration) -> Duration {
    let seconds = time.as_millis().div_ceil(1000) as u64;
    let step = match seconds {
        0..=20 => 1,
        21..=90 => 5,
        91..=600 => 30,
        _ => 60,
    };
    Duration::from_secs(seconds.div_ceil(step) * step)
}

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
    let (unseen, seen) = match plan.away.is_empty() {
        true => (String::new(), ""),
        false => (format!(" Not reached: {}.", places(&plan.away)), " where it can be seen"),
    };
    if plan.is_empty() && parts.is_empty() {
        return format!("Nothing to do{seen}: {} resources are as wanted.{left}{unseen}", plan.unchanged);
    }
    format!("Plan: {}, {} unchanged.{left}{unseen}", parts.join(", "), plan.unchanged)
}

/// The names of places that cannot be reached.
pub fn places(away: &[Away]) -> String {
    away.iter().map(|one| one.place.as_str()).collect::<Vec<_>>().join(", ")
}

/// As many characters of the details as fit into a comment of a code host, which takes 65,536 in all.
const COMMENT: usize = 55_000;

/// `plan` as Markdown for a pull request: the summary, how long it takes, a table of the steps, and the fields to
/// unfold.
pub fn markdown(plan: &Plan, takes: &Estimate, against: &[Refusal]) -> String {
    let mut out = format!("### {}\n\n{}\n", cell(&plan.stack), summary(plan));
    if let Some(undo) = undo(plan) {
        let _ = writeln!(out, "\n{}", undo.replace(['[', ']'], "**"));
    }
    for line in estimate(takes).lines() {
        let _ = writeln!(out, "\n{}", cell(line));
    }
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
    for one in &plan.away {
        let _ = writeln!(out, "\n> **{}** ({})", cell(&one.to_string()), cell(&one.why));
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
    let mut rows =
        String::from("\n| to be | resource | kind | undo | why |\n| --- | --- | --- | --- | --- |\n");
    let mut shown = 0;
    for step in &plan.steps {
        let why = step.why.as_deref().map(cell).unwrap_or_default();
        let (address, kind) = (code(&step.address.0), cell(&step.kind));
        let undo = match step.undo.as_ref().map(|u| u.mark) {
            Some(Mark::Irreversible) => "**irreversible**",
            Some(mark) => word(mark),
            None => "",
        };
        let row = format!("| {} | {address} | {kind} | {undo} | {why} |\n", deed(step.action));
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

/// The mark of a step that is harder to take back than its sign says.
fn mark(step: &Step) -> Option<&'static str> {
    let usual = if step.action.removes() { Mark::Compensable } else { Mark::Reversible };
    let undo = step.undo.as_ref().filter(|u| u.mark > usual)?;
    Some(word(undo.mark))
}

fn line(out: &mut String, step: &Step, detail: bool) {
    let _ = write!(out, "{} {}", sign(step.action), step.address);
    let _ = write!(out, "  {}", step.kind);
    let _ = write!(out, "{}", step.why.as_ref().map_or_else(String::new, |w| format!("  ({w})")));
    let _ = writeln!(out, "{}", mark(step).map_or_else(String::new, |m| format!("  [{m}]")));
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

/// As [`value`], however long it is.
pub fn whole(json: &Json) -> String {
    short(json)
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
    use crate::{diff::Diff, secret::Sealed, undo::Undo};
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
            holds: None,
            protect: false,
            leftover: false,
            undo: (action == Action::Delete)
                .then(|| Undo { mark: Mark::Irreversible, why: "its data goes with it".into() }),
        }
    }

    fn takes() -> Estimate {
        let expected = Expected {
            address: "network/vpc".into(),
            action: Action::Update,
            start_ms: 0,
            p50_ms: 600_000,
            p90_ms: 1_080_000,
            seen: 0,
            critical: true,
        };
        Estimate {
            at_once: 10,
            p50_ms: 600_000,
            p90_ms: 1_080_000,
            steps: vec![expected],
            ..Estimate::default()
        }
    }

    fn of(steps: Vec<Step>) -> Plan {
        Plan { format: 1, stack: "coder".into(), after: 3, steps, unchanged: 2, ..Plan::default() }
    }

    #[test]
    fn durations_are_no_more_precise_than_a_guess() {
        let rounded = |s| duration(rounded(Duration::from_millis(s)));
        assert_eq!([rounded(0), rounded(40), rounded(19_500), rounded(41_000)], ["0s", "1s", "20s", "45s"]);
        assert_eq!([rounded(130_000), rounded(601_000)], ["2m 30s", "11m"]);
    }

    #[test]
    fn markdown_has_the_summary_the_steps_and_the_fields() {
        let plan = of(vec![step("network/vpc", Action::Update, "new"), step("key", Action::Delete, "x")]);
        let refusal = Refusal {
            address: Some("key".into()),
            rule: "data".into(),
            field: None,
            why: "holds data".into(),
        };
        let text = markdown(&plan, &takes(), &[refusal]);
        assert!(text.starts_with("### coder\n\nPlan: 1 to change, 1 to delete, 2 unchanged.\n"), "{text}");
        assert!(text.contains("\n\nTakes about 10m, 9 times of 10 at most 18m"), "{text}");
        assert!(text.contains("\n\nCritical path: network/vpc (10m)\n"), "{text}");
        assert!(text.contains("Of these, 1 cannot be taken back **irreversible**."), "{text}");
        assert!(text.contains("- `key`: holds data [data]\n"), "{text}");
        assert!(text.contains("| changed | `network/vpc` | aws.ec2.vpc |  | `field` is a\\|b |\n"), "{text}");
        assert!(text.contains("| deleted | `key` | aws.ec2.vpc | **irreversible** |"), "{text}");
        assert!(text.contains("```diff\n! network/vpc") && text.contains("    field: \"old\" -> \"new\"\n"));
        assert!(text.contains(&plan.digest()));
    }

    #[test]
    fn no_value_ends_the_block_and_no_plan_is_too_long() {
        let text = markdown(&of(vec![step("a", Action::Create, "```` </details>")]), &takes(), &[]);
        assert!(text.contains("`````diff\n"), "{text}");
        let many = (0..5_000).map(|i| step(&format!("scope/resource-{i}"), Action::Create, "x"));
        let text = markdown(&of(many.collect()), &takes(), &[]);
        assert!(text.chars().count() < 65_536 && text.contains("more steps are not shown"), "{}", text.len());
        let some = (0..700).map(|i| step(&format!("scope/resource-{i}"), Action::Create, "x"));
        let text = markdown(&of(some.collect()), &takes(), &[]);
        assert!(text.chars().count() < 65_536 && text.contains("resource-699"), "{}", text.len());
        assert!(text.contains("do not fit here"));
    }

    #[test]
    fn nothing_to_do_is_one_line() {
        assert_eq!(
            markdown(&of(vec![]), &Estimate::default(), &[]),
            "### coder\n\nNothing to do: 2 resources are as wanted.\n"
        );
    }
}
