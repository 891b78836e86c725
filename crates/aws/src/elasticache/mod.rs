//! ElastiCache: replication groups of Valkey and Redis, and the subnets that they stand in.

mod replication_group;
mod subnet_group;
mod version;

pub use replication_group::{ReplicationGroup, ReplicationGroupOutputs, ReplicationGroupRefs};
pub use subnet_group::{SubnetGroup, SubnetGroupOutputs, SubnetGroupRefs};

use crate::{Aws, Call, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_elasticache::types::{CacheCluster, ReplicationGroup as SdkGroup, Tag};
use causeway_core::{
    Cx, Error, Name, Resource, Tags, coalesce::Coalesce, diff::Diff, registry::ProviderKinds,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<SubnetGroup>().add::<ReplicationGroup>()
}

/// The ElastiCache client of one region.
pub struct ElastiCache {
    api: aws_sdk_elasticache::Client,
    /// Replication groups by id.
    pub(crate) groups: Coalesce<String, SdkGroup>,
    /// One node of each replication group, by the id of the group: what all nodes have in common is only told there.
    pub(crate) nodes: Coalesce<String, CacheCluster>,
}

impl ElastiCache {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_elasticache, config);
        let (groups, nodes) = (api.clone(), api.clone());
        ElastiCache {
            api,
            groups: Coalesce::new(usize::MAX, move |ids| groups_by_id(groups.clone(), ids)),
            nodes: Coalesce::new(usize::MAX, move |ids| nodes_by_group(nodes.clone(), ids)),
        }
    }
}
impl Deref for ElastiCache {
    type Target = aws_sdk_elasticache::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

/// One that does not exist fails a call that names it, so they are picked from the list of all.
async fn groups_by_id(
    api: aws_sdk_elasticache::Client,
    ids: BTreeSet<String>,
) -> Result<BTreeMap<String, SdkGroup>, Error> {
    let mut found = BTreeMap::new();
    let mut pages = api.describe_replication_groups().into_paginator().items().send();
    while let Some(group) = pages.next().await {
        let group = group.call("elasticache:DescribeReplicationGroups")?;
        if let Some(id) = group.replication_group_id.clone().filter(|id| ids.contains(id)) {
            found.insert(id, group);
        }
    }
    Ok(found)
}

async fn nodes_by_group(
    api: aws_sdk_elasticache::Client,
    ids: BTreeSet<String>,
) -> Result<BTreeMap<String, CacheCluster>, Error> {
    let mut found = BTreeMap::new();
    let mut pages = api.describe_cache_clusters().into_paginator().items().send();
    while let Some(node) = pages.next().await {
        let node = node.call("elasticache:DescribeCacheClusters")?;
        if let Some(id) = node.replication_group_id.clone().filter(|id| ids.contains(id)) {
            found.entry(id).or_insert(node);
        }
    }
    Ok(found)
}

/// What `name` is called in the cloud. `None` for a generated name of something that was never recorded.
fn actual_name<R: Resource>(cx: &Cx<'_, R>, name: &Name) -> Option<String> {
    let unnamed = cx.instance.is_empty() && matches!(name, Name::Generated { .. });
    // ElastiCache keeps all its names in lower case.
    (!unnamed).then(|| cx.name(name).to_lowercase())
}

fn to_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect()
}

async fn tags_of(cache: &ElastiCache, arn: &str) -> Result<Tags, Error> {
    let found = cache.list_tags_for_resource().resource_name(arn).send().await;
    let found = found.call("elasticache:ListTagsForResource")?;
    let tags = found.tag_list.unwrap_or_default();
    Ok(Tags::live(tags.into_iter().filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))))
}

async fn write_tags(
    cache: &ElastiCache,
    arn: &Arn,
    wanted: &Tags,
    live: &Tags,
    diff: &Diff,
) -> Result<(), Error> {
    let steps = wanted.steps(live, diff);
    if !steps.set.is_empty() {
        let tags = steps.set.iter().map(|(k, v)| Tag::builder().key(*k).value(*v).build()).collect();
        let call = cache.add_tags_to_resource().resource_name(arn.as_str()).set_tags(Some(tags));
        call.send().await.call("elasticache:AddTagsToResource")?;
    }
    if !steps.remove.is_empty() {
        let keys = steps.remove.iter().map(ToString::to_string).collect();
        let call = cache.remove_tags_from_resource().resource_name(arn.as_str()).set_tag_keys(Some(keys));
        call.send().await.call("elasticache:RemoveTagsFromResource")?;
    }
    Ok(())
}
