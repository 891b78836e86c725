//! Coder's own objects.

use crate::{
    golden, objects,
    settings::{URL, VARIABLES, given, mirrored, organization, proxy_settings, server_settings},
    stack,
};
use causeway_core::{Stack, Value};
use causeway_k8s::{
    coder::{
        LoadBalancer, provisioner, proxy,
        server::{self, Who},
        workspaces::{self, Workspaces},
    },
    cron::Schedule,
    kept::{Keeper, Kept},
    mirror,
    platform::namespace::PodSecurity,
};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

fn server(change: impl FnOnce(&mut server::Settings)) -> Stack {
    let mut settings = server_settings();
    change(&mut settings);
    stack(|stack| drop(server::add(stack, &settings)))
}

fn at(stack: &Stack, address: &str) -> Json {
    objects(stack).remove(address).unwrap_or_else(|| panic!("nothing at {address}"))["object"].take()
}

fn container(stack: &Stack, address: &str) -> Json {
    at(stack, address)["spec"]["template"]["spec"]["containers"][0].take()
}

/// Variable to value, or to `secret/key`.
fn environment(container: &Json) -> BTreeMap<String, String> {
    let one = |variable: &Json| {
        let from = &variable["valueFrom"]["secretKeyRef"];
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let value = match from.is_null() {
            true => text(&variable["value"]),
            false => format!("{}/{}", text(&from["name"]), text(&from["key"])),
        };
        (text(&variable["name"]), value)
    };
    container["env"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn the_server_is_as_it_was_reviewed() {
    golden("coder-server", &server(|_| ()));
}

#[test]
fn the_proxy_is_as_it_was_reviewed() {
    golden("coder-proxy", &stack(|stack| drop(proxy::add(stack, &proxy_settings()))));
}

#[test]
fn provisioners_can_keep_their_names() {
    let stack = stack(|stack| {
        let space = workspaces::add(stack, &workspaces::Settings::new("coder-ws"));
        let key = given("provisioner-key", "key");
        let settings = provisioner::Settings {
            kind: provisioner::Kind::StatefulSet,
            ..provisioner::Settings::new("image", URL, key)
        };
        stack.scope("provisioners", |stack| provisioner::add(stack, &space, &settings));
    });
    assert!(!objects(&stack).contains_key("provisioners/deployment"));
    let set = at(&stack, "provisioners/stateful-set");
    assert_eq!(
        (&set["spec"]["replicas"], &set["spec"]["podManagementPolicy"]),
        (&json!(6), &json!("Parallel"))
    );
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 600, "a build that goes on is not cut off");
    for spread in pod["topologySpreadConstraints"].as_array().unwrap() {
        assert_eq!(spread["matchLabelKeys"], json!(["controller-revision-hash"]), "its pods have no other");
    }
    assert!(objects(&stack).contains_key("provisioners/disruption-budget"));
}

#[test]
fn an_organization_is_as_it_was_reviewed() {
    golden("coder-organization", &stack(|stack| organization(stack, "coder-ws", 6, None)));
}

#[test]
fn the_mirror_is_as_it_was_reviewed() {
    golden("mirror", &stack(mirrored));
}

#[test]
fn every_variable_of_the_server_is_set() {
    let stack = server(|settings| {
        settings.provisioner_daemons = 3;
        settings.upgrade_message = Some("see the wiki".into());
        settings.debug =
            server::Debug { log_filter: Some(".*".into()), trace_logs: true, terraform: true, swagger: true };
    });
    let environment = environment(&container(&stack, "deployment"));
    let asked_for = [
        ("CODER_ENABLE_TERRAFORM_DEBUG_MODE", "true"),
        ("CODER_TRACE_LOGS", "true"),
        ("CODER_LOG_FILTER", ".*"),
        ("CODER_SWAGGER_ENABLE", "true"),
        ("CODER_CLI_UPGRADE_MESSAGE", "see the wiki"),
        ("CODER_PROVISIONER_DAEMONS", "3"),
    ];
    let expected: BTreeMap<String, String> = VARIABLES
        .iter()
        .chain(&asked_for)
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(environment, expected);
}

#[test]
fn nobody_is_let_in_for_want_of_a_list() {
    let everyone = |who| {
        let stack = server(|settings| settings.github.as_mut().unwrap().who = who);
        environment(&container(&stack, "deployment")).get("CODER_OAUTH2_GITHUB_ALLOW_EVERYONE").cloned()
    };
    assert_eq!(everyone(Who::Organizations(vec![])), None);
    assert_eq!(everyone(Who::Everyone).as_deref(), Some("true"));
    let none = server(|settings| settings.github = None);
    let environment = environment(&container(&none, "deployment"));
    assert_eq!(environment["CODER_OAUTH2_GITHUB_DEFAULT_PROVIDER_ENABLE"], "false");
}

#[test]
fn the_server_may_make_workspaces_only_where_it_is_told_to() {
    let none = objects(&server(|_| ()));
    assert!(none.values().all(|object| object["kind"] != "k8s.rbac.role"), "it has provisioners of its own");
    let space = |name: &str| Workspaces { name: name.to_owned(), made: vec![] };
    let stack = server(|settings| settings.workspaces_in = vec![space("coder-ws"), space("coder")]);
    for space in ["coder-ws", "coder"] {
        let role = objects(&stack)[&format!("workspaces-{space}/role-coder-workspace-perms")].clone();
        assert_eq!(role["namespace"], space);
        let rules = role["object"]["rules"].as_array().unwrap();
        let resources: Vec<&Json> = rules.iter().map(|rule| &rule["resources"][0]).collect();
        assert_eq!(resources, ["pods", "persistentvolumeclaims", "deployments"]);
        assert!(rules.iter().all(|rule| rule["verbs"].as_array().unwrap().len() == 8));
        let binding = at(&stack, &format!("workspaces-{space}/binding-coder-workspace-perms"));
        assert_eq!(binding["subjects"][0]["namespace"], "coder");
    }
}

#[test]
fn a_pod_of_the_server_has_time_to_end_and_may_do_nothing_else() {
    let stack = server(|_| ());
    let deployment = at(&stack, "deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(pod["terminationGracePeriodSeconds"], 600);
    assert_eq!(pod["securityContext"]["runAsUser"], 1000);
    let container = &pod["containers"][0];
    assert_eq!(container["resources"]["requests"]["cpu"], "2");
    assert_eq!(container["resources"]["requests"]["memory"], "4Gi");
    assert_eq!(container["resources"]["limits"]["cpu"], "4");
    assert_eq!(container["resources"]["limits"]["memory"], "8Gi");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["path"], "/healthz", "{probe}");
    }
    assert_eq!(
        pod["nodeSelector"],
        json!({"node.coder.io/managed-by": "karpenter", "node.coder.io/used-for": "coder-server"})
    );
}

