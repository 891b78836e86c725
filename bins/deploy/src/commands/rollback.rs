//! `deploy rollback`: back to a revision that ran. It is an apply of which only the revision of the service changes.

use super::{Run, answers, apply, rehearsal, saved};
use crate::{
    cli,
    failure::{Code, Failure},
    running::{self, Running, asked},
    session::{self, Past, Session},
};
use causeway_aws::{
    ecs::{Completed, Revision, Service, candidates, number},
    id::Arn,
};
use causeway_core::{
    Address, Value,
    journal::{Entry, Stamped},
    plan::PlanOptions,
    signature::SigningKey,
};
use causeway_stacks::ecs::{self, CONTAINER, SERVICE, VERSION};
use std::{collections::BTreeSet, path::PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Back to this revision, like 7, rather than to the one that ran before
    #[arg(long, value_name = "REVISION", value_parser = revision)]
    to: Option<u32>,
    /// I know that the database suits that version of Coder; a snapshot is taken first
    #[arg(long)]
    across_versions: bool,
    /// Sign the plan on the spot with this Ed25519 key, where `[guard]` names `plan_signers`
    #[arg(long, value_name = "KEYFILE")]
    sign: Option<PathBuf>,
    #[command(flatten)]
    overrules: cli::Overrules,
}

/// `7` or `coder:7`.
fn revision(text: &str) -> Result<u32, String> {
    let number = text.rsplit_once(':').map_or(text, |(_, number)| number);
    number.parse().map_err(|_| "expected the number of a revision, like 7".to_owned())
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    apply::may_ask(run)?;
    let key = flags.sign.as_deref().map(saved::signing_key).transpose()?;
    let file = session::configuration(run.global)?;
    let past = Past::read(run.global).await?;
    let work = async |session: &Session| go_back(run, session, &past.entries, key.as_ref(), flags).await;
    Session::within(run.global, file, run.screen, work).await
}

async fn go_back(
    run: &Run<'_>,
    session: &Session,
    entries: &[Stamped],
    key: Option<&SigningKey>,
    flags: &Args,
) -> Result<Code, Failure> {
    session.is_free().await?;
    let running = Running::of(session).await?;
    let ecs = &running.aws.ecs;
    let now = running.one_off().await?.task_definition;
    let mut completed = asked(|| ecs.completed(&running.cluster, &running.service)).await?;
    completed.extend(recorded(entries));
    let meant = running.meant.clone();
    let from = [&now, &meant].into_iter().max_by_key(|r| number(r)).unwrap_or(&now);
    let target = match flags.to {
        Some(to) => named(&running, &completed, from, to).await?,
        None => last(run, &running, &completed, from).await?,
    };
    if target.arn == now && target.arn == meant {
        let text = format!("{} is what runs; nothing was changed", running::id(&now));
        return Err(Failure::usage(text));
    }
    let others = versions_since(&running, &target, from).await?;
    let version = target.tags.get(VERSION).cloned();
    let same = version.is_some() && others.iter().all(|other| *other == version);
    if !same && !flags.across_versions {
        return Err(other_version(&target, version.as_deref(), &others));
    }
    let known = version.as_deref().unwrap_or("of an unknown version");
    run.screen.note(&format!("back from {} to {}, {known}", running::id(from), running::id(&target.arn)));

    let spec: Service = running.service_spec()?;
    let mut file = session.file.clone();
    // It ran before.
    file.config.ecs.iter_mut().for_each(|ecs| ecs.release.rehearse = false);
    // Values of secrets play no part in a service, and need not be at hand in an emergency.
    let mut stack = file.stack(&file.given_to_read())?;
    let service = Address::from(SERVICE);
    let wanted = Service { task_definition: Value::Known(Arn::from(target.arn.as_str())), ..spec };
    stack.instead(&service, &wanted);
    let mut only = vec![service.0.clone()];
    if !same {
        let at = rehearsal::now();
        let common = &session.file.config.stack;
        let snapshot = ecs::snapshot(&mut stack, common, running.database()?, "rollback", &at);
        stack.after(&service, &snapshot);
        only.push(snapshot.0);
    }
    let how = apply::How {
        options: PlanOptions { only, ..PlanOptions::default() },
        detail: false,
        permits: &cli::Permits { permit: vec![], overrules: flags.overrules.clone() },
        saved: None,
        signer: key.map(SigningKey::public),
        // What it goes back to has run before, and it is in a hurry.
        preflight: false,
        html: None,
    };
    let must_sign = key.is_none() && !session.file.config.guard.plan_signers.is_empty();
    let code = apply::carry_out(run, session, &stack, &how).await.map_err(|failure| match must_sign {
        true => failure.hint("`rollback --sign KEYFILE` signs it on the spot, with a key of `plan_signers`"),
        false => failure,
    })?;
    if code != Code::Done {
        return Ok(code);
    }
    run.screen.note(&format!(
        "the next `deploy apply` goes forward again, to what the file says; to stay here, let it say what {} runs:",
        running::id(&target.arn)
    ));
    let digest = target.images.get(CONTAINER).and_then(|i| i.split_once('@')).map(|(_, digest)| digest);
    if let (Some(version), Some(digest)) = (&version, digest) {
        run.screen.note("    [ecs.image], without `source`:");
        run.screen.note(&format!("    version = \"{version}\""));
        run.screen.note(&format!("    digest = \"{digest}\""));
    }
    answers::check(run, session).await
}

