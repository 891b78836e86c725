//! From a spec to records, and back. Pure.

use crate::{
    name::Name,
    owner::{self, Mark},
    provider::{Change, Limits, SetChange},
    record::{AliasTarget, Class, Entry, Kind, normal},
    resource::{Alias, Record},
};
use causeway_core::{Error, Set, Tags, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// What is at the names of one zone.
pub(crate) type Listing = BTreeMap<Name, Vec<Entry>>;

/// The records that `record` wants at `name`.
///
/// # Errors
/// What no record could say, or this provider not do.
pub(crate) fn entries(
    record: &Record,
    name: &Name,
    zone: &Name,
    limits: &Limits,
) -> Result<Vec<Entry>, Error> {
    let wrong = |why: String| Err(Error::Invalid(format!("`{name}` ({}): {why}", record.class)));
    let values = record.values.get()?;
    if values.is_empty() {
        return wrong("it says nothing: give it a value, or take it out".into());
    }
    let alias = match &record.alias {
        Some(_) if !limits.aliases => return wrong("this provider has no aliases; leave `alias` out".into()),
        Some(_) if record.class != Class::Address => return wrong("only an address can be an alias".into()),
        Some(alias) => Some((alias, alias.zone.get()?.clone())),
        None => None,
    };
    let proxied = record.proxied.unwrap_or(false);
    let mut out: Vec<Entry> = vec![];
    for value in &values {
        for kind in kinds(record.class, value, alias.as_ref().map(|(alias, _)| *alias)) {
            let said = match normal(&kind, value) {
                Ok(said) => said,
                Err(why) => return wrong(why.to_string()),
            };
            if out.iter().any(|e| e.kind == kind && e.value == said) {
                continue;
            }
            if proxied && !kind.is_proxiable() {
                return wrong(format!("a {kind} record cannot be proxied; leave `proxied` out"));
            }
            let ttl = limits.ttl.normal(record.ttl, proxied);
            let mut entry = Entry::new(name.clone(), kind, said, ttl);
            entry.proxied = record.proxied.filter(|_| limits.proxies);
            entry.comment.clone_from(&record.comment);
            entry.labels = record.labels.as_ref().map(|l| l.get()).transpose()?.map(BTreeSet::from_iter);
            entry.alias = alias.as_ref().map(|(alias, zone)| AliasTarget {
                zone: zone.clone(),
                evaluate_health: alias.evaluate_health,
            });
            out.push(entry);
        }
    }
    if let Err(why) = agrees(&out, record, name, zone, limits) {
        return wrong(why);
    }
    Ok(out)
}

fn agrees(out: &[Entry], record: &Record, name: &Name, zone: &Name, limits: &Limits) -> Result<(), String> {
    if record.proxied == Some(true) && !limits.proxies {
        return Err("this provider cannot stand in front of a name; leave `proxied` out".into());
    }
    match (&record.comment, limits.comment) {
        (Some(comment), None) if !comment.is_empty() => {
            return Err("this provider has no comments; leave `comment` out".into());
        }
        (Some(comment), Some(most)) if comment.chars().count() > most => {
            return Err(format!(
                "its comment has {} characters, and {most} are allowed",
                comment.chars().count()
            ));
        }
        (Some(comment), _) if comment.contains(['\n', '\r']) => {
            return Err("its comment has more than one line".into());
        }
        _ => {}
    }
    if record.labels.as_ref().is_some_and(|l| !l.0.is_empty()) && !limits.labels {
        return Err("this provider has no tags; leave `labels` out".into());
    }
    let cnames: Vec<&Entry> = out.iter().filter(|e| e.kind == Kind::Cname).collect();
    if let Some(cname) = cnames.first() {
        if out.len() > 1 {
            let all: Vec<String> = out.iter().map(|e| format!("`{}`", e.value)).collect();
            return Err(format!(
                "a name that leads to another name leads nowhere else, and this one has {}",
                all.join(", ")
            ));
        }
        if cname.value == name.as_str() {
            return Err("it leads to itself".into());
        }
        if name == zone && !limits.flattens {
            return Err(
                "the zone's own name cannot be a CNAME; give addresses, or an alias on Route 53".into()
            );
        }
    }
    Ok(())
}

/// Which records `value` is.
fn kinds(class: Class, value: &str, alias: Option<&Alias>) -> Vec<Kind> {
    match (class, alias) {
        (Class::Address, Some(alias)) if alias.ipv6 => vec![Kind::Alias, Kind::Alias6],
        (Class::Address, Some(_)) => vec![Kind::Alias],
        (Class::Address, None) => vec![match value.trim().parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => Kind::A,
            Ok(IpAddr::V6(_)) => Kind::Aaaa,
            Err(_) => Kind::Cname,
        }],
        (Class::Txt, _) => vec![Kind::Txt],
        (Class::Mx, _) => vec![Kind::Mx],
        (Class::Ns, _) => vec![Kind::Ns],
        (Class::Srv, _) => vec![Kind::Srv],
        (Class::Caa, _) => vec![Kind::Caa],
    }
}

