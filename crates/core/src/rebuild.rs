//! A journal that was lost, made again from the stack and from what the cloud tells. Looks and writes nothing.
//!
//! Only what is ours for sure is recorded: what carries our tags, and what can carry none and belongs to something of
//! ours. A field is recorded as it is shown. What is never shown is recorded as it is wanted, save for secrets that the
//! configuration holds: those are left out, so that the next apply sends them again.

use crate::{
    apply::NewInstance,
    claim::{self, Origin},
    diff::{diff, is_whole},
    journal::{Act, Entry, FORMAT, Request},
    moved::follow,
    observe::{Look, ObserveError, kind_of, resolved_place},
    place::PlaceData,
    plan::{outlived_by, own, replacing},
    reach::Reach,
    registry::{AnyKind, AnyLive, Registry},
    resource::{Owner, Recovery, Status},
    secret::{SealKey, Sealed},
    stack::{Node, Stack},
    value::{Address, is_unknown, lookup_in, references, resolve},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Something that carries the tags of a stack, as an index of tags lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tagged {
    /// What it is, for people: an id or an ARN.
    pub id: String,
    /// The address in its tag.
    pub address: Address,
    /// The incarnation in its tag.
    pub instance: String,
}

/// A resource that goes into the new journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Found {
    /// Which.
    pub address: Address,
    /// Its kind.
    pub kind: String,
    /// Which incarnation: from its tags, or a new one where it has none.
    pub instance: String,
    /// Whether it was replaced, and is removed by the next apply.
    pub leftover: bool,
    /// Fields that nobody shows and that the next apply sends again: secrets.
    pub sent_again: Vec<String>,
    /// Fields that nobody shows and that are taken to be as they are wanted.
    pub assumed: Vec<String>,
    /// What it waits for, if it is not ready.
    pub waits_for: Option<String>,
}

/// Something that does not go into the new journal, though it may be ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unknown {
    /// The address that it has, or that it stands in the way of.
    pub address: Address,
    /// Why, and what to do.
    pub why: String,
}

/// A journal that was made again.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// What was found.
    pub found: Vec<Found>,
    /// What is wanted and not there.
    pub missing: Vec<Address>,
    /// What could not be known.
    pub unknown: Vec<Unknown>,
    stack: String,
    key: SealKey,
    entries: Vec<Entry>,
}

impl Rebuilt {
    /// All entries, from the first one on.
    pub(crate) fn journal(self, account: Option<&str>, actor: &str) -> Vec<Entry> {
        let opened = Entry::Opened { format: FORMAT, stack: self.stack, seal_key: self.key };
        let belongs = account.map(|to| Entry::Belongs { to: to.to_owned() });
        let run = Entry::Plan { digest: "rebuilt from the cloud".into(), actor: actor.to_owned() };
        [opened].into_iter().chain(belongs).chain([run]).chain(self.entries).collect()
    }
}

/// One incarnation that is ours.
struct Ours {
    instance: String,
    live: AnyLive,
    /// What is wanted of it.
    wanted: Json,
}

struct Search<'a> {
    stack: &'a Stack,
    registry: &'a Registry,
    new_instance: &'a NewInstance,
    /// Incarnations by the address that they have now.
    tagged: BTreeMap<Address, BTreeSet<&'a str>>,
    outputs: BTreeMap<Address, Json>,
    reach: Reach,
    /// What of ours was found.
    ours: BTreeSet<Address>,
    rebuilt: Rebuilt,
}

/// Looks for everything that `stack` wants.
pub(crate) async fn look(
    stack: &Stack,
    registry: &Registry,
    tagged: &[Tagged],
    new_instance: &NewInstance,
) -> Result<Rebuilt, ObserveError> {
    // What was taken over under a claim has the names that people gave it.
    let mut stack = stack.clone();
    claim::named(&mut stack, &crate::journal::State::default(), registry);
    let stack = &stack;
    let now = |address: &Address| follow(stack.moves(), address).unwrap_or_else(|_| address.clone());
    let mut by_address: BTreeMap<Address, BTreeSet<&str>> = BTreeMap::new();
    for one in tagged {
        by_address.entry(now(&one.address)).or_default().insert(&one.instance);
    }
    let mut search = Search {
        stack,
        registry,
        new_instance,
        tagged: by_address,
        outputs: BTreeMap::new(),
        reach: Reach::default(),
        ours: BTreeSet::new(),
        rebuilt: Rebuilt {
            found: vec![],
            missing: vec![],
            unknown: vec![],
            stack: stack.name().to_owned(),
            key: SealKey::random(),
            entries: vec![],
        },
    };
    let mut errors = vec![];
    for address in stack.order().unwrap_or_default() {
        let Some((address, node)) = stack.nodes().get_key_value(&address) else { continue };
        let kind = kind_of(registry, address, node.kind)?;
        if let Err(error) = search.one(address, node, kind).await {
            errors.push(error);
        }
    }
    if !errors.is_empty() {
        return Err(ObserveError::Read(errors));
    }
    let mut rebuilt = search.rebuilt;
    let found = |one: &Tagged| rebuilt.found.iter().any(|f| f.instance == one.instance);
    let lost: Vec<Unknown> = tagged
        .iter()
        .filter(|one| !found(one))
        .map(|one| {
            let what = match stack.nodes().contains_key(&now(&one.address)) {
                true => "and was not found where the configuration wants it",
                false => "and the configuration does not want it",
            };
            let why = format!("`{}` carries our tags, {what}: no apply will remove it", one.id);
            Unknown { address: one.address.clone(), why }
        })
        .collect();
    rebuilt.unknown.extend(lost);
    Ok(rebuilt)
}

