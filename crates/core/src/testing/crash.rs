//! Lets the power go at every moment of a run, runs again, and compares with a run that was never disturbed.

use super::sim::{Call, Fuse, FusedStore, Moment, SimCloud, Verb};
use crate::{
    Engine, Registry, Stack,
    apply::Report,
    engine::{EngineError, Run},
    guard::Rules,
    journal::State,
    plan::{Plan, PlanOptions},
    render,
    store::{MemoryStore, Store},
};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A simulated cloud, a journal, and engines that come and go.
pub struct Sim {
    /// The cloud.
    pub cloud: SimCloud,
    /// The journal.
    pub store: Arc<MemoryStore>,
    /// The power.
    pub fuse: Fuse,
    /// How many steps run at once.
    pub at_once: usize,
    instances: Arc<AtomicU64>,
}

impl Sim {
    /// An empty cloud and an empty journal.
    pub fn new(seed: u64) -> Self {
        let fuse = Fuse::default();
        Sim {
            cloud: SimCloud::new(seed, fuse.clone()),
            store: Arc::default(),
            fuse,
            at_once: 4,
            instances: Arc::default(),
        }
    }

    /// An engine, as a new process would make it.
    pub fn engine(&self) -> Engine {
        self.engine_on(self.store.clone())
    }

    /// An engine that keeps its journal in `store`.
    pub fn engine_on(&self, store: Arc<dyn Store>) -> Engine {
        let mut registry = Registry::new();
        self.cloud.register(&mut registry);
        let (cloud, instances) = (self.cloud.clone(), Arc::clone(&self.instances));
        let clock = move || {
            let now = i64::try_from(cloud.now().as_secs()).unwrap_or(i64::MAX);
            jiff::Timestamp::from_second(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        };
        let new_instance = move || format!("i{:011}", instances.fetch_add(1, Ordering::Relaxed));
        Engine::new(registry, Arc::new(FusedStore::new(store, self.fuse.clone())))
            .at_once(self.at_once)
            .deterministic(Arc::new(clock), Arc::new(new_instance))
    }

    /// What the journal says.
    ///
    /// # Panics
    /// If it makes no sense.
    pub fn state(&self) -> State {
        State::fold(&self.store.entries()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The plan for `stack`.
    ///
    /// # Errors
    /// As [`Engine::plan`].
    pub async fn plan(&self, stack: &Stack, options: &PlanOptions) -> Result<Plan, EngineError> {
        Ok(self.engine().plan(stack, options).await?.plan)
    }

    /// Plans and applies with every permit there is.
    ///
    /// # Errors
    /// As [`Engine::plan`] and [`Engine::apply`].
    pub async fn apply(&self, stack: &Stack, options: &PlanOptions) -> Result<Report, EngineError> {
        let engine = self.engine();
        let planned = engine.plan(stack, options).await?;
        let run = Run { actor: "sim".into(), rules: all_rules(&planned.plan), ..Run::default() };
        engine.apply(planned, &run).await
    }

    /// As [`Sim::apply`], as one line where something did not work.
    ///
    /// # Errors
    /// What did not work.
    pub async fn run(&self, stack: &Stack, options: &PlanOptions) -> Result<Report, String> {
        let report = self.apply(stack, options).await.map_err(|e| match e {
            EngineError::Refused(refusals) => render::refusals(&refusals),
            other => crate::error::chain(&other),
        })?;
        if report.is_complete() {
            return Ok(report);
        }
        Err(format!("failed: {:?}; skipped: {:?}", report.failed, report.skipped))
    }
}

/// Rules that refuse nothing that `plan` does, except what is protected.
pub fn all_rules(plan: &Plan) -> Rules {
    Rules {
        permits: plan.steps.iter().map(|s| s.address.clone()).collect(),
        max_removals: None,
        ..Rules::default()
    }
}

/// What is crashed.
pub struct Fixture {
    /// What it is called.
    pub name: &'static str,
    /// Prepares the cloud: plants things, changes its habits.
    pub prepare: Box<dyn Fn(&Sim)>,
    /// Applied undisturbed, one after the other.
    pub before: Vec<Stack>,
    /// Applied and crashed.
    pub crashed: Stack,
    /// Applied afterwards; [`Fixture::crashed`] again if none.
    pub after: Option<Stack>,
    /// Whether things that belong to nobody are taken over.
    pub adopt: bool,
    /// How many runs it may take after a crash. One, unless the cloud answers late and another stack is wanted.
    pub runs: usize,
}

impl Fixture {
    /// From `before` to `crashed`, which one more run must finish.
    pub fn new(name: &'static str, before: Vec<Stack>, crashed: Stack) -> Self {
        let prepare = Box::new(|sim: &Sim| {
            sim.cloud.plant("sim.lookup", serde_json::json!({ "name": "base" }), None);
        });
        Fixture { name, prepare, before, crashed, after: None, adopt: false, runs: 1 }
    }

    fn options(&self) -> PlanOptions {
        PlanOptions { adopt: self.adopt, ..PlanOptions::default() }
    }

    fn wanted(&self) -> &Stack {
        self.after.as_ref().unwrap_or(&self.crashed)
    }

    async fn start(&self) -> Result<Sim, String> {
        let sim = Sim::new(7);
        (self.prepare)(&sim);
        for stack in &self.before {
            sim.run(stack, &PlanOptions::default()).await.map_err(|e| format!("before: {e}"))?;
        }
        Ok(sim)
    }
}

/// What came of crashing a fixture everywhere.
#[derive(Debug)]
pub struct CrashReport {
    /// The fixture.
    pub name: &'static str,
    /// How often the power went.
    pub points: usize,
    /// What was wrong, each with the moment.
    pub violations: Vec<String>,
}
impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} crash points, {} violations", self.name, self.points, self.violations.len())?;
        self.violations.iter().take(12).try_for_each(|v| write!(f, "\n  {v}"))
    }
}

