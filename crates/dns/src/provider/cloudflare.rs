//! Cloudflare: <https://developers.cloudflare.com/api/resources/dns/subresources/records/>.
//!
//! A zone is listed in pages of 5,000, and changed by `batch`, which does all of its operations or none, in the order
//! deletes, patches, puts, posts. Fields that nobody wants to have are left out of a patch, so that they stay.

mod api;

use super::{Change, Limits, Provider, SetChange, TtlRule, Weight};
use crate::{
    budget::{Budget, Rate},
    error::ProviderError,
    name::Name,
    record::{Entry, Kind, in_zone_file, normal, text_of},
    zone::Zone,
};
use api::Api;
use futures::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::{collections::BTreeMap, path::PathBuf};

/// Where the API is.
pub const ENDPOINT: &str = "https://api.cloudflare.com/client/v4";

/// The most records of a page. More are taken, and answered slowly.
const RECORDS_A_PAGE: usize = 5000;

/// The most zones of a page.
const ZONES_A_PAGE: usize = 50;

/// What the zones of an account are on, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    /// 200 changes a call, comments of 100 characters, no tags. Holds on every plan.
    #[default]
    Free,
    /// Pro and Business: 3,500 changes a call, and tags.
    Paid,
    /// As [`Plan::Paid`], with TTLs from 30 seconds on.
    Enterprise,
}

/// How an account is reached.
#[derive(Clone, Debug)]
pub struct Account {
    /// [`ENDPOINT`], or where a test listens.
    pub endpoint: String,
    /// A token with Zone:Read and DNS:Edit for the zones.
    pub token: SecretString,
    /// What the zones are on.
    pub plan: Plan,
    /// Where calls are counted, so that runs share the limit.
    pub calls: Option<PathBuf>,
}

/// An account at Cloudflare.
pub struct Cloudflare {
    api: Api,
    limits: Limits,
}

impl Cloudflare {
    /// Speaks as `account` says. Nothing is called yet.
    ///
    /// # Errors
    /// When no HTTP client can be made, or the endpoint is no URL.
    pub fn new(account: Account) -> Result<Self, ProviderError> {
        let limits = limits(account.plan);
        let budget = Budget::new(Rate::CLOUDFLARE, account.calls);
        Ok(Cloudflare { api: Api::new(&account.endpoint, account.token, budget)?, limits })
    }
}

fn limits(plan: Plan) -> Limits {
    let paid = plan != Plan::Free;
    Limits {
        chunk: Weight { operations: if paid { 3500 } else { 200 }, characters: usize::MAX },
        ttl: TtlRule {
            automatic: Some(1),
            min: if plan == Plan::Enterprise { 30 } else { 60 },
            max: 86_400,
            usual: 300,
        },
        proxies: true,
        comment: Some(if paid { 500 } else { 100 }),
        labels: paid,
        aliases: false,
        flattens: true,
    }
}

#[derive(Deserialize)]
struct ListedZone {
    id: String,
    name: String,
}

/// A record as it is listed. Types that we do not know have what they like.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    priority: Option<u16>,
    #[serde(default)]
    data: Option<Json>,
    ttl: u32,
    #[serde(default)]
    proxied: Option<bool>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

impl Listed {
    fn entry(self) -> Entry {
        let kind = Kind::of(&self.kind);
        let content = self.content.unwrap_or_default();
        let data = |key: &str| self.data.as_ref().and_then(|d| d.get(key)).cloned().unwrap_or(Json::Null);
        let text = |key: &str| data(key).as_str().map(str::to_owned).unwrap_or_default();
        let said = match kind {
            Kind::Mx => format!("{} {content}", self.priority.unwrap_or_default()),
            // What stands in `content` of these differs from one version of the API to the next.
            Kind::Srv if self.data.is_some() => {
                format!("{} {} {} {}", data("priority"), data("weight"), data("port"), text("target"))
            }
            Kind::Caa if self.data.is_some() => {
                format!("{} {} {}", data("flags"), text("tag"), text("value"))
            }
            _ => content,
        };
        let value = normal(&kind, &said);
        Entry {
            name: Name::as_listed(&self.name),
            is_opaque: value.is_err(),
            value: value.unwrap_or(said),
            ttl: self.ttl,
            proxied: self.proxied.filter(|_| kind.is_proxiable()),
            kind,
            comment: self.comment.filter(|c| !c.is_empty()),
            labels: (!self.tags.is_empty()).then(|| self.tags.into_iter().collect()),
            alias: None,
            handle: self.id,
        }
    }
}

