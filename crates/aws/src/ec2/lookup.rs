//! Look-ups of one type of thing, many with one call.

use crate::ec2::live_tags;
use aws_sdk_ec2::{
    Client,
    types::{Filter, Tag},
};
use causeway_core::{Error, Tags, coalesce::Coalesce};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

/// Keys in one call. EC2 takes 200 filter values in a request, and a natural key has two.
const MOST: usize = 100;

/// Answers in one page, the most that every `Describe*` takes.
pub(crate) const PAGE: i32 = 1000;

/// What EC2 describes.
///
/// Filters, never id parameters: an id that is gone would fail the call for all others.
pub(crate) trait Described: Clone + Send + Sync + 'static {
    /// The filter for ids.
    const ID: &'static str;
    /// The filters for a natural key: its parent, and what is unique in there.
    const WITHIN: Option<[&'static str; 2]> = None;

    /// The filter for the network that it is part of.
    const NETWORK: Option<&'static str> = None;

    /// The id.
    fn id(&self) -> Option<&str>;
    /// The tags.
    fn tags(&self) -> &[Tag];
    /// The natural key.
    fn within(&self) -> Option<[&str; 2]> {
        None
    }
    /// The network.
    fn network(&self) -> Option<&str> {
        None
    }
    /// All things that pass `filters`, without those that are gone and still shown.
    fn describe(api: &Client, filters: Vec<Filter>) -> impl Future<Output = Result<Vec<Self>, Error>> + Send;
}

/// What a thing is looked for by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Id(String),
    Incarnation(String),
    Within(String, String),
    Network(String),
}

/// See the module.
pub(crate) struct Lookup<V>(Coalesce<Key, Vec<V>>);

impl<V: Described> Lookup<V> {
    pub(crate) fn new(api: &Client) -> Self {
        let api = api.clone();
        Lookup(Coalesce::new(MOST, move |keys| fetch(api.clone(), keys)))
    }

    /// The thing with this id.
    pub(crate) async fn by_id(&self, id: &str) -> Result<Option<V>, Error> {
        self.one(Key::Id(id.to_owned())).await
    }

    /// The thing with the natural key `parent` and `name`.
    pub(crate) async fn within(&self, parent: &str, name: &str) -> Result<Option<V>, Error> {
        self.one(Key::Within(parent.to_owned(), name.to_owned())).await
    }

    /// The thing with the recorded id or, without one, with the tag of this incarnation.
    pub(crate) async fn find(&self, recorded: Option<&str>, instance: &str) -> Result<Option<V>, Error> {
        match recorded {
            Some(id) => self.by_id(id).await,
            None if instance.is_empty() => Ok(None),
            None => self.one(Key::Incarnation(instance.to_owned())).await,
        }
    }

    /// All things of this network. What is looked for by its id at the same time, and is of it, takes no call more.
    pub(crate) async fn of_network(&self, network: &str) -> Result<Vec<V>, Error> {
        Ok(self.0.get(Key::Network(network.to_owned())).await?.unwrap_or_default())
    }

    async fn one(&self, key: Key) -> Result<Option<V>, Error> {
        let mut found = self.0.get(key).await?.unwrap_or_default();
        let one = found.pop();
        match (&one, found.as_slice()) {
            (Some(one), [_, ..]) => {
                let ids: Vec<_> = found.iter().chain([one]).filter_map(V::id).collect();
                Err(Error::Invalid(format!(
                    "{} carry the same tag `{}`; delete all but one",
                    ids.join(" and "),
                    Tags::INSTANCE
                )))
            }
            _ => Ok(one),
        }
    }
}

async fn fetch<V: Described>(api: Client, keys: BTreeSet<Key>) -> Result<BTreeMap<Key, Vec<V>>, Error> {
    let (mut ids, mut incarnations, mut parents, mut names, mut networks) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for key in keys {
        match key {
            Key::Id(id) => {
                ids.insert(id);
            }
            Key::Incarnation(instance) => {
                incarnations.insert(instance);
            }
            Key::Within(parent, name) => {
                parents.insert(parent);
                names.insert(name);
            }
            Key::Network(network) => {
                networks.insert(network);
            }
        }
    }
    let of_networks = describe::<V>(&api, [(V::NETWORK.unwrap_or_default(), networks)]).await?;
    for thing in &of_networks {
        ids.remove(thing.id().unwrap_or_default());
    }
    let tag = format!("tag:{}", Tags::INSTANCE);
    let [parent, name] = V::WITHIN.unwrap_or_default();
    let (by_id, by_tag, by_key) = tokio::try_join!(
        describe::<V>(&api, [(V::ID, ids)]),
        describe::<V>(&api, [(tag.as_str(), incarnations)]),
        describe::<V>(&api, [(parent, parents), (name, names)]),
    )?;
    // Asked for by what was answered, not by the filter: a filter may pass more than what was looked for.
    let by_id = by_id.into_iter().chain(of_networks.iter().cloned());
    let by_id = by_id.map(|v| (v.id().map(|id| Key::Id(id.to_owned())), v));
    let by_network = of_networks
        .clone()
        .into_iter()
        .map(|v| (v.network().map(|network| Key::Network(network.to_owned())), v));
    let by_tag =
        by_tag.into_iter().map(|v| (live_tags(v.tags()).0.remove(Tags::INSTANCE).map(Key::Incarnation), v));
    let by_key = by_key
        .into_iter()
        .map(|v| (v.within().map(|[parent, name]| Key::Within(parent.to_owned(), name.to_owned())), v));
    let mut found: BTreeMap<Key, Vec<V>> = BTreeMap::new();
    for (key, thing) in by_id.chain(by_tag).chain(by_key).chain(by_network) {
        if let Some(key) = key {
            found.entry(key).or_default().push(thing);
        }
    }
    Ok(found)
}

async fn describe<V: Described>(
    api: &Client,
    wanted: impl IntoIterator<Item = (&str, BTreeSet<String>)>,
) -> Result<Vec<V>, Error> {
    let filters: Vec<_> = wanted
        .into_iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| filter(name, values))
        .collect();
    if filters.is_empty() { Ok(vec![]) } else { V::describe(api, filters).await }
}

/// A filter that passes things where `name` is one of `values`.
pub(crate) fn filter<T: Into<String>>(name: &str, values: impl IntoIterator<Item = T>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}
