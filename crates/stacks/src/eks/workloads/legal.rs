//! What cannot work in `[eks.coder]`, and beside it.

use super::{
    config::{Certificates, Coder, Jobs, Pool},
    names,
};
use crate::{config::Problem, eks::config::Eks, legal, variables};
use causeway_core::freeze::{Day, Freeze};
use causeway_oci::Reference;
use std::collections::BTreeMap;

/// Namespaces that others have.
const TAKEN: [&str; 6] = ["cert-manager", "coder", "coder-proxy", "default", "karpenter", "litellm"];

/// Everything that cannot work.
pub(in crate::eks) fn problems(config: &Eks, out: &mut Vec<Problem>) {
    let Some(coder) = &config.coder else {
        for name in config.regions.iter().filter(|(_, region)| region.proxy.is_some()).map(|(name, _)| name) {
            let help = "write `[eks.coder]`, which says which Coder it belongs to";
            out.push(Problem::at(&format!("eks.regions.{name}.proxy"), "a proxy of which Coder?", help));
        }
        return;
    };
    urls(config, coder, out);
    if coder.replicas == 0 {
        out.push(Problem::at(
            "eks.coder.replicas",
            "without a server there is no Coder",
            "1, or 2 with a licence",
        ));
    }
    certificates(&coder.certificates, config, out);
    if let Some((dns, account)) = coder.dns.as_ref().zip(coder.dns_account()) {
        names::problems(dns, &account, config, out);
    }
    let from = coder.load_balancer.from.iter();
    out.extend(from.filter_map(|range| legal::range("eks.coder.load_balancer.from", range)));
    organizations(coder, out);
    nodes(coder, out);
    if let Some(alerts) = coder.alerts.as_ref().filter(|one| !legal::is_label(&one.namespace)) {
        let message = format!("`{}` cannot be the name of a namespace", alerts.namespace);
        let help = "where the Prometheus operator looks for rules, like `monitoring`";
        out.push(Problem::at("eks.coder.alerts.namespace", message, help));
    }
    if let Some(jobs) = &coder.jobs {
        self::jobs(jobs, config, out);
    }
    environment(coder, out);
}

fn jobs(jobs: &Jobs, config: &Eks, out: &mut Vec<Problem>) {
    let at = |name: &str| format!("eks.coder.jobs.{name}");
    if let Err(error) = jobs.image.parse::<Reference>() {
        let help =
            "the image of this program, like `registry.example/deploy:v0.1.0`, best with its `@sha256:..`";
        out.push(Problem::at(&at("image"), error.to_string(), help));
    }
    if config.registry.mirror.is_empty() && config.litellm.is_none() {
        let help = "name images in `[eks.registry.mirror]`, or write `[eks.litellm]`, or remove this";
        out.push(Problem::at("eks.coder.jobs", "there is nothing for jobs to do", help));
    }
    // A window in the zone is only possible where there is one.
    if let Err(error) = Freeze::new("", &jobs.time_zone, &[Day::Mon], None, None) {
        out.push(Problem::at(&at("time_zone"), error.to_string(), "like `UTC` or `America/Vancouver`"));
    }
    let fields: Vec<&str> = jobs.mirror.split(' ').collect();
    let field = |text: &&str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"*/,-".contains(&b))
    };
    if fields.len() != 5 || !fields.iter().all(field) {
        let message = format!("`{}` says no times", jobs.mirror);
        out.push(Problem::at(
            &at("mirror"),
            message,
            "minute, hour, day, month and day of the week, like `0 0 * * 1`",
        ));
    }
    if let Err(error) = jobs.rotation().schedules() {
        let help = "by default a key lives 8 hours, one is made every 4, and they are brought every hour";
        out.push(Problem::at(&at("key_life"), error.to_string(), help));
    }
}

fn urls(config: &Eks, coder: &Coder, out: &mut Vec<Problem>) {
    let proxies = config.regions.iter().filter_map(|(name, region)| Some((name, region.proxy.as_ref()?)));
    let proxies = proxies.map(|(name, proxy)| {
        (format!("eks.regions.{name}.proxy"), &proxy.access_url, proxy.wildcard_access_url.as_ref())
    });
    let own = ("eks.coder".to_owned(), &coder.access_url, coder.wildcard_access_url.as_ref());
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (at, url, wildcard) in std::iter::once(own).chain(proxies) {
        out.extend(legal::access_url(&format!("{at}.access_url"), url));
        out.extend(wildcard.and_then(|name| legal::wildcard(&format!("{at}.wildcard_access_url"), name)));
        if let Some(other) = seen.insert(legal::host(url), at.clone()) {
            let message = format!("`{url}` is that of `{other}` too");
            out.push(Problem::at(
                &format!("{at}.access_url"),
                message,
                "each is reached by a name of its own",
            ));
        }
    }
    let Some(litellm) = &config.litellm else { return };
    match &litellm.url {
        Some(url) => out.extend(legal::access_url("eks.litellm.url", url)),
        None => out.push(Problem::at(
            "eks.litellm.url",
            "nobody can reach LiteLLM",
            "name its address, like `url = \"https://llm.example.com\"`, or remove `[eks.litellm]`",
        )),
    }
    out.extend(litellm.from.iter().filter_map(|range| legal::range("eks.litellm.from", range)));
    let certificate = legal::Arn {
        service: "acm",
        region: None,
        resource: "certificate/",
        example: "`arn:aws:acm:us-east-1:123456789012:certificate/..`, of the stack's own region",
    };
    if let Some(message) = litellm.certificate.as_deref().and_then(|arn| certificate.refuses(arn)) {
        let help = format!("it looks like {}", certificate.example);
        out.push(Problem::at("eks.litellm.certificate", message, help));
    }
}

