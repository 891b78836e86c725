//! Bugs that other engines had, each as a test that ours has not. The issues are named as `project #number`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    Address, Engine, Error, Registry, Stack, Stop,
    engine::{EngineError, Run},
    error::chain,
    guard::guard,
    journal::{Phase, State},
    plan::{Action, Plan, PlanOptions},
    render,
    store::{LocalStore, MemoryStore},
    testing::{
        crash::{Sim, all_rules},
        sim::{Database, Fault, Gateway, Moment, Network, Role, SimPlace, UnlockedStore, Verb, When},
    },
    value::Name,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use web::{Web, nothing, place};

fn fresh() -> Sim {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim
}

fn usual() -> PlanOptions {
    PlanOptions::default()
}

fn web() -> Web {
    Web::default()
}

async fn standing(stack: &Stack) -> Sim {
    let sim = fresh();
    sim.run(stack, &usual()).await.unwrap();
    sim
}

fn permitting(plan: &Plan) -> Run {
    Run { actor: "museum".into(), rules: all_rules(plan), ..Run::default() }
}

async fn settled(sim: &Sim, stack: &Stack) {
    let plan = sim.plan(stack, &usual()).await.unwrap();
    assert!(plan.steps.is_empty(), "{}", render::plan(&plan, true));
    let state = sim.state();
    assert_eq!(sim.cloud.orphans(&state), Vec::<String>::new());
    assert_eq!(sim.cloud.duplicates(), Vec::<String>::new());
}

/// A machine that `start` made, on which the power went at `moment` of an apply of `stack`.
async fn cut_at(start: impl AsyncFn() -> Sim, stack: &Stack, moment: &Moment) -> Sim {
    let (whole, options) = (start().await, usual());
    whole.fuse.arm(None);
    whole.run(stack, &options).await.unwrap();
    let at = whole.fuse.moments().iter().position(|m| m == moment).unwrap();
    let sim = start().await;
    sim.fuse.arm(Some(at));
    tokio::select! {
        biased;
        () = sim.fuse.gone() => {}
        _ = sim.apply(stack, &options) => panic!("{moment:?} is not passed"),
    }
    sim.fuse.arm(None);
    sim
}

fn only_the_base_is_left(sim: &Sim) {
    assert_eq!(sim.cloud.inventory().as_array().map(Vec::len), Some(1), "{}", sim.cloud.inventory());
    assert_eq!(sim.state().incarnations().count(), 0);
}

/// alchemy #793: a plan took things over and wrote that down.
#[tokio::test(start_paused = true)]
async fn a_plan_that_writes_state() {
    let sim = fresh();
    let fields = json!({ "name": "web", "path": null, "policy": "none" });
    sim.cloud.plant("sim.role", fields, Some(Default::default()));
    let adopting = PlanOptions { adopt: true, ..usual() };
    let plan = sim.plan(&web().stack(), &adopting).await.unwrap();
    assert_eq!(plan.step(&"role".into()).map(|s| s.action), Some(Action::Adopt));
    assert_eq!((sim.cloud.mutations(), sim.store.entries().len()), (0, 0));
}

/// alchemy #995: a create that was interrupted while its parent's outputs were unknown broke the next plan and destroy.
#[tokio::test(start_paused = true)]
async fn an_interrupted_create_that_breaks_the_next_plan_and_destroy() {
    for next in [web().stack(), nothing()] {
        let moment = Moment::AfterEffect("create sim.network network/network".into());
        let sim = cut_at(async || fresh(), &web().stack(), &moment).await;
        sim.plan(&next, &usual()).await.unwrap();
        sim.run(&next, &usual()).await.unwrap();
        settled(&sim, &next).await;
    }
}

/// alchemy #1026: a replacement found the outgoing instance, took it for its own, and then it was deleted.
#[tokio::test(start_paused = true)]
async fn a_replacement_that_adopts_the_outgoing_instance() {
    let (before, after) = (web().stack(), Web { cidr: "10.0.0.0/8", ..web() }.stack());
    for moment in [
        Moment::BeforeCall("create sim.network network/network".into()),
        Moment::AfterEffect("create sim.network network/network".into()),
    ] {
        let address = Address::from("network/network");
        let outgoing = standing(&before).await.state().records[&address].clone();
        let sim = cut_at(async || standing(&before).await, &after, &moment).await;
        sim.run(&after, &usual()).await.unwrap();
        let now = sim.state().records[&address].clone();
        assert_ne!(now.instance, outgoing.instance);
        assert_ne!(now.outputs, outgoing.outputs);
        assert_eq!(sim.cloud.count("sim.network", Verb::Delete), 1);
        settled(&sim, &after).await;
    }
}

