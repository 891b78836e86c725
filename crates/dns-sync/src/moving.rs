//! A planned move: the TTL of a name goes down, and once nobody can keep the old answer for long, the name leads elsewhere; when
//! its own servers say so, the TTL comes back.
//!
//! How far a move is stands in a tag of the record: in the journal, and in the mark beside the record. So whoever is killed is
//! followed by one who goes on, with a journal or without. What moves is left alone by every other run.

use crate::{
    ask::ask,
    sync::{Options, Sync, SyncError},
    verify::{self, Expected, Server},
    wanted::{address_of, at_address, place_of, values, values_of},
};
use causeway_core::{
    Address, Stack, Tags, Value,
    engine::{EngineError, Run},
    guard::Refusal,
    journal::State,
    plan::PlanOptions,
};
use causeway_dns::{Class, Name, Record, ZoneClient, guard, owner, provider::TtlRule, record::Kind};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The tag that says how far a move is.
pub(crate) const MOVE: &str = "move";

/// The TTL that leaves it to the provider.
const AUTOMATIC: u32 = 0;

/// How far a move is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The TTL is low, and the zone's own servers may not say so yet.
    Lowered,
    /// They say so, and old answers run out.
    Waiting,
    /// The name leads elsewhere, and the zone's own servers may not say so yet.
    Switched,
}

/// A name on its way.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Moving {
    /// The name.
    pub name: String,
    /// Where it will lead.
    pub to: BTreeSet<String>,
    /// How far it is.
    pub stage: Stage,
    /// When old answers have run out, while they are waited for.
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// For how many seconds answers from before the move may be kept.
    #[serde(skip)]
    wait: u32,
    /// The TTL that it had by itself.
    #[serde(skip)]
    ttl: Option<u32>,
    /// The one that it has on its way.
    #[serde(skip)]
    low: u32,
}

/// What became of one look at what moves.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Nothing moves any more.
    Done,
    /// This was done, and there is more to do at once.
    Changed(Vec<String>),
    /// The zone's own servers do not say yet what they should.
    Unseen(Vec<String>),
    /// Nothing is to be done until then.
    Waiting(Timestamp),
}

