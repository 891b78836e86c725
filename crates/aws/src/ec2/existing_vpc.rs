//! Looks at a network that someone else made:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcs.html>

use super::{
    Cidr,
    lookup::{Described, filter},
};
use crate::{
    Aws,
    id::{SubnetId, VpcId},
};
use aws_sdk_ec2::types::{Filter, RouteTable, Subnet, Vpc};
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, Value, diff::Diff, outputs};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A network that is not ours, with its subnets. Only looked at: never changed, never deleted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExistingVpc {
    /// Which one.
    pub selector: VpcSelector,
}

/// How an existing network is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", content = "is", rename_all = "snake_case")]
pub enum VpcSelector {
    /// The one that AWS made in every region of the account.
    Default,
    /// The one with this id.
    Id(Value<VpcId>),
    /// The only one with this tag.
    Tag {
        /// Like `Name`.
        key: String,
        /// Its value.
        value: String,
    },
}

outputs! {
    /// What an existing network tells others.
    pub struct ExistingVpcOutputs => ExistingVpcRefs {
        /// `vpc-..`
        pub vpc_id: VpcId,
        /// Its first range of addresses.
        pub cidr_block: Cidr,
        /// All its subnets, in the order of their zones, then their ids.
        pub subnet_ids: Vec<SubnetId>,
        /// Subnets with a route to an internet gateway, in the same order.
        pub public_subnet_ids: Vec<SubnetId>,
        /// All other subnets, in the same order.
        pub private_subnet_ids: Vec<SubnetId>,
    }
}

impl VpcSelector {
    fn filter(&self) -> Result<Filter, Error> {
        Ok(match self {
            VpcSelector::Default => filter("is-default", ["true"]),
            VpcSelector::Id(id) => filter("vpc-id", [id.get()?.as_str()]),
            VpcSelector::Tag { key, value } => filter(&format!("tag:{key}"), [value]),
        })
    }
}
impl fmt::Display for VpcSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VpcSelector::Default => f.write_str("default VPC"),
            VpcSelector::Id(id) => write!(f, "VPC {}", id.get().map_or("of an unknown id", VpcId::as_str)),
            VpcSelector::Tag { key, value } => write!(f, "VPC with the tag {key}={value}"),
        }
    }
}

impl Resource for ExistingVpc {
    const KIND: &'static str = "aws.ec2.existing_vpc";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = ExistingVpcOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ec2 = &cx.client.ec2;
        let vpcs = Vpc::describe(ec2, vec![self.selector.filter()?]).await?;
        let vpc = match vpcs.as_slice() {
            [] => return Ok(None),
            [vpc] => vpc,
            many => {
                let ids: Vec<_> = many.iter().filter_map(Vpc::vpc_id).collect();
                return Err(Error::Invalid(format!(
                    "there is more than one {}: {}; name one by its id",
                    self.selector,
                    ids.join(", ")
                )));
            }
        };
        let inside = || vec![filter("vpc-id", vpc.vpc_id())];
        let (subnets, tables) =
            tokio::try_join!(Subnet::describe(ec2, inside()), RouteTable::describe(ec2, inside()))?;
        let subnet_ids = sorted(subnets);
        let (public_subnet_ids, private_subnet_ids) =
            subnet_ids.iter().cloned().partition(|id| is_public(id.as_str(), &tables));
        Ok(Some(Live {
            spec: self.clone(),
            outputs: ExistingVpcOutputs {
                vpc_id: vpc.vpc_id().unwrap_or_default().into(),
                cidr_block: vpc.cidr_block().unwrap_or_default().into(),
                subnet_ids,
                public_subnet_ids,
                private_subnet_ids,
            },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let hint = match self.selector {
            VpcSelector::Default => "make one with `aws ec2 create-default-vpc`, or name another by its id",
            VpcSelector::Id(_) | VpcSelector::Tag { .. } => "check the region, the account and the selector",
        };
        Err(Error::Invalid(format!("there is no {} in {}: {hint}", self.selector, cx.client.region)))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

fn sorted(mut subnets: Vec<Subnet>) -> Vec<SubnetId> {
    subnets.sort_by_key(|s| (s.availability_zone().map(str::to_owned), s.subnet_id().map(str::to_owned)));
    subnets.iter().filter_map(|s| s.subnet_id().map(SubnetId::from)).collect()
}

/// A subnet without a table of its own uses the main one.
fn is_public(subnet: &str, tables: &[RouteTable]) -> bool {
    let own = tables.iter().find(|t| t.associations().iter().any(|a| a.subnet_id() == Some(subnet)));
    let main = || tables.iter().find(|t| t.associations().iter().any(|a| a.main() == Some(true)));
    own.or_else(main).is_some_and(|table| {
        table.routes().iter().any(|r| r.gateway_id().is_some_and(|gateway| gateway.starts_with("igw-")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{Route, RouteTableAssociation};

    fn table(gateway: Option<&str>, association: RouteTableAssociation) -> RouteTable {
        let route = Route::builder().destination_cidr_block("0.0.0.0/0");
        let route = route.set_gateway_id(gateway.map(str::to_owned)).build();
        RouteTable::builder().routes(route).associations(association).build()
    }
    #[test]
    fn a_subnet_is_public_when_its_table_leads_to_an_internet_gateway() {
        let of = |id: &str| RouteTableAssociation::builder().subnet_id(id).build();
        let main = RouteTableAssociation::builder().main(true).build();
        let tables = [table(Some("igw-1"), main), table(None, of("subnet-2"))];
        assert!(is_public("subnet-1", &tables));
        assert!(!is_public("subnet-2", &tables));
        assert!(!is_public("subnet-1", &tables[1..]));
    }

    #[test]
    fn subnets_stand_in_the_order_of_their_zones() {
        let subnet = |id: &str, zone: &str| Subnet::builder().subnet_id(id).availability_zone(zone).build();
        let subnets = vec![subnet("subnet-1", "b"), subnet("subnet-3", "a"), subnet("subnet-2", "a")];
        assert_eq!(sorted(subnets), ["subnet-2", "subnet-3", "subnet-1"].map(SubnetId::from));
    }

    #[test]
    fn selectors_are_plain_data() {
        let json = serde_json::to_value(VpcSelector::Default).unwrap();
        assert_eq!(serde_json::from_value::<VpcSelector>(json).unwrap(), VpcSelector::Default);
        let tag = VpcSelector::Tag { key: "Name".into(), value: "prod".into() };
        let json = serde_json::to_value(&tag).unwrap();
        assert_eq!(json, serde_json::json!({ "by": "tag", "is": { "key": "Name", "value": "prod" } }));
        assert_eq!(serde_json::from_value::<VpcSelector>(json).unwrap(), tag);
    }
}
