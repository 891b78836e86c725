//! A journal that is lost after a random history and made again from the cloud.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    Stack,
    diff::Change,
    engine::EngineError,
    plan::{Action, Plan, PlanOptions},
    rebuild::Rebuilt,
    render,
    store::MemoryStore,
    testing::crash::Sim,
    value::Name,
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use std::sync::Arc;
use web::{Web, nothing};

fn stack(choice: [u8; 6]) -> Stack {
    let [cidr, role, image, backup, gateway, service] = choice;
    let odd = |n: u8| !n.is_multiple_of(2);
    let one_of = |n: u8| usize::from(n % 3);
    let web = Web {
        cidr: if odd(cidr) { "10.0.0.0/16" } else { "10.0.0.0/8" },
        dns: odd(backup).then_some(false),
        role: [Name::from("web"), Name::from("web-two"), Name::from("three")][one_of(role)].clone(),
        policy: if odd(image) { "read" } else { "write" },
        image: ["web:1", "web:2", "web:3"][one_of(image)],
        backup_days: [None, Some(3), Some(7)][one_of(backup)],
        gateway: one_of(gateway) != 0,
        gateway_size: [None, Some(2), Some(3)][one_of(gateway)],
        service: one_of(service) != 0,
        count: u32::from(service),
        tag: [None, Some("red"), Some("blue")][one_of(cidr)],
        ..Web::default()
    };
    web.stack()
}

fn fresh(seed: u64) -> Sim {
    let sim = Sim::new(seed);
    sim.cloud.plant("sim.lookup", serde_json::json!({ "name": "base" }), None);
    sim
}

/// Loses the journal and makes it again.
async fn rebuilt(sim: &mut Sim, wanted: &Stack) -> Result<Rebuilt, String> {
    let say = |e: EngineError| causeway_core::error::chain(&e);
    sim.store = Arc::new(MemoryStore::default());
    let engine = sim.engine();
    let (tagged, mutations) = (sim.cloud.tagged("web"), sim.cloud.mutations());
    let rebuilt = engine.rebuild(wanted, &tagged).await.map_err(say)?;
    if sim.cloud.mutations() != mutations || !sim.store.entries().is_empty() {
        return Err("looking changed something".into());
    }
    engine.write(rebuilt.clone(), "test").await.map_err(say)?;
    if sim.cloud.mutations() != mutations {
        return Err("writing the journal changed the cloud".into());
    }
    Ok(rebuilt)
}

/// What a plan says beyond what a rebuilt journal cannot know: the secret that is sent again.
fn beyond(plan: &Plan) -> Vec<String> {
    let secret = |step: &&causeway_core::plan::Step| {
        step.action == Action::Record
            || step.action == Action::Update
                && step.address.0 == "database"
                && step.diff.changes.iter().all(|c| {
                    c.path == "password" && matches!(&c.change, Change::Set { from, .. } if from.is_null())
                })
    };
    let steps = plan.steps.iter().filter(|s| !secret(s)).map(|s| format!("{s:?}"));
    steps.chain(plan.conflicts.iter().map(|c| format!("{c:?}"))).collect()
}

/// What is wrong after the journal was lost at rest.
async fn at_rest(seed: u64, history: &[[u8; 6]]) -> Result<(), String> {
    let (mut sim, options) = (fresh(seed), PlanOptions::default());
    for choice in history {
        sim.run(&stack(*choice), &options).await?;
    }
    let wanted = history.last().map_or_else(nothing, |c| stack(*c));
    let before = sim.cloud.inventory();
    let old = sim.state();
    let found = rebuilt(&mut sim, &wanted).await?;
    if !found.unknown.is_empty() || !found.missing.is_empty() {
        return Err(format!("unknown {:?}, missing {:?}", found.unknown, found.missing));
    }
    let new = sim.state();
    let known = |state: &causeway_core::journal::State| {
        let tagged = state.records.iter().filter(|(_, r)| r.request.spec.as_json().get("tags").is_some());
        tagged.map(|(a, r)| (a.clone(), r.instance.clone(), r.outputs.clone())).collect::<Vec<_>>()
    };
    if known(&old) != known(&new) || old.records.len() != new.records.len() {
        return Err(format!("other records:\n{:?}\n{:?}", known(&old), known(&new)));
    }
    let plan = sim.plan(&wanted, &options).await.map_err(|e| causeway_core::error::chain(&e))?;
    let more = beyond(&plan);
    if !more.is_empty() {
        return Err(format!("the plan says more: {more:?}\n{}", render::plan(&plan, true)));
    }
    sim.run(&wanted, &options).await?;
    let plan = sim.plan(&wanted, &options).await.map_err(|e| causeway_core::error::chain(&e))?;
    if !plan.steps.is_empty() {
        return Err(format!("something is left to do: {}", render::plan(&plan, true)));
    }
    let (orphans, duplicates) = (sim.cloud.orphans(&sim.state()), sim.cloud.duplicates());
    if !orphans.is_empty() || !duplicates.is_empty() {
        return Err(format!("orphans {orphans:?}, duplicates {duplicates:?}"));
    }
    if sim.cloud.inventory() != before {
        return Err(format!("something else is there:\n{before}\n{}", sim.cloud.inventory()));
    }
    // The new journal knows enough to take everything away again.
    sim.run(&nothing(), &options).await?;
    let left = sim.cloud.tagged("web");
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
}

