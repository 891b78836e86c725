//! The server: one call from its first byte to its record.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{Method, Request as HttpRequest, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpListener;

use super::call::Call;
use super::fix::{self, Request};
use super::forward::{self, Body, full};
use super::operation::{Operation, Wire, mutates, operation};
use super::refusal::{Answer, denied, expired, internal, quota, refuse, throttle};
use super::route::{Backend, Protocol, Scope, route};
use super::rule::{Act, Rule, RuleId};
use super::{BoxError, State, lock, review};
use crate::accept::{Cut, accept};

/// The largest body that is read whole. AWS allows no service but S3 and the registry, which stream, anywhere near it.
const LARGEST: usize = 16 << 20;

/// Accepts connections for ever; dropping the future closes all of them.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    let handler = || {
        let state = state.clone();
        move |request| handle(state.clone(), request)
    };
    accept(listener, handler).await;
}

/// Writes the call down when it ends, however it ends.
struct Record {
    state: Arc<State>,
    began: Instant,
    call: Option<Call>,
}

impl Record {
    fn new(state: Arc<State>, scope: &Scope, operation: &Operation, headers: &http::HeaderMap) -> Record {
        let call = Call {
            service: scope.service.clone(),
            operation: operation.name.clone(),
            access_key: scope.access_key.clone(),
            app: app(headers),
            region: scope.region.clone(),
            status: 0,
            mutates: mutates(&operation.name),
            forwarded: false,
            at: SystemTime::now(),
            millis: 0,
        };
        Record { state, began: Instant::now(), call: Some(call) }
    }

    fn forwarded(&mut self) {
        if let Some(call) = &mut self.call {
            call.forwarded = true;
        }
    }

    fn status(&mut self, status: StatusCode) {
        if let Some(call) = &mut self.call {
            call.status = status.as_u16();
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(mut call) = self.call.take() {
            call.millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            lock(&self.state.calls).push(call);
        }
    }
}

/// The part `app/NAME` of the user agent:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html>.
fn app(headers: &http::HeaderMap) -> Option<String> {
    let agent = headers.get("x-amz-user-agent").or_else(|| headers.get(http::header::USER_AGENT))?;
    agent.to_str().ok()?.split(' ').find_map(|part| part.strip_prefix("app/")).map(str::to_owned)
}

async fn handle(state: Arc<State>, request: HttpRequest<Incoming>) -> Result<Response<Body>, Cut> {
    let scope = Scope::of(request.headers(), request.uri());
    let date = scope.and_then(|scope| state.clocks.date(&scope.access_key));
    let mut response = respond_to(state, request).await?;
    if let Some(date) = date {
        response.headers_mut().insert(http::header::DATE, date);
    }
    Ok(response)
}

async fn respond_to(state: Arc<State>, request: HttpRequest<Incoming>) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if let Some(page) = path.strip_prefix("/_causeway/") {
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        if let Some(place) = page.strip_prefix("review/") {
            return Ok(respond(review::review(&state, place, &body).await));
        }
        return Ok(respond(people(&state, &parts.method, page, &body)));
    }
    // The registry has its own authentication and no region.
    let registry = path == "/v2" || path.starts_with("/v2/");
    let (scope, backend, protocol) = if registry {
        let scope =
            Scope { access_key: String::new(), region: String::new(), service: "registry".to_owned() };
        (scope, Backend::Fakecloud, Protocol::RestJson)
    } else {
        let wire = if parts.headers.contains_key("x-amz-target") { Protocol::Json } else { Protocol::Query };
        let wire = Wire::Service(wire);
        let Some(scope) = Scope::of(&parts.headers, &parts.uri) else {
            let message = "Request is missing Authentication Token: the sandbox routes by the signature's credential scope.";
            return Ok(respond(refuse(wire, "", 403, "MissingAuthenticationToken", message)));
        };
        let Some((backend, protocol)) = route(&scope.service) else {
            let message = format!("No emulator of the sandbox serves '{}'.", scope.service);
            return Ok(respond(refuse(wire, "", 403, "InvalidSignatureException", &message)));
        };
        (scope, backend, protocol)
    };

