//! The only place that sleeps.

use std::time::Duration;

/// Sleeps. Everything in Causeway that has to let time pass goes through here, so that tests can turn the clock.
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
