//! One tag: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html>

use super::{
    Spreads,
    lookup::{PAGE, filter},
    tag,
};
use crate::{Aws, Call};
use aws_sdk_ec2::Client;
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Status, Value, coalesce::Coalesce, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One tag of something that is not ours, like a subnet of a network that was there before, or the security group that
/// EKS makes. Deleting it takes off this tag and no other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tag {
    /// The id of anything in EC2.
    pub resource_id: Value<String>,
    /// Unique on the thing.
    pub key: String,
    /// May be empty.
    pub value: Value<String>,
}

outputs! {
    /// A tag tells others nothing.
    pub struct TagOutputs => TagRefs {}
}

impl Resource for Tag {
    const KIND: &'static str = "aws.ec2.tag";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["resource_id", "key"]);
    const REPLACE: &'static [&'static str] = &["resource_id", "key"];
    type Client = Aws;
    type Outputs = TagOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let tags = cx.client.ec2.tags.get(self.resource_id.get()?.clone()).await?;
        let found = tags.and_then(|mut tags| tags.remove(&self.key));
        Ok(found.map(|value| Live {
            spec: Tag { value: value.into(), ..self.clone() },
            outputs: TagOutputs {},
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let call = cx.client.ec2.create_tags().resources(self.resource_id.get()?);
        let call = call.tags(tag(&self.key).value(self.value.get()?).build());
        call.send().await.call("ec2:CreateTags").not_yet().map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        // The same call writes it over.
        self.create(cx).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let call = cx.client.ec2.delete_tags().resources(self.resource_id.get()?);
        let call = call.tags(tag(&self.key).value(live.spec.value.get()?).build());
        call.send().await.call("ec2:DeleteTags").found().map(drop)
    }
}

/// Things in one call: as many values as a filter takes.
const MOST: usize = 200;

/// The tags of things, by id. Nothing for what carries none.
pub(super) fn of_things(api: &Client) -> Coalesce<String, BTreeMap<String, String>> {
    let api = api.clone();
    Coalesce::new(MOST, move |ids| list(api.clone(), ids))
}

async fn list(
    api: Client,
    ids: BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    let call = api.describe_tags().filters(filter("resource-id", ids)).max_results(PAGE);
    let tags: Vec<_> = call.into_paginator().items().send().try_collect().await.call("ec2:DescribeTags")?;
    let mut of: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for tag in tags {
        if let (Some(id), Some(key), Some(value)) = (tag.resource_id, tag.key, tag.value) {
            of.entry(id).or_default().insert(key, value);
        }
    }
    Ok(of)
}
