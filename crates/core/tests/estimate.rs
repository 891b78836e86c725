//! Whether a run takes as long as its plan says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    Stack,
    engine::Run,
    estimate::Estimate,
    event::Event,
    plan::{Plan, PlanOptions},
    render,
    testing::{
        crash::{Sim, all_rules},
        sim::{Database, Gateway, Network, Subnet},
    },
    undo::Mark,
    value::Name,
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;
use web::{Web, nothing, place};

fn fresh(seed: u64) -> Sim {
    let sim = Sim::new(seed);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim
}

/// Four databases and three gateways in two networks: the end waits now for the one, now for the other.
fn wide() -> Stack {
    let mut stack = nothing();
    stack.at(&place(), |stack| {
        for n in ["a", "b"] {
            stack.scope(n, |stack| {
                let network = Network { cidr: "10.0.0.0/16".into(), dns: None, tags: Default::default() };
                let network = stack.add("network", network).network_id.clone();
                let subnet = Subnet { network: network.clone(), cidr: "10.0.1.0/24".into(), public: None };
                let subnet = stack.add("subnet", subnet).subnet_id.clone();
                for i in ["1", "2"] {
                    let database = Database {
                        name: Name::from(format!("{n}{i}")),
                        engine: "postgres".into(),
                        version: 14,
                        size: 20,
                        backup_days: None,
                        password: None,
                        subnets: [subnet.clone()].into_iter().collect(),
                        tags: Default::default(),
                    };
                    stack.add(format!("database-{i}").as_str(), database);
                    let gateway = Gateway { network: network.clone(), size: None, tags: Default::default() };
                    stack.add(format!("gateway-{i}").as_str(), gateway);
                }
            });
        }
    });
    stack
}

/// Plans and applies; what was estimated and how long it took.
async fn timed(sim: &Sim, stack: &Stack, at_once: usize) -> (Estimate, Duration) {
    let engine = sim.engine().at_once(at_once);
    let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
    let estimate = engine.estimate(&planned);
    let run = Run { rules: all_rules(&planned.plan), ..Run::default() };
    let start = Instant::now();
    assert!(engine.apply(planned, &run).await.unwrap().is_complete());
    (estimate, start.elapsed())
}

/// Of so many runs on clouds of each seed, those that end within the p90 and within the p50, in percent.
async fn coverage(varies: f64, at_once: usize, seeds: &[u64], runs: u32) -> (u32, u32) {
    let (mut p90, mut p50) = (0, 0);
    for seed in seeds {
        let sim = fresh(*seed);
        sim.cloud.habits(|h| h.varies = varies);
        // A journal that knows a few runs; it goes on to learn, as real ones do.
        for n in 0..5 + runs {
            let (estimate, took) = timed(&sim, &wide(), at_once).await;
            if n >= 5 {
                p90 += u32::from(took <= estimate.p90());
                p50 += u32::from(took <= estimate.p50());
            }
            timed(&sim, &nothing(), at_once).await;
        }
    }
    let all = runs * seeds.len() as u32;
    (p90 * 100 / all, p50 * 100 / all)
}

