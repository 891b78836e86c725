//! One request from a viewer, from its first byte to its last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::cache::{Entry, Key, error_lasts, lasts};
use super::finish::{compress, encoding, shorten};
use super::function::{Asked, Given, Invalid};
use super::site::{Behavior, Function, Site};
use super::{ERROR_LASTS, Fetch, Inner, origin, runtime};
use crate::accept::Cut;
use crate::gateway::lock;

/// Where a response comes from, as `x-cache` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Hit,
    Miss,
    RefreshHit,
    Error,
    Redirect,
    Generated,
    ExecutionError,
    ValidationError,
}

impl From {
    fn shown(self) -> &'static str {
        match self {
            From::Hit => "Hit from cloudfront",
            From::Miss => "Miss from cloudfront",
            From::RefreshHit => "RefreshHit from cloudfront",
            From::Error => "Error from cloudfront",
            From::Redirect => "Redirect from cloudfront",
            From::Generated => "FunctionGeneratedResponse from cloudfront",
            From::ExecutionError => "FunctionExecutionError from cloudfront",
            From::ValidationError => "FunctionValidationError from cloudfront",
        }
    }
}

/// A page of CloudFront's own.
fn page(status: u16, why: &str) -> Given {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    let body = format!(
        "<html><head><title>ERROR</title></head><body><h1>{status} ERROR</h1><p>{why}</p></body></html>\n"
    );
    Given {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
        headers,
        body: body.into(),
    }
}

pub(super) async fn handle(
    inner: Arc<Inner>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, _) = request.into_parts();
    let (mut given, from) = inner.answer(&parts).await;
    let id = inner.id();
    let more = [
        ("x-cache", from.shown().to_owned()),
        ("via", format!("1.1 {id}.cloudfront.net (CloudFront)")),
        ("x-amz-cf-pop", "SBX1-C1".to_owned()),
        ("x-amz-cf-id", id),
    ];
    for (name, value) in more {
        if let Ok(value) = value.parse() {
            given.headers.insert(name, value);
        }
    }
    let is_short = parts.method == Method::HEAD || given.status == StatusCode::NOT_MODIFIED;
    if !is_short {
        given.headers.remove(header::CONTENT_LENGTH);
    }
    let mut response = Response::new(Full::new(given.body));
    *response.status_mut() = given.status;
    *response.headers_mut() = given.headers;
    Ok(response)
}

