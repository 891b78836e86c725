//! The only place that sleeps: pauses, repeats and polls, and the two ways to stop.

use crate::error::{Class, Error};
use std::{future::Future, time::Duration};
use tokio_util::sync::CancellationToken;

/// Sleeps. Everything in Causeway that has to let time pass goes through here, so that tests can turn the clock.
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// How a run is told to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    drain: CancellationToken,
    abort: CancellationToken,
}

impl Stop {
    /// Start nothing new; let what runs come to its end.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Stop waiting too. What was begun stays in the journal, and the next run finds out what became of it.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Whether [`Stop::drain`] or [`Stop::abort`] was called.
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether [`Stop::abort`] was called.
    pub fn is_aborted(&self) -> bool {
        self.abort.is_cancelled()
    }

    /// Returns once [`Stop::drain`] or [`Stop::abort`] was called.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Returns once [`Stop::abort`] was called.
    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }
}

/// The pauses between attempts: doubling from half a second to 20 seconds.
pub(crate) struct Backoff(u32);

impl Backoff {
    /// From the start.
    pub(crate) fn new() -> Self {
        Backoff(0)
    }

    /// Pauses, longer each time; `false` if the run was aborted meanwhile.
    pub(crate) async fn pause(&mut self, stop: &Stop) -> bool {
        let time = Duration::from_millis(500) * 2u32.pow(self.0.min(6));
        self.0 += 1;
        pause_or(time.min(Duration::from_secs(20)), stop).await
    }

    /// How often it paused.
    pub(crate) fn count(&self) -> u32 {
        self.0
    }
}

/// Pauses; `false` if the run was aborted meanwhile.
pub(crate) async fn pause_or(time: Duration, stop: &Stop) -> bool {
    tokio::select! {
        biased;
        () = stop.aborted() => false,
        () = pause(time) => true,
    }
}

/// Attempts of a call whose failure may pass.
pub(crate) const ATTEMPTS: u32 = 12;

/// Repeats a call that may be repeated as it is: a read, an update to a wanted state, a delete, a create with a token.
///
/// # Errors
/// The last answer, where its failure does not pass or `stop` was told to abort.
pub async fn repeated<T, Fut>(stop: &Stop, mut call: impl FnMut() -> Fut) -> Result<T, Error>
where
    Fut: Future<Output = Result<T, Error>>,
{
    let mut backoff = Backoff::new();
    loop {
        match call().await {
            Err(e)
                if matches!(e.class(), Class::Transient | Class::Throttled) && backoff.count() < ATTEMPTS =>
            {
                tracing::debug!(error = %e.chain(), "call is repeated");
                if !backoff.pause(stop).await {
                    return Err(e);
                }
            }
            answer => return answer,
        }
    }
}
