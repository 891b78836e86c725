//! How the programs of a control plane are started.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::authority::{Authority, Identity};
use super::client::{self, Client};
use super::install::Programs;
use super::kubeconfig::{kubeconfig, webhook};
use crate::Error;
use crate::gateway::BoxError;
use crate::supervise::{Check, Ground, Process, Program};

/// The range of Services on EKS, unless the VPC uses it.
const SERVICES: &str = "172.20.0.0/16";
/// Where answers about tokens are not asked for again; seconds here, so that a change of an access entry shows.
const TOKEN_CACHE: &str = "2s";
const STAGES: &str = include_str!("stages.yaml");

/// What an API server is to be.
pub(crate) struct Spec<'a> {
    /// For the names of logs, and for the prefix of its keys in etcd.
    pub(crate) id: &'a str,
    pub(crate) authority: &'a Authority,
    /// A folder of its own.
    pub(crate) folder: &'a Path,
    /// Who signs service accounts' tokens.
    pub(crate) issuer: &'a str,
    /// Where tokens that it does not know are reviewed.
    pub(crate) review: Option<&'a str>,
    /// The proxy through which it speaks to Services and nodes.
    pub(crate) tunnel: Option<SocketAddr>,
    /// Whether no controllers run beside it.
    pub(crate) alone: bool,
}

/// A running API server.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    /// As an administrator.
    pub(crate) client: Client,
}

fn program(ground: &Ground, name: String, command: &Path, arguments: Vec<String>) -> Program {
    Program {
        log: ground.log(&name),
        name,
        command: command.to_owned(),
        arguments: arguments.into_iter().map(OsString::from).collect(),
        environment: vec![("NO_PROXY", "127.0.0.1,localhost".into())],
        user: None,
        // An orderly end takes the API server seconds, and nothing of it is kept.
        signal: "KILL",
        grace: Duration::from_secs(1),
    }
}

/// Starts the etcd of a sandbox.
pub(crate) async fn etcd(
    ground: &Ground,
    programs: &Programs,
    folder: &Path,
) -> Result<(Process, SocketAddr), Error> {
    let data = folder.join("etcd");
    let start = |port: u16| {
        let url = format!("http://127.0.0.1:{port}");
        let arguments = vec![
            format!("--data-dir={}", data.display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            // It has no peers, and port 0 takes any.
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            "--log-level=warn".to_owned(),
            // What is lost with the machine is lost with the sandbox.
            "--unsafe-no-fsync".to_owned(),
        ];
        program(ground, "etcd".into(), &programs.etcd, arguments)
    };
    ground.serve(&Check::Http("/health"), start).await
}

/// Makes a folder that only we can read, for keys.
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file that only we can read.
pub(crate) fn write(path: PathBuf, text: &str) -> std::io::Result<PathBuf> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
    file.write_all(text.as_bytes())?;
    Ok(path)
}

fn write_identity(folder: &Path, name: &str, identity: &Identity) -> std::io::Result<[String; 2]> {
    let certificate = write(folder.join(format!("{name}.crt")), &identity.certificate)?;
    let key = write(folder.join(format!("{name}.key")), &identity.key)?;
    Ok([certificate.display().to_string(), key.display().to_string()])
}

/// Starts an API server and waits until it is ready.
pub(crate) async fn api_server(
    ground: &Ground,
    programs: &Programs,
    etcd: SocketAddr,
    spec: &Spec<'_>,
) -> Result<Server, Error> {
    let failed = |source: BoxError| Error::Cluster { act: "prepare", name: spec.id.to_owned(), source };
    let common = api_server_arguments(etcd, spec).map_err(failed)?;
    let admin =
        spec.authority.client("causeway-sandbox", Some("system:masters")).map_err(|e| failed(e.into()))?;
    let client = |base: String| {
        Client::new(base, spec.authority.certificate(), &admin).map_err(|error| failed(error.into()))
    };
    let check = Check::Ready(client(String::new())?);
    let start = |port: u16| {
        let mut arguments = common.clone();
        arguments.push(format!("--secure-port={port}"));
        program(ground, format!("kube-apiserver-{}", spec.id), &programs.apiserver, arguments)
    };
    let (process, address) = ground.serve(&check, start).await?;
    let client = client(format!("https://{address}"))?;
    Ok(Server { process, address, client })
}

