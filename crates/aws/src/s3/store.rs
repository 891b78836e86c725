//! A journal in a bucket. Lock and fence are the same thing: the next entry has one key, which can be written once.
//!
//! Under the prefix stand
//!
//! - `entries/<seq>`: one batch of entries, a line each, named after its first. They are never deleted: a writer that
//!   slept through a hundred other runs must still find the key of what it thinks is the next entry taken.
//! - `snapshots/<seq>`: all entries up to that one, so that a load is a few calls. Never needed: whatever becomes of
//!   them, the entries hold everything.
//! - `lease`: who is at work, for politeness.

use super::{
    lease,
    objects::{Objects, Only, Put, pauses},
};
use aws_config::SdkConfig;
use causeway_core::{
    Error,
    journal::Stamped,
    store::{Hold, Holder, Store, StoreError},
};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

const ENTRIES: &str = "entries/";
const SNAPSHOTS: &str = "snapshots/";
/// How many objects are read at a time.
const AT_ONCE: usize = 16;

/// Keeps a journal in S3. The bucket must be there; `Bucket::private` says what it should be like.
///
/// An append is one call. What it does in the background, a snapshot or giving a lease back, ends with
/// [`Store::settle`], which a program should await before it exits: a lease that was not given back keeps others waiting until it expires.
///
/// Needs `s3:ListBucket` on the bucket, `s3:GetObject` and `s3:PutObject` under the prefix, and `s3:DeleteObject` under
/// `snapshots/` there, without which old snapshots stay. A policy may well forbid everybody to delete entries.
#[derive(Clone)]
pub struct S3Store(Arc<Inner>);

struct Inner {
    objects: Arc<Objects>,
    /// Tells what this store wrote from what others wrote.
    writer: String,
    compact_after: usize,
    lease: Duration,
    /// What is known of the end. Held over an append, so that this store never races with itself.
    tail: tokio::sync::Mutex<Option<Tail>>,
    compacting: AtomicBool,
    background: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone, Copy, Default)]
struct Tail {
    /// The last entry.
    seq: u64,
    /// How many objects hold the entries since the newest snapshot.
    objects: usize,
}

/// Everything there is, as it was written.
#[derive(Default)]
struct Whole {
    text: Vec<u8>,
    entries: Vec<Stamped>,
    tail: Tail,
}

/// Why a journal is not whole.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("entry {wanted} is missing: `{key}` goes on with entry {found}")]
    Gap { wanted: u64, found: u64, key: String },
    #[error("the newest snapshot went away again and again")]
    Restless,
    #[error("the snapshot does not read as it was written")]
    Snapshot,
}

impl S3Store {
    /// In `bucket`, under `prefix` (like `coder/prod`; may be empty). `config` has the bucket's region, and no retries
    /// of its own (see [`crate::sdk_config`]). `kms_key` is the id or ARN of the key to encrypt with; S3's own if none.
    pub fn new(config: &SdkConfig, bucket: &str, prefix: &str, kms_key: Option<String>) -> Self {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let api = crate::client::client!(aws_sdk_s3, config);
        S3Store(Arc::new(Inner {
            objects: Arc::new(Objects { api, bucket: bucket.into(), prefix, kms_key }),
            writer: random(),
            compact_after: 100,
            lease: Duration::from_secs(60),
            tail: tokio::sync::Mutex::default(),
            compacting: AtomicBool::new(false),
            background: Mutex::default(),
        }))
    }

    /// Makes a snapshot in the background once more than `objects` objects hold what came after the last one: 100
    /// unless said otherwise. To be said before the store is used or cloned.
    #[must_use]
    pub fn compact_after(mut self, objects: usize) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.compact_after = objects;
        }
        self
    }

    /// How long a lease counts that is not renewed: a minute unless said otherwise. Renewed after a third of it.
    /// To be said before the store is used or cloned.
    #[must_use]
    pub fn lease(mut self, time: Duration) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.lease = time;
        }
        self
    }

    /// Makes a snapshot of everything, now. Entries stay where they are; older snapshots go once this one was read
    /// back. Nothing happens where there is nothing new.
    ///
    /// # Errors
    /// When something cannot be read or written. Nothing is lost then.
    pub async fn compact(&self) -> Result<(), StoreError> {
        self.0.compact().await
    }
}

impl Inner {
    fn background(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, key: &str, damage: Damage) -> StoreError {
        self.objects.failed("reading", key)(damage)
    }

