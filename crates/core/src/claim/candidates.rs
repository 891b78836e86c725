//! Which of the things that people made fits which resource of a stack.

use super::{ClaimedBy, keep, outputs};
use crate::{
    Engine,
    diff::{Change, diff},
    engine::EngineError,
    error::Error,
    observe::{ReadError, observe, resolved_place},
    plan::replacing,
    registry::{AnyKind, AnyLive, At},
    resource::Owner,
    secret::{SealKey, Sealed},
    stack::{Node, Stack},
    value::{Address, lookup_in, resolve},
    wait::{Stop, repeated},
};
use futures::{StreamExt, stream};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// How many candidates are looked at together.
const AT_ONCE: usize = 16;

/// Something that is there, and that some resource may stand for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Candidate {
    /// Its kind.
    pub kind: String,
    /// What it is claimed by: its id or its name.
    pub identity: String,
    /// What people call it, if that is something else.
    pub label: String,
    /// The place that it is in, in a word, like the region. `None`: it is in none, like a role.
    pub place: Option<String>,
}

impl Candidate {
    fn may_be_at(&self, node: &Node) -> bool {
        self.place.as_ref().is_none_or(|place| *place == node.place.label())
    }
}

/// What was found for one resource.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// This fits, and nothing else does as well.
    One(Candidate),
    /// Several fit equally well, or one fits several resources.
    Several(Vec<Fit>),
}

/// How a candidate fits.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Fit {
    /// What is there.
    pub candidate: Candidate,
    /// The fields in which it differs from what is wanted.
    pub differs: Vec<String>,
}

/// A candidate with what is there.
struct Seen {
    candidate: Candidate,
    live: AnyLive,
}

/// How well a thing fits a resource: the letters of its names that say so, how many fields differ, and how many would if
/// nothing stayed as people made it.
type Score = (Reverse<usize>, usize, usize);

struct Pair {
    score: Score,
    differs: Vec<String>,
}

impl Engine {
    /// Looks which of `candidates` fit which resources of `stack` that are neither made nor claimed yet. `wanted` says
    /// by its tags whether a thing counts at all. Writes nothing, anywhere.
    ///
    /// # Errors
    /// When the journal or the cloud cannot be read, or the stack has mistakes.
    pub async fn fitting(
        &self,
        stack: &Stack,
        candidates: &[Candidate],
        wanted: &(dyn Fn(&Candidate, &Json) -> bool + Sync),
    ) -> Result<BTreeMap<Address, Found>, EngineError> {
        let order = stack.order().map_err(crate::plan::PlanError::from)?;
        let state = self.state().await?;
        let mut stack = stack.clone();
        super::named(&mut stack, &state, self.registry());
        let observed = observe(&stack, &state, self.registry()).await?;
        let mut known: BTreeMap<Address, Json> =
            observed.live.iter().map(|(a, live)| (a.clone(), live.outputs.clone())).collect();
        let open = |a: &&Address| !state.records.contains_key(*a) && !stack.claims().contains_key(*a);
        let mut kinds: Vec<(&str, Vec<&Address>)> = vec![];
        for address in order.iter().filter(open) {
            let Some(node) = stack.nodes().get(address) else { continue };
            match kinds.iter_mut().find(|(kind, _)| *kind == node.kind) {
                Some((_, all)) => all.push(address),
                None => kinds.push((node.kind, vec![address])),
            }
        }
        let mut out = BTreeMap::new();
        for (name, addresses) in kinds {
            let Some(kind) = self.registry().get(name) else { continue };
            let of_kind: Vec<&Candidate> = candidates.iter().filter(|c| c.kind == name).collect();
            if matches!(kind.claimed_by(), ClaimedBy::Key | ClaimedBy::Nothing) || of_kind.is_empty() {
                continue;
            }
            // What is there under the very name that is wanted.
            let own: Vec<(String, &Address)> = addresses
                .iter()
                .filter_map(|a| Some((identity(kind.as_ref(), observed.live.get(*a)?)?, *a)))
                .collect();
            let looks = of_kind.into_iter().filter_map(|candidate| {
                let nodes = addresses.iter().filter_map(|a| Some((*a, stack.nodes().get(*a)?)));
                let (address, node) = nodes.into_iter().find(|(_, node)| candidate.may_be_at(node))?;
                Some(look(kind.as_ref(), address, node, candidate, &known))
            });
            let answers: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
            let mut seen = vec![];
            for answer in answers {
                match answer {
                    Ok(Some(one)) if wanted(&one.candidate, &one.live.spec["tags"]) => seen.push(one),
                    Ok(_) => {}
                    Err(error) => {
                        return Err(EngineError::Observe(crate::observe::ObserveError::Read(vec![error])));
                    }
                }
            }
            let mut pairs = BTreeMap::new();
            for (i, address) in addresses.iter().enumerate() {
                let Some(node) = stack.nodes().get(*address) else { continue };
                for (j, one) in seen.iter().enumerate() {
                    let itself = own.iter().find(|(identity, a)| {
                        let node = stack.nodes().get(*a);
                        *identity == one.candidate.identity
                            && node.is_some_and(|n| one.candidate.may_be_at(n))
                    });
                    let other = match itself {
                        Some((_, theirs)) => theirs != address,
                        None => observed.live.contains_key(*address),
                    };
                    if other || !one.candidate.may_be_at(node) {
                        continue;
                    }
                    if let Some(pair) = fit(stack.name(), address, node, kind.as_ref(), one, &known) {
                        pairs.insert((i, j), pair);
                    }
                }
            }
            for (i, found) in assign(&addresses, &seen, pairs) {
                if let Found::One(candidate) = &found
                    && let Some(one) = seen.iter().find(|s| s.candidate == *candidate)
                {
                    known.insert(addresses[i].clone(), one.live.outputs.clone());
                }
                out.insert(addresses[i].clone(), found);
            }
        }
        Ok(out)
    }
}

