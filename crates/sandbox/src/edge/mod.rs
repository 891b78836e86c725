//! An edge of CloudFront: an HTTP server that serves fakecloud's distributions to viewers.
//!
//! It finds the distribution by the `Host` of a request: `<id>.cloudfront.net`, its domain name, one of its aliases, and for browsers
//! `<id>.localhost` or `<alias>.localhost`. Then it does what CloudFront does: it picks the behavior by the path, runs the function for
//! viewer requests, looks into its cache, asks the origin, replaces errors by their pages, applies the policy of headers and runs
//! the function for viewer responses. `x-cache` says where a response came from. See
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/RequestAndResponseBehavior.html>.
//!
//! # What differs from CloudFront
//!
//! - There is one edge. A new distribution is there after [`Pending::distribution`](crate::gateway::Pending), a change of one, of a policy
//!   or a function at once, whatever the status says, and a change in a key value store after
//!   [`Pending::key_value_store`](crate::gateway::Pending).
//! - The port is plain HTTP and stands for the one with TLS; a request with `X-Forwarded-Proto: http` counts as one without.
//! - Only `GET` and `HEAD`. Origins are asked by HTTP; buckets are those of the same account.
//! - The policy of a bucket decides about reads of the edge, with the conditions that CloudFront's documentation uses; object ACLs
//!   and origin access identities do not.
//! - Objects are fetched whole, and ranges cut out of them.
//! - Not there: origin groups, origin request policies, CORS in response headers policies and what AWS's managed ones set, Lambda@Edge,
//!   signed URLs, WAF, geographic restrictions, logs.
//! - Functions run in QuickJS, which knows more of the language than CloudFront's runtime, for at most five seconds, and without the
//!   modules `crypto`, `querystring` and `buffer`.
//! - An invalidation names paths as they are in the cache: after the function.

mod cache;
mod finish;
mod function;
mod origin;
mod policy;
mod runtime;
mod serve;
mod site;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::accept::accept;
use crate::gateway::{Gateway, State, lock};
use site::Site;

/// How long an error is kept unless the distribution says so, in seconds.
const ERROR_LASTS: u64 = 10;
/// How many fetches and failures are remembered.
const REMEMBERED: usize = 100_000;

/// What can go wrong when an edge starts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No port could be taken.
    #[error("listen on 127.0.0.1")]
    Listen(#[source] std::io::Error),
}

/// A request to an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The id of the distribution.
    pub distribution: String,
    /// The path after the function, with its query string, without the origin's own.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// Whether it only asked if what is in the cache is still good.
    pub conditional: bool,
}

/// A running edge. Dropping it stops it.
pub struct Edge {
    address: SocketAddr,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

struct Inner {
    state: Arc<State>,
    cache: cache::Cache,
    /// By id, with the count of changes when they were read.
    sites: Mutex<HashMap<String, (u64, Arc<Site>)>>,
    fetches: Mutex<Vec<Fetch>>,
    failures: Mutex<Vec<String>>,
    requests: AtomicU64,
}

impl Edge {
    /// Starts to listen on 127.0.0.1, on a free port, for the distributions behind a gateway.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`] if no port can be taken.
    pub async fn start(gateway: &Gateway) -> Result<Edge, Error> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let inner = Arc::new(Inner {
            state: gateway.state(),
            cache: cache::Cache::default(),
            sites: Mutex::default(),
            fetches: Mutex::default(),
            failures: Mutex::default(),
            requests: AtomicU64::new(0),
        });
        let served = inner.clone();
        let server = tokio::spawn(async move {
            let handler = || {
                let inner = served.clone();
                move |request| serve::handle(inner.clone(), request)
            };
            accept(listener, handler).await;
        });
        Ok(Edge { address, inner, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a distribution for browsers, which take any name under `localhost` for this machine; `name` is the
    /// distribution's id or one of its aliases.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}.localhost:{}", name.to_lowercase(), self.address.port())
    }

    /// The requests to the origins of a distribution, in their order.
    pub fn fetches(&self, distribution: &str) -> Vec<Fetch> {
        lock(&self.inner.fetches).iter().filter(|fetch| fetch.distribution == distribution).cloned().collect()
    }

    /// Why functions failed: distribution, function and error. Viewers are told nothing of it.
    pub fn failures(&self) -> Vec<String> {
        lock(&self.inner.failures).clone()
    }

    /// Stops listening and cuts open connections.
    pub async fn stop(mut self) {
        self.server.abort();
        // An aborted task answers with a cancellation; only its end matters.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Inner {
    /// The enabled distribution for a host, read anew after a change of its account.
    async fn site(&self, host: &str) -> Option<Arc<Site>> {
        let known = &self.state.fixes.sites;
        let mut all = known.all();
        // Most often a host begins with an id; then the others need not be read.
        all.sort_by_key(|(id, ..)| !host.get(..id.len()).is_some_and(|start| start.eq_ignore_ascii_case(id)));
        for (id, scope, since) in all {
            if since.elapsed() < self.state.pending.times(&scope.access_key).distribution {
                continue;
            }
            let changes = known.changes(&scope);
            let read =
                lock(&self.sites).get(&id).filter(|(at, _)| *at == changes).map(|(_, site)| site.clone());
            let site = match read {
                Some(site) => site,
                None => {
                    let Some(site) = Site::read(&self.state, &scope, &id).await.map(Arc::new) else {
                        continue;
                    };
                    lock(&self.sites).insert(id, (changes, site.clone()));
                    site
                }
            };
            if site.enabled && site.is_at(host) {
                return Some(site);
            }
        }
        None
    }

    fn note(&self, fetch: Fetch) {
        let mut fetches = lock(&self.fetches);
        if fetches.len() < REMEMBERED {
            fetches.push(fetch);
        }
    }

    /// Something that no other request has.
    fn id(&self) -> String {
        format!("{:016x}", self.requests.fetch_add(1, Ordering::Relaxed))
    }
}
