//! What `--json` prints: one document for a run, whatever became of it. `deploy schema output` describes it.
//!
//! Within one version fields are only added.

pub(crate) use causeway_ending::document::{Document, Error, Place, done, ended, failed};

use causeway_core::{
    Address,
    away::Away,
    claim::Found,
    engine::Drift,
    estimate::Estimate,
    finding::Finding,
    guard::Refusal,
    history::{Blame, Difference, PastRun},
    plan::{self, Action, Claimed},
    rebuild,
    saved::Permitted,
    secret::Sealed,
    why::Why,
};
use causeway_cost::Cost;
use causeway_k8s::lock;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where the stack lives.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Cloud {
    /// Whether it is a sandbox.
    pub(crate) sandbox: bool,
    /// The AWS account.
    pub(crate) account: String,
    /// Who we are there.
    pub(crate) principal: String,
    /// The region of the configuration.
    pub(crate) region: String,
}

/// Of `init`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Init {
    /// What was written; with `--bootstrap`, what was read.
    pub(crate) file: String,
    /// With `--bootstrap`: where the journal will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) journal: Option<JournalMade>,
}

/// A bucket for journals.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct JournalMade {
    /// Where the journal of this stack is in it.
    pub(crate) place: String,
    /// Whether this run made the bucket.
    pub(crate) made: bool,
    /// Where it is somebody else's: what we would have made otherwise.
    pub(crate) differs: Vec<String>,
    /// How many entries the journal has.
    pub(crate) entries: u64,
}

/// Of `validate`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Validate {
    /// The name of the stack.
    pub(crate) stack: String,
    /// Its region.
    pub(crate) region: String,
    /// What is missing here and would be needed by `plan`.
    pub(crate) missing: Vec<Place>,
    /// What the lints refuse, as far as it is known without asking AWS.
    pub(crate) refusals: Vec<Refusal>,
}

/// What `deploy adopt` found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Adoption {
    /// Where.
    pub(crate) cloud: Cloud,
    /// What would become of each claim, those of the configuration and those that were found.
    pub(crate) claims: Vec<Claimed>,
    /// What was found, by the resource that would stand for it.
    pub(crate) found: BTreeMap<Address, Found>,
    /// What speaks against claims.
    pub(crate) refusals: Vec<Refusal>,
    /// The new claims as `causeway.toml` has them.
    pub(crate) lines: String,
    /// Types in a Terraform state that are no part of the stack.
    pub(crate) others: BTreeSet<String>,
}

/// Of `plan`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Planned {
    /// Where.
    pub(crate) cloud: Cloud,
    /// What would be done.
    pub(crate) plan: plan::Plan,
    /// SHA-256 of the plan: two plans with the same digest do the same.
    pub(crate) digest: String,
    /// How long it takes.
    pub(crate) estimate: Estimate,
    /// What it costs.
    pub(crate) cost: Cost,
    /// Why `apply` would refuse it.
    pub(crate) refusals: Vec<Refusal>,
    /// What was permitted with it.
    pub(crate) permitted: Permitted,
    /// Where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) saved: Option<Saved>,
}

/// A plan in a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Saved {
    /// The file.
    pub(crate) file: String,
    /// SHA-256 of its content, for `apply --digest`.
    pub(crate) digest: String,
    /// Who signed it: the fingerprint of the key, as `ssh-keygen -l` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signer: Option<String>,
}

/// Of `show`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Shown {
    /// Where it is to be applied.
    pub(crate) target: String,
    /// The version of the program that made it.
    pub(crate) version: String,
    /// What would be done.
    pub(crate) plan: plan::Plan,
    /// How long it takes, as far as that was known when it was made.
    pub(crate) estimate: Estimate,
    /// What was permitted with it.
    pub(crate) permitted: Permitted,
    /// The file, its digest, and who signed it.
    pub(crate) saved: Saved,
}

/// Of `preflight`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Preflight {
    /// Where.
    pub(crate) cloud: Cloud,
    /// What was asked, what was answered, and what to do.
    pub(crate) findings: Vec<Finding>,
}

