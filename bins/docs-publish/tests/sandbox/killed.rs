//! A publish that is killed at any of its calls: visitors see the old release or the new one, whole, and the next run finishes.
//! `CAUSEWAY_CASES=all` has it killed at all of them, before and after each, and says how many those are; by default it is at some.

use crate::world::World;
use causeway_sandbox::gateway::{Act, Rule};
use std::time::Duration;

/// What a visitor sees of a release: its pages, what they need, where old addresses lead, and what there is not.
async fn sight(world: &World) -> Result<String, String> {
    let mut versions = vec![];
    let accepted = [("accept-encoding", "br")];
    for (path, headers) in
        ["/", "/guide/", "/style.css"].map(|path| [(path, &accepted[..]), (path, &[])]).concat()
    {
        let seen = world.visit_with(path, headers).await;
        let version = ["one", "two"].into_iter().find(|version| seen.body.contains(version));
        versions.push(version.filter(|_| seen.status == 200).ok_or(format!("{path}: {seen:?}"))?);
    }
    // Pages that were open before.
    for script in ["one"].into_iter().chain(versions.clone()) {
        for headers in [&accepted[..], &[]] {
            let seen = world.visit_with(&format!("/_next/static/{script}.js"), headers).await;
            if seen.status != 200 || !seen.body.contains(script) {
                return Err(format!("{script}.js: {seen:?}"));
            }
        }
    }
    let old = world.visit("/old").await;
    let to = old.headers.get("location").cloned().unwrap_or_default();
    versions.push(if to == "/one/" { "one" } else { "two" });
    versions.dedup();
    match versions.as_slice() {
        [version] => Ok((*version).to_owned()),
        mixture => Err(format!("a mixture: {mixture:?}")),
    }
}

fn write(world: &World, version: &str) {
    let _ = std::fs::remove_dir_all(world.path(""));
    world.write_site(version);
    world.write("_redirects", format!("/old /{version}/\n"));
}

/// Kills a publish with `arguments` at every `step`th moment.
async fn killed(world: &World, arguments: &[&str], step: u64) {
    let step = if std::env::var("CAUSEWAY_CASES").is_ok_and(|cases| cases == "all") { 1 } else { step };
    let publish = [&["publish", "site"], arguments].concat();
    let slow = [&publish[..], &["--jobs", "1"]].concat();
    write(world, "one");
    world.publish().await;
    write(world, "two");
    world.calls();
    world.run(&publish).await.ends_with(0);
    let calls = world.calls().iter().filter(|call| call.mutates).count() as u64;
    assert!(calls >= 10, "{calls}");
    let (mut moment, mut seen) = (0, 0);
    for n in 1..=calls {
        for act in [Act::HoldBefore, Act::HoldAfter] {
            moment += 1;
            if moment % step != 0 {
                continue;
            }
            seen += 1;
            let at = format!("{act:?} at change {n} of {calls}");
            // Back to the first, and as if the second had never been.
            write(world, "one");
            world.publish().await;
            world.run(&["gc", "--keep", "1", "--days", "0"]).await.ends_with(0);
            for key in world.objects().await {
                if key.contains("two.js") {
                    world.remove_object(&key).await;
                }
            }
            assert_eq!(sight(world).await.as_deref(), Ok("one"), "{at}");
            write(world, "two");
            // Something of its own, so that its release is another each time.
            world.write("n.txt", format!("{act:?} {n}"));
            let rule = Rule::new("*", act).access_key(&world.key).changes().nth(n);
            let rule = world.sandbox.gateway().rules().add(rule);
            let mut run = world.spawn(&slow);
            assert!(
                world.sandbox.gateway().rules().wait_held(rule, 1, Duration::from_secs(120)).await,
                "{at}"
            );
            // SIGKILL.
            run.kill().await.unwrap();
            assert!(
                world.sandbox.gateway().rules().wait_abandoned(rule, Duration::from_secs(60)).await,
                "{at}"
            );
            world.sandbox.gateway().rules().remove(rule);
            let sight_now = sight(world).await;
            assert!(sight_now.is_ok(), "{at}: {sight_now:?}");
            let ran = world.run(&publish).await;
            assert_eq!(ran.code, 0, "{at}: {ran:#?}");
            assert_eq!(sight(world).await.as_deref(), Ok("two"), "{at}");
            assert!(world.visit("/nowhere/").await.body.contains("nothing two"), "{at}");
            world.calls();
            world.run(&publish).await.ends_with(0);
            assert!(world.changes().is_empty(), "{at}");
        }
    }
    println!("killed at {seen} of {moment} moments: {calls} changes, before and after each");
}

// Primes apart, so that both acts and all phases are among them.

#[tokio::test(flavor = "multi_thread")]
async fn visitors_see_one_release_whole_whenever_a_publish_is_killed() {
    killed(&World::new(20).await, &[], 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_they_do_where_it_compresses() {
    killed(&World::new(21).await, &["--precompress", "br,gzip"], 17).await;
}
