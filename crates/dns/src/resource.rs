//! The records of one class at one name, as the engine's kind of thing.

use crate::{
    client::ZoneClient,
    name::Name,
    owner::{self, Mark},
    provider::Limits,
    record::{Class, Entry},
    wanted::{self, Listing, There},
    zone::Zone,
};
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};

/// The TTL that leaves it to the provider.
const AUTOMATIC: u32 = 0;

/// What a name says, of one class: where it leads, its texts, its mail servers.
///
/// The first time that a name is found with records that nobody of us marked, they are somebody else's: `--adopt` takes
/// them over, which writes a mark and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The name, in the zone that it is added in.
    pub name: Value<String>,
    /// What it is about.
    pub class: Class,
    /// What it says. For [`Class::Address`]: IPv4 and IPv6 addresses, or one other name. Text as it is, or as in a zone
    /// file. The rest as in a zone file, with whole names.
    pub values: Set<String>,
    /// For how many seconds resolvers may keep it. `None`: as it is, and what the provider usually has when it is new. A provider takes what it cannot
    /// do as the nearest that it can.
    #[serde(default)]
    pub ttl: Option<u32>,
    /// Whether Cloudflare stands in front of it. `None`: as it is, and not when it is new.
    #[serde(default)]
    pub proxied: Option<bool>,
    /// People's words about it. `None`: as they are.
    #[serde(default)]
    pub comment: Option<String>,
    /// The provider's own tags, `name:value`. `None`: as they are.
    #[serde(default)]
    pub labels: Option<Set<String>>,
    /// Makes it an alias of Route 53 instead of a CNAME.
    #[serde(default)]
    pub alias: Option<Alias>,
    /// Kept in a TXT record beside it; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

/// What an alias needs beside the name that it leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// The hosted zone of that name: a load balancer tells its own.
    pub zone: Value<String>,
    /// Whether Route 53 leaves it out while what it leads to is not healthy.
    #[serde(default)]
    pub evaluate_health: bool,
    /// Whether it answers with IPv6 addresses, too.
    #[serde(default)]
    pub ipv6: bool,
}

outputs! {
    /// What a record tells others.
    pub struct RecordOutputs => RecordRefs {
        /// The name, in normal form.
        pub name: String,
    }
}

impl Record {
    /// Where `name` leads: addresses, or one other name.
    ///
    /// # Errors
    /// When `name` is known, and no name.
    pub fn address<V: Into<Value<String>>>(
        name: impl Into<Value<String>>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, crate::name::NameError> {
        Record::new(name, Class::Address, values)
    }

    /// What `name` says of one class.
    ///
    /// # Errors
    /// When `name` is known, and no name.
    pub fn new<V: Into<Value<String>>>(
        name: impl Into<Value<String>>,
        class: Class,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, crate::name::NameError> {
        Ok(Record {
            name: match name.into() {
                Value::Known(name) => Value::Known(Name::parse(&name)?.to_string()),
                later => later,
            },
            class,
            values: values.into_iter().collect(),
            ttl: None,
            proxied: None,
            comment: None,
            labels: None,
            alias: None,
            tags: Tags::default(),
        })
    }

    /// Its name, if it may be changed here.
    fn name_in(&self, zone: &Zone) -> Result<Name, Error> {
        let name = Name::parse(self.name.get()?).map_err(|e| Error::Invalid(e.to_string()))?;
        if !name.is_in(&zone.name) {
            return Err(Error::Invalid(format!(
                "`{name}` is not in the zone `{}`; add it in the zone that it belongs to",
                zone.name
            )));
        }
        if self.class == Class::Ns && name == zone.name {
            return Err(Error::Invalid(format!(
                "the name servers of `{name}` itself are the provider's affair and are never changed; take this out"
            )));
        }
        Ok(name)
    }

    /// Who we are, once the engine has said so.
    fn us(&self) -> Option<(&str, &str)> {
        let tag = |key| self.tags.0.get(key).map(String::as_str);
        Some((tag(Tags::STACK)?, tag(Tags::ADDRESS)?))
    }

    fn mark(&self, name: &Name) -> Result<Mark, Error> {
        Mark::of(&self.tags).ok_or_else(|| Error::Invalid(format!("nobody said whose `{name}` would be")))
    }

    async fn look(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let client = cx.client;
        let name = self.name_in(client.zone())?;
        let there = client
            .look(cx.survey(), |listing| {
                There::find(listing, &name, self.class, &client.zone().name, self.us())
            })
            .await?;
        if there.entries.is_empty() {
            return Ok(None);
        }
        let spec = wanted::shown(self, &there, client.limits());
        let owner = match &there.mark {
            Some(_) => spec.tags.owner(),
            None => Owner::Nobody,
        };
        let outputs = RecordOutputs { name: name.to_string() };
        Ok(Some(Live { spec, outputs, status: Status::Ready, owner }))
    }
}

impl Resource for Record {
    const KIND: &'static str = "dns.record";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["name", "class"]);
    const REPLACE: &'static [&'static str] = &["name", "class"];
    // Long enough for another record of the stack to go that is in the way.
    const TIMING: Timing = Timing::seconds(2, 1, 120);
    type Client = ZoneClient;
    type Outputs = RecordOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        self.look(cx).await
    }

