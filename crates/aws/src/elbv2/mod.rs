//! Elastic Load Balancing v2: application load balancers, target groups, listeners and their rules.
//!
//! Looking costs a handful of calls however many there are: load balancers and target groups come from one listing
//! of the region, listeners from one call per load balancer, rules from one call per listener. Network and gateway
//! load balancers, mutual TLS and authentication actions are left out.

mod action;
mod attributes;
mod listener;
mod listener_rule;
mod load_balancer;
mod name;
mod target_group;
mod target_health;

pub use action::{Action, FixedResponse, Redirect};
pub use attributes::Attributes;
pub use listener::{Listener, ListenerOutputs, ListenerRefs, SSL_POLICY};
pub use listener_rule::{Conditions, ListenerRule, ListenerRuleOutputs, ListenerRuleRefs};
pub use load_balancer::{LoadBalancer, LoadBalancerOutputs, LoadBalancerRefs};
pub use target_group::{HealthCheck, TargetGroup, TargetGroupOutputs, TargetGroupRefs};
pub use target_health::TargetHealth;

use crate::{Aws, Call, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::{Client, types as sdk};
use causeway_core::{Class, Error, Tags, coalesce::Coalesce, error::Found, registry::ProviderKinds};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<LoadBalancer>().add::<TargetGroup>().add::<Listener>().add::<ListenerRule>()
}

/// The client of Elastic Load Balancing v2 in one region.
pub struct Elbv2 {
    api: Client,
    /// By name.
    pub(crate) load_balancers: Coalesce<String, sdk::LoadBalancer>,
    /// By name.
    pub(crate) target_groups: Coalesce<String, sdk::TargetGroup>,
    /// By the ARN of their load balancer.
    pub(crate) listeners: Coalesce<String, Vec<Certified>>,
    /// By the ARN of their listener.
    pub(crate) rules: Coalesce<String, Vec<sdk::Rule>>,
    /// By ARN.
    pub(crate) tags: Coalesce<String, Tags>,
}

/// Something and its tags, which this service keeps apart.
#[derive(Clone)]
pub(crate) struct Tagged<T> {
    pub(crate) thing: T,
    pub(crate) tags: Tags,
}

/// A listener and its additional certificates, which it does not show by itself.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) listener: sdk::Listener,
    pub(crate) additional: Vec<String>,
}

impl Elbv2 {
    /// The client that `config` describes.
    pub fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_elasticloadbalancingv2, config);
        let (balancers, groups, listeners, rules, describe) =
            (api.clone(), api.clone(), api.clone(), api.clone(), api.clone());
        Elbv2 {
            // The listing of the region, since asking by name fails for all when one of them is missing.
            load_balancers: Coalesce::new(usize::MAX, move |names| load_balancers(balancers.clone(), names)),
            target_groups: Coalesce::new(usize::MAX, move |names| target_groups(groups.clone(), names)),
            listeners: Coalesce::new(1, move |arns| each(listeners.clone(), arns, listeners_of)),
            rules: Coalesce::new(1, move |arns| each(rules.clone(), arns, rules_of)),
            // As many as one call takes: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
            tags: Coalesce::new(20, move |arns| tags(describe.clone(), arns)),
            api,
        }
    }

    /// The ARNs and tags of all load balancers and target groups.
    pub(crate) async fn tagged(&self) -> Result<Vec<(String, Tags)>, Error> {
        let balancers = self.api.describe_load_balancers().into_paginator().items().send();
        let balancers = balancers.collect::<Result<Vec<_>, _>>().await;
        let balancers = balancers.call("elasticloadbalancing:DescribeLoadBalancers")?;
        let groups = self.api.describe_target_groups().into_paginator().items().send();
        let groups = groups.collect::<Result<Vec<_>, _>>().await;
        let groups = groups.call("elasticloadbalancing:DescribeTargetGroups")?;
        let arns = balancers.into_iter().filter_map(|b| b.load_balancer_arn);
        let arns = arns.chain(groups.into_iter().filter_map(|g| g.target_group_arn));
        let looks =
            arns.map(|arn| async { Ok((arn.clone(), self.tags.get(arn).await?.unwrap_or_default())) });
        futures::future::try_join_all(looks).await
    }

    /// `thing`, which is at `arn`, with its tags. They are `confirmed` where the index of tags has for `recorded`, which
    /// is the same thing, what the last apply left.
    pub(crate) async fn with_tags<T>(
        &self,
        thing: T,
        arn: Option<&str>,
        recorded: Option<&Arn>,
        confirmed: Option<Tags>,
    ) -> Result<Tagged<T>, Error> {
        let arn = arn.unwrap_or_default();
        let confirmed = confirmed.filter(|_| recorded.is_some_and(|recorded| recorded.as_str() == arn));
        let tags = match confirmed {
            Some(tags) => tags,
            None => self.tags.get(arn.to_owned()).await?.unwrap_or_default(),
        };
        Ok(Tagged { thing, tags })
    }

    /// Writes `steps` of tags to the thing at `arn`.
    pub(crate) async fn tag(
        &self,
        arn: &str,
        steps: causeway_core::resource::TagSteps<'_>,
    ) -> Result<(), Error> {
        if !steps.set.is_empty() {
            let tags =
                steps.set.into_iter().map(|(k, v)| sdk::Tag::builder().key(k).value(v).build()).collect();
            self.add_tags()
                .resource_arns(arn)
                .set_tags(Some(tags))
                .send()
                .await
                .call("elasticloadbalancing:AddTags")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.into_iter().map(str::to_owned).collect();
            self.remove_tags()
                .resource_arns(arn)
                .set_tag_keys(Some(keys))
                .send()
                .await
                .call("elasticloadbalancing:RemoveTags")?;
        }
        Ok(())
    }
}