/// How a run ended that was never disturbed.
struct Expected {
    inventory: Json,
    effects: BTreeMap<(&'static str, Verb), usize>,
    moments: Vec<Moment>,
}

/// How often each kind was made and removed since the call `from`.
fn effects(calls: &[Call]) -> BTreeMap<(&'static str, Verb), usize> {
    let mut out = BTreeMap::new();
    let worked = calls.iter().filter(|c| c.effect && c.verb != Verb::Update);
    worked.for_each(|c| *out.entry((c.kind, c.verb)).or_default() += 1);
    out
}

/// How long the machine stays off. The tags of what was made last can be searched only after the second.
const OFF: [Duration; 2] = [Duration::ZERO, Duration::from_secs(3600)];

/// Lets the power go at every moment of the fixture's run, once with and once without time passing before the next.
pub async fn enumerate(fixture: &Fixture) -> CrashReport {
    let mut report = CrashReport { name: fixture.name, points: 0, violations: vec![] };
    let expected = match undisturbed(fixture).await {
        Ok(expected) => expected,
        Err(why) => {
            report.violations.push(format!("the undisturbed run: {why}"));
            return report;
        }
    };
    for at in 0..expected.moments.len() {
        for off in OFF {
            report.points += 1;
            if let Err(why) = crash(fixture, &expected, &[at], off).await {
                let moment = &expected.moments[at];
                report.violations.push(format!("at {at} {moment:?}, off for {}s: {why}", off.as_secs()));
            }
        }
    }
    report
}

/// As [`enumerate`], and in the run after the crash the power goes once more, at every `stride`th moment, in turn at once
/// and after the machine was off for a while.
pub async fn enumerate_pairs(fixture: &Fixture, stride: usize) -> CrashReport {
    let mut report = CrashReport { name: fixture.name, points: 0, violations: vec![] };
    let expected = match undisturbed(fixture).await {
        Ok(expected) => expected,
        Err(why) => {
            report.violations.push(format!("the undisturbed run: {why}"));
            return report;
        }
    };
    for first in 0..expected.moments.len() {
        let mut second = first % stride.max(1);
        loop {
            let off = OFF[second / stride.max(1) % OFF.len()];
            match crash(fixture, &expected, &[first, second], off).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(why) => {
                    let moment = &expected.moments[first];
                    let off = off.as_secs();
                    report
                        .violations
                        .push(format!("at {first} {moment:?} and then at {second}, off for {off}s: {why}"));
                }
            }
            report.points += 1;
            second += stride.max(1);
        }
    }
    report
}