#[test]
fn the_load_balancer_is_told_what_it_is_to_be() {
    let service = at(&server(|_| ()), "service");
    let spec = &service["spec"];
    assert_eq!(
        (&spec["type"], &spec["loadBalancerClass"]),
        (&json!("LoadBalancer"), &json!("service.k8s.aws/nlb"))
    );
    let ports: Vec<_> =
        spec["ports"].as_array().unwrap().iter().map(|port| (&port["port"], &port["targetPort"])).collect();
    assert_eq!(ports, [(&json!(80), &json!("http")), (&json!(443), &json!("https"))]);
    let prefix = "service.beta.kubernetes.io/aws-load-balancer-";
    let annotation = |name: &str| service["metadata"]["annotations"][format!("{prefix}{name}")].clone();
    assert_eq!(annotation("nlb-target-type"), "instance");
    assert_eq!(annotation("scheme"), "internet-facing");
    assert!(annotation("attributes").as_str().unwrap().contains("deletion_protection.enabled=true"));

    let other = server(|settings| {
        settings.tls = None;
        settings.load_balancer = LoadBalancer {
            internal: true,
            deletion_protection: false,
            source_ranges: vec!["203.0.113.0/24".into()],
            ..LoadBalancer::default()
        };
    });
    let service = at(&other, "service");
    assert_eq!(service["metadata"]["annotations"][format!("{prefix}scheme")], "internal");
    assert_eq!(service["spec"]["loadBalancerSourceRanges"], json!(["203.0.113.0/24"]));
    assert_eq!(service["spec"]["ports"].as_array().unwrap().len(), 1);
}

#[test]
fn a_changed_secret_starts_new_pods_and_is_not_shown() {
    let revision = |database: Kept| {
        let stack = server(|settings| settings.database = database);
        at(&stack, "deployment")["spec"]["template"]["metadata"]["annotations"].clone()
    };
    let first = revision(given("postgres", "url"));
    assert_eq!(first, revision(given("postgres", "url")));
    let other = Kept::given("postgres", "url", causeway_core::Secret::new("postgres://other"));
    assert_ne!(first, revision(other));
    let elsewhere = |revision: &str| Kept {
        from: Keeper::Others(Some(Value::reference(&"database/url".into(), revision))),
        ..Kept::elsewhere("postgres", "url")
    };
    let (one, two) = (revision(elsewhere("version_id")), revision(elsewhere("other")));
    assert_ne!(one, two);
    assert!(one.to_string().contains("database/url#version_id"), "{one}");
    for address in ["secret-postgres", "secret-oidc", "secret-oauth", "secret-github-external-auth"] {
        let secret = at(&server(|_| ()), address);
        assert_eq!(secret["type"], "Opaque");
        assert!(secret["data"].as_object().unwrap().values().all(|value| value["$secret"].is_string()));
    }
}

