//! Real Kubernetes control planes behind the EKS clusters of the emulator.
//!
//! A cluster has its address as soon as it exists. The first connection to it starts etcd (one for the whole sandbox), an API
//! server, the controller manager, the scheduler and KWOK, and is then passed through; a cluster to which nobody speaks costs
//! a socket. Everything that decides is Kubernetes itself; what is played is written down where it is played:
//!
//! - nodes and pods by KWOK, as [`images`](self#images) says: a node for each that EKS's node groups want, with the capacity of
//!   its instance type;
//! - EKS's authentication by the gateway, which sends the token to STS and looks the caller up in the access entries;
//! - access policies by groups that are bound to roles, where EKS has an authorizer of its own,
//! - cert-manager, the AWS load balancer controller, Karpenter and the EBS CSI driver by stand-ins that act while a pod of their
//!   image is ready,
//! - webhooks and the metrics API, by any pod that is ready: it allows everything, and knows no metrics,
//! - what kubelets log.
//!
//! [`Cluster::set`] makes a stand-in slow, has it fail, or turns it off; [`Cluster::run`] runs a controller's own program instead.
//!
//! # Images
//!
//! No image is run. Words in the name of an image of a pod decide what becomes of it: `missing` cannot be pulled, `crash`
//! ends with 1 and goes into `CrashLoopBackOff`, `unready` and `unhealthy` fail their readiness probe, `slow` takes 20 s to
//! start. Any other is ready at once. The pods of Jobs complete after a second, or fail with `crash`.
//!
//! # Programs
//!
//! From `KUBEBUILDER_ASSETS` if all of etcd, kube-apiserver, kube-controller-manager and kube-scheduler are there; otherwise
//! built once with Go, see [`install()`]. Every control plane is [`KUBERNETES`], whatever version its cluster has, and says so
//! in `/version`.

mod access;
mod api_server;
pub(crate) mod authority;
mod client;
mod controllers;
mod definitions;
mod install;
mod kubeconfig;
mod listener;
mod nodes;
mod programs;
mod standin;
mod tls;
mod tunnel;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::cache::Cache;
use crate::gateway::{self, BoxError, Inside, lock};
use crate::install::Progress;
use crate::supervise::{Ground, Process, Processes};

pub use api_server::ApiServer;
pub use controllers::{CERT_MANAGER, Controllers, LOAD_BALANCER_CONTROLLER, Program, controllers};
pub use definitions::definitions;
pub use install::{ETCD, KUBERNETES, KWOK, OLDEST, Programs, Version, install, installed};

pub(crate) use client::Client;

use authority::Authority;
use programs::{Server, Spec};
use standin::Stage;
use tunnel::Tunnel;
use world::World;

/// All control planes of a sandbox.
pub(crate) struct Kubernetes {
    shared: Arc<Shared>,
    /// By the gateway's id of the cluster; `None` after the end.
    clusters: Mutex<Option<BTreeMap<String, Cluster>>>,
    next: AtomicU64,
}

/// What control planes have in common.
struct Shared {
    cache: Cache,
    ground: Ground,
    processes: Processes,
    etcd: OnceCell<SocketAddr>,
}

impl Shared {
    fn folder(&self) -> PathBuf {
        self.ground.run.join("kubernetes")
    }

