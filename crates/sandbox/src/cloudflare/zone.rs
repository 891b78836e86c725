//! A zone: its records, what may stand beside what, and changes that happen as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Refusal;
use super::limit::written;
use super::record::{Fields, Record};
use super::token::{self, Token};

/// What is paid for a zone; limits depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// 200 changes in a batch, comments of 100 characters, no tags.
    #[default]
    Free,
    /// 3,500 changes in a batch, comments of 500 characters, 20 tags a record.
    Pro,
    /// As [`Pro`](Plan::Pro).
    Business,
    /// As [`Pro`](Plan::Pro), with a TTL of 30 seconds at least.
    Enterprise,
}

impl Plan {
    /// <https://developers.cloudflare.com/dns/manage-dns-records/how-to/batch-record-changes/>
    fn batch(self) -> usize {
        if self == Plan::Free { 200 } else { 3500 }
    }

    fn shown(self) -> Value {
        let (id, name, price) = match self {
            Plan::Free => ("free", "Free Website", 0),
            Plan::Pro => ("pro", "Pro Website", 20),
            Plan::Business => ("business", "Business Website", 200),
            Plan::Enterprise => ("enterprise", "Enterprise Website", 0),
        };
        json!({
            "id": id,
            "legacy_id": id,
            "name": name,
            "price": price,
            "currency": "USD",
            "frequency": if price == 0 { "" } else { "monthly" },
            "is_subscribed": price != 0,
            "can_subscribe": false,
        })
    }
}

/// How far a zone has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has no name servers yet.
    Initializing,
    /// Its domain is not delegated to Cloudflare yet.
    Pending,
    /// It is served.
    #[default]
    Active,
    /// Its domain is delegated elsewhere again.
    Moved,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Status::Initializing => "initializing",
            Status::Pending => "pending",
            Status::Active => "active",
            Status::Moved => "moved",
        }
    }
}

/// A zone to have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    pub(super) name: String,
    #[serde(default)]
    pub(super) plan: Plan,
    #[serde(default)]
    pub(super) status: Status,
    /// How many records it may have.
    #[serde(default)]
    pub(super) records: Option<usize>,
    /// Seconds until DNS shows a change.
    #[serde(default)]
    pub(super) lag: u32,
}

impl Zone {
    /// An active zone of the free plan.
    pub fn new(name: &str) -> Zone {
        Zone { name: name.to_owned(), plan: Plan::Free, status: Status::Active, records: None, lag: 0 }
    }

    /// Of another plan.
    pub fn plan(self, plan: Plan) -> Zone {
        Zone { plan, ..self }
    }

    /// In another status.
    pub fn status(self, status: Status) -> Zone {
        Zone { status, ..self }
    }

    /// With at most so many records; there is no limit otherwise.
    pub fn record_quota(self, records: usize) -> Zone {
        Zone { records: Some(records), ..self }
    }

    /// With so many seconds until a change is seen in DNS. Cloudflare's servers take some, and say nothing of it.
    pub fn lag(self, seconds: u32) -> Zone {
        Zone { lag: seconds, ..self }
    }
}

/// A zone that is there.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: String,
    pub(super) zone: Zone,
    pub(super) created: String,
    pub(super) modified: String,
    /// Of its SOA.
    pub(super) serial: u32,
    pub(super) records: Records,
    /// What DNS shows while it lags, in the order of time; the first is shown already.
    shown: Vec<Shown>,
}

/// The state of a zone that DNS shows from some moment on.
#[derive(Debug)]
struct Shown {
    from: Timestamp,
    serial: u32,
    records: Records,
}

/// A zone as DNS shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) serial: u32,
    pub(super) records: &'a Records,
}

/// The name servers of every zone.
pub(super) const NAME_SERVERS: [&str; 2] = ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"];

/// A change of one record.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Delete(String),
    /// Keeps what is not given.
    Patch(String, Fields),
    /// Resets what is not given.
    Put(String, Fields),
    Post(Fields),
}

