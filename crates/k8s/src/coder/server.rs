//! The server of Coder. <https://coder.com/docs/reference/cli/server>

use super::{
    pod::{self, Environment, LoadBalancer, Program, Tls},
    workspaces::{self, Workspaces},
};
use crate::{
    Manifest,
    kept::{Kept, keep},
    objects::Objects,
    platform::namespace::{self, Namespace, PodSecurity, Port},
    rbac::Account,
    workload::{Nodes, Resources},
};
use causeway_core::{Address, Handle, Stack, Value};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use std::collections::BTreeMap;

/// What people choose about the server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it runs. Made here.
    pub namespace: String,
    /// Its image.
    pub image: String,
    /// How many pods. More than one needs a licence.
    pub replicas: i32,
    /// Of each pod.
    pub resources: Resources,
    /// Where it runs.
    pub nodes: Nodes,
    /// `https://..`
    pub access_url: String,
    /// Under which names the ports of workspaces are served, like `*.coder.example.com`.
    pub wildcard: Option<String>,
    /// The URL of its database.
    pub database: Kept,
    /// The ports that it reaches outside, beside 443 and the database's 5432.
    pub egress: Vec<Port>,
    /// The certificate that clients are shown. Without, only HTTP is served.
    pub tls: Option<Tls>,
    /// The way in.
    pub load_balancer: LoadBalancer,
    /// Signing in by OpenID Connect.
    pub oidc: Option<Oidc>,
    /// Signing in by GitHub.
    pub github: Option<GitHub>,
    /// Git servers that workspaces get tokens for, in order.
    pub external_auth: Vec<ExternalAuth>,
    /// How many provisioners run inside the server. None where there are others.
    pub provisioner_daemons: u16,
    /// After what time a build that does not end when cancelled is killed, like `10m0s`.
    pub force_cancel_interval: String,
    /// The role of AWS that provisioners inside the server act as.
    pub role_arn: Option<Value<String>>,
    /// The namespaces in which provisioners inside the server make workspaces.
    pub workspaces_in: Vec<Workspaces>,
    /// When workspaces may be stopped.
    pub quiet_hours: Option<QuietHours>,
    /// Serves figures for Prometheus.
    pub metrics: bool,
    /// What is tried out.
    pub experiments: Vec<String>,
    /// Added to the content security policy. The access URL as a frame if left out.
    pub content_security_policy: Option<String>,
    /// What a client of another version is told.
    pub upgrade_message: Option<String>,
    /// Looks for new releases.
    pub update_check: bool,
    /// For looking into trouble; none of it is for every day.
    pub debug: Debug,
    /// Any other variable. It counts more than what is set here.
    pub environment: BTreeMap<String, String>,
    /// Any other variable that is secret, by its name.
    pub secrets: BTreeMap<String, Kept>,
}

/// Signing in by OpenID Connect.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// Who is asked.
    pub issuer_url: Kept,
    /// Who we are there.
    pub client_id: Kept,
    /// By which we prove it.
    pub client_secret: Kept,
    /// On the button.
    pub text: Option<String>,
    /// On the button, by URL.
    pub icon: Option<String>,
    /// Like `openid`, `profile`, `email`.
    pub scopes: Vec<String>,
    /// Only people with an address there; all if empty.
    pub email_domains: Vec<String>,
}

/// Signing in by GitHub.
#[derive(Clone, Debug)]
pub struct GitHub {
    /// Who we are there.
    pub client_id: Kept,
    /// By which we prove it.
    pub client_secret: Kept,
    /// Who may sign in. There is no default that lets everybody in.
    pub who: Who,
    /// Who signs in for the first time gets an account.
    pub signups: bool,
}

/// Who may sign in by GitHub.
#[derive(Clone, Debug)]
pub enum Who {
    /// Everybody who has an account there.
    Everyone,
    /// Members of these organizations.
    Organizations(Vec<String>),
}

/// A Git server that workspaces get tokens for.
#[derive(Clone, Debug)]
pub struct ExternalAuth {
    /// As templates name it, like `primary-github`.
    pub id: String,
    /// Like `github`.
    pub kind: String,
    /// Who we are there.
    pub client_id: Kept,
    /// By which we prove it.
    pub client_secret: Kept,
}

/// When workspaces may be stopped.
#[derive(Clone, Debug)]
pub struct QuietHours {
    /// From when, like `CRON_TZ=America/Los_Angeles 50 23 * * *`.
    pub schedule: String,
    /// People may choose their own.
    pub custom: bool,
}