    /// What carries no mark of ours any more is not ours to delete: it is gone as far as we go.
    async fn read_along(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let us = self.us().map(|(stack, address)| (stack.to_owned(), address.to_owned()));
        let ours = |live: &Live<Self>| match &live.owner {
            Owner::Tagged { stack, address, .. } => Some((stack.clone(), address.clone())) == us,
            Owner::Nobody | Owner::Anybody | Owner::Parent => false,
        };
        Ok(self.look(cx).await?.filter(ours))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        self.put(cx, None).await
    }

    /// What is wanted no more goes back to what it is where nobody wants anything.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let mut record = self.clone();
        if diff.touches("proxied") {
            record.proxied = record.proxied.or(Some(false));
        }
        if diff.touches("comment") {
            record.comment = record.comment.or_else(|| Some(String::new()));
        }
        if diff.touches("labels") {
            record.labels = record.labels.or_else(|| Some(Set::default()));
        }
        if diff.touches("ttl") {
            record.ttl = record.ttl.or(Some(AUTOMATIC));
        }
        record.put(cx, Some(live)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let zone = cx.client.zone().clone();
        let limits = cx.client.limits().clone();
        let (name, record, seen) = (self.name_in(&zone)?, self.clone(), live.clone());
        cx.client
            .change(Box::new(move |listing| {
                let there = There::find(listing, &name, record.class, &zone.name, record.us());
                if there.entries.is_empty() {
                    return Ok(Default::default());
                }
                if !is_as_seen(&there, &seen) {
                    return Err(appeared(&name, record.class, &there));
                }
                understood(&there)?;
                wanted::change(listing, &zone.name, &limits, [&there.entries, &[]], None, true)
            }))
            .await
    }
}

impl Record {
    /// Puts what is wanted in the place of what was `seen`: of nothing, for a create.
    async fn put(&self, cx: &Cx<'_, Self>, seen: Option<&Live<Self>>) -> Result<(), Error> {
        let zone = cx.client.zone().clone();
        let limits = cx.client.limits().clone();
        let name = self.name_in(&zone)?;
        let after = wanted::entries(self, &name, &zone.name, &limits)?;
        let (record, mark, seen) = (self.clone(), self.mark(&name)?, seen.cloned());
        cx.client
            .change(Box::new(move |listing| {
                let there = There::find(listing, &name, record.class, &zone.name, record.us());
                let is_ours = there.mark.as_ref().is_some_and(|m| m.tags() == record.tags);
                let as_planned = match &seen {
                    // Sent once more, and it was made the first time.
                    None => there.entries.is_empty() || is_ours,
                    Some(seen) => is_as_seen(&there, seen) && !is_of_others(seen, &record),
                };
                if !as_planned {
                    return Err(appeared(&name, record.class, &there));
                }
                understood(&there)?;
                unopposed(listing, &zone.name, &limits, &record, &after, &there)?;
                wanted::change(
                    listing,
                    &zone.name,
                    &limits,
                    [&there.entries, &after],
                    Some(&mark),
                    record.ttl.is_none(),
                )
            }))
            .await
    }
}

/// Whether the owner is still who it was when it was looked at.
fn is_as_seen(there: &There, seen: &Live<Record>) -> bool {
    match &seen.owner {
        Owner::Tagged { .. } => there.mark.is_some() && there.tags().owner() == seen.owner,
        Owner::Nobody | Owner::Anybody | Owner::Parent => there.mark.is_none(),
    }
}

