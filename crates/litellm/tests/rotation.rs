//! Against a server with the rules of LiteLLM 1.106: keys are unique by alias, have at least 16 characters, and end; answers have
//! its statuses. With `CAUSEWAY_LITELLM` and `CAUSEWAY_LITELLM_MASTER_KEY`, against a real one, too.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use bytes::Bytes;
use causeway_core::{Class, Error, Secret};
use causeway_litellm::{
    Held, LiteLlm, Made, Rotation, RotationError, Stage, USER, Vault, Version, extend, make,
};
use futures::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

const MASTER: &str = "sk-master-canary";
const HOURS: Rotation = Rotation { life: 8, overlap: 2 };

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    /// Nobody answers, and nothing happens.
    Before,
    /// It happens, and the answer is lost.
    After,
}

/// All that is outside of a run: LiteLLM, and where keys are kept.
struct World {
    now: Timestamp,
    users: BTreeSet<String>,
    /// Alias and end, by key.
    keys: BTreeMap<String, (String, Timestamp)>,
    values: Vec<Version>,
    stages: BTreeMap<Stage, String>,
    /// How many calls there were, and what happens to which.
    calls: usize,
    wrong: Option<(usize, Wrong)>,
    /// Answers everything with this.
    down: Option<u16>,
}

type Shared = Arc<Mutex<World>>;

impl World {
    fn new() -> Shared {
        Arc::new(Mutex::new(World {
            now: "2026-11-22T00:00:00Z".parse().unwrap(),
            users: BTreeSet::new(),
            keys: BTreeMap::new(),
            // What the stack made the secret with.
            values: vec![Version { id: "0".into(), value: Secret::new("no key at all") }],
            stages: BTreeMap::from([(Stage::Current, "0".into())]),
            calls: 0,
            wrong: None,
            down: None,
        }))
    }

    fn strikes(&mut self) -> Option<Wrong> {
        self.calls += 1;
        self.wrong.filter(|(at, _)| *at == self.calls).map(|(_, wrong)| wrong)
    }

    fn held(&self, stage: Stage) -> Option<Held> {
        let id = self.stages.get(&stage)?;
        Held::parse(&self.values.iter().find(|one| one.id == *id)?.value).ok()
    }

    fn valid(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|(_, end)| *end > self.now)
    }

    fn answer(&mut self, path: &str, bearer: &str, body: &Json) -> (u16, Json) {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let error = |status: u16, message: &str| (status, json!({ "error": { "message": message } }));
        let no_key = |key: &str| error(404, &format!("Key {key} not found"));
        if let Some(status) = self.down {
            return error(status, &format!("something is wrong with {bearer}"));
        }
        if path.starts_with("/key/info") {
            return match self.valid(bearer) {
                true => (200, json!({ "info": {} })),
                false => error(401, &format!("Authentication Error: {bearer}")),
            };
        }
        if bearer != MASTER {
            return error(401, "Authentication Error");
        }
        let hours = || text("duration").trim_end_matches('h').parse().unwrap();
        let end = || self.now + SignedDuration::from_hours(hours());
        match path {
            "/user/new" if !self.users.insert(text("user_id")) => error(409, "User already exists"),
            "/user/new" => {
                assert_eq!(body["auto_create_key"], false, "a key would be made that nobody knows");
                (200, json!({}))
            }
            "/key/generate" => {
                let (key, alias) = (text("key"), text("key_alias"));
                assert!(self.users.contains(&text("user_id")));
                if key.len() < 16 {
                    return error(400, "Invalid key format");
                }
                if self.keys.values().any(|(other, _)| *other == alias) {
                    return error(400, "Unique key aliases across all keys are required");
                }
                let end = end();
                self.keys.insert(key.clone(), (alias, end));
                (200, json!({ "key": key }))
            }
            "/key/update" => {
                let (key, end) = (text("key"), end());
                match self.keys.get_mut(&key) {
                    Some(one) => one.1 = end,
                    None => return no_key(&key),
                }
                (200, json!({}))
            }
            "/key/delete" => {
                let alias = body["key_aliases"][0].as_str().unwrap();
                let before = self.keys.len();
                self.keys.retain(|_, (other, _)| other != alias);
                if self.keys.len() == before { error(404, "No keys found") } else { (200, json!({})) }
            }
            list if list.starts_with("/key/list") => {
                assert!(list.contains(&format!("user_id={USER}")));
                let keys: Vec<Json> =
                    self.keys.values().map(|(alias, _)| json!({ "key_alias": alias })).collect();
                (200, json!({ "keys": keys }))
            }
            info if info.starts_with("/user/info") => (200, json!({})),
            other => panic!("{other}"),
        }
    }
}

