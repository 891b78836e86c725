//! One conformance run for every kind: create, read as wanted, change, drift, repair, delete, gone.

use crate::{
    Address, Engine, Registry, Stack,
    apply::Report,
    engine::{Planned, Run},
    event::Event,
    guard::Rules,
    plan::{Action, PlanOptions},
    render,
    store::MemoryStore,
};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

/// Takes a stack through its life against a real or an emulated cloud.
///
/// Every step ends with a plan that must be empty: what was wanted is what is read.
pub struct Lifecycle {
    engine: Engine,
    stack: Stack,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Lifecycle {
    /// Applies `stack` from nothing.
    ///
    /// # Panics
    /// If a step fails, or if the next plan is not empty.
    pub async fn start(registry: Registry, stack: Stack) -> Self {
        let engine = Engine::new(registry, Arc::new(MemoryStore::default()));
        let life = Lifecycle { engine, stack, events: Arc::default() };
        life.settle("create").await;
        life
    }

    /// Applies `stack` instead, which must change something: what, and how, is the answer.
    ///
    /// # Panics
    /// If nothing changes, a step fails, or the next plan is not empty.
    pub async fn change(&mut self, what: &str, stack: Stack) -> Vec<(Address, Action)> {
        self.stack = stack;
        let planned = self.plan(what).await;
        assert!(!planned.plan.is_empty(), "{what}: the change was not seen");
        let steps = planned.plan.steps.iter().map(|s| (s.address.clone(), s.action)).collect();
        self.settle(what).await;
        steps
    }

    /// Does something behind the engine's back, which must be seen at `address`, and repairs it.
    ///
    /// # Panics
    /// If it is not seen, a step fails, or the next plan is not empty.
    pub async fn drift<F: Future<Output = ()>>(&self, what: &str, address: &str, behind: F) {
        behind.await;
        let drifted = self.engine.drift().await;
        let drift = drifted.unwrap_or_else(|e| panic!("{what}: {}", crate::error::chain(&e))).drift;
        assert!(
            drift.iter().any(|d| d.address.0 == address),
            "{what}: not seen at `{address}` but {drift:?}"
        );
        self.settle(what).await;
    }

    /// Deletes everything and looks that it is gone.
    ///
    /// # Panics
    /// If a step fails or anything is left.
    pub async fn end(mut self) {
        self.stack = Stack::new(self.stack.name());
        self.settle("delete").await;
        let state = self.engine.state().await.unwrap_or_else(|e| panic!("{}", crate::error::chain(&e)));
        assert!(state.incarnations().next().is_none(), "something is left: {:?}", state.records.keys());
    }

    /// The outputs of the resource at `address`.
    ///
    /// # Panics
    /// If there is none.
    pub async fn outputs(&self, address: &str) -> serde_json::Value {
        let planned = self.plan("outputs").await;
        let live = planned.observed.live.get(&Address(address.to_owned()));
        live.unwrap_or_else(|| panic!("`{address}` is not there")).outputs.clone()
    }

    async fn plan(&self, what: &str) -> Planned {
        let planned = self.engine.plan(&self.stack, &PlanOptions::default()).await;
        planned.unwrap_or_else(|e| panic!("{what}: {}", crate::error::chain(&e)))
    }

    async fn settle(&self, what: &str) -> Report {
        let planned = self.plan(what).await;
        let text = render::plan(&planned.plan, true);
        let events = Arc::clone(&self.events);
        let run = Run {
            actor: "lifecycle test".into(),
            rules: Rules {
                permits: planned.plan.steps.iter().map(|s| s.address.clone()).collect(),
                max_removals: None,
                allow: self.engine.registry().lints().map(|l| l.name.to_owned()).collect(),
                ..Rules::default()
            },
            listener: Arc::new(move |e| events.lock().unwrap_or_else(PoisonError::into_inner).push(e)),
            ..Run::default()
        };
        let report = self.engine.apply(planned, &run).await;
        let report = report.unwrap_or_else(|e| panic!("{what}: {} ({e:?})\n{text}", crate::error::chain(&e)));
        assert!(report.is_complete(), "{what}: {:#?}\n{:#?}\n{text}", report.failed, report.skipped);
        let again = self.plan(what).await.plan;
        assert!(
            again.steps.is_empty(),
            "{what}: the next plan is not empty:\n{}",
            render::plan(&again, true)
        );
        report
    }
}
