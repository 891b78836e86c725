//! Every object of the golden files, as it is sent, in front of the API servers of the oldest and the newest version.

use crate::control_plane::{definitions, sandbox};
use base64::{Engine, engine::general_purpose::STANDARD};
use causeway_k8s::{MANAGER, k8s_openapi::api::core::v1::Namespace};
use causeway_sandbox::kubernetes::Version;
use futures::{StreamExt, stream};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::{Discovery, Scope},
};
use serde_json::{Map, Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

/// By file and address.
fn goldens() -> BTreeMap<String, Json> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut all = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let json = &text[text.find("\n---\n").unwrap() + 5..];
        let objects: BTreeMap<String, Json> = serde_json::from_str(json).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        all.extend(objects.into_iter().map(|(address, object)| (format!("{name}: {address}"), object)));
    }
    all
}

/// What is secret is sealed in a golden file. Anything in Base64 does.
fn unsealed(json: Json) -> Json {
    match json {
        Json::Object(fields) if fields.contains_key("$sealed") => json!(STANDARD.encode("secret")),
        Json::Object(fields) => fields.into_iter().map(|(key, value)| (key, unsealed(value))).collect(),
        Json::Array(items) => items.into_iter().map(unsealed).collect(),
        other => other,
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let file: Kubeconfig = serde_json::from_str(&std::fs::read_to_string(kubeconfig).unwrap()).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// The definitions that a golden file names, out of upstream's files.
fn defined(goldens: &BTreeMap<String, Json>) -> Vec<Json> {
    let mut all = vec![];
    for crds in goldens.values().filter(|golden| golden["kind"] == "k8s.crds") {
        for file in crds["files"].as_array().unwrap() {
            let path = definitions().join(file["url"].as_str().unwrap().strip_prefix("https://").unwrap());
            let text = std::fs::read_to_string(path).unwrap();
            let documents: Vec<Json> = serde_saphyr::from_multiple(&text).unwrap();
            let names: BTreeSet<&str> =
                file["names"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
            let named = |document: &Json| {
                document["metadata"]["name"].as_str().is_some_and(|name| names.contains(name))
            };
            // Labels are templates in some.
            all.extend(documents.iter().filter(|document| named(document)).map(|document| {
                json!({
                    "apiVersion": document["apiVersion"],
                    "kind": document["kind"],
                    "metadata": {"name": document["metadata"]["name"]},
                    "spec": document["spec"],
                })
            }));
        }
    }
    all
}

/// The kinds of an API server by what we call them: `deployment`.
async fn kinds(client: &Client) -> BTreeMap<String, (ApiResource, Scope)> {
    // A group that is just being defined may be listed and not be served yet.
    let Ok(found) = Discovery::new(client.clone()).run().await else { return BTreeMap::new() };
    let mut all = BTreeMap::new();
    for group in found.groups() {
        for (kind, can) in group.recommended_resources() {
            all.entry(kind.kind.to_lowercase()).or_insert((kind, can.scope));
        }
    }
    all
}

/// What the API server says of an object that is only tried.
async fn tried(
    client: &Client,
    kinds: &BTreeMap<String, (ApiResource, Scope)>,
    golden: &Json,
) -> Result<(), String> {
    let noun = golden["kind"].as_str().unwrap().rsplit('.').next().unwrap().replace('_', "");
    let (kind, scope) = kinds.get(&noun).ok_or_else(|| format!("there is no {noun}"))?;
    let (name, namespace) = (golden["name"].as_str().unwrap(), golden["namespace"].as_str());
    let mut object = golden["object"].as_object().cloned().unwrap_or_default();
    object.insert("apiVersion".into(), json!(kind.api_version));
    object.insert("kind".into(), json!(kind.kind));
    let metadata = object.entry("metadata").or_insert_with(|| Json::Object(Map::new()));
    metadata["name"] = json!(name);
    metadata["namespace"] = json!(namespace);
    let objects: Api<DynamicObject> = match (scope, namespace) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, kind),
        (Scope::Cluster, None) => Api::all_with(client.clone(), kind),
        (scope, namespace) => return Err(format!("{scope:?} and in {namespace:?}")),
    };
    let params = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).validation_strict() };
    objects.patch(name, &params, &Patch::Apply(&object)).await.map(drop).map_err(|error| error.to_string())
}

async fn prepare(
    client: &Client,
    goldens: &BTreeMap<String, Json>,
) -> BTreeMap<String, (ApiResource, Scope)> {
    let kinds_before = kinds(client).await;
    let apply = PatchParams::apply(MANAGER).validation_strict();
    let (kind, _) = &kinds_before["customresourcedefinition"];
    let definitions: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    for definition in defined(goldens) {
        let name = definition["metadata"]["name"].as_str().unwrap();
        definitions.patch(name, &apply, &Patch::Apply(&definition)).await.unwrap();
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let all: BTreeSet<&str> = goldens.values().filter_map(|golden| golden["namespace"].as_str()).collect();
    for name in all {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        namespaces.patch(name, &apply, &Patch::Apply(&namespace)).await.unwrap();
    }
    // Definitions are served within seconds.
    for _ in 0..60 {
        let kinds = kinds(client).await;
        if ["certificate", "nodepool", "ingressclassparams", "prometheusrule"]
            .iter()
            .all(|kind| kinds.contains_key(*kind))
        {
            return kinds;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("definitions are not established");
}

#[tokio::test]
async fn row_181_every_golden_object_is_valid_on_the_oldest_and_the_newest_version() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut goldens = goldens();
    let rules = json!({"kind": "k8s.crds", "files": [{
        "url": "https://raw.githubusercontent.com/prometheus-operator/prometheus-operator/v0.85.0/example/\
                prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "names": ["prometheusrules.monitoring.coreos.com"],
    }]});
    goldens.insert("definitions of Prometheus".into(), rules);
    for version in [Version::Oldest, Version::Newest] {
        let server = sandbox().api_server(version).await.unwrap();
        let client = client(server.kubeconfig()).await;
        let kinds = prepare(&client, &goldens).await;
        let objects = goldens.iter().filter(|(_, golden)| golden["kind"] != "k8s.crds");
        let (client, kinds) = (&client, &kinds);
        let tries = objects.map(async |(address, golden)| {
            let golden = unsealed(golden.clone());
            let wrong = tried(client, kinds, &golden).await.err().map(|error| format!("{address}: {error}"));
            // What nobody knows is refused, so that what passes has passed something.
            let mut unknown = golden;
            // The definitions of the load balancer controller are a stand-in that takes any field.
            let spec = unknown["object"]["spec"].is_object() && !address.starts_with("load-balancer");
            let part = if spec { "spec" } else { "metadata" };
            unknown["object"][part]["nobodyKnows"] = json!("this");
            let refused = tried(client, kinds, &unknown).await.err();
            let refused = refused.is_some_and(|why| why.contains("nobodyKnows"));
            (wrong, (!refused).then(|| address.clone()))
        });
        let told: Vec<(Option<String>, Option<String>)> =
            stream::iter(tries).buffer_unordered(16).collect().await;
        assert!(told.len() > 150, "{} objects", told.len());
        let (wrong, lax): (Vec<_>, Vec<_>) = told.into_iter().unzip();
        let wrong: Vec<String> = wrong.into_iter().flatten().collect();
        let lax: Vec<String> = lax.into_iter().flatten().collect();
        assert!(wrong.is_empty(), "{}: {wrong:#?}", version.number());
        assert!(lax.is_empty(), "{}: not checked: {lax:#?}", version.number());
    }
}
