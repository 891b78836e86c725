//! Reads what a Terraform or OpenTofu state knows: <https://developer.hashicorp.com/terraform/internals/json-format> and
//! `internal/states/statefile/version4.go` of Terraform. Only ids and names are kept; a state also holds passwords.

use crate::inventory;
use causeway_core::claim::Candidate;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What a state file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// What resources of ours may stand for.
    pub candidates: Vec<Candidate>,
    /// The types that no kind of ours is, and that do not come with one.
    pub others: BTreeSet<String>,
}

/// Why a state file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum TerraformError {
    /// It is no JSON. The place is told and nothing of the content.
    #[error("it is not a state file: no JSON at line {line}, column {column}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is JSON, and something else.
    #[error("it is not a state file: it has no `version`, or no `resources`")]
    Shape,
    /// Another format.
    #[error(
        "its format is version {0}, and this reads version 4; `terraform state pull` of Terraform 0.12 or newer writes that"
    )]
    Version(u64),
    /// OpenTofu encrypted it.
    #[error("it is encrypted; `tofu state pull` writes it in the clear")]
    Encrypted,
}

impl Named {
    /// What both name.
    pub fn and(mut self, other: Named) -> Self {
        self.candidates.extend(other.candidates);
        self.others.extend(other.others);
        self
    }
}

#[derive(Deserialize)]
struct Head {
    version: Option<u64>,
    #[serde(default)]
    encrypted_data: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct State {
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    module: Option<String>,
    mode: String,
    #[serde(rename = "type")]
    of: String,
    name: String,
    #[serde(default)]
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    #[serde(default)]
    index_key: Option<Json>,
    #[serde(default)]
    deposed: Option<String>,
    #[serde(default)]
    attributes: Option<Attributes>,
}

/// The fields that name a thing. All others are skipped unread.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    #[serde(deserialize_with = "text")]
    id: String,
    #[serde(deserialize_with = "text")]
    arn: String,
    #[serde(deserialize_with = "text")]
    region: String,
    #[serde(deserialize_with = "text")]
    name: String,
    #[serde(deserialize_with = "text")]
    identifier: String,
    #[serde(deserialize_with = "text")]
    family: String,
    #[serde(deserialize_with = "text")]
    bucket: String,
    #[serde(deserialize_with = "text")]
    key_id: String,
    #[serde(deserialize_with = "text")]
    zone_id: String,
    #[serde(deserialize_with = "text")]
    alarm_name: String,
    #[serde(deserialize_with = "text")]
    node_group_name: String,
}

/// Text, or nothing where a provider writes something else.
fn text<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(match Json::deserialize(d)? {
        Json::String(text) => text,
        _ => String::new(),
    })
}

impl Attributes {
    /// The region that it says, or that its ARN has.
    fn region(&self) -> Option<&str> {
        let said = Some(self.region.as_str()).filter(|region| !region.is_empty());
        said.or_else(|| self.arn.split(':').nth(3).filter(|region| !region.is_empty()))
    }
}

/// What `state` names. Never panics, and keeps nothing that could be secret.
///
/// What says no region is in that of most others: a state is mostly of one. Where none says any, it is in `home`.
///
/// # Errors
/// When it is not a state of version 4 in the clear.
pub fn parse(state: &[u8], home: &str) -> Result<Named, TerraformError> {
    let wrong = |e: serde_json::Error| match e.is_data() {
        true => TerraformError::Shape,
        false => TerraformError::Syntax { line: e.line(), column: e.column() },
    };
    let head: Head = serde_json::from_slice(state).map_err(wrong)?;
    match head {
        Head { encrypted_data: Some(_), .. } => return Err(TerraformError::Encrypted),
        Head { version: Some(4), .. } => {}
        Head { version: Some(other), .. } => return Err(TerraformError::Version(other)),
        Head { version: None, .. } => return Err(TerraformError::Shape),
    }
    let state: State = serde_json::from_slice(state).map_err(wrong)?;
    let mut named = Named::default();
    let managed = || state.resources.iter().filter(|r| r.mode == "managed");
    let mut regions: BTreeMap<&str, usize> = BTreeMap::new();
    for attributes in managed().flat_map(|r| &r.instances).filter_map(|i| i.attributes.as_ref()) {
        *regions.entry(attributes.region().unwrap_or_default()).or_default() += 1;
    }
    regions.remove("");
    let usual = regions.into_iter().max_by_key(|(_, count)| *count).map_or(home, |(region, _)| region);
    for resource in managed() {
        for instance in resource.instances.iter().filter(|i| i.deposed.is_none()) {
            let nothing = Attributes::default();
            let attributes = instance.attributes.as_ref().unwrap_or(&nothing);
            match identity(&resource.of, attributes) {
                Known::Claimed(_, "") | Known::Comes => {}
                Known::Claimed(kind, identity) => named.candidates.push(Candidate {
                    kind: kind.to_owned(),
                    identity: crate::arn::claim(kind, identity).unwrap_or_else(|_| identity.to_owned()),
                    label: label(resource, instance),
                    place: (!inventory::is_global(kind))
                        .then(|| attributes.region().unwrap_or(usual).to_owned()),
                }),
                Known::No => {
                    named.others.insert(resource.of.clone());
                }
            }
        }
    }
    Ok(named)
}

