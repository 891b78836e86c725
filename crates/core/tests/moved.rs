//! Moves: what stands elsewhere in the stack stays what it is.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test; the number of crash points is its result"
)]

mod web;

use causeway_core::{
    Address, Secret, Stack,
    engine::EngineError,
    history,
    journal::{Entry, State},
    plan::{Action, PlanError, PlanOptions},
    render,
    testing::{
        crash::{Fixture, Sim, enumerate, enumerate_pairs},
        sim::{Database, Gateway, Network, Role, Subnet, Verb},
    },
    value::Name,
};
use std::collections::BTreeMap;

/// Where things stand.
#[derive(Clone, Copy)]
struct At {
    network: &'static str,
    role: &'static str,
    database: &'static str,
    cidr: &'static str,
}

const HERE: At = At { network: "network", role: "role", database: "database", cidr: "10.0.0.0/16" };
const THERE: At = At { network: "base/net", role: "app/role", database: "data/db", ..HERE };
const MOVES: [(&str, &str); 3] = [("network/*", "base/net/*"), ("role", "app/role"), ("database", "data/db")];

fn stack(at: At, moves: &[(&str, &str)]) -> Stack {
    let mut stack = Stack::new("web");
    stack.at(&web::place(), |stack| {
        let subnet = stack.scope(at.network, |stack| {
            let network = Network { cidr: at.cidr.into(), dns: None, tags: Default::default() };
            let network = stack.add("network", network);
            let id = network.network_id.clone();
            stack.add("gateway", Gateway { network: id.clone(), size: None, tags: Default::default() });
            stack.add("subnet", Subnet { network: id, cidr: "10.0.1.0/24".into(), public: None })
        });
        let role = Role {
            name: Name::generated("web"),
            path: None,
            policy: "read".into(),
            tags: Default::default(),
        };
        stack.add(at.role, role);
        let database = Database {
            name: Name::from("web"),
            engine: "postgres".into(),
            version: 14,
            size: 20,
            backup_days: None,
            password: Some(Secret::new("canary")),
            subnets: [subnet.subnet_id.clone()].into_iter().collect(),
            tags: Default::default(),
        };
        stack.add(at.database, database);
    });
    for (from, to) in moves {
        stack.moved(*from, *to);
    }
    stack
}

fn usual() -> PlanOptions {
    PlanOptions::default()
}

async fn standing() -> Sim {
    let sim = Sim::new(1);
    sim.run(&stack(HERE, &[]), &usual()).await.unwrap();
    sim
}

fn instances(sim: &Sim) -> BTreeMap<String, String> {
    sim.state().records.into_iter().map(|(a, r)| (a.0, r.instance)).collect()
}

