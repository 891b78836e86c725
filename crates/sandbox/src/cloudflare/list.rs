//! Lists: filters, order and pages.

use std::cmp::Ordering;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::record::Record;
use super::token::Token;
use super::zone::{ACCOUNT, Live};

/// The parameters of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(query: Option<&str>) -> Query {
        let decode =
            |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decode(name), decode(value)))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn word<'a>(&'a self, name: &str, default: &'a str, words: &[&str]) -> Result<&'a str, Refusal> {
        let word = self.get(name).unwrap_or(default);
        let wrong = || Refusal::without_code(format!("{name} must be one of {}.", words.join(", ")));
        words.contains(&word).then_some(word).ok_or_else(wrong)
    }

    fn number(&self, name: &str, default: usize, range: (usize, usize)) -> Result<usize, Refusal> {
        let (least, most) = range;
        let Some(text) = self.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| Refusal::without_code(format!("{name} must be from {least} to {most}.")))
    }

    /// Cuts a page out of what was found.
    fn page<T>(
        &self,
        found: Vec<T>,
        usual: usize,
        range: (usize, usize),
        show: impl Fn(&T) -> Value,
    ) -> Result<Answer, Refusal> {
        let page = self.number("page", 1, (1, usize::MAX))?;
        let size = self.number("per_page", usual, range)?;
        let total = found.len();
        let shown: Vec<Value> =
            found.iter().skip((page - 1).saturating_mul(size)).take(size).map(show).collect();
        let info = json!({
            "page": page,
            "per_page": size,
            "count": shown.len(),
            "total_count": total,
            "total_pages": total.div_ceil(size),
        });
        Ok(Answer::result(Value::from(shown), Some(info)))
    }

    fn directed(&self, order: Ordering) -> Result<Ordering, Refusal> {
        Ok(if self.word("direction", "asc", &["asc", "desc"])? == "asc" { order } else { order.reverse() })
    }

    /// Whether every condition holds, or one of them with `match=any`; with no condition all do.
    fn matches(&self, parameter: &str, conditions: &[bool]) -> bool {
        match self.get(parameter) {
            Some("any") => conditions.is_empty() || conditions.contains(&true),
            _ => !conditions.contains(&false),
        }
    }
}

const MATCH: &[&str] = &["any", "all"];

/// `GET /zones`, of the zones that the token may see.
pub(super) fn zones(query: &Query, token: &Token, mut zones: Vec<&Live>) -> Result<Answer, Refusal> {
    query.word("match", "all", MATCH)?;
    let order = query.word("order", "name", &["name", "status", "account.id", "account.name"])?;
    query.directed(Ordering::Equal)?;
    if query.get("status").is_some() {
        query.word("status", "active", &["initializing", "pending", "active", "moved"])?;
    }
    zones.retain(|live| {
        let conditions: Vec<bool> = [
            query.get("name").map(|name| compared(name, &live.zone.name)),
            query.get("status").map(|status| live.zone.status.name() == status),
            query.get("account.id").map(|id| id == ACCOUNT),
            query.get("account.name").map(|name| compared(name, "sandbox")),
        ]
        .into_iter()
        .flatten()
        .collect();
        query.matches("match", &conditions)
    });
    fn key<'a>(live: &&'a Live, order: &str) -> &'a str {
        if order == "status" { live.zone.status.name() } else { &live.zone.name }
    }
    zones.sort_by(|one, other| {
        let order = key(one, order).cmp(key(other, order));
        query.directed(order).unwrap_or(order)
    });
    query.page(zones, 20, (5, 50), |live| live.shown(token))
}

/// A value with an operator before it: `starts_with:exam`.
fn compared(wanted: &str, value: &str) -> bool {
    let (operator, text) = wanted.split_once(':').unwrap_or(("equal", wanted));
    let lower = text.to_ascii_lowercase();
    let (value_lower, lower) = (value.to_ascii_lowercase(), lower.as_str());
    match operator {
        "equal" => value_lower == lower,
        "not_equal" => value_lower != lower,
        "starts_with" => value_lower.starts_with(lower),
        "ends_with" => value_lower.ends_with(lower),
        "contains" => value_lower.contains(lower),
        "starts_with_case_sensitive" => value.starts_with(text),
        "ends_with_case_sensitive" => value.ends_with(text),
        "contains_case_sensitive" => value.contains(text),
        _ => value == wanted,
    }
}