#[tokio::test(start_paused = true)]
async fn nine_of_ten_runs_end_within_the_p90() {
    for (varies, at_once) in [(0.2, 10), (0.4, 2)] {
        let (p90, p50) = coverage(varies, at_once, &[1, 2, 3, 4], 30).await;
        println!("varies {varies}, {at_once} at once: {p90} % within the p90, {p50} % within the p50");
        assert!((85..=95).contains(&p90), "varies {varies}, {at_once} at once: p90 covers {p90} %");
        assert!((38..=62).contains(&p50), "varies {varies}, {at_once} at once: p50 covers {p50} %");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_its_end_waits_for() {
    let sim = fresh(1);
    let engine = sim.engine().at_once(4);
    let planned = engine.plan(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    let estimate = engine.estimate(&planned);
    let path: Vec<&str> = estimate.critical_path().map(|s| s.address.0.as_str()).collect();
    assert_eq!(path, ["network/network", "network/subnet-a", "database", "task", "service"]);
    let gains: Vec<&str> = estimate.gains.iter().map(|g| g.address.0.as_str()).collect();
    assert_eq!(gains, ["database", "service"]);
    let text = render::estimate(&estimate);
    assert!(text.contains("as far as is known before the first run"), "{text}");
    assert!(text.contains("\nCritical path: database (5m), service (1m), and 3 quick ones\n"), "{text}");
    assert!(text.contains("\nShorter: by 5m if `database` took no time\n"), "{text}");
    // One at a time there is more to gain.
    let engine = sim.engine().at_once(1);
    let alone =
        engine.estimate(&engine.plan(&Web::default().stack(), &PlanOptions::default()).await.unwrap());
    assert!(alone.p50_ms > estimate.p50_ms && alone.unlimited_ms == estimate.unlimited_ms);
    assert!(render::shorter(&alone).iter().any(|s| s.ends_with("if more than 1 steps ran at a time")));
    // And once it has run, the journal knows better.
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    let bigger = Web { size: 30, ..Web::default() }.stack();
    let planned = engine.plan(&bigger, &PlanOptions::default()).await.unwrap();
    assert_eq!(engine.estimate(&planned).steps[0].seen, 0, "an update is no create");
    sim.run(&bigger, &PlanOptions::default()).await.unwrap();
    let bigger = Web { size: 40, ..Web::default() }.stack();
    let planned = engine.plan(&bigger, &PlanOptions::default()).await.unwrap();
    let estimate = engine.estimate(&planned);
    assert_eq!(estimate.steps[0].seen, 1);
    assert!((20_000..=40_000).contains(&estimate.p50_ms), "{estimate:?}");
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_told_once() {
    let sim = fresh(1);
    sim.cloud.habits(|h| {
        h.ready_after.insert("sim.database", Duration::from_secs(1_500));
    });
    let told: Arc<Mutex<Vec<(String, Duration)>>> = Arc::default();
    let seen = Arc::clone(&told);
    let run = Run {
        listener: Arc::new(move |event| {
            if let Event::Slow { address, after, .. } = event {
                seen.lock().unwrap().push((address.0, after));
            }
        }),
        ..Run::default()
    };
    let engine = sim.engine();
    let planned = engine.plan(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    assert!(engine.apply(planned, &run).await.unwrap().is_complete());
    let told = told.lock().unwrap();
    let slow: Vec<&str> = told.iter().map(|(a, _)| a.as_str()).filter(|a| *a == "database").collect();
    assert_eq!(slow, ["database"], "{told:?}");
    let (_, after) = told.iter().find(|(a, _)| a == "database").unwrap();
    assert!((500..800).contains(&after.as_secs()), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn steps_say_whether_they_can_be_taken_back() {
    let sim = fresh(1);
    let plan = sim.plan(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    let undo = |plan: &Plan, at: &str| plan.step(&at.into()).and_then(|s| s.undo.clone());
    assert_eq!(undo(&plan, "database").unwrap().mark, Mark::Reversible);
    assert_eq!(undo(&plan, "base"), None, "it is only looked at");
    assert!(render::undo(&plan).is_none());
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    let plan = sim.plan(&nothing(), &PlanOptions::default()).await.unwrap();
    assert_eq!(undo(&plan, "database").unwrap().mark, Mark::Irreversible);
    assert_eq!(undo(&plan, "network/network").unwrap().mark, Mark::Compensable);
    let text = render::plan(&plan, false);
    assert!(text.contains("- database  sim.database  [irreversible]\n"), "{text}");
    assert!(text.contains("Of these, 1 cannot be taken back [irreversible], "), "{text}");
    // In place, and there is no way back.
    let newer =
        sim.plan(&Web { version: 15, ..Web::default() }.stack(), &PlanOptions::default()).await.unwrap();
    assert_eq!(undo(&newer, "database").unwrap().mark, Mark::Irreversible);
    let kept = Web { backup_days: Some(3), ..Web::default() }.stack();
    let kept = sim.plan(&kept, &PlanOptions::default()).await.unwrap();
    assert_eq!(undo(&kept, "database").unwrap().mark, Mark::Reversible);
}
