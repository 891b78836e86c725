//! The ECS target is ended at every call that changes something: before the call has an effect, and after it, before the
//! answer. The next run must finish the work: the account is as if nothing had happened, counted by boto3, and there is
//! nothing left to do.
//!
//! A cycle ends three runs in one account: one that makes everything, one that changes and replaces things, one that removes
//! everything. `CAUSEWAY_CASES` says how many cycles, or `all`; there are few by default, spread evenly.

use crate::{
    lanes::{Came, Lanes, asked},
    place::{Boto3, Moment, Place, When, differences},
    world::INVENTORY,
};
use causeway_core::Stack;
use causeway_sandbox::Sandbox;
use serde_json::Value as Json;
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// Cycles when nobody asks for more.
const CYCLES: usize = 10;

/// Cycles before the sandbox starts anew, which gives its memory back.
const PER_SANDBOX: usize = 24;

/// The runs of a cycle.
const RUNS: [&str; 3] = ["make", "change", "remove"];

/// What the second run changes: fields, rules, a record and an alarm that go, a certificate that is replaced.
fn change(place: &Place) {
    place.edit("CODER_TELEMETRY_ENABLE = \"false\"", "CODER_TELEMETRY_ENABLE = \"true\"");
    place.edit("wildcard_access_url = \"*.coder.example.com\"\n", "");
    place.edit(
        "cidr = \"10.0.0.0/16\"\n",
        "cidr = \"10.0.0.0/16\"\nallow = [\"10.0.0.0/8\", \"192.0.2.0/24\"]\n",
    );
    place.edit("backup_days = 7", "backup_days = 8");
    place.edit(
        "[ecs.alarms.unhealthy]\nwatch = \"unhealthy-targets\"\nabove = 0.0\n",
        "[ecs.logs]\ndays = 60\n",
    );
}

/// The stacks of the three runs of a cycle, each made when it is its turn.
fn stack(place: &Place, run: usize) -> Stack {
    match run {
        0 => place.stack(),
        1 => {
            change(place);
            place.stack()
        }
        _ => Stack::new(place.stack().name()),
    }
}

/// What an undisturbed cycle does and leaves.
struct Reference {
    /// What is there after each run.
    inventories: [Json; 3],
    /// Every moment of each run.
    moments: [Vec<Moment>; 3],
}

fn reference(sandbox: &Arc<Sandbox>, boto3: &Boto3) -> Reference {
    let place = Place::new(sandbox, 1);
    let mut before = BTreeMap::new();
    let mut one = |run: usize| {
        let stack = stack(&place, run);
        place.run(&stack).unwrap_or_else(|e| panic!("the undisturbed run to {}: {e}", RUNS[run]));
        assert_eq!(place.left(&stack).unwrap(), Vec::<String>::new(), "{}", RUNS[run]);
        let all = place.changes();
        let mut moments = vec![];
        for (call, times) in &all {
            let earlier = before.get(call).copied().unwrap_or(0);
            for nth in 1..=times - earlier {
                let when = [When::Before, When::After];
                moments.extend(when.map(|when| Moment { call: call.clone(), nth, when }));
            }
        }
        before = all;
        (place.inventory(boto3), moments)
    };
    let [(a, x), (b, y), (c, z)] = [0, 1, 2].map(&mut one);
    Reference { inventories: [a, b, c], moments: [x, y, z] }
}

/// One cycle.
fn cycle(place: &Place, boto3: &Boto3, reference: &Reference, moments: [&Moment; 3]) -> Came {
    let Came { mut ended, mut wrong } = Came::default();
    for (run, moment) in moments.into_iter().enumerate() {
        let stack = stack(place, run);
        let what = format!("{} ended at {moment:?}", RUNS[run]);
        ended += usize::from(place.crash(&stack, moment));
        // The call that was held may have left others on their way.
        if let Err(why) = place.run(&stack) {
            wrong.push(format!("{what}: the next run: {why}"));
            break;
        }
        match place.left(&stack) {
            Ok(left) if left.is_empty() => {}
            left => wrong.push(format!("{what}: there is more to do: {left:?}")),
        }
        let differs = differences(&place.inventory(boto3), &reference.inventories[run]);
        if !differs.is_empty() {
            wrong.push(format!("{what}: {differs:?}"));
        }
    }
    Came { ended, wrong }
}

#[test]
fn ended_at_any_call_the_next_run_finishes() {
    let begun = Instant::now();
    let mut lanes = Lanes::start(INVENTORY);
    let (sandbox, boto3) = lanes.first();
    let reference = reference(sandbox, boto3);
    let all = reference.moments.iter().map(Vec::len).max().unwrap_or(0);
    let cycles = asked(CYCLES, all);
    println!(
        "moments to {}; {cycles} cycles of {all}; the undisturbed one took {:?}",
        (0..3).map(|i| format!("{} {}", RUNS[i], reference.moments[i].len())).collect::<Vec<_>>().join(", "),
        begun.elapsed()
    );
    // Evenly over each run, the same every time. A prime apart, so that the runs of a cycle do not end alike.
    let moment = |run: usize, i: usize| {
        let of = &reference.moments[run];
        if of.is_empty() { None } else { of.get((i * all / cycles + run * 7) % of.len()) }
    };
    let Came { ended, wrong } = lanes.all(cycles, PER_SANDBOX, |sandbox, boto3, i| {
        let moments = [0, 1, 2].map(|run| moment(run, i).unwrap());
        cycle(&Place::new(sandbox, 1000 + i as u64), boto3, &reference, moments)
    });
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
    // A moment may not come, as runs are not the same to the last call; most do.
    assert!(ended * 10 >= cycles * 3 * 9, "only {ended} of {} runs were ended", cycles * 3);
}
