//! What an API server reaches inside its cluster: it dials pods and kubelets through this proxy, and here they are played.
//!
//! A pod that is ready answers as a webhook that allows everything, converts by changing the version, and is a metrics API
//! without metrics; with the certificate of the first TLS secret that it mounts, or with one of cert-manager's stand-in. Where
//! a program runs for it ([`Cluster::run`](super::Cluster::run)), that one answers. A kubelet gives logs. Nobody answers at any
//! other address, as when no pod is behind a Service.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;

use super::authority::{Authority, Identity};
use super::world::{NODES, PODS, SECRETS, World, each, is_ready};
use super::{Behaviour, Controller, Inner, tls};
use crate::gateway::BoxError;

/// The port of kubelets.
const KUBELET: u16 = 10250;

/// The proxy of one control plane.
pub(super) struct Tunnel {
    pub(super) world: Arc<World>,
    /// Whom the API server trusts as its proxy.
    pub(super) identity: Identity,
    /// Signs for pods without a certificate.
    pub(super) vouching: Arc<Authority>,
    pub(super) cluster: Weak<Inner>,
}

impl Tunnel {
    /// Serves for ever.
    pub(super) async fn serve(self, listener: TcpListener) {
        let tunnel = Arc::new(self);
        let Ok(acceptor) = tls::acceptor(&tunnel.identity) else { return };
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let (tunnel, acceptor) = (tunnel.clone(), acceptor.clone());
                    connections.spawn(async move {
                        let served = async { tunnel.connection(acceptor.accept(stream).await?).await };
                        if let Err(error) = served.await {
                            tracing::debug!(error, "the tunnel");
                        }
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    fn behaviour(&self) -> Behaviour {
        self.cluster.upgrade().map_or(Behaviour::Down, |cluster| cluster.behaviour(Controller::Webhooks))
    }

    async fn connection(&self, mut stream: TlsStream<TcpStream>) -> Result<(), BoxError> {
        let head = head(&mut stream).await?;
        let target =
            head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        let Ok(address) = target.parse::<SocketAddr>() else {
            return refuse(&mut stream, &format!("{target} is no address")).await;
        };
        let host = address.ip().to_string();
        // Webhooks like this port too, at the address of a pod.
        if address.port() == KUBELET && self.world.all(NODES).iter().any(|node| is_at(node, &host)) {
            stream.write_all(ESTABLISHED).await?;
            return self.kubelet(stream).await;
        }
        let pods = self.world.all(PODS);
        let found = pods.iter().find(|pod| is_ready(pod) && pod["status"]["podIP"] == *host);
        let Some(pod) = found.filter(|_| self.behaviour() != Behaviour::Down) else {
            return refuse(&mut stream, &format!("dial tcp {address}: connect: connection refused")).await;
        };
        if let Some(program) = self.cluster.upgrade().and_then(|cluster| cluster.program_of(pod)) {
            let mut program = match TcpStream::connect(program).await {
                Ok(program) => program,
                Err(error) => return refuse(&mut stream, &format!("dial tcp {address}: {error}")).await,
            };
            stream.write_all(ESTABLISHED).await?;
            tokio::io::copy_bidirectional(&mut stream, &mut program).await?;
            return Ok(());
        }
        stream.write_all(ESTABLISHED).await?;
        self.pod(stream, pod).await
    }

    async fn pod(&self, stream: TlsStream<TcpStream>, pod: &Arc<Value>) -> Result<(), BoxError> {
        // Whom the caller means is in its greeting, before it is shown a certificate.
        let start = tokio_rustls::LazyConfigAcceptor::new(Default::default(), stream).await?;
        let name = start.client_hello().server_name().unwrap_or("pod").to_owned();
        let identity = match self.mounted(pod) {
            Some(identity) => identity,
            None => self.vouching.server(&name, std::slice::from_ref(&name))?,
        };
        let stream = start.into_stream(tls::config(&identity)?).await?;
        let service = service_fn(|request| answer(request, self.behaviour()));
        Ok(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
    }

    /// The certificate in the first TLS secret that a pod mounts.
    fn mounted(&self, pod: &Value) -> Option<Identity> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let namespace = pod["metadata"]["namespace"].as_str()?;
        each(&pod["spec"]["volumes"]).find_map(|volume| {
            let secret = self
                .world
                .get(SECRETS, &format!("{namespace}/{}", volume["secret"]["secretName"].as_str()?))?;
            let text =
                |name: &str| String::from_utf8(STANDARD.decode(secret["data"][name].as_str()?).ok()?).ok();
            Some(Identity { certificate: text("tls.crt")?, key: text("tls.key")? })
        })
    }

    async fn kubelet(&self, stream: TlsStream<TcpStream>) -> Result<(), BoxError> {
        let name = "kubelet".to_owned();
        let identity = self.vouching.server(&name, std::slice::from_ref(&name))?;
        let stream = tls::acceptor(&identity)?.accept(stream).await?;
        let service = service_fn(async |request: Request<Incoming>| {
            let mut parts = request.uri().path().trim_matches('/').split('/');
            let known = match (parts.next(), parts.next(), parts.next(), parts.next()) {
                (Some("containerLogs"), Some(namespace), Some(pod), Some(container)) => {
                    self.world.get(PODS, &format!("{namespace}/{pod}")).map(|pod| log(&pod, container))
                }
                _ => None,
            };
            let mut response = Response::new(Full::new(Bytes::from(known.clone().unwrap_or_default())));
            if known.is_none() {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            Ok::<_, std::convert::Infallible>(response)
        });
        Ok(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?)
    }
}

fn is_at(node: &Value, address: &str) -> bool {
    each(&node["status"]["addresses"]).any(|one| one["type"] == "InternalIP" && one["address"] == address)
}

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection Established\r\n\r\n";

/// Reads up to the empty line, and nothing of what follows.
async fn head(stream: &mut TlsStream<TcpStream>) -> Result<String, BoxError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 8 << 10 {
            return Err("the head of a request is too long".into());
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn refuse(stream: &mut TlsStream<TcpStream>, why: &str) -> Result<(), BoxError> {
    let answer = format!("HTTP/1.1 502 {why}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// What a container has printed: nothing runs in it, so what its image's name makes of it.
fn log(pod: &Value, container: &str) -> String {
    let containers = each(&pod["spec"]["containers"]).chain(each(&pod["spec"]["initContainers"]));
    let image = containers.filter(|one| one["name"] == container).find_map(|one| one["image"].as_str());
    let image = image.unwrap_or_default();
    let end = if image.contains("crash") { "the sandbox ends this container with exit code 1\n" } else { "" };
    format!("the sandbox plays {image}\n{end}")
}

async fn answer(request: Request<Incoming>, behaviour: Behaviour) -> Result<Response<Full<Bytes>>, BoxError> {
    if behaviour == Behaviour::Down {
        return Err("this webhook is turned off".into());
    }
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    if let Behaviour::Slow(time) = behaviour {
        pause(time).await;
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let told = match asked["kind"].as_str() {
        Some("AdmissionReview") => admission(&path, &asked, behaviour),
        Some("ConversionReview") => conversion(&asked),
        _ if path.starts_with("/apis/metrics.k8s.io/v1beta1") => metrics(&path),
        _ => json!({}),
    };
    let mut response = Response::new(Full::new(Bytes::from(told.to_string())));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Waits as long as a webhook that is told to be slow.
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

fn admission(path: &str, asked: &Value, behaviour: Behaviour) -> Value {
    let mut response = json!({ "uid": asked["request"]["uid"], "allowed": behaviour != Behaviour::Fails });
    if behaviour == Behaviour::Fails {
        response["status"] = json!({ "code": 403, "message": "the sandbox was told to refuse it" });
    }
    // The load balancer controller takes Services over that name no other.
    // <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/nlb/>
    let object = &asked["request"]["object"];
    let new = asked["request"]["operation"] == "CREATE" && object["spec"]["loadBalancerClass"].is_null();
    if path.starts_with("/mutate-v1-service") && new && object["spec"]["type"] == "LoadBalancer" {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let patch =
            json!([{ "op": "add", "path": "/spec/loadBalancerClass", "value": "service.k8s.aws/nlb" }]);
        response["patchType"] = "JSONPatch".into();
        response["patch"] = STANDARD.encode(patch.to_string()).into();
    }
    // In the version that it was asked in: an API server takes no other.
    json!({ "apiVersion": asked["apiVersion"], "kind": "AdmissionReview", "response": response })
}

fn conversion(asked: &Value) -> Value {
    let wanted = &asked["request"]["desiredAPIVersion"];
    let convert = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = wanted.clone();
        object
    };
    let objects: Vec<Value> = each(&asked["request"]["objects"]).map(convert).collect();
    json!({
        "apiVersion": asked["apiVersion"],
        "kind": "ConversionReview",
        "response": { "uid": asked["request"]["uid"], "convertedObjects": objects, "result": { "status": "Success" } },
    })
}

fn metrics(path: &str) -> Value {
    let group = "metrics.k8s.io/v1beta1";
    let list = |kind: &str| json!({ "kind": kind, "apiVersion": group, "metadata": {}, "items": [] });
    match path.rsplit('/').next() {
        Some("nodes") => list("NodeMetricsList"),
        Some("pods") => list("PodMetricsList"),
        _ => json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group,
            "resources": [
                { "name": "nodes", "singularName": "", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get", "list"] },
                { "name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"] },
            ],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_of_no_class_is_taken_over_when_it_is_made() {
        let review = |class: Value| {
            let object = json!({ "spec": { "type": "LoadBalancer", "loadBalancerClass": class } });
            json!({ "kind": "AdmissionReview", "request": { "uid": "1", "operation": "CREATE", "object": object } })
        };
        let told = |asked: &Value, path: &str| admission(path, asked, Behaviour::Works)["response"].clone();
        let taken = told(&review(Value::Null), "/mutate-v1-service");
        assert_eq!(taken["allowed"], true);
        assert_eq!(taken["patchType"], "JSONPatch");
        assert!(told(&review(json!("other")), "/mutate-v1-service")["patch"].is_null());
        assert!(told(&review(Value::Null), "/validate")["patch"].is_null());
        assert_eq!(admission("/", &review(Value::Null), Behaviour::Fails)["response"]["allowed"], false);
    }

    #[test]
    fn a_conversion_changes_the_version_only() {
        let asked = json!({ "request": { "uid": "1", "desiredAPIVersion": "a/v2", "objects": [{ "apiVersion": "a/v1", "x": 1 }] } });
        assert_eq!(
            conversion(&asked)["response"]["convertedObjects"],
            json!([{ "apiVersion": "a/v2", "x": 1 }])
        );
    }
}
