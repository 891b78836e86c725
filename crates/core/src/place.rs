//! Where resources live: a region, a cluster, a DNS account.
//!
//! A node inherits the place of the scope that it is added in. The client for a place is made when it is first
//! needed, so a cluster that this very run creates is a place like any other.

use crate::{
    error::Error,
    value::{Address, references},
};
use futures::{FutureExt, future::BoxFuture};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex},
};
use tokio::sync::OnceCell;

/// What has to be known to make a client: plain data that may hold references.
pub trait Place: Serialize + DeserializeOwned + Send + 'static {
    /// The provider whose resources live in such a place, like `aws`.
    const PROVIDER: &'static str;
}

/// Speaks to one place. Cheap to clone; shared by all resources of that place.
pub trait Client: Clone + Send + Sync + 'static {
    /// What it is made from.
    type Place: Place;
}

/// The place of a node as data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PlaceData {
    /// [`Place::PROVIDER`].
    pub provider: String,
    /// The place itself.
    pub spec: PlaceSpec,
}

/// The place as JSON text in canonical order, so that equal places are equal text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceSpec(String);

impl PlaceSpec {
    /// The JSON that was written.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.0).unwrap_or(Json::Null)
    }
}
impl From<&Json> for PlaceSpec {
    fn from(json: &Json) -> Self {
        PlaceSpec(json.to_string())
    }
}
impl serde::Serialize for PlaceSpec {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.json().serialize(s)
    }
}
impl<'de> serde::Deserialize<'de> for PlaceSpec {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Json::deserialize(d).map(|j| PlaceSpec::from(&j))
    }
}

impl PlaceData {
    /// `place` as data.
    ///
    /// # Panics
    /// If the place is not plain data.
    pub fn of<P: Place>(place: &P) -> Self {
        let json = serde_json::to_value(place).expect("a place is plain data");
        PlaceData { provider: P::PROVIDER.to_owned(), spec: PlaceSpec::from(&json) }
    }

    /// The resources that must exist before the place can be reached.
    pub fn after(&self) -> BTreeSet<Address> {
        let mut out = BTreeSet::new();
        references(&self.spec.json(), &mut out);
        out
    }

    /// One word or two for people: the region, or the name.
    pub fn label(&self) -> String {
        let json = self.spec.json();
        let named = ["region", "name", "cluster"].iter().find_map(|k| json.get(k)?.as_str());
        named.map_or_else(|| self.provider.clone(), str::to_owned)
    }
}

type Connect<C> = dyn Fn(Json) -> BoxFuture<'static, Result<C, Error>> + Send + Sync;

/// Makes clients, one per place, each once.
pub(crate) struct Connections<C> {
    connect: Box<Connect<C>>,
    made: Mutex<BTreeMap<PlaceSpec, Arc<OnceCell<C>>>>,
}

impl<C: Client> Connections<C> {
    pub(crate) fn new<F, Fut>(connect: F) -> Self
    where
        F: Fn(C::Place) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<C, Error>> + Send + 'static,
    {
        let connect = move |json: Json| match serde_json::from_value::<C::Place>(json) {
            Ok(place) => connect(place).boxed(),
            Err(source) => {
                std::future::ready(Err(Error::Decode { what: "place", kind: C::Place::PROVIDER, source }))
                    .boxed()
            }
        };
        Connections { connect: Box::new(connect), made: Mutex::default() }
    }

    pub(crate) async fn get(&self, place: &PlaceSpec) -> Result<C, Error> {
        let cell = {
            let mut made = self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(made.entry(place.clone()).or_default())
        };
        cell.get_or_try_init(|| (self.connect)(place.json())).await.cloned()
    }
}
