//! The reverse proxy in front of the AWS emulators: one address for the whole of AWS.
//!
//! It routes by the credential scope of the signature, counts every call, injects faults on request, makes
//! resources pend before they are ready, and supplies the few things that the emulators lack and our targets need.
//!
//! # Routing
//!
//! | emulator | services (names of the credential scope) |
//! | --- | --- |
//! | moto | `ec2`, `iam`, `sts`, `acm`, `elasticloadbalancing`, `rds`, `elasticache`, `autoscaling`, `ssm`, `tagging` |
//! | fakecloud | `eks`, `ecs`, `ecr`, `cloudfront`, `cloudfront-keyvaluestore`, `route53`, `s3`, `secretsmanager`, `kms`, `monitoring`, `logs`, `sqs`, `events`, `sns`, `wafv2`, `servicequotas`, `bedrock`, `dynamodb` |
//!
//! The table is [`ROUTES`]. `/v2/...` (the OCI registry of ECR) goes to fakecloud too. A request without a signature is
//! refused with `MissingAuthenticationToken`, a service that is not in the table with `InvalidSignatureException`.
//!
//! Load balancers stay on moto, because their subnets, security groups and certificates live there: fakecloud refuses
//! a subnet that its own EC2 does not know (`SubnetNotFound`). Moto, however, never probes a target, and fakecloud's ECS
//! registers its tasks only with fakecloud's own target groups, where a prober asks the real process. So every target
//! group has a twin on fakecloud, see `fix/elbv2_targets.rs`.
//!
//! # What is supplied
//!
//! Every correction is a file in `fix/`; [`fixes()`] and `GET /_causeway/fixes` say for each what the emulator does and what
//! AWS does instead.
//!
//! | file | supplies |
//! | --- | --- |
//! | `ec2_dry_run` | `DryRunOperation` (412) |
//! | `tokens` | `ClientToken` of NAT gateways, instances, interfaces, endpoints, flow logs and template versions, of ECS services and `RunTask`; `IdempotentParameterMismatch`, `ConflictException` |
//! | `autoscaling_groups` | instance refreshes, the template version of an instance, metrics one by one, `ResourceInUse`; instances take their interfaces along |
//! | `bedrock_models` | in which regions models of Claude are, and where their profiles lead; `ValidationException`, `ResourceNotFoundException` for what is no model |
//! | `cloudfront_functions` | the live stage of functions; `NoSuchFunctionExists`, `FunctionSizeLimitExceeded` |
//! | `cloudfront_keys` | the keys of key value stores, told in memory, with their limits; `CannotDeleteEntityWhileInUse` |
//! | `cloudfront_refusals` | `FunctionInUse`, `CachePolicyInUse`, `ResponseHeadersPolicyInUse`, `OriginAccessControlInUse`, `InvalidFunctionAssociation` |
//! | `cloudfront_sites` | what the [`edge`](crate::edge) has to know; the caller reference of invalidations and `TooManyInvalidationsInProgress` |
//! | `ec2_dependencies` | `DependencyViolation` for security groups, subnets, VPCs and internet gateways in use, also by load balancers, databases and ECS tasks; `InvalidIPAddress.InUse` |
//! | `ec2_flow_logs` | whether the log group of a flow log is there |
//! | `ec2_launch_templates` | the tags of a template are not those of its machines |
//! | `ec2_leftovers` | deleted NAT gateways and terminated instances take their interfaces along |
//! | `ec2_routes` | `blackhole` for routes to an internet gateway that is not attached; the routes of gateway endpoints |
//! | `ec2_task_interfaces` | the interface of a Fargate task, with its public address |
//! | `ec2_vpc_endpoints` | filters by id, network and service; deleted ones go |
//! | `ecs_task_definitions` | `ClientException` for illegal Fargate sizes, network modes and a missing execution role; `hostPort` |
//! | `ecs_target_groups` | ARNs of target groups between the emulators; `InvalidParameterException` for one that no load balancer uses |
//! | `ecs_deployments` | rolling and blue/green deployments, circuit breaker and rollback, service deployments, events, reasons of stopped tasks |
//! | `elasticache` | subnet groups and replication groups, told in memory: changes, ends, nodes, tags, and what does not fit together |
//! | `eks_clusters` | `vpcId` and the security group of a cluster, in EC2, with its rules and tags; `InvalidParameterException` for unknown subnets, groups and roles; deletion protection |
//! | `eks_endpoints` | a real control plane behind every cluster, see [`kubernetes`](crate::kubernetes) |
//! | `eks_updates` | `UPDATING`, one update at a time (`ResourceInUseException`), of one kind and one minor version (`InvalidParameterException`); nodes not newer than their cluster |
//! | `eks_versions` | Kubernetes 1.35 with the add-ons of 1.34; `InvalidParameterException` for versions that EKS has not |
//! | `eks_insights` | the kubelet version skew, from the versions of node groups |
//! | `elbv2_refusals` | `DuplicateListener`, `DuplicateLoadBalancerName`, `OperationNotPermitted`, two subnets at least; the default scheme |
//! | `elbv2_targets` | the health of targets, probed |
//! | `iam_policies` | `DeleteConflict`, `MalformedPolicyDocument` |
//! | `iam_simulation` | `SimulatePrincipalPolicy`, from the policies of a user or role, without conditions; the made-up `user/moto` may do everything |
//! | `rds_refusals` | `ModifyDBSubnetGroup` (moto deletes the group), `DBSubnetGroupAlreadyExists`, `InvalidDBSubnetGroupStateFault`, deletion protection and final snapshots (`InvalidParameterCombination`), classes and versions that never were |
//! | `rds_databases` | real PostgreSQL servers with their endpoints and passwords, engine versions, secrets of managed passwords |
//! | `ssm_parameter_arns` | the ARN of a parameter that is described |
//! | `sts_roles` | sessions of roles, of the role's account and told by `GetCallerIdentity`; `AccessDenied` for a role that is not there. Trust policies are not asked |
//! | `sts_sessions` | `GetSessionToken` of the same account, refused with `AccessDenied` for another account's device and for the code 000000 |
//! | `tag_index` | `tag:GetResources` for a list of ARNs, over both emulators |
//!
//! Pending states are in `pending.rs`, the time of signatures is looked at in `clock.rs`, and `turns.rs` lets the changes of an
//! account reach moto one after the other. Not supplied: ACM certificates are issued after moto's waiting time whether or not the
//! validation record exists; changes of a database apply at once, maintenance window or not; `StopServiceDeployment`
//! without a rollback; servers behind the endpoints of ElastiCache.
//!
//! # For people
//!
//! `GET /_causeway/health`, `GET /_causeway/calls`, `DELETE /_causeway/calls`, `GET|POST|DELETE /_causeway/rules`,
//! `POST /_causeway/release` on the gateway's own address, without a signature. A rule is the JSON form of [`Rule`].

