//! A journal that is not there, made again from the marks in the zones.

use crate::{
    Config,
    sync::{SyncError, Zones},
    wanted::{at_address, place_of},
};
use causeway_core::{Engine, Stack, Tags, engine::EngineError};
use causeway_dns::{Record, ZoneClient, owner};
use std::collections::BTreeMap;

/// Writes a journal of what carries marks of ours. Writes nothing where nothing does.
///
/// # Errors
/// When a zone cannot be read, or the journal not be written.
pub(crate) async fn recover(
    config: &Config,
    zones: &Zones,
    engine: &Engine,
    actor: &str,
) -> Result<usize, SyncError> {
    let mut stack = Stack::new(config.owner.clone());
    let mut marked: BTreeMap<String, Record> = BTreeMap::new();
    for (name, provider) in zones {
        let place = place_of(config, name);
        let zone = |source| SyncError::Zone { zone: name.clone(), source };
        let client = ZoneClient::connect(provider.clone(), &place).await.map_err(zone)?;
        let entries = client.records().await.map_err(zone)?;
        for mark in entries.iter().filter_map(owner::mark_in) {
            let mut tags = mark.tags();
            let address = tags.0.get(Tags::ADDRESS).cloned().unwrap_or_default();
            let Some((at, class)) = at_address(&address) else { continue };
            if !mark.is_ours() || mark.owner != config.owner || config.zone_of(&at) != Some(name) {
                continue;
            }
            // What the engine says itself is not ours to say.
            for key in [Tags::STACK, Tags::ADDRESS, Tags::INSTANCE] {
                tags.0.remove(key);
            }
            let values = entries.iter().filter(|e| e.name == at && e.class() == Some(class));
            let values = values.filter(|e| owner::mark_in(e).is_none()).map(|e| e.value.clone());
            let Ok(mut record) = Record::new(at.as_str(), class, values) else { continue };
            record.tags = tags;
            marked.insert(address, record);
        }
        stack.at(&place, |stack| {
            for (address, record) in std::mem::take(&mut marked) {
                stack.add(&address, record);
            }
        });
    }
    if stack.nodes().is_empty() {
        return Ok(0);
    }
    let rebuilt = engine.rebuild(&stack, &[]).await?;
    let found = rebuilt.found.len();
    if found > 0 {
        match engine.write(rebuilt, actor).await {
            // Another run was quicker, and saw the same.
            Err(EngineError::Journal(_)) if engine.state().await?.seq > 0 => {}
            other => other?,
        }
    }
    Ok(found)
}
