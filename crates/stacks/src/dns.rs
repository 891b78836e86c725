//! Who keeps the zone that names are in: what `[ecs.dns]`, `[docs.dns]` and `[eks.coder.dns]` have in common.

use crate::config::{Problem, SecretSource};
use causeway_aws::{
    id::HostedZoneId,
    route53::{ExistingHostedZone, HostedZone},
};
use causeway_core::{Stack, Value};
use causeway_dns::{DnsZone, Name, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who keeps a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsProvider {
    /// Cloudflare.
    Cloudflare,
    /// Route 53, in the account that is deployed to.
    #[default]
    Route53,
}

/// What the journal calls the accounts of `[ecs.dns]` and `[docs.dns]`: those that are elsewhere than in Route 53.
pub const ACCOUNTS: [&str; 2] = ["ecs", "docs"];

/// `[ecs.dns]` and `[docs.dns]`: names and their certificate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Who keeps the zone. Route 53 if left out.
    pub provider: DnsProvider,
    /// The zone that holds all names, like `example.com`. Without it DNS is kept elsewhere, and `certificate_arn` is
    /// needed.
    pub zone: Option<String>,
    /// Route 53: makes the zone. Its name servers must then be entered where the domain is registered before a certificate
    /// can be issued, so it is meant for delegated subdomains and for trying things out.
    pub create_zone: bool,
    /// An ACM certificate that is there already and covers all names: for a site in us-east-1, for Coder in the region of
    /// the stack. One is requested and validated if left out.
    pub certificate_arn: Option<String>,
    /// Cloudflare: what it calls the zone. Looked up by its name if left out.
    pub id: Option<String>,
    /// Cloudflare: a token that may read zones and edit DNS.
    pub token: Option<SecretSource>,
    /// Cloudflare: for how many seconds resolvers may keep an answer. What Cloudflare usually has if left out.
    pub ttl: Option<u32>,
    /// Cloudflare: where the API is, for tests and proxies.
    pub api: Option<String>,
}

/// A zone at a provider, as a table of the file says it. Its records are [`causeway_dns::Record`]s, each with the mark of
/// its owner.
#[derive(Clone, Copy, Debug)]
pub struct DnsAccount<'a> {
    /// The table, like `docs.dns`.
    pub table: &'static str,
    /// What the journal calls the account.
    pub name: &'static str,
    /// Who keeps the zone.
    pub provider: DnsProvider,
    /// The zone.
    pub zone: &'a str,
    /// What the provider calls the zone.
    pub id: Option<&'a str>,
    /// What lets us in at Cloudflare.
    pub token: Option<&'a SecretSource>,
    /// Seconds.
    pub ttl: Option<u32>,
    /// Where the API of Cloudflare is, if not where it always is.
    pub api: Option<&'a str>,
}

impl DnsAccount<'_> {
    /// Has `name` lead to `target`; answers with the name, once it does. `proxied`: whether Cloudflare may stand in front;
    /// `None` leaves that to people.
    pub(crate) fn lead(
        &self,
        stack: &mut Stack,
        at: &str,
        name: Value<String>,
        target: &Value<String>,
        proxied: Option<bool>,
    ) -> Value<String> {
        let zone = DnsZone {
            name: self.zone.to_owned(),
            account: self.name.to_owned(),
            id: self.id.map(str::to_owned),
        };
        // What is no name was told when the file was read.
        let Ok(record) = Record::address(name.clone(), [target.clone()]) else { return name };
        let record = Record { ttl: self.ttl, proxied, ..record };
        stack.at(&zone, |stack| stack.add(at, record).name.clone())
    }

    /// Whether `name` is in the zone.
    pub(crate) fn has(&self, name: &str) -> bool {
        let zone = Name::parse(self.zone);
        zone.is_ok_and(|zone| Name::parse(name).is_ok_and(|name| name.is_in(&zone)))
    }

    /// What cannot work about it.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut out = vec![];
        if let Err(error) = Name::parse(self.zone) {
            let at = format!("{}.zone", self.table);
            out.push(Problem::at(&at, error.to_string(), "write the name of the zone"));
        }
        match (self.provider, self.token) {
            (DnsProvider::Cloudflare, None) => {
                let help = "`token = \"env:CLOUDFLARE_API_TOKEN\"`, of one that may read zones and edit DNS";
                out.push(Problem::at(self.table, "there is no token for Cloudflare", help));
            }
            (DnsProvider::Cloudflare, Some(SecretSource::Aws { .. })) => {
                let message = "the token for Cloudflare has to be where this program can read it";
                out.push(Problem::at(self.table, message, "give `token` as `env:NAME` or `file:PATH`"));
            }
            _ => {}
        }
        out
    }
}

