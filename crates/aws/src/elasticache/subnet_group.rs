//! The subnets that the nodes of a cache may stand in.
//! <https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateCacheSubnetGroup.html>

use super::{actual_name, tags_of, to_tags, write_tags};
use crate::{
    Aws, Call,
    id::{Arn, SubnetId},
};
use aws_sdk_elasticache::types::CacheSubnetGroup;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// The subnets that the nodes of a cache may stand in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SubnetGroup {
    /// Unique in the account and region, in lower case.
    pub name: Name,
    /// For people.
    pub description: String,
    /// All in one VPC; in two availability zones for a cache that survives the loss of one.
    pub subnet_ids: Set<SubnetId>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a subnet group tells others.
    pub struct SubnetGroupOutputs => SubnetGroupRefs {
        /// The name as ElastiCache has it.
        pub name: String,
        /// The ARN.
        pub arn: Arn,
    }
}

impl Resource for SubnetGroup {
    const KIND: &'static str = "aws.elasticache.subnet_group";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const TIMING: Timing = Timing::seconds(3, 2, 600);
    type Client = Aws;
    type Outputs = SubnetGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(name) = actual_name(cx, &self.name) else { return Ok(None) };
        let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (found, confirmed) = tokio::join!(
            cx.client.elasticache.describe_cache_subnet_groups().cache_subnet_group_name(name).send(),
            cx.client.tag_index.confirms(cx, recorded, &self.tags)
        );
        let found = found.call("elasticache:DescribeCacheSubnetGroups").found()?;
        let Some(group) = found.and_then(|f| f.cache_subnet_groups?.into_iter().next()) else {
            return Ok(None);
        };
        let tags = match confirmed {
            Some(tags) => tags,
            None => tags_of(&cx.client.elasticache, group.arn().unwrap_or_default()).await?,
        };
        Ok(Some(self.live(&group, tags)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let call = cx
            .client
            .elasticache
            .create_cache_subnet_group()
            .cache_subnet_group_name(cx.name(&self.name))
            .cache_subnet_group_description(&self.description)
            .set_subnet_ids(Some(self.subnets()?))
            .set_tags(Some(to_tags(&self.tags)));
        call.send().await.call("elasticache:CreateCacheSubnetGroup").map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        if diff.touches("subnet_ids") || diff.touches("description") {
            let call = cx
                .client
                .elasticache
                .modify_cache_subnet_group()
                .cache_subnet_group_name(&live.outputs.name)
                .cache_subnet_group_description(&self.description)
                .set_subnet_ids(Some(self.subnets()?));
            call.send().await.call("elasticache:ModifyCacheSubnetGroup")?;
        }
        write_tags(&cx.client.elasticache, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let call =
            cx.client.elasticache.delete_cache_subnet_group().cache_subnet_group_name(&live.outputs.name);
        call.send().await.call("elasticache:DeleteCacheSubnetGroup").found().map(drop)
    }
}

impl SubnetGroup {
    fn subnets(&self) -> Result<Vec<String>, Error> {
        Ok(self.subnet_ids.get()?.into_iter().map(String::from).collect())
    }

    /// It is only looked up by the name that it should have, so that is its name.
    fn live(&self, group: &CacheSubnetGroup, tags: Tags) -> Live<Self> {
        Live {
            outputs: SubnetGroupOutputs {
                name: group.cache_subnet_group_name().unwrap_or_default().to_owned(),
                arn: group.arn().unwrap_or_default().into(),
            },
            status: Status::Ready,
            owner: tags.owner(),
            spec: SubnetGroup {
                name: self.name.clone(),
                description: group.cache_subnet_group_description().unwrap_or_default().to_owned(),
                subnet_ids: group
                    .subnets()
                    .iter()
                    .filter_map(|s| s.subnet_identifier())
                    .map(SubnetId::from)
                    .collect(),
                tags,
            },
        }
    }
}
