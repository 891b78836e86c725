//! Networks and security groups: their lives in the sandbox, and how few calls a look at many takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "ec2")]

use crate::in_sandbox::{REGION, client, registry};
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use causeway_aws::{
    Aws, AwsStack, Region,
    ec2::{
        AvailabilityZones, ElasticIp, ExistingVpc, InternetGateway, NatGateway, Peer, Route, RouteTable,
        RouteTarget, SecurityGroup, SecurityGroupRule, Subnet, Vpc, VpcSelector,
    },
    id::{SubnetId, VpcId},
};
use causeway_core::{
    Address, Cx, Engine, Live, Owner, Resource, Set, Stack, Tags, Value,
    diff::{Diff, diff},
    engine::Run,
    plan::{Action, PlanOptions},
    secret::{SealKey, Sealed},
    store::MemoryStore,
    testing::Lifecycle,
};
use causeway_sandbox::gateway::{Act, Rule};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a network test varies.
#[derive(Clone, Copy, Default)]
struct Variant {
    dns_hostnames: Option<bool>,
    public_ips: Option<bool>,
    /// The second public subnet is served by the private table.
    moved: bool,
    /// Private packets leave through the internet gateway.
    gateway: bool,
    /// The NAT gateway stands in the second public subnet.
    nat_in_b: bool,
    team: Option<&'static str>,
}

/// A network with a public and a private half.
fn network(name: &str, variant: Variant) -> Stack {
    let mut stack = Stack::new(name);
    stack.region(REGION, |stack| {
        let zones = stack.add("zones", AvailabilityZones::default());
        let tags = || variant.team.map_or_else(Tags::default, |team| Tags::from([("team", team)]));
        let vpc = stack.add(
            "vpc",
            Vpc {
                cidr_block: "10.20.0.0/16".into(),
                enable_dns_support: None,
                enable_dns_hostnames: variant.dns_hostnames,
                tags: tags(),
            },
        );
        let subnet = |stack: &mut Stack, name: &str, cidr: &str, zone: &str, public| {
            stack.add(
                name,
                Subnet {
                    vpc_id: vpc.vpc_id.clone(),
                    cidr_block: cidr.into(),
                    availability_zone: Some(zones.names.at(zone)),
                    map_public_ip_on_launch: public,
                    private_dns_hostname_type_on_launch: None,
                    tags: tags(),
                },
            )
        };
        let public = [
            subnet(stack, "public-a", "10.20.0.0/20", "0", variant.public_ips),
            subnet(stack, "public-b", "10.20.16.0/20", "1", variant.public_ips),
        ];
        let private = subnet(stack, "private-a", "10.20.32.0/20", "0", None);
        let gateway = stack.add("gateway", InternetGateway { vpc_id: vpc.vpc_id.clone(), tags: tags() });
        let table = |stack: &mut Stack, name: &str, subnet_ids: Vec<&Value<SubnetId>>| {
            let subnet_ids = Set(subnet_ids.into_iter().cloned().collect());
            stack.add(name, RouteTable { vpc_id: vpc.vpc_id.clone(), subnet_ids, tags: tags() })
        };
        let (a, b) = (&public[0].subnet_id, &public[1].subnet_id);
        let of_public = if variant.moved { vec![a] } else { vec![a, b] };
        let of_private = if variant.moved { vec![b, &private.subnet_id] } else { vec![&private.subnet_id] };
        let public_table = table(stack, "public", of_public).route_table_id.clone();
        let private_table = table(stack, "private", of_private).route_table_id.clone();
        let out = RouteTarget::GatewayId(gateway.internet_gateway_id.clone());
        let route = stack.add("public-out", Route::anywhere(public_table, out.clone()));
        let address = stack.add("address", ElasticIp { tags: tags() });
        let nat = stack.add(
            "nat",
            NatGateway {
                subnet_id: if variant.nat_in_b { b.clone() } else { a.clone() },
                allocation_id: address.allocation_id.clone(),
                tags: tags(),
            },
        );
        stack.after(nat.address(), route.address());
        let through_nat = RouteTarget::NatGatewayId(nat.nat_gateway_id.clone());
        let target = if variant.gateway { out } else { through_nat };
        stack.add("private-out", Route::anywhere(private_table, target));
    });
    stack
}