/// Why a move does not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The name is not ours.
    #[error("`{0}` has no record of ours that leads anywhere")]
    Unknown(String),
    /// It is on its way elsewhere.
    #[error("`{name}` is on its way to {to}")]
    Underway {
        /// The name.
        name: String,
        /// Where to.
        to: String,
    },
    /// What is there is not what was applied.
    #[error("`{name}` {what} in the zone")]
    Drifted {
        /// The name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// Its sources do not say where it is to lead, or say that it leads there.
    #[error("`{name}` does not move: {why}")]
    Nowhere {
        /// The name.
        name: String,
        /// Why not.
        why: String,
    },
    /// The new target does not answer.
    #[error("`{name}` does not move: {why}")]
    Silent {
        /// The name.
        name: String,
        /// Why not.
        why: String,
    },
    /// Not all was done.
    #[error("{}", .0.iter().map(|(address, why)| format!("`{address}`: {why}")).collect::<Vec<_>>().join("; "))]
    Failed(Vec<(Address, String)>),
    /// As for any other run.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// What the zone has at a name.
struct There {
    ttl: Option<u32>,
    /// Whether Cloudflare stands in front.
    proxied: bool,
    /// How far a move of ours is by the mark.
    mark: Option<String>,
    rule: TtlRule,
}

impl From<EngineError> for MoveError {
    fn from(error: EngineError) -> Self {
        MoveError::Sync(error.into())
    }
}

impl Moving {
    /// The move that `record` is in, if it is in one.
    fn of(record: &Record) -> Option<Self> {
        Moving::parse(record.name.get().ok()?, record.tags.0.get(MOVE)?)
    }

    /// The move of `name` that a tag tells.
    fn parse(name: &str, tag: &str) -> Option<Self> {
        let mut words = tag.split(' ');
        let stage = match words.next()? {
            "lowered" => Stage::Lowered,
            "waiting" => Stage::Waiting,
            "switched" => Stage::Switched,
            _ => return None,
        };
        let since = Timestamp::from_second(words.next()?.parse().ok()?).ok()?;
        let (wait, low) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let ttl = match words.next()? {
            "-" => None,
            ttl => Some(ttl.parse().ok()?),
        };
        let until = (stage == Stage::Waiting).then(|| since + Duration::from_secs(u64::from(wait)));
        let to = words.map(str::to_owned).collect();
        Some(Moving { name: name.to_owned(), to, stage, until, wait, ttl, low })
    }

    /// As a tag, from `now` on.
    fn tag(&self, stage: Stage, now: Timestamp) -> String {
        let word = match stage {
            Stage::Lowered => "lowered",
            Stage::Waiting => "waiting",
            Stage::Switched => "switched",
        };
        let ttl = self.ttl.map_or_else(|| "-".to_owned(), |ttl| ttl.to_string());
        let to: Vec<&str> = self.to.iter().map(String::as_str).collect();
        format!("{word} {} {} {} {ttl} {}", now.as_second(), self.wait, self.low, to.join(" "))
    }

    /// `record`, as it is at `stage`.
    fn record(&self, mut record: Record, stage: Stage, now: Timestamp) -> Record {
        record.ttl = Some(self.low);
        record.tags.0.insert(MOVE.into(), self.tag(stage, now));
        if stage == Stage::Switched {
            record.values = self.to.iter().cloned().map(Value::Known).collect();
        }
        record
    }
}

/// For how many seconds resolvers keep what has this TTL.
fn seconds(ttl: Option<u32>, rule: &TtlRule) -> u32 {
    ttl.filter(|ttl| *ttl != AUTOMATIC && Some(*ttl) != rule.automatic).unwrap_or(rule.usual)
}

/// What the journal has at `address`, without what the engine says itself.
fn recorded(state: &State, address: &Address) -> Option<Record> {
    let spec = state.records.get(address)?.request.spec.as_json().clone();
    let mut record: Record = serde_json::from_value(spec).ok()?;
    for key in [Tags::STACK, Tags::ADDRESS, Tags::INSTANCE] {
        record.tags.0.remove(key);
    }
    Some(record)
}

/// Where the names in `state` that move stand.
pub(crate) fn moving(state: &State) -> BTreeMap<Address, Moving> {
    let all = state.records.keys();
    all.filter_map(|address| Some((address.clone(), Moving::of(&recorded(state, address)?)?))).collect()
}

impl Sync {
    /// The names that move.
    ///
    /// # Errors
    /// When the journal or a zone cannot be read.
    pub async fn moves(&self) -> Result<Vec<Moving>, SyncError> {
        Ok(moving(&self.known("move").await?).into_values().collect())
    }

    /// Begins to move `names` to the targets `to`, or to what their sources say if there are none: their TTL becomes `low`,
    /// where it is more. Those that are on their way there already are left to [`Sync::go_on`]. Answers with what was done.
    ///
    /// # Errors
    /// [`MoveError`]. Nothing was changed, but for [`MoveError::Failed`].
    pub async fn begin(
        &self,
        names: &[Name],
        to: &BTreeSet<String>,
        low: u32,
        actor: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, MoveError> {
        let state = self.known(actor).await?;
        let under_way = moving(&state);
        let (mut begins, mut targets) = (vec![], BTreeMap::new());
        for name in names {
            let address = address_of(name, Class::Address);
            match under_way.get(&address) {
                Some(moving) if to.is_empty() || moving.to == *to => {}
                Some(moving) => {
                    let to = moving.to.iter().cloned().collect::<Vec<_>>().join(", ");
                    return Err(MoveError::Underway { name: name.to_string(), to });
                }
                None if state.records.contains_key(&address) => begins.push((name, address)),
                None => return Err(MoveError::Unknown(name.to_string())),
            }
        }
        if begins.is_empty() {
            return Ok(vec![]);
        }
        let addresses: BTreeSet<&Address> = begins.iter().map(|(_, address)| address).collect();
        self.undrifted(&addresses).await?;
        if to.is_empty() {
            targets = self.said(&begins, actor).await?;
        }
        let mut specs = BTreeMap::new();
        for (name, address) in begins {
            let Some(record) = recorded(&state, &address) else { continue };
            let to = targets.remove(&address).unwrap_or_else(|| to.clone());
            if values_of(&record) == to {
                continue;
            }
            self.answering(name, &to).await?;
            let there = self.there(name).await?;
            let low = there.rule.normal(Some(low), there.proxied);
            // Whoever was killed before the journal had it may have lowered the TTL already.
            let begun = there.mark.as_ref().and_then(|mark| Moving::parse(name.as_str(), mark));
            let wait = match &begun {
                Some(begun) => begun.wait,
                // What a proxy answers with stays the same, whatever is behind it.
                None if there.proxied => 0,
                None => seconds(there.ttl, &there.rule),
            };
            // A journal that was made again does not have it.
            let usual = there.rule.normal(None, false);
            let own = record.ttl.or(there.ttl.filter(|ttl| *ttl != usual));
            let moving = Moving {
                name: name.to_string(),
                to,
                stage: Stage::Lowered,
                until: None,
                wait,
                ttl: begun.map_or(own, |begun| begun.ttl),
                low: if wait <= low { own.unwrap_or(AUTOMATIC) } else { low },
            };
            let stage = if wait <= low { Stage::Switched } else { Stage::Lowered };
            specs.insert(address, moving.record(record, stage, now));
        }
        self.write(&specs, actor).await?;
        Ok(specs.values().map(told).collect())
    }

    /// Does what is to be done now about the names that move: of `names`, or of all if there are none.
    ///
    /// # Errors
    /// [`MoveError`]. What was done is done; what is left goes on with another look.
    pub async fn go_on(&self, names: &[Name], actor: &str, now: Timestamp) -> Result<Progress, MoveError> {
        let state = self.known(actor).await?;
        let mut all = moving(&state);
        let chosen: BTreeSet<Address> = names.iter().map(|n| address_of(n, Class::Address)).collect();
        all.retain(|address, _| chosen.is_empty() || chosen.contains(address));
        if all.is_empty() {
            return Ok(Progress::Done);
        }
        let (mut specs, mut unseen, mut until) = (BTreeMap::new(), vec![], vec![]);
        let mut servers: BTreeMap<String, Vec<Server>> = BTreeMap::new();
        for (address, moving) in &all {
            let Some((name, record)) = at_address(&address.0).map(|(n, _)| n).zip(recorded(&state, address))
            else {
                continue;
            };
            match moving.until.filter(|until| now < *until) {
                Some(later) => until.push(later),
                None if moving.stage == Stage::Waiting => {
                    self.undrifted(&[address].into()).await?;
                    self.answering(&name, &moving.to).await?;
                    specs.insert(address.clone(), moving.record(record, Stage::Switched, now));
                }
                None => {
                    let zone = self.config().zone_of(&name).unwrap_or_default().to_owned();
                    if !servers.contains_key(&zone) {
                        let found = verify::servers(&self.config().verify, &zone).await;
                        let mut found =
                            found.map_err(|source| SyncError::Servers { zone: zone.clone(), source })?;
                        found.retain(|server| server.authoritative);
                        servers.insert(zone.clone(), found);
                    }
                    let expected = verify::expected(&state);
                    let expected = expected.iter().find(|e| e.name == name.as_str());
                    let wrong = match expected {
                        Some(expected) => says_otherwise(expected, moving, &servers[&zone]).await,
                        None => vec![],
                    };
                    if !wrong.is_empty() {
                        unseen.extend(wrong);
                    } else if moving.stage == Stage::Lowered {
                        specs.insert(address.clone(), moving.record(record, Stage::Waiting, now));
                    } else {
                        specs.insert(address.clone(), restored(&state, address, moving, record));
                    }
                }
            }
        }
        if !specs.is_empty() {
            self.write(&specs, actor).await?;
            return Ok(Progress::Changed(specs.values().map(told).collect()));
        }
        match until.into_iter().min() {
            _ if !unseen.is_empty() => Ok(Progress::Unseen(unseen)),
            Some(until) => Ok(Progress::Waiting(until)),
            None => Ok(Progress::Done),
        }
    }

    /// Ends the moves of `names`, or of all if there are none, wherever they are: the TTL comes back, and the names lead where
    /// they lead. The next run follows their sources again. Answers with what was done.
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn cancel(&self, names: &[Name], actor: &str) -> Result<Vec<String>, MoveError> {
        let state = self.known(actor).await?;
        let chosen: BTreeSet<Address> = names.iter().map(|n| address_of(n, Class::Address)).collect();
        let mut specs = BTreeMap::new();
        for (address, moving) in moving(&state) {
            if let Some(record) = recorded(&state, &address)
                && (chosen.is_empty() || chosen.contains(&address))
            {
                specs.insert(address.clone(), restored(&state, &address, &moving, record));
            }
        }
        self.write(&specs, actor).await?;
        Ok(specs.values().map(told).collect())
    }

    /// Whether the record at each of `addresses` is as the journal has it.
    async fn undrifted(&self, addresses: &BTreeSet<&Address>) -> Result<(), MoveError> {
        let engine = self.engine(Arc::clone(self.store()));
        let (state, drift) = (engine.state().await?, engine.drift().await?.drift);
        // What a run of ours was killed at is finished by this one.
        let unfinished =
            |address: &Address| state.records.get(address).is_some_and(|r| !r.pending.is_empty());
        let odd = drift.into_iter().find(|one| addresses.contains(&one.address) && !unfinished(&one.address));
        odd.map_or(Ok(()), |one| Err(MoveError::Drifted { name: one.address.0, what: one.what }))
    }

    /// Where the sources say that each of `begins` is to lead.
    async fn said(
        &self,
        begins: &[(&Name, Address)],
        actor: &str,
    ) -> Result<BTreeMap<Address, BTreeSet<String>>, MoveError> {
        let only = begins.iter().map(|(_, address)| address.0.clone()).collect();
        let prepared = self.plan(&Options { only, ..Options::default() }, actor).await?;
        let mut out = BTreeMap::new();
        for (name, address) in begins {
            match prepared.planned.plan.step(address) {
                Some(step) => {
                    out.insert(address.clone(), values(step.wanted.as_json()));
                }
                None => {
                    let left = prepared.left.iter().find(|left| left.name == name.as_str());
                    let why = left.map_or_else(
                        || "it leads where its sources say; name another target: --to TARGET".to_owned(),
                        |left| left.why.clone(),
                    );
                    return Err(MoveError::Nowhere { name: name.to_string(), why });
                }
            }
        }
        Ok(out)
    }

    /// Whether the targets answer, where that is asked for.
    async fn answering(&self, name: &Name, to: &BTreeSet<String>) -> Result<(), MoveError> {
        match self.prober() {
            Some(prober) => prober
                .answers(name, to)
                .await
                .map_err(|why| MoveError::Silent { name: name.to_string(), why }),
            None => Ok(()),
        }
    }

    /// What the zone has at `name`.
    async fn there(&self, name: &Name) -> Result<There, MoveError> {
        let zone = self.config().zone_of(name).unwrap_or_default();
        let Some(provider) = self.zones().get(zone) else {
            return Err(MoveError::Unknown(name.to_string()));
        };
        let failed = |source| SyncError::Zone { zone: zone.to_owned(), source };
        let place = place_of(self.config(), zone);
        let client = ZoneClient::connect(Arc::clone(provider), &place).await.map_err(failed)?;
        let entries = client.records().await.map_err(failed)?;
        let here = entries.iter().find(|e| e.name == *name && e.class() == Some(Class::Address));
        let places = here.map(|e| owner::places(name, &e.kind, &client.zone().name)).unwrap_or_default();
        let marks = entries.iter().filter(|e| places.contains(&e.name)).filter_map(owner::mark_in);
        let mut ours = marks.filter(|mark| mark.is_ours() && mark.owner == self.config().owner);
        Ok(There {
            ttl: here.map(|e| e.ttl),
            proxied: here.is_some_and(|e| e.proxied == Some(true)),
            mark: ours.find_map(|mark| mark.tags().0.remove(MOVE)),
            rule: client.limits().ttl,
        })
    }

    /// Has the zone say `specs`, as any other run would: with its guards.
    async fn write(&self, specs: &BTreeMap<Address, Record>, actor: &str) -> Result<(), MoveError> {
        if specs.is_empty() {
            return Ok(());
        }
        let mut stack = Stack::new(self.config().owner.clone());
        for (address, record) in specs {
            let name = named(record);
            let zone = Name::parse(name).ok().and_then(|name| self.config().zone_of(&name));
            let Some(zone) = zone.map(str::to_owned) else {
                return Err(MoveError::Unknown(name.to_owned()));
            };
            stack.at(&place_of(self.config(), &zone), |stack| stack.add(&address.0, record.clone()));
        }
        let only = specs.keys().map(|address| address.0.clone()).collect();
        let engine = self.engine(Arc::clone(self.store()));
        let planned = engine.plan(&stack, &PlanOptions { only, ..PlanOptions::default() }).await?;
        if let Some(conflict) = planned.plan.conflicts.first() {
            let (name, what) = (conflict.address.0.clone(), conflict.why.clone());
            return Err(MoveError::Nowhere { name, why: what });
        }
        let refusals: Vec<Refusal> = guard::guard(&planned, &self.config().rules());
        if !refusals.is_empty() {
            return Err(EngineError::Refused(refusals).into());
        }
        let run = Run { actor: actor.to_owned(), ..Run::default() };
        let report = engine.apply(planned, &run).await?;
        if report.is_complete() {
            return Ok(());
        }
        Err(MoveError::Failed(report.failed.into_iter().chain(report.skipped).collect()))
    }
}

/// As it is without the move.
fn restored(state: &State, address: &Address, moving: &Moving, mut record: Record) -> Record {
    record.tags.0.remove(MOVE);
    // What a journal that was made again does not have as sent would stay as it is.
    let sent = state.records.get(address).map(|r| r.applied().as_json()["ttl"].is_number());
    record.ttl = moving.ttl.or_else(|| (sent == Some(false)).then_some(AUTOMATIC));
    record
}

/// Its name: no record of a move waits for one.
fn named(record: &Record) -> &str {
    record.name.get().map(String::as_str).unwrap_or_default()
}

/// What was done, for people.
fn told(record: &Record) -> String {
    let (name, leads) = (named(record), values_of(record).into_iter().collect::<Vec<_>>().join(", "));
    match Moving::of(record) {
        None => format!("`{name}` leads to {leads}, and its TTL is what it was"),
        Some(Moving { stage: Stage::Lowered, low, wait, .. }) => {
            format!("the TTL of `{name}` is {low} s; it was {wait} s")
        }
        Some(Moving { stage: Stage::Waiting, wait, .. }) => {
            format!("the servers of `{name}` say so; old answers may be kept for {wait} s")
        }
        Some(Moving { stage: Stage::Switched, .. }) => format!("`{name}` leads to {leads}"),
    }
}

/// Which of the zone's own servers do not say what they should yet, and what they say.
async fn says_otherwise(expected: &Expected, moving: &Moving, servers: &[Server]) -> Vec<String> {
    if moving.stage == Stage::Switched {
        let checked = verify::check(std::slice::from_ref(expected), servers).await;
        let wrong = checked.into_iter().filter(|one| !one.right);
        return wrong
            .map(|one| {
                let says = one.error.unwrap_or_else(|| one.says.into_iter().collect::<Vec<_>>().join(", "));
                format!("{} says of `{}`: {says}", one.server, one.name)
            })
            .collect();
    }
    let mut out = vec![];
    for server in servers {
        for word in expected.values.keys() {
            match ask(server.at, &verify::asked(&expected.name), &Kind::of(word), false).await {
                Ok(said) if said.ttl <= moving.low => {}
                Ok(said) => {
                    out.push(format!("{} says of `{}`: for {} s", server.name, expected.name, said.ttl));
                }
                Err(error) => out.push(format!("{} does not answer: {error}", server.name)),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_move_is_goes_into_a_tag_and_back() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut record = Record::address("*.ai.example.com", ["192.0.2.1".to_owned()]).unwrap();
        record.tags.0.insert(crate::wanted::SOURCE.into(), "clusters/ohio".into());
        for ttl in [None, Some(600)] {
            let moving = Moving {
                name: "*.ai.example.com".into(),
                to: ["192.0.2.7", "2001:db8::7"].map(str::to_owned).into(),
                stage: Stage::Waiting,
                until: Some(now + Duration::from_secs(300)),
                wait: 300,
                ttl,
                low: 60,
            };
            let on_its_way = moving.record(record.clone(), Stage::Waiting, now);
            assert_eq!(Moving::of(&on_its_way), Some(moving.clone()));
            assert_eq!((on_its_way.ttl, &on_its_way.values), (Some(60), &record.values));
            let switched = moving.record(on_its_way, Stage::Switched, now);
            assert_eq!(switched.values.0.len(), 2);
            assert_eq!(Moving::of(&switched).unwrap().until, None);
        }
        assert_eq!(Moving::of(&record), None);
    }
}