/// As Terraform's own commands write it: `module.network.aws_subnet.public[0]`.
fn label(resource: &Resource, instance: &Instance) -> String {
    let module = resource.module.as_ref().map_or_else(String::new, |m| format!("{m}."));
    let index = match &instance.index_key {
        Some(key) if key.is_string() || key.is_number() => format!("[{key}]"),
        _ => String::new(),
    };
    format!("{module}{}.{}{index}", resource.of, resource.name)
}

enum Known<'a> {
    /// A kind of ours, and what it is claimed by.
    Claimed(&'static str, &'a str),
    /// Found under what it belongs to.
    Comes,
    /// None of ours.
    No,
}

fn identity<'a>(of: &str, a: &'a Attributes) -> Known<'a> {
    let (kind, identity) = match of {
        "aws_vpc" => ("aws.ec2.vpc", &a.id),
        "aws_subnet" => ("aws.ec2.subnet", &a.id),
        "aws_security_group" => ("aws.ec2.security_group", &a.id),
        "aws_internet_gateway" => ("aws.ec2.internet_gateway", &a.id),
        "aws_route_table" => ("aws.ec2.route_table", &a.id),
        "aws_nat_gateway" => ("aws.ec2.nat_gateway", &a.id),
        "aws_network_interface" => ("aws.ec2.network_interface", &a.id),
        "aws_launch_template" => ("aws.ec2.launch_template", &a.id),
        "aws_instance" => ("aws.ec2.instance", &a.id),
        "aws_vpc_endpoint" => ("aws.ec2.vpc_endpoint", &a.id),
        "aws_flow_log" => ("aws.ec2.flow_log", &a.id),
        "aws_autoscaling_group" => ("aws.autoscaling.group", &a.name),
        "aws_ssm_parameter" => ("aws.ssm.parameter", &a.name),
        "aws_eip" => ("aws.ec2.elastic_ip", &a.id),
        // Newer providers keep the resource id in `id`.
        "aws_db_instance" if a.identifier.is_empty() => ("aws.rds.instance", &a.id),
        "aws_db_instance" => ("aws.rds.instance", &a.identifier),
        "aws_db_subnet_group" => ("aws.rds.subnet_group", &a.name),
        "aws_db_parameter_group" => ("aws.rds.parameter_group", &a.name),
        "aws_ecs_cluster" => ("aws.ecs.cluster", &a.name),
        "aws_ecs_service" => ("aws.ecs.service", &a.name),
        "aws_ecs_task_definition" => ("aws.ecs.task_definition", &a.family),
        "aws_eks_cluster" => ("aws.eks.cluster", &a.name),
        "aws_eks_node_group" => ("aws.eks.node_group", &a.node_group_name),
        "aws_iam_openid_connect_provider" => ("aws.iam.oidc_provider", &a.arn),
        "aws_lb" | "aws_alb" => ("aws.elbv2.load_balancer", &a.name),
        "aws_lb_target_group" | "aws_alb_target_group" => ("aws.elbv2.target_group", &a.name),
        "aws_iam_role" => ("aws.iam.role", &a.name),
        "aws_iam_policy" => ("aws.iam.policy", &a.name),
        "aws_iam_instance_profile" => ("aws.iam.instance_profile", &a.name),
        "aws_cloudwatch_log_group" => ("aws.logs.log_group", &a.name),
        "aws_cloudwatch_metric_alarm" => ("aws.cloudwatch.metric_alarm", &a.alarm_name),
        "aws_acm_certificate" => ("aws.acm.certificate", &a.arn),
        "aws_cloudfront_distribution" => ("aws.cloudfront.distribution", &a.id),
        "aws_cloudfront_function" => ("aws.cloudfront.function", &a.name),
        "aws_cloudfront_origin_access_control" => ("aws.cloudfront.origin_access_control", &a.name),
        "aws_ecr_repository" => ("aws.ecr.repository", &a.name),
        "aws_cloudwatch_event_rule" => ("aws.events.rule", &a.name),
        "aws_sqs_queue" => ("aws.sqs.queue", &a.name),
        "aws_elasticache_subnet_group" => ("aws.elasticache.subnet_group", &a.name),
        "aws_elasticache_replication_group" => ("aws.elasticache.replication_group", &a.id),
        "aws_secretsmanager_secret" => ("aws.secretsmanager.secret", &a.name),
        "aws_kms_key" => ("aws.kms.key", &a.key_id),
        "aws_kms_alias" => ("aws.kms.alias", &a.name),
        "aws_route53_zone" => ("aws.route53.hosted_zone", &a.zone_id),
        "aws_sns_topic" => ("aws.sns.topic", &a.name),
        "aws_s3_bucket" => ("aws.s3.bucket", &a.bucket),
        "aws_wafv2_web_acl" => ("aws.wafv2.web_acl", &a.name),
        "aws_default_security_group"
        | "aws_lb_listener"
        | "aws_alb_listener"
        | "aws_lb_listener_rule"
        | "aws_route"
        | "aws_route53_record"
        | "aws_route_table_association"
        | "aws_security_group_rule"
        | "aws_sns_topic_subscription"
        | "aws_vpc_security_group_ingress_rule"
        | "aws_vpc_security_group_egress_rule"
        | "aws_wafv2_web_acl_association"
        | "aws_acm_certificate_validation"
        | "aws_iam_role_policy"
        | "aws_iam_role_policy_attachment"
        | "aws_secretsmanager_secret_version"
        | "aws_cloudwatch_event_target"
        | "aws_ecr_lifecycle_policy"
        | "aws_ecr_replication_configuration"
        | "aws_ecr_repository_policy"
        | "aws_sqs_queue_policy"
        | "aws_eks_access_entry"
        | "aws_eks_access_policy_association"
        | "aws_eks_addon"
        | "aws_eks_pod_identity_association"
        | "aws_ec2_tag"
        | "aws_internet_gateway_attachment" => return Known::Comes,
        _ => return Known::No,
    };
    Known::Claimed(kind, identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &str = r#"{
      "version": 4, "terraform_version": "1.9.5", "serial": 7, "lineage": "x", "outputs": {},
      "resources": [
        {"mode": "data", "type": "aws_vpc", "name": "other", "provider": "p", "instances": [{"attributes": {"id": "vpc-0"}}]},
        {"mode": "managed", "type": "aws_vpc", "name": "main", "provider": "p",
         "instances": [{"schema_version": 1, "attributes": {"id": "vpc-1", "arn": "arn:aws:ec2:us-west-2:1:vpc/vpc-1"}}]},
        {"module": "module.net", "mode": "managed", "type": "aws_subnet", "name": "public", "provider": "p",
         "instances": [{"index_key": 0, "attributes": {"id": "subnet-1"}},
                       {"index_key": "b", "attributes": {"id": "subnet-2"}},
                       {"deposed": "abcd", "attributes": {"id": "subnet-3"}}]},
        {"mode": "managed", "type": "aws_db_instance", "name": "db", "provider": "p",
         "instances": [{"attributes": {"id": "db-ABC", "identifier": "Coder", "password": "hunter2-canary"}}]},
        {"mode": "managed", "type": "aws_iam_role", "name": "r", "provider": "p", "instances": [{"attributes": {"name": "role", "arn": "arn:aws:iam::1:role/role"}}]},
        {"mode": "managed", "type": "aws_lb_listener", "name": "l", "provider": "p", "instances": [{"attributes": {}}]},
        {"mode": "managed", "type": "aws_vpc", "name": "gone", "provider": "p", "instances": [{"attributes": {"id": null}}]},
        {"mode": "managed", "type": "aws_cloudfront_key_group", "name": "cdn", "provider": "p", "instances": [{"attributes": {"id": "E1"}}]}
      ]}"#;

    #[test]
    fn ids_and_names_are_taken_and_nothing_else() {
        let named = parse(STATE.as_bytes(), "us-east-1").unwrap();
        let told: Vec<String> = named
            .candidates
            .iter()
            .map(|c| {
                let place = c.place.as_deref().unwrap_or("nowhere");
                format!("{} {} {} {place}", c.kind, c.identity, c.label)
            })
            .collect();
        assert_eq!(
            told,
            [
                "aws.ec2.vpc vpc-1 aws_vpc.main us-west-2",
                "aws.ec2.subnet subnet-1 module.net.aws_subnet.public[0] us-west-2",
                "aws.ec2.subnet subnet-2 module.net.aws_subnet.public[\"b\"] us-west-2",
                "aws.rds.instance coder aws_db_instance.db us-west-2",
                "aws.iam.role role aws_iam_role.r nowhere",
            ]
        );
        assert_eq!(named.others, ["aws_cloudfront_key_group".to_owned()].into());
        assert!(!format!("{named:?}").contains("canary"));
    }

    #[test]
    fn what_is_no_state_is_told_without_its_content() {
        let error = |text: &str| parse(text.as_bytes(), "us-east-1").unwrap_err().to_string();
        assert!(error(r#"{"version": 3, "modules": []}"#).contains("version 3"));
        assert!(
            error(r#"{"serial":1,"encrypted_data":"x","encryption_version":"v0"}"#).contains("encrypted")
        );
        assert!(error("{}").contains("no `version`"));
        assert!(error(r#"{"version": 4}"#).contains("no `resources`"));
        assert!(error(r#"{"version": 4, "resources": [{"canary"#).contains("line 1"));
        for text in
            ["", "[]", "null", "canary", r#"{"version": "canary"}"#, r#"{"version":4,"resources":"canary"}"#]
        {
            assert!(!error(text).contains("canary"), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes(), "us-east-1").is_err());
    }
}
