//! Many small look-ups as one call: the author of a resource asks for one, the client asks for all at once.

use crate::{
    error::{Class, Error},
    survey::Survey,
};
use futures::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// How long a look-up waits for company. Well below the time of one call, so that nobody notices.
const WINDOW: Duration = Duration::from_millis(5);

/// For how many windows a burst of look-ups is waited for, as long as there are more in each.
const WINDOWS: usize = 5;

/// For how many windows it is waited until all looks of a survey have begun, which they do without waiting for anything.
/// Preparing many calls takes a while where the machine is slow, and then every look-up that is missed is a call more.
const BEGINNING: usize = 2000;

type Waiting<K, V> = BTreeMap<K, Vec<oneshot::Sender<Result<Option<V>, Shared>>>>;
type Fetch<K, V> = dyn Fn(BTreeSet<K>) -> BoxFuture<'static, Result<BTreeMap<K, V>, Error>> + Send + Sync;

/// Collects look-ups that come at about the same time and answers them from one call.
///
/// An answer is never older than its question: every call starts after the questions that it answers.
pub struct Coalesce<K, V> {
    fetch: Arc<Fetch<K, V>>,
    most: usize,
    waiting: Arc<Mutex<Waiting<K, V>>>,
}

impl<K, V> Clone for Coalesce<K, V> {
    fn clone(&self) -> Self {
        Coalesce { fetch: Arc::clone(&self.fetch), most: self.most, waiting: Arc::clone(&self.waiting) }
    }
}

impl<K, V> Coalesce<K, V>
where
    K: Ord + Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// `fetch` answers for up to `most` keys with one call; keys that it leaves out do not exist.
    pub fn new<F, Fut>(most: usize, fetch: F) -> Self
    where
        F: Fn(BTreeSet<K>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<BTreeMap<K, V>, Error>> + Send + 'static,
    {
        Coalesce { fetch: Arc::new(move |keys| Box::pin(fetch(keys))), most, waiting: Arc::default() }
    }

    /// The value of `key`, or `None` if there is none.
    ///
    /// # Errors
    /// Whatever the call that was shared with others failed with.
    pub async fn get(&self, key: K) -> Result<Option<V>, Error> {
        let (send, receive) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let first = waiting.is_empty();
            waiting.entry(key).or_default().push(send);
            first
        };
        if first {
            tokio::spawn(self.clone().answer(Survey::current()));
        }
        match receive.await {
            Ok(answer) => answer.map_err(Shared::into_error),
            Err(_) => Err(Error::Invalid("a shared look-up was cancelled".into())),
        }
    }

    async fn answer(self, survey: Option<Survey>) {
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..BEGINNING {
            if survey.as_ref().is_none_or(Survey::has_begun) {
                break;
            }
            crate::wait::pause(WINDOW).await;
        }
        let mut asked = 1;
        for _ in 0..WINDOWS {
            crate::wait::pause(WINDOW).await;
            let now = waiting().len();
            if now == asked {
                break;
            }
            asked = now;
        }
        let taken = std::mem::take(&mut *waiting());
        let mut taken: Vec<_> = taken.into_iter().collect();
        while !taken.is_empty() {
            let chunk = taken.split_off(taken.len().saturating_sub(self.most));
            let fetch = Arc::clone(&self.fetch);
            tokio::spawn(async move {
                let answer =
                    fetch(chunk.iter().map(|(k, _)| k.clone()).collect()).await.map_err(Shared::from);
                for (key, askers) in chunk {
                    let one = answer.as_ref().map(|found| found.get(&key).cloned()).map_err(Clone::clone);
                    for asker in askers {
                        // An asker that is gone no longer wants to know.
                        let _ = asker.send(one.clone());
                    }
                }
            });
        }
    }
}

/// One failure told to many askers.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
struct Shared(Arc<Error>);

impl From<Error> for Shared {
    fn from(error: Error) -> Self {
        Shared(Arc::new(error))
    }
}
impl Shared {
    fn into_error(self) -> Error {
        let (call, class) = match &*self.0 {
            Error::Call { call, class, .. } => (*call, *class),
            _ => ("shared look-up", Class::Final),
        };
        Error::Call { call, class, source: Box::new(SharedCause(self.0)) }
    }
}

/// The cause of a shared failure, without naming the call twice.
#[derive(Debug)]
struct SharedCause(Arc<Error>);

impl std::fmt::Display for SharedCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match std::error::Error::source(&*self.0) {
            Some(cause) => std::fmt::Display::fmt(cause, f),
            None => std::fmt::Display::fmt(&self.0, f),
        }
    }
}
impl std::error::Error for SharedCause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)?.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn look_ups_at_about_the_same_time_share_a_call() {
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&calls);
        let names = Coalesce::new(100, move |keys: BTreeSet<u32>| {
            seen.fetch_add(1, Ordering::SeqCst);
            async move { Ok(keys.into_iter().filter(|k| *k != 7).map(|k| (k, k * 2)).collect()) }
        });
        let all = futures::future::join_all((0..250).map(|k| names.get(k))).await;
        assert_eq!(all[3].as_ref().unwrap(), &Some(6));
        assert_eq!(all[7].as_ref().unwrap(), &None);
        assert_eq!(calls.load(Ordering::SeqCst), 3);
    }
}
