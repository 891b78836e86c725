//! A security group: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html>

use super::{
    Spreads, live_tags,
    lookup::{Described, PAGE},
    security_group_rule::{SecurityGroupRule, default_egress, everything_out},
    standing, tagged,
};
use crate::{
    Aws, Call,
    id::{SecurityGroupId, VpcId},
};
use aws_sdk_ec2::{
    Client,
    error::ProvideErrorMetadata,
    types::{self, Filter, ResourceType, Tag},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff,
    error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// A group of network interfaces that share rules. The rules are resources of their own:
/// [`SecurityGroupRule`](super::SecurityGroupRule).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Unique in the network.
    pub name: Name,
    /// For people. AWS wants one and never lets it change.
    pub description: String,
    /// The network.
    pub vpc_id: Value<VpcId>,
    /// Whether the rule stays that AWS puts into every new group: anything may leave for anywhere. AWS leaves it
    /// without tags, so it is told apart from a rule of ours that says the same.
    #[serde(default)]
    pub default_egress: bool,
    /// Rules that no stack of ours made and this one does not want either, in words. `Some` of nothing: none may stay, so
    /// a port that somebody opened is seen and closed. `None`: others may add rules, as the controllers of a cluster do.
    #[serde(default)]
    pub foreign_rules: Option<Set<String>>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a security group tells others.
    pub struct SecurityGroupOutputs => SecurityGroupRefs {
        /// `sg-..`
        pub security_group_id: SecurityGroupId,
    }
}

impl SecurityGroup {
    /// A group without rules: nothing comes in and nothing goes out before rules say so.
    pub fn new(name: impl Into<Name>, description: impl Into<String>, vpc_id: Value<VpcId>) -> Self {
        SecurityGroup {
            name: name.into(),
            description: description.into(),
            vpc_id,
            default_egress: false,
            foreign_rules: Some(Set::default()),
            tags: Tags::default(),
        }
    }
}

