//! `deploy adopt`: finds what people made, says what would become of it, and writes the claims. Changes nothing.

use super::Run;
use crate::{
    document,
    failure::{Code, Failure},
    session::{self, Session},
};
use causeway_aws::{Aws, Region, inventory, terraform};
use causeway_core::{
    Address, Stack,
    claim::{Candidate, Found},
    error::chain,
    guard::Refusal,
    plan::{Action, Plan, PlanOptions},
};
use futures::{StreamExt, stream};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

/// How many kinds are listed at once.
const AT_ONCE: usize = 8;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Look for things with this tag; may be repeated, and then all have to be there
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    by_tag: Vec<(String, String)>,
    /// Look for things whose name starts like this
    #[arg(long, value_name = "PREFIX")]
    by_name: Option<String>,
    /// Look for what this state of Terraform or OpenTofu names, as `terraform state pull` prints it; may be repeated
    #[arg(long, value_name = "FILE")]
    tfstate: Vec<PathBuf>,
    /// Write the lines for causeway.toml to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn tag(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let stack = file.stack(&file.given(&session::environment)?)?;
    let states = flags.tfstate.iter().map(|path| read(path, &file.config.stack.region));
    let state = states.collect::<Result<Vec<_>, _>>()?.into_iter().reduce(terraform::Named::and);
    let work = async |session: &Session| look(run, session, stack, state, flags).await;
    Session::within(run.global, file, run.screen, work).await
}

async fn look(
    run: &Run<'_>,
    session: &Session,
    mut stack: Stack,
    state: Option<terraform::Named>,
    flags: &Args,
) -> Result<Code, Failure> {
    let looking = state.is_some() || flags.by_name.is_some() || !flags.by_tag.is_empty();
    let (candidates, others) = match state {
        Some(named) => (named.candidates, named.others),
        None if looking => (listed(session, &stack).await?, BTreeSet::new()),
        None => (vec![], BTreeSet::new()),
    };
    let wanted = |candidate: &Candidate, tags: &Json| flags.want(candidate, tags);
    let candidates: Vec<Candidate> = candidates.into_iter().filter(|c| flags.may_want(c)).collect();
    let found = session.engine.fitting(&stack, &candidates, &wanted).await?;
    let mut new = BTreeMap::new();
    for (address, fits) in &found {
        if let Found::One(candidate) = fits {
            stack.claim(address, &candidate.identity);
            new.insert(address.clone(), candidate.clone());
        }
    }
    let planned = session.engine.plan(&stack, &PlanOptions::default()).await?;
    let lines = lines(&planned.plan, &new);
    if let Some(path) = &flags.output {
        write(path, &lines)?;
    }
    run.screen.say(&told(&planned.plan, &found));
    if !others.is_empty() {
        let types: Vec<&str> = others.iter().map(String::as_str).collect();
        run.screen.note(&format!("no part of this stack, so they stay where they are: {}", types.join(", ")));
    }
    if looking && new.is_empty() {
        run.screen.note("nothing was found that fits and is not claimed yet");
    }
    match &flags.output {
        Some(path) if !new.is_empty() => {
            run.screen
                .note(&format!("The lines are in {}: put them into the configuration.", path.display()));
        }
        None if !new.is_empty() && !run.screen.json() => {
            run.screen.say(&format!("\nFor {}:\n\n{lines}", run.global.file.display()));
        }
        _ => {}
    }
    let code = match planned.plan.claims.iter().all(|c| c.verdict.accepts()) {
        true => Code::Done,
        false => Code::Refused,
    };
    if run.screen.json() {
        let refusals = against(&planned.plan);
        let result = document::Adoption {
            cloud: session.cloud.clone(),
            claims: planned.plan.claims,
            found,
            refusals,
            lines,
            others,
        };
        run.screen.document(&document::done(run.name, code, result));
    }
    Ok(code)
}

impl Args {
    /// Whether a candidate may count, before it was looked at.
    fn may_want(&self, candidate: &Candidate) -> bool {
        // Ids say nothing; the `Name` tag may.
        let is_id = candidate.kind.starts_with("aws.ec2.");
        self.by_name.is_none() || is_id || self.is_named(&[&candidate.identity, &candidate.label])
    }

    fn want(&self, candidate: &Candidate, tags: &Json) -> bool {
        let label = tags.get("Name").and_then(Json::as_str).unwrap_or_default();
        self.is_named(&[&candidate.identity, &candidate.label, label])
            && self.by_tag.iter().all(|(key, value)| tags.get(key).and_then(Json::as_str) == Some(value))
    }

    /// Whether a name, or a part of it behind a `/`, starts as was asked for.
    fn is_named(&self, names: &[&str]) -> bool {
        let Some(prefix) = &self.by_name else { return true };
        names
            .iter()
            .any(|n| n.starts_with(prefix.as_str()) || n.split('/').any(|p| p.starts_with(prefix.as_str())))
    }
}

fn read(path: &Path, home: &str) -> Result<terraform::Named, Failure> {
    let file = path.display();
    let bytes = fs::read(path).map_err(|e| Failure::usage(format!("cannot read {file}: {e}")))?;
    terraform::parse(&bytes, home).map_err(|e| {
        Failure::usage(format!("{file} cannot be used: {}", chain(&e)))
            .hint("`terraform state pull > FILE` writes one that can be read")
    })
}

