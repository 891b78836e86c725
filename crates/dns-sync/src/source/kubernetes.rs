//! Load balancers of Services and Ingresses in a Kubernetes cluster.

use super::{Answer, Found, Source, SourceError, Waiting};
use crate::config::ClusterConfig;
use causeway_dns::Class;
use futures::future::BoxFuture;
use k8s_openapi::api::{
    core::v1::Service,
    networking::v1::{Ingress, IngressLoadBalancerIngress},
};
use kube::{
    Api, Client, Config, Resource, ResourceExt,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::de::DeserializeOwned;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::OnceCell;

/// How long the API server may take to be reached.
const CONNECT: Duration = Duration::from_secs(5);

/// How long it may take to say something.
const READ: Duration = Duration::from_secs(20);

/// Objects of a page.
const PAGE: u32 = 500;

/// What our annotations begin with, and those of external-dns. Ours count where both are there.
const PREFIXES: [&str; 2] = ["causeway.dev/", "external-dns.alpha.kubernetes.io/"];

/// A cluster.
pub struct Kubernetes {
    label: String,
    config: ClusterConfig,
    folder: PathBuf,
    client: OnceCell<Client>,
}

/// What counts of a Service or an Ingress.
struct Balanced {
    kind: &'static str,
    key: String,
    annotations: BTreeMap<String, String>,
    hosts: Vec<String>,
    targets: Vec<String>,
    /// Why it has no load balancer and will have none.
    without: Option<&'static str>,
}

/// Speaks to the cluster of `config`, or to the one that this program runs in. `folder` is where a relative path starts.
pub(crate) async fn connect(config: Option<&ClusterConfig>, folder: &Path) -> Result<Client, SourceError> {
    let mut client = match config.and_then(|config| Some((config, config.kubeconfig.as_ref()?))) {
        None => Config::incluster().map_err(|e| SourceError::new("finding the cluster around us", e))?,
        Some((config, path)) => {
            let path = folder.join(path);
            let act = || format!("reading {}", path.display());
            let file = Kubeconfig::read_from(&path).map_err(|e| SourceError::new(act(), e))?;
            let options = KubeConfigOptions { context: config.context.clone(), ..Default::default() };
            let client = Config::from_custom_kubeconfig(file, &options).await;
            client.map_err(|e| SourceError::new(act(), e))?
        }
    };
    (client.connect_timeout, client.read_timeout) = (Some(CONNECT), Some(READ));
    Client::try_from(client).map_err(|e| SourceError::new("making a client of the cluster", e))
}

impl Kubernetes {
    /// The cluster `name`. `folder` is where a relative path of a kubeconfig starts.
    pub fn new(name: &str, config: ClusterConfig, folder: &Path) -> Self {
        let (label, folder) = (format!("clusters/{name}"), folder.to_owned());
        Kubernetes { label, config, folder, client: OnceCell::new() }
    }

    async fn list<K>(&self, client: &Client) -> Result<Vec<K>, SourceError>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let apis: Vec<Api<K>> = match self.config.namespaces.as_slice() {
            [] => vec![Api::all(client.clone())],
            some => some.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
        };
        let mut out = vec![];
        for api in apis {
            let mut params = ListParams::default().limit(PAGE);
            loop {
                let act = || format!("listing {}", K::plural(&()));
                let page = api.list(&params).await.map_err(|e| SourceError::new(act(), e))?;
                let next = page.metadata.continue_.clone().filter(|token| !token.is_empty());
                out.extend(page.items);
                match next {
                    Some(token) => params = params.continue_token(&token),
                    None => break,
                }
            }
        }
        Ok(out)
    }

    async fn look(&self) -> Result<Answer, SourceError> {
        let client = self.client.get_or_try_init(|| connect(Some(&self.config), &self.folder)).await?;
        let services: Vec<Service> = self.list(client).await?;
        let mut balanced: Vec<Balanced> = services.into_iter().map(of_service).collect();
        // Who may only read Services need not be told about Ingresses.
        if self.config.annotations || self.config.ingress_hosts || !self.config.ingresses.is_empty() {
            let ingresses: Vec<Ingress> = self.list(client).await?;
            balanced.extend(ingresses.into_iter().map(of_ingress));
        }
        Ok(self.answer(&balanced))
    }

    fn answer(&self, all: &[Balanced]) -> Answer {
        let mut answer = Answer::default();
        for one in all {
            for name in self.names_of(one) {
                self.tell(&mut answer, one, name);
            }
        }
        for (kind, named) in [("Service", &self.config.services), ("Ingress", &self.config.ingresses)] {
            for (key, names) in named {
                if !all.iter().any(|one| one.kind == kind && one.key == *key) {
                    let why = || format!("there is no {kind} `{key}`");
                    let waiting = names.iter().map(|name| Waiting { name: name.clone(), why: why() });
                    answer.waiting.extend(waiting);
                }
            }
        }
        answer
    }

    /// The names of `one`, each once.
    fn names_of(&self, one: &Balanced) -> BTreeSet<String> {
        let named = if one.kind == "Service" { &self.config.services } else { &self.config.ingresses };
        let mut names: BTreeSet<String> = named.get(&one.key).into_iter().flatten().cloned().collect();
        if self.config.annotations && one.without.is_none() {
            let said = annotation(one, "hostname").unwrap_or_default();
            names.extend(said.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned));
        }
        if self.config.ingress_hosts {
            names.extend(one.hosts.iter().cloned());
        }
        names
    }

    fn tell(&self, answer: &mut Answer, one: &Balanced, name: String) {
        let by = format!("{} {}", one.kind, one.key);
        let target = annotation(one, "target").filter(|_| self.config.annotations);
        let targets: Vec<String> = match target {
            Some(said) => said.split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect(),
            None => one.targets.clone(),
        };
        if targets.is_empty() {
            let why = one.without.unwrap_or("has no load balancer yet");
            answer.waiting.push(Waiting { name, why: format!("{by} {why}") });
            return;
        }
        let ttl = annotation(one, "ttl").map(str::parse::<u32>);
        if let Some(Err(_)) = ttl {
            let why = format!("the annotation `ttl` of {by} is not a number of seconds");
            answer.waiting.push(Waiting { name, why });
            return;
        }
        let proxied = annotation(one, "cloudflare-proxied").map(|text| text == "true");
        let ttl = ttl.and_then(Result::ok);
        answer.found.push(Found { name, class: Class::Address, values: targets, ttl, proxied, by });
    }
}

