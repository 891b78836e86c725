//! A Cloudflare of our own: zones and DNS records by the API, answered in DNS. It needs nothing of the rest of the sandbox.
//!
//! It behaves as [the API's description](https://developers.cloudflare.com/api/resources/dns/) and
//! [its documentation](https://developers.cloudflare.com/dns/manage-dns-records/) say, and as answers of the real one show that
//! people put into public issues.
//!
//! # What it refuses
//!
//! | status, code | when |
//! | --- | --- |
//! | 400, 6003 with 6111 or 6103 in its chain | the `Authorization` header is malformed; a key and an address of mail, which are not known here |
//! | 400, 9106 | nothing says who asks |
//! | 403, 9109 "Invalid access token" (401, 1000 of `/user/tokens/verify`) | a token that is not known |
//! | 403, 9109 "Unauthorized to access requested resource" | a zone that the token may not read |
//! | 403, 0 | listing zones without Zone:Read |
//! | 403, 10000 | records of a zone that the token may not read or change, or that is not there |
//! | 429, 10429 | more than 1,200 requests of a user in five minutes, and all for the next five |
//! | 404, 7003 | an id that is none |
//! | 400, 7000; 405, 7001 | a path or a method that is not there |
//! | 404, 81044 | a record that is not there |
//! | 400, 9207 | a body that is not JSON, says in its header that it is something else, is empty, or has values of other types |
//! | 400, 9000, 9002, 9005, 9006, 9007, 9009, 9039 | name, type, content of A, AAAA, CNAME and MX, a CNAME to itself |
//! | 400, 9021 | a TTL that is not 1 and not from 60 (30 for Enterprise) to 86,400 |
//! | 400, 9003, 9004 | proxied: an address that nobody reaches, a type that cannot be |
//! | 400, 9300, 9313 | more tags, or a longer comment, than the plan has |
//! | 400, 81053, 81054 | a CNAME beside A, AAAA or CNAME; A or AAAA beside a CNAME |
//! | 400, 81055, 81056 | NS beside others; others beside NS |
//! | 400, 81058, or 81057 by [`Options`] | the same record twice |
//! | 400, 81045 | more records than [`Zone::record_quota`] |
//!
//! The codes 9000 to 9999 stand for themselves, as Cloudflare tells them since October 2024, or are in the `error_chain` of a 1004, as
//! before, by [`Options::chains`]. What Cloudflare surely refuses and no source has the code of has the code 0 here: parameters of lists
//! and batches out of range, contents of other types, fields of `data` that are missing or wrong, line breaks in comments, malformed
//! tags. The code 10001 comes only by a [`Rule`].
//!
//! # What is not here
//!
//! Making and deleting zones by the API, limits by address, the size of records on the wire, subdomain zones, import, export and
//! scanning. A `PUT` or `PATCH` may change the type. Two things differ from the published
//! description, as they do on the real one: a TTL may be left out, and a comment that is not there is null.
//! In DNS: DNSSEC, glue, and records of LOC, CERT, DNSKEY, OPENPGPKEY, SVCB and HTTPS, which are kept only. Changes are answered at once, unless [`Zone::lag`] says otherwise.
//!
//! # For people
//!
//! `POST /_causeway/zones` (`{"name": "example.com", "plan": "free"}`), `POST /_causeway/tokens` (`{"name": "ci", "permissions":
//! ["Zone:Read", "DNS:Edit"], "zones": ["example.com"]}`), `GET|DELETE /_causeway/calls`, `GET|POST|DELETE /_causeway/rules`, `POST
//! /_causeway/release`. A rule is the JSON form of [`Rule`].

mod answer;
mod content;
mod dns;
mod fault;
mod limit;
mod list;
mod people;
mod record;
mod route;
mod serve;
mod token;
mod wire;
mod zone;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

pub use crate::gateway::{Latency, RuleId, Rules};
pub use fault::{Act, Rule};
pub use record::Record;
pub use token::Token;
pub use zone::{Plan, Status, Zone};

use crate::gateway::{lock, millis};
use limit::{Clock, Limiter};
use zone::{Live, Manner};

