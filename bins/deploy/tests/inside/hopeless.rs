//! What cannot come up inside a cluster: told with its real reason, with exit code 100, and the rest of the plan is done.
//!
//! The same cluster has its names in Route 53, as boto3 tells them.

use crate::{OBJECTS, destroyed, kubernetes, list_of, text, vendored, world::World};
use causeway_sandbox::shared;
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const EXAMPLE: &str = include_str!("../../../../examples/single-region.toml");
const NUMBER: u64 = 7204;
const REGION: &str = "us-east-2";
const ALERTS: &str = "[eks.coder.alerts]\nlabels = { release = \"prometheus\" }\n";
/// Rollouts may take a quarter of an hour; what has no hope ends long before.
const SOON: Duration = Duration::from_secs(240);

/// The word in the version of an image by which the sandbox plays what is wrong with it.
fn lock(coder: &str, logstream: &str) -> String {
    format!(
        "format = 1\n[images.coder]\nversion = \"{coder}\"\nimage = \"ghcr.io/coder/coder\"\n\
         [images.logstream]\nversion = \"{logstream}\"\nimage = \"ghcr.io/coder/coder-logstream-kube\"\n"
    )
}

/// An apply that does not finish, and soon.
fn fails(world: &World) -> String {
    let begun = Instant::now();
    let told = world.deploy(&["apply", "--yes"]).exits(100);
    assert!(begun.elapsed() < SOON, "after {:?}: {told}", begun.elapsed());
    told
}

/// The names of this deployment, in a zone that is there before it.
const DNS: &str = "[eks.coder.dns]\nprovider = \"route53\"\nzone = \"example.com\"\nttl = 60\n\n";
const ZONE: &str = "boto3.client('route53').create_hosted_zone(Name='example.com', CallerReference='names')";
const NAMES: &str = r#"
import json
dns, balancers = boto3.client("route53"), boto3.client("elbv2", region_name="us-east-2")
zone = dns.list_hosted_zones()["HostedZones"][0]["Id"]
records = dns.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
print(json.dumps({
    "records": [[r["Name"].replace("\052", "*"), r["Type"], r["TTL"], [v["Value"] for v in r["ResourceRecords"]]]
                for r in records if r["Type"] not in ("NS", "SOA")],
    "balancers": [b["DNSName"] for b in balancers.describe_load_balancers()["LoadBalancers"]],
}))
"#;

/// Both names lead to the one load balancer, each with the mark of its owner; and nothing was called that a policy of
/// `deploy iam-policy` would not allow.
fn names_lead_there(world: &World) {
    let called: BTreeSet<String> = world.calls().iter().map(|call| call.name()).collect();
    let seen: Json = serde_json::from_str(&world.boto3(NAMES)).unwrap();
    let mut expected: Vec<Json> = vec![];
    for (name, mark) in [("coder", "cname-coder"), ("*.coder", "cname-any.coder")] {
        expected.push(json!([format!("{name}.example.com."), "CNAME", 60, seen["balancers"]]));
        let marks = seen["records"].as_array().unwrap().iter();
        let mark = marks.filter(|one| one[0] == format!("{mark}.example.com.") && one[1] == "TXT");
        let mark: Vec<&Json> = mark.collect();
        assert!(mark.len() == 1 && mark[0].to_string().contains("external-dns/owner=coder,"), "{seen:#}");
    }
    let records = seen["records"].as_array().unwrap();
    assert_eq!(records.len(), 4, "{seen:#}");
    assert!(expected.iter().all(|one| records.contains(one)), "{expected:?} {seen:#}");
    let policy = world.stdout(&["iam-policy"]);
    // The zone is people's.
    let called =
        called.iter().filter(|name| name.starts_with("route53:") && !name.ends_with(":CreateHostedZone"));
    let called: Vec<&String> = called.collect();
    assert!(called.len() >= 4, "{called:?}");
    assert!(called.iter().all(|name| policy.contains(name.as_str())), "{called:?} {policy}");
}

