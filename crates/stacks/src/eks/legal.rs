//! What cannot work, and what AWS would refuse only in the middle of a run.

use super::config::{Connection, Database, Eks, LiteLlm, Mirrored, SystemNodes};
use super::layout::{default_cidr, slash_16};
use crate::{
    config::{Problem, StackConfig},
    legal,
};
use causeway_k8s::images::PROGRAMS;
use std::collections::BTreeMap;

/// <https://docs.aws.amazon.com/eks/latest/userguide/control-plane-logs.html>
const LOG_TYPES: [&str; 5] = ["api", "audit", "authenticator", "controllerManager", "scheduler"];

/// Everything in `config` that cannot work in a stack like `common`.
pub(super) fn problems(config: &Eks, common: &StackConfig) -> Vec<Problem> {
    let mut out = vec![];
    version(config, &mut out);
    access(config, &mut out);
    networks(config, common, &mut out);
    nodes("eks.system_nodes", &config.system_nodes, &mut out);
    for (name, region) in &config.regions {
        if let Some(system) = &region.system_nodes {
            nodes(&format!("eks.regions.{name}.system_nodes"), system, &mut out);
        }
    }
    out.extend(legal::log_days("eks.logs.days", config.logs.days));
    out.extend(
        config.network.flow_log_days.and_then(|days| legal::log_days("eks.network.flow_log_days", days)),
    );
    for kind in config.logs.types.iter().filter(|t| !LOG_TYPES.contains(&t.as_str())) {
        let help = format!("EKS has {}", LOG_TYPES.join(", "));
        out.push(Problem::at("eks.logs.types", format!("there are no logs of `{kind}`"), help));
    }
    database("eks.database", &config.database, &mut out);
    config.litellm.iter().for_each(|litellm| models(litellm, &mut out));
    registry(config, &mut out);
    super::workloads::problems(config, &mut out);
    for zone in &config.route53_zones {
        let fits =
            zone.starts_with('Z') && zone.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        if !fits {
            let help = "ids look like `Z0123456789ABCDEFGHIJ`; `aws route53 list-hosted-zones` shows them";
            out.push(Problem::at(
                "eks.route53_zones",
                format!("`{zone}` is not the id of a hosted zone"),
                help,
            ));
        }
    }
    if let Some(arn) = &config.permissions_boundary {
        let policy = legal::Arn {
            service: "iam",
            region: None,
            resource: "policy/",
            example: "`arn:aws:iam::123456789012:policy/NAME`",
        };
        if let Some(message) = policy.refuses(arn) {
            let help = format!("it looks like {}", policy.example);
            out.push(Problem::at("eks.permissions_boundary", message, help));
        }
    }
    out
}

fn version(config: &Eks, out: &mut Vec<Problem>) {
    let minor = config.version.strip_prefix("1.").and_then(|minor| minor.parse::<u8>().ok());
    if minor.is_none() {
        out.push(Problem::at(
            "eks.version",
            format!("`{}` is not a minor version of Kubernetes", config.version),
            "write it as EKS does, like `1.34`",
        ));
    }
    for (name, version) in &config.addons {
        let known = super::cluster::ADDONS.contains(&name.as_str());
        if !known {
            let message = format!("the stack has no add-on `{name}`");
            let help = format!("it has {}", super::cluster::ADDONS.join(", "));
            out.push(Problem::at("eks.addons", message, help).key(name));
        } else if !version.starts_with('v') || !version.contains("-eksbuild.") {
            let message = format!("`{version}` is not a version of an add-on");
            let help =
                "versions look like `v1.12.4-eksbuild.1`; `aws eks describe-addon-versions` shows them";
            out.push(Problem::at("eks.addons", message, help).key(name));
        }
    }
}

