//! How long an apply of the AWS side of the examples of EKS takes beside its critical path, when every call takes 50 ms and
//! things take a hundredth of what they take on AWS: `cargo test -p deploy --all-features --bench eks`.
//!
//! The critical path is the longest way through the steps, each as long as it took, from the moment that it was begun. What
//! there is beyond it is what steps waited for though all that they need was done: for the engine, for the journal, or for a
//! free place.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench that cannot go on may panic, and tells its figures"
)]
#![allow(dead_code, reason = "the tests use more of it")]

#[path = "../tests/sandbox/examples.rs"]
mod examples;
#[path = "../tests/proof/place.rs"]
mod place;
#[path = "../tests/sandbox/world.rs"]
mod world;

use causeway_core::{Address, Stack, event::Event};
use causeway_sandbox::{
    Options, Sandbox,
    gateway::{Act, Latency, Pending, Rule},
};
use examples::{AI_CODER, SINGLE_REGION};
use place::Place;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Things take a hundredth of what they take on AWS, and are looked at a hundred times as often.
const SCALE: u32 = 100;

const PENDING: Pending = Pending {
    nat_gateway: Duration::from_millis(1100),
    load_balancer: Duration::from_millis(1500),
    database: Duration::from_millis(4800),
    database_change: Duration::from_millis(600),
    cluster: Duration::from_millis(6000),
    cluster_change: Duration::from_millis(600),
    node_group: Duration::from_millis(1500),
    addon: Duration::from_millis(400),
    invalidation: Duration::ZERO,
    key_value_store: Duration::ZERO,
    distribution: Duration::ZERO,
};

/// The kinds that are waited for, and how long what they stand for takes.
const WAITED: [(&str, Duration); 5] = [
    ("aws.eks.cluster", PENDING.cluster),
    ("aws.eks.node_group", PENDING.node_group),
    ("aws.eks.addon", PENDING.addon),
    ("aws.rds.instance", PENDING.database),
    ("aws.elasticache.replication_group", PENDING.database),
];

/// When a step ran, from the start of the run.
#[derive(Clone, Debug, Default)]
struct Ran {
    kind: String,
    begun: Duration,
    done: Duration,
}

type Steps = BTreeMap<Address, Ran>;

/// What the steps of a run told.
#[derive(Default)]
struct Heard {
    since: Option<Instant>,
    steps: Steps,
}

impl Heard {
    fn hear(&mut self, event: Event) {
        let now = self.since.map(|since| since.elapsed()).unwrap_or_default();
        match event {
            Event::Started { .. } => self.since = Some(Instant::now()),
            Event::Begun { address, kind, .. } => {
                self.steps.insert(address, Ran { kind, begun: now, done: now });
            }
            Event::Done { address, .. } => self.steps.get_mut(&address).unwrap().done = now,
            _ => {}
        }
    }
}

/// What a step waits for: what has no step of its own passes on what it needs.
fn needs<'s>(stack: &'s Stack, steps: &Steps, address: &Address) -> BTreeSet<&'s Address> {
    let after = |a: &Address| stack.nodes().get(a).into_iter().flat_map(|node| &node.after);
    let (mut out, mut open) = (BTreeSet::new(), after(address).collect::<Vec<_>>());
    while let Some(needed) = open.pop() {
        if steps.contains_key(needed) {
            out.insert(needed);
        } else {
            open.extend(after(needed));
        }
    }
    out
}

/// The longest way to the end of `address`.
fn longest(
    stack: &Stack,
    steps: &Steps,
    address: &Address,
    known: &mut BTreeMap<Address, Duration>,
) -> Duration {
    if let Some(way) = known.get(address) {
        return *way;
    }
    let before = needs(stack, steps, address).into_iter().map(|a| longest(stack, steps, a, known)).max();
    let way = before.unwrap_or_default() + (steps[address].done - steps[address].begun);
    known.insert(address.clone(), way);
    way
}

/// Applies `configuration` in an account of its own and tells how long that took, beside its critical path.
fn measure(sandbox: &Arc<Sandbox>, number: u64, name: &str, configuration: &str, at_once: usize) {
    let mut place = Place::with(sandbox, number, configuration);
    place.at(at_once, SCALE);
    let stack = place.stack();
    let heard = Arc::new(Mutex::new(Heard::default()));
    let told = Arc::clone(&heard);
    place.run_told(&stack, Arc::new(move |event| told.lock().unwrap().hear(event))).unwrap();
    let steps = std::mem::take(&mut heard.lock().unwrap().steps);
    let took = steps.values().map(|ran| ran.done).max().unwrap_or_default();
    let mut known = BTreeMap::new();
    let path = steps.keys().map(|address| longest(&stack, &steps, address, &mut known)).max().unwrap();
    println!(
        "{name}, {at_once} at once: {} steps in {} ms, the critical path is {} ms: {:.3}",
        steps.len(),
        took.as_millis(),
        path.as_millis(),
        took.as_secs_f64() / path.as_secs_f64()
    );
    for (kind, needed) in WAITED {
        let took = steps.values().filter(|ran| ran.kind == kind).map(|ran| ran.done - ran.begun);
        if let Some(most) = took.max() {
            println!("    {kind}: {} ms needed, at most {} ms taken", needed.as_millis(), most.as_millis());
        }
    }
    // Backwards from what ended last: what each waited for, and how long it then waited for nothing.
    let mut next = steps.iter().max_by_key(|(_, ran)| ran.done).map(|(address, _)| address.clone());
    while let Some(address) = next {
        let ran = &steps[&address];
        let before = needs(&stack, &steps, &address).into_iter().max_by_key(|a| steps[*a].done);
        let ready = before.map(|a| steps[a].done).unwrap_or_default();
        println!(
            "    {:>6} ms, {:>4} late, {:>5} long  {address} ({})",
            ran.begun.as_millis(),
            (ran.begun.saturating_sub(ready)).as_millis(),
            (ran.done - ran.begun).as_millis(),
            ran.kind
        );
        next = before.cloned();
    }
}

fn main() {
    let host = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let options = Options { pending: PENDING, ..Options::default() };
    let sandbox = Arc::new(host.block_on(Sandbox::start(options)).unwrap());
    sandbox.gateway().rules().add(Rule::new("*", Act::Latency(Latency::Fixed(50))));
    for (number, at_once) in (1..).zip([10, 32, 64]) {
        measure(&sandbox, number, "single-region", SINGLE_REGION, at_once);
        measure(&sandbox, 10 + number, "ai-coder", AI_CODER, at_once);
    }
    host.block_on(Arc::into_inner(sandbox).unwrap().stop());
}
