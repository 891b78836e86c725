//! `dns-sync.toml`.

mod zones;

pub use zones::{AlgorithmName, KeyConfig, PlanName, ProviderName, ZoneConfig};

use causeway_core::Secret;
use causeway_dns::{Class, Name, guard};
use causeway_settings::{Mistakes, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The most reads that have to agree. More would take longer than a run may.
const MOST_READS: u32 = 10;

/// A Lease is renewed three times in its duration, which takes a call each.
const LEAST_LEASE: u32 = 3;

/// Nobody wants to wait longer for somebody who is gone.
const MOST_LEASE: u32 = 3600;

/// The whole of `dns-sync.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who we are in the mark beside each record: the name of this configuration. Lowercase letters, digits and hyphens.
    pub owner: String,
    /// The names that may be touched at all, `*` for anything: `["ai.example.com", "*.ai.example.com"]`. All names of the
    /// zones if left out.
    #[serde(default)]
    pub names: Vec<String>,
    /// The zones, by name.
    pub zones: BTreeMap<String, ZoneConfig>,
    /// What records have that no source speaks of.
    #[serde(default)]
    pub defaults: Defaults,
    /// What a run may do.
    #[serde(default)]
    pub guard: GuardConfig,
    /// Where the journal is kept.
    #[serde(default)]
    pub state: StateConfig,
    /// Kubernetes clusters whose load balancers have names.
    #[serde(default)]
    pub clusters: BTreeMap<String, ClusterConfig>,
    /// Load balancers of AWS, by region.
    #[serde(default)]
    pub balancers: BTreeMap<String, BalancersConfig>,
    /// Services of ECS that load balancers stand in front of.
    #[serde(default)]
    pub ecs: BTreeMap<String, EcsConfig>,
    /// Outputs of stacks, as `deploy outputs --json` writes them.
    #[serde(default)]
    pub outputs: BTreeMap<String, OutputsConfig>,
    /// Records that stand here.
    #[serde(default)]
    pub records: Vec<RecordConfig>,
    /// Whom `verify` asks.
    #[serde(default)]
    pub verify: VerifyConfig,
    /// Which of several `run` works.
    pub lease: Option<LeaseConfig>,
}

/// `[lease]`: of several `dns-sync run` beside each other, the one that holds a Lease of Kubernetes works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LeaseConfig {
    /// The name of the Lease.
    pub name: String,
    /// Its namespace. That of the pod, or of the context, if left out.
    pub namespace: Option<String>,
    /// The cluster that has it, one of `[clusters]`. The one that this program runs in, if left out.
    pub cluster: Option<String>,
    /// For how many seconds it holds. So long others wait when the one that has it is gone.
    #[serde(default = "fifteen")]
    pub seconds: u32,
}

fn fifteen() -> u32 {
    15
}

impl LeaseConfig {
    fn problems(&self, clusters: &BTreeMap<String, ClusterConfig>) -> Vec<Problem> {
        let mut out = vec![];
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        if self.name.is_empty() || !self.name.chars().all(legal) {
            let help = "lowercase letters, digits, hyphens and dots, like `dns-sync`";
            out.push(Problem::at("lease.name", "`name` is no name of a Lease", help));
        }
        if let Some(cluster) = self.cluster.as_ref().filter(|cluster| !clusters.contains_key(*cluster)) {
            let known: Vec<&str> = clusters.keys().map(String::as_str).collect();
            let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let help = format!("there is {there}; leave it out for the cluster that this program runs in");
            out.push(Problem::at("lease.cluster", format!("there is no cluster `{cluster}`"), help));
        }
        if !(LEAST_LEASE..=MOST_LEASE).contains(&self.seconds) {
            let message = format!("`seconds` has to be between {LEAST_LEASE} and {MOST_LEASE}");
            out.push(Problem::at("lease.seconds", message, "15 is what Kubernetes itself takes"));
        }
        out
    }
}

/// `[verify]`: whom `verify` asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyConfig {
    /// The zones' own servers, like `192.0.2.53` or `192.0.2.53:5353`. Found in DNS if left out.
    pub servers: Vec<String>,
    /// Resolvers that have to say the same, like `1.1.1.1`.
    pub resolvers: Vec<String>,
}

