//! Marks by hand: whose the records of a zone are, and giving them to somebody else, or to nobody.

use crate::{
    client::ZoneClient,
    name::Name,
    owner::{self, Mark},
    provider::Change,
    record::Class,
    wanted::{self, Listing, There},
};
use causeway_core::Error;
use std::collections::BTreeSet;

/// Somebody's mark in a zone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owned {
    /// Where the mark stands.
    pub at: Name,
    /// Whose it is: a stack of ours, or an external-dns.
    pub owner: String,
    /// What the record is for, in the owner's words.
    pub resource: String,
}

impl ZoneClient {
    /// All marks of the zone.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn marks(&self) -> Result<BTreeSet<Owned>, Error> {
        let entries = self.records().await?;
        let marks = entries.into_iter().filter_map(|entry| {
            let mark = owner::mark_in(&entry)?;
            Some(Owned { at: entry.name, owner: mark.owner, resource: mark.resource })
        });
        Ok(marks.collect())
    }

    /// Takes the marks of `stack` from the records of `class` at `name`, which stay as they are and are nobody's then.
    ///
    /// # Errors
    /// When they are not `stack`'s, and whose they are; or when the provider refuses.
    pub async fn release(&self, stack: &str, name: &Name, class: Class) -> Result<(), Error> {
        self.rewrite(stack, name, class, None).await
    }

    /// Gives the records of `class` at `name` from the stack `from` to the stack `to`, which takes them over with
    /// `--adopt` at the same address.
    ///
    /// # Errors
    /// As [`ZoneClient::release`].
    pub async fn transfer(&self, from: &str, to: &str, name: &Name, class: Class) -> Result<(), Error> {
        self.rewrite(from, name, class, Some(to.to_owned())).await
    }

    async fn rewrite(&self, from: &str, name: &Name, class: Class, to: Option<String>) -> Result<(), Error> {
        let (from, name, client) = (from.to_owned(), name.clone(), self.clone());
        let decide = move |listing: &Listing| -> Result<Change, Error> {
            let zone = &client.zone().name;
            let there = There::find(listing, &name, class, zone, None);
            let wrong =
                |why: String| Err(Error::Invalid(format!("`{name}` ({class}) {why}; nothing was changed")));
            let mark = match &there.mark {
                Some(mark) if mark.is_ours() && mark.owner == from => mark.clone(),
                Some(mark) => return wrong(format!("is {}'s, for `{}`", mark.owner, mark.resource)),
                None if there.entries.is_empty() => return wrong("is not there".into()),
                None => return wrong("carries nobody's mark".into()),
            };
            let mark = to.as_ref().map(|to| Mark::transferred(mark, to));
            let same = [&there.entries[..], &there.entries[..]];
            wanted::change(listing, zone, client.limits(), same, mark.as_ref(), true)
        };
        // What others have done since the last list is seen before anything is decided.
        self.forget().await;
        self.change(Box::new(decide)).await
    }
}