/// For looking into trouble.
#[derive(Clone, Debug, Default)]
pub struct Debug {
    /// Which of the finer messages are logged, as a regular expression.
    pub log_filter: Option<String>,
    /// Logs become events of traces.
    pub trace_logs: bool,
    /// Logs of builds tell all that Terraform does, secrets among it.
    pub terraform: bool,
    /// The API describes itself at `/swagger`.
    pub swagger: bool,
}

impl Settings {
    /// What one production server has: two pods on nodes of their own, no provisioner inside.
    pub fn new(image: &str, access_url: &str, database: Kept) -> Self {
        Settings {
            namespace: "coder".into(),
            image: image.into(),
            replicas: 2,
            resources: Resources { cpu: ("2", "4"), memory: ("4Gi", "8Gi"), storage: ("1Gi", "10Gi") },
            nodes: Nodes::dedicated("coder-server"),
            access_url: access_url.into(),
            wildcard: None,
            database,
            egress: vec![],
            tls: None,
            load_balancer: LoadBalancer::default(),
            oidc: None,
            github: None,
            external_auth: vec![],
            provisioner_daemons: 0,
            force_cancel_interval: "10m0s".into(),
            role_arn: None,
            workspaces_in: vec![],
            quiet_hours: None,
            metrics: true,
            experiments: vec![],
            content_security_policy: None,
            upgrade_message: None,
            update_check: true,
            debug: Debug::default(),
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
        }
    }
}

/// What others refer to.
pub struct Server {
    /// The way in: its address is the name that DNS points at. It needs the load balancer controller.
    pub service: Handle<Manifest<Service>>,
    /// The server answers once this is ready.
    pub deployment: Handle<Manifest<Deployment>>,
    /// The namespace and what belongs to it.
    pub namespace: Vec<Address>,
}

/// Adds the server.
pub fn add(stack: &mut Stack, settings: &Settings) -> Server {
    let mut egress = vec![Port::Tcp(443), Port::Tcp(5432)];
    egress.extend(&settings.egress);
    let mut ingress = vec![Port::Tcp(8080), Port::Tcp(8443)];
    ingress.extend(settings.metrics.then_some(Port::Tcp(2112)));
    let namespace = Namespace {
        name: &settings.namespace,
        security: PodSecurity::Restricted,
        ingress: &ingress,
        egress: &egress,
        quota: BTreeMap::new(),
    };
    let namespace = stack.scope("namespace", |stack| namespace::add(stack, &namespace));
    let program = Program {
        namespace: &settings.namespace,
        image: &settings.image,
        args: &["server"],
        replicas: settings.replicas,
        resources: settings.resources,
        nodes: &settings.nodes,
        tls: settings.tls.as_ref(),
        metrics: settings.metrics,
    };
    let mut work = program.workload(environment(settings));
    let account = Account::new(&settings.namespace, &work.service_account);
    let mut before = namespace.clone();
    for space in &settings.workspaces_in {
        stack.scope(&format!("workspaces-{}", space.name), |stack| {
            let mut objects = Objects::after(stack, [&namespace[..], &space.made].concat());
            account.may_in(&mut objects, &space.name, workspaces::ROLE, workspaces::RIGHTS);
            before.extend(objects.all());
        });
    }
    let mut objects = Objects::after(stack, before);
    objects.add("service-account", &account.object(settings.role_arn.as_ref()));
    let tls = settings.tls.as_ref().map(Tls::kept);
    let secrets: Vec<&Kept> = secrets(settings).into_iter().chain(&tls).collect();
    keep(&mut objects, &mut work, &secrets);
    let deployment = pod::run(&mut objects, &work);
    let service = objects.add("service", &settings.load_balancer.service(&work, settings.tls.is_some()));
    Server { service, deployment, namespace }
}

fn secrets(settings: &Settings) -> Vec<&Kept> {
    let oidc = settings.oidc.iter().flat_map(|oidc| [&oidc.issuer_url, &oidc.client_id, &oidc.client_secret]);
    let github = settings.github.iter().flat_map(|github| [&github.client_id, &github.client_secret]);
    let external = settings.external_auth.iter().flat_map(|auth| [&auth.client_id, &auth.client_secret]);
    let others = settings.secrets.values();
    [&settings.database].into_iter().chain(oidc).chain(github).chain(external).chain(others).collect()
}