/// Says of each of `keys` that is written in `table` that a zone at Route 53 has no such thing.
pub(crate) fn not_of_route53<'k>(
    table: &str,
    keys: impl IntoIterator<Item = (&'k str, bool)>,
) -> impl Iterator<Item = Problem> {
    let written = keys.into_iter().filter(|(_, is_written)| *is_written);
    written.map(move |(key, _)| {
        let help = "Route 53 is reached with the credentials of the deployment; take it out";
        Problem::at(&format!("{table}.{key}"), format!("a zone at Route 53 has no `{key}`"), help)
    })
}

/// Where the names of a stack are written.
pub(crate) enum Zone<'a> {
    /// Into a hosted zone, as record sets of ours.
    Route53(Value<HostedZoneId>),
    /// Into a zone elsewhere.
    Elsewhere(DnsAccount<'a>),
}

impl Dns {
    /// The zone at a provider other than Route 53. `table` is where this stands, and `name` what the journal calls the
    /// account.
    pub(crate) fn account(&self, table: &'static str, name: &'static str) -> Option<DnsAccount<'_>> {
        let zone = self.zone.as_deref().filter(|_| self.provider != DnsProvider::Route53)?;
        Some(DnsAccount {
            table,
            name,
            provider: self.provider,
            zone,
            id: self.id.as_deref(),
            token: self.token.as_ref(),
            ttl: self.ttl,
            api: self.api.as_deref(),
        })
    }

    /// The hosted zone, where the names are in Route 53. `servers` is the output that tells the name servers of one that is
    /// made.
    pub(crate) fn hosted_zone(&self, stack: &mut Stack, servers: &str) -> Option<Value<HostedZoneId>> {
        let name = self.zone.as_ref().filter(|_| self.provider == DnsProvider::Route53)?;
        if !self.create_zone {
            return Some(stack.add("zone", ExistingHostedZone::holding(name)).zone_id.clone());
        }
        let zone = stack.add("zone", HostedZone::public(name));
        stack.output(servers, &zone.name_servers);
        Some(zone.zone_id.clone())
    }

    /// What cannot work about it, but for the names that have to be in the zone.
    pub(crate) fn problems(&self, table: &'static str) -> Vec<Problem> {
        let mut out = vec![];
        let at = |key: &str| format!("{table}.{key}");
        if self.create_zone && self.zone.is_none() {
            let help = "name it: `zone = \"example.com\"`; or remove create_zone";
            out.push(Problem::at(&at("create_zone"), "there is no `zone` to create", help));
        }
        if self.provider == DnsProvider::Route53 {
            let keys = [
                ("id", self.id.is_some()),
                ("token", self.token.is_some()),
                ("ttl", self.ttl.is_some()),
                ("api", self.api.is_some()),
            ];
            out.extend(not_of_route53(table, keys));
            return out;
        }
        if self.create_zone && self.zone.is_some() {
            let help = "add the zone in Cloudflare's dashboard, and remove create_zone";
            out.push(Problem::at(&at("create_zone"), "only zones of Route 53 are made", help));
        }
        match self.account(table, "") {
            Some(account) => out.extend(account.problems()),
            // Without a certificate, either, that is what is told.
            None if self.certificate_arn.is_some() => {
                let help =
                    "name it: `zone = \"example.com\"`; or remove `provider`, and lead the names yourself";
                out.push(Problem::at(&at("provider"), "there is no `zone` that it would keep", help));
            }
            None => {}
        }
        out
    }
}