/// What a security group test varies.
#[derive(Clone, Copy)]
struct Rules {
    default_egress: bool,
    description: Option<&'static str>,
    port: u16,
    team: Option<&'static str>,
}

const RULES: Rules =
    Rules { default_egress: false, description: Some("from anywhere"), port: 443, team: None };

/// Two groups: the load balancer's, open to the world, and that of what it speaks to.
fn groups(vpc_id: &VpcId, variant: Rules) -> Stack {
    let mut stack = Stack::new("groups-test");
    stack.region(REGION, |stack| {
        let tags = || variant.team.map_or_else(Tags::default, |team| Tags::from([("team", team)]));
        let vpc: Value<VpcId> = vpc_id.clone().into();
        let new = SecurityGroup::new(causeway_core::Name::generated("front"), "load balancer", vpc.clone());
        let front = stack.add("front", SecurityGroup { tags: tags(), ..new });
        let new = SecurityGroup::new("coder-app", "servers", vpc);
        let app =
            stack.add("app", SecurityGroup { default_egress: variant.default_egress, tags: tags(), ..new });
        let (front, app) = (&front.security_group_id, &app.security_group_id);
        let rule = SecurityGroupRule::tcp_in(front, variant.port, Peer::anywhere());
        let description = variant.description.map(str::to_owned);
        stack.add("https", SecurityGroupRule { description, tags: tags(), ..rule });
        // Says the same as the rule that AWS makes, and is ours.
        stack.add("front-out", SecurityGroupRule::all_out(front, Peer::anywhere()));
        stack.add("front-in-v6", SecurityGroupRule::tcp_in(front, 443, Peer::cidr("::/0")));
        stack.add("app-in", SecurityGroupRule::tcp_in(app, 7080, Peer::group(front)));
        stack.add("app-within", SecurityGroupRule::all_in(app, Peer::group(app)));
        stack.add("app-out", SecurityGroupRule::tcp_out(app, 5432, Peer::cidr("10.30.7.0/16")));
        let ping = SecurityGroupRule {
            ip_protocol: "ICMP".into(),
            from_port: Some(8),
            to_port: Some(-1),
            ..SecurityGroupRule::all_in(app, Peer::cidr("10.30.0.0/16"))
        };
        stack.add("app-ping", ping);
    });
    stack
}

async fn change(life: &mut Lifecycle, what: &str, stack: Stack) -> BTreeMap<String, Action> {
    life.change(what, stack)
        .await
        .into_iter()
        .filter(|(_, action)| !matches!(action, Action::Keep | Action::Wait | Action::Record))
        .map(|(address, action)| (address.0, action))
        .collect()
}

fn updates(of: &[&str]) -> BTreeMap<String, Action> {
    of.iter().map(|address| ((*address).to_owned(), Action::Update)).collect()
}

fn text(outputs: &serde_json::Value, field: &str) -> String {
    outputs[field].as_str().unwrap_or_else(|| panic!("no {field} in {outputs}")).to_owned()
}

