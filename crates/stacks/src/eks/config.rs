//! `[eks]`: what people choose about Coder on EKS.

use super::workloads::{Coder, Proxy};
use causeway_oci::{BadReference, Reference};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `[eks]`: Coder on Kubernetes. The region of the stack has the control plane: Coder, its databases, LiteLLM and the
/// registry. Others, where there are any, have workspace proxies and workspaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Eks {
    /// The minor version of Kubernetes, like `1.34`. One in standard support: others cost six times as much.
    pub version: String,
    /// Who may reach the API of the clusters, and who may do what there.
    pub access: Access,
    /// The network of the stack's own region; what is not said about another region is as here.
    #[serde(default)]
    pub network: Network,
    /// The nodes that run what makes all other nodes.
    #[serde(default)]
    pub system_nodes: SystemNodes,
    /// Versions of add-ons, like `coredns = "v1.12.4-eksbuild.1"`. What is not named here gets the version that EKS
    /// installs by default with this version of Kubernetes.
    #[serde(default)]
    pub addons: BTreeMap<String, String>,
    /// Logs of the control planes.
    #[serde(default)]
    pub logs: Logs,
    /// The database of Coder.
    #[serde(default)]
    pub database: Database,
    /// The proxy of the language models. None if left out.
    pub litellm: Option<LiteLlm>,
    /// What runs inside the clusters. Nothing is put into them if left out.
    pub coder: Option<Coder>,
    /// The image repositories.
    #[serde(default)]
    pub registry: Registry,
    /// Issues certificates by DNS challenges in Route 53, in these hosted zones, by their ids. Where DNS is kept at
    /// Cloudflare this stays empty.
    #[serde(default)]
    pub route53_zones: Vec<String>,
    /// The ARN of a managed policy that limits every role that the stack makes.
    pub permissions_boundary: Option<String>,
    /// Other regions, by name: `[eks.regions.us-west-2]`.
    #[serde(default)]
    pub regions: BTreeMap<String, Region>,
}

/// `[eks.access]`: the API of the clusters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// From where it can be reached, as IPv4 CIDRs. Nodes reach it from inside.
    pub from: Vec<String>,
    /// Roles and users that may do everything, by ARN.
    #[serde(default)]
    pub admins: Vec<String>,
    /// Whether the role or the user that deploys may do everything, too: what runs in the clusters is put there by the same
    /// deployment. If left out, it may where `admins` names nobody.
    pub deployer: Option<bool>,
    /// Roles and users that may look at everything but secrets, by ARN.
    #[serde(default)]
    pub viewers: Vec<String>,
}

impl Access {
    /// Whether whoever deploys may enter.
    pub fn admits_deployer(&self) -> bool {
        self.deployer.unwrap_or(self.admins.is_empty())
    }
}

/// `[eks.network]`: the network of a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// The addresses, a /16. Every region has one of its own if left out, so that regions can be peered.
    pub cidr: Option<String>,
    /// How private subnets reach the internet.
    pub nat: Nat,
    /// One way out for each zone, and not one for the region.
    pub nat_per_zone: bool,
    /// The machine of fck-nat.
    pub nat_instance_type: String,
    /// Keeps a machine of fck-nat alive. Without it there is one, and when it dies it stays dead.
    pub nat_keep_alive: bool,
    /// Has fck-nat on spot instances: cheaper, and taken away when AWS needs them.
    pub nat_spot: bool,
    /// Has traffic come from an address that stays, whichever machine of fck-nat it is. NAT gateways always do.
    pub nat_fixed_address: bool,
    /// Sends metrics of the machine of fck-nat to CloudWatch.
    pub nat_metrics: bool,
    /// Lets people log in to the machine of fck-nat through Session Manager.
    pub nat_session_manager: bool,
    /// From where people may log in to the machine of fck-nat with SSH, as IPv4 CIDRs.
    pub nat_ssh_from: Vec<String>,
    /// Keeps what goes to S3 and ECR inside AWS, by VPC endpoints. Those of ECR cost by the hour.
    pub endpoints: Endpoints,
    /// Days that flow logs are kept. None are made if left out.
    pub flow_log_days: Option<u16>,
}
impl Default for Network {
    fn default() -> Self {
        Network {
            cidr: None,
            nat: Nat::FckNat,
            nat_per_zone: false,
            nat_instance_type: "t4g.micro".into(),
            nat_keep_alive: true,
            nat_spot: false,
            nat_fixed_address: false,
            nat_metrics: true,
            nat_session_manager: true,
            nat_ssh_from: vec![],
            endpoints: Endpoints::S3,
            flow_log_days: None,
        }
    }
}