fn certificates(certificates: &Certificates, config: &Eks, out: &mut Vec<Problem>) {
    let email = &certificates.email;
    if !email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && legal::is_name(host)) {
        let help =
            "Let's Encrypt writes there when a certificate is about to end, like `platform@example.com`";
        out.push(Problem::at("eks.coder.certificates.email", format!("`{email}` is not an address"), help));
    }
    if certificates.cloudflare_token.is_none() && config.route53_zones.is_empty() {
        out.push(Problem::at(
            "eks.coder.certificates",
            "nothing says how the names are proved to be yours",
            "give `cloudflare_token = \"env:CLOUDFLARE_API_TOKEN\"`, or the id of the zone: \
             `route53_zones = [\"Z..\"]` in `[eks]`",
        ));
    }
}

fn organizations(coder: &Coder, out: &mut Vec<Problem>) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (name, one) in &coder.organizations {
        let namespace = one.namespace(name);
        let at = |message: String, help: &str| {
            Problem::at("eks.coder.organizations", message, help).key(name).key("namespace")
        };
        if !legal::is_label(&namespace) {
            out.push(at(
                format!("`{namespace}` cannot be the name of a namespace"),
                "lowercase letters, digits and hyphens, 63 at most",
            ));
        } else if TAKEN.contains(&namespace.as_str()) || namespace.starts_with("kube-") {
            out.push(at(
                format!("the namespace `{namespace}` is for others"),
                "choose another, like `coder-ws`",
            ));
        }
        if let Some(other) = seen.insert(namespace.clone(), name) {
            let message = format!("`{namespace}` is the namespace of `{other}` too");
            out.push(at(message, "each organization has rights in a namespace of its own"));
        }
        for (set, sized) in &one.sets {
            let at = |message: String, help: &str| {
                Problem::at("eks.coder.organizations", message, help).key(name).key("sets").key(set)
            };
            if !legal::is_label(set) || set.len() > 40 {
                out.push(at(
                    format!("`{set}` cannot be part of names"),
                    "lowercase letters, digits and hyphens, 40 at most",
                ));
            }
            if sized.count == 0 {
                out.push(at("there are no provisioners in it".into(), "2 is the default; or remove it"));
            }
        }
        if one.provisioner_key.is_some() && one.provisioners == 0 {
            let message = "there is a key for provisioners, and there are none";
            let help = "6 is the default; remove the key to have builds run in the server";
            out.push(Problem::at("eks.coder.organizations", message, help).key(name).key("provisioners"));
        }
    }
}

fn nodes(coder: &Coder, out: &mut Vec<Problem>) {
    let nodes = &coder.nodes;
    let day = |text: &str| text.len() == 9 && text[1..].bytes().all(|b| b.is_ascii_digit());
    if !nodes.al2023.starts_with('v') || !day(&nodes.al2023) {
        let message = format!("`{}` is not a release of Amazon Linux 2023 for EKS", nodes.al2023);
        out.push(Problem::at(
            "eks.coder.nodes.al2023",
            message,
            "it is a day, like `v20260903`; not `latest`",
        ));
    }
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let release = nodes.bottlerocket.strip_prefix('v');
    if !release.is_some_and(|rest| rest.split('.').count() == 3 && rest.split('.').all(number)) {
        let message = format!("`{}` is not a release of Bottlerocket", nodes.bottlerocket);
        out.push(Problem::at(
            "eks.coder.nodes.bottlerocket",
            message,
            "it looks like `v1.57.0`; not `latest`",
        ));
    }
    for (name, pool) in
        [("server", &nodes.server), ("provisioner", &nodes.provisioner), ("workspaces", &nodes.workspaces)]
    {
        let at = format!("eks.coder.nodes.{name}");
        let Pool { instance_types, cpus, memory, disk, .. } = pool;
        if instance_types.is_empty() {
            let help = "name some, like `[\"m6a.xlarge\"]`";
            out.push(Problem::at(
                &format!("{at}.instance_types"),
                "there is no machine to choose from",
                help,
            ));
        }
        let types = format!("{at}.instance_types");
        out.extend(instance_types.iter().filter_map(|kind| legal::instance_type(&types, kind, "m6a.xlarge")));
        if *cpus == 0 || *memory == 0 {
            let help =
                "`cpus` and `memory` bound what all nodes of the pool have together, and so what they cost";
            out.push(Problem::at(&at, "no node fits into nothing", help));
        }
        if *disk < 20 {
            let message = format!("{disk} GiB hold no images");
            out.push(Problem::at(&format!("{at}.disk"), message, "20 at least"));
        }
    }
}

fn environment(coder: &Coder, out: &mut Vec<Problem>) {
    let tables = [
        ("eks.coder.environment", coder.environment.keys().collect::<Vec<_>>()),
        ("eks.coder.secrets", coder.secrets.keys().collect()),
    ];
    for (table, names) in &tables {
        for name in names {
            if name.as_str() == variables::DATABASE {
                let help = "remove it; the stack knows the value from the rest of the file";
                out.push(Problem::at(table, format!("`{name}` is set by the stack"), help).key(name));
            } else if let Some(right) = variables::meant(name) {
                let message = format!("Coder does not know `{name}`");
                out.push(Problem::at(table, message, format!("did you mean `{right}`?")).key(name));
            }
        }
    }
    out.extend(legal::variables(tables));
}
