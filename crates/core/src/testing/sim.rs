//! A cloud in memory, under virtual time: the same seed and the same calls give the same trace.
//!
//! It is as unkind as the real ones where that matters to an engine: a network made twice is two networks, tags can be
//! searched only some time after they were written, tokens answer with the same object or refuse another request, names
//! are taken, databases take minutes, deletes come back with "still in use". Faults are chosen call by call.
//!
//! Meant for a current-thread runtime with paused time.

mod audit;
mod console;
mod faults;
mod fuse;
mod kinds;

pub use console::Meddling;
pub use faults::{Fault, When};
use faults::{Rule, STUCK};
pub use fuse::{Fuse, FusedStore, Moment, UnlockedStore};
pub use kinds::{
    Database, DatabaseOutputs, DatabaseRefs, Gateway, GatewayOutputs, GatewayRefs, Lookup, LookupOutputs,
    LookupRefs, Network, NetworkOutputs, NetworkRefs, Role, RoleOutputs, RoleRefs, Service, ServiceOutputs,
    ServiceRefs, Subnet, SubnetOutputs, SubnetRefs, Task, TaskOutputs, TaskRefs,
};

use crate::{
    error::{Class, Error},
    place::{Client, Place},
    registry::Registry,
    resource::{Owner, Status, Tags},
    wait::pause,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Where simulated resources live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimPlace {
    /// Like `sim-1`.
    pub region: String,
}
impl Place for SimPlace {
    const PROVIDER: &'static str = "sim";
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Looks.
    Read,
    /// Makes.
    Create,
    /// Changes.
    Update,
    /// Removes.
    Delete,
}
impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Read => "read",
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Delete => "delete",
        })
    }
}

/// One mutating call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Counted from 1.
    pub n: u64,
    /// When, since the cloud was made.
    pub at: Duration,
    /// Of which kind.
    pub kind: &'static str,
    /// What it did.
    pub verb: Verb,
    /// For which resource.
    pub address: String,
    /// For which incarnation.
    pub instance: String,
    /// Whether it changed anything.
    pub effect: bool,
    /// The error code of the answer; none if it worked.
    pub refused: Option<String>,
}

/// An error as the cloud words it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// Like `AlreadyExists`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    class: Class,
}

pub(crate) fn refusal(code: &'static str, class: Class, message: impl Into<String>) -> Refusal {
    Refusal { code, class, message: message.into() }
}

/// What is deleted and not gone yet.
const GOING: &str = "being deleted";

/// One thing in the cloud.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) region: String,
    /// What the cloud knows of it, secrets included.
    pub(crate) fields: Json,
    /// None where the kind carries no tags.
    pub(crate) tags: Option<Tags>,
    pub(crate) born: Duration,
    pub(crate) busy: Option<(Duration, String)>,
    pub(crate) going: Option<Duration>,
    pub(crate) failed: Option<String>,
    pub(crate) token: Option<(String, Json)>,
}

impl Object {
    pub(crate) fn field(&self, name: &str) -> &Json {
        self.fields.get(name).unwrap_or(&Json::Null)
    }

    pub(crate) fn owner(&self) -> Owner {
        self.tags.as_ref().map_or(Owner::Parent, Tags::owner)
    }

    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        self.tags.as_ref()?.0.get(key).map(String::as_str)
    }

    pub(crate) fn status(&self, now: Duration) -> Status {
        match (&self.failed, &self.busy, self.going) {
            (_, _, Some(_)) => Status::Pending(GOING.into()),
            (Some(why), _, _) => Status::Failed(why.clone()),
            (None, Some((until, on)), None) if *until > now => Status::Pending(on.clone()),
            _ => Status::Ready,
        }
    }

    fn mentions(&self, id: &str) -> bool {
        self.fields.to_string().contains(id)
    }
}

/// How quick and how consistent the cloud is.
#[derive(Clone, Debug)]
pub struct Habits {
    /// How long a call takes.
    pub latency: Duration,
    /// How long it takes until a tag can be searched.
    pub tag_lag: Duration,
    /// How long a new object cannot be seen by its name, by kind.
    pub name_lag: BTreeMap<&'static str, Duration>,
    /// How long a new object takes until it is ready, by kind.
    pub ready_after: BTreeMap<&'static str, Duration>,
    /// How much that varies from object to object, as a standard deviation on a logarithmic scale. Zero: not at all.
    pub varies: f64,
}
impl Default for Habits {
    /// 40 ms a call, 8 s until a tag is searchable, five minutes for a database, a minute for a service.
    fn default() -> Self {
        Habits {
            latency: Duration::from_millis(40),
            tag_lag: Duration::from_secs(8),
            name_lag: BTreeMap::new(),
            ready_after: [
                ("sim.database", Duration::from_secs(300)),
                ("sim.service", Duration::from_secs(60)),
                ("sim.gateway", Duration::from_secs(90)),
            ]
            .into(),
            varies: 0.0,
        }
    }
}

