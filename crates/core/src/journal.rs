//! What was meant and what happened, in order. State is the fold of the journal.
//!
//! An intent is durable before the first byte of its call goes out; its outcome is written after the answer. A crash
//! in between leaves an open intent, and the next run finds out what became of it.

use crate::{
    claim::Origin,
    diff::{both, either},
    durations::Durations,
    place::PlaceData,
    secret::{SealKey, Sealed},
    store::{Store, StoreError},
    value::Address,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// An entry with its place in the order, and when it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// From 1, without gaps.
    pub seq: u64,
    /// When it was written, by the writer's clock.
    pub at: jiff::Timestamp,
    /// What was meant or happened.
    pub entry: Entry,
}

/// What was meant or happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The first entry of every journal.
    Opened {
        /// [`FORMAT`].
        format: u32,
        /// The stack that it is about.
        stack: String,
        /// The key of all digests of secrets in it.
        seal_key: SealKey,
    },
    /// Everything in this journal is in one account.
    Belongs {
        /// The account, as its provider names it.
        to: String,
    },
    /// From here on the journal is kept elsewhere. The last entry where it was, and one like any other where it is.
    Home {
        /// [`Store::home`] of where it is kept.
        at: String,
    },
    /// A run starts to apply a plan.
    Plan {
        /// The plan's digest.
        digest: String,
        /// Who runs it, on which host.
        actor: String,
    },
    /// Something is about to be done.
    Begin {
        /// To which resource.
        address: Address,
        /// To which incarnation of it.
        instance: String,
        /// What.
        act: Act,
        /// All that is needed to find and finish it later.
        request: Request,
    },
    /// What was begun is done, and the resource is as wanted.
    Done {
        /// Which resource.
        address: Address,
        /// Which incarnation.
        instance: String,
        /// What it tells others.
        outputs: Json,
        /// How long it took, in milliseconds.
        took_ms: u64,
    },
    /// What was begun did not work. The intent stays open: the call may have had an effect.
    Failed {
        /// Which resource.
        address: Address,
        /// Which incarnation.
        instance: String,
        /// Why.
        error: String,
    },
    /// It is not there any more: deleted by us, vanished, or never made.
    Gone {
        /// Which resource.
        address: Address,
        /// Which incarnation.
        instance: String,
    },
    /// Something changed that the cloud does not know: the order of things, or protection.
    Noted {
        /// Which resource.
        address: Address,
        /// Which incarnation.
        instance: String,
        /// What it waits for now.
        after: BTreeSet<Address>,
        /// Whether it is protected now.
        protect: bool,
    },
    /// Resources stand at other addresses now. They are what they were.
    Moved {
        /// The new address, by the old one. All of them at once, so that they may change places.
        moves: BTreeMap<Address, Address>,
    },
    /// Whoever runs it has overruled a guard.
    Overruled {
        /// Which rule.
        rule: String,
        /// Why, in their words.
        why: String,
    },
    /// There is a copy of its data that can be used, because it is about to be removed.
    Copied {
        /// Which resource.
        address: Address,
        /// Which incarnation.
        instance: String,
        /// What the copy is called, in the words of its cloud.
        copy: String,
    },
}

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// It is made.
    Create,
    /// It is taken over, or taken back: what was being replaced stays.
    Adopt,
    /// It is changed in place.
    Update,
    /// It is removed.
    Delete,
}

/// All that is needed to find and finish an act later, by another program if need be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The kind.
    pub kind: String,
    /// Where it lives.
    pub place: PlaceData,
    /// The wanted spec, every value known.
    pub spec: Sealed,
    /// What must outlive it. Kept here so that deletion needs no program.
    pub after: BTreeSet<Address>,
    /// Whether it is protected.
    pub protect: bool,
    /// Where it comes from, if we did not think it up: names that people chose stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// How far a resource has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A create was begun. Whether it had an effect is not known.
    Creating,
    /// As the record says.
    Ready,
    /// An update was begun.
    Updating,
    /// A delete was begun.
    Deleting,
}

/// What the journal knows of one incarnation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which incarnation.
    pub instance: String,
    /// How far it has come.
    pub phase: Phase,
    /// The last request that was done; while creating, the one that was begun.
    pub request: Request,
    /// The other specs of which something may have been sent since the last act that was done, oldest first.
    pub pending: Vec<Sealed>,
    /// The outputs of the last act that was done.
    pub outputs: Option<Json>,
    /// When it last changed.
    pub at: jiff::Timestamp,
    /// Why the last act did not work.
    pub error: Option<String>,
}