impl Search<'_> {
    async fn one(
        &mut self,
        address: &Address,
        node: &Node,
        kind: &Arc<dyn AnyKind>,
    ) -> Result<(), crate::observe::ReadError> {
        let known = |r: &str| lookup_in(r, |a| self.outputs.get(a));
        let spec = resolve(&node.spec, &known);
        let identity = kind.recovery().identity();
        let place = resolved_place(&node.place, &known);
        let blocked = identity.iter().find(|f| spec.get(**f).is_some_and(is_unknown));
        let (Some(place), None) = (place, blocked) else {
            // What it stands in is not there, so it is not either.
            self.rebuilt.missing.push(address.clone());
            return Ok(());
        };
        let generated = identity.iter().any(|f| spec.get(f).is_some_and(|v| v.get("$generated").is_some()));
        let observed = kind.recovery() == Recovery::Observed;
        let named = observed || !identity.is_empty() && !generated;
        let instances = self.tagged.get(address).into_iter().flatten().copied().filter(|_| !named);
        let tries: Vec<String> = instances.map(str::to_owned).chain(named.then(String::new)).collect();
        let mut ours = vec![];
        for instance in tries {
            let mut wanted = spec.clone();
            if !instance.is_empty() {
                own(&mut wanted, self.stack, address, &json!(instance));
            }
            let (place, outputs) = (place.clone(), None);
            let look = Look {
                address,
                kind,
                place,
                instance: &instance,
                outputs,
                spec: wanted,
                going: false,
                unfinished: false,
            };
            let Some(live) = look.read(&self.reach).await? else { continue };
            if observed {
                self.tell(address, &live);
                return Ok(());
            }
            match self.whose(address, node, &spec, &live) {
                Ok(instance) => {
                    let mut wanted = spec.clone();
                    own(&mut wanted, self.stack, address, &json!(instance));
                    ours.push(Ours { instance, live, wanted });
                }
                Err(why) => self.rebuilt.unknown.push(Unknown { address: address.clone(), why }),
            }
        }
        if ours.is_empty() && !observed && !self.rebuilt.unknown.iter().any(|u| u.address == *address) {
            self.rebuilt.missing.push(address.clone());
        }
        // The one that counts comes last: that which can become what is wanted.
        let none = Sealed::default();
        let seal = |json: &Json| Sealed::of(json, &self.rebuilt.key);
        ours.sort_by_key(|one| {
            let rest = diff(&seal(&one.wanted), &seal(&one.live.spec), &none);
            (replacing(kind.as_ref(), &rest).is_none(), one.live.status == Status::Ready)
        });
        let last = ours.len().saturating_sub(1);
        for (n, one) in ours.into_iter().enumerate() {
            self.record(address, node, kind, place.clone(), one, n < last).await?;
        }
        Ok(())
    }

    /// The incarnation of what was found, or why it cannot be taken for ours.
    fn whose(&self, address: &Address, node: &Node, spec: &Json, live: &AnyLive) -> Result<String, String> {
        match &live.owner {
            Owner::Tagged { stack, address: there, instance } => {
                let now = follow(self.stack.moves(), &Address(there.clone()));
                if stack == self.stack.name() && now.as_ref() == Ok(address) {
                    return Ok(instance.clone());
                }
                Err(format!("what is there belongs to `{there}` of stack `{stack}`; rename one of them"))
            }
            Owner::Anybody => Ok((self.new_instance)()),
            Owner::Nobody => Err("is there and carries no tag of ours; `--adopt` takes it over".into()),
            // It is ours if something of ours is in it.
            Owner::Parent if self.refers_to_ours(node, spec, live) => Ok((self.new_instance)()),
            Owner::Parent => Err("is there, and nothing says whose it is; `--adopt` takes it over".into()),
        }
    }

    fn refers_to_ours(&self, node: &Node, spec: &Json, live: &AnyLive) -> bool {
        node.spec.as_object().into_iter().flatten().any(|(field, value)| {
            let mut from = BTreeSet::new();
            references(value, &mut from);
            let (wanted, is) = (spec.get(field), live.spec.get(field));
            from.iter().any(|a| self.ours.contains(a)) && wanted.is_some() && wanted == is
        })
    }

    fn tell(&mut self, address: &Address, live: &AnyLive) {
        if live.status == Status::Ready {
            self.outputs.insert(address.clone(), live.outputs.clone());
        }
    }

    async fn record(
        &mut self,
        address: &Address,
        node: &Node,
        kind: &Arc<dyn AnyKind>,
        place: PlaceData,
        one: Ours,
        leftover: bool,
    ) -> Result<(), crate::observe::ReadError> {
        let Ours { instance, live, wanted } = one;
        let seal = |json: &Json| Sealed::of(json, &self.rebuilt.key);
        let mut hidden = Hidden { replace: kind.replace(), ..Hidden::default() };
        let spec = hidden.shown("", seal(&wanted).as_json(), seal(&live.spec).as_json());
        // What the journal has must read as this kind, or no later run can do anything.
        let look = Look {
            address,
            kind,
            place: place.clone(),
            instance: &instance,
            outputs: Some(Cow::Borrowed(&live.outputs)),
            spec: spec.clone(),
            going: false,
            unfinished: false,
        };
        if look.read(&self.reach).await?.is_none() {
            let why = "was found, and is not there any more; run this again".to_owned();
            self.rebuilt.unknown.push(Unknown { address: address.clone(), why });
            return Ok(());
        }
        let request = Request {
            kind: node.kind.to_owned(),
            place,
            spec: Sealed::again(spec),
            after: outlived_by(self.stack, self.registry, node),
            protect: node.protect,
            origin: self.stack.claims().get(address).cloned().map(Origin::Claimed),
        };
        let begin =
            Entry::Begin { address: address.clone(), instance: instance.clone(), act: Act::Adopt, request };
        self.rebuilt.entries.push(begin);
        let waits_for = match &live.status {
            Status::Pending(on) => Some(on.clone()),
            Status::Ready | Status::Failed(_) => {
                let (address, instance, outputs) = (address.clone(), instance.clone(), live.outputs.clone());
                self.rebuilt.entries.push(Entry::Done { address, instance, outputs, took_ms: 0 });
                None
            }
        };
        if !leftover {
            self.ours.insert(address.clone());
            self.tell(address, &live);
        }
        self.rebuilt.found.push(Found {
            address: address.clone(),
            kind: node.kind.to_owned(),
            instance,
            leftover,
            sent_again: hidden.sent_again,
            assumed: hidden.assumed,
            waits_for,
        });
        Ok(())
    }
}