/// The changes of a batch, in the order in which they take effect.
#[derive(Debug, Default)]
pub(super) struct Batch(pub(super) Vec<(&'static str, Vec<Change>)>);

/// How conflicts are told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether 81057 is told of a second identical record, and not 81058.
    pub(super) old_duplicates: bool,
}

impl Live {
    pub(super) fn new(zone: Zone, now: Timestamp) -> Live {
        Live {
            id: token::id(),
            zone,
            created: written(now),
            modified: written(now),
            serial: 1,
            records: Records::default(),
            shown: Vec::new(),
        }
    }

    /// What DNS shows now.
    pub(super) fn view(&self, now: Timestamp) -> View<'_> {
        let name = self.zone.name.as_str();
        match self.shown.iter().rev().find(|shown| shown.from <= now) {
            Some(shown) => View { name, serial: shown.serial, records: &shown.records },
            None => View { name, serial: self.serial, records: &self.records },
        }
    }

    /// Makes one change and returns the record, the deleted one too.
    pub(super) fn change(
        &mut self,
        change: Change,
        manner: Manner,
        now: Timestamp,
    ) -> Result<Arc<Record>, Refusal> {
        self.before(now);
        let record = self.records.change(change, &self.zone, manner, &written(now))?;
        self.changed(now);
        Ok(record)
    }

    /// Makes all changes or none, and returns the records of each list.
    pub(super) fn batch(&mut self, batch: Batch, manner: Manner, now: Timestamp) -> Result<Value, Refusal> {
        let most = self.zone.plan.batch();
        let count: usize = batch.0.iter().map(|(_, changes)| changes.len()).sum();
        if count > most {
            let message =
                format!("A batch of {count} changes exceeds the limit of {most} of this zone's plan.");
            return Err(Refusal::without_code(message));
        }
        let mut records = self.records.clone();
        let mut result = json!({ "deletes": null, "patches": null, "puts": null, "posts": null });
        for (list, changes) in batch.0 {
            let mut shown = Vec::new();
            for change in changes {
                shown.push(records.change(change, &self.zone, manner, &written(now))?.shown());
            }
            result[list] = Value::from(shown);
        }
        self.before(now);
        self.records = records;
        self.changed(now);
        Ok(result)
    }

    /// Keeps what DNS shows until a change is seen there.
    fn before(&mut self, now: Timestamp) {
        let shown = self.shown.iter().rposition(|shown| shown.from <= now).unwrap_or(0);
        self.shown.drain(..shown);
        if self.zone.lag > 0 && self.shown.is_empty() {
            self.shown.push(Shown { from: now, serial: self.serial, records: self.records.clone() });
        }
    }

    fn changed(&mut self, now: Timestamp) {
        self.serial += 1;
        self.modified = written(now);
        let from = now.checked_add(Duration::from_secs(u64::from(self.zone.lag))).unwrap_or(now);
        if !self.shown.is_empty() {
            self.shown.push(Shown { from, serial: self.serial, records: self.records.clone() });
        }
    }

    /// As a token sees it.
    pub(super) fn shown(&self, token: &Token) -> Value {
        let active = self.zone.status == Status::Active;
        json!({
            "id": self.id,
            "name": self.zone.name,
            "status": self.zone.status.name(),
            "paused": false,
            "type": "full",
            "development_mode": 0,
            "name_servers": NAME_SERVERS,
            "original_name_servers": null,
            "original_registrar": null,
            "original_dnshost": null,
            "created_on": self.created,
            "modified_on": self.modified,
            "activated_on": active.then_some(&self.created),
            "meta": { "step": 4, "custom_certificate_quota": 0, "page_rule_quota": 3, "phishing_detected": false },
            "owner": { "id": ACCOUNT, "type": "user", "name": "sandbox" },
            "account": { "id": ACCOUNT, "name": "sandbox" },
            "permissions": token.permissions(),
            "plan": self.zone.plan.shown(),
        })
    }
}

/// The account that has all zones.
pub(super) const ACCOUNT: &str = "0000000000000000000000000000ca5e";

/// The records of a zone, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    next: u64,
    all: BTreeMap<u64, Arc<Record>>,
    ids: BTreeMap<String, u64>,
    names: BTreeMap<String, BTreeSet<u64>>,
}

impl Records {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.all.values()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Record>> {
        self.ids.get(id).and_then(|number| self.all.get(number))
    }

