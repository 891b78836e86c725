//! The wanted set: plain data, built by a plain function.

use crate::{
    moved::{self, Moved, MovedError},
    place::{Client, Place, PlaceData},
    resource::Resource,
    value::{Address, Outputs, references},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Deref,
};

/// A resource of a stack, for others to refer to: `vpc.vpc_id` is a [`Value`](crate::Value).
///
/// Its own parts have no names, so that an output may have any: `instance.address` is where a database listens, and
/// `instance.address()` where it stands in the stack.
#[derive(Clone)]
pub struct Handle<R: Resource>(Address, <R::Outputs as Outputs>::Refs);

impl<R: Resource> Handle<R> {
    /// Where it stands in the stack.
    pub fn address(&self) -> &Address {
        &self.0
    }
}
impl<R: Resource> Deref for Handle<R> {
    type Target = <R::Outputs as Outputs>::Refs;
    fn deref(&self) -> &Self::Target {
        &self.1
    }
}

/// One wanted resource.
#[derive(Clone)]
pub struct Node {
    /// [`Resource::KIND`].
    pub kind: &'static str,
    /// Where it lives.
    pub place: PlaceData,
    /// What is wanted; may hold secrets in plain text, so it is never printed.
    pub spec: Json,
    /// What must exist first: the references in the spec and the place, and the order that was asked for.
    pub after: BTreeSet<Address>,
    /// Never to be deleted or replaced.
    pub protect: bool,
    /// Whether some of it is wanted as people made it, because it is or was claimed.
    pub(crate) kept: bool,
    /// By field, the setting that decides it.
    settings: BTreeMap<&'static str, &'static str>,
}

impl Node {
    /// The setting that decides `field`, if the stack told one.
    pub fn setting(&self, field: &str) -> Option<&'static str> {
        self.settings.get(field).copied()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("kind", &self.kind).field("after", &self.after).finish_non_exhaustive()
    }
}

/// Something is wrong with a stack as it was built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// Two resources have one address.
    #[error("two resources are named `{0}`")]
    Twice(Address),
    /// A resource was added outside a place of its provider.
    #[error("`{address}` ({kind}) was added outside of a {provider} place")]
    NoPlace {
        /// The resource.
        address: Address,
        /// Its kind.
        kind: &'static str,
        /// The provider whose place is missing.
        provider: &'static str,
    },
    /// A reference leads to nothing.
    #[error("`{from}` refers to `{to}`, which is not in the stack")]
    Dangling {
        /// Who refers.
        from: Address,
        /// To what.
        to: Address,
    },
    /// A rename makes no sense.
    #[error(transparent)]
    Moved(#[from] MovedError),
    /// Resources wait for each other.
    #[error("resources wait for each other: {}", cycle.iter().map(|a| a.0.as_str()).collect::<Vec<_>>().join(" -> "))]
    Cycle {
        /// Around once.
        cycle: Vec<Address>,
    },
}

/// All that is wrong with a stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct StackErrors(pub Vec<StackError>);

/// The wanted set of one deployment. No client, no `async`, no errors while it is built: mistakes are collected and
/// told together by [`Stack::check`].
#[derive(Clone, Debug)]
pub struct Stack {
    name: String,
    tags: BTreeMap<String, String>,
    nodes: BTreeMap<Address, Node>,
    scope: Vec<String>,
    places: Vec<PlaceData>,
    claims: BTreeMap<Address, String>,
    outputs: BTreeMap<String, Json>,
    moves: BTreeSet<Moved>,
    errors: Vec<StackError>,
}

