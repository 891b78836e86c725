//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateRule.html>

use super::{Action, Tagged, sdk_tags};
use crate::{Aws, Call, id::Arn};
use aws_sdk_elasticloadbalancingv2::types::{self as sdk, builders::RuleConditionBuilder as Builder};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a listener does with some requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListenerRule {
    /// The listener.
    pub listener_arn: Value<Arn>,
    /// 1 to 50000; the lowest that fits a request wins. One rule each.
    pub priority: u16,
    /// Which requests.
    pub conditions: Conditions,
    /// What is done with them.
    pub action: Action,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// Which requests a rule takes: those that fit every condition that is set, each by any of its values. An empty one
/// is not set. Values may hold `*` and `?`, except methods and addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Host names, like `*.coder.example.com`.
    pub host_header: Set<String>,
    /// Paths, like `/api/*`.
    pub path_pattern: Set<String>,
    /// Methods, in capitals.
    pub http_request_method: Set<String>,
    /// Addresses of clients as CIDR blocks.
    pub source_ip: Set<String>,
    /// `key=value`, or only `value` for any key.
    pub query_string: Set<String>,
    /// Values by the name of their header; at most 5 values over all conditions of a rule.
    pub http_header: BTreeMap<String, Set<String>>,
}

impl Conditions {
    /// Requests for these hosts.
    pub fn hosts<V: Into<Value<String>>>(hosts: impl IntoIterator<Item = V>) -> Self {
        Conditions { host_header: hosts.into_iter().collect(), ..Self::default() }
    }

    /// Requests for these paths.
    pub fn paths<V: Into<Value<String>>>(paths: impl IntoIterator<Item = V>) -> Self {
        Conditions { path_pattern: paths.into_iter().collect(), ..Self::default() }
    }
}

outputs! {
    /// What a rule tells others.
    pub struct ListenerRuleOutputs => ListenerRuleRefs {
        /// `arn:aws:elasticloadbalancing:..:listener-rule/app/<name>/<id>/<id>/<id>`
        pub arn: Arn,
    }
}

