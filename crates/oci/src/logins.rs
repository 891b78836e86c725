//! Who people are to registries, as `docker login`, `podman login` and `skopeo login` keep it:
//! <https://docs.docker.com/reference/cli/docker/login/>.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
};
use tokio::{io::AsyncWriteExt, process::Command};

/// What one machine knows of registries.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logins {
    auths: BTreeMap<String, Login>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
    /// Those that no helper is asked about.
    #[serde(skip)]
    own: BTreeSet<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Login {
    /// Name and password with a colon between them, in Base64.
    auth: Option<String>,
}

/// What a credential helper answers: <https://github.com/docker/docker-credential-helpers>.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

/// What it is called there.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// In place of a name: the secret is a token of Docker's own kind, which we do not speak.
const TOKEN: &str = "<token>";

impl Logins {
    /// Of `config.json`.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// With another login, which counts for its registry whatever else is known.
    #[must_use]
    pub fn with(mut self, registry: &str, user: &str, password: &str) -> Self {
        let auth = Some(STANDARD.encode(format!("{user}:{password}")));
        self.auths.insert(registry.to_owned(), Login { auth });
        self.own.insert(registry.to_owned());
        self
    }

    /// Name and password for a registry, in Base64. A helper that has nothing, or is not there, is nobody.
    pub(crate) async fn of(&self, registry: &str) -> Option<String> {
        let names = match registry {
            "docker.io" => vec![DOCKER_HUB.to_owned(), "docker.io".to_owned()],
            other => vec![other.to_owned(), format!("https://{other}")],
        };
        for name in names {
            let helper = self.cred_helpers.get(&name).or(self.creds_store.as_ref());
            if let Some(helper) = helper.filter(|_| !self.own.contains(&name))
                && let Some(login) = ask(helper, &name).await
            {
                return Some(login);
            }
            let written = self.auths.get(&name).and_then(|login| login.auth.clone());
            if let Some(login) = written.filter(|login| !login.is_empty()) {
                return Some(login);
            }
        }
        None
    }
}

async fn ask(helper: &str, registry: &str) -> Option<String> {
    let mut command = Command::new(format!("docker-credential-{helper}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().ok()?;
    // Dropped at once, so that it sees the end.
    child.stdin.take()?.write_all(registry.as_bytes()).await.ok()?;
    let output = child.wait_with_output().await.ok().filter(|output| output.status.success())?;
    let Helped { username, secret } = serde_json::from_slice(&output.stdout).ok()?;
    (username != TOKEN).then(|| STANDARD.encode(format!("{username}:{secret}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_login_is_found_by_the_name_that_docker_gave_it() {
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "aHVi"}, "ghcr.io": {"auth": "Z2hjcg=="}, "empty.io": {}},
            "credHelpers": {"gone.io": "a-helper-that-is-not-there"}, "HttpHeaders": {}}"#;
        let logins = Logins::parse(text).unwrap();
        assert_eq!(logins.of("docker.io").await.as_deref(), Some("aHVi"));
        assert_eq!(logins.of("ghcr.io").await.as_deref(), Some("Z2hjcg=="));
        for nobody in ["empty.io", "gone.io", "other.io"] {
            assert_eq!(logins.of(nobody).await, None, "{nobody}");
        }
        assert!(Logins::parse("[").is_err());
        let stored =
            r#"{"credsStore": "a-helper-that-is-not-there", "auths": {"ghcr.io": {"auth": "Z2hjcg=="}}}"#;
        let logins = Logins::parse(stored).unwrap().with("1.dkr.ecr", "AWS", "hunter2");
        assert_eq!(logins.of("1.dkr.ecr").await.as_deref(), Some("QVdTOmh1bnRlcjI="));
        assert_eq!(logins.of("ghcr.io").await.as_deref(), Some("Z2hjcg=="));
    }
}