/// Of `iam-policy`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct IamPolicy {
    /// In the language of IAM.
    pub(crate) policy: Json,
}

/// Of `apply`, `destroy` and `rollback`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Apply {
    /// Where.
    pub(crate) cloud: Cloud,
    /// What was to be done.
    pub(crate) plan: plan::Plan,
    /// SHA-256 of the plan.
    pub(crate) digest: String,
    /// How long it was expected to take.
    pub(crate) estimate: Estimate,
    /// What was done, in that order.
    pub(crate) done: Vec<Done>,
    /// What did not work.
    pub(crate) failed: Vec<NotDone>,
    /// What was not tried.
    pub(crate) skipped: Vec<NotDone>,
    /// The places that could not be reached, from the start or any more, and what waits for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) away: Vec<Away>,
    /// What the stack tells people; null where that is not known yet.
    pub(crate) outputs: BTreeMap<String, Json>,
}

/// A step that was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Done {
    /// Which resource.
    pub(crate) address: Address,
    /// What was done to it; `keep` where nothing was left to do.
    pub(crate) action: Action,
}

/// A step that was not done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NotDone {
    /// Which resource.
    pub(crate) address: Address,
    /// What was to be done to it.
    pub(crate) action: Action,
    /// Why not.
    pub(crate) why: String,
}

/// Of `update`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Update {
    /// The file.
    pub(crate) lock: String,
    /// Whether it was written.
    pub(crate) written: bool,
    /// What moved; with `--check`, what would.
    pub(crate) moves: Vec<lock::Move>,
}

/// Of `vendor`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Vendor {
    /// The folder.
    pub(crate) folder: String,
    /// How much of the images came in this run, in bytes.
    pub(crate) came: u64,
    /// What it has, as its `index.json` says.
    pub(crate) vendored: lock::Vendored,
}

/// Of `mirror`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Mirror {
    /// Whether anything was copied, or only looked at.
    pub(crate) copied: bool,
    /// The images, in the order of the file.
    pub(crate) images: Vec<MirroredImage>,
}

/// An image of others in a repository of ours.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MirroredImage {
    /// Where it is from, with its tag.
    pub(crate) from: String,
    /// Where it is to be, with its tag.
    pub(crate) to: String,
    /// What the tag stands for where it is from: `sha256:..`, of all platforms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// What the tag stood for in our repository before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<String>,
    /// How much was sent, or would be, in bytes.
    pub(crate) went: u64,
    /// Why it could not be copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

/// Of `llm-key make`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LlmKeyMade {
    /// What LiteLLM calls the key that is in force; no secret. None where there is a freeze.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<String>,
    /// Whether it is a new one.
    pub(crate) new: bool,
    /// The aliases of keys that were deleted.
    pub(crate) deleted: Vec<String>,
    /// The aliases of keys that live longer because of a freeze.
    pub(crate) extended: Vec<String>,
}

/// Of `llm-key bring`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LlmKeyBrought {
    /// What LiteLLM calls the key; no secret. None where there is a freeze.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<String>,
    /// Where it is now.
    pub(crate) namespaces: Vec<LlmKeyPlace>,
}

/// A namespace of workspaces, and its key.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LlmKeyPlace {
    /// The region; none for the cluster that the program runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// The namespace.
    pub(crate) namespace: String,
    /// Whether it had another one before, or none.
    pub(crate) changed: bool,
    /// Why it could not be brought there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failed: Option<String>,
}

/// Of `drift`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Drifted {
    /// Where.
    pub(crate) cloud: Cloud,
    /// What differs from the last apply.
    pub(crate) drift: Vec<Drift>,
    /// The places that cannot be reached. Whether anything differs there nobody knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) away: Vec<Away>,
}