fn access(config: &Eks, out: &mut Vec<Problem>) {
    let access = &config.access;
    out.extend(access.from.iter().filter_map(|range| legal::range("eks.access.from", range)));
    if access.from.is_empty() {
        out.push(Problem::at(
            "eks.access.from",
            "nobody may reach the API of the clusters",
            "name from where it is deployed and used, like `[\"203.0.113.0/24\"]`; `curl https://checkip.amazonaws.com` \
             shows where you are",
        ));
    }
    if access.from.len() > 40 {
        let message = format!("{} ranges are more than EKS takes", access.from.len());
        out.push(Problem::at("eks.access.from", message, "it takes 40; join some of them"));
    }
    let principal = |arn: &str| {
        let parts: Vec<&str> = arn.splitn(6, ':').collect();
        matches!(parts.as_slice(), ["arn", _, "iam", "", account, name]
            if account.len() == 12 && (name.starts_with("role/") || name.starts_with("user/")))
    };
    for (at, arns) in [("eks.access.admins", &access.admins), ("eks.access.viewers", &access.viewers)] {
        for arn in arns.iter().filter(|arn| !principal(arn)) {
            let help =
                "it looks like `arn:aws:iam::123456789012:role/NAME`; groups and sessions cannot be named";
            out.push(Problem::at(at, format!("`{arn}` is no role and no user"), help));
        }
    }
    for arn in access.admins.iter().filter(|arn| access.viewers.contains(arn)) {
        let help = "EKS keeps one entry for each; leave it where it belongs";
        out.push(Problem::at("eks.access.viewers", format!("`{arn}` is among the admins too"), help));
    }
}

fn networks(config: &Eks, common: &StackConfig, out: &mut Vec<Problem>) {
    let own = (common.region.as_str(), "eks.network.cidr".to_owned(), config.network.cidr.as_ref());
    let others = config
        .regions
        .iter()
        .map(|(name, region)| (name.as_str(), format!("eks.regions.{name}.cidr"), region.cidr.as_ref()));
    for (region, at, cidr) in std::iter::once(own).chain(others) {
        let Some(cidr) = cidr.cloned().or_else(|| default_cidr(region)) else {
            let message = format!("no addresses are set aside for {region}");
            out.push(Problem::at(
                &at,
                message,
                "name a /16 that no other region has, like `cidr = \"10.100.0.0/16\"`",
            ));
            continue;
        };
        if slash_16(&cidr).is_none() {
            out.push(Problem::at(
                &at,
                format!("`{cidr}` is not a private /16"),
                "the subnets are laid out in a /16 of 10.0.0.0/8, like `10.100.0.0/16`; 192.168.0.0/16 is one too",
            ));
        }
    }
    if config.regions.contains_key(&common.region) {
        out.push(
            Problem::at(
                "eks.regions",
                format!("{} is the stack's own region", common.region),
                "it has the control plane; its network is `[eks.network]`, its nodes `[eks.system_nodes]`",
            )
            .key(&common.region),
        );
    }
    for name in config.regions.keys().filter(|name| !crate::config::is_region(name)) {
        let help = "write it as AWS does, like `us-west-2`";
        out.push(Problem::at("eks.regions", format!("`{name}` is not an AWS region"), help).key(name));
    }
    let ssh = config.network.nat_ssh_from.iter();
    out.extend(ssh.filter_map(|range| legal::range("eks.network.nat_ssh_from", range)));
    let kind = &config.network.nat_instance_type;
    out.extend(legal::instance_type("eks.network.nat_instance_type", kind, "t4g.micro"));
}

fn nodes(at: &str, nodes: &SystemNodes, out: &mut Vec<Problem>) {
    let SystemNodes { desired, min, max, .. } = *nodes;
    if min == 0 || desired == 0 {
        out.push(Problem::at(
            &format!("{at}.desired"),
            "without a system node nothing starts, not even what would start one",
            "begin with 2, so that one can be replaced",
        ));
    } else if !(min <= desired && desired <= max) {
        out.push(Problem::at(
            &format!("{at}.desired"),
            format!("{desired} nodes are not between {min} and {max}"),
            "min, desired and max go up",
        ));
    }
    out.extend(legal::instance_type(&format!("{at}.instance_type"), &nodes.instance_type, "t3.xlarge"));
    if nodes.disk < 20 {
        let message = format!("{} GiB hold no system and no images", nodes.disk);
        out.push(Problem::at(&format!("{at}.disk"), message, "20 at least; 50 is the default"));
    }
}

fn database(at: &str, database: &Database, out: &mut Vec<Problem>) {
    out.extend(legal::postgres(at, &database.version, &database.instance_class));
    out.extend(legal::storage(at, database.storage, database.max_storage));
    // None at all is what the lint is about.
    if !matches!(database.backup_days, 0 | 7..=35) {
        let message = format!("{} days of backups cannot be kept", database.backup_days);
        out.push(Problem::at(
            &format!("{at}.backup_days"),
            message,
            "7 to 35: RDS ends there, and less is no backup",
        ));
    }
}

