//! `deploy init --bootstrap`: the bucket of the journal. It cannot be part of the stack whose journal it holds.

use super::{Run, rebuild::regions};
use crate::{
    document::{self, JournalMade},
    failure::{Code, Failure},
    journal::Bucket,
    session::{self, Session},
};
use causeway_aws::{AwsStack, id::Arn, s3};
use causeway_core::{
    Address, Engine, Stack,
    diff::{Change, FieldChange},
    engine::{self, Planned},
    plan::{Plan, PlanOptions},
    resource::Owner,
    store::{MemoryStore, Store},
};
use std::sync::Arc;

/// The stack that such buckets say they belong to. Many stacks can share one.
const STACK: &str = "causeway-state";
const ADDRESS: &str = "bucket";
/// How long snapshots and leases that were replaced are kept.
const DAYS: i32 = 90;

pub(crate) async fn run(run: &Run<'_>) -> Result<Code, Failure> {
    let file = session::settled(run.global).await?;
    let Some(bucket) = file.config.state.s3.as_ref().map(|s3| Bucket::of(s3, &file)) else {
        let failure = Failure::usage("the configuration names no bucket, so there is nothing to make");
        return Err(failure.hint("write `[state]` and `s3 = { bucket = \"NAME\" }` into it"));
    };
    let name = run.global.file.display().to_string();
    let work = async |session: &Session| make(run, session, &bucket).await;
    let made = Session::anywhere(run.global, file, run.screen, work).await?;
    if run.screen.json() {
        let result = document::Init { file: name, journal: Some(made) };
        run.screen.document(&document::done(run.name, Code::Done, result));
    }
    Ok(Code::Done)
}

async fn make(run: &Run<'_>, session: &Session, bucket: &Bucket) -> Result<JournalMade, Failure> {
    let (made, differs) = ensure(session, bucket).await?;
    let (name, region) = (&bucket.name, &bucket.region);
    run.screen.say(&match (made, differs.is_empty()) {
        (true, _) => is_made(bucket),
        (false, true) => format!("The bucket `{name}` in {region} is as it should be."),
        (false, false) => {
            format!("The bucket `{name}` is not ours, and stays as it is. We would have made it with")
        }
    });
    for line in &differs {
        run.screen.say(&format!("    {line}"));
    }
    let store = bucket.store(&session.sdk);
    let entries = store.load().await.map_err(engine::EngineError::Load)?.len() as u64;
    let place = store.place();
    run.screen.say(&match entries {
        0 => format!("{place} is ready for a journal: `deploy plan` comes next."),
        n => format!("{place} holds a journal of {n} entries."),
    });
    Ok(JournalMade { place, made, differs, entries })
}

/// Says that `apply` will make the bucket of the journal, if it will.
///
/// # Errors
/// Something carries the tags of the stack already: then the bucket was there, and its journal is lost. A new one would make
/// everything a second time that is not found by its name.
pub(crate) async fn foretell(run: &Run<'_>, session: &Session, planned: &Planned) -> Result<(), Failure> {
    let Some(Bucket { name, region, .. }) = session.place.to_be_made(&session.sdk).await? else {
        return Ok(());
    };
    let there = causeway_aws::tagged(&session.sdk, &regions(planned.stack()), planned.stack().name()).await;
    let there = there.map_err(|e| {
        let why = format!("nobody can say whether something of this stack is there: {}", e.chain());
        Failure::new(Code::Unavailable, why)
    })?;
    if let Some(first) = there.first() {
        let why = format!(
            "the bucket `{name}` of the journal does not exist, and {} of this stack are there, like {} ({}): its journal is lost",
            there.len(),
            first.id,
            first.address
        );
        let hint = "`deploy init --bootstrap` makes the bucket, and `deploy state rebuild` the journal";
        return Err(Failure::new(Code::Refused, why).hint(hint));
    }
    run.screen.note(&format!(
        "The bucket `{name}` for the journal does not exist yet: `apply` makes it first, in {region}, versioned, \
         encrypted and private."
    ));
    Ok(())
}

/// Makes the bucket of the journal, if it is missing and is to be made.
///
/// # Errors
/// When it cannot be made.
pub(crate) async fn before_the_first(run: &Run<'_>, session: &Session) -> Result<(), Failure> {
    if let Some(bucket) = session.place.to_be_made(&session.sdk).await? {
        ensure(session, bucket).await?;
        run.screen.note(&is_made(bucket));
    }
    Ok(())
}

fn is_made(bucket: &Bucket) -> String {
    format!("The bucket `{}` in {} is made: versioned, encrypted, private.", bucket.name, bucket.region)
}

/// Makes the bucket, or what it is like as it should be: whether it was made, and how it differs if it is not ours.
async fn ensure(session: &Session, bucket: &Bucket) -> Result<(bool, Vec<String>), Failure> {
    let mut stack = Stack::new(STACK);
    let mut wanted = s3::Bucket::private(bucket.name.as_str(), DAYS);
    wanted.kms_key = bucket.kms_key.clone().map(|key| Arn(key).into());
    stack.region(&bucket.region, |stack| stack.add(ADDRESS, wanted));
    // What the bucket is like stands at the bucket; a journal of its own would have to be kept somewhere, too.
    let engine = Engine::new(session.engine.registry().clone(), Arc::new(MemoryStore::default()));
    let planned = engine.plan(&stack, &PlanOptions { adopt: true, ..PlanOptions::default() }).await?;
    let address = Address::from(ADDRESS);
    let owner = planned.observed.live.get(&address).map(|live| live.owner.clone());
    let made = owner.is_none();
    match owner {
        // Somebody else decides what it is like.
        Some(Owner::Tagged { ref stack, .. }) if stack != STACK => Ok((made, differences(&planned.plan))),
        Some(Owner::Nobody) => Ok((made, differences(&planned.plan))),
        _ => {
            let how = engine::Run { actor: session::actor(), ..engine::Run::default() };
            let report = engine.apply(planned, &how).await?;
            if let Some((_, why)) = report.failed.first() {
                let why = format!("the bucket `{}` could not be made as it should be: {why}", bucket.name);
                return Err(Failure::new(Code::Partial, why));
            }
            Ok((made, vec![]))
        }
    }
}

/// What we would have wanted otherwise, tags aside.
fn differences(plan: &Plan) -> Vec<String> {
    let changes = plan.steps.iter().flat_map(|step| &step.diff.changes);
    let changes = changes.filter(|c| c.path != "tags" && !c.path.starts_with("tags."));
    let line = |c: &FieldChange| match &c.change {
        Change::Set { from, to } | Change::Unknown { from, to } => format!("{}: {to} (is {from})", c.path),
        Change::Removed { from } => format!("{}: unset (is {from})", c.path),
    };
    changes.map(line).collect()
}