/// Everything that is there of the kinds that the stack wants.
async fn listed(session: &Session, stack: &Stack) -> Result<Vec<Candidate>, Failure> {
    let mut kinds: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for node in stack.nodes().values() {
        kinds.entry(node.kind).or_default().insert(node.place.label());
    }
    let mut clients: BTreeMap<String, Aws> = BTreeMap::new();
    let mut lists = vec![];
    for (kind, regions) in kinds {
        let all = if inventory::is_global(kind) { 1 } else { regions.len() };
        for region in regions.into_iter().take(all) {
            let new = || Aws::new(&session.sdk, &Region::new(&region));
            let aws = clients.entry(region.clone()).or_insert_with(new).clone();
            lists.push(async move { inventory::list(&aws, &region, kind).await });
        }
    }
    let answers: Vec<_> = stream::iter(lists).buffered(AT_ONCE).collect().await;
    let mut all = vec![];
    for answer in answers {
        let refused = |e| Failure::new(Code::Unavailable, format!("cannot look around: {}", chain(&e)));
        all.extend(answer.map_err(refused)?);
    }
    Ok(all)
}

/// What speaks against the claims.
fn against(plan: &Plan) -> Vec<Refusal> {
    let claimed = |a: &Address| plan.claims.iter().any(|c| c.address == *a);
    let conflicts = plan.conflicts.iter().filter(|c| claimed(&c.address));
    conflicts
        .map(|c| Refusal {
            address: Some(c.address.clone()),
            rule: "conflict".into(),
            field: None,
            why: c.why.clone(),
        })
        .collect()
}

/// A line for each claim, and what is left to decide.
fn told(plan: &Plan, found: &BTreeMap<Address, Found>) -> String {
    let mut out = String::new();
    for claim in &plan.claims {
        let sign = if claim.verdict.accepts() { '<' } else { '!' };
        out.push_str(&format!("{sign} {}\n", claim.line()));
        for refusal in against(plan).iter().filter(|r| r.address.as_ref() == Some(&claim.address)) {
            out.push_str(&format!("    {}\n", refusal.why));
        }
        let changed = plan.step(&claim.address).into_iter().flat_map(|s| &s.diff.changes);
        let fields: Vec<&str> =
            changed.map(|c| c.path.as_str()).filter(|path| !path.starts_with("tags.causeway:")).collect();
        if claim.verdict.accepts() && !fields.is_empty() {
            out.push_str(&format!("    changes {}\n", fields.join(", ")));
        }
    }
    for (address, several) in found {
        let Found::Several(fits) = several else { continue };
        out.push_str(&format!("? {address}  may stand for any of these; claim one of them:\n"));
        for fit in fits {
            let label = match fit.candidate.label.as_str() {
                "" => String::new(),
                label => format!(" ({label})"),
            };
            let differs = match fit.differs.as_slice() {
                [] => "as it is wanted".to_owned(),
                fields => format!("differs in {}", fields.join(", ")),
            };
            out.push_str(&format!("    {}{label}: {differs}\n", fit.candidate.identity));
        }
    }
    let count = |action: Action| plan.steps.iter().filter(|s| s.action == action).count();
    let refused = plan.claims.iter().filter(|c| !c.verdict.accepts()).count();
    out.push_str(&format!(
        "\n{} would be taken over, {refused} refused; {} would be made new.\n",
        plan.claims.len() - refused,
        count(Action::Create)
    ));
    out
}

/// The new claims as the configuration has them; those that are refused stay remarks.
fn lines(plan: &Plan, new: &BTreeMap<Address, Candidate>) -> String {
    let mut out = String::from("[adopt]\n");
    for (address, candidate) in new {
        let accepted = plan.claims.iter().any(|c| c.address == *address && c.verdict.accepts());
        let remark = if accepted { "" } else { "# refused: " };
        let label = match candidate.label.lines().next().unwrap_or_default() {
            "" => String::new(),
            label => format!(" # {label}"),
        };
        let (address, identity) = (quoted(&address.0), quoted(&candidate.identity));
        out.push_str(&format!("{remark}{address} = {identity}{label}\n"));
    }
    out
}

/// A basic string of TOML, which escapes as JSON does.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

fn write(path: &Path, lines: &str) -> Result<(), Failure> {
    // Never over a file that is there: a slip could name the configuration.
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(lines.as_bytes()))
        .map_err(|e| Failure::usage(format!("cannot write the lines to {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args(by_tag: &[(&str, &str)], by_name: Option<&str>) -> Args {
        Args {
            by_tag: by_tag.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            by_name: by_name.map(str::to_owned),
            tfstate: vec![],
            output: None,
        }
    }

    #[test]
    fn a_thing_counts_by_its_tags_and_its_names() {
        let candidate = |kind: &str, identity: &str| Candidate {
            kind: kind.into(),
            identity: identity.into(),
            label: String::new(),
            place: None,
        };
        let vpc = candidate("aws.ec2.vpc", "vpc-1");
        let logs = candidate("aws.logs.log_group", "/ecs/coder");
        let both = args(&[("app", "coder")], Some("coder"));
        assert!(both.may_want(&vpc) && both.may_want(&logs));
        assert!(both.want(&vpc, &json!({ "Name": "coder-vpc", "app": "coder" })));
        assert!(!both.want(&vpc, &json!({ "Name": "coder-vpc" })));
        assert!(!both.want(&vpc, &json!({ "app": "coder" })));
        assert!(args(&[], Some("coder")).want(&logs, &Json::Null));
        assert!(!args(&[], Some("web")).may_want(&logs));
        assert!(tag("app=coder").is_ok() && tag("app").is_err() && tag("=x").is_err());
    }
}