/// What is at a name, of one class: the records of each owner apart.
#[derive(Debug, Default)]
pub(crate) struct There {
    /// The records that count: those of `mark`, and all if nobody marked any.
    pub(crate) entries: Vec<Entry>,
    /// Whose they are.
    pub(crate) mark: Option<Mark>,
    /// Records that are not among them.
    pub(crate) others: Vec<Entry>,
}

impl There {
    /// Looks at the records of `class` at `name`. `us` (stack and address) says whose count where several have some.
    pub(crate) fn find(
        listing: &Listing,
        name: &Name,
        class: Class,
        zone: &Name,
        us: Option<(&str, &str)>,
    ) -> Self {
        let at = |name: &Name| listing.get(name).map(Vec::as_slice).unwrap_or_default();
        let of_class: Vec<&Entry> =
            at(name).iter().filter(|e| e.class() == Some(class) && owner::mark_in(e).is_none()).collect();
        let mut by_mark: Vec<(Option<Mark>, Vec<Entry>)> = vec![];
        for entry in of_class {
            let marks = |place: &Name| at(place).iter().filter_map(owner::mark_in).collect::<Vec<_>>();
            let places = owner::places(name, &entry.kind, zone);
            // Where two have marked it, it is the other's: who is not sure does nothing.
            let marks: Vec<Mark> = places.iter().flat_map(marks).collect();
            let mark = marks.iter().find(|m| !is_by(m, us)).or(marks.first()).cloned();
            match by_mark.iter_mut().find(|(m, _)| same(m.as_ref(), mark.as_ref())) {
                Some((_, entries)) => entries.push(entry.clone()),
                None => by_mark.push((mark, vec![entry.clone()])),
            }
        }
        let ours = by_mark.iter().position(|(m, _)| m.as_ref().is_some_and(|m| is_by(m, us)));
        // Somebody's mark tells more than none.
        let marked = ours.or(by_mark.iter().position(|(m, _)| m.is_some()));
        let Some(at) = marked.or((!by_mark.is_empty()).then_some(0)) else { return There::default() };
        let (mark, entries) = by_mark.swap_remove(at);
        There { entries, mark, others: by_mark.into_iter().flat_map(|(_, entries)| entries).collect() }
    }

    /// Who owns what counts, or whatever somebody else has here.
    pub(crate) fn tags(&self) -> Tags {
        self.mark.as_ref().map(Mark::tags).unwrap_or_default()
    }
}

fn is_by(mark: &Mark, us: Option<(&str, &str)>) -> bool {
    let tags = mark.tags();
    us.is_some_and(|(stack, address)| {
        mark.is_ours()
            && tags.0.get(Tags::STACK).is_some_and(|s| s == stack)
            && tags.0.get(Tags::ADDRESS).is_some_and(|a| a == address)
    })
}

fn same(a: Option<&Mark>, b: Option<&Mark>) -> bool {
    let who = |mark: &Mark| (mark.owner.clone(), mark.resource.clone());
    a.map(who) == b.map(who)
}

/// What `there` is, in the words of `wanted`: what means the same is written the same.
pub(crate) fn shown(wanted: &Record, there: &There, limits: &Limits) -> Record {
    let mut values: Vec<Value<String>> = vec![];
    for entry in &there.entries {
        let spellings = wanted.values.0.iter().filter_map(|v| v.get().ok());
        let same: Vec<String> = spellings
            .filter(|text| normal(&entry.kind, text).is_ok_and(|said| said == entry.value))
            .cloned()
            .collect();
        let said = if same.is_empty() { vec![entry.value.clone()] } else { same };
        for text in said {
            if !values.iter().any(|v| v.get().is_ok_and(|known| *known == text)) {
                values.push(Value::Known(text));
            }
        }
    }
    let proxied = agreed(there, &wanted.proxied, |e| e.proxied).flatten();
    let normal_ttl = limits.ttl.normal(wanted.ttl, proxied.unwrap_or(false));
    let ttl = agreed(there, &normal_ttl, |e| e.ttl).filter(|_| there.entries.iter().all(has_ttl));
    let comment = agreed(there, &wanted.comment, |e| e.comment.clone()).flatten();
    let labels = there.entries.first().and_then(|e| e.labels.clone());
    let alias = there.entries.iter().find_map(|e| e.alias.clone()).map(|target| Alias {
        zone: target.zone.into(),
        evaluate_health: target.evaluate_health,
        ipv6: there.entries.iter().any(|e| e.kind == Kind::Alias6),
    });
    Record {
        name: wanted.name.clone(),
        class: wanted.class,
        values: Set(values),
        ttl: match ttl {
            Some(there) if there == normal_ttl && wanted.ttl.is_some() => wanted.ttl,
            other => other,
        },
        proxied,
        comment,
        labels: labels.map(|l| l.into_iter().map(Value::Known).collect()),
        alias,
        tags: there.tags(),
    }
}

