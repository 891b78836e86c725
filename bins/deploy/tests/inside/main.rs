//! The whole of `examples/ai-coder.toml`, three regions with what runs in their clusters: planned in an empty account, applied
//! at once, looked at from outside, planned again, and destroyed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod coder;
mod hopeless;
mod jobs;
mod killed;
mod litellm;
mod look;
mod mistakes;
mod platform;
#[path = "../sandbox/world.rs"]
mod world;

use causeway_sandbox::{
    cache::Cache,
    cloudflare::{Token, Zone},
    kubernetes::definitions,
    shared,
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::LazyLock,
};
use world::World;

const EXAMPLE: &str = include_str!("../../../../examples/ai-coder.toml");
const OBJECTS: &str = include_str!("objects.py");
const AWS: &str = include_str!("aws.py");
const ACCOUNT: &str = "000000007201";
const REGIONS: [&str; 3] = ["us-east-2", "us-west-2", "eu-west-2"];
/// What LiteLLM is shown by, and from where it may be reached.
const CERTIFICATE: &str =
    "arn:aws:acm:us-east-2:000000007201:certificate/00000000-0000-4000-8000-000000000000";
const FROM: &str = r#"["10.0.0.0/8", "192.168.0.0/16"]"#;
/// What a run that shows a secret would show.
const CANARY: &str = "canary-of-the-inside";

/// The example as it is once Coder has made keys for provisioners and tokens for proxies.
fn example() -> String {
    let mut text: String = EXAMPLE
        .lines()
        .map(|line| {
            let commented = [
                "provisioner_key",
                "[eks.regions.",
                "access_url",
                "wildcard_access",
                "session_token",
                "[eks.coder.jobs]",
                "image = ",
                "[eks.registry.mirror]",
                "coder-preview = ",
            ];
            let line = match line.strip_prefix("# ") {
                Some(rest) if commented.iter().any(|start| rest.starts_with(start)) => rest,
                _ => line,
            };
            let line = match line.split_once("\"env:") {
                Some((key, _)) => format!("{key}\"file:token\""),
                None => line.to_owned(),
            };
            line + "\n"
        })
        .collect();
    for organization in ["experiment", "demo"] {
        let table = format!("[eks.coder.organizations.{organization}]\n");
        assert!(text.contains(&table));
        text = text.replace(&table, &format!("{table}provisioner_key = \"file:token\"\n"));
    }
    let litellm = "[eks.litellm]\n";
    assert!(text.contains(litellm));
    text = text.replace(litellm, &format!("{litellm}certificate = \"{CERTIFICATE}\"\nfrom = {FROM}\n"));
    // Where no internet is, and nobody waits for it.
    text.replace("[eks.coder]\n", "[eks.coder]\nvendored = \"vendor\"\n")
}

/// What was seen.
struct Seen {
    /// The addresses of Kubernetes that the plan of the empty account has.
    planned: BTreeSet<String>,
    /// What a preflight found in the empty account, and what it called of Bedrock.
    preflight: Vec<Json>,
    bedrock: Vec<String>,
    /// All objects of each region, after the apply.
    objects: Vec<Vec<Json>>,
    /// Where names lead after the apply, and after the destroy.
    names: BTreeMap<String, String>,
    names_left: BTreeMap<String, String>,
    /// The same after the second apply.
    again: Vec<Vec<Json>>,
    /// What boto3 sees in each region, after the apply.
    aws: Json,
    /// What was seen of the keys of LiteLLM.
    keys: jobs::Keys,
    /// All that was told.
    told: String,
    /// What the second apply and the plan after it changed.
    changed: Vec<String>,
    /// Clusters that are left after the destroy.
    left: String,
}

