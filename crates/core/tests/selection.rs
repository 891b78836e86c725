//! Plans of a part, and plans from the journal alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    Address,
    plan::{Action, PlanOptions},
    render,
    testing::crash::Sim,
};
use serde_json::json;
use web::{Web, nothing};

fn usual() -> PlanOptions {
    PlanOptions::default()
}

fn except(patterns: &[&str]) -> PlanOptions {
    PlanOptions { except: patterns.iter().map(|p| (*p).to_owned()).collect(), ..usual() }
}

fn from_journal() -> PlanOptions {
    PlanOptions { from_journal: true, ..usual() }
}

async fn standing() -> Sim {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim.run(&Web::default().stack(), &usual()).await.unwrap();
    sim
}

fn changed() -> Web {
    Web { policy: "write", gateway_size: Some(3), count: 5, ..Web::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_excepted_stays_as_it_is_and_is_told() {
    let sim = standing().await;
    let plan = sim.plan(&changed().stack(), &except(&["role", "network/*"])).await.unwrap();
    assert_eq!(plan.steps.iter().map(|s| s.address.0.as_str()).collect::<Vec<_>>(), ["service"]);
    assert_eq!(plan.left_out, ["network/gateway", "role"].map(Address::from).into());
    assert!(render::plan(&plan, false).contains("Left out: 2 that would be changed as well."));
    let from = sim.cloud.mutations();
    sim.run(&changed().stack(), &except(&["role", "network/*"])).await.unwrap();
    assert!(sim.cloud.calls()[from..].iter().all(|c| c.address == "service"));
    let both = PlanOptions { only: vec!["network/*".into(), "role".into()], ..except(&["role"]) };
    let plan = sim.plan(&changed().stack(), &both).await.unwrap();
    assert_eq!(plan.steps.iter().map(|s| s.address.0.as_str()).collect::<Vec<_>>(), ["network/gateway"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_excepted_and_needed_refuses_the_plan() {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    let plan = sim.plan(&Web::default().stack(), &except(&["database"])).await.unwrap();
    let told: Vec<String> = plan.conflicts.iter().map(|c| format!("{} {}", c.address, c.why)).collect();
    assert_eq!(
        told,
        ["task needs `database`, which was left out and is not there yet; choose both or neither"]
    );
    let sim = standing().await;
    let replaced = Web { cidr: "10.0.0.0/8", ..Web::default() };
    let plan = sim.plan(&replaced.stack(), &except(&["network/network"])).await.unwrap();
    let subnet = plan.conflicts.iter().find(|c| c.address.0 == "network/subnet-a").unwrap();
    assert!(
        subnet.why.contains("`network/network`, which was left out and is to be replaced"),
        "{}",
        subnet.why
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_from_under_what_is_excepted() {
    let sim = standing().await;
    let plan = sim.plan(&nothing(), &except(&["service"])).await.unwrap();
    let told: Vec<String> = plan.conflicts.iter().map(|c| format!("{} {}", c.address, c.why)).collect();
    let needed = "is needed by `service`, which was left out and is still there; choose both or neither";
    assert!(told.contains(&format!("task {needed}")), "{told:?}");
    assert!(told.contains(&format!("network/subnet-a {needed}")), "{told:?}");
    assert!(!told.iter().any(|t| t.starts_with("network/gateway")), "{told:?}");
    // From the other end it works.
    sim.run(&nothing(), &except(&["network/*", "database"])).await.unwrap();
    let left: Vec<String> = sim.state().records.into_keys().map(|a| a.0).collect();
    assert_eq!(
        left,
        ["database", "network/gateway", "network/network", "network/subnet-a", "network/subnet-b"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_from_the_journal_looks_at_nothing_that_it_knows_and_says_so() {
    let sim = standing().await;
    sim.cloud.tamper("sim.role", "role", "policy", json!("everything"));
    let reads = sim.cloud.reads();
    let plan = sim.plan(&Web::default().stack(), &from_journal()).await.unwrap();
    assert_eq!(sim.cloud.reads() - reads, 1, "only what is not ours, and so in no journal, is looked up");
    assert!(plan.steps.is_empty() && plan.from_journal);
    assert!(render::plan(&plan, false).starts_with("! Not looked at:"));
    let plan = sim.plan(&changed().stack(), &from_journal()).await.unwrap();
    let steps: Vec<(&str, Action)> = plan.steps.iter().map(|s| (s.address.0.as_str(), s.action)).collect();
    assert_eq!(
        steps,
        [("role", Action::Update), ("network/gateway", Action::Update), ("service", Action::Update)]
    );
    sim.run(&changed().stack(), &from_journal()).await.unwrap();
    assert!(sim.plan(&changed().stack(), &usual()).await.unwrap().steps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_plan_from_the_journal_that_is_out_of_date_does_no_more_than_it_says() {
    let sim = standing().await;
    // Beside what the plan changes, somebody changed something else, which the plan does not say.
    sim.cloud.tamper("sim.service", "service", "task", json!("other"));
    let from = sim.cloud.mutations();
    let why = sim.run(&changed().stack(), &from_journal()).await.unwrap_err();
    assert!(why.contains("task changed since it was planned; plan again"), "{why}");
    assert!(sim.cloud.calls()[from..].iter().all(|c| c.address != "service"));
    let sim = standing().await;
    sim.cloud.vanish("sim.role", Some("role"));
    let from = sim.cloud.mutations();
    let why = sim.run(&changed().stack(), &from_journal()).await.unwrap_err();
    assert!(why.contains("it has disappeared since it was planned; plan again"), "{why}");
    assert!(sim.cloud.calls()[from..].iter().all(|c| c.address == "network/gateway"));
    sim.run(&changed().stack(), &usual()).await.unwrap();
    assert!(sim.plan(&changed().stack(), &usual()).await.unwrap().steps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_open_is_looked_at_all_the_same() {
    let sim = standing().await;
    let options = usual();
    for moment in (0..40).step_by(3) {
        sim.fuse.arm(Some(moment));
        let stack =
            Web { count: 7 + u32::try_from(moment).unwrap(), cidr: "10.0.0.0/8", ..Web::default() }.stack();
        let crashed = tokio::select! {
            biased;
            () = sim.fuse.gone() => true,
            _ = sim.apply(&stack, &options) => false,
        };
        sim.fuse.arm(None);
        sim.run(&stack, &from_journal()).await.unwrap();
        let plan = sim.plan(&stack, &usual()).await.unwrap();
        assert!(plan.steps.is_empty(), "{moment}: {}", render::plan(&plan, true));
        if !crashed {
            break;
        }
        sim.run(&Web::default().stack(), &usual()).await.unwrap();
    }
}
