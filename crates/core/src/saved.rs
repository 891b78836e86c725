//! Plans that are kept in a file between being made and being applied.
//!
//! A saved plan holds digests of secrets, never secrets, so that it cannot be applied by itself: the stack is built
//! and planned again, and the new plan must do exactly what the saved one says. What differs is told by resource.
//!
//! Two limits. Before the first apply there is no key for the digests of secrets, so that a secret that changes
//! between plan and apply is not seen. And whoever can write the file can write a digest that fits; what has been
//! approved is known for sure by comparing the [digest](SavedPlan::digest) that was told when the plan was made.

use crate::{
    engine::Planned,
    plan::{Action, Plan, PlanOptions, Step},
    registry::AnyLive,
    render,
    secret::{SealKey, Sealed},
    value::Address,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the file.
pub const FORMAT: u32 = 1;

/// A plan with what it was made by, for and from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the program that made it.
    pub version: String,
    /// Where it is to be applied, in the words of the program that made it: the account and the region.
    pub target: String,
    /// Whether things that belong to nobody are taken over.
    pub adopt: bool,
    /// The patterns of addresses that it was limited to; empty for all.
    pub only: Vec<String>,
    /// The patterns of addresses that were left out of it.
    pub except: Vec<String>,
    /// The plan, which says after which journal entry it was made.
    pub plan: Plan,
    /// What was there of the resources that it touches.
    pub touched: Vec<Touched>,
}

/// What was there when the plan was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Touched {
    /// Which resource.
    pub address: Address,
    /// Which incarnation, for one that was replaced before.
    pub leftover: Option<String>,
    /// SHA-256 of its live spec; none where nothing was there.
    pub fingerprint: Option<String>,
}

/// Why a file is not a plan that may be applied.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It does not decode.
    #[error("it is not a saved plan")]
    Decode(#[from] serde_json::Error),
    /// It was changed after it was written.
    #[error("it was altered after it was made: its digest is {found}, and it says {said}")]
    Altered {
        /// What is written in it.
        said: String,
        /// What its content has.
        found: String,
    },
    /// Another version of the program made it.
    #[error("version {made} made it, and this is version {this}; plan again")]
    OtherVersion {
        /// Which one.
        made: String,
        /// The one that reads it.
        this: String,
    },
}

/// Something that is not as the saved plan says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Which resource.
    pub address: Address,
    /// What differs.
    pub why: String,
}

/// What tells one step of a plan from the others.
type Key = (Address, Option<String>);

fn key(step: &Step) -> Key {
    (step.address.clone(), step.instance.clone().filter(|_| step.leftover))
}

impl SavedPlan {
    /// `planned`, made with `options` by `version` of the program for `target`.
    pub fn of(planned: &Planned, options: &PlanOptions, version: &str, target: &str) -> Self {
        let fingerprints = fingerprints(planned).into_iter();
        SavedPlan {
            format: FORMAT,
            version: version.to_owned(),
            target: target.to_owned(),
            adopt: options.adopt,
            only: options.only.clone(),
            except: options.except.clone(),
            plan: planned.plan.clone(),
            touched: fingerprints
                .map(|((address, leftover), fingerprint)| Touched { address, leftover, fingerprint })
                .collect(),
        }
    }

    /// SHA-256 of its canonical JSON.
    pub fn digest(&self) -> String {
        digest(&self.json())
    }

    fn json(&self) -> Json {
        serde_json::to_value(self).expect("a plan is plain data")
    }

    /// Canonical JSON, with its digest in it.
    pub fn text(&self) -> String {
        let mut json = self.json();
        json["digest"] = json!(self.digest());
        format!("{json}\n")
    }

    /// Reads what [`SavedPlan::text`] wrote, for `version` of the program.
    ///
    /// # Errors
    /// [`SavedError`]: it is something else, was altered, or is of another version.
    pub fn read(text: &str, version: &str) -> Result<Self, SavedError> {
        let mut json: Json = serde_json::from_str(text)?;
        let said = json.as_object_mut().and_then(|m| m.remove("digest"));
        let said = said.as_ref().and_then(Json::as_str).unwrap_or("nothing").to_owned();
        let made = json.get("version").and_then(Json::as_str).map(str::to_owned);
        let found = digest(&json);
        // What says of itself that it is a plan and is none was altered; anything else never was one.
        match made {
            Some(_) if found != said => return Err(SavedError::Altered { said, found }),
            // Before it is decoded, as another version may have written other fields.
            Some(made) if made != version || json["format"] != json!(FORMAT) => {
                return Err(SavedError::OtherVersion { made, this: version.to_owned() });
            }
            _ => {}
        }
        Ok(serde_json::from_value(json)?)
    }

