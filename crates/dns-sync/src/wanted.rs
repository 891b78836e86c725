//! From what sources say to what is wanted. Pure.

use crate::{Config, moving::moving, source::Read};
use causeway_core::{Address, Stack, journal::State};
use causeway_dns::{Class, DnsZone, Name, Record};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The tag in the mark that names the source of a record.
pub const SOURCE: &str = "source";

/// Stands for the star of a wildcard in an address, where a star means anything.
const WILDCARD: &str = "_wildcard";

/// Where the records of `class` at `name` stand in the stack: their name, for addresses.
pub fn address_of(name: &Name, class: Class) -> Address {
    let name = match name.as_str().strip_prefix("*.") {
        Some(rest) => format!("{WILDCARD}.{rest}"),
        None => name.to_string(),
    };
    Address(if class == Class::Address { name } else { format!("{class}/{name}") })
}

/// The opposite of [`address_of`]. None where it is not one of ours.
pub fn at_address(address: &str) -> Option<(Name, Class)> {
    let (class, name) = match address.split_once('/') {
        None => (Class::Address, address),
        Some((word, name)) => {
            let classes = [Class::Txt, Class::Mx, Class::Ns, Class::Srv, Class::Caa];
            (classes.into_iter().find(|c| c.as_str() == word)?, name)
        }
    };
    let name = match name.strip_prefix(WILDCARD).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => format!("*.{rest}"),
        None => name.to_owned(),
    };
    Some((Name::parse(&name).ok()?, class))
}

/// What a record says, by its spec in a journal or a plan. Nothing where that is not known yet.
pub(crate) fn values(spec: &Json) -> BTreeSet<String> {
    let record = serde_json::from_value::<Record>(spec.clone());
    record.map_or_else(|_| BTreeSet::new(), |record| values_of(&record))
}

/// What `record` says, as far as it is known.
pub(crate) fn values_of(record: &Record) -> BTreeSet<String> {
    record.values.0.iter().filter_map(|value| value.get().ok().cloned()).collect()
}

/// Why nothing is done about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// Its source did not answer.
    SourceAway,
    /// Its source knows it, and not where it leads.
    Waiting,
    /// Reads of its source did not agree.
    Unsettled,
    /// Sources say different things.
    Contradiction,
    /// It is no name, or says what no record can.
    Invalid,
    /// It may not be touched: it is in none of the zones, or not among `names`.
    NotOurs,
    /// A guard leaves it as it is.
    Guard,
    /// Somebody else's record is in the way.
    Conflict,
    /// What it is to lead to does not answer for it.
    Silent,
    /// A planned move is on its way.
    Moving,
}

impl Because {
    /// Whether something is missing that another run may find.
    pub fn is_missing(self) -> bool {
        matches!(self, Because::SourceAway | Because::Waiting | Because::Unsettled | Because::Silent)
    }

    /// Whether it is as somebody wants it to be.
    pub fn is_fine(self) -> bool {
        matches!(self, Because::NotOurs | Because::Moving)
    }
}

/// A name that is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Left {
    /// The name, as it was written.
    pub name: String,
    /// What kind of reason.
    pub because: Because,
    /// The reason.
    pub why: String,
}

/// What a source said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Said {
    /// The source.
    pub source: String,
    /// How many names it said something of.
    pub names: usize,
    /// Why it said nothing, if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is wanted, and what is left as it is.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The records, each at its [address](address_of).
    pub stack: Stack,
    /// Addresses of which nothing is changed, whatever is there.
    pub held: BTreeSet<Address>,
    /// Names that are left as they are.
    pub left: Vec<Left>,
    /// What each source said.
    pub said: Vec<Said>,
}

/// The place of a zone: its account goes by its name.
pub fn place_of(config: &Config, zone: &str) -> DnsZone {
    let id = config.zones.get(zone).and_then(|z| z.id.clone());
    DnsZone { name: zone.to_owned(), account: zone.to_owned(), id }
}

/// The source in the tag of what the journal has.
fn recorded_source(record: &causeway_core::journal::Record) -> Option<&str> {
    record.request.spec.as_json().get("tags")?.get(SOURCE)?.as_str()
}