#[tokio::test]
async fn a_network_lives_changes_and_dies() {
    const ACCOUNT: &str = "200000000001";
    let aws = client(ACCOUNT).await;
    let first = Variant { dns_hostnames: Some(true), public_ips: Some(true), ..Variant::default() };
    let mut life = Lifecycle::start(registry(ACCOUNT).await, network("network-test", first)).await;

    let second = Variant { moved: true, gateway: true, ..first };
    let changed = change(&mut life, "move a subnet and a route", network("network-test", second)).await;
    assert_eq!(changed, updates(&["private", "private-out", "public"]));
    let subnet = text(&life.outputs("public-b").await, "subnet_id");
    let table = text(&life.outputs("private").await, "route_table_id");
    let served = aws.ec2.describe_route_tables().route_table_ids(&table).send().await.unwrap();
    let served = served.route_tables()[0].associations();
    assert!(served.iter().any(|a| a.subnet_id() == Some(&subnet)), "{served:?}");

    let third =
        Variant { dns_hostnames: Some(false), public_ips: Some(false), team: Some("platform"), ..second };
    let changed = change(&mut life, "switch off and tag", network("network-test", third)).await;
    let tagged =
        ["address", "gateway", "nat", "private", "private-a", "public", "public-a", "public-b", "vpc"];
    assert_eq!(changed, updates(&tagged));

    let vpc = text(&life.outputs("vpc").await, "vpc_id");
    let association = served.iter().find(|a| a.subnet_id() == Some(&subnet)).unwrap();
    life.drift("disassociated", "private", async {
        let request = aws.ec2.disassociate_route_table();
        request.association_id(association.route_table_association_id().unwrap()).send().await.unwrap();
    })
    .await;
    let nat = text(&life.outputs("nat").await, "nat_gateway_id");
    life.drift("led elsewhere", "private-out", async {
        let request = aws.ec2.replace_route().route_table_id(&table).destination_cidr_block("0.0.0.0/0");
        request.nat_gateway_id(&nat).send().await.unwrap();
    })
    .await;

    let existing = ExistingVpc { selector: VpcSelector::Id(VpcId::from(vpc).into()) };
    let live = look(&existing, &aws, "", None).await.unwrap();
    assert_eq!(live.outputs.cidr_block.as_str(), "10.20.0.0/16");
    // All three lead to the internet gateway by now.
    assert_eq!((live.outputs.public_subnet_ids.len(), live.outputs.private_subnet_ids.len()), (3, 0));
    life.end().await;
    assert!(look(&existing, &aws, "", None).await.is_none());
}

#[tokio::test]
async fn a_nat_gateway_gives_its_address_back_before_another_takes_it() {
    const ACCOUNT: &str = "200000000002";
    let first = Variant::default();
    let mut life = Lifecycle::start(registry(ACCOUNT).await, network("network-test", first)).await;
    let moved = Variant { nat_in_b: true, ..first };
    let changed = change(&mut life, "move the gateway", network("network-test", moved)).await;
    assert_eq!(changed["nat"], Action::ReplaceDeleteFirst);
    assert_eq!(changed["private-out"], Action::Update);
    assert_eq!(changed.len(), 2);
    life.end().await;
}

#[tokio::test]
async fn security_groups_live_change_and_die() {
    const ACCOUNT: &str = "200000000003";
    let aws = client(ACCOUNT).await;
    let vpc = aws.ec2.create_vpc().cidr_block("10.30.0.0/16").send().await.unwrap();
    let vpc = VpcId::from(vpc.vpc().unwrap().vpc_id().unwrap());
    let mut life = Lifecycle::start(registry(ACCOUNT).await, groups(&vpc, RULES)).await;

    let app = text(&life.outputs("app").await, "security_group_id");
    let front = text(&life.outputs("front").await, "security_group_id");
    assert_eq!(egress(&aws, &app).await, ["tcp 10.30.0.0/16"]);
    assert_eq!(egress(&aws, &front).await, ["-1 0.0.0.0/0"]);

    let described = Rules { description: Some("HTTPS"), ..RULES };
    let changed = change(&mut life, "describe", groups(&vpc, described)).await;
    assert_eq!(changed, updates(&["https"]));

    // The emulator does not take a description away, so that is not tried.
    let open = Rules { default_egress: true, team: Some("platform"), ..described };
    let changed = change(&mut life, "the rule of AWS", groups(&vpc, open)).await;
    assert_eq!(changed, updates(&["app", "front", "https"]));
    assert_eq!(egress(&aws, &app).await, ["-1 0.0.0.0/0", "tcp 10.30.0.0/16"]);

    let moved = Rules { port: 8443, ..RULES };
    let changed = change(&mut life, "another port", groups(&vpc, moved)).await;
    assert_eq!(changed["https"], Action::ReplaceCreateFirst);
    assert_eq!(changed["app"], Action::Update);
    assert_eq!(egress(&aws, &app).await, ["tcp 10.30.0.0/16"]);

    let rule = text(&life.outputs("https").await, "security_group_rule_id");
    life.drift("opened by hand", "app", async {
        let everything = aws_sdk_ec2::types::IpPermission::builder()
            .ip_protocol("-1")
            .ip_ranges(aws_sdk_ec2::types::IpRange::builder().cidr_ip("0.0.0.0/0").build())
            .build();
        let request = aws.ec2.authorize_security_group_egress().group_id(&app).ip_permissions(everything);
        request.send().await.unwrap();
    })
    .await;
    assert_eq!(egress(&aws, &app).await, ["tcp 10.30.0.0/16"]);
    life.drift("revoked", "https", async {
        let request = aws.ec2.revoke_security_group_ingress().group_id(&front);
        request.security_group_rule_ids(&rule).send().await.unwrap();
    })
    .await;
    life.end().await;
    aws.ec2.delete_vpc().vpc_id(vpc.as_str()).send().await.unwrap();
}

