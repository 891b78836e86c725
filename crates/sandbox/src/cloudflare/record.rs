//! A record, and the checks that a request for one must pass.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::Plan;
use super::answer::Refusal;
use super::content::{Content, Kind, owner, strings};

/// A DNS record as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The whole name, in Punycode.
    pub name: String,
    /// Like `CNAME`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The value; of types that have `data`, all of it in a line.
    pub content: String,
    /// Whether Cloudflare can stand in front of it.
    pub proxiable: bool,
    /// Whether it does.
    pub proxied: bool,
    /// Seconds; 1 is automatic.
    pub ttl: u32,
    /// Settings, like `flatten_cname`.
    pub settings: Map<String, Value>,
    /// Always empty here.
    pub meta: Map<String, Value>,
    /// A note.
    pub comment: Option<String>,
    /// Like `team:dns`.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_on: String,
    /// When it was changed.
    pub modified_on: String,
    /// When its comment was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment_modified_on: Option<String>,
    /// When its tags were changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags_modified_on: Option<String>,
    /// Of MX, SRV and URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    /// The parts of the content, of types that have any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
}

/// What a request says of a record. What only the API writes is read over.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Fields {
    pub(super) id: Option<String>,
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    content: Option<String>,
    data: Option<Map<String, Value>>,
    priority: Option<u16>,
    ttl: Option<u64>,
    proxied: Option<bool>,
    /// That it is null says something: there is to be none.
    #[serde(default, deserialize_with = "given")]
    comment: Option<Option<String>>,
    tags: Option<Vec<String>>,
    settings: Option<Map<String, Value>>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Fields {
    pub(super) fn read(body: &Value) -> Result<Fields, Refusal> {
        Fields::deserialize(body).map_err(|_| Refusal::new(400, 9207, "Request body is invalid."))
    }

    /// What this leaves out, as `record` has it.
    pub(super) fn over(self, record: &Record) -> Fields {
        let same = self.kind.as_deref().is_none_or(|kind| kind == record.kind);
        Fields {
            id: self.id,
            name: self.name.or_else(|| Some(record.name.clone())),
            kind: self.kind.or_else(|| Some(record.kind.to_owned())),
            content: self.content.or_else(|| same.then(|| record.content.clone())),
            data: self.data.or_else(|| record.data.clone()),
            priority: self.priority.or(record.priority),
            ttl: self.ttl.or(Some(u64::from(record.ttl))),
            proxied: self.proxied.or(Some(record.proxied)),
            comment: self.comment.or_else(|| Some(record.comment.clone())),
            tags: self.tags.or_else(|| Some(record.tags.clone())),
            settings: self.settings.or_else(|| Some(record.settings.clone())),
        }
    }

    /// The record that these make: `live` with other values, or a new one with `id`.
    pub(super) fn record(
        self,
        zone: &str,
        plan: Plan,
        live: Option<&Record>,
        id: String,
        now: &str,
    ) -> Result<Record, Refusal> {
        let kind = self.kind.as_deref().and_then(Kind::find);
        let kind = kind.ok_or_else(|| Refusal::invalid(9002, "DNS record type is invalid."))?;
        let name = self.name.as_deref().and_then(|name| owner(name, zone));
        let name = name.ok_or_else(|| Refusal::invalid(9000, "DNS name is invalid."))?;
        let Content { content, priority, data } =
            Content::read(kind, self.content.as_deref(), self.data.as_ref(), self.priority)?;
        if kind.name == "CNAME" && content == name {
            return Err(Refusal::invalid(9039, "CNAME content cannot reference itself."));
        }
        let least = if plan == Plan::Enterprise { 30 } else { 60 };
        let ttl = self.ttl.unwrap_or(1);
        if ttl != 1 && !(least..=86_400).contains(&ttl) {
            let message = format!("TTL must be between {least} and 86400 seconds, or 1 for Automatic.");
            return Err(Refusal::invalid(9021, message));
        }
        let proxied = self.proxied.unwrap_or(false);
        let proxiable = kind.proxies() && is_public(&content);
        if proxied && !kind.proxies() {
            return Err(Refusal::invalid(9004, "This record type cannot be proxied."));
        }
        if proxied && !proxiable {
            let message = format!("Target {content} is not allowed for a proxied record.");
            return Err(Refusal::invalid(9003, message));
        }
        let comment = self.comment.flatten().filter(|comment| !comment.is_empty());
        let tags = self.tags.unwrap_or_default();
        notes(plan, comment.as_deref(), &tags)?;
        let changed = |same: bool, at: Option<&String>, none: bool| match (same, none) {
            (true, _) => at.cloned(),
            (false, true) => None,
            (false, false) => Some(now.to_owned()),
        };
        Ok(Record {
            comment_modified_on: changed(
                live.map(|live| &live.comment) == Some(&comment),
                live.and_then(|live| live.comment_modified_on.as_ref()),
                live.is_none() && comment.is_none(),
            ),
            tags_modified_on: changed(
                live.map(|live| &live.tags) == Some(&tags),
                live.and_then(|live| live.tags_modified_on.as_ref()),
                live.is_none() && tags.is_empty(),
            ),
            id: live.map_or(id, |live| live.id.clone()),
            name,
            kind: kind.name,
            content,
            proxiable,
            proxied,
            // Whatever was asked for: https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/
            ttl: if proxied { 1 } else { u32::try_from(ttl).unwrap_or(1) },
            settings: self.settings.unwrap_or_default(),
            meta: Map::new(),
            comment,
            tags,
            created_on: live.map_or(now, |live| &live.created_on).to_owned(),
            modified_on: now.to_owned(),
            priority,
            data,
        })
    }
}

