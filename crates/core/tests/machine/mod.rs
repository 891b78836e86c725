//! Plays a history on the simulated cloud: random stacks one after the other, with faults, with the power going, with
//! other hands at work. Every promise is looked at all along; what is broken is a finding with the promise's number.

#![allow(unreachable_pub, reason = "a part of the test binary")]

mod checks;
pub mod shape;

use causeway_core::{
    Stack, Stop, Tags,
    apply::Report,
    engine::{EngineError, Run},
    error::chain,
    event::Event,
    guard::Rules,
    journal::{Entry, Stamped, State},
    plan::{Plan, PlanOptions},
    render,
    store::{MemoryStore, Store},
    testing::{
        crash::{Sim, all_rules},
        sim::{Fault, Meddling, UnlockedStore, Verb, When},
    },
};
use serde_json::json;
use shape::{STACK, Setting, Shape, stack, upgrades};
use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// What a run is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum How {
    /// As usual, with every permit.
    Plainly,
    /// With no permit at all.
    Unpermitted,
    /// Only for the addresses that one of a few patterns matches.
    Only(u8),
    /// Taking over what belongs to nobody.
    Adopting,
    /// Stopped after so many milliseconds.
    Drained(u64),
    /// Aborted after so many milliseconds.
    Aborted(u64),
    /// Somebody else writes to the journal after so many milliseconds.
    Overtaken(u64),
    /// Another run begins so many milliseconds later, and nothing holds it off.
    Rivalled(u64),
    /// Planned, and applied only after another run was.
    Late,
    /// Planned, and applied only after somebody did something at a console, as in [`Act::Meddle`].
    Behind(u8, u8),
}

/// What happens next.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A run.
    Apply {
        /// What is wanted.
        wanted: Shape,
        /// At which moment the power goes.
        crash: Option<usize>,
        /// Which calls go wrong, how, and how many of a hundred.
        fault: (u8, u8, u64),
        /// What else there is to it.
        how: How,
    },
    /// Somebody does something at a console to one of the things that are there.
    Meddle(u8, u8),
    /// Somebody makes a role or a database under a name of ours; it carries the tags of another stack or none.
    Plant(u8),
    /// So many seconds pass.
    Pause(u64),
}

/// A whole case.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Of the cloud: which calls its faults hit.
    pub seed: u64,
    /// How many steps run at once.
    pub at_once: usize,
    /// How late the cloud answers, in a few sizes.
    pub lag: u8,
    /// What happens.
    pub acts: Vec<Act>,
}

/// Something that is not as it was promised.
pub type Finding = (usize, String);

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    Reported(Report),
    NotBegun(EngineError),
    Dead,
}

/// One run, with all that was seen of it.
pub struct Ran {
    pub plan: Plan,
    pub rules: Rules,
    pub before: State,
    pub at_once: usize,
    pub calls: Range<usize>,
    pub entries: Range<usize>,
    pub events: Vec<(Duration, Event)>,
    pub took: Duration,
    pub stopped: Option<(Duration, bool)>,
    pub calm: bool,
    pub ended: Ended,
}

impl Ran {
    pub fn is_complete(&self) -> bool {
        matches!(&self.ended, Ended::Reported(report) if report.is_complete())
    }
}

const PATTERNS: [&str; 5] = ["net*", "app/*", "role*", "*s*", "database"];

/// Plays histories.
pub struct Machine {
    pub sim: Sim,
    pub findings: Vec<Finding>,
    /// All text that left the process.
    pub told: String,
    planted: Vec<String>,
    meddled: usize,
    applied: Vec<(Shape, Setting)>,
    version: u32,
}

