//! Plans that are kept in a file between being made and being applied.
//!
//! A saved plan holds digests of secrets, never secrets, so that it cannot be applied by itself: the stack is built
//! and planned again, and the new plan must do exactly what the saved one says. What differs is told by resource.
//!
//! The file is canonical JSON with its own digest, so that a file of which one byte was changed is refused. Whoever can
//! write the file can write a digest that fits, though: who approved it is known for sure by its signature, or by
//! comparing the [digest](SavedPlan::digest) that was told when the plan was made.
//!
//! One limit: before the first apply there is no key for the digests of secrets, so that a secret that changes between
//! plan and apply is not seen.

use crate::{
    diff::Change,
    engine::Planned,
    estimate::Estimate,
    history::{FieldDifference, differing},
    plan::{Action, Plan, PlanOptions, REGION, Step},
    registry::AnyLive,
    render,
    secret::{SealKey, Sealed},
    signature::{PublicKey, SigningKey},
    value::Address,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::Path,
};

/// The version of the file.
pub const FORMAT: u32 = 3;

/// What is signed, before the digest: a signature of ours means nothing anywhere else.
const SIGNED: &str = "causeway saved plan\n";

/// How many fields are told of one resource that is not as it was.
const TOLD: usize = 5;

/// Which program made a plan, to the byte: another one may plan the same and do it otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its version, for people.
    pub version: String,
    /// SHA-256 of its executable.
    pub build: String,
}

impl Program {
    /// The one that is running, in `version`.
    ///
    /// # Errors
    /// Its executable cannot be read.
    pub fn running(version: impl Into<String>) -> io::Result<Self> {
        // On Linux this is what runs, even where another file has its name by now.
        let itself = Path::new("/proc/self/exe");
        let path = if itself.exists() { itself.to_owned() } else { std::env::current_exe()? };
        let executable = fs::read(path)?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &executable);
        Ok(Program { version: version.into(), build: hex::encode(digest) })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} (build {:.12})", self.version, self.build)
    }
}

/// A plan with what it was made by, for and from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    /// [`FORMAT`].
    pub format: u32,
    /// The program that made it.
    pub program: Program,
    /// Where it is to be applied, in the words of the program that made it: the account and the region.
    pub target: String,
    /// Whether nothing at all was wanted: everything is deleted.
    pub destroy: bool,
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
    /// What whoever made it allowed: applying it needs no permission of its own.
    pub permitted: Permitted,
    /// How long it takes, as far as that was known.
    pub estimate: Estimate,
}

/// What a plan may do beyond the usual. It is part of what is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Permitted {
    /// Data-bearing resources that may be deleted or replaced.
    pub data: BTreeSet<Address>,
    /// What else, by name, with what planning it once more takes. The program that made the plan gives it a meaning.
    pub other: BTreeMap<String, String>,
}

/// What was there when the plan was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Touched {
    /// Which resource.
    pub address: Address,
    /// Which incarnation, for one that was replaced before.
    pub leftover: Option<String>,
    /// Its live spec, without secrets; none where nothing was there.
    pub live: Option<Sealed>,
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
    /// Its signature is not of this plan.
    #[error("it was altered after it was signed with {0}")]
    Signature(String),
    /// Another program made it.
    #[error("{made} of the program made it, and this is {this}; plan again, or use that one")]
    OtherProgram {
        /// Which one.
        made: String,
        /// The one that reads it.
        this: Box<Program>,
    },
}