/// What `live` would be claimed by.
fn identity(kind: &dyn AnyKind, live: &AnyLive) -> Option<String> {
    let found = match kind.claimed_by() {
        ClaimedBy::Name(field) => live.spec.get(field)?,
        ClaimedBy::Id(field) => live.outputs.get(field)?,
        ClaimedBy::Key | ClaimedBy::Nothing => return None,
    };
    found.as_str().map(str::to_owned)
}

/// How many letters of the name that is wanted, or of what a generated one begins with, `identity` has.
fn named(node: &Node, kind: &dyn AnyKind, identity: &str) -> usize {
    let ClaimedBy::Name(field) = kind.claimed_by() else { return 0 };
    let wanted = &node.spec[field];
    match (wanted.as_str(), wanted["$generated"].as_str()) {
        (Some(name), _) if name == identity => name.len(),
        (_, Some(prefix)) if identity.starts_with(prefix) => prefix.len(),
        _ => 0,
    }
}

/// The wanted spec as it would be if `identity` were claimed.
fn spec(node: &Node, kind: &dyn AnyKind, identity: &str, known: &BTreeMap<Address, Json>) -> Json {
    let mut spec = resolve(&node.spec, &|r| lookup_in(r, |a| known.get(a)));
    if let ClaimedBy::Name(field) = kind.claimed_by() {
        spec[field] = json!(identity);
    }
    spec
}

async fn look(
    kind: &dyn AnyKind,
    address: &Address,
    node: &Node,
    candidate: &Candidate,
    known: &BTreeMap<Address, Json>,
) -> Result<Option<Seen>, ReadError> {
    let Some(place) = resolved_place(&node.place, &|r| lookup_in(r, |a| known.get(a))) else {
        return Ok(None);
    };
    let recorded = outputs(kind, &candidate.identity);
    let at = At { place: &place.spec, address, instance: "", recorded: recorded.as_ref(), going: false };
    let spec = spec(node, kind, &candidate.identity, known);
    let stop = Stop::default();
    match repeated(&stop, || kind.read(at, &spec)).await {
        Ok(found) => Ok(found.map(|live| Seen { candidate: candidate.clone(), live })),
        Err(Error::Unresolved(_)) => Ok(None),
        Err(source) => Err(ReadError { address: address.clone(), kind: candidate.kind.clone(), source }),
    }
}

