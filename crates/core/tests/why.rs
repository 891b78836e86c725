//! Why a plan does what it does, on the simulated cloud.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod web;

use causeway_core::{
    engine::Planned,
    graph::Graph,
    plan::{Action, PlanOptions},
    testing::crash::Sim,
    why::{self, Why},
};
use serde_json::json;
use web::{Web, nothing};

fn fresh() -> Sim {
    let sim = Sim::new(1);
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    sim
}

async fn standing() -> Sim {
    let sim = fresh();
    sim.run(&Web::default().stack(), &PlanOptions::default()).await.unwrap();
    sim
}

async fn planned(sim: &Sim, web: &Web) -> Planned {
    sim.engine().plan(&web.stack(), &PlanOptions::default()).await.unwrap()
}

fn why(sim: &Sim, planned: &Planned, address: &str) -> Why {
    let engine = sim.engine();
    why::why(planned, &engine.estimate(planned), engine.registry(), &address.into()).unwrap()
}

fn rule<'w>(why: &'w Why, path: &str) -> &'w str {
    let field = why.fields.iter().find(|f| f.change.path == path);
    &field.unwrap_or_else(|| panic!("no {path} in {why:?}")).rule
}

#[tokio::test(start_paused = true)]
async fn an_unknown_field_says_where_it_comes_from_and_why_that_is_not_known() {
    let sim = fresh();
    let planned = planned(&sim, &Web::default()).await;
    let subnet = why(&sim, &planned, "network/subnet-a");
    assert_eq!((subnet.action, subnet.rule.as_str()), (Action::Create, "it is wanted, and nothing is there"));
    let field = subnet.fields.iter().find(|f| f.change.path == "network").unwrap();
    assert_eq!(field.inputs[0].reference, "network/network#network_id");
    assert_eq!(field.inputs[0].unknown.as_deref(), Some("`network/network` is to be created"));
    let cidr = subnet.fields.iter().find(|f| f.change.path == "cidr").unwrap();
    assert!(cidr.inputs.is_empty(), "the configuration says it");
    assert!(subnet.after.contains(&"network/network".into()));
    assert!(why(&sim, &planned, "network/network").needed_by.contains(&"network/subnet-a".into()));
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_told_from_drift() {
    let sim = standing().await;
    sim.cloud.tamper("sim.service", "service", "count", json!(9));
    let drifted = planned(&sim, &Web::default()).await;
    assert!(rule(&why(&sim, &drifted, "service"), "count").contains("not by us"));
    let both = planned(&sim, &Web { count: 3, ..Web::default() }).await;
    assert!(rule(&why(&sim, &both, "service"), "count").ends_with("what is there is neither"));
    sim.cloud.tamper("sim.service", "service", "count", json!(2));
    let wished = planned(&sim, &Web { count: 3, ..Web::default() }).await;
    assert_eq!(
        rule(&why(&sim, &wished, "service"), "count"),
        "another value is wanted than at the last apply"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replacement_names_the_field_and_is_the_reason_of_others() {
    let sim = standing().await;
    let planned = planned(&sim, &Web { cidr: "10.0.0.0/8", ..Web::default() }).await;
    let network = why(&sim, &planned, "network/network");
    assert!(network.action.replaces());
    assert!(rule(&network, "cidr").ends_with("it cannot change in place"));
    let subnet = why(&sim, &planned, "network/subnet-a");
    let field = subnet.fields.iter().find(|f| f.change.path == "network").unwrap();
    let unknown = field.inputs[0].unknown.as_deref().unwrap();
    assert!(unknown.starts_with("`network/network` is to be replaced: `cidr` cannot change"), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn what_stays_and_what_goes_have_reasons_too_and_what_is_nowhere_has_none() {
    let sim = standing().await;
    let same = planned(&sim, &Web::default()).await;
    let role = why(&sim, &same, "role");
    assert_eq!((role.action, role.rule.as_str()), (Action::Keep, "it is as it is wanted"));
    let engine = sim.engine();
    assert!(why::why(&same, &engine.estimate(&same), engine.registry(), &"nothing".into()).is_none());
    let gone = sim.engine().plan(&nothing(), &PlanOptions::default()).await.unwrap();
    let role = why(&sim, &gone, "role");
    assert_eq!(role.rule, "it was made by this stack and is not wanted any more");
}

#[tokio::test(start_paused = true)]
async fn no_reason_holds_a_secret() {
    let sim = standing().await;
    let planned = planned(&sim, &Web { password: "another-canary", ..Web::default() }).await;
    let database = why(&sim, &planned, "database");
    assert_eq!(rule(&database, "password"), "another value is wanted than at the last apply");
    assert!(!serde_json::to_string(&database).unwrap().contains("canary"));
}

#[tokio::test(start_paused = true)]
async fn a_graph_has_what_is_wanted_and_what_goes() {
    let sim = standing().await;
    let web = Web { gateway: false, count: 3, ..Web::default() };
    let planned = planned(&sim, &web).await;
    let plain = Graph::of(&web.stack(), None).dot();
    assert!(plain.contains("\"network/subnet-a\" -> \"network/network\"") && !plain.contains("gateway"));
    let coloured = Graph::of(&web.stack(), Some(&planned.plan));
    assert!(coloured.dot().contains("\"network/gateway\" [label=\"- gateway"), "{}", coloured.dot());
    assert!(coloured.mermaid().contains("[\"~ service<br/>sim.service\"]"), "{}", coloured.mermaid());
}
