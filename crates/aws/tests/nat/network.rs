//! The default security group, interfaces, endpoints and flow logs.

use crate::{
    change,
    in_sandbox::{client, registry},
    left, output, updates, with_subnet,
};
use causeway_aws::{
    ec2::{
        DefaultSecurityGroup, FlowLog, NetworkInterface, Route, RouteTable, RouteTarget, SecurityGroup,
        VpcEndpoint,
    },
    iam::Role,
    logs::LogGroup,
    policy::{PolicyDocument, Principal, Statement},
};
use causeway_core::{Set, Stack, Tags, plan::Action, testing::Lifecycle};

fn default_group(name: &str, emptied: bool) -> Stack {
    with_subnet(name, |stack, vpc, _| {
        let vpc = vpc.vpc_id.clone();
        let group =
            if emptied { DefaultSecurityGroup::emptied(vpc) } else { DefaultSecurityGroup::as_made(vpc) };
        stack.add("default", DefaultSecurityGroup { tags: Tags::from([("Name", "unused")]), ..group });
    })
}

#[tokio::test]
async fn row_020_default_group_is_taken_as_it_is_and_emptied() {
    const ACCOUNT: &str = "200000000022";
    const STACK: &str = "default-group";
    let aws = client(ACCOUNT).await;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, default_group(STACK, false)).await;
    let id = output(&life, "default", "security_group_id").await;
    let rules = async || {
        let filter = aws_sdk_ec2::types::Filter::builder().name("group-id").values(&id).build();
        let rules = aws.ec2.describe_security_group_rules().filters(filter).send().await.unwrap();
        rules.security_group_rules().len()
    };
    assert_eq!(rules().await, 2);
    assert_eq!(change(&mut life, "empty it", default_group(STACK, true)).await, updates(&["default"]));
    assert_eq!(rules().await, 0);
    life.drift("opened by hand", "default", async {
        let range = aws_sdk_ec2::types::IpRange::builder().cidr_ip("0.0.0.0/0").build();
        let ssh = aws_sdk_ec2::types::IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22);
        let request = aws.ec2.authorize_security_group_ingress().group_id(&id);
        request.ip_permissions(ssh.ip_ranges(range).build()).send().await.unwrap();
    })
    .await;
    assert_eq!(rules().await, 0);
    assert_eq!(
        change(&mut life, "as AWS makes it", default_group(STACK, false)).await,
        updates(&["default"])
    );
    assert_eq!(rules().await, 2);
    life.end().await;
    assert_eq!(left(&aws, STACK).await, [""; 0]);
}

/// A private table that leads to an interface.
fn interface(name: &str, description: &str, check: bool, groups: &[&str]) -> Stack {
    with_subnet(name, |stack, vpc, subnet| {
        let all = ["one", "two"].map(|name| {
            stack.add(name, SecurityGroup::new(name, "test", vpc.vpc_id.clone())).security_group_id.clone()
        });
        let groups = ["one", "two"].iter().zip(&all).filter(|(name, _)| groups.contains(name));
        let interface = stack.add(
            "interface",
            NetworkInterface {
                subnet_id: subnet.subnet_id.clone(),
                description: description.to_owned(),
                groups: Set(groups.map(|(_, id)| id.clone()).collect()),
                source_dest_check: Some(check),
                private_ip_address: None,
                tags: Tags::from([("Name", "nat")]),
            },
        );
        let table = RouteTable {
            vpc_id: vpc.vpc_id.clone(),
            subnet_ids: Set(vec![subnet.subnet_id.clone()]),
            tags: Tags::default(),
        };
        let table = stack.add("table", table);
        let target = RouteTarget::NetworkInterfaceId(interface.network_interface_id.clone());
        stack.add("out", Route::anywhere(table.route_table_id.clone(), target));
    })
}

