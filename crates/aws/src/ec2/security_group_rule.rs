//! A rule of a security group:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html>

use super::{
    Cidr, Spreads, live_tags,
    lookup::{PAGE, filter},
    tagged,
};
use crate::{
    Aws, Call,
    id::{PrefixListId, SecurityGroupId, SecurityGroupRuleId},
};
use aws_sdk_ec2::{
    Client,
    types::{
        self, IpPermission, IpRange, Ipv6Range, PrefixListId as PrefixList, ResourceType, UserIdGroupPair,
    },
};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, coalesce::Coalesce, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Lets some packets into or out of the members of a group. Direction, protocol, ports and peer together are unique
/// in a group, so they find it again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// The group.
    pub security_group_id: Value<SecurityGroupId>,
    /// In or out.
    pub direction: Direction,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a number, or `-1` for all.
    pub ip_protocol: Protocol,
    /// The first port; for ICMP the type, -1 for all. `None` with the protocols that have none.
    pub from_port: Option<i32>,
    /// The last port; for ICMP the code, -1 for all. `None` with the protocols that have none.
    pub to_port: Option<i32>,
    /// Who is at the other end.
    pub peer: Peer,
    /// For people; changes in place. `None`: none.
    pub description: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the members of the group.
    Ingress,
    /// From the members of the group.
    Egress,
}

/// A protocol as AWS writes it back: `6` becomes `tcp`, `all` becomes `-1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Protocol(String);

impl Protocol {
    /// All protocols, and so all ports.
    pub fn all() -> Self {
        Protocol("-1".to_owned())
    }

    /// The text that the API takes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl From<String> for Protocol {
    fn from(text: String) -> Self {
        Protocol(match text.to_ascii_lowercase().as_str() {
            "all" => "-1".to_owned(),
            "1" => "icmp".to_owned(),
            "6" => "tcp".to_owned(),
            "17" => "udp".to_owned(),
            "58" => "icmpv6".to_owned(),
            other => other.to_owned(),
        })
    }
}
impl From<&str> for Protocol {
    fn from(text: &str) -> Self {
        Protocol::from(text.to_owned())
    }
}

/// The other end, in the API's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Peer {
    /// IPv4 addresses.
    CidrIpv4(Value<Cidr>),
    /// IPv6 addresses.
    CidrIpv6(Value<Cidr>),
    /// The members of a group of this network, or of a peered one.
    ReferencedSecurityGroup(Value<SecurityGroupId>),
    /// A prefix list.
    PrefixListId(Value<PrefixListId>),
}

impl Peer {
    /// Every IPv4 address.
    pub fn anywhere() -> Self {
        Peer::CidrIpv4(Cidr::anywhere().into())
    }

    /// The members of `group`.
    pub fn group(group: &Value<SecurityGroupId>) -> Self {
        Peer::ReferencedSecurityGroup(group.clone())
    }

    /// The addresses of `cidr`, whichever their version.
    pub fn cidr(cidr: impl Into<Cidr>) -> Self {
        let cidr = cidr.into();
        if cidr.as_str().contains(':') { Peer::CidrIpv6(cidr.into()) } else { Peer::CidrIpv4(cidr.into()) }
    }
}

outputs! {
    /// What a rule tells others.
    pub struct SecurityGroupRuleOutputs => SecurityGroupRuleRefs {
        /// `sgr-..`
        pub security_group_rule_id: SecurityGroupRuleId,
    }
}

impl SecurityGroupRule {
    /// TCP from `peer` to `port` of the members of `group`.
    pub fn tcp_in(group: &Value<SecurityGroupId>, port: u16, peer: Peer) -> Self {
        let port = Some(i32::from(port));
        SecurityGroupRule {
            from_port: port,
            to_port: port,
            ..Self::any(group, Direction::Ingress, "tcp", peer)
        }
    }