    async fn read(&self) -> Result<Whole, StoreError> {
        for _ in 0..5 {
            let Some(newest) = self.objects.list(SNAPSHOTS, "").await?.pop() else {
                return self.since(Whole::default(), self.bodies("").await?);
            };
            let after = newest.strip_prefix(SNAPSHOTS).unwrap_or_default();
            let (snapshot, bodies) = tokio::try_join!(self.objects.get(&newest), self.bodies(after))?;
            // If there is none, a newer one has just taken its place.
            let Some(snapshot) = snapshot else { continue };
            let mut whole = Whole::default();
            if let Err(error) = self.add(&mut whole, &newest, &snapshot.body) {
                tracing::warn!(error = &error as &dyn std::error::Error, "the snapshot is left aside");
                return self.since(Whole::default(), self.bodies("").await?);
            }
            return self.since(whole, bodies);
        }
        Err(self.damaged(SNAPSHOTS, Damage::Restless))
    }

    /// The objects with the entries that come after the key `after`.
    async fn bodies(&self, after: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let body = async |key: String| {
            let found = self.objects.get(&key).await?;
            Ok((key, found.map(|object| object.body).unwrap_or_default()))
        };
        stream::iter(self.objects.list(ENTRIES, after).await?).map(body).buffered(AT_ONCE).try_collect().await
    }

    fn since(&self, mut whole: Whole, bodies: Vec<(String, Vec<u8>)>) -> Result<Whole, StoreError> {
        for (key, body) in &bodies {
            self.add(&mut whole, key, body)?;
        }
        whole.tail.objects = bodies.len();
        Ok(whole)
    }

    /// Adds what `key` holds, which must go on where `whole` ends and be what the key says.
    fn add(&self, whole: &mut Whole, key: &str, body: &[u8]) -> Result<(), StoreError> {
        let entries = decode(&self.objects.place(key), body)?;
        let gap = |wanted, found| self.damaged(key, Damage::Gap { wanted, found, key: key.to_owned() });
        for (wanted, entry) in (whole.tail.seq + 1..).zip(&entries) {
            if wanted != entry.seq {
                return Err(gap(wanted, entry.seq));
            }
        }
        let first = entries.first().map_or(0, |entry| entry.seq);
        let last = entries.last().map_or(0, |entry| entry.seq);
        if key != entry_key(first) && key != snapshot_key(last) {
            return Err(gap(whole.tail.seq + 1, first));
        }
        whole.tail.seq = last;
        whole.entries.extend(entries);
        whole.text.extend_from_slice(body);
        Ok(())
    }

    async fn append(&self, after: u64, batch: &[Stamped]) -> Result<Tail, StoreError> {
        let mut end = self.tail.lock().await;
        let mut tail = match end.take() {
            Some(known) if known.seq >= after => known,
            _ => self.read().await?.tail,
        };
        if tail.seq != after {
            *end = Some(tail);
            return Err(StoreError::Fenced(tail.seq));
        }
        // Kept while a write is under way: if this future is dropped, the next append finds at this very key what
        // became of it.
        *end = Some(tail);
        let mut rest = batch;
        while !rest.is_empty() {
            match self.write(tail.seq + 1, rest).await {
                Ok(written) => {
                    rest = &rest[written..];
                    tail = Tail { seq: tail.seq + written as u64, objects: tail.objects + 1 };
                    *end = Some(tail);
                }
                Err(error) => {
                    *end = None;
                    return Err(error);
                }
            }
        }
        Ok(tail)
    }

    /// Writes `batch` as the object that begins with entry `seq`. Answers how many of its entries are in that object:
    /// fewer than all if an earlier write of ours, of which nobody waited for the answer, was there first.
    async fn write(&self, seq: u64, batch: &[Stamped]) -> Result<usize, StoreError> {
        let key = entry_key(seq);
        let body = encode(batch).map_err(self.objects.failed("encoding", &key))?;
        let mut pauses = pauses();
        loop {
            let unknown: Option<Error> =
                match self.objects.put(&key, body.clone(), &self.writer, &Only::New).await? {
                    Put::Written(_) => return Ok(batch.len()),
                    Put::Refused => None,
                    Put::Unknown(error) => Some(error),
                };
            if let Some(there) = self.objects.get(&key).await? {
                let entries = decode(&self.objects.place(&key), &there.body);
                let ours = there.writer.as_ref() == Some(&self.writer);
                return match entries {
                    Ok(entries) if ours && !entries.is_empty() && batch.starts_with(&entries) => {
                        Ok(entries.len())
                    }
                    Ok(entries) => Err(StoreError::Fenced(entries.last().map_or(seq, |e| e.seq))),
                    Err(_) => Err(StoreError::Fenced(seq)),
                };
            }
            match (pauses.next(), unknown) {
                (Some(pause), _) => tokio::time::sleep(pause).await,
                (None, Some(error)) => return Err(self.objects.failed("writing", &key)(error)),
                (None, None) => return Err(StoreError::Fenced(seq)),
            }
        }
    }

