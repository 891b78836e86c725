//! The network of a region: its subnets by purpose, and the ways in and out of it.

use super::{
    config::{Endpoints, Nat, Network},
    layout::{Block, Purpose},
    security::open,
};
use crate::nat::{Agent, FckNat, NatPlace, Ssh};
use causeway_aws::{
    ec2::{
        AvailabilityZones, Cidr, DefaultSecurityGroup, ElasticIp, FlowLog, InstanceTypeOfferings,
        InternetGateway, NatGateway, Peer, Route, RouteTable, RouteTarget, SecurityGroup, SecurityGroupRule,
        Subnet, Vpc, VpcEndpoint,
    },
    iam::Role,
    id::{RouteTableId, SubnetId, VpcId},
    logs::LogGroup,
    policy::{PolicyDocument, Statement},
};
use causeway_core::{Address, Set, Stack, Tags, Value, text};
use std::collections::BTreeMap;

/// What the rest of the region needs of its network.
pub(super) struct Networks {
    pub vpc_id: Value<VpcId>,
    /// For databases and caches: private, one in each zone.
    pub private: Set<SubnetId>,
    /// For the interfaces of the control plane.
    pub control_plane: Set<SubnetId>,
    pub system: Set<SubnetId>,
    /// What nodes need before they start: the ways out.
    pub ready: Vec<Address>,
    /// What load balancers and machines hold: the subnets, and the gateway of their addresses.
    pub held: Vec<Address>,
}

/// What a network is made for.
pub(super) struct Wanted<'a> {
    pub config: &'a Network,
    pub cidr: &'a str,
    pub layout: &'a [Block],
    /// The name of the cluster, which finds its subnets by their tags.
    pub cluster: &'a str,
    /// What has to be on offer in a zone for it to be used.
    pub instance_types: &'a [String],
    pub region: &'a str,
}

/// Where nobody has a control plane, by region: <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>
const NOT_FOR_EKS: [(&str, &str); 3] =
    [("us-east-1", "use1-az3"), ("us-west-1", "usw1-az2"), ("ca-central-1", "cac1-az3")];

