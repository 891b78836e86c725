//! What happens behind the engine's back.

use super::{Database, Lookup, Network, Object, Role, Service, SimCloud, Task};
use crate::resource::{Resource, Tags};
use serde_json::{Value as Json, json};

/// What somebody does at a console, behind the engine's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// Takes it away.
    Delete,
    /// Changes a field that every spec of the kind sets.
    Edit,
    /// Takes all its tags away.
    Untag,
}

impl SimCloud {
    /// Puts something there that nobody made with Causeway; answers with its id.
    pub fn plant(&self, kind: &'static str, fields: Json, tags: Option<Tags>) -> String {
        let born = self.now();
        self.with(|w| {
            let id = w.new_id(kind);
            let object = Object {
                id: id.clone(),
                kind,
                region: self.region.clone(),
                fields,
                tags,
                born,
                busy: None,
                going: None,
                failed: None,
                token: None,
            };
            w.objects.insert(id.clone(), object);
            id
        })
    }

    /// Changes a field behind the engine's back. `what` is the kind, `address` the one in its tags.
    ///
    /// # Panics
    /// If there is no such thing.
    pub fn tamper(&self, kind: &str, address: &str, field: &str, value: Json) {
        self.with(|w| {
            let mut found =
                w.objects.values_mut().filter(|o| o.kind == kind && o.tag(Tags::ADDRESS) == Some(address));
            let object = found.next().unwrap_or_else(|| panic!("no {kind} of `{address}`"));
            object.fields[field] = value;
        });
    }

    /// Removes everything of a kind and an address behind the engine's back; all of the kind without an address.
    pub fn vanish(&self, kind: &str, address: Option<&str>) {
        self.with(|w| {
            w.objects.retain(|_, o| o.kind != kind || (address.is_some() && o.tag(Tags::ADDRESS) != address));
        });
    }

    /// Does to the `nth` thing of the stack `stack`, counted around, what somebody at a console does. Answers with what
    /// was done; `None` where there is nothing to do it to.
    pub fn meddle(&self, stack: &str, nth: usize, how: Meddling) -> Option<String> {
        let now = self.now();
        self.with(|w| {
            w.sweep(now);
            let of =
                |o: &&mut Object| o.tag(Tags::STACK).is_none_or(|s| s == stack) && o.kind != Lookup::KIND;
            let mut all: Vec<&mut Object> = w.objects.values_mut().filter(of).collect();
            if all.is_empty() {
                return None;
            }
            let nth = nth % all.len();
            let object = &mut all[nth];
            let id = object.id.clone();
            let done = match (how, object.kind) {
                (Meddling::Delete, _) => {
                    w.objects.remove(&id);
                    "deleted"
                }
                (Meddling::Edit, kind) => {
                    let (field, value) = match kind {
                        Network::KIND => ("cidr", json!("192.168.0.0/16")),
                        Role::KIND => ("policy", json!("everything")),
                        Database::KIND => ("size", json!(99)),
                        Task::KIND => ("image", json!("web:edited")),
                        Service::KIND => ("count", json!(99)),
                        _ => return None,
                    };
                    object.fields[field] = value;
                    "edited"
                }
                (Meddling::Untag, _) => {
                    object.tags.as_mut()?.0.clear();
                    "without its tags"
                }
            };
            Some(format!("{id} {done}"))
        })
    }

    /// Takes away what was [planted](SimCloud::plant), unless `stack` has taken it over since.
    pub fn unplant(&self, id: &str, stack: &str) {
        self.with(|w| {
            if w.objects.get(id).is_some_and(|o| o.tag(Tags::STACK) != Some(stack)) {
                w.objects.remove(id);
            }
        });
    }
}