fn models(litellm: &LiteLlm, out: &mut Vec<Problem>) {
    if let Some(own) = &litellm.database {
        database("eks.litellm.database", own, out);
        if litellm.connection != Connection::default() {
            let help =
                "nothing connects to an instance of its own; leave `database` out to use Coder's, or this";
            let message = "there is nothing to be reached on the instance of Coder";
            out.push(Problem::at("eks.litellm.connection", message, help));
        }
    }
    let tunnel = litellm.connection.tunnel.as_deref();
    let is_tunnel = |at: &str| {
        at.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if let Some(at) = tunnel.filter(|at| !is_tunnel(at)) {
        let message = format!("`{at}` is not where a tunnel listens");
        out.push(Problem::at("eks.litellm.connection.tunnel", message, "it looks like `127.0.0.1:15432`"));
    }
    for model in
        litellm.bedrock_models.iter().filter(|model| model.is_empty() || model.contains(['/', ':', ' ']))
    {
        let help = "it looks like `anthropic.*`, or `anthropic.claude-3-5-haiku-*`";
        out.push(Problem::at("eks.litellm.bedrock_models", format!("`{model}` matches no model"), help));
    }
    let cache = &litellm.cache;
    let at = |key: &str| format!("eks.litellm.cache.{key}");
    if !matches!(cache.node_type.split('.').collect::<Vec<_>>().as_slice(), ["cache", f, s] if legal::word(f) && legal::word(s))
    {
        let message = format!("`{}` is not a type of ElastiCache", cache.node_type);
        out.push(Problem::at(&at("node_type"), message, "types start with `cache.`, like `cache.r7g.large`"));
    }
    if !matches!(cache.replicas, 1..=5) {
        let message = format!("{} replicas cannot be had", cache.replicas);
        out.push(Problem::at(
            &at("replicas"),
            message,
            "1 to 5: without one nothing takes over when a node fails",
        ));
    }
    if cache.cluster_mode && !(1..=90).contains(&cache.shards) {
        let message = format!("{} shards cannot be had", cache.shards);
        out.push(Problem::at(&at("shards"), message, "1 to 90"));
    }
    if cache.snapshot_days > 35 {
        let message = format!("snapshots cannot be kept for {} days", cache.snapshot_days);
        out.push(Problem::at(&at("snapshot_days"), message, "0 to 35"));
    }
}

/// What `causeway.lock` has images of.
fn locked() -> Vec<&'static str> {
    PROGRAMS.iter().flat_map(|program| program.images.iter().map(|(name, _)| *name)).collect()
}

fn registry(config: &Eks, out: &mut Vec<Problem>) {
    let registry = &config.registry;
    out.extend(
        registry.repositories.iter().filter_map(|name| legal::repository("eks.registry.repositories", name)),
    );
    for account in registry.readers.iter().filter(|a| a.len() != 12 || !a.bytes().all(|b| b.is_ascii_digit()))
    {
        let help = "write its 12 digits in quotes";
        out.push(Problem::at(
            "eks.registry.readers",
            format!("`{account}` is not the number of an account"),
            help,
        ));
    }
    for (name, images) in &registry.mirror {
        let at = |message: String, help: &str| Problem::at("eks.registry.mirror", message, help).key(name);
        if !registry.repositories.contains(name) {
            out.push(at(
                format!("the stack has no repository `{name}`"),
                "add it to `repositories`; what it is called there is what stands here",
            ));
        }
        let mut seen = BTreeMap::new();
        for image in images {
            let (tag, text) = match image {
                Mirrored::Image(image) => (image.tag.as_str(), image.to_string()),
                Mirrored::Locked(name) => {
                    let known = locked();
                    if !known.contains(&name.as_str()) {
                        let help = format!("it has {}", known.join(", "));
                        out.push(at(format!("causeway.lock has no image `{name}`"), &help));
                    }
                    continue;
                }
            };
            if tag == "latest" && registry.immutable_tags {
                out.push(at(
                    format!("the tag of `{text}` moves, and tags of the stack's repositories stay"),
                    "name a version, or write `immutable_tags = false`",
                ));
            }
            if let Some(other) = seen.insert(tag, text.clone()) {
                let message = format!("`{other}` and `{text}` would both be `{name}:{tag}`");
                out.push(at(message, "give each a repository of its own"));
            }
        }
    }
}