static SEEN: LazyLock<Seen> = LazyLock::new(|| {
    let cloudflare = shared().unwrap().cloudflare();
    cloudflare.add_zone(Zone::new("example.com")).unwrap();
    let dns = format!(
        "[eks.coder.dns]\nprovider = \"cloudflare\"\nzone = \"example.com\"\ntoken = \"file:dns\"\nttl = 300\napi = \"{}\"\n\n",
        cloudflare.endpoint()
    );
    let certificates = "[eks.coder.certificates]\n";
    let world = World::with(7201, &example().replace(certificates, &(dns + certificates)));
    world.write("token", CANARY);
    world.write("dns", &cloudflare.add_token(Token::dns("deploy")));
    vendored(&world);
    let plan: Json = serde_json::from_str(&world.stdout(&["plan", "--json"])).unwrap();
    let steps = plan["result"]["plan"]["steps"].as_array().unwrap_or_else(|| panic!("{plan:#}"));
    let planned = steps.iter().filter(|step| step["kind"].as_str().unwrap().starts_with("k8s."));
    let planned = planned.map(|step| step["address"].as_str().unwrap().to_owned()).collect();
    // A new account may not start as many machines.
    let preflight = world.deploy(&["preflight", "--json"]).exits(101);
    // What is told to people comes after the document.
    let mut preflight = serde_json::Deserializer::from_str(&preflight).into_iter::<Json>();
    let preflight = preflight.next().unwrap().unwrap();
    let preflight = preflight["result"]["findings"].as_array().unwrap().clone();
    let bedrock = world.calls().into_iter().filter(|call| call.service == "bedrock");
    let bedrock = bedrock.map(|call| call.name()).collect();
    let mut told = world.deploy(&["apply", "--yes"]).succeeds();
    let keys = jobs::keys(&world);
    let objects = objects();
    let names = names();
    let aws: Json = serde_json::from_str(&world.boto3(AWS)).unwrap();
    // As somebody does who wants no key to change.
    kubernetes("suspend", &kubeconfigs());
    world.forget_calls();
    told += &world.deploy(&["apply", "--yes"]).succeeds();
    told += &world.deploy(&["plan", "--detailed-exitcode"]).succeeds();
    let again = self::objects();
    let changed = world.mutations().iter().map(|call| call.name()).collect();
    told += &destroyed(&world);
    let left = world.boto3(
        "for region in ('us-east-2', 'us-west-2', 'eu-west-2'):\n    \
         print(*boto3.client('eks', region_name=region).list_clusters()['clusters'], end='')\n    \
         print(*[b['LoadBalancerName'] for b in boto3.client('elbv2', region_name=region)\
         .describe_load_balancers()['LoadBalancers']], end='')",
    );
    told += &fs::read_to_string(world.folder().join(".causeway/journal.jsonl")).unwrap();
    let names_left = self::names();
    Seen { planned, preflight, bedrock, objects, names, names_left, again, aws, keys, told, changed, left }
});

/// Puts the definitions beside the configuration that are fetched where there is internet.
fn vendored(world: &World) {
    fs::create_dir(world.folder().join("vendor")).unwrap();
    let upstream = definitions(&Cache::find().unwrap()).unwrap();
    std::os::unix::fs::symlink(upstream, world.folder().join("vendor/definitions")).unwrap();
}

/// Destroys all of it, with every permit that this takes.
fn destroyed(world: &World) -> String {
    let refused = world.deploy(&["destroy", "--yes"]).exits(101);
    let permits = refused.split_once("all of them: ").unwrap().1.lines().next().unwrap();
    let flags: Vec<&str> = ["destroy", "--yes"].into_iter().chain(permits.split(' ')).collect();
    world.deploy(&flags).succeeds()
}

/// Where names lead, and the marks beside them.
fn names() -> BTreeMap<String, String> {
    let records = shared().unwrap().cloudflare().records("example.com");
    records.into_iter().map(|record| (record.name, record.content)).collect()
}

/// All objects of all clusters.
fn objects() -> Vec<Vec<Json>> {
    list_of(&kubeconfigs())
}

/// For administrators of the clusters.
fn kubeconfigs() -> [PathBuf; 3] {
    let sandbox = shared().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let file = |region| {
        let cluster = sandbox.cluster(ACCOUNT, region, "ai-coder").unwrap();
        runtime.block_on(cluster.kubeconfig()).unwrap().to_owned()
    };
    REGIONS.map(file)
}

/// All objects of the clusters with these kubeconfigs.
fn list_of(kubeconfigs: &[PathBuf]) -> Vec<Vec<Json>> {
    serde_json::from_slice(&kubernetes("list", kubeconfigs)).unwrap()
}