/// Of `status`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Status {
    /// The name of the stack.
    pub(crate) stack: String,
    /// Where.
    pub(crate) cloud: Cloud,
    /// What the stack tells people; null where that is not known yet.
    pub(crate) outputs: BTreeMap<String, Json>,
    /// The last apply.
    pub(crate) last_run: Option<LastRun>,
    /// How many resources the journal has.
    pub(crate) resources: usize,
    /// What was begun and not finished.
    pub(crate) unfinished: Vec<Unfinished>,
    /// What differs from the last apply.
    pub(crate) drift: Vec<Drift>,
    /// The places that cannot be reached. Whether anything differs there nobody knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) away: Vec<Away>,
}

/// An apply.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LastRun {
    /// When it began, in UTC.
    pub(crate) at: String,
    /// Who ran it.
    pub(crate) actor: String,
    /// SHA-256 of its plan.
    pub(crate) digest: String,
}

/// A resource that was begun and not finished.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Unfinished {
    /// Which resource.
    pub(crate) address: Address,
    /// What was being done.
    pub(crate) phase: String,
    /// Why it did not work, if it was told.
    pub(crate) error: Option<String>,
}

/// Of `outputs`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Outputs {
    /// By name; null where it is not known yet.
    pub(crate) outputs: BTreeMap<String, Json>,
}

/// A line of `logs --json`, which prints one after the other instead of one document.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LogLine {
    /// When it was written, in UTC.
    pub(crate) at: String,
    /// The id of the task that wrote it; empty where the stream does not tell.
    pub(crate) task: String,
    /// The log stream.
    pub(crate) stream: String,
    /// What was written.
    pub(crate) message: String,
}

/// Of `run`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Ran {
    /// The id of the task.
    pub(crate) task: String,
    /// The revision that it ran.
    pub(crate) task_definition: String,
    /// What its image's entry point got.
    pub(crate) command: Vec<String>,
    /// The exit code of the container; null when it never ran.
    pub(crate) container_exit_code: Option<i32>,
    /// Why the task ended, in the words of ECS.
    pub(crate) reason: Option<String>,
    /// What its container printed.
    pub(crate) log: Vec<String>,
}

/// Of `graph`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Graph {
    /// In the language that was asked for.
    pub(crate) graph: String,
}

/// Of `state list`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StateList {
    /// The last entry of the journal.
    pub(crate) last: u64,
    /// What it knows, by address.
    pub(crate) resources: Vec<Recorded>,
}

/// What the journal knows of a resource.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Recorded {
    /// Which resource.
    pub(crate) address: Address,
    /// Its kind.
    pub(crate) kind: String,
    /// Where it lives, in a word.
    pub(crate) place: String,
    /// Which incarnation.
    pub(crate) instance: String,
    /// `ready`, or what was begun: `creating`, `changing`, `deleting`.
    pub(crate) phase: String,
    /// When that was written, in UTC.
    pub(crate) at: String,
    /// Whether it is protected.
    pub(crate) protect: bool,
    /// Whether it was replaced and is still to be removed.
    pub(crate) leftover: bool,
}

/// Of `state show`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StateShow {
    /// The incarnation that counts, and then those that are still to be removed.
    pub(crate) incarnations: Vec<Incarnation>,
}

/// All that the journal knows of an incarnation.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Incarnation {
    /// In short.
    pub(crate) resource: Recorded,
    /// What must outlive it.
    pub(crate) after: BTreeSet<Address>,
    /// What was applied last; digests stand for secrets.
    pub(crate) spec: Sealed,
    /// What it tells others; null before it was made.
    pub(crate) outputs: Option<Json>,
    /// Why the last act did not work.
    pub(crate) error: Option<String>,
}

/// Of `state move`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Moved {
    /// Where the journal was, and where a copy stays.
    pub(crate) from: String,
    /// Where it goes on.
    pub(crate) to: String,
    /// How many entries it has.
    pub(crate) entries: u64,
}

/// Of `state rebuild`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Rebuilt {
    /// Where the new journal is.
    pub(crate) journal: String,
    /// What was found, in the order of the stack.
    pub(crate) found: Vec<rebuild::Found>,
    /// What is wanted and not there.
    pub(crate) missing: Vec<Address>,
    /// What could not be known.
    pub(crate) unknown: Vec<rebuild::Unknown>,
}

