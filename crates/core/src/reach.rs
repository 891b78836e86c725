//! Which places answer, and for how long one is asked that does not.
//!
//! A call is repeated while its failure may pass. Where nothing at all is heard from a place meanwhile, and other places
//! do answer, it is not the way from here that is broken but the place, and there is no use in asking for as long. From
//! then on every call to it is tried once only, until one is answered: a hundred steps do not wait a hundred times.

use crate::{
    error::{Class, Error},
    place::PlaceData,
    wait::{ATTEMPTS, Backoff, Stop},
};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{sync::watch, time::Instant};

/// After so many attempts, half a minute, a place counts as away that said nothing while others did.
const ENOUGH: u32 = 6;

/// What is known of the places of one run.
#[derive(Clone, Default)]
pub(crate) struct Reach(Arc<Mutex<BTreeMap<PlaceData, Road>>>);

struct Road {
    /// When the place answered last, with whatever.
    answered: Option<Instant>,
    /// Whether it was given up.
    cut: watch::Sender<bool>,
}

impl Reach {
    fn road<T>(&self, place: &PlaceData, act: impl FnOnce(&mut Road) -> T) -> T {
        let mut roads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Road { answered: None, cut: watch::Sender::new(false) };
        act(roads.entry(place.clone()).or_insert_with(new))
    }

    fn answered(&self, place: &PlaceData) {
        self.road(place, |road| {
            road.answered = Some(Instant::now());
            road.cut.send_if_modified(std::mem::take);
        });
    }

    /// Whether nothing at all was heard from `place` after `since`.
    fn is_silent(&self, place: &PlaceData, since: Instant) -> bool {
        self.road(place, |road| road.answered.is_none_or(|at| at <= since))
    }

    /// Whether any other place than `place` has answered since `since`.
    fn others_answer(&self, place: &PlaceData, since: Instant) -> bool {
        let roads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roads.iter().any(|(other, road)| other != place && road.answered.is_some_and(|at| at >= since))
    }

    /// Whether `place` was given up, and has not answered since.
    pub(crate) fn is_cut(&self, place: &PlaceData) -> bool {
        self.road(place, |road| *road.cut.borrow())
    }

    /// Repeats a call to `place` that may be repeated as it is, as [`repeated`](crate::wait::repeated) does, and no longer
    /// than there is use in it.
    ///
    /// # Errors
    /// The last answer; [`Error::Connect`] where the place does not answer at all.
    pub(crate) async fn repeated<T, Fut>(
        &self,
        stop: &Stop,
        place: &PlaceData,
        mut call: impl FnMut() -> Fut,
    ) -> Result<T, Error>
    where
        Fut: Future<Output = Result<T, Error>>,
    {
        let mut tries = self.tries(place, ATTEMPTS);
        loop {
            match call().await {
                Err(e) if matches!(e.class(), Class::Transient | Class::Throttled) => {
                    if !tries.may_go_on(&e) {
                        return Err(tries.given_up(e));
                    }
                    tracing::debug!(error = %e.chain(), "call is repeated");
                    if !tries.pause(stop, &e).await {
                        return Err(e);
                    }
                }
                answer => {
                    self.answered(place);
                    return answer;
                }
            }
        }
    }

    /// Attempts of one call to `place`, at most `most` beside the first.
    pub(crate) fn tries<'r>(&'r self, place: &'r PlaceData, most: u32) -> Tries<'r> {
        Tries { reach: self, place, since: Instant::now(), backoff: Backoff::new(), most }
    }
}

/// The attempts of one call.
pub(crate) struct Tries<'r> {
    reach: &'r Reach,
    place: &'r PlaceData,
    since: Instant,
    backoff: Backoff,
    most: u32,
}

impl Tries<'_> {
    /// How often it paused.
    pub(crate) fn count(&self) -> u32 {
        self.backoff.count()
    }

    /// The place has answered, if not as wished.
    pub(crate) fn answered(&self) {
        self.reach.answered(self.place);
    }

    /// Whether there is use in another attempt after `error`.
    pub(crate) fn may_go_on(&self, error: &Error) -> bool {
        if error.class() != Class::Transient {
            self.answered();
            return self.count() < self.most;
        }
        let silent = self.reach.is_silent(self.place, self.since);
        let away = silent && self.count() >= ENOUGH && self.reach.others_answer(self.place, self.since);
        let over = self.count() >= self.most;
        if silent && (away || over) {
            self.reach
                .road(self.place, |road| road.cut.send_if_modified(|cut| !std::mem::replace(cut, true)));
        }
        !(over || away || self.reach.is_cut(self.place))
    }

    /// What is told where there is no use in another attempt.
    pub(crate) fn given_up(&self, error: Error) -> Error {
        match error {
            Error::Call { class: Class::Transient, .. } if self.reach.is_cut(self.place) => {
                Error::Connect { place: self.place.label(), source: Box::new(error) }
            }
            error => error,
        }
    }

    /// Pauses, longer each time, and not at all once others have given the place up; `false` if the run was aborted
    /// meanwhile.
    pub(crate) async fn pause(&mut self, stop: &Stop, error: &Error) -> bool {
        if error.class() != Class::Transient {
            return self.backoff.pause(stop).await;
        }
        let mut cut = self.reach.road(self.place, |road| road.cut.subscribe());
        tokio::select! {
            biased;
            go_on = self.backoff.pause(stop) => go_on,
            // The sender lives as long as the run does.
            Ok(_) = cut.wait_for(|cut| *cut) => true,
        }
    }
}