/// alchemy #1404: a change of the removal policy alone was not saved, because nothing in the cloud differed; 44 minutes
/// of outage followed.
#[tokio::test(start_paused = true)]
async fn a_change_of_protection_alone_that_is_not_saved() {
    let sim = standing(&web().stack()).await;
    let mut protected = web().stack();
    protected.protect(&"database".into());
    let before = sim.cloud.mutations();
    sim.run(&protected, &usual()).await.unwrap();
    assert_eq!(sim.cloud.mutations(), before);
    assert!(sim.state().records[&Address::from("database")].request.protect);
    assert!(matches!(sim.apply(&nothing(), &usual()).await, Err(EngineError::Refused(_))));
}

/// alchemy #979: an apply with nothing to do did not save the new order, and destroy went by the old one.
#[tokio::test(start_paused = true)]
async fn an_order_that_a_no_op_does_not_refresh() {
    let stack = |ordered: bool| {
        let mut stack = nothing();
        stack.at(&place(), |stack| {
            let network = Network { cidr: "10.0.0.0/16".into(), dns: None, tags: Default::default() };
            let role =
                Role { name: Name::from("a"), path: None, policy: "p".into(), tags: Default::default() };
            let (network, role) = (
                stack.add("z-network", network).address().clone(),
                stack.add("a-role", role).address().clone(),
            );
            if ordered {
                stack.after(&network, &role);
            }
        });
        stack
    };
    let sim = standing(&stack(false)).await;
    let before = sim.cloud.mutations();
    sim.run(&stack(true), &usual()).await.unwrap();
    assert_eq!(sim.cloud.mutations(), before);
    sim.run(&nothing(), &usual()).await.unwrap();
    let deleted: Vec<String> = sim.cloud.calls()[before..].iter().map(|c| c.address.clone()).collect();
    assert_eq!(deleted, ["z-network", "a-role"]);
}

/// alchemy #1704, terraform #28766, carina #3679: destroy after a replacement that was interrupted, even twice, left the
/// older generations behind.
#[tokio::test(start_paused = true)]
async fn a_destroy_that_forgets_older_generations() {
    let generated = |path| Web { role: Name::generated("web"), role_path: path, ..web() }.stack();
    let made = Moment::AfterEffect("create sim.role role".into());
    let once =
        async || cut_at(async || standing(&generated(None)).await, &generated(Some("/one")), &made).await;
    let sim = cut_at(once, &generated(Some("/two")), &made).await;
    assert_eq!(sim.state().leftovers[&Address::from("role")].len(), 2);
    sim.run(&nothing(), &usual()).await.unwrap();
    only_the_base_is_left(&sim);
}

/// alchemy #1536: a resource had vanished, and because its inputs were the same the deploy did nothing.
#[tokio::test(start_paused = true)]
async fn something_that_vanished_and_counts_as_unchanged() {
    let sim = standing(&web().stack()).await;
    sim.cloud.vanish("sim.gateway", None);
    let plan = sim.plan(&web().stack(), &usual()).await.unwrap();
    assert_eq!(plan.step(&"network/gateway".into()).map(|s| s.action), Some(Action::Create));
    sim.run(&web().stack(), &usual()).await.unwrap();
    settled(&sim, &web().stack()).await;
}

