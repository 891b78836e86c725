//! The network: a VPC of its own with public subnets for the load balancer and the tasks, and private ones for the
//! database; or one that is there already.

use super::config::Network;
use crate::legal::ipv4_range;
use causeway_aws::{
    ec2::{
        AvailabilityZones, Cidr, ExistingVpc, InternetGateway, Route, RouteTable, RouteTarget, Subnet, Vpc,
        VpcSelector,
    },
    id::{SubnetId, VpcId},
};
use causeway_core::{Set, Stack, Value};
use std::net::Ipv4Addr;

/// What the rest of the stack needs of the network.
pub(super) struct Networks {
    pub vpc_id: Value<VpcId>,
    /// For what is reached from the internet, and reaches it without a NAT gateway.
    pub public: Set<SubnetId>,
    /// For the database. In a network that is not ours these may be the public ones; the database has no public
    /// address either way.
    pub private: Set<SubnetId>,
}

pub(super) fn network(stack: &mut Stack, config: &Network) -> Networks {
    match config.vpc.as_str() {
        "new" => stack.scope("network", |stack| new(stack, config)),
        "default" => stack.scope("network", |stack| existing(stack, VpcSelector::Default)),
        id => stack.scope("network", |stack| existing(stack, VpcSelector::Id(VpcId::from(id).into()))),
    }
}

fn new(stack: &mut Stack, config: &Network) -> Networks {
    let zones = stack.add("zones", AvailabilityZones::default());
    let vpc = stack.add(
        "vpc",
        Vpc {
            cidr_block: Cidr::from(config.cidr.as_str()),
            enable_dns_support: Some(true),
            enable_dns_hostnames: Some(true),
            tags: super::named(stack, "vpc"),
        },
    );
    stack.setting(vpc.address(), "cidr_block", "ecs.network.cidr");
    let gateway = stack
        .add("gateway", InternetGateway { vpc_id: vpc.vpc_id.clone(), tags: super::named(stack, "gateway") });
    let mut subnets = |kind: &str, blocks: &[String]| -> Set<SubnetId> {
        let one = |(i, block): (usize, &String)| {
            let name = format!("{kind}-{}", i + 1);
            let subnet = Subnet {
                vpc_id: vpc.vpc_id.clone(),
                cidr_block: Cidr::from(block.as_str()),
                availability_zone: Some(zones.names.at(&i.to_string())),
                map_public_ip_on_launch: Some(kind == "public"),
                private_dns_hostname_type_on_launch: None,
                tags: super::named(stack, &name),
            };
            stack.add(&name, subnet).subnet_id.clone()
        };
        blocks.iter().enumerate().map(one).collect()
    };
    let (public, private) = blocks(&config.cidr, config.zones).unwrap_or_default();
    let (public, private) = (subnets("public", &public), subnets("private", &private));
    let table = stack.add(
        "public-routes",
        RouteTable {
            vpc_id: vpc.vpc_id.clone(),
            subnet_ids: public.clone(),
            tags: super::named(stack, "public"),
        },
    );
    stack.add(
        "internet-route",
        Route {
            route_table_id: table.route_table_id.clone(),
            destination_cidr_block: Cidr::anywhere(),
            target: RouteTarget::GatewayId(gateway.internet_gateway_id.clone()),
        },
    );
    Networks { vpc_id: vpc.vpc_id.clone(), public, private }
}

fn existing(stack: &mut Stack, selector: VpcSelector) -> Networks {
    let vpc = stack.add("vpc", ExistingVpc { selector });
    // A list of subnets as a member of a set stands for all of them.
    let public = Set(vec![vpc.public_subnet_ids.cast()]);
    Networks { vpc_id: vpc.vpc_id.clone(), private: public.clone(), public }
}

/// Divides a VPC: its first half for public subnets and its second half for private ones, each half in as many equal
/// blocks as are needed for `zones`.
pub(super) fn blocks(cidr: &str, zones: u8) -> Option<(Vec<String>, Vec<String>)> {
    let (first, length) = ipv4_range(cidr)?;
    if !(16..=24).contains(&length) || !(2..=4).contains(&zones) {
        return None;
    }
    let bits = if zones == 2 { 1 } else { 2 };
    let length = length + 1 + bits;
    let size = 1u32 << (32 - length);
    let half = size << bits;
    let block = |start: u32| move |i: u8| format!("{}/{length}", Ipv4Addr::from(start + u32::from(i) * size));
    Some(((0..zones).map(block(first)).collect(), (0..zones).map(block(first + half)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vpc_is_divided_without_overlap() {
        let (public, private) = blocks("10.0.0.0/16", 2).unwrap();
        assert_eq!(public, ["10.0.0.0/18", "10.0.64.0/18"]);
        assert_eq!(private, ["10.0.128.0/18", "10.0.192.0/18"]);
        let (public, private) = blocks("10.1.2.0/24", 3).unwrap();
        assert_eq!(public, ["10.1.2.0/27", "10.1.2.32/27", "10.1.2.64/27"]);
        assert_eq!(private, ["10.1.2.128/27", "10.1.2.160/27", "10.1.2.192/27"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for wrong in ["10.0.0.0", "10.0.0.1/16", "10.0.0.0/33", "300.0.0.0/16", "10.0.0.0/8"] {
            assert!(blocks(wrong, 2).is_none(), "{wrong}");
        }
        assert!(blocks("10.0.0.0/16", 1).is_none());
    }
}
