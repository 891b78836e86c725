//! What a provider of DNS can do: a few verbs. One file a provider.

#[cfg(feature = "cloudflare")]
pub mod cloudflare;
#[cfg(feature = "testing")]
pub mod memory;
#[cfg(feature = "rfc2136")]
pub mod rfc2136;
#[cfg(feature = "route53")]
pub mod route53;

use crate::{error::ProviderError, name::Name, record::Entry, zone::Zone};
use futures::future::BoxFuture;

/// Keeps zones for us.
pub trait Provider: Send + Sync + 'static {
    /// What people call it.
    fn name(&self) -> &'static str;

    /// What it can do, and how much at once.
    fn limits(&self) -> &Limits;

    /// The zones that the credentials show.
    ///
    /// # Errors
    /// When it cannot be asked, or did not answer in its own words.
    fn zones(&self) -> BoxFuture<'_, Result<Vec<Zone>, ProviderError>>;

    /// All records of `zone`, whatever their type.
    ///
    /// # Errors
    /// As [`Provider::zones`].
    fn list<'a>(&'a self, zone: &'a Zone) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>>;

    /// What `change` takes of [`Limits`].
    fn weigh(&self, change: &Change) -> Weight;

    /// Makes all `changes`, or none of them, in one call. Answers with what is there now of the sets that they were
    /// about. A record without a handle says that this is not known for sure.
    ///
    /// # Errors
    /// Where [`ProviderError::is_refusal`], nothing was changed. Otherwise nobody knows.
    fn change<'a>(
        &'a self,
        zone: &'a Zone,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>>;
}

/// A change of one name that must not be made in part: its records, and the marks of their owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Each set once.
    pub sets: Vec<SetChange>,
}

impl Change {
    /// Whether it leaves everything as it is.
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| set.before == set.after)
    }
}

/// All records of one name and one type, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetChange {
    /// The name.
    pub name: Name,
    /// The type, as DNS calls it.
    pub word: String,
    /// What was listed. Where it is not there any more, the change is refused by providers that can see that.
    pub before: Vec<Entry>,
    /// What is to be there. What stays has its handle.
    pub after: Vec<Entry>,
}

/// What a change takes of what a provider does in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Records, as the provider counts them.
    pub operations: usize,
    /// Characters of their values, as the provider counts them.
    pub characters: usize,
}

/// What a provider can do, and how much of it in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What one call may hold.
    pub chunk: Weight,
    /// Its rule for TTLs.
    pub ttl: TtlRule,
    /// Whether it can stand in front of a name.
    pub proxies: bool,
    /// Whether a record can have a comment, and how many characters.
    pub comment: Option<usize>,
    /// Whether a record can have tags.
    pub labels: bool,
    /// Whether it has aliases.
    pub aliases: bool,
    /// Whether a CNAME can have records of other types beside it, and be at the zone's own name: Cloudflare answers with
    /// the addresses that it leads to.
    pub flattens: bool,
}

/// Which TTLs a provider takes, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TtlRule {
    /// What stands for "the provider decides", if there is such a thing.
    pub automatic: Option<u32>,
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// Where nobody says anything, and nothing is automatic.
    pub usual: u32,
}

impl TtlRule {
    /// What the provider makes of `wanted`: 0 is left to it, and 1 where it has something automatic; what is out of range is taken into it, and behind a
    /// proxy it is always automatic. So what is read back is what was wanted.
    pub fn normal(&self, wanted: Option<u32>, proxied: bool) -> u32 {
        match (self.automatic, wanted) {
            (Some(automatic), _) if proxied => automatic,
            (Some(automatic), None | Some(0 | 1)) => automatic,
            (None, None | Some(0)) => self.usual,
            (_, Some(ttl)) => ttl.clamp(self.min, self.max),
        }
    }
}

impl std::ops::Add for Weight {
    type Output = Weight;
    fn add(self, other: Weight) -> Weight {
        Weight {
            operations: self.operations.saturating_add(other.operations),
            characters: self.characters.saturating_add(other.characters),
        }
    }
}

impl Weight {
    /// Whether it is within `most`.
    pub fn fits(self, most: Weight) -> bool {
        self.operations <= most.operations && self.characters <= most.characters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUDFLARE: TtlRule = TtlRule { automatic: Some(1), min: 60, max: 86_400, usual: 300 };

    #[test]
    fn a_ttl_is_what_the_provider_makes_of_it() {
        assert_eq!(CLOUDFLARE.normal(Some(300), true), 1);
        assert_eq!(CLOUDFLARE.normal(Some(30), false), 60);
        assert_eq!(CLOUDFLARE.normal(None, false), 1);
        assert_eq!(CLOUDFLARE.normal(Some(0), false), 1);
        let plain = TtlRule { automatic: None, min: 0, max: 86_400, usual: 300 };
        assert_eq!(plain.normal(None, false), 300);
        assert_eq!(plain.normal(Some(1), false), 1);
    }
}
