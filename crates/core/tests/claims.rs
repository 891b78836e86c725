//! What people made by hand, with names of their own, becomes part of a stack.

mod web;

use causeway_core::{
    Stack,
    claim::Verdict,
    engine::EngineError,
    guard::guard,
    plan::{Action, Plan, PlanOptions},
    render,
    testing::{
        crash::{Fixture, Sim, all_rules, enumerate, enumerate_pairs},
        sim::Verb,
    },
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use web::Web;

fn usual() -> PlanOptions {
    PlanOptions::default()
}

/// The same application, made by hand: other names, no marks of ours. Answers with what is what.
fn by_hand(sim: &Sim) -> BTreeMap<&'static str, String> {
    let tags = || Some([("team", "web")].into());
    let mut ids = BTreeMap::new();
    let network = sim.cloud.plant(
        "sim.network",
        json!({ "cidr": "10.0.0.0/16", "dns": true }),
        Some([("Name", "old")].into()),
    );
    for cidr in ["10.0.1.0/24", "10.0.2.0/24"] {
        sim.cloud.plant("sim.subnet", json!({ "network": network, "cidr": cidr, "public": false }), None);
    }
    let gateway = sim.cloud.plant("sim.gateway", json!({ "network": network, "size": 1 }), tags());
    let role = json!({ "name": "old-role", "path": "/old", "policy": "read" });
    let role = sim.cloud.plant("sim.role", role, tags());
    sim.cloud.plant("sim.database", database("postgres"), tags());
    let task =
        json!({ "family": "old-task", "image": "web:1", "role": role, "environment": {}, "revision": 4 });
    let task = sim.cloud.plant("sim.task", task, tags());
    let service =
        json!({ "name": "old-service", "task": format!("{task}:4"), "count": 2, "subnets": subnets() });
    sim.cloud.plant("sim.service", service, tags());
    ids.insert("network/network", network);
    ids.insert("network/gateway", gateway);
    for (address, name) in
        [("role", "old-role"), ("database", "old-data"), ("task", "old-task"), ("service", "old-service")]
    {
        ids.insert(address, name.to_owned());
    }
    ids
}

fn subnets() -> Json {
    json!({ "$set": ["subnet-000003", "subnet-000004"] })
}

fn database(engine: &str) -> Json {
    json!({
        "name": "old-data", "engine": engine, "version": 14, "size": 20, "backup_days": 7, "password": null,
        "subnets": subnets(),
    })
}

fn prepared() -> (Sim, BTreeMap<&'static str, String>) {
    let sim = Sim::new(7);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    let ids = by_hand(&sim);
    (sim, ids)
}

fn claiming(web: &Web, ids: &BTreeMap<&'static str, String>) -> Stack {
    let mut stack = web.stack();
    for (address, identity) in ids {
        stack.claim(&(*address).into(), identity);
    }
    stack
}

fn verdicts(plan: &Plan) -> BTreeMap<&str, Verdict> {
    plan.claims.iter().map(|c| (c.address.0.as_str(), c.verdict)).collect()
}

fn refused(plan: &Plan, address: &str) -> String {
    let refusals = guard(plan, &all_rules(plan));
    let about = refusals.into_iter().find(|r| r.address.as_ref().is_some_and(|a| a.0 == address));
    about.unwrap_or_else(|| panic!("nothing speaks against `{address}`: {}", render::plan(plan, true))).why
}

const MADE: [&str; 7] =
    ["sim.network", "sim.subnet", "sim.gateway", "sim.role", "sim.database", "sim.task", "sim.service"];

fn created(sim: &Sim) -> usize {
    MADE.iter().map(|kind| sim.cloud.count(kind, Verb::Create) + sim.cloud.count(kind, Verb::Delete)).sum()
}

