//! Throttling, server errors and cut connections, at rates that no good day has: an apply ends as if there had been none,
//! and nothing is there twice.

use crate::{place::differences, world::World};
use causeway_sandbox::gateway::{Act, Rule};
use std::time::Instant;

/// The dice of each weather. A failure with these is the same failure again, as far as the order of calls is.
const SEEDS: [u64; 3] = [11, 23, 47];

/// A weather: which faults meet how many of all calls.
type Weather = (&'static str, &'static [(Act, f64)]);

const WEATHERS: [Weather; 3] = [
    ("30 % throttled", &[(Act::Throttle, 0.30)]),
    // Half of them after the call had its effect.
    ("10 % errors of the server", &[(Act::ErrorBefore, 0.05), (Act::ErrorAfter, 0.05)]),
    ("10 % cut connections", &[(Act::CutBefore, 0.05), (Act::CutAfter, 0.05)]),
];

#[test]
fn an_apply_in_bad_weather_ends_where_it_would_have_ended() {
    let clear = World::new(20);
    clear.deploy(&["apply", "--yes"]).succeeds();
    let wanted = crate::place::anonymous(&clear.inventory(), &clear);
    std::thread::scope(|scope| {
        for (i, (name, faults)) in WEATHERS.into_iter().enumerate() {
            let wanted = &wanted;
            scope.spawn(move || {
                let begun = Instant::now();
                let world = World::new(21 + i as u64);
                let rules: Vec<_> = faults
                    .iter()
                    .map(|(act, chance)| world.rule(Rule::new("*", *act).probability(*chance).seed(SEEDS[i])))
                    .collect();
                world.deploy(&["apply", "--yes"]).succeeds();
                let acted: u64 = rules.iter().map(|rule| world.acted(*rule)).sum();
                rules.into_iter().for_each(|rule| world.unset(rule));
                println!("{name}, seed {}: {acted} faults, {:?}", SEEDS[i], begun.elapsed());
                assert!(acted >= 10, "{name}: only {acted} calls were met");
                world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
                let found = crate::place::anonymous(&world.inventory(), &world);
                let differs = differences(&found, wanted);
                assert!(differs.is_empty(), "{name}, seed {}: {differs:?}", SEEDS[i]);
            });
        }
    });
}
