//! Looks at everything that is recorded or wanted. Writes nothing, anywhere.

use crate::{
    claim,
    error::{Class, Error, chain},
    journal::{Phase, Record, State},
    place::{PlaceData, PlaceSpec},
    reach::Reach,
    registry::{AnyKind, AnyLive, At, Registry},
    resource::{Owner, Recovery, Status, Tags},
    stack::Stack,
    survey::Survey,
    value::{Address, is_unknown, lookup_in, resolve},
    wait::Stop,
};
use futures::{StreamExt, stream};
use serde_json::Value as Json;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// How many look-ups run at once. Most are answered from shared calls, so this is not the number of calls; and only those
/// that run at once can share one.
const AT_ONCE: usize = 512;

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The incarnation that counts, by address; addresses where nothing was found are left out.
    pub live: BTreeMap<Address, AnyLive>,
    /// Incarnations that were replaced and are still there, by address and incarnation.
    pub leftovers: BTreeMap<(Address, String), AnyLive>,
    /// The places that cannot be reached, and why. Nothing is known of what stands there.
    pub away: BTreeMap<PlaceData, String>,
}

/// Why a resource could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("reading `{address}` ({kind}) did not work")]
pub struct ReadError {
    /// Which resource.
    pub address: Address,
    /// Its kind.
    pub kind: String,
    /// Why.
    #[source]
    pub source: Error,
}

/// Why the cloud could not be observed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The journal names a kind that this program was built without.
    #[error(
        "the journal has `{address}` of kind {kind}, which this program does not know; use the version that made it"
    )]
    UnknownKind {
        /// Which resource.
        address: Address,
        /// Its kind.
        kind: String,
    },
    /// Some resources could not be read.
    #[error("{} of the resources could not be read: {}", .0.len(), .0.iter().map(|e| crate::error::chain(e)).collect::<Vec<_>>().join("; "))]
    Read(Vec<ReadError>),
}

/// The implementation of `kind`.
pub(crate) fn kind_of<'r>(
    registry: &'r Registry,
    address: &Address,
    kind: &str,
) -> Result<&'r Arc<dyn AnyKind>, ObserveError> {
    registry
        .get(kind)
        .ok_or_else(|| ObserveError::UnknownKind { address: address.clone(), kind: kind.to_owned() })
}

/// One look.
pub(crate) struct Look<'a> {
    pub(crate) address: &'a Address,
    pub(crate) kind: &'a Arc<dyn AnyKind>,
    pub(crate) place: PlaceData,
    pub(crate) instance: &'a str,
    pub(crate) outputs: Option<Cow<'a, Json>>,
    pub(crate) spec: Json,
    /// Whether it is to go.
    pub(crate) going: bool,
    /// Whether an apply has begun something with it and not finished it.
    pub(crate) unfinished: bool,
}

impl Look<'_> {
    pub(crate) async fn read(&self, reach: &Reach) -> Result<Option<AnyLive>, ReadError> {
        let at = At {
            place: &self.place.spec,
            address: self.address,
            instance: self.instance,
            recorded: self.outputs.as_deref(),
            going: self.going,
        };
        let stop = Stop::default();
        match reach.repeated(&stop, &self.place, || self.kind.read(at, &self.spec)).await {
            // What it is found by is not known yet, so it cannot exist.
            Err(Error::Unresolved(_)) => Ok(None),
            Ok(found) => Ok(found),
            Err(source) => {
                let kind = self.kind.kind().to_owned();
                Err(ReadError { address: self.address.clone(), kind, source })
            }
        }
    }
}

/// The looks that did not work, each with its place.
type Missed = Vec<(PlaceData, ReadError)>;

async fn all<'a, K: Send>(looks: Vec<(K, Look<'a>)>, reach: &Reach) -> (Vec<(K, AnyLive)>, Missed) {
    let survey = Survey::default();
    // They begin in this order, so that the last of those that run at once knows that all others have.
    let last = looks.len().min(AT_ONCE).saturating_sub(1);
    let answers = stream::iter(looks.into_iter().enumerate())
        .map(|(n, (key, look))| {
            let survey = &survey;
            async move {
                if n == last {
                    survey.begin();
                }
                let answer = if look.unfinished {
                    survey.of_unfinished(look.read(reach)).await
                } else {
                    look.read(reach).await
                };
                (key, answer, look.place)
            }
        })
        .buffer_unordered(AT_ONCE);
    let answers: Vec<_> = survey.of(answers.collect()).await;
    let (mut found, mut missed) = (vec![], vec![]);
    for (key, answer, place) in answers {
        match answer {
            Ok(Some(live)) => found.push((key, live)),
            Ok(None) => {}
            Err(e) => missed.push((place, e)),
        }
    }
    missed.sort_by(|(_, a), (_, b)| a.address.cmp(&b.address));
    (found, missed)
}

