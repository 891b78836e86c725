//! All of it, as it ran in Ohio, Oregon and London together, in one cluster.

use causeway_core::{Secret, Stack, Value};
use causeway_k8s::{
    coder::{
        Tls, logstream, provisioner, proxy,
        server::{self, ExternalAuth, GitHub, Oidc, QuietHours, Who},
        workspaces,
    },
    cron::Schedule,
    kept::Kept,
    litellm::{
        self,
        config::Config,
        default_models,
        keys::{self, Job, Rotation},
        proxy::Needs,
    },
    mirror,
    workload::Nodes,
};
use std::collections::BTreeMap;

/// What others make: the certificates, and what only a running server can give out.
pub(crate) const OTHERS: [(&str, &str); 6] = [
    ("coder", "coder-tls"),
    ("coder-proxy", "coder-proxy-tls"),
    ("coder-proxy", "coder-proxy"),
    ("coder-ws", "psk"),
    ("coder-ws-experiment", "psk"),
    ("coder-ws-demo", "psk"),
];
pub(crate) const URL: &str = "https://ai.coder.com";

/// The variables of a server with the settings of [`server_settings`], or `SECRET/KEY` of those that are secret. Beside them are
/// those that say whether something is on that is off here.
pub(crate) const VARIABLES: &[(&str, &str)] = &[
    ("CODER_ACCESS_URL", URL),
    ("CODER_WILDCARD_ACCESS_URL", "*.ai.coder.com"),
    ("CODER_REDIRECT_TO_ACCESS_URL", "true"),
    ("CODER_PG_AUTH", "password"),
    ("CODER_OIDC_SIGN_IN_TEXT", "Sign in with Okta"),
    ("CODER_OIDC_ICON_URL", "/icon/okta.svg"),
    ("CODER_OIDC_SCOPES", "openid,profile,email"),
    ("CODER_OIDC_EMAIL_DOMAIN", "coder.com"),
    ("CODER_OAUTH2_GITHUB_DEFAULT_PROVIDER_ENABLE", "false"),
    ("CODER_OAUTH2_GITHUB_ALLOW_SIGNUPS", "true"),
    ("CODER_OAUTH2_GITHUB_DEVICE_FLOW", "false"),
    ("CODER_OAUTH2_GITHUB_ALLOWED_ORGS", "coder,coder-contrib"),
    ("CODER_EXTERNAL_AUTH_0_ID", "primary-github"),
    ("CODER_EXTERNAL_AUTH_0_TYPE", "github"),
    ("CODER_UPDATE_CHECK", "true"),
    ("CODER_PROVISIONER_FORCE_CANCEL_INTERVAL", "10m0s"),
    ("CODER_QUIET_HOURS_DEFAULT_SCHEDULE", "CRON_TZ=America/Los_Angeles 50 23 * * *"),
    ("CODER_ALLOW_CUSTOM_QUIET_HOURS", "true"),
    ("CODER_PROMETHEUS_ENABLE", "true"),
    ("CODER_PROMETHEUS_COLLECT_AGENT_STATS", "true"),
    ("CODER_PROMETHEUS_COLLECT_DB_METRICS", "true"),
    ("CODER_EXPERIMENTS", "oauth2,mcp-server-http"),
    ("CODER_ADDITIONAL_CSP_POLICY", "frame-src https://ai.coder.com"),
    ("CODER_PG_CONNECTION_URL", "postgres/url"),
    ("CODER_OIDC_ISSUER_URL", "oidc/issuer-url"),
    ("CODER_OIDC_CLIENT_ID", "oidc/client-id"),
    ("CODER_OIDC_CLIENT_SECRET", "oidc/client-secret"),
    ("CODER_OAUTH2_GITHUB_CLIENT_ID", "oauth/client-id"),
    ("CODER_OAUTH2_GITHUB_CLIENT_SECRET", "oauth/client-secret"),
    ("CODER_EXTERNAL_AUTH_0_CLIENT_ID", "github-external-auth/client-id"),
    ("CODER_EXTERNAL_AUTH_0_CLIENT_SECRET", "github-external-auth/client-secret"),
    ("CODER_HTTP_ADDRESS", "0.0.0.0:8080"),
    ("CODER_PROMETHEUS_ADDRESS", "0.0.0.0:2112"),
    ("CODER_DERP_SERVER_RELAY_URL", "http://$(KUBE_POD_IP):8080"),
    ("CODER_TLS_ENABLE", "true"),
    ("CODER_TLS_ADDRESS", "0.0.0.0:8443"),
    ("CODER_TLS_CERT_FILE", "/etc/coder/tls/tls.crt"),
    ("CODER_TLS_KEY_FILE", "/etc/coder/tls/tls.key"),
    ("KUBE_POD_IP", ""),
];

