//! Guards: what they refuse is not begun, and what is overruled is written down.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    Engine, Stack,
    engine::{EngineError, Run},
    freeze::{Day, Freeze},
    guard::{Refusal, Rules, guard},
    history,
    journal::Entry,
    lint::{Breach, Lint},
    plan::PlanOptions,
    testing::{
        crash::{Sim, all_rules},
        sim::{Network, Verb},
    },
    wanted::Wanted,
};
use jiff::Timestamp;
use serde_json::json;
use std::time::Duration;
use web::{Web, nothing};

async fn standing() -> Sim {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    sim
}

fn changed() -> Stack {
    Web { count: 5, ..Web::default() }.stack()
}

/// Always, by the clock of the simulated cloud and by every other.
fn always() -> Freeze {
    let all = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
    Freeze::new("the end of the year", "Europe/Berlin", &all, None, None).unwrap()
}

async fn apply(sim: &Sim, stack: &Stack, rules: Rules) -> Result<(), Vec<Refusal>> {
    let planned = sim.engine().plan(stack, &PlanOptions::default()).await.unwrap();
    let all = all_rules(&planned.plan);
    let rules = Rules { permits: all.permits, max_removals: None, ..rules };
    match sim.engine().apply(planned, &Run { rules, ..Run::default() }).await {
        Ok(report) => {
            assert!(report.is_complete());
            Ok(())
        }
        Err(EngineError::Refused(refusals)) => Err(refusals),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_changed_during_a_freeze_unless_somebody_says_why() {
    let sim = standing().await;
    let (calls, entries) = (sim.cloud.mutations(), sim.store.entries().len());
    let frozen = Rules { freezes: vec![always()], ..Rules::default() };
    let refusals = apply(&sim, &changed(), frozen.clone()).await.unwrap_err();
    assert_eq!(refusals.len(), 1);
    assert_eq!((refusals[0].rule.as_str(), &refusals[0].address), ("freeze", &None));
    assert!(refusals[0].why.contains("`the end of the year`, which lasts until"), "{}", refusals[0].why);
    assert!(refusals[0].why.contains("(Europe/Berlin)") && refusals[0].why.contains("--during-freeze"));
    assert_eq!((sim.cloud.mutations(), sim.store.entries().len()), (calls, entries));
    // What changes nothing is not in its way.
    apply(&sim, &Web::default().stack(), frozen.clone()).await.unwrap();

    let reason = Some("the certificate runs out tonight".to_owned());
    apply(&sim, &changed(), Rules { during_freeze: reason, ..frozen }).await.unwrap();
    let runs = history::runs(&sim.store.entries());
    let overruled = &runs.last().unwrap().overruled;
    assert_eq!(
        (overruled[0].rule.as_str(), overruled[0].why.as_str()),
        ("freeze", "the certificate runs out tonight")
    );
}

#[tokio::test(start_paused = true)]
async fn a_reason_that_was_not_needed_is_not_written_down() {
    let sim = standing().await;
    let rules = Rules { during_freeze: Some("whatever".into()), ..Rules::default() };
    apply(&sim, &changed(), rules).await.unwrap();
    assert!(history::runs(&sim.store.entries()).iter().all(|run| run.overruled.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_freeze_counts_when_it_is_applied_and_not_when_it_was_planned() {
    let sim = standing().await;
    let planned = sim.engine().plan(&changed(), &PlanOptions::default()).await.unwrap();
    // The clock of the simulation stands in 1970.
    let then = Freeze::new("f", "UTC", &[], Some("1969-12-31T00:00"), Some("1990-01-01T00:00")).unwrap();
    let rules = Rules {
        freezes: vec![then],
        now: "2026-11-21T12:00:00Z".parse::<Timestamp>().unwrap(),
        ..Rules::default()
    };
    assert!(guard(&planned.plan, &rules).is_empty(), "not in 2026");
    let applied = sim.engine().apply(planned, &Run { rules, ..Run::default() }).await;
    assert!(matches!(applied, Err(EngineError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn what_a_pattern_protects_stays_even_when_it_is_wanted_no_more() {
    let sim = standing().await;
    let (calls, entries) = (sim.cloud.mutations(), sim.store.entries().len());
    let rules = || Rules { protect: vec!["network/*".into()], ..Rules::default() };
    let refusals = apply(&sim, &nothing(), rules()).await.unwrap_err();
    let named: Vec<&str> = refusals.iter().map(|r| r.address.as_ref().unwrap().0.as_str()).collect();
    assert_eq!(named, ["network/gateway", "network/subnet-a", "network/subnet-b", "network/network"]);
    assert!(refusals.iter().all(|r| r.rule == "protected"));
    let replaced = Web { cidr: "10.0.0.0/8", ..Web::default() }.stack();
    assert!(apply(&sim, &replaced, rules()).await.is_err());
    assert_eq!((sim.cloud.mutations(), sim.store.entries().len()), (calls, entries));
    apply(&sim, &changed(), rules()).await.unwrap();
}

/// When the copy of a database was asked for, could be used, and when the database was told to go.
#[tokio::test(start_paused = true)]
async fn no_data_is_removed_before_a_copy_of_it_can_be_used() {
    for (stack, lost) in [
        (nothing(), "the database is deleted"),
        (Web { engine: "mysql", ..Web::default() }.stack(), "the database is replaced"),
    ] {
        let sim = standing().await;
        let instance = sim.state().records[&"database".into()].instance.clone();
        assert!(sim.cloud.copies().is_empty());
        let from = sim.cloud.mutations();
        let began = sim.cloud.calls().iter().map(|c| c.at).max().unwrap();
        apply(&sim, &stack, Rules::default()).await.unwrap();
        let calls = sim.cloud.calls();
        let gone = calls[from..].iter().find(|c| c.kind == "sim.database" && c.verb == Verb::Delete).unwrap();
        assert!(gone.at >= began + Duration::from_secs(60), "{lost}: the copy takes a minute");
        let copies = sim.cloud.copies();
        assert!(copies.len() == 1 && copies[0].ends_with(&instance), "{lost}: {copies:?}");
        let entries = sim.store.entries();
        let copied = entries.iter().find_map(|e| match &e.entry {
            Entry::Copied { address, instance, copy } => Some((address.0.as_str(), instance, copy)),
            _ => None,
        });
        assert_eq!(copied.unwrap(), ("database", &instance, &copies[0]), "{lost}");
        let runs = history::runs(&entries);
        let deed = runs.last().unwrap().deeds.iter().find(|d| d.instance == instance).unwrap();
        assert_eq!(deed.copy.as_ref(), Some(&copies[0]), "{lost}");
    }
}

/// Against every network, whatever it is like.
const NO_NETWORKS: Lint = Lint {
    name: "no-networks",
    judge: |wanted, _| {
        let network =
            |w: &Wanted| Some(Breach::of(w, "cidr", format!("is {}", w.spec::<Network>()?.cidr), "use none"));
        wanted.iter().filter_map(network).collect()
    },
};

#[tokio::test(start_paused = true)]
async fn a_lint_refuses_what_a_plan_touches_and_nothing_else() {
    let sim = standing().await;
    let mut registry = sim.engine().registry().clone();
    registry.add_lints(&[NO_NETWORKS]);
    let engine = Engine::new(registry, sim.store.clone());
    let plan = async |stack: &Stack| engine.plan(stack, &PlanOptions::default()).await.unwrap();
    let planned = plan(&changed()).await;
    assert!(engine.lints(&planned, &Rules::default()).is_empty(), "the network stands and stays");

    let other = Web { tag: Some("new"), ..Web::default() }.stack();
    let (planned, calls) = (plan(&other).await, sim.cloud.mutations());
    let Err(EngineError::Refused(refusals)) = engine.apply(planned, &Run::default()).await else {
        panic!("it is not refused")
    };
    let refusal = refusals.iter().find(|r| r.rule == "no-networks").unwrap();
    assert_eq!(refusal.field.as_deref(), Some("cidr"));
    assert_eq!(
        refusal.why,
        "`cidr` is 10.0.0.0/16; use none, or let it be: allow = [\"no-networks\"] in [guard]"
    );
    assert_eq!(sim.cloud.mutations(), calls, "something was changed");

    let planned = plan(&other).await;
    let rules = Rules { allow: ["no-networks".to_owned()].into(), ..all_rules(&planned.plan) };
    assert!(engine.apply(planned, &Run { rules, ..Run::default() }).await.unwrap().is_complete());
}
