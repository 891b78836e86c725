//! Rows 129 to 131 of the list of what ran before: LiteLLM. What its file says is in `crates/k8s/tests/apps`, and that it reads
//! it, in `scripts/litellm`.

use crate::{
    ACCOUNT, REGIONS, SEEN,
    look::{annotation, at, bounded, container, list, may_go, of, pod, ports, probe, spread_over, variables},
    text,
};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

const HOME: &str = REGIONS[0];

#[test]
fn row_129_litellm() {
    let deployment = at(HOME, "Deployment", "litellm/litellm");
    let (pod, container) = (pod(deployment), container(deployment));
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["status"]["readyReplicas"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(container["resources"]["limits"]["cpu"], "2");
    assert_eq!(container["resources"]["limits"]["memory"], "4Gi");
    assert_eq!(probe(container, "livenessProbe"), "http /health/liveliness");
    assert_eq!(probe(container, "readinessProbe"), "http /health/readiness");
    assert_eq!(ports(&container["ports"], "containerPort"), BTreeMap::from([("http", 4000)]));
    assert_eq!(
        spread_over(deployment),
        BTreeSet::from(["kubernetes.io/hostname", "topology.kubernetes.io/zone"])
    );
    assert_eq!(may_go(HOME, deployment), 1);
    bounded(deployment, 65534);
    let args: Vec<&str> = list(&container["args"]).iter().filter_map(Json::as_str).collect();
    assert_eq!(args, ["--port", "4000", "--config", "/etc/litellm/config.yaml"], "no --detailed_debug");
    // Pods start anew with another file: the checksum is of what they read, and they read all of it.
    let files = at(HOME, "ConfigMap", "litellm/litellm")["data"].as_object().unwrap();
    let mut digest = Sha256::new();
    for (name, file) in files {
        digest.update(name);
        digest.update([0]);
        digest.update(file.as_str().unwrap());
        digest.update([0]);
    }
    let sum: String = digest.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    let template = &deployment["spec"]["template"];
    assert_eq!(annotation(template, "causeway-deploy.github.io/config"), sum);
    let mounts = list(&container["volumeMounts"]);
    assert!(
        mounts.iter().all(|mount| mount["subPath"].is_null()),
        "what is mounted so never changes in a running pod"
    );
    assert!(mounts.iter().any(|mount| mount["mountPath"] == "/etc/litellm"));
    let volumes = list(&pod["volumes"]).iter();
    assert!(volumes.filter(|one| text(one, "/configMap/name") == "litellm").count() == 1);
    // Only in Ohio.
    for region in &REGIONS[1..] {
        assert_eq!(
            of(region, "Deployment").filter(|one| text(one, "/metadata/name") == "litellm").count(),
            0
        );
    }
}

#[test]
fn row_130_service_and_ingress() {
    let service = at(HOME, "Service", "litellm/litellm");
    assert_eq!(text(service, "/spec/type"), "NodePort");
    let [port] = list(&service["spec"]["ports"]) else { panic!("{service:#}") };
    assert_eq!((&port["port"], &port["targetPort"]), (&json!(80), &json!("http")));
    let ingress = at(HOME, "Ingress", "litellm/litellm");
    assert_eq!(text(ingress, "/spec/ingressClassName"), "alb");
    let [rule] = list(&ingress["spec"]["rules"]) else { panic!("{ingress:#}") };
    assert_eq!(text(rule, "/host"), "llm.ai.example.com");
    let wanted = json!([{
        "path": "/", "pathType": "Prefix",
        "backend": {"service": {"name": "litellm", "port": {"name": text(port, "/name")}}},
    }]);
    assert_eq!(rule["http"]["paths"], wanted);
    let told = |name: &str| annotation(ingress, &format!("alb.ingress.kubernetes.io/{name}"));
    assert_eq!(told("scheme"), "internal", "unless somebody asks for more");
    assert_eq!(told("inbound-cidrs"), "10.0.0.0/8,192.168.0.0/16");
    assert_eq!(told("listen-ports"), r#"[{"HTTPS":443}]"#);
    assert_eq!(told("certificate-arn"), crate::CERTIFICATE);
    assert_eq!((told("healthcheck-path"), told("unhealthy-threshold-count")), ("/health/liveliness", "3"));
    assert_eq!(told("target-type"), "instance");
    let address = text(ingress, "/status/loadBalancer/ingress/0/hostname");
    let all = list(&SEEN.aws[HOME]["balancers"]).iter().filter(|one| one["DNSName"] == address);
    let [one] = all.collect::<Vec<_>>()[..] else { panic!("{address}") };
    assert_eq!((text(one, "/Type"), text(one, "/Scheme")), ("application", "internal"));
}

/// The fourth is that of Vertex, which is there where Vertex is asked: `crates/k8s/tests/apps`.
#[test]
fn row_131_secrets() {
    let ours = of(HOME, "Secret").filter(|one| text(one, "/metadata/namespace") == "litellm");
    let keys = |one: &'static Json| -> BTreeSet<&str> {
        one["data"].as_object().unwrap().keys().map(|key| &**key).collect()
    };
    let ours: BTreeMap<&str, _> = ours.map(|one| (text(one, "/metadata/name"), keys(one))).collect();
    let wanted = BTreeMap::from([
        ("litellm-cache", BTreeSet::from(["password"])),
        ("litellm-database", BTreeSet::from(["url"])),
        ("litellm-keys", BTreeSet::from(["master", "salt"])),
    ]);
    assert_eq!(ours, wanted);
    let variables = variables(container(at(HOME, "Deployment", "litellm/litellm")));
    for (name, from) in [
        ("DATABASE_URL", "litellm-database/url"),
        ("REDIS_PASSWORD", "litellm-cache/password"),
        ("LITELLM_MASTER_KEY", "litellm-keys/master"),
        ("LITELLM_SALT_KEY", "litellm-keys/salt"),
    ] {
        assert_eq!(variables[name], from, "{name}");
    }
    assert_eq!(variables["REDIS_SSL"], "True");
    let role = annotation(at(HOME, "ServiceAccount", "litellm/litellm"), "eks.amazonaws.com/role-arn");
    assert_eq!(role, format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{HOME}-litellm"));
}