/// The end of a run.
fn cut() -> Error {
    Error::Call { call: "test", class: Class::Transient, source: "cut".into() }
}

struct Kept(Shared);

impl Vault for Kept {
    fn at(&self, stage: Stage) -> BoxFuture<'_, Result<Option<Version>, Error>> {
        let mut world = self.0.lock().unwrap();
        let cut_off = world.strikes().is_some();
        let id = world.stages.get(&stage).cloned();
        let found = id.and_then(|id| world.values.iter().find(|one| one.id == id).cloned());
        async move { if cut_off { Err(cut()) } else { Ok(found) } }.boxed()
    }

    fn keep<'a>(&'a self, value: &'a Secret) -> BoxFuture<'a, Result<String, Error>> {
        let mut world = self.0.lock().unwrap();
        let wrong = world.strikes();
        let id = world.values.len().to_string();
        if wrong != Some(Wrong::Before) {
            world.values.push(Version { id: id.clone(), value: value.clone() });
            world.stages.insert(Stage::Pending, id.clone());
        }
        async move { if wrong.is_some() { Err(cut()) } else { Ok(id) } }.boxed()
    }

    fn promote<'a>(&'a self, id: &'a str, instead_of: Option<&'a str>) -> BoxFuture<'a, Result<(), Error>> {
        let mut world = self.0.lock().unwrap();
        let wrong = world.strikes();
        let current = world.stages.get(&Stage::Current).cloned();
        let fits = current.as_deref() == instead_of;
        if fits && wrong != Some(Wrong::Before) {
            world.stages.extend(current.map(|id| (Stage::Previous, id)));
            world.stages.insert(Stage::Current, id.to_owned());
        }
        async move {
            match (fits, wrong) {
                (false, _) => Err(Error::Invalid("another one is in force".into())),
                (true, Some(_)) => Err(cut()),
                (true, None) => Ok(()),
            }
        }
        .boxed()
    }
}

async fn serve(world: Shared) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let world = world.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let world = world.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let body: Json = serde_json::from_slice(&body).unwrap_or_default();
                        let bearer = parts.headers["authorization"].to_str().unwrap();
                        let bearer = bearer.strip_prefix("Bearer ").unwrap();
                        let path = parts.uri.path_and_query().unwrap().as_str();
                        let mut world = world.lock().unwrap();
                        let wrong = world.strikes();
                        let answer = match wrong {
                            Some(Wrong::Before) => None,
                            _ => Some(world.answer(path, bearer, &body)),
                        };
                        let (status, json) = answer.filter(|_| wrong.is_none()).unwrap_or((503, Json::Null));
                        let body = Full::new(Bytes::from(json.to_string()));
                        Ok::<_, Infallible>(Response::builder().status(status).body(body).unwrap())
                    }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    url
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A run, at the time of the world.
async fn run(world: &Shared, litellm: &LiteLlm) -> Result<Made, RotationError> {
    let now = world.lock().unwrap().now;
    make(litellm, &Kept(world.clone()), HOURS, now).await
}

fn later(world: &Shared, minutes: i64) {
    world.lock().unwrap().now += SignedDuration::from_mins(minutes);
}

