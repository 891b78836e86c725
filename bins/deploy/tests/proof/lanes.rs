//! Many cases, each in an account of its own: some side by side, and a new sandbox after each batch.

use crate::place::Boto3;
use causeway_sandbox::{Options, Sandbox, gateway::Pending};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// Accounts at a time: runs mostly wait.
const AT_ONCE: usize = 6;

/// What came of cases.
#[derive(Default)]
pub(crate) struct Came {
    /// How many runs were ended as they were to be.
    pub(crate) ended: usize,
    /// What was not as it should be.
    pub(crate) wrong: Vec<String>,
}

impl Came {
    pub(crate) fn add(&mut self, other: Came) {
        self.ended += other.ended;
        self.wrong.extend(other.wrong);
    }
}

/// A sandbox with a Python for each lane.
pub(crate) struct Lanes {
    host: Runtime,
    /// What the Pythons ask.
    script: String,
    running: Option<(Arc<Sandbox>, Vec<Boto3>)>,
    /// Accounts in this sandbox.
    used: usize,
}

impl Lanes {
    pub(crate) fn start(script: &str) -> Self {
        let host =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut lanes = Lanes { host, script: script.to_owned(), running: None, used: 0 };
        lanes.anew();
        lanes
    }

    /// A new sandbox, which gives the memory of the old one back.
    fn anew(&mut self) {
        if let Some((sandbox, boto3)) = self.running.take() {
            drop(boto3);
            match Arc::into_inner(sandbox) {
                Some(sandbox) => self.host.block_on(sandbox.stop()),
                None => panic!("an account outlived its batch"),
            }
        }
        let options = Options { pending: Pending::all(Duration::from_millis(100)), ..Options::default() };
        let sandbox = Arc::new(self.host.block_on(Sandbox::start(options)).unwrap());
        let boto3 = (0..AT_ONCE).map(|_| Boto3::start(&sandbox, &self.script)).collect();
        self.running = Some((sandbox, boto3));
        self.used = 0;
    }

    /// For what comes before the cases.
    pub(crate) fn first(&self) -> (&Arc<Sandbox>, &Boto3) {
        let (sandbox, boto3) = self.running.as_ref().unwrap();
        (sandbox, &boto3[0])
    }

    /// Does `one` to each of so many `cases`, by its number.
    pub(crate) fn all(
        &mut self,
        cases: usize,
        per_sandbox: usize,
        one: impl Fn(&Arc<Sandbox>, &Boto3, usize) -> Came + Sync,
    ) -> Came {
        let (begun, mut came) = (Instant::now(), Came::default());
        let numbers: Vec<usize> = (0..cases).collect();
        for batch in numbers.chunks(per_sandbox) {
            if self.used + batch.len() > per_sandbox {
                self.anew();
            }
            self.used += batch.len();
            let (sandbox, pythons) = self.running.as_ref().unwrap();
            let waiting = Mutex::new(batch.iter().copied());
            std::thread::scope(|scope| {
                let lane = |boto3| {
                    let mut came = Came::default();
                    loop {
                        let Some(i) = waiting.lock().unwrap().next() else { return came };
                        came.add(one(sandbox, boto3, i));
                    }
                };
                let lanes: Vec<_> = pythons.iter().map(|boto3| scope.spawn(move || lane(boto3))).collect();
                lanes.into_iter().for_each(|lane| came.add(lane.join().unwrap()));
            });
            println!(
                "{} of {cases} cases, {} runs ended, {} violations, {:?}",
                batch.last().map_or(0, |i| i + 1),
                came.ended,
                came.wrong.len(),
                begun.elapsed()
            );
            came.wrong.iter().for_each(|wrong| println!("  {wrong}"));
        }
        came
    }
}

/// How many cases are asked for by `CAUSEWAY_CASES`, of `all`; `usual` when nobody asks.
pub(crate) fn asked(usual: usize, all: usize) -> usize {
    match std::env::var("CAUSEWAY_CASES").as_deref() {
        Ok("all") => all,
        Ok(number) => number.parse().expect("CAUSEWAY_CASES is a number or `all`"),
        Err(_) => usual,
    }
    .clamp(1, all)
}