/// Protocol and peer of each rule for what goes out.
async fn egress(aws: &Aws, group: &str) -> Vec<String> {
    let filter = aws_sdk_ec2::types::Filter::builder().name("group-id").values(group).build();
    let rules = aws.ec2.describe_security_group_rules().filters(filter).send().await.unwrap();
    let mut rules: Vec<_> = rules
        .security_group_rules()
        .iter()
        .filter(|r| r.is_egress() == Some(true))
        .map(|r| format!("{} {}", r.ip_protocol().unwrap(), r.cidr_ipv4().unwrap_or("?")))
        .collect();
    rules.sort();
    rules
}

/// Looks as the engine does, without one.
async fn look<R: Resource<Client = Aws>>(
    resource: &R,
    aws: &Aws,
    instance: &str,
    recorded: Option<R::Outputs>,
) -> Option<Live<R>> {
    let address = Address::from("thing");
    let cx = Cx { client: aws, address: &address, instance, recorded };
    resource.read(&cx).await.unwrap_or_else(|e| panic!("{}", causeway_core::error::chain(&e)))
}

fn sealed<R: Resource>(spec: &R) -> Sealed {
    Sealed::of(&serde_json::to_value(spec).unwrap(), &SealKey::fixed("k"))
}

fn difference<R: Resource>(wanted: &R, live: &R) -> Diff {
    diff(&sealed(wanted), &sealed(live), &Sealed::default())
}

#[tokio::test]
async fn what_is_not_wanted_any_more_goes_back_to_what_aws_decides() {
    const ACCOUNT: &str = "200000000005";
    let aws = client(ACCOUNT).await;
    let instance = format!("back-{}", std::process::id());
    let address = Address::from("thing");
    let cx = || Cx { client: &aws, address: &address, instance: &instance, recorded: None };
    let tags = Tags::from([(Tags::INSTANCE, instance.as_str()), ("team", "platform")]);
    let set = Vpc {
        cidr_block: "10.50.0.0/16".into(),
        enable_dns_support: Some(false),
        enable_dns_hostnames: Some(false),
        tags,
    };
    let unset = Vpc {
        enable_dns_support: None,
        enable_dns_hostnames: None,
        tags: Tags::from([(Tags::INSTANCE, instance.as_str())]),
        ..set.clone()
    };
    set.create(&cx()).await.unwrap();
    let live = look(&set, &aws, &instance, None).await.unwrap();
    set.update(&cx(), &live, &difference(&set, &live.spec)).await.unwrap();
    let live = look(&set, &aws, &instance, None).await.unwrap();
    assert!(difference(&set, &live.spec).is_empty());
    let removed = diff(&sealed(&unset), &sealed(&live.spec), &sealed(&set));
    assert_eq!(removed.changes.len(), 3, "{removed:?}");
    unset.update(&cx(), &live, &removed).await.unwrap();
    let live = look(&unset, &aws, &instance, None).await.unwrap();
    assert_eq!((live.spec.enable_dns_support, live.spec.enable_dns_hostnames), (Some(true), Some(false)));
    assert_eq!(live.spec.tags, unset.tags);
    unset.delete(&cx(), &live).await.unwrap();
}