    /// TCP from the members of `group` to `port` of `peer`.
    pub fn tcp_out(group: &Value<SecurityGroupId>, port: u16, peer: Peer) -> Self {
        SecurityGroupRule { direction: Direction::Egress, ..Self::tcp_in(group, port, peer) }
    }

    /// Everything from `peer` to the members of `group`.
    pub fn all_in(group: &Value<SecurityGroupId>, peer: Peer) -> Self {
        Self::any(group, Direction::Ingress, "-1", peer)
    }

    /// Everything from the members of `group` to `peer`.
    pub fn all_out(group: &Value<SecurityGroupId>, peer: Peer) -> Self {
        Self::any(group, Direction::Egress, "-1", peer)
    }

    fn any(group: &Value<SecurityGroupId>, direction: Direction, protocol: &str, peer: Peer) -> Self {
        SecurityGroupRule {
            security_group_id: group.clone(),
            direction,
            ip_protocol: protocol.into(),
            from_port: None,
            to_port: None,
            peer,
            description: None,
            tags: Tags::default(),
        }
    }

    /// The same rule, with a description for people.
    pub fn described(self, description: impl Into<String>) -> Self {
        SecurityGroupRule { description: Some(description.into()), ..self }
    }

    fn permission(&self) -> Result<IpPermission, Error> {
        let permission = IpPermission::builder()
            .ip_protocol(self.ip_protocol.as_str())
            .set_from_port(self.from_port)
            .set_to_port(self.to_port);
        let description = self.description.clone();
        let permission = match &self.peer {
            Peer::CidrIpv4(cidr) => permission.ip_ranges(
                IpRange::builder().cidr_ip(cidr.get()?.as_str()).set_description(description).build(),
            ),
            Peer::CidrIpv6(cidr) => permission.ipv6_ranges(
                Ipv6Range::builder().cidr_ipv6(cidr.get()?.as_str()).set_description(description).build(),
            ),
            Peer::ReferencedSecurityGroup(group) => permission.user_id_group_pairs(
                UserIdGroupPair::builder()
                    .group_id(group.get()?.as_str())
                    .set_description(description)
                    .build(),
            ),
            Peer::PrefixListId(list) => permission.prefix_list_ids(
                PrefixList::builder()
                    .prefix_list_id(list.get()?.as_str())
                    .set_description(description)
                    .build(),
            ),
        };
        Ok(permission.build())
    }

    /// Whether `other` is the same rule for AWS.
    fn is(&self, other: &SecurityGroupRule) -> bool {
        self.direction == other.direction
            && self.ip_protocol == other.ip_protocol
            && self.from_port == other.from_port
            && self.to_port == other.to_port
            && self.peer == other.peer
    }
}

