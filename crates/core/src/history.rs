//! What a journal tells of the past: which runs there were, what changed between two entries, and which run set a
//! field. Pure: entries in, answers out.
//!
//! A field is named as in plans: `tags.team`. An output is named as in references: `#vpc_id`. What the journal keeps
//! beside both stands in parentheses: `(phase)`.

use crate::{
    diff,
    journal::{Act, BadEntry, Entry, Record, Stamped, State},
    value::Address,
};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// A run that applied a plan.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PastRun {
    /// The entry with which it began.
    pub first: u64,
    /// Its last entry.
    pub last: u64,
    /// When it began, by its own clock.
    #[schemars(with = "String")]
    pub at: jiff::Timestamp,
    /// Who ran it, on which host.
    pub actor: String,
    /// The digest of its plan.
    pub digest: String,
    /// What it did, in the order in which it was begun.
    pub deeds: Vec<Deed>,
    /// What it gave another address: the new one, by the old one.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub moves: BTreeMap<Address, Address>,
    /// The guards that were overruled for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overruled: Vec<Overruled>,
}

/// A guard that was overruled.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Overruled {
    /// Which rule.
    pub rule: String,
    /// Why, in the words of whoever did it.
    pub why: String,
}

/// Something that a run did to one resource.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Deed {
    /// The entry with which it began.
    pub seq: u64,
    /// To which resource.
    pub address: Address,
    /// To which incarnation of it.
    pub instance: String,
    /// What.
    pub act: What,
    /// What became of it in this run.
    pub outcome: Outcome,
    /// What a copy of its data is called that was there before it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<String>,
}

/// What a run can do to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It was made.
    Create,
    /// It was taken over, or taken back.
    Adopt,
    /// It was changed in place, or its record was.
    Update,
    /// It was removed.
    Delete,
    /// It was found to be gone.
    Forget,
    /// Only its order or its protection changed, which the cloud does not know.
    Note,
}

impl From<Act> for What {
    fn from(act: Act) -> Self {
        match act {
            Act::Create => What::Create,
            Act::Adopt => What::Adopt,
            Act::Update => What::Update,
            Act::Delete => What::Delete,
        }
    }
}

/// What became of a deed.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It did not work, as far as this run tried.
    Failed(String),
    /// The run ended before an answer was written down.
    Open,
}

/// Every run, oldest first.
pub fn runs(entries: &[Stamped]) -> Vec<PastRun> {
    let mut out: Vec<PastRun> = vec![];
    for stamped in entries {
        if let Entry::Plan { digest, actor } = &stamped.entry {
            out.push(PastRun {
                first: stamped.seq,
                last: stamped.seq,
                at: stamped.at,
                actor: actor.clone(),
                digest: digest.clone(),
                deeds: vec![],
                moves: BTreeMap::new(),
                overruled: vec![],
            });
        } else if let Some(run) = out.last_mut().filter(|_| !matches!(stamped.entry, Entry::Home { .. })) {
            run.last = stamped.seq;
            run.tell(stamped);
        }
    }
    out
}

impl PastRun {
    fn tell(&mut self, stamped: &Stamped) {
        let seq = stamped.seq;
        match &stamped.entry {
            Entry::Begin { address, instance, act, .. } => {
                // A begin that follows an open one of the same act goes on with it.
                if !self.open(address, instance).is_some_and(|d| d.act == What::from(*act)) {
                    self.add(seq, address, instance, What::from(*act), Outcome::Open);
                }
            }
            Entry::Done { address, instance, .. } => {
                if let Some(deed) = self.open(address, instance) {
                    deed.outcome = Outcome::Done;
                }
            }
            Entry::Failed { address, instance, error } => {
                if let Some(deed) = self.open(address, instance) {
                    deed.outcome = Outcome::Failed(error.clone());
                }
            }
            Entry::Gone { address, instance } => match self.open(address, instance) {
                Some(deed) if deed.act == What::Delete => deed.outcome = Outcome::Done,
                _ => self.add(seq, address, instance, What::Forget, Outcome::Done),
            },
            Entry::Noted { address, instance, .. } => {
                self.add(seq, address, instance, What::Note, Outcome::Done);
            }
            Entry::Moved { moves } => self.moves.extend(moves.clone()),
            Entry::Overruled { rule, why } => {
                self.overruled.push(Overruled { rule: rule.clone(), why: why.clone() });
            }
            Entry::Copied { address, instance, copy } => {
                if let Some(deed) = self.open(address, instance) {
                    deed.copy = Some(copy.clone());
                }
            }
            Entry::Opened { .. } | Entry::Belongs { .. } | Entry::Home { .. } | Entry::Plan { .. } => {}
        }
    }