/// What `objects.py` prints when it is told to do this.
fn kubernetes(what: &str, kubeconfigs: &[PathBuf]) -> Vec<u8> {
    let mut python = std::process::Command::new(&shared().unwrap().installed().python);
    let output = python.args(["-c", OBJECTS, what]).args(kubeconfigs).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn text<'a>(object: &'a Json, path: &str) -> &'a str {
    object.pointer(path).and_then(Json::as_str).unwrap_or_default()
}

/// The address that an object of ours says it is from.
fn address(object: &Json) -> Option<&str> {
    object.pointer("/metadata/annotations/causeway-deploy.github.io~1address").and_then(Json::as_str)
}

fn all() -> impl Iterator<Item = (&'static str, &'static Json)> {
    REGIONS.into_iter().zip(&SEEN.objects).flat_map(|(region, all)| all.iter().map(move |one| (region, one)))
}

#[test]
fn the_plan_of_an_empty_account_lists_every_object_that_apply_makes() {
    let made: BTreeSet<String> = all().filter_map(|(_, one)| address(one)).map(str::to_owned).collect();
    assert!(made.len() > 300, "{} objects", made.len());
    // A file of definitions is one step of a plan and many objects.
    let is_file = |address: &&String| address.ends_with("/definitions");
    let planned: BTreeSet<String> = SEEN.planned.iter().filter(|a| !is_file(a)).cloned().collect();
    let made: BTreeSet<String> = made.iter().filter(|a| !is_file(a)).cloned().collect();
    assert_eq!(planned, made);
}

#[test]
fn before_there_are_clusters_only_aws_is_asked_and_models_wherever_they_lead() {
    let of = |check: &str| SEEN.preflight.iter().filter(|f| f["check"] == check).collect::<Vec<_>>();
    assert!(of("objects").is_empty(), "{:#?}", of("objects"));
    let models = of("models");
    let [haiku, sonnet] = models[..] else { panic!("{models:#?}") };
    for (found, asked, places) in [
        (
            haiku,
            "6 models behind anthropic.claude.haiku",
            "claude-3-haiku-20240307-v1:0 in us-east-1, us-east-2, us-west-2",
        ),
        (
            sonnet,
            "5 models behind anthropic.claude.sonnet",
            "claude-3-sonnet-20240229-v1:0 in us-east-1, us-west-2",
        ),
    ] {
        assert!(text(found, "/asked").contains(asked), "{found:#}");
        assert_eq!(found["verdict"], "failed", "{found:#}");
        let answer = text(found, "/answer");
        assert!(answer.contains("nobody of the account has agreed") && answer.contains(places), "{found:#}");
        assert!(text(found, "/remedy").contains("aws-marketplace:Subscribe"), "{found:#}");
    }
    let count = |name: &str| SEEN.bedrock.iter().filter(|call| *call == name).count();
    let each = (count("bedrock:ListInferenceProfiles"), count("bedrock:GetFoundationModelAvailability"));
    assert_eq!((each, SEEN.bedrock.len()), ((3, 14), 17), "{:?}", SEEN.bedrock);
}

#[test]
fn every_name_leads_to_the_load_balancer_that_its_service_got() {
    let (marks, names): (BTreeMap<&String, &String>, BTreeMap<&String, &String>) =
        SEEN.names.iter().partition(|(_, content)| content.contains("external-dns/owner=ai-coder"));
    // A server and two proxies with their wildcards, and LiteLLM.
    assert_eq!((names.len(), marks.len()), (7, 7), "{:#?}", SEEN.names);
    for (region, one) in all().filter(|(_, one)| ["Service", "Ingress"].contains(&text(one, "/kind"))) {
        let target = text(one, "/status/loadBalancer/ingress/0/hostname");
        if target.is_empty() {
            continue;
        }
        let led = names.iter().filter(|(_, to)| to.as_str() == target).count();
        let wanted = if one["kind"] == "Ingress" { 1 } else { 2 };
        assert_eq!(led, wanted, "{region} {}: {target} {names:#?}", text(one, "/metadata/name"));
    }
    assert!(names.contains_key(&"*.ai.example.com".to_owned()), "{names:#?}");
    assert!(SEEN.names_left.is_empty(), "{:#?}", SEEN.names_left);
}