impl Record {
    fn go_on(&mut self, at: jiff::Timestamp, request: &Request) {
        self.request.after.clone_from(&request.after);
        self.request.protect = request.protect;
        self.pending.push(request.spec.clone());
        self.at = at;
    }

    /// Every field that an act on it may have set: what is unset now and is in here, is to be removed.
    pub fn applied(&self) -> Sealed {
        let merged = |all: Json, next: &Sealed| either(&all, next.as_json());
        Sealed::again(self.pending.iter().fold(self.request.spec.as_json().clone(), merged))
    }

    /// What the cloud has for sure of the fields that it never shows: that on which all acts agree that may have
    /// had an effect.
    pub fn sent(&self) -> Sealed {
        let agreed = |all: Json, next: &Sealed| both(&all, next.as_json());
        Sealed::again(self.pending.iter().fold(self.request.spec.as_json().clone(), agreed))
    }
}

/// The fold of a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// The last entry.
    pub seq: u64,
    /// The stack; empty before the first entry.
    pub stack: String,
    /// The key of all digests.
    pub seal_key: Option<SealKey>,
    /// The account that everything is in, if that was told.
    pub belongs: Option<String>,
    /// Where it was moved to last, if ever.
    pub home: Option<String>,
    /// The incarnation that counts, by address.
    pub records: BTreeMap<Address, Record>,
    /// Incarnations that were replaced and are still to be removed.
    pub leftovers: BTreeMap<Address, Vec<Record>>,
    /// How long things took.
    pub durations: Durations,
    /// The last run.
    pub last_run: Option<Run>,
}

/// A run that was begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// When.
    pub at: jiff::Timestamp,
    /// Who, on which host.
    pub actor: String,
    /// Of which plan.
    pub digest: String,
}

/// An entry that cannot follow those before it.
#[derive(Debug, thiserror::Error)]
#[error("entry {seq} of the journal cannot follow those before it: {why}")]
pub struct BadEntry {
    /// Which entry.
    pub seq: u64,
    /// Why not.
    pub why: String,
}

impl State {
    /// Folds `entries`.
    ///
    /// # Errors
    /// [`BadEntry`] where one cannot follow those before it.
    pub fn fold(entries: &[Stamped]) -> Result<Self, BadEntry> {
        let mut state = State::default();
        entries.iter().try_for_each(|e| state.push(e))?;
        Ok(state)
    }

    /// Adds one entry.
    ///
    /// # Errors
    /// [`BadEntry`] where it cannot follow those before it.
    pub fn push(&mut self, stamped: &Stamped) -> Result<(), BadEntry> {
        let bad = |why: String| BadEntry { seq: stamped.seq, why };
        if stamped.seq != self.seq + 1 {
            return Err(bad(format!("{} comes after {}", stamped.seq, self.seq)));
        }
        let opened = self.seal_key.is_some();
        match &stamped.entry {
            Entry::Opened { .. } if opened => return Err(bad("it was opened before".into())),
            Entry::Opened { format, .. } if *format > FORMAT => {
                return Err(bad(format!(
                    "its format {format} is newer than this program, which reads {FORMAT}"
                )));
            }
            Entry::Opened { stack, seal_key, .. } => {
                self.stack.clone_from(stack);
                self.seal_key = Some(seal_key.clone());
            }
            _ if !opened => return Err(bad("the journal was not opened".into())),
            Entry::Belongs { to } => self.belongs = Some(to.clone()),
            Entry::Home { at } => self.home = Some(at.clone()),
            Entry::Plan { digest, actor } => {
                self.last_run = Some(Run { at: stamped.at, actor: actor.clone(), digest: digest.clone() });
            }
            Entry::Begin { address, instance, act, request } => {
                self.begin(stamped.at, address, instance, *act, request).map_err(bad)?;
            }
            Entry::Done { address, instance, outputs, .. } => {
                let record = self.find(address, instance).map_err(bad)?;
                record.phase = Phase::Ready;
                if let Some(spec) = std::mem::take(&mut record.pending).pop() {
                    record.request.spec = spec;
                }
                record.outputs = Some(outputs.clone());
                record.error = None;
                record.at = stamped.at;
            }
            Entry::Failed { address, instance, error } => {
                self.find(address, instance).map_err(bad)?.error = Some(error.clone());
            }
            Entry::Gone { address, instance } => {
                self.find(address, instance).map_err(bad)?;
                self.remove(address, instance);
            }
            Entry::Noted { address, instance, after, protect } => {
                let record = self.find(address, instance).map_err(bad)?;
                record.request.after.clone_from(after);
                record.request.protect = *protect;
            }
            Entry::Moved { moves } => self.rename(moves).map_err(bad)?,
            Entry::Overruled { .. } => {}
            Entry::Copied { address, instance, .. } => {
                self.find(address, instance).map_err(bad)?;
            }
        }
        self.durations.push(stamped);
        self.seq = stamped.seq;
        Ok(())
    }

