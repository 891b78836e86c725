//! Where journals are kept. One format in all of them.

mod copy;
mod relocate;

pub use copy::{CopyError, copy};
pub use relocate::{MoveError, relocate};

use crate::journal::Stamped;
use futures::future::BoxFuture;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Keeps the entries of one journal.
pub trait Store: Send + Sync {
    /// All entries, in order.
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>>;

    /// Appends `batch` if `after` is the last entry. Durable when it returns.
    ///
    /// [`StoreError::Fenced`] when another writer was there first: this is lock and fence at once.
    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Asks politely to be the only writer until the answer is dropped. `who` is told to others that ask.
    fn hold<'a>(&'a self, who: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>>;

    /// Who is at work, or was and never said that it ended. Writes nothing. Nobody, where no other program can be.
    fn holder(&self) -> BoxFuture<'_, Result<Option<Holder>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    /// Takes [`Store::hold`] away from whoever has it. What that run still wants to write is fenced as soon as another
    /// one has written. Nothing to do where no other program can be.
    fn unlock(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Waits for what goes on in the background, like a hold that is being given back. To be awaited before a program
    /// exits.
    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Where it is, for people.
    fn place(&self) -> String;

    /// Where it is, for the journal itself: the same wherever the program runs.
    fn home(&self) -> String {
        self.place()
    }
}

/// Who is at work on a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who, on which host, in which process.
    pub who: String,
    /// Since when, by its own clock, if that is known.
    pub since: Option<jiff::Timestamp>,
    /// Until when if it does not go on, by its own clock. `None`: until its process ends.
    pub until: Option<jiff::Timestamp>,
}

impl Holder {
    /// Whether it counts at `now`.
    pub fn is_live(&self, now: jiff::Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.who)?;
        if let Some(since) = self.since {
            write!(f, ", since {}", since.strftime("%Y-%m-%d %H:%M:%S UTC"))?;
        }
        if let Some(until) = self.until {
            write!(f, "; its lease ends at {} unless it goes on", until.strftime("%H:%M:%S UTC"))?;
        }
        Ok(())
    }
}

/// Being the only writer, until it is dropped.
pub struct Hold(#[expect(dead_code, reason = "dropped, not read")] Box<dyn Send + Sync>);

impl Hold {
    /// Holds for as long as `guard` lives.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Hold(Box::new(guard))
    }
}

/// Why a journal could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer appended first. Nothing was written.
    #[error("another run has written to the journal since this one read it (entry {0})")]
    Fenced(u64),
    /// Another run is at work.
    #[error("another run holds the journal: {0}")]
    Held(String),
    /// What the journal is kept in does not exist: nobody has made it, or it was deleted.
    #[error("{0} does not exist")]
    Missing(String),
    /// Reading or writing failed.
    #[error("{act} failed")]
    Io {
        /// What was tried, with the path.
        act: String,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// An entry does not decode.
    #[error("entry {line} of {path} does not decode")]
    Decode {
        /// The file.
        path: String,
        /// Which entry.
        line: u64,
        /// Why.
        #[source]
        source: Arc<serde_json::Error>,
    },
}

fn io<E: std::error::Error + Send + Sync + 'static>(act: String) -> impl FnOnce(E) -> StoreError {
    move |source| StoreError::Io { act, source: Arc::new(source) }
}

/// A journal in memory.
#[derive(Default)]
pub struct MemoryStore {
    entries: Mutex<Vec<Stamped>>,
    held: Arc<tokio::sync::Mutex<()>>,
}

impl MemoryStore {
    /// The entries.
    pub fn entries(&self) -> Vec<Stamped> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store for MemoryStore {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>> {
        Box::pin(async { Ok(self.entries()) })
    }
    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            let last = entries.last().map_or(0, |e| e.seq);
            if last != after {
                return Err(StoreError::Fenced(last));
            }
            entries.extend_from_slice(batch);
            Ok(())
        })
    }
    fn hold<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>> {
        Box::pin(async {
            Arc::clone(&self.held)
                .try_lock_owned()
                .map(Hold::new)
                .map_err(|_| StoreError::Held("this process".into()))
        })
    }
    fn place(&self) -> String {
        "memory".into()
    }
}

/// A journal in a local folder: `journal.jsonl`, one entry a line.
pub struct LocalStore {
    folder: PathBuf,
}

impl LocalStore {
    /// In `folder`, which is made when the first entry is written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        LocalStore { folder: folder.into() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("journal.jsonl")
    }

    fn lock_path(&self) -> PathBuf {
        self.folder.join("lock")
    }

    fn holder_now(&self) -> Result<Option<Holder>, StoreError> {
        let path = self.lock_path();
        let act = || format!("reading {}", path.display());
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io(act())(e)),
        };
        match file.try_lock_shared() {
            // Let go of when the file is closed.
            Ok(()) => Ok(None),
            Err(std::fs::TryLockError::WouldBlock) => {
                let mut who = String::new();
                file.read_to_string(&mut who).map_err(io(act()))?;
                let since = file.metadata().and_then(|m| m.modified()).ok();
                let since = since.and_then(|at| jiff::Timestamp::try_from(at).ok());
                Ok(Some(Holder { who, since, until: None }))
            }
            Err(std::fs::TryLockError::Error(e)) => Err(io(act())(e)),
        }
    }

    fn make_folder(&self) -> Result<(), StoreError> {
        std::fs::create_dir_all(&self.folder).map_err(io(format!("making {}", self.folder.display())))
    }

    fn append_now(&self, after: u64, batch: &[Stamped]) -> Result<(), StoreError> {
        self.make_folder()?;
        let path = self.path();
        let act = |what: &str| format!("{what} {}", path.display());
        let existed = path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io(act("opening")))?;
        file.lock().map_err(io(act("locking")))?;
        let (entries, good) = read(&mut file, &path)?;
        let last = entries.last().map_or(0, |e| e.seq);
        if last != after {
            return Err(StoreError::Fenced(last));
        }
        // A line that was cut off by a crash was never acknowledged: write over it.
        file.set_len(good).map_err(io(act("writing")))?;
        file.seek(SeekFrom::Start(good)).map_err(io(act("writing")))?;
        let mut text = Vec::new();
        for entry in batch {
            serde_json::to_writer(&mut text, entry).map_err(io(act("writing")))?;
            text.push(b'\n');
        }
        file.write_all(&text).map_err(io(act("writing")))?;
        file.sync_data().map_err(io(act("syncing")))?;
        if !existed {
            // The name itself must survive a crash too.
            File::open(&self.folder).and_then(|d| d.sync_all()).map_err(io(act("syncing the folder of")))?;
        }
        Ok(())
    }
}