/// How a Cloudflare is set up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The port of the API on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The port of DNS on 127.0.0.1, of UDP and TCP; 0 takes a free one.
    pub dns_port: u16,
    /// Seed of the dice of rules.
    pub seed: u64,
    /// How many requests a user has in five minutes.
    pub requests: u32,
    /// Whether validation errors are in the `error_chain` of a 1004, or stand for themselves.
    pub chains: bool,
    /// Whether 81057 is told of a second identical record, as until 2023, and not 81058.
    pub old_duplicates: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { port: 0, dns_port: 0, seed: 0, requests: 1200, chains: true, old_duplicates: false }
    }
}

/// What can go wrong around a Cloudflare.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A port could not be taken.
    #[error("listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It could not be asked for a zone.
    #[error("add the zone {zone} to the sandbox's Cloudflare")]
    AddZone {
        /// The zone.
        zone: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// Where a Cloudflare is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// See [`Cloudflare::endpoint`].
    pub endpoint: String,
    /// See [`Cloudflare::dns`].
    pub dns: SocketAddr,
    /// The secret of a token.
    pub token: String,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("endpoint", &self.endpoint)
            .field("dns", &self.dns)
            .finish_non_exhaustive()
    }
}

/// A request that was made.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Call {
    /// `token:verify`, `zones:list`, `zones:get`, `records:list`, `records:get`, `records:post`, `records:put`, `records:patch`,
    /// `records:delete`, `records:batch`, or `unknown`.
    pub operation: String,
    /// Like `GET`.
    pub method: String,
    /// The path with its parameters.
    pub path: String,
    /// The name of the token; empty if it is not known.
    pub token: String,
    /// The name of the zone, if it is about one that is there.
    pub zone: Option<String>,
    /// HTTP status that the caller saw; 0 if the connection was cut.
    pub status: u16,
    /// The codes of the errors, the outermost first.
    pub codes: Vec<u32>,
    /// Whether it would change something.
    pub mutates: bool,
    /// Whether it did.
    pub changed: bool,
    /// When it came in, in milliseconds since 1970 in JSON.
    #[serde(serialize_with = "millis")]
    pub at: SystemTime,
    /// How long it took, with injected latency.
    pub millis: u64,
}

/// A running Cloudflare. Dropping it stops it.
pub struct Cloudflare {
    api: SocketAddr,
    dns: SocketAddr,
    state: Arc<State>,
    servers: [JoinHandle<()>; 2],
}

impl std::fmt::Debug for Cloudflare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cloudflare").field("api", &self.api).field("dns", &self.dns).finish_non_exhaustive()
    }
}

/// What its parts share.
struct State {
    world: Mutex<World>,
    calls: Mutex<Vec<Call>>,
    rules: Rules<Act>,
    clock: Clock,
    chains: bool,
    manner: Manner,
}

/// Everything that requests see and change.
#[derive(Debug)]
struct World {
    zones: Vec<Live>,
    tokens: Vec<Token>,
    limiter: Limiter,
}

impl Cloudflare {
    /// Starts to listen on 127.0.0.1, without zones and tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if a port cannot be taken.
    pub async fn start(options: Options) -> Result<Cloudflare, Error> {
        let listen = |port| move |source| Error::Listen { port, source };
        let http = TcpListener::bind(("127.0.0.1", options.port)).await.map_err(listen(options.port))?;
        let api = http.local_addr().map_err(listen(options.port))?;
        let (udp, tcp, dns) = sockets(options.dns_port).await.map_err(listen(options.dns_port))?;
        let state = Arc::new(State {
            world: Mutex::new(World {
                zones: Vec::new(),
                tokens: Vec::new(),
                limiter: Limiter::new(options.requests),
            }),
            calls: Mutex::new(Vec::new()),
            rules: Rules::new(options.seed),
            clock: Clock::default(),
            chains: options.chains,
            manner: Manner { old_duplicates: options.old_duplicates },
        });
        let servers = [
            tokio::spawn(serve::http(http, state.clone())),
            tokio::spawn(serve::names(udp, tcp, state.clone())),
        ];
        Ok(Cloudflare { api, dns, state, servers })
    }

