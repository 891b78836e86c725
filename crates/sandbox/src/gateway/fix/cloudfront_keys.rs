//! Key value stores of CloudFront. Fakecloud has the stores and not what is in them.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/kvs-with-functions.html>
//!
//! The AWS libraries put the account in front of the host, also of an address that they were given: a client of these calls must be
//! told where the gateway is by a resolver of endpoints of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::cloudfront_functions::{decode, parse};
use super::cloudfront_sites::behind;
use super::{FixInfo, Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::route::Scope;
use crate::gateway::{State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "cloudfront_keys",
    service: "cloudfront-keyvaluestore",
    operations: &[],
    why: "fakecloud does not have it; what is in the stores is told in memory",
};

pub(super) const STORES: FixInfo = FixInfo {
    name: "cloudfront_keys",
    service: "cloudfront",
    operations: &["CreateKeyValueStore", "DeleteKeyValueStore"],
    why: "fakecloud deletes a store that a function uses; AWS answers CannotDeleteEntityWhileInUse",
};

// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html>, in bytes and keys.
const KEY: usize = 512;
const PAIR: usize = 1024;
const STORE: usize = 5 << 20;
const CALL: usize = 3 << 20;
const CALL_KEYS: usize = 50;
// Keys on a page: unless asked for, and at most.
const PAGE: usize = 10;
const LARGEST_PAGE: usize = 50;

type Items = Arc<BTreeMap<String, String>>;

/// What is in the stores, by ARN.
#[derive(Default)]
pub(crate) struct Stores(Mutex<BTreeMap<String, Store>>);

struct Store {
    etag: String,
    created: SystemTime,
    /// What was in it since when, the oldest first; never empty.
    versions: Vec<Version>,
}

#[derive(Clone)]
struct Version {
    since: Instant,
    modified: SystemTime,
    items: Items,
}

/// What the edge sees of a store.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) items: Items,
    pub(crate) created: SystemTime,
    pub(crate) modified: SystemTime,
}

impl Stores {
    /// What the edge sees of a store when changes take `lag` to get there. `None` if there is no such store.
    pub(crate) fn seen(&self, arn: &str, lag: Duration) -> Option<Seen> {
        let stores = lock(&self.0);
        let store = stores.get(arn)?;
        let version = store.seen(lag);
        Some(Seen { items: version.items.clone(), created: store.created, modified: version.modified })
    }
}

impl Store {
    fn new() -> Store {
        let now = SystemTime::now();
        let version = Version { since: Instant::now(), modified: now, items: Items::default() };
        Store { etag: etag(), created: now, versions: vec![version] }
    }

    fn seen(&self, lag: Duration) -> &Version {
        let arrived = self.versions.iter().rev().find(|version| version.since.elapsed() >= lag);
        arrived.unwrap_or(&self.versions[0])
    }

    fn items(&self) -> &Items {
        &self.versions[self.versions.len() - 1].items
    }

    fn change(&mut self, items: BTreeMap<String, String>, lag: Duration) {
        let since = self.seen(lag).since;
        self.versions.retain(|version| version.since >= since);
        let version = Version { since: Instant::now(), modified: SystemTime::now(), items: Arc::new(items) };
        self.versions.push(version);
        self.etag = etag();
    }
}

fn etag() -> String {
    let mut bytes = [0; 8];
    // Without randomness the time still differs from call to call.
    if getrandom::fill(&mut bytes).is_err() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        bytes = u64::try_from(now.as_nanos()).unwrap_or_default().to_be_bytes();
    }
    format!("KV{:016X}", u64::from_be_bytes(bytes))
}

fn size(items: &BTreeMap<String, String>) -> usize {
    items.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// The stores themselves, in fakecloud.
pub(super) fn stores<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let scope = request.scope.clone();
        if request.operation.name == "CreateKeyValueStore" {
            let answer = next.run(request).await;
            let arn = parse(&answer.body).and_then(|store| store.get("ARN"));
            if let (true, Some(arn)) = (answer.status.is_success(), arn) {
                lock(&state.fixes.stores.0).insert(arn, Store::new());
            }
            return answer;
        }
        let name = behind(&request, "key-value-store");
        let found = state.cloudfront(&scope, &format!("/key-value-store/{name}")).await;
        let arn = found.ok().and_then(|found| parse(&found.body)).and_then(|store| store.get("ARN"));
        let Some(arn) = arn else { return next.run(request).await };
        if is_used(state, &scope, &arn).await {
            let message = "A function uses the key value store.";
            return request.refuse(409, "CannotDeleteEntityWhileInUse", message);
        }
        let answer = next.run(request).await;
        if answer.status.is_success() {
            lock(&state.fixes.stores.0).remove(&arn);
        }
        answer
    })
}