#[derive(Default, Deserialize)]
struct Batched {
    #[serde(default)]
    patches: Option<Vec<Listed>>,
    #[serde(default)]
    posts: Option<Vec<Listed>>,
}

/// What is done to single records so that a set becomes another.
#[derive(Default)]
struct Operations<'c> {
    deletes: Vec<&'c Entry>,
    patches: Vec<(&'c Entry, &'c Entry)>,
    posts: Vec<&'c Entry>,
}

impl<'c> Operations<'c> {
    fn of(set: &'c SetChange) -> Self {
        let mut out = Operations::default();
        let (mut left, mut coming) = (vec![], vec![]);
        let same = |a: &Entry, b: &Entry| a.kind == b.kind && a.value == b.value;
        for before in &set.before {
            match set.after.iter().find(|after| same(before, after)) {
                Some(after) if patch(before, after).is_empty() => {}
                Some(after) => out.patches.push((before, after)),
                None => left.push(before),
            }
        }
        for after in &set.after {
            if !set.before.iter().any(|before| same(before, after)) {
                coming.push(after);
            }
        }
        // A record whose value changes keeps its id, and what people have written about it.
        while let (Some(_), Some(_)) = (left.last(), coming.last()) {
            out.patches.extend(left.pop().zip(coming.pop()));
        }
        out.deletes = left;
        out.posts = coming;
        out
    }

    fn count(&self) -> usize {
        self.deletes.len() + self.patches.len() + self.posts.len()
    }
}

/// The value of `entry` in the fields that its type has.
fn content(entry: &Entry) -> Map<String, Json> {
    let words: Vec<&str> = entry.value.split_whitespace().collect();
    let number = |at: usize| words.get(at).and_then(|w| w.parse::<u16>().ok());
    let json = match entry.kind {
        Kind::Mx => json!({ "priority": number(0), "content": words.get(1) }),
        Kind::Srv => json!({ "data": {
            "priority": number(0), "weight": number(1), "port": number(2), "target": words.get(3)
        } }),
        Kind::Caa => {
            let value = entry.value.splitn(3, ' ').nth(2).unwrap_or_default();
            let value = String::from_utf8_lossy(&text_of(value).unwrap_or_default()).into_owned();
            json!({ "data": { "flags": number(0), "tag": words.get(1), "value": value } })
        }
        _ => {
            json!({ "content": in_zone_file(&entry.kind, &entry.value).unwrap_or_else(|_| entry.value.clone()) })
        }
    };
    json.as_object().cloned().unwrap_or_default()
}

/// What a patch from `before` to `after` says beside the id.
fn patch(before: &Entry, after: &Entry) -> Map<String, Json> {
    let mut out = Map::new();
    if before.value != after.value {
        out = content(after);
    }
    if before.ttl != after.ttl {
        out.insert("ttl".into(), json!(after.ttl));
    }
    if let Some(proxied) = after.proxied.filter(|p| before.proxied != Some(*p)) {
        out.insert("proxied".into(), json!(proxied));
    }
    if let Some(comment) =
        after.comment.as_ref().filter(|c| before.comment.as_deref().unwrap_or_default() != **c)
    {
        out.insert("comment".into(), json!(Some(comment).filter(|c| !c.is_empty())));
    }
    if let Some(labels) = after.labels.as_ref().filter(|l| before.labels.clone().unwrap_or_default() != **l) {
        out.insert("tags".into(), json!(labels));
    }
    out
}

