//! How long an apply of `examples/ai-coder.toml` takes beside its critical path, when every call takes 50 ms and things take a
//! hundredth of what they take on AWS: `cargo bench -p deploy --all-features --bench eks`.
//!
//! The critical path is the longest way through the steps, each as long as it took. What it took is more than what the cloud
//! needs, as nobody is told when something is ready: how much more is printed for what is waited for.

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

use causeway_core::{
    Address,
    journal::{Entry, Stamped},
    timeline,
};
use causeway_sandbox::{
    Options, Sandbox,
    gateway::{Act, Latency, Pending, Rule},
};
use examples::AI_CODER;
use place::Place;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// A hundredth of what AWS takes.
const PENDING: Pending = Pending {
    nat_gateway: Duration::from_millis(1100),
    load_balancer: Duration::from_millis(1500),
    database: Duration::from_millis(4800),
    database_change: Duration::from_millis(600),
    cluster: Duration::from_millis(6000),
    cluster_change: Duration::from_millis(600),
    node_group: Duration::from_millis(1500),
    addon: Duration::from_millis(400),
};

/// The kinds that are waited for, and how long what they stand for takes.
const WAITED: [(&str, Duration); 5] = [
    ("aws.eks.cluster", PENDING.cluster),
    ("aws.eks.node_group", PENDING.node_group),
    ("aws.eks.addon", PENDING.addon),
    ("aws.rds.instance", PENDING.database),
    ("aws.elasticache.replication_group", PENDING.database),
];

/// A step: its kind, what it waits for, and how long it took.
type Steps = BTreeMap<Address, (String, BTreeSet<Address>, u64)>;

fn steps(entries: &[Stamped]) -> Steps {
    let mut steps = Steps::new();
    for Stamped { entry, .. } in entries {
        match entry {
            Entry::Begin { address, request, .. } => {
                steps.insert(address.clone(), (request.kind.clone(), request.after.clone(), 0));
            }
            Entry::Done { address, took_ms, .. } => {
                if let Some(step) = steps.get_mut(address) {
                    step.2 = *took_ms;
                }
            }
            _ => {}
        }
    }
    steps
}

/// The longest way to the end of `address`, and the last step before it.
fn longest<'s>(steps: &'s Steps, address: &'s Address, known: &mut BTreeMap<&'s Address, u64>) -> u64 {
    if let Some(way) = known.get(address) {
        return *way;
    }
    let Some((_, after, took)) = steps.get(address) else { return 0 };
    let before = after.iter().filter_map(|a| steps.get_key_value(a)).map(|(a, _)| longest(steps, a, known));
    let way = before.max().unwrap_or_default() + took;
    known.insert(address, way);
    way
}

fn main() {
    let host = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let options = Options { pending: PENDING, ..Options::default() };
    let sandbox = Arc::new(host.block_on(Sandbox::start(options)).unwrap());
    sandbox.gateway().set(Rule::new("*", Act::Latency(Latency::Fixed(50))));
    let place = Place::with(&sandbox, 1, AI_CODER);
    place.run(&place.stack()).unwrap();
    let entries = place.journal();
    let run = timeline::last(&entries).unwrap();
    let steps = steps(&entries);
    let mut known = BTreeMap::new();
    let path = steps.keys().map(|address| longest(&steps, address, &mut known)).max().unwrap();
    println!(
        "{} steps in {} ms, the critical path is {path} ms: {:.3}",
        steps.len(),
        run.took_ms,
        run.took_ms as f64 / path as f64
    );
    for (kind, needed) in WAITED {
        let took: Vec<u64> = steps.values().filter(|s| s.0 == kind).map(|s| s.2).collect();
        let most = took.iter().max().copied().unwrap_or_default();
        println!(
            "{kind}: {} waited for, {} ms needed, at most {most} ms taken",
            took.len(),
            needed.as_millis()
        );
    }
    for bar in run.bars.iter().filter(|bar| bar.critical) {
        println!("{:>7} ms {:>7} ms  {}", bar.start_ms, bar.end_ms - bar.start_ms, bar.address);
    }
    drop(place);
    host.block_on(Arc::into_inner(sandbox).unwrap().stop());
}