    async fn compact(&self) -> Result<(), StoreError> {
        let whole = self.read().await?;
        if whole.tail.objects == 0 {
            return Ok(());
        }
        let key = snapshot_key(whole.tail.seq);
        // Whoever makes it writes the same bytes, so it does not matter who is first.
        let put = self.objects.put(&key, whole.text.clone(), &self.writer, &Only::New).await?;
        let there = self.objects.get(&key).await?;
        if there.is_none_or(|there| there.body != whole.text) {
            return Err(match put {
                Put::Unknown(error) => self.objects.failed("writing", &key)(error),
                _ => self.damaged(&key, Damage::Snapshot),
            });
        }
        if let Some(tail) = &mut *self.tail.lock().await {
            tail.objects = tail.objects.saturating_sub(whole.tail.objects);
        }
        for older in self.objects.list(SNAPSHOTS, "").await?.into_iter().filter(|other| *other < key) {
            self.objects.delete(&older).await?;
        }
        Ok(())
    }
}

impl Store for S3Store {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>> {
        Box::pin(async {
            let mut end = self.0.tail.lock().await;
            let whole = self.0.read().await?;
            *end = Some(whole.tail);
            Ok(whole.entries)
        })
    }

    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let tail = self.0.append(after, batch).await?;
            if tail.objects > self.0.compact_after && !self.0.compacting.swap(true, Ordering::AcqRel) {
                let inner = Arc::clone(&self.0);
                let task = tokio::spawn(async move {
                    if let Err(error) = inner.compact().await {
                        tracing::warn!(error = &error as &dyn std::error::Error, "no snapshot was made");
                    }
                    inner.compacting.store(false, Ordering::Release);
                });
                self.0.background().push(task);
            }
            Ok(())
        })
    }

    fn hold<'a>(&'a self, who: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>> {
        Box::pin(async move {
            let lease = lease::take(Arc::clone(&self.0.objects), who, self.0.lease).await?;
            let (stop, stopped) = oneshot::channel();
            let keeper = tokio::spawn(lease.keep(stopped));
            Ok(Hold::new(Held { stop: Some(stop), keeper: Some(keeper), inner: Arc::clone(&self.0) }))
        })
    }

    fn holder(&self) -> BoxFuture<'_, Result<Option<Holder>, StoreError>> {
        Box::pin(lease::holder(&self.0.objects))
    }

    fn unlock(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(lease::take_away(&self.0.objects))
    }

    /// A lease that is still held is not waited for.
    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let tasks: Vec<_> = {
                let mut all = self.0.background();
                std::mem::take(&mut *all)
            };
            for task in tasks {
                // A task that panicked or was aborted has nothing left to do.
                let _ = task.await;
            }
        })
    }

    fn place(&self) -> String {
        self.0.objects.place("")
    }
}

/// While it lives, the lease is renewed.
struct Held {
    stop: Option<oneshot::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
    inner: Arc<Inner>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stop.take();
        self.inner.background().extend(self.keeper.take());
    }
}

/// What nobody else has: 32 characters of `[0-9a-f]`.
///
/// # Panics
/// If the operating system gives no random bytes.
pub(super) fn random() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    format!("{:032x}", u128::from_be_bytes(bytes))
}

fn entry_key(seq: u64) -> String {
    format!("{ENTRIES}{seq:020}")
}

fn snapshot_key(seq: u64) -> String {
    format!("{SNAPSHOTS}{seq:020}")
}

fn encode(batch: &[Stamped]) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = vec![];
    for entry in batch {
        serde_json::to_writer(&mut text, entry)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn decode(path: &str, text: &[u8]) -> Result<Vec<Stamped>, StoreError> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entry = |(line, text): (u64, &[u8])| {
        serde_json::from_slice(text).map_err(|source| StoreError::Decode {
            path: path.to_owned(),
            line,
            source: Arc::new(source),
        })
    };
    (1..).zip(lines).map(entry).collect()
}
