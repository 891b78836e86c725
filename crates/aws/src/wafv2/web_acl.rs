//! <https://docs.aws.amazon.com/waf/latest/APIReference/API_CreateWebACL.html>

use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_wafv2::types as sdk;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// Who makes the rule groups that we use.
const VENDOR: &str = "AWS";
/// The rule of the limit of requests; it comes before all groups.
const RATE_LIMIT: &str = "rate-limit";
/// The seconds that requests are counted over, AWS's own default.
const WINDOW: i64 = 300;

/// Rules for requests, for resources of a region. What no rule blocks is let through.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WebAcl {
    /// Unique in the account and region.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Groups of rules that AWS keeps, in the order in which they are asked.
    #[serde(default)]
    pub managed_rule_groups: Vec<ManagedRuleGroup>,
    /// How many requests one address may make in five minutes before it is blocked, at least 10. `None`: any number.
    #[serde(default)]
    pub rate_limit: Option<u32>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A group of rules that AWS keeps.
/// <https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedRuleGroup {
    /// Like `AWSManagedRulesCommonRuleSet`.
    pub name: String,
    /// Rules of it that only count what they would block.
    #[serde(default)]
    pub count: Set<String>,
}

impl ManagedRuleGroup {
    /// The common rule set, which lets large bodies through: it would block every body above 8 KB, like the upload
    /// of a template.
    pub fn common() -> Self {
        ManagedRuleGroup {
            name: "AWSManagedRulesCommonRuleSet".into(),
            count: ["SizeRestrictions_BODY"].into_iter().collect(),
        }
    }
}

outputs! {
    /// What a web ACL tells others.
    pub struct WebAclOutputs => WebAclRefs {
        /// `arn:aws:wafv2:..:regional/webacl/<name>/<id>`
        pub arn: Arn,
        /// A UUID.
        pub id: String,
        /// Its name, as it was generated.
        pub name: String,
    }
}