    /// The programs, built if they are missing.
    async fn programs(&self, version: Version) -> Result<Programs, Error> {
        if let Some(found) = installed(&self.cache, version) {
            return Ok(found);
        }
        let cache = self.cache.clone();
        let build = move || {
            install(&cache, version, &mut |progress: Progress<'_>| match progress.line {
                None => tracing::warn!(
                    step = progress.step,
                    "a cluster is waited for, and Kubernetes is not installed"
                ),
                Some(line) => tracing::debug!(line, "go"),
            })
        };
        let failed = |source: BoxError| Error::Cluster {
            act: "build the programs of",
            name: version.number().to_owned(),
            source,
        };
        let built = tokio::task::spawn_blocking(build).await.map_err(|error| failed(error.into()))?;
        built.map_err(|error| failed(error.into()))
    }

    async fn etcd(&self, programs: &Programs) -> Result<SocketAddr, Error> {
        let start = async || {
            let folder = self.folder();
            programs::private_folder(&folder)
                .map_err(|source| Error::RunFolder { path: folder.clone(), source })?;
            let (process, address) = programs::etcd(&self.ground, programs, &folder).await?;
            self.processes.add(process);
            Ok(address)
        };
        self.etcd.get_or_try_init(start).await.copied()
    }

    /// Forgets what an API server has kept.
    async fn wipe(&self, prefix: &str) -> Result<(), BoxError> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let Some(etcd) = self.etcd.get() else { return Ok(()) };
        // `0` follows `/` in ASCII, so this is every key under the prefix.
        let range = serde_json::json!({
            "key": STANDARD.encode(format!("/{prefix}/")),
            "range_end": STANDARD.encode(format!("/{prefix}0")),
        });
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("http://{etcd}/v3/kv/deleterange");
        client.post(url).body(range.to_string()).send().await?.error_for_status()?;
        Ok(())
    }
}

impl Kubernetes {
    pub(crate) fn new(cache: Cache, ground: Ground, processes: Processes) -> Kubernetes {
        let shared = Shared { cache, ground, processes, etcd: OnceCell::new() };
        Kubernetes {
            shared: Arc::new(shared),
            clusters: Mutex::new(Some(BTreeMap::new())),
            next: AtomicU64::new(1),
        }
    }

    fn clusters(&self) -> MutexGuard<'_, Option<BTreeMap<String, Cluster>>> {
        lock(&self.clusters)
    }

    pub(crate) fn cluster(&self, id: &str) -> Option<Cluster> {
        self.clusters().as_ref()?.get(id).cloned()
    }

    pub(crate) async fn api_server(&self, version: Version) -> Result<ApiServer, Error> {
        ApiServer::start(self, version).await
    }

    /// Tells all of them to end and hands out what is to be waited for.
    pub(crate) fn end(&self) -> Vec<Process> {
        let clusters = self.clusters().take().unwrap_or_default();
        clusters.into_values().flat_map(|cluster| cluster.end()).collect()
    }

    /// Tells those to end whose ids begin like this and hands out what is to be waited for. What they kept in etcd stays.
    pub(crate) fn close_all(&self, prefix: &str) -> Vec<Process> {
        let mut clusters = self.clusters();
        let ending = clusters.iter_mut().flat_map(|all| all.extract_if(.., |id, _| id.starts_with(prefix)));
        ending.flat_map(|(_, cluster)| cluster.end()).collect()
    }

    async fn open(&self, told: gateway::Cluster, aws: Inside) -> Result<gateway::Endpoint, BoxError> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        // A cluster that is made again under its name must not find what the first one left.
        let prefix = format!("{}-{}", told.id, self.next.fetch_add(1, Ordering::Relaxed));
        let cluster = Cluster(Arc::new(Inner {
            authority: Authority::new("kubernetes")?,
            address: listener.local_addr()?,
            folder: self.shared.folder().join(&prefix),
            prefix,
            shared: self.shared.clone(),
            aws,
            processes: Processes::new(),
            ended: CancellationToken::new(),
            cut: Mutex::new(CancellationToken::new()),
            running: OnceCell::new(),
            behaviours: Mutex::default(),
            programs: Mutex::default(),
            issuer: told.issuer.clone(),
        }));
        let endpoint = gateway::Endpoint {
            url: cluster.url(),
            certificate_authority: cluster.0.authority.certificate().to_owned(),
        };
        match &mut *self.clusters() {
            Some(clusters) => clusters.insert(told.id, cluster.clone()),
            None => return Err("the sandbox has ended".into()),
        };
        tokio::spawn(listener::serve(cluster.0, listener));
        Ok(endpoint)
    }
}

