//! The inverse of a run that the journal has, refused where the zone has moved on since.

use crate::{
    sync::{Prepared, Sync, SyncError},
    wanted::at_address,
};
use causeway_core::{
    Address, Stack, Tags,
    engine::EngineError,
    history::{self, Outcome, PastRun, What},
    journal::{Stamped, State},
    plan::PlanOptions,
};
use causeway_dns::Record;
use std::collections::BTreeSet;

/// Why a run is not taken back. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// Nothing is kept, so nothing is known of what was there before.
    #[error("no journal is kept, so that nobody knows what was there before the last run")]
    NotKept,
    /// There is no such run.
    #[error("the journal has no run {0}")]
    NoRun(String),
    /// Something else has happened since, or the run is of a kind that cannot be taken back.
    #[error("run {run} cannot be taken back: {}", whys.join("; "))]
    Moved {
        /// The run.
        run: u64,
        /// What is in the way.
        whys: Vec<String>,
    },
    /// As for any other run.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

impl Sync {
    /// The runs that the journal has, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn runs(&self) -> Result<Vec<PastRun>, SyncError> {
        let entries = self.store().load().await.map_err(EngineError::Load)?;
        Ok(history::runs(&entries))
    }

    /// A plan that takes `run` back: the last one, or the one that began with that entry of the journal.
    ///
    /// # Errors
    /// [`UndoError`].
    pub async fn undo(&self, run: Option<u64>) -> Result<Prepared, UndoError> {
        if !self.is_kept() {
            return Err(UndoError::NotKept);
        }
        let load = self.store().load().await;
        let entries = load.map_err(EngineError::Load).map_err(SyncError::from)?;
        let mut runs = history::runs(&entries).into_iter().filter(|r| !r.deeds.is_empty());
        let past = match run {
            Some(first) => runs.find(|r| r.first == first),
            None => runs.next_back(),
        };
        let told = run.map_or_else(|| "at all".to_owned(), |first| first.to_string());
        let past = past.ok_or(UndoError::NoRun(told))?;
        let at = |seq: u64| -> Result<State, SyncError> {
            let until: Vec<Stamped> = entries.iter().filter(|e| e.seq <= seq).cloned().collect();
            Ok(State::fold(&until).map_err(EngineError::from)?)
        };
        let (before, after) = (at(past.first - 1)?, at(past.last)?);
        let now = at(u64::MAX)?;
        let engine = self.engine(std::sync::Arc::clone(self.store()));
        let drift = engine.drift().await.map_err(SyncError::from)?.drift;
        let touched: BTreeSet<&Address> = past.deeds.iter().map(|deed| &deed.address).collect();
        let mut whys = vec![];
        for deed in &past.deeds {
            let address = &deed.address;
            let of = |state: &State| state.records.get(address).map(|r| r.request.spec.as_json().clone());
            if deed.act == What::Adopt {
                whys.push(format!("`{address}` was taken over, and is not given back"));
            } else if deed.outcome != Outcome::Done {
                whys.push(format!(
                    "what it did to `{address}` was not finished; let an apply finish it first"
                ));
            } else if of(&now) != of(&after) {
                whys.push(format!("a later run has changed `{address}`"));
            } else if let Some(one) = drift.iter().find(|d| d.address == *address) {
                whys.push(format!("`{address}` {} in the zone", one.what));
            } else if deed.act == What::Update && of(&before) == of(&after) {
                whys.push(format!(
                    "it put `{address}` right again, and what was wrong there is not recorded"
                ));
            }
        }
        if !whys.is_empty() {
            whys.dedup();
            return Err(UndoError::Moved { run: past.first, whys });
        }
        let mut stack = Stack::new(self.config().owner.clone());
        for address in &touched {
            let Some(record) = before.records.get(*address) else { continue };
            let spec = serde_json::from_value(record.request.spec.as_json().clone());
            let (Ok(mut spec), Some((name, _))) = (spec as Result<Record, _>, at_address(&address.0)) else {
                continue;
            };
            for key in [Tags::STACK, Tags::ADDRESS, Tags::INSTANCE] {
                spec.tags.0.remove(key);
            }
            let Some(zone) = self.config().zone_of(&name) else { continue };
            stack.at(&crate::wanted::place_of(self.config(), zone), |stack| stack.add(&address.0, spec));
        }
        let only = touched.iter().map(|a| a.0.clone()).collect();
        let options = PlanOptions { only, ..PlanOptions::default() };
        let planned = engine.plan(&stack, &options).await.map_err(SyncError::from)?;
        Ok(Prepared { planned, refusals: vec![], left: vec![], said: vec![], recovered: 0 })
    }
}
