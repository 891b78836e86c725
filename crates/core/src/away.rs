//! Places that cannot be reached: what stands there waits, and so does what needs any of it.

use crate::{
    journal::State,
    observe::Observed,
    observe::resolved_place,
    place::PlaceData,
    resource::Status,
    stack::Stack,
    value::{Address, lookup_in},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A place that cannot be reached, and what waits for it. Nothing of that is planned, changed, deleted or called drift,
/// and what the journal says of it stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Away {
    /// The place, in a word: the region.
    pub place: String,
    /// Why it cannot be reached, in its own words.
    pub why: String,
    /// The resources there.
    pub resources: BTreeSet<Address>,
    /// The resources elsewhere that need any of these, or that these need and that would be removed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub needing: BTreeSet<Address>,
    /// How many of all these are wanted still.
    pub wanted: usize,
}

impl fmt::Display for Away {
    /// `us-west-2 cannot be reached: 12 resources there wait, and 3 that need them`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (there, needing) = (self.resources.len(), self.needing.len());
        let (noun, wait) = if there == 1 { ("resource", "waits") } else { ("resources", "wait") };
        write!(f, "{} cannot be reached: {there} {noun} there {wait}", self.place)?;
        match needing {
            0 => Ok(()),
            1 => f.write_str(", and 1 elsewhere with them"),
            n => write!(f, ", and {n} elsewhere with them"),
        }
    }
}

/// What waits, by address, and for which places.
#[derive(Debug, Default)]
pub(crate) struct Waiting<'a> {
    /// What stands in a place that is away.
    there: BTreeMap<&'a Address, &'a PlaceData>,
    /// What needs any of that.
    needing: BTreeMap<Address, BTreeSet<&'a PlaceData>>,
}

impl<'a> Waiting<'a> {
    /// What of `stack` and `state` was not seen by `observed`, because its place is away, and what needs it.
    pub(crate) fn of(stack: &'a Stack, state: &'a State, observed: &'a Observed) -> Self {
        let mut waiting = Waiting::default();
        if observed.away.is_empty() {
            return waiting;
        }
        let ready = |a: &Address| {
            observed.live.get(a).filter(|live| live.status == Status::Ready).map(|live| &live.outputs)
        };
        let away = |place: &PlaceData| observed.away.get_key_value(place).map(|(place, _)| place);
        for (address, record) in state.incarnations() {
            if let Some(place) = away(&record.request.place) {
                waiting.there.insert(address, place);
            }
        }
        // Each after what it needs.
        for address in stack.order().unwrap_or_default() {
            let Some((address, node)) = stack.nodes().get_key_value(&address) else { continue };
            let place = resolved_place(&node.place, &|r| lookup_in(r, ready));
            if let Some(place) = place.as_ref().and_then(away) {
                waiting.there.insert(address, place);
            }
            let causes: BTreeSet<&PlaceData> =
                node.after.iter().flat_map(|a| waiting.for_places(a)).collect();
            if !causes.is_empty() && !waiting.there.contains_key(address) {
                waiting.needing.insert(address.clone(), causes);
            }
        }
        waiting
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.there.is_empty() && self.needing.is_empty()
    }

    /// Whether `address` waits.
    pub(crate) fn holds(&self, address: &Address) -> bool {
        self.there.contains_key(address) || self.needing.contains_key(address)
    }

    /// The places that `address` waits for.
    pub(crate) fn for_places(&self, address: &Address) -> BTreeSet<&'a PlaceData> {
        match self.there.get(address) {
            Some(place) => [*place].into(),
            None => self.needing.get(address).cloned().unwrap_or_default(),
        }
    }

    /// Lets `address` wait for what `others` wait for.
    pub(crate) fn join<'b>(&mut self, address: &Address, others: impl IntoIterator<Item = &'b Address>) {
        let causes: BTreeSet<_> = others.into_iter().flat_map(|a| self.for_places(a)).collect();
        self.needing.entry(address.clone()).or_default().extend(causes);
    }

    /// What is told of it; places for which nothing waits that `asked` for are left out.
    pub(crate) fn told(
        &self,
        observed: &Observed,
        stack: &Stack,
        asked: impl Fn(&Address) -> bool,
    ) -> Vec<Away> {
        let told = observed.away.iter().map(|(place, why)| {
            let there = self.there.iter().filter(|(_, at)| **at == place).map(|(a, _)| (*a).clone());
            let needing =
                self.needing.iter().filter(|(_, for_)| for_.contains(place)).map(|(a, _)| a.clone());
            let resources: BTreeSet<Address> = there.filter(&asked).collect();
            let needing: BTreeSet<Address> = needing.filter(&asked).collect();
            let wanted = resources.union(&needing).filter(|a| stack.nodes().contains_key(*a)).count();
            Away { place: place.label(), why: why.clone(), resources, needing, wanted }
        });
        told.filter(|away| !(away.resources.is_empty() && away.needing.is_empty())).collect()
    }
}