pub(crate) struct World {
    random: u64,
    ids: u64,
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) habits: Habits,
    rules: Vec<Rule>,
    /// Regions that nobody reaches.
    cut: BTreeSet<String>,
    calls: Vec<Call>,
    reads: u64,
    /// When each copy of data can be used, by its name.
    copies: BTreeMap<String, Duration>,
    running: usize,
    most_running: usize,
}

impl World {
    /// SplitMix64: small, and the same everywhere.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// About `usual`, as the habits vary: twelve dice make a fair normal distribution.
    pub(crate) fn varied(&mut self, usual: Duration) -> Duration {
        if self.habits.varies == 0.0 {
            return usual;
        }
        let dice: f64 = (0..12).map(|_| (self.random() >> 11) as f64 / (1u64 << 53) as f64).sum();
        usual.mul_f64(((dice - 6.0) * self.habits.varies).exp())
    }

    /// Ids are of one length, so that none is the start of another.
    pub(crate) fn new_id(&mut self, kind: &str) -> String {
        self.ids += 1;
        format!("{}-{:06}", kind.trim_start_matches("sim."), self.ids)
    }

    fn copy(&self) -> World {
        World {
            random: self.random,
            ids: self.ids,
            objects: self.objects.clone(),
            habits: self.habits.clone(),
            rules: vec![],
            cut: BTreeSet::new(),
            calls: vec![],
            reads: 0,
            copies: self.copies.clone(),
            running: 0,
            most_running: 0,
        }
    }

    /// Tells whether anything was made or began to go.
    fn shape(&self) -> (usize, usize) {
        (self.objects.len(), self.objects.values().filter(|o| o.going.is_some()).count())
    }

    fn sweep(&mut self, now: Duration) {
        self.objects.retain(|_, o| o.going.is_none_or(|at| at > now));
    }

    /// Refuses while anything else in the cloud refers to `id`.
    pub(crate) fn unused(&self, id: &str) -> Result<(), Refusal> {
        match self.objects.values().find(|o| o.id != id && o.mentions(id)) {
            Some(user) => {
                Err(refusal("DependencyViolation", Class::NotNow, format!("{id} is used by {}", user.id)))
            }
            None => Ok(()),
        }
    }

    /// Refuses unless `id` is there and can be used.
    pub(crate) fn usable(&self, id: &str, now: Duration) -> Result<(), Refusal> {
        match self.objects.get(id).map(|o| o.status(now)) {
            Some(Status::Ready) => Ok(()),
            Some(_) => Err(refusal("InvalidState", Class::Final, format!("{id} is not ready"))),
            None => Err(refusal("NotFound", Class::Final, format!("{id} does not exist"))),
        }
    }
}

struct Shared {
    world: Mutex<World>,
    start: Instant,
    fuse: Fuse,
}

/// A handle to the cloud, and the client of its kinds.
#[derive(Clone)]
pub struct SimCloud {
    shared: Arc<Shared>,
    region: String,
}

impl Client for SimCloud {
    type Place = SimPlace;
}

/// For whom a call is made.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) kind: &'static str,
    pub(crate) address: &'a str,
    pub(crate) instance: &'a str,
}

impl SimCloud {
    /// An empty cloud, on a machine whose power hangs on `fuse`.
    pub fn new(seed: u64, fuse: Fuse) -> Self {
        let world = World {
            random: seed,
            ids: 0,
            objects: BTreeMap::new(),
            habits: Habits::default(),
            rules: vec![],
            cut: BTreeSet::new(),
            calls: vec![],
            reads: 0,
            copies: BTreeMap::new(),
            running: 0,
            most_running: 0,
        };
        let shared = Shared { world: Mutex::new(world), start: Instant::now(), fuse };
        SimCloud { shared: Arc::new(shared), region: "sim-1".into() }
    }