impl VerifyConfig {
    fn problems(&self) -> Vec<Problem> {
        let all = [("verify.servers", &self.servers), ("verify.resolvers", &self.resolvers)];
        let wrong = all.into_iter().flat_map(|(path, texts)| texts.iter().map(move |text| (path, text)));
        wrong
            .filter(|(_, text)| crate::verify::address(text).is_none())
            .map(|(path, text)| {
                Problem::at(
                    path,
                    format!("`{text}` is no address"),
                    "write an IP address, with its port if that is not 53",
                )
            })
            .collect()
    }
}

/// Load balancers of a region of AWS. Credentials are found as the AWS CLI finds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BalancersConfig {
    /// The region, like `us-east-2`.
    pub region: String,
    /// The profile of the AWS CLI.
    pub profile: Option<String>,
    /// The tag that holds names, with blanks or `/` between them, and `_wildcard.` for `*.`. Often `causeway.dev/hostname`.
    pub tag: Option<String>,
    /// Names by the name of the load balancer.
    #[serde(default)]
    pub names: BTreeMap<String, Vec<String>>,
}

/// Services of a cluster of ECS. Credentials are found as the AWS CLI finds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EcsConfig {
    /// The region, like `us-east-2`.
    pub region: String,
    /// The profile of the AWS CLI.
    pub profile: Option<String>,
    /// The cluster.
    pub cluster: String,
    /// Names by the name of the service.
    pub services: BTreeMap<String, Vec<String>>,
}

/// `[defaults]`: what records have that no source speaks of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// For how many seconds resolvers may keep an answer. As it is if left out.
    pub ttl: Option<u32>,
    /// Whether Cloudflare stands in front, in zones there. As it is if left out, and not for a new record.
    pub proxied: Option<bool>,
}

/// `[guard]`: what a run may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// `sync` makes, changes and removes; `upsert-only` does not remove; `create-only` only makes.
    pub policy: PolicyName,
    /// How many records may be changed in a run.
    pub changes: usize,
    /// The share of all records that may be changed, in percent; one always may.
    pub changes_percent: usize,
    /// How many records may be removed in a run.
    pub removals: usize,
    /// The share of all records that may be removed, in percent; one always may.
    pub removals_percent: usize,
    /// How many reads of a source have to agree before a record that is there is changed or removed.
    pub reads: u32,
    /// How many seconds apart these reads are.
    pub pause: u32,
    /// What a target has to answer before a record that is there leads to it: `tls`, a certificate for the name; `coder`, that
    /// and the page that tells Coder's version. Nothing if left out.
    pub probe: Option<ProbeName>,
    /// The port at which it has to.
    pub probe_port: u16,
    /// A file of certificates in PEM that are trusted beside those of this machine; a relative path starts at the folder of
    /// this file.
    pub probe_roots: Option<PathBuf>,
}

/// What a target has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbeName {
    /// TLS, with a certificate for the name.
    Tls,
    /// As Coder does. Of a wildcard, TLS.
    Coder,
}

impl Default for GuardConfig {
    fn default() -> Self {
        let rules = guard::Rules::default();
        GuardConfig {
            policy: PolicyName::Sync,
            changes: rules.changes.most,
            changes_percent: rules.changes.percent,
            removals: rules.removals.most,
            removals_percent: rules.removals.percent,
            reads: 2,
            pause: 5,
            probe: None,
            probe_port: 443,
            probe_roots: None,
        }
    }
}

/// What may be done to records that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyName {
    /// They are made, changed and removed.
    Sync,
    /// They are made and changed.
    UpsertOnly,
    /// They are made.
    CreateOnly,
}

impl From<PolicyName> for guard::Policy {
    fn from(name: PolicyName) -> Self {
        match name {
            PolicyName::Sync => guard::Policy::Sync,
            PolicyName::UpsertOnly => guard::Policy::UpsertOnly,
            PolicyName::CreateOnly => guard::Policy::CreateOnly,
        }
    }
}

/// `[state]`: where the journal is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StateConfig {
    /// A folder; a relative one starts at the folder of this file. If left out, nothing is kept: each run finds out from the
    /// marks in the zone what is ours, and there is nothing to `undo`.
    pub folder: Option<PathBuf>,
}