#[tokio::test]
async fn what_was_half_made_is_found_by_its_incarnation_and_finished() {
    const ACCOUNT: &str = "200000000004";
    let aws = client(ACCOUNT).await;
    let instance = format!("half-{}", std::process::id());
    let address = Address::from("thing");
    let tags =
        Tags::from([(Tags::STACK, "test"), (Tags::ADDRESS, "thing"), (Tags::INSTANCE, instance.as_str())]);
    let vpc = Vpc {
        cidr_block: "10.40.0.0/16".into(),
        enable_dns_support: None,
        enable_dns_hostnames: None,
        tags: tags.clone(),
    };
    let cx = Cx { client: &aws, address: &address, instance: &instance, recorded: None };
    vpc.create(&cx).await.unwrap();
    assert!(look(&vpc, &aws, "another", None).await.is_none());
    let found = look(&vpc, &aws, &instance, None).await.unwrap();
    assert!(matches!(&found.owner, Owner::Tagged { instance: i, .. } if *i == instance));
    let vpc_id = &found.outputs.vpc_id;

    let gateway = InternetGateway { vpc_id: vpc_id.clone().into(), tags: tags.clone() };
    let cx = Cx { client: &aws, address: &address, instance: &instance, recorded: None };
    gateway.create(&cx).await.unwrap();
    let half = look(&gateway, &aws, &instance, None).await.unwrap();
    let rest = difference(&gateway, &half.spec);
    assert!(rest.touches("vpc_id"));
    gateway.update(&cx, &half, &rest).await.unwrap();
    let whole = look(&gateway, &aws, &instance, None).await.unwrap();
    assert!(difference(&gateway, &whole.spec).is_empty());

    let group = SecurityGroup {
        tags,
        ..SecurityGroup::new(causeway_core::Name::generated("half"), "half", vpc_id.clone().into())
    };
    let cx = Cx { client: &aws, address: &address, instance: &instance, recorded: None };
    group.create(&cx).await.unwrap();
    let half = look(&group, &aws, &instance, None).await.unwrap();
    let rest = difference(&group, &half.spec);
    assert_eq!(rest.changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["default_egress"]);
    group.update(&cx, &half, &rest).await.unwrap();
    let whole_group = look(&group, &aws, &instance, None).await.unwrap();
    assert!(difference(&group, &whole_group.spec).is_empty());

    group.delete(&cx, &whole_group).await.unwrap();
    assert!(look(&group, &aws, &instance, Some(whole_group.outputs)).await.is_none());
    let cx = Cx { client: &aws, address: &address, instance: &instance, recorded: None };
    gateway.delete(&cx, &whole).await.unwrap();
    // As after a crash in the middle of a delete, with what was seen before it.
    assert!(gateway.delete(&cx, &whole).await.is_err_and(|e| e.class() == causeway_core::Class::NotFound));
    let cx = Cx { client: &aws, address: &address, instance: &instance, recorded: None };
    vpc.delete(&cx, &found).await.unwrap();
    assert!(look(&vpc, &aws, &instance, Some(found.outputs)).await.is_none());
}

#[tokio::test]
async fn the_network_that_every_region_has_is_looked_at_and_left_alone() {
    const ACCOUNT: &str = "200000000006";
    let aws = client(ACCOUNT).await;
    let stack = |selector| {
        let mut stack = Stack::new("existing-test");
        stack.region(REGION, |stack| {
            let vpc = stack.add("vpc", ExistingVpc { selector });
            stack.add("group", SecurityGroup::new("existing-test", "test", vpc.vpc_id.clone()));
        });
        stack
    };
    let life = Lifecycle::start(registry(ACCOUNT).await, stack(VpcSelector::Default)).await;
    let outputs = life.outputs("vpc").await;
    assert!(outputs["subnet_ids"].as_array().unwrap().len() > 1, "{outputs}");
    let vpc = text(&outputs, "vpc_id");
    life.end().await;
    assert!(!aws.ec2.describe_vpcs().vpc_ids(vpc).send().await.unwrap().vpcs().is_empty());

    let missing = stack(VpcSelector::Tag { key: "Name".into(), value: "nobody's".into() });
    let engine = Engine::new(registry(ACCOUNT).await, Arc::new(MemoryStore::default()));
    let planned = engine.plan(&missing, &PlanOptions::default()).await.unwrap();
    let report = engine.apply(planned, &Run::default()).await.unwrap();
    let why = format!("{report:?}");
    assert!(!report.is_complete());
    assert!(why.contains("there is no VPC with the tag Name=nobody's in us-east-1"), "{why}");
}

