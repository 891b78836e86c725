//! Many looks at once, with which a plan begins.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

tokio::task_local! {
    static SURVEY: Survey;
}

/// Looks that belong together. Nothing follows from them but a plan: whatever acts looks again, alone.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    id: u64,
    begun: Arc<AtomicBool>,
    unfinished: bool,
}

impl Default for Survey {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Survey { id: NEXT.fetch_add(1, Ordering::Relaxed), begun: Arc::default(), unfinished: false }
    }
}

impl Survey {
    /// The survey that this task is part of.
    pub(crate) fn current() -> Option<Survey> {
        SURVEY.try_with(Survey::clone).ok()
    }

    /// Unlike that of every other survey of this process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Runs the looks in `future` as part of this survey.
    pub(crate) async fn of<F: Future>(&self, future: F) -> F::Output {
        SURVEY.scope(self.clone(), future).await
    }

    /// Runs a look at something that no apply has finished, of which nobody knows what was done to it.
    pub(crate) async fn of_unfinished<F: Future>(&self, future: F) -> F::Output {
        let survey = Survey { unfinished: true, ..self.clone() };
        SURVEY.scope(survey, future).await
    }

    /// Whether this is a look at what an apply has finished, or at what is in no journal.
    pub(crate) fn is_settled(&self) -> bool {
        !self.unfinished
    }

    /// Says that all looks that run at once have begun: there is nobody else to wait for.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Whether [`Survey::begin`] was called.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }
}