impl gateway::Clusters for Kubernetes {
    fn open(
        &self,
        cluster: gateway::Cluster,
        aws: Inside,
    ) -> BoxFuture<'_, Result<gateway::Endpoint, BoxError>> {
        Box::pin(Kubernetes::open(self, cluster, aws))
    }

    fn close<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let cluster = self.clusters().as_mut().and_then(|clusters| clusters.remove(id));
            let Some(cluster) = cluster else { return Ok(()) };
            futures::future::join_all(cluster.end().into_iter().map(Process::stop)).await;
            self.shared.wipe(&cluster.0.prefix).await?;
            // Keys and configuration only.
            let _ = std::fs::remove_dir_all(&cluster.0.folder);
            Ok(())
        })
    }
}

/// The control plane of one cluster.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    /// Of its keys in etcd, and of its folder.
    prefix: String,
    issuer: String,
    authority: Authority,
    /// Where it is reached.
    address: SocketAddr,
    folder: PathBuf,
    shared: Arc<Shared>,
    aws: Inside,
    processes: Processes,
    ended: CancellationToken,
    /// Cancelled and made anew when connections are to be cut.
    cut: Mutex<CancellationToken>,
    running: OnceCell<Running>,
    /// What was told of stand-ins; the others work.
    behaviours: Mutex<BTreeMap<Controller, Behaviour>>,
    /// Where the programs are that run for pods, by image.
    programs: Mutex<BTreeMap<String, SocketAddr>>,
}

/// A controller that the sandbox stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Controller {
    /// cert-manager's controller and its injector.
    CertManager,
    /// The AWS load balancer controller.
    LoadBalancers,
    /// Karpenter.
    Karpenter,
    /// Every pod as a webhook: of admission, of conversion, and as a metrics API.
    Webhooks,
}

/// How a stand-in behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// As it should.
    #[default]
    Works,
    /// It takes notice of a new object only after this time, and of a change too as long as the object is that young; a webhook
    /// answers after it.
    Slow(Duration),
    /// It says that it failed, in the status or an event of the object; a webhook refuses.
    Fails,
    /// It does nothing; a webhook is unreachable.
    Down,
}

/// A control plane that has started.
struct Running {
    /// Its administrator.
    client: Client,
    /// Of its API server.
    address: SocketAddr,
    kubeconfig: PathBuf,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("url", &self.url())
            .field("runs", &self.runs())
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// The address of its API server, like `https://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("https://{}", self.0.address)
    }

    /// The certificate of its authority, as PEM.
    pub fn certificate_authority(&self) -> &str {
        self.0.authority.certificate()
    }

    /// Whether somebody has spoken to it, so that it runs.
    pub fn runs(&self) -> bool {
        self.0.running.initialized()
    }

    /// Starts it, if it does not run, and waits until pods can be made. The first connection does the same.
    ///
    /// # Errors
    ///
    /// [`Error`]: Kubernetes could not be built, or one of its programs does not start.
    pub async fn start(&self) -> Result<(), Error> {
        self.0.running().await.map(|_| ())
    }

    /// Starts it, and returns the file with which `kubectl` reaches it as its administrator.
    ///
    /// # Errors
    ///
    /// As [`start`](Cluster::start).
    pub async fn kubeconfig(&self) -> Result<&Path, Error> {
        Ok(&self.0.running().await?.kubeconfig)
    }

    /// Cuts every open connection. New ones are taken; to refuse those too, add a rule for `kubernetes:Connect` to the gateway.
    pub fn cut(&self) {
        let mut cut = lock(&self.0.cut);
        std::mem::take(&mut *cut).cancel();
    }

    /// Tells a stand-in how to behave from now on.
    pub fn set(&self, controller: Controller, behaviour: Behaviour) {
        let mut told = lock(&self.0.behaviours);
        told.insert(controller, behaviour);
    }

    fn end(&self) -> Vec<Process> {
        self.0.ended.cancel();
        self.0.processes.end()
    }
}

