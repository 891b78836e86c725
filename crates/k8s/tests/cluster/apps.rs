//! Coder and LiteLLM in a real API server: every object passes strict validation, pods keep to what their namespace lets
//! them be and find nodes, all rollouts complete, and nobody may do more than is written.

use crate::{
    applications::{self, VARIABLES, given},
    control_plane::{access, api, by_boto3, registry},
    rights::{VERBS, What, all_of, may},
    stack,
    together::Together,
};
use causeway_core::{Address, Stack, plan::Action, testing::Lifecycle};
use causeway_k8s::{
    Access, Manifest,
    coder::{server, workspaces::Workspaces},
    k8s_openapi::{
        api::{
            apps::v1::Deployment,
            batch::v1::CronJob,
            core::v1::{Namespace, Pod, Secret, Service, ServiceAccount},
            networking::v1::{IngressClass, NetworkPolicy},
            policy::v1::PodDisruptionBudget,
            rbac::v1::{Role, RoleBinding},
        },
        apimachinery::pkg::apis::meta::v1::ObjectMeta,
    },
    workload::Nodes,
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

const MADE_OF: [&str; 3] = ["pods", "persistentvolumeclaims", "deployments.apps"];

/// Three kinds, eight verbs.
fn all_rights() -> BTreeSet<String> {
    MADE_OF.iter().flat_map(|of| VERBS.map(|verb| format!("{verb} {of}"))).collect()
}

/// The server makes workspaces where it is told to, and is whole.
async fn server_objects() {
    let api = &api();
    let others = ["secrets", "configmaps", "services", "pods/exec", "roles.rbac.authorization.k8s.io"];
    let asked = || MADE_OF.into_iter().chain(others);
    assert_eq!(all_of(api, "coder:coder", asked(), "coder-ws-demo").await, all_rights());
    for elsewhere in ["coder", "coder-ws", "coder-ws-experiment", "default", "kube-system"] {
        assert_eq!(all_of(api, "coder:coder", asked(), elsewhere).await, BTreeSet::new(), "{elsewhere}");
    }
    let name = "coder-workspace-perms";
    let role: Role = Api::namespaced(api.clone(), "coder-ws-demo").get(name).await.unwrap();
    let mut groups: Vec<_> =
        role.rules.unwrap().into_iter().map(|rule| (rule.api_groups.unwrap(), rule.verbs.len())).collect();
    groups.sort();
    assert_eq!(groups, [(vec![String::new()], 8), (vec![String::new()], 8), (vec!["apps".to_owned()], 8)]);
    let binding: RoleBinding = Api::namespaced(api.clone(), "coder-ws-demo").get(name).await.unwrap();
    assert_eq!(binding.subjects.unwrap()[0].namespace.as_deref(), Some("coder"));
    Api::<ServiceAccount>::namespaced(api.clone(), "coder").get("coder").await.unwrap();
    Api::<Service>::namespaced(api.clone(), "coder").get("coder").await.unwrap();
    let deployment: Deployment = Api::namespaced(api.clone(), "coder").get("coder").await.unwrap();
    assert_eq!(deployment.status.unwrap().ready_replicas, Some(2));
    let budget: PodDisruptionBudget = Api::namespaced(api.clone(), "coder").get("coder").await.unwrap();
    assert_eq!(budget.status.unwrap().disruptions_allowed, 1);
}

/// Who else acts in a namespace of workspaces, and how little of it each may do.
async fn rights() {
    let api = &api();
    let here = |account: &'static str| async move { all_of(api, account, MADE_OF, "coder-ws").await };
    assert_eq!(here("coder-ws:coder").await, all_rights());
    assert_eq!(here("coder-ws:coder-ws").await, BTreeSet::new(), "a workspace");
    assert_eq!(all_of(api, "coder-ws:coder", MADE_OF, "coder-ws-demo").await, BTreeSet::new(), "elsewhere");
    assert_eq!(all_of(api, "coder-ws:coder", ["secrets"], "coder-ws").await, BTreeSet::new());
    for verb in VERBS {
        let of = |name: &'static str| What {
            verb,
            resource: "secrets",
            namespace: Some("coder-ws"),
            name: Some(name),
        };
        let named = ["get", "patch", "update"].contains(&verb);
        let key = may(api, "coder-ws:rotate-key", of("litellm")).await;
        assert_eq!(key, named || verb == "create", "{verb} litellm");
        let other = may(api, "coder-ws:rotate-key", of("psk")).await;
        assert_eq!(other, verb == "create", "{verb} psk");
    }
    let looks = all_of(api, "coder-ws:coder-logstream-kube", ["events"], "coder-ws").await;
    assert_eq!(looks, ["get events", "list events", "watch events"].map(str::to_owned).into());
}

