//! Whether the edge serves what was published, and what is told where it does not.

use crate::world::World;
use serde_json::{Value as Json, json};

fn wrong(document: &Json) -> Vec<String> {
    let wrong = document["wrong"].as_array().unwrap().iter();
    wrong.map(|one| format!("{} {}", one["url"].as_str().unwrap(), one["why"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_needs_the_address_and_nothing_else() {
    let world = World::new(60).await;
    world.write_site("one");
    world.write("_headers", "/guide/\n  X-One: 1\n");
    world.write("_redirects", "/old /guide/ 301\n/logo.svg /style.css 302\n");
    let done = world.publish().await;
    let seen = &done["verified"];
    assert_eq!((&seen["release"], &seen["wrong"]), (&done["release"], &json!([])), "{seen:#}");
    // All files but the one that is hidden, three redirects, and what there is not.
    assert_eq!(seen["asked"], json!(9), "{seen:#}");

    let url = format!("https://{}", world.site.domain);
    let verify = ["verify", &url, "--sample", "--json"];
    world.calls();
    let right = world.run(&verify).await.ends_with(0).result();
    assert_eq!((&right["asked"], &right["wrong"]), (&json!(9), &json!([])));
    assert!(world.calls().is_empty(), "nobody of AWS is asked");

    // Somebody writes to the bucket past us. What the edge has kept is right; so it is a file that it has not yet.
    let id = done["release"].as_str().unwrap();
    world.write("more.txt", "more");
    let next = world.run(&["publish", "site", "--no-verify", "--json"]).await.ends_with(0).result();
    let id2 = next["release"].as_str().unwrap();
    assert_ne!(id, id2);
    let put = world.s3().put_object().bucket(&world.site.bucket).key(format!("releases/{id2}/more.txt"));
    put.body(b"less".to_vec().into()).content_type("text/plain; charset=utf-8").send().await.unwrap();
    world.remove_object(&format!("releases/{id2}/style.css")).await;
    let seen = world.run(&verify).await.ends_with(100).result();
    let cache = "public, max-age=0, s-maxage=31536000, must-revalidate";
    let expected = [
        format!("/more.txt has `cache-control: ` instead of `{cache}`"),
        "/style.css answers 404 instead of 200".into(),
    ];
    assert_eq!(wrong(&seen), expected);
    // Going back is seen to be right again.
    let back = world.run(&["rollback", "--json"]).await.ends_with(0).result();
    assert_eq!(back["verified"]["wrong"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_does_not_answer_or_publishes_no_manifest_is_told() {
    let world = World::new(61).await;
    let url = format!("https://{}", world.site.domain);
    world.run(&["verify", &url]).await.ends_with(69).says("503");
    let output = world
        .command(&["verify", &url])
        .env("CAUSEWAY_EDGE_URL", "http://127.0.0.1:1")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
}