fn annotation<'b>(one: &'b Balanced, key: &str) -> Option<&'b str> {
    let said = PREFIXES.iter().find_map(|prefix| one.annotations.get(&format!("{prefix}{key}")));
    said.map(String::as_str)
}

/// Names before addresses: a load balancer that has both is better followed by its name.
fn targets(ingress: impl IntoIterator<Item = (Option<String>, Option<String>)>) -> Vec<String> {
    let (names, ips): (Vec<_>, Vec<_>) = ingress.into_iter().unzip();
    let names: BTreeSet<String> = names.into_iter().flatten().filter(|n| !n.is_empty()).collect();
    let ips: BTreeSet<String> = ips.into_iter().flatten().filter(|n| !n.is_empty()).collect();
    if names.is_empty() { ips.into_iter().collect() } else { names.into_iter().collect() }
}

fn key<K: ResourceExt>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn of_service(service: Service) -> Balanced {
    let is_balanced = service.spec.as_ref().and_then(|s| s.type_.as_deref()) == Some("LoadBalancer");
    let status = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let ingress = status.and_then(|l| l.ingress.clone()).unwrap_or_default();
    Balanced {
        kind: "Service",
        key: key(&service),
        annotations: service.annotations().clone(),
        hosts: vec![],
        targets: if is_balanced { targets(ingress.into_iter().map(|i| (i.hostname, i.ip))) } else { vec![] },
        without: (!is_balanced).then_some("is not of type LoadBalancer"),
    }
}

