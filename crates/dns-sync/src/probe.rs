//! Whether what a name is to lead to answers for that name, before it leads there.

use crate::{
    ask::random_label,
    config::{GuardConfig, ProbeName},
    wanted::{at_address, values},
};
use causeway_coder_api::Coder;
use causeway_core::{Address, engine::Planned, error::chain, plan::Action};
use causeway_dns::{Class, Name};
use futures::future::join_all;
use reqwest::{Certificate, Client, redirect::Policy};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

/// How long a target may take for each part of an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing can be probed at all.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The file of roots cannot be read.
    #[error("cannot read {path}, the `probe_roots` of [guard]")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There are no certificates in it.
    #[error("{path}, the `probe_roots` of [guard], is no file of certificates in PEM")]
    Certificates {
        /// The file.
        path: String,
        /// Why not, if that is known.
        #[source]
        source: Option<reqwest::Error>,
    },
}

/// Probes targets.
#[derive(Clone, Debug)]
pub(crate) struct Prober {
    name: ProbeName,
    port: u16,
    roots: Vec<Certificate>,
}

impl Prober {
    /// As `config` says; `folder` is where a relative path starts. `None`: nothing is to be probed.
    pub(crate) fn new(config: &GuardConfig, folder: &Path) -> Result<Option<Self>, ProbeError> {
        let Some(name) = config.probe else { return Ok(None) };
        let mut roots = vec![];
        if let Some(path) = &config.probe_roots {
            let path = folder.join(path);
            let shown = path.display().to_string();
            let text =
                std::fs::read(&path).map_err(|source| ProbeError::Read { path: shown.clone(), source })?;
            roots = Certificate::from_pem_bundle(&text)
                .map_err(|source| ProbeError::Certificates { path: shown.clone(), source: Some(source) })?;
            if roots.is_empty() {
                return Err(ProbeError::Certificates { path: shown, source: None });
            }
        }
        Ok(Some(Prober { name, port: config.probe_port, roots }))
    }

    /// The names whose new targets do not answer, with why. Addresses in `probed` are passed over, and all others come in.
    pub(crate) async fn silent(
        &self,
        planned: &Planned,
        probed: &mut BTreeSet<Address>,
    ) -> Vec<(Address, String)> {
        let mut changed: BTreeMap<Address, (Name, BTreeSet<String>)> = BTreeMap::new();
        for step in planned.plan.steps.iter().filter(|step| step.action == Action::Update) {
            let Some((name, Class::Address)) = at_address(&step.address.0) else { continue };
            let live = planned.observed.live.get(&step.address).map(|live| values(&live.spec));
            let wanted = values(step.wanted.as_json());
            if live.as_ref() != Some(&wanted) && probed.insert(step.address.clone()) {
                changed.insert(step.address.clone(), (name, wanted));
            }
        }
        let looks = changed.iter().map(async |(address, (name, targets))| {
            let answer = self.answers(name, targets).await;
            answer.err().map(|why| (address.clone(), why))
        });
        join_all(looks).await.into_iter().flatten().collect()
    }

    /// Whether each of `targets` answers for `name`.
    ///
    /// # Errors
    /// The first that does not, and why.
    pub(crate) async fn answers(&self, name: &Name, targets: &BTreeSet<String>) -> Result<(), String> {
        for target in targets {
            let why = |why: String| format!("its new target `{target}` does not answer for it: {why}");
            self.answers_one(name, target).await.map_err(why)?;
        }
        Ok(())
    }

    async fn answers_one(&self, name: &Name, target: &str) -> Result<(), String> {
        let at: Vec<SocketAddr> = match target.parse::<IpAddr>() {
            Ok(ip) => vec![(ip, self.port).into()],
            Err(_) => match tokio::net::lookup_host((target, self.port)).await {
                Ok(found) => found.collect(),
                Err(error) => return Err(format!("it is not to be found in DNS: {error}")),
            },
        };
        // For a wildcard, a label that nobody has: its certificate has to cover any.
        let wildcard = name.as_str().strip_prefix("*.");
        let host = wildcard.map_or_else(|| name.to_string(), |rest| format!("{}.{rest}", random_label()));
        let client = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(PATIENCE)
            .resolve_to_addrs(&host, &at)
            .tls_certs_merge(self.roots.iter().cloned())
            .build()
            .map_err(|e| chain(&e))?;
        let url = format!("https://{host}:{}", self.port);
        match self.name {
            ProbeName::Coder if wildcard.is_none() => {
                let info = Coder::with(client, &url).build_info().await.map_err(|e| chain(&e))?;
                tracing::debug!(%name, target, version = info.version, "the new target is Coder");
            }
            ProbeName::Coder | ProbeName::Tls => match client.head(&url).send().await {
                // What it says over the connection, if that is HTTP at all, is not looked at.
                Err(error) if error.is_connect() || error.is_timeout() => {
                    return Err(chain(&error.without_url()));
                }
                _ => tracing::debug!(%name, target, "the new target has a certificate for the name"),
            },
        }
        Ok(())
    }
}
