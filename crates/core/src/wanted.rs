//! What a plan is about, resource by resource, as far as it is known before anything is applied. For what looks at a
//! plan from outside, like a preflight: no call, nothing is decided here.

use crate::{
    engine::Planned,
    place::{PlaceData, PlaceSpec},
    plan::Action,
    registry::Registry,
    resource::{Resource, Status},
    stack::{Node, Stack},
    value::{Address, lookup_in, resolve},
};
use serde_json::Value as Json;
use std::{collections::BTreeMap, fmt};

/// A wanted resource and what the plan does to it.
#[derive(Clone)]
pub struct Wanted {
    /// Which resource.
    pub address: Address,
    /// Its kind.
    pub kind: &'static str,
    /// Where it lives, with references left where that is not known yet.
    pub place: PlaceData,
    /// What is done; [`Action::Keep`] also for what the plan was told to leave out.
    pub action: Action,
    /// What is there tells these; `None` where nothing is, or where the plan changes what is told.
    pub outputs: Option<Json>,
    /// What is wanted, with references left where a value is not known yet. May hold secrets in plain text.
    spec: Json,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Wanted");
        out.field("address", &self.address).field("kind", &self.kind).field("action", &self.action);
        out.finish_non_exhaustive()
    }
}

impl Wanted {
    /// The spec, if this is an `R`.
    pub fn spec<R: Resource>(&self) -> Option<R> {
        (self.kind == R::KIND).then(|| serde_json::from_value(self.spec.clone()).ok()).flatten()
    }

    /// What is wanted, whatever its kind. May hold secrets in plain text.
    pub fn json(&self) -> &Json {
        &self.spec
    }

    /// What it tells others, if this is an `R` that is there.
    pub fn outputs<R: Resource>(&self) -> Option<R::Outputs> {
        let outputs = self.outputs.clone().filter(|_| self.kind == R::KIND)?;
        serde_json::from_value(outputs).ok()
    }

    /// Whether the plan does anything to it.
    pub fn is_touched(&self) -> bool {
        !matches!(self.action, Action::Keep | Action::Record)
    }
}

/// Every resource of `stack` as if nothing were there: what is known of it without asking anybody.
pub fn unplanned(stack: &Stack) -> Vec<Wanted> {
    let wanted = |(address, node): (&Address, &Node)| Wanted {
        address: address.clone(),
        kind: node.kind,
        place: node.place.clone(),
        action: Action::Create,
        outputs: None,
        spec: node.spec.clone(),
    };
    stack.nodes().iter().map(wanted).collect()
}

impl Planned {
    /// Every wanted resource, each after what it waits for. `registry` is the one that the plan was made with.
    pub fn wanted(&self, registry: &Registry) -> Vec<Wanted> {
        let mut known: BTreeMap<Address, Json> = BTreeMap::new();
        let mut out = vec![];
        // A plan is never made for a stack with mistakes.
        for address in self.stack().order().unwrap_or_default() {
            let Some(node) = self.stack().nodes().get(&address) else { continue };
            let action = self.plan.step(&address).map_or(Action::Keep, |s| s.action);
            let live = self.observed.live.get(&address).filter(|l| l.status == Status::Ready);
            let stays = matches!(action, Action::Keep | Action::Record | Action::Update | Action::Adopt);
            let outputs = live.filter(|_| stays).map(|live| {
                let moves = registry.get(node.kind).map_or(&[][..], |kind| kind.moves());
                let mut outputs = live.outputs.clone();
                if let (Json::Object(all), Action::Update) = (&mut outputs, action) {
                    moves.iter().for_each(|field| drop(all.remove(*field)));
                }
                outputs
            });
            let lookup = |r: &str| lookup_in(r, |a| known.get(a));
            let spec = resolve(&node.spec, &lookup);
            let place = PlaceSpec::from(&resolve(&node.place.spec.json(), &lookup));
            let place = PlaceData { provider: node.place.provider.clone(), spec: place };
            if let Some(outputs) = &outputs {
                known.insert(address.clone(), outputs.clone());
            }
            let kind = node.kind;
            out.push(Wanted { address, kind, place, action, outputs, spec });
        }
        out
    }
}
