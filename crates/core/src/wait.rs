//! The only place that sleeps: pauses, repeats and polls, and the two ways to stop.

use crate::error::{Class, Error};
use std::{future::Future, time::Duration};
use tokio::time::Instant;
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

/// The first pause between two looks: most things that are not there at once are there soon after.
const FIRST: Duration = Duration::from_millis(250);

/// A look comes late by no more than this part of the time that was waited.
const LATE: u32 = 16;

/// The pauses between looks at something that takes its time: they grow with the time that it has taken, so that what is
/// quick is not waited for as long as what is slow.
pub(crate) struct Pace {
    since: Instant,
    first: Duration,
    longest: Duration,
}

impl Pace {
    /// From now on; no pause is longer than `longest`. All are so many times as short where there is `hurry`.
    pub(crate) fn new(longest: Duration, hurry: u32) -> Self {
        let hurry = hurry.max(1);
        Pace { since: Instant::now(), first: FIRST / hurry, longest: longest / hurry }
    }

    /// How long it has taken so far.
    pub(crate) fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// Pauses until the next look.
    pub(crate) async fn pause(&self) {
        pause((self.waited() / LATE).max(self.first).min(self.longest)).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after `takes` it is seen, and with how many looks.
    async fn seen(takes: Duration, longest: Duration) -> (Duration, u32) {
        let (begun, pace, mut looks) = (Instant::now(), Pace::new(longest, 1), 1);
        while begun.elapsed() < takes {
            pace.pause().await;
            looks += 1;
        }
        (begun.elapsed() - takes, looks)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_is_seen_soon_and_what_is_slow_costs_few_looks() {
        let longest = Duration::from_secs(5);
        for seconds in [6, 48, 600] {
            let takes = Duration::from_secs(seconds);
            let (late, looks) = seen(takes, longest).await;
            assert!(late <= takes / LATE, "{seconds} s: {late:?} late");
            // As many as at an even pace, and those of the beginning.
            assert!(u64::from(looks) <= seconds / 5 + 65, "{seconds} s: {looks} looks");
        }
        assert!(seen(Duration::from_millis(100), longest).await.0 <= FIRST);
        assert_eq!(seen(Duration::from_millis(100), Duration::from_millis(1)).await.0, Duration::ZERO);
        let (begun, hurried) = (Instant::now(), Pace::new(longest, 100));
        hurried.pause().await;
        assert!(begun.elapsed() <= FIRST / 50);
    }
}