/// A Kubernetes cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// The kubeconfig file; a relative path starts at the folder of this file. If left out, it is the cluster that this
    /// program runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it. The current one if left out.
    pub context: Option<String>,
    /// The namespaces that are looked at. All if left out, which takes the right to list in the whole cluster.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Whether annotations of Services and Ingresses give names: `causeway.dev/hostname`, and
    /// `external-dns.alpha.kubernetes.io/hostname`.
    #[serde(default = "yes")]
    pub annotations: bool,
    /// Whether the hosts in the rules of Ingresses are names, too.
    #[serde(default)]
    pub ingress_hosts: bool,
    /// Names of Services, by `namespace/name`.
    #[serde(default)]
    pub services: BTreeMap<String, Vec<String>>,
    /// Names of Ingresses, by `namespace/name`.
    #[serde(default)]
    pub ingresses: BTreeMap<String, Vec<String>>,
}

fn yes() -> bool {
    true
}

/// The outputs of a stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputsConfig {
    /// The file that `deploy outputs --json` wrote; a relative path starts at the folder of this file.
    pub file: PathBuf,
    /// Which output each name leads to: `"ai.example.com" = "load_balancer"`.
    pub names: BTreeMap<String, String>,
}

/// A record that stands in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordConfig {
    /// The whole name.
    pub name: String,
    /// What it is about: an address is IPv4 and IPv6 addresses, or one other name.
    #[serde(default)]
    pub class: ClassName,
    /// What it says.
    pub values: Vec<String>,
    /// For how many seconds resolvers may keep it.
    pub ttl: Option<u32>,
    /// Whether Cloudflare stands in front of it.
    pub proxied: Option<bool>,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClassName {
    /// Where the name leads.
    #[default]
    Address,
    /// Text.
    Txt,
    /// Mail servers.
    Mx,
    /// Name servers of what is below.
    Ns,
    /// Where services are.
    Srv,
    /// Who may issue certificates.
    Caa,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Address => Class::Address,
            ClassName::Txt => Class::Txt,
            ClassName::Mx => Class::Mx,
            ClassName::Ns => Class::Ns,
            ClassName::Srv => Class::Srv,
            ClassName::Caa => Class::Caa,
        }
    }
}

impl Config {
    /// Reads a configuration; `name` stands for it in messages.
    ///
    /// # Errors
    /// All [`Mistakes`] that one look finds.
    pub fn parse(name: &str, text: &str) -> Result<Self, Mistakes> {
        let empty = "`dns-sync init -f FILE` writes one to start from";
        causeway_settings::parse(name, text, &SCHEMA, empty, Config::problems)
    }

