//! A provider in memory, for tests: it keeps the documented rules of real ones, counts calls, and fails when it is told
//! to.

use super::{Change, Limits, Provider, TtlRule, Weight};
use crate::{
    error::ProviderError,
    name::Name,
    record::{Entry, Kind},
    zone::Zone,
};
use futures::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How it sees that somebody else was quicker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As Route 53 and RFC 2136: a set is changed only from what it was.
    Sets,
    /// As Cloudflare: what is changed or removed must still be there, and what is new must go with the rest.
    Records,
}

/// Where a call is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before it has an effect.
    Before,
    /// After it had its effect: the answer is lost.
    After,
    /// Before it has an effect, and the caller never hears of it: whoever waits is killed meanwhile.
    DieBefore,
    /// As [`Cut::DieBefore`], after it had its effect.
    DieAfter,
}

/// A provider with one zone.
pub struct Memory {
    zone: Zone,
    manner: Manner,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<u64, Entry>,
    next: u64,
    lists: usize,
    changes: usize,
    cut: BTreeMap<usize, Cut>,
    refused: BTreeSet<Name>,
}

impl Memory {
    /// An empty zone called `zone`, of which a call may change `most` records.
    ///
    /// # Panics
    /// If `zone` is no name.
    pub fn new(zone: &str, manner: Manner, most: usize) -> Self {
        let name = Name::parse(zone).expect("a test names a zone");
        let limits = Limits {
            chunk: Weight { operations: most, characters: usize::MAX },
            ttl: TtlRule { automatic: Some(1), min: 60, max: 86_400, usual: 300 },
            proxies: true,
            comment: Some(100),
            labels: false,
            aliases: false,
            flattens: manner == Manner::Records,
        };
        Memory { zone: Zone { name, id: "z1".into() }, manner, limits, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record as somebody else would.
    pub fn put(&self, name: &str, kind: Kind, value: &str) {
        let value = crate::record::normal(&kind, value).unwrap_or_else(|_| value.to_owned());
        let mut entry = Entry::new(Name::as_listed(name), kind, value, 300);
        entry.proxied = entry.kind.is_proxiable().then_some(false);
        self.state().add(entry);
    }

    /// Removes records as somebody else would.
    pub fn remove(&self, name: &str, kind: &Kind) {
        self.state().entries.retain(|_, e| e.name.as_str() != name || e.kind != *kind);
    }

    /// All records, in the order in which they were made.
    pub fn entries(&self) -> Vec<Entry> {
        self.state().entries.values().cloned().collect()
    }

    /// How often it was listed, and how often changed.
    pub fn calls(&self) -> (usize, usize) {
        let state = self.state();
        (state.lists, state.changes)
    }

    /// Cuts the change off that comes after `calls` others.
    pub fn cut(&self, calls: usize, cut: Cut) {
        self.state().cut.insert(calls, cut);
    }

    /// Takes no record called `name`, for a reason of its own.
    pub fn refuse(&self, name: &str) {
        self.state().refused.insert(Name::as_listed(name));
    }

    fn weight(change: &Change) -> usize {
        change.sets.iter().map(|s| s.after.len() + s.before.len()).sum()
    }
}

impl State {
    fn add(&mut self, mut entry: Entry) -> Entry {
        self.next += 1;
        entry.handle = self.next.to_string();
        self.entries.insert(self.next, entry.clone());
        entry
    }

    fn set(&self, name: &Name, word: &str) -> Vec<Entry> {
        self.entries.values().filter(|e| e.name == *name && e.kind.as_str() == word).cloned().collect()
    }
}

const CALL: &str = "memory:Change";

fn refused(words: String) -> ProviderError {
    ProviderError::Refused { call: CALL, words }
}

fn conflict(words: &str) -> ProviderError {
    ProviderError::Conflict { call: CALL, words: words.to_owned() }
}

impl Provider for Memory {
    fn name(&self) -> &'static str {
        "Memory"
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn zones(&self) -> BoxFuture<'_, Result<Vec<Zone>, ProviderError>> {
        Box::pin(async { Ok(vec![self.zone.clone()]) })
    }

    fn list<'a>(&'a self, _: &'a Zone) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>> {
        Box::pin(async {
            let mut state = self.state();
            state.lists += 1;
            Ok(state.entries.values().cloned().collect())
        })
    }

