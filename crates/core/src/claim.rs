//! Takes over what people made. A claim says which thing in the cloud a resource of the stack stands for, by its id or
//! its name; names that people chose stay.
//!
//! A claimed name is written into the wanted spec before anything is looked at; the other fields that a kind
//! [keeps](crate::Resource::KEEPS), like the range of a subnet, follow what was found. So everything after that, the
//! plan, the apply and the journal, sees a resource that is wanted as it is there. From then on the journal is the
//! witness: a claim that has done its work may be taken out of the configuration.

mod candidates;

pub use candidates::{Candidate, Fit, Found};

use crate::{
    journal::{Record, Request, State},
    observe::Observed,
    plan::Claimed,
    registry::{AnyKind, AnyLive, Registry},
    resource::Recovery,
    stack::{Node, Stack},
    value::{Address, references},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// How the things of a kind are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimedBy {
    /// By their id, which is this output.
    Id(&'static str),
    /// By their name, which is this field of the spec.
    Name(&'static str),
    /// By nothing of their own: they are found under what they belong to, once that is claimed. A claim only says
    /// which one that has to be.
    Key,
    /// Not at all.
    Nothing,
}

impl ClaimedBy {
    /// What fits a kind that is found again by `recovery`.
    pub const fn usual(recovery: Recovery) -> Self {
        match recovery {
            Recovery::Name([name, ..]) => ClaimedBy::Name(name),
            Recovery::NaturalKey(_) => ClaimedBy::Key,
            Recovery::Name([]) | Recovery::Token | Recovery::Tag { .. } | Recovery::Observed => {
                ClaimedBy::Nothing
            }
        }
    }
}

/// What the journal keeps of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// People made it. It is found by this id or name until its outputs are recorded.
    Claimed(String),
    /// It took the place of one that people made, and has its names.
    Follows,
}

/// The tag that the pages of many clouds show as a name.
const LABEL: &str = "Name";

/// The outputs by which a claimed thing is found before its own are known; none where its name is enough.
pub(crate) fn outputs(kind: &dyn AnyKind, identity: &str) -> Option<Json> {
    let ClaimedBy::Id(field) = kind.claimed_by() else { return None };
    let mut outputs = kind.no_outputs();
    outputs.as_object_mut()?.insert(field.to_owned(), json!(identity));
    Some(outputs)
}

/// The outputs by which what `record` is about is found.
pub(crate) fn known(kind: &dyn AnyKind, record: &Record) -> Option<Json> {
    record.outputs.clone().or_else(|| outputs(kind, claimed(&record.request)?))
}

/// What people had made, and `request` took over.
pub(crate) fn claimed(request: &Request) -> Option<&str> {
    match &request.origin {
        Some(Origin::Claimed(identity)) => Some(identity),
        _ => None,
    }
}

/// Writes into the wanted specs what stays as people made it: the names that are claimed now, and what the journal
/// says was taken over earlier.
pub(crate) fn named(stack: &mut Stack, state: &State, registry: &Registry) {
    for (address, record) in &state.records {
        if record.request.origin.is_none() {
            continue;
        }
        let Some((node, kind)) = wanted(stack, registry, address) else { continue };
        if record.request.kind == node.kind {
            keep(node, kind.as_ref(), record.request.spec.as_json());
        }
    }
    for (address, identity) in stack.claims().clone() {
        if state.records.contains_key(&address) {
            continue;
        }
        let Some((node, kind)) = wanted(stack, registry, &address) else { continue };
        if let ClaimedBy::Name(field) = kind.claimed_by() {
            node.spec[field] = json!(identity);
            node.kept = true;
        }
    }
}

/// Writes into the wanted specs what stays as it was found under a claim.
pub(crate) fn follow(stack: &mut Stack, state: &State, observed: &Observed, registry: &Registry) {
    for address in stack.claims().keys().cloned().collect::<Vec<_>>() {
        if state.records.contains_key(&address) {
            continue;
        }
        let Some(live) = observed.live.get(&address) else { continue };
        let Some((node, kind)) = wanted(stack, registry, &address) else { continue };
        keep(node, kind.as_ref(), &live.spec);
    }
}

fn wanted<'s, 'r>(
    stack: &'s mut Stack,
    registry: &'r Registry,
    address: &Address,
) -> Option<(&'s mut Node, &'r std::sync::Arc<dyn AnyKind>)> {
    let node = stack.node_mut(address)?;
    let kind = registry.get(node.kind)?;
    Some((node, kind))
}

/// Makes `node` want what `there` has of the fields that stay.
fn keep(node: &mut Node, kind: &dyn AnyKind, there: &Json) {
    // What comes from another resource decides where a thing is, which is no name.
    let identity = kind.recovery().identity().iter().filter(|f| parents(&node.spec, f).is_empty());
    let fields: Vec<&str> = identity.chain(kind.keeps()).copied().collect();
    for field in fields {
        if let (Some(slot), Some(value)) = (node.spec.get_mut(field), there.get(field))
            && !value.is_null()
        {
            slot.clone_from(value);
        }
    }
    let label = there.get("tags").and_then(|t| t.get(LABEL)).cloned();
    if let (Some(label), Some(tags)) = (label, node.spec.get_mut("tags").and_then(Json::as_object_mut))
        && let Some(slot) = tags.get_mut(LABEL)
    {
        *slot = label;
    }
    node.kept = true;
}

fn parents(spec: &Json, field: &str) -> BTreeSet<Address> {
    let mut out = BTreeSet::new();
    spec.get(field).into_iter().for_each(|v| references(v, &mut out));
    out
}

/// The addresses that may be taken over: those that are claimed, and those that are found by nothing but their place
/// under one that is.
pub(crate) fn covered(stack: &Stack, state: &State, registry: &Registry) -> BTreeSet<Address> {
    let mut covered: BTreeSet<Address> = stack.claims().keys().cloned().collect();
    covered
        .extend(state.records.iter().filter(|(_, r)| claimed(&r.request).is_some()).map(|(a, _)| a.clone()));
    if covered.is_empty() {
        return covered;
    }
    for address in stack.order().unwrap_or_default() {
        let Some(node) = stack.nodes().get(&address) else { continue };
        let Some(kind) = registry.get(node.kind) else { continue };
        let Recovery::NaturalKey(key) = kind.recovery() else { continue };
        let mut above = key.iter().flat_map(|f| parents(&node.spec, f));
        if above.any(|parent| covered.contains(&parent)) {
            covered.insert(address);
        }
    }
    covered
}

/// Claims that are for one and the same thing, by address: each with the others.
pub(crate) fn shared(stack: &Stack) -> BTreeMap<Address, Vec<Address>> {
    let mut by_thing: BTreeMap<(&str, String, &str), Vec<&Address>> = BTreeMap::new();
    for (address, identity) in stack.claims() {
        if let Some(node) = stack.nodes().get(address) {
            by_thing.entry((node.kind, node.place.label(), identity)).or_default().push(address);
        }
    }
    let mut out = BTreeMap::new();
    for all in by_thing.into_values().filter(|all| all.len() > 1) {
        for one in &all {
            let others = all.iter().filter(|a| *a != one).map(|a| (*a).clone()).collect();
            out.insert((*one).clone(), others);
        }
    }
    out
}

/// Why a claim leads to nothing.
pub(crate) fn not_found(node: &Node, kind: &dyn AnyKind, identity: &str, made: &BTreeSet<Address>) -> String {
    match kind.claimed_by() {
        ClaimedBy::Nothing => {
            return format!(
                "is claimed as `{identity}`, and a {} cannot be claimed; take the claim out",
                node.kind
            );
        }
        ClaimedBy::Id(_) | ClaimedBy::Name(_) | ClaimedBy::Key => {}
    }
    let above: Vec<String> = kind
        .recovery()
        .identity()
        .iter()
        .flat_map(|f| parents(&node.spec, f))
        .filter(|a| made.contains(a))
        .map(|a| format!("`{a}`"))
        .collect();
    let by_id = matches!(kind.claimed_by(), ClaimedBy::Id(_));
    if above.is_empty() || by_id {
        return format!(
            "is claimed as `{identity}`, and there is no such thing here; look at its spelling and its region, or take \
             the claim out to have a new one made"
        );
    }
    format!(
        "is claimed as `{identity}`, which would be looked for under {}, and that is to be made anew; claim it too",
        above.join(" and ")
    )
}

/// What speaks against a claim on what was found, whoever owns it.
pub(crate) fn other_thing(kind: &dyn AnyKind, live: &AnyLive, identity: &str) -> Option<String> {
    if kind.claimed_by() != ClaimedBy::Key {
        return None;
    }
    let outputs = live.outputs.as_object().into_iter().flat_map(|o| o.values());
    let key = kind.recovery().identity().iter().filter_map(|f| live.spec.get(f));
    let known: Vec<&str> = outputs.chain(key).filter_map(Json::as_str).collect();
    (!known.contains(&identity)).then(|| {
        format!(
            "is claimed as `{identity}`, and what stands in its place is {}; claim that, or nothing: it comes with what \
             it belongs to",
            known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")
        )
    })
}

/// The tool that keeps what has these tags, by its own name for it.
pub fn other_tool(tags: &Json) -> Option<String> {
    let tags = tags.as_object()?;
    if let Some(stack) = tags.get(crate::Tags::CLOUDFORMATION).and_then(Json::as_str) {
        return Some(format!("the CloudFormation stack `{stack}`"));
    }
    // Terraform and Pulumi mark nothing by themselves; these are what their users agree on.
    const KEYS: [&str; 6] = ["managedby", "provisioner", "provisionedby", "createdby", "iac", "tool"];
    const TOOLS: [(&str, &str); 4] = [
        ("terraform", "Terraform"),
        ("opentofu", "OpenTofu"),
        ("pulumi", "Pulumi"),
        ("crossplane", "Crossplane"),
    ];
    tags.iter().find_map(|(key, value)| {
        let plain: String =
            key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let value = value.as_str()?.to_lowercase();
        let named = |tool: &str| {
            (KEYS.contains(&plain.as_str()) && value.contains(tool)) || (plain == tool && value != "false")
        };
        let (_, name) = TOOLS.iter().find(|(tool, _)| named(tool))?;
        Some(format!("{name} (its tag `{key}` says so)"))
    })
}

/// What a plan says of a claim, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is taken over as it is; only our tags are written, where it has tags.
    AsItIs,
    /// It is taken over, and fields are changed in place.
    Changed,
    /// Refused: a field differs that cannot change in place.
    WouldReplace,
    /// Refused: another stack owns it, or another resource of this one.
    Owned,
    /// Refused: another tool keeps it.
    OtherTool,
    /// Refused: it is not there.
    NotFound,
    /// Refused: the claim is for something else, or for what another address claims too.
    Mistaken,
}

