//! LiteLLM's objects, and the file that it reads.

use crate::{
    golden, objects,
    settings::{given, litellm_settings, rotation},
    stack,
};
use causeway_core::{Stack, Value};
use causeway_k8s::litellm::{default_models, proxy, sums};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

fn litellm(change: impl FnOnce(&mut proxy::Settings)) -> Stack {
    let mut settings = litellm_settings();
    change(&mut settings);
    stack(|stack| drop(proxy::add(stack, &settings)))
}

fn file(stack: &Stack) -> Json {
    let config = objects(stack)["config"]["object"]["data"]["config.yaml"].clone();
    serde_json::from_str(config.as_str().unwrap()).unwrap()
}

#[test]
fn litellm_is_as_it_was_reviewed() {
    golden("litellm", &litellm(|_| ()));
}

#[test]
fn the_jobs_of_the_keys_are_as_they_were_reviewed() {
    golden("litellm-keys", &stack(rotation));
}

#[test]
fn row_123_the_file_has_every_model_with_its_limits() {
    let file = file(&litellm(|_| ()));
    let deployments = file["model_list"].as_array().unwrap();
    let models = default_models(true);
    assert_eq!(deployments.len(), 20);
    for (deployment, model) in deployments.iter().zip(&models) {
        let params = &deployment["litellm_params"];
        assert_eq!(deployment["model_name"], model.name);
        assert_eq!(params["model"], model.id());
        assert_eq!((&params["rpm"], &params["tpm"]), (&json!(model.limits.rpm), &json!(model.limits.tpm)));
        let region = if model.id().starts_with("bedrock/us.anthropic.") {
            "aws_region_name"
        } else {
            "vertex_location"
        };
        assert_eq!(params[region], model.region);
        let known = deployment["model_info"]["base_model"].as_str();
        assert_eq!(known, model.is_known.then(|| model.id()).as_deref());
        assert_eq!(params["vertex_project"].is_null(), region == "aws_region_name");
    }
    assert_eq!(models.iter().filter(|model| !model.is_known).count(), 1);
    assert_eq!(
        sums(&models).keys().collect::<Vec<_>>(),
        [&"anthropic.claude.haiku", &"anthropic.claude.sonnet"]
    );
}

#[test]
fn row_123_the_settings_are_those_that_it_ran_with() {
    let with_prompts = file(&litellm(|settings| settings.config.log_prompts = true));
    assert_eq!(
        with_prompts["litellm_settings"],
        json!({
            "num_retries": 2, "request_timeout": 45, "allowed_fails": 3, "cooldown_time": 30, "set_verbose": true,
            "json_logs": false, "cache": true, "callbacks": ["strip_header_middleware.strip_header_callback"],
        })
    );
    assert_eq!(
        with_prompts["general_settings"],
        json!({
            "store_model_in_db": true, "store_prompts_in_spend_logs": true, "proxy_batch_write_at": 60,
            "database_connection_pool_limit": 10, "disable_error_logs": true, "allow_requests_on_db_unavailable": true,
        })
    );
    let router = &with_prompts["router_settings"];
    assert_eq!(router["routing_strategy"], "usage-based-routing-v2");
    assert_eq!((&router["num_retries"], &router["timeout"]), (&json!(2), &json!(30)));
    let without = file(&litellm(|_| ()));
    assert_eq!(without["general_settings"]["store_prompts_in_spend_logs"], false);
    assert_eq!(without["litellm_settings"]["set_verbose"], false);
}

#[test]
fn row_124_the_key_for_vertex_lies_where_the_file_says_and_not_in_tmp() {
    let stack = litellm(|_| ());
    let path = file(&stack)["model_list"][6]["litellm_params"]["vertex_credentials"].clone();
    let pod = objects(&stack)["deployment"]["object"]["spec"]["template"]["spec"].clone();
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|mount| mount["name"] == "google").unwrap();
    let volumes = pod["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "google").unwrap();
    let there = format!(
        "{}/{}",
        mount["mountPath"].as_str().unwrap(),
        volume["secret"]["items"][0]["path"].as_str().unwrap()
    );
    assert_eq!(path, there);
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/tmp" && mount["readOnly"].is_null()));
    let without = litellm(|settings| {
        settings.vertex = None;
        settings.config.models = default_models(false);
    });
    assert!(!objects(&without)["deployment"].to_string().contains("google"));
    assert!(!file(&without).to_string().contains("vertex"));
}

