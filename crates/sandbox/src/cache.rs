//! Where the sandbox keeps what it installs and what it runs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The folder that holds installed emulators and the run folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Finds the folder: `CAUSEWAY_CACHE`; for root `/var/cache/causeway`, since PostgreSQL refuses to run as root and the
    /// user it runs as must be able to read it; else `causeway` in the XDG cache folder. `None` if there is no home either.
    pub fn find() -> Option<Cache> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(root) = variable("CAUSEWAY_CACHE") {
            return Some(Cache::at(std::path::absolute(&root).unwrap_or(root)));
        }
        if crate::user::is_root() {
            return Some(Cache::at("/var/cache/causeway"));
        }
        let home = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
        Some(Cache::at(home.join("causeway")))
    }

    /// Uses the given folder, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Cache {
        Cache { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the sandboxes that run, one folder each.
    pub fn runs(&self) -> PathBuf {
        self.root.join("run")
    }
}

/// An exclusive lock on a file. The kernel releases it when its process ends, however that happens, so a held lock is also
/// the proof that its holder is alive.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock.
    pub(crate) fn wait(path: &Path) -> io::Result<Lock> {
        let file = open(path)?;
        file.lock()?;
        Ok(Lock { _file: file })
    }

    /// Takes the lock if nobody holds it.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Lock>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Returns whether somebody holds the lock; false if the file does not exist. Looking holds it for a moment.
    pub(crate) fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder_and_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!Lock::is_held(&path));
        let held = Lock::take(&path).unwrap();
        assert!(held.is_some());
        assert!(Lock::take(&path).unwrap().is_none());
        assert!(Lock::is_held(&path));
        drop(held);
        assert!(!Lock::is_held(&path));
    }
}
