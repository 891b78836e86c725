//! Upstream's own controllers on our manifests, where the other tests have stand-ins: cert-manager with its webhook and its
//! injector, and the AWS load balancer controller, as processes with the rights, the arguments and the Secrets that our
//! manifests give them. Compiling them takes about ten minutes, once, so this is only done when it is asked for:
//!
//! ```console
//! $ cargo test -p causeway-k8s --all-features --test upstream -- --ignored
//! ```

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![allow(clippy::print_stderr, reason = "who waits ten minutes is told for what")]

#[allow(dead_code, reason = "every test binary uses another part of it")]
#[path = "../apps/settings.rs"]
mod applications;
#[path = "../cluster/control_plane.rs"]
mod control_plane;
#[allow(dead_code, reason = "every test binary uses another part of it")]
#[path = "../platform/settings.rs"]
mod settings;

use causeway_core::{
    Address, Engine, Secret, Stack, apply::Report, engine::Run, plan::PlanOptions, store::MemoryStore,
};
use causeway_k8s::{
    Access, Manifest, Noun,
    coder::{LoadBalancer, server},
    custom::{Certificate, ClusterIssuer},
    k8s_openapi::api::{
        admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Secret as SecretObject, Service},
    },
    kept::Keeper,
    platform::{cert_manager, load_balancer_controller},
    workload::Nodes,
};
use causeway_sandbox::{
    acme::Acme,
    cache::Cache,
    cloudflare::{Token, Zone},
    kubernetes::{Behaviour, Cluster, Controller, Controllers, Program, controllers},
};
use control_plane::{access, api, by_boto3, registry, sandbox, where_it_is};
use kube::{Api, api::ListParams};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

const ZONE: &str = "upstream.example.com";
const SPACE: &str = "upstream";

/// As the pod of a Deployment would: once one is ready.
async fn run(cluster: &Cluster, namespace: &str, name: &str, program: Program<'_>) {
    let deployments: Api<Deployment> = Api::namespaced(api(), namespace);
    let is_ready = async || {
        let found = deployments.get_opt(name).await.ok().flatten();
        found.and_then(|one| one.status?.ready_replicas).is_some_and(|ready| ready > 0)
    };
    while !is_ready().await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    cluster.run(&program).await.unwrap_or_else(|e| panic!("{}", causeway_core::error::chain(&e)));
}

