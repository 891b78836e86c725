//! From typed to erased: kind name to implementation, because journals outlive the program that wrote them.

use crate::{
    claim::ClaimedBy,
    diff::Diff,
    error::Error,
    lint::Lint,
    place::{Client, Connections, Place, PlaceSpec},
    resource::{Cx, Live, Owner, Recovery, Resource, Status, Timing},
    undo::UndoRule,
    value::Address,
};
use futures::future::BoxFuture;
use serde_json::Value as Json;
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

/// A [`Live`] in JSON.
#[derive(Clone, Debug)]
pub struct AnyLive {
    /// The spec.
    pub spec: Json,
    /// The outputs.
    pub outputs: Json,
    /// Whether it can be used.
    pub status: Status,
    /// Whose it is.
    pub owner: Owner,
}

/// Which incarnation of which address, where.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The place, resolved.
    pub place: &'a PlaceSpec,
    /// The address.
    pub address: &'a Address,
    /// The incarnation; empty when something is looked for that was never recorded.
    pub instance: &'a str,
    /// The outputs of the last apply.
    pub recorded: Option<&'a Json>,
    /// Whether it is to go.
    pub going: bool,
}

/// What the engine sees of a kind: JSON in, JSON out. Implemented once, for every [`Resource`].
pub trait AnyKind: Send + Sync {
    /// [`Resource::KIND`].
    fn kind(&self) -> &'static str;
    /// [`Resource::REPLACE`].
    fn replace(&self) -> &'static [&'static str];
    /// [`Resource::MOVES`].
    fn moves(&self) -> &'static [&'static str];
    /// [`Resource::RECOVERY`].
    fn recovery(&self) -> Recovery;
    /// [`Resource::DATA`].
    fn data(&self) -> bool;
    /// [`Resource::HOLDS`].
    fn holds(&self) -> Option<&'static str>;
    /// [`Resource::RETAIN`].
    fn retain(&self) -> bool;
    /// [`Resource::CLAIMED_BY`].
    fn claimed_by(&self) -> ClaimedBy;
    /// [`Resource::KEEPS`].
    fn keeps(&self) -> &'static [&'static str];
    /// [`Resource::takes_along`]; nothing where the spec cannot be read.
    fn takes_along(&self, spec: &Json) -> Vec<String>;
    /// [`Resource::DATA`], and [`Resource::holds_data`]; yes where the spec cannot be read.
    fn holds_data(&self, spec: &Json) -> bool;
    /// Outputs in which nothing is known.
    fn no_outputs(&self) -> Json;
    /// [`Resource::UNDO`].
    fn undo(&self) -> &'static [UndoRule];
    /// [`Resource::PARTS`].
    fn parts(&self) -> Option<&'static str>;
    /// [`Resource::leave_out`], for all `parts`.
    fn leave_out(&self, live: &mut AnyLive, parts: &[Json]) -> Result<(), Error>;
    /// [`Resource::TIMING`].
    fn timing(&self) -> Timing;
    /// [`Resource::takes_longer`]; no longer where the spec cannot be read.
    fn takes_longer(&self, spec: &Json) -> Duration;
    /// [`Resource::read`], or [`Resource::read_along`] of what is to go.
    fn read<'a>(&'a self, at: At<'a>, spec: &'a Json) -> BoxFuture<'a, Result<Option<AnyLive>, Error>>;
    /// [`Resource::create`].
    fn create<'a>(&'a self, at: At<'a>, spec: &'a Json) -> BoxFuture<'a, Result<(), Error>>;
    /// [`Resource::update`].
    fn update<'a>(
        &'a self,
        at: At<'a>,
        spec: &'a Json,
        live: &'a AnyLive,
        diff: &'a Diff,
    ) -> BoxFuture<'a, Result<(), Error>>;
    /// [`Resource::copy`].
    fn copy<'a>(
        &'a self,
        at: At<'a>,
        spec: &'a Json,
        live: &'a AnyLive,
    ) -> BoxFuture<'a, Result<Option<String>, Error>>;
    /// [`Resource::delete`].
    fn delete<'a>(
        &'a self,
        at: At<'a>,
        spec: &'a Json,
        live: &'a AnyLive,
    ) -> BoxFuture<'a, Result<(), Error>>;
}