/// Every variable that the server of the row had, as its Deployment has it in the API server.
async fn variables() {
    let deployment: Deployment = Api::namespaced(api(), "coder").get("coder").await.unwrap();
    let deployment = serde_json::to_value(deployment).unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let found = container["env"].as_array().unwrap().iter().map(|one| {
        let from = &one["valueFrom"]["secretKeyRef"];
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let value = if from.is_null() {
            text(&one["value"])
        } else {
            text(&from["name"]) + "/" + &text(&from["key"])
        };
        (text(&one["name"]), value)
    });
    let off = [
        ("CODER_ENABLE_TERRAFORM_DEBUG_MODE", "false"),
        ("CODER_TRACE_LOGS", "false"),
        ("CODER_SWAGGER_ENABLE", "false"),
        ("CODER_PROVISIONER_DAEMONS", "0"),
    ];
    let wanted = VARIABLES.iter().chain(&off).map(|&(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), wanted.collect::<BTreeMap<_, _>>());
}

async fn pods(space: &str, workload: &str) -> Vec<Pod> {
    let labels = ListParams::default().labels(&format!("app.kubernetes.io/name={workload}"));
    let found = Api::<Pod>::namespaced(api(), space).list(&labels).await.unwrap().items;
    found.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
}

/// The scheduler of Kubernetes itself spreads pods by the labels that they have: each on a node of its own, as there are six.
async fn are_spread() {
    for (space, workload, replicas) in
        [("coder", "coder", 2), ("coder-proxy", "coder", 2), ("litellm", "litellm", 4)]
    {
        let deployment: Deployment = Api::namespaced(api(), space).get(workload).await.unwrap();
        let template = deployment.spec.unwrap().template;
        let (labels, pod) = (template.metadata.unwrap().labels.unwrap(), template.spec.unwrap());
        let spread = pod.topology_spread_constraints.unwrap();
        assert_eq!(spread.len(), 2, "{space}");
        for one in spread {
            let wanted = one.label_selector.unwrap().match_labels.unwrap();
            assert!(
                !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value)),
                "{space}"
            );
        }
        let found = pods(space, workload).await;
        let nodes: BTreeSet<_> =
            found.iter().map(|pod| pod.spec.as_ref().unwrap().node_name.clone()).collect();
        assert_eq!((found.len(), nodes.len()), (replicas, replicas), "{space}: {nodes:?}");
    }
}

/// What other parts of a stack make: the controller of load balancers and its class, and Secrets.
fn others(stack: &mut Stack) {
    let controller = json!({
        "metadata": {"name": "controller-for-apps", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "controller-for-apps"}},
            "template": {
                "metadata": {"labels": {"app": "controller-for-apps"}},
                "spec": {"containers": [{"name": "controller", "image": "a/aws-load-balancer-controller:v2"}]},
            },
        },
    });
    let controller: Deployment = serde_json::from_value(controller).unwrap();
    let controller = stack.add("controller", Manifest::new(&controller));
    for balanced in ["coder/service", "proxy/service"] {
        stack.after(&balanced.into(), controller.address());
    }
    let class = json!({"metadata": {"name": "apps"}, "spec": {"controller": "ingress.k8s.aws/alb"}});
    let class: IngressClass = serde_json::from_value(class).unwrap();
    let class = stack.add("class", Manifest::new(&class));
    for earlier in [class.address(), controller.address()] {
        stack.after(&"litellm/ingress".into(), earlier);
    }
    let data = json!({"tls.crt": "eA==", "tls.key": "eA==", "proxy.key": "eA==", "token.key": "eA=="});
    for (namespace, name) in applications::OTHERS {
        let secret = json!({"metadata": {"name": name, "namespace": namespace}, "data": data});
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let secret = stack.add(&format!("others/{namespace}/{name}"), Manifest::new(&secret));
        let space = match namespace {
            "coder" => "coder/namespace/namespace".to_owned(),
            "coder-proxy" => "proxy/namespace/namespace".to_owned(),
            other => format!("{other}/workspaces/namespace"),
        };
        stack.after(secret.address(), &Address(space));
    }
}

