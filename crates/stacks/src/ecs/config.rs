//! `[ecs]`: what people choose about Coder on ECS.

use crate::{
    config::{Problem, SecretSource, StackConfig},
    dns::{Dns, DnsAccount},
    legal,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `[ecs]`: Coder as a Fargate service behind a load balancer, with its own PostgreSQL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ecs {
    /// Where people reach Coder, like `https://coder.example.com`.
    pub access_url: String,
    /// Where workspace applications are reached, like `*.coder.example.com`.
    pub wildcard_access_url: Option<String>,
    /// Where the documentation is, if it has a site of its own.
    pub docs_url: Option<String>,
    /// What the names of Coder's own variables start with. A fork may have renamed them, like `WORKBENCH_`; it applies
    /// to the access URL and the wildcard URL, all others keep `CODER_`.
    #[serde(default = "coder_prefix")]
    pub env_prefix: String,
    /// Which Coder.
    pub image: Image,
    /// How it runs.
    #[serde(default)]
    pub service: Service,
    /// How a new revision takes over.
    #[serde(default)]
    pub release: Release,
    /// In what order its tasks and its traffic change over.
    #[serde(default)]
    pub deployment: Deployment,
    /// Where it runs.
    #[serde(default)]
    pub network: Network,
    /// Its name and certificate.
    pub dns: Dns,
    /// Its database.
    #[serde(default)]
    pub database: Database,
    /// More environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Environment variables that are secret: each goes through Secrets Manager.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretSource>,
    /// Its logs.
    #[serde(default)]
    pub logs: Logs,
    /// What is watched, by a name for each alarm.
    #[serde(default)]
    pub alarms: BTreeMap<String, Alarm>,
    /// Who is told when an alarm goes off.
    pub notify: Option<Notify>,
    /// The web application firewall in front of it. None if left out.
    pub waf: Option<Waf>,
}

fn coder_prefix() -> String {
    "CODER_".into()
}

/// `[ecs.image]`: which Coder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The ECR repository that the stack keeps, like `coder`.
    #[serde(default = "coder")]
    pub repository: String,
    /// A folder with the image in OCI layout, which is pushed to the repository: made by `skopeo copy
    /// docker://ghcr.io/coder/coder:v2.28.3 oci:image`, or by `docker buildx build --output type=oci,tar=false,dest=image`.
    /// Without it the image must be in the repository already.
    pub source: Option<String>,
    /// The version, like `v2.28.3`. A `+` becomes `-`, as image tags cannot hold one.
    pub version: String,
    /// The digest to run, `sha256:..`. Taken from the source, or looked up from the version, if left out.
    pub digest: Option<String>,
    /// Deletes the images too when the repository goes.
    #[serde(default)]
    pub force_delete: bool,
}

fn coder() -> String {
    "coder".into()
}

/// `[ecs.service]`: how it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// CPU units: 1024 are one vCPU.
    pub cpu: u32,
    /// Memory in MiB; Fargate allows only certain pairs with `cpu`.
    pub memory: u32,
    /// How many tasks. More than one needs a Coder licence for high availability.
    pub count: u32,
    /// `X86_64` or `ARM64`.
    pub architecture: Architecture,
    /// Seconds after a task starts in which failing health checks do not count: Coder migrates its database first.
    pub health_check_grace_seconds: u32,
    /// Lets `aws ecs execute-command` into the tasks.
    pub execute_command: bool,
}
impl Default for Service {
    fn default() -> Self {
        Service {
            cpu: 1024,
            memory: 2048,
            count: 1,
            architecture: Architecture::X86_64,
            health_check_grace_seconds: 120,
            execute_command: false,
        }
    }
}

/// `[ecs.release]`: how a new revision takes over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Release {
    /// Tries a new revision in a task of its own, which the load balancer checks and no request reaches, before the
    /// service is touched. Coder migrates its database when it starts: a new version does so in its rehearsal, and
    /// `apply` wants `--allow-migration` for that.
    pub rehearse: bool,
}

/// `[ecs.deployment]`: in what order tasks and traffic change over to a new revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deployment {
    /// `rolling` or `blue_green`.
    pub strategy: Strategy,
    /// Only with `blue_green`: minutes for which the old tasks stay after the requests went over to the new ones, 0 to
    /// 1440. 5 if left out.
    pub bake_time: Option<u16>,
}