impl Stack {
    /// An empty stack. The name is in the ownership tag of everything it creates.
    pub fn new(name: impl Into<String>) -> Self {
        Stack {
            name: name.into(),
            tags: BTreeMap::new(),
            nodes: BTreeMap::new(),
            scope: vec![],
            places: vec![],
            claims: BTreeMap::new(),
            outputs: BTreeMap::new(),
            moves: BTreeSet::new(),
            errors: vec![],
        }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A tag that every resource gets which can carry tags.
    pub fn tag(&mut self, key: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// The tags that every resource gets.
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// Adds a resource at `name` in the current scope and place.
    ///
    /// # Panics
    /// If the resource does not serialise, which a plain struct always does.
    pub fn add<R: Resource>(&mut self, name: &str, resource: R) -> Handle<R> {
        let address = self.address(name);
        let spec = serde_json::to_value(&resource).expect("a spec is plain data");
        let provider = <<R::Client as Client>::Place as Place>::PROVIDER;
        match self.places.iter().rev().find(|p| p.provider == provider).cloned() {
            Some(place) => {
                let mut after = place.after();
                references(&spec, &mut after);
                let node = Node {
                    kind: R::KIND,
                    place,
                    spec,
                    after,
                    protect: false,
                    kept: false,
                    settings: BTreeMap::new(),
                };
                if self.nodes.insert(address.clone(), node).is_some() {
                    self.errors.push(StackError::Twice(address.clone()));
                }
            }
            None => {
                self.errors.push(StackError::NoPlace { address: address.clone(), kind: R::KIND, provider });
            }
        }
        let refs = R::Outputs::refs(&address);
        Handle(address, refs)
    }

    /// Wants `resource` at `address`, where there is one of its kind already. It waits for what that one waits for, too.
    ///
    /// # Panics
    /// If the resource does not serialise, which a plain struct always does.
    pub fn instead<R: Resource>(&mut self, address: &Address, resource: &R) -> &mut Self {
        let spec = serde_json::to_value(resource).expect("a spec is plain data");
        if let Some(node) = self.nodes.get_mut(address).filter(|n| n.kind == R::KIND) {
            references(&spec, &mut node.after);
            node.spec = spec;
        }
        self
    }

    /// Adds with `build`, under a longer address: `network/vpc` instead of `vpc`.
    pub fn scope<T>(&mut self, name: &str, build: impl FnOnce(&mut Stack) -> T) -> T {
        self.scope.push(name.to_owned());
        let out = build(self);
        self.scope.pop();
        out
    }

    /// Adds with `build`, in another place.
    pub fn at<P: Place, T>(&mut self, place: &P, build: impl FnOnce(&mut Stack) -> T) -> T {
        self.places.push(PlaceData::of(place));
        let out = build(self);
        self.places.pop();
        out
    }

    /// `later` is made after `earlier`, though no value says so.
    pub fn after(&mut self, later: &Address, earlier: &Address) -> &mut Self {
        match self.nodes.get_mut(later) {
            Some(node) => {
                node.after.insert(earlier.clone());
            }
            None => self.errors.push(StackError::Dangling { from: later.clone(), to: earlier.clone() }),
        }
        self
    }

    /// Never delete or replace the resource at `address`.
    pub fn protect(&mut self, address: &Address) -> &mut Self {
        if let Some(node) = self.nodes.get_mut(address) {
            node.protect = true;
        }
        self
    }

    /// What was made at the address `from` stands at `to` now, and stays what it is. Both are whole addresses, whatever
    /// the scope; `old/*` and `new/*` move all that is under `old`.
    pub fn moved(&mut self, from: impl Into<String>, to: impl Into<String>) -> &mut Self {
        self.moves.insert(Moved::new(from, to));
        self
    }

    /// What stands elsewhere than it was made.
    pub fn moves(&self) -> &BTreeSet<Moved> {
        &self.moves
    }

    /// The resource at `address` stands for something that people made: the id or the name of it, without the rest of
    /// an ARN.
    pub fn claim(&mut self, address: &Address, identity: impl Into<String>) -> &mut Self {
        self.claims.insert(address.clone(), identity.into());
        self
    }

    /// What is claimed.
    pub fn claims(&self) -> &BTreeMap<Address, String> {
        &self.claims
    }

    /// Tells what people set to decide `field` of the resource at `address`, for when it turns out to be in the way.
    pub fn setting(&mut self, address: &Address, field: &'static str, setting: &'static str) -> &mut Self {
        if let Some(node) = self.nodes.get_mut(address) {
            node.settings.insert(field, setting);
        }
        self
    }

    pub(crate) fn node_mut(&mut self, address: &Address) -> Option<&mut Node> {
        self.nodes.get_mut(address)
    }

    /// Tells people a value once it is known, under `name`.
    ///
    /// # Panics
    /// If the value does not serialise, which plain data always does.
    pub fn output<T: serde::Serialize>(&mut self, name: impl Into<String>, value: T) -> &mut Self {
        let json = serde_json::to_value(value).expect("an output is plain data");
        self.outputs.insert(name.into(), json);
        self
    }

    /// What the stack tells people, with references where a value is not known yet.
    pub fn outputs(&self) -> &BTreeMap<String, Json> {
        &self.outputs
    }

    /// The wanted resources, by address.
    pub fn nodes(&self) -> &BTreeMap<Address, Node> {
        &self.nodes
    }

    /// Everything that the resource at `address` waits for, through others too; each once.
    pub(crate) fn below<'s>(&'s self, address: &Address) -> impl Iterator<Item = &'s Address> + use<'s> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Address> = self.nodes.get(address).into_iter().flat_map(|n| &n.after).collect();
        std::iter::from_fn(move || {
            loop {
                let next = open.pop()?;
                if seen.insert(next) {
                    open.extend(self.nodes.get(next).into_iter().flat_map(|n| &n.after));
                    return Some(next);
                }
            }
        })
    }

    /// Keeps only the nodes that `keep` wants.
    pub fn retain(&mut self, keep: impl Fn(&Address) -> bool) {
        self.nodes.retain(|a, _| keep(a));
    }

    fn address(&self, name: &str) -> Address {
        Address(self.scope.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/"))
    }

    /// Looks for mistakes: names used twice, missing places, references to nothing, moves that make no sense, cycles.
    ///
    /// # Errors
    /// All of them together.
    pub fn check(&self) -> Result<(), StackErrors> {
        let mut errors = self.errors.clone();
        for (from, node) in &self.nodes {
            let missing = node.after.iter().filter(|to| !self.nodes.contains_key(to));
            errors.extend(missing.map(|to| StackError::Dangling { from: from.clone(), to: to.clone() }));
        }
        errors.extend(moved::check(&self.moves, &self.nodes).into_iter().map(StackError::from));
        if errors.is_empty()
            && let Err(cycle) = crate::schedule::order(&self.edges())
        {
            errors.push(StackError::Cycle { cycle });
        }
        if errors.is_empty() { Ok(()) } else { Err(StackErrors(errors)) }
    }

    fn edges(&self) -> BTreeMap<Address, BTreeSet<Address>> {
        self.nodes.iter().map(|(a, n)| (a.clone(), n.after.clone())).collect()
    }

    /// The addresses, each after what it waits for.
    ///
    /// # Errors
    /// As [`Stack::check`].
    pub fn order(&self) -> Result<Vec<Address>, StackErrors> {
        self.check()?;
        crate::schedule::order(&self.edges()).map_err(|cycle| StackErrors(vec![StackError::Cycle { cycle }]))
    }
}
