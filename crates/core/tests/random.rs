//! Random stacks, applied one after the other with random faults and with the power going at random moments: the last
//! one is reached, as if it had been the first.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    Stack,
    plan::PlanOptions,
    render,
    testing::{
        crash::Sim,
        sim::{Fault, Verb, When},
    },
    value::Name,
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use std::{fmt::Debug, str::FromStr};
use web::{Web, nothing};

/// One apply: what is wanted, when the power goes, and how often which fault hits.
#[derive(Clone, Debug)]
struct Act {
    wanted: Option<[u8; 9]>,
    crash: Option<usize>,
    fault: (u8, u64),
}

fn stack(choice: Option<[u8; 9]>) -> Stack {
    let Some([cidr, role, path, image, password, backup, gateway, service, tag]) = choice else {
        return nothing();
    };
    let odd = |n: u8| !n.is_multiple_of(2);
    let one_of = |n: u8| usize::from(n % 3);
    let web = Web {
        cidr: if odd(cidr) { "10.0.0.0/16" } else { "10.0.0.0/8" },
        dns: odd(backup).then_some(false),
        role: [Name::from("web"), Name::from("web-two"), Name::generated("web")][one_of(role)].clone(),
        role_path: odd(path).then_some("/service"),
        policy: if odd(image) { "read" } else { "write" },
        image: ["web:1", "web:2", "web:3"][one_of(image)],
        password: if odd(password) { "first" } else { "second" },
        backup_days: [None, Some(3), Some(7)][one_of(backup)],
        gateway: one_of(gateway) != 0,
        gateway_size: [None, Some(2), Some(3)][one_of(gateway)],
        service: one_of(service) != 0,
        count: u32::from(service),
        tag: [None, Some("red"), Some("blue")][one_of(tag)],
        ..Web::default()
    };
    web.stack()
}

fn fresh(seed: u64) -> Sim {
    let sim = Sim::new(seed);
    sim.cloud.plant("sim.lookup", serde_json::json!({ "name": "base" }), None);
    sim
}

/// What is wrong at the end.
async fn played(seed: u64, acts: &[Act]) -> Result<(), String> {
    let (sim, options) = (fresh(seed), PlanOptions::default());
    for act in acts {
        let (which, percent) = act.fault;
        let faults = [Fault::Throttled, Fault::LostBefore, Fault::LostAfter, Fault::NotNow, Fault::Refused];
        for verb in [Verb::Create, Verb::Update, Verb::Delete] {
            sim.cloud.fault(None, verb, When::Percent(percent), faults[usize::from(which % 5)].clone());
        }
        sim.fuse.arm(act.crash);
        let wanted = stack(act.wanted);
        tokio::select! {
            biased;
            () = sim.fuse.gone() => {}
            _ = sim.apply(&wanted, &options) => {}
        }
        sim.fuse.arm(None);
        sim.cloud.heal();
    }
    let wanted = stack(acts.last().and_then(|a| a.wanted));
    let mut last = Ok(());
    for _ in 0..4 {
        last = sim.run(&wanted, &options).await.map(drop);
        if last.is_ok() && sim.plan(&wanted, &options).await.is_ok_and(|p| p.steps.is_empty()) {
            break;
        }
    }
    last?;
    let plan = sim.plan(&wanted, &options).await.map_err(|e| causeway_core::error::chain(&e))?;
    if !plan.steps.is_empty() {
        return Err(format!("something is left to do: {}", render::plan(&plan, true)));
    }
    let state = sim.state();
    let (orphans, duplicates) = (sim.cloud.orphans(&state), sim.cloud.duplicates());
    if !orphans.is_empty() || !duplicates.is_empty() {
        return Err(format!("orphans {orphans:?}, duplicates {duplicates:?}"));
    }
    let calm = fresh(seed);
    calm.run(&wanted, &options).await?;
    if calm.cloud.inventory() != sim.cloud.inventory() {
        return Err(format!("it ends elsewhere:\n{}\n{}", calm.cloud.inventory(), sim.cloud.inventory()));
    }
    Ok(())
}

fn act() -> impl Strategy<Value = Act> {
    let wanted = prop_oneof![1 => Just(None), 9 => any::<[u8; 9]>().prop_map(Some)];
    let crash = prop::option::weighted(0.7, 0usize..70);
    (wanted, crash, (any::<u8>(), prop_oneof![2 => Just(0u64), 1 => 0u64..30]))
        .prop_map(|(wanted, crash, fault)| Act { wanted, crash, fault })
}

/// The number in the environment variable `name`, or `usual`.
fn asked<N: FromStr<Err: Debug>>(name: &str, usual: N) -> N {
    std::env::var(name).map_or(usual, |n| n.parse().unwrap())
}

fn outcome(seed: u64, acts: &[Act]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(played(seed, acts))
}

/// The same histories in every run, so that it fails for a change and never by chance. `CAUSEWAY_SEED` asks for others,
/// `CAUSEWAY_CASES` for more.
#[test]
fn the_last_stack_is_reached_whatever_happened_before() {
    let (cases, rng) = (asked("CAUSEWAY_CASES", 200u32), asked("CAUSEWAY_SEED", 1u64));
    let mut runner = TestRunner::new(Config {
        cases,
        rng_seed: RngSeed::Fixed(rng),
        max_shrink_iters: 2000,
        failure_persistence: None,
        ..Config::default()
    });
    let histories = (any::<u64>(), prop::collection::vec(act(), 1..4));
    let result = runner.run(&histories, |(seed, acts)| outcome(seed, &acts).map_err(TestCaseError::fail));
    if let Err(e) = result {
        panic!("with CAUSEWAY_CASES={cases} CAUSEWAY_SEED={rng}: {e}");
    }
}

fn crashed(wanted: [u8; 9], crash: usize) -> Act {
    Act { wanted: Some(wanted), crash: Some(crash), fault: (0, 0) }
}

fn calm(wanted: [u8; 9]) -> Act {
    Act { wanted: Some(wanted), crash: None, fault: (0, 0) }
}

#[test]
fn a_parent_that_is_taken_back_with_children_half_made_under_both() {
    let acts = [
        crashed([14, 0, 0, 0, 0, 0, 67, 0, 0], 28),
        crashed([1, 0, 0, 0, 0, 0, 22, 0, 0], 10),
        calm([158, 0, 0, 0, 0, 0, 0, 0, 0]),
    ];
    outcome(0, &acts).unwrap();
}