impl Deployment {
    /// The minutes of a blue/green deployment for which both revisions run; `None` for a rolling one.
    pub fn bake_minutes(&self) -> Option<u16> {
        (self.strategy == Strategy::BlueGreen).then(|| self.bake_time.unwrap_or(5))
    }
}

/// How a new revision takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Task by task: each new one that is healthy takes the place of an old one.
    #[default]
    Rolling,
    /// All new tasks start beside the old ones. Once they are healthy all requests go over to them at once, and the old
    /// ones stay for a while, to go back to.
    BlueGreen,
}

/// What the image was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// amd64.
    #[serde(rename = "X86_64")]
    X86_64,
    /// arm64.
    #[serde(rename = "ARM64")]
    Arm64,
}

/// `[ecs.network]`: where it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// `new` makes a VPC, `default` uses the region's default VPC, `vpc-..` uses that one.
    pub vpc: String,
    /// Addresses of a new VPC.
    pub cidr: String,
    /// In how many availability zones a new VPC has subnets. A load balancer needs two.
    pub zones: u8,
    /// Who may reach the load balancer.
    pub allow: Vec<String>,
}
impl Default for Network {
    fn default() -> Self {
        Network { vpc: "new".into(), cidr: "10.0.0.0/16".into(), zones: 2, allow: vec!["0.0.0.0/0".into()] }
    }
}

/// `[ecs.database]`: its database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// PostgreSQL, major or exact: `16` or `16.4`.
    pub version: String,
    /// Like `db.t4g.medium`.
    pub instance_class: String,
    /// In GiB; 20 at least.
    pub storage: u32,
    /// Grows by itself up to this many GiB.
    pub max_storage: u32,
    /// A standby in another zone.
    pub multi_az: bool,
    /// Days that automatic backups are kept, 1 to 35. 0: none are made, which the lint `backups-off` refuses.
    pub backup_days: u8,
    /// The database inside it that Coder uses. It cannot be changed later.
    pub name: String,
    /// The user that owns it. It cannot be changed later.
    pub user: String,
    /// Whether what it stores is encrypted. It cannot be changed later; `false` is only for taking over a database that
    /// was made without.
    pub encrypted: bool,
    /// AWS refuses to delete it, beside our own guards.
    pub deletion_protection: bool,
}
impl Default for Database {
    fn default() -> Self {
        Database {
            version: "16".into(),
            instance_class: "db.t4g.medium".into(),
            storage: 20,
            max_storage: 100,
            multi_az: false,
            backup_days: 7,
            name: "coder".into(),
            user: "coder".into(),
            encrypted: true,
            deletion_protection: true,
        }
    }
}

/// `[ecs.logs]`: its logs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// Days that logs are kept; one of the values that CloudWatch knows.
    pub days: u16,
}
impl Default for Logs {
    fn default() -> Self {
        Logs { days: 30 }
    }
}

/// `[ecs.alarms.NAME]`: one alarm. It goes off when `watch` is above or below the limit for `minutes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// What is watched.
    pub watch: Watch,
    /// The limit from below.
    pub above: Option<f64>,
    /// The limit from above.
    pub below: Option<f64>,
    /// For how many minutes in a row.
    #[serde(default = "five")]
    pub minutes: u8,
}

fn five() -> u8 {
    5
}

/// What an alarm can watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Watch {
    /// Tasks that the load balancer does not reach, the most in a minute.
    UnhealthyTargets,
    /// Answers of Coder with status 5xx, a minute.
    ServerErrors,
    /// Seconds until Coder answers, on average.
    ResponseSeconds,
    /// CPU of the tasks, in percent.
    ServiceCpu,
    /// Memory of the tasks, in percent.
    ServiceMemory,
    /// CPU of the database, in percent.
    DatabaseCpu,
    /// Free space of the database, in GiB.
    DatabaseFreeGib,
    /// Connections to the database.
    DatabaseConnections,
}

/// `[ecs.notify]`: who is told when an alarm goes off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// Mail addresses. Each gets a mail that asks to confirm.
    #[serde(default)]
    pub emails: Vec<String>,
}

/// `[ecs.waf]`: the web application firewall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waf {
    /// The web ACL to put in front of the load balancer.
    pub web_acl_arn: String,
}

impl Ecs {
    /// The name in the access URL.
    pub fn host(&self) -> &str {
        legal::host(&self.access_url)
    }