mod call;
mod clock;
mod fix;
mod forward;
mod inside;
mod operation;
mod pending;
mod refusal;
mod review;
mod route;
mod rule;
mod serve;
#[cfg(test)]
mod tests;
mod turns;
mod xml;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use call::Call;
pub(crate) use call::millis;
pub(crate) use fix::cloudfront_keys::Seen;
pub use fix::{FixInfo, fixes};
pub(crate) use forward::full;
pub use inside::Inside;
pub use pending::Pending;
pub(crate) use review::{POLICY_GROUP, policy_groups};
pub(crate) use route::Scope;
pub use route::{Backend, ROUTES};
pub use rule::{Act, Bucket, Effect, Latency, Rule, RuleId, Rules};
pub(crate) use xml::Element;

/// What a backend or a database hook failed with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Where the emulators are.
pub trait Backends: Send + Sync + 'static {
    /// Base URL (`http://127.0.0.1:5001`, no slash at the end) of `backend` for an account and a region, which is empty if
    /// the request names none. May start a process.
    fn url<'a>(
        &'a self,
        backend: Backend,
        account: &'a str,
        region: &'a str,
    ) -> BoxFuture<'a, Result<String, BoxError>>;
}

/// Real PostgreSQL servers behind RDS instances. Ids are unique in the sandbox (account, region and identifier).
pub trait Databases: Send + Sync + 'static {
    /// Starts a server and returns the host and port on which it listens.
    fn start(&self, database: Database) -> BoxFuture<'_, Result<(String, u16), BoxError>>;
    /// Stops the server and forgets its data.
    fn stop<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// A database server that an RDS instance asks for.
#[derive(Clone)]
pub struct Database {
    /// Unique in the sandbox; letters, digits and `-`.
    pub id: String,
    /// Master user name.
    pub user: String,
    /// Master password; never printed.
    pub password: String,
    /// Database to create; RDS creates none but `postgres` when the request names none.
    pub name: Option<String>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Real control planes behind EKS clusters. Ids are unique in the sandbox (account, region and name).
pub trait Clusters: Send + Sync + 'static {
    /// Opens the address of a new cluster.
    fn open(&self, cluster: Cluster, aws: Inside) -> BoxFuture<'_, Result<Endpoint, BoxError>>;
    /// Closes the address, stops what runs behind it and forgets its data.
    fn close<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// An EKS cluster that asks for a control plane.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Unique in the sandbox; letters, digits, `-` and `_`.
    pub id: String,
    /// Who issues the tokens of its service accounts.
    pub issuer: String,
}

