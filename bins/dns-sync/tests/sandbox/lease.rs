//! Two beside each other, of which one works: a Lease on a real API server.

use crate::{clusters::Clusters, world::World};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use std::{path::Path, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Child,
};

/// One that runs, and where it tells its numbers.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    async fn start(world: &World, host: &str) -> Running {
        let arguments = ["run", "--interval", "1", "--metrics", "127.0.0.1:0"];
        let mut child = world.command(&arguments).env("HOSTNAME", host).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        let address = first.split("http://").nth(1).unwrap().trim_end_matches("/metrics").to_owned();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Running { child, address }
    }

    async fn numbers(&self) -> String {
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn until(&self, what: &str) {
        for _ in 0..600 {
            if self.numbers().await.contains(what) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("`{what}` does not come: {}", self.numbers().await);
    }

    async fn has_run(&self) -> bool {
        self.numbers().await.contains("dns_sync_runs_total{")
    }

    async fn end(mut self) -> Option<i32> {
        let pid = self.child.id().unwrap().to_string();
        tokio::process::Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        self.child.wait().await.unwrap().code()
    }
}

fn records(value: &str) -> String {
    format!("[[records]]\nname = \"a.example.com\"\nvalues = [\"{value}\"]\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_one_works_and_the_other_goes_on_when_it_is_gone() {
    let world = World::new().await;
    let clusters = Clusters::new("lease", &["ohio"], &world).await;
    let table = clusters.table("ohio");
    let lease = format!(
        "[lease]\nname = \"dns-sync\"\nnamespace = \"{}\"\ncluster = \"ohio\"\nseconds = 6\n",
        clusters.namespace("ohio")
    );
    let configure = |value: &str| {
        // A journal of each, as pods have none in common.
        world.configure_without_journal(&format!("{table}{lease}{}", records(value)));
    };
    configure("192.0.2.1");
    let leases: Api<Lease> = Api::namespaced(clusters.client.clone(), &clusters.namespace("ohio"));
    let holder = async || {
        let spec = leases.get("dns-sync").await.unwrap().spec.unwrap();
        (spec.holder_identity.unwrap(), spec.lease_transitions.unwrap_or_default())
    };

    let mut first = Running::start(&world, "one").await;
    first.until("dns_sync_changes_total{action=\"create\"} 1").await;
    let second = Running::start(&world, "two").await;
    second.until("dns_sync_leads 0").await;
    assert!(holder().await.0.contains("@one"), "{:?}", holder().await);
    // Longer than the Lease holds: it is renewed.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert!(holder().await.0.contains("@one") && !second.has_run().await);
    configure("192.0.2.2");
    first.until("dns_sync_changes_total{action=\"update\"} 1").await;
    assert!(!second.has_run().await, "{}", second.numbers().await);

    // SIGKILL: the Lease runs out.
    first.child.kill().await.unwrap();
    configure("192.0.2.3");
    second.until("dns_sync_changes_total{action=\"update\"} 1").await;
    let (who, transitions) = holder().await;
    assert!(who.contains("@two") && transitions == 1, "{who} {transitions}");
    assert_eq!(world.said(), ["a.example.com A 192.0.2.3"]);

    // Somebody takes it away: it is not worked with any more, until it is given back.
    let taken = serde_json::json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}});
    let patch = kube::api::Patch::Merge(&taken);
    leases.patch("dns-sync", &Default::default(), &patch).await.unwrap();
    second.until("dns_sync_leads 0").await;
    let taken = serde_json::json!({"spec": {"holderIdentity": ""}});
    let patch = kube::api::Patch::Merge(&taken);
    leases.patch("dns-sync", &Default::default(), &patch).await.unwrap();
    second.until("dns_sync_leads 1").await;

    // Told to end, it gives the Lease back, and nobody waits.
    assert_eq!(second.end().await, Some(0));
    assert_eq!(holder().await.0, "");
    let third = Running::start(&world, "three").await;
    third.until("dns_sync_leads 1").await;

    // An API server that is away: nobody knows whose turn it is, so nothing is done.
    clusters.cut("ohio", &world);
    assert!(Path::new(&world.path("ohio.kubeconfig")).exists());
    let fourth = Running::start(&world, "four").await;
    fourth.until("dns_sync_leads 0").await;
    assert!(!fourth.has_run().await);
    assert_eq!((third.end().await, fourth.end().await), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_lease_is_told() {
    let world = World::new().await;
    for (lease, says) in [
        ("name = \"DNS sync\"", "no name of a Lease"),
        ("name = \"x\"\ncluster = \"ohio\"", "there is no cluster `ohio`"),
        ("name = \"x\"\nseconds = 1", "`seconds` has to be between 3 and 3600"),
        // Not in a cluster.
        ("name = \"x\"", "finding the cluster around us failed"),
    ] {
        world.configure(&format!("[lease]\n{lease}\n{}", records("192.0.2.1")));
        let ran = world.run(&["run"]).await.ends_with(64);
        assert!(ran.err.contains(says), "`{says}` is not in {ran:#?}");
    }
    // Whoever applies once has its own turn.
    world.run(&["apply"]).await.ends_with(0);
}
