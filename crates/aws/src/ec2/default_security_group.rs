//! The security group that comes with a network:
//! <https://docs.aws.amazon.com/vpc/latest/userguide/default-security-group.html>

use super::{Spreads, live_tags, security_group::in_words, security_group_rule::everything_out, standing};
use crate::{
    Aws, Call,
    id::{SecurityGroupId, VpcId},
};
use aws_sdk_ec2::types::{self, IpPermission, UserIdGroupPair};
use causeway_core::{
    Class, Cx, Error, Live, Owner, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff,
    error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// What everything is in that names no group of its own. AWS makes it with the network and removes it with the network:
/// it is taken as it is, its rules are ours, and it stays when it is wanted no more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DefaultSecurityGroup {
    /// The network.
    pub vpc_id: Value<VpcId>,
    /// All its rules. Others are taken away.
    #[serde(default)]
    pub rules: Set<DefaultRule>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

/// A rule that AWS puts into the group, or another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultRule {
    /// Everything comes in from whatever else is in the group.
    FromItself,
    /// Everything goes out to any IPv4 address.
    ToAnywhere,
    /// One that somebody made, in words. Cannot be wanted.
    Other(String),
}

outputs! {
    /// What the group tells others.
    pub struct DefaultSecurityGroupOutputs => DefaultSecurityGroupRefs {
        /// `sg-..`
        pub security_group_id: SecurityGroupId,
    }
}

impl DefaultSecurityGroup {
    /// Without rules: whatever is in it by mistake reaches nothing.
    pub fn emptied(vpc_id: Value<VpcId>) -> Self {
        DefaultSecurityGroup { vpc_id, rules: Set::default(), tags: Tags::default() }
    }

    /// With the two rules that AWS puts into it.
    pub fn as_made(vpc_id: Value<VpcId>) -> Self {
        let rules = Set::from_iter([DefaultRule::FromItself, DefaultRule::ToAnywhere]);
        DefaultSecurityGroup { vpc_id, rules, tags: Tags::default() }
    }
}

impl Resource for DefaultSecurityGroup {
    const KIND: &'static str = "aws.ec2.default_security_group";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["vpc_id"]);
    const REPLACE: &'static [&'static str] = &["vpc_id"];
    const RETAIN: bool = true;
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = DefaultSecurityGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ec2 = &cx.client.ec2;
        let rules_of = |group: &str| ec2.rules_of_group.get(group.to_owned());
        let (found, rules) = match &cx.recorded {
            // Together, so that the look-up of the rules is shared with those of other groups.
            Some(recorded) => {
                let id = recorded.security_group_id.as_str();
                futures::future::try_join(self.described(cx, id), rules_of(id)).await?
            }
            None => {
                let found = ec2.security_groups.within(self.vpc_id.get()?.as_str(), "default").await?;
                let Some(group) = found else { return Ok(None) };
                let rules = rules_of(group.group_id().unwrap_or_default()).await?;
                (Some(group), rules)
            }
        };
        Ok(found.map(|group| live(&group, &rules.unwrap_or_default())))
    }

    /// It comes with the network, and may be seen a little later.
    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        let source = "the group that comes with the network is not there yet".into();
        Err(Error::Call { call: "ec2:DescribeSecurityGroups", class: Class::NotNow, source })
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let ec2 = &cx.client.ec2;
        let id = live.outputs.security_group_id.as_str();
        if diff.touches("rules") {
            let wanted = self.rules.get()?;
            let there = ec2.rules_of_group.get(id.to_owned()).await?.unwrap_or_default();
            let unwanted = |egress: bool| {
                let those = there.iter().filter(move |r| r.is_egress().unwrap_or_default() == egress);
                let those = those.filter(|r| !wanted.contains(&rule(id, r)));
                let ids: Vec<_> =
                    those.filter_map(|r| r.security_group_rule_id().map(str::to_owned)).collect();
                (!ids.is_empty()).then_some(ids)
            };
            if let Some(ids) = unwanted(false) {
                let revoke = ec2.revoke_security_group_ingress().group_id(id);
                let revoke = revoke.set_security_group_rule_ids(Some(ids)).send().await;
                revoke.call("ec2:RevokeSecurityGroupIngress").found()?;
            }
            if let Some(ids) = unwanted(true) {
                let revoke = ec2.revoke_security_group_egress().group_id(id);
                let revoke = revoke.set_security_group_rule_ids(Some(ids)).send().await;
                revoke.call("ec2:RevokeSecurityGroupEgress").found()?;
            }
            for missing in wanted.iter().filter(|w| !there.iter().any(|r| rule(id, r) == **w)) {
                match missing {
                    DefaultRule::FromItself => {
                        let itself = UserIdGroupPair::builder().group_id(id).build();
                        let all = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(itself);
                        let request = ec2.authorize_security_group_ingress().group_id(id);
                        let request = request.ip_permissions(all.build()).send().await;
                        request.call("ec2:AuthorizeSecurityGroupIngress").not_yet()?;
                    }
                    DefaultRule::ToAnywhere => {
                        let request = ec2.authorize_security_group_egress().group_id(id);
                        let request = request.ip_permissions(everything_out()).send().await;
                        request.call("ec2:AuthorizeSecurityGroupEgress").not_yet()?;
                    }
                    DefaultRule::Other(words) => {
                        return Err(Error::Invalid(format!(
                            "the default group of a network has its own rules or none, and not `{words}`: make a \
                             security group"
                        )));
                    }
                }
            }
        }
        ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    /// It goes with its network.
    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

