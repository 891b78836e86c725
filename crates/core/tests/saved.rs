//! Saved plans: what is applied is what was saved, or nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    plan::PlanOptions,
    saved::{SavedError, SavedPlan},
    testing::crash::Sim,
};
use serde_json::json;
use web::{Web, nothing};

const VERSION: &str = "1.2.3";

async fn standing() -> Sim {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    sim
}

async fn saved(sim: &Sim, web: &Web) -> SavedPlan {
    let planned = sim.engine().plan(&web.stack(), &PlanOptions::default()).await.unwrap();
    let saved = SavedPlan::of(&planned, &PlanOptions::default(), VERSION, "sim-1");
    SavedPlan::read(&saved.text(), VERSION).unwrap()
}

async fn moved(sim: &Sim, web: &Web, saved: &SavedPlan) -> Vec<String> {
    let planned = sim.engine().plan(&web.stack(), &saved.options()).await.unwrap();
    saved.moved(&planned).into_iter().map(|m| format!("{} {}", m.address, m.why)).collect()
}

fn larger() -> Web {
    Web { gateway_size: Some(2), count: 3, ..Web::default() }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_is_what_was_written_and_its_digest_follows_its_content() {
    let sim = standing().await;
    let one = saved(&sim, &larger()).await;
    assert_eq!(SavedPlan::read(&one.text(), VERSION).unwrap(), one);
    assert_eq!(saved(&sim, &larger()).await.digest(), one.digest());
    assert_ne!(saved(&sim, &Web { count: 4, ..larger() }).await.digest(), one.digest());
    assert!(one.text().contains(&one.digest()));
    assert!(!one.text().contains("canary"), "a saved plan holds no secret");
    assert!(!saved(&Sim::new(1), &Web::default()).await.text().contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_was_altered_or_made_elsewhere_is_refused() {
    let sim = standing().await;
    let text = saved(&sim, &larger()).await.text();
    for (from, to) in [
        ("\"to\":3", "\"to\":4"),
        ("\"only\":[]", "\"only\":[\"x\"]"),
        ("\"digest\":\"", "\"digest\":\"0"),
        ("\"stack\":\"web\"", "\"stack\":\"web\",\"more\":1"),
    ] {
        assert!(text.contains(from), "{from}");
        let altered = SavedPlan::read(&text.replacen(from, to, 1), VERSION);
        assert!(matches!(altered, Err(SavedError::Altered { .. })), "{from}: {altered:?}");
    }
    let other = SavedPlan::read(&text, "1.2.4");
    assert!(matches!(other, Err(SavedError::OtherVersion { .. })), "{other:?}");
    for none in ["", "{}", "[1]", "{\"digest\":\"x\"}", "name = 1"] {
        assert!(matches!(SavedPlan::read(none, VERSION), Err(SavedError::Decode(_))), "{none}");
    }
    // How it is laid out is not what it says.
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(SavedPlan::read(&serde_json::to_string_pretty(&json).unwrap(), VERSION).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_still_holds_has_nothing_moved() {
    let sim = standing().await;
    let plan = saved(&sim, &larger()).await;
    assert!(moved(&sim, &larger(), &plan).await.is_empty());
    let engine = sim.engine();
    let planned = engine.plan(&larger().stack(), &plan.options()).await.unwrap();
    let report = engine.apply(planned, &causeway_core::engine::Run::default()).await.unwrap();
    assert!(report.is_complete());
    let left = moved(&sim, &larger(), &plan).await;
    assert!(left.contains(&"service was to be changed, and is not any more".to_owned()), "{left:?}");
    assert_eq!(left.len(), plan.plan.steps.len());
}

#[tokio::test(start_paused = true)]
async fn the_resource_that_moved_is_named() {
    let sim = standing().await;
    let plan = saved(&sim, &larger()).await;
    sim.cloud.tamper("sim.service", "service", "count", json!(9));
    assert_eq!(moved(&sim, &larger(), &plan).await, ["service has changed since the plan was made"]);
}

#[tokio::test(start_paused = true)]
async fn another_configuration_is_another_plan() {
    let sim = standing().await;
    let plan = saved(&sim, &larger()).await;
    let other = Web { count: 4, policy: "write", ..larger() };
    assert_eq!(
        moved(&sim, &other, &plan).await,
        [
            "role is not in the plan, and would be changed now",
            "service would be changed otherwise now: count",
        ]
    );
    let secret = Web { password: "another-canary", ..larger() };
    assert_eq!(moved(&sim, &secret, &plan).await, ["database is not in the plan, and would be changed now"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_plan_and_a_last_one_can_be_saved_too() {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    let first = saved(&sim, &Web::default()).await;
    assert!(moved(&sim, &Web::default(), &first).await.is_empty());
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    let engine = sim.engine();
    let planned = engine.plan(&nothing(), &PlanOptions::default()).await.unwrap();
    let last = SavedPlan::of(&planned, &PlanOptions::default(), VERSION, "sim-1");
    assert!(last.moved(&engine.plan(&nothing(), &last.options()).await.unwrap()).is_empty());
    sim.cloud.tamper("sim.gateway", "network/gateway", "size", json!(2));
    let now = last.moved(&engine.plan(&nothing(), &last.options()).await.unwrap());
    assert_eq!(now.iter().map(|m| m.address.0.as_str()).collect::<Vec<_>>(), ["network/gateway"]);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_goes_on_elsewhere_does_not_matter() {
    let sim = standing().await;
    let only = PlanOptions { only: vec!["service".into()], ..PlanOptions::default() };
    let planned = sim.engine().plan(&larger().stack(), &only).await.unwrap();
    let plan = SavedPlan::of(&planned, &only, VERSION, "sim-1");
    let gateway = PlanOptions { only: vec!["network/*".into()], ..PlanOptions::default() };
    sim.run(&larger().stack(), &gateway).await.unwrap();
    assert!(sim.state().seq > plan.plan.after);
    assert!(moved(&sim, &larger(), &plan).await.is_empty());
}
