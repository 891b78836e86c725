//! Puts the parts together: load, observe, plan, guard, apply.

use crate::{
    apply::{self, Listener, NewInstance, Report},
    away::{Away, Waiting},
    claim,
    diff::{Diff, diff},
    estimate::Estimate,
    guard::{Refusal, Rules, guard, overruled},
    journal::{BadEntry, Clock, Entry, FORMAT, Journal, JournalError, Phase, Stamped, State},
    lint::lint,
    moved,
    observe::{ObserveError, Observed, Witness, observe_with},
    parts,
    plan::{Plan, PlanError, PlanOptions, plan},
    rebuild::{self, Rebuilt, Tagged},
    registry::Registry,
    resource::Status,
    secret::{SealKey, Sealed},
    stack::Stack,
    store::{Hold, Store, StoreError},
    timeline::{self, Timeline},
    value::Address,
    wait::Stop,
};
use serde::Serialize;
use std::sync::Arc;

/// Deploys stacks: keeps a journal in a store, and knows the kinds of a registry.
pub struct Engine {
    registry: Registry,
    store: Arc<dyn Store>,
    clock: Clock,
    new_instance: NewInstance,
    new_key: Arc<dyn Fn() -> SealKey + Send + Sync>,
    at_once: usize,
    hurry: u32,
    account: Option<String>,
}

/// A plan with all that is needed to apply it.
pub struct Planned {
    /// What will be done.
    pub plan: Plan,
    /// What was there when it was made.
    pub observed: Observed,
    /// What the journal said, with the moves of the stack applied.
    pub state: State,
    stack: Stack,
    adopt: bool,
}

impl Planned {
    /// What the stack tells people, as far as it is known without applying anything.
    pub fn outputs(&self) -> std::collections::BTreeMap<String, serde_json::Value> {
        let known = self.observed.live.iter().map(|(a, live)| (a.clone(), live.outputs.clone())).collect();
        crate::plan::stack_outputs(&self.stack, &known)
    }

    /// The stack that it was made for.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }
}

/// How a plan is applied.
#[derive(Clone)]
pub struct Run {
    /// Who does it, on which host. Goes into the journal.
    pub actor: String,
    /// What it may do.
    pub rules: Rules,
    /// Told what happens.
    pub listener: Listener,
    /// Tells it to stop.
    pub stop: Stop,
}

impl Default for Run {
    fn default() -> Self {
        Run {
            actor: "unknown".into(),
            rules: Rules::default(),
            listener: Arc::new(|_| ()),
            stop: Stop::default(),
        }
    }
}

/// Why the engine could not do its work at all. Steps that fail are in the [`Report`].
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal could not be read.
    #[error("the journal could not be read")]
    Load(#[source] StoreError),
    /// The journal makes no sense.
    #[error(transparent)]
    Bad(#[from] BadEntry),
    /// The cloud could not be observed.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// No plan could be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The guards refused the plan. Nothing was changed.
    #[error("the plan is refused")]
    Refused(Vec<Refusal>),
    /// Another run is at work.
    #[error("another run is at work ({0}); nothing was changed")]
    Held(String),
    /// The credentials are for another account than the journal.
    #[error("the journal is of account {journal}, and the credentials are for {now}; nothing was changed")]
    OtherAccount {
        /// Where everything is that the journal knows.
        journal: String,
        /// Where we are.
        now: String,
    },
    /// A journal that is there was to be made again.
    #[error("{place} holds a journal of {entries} entries; nothing was changed")]
    NotLost {
        /// Where it is.
        place: String,
        /// How many entries it has.
        entries: u64,
    },
    /// The journal was moved, and what is here is what was left behind.
    #[error("the journal in {here} was moved to {to}, and goes on there; nothing was changed")]
    MovedAway {
        /// Where we looked.
        here: String,
        /// Where it is.
        to: String,
    },
    /// The journal moved on since the plan was made.
    #[error("the plan was made after entry {planned} of the journal, which is at {now} now; plan again")]
    Stale {
        /// What the plan was made for.
        planned: u64,
        /// Where the journal is.
        now: u64,
    },
    /// The journal could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// One difference between what was applied last and what is there.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Drift {
    /// Which resource.
    pub address: Address,
    /// Its kind.
    pub kind: String,
    /// Where it lives, in a word.
    pub place: String,
    /// The fields that differ; empty where `what` says it all.
    pub diff: Diff,
    /// What is wrong, in a word or two.
    pub what: String,
}

/// What differs in the cloud from what was applied last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Drifted {
    /// The resources that differ.
    pub drift: Vec<Drift>,
    /// The places that cannot be reached. Whether anything differs there nobody knows.
    pub away: Vec<Away>,
}