impl DefaultSecurityGroup {
    /// It goes with its network and no sooner, so a survey need not ask for it.
    async fn described(&self, cx: &Cx<'_, Self>, id: &str) -> Result<Option<types::SecurityGroup>, Error> {
        let ec2 = &cx.client.ec2;
        let Ok(vpc) = self.vpc_id.get() else { return ec2.security_groups.by_id(id).await };
        let Some(tags) = standing::tags(cx, id, ec2.has_tables(vpc.as_str())).await? else {
            return ec2.security_groups.by_id(id).await;
        };
        let group = types::SecurityGroup::builder().group_id(id).vpc_id(vpc.as_str());
        Ok(Some(group.set_tags(Some(tags)).build()))
    }
}

fn rule(group: &str, rule: &types::SecurityGroupRule) -> DefaultRule {
    let everything = rule.ip_protocol() == Some("-1");
    let itself = rule.referenced_group_info().and_then(|g| g.group_id()) == Some(group);
    match rule.is_egress() {
        Some(true) if everything && rule.cidr_ipv4() == Some("0.0.0.0/0") => DefaultRule::ToAnywhere,
        Some(false) | None if everything && itself => DefaultRule::FromItself,
        _ => DefaultRule::Other(in_words(rule)),
    }
}

fn live(group: &types::SecurityGroup, rules: &[types::SecurityGroupRule]) -> Live<DefaultSecurityGroup> {
    let id = group.group_id().unwrap_or_default();
    let tags = live_tags(group.tags());
    Live {
        outputs: DefaultSecurityGroupOutputs { security_group_id: id.into() },
        status: Status::Ready,
        // Nobody made it, so nobody has to give it up.
        owner: match tags.owner() {
            Owner::Nobody => Owner::Anybody,
            owner => owner,
        },
        spec: DefaultSecurityGroup {
            vpc_id: VpcId::from(group.vpc_id().unwrap_or_default()).into(),
            rules: rules.iter().map(|r| rule(id, r)).collect(),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{ReferencedSecurityGroup, SecurityGroupRule};

    #[test]
    fn the_rules_of_aws_are_told_from_others() {
        let all = || SecurityGroupRule::builder().security_group_rule_id("sgr-1").ip_protocol("-1");
        let of = |group: &str| ReferencedSecurityGroup::builder().group_id(group).build();
        let itself = all().is_egress(false).referenced_group_info(of("sg-1")).build();
        assert_eq!(rule("sg-1", &itself), DefaultRule::FromItself);
        let other = all().is_egress(false).referenced_group_info(of("sg-2")).build();
        assert!(matches!(rule("sg-1", &other), DefaultRule::Other(_)));
        let out = all().is_egress(true).cidr_ipv4("0.0.0.0/0").build();
        assert_eq!(rule("sg-1", &out), DefaultRule::ToAnywhere);
        let into = all().is_egress(false).cidr_ipv4("0.0.0.0/0").build();
        let DefaultRule::Other(words) = rule("sg-1", &into) else { panic!("not told") };
        assert_eq!(words, "ingress everything from 0.0.0.0/0 (sgr-1)");
        assert_eq!(rule("sg-1", &out.clone()), DefaultRule::ToAnywhere);
        let v6 = all().is_egress(true).cidr_ipv6("::/0").build();
        assert!(matches!(rule("sg-1", &v6), DefaultRule::Other(_)));
    }

    #[test]
    fn a_group_without_our_tags_is_nobodys_to_give() {
        let group = types::SecurityGroup::builder().group_id("sg-1").vpc_id("vpc-1").build();
        let there = live(&group, &[]);
        assert_eq!(there.owner, Owner::Anybody);
        assert!(there.spec.rules.0.is_empty());
    }
}
