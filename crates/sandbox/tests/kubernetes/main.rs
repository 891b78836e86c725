//! Control planes as their users see them: through AWS's own client, and over HTTPS with nothing but what `DescribeCluster` says.

#![expect(clippy::unwrap_used, reason = "a failed test may panic anywhere, also in what its functions share")]

mod cost;
mod standins;

use std::process::Command;
use std::time::{Duration, Instant};

use causeway_sandbox::gateway::{Act, Rule};
use causeway_sandbox::kubernetes::{KUBERNETES, Version};
use causeway_sandbox::{Sandbox, shared};
use reqwest::Method;
use serde_json::{Value, json};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes/cluster.py");

/// A cluster of an account of its own.
struct Cluster {
    account: &'static str,
    region: &'static str,
    name: &'static str,
    endpoint: String,
    http: reqwest::Client,
    token: String,
}

fn sandbox() -> &'static Sandbox {
    shared().unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(error)))
}

fn aws(account: &str, region: &str, arguments: &[&str]) -> Value {
    let (key, secret) = sandbox().credentials(account).unwrap();
    let output = Command::new(&sandbox().installed().python)
        .arg(SCRIPT)
        .args(arguments)
        .envs(sandbox().env())
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("AWS_REGION", region)
        .env("AWS_DEFAULT_REGION", region)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Cluster {
    /// A cluster whose maker has an access entry with this policy, if any.
    fn make(account: &'static str, policy: &str) -> Cluster {
        let (region, name) = ("us-west-2", "coder");
        let made = aws(account, region, &["create", name]);
        if !policy.is_empty() {
            aws(account, region, &["enter", name, policy]);
        }
        let authority = made["authority"].as_str().unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(authority.as_bytes()).unwrap()])
            .build()
            .unwrap();
        let token = aws(account, region, &["token", name]).as_str().unwrap().to_owned();
        let endpoint = made["endpoint"].as_str().unwrap().to_owned();
        Cluster { account, region, name, endpoint, http, token }
    }

    fn aws(&self, what: &str, more: &[&str]) -> Value {
        let mut arguments = vec![what, self.name];
        arguments.extend(more);
        aws(self.account, self.region, &arguments)
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request =
            self.http.request(method, format!("{}{path}", self.endpoint)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn make_object(&self, path: &str, object: Value) -> Value {
        let (status, answer) = self.ask(Method::POST, path, Some(object)).await;
        assert_eq!(status, 201, "{path}: {answer}");
        answer
    }

    /// Asks until `look` finds something.
    async fn until<T>(&self, what: &str, path: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let (_, answer) = self.ask(Method::GET, path, None).await;
            if let Some(found) = look(&answer) {
                return found;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{what}: {answer:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// A control plane takes half a gigabyte, and the sandbox outlives the test.
impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.aws("delete", &[]);
        }
    }
}

fn deployment(name: &str, image: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": image, "resources": { "requests": { "cpu": "100m" } } }] },
            },
        },
    })
}