impl Drifted {
    /// Only what `options` want.
    pub fn limited(mut self, options: &PlanOptions) -> Self {
        self.drift.retain(|d| options.wants(&d.address, &d.place));
        for one in &mut self.away {
            one.resources.retain(|a| options.wants(a, &one.place));
        }
        self.away.retain(|one| !one.resources.is_empty());
        self
    }
}

impl Engine {
    /// Deploys kinds of `registry` and keeps its journal in `store`.
    pub fn new(registry: Registry, store: Arc<dyn Store>) -> Self {
        Engine {
            registry,
            store,
            clock: Arc::new(jiff::Timestamp::now),
            new_instance: Arc::new(random_instance),
            new_key: Arc::new(SealKey::random),
            at_once: 10,
            hurry: 1,
            account: None,
        }
    }

    /// Works in `account`, which goes into a new journal; a journal of another account is refused.
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Runs at most `at_once` steps at a time.
    pub fn at_once(mut self, at_once: usize) -> Self {
        self.at_once = at_once.max(1);
        self
    }

    /// Looks `times` as often at what it waits for: for a cloud in which things take so many times as little as in AWS.
    pub fn hurried(mut self, times: u32) -> Self {
        self.hurry = times;
        self
    }

    /// Takes the time and incarnation ids from elsewhere, and a key of digests that everybody knows, so that a test is
    /// the same every time.
    pub fn deterministic(mut self, clock: Clock, new_instance: NewInstance) -> Self {
        self.clock = clock;
        self.new_instance = new_instance;
        self.new_key = Arc::new(|| SealKey::fixed("deterministic"));
        self
    }

