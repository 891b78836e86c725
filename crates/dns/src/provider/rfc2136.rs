//! Any server with dynamic updates: BIND, Knot, PowerDNS. <https://www.rfc-editor.org/rfc/rfc2136>
//!
//! A zone is listed by a transfer (AXFR, RFC 5936), and changed by one update, all of it or nothing. Each set is only changed
//! from what was listed: the update says so, and the server looks.

mod exchange;
mod wire;

use super::{Change, Limits, Provider, SetChange, TtlRule, Weight};
use crate::{
    error::ProviderError,
    name::Name,
    record::{Entry, Kind},
    zone::Zone,
};
pub use exchange::{Algorithm, Key};
use exchange::{Exchange, said};
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use wire::{ANY, AXFR, Message, NONE, QUERY, Question, Record, SOA};

/// The characters of names and values that go into one message. It has at most 65,535 octets, and each record some
/// more than its name and value.
const CHARACTERS: usize = 30_000;

/// The records of a message: enough for any run, and far from what a message holds.
const RECORDS: usize = 500;

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Account {
    /// `host:port`; the port of DNS is 53.
    pub server: String,
    /// What messages are signed with. `None`: they are not, and the server goes by addresses.
    pub key: Option<Key>,
    /// The zones that it may transfer and update. There is no way to ask for them.
    pub zones: Vec<Name>,
}

/// A server with dynamic updates.
pub struct Rfc2136 {
    exchange: Exchange,
    zones: Vec<Zone>,
    limits: Limits,
}

impl Rfc2136 {
    /// Speaks as `account` says. Nothing is called yet.
    ///
    /// # Errors
    /// When the key is none.
    pub fn new(account: Account) -> Result<Self, ProviderError> {
        let zones = account.zones.into_iter().map(|name| Zone { id: name.to_string(), name }).collect();
        let limits = Limits {
            chunk: Weight { operations: RECORDS, characters: CHARACTERS },
            ttl: TtlRule { automatic: None, min: 1, max: 604_800, usual: 300 },
            proxies: false,
            comment: None,
            labels: false,
            aliases: false,
            flattens: false,
        };
        Ok(Rfc2136 { exchange: Exchange::new(account.server, account.key.as_ref())?, zones, limits })
    }
}

const LIST: &str = "dns:AXFR";
const UPDATE: &str = "dns:UPDATE";

fn unwritable(call: &'static str) -> impl Fn(wire::Unwritable) -> ProviderError {
    move |why| ProviderError::Refused { call, words: why.to_string() }
}

/// A record as it was transferred.
fn entry(record: &Record) -> Entry {
    let kind = Kind::of(&wire::word(record.kind));
    let value = wire::value(&kind, &record.data);
    Entry {
        is_opaque: value.is_none(),
        handle: hex::encode(&record.data),
        ..Entry::new(
            Name::as_listed(&record.name),
            kind,
            value.unwrap_or_else(|| hex::encode(&record.data)),
            record.ttl,
        )
    }
}

/// What an update is made of, in the order in which the server goes through it.
#[derive(Default)]
struct Update {
    prerequisites: Vec<Record>,
    removals: Vec<Record>,
    additions: Vec<Record>,
}

impl Update {
    fn add(&mut self, set: &SetChange, touched: &BTreeSet<(&Name, &str)>) -> Result<(), wire::Unwritable> {
        let kind = wire::number(&set.word)?;
        let of_class = |class, kind, ttl, data| Record { name: set.name.to_string(), kind, class, ttl, data };
        if set.before.is_empty() {
            self.prerequisites.push(of_class(NONE, kind, 0, vec![]));
        } else {
            for entry in &set.before {
                self.prerequisites.push(of_class(wire::IN, kind, 0, wire::listed(entry)?));
            }
            self.removals.push(of_class(ANY, kind, 0, vec![]));
        }
        // A server passes over a CNAME beside others, and others beside a CNAME, and says nothing (RFC 2136, 3.4.2.2).
        let others: &[&str] = match set.word.as_str() {
            _ if set.after.is_empty() => &[],
            "CNAME" => &["A", "AAAA", "TXT", "MX", "NS", "SRV", "CAA"],
            _ => &["CNAME"],
        };
        for word in others.iter().filter(|word| !touched.contains(&(&set.name, **word))) {
            self.prerequisites.push(of_class(NONE, wire::number(word)?, 0, vec![]));
        }
        let ttl = set.after.iter().map(|e| e.ttl).min().unwrap_or_default();
        for entry in &set.after {
            self.additions.push(of_class(wire::IN, kind, ttl, wire::data(entry)?));
        }
        Ok(())
    }
}

impl Provider for Rfc2136 {
    fn name(&self) -> &'static str {
        "the DNS server"
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn zones(&self) -> BoxFuture<'_, Result<Vec<Zone>, ProviderError>> {
        Box::pin(async { Ok(self.zones.clone()) })
    }

    fn list<'a>(&'a self, zone: &'a Zone) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>> {
        Box::pin(async move {
            let question = Question { operation: QUERY, name: zone.name.as_str(), kind: AXFR };
            let message = Message::of(&question, &[], &[]).map_err(unwritable(LIST))?;
            let mut answer = self.exchange.send(LIST, message).await?;
            let (mut entries, mut ends) = (vec![], 0);
            while ends < 2 {
                let part = answer.next().await?;
                said(LIST, &part)?;
                if part.answers.is_empty() {
                    let words = "the server transfers nothing of the zone".to_owned();
                    return Err(ProviderError::Server { call: LIST, words });
                }
                for record in &part.answers {
                    if record.kind == SOA {
                        ends += 1;
                    }
                    // A transfer begins and ends with the SOA.
                    if ends < 2 {
                        entries.push(entry(record));
                    }
                }
            }
            answer.is_whole()?;
            Ok(entries)
        })
    }

    fn weigh(&self, change: &Change) -> Weight {
        let entries = || change.sets.iter().flat_map(|set| set.before.iter().chain(&set.after));
        let characters = entries().map(|e| e.name.as_str().len() + e.value.len() + 16).sum();
        Weight { operations: entries().count() + change.sets.len(), characters }
    }

    fn change<'a>(
        &'a self,
        zone: &'a Zone,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>> {
        Box::pin(async move {
            let sets = || changes.iter().flat_map(|change| &change.sets);
            let touched: BTreeSet<(&Name, &str)> = sets().map(|s| (&s.name, s.word.as_str())).collect();
            let mut update = Update::default();
            for set in sets() {
                update.add(set, &touched).map_err(unwritable(UPDATE))?;
            }
            let question = Question { operation: wire::UPDATE, name: zone.name.as_str(), kind: SOA };
            let updates: Vec<Record> = update.removals.into_iter().chain(update.additions).collect();
            let message =
                Message::of(&question, &update.prerequisites, &updates).map_err(unwritable(UPDATE))?;
            let mut answer = self.exchange.send(UPDATE, message).await?;
            said(UPDATE, &answer.next().await?)?;
            answer.is_whole()?;
            // Handles are how the server writes the values, which only it knows.
            let now = sets().flat_map(|set| &set.after);
            Ok(now.map(|entry| Entry { handle: String::new(), ..entry.clone() }).collect())
        })
    }
}