impl Inner {
    async fn answer(self: &Arc<Self>, parts: &http::request::Parts) -> (Given, From) {
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| parts.uri.host()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let Some(site) = self.site(name).await else {
            return (page(403, "Bad request. No distribution that is enabled has this host."), From::Error);
        };
        let path = parts.uri.path();
        let behavior = site.behavior(path);
        // The port is plain, but stands for the one with TLS.
        let forwarded = parts.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        if forwarded == Some("http") && behavior.protocol != "allow-all" {
            if behavior.protocol == "https-only" {
                return (page(403, "Bad request. The distribution speaks HTTPS only."), From::Error);
            }
            let mut moved = page(301, "Moved");
            let target =
                format!("https://{host}{}", parts.uri.path_and_query().map_or("/", |path| path.as_str()));
            if let Ok(target) = target.parse() {
                moved.headers.insert(header::LOCATION, target);
            }
            return (moved, From::Redirect);
        }
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return (
                page(403, "This distribution is not configured to allow the HTTP request method."),
                From::Error,
            );
        }
        let mut asked = Asked::of(parts);
        if let Some(function) = &behavior.on_request {
            let event = json!({ "request": asked.event() });
            let output = match self.run(&site, function, "viewer-request", event).await {
                Ok(output) => output,
                Err(why) => return self.failed(&site, function, &why, From::ExecutionError),
            };
            let changed = if output["statusCode"].is_null() {
                asked.changed(&output).map(Ok)
            } else {
                Given::generated(&output).map(Err)
            };
            match changed {
                Ok(Ok(changed)) => asked = changed,
                Ok(Err(mut generated)) => {
                    if let Some(policy) = &behavior.headers {
                        policy.apply(&mut generated.headers);
                    }
                    return (shorten(&asked, generated), From::Generated);
                }
                Err(Invalid(why)) => return self.failed(&site, function, &why, From::ValidationError),
            }
        }
        let (mut given, mut from) = self.cached(&site, &behavior, &asked).await;
        let is_error = given.status.as_u16() >= 400;
        if is_error {
            from = From::Error;
            given = self.error_page(&site, given, &asked).await;
        }
        if let Some(policy) = &behavior.headers {
            policy.apply(&mut given.headers);
        }
        if let Some(function) = behavior.on_response.as_ref().filter(|_| !is_error) {
            let event = json!({ "request": asked.event(), "response": given.event() });
            let output = match self.run(&site, function, "viewer-response", event).await {
                Ok(output) => output,
                Err(why) => return self.failed(&site, function, &why, From::ExecutionError),
            };
            given = match given.changed(&output) {
                Ok(changed) => changed,
                Err(Invalid(why)) => return self.failed(&site, function, &why, From::ValidationError),
            };
        }
        (shorten(&asked, given), from)
    }

    /// CloudFront says nothing of what failed; the log of the function does.
    fn failed(&self, site: &Site, function: &Function, why: &str, from: From) -> (Given, From) {
        tracing::warn!(distribution = site.id, function = function.name, why, "a function failed");
        let mut failures = lock(&self.failures);
        if failures.len() < super::REMEMBERED {
            failures.push(format!("{}: {}: {why}", site.id, function.name));
        }
        let status = if from == From::ExecutionError { 503 } else { 502 };
        (
            page(status, "The CloudFront function associated with the CloudFront distribution is invalid."),
            from,
        )
    }

    async fn run(
        &self,
        site: &Site,
        function: &Function,
        kind: &str,
        mut event: Value,
    ) -> Result<Value, String> {
        let Some(source) = function.source.clone() else { return Err("it was never published".to_owned()) };
        event["version"] = "1.0".into();
        event["context"] = json!({
            "distributionDomainName": site.domain,
            "distributionId": site.id,
            "eventType": kind,
            "requestId": self.id(),
        });
        event["viewer"] = json!({ "ip": "127.0.0.1" });
        let lag = self.state.pending.times(&site.scope.access_key).key_value_store;
        let store = function.store.as_ref().and_then(|arn| {
            let id = arn.rsplit('/').next().unwrap_or_default().to_owned();
            Some((id, self.state.fixes.stores.seen(arn, lag)?))
        });
        let event = event.to_string();
        let run = tokio::task::spawn_blocking(move || runtime::run(&source, &event, store.as_ref()));
        let output = run.await.unwrap_or_else(|error| Err(error.to_string()))?;
        serde_json::from_str(&output).map_err(|error| error.to_string())
    }

    /// What the cache has, else what the origin says.
    async fn cached(&self, site: &Site, behavior: &Behavior, asked: &Asked) -> (Given, From) {
        let policy = &behavior.cache;
        let counts = |pairs: &[(String, String)], names: &super::site::Names| -> Vec<(String, String)> {
            pairs.iter().filter(|(name, _)| names.has(name)).cloned().collect()
        };
        let query = Asked::query_of(&counts(&asked.query, &policy.query));
        let path = match query.as_str() {
            "" => asked.uri.clone(),
            query => format!("{}?{query}", asked.uri),
        };
        let headers = counts(&asked.headers, &policy.headers);
        let more = format!("{headers:?}{:?}", counts(&asked.cookies, &policy.cookies));
        let encoding = encoding(behavior, asked.header("accept-encoding"));
        let key = Key { distribution: site.id.clone(), path: path.clone(), more, encoding };
        let good = |entry: &Entry| !self.state.fixes.sites.is_invalid(&site.id, &path, entry.at);
        let kept = self.cache.get(&key).filter(|entry| good(entry));
        if let Some(entry) = kept.as_ref().filter(|entry| entry.expires > Instant::now()) {
            return (entry.given(), From::Hit);
        }
        let Some(origin) = site.origins.get(&behavior.origin) else {
            return (page(502, "The distribution has no such origin."), From::Error);
        };
        let mut sent = HeaderMap::new();
        for (name, value) in headers.iter().filter(|(name, _)| name != "host") {
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
                sent.append(name, value);
            }
        }
        let known = kept.as_ref().filter(|entry| entry.status == StatusCode::OK);
        let etag =
            known.and_then(|entry| entry.etag.as_ref()).and_then(|etag| etag.parse::<HeaderValue>().ok());
        let conditional = etag.is_some();
        if let Some(etag) = etag {
            sent.insert(header::IF_NONE_MATCH, etag);
        }
        // What is in the cache for `GET` is also for `HEAD`, but not the other way round.
        let method =
            if asked.method == Method::HEAD.as_str() && !conditional { Method::HEAD } else { Method::GET };
        let target = if asked.uri == "/" && !site.root.is_empty() {
            path.replacen('/', &format!("/{}", site.root), 1)
        } else {
            path.clone()
        };
        let answer = origin::fetch(&self.state, site, origin, &method, &target, sent).await;
        self.note(Fetch {
            distribution: site.id.clone(),
            path: target,
            status: answer.status.as_u16(),
            conditional,
        });
        if let Some(entry) = known {
            if answer.status == StatusCode::NOT_MODIFIED {
                let mut entry = Entry::clone(entry);
                for name in [header::CACHE_CONTROL, header::EXPIRES, header::DATE] {
                    if let Some(value) = answer.headers.get(&name) {
                        entry.headers.insert(name, value.clone());
                    }
                }
                entry.at = answer.at;
                entry.expires = answer.at + lasts(&entry.headers, policy).unwrap_or_default();
                let given = entry.given();
                self.cache.put(key, Arc::new(entry));
                return (given, From::RefreshHit);
            }
            if answer.status.is_server_error() {
                // An origin that fails is not asked again for a while; what there was is good meanwhile.
                let mut stale = Entry::clone(entry);
                stale.expires = Instant::now() + self.error_lasts(site, &answer.headers, answer.status);
                let given = stale.given();
                self.cache.put(key, Arc::new(stale));
                return (given, From::Hit);
            }
        }
        let is_error = answer.status.as_u16() >= 400;
        let lasts = match is_error {
            true => Some(self.error_lasts(site, &answer.headers, answer.status)),
            false => lasts(&answer.headers, policy),
        };
        let etag = answer.headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let mut headers = answer.headers;
        let body = compress(encoding, answer.status, &mut headers, answer.body);
        let entry = Entry {
            at: answer.at,
            expires: answer.at + lasts.unwrap_or_default(),
            status: answer.status,
            headers,
            body,
            etag,
        };
        let mut given = entry.given();
        given.headers.remove(header::AGE);
        match lasts {
            Some(_) if method == Method::GET => self.cache.put(key, Arc::new(entry)),
            _ => self.cache.remove(&key),
        }
        (given, From::Miss)
    }

    fn error_lasts(&self, site: &Site, headers: &HeaderMap, status: StatusCode) -> Duration {
        let rule = site.errors.iter().find(|rule| rule.code == status.as_u16());
        error_lasts(headers, rule.map_or(ERROR_LASTS, |rule| rule.lasts))
    }

    /// The page that the distribution has for an error, fetched like others but by no viewer: no function is asked. An error
    /// without one, or whose page is not there either, stays as it is.
    async fn error_page(&self, site: &Site, given: Given, asked: &Asked) -> Given {
        let rule = site.errors.iter().find(|rule| rule.code == given.status.as_u16());
        let Some((path, status)) = rule.and_then(|rule| rule.page.clone()) else { return given };
        let accepted = asked.headers.iter().filter(|(name, _)| name == "accept-encoding");
        let page = Asked {
            method: Method::GET.to_string(),
            uri: path.clone(),
            query: Vec::new(),
            headers: accepted.cloned().collect(),
            cookies: Vec::new(),
        };
        let (mut page, _) = self.cached(site, &site.behavior(&path), &page).await;
        if !page.status.is_success() {
            return given;
        }
        page.status = StatusCode::from_u16(status).unwrap_or(given.status);
        page
    }
}

impl Entry {
    fn given(&self) -> Given {
        let mut headers = self.headers.clone();
        headers.insert(header::AGE, self.at.elapsed().as_secs().into());
        Given { status: self.status, headers, body: self.body.clone() }
    }
}