fn post(entry: &Entry) -> Json {
    let mut out = content(entry);
    out.insert("name".into(), json!(entry.name));
    out.insert("type".into(), json!(entry.kind.as_str()));
    out.insert("ttl".into(), json!(entry.ttl));
    if entry.kind.is_proxiable() {
        out.insert("proxied".into(), json!(entry.proxied.unwrap_or(false)));
    }
    if let Some(comment) = entry.comment.as_ref().filter(|c| !c.is_empty()) {
        out.insert("comment".into(), json!(comment));
    }
    if let Some(labels) = entry.labels.as_ref().filter(|l| !l.is_empty()) {
        out.insert("tags".into(), json!(labels));
    }
    Json::Object(out)
}

/// The body of a batch.
fn body(changes: &[Change]) -> Json {
    let (mut deletes, mut patches, mut posts) = (vec![], vec![], vec![]);
    for set in changes.iter().flat_map(|change| &change.sets) {
        let operations = Operations::of(set);
        deletes.extend(operations.deletes.iter().map(|e| json!({ "id": e.handle })));
        patches.extend(operations.patches.iter().map(|(before, after)| {
            let mut out = patch(before, after);
            out.insert("id".into(), json!(before.handle));
            Json::Object(out)
        }));
        posts.extend(operations.posts.iter().map(|e| post(e)));
    }
    let parts = [("deletes", deletes), ("patches", patches), ("posts", posts)];
    parts.into_iter().filter(|(_, list)| !list.is_empty()).collect::<BTreeMap<_, _>>().into_iter().collect()
}

