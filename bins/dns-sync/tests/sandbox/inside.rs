//! Inside a cluster, as a pod finds it: the service account of the manifests in the book, on a real API server.

use crate::{clusters::Clusters, world::World};
use serde_json::json;
use std::{process::Stdio, time::Duration};

const BOOK: &str = include_str!("../../../../docs/dns.md");

/// Where a pod finds who it is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The objects of the book, each as text. Those that need images that nobody has are checked and not run, as nobody runs pods here.
fn manifests() -> Vec<String> {
    let blocks = BOOK.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(|block| block.split("---\n")).map(str::to_owned).collect()
}

/// The path of the object in `text`, which has its name and namespace on one line.
fn path(text: &str) -> String {
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        lines.next().unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
    };
    let metadata = field("metadata");
    let part = |key: &str| {
        let after = metadata.split(&format!("{key}: ")).nth(1)?;
        Some(after.split([',', '}']).next()?.to_owned())
    };
    let (version, kind, name) = (field("apiVersion"), field("kind"), part("name").unwrap());
    let group = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
    let within = part("namespace").map_or(String::new(), |namespace| format!("/namespaces/{namespace}"));
    format!("{group}{within}/{}s/{name}?fieldManager=test&force=true", kind.to_lowercase())
}

/// Whether a folder may be put over another one for one program only.
fn can_unshare() -> bool {
    let tried = std::process::Command::new("unshare")
        .args(["-rm", "sh", "-c", "mount -t tmpfs tmpfs /var/run"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_with_the_manifests_of_the_book_follows_services_and_ingresses() {
    if !can_unshare() {
        eprintln!("skipped: this machine lets nobody look like a pod (unshare -rm)");
        return;
    }
    let world = World::new().await;
    let clusters = Clusters::new("inside", &["here"], &world).await;
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: dns-sync}\n".to_owned();
    let manifests: Vec<String> = std::iter::once(namespace).chain(manifests()).collect();
    assert_eq!(manifests.len(), 8, "{manifests:#?}");
    for manifest in &manifests {
        clusters.send("PATCH", &path(manifest), "application/apply-patch+yaml", manifest).await;
    }
    let token =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}).to_string();
    let path = "/api/v1/namespaces/dns-sync/serviceaccounts/dns-sync/token";
    let token = clusters.send("POST", path, "application/json", &token).await;
    let (server, authority) = clusters.server();
    std::fs::create_dir(world.path("account")).unwrap();
    world.write("account/token", token["status"]["token"].as_str().unwrap());
    world.write("account/namespace", "dns-sync");
    std::fs::write(world.path("account/ca.crt"), authority).unwrap();

    clusters.service("here", json!({"causeway.dev/hostname": "a.example.com"})).await;
    clusters.balanced("here", Some("a.elb.us-east-2.amazonaws.com")).await;
    clusters
        .ingress(
            "here",
            json!({"causeway.dev/hostname": "b.example.com", "external-dns.alpha.kubernetes.io/ttl": "120"}),
            &["c.example.com", "*.c.example.com", "c.example.org"],
            json!({"ip": "192.0.2.7"}),
        )
        .await;
    let namespace = clusters.namespace("here");
    world.configure(&format!(
        "[lease]\nname = \"dns-sync\"\nseconds = 3\n[clusters.here]\nnamespaces = [\"{namespace}\"]\n\
         ingress_hosts = true\ningresses = {{ \"{namespace}/web\" = [\"d.example.com\"] }}\n"
    ));
    let address = server.trim_start_matches("https://");
    let (host, port) = address.rsplit_once(':').unwrap();
    let pod = |arguments: &[&str]| {
        let plain = world.command(arguments);
        let plain = plain.as_std();
        let mut pod = tokio::process::Command::new("unshare");
        let script = format!(
            "mount -t tmpfs tmpfs /var/run && mkdir -p {ACCOUNT} && cp account/* {ACCOUNT} && exec \"$0\" \"$@\""
        );
        pod.args(["-rm", "sh", "-c", &script]).arg(plain.get_program()).args(plain.get_args());
        pod.current_dir(world.folder.path()).env("CF", &world.token).kill_on_drop(true);
        pod.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port);
        pod.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        pod
    };
    let output = pod(&["apply"]).output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("`c.example.org` is passed over: clusters/here: Ingress"), "{err}");
    assert_eq!(
        world.said(),
        [
            "*.c.example.com A 192.0.2.7",
            "a.example.com CNAME a.elb.us-east-2.amazonaws.com",
            "b.example.com A 192.0.2.7",
            "c.example.com A 192.0.2.7",
            "d.example.com A 192.0.2.7",
        ]
    );
    let records = world.cloudflare.records("example.com");
    assert!(records.iter().all(|r| r.kind != "A" || r.ttl == 120), "the TTL of its annotation: {records:#?}");

    // In the Lease of its own namespace, as the Deployment does.
    let mut run = pod(&["run", "--interval", "1", "--metrics", "127.0.0.1:0"]).spawn().unwrap();
    let path = "/apis/coordination.k8s.io/v1/namespaces/dns-sync/leases";
    let mut holder = String::new();
    for _ in 0..300 {
        let leases = clusters.send("GET", path, "application/json", "").await;
        holder = leases["items"][0]["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        if !holder.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(holder.contains("process"), "{holder}");
    run.kill().await.unwrap();

    // Without the right to list, nothing is changed.
    world.mutations();
    let binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/dns-sync";
    clusters.send("DELETE", binding, "application/json", "").await;
    let mut tries = 0;
    loop {
        let output = pod(&["apply"]).output().await.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        if output.status.code() == Some(69) {
            assert!(err.contains("clusters/here did not answer") && err.contains("forbidden"), "{err}");
            break;
        }
        // The API server learns of it a moment later.
        tries += 1;
        assert!(tries < 50, "{err}");
    }
    assert!(world.mutations().is_empty() && world.said().len() == 5);
}