/// The lines that are about an address.
fn about(told: &str, address: &str) -> String {
    told.lines().filter(|line| line.contains(address)).collect::<Vec<_>>().join("\n")
}

/// The definition of rules.
fn found(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.to_string_lossy().contains("prometheusrules") {
                return entry;
            }
        }
    }
    panic!("no definition of rules")
}

/// Those of the organization, and those of its set, each with an account and a key of its own, and time to finish a build.
fn provisioners(objects: &[Json]) {
    let named = |kind: &str, name: &str| {
        let is = |one: &&Json| one["kind"] == kind && text(one, "/metadata/name") == name;
        objects.iter().find(is).unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    for (name, account, secret, replicas) in [
        ("coder-provisioner", "coder", "provisioner-key", 2),
        ("coder-provisioner-gpu", "coder-gpu", "provisioner-key-gpu", 1),
    ] {
        let set = named("StatefulSet", name);
        assert_eq!(set["status"]["readyReplicas"], replicas, "{set:#}");
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], 600);
        assert_eq!(pod["serviceAccountName"], account);
        assert!(pod["containers"][0]["env"].to_string().contains(&format!("\"name\":\"{secret}\"")), "{pod}");
        named("Secret", secret);
        let role = &named("ServiceAccount", account)["metadata"]["annotations"]["eks.amazonaws.com/role-arn"];
        assert_eq!(
            role.as_str().unwrap(),
            format!("arn:aws:iam::{NUMBER:012}:role/coder-{REGION}-provisioner")
        );
    }
    let is_deployment =
        |one: &&Json| one["kind"] == "Deployment" && text(one, "/metadata/name").starts_with("coder-prov");
    assert!(!objects.iter().any(|one| is_deployment(&one)));
}

/// A webhook that refuses, a server of its own that the API server asks.
struct Guard(Child);