async fn at(world: &Shared) -> LiteLlm {
    LiteLlm::new(client(), &serve(world.clone()).await, Secret::new(MASTER))
}

#[tokio::test]
async fn row_133_the_new_key_works_before_the_old_one_goes() {
    let world = World::new();
    let litellm = at(&world).await;
    let mut past: Vec<Held> = vec![];
    for round in 0..5 {
        let Made::New { alias, deleted } = run(&world, &litellm).await.unwrap() else { panic!("none") };
        let held = world.lock().unwrap().held(Stage::Current).unwrap();
        assert_eq!(held.alias, alias);
        past.push(held);
        let valid = |back: usize| {
            let held = past.len().checked_sub(back + 1).map(|i| past[i].key.expose().unwrap());
            held.is_some_and(|key| world.lock().unwrap().valid(key))
        };
        assert!(valid(0) && (round == 0 || valid(1)) && !valid(2), "round {round}");
        assert_eq!(deleted.len(), usize::from(round >= 2));
        // Until it is everywhere there is none in its place.
        later(&world, 119);
        let Made::TooEarly { until, .. } = run(&world, &litellm).await.unwrap() else { panic!("another") };
        assert_eq!(until, world.lock().unwrap().now + SignedDuration::from_mins(1));
        later(&world, 121);
    }
    assert_eq!(world.lock().unwrap().keys.len(), 2);
}

/// Whoever has brought the key of any moment away has one that works for at least as long as bringing it takes.
#[tokio::test]
async fn a_run_that_ends_anywhere_leaves_a_key_that_works_and_the_next_one_finishes() {
    let calls = {
        let world = World::new();
        let litellm = at(&world).await;
        for _ in 0..3 {
            run(&world, &litellm).await.unwrap();
            later(&world, 240);
        }
        let before = world.lock().unwrap().calls;
        run(&world, &litellm).await.unwrap();
        world.lock().unwrap().calls - before
    };
    assert!(calls > 8, "{calls}");
    for wrong in [Wrong::Before, Wrong::After] {
        for pause in [1, 60] {
            for at_call in 1..=calls {
                let world = World::new();
                let litellm = at(&world).await;
                for _ in 0..3 {
                    run(&world, &litellm).await.unwrap();
                    later(&world, 240);
                }
                let before = world.lock().unwrap().held(Stage::Current).unwrap();
                let strike = world.lock().unwrap().calls + at_call;
                world.lock().unwrap().wrong = Some((strike, wrong));
                let ended = run(&world, &litellm).await;
                let context = || format!("call {at_call}, pause {pause}: {ended:?}");
                let works = |held: &Held| world.lock().unwrap().valid(held.key.expose().unwrap());
                let current = || world.lock().unwrap().held(Stage::Current).unwrap();
                assert!(ended.is_err() && works(&current()) && works(&before), "{}", context());
                later(&world, pause);
                assert!(works(&before), "{}", context());
                match run(&world, &litellm).await.unwrap() {
                    Made::New { .. } => {}
                    // It was in force already.
                    Made::TooEarly { .. } => assert_ne!(current(), before, "{}", context()),
                }
                assert!(works(&current()) && works(&before), "{}", context());
                // What was made in vain does not stay.
                for _ in 0..2 {
                    later(&world, 240);
                    run(&world, &litellm).await.unwrap();
                    assert!(works(&current()), "{}", context());
                }
                assert_eq!(world.lock().unwrap().keys.len(), 2, "{}", context());
            }
        }
    }
}

#[tokio::test]
async fn what_fails_changes_nothing_and_tells_no_key() {
    let world = World::new();
    let litellm = at(&world).await;
    run(&world, &litellm).await.unwrap();
    later(&world, 240);
    let before = world.lock().unwrap().held(Stage::Current);
    for status in [500, 400, 401, 404, 200] {
        world.lock().unwrap().down = Some(status);
        let error = run(&world, &litellm).await.unwrap_err();
        assert_eq!(world.lock().unwrap().held(Stage::Current), before);
        let told = format!("{} {error:?}", causeway_core::error::chain(&error));
        assert!(!told.contains("sk-master") && told.contains("LiteLLM"), "{status}: {told}");
        let key = before.as_ref().unwrap().key.expose().unwrap();
        assert!(!told.contains(key), "{status}: {told}");
    }
}