/// How private subnets reach the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// A small machine in an auto-scaling group: cheap, and away for a minute when it is replaced.
    FckNat,
    /// A NAT gateway of AWS: costs by the hour and by the byte.
    Managed,
}

/// Which VPC endpoints a network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoints {
    /// None.
    None,
    /// The free one of S3, where image layers are.
    S3,
    /// Those of S3, ECR and STS.
    All,
}

/// `[eks.system_nodes]`: the managed node group `system`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SystemNodes {
    /// Like `t3.xlarge`.
    pub instance_type: String,
    /// How many to start with; after that the number is left to whoever scales.
    pub desired: u16,
    /// At least.
    pub min: u16,
    /// At most.
    pub max: u16,
    /// In GiB.
    pub disk: u16,
}
impl Default for SystemNodes {
    fn default() -> Self {
        SystemNodes { instance_type: "t3.xlarge".into(), desired: 2, min: 2, max: 10, disk: 50 }
    }
}

/// `[eks.logs]`: logs of the control planes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// Which, of `api`, `audit`, `authenticator`, `controllerManager` and `scheduler`.
    pub types: Vec<String>,
    /// How many days they are kept; one of the values that CloudWatch knows.
    pub days: u16,
}
impl Default for Logs {
    fn default() -> Self {
        Logs { types: ["api", "audit", "authenticator"].map(str::to_owned).into(), days: 90 }
    }
}

/// `[eks.database]`: PostgreSQL for Coder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// PostgreSQL, major or exact: `16` or `16.4`.
    pub version: String,
    /// Like `db.m5.large`.
    pub instance_class: String,
    /// In GiB; 20 at least.
    pub storage: u32,
    /// Grows by itself up to this many GiB.
    pub max_storage: u32,
    /// A standby in another zone.
    pub multi_az: bool,
    /// Days that automatic backups are kept, 7 to 35. 0: none are made, which the lint `backups-off` refuses.
    pub backup_days: u8,
    /// AWS refuses to delete it, beside our own guards.
    pub deletion_protection: bool,
}
impl Default for Database {
    fn default() -> Self {
        Database {
            version: "16".into(),
            instance_class: "db.m5.large".into(),
            storage: 40,
            max_storage: 200,
            multi_az: true,
            backup_days: 7,
            deletion_protection: true,
        }
    }
}

/// `[eks.litellm]`: the proxy of the language models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiteLlm {
    /// Where it is reached, like `https://llm.example.com`. Needed where `[eks.coder]` is there.
    pub url: Option<String>,
    /// The certificate that it shows, by its ARN in ACM. The load balancer controller looks for one of this name if left
    /// out.
    pub certificate: Option<String>,
    /// Only for the network it is in, and those that are connected to it.
    #[serde(default = "yes")]
    pub internal: bool,
    /// From where it may be reached, as IPv4 CIDRs; from anywhere that reaches the network if empty.
    #[serde(default)]
    pub from: Vec<String>,
    /// How many pods.
    #[serde(default = "four")]
    pub replicas: u16,
    /// The models of Bedrock that it may use, as patterns.
    #[serde(default = "anthropic")]
    pub bedrock_models: Vec<String>,
    /// Its database: an instance of its own. On Coder's instance if left out, as a second user and database; those are
    /// made over a connection, so whoever deploys must reach the database.
    pub database: Option<Database>,
    /// How whoever deploys reaches Coder's instance. Only without a database of its own.
    #[serde(default)]
    pub connection: Connection,
    /// Its cache.
    #[serde(default)]
    pub cache: Cache,
}

