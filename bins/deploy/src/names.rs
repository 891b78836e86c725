//! Who keeps the zones that names are in.

use crate::{
    failure::{Code, Failure},
    session::environment,
};
use aws_config::SdkConfig;
use causeway_config::File;
use causeway_core::{Registry, error::chain};
use causeway_dns::provider::{
    Provider,
    cloudflare::{Account, Cloudflare, ENDPOINT, Plan},
    route53::Route53,
};
use causeway_sandbox::cloudflare::Place;
use causeway_stacks::dns::{ACCOUNTS, DnsProvider};
use std::{collections::BTreeMap, sync::Arc};

/// Adds records to what can be deployed, where `file` says who keeps their zone, or else the variables of Cloudflare's own
/// libraries do. In a sandbox that is its own Cloudflare, whatever they say: a rehearsal changes nothing outside.
///
/// # Errors
/// What is said is no address of an API, or the Cloudflare of the sandbox does not answer.
pub(crate) async fn register(
    registry: &mut Registry,
    sdk: &SdkConfig,
    file: &File,
    sandbox: Option<&Place>,
) -> Result<(), Failure> {
    let mut accounts: BTreeMap<String, Arc<dyn Provider>> = BTreeMap::new();
    for said in file.config.dns_accounts() {
        let provider: Arc<dyn Provider> = match (said.provider, sandbox) {
            (DnsProvider::Route53, _) => Arc::new(Route53::new(sdk)),
            (DnsProvider::Cloudflare, Some(place)) => {
                // Nobody could add it before, where the sandbox is for this command only.
                let added = place.add_zone(said.zone).await;
                added.map_err(|e| Failure::new(Code::Unavailable, chain(&e)))?;
                Arc::new(cloudflare(&place.endpoint, &place.token, "the sandbox")?)
            }
            (DnsProvider::Cloudflare, None) => {
                // What is not to be found is told where a command needs it.
                let token = said.token.and_then(|source| source.look_up(file.folder(), &environment)?.ok());
                let token = token.as_ref().and_then(|token| token.expose().ok()).unwrap_or_default();
                let at = format!("`api` in `[{}]`", said.table);
                Arc::new(cloudflare(said.api.unwrap_or(ENDPOINT), token, &at)?)
            }
        };
        accounts.insert(said.name.to_owned(), provider);
    }
    // Of a table that is gone from the file, the journal may still have records, which are to go.
    let usual = match sandbox {
        Some(place) => Some((place.endpoint.clone(), place.token.clone())),
        None => environment("CLOUDFLARE_API_TOKEN")
            .map(|token| (environment("CLOUDFLARE_BASE_URL").unwrap_or_else(|| ENDPOINT.to_owned()), token)),
    };
    // Who has no such table is not told of these variables.
    let usual = usual.and_then(|(endpoint, token)| cloudflare(&endpoint, &token, "the environment").ok());
    if let Some(usual) = usual {
        let usual: Arc<dyn Provider> = Arc::new(usual);
        for name in ACCOUNTS {
            accounts.entry(name.to_owned()).or_insert_with(|| Arc::clone(&usual));
        }
    }
    causeway_dns::register(registry, accounts);
    Ok(())
}

/// `at` is where the endpoint was said.
fn cloudflare(endpoint: &str, token: &str, at: &str) -> Result<Cloudflare, Failure> {
    let account =
        Account { endpoint: endpoint.to_owned(), token: token.into(), plan: Plan::Free, calls: None };
    let made = Cloudflare::new(account);
    made.map_err(|e| Failure::new(Code::Usage, chain(&e)).hint(format!("look at {at}")))
}
