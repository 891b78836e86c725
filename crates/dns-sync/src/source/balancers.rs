//! Load balancers of AWS, by a tag or by their names.

use super::{Answer, Found, Source, SourceError, Waiting};
use crate::config::BalancersConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_elasticloadbalancingv2::{
    Client,
    types::{LoadBalancer, LoadBalancerStateEnum},
};
use causeway_dns::Class;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::OnceCell;

/// How many load balancers `DescribeTags` takes.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html>
const TAGGED: usize = 20;

/// Stands for the star of a wildcard in a tag, where AWS allows none.
const WILDCARD: &str = "_wildcard.";

/// Load balancers of a region.
pub struct Balancers {
    label: String,
    config: BalancersConfig,
    client: OnceCell<Client>,
}

/// Credentials as the AWS CLI finds them.
pub(super) async fn sdk(region: &str, profile: Option<&str>) -> SdkConfig {
    let loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned()));
    match profile {
        Some(profile) => loader.profile_name(profile).load().await,
        None => loader.load().await,
    }
}

/// Where `balancer` answers, or why it does not.
pub(super) fn target(balancer: &LoadBalancer) -> Result<String, &'static str> {
    match (balancer.state().and_then(|s| s.code()), balancer.dns_name()) {
        (Some(LoadBalancerStateEnum::Failed), _) => Err("has failed"),
        (Some(LoadBalancerStateEnum::Provisioning), _) => Err("is being made"),
        (_, Some(name)) if !name.is_empty() => Ok(name.to_lowercase()),
        _ => Err("has no name yet"),
    }
}

impl Balancers {
    /// Those of `config`.
    pub fn new(name: &str, config: BalancersConfig) -> Self {
        Balancers { label: format!("balancers/{name}"), config, client: OnceCell::new() }
    }

    async fn look(&self) -> Result<Answer, SourceError> {
        let connect = async || Client::new(&sdk(&self.config.region, self.config.profile.as_deref()).await);
        let client = self.client.get_or_init(connect).await;
        let mut pages = client.describe_load_balancers().into_paginator().items().send();
        let mut all: Vec<LoadBalancer> = vec![];
        while let Some(one) = pages.next().await {
            all.push(one.map_err(|e| SourceError::new("elasticloadbalancing:DescribeLoadBalancers", e))?);
        }
        let tags = self.tags(client, &all).await?;
        let mut answer = Answer::default();
        let mut seen = BTreeSet::new();
        for one in &all {
            let name = one.load_balancer_name().unwrap_or_default();
            seen.insert(name);
            let by = format!("load balancer {name}");
            let tagged = one.load_balancer_arn().and_then(|arn| tags.get(arn)).into_iter().flatten();
            let names: BTreeSet<&String> =
                self.config.names.get(name).into_iter().flatten().chain(tagged).collect();
            for name in names {
                let name = name.clone();
                match target(one) {
                    Ok(target) => answer.found.push(Found {
                        name,
                        class: Class::Address,
                        values: vec![target],
                        ttl: None,
                        proxied: None,
                        by: by.clone(),
                    }),
                    Err(why) => answer.waiting.push(Waiting { name, why: format!("{by} {why}") }),
                }
            }
        }
        for (balancer, names) in self.config.names.iter().filter(|(name, _)| !seen.contains(name.as_str())) {
            let why = format!("there is no load balancer `{balancer}` in {}", self.config.region);
            answer.waiting.extend(names.iter().map(|name| Waiting { name: name.clone(), why: why.clone() }));
        }
        Ok(answer)
    }

    /// The names in the tags, by ARN.
    async fn tags(
        &self,
        client: &Client,
        all: &[LoadBalancer],
    ) -> Result<BTreeMap<String, BTreeSet<String>>, SourceError> {
        let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let Some(key) = &self.config.tag else { return Ok(out) };
        let arns: Vec<String> = all.iter().filter_map(|b| b.load_balancer_arn()).map(str::to_owned).collect();
        for chunk in arns.chunks(TAGGED) {
            let call = client.describe_tags().set_resource_arns(Some(chunk.to_vec())).send().await;
            let said = call.map_err(|e| SourceError::new("elasticloadbalancing:DescribeTags", e))?;
            for one in said.tag_descriptions() {
                let values =
                    one.tags().iter().filter(|tag| tag.key() == Some(key)).filter_map(|tag| tag.value());
                let names =
                    values.flat_map(|value| value.split(['/', ' ', ','])).filter(|name| !name.is_empty());
                let names = names.map(|name| match name.strip_prefix(WILDCARD) {
                    Some(rest) => format!("*.{rest}"),
                    None => name.to_owned(),
                });
                out.entry(one.resource_arn().unwrap_or_default().to_owned()).or_default().extend(names);
            }
        }
        Ok(out)
    }
}

impl Source for Balancers {
    fn label(&self) -> &str {
        &self.label
    }

    fn names(&self) -> Vec<String> {
        self.config.names.values().flatten().cloned().collect()
    }

    fn read(&self) -> BoxFuture<'_, Result<Answer, SourceError>> {
        Box::pin(self.look())
    }
}
