//! A stack of records, an engine, and the zone that they are in.

use causeway_core::{
    Address, Engine, Registry, Stack,
    apply::Report,
    engine::{Planned, Run},
    error::chain,
    guard::Rules,
    plan::PlanOptions,
    store::{MemoryStore, Store},
};
use causeway_dns::{
    DnsZone, Record,
    provider::{Provider, memory::Memory},
};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) const ZONE: &str = "example.com";

pub(crate) fn zone() -> DnsZone {
    DnsZone { name: ZONE.into(), account: "a".into(), id: Some("z1".into()) }
}

/// As [`stack_in`], in the zone of the provider in memory.
pub(crate) fn stack<S: AsRef<str>>(name: &str, records: impl IntoIterator<Item = (S, Record)>) -> Stack {
    stack_in(&zone(), name, records)
}

/// A stack of these records, each at an address of its own.
pub(crate) fn stack_in<S: AsRef<str>>(
    zone: &DnsZone,
    name: &str,
    records: impl IntoIterator<Item = (S, Record)>,
) -> Stack {
    let mut stack = Stack::new(name);
    stack.at(zone, |stack| {
        for (at, record) in records {
            stack.add(at.as_ref(), record);
        }
    });
    stack
}

pub(crate) fn address(name: &str, values: &[&str]) -> Record {
    Record::address(name, values.iter().map(|v| (*v).to_owned())).expect("a test names it well")
}

pub(crate) fn registry(provider: Arc<dyn Provider>) -> Registry {
    let mut registry = Registry::new();
    causeway_dns::register(&mut registry, BTreeMap::from([("a".to_owned(), provider)]));
    registry
}

/// One who runs the engine on a zone, with a journal.
pub(crate) struct World<P = Memory> {
    pub(crate) zone: Arc<P>,
    pub(crate) store: Arc<dyn Store>,
}

impl<P: Provider> World<P> {
    pub(crate) fn new(zone: Arc<P>) -> Self {
        World { zone, store: Arc::new(MemoryStore::default()) }
    }

    /// A run of its own: nothing is remembered but the journal.
    pub(crate) fn engine(&self) -> Engine {
        Engine::new(registry(self.zone.clone()), Arc::clone(&self.store)).at_once(4000)
    }

    pub(crate) async fn plan(&self, stack: &Stack) -> Planned {
        self.plan_with(stack, &PlanOptions::default()).await
    }

    pub(crate) async fn plan_with(&self, stack: &Stack, options: &PlanOptions) -> Planned {
        let planned = self.engine().plan(stack, options).await;
        planned.unwrap_or_else(|e| panic!("{}", chain(&e)))
    }

    /// Plans and applies, as one process does.
    pub(crate) async fn apply(&self, stack: &Stack) -> Result<Report, String> {
        self.apply_with(stack, &PlanOptions::default()).await
    }

    pub(crate) async fn apply_with(&self, stack: &Stack, options: &PlanOptions) -> Result<Report, String> {
        let engine = self.engine();
        let planned = engine.plan(stack, options).await.map_err(|e| chain(&e))?;
        let rules = Rules { max_removals: None, ..Rules::default() };
        let run = Run { rules, ..Run::default() };
        engine.apply(planned, &run).await.map_err(|e| format!("{}: {e:?}", chain(&e)))
    }

    /// As `apply`, and everything must work.
    pub(crate) async fn settle(&self, stack: &Stack) {
        let report = self.apply(stack).await.unwrap_or_else(|e| panic!("{e}"));
        assert!(report.is_complete(), "{:#?}{:#?}", report.failed, report.skipped);
        let again = self.plan(stack).await.plan;
        assert!(again.steps.is_empty() && again.conflicts.is_empty(), "{again:#?}");
    }
}

impl World {
    /// What is in the zone, as `name type value`, without marks.
    pub(crate) fn said(&self) -> Vec<String> {
        let entries = self.zone.entries();
        let mut said: Vec<String> = entries
            .iter()
            .filter(|e| causeway_dns::owner::mark_in(e).is_none())
            .map(|e| format!("{} {} {}", e.name, e.kind, e.value))
            .collect();
        said.sort();
        said
    }

    /// Where marks stand, and whose.
    pub(crate) fn marks(&self) -> Vec<String> {
        let entries = self.zone.entries();
        let marked = entries.iter().filter_map(|e| Some((e, causeway_dns::owner::mark_in(e)?)));
        let mut marks: Vec<String> = marked.map(|(e, m)| format!("{} {}", e.name, m.owner)).collect();
        marks.sort();
        marks
    }
}

pub(crate) fn at(address: &str) -> Address {
    Address(address.to_owned())
}