/// All of them, each as soon as its Deployment is there.
async fn run_all(cluster: Cluster, programs: Controllers) {
    let (account, region, _) = where_it_is();
    let (key, secret) = sandbox().credentials(account).unwrap();
    let cloudflare = sandbox().cloudflare();
    let env = |name: &'static str, value: &str| (name, value.to_owned());
    let direct = env("NO_PROXY", "127.0.0.1");
    let aws = [
        env("AWS_ACCESS_KEY_ID", &key),
        env("AWS_SECRET_ACCESS_KEY", &secret),
        env("AWS_REGION", region),
        env("AWS_EC2_METADATA_DISABLED", "true"),
        direct.clone(),
    ];
    let dns = [env("CLOUDFLARE_BASE_URL", &cloudflare.endpoint()), direct.clone()];
    let names = cloudflare.dns();
    let challenges = move |_, _: &Path| {
        vec![format!("--dns01-recursive-nameservers={names}"), "--dns01-recursive-nameservers-only".into()]
    };
    let serves = |port: u16, _: &Path| {
        vec![
            format!("--secure-port={port}"),
            "--healthz-port=0".into(),
            "--metrics-listen-address=127.0.0.1:0".into(),
        ]
    };
    let injects = |_, _: &Path| vec!["--metrics-listen-address=0".into()];
    let endpoint = sandbox().endpoint();
    let balances = |port: u16, folder: &Path| {
        let services = ["ec2", "elasticloadbalancing", "acm", "wafv2", "waf-regional", "shield", "tagging"];
        let endpoints = services.map(|service| format!("{service}={endpoint}")).join(",");
        vec![
            format!("--aws-api-endpoints={endpoints}"),
            format!("--webhook-bind-port={port}"),
            format!("--webhook-cert-dir={}/tmp/k8s-webhook-server/serving-certs", folder.display()),
            "--metrics-bind-addr=0".into(),
            "--health-probe-bind-addr=127.0.0.1:0".into(),
            // Read from its own token where it is a pod.
            "--leader-election-namespace=kube-system".into(),
        ]
    };
    let of = |deployment, command, first, more, environment| Program {
        deployment,
        command,
        first,
        more,
        environment,
    };
    let certificates = programs.cert_manager.as_path();
    let (space, balancer) = (cert_manager::NAMESPACE, load_balancer_controller::NAME);
    let system = load_balancer_controller::NAMESPACE;
    let name = "cert-manager-webhook";
    let webhook = of((space, name), certificates, &["webhook"], &serves, std::slice::from_ref(&direct));
    let name = "cert-manager-cainjector";
    let injector = of((space, name), certificates, &["cainjector"], &injects, std::slice::from_ref(&direct));
    let controller = of((space, "cert-manager"), certificates, &["controller"], &challenges, &dns);
    let balancers = of((system, balancer), &programs.load_balancers, &[], &balances, &aws);
    tokio::join!(
        run(&cluster, space, "cert-manager-webhook", webhook),
        run(&cluster, space, "cert-manager-cainjector", injector),
        run(&cluster, space, "cert-manager", controller),
        run(&cluster, system, balancer, balancers),
    );
}

/// Our platform, as far as it is these.
fn platform(stack: &mut Stack, vpc: &str, token: &str) {
    let nodes = Nodes { selector: BTreeMap::from([("team".into(), "system".into())]), ..Nodes::default() };
    let given = settings::cert_manager(&nodes);
    let token = Keeper::Us(Secret::new(token));
    // Let's Encrypt is not here: `asked_from` makes an issuer for who is.
    let asks = cert_manager::Settings { solvers: vec![], cloudflare_token: token, ..given };
    let trusted = cert_manager::add(stack, &asks);
    let (_, region, name) = where_it_is();
    let balances = load_balancer_controller::Settings {
        cluster: name.into(),
        region: region.into(),
        vpc_id: vpc.to_owned().into(),
        ..settings::load_balancer_controller(&nodes)
    };
    load_balancer_controller::add(stack, &balances, &trusted);
}

/// One object of a stack of ours.
fn one_of<K: Noun>(
    access: &Access,
    is: impl Fn(&Json) -> bool,
    build: impl FnOnce(&mut Stack),
) -> Manifest<K> {
    let mut stack = Stack::new("paper");
    stack.at(access, build);
    let found = stack.nodes().values().find(|node| node.kind == K::NOUN && is(&node.spec));
    serde_json::from_value(found.unwrap().spec.clone()).unwrap()
}

/// Our issuer for trying out, at the sandbox's authority instead of Let's Encrypt.
fn asked_from(access: &Access, acme: &Acme) -> Manifest<ClusterIssuer> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let is_staging = |spec: &Json| spec["name"] == cert_manager::STAGING;
    let mut issuer = one_of(access, is_staging, |stack| {
        let solvers = vec![cert_manager::Solver::Cloudflare { zones: vec![ZONE.into()] }];
        cert_manager::add(
            stack,
            &cert_manager::Settings { solvers, ..settings::cert_manager(&Nodes::default()) },
        );
    });
    issuer.object["spec"]["acme"]["server"] = json!(acme.directory());
    issuer.object["spec"]["acme"]["caBundle"] = json!(STANDARD.encode(acme.authority()));
    issuer
}