fn names(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_cluster_runs_when_somebody_speaks_to_it_and_a_deployment_becomes_ready_on_its_nodes() {
    let cluster = Cluster::make("000000000501", "AmazonEKSClusterAdminPolicy");
    let plane = sandbox().cluster(cluster.account, cluster.region, cluster.name).unwrap();
    assert_eq!(plane.url(), cluster.endpoint);
    assert!(!plane.runs());
    let start = Instant::now();
    let version = cluster.get("/version").await;
    println!("up after {:?}", start.elapsed());
    assert_eq!(version["gitVersion"], format!("v{KUBERNETES}"));
    assert!(plane.runs());
    // Two nodes of the group's type in two zones, with its labels.
    cluster.aws("nodes", &["system", "2"]);
    let nodes = cluster
        .until("two nodes", "/api/v1/nodes", |list| (names(list).len() == 2).then(|| list.clone()))
        .await;
    let label =
        |node: &Value, name: &str| node["metadata"]["labels"][name].as_str().unwrap_or_default().to_owned();
    let nodes = nodes["items"].as_array().unwrap();
    assert_ne!(
        label(&nodes[0], "topology.kubernetes.io/zone"),
        label(&nodes[1], "topology.kubernetes.io/zone")
    );
    for node in nodes {
        assert_eq!(label(node, "eks.amazonaws.com/nodegroup"), "system");
        assert_eq!(label(node, "team"), "system");
        assert_eq!(label(node, "node.kubernetes.io/instance-type"), "m5.large");
        assert_eq!(node["status"]["capacity"]["cpu"], "2");
        assert_eq!(node["status"]["capacity"]["pods"], "29");
    }
    let start = Instant::now();
    cluster
        .make_object("/apis/apps/v1/namespaces/default/deployments", deployment("web", "a/web:1", 3))
        .await;
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    cluster.until("three ready pods", path, |web| (web["status"]["readyReplicas"] == 3).then_some(())).await;
    println!("ready after {:?}", start.elapsed());
    // It shrinks with its group, and the pods move.
    cluster.aws("scale", &["system", "1"]);
    cluster.until("one node", "/api/v1/nodes", |list| (names(list).len() == 1).then_some(())).await;
    cluster.until("three ready pods", path, |web| (web["status"]["readyReplicas"] == 3).then_some(())).await;
}

#[tokio::test]
async fn the_word_in_an_image_decides_what_becomes_of_its_pod() {
    let cluster = Cluster::make("000000000502", "AmazonEKSClusterAdminPolicy");
    cluster.aws("nodes", &["system", "1"]);
    for word in ["crash", "missing", "unready", "fine"] {
        let object = deployment(word, &format!("a/b:{word}"), 1);
        cluster.make_object("/apis/apps/v1/namespaces/default/deployments", object).await;
    }
    let job = |name: &str| {
        let pod = json!({ "restartPolicy": "Never", "containers": [{ "name": "main", "image": format!("a/{name}") }] });
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": { "backoffLimit": 0, "template": { "spec": pod } } })
    };
    for name in ["fine", "crash"] {
        cluster.make_object("/apis/batch/v1/namespaces/default/jobs", job(name)).await;
    }
    let waits = |word: &'static str, reason: &'static str| {
        let path = format!("/api/v1/namespaces/default/pods?labelSelector=app%3D{word}");
        let cluster = &cluster;
        async move {
            let waiting = |list: &Value| {
                let container = &list["items"][0]["status"]["containerStatuses"][0];
                (container["state"]["waiting"]["reason"] == reason).then_some(())
            };
            cluster.until(reason, &path, waiting).await;
        }
    };
    waits("crash", "CrashLoopBackOff").await;
    waits("missing", "ImagePullBackOff").await;
    let unready = |list: &Value| {
        let pod = &list["items"][0]["status"];
        (pod["phase"] == "Running" && pod["containerStatuses"][0]["ready"] == false).then_some(())
    };
    cluster
        .until("an unready pod", "/api/v1/namespaces/default/pods?labelSelector=app%3Dunready", unready)
        .await;
    let deployment = "/apis/apps/v1/namespaces/default/deployments/fine";
    cluster.until("a ready pod", deployment, |it| (it["status"]["readyReplicas"] == 1).then_some(())).await;
    let job = |name: &str| format!("/apis/batch/v1/namespaces/default/jobs/{name}");
    cluster
        .until("a job that is done", &job("fine"), |it| (it["status"]["succeeded"] == 1).then_some(()))
        .await;
    cluster.until("a job that failed", &job("crash"), |it| (it["status"]["failed"] == 1).then_some(())).await;
}

#[tokio::test]
async fn an_access_entry_decides_what_a_token_may_do() {
    let mut cluster = Cluster::make("000000000503", "");
    let pods = "/api/v1/namespaces/default/pods";
    assert_eq!(cluster.ask(Method::GET, pods, None).await.0, 401);
    // Groups alone allow nothing; one namespace can be read, and no other.
    cluster.aws("enter", &["AmazonEKSViewPolicy", "default", "people"]);
    let allowed = async |cluster: &Cluster| {
        let start = Instant::now();
        while cluster.ask(Method::GET, pods, None).await.0 != 200 {
            assert!(start.elapsed() < Duration::from_secs(90));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    allowed(&cluster).await;
    assert_eq!(cluster.ask(Method::GET, "/api/v1/namespaces/kube-system/pods", None).await.0, 403);
    assert_eq!(cluster.ask(Method::POST, pods, Some(json!({}))).await.0, 403);
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let who = cluster.make_object("/apis/authentication.k8s.io/v1/selfsubjectreviews", review).await;
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], "arn:aws:iam::000000000503:user/moto");
    let groups = user["groups"].as_array().unwrap();
    assert!(
        groups.contains(&json!("people")) && groups.contains(&json!("system:authenticated")),
        "{groups:?}"
    );
    // A token that does not name the cluster in a signed header is none.
    let other = cluster.aws("token", &["x-other"]).as_str().unwrap().to_owned();
    let good = std::mem::replace(&mut cluster.token, other);
    assert_eq!(cluster.ask(Method::GET, pods, None).await.0, 401);
    // A session is its role, whatever the role's path, and its name goes into the user's.
    cluster.token = cluster.aws("role_token", &[]).as_str().unwrap().to_owned();
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let who = cluster.make_object("/apis/authentication.k8s.io/v1/selfsubjectreviews", review).await;
    assert_eq!(who["status"]["userInfo"]["username"], "000000000503:ada-home");
    cluster.token = good;
    allowed(&cluster).await;
    cluster.aws("leave", &[]);
    let start = Instant::now();
    while cluster.ask(Method::GET, pods, None).await.0 != 401 {
        assert!(start.elapsed() < Duration::from_secs(90));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_region_that_is_cut_off_takes_its_clusters_along() {
    let cluster = Cluster::make("000000000504", "AmazonEKSClusterAdminPolicy");
    cluster.get("/version").await;
    let (key, _) = sandbox().credentials(cluster.account).unwrap();
    let down = sandbox()
        .gateway()
        .rules()
        .add(Rule::new("*", Act::CutBefore).region(cluster.region).access_key(&key));
    let url = format!("{}/version", cluster.endpoint);
    // The connection that is open as well as a new one.
    for _ in 0..2 {
        assert!(cluster.http.get(&url).bearer_auth(&cluster.token).send().await.is_err());
    }
    sandbox().gateway().rules().remove(down);
    cluster.get("/version").await;
    // Cut by hand, what is open ends, and what comes next is served.
    let watch = format!("{}/api/v1/nodes?watch=1", cluster.endpoint);
    let mut watch = cluster.http.get(watch).bearer_auth(&cluster.token).send().await.unwrap();
    sandbox().cluster(cluster.account, cluster.region, cluster.name).unwrap().cut();
    assert!(watch.chunk().await.is_err());
    cluster.get("/version").await;
    // A cluster that is gone answers nothing, and one of the same name begins anew.
    let path = "/api/v1/namespaces/default/configmaps";
    let object = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "mine" } });
    cluster.make_object(path, object).await;
    let http = cluster.http.clone();
    drop(cluster);
    assert!(http.get(&url).send().await.is_err());
    let again = Cluster::make("000000000504", "AmazonEKSClusterAdminPolicy");
    assert!(!names(&again.get(path).await).contains(&"mine".to_owned()));
}

