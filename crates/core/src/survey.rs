//! Many looks at once, with which a plan begins.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

tokio::task_local! {
    static SURVEY: Survey;
}

/// Looks that belong together. Nothing follows from them but a plan: whatever acts looks again, alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    begun: Arc<AtomicBool>,
}

impl Survey {
    /// The survey that this task is part of.
    pub(crate) fn current() -> Option<Survey> {
        SURVEY.try_with(Survey::clone).ok()
    }

    /// Runs the looks in `future` as part of this survey.
    pub(crate) async fn of<F: Future>(&self, future: F) -> F::Output {
        SURVEY.scope(self.clone(), future).await
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
