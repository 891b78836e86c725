//! A journal that goes on in another store.

use super::{Store, StoreError};
use crate::journal::{BadEntry, Entry, Stamped, State};

/// Why a journal was not moved. No entry was lost or overwritten.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// There is no journal to move.
    #[error("there is no journal in {0}")]
    Nothing(String),
    /// The other store holds another journal.
    #[error("{to} already holds {entries} entries, and they are not those of {from}")]
    Taken {
        /// Where the journal is.
        from: String,
        /// Where it should go.
        to: String,
        /// How many entries that holds.
        entries: usize,
    },
    /// It was moved before, and has gone on there.
    #[error("the journal in {from} was moved to {home} before")]
    Elsewhere {
        /// Where we looked.
        from: String,
        /// Where it is.
        home: String,
    },
    /// What was written does not read back as it was.
    #[error("{0} does not hold what was written there")]
    Differs(String),
    /// The journal makes no sense.
    #[error(transparent)]
    Bad(#[from] BadEntry),
    /// A store could not be read or written, or is held by another run.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Moves the journal of `from` to `to`, which must be empty or hold its first entries already: where it was before it was
/// moved away from there. Answers how many entries there are. Both are held meanwhile; `who` is told to others that ask.
///
/// First `from` gets an entry that says where the journal goes on, which fences whoever still wants to write there. Then
/// all that `to` does not have goes out as one batch, and is read back: it has to be the same and mean the same. A move
/// that was interrupted leaves a journal that nobody goes on from, and is finished when it is begun again. Nothing is
/// taken away from `from`.
///
/// # Errors
/// [`MoveError`]; nothing is overwritten.
pub async fn relocate(
    from: &dyn Store,
    to: &dyn Store,
    who: &str,
    now: jiff::Timestamp,
) -> Result<u64, MoveError> {
    let _from = from.hold(who).await?;
    let _to = to.hold(who).await?;
    let mut entries = from.load().await?;
    let there = to.load().await?;
    let mut state = State::fold(&entries)?;
    if entries.is_empty() {
        return Err(MoveError::Nothing(from.place()));
    }
    let begun = state.home.as_ref() == Some(&to.home());
    let elsewhere = |home: &String| MoveError::Elsewhere { from: from.place(), home: home.clone() };
    match &state.home {
        Some(home) if !begun && *home != from.home() => return Err(elsewhere(home)),
        Some(home) if begun && there.len() > entries.len() && there.starts_with(&entries) => {
            return Err(elsewhere(home));
        }
        _ => {}
    }
    if !entries.starts_with(&there) {
        return Err(MoveError::Taken { from: from.place(), to: to.place(), entries: there.len() });
    }
    if !begun {
        let last = Stamped { seq: state.seq + 1, at: now, entry: Entry::Home { at: to.home() } };
        state.push(&last)?;
        from.append(last.seq - 1, std::slice::from_ref(&last)).await?;
        entries.push(last);
    }
    if there.len() < entries.len() {
        to.append(there.len() as u64, &entries[there.len()..]).await?;
    }
    let written = to.load().await?;
    if written != entries || State::fold(&written)? != state {
        return Err(MoveError::Differs(to.place()));
    }
    Ok(entries.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::still_here,
        journal::FORMAT,
        secret::SealKey,
        store::{LocalStore, MemoryStore},
    };
    use jiff::Timestamp;

    fn opened(stack: &str) -> Stamped {
        let seal_key = SealKey::fixed("k");
        let entry = Entry::Opened { format: FORMAT, stack: stack.into(), seal_key };
        Stamped { seq: 1, at: Timestamp::UNIX_EPOCH, entry }
    }

    fn ran(seq: u64) -> Stamped {
        let entry = Entry::Plan { digest: "d".into(), actor: "a".into() };
        Stamped { seq, at: Timestamp::UNIX_EPOCH, entry }
    }

    async fn moves(from: &dyn Store, to: &dyn Store) -> Result<u64, MoveError> {
        relocate(from, to, "t", Timestamp::UNIX_EPOCH).await
    }

    async fn goes_on(store: &dyn Store) -> bool {
        let entries = store.load().await.unwrap();
        still_here(&State::fold(&entries).unwrap(), store).is_ok()
    }

    #[tokio::test]
    async fn there_and_back_and_there_again_one_journal_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (local, other) = (LocalStore::new(folder.path()), MemoryStore::default());
        assert!(matches!(moves(&local, &other).await, Err(MoveError::Nothing(_))));
        local.append(0, &[opened("s"), ran(2)]).await.unwrap();
        assert_eq!(moves(&local, &other).await.unwrap(), 3);
        assert!(!goes_on(&local).await && goes_on(&other).await);
        assert_eq!(moves(&local, &other).await.unwrap(), 3, "doing it again does nothing");
        other.append(3, &[ran(4)]).await.unwrap();
        assert!(matches!(moves(&local, &other).await, Err(MoveError::Elsewhere { .. })));
        assert_eq!(moves(&other, &local).await.unwrap(), 5);
        assert!(goes_on(&local).await && !goes_on(&other).await);
        assert!(matches!(moves(&other, &MemoryStore::default()).await, Err(MoveError::Elsewhere { .. })));
        assert_eq!(moves(&local, &other).await.unwrap(), 6);
        assert!(!goes_on(&local).await && goes_on(&other).await);
        assert_eq!(local.load().await.unwrap(), other.entries());
    }

    #[tokio::test]
    async fn a_move_that_was_interrupted_is_finished_and_nobody_goes_on_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let (local, other) = (LocalStore::new(folder.path()), MemoryStore::default());
        local.append(0, &[opened("s"), ran(2)]).await.unwrap();
        let stale = local.load().await.unwrap().len() as u64;
        let home = Entry::Home { at: other.home() };
        local.append(2, &[Stamped { seq: 3, at: Timestamp::UNIX_EPOCH, entry: home }]).await.unwrap();
        assert!(!goes_on(&local).await);
        assert!(matches!(local.append(stale, &[ran(3)]).await, Err(StoreError::Fenced(3))));
        assert_eq!(moves(&local, &other).await.unwrap(), 3);
        assert!(goes_on(&other).await);
    }

    #[tokio::test]
    async fn another_journal_and_one_that_somebody_writes_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (local, other) = (LocalStore::new(folder.path()), MemoryStore::default());
        local.append(0, &[opened("s")]).await.unwrap();
        other.append(0, &[opened("t")]).await.unwrap();
        assert!(matches!(moves(&local, &other).await, Err(MoveError::Taken { entries: 1, .. })));
        assert_eq!(other.entries(), [opened("t")]);
        let _run = local.hold("somebody").await.unwrap();
        let held = moves(&local, &MemoryStore::default()).await;
        assert!(matches!(held, Err(MoveError::Store(StoreError::Held(_)))));
        assert!(goes_on(&local).await);
    }
}