    /// The records of a name.
    pub(super) fn at(&self, name: &str) -> impl Iterator<Item = &Arc<Record>> {
        self.names.get(name).into_iter().flatten().filter_map(|number| self.all.get(number))
    }

    /// Whether a name has records, or any below it has.
    pub(super) fn reaches(&self, name: &str) -> bool {
        let below = |other: &String| other.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        self.names.contains_key(name) || self.names.keys().any(below)
    }

    fn live(&self, id: &str) -> Result<Arc<Record>, Refusal> {
        self.get(id).cloned().ok_or_else(|| Refusal::new(404, 81044, "Record does not exist."))
    }

    fn change(
        &mut self,
        change: Change,
        zone: &Zone,
        manner: Manner,
        now: &str,
    ) -> Result<Arc<Record>, Refusal> {
        let (live, fields) = match change {
            Change::Delete(id) => {
                let live = self.live(&id)?;
                self.remove(&live);
                return Ok(live);
            }
            Change::Patch(id, fields) => {
                let live = self.live(&id)?;
                (Some(live.clone()), fields.over(&live))
            }
            Change::Put(id, fields) => (Some(self.live(&id)?), fields),
            Change::Post(fields) => (None, fields),
        };
        if live.is_none() && zone.records.is_some_and(|most| self.all.len() >= most) {
            return Err(Refusal::new(400, 81045, "The record quota has been exceeded."));
        }
        let record = fields.record(&zone.name, zone.plan, live.as_deref(), token::id(), now)?;
        self.compatible(&record, &zone.name, manner)?;
        let record = Arc::new(record);
        match live {
            Some(live) => self.replace(&live, record.clone()),
            None => self.insert(self.next, record.clone()),
        }
        Ok(record)
    }

    /// Whether a record may stand beside the others of its name.
    /// <https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/>
    fn compatible(&self, record: &Record, apex: &str, manner: Manner) -> Result<(), Refusal> {
        const PAGE: &str = "https://developers.cloudflare.com/dns/manage-dns-records/troubleshooting/records-with-same-name/";
        let others: Vec<&Arc<Record>> = self.at(&record.name).filter(|other| other.id != record.id).collect();
        let any = |kinds: &[&str]| others.iter().any(|other| kinds.contains(&other.kind));
        let refuse = |code, message: String| Err(Refusal::new(400, code, message));
        if record.kind == "CNAME" && any(&["A", "AAAA", "CNAME"]) {
            return refuse(81053, "An A, AAAA, or CNAME record with that host already exists.".to_owned());
        }
        if matches!(record.kind, "A" | "AAAA") && any(&["CNAME"]) {
            let message =
                format!("A CNAME record with that host already exists. For more details, refer to <{PAGE}>.");
            return refuse(81054, message);
        }
        // The apex is no delegation, and a delegation comes with its DS.
        if record.name != apex {
            if record.kind == "NS" && others.iter().any(|other| !matches!(other.kind, "NS" | "DS")) {
                return refuse(81055, "Non-NS records with that host already exist.".to_owned());
            }
            if !matches!(record.kind, "NS" | "DS") && any(&["NS"]) {
                return refuse(81056, "NS records with that host already exist.".to_owned());
            }
        }
        if others.iter().any(|other| other.is_twin(record)) {
            return match manner.old_duplicates {
                true => refuse(81057, "Record already exists.".to_owned()),
                false => refuse(81058, "An identical record already exists.".to_owned()),
            };
        }
        Ok(())
    }

    fn insert(&mut self, number: u64, record: Arc<Record>) {
        self.next = self.next.max(number + 1);
        self.ids.insert(record.id.clone(), number);
        self.names.entry(record.name.clone()).or_default().insert(number);
        self.all.insert(number, record);
    }

    /// In the place of another.
    fn replace(&mut self, live: &Record, record: Arc<Record>) {
        if let Some(number) = self.remove(live) {
            self.insert(number, record);
        }
    }

    fn remove(&mut self, record: &Record) -> Option<u64> {
        let number = self.ids.remove(&record.id)?;
        self.all.remove(&number);
        if let Some(numbers) = self.names.get_mut(&record.name) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.names.remove(&record.name);
            }
        }
        Some(number)
    }
}
