//! One zone of one provider, as many records see it: listed once, changed in as few calls as the provider allows.
//!
//! Looks share a list: all of a plan one, and what is made after it the same, corrected by what was made. Every change is
//! decided from that list, and is refused by the provider where somebody else was quicker; then nothing was changed, and
//! the list is fetched anew. Changes that come at about the same time go out together. Where the provider refuses a
//! chunk, it is halved until what is bad is alone: the others go through.

use crate::{
    error::{ProviderError, Shared as SharedError},
    name::Name,
    place::DnsZone,
    provider::{Change, Limits, Provider, Weight},
    record::Entry,
    wanted::Listing,
    zone::Zone,
};
use causeway_core::{Error, place::Client};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};

/// How long a change waits for company once nobody came any more. Far below the time of one call.
const QUIET: Duration = Duration::from_millis(20);

/// For how long it waits at most while others keep coming.
const GATHER: Duration = Duration::from_millis(500);

/// For how long what was listed is a reason to act. What was changed by others since is seen by the provider, which
/// refuses then; so it costs a call, and no record.
const FRESH: Duration = Duration::from_secs(60);

/// A zone, to be looked at and changed. Cheap to clone; all clones share a list and a queue.
#[derive(Clone)]
pub struct ZoneClient(Arc<Inner>);

struct Inner {
    provider: Arc<dyn Provider>,
    zone: Zone,
    listed: tokio::sync::Mutex<Option<Listed>>,
    queue: Mutex<Queue>,
}

struct Listed {
    /// The survey that it was fetched for.
    survey: Option<u64>,
    at: Instant,
    records: Listing,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether somebody is at work on it.
    busy: bool,
}

/// Decides, from what is there, what is to be changed.
pub(crate) type Decide = Box<dyn Fn(&Listing) -> Result<Change, Error> + Send + Sync>;

struct Waiting {
    decide: Decide,
    answer: oneshot::Sender<Result<(), Error>>,
}

struct Decided {
    change: Change,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Client for ZoneClient {
    type Place = DnsZone;
}

impl ZoneClient {
    /// Speaks to `zone` of `provider`.
    pub fn new(provider: Arc<dyn Provider>, zone: Zone) -> Self {
        ZoneClient(Arc::new(Inner {
            provider,
            zone,
            listed: tokio::sync::Mutex::new(None),
            queue: Mutex::default(),
        }))
    }

    /// Finds `zone` at `provider`. Where its id is known, nobody is asked.
    ///
    /// # Errors
    /// When the provider cannot be asked, or has no such zone.
    pub async fn connect(provider: Arc<dyn Provider>, zone: &DnsZone) -> Result<Self, Error> {
        let name = Name::parse(&zone.name).map_err(|e| Error::Invalid(e.to_string()))?;
        if let Some(id) = &zone.id {
            return Ok(ZoneClient::new(provider, Zone { name, id: id.clone() }));
        }
        let zones = provider.zones().await.map_err(ProviderError::into_error)?;
        let mut named: Vec<Zone> = zones.iter().filter(|z| z.name == name).cloned().collect();
        match (named.pop(), named.pop()) {
            (Some(zone), None) => Ok(ZoneClient::new(provider, zone)),
            (Some(one), Some(other)) => Err(Error::Invalid(format!(
                "{} has two zones called `{name}` ({} and {}); say which by its id",
                provider.name(),
                other.id,
                one.id
            ))),
            (None, _) => Err(Error::Invalid(unknown(&name, &zones, provider.name()))),
        }
    }

    /// The zone.
    pub fn zone(&self) -> &Zone {
        &self.0.zone
    }

    /// What the provider can do.
    pub fn limits(&self) -> &Limits {
        self.0.provider.limits()
    }

    /// What `see` makes of what is there. `survey`: one of the many looks that a plan begins with, which share a list that
    /// was fetched for them.
    pub(crate) async fn look<T>(
        &self,
        survey: Option<u64>,
        see: impl FnOnce(&Listing) -> T,
    ) -> Result<T, Error> {
        let mut listed = self.0.listed.lock().await;
        let listed = self.0.fetched(&mut listed, survey).await.map_err(ProviderError::into_error)?;
        Ok(see(&listed.records))
    }

    /// All records of the zone, as a plan that begins now sees them.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn records(&self) -> Result<Vec<Entry>, Error> {
        self.forget().await;
        self.look(None, |listing| listing.values().flatten().cloned().collect()).await
    }

    /// Has the zone listed anew before anything else.
    pub(crate) async fn forget(&self) {
        *self.0.listed.lock().await = None;
    }

    /// Changes what `decide` says, together with what others change at about the same time.
    pub(crate) async fn change(&self, decide: Decide) -> Result<(), Error> {
        let (answer, receive) = oneshot::channel();
        let begins = {
            let mut queue = self.0.queue();
            queue.waiting.push(Waiting { decide, answer });
            !std::mem::replace(&mut queue.busy, true)
        };
        if begins {
            tokio::spawn(Arc::clone(&self.0).work());
        }
        let gone = |_| Err(Error::Invalid("the change was cancelled before it was sent".into()));
        receive.await.unwrap_or_else(gone)
    }
}