/// What became of `history`: all findings, and what the machine has seen.
pub async fn play(history: &History) -> Machine {
    let mut sim = Sim::new(history.seed);
    sim.at_once = history.at_once;
    sim.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
    let lag = history.lag % 4;
    sim.cloud.habits(|h| {
        h.tag_lag = Duration::from_secs([8, 0, 25, 1][usize::from(lag)]);
        h.latency = Duration::from_millis([40, 4, 900, 100][usize::from(lag)]);
        if lag == 2 {
            for kind in ["sim.role", "sim.database", "sim.task", "sim.service"] {
                h.name_lag.insert(kind, Duration::from_secs(3));
            }
        }
    });
    let mut machine = Machine {
        sim,
        findings: vec![],
        told: String::new(),
        planted: vec![],
        meddled: 0,
        applied: vec![],
        version: 14,
    };
    for act in &history.acts {
        machine.act(act).await;
        machine.now();
    }
    machine.settle().await;
    machine.at_the_end();
    machine
}

impl Machine {
    fn found(&mut self, promise: usize, why: impl Into<String>) {
        self.findings.push((promise, why.into()));
    }

    fn tell(&mut self, text: impl AsRef<str>) {
        self.told.push_str(text.as_ref());
        self.told.push('\n');
    }

    fn setting(&self) -> Setting {
        Setting { version: self.version, ..Setting::default() }
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Pause(seconds) => sleep(Duration::from_secs(*seconds)).await,
            Act::Meddle(nth, how) => self.meddle(*nth, *how),
            Act::Plant(which) => self.plant(*which),
            Act::Apply { wanted, crash, fault, how } => {
                if upgrades(wanted) {
                    self.version += 1;
                }
                self.applied.push((*wanted, self.setting()));
                self.faults(*fault);
                self.apply(*wanted, *crash, *how, fault.2 == 0).await;
                self.sim.fuse.arm(None);
                self.sim.cloud.heal();
            }
        }
    }

    fn faults(&mut self, (verb, fault, percent): (u8, u8, u64)) {
        let verbs = [Verb::Create, Verb::Update, Verb::Delete, Verb::Read];
        let faults = [
            Fault::Throttled,
            Fault::LostBefore,
            Fault::LostAfter,
            Fault::NotNow,
            Fault::Refused,
            Fault::Denied,
            Fault::Stillborn,
            Fault::Stuck,
            Fault::Ignored,
        ];
        let fault = faults[usize::from(fault) % faults.len()].clone();
        for (i, hit) in verbs.into_iter().enumerate() {
            // A read that is refused outright ends every run, which is seldom worth a case.
            let percent = if hit == Verb::Read { percent / 4 } else { percent };
            if verb == 0 || verb >> i & 1 == 1 {
                self.sim.cloud.fault(None, hit, When::Percent(percent), fault.clone());
            }
        }
    }

    fn meddle(&mut self, nth: u8, how: u8) {
        let how = [Meddling::Delete, Meddling::Edit, Meddling::Untag][usize::from(how % 3)];
        if self.sim.cloud.meddle(STACK, usize::from(nth), how).is_some() {
            self.meddled += 1;
        }
    }

    fn plant(&mut self, which: u8) {
        let (kind, fields) = match which % 3 {
            0 => ("sim.role", json!({ "name": "role0", "path": null, "policy": "none" })),
            1 => ("sim.role", json!({ "name": "app-role0", "path": "/service", "policy": "none" })),
            _ => (
                "sim.database",
                json!({ "name": "database", "engine": "postgres", "version": self.version, "size": 5,
                        "backup_days": 7, "password": null, "subnets": { "$set": [] } }),
            ),
        };
        let free = !self.sim.cloud.inventory().to_string().contains(&format!("\"name\":{}", fields["name"]));
        if free {
            let theirs = [(Tags::STACK, "theirs"), (Tags::ADDRESS, "x"), (Tags::INSTANCE, "abc")];
            let tags = if which >= 128 { Tags::from(theirs) } else { Tags::default() };
            let id = self.sim.cloud.plant(kind, fields, Some(tags));
            self.planted.push(id);
        }
    }

    async fn apply(&mut self, wanted: Shape, crash: Option<usize>, how: How, calm: bool) {
        let wanted = stack(&wanted, self.setting());
        let options = match how {
            How::Only(n) => {
                PlanOptions { only: vec![PATTERNS[usize::from(n) % 5].into()], ..PlanOptions::default() }
            }
            How::Adopting => PlanOptions { adopt: true, ..PlanOptions::default() },
            _ => PlanOptions::default(),
        };
        self.sim.fuse.arm(crash);
        match how {
            How::Rivalled(after) => self.rivals(&wanted, after).await,
            How::Late => self.late(&wanted).await,
            _ => {
                let Some(ran) = self.run(&wanted, &options, how, calm && crash.is_none()).await else {
                    return;
                };
                self.after_run(&ran);
                let whole = ran.is_complete() && !matches!(how, How::Only(_));
                if whole {
                    self.sim.fuse.arm(None);
                    self.sim.cloud.heal();
                    self.fixpoint(&wanted, &options).await;
                }
            }
        }
    }

    /// Plans, and looks that nothing was written; `None` if the power went or nothing could be planned.
    async fn planned(
        &mut self,
        wanted: &Stack,
        options: &PlanOptions,
    ) -> Option<causeway_core::engine::Planned> {
        let before = (self.sim.cloud.mutations(), self.sim.store.entries().len());
        let planned = {
            let engine = self.sim.engine();
            let planning = async {
                let planned = engine.plan(wanted, options).await;
                let drift = engine.drift().await;
                (planned, drift)
            };
            tokio::select! {
                biased;
                () = self.sim.fuse.gone() => None,
                planned = planning => Some(planned),
            }
        };
        if (self.sim.cloud.mutations(), self.sim.store.entries().len()) != before {
            self.found(9, "planning wrote something");
        }
        let (planned, drift) = planned?;
        self.tell(format!("{drift:?}"));
        match planned {
            Ok(planned) => {
                self.tell(format!("{:?} {wanted:?}", planned.plan));
                self.tell(serde_json::to_string(&planned.plan).unwrap());
                self.tell(render::plan(&planned.plan, true));
                self.tell(render::markdown(&planned.plan, &self.sim.engine().estimate(&planned), &[]));
                Some(planned)
            }
            Err(error) => {
                self.tell(format!("{error:?} {}", chain(&error)));
                None
            }
        }
    }

    async fn run(&mut self, wanted: &Stack, options: &PlanOptions, how: How, calm: bool) -> Option<Ran> {
        let planned = self.planned(wanted, options).await?;
        let rules = match how {
            How::Unpermitted => Rules { max_removals: None, ..Rules::default() },
            _ => all_rules(&planned.plan),
        };
        if let How::Behind(nth, how) = how {
            self.meddle(nth, how);
        }
        Some(self.applied(planned, rules, how, calm).await)
    }

    async fn applied(
        &mut self,
        planned: causeway_core::engine::Planned,
        rules: Rules,
        how: How,
        calm: bool,
    ) -> Ran {
        let events = Arc::new(Mutex::new(vec![]));
        let (start, stop) = (Instant::now(), Stop::default());
        let listener = {
            let events = Arc::clone(&events);
            move |event| events.lock().unwrap().push((start.elapsed(), event))
        };
        let run = Run {
            actor: "machine".into(),
            rules: rules.clone(),
            listener: Arc::new(listener),
            stop: stop.clone(),
        };
        let (plan, before) = (planned.plan.clone(), planned.state.clone());
        let (calls, entries) = (self.sim.cloud.mutations(), self.sim.store.entries().len());
        let (engine, store) = (self.sim.engine(), Arc::clone(&self.sim.store));
        let stopped = Mutex::new(None);
        let disturb = async {
            let (after, act): (u64, fn(&Stop)) = match how {
                How::Drained(after) => (after, Stop::drain),
                How::Aborted(after) => (after, Stop::abort),
                How::Overtaken(after) => {
                    sleep(Duration::from_millis(after)).await;
                    overtake(&store).await;
                    return std::future::pending().await;
                }
                _ => return std::future::pending().await,
            };
            sleep(Duration::from_millis(after)).await;
            act(&stop);
            *stopped.lock().unwrap() = Some((start.elapsed(), stop.is_aborted()));
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            biased;
            () = self.sim.fuse.gone() => Ended::Dead,
            () = disturb => Ended::Dead,
            ended = engine.apply(planned, &run) => ended.map_or_else(Ended::NotBegun, Ended::Reported),
        };
        let took = start.elapsed();
        self.tell(format!("{ended:?}"));
        if let Ended::NotBegun(EngineError::Refused(refusals)) = &ended {
            self.tell(render::refusals(refusals));
        }
        let events = std::mem::take(&mut *events.lock().unwrap());
        self.tell(format!("{events:?}"));
        let stopped = *stopped.lock().unwrap();
        Ran {
            plan,
            rules,
            before,
            at_once: self.sim.at_once,
            calls: calls..self.sim.cloud.mutations(),
            entries: entries..self.sim.store.entries().len(),
            events,
            took,
            stopped,
            calm,
            ended,
        }
    }

    /// Two runs on a journal that nothing locks.
    async fn rivals(&mut self, wanted: &Stack, after: u64) {
        let other = self.applied.first().map_or_else(|| Stack::new(STACK), |(s, _)| stack(s, self.setting()));
        let store = Arc::new(UnlockedStore::new(self.sim.store.clone()));
        let (one, two) = (self.sim.engine_on(store.clone()), self.sim.engine_on(store));
        let run = async |engine: &causeway_core::Engine, wanted: &Stack| {
            let planned = engine.plan(wanted, &PlanOptions::default()).await?;
            let run = Run { rules: all_rules(&planned.plan), ..Run::default() };
            engine.apply(planned, &run).await
        };
        let later = async {
            sleep(Duration::from_millis(after)).await;
            run(&two, &other).await
        };
        let both = async { tokio::join!(run(&one, wanted), later) };
        let ended = tokio::select! {
            biased;
            () = self.sim.fuse.gone() => None,
            ended = both => Some(ended),
        };
        self.tell(format!("{ended:?}"));
    }

    /// A plan that is applied after somebody else's run must change nothing.
    async fn late(&mut self, wanted: &Stack) {
        let usual = PlanOptions::default();
        let Some(planned) = self.planned(wanted, &usual).await else { return };
        let entries = self.sim.store.entries().len();
        let between = stack(&[5; 16], Setting { unprotected: true, ..self.setting() });
        let _ = self.run(&between, &usual, How::Plainly, false).await;
        if self.sim.fuse.is_gone()
            || self.sim.store.entries().len() == entries
            || planned.plan.steps.is_empty()
        {
            return;
        }
        let before = (self.sim.cloud.mutations(), self.sim.store.entries().len());
        let rules = all_rules(&planned.plan);
        let ran = self.applied(planned, rules, How::Plainly, false).await;
        if (self.sim.cloud.mutations(), self.sim.store.entries().len()) != before {
            self.found(7, format!("a plan for another journal was applied: {:?}", ran.ended));
        }
    }

    /// Nothing is left to do, and another apply does nothing.
    async fn fixpoint(&mut self, wanted: &Stack, options: &PlanOptions) {
        let before = (self.sim.cloud.mutations(), self.sim.store.entries().len());
        let Some(planned) = self.planned(wanted, options).await else {
            return self.found(4, "nothing can be planned after an apply");
        };
        let plan = &planned.plan;
        if !plan.steps.is_empty() || !plan.conflicts.is_empty() {
            let why = format!("the plan after an apply is not empty: {}", render::plan(plan, true));
            return self.found(4, why);
        }
        let rules = all_rules(plan);
        let _ = self.applied(planned, rules, How::Plainly, false).await;
        if (self.sim.cloud.mutations(), self.sim.store.entries().len()) != before {
            self.found(4, "an apply with nothing to do did something");
        }
    }

    /// The last stack is reached whatever happened before, and is what a run from nothing makes.
    async fn settle(&mut self) {
        self.sim.fuse.arm(None);
        self.sim.cloud.heal();
        for id in std::mem::take(&mut self.planted) {
            self.sim.cloud.unplant(&id, STACK);
        }
        let shape = self.applied.last().map_or([0; 16], |(shape, _)| *shape);
        let setting = Setting { sound: true, unprotected: true, ..self.setting() };
        let (last, usual) = (stack(&shape, setting), PlanOptions::default());
        for attempt in 0..8 {
            let Some(ran) = self.run(&last, &usual, How::Plainly, false).await else {
                return self.found(3, "nothing can be planned any more");
            };
            self.after_run(&ran);
            self.now();
            let done = ran.is_complete();
            if done && ran.plan.steps.is_empty() {
                return self.reached(&last).await;
            }
            if let Ended::NotBegun(EngineError::Refused(refusals)) = &ran.ended {
                self.lift(refusals.iter().any(|r| r.rule == "protected")).await;
            }
            // What is stuck comes right after a while.
            if attempt == 3 {
                sleep(Duration::from_secs(3600)).await;
            }
            if attempt == 7 {
                let why = format!("{:?} of {}", ran.ended, render::plan(&ran.plan, true));
                self.found(3, format!("it is never reached: {why}"));
            }
        }
    }

    /// Applies the earlier stacks once more without their protection, so that what they protect may go.
    async fn lift(&mut self, wanted: bool) {
        if !wanted {
            return;
        }
        let earlier: Vec<Shape> = self.applied.iter().rev().map(|(s, _)| *s).collect();
        let state = self.sim.state();
        let protected: BTreeSet<_> =
            state.records.iter().filter(|(_, r)| r.request.protect).map(|(a, _)| a.clone()).collect();
        for shape in earlier {
            let setting = Setting { sound: true, unprotected: true, ..self.setting() };
            let earlier = stack(&shape, setting);
            if protected.iter().any(|a| earlier.nodes().contains_key(a)) {
                let only = protected.iter().map(|a| a.0.clone()).collect();
                let options = PlanOptions { only, ..PlanOptions::default() };
                if self.run(&earlier, &options, How::Plainly, false).await.is_some_and(|r| !r.is_complete()) {
                    let _ = self.run(&earlier, &PlanOptions::default(), How::Plainly, false).await;
                }
            }
        }
    }

    async fn reached(&mut self, last: &Stack) {
        self.fixpoint(last, &PlanOptions::default()).await;
        let calm = Sim::new(1);
        calm.cloud.plant("sim.lookup", json!({ "name": "base" }), None);
        if let Err(e) = calm.run(last, &PlanOptions::default()).await {
            return self.found(3, format!("it is not reached from nothing: {e}"));
        }
        let (wanted, there) = (calm.cloud.inventory(), self.sim.cloud.inventory());
        if wanted != there {
            self.found(3, format!("it ends elsewhere:\n{wanted}\n{there}"));
        }
    }

    /// Everything that chance could have changed.
    pub fn trace(&self) -> Vec<String> {
        let calls = self.sim.cloud.calls().into_iter().map(|c| format!("{c:?}"));
        let entries = self.sim.store.entries().into_iter().map(|e| format!("{e:?}"));
        let reads = format!("{} reads", self.sim.cloud.reads());
        calls.chain(entries).chain(self.told.lines().map(str::to_owned)).chain([reads]).collect()
    }
}

/// Writes to the journal as another writer would.
async fn overtake(store: &MemoryStore) {
    if let Some(last) = store.entries().last().map(|e| e.seq) {
        let entry = Entry::Plan { digest: "other".into(), actor: "other".into() };
        let at = jiff::Timestamp::UNIX_EPOCH;
        store.append(last, &[Stamped { seq: last + 1, at, entry }]).await.unwrap();
    }
}
