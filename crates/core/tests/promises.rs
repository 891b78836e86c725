//! The promises of the engine, each over random histories on the simulated cloud.
//!
//! The same histories in every run, so that a test fails for a change and never by chance. `CAUSEWAY_CASES=100000` looks
//! at more, `CAUSEWAY_SEED=7` at others; what fails is printed as a test that can be pasted here, and as the command line
//! that finds it again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![allow(clippy::print_stdout, reason = "the number of cases is the result")]

mod machine;

use machine::{
    Act::{self, *},
    History,
    How::{self, *},
    Machine, play,
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestError, TestRunner},
};
use std::{fmt::Debug, str::FromStr};

fn how() -> impl Strategy<Value = How> {
    let time = prop_oneof![0u64..500, 0u64..400_000];
    prop_oneof![
        8 => Just(Plainly),
        1 => Just(Unpermitted),
        1 => any::<u8>().prop_map(Only),
        1 => Just(Adopting),
        1 => time.clone().prop_map(Drained),
        1 => time.clone().prop_map(Aborted),
        1 => time.clone().prop_map(Overtaken),
        1 => time.prop_map(Rivalled),
        1 => Just(Late),
        1 => any::<(u8, u8)>().prop_map(|(nth, how)| Behind(nth, how)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let wanted = prop_oneof![1 => Just([0u8; 16]), 9 => any::<[u8; 16]>()];
    let crash = prop::option::weighted(0.5, 0usize..80);
    let fault = (any::<u8>(), any::<u8>(), prop_oneof![2 => Just(0u64), 1 => 0u64..40]);
    prop_oneof![
        8 => (wanted, crash, fault, how())
            .prop_map(|(wanted, crash, fault, how)| Apply { wanted, crash, fault, how }),
        1 => any::<(u8, u8)>().prop_map(|(nth, how)| Meddle(nth, how)),
        1 => any::<u8>().prop_map(Plant),
        1 => prop_oneof![0u64..60, 0u64..4000].prop_map(Pause),
    ]
}

fn history() -> impl Strategy<Value = History> {
    (any::<u64>(), 1usize..6, any::<u8>(), prop::collection::vec(act(), 1..5))
        .prop_map(|(seed, at_once, lag, acts)| History { seed, at_once, lag, acts })
}

/// The number in the environment variable `name`, or `usual`.
fn asked<N: FromStr<Err: Debug>>(name: &str, usual: N) -> N {
    std::env::var(name).map_or(usual, |n| n.parse().unwrap())
}

fn played(history: &History) -> Machine {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(play(history))
}

/// The findings about `promise`.
fn broken(promise: usize, history: &History) -> Result<(), String> {
    let machine = played(history);
    if promise == 14 {
        let (one, two) = (machine.trace(), played(history).trace());
        let differs = one.iter().zip(&two).find(|(a, b)| a != b);
        if let Some((a, b)) = differs {
            return Err(format!("the same history has another trace:\n{a}\n{b}"));
        }
    }
    let about: Vec<String> =
        machine.findings.into_iter().filter(|(p, _)| *p == promise).map(|(_, why)| why).collect();
    if about.is_empty() { Ok(()) } else { Err(about.join("\n")) }
}

fn holds(promise: usize) {
    let (cases, seed) = (asked("CAUSEWAY_CASES", 150u32), asked("CAUSEWAY_SEED", 1u64));
    let mut runner = TestRunner::new(Config {
        cases,
        // Each promise has histories of its own.
        rng_seed: RngSeed::Fixed(seed.wrapping_mul(100).wrapping_add(promise as u64)),
        max_shrink_iters: 3000,
        failure_persistence: None,
        ..Config::default()
    });
    let start = std::time::Instant::now();
    let result = runner.run(&history(), |h| broken(promise, &h).map_err(TestCaseError::fail));
    println!("promise {promise}: {cases} cases in {:.1} s", start.elapsed().as_secs_f64());
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, history)) => panic!("{}", told(promise, &why.to_string(), &history)),
        Err(e) => panic!("{e}"),
    }
}

