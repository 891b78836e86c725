//! `[eks.coder]`: what people choose about what runs inside the clusters.

use crate::{
    config::SecretSource,
    dns::{DnsAccount, DnsProvider},
};
use causeway_k8s::litellm::keys::Rotation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `[eks.coder]`: Coder, and all that it needs inside the clusters. Left out, the clusters are made and nothing is put into
/// them. Which versions run is said in `causeway.lock`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coder {
    /// Where people reach Coder, like `https://coder.example.com`.
    pub access_url: String,
    /// Where workspace applications are reached, like `*.coder.example.com`.
    pub wildcard_access_url: Option<String>,
    /// How many servers. More than one needs a Coder licence for high availability.
    #[serde(default = "two")]
    pub replicas: u16,
    /// Builds that the servers run themselves at a time. Left out: three while an organization has no provisioners of its
    /// own, and none after that.
    pub provisioner_daemons: Option<u16>,
    /// The certificates of Coder and its proxies.
    pub certificates: Certificates,
    /// The way in, here and to the proxies.
    #[serde(default)]
    pub load_balancer: LoadBalancer,
    /// Who keeps the zone of the names. They are yours to point at the load balancers if left out.
    pub dns: Option<Dns>,
    /// The organizations, by name: `[eks.coder.organizations.coder]`. Coder makes the first one itself, and calls it `coder`.
    #[serde(default = "organizations")]
    pub organizations: BTreeMap<String, Organization>,
    /// The nodes that Karpenter may make.
    #[serde(default)]
    pub nodes: Nodes,
    /// A folder that `deploy vendor` has made, from where definitions of custom resources are taken. They are fetched from
    /// where they are published if left out. A relative path starts at the folder of this file.
    pub vendored: Option<String>,
    /// What runs at set times: copying images, and making keys of LiteLLM anew. Neither does if left out.
    pub jobs: Option<Jobs>,
    /// Rules for Prometheus in every cluster. None if left out: they need the definitions of the Prometheus operator, which
    /// whoever runs it brings.
    pub alerts: Option<Alerts>,
    /// More environment variables of the server.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Environment variables of the server that are secret.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
}

fn two() -> u16 {
    2
}

fn organizations() -> BTreeMap<String, Organization> {
    BTreeMap::from([("coder".to_owned(), Organization::default())])
}

/// `[eks.coder.certificates]`: from Let's Encrypt, for the URLs of Coder and its proxies, renewed in time. Names are proved
/// by a record in their zone: at Cloudflare where `cloudflare_token` is there, in Route 53 where `[eks] route53_zones` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificates {
    /// Who Let's Encrypt writes to before a certificate ends.
    pub email: String,
    /// A token of Cloudflare that may read zones and edit DNS.
    pub cloudflare_token: Option<SecretSource>,
    /// Asks for certificates that browsers do not trust, of which there are as many as you like: to try it out.
    #[serde(default)]
    pub staging: bool,
}

/// `[eks.coder.dns]`: the names of Coder and its proxies, with their wildcards, and that of LiteLLM where it is in the zone, lead
/// to the load balancers that they get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Who keeps the zone.
    pub provider: DnsProvider,
    /// The zone, like `example.com`.
    pub zone: String,
    /// What the provider calls the zone. Looked up by its name if left out.
    pub id: Option<String>,
    /// Cloudflare: a token that may read zones and edit DNS. That of `[eks.coder.certificates]` if left out.
    pub token: Option<SecretSource>,
    /// For how many seconds resolvers may keep an answer. What the provider usually has if left out.
    pub ttl: Option<u32>,
    /// Cloudflare: where the API is, for tests and proxies.
    pub api: Option<String>,
}

impl Coder {
    /// Who keeps the zone of its names.
    pub fn dns_account(&self) -> Option<DnsAccount<'_>> {
        let dns = self.dns.as_ref()?;
        Some(DnsAccount {
            table: "eks.coder.dns",
            name: "names",
            provider: dns.provider,
            zone: &dns.zone,
            id: dns.id.as_deref(),
            token: dns.token.as_ref().or(self.certificates.cloudflare_token.as_ref()),
            ttl: dns.ttl,
            api: dns.api.as_deref(),
        })
    }
}

/// `[eks.coder.load_balancer]`: the network load balancers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadBalancer {
    /// Only for the network it is in, and those that are connected to it.
    pub internal: bool,
    /// Nobody deletes it by mistake, as its name is in DNS: AWS refuses, and we want a permit for its Service.
    pub deletion_protection: bool,
    /// From where it may be reached, as IPv4 CIDRs; from anywhere if empty.
    pub from: Vec<String>,
}
impl Default for LoadBalancer {
    fn default() -> Self {
        LoadBalancer { internal: false, deletion_protection: true, from: vec![] }
    }
}

/// `[eks.coder.organizations.NAME]`: an organization of Coder, in every region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Organization {
    /// The namespace of its workspaces: `coder-ws`, and for others than the first `coder-ws-NAME`, if left out.
    pub namespace: Option<String>,
    /// How many provisioners in each region; each runs one build at a time.
    pub provisioners: u16,
    /// The key of its provisioners, which only a running Coder makes: `coder provisioner keys create`. There are none
    /// without it.
    pub provisioner_key: Option<SecretSource>,
    /// As what they run.
    pub kind: ProvisionerKind,
    /// More provisioners, each set with tags of its own, which are in its key: `[eks.coder.organizations.NAME.sets.SET]`.
    pub sets: BTreeMap<String, ProvisionerSet>,
    /// How much all its workspaces in a region may use together, like `"requests.cpu" = "64"`.
    pub quota: BTreeMap<String, String>,
}
impl Default for Organization {
    fn default() -> Self {
        Organization {
            namespace: None,
            provisioners: 6,
            provisioner_key: None,
            kind: ProvisionerKind::default(),
            sets: BTreeMap::new(),
            quota: BTreeMap::new(),
        }
    }
}

