//! What the journal costs where every write takes a while, as in a bucket.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use causeway_core::{
    Engine, Registry, Stack,
    engine::Run,
    journal::{Entry, Stamped},
    plan::PlanOptions,
    store::{Hold, MemoryStore, Store, StoreError},
    testing::{
        crash::all_rules,
        sim::{Fuse, Role, SimCloud, SimPlace},
    },
};
use futures::future::BoxFuture;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// A store whose writes take a while.
struct Slow {
    inner: MemoryStore,
    latency: Duration,
    batches: Mutex<Vec<(Instant, usize)>>,
}

impl Store for Slow {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>> {
        self.inner.load()
    }
    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            tokio::time::sleep(self.latency).await;
            self.inner.append(after, batch).await?;
            self.batches.lock().unwrap().push((Instant::now(), batch.len()));
            Ok(())
        })
    }
    fn hold<'a>(&'a self, who: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>> {
        self.inner.hold(who)
    }
    fn place(&self) -> String {
        "slow".into()
    }
}

const MANY: usize = 300;

fn many() -> Stack {
    let mut stack = Stack::new("many");
    stack.at(&SimPlace { region: "sim-1".into() }, |stack| {
        for n in 0..MANY {
            let role = Role {
                name: format!("role-{n}").into(),
                path: None,
                policy: "read".into(),
                tags: Default::default(),
            };
            stack.add(&format!("role-{n:03}"), role);
        }
    });
    stack
}

/// How long it takes to make all of it, and what was written.
async fn made(latency: Duration) -> (Duration, Arc<Slow>) {
    let cloud = SimCloud::new(3, Fuse::default());
    // Two seconds, as a usual small thing takes.
    cloud.habits(|habits| {
        habits.ready_after.insert("sim.role", Duration::from_secs(2));
    });
    let mut registry = Registry::new();
    cloud.register(&mut registry);
    let store = Arc::new(Slow { inner: MemoryStore::default(), latency, batches: Mutex::default() });
    let engine = Engine::new(registry, Arc::clone(&store) as Arc<dyn Store>).at_once(10);
    let planned = engine.plan(&many(), &PlanOptions::default()).await.unwrap();
    let run = Run { rules: all_rules(&planned.plan), ..Run::default() };
    let start = Instant::now();
    let report = engine.apply(planned, &run).await.unwrap();
    assert!(report.is_complete() && report.done.len() == MANY);
    (start.elapsed(), store)
}

#[tokio::test(start_paused = true)]
async fn writes_of_fifty_milliseconds_cost_less_than_a_twentieth_of_the_run() {
    let (quick, _) = made(Duration::ZERO).await;
    let (slow, store) = made(Duration::from_millis(50)).await;
    let share = (slow.as_secs_f64() - quick.as_secs_f64()) / slow.as_secs_f64();
    let entries = store.inner.entries();
    let puts = store.batches.lock().unwrap().len();
    let bytes: usize = entries.iter().map(|e| serde_json::to_string(e).unwrap().len() + 1).sum();
    eprintln!(
        "{MANY} creates, ten at once: {:.1} s, and {:.1} s with 50 ms for each write: {:.1} % of it; {} entries in \
         {puts} writes, {bytes} bytes",
        quick.as_secs_f64(),
        slow.as_secs_f64(),
        share * 100.0,
        entries.len()
    );
    assert!(share < 0.05, "{share}");
    assert!(puts * 4 < entries.len(), "{puts} writes for {} entries", entries.len());
    assert!(bytes < MANY * 1200, "the journal is as long as what changed: {bytes}");
}

#[tokio::test(start_paused = true)]
async fn an_intent_and_what_was_done_before_it_are_durable_before_the_call() {
    let (_, store) = made(Duration::from_millis(50)).await;
    let entries = store.inner.entries();
    let begins = entries.iter().filter(|e| matches!(e.entry, Entry::Begin { .. })).count();
    let dones = entries.iter().filter(|e| matches!(e.entry, Entry::Done { .. })).count();
    assert_eq!((begins, dones), (MANY, MANY), "nothing is left in the queue when the run ends");
}
