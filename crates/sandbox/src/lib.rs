//! A local cloud: the emulators that Causeway is tried and tested on, installed on first use, started on free loopback ports,
//! supervised, and stopped with the process that started them.
//!
//! [`Sandbox::start`] is the whole of it for a test or for one command; [`background`] keeps one running for people. What runs
//! is other people's software behind one address, the [`gateway`]'s: moto, fakecloud, PostgreSQL. ECS tasks are local processes
//! that answer like Coder, see [`images`](crate#images). EKS clusters have real control planes, see [`kubernetes`]. Beside it
//! stand an edge of CloudFront, see [`edge`], and a Cloudflare of our own, see [`cloudflare`].
//!
//! # Images
//!
//! No image is ever run. An image of the sandbox's own registry must be there to be pulled, any other is taken to exist; what
//! starts is a small server with `/healthz`, `/api/v2/buildinfo` and `/`. The repository's name, the tag, or the image's label
//! `causeway.behaviour` decides how it behaves:
//! `crash` exits with 1 after a second, `slow` listens after 20 s, `unhealthy` answers `/healthz` with 500, `missing` cannot be
//! pulled. With a database address in `*_PG_CONNECTION_URL` it connects first, and exits when it cannot. A command is printed
//! and not run: it ends with 0, or with N after `exit N`; `sleep N` lasts N seconds.
//!
//! # Accounts and regions
//!
//! The access key names the account, see [`account`]; accounts and regions share nothing, so tests can share one sandbox.

mod accept;
pub mod account;
pub mod acme;
pub mod background;
pub mod bind;
pub mod cache;
pub mod cloudflare;
pub mod edge;
mod emulators;
pub mod gateway;
mod go;
pub mod install;
pub mod kubernetes;
pub mod postgres;
mod programs;
mod shared;
mod supervise;
mod task;
mod user;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::future::BoxFuture;

use cache::{Cache, Lock};
use cloudflare::{Cloudflare, Token};
use edge::Edge;
use emulators::Emulators;
use gateway::{Backend, Backends, BoxError, Databases, Gateway, Pending};
use install::{Installed, Progress};
use kubernetes::Kubernetes;
use postgres::{Master, Postgres};
use supervise::{Ground, Process, Processes};

pub use shared::shared;
pub use task::Task;

/// How a sandbox is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it is installed and where it runs; `None`: [`Cache::find`].
    pub cache: Option<Cache>,
    /// The name of its run folder; `None`: a new one, removed at the end.
    pub name: Option<String>,
    /// The region of its environment, whose emulators start at once.
    pub region: String,
    /// How long resources pend before they are ready.
    pub pending: Pending,
    /// Seed of the dice of the gateway's rules.
    pub seed: u64,
    /// The gateway's port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cache: None,
            name: None,
            region: "us-east-1".into(),
            pending: Pending::default(),
            seed: 0,
            port: 0,
        }
    }
}