#[test]
fn a_proxy_runs_as_one_and_takes_its_token_from_a_secret() {
    let stack = stack(|stack| drop(proxy::add(stack, &proxy_settings())));
    let container = container(&stack, "deployment");
    assert_eq!(container["args"], json!(["wsproxy", "server"]));
    let environment = environment(&container);
    assert_eq!(environment["CODER_PRIMARY_ACCESS_URL"], URL);
    assert_eq!(environment["CODER_ACCESS_URL"], "https://oregon-proxy.ai.coder.com");
    assert_eq!(environment["CODER_WILDCARD_ACCESS_URL"], "*.oregon-proxy.ai.coder.com");
    assert_eq!(environment["CODER_PROXY_SESSION_TOKEN"], "coder-proxy/proxy.key");
    assert_eq!(environment["CODER_TLS_ENABLE"], "true");
}

#[test]
fn provisioners_have_time_for_a_build_and_rights_for_workspaces_only() {
    for (name, replicas) in [("coder-ws", 6), ("coder-ws-experiment", 2), ("coder-ws-demo", 2)] {
        let stack = stack(|stack| organization(stack, name, replicas, None));
        let deployment = at(&stack, &format!("{name}/provisioners/deployment"));
        assert_eq!(deployment["spec"]["replicas"], replicas);
        assert_eq!(deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 600);
        assert_eq!(deployment["spec"]["template"]["spec"]["serviceAccountName"], "coder");
        let environment = environment(&deployment["spec"]["template"]["spec"]["containers"][0]);
        assert_eq!(environment["CODER_PROVISIONER_DAEMON_KEY"], "psk/token.key");
        let all = objects(&stack);
        let roles: Vec<_> = all
            .iter()
            .filter(|(address, o)| o["kind"] == "k8s.rbac.role" && address.contains("provisioners"))
            .collect();
        let [(_, role)] = roles[..] else { panic!("{roles:?}") };
        assert_eq!(role["namespace"], name);
        assert_eq!(role["object"]["rules"].as_array().unwrap().len(), 3);
        assert!(all.values().all(|object| object["kind"] != "k8s.rbac.cluster_role"));
    }
}

#[test]
fn logs_are_streamed_by_one_pod_that_only_looks() {
    let stack = stack(|stack| organization(stack, "coder-ws", 6, None));
    assert_eq!(at(&stack, "coder-ws/logs/deployment")["spec"]["replicas"], 1);
    let role = at(&stack, "coder-ws/logs/role-coder-logstream-kube");
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(rule["verbs"], json!(["get", "list", "watch"]));
    }
}

#[test]
fn workspaces_act_as_a_role_of_their_own() {
    let stack = stack(|stack| organization(stack, "coder-ws", 6, None));
    let account = at(&stack, "coder-ws/workspaces/service-account");
    let role = &account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"];
    assert_eq!(role, "arn:aws:iam::123456789012:role/workspace");
    let labels = &account["metadata"]["labels"];
    for label in ["instance", "name", "part-of"] {
        assert_eq!(labels[format!("app.kubernetes.io/{label}")], "coder-provisioner");
    }
    let namespace = at(&stack, "coder-ws/workspaces/namespace");
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "baseline");
    assert_eq!(workspaces::Settings::new("x").security, PodSecurity::Baseline);
    let limits = at(&stack, "coder-ws/workspaces/defaults");
    assert_eq!(limits["spec"]["limits"][0]["default"]["ephemeral-storage"], "50Gi");
}

#[test]
fn a_role_that_is_not_made_yet_stays_a_reference() {
    let role = Value::reference(&"roles/coder".into(), "arn");
    let stack = server(|settings| settings.role_arn = Some(role));
    let annotations = at(&stack, "service-account")["metadata"]["annotations"].clone();
    assert_eq!(annotations["eks.amazonaws.com/role-arn"], json!({"$ref": "roles/coder#arn"}));
}

#[test]
fn a_schedule_is_by_somebodys_clock_and_never_twice_at_once() {
    let schedule =
        Schedule { cron: "0 0 * * 1".into(), time_zone: "America/Vancouver".into(), limit_seconds: 60 };
    let mut settings = mirror::Settings::new("image", vec![]);
    settings.schedule = schedule;
    let job = at(&stack(|stack| drop(mirror::add(stack, &[], &settings))), "job");
    assert_eq!(job["spec"]["timeZone"], "America/Vancouver");
    assert_eq!(job["spec"]["concurrencyPolicy"], "Forbid");
    assert_eq!(job["spec"]["suspend"], Json::Null, "who pauses it is not overruled");
}