/// `[eks.litellm.connection]`: the way to the instance for whoever deploys. It differs from one machine to the next, so
/// nothing in AWS depends on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connection {
    /// The certificates of RDS, a file that AWS publishes as
    /// <https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem>. A relative path starts at the folder of this
    /// file. Needed everywhere but in the sandbox.
    pub root_certificates: Option<String>,
    /// `HOST:PORT` where a tunnel to the instance listens: it stands in private subnets.
    pub tunnel: Option<String>,
}

fn yes() -> bool {
    true
}

fn four() -> u16 {
    4
}

fn anthropic() -> Vec<String> {
    vec!["anthropic.*".into()]
}

/// `[eks.litellm.cache]`: Valkey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Like `8.0`.
    pub version: String,
    /// Like `cache.r7g.large`.
    pub node_type: String,
    /// Spreads keys over several shards. The client has to know: LiteLLM is then given the nodes to start from.
    pub cluster_mode: bool,
    /// How many shards in cluster mode.
    pub shards: u8,
    /// Copies of each shard, which take over when it fails.
    pub replicas: u8,
    /// Days that snapshots are kept. 0: none are made.
    pub snapshot_days: u8,
}
impl Default for Cache {
    fn default() -> Self {
        Cache {
            version: "8.0".into(),
            node_type: "cache.r7g.large".into(),
            cluster_mode: false,
            shards: 2,
            replicas: 1,
            snapshot_days: 1,
        }
    }
}

/// `[eks.registry]`: the image repositories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Their names.
    pub repositories: Vec<String>,
    /// A tag always means the same image.
    pub immutable_tags: bool,
    /// How many images without a tag are kept in each.
    pub keep_untagged: u16,
    /// Other accounts that may pull, in 12 digits.
    pub readers: Vec<String>,
    /// Copies images to the other regions of the stack.
    pub replicate: bool,
    /// The repositories and all their images go when the stack goes.
    pub force_delete: bool,
    /// Images of others that `deploy mirror` copies, by the repository that they are copied into.
    pub mirror: BTreeMap<String, Vec<Mirrored>>,
}
impl Default for Registry {
    fn default() -> Self {
        let repositories =
            ["base-ws", "claude-ws", "goose-ws", "fetch-and-store", "coder-preview", "rotate-key"];
        Registry {
            repositories: repositories.map(str::to_owned).into(),
            immutable_tags: true,
            keep_untagged: 10,
            readers: vec![],
            replicate: true,
            force_delete: false,
            mirror: BTreeMap::new(),
        }
    }
}

/// An image that is copied: `ghcr.io/coder/coder-preview:v1`, with `@sha256:..` where it is to be exactly that; or `lock:NAME`,
/// what `causeway.lock` has under this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Mirrored {
    /// One that the file names.
    Image(Reference),
    /// One that the lock names.
    Locked(String),
}

impl TryFrom<String> for Mirrored {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("lock:") {
            Some(name) => Ok(Mirrored::Locked(name.to_owned())),
            None => text.parse().map(Mirrored::Image).map_err(|_: BadReference| {
                format!(
                    "`{text}` is no image\n\
                     write it with its tag, like `ghcr.io/coder/coder-preview:v1`, and `@sha256:..` after that if you know it; or \
                     `lock:NAME`, what causeway.lock has under this name"
                )
            }),
        }
    }
}
impl From<Mirrored> for String {
    fn from(image: Mirrored) -> Self {
        match image {
            Mirrored::Image(reference) => reference.to_string(),
            Mirrored::Locked(name) => format!("lock:{name}"),
        }
    }
}
impl JsonSchema for Mirrored {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mirrored".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(lock:.+|[^@]+:[^/@]+(@sha256:[0-9a-f]{64})?)$",
            "description": "An image: `ghcr.io/coder/coder-preview:v1`, with or without `@sha256:..`, or `lock:NAME` for one of `causeway.lock`."
        })
    }
}

/// `[eks.regions.NAME]`: a region with a workspace proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Region {
    /// The addresses of its network, a /16.
    pub cidr: Option<String>,
    /// Its system nodes, if they differ.
    pub system_nodes: Option<SystemNodes>,
    /// Its workspace proxy. None if left out: Coder itself has to run before there can be one.
    pub proxy: Option<Proxy>,
}