/// alchemy #1717: outputs were handed on before the resource was ready.
#[tokio::test(start_paused = true)]
async fn an_output_that_is_published_before_it_is_ready() {
    let sim = standing(&web().stack()).await;
    let calls = sim.cloud.calls();
    let at = |address: &str| calls.iter().find(|c| c.address == address).unwrap().at;
    assert!(at("task") >= at("database") + Duration::from_secs(300), "{calls:?}");
    let there = sim.cloud.inventory();
    assert!(there.to_string().contains(r#""DATABASE":"<sim.database database>.db:5432""#), "{there}");
}

/// carina #2950, awscc #369: the create worked, looking at it was denied, and the thing was lost.
#[tokio::test(start_paused = true)]
async fn a_create_that_may_not_be_looked_at_and_is_lost() {
    for kind in ["sim.network", "sim.gateway"] {
        let sim = fresh();
        sim.cloud.fault(Some(kind), Verb::Read, When::Always, Fault::Denied);
        let report = sim.apply(&web().stack(), &usual()).await.unwrap();
        assert!(report.failed.iter().any(|(_, why)| why.contains("AccessDenied")), "{report:?}");
        assert_eq!(sim.cloud.orphans(&sim.state()), Vec::<String>::new());
        sim.cloud.heal();
        sim.run(&web().stack(), &usual()).await.unwrap();
        assert_eq!(sim.cloud.count(kind, Verb::Create), 1, "{kind}");
        settled(&sim, &web().stack()).await;
    }
}

/// carina #481: an error after the change was made wrote the row from before it back.
#[tokio::test(start_paused = true)]
async fn an_error_after_the_change_that_writes_the_old_row_back() {
    let sim = standing(&web().stack()).await;
    sim.cloud.fault(Some("sim.database"), Verb::Update, When::Always, Fault::LostAfter);
    let changed = Web { password: "second-canary", ..web() }.stack();
    assert!(!sim.apply(&changed, &usual()).await.unwrap().is_complete());
    sim.cloud.heal();
    // The cloud never shows which password it has: only the journal knows that it may be either.
    assert_eq!(sim.state().records[&Address::from("database")].phase, Phase::Updating);
    let plan = sim.plan(&web().stack(), &usual()).await.unwrap();
    assert!(plan.step(&"database".into()).unwrap().diff.touches("password"), "{}", render::plan(&plan, true));
    sim.run(&web().stack(), &usual()).await.unwrap();
    assert!(sim.cloud.inventory().to_string().contains("hunter2-canary"));
    settled(&sim, &web().stack()).await;
}

/// carina #841, #2842, #1852, #483: the lock ran out during an operation of half an hour, and two writers went on.
#[tokio::test(start_paused = true)]
async fn a_lock_that_runs_out_in_the_middle() {
    for later in [1, 100, 5_000, 60_000, 200_000] {
        let sim = fresh();
        sim.cloud.habits(|h| {
            h.ready_after.insert("sim.database", Duration::from_secs(1700));
        });
        let stack = web().stack();
        let store = Arc::new(UnlockedStore::new(sim.store.clone()));
        let run = async |after: u64| {
            sleep(Duration::from_millis(after)).await;
            let engine = sim.engine_on(store.clone());
            let planned = engine.plan(&stack, &usual()).await?;
            let run = permitting(&planned.plan);
            engine.apply(planned, &run).await
        };
        let (one, two) = tokio::join!(run(0), run(later));
        let whole = |r: &Result<_, _>| matches!(r, Ok(r) if causeway_core::apply::Report::is_complete(r));
        assert!(!(whole(&one) && whole(&two)), "after {later} ms both went through");
        sim.run(&stack, &usual()).await.unwrap();
        settled(&sim, &stack).await;
        for kind in ["sim.network", "sim.gateway", "sim.database", "sim.role"] {
            assert_eq!(sim.cloud.count(kind, Verb::Create), 1, "{kind}, after {later} ms");
        }
    }
}

/// carina #3625: two objects without a name were taken for one.
#[tokio::test(start_paused = true)]
async fn two_anonymous_objects_that_share_an_identity() {
    let mut stack = nothing();
    stack.at(&place(), |stack| {
        for name in ["one", "two"] {
            stack.add(name, Network { cidr: "10.0.0.0/16".into(), dns: None, tags: Default::default() });
        }
    });
    for moment in ["create sim.network one", "create sim.network two"] {
        let sim = cut_at(async || fresh(), &stack, &Moment::AfterEffect(moment.into())).await;
        sim.run(&stack, &usual()).await.unwrap();
        let state = sim.state();
        let [one, two] = ["one", "two"].map(|a| state.records[&Address::from(a)].clone());
        assert_ne!(one.instance, two.instance);
        assert_ne!(one.outputs, two.outputs);
        assert_eq!(sim.cloud.count("sim.network", Verb::Create), 2);
        settled(&sim, &stack).await;
    }
}

/// carina #3497: a wait that could not come true any more went on for 75 minutes.
#[tokio::test(start_paused = true)]
async fn a_wait_that_cannot_come_true_and_goes_on() {
    let sim = standing(&web().stack()).await;
    let start = Instant::now();
    let report = sim.apply(&Web { image: "broken", ..web() }.stack(), &usual()).await.unwrap();
    assert!(report.failed.iter().any(|(a, _)| a.0 == "service"), "{report:?}");
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

/// cdkd #2118: a signal while the lock was let go left it behind.
#[tokio::test(start_paused = true)]
async fn a_signal_that_leaves_the_lock_behind() {
    let folder = tempfile::tempdir().unwrap();
    for after in [0u64, 1, 39, 41, 8_000, 100_000, 368_000, 369_000, 370_000, 371_000] {
        let sim = fresh();
        let local = folder.path().join(after.to_string());
        let engine = sim.engine_on(Arc::new(LocalStore::new(&local)));
        let planned = engine.plan(&web().stack(), &usual()).await.unwrap();
        let run = permitting(&planned.plan);
        tokio::select! {
            _ = engine.apply(planned, &run) => {}
            () = sleep(Duration::from_millis(after)) => {}
        }
        let next = sim.engine_on(Arc::new(LocalStore::new(&local)));
        let planned = next.plan(&web().stack(), &usual()).await.unwrap();
        let run = permitting(&planned.plan);
        assert!(next.apply(planned, &run).await.unwrap().is_complete(), "after {after} ms");
    }
}

/// cdkd #2039, #2080; aws #27543; alicloud #10305: a create whose answer was a 500 had worked, and was sent again.
#[tokio::test(start_paused = true)]
async fn a_retry_after_a_500_that_had_worked() {
    let kinds =
        ["sim.network", "sim.gateway", "sim.role", "sim.subnet", "sim.database", "sim.task", "sim.service"];
    for kind in kinds {
        let sim = fresh();
        sim.cloud.fault(Some(kind), Verb::Create, When::First(2), Fault::LostAfter);
        sim.run(&web().stack(), &usual()).await.unwrap();
        let wanted = if kind == "sim.subnet" { 2 } else { 1 };
        assert_eq!(sim.cloud.count(kind, Verb::Create), wanted, "{kind}");
        settled(&sim, &web().stack()).await;
    }
}

/// cdkd #957: a create that failed after it was accepted kept its name, and every retry said "already exists".
#[tokio::test(start_paused = true)]
async fn a_failed_create_that_keeps_its_name() {
    let sim = fresh();
    sim.cloud.fault(Some("sim.database"), Verb::Create, When::First(1), Fault::Stillborn);
    assert!(!sim.apply(&web().stack(), &usual()).await.unwrap().is_complete());
    let plan = sim.plan(&web().stack(), &usual()).await.unwrap();
    assert_eq!(plan.step(&"database".into()).map(|s| s.action), Some(Action::ReplaceDeleteFirst));
    sim.run(&web().stack(), &usual()).await.unwrap();
    settled(&sim, &web().stack()).await;
}

/// aws #39625: two processes made the same token, and one got the other's resource.
#[tokio::test(start_paused = true)]
async fn a_token_that_two_processes_share() {
    let sim = fresh();
    let stack = |name: &str| {
        let mut stack = Stack::new(name);
        stack.at(&place(), |stack| {
            let network = Network { cidr: "10.0.0.0/16".into(), dns: None, tags: Default::default() };
            let network = stack.add("network", network).network_id.clone();
            stack.add("gateway", Gateway { network, size: None, tags: Default::default() });
        });
        stack
    };
    let mut gateways = vec![];
    for name in ["one", "two"] {
        let mut registry = Registry::new();
        sim.cloud.register(&mut registry);
        let engine = Engine::new(registry, Arc::new(MemoryStore::default()));
        let planned = engine.plan(&stack(name), &usual()).await.unwrap();
        let run = permitting(&planned.plan);
        let report = engine.apply(planned, &run).await.unwrap();
        assert!(report.is_complete(), "{report:?}");
        gateways.push(report.outputs[&Address::from("gateway")].clone());
    }
    assert_ne!(gateways[0], gateways[1]);
    assert_eq!(sim.cloud.count("sim.gateway", Verb::Create), 2);
}

/// pulumi #17616 and its kin: limits, drift, new addresses and adoption together made a state that was none.
#[tokio::test(start_paused = true)]
async fn options_that_together_make_a_state_that_is_none() {
    let patterns = ["network/*", "role", "*a*", "service", "database"];
    let stacks = [
        web().stack(),
        Web { cidr: "10.0.0.0/8", role: Name::generated("web"), gateway: false, ..web() }.stack(),
        nothing(),
        Web { role: Name::from("web-two"), image: "web:2", tag: Some("red"), ..web() }.stack(),
    ];
    let sim = standing(&stacks[0]).await;
    for (round, only) in patterns.iter().enumerate() {
        for (at, stack) in stacks.iter().enumerate() {
            if (round + at) % 3 == 0 {
                sim.cloud.vanish("sim.gateway", None);
            }
            let options = PlanOptions { only: vec![(*only).into()], adopt: at == 3, ..usual() };
            let _ = sim.apply(stack, &options).await;
            let state = State::fold(&sim.store.entries()).unwrap();
            assert_eq!(sim.cloud.orphans(&state), Vec::<String>::new(), "{only}, {at}");
        }
    }
    // What a limited run left in the way needs another plan.
    for _ in 0..3 {
        let _ = sim.apply(&stacks[3], &usual()).await;
    }
    settled(&sim, &stacks[3]).await;
    sim.run(&nothing(), &usual()).await.unwrap();
    only_the_base_is_left(&sim);
}

/// pulumi-kubernetes #1013, #1379: a place that could not be reached counted as one in which everything was deleted.
#[tokio::test(start_paused = true)]
async fn a_partition_that_counts_as_deleted() {
    let sim = standing(&web().stack()).await;
    let before = (sim.cloud.mutations(), sim.store.entries().len());
    let mut registry = Registry::new();
    registry
        .provider(|place: SimPlace| async move {
            let source = std::io::Error::from(std::io::ErrorKind::TimedOut).into();
            Err::<causeway_core::testing::sim::SimCloud, _>(Error::Connect { place: place.region, source })
        })
        .add::<Network>()
        .add::<Gateway>()
        .add::<Role>()
        .add::<Database>()
        .add::<causeway_core::testing::sim::Subnet>()
        .add::<causeway_core::testing::sim::Task>()
        .add::<causeway_core::testing::sim::Service>()
        .add::<causeway_core::testing::sim::Lookup>();
    let cut_off = Engine::new(registry, sim.store.clone());
    for stack in [web().stack(), nothing()] {
        let error = cut_off.plan(&stack, &usual()).await.err().unwrap();
        assert!(chain(&error).contains("cannot connect to sim-1"), "{}", chain(&error));
    }
    assert!(cut_off.drift().await.is_err());
    assert_eq!((sim.cloud.mutations(), sim.store.entries().len()), before);
    settled(&sim, &web().stack()).await;
}

/// terraform #11064, pulumi #11816: what was protected could be removed with its block; or the preview of it failed.
#[tokio::test(start_paused = true)]
async fn a_protection_that_goes_with_its_block() {
    let mut protected = web().stack();
    protected.protect(&"database".into());
    let sim = standing(&protected).await;
    let without = Web { service: false, ..web() };
    let mut without = without.stack();
    without.retain(|a| !["database", "task"].contains(&a.0.as_str()));
    let plan = sim.plan(&without, &usual()).await.unwrap();
    assert_eq!(plan.step(&"database".into()).map(|s| s.action), Some(Action::Delete), "the plan is complete");
    assert_eq!(plan.step(&"service".into()).map(|s| s.action), Some(Action::Delete));
    let refusals = guard(&plan, &all_rules(&plan));
    assert!(refusals.iter().any(|r| r.rule == "protected" && r.address == Some("database".into())));
    let before = sim.cloud.mutations();
    assert!(matches!(sim.apply(&without, &usual()).await, Err(EngineError::Refused(_))));
    assert_eq!(sim.cloud.mutations(), before);
}

/// pulumi #2247: the size that an autoscaler had set was set back, and the plan did not show it.
#[tokio::test(start_paused = true)]
async fn a_scale_that_is_reset() {
    let sim = standing(&web().stack()).await;
    sim.cloud.tamper("sim.gateway", "network/gateway", "size", json!(12));
    settled(&sim, &web().stack()).await;
    let changed = Web { tag: Some("red"), ..web() }.stack();
    sim.run(&changed, &usual()).await.unwrap();
    assert!(sim.cloud.inventory().to_string().contains(r#""size":12"#), "{}", sim.cloud.inventory());
}

/// cdk #7602: a reference and what it referred to could not go in one release.
#[tokio::test(start_paused = true)]
async fn a_reference_that_cannot_go_in_one_release() {
    let sim = standing(&web().stack()).await;
    let mut without = web().stack();
    without.retain(|a| a.0 != "database");
    let mut without_reference = Stack::new("web");
    without_reference.at(&place(), |stack| {
        stack.add("base", causeway_core::testing::sim::Lookup { name: "base".into() });
        let role =
            Role { name: Name::from("web"), path: None, policy: "read".into(), tags: Default::default() };
        let role = stack.add("role", role).arn.clone();
        let task = causeway_core::testing::sim::Task {
            family: "web".into(),
            image: "web:1".into(),
            role,
            environment: Default::default(),
            tags: Default::default(),
        };
        stack.add("task", task);
    });
    assert!(without.check().is_err(), "the one without the other is a mistake that is told");
    let before = sim.cloud.mutations();
    sim.run(&without_reference, &usual()).await.unwrap();
    let calls: Vec<_> = sim.cloud.calls()[before..].iter().map(|c| (c.address.clone(), c.verb)).collect();
    let place = |address: &str, verb| calls.iter().position(|c| *c == (address.to_owned(), verb)).unwrap();
    assert!(place("task", Verb::Update) < place("database", Verb::Delete), "{calls:?}");
    settled(&sim, &without_reference).await;
}

/// terraform #13851, #30266: an interrupt wrote an empty or a shorter state.
#[tokio::test(start_paused = true)]
async fn an_interrupt_that_writes_a_shorter_state() {
    let changed = Web { cidr: "10.0.0.0/8", ..web() }.stack();
    for at in 0.. {
        let sim = standing(&web().stack()).await;
        let before = sim.store.entries();
        sim.fuse.arm(Some(at));
        let options = usual();
        let cut = tokio::select! {
            biased;
            () = sim.fuse.gone() => true,
            _ = sim.apply(&changed, &options) => false,
        };
        let after = sim.store.entries();
        assert!(after.starts_with(&before), "at {at}");
        assert!(State::fold(&after).unwrap().incarnations().count() >= 7, "at {at}");
        if !cut {
            assert!(at > 50);
            break;
        }
    }
}

/// carina #3542: what GitHub Actions does to a job that is cancelled: SIGINT, 7.5 s, SIGTERM, 2.5 s, SIGKILL.
#[tokio::test(start_paused = true)]
async fn a_cancelled_job() {
    for after in [0u64, 20, 60, 2_000, 9_000, 40_000, 305_000, 311_000, 330_000] {
        let sim = fresh();
        let stack = web().stack();
        let engine = sim.engine();
        let planned = engine.plan(&stack, &usual()).await.unwrap();
        let run = permitting(&planned.plan);
        let stop: Stop = run.stop.clone();
        let cancelled = async {
            sleep(Duration::from_millis(after)).await;
            stop.drain();
            sleep(Duration::from_millis(7_500)).await;
            stop.abort();
            sleep(Duration::from_millis(2_500)).await;
        };
        tokio::select! {
            biased;
            report = engine.apply(planned, &run) => assert!(!report.unwrap().is_complete(), "after {after} ms"),
            () = cancelled => panic!("after {after} ms: it was still there when it was killed"),
        }
        sim.run(&stack, &usual()).await.unwrap();
        settled(&sim, &stack).await;
        assert_eq!(sim.cloud.count("sim.network", Verb::Create), 1, "after {after} ms");
    }
}
