//! How many calls a plan takes that finds nothing to do, and what it does where it may not list or something was changed
//! by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(
    feature = "ec2",
    feature = "events",
    feature = "iam",
    feature = "kms",
    feature = "secretsmanager",
    feature = "sqs",
    feature = "ssm"
))]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    ec2::{
        DefaultSecurityGroup, InternetGateway, LaunchTemplate, Peer, Route, RouteTable, RouteTarget,
        SecurityGroup, SecurityGroupRule, Subnet, Vpc,
    },
    iam::{InstanceProfile, Policy, PolicyDocument, Role, Statement},
    kms,
    secretsmanager::{Secret, SecretValue},
    sqs::Queue,
    ssm::{Parameter, ParameterValue},
};
use causeway_core::{
    Engine, Set, Stack, Tags,
    engine::Run,
    plan::{Action, PlanOptions},
    store::MemoryStore,
};
use causeway_sandbox::gateway::{Act, Rule};
use std::{collections::BTreeMap, sync::Arc};

const WEST: &str = "us-west-2";

/// In each of two regions a network of `n` times four subnets and eight rules, `n` times three roles, and what else there
/// is that is listed.
fn stack(n: u16) -> Stack {
    let mut stack = Stack::new("calls");
    for region in [REGION, WEST] {
        stack.region(region, |stack| stack.scope(region, |stack| of_region(stack, region, n)));
    }
    stack
}

fn of_region(stack: &mut Stack, region: &str, n: u16) {
    let (network, empty) = if region == WEST { ("10.31", "10.33") } else { ("10.30", "10.32") };
    let vpc = |range: String| Vpc {
        cidr_block: range.as_str().into(),
        enable_dns_support: None,
        enable_dns_hostnames: Some(true),
        tags: Tags::default(),
    };
    stack.add("empty", vpc(format!("{empty}.0.0/16")));
    let vpc = stack.add("vpc", vpc(format!("{network}.0.0/16")));
    stack.add("default-group", DefaultSecurityGroup::emptied(vpc.vpc_id.clone()));
    let gateway = InternetGateway { vpc_id: vpc.vpc_id.clone(), tags: Tags::default() };
    let gateway = stack.add("gateway", gateway);
    let table = RouteTable { vpc_id: vpc.vpc_id.clone(), subnet_ids: Set::default(), tags: Tags::default() };
    let table = stack.add("routes", table);
    let way = RouteTarget::GatewayId(gateway.internet_gateway_id.clone());
    stack.add("route", Route::anywhere(table.route_table_id.clone(), way));
    for i in 0..4 * n {
        let subnet = Subnet {
            vpc_id: vpc.vpc_id.clone(),
            cidr_block: format!("{network}.{i}.0/24").as_str().into(),
            availability_zone: None,
            map_public_ip_on_launch: None,
            private_dns_hostname_type_on_launch: None,
            tags: Tags::default(),
        };
        stack.add(&format!("subnet-{i}"), subnet);
    }
    for i in 0..2 * n {
        let group = SecurityGroup::new(format!("group-{i}"), "A group", vpc.vpc_id.clone());
        let group = stack.add(&format!("group-{i}"), group);
        for port in 0..4 {
            let from = Peer::cidr(format!("{network}.0.0/16").as_str());
            let rule = SecurityGroupRule::tcp_in(&group.security_group_id, 8000 + port, from);
            stack.add(&format!("group-{i}-{port}"), rule);
        }
    }
    let reads = || PolicyDocument::new([Statement::allow(["s3:GetObject"], ["*"])]);
    for i in 0..3 * n {
        let name = format!("{region}-{i}");
        let role = Role {
            description: Some("as it was".into()),
            inline_policies: BTreeMap::from([("reads".to_owned(), reads())]),
            ..Role::assumed_by(name.as_str(), "ec2.amazonaws.com")
        };
        let role = stack.add(&format!("role-{i}"), role);
        let profile = InstanceProfile {
            name: name.as_str().into(),
            path: None,
            role: role.name.clone(),
            tags: Tags::default(),
        };
        stack.add(&format!("profile-{i}"), profile);
        stack.add(&format!("policy-{i}"), Policy::new(name.as_str(), reads()));
        let secret = Secret::new(format!("calls/{i}"), SecretValue::generated());
        stack.add(
            &format!("secret-{i}"),
            Secret { description: Some("as it was".into()), recovery_window_days: Some(0), ..secret },
        );
        let template = LaunchTemplate {
            instance_type: Some("t3.micro".into()),
            ..LaunchTemplate::new(format!("template-{i}"))
        };
        stack.add(&format!("template-{i}"), template);
        let value = ParameterValue::Plain("as it was".into());
        stack.add(&format!("parameter-{i}"), Parameter::secure(format!("/calls/{i}"), value));
    }
    let key = kms::Key {
        description: None,
        policy: None,
        enable_key_rotation: Some(true),
        deletion_window_days: Some(7),
        tags: Tags::default(),
    };
    let key = stack.add("key", key);
    stack.add("alias", kms::Alias { name: "alias/calls".into(), target_key_id: key.key_id.clone() });
    stack.add("queue", Queue::new("calls"));
}

