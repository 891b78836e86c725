//! Does what a plan says: in parallel, in order, longest remaining path first. Makes no choices of its own; it may do
//! less than the plan, never more.

mod make;
mod remove;
mod steps;

use crate::{
    away::Away,
    error::{Error, chain},
    estimate::{self, Spread},
    event::Event,
    journal::{Journal, JournalError},
    observe::{ObserveError, Observed},
    parts::{self, Parts},
    place::PlaceData,
    plan::{Action, Plan, Step},
    reach::Reach,
    registry::{AnyKind, AnyLive, At, Registry},
    resource::Status,
    schedule::Schedule,
    secret::{SealKey, Sealed},
    stack::Stack,
    value::{Address, lookup_in},
    wait::{Pace, Stop, pause},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
pub(crate) use steps::{Key, Part, edges};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};

/// Told what happens, from any task.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

/// Makes incarnation ids.
pub type NewInstance = Arc<dyn Fn() -> String + Send + Sync>;

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What was done, in the order in which it was.
    pub done: Vec<(Address, Action)>,
    /// What did not work, and why.
    pub failed: Vec<(Address, String)>,
    /// What was not tried, and why.
    pub skipped: Vec<(Address, String)>,
    /// The places that could not be reached, from the start or any more, and what waits for them.
    pub away: Vec<Away>,
    /// All outputs that are known now.
    pub outputs: BTreeMap<Address, Json>,
}

impl Report {
    /// Whether everything that was planned was done, and no place was away.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty() && self.away.is_empty()
    }
}

/// Why a step did not work.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] Error),
    /// The journal did not take an entry, so nothing more was begun.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A kind is unknown.
    #[error(transparent)]
    Kind(#[from] ObserveError),
    /// The cloud says that it will not come right.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("timed out after {}: {on}", crate::render::duration(*after))]
    TimedOut {
        /// The kind's timeout.
        after: Duration,
        /// What it waited for.
        on: String,
    },
    /// Updates that the cloud accepts change nothing.
    #[error("the cloud accepts an update and still differs in {}", fields.join(", "))]
    NotConverged {
        /// The fields that differ.
        fields: Vec<String>,
    },
    /// What is there is not what the plan was made for.
    #[error("{0} since it was planned; plan again")]
    Stale(String),
    /// The run was aborted. Running again finds out what became of it.
    #[error("aborted while it ran")]
    Aborted,
}

/// One run.
pub(crate) struct Run {
    pub(crate) stack: Stack,
    pub(crate) plan: Plan,
    /// Where in the plan the step of an address is.
    numbers: BTreeMap<Address, usize>,
    pub(crate) registry: Registry,
    pub(crate) journal: Journal,
    pub(crate) key: SealKey,
    pub(crate) adopt: bool,
    pub(crate) listener: Listener,
    pub(crate) new_instance: NewInstance,
    pub(crate) stop: Stop,
    pub(crate) at_once: usize,
    /// How many times as often it looks at what it waits for.
    hurry: u32,
    /// What the stack wants of what was there when it was planned.
    parts: Parts,
    /// How long each part takes, as far as it was known when the run began.
    times: BTreeMap<Key, Spread>,
    outputs: Mutex<BTreeMap<Address, Json>>,
    /// Planned replacements that turned out not to be needed.
    kept: Mutex<BTreeSet<Address>>,
    pub(crate) reach: Reach,
    /// The places that do not answer any more, and why.
    lost: Mutex<BTreeMap<String, String>>,
}

/// What a step works on.
struct Target<'a> {
    address: &'a Address,
    kind: &'a dyn AnyKind,
    place: PlaceData,
    instance: String,
    recorded: Option<Json>,
    /// Whether it is to go.
    going: bool,
}

