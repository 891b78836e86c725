//! Coder, its proxies and provisioners, and LiteLLM.

use super::{
    Here, Wanted,
    config::{LoadBalancer, ProvisionerKind, Proxy},
    jobs, names,
    platform::Platform,
    system_nodes,
};
use crate::{
    eks::{config::LiteLlm, data::Models},
    legal::host,
};
use causeway_core::{Address, Stack};
use causeway_k8s::{
    Manifest,
    coder::{self, Tls, logstream, provisioner, proxy, server, workspaces},
    kept::Kept,
    litellm::{self, config::Config, proxy::Needs},
    platform::cert_manager::{self, PRODUCTION, STAGING},
};

/// Where the certificate of the server, or of a proxy, is kept.
const CERTIFICATE: &str = "coder-tls";
const NAMESPACE: &str = "coder";
const PROXY_NAMESPACE: &str = "coder-proxy";
/// Builds that servers run themselves while nobody else does.
const DAEMONS: u16 = 3;

pub(super) fn applications(stack: &mut Stack, wanted: &Wanted<'_>, platform: &Platform) {
    match wanted.here {
        Here::ControlPlane(_) => {
            let spaces = organizations(stack, wanted, platform);
            let namespace = stack.scope("coder", |stack| server(stack, wanted, platform, &spaces));
            jobs::mirror(stack, wanted, &namespace);
        }
        Here::Proxy(proxy) => {
            organizations(stack, wanted, platform);
            if let Some(settings) = proxy {
                stack.scope("coder-proxy", |stack| self::proxy(stack, wanted, platform, settings));
            }
        }
    }
    if let (Some(models), Some(config)) = (wanted.models(), &wanted.config.litellm) {
        stack.scope("litellm", |stack| language_models(stack, wanted, platform, config, models));
    }
}

fn all_after(stack: &mut Stack, later: &Address, earlier: &[Address]) {
    for one in earlier {
        stack.after(later, one);
    }
}

impl Platform {
    /// What a server or a proxy waits for: who issues its certificate, makes its nodes and its load balancer.
    fn before(&self, stack: &mut Stack, certificate: &Address, deployment: &Address, service: &Address) {
        all_after(stack, certificate, &self.issuers);
        all_after(stack, deployment, &self.nodes);
        all_after(stack, service, &self.load_balancers);
    }
}

/// The server; what has to be there for others in its namespace.
fn server(
    stack: &mut Stack,
    wanted: &Wanted<'_>,
    platform: &Platform,
    spaces: &[workspaces::Workspaces],
) -> Vec<Address> {
    let Wanted { coder, .. } = wanted;
    let Here::ControlPlane(data) = wanted.here else { return vec![] };
    let served = coder.organizations.values().all(|one| one.provisioner_key.is_some());
    let daemons = coder.provisioner_daemons.unwrap_or(if served { 0 } else { DAEMONS });
    let url = coder.access_url.trim_end_matches('/');
    let secrets = coder.secrets.iter().map(|(name, source)| {
        (name.clone(), wanted.kept(&format!("eks.coder.secrets.{name}"), source, "coder-secrets", name))
    });
    let (certificate, tls) = certificate(stack, wanted, NAMESPACE, url, coder.wildcard_access_url.as_deref());
    let settings = server::Settings {
        namespace: NAMESPACE.into(),
        replicas: i32::from(coder.replicas),
        wildcard: coder.wildcard_access_url.clone(),
        tls: Some(tls),
        load_balancer: load_balancer(&coder.load_balancer),
        provisioner_daemons: daemons,
        workspaces_in: if daemons > 0 { spaces.to_vec() } else { vec![] },
        role_arn: wanted.role("coder"),
        environment: coder.environment.clone(),
        secrets: secrets.collect(),
        ..server::Settings::new(
            &wanted.given.images.coder,
            url,
            Kept::stored("postgres", "url", data.coder_url.clone()),
        )
    };
    let added = server::add(stack, &settings);
    all_after(stack, &certificate, &added.namespace);
    platform.before(stack, &certificate, added.deployment.address(), added.service.address());
    stack.output("access_url", url);
    stack.output("load_balancer", &added.service.address);
    names::lead(
        stack,
        wanted,
        both(url, coder.wildcard_access_url.as_deref()),
        &added.service.address.cast(),
    );
    added.namespace
}

