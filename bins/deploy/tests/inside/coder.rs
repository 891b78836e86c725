//! Rows 101 to 115 of the list of what ran before: Coder. Those that need a cluster that answers (99, 100, 102, 104 to 106) are
//! in `crates/k8s/tests/cluster`.

use crate::{
    ACCOUNT, REGIONS, SEEN,
    look::{
        annotation, at, bounded, container, granted, list, may_go, names, of, pod, ports, probe, texts,
        variables,
    },
    text,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

const HOME: &str = REGIONS[0];
/// The namespaces of workspaces, and how many provisioners each has.
const SPACES: [(&str, i64); 3] = [("coder-ws", 6), ("coder-ws-experiment", 2), ("coder-ws-demo", 2)];

fn used_for(workload: &Json) -> &str {
    let pod = pod(workload);
    let purpose = text(pod, "/nodeSelector/node.coder.io~1used-for");
    assert_eq!(pod["nodeSelector"]["node.coder.io/managed-by"], "karpenter");
    let taint = json!([{"key": "dedicated", "operator": "Equal", "value": purpose, "effect": "NoSchedule"}]);
    assert_eq!(pod["tolerations"], taint);
    purpose
}

fn sizes(workload: &Json) -> [&str; 4] {
    let resources = &container(workload)["resources"];
    ["/requests/cpu", "/requests/memory", "/limits/cpu", "/limits/memory"].map(|path| text(resources, path))
}

fn is_up(workload: &Json, replicas: i64) {
    let numbers =
        ["/spec/replicas", "/status/readyReplicas"].map(|path| workload.pointer(path).and_then(Json::as_i64));
    assert_eq!(numbers, [Some(replicas); 2], "{}", workload["metadata"]["name"]);
}

#[test]
fn row_101_server_pod() {
    let deployment = at(HOME, "Deployment", "coder/coder");
    is_up(deployment, 2);
    let container = container(deployment);
    assert_eq!((&container["command"], &container["args"]), (&json!(["/opt/coder"]), &json!(["server"])));
    assert_eq!(sizes(deployment), ["2", "4Gi", "4", "8Gi"]);
    assert_eq!(pod(deployment)["terminationGracePeriodSeconds"], 600);
    assert_eq!(used_for(deployment), "coder-server");
    for kind in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(probe(container, kind), "http /healthz", "{kind}");
    }
    bounded(deployment, 1000);
    assert_eq!(may_go(HOME, deployment), 1);
    let wanted = BTreeMap::from([("http", 8080), ("https", 8443), ("prometheus-http", 2112)]);
    assert_eq!(ports(&container["ports"], "containerPort"), wanted);
    // What a pod really has is what was written.
    let pods = of(HOME, "Pod").filter(|pod| text(pod, "/metadata/namespace") == "coder");
    let grace: Vec<_> = pods.map(|pod| pod["spec"]["terminationGracePeriodSeconds"].as_i64()).collect();
    assert_eq!(grace, [Some(600); 2]);
}