pub(super) fn network(stack: &mut Stack, wanted: &Wanted<'_>) -> Networks {
    stack.scope("network", |stack| {
        // What a zone is called says nothing of which it is, so those that are left out have to be looked for.
        let left_out = NOT_FOR_EKS.iter().find(|(region, _)| *region == wanted.region);
        let among = left_out.map(|(_, zone)| {
            let zones = AvailabilityZones { exclude_zone_ids: Set::from_iter([*zone]) };
            stack.add("zones", zones).names.cast()
        });
        let offered = stack.add(
            "offerings",
            InstanceTypeOfferings {
                instance_types: wanted.instance_types.iter().map(String::as_str).collect(),
                among: Set(among.into_iter().collect()),
                no_local_zones: true,
                at_least: wanted.layout.iter().map(|block| block.zone + 1).max().unwrap_or_default(),
            },
        );
        let vpc = stack.add(
            "vpc",
            Vpc {
                cidr_block: Cidr::from(wanted.cidr),
                enable_dns_support: Some(true),
                enable_dns_hostnames: Some(true),
                tags: Tags::from([("Name", format!("{}-{}", stack.name(), wanted.region))]),
            },
        );
        stack.setting(vpc.address(), "cidr_block", "eks.network.cidr");
        stack.add("default-group", DefaultSecurityGroup::emptied(vpc.vpc_id.clone()));
        let gateway = stack.add(
            "gateway",
            InternetGateway { vpc_id: vpc.vpc_id.clone(), tags: super::named(stack, "gateway") },
        );
        let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
        let mut made: Vec<(&Block, Value<SubnetId>)> = vec![];
        let mut held = vec![gateway.address().clone()];
        for block in wanted.layout {
            let Some(cidr) = block.cidr(wanted.cidr) else { continue };
            let count = counted.entry(block.purpose.name()).or_default();
            *count += 1;
            let name = format!("{}-{count}", block.purpose.name());
            let subnet = Subnet {
                vpc_id: vpc.vpc_id.clone(),
                cidr_block: Cidr::from(cidr.as_str()),
                availability_zone: Some(offered.zones.at(&block.zone.to_string())),
                map_public_ip_on_launch: Some(false),
                private_dns_hostname_type_on_launch: Some("ip-name".into()),
                tags: tags(stack, wanted.cluster, block.purpose, &name),
            };
            let subnet = stack.add(&name, subnet);
            held.push(subnet.address().clone());
            made.push((block, subnet.subnet_id.clone()));
        }
        let of = |purposes: &[Purpose]| -> Set<SubnetId> {
            made.iter().filter(|(b, _)| purposes.contains(&b.purpose)).map(|(_, id)| id.clone()).collect()
        };
        let public = stack.add(
            "public-routes",
            RouteTable {
                vpc_id: vpc.vpc_id.clone(),
                subnet_ids: of(&[Purpose::Public]),
                tags: super::named(stack, "public"),
            },
        );
        let way_out = stack.add(
            "public-route",
            Route {
                route_table_id: public.route_table_id.clone(),
                destination_cidr_block: Cidr::anywhere(),
                target: RouteTarget::GatewayId(gateway.internet_gateway_id.clone()),
            },
        );
        // A table for each zone, whether or not each has its own way out: changing that moves routes and not subnets.
        let zones = made.iter().map(|(block, _)| block.zone).max().unwrap_or_default() + 1;
        let tables: Vec<Value<RouteTableId>> = (0..zones)
            .map(|zone| {
                let name = format!("private-{}", zone + 1);
                let inside = made.iter().filter(|(b, _)| b.purpose != Purpose::Public && b.zone == zone);
                let table = RouteTable {
                    vpc_id: vpc.vpc_id.clone(),
                    subnet_ids: inside.map(|(_, id)| id.clone()).collect(),
                    tags: super::named(stack, &name),
                };
                stack.add(&format!("{name}-routes"), table).route_table_id.clone()
            })
            .collect();
        let public_subnets: Vec<&Value<SubnetId>> =
            made.iter().filter(|(b, _)| b.purpose == Purpose::Public).map(|(_, id)| id).collect();
        let ways = if wanted.config.nat_per_zone { public_subnets.len() } else { 1 };
        let targets: Vec<RouteTarget> = public_subnets
            .iter()
            .take(ways)
            .enumerate()
            .map(|(i, subnet)| {
                nat(stack, wanted, &vpc.vpc_id, subnet, &format!("nat-{}", i + 1), way_out.address())
            })
            .collect();
        let mut ready = vec![way_out.address().clone()];
        for (zone, table) in tables.iter().enumerate() {
            let route = Route {
                route_table_id: table.clone(),
                destination_cidr_block: Cidr::anywhere(),
                target: targets[zone % targets.len().max(1)].clone(),
            };
            let route = stack.add(&format!("private-{}-route", zone + 1), route);
            ready.push(route.address().clone());
        }
        endpoints(stack, wanted, &vpc.vpc_id, tables, of(&[Purpose::System]));
        if let Some(days) = wanted.config.flow_log_days {
            flow_log(stack, &vpc.vpc_id, wanted.region, days);
        }
        let private = [Purpose::Private, Purpose::System];
        Networks {
            vpc_id: vpc.vpc_id.clone(),
            private: of(&[Purpose::Private]),
            control_plane: of(&private[..]),
            system: of(&[Purpose::System]),
            ready,
            held,
        }
    })
}

/// What load balancers, Karpenter and people find a subnet by.
fn tags(stack: &Stack, cluster: &str, purpose: Purpose, name: &str) -> Tags {
    let mut tags = super::named(stack, name);
    tags.0.insert(format!("kubernetes.io/cluster/{cluster}"), "shared".into());
    match purpose {
        Purpose::Public => tags.0.insert("kubernetes.io/role/elb".into(), "1".into()),
        _ => tags.0.insert("kubernetes.io/role/internal-elb".into(), "1".into()),
    };
    if !matches!(purpose, Purpose::Public | Purpose::Private) {
        tags.0.insert(purpose.tag(), cluster.to_owned());
        tags.0.insert("karpenter.sh/discovery".into(), cluster.to_owned());
    }
    tags
}