    fn add(&mut self, seq: u64, address: &Address, instance: &str, act: What, outcome: Outcome) {
        let (address, instance) = (address.clone(), instance.to_owned());
        self.deeds.push(Deed { seq, address, instance, act, outcome, copy: None });
    }

    /// The last deed on this incarnation, unless it is done. One that failed may still be repeated.
    fn open(&mut self, address: &Address, instance: &str) -> Option<&mut Deed> {
        let last = self.deeds.iter_mut().rev().find(|d| d.address == *address && d.instance == instance);
        last.filter(|d| d.outcome != Outcome::Done)
    }
}

/// Why the past does not answer a question.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The journal makes no sense.
    #[error(transparent)]
    Bad(#[from] BadEntry),
    /// There is no such entry.
    #[error("the journal has no entry {seq}; its last one is {last}")]
    NoEntry {
        /// Which was asked for.
        seq: u64,
        /// The last that there is.
        last: u64,
    },
    /// No resource has such an address.
    #[error("the journal has no resource `{0}`")]
    NoResource(String),
    /// The field was never set.
    #[error("no run has set `{field}` of `{address}`")]
    NeverSet {
        /// Which resource.
        address: Address,
        /// Which field.
        field: String,
        /// The fields that it has.
        known: Vec<String>,
    },
}

/// What happened to a resource between two entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// It was not recorded before.
    Added,
    /// It is not recorded any more.
    Removed,
    /// Another incarnation has taken its place.
    Replaced,
    /// The same incarnation differs.
    Changed,
}

/// How one resource differs between two entries of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Difference {
    /// Which resource.
    pub address: Address,
    /// Its kind.
    pub kind: String,
    /// What happened to it.
    pub became: Became,
    /// Whether it is an incarnation that was replaced and is still to be removed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leftover: bool,
    /// The fields that differ, by path.
    pub fields: Vec<FieldDifference>,
}

/// How one field differs.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct FieldDifference {
    /// The path; see the [module](self).
    pub path: String,
    /// What it was; null for nothing.
    pub from: Json,
    /// What it became; null for nothing.
    pub to: Json,
}

/// What changed in the state from after entry `from` to after entry `to`. Entry 0 is the empty journal.
///
/// # Errors
/// [`HistoryError::NoEntry`] where one of them is not there, and [`HistoryError::Bad`].
pub fn between(entries: &[Stamped], from: u64, to: u64) -> Result<Vec<Difference>, HistoryError> {
    let (mut before, after) = (state_at(entries, from)?, state_at(entries, to)?);
    // What has moved is told at its new address, as the same thing.
    let stands: BTreeMap<&str, &Address> =
        after.records.iter().map(|(address, r)| (r.instance.as_str(), address)).collect();
    let moved: BTreeMap<Address, Address> = before
        .records
        .iter()
        .filter_map(|(address, r)| {
            let now = stands.get(r.instance.as_str()).filter(|now| **now != address)?;
            Some((address.clone(), (*now).clone()))
        })
        .collect();
    let were: BTreeMap<Address, Address> =
        moved.iter().map(|(from, to)| (to.clone(), from.clone())).collect();
    // What has taken its old place is something else.
    before.rename(&moved).unwrap_or_default();
    let addresses: BTreeSet<&Address> = before.records.keys().chain(after.records.keys()).collect();
    let mut out: Vec<Difference> = addresses
        .into_iter()
        .filter_map(|a| difference(a, before.records.get(a), after.records.get(a), false))
        .collect();
    let (old, new) = (leftovers(&before), leftovers(&after));
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
    out.extend(
        keys.into_iter().filter_map(|k| difference(k.0, old.get(&k).copied(), new.get(&k).copied(), true)),
    );
    for (address, was) in &were {
        let (from, to) = (json!(was), json!(address));
        let field = FieldDifference { path: "(address)".into(), from, to };
        match out.iter_mut().find(|d| d.address == *address && !d.leftover) {
            Some(difference) => difference.fields.push(field),
            None => {
                let kind = after.records.get(address).map(|r| r.request.kind.clone()).unwrap_or_default();
                let (address, became, fields) = (address.clone(), Became::Changed, vec![field]);
                out.push(Difference { address, kind, became, leftover: false, fields });
            }
        }
    }
    out.sort_by(|a, b| (&a.address, a.leftover).cmp(&(&b.address, b.leftover)));
    Ok(out)
}