    fn weigh(&self, change: &Change) -> Weight {
        Weight { operations: Memory::weight(change), characters: 0 }
    }

    fn change<'a>(
        &'a self,
        _: &'a Zone,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>> {
        Box::pin(async move {
            let (cut, answer) = self.changed(changes);
            match cut {
                Some(Cut::DieBefore | Cut::DieAfter) => std::future::pending().await,
                _ => answer,
            }
        })
    }
}

impl Memory {
    fn changed(&self, changes: &[Change]) -> (Option<Cut>, Result<Vec<Entry>, ProviderError>) {
        let mut state = self.state();
        let cut = state.cut.get(&state.changes).copied();
        state.changes += 1;
        let lost = Err(ProviderError::Unreached { call: CALL, source: "the connection was cut off".into() });
        if matches!(cut, Some(Cut::Before | Cut::DieBefore)) {
            return (cut, lost);
        }
        let answer = self.made_all(&mut state, changes);
        (cut, if cut == Some(Cut::After) && answer.is_ok() { lost } else { answer })
    }

    fn made_all(&self, state: &mut State, changes: &[Change]) -> Result<Vec<Entry>, ProviderError> {
        let weight: usize = changes.iter().map(Memory::weight).sum();
        if weight > self.limits.chunk.operations {
            return Err(refused(format!("{weight} records are too many for one call")));
        }
        let mut next = State { entries: state.entries.clone(), next: state.next, ..State::default() };
        let mut now = vec![];
        for change in changes {
            now.extend(self.made(state, &mut next, change)?);
        }
        check(&next, &self.limits)?;
        (state.entries, state.next) = (next.entries, next.next);
        Ok(now)
    }

    fn made(&self, was: &State, next: &mut State, change: &Change) -> Result<Vec<Entry>, ProviderError> {
        let mut now = vec![];
        for set in &change.sets {
            if was.refused.contains(&set.name) {
                return Err(refused(format!("`{}` is not to our taste", set.name)));
            }
            let there = next.set(&set.name, &set.word);
            let same = there.len() == set.before.len() && there.iter().all(|e| set.before.contains(e));
            if self.manner == Manner::Sets && !same {
                return Err(conflict("the set is another"));
            }
            for gone in &set.before {
                if set.after.contains(gone) {
                    continue;
                }
                let id = gone.handle.parse().unwrap_or_default();
                if next.entries.remove(&id).is_none() {
                    return Err(conflict("81044: Record does not exist."));
                }
            }
            for entry in &set.after {
                if set.before.contains(entry) {
                    now.push(entry.clone());
                } else {
                    let mut entry = entry.clone();
                    entry.proxied = entry.proxied.or(Some(false)).filter(|_| entry.kind.is_proxiable());
                    now.push(next.add(entry));
                }
            }
        }
        Ok(now)
    }
}

/// What Cloudflare documents: <https://developers.cloudflare.com/dns/manage-dns-records/>.
fn check(state: &State, limits: &Limits) -> Result<(), ProviderError> {
    let mut at: BTreeMap<&Name, Vec<&Entry>> = BTreeMap::new();
    state.entries.values().for_each(|e| at.entry(&e.name).or_default().push(e));
    for (name, entries) in at {
        let cnames = entries.iter().filter(|e| e.kind == Kind::Cname).count();
        let beside = entries.iter().filter(|e| !limits.flattens || e.kind.is_proxiable()).count();
        if cnames > 0 && beside > 1 {
            let why = "81053: An A, AAAA, or CNAME record with that host already exists.";
            return Err(conflict(&format!("{why} ({name})")));
        }
        for (i, entry) in entries.iter().enumerate() {
            if entries[..i].iter().any(|e| e.kind == entry.kind && e.value == entry.value) {
                return Err(conflict(&format!("81058: An identical record already exists. ({name})")));
            }
            let automatic = limits.ttl.automatic == Some(entry.ttl);
            if !automatic && !(limits.ttl.min..=limits.ttl.max).contains(&entry.ttl) {
                return Err(refused(format!("9021: Invalid TTL. ({name})")));
            }
        }
    }
    Ok(())
}