#[tokio::test]
async fn lost_answers_leave_nothing_behind_and_nothing_twice() {
    const ACCOUNT: &str = "200000000007";
    let aws = client(ACCOUNT).await;
    let sandbox = causeway_sandbox::shared().unwrap();
    let (key, _) = sandbox.credentials(ACCOUNT).unwrap();
    let lost = CHANGES.map(|operation| {
        let rule = Rule::new(&format!("ec2:{operation}"), Act::CutAfter).once().access_key(&key);
        (operation, sandbox.gateway().rules().add(rule))
    });
    let first = Variant { dns_hostnames: Some(true), ..Variant::default() };
    let mut life = Lifecycle::start(registry(ACCOUNT).await, network("network-test", first)).await;
    // A network, three subnets, two tables, two gateways and an address.
    let made = tagged(&aws, "network-test").await;
    assert_eq!((made["vpc"], made["subnet"], made["route-table"]), (1, 3, 2));
    assert_eq!(made.values().sum::<usize>(), 9, "{made:?}");
    let second = Variant { moved: true, gateway: true, public_ips: Some(true), team: Some("x"), ..first };
    life.change("everything", network("network-test", second)).await;
    assert_eq!(tagged(&aws, "network-test").await, made);
    life.end().await;

    let vpc = aws.ec2.create_vpc().cidr_block("10.60.0.0/16").send().await.unwrap();
    let vpc = VpcId::from(vpc.vpc().unwrap().vpc_id().unwrap());
    let mut life = Lifecycle::start(registry(ACCOUNT).await, groups(&vpc, RULES)).await;
    let other = Rules { default_egress: true, description: Some("HTTPS"), ..RULES };
    life.change("the rule of AWS", groups(&vpc, other)).await;
    life.end().await;
    for (operation, rule) in lost {
        assert_eq!(sandbox.gateway().rules().acted(rule), 1, "{operation} was not tried");
    }
}

/// Every call that changes something, but for `CreateRouteTable`: it is repeated with its token, which the emulator
/// ignores.
const CHANGES: [&str; 28] = [
    "AllocateAddress",
    "AssociateRouteTable",
    "AttachInternetGateway",
    "AuthorizeSecurityGroupEgress",
    "AuthorizeSecurityGroupIngress",
    "CreateInternetGateway",
    "CreateNatGateway",
    "CreateRoute",
    "CreateSecurityGroup",
    "CreateSubnet",
    "CreateTags",
    "CreateVpc",
    "DeleteInternetGateway",
    "DeleteNatGateway",
    "DeleteRoute",
    "DeleteRouteTable",
    "DeleteSecurityGroup",
    "DeleteSubnet",
    "DeleteVpc",
    "DetachInternetGateway",
    "DisassociateRouteTable",
    "ModifySubnetAttribute",
    "ModifyVpcAttribute",
    "ReleaseAddress",
    "ReplaceRoute",
    "RevokeSecurityGroupEgress",
    "RevokeSecurityGroupIngress",
    "UpdateSecurityGroupRuleDescriptionsIngress",
];

/// How many things of each type carry the tag of the stack `name`.
async fn tagged(aws: &Aws, name: &str) -> BTreeMap<String, usize> {
    let filter = |name, value: &str| aws_sdk_ec2::types::Filter::builder().name(name).values(value).build();
    let request = aws.ec2.describe_tags().filters(filter("key", Tags::STACK)).filters(filter("value", name));
    let mut count = BTreeMap::new();
    for tag in request.send().await.unwrap().tags() {
        *count.entry(tag.resource_type().unwrap().to_string()).or_default() += 1;
    }
    count
}

