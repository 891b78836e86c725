//! How long things took, by kind, act and place: learned from the journal, from which every new entry adds.
//!
//! Only what one run began and finished counts. What a crash cut in two, or what failed and was tried again, says
//! nothing about how long such a thing takes.

use crate::{
    journal::{Act, Entry, Stamped},
    value::Address,
};
use std::collections::{BTreeMap, VecDeque};

/// How many durations are kept of each: old ones say less than new ones.
const KEEP: usize = 30;

/// So many durations from one place, and those of other places are not asked.
const ENOUGH: usize = 5;

/// The durations that a journal tells of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Durations {
    seen: BTreeMap<(String, Act), BTreeMap<String, VecDeque<u64>>>,
    open: BTreeMap<(Address, String), Open>,
}

/// An act that was begun.
#[derive(Clone, Debug, PartialEq)]
struct Open {
    kind: String,
    act: Act,
    place: String,
    at: jiff::Timestamp,
    /// It was begun once, and in the run that is at work.
    whole: bool,
}

impl Durations {
    /// Learns from one entry.
    pub(crate) fn push(&mut self, stamped: &Stamped) {
        match &stamped.entry {
            Entry::Plan { .. } => self.open.values_mut().for_each(|open| open.whole = false),
            Entry::Begin { address, instance, act, request } => {
                let key = (address.clone(), instance.clone());
                let open = Open {
                    kind: request.kind.clone(),
                    act: *act,
                    place: request.place.label(),
                    at: stamped.at,
                    whole: !self.open.contains_key(&key),
                };
                self.open.insert(key, open);
            }
            Entry::Done { address, instance, took_ms, .. } => {
                if let Some(open) = self.open.remove(&(address.clone(), instance.clone())) {
                    self.learn(open, *took_ms);
                }
            }
            Entry::Gone { address, instance } => {
                if let Some(open) = self.open.remove(&(address.clone(), instance.clone()))
                    && open.act == Act::Delete
                {
                    let took = stamped.at.duration_since(open.at).as_millis();
                    self.learn(open, u64::try_from(took).unwrap_or_default());
                }
            }
            Entry::Failed { address, instance, .. } => {
                if let Some(open) = self.open.get_mut(&(address.clone(), instance.clone())) {
                    open.whole = false;
                }
            }
            _ => {}
        }
    }

    /// Zero is what only the journal was told.
    fn learn(&mut self, open: Open, took_ms: u64) {
        if !open.whole || took_ms == 0 {
            return;
        }
        let places = self.seen.entry((open.kind, open.act)).or_default();
        let seen = places.entry(open.place).or_default();
        seen.push_back(took_ms);
        if seen.len() > KEEP {
            seen.pop_front();
        }
    }

    /// In milliseconds, oldest first: of `place`, and where that has too few, of all places.
    pub fn of(&self, kind: &str, act: Act, place: &str) -> Vec<u64> {
        let Some(places) = self.seen.get(&(kind.to_owned(), act)) else { return vec![] };
        match places.get(place) {
            Some(here) if here.len() >= ENOUGH || places.len() == 1 => here.iter().copied().collect(),
            _ => places.values().flatten().copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64, entry: Entry) -> Stamped {
        Stamped { seq: 0, at: jiff::Timestamp::from_second(second).unwrap(), entry }
    }

    fn begin(act: Act, region: &str) -> Entry {
        let place = json!({ "provider": "sim", "spec": { "region": region } });
        let request = json!({ "kind": "k", "place": place, "spec": {}, "after": [], "protect": false });
        let request = serde_json::from_value(request).unwrap();
        Entry::Begin { address: "a".into(), instance: "i".into(), act, request }
    }

    fn done(took_ms: u64) -> Entry {
        Entry::Done { address: "a".into(), instance: "i".into(), outputs: json!(null), took_ms }
    }

    fn after(entries: &[Stamped]) -> Durations {
        let mut durations = Durations::default();
        entries.iter().for_each(|e| durations.push(e));
        durations
    }

    #[test]
    fn acts_and_places_are_told_apart() {
        let gone = Entry::Gone { address: "a".into(), instance: "i".into() };
        let all = [
            at(0, begin(Act::Create, "one")),
            at(5, done(4_900)),
            at(6, begin(Act::Adopt, "one")),
            at(7, done(800)),
            at(8, begin(Act::Delete, "one")),
            at(11, gone),
        ];
        let durations = after(&all);
        assert_eq!(durations.of("k", Act::Create, "one"), [4_900]);
        assert_eq!(durations.of("k", Act::Adopt, "one"), [800]);
        assert_eq!(durations.of("k", Act::Delete, "one"), [3_000]);
        assert_eq!(durations.of("k", Act::Create, "two"), [4_900], "better than nothing");
    }

    #[test]
    fn enough_from_one_place_is_not_mixed() {
        let mut all = vec![at(0, begin(Act::Create, "far")), at(0, done(90_000))];
        for _ in 0..ENOUGH {
            all.extend([at(0, begin(Act::Create, "near")), at(0, done(1_000))]);
        }
        assert_eq!(after(&all).of("k", Act::Create, "near"), [1_000; ENOUGH]);
        assert_eq!(after(&all[..6]).of("k", Act::Create, "near").len(), 3);
    }

    #[test]
    fn what_was_cut_in_two_says_nothing() {
        let plan = Entry::Plan { digest: String::new(), actor: String::new() };
        let failed = Entry::Failed { address: "a".into(), instance: "i".into(), error: String::new() };
        let cut = after(&[at(0, begin(Act::Create, "one")), at(9, plan), at(9, done(10))]);
        let again =
            after(&[at(0, begin(Act::Create, "one")), at(1, begin(Act::Create, "one")), at(9, done(10))]);
        let failed = after(&[at(0, begin(Act::Create, "one")), at(1, failed), at(9, done(10))]);
        for durations in [cut, again, failed] {
            assert!(durations.of("k", Act::Create, "one").is_empty());
        }
    }

    #[test]
    fn only_the_last_ones_count() {
        let all: Vec<Stamped> =
            (1..=50).flat_map(|n| [at(0, begin(Act::Create, "one")), at(0, done(n))]).collect();
        assert_eq!(after(&all).of("k", Act::Create, "one"), (21..=50).collect::<Vec<u64>>());
    }
}