impl Resource for SecurityGroupRule {
    const KIND: &'static str = "aws.ec2.security_group_rule";
    const RECOVERY: Recovery = Recovery::NaturalKey(KEY);
    const REPLACE: &'static [&'static str] = KEY;
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = SecurityGroupRuleOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ec2 = &cx.client.ec2;
        let group = self.security_group_id.get()?.as_str().to_owned();
        // A rule never leaves its group, and the group is asked for its rules anyway.
        let rules = ec2.rules_of_group.get(group).await?.unwrap_or_default();
        if let Some(recorded) = &cx.recorded {
            let id = recorded.security_group_rule_id.as_str();
            return Ok(rules.iter().find(|r| r.security_group_rule_id() == Some(id)).map(live));
        }
        // The rule that AWS puts into every new group is the group's own, and is on its way out.
        let defaults = default_egress(&rules);
        let own = rules.iter().filter(|r| !defaults.iter().any(|id| r.security_group_rule_id() == Some(id)));
        Ok(own.map(live).find(|live| live.spec.is(self)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let ec2 = &cx.client.ec2;
        let group = self.security_group_id.get()?.as_str();
        let tags = tagged(ResourceType::SecurityGroupRule, &self.tags);
        match self.direction {
            Direction::Ingress => {
                let request = ec2.authorize_security_group_ingress().group_id(group);
                let request = request.ip_permissions(self.permission()?).set_tag_specifications(tags);
                request.send().await.call("ec2:AuthorizeSecurityGroupIngress").not_yet()?;
            }
            Direction::Egress => {
                let request = ec2.authorize_security_group_egress().group_id(group);
                let request = request.ip_permissions(self.permission()?).set_tag_specifications(tags);
                request.send().await.call("ec2:AuthorizeSecurityGroupEgress").not_yet()?;
            }
        }
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let ec2 = &cx.client.ec2;
        let id = live.outputs.security_group_rule_id.as_str();
        if diff.touches("description") {
            let group = live.spec.security_group_id.get()?.as_str();
            let permission = self.permission()?;
            match self.direction {
                Direction::Ingress => {
                    let request = ec2.update_security_group_rule_descriptions_ingress().group_id(group);
                    let request = request.ip_permissions(permission);
                    request.send().await.call("ec2:UpdateSecurityGroupRuleDescriptionsIngress").not_yet()?;
                }
                Direction::Egress => {
                    let request = ec2.update_security_group_rule_descriptions_egress().group_id(group);
                    let request = request.ip_permissions(permission);
                    request.send().await.call("ec2:UpdateSecurityGroupRuleDescriptionsEgress").not_yet()?;
                }
            }
        }
        ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let ec2 = &cx.client.ec2;
        let group = live.spec.security_group_id.get()?.as_str();
        let id = live.outputs.security_group_rule_id.as_str();
        match live.spec.direction {
            Direction::Ingress => {
                let request = ec2.revoke_security_group_ingress().group_id(group);
                let request = request.security_group_rule_ids(id);
                request.send().await.call("ec2:RevokeSecurityGroupIngress")?;
            }
            Direction::Egress => {
                let request = ec2.revoke_security_group_egress().group_id(group);
                let request = request.security_group_rule_ids(id);
                request.send().await.call("ec2:RevokeSecurityGroupEgress")?;
            }
        }
        Ok(())
    }
}

const KEY: &[&str] = &["security_group_id", "direction", "ip_protocol", "from_port", "to_port", "peer"];

/// What AWS puts into every new group.
pub(super) fn everything_out() -> IpPermission {
    let range = IpRange::builder().cidr_ip("0.0.0.0/0").build();
    IpPermission::builder().ip_protocol("-1").ip_ranges(range).build()
}

/// The rules of AWS's making: all protocols to everywhere (a second one where the network has IPv6), without a tag.
pub(super) fn default_egress(rules: &[types::SecurityGroupRule]) -> Vec<String> {
    rules
        .iter()
        .filter(|r| r.is_egress() == Some(true) && r.ip_protocol() == Some("-1") && r.tags().is_empty())
        .filter(|r| r.cidr_ipv4() == Some("0.0.0.0/0") || r.cidr_ipv6() == Some("::/0"))
        .filter_map(|r| r.security_group_rule_id().map(str::to_owned))
        .collect()
}

/// All rules of many groups with one call.
pub(super) fn of_groups(api: &Client) -> Coalesce<String, Vec<types::SecurityGroupRule>> {
    /// Groups in one call: what EC2 takes in one filter.
    const MOST: usize = 200;
    let api = api.clone();
    Coalesce::new(MOST, move |groups: BTreeSet<String>| {
        let api = api.clone();
        async move {
            let list =
                api.describe_security_group_rules().filters(filter("group-id", groups)).max_results(PAGE);
            let rules: Vec<_> = list
                .into_paginator()
                .items()
                .send()
                .try_collect()
                .await
                .call("ec2:DescribeSecurityGroupRules")?;
            let mut of: BTreeMap<String, Vec<_>> = BTreeMap::new();
            for rule in rules {
                of.entry(rule.group_id().unwrap_or_default().to_owned()).or_default().push(rule);
            }
            Ok(of)
        }
    })
}