async fn config(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(causeway_aws::retries())
        .region(aws_config::Region::new(REGION))
        .load()
        .await
}

/// Answers look-ups of security groups and their rules, and counts them.
struct Counting {
    endpoint: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Counting {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(vec![]));
        let seen = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                tokio::spawn(answer_all(connection, seen));
            }
        });
        Counting { endpoint, calls }
    }
}

/// The head and the body of the next request.
async fn request(connection: &mut TcpStream) -> Option<(String, String)> {
    let mut text = String::new();
    let mut buffer = vec![0; 65536];
    loop {
        let n = connection.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        text.push_str(std::str::from_utf8(&buffer[..n]).ok()?);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

fn action(form: &str) -> String {
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.expect("every EC2 request has an action").to_owned()
}

async fn answer_all(mut connection: TcpStream, calls: Arc<Mutex<Vec<String>>>) {
    while let Some((_, form)) = request(&mut connection).await {
        calls.lock().unwrap().push(action(&form));
        let body = answer(&form);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// As many groups as are asked for, each with the rule that AWS makes.
fn answer(form: &str) -> String {
    let pairs: BTreeMap<&str, &str> = form.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let action = action(form);
    let asked = pairs.iter().filter(|(key, _)| key.starts_with("Filter.1.Value.")).map(|(_, value)| *value);
    let (list, items): (&str, String) = match (action.as_str(), pairs["Filter.1.Name"]) {
        ("DescribeSecurityGroups", "group-id") => (
            "securityGroupInfo",
            asked
                .map(|id| {
                    format!(
                        "<item><groupId>{id}</groupId><groupName>{id}</groupName><vpcId>vpc-1</vpcId>\
                         <groupDescription>test</groupDescription></item>"
                    )
                })
                .collect(),
        ),
        ("DescribeSecurityGroupRules", "group-id") => (
            "securityGroupRuleSet",
            asked
                .map(|id| {
                    format!(
                        "<item><securityGroupRuleId>sgr-{id}</securityGroupRuleId><groupId>{id}</groupId>\
                         <isEgress>true</isEgress><ipProtocol>-1</ipProtocol><fromPort>-1</fromPort>\
                         <toPort>-1</toPort><cidrIpv4>0.0.0.0/0</cidrIpv4></item>"
                    )
                })
                .collect(),
        ),
        other => panic!("nothing else is asked: {other:?}"),
    };
    format!(
        "<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>1</requestId>\
         <{list}>{items}</{list}></{action}Response>"
    )
}

#[tokio::test]
async fn two_hundred_security_groups_are_read_with_three_calls() {
    let server = Counting::start().await;
    let aws = Aws::new(&config(&server.endpoint).await, &Region::new(REGION));
    let groups: Vec<_> = (0..200).map(|i| format!("sg-{i:03}")).collect();
    let reads = groups.iter().map(|id| {
        let aws = aws.clone();
        let recorded = serde_json::from_value(json!({ "security_group_id": id })).unwrap();
        let group = SecurityGroup::new(id.as_str(), "test", VpcId::from("vpc-1").into());
        tokio::spawn(async move { (look(&group, &aws, "i", Some(recorded)).await, group) })
    });
    for (read, id) in reads.collect::<Vec<_>>().into_iter().zip(&groups) {
        let (live, group) = read.await.unwrap();
        let live = live.unwrap_or_else(|| panic!("{id} was not found"));
        assert_eq!(live.outputs.security_group_id.as_str(), id);
        assert!(live.spec.default_egress);
        assert!(difference(&group, &live.spec).touches("default_egress"));
    }
    let mut calls = server.calls.lock().unwrap().clone();
    calls.sort();
    assert_eq!(calls, ["DescribeSecurityGroupRules", "DescribeSecurityGroups", "DescribeSecurityGroups"]);
}