impl Record {
    /// Whether two records of one name say the same.
    pub(super) fn is_twin(&self, other: &Record) -> bool {
        let same = match self.kind {
            "TXT" => strings(&self.content).concat() == strings(&other.content).concat(),
            _ => self.content == other.content,
        };
        self.kind == other.kind && same && self.priority == other.priority
    }

    pub(super) fn shown(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }
}

/// <https://developers.cloudflare.com/dns/manage-dns-records/reference/record-attributes/>
fn notes(plan: Plan, comment: Option<&str>, tags: &[String]) -> Result<(), Refusal> {
    let (longest, most) = if plan == Plan::Free { (100, 0) } else { (500, 20) };
    let comment = comment.unwrap_or_default();
    if comment.chars().count() > longest {
        let message = format!("DNS record comment exceeds the maximum length of {longest} characters.");
        return Err(Refusal::invalid(9313, message));
    }
    if comment.contains(['\n', '\r']) {
        return Err(Refusal::without_code("DNS record comment has a line break."));
    }
    if tags.len() > most {
        let message = format!("DNS record has {} tags, exceeding the quota of {most}.", tags.len());
        return Err(Refusal::invalid(9300, message));
    }
    let form = |tag: &String| {
        let name = tag.split_once(':').map_or(tag.as_str(), |(name, _)| name);
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        (1..=32).contains(&name.len()) && letters && !name.to_ascii_lowercase().starts_with("cf-")
    };
    if !tags.iter().all(form) {
        return Err(Refusal::without_code("DNS record has a tag that is not name:value."));
    }
    Ok(())
}

/// Whether Cloudflare could reach it: hosts, and addresses that are nobody's own network and not Cloudflare's resolver.
fn is_public(content: &str) -> bool {
    if let Ok(address) = content.parse::<Ipv4Addr>() {
        let [a, b, ..] = address.octets();
        let shared = a == 100 && (64..128).contains(&b);
        let resolver = [[1, 1, 1, 1], [1, 0, 0, 1]].contains(&address.octets());
        return !(address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_unspecified()
            || shared
            || resolver);
    }
    if let Ok(address) = content.parse::<Ipv6Addr>() {
        return !(address.is_loopback()
            || address.is_unspecified()
            || address.is_unique_local()
            || address.is_unicast_link_local());
    }
    true
}
