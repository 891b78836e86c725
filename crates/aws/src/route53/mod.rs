//! Route 53: hosted zones and their records.
//!
//! Records of one zone that are looked for at about the same time share listings. The service allows five calls a
//! second in an account, so nothing here asks twice for what one call answers.

mod existing_hosted_zone;
mod hosted_zone;
mod record;
mod text;

pub use existing_hosted_zone::{ExistingHostedZone, ExistingHostedZoneOutputs, ExistingHostedZoneRefs};
pub use hosted_zone::{HostedZone, HostedZoneOutputs, HostedZoneRefs, Vpc};
pub use record::{Alias, Record, RecordOutputs, RecordRefs};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use aws_sdk_route53::{Client, operation::list_tags_for_resource::ListTagsForResourceOutput, types as sdk};
use causeway_core::{Error, Tags, coalesce::Coalesce, error::Found, registry::ProviderKinds};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<HostedZone>().add::<ExistingHostedZone>().add::<Record>()
}

/// The client of Route 53, which is the same in every region.
pub struct Route53 {
    api: Client,
    /// All zones of the account, shared by everyone who asks at about the same time.
    pub(crate) zones: Coalesce<(), Vec<sdk::HostedZone>>,
    pub(crate) records: Coalesce<RecordKey, sdk::ResourceRecordSet>,
}

/// What a record is found by. Sorts nearly as the service does, by the labels from the last to the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecordKey {
    zone: String,
    labels: Vec<String>,
    record_type: String,
}

impl RecordKey {
    pub(crate) fn new(zone: &str, name: &str, record_type: &str) -> Self {
        let labels = text::name(name).rsplit('.').map(str::to_owned).collect();
        RecordKey { zone: bare_id(zone).to_owned(), labels, record_type: record_type.to_owned() }
    }

    fn name(&self) -> String {
        self.labels.iter().rev().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

impl Route53 {
    /// The client that `config` describes.
    pub fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_route53, config);
        let (zones, records) = (api.clone(), api.clone());
        Route53 {
            zones: Coalesce::new(1, move |_| all_zones(zones.clone())),
            records: Coalesce::new(usize::MAX, move |keys| some_records(records.clone(), keys)),
            api,
        }
    }
}

impl Route53 {
    /// The tags of the zone with this id. `None` where there is no such zone.
    pub(crate) async fn tags_of(&self, zone: &str) -> Result<Option<Tags>, Error> {
        let list = self.list_tags_for_resource().resource_type(sdk::TagResourceType::Hostedzone);
        let found = list.resource_id(zone).send().await.call("route53:ListTagsForResource").found()?;
        let tags = |found: ListTagsForResourceOutput| {
            let tags = found.resource_tag_set.and_then(|set| set.tags).unwrap_or_default();
            Tags::live(tags.into_iter().filter_map(|t| Some((t.key?, t.value.unwrap_or_default()))))
        };
        Ok(found.map(tags))
    }

    /// The ids and tags of all zones.
    pub(crate) async fn tagged(&self) -> Result<Vec<(String, Tags)>, Error> {
        let mut found = vec![];
        for zone in self.zones.get(()).await?.unwrap_or_default() {
            let id = bare_id(&zone.id).to_owned();
            let tags = self.tags_of(&id).await?.unwrap_or_default();
            found.push((id, tags));
        }
        Ok(found)
    }
}

impl Deref for Route53 {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.api
    }
}

async fn all_zones(api: Client) -> Result<BTreeMap<(), Vec<sdk::HostedZone>>, Error> {
    let zones = api.list_hosted_zones().into_paginator().items().send();
    let zones = zones.collect::<Result<Vec<_>, _>>().await.call("route53:ListHostedZones")?;
    Ok([((), zones)].into())
}

/// The records of `keys`. Each listing starts at the first one that is not answered yet, so there are never more
/// calls than keys, however large the zone is, and usually one for those that exist.
async fn some_records(
    api: Client,
    mut keys: BTreeSet<RecordKey>,
) -> Result<BTreeMap<RecordKey, sdk::ResourceRecordSet>, Error> {
    let mut out = BTreeMap::new();
    while let Some(first) = keys.pop_first() {
        let page = api
            .list_resource_record_sets()
            .hosted_zone_id(&first.zone)
            .start_record_name(first.name())
            .start_record_type(sdk::RrType::from(first.record_type.as_str()))
            .max_items(300)
            .send()
            .await
            .call("route53:ListResourceRecordSets")
            .found()?;
        let Some(page) = page else {
            keys.retain(|key| key.zone != first.zone);
            continue;
        };
        for set in page.resource_record_sets {
            // Weighted and other routed sets are another kind of thing, and can be many.
            if set.set_identifier.is_some() {
                continue;
            }
            let key = RecordKey::new(&first.zone, &set.name, set.r#type.as_str());
            if key == first || keys.remove(&key) {
                out.insert(key, set);
            }
        }
    }
    Ok(out)
}

/// An id without the path in front of it that some answers have.
pub(crate) fn bare_id(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_how_a_name_is_written() {
        let key = RecordKey::new("/hostedzone/Z1", "\\052.Example.COM.", "A");
        assert_eq!(key, RecordKey::new("Z1", "*.example.com", "A"));
        assert_eq!(key.name(), "*.example.com");
    }

    #[test]
    fn keys_sort_as_the_service_lists() {
        let mut keys = ["b.example.com", "example.com", "a.b.example.com", "a.example.com"]
            .map(|name| RecordKey::new("Z", name, "A"));
        keys.sort();
        assert_eq!(
            keys.map(|k| k.name()),
            ["example.com", "a.example.com", "b.example.com", "a.b.example.com"]
        );
    }
}
