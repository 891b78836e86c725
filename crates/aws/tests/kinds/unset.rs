//! What a plan does not ask for, as nothing of it is wanted or other answers show it; and that it is asked for as soon as
//! that is not so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(
    feature = "ec2",
    feature = "ecr",
    feature = "events",
    feature = "iam",
    feature = "kms",
    feature = "secretsmanager",
    feature = "sqs",
    feature = "ssm"
))]

use crate::{
    calls::Account,
    in_sandbox::{REGION, client},
};
use causeway_aws::{
    AwsStack,
    ec2::{RouteTable, Vpc, VpcEndpoint},
    ecr::Repository,
    iam::{PolicyDocument, Principal, Role, Statement},
    kms,
};
use causeway_core::{
    Address, Set, Stack, Tags,
    engine::Run,
    plan::{Action, PlanOptions},
};
use causeway_sandbox::gateway::{Act, Rule};
use serde_json::json;

/// A key, a repository and a gateway endpoint, all with policies of their own or none, and roles that say what they are for
/// or do not.
fn stack(given: bool) -> Stack {
    let everything = |action: &str, resources: &[&str]| {
        let statement = Statement::allow([action], resources.iter().copied());
        PolicyDocument::new([statement.to([Principal::aws("arn:aws:iam::000000000496:root")])])
    };
    let mut stack = Stack::new("unset");
    stack.region(REGION, |stack| {
        let key = kms::Key {
            description: None,
            policy: given.then(|| everything("kms:*", &["*"])),
            enable_key_rotation: Some(given),
            deletion_window_days: Some(7),
            tags: Tags::default(),
        };
        stack.add("key", key);
        let expires = json!({ "rules": [{
            "rulePriority": 1,
            "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 3 },
            "action": { "type": "expire" }
        }] });
        let repository = Repository {
            lifecycle_policy: given.then_some(expires),
            repository_policy: given.then(|| everything("ecr:BatchGetImage", &[])),
            ..Repository::new("unset")
        };
        stack.add("repository", repository);
        for i in 0..2 {
            let role = Role {
                description: given.then(|| "A role".to_owned()),
                ..Role::assumed_by(format!("unset-{i}"), "ec2.amazonaws.com")
            };
            stack.add(&format!("role-{i}"), role);
        }
        let vpc = stack.add(
            "vpc",
            Vpc {
                cidr_block: "10.36.0.0/16".into(),
                enable_dns_support: None,
                enable_dns_hostnames: None,
                tags: Tags::default(),
            },
        );
        let table = |stack: &mut Stack, name: &str| {
            let subnet_ids = Set::default();
            let table = RouteTable { vpc_id: vpc.vpc_id.clone(), subnet_ids, tags: Tags::default() };
            stack.add(name, table).route_table_id.clone()
        };
        let tables = Set(vec![table(stack, "one"), table(stack, "two")]);
        let endpoint = VpcEndpoint::gateway(vpc.vpc_id.clone(), format!("com.amazonaws.{REGION}.s3"), tables);
        let policy = given.then(|| {
            PolicyDocument::new([Statement::allow(["s3:GetObject"], ["*"]).to([Principal::aws("*")])])
        });
        stack.add("endpoint", VpcEndpoint { policy, ..endpoint });
    });
    stack
}

