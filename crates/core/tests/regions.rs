//! Stacks in two regions, of which one is cut off: the other goes on, and what is missing is said.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use causeway_core::{
    Address, Stack, Value,
    apply::Report,
    away::Away,
    engine::EngineError,
    plan::{Action, Plan, PlanOptions},
    render,
    saved::{Program, SavedPlan},
    testing::{
        crash::Sim,
        sim::{Fault, Gateway, Network, Role, SimPlace, Subnet, Verb, When},
    },
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

const EAST: &str = "sim-1";
const WEST: &str = "sim-2";

fn usual() -> PlanOptions {
    PlanOptions::default()
}

fn only(patterns: &[&str]) -> PlanOptions {
    PlanOptions { only: patterns.iter().map(|p| (*p).to_owned()).collect(), ..usual() }
}

fn place(region: &str) -> SimPlace {
    SimPlace { region: region.to_owned() }
}

/// In each region a network with subnets and a gateway, and in the first one a gateway to the last network.
#[derive(Clone)]
struct Net {
    regions: &'static [&'static str],
    cidr: &'static str,
    subnets: usize,
    size: u32,
    peer: bool,
}

impl Default for Net {
    fn default() -> Self {
        Net { regions: &[EAST, WEST], cidr: "10.0.0.0/16", subnets: 2, size: 1, peer: true }
    }
}

impl Net {
    fn stack(&self) -> Stack {
        let mut stack = nothing();
        let mut peer = None;
        for region in self.regions {
            stack.at(&place(region), |stack| stack.scope(region, |stack| peer = Some(self.region(stack))));
        }
        if let (true, Some(network)) = (self.peer && self.regions.len() > 1, peer) {
            stack.at(&place(self.regions[0]), |stack| {
                stack.add("peer", Gateway { network, size: Some(self.size), tags: Default::default() });
            });
        }
        stack
    }

    fn region(&self, stack: &mut Stack) -> Value<String> {
        let network = Network { cidr: self.cidr.into(), dns: None, tags: Default::default() };
        let network = stack.add("network", network).network_id.clone();
        for n in 0..self.subnets {
            let cidr = format!("10.0.{n}.0/24");
            stack.add(&format!("subnet-{n}"), Subnet { network: network.clone(), cidr, public: None });
        }
        let gateway = Gateway { network: network.clone(), size: Some(self.size), tags: Default::default() };
        stack.add("gateway", gateway);
        network
    }
}

fn nothing() -> Stack {
    Stack::new("net")
}

async fn standing(net: &Net) -> Sim {
    let sim = Sim::new(1);
    sim.run(&net.stack(), &usual()).await.unwrap();
    sim
}

fn steps(plan: &Plan) -> Vec<(&str, Action)> {
    let mut steps: Vec<_> = plan.steps.iter().map(|s| (s.address.0.as_str(), s.action)).collect();
    steps.sort();
    steps
}

fn set(addresses: &[&str]) -> BTreeSet<Address> {
    addresses.iter().map(|a| Address::from(*a)).collect()
}

fn in_region(region: &str) -> BTreeSet<Address> {
    ["network", "subnet-0", "subnet-1", "gateway"].iter().map(|a| Address(format!("{region}/{a}"))).collect()
}

fn the(away: &[Away]) -> &Away {
    assert_eq!(away.len(), 1, "{away:?}");
    &away[0]
}

/// Nothing orphaned, nothing twice, nothing left to do.
async fn settled(sim: &Sim, stack: &Stack) {
    let state = sim.state();
    assert_eq!(sim.cloud.orphans(&state), Vec::<String>::new());
    assert_eq!(sim.cloud.duplicates(), Vec::<String>::new());
    let plan = sim.plan(stack, &usual()).await.unwrap();
    assert!(plan.steps.is_empty() && plan.away.is_empty(), "{}", render::plan(&plan, true));
    let of_stack: Vec<&Address> = stack.nodes().keys().collect();
    assert_eq!(state.records.keys().collect::<Vec<_>>(), of_stack);
}

