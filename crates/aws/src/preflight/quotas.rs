//! Whether the account's quotas leave room for what the plan makes:
//! <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>.

use super::{
    Finding, Preflight,
    machines::{processors, started, zone},
};
use crate::{
    Aws, Call,
    ec2::{self, filter},
    ecs::{Service, TaskDefinition},
    eks, elbv2, rds,
};
use aws_sdk_ec2::types::{Instance, NatGatewayState};
use aws_sdk_servicequotas::Client;
use causeway_core::{Error, Resource, error::Found, plan::Action};
use futures::future::{BoxFuture, try_join_all};
use std::collections::{BTreeMap, BTreeSet};

/// Counts, or adds up.
type Counting<'a> = BoxFuture<'a, Result<f64, Error>>;

/// A quota, and how its use is counted.
struct Quota {
    what: &'static str,
    service: &'static str,
    /// Quotas are known by codes; `aws service-quotas list-service-quotas` shows them.
    code: &'static str,
    /// How many of a kind, or how much, the plan makes.
    needed: for<'a> fn(&'a Preflight, &'a Aws) -> Counting<'a>,
    /// How many there are; `None` where no call tells.
    used: Option<for<'a> fn(&'a Preflight, &'a Aws) -> Counting<'a>>,
}

/// Counts new resources of a kind.
macro_rules! made {
    ($kind:ty) => {
        |preflight, aws| Box::pin(std::future::ready(Ok(made::<$kind>(preflight, &aws.region))))
    };
}

/// Counts what a listing of all pages has and `which` says yes to.
macro_rules! counted {
    ($service:ident.$list:ident, $call:literal, $which:expr) => {
        Some(|_, aws| {
            Box::pin(async {
                let mut pages = aws.$service.$list().into_paginator().items().send();
                let mut count = 0.0;
                while let Some(one) = pages.next().await {
                    let counts: bool = one.call($call).map($which)?;
                    count += f64::from(u8::from(counts));
                }
                Ok(count)
            })
        })
    };
}

const QUOTAS: &[Quota] = &[
    Quota {
        what: "VPCs",
        service: "vpc",
        code: "L-F678F1CE",
        needed: made!(ec2::Vpc),
        used: counted!(ec2.describe_vpcs, "ec2:DescribeVpcs", |_| true),
    },
    Quota {
        what: "internet gateways",
        service: "vpc",
        code: "L-A4707A72",
        needed: made!(ec2::InternetGateway),
        used: counted!(ec2.describe_internet_gateways, "ec2:DescribeInternetGateways", |_| true),
    },
    Quota {
        what: "Elastic IP addresses",
        service: "ec2",
        code: "L-0263D0A3",
        needed: made!(ec2::ElasticIp),
        used: Some(|_, aws| {
            Box::pin(async {
                let found = aws.ec2.describe_addresses().send().await.call("ec2:DescribeAddresses")?;
                Ok(found.addresses().iter().map(|_| 1.0).sum())
            })
        }),
    },
    Quota {
        what: "NAT gateways in one zone",
        service: "vpc",
        code: "L-FE5A380F",
        needed: |preflight, _| Box::pin(std::future::ready(Ok(most(ways_out(preflight))))),
        used: Some(|preflight, aws| Box::pin(ways_out_there(preflight, aws))),
    },
    Quota {
        what: "vCPUs of on-demand machines of the standard families",
        service: "ec2",
        code: "L-1216C47A",
        needed: |preflight, aws| Box::pin(processors_of_machines(preflight, aws, false)),
        // What is not on demand says what it is instead.
        used: Some(|_, aws| Box::pin(processors_that_run(aws, |i| i.instance_lifecycle().is_none()))),
    },
    Quota {
        what: "TiB of gp3 volumes",
        service: "ebs",
        code: "L-7A658B76",
        needed: |preflight, aws| {
            let here = started(preflight).into_iter().filter(|m| m.aws.region == aws.region);
            let size: f64 = here.map(|m| m.count * m.gp3).sum();
            Box::pin(std::future::ready(Ok(size / GIB_OF_TIB)))
        },
        used: Some(|_, aws| {
            Box::pin(async {
                let volumes = aws.ec2.describe_volumes().filters(filter("volume-type", ["gp3"]));
                let volumes = volumes.into_paginator().items().send().try_collect().await;
                let sizes = volumes.call("ec2:DescribeVolumes")?;
                Ok(sizes.iter().map(|v| f64::from(v.size().unwrap_or_default())).sum::<f64>() / GIB_OF_TIB)
            })
        }),
    },
    Quota {
        what: "EKS clusters",
        service: "eks",
        code: "L-1194D53C",
        needed: made!(eks::Cluster),
        used: counted!(eks.list_clusters, "eks:ListClusters", |_| true),
    },
    Quota {
        what: "application load balancers",
        service: "elasticloadbalancing",
        code: "L-53DA6B97",
        needed: made!(elbv2::LoadBalancer),
        used: counted!(
            elbv2.describe_load_balancers,
            "elasticloadbalancing:DescribeLoadBalancers",
            |balancer| balancer.r#type().is_some_and(|kind| kind.as_str() == "application")
        ),
    },
    Quota {
        what: "database instances",
        service: "rds",
        code: "L-7B6409FD",
        needed: made!(rds::Instance),
        used: counted!(rds.describe_db_instances, "rds:DescribeDBInstances", |_| true),
    },
    Quota {
        what: "vCPUs on Fargate",
        service: "fargate",
        code: "L-3032A538",
        needed: |preflight, aws| Box::pin(std::future::ready(Ok(tasks(preflight, &aws.region)))),
        used: None,
    },
];