impl Target<'_> {
    fn at(&self) -> At<'_> {
        At {
            place: &self.place.spec,
            address: self.address,
            instance: &self.instance,
            recorded: self.recorded.as_ref(),
            going: self.going,
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "called once, by the engine, which owns all of these")]
pub(crate) fn run(
    stack: Stack,
    plan: Plan,
    observed: &Observed,
    registry: Registry,
    journal: Journal,
    key: SealKey,
    adopt: bool,
    listener: Listener,
    new_instance: NewInstance,
    stop: Stop,
    at_once: usize,
    hurry: u32,
) -> Arc<Run> {
    let numbers: BTreeMap<Address, usize> = plan
        .steps
        .iter()
        .enumerate()
        .filter(|(_, s)| !s.leftover)
        .map(|(i, s)| (s.address.clone(), i))
        .rev()
        .collect();
    // What is not touched is known already.
    let outputs = observed
        .live
        .iter()
        .filter(|(a, _)| !numbers.contains_key(*a))
        .map(|(a, live)| (a.clone(), live.outputs.clone()))
        .collect();
    let parts = parts::found(&stack, observed, &registry);
    let times = journal.with(|state| estimate::times(&plan, state, &registry));
    Arc::new(Run {
        stack,
        plan,
        numbers,
        registry,
        journal,
        key,
        adopt,
        listener,
        new_instance,
        stop,
        at_once,
        hurry,
        parts,
        times,
        outputs: Mutex::new(outputs),
        kept: Mutex::default(),
        reach: Reach::default(),
        lost: Mutex::default(),
    })
}

impl Run {
    /// Runs every step that can be run, at most `at_once` at a time.
    pub(crate) async fn all(self: &Arc<Self>) -> Report {
        let waits = self.journal.with(|state| edges(&self.plan, &self.stack, state, &self.registry));
        let schedule = Schedule::new(&waits);
        let usual: Vec<u64> = schedule.keys().iter().map(|key| self.spread(key).p50_ms()).collect();
        let mut ready = schedule.ready(schedule.priorities(&usual));
        let (estimate, late) = estimate::total(&schedule, self.at_once, |key| self.spread(key));
        (self.listener)(Event::Started { steps: self.plan.steps.len(), estimate, late });
        let mut over: BTreeMap<usize, bool> = BTreeMap::new();
        let mut report = Report::default();
        let mut running: JoinSet<(usize, Result<Action, StepError>)> = JoinSet::new();
        // What has had its effect and counts as done once that is durable. What needs it does not wait: its own intent
        // is durable no sooner than this.
        let mut settling: JoinSet<(Key, Result<Action, StepError>)> = JoinSet::new();
        let mut told = false;
        loop {
            if self.stop.is_draining() && !told {
                told = true;
                (self.listener)(Event::Draining);
            }
            while running.len() < self.at_once && !self.stop.is_draining() {
                let Some(number) = ready.begin() else { break };
                let key = &schedule.keys()[number];
                if let Some(failed) = schedule.after(number).iter().find(|d| over.get(d) == Some(&false)) {
                    let why = format!("`{}` did not come about", schedule.keys()[*failed].0);
                    self.skip(key, &why, &mut report);
                    over.insert(number, false);
                    ready.over(number);
                    continue;
                }
                let (run, key) = (Arc::clone(self), key.clone());
                running.spawn(async move { (number, run.one(key).await) });
            }
            // In this order, not in one that chance chooses: the same run takes the same course.
            let ended = tokio::select! {
                biased;
                Some(settled) = settling.join_next() => {
                    let (key, result) = joined(settled);
                    self.tell(&key, result, &mut report);
                    continue;
                }
                ended = running.join_next() => ended,
                () = self.stop.draining(), if !told => continue,
            };
            let Some(ended) = ended else {
                // Nothing runs, so whatever is still open waits for itself; or the run is stopped.
                break;
            };
            let (number, result) = joined(ended);
            let key = &schedule.keys()[number];
            over.insert(number, result.is_ok());
            ready.over(number);
            match result {
                Ok(action) => {
                    (self.listener)(Event::Done { address: key.0.clone(), action });
                    settling.spawn(Arc::clone(self).settle(key.clone(), action));
                }
                failed => self.tell(key, failed, &mut report),
            }
        }
        while let Some(settled) = settling.join_next().await {
            let (key, result) = joined(settled);
            self.tell(&key, result, &mut report);
        }
        let why = if self.stop.is_draining() {
            "the run was stopped"
        } else {
            "it waits for something that waits for it"
        };
        for (_, key) in schedule.keys().iter().enumerate().filter(|(i, _)| !over.contains_key(i)) {
            self.skip(key, why, &mut report);
        }
        report.away = self.away(&report);
        report.outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        report
    }