const ASKED: [&str; 5] = [
    "kms:GetKeyPolicy",
    "ecr:GetLifecyclePolicy",
    "ecr:GetRepositoryPolicy",
    "ec2:DescribeVpcEndpoints",
    "iam:ListRoles",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unset_is_not_asked_for_and_what_is_set_is_seen_when_it_changes() {
    let account = Account::new("000000000496").await;
    account.apply(&stack(false)).await;
    let (steps, calls) = account.plan(&stack(false)).await;
    assert_eq!(steps, []);
    assert!(ASKED.iter().all(|call| !calls.contains_key(*call)), "{calls:?}");
    // What was not asked for is set, and taken away again.
    account.apply(&stack(true)).await;
    let (steps, calls) = account.plan(&stack(true)).await;
    assert_eq!(steps, []);
    assert!(ASKED.iter().all(|call| calls.contains_key(*call)), "{calls:?}");
    let aws = client(account.number).await;
    let recorded = account.engine.state().await.unwrap().records;
    let output = |address: &str, name: &str| {
        let outputs = recorded[&Address::from(address)].outputs.clone().unwrap();
        outputs[name].as_str().unwrap().to_owned()
    };
    let key = output("key", "key_id");
    let policy = async || {
        let policy = aws.kms.get_key_policy().key_id(&key).policy_name("default").send().await;
        PolicyDocument::parse(&policy.unwrap().policy.unwrap()).unwrap()
    };
    let other = Statement { sid: Some("ByHand".into()), ..Statement::allow(["kms:Describe*"], ["*"]) };
    let other = PolicyDocument::new([other.to([Principal::aws("arn:aws:iam::000000000496:root")])]);
    let put = aws.kms.put_key_policy().key_id(&key).policy_name("default").policy(other.text().unwrap());
    put.send().await.unwrap();
    aws.ecr.delete_repository_policy().repository_name("unset").send().await.unwrap();
    let endpoint = output("endpoint", "vpc_endpoint_id");
    let other = PolicyDocument::new([Statement::allow(["s3:*"], ["*"]).to([Principal::aws("*")])]);
    let modify = aws.ec2.modify_vpc_endpoint().vpc_endpoint_id(endpoint);
    modify.policy_document(other.text().unwrap()).send().await.unwrap();
    aws.iam.update_role().role_name("unset-1").description("by hand").send().await.unwrap();
    let (mut steps, _) = account.plan(&stack(true)).await;
    steps.sort();
    let update = |address: &str| (address.to_owned(), Action::Update);
    assert_eq!(steps, [update("endpoint"), update("key"), update("repository"), update("role-1")]);
    account.apply(&stack(false)).await;
    assert_eq!(account.plan(&stack(false)).await.0, []);
    assert!(!policy().await.text().unwrap().contains("ByHand"));
}

/// Every table of an endpoint has its route, so the tables show when it was given to others, or is gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_was_changed_by_hand_is_seen_though_nobody_describes_it() {
    let account = Account::new("000000000497").await;
    account.apply(&stack(false)).await;
    let ec2 = &client(account.number).await.ec2;
    let recorded = account.engine.state().await.unwrap().records;
    let output = |address: &str, name: &str| {
        let outputs = recorded[&Address::from(address)].outputs.clone().unwrap();
        outputs[name].as_str().unwrap().to_owned()
    };
    let (endpoint, table) = (output("endpoint", "vpc_endpoint_id"), output("two", "route_table_id"));
    let changed = [("endpoint".to_owned(), Action::Update)];
    let modify = ec2.modify_vpc_endpoint().vpc_endpoint_id(&endpoint).remove_route_table_ids(&table);
    modify.send().await.unwrap();
    let (steps, calls) = account.plan(&stack(false)).await;
    assert_eq!(steps, changed);
    assert_eq!(calls["ec2:DescribeVpcEndpoints"], 1, "{calls:?}");
    account.apply(&stack(false)).await;
    let (steps, calls) = account.plan(&stack(false)).await;
    assert!(steps.is_empty() && !calls.contains_key("ec2:DescribeVpcEndpoints"), "{steps:?} {calls:?}");
    let tag = aws_sdk_ec2::types::Tag::builder().key(Tags::ADDRESS).build();
    ec2.delete_tags().resources(&endpoint).tags(tag).send().await.unwrap();
    assert_eq!(account.plan(&stack(false)).await.0, changed);
    ec2.delete_vpc_endpoints().vpc_endpoint_ids(&endpoint).send().await.unwrap();
    assert_eq!(account.plan(&stack(false)).await.0, [("endpoint".to_owned(), Action::Create)]);
    account.apply(&stack(false)).await;
    assert_eq!(account.plan(&stack(false)).await.0, []);
}

/// Nobody knows what an apply did that was not finished: what it may have set is asked for, and taken away.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_may_have_set_that_failed_is_asked_for() {
    let account = Account::new("000000000498").await;
    account.apply(&stack(false)).await;
    let gateway = causeway_sandbox::shared().unwrap().gateway();
    let denied =
        gateway.rules().add(Rule::new("kms:EnableKeyRotation", Act::Denied).access_key(&account.key()));
    let planned = account.engine.plan(&stack(true), &PlanOptions::default()).await.unwrap();
    let report = account.engine.apply(planned, &Run::default()).await.unwrap();
    assert!(!report.is_complete() && gateway.rules().remove(denied), "{report:?}");
    let (steps, calls) = account.plan(&stack(false)).await;
    assert!(steps.contains(&("key".to_owned(), Action::Update)), "{steps:?}");
    assert_eq!(calls["kms:GetKeyPolicy"], 1, "{calls:?}");
    account.apply(&stack(false)).await;
    let kms = &client(account.number).await.kms;
    let key = account.engine.state().await.unwrap().records[&Address::from("key")].outputs.clone().unwrap();
    let key = key["key_id"].as_str().unwrap();
    let policy = kms.get_key_policy().key_id(key).policy_name("default").send().await.unwrap();
    assert!(policy.policy.unwrap().contains("Enable IAM User Permissions"));
    assert_eq!(account.plan(&stack(false)).await.0, []);
}