const GIB_OF_TIB: f64 = 1024.0;

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let pairs = preflight.clients.values().flat_map(|aws| QUOTAS.iter().map(move |quota| (aws, quota)));
    let asking = pairs.map(|(aws, quota)| async move {
        let needed = (quota.needed)(preflight, aws).await?;
        if needed > 0.0 { ask(preflight, aws, quota, needed).await.map(Some) } else { Ok(None) }
    });
    Ok(try_join_all(asking).await?.into_iter().flatten().collect())
}

async fn ask(preflight: &Preflight, aws: &Aws, quota: &Quota, needed: f64) -> Result<Finding, Error> {
    let asked =
        format!("whether the quota leaves room for {} more {} in {}", number(needed), quota.what, aws.region);
    let limit = match limit(&aws.quotas, quota.service, quota.code).await {
        Ok(Some(limit)) => limit,
        Ok(None) => {
            let answer = format!("Service Quotas does not know {} of {}", quota.code, quota.service);
            return Ok(Finding::not_asked(asked, answer, "look at Service Quotas by hand"));
        }
        Err(error) => return Ok(Finding::not_answered(asked, &error)),
    };
    let used = match quota.used {
        Some(count) => Some(count(preflight, aws).await?),
        None => None,
    };
    Ok(judge(asked, quota, limit, used, needed))
}

fn judge(asked: String, quota: &Quota, limit: f64, used: Option<f64>, needed: f64) -> Finding {
    let used_text = used
        .map_or_else(|| "nobody tells how many are used".to_owned(), |n| format!("{} are used", number(n)));
    let answer = format!("{} are allowed, {used_text}", number(limit));
    let least = used.unwrap_or_default();
    if least + needed > limit {
        let (service, code) = (quota.service, quota.code);
        let more = (least + needed).ceil();
        let remedy = format!(
            "delete what nobody needs, or ask for more: `aws service-quotas request-service-quota-increase \
             --service-code {service} --quota-code {code} --desired-value {more}`"
        );
        return Finding::failed(asked, answer, remedy);
    }
    match used {
        Some(_) => Finding::passed(asked, answer),
        None => Finding::not_asked(asked, answer, "look at the usage in the console of Service Quotas"),
    }
}