#[test]
fn row_127_the_cache_is_spoken_to_over_tls_and_as_a_cluster_where_it_is_one() {
    let one = litellm(|_| ());
    let deployment = objects(&one)["deployment"].to_string();
    assert!(deployment.contains(r#"{"name":"REDIS_SSL","value":"True"}"#), "{deployment}");
    assert_eq!(file(&one)["router_settings"]["redis_password"], "os.environ/REDIS_PASSWORD");
    assert_eq!(file(&one)["router_settings"]["cache_kwargs"], Json::Null);
    let cluster = file(&litellm(|settings| settings.config.cluster_mode = true));
    let nodes = json!([{"host": "os.environ/REDIS_HOST", "port": "os.environ/REDIS_PORT"}]);
    assert_eq!(cluster["litellm_settings"]["cache_params"]["redis_startup_nodes"], nodes);
    assert_eq!(cluster["router_settings"]["cache_kwargs"]["startup_nodes"], nodes);
}

#[test]
fn a_changed_file_starts_new_pods() {
    let pods = |change: fn(&mut proxy::Settings)| {
        objects(&litellm(change))["deployment"]["object"]["spec"]["template"]["metadata"]["annotations"]
            .clone()
    };
    assert_eq!(pods(|_| ()), pods(|_| ()));
    assert_ne!(pods(|_| ()), pods(|settings| settings.config.models[0].limits.rpm += 1));
    assert_ne!(pods(|_| ()), pods(|settings| settings.master_key = given("litellm-keys", "other")));
    let all = objects(&litellm(|_| ()));
    let deployment = &all["deployment"]["object"]["spec"];
    assert_eq!(deployment["replicas"], 4);
    let container = &deployment["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"]["limits"]["cpu"], "2");
    assert_eq!(container["resources"]["limits"]["memory"], "4Gi");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/health/liveliness");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/health/readiness");
    assert!(!container.to_string().contains("subPath"), "what is mounted so never changes in a running pod");
}

#[test]
fn it_is_reached_over_https_from_inside_only_unless_asked_for() {
    let all = objects(&litellm(|_| ()));
    let service = &all["service"]["object"]["spec"];
    assert_eq!((&service["type"], &service["ports"][0]["port"]), (&json!("NodePort"), &json!(80)));
    let annotation = |all: &serde_json::Map<String, Json>, name: &str| {
        all["ingress"]["object"]["metadata"]["annotations"][format!("alb.ingress.kubernetes.io/{name}")]
            .clone()
    };
    assert_eq!(all["ingress"]["object"]["spec"]["ingressClassName"], "alb");
    assert_eq!(annotation(&all, "scheme"), "internal");
    assert_eq!(annotation(&all, "listen-ports"), r#"[{"HTTPS":443}]"#);
    assert_eq!(annotation(&all, "healthcheck-path"), "/health/liveliness");
    assert_eq!(annotation(&all, "unhealthy-threshold-count"), "3");
    let open = objects(&litellm(|settings| {
        settings.entry.internal = false;
        settings.entry.source_ranges = vec!["203.0.113.0/24".into(), "198.51.100.0/24".into()];
        settings.entry.certificate_arn = Some(Value::reference(&"certificate".into(), "arn"));
    }));
    assert_eq!(annotation(&open, "scheme"), "internet-facing");
    assert_eq!(annotation(&open, "inbound-cidrs"), "203.0.113.0/24,198.51.100.0/24");
    assert_eq!(annotation(&open, "certificate-arn"), json!({"$ref": "certificate#arn"}));
}

#[test]
fn each_secret_has_a_name_that_says_what_is_in_it() {
    let all = objects(&litellm(|_| ()));
    let secrets: BTreeMap<_, Vec<&String>> = all
        .values()
        .filter(|object| object["kind"] == "k8s.core.secret")
        .map(|object| {
            let keys = object["object"]["data"].as_object().unwrap().keys().collect();
            (object["name"].as_str().unwrap(), keys)
        })
        .collect();
    let expected = [
        ("litellm-cache", vec!["password"]),
        ("litellm-database", vec!["url"]),
        ("litellm-google", vec!["service_account.json"]),
        ("litellm-keys", vec!["master", "salt"]),
    ];
    assert_eq!(format!("{secrets:?}"), format!("{:?}", BTreeMap::from(expected)));
}

#[test]
fn row_135_who_brings_the_key_reads_no_other_secret() {
    let stack = stack(rotation);
    let role = objects(&stack)["bring/role-rotate-key"].clone();
    assert_eq!(role["namespace"], "coder-ws");
    for rule in role["object"]["rules"].as_array().unwrap() {
        let named = rule["resourceNames"] == json!(["litellm"]);
        assert!(named || rule["verbs"] == json!(["create"]), "{rule}");
        assert_eq!(rule["resources"], json!(["secrets"]));
    }
    let all = objects(&stack);
    assert!(!all.keys().any(|address| address.starts_with("make/role")), "who makes it needs nothing here");
}
