//! Records follow load balancers.

use crate::{clusters::Clusters, world::World};
use serde_json::json;

pub(crate) const SIX: [(&str, &str, &str); 3] = [
    ("ohio", "ai.example.com", "a.elb.us-east-2.amazonaws.com"),
    ("oregon", "oregon-proxy.ai.example.com", "b.elb.us-west-2.amazonaws.com"),
    ("emea", "emea-proxy.ai.example.com", "c.elb.eu-west-2.amazonaws.com"),
];

pub(crate) fn six(ohio: &str, oregon: &str, emea: &str) -> Vec<String> {
    let mut said = vec![];
    for ((_, name, _), target) in SIX.iter().zip([ohio, oregon, emea]) {
        said.extend(["", "*."].map(|star| format!("{star}{name} CNAME {target}")));
    }
    said.sort();
    said
}

pub(crate) fn first() -> Vec<String> {
    six(SIX[0].2, SIX[1].2, SIX[2].2)
}

/// Ohio and Oregon by the configuration, Emea by its annotation.
pub(crate) async fn three(test: &'static str, world: &World) -> Clusters {
    let clusters = Clusters::new(test, &["ohio", "oregon", "emea"], world).await;
    for (cluster, name, target) in SIX {
        let annotations = match cluster {
            "emea" => json!({"causeway.dev/hostname": format!("{name},*.{name}")}),
            _ => json!({}),
        };
        clusters.service(cluster, annotations).await;
        clusters.balanced(cluster, Some(target)).await;
    }
    clusters
}

