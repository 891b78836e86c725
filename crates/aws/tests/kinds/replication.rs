//! The replication rules of a registry, of which only ours are touched.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(feature = "ecr")]

use crate::in_sandbox::{REGION, client, registry};
use aws_sdk_ecr::types::{
    ReplicationConfiguration, ReplicationDestination, ReplicationRule as SdkRule, RepositoryFilter,
    RepositoryFilterType,
};
use causeway_aws::{
    Aws, AwsStack,
    ecr::{Destination, ReplicationRule},
};
use causeway_core::{
    Engine, Stack,
    plan::{Action, PlanOptions},
    store::MemoryStore,
    testing::Lifecycle,
};
use std::sync::Arc;

fn to(account: &str, regions: &[&str]) -> ReplicationRule {
    let to =
        |region: &&str| Destination { region: (*region).to_owned(), registry_id: account.to_owned().into() };
    ReplicationRule {
        repository_prefixes: ["coder/"].into_iter().collect(),
        destinations: regions.iter().map(to).map(causeway_core::Value::Known).collect(),
    }
}

fn stack(rules: &[(&str, ReplicationRule)]) -> Stack {
    let mut stack = Stack::new("replication");
    stack.region(REGION, |stack| {
        for (name, rule) in rules {
            stack.add(name, rule.clone());
        }
    });
    stack
}

/// A rule as people write it.
fn theirs(account: &str, prefix: &str) -> SdkRule {
    let filter = RepositoryFilter::builder().filter(prefix).filter_type(RepositoryFilterType::PrefixMatch);
    let to = ReplicationDestination::builder().region("eu-central-1").registry_id(account);
    let rule = SdkRule::builder().repository_filters(filter.build().unwrap());
    rule.destinations(to.build().unwrap()).build().unwrap()
}

async fn write(aws: &Aws, rules: Vec<SdkRule>) {
    let all = ReplicationConfiguration::builder().set_rules(Some(rules)).build().unwrap();
    aws.ecr.put_replication_configuration().replication_configuration(all).send().await.unwrap();
}

async fn written(aws: &Aws) -> Vec<SdkRule> {
    let found = aws.ecr.describe_registry().send().await.unwrap();
    found.replication_configuration.unwrap().rules
}

#[tokio::test]
async fn only_our_rules_are_written_and_taken_away() {
    let account = "000000003102";
    let aws = client(account).await;
    let foreign = theirs(account, "team/");
    write(&aws, vec![foreign.clone()]).await;
    let two = |first: ReplicationRule| {
        let second = ReplicationRule {
            repository_prefixes: ["base-ws", "goose-ws"].into_iter().collect(),
            ..to(account, &["eu-west-2"])
        };
        stack(&[("one", first), ("two", second)])
    };
    let mut life = Lifecycle::start(registry(account).await, two(to(account, &["us-west-2"]))).await;
    assert_eq!(written(&aws).await.len(), 3);
    assert!(written(&aws).await.contains(&foreign));
    let steps = life.change("one more", two(to(account, &["us-west-2", "eu-west-2"]))).await;
    assert_eq!(steps, [("one".into(), Action::Update)]);
    life.drift("taken away", "two", async {
        let mut rules = written(&aws).await;
        rules.retain(|rule| rule.repository_filters().len() == 1);
        write(&aws, rules).await;
    })
    .await;
    life.end().await;
    assert_eq!(written(&aws).await, [foreign]);
}

#[tokio::test]
async fn a_rule_that_is_there_is_not_taken_over_unasked() {
    let account = "000000003103";
    let aws = client(account).await;
    write(&aws, vec![theirs(account, "coder/")]).await;
    let stack = stack(&[("one", to(account, &["us-west-2"]))]);
    let engine = Engine::new(registry(account).await, Arc::new(MemoryStore::default()));
    let refused = engine.plan(&stack, &PlanOptions::default()).await;
    let text = match refused {
        Err(error) => causeway_core::error::chain(&error),
        Ok(planned) => format!("{:?}", planned.plan),
    };
    assert!(text.contains("one") && text.contains("there"), "{text}");
    assert_eq!(written(&aws).await, [theirs(account, "coder/")]);
}