pub(crate) struct Account {
    pub(crate) number: &'static str,
    pub(crate) engine: Engine,
}

impl Account {
    pub(crate) async fn new(number: &'static str) -> Self {
        let engine = Engine::new(registry(number).await, Arc::new(MemoryStore::default()));
        Account { number, engine }
    }

    pub(crate) fn key(&self) -> String {
        causeway_sandbox::shared().unwrap().credentials(self.number).unwrap().0
    }

    pub(crate) async fn apply(&self, stack: &Stack) {
        let planned = self.engine.plan(stack, &PlanOptions::default()).await.unwrap();
        let report = self.engine.apply(planned, &Run::default()).await.unwrap();
        assert!(report.is_complete(), "{report:?}");
    }

    /// What a plan would do, and how often it called what.
    pub(crate) async fn plan(&self, stack: &Stack) -> (Vec<(String, Action)>, BTreeMap<String, usize>) {
        let (gateway, key) = (causeway_sandbox::shared().unwrap().gateway(), self.key());
        let calls = || gateway.calls_of(&key).into_iter();
        let before = calls().count();
        let plan = self.engine.plan(stack, &PlanOptions::default()).await.unwrap().plan;
        let mut names = BTreeMap::new();
        calls().skip(before).for_each(|call| *names.entry(call.name()).or_default() += 1);
        (plan.steps.iter().map(|step| (step.address.0.clone(), step.action)).collect(), names)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twice_as_much_takes_no_more_calls_to_plan() {
    let account = Account::new("000000000491").await;
    account.apply(&stack(1)).await;
    let (steps, once) = account.plan(&stack(1)).await;
    assert_eq!(steps, []);
    account.apply(&stack(2)).await;
    let (steps, twice) = account.plan(&stack(2)).await;
    assert_eq!(steps, []);
    assert_eq!(once, twice);
    // What is global is asked for once, what is in a region once in each.
    assert_eq!([&once["iam:GetAccountAuthorizationDetails"], &once["iam:ListRoles"]], [&1, &1], "{once:?}");
    assert_eq!(once["secretsmanager:ListSecrets"], 2, "{once:?}");
    let one_by_one = [
        "ec2:DescribeInternetGateways",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeVpcs",
        "iam:GetRole",
        "iam:GetInstanceProfile",
        "iam:GetPolicy",
        "ssm:GetParameters",
        "kms:ListAliases",
    ];
    assert!(one_by_one.iter().all(|call| !once.contains_key(*call)), "{once:?}");
    assert!(once.values().sum::<usize>() <= 40, "{once:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_may_be_listed_all_is_asked_one_by_one() {
    let account = Account::new("000000000492").await;
    account.apply(&stack(1)).await;
    let gateway = causeway_sandbox::shared().unwrap().gateway();
    let lists = [
        "ec2:DescribeTags",
        "iam:GetAccountAuthorizationDetails",
        "tagging:GetResources",
        "secretsmanager:ListSecrets",
    ];
    let denied =
        lists.map(|call| gateway.rules().add(Rule::new(call, Act::Denied).access_key(&account.key())));
    let (steps, calls) = account.plan(&stack(1)).await;
    assert!(denied.into_iter().all(|rule| gateway.rules().remove(rule)));
    assert_eq!(steps, []);
    for call in ["iam:GetRole", "iam:GetInstanceProfile", "iam:GetPolicy", "secretsmanager:DescribeSecret"] {
        assert_eq!(calls[call], 6, "{calls:?}");
    }
    assert_eq!(calls["sqs:ListQueueTags"], 2, "{calls:?}");
    for call in ["ec2:DescribeInternetGateways", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs"] {
        assert!(calls.contains_key(call), "{calls:?}");
    }
}

/// A list that says something else than the last apply left is not believed: the thing itself is asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_seen_and_asked_for_itself() {
    let account = Account::new("000000000493").await;
    account.apply(&stack(1)).await;
    let aws = client(account.number).await;
    let text = PolicyDocument::new([Statement::allow(["s3:*"], ["*"])]).text().unwrap();
    let role = aws.iam.put_role_policy().role_name("us-east-1-0").policy_name("reads");
    role.policy_document(&text).send().await.unwrap();
    let profile =
        aws.iam.untag_instance_profile().instance_profile_name("us-east-1-1").tag_keys(Tags::ADDRESS);
    profile.send().await.unwrap();
    let role = aws.iam.update_role().role_name("us-east-1-2").description("by hand");
    role.send().await.unwrap();
    let secret = aws.secretsmanager.update_secret().secret_id("calls/1").description("by hand");
    secret.send().await.unwrap();
    let template = aws.ec2.create_launch_template_version().launch_template_name("template-2");
    let data = aws_sdk_ec2::types::RequestLaunchTemplateData::builder().key_name("by-hand").build();
    template.launch_template_data(data).send().await.unwrap();
    let parameter = aws.ssm.put_parameter().name("/calls/0").overwrite(true).value("by hand");
    parameter.send().await.unwrap();
    let (steps, calls) = account.plan(&stack(1)).await;
    let mut changed: Vec<_> = steps.iter().map(|(address, _)| address.as_str()).collect();
    changed.sort_unstable();
    assert_eq!(
        changed,
        [
            "us-east-1/parameter-0",
            "us-east-1/profile-1",
            "us-east-1/role-0",
            "us-east-1/role-2",
            "us-east-1/secret-1",
            "us-east-1/template-2"
        ]
    );
    assert_eq!(calls["iam:GetRole"], 2, "{calls:?}");
    for call in ["iam:GetInstanceProfile", "secretsmanager:DescribeSecret", "ssm:GetParameters"] {
        assert_eq!(calls[call], 1, "{calls:?}");
    }
    account.apply(&stack(1)).await;
    assert_eq!(account.plan(&stack(1)).await.0, []);
}

/// What shows that a network, its gateway and its groups stand shows too that one of them does not, or not as it did.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_was_changed_by_hand_is_seen_though_nobody_describes_it() {
    let account = Account::new("000000000494").await;
    account.apply(&stack(1)).await;
    let ec2 = &client(account.number).await.ec2;
    let of_address = |address: &str| {
        let filter = aws_sdk_ec2::types::Filter::builder().name(format!("tag:{}", Tags::ADDRESS));
        filter.values(format!("us-east-1/{address}")).build()
    };
    let vpc = async |address: &str| {
        let found = ec2.describe_vpcs().filters(of_address(address)).send().await.unwrap();
        found.vpcs()[0].vpc_id().unwrap().to_owned()
    };
    let group = async |name: &str, vpc: &str| {
        let filter =
            |name: &str, value: &str| aws_sdk_ec2::types::Filter::builder().name(name).values(value).build();
        let found = ec2.describe_security_groups().filters(filter("group-name", name));
        let found = found.filters(filter("vpc-id", vpc)).send().await.unwrap();
        found.security_groups()[0].group_id().unwrap().to_owned()
    };
    let gateways = ec2.describe_internet_gateways().filters(of_address("gateway")).send().await.unwrap();
    let gateway = gateways.internet_gateways()[0].internet_gateway_id().unwrap();
    let network = vpc("vpc").await;
    ec2.detach_internet_gateway().internet_gateway_id(gateway).vpc_id(&network).send().await.unwrap();
    ec2.delete_vpc().vpc_id(vpc("empty").await).send().await.unwrap();
    let address = || aws_sdk_ec2::types::Tag::builder().key(Tags::ADDRESS).build();
    let (first, second) = (group("group-0", &network).await, group("group-1", &network).await);
    ec2.delete_tags().resources(&network).resources(first).tags(address()).send().await.unwrap();
    ec2.delete_security_group().group_id(second).send().await.unwrap();
    let default = ec2.authorize_security_group_ingress().group_id(group("default", &network).await);
    let range = aws_sdk_ec2::types::IpRange::builder().cidr_ip("0.0.0.0/0").build();
    let open = aws_sdk_ec2::types::IpPermission::builder().ip_protocol("-1").ip_ranges(range).build();
    default.ip_permissions(open).send().await.unwrap();
    let (steps, _) = account.plan(&stack(1)).await;
    let mut changed: Vec<_> = steps.iter().map(|(address, _)| address.as_str()).collect();
    changed.sort_unstable();
    assert_eq!(
        changed,
        [
            "us-east-1/default-group",
            "us-east-1/empty",
            "us-east-1/gateway",
            "us-east-1/group-0",
            "us-east-1/group-1",
            "us-east-1/group-1-0",
            "us-east-1/group-1-1",
            "us-east-1/group-1-2",
            "us-east-1/group-1-3",
            "us-east-1/vpc",
        ]
    );
    account.apply(&stack(1)).await;
    assert_eq!(account.plan(&stack(1)).await.0, []);
}

#[cfg(feature = "rds")]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_tells_of_what_it_stands_on() {
    let account = Account::new("000000000495").await;
    let stack = crate::rds::sample();
    account.apply(&stack).await;
    let of_rds = |calls: BTreeMap<String, usize>| -> Vec<(String, usize)> {
        calls.into_iter().filter(|(name, _)| name.starts_with("rds:")).collect()
    };
    let one = |name: &str| (name.to_owned(), 1);
    let (steps, calls) = account.plan(&stack).await;
    assert_eq!(steps, []);
    let clean = [one("rds:DescribeDBInstances"), one("rds:DescribeDBParameters")];
    assert_eq!(of_rds(calls), clean);
    let rds = &client(account.number).await.rds;
    let instances = rds.describe_db_instances().send().await.unwrap();
    let there = &instances.db_instances()[0];
    let subnets = there.db_subnet_group().unwrap();
    let fewer = subnets.subnets()[0].subnet_identifier().unwrap();
    let modify = rds.modify_db_subnet_group().set_db_subnet_group_name(subnets.db_subnet_group_name.clone());
    modify.subnet_ids(fewer).send().await.unwrap();
    let parameter = aws_sdk_rds::types::Parameter::builder().parameter_name("max_connections");
    let parameter = parameter.parameter_value("300").apply_method("pending-reboot".into()).build();
    let parameters = there.db_parameter_groups()[0].db_parameter_group_name().unwrap();
    let modify = rds.modify_db_parameter_group().db_parameter_group_name(parameters);
    modify.parameters(parameter).send().await.unwrap();
    let (steps, calls) = account.plan(&stack).await;
    let mut changed: Vec<_> = steps.iter().map(|(address, _)| address.as_str()).collect();
    changed.sort_unstable();
    assert_eq!(changed, ["parameters", "subnets"]);
    let asked = [clean.clone().into(), vec![one("rds:DescribeDBSubnetGroups")]].concat();
    assert_eq!(of_rds(calls), asked);
    account.apply(&stack).await;
    assert_eq!(of_rds(account.plan(&stack).await.1), clean);
}