fn told(promise: usize, why: &str, history: &History) -> String {
    let (cases, seed) = (asked("CAUSEWAY_CASES", 150u32), asked("CAUSEWAY_SEED", 1u64));
    format!(
        "promise {promise} is broken: {why}\n\n\
         The smallest history that breaks it, to be pasted into crates/core/tests/promises.rs:\n\n\
         #[test]\nfn found_{promise:02}() {{\n    found({promise}, {}, {}, {}, &{:?});\n}}\n\n\
         or: CAUSEWAY_CASES={cases} CAUSEWAY_SEED={seed} cargo test -p causeway-core --all-features --test promises \
         promise_{promise:02}\n",
        history.seed, history.at_once, history.lag, history.acts,
    )
}

#[test]
fn promise_01_no_orphan() {
    holds(1);
}

#[test]
fn promise_02_no_duplicate() {
    holds(2);
}

#[test]
fn promise_03_the_same_end_whatever_happened_before() {
    holds(3);
}

#[test]
fn promise_04_nothing_is_left_to_do_after_an_apply() {
    holds(4);
}

#[test]
fn promise_05_an_apply_does_no_more_than_its_plan() {
    holds(5);
}

#[test]
fn promise_06_nothing_before_what_it_needs() {
    holds(6);
}

#[test]
fn promise_07_a_stale_writer_changes_nothing() {
    holds(7);
}

#[test]
fn promise_08_no_data_is_lost_without_a_permit() {
    holds(8);
}

#[test]
fn promise_09_planning_writes_nothing() {
    holds(9);
}

#[test]
fn promise_10_no_secret_is_told() {
    holds(10);
}

#[test]
fn promise_11_every_prefix_of_a_journal_is_a_state() {
    holds(11);
}

#[test]
fn promise_12_nothing_begins_after_a_stop() {
    holds(12);
}

#[test]
fn promise_13_no_more_at_once_than_allowed_and_no_waiting_about() {
    holds(13);
}

#[test]
fn promise_14_the_same_seed_gives_the_same_trace() {
    holds(14);
}

/// Each was found by chance once, and shrunk.
fn found(promise: usize, seed: u64, at_once: usize, lag: u8, acts: &[Act]) {
    broken(promise, &History { seed, at_once, lag, acts: acts.to_vec() }).unwrap();
}

#[test]
fn what_could_not_be_seen_yet_is_not_made_again_under_another_name() {
    let first = Apply {
        wanted: [72, 1, 0, 0, 1, 1, 0, 177, 0, 0, 9, 41, 1, 0, 18, 0],
        crash: Some(11),
        fault: (217, 84, 4),
        how: Plainly,
    };
    let wanted = [0, 0, 0, 0, 0, 0, 0, 185, 0, 0, 0, 0, 0, 0, 0, 0];
    let then = Apply { wanted, crash: None, fault: (0, 0, 0), how: Plainly };
    found(2, 8380667192869074088, 3, 214, &[first, then]);
}

#[test]
fn what_is_only_looked_at_passes_on_what_it_waits_for() {
    let wanted = [1, 188, 41, 29, 72, 1, 65, 1, 116, 0, 65, 1, 5, 0, 15, 0];
    let apply = Apply { wanted, crash: None, fault: (0, 0, 0), how: Plainly };
    found(6, 0, 2, 22, &[apply]);
}

#[test]
fn what_rests_on_something_that_goes_first_goes_before_it() {
    let act = |wanted, how| Apply { wanted, crash: None, fault: (0, 0, 0), how };
    let first = act([0, 0, 0, 0, 0, 0, 0, 177, 0, 0, 129, 1, 0, 0, 0, 0], Adopting);
    let then = act([0, 0, 0, 0, 0, 0, 0, 129, 0, 0, 65, 53, 0, 0, 0, 0], Plainly);
    found(3, 0, 1, 0, &[first, then]);
}
