//! DNS records as resources: names, owners, zones, and providers of them.
//!
//! A [`Record`] is what a name says of one [class](record::Class). It lives in a [zone](place::DnsZone) of an account, which
//! a [`Provider`] keeps. A [`ZoneClient`] lists a zone once for all records in it, and sends changes of
//! many records in few calls. Whose a record is stands beside it, as external-dns writes it; nothing that somebody else
//! has marked, or nobody, is changed.
//!
//! Where targets come from is not known here. Without the feature `route53` nothing of AWS is compiled.

pub mod budget;
pub mod client;
pub mod error;
pub mod guard;
pub mod name;
pub mod owner;
pub mod ownership;
pub mod place;
pub mod provider;
pub mod record;
pub mod resource;
mod wanted;
pub mod zone;

pub use client::ZoneClient;
pub use name::Name;
pub use place::DnsZone;
pub use record::Class;
pub use resource::{Alias, Record, RecordOutputs, RecordRefs};

use causeway_core::{Error, Registry};
use provider::Provider;
use std::{collections::BTreeMap, sync::Arc};

/// Registers the kinds. Each zone names the one of `accounts` that has it.
pub fn register(registry: &mut Registry, accounts: BTreeMap<String, Arc<dyn Provider>>) {
    let accounts = Arc::new(accounts);
    let kinds = registry.provider(move |zone: DnsZone| {
        let accounts = Arc::clone(&accounts);
        async move {
            let Some(provider) = accounts.get(&zone.account) else {
                let known: Vec<&str> = accounts.keys().map(String::as_str).collect();
                return Err(Error::Invalid(format!(
                    "nothing says how the account `{}` is reached, which has the zone `{}`; known is {}. Put back what said so, \
                     until no record is there",
                    zone.account,
                    zone.name,
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                )));
            };
            ZoneClient::connect(Arc::clone(provider), &zone).await
        }
    });
    kinds.add::<Record>();
}