async fn undisturbed(fixture: &Fixture) -> Result<Expected, String> {
    let sim = fixture.start().await?;
    let from = sim.cloud.mutations();
    sim.fuse.arm(None);
    let moments = if fixture.after.is_some() {
        sim.run(&fixture.crashed, &fixture.options()).await?;
        let moments = sim.fuse.moments();
        // The other stack is compared with a run that never saw the first.
        let sim = fixture.start().await?;
        sim.run(fixture.wanted(), &fixture.options()).await?;
        let expected = fixpoint(fixture, &sim).await?;
        return Ok(Expected { inventory: expected, effects: BTreeMap::new(), moments });
    } else {
        sim.run(&fixture.crashed, &fixture.options()).await?;
        sim.fuse.moments()
    };
    let effects = effects(&sim.cloud.calls()[from..]);
    Ok(Expected { inventory: fixpoint(fixture, &sim).await?, effects, moments })
}

/// Whether the power went as often as `at` asks for.
async fn crash(fixture: &Fixture, expected: &Expected, at: &[usize], off: Duration) -> Result<bool, String> {
    let sim = fixture.start().await?;
    let from = sim.cloud.mutations();
    let options = fixture.options();
    let mut stack = &fixture.crashed;
    for moment in at {
        sim.fuse.arm(Some(*moment));
        let crashed = tokio::select! {
            biased;
            () = sim.fuse.gone() => true,
            _ = sim.apply(stack, &options) => false,
        };
        sim.fuse.arm(None);
        if !crashed {
            return Ok(false);
        }
        // What ran is gone with its process.
        crate::wait::pause(off).await;
        stack = fixture.wanted();
    }
    let mut last = Ok(());
    for _ in 0..fixture.runs {
        last = sim.run(stack, &options).await.map(drop);
        if last.is_ok() && sim.plan(stack, &options).await.is_ok_and(|p| p.steps.is_empty()) {
            break;
        }
    }
    last.map_err(|e| format!("the next run: {e}"))?;
    let inventory = fixpoint(fixture, &sim).await?;
    if inventory != expected.inventory {
        return Err(format!("it ends elsewhere: {}", difference(&expected.inventory, &inventory)));
    }
    let made = effects(&sim.cloud.calls()[from..]);
    if fixture.after.is_none() && made != expected.effects {
        return Err(format!("it takes {made:?} instead of {:?}", expected.effects));
    }
    Ok(true)
}

/// Nothing orphaned, nothing twice, and nothing left to do; answers with what is there.
async fn fixpoint(fixture: &Fixture, sim: &Sim) -> Result<Json, String> {
    let state = sim.state();
    let orphans = sim.cloud.orphans(&state);
    if !orphans.is_empty() {
        return Err(format!("orphans: {}", orphans.join(", ")));
    }
    let duplicates = sim.cloud.duplicates();
    if !duplicates.is_empty() {
        return Err(format!("duplicates: {}", duplicates.join(", ")));
    }
    let plan = sim.plan(fixture.wanted(), &fixture.options()).await.map_err(|e| crate::error::chain(&e))?;
    if !plan.steps.is_empty() {
        return Err(format!("the next plan is not empty: {}", render::plan(&plan, true)));
    }
    let (calls, entries) = (sim.cloud.mutations(), sim.store.entries().len());
    sim.run(fixture.wanted(), &fixture.options()).await?;
    if (sim.cloud.mutations(), sim.store.entries().len()) != (calls, entries) {
        return Err("the next apply is not silent".into());
    }
    Ok(sim.cloud.inventory())
}

/// What is in one and not in the other.
fn difference(expected: &Json, there: &Json) -> String {
    let items = |j: &Json| j.as_array().cloned().unwrap_or_default();
    let (expected, there) = (items(expected), items(there));
    let without = |a: &[Json], b: &[Json]| {
        a.iter().filter(|i| !b.contains(i)).map(Json::to_string).collect::<Vec<_>>().join(" ")
    };
    format!("missing {} | surplus {}", without(&expected, &there), without(&there, &expected))
}
