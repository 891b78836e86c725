//! The power of a simulated machine, and the moments at which it can go.

use crate::{
    journal::Stamped,
    store::{Hold, Store, StoreError},
};
use futures::future::BoxFuture;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// A moment at which the power can go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// A mutating call was decided on and not sent.
    BeforeCall(String),
    /// A mutating call had its effect; its answer never comes.
    AfterEffect(String),
    /// A mutating call was answered; neither another call nor a journal entry follows.
    AfterAnswer(String),
    /// A journal entry was not written.
    BeforeWrite(String),
    /// A journal entry is durable; nobody hears of it.
    AfterWrite(String),
}

#[derive(Default)]
struct State {
    moments: Vec<Moment>,
    armed: Option<usize>,
    /// The power goes with the next call or journal entry.
    doomed: bool,
    gone: CancellationToken,
}

/// Counts the moments at which the power can go, and lets it go at one of them. Shared by the cloud and the store.
#[derive(Clone, Default)]
pub struct Fuse(Arc<Mutex<State>>);

impl Fuse {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts to count anew. With `at`, the power goes at that moment, counted from 0.
    pub fn arm(&self, at: Option<usize>) {
        self.with(|s| *s = State { armed: at, ..State::default() });
    }

    /// The moments that were passed since it was armed.
    pub fn moments(&self) -> Vec<Moment> {
        self.with(|s| s.moments.clone())
    }

    /// Returns when the power is gone.
    pub async fn gone(&self) {
        let gone = self.with(|s| s.gone.clone());
        gone.cancelled().await;
    }

    /// Whether the power is gone.
    pub fn is_gone(&self) -> bool {
        self.with(|s| s.gone.is_cancelled())
    }

    /// Never returns if the power is gone, or goes now.
    pub(crate) async fn pass(&self, moment: Moment) {
        let gone = self.with(|s| {
            if !s.gone.is_cancelled() {
                let now = s.moments.len();
                let starts = matches!(moment, Moment::BeforeCall(_) | Moment::BeforeWrite(_));
                let answered = matches!(moment, Moment::AfterAnswer(_));
                s.moments.push(moment);
                if s.armed == Some(now) && answered {
                    s.doomed = true;
                } else if s.armed == Some(now) || (s.doomed && starts) {
                    s.gone.cancel();
                }
            }
            s.gone.is_cancelled()
        });
        if gone {
            std::future::pending::<()>().await;
        }
    }

    /// Never returns if the power is gone.
    pub(crate) async fn powered(&self) {
        if self.is_gone() {
            std::future::pending::<()>().await;
        }
    }
}

/// A store on a machine whose power can go.
pub struct FusedStore {
    inner: Arc<dyn Store>,
    fuse: Fuse,
}

impl FusedStore {
    /// Keeps everything in `inner`.
    pub fn new(inner: Arc<dyn Store>, fuse: Fuse) -> Self {
        FusedStore { inner, fuse }
    }
}

impl Store for FusedStore {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>> {
        self.inner.load()
    }
    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let what = format!("{}..{}", after + 1, after + batch.len() as u64);
            self.fuse.pass(Moment::BeforeWrite(what.clone())).await;
            let answer = self.inner.append(after, batch).await;
            self.fuse.pass(Moment::AfterWrite(what)).await;
            answer
        })
    }
    fn hold<'a>(&'a self, who: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>> {
        self.inner.hold(who)
    }
    fn place(&self) -> String {
        self.inner.place()
    }
}

/// A journal whose lock has run out: whoever asks holds it.
pub struct UnlockedStore(Arc<dyn Store>);

impl UnlockedStore {
    /// Keeps everything in `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        UnlockedStore(inner)
    }
}

impl Store for UnlockedStore {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>> {
        self.0.load()
    }
    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.append(after, batch)
    }
    fn hold<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>> {
        Box::pin(async { Ok(Hold::new(())) })
    }
    fn place(&self) -> String {
        self.0.place()
    }
}
