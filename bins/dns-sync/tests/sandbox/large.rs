//! A zone of ten thousand records, all of them ours: what a run takes. The figures are in docs/performance.md.

use crate::world::World;
use std::{collections::BTreeMap, fmt::Write, process::Stdio, time::Instant};

const NAMES: usize = 4_950;

/// `names` records, of which the first `moved` lead elsewhere.
fn records(names: usize, moved: usize) -> String {
    let mut text = String::new();
    for n in 0..names {
        let value = if n < moved { "other.example.net" } else { "lb.example.net" };
        // Writing to a string does not fail.
        let _ = write!(text, "[[records]]\nname = \"n{n}.example.com\"\nvalues = [\"{value}\"]\n");
    }
    text
}

/// Runs the program and prints seconds, calls and, on Linux, the memory that it took at most.
#[expect(clippy::print_stdout, reason = "the figures are what it is for")]
async fn measured(world: &World, what: &str, arguments: &[&str]) {
    world.cloudflare.reset_calls();
    let begun = Instant::now();
    // Nobody reads a pipe meanwhile.
    let mut child = world.command(arguments).stdout(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id().unwrap());
    let mut most = 0;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended.unwrap(),
            () = tokio::time::sleep(std::time::Duration::from_millis(5)) => {}
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let peak = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        most = peak.unwrap_or(most);
    };
    assert!(ended.success(), "{what}: {ended}");
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    world.cloudflare.calls().iter().for_each(|call| *calls.entry(call.operation.clone()).or_default() += 1);
    println!("{what}: {calls:?}, {:.1} s, {} MB", begun.elapsed().as_secs_f64(), most / 1000);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes in a debug build; its figures are in docs/performance.md"]
async fn two_hundred_changes_among_ten_thousand_records() {
    let world = World::new().await;
    world.configure(&records(NAMES, 0));
    measured(&world, "9,900 records made", &["apply", "--quiet"]).await;
    world.configure(&records(NAMES + 50, 100));
    measured(&world, "100 changed, 100 made", &["apply", "--quiet"]).await;
    assert_eq!(world.cloudflare.records(crate::world::ZONE).len(), 2 * (NAMES + 50));
    measured(&world, "nothing to do", &["apply", "--quiet"]).await;
}
