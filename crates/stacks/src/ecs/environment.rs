//! The environment of Coder: what the stack sets, what people may set, and the names that are mistakes.

use super::config::Ecs;
use crate::config::Problem;
use std::collections::BTreeMap;

/// The connection URL of the database. A secret.
pub(super) const DATABASE: &str = "CODER_PG_CONNECTION_URL";

/// The port that Coder listens on inside its task.
pub(super) const PORT: u16 = 3000;

/// Names that look right and do nothing, with the one that is meant.
const MISTAKES: [(&str, &str); 8] = [
    ("CODER_POSTGRES_URL", DATABASE),
    ("CODER_PG_URL", DATABASE),
    ("CODER_DATABASE_URL", DATABASE),
    ("CODER_DB_URL", DATABASE),
    ("DATABASE_URL", DATABASE),
    ("CODER_URL", "CODER_ACCESS_URL"),
    ("CODER_WILDCARD_URL", "CODER_WILDCARD_ACCESS_URL"),
    ("CODER_ADDRESS", "CODER_HTTP_ADDRESS"),
];

/// Variables of the server that people set most, to recognise a slip of the pen.
/// <https://coder.com/docs/reference/cli/server>
const KNOWN: [&str; 45] = [
    "CODER_ACCESS_URL",
    "CODER_ALLOW_WORKSPACE_RENAMES",
    "CODER_BLOCK_DIRECT",
    "CODER_BROWSER_ONLY",
    "CODER_DERP_CONFIG_PATH",
    "CODER_DERP_CONFIG_URL",
    "CODER_DERP_FORCE_WEBSOCKETS",
    "CODER_DERP_SERVER_ENABLE",
    "CODER_DERP_SERVER_STUN_ADDRESSES",
    "CODER_DISABLE_OWNER_WORKSPACE_ACCESS",
    "CODER_DISABLE_PASSWORD_AUTH",
    "CODER_DISABLE_PATH_APPS",
    "CODER_DOCS_URL",
    "CODER_EXPERIMENTS",
    "CODER_EXTERNAL_TOKEN_ENCRYPTION_KEYS",
    "CODER_HTTP_ADDRESS",
    "CODER_LOGGING_HUMAN",
    "CODER_LOGGING_JSON",
    "CODER_MAX_TOKEN_LIFETIME",
    "CODER_OAUTH2_GITHUB_ALLOWED_ORGS",
    "CODER_OAUTH2_GITHUB_ALLOW_EVERYONE",
    "CODER_OAUTH2_GITHUB_ALLOW_SIGNUPS",
    "CODER_OAUTH2_GITHUB_CLIENT_ID",
    "CODER_OAUTH2_GITHUB_CLIENT_SECRET",
    "CODER_OIDC_ALLOW_SIGNUPS",
    "CODER_OIDC_CLIENT_ID",
    "CODER_OIDC_CLIENT_SECRET",
    "CODER_OIDC_EMAIL_DOMAIN",
    "CODER_OIDC_ISSUER_URL",
    "CODER_OIDC_SCOPES",
    "CODER_PG_CONNECTION_URL",
    "CODER_PROMETHEUS_ADDRESS",
    "CODER_PROMETHEUS_ENABLE",
    "CODER_PROVISIONER_DAEMONS",
    "CODER_PROVISIONER_DAEMON_PSK",
    "CODER_PROXY_TRUSTED_HEADERS",
    "CODER_PROXY_TRUSTED_ORIGINS",
    "CODER_SECURE_AUTH_COOKIE",
    "CODER_SESSION_DURATION",
    "CODER_SSH_HOSTNAME_PREFIX",
    "CODER_STRICT_TRANSPORT_SECURITY",
    "CODER_TELEMETRY_ENABLE",
    "CODER_UPDATE_CHECK",
    "CODER_VERBOSE",
    "CODER_WILDCARD_ACCESS_URL",
];

/// What the stack sets itself, by name.
pub(super) fn own(config: &Ecs) -> BTreeMap<String, String> {
    let prefix = &config.env_prefix;
    let mut out = BTreeMap::from([
        ("CODER_HTTP_ADDRESS".to_owned(), format!("0.0.0.0:{PORT}")),
        (format!("{prefix}ACCESS_URL"), config.access_url.trim_end_matches('/').to_owned()),
    ]);
    if let Some(wildcard) = &config.wildcard_access_url {
        out.insert(format!("{prefix}WILDCARD_ACCESS_URL"), wildcard.clone());
    }
    if let Some(docs) = &config.docs_url {
        out.insert("CODER_DOCS_URL".to_owned(), docs.clone());
    }
    out
}

/// Names that cannot work.
pub(super) fn problems(config: &Ecs) -> Vec<Problem> {
    let mut out = vec![];
    let prefix = &config.env_prefix;
    if prefix.is_empty() || !prefix.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    {
        out.push(Problem::at(
            "ecs.env_prefix",
            format!("`{prefix}` cannot start the name of a variable"),
            "capital letters, digits and underscores, like `CODER_` or `WORKBENCH_`",
        ));
    }
    let names = config.environment.keys().map(|n| ("ecs.environment", n));
    let names = names.chain(config.secrets.keys().map(|n| ("ecs.secrets", n)));
    for (table, name) in names {
        if let Some((message, help)) = mistake(config, name) {
            out.push(Problem::at(table, message, help).key(name));
        }
    }
    for name in config.secrets.keys().filter(|n| config.environment.contains_key(*n)) {
        let message = format!("`{name}` is both a secret and an open variable");
        out.push(Problem::at("ecs.environment", message, "remove it from one of the tables").key(name));
    }
    for (name, source) in &config.secrets {
        if let crate::config::SecretSource::Aws { id, .. } = source
            && !id.starts_with("arn:")
        {
            let message = format!("`{id}` is the name of a secret, and ECS takes only its ARN");
            out.push(
                Problem::at("ecs.secrets", message, "write `aws-secret:arn:aws:secretsmanager:..`").key(name),
            );
        }
    }
    out
}

fn mistake(config: &Ecs, name: &str) -> Option<(String, String)> {
    let meant = |right: &str| {
        let right = right
            .strip_prefix("CODER_")
            .filter(|r| r.ends_with("ACCESS_URL"))
            .map_or_else(|| right.to_owned(), |rest| format!("{}{rest}", config.env_prefix));
        (format!("Coder does not know `{name}`"), format!("did you mean `{right}`?"))
    };
    if name == DATABASE || own(config).contains_key(name) {
        let help = "remove it; the stack knows the value from the rest of the file";
        return Some((format!("`{name}` is set by the stack"), help.to_owned()));
    }
    if let Some((_, right)) = MISTAKES.iter().find(|(wrong, _)| *wrong == name) {
        return Some(meant(right));
    }
    if KNOWN.contains(&name) {
        return None;
    }
    let near = KNOWN.iter().map(|k| (strsim::damerau_levenshtein(k, name), k)).min()?;
    (near.0 <= 2).then(|| meant(near.1))
}