/// `GET /zones/{zone_id}/dns_records`.
pub(super) fn records(query: &Query, live: &Live) -> Result<Answer, Refusal> {
    query.word("match", "all", MATCH)?;
    query.word("tag_match", "all", MATCH)?;
    let order = query.word("order", "type", &["type", "name", "content", "ttl", "proxied"])?;
    query.directed(Ordering::Equal)?;
    // The usual question, for one name, does not look at all of a large zone.
    let exact = query.get("name").or_else(|| query.get("name.exact"));
    let mut found: Vec<&Arc<Record>> = match exact.filter(|_| query.get("match") != Some("any")) {
        Some(name) => live.records.at(&name.to_ascii_lowercase()).collect(),
        None => live.records.iter().collect(),
    };
    found.retain(|record| {
        let mut conditions = Vec::new();
        for (name, value) in &query.0 {
            conditions.extend(condition(record, name, value));
        }
        let tags: Vec<bool> =
            query.0.iter().filter_map(|(name, value)| tagged(&record.tags, name, value)).collect();
        if !tags.is_empty() {
            conditions.push(query.matches("tag_match", &tags));
        }
        let searched = query.get("search").is_none_or(|text| {
            let text = text.to_lowercase();
            [&record.name, &record.content].iter().any(|value| value.to_lowercase().contains(&text))
        });
        searched && query.matches("match", &conditions)
    });
    found.sort_by(|one, other| {
        let order = match order {
            "name" => one.name.cmp(&other.name),
            "content" => one.content.cmp(&other.content),
            "ttl" => one.ttl.cmp(&other.ttl),
            "proxied" => one.proxied.cmp(&other.proxied),
            _ => one.kind.cmp(other.kind),
        };
        query.directed(order).unwrap_or(order)
    });
    query.page(found, 100, (1, 5_000_000), |record| record.shown())
}

/// What a parameter says of a record; `None` if it is no filter.
fn condition(record: &Record, parameter: &str, value: &str) -> Option<bool> {
    let (field, operator) = parameter.split_once('.').unwrap_or((parameter, "exact"));
    let comment = record.comment.as_deref();
    let text = match field {
        "type" => return Some(record.kind.eq_ignore_ascii_case(value)),
        "proxied" => return Some(record.proxied.to_string() == value),
        "comment" if operator == "present" => return Some(comment.is_some()),
        "comment" if operator == "absent" => return Some(comment.is_none()),
        "comment" => comment.unwrap_or_default(),
        "name" => &record.name,
        "content" => &record.content,
        _ => return None,
    };
    within(text, operator, value)
}

fn within(text: &str, operator: &str, value: &str) -> Option<bool> {
    let (text, value) = (text.to_lowercase(), value.to_lowercase());
    match operator {
        "exact" => Some(text == value),
        "contains" => Some(text.contains(&value)),
        "startswith" => Some(text.starts_with(&value)),
        "endswith" => Some(text.ends_with(&value)),
        _ => None,
    }
}

fn tagged(tags: &[String], parameter: &str, value: &str) -> Option<bool> {
    let operator = match parameter {
        "tag" if value.contains(':') => "exact",
        "tag" => "present",
        _ => parameter.strip_prefix("tag.")?,
    };
    let split = |tag: &str| {
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        (name.to_lowercase(), value.to_owned())
    };
    let (name, wanted) = split(value);
    let mut named = tags.iter().map(|tag| split(tag)).filter(|(tag, _)| *tag == name);
    match operator {
        "present" => Some(named.next().is_some()),
        "absent" => Some(named.next().is_none()),
        _ => Some(named.any(|(_, value)| within(&value, operator, &wanted) == Some(true))),
    }
}