fn live(rule: &types::SecurityGroupRule) -> Live<SecurityGroupRule> {
    let tags = live_tags(rule.tags());
    let protocol = Protocol::from(rule.ip_protocol().unwrap_or("-1"));
    // For all protocols the API answers ports of -1, which cannot be sent back.
    let port = |port: Option<i32>| port.filter(|_| protocol != Protocol::all());
    Live {
        outputs: SecurityGroupRuleOutputs {
            security_group_rule_id: rule.security_group_rule_id().unwrap_or_default().into(),
        },
        status: Status::Ready,
        owner: tags.owner(),
        spec: SecurityGroupRule {
            security_group_id: SecurityGroupId::from(rule.group_id().unwrap_or_default()).into(),
            direction: if rule.is_egress() == Some(true) { Direction::Egress } else { Direction::Ingress },
            from_port: port(rule.from_port()),
            to_port: port(rule.to_port()),
            ip_protocol: protocol,
            peer: peer(rule),
            description: rule.description().filter(|d| !d.is_empty()).map(str::to_owned),
            tags,
        },
    }
}

fn peer(rule: &types::SecurityGroupRule) -> Peer {
    let group = rule.referenced_group_info().and_then(|g| g.group_id());
    if let Some(cidr) = rule.cidr_ipv4() {
        Peer::CidrIpv4(Cidr::from(cidr).into())
    } else if let Some(cidr) = rule.cidr_ipv6() {
        Peer::CidrIpv6(Cidr::from(cidr).into())
    } else if let Some(group) = group {
        Peer::ReferencedSecurityGroup(SecurityGroupId::from(group).into())
    } else {
        Peer::PrefixListId(PrefixListId::from(rule.prefix_list_id().unwrap_or_default()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Value<SecurityGroupId> {
        SecurityGroupId::from("sg-1").into()
    }

    #[test]
    fn ports_of_all_protocols_are_no_difference() {
        let rule = types::SecurityGroupRule::builder()
            .security_group_rule_id("sgr-1")
            .group_id("sg-1")
            .is_egress(true)
            .ip_protocol("-1")
            .from_port(-1)
            .to_port(-1)
            .cidr_ipv4("0.0.0.0/0")
            .description("")
            .build();
        let live = live(&rule);
        let wanted = SecurityGroupRule::all_out(&group(), Peer::anywhere());
        assert!(live.spec.is(&wanted));
        assert_eq!(serde_json::to_value(&live.spec).unwrap(), serde_json::to_value(&wanted).unwrap());
    }

    #[test]
    fn a_rule_is_another_with_another_port_peer_or_direction() {
        let rule = SecurityGroupRule::tcp_in(&group(), 443, Peer::anywhere());
        assert!(rule.is(&rule.clone().described("from the internet")));
        assert!(!rule.is(&SecurityGroupRule::tcp_in(&group(), 80, Peer::anywhere())));
        assert!(!rule.is(&SecurityGroupRule::tcp_in(&group(), 443, Peer::group(&group()))));
        assert!(!rule.is(&SecurityGroupRule::tcp_out(&group(), 443, Peer::anywhere())));
    }

    #[test]
    fn protocols_are_written_as_aws_writes_them() {
        assert_eq!(Protocol::from("TCP"), Protocol::from("6"));
        assert_eq!(Protocol::from("all"), Protocol::all());
        assert_eq!(Protocol::from("50").as_str(), "50");
        assert_eq!(serde_json::from_str::<Protocol>("\"17\"").unwrap().as_str(), "udp");
    }

    #[test]
    fn a_range_says_its_version() {
        assert!(matches!(Peer::cidr("fd00::/8"), Peer::CidrIpv6(_)));
        assert!(matches!(Peer::cidr("10.0.0.0/8"), Peer::CidrIpv4(_)));
    }
}
