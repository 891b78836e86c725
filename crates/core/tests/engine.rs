//! What the engine promises, each at least once, on the simulated cloud.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    Address, Stack, Stop,
    engine::{EngineError, Run},
    error::chain,
    event::Event,
    guard::{Rules, guard},
    journal::{Act, Entry, Phase, Stamped, State},
    plan::{Action, Plan, PlanOptions},
    render,
    store::Store,
    testing::{
        crash::{Sim, all_rules},
        sim::{Fault, Network, Role, Verb, When},
    },
    value::Name,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use web::{Web, nothing, place};

fn fresh() -> Sim {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim
}

fn usual() -> PlanOptions {
    PlanOptions::default()
}

fn adopting() -> PlanOptions {
    PlanOptions { adopt: true, ..usual() }
}

async fn standing() -> Sim {
    let sim = fresh();
    sim.run(&Web::default().stack(), &usual()).await.unwrap();
    sim
}

fn actions(plan: &Plan) -> Vec<(&str, Action)> {
    plan.steps.iter().map(|s| (s.address.0.as_str(), s.action)).collect()
}

fn permitting(plan: &Plan) -> Run {
    Run { actor: "test".into(), rules: all_rules(plan), ..Run::default() }
}

async fn settled(sim: &Sim, stack: &Stack) {
    let plan = sim.plan(stack, &usual()).await.unwrap();
    assert!(plan.steps.is_empty(), "{}", render::plan(&plan, true));
    let state = sim.state();
    assert_eq!(sim.cloud.orphans(&state), Vec::<String>::new());
    assert_eq!(sim.cloud.duplicates(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_second_apply_makes_no_call_and_writes_nothing() {
    let sim = standing().await;
    let before = (sim.cloud.mutations(), sim.store.entries().len());
    sim.run(&Web::default().stack(), &usual()).await.unwrap();
    assert_eq!((sim.cloud.mutations(), sim.store.entries().len()), before);
}

#[tokio::test(start_paused = true)]
async fn planning_makes_no_call_and_writes_nothing() {
    let sim = standing().await;
    let before = (sim.cloud.mutations(), sim.store.entries().len());
    for stack in [nothing(), Web { cidr: "10.0.0.0/8", ..Web::default() }.stack()] {
        assert!(!sim.plan(&stack, &adopting()).await.unwrap().is_empty());
    }
    sim.engine().drift().await.unwrap();
    assert_eq!((sim.cloud.mutations(), sim.store.entries().len()), before);
}

#[tokio::test(start_paused = true)]
async fn a_step_never_does_more_than_was_planned() {
    let sim = standing().await;
    let engine = sim.engine();
    let changed = Web { policy: "write", gateway_size: Some(2), ..Web::default() };
    let planned = engine.plan(&changed.stack(), &usual()).await.unwrap();
    sim.cloud.tamper("sim.gateway", "network/gateway", "size", json!(2));
    let before = sim.cloud.mutations();
    let run = permitting(&planned.plan);
    let report = engine.apply(planned, &run).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert!(
        sim.cloud.calls()[before..].iter().all(|c| c.address == "role"),
        "it does less where less is left"
    );
    let planned = engine.plan(&Web { count: 3, ..changed.clone() }.stack(), &usual()).await.unwrap();
    sim.cloud.tamper("sim.service", "service", "task", json!("task-000001:1"));
    let before = sim.cloud.mutations();
    let report = engine.apply(planned, &run).await.unwrap();
    assert!(
        report.failed.iter().any(|(a, why)| a.0 == "service" && why.contains("plan again")),
        "{report:?}"
    );
    assert!(sim.cloud.calls()[before..].iter().all(|c| c.address != "service"));
}

#[tokio::test(start_paused = true)]
async fn every_mutation_of_an_apply_is_in_its_plan() {
    let sim = standing().await;
    for stack in [
        Web { cidr: "10.0.0.0/8", image: "web:2", ..Web::default() }.stack(),
        Web::default().stack(),
        nothing(),
    ] {
        let plan = sim.plan(&stack, &usual()).await.unwrap();
        let before = sim.cloud.mutations();
        sim.run(&stack, &usual()).await.unwrap();
        for call in &sim.cloud.calls()[before..] {
            let step = plan.steps.iter().find(|s| s.address.0 == call.address);
            let allowed = match step.map(|s| s.action) {
                Some(Action::Create) => call.verb != Verb::Delete,
                Some(Action::Update) => call.verb == Verb::Update,
                Some(Action::Delete) => call.verb == Verb::Delete,
                Some(a) => a.replaces(),
                None => false,
            };
            assert!(allowed, "{call:?} is not in the plan: {step:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_before_what_it_needs_is_durable_nor_deleted_before_what_needs_it_is_gone() {
    let sim = standing().await;
    sim.run(&Web { cidr: "10.0.0.0/8", ..Web::default() }.stack(), &usual()).await.unwrap();
    sim.run(&nothing(), &usual()).await.unwrap();
    let refused: Vec<_> = sim.cloud.calls().into_iter().filter(|c| c.refused.is_some()).collect();
    assert!(refused.is_empty(), "the cloud had to refuse: {refused:?}");
    let entries = sim.store.entries();
    let mut state = State::default();
    for stamped in &entries {
        if let Entry::Begin { address, act: Act::Create, request, .. } = &stamped.entry {
            for needed in &request.after {
                let ready = state.records.get(needed).is_some_and(|r| r.phase == Phase::Ready);
                assert!(ready, "`{address}` began before `{needed}` was there");
            }
        }
        if let Entry::Begin { address, act: Act::Delete, instance, .. } = &stamped.entry {
            let users = state.incarnations().filter(|(a, r)| {
                r.request.after.contains(address) && !state.records.contains_key(address) && *a != address
            });
            assert_eq!(users.count(), 0, "`{address}` ({instance}) went before those that need it");
        }
        state.push(stamped).unwrap();
    }
    assert_eq!(sim.cloud.inventory().as_array().map(Vec::len), Some(1), "only the base is left");
}

#[tokio::test(start_paused = true)]
async fn any_prefix_of_a_journal_folds_to_a_state_that_a_run_finishes() {
    let sim = standing().await;
    sim.run(&Web { cidr: "10.0.0.0/8", role: Name::generated("web"), ..Web::default() }.stack(), &usual())
        .await
        .unwrap();
    sim.run(&nothing(), &usual()).await.unwrap();
    let entries = sim.store.entries();
    for end in 0..=entries.len() {
        let state = State::fold(&entries[..end]).unwrap();
        assert_eq!(state.seq, end as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_plan_is_refused_and_changes_nothing() {
    let sim = standing().await;
    let engine = sim.engine();
    let planned = engine.plan(&nothing(), &usual()).await.unwrap();
    sim.run(&Web { policy: "write", ..Web::default() }.stack(), &usual()).await.unwrap();
    let before = sim.cloud.mutations();
    let run = permitting(&planned.plan);
    assert!(matches!(engine.apply(planned, &run).await, Err(EngineError::Stale { .. })));
    assert_eq!(sim.cloud.mutations(), before);
}

#[tokio::test(start_paused = true)]
async fn two_runs_at_once_are_not_possible() {
    let sim = fresh();
    let stack = Web::default().stack();
    let usual = usual();
    let (one, two) = tokio::join!(sim.apply(&stack, &usual), sim.apply(&stack, &usual));
    assert!(one.unwrap().is_complete());
    assert!(matches!(two, Err(EngineError::Held(_))));
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_overtaken_begins_nothing_more() {
    let sim = fresh();
    let stack = Web::default().stack();
    let overtaken = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let last = sim.store.entries().len() as u64;
        let entry = Entry::Plan { digest: "other".into(), actor: "other".into() };
        let at = jiff::Timestamp::UNIX_EPOCH;
        sim.store.append(last, &[Stamped { seq: last + 1, at, entry }]).await.unwrap();
        sim.cloud.mutations()
    };
    let options = usual();
    let (report, before) = tokio::join!(sim.apply(&stack, &options), overtaken);
    let report = report.unwrap();
    assert!(report.failed.iter().any(|(_, why)| why.contains("journal")), "{report:?}");
    assert_eq!(sim.cloud.mutations(), before, "a fenced writer made a call");
    sim.run(&stack, &usual()).await.unwrap();
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn data_and_protected_things_and_too_much_at_once_are_refused() {
    let sim = standing().await;
    let engine = sim.engine();
    let refused = async |stack: &Stack, rules: Rules| {
        let planned = engine.plan(stack, &usual()).await.unwrap();
        let before = sim.cloud.mutations();
        match engine.apply(planned, &Run { rules, ..Run::default() }).await {
            Err(EngineError::Refused(refusals)) => {
                assert_eq!(sim.cloud.mutations(), before);
                refusals.into_iter().map(|r| r.rule).collect::<BTreeSet<String>>()
            }
            other => panic!("not refused: {other:?}"),
        }
    };
    assert_eq!(refused(&nothing(), Rules::default()).await, ["data".to_owned()].into());
    let mut kept = nothing();
    kept.at(&place(), |stack| {
        let network = Network { cidr: "10.0.0.0/16".into(), dns: None, tags: Default::default() };
        stack.scope("network", |stack| stack.add("network", network));
    });
    let rules =
        Rules { permits: [Address::from("database")].into(), max_removals: Some(2), ..Rules::default() };
    assert_eq!(refused(&kept, rules).await, ["max-removals".to_owned()].into());
    let mut protected = Web::default().stack();
    protected.protect(&"role".into());
    sim.run(&protected, &usual()).await.unwrap();
    let rules = Rules { permits: [Address::from("database")].into(), ..Rules::default() };
    assert_eq!(refused(&nothing(), rules).await, ["protected".to_owned()].into());
}

#[tokio::test(start_paused = true)]
async fn no_secret_byte_leaves_the_process_but_to_the_cloud() {
    let sim = fresh();
    let engine = sim.engine();
    let stack = Web::default().stack();
    let seen = Arc::new(Mutex::new(String::new()));
    let note = |text: String| seen.lock().unwrap().push_str(&text);
    let planned = engine.plan(&stack, &usual()).await.unwrap();
    note(format!("{stack:?} {:?}", planned.plan));
    note(serde_json::to_string(&planned.plan).unwrap());
    note(render::plan(&planned.plan, true));
    let told = Arc::clone(&seen);
    let run = Run {
        listener: Arc::new(move |e| told.lock().unwrap().push_str(&format!("{e:?}"))),
        ..permitting(&planned.plan)
    };
    sim.cloud.fault(Some("sim.database"), Verb::Create, When::First(1), Fault::LostAfter);
    let report = engine.apply(planned, &run).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    note(format!("{report:?}"));
    let changed = Web { password: "second-canary", ..Web::default() }.stack();
    let plan = sim.plan(&changed, &usual()).await.unwrap();
    assert_eq!(actions(&plan), [("database", Action::Update)]);
    note(serde_json::to_string(&plan).unwrap() + &render::plan(&plan, true));
    sim.run(&changed, &usual()).await.unwrap();
    note(serde_json::to_string(&sim.store.entries()).unwrap());
    note(format!("{:?} {:?}", sim.state(), sim.store.entries()));
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 10_000 && !seen.contains("canary"));
    assert!(sim.cloud.inventory().to_string().contains("second-canary"), "the cloud has to know it");
}

#[tokio::test(start_paused = true)]
async fn the_first_stop_lets_what_runs_end_and_starts_nothing() {
    let sim = fresh();
    let (engine, stack) = (sim.engine(), Web::default().stack());
    let planned = engine.plan(&stack, &usual()).await.unwrap();
    let run = permitting(&planned.plan);
    let stop = run.stop.clone();
    let stopper = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        stop.drain();
    };
    let (report, ()) = tokio::join!(engine.apply(planned, &run), stopper);
    let report = report.unwrap();
    let begun: BTreeSet<String> = sim.cloud.calls().into_iter().map(|c| c.address).collect();
    assert_eq!(begun, ["network/network".to_owned(), "role".to_owned()].into());
    assert!(report.failed.is_empty() && report.skipped.len() >= 6, "{report:?}");
    assert!(sim.state().records.values().all(|r| r.phase == Phase::Ready), "what ran came to its end");
    sim.run(&stack, &usual()).await.unwrap();
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn the_second_stop_aborts_and_the_next_run_finishes() {
    for after in [10u64, 30, 50, 70, 8_100, 20_000, 100_000, 310_000, 340_000] {
        let sim = fresh();
        let (engine, stack) = (sim.engine(), Web::default().stack());
        let planned = engine.plan(&stack, &usual()).await.unwrap();
        let run = permitting(&planned.plan);
        let stop: Stop = run.stop.clone();
        let stopper = async {
            tokio::time::sleep(Duration::from_millis(after)).await;
            stop.abort();
            Instant::now()
        };
        let (report, stopped) = tokio::join!(engine.apply(planned, &run), stopper);
        assert!(!report.unwrap().is_complete(), "after {after} ms");
        assert!(stopped.elapsed() < Duration::from_secs(1), "it went on after it was aborted");
        sim.run(&stack, &usual()).await.unwrap();
        settled(&sim, &stack).await;
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_n_run_at_once_and_the_run_takes_what_its_longest_path_takes() {
    for at_once in [1, 2, 8] {
        let mut sim = fresh();
        sim.at_once = at_once;
        let running = Arc::new(Mutex::new((0usize, 0usize)));
        let (engine, stack) = (sim.engine(), Web::default().stack());
        let planned = engine.plan(&stack, &usual()).await.unwrap();
        let counted = Arc::clone(&running);
        let listener = move |event| {
            let mut running = counted.lock().unwrap();
            match event {
                Event::Begun { .. } => running.0 += 1,
                Event::Done { .. } | Event::Failed { .. } => running.0 -= 1,
                _ => {}
            }
            running.1 = running.1.max(running.0);
        };
        let run = Run { listener: Arc::new(listener), ..permitting(&planned.plan) };
        let start = Instant::now();
        assert!(engine.apply(planned, &run).await.unwrap().is_complete());
        let most = running.lock().unwrap().1;
        assert!(most <= at_once && (at_once == 1 || most > 1), "{most} of {at_once}");
        // A network, a database and a service in a row; alone, the gateway comes on top.
        let longest: u64 = if at_once == 1 { 8 + 90 + 300 + 60 } else { 8 + 300 + 60 };
        let took = start.elapsed().as_secs();
        assert!((longest..longest + 35).contains(&took), "{at_once} at once: {took}s for {longest}s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_path_is_started_first() {
    let mut sim = fresh();
    sim.at_once = 1;
    let stack = Web::default().stack();
    sim.run(&stack, &usual()).await.unwrap();
    let order: Vec<String> = sim.cloud.calls().into_iter().map(|c| c.address).collect();
    let place = |a: &str| order.iter().position(|o| o == a).unwrap();
    assert!(place("network/network") < place("role"), "{order:?}");
    assert!(place("database") < place("network/gateway"), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_trace() {
    let trace = async |seed| {
        let sim = Sim::new(seed);
        sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
        for verb in [Verb::Create, Verb::Update, Verb::Delete, Verb::Read] {
            sim.cloud.fault(None, verb, When::Percent(20), Fault::Throttled);
        }
        sim.run(&Web::default().stack(), &usual()).await.unwrap();
        sim.run(&Web { cidr: "10.0.0.0/8", ..Web::default() }.stack(), &usual()).await.unwrap();
        let entries: Vec<_> = sim.store.entries().into_iter().map(|e| (e.seq, e.at)).collect();
        (sim.cloud.calls(), sim.cloud.reads(), entries)
    };
    let one = trace(5).await;
    assert_eq!(one, trace(5).await);
    assert_ne!(one.0, trace(6).await.0);
}

#[tokio::test(start_paused = true)]
async fn what_others_made_is_adopted_only_when_asked_and_the_plan_says_so() {
    let sim = fresh();
    let stack = Web::default().stack();
    let fields = json!({ "name": "web", "path": null, "policy": "none" });
    sim.cloud.plant("sim.role", fields, Some(Default::default()));
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    assert!(plan.conflicts.iter().any(|c| c.address.0 == "role" && c.why.contains("--adopt")));
    assert!(matches!(sim.apply(&stack, &usual()).await, Err(EngineError::Refused(_))));
    assert_eq!(sim.cloud.mutations(), 0);
    let plan = sim.plan(&stack, &adopting()).await.unwrap();
    assert_eq!(plan.step(&"role".into()).map(|s| s.action), Some(Action::Adopt));
    assert!(render::plan(&plan, false).contains("< role  sim.role"));
    sim.run(&stack, &adopting()).await.unwrap();
    assert_eq!(sim.cloud.count("sim.role", Verb::Create), 0);
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn what_another_stack_owns_is_refused_even_when_asked() {
    let sim = fresh();
    let tags = [("causeway:stack", "theirs"), ("causeway:address", "x"), ("causeway:instance", "abc")];
    let fields = json!({ "name": "web", "path": null, "policy": "none" });
    sim.cloud.plant("sim.role", fields, Some(tags.into()));
    let plan = sim.plan(&Web::default().stack(), &adopting()).await.unwrap();
    assert!(
        guard(&plan, &Rules::default()).iter().any(|r| r.why.contains("belongs to `x` of stack `theirs`"))
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_moves_to_another_place() {
    let sim = fresh();
    let stack = |region: &str| {
        let mut stack = nothing();
        let place = causeway_core::testing::sim::SimPlace { region: region.into() };
        stack.at(&place, |stack| {
            stack.add("network", Network { cidr: "10.0.0.0/16".into(), dns: None, tags: Default::default() })
        });
        stack
    };
    sim.run(&stack("sim-1"), &usual()).await.unwrap();
    let planned = sim.engine().plan(&stack("sim-2"), &usual()).await.unwrap();
    let refusals = guard(&planned.plan, &all_rules(&planned.plan));
    assert!(refusals[0].why.contains("is in sim-1 and is wanted in sim-2"), "{refusals:?}");
}

#[tokio::test(start_paused = true)]
async fn unset_is_unmanaged() {
    let sim = standing().await;
    sim.cloud.tamper("sim.network", "network/network", "dns", json!(false));
    sim.cloud.tamper("sim.database", "database", "backup_days", json!(30));
    settled(&sim, &Web::default().stack()).await;
}

#[tokio::test(start_paused = true)]
async fn independent_branches_go_on_and_every_failure_is_told() {
    let sim = fresh();
    sim.cloud.fault(Some("sim.role"), Verb::Create, When::Always, Fault::Refused);
    sim.cloud.fault(Some("sim.gateway"), Verb::Create, When::Always, Fault::Refused);
    let stack = Web::default().stack();
    let report = sim.apply(&stack, &usual()).await.unwrap();
    let failed: BTreeSet<&str> = report.failed.iter().map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(failed, ["network/gateway", "role"].into());
    assert!(report.failed.iter().all(|(_, why)| why.contains("Refused: will not work")));
    let skipped: BTreeSet<&str> = report.skipped.iter().map(|(a, _)| a.0.as_str()).collect();
    assert_eq!(skipped, ["service", "task"].into());
    assert!(report.done.iter().any(|(a, _)| a.0 == "database"));
    sim.cloud.heal();
    sim.run(&stack, &usual()).await.unwrap();
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_at_the_timeout_of_its_kind_and_the_next_run_goes_on() {
    let sim = fresh();
    sim.cloud.habits(|h| {
        h.ready_after.insert("sim.gateway", Duration::from_secs(1000));
    });
    let stack = Web::default().stack();
    let report = sim.apply(&stack, &usual()).await.unwrap();
    assert_eq!(report.failed.len(), 1);
    assert!(report.failed[0].1.contains("timed out after 10m: being created"), "{report:?}");
    sim.run(&stack, &usual()).await.unwrap();
    assert_eq!(sim.cloud.count("sim.gateway", Verb::Create), 1);
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn updates_that_change_nothing_are_told_with_their_fields() {
    let sim = standing().await;
    sim.cloud.fault(Some("sim.role"), Verb::Update, When::Always, Fault::Ignored);
    let report = sim.apply(&Web { policy: "write", ..Web::default() }.stack(), &usual()).await.unwrap();
    assert!(report.failed[0].1.contains("still differs in policy"), "{report:?}");
    let updates = sim.cloud.calls().iter().filter(|c| c.verb == Verb::Update).count();
    assert_eq!(updates, 1);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_as_soon_as_it_cannot_come_true() {
    let sim = standing().await;
    let broken = Web { image: "broken", ..Web::default() }.stack();
    let start = Instant::now();
    let report = sim.apply(&broken, &usual()).await.unwrap();
    assert!(report.failed.iter().any(|(a, why)| a.0 == "service" && why.contains("`broken` exits")));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let mended = Web { image: "web:3", ..Web::default() }.stack();
    sim.run(&mended, &usual()).await.unwrap();
    settled(&sim, &mended).await;
}

#[tokio::test(start_paused = true)]
async fn a_create_that_failed_and_kept_its_name_is_made_again() {
    for kind in ["sim.database", "sim.gateway", "sim.network"] {
        let sim = fresh();
        sim.cloud.fault(Some(kind), Verb::Create, When::First(1), Fault::Stillborn);
        let stack = Web::default().stack();
        let report = sim.apply(&stack, &usual()).await.unwrap();
        assert!(report.failed.iter().any(|(_, why)| why.contains("no capacity")), "{kind}: {report:?}");
        let plan = sim.plan(&stack, &usual()).await.unwrap();
        let why = plan.steps.iter().find(|s| s.kind == kind).and_then(|s| s.why.clone());
        assert_eq!(why.as_deref(), Some("its creation failed: no capacity"), "{kind}");
        sim.run(&stack, &usual()).await.unwrap();
        settled(&sim, &stack).await;
    }
}

#[tokio::test(start_paused = true)]
async fn throttles_and_lost_answers_are_ridden_out_and_nothing_is_made_twice() {
    let calm = standing().await;
    for fault in [Fault::Throttled, Fault::LostBefore, Fault::LostAfter, Fault::NotNow] {
        let sim = fresh();
        for verb in [Verb::Create, Verb::Update, Verb::Delete] {
            sim.cloud.fault(None, verb, When::Percent(40), fault.clone());
        }
        if fault != Fault::NotNow {
            sim.cloud.fault(None, Verb::Read, When::Percent(20), fault.clone());
        }
        let stack = Web::default().stack();
        sim.run(&stack, &usual()).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(sim.cloud.inventory(), calm.cloud.inventory(), "{fault:?}");
        for kind in ["sim.network", "sim.gateway", "sim.role", "sim.database", "sim.task", "sim.service"] {
            assert_eq!(sim.cloud.count(kind, Verb::Create), 1, "{fault:?}: {kind}");
        }
        settled(&sim, &stack).await;
        sim.run(&nothing(), &usual()).await.unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert_eq!(sim.cloud.inventory().as_array().map(Vec::len), Some(1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_vanished_is_made_again() {
    let sim = standing().await;
    sim.cloud.vanish("sim.service", None);
    sim.cloud.vanish("sim.gateway", Some("network/gateway"));
    let stack = Web::default().stack();
    let drift = sim.engine().drift().await.unwrap().drift;
    let gone: Vec<&str> =
        drift.iter().filter(|d| d.what == "is gone").map(|d| d.address.0.as_str()).collect();
    assert_eq!(gone, ["network/gateway", "service"]);
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    assert_eq!(actions(&plan), [("network/gateway", Action::Create), ("service", Action::Create)]);
    sim.run(&stack, &usual()).await.unwrap();
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn drift_names_the_field_and_apply_repairs_it() {
    let sim = standing().await;
    sim.cloud.tamper("sim.role", "role", "policy", json!("everything"));
    let drift = sim.engine().drift().await.unwrap().drift;
    assert_eq!(drift.len(), 1);
    assert_eq!((drift[0].address.0.as_str(), drift[0].diff.changes[0].path.as_str()), ("role", "policy"));
    sim.run(&Web::default().stack(), &usual()).await.unwrap();
    assert!(sim.engine().drift().await.unwrap().drift.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_what_was_asked_for_is_done() {
    let sim = fresh();
    let stack = Web::default().stack();
    let only = |p: &str| PlanOptions { only: vec![p.into()], ..usual() };
    let refused = sim.plan(&stack, &only("service")).await.unwrap();
    assert!(refused.conflicts.iter().any(|c| c.why.contains("`task`, which was left out")));
    sim.run(&stack, &only("network/*")).await.unwrap();
    assert!(sim.cloud.calls().iter().all(|c| c.address.starts_with("network/")));
    sim.run(&stack, &usual()).await.unwrap();
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn outputs_are_told_once_they_are_known() {
    let sim = fresh();
    let mut stack = Web::default().stack();
    let endpoint = causeway_core::Value::<String>::reference(&"database".into(), "endpoint");
    stack.output("database", causeway_core::text!("postgres://", endpoint));
    let engine = sim.engine();
    assert!(engine.plan(&stack, &usual()).await.unwrap().outputs()["database"].is_null());
    sim.run(&stack, &usual()).await.unwrap();
    let told = engine.plan(&stack, &usual()).await.unwrap().outputs()["database"].clone();
    assert!(told.as_str().is_some_and(|t| t.starts_with("postgres://database-")), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_data_of_its_published_shape() {
    let sim = standing().await;
    let plan = sim.plan(&Web { cidr: "10.0.0.0/8", ..Web::default() }.stack(), &usual()).await.unwrap();
    let schema = serde_json::to_value(schemars::schema_for!(Plan)).unwrap();
    let json = serde_json::to_value(&plan).unwrap();
    let required = schema["required"].as_array().unwrap();
    assert!(required.iter().all(|f| json.get(f.as_str().unwrap()).is_some()), "{schema}");
    let known = |of: &serde_json::Value, json: &serde_json::Value| {
        json.as_object().unwrap().keys().all(|k| of["properties"].get(k).is_some())
    };
    assert!(known(&schema, &json));
    assert!(json["steps"].as_array().unwrap().iter().all(|s| known(&schema["$defs"]["Step"], s)));
    assert_eq!(serde_json::from_value::<Plan>(json).unwrap(), plan);
    let again = sim.plan(&Web { cidr: "10.0.0.0/8", ..Web::default() }.stack(), &usual()).await.unwrap();
    assert_eq!(plan.digest(), again.digest());
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_another_stack_is_refused() {
    let sim = standing().await;
    let error = sim.plan(&Stack::new("other"), &usual()).await.unwrap_err();
    assert!(chain(&error).contains("of the stack `web`"));
}

#[tokio::test(start_paused = true)]
async fn what_was_being_replaced_stays_when_it_is_wanted_again() {
    let sim = standing().await;
    let before = sim.state().records[&Address::from("role")].instance.clone();
    sim.cloud.fault(Some("sim.role"), Verb::Delete, When::Always, Fault::Refused);
    let generated = Web { role: Name::generated("web"), ..Web::default() }.stack();
    assert!(!sim.apply(&generated, &usual()).await.unwrap().is_complete());
    sim.cloud.heal();
    let stack = Web::default().stack();
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    assert_eq!(
        plan.step(&"role".into()).map(|s| s.action),
        Some(Action::Adopt),
        "{}",
        render::plan(&plan, true)
    );
    sim.run(&stack, &usual()).await.unwrap();
    assert_eq!(sim.state().records[&Address::from("role")].instance, before);
    assert_eq!(sim.cloud.count("sim.role", Verb::Create), 2);
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn what_blocks_a_name_goes_before_the_next_is_made() {
    // A replacement is left half-way, and then a third thing is wanted under the first one's name.
    let sim = standing().await;
    sim.cloud.fault(Some("sim.role"), Verb::Delete, When::Always, Fault::Refused);
    let generated = Web { role: Name::generated("web"), ..Web::default() }.stack();
    assert!(!sim.apply(&generated, &usual()).await.unwrap().is_complete());
    sim.cloud.heal();
    let third = Web { role_path: Some("/service"), ..Web::default() }.stack();
    sim.run(&third, &usual()).await.unwrap();
    settled(&sim, &third).await;
    assert_eq!(sim.cloud.inventory().to_string().matches("sim.role\"").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_plan_reads_like_this() {
    let sim = standing().await;
    let changed =
        Web { cidr: "10.0.0.0/8", image: "web:2", password: "x", gateway: false, ..Web::default() }.stack();
    insta::assert_snapshot!(render::plan(&sim.plan(&changed, &usual()).await.unwrap(), false), @r#"
    ± network/network  sim.network  (`cidr` cannot change in place; the new one is made first)
        cidr: "10.0.0.0/16" -> "10.0.0.0/8"
    ± network/subnet-a  sim.subnet  (`network` cannot change in place, if it turns out to differ; the new one is made first)
        network: "network-000002" -> (known after network/network)
    ± network/subnet-b  sim.subnet  (`network` cannot change in place, if it turns out to differ; the new one is made first)
        network: "network-000002" -> (known after network/network)
    ~ database  sim.database
        password: (none) -> (secret)
        subnets: ["subnet-000005", "subnet-000006"] -> [(known after network/subnet-a), (known after network/subnet-b)]
    ~ task  sim.task
        image: "web:1" -> "web:2"
    ∓ service  sim.service  (`subnets` cannot change in place, if it turns out to differ; the old one goes first, because `name` stays the same)
        subnets: ["subnet-000005", "subnet-000006"] -> [(known after network/subnet-a), (known after network/subnet-b)]
        task: "task-000008:1" -> (known after task)
    - network/gateway  sim.gateway

    Plan: 2 to change, 4 to replace, 1 to delete, 2 unchanged.
    Of these, 5 can be taken back only in part [compensable].
    "#);
}

/// A run ended after it gave up what was to replace these, and before it began anew.
#[tokio::test(start_paused = true)]
async fn what_was_being_replaced_is_not_somebody_elses() {
    let sim = standing().await;
    let before = sim.cloud.inventory();
    for (address, field) in [("network/subnet-a", "network"), ("role", "name")] {
        let (state, address, instance) = (sim.state(), Address::from(address), "given-up".to_owned());
        let mut request = state.records[&address].request.clone();
        let mut spec = request.spec.as_json().clone();
        spec[field] = json!("another");
        request.spec = serde_json::from_value(spec).unwrap();
        let begin =
            Entry::Begin { address: address.clone(), instance: instance.clone(), act: Act::Create, request };
        let at = jiff::Timestamp::UNIX_EPOCH;
        let both = [begin, Entry::Gone { address, instance }];
        let seqs = state.seq + 1..;
        let both: Vec<_> = seqs.zip(both).map(|(seq, entry)| Stamped { seq, at, entry }).collect();
        sim.store.append(state.seq, &both).await.unwrap();
    }
    let plan = sim.plan(&Web::default().stack(), &usual()).await.unwrap();
    assert_eq!(actions(&plan), [("role", Action::Adopt), ("network/subnet-a", Action::Adopt)]);
    sim.run(&Web::default().stack(), &usual()).await.unwrap();
    settled(&sim, &Web::default().stack()).await;
    assert_eq!(sim.cloud.inventory(), before);
}

#[tokio::test(start_paused = true)]
async fn a_create_that_goes_on_with_what_was_replaced_takes_it_back() {
    let sim = standing().await;
    sim.run(&Web { cidr: "10.0.0.0/8", ..Web::default() }.stack(), &usual()).await.unwrap();
    let entries = sim.store.entries();
    let creates = |e: &&Stamped| matches!(&e.entry, Entry::Begin { address, act: Act::Create, .. } if address.0 == "network/network");
    let [first, second] = entries.iter().filter(creates).collect::<Vec<_>>()[..] else {
        panic!("one replacement")
    };
    let mut torn: Vec<Stamped> = entries.iter().take_while(|e| e.seq <= second.seq).cloned().collect();
    assert!(State::fold(&torn).is_ok());
    torn.push(Stamped { seq: second.seq + 1, ..first.clone() });
    let state = State::fold(&torn).unwrap();
    let mut instances: Vec<&str> = state
        .incarnations()
        .filter(|(a, _)| a.0 == "network/network")
        .map(|(_, r)| r.instance.as_str())
        .collect();
    instances.sort_unstable();
    let before = instances.len();
    instances.dedup();
    assert_eq!((before, instances.len()), (2, 2), "each incarnation is in it once");
}

#[tokio::test(start_paused = true)]
async fn two_resources_that_would_be_one_are_told_before_anything_is_made() {
    let sim = fresh();
    let mut stack = nothing();
    stack.at(&place(), |stack| {
        for (name, called) in
            [("a", Name::from("web")), ("b", Name::from("web")), ("c", Name::generated("web"))]
        {
            let role = Role { name: called, path: None, policy: "read".into(), tags: Default::default() };
            stack.add(name, role);
        }
    });
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    let told: Vec<_> = plan.conflicts.iter().map(|c| (c.address.0.as_str(), c.why.as_str())).collect();
    assert_eq!(told, [("b", "has the same name as `a`, so both would be one; change one of them")]);
    assert_eq!(sim.cloud.mutations(), 0);
}