/// Puts together what `reads` say. `state` is what the journal has.
pub fn wanted(config: &Config, reads: &[Read], unsettled: &[Left], state: &State) -> Wanted {
    let mut records: BTreeMap<Address, (Record, String)> = BTreeMap::new();
    let mut held: BTreeSet<Address> = BTreeSet::new();
    let mut left: Vec<Left> = vec![];
    let mut hold = |name: &str, because: Because, why: String, held: &mut BTreeSet<Address>| {
        if let Ok(parsed) = Name::parse(name) {
            held.insert(address_of(&parsed, Class::Address));
        }
        left.push(Left { name: name.to_owned(), because, why });
    };
    for read in reads {
        let answer = match &read.answer {
            Ok(answer) => answer,
            Err(why) => {
                let recorded = state.records.iter().filter(|(_, r)| recorded_source(r) == Some(&read.label));
                let recorded: BTreeSet<Address> = recorded.map(|(address, _)| address.clone()).collect();
                for name in &read.names {
                    hold(
                        name,
                        Because::SourceAway,
                        format!("{} did not answer: {why}", read.label),
                        &mut held,
                    );
                }
                let named: Vec<Address> = read
                    .names
                    .iter()
                    .filter_map(|n| Some(address_of(&Name::parse(n).ok()?, Class::Address)))
                    .collect();
                for address in recorded.iter().filter(|a| !named.contains(a)) {
                    let name = at_address(&address.0).map_or(address.0.clone(), |(name, _)| name.to_string());
                    hold(
                        &name,
                        Because::SourceAway,
                        format!("{} did not answer: {why}", read.label),
                        &mut held,
                    );
                }
                held.extend(recorded);
                continue;
            }
        };
        for waiting in &answer.waiting {
            hold(&waiting.name, Because::Waiting, format!("{}: {}", read.label, waiting.why), &mut held);
        }
        for found in &answer.found {
            let says = |why: String| format!("{}: {}: {why}", read.label, found.by);
            let name = match Name::parse(&found.name) {
                Ok(name) => name,
                Err(e) => {
                    hold(&found.name, Because::Invalid, says(e.to_string()), &mut held);
                    continue;
                }
            };
            if config.zone_of(&name).is_none() || !config.allows(&name) {
                let why = if config.allows(&name) {
                    "it is in none of the zones"
                } else {
                    "it is not among `names`"
                };
                hold(&found.name, Because::NotOurs, says(why.into()), &mut held);
                continue;
            }
            let Ok(mut record) = Record::new(name.as_str(), found.class, found.values.iter().cloned()) else {
                continue;
            };
            record.ttl = found.ttl.or(config.defaults.ttl);
            let address_only = found.class == Class::Address;
            let proxied = found.proxied.or(config.defaults.proxied.filter(|_| address_only));
            // Elsewhere nobody could, and an annotation for Cloudflare says nothing.
            record.proxied = proxied.filter(|_| config.proxies(&name));
            record.tags.0.insert(SOURCE.into(), read.label.clone());
            let address = address_of(&name, found.class);
            let by = format!("{} ({})", read.label, found.by);
            match records.get(&address) {
                Some((other, _))
                    if other.values == record.values
                        && other.ttl == record.ttl
                        && other.proxied == record.proxied => {}
                Some((_, other)) => {
                    let why =
                        format!("{other} and {by} say different things of it; one of them must not name it");
                    hold(name.as_str(), Because::Contradiction, why, &mut held);
                    held.insert(address);
                }
                None => {
                    records.insert(address, (record, by));
                }
            }
        }
    }
    for one in unsettled {
        hold(&one.name, one.because, one.why.clone(), &mut held);
        // Of every class: an unsettled name is left alone altogether.
        held.extend(
            records.keys().filter(|a| at_address(&a.0).is_some_and(|(n, _)| n.as_str() == one.name)).cloned(),
        );
    }
    for (address, moving) in moving(state) {
        let to: Vec<&str> = moving.to.iter().map(String::as_str).collect();
        let why = format!("it is on its way to {}; `dns-sync move` goes on with that", to.join(", "));
        left.push(Left { name: moving.name, because: Because::Moving, why });
        held.insert(address);
    }
    for (address, _) in state.records.iter() {
        let ours = at_address(&address.0).filter(|(n, _)| config.zone_of(n).is_some() && config.allows(n));
        if ours.is_none() {
            held.insert(address.clone());
        }
    }
    left.sort();
    left.dedup();
    let mut stack = Stack::new(config.owner.clone());
    for (address, (record, _)) in records.into_iter().filter(|(address, _)| !held.contains(address)) {
        let zone = record.name.get().ok().and_then(|name| config.zone_of(&Name::parse(name).ok()?));
        let Some(zone) = zone else { continue };
        stack.at(&place_of(config, zone), |stack| stack.add(&address.0, record));
    }
    let said = reads.iter().map(|read| Said {
        source: read.label.clone(),
        names: read.answer.as_ref().map_or(0, |a| a.found.len() + a.waiting.len()),
        error: read.answer.as_ref().err().cloned(),
    });
    Wanted { stack, held, left, said: said.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_and_back() {
        for (name, class, address) in [
            ("ai.example.com", Class::Address, "ai.example.com"),
            ("*.ai.example.com", Class::Address, "_wildcard.ai.example.com"),
            ("example.com", Class::Mx, "mx/example.com"),
        ] {
            let name = Name::parse(name).unwrap();
            assert_eq!(address_of(&name, class).0, address);
            assert_eq!(at_address(address), Some((name, class)));
        }
        assert_eq!(at_address("network/vpc"), None);
    }

    #[test]
    fn what_a_record_says_is_found_in_its_spec() {
        let record = Record::new("ai.example.com", Class::Address, ["192.0.2.1", "192.0.2.2"]).unwrap();
        let spec = serde_json::to_value(record).unwrap();
        assert_eq!(values(&spec), ["192.0.2.1", "192.0.2.2"].map(str::to_owned).into());
    }
}