fn api_server_arguments(etcd: SocketAddr, spec: &Spec<'_>) -> Result<Vec<String>, BoxError> {
    let folder = spec.folder;
    private_folder(folder)?;
    let names = [
        "127.0.0.1",
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "172.20.0.1",
    ];
    let server = spec.authority.server("kube-apiserver", &names.map(str::to_owned))?;
    let [server, server_key] = write_identity(folder, "server", &server)?;
    let authority = write_identity(folder, "ca", &spec.authority.identity())?;
    let signer = rcgen::KeyPair::generate()?;
    let signing = write(folder.join("tokens.key"), &signer.serialize_pem())?;
    let verifying = write(folder.join("tokens.pub"), &signer.public_key_pem())?;
    let proxy = spec.authority.client("front-proxy-client", None)?;
    let [proxy, proxy_key] = write_identity(folder, "proxy", &proxy)?;
    let mut arguments = vec![
        format!("--etcd-servers=http://{etcd}"),
        format!("--etcd-prefix=/{}", spec.id),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--tls-cert-file={server}"),
        format!("--tls-private-key-file={server_key}"),
        format!("--client-ca-file={}", authority[0]),
        format!("--service-account-issuer={}", spec.issuer),
        format!("--service-account-signing-key-file={}", signing.display()),
        format!("--service-account-key-file={}", verifying.display()),
        "--authorization-mode=Node,RBAC".to_owned(),
        // The address of the Service `kubernetes` may not be one of loopback, and nothing here uses it.
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--requestheader-client-ca-file={}", authority[0]),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!("--proxy-client-cert-file={proxy}"),
        format!("--proxy-client-key-file={proxy_key}"),
        "--allow-privileged=true".to_owned(),
        // As on EKS, whose control planes are outside the network of Services.
        "--enable-aggregator-routing=true".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--profiling=false".to_owned(),
        // A busy machine must not make the server refuse what a test asks at once.
        "--max-requests-inflight=2000".to_owned(),
    ];
    if spec.alone {
        arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
    }
    if let Some(review) = spec.review {
        let file = write(folder.join("review.kubeconfig"), &webhook(review))?;
        arguments.push(format!("--authentication-token-webhook-config-file={}", file.display()));
        arguments.push("--authentication-token-webhook-version=v1".to_owned());
        arguments.push(format!("--authentication-token-webhook-cache-ttl={TOKEN_CACHE}"));
    }
    if let Some(tunnel) = spec.tunnel {
        let egress = serde_json::json!({
            "apiVersion": "apiserver.k8s.io/v1beta1",
            "kind": "EgressSelectorConfiguration",
            "egressSelections": [{ "name": "cluster", "connection": {
                "proxyProtocol": "HTTPConnect",
                "transport": { "tcp": {
                    "url": format!("https://{tunnel}"),
                    "tlsConfig": { "caBundle": authority[0], "clientCert": proxy, "clientKey": proxy_key },
                } },
            } }],
        });
        let file = write(folder.join("egress.json"), &egress.to_string())?;
        arguments.push(format!("--egress-selector-config-file={}", file.display()));
    }
    Ok(arguments)
}

/// Starts the controllers, the scheduler and KWOK of an API server, and sees to it that pods can be made. Each is handed to
/// `keep` as soon as it runs.
pub(crate) async fn controllers(
    ground: &Ground,
    programs: &Programs,
    spec: &Spec<'_>,
    server: (SocketAddr, &Client),
    keep: &(dyn Fn(Process) + Sync),
) -> Result<(), Error> {
    let failed = |source: BoxError| Error::Cluster { act: "prepare", name: spec.id.to_owned(), source };
    let (address, client) = server;
    let url = format!("https://{address}");
    let file = |user: &str, group: Option<&str>| -> Result<String, BoxError> {
        let identity = spec.authority.client(user, group)?;
        let text = kubeconfig(spec.id, &url, spec.authority.certificate(), &identity);
        let name = user.rsplit(':').next().unwrap_or(user);
        Ok(write(spec.folder.join(format!("{name}.kubeconfig")), &text)?.display().to_string())
    };
    let at = |name: &str| spec.folder.join(name).display().to_string();

    let manager = file("system:kube-controller-manager", None).map_err(failed)?;
    let arguments = vec![
        format!("--kubeconfig={manager}"),
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", at("tokens.key")),
        format!("--root-ca-file={}", at("ca.crt")),
        format!("--cluster-signing-cert-file={}", at("ca.crt")),
        format!("--cluster-signing-key-file={}", at("ca.key")),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--profiling=false".to_owned(),
    ];
    let name = format!("kube-controller-manager-{}", spec.id);
    keep(ground.spawn(&program(ground, name, &programs.controller_manager, arguments))?);

    let scheduler = file("system:kube-scheduler", None).map_err(failed)?;
    let arguments = vec![
        format!("--kubeconfig={scheduler}"),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--profiling=false".to_owned(),
    ];
    let name = format!("kube-scheduler-{}", spec.id);
    keep(ground.spawn(&program(ground, name, &programs.scheduler, arguments))?);

    let kwok = file("kwok", Some("system:masters")).map_err(failed)?;
    let stages = write(spec.folder.join("stages.yaml"), STAGES).map_err(|error| failed(error.into()))?;
    let arguments = vec![
        format!("--kubeconfig={kwok}"),
        format!("--config={}", stages.display()),
        "--manage-all-nodes=true".to_owned(),
        // Nobody's VPC: it is by these that the sandbox knows the pod that is meant.
        "--cidr=100.64.0.1/16".to_owned(),
        // A node whose lease is old would be taken for dead.
        "--node-lease-duration-seconds=40".to_owned(),
        // Nobody asks it, and its own choice of a port is the same for every control plane.
        "--server-address=127.0.0.1:0".to_owned(),
        "--node-port=10250".to_owned(),
    ];
    keep(ground.spawn(&program(ground, format!("kwok-{}", spec.id), &programs.kwok, arguments))?);
    accounts(client).await.map_err(|error| failed(error.into()))
}

/// Makes the first service accounts, without which no pod can be made. The controllers would do so a few seconds later.
async fn accounts(client: &Client) -> Result<(), client::Error> {
    for namespace in ["default", "kube-system"] {
        let account = serde_json::json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        match client.create(&path, &account).await {
            Err(error) if !error.is(409) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