/// The state after entry `seq`.
fn state_at(entries: &[Stamped], seq: u64) -> Result<State, HistoryError> {
    let last = entries.last().map_or(0, |e| e.seq);
    let end = usize::try_from(seq).ok().filter(|end| *end <= entries.len());
    let entries = end.and_then(|end| entries.get(..end)).ok_or(HistoryError::NoEntry { seq, last })?;
    Ok(State::fold(entries)?)
}

fn leftovers(state: &State) -> BTreeMap<(&Address, &str), &Record> {
    let all = state.leftovers.iter().flat_map(|(a, all)| all.iter().map(move |r| (a, r)));
    all.map(|(a, r)| ((a, r.instance.as_str()), r)).collect()
}

fn difference(
    address: &Address,
    from: Option<&Record>,
    to: Option<&Record>,
    leftover: bool,
) -> Option<Difference> {
    let became = match (from, to) {
        (None, None) => return None,
        (None, Some(_)) => Became::Added,
        (Some(_), None) => Became::Removed,
        (Some(a), Some(b)) if a.instance != b.instance => Became::Replaced,
        (Some(_), Some(_)) => Became::Changed,
    };
    let parts = |record: Option<&Record>| record.map_or_else(Default::default, parts);
    let (old, new) = (parts(from), parts(to));
    let mut fields = vec![];
    for part in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let get = |all: &BTreeMap<String, Json>| all.get(part).cloned().unwrap_or_default();
        differing(part, &get(&old), &get(&new), &mut fields);
    }
    if fields.is_empty() && became == Became::Changed {
        return None;
    }
    let kind = to.or(from).map(|r| r.request.kind.clone()).unwrap_or_default();
    Some(Difference { address: address.clone(), kind, became, leftover, fields })
}