/// The way in to our Coder.
fn way_in(access: &Access) -> Manifest<Service> {
    let is_balanced = |spec: &Json| spec["object"]["spec"]["type"] == "LoadBalancer";
    let mut service = one_of(access, is_balanced, |stack| {
        let balancer = LoadBalancer { deletion_protection: false, ..LoadBalancer::default() };
        server::add(stack, &server::Settings { load_balancer: balancer, ..applications::server_settings() });
    });
    service.namespace = Some(SPACE.into());
    service
}

fn certificate(name: &str, hosts: &[&str]) -> Manifest<Certificate> {
    Manifest::new(&cert_manager::certificate(SPACE, name, cert_manager::STAGING, hosts))
}

async fn apply(engine: &Engine, stack: &Stack) -> Report {
    let planned = engine.plan(stack, &PlanOptions::default()).await.unwrap();
    engine.apply(planned, &Run::default()).await.unwrap()
}

async fn get<K>(namespace: &str, name: &str) -> Json
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize,
{
    let objects: Api<K> = Api::namespaced(api(), namespace);
    serde_json::to_value(objects.get(name).await.unwrap()).unwrap()
}

/// What the API server was told to trust, of each webhook.
async fn trusted() -> Vec<String> {
    let (all, page) = (api(), ListParams::default());
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(all.clone());
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(all);
    let text = |object: Json| -> Vec<String> {
        let hooks = object["webhooks"].as_array().cloned().unwrap_or_default();
        hooks
            .iter()
            .map(|hook| hook["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let validating = validating.list(&page).await.unwrap().items.into_iter().map(|one| json!(one));
    let mutating = mutating.list(&page).await.unwrap().items.into_iter().map(|one| json!(one));
    validating.chain(mutating).flat_map(text).collect()
}

/// The load balancers that AWS has for our Service.
fn in_aws() -> Vec<Json> {
    let all = by_boto3(&["balancers", where_it_is().2]);
    all.as_array().unwrap().clone()
}

/// The logs of the programs.
fn logs() -> impl Iterator<Item = (&'static str, String)> {
    let names = [
        "cert-manager-cert-manager",
        "cert-manager-cert-manager-webhook",
        "cert-manager-cert-manager-cainjector",
        "kube-system-aws-load-balancer-controller",
    ];
    names.into_iter().map(|name| (name, sandbox().logs(name)))
}

/// Shows what the programs have said where a test fails.
struct Shown;

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, log) in logs() {
                let last: Vec<&str> = log.lines().rev().take(60).collect();
                eprintln!("== {name}");
                last.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "compiles cert-manager and the AWS load balancer controller"]
async fn upstreams_controllers_take_our_manifests() {
    let build = || {
        controllers(&Cache::find().unwrap(), &mut |progress| {
            if progress.line.is_none() {
                eprintln!("{}", progress.step);
            }
        })
    };
    let programs = tokio::task::spawn_blocking(build).await.unwrap().unwrap();
    let access = access();
    let (account, region, name) = where_it_is();
    by_boto3(&["tag", name, "kubernetes.io/role/elb"]);
    let vpc = by_boto3(&["describe", name])["vpc"].as_str().unwrap().to_owned();
    let cluster = sandbox().cluster(account, region, name).unwrap();
    cluster.start().await.unwrap();
    for played in [Controller::CertManager, Controller::LoadBalancers] {
        cluster.set(played, Behaviour::Down);
    }
    let cloudflare = sandbox().cloudflare();
    cloudflare.add_zone(Zone::new(ZONE)).unwrap();
    let token = cloudflare.add_token(Token::dns("cert-manager").zones([ZONE]));
    let acme = sandbox().acme().await.unwrap();
    let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
    let _shown = Shown;

    let running = tokio::spawn(run_all(cluster, programs));
    let only = |more: &dyn Fn(&mut Stack)| {
        let mut stack = Stack::new("upstream");
        stack.at(&access, |stack| {
            platform(stack, &vpc, &token);
            more(stack);
        });
        stack
    };
    let report = apply(&engine, &only(&|_| ())).await;
    assert!(report.is_complete(), "{report:#?}");
    running.await.unwrap();

    // The injector has told the API server whom to trust: three webhooks of load balancers to change objects and three to look
    // at them, and one of cert-manager each.
    let own = get::<SecretObject>("cert-manager", "cert-manager-webhook-ca").await["data"]["ca.crt"].clone();
    let serving = get::<SecretObject>("kube-system", "aws-load-balancer-tls").await;
    let theirs = serving["data"]["ca.crt"].clone();
    let trusted = trusted().await;
    let count = |of: &Json| trusted.iter().filter(|one| *of == **one).count();
    assert_eq!((count(&own), count(&theirs), trusted.len()), (2, 6, 8), "{trusted:?}");
    assert_eq!(serving["type"], "kubernetes.io/tls");

    let all = only(&|stack| {
        let space = json!({"metadata": {"name": SPACE}});
        stack.add("space", Manifest::<Namespace>::new(&serde_json::from_value(space).unwrap()));
        let issuer = stack.add("issuer", asked_from(&access, &acme));
        for (address, hosts) in
            [("web", &["coder.upstream.example.com", "*.coder.upstream.example.com"][..]), ("wrong", &[])]
        {
            let made = stack.add(address, certificate(address, hosts));
            stack.after(made.address(), issuer.address());
        }
        stack.add("way-in", way_in(&access));
        let settings = json!({"metadata": {"name": "settings", "namespace": SPACE}, "data": {"a": "b"}});
        stack.add("settings", Manifest::<ConfigMap>::new(&serde_json::from_value(settings).unwrap()));
        for address in ["web", "wrong", "way-in", "settings"] {
            stack.after(&address.into(), &"space".into());
        }
        stack.after(&"issuer".into(), &"cert-manager/validating".into());
    });
    let report = apply(&engine, &all).await;
    // The webhook has denied what is wrong with its reason, and the rest was done.
    let [(address, why)] = &report.failed[..] else { panic!("{report:#?}") };
    assert_eq!(*address, Address::from("wrong"));
    let denied = "admission webhook \"webhook.cert-manager.io\" denied the request: ";
    assert!(why.contains(denied) && why.contains("at least one of commonName"), "{why}");
    assert!(report.skipped.is_empty() && report.away.is_empty(), "{report:#?}");

    let secret = get::<SecretObject>(SPACE, "web").await;
    let names = "coder.upstream.example.com,*.coder.upstream.example.com";
    assert_eq!(secret["metadata"]["annotations"]["cert-manager.io/alt-names"], names);
    assert!(report.outputs[&"web".into()]["valid_until"].is_string(), "{:#?}", report.outputs);
    assert!(cloudflare.records(ZONE).is_empty(), "{:?}", cloudflare.records(ZONE));

    let [balancer] = &in_aws()[..] else { panic!("not one load balancer: {:#?}", in_aws()) };
    assert_eq!(report.outputs[&"way-in".into()]["address"], balancer["address"]);
    assert_eq!(balancer["type"], "network");
    assert_eq!(balancer["ports"], json!([80, 443]));
    let tags = json!({
        "elbv2.k8s.aws/cluster": name,
        "service.k8s.aws/resource": "LoadBalancer",
        "service.k8s.aws/stack": format!("{SPACE}/coder"),
    });
    assert_eq!(balancer["tags"], tags);

    // They may do all that they tried to do.
    for (name, log) in logs() {
        let refused: Vec<&str> = log.lines().filter(|line| line.contains("is forbidden")).collect();
        assert!(!log.is_empty() && refused.is_empty(), "{name}: {refused:#?}");
    }
    // And all of it goes again.
    let report = apply(&engine, &Stack::new("upstream")).await;
    assert!(report.is_complete(), "{report:#?}");
    assert!(in_aws().is_empty());
}