impl Resource for WebAcl {
    const KIND: &'static str = "aws.wafv2.web_acl";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = WebAclOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        let Some(id) = self.find(cx, &name).await? else { return Ok(None) };
        let Some((acl, _)) = self.look(cx, &name, &id).await? else { return Ok(None) };
        let tags = cx.client.wafv2.list_tags_for_resource().resource_arn(&acl.arn).send().await;
        // Gone between the two calls.
        let Some(tags) = tags.call("wafv2:ListTagsForResource").found()? else { return Ok(None) };
        let tags = tags.tag_info_for_resource.and_then(|t| t.tag_list).unwrap_or_default();
        let mut live = live(acl, Tags::live(tags.into_iter().map(|t| (t.key, t.value))));
        live.spec.name = self.name.live(cx.instance, &live.outputs.name);
        live.spec.description = shown(self.description.as_ref(), live.spec.description, String::new());
        live.spec.rate_limit = shown(self.rate_limit.as_ref(), live.spec.rate_limit, 0);
        Ok(Some(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        cx.client
            .wafv2
            .create_web_acl()
            .scope(sdk::Scope::Regional)
            .default_action(allow())
            .set_description(self.description.clone())
            .set_rules(Some(self.rules()?))
            .visibility_config(visibility(&name)?)
            .set_tags(sdk_tags(self.tags.iter())?)
            .name(name)
            .send()
            .await
            .call("wafv2:CreateWebACL")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let (wafv2, out) = (&cx.client.wafv2, &live.outputs);
        if ["description", "managed_rule_groups", "rate_limit"].iter().any(|f| diff.touches(f)) {
            // The lock is that of now: a change by somebody else in between makes the call fail, and we look again.
            let Some((_, lock)) = self.look(cx, &out.name, &out.id).await? else { return Ok(()) };
            let unmanaged = live.spec.description.clone().filter(|_| !diff.touches("description"));
            wafv2
                .update_web_acl()
                .name(&out.name)
                .id(&out.id)
                .scope(sdk::Scope::Regional)
                .default_action(allow())
                .set_description(self.description.clone().or(unmanaged))
                .set_rules(Some(self.rules()?))
                .visibility_config(visibility(&out.name)?)
                .lock_token(lock)
                .send()
                .await
                .call("wafv2:UpdateWebACL")?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if let Some(tags) = sdk_tags(steps.set.into_iter())? {
            let answer =
                wafv2.tag_resource().resource_arn(out.arn.as_str()).set_tags(Some(tags)).send().await;
            answer.call("wafv2:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.into_iter().map(str::to_owned).collect();
            let answer =
                wafv2.untag_resource().resource_arn(out.arn.as_str()).set_tag_keys(Some(keys)).send().await;
            answer.call("wafv2:UntagResource")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let out = &live.outputs;
        let Some((_, lock)) = self.look(cx, &out.name, &out.id).await? else { return Ok(()) };
        cx.client
            .wafv2
            .delete_web_acl()
            .name(&out.name)
            .id(&out.id)
            .scope(sdk::Scope::Regional)
            .lock_token(lock)
            .send()
            .await
            .call("wafv2:DeleteWebACL")
            .found()?;
        Ok(())
    }
}

impl WebAcl {
    async fn find(&self, cx: &Cx<'_, Self>, name: &str) -> Result<Option<String>, Error> {
        let mut next = None;
        loop {
            let page = cx
                .client
                .wafv2
                .list_web_acls()
                .scope(sdk::Scope::Regional)
                .limit(100)
                .set_next_marker(next)
                .send()
                .await
                .call("wafv2:ListWebACLs")?;
            let all = page.web_acls.unwrap_or_default();
            // Some answers carry a marker at the end too, behind which there is nothing.
            let last = all.is_empty() || page.next_marker.is_none();
            if let Some(found) = all.into_iter().find(|a| a.name.as_deref() == Some(name)) {
                return Ok(found.id);
            }
            if last {
                return Ok(None);
            }
            next = page.next_marker;
        }
    }

    /// The web ACL, and the lock that a change of it has to show.
    async fn look(
        &self,
        cx: &Cx<'_, Self>,
        name: &str,
        id: &str,
    ) -> Result<Option<(sdk::WebAcl, String)>, Error> {
        let answer = cx.client.wafv2.get_web_acl().name(name).id(id).scope(sdk::Scope::Regional).send().await;
        let answer = answer.call("wafv2:GetWebACL").found()?;
        Ok(answer.and_then(|a| Some((a.web_acl?, a.lock_token?))))
    }

    fn rules(&self) -> Result<Vec<sdk::Rule>, Error> {
        let mut rules = Vec::new();
        if let Some(limit) = self.rate_limit {
            let statement = sdk::RateBasedStatement::builder()
                .limit(i64::from(limit))
                .evaluation_window_sec(WINDOW)
                .aggregate_key_type(sdk::RateBasedStatementAggregateKeyType::Ip)
                .build()
                .map_err(wrong)?;
            rules.push(
                sdk::Rule::builder()
                    .name(RATE_LIMIT)
                    .priority(0)
                    .statement(sdk::Statement::builder().rate_based_statement(statement).build())
                    .action(sdk::RuleAction::builder().block(sdk::BlockAction::builder().build()).build())
                    .visibility_config(visibility(RATE_LIMIT)?)
                    .build()
                    .map_err(wrong)?,
            );
        }
        for (priority, group) in (1..).zip(&self.managed_rule_groups) {
            rules.push(group.rule(priority)?);
        }
        Ok(rules)
    }
}

impl ManagedRuleGroup {
    fn rule(&self, priority: i32) -> Result<sdk::Rule, Error> {
        let mut statement = sdk::ManagedRuleGroupStatement::builder().vendor_name(VENDOR).name(&self.name);
        for rule in self.count.get()? {
            let count = sdk::RuleAction::builder().count(sdk::CountAction::builder().build()).build();
            let only = sdk::RuleActionOverride::builder().name(rule).action_to_use(count).build();
            statement = statement.rule_action_overrides(only.map_err(wrong)?);
        }
        let statement = statement.build().map_err(wrong)?;
        sdk::Rule::builder()
            .name(&self.name)
            .priority(priority)
            .statement(sdk::Statement::builder().managed_rule_group_statement(statement).build())
            // The actions of the group stay as they are.
            .override_action(sdk::OverrideAction::builder().none(sdk::NoneAction::builder().build()).build())
            .visibility_config(visibility(&self.name)?)
            .build()
            .map_err(wrong)
    }
}

fn allow() -> sdk::DefaultAction {
    sdk::DefaultAction::builder().allow(sdk::AllowAction::builder().build()).build()
}

/// Counts under `metric` in CloudWatch, and keeps samples of requests for the console.
fn visibility(metric: &str) -> Result<sdk::VisibilityConfig, Error> {
    sdk::VisibilityConfig::builder()
        .sampled_requests_enabled(true)
        .cloud_watch_metrics_enabled(true)
        .metric_name(metric)
        .build()
        .map_err(wrong)
}

fn sdk_tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Option<Vec<sdk::Tag>>, Error> {
    let tags = tags.map(|(k, v)| sdk::Tag::builder().key(k).value(v).build());
    let tags = tags.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    // An empty list is refused.
    Ok((!tags.is_empty()).then_some(tags))
}

fn wrong(error: aws_sdk_wafv2::error::BuildError) -> Error {
    Error::Invalid(error.to_string())
}

/// Rules that we do not make show up as groups of their name, so that they differ from what is wanted.
fn live(acl: sdk::WebAcl, tags: Tags) -> Live<WebAcl> {
    let mut rules = acl.rules.unwrap_or_default();
    rules.sort_by_key(|r| r.priority);
    let mut rate_limit = None;
    let mut groups = Vec::new();
    for rule in rules {
        let statement = rule.statement.unwrap_or_else(|| sdk::Statement::builder().build());
        match (statement.rate_based_statement, statement.managed_rule_group_statement) {
            (Some(limit), _) if rule.name == RATE_LIMIT => rate_limit = u32::try_from(limit.limit).ok(),
            (_, Some(group)) => groups.push(ManagedRuleGroup {
                name: group.name,
                count: group
                    .rule_action_overrides
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|o| o.action_to_use.as_ref().is_some_and(|a| a.count.is_some()))
                    .map(|o| Value::Known(o.name))
                    .collect(),
            }),
            _ => groups.push(ManagedRuleGroup { name: rule.name, count: Set::default() }),
        }
    }
    Live {
        outputs: WebAclOutputs { arn: acl.arn.into(), id: acl.id, name: acl.name.clone() },
        status: Status::Ready,
        owner: tags.owner(),
        spec: WebAcl {
            name: Name::Fixed(acl.name),
            description: acl.description,
            managed_rule_groups: groups,
            rate_limit,
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> WebAcl {
        WebAcl {
            name: "web".into(),
            description: None,
            managed_rule_groups: vec![
                ManagedRuleGroup::common(),
                ManagedRuleGroup {
                    name: "AWSManagedRulesKnownBadInputsRuleSet".into(),
                    count: Set::default(),
                },
            ],
            rate_limit: Some(2000),
            tags: Tags::default(),
        }
    }

    fn acl(rules: Vec<sdk::Rule>) -> sdk::WebAcl {
        sdk::WebAcl::builder().name("web").id("1").arn("arn:web").set_rules(Some(rules)).build().unwrap()
    }

    #[test]
    fn rules_survive_the_way_to_aws_and_back() {
        let mut rules = sample().rules().unwrap();
        rules.reverse();
        let live = live(acl(rules), Tags::default());
        assert_eq!(serde_json::to_value(&live.spec).unwrap(), serde_json::to_value(sample()).unwrap());
    }

    #[test]
    fn a_rule_of_somebody_else_is_seen() {
        let mut rules = sample().rules().unwrap();
        let theirs =
            sdk::Rule::builder().name("theirs").priority(9).visibility_config(visibility("x").unwrap());
        rules.push(theirs.build().unwrap());
        assert_eq!(live(acl(rules), Tags::default()).spec.managed_rule_groups.len(), 3);
    }
}
