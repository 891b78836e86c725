//! What is there of a kind: by id or name, as things are claimed.

use crate::{Aws, Call};
use causeway_core::{Error, claim::Candidate};

/// Whether the things of `kind` are in no region.
pub fn is_global(kind: &str) -> bool {
    ["aws.cloudfront.", "aws.iam.", "aws.route53."].iter().any(|service| kind.starts_with(service))
}

/// Lists everything of `kind` in the region of `aws`, which is `region`; nothing for kinds that are not found by looking around. Only
/// reads.
///
/// # Errors
/// When AWS does not answer, or does not allow it.
#[allow(unused_macros, unused_variables, reason = "there may be no service at all")]
pub async fn list(aws: &Aws, region: &str, kind: &str) -> Result<Vec<Candidate>, Error> {
    let candidate = |identity: Option<String>, label: Option<String>| {
        let identity = crate::arn::claim(kind, &identity?).ok()?;
        let place = (!is_global(kind)).then(|| region.to_owned());
        Some(Candidate { kind: kind.to_owned(), identity, label: label.unwrap_or_default(), place })
    };
    let name = |identity: Option<String>| candidate(identity, None);
    macro_rules! all {
        ($act:literal, $request:expr, $name:expr) => {{
            let found: Vec<_> = $request.into_paginator().items().send().try_collect().await.call($act)?;
            found.into_iter().filter_map($name).collect()
        }};
    }
    let found: Vec<Candidate> = match kind {
        #[cfg(feature = "ec2")]
        "aws.ec2.vpc" => {
            // The default VPC belongs to the region; it is used with `vpc = "default"`, not taken over.
            let mine = |v: aws_sdk_ec2::types::Vpc| name(v.vpc_id.filter(|_| v.is_default != Some(true)));
            all!("ec2:DescribeVpcs", aws.ec2.describe_vpcs(), mine)
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.subnet" => all!("ec2:DescribeSubnets", aws.ec2.describe_subnets(), |s| name(s.subnet_id)),
        #[cfg(feature = "ec2")]
        "aws.ec2.security_group" => {
            let groups = aws.ec2.describe_security_groups();
            let mine = |g: aws_sdk_ec2::types::SecurityGroup| {
                let own = g.group_name.as_deref() != Some("default");
                candidate(g.group_id.filter(|_| own), g.group_name)
            };
            all!("ec2:DescribeSecurityGroups", groups, mine)
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.internet_gateway" => {
            all!("ec2:DescribeInternetGateways", aws.ec2.describe_internet_gateways(), |g| name(
                g.internet_gateway_id
            ))
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.route_table" => {
            // The main one goes with its VPC.
            let mine = |t: aws_sdk_ec2::types::RouteTable| {
                let main = t.associations().iter().any(|a| a.main == Some(true));
                name(t.route_table_id.filter(|_| !main))
            };
            all!("ec2:DescribeRouteTables", aws.ec2.describe_route_tables(), mine)
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.nat_gateway" => {
            use aws_sdk_ec2::types::{NatGateway, NatGatewayState::Available};
            let there = |g: NatGateway| name(g.nat_gateway_id.filter(|_| g.state == Some(Available)));
            all!("ec2:DescribeNatGateways", aws.ec2.describe_nat_gateways(), there)
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.elastic_ip" => {
            let found = aws.ec2.describe_addresses().send().await.call("ec2:DescribeAddresses")?;
            let all = found.addresses.unwrap_or_default().into_iter();
            all.filter_map(|a| candidate(a.allocation_id, a.public_ip)).collect()
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.network_interface" => {
            // The first one of a machine goes with it, and those of services belong to the service.
            let mine = |i: aws_sdk_ec2::types::NetworkInterface| {
                let first = i.attachment().is_some_and(|a| a.device_index() == Some(0));
                let own = i.requester_managed != Some(true) && !first;
                candidate(i.network_interface_id.filter(|_| own), i.description)
            };
            all!("ec2:DescribeNetworkInterfaces", aws.ec2.describe_network_interfaces(), mine)
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.launch_template" => {
            all!("ec2:DescribeLaunchTemplates", aws.ec2.describe_launch_templates(), |t| candidate(
                t.launch_template_id,
                t.launch_template_name
            ))
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.vpc_endpoint" => {
            all!("ec2:DescribeVpcEndpoints", aws.ec2.describe_vpc_endpoints(), |e| candidate(
                e.vpc_endpoint_id,
                e.service_name
            ))
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.flow_log" => {
            all!("ec2:DescribeFlowLogs", aws.ec2.describe_flow_logs(), |l| candidate(
                l.flow_log_id,
                l.log_group_name
            ))
        }
        #[cfg(feature = "ec2")]
        "aws.ec2.instance" => {
            use aws_sdk_ec2::types::InstanceStateName::Terminated;
            let found = aws.ec2.describe_instances().into_paginator().items().send().try_collect().await;
            let found: Vec<_> = found.call("ec2:DescribeInstances")?;
            let all = found.into_iter().flat_map(|r| r.instances.unwrap_or_default());
            let there = all.filter(|i| i.state().and_then(|s| s.name()) != Some(&Terminated));
            there.filter_map(|i| name(i.instance_id)).collect()
        }
        #[cfg(feature = "autoscaling")]
        "aws.autoscaling.group" => {
            let groups = aws.autoscaling.describe_auto_scaling_groups();
            all!("autoscaling:DescribeAutoScalingGroups", groups, |g| name(g.auto_scaling_group_name))
        }
        #[cfg(feature = "ssm")]
        "aws.ssm.parameter" => {
            let pages = aws.ssm.describe_parameters().into_paginator().send().try_collect().await;
            let pages: Vec<_> = pages.call("ssm:DescribeParameters")?;
            pages
                .into_iter()
                .flat_map(|p| p.parameters.unwrap_or_default())
                .filter_map(|p| name(p.name))
                .collect()
        }
        #[cfg(feature = "kms")]
        "aws.kms.key" | "aws.kms.alias" => {
            // A key without an alias is known to nobody; those of AWS's services are not ours to take.
            let mine = |a: aws_sdk_kms::types::AliasListEntry| {
                let alias = a.alias_name.filter(|name| !name.starts_with("alias/aws/"))?;
                match kind {
                    "aws.kms.alias" => name(Some(alias)),
                    _ => candidate(a.target_key_id, Some(alias)),
                }
            };
            all!("kms:ListAliases", aws.kms.list_aliases(), mine)
        }
        #[cfg(feature = "ecs")]
        "aws.ecs.cluster" => all!("ecs:ListClusters", aws.ecs.list_clusters(), |a| name(Some(a))),
        #[cfg(feature = "ecs")]
        "aws.ecs.service" => {
            let clusters: Vec<String> = all!("ecs:ListClusters", aws.ecs.list_clusters(), Some);
            let mut services = vec![];
            for cluster in clusters {
                let of = aws.ecs.list_services().cluster(cluster);
                let found: Vec<Candidate> = all!("ecs:ListServices", of, |a| name(Some(a)));
                services.extend(found);
            }
            services
        }
        #[cfg(feature = "ecs")]
        "aws.ecs.task_definition" => {
            let active = aws_sdk_ecs::types::TaskDefinitionFamilyStatus::Active;
            let families = aws.ecs.list_task_definition_families().status(active);
            all!("ecs:ListTaskDefinitionFamilies", families, |f| name(Some(f)))
        }
        #[cfg(feature = "eks")]
        "aws.eks.cluster" => all!("eks:ListClusters", aws.eks.list_clusters(), |c| name(Some(c))),
        #[cfg(feature = "eks")]
        "aws.eks.node_group" => {
            let clusters: Vec<String> = all!("eks:ListClusters", aws.eks.list_clusters(), Some);
            let mut groups = vec![];
            for cluster in clusters {
                let of = aws.eks.list_nodegroups().cluster_name(&cluster);
                let found: Vec<Candidate> =
                    all!("eks:ListNodegroups", of, |g| candidate(Some(g), Some(cluster.clone())));
                groups.extend(found);
            }
            groups
        }
        #[cfg(feature = "rds")]
        "aws.rds.instance" => all!("rds:DescribeDBInstances", aws.rds.describe_db_instances(), |i| name(
            i.db_instance_identifier
        )),
        #[cfg(feature = "rds")]
        "aws.rds.subnet_group" => {
            all!("rds:DescribeDBSubnetGroups", aws.rds.describe_db_subnet_groups(), |g| name(
                g.db_subnet_group_name
            ))
        }
        #[cfg(feature = "rds")]
        "aws.rds.parameter_group" => {
            // Those that RDS brings cannot be changed.
            let mine = |g: aws_sdk_rds::types::DbParameterGroup| {
                name(g.db_parameter_group_name.filter(|n| !n.starts_with("default.")))
            };
            all!("rds:DescribeDBParameterGroups", aws.rds.describe_db_parameter_groups(), mine)
        }
        #[cfg(feature = "elasticache")]
        "aws.elasticache.replication_group" => {
            let groups = aws.elasticache.describe_replication_groups();
            all!("elasticache:DescribeReplicationGroups", groups, |g| name(g.replication_group_id))
        }
        #[cfg(feature = "elasticache")]
        "aws.elasticache.subnet_group" => {
            // The one that ElastiCache brings is called so.
            let own = |g: aws_sdk_elasticache::types::CacheSubnetGroup| {
                name(g.cache_subnet_group_name.filter(|n| n != "default"))
            };
            all!("elasticache:DescribeCacheSubnetGroups", aws.elasticache.describe_cache_subnet_groups(), own)
        }
        #[cfg(feature = "elbv2")]
        "aws.elbv2.load_balancer" => {
            all!("elasticloadbalancing:DescribeLoadBalancers", aws.elbv2.describe_load_balancers(), |b| name(
                b.load_balancer_name
            ))
        }
        #[cfg(feature = "elbv2")]
        "aws.elbv2.target_group" => {
            let groups = aws.elbv2.describe_target_groups();
            all!("elasticloadbalancing:DescribeTargetGroups", groups, |g| name(g.target_group_name))
        }
        #[cfg(feature = "iam")]
        "aws.iam.role" => {
            // Those of AWS's own services are not ours to take.
            let mine = |r: aws_sdk_iam::types::Role| {
                (!r.path.starts_with("/aws-service-role/")).then(|| name(Some(r.role_name))).flatten()
            };
            all!("iam:ListRoles", aws.iam.list_roles(), mine)
        }
        #[cfg(feature = "iam")]
        "aws.iam.policy" => {
            let own = aws.iam.list_policies().scope(aws_sdk_iam::types::PolicyScopeType::Local);
            all!("iam:ListPolicies", own, |p| name(p.policy_name))
        }
        #[cfg(feature = "iam")]
        "aws.iam.instance_profile" => {
            all!("iam:ListInstanceProfiles", aws.iam.list_instance_profiles(), |p| name(Some(
                p.instance_profile_name
            )))
        }
        #[cfg(feature = "iam")]
        "aws.iam.oidc_provider" => {
            let all = aws.iam.list_open_id_connect_providers().send().await;
            let all = all.call("iam:ListOpenIDConnectProviders")?.open_id_connect_provider_list;
            all.unwrap_or_default().into_iter().filter_map(|p| name(p.arn)).collect()
        }
        #[cfg(feature = "logs")]
        "aws.logs.log_group" => {
            all!("logs:DescribeLogGroups", aws.logs.describe_log_groups(), |g| name(g.log_group_name))
        }
        #[cfg(feature = "ecr")]
        "aws.ecr.repository" => {
            all!("ecr:DescribeRepositories", aws.ecr.describe_repositories(), |r| name(r.repository_name))
        }
        #[cfg(feature = "secretsmanager")]
        "aws.secretsmanager.secret" => {
            let pages = aws.secretsmanager.list_secrets().into_paginator().send().try_collect();
            let pages: Vec<_> = pages.await.call("secretsmanager:ListSecrets")?;
            pages
                .into_iter()
                .flat_map(|p| p.secret_list.unwrap_or_default())
                .filter_map(|s| name(s.name))
                .collect()
        }
        #[cfg(feature = "acm")]
        "aws.acm.certificate" => all!("acm:ListCertificates", aws.acm.list_certificates(), |c| candidate(
            c.certificate_arn,
            c.domain_name
        )),
        #[cfg(feature = "cloudfront")]
        "aws.cloudfront.distribution" => {
            let all = aws.cloudfront.list_distributions();
            all!("cloudfront:ListDistributions", all, |d| candidate(Some(d.id), Some(d.comment)))
        }
        #[cfg(feature = "route53")]
        "aws.route53.hosted_zone" => {
            all!("route53:ListHostedZones", aws.route53.list_hosted_zones(), |z| candidate(
                Some(z.id),
                Some(z.name)
            ))
        }
        #[cfg(feature = "events")]
        "aws.events.rule" => {
            let mut found = vec![];
            let mut next = None;
            loop {
                let page = aws.events.list_rules().set_next_token(next).send().await;
                let page = page.call("events:ListRules")?;
                // Those that a service keeps for itself are not ours to take.
                let rules = page.rules.unwrap_or_default().into_iter().filter(|r| r.managed_by.is_none());
                found.extend(rules.filter_map(|rule| name(rule.name)));
                next = page.next_token;
                if next.is_none() {
                    break found;
                }
            }
        }
        #[cfg(feature = "sqs")]
        "aws.sqs.queue" => all!("sqs:ListQueues", aws.sqs.list_queues(), |url| name(Some(url))),
        #[cfg(feature = "sns")]
        "aws.sns.topic" => all!("sns:ListTopics", aws.sns.list_topics(), |t| name(t.topic_arn)),
        _ => vec![],
    };
    Ok(found)
}