fn environment(settings: &Settings) -> Environment {
    let mut all = Environment::default();
    all.set("CODER_ACCESS_URL", &settings.access_url)
        .set("CODER_REDIRECT_TO_ACCESS_URL", true)
        .set("CODER_PG_AUTH", "password")
        .kept("CODER_PG_CONNECTION_URL", &settings.database)
        .set("CODER_UPDATE_CHECK", settings.update_check)
        .set("CODER_PROVISIONER_DAEMONS", settings.provisioner_daemons)
        .set("CODER_PROVISIONER_FORCE_CANCEL_INTERVAL", &settings.force_cancel_interval)
        .set("CODER_SWAGGER_ENABLE", settings.debug.swagger)
        .set("CODER_TRACE_LOGS", settings.debug.trace_logs)
        .set("CODER_ENABLE_TERRAFORM_DEBUG_MODE", settings.debug.terraform);
    if let Some(wildcard) = &settings.wildcard {
        all.set("CODER_WILDCARD_ACCESS_URL", wildcard);
    }
    if let Some(filter) = &settings.debug.log_filter {
        all.set("CODER_LOG_FILTER", filter);
    }
    if let Some(message) = &settings.upgrade_message {
        all.set("CODER_CLI_UPGRADE_MESSAGE", message);
    }
    if settings.metrics {
        all.set("CODER_PROMETHEUS_COLLECT_AGENT_STATS", true)
            .set("CODER_PROMETHEUS_COLLECT_DB_METRICS", true);
    }
    if let Some(quiet) = &settings.quiet_hours {
        all.set("CODER_QUIET_HOURS_DEFAULT_SCHEDULE", &quiet.schedule)
            .set("CODER_ALLOW_CUSTOM_QUIET_HOURS", quiet.custom);
    }
    if !settings.experiments.is_empty() {
        all.set("CODER_EXPERIMENTS", settings.experiments.join(","));
    }
    let policy = settings.content_security_policy.clone();
    let policy = policy.unwrap_or_else(|| format!("frame-src {}", settings.access_url));
    all.set("CODER_ADDITIONAL_CSP_POLICY", policy);
    signing_in(&mut all, settings);
    for (name, value) in &settings.environment {
        all.set(name, value);
    }
    for (name, value) in &settings.secrets {
        all.kept(name, value);
    }
    all
}

fn signing_in(all: &mut Environment, settings: &Settings) {
    if let Some(oidc) = &settings.oidc {
        all.kept("CODER_OIDC_ISSUER_URL", &oidc.issuer_url)
            .kept("CODER_OIDC_CLIENT_ID", &oidc.client_id)
            .kept("CODER_OIDC_CLIENT_SECRET", &oidc.client_secret);
        for (name, value) in [("CODER_OIDC_SIGN_IN_TEXT", &oidc.text), ("CODER_OIDC_ICON_URL", &oidc.icon)] {
            if let Some(value) = value {
                all.set(name, value);
            }
        }
        for (name, list) in
            [("CODER_OIDC_SCOPES", &oidc.scopes), ("CODER_OIDC_EMAIL_DOMAIN", &oidc.email_domains)]
        {
            if !list.is_empty() {
                all.set(name, list.join(","));
            }
        }
    }
    // The application that Coder brings along is open to everybody.
    all.set("CODER_OAUTH2_GITHUB_DEFAULT_PROVIDER_ENABLE", false);
    if let Some(github) = &settings.github {
        all.kept("CODER_OAUTH2_GITHUB_CLIENT_ID", &github.client_id)
            .kept("CODER_OAUTH2_GITHUB_CLIENT_SECRET", &github.client_secret)
            .set("CODER_OAUTH2_GITHUB_ALLOW_SIGNUPS", github.signups)
            .set("CODER_OAUTH2_GITHUB_DEVICE_FLOW", false);
        match &github.who {
            Who::Everyone => all.set("CODER_OAUTH2_GITHUB_ALLOW_EVERYONE", true),
            Who::Organizations(names) => all.set("CODER_OAUTH2_GITHUB_ALLOWED_ORGS", names.join(",")),
        };
    }
    for (place, auth) in settings.external_auth.iter().enumerate() {
        let name = |field: &str| format!("CODER_EXTERNAL_AUTH_{place}_{field}");
        all.set(&name("ID"), &auth.id)
            .set(&name("TYPE"), &auth.kind)
            .kept(&name("CLIENT_ID"), &auth.client_id)
            .kept(&name("CLIENT_SECRET"), &auth.client_secret);
    }
}
