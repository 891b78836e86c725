//! What the journal weighs, and what it costs when an append takes 50 ms, as in a bucket.
//!
//!     cargo bench -p causeway-core --all-features --bench journal
//!
//! 3,222 creates, 64 at once, two seconds each at the least; time is virtual. "alone" is the same run with appends
//! that take no time.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]

mod plain;

use causeway_core::{
    engine::Run,
    journal::Stamped,
    plan::PlanOptions,
    store::{Hold, MemoryStore, Store, StoreError},
};
use futures::future::BoxFuture;
use plain::{Cloud, synthetic};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

const CREATES: usize = 3_222;

/// A store whose appends take a while.
#[derive(Default)]
struct Slow {
    store: MemoryStore,
    latency: Duration,
    appends: AtomicUsize,
}

impl Store for Slow {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>> {
        self.store.load()
    }
    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.appends.fetch_add(1, Ordering::Relaxed);
            sleep(self.latency).await;
            self.store.append(after, batch).await
        })
    }
    fn hold<'a>(&'a self, who: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>> {
        self.store.hold(who)
    }
    fn place(&self) -> String {
        self.store.place()
    }
}

fn main() {
    let runtime = plain::runtime();
    runtime.block_on(async {
        let (alone, _) = run(Duration::ZERO).await;
        let (slow, store) = run(Duration::from_millis(50)).await;
        let entries = store.store.entries();
        let bytes: usize =
            entries.iter().map(|e| serde_json::to_string(e).expect("an entry is JSON").len() + 1).sum();
        println!("creates               {CREATES}");
        println!("entries               {}", entries.len());
        println!("appends               {}", store.appends.load(Ordering::Relaxed));
        println!("bytes                 {bytes}  ({} a create)", bytes / CREATES);
        println!("apply alone           {:.1} s", alone.as_secs_f64());
        println!("apply, 50 ms appends  {:.1} s", slow.as_secs_f64());
        println!("share of the journal  {:.1} %", 100.0 * (1.0 - alone.as_secs_f64() / slow.as_secs_f64()));
    });
}

async fn run(latency: Duration) -> (Duration, Arc<Slow>) {
    let store = Arc::new(Slow { latency, ..Slow::default() });
    let engine = Cloud::new(Duration::from_millis(100)).engine(store.clone(), 64);
    let planned = engine.plan(&synthetic(CREATES), &PlanOptions::default()).await.expect("a plan");
    let begun = Instant::now();
    let report = engine.apply(planned, &Run::default()).await.expect("a run");
    assert!(report.is_complete(), "{report:?}");
    (begun.elapsed(), store)
}