/// Who says what is there of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The cloud: all of it is read.
    Cloud,
    /// The journal, as far as it knows: only what an earlier run left open is read.
    Journal,
}

/// Reads every recorded incarnation, and every wanted resource that can be found without a record.
///
/// # Errors
/// All reads that did not work, together.
pub async fn observe(stack: &Stack, state: &State, registry: &Registry) -> Result<Observed, ObserveError> {
    let (observed, missed) = look_at(stack, state, registry, Witness::Cloud).await?;
    if missed.is_empty() { Ok(observed) } else { Err(ObserveError::Read(errors(missed))) }
}

/// What the journal says is there, in the words of a read. `None` where it cannot know.
fn remembered(record: &Record, kind: &dyn AnyKind) -> Option<AnyLive> {
    let spec = record.request.spec.as_json();
    let tags = spec.get("tags").and_then(|tags| serde_json::from_value::<Tags>(tags.clone()).ok());
    let settled = record.phase == Phase::Ready && kind.recovery() != Recovery::Observed;
    Some(AnyLive {
        spec: spec.clone(),
        outputs: record.outputs.clone().filter(|_| settled)?,
        status: Status::Ready,
        owner: tags.map_or(Owner::Parent, |tags| tags.owner()),
    })
}

/// As [`observe`], where `witness` says what is there of what is recorded, and a place that cannot be reached is
/// [`away`](Observed::away) as long as another can.
///
/// # Errors
/// All reads that did not work, together, if any failed for another reason, or if no place can be reached.
pub async fn observe_with(
    stack: &Stack,
    state: &State,
    registry: &Registry,
    witness: Witness,
) -> Result<Observed, ObserveError> {
    let (mut observed, missed) = look_at(stack, state, registry, witness).await?;
    let away: BTreeSet<&PlaceData> = missed.iter().map(|(place, _)| place).collect();
    let elsewhere = |place: &PlaceData| !away.contains(place);
    let known = |r: &str| lookup_in(r, |a| ready_outputs(observed.live.get(a)?));
    let recorded = state.incarnations().any(|(_, r)| elsewhere(&r.request.place));
    let wanted = |p| resolved_place(p, &known).is_some_and(|place| elsewhere(&place));
    let others = recorded || stack.nodes().values().any(|node| wanted(&node.place));
    let lost = missed.iter().all(|(_, e)| e.source.class() == Class::Transient);
    let partly = others && lost;
    if !missed.is_empty() && !partly {
        return Err(ObserveError::Read(errors(missed)));
    }
    for (place, error) in missed {
        observed.away.entry(place).or_insert_with(|| why(&error.source));
    }
    Ok(observed)
}

/// Why a place cannot be reached, without naming it once more.
fn why(error: &Error) -> String {
    match error {
        Error::Connect { source, .. } => chain(source.as_ref()),
        other => other.chain(),
    }
}

fn errors(missed: Missed) -> Vec<ReadError> {
    missed.into_iter().map(|(_, e)| e).collect()
}