#[test]
fn all_rollouts_are_complete() {
    let mut deployments = 0;
    for (region, one) in all().filter(|(_, one)| one["kind"] == "Deployment") {
        deployments += 1;
        let wanted = &one["spec"]["replicas"];
        assert_eq!(&one["status"]["readyReplicas"], wanted, "{region} {}", text(one, "/metadata/name"));
    }
    // cert-manager 3, load balancers, Karpenter, 3 provisioners and 3 logs in each; a server or a proxy; LiteLLM.
    assert!(deployments > 3 * 12, "{deployments}");
}

#[test]
fn applied_twice_nothing_is_changed() {
    assert!(SEEN.changed.is_empty(), "{:?}", SEEN.changed);
}

#[test]
fn every_region_has_its_way_in() {
    for (region, objects) in REGIONS.into_iter().zip(&SEEN.objects) {
        let service = objects.iter().find(|one| {
            one["kind"] == "Service" && one["spec"]["loadBalancerClass"] == "service.k8s.aws/nlb"
        });
        let name = text(service.unwrap(), "/status/loadBalancer/ingress/0/hostname");
        assert!(name.ends_with(&format!("{region}.elb.amazonaws.com")), "{region}: {name}");
    }
}

#[test]
fn what_is_secret_is_in_secrets_and_nowhere_else() {
    assert!(!SEEN.told.contains(CANARY));
    let encoded = "Y2FuYXJ5LW9mLXRoZS1pbnNpZGU=";
    let mut held = 0;
    for (region, one) in all() {
        let json = one.to_string();
        assert!(!json.contains(CANARY), "{region} {}", text(one, "/metadata/name"));
        if json.contains(encoded) {
            assert_eq!(one["kind"], "Secret", "{region} {}", text(one, "/metadata/name"));
            held += 1;
        }
    }
    assert_eq!(held, 3 * 3 + 2, "three organizations in three regions, and two proxies");
}

/// What other parts of the stack keep in Secrets Manager reaches the pods that need it.
#[test]
fn what_is_kept_in_secrets_manager_reaches_the_cluster() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let value = |namespace: &str, name: &str, key: &str| {
        let found = all().find(|(_, one)| {
            one["kind"] == "Secret"
                && text(one, "/metadata/namespace") == namespace
                && text(one, "/metadata/name") == name
        });
        let (_, secret) = found.unwrap_or_else(|| panic!("no {namespace}/{name}"));
        String::from_utf8(STANDARD.decode(text(secret, &format!("/data/{key}"))).unwrap()).unwrap()
    };
    let url = value("coder", "postgres", "url");
    assert!(url.starts_with("postgres://coder:") && url.ends_with("/coder?sslmode=require"));
    assert!(value("litellm", "litellm-database", "url").starts_with("postgres://litellm:"));
    assert!(value("litellm", "litellm-keys", "master").starts_with("sk-"));
    assert_eq!(value("litellm", "litellm-keys", "salt").len(), 43);
    assert_eq!(value("litellm", "litellm-cache", "password").len(), 43);
}

/// Coder reads its certificate when it starts.
#[test]
fn pods_start_anew_with_another_certificate() {
    for (namespace, regions) in [("coder", &REGIONS[..1]), ("coder-proxy", &REGIONS[1..])] {
        for (region, objects) in REGIONS.into_iter().zip(&SEEN.objects).filter(|(r, _)| regions.contains(r)) {
            let of = |kind: &str, name: &str| {
                let found = objects.iter().find(|one| {
                    one["kind"] == kind
                        && text(one, "/metadata/namespace") == namespace
                        && text(one, "/metadata/name") == name
                });
                found.unwrap_or_else(|| panic!("no {kind} {name} in {region}"))
            };
            let until = text(of("Certificate", "coder-tls"), "/status/notAfter");
            let carried = "/spec/template/metadata/annotations/causeway-deploy.github.io~1secrets";
            let carried = text(of("Deployment", "coder"), carried);
            assert!(!until.is_empty() && carried.contains(until), "{region}: {carried}");
        }
    }
}

#[test]
fn what_is_destroyed_leaves_no_cluster_and_no_load_balancer() {
    assert_eq!(SEEN.left.trim(), "");
}