fn of_ingress(ingress: Ingress) -> Balanced {
    let status = ingress.status.as_ref().and_then(|s| s.load_balancer.as_ref());
    let at: Vec<IngressLoadBalancerIngress> = status.and_then(|l| l.ingress.clone()).unwrap_or_default();
    let rules = ingress.spec.iter().flat_map(|s| s.rules.iter().flatten());
    Balanced {
        kind: "Ingress",
        key: key(&ingress),
        annotations: ingress.annotations().clone(),
        hosts: rules.filter_map(|rule| rule.host.clone()).filter(|host| !host.is_empty()).collect(),
        targets: targets(at.into_iter().map(|i| (i.hostname, i.ip))),
        without: None,
    }
}

impl Source for Kubernetes {
    fn label(&self) -> &str {
        &self.label
    }

    fn names(&self) -> Vec<String> {
        self.config.services.values().chain(self.config.ingresses.values()).flatten().cloned().collect()
    }

    fn read(&self) -> BoxFuture<'_, Result<Answer, SourceError>> {
        Box::pin(self.look())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cluster(config: serde_json::Value) -> Kubernetes {
        Kubernetes::new("ohio", serde_json::from_value(config).unwrap(), Path::new("."))
    }

    fn service(annotations: serde_json::Value, kind: &str, ingress: serde_json::Value) -> Balanced {
        let object = json!({
            "metadata": {"name": "coder", "namespace": "coder", "annotations": annotations},
            "spec": {"type": kind},
            "status": {"loadBalancer": {"ingress": ingress}},
        });
        of_service(serde_json::from_value(object).unwrap())
    }

    fn told(answer: &Answer) -> Vec<String> {
        let found = answer.found.iter().map(|f| format!("{} -> {}", f.name, f.values.join(" ")));
        found.chain(answer.waiting.iter().map(|w| format!("{}: {}", w.name, w.why))).collect()
    }

    #[test]
    fn annotations_and_the_configuration_give_names() {
        let cluster =
            cluster(json!({"services": {"coder/coder": ["b.example.com"], "coder/none": ["c.example.com"]}}));
        let one = service(
            json!({"causeway.dev/hostname": "a.example.com, *.a.example.com",
                   "external-dns.alpha.kubernetes.io/hostname": "not-this.example.com"}),
            "LoadBalancer",
            json!([{"hostname": "lb.example.net", "ip": "192.0.2.1"}]),
        );
        assert_eq!(
            told(&cluster.answer(&[one])),
            [
                "*.a.example.com -> lb.example.net",
                "a.example.com -> lb.example.net",
                "b.example.com -> lb.example.net",
                "c.example.com: there is no Service `coder/none`",
            ]
        );
    }

    #[test]
    fn the_annotations_of_external_dns_are_read() {
        let of = |key: &str| format!("external-dns.alpha.kubernetes.io/{key}");
        let annotations = json!({
            of("hostname"): "a.example.com", of("target"): "edge.example.net", of("ttl"): "60",
            of("cloudflare-proxied"): "true",
        });
        let answer = cluster(json!({})).answer(&[service(annotations, "LoadBalancer", json!([]))]);
        let found = &answer.found[0];
        assert_eq!(
            (found.values.as_slice(), found.ttl, found.proxied),
            (&["edge.example.net".to_owned()][..], Some(60), Some(true))
        );
    }

    #[test]
    fn what_has_no_load_balancer_is_waited_for_and_what_never_will_gives_no_name_by_itself() {
        let annotations = json!({"causeway.dev/hostname": "a.example.com"});
        let pending = service(annotations.clone(), "LoadBalancer", json!([]));
        let inner = service(annotations.clone(), "ClusterIP", json!([]));
        let bad = service(
            json!({"causeway.dev/hostname": "a.example.com", "causeway.dev/ttl": "soon"}),
            "LoadBalancer",
            json!([{"ip": "192.0.2.1"}]),
        );
        let cluster = cluster(json!({}));
        assert_eq!(
            told(&cluster.answer(&[pending])),
            ["a.example.com: Service coder/coder has no load balancer yet"]
        );
        assert_eq!(told(&cluster.answer(&[inner])), [""; 0]);
        let says = "a.example.com: the annotation `ttl` of Service coder/coder is not a number of seconds";
        assert_eq!(told(&cluster.answer(&[bad])), [says]);
    }
}
