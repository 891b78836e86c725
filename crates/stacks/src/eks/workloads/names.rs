//! Where the names of Coder, its proxies and LiteLLM lead: to the load balancers that their Services get.

use super::{Wanted, config::Dns};
use crate::{
    config::{Problem, SecretSource},
    eks::config::Eks,
    legal::host,
};
use causeway_core::{Stack, Value};
use causeway_dns::{DnsZone, Name, Record};

/// The account at a provider of DNS that has the zone of `[eks.coder.dns]`.
pub const NAMES: &str = "names";

/// Adds a record for each of `names`, which leads to `target`.
pub(super) fn lead<'n>(
    stack: &mut Stack,
    wanted: &Wanted<'_>,
    names: impl IntoIterator<Item = (&'static str, &'n str)>,
    target: &Value<String>,
) {
    let Some(dns) = &wanted.coder.dns else { return };
    let zone = DnsZone { name: dns.zone.clone(), account: NAMES.into(), id: dns.id.clone() };
    stack.at(&zone, |stack| {
        stack.scope("dns", |stack| {
            for (at, name) in names {
                // What is no name was told when the file was read.
                if let Ok(mut record) = Record::address(name, [target.clone()]) {
                    record.ttl = dns.ttl;
                    stack.add(at, record);
                }
            }
        });
    });
}

impl Dns {
    /// Whether `name` is in the zone.
    pub(super) fn has(&self, name: &str) -> bool {
        let zone = Name::parse(&self.zone);
        zone.is_ok_and(|zone| Name::parse(name).is_ok_and(|name| name.is_in(&zone)))
    }
}

/// The names that have to be in the zone, with where they stand in the file.
fn names(config: &Eks) -> Vec<(String, &str)> {
    let Some(coder) = &config.coder else { return vec![] };
    let proxies = config.regions.iter().filter_map(|(region, one)| Some((region, one.proxy.as_ref()?)));
    let proxies = proxies.map(|(region, proxy)| {
        (format!("eks.regions.{region}.proxy"), &proxy.access_url, proxy.wildcard_access_url.as_deref())
    });
    let own = ("eks.coder".to_owned(), &coder.access_url, coder.wildcard_access_url.as_deref());
    let mut out = vec![];
    for (at, url, wildcard) in std::iter::once(own).chain(proxies) {
        out.push((format!("{at}.access_url"), host(url)));
        out.extend(wildcard.map(|name| (format!("{at}.wildcard_access_url"), name)));
    }
    out
}

/// What cannot work about `dns`.
pub(super) fn problems(dns: &Dns, config: &Eks, out: &mut Vec<Problem>) {
    let at = |key: &str| format!("eks.coder.dns.{key}");
    match Name::parse(&dns.zone) {
        Err(error) => {
            out.push(Problem::at(&at("zone"), error.to_string(), "write the name of the zone"));
            return;
        }
        Ok(zone) => {
            for (place, name) in names(config) {
                let own = Name::parse(name).is_ok_and(|name| name == zone);
                if !dns.has(name) {
                    let message = format!("`{name}` is not in the zone `{zone}`");
                    let help =
                        "choose a name in it, or remove `[eks.coder.dns]` and point the names yourself";
                    out.push(Problem::at(&place, message, help));
                } else if own && !dns.is_cloudflare() {
                    let message = format!("`{name}` is the zone itself, which cannot lead to another name");
                    out.push(Problem::at(&place, message, "choose a name below it; Cloudflare can do that"));
                }
            }
        }
    }
    let token =
        dns.token.as_ref().or(config.coder.as_ref().and_then(|c| c.certificates.cloudflare_token.as_ref()));
    match token {
        None if dns.is_cloudflare() => {
            let help = "`token = \"env:CLOUDFLARE_API_TOKEN\"`, of one that may read zones and edit DNS";
            out.push(Problem::at("eks.coder.dns", "there is no token for Cloudflare", help));
        }
        Some(SecretSource::Aws { .. }) if dns.is_cloudflare() => {
            let message = "the token for Cloudflare has to be where this program can read it";
            out.push(Problem::at("eks.coder.dns", message, "give `token` as `env:NAME` or `file:PATH`"));
        }
        _ => {}
    }
    if !dns.is_cloudflare() {
        let others = [("token", dns.token.is_some()), ("api", dns.api.is_some())];
        for (key, _) in others.into_iter().filter(|(_, is)| *is) {
            let help = "Route 53 is reached with the credentials of the deployment; take it out";
            out.push(Problem::at(&at(key), format!("a zone at Route 53 has no `{key}`"), help));
        }
    }
}