impl Verdict {
    /// Whether it may be taken over.
    pub fn accepts(self) -> bool {
        matches!(self, Verdict::AsItIs | Verdict::Changed)
    }
}

impl Claimed {
    /// One line for people.
    pub fn line(&self) -> String {
        let what = match self.verdict {
            Verdict::AsItIs => "taken over as it is",
            Verdict::Changed => "taken over and changed",
            Verdict::WouldReplace => "refused: it would have to be replaced",
            Verdict::Owned => "refused: it has an owner",
            Verdict::OtherTool => "refused: another tool keeps it",
            Verdict::NotFound => "refused: not found",
            Verdict::Mistaken => "refused: a mistaken claim",
        };
        format!("{}  {}  {what}", self.address, self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_are_known_by_their_tags() {
        let of = |key: &str, value: &str| other_tool(&json!({ key: value }));
        assert_eq!(of("aws:cloudformation:stack-name", "prod").unwrap(), "the CloudFormation stack `prod`");
        assert!(of("ManagedBy", "Terraform Cloud").unwrap().starts_with("Terraform (its tag `ManagedBy`"));
        assert!(of("terraform", "true").is_some());
        assert_eq!(of("terraform", "false"), None);
        assert_eq!(of("team", "terraform"), None);
        assert_eq!(other_tool(&json!(null)), None);
    }

    #[test]
    fn the_usual_claim_fits_how_a_kind_is_found() {
        assert_eq!(ClaimedBy::usual(Recovery::Name(&["name", "vpc_id"])), ClaimedBy::Name("name"));
        assert_eq!(ClaimedBy::usual(Recovery::NaturalKey(&["a"])), ClaimedBy::Key);
        assert_eq!(ClaimedBy::usual(Recovery::Token), ClaimedBy::Nothing);
    }
}