/// Whole numbers as such, others with two digits.
pub(super) fn number(n: f64) -> String {
    // A sum of nothing is -0.
    let n = n + 0.0;
    if n.fract() == 0.0 { format!("{n:.0}") } else { format!("{n:.2}") }
}

/// What the account has, or what every account has.
pub(super) async fn limit(api: &Client, service: &str, code: &str) -> Result<Option<f64>, Error> {
    let applied = api.get_service_quota().service_code(service).quota_code(code).send().await;
    // It answers with "no such resource" for what was never raised.
    let applied = applied.as_ref().ok().and_then(|a| a.quota()?.value());
    if applied.is_some() {
        return Ok(applied);
    }
    let default = api.get_aws_default_service_quota().service_code(service).quota_code(code).send().await;
    match default {
        Err(e) if e.as_service_error().is_some_and(|e| e.is_no_such_resource_exception()) => Ok(None),
        default => {
            let default = default.call("servicequotas:GetAWSDefaultServiceQuota").found()?;
            Ok(default.and_then(|d| d.quota?.value))
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 of anything")]
fn made<R: Resource>(preflight: &Preflight, region: &str) -> f64 {
    let made = preflight.all::<R>().filter(|(w, _, aws)| w.action == Action::Create && aws.region == region);
    made.count() as f64
}

/// How many new NAT gateways there are in each zone; in one of its own where it is not known yet.
fn ways_out(preflight: &Preflight) -> BTreeMap<String, f64> {
    let mut of_zone = BTreeMap::new();
    let new = preflight.all::<ec2::NatGateway>().filter(|(w, ..)| w.action == Action::Create);
    for (wanted, way, _) in new {
        let zone = zone(preflight, &way.subnet_id).unwrap_or_else(|| wanted.address.0.clone());
        *of_zone.entry(zone).or_insert(0.0) += 1.0;
    }
    of_zone
}

fn most(of_zone: BTreeMap<String, f64>) -> f64 {
    of_zone.into_values().fold(0.0, f64::max)
}

/// The most that there are in one of the zones that get another one; in any, where those are not known.
async fn ways_out_there(preflight: &Preflight, aws: &Aws) -> Result<f64, Error> {
    let there = aws.ec2.describe_nat_gateways().into_paginator().items().send().try_collect().await;
    let there = there.call("ec2:DescribeNatGateways")?;
    let counts = |state: &NatGatewayState| {
        matches!(state, NatGatewayState::Available | NatGatewayState::Pending | NatGatewayState::Deleting)
    };
    let there = there.iter().filter(|way| way.state().is_some_and(counts));
    let subnets: Vec<&str> = there.filter_map(|way| way.subnet_id()).collect();
    if subnets.is_empty() {
        return Ok(0.0);
    }
    let ids: BTreeSet<&str> = subnets.iter().copied().collect();
    let found = aws.ec2.describe_subnets().filters(filter("subnet-id", ids)).into_paginator().items();
    let found = found.send().try_collect().await.call("ec2:DescribeSubnets")?;
    let zones: BTreeMap<&str, &str> =
        found.iter().filter_map(|s| Some((s.subnet_id()?, s.availability_zone()?))).collect();
    let wanted = ways_out(preflight);
    let mut of_zone = BTreeMap::new();
    for zone in subnets.iter().filter_map(|id| zones.get(id)) {
        *of_zone.entry((*zone).to_owned()).or_insert(0.0) += 1.0;
    }
    let known = wanted.keys().any(|zone| zones.values().any(|known| known == zone));
    of_zone.retain(|zone, _| !known || wanted.contains_key(zone));
    Ok(most(of_zone))
}

/// The families that one quota is for: A, C, D, H, I, M, R, T and Z, and not those that start alike and have quotas of
/// their own. <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits>
pub(super) fn is_standard(kind: &str) -> bool {
    let family: String = kind.chars().take_while(char::is_ascii_alphabetic).collect();
    let others = ["dl", "hpc", "inf", "mac", "trn"];
    !others.contains(&family.as_str()) && family.starts_with(['a', 'c', 'd', 'h', 'i', 'm', 'r', 't', 'z'])
}

/// Those of new machines that are spot instances, or are none.
pub(super) async fn processors_of_machines(
    preflight: &Preflight,
    aws: &Aws,
    spot: bool,
) -> Result<f64, Error> {
    let machines = started(preflight).into_iter().filter(|m| m.aws.region == aws.region && m.spot == spot);
    let machines: Vec<_> = machines.collect();
    let types = machines.iter().flat_map(|m| &m.types).filter(|kind| is_standard(kind)).cloned().collect();
    let of_type = processors(aws, &types).await?;
    let most =
        |types: &[String]| types.iter().filter_map(|kind| of_type.get(kind)).copied().fold(0.0, f64::max);
    Ok(machines.iter().map(|m| m.count * most(&m.types)).sum())
}

/// Those of machines that run and are `counted`.
pub(super) async fn processors_that_run(
    aws: &Aws,
    counted: impl Fn(&Instance) -> bool,
) -> Result<f64, Error> {
    let running = aws.ec2.describe_instances().filters(filter("instance-state-name", ["pending", "running"]));
    let running = running.into_paginator().items().send().try_collect().await;
    let running = running.call("ec2:DescribeInstances")?;
    let all = running.iter().flat_map(|r| r.instances()).filter(|machine| counted(machine));
    let types =
        all.filter_map(|i| Some(i.instance_type()?.as_str().to_owned())).filter(|kind| is_standard(kind));
    let types: Vec<String> = types.collect();
    let of_type = processors(aws, &types.iter().cloned().collect()).await?;
    Ok(types.iter().filter_map(|kind| of_type.get(kind)).sum())
}

/// Processors of the tasks of new services, at the height of a deployment.
fn tasks(preflight: &Preflight, region: &str) -> f64 {
    let tasks: BTreeMap<_, _> =
        preflight.around::<TaskDefinition>().map(|(w, t)| (w.address.clone(), t)).collect();
    let services =
        preflight.all::<Service>().filter(|(w, _, aws)| w.action == Action::Create && aws.region == region);
    services
        .filter_map(|(_, service, _)| {
            let causeway_core::Value::Ref(task) = &service.task_definition else { return None };
            let units = tasks.get(task.from())?.cpu?;
            let most =
                service.deployment_configuration.as_ref().and_then(|d| d.maximum_percent).unwrap_or(200);
            let count = service.desired_count.unwrap_or(1);
            Some(f64::from(units) / 1024.0 * f64::from(count) * f64::from(most) / 100.0)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::finding::Verdict;

    #[test]
    fn what_is_used_and_what_is_needed_have_to_fit() {
        let judge = |limit, used, needed| judge(String::new(), &QUOTAS[0], limit, used, needed);
        assert_eq!(judge(5.0, Some(4.0), 1.0).verdict, Verdict::Passed);
        let full = judge(5.0, Some(5.0), 1.0);
        assert_eq!(full.verdict, Verdict::Failed);
        assert!(full.remedy.unwrap().contains("--quota-code L-F678F1CE --desired-value 6`"));
        let disks = judge(50.0, Some(49.95), 0.146);
        assert!(
            disks.answer == "50 are allowed, 49.95 are used"
                && disks.remedy.unwrap().ends_with("--desired-value 51`")
        );
        assert_eq!(judge(6.0, None, 2.0).verdict, Verdict::NotAsked);
        assert_eq!(judge(1.0, None, 2.0).verdict, Verdict::Failed);
    }

    #[test]
    fn families_with_quotas_of_their_own_are_not_standard() {
        for standard in ["t3.xlarge", "m7i.large", "c6a.32xlarge", "is4gen.large", "z1d.large"] {
            assert!(is_standard(standard), "{standard}");
        }
        for other in [
            "g5.xlarge",
            "p4d.24xlarge",
            "inf2.xlarge",
            "trn1.2xlarge",
            "mac2.metal",
            "hpc7a.96xlarge",
            "x2idn.metal",
        ] {
            assert!(!is_standard(other), "{other}");
        }
    }
}
