//! The servers: HTTP, one call from its first byte to its record, and DNS.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::answer::{Answer, Refusal};
use super::fault::Act;
use super::list::{self, Query};
use super::record::Fields;
use super::route::{Records, Route};
use super::token::{Token, bearer};
use super::wire::Question;
use super::zone::{Batch, Change, Live};
use super::{Call, State, World, dns, people};
use crate::accept::{Cut, accept};
use crate::gateway::lock;

/// Far above the largest batch.
const LARGEST: usize = 16 << 20;

/// Accepts connections for ever; dropping the future closes all of them.
pub(super) async fn http(listener: TcpListener, state: Arc<State>) {
    let handler = || {
        let (state, closing) = (state.clone(), Arc::new(AtomicBool::new(false)));
        move |request| handle(state.clone(), closing.clone(), request)
    };
    accept(listener, handler).await;
}

/// Answers questions by UDP and TCP for ever.
pub(super) async fn names(udp: UdpSocket, tcp: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            received = udp.recv_from(&mut buffer) => {
                let Ok((length, from)) = received else { continue };
                if let Some(answer) = answered(&state, &buffer[..length], true) {
                    // Who does not get it asks again.
                    let _ = udp.send_to(&answer, from).await;
                }
            }
            accepted = tcp.accept() => {
                if let Ok((stream, _)) = accepted {
                    let state = state.clone();
                    connections.spawn(async move { let _ = stream_of_questions(&state, stream).await; });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn stream_of_questions(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut message = vec![0; usize::from(length)];
        stream.read_exact(&mut message).await?;
        let Some(answer) = answered(state, &message, false) else { return Ok(()) };
        let Ok(length) = u16::try_from(answer.len()) else { return Ok(()) };
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await?;
    }
}

fn answered(state: &State, message: &[u8], udp: bool) -> Option<Vec<u8>> {
    match Question::read(message) {
        Ok(question) => {
            let now = state.clock.now();
            let world = lock(&state.world);
            let views: Vec<_> = world.zones.iter().map(|live| live.view(now)).collect();
            let reply = dns::answer(&views, &question.name, question.kind);
            Some(question.answer(&reply, udp))
        }
        Err(refusal) => refusal,
    }
}

/// Writes the call down when it ends, however it ends.
struct Record {
    state: Arc<State>,
    began: Instant,
    call: Option<Call>,
}

impl Record {
    fn status(&mut self, answer: &Answer) {
        if let Some(call) = &mut self.call {
            call.status = answer.status.as_u16();
            call.codes.clone_from(&answer.codes);
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

async fn handle(
    state: Arc<State>,
    closing: Arc<AtomicBool>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Cut> {
    if closing.load(Ordering::Relaxed) {
        return Err(Cut);
    }
    let (parts, body) = request.into_parts();
    let began = Instant::now();
    let Ok(body) = Limited::new(body, LARGEST).collect().await.map(|body| body.to_bytes()) else {
        return Err(Cut);
    };
    let path = parts.uri.path();
    if let Some(page) = path.strip_prefix("/_causeway/") {
        return Ok(people::answer(&state, &parts.method, page, &body).into_response());
    }
    let route = match path.strip_prefix("/client/v4") {
        Some(path) => Route::read(&parts.method, path),
        None => Err(Refusal::new(400, 7000, "No route for that URI")),
    };
    let name = route.as_ref().map_or("unknown", Route::name);
    let (token, zone) = whose(&lock(&state.world), &parts.headers, route.as_ref().ok());
    let mutates = parts.method != Method::GET;
    let call = Call {
        operation: name.to_owned(),
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or(path, |path| path.as_str()).to_owned(),
        token: token.clone(),
        zone: zone.clone(),
        status: 0,
        codes: Vec::new(),
        mutates,
        changed: false,
        at: SystemTime::now(),
        millis: 0,
    };
    let mut record = Record { state: state.clone(), began, call: Some(call) };
    let mut verdict = state.rules.judge(name, &token, zone.as_deref().unwrap_or_default(), mutates);
    if !verdict.delay.is_zero() {
        tokio::time::sleep(verdict.delay).await;
    }
    if verdict.act == Some(Act::CutBefore) {
        return Err(Cut);
    }
    if let Some(answer) = verdict.act.and_then(refused) {
        record.status(&answer);
        return Ok(answer.into_response());
    }
    let hold = verdict.hold.take();
    let (before, after) = match verdict.act {
        Some(Act::HoldBefore) => (hold, None),
        _ => (None, hold),
    };
    if let Some(hold) = before {
        hold.wait().await;
    }
    let query = Query::read(parts.uri.query());
    let answer = state.perform(&parts.headers, route, &query, &body);
    if let Some(call) = &mut record.call {
        call.changed = mutates && answer.status.is_success();
    }
    if let Some(hold) = after {
        hold.wait().await;
    }
    let answer = match verdict.act {
        Some(Act::CutAfter) => return Err(Cut),
        Some(Act::ErrorAfter) => error(),
        Some(Act::HtmlAfter) => html(),
        Some(Act::Truncated) => {
            let half = answer.body.slice(..answer.body.len() / 2);
            Answer { body: half, ..answer }
        }
        Some(Act::CutNext) => {
            closing.store(true, Ordering::Relaxed);
            answer
        }
        _ => answer,
    };
    record.status(&answer);
    Ok(answer.into_response())
}

/// The names of the token and of the zone, where there are such.
fn whose(world: &World, headers: &HeaderMap, route: Option<&Route>) -> (String, Option<String>) {
    let value = bearer(headers).ok();
    let token = world.tokens.iter().find(|token| Some(token.value.as_str()) == value);
    let id = route.and_then(Route::zone);
    let zone = world.zones.iter().find(|live| Some(live.id.as_str()) == id);
    (token.map(|token| token.name.clone()).unwrap_or_default(), zone.map(|live| live.zone.name.clone()))
}

/// The answer of a rule that leaves the call without effect.
fn refused(act: Act) -> Option<Answer> {
    match act {
        Act::TooMany(seconds) => {
            let mut answer = too_many();
            answer.headers.insert("retry-after", HeaderValue::from(seconds));
            Some(answer)
        }
        Act::TooManySilently => Some(too_many()),
        Act::Denied => Some(Refusal::new(403, 10000, "Authentication error").answer(false)),
        Act::Unauthenticated => {
            Some(Refusal::new(403, 10001, "Unable to authenticate request").answer(false))
        }
        Act::ErrorBefore => Some(error()),
        Act::HtmlBefore => Some(html()),
        _ => None,
    }
}

fn too_many() -> Answer {
    let message = "More than 1200 requests per 300 seconds reached. Please wait and consider throttling your request speed";
    Refusal::new(429, 10429, message).answer(false)
}

fn error() -> Answer {
    let body = json!({ "result": null, "success": false, "errors": [], "messages": [] });
    Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "application/json", body.to_string())
}

fn html() -> Answer {
    let page = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\n<body><center><h1>502 Bad Gateway</h1></center><hr><center>cloudflare</center></body></html>\n";
    Answer::new(StatusCode::BAD_GATEWAY, "text/html", page)
}

impl State {
    /// Does what a request asks for. Nothing else happens meanwhile.
    fn perform(
        &self,
        headers: &HeaderMap,
        route: Result<Route, Refusal>,
        query: &Query,
        body: &[u8],
    ) -> Answer {
        let body = if is_json(headers) { body } else { &[] };
        let world = &mut *lock(&self.world);
        let token = match bearer(headers) {
            Ok(value) => world.tokens.iter().find(|token| token.value == value).cloned(),
            Err(refusal) => return refusal.answer(self.chains),
        };
        let Some(token) = token else {
            let refusal = match route {
                Ok(Route::VerifyToken) => Refusal::new(401, 1000, "Invalid API Token"),
                _ => Refusal::new(403, 9109, "Invalid access token"),
            };
            return refusal.answer(self.chains);
        };
        let now = self.clock.now();
        let quota = world.limiter.count(&token.user, now);
        let mut answer = if quota.blocked {
            too_many()
        } else {
            let done = route.and_then(|route| self.operate(world, &token, route, query, body, now));
            done.unwrap_or_else(|refusal| refusal.answer(self.chains))
        };
        quota.headers(&mut answer.headers);
        answer
    }

    fn operate(
        &self,
        world: &mut World,
        token: &Token,
        route: Route,
        query: &Query,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        match route {
            Route::VerifyToken => {
                let id = &token.value[..32];
                Ok(Answer::result(json!({ "id": id, "status": "active" }), None))
            }
            Route::Zones => {
                if !token.zone_read {
                    let message = format!(
                        "Actor 'com.cloudflare.api.token.{}' requires permission 'com.cloudflare.api.account.zone.list' to list zones",
                        &token.value[..32]
                    );
                    return Err(Refusal::new(403, 0, message));
                }
                let seen = world.zones.iter().filter(|live| token.covers(&live.zone.name));
                list::zones(query, token, seen.collect())
            }
            Route::Zone(id) => {
                let live = world.zones.iter().find(|live| live.id == id && token.covers(&live.zone.name));
                let refusal = || Refusal::new(403, 9109, "Unauthorized to access requested resource");
                let live = live.filter(|_| token.zone_read).ok_or_else(refusal)?;
                Ok(Answer::result(live.shown(token), None))
            }
            Route::Records(id, operation) => {
                let live = world.zones.iter_mut().find(|live| live.id == id && token.covers(&live.zone.name));
                let read = matches!(operation, Records::List | Records::Get(_));
                let may = token.dns_edit || (read && token.dns_read);
                // Whether a zone is unknown or somebody else's cannot be told apart.
                let live =
                    live.filter(|_| may).ok_or_else(|| Refusal::new(403, 10000, "Authentication error"))?;
                self.records(live, operation, query, body, now)
            }
        }
    }

    fn records(
        &self,
        live: &mut Live,
        operation: Records,
        query: &Query,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let one = |live: &mut Live, change| {
            let record = live.change(change, self.manner, now)?;
            Ok(Answer::result(record.shown(), None))
        };
        match operation {
            Records::List => list::records(query, live),
            Records::Get(id) => {
                let record = live.records.get(&id);
                let record = record.ok_or_else(|| Refusal::new(404, 81044, "Record does not exist."))?;
                Ok(Answer::result(record.shown(), None))
            }
            Records::Post => one(live, Change::Post(Fields::read(&object(body)?)?)),
            Records::Put(id) => one(live, Change::Put(id, Fields::read(&object(body)?)?)),
            Records::Patch(id) => one(live, Change::Patch(id, Fields::read(&object(body)?)?)),
            Records::Delete(id) => {
                let record = live.change(Change::Delete(id), self.manner, now)?;
                Ok(Answer::result(json!({ "id": record.id }), None))
            }
            Records::Batch => {
                let result = live.batch(batch(&object(body)?)?, self.manner, now)?;
                Ok(Answer::result(result, None))
            }
        }
    }
}

fn invalid_body() -> Refusal {
    Refusal::new(400, 9207, "Request body is invalid.")
}

/// A body that says that it is something else is not JSON, whatever is in it. cert-manager says nothing.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// An object of a request, with one field at least.
fn object(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .ok()
        .filter(|body: &Value| body.as_object().is_some_and(|fields| !fields.is_empty()))
        .ok_or_else(invalid_body)
}

/// The changes of a batch, in Cloudflare's order, whatever the order in the body.
fn batch(body: &Value) -> Result<Batch, Refusal> {
    const LISTS: [&str; 4] = ["deletes", "patches", "puts", "posts"];
    let mut lists = Vec::new();
    let known = |field: &String| LISTS.contains(&field.as_str());
    if !body.as_object().is_some_and(|fields| fields.keys().all(known)) {
        return Err(invalid_body());
    }
    for list in LISTS {
        let Some(changes) = body.get(list).filter(|changes| !changes.is_null()) else { continue };
        let changes = changes.as_array().ok_or_else(invalid_body)?;
        let changes = changes.iter().map(|change| {
            let fields = Fields::read(change)?;
            let id = || fields.id.clone().ok_or_else(invalid_body);
            Ok(match list {
                "deletes" => Change::Delete(id()?),
                "patches" => Change::Patch(id()?, fields),
                "puts" => Change::Put(id()?, fields),
                _ => Change::Post(fields),
            })
        });
        lists.push((list, changes.collect::<Result<_, Refusal>>()?));
    }
    Ok(Batch(lists))
}