impl Resource for SecurityGroup {
    const KIND: &'static str = "aws.ec2.security_group";
    const RECOVERY: Recovery = Recovery::Name(&["name", "vpc_id"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("security_group_id");
    const KEEPS: &'static [&'static str] = &["description"];
    const REPLACE: &'static [&'static str] = &["name", "description", "vpc_id"];
    const PARTS: Option<&'static str> = Some(SecurityGroupRule::KIND);
    // Interfaces of load balancers and tasks hold a group for minutes after those are gone.
    const TIMING: Timing = Timing::seconds(3, 2, 1200);
    type Client = Aws;
    type Outputs = SecurityGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ec2 = &cx.client.ec2;
        let rules_of = |group: &str| ec2.rules_of_group.get(group.to_owned());
        let (found, rules) = match &cx.recorded {
            // Together, so that the look-up of the rules is shared with the rules that are resources of their own.
            Some(recorded) => {
                let id = recorded.security_group_id.as_str();
                futures::future::try_join(self.described(cx, id), rules_of(id)).await?
            }
            None => {
                let vpc = self.vpc_id.get()?;
                let found = ec2.security_groups.within(vpc.as_str(), &cx.name(&self.name)).await?;
                let Some(group) = found else { return Ok(None) };
                let rules = rules_of(group.group_id().unwrap_or_default()).await?;
                (Some(group), rules)
            }
        };
        let Some(group) = found else { return Ok(None) };
        let name = self.name.live(cx.instance, group.group_name().unwrap_or_default());
        Ok(Some(live(&group, name, &rules.unwrap_or_default())))
    }

    /// Leaves the rule that AWS adds to `update`, which sees it as a difference in `default_egress`; so a crash in
    /// between is no special case, and nothing can be in the group before that.
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .ec2
            .create_security_group()
            .group_name(cx.name(&self.name))
            .description(&self.description)
            .vpc_id(self.vpc_id.get()?.as_str())
            .set_tag_specifications(tagged(ResourceType::SecurityGroup, &self.tags))
            .send()
            .await
            .call("ec2:CreateSecurityGroup")
            .not_yet()?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let ec2 = &cx.client.ec2;
        let id = live.outputs.security_group_id.as_str();
        if diff.touches("default_egress") && self.default_egress {
            let request = ec2.authorize_security_group_egress().group_id(id);
            match request.ip_permissions(everything_out()).send().await {
                // By an earlier try whose answer was lost.
                Err(e) if e.code() == Some("InvalidPermission.Duplicate") => {}
                made => drop(made.call("ec2:AuthorizeSecurityGroupEgress").not_yet()?),
            }
        } else if diff.touches("default_egress") {
            let rules = ec2.rules_of_group.get(id.to_owned()).await?.unwrap_or_default();
            let unwanted = default_egress(&rules);
            if !unwanted.is_empty() {
                let request = ec2.revoke_security_group_egress().group_id(id);
                let request = request.set_security_group_rule_ids(Some(unwanted));
                request.send().await.call("ec2:RevokeSecurityGroupEgress").found()?;
            }
        }
        if diff.touches("foreign_rules") && self.foreign_rules.is_some() {
            let rules = ec2.rules_of_group.get(id.to_owned()).await?.unwrap_or_default();
            let told = live.spec.foreign_rules.as_ref().map(Set::get).transpose()?.unwrap_or_default();
            let (outward, inward): (Vec<_>, Vec<_>) = foreign(&rules)
                .into_iter()
                .filter(|rule| told.contains(&in_words(rule)))
                .partition(|r| r.is_egress() == Some(true));
            let ids = |rules: Vec<&types::SecurityGroupRule>| -> Vec<String> {
                rules.iter().filter_map(|r| r.security_group_rule_id().map(str::to_owned)).collect()
            };
            if !inward.is_empty() {
                let request = ec2.revoke_security_group_ingress().group_id(id);
                let request = request.set_security_group_rule_ids(Some(ids(inward)));
                request.send().await.call("ec2:RevokeSecurityGroupIngress").found()?;
            }
            if !outward.is_empty() {
                let request = ec2.revoke_security_group_egress().group_id(id);
                let request = request.set_security_group_rule_ids(Some(ids(outward)));
                request.send().await.call("ec2:RevokeSecurityGroupEgress").found()?;
            }
        }
        ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    fn leave_out(spec: &mut Self, part: &Json) {
        if let (Some(rules), Some(id)) = (&mut spec.foreign_rules, part.get("security_group_rule_id")) {
            let marked = marked(id.as_str().unwrap_or_default());
            rules.0.retain(|rule| !rule.get().is_ok_and(|words| words.ends_with(&marked)));
        }
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.security_group_id.as_str();
        cx.client.ec2.delete_security_group().group_id(id).send().await.call("ec2:DeleteSecurityGroup")?;
        Ok(())
    }
}

impl SecurityGroup {
    /// Any rule shows that its group is there, and no group gets another name, description or network, so a survey need
    /// not ask for it.
    async fn described(&self, cx: &Cx<'_, Self>, id: &str) -> Result<Option<types::SecurityGroup>, Error> {
        let ec2 = &cx.client.ec2;
        let has_rules = async { Ok(ec2.rules_of_group.get(id.to_owned()).await?.is_some()) };
        let (Some(tags), Ok(vpc)) = (standing::tags(cx, id, has_rules).await?, self.vpc_id.get()) else {
            return ec2.security_groups.by_id(id).await;
        };
        let group = types::SecurityGroup::builder().group_id(id).group_name(cx.name(&self.name));
        let group = group.description(&self.description).vpc_id(vpc.as_str());
        Ok(Some(group.set_tags(Some(tags)).build()))
    }
}

