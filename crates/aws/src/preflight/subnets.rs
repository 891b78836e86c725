//! Whether existing subnets have room for what is put into them, lie in enough zones, and lead to where images are.
//!
//! Subnets that the stack itself makes are not looked at: they are as the configuration says.

use super::{Finding, Preflight};
use crate::{
    Aws, Call,
    ec2::{InternetGateway, NatGateway, Route, RouteTable, filter},
    ecs::Service,
    elbv2::LoadBalancer,
    id::SubnetId,
    rds::SubnetGroup,
};
use aws_sdk_ec2::types::{self, Subnet};
use causeway_core::{Error, Set, plan::Action};
use std::collections::{BTreeMap, BTreeSet};

/// Free addresses that a load balancer wants in each of its subnets:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html>.
const OF_BALANCER: i32 = 8;

/// What Fargate reaches through endpoints where there is no way to the internet:
/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html>.
const ENDPOINTS: [&str; 5] = ["ecr.api", "ecr.dkr", "s3", "logs", "secretsmanager"];

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![];
    for (wanted, balancer, aws) in preflight.all::<LoadBalancer>() {
        let Some(ids) = known(&balancer.subnets) else { continue };
        let need = if wanted.action == Action::Create { OF_BALANCER } else { 0 };
        let subnets = describe(aws, &ids).await?;
        findings.push(zones("the load balancer", &ids, &subnets));
        findings.extend(room_in_each("the load balancer", &subnets, need));
    }
    for (_, group, aws) in preflight.all::<SubnetGroup>() {
        let Some(ids) = known(&group.subnet_ids) else { continue };
        findings.push(zones("the database", &ids, &describe(aws, &ids).await?));
    }
    for (wanted, service, aws) in preflight.all::<Service>() {
        let Some(network) = &service.network_configuration else { continue };
        let Some(ids) = known(&network.subnets).filter(|ids| !ids.is_empty()) else { continue };
        let subnets = describe(aws, &ids).await?;
        findings.push(room(&service, wanted.action == Action::Create, &subnets));
        // Where the plan makes or mends the way, it need not be there yet: after a run that was cut off it is half made.
        if !makes_a_way(preflight) {
            findings.push(way_out(aws, &ids, &subnets, network.assign_public_ip == Some(true)).await?);
        }
    }
    Ok(findings)
}

fn makes_a_way(preflight: &Preflight) -> bool {
    preflight.all::<Route>().next().is_some()
        || preflight.all::<RouteTable>().next().is_some()
        || preflight.all::<InternetGateway>().next().is_some()
        || preflight.all::<NatGateway>().next().is_some()
}

/// The ids, once all are known.
fn known(subnets: &Set<SubnetId>) -> Option<BTreeSet<String>> {
    Some(subnets.get().ok()?.into_iter().map(|id| id.0).collect())
}

async fn describe(aws: &Aws, ids: &BTreeSet<String>) -> Result<Vec<Subnet>, Error> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let found = aws.ec2.describe_subnets().filters(filter("subnet-id", ids.iter().cloned())).send().await;
    Ok(found.call("ec2:DescribeSubnets")?.subnets.unwrap_or_default())
}

fn zones(whose: &str, ids: &BTreeSet<String>, subnets: &[Subnet]) -> Finding {
    let asked = format!("whether the subnets of {whose} are in two zones");
    let zones: BTreeSet<&str> = subnets.iter().filter_map(Subnet::availability_zone).collect();
    let there: BTreeSet<&str> = subnets.iter().filter_map(Subnet::subnet_id).collect();
    let gone: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !there.contains(id)).collect();
    let remedy = "add a public subnet in another zone, or let the stack make a network with `vpc = \"new\"`";
    match zones.len() {
        _ if !gone.is_empty() => Finding::failed(
            asked,
            format!("there is no {}", gone.join(" and no ")),
            "name subnets that are there",
        ),
        0 => Finding::failed(asked, "the VPC has no public subnets", remedy),
        1 => {
            let zone = zones.into_iter().collect::<String>();
            Finding::failed(asked, format!("all are in {zone}"), remedy)
        }
        _ => Finding::passed(asked, zones.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

fn free(subnet: &Subnet) -> i32 {
    subnet.available_ip_address_count().unwrap_or_default()
}

fn counted(subnets: &[Subnet]) -> String {
    let all: Vec<String> =
        subnets.iter().map(|s| format!("{} in {}", free(s), s.subnet_id().unwrap_or_default())).collect();
    all.join(", ")
}

fn room_in_each(whose: &str, subnets: &[Subnet], need: i32) -> Option<Finding> {
    if need == 0 || subnets.is_empty() {
        return None;
    }
    let asked = format!("whether each subnet of {whose} has {need} free addresses");
    let answer = counted(subnets);
    Some(if subnets.iter().any(|s| free(s) < need) {
        Finding::failed(asked, answer, "free some, or use larger subnets")
    } else {
        Finding::passed(asked, answer)
    })
}

/// While a deployment runs there are as many tasks as `maximum_percent` allows, and each has an address.
fn room(service: &Service, new: bool, subnets: &[Subnet]) -> Finding {
    let count = service.desired_count.unwrap_or(1);
    let most = service.deployment_configuration.as_ref().and_then(|d| d.maximum_percent).unwrap_or(200);
    let all = (count * most).div_euclid(100).max(count);
    // What runs already has its addresses.
    let need = if new { all } else { all - count };
    let asked = format!("whether the subnets have {need} free addresses for tasks");
    let left: i32 = subnets.iter().map(free).sum();
    if left < need {
        Finding::failed(
            asked,
            counted(subnets),
            "free some, use larger subnets, or lower `count` under [ecs.service]",
        )
    } else {
        Finding::passed(asked, counted(subnets))
    }
}

async fn way_out(
    aws: &Aws,
    ids: &BTreeSet<String>,
    subnets: &[Subnet],
    public: bool,
) -> Result<Finding, Error> {
    let asked = "whether tasks can fetch their image from where they are".to_owned();
    let vpc = subnets.iter().find_map(Subnet::vpc_id).unwrap_or_default();
    let tables = aws.ec2.describe_route_tables().filters(filter("vpc-id", [vpc])).send().await;
    let tables = tables.call("ec2:DescribeRouteTables")?.route_tables.unwrap_or_default();
    let ways: BTreeMap<&str, Way> =
        ids.iter().map(|id| (id.as_str(), way(id, &tables))).filter(|(_, way)| !way.works(public)).collect();
    if ways.is_empty() {
        return Ok(Finding::passed(asked, "every subnet leads to the internet"));
    }
    // Without a way out there may still be endpoints.
    let endpoints = aws.ec2.describe_vpc_endpoints().filters(filter("vpc-id", [vpc])).send().await;
    let endpoints = endpoints.call("ec2:DescribeVpcEndpoints")?.vpc_endpoints.unwrap_or_default();
    let has = |name: &str| {
        let end = format!(".{}.{name}", aws.region);
        endpoints.iter().filter_map(|e| e.service_name()).any(|service| service.ends_with(&end))
    };
    let missing: Vec<&str> = ENDPOINTS.into_iter().filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Ok(Finding::passed(asked, "the VPC has the endpoints"));
    }
    let lost: Vec<String> = ways.iter().map(|(id, way)| format!("{id} {}", way.told())).collect();
    let remedy = format!(
        "route 0.0.0.0/0 to an internet gateway for tasks with a public address, or to a NAT gateway; or add endpoints \
         for {}",
        missing.join(", ")
    );
    Ok(Finding::failed(asked, lost.join("; "), remedy))
}

/// Where the packets of a subnet go that go far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Nowhere,
    InternetGateway,
    /// NAT gateways and instances, transit gateways, firewalls: they bring their own address.
    Other,
}

