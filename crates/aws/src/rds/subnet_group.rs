//! The subnets that a database may stand in.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html>

use super::{Sought, actual_name, tags_of, to_tags, write_tags};
use crate::{
    Aws, Call,
    id::{Arn, SubnetId},
};
use aws_sdk_rds::types::DbSubnetGroup;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// The subnets that a database may stand in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SubnetGroup {
    /// Unique in the account and region, in lower case.
    pub name: Name,
    /// For people.
    pub description: String,
    /// In at least two availability zones.
    pub subnet_ids: Set<SubnetId>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a subnet group tells others.
    pub struct SubnetGroupOutputs => SubnetGroupRefs {
        /// The name as RDS has it.
        pub name: String,
        /// The ARN.
        pub arn: Arn,
    }
}

impl Resource for SubnetGroup {
    const KIND: &'static str = "aws.rds.subnet_group";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const TIMING: Timing = Timing::seconds(3, 2, 600);
    type Client = Aws;
    type Outputs = SubnetGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(name) = actual_name(cx, &self.name) else { return Ok(None) };
        let rds = &cx.client.rds;
        let mut confirmed = None;
        if let Some(recorded) = cx.recorded.as_ref().filter(|_| cx.is_survey()) {
            let instance;
            (instance, confirmed) = tokio::join!(
                rds.instances.get(Sought::Within(name.clone())),
                cx.client.tag_index.confirms(cx, Some(&recorded.arn), &self.tags)
            );
            // An instance tells of the group that it stands in, too.
            let group = instance?.and_then(|instance| instance.db_subnet_group);
            if let Some((group, tags)) = group.zip(confirmed.clone()) {
                let mut live = self.live(&group, tags);
                live.outputs = recorded.clone();
                if live.status == Status::Ready && live.spec.is(self) {
                    return Ok(Some(live));
                }
            }
        }
        let found = rds.describe_db_subnet_groups().db_subnet_group_name(name).send().await;
        let found = found.call("rds:DescribeDBSubnetGroups").found()?;
        let Some(group) = found.and_then(|f| f.db_subnet_groups?.into_iter().next()) else { return Ok(None) };
        let tags = match confirmed {
            Some(tags) => tags,
            None => tags_of(rds, group.db_subnet_group_arn().unwrap_or_default()).await?,
        };
        Ok(Some(self.live(&group, tags)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let call = cx
            .client
            .rds
            .create_db_subnet_group()
            .db_subnet_group_name(cx.name(&self.name))
            .db_subnet_group_description(&self.description)
            .set_subnet_ids(Some(self.subnets()?))
            .set_tags(Some(to_tags(&self.tags)));
        call.send().await.call("rds:CreateDBSubnetGroup").map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        if diff.touches("subnet_ids") || diff.touches("description") {
            let call = cx
                .client
                .rds
                .modify_db_subnet_group()
                .db_subnet_group_name(&live.outputs.name)
                .db_subnet_group_description(&self.description)
                .set_subnet_ids(Some(self.subnets()?));
            call.send().await.call("rds:ModifyDBSubnetGroup")?;
        }
        write_tags(&cx.client.rds, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let call = cx.client.rds.delete_db_subnet_group().db_subnet_group_name(&live.outputs.name);
        call.send().await.call("rds:DeleteDBSubnetGroup").found().map(drop)
    }
}

impl SubnetGroup {
    fn subnets(&self) -> Result<Vec<String>, Error> {
        Ok(self.subnet_ids.get()?.into_iter().map(String::from).collect())
    }

    /// It is only looked up by the name that it should have, so that is its name.
    /// Whether both have the same subnets, whatever their order, and the same description.
    fn is(&self, other: &Self) -> bool {
        let subnets = |group: &Self| serde_json::to_value(&group.subnet_ids).ok();
        self.description == other.description && subnets(self) == subnets(other)
    }

    fn live(&self, group: &DbSubnetGroup, tags: Tags) -> Live<Self> {
        let status = match group.subnet_group_status() {
            Some("Complete") | None => Status::Ready,
            Some(other) => Status::Pending(other.to_lowercase()),
        };
        Live {
            outputs: SubnetGroupOutputs {
                name: group.db_subnet_group_name().unwrap_or_default().to_owned(),
                arn: group.db_subnet_group_arn().unwrap_or_default().into(),
            },
            status,
            owner: tags.owner(),
            spec: SubnetGroup {
                name: self.name.clone(),
                description: group.db_subnet_group_description().unwrap_or_default().to_owned(),
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
