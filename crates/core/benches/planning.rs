//! How long a plan takes and what it needs, for 300, 3,000 and 30,000 resources.
//!
//!     cargo bench -p causeway-core --all-features --bench planning
//!
//! `first` plans everything into an empty cloud; `none` plans again when nothing is to be done, with a journal of
//! that many resources. Time is that of the engine: the cloud answers at once. Each line is a process of its own, so
//! that its peak memory is its own.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]

mod plain;

use causeway_core::{engine::Run, guard::Rules, plan::PlanOptions, store::MemoryStore};
use plain::{Cloud, synthetic};
use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

fn main() {
    let one = std::env::args().skip(1).filter(|a| a != "--bench").collect::<Vec<_>>();
    match one.as_slice() {
        [what, count] => measure(what, count.parse().expect("a number of resources")),
        _ => all(),
    }
}

fn all() {
    println!("{:>9}  {:5}  {:>9}  {:>9}  {:>11}", "resources", "plan", "seconds", "peak MB", "us/resource");
    let program = std::env::current_exe().expect("this program has a path");
    for what in ["first", "none"] {
        for count in [300, 3_000, 30_000] {
            let status = Command::new(&program).arg(what).arg(count.to_string()).status();
            assert!(status.expect("this program starts").success());
        }
    }
}

fn measure(what: &str, count: usize) {
    let runtime = plain::runtime();
    runtime.block_on(async {
        let cloud = Cloud::new(Duration::ZERO);
        let store = Arc::new(MemoryStore::default());
        let engine = cloud.engine(store, 64);
        let options = PlanOptions::default();
        if what == "none" {
            let planned = engine.plan(&synthetic(count), &options).await.expect("a plan");
            let rules = Rules { max_removals: None, ..Rules::default() };
            let report = engine.apply(planned, &Run { rules, ..Run::default() }).await.expect("a run");
            assert!(report.is_complete(), "{report:?}");
        }
        // From here on it is what planning needs.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let begun = Instant::now();
        let stack = synthetic(count);
        let planned = engine.plan(&stack, &options).await.expect("a plan");
        let took = begun.elapsed();
        assert_eq!(planned.plan.steps.len(), if what == "first" { count } else { 0 });
        let micros = took.as_micros() as f64 / count as f64;
        println!("{count:>9}  {what:5}  {:>9.3}  {:>9.1}  {micros:>11.1}", took.as_secs_f64(), peak());
    });
}

/// The peak of this process's memory in MB, from Linux. The cloud and the journal are in it.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
    let kb: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    kb / 1024.0
}