    /// The kinds.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// When everything of the last run happened; none before the first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn last_run(&self) -> Result<Option<Timeline>, EngineError> {
        let entries = self.store.load().await.map_err(EngineError::Load)?;
        Ok(timeline::last(&entries))
    }

    /// What the journal says.
    ///
    /// # Errors
    /// When it cannot be read or makes no sense.
    pub async fn state(&self) -> Result<State, EngineError> {
        let entries = self.store.load().await.map_err(EngineError::Load)?;
        let state = State::fold(&entries)?;
        still_here(&state, self.store.as_ref())?;
        match (&state.belongs, &self.account) {
            (Some(journal), Some(now)) if journal != now => {
                Err(EngineError::OtherAccount { journal: journal.clone(), now: now.clone() })
            }
            _ => Ok(state),
        }
    }

    /// Looks and decides. Writes nothing, anywhere.
    ///
    /// # Errors
    /// When the journal or the cloud cannot be read, or the stack has mistakes.
    pub async fn plan(&self, stack: &Stack, options: &PlanOptions) -> Result<Planned, EngineError> {
        stack.check().map_err(PlanError::from)?;
        let (state, moves, conflicts) = moved::applied(stack, &self.state().await?);
        let mut stack = stack.clone();
        claim::named(&mut stack, &state, &self.registry);
        let witness = if options.from_journal { Witness::Journal } else { Witness::Cloud };
        let mut observed = observe_with(&stack, &state, &self.registry, witness).await?;
        let parts = parts::found(&stack, &observed, &self.registry);
        parts::leave_out(&parts, &stack, &mut observed, &self.registry)?;
        claim::follow(&mut stack, &state, &observed, &self.registry);
        let mut plan = plan(&stack, &state, &observed, &self.registry, options)?;
        plan.moves = moves;
        plan.conflicts.extend(conflicts);
        Ok(Planned { plan, observed, state, stack, adopt: options.adopt })
    }

    /// How long applying `planned` takes, as far as that is known.
    pub fn estimate(&self, planned: &Planned) -> Estimate {
        Estimate::of(planned, &self.registry, self.at_once)
    }

    /// Everything that speaks against `planned`: what the guard says, and [`Engine::lints`]. Empty: it may be applied.
    pub fn refusals(&self, planned: &Planned, rules: &Rules) -> Vec<Refusal> {
        let mut out = guard(&planned.plan, rules);
        out.extend(self.lints(planned, rules));
        out
    }

    /// What the lints of the kinds find in what `planned` makes or changes.
    pub fn lints(&self, planned: &Planned, rules: &Rules) -> Vec<Refusal> {
        lint(&self.registry, &planned.wanted(&self.registry), rules)
    }

    /// Does what `planned` says. Steps that do not work are in the report; independent ones go on.
    ///
    /// # Errors
    /// When nothing could be begun: the plan is refused or stale, or another run is at work.
    pub async fn apply(&self, planned: Planned, run: &Run) -> Result<Report, EngineError> {
        let rules = Rules { now: (self.clock)(), ..run.rules.clone() };
        let refusals = self.refusals(&planned, &rules);
        if !refusals.is_empty() {
            return Err(EngineError::Refused(refusals));
        }
        let Planned { plan, observed, state, stack, adopt } = planned;
        if plan.steps.is_empty() && plan.moves.is_empty() {
            let outputs = observed.live.into_iter().map(|(a, live)| (a, live.outputs)).collect();
            return Ok(Report { outputs, away: plan.away, ..Report::default() });
        }
        let _hold = self.hold(&run.actor).await?;
        let recorded = self.state().await?;
        if recorded.seq != state.seq {
            return Err(EngineError::Stale { planned: state.seq, now: recorded.seq });
        }
        let key = state.seal_key.clone().unwrap_or_else(|| (self.new_key)());
        let opened = state.seal_key.is_some();
        let journal = Journal::new(Arc::clone(&self.store), recorded, Arc::clone(&self.clock));
        if !opened {
            let (stack, seal_key) = (stack.name().to_owned(), key.clone());
            journal.append(Entry::Opened { format: FORMAT, stack, seal_key }).await?;
            if let Some(account) = &self.account {
                journal.append(Entry::Belongs { to: account.clone() }).await?;
            }
        }
        // Read-only kinds leave no trace, so a run that only waits for them writes nothing.
        if plan.steps.iter().any(|s| s.action != crate::plan::Action::Wait) || !plan.moves.is_empty() {
            journal.append(Entry::Plan { digest: plan.digest(), actor: run.actor.clone() }).await?;
        }
        if let Some((rule, why)) = overruled(&plan, &rules) {
            journal.append(Entry::Overruled { rule, why }).await?;
        }
        if !plan.moves.is_empty() {
            journal.append(Entry::Moved { moves: plan.moves.clone() }).await?;
        }
        let applying = apply::run(
            stack,
            plan,
            &observed,
            self.registry.clone(),
            journal,
            key,
            adopt,
            Arc::clone(&run.listener),
            Arc::clone(&self.new_instance),
            run.stop.clone(),
            self.at_once,
            self.hurry,
        );
        Ok(applying.all().await)
    }

    /// What a journal of `stack` that was lost would say, as far as the cloud tells. `tagged` is what an index of tags
    /// lists: without it, what has neither a name nor a natural key is not found. Writes nothing.
    ///
    /// # Errors
    /// There is a journal, or the cloud cannot be read, or the stack has mistakes.
    pub async fn rebuild(&self, stack: &Stack, tagged: &[Tagged]) -> Result<Rebuilt, EngineError> {
        stack.check().map_err(PlanError::from)?;
        let entries = self.state().await?.seq;
        if entries > 0 {
            return Err(EngineError::NotLost { place: self.store.place(), entries });
        }
        Ok(rebuild::look(stack, &self.registry, tagged, &self.new_instance).await?)
    }

    /// Writes `rebuilt` as a new journal: all of it, or nothing.
    ///
    /// # Errors
    /// There is a journal by now, or it cannot be written.
    pub async fn write(&self, rebuilt: Rebuilt, actor: &str) -> Result<(), EngineError> {
        let _hold = self.hold(actor).await?;
        let entries = rebuilt.journal(self.account.as_deref(), actor);
        let stamp = |(seq, entry)| Stamped { seq, at: (self.clock)(), entry };
        let entries: Vec<Stamped> = (1..).zip(entries).map(stamp).collect();
        State::fold(&entries)?;
        self.store.append(0, &entries).await.map_err(JournalError::from)?;
        Ok(())
    }

    async fn hold(&self, actor: &str) -> Result<Hold, EngineError> {
        self.store.hold(actor).await.map_err(|e| match e {
            StoreError::Held(who) => EngineError::Held(who),
            other => EngineError::Journal(other.into()),
        })
    }

    /// What differs in the cloud from what was applied last. Writes nothing, anywhere.
    ///
    /// # Errors
    /// When the journal or the cloud cannot be read.
    pub async fn drift(&self) -> Result<Drifted, EngineError> {
        let (state, nothing) = (self.state().await?, Stack::new(""));
        let observed = observe_with(&nothing, &state, &self.registry, Witness::Cloud).await?;
        let mut drift = drift(&state, &observed);
        let waiting = Waiting::of(&nothing, &state, &observed);
        drift.retain(|d| !waiting.holds(&d.address));
        Ok(Drifted { drift, away: waiting.told(&observed, &nothing, |_| true) })
    }
}