/// How `one` fits, if it can be taken over at all.
fn fit(
    stack: &str,
    address: &Address,
    node: &Node,
    kind: &dyn AnyKind,
    one: &Seen,
    known: &BTreeMap<Address, Json>,
) -> Option<Pair> {
    let theirs = match &one.live.owner {
        Owner::Tagged { stack: owner, address: there, .. } => owner != stack || *there != address.0,
        _ => false,
    };
    let key = SealKey::none();
    let differ = |node: &Node| {
        let wanted = Sealed::of(&spec(node, kind, &one.candidate.identity, known), &key);
        diff(&wanted, &Sealed::of(&one.live.spec, &key), &Sealed::default())
    };
    let letters = named(node, kind, &one.candidate.identity);
    let all = differ(node).changes.len();
    let mut node = node.clone();
    keep(&mut node, kind, &one.live.spec);
    let mut rest = differ(&node);
    // What is not known yet, what the cloud never shows, and tags say nothing about which one is meant.
    rest.changes.retain(|c| {
        let hidden = matches!(&c.change, Change::Unknown { .. } | Change::Set { from: Json::Null, .. });
        !hidden && !c.path.starts_with("tags")
    });
    let usable = !theirs && replacing(kind, &rest).is_none();
    usable.then(|| {
        let label = &one.live.spec["tags"]["Name"];
        let names =
            [one.candidate.label.as_str(), &one.candidate.identity, label.as_str().unwrap_or_default()];
        let differs: Vec<String> = rest.changes.into_iter().map(|c| c.path).collect();
        Pair { score: (Reverse(letters + alike(address, &names)), differs.len(), all), differs }
    })
}

/// What people call the same thing.
const WORDS: [&[&str]; 5] = [
    &["database", "db", "rds", "postgres", "postgresql"],
    &["balancer", "alb", "lb", "elb", "loadbalancer"],
    &["service", "ecs", "app", "tasks"],
    &["execution", "exec"],
    &["targets", "target", "tg"],
];

/// How many letters of the last part of `address` the names have, too.
fn alike(address: &Address, names: &[&str]) -> usize {
    let last = address.0.rsplit('/').next().unwrap_or_default();
    let last = last.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let names: Vec<String> = names.iter().map(|n| n.to_lowercase()).collect();
    let has = |word: &str| {
        names.iter().any(|name| {
            name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word)
                || (word.len() >= 4 && name.contains(word))
        })
    };
    let words = last.split('-').filter(|word| !matches!(*word, "role" | "key"));
    let told = |word: &&str| {
        let same = WORDS.iter().find(|all| all.contains(word)).copied();
        has(word) || same.is_some_and(|all| all.iter().any(|w| has(w)))
    };
    words.filter(told).map(str::len).sum()
}

/// Which of `seen` goes with which of `addresses`.
fn assign(
    addresses: &[&Address],
    seen: &[Seen],
    mut pairs: BTreeMap<(usize, usize), Pair>,
) -> BTreeMap<usize, Found> {
    let mut out = BTreeMap::new();
    let best = |pairs: &BTreeMap<(usize, usize), Pair>, of: &dyn Fn(&(usize, usize)) -> bool| {
        let all: Vec<_> = pairs.iter().filter(|(k, _)| of(k)).collect();
        let top = all.iter().map(|(_, p)| p.score).min();
        all.into_iter().filter(|(_, p)| Some(p.score) == top).map(|(k, _)| *k).collect::<BTreeSet<_>>()
    };
    loop {
        let mutual = pairs.keys().copied().find(|&(i, j)| {
            let only = BTreeSet::from([(i, j)]);
            best(&pairs, &|k| k.0 == i) == only && best(&pairs, &|k| k.1 == j) == only
        });
        let group = || {
            pairs.keys().map(|(i, _)| *i).find_map(|i| {
                let stem = stem(addresses[i]);
                let mine: BTreeSet<usize> = best(&pairs, &|k| k.0 == i).into_iter().map(|k| k.1).collect();
                let peers: Vec<usize> = (0..addresses.len())
                    .filter(|p| stem.is_some() && self::stem(addresses[*p]) == stem)
                    .filter(|p| {
                        best(&pairs, &|k| k.0 == *p).into_iter().map(|k| k.1).eq(mine.iter().copied())
                    })
                    .collect();
                // Whoever else would have one of them makes it ambiguous.
                let theirs = mine
                    .iter()
                    .all(|j| best(&pairs, &|k| k.1 == *j).into_iter().all(|(p, _)| peers.contains(&p)));
                (peers.len() > 1 && peers.len() == mine.len() && theirs)
                    .then(|| peers.into_iter().zip(mine).collect::<Vec<_>>())
            })
        };
        let Some(found) = mutual.map(|pair| vec![pair]).or_else(group) else { break };
        for (i, j) in found {
            out.insert(i, Found::One(seen[j].candidate.clone()));
            pairs.retain(|k, _| k.0 != i && k.1 != j);
        }
    }
    for i in pairs.keys().map(|(i, _)| *i).collect::<BTreeSet<_>>() {
        let fits = pairs.iter().filter(|(k, _)| k.0 == i);
        let mut fits: Vec<(Score, Fit)> = fits
            .map(|((_, j), p)| {
                (p.score, Fit { candidate: seen[*j].candidate.clone(), differs: p.differs.clone() })
            })
            .collect();
        fits.sort_by_key(|(score, _)| *score);
        out.insert(i, Found::Several(fits.into_iter().map(|(_, fit)| fit).collect()));
    }
    out
}

