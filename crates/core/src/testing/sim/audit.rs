//! What is there, and how it came about: what tests look at afterwards.

use super::{Call, Object, SimCloud, Verb};
use crate::{
    journal::State,
    rebuild::Tagged,
    resource::{Status, Tags},
    value::Address,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

impl SimCloud {
    /// Every mutating call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.with(|w| w.calls.clone())
    }

    /// The number of mutating calls so far.
    pub fn mutations(&self) -> usize {
        self.with(|w| w.calls.len())
    }

    /// The number of calls that only looked.
    pub fn reads(&self) -> u64 {
        self.with(|w| w.reads)
    }

    /// How many mutating calls were under way at once, at most.
    pub fn most_running(&self) -> usize {
        self.with(|w| w.most_running)
    }

    /// How many calls of `kind` and `verb` had their effect.
    pub fn count(&self, kind: &str, verb: Verb) -> usize {
        self.with(|w| w.calls.iter().filter(|c| c.kind == kind && c.verb == verb && c.effect).count())
    }

    /// The copies of data that can be used, by name.
    pub fn copies(&self) -> Vec<String> {
        let now = self.now();
        self.with(|w| {
            w.copies.iter().filter(|(_, ready)| **ready <= now).map(|(name, _)| name.clone()).collect()
        })
    }

    /// What is there, without anything that chance chose: ids as the names of what they are of, incarnations as `*`,
    /// the latest revision as `latest`.
    pub fn inventory(&self) -> Json {
        let now = self.now();
        self.with(|w| {
            w.sweep(now);
            let mut names: Vec<(String, String)> = vec![];
            for o in w.objects.values() {
                // How many revisions it took is history.
                if let Some(revision) = o.field("revision").as_u64() {
                    names.push((format!("{}:{revision}\"", o.id), format!("{}:latest\"", o.id)));
                }
                if let Some(instance) = o.tag(Tags::INSTANCE) {
                    names.push((instance.to_owned(), "*".to_owned()));
                }
                let by = o.tag(Tags::ADDRESS).or(o.field("cidr").as_str()).or(o.field("name").as_str());
                names.push((o.id.clone(), format!("<{} {}>", o.kind, by.unwrap_or("?"))));
            }
            let mut all: Vec<String> = w
                .objects
                .values()
                .map(|o| {
                    let state = match o.status(now) {
                        Status::Ready => "ready".to_owned(),
                        Status::Pending(on) => format!("pending: {on}"),
                        Status::Failed(why) => format!("failed: {why}"),
                    };
                    let mut text = json!({
                        "kind": o.kind,
                        "region": o.region,
                        "fields": o.fields,
                        "tags": o.tags,
                        "state": state,
                    })
                    .to_string();
                    names.iter().for_each(|(from, to)| text = text.replace(from, to));
                    canonical(serde_json::from_str(&text).unwrap_or(Json::Null)).to_string()
                })
                .collect();
            all.sort();
            all.iter().map(|t| serde_json::from_str(t).unwrap_or(Json::Null)).collect()
        })
    }

    /// All that carry the tags of `stack`, as an index of tags lists them.
    pub fn tagged(&self, stack: &str) -> Vec<Tagged> {
        let now = self.now();
        self.with(|w| {
            w.sweep(now);
            let ours = w.objects.values().filter(|o| o.tag(Tags::STACK) == Some(stack));
            let tagged = |o: &Object| {
                let address = Address(o.tag(Tags::ADDRESS)?.to_owned());
                Some(Tagged { id: o.id.clone(), address, instance: o.tag(Tags::INSTANCE)?.to_owned() })
            };
            ours.filter_map(tagged).collect()
        })
    }

    /// Things that carry the tags of `state`'s stack and are in no record of it.
    pub fn orphans(&self, state: &State) -> Vec<String> {
        let known: BTreeSet<(&str, &str)> =
            state.incarnations().map(|(a, r)| (a.0.as_str(), r.instance.as_str())).collect();
        let now = self.now();
        self.with(|w| {
            w.sweep(now);
            let ours = w.objects.values().filter(|o| o.tag(Tags::STACK) == Some(state.stack.as_str()));
            ours.filter_map(|o| {
                let of = (o.tag(Tags::ADDRESS)?, o.tag(Tags::INSTANCE)?);
                (!known.contains(&of)).then(|| format!("{} of `{}` ({})", o.id, of.0, of.1))
            })
            .collect()
        })
    }

    /// Incarnations that are there more than once.
    pub fn duplicates(&self) -> Vec<String> {
        let now = self.now();
        self.with(|w| {
            w.sweep(now);
            let mut seen: BTreeMap<(String, String), Vec<&str>> = BTreeMap::new();
            for o in w.objects.values() {
                if let (Some(address), Some(instance)) = (o.tag(Tags::ADDRESS), o.tag(Tags::INSTANCE)) {
                    seen.entry((address.to_owned(), instance.to_owned())).or_default().push(&o.id);
                }
            }
            seen.into_iter()
                .filter(|(_, ids)| ids.len() > 1)
                .map(|((address, _), ids)| format!("`{address}` is there as {}", ids.join(" and ")))
                .collect()
        })
    }
}

/// Sets in the order of what their members are called now.
fn canonical(json: Json) -> Json {
    match json {
        Json::Object(m) => m
            .into_iter()
            .filter(|(k, _)| k != "revision")
            .map(|(k, v)| match v {
                Json::Array(mut members) if k == "$set" => {
                    members.sort_by_key(Json::to_string);
                    (k, Json::Array(members))
                }
                v => (k, canonical(v)),
            })
            .collect(),
        Json::Array(a) => a.into_iter().map(canonical).collect(),
        other => other,
    }
}