/// As what provisioners run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProvisionerKind {
    /// A Deployment: a successor is there before a provisioner ends.
    #[default]
    Deployment,
    /// A StatefulSet: names stay, so that Coder shows the same provisioners after each change.
    StatefulSet,
}

/// `[eks.coder.organizations.NAME.sets.SET]`: provisioners with tags of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProvisionerSet {
    /// Their key, with their tags in it: `coder provisioner keys create --tag ..`.
    pub key: SecretSource,
    /// How many in each region.
    #[serde(default = "two")]
    pub count: u16,
}

impl Organization {
    /// The namespace of its workspaces.
    pub fn namespace(&self, name: &str) -> String {
        self.namespace.clone().unwrap_or_else(|| match name {
            "coder" => "coder-ws".to_owned(),
            other => format!("coder-ws-{other}"),
        })
    }
}

/// `[eks.coder.jobs]`: this very program, run in the clusters at set times. It copies the images that `[eks.registry.mirror]` names,
/// and, where `[eks.litellm]` is, makes the key that workspaces use anew and brings it to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jobs {
    /// The image of this program, whose entry point is `deploy`: `registry.example/deploy:v0.1.0@sha256:..`.
    pub image: String,
    /// By whose clock, as IANA names it, like `America/Vancouver`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// When images are copied, in the five fields of cron.
    #[serde(default = "mondays")]
    pub mirror: String,
    /// Hours that a key of LiteLLM can be used.
    #[serde(default = "eight")]
    pub key_life: u8,
    /// Hours from one key to the next: 1, 2, 3, 4, 6, 8 or 12.
    #[serde(default = "four")]
    pub key_made_every: u8,
    /// Hours from one delivery to the next: fewer than between keys.
    #[serde(default = "one")]
    pub key_brought_every: u8,
}

impl Jobs {
    /// When keys are made and brought.
    pub fn rotation(&self) -> Rotation {
        Rotation {
            life: self.key_life,
            make_every: self.key_made_every,
            bring_every: self.key_brought_every,
            time_zone: self.time_zone.clone(),
        }
    }
}

fn utc() -> String {
    "UTC".into()
}

fn mondays() -> String {
    "0 0 * * 1".into()
}

fn eight() -> u8 {
    8
}

fn four() -> u8 {
    4
}

fn one() -> u8 {
    1
}

/// `[eks.coder.alerts]`: rules for the Prometheus operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Where the operator looks for rules. It has to be there.
    pub namespace: String,
    /// Labels that the operator selects rules by, like `{ release = "prometheus" }`.
    pub labels: BTreeMap<String, String>,
}
impl Default for Alerts {
    fn default() -> Self {
        Alerts { namespace: "monitoring".into(), labels: BTreeMap::new() }
    }
}

/// `[eks.coder.nodes]`: the nodes that Karpenter may make, by what runs on them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Nodes {
    /// The release of Amazon Linux 2023 for EKS that servers, proxies and provisioners run on: a day in
    /// <https://github.com/awslabs/amazon-eks-ami/releases>. Another one replaces these nodes.
    pub al2023: String,
    /// The release of Bottlerocket that workspaces run on. Another one replaces these nodes.
    pub bottlerocket: String,
    /// For Coder's servers, or for its proxies.
    pub server: Pool,
    /// For provisioners.
    pub provisioner: Pool,
    /// For workspaces.
    pub workspaces: Pool,
}
impl Default for Nodes {
    fn default() -> Self {
        let pool = |types: [&str; 2], spot, cpus, disk| Pool {
            instance_types: types.map(str::to_owned).into(),
            spot,
            cpus,
            memory: cpus * 4,
            disk,
        };
        Nodes {
            al2023: "v20260903".into(),
            bottlerocket: "v1.57.0".into(),
            server: pool(["m5a.xlarge", "m6a.xlarge"], false, 32, 100),
            provisioner: pool(["m5a.4xlarge", "m6a.4xlarge"], true, 128, 200),
            workspaces: pool(["c6a.32xlarge", "c5a.24xlarge"], true, 512, 1_400),
        }
    }
}

/// Nodes for one purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Which machines, like `m6a.xlarge`.
    pub instance_types: Vec<String>,
    /// Whether machines may be ones that EC2 takes back at two minutes' notice.
    pub spot: bool,
    /// How many CPUs all of them may have together.
    pub cpus: u32,
    /// How much memory all of them may have together, in GiB.
    pub memory: u32,
    /// The disk of each, for images and what pods write, in GiB.
    pub disk: u16,
}

/// `[eks.regions.NAME.proxy]`: a workspace proxy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Where browsers reach it, like `https://oregon.coder.example.com`.
    pub access_url: String,
    /// Where workspace applications are reached by it, like `*.oregon.coder.example.com`.
    pub wildcard_access_url: Option<String>,
    /// What it proves itself with, which only a running Coder makes: `coder proxy create`.
    pub session_token: SecretSource,
    /// How many.
    #[serde(default = "two")]
    pub replicas: u16,
}