/// `public` of `network/public-1`: resources that are numbered are all alike.
fn stem(address: &Address) -> Option<&str> {
    let (stem, number) = address.0.rsplit_once('-')?;
    number.parse::<u32>().is_ok().then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Status;

    fn seen(names: &[&str]) -> Vec<Seen> {
        let live =
            AnyLive { spec: json!({}), outputs: json!({}), status: Status::Ready, owner: Owner::Nobody };
        let candidate = |n: &&str| Candidate {
            kind: "k".into(),
            identity: (*n).into(),
            label: String::new(),
            place: None,
        };
        names.iter().map(|n| Seen { candidate: candidate(n), live: live.clone() }).collect()
    }

    fn assigned(addresses: &[&str], names: &[&str]) -> Vec<String> {
        let addresses: Vec<Address> = addresses.iter().map(|a| (*a).into()).collect();
        let addresses: Vec<&Address> = addresses.iter().collect();
        let seen = seen(names);
        let mut pairs = BTreeMap::new();
        for (i, address) in addresses.iter().enumerate() {
            for (j, name) in names.iter().enumerate() {
                let score = (Reverse(alike(address, &[name])), 0, 0);
                pairs.insert((i, j), Pair { score, differs: vec![] });
            }
        }
        let found = assign(&addresses, &seen, pairs);
        let told = |i: usize| match found.get(&i) {
            Some(Found::One(candidate)) => candidate.identity.clone(),
            Some(Found::Several(all)) => format!("one of {}", all.len()),
            None => "none".into(),
        };
        (0..addresses.len()).map(told).collect()
    }

    #[test]
    fn names_tell_which_is_which() {
        let groups = ["security/balancer", "security/database", "security/service"];
        assert_eq!(
            assigned(&groups, &["coder-rds", "coder-alb-sg", "coder-ecs"]),
            ["coder-alb-sg", "coder-rds", "coder-ecs"]
        );
        let roles = ["app/task-role", "app/execution-role"];
        assert_eq!(assigned(&roles, &["ecsTaskExecutionRole"]), ["none", "ecsTaskExecutionRole"]);
    }

    #[test]
    fn what_fits_several_is_not_guessed() {
        assert_eq!(assigned(&["a/x"], &["one"]), ["one"]);
        assert_eq!(assigned(&["a/x"], &["one", "two"]), ["one of 2"]);
        assert_eq!(assigned(&["a/x", "a/y"], &["one"]), ["one of 1", "one of 1"]);
    }

    #[test]
    fn numbered_ones_are_all_alike() {
        let subnets = ["network/public-1", "network/public-2"];
        assert_eq!(assigned(&subnets, &["s-a", "s-b"]), ["s-a", "s-b"]);
        assert_eq!(assigned(&subnets, &["s-a", "s-b", "s-c"]), ["one of 3", "one of 3"]);
    }
}
