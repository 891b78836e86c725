//! Containers: clusters, task definitions, services, and why a service's tasks stop.

mod blue_green;
mod cluster;
mod container;
pub mod diagnosis;
mod entry_point;
mod exec;
mod lineage;
mod one_off;
#[cfg(all(feature = "elbv2", feature = "logs"))]
mod rehearsal;
mod service;
mod task_definition;

pub use blue_green::{Alternate, BLUE_GREEN};
pub use cluster::{Cluster, ClusterOutputs, ClusterRefs, ContainerInsights, Strategy};
pub use container::{
    Container, HealthCheck, LinuxParameters, LogConfiguration, PortMapping, Ulimit, image_tag,
};
pub use exec::{ExecSession, ExecTarget};
pub use lineage::{Completed, Revision, candidates, number};
pub use one_off::{OneOff, TaskNow, tag_value};
#[cfg(all(feature = "elbv2", feature = "logs"))]
pub use rehearsal::{Rehearsal, RehearsalOutputs, RehearsalRefs};
pub use service::{
    Alarms, CircuitBreaker, DeploymentConfiguration, LoadBalancer, NetworkConfiguration, Service,
    ServiceOutputs, ServiceRefs,
};
pub use task_definition::{
    RuntimePlatform, TaskDefinition, TaskDefinitionOutputs, TaskDefinitionRefs, fargate_size,
};

