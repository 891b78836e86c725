//! What is in the zones, in the words of the configuration.

use crate::{
    Config,
    sync::{SyncError, Zones},
    wanted::place_of,
};
use causeway_dns::{
    Class, ZoneClient,
    owner::{self, Mark},
    record::Kind,
};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Records of one class at one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Exported {
    /// The zone.
    pub zone: String,
    /// The name.
    pub name: String,
    /// What they are about, as in the configuration.
    pub class: String,
    /// What they say.
    pub values: Vec<String>,
    /// For how many seconds resolvers may keep them; none where the provider decides.
    pub ttl: Option<u32>,
    /// Whether the provider stands in front.
    pub proxied: Option<bool>,
    /// Whose they are, if they carry a mark.
    pub owner: Option<String>,
}

/// All records that have a class, sorted; without `all`, those that carry our mark.
pub(crate) async fn export(config: &Config, zones: &Zones, all: bool) -> Result<Vec<Exported>, SyncError> {
    let mut out = vec![];
    for (zone, provider) in zones {
        let failed = |source| SyncError::Zone { zone: zone.clone(), source };
        let client = ZoneClient::connect(provider.clone(), &place_of(config, zone)).await.map_err(failed)?;
        let automatic = client.limits().ttl.automatic;
        let entries = client.records().await.map_err(failed)?;
        let apex = client.zone().name.clone();
        let mark_of = |entry: &causeway_dns::record::Entry| -> Option<Mark> {
            let places = owner::places(&entry.name, &entry.kind, &apex);
            entries
                .iter()
                .filter(|e| e.kind == Kind::Txt && places.contains(&e.name))
                .find_map(owner::mark_in)
        };
        let mut sets: BTreeMap<(String, Class), Exported> = BTreeMap::new();
        for entry in entries.iter().filter(|e| owner::mark_in(e).is_none()) {
            let Some(class) = entry.class() else { continue };
            let mark = mark_of(entry);
            let ours = mark.as_ref().is_some_and(|m| m.is_ours() && m.owner == config.owner);
            if !(all || ours) {
                continue;
            }
            let set = sets.entry((entry.name.to_string(), class)).or_insert_with(|| Exported {
                zone: zone.clone(),
                name: entry.name.to_string(),
                class: class.to_string(),
                values: vec![],
                ttl: Some(entry.ttl).filter(|ttl| Some(*ttl) != automatic),
                proxied: entry.proxied,
                owner: mark.map(|m| m.owner),
            });
            set.values.push(entry.value.clone());
        }
        out.extend(sets.into_values());
    }
    Ok(out)
}