fn nat(
    stack: &mut Stack,
    wanted: &Wanted<'_>,
    vpc: &Value<VpcId>,
    subnet: &Value<SubnetId>,
    name: &str,
    way_out: &Address,
) -> RouteTarget {
    match wanted.config.nat {
        Nat::FckNat => {
            let config = wanted.config;
            let ssh = Ssh {
                key_name: None,
                from: config.nat_ssh_from.iter().map(|range| Cidr::from(range.as_str())).collect(),
            };
            let nat = FckNat {
                instance_type: config.nat_instance_type.clone(),
                high_availability: config.nat_keep_alive,
                spot: config.nat_spot,
                allocation_id: config.nat_fixed_address.then(|| {
                    let address = ElasticIp { tags: super::named(stack, name) };
                    stack.scope(name, |stack| stack.add("address", address)).allocation_id.clone()
                }),
                agent: config.nat_metrics.then(Agent::default),
                session_manager: config.nat_session_manager,
                ssh: (!ssh.from.is_empty()).then_some(ssh),
                ..FckNat::new(format!("{}-{}-{name}", stack.name(), wanted.region))
            };
            let place = NatPlace {
                region: wanted.region.to_owned(),
                vpc_id: vpc.clone(),
                vpc_cidr_blocks: vec![Cidr::from(wanted.cidr)],
                subnet_id: subnet.clone(),
            };
            let made = stack.scope(name, |stack| nat.add(stack, &place));
            RouteTarget::NetworkInterfaceId(made.network_interface_id)
        }
        Nat::Managed => stack.scope(name, |stack| {
            let address = stack.add("address", ElasticIp { tags: super::named(stack, name) });
            let gateway = NatGateway {
                subnet_id: subnet.clone(),
                allocation_id: address.allocation_id.clone(),
                tags: super::named(stack, name),
            };
            let gateway = stack.add("gateway", gateway);
            stack.after(gateway.address(), way_out);
            RouteTarget::NatGatewayId(gateway.nat_gateway_id.clone())
        }),
    }
}

fn endpoints(
    stack: &mut Stack,
    wanted: &Wanted<'_>,
    vpc: &Value<VpcId>,
    tables: Vec<Value<RouteTableId>>,
    subnets: Set<SubnetId>,
) {
    if wanted.config.endpoints == Endpoints::None {
        return;
    }
    let service = |name: &str| format!("com.amazonaws.{}.{name}", wanted.region);
    stack.scope("endpoints", |stack| {
        stack.add("s3", VpcEndpoint::gateway(vpc.clone(), service("s3"), Set(tables)));
        if wanted.config.endpoints != Endpoints::All {
            return;
        }
        let group = SecurityGroup {
            foreign_rules: Some(Set::default()),
            tags: super::named(stack, "endpoints"),
            ..SecurityGroup::new(
                format!("{}-endpoints", stack.name()),
                "Endpoints of AWS services",
                vpc.clone(),
            )
        };
        let group = stack.add("group", group).security_group_id.clone();
        open(
            stack,
            "https-in",
            SecurityGroupRule::tcp_in(&group, 443, Peer::cidr(wanted.cidr)),
            "The network",
        );
        for name in ["ecr.api", "ecr.dkr", "sts"] {
            let endpoint =
                VpcEndpoint::interface(vpc.clone(), service(name), subnets.clone(), Set(vec![group.clone()]));
            stack.add(&name.replace('.', "-"), endpoint);
        }
    });
}

fn flow_log(stack: &mut Stack, vpc: &Value<VpcId>, region: &str, days: u16) {
    stack.scope("flow-log", |stack| {
        let name = format!("/aws/vpc/{}/flow-log", stack.name());
        let group = stack.add("group", LogGroup::new(name, i32::from(days)));
        let write = Statement::allow(
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [text!(group.arn, ":*")],
        );
        // Roles are of the account, and not of a region.
        let name = format!("{}-{region}-flow-log", stack.name());
        let mut role = Role::assumed_by(name, "vpc-flow-logs.amazonaws.com");
        role.inline_policies.insert("write".into(), PolicyDocument::new([write]));
        let role = stack.add("role", role);
        stack.add("log", FlowLog::new(vpc.clone(), group.name.clone(), role.arn.clone()));
    });
}