/// What a template makes, told by what the namespace answers when it is tried.
async fn try_pod(api: &Client, namespace: &str, context: Json) -> Result<Pod, kube::Error> {
    let pod = serde_json::from_value(json!({
        "metadata": {"name": "tried"},
        "spec": {"containers": [{"name": "dev", "image": "dev:1", "securityContext": context}]},
    }));
    let pods: Api<Pod> = Api::namespaced(api.clone(), namespace);
    pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod.unwrap()).await
}

/// The pods that the jobs would start are taken as they are.
async fn jobs() {
    for (namespace, name) in
        [("litellm", "rotate-key"), ("coder-ws", "rotate-key"), ("coder", "fetch-and-store")]
    {
        let jobs: Api<CronJob> = Api::namespaced(api(), namespace);
        let job = jobs.get(name).await.unwrap().spec.unwrap().job_template.spec.unwrap();
        let pod = Pod {
            metadata: ObjectMeta { name: Some(format!("{name}-tried")), ..job.template.metadata.unwrap() },
            spec: job.template.spec,
            status: None,
        };
        let pods: Api<Pod> = Api::namespaced(api(), namespace);
        pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await.unwrap();
    }
}

/// What a namespace takes, what is closed in it, and what is open again.
async fn security() {
    let api = &api();
    let spaces = ["coder", "coder-proxy", "litellm", "coder-ws", "coder-ws-experiment", "coder-ws-demo"];
    for space in spaces {
        let level = if space.starts_with("coder-ws") { "baseline" } else { "restricted" };
        let found: Namespace = Api::all(api.clone()).get(space).await.unwrap();
        let labels = found.metadata.labels.unwrap();
        for what in ["enforce", "audit", "warn"] {
            assert_eq!(labels[&format!("pod-security.kubernetes.io/{what}")], level, "{space}");
        }
        let refused = try_pod(api, space, json!({"privileged": true})).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("PodSecurity \"{level}")), "{space}: {refused}");
        let as_root = try_pod(api, space, json!({"runAsUser": 0})).await;
        assert_eq!(as_root.is_ok(), level == "baseline", "{space}: {as_root:?}");

        let all: Api<NetworkPolicy> = Api::namespaced(api.clone(), space);
        let all = all.list(&ListParams::default()).await.unwrap().items;
        let policy = |name: &str| {
            let one = all.iter().find(|one| one.metadata.name.as_deref() == Some(name));
            one.unwrap_or_else(|| panic!("{space} has no {name}")).spec.clone().unwrap()
        };
        let closed = policy("deny-all");
        assert_eq!(closed.policy_types.unwrap(), ["Ingress", "Egress"], "{space}");
        assert_eq!(closed.pod_selector, Some(Default::default()), "{space}: not all pods");
        assert_eq!((closed.ingress, closed.egress), (None, None), "{space}");
        assert!(policy("allow-names").egress.is_some() && policy("allow-each-other").ingress.is_some());
        let out = policy(if level == "baseline" { "allow-anywhere" } else { "allow-out" });
        let blocks =
            out.egress.unwrap().into_iter().flat_map(|rule| rule.to.unwrap()).map(|to| to.ip_block.unwrap());
        for block in blocks {
            assert_eq!(block.except.unwrap(), ["169.254.169.254/32"], "{space}: who the node is");
        }
    }
    let pod = try_pod(api, "coder-ws", json!({})).await.unwrap().spec.unwrap();
    let limits = pod.containers[0].resources.clone().unwrap().limits.unwrap();
    assert_eq!(limits["ephemeral-storage"].0, "50Gi", "what a template does not say is bounded");
}

