//! A distribution against good practice.

use crate::{site::Lacks, world::World};
use serde_json::Value as Json;

/// What is not good, and how bad it is.
fn bad(document: &Json) -> Vec<(String, String)> {
    let points = document["points"].as_array().unwrap().iter().filter(|point| point["state"] != "good");
    let text = |point: &Json, key: &str| point[key].as_str().unwrap().to_owned();
    points
        .map(|point| {
            assert!(text(point, "mend").contains("[docs"), "{point}");
            (text(point, "what"), text(point, "state"))
        })
        .collect()
}

fn of(bad: &[(String, String)], state: &str) -> Vec<String> {
    bad.iter().filter(|(_, s)| s == state).map(|(what, _)| what.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_not_good_is_told_with_what_mends_it() {
    let world = World::new(70).await;
    let seen = bad(&world.run(&["audit", "--json"]).await.ends_with(100).result());
    assert_eq!(of(&seen, "wrong"), ["security headers", "public access"], "{seen:?}");
    assert_eq!(of(&seen, "could be better"), ["TLS", "HTTP version", "logs", "versions"], "{seen:?}");
    assert!(
        !world.changes().keys().any(|call| call.starts_with("s3:Put") && !call.contains("Policy")),
        "nothing is changed"
    );

    let world = World::with(71, Lacks::Functions).await;
    let seen = bad(&world.run(&["audit", "--json"]).await.ends_with(100).result());
    let wrong = of(&seen, "wrong");
    assert!(wrong.contains(&"function for requests".to_owned()), "{wrong:?}");
    assert!(wrong.contains(&"function for responses".to_owned()), "{wrong:?}");

    let world = World::with(72, Lacks::Privacy).await;
    let said = world.run(&["audit"]).await.ends_with(100);
    said.says("origin: docs-72.s3-website-us-east-1.amazonaws.com").says("`origin = \"website\"`");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_another_version_are_told() {
    let world = World::with(73, Lacks::Store).await;
    let seen = bad(&world.run(&["audit", "--json"]).await.ends_with(100).result());
    let wrong = of(&seen, "wrong");
    assert!(wrong.contains(&"function for requests".to_owned()), "{wrong:?}");
    assert!(!wrong.contains(&"function for responses".to_owned()), "{wrong:?}");
}
