//! The environment variables of Coder's server: those that are mistaken for another one.

/// The connection URL of the database. A secret.
pub(crate) const DATABASE: &str = "CODER_PG_CONNECTION_URL";

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

/// The variable that is meant, where `name` is none that Coder knows and looks like one.
pub(crate) fn meant(name: &str) -> Option<&'static str> {
    if let Some((_, right)) = MISTAKES.iter().find(|(wrong, _)| *wrong == name) {
        return Some(right);
    }
    if KNOWN.contains(&name) {
        return None;
    }
    let near = KNOWN.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min()?;
    (near.0 <= 2).then_some(*near.1)
}
