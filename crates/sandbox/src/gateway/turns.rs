//! One change at a time for each account of moto, and no look at it meanwhile.
//!
//! Moto answers every request in a thread of its own and locks nothing: of two rules of a security group that are revoked at
//! once, one may stay, because each request puts its own list in place of the one that it found.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::lock;
use crate::account;

/// More than will ever look at an account at once.
const ALL: u32 = 1 << 16;

/// Who may go to moto, by account.
#[derive(Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Turns {
    /// Waits, in the order of asking, until it is this call's turn; its turn lasts until the permit is dropped.
    pub(crate) async fn wait(
        &self,
        access_key: &str,
        changes: bool,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let account = account::of(access_key).to_owned();
        let seats =
            lock(&self.0).entry(account).or_insert_with(|| Arc::new(Semaphore::new(ALL as usize))).clone();
        seats.acquire_many_owned(if changes { ALL } else { 1 }).await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn changes_are_alone_and_looks_are_not() {
        let [one, other] = ["000000000001", "000000000002"].map(|id| account::credentials(id).unwrap().0);
        let turns = Turns::default();
        let looks = [turns.wait(&one, false).await.unwrap(), turns.wait(&one, false).await.unwrap()];
        assert!(turns.wait(&one, true).now_or_never().is_none(), "somebody looks");
        drop(looks);
        let change = turns.wait(&one, true).await.unwrap();
        assert!(turns.wait(&one, false).now_or_never().is_none(), "something changes");
        assert!(turns.wait(&one, true).now_or_never().is_none(), "something else changes");
        assert!(turns.wait(&other, true).now_or_never().is_some(), "another account does not wait");
        drop(change);
        assert!(turns.wait(&one, true).now_or_never().is_some(), "its turn");
    }
}
