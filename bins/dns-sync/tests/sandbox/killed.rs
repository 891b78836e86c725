//! A run that is killed at any of its calls: the next one ends where it would have.

use crate::world::World;
use causeway_sandbox::cloudflare::{Act, Rule};
use std::time::Duration;

const BEFORE: [(&str, &str); 3] = [
    ("a.example.com", "one.example.net"),
    ("*.a.example.com", "one.example.net"),
    ("b.example.com", "192.0.2.1"),
];
/// One changes its type, one its target, one goes, and one comes.
const AFTER: [(&str, &str); 3] =
    [("a.example.com", "192.0.2.7"), ("*.a.example.com", "two.example.net"), ("c.example.com", "192.0.2.2")];

fn records(all: &[(&str, &str)]) -> String {
    let record =
        |(name, value): &(&str, &str)| format!("[[records]]\nname = \"{name}\"\nvalues = [\"{value}\"]\n");
    all.iter().map(record).collect()
}

fn expected() -> Vec<String> {
    let kind = |value: &str| if value.starts_with("192.") { "A" } else { "CNAME" };
    let mut said: Vec<String> = AFTER.iter().map(|(n, v)| format!("{n} {} {v}", kind(v))).collect();
    said.sort();
    said
}

const APPLY: [&str; 3] = ["apply", "--permit", "b.example.com"];

async fn configured(journal: bool) -> World {
    let world = World::new().await;
    let configure = |rest: &str| match journal {
        true => world.configure(rest),
        false => world.configure_without_journal(rest),
    };
    configure(&records(&BEFORE));
    world.run(&["apply"]).await.ends_with(0);
    configure(&records(&AFTER));
    world.cloudflare.reset_calls();
    world
}

async fn killed_at_each_call(journal: bool) {
    let world = configured(journal).await;
    world.run(&APPLY).await.ends_with(0);
    assert_eq!(world.said(), expected());
    let calls = world.cloudflare.calls().len() as u64;
    assert!(calls >= 3, "{calls}");
    for act in [Act::HoldBefore, Act::HoldAfter] {
        for n in 1..=calls {
            let world = configured(journal).await;
            let rule = world.cloudflare.rules().add(Rule::new("*", act).nth(n));
            let mut run = world.spawn(&APPLY);
            assert!(
                world.cloudflare.rules().wait_held(rule, 1, Duration::from_secs(60)).await,
                "{act:?} {n}"
            );
            // SIGKILL.
            run.kill().await.unwrap();
            let at = format!("{act:?} at call {n} of {calls}, with a journal: {journal}");
            assert!(world.cloudflare.rules().wait_abandoned(rule, Duration::from_secs(60)).await, "{at}");
            world.cloudflare.rules().remove(rule);
            let ran = world.run(&APPLY).await;
            assert_eq!(ran.code, 0, "{at}: {ran:#?}");
            assert_eq!((world.said(), world.marks()), (expected(), 3), "{at}: {ran:#?}");
            world.mutations();
            world.run(&APPLY).await.ends_with(0);
            assert!(world.mutations().is_empty(), "{at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_is_followed_by_one_who_finishes() {
    killed_at_each_call(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_without_a_journal_as_well() {
    killed_at_each_call(false).await;
}

/// A cron job without a volume, and a journal that was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_journal_is_made_again_from_the_marks() {
    let world = configured(true).await;
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world.run(&APPLY).await.ends_with(0);
    assert_eq!((world.said(), world.marks()), (expected(), 3), "what is not wanted any more is found, too");
    std::fs::remove_dir_all(world.path("state")).unwrap();
    world.mutations();
    world.run(&APPLY).await.ends_with(0);
    assert!(world.mutations().is_empty());
}