/// Looks whether the journal that `store` holds, of which `state` is the fold, has not been moved elsewhere.
///
/// # Errors
/// [`EngineError::MovedAway`].
pub fn still_here(state: &State, store: &dyn Store) -> Result<(), EngineError> {
    match &state.home {
        Some(to) if *to != store.home() => {
            Err(EngineError::MovedAway { here: store.place(), to: to.clone() })
        }
        _ => Ok(()),
    }
}

fn drift(state: &State, observed: &Observed) -> Vec<Drift> {
    let key = state.seal_key.clone().unwrap_or_else(SealKey::none);
    let mut out = vec![];
    for (address, record) in &state.records {
        let applied = &record.request.spec;
        let (diff, what) = match (observed.live.get(address), record.phase) {
            (None, Phase::Creating) => (Diff::default(), "was begun and is not there".to_owned()),
            (None, _) => (Diff::default(), "is gone".to_owned()),
            (Some(live), phase) => {
                let diff = diff(applied, &Sealed::of(&live.spec, &key), applied);
                let what = match (&live.status, phase) {
                    (Status::Failed(why), _) => format!("is failed: {why}"),
                    _ if !diff.is_empty() => "differs".to_owned(),
                    (_, Phase::Ready) => continue,
                    _ => "was not finished by the last run".to_owned(),
                };
                (diff, what)
            }
        };
        let (kind, place) = (record.request.kind.clone(), record.request.place.label());
        out.push(Drift { address: address.clone(), kind, place, diff, what });
    }
    out
}

/// 12 characters of `[a-z2-7]`: 60 random bits, fit for any name and tag.
///
/// # Panics
/// If the operating system has no randomness to give.
fn random_instance() -> String {
    let mut bytes = [0u8; 12];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|b| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(b & 31)])).collect()
}
