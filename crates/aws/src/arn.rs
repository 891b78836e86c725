//! From the ARN of a thing to its kind and to what it is claimed by. The formats are those of
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.

/// What an ARN is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    /// Its kind, as plans name it.
    pub kind: &'static str,
    /// What it is claimed by: its id or its name, as its API takes it.
    pub identity: String,
}

/// What `arn` is about; nothing for what no kind of ours is.
pub fn thing(arn: &str) -> Option<Thing> {
    let mut parts = arn.splitn(6, ':');
    let (Some("arn"), Some(_), Some(service), _, _, Some(resource)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let (of, rest) = resource.split_once(['/', ':']).unwrap_or((resource, ""));
    let (kind, identity) = match (service, of) {
        ("ec2", "vpc") => ("aws.ec2.vpc", rest.to_owned()),
        ("ec2", "subnet") => ("aws.ec2.subnet", rest.to_owned()),
        ("ec2", "security-group") => ("aws.ec2.security_group", rest.to_owned()),
        ("ec2", "security-group-rule") => ("aws.ec2.security_group_rule", rest.to_owned()),
        ("ec2", "internet-gateway") => ("aws.ec2.internet_gateway", rest.to_owned()),
        ("ec2", "route-table") => ("aws.ec2.route_table", rest.to_owned()),
        ("ec2", "natgateway") => ("aws.ec2.nat_gateway", rest.to_owned()),
        ("ec2", "network-interface") => ("aws.ec2.network_interface", rest.to_owned()),
        ("ec2", "launch-template") => ("aws.ec2.launch_template", rest.to_owned()),
        ("ec2", "instance") => ("aws.ec2.instance", rest.to_owned()),
        ("ec2", "vpc-endpoint") => ("aws.ec2.vpc_endpoint", rest.to_owned()),
        ("ec2", "vpc-flow-log") => ("aws.ec2.flow_log", rest.to_owned()),
        ("autoscaling", "autoScalingGroup") => ("aws.autoscaling.group", last(rest)),
        // A name that is a path begins with a slash, and its ARN has one only.
        ("ssm", "parameter") if rest.contains('/') => ("aws.ssm.parameter", format!("/{rest}")),
        ("ssm", "parameter") => ("aws.ssm.parameter", rest.to_owned()),
        ("ec2", "elastic-ip") => ("aws.ec2.elastic_ip", rest.to_owned()),
        ("ecs", "cluster") => ("aws.ecs.cluster", rest.to_owned()),
        ("ecs", "service") => ("aws.ecs.service", last(rest)),
        ("ecs", "task-definition") => ("aws.ecs.task_definition", family(rest)),
        ("eks", "cluster") => ("aws.eks.cluster", rest.to_owned()),
        ("eks", "nodegroup") => ("aws.eks.node_group", rest.split('/').nth(1)?.to_owned()),
        ("eks", "addon") => ("aws.eks.addon", rest.split('/').nth(1)?.to_owned()),
        ("eks", "podidentityassociation") => ("aws.eks.pod_identity_association", last(rest)),
        ("rds", "db") => ("aws.rds.instance", rest.to_owned()),
        ("rds", "subgrp") => ("aws.rds.subnet_group", rest.to_owned()),
        ("rds", "pg") => ("aws.rds.parameter_group", rest.to_owned()),
        ("elasticloadbalancing", "loadbalancer") => {
            ("aws.elbv2.load_balancer", rest.split('/').nth(1)?.to_owned())
        }
        ("elasticloadbalancing", "targetgroup") => {
            ("aws.elbv2.target_group", rest.split('/').next()?.to_owned())
        }
        ("elasticloadbalancing", "listener") => ("aws.elbv2.listener", arn.to_owned()),
        ("elasticloadbalancing", "listener-rule") => ("aws.elbv2.listener_rule", arn.to_owned()),
        ("iam", "role") => ("aws.iam.role", last(rest)),
        ("iam", "policy") => ("aws.iam.policy", last(rest)),
        ("iam", "instance-profile") => ("aws.iam.instance_profile", last(rest)),
        ("iam", "oidc-provider") => ("aws.iam.oidc_provider", format!("https://{rest}")),
        ("logs", "log-group") => ("aws.logs.log_group", rest.trim_end_matches(":*").to_owned()),
        ("ecr", "repository") => ("aws.ecr.repository", rest.to_owned()),
        ("events", "rule") => ("aws.events.rule", last(rest)),
        ("sqs", _) => ("aws.sqs.queue", of.to_owned()),
        ("elasticache", "subnetgroup") => ("aws.elasticache.subnet_group", rest.to_owned()),
        ("elasticache", "replicationgroup") => ("aws.elasticache.replication_group", rest.to_owned()),
        ("secretsmanager", "secret") => ("aws.secretsmanager.secret", secret(rest)),
        ("kms", "key") => ("aws.kms.key", rest.to_owned()),
        ("kms", "alias") => ("aws.kms.alias", resource.to_owned()),
        ("acm", "certificate") => ("aws.acm.certificate", arn.to_owned()),
        ("route53", "hostedzone") => ("aws.route53.hosted_zone", rest.to_owned()),
        ("sns", _) if rest.is_empty() => ("aws.sns.topic", of.to_owned()),
        ("sns", _) => ("aws.sns.subscription", arn.to_owned()),
        ("cloudwatch", "alarm") => ("aws.cloudwatch.metric_alarm", rest.to_owned()),
        ("cloudfront", "distribution") => ("aws.cloudfront.distribution", rest.to_owned()),
        ("cloudfront", "function") => ("aws.cloudfront.function", rest.to_owned()),
        ("s3", _) if rest.is_empty() => ("aws.s3.bucket", of.to_owned()),
        ("wafv2", "regional") => ("aws.wafv2.web_acl", rest.split('/').nth(1)?.to_owned()),
        _ => return None,
    };
    (!identity.is_empty()).then_some(Thing { kind, identity })
}

/// What a thing of `kind` is claimed by, from what people write: its id, its name or its ARN.
///
/// # Errors
/// Why it cannot be one, in a sentence.
pub fn claim(kind: &str, text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("says nothing".into());
    }
    if text.starts_with("arn:") {
        return match thing(text) {
            Some(found) if found.kind == kind => Ok(found.identity),
            Some(found) => Err(format!("is the ARN of an {}, and this is an {kind}", found.kind)),
            None => Err(format!("is not the ARN of an {kind}")),
        };
    }
    Ok(match kind {
        // As consoles and other tools write them.
        "aws.ecs.service" => text.rsplit('/').next().unwrap_or_default().to_owned(),
        "aws.ecs.task_definition" => family(text),
        "aws.route53.hosted_zone" => text.trim_start_matches("/hostedzone/").to_owned(),
        "aws.rds.instance"
        | "aws.rds.subnet_group"
        | "aws.rds.parameter_group"
        | "aws.elasticache.subnet_group"
        | "aws.elasticache.replication_group" => text.to_lowercase(),
        // A queue is called by its URL, too.
        "aws.sqs.queue" => text.rsplit('/').next().unwrap_or_default().to_owned(),
        "aws.kms.alias" if !text.starts_with("alias/") => format!("alias/{text}"),
        _ => text.to_owned(),
    })
}