    let streams = registry || scope.service == "s3";
    let (collected, mut streamed) = if streams {
        (Bytes::new(), Some(body))
    } else {
        match Limited::new(body, LARGEST).collect().await {
            Ok(body) => (body.to_bytes(), None),
            Err(_) => {
                return Ok(respond(refuse(
                    Wire::Service(protocol),
                    &scope.service,
                    413,
                    "RequestEntityTooLarge",
                    "The body could not be read or is too large.",
                )));
            }
        }
    };
    let operation =
        operation(&scope.service, protocol, &parts.method, &parts.uri, &parts.headers, &collected);
    let wire = operation.wire;
    let mut record = Record::new(state.clone(), &scope, &operation, &parts.headers);
    let name = format!("{}:{}", scope.service, operation.name);
    let mut verdict = state.rules.judge(&name, &scope.access_key, &scope.region, mutates(&operation.name));
    if !verdict.delay.is_zero() {
        pause(verdict.delay).await;
    }
    let skewed = state.clocks.refusal(wire, &scope, &parts.headers);
    let refused = match verdict.act {
        Some(Act::Throttle) => Some(throttle(wire, &scope.service)),
        Some(Act::Denied) => Some(denied(wire, &scope.service, &operation.name)),
        Some(Act::Expired) => Some(expired(wire, &scope.service)),
        Some(Act::Quota) => Some(quota(wire, &scope.service, &operation.name)),
        Some(Act::ErrorBefore) => Some(internal(wire, &scope.service)),
        Some(Act::CutBefore) => return Err(Cut),
        Some(Act::HoldBefore) => {
            if let Some(hold) = verdict.hold.take() {
                hold.wait().await;
            }
            None
        }
        _ => None,
    };
    if let Some(answer) = refused.or(skewed) {
        record.status(answer.status);
        return Ok(respond(answer));
    }

    record.forwarded();
    let service = scope.service.clone();
    let response = match streamed.take() {
        Some(body) => {
            let body = body.map_err(BoxError::from).boxed_unsync();
            match forward::pass(&state, backend, &scope, &parts, body, true).await {
                Ok(response) => forward::stream(response),
                Err(error) => {
                    tracing::warn!(%error, ?backend, service, "emulator did not answer");
                    respond(refuse(
                        wire,
                        &service,
                        503,
                        "ServiceUnavailable",
                        &format!("The emulator {backend:?} did not answer: {error}."),
                    ))
                }
            }
        }
        None => {
            let request = Request {
                scope,
                operation,
                backend,
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                body: collected,
            };
            respond(fix::serve(&state, request).await)
        }
    };
    match verdict.act {
        Some(Act::ErrorAfter) => {
            let answer = internal(wire, &service);
            record.status(answer.status);
            return Ok(respond(answer));
        }
        Some(Act::CutAfter) => return Err(Cut),
        Some(Act::HoldAfter) => {
            if let Some(hold) = verdict.hold.take() {
                hold.wait().await;
            }
        }
        _ => {}
    }
    record.status(response.status());
    Ok(response)
}

/// Waits for the latency that a rule asks for.
async fn pause(time: std::time::Duration) {
    tokio::time::sleep(time).await;
}

fn respond(answer: Answer) -> Response<Body> {
    let mut response = Response::new(full(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response
}

/// The pages for people.
fn people(state: &State, method: &Method, page: &str, body: &[u8]) -> Answer {
    let answer = |status: StatusCode, value: serde_json::Value| {
        Answer::new(status, "application/json", format!("{value:#}\n"))
    };
    let ok = |value| answer(StatusCode::OK, value);
    match (method.as_str(), page) {
        ("GET", "health") => ok(json!({ "status": "ok", "calls": lock(&state.calls).len() })),
        ("GET", "calls") => match serde_json::to_value(&*lock(&state.calls)) {
            Ok(calls) => ok(json!({ "calls": calls })),
            Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": error.to_string() })),
        },
        ("DELETE", "calls") => {
            lock(&state.calls).clear();
            ok(json!({ "calls": [] }))
        }
        ("GET", "fixes") => ok(
            json!({ "fixes": fix::fixes().map(|fix| json!({ "name": fix.name, "service": fix.service, "operations": fix.operations, "why": fix.why })).collect::<Vec<_>>() }),
        ),
        ("GET", "rules") => {
            let rules: Vec<_> = state
                .rules
                .list()
                .into_iter()
                .map(|(id, rule, acted)| json!({ "id": id, "rule": rule, "acted": acted, "held": state.rules.held(id) }))
                .collect();
            ok(json!({ "rules": rules }))
        }
        ("POST", "rules") => match serde_json::from_slice::<Rule>(body) {
            Ok(rule) => ok(json!({ "id": state.rules.add(rule) })),
            Err(error) => answer(StatusCode::BAD_REQUEST, json!({ "error": error.to_string() })),
        },
        ("DELETE", "rules") => {
            state.rules.clear();
            ok(json!({ "rules": [] }))
        }
        ("POST", "release") => {
            state.rules.release_all();
            ok(json!({}))
        }
        ("DELETE", _) if page.starts_with("rules/") => {
            match serde_json::from_str::<RuleId>(&page["rules/".len()..]) {
                Ok(id) => ok(json!({ "removed": state.rules.remove(id) })),
                Err(error) => answer(StatusCode::BAD_REQUEST, json!({ "error": error.to_string() })),
            }
        }
        _ => answer(
            StatusCode::NOT_FOUND,
            json!({ "error": "no such page; there are health, calls, fixes, rules, release" }),
        ),
    }
}
