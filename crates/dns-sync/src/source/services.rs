//! The load balancers in front of services of ECS.

use super::{
    Answer, Found, Source, SourceError, Waiting,
    balancers::{sdk, target},
};
use crate::config::EcsConfig;
use aws_sdk_ecs::Client as Ecs;
use aws_sdk_elasticloadbalancingv2::Client as Balancing;
use causeway_dns::Class;
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use tokio::sync::OnceCell;

/// How many services `DescribeServices` takes.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html>
const DESCRIBED: usize = 10;

/// Services of a cluster.
pub struct Services {
    label: String,
    config: EcsConfig,
    clients: OnceCell<(Ecs, Balancing)>,
}

impl Services {
    /// Those of `config`.
    pub fn new(name: &str, config: EcsConfig) -> Self {
        Services { label: format!("ecs/{name}"), config, clients: OnceCell::new() }
    }

    async fn look(&self) -> Result<Answer, SourceError> {
        let connect = async || {
            let sdk = sdk(&self.config.region, self.config.profile.as_deref()).await;
            (Ecs::new(&sdk), Balancing::new(&sdk))
        };
        let (ecs, balancing) = self.clients.get_or_init(connect).await;
        let wanted: Vec<String> = self.config.services.keys().cloned().collect();
        let mut answer = Answer::default();
        let mut seen = BTreeSet::new();
        for chunk in wanted.chunks(DESCRIBED) {
            let call = ecs.describe_services().cluster(&self.config.cluster);
            let call = call.set_services(Some(chunk.to_vec())).send().await;
            let said = call.map_err(|e| SourceError::new("ecs:DescribeServices", e))?;
            for service in said.services().iter().filter(|s| s.status() == Some("ACTIVE")) {
                let Some(name) = service.service_name() else { continue };
                seen.insert(name.to_owned());
                let groups: Vec<String> = service
                    .load_balancers()
                    .iter()
                    .filter_map(|l| l.target_group_arn())
                    .map(str::to_owned)
                    .collect();
                let targets = self.behind(balancing, groups).await?;
                for dns in self.config.services.get(name).into_iter().flatten() {
                    let (dns, by) = (dns.clone(), format!("service {name}"));
                    match &targets {
                        Ok(values) => answer.found.push(Found {
                            name: dns,
                            class: Class::Address,
                            values: values.clone(),
                            ttl: None,
                            proxied: None,
                            by,
                        }),
                        Err(why) => answer.waiting.push(Waiting { name: dns, why: format!("{by} {why}") }),
                    }
                }
            }
        }
        for (service, names) in self.config.services.iter().filter(|(name, _)| !seen.contains(*name)) {
            let why = format!("there is no service `{service}` in the cluster `{}`", self.config.cluster);
            answer.waiting.extend(names.iter().map(|name| Waiting { name: name.clone(), why: why.clone() }));
        }
        Ok(answer)
    }

    /// Where the load balancers answer that have these target groups.
    async fn behind(
        &self,
        balancing: &Balancing,
        groups: Vec<String>,
    ) -> Result<Result<Vec<String>, String>, SourceError> {
        if groups.is_empty() {
            return Ok(Err("has no load balancer".into()));
        }
        let call = balancing.describe_target_groups().set_target_group_arns(Some(groups)).send().await;
        let said = call.map_err(|e| SourceError::new("elasticloadbalancing:DescribeTargetGroups", e))?;
        let arns: BTreeSet<String> =
            said.target_groups().iter().flat_map(|g| g.load_balancer_arns()).cloned().collect();
        if arns.is_empty() {
            return Ok(Err("has target groups that no load balancer has".into()));
        }
        let call =
            balancing.describe_load_balancers().set_load_balancer_arns(Some(arns.into_iter().collect()));
        let said = call.send().await;
        let said = said.map_err(|e| SourceError::new("elasticloadbalancing:DescribeLoadBalancers", e))?;
        let targets = said.load_balancers().iter().map(target).collect::<Result<BTreeSet<String>, _>>();
        Ok(targets
            .map(|all| all.into_iter().collect())
            .map_err(|why| format!("has a load balancer that {why}")))
    }
}

impl Source for Services {
    fn label(&self) -> &str {
        &self.label
    }

    fn names(&self) -> Vec<String> {
        self.config.services.values().flatten().cloned().collect()
    }

    fn read(&self) -> BoxFuture<'_, Result<Answer, SourceError>> {
        Box::pin(self.look())
    }
}