#[tokio::test]
async fn row_025_nat_interface_is_static_and_forwards() {
    const ACCOUNT: &str = "200000000023";
    const STACK: &str = "interface";
    let aws = client(ACCOUNT).await;
    let first = interface(STACK, "nat static private ENI", false, &["one"]);
    let mut life = Lifecycle::start(registry(ACCOUNT).await, first).await;
    let id = output(&life, "interface", "network_interface_id").await;
    let there = aws.ec2.describe_network_interfaces().network_interface_ids(&id).send().await.unwrap();
    let there = &there.network_interfaces()[0];
    assert_eq!(there.source_dest_check(), Some(false));
    assert_eq!(there.description(), Some("nat static private ENI"));
    assert!(there.tag_set().iter().any(|t| t.key() == Some("Name") && t.value() == Some("nat")));
    assert_eq!(there.groups().len(), 1);

    let second = interface(STACK, "another", false, &["one", "two"]);
    assert_eq!(change(&mut life, "describe and group", second).await, updates(&["interface"]));
    assert_eq!(output(&life, "interface", "network_interface_id").await, id);
    life.drift("checked again", "interface", async {
        let on = aws_sdk_ec2::types::AttributeBooleanValue::builder().value(true).build();
        let modify = aws.ec2.modify_network_interface_attribute().network_interface_id(&id);
        modify.source_dest_check(on).send().await.unwrap();
    })
    .await;
    life.end().await;
    assert_eq!(left(&aws, STACK).await, [""; 0]);
}

/// Endpoints of both types and a flow log.
fn endpoints(name: &str, narrow: bool, traffic: &str) -> Stack {
    with_subnet(name, |stack, vpc, subnet| {
        let table = RouteTable {
            vpc_id: vpc.vpc_id.clone(),
            subnet_ids: Set(vec![subnet.subnet_id.clone()]),
            tags: Tags::default(),
        };
        let table = stack.add("table", table);
        let tables = if narrow { Set::default() } else { Set(vec![table.route_table_id.clone()]) };
        let mut s3 = VpcEndpoint::gateway(vpc.vpc_id.clone(), "com.amazonaws.us-east-1.s3", tables);
        if narrow {
            let read = Statement::allow(["s3:GetObject"], ["*"]).to([Principal::everybody()]);
            s3.policy = Some(PolicyDocument::new([read]));
        }
        stack.add("s3", s3);
        let group = stack.add("group", SecurityGroup::new("endpoints", "test", vpc.vpc_id.clone()));
        let ecr = VpcEndpoint::interface(
            vpc.vpc_id.clone(),
            "com.amazonaws.us-east-1.ecr.api",
            Set(vec![subnet.subnet_id.clone()]),
            Set(vec![group.security_group_id.clone()]),
        );
        stack.add("ecr", VpcEndpoint { tags: Tags::from([("Name", "ecr")]), ..ecr });
        let logs = stack.add("logs", LogGroup::new("/net/flow", 7));
        let role = stack.add("role", Role::assumed_by("flow-test", "vpc-flow-logs.amazonaws.com"));
        let flow = FlowLog::new(vpc.vpc_id.clone(), logs.name.clone(), role.arn.clone());
        stack.add("flow", FlowLog { traffic_type: traffic.to_owned(), ..flow });
    })
}

#[tokio::test]
async fn row_035_endpoints_and_flow_logs() {
    const ACCOUNT: &str = "200000000027";
    const STACK: &str = "endpoints";
    let aws = client(ACCOUNT).await;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, endpoints(STACK, false, "ALL")).await;
    let s3 = output(&life, "s3", "vpc_endpoint_id").await;
    let changed = change(&mut life, "narrow it", endpoints(STACK, true, "ALL")).await;
    assert_eq!(changed, updates(&["s3"]));
    let there = aws.ec2.describe_vpc_endpoints().vpc_endpoint_ids(&s3).send().await.unwrap();
    let there = &there.vpc_endpoints()[0];
    assert!(there.route_table_ids().is_empty());
    assert!(there.policy_document().unwrap().contains("s3:GetObject"));

    // A network has one flow log for each group, so the old one goes first.
    let changed = change(&mut life, "only what is refused", endpoints(STACK, true, "REJECT")).await;
    assert_eq!(changed, [("flow".to_owned(), Action::ReplaceDeleteFirst)].into());
    let group = output(&life, "group", "security_group_id").await;
    let ecr = output(&life, "ecr", "vpc_endpoint_id").await;
    life.drift("out of its group", "ecr", async {
        let modify = aws.ec2.modify_vpc_endpoint().vpc_endpoint_id(&ecr).remove_security_group_ids(&group);
        modify.send().await.unwrap();
    })
    .await;
    let flow = output(&life, "flow", "flow_log_id").await;
    life.drift("deleted by hand", "flow", async {
        aws.ec2.delete_flow_logs().flow_log_ids(&flow).send().await.unwrap();
    })
    .await;
    life.end().await;
    assert_eq!(left(&aws, STACK).await, [""; 0]);
    let endpoints = aws.ec2.describe_vpc_endpoints().send().await.unwrap();
    assert!(endpoints.vpc_endpoints().is_empty());
}