    /// Who keeps the zone of its names, where that is not Route 53.
    pub fn dns_account(&self) -> Option<DnsAccount<'_>> {
        self.dns.account("ecs.dns", "ecs")
    }

    /// What cannot work in a stack like `common`, all of it.
    pub fn problems(&self, common: &StackConfig) -> Vec<Problem> {
        let mut out = vec![];
        self.urls(&mut out);
        self.sizes(&mut out);
        self.network(&mut out);
        out.extend(super::environment::problems(self));
        out.extend(super::legal::problems(self, common));
        out
    }

    fn urls(&self, out: &mut Vec<Problem>) {
        let host = self.host();
        out.extend(legal::access_url("ecs.access_url", &self.access_url));
        let zone = self.dns.zone.as_deref().map(|z| z.trim_end_matches('.'));
        let in_zone = |name: &str| zone.is_none_or(|z| name == z || name.ends_with(&format!(".{z}")));
        match zone {
            None if self.dns.certificate_arn.is_none() => out.push(Problem::at(
                "ecs.dns",
                "there is neither a `zone` nor a `certificate_arn`",
                "name the zone that holds the access URL, in Route 53, or at Cloudflare with `provider = \"cloudflare\"`; or \
                 give a certificate and keep DNS elsewhere",
            )),
            Some(zone) if !in_zone(host) => out.push(Problem::at(
                "ecs.dns.zone",
                format!("`{host}` is not in the zone `{zone}`"),
                "name the zone that holds the access URL, or leave it out, give `certificate_arn` and keep DNS elsewhere",
            )),
            _ => {}
        }
        if let Some(wildcard) = &self.wildcard_access_url {
            let at = "ecs.wildcard_access_url";
            let base = wildcard.strip_prefix("*.").unwrap_or(wildcard);
            out.extend(legal::wildcard(at, wildcard).or_else(|| {
                let message = || format!("`{base}` is not in the zone `{}`", zone.unwrap_or_default());
                let help = "use a name in the zone, so that its record and certificate can be made";
                (!in_zone(base)).then(|| Problem::at(at, message(), help))
            }));
        }
    }

    fn sizes(&self, out: &mut Vec<Problem>) {
        let Service { cpu, memory, .. } = self.service;
        if let Err(e) = causeway_aws::ecs::fargate_size(cpu, memory) {
            out.push(Problem::at("ecs.service.memory", e, "choose a pair that Fargate offers"));
        }
        if self.database.backup_days > 35 {
            out.push(Problem::at(
                "ecs.database.backup_days",
                format!("{} days of backups cannot be kept", self.database.backup_days),
                "RDS keeps 35 days at most",
            ));
        }
        out.extend(legal::log_days("ecs.logs.days", self.logs.days));
        for (name, alarm) in &self.alarms {
            if alarm.above.is_some() == alarm.below.is_some() || alarm.minutes == 0 {
                let message = format!("the alarm `{name}` does not say when it goes off");
                let help = "give one of `above` and `below`, and at least one minute";
                out.push(Problem::at("ecs.alarms", message, help).key(name));
            }
        }
        if let Some(digest) = &self.image.digest {
            let hex = digest.strip_prefix("sha256:");
            if !hex.is_some_and(|h| h.len() == 64 && h.chars().all(|c| c.is_ascii_hexdigit())) {
                out.push(Problem::at(
                    "ecs.image.digest",
                    format!("`{digest}` is not a digest"),
                    "a digest is `sha256:` and 64 hexadecimal digits",
                ));
            }
        }
    }

    fn network(&self, out: &mut Vec<Problem>) {
        let network = &self.network;
        if !matches!(network.vpc.as_str(), "new" | "default") && !network.vpc.starts_with("vpc-") {
            out.push(Problem::at(
                "ecs.network.vpc",
                format!("`{}` says nothing about a VPC", network.vpc),
                "write `new`, `default`, or the id of a VPC",
            ));
        }
        if super::network::blocks(&network.cidr, network.zones).is_none() {
            out.push(Problem::at(
                "ecs.network.cidr",
                format!("`{}` cannot be divided into subnets for {} zones", network.cidr, network.zones),
                "a VPC is between /16 and /24 here, with its host bits zero, like `10.0.0.0/16`, and 2 to 4 zones",
            ));
        }
        out.extend(network.allow.iter().filter_map(|range| legal::range("ecs.network.allow", range)));
    }
}
