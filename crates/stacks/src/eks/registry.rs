//! Image repositories, in the region of the control plane and copied to the others.

use super::config::Registry;
use causeway_aws::{
    ecr::{Destination, ReplicationRule, Repository},
    id::Arn,
    policy::{PolicyDocument, Principal, Statement},
};
use causeway_core::{Stack, Value};
use serde_json::json;

/// The ARNs of the repositories, whose images are copied to `regions`.
pub(super) fn registry(
    stack: &mut Stack,
    config: &Registry,
    account: &Value<String>,
    regions: &[&str],
) -> Vec<Value<Arn>> {
    stack.scope("registry", |stack| {
        if config.replicate && !regions.is_empty() {
            let to =
                |region: &&str| Destination { region: (*region).to_owned(), registry_id: account.clone() };
            let rule = ReplicationRule {
                repository_prefixes: config.repositories.iter().map(String::as_str).collect(),
                destinations: regions.iter().map(to).map(Value::Known).collect(),
            };
            stack.add("replication", rule);
        }
        let one = |name: &String| {
            let mutability = if config.immutable_tags { "IMMUTABLE" } else { "MUTABLE" };
            let repository = Repository {
                image_tag_mutability: Some(mutability.into()),
                scan_on_push: Some(true),
                lifecycle_policy: Some(lifecycle(config.keep_untagged)),
                repository_policy: (!config.readers.is_empty()).then(|| readers(&config.readers)),
                force_delete: Some(config.force_delete),
                ..Repository::new(name.as_str())
            };
            stack.add(name, repository).arn.clone()
        };
        config.repositories.iter().map(one).collect()
    })
}

/// Others may pull. Pushing and deleting is for this account alone.
fn readers(accounts: &[String]) -> PolicyDocument {
    let actions = [
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:DescribeImages",
        "ecr:DescribeRepositories",
        "ecr:GetDownloadUrlForLayer",
        "ecr:ListImages",
    ];
    let accounts = accounts.iter().map(|account| Principal::aws(account.as_str()));
    let statement = Statement::allow(actions, [""; 0]).to(accounts);
    PolicyDocument::new([Statement { sid: Some("Pull".into()), ..statement }])
}

fn lifecycle(keep_untagged: u16) -> serde_json::Value {
    json!({ "rules": [{
        "rulePriority": 1,
        "description": "Images that no tag names any more",
        "selection": { "tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": keep_untagged },
        "action": { "type": "expire" },
    }] })
}