pub(crate) fn given(secret: &str, key: &str) -> Kept {
    Kept::given(secret, key, Secret::new(format!("the {key} of {secret}")))
}

/// As it ran in Ohio.
pub(crate) fn server_settings() -> server::Settings {
    server::Settings {
        wildcard: Some("*.ai.coder.com".into()),
        tls: Some(Tls { secret: "coder-tls".into(), revision: None }),
        oidc: Some(Oidc {
            issuer_url: given("oidc", "issuer-url"),
            client_id: given("oidc", "client-id"),
            client_secret: given("oidc", "client-secret"),
            text: Some("Sign in with Okta".into()),
            icon: Some("/icon/okta.svg".into()),
            scopes: ["openid", "profile", "email"].map(str::to_owned).into(),
            email_domains: vec!["coder.com".into()],
        }),
        github: Some(GitHub {
            client_id: given("oauth", "client-id"),
            client_secret: given("oauth", "client-secret"),
            who: Who::Organizations(vec!["coder".into(), "coder-contrib".into()]),
            signups: true,
        }),
        external_auth: vec![ExternalAuth {
            id: "primary-github".into(),
            kind: "github".into(),
            client_id: given("github-external-auth", "client-id"),
            client_secret: given("github-external-auth", "client-secret"),
        }],
        quiet_hours: Some(QuietHours {
            schedule: "CRON_TZ=America/Los_Angeles 50 23 * * *".into(),
            custom: true,
        }),
        experiments: vec!["oauth2".into(), "mcp-server-http".into()],
        ..server::Settings::new("registry.example/coder-preview:v2.25.1", URL, given("postgres", "url"))
    }
}

pub(crate) fn proxy_settings() -> proxy::Settings {
    proxy::Settings {
        wildcard: Some("*.oregon-proxy.ai.coder.com".into()),
        tls: Some(Tls { secret: "coder-proxy-tls".into(), revision: None }),
        ..proxy::Settings::new(
            "registry.example/coder-preview:v2.25.1",
            URL,
            "https://oregon-proxy.ai.coder.com",
            Kept::elsewhere("coder-proxy", "proxy.key"),
        )
    }
}

/// One organization in one region: workspaces, provisioners, logs.
pub(crate) fn organization(stack: &mut Stack, name: &str, replicas: i32, nodes: Option<&Nodes>) {
    stack.scope(name, |stack| {
        let settings = workspaces::Settings {
            role_arn: Some("arn:aws:iam::123456789012:role/workspace".into()),
            quota: BTreeMap::from([("requests.cpu".into(), "64".into()), ("pods".into(), "60".into())]),
            ..workspaces::Settings::new(name)
        };
        let space = stack.scope("workspaces", |stack| workspaces::add(stack, &settings));
        let mut settings = provisioner::Settings {
            replicas,
            role_arn: Some("arn:aws:iam::123456789012:role/provisioner".into()),
            ..provisioner::Settings::new(
                "registry.example/coder-preview:v2.25.1",
                URL,
                Kept::elsewhere("psk", "token.key"),
            )
        };
        if let Some(nodes) = nodes {
            settings.nodes = nodes.clone();
        }
        stack.scope("provisioners", |stack| provisioner::add(stack, &space, &settings));
        let settings = logstream::Settings {
            image: "ghcr.io/coder/coder-logstream-kube:v0.0.11".into(),
            url: URL.into(),
            nodes: Nodes::default(),
        };
        stack.scope("logs", |stack| logstream::add(stack, &space, &settings));
    });
}

