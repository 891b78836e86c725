//! Services in three clusters: one API server, a namespace for each of them.

use crate::world::World;
use base64::{Engine, prelude::BASE64_STANDARD};
use causeway_sandbox::{
    kubernetes::{ApiServer, Version},
    shared,
};
use k8s_openapi::api::{
    core::v1::{Namespace, Service},
    networking::v1::Ingress,
};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value as Json, json};
use tokio::sync::OnceCell;

/// One for all tests.
async fn server() -> &'static ApiServer {
    static SERVER: OnceCell<ApiServer> = OnceCell::const_new();
    SERVER
        .get_or_init(async || {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            let sandbox = shared().unwrap_or_else(|e| panic!("{e}"));
            sandbox.api_server(Version::Newest).await.unwrap()
        })
        .await
}

/// Clusters of a test, each a namespace `TEST-NAME` and a kubeconfig `NAME.kubeconfig` in the world's folder.
pub(crate) struct Clusters {
    pub(crate) client: Client,
    test: &'static str,
    kubeconfig: String,
}

impl Clusters {
    pub(crate) async fn new(test: &'static str, names: &[&str], world: &World) -> Clusters {
        let server = server().await;
        let kubeconfig = std::fs::read_to_string(server.kubeconfig()).unwrap();
        let file = Kubeconfig::read_from(server.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let clusters = Clusters { client, test, kubeconfig };
        for name in names {
            clusters.heal(name, world);
            let namespace = json!({"metadata": {"name": clusters.namespace(name)}});
            let api: Api<Namespace> = Api::all(clusters.client.clone());
            api.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        }
        clusters
    }

    pub(crate) fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.test)
    }

    /// Where the API server is, and what it is to be trusted by, in PEM.
    pub(crate) fn server(&self) -> (String, Vec<u8>) {
        let file = Kubeconfig::from_yaml(&self.kubeconfig).unwrap();
        let cluster = file.clusters[0].cluster.clone().unwrap();
        let certificate = cluster.certificate_authority_data.unwrap();
        (cluster.server.unwrap(), BASE64_STANDARD.decode(certificate).unwrap())
    }

    /// The cluster `name` is not to be reached any more.
    pub(crate) fn cut(&self, name: &str, world: &World) {
        let url = self.kubeconfig.split("\"server\": \"").nth(1).unwrap().split('"').next().unwrap();
        world.write(&format!("{name}.kubeconfig"), &self.kubeconfig.replace(url, "https://127.0.0.1:1"));
    }

    pub(crate) fn heal(&self, name: &str, world: &World) {
        world.write(&format!("{name}.kubeconfig"), &self.kubeconfig);
    }

    /// Has the API server do what no type is made for, and answers with what it says.
    pub(crate) async fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> Json {
        let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.body(body.as_bytes().to_vec()).unwrap();
        self.client.request(request).await.unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// As the configuration names it.
    pub(crate) fn table(&self, name: &str) -> String {
        format!(
            "[clusters.{name}]\nkubeconfig = \"{name}.kubeconfig\"\nnamespaces = [\"{}\"]\n",
            self.namespace(name)
        )
    }

    fn services(&self, name: &str) -> Api<Service> {
        Api::namespaced(self.client.clone(), &self.namespace(name))
    }

    /// A Service `coder` of type LoadBalancer, which nobody looks after.
    pub(crate) async fn service(&self, cluster: &str, annotations: Json) {
        let object = json!({
            "metadata": {"name": "coder", "annotations": annotations},
            "spec": {"type": "LoadBalancer", "loadBalancerClass": "example.com/none", "ports": [{"port": 443}]},
        });
        let object = serde_json::from_value(object).unwrap();
        self.services(cluster).create(&PostParams::default(), &object).await.unwrap();
    }

    /// Its load balancer is at `host` now.
    pub(crate) async fn balanced(&self, cluster: &str, host: Option<&str>) {
        let ingress: Vec<Json> = host.into_iter().map(|host| json!({"hostname": host})).collect();
        let status = json!({"status": {"loadBalancer": {"ingress": ingress}}});
        let params = PatchParams::default();
        self.services(cluster).patch_status("coder", &params, &Patch::Merge(&status)).await.unwrap();
    }

    /// An Ingress `web` for `hosts`, whose load balancer is at `target`.
    pub(crate) async fn ingress(&self, cluster: &str, annotations: Json, hosts: &[&str], target: Json) {
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &self.namespace(cluster));
        let backend = json!({"service": {"name": "coder", "port": {"number": 443}}});
        let paths = json!([{"path": "/", "pathType": "Prefix", "backend": backend}]);
        let rules: Vec<Json> =
            hosts.iter().map(|host| json!({"host": host, "http": {"paths": paths}})).collect();
        let object = json!({
            "metadata": {"name": "web", "annotations": annotations},
            "spec": {"rules": rules, "defaultBackend": backend},
        });
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        let status = json!({"status": {"loadBalancer": {"ingress": [target]}}});
        api.patch_status("web", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }

    pub(crate) async fn remove(&self, cluster: &str) {
        self.services(cluster).delete("coder", &Default::default()).await.unwrap();
    }
}