fn proxy(stack: &mut Stack, wanted: &Wanted<'_>, platform: &Platform, config: &Proxy) {
    let Wanted { coder, site, .. } = wanted;
    let at = format!("eks.regions.{}.proxy.session_token", site.region);
    let token = wanted.kept(&at, &config.session_token, "coder-proxy", "token");
    let url = config.access_url.trim_end_matches('/');
    let (certificate, tls) =
        certificate(stack, wanted, PROXY_NAMESPACE, url, config.wildcard_access_url.as_deref());
    let settings = proxy::Settings {
        namespace: PROXY_NAMESPACE.into(),
        replicas: i32::from(config.replicas),
        wildcard: config.wildcard_access_url.clone(),
        tls: Some(tls),
        load_balancer: load_balancer(&coder.load_balancer),
        ..proxy::Settings::new(&wanted.given.images.coder, coder.access_url.trim_end_matches('/'), url, token)
    };
    let added = proxy::add(stack, &settings);
    all_after(stack, &certificate, &added.namespace);
    platform.before(stack, &certificate, added.deployment.address(), added.service.address());
    stack.output(format!("{}_load_balancer", site.region).replace('-', "_"), &added.service.address);
    names::lead(
        stack,
        wanted,
        both(url, config.wildcard_access_url.as_deref()),
        &added.service.address.cast(),
    );
}

/// The names of a server or a proxy, with where their records stand.
fn both<'n>(url: &'n str, wildcard: Option<&'n str>) -> impl Iterator<Item = (&'static str, &'n str)> {
    std::iter::once(("name", host(url))).chain(wildcard.map(|name| ("wildcard", name)))
}

fn load_balancer(config: &LoadBalancer) -> coder::LoadBalancer {
    coder::LoadBalancer {
        internal: config.internal,
        deletion_protection: config.deletion_protection,
        source_ranges: config.from.clone(),
        ..coder::LoadBalancer::default()
    }
}

/// The certificate of the server, or of a proxy, in its namespace. Who renews it tells until when it is valid, and pods start
/// anew with the next apply after that.
fn certificate(
    stack: &mut Stack,
    wanted: &Wanted<'_>,
    namespace: &str,
    url: &str,
    wildcard: Option<&str>,
) -> (Address, Tls) {
    let issuer = if wanted.coder.certificates.staging { STAGING } else { PRODUCTION };
    let hosts: Vec<&str> = [host(url)].into_iter().chain(wildcard).collect();
    let object = cert_manager::certificate(namespace, CERTIFICATE, issuer, &hosts);
    let certificate = stack.add("certificate", Manifest::new(&object));
    let revision = Some(certificate.valid_until.cast());
    (certificate.address().clone(), Tls { secret: CERTIFICATE.into(), revision })
}

/// Who the provisioners of a set are in the cluster.
pub(in crate::eks) fn set_account(set: &str) -> String {
    format!("coder-{set}")
}