/// All that the journal keeps of a record, by the first part of its path.
fn parts(record: &Record) -> BTreeMap<String, Json> {
    let request = &record.request;
    let mut out: BTreeMap<String, Json> = BTreeMap::new();
    if let Some(spec) = request.spec.as_json().as_object() {
        out.extend(spec.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
    if let Some(outputs) = record.outputs.as_ref().and_then(Json::as_object) {
        out.extend(outputs.iter().map(|(k, v)| (format!("#{k}"), v.clone())));
    }
    out.insert("(place)".into(), json!(request.place.label()));
    out.insert("(phase)".into(), json!(record.phase));
    out.insert("(after)".into(), json!(request.after));
    out.insert("(protect)".into(), json!(request.protect));
    out.insert("(error)".into(), json!(record.error));
    out
}

/// The fields in which `from` and `to` differ. Lists and sets are told as a whole.
pub(crate) fn differing(path: &str, from: &Json, to: &Json, out: &mut Vec<FieldDifference>) {
    let inside = |json: &Json| json.is_object() && !diff::is_whole(json);
    // Where one side has nothing, the other side's fields are told one by one, too.
    let open = (inside(from) || from.is_null()) && (inside(to) || to.is_null());
    if from.is_null() && to.is_null() || from == to {
        return;
    }
    if !open {
        out.push(FieldDifference { path: path.to_owned(), from: from.clone(), to: to.clone() });
        return;
    }
    let keys = |json: &Json| json.as_object().into_iter().flat_map(|m| m.keys().cloned()).collect::<Vec<_>>();
    let null = Json::Null;
    for key in keys(from).into_iter().chain(keys(to)).collect::<BTreeSet<_>>() {
        let get = |json: &'_ Json| json.get(&key).unwrap_or(&null).clone();
        differing(&format!("{path}.{key}"), &get(from), &get(to), out);
    }
}

/// Which run set a field to what it is.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Blame {
    /// Which resource.
    pub address: Address,
    /// Which field.
    pub field: String,
    /// What it is; null where it is not set any more.
    pub value: Json,
    /// The entry that made it so.
    pub seq: u64,
    /// When, by the clock of the run.
    #[schemars(with = "String")]
    pub at: jiff::Timestamp,
    /// The incarnation.
    pub instance: String,
    /// What the run did to the resource.
    pub act: Option<What>,
    /// Who ran it, on which host.
    pub actor: String,
    /// The digest of its plan.
    pub digest: String,
    /// Whether a change was begun after that of which the journal does not know the end: the cloud may have another
    /// value.
    pub unsure: bool,
}

/// Which run set `what`: an address and a field (`network/vpc.cidr`) or an address and an output (`network/vpc#vpc_id`).
///
/// Every incarnation counts anew: a resource that was replaced has all its fields from the run that replaced it.
///
/// # Errors
/// [`HistoryError::NoResource`], [`HistoryError::NeverSet`] and [`HistoryError::Bad`].
pub fn blame(entries: &[Stamped], what: &str) -> Result<Blame, HistoryError> {
    let state = State::fold(entries)?;
    let (address, record, field) =
        addressed(&state, what).ok_or_else(|| HistoryError::NoResource(what.to_owned()))?;
    let mut past = State::default();
    let mut was = Json::Null;
    let mut set: Option<&Stamped> = None;
    for stamped in entries {
        past.push(stamped)?;
        // It may have stood elsewhere.
        let known = past.records.get(address).filter(|r| r.instance == record.instance);
        let known = known.or_else(|| past.records.values().find(|r| r.instance == record.instance));
        let value = known.and_then(|r| value_of(r, field)).unwrap_or_default();
        if value != was {
            set = Some(stamped);
            was = value;
        }
    }
    let never = || HistoryError::NeverSet {
        address: address.clone(),
        field: field.to_owned(),
        known: parts(record).into_keys().filter(|k| !k.starts_with('(')).collect(),
    };
    let set = set.ok_or_else(never)?;
    let run = runs(entries).into_iter().rfind(|run| run.first <= set.seq).ok_or_else(never)?;
    let deeds = || run.deeds.iter().rev().filter(|d| d.seq <= set.seq);
    Ok(Blame {
        address: address.clone(),
        field: field.to_owned(),
        value: was,
        seq: set.seq,
        at: set.at,
        instance: record.instance.clone(),
        act: deeds().find(|d| d.instance == record.instance).map(|d| d.act),
        actor: run.actor.clone(),
        digest: run.digest.clone(),
        unsure: !record.pending.is_empty() || record.phase == crate::journal::Phase::Creating,
    })
}

/// The longest address at the start of `what`, and the field behind it. Addresses may hold dots themselves.
fn addressed<'s, 'w>(state: &'s State, what: &'w str) -> Option<(&'s Address, &'s Record, &'w str)> {
    let behind = |address: &Address| {
        let rest = what.strip_prefix(&address.0)?;
        // The `#` stays, as it tells outputs from fields.
        rest.strip_prefix('.').or(rest.starts_with('#').then_some(rest)).filter(|f| !f.is_empty())
    };
    let found = state.records.iter().filter_map(|(a, r)| Some((a, r, behind(a)?)));
    found.max_by_key(|(a, _, _)| a.0.len())
}

fn value_of(record: &Record, field: &str) -> Option<Json> {
    let (whole, path) = match field.strip_prefix('#') {
        // As in references, where the path goes on with slashes.
        Some(path) => (record.outputs.as_ref()?, path.replace('/', ".")),
        None => (record.request.spec.as_json(), field.to_owned()),
    };
    diff::at(whole, &path).filter(|v| !v.is_null()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{FORMAT, Request},
        place::PlaceData,
        secret::{SealKey, Sealed, Secret},
    };

    /// A journal that is written by hand; every entry a second after the one before it.
    struct Book(Vec<Stamped>);

    impl Book {
        fn new() -> Self {
            let mut book = Book(vec![]);
            book.add(Entry::Opened { format: FORMAT, stack: "s".into(), seal_key: SealKey::fixed("k") });
            book
        }
        fn add(&mut self, entry: Entry) -> u64 {
            let seq = self.0.len() as u64 + 1;
            let at = jiff::Timestamp::from_second(i64::try_from(seq).unwrap()).unwrap();
            self.0.push(Stamped { seq, at, entry });
            seq
        }
        fn run(&mut self, who: &str) -> u64 {
            self.add(Entry::Plan { digest: format!("plan-of-{who}"), actor: who.into() })
        }
        fn begin(&mut self, address: &str, instance: &str, act: Act, spec: &Json) -> u64 {
            let request = Request {
                kind: "sim.thing".into(),
                place: PlaceData { provider: "sim".into(), spec: (&json!({ "region": "r" })).into() },
                spec: Sealed::of(spec, &SealKey::fixed("k")),
                after: BTreeSet::new(),
                protect: false,
                origin: None,
            };
            self.add(Entry::Begin { address: address.into(), instance: instance.into(), act, request })
        }
        fn done(&mut self, address: &str, instance: &str, outputs: Json) -> u64 {
            self.add(Entry::Done { address: address.into(), instance: instance.into(), outputs, took_ms: 1 })
        }
        fn failed(&mut self, address: &str, instance: &str) -> u64 {
            let error = "no".to_owned();
            self.add(Entry::Failed { address: address.into(), instance: instance.into(), error })
        }
        fn gone(&mut self, address: &str, instance: &str) -> u64 {
            self.add(Entry::Gone { address: address.into(), instance: instance.into() })
        }
    }

    fn spec(size: u64) -> Json {
        json!({ "size": size, "tags": { "team": "a" }, "password": Secret::new("hunter2") })
    }

    /// Ada makes it, Bob changes its size, Eve replaces it.
    fn told() -> Book {
        let mut book = Book::new();
        book.run("ada");
        book.begin("db.main", "i1", Act::Create, &spec(1));
        book.done("db.main", "i1", json!({ "id": "db-1", "ports": [{ "n": 5 }] }));
        book.run("bob");
        book.begin("db.main", "i1", Act::Update, &spec(2));
        book.done("db.main", "i1", json!({ "id": "db-1", "ports": [{ "n": 5 }] }));
        book
    }

    #[test]
    fn runs_say_who_did_what_and_what_became_of_it() {
        let mut book = told();
        book.run("eve");
        book.begin("db.main", "i2", Act::Create, &spec(2));
        book.failed("db.main", "i2");
        book.begin("db.main", "i2", Act::Create, &spec(2));
        book.done("db.main", "i2", json!({ "id": "db-2" }));
        book.begin("db.main", "i1", Act::Delete, &spec(2));
        book.gone("db.main", "i1");
        book.begin("other", "i3", Act::Create, &spec(1));
        let runs = runs(&book.0);
        assert_eq!(runs.iter().map(|r| r.actor.as_str()).collect::<Vec<_>>(), ["ada", "bob", "eve"]);
        assert_eq!((runs[1].first, runs[1].last, runs[1].digest.as_str()), (5, 7, "plan-of-bob"));
        let deeds: Vec<_> =
            runs[2].deeds.iter().map(|d| (d.instance.as_str(), d.act, d.outcome.clone())).collect();
        assert_eq!(
            deeds,
            [
                ("i2", What::Create, Outcome::Done),
                ("i1", What::Delete, Outcome::Done),
                ("i3", What::Create, Outcome::Open),
            ]
        );
    }

    #[test]
    fn what_was_found_gone_is_not_told_as_deleted() {
        let mut book = told();
        book.run("eve");
        book.gone("db.main", "i1");
        assert_eq!(runs(&book.0)[2].deeds[0].act, What::Forget);
    }

    #[test]
    fn a_deed_that_failed_says_why() {
        let mut book = told();
        book.run("eve");
        book.begin("db.main", "i1", Act::Update, &spec(3));
        book.failed("db.main", "i1");
        assert_eq!(runs(&book.0)[2].deeds[0].outcome, Outcome::Failed("no".into()));
    }

    fn paths(difference: &Difference) -> Vec<&str> {
        difference.fields.iter().map(|f| f.path.as_str()).collect()
    }

    #[test]
    fn a_difference_names_the_fields() {
        let book = told();
        let changed = between(&book.0, 4, 7).unwrap();
        assert_eq!((changed.len(), changed[0].became), (1, Became::Changed));
        assert_eq!(paths(&changed[0]), ["size"]);
        assert_eq!((&changed[0].fields[0].from, &changed[0].fields[0].to), (&json!(1), &json!(2)));
        assert!(between(&book.0, 7, 7).unwrap().is_empty());
        let made = between(&book.0, 0, 4).unwrap();
        assert_eq!(made[0].became, Became::Added);
        assert!(paths(&made[0]).contains(&"tags.team") && paths(&made[0]).contains(&"#id"), "{made:?}");
        let back = between(&book.0, 4, 0).unwrap();
        assert_eq!(back[0].became, Became::Removed);
    }

    #[test]
    fn what_was_replaced_is_told_until_it_is_gone() {
        let mut book = told();
        book.run("eve");
        book.begin("db.main", "i2", Act::Create, &spec(2));
        book.done("db.main", "i2", json!({ "id": "db-2" }));
        let changed = between(&book.0, 7, 10).unwrap();
        let became: Vec<_> = changed.iter().map(|d| (d.became, d.leftover)).collect();
        assert_eq!(became, [(Became::Replaced, false), (Became::Added, true)]);
    }

    #[test]
    fn entries_that_are_not_there_are_refused() {
        let book = told();
        assert!(matches!(between(&book.0, 1, 8), Err(HistoryError::NoEntry { seq: 8, last: 7 })));
    }

    #[test]
    fn each_field_is_blamed_on_the_run_that_set_it() {
        let book = told();
        let who = |what: &str| blame(&book.0, what).map(|b| (b.actor, b.seq, b.act));
        assert_eq!(who("db.main.size").unwrap(), ("bob".into(), 7, Some(What::Update)));
        assert_eq!(who("db.main.tags.team").unwrap(), ("ada".into(), 2 + 1, Some(What::Create)));
        assert_eq!(who("db.main#id").unwrap(), ("ada".into(), 4, Some(What::Create)));
        assert_eq!(blame(&book.0, "db.main#ports/0/n").unwrap().value, json!(5));
        assert!(matches!(blame(&book.0, "db.other.size"), Err(HistoryError::NoResource(_))));
        match blame(&book.0, "db.main.sizes") {
            Err(HistoryError::NeverSet { known, .. }) => assert!(known.contains(&"size".to_owned())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_incarnation_counts_anew_and_an_open_change_is_said() {
        let mut book = told();
        book.run("eve");
        book.begin("db.main", "i2", Act::Create, &spec(2));
        assert!(blame(&book.0, "db.main.size").unwrap().unsure);
        book.done("db.main", "i2", json!({ "id": "db-2" }));
        let blamed = blame(&book.0, "db.main.size").unwrap();
        assert_eq!((blamed.actor.as_str(), blamed.unsure), ("eve", false));
        book.run("bob");
        book.begin("db.main", "i2", Act::Update, &spec(3));
        let blamed = blame(&book.0, "db.main.size").unwrap();
        assert_eq!((blamed.actor.as_str(), blamed.value, blamed.unsure), ("eve", json!(2), true));
    }

    #[test]
    fn a_field_that_was_unset_is_blamed_on_who_unset_it() {
        let mut book = told();
        book.run("eve");
        book.begin("db.main", "i1", Act::Update, &json!({ "size": 2 }));
        book.done("db.main", "i1", json!({ "id": "db-1" }));
        let blamed = blame(&book.0, "db.main.tags.team").unwrap();
        assert_eq!((blamed.actor.as_str(), blamed.value), ("eve", Json::Null));
    }

    #[test]
    fn no_answer_holds_a_secret_or_the_key() {
        let book = told();
        let key = "\"k\"";
        let all = [
            serde_json::to_string(&runs(&book.0)).unwrap(),
            serde_json::to_string(&between(&book.0, 0, 7).unwrap()).unwrap(),
            serde_json::to_string(&blame(&book.0, "db.main.password").unwrap()).unwrap(),
        ];
        assert!(all[1].contains("$sealed"));
        assert!(all.iter().all(|text| !text.contains("hunter2") && !text.contains(key)));
    }
}