#[tokio::test]
async fn api_servers_of_several_versions_check_manifests() {
    for version in [Version::Oldest, Version::Newest] {
        let server = sandbox().api_server(version).await.unwrap();
        let file: Value =
            serde_json::from_str(&std::fs::read_to_string(server.kubeconfig()).unwrap()).unwrap();
        let text = |at: &Value| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            STANDARD.decode(at.as_str().unwrap()).unwrap()
        };
        let (cluster, user) = (&file["clusters"][0]["cluster"], &file["users"][0]["user"]);
        let identity = [text(&user["client-certificate-data"]), text(&user["client-key-data"])].concat();
        let authority =
            reqwest::Certificate::from_pem(&text(&cluster["certificate-authority-data"])).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .identity(reqwest::Identity::from_pem(&identity).unwrap())
            .build()
            .unwrap();
        let ask = async |object: &Value| {
            let path = "apis/apps/v1/namespaces/default/deployments?dryRun=All&fieldValidation=Strict";
            let request =
                http.post(format!("{}/{path}", server.url())).header("content-type", "application/json");
            let answer = request.body(object.to_string()).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let said = http.get(format!("{}/version", server.url())).send().await.unwrap().text().await.unwrap();
        assert!(said.contains(version.number()), "{said}");
        let mut object = deployment("web", "a/web", 1);
        assert_eq!(ask(&object).await.0, 201);
        object["spec"]["replica"] = 1.into();
        let (status, said) = ask(&object).await;
        assert!(status == 400 && said.contains("unknown field \\\"spec.replica\\\""), "{status} {said}");
    }
}
