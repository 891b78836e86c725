//! What is not AWS: registries of images, and where definitions are published.

use crate::failure::{Code, Failure};
use causeway_core::error::chain;
use causeway_k8s::{crds::Https, lock::Lock};
use causeway_oci::{Logins, Registries};
use reqwest::{Client, ClientBuilder};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Long enough for a registry at the other end of the world.
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing at all may come.
const SILENCE: Duration = Duration::from_secs(60);

/// What asks. Proxies of the environment are honoured.
pub(crate) fn client() -> Result<Client, Failure> {
    built(Client::builder().read_timeout(SILENCE))
}

/// What sends: nothing comes back until all of it has arrived, however long that takes. Who does not even confirm what was sent
/// is gone.
pub(crate) fn patient() -> Result<Client, Failure> {
    let client = Client::builder().tcp_keepalive(SILENCE);
    #[cfg(target_os = "linux")]
    let client = client.tcp_user_timeout(SILENCE);
    built(client)
}

fn built(client: ClientBuilder) -> Result<Client, Failure> {
    let agent = concat!("causeway-deploy/", env!("CARGO_PKG_VERSION"));
    let client = client.user_agent(agent).connect_timeout(CONNECT).build();
    client.map_err(|error| {
        Failure::new(Code::Unavailable, format!("no connection can be made from here: {}", chain(&error)))
            .hint("it takes the certificates of this machine: install its package of CA certificates")
    })
}

/// Where definitions are published, or mirrored.
pub(crate) fn bundles(client: &Client, lock: &Lock) -> Https {
    Https::new(client.clone()).mirrors(lock.mirrors.clone())
}

/// Registries, as who we are to them.
pub(crate) fn registries(client: &Client) -> Result<Registries, Failure> {
    Ok(Registries::new(client.clone(), logins()?))
}

/// Who we are to registries.
pub(crate) fn logins() -> Result<Logins, Failure> {
    for path in kept() {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(|error| unread(&path, &error.to_string()))?,
        };
        // What the parser says repeats what stands there, and that may be a password.
        let place = |error: serde_json::Error| format!("line {} is not as it should be", error.line());
        return Logins::parse(&text).map_err(|error| unread(&path, &place(error)));
    }
    Ok(Logins::default())
}

/// Where Podman, Skopeo and Docker keep logins; the first that is there counts.
fn kept() -> Vec<PathBuf> {
    let under = |variable: &str, rest: &str| {
        let value = env::var_os(variable).filter(|value| !value.is_empty())?;
        Some(if rest.is_empty() { PathBuf::from(value) } else { PathBuf::from(value).join(rest) })
    };
    let all = [
        under("REGISTRY_AUTH_FILE", ""),
        under("DOCKER_CONFIG", "config.json"),
        under("XDG_RUNTIME_DIR", "containers/auth.json"),
        under("HOME", ".docker/config.json"),
    ];
    all.into_iter().flatten().collect()
}

fn unread(path: &Path, why: &str) -> Failure {
    let failure =
        Failure::usage(format!("cannot read the logins of registries in {}: {why}", path.display()));
    failure.hint("`docker login` and `skopeo login` write it; REGISTRY_AUTH_FILE names another one")
}