/// An alias has none of its own.
fn has_ttl(entry: &Entry) -> bool {
    entry.alias.is_none()
}

/// What all records have; where they do not agree, what one has that is not as wanted.
fn agreed<T: PartialEq>(there: &There, wanted: &T, of: impl Fn(&Entry) -> T) -> Option<T> {
    let mut all: Vec<T> = there.entries.iter().map(of).collect();
    let odd = all.iter().position(|one| one != wanted).unwrap_or(0);
    (!all.is_empty()).then(|| all.swap_remove(odd))
}

/// The change that puts `after` in the place of `before`, both of one name and class, and marks it as `mark` says. `None`:
/// the marks of these records that are ours go. `keeps_ttl`: what is there keeps its TTL.
///
/// # Errors
/// When there is no room for a mark.
pub(crate) fn change(
    listing: &Listing,
    zone: &Name,
    limits: &Limits,
    [before, after]: [&[Entry]; 2],
    mark: Option<&Mark>,
    keeps_ttl: bool,
) -> Result<Change, Error> {
    let invalid =
        |why: crate::name::NameError| Error::Invalid(format!("there is no room for the mark: {why}"));
    // Each set by its name and type, with what leaves it and what comes into it.
    let mut sets: BTreeMap<(Name, String), (Vec<Entry>, Vec<Entry>)> = BTreeMap::new();
    for entry in before {
        let place = owner::place(&entry.name, &entry.kind, zone).map_err(invalid)?;
        let marks = listing.get(&place).map(Vec::as_slice).unwrap_or_default();
        let ours = marks.iter().filter(|e| owner::mark_in(e).is_some_and(|m| m.is_ours()));
        let set = sets.entry((place.clone(), Kind::Txt.as_str().to_owned())).or_default();
        set.0.extend(ours.cloned());
        sets.entry(key(entry)).or_default().0.push(entry.clone());
    }
    for entry in after {
        sets.entry(key(entry)).or_default().1.push(entry.clone());
        let Some(mark) = mark else { continue };
        let place = owner::place(&entry.name, &entry.kind, zone).map_err(invalid)?;
        let stale = listing.get(&place).into_iter().flatten();
        let stale: Vec<Entry> =
            stale.filter(|e| owner::mark_in(e).is_some_and(|m| m.is_ours())).cloned().collect();
        let set = sets.entry((place.clone(), Kind::Txt.as_str().to_owned())).or_default();
        set.0.extend(stale);
        let said = normal(&Kind::Txt, &mark.text()).map_err(|e| Error::Invalid(e.to_string()))?;
        if !set.1.iter().any(|e| e.value == said) {
            set.1.push(Entry::new(place, Kind::Txt, said, limits.ttl.normal(None, false)));
        }
    }
    let mut out = Change::default();
    for ((name, word), (leaving, coming)) in sets {
        let at = listing.get(&name).into_iter().flatten();
        let before: Vec<Entry> = at.filter(|e| e.kind.as_str() == word).cloned().collect();
        let mut after: Vec<Entry> = before.iter().filter(|e| !leaving.contains(e)).cloned().collect();
        for entry in coming {
            let keeps_ttl = keeps_ttl || owner::mark_in(&entry).is_some();
            after.push(kept(&before, entry, keeps_ttl, limits));
        }
        let stays = before.len() == after.len() && after.iter().all(|e| before.contains(e));
        if !stays {
            out.sets.push(SetChange { name, word, before, after });
        }
    }
    Ok(out)
}

fn key(entry: &Entry) -> (Name, String) {
    (entry.name.clone(), entry.kind.as_str().to_owned())
}

/// `entry`, with what is there already of the same record and is to stay. A set has one TTL, so what joins it takes that.
fn kept(before: &[Entry], mut entry: Entry, keeps_ttl: bool, limits: &Limits) -> Entry {
    let same = before.iter().find(|e| e.kind == entry.kind && e.value == entry.value);
    let model = same.or(before.first()).filter(|_| keeps_ttl);
    if let Some(model) = model {
        entry.ttl = model.ttl;
    }
    if let Some(there) = same {
        entry.handle.clone_from(&there.handle);
        entry.proxied = entry.proxied.or(there.proxied);
        entry.comment = entry.comment.or_else(|| there.comment.clone());
        entry.labels = entry.labels.or_else(|| there.labels.clone());
    }
    if entry.proxied == Some(true) {
        entry.ttl = limits.ttl.normal(Some(entry.ttl), true);
    }
    entry
}