pub(crate) fn tables(clusters: &Clusters) -> String {
    let mut text = String::new();
    for (cluster, name, _) in SIX {
        text.push_str(&clusters.table(cluster));
        if cluster != "emea" {
            let service = format!("{}/coder", clusters.namespace(cluster));
            text.push_str(&format!(
                "[clusters.{cluster}.services]\n\"{service}\" = [\"{name}\", \"*.{name}\"]\n"
            ));
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn three_clusters_are_six_records_and_stay_so() {
    let world = World::new().await;
    let clusters = three("six", &world).await;
    world.configure(&tables(&clusters));

    let plan = world.run(&["plan", "--detailed-exitcode", "--json"]).await.ends_with(2).json();
    assert_eq!(plan["result"]["plan"]["steps"].as_array().unwrap().len(), 6);
    assert!(world.mutations().is_empty() && world.said().is_empty(), "a plan changes nothing");

    let digest = plan["result"]["digest"].as_str().unwrap();
    world.run(&["apply", "--digest", digest]).await.ends_with(0);
    assert_eq!((world.said(), world.marks()), (first(), 6));
    let records = world.cloudflare.records("example.com");
    assert!(records.iter().all(|r| !r.proxied), "nobody asked for a proxy");
    assert_eq!(world.mutations().len(), 1, "all go out in one call");

    // What did not change is read once: nobody waits for a second read.
    let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
    world.write("dns-sync.toml", &text.replace("pause = 0", "pause = 600"));
    let again = world.run(&["apply", "--quiet", "--time-limit", "120"]).await.ends_with(0);
    assert_eq!((again.out.as_str(), again.err.as_str()), ("", ""), "silent where nothing changed");
    assert!(world.mutations().is_empty(), "a second run changes nothing");
    world.run(&["plan", "--detailed-exitcode"]).await.ends_with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_that_is_replaced_takes_its_two_names_along_and_no_others() {
    let world = World::new().await;
    let clusters = three("replaced", &world).await;
    world.configure(&tables(&clusters));
    world.run(&["apply"]).await.ends_with(0);
    let before = world.cloudflare.records("example.com");
    world.mutations();

    // None at all for a while: nothing is known, so nothing is done.
    clusters.balanced("oregon", None).await;
    let ran = world.run(&["apply"]).await.ends_with(69);
    assert!(ran.err.contains("has no load balancer yet"), "{ran:#?}");
    assert!(world.mutations().is_empty());

    clusters.balanced("oregon", Some("d.elb.us-west-2.amazonaws.com")).await;
    let applied = world.run(&["apply", "--json"]).await.ends_with(0).json();
    let done = applied["result"]["done"].as_array().unwrap();
    assert!(done.len() == 2 && done.iter().all(|d| d["action"] == "update"), "{done:#?}");
    assert_eq!(world.said(), six(SIX[0].2, "d.elb.us-west-2.amazonaws.com", SIX[2].2));
    assert_eq!(world.mutations().len(), 1);
    let after = world.cloudflare.records("example.com");
    let moved =
        |r: &&causeway_sandbox::cloudflare::Record| r.name.contains("oregon-proxy") && r.kind == "CNAME";
    let others = |all: &[causeway_sandbox::cloudflare::Record]| {
        let others: Vec<_> = all.iter().filter(|r| !moved(r)).map(|r| format!("{r:?}")).collect();
        others
    };
    assert_eq!(others(&before), others(&after), "all others are as they were, to the byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_is_gone_keeps_its_names_until_it_is_back() {
    for journal in [true, false] {
        let world = World::new().await;
        let clusters = three(if journal { "gone" } else { "gone-alone" }, &world).await;
        match journal {
            true => world.configure(&tables(&clusters)),
            false => world.configure_without_journal(&tables(&clusters)),
        }
        world.run(&["apply"]).await.ends_with(0);
        world.mutations();

        // Emea has its names by annotation, so that only the marks know which they are.
        for cluster in ["emea", "oregon"] {
            clusters.cut(cluster, &world);
            // With a permit, so that no guard stands in for what is tried here.
            let name = format!("{cluster}-proxy.ai.example.com");
            let permits = ["--permit", &name, "--permit", &format!("*.{name}")];
            let ran = world.run(&[&["apply"], &permits[..]].concat()).await.ends_with(69);
            assert!(ran.err.contains(&format!("clusters/{cluster} did not answer")), "{ran:#?}");
            assert!(world.mutations().is_empty() && world.said() == first(), "{ran:#?}");
        }
        // The others go on.
        clusters.balanced("ohio", Some("e.elb.us-east-2.amazonaws.com")).await;
        world.run(&["apply"]).await.ends_with(69);
        assert_eq!(world.said(), six("e.elb.us-east-2.amazonaws.com", SIX[1].2, SIX[2].2));

        // Back, and the Service is really gone: the last record of a name needs a permit.
        for cluster in ["emea", "oregon"] {
            clusters.heal(cluster, &world);
        }
        clusters.remove("emea").await;
        world.mutations();
        let ran = world.run(&["apply"]).await.ends_with(100);
        assert!(ran.err.contains("--permit emea-proxy.ai.example.com"), "{ran:#?}");
        assert!(world.mutations().is_empty());
        let permits = ["--permit", "emea-proxy.ai.example.com", "--permit", "*.emea-proxy.ai.example.com"];
        let ran = world.run(&[&["apply"], &permits[..]].concat()).await.ends_with(0);
        assert_eq!(world.said().len(), 4, "{ran:#?}");
        assert_eq!(world.marks(), 4);
    }
}

/// Several reads have to agree; while they do not, nothing of that name is changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_flaps_is_not_followed() {
    let world = World::new().await;
    let clusters = three("flaps", &world).await;
    world.configure(&tables(&clusters).replace("pause = 0", "pause = 3"));
    world.run(&["apply"]).await.ends_with(0);
    let text = std::fs::read_to_string(world.path("dns-sync.toml")).unwrap();
    world.write("dns-sync.toml", &text.replace("pause = 0", "pause = 8"));
    world.mutations();
    clusters.balanced("ohio", Some("f.elb.us-east-2.amazonaws.com")).await;
    let mut run = world.spawn(&["apply"]);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    clusters.balanced("ohio", Some("g.elb.us-east-2.amazonaws.com")).await;
    assert_eq!(run.wait().await.unwrap().code(), Some(69));
    assert!(world.mutations().is_empty() && world.said() == first());
}
