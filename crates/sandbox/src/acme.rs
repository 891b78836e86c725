//! A certificate authority that speaks ACME: [pebble](https://github.com/letsencrypt/pebble), Let's Encrypt's own server for
//! tests. It is built with Go when somebody first asks for it, and looks names up in the sandbox's [`cloudflare`](crate::cloudflare),
//! so DNS-01 challenges are really solved. What it issues nobody trusts who was not told to.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::Error;
use crate::cache::Cache;
use crate::gateway::BoxError;
use crate::go::{self, Part};
use crate::install::{self, Progress};
use crate::kubernetes::authority::Authority;
use crate::supervise::{Check, Ground, Process, Program, free_address};

/// The version of pebble.
pub const PEBBLE: &str = "2.10.1";

const PART: Part = Part {
    name: "pebble",
    version: PEBBLE,
    module: include_str!("../acme/go.mod"),
    sums: include_str!("../acme/go.sum"),
    main: None,
    stamps: &[],
    numbers: None,
    renames: &[],
    programs: &["pebble"],
    step: "compile pebble (about a minute, once)",
};

/// Builds pebble if it is not there, and returns where it is. Blocks: about a minute, milliseconds when it is there.
///
/// # Errors
///
/// [`install::Error`]: there is no Go, or one that is too old, or the build failed.
pub fn install(cache: &Cache, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, install::Error> {
    let program = PART.folder(cache).join("pebble");
    if !PART.is_built(cache) {
        go::build(cache, &[&PART], progress)?;
    }
    Ok(program)
}

/// A running ACME server. Dropping it ends it.
pub struct Acme {
    directory: String,
    roots: String,
    authority: String,
    _process: Process,
}

impl std::fmt::Debug for Acme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acme").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Acme {
    pub(crate) async fn start(cache: &Cache, ground: &Ground, dns: SocketAddr) -> Result<Acme, Error> {
        let cache = cache.clone();
        let pebble = tokio::task::spawn_blocking(move || install(&cache, &mut |_| {}))
            .await
            .map_err(failed("install"))?
            .map_err(Error::Install)?;
        let management = free_address().map_err(failed("find a port for"))?;
        let folder = ground.run.join("acme").join(management.port().to_string());
        fs::create_dir_all(&folder).map_err(failed("make a folder for"))?;
        let authority = Authority::new("pebble").map_err(failed("certify"))?;
        let names = [Ipv4Addr::LOCALHOST.to_string(), "localhost".to_owned()];
        let identity = authority.server("pebble", &names).map_err(failed("certify"))?;
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&certificate, identity.certificate).map_err(failed("certify"))?;
        fs::write(&key, identity.key).map_err(failed("certify"))?;
        let config = |port: u16| {
            let path = folder.join(format!("{port}.json"));
            let config = json!({ "pebble": {
                "listenAddress": format!("127.0.0.1:{port}"),
                "managementListenAddress": management.to_string(),
                "certificate": certificate,
                "privateKey": key,
                // Nobody listens there: only DNS-01 can be solved.
                "httpPort": 9,
                "tlsPort": 9,
                "retryAfter": { "authz": 1, "order": 1 },
                "profiles": { "default": { "description": "Three months", "validityPeriod": 7_776_000 } },
            } });
            // What cannot be read is in pebble's log, and that in the error.
            let _ = fs::write(&path, config.to_string());
            path
        };
        let program = |port: u16| Program {
            name: "pebble".into(),
            command: pebble.clone(),
            arguments: vec![
                "-config".into(),
                config(port).into(),
                "-dnsserver".into(),
                dns.to_string().into(),
            ],
            // It would otherwise wait up to 15 seconds before it looks.
            environment: vec![("PEBBLE_VA_NOSLEEP", "1".into())],
            log: ground.log("pebble"),
            user: None,
            signal: "TERM",
            grace: Duration::from_secs(1),
        };
        // To plain HTTP it answers too, with a refusal.
        let (process, address) = ground.serve(&Check::Http("/dir"), program).await?;
        Ok(Acme {
            directory: format!("https://{address}/dir"),
            roots: format!("https://{management}/roots/0"),
            authority: authority.certificate().to_owned(),
            _process: process,
        })
    }

    /// The address of the directory, where clients begin.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The certificate that clients of the server itself trust, as PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The root of the certificates that it issues, as PEM. It is another one each time.
    ///
    /// # Errors
    ///
    /// [`Error::Acme`] if the server does not answer.
    pub async fn root(&self) -> Result<String, Error> {
        let ask = async {
            let authority = reqwest::Certificate::from_pem(self.authority.as_bytes())?;
            let client = reqwest::Client::builder().no_proxy().tls_certs_only([authority]).build()?;
            client.get(&self.roots).send().await?.error_for_status()?.text().await
        };
        ask.await.map_err(failed("ask"))
    }
}

fn failed<E: Into<BoxError>>(act: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::Acme { act, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_names_the_version_that_we_say() {
        assert!(PART.module.contains(&format!("github.com/letsencrypt/pebble/v2 v{PEBBLE} ")));
    }
}