/// Why a sandbox could not be installed, started or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is neither a home nor a cache folder.
    #[error("find a cache folder: set CAUSEWAY_CACHE or HOME")]
    NoCache,
    /// The emulators could not be installed.
    #[error("install the emulators")]
    Install(#[source] install::Error),
    /// The run folder could not be made.
    #[error("make the run folder {}", path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A sandbox of this name runs already.
    #[error("start the sandbox {name}: it runs already")]
    Running {
        /// Its name.
        name: String,
    },
    /// A sandbox of this name does not run.
    #[error("find the sandbox {name}: it does not run")]
    NotRunning {
        /// Its name.
        name: String,
    },
    /// A program could not be started.
    #[error("start {program}")]
    Spawn {
        /// The program.
        program: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A program ended while it started.
    #[error("start {program}: it ended with {status}, its last lines were:\n{log}")]
    Died {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A program did not get ready.
    #[error("wait for {program}: it did not answer within {} s, its last lines were:\n{log}", after.as_secs())]
    NotReady {
        /// The program.
        program: String,
        /// How long we waited.
        after: Duration,
        /// The end of its log.
        log: String,
    },
    /// Something with a PostgreSQL server failed.
    #[error("{act} the database {name}")]
    Database {
        /// What was tried.
        act: &'static str,
        /// The server's name.
        name: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Something with the ACME server failed.
    #[error("{act} the ACME server")]
    Acme {
        /// What was tried.
        act: &'static str,
        /// Why it failed.
        #[source]
        source: gateway::BoxError,
    },
    /// Something with a BIND failed.
    #[error("{act} BIND")]
    Bind {
        /// What was tried.
        act: &'static str,
        /// Why it failed.
        #[source]
        source: gateway::BoxError,
    },
    /// Something with a control plane failed.
    #[error("{act} the control plane {name}")]
    Cluster {
        /// What was tried.
        act: &'static str,
        /// Its name.
        name: String,
        /// Why it failed.
        #[source]
        source: gateway::BoxError,
    },
    /// The gateway could not be started.
    #[error("start the gateway")]
    Gateway(#[source] gateway::Error),
    /// Cloudflare could not be started.
    #[error("start Cloudflare")]
    Cloudflare(#[source] cloudflare::Error),
    /// The edge could not be started.
    #[error("start the edge")]
    Edge(#[source] edge::Error),
}

/// A running local cloud. Dropping it stops it; [`stop`](Sandbox::stop) does so without blocking a thread.
pub struct Sandbox {
    gateway: Gateway,
    edge: Edge,
    cloudflare: Cloudflare,
    place: cloudflare::Place,
    cache: Cache,
    endpoint: String,
    region: String,
    parts: Held,
    // The order of fields is the order of their ends: the folder goes when nothing writes to it any more.
    folder: RunFolder,
}

/// Ends what runs behind the gateway, even if a request that is still on its way holds it too.
struct Held(Arc<Parts>);

impl std::ops::Deref for Held {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let clusters = self.kubernetes.end();
        let processes = self.processes.end();
        let mut servers = self.take_servers();
        for server in &mut servers {
            server.end();
        }
        drop((clusters, processes, servers));
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("endpoint", &self.endpoint)
            .field("run_dir", &self.folder.path)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts a sandbox, after installing what is missing. Up in a few seconds when installed.
    ///
    /// # Errors
    ///
    /// [`Error`], with the last lines of the log of the program that failed.
    pub async fn start(options: Options) -> Result<Sandbox, Error> {
        Sandbox::start_with(options, |_| {}).await
    }

    /// Like [`start`](Sandbox::start), and reports the progress of an installation. That of Kubernetes is not among it, since it
    /// comes with the first connection to a cluster; call [`kubernetes::install()`] before to have it here.
    ///
    /// # Errors
    ///
    /// As [`start`](Sandbox::start).
    pub async fn start_with(
        options: Options,
        mut progress: impl FnMut(Progress<'_>) + Send + 'static,
    ) -> Result<Sandbox, Error> {
        let cache = options.cache.or_else(Cache::find).ok_or(Error::NoCache)?;
        let home = cache.clone();
        let installed = tokio::task::spawn_blocking(move || install::install(&home, &mut progress))
            .await
            .map_err(|_| Error::Spawn {
                program: "the installation".into(),
                source: std::io::Error::other("it was cancelled"),
            })?
            .map_err(Error::Install)?;
        let folder = RunFolder::make(&cache, options.name.as_deref())?;
        let ground = Ground { python: installed.python.clone(), run: folder.path.clone() };
        let processes = Processes::new();
        let emulators =
            Emulators::start(ground.clone(), installed.clone(), &options.region, processes.clone()).await?;
        let servers = Mutex::new(Some(BTreeMap::new()));
        let kubernetes = Arc::new(Kubernetes::new(cache.clone(), ground.clone(), processes.clone()));
        let parts = Arc::new(Parts { emulators, processes, ground, installed, servers, kubernetes });
        let config = gateway::Config {
            backends: parts.clone(),
            databases: Some(parts.clone()),
            clusters: Some(parts.kubernetes.clone()),
            pending: options.pending,
            seed: options.seed,
            port: options.port,
        };
        let gateway = Gateway::start(config).await.map_err(Error::Gateway)?;
        let edge = Edge::start(&gateway).await.map_err(Error::Edge)?;
        let endpoint = gateway.endpoint();
        let cloudflare = Cloudflare::start(cloudflare::Options { seed: options.seed, ..Default::default() });
        let cloudflare = cloudflare.await.map_err(Error::Cloudflare)?;
        let place = cloudflare.place(&cloudflare.add_token(Token::dns("sandbox")));
        let region = options.region;
        Ok(Sandbox { gateway, edge, cloudflare, place, cache, endpoint, region, parts: Held(parts), folder })
    }

    /// The address of the whole of AWS, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The region of [`env`](Sandbox::env).
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The environment in which our programs, the aws CLI and boto3 reach the sandbox as the default account, Cloudflare's
    /// libraries its Cloudflare, and whoever looks at distributions its edge.
    pub fn env(&self) -> Vec<(String, String)> {
        environment(&self.endpoint, &self.region, &self.place, self.edge.address())
    }

    /// The access key and secret key of an account of its own; see [`account::credentials`].
    pub fn credentials(&self, account: &str) -> Option<(String, String)> {
        account::credentials(account)
    }

    /// Ends what runs for an account of its own: its fakeclouds with the tasks of ECS, its databases, its control planes, and
    /// waits for that. What moto knows of it stays, so the account is not to be used again. Tests that share a sandbox do it at
    /// their end: what they leave is asked after several times a second.
    pub fn close_account(&self, account: &str) {
        self.gateway.close_account(account);
        self.parts.close_account(account);
    }

    /// The gateway, which counts calls and injects faults.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Its edge, which serves the distributions of CloudFront.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Its Cloudflare, without zones at first. Tests that share a sandbox keep apart by zone and token.
    pub fn cloudflare(&self) -> &Cloudflare {
        &self.cloudflare
    }

    /// Where its Cloudflare is, with a token for all zones.
    pub fn cloudflare_place(&self) -> &cloudflare::Place {
        &self.place
    }

    /// Starts an ACME server that looks names up in this sandbox's Cloudflare. The first time pebble is built; see [`acme`]. It
    /// lives as long as the value returned.
    ///
    /// # Errors
    ///
    /// [`Error`]: pebble could not be built, or the server does not start.
    pub async fn acme(&self) -> Result<acme::Acme, Error> {
        acme::Acme::start(&self.cache, &self.parts.ground, self.cloudflare.dns()).await
    }

    /// The address of moto itself, behind the gateway.
    pub fn moto(&self) -> &str {
        self.parts.emulators.moto()
    }

    /// The address of the fakecloud of an account and a region itself, behind the gateway; started if need be.
    ///
    /// # Errors
    ///
    /// [`Error`] if it cannot be started.
    pub async fn fakecloud(&self, account: &str, region: &str) -> Result<String, Error> {
        self.parts.emulators.fakecloud(account, region).await
    }

    /// Starts a PostgreSQL server that lives as long as the value returned, at most as long as this process.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] or what starting a program can fail with.
    pub async fn postgres(&self, name: &str, master: Master<'_>) -> Result<Postgres, Error> {
        Postgres::start(&self.parts.ground, &self.parts.installed.postgres, name, master).await
    }

    /// The PostgreSQL server behind a database instance, by the id that the gateway gave it: runs SQL as its superuser.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] if there is none or the statement fails.
    pub async fn query(&self, id: &str, sql: &str) -> Result<String, Error> {
        let server = self.parts.servers().as_ref().and_then(|servers| servers.get(id).cloned());
        let missing = || Error::Database {
            act: "find",
            name: id.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        server.ok_or_else(missing)?.query(sql).await
    }

    /// The control plane of an EKS cluster. `None` if there is no such cluster.
    pub fn cluster(&self, account: &str, region: &str, name: &str) -> Option<kubernetes::Cluster> {
        self.parts.kubernetes.cluster(&format!("{account}-{region}-{name}"))
    }

    /// Starts an API server without a cluster, to try manifests on. It lives as long as the value returned.
    ///
    /// # Errors
    ///
    /// [`Error`]: Kubernetes could not be built, or the server does not start.
    pub async fn api_server(&self, version: kubernetes::Version) -> Result<kubernetes::ApiServer, Error> {
        self.parts.kubernetes.api_server(version).await
    }

    /// The processes of ECS tasks, by name.
    pub fn tasks(&self) -> Vec<Task> {
        task::all(&self.parts.ground.containers())
    }

    /// What is installed.
    pub fn installed(&self) -> &Installed {
        &self.parts.installed
    }

    /// The folder of this run: logs, the tasks' state, the databases.
    pub fn run_dir(&self) -> &Path {
        &self.folder.path
    }

    /// The end of the log of `moto`, `fakecloud-ACCOUNT-REGION` or `postgres-ID`; those of control planes are in `logs` of
    /// [`run_dir`](Sandbox::run_dir).
    pub fn logs(&self, name: &str) -> String {
        supervise::tail(&self.parts.ground.log(name))
    }

    /// Stops everything and removes the run folder.
    pub async fn stop(self) {
        let Sandbox { gateway, edge, cloudflare, parts, folder, .. } = self;
        edge.stop().await;
        gateway.stop().await;
        cloudflare.stop().await;
        let clusters = parts.kubernetes.end().into_iter();
        let processes = clusters.chain(parts.processes.end()).map(Process::stop);
        let servers = parts.take_servers().into_iter().map(Postgres::stop);
        tokio::join!(futures::future::join_all(processes), futures::future::join_all(servers));
        drop(parts);
        drop(folder);
    }
}

/// The variables with which AWS programs reach `endpoint` as the default account, Cloudflare's libraries ours, and
/// viewers of distributions the edge.
fn environment(
    endpoint: &str,
    region: &str,
    cloudflare: &cloudflare::Place,
    edge: SocketAddr,
) -> Vec<(String, String)> {
    let edge = format!("http://{edge}");
    let (key, secret) =
        account::credentials(account::DEFAULT).expect("the default account is a number of twelve digits");
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", region),
        ("AWS_DEFAULT_REGION", region),
        ("AWS_ACCESS_KEY_ID", &key),
        ("AWS_SECRET_ACCESS_KEY", &secret),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("CAUSEWAY_EDGE_URL", &edge),
        ("CLOUDFLARE_BASE_URL", &cloudflare.endpoint),
        ("CLOUDFLARE_API_TOKEN", &cloudflare.token),
        ("NO_PROXY", "127.0.0.1,localhost"),
        ("no_proxy", "127.0.0.1,localhost"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// What runs behind the gateway.
struct Parts {
    emulators: Emulators,
    processes: Processes,
    ground: Ground,
    installed: Installed,
    /// `None` after the end.
    servers: Mutex<Option<BTreeMap<String, Arc<Postgres>>>>,
    kubernetes: Arc<Kubernetes>,
}

impl Parts {
    fn servers(&self) -> MutexGuard<'_, Option<BTreeMap<String, Arc<Postgres>>>> {
        gateway::lock(&self.servers)
    }

    fn close_account(&self, account: &str) {
        self.emulators.close_account(account);
        let own = format!("{account}-");
        let mut servers = BTreeMap::new();
        if let Some(all) = &mut *self.servers() {
            servers.extend(all.extract_if(.., |id, _| id.starts_with(&own)));
        }
        drop(servers);
        drop(self.kubernetes.close_all(&own));
    }

    /// The servers that nobody is asking anything right now; the others stop when their question is answered.
    fn take_servers(&self) -> Vec<Postgres> {
        let servers = self.servers().take().unwrap_or_default();
        servers.into_values().filter_map(Arc::into_inner).collect()
    }
}

impl Backends for Parts {
    fn url<'a>(
        &'a self,
        backend: Backend,
        account: &'a str,
        region: &'a str,
    ) -> BoxFuture<'a, Result<String, BoxError>> {
        Box::pin(async move {
            match backend {
                Backend::Moto => Ok(self.emulators.moto().to_owned()),
                Backend::Fakecloud => Ok(self.emulators.fakecloud(account, region).await?),
            }
        })
    }
}

impl Databases for Parts {
    fn start(&self, database: gateway::Database) -> BoxFuture<'_, Result<(String, u16), BoxError>> {
        Box::pin(async move {
            let master = Master {
                user: &database.user,
                password: &database.password,
                database: database.name.as_deref(),
            };
            let server =
                Postgres::start(&self.ground, &self.installed.postgres, &database.id, master).await?;
            let address = server.address();
            match &mut *self.servers() {
                Some(servers) => servers.insert(database.id.clone(), Arc::new(server)),
                None => return Err("the sandbox has ended".into()),
            };
            Ok((address.ip().to_string(), address.port()))
        })
    }

    fn stop<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let server = self.servers().as_mut().and_then(|servers| servers.remove(id));
            if let Some(server) = server.and_then(Arc::into_inner) {
                server.stop().await;
            }
            Ok(())
        })
    }
}

/// The folder of a run. Its lock is held as long as the sandbox lives, so a folder whose lock is free is a dead one's.
#[derive(Debug)]
struct RunFolder {
    path: PathBuf,
    lock: Option<Lock>,
}

const LOCK: &str = "lock";

impl RunFolder {
    fn make(cache: &Cache, name: Option<&str>) -> Result<RunFolder, Error> {
        let runs = cache.runs();
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::RunFolder { path, source }
        };
        fs::create_dir_all(&runs).map_err(failed(&runs))?;
        // While one folder is made, no other process may take it for a dead one's.
        let making = runs.join(".making");
        let _making = Lock::wait(&making).map_err(failed(&making))?;
        sweep(&runs);
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let mut bytes = [0; 4];
                getrandom::fill(&mut bytes).map_err(|error| failed(&runs)(std::io::Error::other(error)))?;
                format!("{}-{:08x}", std::process::id(), u32::from_le_bytes(bytes))
            }
        };
        let path = runs.join(&name);
        fs::create_dir_all(&path).map_err(failed(&path))?;
        let lock = lock(&path.join(LOCK)).map_err(failed(&path))?;
        let lock = Some(lock.ok_or(Error::Running { name })?);
        for folder in ["programs", "logs", "containers", "postgres", "tmp"] {
            let folder = path.join(folder);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).map_err(failed(&folder))?;
        }
        programs::write(&path.join("programs")).map_err(failed(&path))?;
        Ok(RunFolder { path, lock })
    }
}

/// Takes the lock of a run folder; several tries, since somebody may just be looking at it.
fn lock(path: &Path) -> std::io::Result<Option<Lock>> {
    for _ in 0..10 {
        if let Some(lock) = Lock::take(path)? {
            return Ok(Some(lock));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(None)
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // Another sandbox removes what cannot be removed now.
        let _ = fs::remove_dir_all(&self.path);
        self.lock = None;
    }
}

/// Removes the folders of sandboxes that were killed.
fn sweep(runs: &Path) {
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let lock = entry.path().join(LOCK);
        if lock.exists() && matches!(Lock::take(&lock), Ok(Some(_))) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_sandboxes_are_swept_and_living_ones_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let living = RunFolder::make(&cache, Some("living")).unwrap();
        let dead = cache.runs().join("dead");
        fs::create_dir_all(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        let other = RunFolder::make(&cache, None).unwrap();
        assert!(!dead.exists());
        assert!(living.path.exists());
        assert!(
            matches!(RunFolder::make(&cache, Some("living")), Err(Error::Running { name }) if name == "living")
        );
        let gone = other.path.clone();
        drop(other);
        assert!(!gone.exists());
    }
}
