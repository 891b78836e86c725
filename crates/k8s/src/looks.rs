//! Many looks as few calls: all objects of a kind in a namespace come with one list.

use crate::{call::Call, noun::Noun, reasons::Reasons};
use causeway_core::{Error, coalesce::Coalesce, error::Found};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// The namespace, empty where there is none, and the name.
type Key = (String, String);

/// How many objects come in one page.
const PAGE: u32 = 500;
/// As many looks as anyone has in one window: what comes out is a list however many there are.
const MOST: usize = 10_000;

pub(crate) struct Looks {
    api: Client,
    /// Why what was looked at does not come up.
    pub(crate) reasons: Reasons,
    kinds: Mutex<BTreeMap<&'static str, Coalesce<Key, Json>>>,
}

impl Looks {
    pub(crate) fn new(api: Client) -> Self {
        Looks { reasons: Reasons::new(api.clone()), api, kinds: Mutex::default() }
    }

    /// The object as the cluster shows it, with everything that others put into it.
    pub(crate) async fn at<K: Noun>(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Json>, Error> {
        let kind = {
            let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
            kinds.entry(K::NOUN).or_insert_with(|| together::<K>(self.api.clone())).clone()
        };
        kind.get((namespace.unwrap_or_default().to_owned(), name.to_owned())).await
    }
}

fn together<K: Noun>(api: Client) -> Coalesce<Key, Json> {
    Coalesce::new(MOST, move |keys: BTreeSet<Key>| {
        let api = api.clone();
        async move {
            let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (namespace, name) in keys {
                names.entry(namespace).or_default().push(name);
            }
            let all = names.into_iter().map(|(namespace, names)| in_namespace::<K>(&api, namespace, names));
            Ok(futures::future::try_join_all(all).await?.into_iter().flatten().collect())
        }
    })
}

async fn in_namespace<K: Noun>(
    api: &Client,
    namespace: String,
    names: Vec<String>,
) -> Result<Vec<(Key, Json)>, Error> {
    let objects = api_of::<K>(api, Some(namespace.as_str()).filter(|n| !n.is_empty()));
    let found = match names.as_slice() {
        [name] => objects.get(name).await.call("kubernetes:get").found()?.into_iter().collect(),
        _ => listed(&objects).await?,
    };
    Ok(found
        .into_iter()
        .filter_map(|object| {
            let name = object.metadata.name.clone()?;
            Some(((namespace.clone(), name), serde_json::to_value(object).ok()?))
        })
        .collect())
}

/// Every page. A kind that the cluster does not know yet has no objects.
async fn listed(objects: &Api<DynamicObject>) -> Result<Vec<DynamicObject>, Error> {
    let mut found = vec![];
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let Some(list) = objects.list(&page).await.call("kubernetes:list").found()? else { return Ok(found) };
        found.extend(list.items);
        match list.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(found),
        }
    }
}

/// The objects of a kind, in one namespace where the kind has namespaces.
pub(crate) fn api_of<K: Noun>(api: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
    let kind = ApiResource {
        group: K::GROUP.to_owned(),
        version: K::VERSION.to_owned(),
        api_version: K::API_VERSION.to_owned(),
        kind: K::KIND.to_owned(),
        plural: K::URL_PATH_SEGMENT.to_owned(),
    };
    match namespace {
        Some(namespace) => Api::namespaced_with(api.clone(), namespace, &kind),
        None => Api::all_with(api.clone(), &kind),
    }
}