/// Where a control plane is reached.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Like `https://127.0.0.1:40001`.
    pub url: String,
    /// The certificate that its clients trust, as PEM.
    pub certificate_authority: String,
}

/// How a gateway is set up.
pub struct Config {
    /// Where the emulators are.
    pub backends: Arc<dyn Backends>,
    /// `None`: RDS instances have an address that moto made up and nobody answers there.
    pub databases: Option<Arc<dyn Databases>>,
    /// `None`: EKS clusters have an address that fakecloud made up and nobody answers there.
    pub clusters: Option<Arc<dyn Clusters>>,
    /// How long resources pend.
    pub pending: Pending,
    /// Seed of the dice that rules with a probability throw.
    pub seed: u64,
    /// Port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
}

impl Config {
    /// Default settings: short pending times, no databases, any port.
    pub fn new(backends: Arc<dyn Backends>) -> Config {
        Config { backends, databases: None, clusters: None, pending: Pending::default(), seed: 0, port: 0 }
    }
}

/// What can go wrong when a gateway starts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The port could not be taken.
    #[error("listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A running gateway. Dropping it stops it.
pub struct Gateway {
    addr: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

/// What the parts of the gateway share.
pub(crate) struct State {
    pub(crate) address: SocketAddr,
    pub(crate) backends: Arc<dyn Backends>,
    pub(crate) client: forward::Client,
    pub(crate) calls: Mutex<Vec<Call>>,
    pub(crate) rules: Rules,
    pub(crate) pending: pending::Pendings,
    pub(crate) clocks: clock::Clocks,
    pub(crate) turns: turns::Turns,
    pub(crate) fixes: fix::Memory,
}

/// Locks, also after a panic elsewhere: every change under these locks is complete in itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    /// Starts to listen on 127.0.0.1.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if the port cannot be taken.
    pub async fn start(config: Config) -> Result<Gateway, Error> {
        let listen = |source| Error::Listen { port: config.port, source };
        let listener = TcpListener::bind(("127.0.0.1", config.port)).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let state = Arc::new(State {
            address: addr,
            backends: config.backends,
            client: forward::client(),
            calls: Mutex::new(Vec::new()),
            rules: Rules::new(config.seed),
            pending: pending::Pendings::new(config.pending),
            clocks: clock::Clocks::default(),
            turns: turns::Turns::default(),
            fixes: fix::Memory::new(config.databases, config.clusters),
        });
        let server = tokio::spawn(serve::serve(listener, state.clone()));
        Ok(Gateway { addr, state, server })
    }

    /// The address for `AWS_ENDPOINT_URL`, like `http://127.0.0.1:40001`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The socket on which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every call since the start or the last [`reset_calls`](Gateway::reset_calls), in the order of their ends.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state.calls).clone()
    }

    /// The calls of whoever has this access key, in the order of their ends. Tests that share a sandbox ask for theirs only: all of them
    /// together are many.
    pub fn calls_of(&self, access_key: &str) -> Vec<Call> {
        lock(&self.state.calls).iter().filter(|call| call.access_key == access_key).cloned().collect()
    }

    /// The calls that change something; refused ones count as well.
    pub fn mutations(&self) -> Vec<Call> {
        lock(&self.state.calls).iter().filter(|call| call.mutates).cloned().collect()
    }

    /// Forgets the calls so far.
    pub fn reset_calls(&self) {
        lock(&self.state.calls).clear();
    }

    /// Follows the deployments of an account no more.
    pub(crate) fn close_account(&self, account: &str) {
        self.state.fixes.deployments.close_account(account);
    }

    /// What is to happen to calls.
    pub fn rules(&self) -> &Rules {
        &self.state.rules
    }

    /// What its parts share, for the edge.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.clone()
    }

    /// Changes how long resources pend from now on.
    pub fn set_pending(&self, pending: Pending) {
        self.state.pending.set(pending);
    }

    /// Changes how long resources of the account of an access key pend from now on, whatever others' do.
    pub fn set_pending_of(&self, access_key: &str, pending: Pending) {
        self.state.pending.set_of(access_key, pending);
    }

    /// From now on the clock of AWS is so far ahead of this machine's for the account of an access key. To its callers that is as if
    /// theirs were behind.
    pub fn set_clock(&self, access_key: &str, ahead: jiff::SignedDuration) {
        self.state.clocks.set(access_key, ahead);
    }

    /// Stops listening and cuts open connections.
    pub async fn stop(mut self) {
        self.server.abort();
        // An aborted task answers with a cancellation; only its end matters.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}