async fn look_at(
    stack: &Stack,
    state: &State,
    registry: &Registry,
    witness: Witness,
) -> Result<(Observed, Missed), ObserveError> {
    let reach = Reach::default();
    let mut looks = vec![];
    let mut observed = Observed::default();
    for (address, record) in state.incarnations() {
        let kind = kind_of(registry, address, &record.request.kind)?;
        let current = state.records.get(address).is_some_and(|r| r.instance == record.instance);
        if witness == Witness::Journal
            && current
            && let Some(live) = remembered(record, kind.as_ref())
        {
            observed.live.insert(address.clone(), live);
            continue;
        }
        let claimed = || claim::known(kind.as_ref(), record).map(Cow::Owned);
        let look = Look {
            address,
            kind,
            place: record.request.place.clone(),
            instance: &record.instance,
            outputs: record.outputs.as_ref().map(Cow::Borrowed).or_else(claimed),
            spec: record.request.spec.as_json().clone(),
            going: !current || !stack.nodes().contains_key(address),
            unfinished: record.phase != Phase::Ready || !record.pending.is_empty(),
        };
        looks.push(((address.clone(), Some(record.instance.clone())), look));
    }
    let mut waves = waves(stack, state, registry)?;
    // What needs nothing to be known shares the calls of what is recorded.
    if let Some(first) = waves.first_mut() {
        let alone = |address: &Address| stack.nodes().get(address).is_some_and(|node| node.after.is_empty());
        for (address, kind) in first.extract_if(.., |(address, _)| alone(address)) {
            if let Some(look) = unrecorded(stack, &observed, address, kind) {
                looks.push(((address.clone(), None), look));
            }
        }
    }
    let (found, mut missed) = all(looks, &reach).await;
    for ((address, instance), live) in found {
        match instance {
            Some(instance) if state.records.get(&address).is_none_or(|r| r.instance != instance) => {
                observed.leftovers.insert((address, instance), live);
            }
            _ => drop(observed.live.insert(address, live)),
        }
    }
    for wave in waves {
        // One is enough to know that a place is away.
        let lost = |place: &PlaceData| {
            missed.iter().any(|(p, e)| p == place && e.source.class() == Class::Transient)
        };
        let looks = wave
            .into_iter()
            .filter_map(|(address, kind)| {
                Some((address.clone(), unrecorded(stack, &observed, address, kind)?))
            })
            .filter(|(_, look)| !lost(&look.place))
            .collect();
        let (found, more) = all(looks, &reach).await;
        observed.live.extend(found);
        missed.extend(more);
    }
    Ok((observed, missed))
}

type Wave<'a> = Vec<(&'a Address, &'a Arc<dyn AnyKind>)>;

/// The wanted nodes without a record that can be looked for, in waves: each may need what the one before it found.
fn waves<'a>(stack: &'a Stack, state: &State, registry: &'a Registry) -> Result<Vec<Wave<'a>>, ObserveError> {
    let mut depth: BTreeMap<&Address, usize> = BTreeMap::new();
    let mut out: Vec<Wave<'a>> = vec![];
    for address in stack.order().unwrap_or_default() {
        let Some((address, node)) = stack.nodes().get_key_value(&address) else { continue };
        let kind = kind_of(registry, address, node.kind)?;
        if state.records.contains_key(address) {
            continue;
        }
        let level = node.after.iter().filter_map(|d| depth.get(d)).max().map_or(0, |d| d + 1);
        depth.insert(address, level);
        let findable = kind.recovery() == Recovery::Observed
            || !kind.recovery().identity().is_empty()
            || stack.claims().contains_key(address);
        if findable {
            out.resize_with(out.len().max(level + 1), Vec::new);
            out[level].push((address, kind));
        }
    }
    Ok(out)
}

fn unrecorded<'a>(
    stack: &'a Stack,
    observed: &Observed,
    address: &'a Address,
    kind: &'a Arc<dyn AnyKind>,
) -> Option<Look<'a>> {
    let node = stack.nodes().get(address)?;
    let known = |r: &str| lookup_in(r, |a| ready_outputs(observed.live.get(a)?));
    let spec = resolve(&node.spec, &known);
    let place = resolved_place(&node.place, &known)?;
    let claimed = stack.claims().get(address);
    if let Some(outputs) = claimed.and_then(|identity| claim::outputs(kind.as_ref(), identity)) {
        let outputs = Some(Cow::Owned(outputs));
        return Some(Look {
            address,
            kind,
            place,
            instance: "",
            outputs,
            spec,
            going: false,
            unfinished: false,
        });
    }
    let identity = kind.recovery().identity();
    if claimed.is_some() && identity.is_empty() {
        return None;
    }
    let blocked = identity.iter().any(|f| spec.get(f).is_some_and(is_unknown));
    // The incarnation is not known, so a generated name cannot be looked for.
    let unnamed = identity.iter().any(|f| spec.get(f).is_some_and(|v| v.get("$generated").is_some()));
    (!blocked && !unnamed).then_some(Look {
        address,
        kind,
        place,
        instance: "",
        outputs: None,
        spec,
        going: false,
        unfinished: false,
    })
}

fn ready_outputs(live: &AnyLive) -> Option<&Json> {
    (live.status == Status::Ready).then_some(&live.outputs)
}

/// The place, once everything in it is known.
pub(crate) fn resolved_place(place: &PlaceData, lookup: &dyn Fn(&str) -> Option<Json>) -> Option<PlaceData> {
    let json = resolve(&place.spec.json(), lookup);
    let provider = || place.provider.clone();
    (!is_unknown(&json)).then(|| PlaceData { provider: provider(), spec: PlaceSpec::from(&json) })
}