struct Kind<R: Resource> {
    connections: Arc<Connections<R::Client>>,
}

impl<R: Resource> Kind<R> {
    fn spec(json: &Json) -> Result<R, Error> {
        serde_json::from_value(json.clone()).map_err(|source| Error::Decode {
            what: "spec",
            kind: R::KIND,
            source,
        })
    }

    fn outputs(json: &Json) -> Result<R::Outputs, Error> {
        serde_json::from_value(json.clone()).map_err(|source| Error::Decode {
            what: "outputs",
            kind: R::KIND,
            source,
        })
    }

    fn live(live: &AnyLive) -> Result<Live<R>, Error> {
        Ok(Live {
            spec: Self::spec(&live.spec)?,
            outputs: Self::outputs(&live.outputs)?,
            status: live.status.clone(),
            owner: live.owner.clone(),
        })
    }

    fn erase(live: Live<R>) -> Result<AnyLive, Error> {
        let json = |what, value: Result<Json, serde_json::Error>| {
            value.map_err(|source| Error::Decode { what, kind: R::KIND, source })
        };
        Ok(AnyLive {
            spec: json("spec", serde_json::to_value(&live.spec))?,
            outputs: json("outputs", serde_json::to_value(&live.outputs))?,
            status: live.status,
            owner: live.owner,
        })
    }

    /// Outputs that were recorded by an older version, or not at all, count as unknown.
    fn cx<'a>(client: &'a R::Client, at: At<'a>) -> Cx<'a, R> {
        Cx {
            client,
            address: at.address,
            instance: at.instance,
            recorded: at.recorded.and_then(|json| Self::outputs(json).ok()),
        }
    }
}

impl<R: Resource> AnyKind for Kind<R> {
    fn kind(&self) -> &'static str {
        R::KIND
    }
    fn replace(&self) -> &'static [&'static str] {
        R::REPLACE
    }
    fn moves(&self) -> &'static [&'static str] {
        R::MOVES
    }
    fn recovery(&self) -> Recovery {
        R::RECOVERY
    }
    fn data(&self) -> bool {
        R::DATA
    }
    fn holds(&self) -> Option<&'static str> {
        R::HOLDS
    }
    fn retain(&self) -> bool {
        R::RETAIN
    }
    fn claimed_by(&self) -> ClaimedBy {
        R::CLAIMED_BY
    }
    fn keeps(&self) -> &'static [&'static str] {
        R::KEEPS
    }
    fn takes_along(&self, spec: &Json) -> Vec<String> {
        Self::spec(spec).map(|spec| spec.takes_along()).unwrap_or_default()
    }
    fn holds_data(&self, spec: &Json) -> bool {
        R::DATA && Self::spec(spec).map_or(true, |spec| spec.holds_data())
    }
    fn no_outputs(&self) -> Json {
        serde_json::to_value(R::Outputs::default()).unwrap_or_default()
    }
    fn undo(&self) -> &'static [UndoRule] {
        R::UNDO
    }
    fn parts(&self) -> Option<&'static str> {
        R::PARTS
    }
    fn leave_out(&self, live: &mut AnyLive, parts: &[Json]) -> Result<(), Error> {
        let mut typed = Self::live(live)?;
        parts.iter().for_each(|part| R::leave_out(&mut typed.spec, part));
        *live = Self::erase(typed)?;
        Ok(())
    }
    fn timing(&self) -> Timing {
        R::TIMING
    }
    fn takes_longer(&self, spec: &Json) -> Duration {
        Self::spec(spec).map(|spec| spec.takes_longer()).unwrap_or_default()
    }
    fn read<'a>(&'a self, at: At<'a>, spec: &'a Json) -> BoxFuture<'a, Result<Option<AnyLive>, Error>> {
        Box::pin(async move {
            let client = self.connections.get(at.place).await?;
            let (spec, cx) = (Self::spec(spec)?, Self::cx(&client, at));
            let live = if at.going { spec.read_along(&cx).await? } else { spec.read(&cx).await? };
            live.map(Self::erase).transpose()
        })
    }
    fn create<'a>(&'a self, at: At<'a>, spec: &'a Json) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let client = self.connections.get(at.place).await?;
            Self::spec(spec)?.create(&Self::cx(&client, at)).await
        })
    }
    fn update<'a>(
        &'a self,
        at: At<'a>,
        spec: &'a Json,
        live: &'a AnyLive,
        diff: &'a Diff,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let client = self.connections.get(at.place).await?;
            Self::spec(spec)?.update(&Self::cx(&client, at), &Self::live(live)?, diff).await
        })
    }
    fn copy<'a>(
        &'a self,
        at: At<'a>,
        spec: &'a Json,
        live: &'a AnyLive,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        Box::pin(async move {
            let client = self.connections.get(at.place).await?;
            Self::spec(spec)?.copy(&Self::cx(&client, at), &Self::live(live)?).await
        })
    }
    fn delete<'a>(
        &'a self,
        at: At<'a>,
        spec: &'a Json,
        live: &'a AnyLive,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let client = self.connections.get(at.place).await?;
            Self::spec(spec)?.delete(&Self::cx(&client, at), &Self::live(live)?).await
        })
    }
}

