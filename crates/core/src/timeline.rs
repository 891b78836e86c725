//! When everything of a run happened, as its journal tells it. Pure.

use crate::{
    history::{Outcome, What},
    journal::{Act, Entry, Stamped},
    value::Address,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A run in time. What is only waited for leaves no trace in a journal, and is not in here.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Timeline {
    /// When it began, by its own clock.
    #[schemars(with = "String")]
    pub at: jiff::Timestamp,
    /// Who ran it, on which host.
    pub actor: String,
    /// The digest of its plan.
    pub digest: String,
    /// How long it took, up to its last entry, in milliseconds.
    pub took_ms: u64,
    /// What was done, in the order in which it was begun.
    pub bars: Vec<Bar>,
}

/// Something that was done, from when to when.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Bar {
    /// To which resource.
    pub address: Address,
    /// What.
    pub act: What,
    /// Since the run began.
    pub start_ms: u64,
    /// Since the run began; where it did not come to its end, the end of the run.
    pub end_ms: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether the end of the run waited for it.
    pub critical: bool,
}

/// Where a bar stands while entries are read.
struct Open {
    bar: usize,
    instance: String,
}

/// The last run of `entries`; none where there was none.
pub fn last(entries: &[Stamped]) -> Option<Timeline> {
    let first = entries.iter().rposition(|e| matches!(e.entry, Entry::Plan { .. }))?;
    let Entry::Plan { digest, actor } = &entries[first].entry else { return None };
    let start = entries[first].at;
    let since = |e: &Stamped| u64::try_from(e.at.duration_since(start).as_millis()).unwrap_or_default();
    let took_ms = entries[first..].iter().map(since).max().unwrap_or_default();
    let mut bars: Vec<Bar> = vec![];
    let mut after: Vec<BTreeSet<Address>> = vec![];
    let mut open: BTreeMap<Address, Vec<Open>> = BTreeMap::new();
    for stamped in &entries[first + 1..] {
        let now = since(stamped);
        let mut ends = |address: &Address, instance: &str, outcome: Outcome, closes: bool| {
            let all = open.entry(address.clone()).or_default();
            if let Some(at) = all.iter().position(|o| o.instance == instance) {
                let bar = &mut bars[all[at].bar];
                (bar.end_ms, bar.outcome) = (now, outcome);
                if closes {
                    all.remove(at);
                }
            }
        };
        match &stamped.entry {
            Entry::Begin { address, instance, act, request } => {
                let all = open.entry(address.clone()).or_default();
                // A begin that follows an open one goes on with it.
                let goes_on = all.iter().any(|o| o.instance == *instance && bars[o.bar].act == (*act).into());
                if !goes_on {
                    all.retain(|o| o.instance != *instance);
                    all.push(Open { bar: bars.len(), instance: instance.clone() });
                    bars.push(Bar {
                        address: address.clone(),
                        act: (*act).into(),
                        start_ms: now,
                        end_ms: took_ms,
                        outcome: Outcome::Open,
                        critical: false,
                    });
                    after.push(if *act == Act::Delete { BTreeSet::new() } else { request.after.clone() });
                }
            }
            Entry::Done { address, instance, .. } | Entry::Gone { address, instance } => {
                ends(address, instance, Outcome::Done, true);
            }
            Entry::Failed { address, instance, error } => {
                ends(address, instance, Outcome::Failed(error.clone()), false);
            }
            _ => {}
        }
    }
    mark(&mut bars, &after);
    Some(Timeline { at: start, actor: actor.clone(), digest: digest.clone(), took_ms, bars })
}

/// From what ended last backwards: what each waited for. Where nothing is known that it waited for, what ended last
/// before it began.
fn mark(bars: &mut [Bar], after: &[BTreeSet<Address>]) {
    let mut next = (0..bars.len()).max_by_key(|i| bars[*i].end_ms);
    while let Some(i) = next {
        bars[i].critical = true;
        let before = |j: &usize| *j != i && bars[*j].end_ms <= bars[i].start_ms && !bars[*j].critical;
        let needed = (0..bars.len()).filter(before).filter(|j| after[i].contains(&bars[*j].address));
        let earlier = || (0..bars.len()).filter(before).max_by_key(|j| bars[*j].end_ms);
        next = needed.max_by_key(|j| bars[*j].end_ms).or_else(earlier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn begin(address: &str, act: Act, after: &[&str]) -> Entry {
        let place = json!({ "provider": "sim", "spec": {} });
        let request = json!({ "kind": "k", "place": place, "spec": {}, "after": after, "protect": false });
        let request = serde_json::from_value(request).unwrap();
        Entry::Begin { address: address.into(), instance: "i".into(), act, request }
    }

    fn done(address: &str) -> Entry {
        Entry::Done { address: address.into(), instance: "i".into(), outputs: json!(null), took_ms: 1 }
    }

    fn at(second: i64, entry: Entry) -> Stamped {
        Stamped { seq: 0, at: jiff::Timestamp::from_second(second).unwrap(), entry }
    }

    #[test]
    fn the_last_run_is_told_with_what_its_end_waited_for() {
        let plan = || Entry::Plan { digest: "d".into(), actor: "me".into() };
        let failed = Entry::Failed { address: "d".into(), instance: "i".into(), error: "no".into() };
        let entries = [
            at(0, plan()),
            at(1, begin("old", Act::Create, &[])),
            at(100, plan()),
            at(101, begin("a", Act::Create, &[])),
            at(101, begin("b", Act::Create, &[])),
            at(105, done("a")),
            at(106, done("b")),
            at(106, begin("c", Act::Create, &["a"])),
            at(107, begin("d", Act::Create, &[])),
            at(108, failed),
            at(130, done("c")),
            at(131, begin("e", Act::Update, &["b"])),
        ];
        let run = last(&entries).unwrap();
        assert_eq!((run.took_ms, run.actor.as_str()), (31_000, "me"));
        let told: Vec<(&str, u64, u64, bool)> =
            run.bars.iter().map(|b| (b.address.0.as_str(), b.start_ms, b.end_ms, b.critical)).collect();
        let expected = [
            ("a", 1_000, 5_000, false),
            ("b", 1_000, 6_000, true),
            ("c", 6_000, 30_000, false),
            ("d", 7_000, 8_000, false),
            ("e", 31_000, 31_000, true),
        ];
        assert_eq!(told, expected);
        assert_eq!(run.bars[3].outcome, Outcome::Failed("no".into()));
        assert_eq!(run.bars[4].outcome, Outcome::Open);
        assert_eq!(last(&[]), None);
    }
}