    /// What waits for places that were away from the start, or do not answer any more.
    fn away(&self, report: &Report) -> Vec<Away> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let open: BTreeSet<&Address> = report.failed.iter().chain(&report.skipped).map(|(a, _)| a).collect();
        let place = |a: &Address| self.plan.steps.iter().find(|s| s.address == *a).map(|s| s.place.as_str());
        let lost = lost.into_iter().map(|(label, why)| {
            let there = |a: &&&Address| place(a) == Some(&label);
            let resources: BTreeSet<Address> = open.iter().filter(there).map(|a| (*a).clone()).collect();
            let needs = |a: &&&Address| !there(a) && self.stack.below(a).any(|b| resources.contains(b));
            let needing: BTreeSet<Address> = open.iter().filter(needs).map(|a| (*a).clone()).collect();
            let wanted = resources.union(&needing).filter(|a| self.stack.nodes().contains_key(*a)).count();
            Away { place: label, why, resources, needing, wanted }
        });
        self.plan.away.iter().cloned().chain(lost).collect()
    }

    /// Waits until what was done is durable.
    async fn settle(self: Arc<Self>, key: Key, action: Action) -> (Key, Result<Action, StepError>) {
        let seq = self.journal.with(|state| state.seq);
        let durable = self.journal.durable(seq).await;
        (key, durable.map(|()| action).map_err(StepError::from))
    }

    fn tell(&self, key: &Key, result: Result<Action, StepError>, report: &mut Report) {
        let address = &key.0;
        let planned = self.action(key);
        match result {
            Ok(action) => {
                // A replacement is told twice: when the new one stands, and when the old one is gone.
                report.done.push((address.clone(), action));
            }
            Err(error) => {
                if let StepError::Call(Error::Connect { place, source }) = &error {
                    let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
                    lost.entry(place.clone()).or_insert_with(|| chain(source.as_ref()));
                }
                let error = chain(&error);
                report.failed.push((address.clone(), error.clone()));
                (self.listener)(Event::Failed { address: address.clone(), action: planned, error });
            }
        }
    }

    fn skip(&self, key: &Key, why: &str, report: &mut Report) {
        let address = key.0.clone();
        report.skipped.push((address.clone(), why.to_owned()));
        (self.listener)(Event::Skipped { address, action: self.action(key), why: why.to_owned() });
    }

    fn action(&self, (address, part): &Key) -> Action {
        match part {
            Part::Make => self.planned(address).map_or(Action::Keep, |s| s.action),
            Part::Remove(_) => Action::Delete,
        }
    }

    /// How long a step takes.
    fn spread(&self, key: &Key) -> Spread {
        self.times.get(key).copied().unwrap_or_default()
    }

    /// Tells when a step takes longer than nearly all such steps. Never ends.
    async fn watch(&self, key: &Key) -> Infallible {
        let slow = self.spread(key).p95();
        if !slow.is_zero() {
            pause(slow).await;
            (self.listener)(Event::Slow { address: key.0.clone(), action: self.action(key), after: slow });
        }
        std::future::pending().await
    }

    async fn one(self: Arc<Self>, key: Key) -> Result<Action, StepError> {
        let (address, part) = key.clone();
        let leftover = || self.plan.steps.iter().find(|s| s.address == address);
        (self.listener)(Event::Begun {
            address: address.clone(),
            kind: self.planned(&address).or_else(leftover).map(|s| s.kind.clone()).unwrap_or_default(),
            action: self.action(&key),
            typical: self.spread(&key).p50(),
        });
        let work = async {
            match &part {
                Part::Make => self.make(&address).await,
                Part::Remove(instance) => self.remove(&address, instance).await,
            }
        };
        let result = tokio::select! {
            biased;
            result = work => result,
            () = self.stop.aborted() => Err(StepError::Aborted),
            never = self.watch(&key) => match never {},
        };
        if let Err(error) = &result {
            self.note_failure(&address, &part, error).await;
        }
        result
    }

    /// The intent stays open in the journal, with the reason beside it.
    async fn note_failure(&self, address: &Address, part: &Part, error: &StepError) {
        let begun = self.journal.with(|state| {
            let record = match part {
                Part::Make => state.records.get(address),
                Part::Remove(instance) => state
                    .incarnations()
                    .find(|(a, r)| *a == address && r.instance == *instance)
                    .map(|(_, r)| r),
            };
            record.filter(|r| r.phase != crate::journal::Phase::Ready).map(|r| r.instance.clone())
        });
        if let Some(instance) = begun
            && !matches!(error, StepError::Journal(_) | StepError::Aborted)
        {
            // The lines after the first may be what a program of the user's has printed, which may be anything.
            let error = chain(error).lines().next().unwrap_or_default().to_owned();
            let entry = crate::journal::Entry::Failed { address: address.clone(), instance, error };
            if let Err(e) = self.journal.append(entry).await {
                tracing::warn!(%address, error = %chain(&e), "a failure could not be recorded");
            }
        }
    }

    fn known(&self, reference: &str) -> Option<Json> {
        let outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        lookup_in(reference, |a| outputs.get(a))
    }

    fn publish(&self, address: &Address, outputs: &Json) {
        let mut all = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(address.clone(), outputs.clone());
    }

    fn seal(&self, json: &Json) -> Sealed {
        Sealed::of(json, &self.key)
    }

    fn planned(&self, address: &Address) -> Option<&Step> {
        self.numbers.get(address).and_then(|i| self.plan.steps.get(*i))
    }

    /// Repeats a call for `target` that may be repeated as it is.
    async fn repeated<T, Fut>(&self, target: &Target<'_>, call: impl FnMut() -> Fut) -> Result<T, Error>
    where
        Fut: Future<Output = Result<T, Error>>,
    {
        self.reach.repeated(&self.stop, &target.place, call).await
    }

    async fn read(&self, target: &Target<'_>, spec: &Json) -> Result<Option<AnyLive>, StepError> {
        let mut found = self.repeated(target, || target.kind.read(target.at(), spec)).await?;
        if let Some(live) = &mut found {
            parts::of(&self.parts, target.address, target.kind, live)?;
        }
        Ok(found)
    }

    /// The pauses between looks at something that is usually looked at every `poll`.
    fn pace(&self, poll: Duration) -> Pace {
        Pace::new(poll, self.hurry)
    }

    /// Polls until it can be used: the one wait for creates, updates and adoptions.
    async fn until_ready(&self, target: &Target<'_>, spec: &Json) -> Result<AnyLive, StepError> {
        let timing = target.kind.timing();
        let timeout = timing.timeout + target.kind.takes_longer(spec);
        let deadline = Instant::now() + timeout;
        let pace = self.pace(timing.poll);
        let mut said = String::new();
        loop {
            let on = match self.read(target, spec).await? {
                Some(live) => match &live.status {
                    Status::Ready => return Ok(live),
                    Status::Failed(why) => return Err(StepError::Failed(why.clone())),
                    Status::Pending(on) => on.clone(),
                },
                None => "for it to appear".to_owned(),
            };
            if Instant::now() >= deadline {
                return Err(StepError::TimedOut { after: timeout, on });
            }
            if on != said {
                (self.listener)(Event::Waiting { address: target.address.clone(), on: on.clone() });
                said = on;
            }
            pace.pause().await;
        }
    }
}

/// A panic in a resource is a bug of ours; it must not pass for success.
fn joined<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
}