/// The namespaces of workspaces, each with its provisioners once there is a key for them.
fn organizations(stack: &mut Stack, wanted: &Wanted<'_>, platform: &Platform) -> Vec<workspaces::Workspaces> {
    let Wanted { coder, .. } = wanted;
    let url = coder.access_url.trim_end_matches('/');
    let mut spaces = vec![];
    for (name, config) in &coder.organizations {
        let namespace = config.namespace(name);
        stack.scope(&namespace, |stack| {
            let settings = workspaces::Settings {
                role_arn: wanted.role("workspace"),
                quota: config.quota.clone(),
                ..workspaces::Settings::new(&namespace)
            };
            let space = stack.scope("workspaces", |stack| workspaces::add(stack, &settings));
            for address in &space.made {
                // Who makes volumes goes after those who have them.
                all_after(stack, address, &platform.volumes);
            }
            let kind = match config.kind {
                ProvisionerKind::Deployment => provisioner::Kind::Deployment,
                ProvisionerKind::StatefulSet => provisioner::Kind::StatefulSet,
            };
            let settings = |replicas: u16, key: Kept| provisioner::Settings {
                replicas: i32::from(replicas),
                kind,
                role_arn: wanted.role("provisioner"),
                ..provisioner::Settings::new(&wanted.given.images.coder, url, key)
            };
            let at = format!("eks.coder.organizations.{name}");
            if let Some(source) = &config.provisioner_key {
                let key = wanted.kept(&format!("{at}.provisioner_key"), source, "provisioner-key", "key");
                let settings = settings(config.provisioners, key);
                let added = stack.scope("provisioners", |stack| provisioner::add(stack, &space, &settings));
                all_after(stack, &added, &platform.nodes);
            }
            for (set, one) in &config.sets {
                let secret = format!("provisioner-key-{set}");
                let key = wanted.kept(&format!("{at}.sets.{set}.key"), &one.key, &secret, "key");
                let settings = provisioner::Settings {
                    name: format!("coder-provisioner-{set}"),
                    service_account: set_account(set),
                    ..settings(one.count, key)
                };
                let scope = format!("provisioners-{set}");
                let added = stack.scope(&scope, |stack| provisioner::add(stack, &space, &settings));
                all_after(stack, &added, &platform.nodes);
            }
            let settings = logstream::Settings {
                image: wanted.given.images.logstream.clone(),
                url: url.to_owned(),
                nodes: system_nodes(),
            };
            stack.scope("logs", |stack| logstream::add(stack, &space, &settings));
            jobs::bring(stack, wanted, &space);
            spaces.push(space);
        });
    }
    spaces
}

fn language_models(
    stack: &mut Stack,
    wanted: &Wanted<'_>,
    platform: &Platform,
    config: &LiteLlm,
    models: &Models,
) {
    // That one has to be there was told when the file was read.
    let Some(url) = &config.url else { return };
    let master_key = Kept::stored("litellm-keys", "master", models.master_key.clone());
    let needs = Needs {
        region: wanted.site.region.clone(),
        database: Kept::stored("litellm-database", "url", models.url.clone()),
        redis_host: models.cache_host.clone(),
        redis_password: Kept::stored("litellm-cache", "password", models.cache_password.clone()),
        master_key: master_key.clone(),
        salt_key: Kept::stored("litellm-keys", "salt", models.salt_key.clone()),
        host: host(url).to_owned(),
    };
    let settings =
        Config { cluster_mode: config.cache.cluster_mode, ..Config::new(wanted.config.language_models()) };
    let mut settings = litellm::proxy::Settings::new(&wanted.given.images.litellm, settings, needs);
    settings.replicas = i32::from(config.replicas);
    settings.nodes = system_nodes();
    settings.role_arn = wanted.role("litellm");
    settings.entry.certificate_arn = config.certificate.as_deref().map(Into::into);
    settings.entry.internal = config.internal;
    settings.entry.source_ranges = config.from.clone();
    let added = litellm::proxy::add(stack, &settings);
    all_after(stack, added.ingress.address(), &platform.load_balancers);
    stack.output("litellm_load_balancer", &added.ingress.address);
    let in_zone = wanted.coder.dns_account().is_some_and(|account| account.has(host(url)));
    names::lead(stack, wanted, in_zone.then_some(("name", host(url))), &added.ingress.address.cast());
    // Its keys are in a Secret that is there before it.
    let after = [&added.namespace[..], &[added.deployment.address().clone()]].concat();
    jobs::make(stack, wanted, &after, &master_key);
}