impl Described for types::SecurityGroup {
    const ID: &'static str = "group-id";
    const WITHIN: Option<[&'static str; 2]> = Some(["vpc-id", "group-name"]);
    fn id(&self) -> Option<&str> {
        self.group_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    fn within(&self) -> Option<[&str; 2]> {
        Some([self.vpc_id()?, self.group_name()?])
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_security_groups().set_filters(Some(filters)).max_results(PAGE);
        request.into_paginator().items().send().try_collect().await.call("ec2:DescribeSecurityGroups")
    }
}

/// Rules that carry no tag of ours, but for those of AWS's making.
fn foreign(rules: &[types::SecurityGroupRule]) -> Vec<&types::SecurityGroupRule> {
    let defaults = default_egress(rules);
    let is_default = |r: &types::SecurityGroupRule| {
        defaults.iter().any(|id| r.security_group_rule_id() == Some(id.as_str()))
    };
    let is_ours = |r: &types::SecurityGroupRule| r.tags().iter().any(|t| t.key() == Some(Tags::STACK));
    rules.iter().filter(|r| !is_ours(r) && !is_default(r)).collect()
}

/// `ingress tcp 22 from 0.0.0.0/0 (sgr-1)`
pub(super) fn in_words(rule: &types::SecurityGroupRule) -> String {
    let (direction, word) =
        if rule.is_egress() == Some(true) { ("egress", "to") } else { ("ingress", "from") };
    let protocol = match rule.ip_protocol() {
        Some("-1") | None => "everything",
        Some(protocol) => protocol,
    };
    let ports = match (rule.from_port(), rule.to_port()) {
        (Some(-1) | None, _) | (_, None) => String::new(),
        (Some(from), Some(to)) if from == to => format!(" {from}"),
        (Some(from), Some(to)) => format!(" {from}-{to}"),
    };
    let group = rule.referenced_group_info().and_then(|g| g.group_id());
    let peer = rule.cidr_ipv4().or(rule.cidr_ipv6()).or(rule.prefix_list_id()).or(group);
    let id = rule.security_group_rule_id().unwrap_or_default();
    format!("{direction} {protocol}{ports} {word} {}{}", peer.unwrap_or("somewhere"), marked(id))
}

/// How the words on a rule end: two that say the same are still two.
fn marked(id: &str) -> String {
    format!(" ({id})")
}

fn live(group: &types::SecurityGroup, name: Name, rules: &[types::SecurityGroupRule]) -> Live<SecurityGroup> {
    let tags = live_tags(group.tags());
    Live {
        outputs: SecurityGroupOutputs { security_group_id: group.group_id().unwrap_or_default().into() },
        status: Status::Ready,
        owner: tags.owner(),
        spec: SecurityGroup {
            name,
            description: group.description().unwrap_or_default().to_owned(),
            vpc_id: VpcId::from(group.vpc_id().unwrap_or_default()).into(),
            default_egress: !default_egress(rules).is_empty(),
            foreign_rules: Some(foreign(rules).into_iter().map(in_words).collect()),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(id: &str) -> types::builders::SecurityGroupRuleBuilder {
        types::SecurityGroupRule::builder()
            .security_group_rule_id(id)
            .is_egress(true)
            .ip_protocol("-1")
            .cidr_ipv4("0.0.0.0/0")
    }

    #[test]
    fn the_rule_of_aws_is_told_apart_from_ours() {
        let ours = egress("sgr-ours").tags(Tag::builder().key(Tags::INSTANCE).value("i").build()).build();
        let narrow = egress("sgr-narrow").cidr_ipv4("10.0.0.0/8").build();
        let rules = [egress("sgr-aws").build(), ours, narrow];
        assert_eq!(default_egress(&rules), ["sgr-aws"]);
        let group = types::SecurityGroup::builder().group_id("sg-1").group_name("web").build();
        assert!(live(&group, "web".into(), &rules).spec.default_egress);
        assert!(!live(&group, "web".into(), &rules[1..]).spec.default_egress);
    }

    #[test]
    fn what_the_stack_wants_is_not_foreign_whoever_made_it() {
        let rule = |id: &str, port| {
            let rule = types::SecurityGroupRule::builder().security_group_rule_id(id).ip_protocol("tcp");
            rule.from_port(port).to_port(port).cidr_ipv4("0.0.0.0/0").build()
        };
        let group = types::SecurityGroup::builder().group_id("sg-1").group_name("web").build();
        let mut spec = live(&group, "web".into(), &[rule("sgr-1", 443), rule("sgr-11", 443)]).spec;
        SecurityGroup::leave_out(&mut spec, &serde_json::json!({ "security_group_rule_id": "sgr-1" }));
        let foreign = spec.foreign_rules.unwrap().get().unwrap();
        assert_eq!(foreign, ["ingress tcp 443 from 0.0.0.0/0 (sgr-11)"]);
    }

    #[test]
    fn a_group_is_empty_unless_it_says_otherwise() {
        let group: SecurityGroup = serde_json::from_value(serde_json::json!({
            "name": "web", "description": "web", "vpc_id": "vpc-1"
        }))
        .unwrap();
        assert!(!group.default_egress);
    }
}
