//! Who keeps the zone that the names of Coder on EKS are in.

use crate::failure::{Code, Failure};
use aws_config::SdkConfig;
use causeway_config::File;
use causeway_core::{Registry, error::chain};
use causeway_dns::provider::{
    Provider,
    cloudflare::{Account, Cloudflare, ENDPOINT, Plan},
    route53::Route53,
};
use causeway_stacks::eks::{DnsProvider, NAMES};
use std::{collections::BTreeMap, sync::Arc};

/// Adds records to what can be deployed, where `file` says who keeps their zone.
///
/// # Errors
/// What is said is no address of an API.
pub(crate) fn register(registry: &mut Registry, sdk: &SdkConfig, file: &File) -> Result<(), Failure> {
    let mut accounts: BTreeMap<String, Arc<dyn Provider>> = BTreeMap::new();
    let coder = file.config.eks.as_ref().and_then(|eks| eks.coder.as_ref());
    if let Some((coder, dns)) = coder.and_then(|coder| Some((coder, coder.dns.as_ref()?))) {
        let provider: Arc<dyn Provider> = match dns.provider {
            DnsProvider::Route53 => Arc::new(Route53::new(sdk)),
            DnsProvider::Cloudflare => {
                let source = dns.token.as_ref().or(coder.certificates.cloudflare_token.as_ref());
                let environment = |name: &str| std::env::var(name).ok();
                // What is not to be found is told where a command needs it.
                let token = source.and_then(|source| source.look_up(file.folder(), &environment)?.ok());
                let token = token.as_ref().and_then(|token| token.expose().ok()).unwrap_or_default();
                let account = Account {
                    endpoint: dns.api.clone().unwrap_or_else(|| ENDPOINT.to_owned()),
                    token: token.into(),
                    plan: Plan::Free,
                    calls: None,
                };
                Arc::new(Cloudflare::new(account).map_err(|e| {
                    Failure::new(Code::Usage, chain(&e)).hint("look at `api` in `[eks.coder.dns]`")
                })?)
            }
        };
        accounts.insert(NAMES.to_owned(), provider);
    }
    causeway_dns::register(registry, accounts);
    Ok(())
}
