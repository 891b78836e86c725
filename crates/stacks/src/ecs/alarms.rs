//! What is watched, and who is told.

use super::{Alarm, Ecs, Watch, app::App, balancer::Balancer, database::Database};
use causeway_aws::{
    cloudwatch::MetricAlarm,
    sns::{Subscription, Topic},
};
use causeway_core::{Stack, Tags, Value};
use std::collections::BTreeMap;

/// What can be watched.
pub(super) struct Watched<'a> {
    pub database: &'a Database,
    pub balancer: &'a Balancer,
    pub app: &'a App,
}

pub(super) fn alarms(stack: &mut Stack, config: &Ecs, watched: &Watched<'_>) {
    stack.scope("alarms", |stack| {
        let prefix = stack.name().to_owned();
        let topic = config.notify.as_ref().map(|notify| {
            let topic = stack.add("topic", Topic::new(format!("{prefix}-alarms")));
            for email in &notify.emails {
                let subscription = Subscription {
                    topic_arn: topic.arn.clone(),
                    protocol: "email".into(),
                    endpoint: email.as_str().into(),
                };
                stack.add(&format!("mail-{email}"), subscription);
            }
            topic.arn.clone()
        });
        for (name, alarm) in &config.alarms {
            let metric = metric(alarm.watch, watched);
            let limit = alarm.above.or(alarm.below).unwrap_or_default();
            let wanted = MetricAlarm {
                name: format!("{prefix}-{name}").into(),
                description: Some(describe(alarm, metric.what)),
                namespace: metric.namespace.into(),
                metric_name: metric.name.into(),
                dimensions: metric.dimensions,
                statistic: metric.statistic.into(),
                period: 60,
                evaluation_periods: i32::from(alarm.minutes),
                datapoints_to_alarm: None,
                threshold: limit * metric.unit,
                comparison_operator: match alarm.above {
                    Some(_) => "GreaterThanThreshold".into(),
                    None => "LessThanThreshold".into(),
                },
                // A load balancer without traffic reports no errors at all.
                treat_missing_data: Some("notBreaching".into()),
                alarm_actions: topic.iter().cloned().collect(),
                ok_actions: topic.iter().cloned().collect(),
                tags: Tags::default(),
            };
            // Tasks are now in one target group, now in the other.
            if let (Watch::UnhealthyTargets, Some(green)) = (alarm.watch, &watched.balancer.green) {
                let mut other = wanted.clone();
                other.name = format!("{prefix}-{name}.green").into();
                other.dimensions.insert("TargetGroup".into(), green.target_group_full_name.clone());
                stack.add(&format!("{name}.green"), other);
            }
            stack.add(name, wanted);
        }
    });
}

fn describe(alarm: &Alarm, what: &str) -> String {
    let (side, limit) = match (alarm.above, alarm.below) {
        (Some(limit), _) => ("above", limit),
        (None, limit) => ("below", limit.unwrap_or_default()),
    };
    format!("{what} {side} {limit} for {} minutes", alarm.minutes)
}

struct Metric {
    what: &'static str,
    namespace: &'static str,
    name: &'static str,
    statistic: &'static str,
    dimensions: BTreeMap<String, Value<String>>,
    /// How much of the metric's unit is one of ours.
    unit: f64,
}

/// The metrics, as their services name them:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html>,
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/available-metrics.html>,
/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html>.
fn metric(watch: Watch, watched: &Watched<'_>) -> Metric {
    let text = |pairs: &[(&str, Value<String>)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<BTreeMap<_, _>>()
    };
    let balancer = || {
        text(&[
            ("LoadBalancer", watched.balancer.full_name.clone()),
            ("TargetGroup", watched.balancer.target_group_full_name.clone()),
        ])
    };
    let service = || {
        text(&[("ClusterName", watched.app.cluster.clone()), ("ServiceName", watched.app.service.clone())])
    };
    let database = || text(&[("DBInstanceIdentifier", watched.database.identifier.clone())]);
    let of_balancer = |what, name, statistic| {
        let mut dimensions = balancer();
        // Requests go now to one group, now to the other; the load balancer counts all of them.
        if watched.balancer.green.is_some() && watch != Watch::UnhealthyTargets {
            dimensions.remove("TargetGroup");
        }
        Metric { what, namespace: "AWS/ApplicationELB", name, statistic, dimensions, unit: 1.0 }
    };
    let of_service = |what, name| Metric {
        what,
        namespace: "AWS/ECS",
        name,
        statistic: "Average",
        dimensions: service(),
        unit: 1.0,
    };
    let of_database = |what, name, statistic, unit| Metric {
        what,
        namespace: "AWS/RDS",
        name,
        statistic,
        dimensions: database(),
        unit,
    };
    match watch {
        Watch::UnhealthyTargets => of_balancer("Tasks out of reach", "UnHealthyHostCount", "Maximum"),
        Watch::ServerErrors => of_balancer("Answers with 5xx", "HTTPCode_Target_5XX_Count", "Sum"),
        Watch::ResponseSeconds => of_balancer("Seconds to answer", "TargetResponseTime", "Average"),
        Watch::ServiceCpu => of_service("CPU of the tasks, in percent,", "CPUUtilization"),
        Watch::ServiceMemory => of_service("Memory of the tasks, in percent,", "MemoryUtilization"),
        Watch::DatabaseCpu => {
            of_database("CPU of the database, in percent,", "CPUUtilization", "Average", 1.0)
        }
        Watch::DatabaseFreeGib => {
            of_database("Free GiB of the database", "FreeStorageSpace", "Minimum", 1024.0 * 1024.0 * 1024.0)
        }
        Watch::DatabaseConnections => {
            of_database("Connections to the database", "DatabaseConnections", "Maximum", 1.0)
        }
    }
}