#[tokio::test(start_paused = true)]
async fn a_hand_made_deployment_is_taken_over_with_its_names() {
    let (sim, ids) = prepared();
    let stack = claiming(&Web::default(), &ids);
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    assert!(plan.conflicts.is_empty(), "{:?}", plan.conflicts);
    assert_eq!(sim.cloud.mutations(), 0, "planning writes nothing");
    for step in &plan.steps {
        assert_eq!(step.action, Action::Adopt, "{}", render::plan(&plan, true));
    }
    let verdicts = verdicts(&plan);
    for (address, verdict) in [
        ("network/network", Verdict::AsItIs),
        ("network/subnet-a", Verdict::AsItIs),
        ("network/subnet-b", Verdict::AsItIs),
        ("network/gateway", Verdict::AsItIs),
        ("role", Verdict::AsItIs),
        // A password that the cloud does not show is written.
        ("database", Verdict::Changed),
        ("task", Verdict::Changed),
        ("service", Verdict::Changed),
    ] {
        assert_eq!(verdicts.get(address), Some(&verdict), "{address}: {}", render::plan(&plan, true));
    }
    sim.run(&stack, &usual()).await.unwrap();
    assert_eq!(created(&sim), 0);
    let names = sim.cloud.inventory().to_string();
    for name in ["old-role", "/old", "old-data", "old-task", "old-service", "\"Name\":\"old\""] {
        assert!(names.contains(name), "{name} is gone: {names}");
    }
    // The journal knows from now on, with the claims and without them.
    for stack in [stack, Web::default().stack()] {
        let plan = sim.plan(&stack, &usual()).await.unwrap();
        assert!(plan.steps.is_empty() && plan.notes.is_empty(), "{}", render::plan(&plan, true));
    }
    assert_eq!(sim.cloud.orphans(&sim.state()), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn names_stay_when_a_part_is_replaced_later() {
    let (sim, ids) = prepared();
    sim.run(&claiming(&Web::default(), &ids), &usual()).await.unwrap();
    sim.cloud.vanish("sim.role", Some("role"));
    let stack = Web::default().stack();
    sim.run(&stack, &usual()).await.unwrap();
    assert!(sim.cloud.inventory().to_string().contains("old-role"));
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    assert!(plan.steps.is_empty(), "{}", render::plan(&plan, true));
}

#[tokio::test(start_paused = true)]
async fn data_is_never_replaced_by_being_taken_over() {
    let (sim, ids) = prepared();
    sim.cloud.vanish("sim.database", None);
    sim.cloud.plant("sim.database", database("mysql"), Some([("team", "web")].into()));
    let mut stack = claiming(&Web::default(), &ids);
    stack.setting(&"database".into(), "engine", "web.database.engine");
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    assert_eq!(verdicts(&plan)["database"], Verdict::WouldReplace);
    let why = refused(&plan, "database");
    assert!(
        why.contains("`engine` differs") && why.contains("set `web.database.engine` to \"mysql\""),
        "{why}"
    );
    // Nobody can permit it.
    assert!(matches!(sim.apply(&stack, &usual()).await, Err(EngineError::Refused(_))));
    assert_eq!((sim.cloud.mutations(), sim.store.entries().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_over_is_refused_by_name() {
    let (sim, mut ids) = prepared();
    let owned = [("causeway:stack", "theirs"), ("causeway:address", "x"), ("causeway:instance", "abc")];
    let role = |name: &str| json!({ "name": name, "path": null, "policy": "read" });
    sim.cloud.plant("sim.role", role("theirs"), Some(owned.into()));
    sim.cloud.plant("sim.role", role("formed"), Some([("aws:cloudformation:stack-name", "prod")].into()));
    for (name, verdict, part) in [
        ("theirs", Verdict::Owned, "belongs to `x` of stack `theirs`"),
        ("formed", Verdict::OtherTool, "kept by the CloudFormation stack `prod`"),
        ("nowhere", Verdict::NotFound, "there is no such thing here"),
    ] {
        ids.insert("role", name.into());
        let plan = sim.plan(&claiming(&Web::default(), &ids), &usual()).await.unwrap();
        assert_eq!(verdicts(&plan)["role"], verdict, "{name}");
        let why = refused(&plan, "role");
        assert!(why.contains(part), "{name}: {why}");
    }
    ids.insert("role", "formed".into());
    let adopting = PlanOptions { adopt: true, ..usual() };
    let plan = sim.plan(&claiming(&Web::default(), &ids), &adopting).await.unwrap();
    assert!(verdicts(&plan)["role"].accepts(), "whoever says `--adopt` knows");
}

#[tokio::test(start_paused = true)]
async fn mistaken_claims_are_refused() {
    let (sim, mut ids) = prepared();
    ids.insert("network/subnet-a", "subnet-000004".into());
    ids.insert("base", "base".into());
    let plan = sim.plan(&claiming(&Web::default(), &ids), &usual()).await.unwrap();
    let why = refused(&plan, "network/subnet-a");
    assert!(why.contains("what stands in its place is `subnet-000003`"), "{why}");
    ids.insert("network/subnet-a", "subnet-000003".into());
    ids.remove("network/network");
    ids.remove("base");
    let plan = sim.plan(&claiming(&Web::default(), &ids), &usual()).await.unwrap();
    let why = refused(&plan, "network/subnet-a");
    assert!(why.contains("looked for under `network/network`") && why.contains("claim it too"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn one_thing_stands_for_one_resource() {
    let (sim, _) = prepared();
    let mut stack = web::nothing();
    stack.at(&web::place(), |stack| {
        for name in ["a", "b"] {
            let role = causeway_core::testing::sim::Role {
                name: name.into(),
                path: None,
                policy: "read".into(),
                tags: Default::default(),
            };
            let role = stack.add(name, role);
            stack.claim(role.address(), "old-role");
        }
    });
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    assert_eq!(verdicts(&plan)["a"], Verdict::Mistaken);
    assert!(refused(&plan, "a").contains("and so is `b`"));
}

#[tokio::test(start_paused = true)]
async fn a_claim_after_the_fact_does_nothing_and_says_so() {
    let sim = Sim::new(7);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim.run(&Web::default().stack(), &usual()).await.unwrap();
    let mut stack = Web::default().stack();
    stack.claim(&"role".into(), "old-role");
    let plan = sim.plan(&stack, &usual()).await.unwrap();
    assert!(plan.steps.is_empty(), "{}", render::plan(&plan, true));
    assert!(plan.notes[0].why.contains("stands for `web` already"), "{:?}", plan.notes);
}

fn fixture(name: &'static str) -> Fixture {
    let (_, ids) = prepared();
    // A tag that the apply writes everywhere, so that nothing is done before everything is taken over.
    let wanted = Web { tag: Some("blue"), size: 40, ..Web::default() };
    let mut fixture = Fixture::new(name, vec![], claiming(&wanted, &ids));
    let prepare = fixture.prepare;
    fixture.prepare = Box::new(move |sim| {
        prepare(sim);
        by_hand(sim);
    });
    fixture
}

#[tokio::test(start_paused = true)]
async fn a_crash_anywhere_makes_nothing_twice() {
    let report = enumerate(&fixture("claims")).await;
    assert!(report.points > 60 && report.violations.is_empty(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn nor_do_two_crashes() {
    let report = enumerate_pairs(&fixture("claims, twice"), 13).await;
    assert!(report.points > 60 && report.violations.is_empty(), "{report}");
}