impl Way {
    fn works(self, public: bool) -> bool {
        match self {
            Way::Nowhere => false,
            Way::InternetGateway => public,
            Way::Other => true,
        }
    }

    fn told(self) -> &'static str {
        match self {
            Way::Nowhere => "has no route to the internet",
            _ => "leads to an internet gateway, which needs a public address that the tasks do not get",
        }
    }
}

/// A subnet without a table of its own uses the main one.
fn way(subnet: &str, tables: &[types::RouteTable]) -> Way {
    let own = tables.iter().find(|t| t.associations().iter().any(|a| a.subnet_id() == Some(subnet)));
    let main = || tables.iter().find(|t| t.associations().iter().any(|a| a.main() == Some(true)));
    let Some(table) = own.or_else(main) else { return Way::Nowhere };
    let default = table.routes().iter().find(|r| r.destination_cidr_block() == Some("0.0.0.0/0"));
    match default {
        Some(route) if route.gateway_id().is_some_and(|g| g.starts_with("igw-")) => Way::InternetGateway,
        Some(_) => Way::Other,
        None => Way::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{Route, RouteTableAssociation};
    use causeway_core::finding::Verdict;

    fn subnet(id: &str, zone: &str, free: i32) -> Subnet {
        Subnet::builder().subnet_id(id).availability_zone(zone).available_ip_address_count(free).build()
    }

    #[test]
    fn two_zones_are_wanted() {
        let ids: BTreeSet<String> = ["s-1".to_owned(), "s-2".to_owned()].into();
        let verdict = |subnets: &[Subnet]| zones("x", &ids, subnets).verdict;
        assert_eq!(verdict(&[subnet("s-1", "a", 9), subnet("s-2", "b", 9)]), Verdict::Passed);
        assert_eq!(verdict(&[subnet("s-1", "a", 9), subnet("s-2", "a", 9)]), Verdict::Failed);
        assert!(zones("x", &ids, &[subnet("s-1", "a", 9)]).answer.contains("no s-2"));
        assert!(zones("x", &BTreeSet::new(), &[]).answer.contains("no public subnets"));
    }

    #[test]
    fn a_load_balancer_wants_room_in_each_subnet() {
        let verdict = |free| {
            room_in_each("x", &[subnet("s-1", "a", 200), subnet("s-2", "b", free)], 8).unwrap().verdict
        };
        assert_eq!(verdict(8), Verdict::Passed);
        assert_eq!(verdict(7), Verdict::Failed);
    }

    #[test]
    fn a_subnet_leads_where_its_table_does() {
        let table = |gateway: Option<&str>, nat: Option<&str>, of: Option<&str>| {
            let route = Route::builder().destination_cidr_block("0.0.0.0/0");
            let route =
                route.set_gateway_id(gateway.map(str::to_owned)).set_nat_gateway_id(nat.map(str::to_owned));
            let association =
                RouteTableAssociation::builder().main(of.is_none()).set_subnet_id(of.map(str::to_owned));
            types::RouteTable::builder().routes(route.build()).associations(association.build()).build()
        };
        let tables = [table(Some("igw-1"), None, None), table(None, Some("nat-1"), Some("s-2"))];
        assert_eq!(way("s-1", &tables), Way::InternetGateway);
        assert_eq!(way("s-2", &tables), Way::Other);
        assert_eq!(way("s-1", &tables[1..]), Way::Nowhere);
        assert!(Way::InternetGateway.works(true) && !Way::InternetGateway.works(false));
        assert!(Way::Other.works(false) && !Way::Nowhere.works(true));
    }
}