/// Fields that nobody shows.
#[derive(Default)]
struct Hidden {
    replace: &'static [&'static str],
    sent_again: Vec<String>,
    assumed: Vec<String>,
}

impl Hidden {
    /// What was sent of `want`, as far as `have` tells.
    fn shown(&mut self, path: &str, want: &Json, have: &Json) -> Json {
        match (want, have) {
            (Json::Null, _) => Json::Null,
            (want, Json::Null) => self.hidden(path, want),
            (Json::Object(w), Json::Object(h)) if !is_whole(want) => w
                .iter()
                .filter_map(|(key, want)| {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    // A key that is missing was taken away; a field that is not shown is null.
                    Some((key.clone(), self.shown(&path, want, h.get(key)?)))
                })
                .collect(),
            (Json::Array(w), Json::Array(h)) if w.len() == h.len() && w.iter().all(Json::is_object) => {
                let items = w.iter().zip(h).enumerate();
                items.map(|(i, (w, h))| self.shown(&format!("{path}.{i}"), w, h)).collect()
            }
            (_, have) => have.clone(),
        }
    }

    fn hidden(&mut self, path: &str, want: &Json) -> Json {
        let nothing = want.as_object().is_some_and(serde_json::Map::is_empty)
            || want.as_array().is_some_and(Vec::is_empty);
        let top = path.split('.').next().unwrap_or(path);
        if is_unknown(want) {
            return Json::Null;
        }
        if has_secret(want) && !self.replace.contains(&top) {
            self.sent_again.push(path.to_owned());
            return Json::Null;
        }
        if !nothing {
            self.assumed.push(path.to_owned());
        }
        want.clone()
    }
}

fn has_secret(json: &Json) -> bool {
    match json {
        Json::Object(m) => m.contains_key("$sealed") || m.values().any(has_secret),
        Json::Array(a) => a.iter().any(has_secret),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_recorded_as_it_is_and_secrets_are_not() {
        let want = json!({
            "name": "a", "size": 2, "password": { "$sealed": "x" }, "window": 7, "policy": null,
            "tags": { "team": "red", "gone": "1" }, "from": { "$ref": "b#id" }
        });
        let have = json!({
            "name": "a", "size": 3, "password": null, "window": null, "policy": "p",
            "tags": { "team": "red", "other": "2" }, "from": null
        });
        let mut hidden = Hidden { replace: &["name"], ..Hidden::default() };
        let spec = hidden.shown("", &want, &have);
        assert_eq!(
            spec,
            json!({
                "name": "a", "size": 3, "password": null, "window": 7, "policy": null,
                "tags": { "team": "red" }, "from": null
            })
        );
        assert_eq!((hidden.sent_again, hidden.assumed), (vec!["password".into()], vec!["window".into()]));
    }
}
