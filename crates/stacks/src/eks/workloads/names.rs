//! Where the names of Coder, its proxies and LiteLLM lead: to the load balancers that their Services get.

use super::{Wanted, config::Dns};
use crate::{
    config::Problem,
    dns::{DnsAccount, DnsProvider, not_of_route53},
    eks::config::Eks,
    legal::host,
};
use causeway_core::{Stack, Value};
use causeway_dns::Name;

/// Adds a record for each of `names`, which leads to `target`.
pub(super) fn lead<'n>(
    stack: &mut Stack,
    wanted: &Wanted<'_>,
    names: impl IntoIterator<Item = (&'static str, &'n str)>,
    target: &Value<String>,
) {
    let Some(account) = wanted.coder.dns_account() else { return };
    stack.scope("dns", |stack| {
        for (at, name) in names {
            account.lead(stack, at, name.into(), target, None);
        }
    });
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

/// What cannot work about `dns`, which is `account` with all that is said elsewhere.
pub(super) fn problems(dns: &Dns, account: &DnsAccount<'_>, config: &Eks, out: &mut Vec<Problem>) {
    let is_route53 = dns.provider == DnsProvider::Route53;
    if let Ok(zone) = Name::parse(&dns.zone) {
        for (place, name) in names(config) {
            let own = Name::parse(name).is_ok_and(|name| name == zone);
            if !account.has(name) {
                let message = format!("`{name}` is not in the zone `{zone}`");
                let help = "choose a name in it, or remove `[eks.coder.dns]` and point the names yourself";
                out.push(Problem::at(&place, message, help));
            } else if own && is_route53 {
                let message = format!("`{name}` is the zone itself, which cannot lead to another name");
                out.push(Problem::at(&place, message, "choose a name below it; Cloudflare can do that"));
            }
        }
    }
    out.extend(account.problems());
    if is_route53 {
        let keys = [("token", dns.token.is_some()), ("api", dns.api.is_some())];
        out.extend(not_of_route53(account.table, keys));
    }
}