impl Provider for Cloudflare {
    fn name(&self) -> &'static str {
        "Cloudflare"
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn zones(&self) -> BoxFuture<'_, Result<Vec<Zone>, ProviderError>> {
        Box::pin(async {
            let zones: Vec<ListedZone> = self.api.pages("zones:List", "zones", ZONES_A_PAGE).await?;
            Ok(zones.into_iter().map(|z| Zone { name: Name::as_listed(&z.name), id: z.id }).collect())
        })
    }

    fn list<'a>(&'a self, zone: &'a Zone) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>> {
        Box::pin(async move {
            let path = format!("zones/{}/dns_records", zone.id);
            let records: Vec<Listed> = self.api.pages("dns_records:List", &path, RECORDS_A_PAGE).await?;
            // A record can be on two pages where another is deleted meanwhile.
            let by_id: BTreeMap<String, Listed> = records.into_iter().map(|r| (r.id.clone(), r)).collect();
            Ok(by_id.into_values().map(Listed::entry).collect())
        })
    }

    fn weigh(&self, change: &Change) -> Weight {
        let operations = change.sets.iter().map(|set| Operations::of(set).count()).sum();
        Weight { operations, characters: 0 }
    }

    fn change<'a>(
        &'a self,
        zone: &'a Zone,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>> {
        Box::pin(async move {
            let path = format!("zones/{}/dns_records/batch", zone.id);
            let made: Batched = self.api.post("dns_records:Batch", &path, &body(changes)).await?;
            let made = [made.patches, made.posts].into_iter().flatten().flatten();
            let made: Vec<Entry> = made.map(Listed::entry).collect();
            let now = |after: &Entry| {
                let is = |e: &&Entry| e.name == after.name && e.kind == after.kind && e.value == after.value;
                made.iter().find(is).unwrap_or(after).clone()
            };
            Ok(changes.iter().flat_map(|c| &c.sets).flat_map(|s| &s.after).map(now).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kind: Kind, value: &str, id: &str) -> Entry {
        let value = normal(&kind, value).unwrap();
        let mut entry = Entry::new(Name::parse(name).unwrap(), kind, value, 1);
        entry.handle = id.into();
        entry
    }

    fn set(before: &[Entry], after: &[Entry]) -> SetChange {
        let one = before.first().or(after.first()).unwrap();
        SetChange {
            name: one.name.clone(),
            word: one.kind.to_string(),
            before: before.to_vec(),
            after: after.to_vec(),
        }
    }

    #[test]
    fn a_change_of_type_is_a_delete_and_a_post() {
        let name = "ai.example.com";
        let change = Change {
            sets: vec![
                set(&[entry(name, Kind::A, "192.0.2.1", "1")], &[]),
                set(&[], &[entry(name, Kind::Cname, "LB.example.net", "")]),
            ],
        };
        assert_eq!(
            body(&[change]),
            json!({
                "deletes": [{ "id": "1" }],
                "posts": [{ "name": name, "type": "CNAME", "content": "lb.example.net", "ttl": 1, "proxied": false }],
            })
        );
    }

    #[test]
    fn what_changes_its_value_keeps_its_id_and_what_nobody_speaks_of() {
        let mut before = entry("ai.example.com", Kind::Cname, "a.example.net", "1");
        (before.comment, before.proxied) = (Some("people's words".into()), Some(true));
        let mut after = entry("ai.example.com", Kind::Cname, "b.example.net", "");
        after.ttl = 300;
        let change = Change { sets: vec![set(&[before], &[after])] };
        let expected = json!({ "patches": [{ "id": "1", "content": "b.example.net", "ttl": 300 }] });
        assert_eq!(body(&[change]), expected);
    }

    #[test]
    fn types_with_parts_are_written_in_parts_and_read_back() {
        for (kind, value, part) in [
            (Kind::Mx, "10 mail.example.com", json!({ "priority": 10, "content": "mail.example.com" })),
            (
                Kind::Srv,
                "0 5 443 host.example.com",
                json!({ "data": { "priority": 0, "weight": 5, "port": 443, "target": "host.example.com" } }),
            ),
            (
                Kind::Caa,
                "0 issue \"letsencrypt.org; validationmethods=dns-01\"",
                json!({ "data": { "flags": 0, "tag": "issue", "value": "letsencrypt.org; validationmethods=dns-01" } }),
            ),
            (Kind::Txt, "v=spf1 -all", json!({ "content": "\"v=spf1 -all\"" })),
        ] {
            let one = entry("x.example.com", kind, value, "");
            let mut json = post(&one);
            for (key, value) in part.as_object().unwrap() {
                assert_eq!(&json[key], value, "{key}");
            }
            json["id"] = json!("7");
            let back = serde_json::from_value::<Listed>(json).unwrap().entry();
            assert_eq!((back.kind, back.value, back.handle.as_str()), (one.kind, one.value, "7"));
        }
    }

    /// One CAA or HTTPS record makes the list of the `cloudflare` crate fail as a whole.
    #[test]
    fn a_type_that_nobody_knows_is_kept_as_it_is() {
        let json = json!({
            "id": "1", "name": "example.com", "type": "HTTPS", "content": "1 . alpn=\"h3,h2\"", "ttl": 1,
            "data": { "priority": 1, "target": ".", "value": "alpn=\"h3,h2\"" }, "proxied": false, "tags": [],
        });
        let entry = serde_json::from_value::<Listed>(json).unwrap().entry();
        assert_eq!(entry.kind, Kind::Other("HTTPS".into()));
        assert_eq!(entry.value, "1 . alpn=\"h3,h2\"");
    }

    #[test]
    fn nothing_is_sent_for_what_stays() {
        let one = entry("ai.example.com", Kind::A, "192.0.2.1", "1");
        let change = Change { sets: vec![set(std::slice::from_ref(&one), std::slice::from_ref(&one))] };
        assert_eq!(body(&[change]), json!({}));
    }
}
