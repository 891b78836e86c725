//! Whether DNS says what was applied: the zone's own servers, and resolvers of choice.

use crate::{
    ask::{AskError, Said, ask, random_label},
    config::VerifyConfig,
    wanted::at_address,
};
use causeway_core::journal::{Phase, State};
use causeway_dns::{
    Class, Record,
    record::{Kind, normal, text_of},
};
use futures::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

/// The port of DNS.
const PORT: u16 = 53;

/// What one name has to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// The name; of a wildcard, with its star.
    pub name: String,
    /// The zone that it is in.
    pub zone: String,
    /// The values by type. A type without values: any will do, as Cloudflare stands in front, or answers for a name that it
    /// leads to itself.
    pub values: BTreeMap<String, BTreeSet<String>>,
}

/// A server that is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// What people call it.
    pub name: String,
    /// Where it is.
    pub at: SocketAddr,
    /// Whether it is one of the zone's own: what it says is not kept from before.
    pub authoritative: bool,
}

/// What one server says of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checked {
    /// The name.
    pub name: String,
    /// The server.
    pub server: String,
    /// Whether the server is one of the zone's own.
    pub authoritative: bool,
    /// Whether it says what it should.
    pub right: bool,
    /// What it says, where that is not right.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub says: BTreeSet<String>,
    /// What it should say.
    pub should: BTreeSet<String>,
    /// For how many seconds it may go on to say so. Not longer than that has to be waited.
    pub for_seconds: u32,
    /// Why it said nothing at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `192.0.2.53`, or with a port of its own.
pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    let alone = || text.parse::<IpAddr>().ok().map(|ip| (ip, PORT).into());
    text.parse().ok().or_else(alone)
}

/// What the records that were applied have to say.
pub fn expected(state: &State) -> Vec<Expected> {
    let records = state.records.iter().filter(|(_, record)| record.phase == Phase::Ready);
    records
        .filter_map(|(address, record)| {
            let (name, class) = at_address(&address.0)?;
            let spec: Record = serde_json::from_value(record.request.spec.as_json().clone()).ok()?;
            let zone = record.request.place.label();
            let said = spec.values.get().ok()?;
            let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            let any = spec.proxied == Some(true);
            for value in &said {
                let kind = match (class, value.parse::<IpAddr>()) {
                    (Class::Address, Ok(IpAddr::V4(_))) => Kind::A,
                    (Class::Address, Ok(IpAddr::V6(_))) => Kind::Aaaa,
                    // At the zone's own name there is no CNAME: the provider answers with where it leads.
                    (Class::Address, Err(_)) if any || name.as_str() == zone => Kind::A,
                    (Class::Address, Err(_)) => Kind::Cname,
                    (Class::Txt, _) => Kind::Txt,
                    (Class::Mx, _) => Kind::Mx,
                    (Class::Ns, _) => Kind::Ns,
                    (Class::Srv, _) => Kind::Srv,
                    (Class::Caa, _) => Kind::Caa,
                };
                let any = any || (kind == Kind::A && value.parse::<IpAddr>().is_err());
                let set = values.entry(kind.as_str().to_owned()).or_default();
                if !any {
                    set.insert(plain(&kind, value)?);
                }
            }
            Some(Expected { name: name.to_string(), zone, values })
        })
        .collect()
}

/// A value as a server says it.
fn plain(kind: &Kind, value: &str) -> Option<String> {
    let said = normal(kind, value).ok()?;
    match kind {
        Kind::Txt => String::from_utf8(text_of(&said).ok()?).ok(),
        // As it is in normal form: names without their dot, and a dot alone where there is none.
        _ => Some(said),
    }
}

/// The servers to ask about `zone`: those of `config`, or else the zone's own as a resolver tells them; and the resolvers.
///
/// # Errors
/// When the zone's own servers cannot be found.
pub async fn servers(config: &VerifyConfig, zone: &str) -> Result<Vec<Server>, AskError> {
    let resolvers: Vec<SocketAddr> = match config.resolvers.as_slice() {
        [] => system().await,
        some => some.iter().filter_map(|text| address(text)).collect(),
    };
    let mut out = vec![];
    for (name, at) in config.servers.iter().filter_map(|text| Some((text, address(text)?))) {
        out.push(Server { name: name.clone(), at, authoritative: true });
    }
    if out.is_empty() {
        let mut last = AskError::Silent;
        for resolver in &resolvers {
            match ask(*resolver, zone, &Kind::Ns, true).await {
                Ok(said) => {
                    for name in said.values {
                        let found =
                            tokio::net::lookup_host((name.as_str(), PORT)).await.into_iter().flatten();
                        out.extend(found.take(1).map(|at| Server {
                            name: name.clone(),
                            at,
                            authoritative: true,
                        }));
                    }
                    break;
                }
                Err(e) => last = e,
            }
        }
        if out.is_empty() {
            return Err(last);
        }
    }
    let resolvers = resolvers.iter().filter(|_| !config.resolvers.is_empty());
    out.extend(resolvers.map(|at| Server { name: at.ip().to_string(), at: *at, authoritative: false }));
    Ok(out)
}

/// The resolvers of this machine.
async fn system() -> Vec<SocketAddr> {
    let text = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
    let words = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    words.filter_map(|word| address(word.trim())).collect()
}

/// Asks each of `servers` for each of `expected`.
pub async fn check(expected: &[Expected], servers: &[Server]) -> Vec<Checked> {
    let asked = expected.iter().flat_map(|e| servers.iter().map(move |server| one(e, server)));
    join_all(asked).await
}

/// The name to ask for: of a wildcard, one with a label that nobody has.
pub(crate) fn asked(name: &str) -> String {
    match name.strip_prefix("*.") {
        Some(rest) => format!("{}.{rest}", random_label()),
        None => name.to_owned(),
    }
}

async fn one(expected: &Expected, server: &Server) -> Checked {
    let name = asked(&expected.name);
    let mut checked = Checked {
        name: expected.name.clone(),
        server: server.name.clone(),
        authoritative: server.authoritative,
        right: true,
        says: BTreeSet::new(),
        should: expected.values.values().flatten().cloned().collect(),
        for_seconds: 0,
        error: None,
    };
    for (word, values) in &expected.values {
        match ask(server.at, &name, &Kind::of(word), !server.authoritative).await {
            Ok(Said { values: said, ttl }) => {
                let right = match word.as_str() {
                    _ if values.is_empty() => !said.is_empty(),
                    // Others may have texts at the same name.
                    "TXT" => said.is_superset(values),
                    _ => said == *values,
                };
                if !right {
                    checked.right = false;
                    checked.says.extend(said);
                    checked.for_seconds = checked.for_seconds.max(if server.authoritative { 0 } else { ttl });
                }
            }
            Err(error) => {
                checked.right = false;
                checked.error = Some(error.to_string());
            }
        }
    }
    checked
}