/// Whether a function uses a store, in one of its stages.
async fn is_used(state: &State, scope: &Scope, arn: &str) -> bool {
    let Ok(list) = state.cloudfront(scope, "/function").await else { return false };
    let Some(list) = parse(&list.body) else { return false };
    let uses = |summary: &crate::gateway::Element| {
        summary.all("KeyValueStoreARN").iter().any(|used| used.text() == arn)
    };
    list.all("FunctionSummary").into_iter().any(|summary| {
        let live = summary.get("Name").and_then(|name| state.fixes.published.of(scope, &name));
        uses(summary) || live.is_some_and(|live| uses(&live))
    })
}

/// What is in the stores.
pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, _next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        let lag = state.pending.times(&request.scope.access_key).key_value_store;
        let mut stores = lock(&state.fixes.stores.0);
        match answer(&mut stores, &request, lag) {
            Ok((etag, body)) => {
                let mut answer = Answer::new(StatusCode::OK, "application/json", body.to_string());
                if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(&etag).ok()) {
                    answer.headers.insert(header::ETAG, etag);
                }
                answer
            }
            Err(Refusal(status, code, message)) => request.refuse(status, code, &message),
        }
    })
}

struct Refusal(u16, &'static str, String);

fn invalid(message: &str) -> Refusal {
    Refusal(400, "ValidationException", message.to_owned())
}

fn missing(what: &str) -> Refusal {
    Refusal(404, "ResourceNotFoundException", format!("{what} was not found."))
}

/// The ETag, where there is a new one or it is asked for, and the answer.
fn answer(
    stores: &mut BTreeMap<String, Store>,
    request: &Request,
    lag: Duration,
) -> Result<(Option<String>, Value), Refusal> {
    let mut path = request.uri.path().trim_matches('/').split('/').skip(1);
    let arn = path.next().map(decode).unwrap_or_default();
    let key = path.nth(1).map(decode);
    let account = crate::account::of(&request.scope.access_key);
    if arn.split(':').nth(4) != Some(account) {
        return Err(Refusal(403, "AccessDeniedException", "Access denied.".to_owned()));
    }
    let Some(store) = stores.get_mut(&arn) else { return Err(missing("The key value store")) };
    let sizes = |items: &BTreeMap<String, String>| json!({ "ItemCount": items.len(), "TotalSizeInBytes": size(items) });
    let items = store.items().clone();
    match (request.operation.name.as_str(), key) {
        ("DescribeKeyValueStore", _) => {
            let mut body = sizes(&items);
            body["KvsARN"] = arn.into();
            body["Created"] = seconds(store.created).into();
            body["LastModified"] = seconds(store.versions[store.versions.len() - 1].modified).into();
            body["Status"] = "READY".into();
            Ok((Some(store.etag.clone()), body))
        }
        ("GetKey", Some(key)) => {
            let Some(value) = items.get(&key) else { return Err(missing("The key")) };
            let mut body = sizes(&items);
            body["Value"] = value.as_str().into();
            body["Key"] = key.into();
            Ok((None, body))
        }
        ("ListKeys", _) => Ok((None, page(&items, request.uri.query().unwrap_or_default())?)),
        (operation, key) => {
            let mut items = BTreeMap::clone(&items);
            match (operation, key) {
                ("PutKey", Some(key)) => put(&mut items, key, &request.json()["Value"])?,
                ("DeleteKey", Some(key)) => drop(items.remove(&key).ok_or_else(|| missing("The key"))?),
                ("UpdateKeys", None) => update(&mut items, request)?,
                _ => {
                    return Err(Refusal(
                        404,
                        "UnknownOperationException",
                        "There is no such operation.".to_owned(),
                    ));
                }
            }
            let expected = request.headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
            match expected {
                None => return Err(invalid("If-Match is required.")),
                Some(etag) if etag != store.etag => {
                    let message = "The ETag is not the current one of the key value store.";
                    return Err(Refusal(409, "ConflictException", message.to_owned()));
                }
                Some(_) => {}
            }
            if size(&items) > STORE {
                let message = "A key value store holds at most 5 MB.";
                return Err(Refusal(402, "ServiceQuotaExceededException", message.to_owned()));
            }
            let body = sizes(&items);
            store.change(items, lag);
            Ok((Some(store.etag.clone()), body))
        }
    }
}

fn put(items: &mut BTreeMap<String, String>, key: String, value: &Value) -> Result<(), Refusal> {
    let Some(value) = value.as_str() else { return Err(invalid("Value is required.")) };
    if key.is_empty() || key.len() > KEY {
        return Err(invalid("A key has 1 to 512 bytes."));
    }
    if key.len() + value.len() > PAIR {
        return Err(invalid("A key and its value have at most 1 KB."));
    }
    items.insert(key, value.to_owned());
    Ok(())
}

fn update(items: &mut BTreeMap<String, String>, request: &Request) -> Result<(), Refusal> {
    let input = request.json();
    let list = |name: &str| input[name].as_array().cloned().unwrap_or_default();
    let (puts, deletes) = (list("Puts"), list("Deletes"));
    if puts.len() + deletes.len() > CALL_KEYS || request.body.len() > CALL {
        return Err(invalid("A call changes at most 50 keys, and has at most 3 MB."));
    }
    let key = |item: &Value| match item["Key"].as_str() {
        Some(key) => Ok(key.to_owned()),
        None => Err(invalid("Key is required.")),
    };
    let mut named = std::collections::BTreeSet::new();
    for item in puts.iter().chain(&deletes) {
        if !named.insert(key(item)?) {
            return Err(invalid("A key is named twice."));
        }
    }
    for item in &deletes {
        items.remove(&key(item)?);
    }
    for item in &puts {
        put(items, key(item)?, &item["Value"])?;
    }
    Ok(())
}

/// One page of all keys; its token is the last key on it.
fn page(items: &BTreeMap<String, String>, query: &str) -> Result<Value, Refusal> {
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| decode(value)).next()
    };
    let wanted = match parameter("MaxResults").map(|wanted| wanted.parse()) {
        None => PAGE,
        Some(Ok(wanted @ 1..=LARGEST_PAGE)) => wanted,
        Some(_) => return Err(invalid("MaxResults is 1 to 50.")),
    };
    let after = match parameter("NextToken") {
        None => String::new(),
        Some(token) => {
            let token = URL_SAFE_NO_PAD.decode(token).ok().and_then(|token| String::from_utf8(token).ok());
            token.ok_or_else(|| invalid("NextToken is none of ours."))?
        }
    };
    let mut rest = items.iter().filter(|(key, _)| **key > after).peekable();
    let mut shown: Vec<Value> = Vec::new();
    let mut last = String::new();
    while shown.len() < wanted {
        let Some((key, value)) = rest.next() else { break };
        last.clone_from(key);
        shown.push(json!({ "Key": key, "Value": value }));
    }
    let mut body = json!({ "Items": shown });
    if rest.peek().is_some() {
        body["NextToken"] = URL_SAFE_NO_PAD.encode(last).into();
    }
    Ok(body)
}

/// Seconds since 1970, as JSON has them.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let items: BTreeMap<String, String> = (0..25).map(|n| (format!("k{n:02}"), "v".to_owned())).collect();
        let mut all = Vec::new();
        let mut query = String::new();
        loop {
            let page = page(&items, &query).ok().unwrap();
            let keys = page["Items"].as_array().unwrap();
            assert!(keys.len() <= PAGE);
            all.extend(keys.iter().map(|item| item["Key"].as_str().unwrap().to_owned()));
            match page["NextToken"].as_str() {
                Some(token) => query = format!("NextToken={token}"),
                None => break,
            }
        }
        assert_eq!(all, items.keys().cloned().collect::<Vec<_>>());
        assert!(page(&items, "MaxResults=51").is_err());
    }

    #[test]
    fn the_edge_sees_a_change_when_it_has_arrived() {
        let mut store = Store::new();
        let lag = Duration::from_secs(3600);
        for value in ["1", "2"] {
            store.change(BTreeMap::from([("k".to_owned(), value.to_owned())]), lag);
        }
        assert!(store.seen(lag).items.is_empty());
        assert_eq!(store.seen(Duration::ZERO).items["k"], "2");
        assert_eq!(store.items()["k"], "2");
    }
}
