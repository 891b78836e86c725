//! The place that records live in.

use causeway_core::place::Place;
use serde::{Deserialize, Serialize};

/// A zone of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsZone {
    /// The zone's name: `example.com`.
    pub name: String,
    /// The account at a provider that has it, by the name that the program gave it.
    pub account: String,
    /// What the provider calls the zone. `None`: it is looked up by its name, which takes a call and the permission to
    /// list zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Place for DnsZone {
    const PROVIDER: &'static str = "dns";
}