/// The entries, and how many bytes of the file hold whole ones.
fn read(file: &mut File, path: &Path) -> Result<(Vec<Stamped>, u64), StoreError> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(io(format!("reading {}", path.display())))?;
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    let entries = text[..whole]
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .enumerate()
        .map(|(i, line)| {
            serde_json::from_slice(line).map_err(|source| StoreError::Decode {
                path: path.display().to_string(),
                line: i as u64 + 1,
                source: Arc::new(source),
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((entries, whole as u64))
}

impl Store for LocalStore {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>> {
        Box::pin(async {
            let path = self.path();
            match File::open(&path) {
                Ok(mut file) => read(&mut file, &path).map(|(entries, _)| entries),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
                Err(e) => Err(io(format!("opening {}", path.display()))(e)),
            }
        })
    }

    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.append_now(after, batch) })
    }

    fn hold<'a>(&'a self, who: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>> {
        Box::pin(async move {
            self.make_folder()?;
            let path = self.lock_path();
            let act = || format!("locking {}", path.display());
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(io(act()))?;
            match file.try_lock() {
                Ok(()) => {
                    // The operating system lets go of the lock when the process ends, however it ends.
                    file.set_len(0).and_then(|()| file.write_all(who.as_bytes())).map_err(io(act()))?;
                    Ok(Hold::new(file))
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).map_err(io(act()))?;
                    Err(StoreError::Held(holder))
                }
                Err(std::fs::TryLockError::Error(e)) => Err(io(act())(e)),
            }
        })
    }

    fn holder(&self) -> BoxFuture<'_, Result<Option<Holder>, StoreError>> {
        Box::pin(async { self.holder_now() })
    }

    fn unlock(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let path = self.lock_path();
            // The lock stays with a file that has no name any more; the next run makes a new one.
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(io(format!("removing {}", path.display()))(e))
                }
                _ => Ok(()),
            }
        })
    }

    fn place(&self) -> String {
        self.path().display().to_string()
    }

    /// A folder may be at another path tomorrow.
    fn home(&self) -> String {
        "a local folder".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{journal::Entry, secret::SealKey};

    fn opened(seq: u64) -> Stamped {
        let entry = Entry::Opened { format: 1, stack: "s".into(), seal_key: SealKey::fixed("k") };
        Stamped { seq, at: jiff::Timestamp::UNIX_EPOCH, entry }
    }

    #[tokio::test]
    async fn a_second_writer_is_fenced() {
        let folder = tempfile::tempdir().unwrap();
        for store in [&LocalStore::new(folder.path()) as &dyn Store, &MemoryStore::default()] {
            store.append(0, &[opened(1)]).await.unwrap();
            assert!(matches!(store.append(0, &[opened(1)]).await, Err(StoreError::Fenced(1))));
            assert_eq!(store.load().await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_torn_line_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        store.append(0, &[opened(1)]).await.unwrap();
        let path = folder.path().join("journal.jsonl");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"seq\":2,\"at").unwrap();
        assert_eq!(store.load().await.unwrap().len(), 1);
        store.append(1, &[opened(2)]).await.unwrap();
        assert_eq!(store.load().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn only_one_holds_the_journal_and_says_who() {
        let folder = tempfile::tempdir().unwrap();
        let hold = LocalStore::new(folder.path()).hold("ada@host, process 7").await.unwrap();
        let Err(StoreError::Held(who)) = LocalStore::new(folder.path()).hold("x").await else {
            panic!("two hold the journal")
        };
        assert_eq!(who, "ada@host, process 7");
        let holder = LocalStore::new(folder.path()).holder().await.unwrap().unwrap();
        assert!(holder.who == who && holder.since.is_some() && holder.is_live(jiff::Timestamp::now()));
        drop(hold);
        assert_eq!(LocalStore::new(folder.path()).holder().await.unwrap(), None);
        assert!(LocalStore::new(folder.path()).hold("x").await.is_ok());
    }

    #[tokio::test]
    async fn a_lock_is_taken_away_and_who_writes_next_fences_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (LocalStore::new(folder.path()), LocalStore::new(folder.path()));
        let _stuck = one.hold("stuck").await.unwrap();
        two.unlock().await.unwrap();
        let _mine = two.hold("me").await.unwrap();
        two.append(0, &[opened(1)]).await.unwrap();
        assert!(matches!(one.append(0, &[opened(1)]).await, Err(StoreError::Fenced(1))));
    }
}
