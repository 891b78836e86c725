//! A journal that moves to another store.

use super::{Store, StoreError};

/// Why a journal was not copied. The one that it was copied from is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The other store holds another journal.
    #[error("{to} already holds {entries} entries, and they are not those of {from}")]
    Taken {
        /// Where the entries are.
        from: String,
        /// Where they should go.
        to: String,
        /// How many it holds.
        entries: usize,
    },
    /// What was written does not read back as it was.
    #[error("{0} does not hold what was copied there")]
    Differs(String),
    /// A store could not be read or written, or is held by another run.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies all entries of `from` into `to`, which must be empty or hold them already, and reads them back. Answers how
/// many there are. Both are held meanwhile; `who` is told to others that ask.
///
/// All go out as one batch, so that an interrupted copy is whole or not there, and can be repeated. Nothing says in
/// `from` that the journal has moved: whoever goes on writing there has two journals.
///
/// # Errors
/// [`CopyError`]; nothing is overwritten.
pub async fn copy(from: &dyn Store, to: &dyn Store, who: &str) -> Result<u64, CopyError> {
    let _from = from.hold(who).await?;
    let _to = to.hold(who).await?;
    let entries = from.load().await?;
    let there = to.load().await?;
    if there.is_empty() {
        if !entries.is_empty() {
            to.append(0, &entries).await?;
        }
        if to.load().await? != entries {
            return Err(CopyError::Differs(to.place()));
        }
    } else if there != entries {
        return Err(CopyError::Taken { from: from.place(), to: to.place(), entries: there.len() });
    }
    Ok(entries.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{Entry, Stamped},
        store::{LocalStore, MemoryStore},
    };

    fn ran(seq: u64, actor: &str) -> Stamped {
        let entry = Entry::Plan { digest: "d".into(), actor: actor.into() };
        Stamped { seq, at: jiff::Timestamp::UNIX_EPOCH, entry }
    }

    #[tokio::test]
    async fn there_and_back_nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (first, local, last) =
            (MemoryStore::default(), LocalStore::new(folder.path()), MemoryStore::default());
        first.append(0, &[ran(1, "a"), ran(2, "b"), ran(3, "c")]).await.unwrap();
        for _ in 0..2 {
            assert_eq!(copy(&first, &local, "t").await.unwrap(), 3);
        }
        assert_eq!(copy(&local, &last, "t").await.unwrap(), 3);
        assert_eq!(last.entries(), first.entries());
    }

    #[tokio::test]
    async fn another_journal_is_not_written_over() {
        let (from, to) = (MemoryStore::default(), MemoryStore::default());
        from.append(0, &[ran(1, "a")]).await.unwrap();
        to.append(0, &[ran(1, "b")]).await.unwrap();
        assert!(matches!(copy(&from, &to, "t").await, Err(CopyError::Taken { entries: 1, .. })));
        assert_eq!(to.entries(), [ran(1, "b")]);
    }

    #[tokio::test]
    async fn a_journal_that_somebody_writes_is_not_copied() {
        let (from, to) = (MemoryStore::default(), MemoryStore::default());
        from.append(0, &[ran(1, "a")]).await.unwrap();
        let _run = from.hold("somebody").await.unwrap();
        assert!(matches!(copy(&from, &to, "t").await, Err(CopyError::Store(StoreError::Held(_)))));
        assert!(to.entries().is_empty());
    }
}