/// All of it, with a server that makes workspaces in one of the namespaces.
fn everything(access: &Access, change: impl FnOnce(&mut server::Settings)) -> Stack {
    let nodes = Nodes { selector: BTreeMap::from([("team".into(), "apps".into())]), ..Nodes::default() };
    stack(access, |stack| {
        applications::everything(stack, Some(&nodes), |settings| {
            let made = vec!["coder-ws-demo/workspaces/namespace".into()];
            settings.workspaces_in = vec![Workspaces { name: "coder-ws-demo".into(), made }];
            change(settings);
        });
        others(stack);
    })
}

/// Every secret of the server becomes another one. What is changed by it, and whether any pod is still there.
async fn rotated(life: &mut Lifecycle, access: &Access) {
    let uids = async || -> BTreeSet<_> {
        pods("coder", "coder").await.into_iter().map(|pod| pod.metadata.uid).collect()
    };
    let before = uids().await;
    assert_eq!(before.len(), 2);
    let other = |old: &causeway_k8s::kept::Kept| {
        causeway_k8s::kept::Kept::given(
            &old.secret,
            &old.key,
            causeway_core::Secret::new(format!("another {}", old.key)),
        )
    };
    let rotated = everything(access, |settings| {
        settings.database = other(&given("postgres", "url"));
        settings.oidc.as_mut().unwrap().client_secret = other(&given("oidc", "client-secret"));
        settings.github.as_mut().unwrap().client_secret = other(&given("oauth", "client-secret"));
        settings.external_auth[0].client_secret = other(&given("github-external-auth", "client-secret"));
    });
    let changed: BTreeMap<String, Action> = life
        .change("other secrets", rotated)
        .await
        .into_iter()
        .map(|(address, action)| (address.0, action))
        .collect();
    let wanted =
        ["deployment", "secret-postgres", "secret-oidc", "secret-oauth", "secret-github-external-auth"];
    assert_eq!(changed, wanted.map(|name| (format!("coder/{name}"), Action::Update)).into());
    let after = uids().await;
    assert!(after.len() == 2 && after.is_disjoint(&before), "{before:?} {after:?}");
    let secret: Secret = Api::namespaced(api(), "coder").get("postgres").await.unwrap();
    assert_eq!(secret.data.unwrap()["url"].0, b"another url");
}

static SEEN: LazyLock<Together> = LazyLock::new(|| Together::of(seen));

async fn seen() -> Together {
    let access = access();
    by_boto3(&["nodes", "objects", "apps", "6"]);
    for tag in ["kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"] {
        by_boto3(&["tag", "objects", tag]);
    }
    let mut life = Lifecycle::start(registry(), everything(&access, |_| ())).await;
    for address in ["coder/service", "proxy/service"] {
        let outputs = life.outputs(address).await;
        assert!(outputs["address"].as_str().unwrap().contains("elb"), "{address}: {outputs}");
    }
    let mut together = Together::default();
    together.check("variables", variables()).await;
    together.check("server", server_objects()).await;
    together.check("rights", rights()).await;
    together.check("spread", are_spread()).await;
    together.check("jobs", jobs()).await;
    together.check("security", security()).await;
    together.check("rotated", rotated(&mut life, &access)).await;
    life.end().await;
    together
}

#[test]
fn coder_and_litellm_come_up_and_go() {
    SEEN.passed("rights");
    SEEN.passed("jobs");
}

/// `CODER_OAUTH2_GITHUB_ALLOW_EVERYONE` stands where somebody says so, and never for want of a list: `crates/k8s/tests/apps`.
#[test]
fn row_099_server_variables() {
    SEEN.passed("variables");
}

/// The Role is there only where the server runs builds itself.
#[test]
fn row_100_server_objects() {
    SEEN.passed("server");
}

/// The release had another name than the labels, and nothing was kept apart.
#[test]
fn row_102_server_spread() {
    SEEN.passed("spread");
}

#[test]
fn row_106_secrets_that_change() {
    SEEN.passed("rotated");
}

#[test]
fn row_180_pod_security_and_network_policies() {
    SEEN.passed("security");
}