    /// Adds the simulated kinds.
    pub fn register(&self, registry: &mut Registry) {
        let cloud = self.clone();
        let connect = move |place: SimPlace| {
            let cloud = SimCloud { region: place.region, ..cloud.clone() };
            async move { Ok(cloud) }
        };
        registry
            .provider(connect)
            .add::<Network>()
            .add::<Gateway>()
            .add::<Role>()
            .add::<Subnet>()
            .add::<Database>()
            .add::<Task>()
            .add::<Service>()
            .add::<Lookup>();
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.shared.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Changes how quick and how consistent the cloud is.
    pub fn habits(&self, change: impl FnOnce(&mut Habits)) {
        self.with(|w| change(&mut w.habits));
    }

    /// A call that changes something.
    pub(crate) async fn mutate<T>(
        &self,
        caller: Caller<'_>,
        verb: Verb,
        effect: impl FnOnce(&mut World, Duration) -> Result<T, Refusal>,
    ) -> Result<T, Error> {
        let fuse = &self.shared.fuse;
        let Caller { kind, address, instance } = caller;
        let what = format!("{verb} {kind} {address}");
        fuse.pass(Moment::BeforeCall(what.clone())).await;
        let (latency, fault, index) = self.with(|w| {
            let n = w.calls.len() as u64 + 1;
            let (address, instance) = (address.to_owned(), instance.to_owned());
            // Until it is answered.
            let refused = Some("unanswered".to_owned());
            w.calls.push(Call { n, at: self.now(), kind, verb, address, instance, effect: false, refused });
            w.running += 1;
            w.most_running = w.most_running.max(w.running);
            (w.habits.latency, w.fault(kind, verb), w.calls.len() - 1)
        });
        let running = Running(self);
        pause(latency / 2).await;
        fuse.powered().await;
        let now = self.now();
        let mut effective = false;
        let answer = match fault {
            _ if self.reached().is_err() => Err(refusal("Unreachable", Class::Transient, "no way there")),
            Some(Fault::Throttled) => Err(refusal("Throttling", Class::Throttled, "slow down")),
            Some(Fault::LostBefore) => Err(refusal("InternalError", Class::Transient, "lost before")),
            Some(Fault::NotNow) => Err(refusal("NotYet", Class::NotNow, "something has not spread")),
            Some(Fault::Refused) => Err(refusal("Refused", Class::Final, "will not work")),
            Some(Fault::Denied) => Err(refusal("AccessDenied", Class::Denied, "may not do that")),
            // The effect is on a world that is thrown away.
            Some(Fault::Ignored) => self.with(|w| effect(&mut w.copy(), now)),
            Some(Fault::LostAfter) => self
                .with(|w| {
                    w.sweep(now);
                    let before = w.shape();
                    let answer = effect(w, now);
                    effective = answer.is_ok() && (verb == Verb::Update || w.shape() != before);
                    answer
                })
                .and(Err(refusal("InternalError", Class::Transient, "lost after"))),
            Some(Fault::Stillborn | Fault::Stuck) | None => self.with(|w| {
                w.sweep(now);
                let before: BTreeSet<String> = w.objects.keys().cloned().collect();
                let shape = w.shape();
                let answer = effect(w, now);
                effective = answer.is_ok() && (verb == Verb::Update || w.shape() != shape);
                for o in w.objects.values_mut().filter(|o| !before.contains(&o.id)) {
                    match fault {
                        Some(Fault::Stillborn) => o.failed = Some("no capacity".into()),
                        Some(Fault::Stuck) => o.busy = Some((now + STUCK, "stuck".into())),
                        _ => {}
                    }
                }
                answer
            }),
        };
        self.with(|w| {
            w.calls[index].effect = effective;
            w.calls[index].refused = answer.as_ref().err().map(|r| r.code.to_owned());
        });
        fuse.pass(Moment::AfterEffect(what.clone())).await;
        pause(latency / 2).await;
        drop(running);
        fuse.pass(Moment::AfterAnswer(what)).await;
        let answer = self.reached().and(answer);
        answer.map_err(|r| error(kind, r))
    }

    /// Takes a copy of data under `name`, once; whether it can be used.
    pub(crate) async fn copy(&self, name: &str) -> bool {
        let fuse = &self.shared.fuse;
        if !self.with(|w| w.copies.contains_key(name)) {
            fuse.pass(Moment::BeforeCall(format!("copy {name}"))).await;
            let ready = self.now() + Duration::from_secs(60);
            self.with(|w| w.copies.insert(name.to_owned(), ready));
            fuse.pass(Moment::AfterEffect(format!("copy {name}"))).await;
        }
        fuse.powered().await;
        let now = self.now();
        self.with(|w| w.copies.get(name).is_some_and(|ready| *ready <= now))
    }

    /// A call that only looks.
    pub(crate) async fn look<T>(
        &self,
        kind: &'static str,
        look: impl FnOnce(&World, Duration) -> T,
    ) -> Result<T, Error> {
        self.shared.fuse.powered().await;
        let (latency, fault) = self.with(|w| {
            w.reads += 1;
            (w.habits.latency, w.fault(kind, Verb::Read))
        });
        pause(latency).await;
        self.shared.fuse.powered().await;
        let refused = match fault {
            Some(Fault::Throttled) => Some(refusal("Throttling", Class::Throttled, "slow down")),
            Some(Fault::LostBefore | Fault::LostAfter) => {
                Some(refusal("InternalError", Class::Transient, "lost"))
            }
            Some(_) => Some(refusal("AccessDenied", Class::Denied, "may not look")),
            None => None,
        };
        match refused.or(self.reached().err()) {
            Some(r) => Err(error(kind, r)),
            None => {
                let now = self.now();
                Ok(self.with(|w| {
                    w.sweep(now);
                    look(w, now)
                }))
            }
        }
    }
}

/// A call under way, however it ends.
struct Running<'a>(&'a SimCloud);
impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.with(|w| w.running -= 1);
    }
}

fn error(kind: &'static str, refused: Refusal) -> Error {
    Error::Call { call: kind, class: refused.class, source: Box::new(refused) }
}

/// The token that an incarnation's create must carry.
pub(crate) fn token_of(instance: &str) -> String {
    hex::encode(&Sha256::digest(format!("{instance}/create").as_bytes())[..16])
}