#[tokio::test(start_paused = true)]
async fn the_others_are_made_and_the_next_run_makes_the_rest() {
    let sim = Sim::new(1);
    let stack = Net::default().stack();
    // Where nothing was ever made there is nothing to look at.
    sim.run(&Net { regions: &[WEST], ..Net::default() }.stack(), &only(&["*/network"])).await.unwrap();
    sim.cloud.cut(WEST);
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    let east = ["gateway", "network", "subnet-0", "subnet-1"].map(|n| format!("sim-1/{n}"));
    assert_eq!(steps(&plan), east.each_ref().map(|a| (a.as_str(), Action::Create)));
    let away = the(&plan.away);
    assert_eq!((away.place.as_str(), &away.resources), (WEST, &in_region(WEST)));
    assert_eq!((&away.needing, away.wanted), (&set(&["peer"]), 5));
    assert!(away.why.contains("no way to sim-2"), "{}", away.why);
    assert!(plan.conflicts.is_empty(), "{:?}", plan.conflicts);
    let text = render::plan(&plan, false);
    assert!(
        text.starts_with("! sim-2 cannot be reached: 4 resources there wait, and 1 elsewhere with them"),
        "{text}"
    );
    assert!(text.contains("Plan: 4 to create, 0 unchanged. Not reached: sim-2.\n"), "{text}");
    let report = sim.apply(&stack, &usual()).await.unwrap();
    assert_eq!((report.done.len(), report.failed.len(), report.skipped.len()), (4, 0, 0));
    assert!(!report.is_complete() && report.away == plan.away);
    sim.cloud.reconnect(WEST);
    sim.run(&stack, &usual()).await.unwrap();
    settled(&sim, &stack).await;
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_it_is_neither_gone_nor_drifted_nor_deleted() {
    let sim = standing(&Net::default()).await;
    let before = sim.cloud.inventory();
    sim.cloud.cut(WEST);
    let drifted = sim.engine().drift().await.unwrap();
    assert_eq!(drifted.drift, []);
    assert_eq!(the(&drifted.away).resources, in_region(WEST));
    let plan = sim.plan(&Net::default().stack(), &usual()).await.unwrap();
    assert!(plan.steps.is_empty() && plan.is_empty());
    let told = render::summary(&plan);
    assert_eq!(told, "Nothing to do where it can be seen: 4 resources are as wanted. Not reached: sim-2.");
    let report = sim.apply(&Net::default().stack(), &usual()).await.unwrap();
    assert!(!report.is_complete(), "what was not seen is not done");
    // What changes everywhere changes where it can.
    let larger = Net { size: 3, ..Net::default() };
    let plan = sim.plan(&larger.stack(), &usual()).await.unwrap();
    assert_eq!(steps(&plan), [("sim-1/gateway", Action::Update)]);
    sim.cloud.reconnect(WEST);
    assert_eq!(sim.cloud.inventory(), before);
    sim.run(&larger.stack(), &usual()).await.unwrap();
    settled(&sim, &larger.stack()).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_from_under_what_waits() {
    let sim = standing(&Net::default()).await;
    sim.cloud.cut(EAST);
    let plan = sim.plan(&nothing(), &usual()).await.unwrap();
    let gone = ["gateway", "subnet-0", "subnet-1"].map(|n| format!("sim-2/{n}"));
    assert_eq!(steps(&plan), gone.each_ref().map(|a| (a.as_str(), Action::Delete)));
    let away = the(&plan.away);
    assert_eq!((&away.needing, away.wanted), (&set(&["sim-2/network"]), 0));
    // A replacement would take the network from under it as well, and what stands in the new one with it.
    let other = Net { cidr: "10.0.0.0/8", ..Net::default() };
    let plan = sim.plan(&other.stack(), &usual()).await.unwrap();
    assert_eq!(steps(&plan), []);
    assert_eq!(the(&plan.away).needing, in_region(WEST));
    assert!(plan.conflicts.is_empty(), "{:?}", plan.conflicts);
    assert!(!sim.apply(&nothing(), &usual()).await.unwrap().is_complete());
    assert_eq!(sim.state().records.len(), 6);
    sim.cloud.reconnect(EAST);
    sim.run(&nothing(), &usual()).await.unwrap();
    settled(&sim, &nothing()).await;
    assert_eq!(sim.cloud.inventory(), serde_json::json!([]));
}

#[tokio::test(start_paused = true)]
async fn only_what_cannot_be_reached_is_away() {
    let sim = standing(&Net::default()).await;
    let stack = Net::default().stack();
    for region in [EAST, WEST] {
        sim.cloud.cut(region);
    }
    // Nothing can be reached: there is nothing to plan.
    let error = sim.plan(&stack, &usual()).await.unwrap_err().to_string();
    assert!(error.contains("9 of the resources could not be read"), "{error}");
    assert!(sim.engine().drift().await.is_err());
    sim.cloud.reconnect(EAST);
    assert_eq!(sim.plan(&stack, &usual()).await.unwrap().away.len(), 1);
    sim.cloud.reconnect(WEST);
    // Only in the second region there is a role.
    let mut stack = stack;
    let role = Role { name: "role".into(), path: None, policy: "read".into(), tags: Default::default() };
    stack.at(&place(WEST), |stack| drop(stack.add("role", role)));
    for fault in [Fault::Denied, Fault::Throttled] {
        sim.cloud.fault(Some("sim.role"), Verb::Read, When::Always, fault);
        let error = sim.plan(&stack, &usual()).await.unwrap_err().to_string();
        assert!(error.contains("1 of the resources could not be read"), "{error}");
        sim.cloud.heal();
    }
    sim.cloud.fault(Some("sim.role"), Verb::Read, When::Always, Fault::LostBefore);
    assert_eq!(sim.plan(&stack, &usual()).await.unwrap().away.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_away_is_given_up_while_others_answer_and_not_before() {
    let sim = standing(&Net::default()).await;
    let stack = Net::default().stack();
    let timed = async || {
        let start = Instant::now();
        let planned = sim.plan(&stack, &usual()).await;
        (planned.map(|p| p.away.len()).ok(), start.elapsed().as_secs())
    };
    sim.cloud.cut(WEST);
    let (away, seconds) = timed().await;
    assert_eq!(away, Some(1));
    assert!((30..40).contains(&seconds), "{seconds}");
    // Where nobody answers it may be our own line, which comes back.
    sim.cloud.cut(EAST);
    let (away, seconds) = timed().await;
    assert_eq!(away, None);
    assert!((150..170).contains(&seconds), "{seconds}");
    let back = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        sim.cloud.reconnect(EAST);
        sim.cloud.reconnect(WEST);
    };
    let ((away, _), ()) = tokio::join!(timed(), back);
    assert_eq!(away, Some(0));
}

/// Applies `stack`, and cuts `region` off in the middle of it.
async fn cut_after(sim: &Sim, stack: &Stack, region: &str, after: Duration) -> Report {
    let cut = async {
        tokio::time::sleep(after).await;
        sim.cloud.cut(region);
    };
    let options = usual();
    tokio::join!(sim.apply(stack, &options), cut).0.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_in_the_middle_ends_soon_and_the_others_finish() {
    let sim = Sim::new(1);
    let net = Net { subnets: 60, ..Net::default() };
    let start = Instant::now();
    let report = cut_after(&sim, &net.stack(), WEST, Duration::from_secs(2)).await;
    let took = start.elapsed();
    let east = |a: &Address| a.0.starts_with(EAST);
    assert_eq!(report.done.iter().filter(|(a, _)| east(a)).count(), 62, "{report:?}");
    assert!(report.failed.iter().chain(&report.skipped).all(|(a, _)| !east(a)));
    let away = the(&report.away);
    assert_eq!(away.place, WEST);
    assert!(away.resources.len() > 40, "{away:?}");
    let why = &report.failed[0].1;
    assert!(why.starts_with("cannot connect to sim-2: ") && why.ends_with("no way to sim-2"), "{why}");
    // The gateways take a minute and a half; one by one the others would take a quarter of an hour.
    assert!(took < Duration::from_secs(200), "{took:?}");
    sim.cloud.reconnect(WEST);
    sim.run(&net.stack(), &usual()).await.unwrap();
    settled(&sim, &net.stack()).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_alone_keeps_no_other_step_back() {
    let sim = Sim::new(1);
    sim.cloud.fault(Some("sim.gateway"), Verb::Create, When::Always, Fault::LostBefore);
    let report = sim.apply(&Net::default().stack(), &usual()).await.unwrap();
    assert_eq!((report.done.len(), report.failed.len(), report.away.len()), (6, 3, 0), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_region_is_chosen_by_name() {
    let sim = Sim::new(1);
    let stack = Net::default().stack();
    let of = |plan: &Plan| plan.steps.iter().map(|s| s.address.clone()).collect::<BTreeSet<_>>();
    let plan = sim.plan(&stack, &only(&["region:sim-2"])).await.unwrap();
    assert_eq!(of(&plan), in_region(WEST));
    assert_eq!(plan.left_out.len(), 5);
    // What it needs from elsewhere must be there.
    let plan = sim.plan(&stack, &only(&["region:sim-1"])).await.unwrap();
    assert_eq!(plan.conflicts.len(), 1);
    assert!(plan.conflicts[0].why.starts_with("needs `sim-2/network`, which was left out"));
    sim.run(&stack, &only(&["region:sim-2"])).await.unwrap();
    sim.run(&stack, &only(&["region:sim-1"])).await.unwrap();
    settled(&sim, &stack).await;
    let except = PlanOptions { except: vec!["region:sim-2".into()], ..usual() };
    let plan = sim.plan(&nothing(), &except).await.unwrap();
    assert_eq!(of(&plan), in_region(EAST).union(&set(&["peer"])).cloned().collect());
    sim.run(&nothing(), &except).await.unwrap();
    assert_eq!(sim.state().records.into_keys().collect::<BTreeSet<_>>(), in_region(WEST));
}

#[tokio::test(start_paused = true)]
async fn a_region_that_is_away_and_was_not_asked_for_is_no_failure() {
    let sim = standing(&Net { peer: false, ..Net::default() }).await;
    let larger = Net { size: 3, ..Net::default() };
    sim.cloud.cut(WEST);
    let alone = Net { peer: false, ..larger.clone() };
    let report = sim.apply(&alone.stack(), &only(&["region:sim-1"])).await.unwrap();
    assert!(report.is_complete() && report.done.len() == 1, "{report:?}");
    // But it is, where something there is needed.
    let plan = sim.plan(&larger.stack(), &only(&["region:sim-1"])).await.unwrap();
    assert_eq!(the(&plan.away).needing, set(&["peer"]));
}

#[tokio::test(start_paused = true)]
async fn a_region_is_added_later() {
    let one = Net { regions: &[EAST], ..Net::default() };
    let sim = standing(&one).await;
    let from = sim.cloud.mutations();
    let plan = sim.plan(&Net::default().stack(), &usual()).await.unwrap();
    assert_eq!((plan.steps.len(), plan.unchanged), (5, 4));
    sim.run(&Net::default().stack(), &usual()).await.unwrap();
    assert!(sim.cloud.calls()[from..].iter().all(|c| !c.address.starts_with(EAST)));
    settled(&sim, &Net::default().stack()).await;
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_says_what_was_away_and_does_no_more() {
    let sim = Sim::new(1);
    let stack = Net::default().stack();
    sim.run(&Net { regions: &[WEST], ..Net::default() }.stack(), &only(&["*/network"])).await.unwrap();
    sim.cloud.cut(WEST);
    let planned = sim.engine().plan(&stack, &usual()).await.unwrap();
    let program = Program { version: "1".into(), build: "2".into() };
    let text = SavedPlan::of(&planned, &usual(), &program, "here").text(None);
    let (saved, _) = SavedPlan::read(text.as_bytes(), &program).unwrap();
    assert_eq!(saved.plan.away, planned.plan.away);
    // Still away: the same. Back: the same, too.
    for _ in 0..2 {
        let again = sim.engine().plan(&stack, &saved.options()).await.unwrap();
        assert_eq!(saved.deviations(&again), []);
        assert_eq!(steps(&again.plan), steps(&planned.plan));
        assert!(again.plan.conflicts.is_empty(), "{:?}", again.plan.conflicts);
        sim.cloud.reconnect(WEST);
    }
    // Of a plan for all, what is away now says so.
    let planned = sim.engine().plan(&stack, &usual()).await.unwrap();
    let saved = SavedPlan::of(&planned, &usual(), &program, "here");
    sim.cloud.cut(WEST);
    let again = sim.engine().plan(&stack, &saved.options()).await.unwrap();
    let told = saved.deviations(&again);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|d| d.why == "waits: sim-2 cannot be reached"), "{told:?}");
}

#[derive(Clone, Debug)]
struct Cut {
    region: &'static str,
    /// When it is cut off, in milliseconds of the run.
    after: u64,
    /// For how long; not again, where that is longer than the run takes.
    lasts: u64,
    subnets: usize,
    seed: u64,
    /// What the run starts from, and what it wants.
    from: u8,
    to: u8,
}

fn cut() -> impl Strategy<Value = Cut> {
    let after = prop_oneof![0u64..3_000, 0u64..120_000];
    let lasts = prop_oneof![Just(1u64 << 40), 0u64..200_000];
    (prop_oneof![Just(EAST), Just(WEST)], after, lasts, 1usize..8, any::<u64>(), 0u8..5, 0u8..5).prop_map(
        |(region, after, lasts, subnets, seed, from, to)| Cut {
            region,
            after,
            lasts,
            subnets,
            seed,
            from,
            to,
        },
    )
}

impl Cut {
    fn stack(&self, which: u8) -> Stack {
        let usual = Net { subnets: self.subnets, ..Net::default() };
        match which {
            0 => nothing(),
            1 => usual.stack(),
            2 => Net { size: 5, cidr: "10.0.0.0/8", ..usual }.stack(),
            3 => Net { regions: &[WEST], ..usual }.stack(),
            _ => Net { size: 2, subnets: 9 - self.subnets, peer: false, ..usual }.stack(),
        }
    }
}

/// Whatever a run was at when a region was cut off: the other one has all that it can have, and once both can be reached
/// one more run makes it as if nothing had happened.
async fn converges(cut: &Cut) -> Result<(), String> {
    let (from, to) = (cut.stack(cut.from), cut.stack(cut.to));
    let sim = Sim::new(cut.seed);
    let calm = Sim::new(cut.seed);
    for sim in [&sim, &calm] {
        sim.run(&from, &usual()).await.map_err(|e| format!("before: {e}"))?;
    }
    calm.run(&to, &usual()).await.map_err(|e| format!("undisturbed: {e}"))?;
    let (start, options) = (Instant::now(), usual());
    let breaking = async {
        tokio::time::sleep(Duration::from_millis(cut.after)).await;
        sim.cloud.cut(cut.region);
        tokio::time::sleep(Duration::from_millis(cut.lasts)).await;
        sim.cloud.reconnect(cut.region);
        std::future::pending().await
    };
    let held: Result<Report, EngineError> = tokio::select! {
        report = sim.apply(&to, &options) => report,
        never = breaking => never,
    };
    let took = start.elapsed();
    if took > Duration::from_secs(1200) {
        return Err(format!("it took {took:?}"));
    }
    // The other region has its share, as far as it needs nothing of this one.
    let other = if cut.region == EAST { WEST } else { EAST };
    let free = |a: &Address| a.0.starts_with(other) && a.0 != format!("{other}/network");
    let there = sim.state();
    let missing: Vec<&Address> =
        to.nodes().keys().filter(|a| free(a) && cut.to == 1 && cut.from == 0).collect();
    if let Some(a) = missing.into_iter().find(|a| !there.records.contains_key(*a)) {
        return Err(format!("`{a}` was not made: {held:?}"));
    }
    sim.cloud.reconnect(cut.region);
    sim.run(&to, &usual()).await.map_err(|e| format!("reconnected: {e}"))?;
    let state = sim.state();
    let (orphans, twice) = (sim.cloud.orphans(&state), sim.cloud.duplicates());
    if !(orphans.is_empty() && twice.is_empty()) {
        return Err(format!("orphans {orphans:?}, twice {twice:?}"));
    }
    if sim.cloud.inventory() != calm.cloud.inventory() {
        return Err(format!("ends elsewhere:\n{}\n{}", calm.cloud.inventory(), sim.cloud.inventory()));
    }
    let plan = sim.plan(&to, &usual()).await.map_err(|e| e.to_string())?;
    if plan.steps.is_empty() { Ok(()) } else { Err(render::plan(&plan, true)) }
}

#[test]
fn cut_off_at_any_moment_and_reconnected_it_ends_where_it_would_have() {
    let cases = std::env::var("CAUSEWAY_CASES").map_or(150, |n| n.parse().unwrap());
    let config =
        Config { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::default() };
    let holds = |cut: Cut| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(converges(&cut)).map_err(TestCaseError::fail)
    };
    TestRunner::new(config).run(&cut(), holds).unwrap();
}