/// Something that is not as the saved plan says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
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
    /// `planned`, made with `options` by `program` for `target`. Permits nothing, and tells no time.
    pub fn of(planned: &Planned, options: &PlanOptions, program: &Program, target: &str) -> Self {
        let touched = touched(planned).into_iter();
        SavedPlan {
            format: FORMAT,
            program: program.clone(),
            target: target.to_owned(),
            destroy: planned.stack().nodes().is_empty(),
            adopt: options.adopt,
            only: options.only.clone(),
            except: options.except.clone(),
            plan: planned.plan.clone(),
            touched: touched.map(|((address, leftover), live)| Touched { address, leftover, live }).collect(),
            permitted: Permitted::default(),
            estimate: Estimate::default(),
        }
    }

    /// SHA-256 of its canonical JSON.
    pub fn digest(&self) -> String {
        digest(&self.json())
    }

    fn json(&self) -> Json {
        serde_json::to_value(self).expect("a plan is plain data")
    }

    /// Canonical JSON, with its digest in it, and a signature if there is a key.
    pub fn text(&self, key: Option<&SigningKey>) -> String {
        let (mut json, digest) = (self.json(), self.digest());
        if let Some(key) = key {
            let signature = hex::encode(key.sign(signed(&digest).as_bytes()));
            json["signature"] = json!({ "key": key.public().line(), "signature": signature });
        }
        json["digest"] = json!(digest);
        format!("{json}\n")
    }

    /// Reads what [`SavedPlan::text`] wrote, for `program`; with who has signed it. Whether that is somebody who may
    /// approve it is for the caller to say.
    ///
    /// # Errors
    /// [`SavedError`]: it is something else, was altered, or is of another program.
    pub fn read(bytes: &[u8], program: &Program) -> Result<(Self, Option<PublicKey>), SavedError> {
        let mut json: Json = serde_json::from_slice(bytes)?;
        // Of two keys of one name the reader may see the other one, so nothing but what we write will do.
        let canonical = format!("{json}\n").as_bytes() == bytes;
        let mut taken = |key| json.as_object_mut().and_then(|m| m.remove(key));
        let (said, signature) = (taken("digest"), taken("signature"));
        let said = said.as_ref().and_then(Json::as_str).unwrap_or("nothing").to_owned();
        // Before there was a `program` there was a `version`.
        let made = json.get("program").or(json.get("version"));
        let made = made.map(|made| serde_json::from_value::<Program>(made.clone()));
        let found = digest(&json);
        // What says of itself that it is a plan and is none was altered; anything else never was one.
        let Some(made) = made else { return Ok((serde_json::from_value(json)?, None)) };
        if found != said || !canonical {
            return Err(SavedError::Altered { said, found });
        }
        let signer = signature.as_ref().map(|s| signer(s, &found)).transpose()?;
        // Before it is decoded, as another version may have written other fields.
        match made {
            Ok(made) if made == *program && json["format"] == json!(FORMAT) => {
                Ok((serde_json::from_value(json)?, signer))
            }
            made => Err(SavedError::OtherProgram {
                made: made.map_or_else(|_| "another version".to_owned(), |made| made.to_string()),
                this: Box::new(program.clone()),
            }),
        }
    }

    /// How it was planned, for planning again: without what waited for places that were away, though they may be back.
    pub fn options(&self) -> PlanOptions {
        let waited = self.plan.away.iter().flat_map(|away| {
            let needing = away.needing.iter().map(|a| a.0.clone());
            needing.chain([format!("{REGION}{}", away.place)])
        });
        PlanOptions {
            adopt: self.adopt,
            only: self.only.clone(),
            except: self.except.iter().cloned().chain(waited).collect(),
            from_journal: self.plan.from_journal,
        }
    }

    /// How `now`, the same stack planned again, differs from what was saved. Empty: applying `now` does exactly what
    /// the saved plan says. A journal that went on without touching any of it is no difference.
    pub fn deviations(&self, now: &Planned) -> Vec<Deviation> {
        let saved: BTreeMap<Key, &Step> = self.plan.steps.iter().map(|s| (key(s), s)).collect();
        let planned: BTreeMap<Key, &Step> = now.plan.steps.iter().map(|s| (key(s), s)).collect();
        let was: BTreeMap<Key, &Option<Sealed>> =
            self.touched.iter().map(|t| ((t.address.clone(), t.leftover.clone()), &t.live)).collect();
        let is = touched(now);
        let mut out = vec![];
        let (then, moves) = (&self.plan.moves, &now.plan.moves);
        for address in then.keys().chain(moves.keys()).collect::<BTreeSet<_>>() {
            if then.get(address) != moves.get(address) {
                let to = |to: Option<&Address>| to.map_or("to stay".into(), |to| format!("to become `{to}`"));
                let why = format!("was {}, and is {} now", to(then.get(address)), to(moves.get(address)));
                out.push(Deviation { address: address.clone(), why });
            }
        }
        for key in saved.keys().chain(planned.keys()).collect::<BTreeSet<_>>() {
            let touched = match (was.get(key), is.get(key)) {
                (Some(None), Some(Some(_))) => {
                    Some("is there now, and was not when the plan was made".to_owned())
                }
                (Some(Some(_)), Some(None)) => Some("is not there any more".to_owned()),
                (Some(Some(a)), Some(Some(b))) if a != b => {
                    Some(format!("has changed since the plan was made: {}", fields(a, b)))
                }
                _ => None,
            };
            let why = match (saved.get(key), planned.get(key)) {
                (Some(_), Some(_)) if touched.is_some() => touched,
                (Some(a), Some(b)) => unlike(a, b),
                (Some(a), None) => Some(match now.plan.waits_for(&key.0) {
                    Some(away) => format!("waits: {} cannot be reached", away.place),
                    None => format!("was to be {}, and is not any more", render::deed(a.action)),
                }),
                (None, Some(b)) => {
                    Some(format!("is not in the plan, and would be {} now", render::deed(b.action)))
                }
                (None, None) => None,
            };
            out.extend(why.map(|why| Deviation { address: key.0.clone(), why }));
        }
        out
    }
}