impl Deref for Elbv2 {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.api
    }
}

/// Tags in the words of the SDK, for a create.
pub(crate) fn sdk_tags(tags: &Tags) -> Option<Vec<sdk::Tag>> {
    let tags: Vec<_> = tags.iter().map(|(k, v)| sdk::Tag::builder().key(k).value(v).build()).collect();
    // An empty list is refused.
    (!tags.is_empty()).then_some(tags)
}

async fn load_balancers(
    api: Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, sdk::LoadBalancer>, Error> {
    let all = api.describe_load_balancers().into_paginator().items().send();
    let all = all.collect::<Result<Vec<_>, _>>().await.call("elasticloadbalancing:DescribeLoadBalancers")?;
    let named = all.into_iter().filter_map(|b| Some((b.load_balancer_name.clone()?, b)));
    Ok(named.filter(|(name, _)| names.contains(name)).collect())
}

async fn target_groups(
    api: Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, sdk::TargetGroup>, Error> {
    let all = api.describe_target_groups().into_paginator().items().send();
    let all = all.collect::<Result<Vec<_>, _>>().await.call("elasticloadbalancing:DescribeTargetGroups")?;
    let named = all.into_iter().filter_map(|g| Some((g.target_group_name.clone()?, g)));
    Ok(named.filter(|(name, _)| names.contains(name)).collect())
}

/// Asks `of` for each parent in turn; a parent that is gone has no answer.
async fn each<T, F, Fut>(
    api: Client,
    parents: BTreeSet<String>,
    of: F,
) -> Result<BTreeMap<String, Vec<T>>, Error>
where
    F: Fn(Client, String) -> Fut,
    Fut: Future<Output = Result<Option<Vec<T>>, Error>>,
{
    let mut out = BTreeMap::new();
    for parent in parents {
        if let Some(found) = of(api.clone(), parent.clone()).await? {
            out.insert(parent, found);
        }
    }
    Ok(out)
}

async fn listeners_of(api: Client, balancer: String) -> Result<Option<Vec<Certified>>, Error> {
    let all = api.describe_listeners().load_balancer_arn(balancer).into_paginator().items().send();
    let all =
        all.collect::<Result<Vec<_>, _>>().await.call("elasticloadbalancing:DescribeListeners").found()?;
    let Some(all) = all else { return Ok(None) };
    let mut listeners = Vec::new();
    for listener in all {
        let additional = match (listener.protocol(), listener.listener_arn()) {
            (Some(sdk::ProtocolEnum::Https), Some(arn)) => additional_certificates(&api, arn).await?,
            _ => vec![],
        };
        listeners.push(Certified { listener, additional });
    }
    Ok(Some(listeners))
}

async fn additional_certificates(api: &Client, listener: &str) -> Result<Vec<String>, Error> {
    let all = api.describe_listener_certificates().listener_arn(listener).into_paginator().items().send();
    let all = all.collect::<Result<Vec<_>, _>>().await;
    Ok(all
        .call("elasticloadbalancing:DescribeListenerCertificates")
        .map_err(gone_meanwhile)?
        .into_iter()
        .filter(|c| c.is_default != Some(true))
        .filter_map(|c| c.certificate_arn)
        .collect())
}

async fn rules_of(api: Client, listener: String) -> Result<Option<Vec<sdk::Rule>>, Error> {
    let all = api.describe_rules().listener_arn(listener).into_paginator().items().send();
    let all = all.collect::<Result<Vec<_>, _>>().await.call("elasticloadbalancing:DescribeRules").found()?;
    Ok(all.map(|all| all.into_iter().filter(|r| r.is_default != Some(true)).collect()))
}

async fn tags(api: Client, arns: BTreeSet<String>) -> Result<BTreeMap<String, Tags>, Error> {
    let answer = api.describe_tags().set_resource_arns(Some(arns.into_iter().collect())).send().await;
    let answer = answer.call("elasticloadbalancing:DescribeTags").map_err(gone_meanwhile)?;
    let tags = answer.tag_descriptions.unwrap_or_default().into_iter().map(|one| {
        let pairs = one.tags.unwrap_or_default().into_iter();
        let pairs = pairs.filter_map(|t| Some((t.key?, t.value.unwrap_or_default())));
        (one.resource_arn.unwrap_or_default(), Tags::live(pairs))
    });
    Ok(tags.collect())
}

/// One of many was deleted between two calls. "Not found" would be told to all who share the call, so they look again.
fn gone_meanwhile(error: Error) -> Error {
    match error {
        Error::Call { call, class: Class::NotFound, source } => {
            Error::Call { call, class: Class::Transient, source }
        }
        other => other,
    }
}

/// What follows `kind/` or stands for it in an ARN of this service: `app/web/0123` of a load balancer,
/// `targetgroup/web/0123` of a target group. CloudWatch's dimensions want it so.
pub(crate) fn full_name(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').last().unwrap_or(arn);
    resource.strip_prefix("loadbalancer/").unwrap_or(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_are_the_dimensions_of_cloudwatch() {
        let arn = "arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/app/web/50dc6c495c0c9188";
        assert_eq!(full_name(arn), "app/web/50dc6c495c0c9188");
        let arn = "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2d6bc24d8a067";
        assert_eq!(full_name(arn), "targetgroup/web/73e2d6bc24d8a067");
    }

    #[test]
    fn a_thing_that_vanished_between_two_calls_is_looked_for_again() {
        let error = Error::Call { call: "x", class: Class::NotFound, source: "gone".into() };
        assert_eq!(gone_meanwhile(error).class(), Class::Transient);
        let error = Error::Call { call: "x", class: Class::Denied, source: "no".into() };
        assert_eq!(gone_meanwhile(error).class(), Class::Denied);
    }
}