/// Of `state unlock`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Unlock {
    /// Where the journal is.
    pub(crate) journal: String,
    /// Who held it; null if nobody did.
    pub(crate) holder: Option<Holder>,
    /// Whether that was ended.
    pub(crate) unlocked: bool,
}

/// Who is at work on a journal.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Holder {
    /// Who, on which host, in which process.
    pub(crate) who: String,
    /// Since when, in UTC.
    pub(crate) since: Option<String>,
    /// Until when if it does not go on, in UTC; null if until its process ends.
    pub(crate) until: Option<String>,
}

/// Of `history`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct History {
    /// Oldest first.
    pub(crate) runs: Vec<PastRun>,
}

/// Of `diff`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Differences {
    /// The first entry.
    pub(crate) from: u64,
    /// The second entry.
    pub(crate) to: u64,
    /// What changed in between, by address.
    pub(crate) differences: Vec<Difference>,
}

/// Of `sandbox up`, `status` and `down`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Sandbox {
    /// Whether it runs now.
    pub(crate) running: bool,
    /// The address of its AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// Where its edge serves distributions of CloudFront, by the `Host` of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) edge: Option<String>,
    /// The address of its Cloudflare's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cloudflare: Option<String>,
    /// Where its Cloudflare answers DNS, by UDP and TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dns: Option<String>,
    /// The folder of its logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_dir: Option<String>,
    /// The variables with which AWS programs and Cloudflare's libraries reach it.
    pub(crate) env: BTreeMap<String, String>,
}

/// The JSON Schema of all documents.
pub(crate) fn schema() -> Json {
    // As it is written: what may be left out is not required.
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let documents = [
        ("init", generator.subschema_for::<Document<Init>>()),
        ("validate", generator.subschema_for::<Document<Validate>>()),
        ("plan", generator.subschema_for::<Document<Planned>>()),
        ("show", generator.subschema_for::<Document<Shown>>()),
        ("apply, destroy and rollback", generator.subschema_for::<Document<Apply>>()),
        ("iam-policy", generator.subschema_for::<Document<IamPolicy>>()),
        ("preflight", generator.subschema_for::<Document<Preflight>>()),
        ("adopt", generator.subschema_for::<Document<Adoption>>()),
        ("update", generator.subschema_for::<Document<Update>>()),
        ("vendor", generator.subschema_for::<Document<Vendor>>()),
        ("mirror", generator.subschema_for::<Document<Mirror>>()),
        ("llm-key make", generator.subschema_for::<Document<LlmKeyMade>>()),
        ("llm-key bring", generator.subschema_for::<Document<LlmKeyBrought>>()),
        ("drift", generator.subschema_for::<Document<Drifted>>()),
        ("status", generator.subschema_for::<Document<Status>>()),
        ("outputs", generator.subschema_for::<Document<Outputs>>()),
        ("why", generator.subschema_for::<Document<Why>>()),
        ("run", generator.subschema_for::<Document<Ran>>()),
        ("a line of logs", generator.subschema_for::<LogLine>()),
        ("graph", generator.subschema_for::<Document<Graph>>()),
        ("state list", generator.subschema_for::<Document<StateList>>()),
        ("state show", generator.subschema_for::<Document<StateShow>>()),
        ("state move", generator.subschema_for::<Document<Moved>>()),
        ("state rebuild", generator.subschema_for::<Document<Rebuilt>>()),
        ("state unlock", generator.subschema_for::<Document<Unlock>>()),
        ("history", generator.subschema_for::<Document<History>>()),
        ("diff", generator.subschema_for::<Document<Differences>>()),
        ("blame", generator.subschema_for::<Document<Blame>>()),
        ("sandbox", generator.subschema_for::<Document<Sandbox>>()),
    ];
    let any: Vec<Json> = documents
        .into_iter()
        .map(|(of, schema)| json!({ "description": format!("Of {of}."), "allOf": [schema] }))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What deploy --json prints",
        "anyOf": any,
        "$defs": generator.take_definitions(true),
    })
}
