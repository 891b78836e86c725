//! Many objects of one program, and what they wait for.

use crate::{Manifest, Noun};
use causeway_core::{Address, Handle, Resource, Stack};

/// Adds objects that wait for what stands in front of them, like their namespace.
///
/// What is added between two calls of [`Objects::then`] is made at the same time, and is removed after all that came later.
pub struct Objects<'s> {
    stack: &'s mut Stack,
    after: Vec<Address>,
    added: Vec<Address>,
    all: Vec<Address>,
}

impl<'s> Objects<'s> {
    /// All wait for `earlier`.
    pub fn after(stack: &'s mut Stack, earlier: impl IntoIterator<Item = Address>) -> Self {
        Objects { stack, after: earlier.into_iter().collect(), added: vec![], all: vec![] }
    }

    /// Adds an object.
    pub fn add<K: Noun>(&mut self, name: &str, object: &K) -> Handle<Manifest<K>> {
        self.put(name, Manifest::new(object))
    }

    /// Adds anything else, like an object with a secret in it.
    pub fn put<R: Resource>(&mut self, name: &str, resource: R) -> Handle<R> {
        let handle = self.stack.add(name, resource);
        for earlier in &self.after {
            self.stack.after(handle.address(), earlier);
        }
        self.added.push(handle.address().clone());
        self.all.push(handle.address().clone());
        handle
    }

    /// What is added from now on waits for what has been added.
    pub fn then(&mut self) -> &mut Self {
        if !self.added.is_empty() {
            self.after = std::mem::take(&mut self.added);
        }
        self
    }

    /// What is added from now on waits for this one, too.
    pub fn wait_for(&mut self, earlier: impl IntoIterator<Item = Address>) -> &mut Self {
        self.after.extend(earlier);
        self
    }

    /// Where all of them stand.
    pub fn all(self) -> Vec<Address> {
        self.all
    }
}