    /// Gives records other addresses, all at once.
    ///
    /// # Errors
    /// Two would get the same one, or there is nothing at an old one.
    pub(crate) fn rename(&mut self, moves: &BTreeMap<Address, Address>) -> Result<(), String> {
        let now = |address: &Address| moves.get(address).unwrap_or(address).clone();
        if let Some(none) =
            moves.keys().find(|a| !self.records.contains_key(a) && !self.leftovers.contains_key(a))
        {
            return Err(format!("there is no `{none}` that could move"));
        }
        let addresses: BTreeSet<&Address> = self.records.keys().chain(self.leftovers.keys()).collect();
        let mut taken = BTreeSet::new();
        if let Some(twice) = addresses.into_iter().map(now).find(|to| !taken.insert(to.clone())) {
            return Err(format!("two resources would be at `{twice}`"));
        }
        self.records = std::mem::take(&mut self.records).into_iter().map(|(a, r)| (now(&a), r)).collect();
        self.leftovers = std::mem::take(&mut self.leftovers).into_iter().map(|(a, r)| (now(&a), r)).collect();
        for record in self.records.values_mut().chain(self.leftovers.values_mut().flatten()) {
            record.request.after = record.request.after.iter().map(now).collect();
        }
        Ok(())
    }

    fn begin(
        &mut self,
        at: jiff::Timestamp,
        address: &Address,
        instance: &str,
        act: Act,
        request: &Request,
    ) -> Result<(), String> {
        match act {
            // A create that goes on, with another spec: some of the first may be in the cloud.
            Act::Create
                if self
                    .records
                    .get(address)
                    .is_some_and(|r| r.instance == instance && r.phase == Phase::Creating) =>
            {
                let record = self.find(address, instance)?;
                record.go_on(at, request);
            }
            // What was being replaced stays after all, and what was to replace it goes.
            Act::Create | Act::Adopt if self.is_leftover(address, instance) => {
                let mut back = self.find(address, instance)?.clone();
                self.remove(address, instance);
                if let Some(old) = self.records.remove(address) {
                    self.leftovers.entry(address.clone()).or_default().push(old);
                }
                back.phase = if act == Act::Create { Phase::Creating } else { Phase::Updating };
                back.go_on(at, request);
                self.records.insert(address.clone(), back);
            }
            Act::Create | Act::Adopt => {
                if let Some(old) = self.records.get(address)
                    && old.instance != instance
                {
                    self.leftovers.entry(address.clone()).or_default().push(old.clone());
                }
                // What is taken over was made by others: nothing of what is wanted has been sent to it yet.
                let pending = match act {
                    Act::Adopt => vec![Sealed::default(), request.spec.clone()],
                    _ => vec![],
                };
                let record = Record {
                    instance: instance.to_owned(),
                    phase: Phase::Creating,
                    request: request.clone(),
                    pending,
                    outputs: None,
                    at,
                    error: None,
                };
                self.records.insert(address.clone(), record);
            }
            Act::Update => {
                let record = self.find(address, instance)?;
                record.phase = Phase::Updating;
                record.go_on(at, request);
            }
            Act::Delete => {
                let record = self.find(address, instance)?;
                record.phase = Phase::Deleting;
                record.at = at;
            }
        }
        Ok(())
    }

    fn is_leftover(&self, address: &Address, instance: &str) -> bool {
        self.leftovers.get(address).is_some_and(|all| all.iter().any(|r| r.instance == instance))
    }

