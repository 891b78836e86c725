//! The file with which programs and people find an API server.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::authority::Identity;

/// A kubeconfig with everything in it, for who has a certificate.
pub(crate) fn kubeconfig(cluster: &str, server: &str, authority: &str, identity: &Identity) -> String {
    let user = json!({
        "client-certificate-data": STANDARD.encode(&identity.certificate),
        "client-key-data": STANDARD.encode(&identity.key),
    });
    file(cluster, server, authority, &user)
}

/// The same for who has a token.
pub(crate) fn by_token(cluster: &str, server: &str, authority: &str, token: &str) -> String {
    file(cluster, server, authority, &json!({ "token": token }))
}

/// It is JSON, which is YAML too.
fn file(cluster: &str, server: &str, authority: &str, user: &Value) -> String {
    let file = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": cluster, "cluster": {
            "server": server,
            "certificate-authority-data": STANDARD.encode(authority),
        } }],
        "users": [{ "name": "sandbox", "user": user }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": "sandbox" } }],
        "current-context": cluster,
    });
    format!("{file:#}\n")
}

/// A kubeconfig that names where reviews of tokens are sent. The API server takes nothing else.
pub(crate) fn webhook(address: &str) -> String {
    let file = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "eks", "cluster": { "server": address } }],
        "users": [{ "name": "apiserver", "user": {} }],
        "contexts": [{ "name": "eks", "context": { "cluster": "eks", "user": "apiserver" } }],
        "current-context": "eks",
    });
    format!("{file:#}\n")
}