/// `coder:5` is a revision of `coder`.
fn family(text: &str) -> String {
    match text.rsplit_once(':') {
        Some((family, revision)) if revision.chars().all(|c| c.is_ascii_digit()) => family.to_owned(),
        _ => text.to_owned(),
    }
}

/// The name, without the six characters that Secrets Manager puts behind it.
fn secret(text: &str) -> String {
    match text.rsplit_once('-') {
        Some((name, tail)) if tail.len() == 6 => name.to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(resource: &str) -> String {
        let found = thing(resource).unwrap_or_else(|| panic!("{resource}"));
        format!("{} {}", found.kind, found.identity)
    }

    #[test]
    fn an_arn_tells_kind_and_claim() {
        for (arn, wanted) in [
            ("arn:aws:ecs:us-east-1:1:cluster/coder", "aws.ecs.cluster coder"),
            ("arn:aws:ecs:us-east-1:1:service/coder-cluster/coder-service", "aws.ecs.service coder-service"),
            ("arn:aws:ecs:us-east-1:1:task-definition/coder:12", "aws.ecs.task_definition coder"),
            ("arn:aws:ec2:us-east-1:1:vpc/vpc-1", "aws.ec2.vpc vpc-1"),
            ("arn:aws-us-gov:rds:us-gov-west-1:1:db:coder", "aws.rds.instance coder"),
            ("arn:aws:logs:us-east-1:1:log-group:/ecs/coder:*", "aws.logs.log_group /ecs/coder"),
            ("arn:aws:iam::1:role/service-role/task", "aws.iam.role task"),
            (
                "arn:aws:elasticloadbalancing:us-east-1:1:loadbalancer/app/web/50dc6c495c0c9188",
                "aws.elbv2.load_balancer web",
            ),
            (
                "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/50dc6c495c0c9188",
                "aws.elbv2.target_group web",
            ),
            (
                "arn:aws:secretsmanager:us-east-1:1:secret:coder/db-url-AbC123",
                "aws.secretsmanager.secret coder/db-url",
            ),
            ("arn:aws:kms:us-east-1:1:alias/coder", "aws.kms.alias alias/coder"),
            ("arn:aws:ecr:us-east-1:1:repository/team/coder", "aws.ecr.repository team/coder"),
            ("arn:aws:sns:us-east-1:1:alarms", "aws.sns.topic alarms"),
            ("arn:aws:s3:::bucket", "aws.s3.bucket bucket"),
            (
                "arn:aws:cloudfront::1:distribution/E1D97FI1EB5Z9H",
                "aws.cloudfront.distribution E1D97FI1EB5Z9H",
            ),
            (
                "arn:aws:autoscaling:us-east-1:1:autoScalingGroup:9a1b:autoScalingGroupName/nat",
                "aws.autoscaling.group nat",
            ),
            ("arn:aws:ssm:us-east-1:1:parameter/nat-config", "aws.ssm.parameter nat-config"),
            ("arn:aws:ssm:us-east-1:1:parameter/coder/config", "aws.ssm.parameter /coder/config"),
        ] {
            assert_eq!(of(arn), wanted);
        }
        for nothing in ["", "arn:", "arn:aws:ecs:us-east-1:1:", "arn:aws:ecs:us-east-1:1:cluster/", "vpc-1"] {
            assert_eq!(thing(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn people_may_write_it_in_several_ways() {
        assert_eq!(claim("aws.ecs.service", "coder-cluster/coder-service").unwrap(), "coder-service");
        assert_eq!(claim("aws.ecs.task_definition", "coder:5").unwrap(), "coder");
        assert_eq!(claim("aws.rds.instance", "Coder").unwrap(), "coder");
        assert_eq!(claim("aws.ec2.vpc", "arn:aws:ec2:us-east-1:1:vpc/vpc-1").unwrap(), "vpc-1");
        let wrong = claim("aws.ecs.service", "arn:aws:ecs:us-east-1:1:cluster/coder").unwrap_err();
        assert_eq!(wrong, "is the ARN of an aws.ecs.cluster, and this is an aws.ecs.service");
        assert!(claim("aws.ecs.service", " ").is_err());
    }

    #[cfg(all(
        feature = "ec2",
        feature = "ecs",
        feature = "wafv2",
        feature = "s3",
        feature = "acm",
        feature = "autoscaling",
        feature = "ssm"
    ))]
    #[test]
    fn every_kind_is_one_of_ours() {
        let mut registry = causeway_core::Registry::new();
        crate::register(&mut registry, aws_config::SdkConfig::builder().build());
        let source = include_str!("arn.rs");
        let table = source.split("pub fn claim").next().unwrap_or_default();
        let kinds: Vec<&str> =
            table.split('"').filter(|t| t.starts_with("aws.") && t.matches('.').count() == 2).collect();
        assert!(kinds.len() > 25);
        for kind in kinds {
            assert!(registry.get(kind).is_some(), "{kind}");
        }
    }
}
