//! A region is cut off in the middle of the first apply of three. The others finish, what is missing is said, and the run
//! after it is back leaves what an undisturbed one leaves, counted by boto3.

use crate::{examples::AI_CODER, place::differences, world::World};
use causeway_sandbox::gateway::{Act, Rule};
use serde_json::Value as Json;
use std::{
    process::Stdio,
    time::{Duration, Instant},
};

const WEST: &str = "us-west-2";
const REGIONS: [&str; 3] = ["us-east-2", WEST, "eu-west-2"];

/// After so many changes there it is cut off: its network stands, its cluster does not.
const CHANGES: usize = 25;

fn listing(world: &World) -> Json {
    let listed = world.boto3(&crate::crash_eks::script(&REGIONS));
    serde_json::from_str(&listed.replace(causeway_sandbox::account::of(world.key()), "ACCOUNT")).unwrap()
}

fn changes(world: &World) -> usize {
    world.calls().iter().filter(|call| call.mutates && call.region == WEST).count()
}

#[test]
fn a_region_that_is_cut_off_in_the_middle_is_finished_by_the_next_run() {
    let undisturbed = std::thread::spawn(|| {
        let world = World::with(30, AI_CODER);
        world.deploy(&["apply", "--yes"]).succeeds();
        listing(&world)
    });
    let world = World::with(31, AI_CODER);
    // However slow this test is to see it, nothing is changed there from then on.
    let changing = Rule::new("*", Act::CutBefore).region(WEST).changes();
    let changing = world.rule(Rule { skip: CHANGES as u64, ..changing });
    let mut apply = world.command(env!("CARGO_BIN_EXE_deploy"));
    let apply = apply.args(["apply", "--yes", "--json"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let apply = apply.stdout(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while changes(&world) < CHANGES {
        assert!(begun.elapsed() < Duration::from_secs(900), "{CHANGES} changes did not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
    let cut = world.rule(Rule::new("*", Act::CutBefore).region(WEST));
    let output = apply.wait_with_output().unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|t| String::from_utf8_lossy(&t).into_owned());
    assert_eq!(output.status.code(), Some(100), "{stderr}");
    let told: Json = serde_json::from_str(&stdout).unwrap();
    let result = &told["result"];

    // What is missing is said, all of it, and it is all there.
    let [away] = result["away"].as_array().unwrap().as_slice() else { panic!("not one: {}", result["away"]) };
    assert_eq!(away["place"], WEST);
    let missing = away["resources"].as_array().unwrap();
    assert!(missing.len() > 20, "{missing:?}");
    assert!(missing.iter().all(|address| address.as_str().unwrap().starts_with("us-west-2/")), "{missing:?}");
    assert_eq!(away.get("needing"), None);
    let not_done =
        ["failed", "skipped"].map(|key| result[key].as_array().unwrap().len()).iter().sum::<usize>();
    assert_eq!(missing.len(), not_done, "{stderr}");

    // The others are whole; nothing of this is in the region that is cut off.
    let wanted = undisturbed.join().unwrap();
    let elsewhere = |all: &Json| {
        let all = all.as_object().unwrap().iter();
        Json::Object(
            all.filter(|(name, _)| !name.starts_with("iam") && !name.starts_with(WEST)).map(own).collect(),
        )
    };
    [cut, changing].into_iter().for_each(|rule| world.unset(rule));
    let found = listing(&world);
    let differs = differences(&elsewhere(&found), &elsewhere(&wanted));
    assert!(differs.is_empty(), "{differs:#?}");
    assert_ne!(found["us-west-2 clusters"], wanted["us-west-2 clusters"]);

    // As long as it is away, nothing is called well.
    let cut = world.rule(Rule::new("*", Act::CutBefore).region(WEST));
    let told = world.deploy(&["plan"]).exits(69);
    assert!(told.contains("us-west-2 cannot be reached"), "{told}");
    world.unset(cut);

    world.deploy(&["apply", "--yes"]).succeeds();
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    let differs = differences(&listing(&world), &wanted);
    assert!(differs.is_empty(), "{differs:#?}");
}

fn own((name, there): (&String, &Json)) -> (String, Json) {
    (name.clone(), there.clone())
}
