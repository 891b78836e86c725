//! The EKS target is ended at every call of an apply that changes something: before it has an effect, after it and before the
//! answer, and after the answer. The next run must finish the work: what boto3 lists in the account is what an undisturbed
//! run leaves, nothing is there twice, nothing was left behind, and there is nothing left to do.
//!
//! Runs in one account are ended one after another, each further on than the one before. What did not come about, as runs are
//! not the same to the last call, is tried again in an account of its own. `CAUSEWAY_CASES` says how many moments, or `all`;
//! there are few by default, spread evenly.

use crate::{
    examples::{AI_CODER, SINGLE_REGION},
    lanes::{Came, Lanes, asked},
    place::{Boto3, Moment, Place, When, differences},
};
use causeway_sandbox::Sandbox;
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

/// Runs that are ended in one account.
const IN_A_ROW: usize = 6;

/// What lists an account.
pub(crate) fn script(regions: &[&str]) -> String {
    let (listing, same) = (include_str!("../eks/listing.py"), include_str!("same.py"));
    format!("import sys\n__name__ = 'listed'\nsys.argv[1:] = {regions:?}\n{listing}\n{same}")
}

/// What an undisturbed apply does and leaves.
struct Reference {
    inventory: Json,
    /// In the order in which they came.
    moments: Vec<Moment>,
}

fn reference(sandbox: &Arc<Sandbox>, boto3: &Boto3, configuration: &str) -> Reference {
    let undisturbed = |number| {
        let place = Place::with(sandbox, number, configuration);
        let stack = place.stack();
        place.run(&stack).unwrap_or_else(|e| panic!("the undisturbed run: {e}"));
        let calls = place.calls();
        assert_eq!(place.left(&stack).unwrap(), Vec::<String>::new());
        (place.inventory(boto3), calls)
    };
    let (inventory, calls) = undisturbed(1);
    // What is another in each account by chance would be taken for the work of a crash.
    let chance = differences(&undisturbed(2).0, &inventory);
    assert!(chance.is_empty(), "two undisturbed accounts differ: {chance:#?}");
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    let moments = calls.into_iter().filter(|call| call.mutates).flat_map(|call| {
        let nth = times.entry(call.name()).or_default();
        *nth += 1;
        [When::Before, When::After, When::Answered].map(|when| Moment { call: call.name(), nth: *nth, when })
    });
    let moments = moments.collect();
    Reference { inventory, moments }
}

/// Runs in `place` that are ended one after another, and what the last one makes of it. Which of `moments` did not come.
fn ended_at<'m>(
    place: &Place,
    boto3: &Boto3,
    reference: &Reference,
    moments: &[&'m Moment],
) -> (Came, Vec<&'m Moment>) {
    let stack = place.stack();
    let (came, missed): (Vec<&Moment>, Vec<&Moment>) = moments.iter().partition(|moment| {
        let so_far = place.effective(&moment.call);
        moment.nth > so_far && place.crash(&stack, &Moment { nth: moment.nth - so_far, ..(**moment).clone() })
    });
    let mut wrong = vec![];
    match place.run(&stack) {
        Err(why) => wrong.push(format!("ended at {came:?}: the next run: {why}")),
        Ok(()) => {
            match place.left(&stack) {
                Ok(left) if left.is_empty() => {}
                left => wrong.push(format!("ended at {came:?}: there is more to do: {left:?}")),
            }
            let differs = differences(&place.inventory(boto3), &reference.inventory);
            if !differs.is_empty() {
                wrong.push(format!("ended at {came:?}: {differs:?}"));
            }
        }
    }
    (Came { ended: came.len(), wrong }, missed)
}

fn enumerate(configuration: &str, regions: &[&str], usual: usize, per_sandbox: usize) {
    let begun = Instant::now();
    let mut lanes = Lanes::start(&script(regions));
    let (sandbox, boto3) = lanes.first();
    let reference = reference(sandbox, boto3, configuration);
    let all = reference.moments.len();
    let cases = asked(usual, all);
    println!("{cases} of {all} moments in {regions:?}; two undisturbed runs took {:?}", begun.elapsed());
    // Evenly over the run, the same every time; those of one account as far apart as can be.
    let moments: Vec<&Moment> = (0..cases).map(|i| &reference.moments[i * all / cases]).collect();
    let rows = cases.div_ceil(IN_A_ROW);
    let mut open: Vec<Vec<&Moment>> =
        (0..rows).map(|row| moments.iter().skip(row).step_by(rows).copied().collect()).collect();
    let mut came = Came::default();
    for round in 0..2 {
        let missed = Mutex::new(vec![]);
        came.add(lanes.all(open.len(), per_sandbox, |sandbox, boto3, i| {
            let place = Place::with(sandbox, 1000 * (round + 1) + i as u64, configuration);
            let (came, not) = ended_at(&place, boto3, &reference, &open[i]);
            missed.lock().unwrap().extend(not);
            came
        }));
        open = missed.into_inner().unwrap().into_iter().map(|moment| vec![moment]).collect();
    }
    let Came { ended, wrong } = came;
    println!("{ended} of {cases} moments came, {} violations, {:?}", wrong.len(), begun.elapsed());
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
    assert!(ended * 10 >= cases * 9, "only {ended} of {cases} moments came");
}

#[test]
fn one_region_ended_at_any_call_is_finished_by_the_next_run() {
    enumerate(SINGLE_REGION, &["us-east-2"], 24, 24);
}

#[test]
fn three_regions_ended_at_any_call_are_finished_by_the_next_run() {
    enumerate(AI_CODER, &["us-east-2", "us-west-2", "eu-west-2"], 6, 12);
}
