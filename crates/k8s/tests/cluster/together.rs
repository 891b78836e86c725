//! What is checked while something is there that takes long to come up: once for all, each check under a name of its own.

use futures::FutureExt;
use std::{any::Any, collections::BTreeMap, future::Future, panic::AssertUnwindSafe};

/// Why a check failed, by its name; nothing where it did not.
#[derive(Default)]
pub(crate) struct Together(BTreeMap<&'static str, Option<String>>);

impl Together {
    /// Does what is checked in a runtime of its own.
    pub(crate) fn of<F: Future<Output = Together>>(all: impl FnOnce() -> F) -> Together {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
            .block_on(all())
    }

    /// Checks, and keeps why it fails for who asks: those after it are done all the same.
    pub(crate) async fn check(&mut self, name: &'static str, check: impl Future<Output = ()>) {
        let why = AssertUnwindSafe(check).catch_unwind().await.err().map(|panic| said(&*panic));
        assert!(self.0.insert(name, why).is_none(), "{name} is checked twice");
    }

    /// # Panics
    /// If the check of this name failed, or never came.
    pub(crate) fn passed(&self, name: &str) {
        match self.0.get(name) {
            Some(None) => (),
            Some(Some(why)) => panic!("{why}"),
            None => panic!("nobody checked {name}"),
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}
