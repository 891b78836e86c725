//! Whether the roles are there that services act as in this account, or who makes them:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html>.

use super::{Finding, Preflight};
use crate::Call;
use causeway_core::{Error, plan::Action};
use std::collections::BTreeSet;

/// Which service wants one, by the kind that it is first wanted for.
const WANTED: [(&str, &str); 8] = [
    ("aws.autoscaling.group", "autoscaling.amazonaws.com"),
    ("aws.ecr.replication_rule", "replication.ecr.amazonaws.com"),
    ("aws.ecs.service", "ecs.amazonaws.com"),
    ("aws.eks.cluster", "eks.amazonaws.com"),
    ("aws.eks.node_group", "eks-nodegroup.amazonaws.com"),
    ("aws.elasticache.replication_group", "elasticache.amazonaws.com"),
    ("aws.elbv2.load_balancer", "elasticloadbalancing.amazonaws.com"),
    ("aws.rds.instance", "rds.amazonaws.com"),
];

const PATH: &str = "/aws-service-role/";

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let made = |kind| preflight.wanted.iter().any(|w| w.kind == kind && w.action == Action::Create);
    let services: BTreeSet<&str> =
        WANTED.iter().filter(|(kind, _)| made(*kind)).map(|(_, service)| *service).collect();
    let Some(aws) = preflight.clients.values().next().filter(|_| !services.is_empty()) else {
        return Ok(vec![]);
    };
    let roles = aws.iam.list_roles().path_prefix(PATH).into_paginator().items().send().try_collect().await;
    let roles = roles.call("iam:ListRoles")?;
    let there: BTreeSet<&str> =
        roles.iter().filter_map(|r| r.path().strip_prefix(PATH)?.strip_suffix('/')).collect();
    Ok(vec![judge(&services, &there)])
}

fn judge(services: &BTreeSet<&str>, there: &BTreeSet<&str>) -> Finding {
    let asked = format!("whether {} services have their service-linked roles", services.len());
    let missing: Vec<&str> = services.difference(there).copied().collect();
    if missing.is_empty() {
        return Finding::passed(asked, "all of them do");
    }
    let answer = format!(
        "{} do not yet; AWS makes such a role with the first thing that needs it, for whoever may \
         iam:CreateServiceLinkedRole",
        missing.join(", ")
    );
    Finding::passed(asked, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let services = ["eks.amazonaws.com", "rds.amazonaws.com"].into();
        assert_eq!(judge(&services, &services).answer, "all of them do");
        let answer = judge(&services, &["rds.amazonaws.com"].into()).answer;
        assert!(answer.starts_with("eks.amazonaws.com do not yet"), "{answer}");
    }

    #[test]
    fn the_kinds_are_there() {
        let mut registry = causeway_core::Registry::new();
        crate::register(&mut registry, aws_config::SdkConfig::builder().build());
        #[cfg(all(feature = "elasticache", feature = "autoscaling", feature = "eks"))]
        for (kind, _) in WANTED {
            assert!(registry.get(kind).is_some(), "{kind}");
        }
    }
}
