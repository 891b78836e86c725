//! A route table: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateRouteTable.html>

use super::{
    Spreads, live_tags,
    lookup::{Described, PAGE, filter},
    tagged,
};
use crate::{
    Aws, Call,
    id::{RouteTableId, SubnetId, VpcId},
};
use aws_sdk_ec2::{
    Client,
    types::{self, Filter, ResourceType, RouteTableAssociation, RouteTableAssociationStateCode, Tag},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff,
    error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A set of routes for some subnets. The routes are resources of their own: [`Route`](super::Route).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteTable {
    /// The network.
    pub vpc_id: Value<VpcId>,
    /// All subnets that use it and no other. A subnet that another table has is taken over without a gap.
    #[serde(default)]
    pub subnet_ids: Set<SubnetId>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a route table tells others.
    pub struct RouteTableOutputs => RouteTableRefs {
        /// `rtb-..`
        pub route_table_id: RouteTableId,
    }
}

impl Resource for RouteTable {
    const KIND: &'static str = "aws.ec2.route_table";
    const RECOVERY: Recovery = Recovery::Token;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("route_table_id");
    const REPLACE: &'static [&'static str] = &["vpc_id"];
    const TIMING: Timing = Timing::seconds(2, 1, 300);
    type Client = Aws;
    type Outputs = RouteTableOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let recorded = cx.recorded.as_ref().map(|o| o.route_table_id.as_str());
        let found = cx.client.ec2.route_tables.find(recorded, cx.instance).await?;
        Ok(found.as_ref().map(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .ec2
            .create_route_table()
            .client_token(cx.token())
            .vpc_id(self.vpc_id.get()?.as_str())
            .set_tag_specifications(tagged(ResourceType::RouteTable, &self.tags))
            .send()
            .await
            .call("ec2:CreateRouteTable")
            .not_yet()?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        if diff.touches("subnet_ids") {
            associate(cx, live, self.subnet_ids.get()?).await?;
        }
        let id = live.outputs.route_table_id.as_str();
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        if !live.spec.subnet_ids.0.is_empty() {
            associate(cx, live, vec![]).await?;
        }
        let id = live.outputs.route_table_id.as_str();
        cx.client.ec2.delete_route_table().route_table_id(id).send().await.call("ec2:DeleteRouteTable")?;
        Ok(())
    }
}

/// Makes `wanted` the subnets of the table.
async fn associate(
    cx: &Cx<'_, RouteTable>,
    live: &Live<RouteTable>,
    wanted: Vec<SubnetId>,
) -> Result<(), Error> {
    let ec2 = &cx.client.ec2;
    let table = live.outputs.route_table_id.as_str();
    let wanted: BTreeSet<String> = wanted.into_iter().map(String::from).collect();
    let vpc = live.spec.vpc_id.get()?.as_str();
    let tables = types::RouteTable::describe(ec2, vec![filter("vpc-id", [vpc])]).await?;
    let (ours, others) = associations(&tables, table);
    for (_, association) in ours.iter().filter(|(subnet, _)| !wanted.contains(*subnet)) {
        let request = ec2.disassociate_route_table().association_id(association);
        request.send().await.call("ec2:DisassociateRouteTable").found()?;
    }
    for subnet in wanted.iter().filter(|s| !ours.contains_key(*s)) {
        if let Some(association) = others.get(subnet) {
            let request = ec2.replace_route_table_association().association_id(association);
            let replaced = request.route_table_id(table).send().await;
            if replaced.call("ec2:ReplaceRouteTableAssociation").found()?.is_some() {
                continue;
            }
        }
        let request = ec2.associate_route_table().route_table_id(table).subnet_id(subnet);
        request.send().await.call("ec2:AssociateRouteTable").not_yet()?;
    }
    Ok(())
}

/// Subnet to association: those of `table`, and those of other tables.
fn associations(
    tables: &[types::RouteTable],
    table: &str,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    tables
        .iter()
        .flat_map(|t| t.associations())
        .filter(|a| stands(a))
        .filter_map(|a| {
            Some((a.route_table_id()?, (a.subnet_id()?.into(), a.route_table_association_id()?.into())))
        })
        .fold(Default::default(), |(mut ours, mut others), (of, (subnet, association))| {
            if of == table { &mut ours } else { &mut others }.insert(subnet, association);
            (ours, others)
        })
}

fn stands(association: &RouteTableAssociation) -> bool {
    use RouteTableAssociationStateCode::{Disassociated, Disassociating, Failed};
    let state = association.association_state().and_then(|s| s.state());
    !matches!(state, Some(Disassociated | Disassociating | Failed))
}

impl Described for types::RouteTable {
    const ID: &'static str = "route-table-id";
    const NETWORK: Option<&'static str> = Some("vpc-id");
    fn id(&self) -> Option<&str> {
        self.route_table_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    fn network(&self) -> Option<&str> {
        self.vpc_id()
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        // The one `Describe*` of ours that takes no more than 100.
        let request = api.describe_route_tables().set_filters(Some(filters)).max_results(PAGE.min(100));
        request.into_paginator().items().send().try_collect().await.call("ec2:DescribeRouteTables")
    }
}

fn live(table: &types::RouteTable) -> Live<RouteTable> {
    let tags = live_tags(table.tags());
    let associating = table.associations().iter().any(|a| {
        let state = a.association_state().and_then(|s| s.state());
        matches!(
            state,
            Some(
                RouteTableAssociationStateCode::Associating | RouteTableAssociationStateCode::Disassociating
            )
        )
    });
    Live {
        outputs: RouteTableOutputs { route_table_id: table.route_table_id().unwrap_or_default().into() },
        status: if associating { Status::Pending("associating".to_owned()) } else { Status::Ready },
        owner: tags.owner(),
        spec: RouteTable {
            vpc_id: VpcId::from(table.vpc_id().unwrap_or_default()).into(),
            // The association that makes it the main table of its network has no subnet.
            subnet_ids: table
                .associations()
                .iter()
                .filter(|a| stands(a))
                .filter_map(|a| a.subnet_id().map(SubnetId::from))
                .collect(),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::RouteTableAssociationState;

    fn table(id: &str, subnets: &[(&str, &str)]) -> types::RouteTable {
        let associations = subnets.iter().map(|(subnet, state)| {
            RouteTableAssociation::builder()
                .route_table_id(id)
                .subnet_id(*subnet)
                .route_table_association_id(format!("rtbassoc-{subnet}"))
                .association_state(RouteTableAssociationState::builder().state((*state).into()).build())
                .build()
        });
        let main = RouteTableAssociation::builder().route_table_id(id).main(true).build();
        types::RouteTable::builder()
            .route_table_id(id)
            .vpc_id("vpc-1")
            .set_associations(Some(associations.chain([main]).collect()))
            .build()
    }

    #[test]
    fn only_associations_that_stand_count() {
        let live = live(&table("rtb-1", &[("a", "associated"), ("b", "disassociated")]));
        assert_eq!(live.spec.subnet_ids.get().unwrap(), [SubnetId::from("a")]);
        assert_eq!(live.status, Status::Ready);
        let live = super::live(&table("rtb-1", &[("a", "associating")]));
        assert_eq!(live.status, Status::Pending("associating".into()));
    }

    #[test]
    fn a_subnet_of_another_table_is_told_apart() {
        let tables = [table("rtb-1", &[("a", "associated")]), table("rtb-2", &[("b", "associated")])];
        let (ours, others) = associations(&tables, "rtb-1");
        assert_eq!(ours.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(others.get("b").map(String::as_str), Some("rtbassoc-b"));
    }
}