use crate::{Aws, Call, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_ecs::types::{CapacityProviderStrategyItem, ClusterField, ServiceField, Tag};
use causeway_core::{
    Class, Error, Tags, coalesce::Coalesce, diff::Diff, error::Found, registry::ProviderKinds,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    let kinds = kinds.add::<Cluster>().add::<TaskDefinition>().add::<Service>();
    #[cfg(all(feature = "elbv2", feature = "logs"))]
    let kinds = kinds.add::<Rehearsal>();
    kinds
}

/// Cluster and service by name.
type ServiceKey = (String, String);

/// The ECS client of one region.
pub struct Ecs {
    api: aws_sdk_ecs::Client,
    pub(crate) clusters: Coalesce<String, aws_sdk_ecs::types::Cluster>,
    pub(crate) services: Coalesce<ServiceKey, aws_sdk_ecs::types::Service>,
}

impl Ecs {
    /// With the region and the endpoints of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_ecs, config);
        let (for_clusters, for_services) = (api.clone(), api.clone());
        Ecs {
            api,
            clusters: Coalesce::new(100, move |names| clusters(for_clusters.clone(), names)),
            services: Coalesce::new(100, move |keys| services(for_services.clone(), keys)),
        }
    }
}
impl Deref for Ecs {
    type Target = aws_sdk_ecs::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

async fn clusters(
    api: aws_sdk_ecs::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, aws_sdk_ecs::types::Cluster>, Error> {
    let call = api
        .describe_clusters()
        .set_clusters(Some(names.into_iter().collect()))
        .include(ClusterField::Settings)
        .include(ClusterField::Tags);
    let found = call.send().await.call("ecs:DescribeClusters")?.clusters.unwrap_or_default();
    Ok(found.into_iter().filter_map(|c| Some((c.cluster_name.clone()?, c))).collect())
}

/// As many services as one call takes.
const MOST_SERVICES: usize = 10;

async fn services(
    api: aws_sdk_ecs::Client,
    keys: BTreeSet<ServiceKey>,
) -> Result<BTreeMap<ServiceKey, aws_sdk_ecs::types::Service>, Error> {
    let mut wanted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (cluster, service) in keys {
        wanted.entry(cluster).or_default().push(service);
    }
    let mut all = BTreeMap::new();
    for (cluster, names) in wanted {
        for some in names.chunks(MOST_SERVICES) {
            let call = api
                .describe_services()
                .cluster(&cluster)
                .set_services(Some(some.to_vec()))
                .include(ServiceField::Tags);
            // A cluster that is gone has no services.
            let Some(found) = call.send().await.call("ecs:DescribeServices").found()? else { break };
            all.extend(
                found
                    .services
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|s| Some(((cluster.clone(), s.service_name.clone()?), s))),
            );
        }
    }
    Ok(all)
}

fn to_tags(tags: &Tags) -> Option<Vec<Tag>> {
    let tags: Vec<_> = tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect();
    (!tags.is_empty()).then_some(tags)
}

fn from_tags(tags: &[Tag]) -> Tags {
    Tags::live(tags.iter().filter_map(|t| Some((t.key()?, t.value().unwrap_or_default()))))
}

async fn write_tags(ecs: &Ecs, arn: &Arn, wanted: &Tags, live: &Tags, diff: &Diff) -> Result<(), Error> {
    let steps = wanted.steps(live, diff);
    if !steps.set.is_empty() {
        let tags = steps.set.iter().map(|(k, v)| Tag::builder().key(*k).value(*v).build()).collect();
        let call = ecs.tag_resource().resource_arn(arn.as_str()).set_tags(Some(tags));
        call.send().await.call("ecs:TagResource")?;
    }
    if !steps.remove.is_empty() {
        let keys = steps.remove.iter().map(ToString::to_string).collect();
        let call = ecs.untag_resource().resource_arn(arn.as_str()).set_tag_keys(Some(keys));
        call.send().await.call("ecs:UntagResource")?;
    }
    Ok(())
}

fn strategy_items(strategy: &BTreeMap<String, Strategy>) -> Result<Vec<CapacityProviderStrategyItem>, Error> {
    strategy
        .iter()
        .map(|(provider, s)| {
            CapacityProviderStrategyItem::builder()
                .capacity_provider(provider)
                .weight(s.weight)
                .base(s.base)
                .build()
                .map_err(|e| incomplete("capacity provider strategy", &e))
        })
        .collect()
}

fn live_strategy(items: &[CapacityProviderStrategyItem]) -> BTreeMap<String, Strategy> {
    items
        .iter()
        .map(|i| (i.capacity_provider().to_owned(), Strategy { weight: i.weight(), base: i.base() }))
        .collect()
}

/// The SDK refuses to build a part of a request.
fn incomplete(what: &str, why: &dyn std::error::Error) -> Error {
    Error::Invalid(format!("{what} is incomplete: {why}"))
}

/// ECS answers `InvalidParameterException` both for what is wrong and for what has not spread yet, and only the
/// message tells them apart: the service-linked role of a new account, a role that was just made, a target group whose
/// listener is on its way.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html>
fn spread<T>(result: Result<T, Error>) -> Result<T, Error> {
    result.map_err(|error| match error {
        Error::Call { call, class: Class::Final, source } if not_spread(&source.to_string()) => {
            Error::Call { call, class: Class::NotNow, source }
        }
        other => other,
    })
}

fn not_spread(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    answer.starts_with("invalidparameterexception")
        && [
            "service linked role",
            "service-linked role",
            "unable to assume",
            "does not have an associated load balancer",
        ]
        .iter()
        .any(|text| answer.contains(text))
}

/// `live` in the order in which `wanted` has the same keys; what is not wanted comes last. ECS does not promise to keep
/// the order of lists whose order means nothing.
fn in_order_of<T, K: PartialEq>(wanted: &[T], mut live: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    live.sort_by_key(|l| {
        let key_of_live = key(l);
        wanted.iter().position(|w| key(w) == key_of_live).unwrap_or(usize::MAX)
    });
    live
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_spread_is_told_from_what_is_wrong() {
        let call = |source: &str| {
            let error = Error::Call { call: "ecs:CreateService", class: Class::Final, source: source.into() };
            spread::<()>(Err(error)).unwrap_err().class()
        };
        assert_eq!(
            call("InvalidParameterException: Unable to assume the service linked role. Please verify ..."),
            Class::NotNow
        );
        assert_eq!(call("InvalidParameterException: No Fargate configuration exists"), Class::Final);
        assert_eq!(call("ClientException: Unable to assume the service linked role"), Class::Final);
    }

    #[test]
    fn lists_follow_the_order_that_is_wanted() {
        assert_eq!(in_order_of(&["b", "a"], vec!["a", "x", "b"], |s| s.to_string()), ["b", "a", "x"]);
    }
}