pub(crate) fn mirrored(stack: &mut Stack) {
    let settings = mirror::Settings {
        role_arn: Some("arn:aws:iam::123456789012:role/mirror".into()),
        environment: BTreeMap::from([("AWS_REGION".into(), "us-east-2".into())]),
        ..mirror::Settings::new("registry.example/deploy:v1", vec!["--of-the-caller".into()])
    };
    mirror::add(stack, &[], &settings);
}

pub(crate) fn litellm_settings() -> litellm::proxy::Settings {
    let needs = Needs {
        region: "us-east-2".into(),
        database: given("litellm-database", "url"),
        redis_host: Value::Known("master.cache.example".into()),
        redis_password: given("litellm-cache", "password"),
        master_key: given("litellm-keys", "master"),
        salt_key: given("litellm-keys", "salt"),
        host: "llm.ai.coder.com".into(),
    };
    let mut settings = litellm::proxy::Settings::new(
        "ghcr.io/berriai/litellm-non_root:v1.83.0-stable",
        Config::new(default_models(true)),
        needs,
    );
    settings.role_arn = Some("arn:aws:iam::123456789012:role/litellm".into());
    settings.vertex = Some(("coder-vertex-demos".into(), given("litellm-google", "service_account.json")));
    settings.entry.certificate_arn = Some("arn:aws:acm:us-east-2:123456789012:certificate/1".into());
    settings
}

/// The jobs of the keys, with arguments that the caller makes up.
pub(crate) fn rotation(stack: &mut Stack) {
    let [make, bring] = Rotation::default().schedules().unwrap();
    let job = |schedule: Schedule, role: &str| Job {
        image: "registry.example/deploy:v1".into(),
        args: vec!["--of-the-caller".into()],
        schedule,
        role_arn: Some(format!("arn:aws:iam::123456789012:role/{role}").into()),
        nodes: Nodes::default(),
        environment: BTreeMap::from([("LITELLM_URL".into(), "https://llm.ai.coder.com".into())]),
    };
    let master = Kept::elsewhere("litellm-keys", "master");
    stack.scope("make", |stack| keys::make(stack, "litellm", &[], &master, &job(make, "key-maker")));
    stack.scope("bring", |stack| keys::bring(stack, "coder-ws", &[], &job(bring, "key-reader")));
}

/// Everything, on nodes of its own or on these, with what is changed about the server.
pub(crate) fn everything(
    stack: &mut Stack,
    nodes: Option<&Nodes>,
    change: impl FnOnce(&mut server::Settings),
) {
    let on = |own: &mut Nodes| {
        if let Some(nodes) = nodes {
            *own = nodes.clone();
        }
    };
    stack.scope("coder", |stack| {
        let mut settings = server_settings();
        on(&mut settings.nodes);
        if nodes.is_some() {
            // Small nodes, and a load balancer that goes with the rest.
            settings.resources.cpu.0 = "500m";
            settings.resources.memory.0 = "1Gi";
            settings.load_balancer.deletion_protection = false;
        }
        change(&mut settings);
        server::add(stack, &settings);
    });
    stack.scope("proxy", |stack| {
        let mut settings = proxy_settings();
        on(&mut settings.nodes);
        settings.load_balancer.deletion_protection = nodes.is_none();
        proxy::add(stack, &settings);
    });
    stack.scope("litellm", |stack| {
        let mut settings = litellm_settings();
        on(&mut settings.nodes);
        if nodes.is_some() {
            // That of the platform may not be there.
            settings.entry.class = "apps".into();
        }
        litellm::proxy::add(stack, &settings);
    });
    for (name, replicas) in [("coder-ws", 6), ("coder-ws-experiment", 2), ("coder-ws-demo", 2)] {
        organization(stack, name, replicas, nodes);
    }
    stack.scope("mirror", mirrored);
    stack.scope("keys", rotation);
}