    /// What cannot work, all of it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut out = vec![];
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.owner.is_empty() || !self.owner.chars().all(legal) {
            out.push(Problem::at(
                "owner",
                "`owner` has to be lowercase letters, digits and hyphens",
                "it stands in the mark beside each record, and must be another one for each configuration of a zone",
            ));
        }
        if self.zones.is_empty() {
            out.push(Problem::at("zones", "there is no zone", "add [zones.\"example.com\"]"));
        }
        for (name, zone) in &self.zones {
            out.extend(zone.problems(name));
        }
        if self.guard.reads == 0 || self.guard.reads > MOST_READS {
            out.push(Problem::at(
                "guard.reads",
                format!("`reads` has to be between 1 and {MOST_READS}"),
                "2 is enough to see that a load balancer is not just being replaced",
            ));
        }
        let aws = [("balancers", self.balancers.is_empty()), ("ecs", self.ecs.is_empty())];
        if !cfg!(feature = "aws") {
            out.extend(aws.iter().filter(|(_, empty)| !empty).map(|(key, _)| {
                Problem::at(key, "this program was built without AWS", "build it with `--features aws`")
            }));
        }
        out.extend(self.verify.problems());
        out.extend(self.lease.iter().flat_map(|lease| lease.problems(&self.clusters)));
        for (name, config) in self.balancers.iter().filter(|(_, c)| c.tag.is_none() && c.names.is_empty()) {
            out.push(Problem {
                path: vec!["balancers".into(), name.clone()],
                message: format!("nothing gives names to the load balancers in {}", config.region),
                help: "add `tag`, or names by load balancer".into(),
            });
        }
        if self.clusters.is_empty()
            && self.outputs.is_empty()
            && self.records.is_empty()
            && aws.iter().all(|(_, empty)| *empty)
        {
            out.push(Problem {
                path: vec![],
                message: "no source says where names lead".into(),
                help: "add [clusters.NAME], [balancers.NAME], [ecs.NAME], [outputs.NAME] or [[records]]; `dns-sync init` writes a file to start from".into(),
            });
        }
        self.cluster_problems(&mut out);
        self.named_problems(&mut out);
        out
    }

    fn cluster_problems(&self, out: &mut Vec<Problem>) {
        for (cluster, config) in &self.clusters {
            for (kind, named) in [("services", &config.services), ("ingresses", &config.ingresses)] {
                for object in
                    named.keys().filter(|o| o.split('/').filter(|part| !part.is_empty()).count() != 2)
                {
                    out.push(Problem {
                        path: ["clusters", cluster, kind, object].map(str::to_owned).into(),
                        message: format!("`{object}` does not say which namespace it is in"),
                        help: "write `namespace/name`".into(),
                    });
                }
            }
            let nothing = !config.annotations
                && !config.ingress_hosts
                && config.services.is_empty()
                && config.ingresses.is_empty();
            if nothing {
                out.push(Problem {
                    path: vec!["clusters".into(), cluster.clone()],
                    message: format!("nothing gives names in the cluster `{cluster}`"),
                    help: format!("add [clusters.{cluster}.services], or take `annotations = false` out"),
                });
            }
        }
    }

    /// Every name in the file: whether it is one, in a zone, allowed, and there once.
    fn named_problems(&self, out: &mut Vec<Problem>) {
        let mut seen: BTreeMap<(Name, Class), Vec<String>> = BTreeMap::new();
        for (path, text, class) in self.written() {
            let mut wrong = |message: String, help: &str| {
                out.push(Problem { path: path.clone(), message, help: help.into() });
            };
            let name = match Name::parse(&text) {
                Ok(name) => name,
                Err(e) => {
                    wrong(e.to_string(), "write the whole name, like `ai.example.com`");
                    continue;
                }
            };
            if self.zone_of(&name).is_none() {
                wrong(
                    format!("`{name}` is in none of the zones"),
                    "add its zone under [zones], or look at its spelling",
                );
            } else if !self.allows(&name) {
                wrong(format!("`{name}` is not among `names`"), "add it there, or take it out here");
            }
            if let Some(other) = seen.insert((name.clone(), class), path.clone()) {
                wrong(
                    format!("`{name}` is said to lead somewhere twice"),
                    &format!("it stands in [{}], too; a name has one source", other.join(".")),
                );
            }
        }
        for (i, record) in self.records.iter().enumerate() {
            let at = |key: &str| ["records", &i.to_string(), key].map(str::to_owned).into();
            if record.values.is_empty() {
                out.push(Problem {
                    path: at("values"),
                    message: format!("`{}` says nothing", record.name),
                    help: "give it a value, or take it out".into(),
                });
            }
            let zone = Name::parse(&record.name).ok();
            let zone = zone.and_then(|name| self.zones.get(self.zone_of(&name)?));
            if record.proxied == Some(true) && zone.is_some_and(|zone| !zone.provider.proxies()) {
                out.push(Problem {
                    path: at("proxied"),
                    message: format!("nobody can stand in front of `{}`", record.name),
                    help: "only Cloudflare has proxies; take it out".into(),
                });
            }
        }
    }

    /// Whether who keeps the zone of `name` can stand in front of it.
    pub fn proxies(&self, name: &Name) -> bool {
        let zone = self.zone_of(name).and_then(|zone| self.zones.get(zone));
        zone.is_some_and(|zone| zone.provider.proxies())
    }

    /// All names that are written down, with the place, and what they are about.
    fn written(&self) -> Vec<(Vec<String>, String, Class)> {
        let mut out = vec![];
        for (cluster, config) in &self.clusters {
            for (kind, named) in [("services", &config.services), ("ingresses", &config.ingresses)] {
                for (object, names) in named {
                    let path: Vec<String> = ["clusters", cluster, kind, object].map(str::to_owned).into();
                    out.extend(names.iter().map(|n| (path.clone(), n.clone(), Class::Address)));
                }
            }
        }
        for (region, config) in &self.balancers {
            for (balancer, names) in &config.names {
                let path: Vec<String> = ["balancers", region, "names", balancer].map(str::to_owned).into();
                out.extend(names.iter().map(|n| (path.clone(), n.clone(), Class::Address)));
            }
        }
        for (cluster, config) in &self.ecs {
            for (service, names) in &config.services {
                let path: Vec<String> = ["ecs", cluster, "services", service].map(str::to_owned).into();
                out.extend(names.iter().map(|n| (path.clone(), n.clone(), Class::Address)));
            }
        }
        for (stack, config) in &self.outputs {
            for name in config.names.keys() {
                let path = ["outputs", stack, "names", name].map(str::to_owned).into();
                out.push((path, name.clone(), Class::Address));
            }
        }
        for (i, record) in self.records.iter().enumerate() {
            let path = ["records", &i.to_string(), "name"].map(str::to_owned).into();
            out.push((path, record.name.clone(), record.class.into()));
        }
        out
    }

    /// The zone that `name` belongs to: that of the longest name.
    pub fn zone_of(&self, name: &Name) -> Option<&str> {
        let zones = self.zones.keys().filter(|zone| Name::parse(zone).is_ok_and(|zone| name.is_in(&zone)));
        zones.max_by_key(|zone| zone.len()).map(String::as_str)
    }

    /// Whether `name` may be touched.
    pub fn allows(&self, name: &Name) -> bool {
        let allowed = |pattern: &String| {
            let exact = Name::parse(pattern).is_ok_and(|p| p == *name);
            exact || causeway_core::plan::matches_pattern(&pattern.to_lowercase(), name.as_str())
        };
        self.names.is_empty() || self.names.iter().any(allowed)
    }

    /// What the guard of records is to refuse.
    pub fn rules(&self) -> guard::Rules {
        let cap = |most, percent| guard::Cap { most, percent };
        guard::Rules {
            policy: self.guard.policy.into(),
            changes: cap(self.guard.changes, self.guard.changes_percent),
            removals: cap(self.guard.removals, self.guard.removals_percent),
            permits: Default::default(),
        }
    }
}