fn unknown(name: &Name, zones: &[Zone], provider: &str) -> String {
    let shown: Vec<String> = zones.iter().take(8).map(|z| format!("`{}`", z.name)).collect();
    let there = match shown.len() {
        0 => "they show none".to_owned(),
        _ if zones.len() > shown.len() => {
            format!("they show {} and {} more", shown.join(", "), zones.len() - 8)
        }
        _ => format!("they show {}", shown.join(", ")),
    };
    format!(
        "the credentials for {provider} show no zone `{name}`: {there}; look at its spelling, or let the token read it"
    )
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetched<'l>(
        &self,
        listed: &'l mut Option<Listed>,
        survey: Option<u64>,
    ) -> Result<&'l mut Listed, ProviderError> {
        let serves = |l: &Listed| match survey {
            Some(_) => l.survey == survey,
            None => l.at.elapsed() < FRESH,
        };
        match listed.take().filter(serves) {
            Some(good) => Ok(listed.insert(good)),
            None => {
                let at = Instant::now();
                let mut records = Listing::new();
                for entry in self.provider.list(&self.zone).await? {
                    records.entry(entry.name.clone()).or_default().push(entry);
                }
                Ok(listed.insert(Listed { survey, at, records }))
            }
        }
    }

    /// Sends what waits until nothing does.
    async fn work(self: Arc<Self>) {
        loop {
            self.gather().await;
            let waiting = std::mem::take(&mut self.queue().waiting);
            self.send(waiting).await;
            let mut queue = self.queue();
            if queue.waiting.is_empty() {
                queue.busy = false;
                return;
            }
        }
    }

    /// Waits until no more changes come.
    async fn gather(&self) {
        let begun = Instant::now();
        let mut seen = self.queue().waiting.len();
        while begun.elapsed() < GATHER {
            tokio::time::sleep(QUIET).await;
            let now = self.queue().waiting.len();
            if now == seen {
                return;
            }
            seen = now;
        }
    }

    async fn send(&self, mut waiting: Vec<Waiting>) {
        while !waiting.is_empty() {
            let (chunk, rest) = self.chunk(waiting).await;
            waiting = rest;
            if !chunk.is_empty() {
                self.apply(chunk).await;
            }
        }
    }

    /// Decides as many changes as go into one call. Two about one set do not: the second has to see what became of the
    /// first.
    async fn chunk(&self, waiting: Vec<Waiting>) -> (Vec<Decided>, Vec<Waiting>) {
        let mut held = self.listed.lock().await;
        let listed = match self.fetched(&mut held, None).await {
            Ok(listed) => listed,
            Err(error) => {
                let error = SharedError(Arc::new(error));
                for one in waiting {
                    tell(one.answer, Err(error.clone().into_error()));
                }
                return (vec![], vec![]);
            }
        };
        let most = self.provider.limits().chunk;
        let (mut chunk, mut rest): (Vec<Decided>, Vec<Waiting>) = (vec![], vec![]);
        let (mut weight, mut taken) = (Weight::default(), BTreeSet::new());
        for one in waiting {
            let change = match (one.decide)(&listed.records) {
                Ok(change) if change.is_empty() => {
                    tell(one.answer, Ok(()));
                    continue;
                }
                Ok(change) => change,
                Err(error) => {
                    tell(one.answer, Err(error));
                    continue;
                }
            };
            let more = weight + self.provider.weigh(&change);
            let sets: Vec<_> = change.sets.iter().map(|s| (s.name.clone(), s.word.clone())).collect();
            let alone = chunk.is_empty();
            if sets.iter().any(|set| taken.contains(set)) || !(more.fits(most) || alone) {
                rest.push(one);
                continue;
            }
            weight = more;
            taken.extend(sets);
            chunk.push(Decided { change, answer: one.answer });
        }
        (chunk, rest)
    }

    /// Sends `chunk`, in halves where it is refused.
    async fn apply(&self, chunk: Vec<Decided>) {
        let mut parts = vec![chunk];
        while let Some(mut part) = parts.pop() {
            let changes: Vec<Change> = part.iter().map(|d| d.change.clone()).collect();
            match self.provider.change(&self.zone, &changes).await {
                Ok(now) => {
                    self.learn(&changes, now).await;
                    part.into_iter().for_each(|one| tell(one.answer, Ok(())));
                }
                Err(error) if error.is_refusal() && part.len() > 1 => {
                    tracing::debug!(changes = part.len(), %error, "a chunk is refused, and halved");
                    let second = part.split_off(part.len() / 2);
                    parts.push(second);
                    parts.push(part);
                }
                Err(error) => {
                    if error.leaves_doubt() {
                        *self.listed.lock().await = None;
                    }
                    let error = SharedError(Arc::new(error));
                    part.into_iter().for_each(|one| tell(one.answer, Err(error.clone().into_error())));
                }
            }
        }
    }

    /// Corrects the list by what was just made.
    async fn learn(&self, changes: &[Change], now: Vec<Entry>) {
        let mut held = self.listed.lock().await;
        if now.iter().any(|entry| entry.handle.is_empty()) {
            *held = None;
        }
        let Some(listed) = held.as_mut() else { return };
        for set in changes.iter().flat_map(|change| &change.sets) {
            if let Some(entries) = listed.records.get_mut(&set.name) {
                entries.retain(|e| e.kind.as_str() != set.word);
            }
        }
        for entry in now {
            listed.records.entry(entry.name.clone()).or_default().push(entry);
        }
    }
}

/// Whoever is gone no longer wants to know.
fn tell(answer: oneshot::Sender<Result<(), Error>>, what: Result<(), Error>) {
    let _ = answer.send(what);
}
