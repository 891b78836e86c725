//! What happens while a plan is applied. Binaries print it; tests count it.

use crate::{plan::Action, value::Address};
use std::time::Duration;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The run starts.
    Started {
        /// How many steps there are.
        steps: usize,
        /// How long it will take, from what such steps took before.
        estimate: Duration,
        /// When nine of ten such runs are done.
        late: Duration,
    },
    /// A step starts.
    Begun {
        /// Of which resource.
        address: Address,
        /// Its kind.
        kind: String,
        /// What is done.
        action: Action,
        /// How long such a step usually takes.
        typical: Duration,
    },
    /// A step waits.
    Waiting {
        /// Which resource.
        address: Address,
        /// For what, in the cloud's words.
        on: String,
    },
    /// A step takes longer than 19 of 20 such steps.
    Slow {
        /// Of which resource.
        address: Address,
        /// What is done.
        action: Action,
        /// How long 19 of 20 take at most.
        after: Duration,
    },
    /// A step has had its effect. If the journal does not take that, [`Event::Failed`] follows.
    Done {
        /// Which resource.
        address: Address,
        /// What was done; [`Action::Keep`] where nothing was left to do.
        action: Action,
    },
    /// A step did not work. Independent steps go on.
    Failed {
        /// Which resource.
        address: Address,
        /// What was tried.
        action: Action,
        /// Why not.
        error: String,
    },
    /// A step was not tried, because of a failure before it or because the run was stopped.
    Skipped {
        /// Which resource.
        address: Address,
        /// What would have been done.
        action: Action,
        /// Why not.
        why: String,
    },
    /// Nothing new is started any more.
    Draining,
}