impl Resource for ListenerRule {
    const KIND: &'static str = "aws.elbv2.listener_rule";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["listener_arn", "priority"]);
    const REPLACE: &'static [&'static str] = &["listener_arn", "priority"];
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = ListenerRuleOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let listener = self.listener_arn.get()?;
        let elbv2 = &cx.client.elbv2;
        let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (all, confirmed) = tokio::join!(
            elbv2.rules.get(listener.0.clone()),
            cx.client.tag_index.confirms(cx, recorded, &self.tags)
        );
        let priority = self.priority.to_string();
        let ours = |r: &sdk::Rule| r.priority.as_ref() == Some(&priority);
        let Some(found) = all?.unwrap_or_default().into_iter().find(ours) else { return Ok(None) };
        let arn = found.rule_arn.clone();
        let found = elbv2.with_tags(found, arn.as_deref(), recorded, confirmed).await?;
        Ok(Some(live(self, listener, found)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .elbv2
            .create_rule()
            .listener_arn(self.listener_arn.get()?.as_str())
            .priority(i32::from(self.priority))
            .set_conditions(Some(self.conditions.sdk()?))
            .actions(self.action.sdk()?)
            .set_tags(sdk_tags(&self.tags))
            .send()
            .await
            .call("elasticloadbalancing:CreateRule")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let (elbv2, arn) = (&cx.client.elbv2, live.outputs.arn.as_str());
        let (conditions, action) = (diff.touches("conditions"), diff.touches("action"));
        if conditions || action {
            // Each alone: what is left to others must not be written because of the other field.
            let there = if action { self.there(cx).await? } else { vec![] };
            let action = action.then(|| self.action.sdk_over(&there)).transpose()?;
            elbv2
                .modify_rule()
                .rule_arn(arn)
                .set_conditions(conditions.then(|| self.conditions.sdk()).transpose()?)
                .set_actions(action.map(|action| vec![action]))
                .send()
                .await
                .call("elasticloadbalancing:ModifyRule")?;
        }
        elbv2.tag(arn, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let answer = cx.client.elbv2.delete_rule().rule_arn(live.outputs.arn.as_str()).send().await;
        answer.call("elasticloadbalancing:DeleteRule").found()?;
        Ok(())
    }
}

impl ListenerRule {
    /// The actions that the rule has now.
    async fn there(&self, cx: &Cx<'_, Self>) -> Result<Vec<sdk::Action>, Error> {
        let all = cx.client.elbv2.rules.get(self.listener_arn.get()?.0.clone()).await?.unwrap_or_default();
        let priority = self.priority.to_string();
        let ours = all.into_iter().find(|r| r.priority.as_ref() == Some(&priority));
        Ok(ours.and_then(|r| r.actions).unwrap_or_default())
    }
}

impl Conditions {
    fn sdk(&self) -> Result<Vec<sdk::RuleCondition>, Error> {
        let mut out = Vec::new();
        let mut push = |field: &str, fill: &dyn Fn(Builder) -> Builder| {
            out.push(fill(sdk::RuleCondition::builder().field(field)).build());
        };
        if let Some(values) = some(&self.host_header)? {
            push("host-header", &|c| {
                c.host_header_config(
                    sdk::HostHeaderConditionConfig::builder().set_values(Some(values.clone())).build(),
                )
            });
        }
        if let Some(values) = some(&self.path_pattern)? {
            push("path-pattern", &|c| {
                c.path_pattern_config(
                    sdk::PathPatternConditionConfig::builder().set_values(Some(values.clone())).build(),
                )
            });
        }
        if let Some(values) = some(&self.http_request_method)? {
            push("http-request-method", &|c| {
                c.http_request_method_config(
                    sdk::HttpRequestMethodConditionConfig::builder().set_values(Some(values.clone())).build(),
                )
            });
        }
        if let Some(values) = some(&self.source_ip)? {
            push("source-ip", &|c| {
                c.source_ip_config(
                    sdk::SourceIpConditionConfig::builder().set_values(Some(values.clone())).build(),
                )
            });
        }
        if let Some(values) = some(&self.query_string)? {
            let pairs: Vec<_> = values.iter().map(|text| pair(text)).collect();
            push("query-string", &|c| {
                c.query_string_config(
                    sdk::QueryStringConditionConfig::builder().set_values(Some(pairs.clone())).build(),
                )
            });
        }
        for (name, values) in &self.http_header {
            if let Some(values) = some(values)? {
                push("http-header", &|c| {
                    c.http_header_config(
                        sdk::HttpHeaderConditionConfig::builder()
                            .http_header_name(name)
                            .set_values(Some(values.clone()))
                            .build(),
                    )
                });
            }
        }
        Ok(out)
    }

    fn live(conditions: Vec<sdk::RuleCondition>) -> Self {
        let mut out = Conditions::default();
        for c in conditions {
            // Conditions that were written in the old form show their values only outside of their configuration.
            let old = c.values.unwrap_or_default();
            let values = |new: Option<Vec<String>>| new.filter(|v| !v.is_empty()).unwrap_or(old);
            match c.field.as_deref() {
                Some("host-header") => {
                    let new = c.host_header_config.and_then(|h| h.values);
                    out.host_header = values(new).into_iter().collect();
                }
                Some("path-pattern") => {
                    let new = c.path_pattern_config.and_then(|h| h.values);
                    out.path_pattern = values(new).into_iter().collect();
                }
                Some("http-request-method") => {
                    let new = c.http_request_method_config.and_then(|h| h.values);
                    out.http_request_method = values(new).into_iter().collect();
                }
                Some("source-ip") => {
                    let new = c.source_ip_config.and_then(|h| h.values);
                    out.source_ip = values(new).into_iter().collect();
                }
                Some("query-string") => {
                    let pairs = c.query_string_config.and_then(|q| q.values).unwrap_or_default();
                    out.query_string.0.extend(pairs.into_iter().map(|p| Value::Known(text(p))));
                }
                Some("http-header") => {
                    if let Some(header) = c.http_header_config {
                        let values = header.values.unwrap_or_default().into_iter().collect();
                        out.http_header.insert(header.http_header_name.unwrap_or_default(), values);
                    }
                }
                _ => {}
            }
        }
        out
    }
}

fn some(values: &Set<String>) -> Result<Option<Vec<String>>, Error> {
    let values = values.get()?;
    Ok((!values.is_empty()).then_some(values))
}

fn pair(text: &str) -> sdk::QueryStringKeyValuePair {
    let pair = sdk::QueryStringKeyValuePair::builder();
    match text.split_once('=') {
        Some((key, value)) => pair.key(key).value(value).build(),
        None => pair.value(text).build(),
    }
}

fn text(pair: sdk::QueryStringKeyValuePair) -> String {
    let value = pair.value.unwrap_or_default();
    pair.key.map_or_else(|| value.clone(), |key| format!("{key}={value}"))
}

fn live(wanted: &ListenerRule, listener: &Arn, found: Tagged<sdk::Rule>) -> Live<ListenerRule> {
    let Tagged { thing, tags } = found;
    let mut conditions = Conditions::live(thing.conditions.unwrap_or_default());
    for header in wanted.conditions.http_header.keys() {
        // A header that is not asked for any more must not look as if it could not be seen.
        conditions.http_header.entry(header.clone()).or_default();
    }
    Live {
        outputs: ListenerRuleOutputs { arn: thing.rule_arn.unwrap_or_default().into() },
        status: Status::Ready,
        owner: tags.owner(),
        spec: ListenerRule {
            listener_arn: Value::Known(listener.clone()),
            priority: thing.priority.and_then(|p| p.parse().ok()).unwrap_or_default(),
            conditions,
            action: Action::shown(&wanted.action, &thing.actions.unwrap_or_default()),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_survives_the_way_to_aws_and_back() {
        let conditions = Conditions {
            host_header: ["coder.example.com", "*.coder.example.com"].into_iter().collect(),
            path_pattern: ["/api/*"].into_iter().collect(),
            http_request_method: ["GET"].into_iter().collect(),
            source_ip: ["10.0.0.0/8"].into_iter().collect(),
            query_string: ["version=v1", "*debug*"].into_iter().collect(),
            http_header: [("X-Team".to_owned(), ["a", "b"].into_iter().collect())].into(),
        };
        assert_eq!(Conditions::live(conditions.sdk().unwrap()), conditions);
        assert_eq!(conditions.sdk().unwrap().len(), 6);
    }

    #[test]
    fn an_empty_condition_is_not_sent() {
        assert!(Conditions::default().sdk().unwrap().is_empty());
        assert_eq!(Conditions::paths(["/x"]).sdk().unwrap().len(), 1);
    }

    #[test]
    fn values_in_the_old_form_are_read_too() {
        let old = sdk::RuleCondition::builder().field("path-pattern").values("/old/*").build();
        assert_eq!(Conditions::live(vec![old]), Conditions::paths(["/old/*"]));
    }
}