#[test]
fn row_103_service() {
    for region in REGIONS {
        let namespace = if region == HOME { "coder" } else { "coder-proxy" };
        let service = at(region, "Service", &format!("{namespace}/coder"));
        let spec = &service["spec"];
        assert_eq!(
            (text(spec, "/type"), text(spec, "/loadBalancerClass")),
            ("LoadBalancer", "service.k8s.aws/nlb")
        );
        assert_eq!(
            (text(spec, "/sessionAffinity"), text(spec, "/externalTrafficPolicy")),
            ("None", "Cluster")
        );
        assert_eq!(ports(&spec["ports"], "port"), BTreeMap::from([("http", 80), ("https", 443)]));
        for port in list(&spec["ports"]) {
            assert_eq!(port["targetPort"], port["name"]);
            assert!(port["nodePort"].is_number(), "the load balancer finds no node: {port}");
        }
        let told =
            |name: &str| annotation(service, &format!("service.beta.kubernetes.io/aws-load-balancer-{name}"));
        assert_eq!((told("nlb-target-type"), told("scheme")), ("instance", "internet-facing"));
        assert_eq!(
            told("attributes"),
            "deletion_protection.enabled=true,load_balancing.cross_zone.enabled=true"
        );
        let selector = spec["selector"].as_object().unwrap();
        let pods = of(region, "Pod").filter(|pod| pod["metadata"]["namespace"] == namespace);
        let labels = |pod: &Json| pod["metadata"]["labels"].clone();
        let chosen = pods.filter(|pod| selector.iter().all(|(key, value)| labels(pod)[key] == *value));
        assert_eq!(chosen.count(), 2, "{region}");
        // It names its class, so the webhook of the controller is not asked about it.
        let hooks =
            list(&at(region, "MutatingWebhookConfiguration", "aws-load-balancer-webhook")["webhooks"]);
        let asked = hooks.iter().find(|hook| text(hook, "/name").starts_with("mservice")).unwrap();
        let unless = "object.spec.type == 'LoadBalancer' && !has(object.spec.loadBalancerClass)";
        assert_eq!(text(asked, "/matchConditions/0/expression"), unless);
        // And in AWS there is one load balancer of this name.
        let address = text(service, "/status/loadBalancer/ingress/0/hostname");
        let all = list(&SEEN.aws[region]["balancers"]).iter().filter(|one| one["DNSName"] == address);
        let [one] = all.collect::<Vec<_>>()[..] else { panic!("{region}: {address}") };
        assert_eq!((text(one, "/Type"), text(one, "/Scheme")), ("network", "internet-facing"));
        assert_eq!(text(one, "/tags/service.k8s.aws~1stack"), format!("{namespace}/coder"));
        assert_eq!(text(one, "/tags/elbv2.k8s.aws~1cluster"), "ai-coder");
    }
}

/// Its token is named in the file: only a running Coder makes one.
#[test]
fn row_110_proxy() {
    for (region, city) in [(REGIONS[1], "oregon"), (REGIONS[2], "london")] {
        assert!(!names(region, "Deployment").contains("coder/coder"));
        let deployment = at(region, "Deployment", "coder-proxy/coder");
        is_up(deployment, 2);
        let container = container(deployment);
        assert_eq!(
            (&container["command"], &container["args"]),
            (&json!(["/opt/coder"]), &json!(["wsproxy", "server"]))
        );
        let variables = variables(container);
        for (name, value) in [
            ("CODER_PRIMARY_ACCESS_URL", "https://ai.example.com".to_owned()),
            ("CODER_ACCESS_URL", format!("https://{city}.ai.example.com")),
            ("CODER_WILDCARD_ACCESS_URL", format!("*.{city}.ai.example.com")),
            ("CODER_PROXY_SESSION_TOKEN", "coder-proxy/token".to_owned()),
            ("CODER_TLS_ENABLE", "true".to_owned()),
            ("CODER_TLS_CERT_FILE", "/etc/coder/tls/tls.crt".to_owned()),
            ("CODER_TLS_KEY_FILE", "/etc/coder/tls/tls.key".to_owned()),
        ] {
            assert_eq!(variables[name], value, "{region} {name}");
        }
        assert!(!text(at(region, "Secret", "coder-proxy/coder-proxy"), "/data/token").is_empty());
        let tls = list(&pod(deployment)["volumes"]).iter().find(|one| one["name"] == "tls").unwrap();
        assert_eq!(text(tls, "/secret/secretName"), "coder-tls");
        assert_eq!(used_for(deployment), "coder-proxy");
        assert_eq!(sizes(deployment), ["250m", "512Mi", "500m", "1Gi"]);
        assert_eq!(pod(deployment)["terminationGracePeriodSeconds"], 600);
        bounded(deployment, 1000);
        assert_eq!(may_go(region, deployment), 1);
    }
    assert!(!names(HOME, "Namespace").contains("coder-proxy"));
}