    /// The address of the API, like `http://127.0.0.1:40001/client/v4`. Some clients want a `/` at its end.
    pub fn endpoint(&self) -> String {
        format!("http://{}/client/v4", self.api)
    }

    /// Where DNS is answered, by UDP and TCP.
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// Where it is, with a token that was added.
    pub fn place(&self, secret: &str) -> Place {
        Place { endpoint: self.endpoint(), dns: self.dns, token: secret.to_owned() }
    }

    /// Adds a zone and returns its id. `None` if there is one of that name, or it is no name.
    pub fn add_zone(&self, zone: Zone) -> Option<String> {
        self.state.add_zone(zone)
    }

    /// Adds a token and returns its secret, which goes after `Authorization: Bearer`.
    pub fn add_token(&self, token: Token) -> String {
        self.state.add_token(token)
    }

    /// Makes a token of this secret unknown. Returns whether it was known.
    pub fn revoke(&self, secret: &str) -> bool {
        let tokens = &mut lock(&self.state.world).tokens;
        let before = tokens.len();
        tokens.retain(|token| token.value != secret);
        tokens.len() < before
    }

    /// The records of a zone, by its name, in the order in which they were made. No call is counted.
    pub fn records(&self, zone: &str) -> Vec<Record> {
        let world = lock(&self.state.world);
        let live = world.zones.iter().find(|live| live.zone.name == zone);
        live.into_iter().flat_map(|live| live.records.iter()).map(|record| (**record).clone()).collect()
    }

    /// Changes how many seconds pass until DNS shows a change of a zone from now on. Returns whether there is such a zone.
    pub fn set_lag(&self, zone: &str, seconds: u32) -> bool {
        let mut world = lock(&self.state.world);
        let live = world.zones.iter_mut().find(|live| live.zone.name == zone);
        live.map(|live| live.zone.lag = seconds).is_some()
    }

    /// Every call since the start or the last [`reset_calls`](Cloudflare::reset_calls), in the order of their ends.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.state.calls).clone()
    }

    /// The calls that would change something; refused ones count as well.
    pub fn mutations(&self) -> Vec<Call> {
        lock(&self.state.calls).iter().filter(|call| call.mutates).cloned().collect()
    }

    /// Forgets the calls so far. They still count for the limit.
    pub fn reset_calls(&self) {
        lock(&self.state.calls).clear();
    }

    /// What is to happen to calls.
    pub fn rules(&self) -> &Rules<Act> {
        &self.state.rules
    }

    /// Moves the clock of limits and records on.
    pub fn advance(&self, by: Duration) {
        self.state.clock.advance(by);
    }

    /// Stops listening and cuts open connections.
    pub async fn stop(mut self) {
        for server in &mut self.servers {
            server.abort();
            // An aborted task answers with a cancellation; only its end matters.
            let _ = server.await;
        }
    }
}

impl Drop for Cloudflare {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

/// One port for UDP and TCP. Somebody else may have the other half of a free one.
async fn sockets(port: u16) -> std::io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let mut last = None;
    for _ in 0..10 {
        let tcp = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = tcp.local_addr()?;
        match UdpSocket::bind(address).await {
            Ok(udp) => return Ok((udp, tcp, address)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()))
}

impl State {
    /// The id of the new zone. `None` if there is such a zone or it is no name.
    fn add_zone(&self, zone: Zone) -> Option<String> {
        let name = content::host(&zone.name)?;
        let world = &mut *lock(&self.world);
        if world.zones.iter().any(|live| live.zone.name == name) {
            return None;
        }
        let live = Live::new(Zone { name, ..zone }, self.clock.now());
        let id = live.id.clone();
        world.zones.push(live);
        Some(id)
    }

    /// The secret of the new token.
    fn add_token(&self, token: Token) -> String {
        let value = token::secret();
        lock(&self.world).tokens.push(Token { value: value.clone(), ..token });
        value
    }
}