/// Whether what was looked at is another stack's, or another resource's.
fn is_of_others(seen: &Live<Record>, record: &Record) -> bool {
    match &seen.owner {
        Owner::Tagged { stack, address, .. } => record.us() != Some((stack, address)),
        Owner::Nobody | Owner::Anybody | Owner::Parent => false,
    }
}

fn appeared(name: &Name, class: Class, there: &There) -> Error {
    let whose = match &there.mark {
        Some(mark) => format!("it is {}'s now, for `{}`", mark.owner, mark.resource),
        None if there.entries.is_empty() => "it is gone".to_owned(),
        None => "it carries nobody's mark".to_owned(),
    };
    Error::Invalid(format!("`{name}` ({class}) is not as it was when this was planned: {whose}; plan again"))
}

fn understood(there: &There) -> Result<(), Error> {
    match there.entries.iter().find(|entry| entry.is_opaque) {
        None => Ok(()),
        Some(odd) => Err(Error::Invalid(format!(
            "`{}` has a record of type {} (`{}`) that we do not understand, like one that a policy chooses; it is left as \
             it is: remove it, or take this out",
            odd.name, odd.kind, odd.value
        ))),
    }
}

/// What is somebody else's and in the way, at the name or at the place of a mark.
fn unopposed(
    listing: &Listing,
    zone: &Name,
    limits: &Limits,
    record: &Record,
    after: &[Entry],
    there: &There,
) -> Result<(), Error> {
    use crate::record::Kind;
    let at = |name: &Name| listing.get(name).map(Vec::as_slice).unwrap_or_default();
    let refuse = |what: &Entry, why: &str| {
        if is_of_our_stack(listing, what, zone, record) {
            // Another resource of the stack, which is to go or to change in this very run.
            let source = format!("`{}` still has a record of type {}, {why}", what.name, what.kind).into();
            return Err(Error::Call { call: "dns:Change", class: causeway_core::Class::NotNow, source });
        }
        Err(Error::Invalid(format!(
            "`{}` has a record of type {} (`{}`) that is not ours, {why}; remove it, or take this out",
            what.name, what.kind, what.value
        )))
    };
    for entry in after {
        let stays = |e: &&Entry| !there.entries.contains(*e);
        for other in at(&entry.name).iter().filter(stays) {
            if other.is_opaque && other.kind == entry.kind {
                return refuse(other, "chosen by a policy that we do not understand");
            }
            let address = entry.kind.is_proxiable() && other.kind.is_proxiable();
            let cname = entry.kind == Kind::Cname || other.kind == Kind::Cname;
            if cname && (address || !limits.flattens) {
                return refuse(other, "and a CNAME stands alone at its name");
            }
            if other.kind.as_str() == entry.kind.as_str() && there.others.contains(other) {
                return refuse(other, "and a name has one set of a type");
            }
        }
        let place = owner::place(&entry.name, &entry.kind, zone)
            .map_err(|why| Error::Invalid(format!("there is no room for the mark: {why}")))?;
        for other in at(&place) {
            match owner::mark_in(other) {
                Some(mark) if !mark.is_ours() || mark_of_another(&mark, record) => {
                    return Err(Error::Invalid(format!(
                        "`{}` is marked as {}'s, for `{}`, at `{place}`; have that owner release it first",
                        entry.name, mark.owner, mark.resource
                    )));
                }
                None if other.kind == Kind::Cname && !limits.flattens => {
                    return refuse(other, "where the mark of the owner would stand");
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn is_of_our_stack(listing: &Listing, entry: &Entry, zone: &Name, record: &Record) -> bool {
    let places = owner::places(&entry.name, &entry.kind, zone);
    let marks = places.iter().filter_map(|place| listing.get(place)).flatten().filter_map(owner::mark_in);
    let us = record.us().map(|(stack, _)| stack);
    marks.chain(owner::mark_in(entry)).any(|mark| mark.is_ours() && Some(mark.owner.as_str()) == us)
}

/// Whether `mark` is of another stack, or of another resource of ours.
fn mark_of_another(mark: &Mark, record: &Record) -> bool {
    let tags = mark.tags();
    let tag = |key| tags.0.get(key).map(String::as_str);
    record.us() != tag(Tags::STACK).zip(tag(Tags::ADDRESS))
}
