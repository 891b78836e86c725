//! What `--json` prints: one document a command, as `dns-sync schema output` describes it.

pub(crate) use causeway_ending::document::{Document, Error, Place, done, failed, schema};

use causeway_core::{
    Address,
    apply::Report,
    guard::Refusal,
    history::PastRun,
    plan::{Action, Plan},
};
use causeway_dns_sync::{
    Exported, Prepared,
    moving::Moving,
    verify::Checked,
    wanted::{Left, Said},
};
use schemars::JsonSchema;
use serde::Serialize;

/// `plan`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Planned {
    /// The plan. `apply --digest DIGEST` does nothing else.
    pub(crate) plan: Plan,
    /// What it is, in 64 hexadecimal digits.
    pub(crate) digest: String,
    /// What speaks against all of it.
    pub(crate) refusals: Vec<Refusal>,
    /// Names that are left as they are.
    pub(crate) left: Vec<Left>,
    /// What each source said.
    pub(crate) sources: Vec<Said>,
    /// How many records were found by their marks, because there was no journal.
    pub(crate) recovered: usize,
}

/// `apply`, `adopt`, `undo` and each run of `run`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Applied {
    /// What was done.
    pub(crate) done: Vec<Done>,
    /// What did not work.
    pub(crate) failed: Vec<Failed>,
    /// Names that are left as they are.
    pub(crate) left: Vec<Left>,
    /// What each source said.
    pub(crate) sources: Vec<Said>,
    /// How many records stay as they are.
    pub(crate) unchanged: usize,
    /// How many records were found by their marks, because there was no journal.
    pub(crate) recovered: usize,
}

impl Applied {
    /// Nothing yet, of a plan; with what its sources said.
    pub(crate) fn of(prepared: &Prepared, sources: Option<&[Said]>) -> Self {
        Applied {
            done: vec![],
            failed: vec![],
            left: prepared.left.clone(),
            sources: sources.unwrap_or_default().to_vec(),
            unchanged: prepared.planned.plan.unchanged,
            recovered: prepared.recovered,
        }
    }

    /// With what came of it.
    pub(crate) fn and(mut self, report: &Report) -> Self {
        let failures = report.failed.iter().chain(&report.skipped);
        self.failed =
            failures.map(|(address, why)| Failed { address: address.clone(), why: why.clone() }).collect();
        let done = report.done.iter();
        self.done =
            done.map(|(address, action)| Done { address: address.clone(), action: *action }).collect();
        self
    }
}

/// `undo --list`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Runs {
    /// Every run that the journal has, oldest first.
    pub(crate) runs: Vec<PastRun>,
}

/// `move`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Moved {
    /// What was done, in words.
    pub(crate) done: Vec<String>,
    /// What is still on its way.
    pub(crate) left: Vec<Moving>,
}

/// `export`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Records {
    /// The records.
    pub(crate) records: Vec<Exported>,
}

/// `verify`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verified {
    /// What each server says of each name.
    pub(crate) checked: Vec<Checked>,
}

/// Something that was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Done {
    /// To which record.
    pub(crate) address: Address,
    /// What.
    pub(crate) action: Action,
}

/// Something that did not work, or was not tried.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Failed {
    /// Which record.
    pub(crate) address: Address,
    /// Why.
    pub(crate) why: String,
}