    fn find(&mut self, address: &Address, instance: &str) -> Result<&mut Record, String> {
        let current = self.records.get_mut(address).filter(|r| r.instance == instance);
        let leftover =
            self.leftovers.get_mut(address).and_then(|all| all.iter_mut().find(|r| r.instance == instance));
        current.or(leftover).ok_or_else(|| format!("there is no incarnation {instance} of `{address}`"))
    }

    fn remove(&mut self, address: &Address, instance: &str) {
        if self.records.get(address).is_some_and(|r| r.instance == instance) {
            self.records.remove(address);
        }
        if let Some(all) = self.leftovers.get_mut(address) {
            all.retain(|r| r.instance != instance);
            if all.is_empty() {
                self.leftovers.remove(address);
            }
        }
    }

    /// Every incarnation that may be in the cloud, with its address.
    pub fn incarnations(&self) -> impl Iterator<Item = (&Address, &Record)> {
        self.records.iter().chain(self.leftovers.iter().flat_map(|(a, all)| all.iter().map(move |r| (a, r))))
    }
}

/// A journal that is being written. Entries that come at about the same time go out together.
pub struct Journal {
    store: Arc<dyn Store>,
    now: Clock,
    queue: Mutex<Queue>,
    writing: tokio::sync::Mutex<Option<StoreError>>,
}

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

struct Queue {
    state: State,
    durable: u64,
    waiting: Vec<Stamped>,
}

/// Why an entry could not be written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store did not take it.
    #[error("the journal could not be written")]
    Write(#[from] StoreError),
    /// It makes no sense.
    #[error(transparent)]
    Bad(#[from] BadEntry),
}

impl Journal {
    /// Goes on after the entries of which `state` is the fold.
    pub fn new(store: Arc<dyn Store>, state: State, now: Clock) -> Self {
        let durable = state.seq;
        Journal {
            store,
            now,
            queue: Mutex::new(Queue { state, durable, waiting: vec![] }),
            writing: tokio::sync::Mutex::default(),
        }
    }

    /// Looks at the state with everything that was appended.
    pub fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.queue.lock().unwrap_or_else(PoisonError::into_inner).state)
    }

    /// What the journal knows of one incarnation.
    pub fn record(&self, address: &Address, instance: &str) -> Option<Record> {
        self.with(|s| {
            let current = s.records.get(address).filter(|r| r.instance == instance);
            let leftover = || s.leftovers.get(address)?.iter().find(|r| r.instance == instance);
            current.or_else(leftover).cloned()
        })
    }

    /// Appends `entry` and returns once it is durable.
    ///
    /// # Errors
    /// As [`Journal::durable`], and when it makes no sense.
    pub async fn append(&self, entry: Entry) -> Result<(), JournalError> {
        let seq = self.note(entry)?;
        self.durable(seq).await
    }

    /// Queues `entry` and answers its number. It becomes durable with the next one that somebody waits for, and never
    /// after it: what is appended later vouches for it.
    ///
    /// # Errors
    /// When it makes no sense.
    pub fn note(&self, entry: Entry) -> Result<u64, JournalError> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let stamped = Stamped { seq: queue.state.seq + 1, at: (self.now)(), entry };
        queue.state.push(&stamped)?;
        queue.waiting.push(stamped);
        Ok(queue.state.seq)
    }

    /// Returns once all entries up to `seq` are durable.
    ///
    /// # Errors
    /// When the store does not take them: another writer was there first, or the disk is full. From then on every
    /// append fails, so that nothing more is begun.
    pub async fn durable(&self, seq: u64) -> Result<(), JournalError> {
        // Whoever comes first writes for all that queued up meanwhile.
        let mut broken = self.writing.lock().await;
        if let Some(error) = &*broken {
            return Err(error.clone().into());
        }
        let (after, batch) = {
            let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.durable >= seq {
                return Ok(());
            }
            (queue.durable, queue.waiting.clone())
        };
        if let Err(error) = self.store.append(after, &batch).await {
            *broken = Some(error.clone());
            return Err(error.into());
        }
        // Only now: a writer that is dropped half-way leaves the queue to the next one, which the store then fences.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.durable = after + batch.len() as u64;
        queue.waiting.drain(..batch.len());
        Ok(())
    }
}