/// The deployments that the journal knows to have come to a good end.
fn recorded(entries: &[Stamped]) -> impl Iterator<Item = Completed> {
    entries.iter().filter_map(|stamped| match &stamped.entry {
        Entry::Done { address, outputs, .. } if address.0 == SERVICE => Some(Completed {
            task_definition: outputs.get("task_definition")?.as_str()?.to_owned(),
            at: stamped.at.as_second(),
        }),
        _ => None,
    })
}

fn refused(text: impl Into<String>) -> Failure {
    Failure::new(Code::Refused, text)
}

/// The revision that somebody named.
async fn named(running: &Running, completed: &[Completed], from: &str, to: u32) -> Result<Revision, Failure> {
    let all: BTreeSet<u32> = completed.iter().filter_map(|c| number(&c.task_definition)).collect();
    let arn = from.rsplit_once(':').map(|(family, _)| format!("{family}:{to}")).unwrap_or_default();
    if !all.contains(&to) {
        let known: Vec<String> = all.iter().map(u32::to_string).collect();
        let text = format!("{} never came to run completely; nothing was changed", running::id(&arn));
        return Err(refused(text).hint(format!("those did: {}", known.join(", "))));
    }
    match usable(running, &arn).await? {
        Ok(revision) => Ok(revision),
        Err(why) => Err(refused(format!("{} {why}; nothing was changed", running::id(&arn)))),
    }
}

/// The last one that completed before and can still run.
async fn last(
    run: &Run<'_>,
    running: &Running,
    completed: &[Completed],
    from: &str,
) -> Result<Revision, Failure> {
    for arn in candidates(completed, number(from).unwrap_or_default()) {
        match usable(running, &arn).await? {
            Ok(revision) => return Ok(revision),
            Err(why) => run.screen.note(&format!("{} is passed over: it {why}", running::id(&arn))),
        }
    }
    let text = format!("there is nothing to go back to from {}; nothing was changed", running::id(from));
    let hint = "an earlier revision must have run completely, and its image must still be in the repository";
    Err(refused(text).hint(hint))
}

/// The revision, or why it cannot run any more.
async fn usable(running: &Running, arn: &str) -> Result<Result<Revision, String>, Failure> {
    let (ecs, ecr) = (&running.aws.ecs, &running.aws.ecr);
    let Some(revision) = asked(|| ecs.revision(arn)).await?.filter(|r| r.is_active) else {
        return Ok(Err("is not registered any more".into()));
    };
    let Some(image) = revision.images.get(CONTAINER) else {
        return Ok(Err(format!("has no container `{CONTAINER}`")));
    };
    let Some((repository, digest)) = running.in_repository(image) else {
        return Ok(Err(format!(
            "runs {image}, which is not named by its digest in the repository of this stack, so nobody knows what that is now"
        )));
    };
    match asked(|| ecr.holds(&repository, digest)).await? {
        true => Ok(Ok(revision)),
        false => {
            Ok(Err(format!("runs an image that is not in the repository `{repository}` any more: {digest}")))
        }
    }
}

/// More revisions than anybody looks through.
const MOST: u32 = 60;

/// The versions of all later revisions that may have been started, and so may have migrated the database.
async fn versions_since(
    running: &Running,
    target: &Revision,
    from: &str,
) -> Result<Vec<Option<String>>, Failure> {
    let ecs = &running.aws.ecs;
    let (Some(first), Some(last)) = (number(&target.arn), number(from)) else { return Ok(vec![None]) };
    let Some((family, _)) = target.arn.rsplit_once(':') else { return Ok(vec![None]) };
    if last.saturating_sub(first) > MOST {
        return Ok(vec![None]);
    }
    // Forward it is the other way round: what runs now has seen the database last.
    let (low, high) = if first <= last { (first + 1, last) } else { (last, first - 1) };
    let mut versions = vec![];
    for number in low..=high {
        let arn = format!("{family}:{number}");
        let revision = asked(|| ecs.revision(&arn)).await?;
        versions.push(revision.and_then(|r| r.tags.get(VERSION).cloned()));
    }
    Ok(versions)
}

fn other_version(target: &Revision, version: Option<&str>, others: &[Option<String>]) -> Failure {
    let names: BTreeSet<&str> = others.iter().map(|o| o.as_deref().unwrap_or("an unknown one")).collect();
    let names: Vec<&str> = names.into_iter().filter(|n| Some(*n) != version).collect();
    let text = format!(
        "{} is {}, and {} may have run since and migrated the database; nothing was changed",
        running::id(&target.arn),
        version.unwrap_or("of an unknown version"),
        names.join(", ")
    );
    refused(text)
        .hint("Coder migrates its database when it starts, and an earlier Coder does not start on a later schema")
        .hint("if you know that the schemas are the same, --across-versions goes back, with a snapshot of the database first")
        .hint("else go forward with a fixed version, or restore a snapshot from before under another identifier")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_a_number() {
        assert_eq!((revision("7"), revision("coder:7")), (Ok(7), Ok(7)));
        assert!(revision("coder").is_err() && revision("coder:x").is_err());
    }

    #[test]
    fn a_refusal_names_the_versions() {
        let target = Revision {
            arn: "arn:aws:ecs:r:0:task-definition/coder:3".into(),
            is_active: true,
            images: std::collections::BTreeMap::new(),
            tags: std::collections::BTreeMap::new(),
        };
        let others = [Some("v2.28.3".to_owned()), Some("v2.29.0".to_owned()), None];
        let text = format!("{:?}", other_version(&target, Some("v2.28.3"), &others));
        assert!(text.contains("coder:3 is v2.28.3, and an unknown one, v2.29.0 may have run"), "{text}");
    }
}