/// What is wrong after the power went in the middle of a run and the journal with it.
async fn in_the_middle(seed: u64, history: &[[u8; 6]], crash: usize) -> Result<(), String> {
    let (mut sim, options) = (fresh(seed), PlanOptions::default());
    let wanted = history.last().map_or_else(nothing, |c| stack(*c));
    for choice in &history[..history.len() - 1] {
        sim.run(&stack(*choice), &options).await?;
    }
    sim.fuse.arm(Some(crash));
    tokio::select! {
        biased;
        () = sim.fuse.gone() => {}
        _ = sim.apply(&wanted, &options) => {}
    }
    sim.fuse.arm(None);
    // Until every tag can be searched, and what was on its way is there.
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    let found = rebuilt(&mut sim, &wanted).await?;
    let orphans = sim.cloud.orphans(&sim.state());
    let told = |orphan: &String| {
        found.unknown.iter().any(|u| orphan.starts_with(u.why.split('`').nth(1).unwrap_or("?")))
    };
    if let Some(orphan) = orphans.iter().find(|o| !told(o)) {
        return Err(format!("not told: {orphan}; unknown {:?}", found.unknown));
    }
    // What cannot be known may be in the way, but nothing is made twice.
    let _ = sim.apply(&wanted, &options).await;
    let duplicates = sim.cloud.duplicates();
    if duplicates.is_empty() { Ok(()) } else { Err(format!("duplicates {duplicates:?}")) }
}

fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), String>) {
    let config =
        Config { cases, rng_seed: RngSeed::Fixed(11), failure_persistence: None, ..Config::default() };
    let verdict = TestRunner::new(config).run(strategy, |value| test(value).map_err(TestCaseError::fail));
    if let Err(wrong) = verdict {
        panic!("{wrong}");
    }
}

fn run(work: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

#[test]
fn after_any_history_a_lost_journal_is_made_again_and_nothing_is_made_twice() {
    let histories = (any::<u64>(), prop::collection::vec(any::<[u8; 6]>(), 1..4));
    check(40, &histories, |(seed, history)| run(at_rest(seed, &history)));
}

#[test]
fn a_journal_that_is_lost_in_the_middle_of_a_run_leaves_nothing_untold() {
    let histories = (any::<u64>(), prop::collection::vec(any::<[u8; 6]>(), 1..4), 1usize..60);
    check(40, &histories, |(seed, history, crash)| run(in_the_middle(seed, &history, crash)));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_there_is_not_made_again() {
    let sim = fresh(1);
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    let refused = sim.engine().rebuild(&Web::default().stack(), &[]).await;
    assert!(matches!(refused, Err(EngineError::NotLost { .. })));
}

#[tokio::test(start_paused = true)]
async fn without_an_index_of_tags_what_has_no_name_is_told_to_be_missing() {
    let mut sim = fresh(1);
    let wanted = Web::default().stack();
    sim.run(&wanted, &PlanOptions::default()).await.unwrap();
    sim.store = Arc::new(MemoryStore::default());
    let found = sim.engine().rebuild(&wanted, &[]).await.unwrap();
    assert!(found.missing.contains(&"network/network".into()), "{:?}", found.missing);
    assert!(found.found.iter().any(|f| f.address.0 == "role"));
}
