//! Relational databases: instances, the subnet and parameter groups that they stand on, and snapshots.

mod instance;
mod parameter_group;
mod snapshot;
mod subnet_group;
mod upgrade;

pub use instance::{Instance, InstanceOutputs, InstanceRefs};
pub use parameter_group::{ParameterGroup, ParameterGroupOutputs, ParameterGroupRefs};
pub use snapshot::{Snapshot, SnapshotOutputs, SnapshotRefs};
pub use subnet_group::{SubnetGroup, SubnetGroupOutputs, SubnetGroupRefs};

use crate::{Aws, Call, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_rds::types::{DbInstance, DbParameterGroup, Tag};
use causeway_core::{
    Class, Cx, Error, Name, Resource, Tags, coalesce::Coalesce, diff::Diff, error::Found,
    registry::ProviderKinds,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<SubnetGroup>().add::<ParameterGroup>().add::<Instance>().add::<Snapshot>()
}

/// Which instance is looked for. By lower-case names, as RDS keeps them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sought {
    /// The one with this identifier.
    Named(String),
    /// Any in this subnet group, if one is looked for by name as well: this takes no call of its own.
    Within(String),
}

/// The RDS client of one region.
pub struct Rds {
    api: aws_sdk_rds::Client,
    pub(crate) instances: Coalesce<Sought, DbInstance>,
    /// By name.
    pub(crate) parameter_groups: Coalesce<String, DbParameterGroup>,
}

impl Rds {
    /// With the region and the endpoints of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_rds, config);
        let instances = {
            let api = api.clone();
            // An account has 40 instances unless more were asked for, and there is no filter that is known to pass
            // over an instance that does not exist: for more than one, the list of all is the cheapest answer.
            Coalesce::new(1000, move |sought| instances(api.clone(), sought))
        };
        let groups = api.clone();
        let parameter_groups =
            Coalesce::new(usize::MAX, move |names| parameter_groups(groups.clone(), names));
        Rds { api, instances, parameter_groups }
    }

    /// The ARNs and tags of all parameter groups that somebody made.
    pub(crate) async fn tagged(&self) -> Result<Vec<(String, Tags)>, Error> {
        let groups = self.api.describe_db_parameter_groups().into_paginator().items().send();
        let groups = groups.collect::<Result<Vec<_>, _>>().await.call("rds:DescribeDBParameterGroups")?;
        let mut found = vec![];
        for group in groups {
            // AWS's own carry no tags.
            let ours = group.db_parameter_group_name().is_some_and(|name| !name.starts_with("default."));
            if let Some(arn) = group.db_parameter_group_arn().filter(|_| ours) {
                found.push((arn.to_owned(), tags_of(self, arn).await?));
            }
        }
        Ok(found)
    }
}
impl Deref for Rds {
    type Target = aws_sdk_rds::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

/// One that does not exist fails a call that names it, so several are picked from the list of all.
async fn parameter_groups(
    api: aws_sdk_rds::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, DbParameterGroup>, Error> {
    let one = names.first().filter(|_| names.len() == 1);
    let list = api.describe_db_parameter_groups().set_db_parameter_group_name(one.cloned());
    let mut found = BTreeMap::new();
    let mut pages = list.into_paginator().items().send();
    while let Some(group) = pages.next().await {
        let Some(group) = group.call("rds:DescribeDBParameterGroups").found()? else { break };
        if let Some(name) = group.db_parameter_group_name.clone().filter(|name| names.contains(name)) {
            found.insert(name, group);
        }
    }
    Ok(found)
}

async fn instances(
    api: aws_sdk_rds::Client,
    sought: BTreeSet<Sought>,
) -> Result<BTreeMap<Sought, DbInstance>, Error> {
    const CALL: &str = "rds:DescribeDBInstances";
    let mut found = BTreeMap::new();
    let ids = sought.iter().filter_map(|sought| match sought {
        Sought::Named(id) => Some(id),
        Sought::Within(_) => None,
    });
    let ids: Vec<&String> = ids.collect();
    let one = match ids[..] {
        [] => return Ok(found),
        [one] => Some(one),
        _ => None,
    };
    let mut marker = None;
    loop {
        let page = api
            .describe_db_instances()
            .set_db_instance_identifier(one.cloned())
            .set_marker(marker)
            .send()
            .await
            .call(CALL);
        let Some(page) = page.found()? else { return Ok(found) };
        for instance in page.db_instances.unwrap_or_default() {
            let group = instance.db_subnet_group().and_then(|group| group.db_subnet_group_name.clone());
            let group = group.map(|group| Sought::Within(group.to_lowercase()));
            let named = instance.db_instance_identifier.clone().map(Sought::Named);
            for key in [named, group].into_iter().flatten().filter(|key| sought.contains(key)) {
                found.insert(key, instance.clone());
            }
        }
        marker = page.marker.filter(|m| !m.is_empty());
        if marker.is_none() {
            return Ok(found);
        }
    }
}

/// What `name` is called in the cloud. `None` for a generated name of something that was never recorded.
fn actual_name<R: Resource>(cx: &Cx<'_, R>, name: &Name) -> Option<String> {
    let unnamed = cx.instance.is_empty() && matches!(name, Name::Generated { .. });
    // RDS keeps all its names in lower case.
    (!unnamed).then(|| cx.name(name).to_lowercase())
}

fn to_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect()
}

fn from_tags(tags: &[Tag]) -> Tags {
    Tags::live(tags.iter().filter_map(|t| Some((t.key()?, t.value().unwrap_or_default()))))
}

async fn tags_of(rds: &Rds, arn: &str) -> Result<Tags, Error> {
    let found =
        rds.list_tags_for_resource().resource_name(arn).send().await.call("rds:ListTagsForResource")?;
    Ok(from_tags(found.tag_list()))
}

async fn write_tags(rds: &Rds, arn: &Arn, wanted: &Tags, live: &Tags, diff: &Diff) -> Result<(), Error> {
    let steps = wanted.steps(live, diff);
    if !steps.set.is_empty() {
        let tags = steps.set.iter().map(|(k, v)| Tag::builder().key(*k).value(*v).build()).collect();
        let call = rds.add_tags_to_resource().resource_name(arn.as_str()).set_tags(Some(tags));
        call.send().await.call("rds:AddTagsToResource")?;
    }
    if !steps.remove.is_empty() {
        let keys = steps.remove.iter().map(ToString::to_string).collect();
        let call = rds.remove_tags_from_resource().resource_name(arn.as_str()).set_tag_keys(Some(keys));
        call.send().await.call("rds:RemoveTagsFromResource")?;
    }
    Ok(())
}

fn not_now(call: &'static str, why: String) -> Error {
    Error::Call { call, class: Class::NotNow, source: why.into() }
}
