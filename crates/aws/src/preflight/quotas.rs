//! Whether the account's quotas leave room for what the plan makes:
//! <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>.

use super::{Finding, Preflight};
use crate::{
    Aws, Call, ec2,
    ecs::{Service, TaskDefinition},
    elbv2, rds,
};
use aws_sdk_servicequotas::Client;
use causeway_core::{Error, Resource, error::Found, plan::Action};
use futures::future::{BoxFuture, try_join_all};
use std::collections::BTreeMap;

/// Counts.
type Counting<'a> = BoxFuture<'a, Result<usize, Error>>;

/// A quota, and how its use is counted.
struct Quota {
    what: &'static str,
    service: &'static str,
    /// Quotas are known by codes; `aws service-quotas list-service-quotas` shows them.
    code: &'static str,
    /// How many of a kind, or how much, the plan makes.
    needed: fn(&Preflight, &str) -> f64,
    /// How many there are; `None` where no call tells.
    used: Option<for<'a> fn(&'a Aws) -> Counting<'a>>,
}

/// Counts what a listing of all pages has and `which` says yes to.
macro_rules! counted {
    ($service:ident.$list:ident, $call:literal, $which:expr) => {
        Some(|aws| {
            Box::pin(async {
                let mut pages = aws.$service.$list().into_paginator().items().send();
                let mut count = 0;
                while let Some(one) = pages.next().await {
                    let counts: bool = one.call($call).map($which)?;
                    count += usize::from(counts);
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
        needed: made::<ec2::Vpc>,
        used: counted!(ec2.describe_vpcs, "ec2:DescribeVpcs", |_| true),
    },
    Quota {
        what: "internet gateways",
        service: "vpc",
        code: "L-A4707A72",
        needed: made::<ec2::InternetGateway>,
        used: counted!(ec2.describe_internet_gateways, "ec2:DescribeInternetGateways", |_| true),
    },
    Quota {
        what: "Elastic IP addresses",
        service: "ec2",
        code: "L-0263D0A3",
        needed: made::<ec2::ElasticIp>,
        used: Some(|aws| {
            Box::pin(async {
                let found = aws.ec2.describe_addresses().send().await.call("ec2:DescribeAddresses")?;
                Ok(found.addresses().len())
            })
        }),
    },
    Quota {
        what: "application load balancers",
        service: "elasticloadbalancing",
        code: "L-53DA6B97",
        needed: made::<elbv2::LoadBalancer>,
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
        needed: made::<rds::Instance>,
        used: counted!(rds.describe_db_instances, "rds:DescribeDBInstances", |_| true),
    },
    Quota {
        what: "vCPUs on Fargate",
        service: "fargate",
        code: "L-3032A538",
        needed: processors,
        used: None,
    },
];

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut asking = vec![];
    for (region, aws) in &preflight.clients {
        for quota in QUOTAS {
            let needed = (quota.needed)(preflight, region);
            if needed > 0.0 {
                asking.push(ask(aws, quota, needed));
            }
        }
    }
    try_join_all(asking).await
}

async fn ask(aws: &Aws, quota: &Quota, needed: f64) -> Result<Finding, Error> {
    let asked = format!("whether the quota leaves room for {needed} more {} in {}", quota.what, aws.region);
    let limit = match limit(&aws.quotas, quota).await {
        Ok(Some(limit)) => limit,
        Ok(None) => {
            let answer = format!("Service Quotas does not know {} of {}", quota.code, quota.service);
            return Ok(Finding::not_asked(asked, answer, "look at Service Quotas by hand"));
        }
        Err(error) => return Ok(Finding::not_answered(asked, &error)),
    };
    let used = match quota.used {
        Some(count) => Some(count(aws).await?),
        None => None,
    };
    Ok(judge(asked, quota, limit, used, needed))
}

fn judge(asked: String, quota: &Quota, limit: f64, used: Option<usize>, needed: f64) -> Finding {
    let used_text =
        used.map_or_else(|| "nobody tells how many are used".to_owned(), |n| format!("{n} are used"));
    let answer = format!("{limit} are allowed, {used_text}");
    // Counts are small, so that nothing is lost.
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 of anything")]
    let least = used.unwrap_or_default() as f64;
    if least + needed > limit {
        let (service, code) = (quota.service, quota.code);
        let more = least + needed;
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

/// What the account has, or what every account has.
async fn limit(api: &Client, quota: &Quota) -> Result<Option<f64>, Error> {
    let applied = api.get_service_quota().service_code(quota.service).quota_code(quota.code).send().await;
    // It answers with "no such resource" for what was never raised.
    let applied = applied.as_ref().ok().and_then(|a| a.quota()?.value());
    if applied.is_some() {
        return Ok(applied);
    }
    let default =
        api.get_aws_default_service_quota().service_code(quota.service).quota_code(quota.code).send().await;
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

/// Of the tasks of new services, at the height of a deployment.
fn processors(preflight: &Preflight, region: &str) -> f64 {
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
    use crate::preflight::Verdict;

    #[test]
    fn what_is_used_and_what_is_needed_have_to_fit() {
        let judge = |limit, used, needed| judge(String::new(), &QUOTAS[0], limit, used, needed);
        assert_eq!(judge(5.0, Some(4), 1.0).verdict, Verdict::Passed);
        let full = judge(5.0, Some(5), 1.0);
        assert_eq!(full.verdict, Verdict::Failed);
        assert!(full.remedy.unwrap().contains("--quota-code L-F678F1CE --desired-value 6`"));
        assert_eq!(judge(6.0, None, 2.0).verdict, Verdict::NotAsked);
        assert_eq!(judge(1.0, None, 2.0).verdict, Verdict::Failed);
    }
}