impl Inner {
    fn behaviour(&self, controller: Controller) -> Behaviour {
        let told = lock(&self.behaviours);
        told.get(&controller).copied().unwrap_or_default()
    }

    /// Does something until the cluster ends.
    fn meanwhile(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.ended.clone().run_until_cancelled_owned(task));
    }

    async fn running(self: &Arc<Inner>) -> Result<&Running, Error> {
        self.running.get_or_try_init(|| self.start()).await
    }

    async fn start(self: &Arc<Inner>) -> Result<Running, Error> {
        let failed = |source: BoxError| Error::Cluster { act: "start", name: self.prefix.clone(), source };
        let ground = &self.shared.ground;
        let programs = self.shared.programs(Version::Newest).await?;
        let etcd = self.shared.etcd(&programs).await?;
        let review = self.aws.review();
        let world = World::new();
        let vouching = Arc::new(Authority::new("sandbox pods").map_err(|error| failed(error.into()))?);
        let proxy = self.authority.server("tunnel", &["127.0.0.1".into()]).map_err(|e| failed(e.into()))?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| failed(error.into()))?;
        let tunnel = listener.local_addr().map_err(|error| failed(error.into()))?;
        self.meanwhile(
            Tunnel {
                world: world.clone(),
                identity: proxy,
                vouching: vouching.clone(),
                cluster: Arc::downgrade(self),
            }
            .serve(listener),
        );
        let spec = Spec {
            id: &self.prefix,
            authority: &self.authority,
            folder: &self.folder,
            issuer: &self.issuer,
            review: Some(&review),
            tunnel: Some(tunnel),
            alone: false,
        };
        let Server { process, address, client } =
            programs::api_server(ground, &programs, etcd, &spec).await?;
        self.processes.add(process);
        let keep = |process| self.processes.add(process);
        programs::controllers(ground, &programs, &spec, (address, &client), &keep).await?;
        access::bind(&client).await.map_err(|error| failed(error.into()))?;
        let mut step = Step::default();
        step.take(&client, &self.aws).await;
        self.meanwhile(step.keep(client.clone(), self.aws.clone(), self.processes.clone()));
        self.meanwhile(world.clone().follow(client.clone()));
        let stage = Stage { world, client: client.clone(), aws: self.aws.clone(), vouching };
        self.meanwhile(standin::play(stage, self.clone()));
        let admin = self.authority.client("admin", Some("system:masters")).map_err(|e| failed(e.into()))?;
        let url = format!("https://{}", self.address);
        let text = kubeconfig::kubeconfig(&self.prefix, &url, self.authority.certificate(), &admin);
        let kubeconfig =
            programs::write(self.folder.join("kubeconfig"), &text).map_err(|error| failed(error.into()))?;
        Ok(Running { client, address, kubeconfig })
    }
}

/// How often we look at what EKS says about a cluster.
const STEP: Duration = Duration::from_secs(1);

/// Keeps a cluster in step with the node groups and access entries that EKS has for it.
#[derive(Default)]
struct Step {
    nodes: nodes::Nodes,
    bound: BTreeSet<String>,
}

impl Step {
    async fn take(&mut self, client: &Client, aws: &Inside) {
        if let Err(error) = self.nodes.follow(client, aws).await {
            tracing::debug!(error, cluster = aws.cluster(), "nodes");
        }
        if let Err(error) = access::follow(client, aws, &mut self.bound).await {
            tracing::debug!(error, cluster = aws.cluster(), "access entries");
        }
    }

    async fn keep(mut self, client: Client, aws: Inside, processes: Processes) {
        let mut told = BTreeSet::new();
        loop {
            for (name, log) in processes.ended() {
                if told.insert(name.clone()) {
                    tracing::warn!(name, log, "a program of a control plane has ended");
                }
            }
            tokio::time::sleep(STEP).await;
            self.take(&client, &aws).await;
        }
    }
}