/// All kinds that a program knows.
#[derive(Default, Clone)]
pub struct Registry {
    kinds: BTreeMap<&'static str, Arc<dyn AnyKind>>,
    lints: Vec<Lint>,
}

impl Registry {
    /// No kinds.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how a provider's clients are made, and then which kinds it has:
    /// `registry.provider(connect).add::<Vpc>().add::<Subnet>()`.
    pub fn provider<C, F, Fut>(&mut self, connect: F) -> ProviderKinds<'_, C>
    where
        C: Client,
        F: Fn(C::Place) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<C, Error>> + Send + 'static,
    {
        ProviderKinds { registry: self, connections: Arc::new(Connections::new(connect)) }
    }

    /// Takes in a kind that another registry has, with the clients that it has there.
    ///
    /// # Panics
    /// If a kind of the same name is there already.
    pub fn add_kind(&mut self, kind: Arc<dyn AnyKind>) {
        let name = kind.kind();
        let previous = self.kinds.insert(name, kind);
        assert!(previous.is_none(), "{name} is registered twice");
    }

    /// The implementation of `kind`.
    pub fn get(&self, kind: &str) -> Option<&Arc<dyn AnyKind>> {
        self.kinds.get(kind)
    }

    /// All kinds, by name.
    pub fn kinds(&self) -> impl Iterator<Item = &Arc<dyn AnyKind>> {
        self.kinds.values()
    }

    /// Says what is looked for in the wanted resources.
    pub fn add_lints(&mut self, lints: &[Lint]) {
        self.lints.extend_from_slice(lints);
    }

    /// All lints, in the order in which they were added.
    pub fn lints(&self) -> impl Iterator<Item = &Lint> {
        self.lints.iter()
    }
}

/// Adds the kinds of one provider.
pub struct ProviderKinds<'r, C: Client> {
    registry: &'r mut Registry,
    connections: Arc<Connections<C>>,
}

impl<C: Client> ProviderKinds<'_, C> {
    /// Registers `R`.
    ///
    /// # Panics
    /// If a kind of the same name is there already.
    pub fn add<R: Resource<Client = C>>(self) -> Self {
        let kind = Arc::new(Kind::<R> { connections: Arc::clone(&self.connections) });
        let previous = self.registry.kinds.insert(R::KIND, kind);
        assert!(previous.is_none(), "{} is registered twice (provider {})", R::KIND, C::Place::PROVIDER);
        self
    }
}