fn signed(digest: &str) -> String {
    format!("{SIGNED}{digest}")
}

/// Who signed `digest`.
fn signer(signature: &Json, digest: &str) -> Result<PublicKey, SavedError> {
    let part = |name: &str| signature.get(name).and_then(Json::as_str).unwrap_or_default();
    let altered = |by: String| SavedError::Signature(by);
    let key = PublicKey::parse(part("key")).map_err(|_| altered("a key that is none".to_owned()))?;
    let bytes = hex::decode(part("signature")).unwrap_or_default();
    // There is one way to write it, so that a file of which a byte was changed is refused even where that says nothing.
    let exact = json!({ "key": key.line(), "signature": hex::encode(&bytes) });
    if *signature == exact && key.verifies(signed(digest).as_bytes(), &bytes) {
        return Ok(key);
    }
    Err(altered(key.to_string()))
}

/// `field: old -> new` of all fields that differ.
fn fields(was: &Sealed, is: &Sealed) -> String {
    let mut out = vec![];
    let (was, is) = (was.as_json(), is.as_json());
    let nothing = Json::Null;
    let names =
        |json: &Json| json.as_object().into_iter().flat_map(|m| m.keys().cloned()).collect::<Vec<_>>();
    for name in names(was).into_iter().chain(names(is)).collect::<BTreeSet<_>>() {
        let get = |json: &'_ Json| json.get(&name).unwrap_or(&nothing).clone();
        differing(&name, &get(was), &get(is), &mut out);
    }
    told(out.into_iter().map(|FieldDifference { path, from, to }| (path, from, to)))
}

fn told(fields: impl Iterator<Item = (String, Json, Json)>) -> String {
    let all: Vec<String> = fields
        .map(|(path, from, to)| format!("{path}: {} -> {}", render::value(&from), render::value(&to)))
        .collect();
    let more = all.len().saturating_sub(TOLD);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{rest}", all.into_iter().take(TOLD).collect::<Vec<_>>().join(", "))
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
    let wants = |step: &Step| -> BTreeMap<String, Json> {
        let to = |change: &Change| match change {
            Change::Set { to, .. } | Change::Unknown { to, .. } => to.clone(),
            Change::Removed { .. } => Json::Null,
        };
        step.diff.changes.iter().map(|c| (c.path.clone(), to(&c.change))).collect()
    };
    let (was, is) = (wants(saved), wants(now));
    let paths: BTreeSet<&String> =
        was.keys().chain(is.keys()).filter(|p| was.get(*p) != is.get(*p)).collect();
    if paths.is_empty() {
        return Some("would be done otherwise now".to_owned());
    }
    let get = |all: &BTreeMap<String, Json>, path: &String| all.get(path).cloned().unwrap_or_default();
    let fields = told(paths.into_iter().map(|p| (p.clone(), get(&was, p), get(&is, p))));
    Some(format!("would be {} otherwise now: {fields}", render::deed(now.action)))
}

/// What is there of each resource that the plan touches. What is only waited for is not ours and may move.
fn touched(planned: &Planned) -> BTreeMap<Key, Option<Sealed>> {
    let seal = planned.state.seal_key.clone().unwrap_or_else(SealKey::none);
    let print = |live: &AnyLive| Sealed::of(&live.spec, &seal);
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