#[tokio::test]
async fn of_two_runs_at_once_one_goes_on() {
    let world = World::new();
    let litellm = at(&world).await;
    run(&world, &litellm).await.unwrap();
    later(&world, 240);
    let seen = world.lock().unwrap().stages[&Stage::Current].clone();
    // Another run has been faster since this one looked.
    run(&world, &litellm).await.unwrap();
    let error = Kept(world.clone()).promote("0", Some(&seen)).await.unwrap_err();
    assert!(error.to_string().contains("another one is in force"), "{error}");
}

#[tokio::test]
async fn during_a_freeze_keys_live_on() {
    let world = World::new();
    let litellm = at(&world).await;
    for minutes in [240, 180] {
        run(&world, &litellm).await.unwrap();
        later(&world, minutes);
    }
    let keys = world.lock().unwrap().stages.clone();
    for _ in 0..6 {
        assert_eq!(extend(&litellm, &Kept(world.clone()), HOURS).await.unwrap().len(), 2);
        later(&world, 240);
    }
    let now = world.lock().unwrap();
    assert_eq!(now.stages, keys, "another one came into force");
    for stage in [Stage::Current, Stage::Previous] {
        assert!(now.valid(now.held(stage).unwrap().key.expose().unwrap()), "a day later {stage:?} has ended");
    }
}

#[tokio::test]
async fn a_key_that_somebody_deleted_is_made_anew_at_once() {
    let world = World::new();
    let litellm = at(&world).await;
    run(&world, &litellm).await.unwrap();
    world.lock().unwrap().keys.clear();
    later(&world, 1);
    assert!(matches!(run(&world, &litellm).await.unwrap(), Made::New { .. }));
}

/// The same against LiteLLM itself.
#[tokio::test]
async fn with_a_real_litellm() {
    let (Ok(url), Ok(master)) =
        (std::env::var("CAUSEWAY_LITELLM"), std::env::var("CAUSEWAY_LITELLM_MASTER_KEY"))
    else {
        return;
    };
    let world = World::new();
    world.lock().unwrap().now = Timestamp::now();
    let litellm = LiteLlm::new(client(), &url, Secret::new(master.as_str()));
    let mut past: Vec<Held> = vec![];
    for round in 0..4 {
        let Made::New { alias, deleted } = run(&world, &litellm).await.unwrap() else { panic!("none") };
        past.push(world.lock().unwrap().held(Stage::Current).unwrap());
        assert!(!deleted.contains(&alias));
        for (age, held) in past.iter().rev().enumerate() {
            assert_eq!(litellm.works(&held.key).await.unwrap(), age < 2, "round {round}, {age}");
        }
        let ours = litellm.aliases().await.unwrap();
        assert_eq!(ours.len(), past.len().min(2), "{ours:?}");
        assert!(matches!(run(&world, &litellm).await.unwrap(), Made::TooEarly { .. }));
        assert_eq!(extend(&litellm, &Kept(world.clone()), HOURS).await.unwrap().len(), past.len().min(2));
        later(&world, 180);
    }
    // Known to LiteLLM already, as after a run that was ended before its last step.
    let held = past.last().unwrap();
    assert!(litellm.generate(&held.key, &held.alias, 8).await.is_err(), "an alias was given twice");
    let stranger = LiteLlm::new(client(), &url, Secret::new("sk-nobody-0123456789"));
    let error = stranger.ensure_user().await.unwrap_err().to_string();
    assert!(error.contains("does not take the master key") && !error.contains("nobody"), "{error}");
    for alias in litellm.aliases().await.unwrap() {
        assert!(litellm.delete(&alias).await.unwrap());
    }
}