#[test]
fn row_113_provisioners() {
    for region in REGIONS {
        for (space, replicas) in SPACES {
            let deployment = at(region, "Deployment", &format!("{space}/coder-provisioner"));
            is_up(deployment, replicas);
            let (pod, container) = (pod(deployment), container(deployment));
            assert_eq!(
                (&container["command"], &container["args"]),
                (&json!(["/opt/coder"]), &json!(["provisionerd", "start"]))
            );
            assert_eq!(pod["terminationGracePeriodSeconds"], 600);
            assert_eq!(pod["serviceAccountName"], "coder");
            assert_eq!(sizes(deployment), ["250m", "512Mi", "500m", "1Gi"]);
            assert_eq!(used_for(deployment), "coder-provisioner");
            bounded(deployment, 1000);
            let variables = variables(container);
            assert_eq!(variables["CODER_URL"], "https://ai.example.com");
            assert_eq!(variables["CODER_PROVISIONER_DAEMON_KEY"], "provisioner-key/key");
            let account = format!("{space}/coder");
            let role = annotation(at(region, "ServiceAccount", &account), "eks.amazonaws.com/role-arn");
            assert_eq!(role, format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{region}-provisioner"));
            let may = granted(
                region,
                "Role",
                &format!("{space}/coder-provisioner-coder-workspace-perms"),
                &account,
            );
            let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
            let resources = [" pods", " persistentvolumeclaims", "apps deployments"];
            let all = resources.iter().flat_map(|of| verbs.iter().map(move |verb| format!("{of} {verb}")));
            assert_eq!(may, all.collect(), "{region} {space}");
            // And nothing else by any other binding.
            let bound = ["RoleBinding", "ClusterRoleBinding"].into_iter().flat_map(|kind| of(region, kind));
            let bound = bound.flat_map(|binding| list(&binding["subjects"]));
            let its = |one: &&Json| text(one, "/name") == "coder" && text(one, "/namespace") == space;
            assert_eq!(bound.filter(its).count(), 1, "{region} {space}");
        }
    }
}

#[test]
fn row_114_logstream() {
    const NAME: &str = "coder-logstream-kube";
    for region in REGIONS {
        for (space, _) in SPACES {
            let deployment = at(region, "Deployment", &format!("{space}/{NAME}"));
            // With two each line would come twice.
            is_up(deployment, 1);
            let variables = variables(container(deployment));
            assert_eq!(
                (&*variables["CODER_URL"], &*variables["CODER_NAMESPACE"]),
                ("https://ai.example.com", space)
            );
            assert_eq!(pod(deployment)["serviceAccountName"], NAME);
            bounded(deployment, 1000);
            let account = format!("{space}/{NAME}");
            at(region, "ServiceAccount", &account);
            let looks = ["get", "list", "watch"];
            let kinds = [" pods", " events", "apps replicasets"];
            let all = kinds.iter().flat_map(|kind| looks.iter().map(move |verb| format!("{kind} {verb}")));
            assert_eq!(
                granted(region, "Role", &account, &account),
                all.collect::<BTreeSet<_>>(),
                "{region} {space}"
            );
        }
    }
}

#[test]
fn row_115_workspace_account() {
    for region in REGIONS {
        for (space, _) in SPACES {
            let account = at(region, "ServiceAccount", &format!("{space}/{space}"));
            for label in ["instance", "name", "part-of"] {
                assert_eq!(
                    account["metadata"]["labels"][format!("app.kubernetes.io/{label}")],
                    "coder-provisioner"
                );
            }
            let role = annotation(account, "eks.amazonaws.com/role-arn");
            assert_eq!(role, format!("arn:aws:iam::{ACCOUNT}:role/ai-coder-{region}-workspace"));
            // Only these accounts may act as it.
            let trusted = texts(&SEEN.aws[region]["workspace"]);
            assert!(trusted.contains(&*format!("system:serviceaccount:{space}:{space}")), "{trusted:?}");
        }
    }
}