impl Guard {
    /// On guard when it returns.
    fn begin(cluster: &Path) -> Guard {
        let mut python = Command::new(&shared().unwrap().installed().python);
        let guard = python.args(["-c", OBJECTS, "guard"]).arg(cluster);
        let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "on guard\n");
        Guard(guard)
    }

    /// Nobody is refused any more when it returns.
    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn what_cannot_come_up_is_told_and_the_rest_is_done() {
    let world = World::with(NUMBER, EXAMPLE);
    world.edit("[eks.coder]\n", "[eks.coder]\nvendored = \"vendor\"\n");
    vendored(&world);
    world.boto3(ZONE);
    world.edit("[eks.coder.certificates]\n", &format!("{DNS}[eks.coder.certificates]\n"));
    world.edit(
        "[eks.coder.certificates]\n",
        "[eks.coder.organizations.coder]\nprovisioner_key = \"aws-secret:nobodys\"\n\n[eks.coder.certificates]\n",
    );
    world.write("causeway.lock", &lock("missing", "crash"));
    let told = fails(&world);
    let server = about(&told, &format!("{REGION}/coder/deployment"));
    assert!(server.contains("ghcr.io/coder/coder:missing") && server.contains("not found"), "{told}");
    let logs = about(&told, &format!("{REGION}/coder-ws/logs/deployment"));
    assert!(logs.contains("exit") || logs.contains("CrashLoopBackOff"), "{told}");
    let key = about(&told, &format!("{REGION}/coder-ws/provisioners/secret-provisioner-key"));
    assert!(key.contains("nobodys"), "{told}");
    assert!(!told.contains("objects  whether"), "there was no cluster to be asked: {told}");
    // What does not need them is there.
    let cluster = {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let cluster = shared().unwrap().cluster(&format!("{NUMBER:012}"), REGION, "coder").unwrap();
        runtime.block_on(cluster.kubeconfig()).unwrap().to_owned()
    };
    let ready = || {
        let objects = list_of(std::slice::from_ref(&cluster)).remove(0);
        let done = |one: &&Json| {
            one["kind"] == "Deployment" && one["status"]["readyReplicas"] == one["spec"]["replicas"]
        };
        objects.iter().filter(done).map(|one| text(one, "/metadata/name").to_owned()).collect::<Vec<_>>()
    };
    let now = ready();
    for name in ["cert-manager", "cert-manager-webhook", "aws-load-balancer-controller", "karpenter"] {
        assert!(now.iter().any(|one| one == name), "{name} of {now:?}: {told}");
    }

    let dry_runs = || -> usize {
        let counted = kubernetes("dry", std::slice::from_ref(&cluster));
        String::from_utf8(counted).unwrap().trim().parse().unwrap()
    };
    assert_eq!(dry_runs(), 0, "before there was a cluster");

    // A webhook lets no pod of Coder in, and no key; all else is mended, and comes up.
    let guard = Guard::begin(&cluster);
    world.edit("aws-secret:nobodys", "file:token");
    world.write("token", "token");
    world.write("causeway.lock", &lock("v2.28.3", "v0.0.11"));
    let told = fails(&world);
    let denied = "admission webhook \"guard.causeway.example\" denied the request: ";
    let server = about(&told, &format!("{REGION}/coder/deployment"));
    assert!(server.contains(&format!("{denied}no pod of Coder, says the guard")), "{told}");
    let key = about(&told, &format!("{REGION}/coder-ws/provisioners/secret-provisioner-key"));
    assert!(key.contains(&format!("{denied}nobody brings a key, says the guard")), "{told}");
    assert!(ready().iter().any(|one| one == "coder-logstream-kube"), "{told}");
    guard.end();

    world.edit(
        "provisioner_key = \"file:token\"\n",
        "provisioner_key = \"file:token\"\nprovisioners = 2\nkind = \"stateful-set\"\n\n\
         [eks.coder.organizations.coder.sets.gpu]\nkey = \"file:token\"\ncount = 1\n",
    );
    world.edit("[eks.coder.certificates]\n", &format!("{ALERTS}\n[eks.coder.certificates]\n"));
    // Nobody has brought what rules are: the API server says so before anything is changed.
    world.forget_calls();
    let before = dry_runs();
    for command in [&["preflight"][..], &["apply", "--yes"]] {
        let told = world.deploy(command).exits(101);
        let rules = about(&told, "it knows no prometheusrules.monitoring.coreos.com");
        assert!(rules.starts_with("! objects"), "{command:?}: {told}");
        assert_eq!(told.matches("! objects").count(), 1, "{command:?}: {told}");
        assert!(told.contains("[eks.coder.alerts]"), "{command:?}: {told}");
    }
    assert!(dry_runs() > before, "the others were asked");
    assert_eq!(world.mutations().iter().map(|call| call.name()).collect::<Vec<_>>(), Vec::<String>::new());
    let upstream = "vendor/definitions/raw.githubusercontent.com/prometheus-operator";
    let definition = found(&world.folder().join(upstream));
    kubernetes("operator", &[definition, cluster.clone()]);
    world.deploy(&["apply", "--yes"]).succeeds();
    let asked = dry_runs();
    world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    names_lead_there(&world);
    assert!(!world.deploy(&["preflight"]).text().contains("objects  whether"), "nothing changes");
    assert_eq!(dry_runs(), asked, "a clean plan asks nothing");
    let objects = list_of(std::slice::from_ref(&cluster)).remove(0);
    provisioners(&objects);
    let rules = objects.iter().find(|one| one["kind"] == "PrometheusRule").unwrap();
    assert_eq!(text(rules, "/metadata/namespace"), "monitoring");
    assert_eq!(text(rules, "/metadata/labels/release"), "prometheus");
    assert!(rules.to_string().contains(r#"namespace=~\"coder-ws\""#), "{rules}");
    // It says what nobody can bring back.
    let told = world.deploy(&["destroy", "--yes"]).exits(101);
    let service = about(&told, &format!("{REGION}/coder/service"));
    assert!(service.contains("holds a protected load balancer") && !service.contains("holds data"), "{told}");
    destroyed(&world);
    let left: Json = serde_json::from_str(&world.boto3(NAMES)).unwrap();
    assert_eq!(left["records"], json!([]), "{left:#}");
}