async fn refused(sim: &Sim, stack: &Stack) -> Vec<String> {
    let plan = sim.plan(stack, &usual()).await.unwrap();
    plan.conflicts.iter().map(|c| format!("{} {}", c.address, c.why)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_move_destroys_nothing_and_only_the_address_tag_changes() {
    let sim = standing().await;
    let (before, from) = (instances(&sim), sim.cloud.mutations());
    let there = stack(THERE, &MOVES);
    let plan = sim.plan(&there, &usual()).await.unwrap();
    assert!(plan.conflicts.is_empty(), "{:?}", plan.conflicts);
    let text = render::plan(&plan, false);
    assert!(text.contains("» base/net/network  (was `network/network`, and stays what it is)\n"), "{text}");
    assert!(text.contains("Plan: 5 moved, 4 to change, 1 unchanged."), "{text}");
    for step in plan.steps.iter().filter(|s| s.action != Action::Record) {
        assert_eq!(step.action, Action::Update, "{text}");
        let paths: Vec<&str> = step.diff.changes.iter().map(|c| c.path.as_str()).collect();
        assert_eq!(paths, ["tags.causeway:address"], "{text}");
    }
    sim.run(&there, &usual()).await.unwrap();
    assert!(sim.cloud.calls()[from..].iter().all(|c| c.verb == Verb::Update));
    let after = instances(&sim);
    for (old, new) in [
        ("network/network", "base/net/network"),
        ("network/gateway", "base/net/gateway"),
        ("network/subnet", "base/net/subnet"),
        ("role", "app/role"),
        ("database", "data/db"),
    ] {
        assert_eq!(before[old], after[new], "{old}");
    }
    assert_eq!(after.len(), before.len());
    assert!(sim.cloud.orphans(&sim.state()).is_empty());
    // It may stay in the stack, and another run does nothing.
    let entries = sim.store.entries().len();
    sim.run(&there, &usual()).await.unwrap();
    assert_eq!(sim.store.entries().len(), entries);
}

#[tokio::test(start_paused = true)]
async fn planning_a_move_writes_nothing() {
    let sim = standing().await;
    let (calls, entries) = (sim.cloud.mutations(), sim.store.entries());
    sim.plan(&stack(THERE, &MOVES), &usual()).await.unwrap();
    assert_eq!((sim.cloud.mutations(), sim.store.entries()), (calls, entries));
}

#[tokio::test(start_paused = true)]
async fn moves_go_back_and_follow_chains() {
    let sim = standing().await;
    let before = instances(&sim);
    sim.run(&stack(THERE, &MOVES), &usual()).await.unwrap();
    let back = [("base/net/*", "network/*"), ("data/db", "database"), ("app/role", "role")];
    sim.run(&stack(HERE, &back), &usual()).await.unwrap();
    assert_eq!(instances(&sim), before);
    // A journal that has seen neither step takes both at once.
    let chain = [("role", "old/role"), ("old/*", "app/*")];
    sim.run(&stack(At { role: "app/role", ..HERE }, &chain), &usual()).await.unwrap();
    assert_eq!(instances(&sim)["app/role"], before["role"]);
}

#[tokio::test(start_paused = true)]
async fn a_move_and_a_change_go_together_and_dependents_follow() {
    let sim = standing().await;
    let moved = At { cidr: "10.0.0.0/8", ..THERE };
    sim.run(&stack(moved, &MOVES), &usual()).await.unwrap();
    // What is deleted later still waits for what needs it.
    let state = sim.state();
    assert!(
        state.records[&Address::from("data/db")].request.after.contains(&Address::from("base/net/subnet"))
    );
    sim.run(&web::nothing(), &usual()).await.unwrap();
    assert!(sim.state().records.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_move_that_collides_is_refused_and_changes_nothing() {
    let sim = standing().await;
    let (calls, entries) = (sim.cloud.mutations(), sim.store.entries().len());
    let onto = stack(At { role: "gone", ..HERE }, &[("role", "database")]);
    let why = refused(&sim, &onto).await;
    assert!(why[0].starts_with("role cannot become `database`, which the journal has already"), "{why:?}");
    let nowhere = stack(At { role: "app/role", ..HERE }, &[("role", "app/rule")]);
    let why = refused(&sim, &nowhere).await;
    assert!(why[0].starts_with("role cannot become `app/rule`, which is not wanted"), "{why:?}");
    let mut both =
        stack(At { role: "one", database: "two", ..HERE }, &[("role", "one"), ("database", "one")]);
    both.moved("x", "y");
    let why = refused(&sim, &both).await;
    let both_told = why.iter().filter(|w| w.contains("`database` and `role` cannot all become `one`"));
    assert_eq!(both_told.count(), 2, "{why:?}");
    for stack in [onto, nowhere, both] {
        let refused = sim.engine().plan(&stack, &usual()).await.unwrap();
        let applied = sim.engine().apply(refused, &causeway_core::engine::Run::default()).await;
        assert!(matches!(applied, Err(EngineError::Refused(_))));
    }
    assert_eq!((sim.cloud.mutations(), sim.store.entries().len()), (calls, entries));
}

#[tokio::test(start_paused = true)]
async fn moves_that_make_no_sense_are_mistakes_of_the_stack() {
    let sim = standing().await;
    for (moves, says) in [
        (&[("role", "a"), ("a", "role")][..], "the moves go round"),
        (&[("role", "app/role")], "is wanted itself"),
        (&[("network*", "net")], "write two addresses"),
    ] {
        let error = sim.plan(&stack(HERE, moves), &usual()).await.unwrap_err();
        let EngineError::Plan(PlanError::Stack(errors)) = error else { panic!("{error}") };
        assert!(errors.to_string().contains(says), "{errors}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_past_of_what_moved_is_told() {
    let sim = standing().await;
    let made = sim.state().seq;
    sim.run(&stack(THERE, &MOVES), &usual()).await.unwrap();
    let entries = sim.store.entries();
    let runs = history::runs(&entries);
    assert_eq!(runs[1].moves[&Address::from("database")], Address::from("data/db"));
    let blame = history::blame(&entries, "data/db.engine").unwrap();
    assert!(blame.seq <= made, "{blame:?}");
    let between = history::between(&entries, made, sim.state().seq).unwrap();
    assert_eq!(between.len(), 5);
    assert!(between.iter().all(|d| d.fields.iter().any(|f| f.path == "(address)")), "{between:?}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_from_before_moves_still_folds_and_one_that_cannot_be_is_refused() {
    let sim = standing().await;
    let text: Vec<String> = sim.store.entries().iter().map(|e| serde_json::to_string(e).unwrap()).collect();
    assert!(!text.iter().any(|line| line.contains("moved")));
    let mut entries = sim.store.entries();
    let mut next = entries.last().unwrap().clone();
    next.seq += 1;
    let moves = BTreeMap::from([(Address::from("nothing"), Address::from("x"))]);
    next.entry = Entry::Moved { moves };
    entries.push(next.clone());
    assert!(State::fold(&entries).is_err());
    next.entry = Entry::Moved { moves: BTreeMap::from([("role".into(), "database".into())]) };
    *entries.last_mut().unwrap() = next.clone();
    assert!(State::fold(&entries).is_err());
    let swap = [("role", "database"), ("database", "role")];
    next.entry = Entry::Moved { moves: swap.map(|(a, b)| (a.into(), b.into())).into() };
    *entries.last_mut().unwrap() = next;
    let state = State::fold(&entries).unwrap();
    assert_eq!(state.records[&Address::from("role")].request.kind, "sim.database");
}

fn fixture(name: &'static str, to: At) -> Fixture {
    Fixture::new(name, vec![stack(HERE, &[])], stack(to, &MOVES))
}

#[tokio::test(start_paused = true)]
async fn a_crash_anywhere_in_a_move_ends_in_the_same_place() {
    for fixture in [fixture("move", THERE), fixture("move and replace", At { cidr: "10.0.0.0/8", ..THERE })] {
        let report = enumerate(&fixture).await;
        println!("{report}");
        assert!(report.points > 0 && report.violations.is_empty(), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_crashes_in_a_move_end_in_the_same_place() {
    let report = enumerate_pairs(&fixture("move, twice", At { cidr: "10.0.0.0/8", ..THERE }), 41).await;
    println!("{report}");
    assert!(report.points > 0 && report.violations.is_empty(), "{report}");
}