/// A configuration with the file that it came from.
#[derive(Clone, Debug)]
pub struct File {
    /// What it says.
    pub config: Config,
    path: PathBuf,
    text: String,
}

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, and all mistakes in it.
    pub fn read(path: &Path) -> Result<Self, causeway_settings::Error> {
        let text = causeway_settings::text(path)?;
        let config = Config::parse(&path.display().to_string(), &text)?;
        Ok(File { config, path: path.to_owned(), text })
    }

    /// The folder that it is in: relative paths in it start there.
    pub fn folder(&self) -> &Path {
        causeway_settings::folder(&self.path)
    }

    /// What the zones are reached with, by zone: tokens and keys. `environment` answers for a variable.
    ///
    /// # Errors
    /// Every secret that is not to be found.
    pub fn secrets(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, Secret>, Mistakes> {
        let (mut found, mut problems) = (BTreeMap::new(), vec![]);
        for (name, zone) in &self.config.zones {
            match zone.secret(self.folder(), environment) {
                Some((_, Ok(secret))) => {
                    found.insert(name.clone(), secret);
                }
                Some((keys, Err(missing))) => {
                    let mut path = vec!["zones".to_owned(), name.clone()];
                    path.extend(keys.iter().map(|&key| key.to_owned()));
                    problems.push(missing.at(path));
                }
                None => {}
            }
        }
        let mistakes =
            |problems| causeway_settings::located(&self.path.display().to_string(), &self.text, problems);
        if problems.is_empty() { Ok(found) } else { Err(mistakes(problems)) }
    }
}

/// Made once: it takes longer than all the rest of reading a file.
static SCHEMA: LazyLock<Json> = LazyLock::new(|| schemars::schema_for!(Config).to_value());

/// The JSON Schema of `dns-sync.toml`.
pub fn schema() -> Json {
    SCHEMA.clone()
}

/// A commented `dns-sync.toml` to start from.
pub fn init_template() -> &'static str {
    include_str!("init.toml")
}