    /// How it was planned, for planning again.
    pub fn options(&self) -> PlanOptions {
        PlanOptions {
            adopt: self.adopt,
            only: self.only.clone(),
            except: self.except.clone(),
            from_journal: self.plan.from_journal,
        }
    }

    /// How `now`, the same stack planned again, differs from what was saved. Empty: applying `now` does exactly what
    /// the saved plan says. A journal that went on without touching any of it is no difference.
    pub fn moved(&self, now: &Planned) -> Vec<Moved> {
        let saved: BTreeMap<Key, &Step> = self.plan.steps.iter().map(|s| (key(s), s)).collect();
        let planned: BTreeMap<Key, &Step> = now.plan.steps.iter().map(|s| (key(s), s)).collect();
        let was: BTreeMap<Key, &Option<String>> =
            self.touched.iter().map(|t| ((t.address.clone(), t.leftover.clone()), &t.fingerprint)).collect();
        let is = fingerprints(now);
        let mut out = vec![];
        for key in saved.keys().chain(planned.keys()).collect::<BTreeSet<_>>() {
            let touched = match (was.get(key), is.get(key)) {
                (Some(None), Some(Some(_))) => Some("is there now, and was not when the plan was made"),
                (Some(Some(_)), Some(None)) => Some("is not there any more"),
                (Some(a), Some(b)) if *a != b => Some("has changed since the plan was made"),
                _ => None,
            };
            let why = match (saved.get(key), planned.get(key)) {
                (Some(_), Some(_)) if touched.is_some() => touched.map(str::to_owned),
                (Some(a), Some(b)) => unlike(a, b),
                (Some(a), None) => Some(format!("was to be {}, and is not any more", render::deed(a.action))),
                (None, Some(b)) => {
                    Some(format!("is not in the plan, and would be {} now", render::deed(b.action)))
                }
                (None, None) => None,
            };
            out.extend(why.map(|why| Moved { address: key.0.clone(), why }));
        }
        out
    }
}

fn digest(json: &Json) -> String {
    // `Json` has its objects sorted.
    hex::encode(Sha256::digest(json.to_string().as_bytes()))
}

/// How two steps for the same thing differ.
fn unlike(saved: &Step, now: &Step) -> Option<String> {
    if saved == now {
        return None;
    }
    if saved.action != now.action {
        let (was, is) = (render::deed(saved.action), render::deed(now.action));
        return Some(format!("was to be {was}, and would be {is} now"));
    }
    let only = |a: &Step, b: &Step| {
        let changes = a.diff.changes.iter().filter(|c| !b.diff.changes.contains(c));
        changes.map(|c| c.path.clone()).collect::<BTreeSet<_>>()
    };
    let fields: Vec<String> = only(saved, now).union(&only(now, saved)).cloned().collect();
    if fields.is_empty() {
        return Some("would be done otherwise now".to_owned());
    }
    Some(format!("would be {} otherwise now: {}", render::deed(now.action), fields.join(", ")))
}

/// What is there of each resource that the plan touches. What is only waited for is not ours and may move.
fn fingerprints(planned: &Planned) -> BTreeMap<Key, Option<String>> {
    let seal = planned.state.seal_key.clone().unwrap_or_else(SealKey::none);
    let print = |live: &AnyLive| digest(Sealed::of(&live.spec, &seal).as_json());
    let steps = planned.plan.steps.iter().filter(|s| s.action != Action::Wait);
    steps
        .map(|step| {
            let key = key(step);
            let live = match &key.1 {
                Some(instance) => {
                    // What was to replace it may be a leftover only once the plan is applied.
                    let current = planned.state.records.get(&key.0).filter(|r| r.instance == *instance);
                    let leftover = planned.observed.leftovers.get(&(key.0.clone(), instance.clone()));
                    leftover.or(current.and_then(|_| planned.observed.live.get(&key.0)))
                }
                None => planned.observed.live.get(&key.0),
            };
            let live = live.map(print);
            (key, live)
        })
        .collect()
}
