//! How long an apply takes, against what cannot be beaten: the larger of the critical path and the work by the number
//! of steps at once. Beside it, what starting the steps in the order in which they get ready would take.
//!
//!     cargo bench -p causeway-core --all-features --bench makespan
//!
//! Time is virtual, and everything takes exactly as long as its kind says.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]

mod plain;

use causeway_core::{
    Address, Stack, Value, engine::Run, plan::PlanOptions, schedule::Schedule, store::MemoryStore,
};
use plain::{Anywhere, Cloud, add};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

type Edges = BTreeMap<Address, BTreeSet<Address>>;

fn main() {
    let runtime = plain::runtime();
    println!(
        "{:22} {:>5} {:>3} {:>8} {:>8} {:>7} {:>8} {:>7}",
        "fixture", "steps", "N", "bound s", "ours s", "/bound", "FIFO s", "/bound"
    );
    let mut worst: f64 = 0.0;
    for (name, build) in fixtures() {
        let mut stack = Stack::new("fixture");
        stack.at(&Anywhere {}, build);
        for at_once in [4, 10] {
            let edges: Edges = stack.nodes().iter().map(|(a, n)| (a.clone(), n.after.clone())).collect();
            let weight = |a: &Address| seconds(stack.nodes()[a].kind);
            let schedule = Schedule::new(&edges);
            let weights: Vec<u64> = schedule.keys().iter().map(weight).collect();
            let path = schedule.priorities(&weights).into_iter().max().unwrap_or(0);
            let work: u64 = weights.iter().sum();
            let bound = (path as f64).max(work as f64 / at_once as f64);
            let ours = runtime.block_on(apply(&stack, at_once)).as_secs_f64();
            let fifo = first_ready_first(&edges, at_once, weight) as f64;
            worst = worst.max(ours / bound);
            println!(
                "{name:22} {:>5} {at_once:>3} {bound:>8.0} {ours:>8.0} {:>7.3} {fifo:>8.0} {:>7.3}",
                edges.len(),
                ours / bound,
                fifo / bound
            );
        }
    }
    println!("worst: {worst:.3}");
}

fn seconds(kind: &str) -> u64 {
    match kind {
        "plain.one.second" => 1,
        "plain.ten.seconds" => 10,
        "plain.one.minute" => 60,
        "plain.five.minutes" => 300,
        _ => 900,
    }
}

async fn apply(stack: &Stack, at_once: usize) -> Duration {
    let engine = Cloud::new(Duration::ZERO).engine(Arc::new(MemoryStore::default()), at_once);
    let planned = engine.plan(stack, &PlanOptions::default()).await.expect("a plan");
    let begun = Instant::now();
    let report = engine.apply(planned, &Run::default()).await.expect("a run");
    assert!(report.is_complete(), "{report:?}");
    begun.elapsed()
}

/// What engines do that have no order: whatever is ready first is started first.
fn first_ready_first(edges: &Edges, at_once: usize, weight: impl Fn(&Address) -> u64) -> u64 {
    let mut waits: BTreeMap<&Address, usize> = edges.iter().map(|(a, deps)| (a, deps.len())).collect();
    let mut ready: VecDeque<&Address> = waits.iter().filter(|(_, n)| **n == 0).map(|(a, _)| *a).collect();
    let mut running: BTreeSet<(u64, &Address)> = BTreeSet::new();
    let mut now = 0;
    loop {
        while running.len() < at_once
            && let Some(a) = ready.pop_front()
        {
            running.insert((now + weight(a), a));
        }
        let Some((end, done)) = running.pop_first() else { return now };
        now = end;
        for (a, _) in edges.iter().filter(|(_, deps)| deps.contains(done)) {
            let left = waits.get_mut(a).expect("every step is there");
            *left -= 1;
            if *left == 0 {
                ready.push_back(a);
            }
        }
    }
}

type Build = fn(&mut Stack);

fn fixtures() -> Vec<(&'static str, Build)> {
    vec![
        ("one chain", |s| {
            let mut last: Vec<Value<String>> = vec![];
            for i in 0..12 {
                last = vec![add::<60>(s, &format!("a{i}"), &last)];
            }
        }),
        ("wide and flat", |s| {
            for i in 0..48 {
                add::<10>(s, &format!("a{i:02}"), &[]);
            }
        }),
        ("many quick, one slow", |s| {
            for i in 0..200 {
                add::<1>(s, &format!("a{i:03}"), &[]);
            }
            add::<60>(s, "z-slow", &[]);
        }),
        ("slow at the end", |s| {
            for i in 0..40 {
                add::<10>(s, &format!("a{i:02}"), &[]);
            }
            let begin = add::<1>(s, "y-begin", &[]);
            let cluster = add::<900>(s, "z-cluster", &[begin]);
            add::<60>(s, "z-nodes", &[cluster]);
        }),
        ("network and database", |s| {
            let vpc = add::<1>(s, "vpc", &[]);
            let subnets: Vec<_> =
                (0..6).map(|i| add::<1>(s, &format!("subnet-{i}"), std::slice::from_ref(&vpc))).collect();
            for (i, subnet) in subnets.iter().enumerate() {
                add::<1>(s, &format!("association-{i}"), std::slice::from_ref(subnet));
            }
            let database = add::<300>(s, "database", &subnets);
            for i in 0..20 {
                add::<10>(s, &format!("alarm-{i:02}"), &[]);
            }
            add::<60>(s, "service", &[database]);
        }),
        ("two long ways", |s| {
            for way in ["left", "right"] {
                let mut last: Vec<Value<String>> = vec![];
                for i in 0..5 {
                    last = vec![add::<60>(s, &format!("{way}-{i}"), &last)];
                }
            }
            for i in 0..60 {
                add::<10>(s, &format!("filler-{i:02}"), &[]);
            }
        }),
        ("fan out, fan in", |s| {
            let begin = add::<10>(s, "begin", &[]);
            let middle: Vec<_> = (0..30)
                .map(|i| add::<60>(s, &format!("middle-{i:02}"), std::slice::from_ref(&begin)))
                .collect();
            add::<10>(s, "end", &middle);
        }),
        ("a tree", |s| {
            let mut made: Vec<Value<String>> = vec![];
            for i in 0..63_usize {
                let parent: Vec<_> = made.get((i.max(1) - 1) / 2).cloned().into_iter().collect();
                made.push(add::<10>(s, &format!("node-{i:02}"), &parent));
            }
        }),
        ("three regions", |s| {
            for region in ["east", "west", "europe"] {
                let network = add::<10>(s, &format!("{region}-network"), &[]);
                let cluster = add::<900>(s, &format!("{region}-cluster"), std::slice::from_ref(&network));
                let nodes = add::<300>(s, &format!("{region}-nodes"), std::slice::from_ref(&cluster));
                for i in 0..8 {
                    add::<10>(s, &format!("{region}-object-{i}"), std::slice::from_ref(&nodes));
                    add::<1>(s, &format!("{region}-role-{i}"), &[]);
                }
                add::<300>(s, &format!("{region}-database"), &[network]);
            }
        }),
        ("layers", |s| {
            let mut layer: Vec<Value<String>> = vec![];
            for depth in 0..6 {
                layer = (0..8)
                    .map(|i| {
                        let needs: Vec<_> = layer.iter().skip(i % 4).step_by(4).cloned().collect();
                        let name = format!("layer-{depth}-{i}");
                        if i == depth { add::<60>(s, &name, &needs) } else { add::<10>(s, &name, &needs) }
                    })
                    .collect();
            }
        }),
    ]
}
