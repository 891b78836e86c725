//! Planned moves by the program, on a real BIND, where a TTL can be so short that a test can wait for it.

use crate::world::{World, ZONE};
use causeway_sandbox::bind::{Bind, SECRET, WRITER};
use serde_json::json;

/// A zone with two names of ours that lead to `192.0.2.1`, and a third. None where there is no BIND.
async fn world() -> Option<(World, Bind)> {
    let file = "$TTL 600\n@ IN SOA ns1 admin 1 3600 600 86400 60\n@ IN NS ns1\nns1 IN A 127.0.0.1\n";
    let bind = Bind::start(ZONE, file).await.unwrap()?;
    let mut world = World::new().await;
    world.env = vec![("TSIG".into(), SECRET.into())];
    let zone = format!(
        "provider = \"rfc2136\"\nserver = \"{0}\"\nkey = {{ name = \"{WRITER}\", secret = \"env:TSIG\" }}\n",
        bind.address()
    );
    let records: String = ["a", "*.a", "b"]
        .iter()
        .map(|n| format!("[[records]]\nname = \"{n}.example.com\"\nvalues = [\"192.0.2.1\"]\nttl = 4\n"))
        .collect();
    world.configure_at(&zone, &format!("[verify]\nservers = [\"{}\"]\n{records}", bind.address()));
    world.run(&["apply"]).await.ends_with(0);
    Some((world, bind))
}

/// `name value ttl` of what leads somewhere.
async fn leads(world: &World) -> Vec<String> {
    let records = world.run(&["export", "--json"]).await.ends_with(0).json();
    let line = |r: &serde_json::Value| {
        format!("{} {} {}", r["name"].as_str().unwrap(), r["values"][0].as_str().unwrap(), r["ttl"])
    };
    records["result"]["records"].as_array().unwrap().iter().map(line).collect()
}

const MOVE: [&str; 7] = ["move", "a.example.com", "*.a.example.com", "--to", "192.0.2.7", "--ttl", "1"];

#[tokio::test(flavor = "multi_thread")]
async fn a_name_moves_with_its_ttl_lowered_before() {
    let Some((world, _bind)) = world().await else { return };
    let ran = world.run(&[&MOVE[..], &["--json"]].concat()).await.ends_with(0).json();
    let done: Vec<&str> =
        ran["result"]["done"].as_array().unwrap().iter().filter_map(|d| d.as_str()).collect();
    let of = |name: &str| done.iter().filter(|line| line.contains(&format!("`{name}`"))).count();
    assert_eq!((of("a.example.com"), of("*.a.example.com"), of("b.example.com")), (4, 4, 0), "{done:#?}");
    assert_eq!(ran["result"]["left"], json!([]));
    let moved = ["*.a.example.com 192.0.2.7 4", "a.example.com 192.0.2.7 4", "b.example.com 192.0.2.1 4"];
    assert_eq!(leads(&world).await, moved);
    world.run(&["verify"]).await.ends_with(0);
    let ran = world.run(&["move"]).await.ends_with(0);
    assert!(ran.out.contains("nothing moves"), "{ran:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_waits_can_be_left_and_gone_on_with_and_ended() {
    let Some((world, _bind)) = world().await else { return };
    let ran = world.run(&[&MOVE[..], &["--no-wait", "--json"]].concat()).await.ends_with(69).json();
    let left = ran["result"]["left"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["stage"]), (2, &json!("waiting")), "{ran:#}");
    let low = ["*.a.example.com 192.0.2.1 1", "a.example.com 192.0.2.1 1", "b.example.com 192.0.2.1 4"];
    assert_eq!(leads(&world).await, low);
    // An apply passes over it, and says so unless it is to be quiet.
    let ran = world.run(&["apply"]).await.ends_with(0);
    assert!(ran.err.contains("`a.example.com` is passed over: it is on its way to 192.0.2.7"), "{ran:#?}");
    let ran = world.run(&["apply", "--quiet"]).await.ends_with(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    assert_eq!(leads(&world).await, low);
    world.run(&["move", "a.example.com", "--to", "192.0.2.8"]).await.ends_with(101);
    // One is ended, the other goes on.
    world.run(&["move", "*.a.example.com", "--cancel"]).await.ends_with(0);
    world.run(&["move"]).await.ends_with(0);
    let now = ["*.a.example.com 192.0.2.1 4", "a.example.com 192.0.2.7 4", "b.example.com 192.0.2.1 4"];
    assert_eq!(leads(&world).await, now);

    for (arguments, code, says) in [
        (&["move", "c.example.com", "--to", "192.0.2.7"][..], 64, "no record of ours"),
        (&["move", "--to", "192.0.2.7"], 64, "NAME"),
        (&["move", "b.example.com"], 101, "--to TARGET"),
        (&["move", "b..example.com", "--to", "192.0.2.7"], 64, "a label is empty"),
    ] {
        let ran = world.run(arguments).await.ends_with(code);
        assert!(ran.err.contains(says), "`{says}` is not in {ran:#?}");
    }
}
