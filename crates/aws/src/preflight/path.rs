//! Whether the security groups let the tasks reach the database on its port.

use super::{Finding, Preflight};
use crate::{
    Aws,
    ec2::{Direction, Peer, SecurityGroup, SecurityGroupRule},
    ecs::Service,
    id::SecurityGroupId,
    rds::Instance,
};
use causeway_core::{Error, Set, Value};
use serde_json::Value as Json;

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let services: Vec<_> = preflight.around::<Service>().collect();
    let mut findings = vec![];
    for (_, instance, aws) in preflight.all::<Instance>() {
        let Some(port) = port_of(&instance.engine) else {
            continue;
        };
        let to = groups(instance.vpc_security_group_ids.as_ref());
        for (_, service) in &services {
            let network = service.network_configuration.as_ref();
            let from = groups(network.and_then(|n| n.security_groups.as_ref()));
            if from.is_empty() || to.is_empty() {
                continue;
            }
            let rules = Rules::of(preflight, aws, from.iter().chain(&to)).await?;
            let asked =
                format!("whether tasks of {} reach {} on port {port}", service.name, instance.identifier);
            findings.push(judge(asked, &rules, &from, &to, port));
        }
    }
    Ok(findings)
}

/// The port that groups are opened for: a database that is made without a port has the usual one of its engine.
fn port_of(engine: &str) -> Option<i32> {
    match engine {
        "postgres" | "aurora-postgresql" => Some(5432),
        "mysql" | "mariadb" | "aurora-mysql" => Some(3306),
        _ => None,
    }
}

/// Groups as they are written in a spec: by id, or by what makes them.
fn groups(set: Option<&Set<SecurityGroupId>>) -> Vec<Json> {
    set.into_iter().flat_map(|set| &set.0).map(json).collect()
}

fn json(group: &Value<SecurityGroupId>) -> Json {
    serde_json::to_value(group).unwrap_or_default()
}

/// One rule, as far as it matters here.
#[derive(Debug)]
struct Rule {
    group: Json,
    direction: Direction,
    tcp: bool,
    ports: Option<(i32, i32)>,
    peer: End,
}

/// The other end of a rule.
#[derive(Debug, PartialEq)]
enum End {
    Group(Json),
    Anywhere,
    Elsewhere,
}

struct Rules(Vec<Rule>);

impl Rules {
    /// The rules that the stack wants, and those that are there of groups that it does not make.
    async fn of(
        preflight: &Preflight,
        aws: &Aws,
        groups: impl Iterator<Item = &Json>,
    ) -> Result<Self, Error> {
        let mut rules: Vec<Rule> =
            preflight.around::<SecurityGroupRule>().map(|(_, rule)| wanted(&rule)).collect();
        let mut ours = vec![];
        for (node, group) in preflight.around::<SecurityGroup>() {
            let id = match node.outputs::<SecurityGroup>() {
                Some(outputs) => json(&outputs.security_group_id.into()),
                None => json(&Value::reference(&node.address, "security_group_id")),
            };
            if group.default_egress {
                let (group, direction) = (id.clone(), Direction::Egress);
                rules.push(Rule { group, direction, tcp: true, ports: None, peer: End::Anywhere });
            }
            ours.push(id);
        }
        for group in groups.filter(|g| !ours.contains(g)) {
            let Some(id) = group.as_str() else { continue };
            let there = aws.ec2.rules_of_group.get(id.to_owned()).await?.unwrap_or_default();
            rules.extend(there.iter().map(|rule| live(group, rule)));
        }
        Ok(Rules(rules))
    }

    /// Whether a packet may pass a group of `own` towards, or from, one of `others`.
    fn let_through(&self, own: &[Json], direction: Direction, others: &[Json], port: i32) -> bool {
        self.0.iter().filter(|r| r.direction == direction && own.contains(&r.group)).any(|r| {
            let peer = match &r.peer {
                End::Group(group) => others.contains(group),
                End::Anywhere => true,
                End::Elsewhere => false,
            };
            peer && r.tcp && r.ports.is_none_or(|(first, last)| (first..=last).contains(&port))
        })
    }

    /// Whether a rule of `own` names addresses, of which nobody knows whether the other end will have one.
    fn names_addresses(&self, own: &[Json], direction: Direction) -> bool {
        self.0.iter().any(|r| r.direction == direction && own.contains(&r.group) && r.peer == End::Elsewhere)
    }
}

fn wanted(rule: &SecurityGroupRule) -> Rule {
    Rule {
        group: json(&rule.security_group_id),
        direction: rule.direction,
        tcp: matches!(rule.ip_protocol.as_str(), "tcp" | "-1"),
        ports: rule.from_port.zip(rule.to_port),
        peer: match &rule.peer {
            Peer::ReferencedSecurityGroup(group) => End::Group(json(group)),
            Peer::CidrIpv4(cidr) if cidr.get().is_ok_and(|c| c.to_string() == "0.0.0.0/0") => End::Anywhere,
            _ => End::Elsewhere,
        },
    }
}

fn live(group: &Json, rule: &aws_sdk_ec2::types::SecurityGroupRule) -> Rule {
    let peer = rule.referenced_group_info().and_then(|info| info.group_id());
    Rule {
        group: group.clone(),
        direction: if rule.is_egress() == Some(true) { Direction::Egress } else { Direction::Ingress },
        tcp: matches!(rule.ip_protocol(), Some("tcp" | "-1")),
        ports: rule.from_port().zip(rule.to_port()).filter(|(first, _)| *first >= 0),
        peer: match (peer, rule.cidr_ipv4()) {
            (Some(group), _) => End::Group(group.into()),
            (None, Some("0.0.0.0/0")) => End::Anywhere,
            _ => End::Elsewhere,
        },
    }
}

fn judge(asked: String, rules: &Rules, from: &[Json], to: &[Json], port: i32) -> Finding {
    let out = rules.let_through(from, Direction::Egress, to, port);
    let into = rules.let_through(to, Direction::Ingress, from, port);
    let perhaps = |passes: bool, own: &[Json], direction| passes || rules.names_addresses(own, direction);
    match (out, into) {
        (true, true) => Finding::passed(asked, "their security groups let them"),
        _ if perhaps(out, from, Direction::Egress) && perhaps(into, to, Direction::Ingress) => {
            Finding::not_asked(
                asked,
                "a rule names addresses, and which ones the tasks get is not known",
                "make sure that they are those of the subnets, or let the rule name the group of the tasks",
            )
        }
        (false, _) => Finding::failed(
            asked,
            "the security group of the tasks does not let them out",
            format!("add an egress rule for TCP {port} to the group of the database"),
        ),
        (true, false) => Finding::failed(
            asked,
            "the security group of the database does not let them in",
            format!("add an ingress rule for TCP {port} from the group of the tasks"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::finding::Verdict;

    fn rule(group: &str, direction: Direction, port: i32, peer: End) -> Rule {
        Rule { group: group.into(), direction, tcp: true, ports: Some((port, port)), peer }
    }

    fn verdict(rules: Vec<Rule>) -> Verdict {
        judge(String::new(), &Rules(rules), &["tasks".into()], &["database".into()], 5432).verdict
    }

    #[test]
    fn both_ends_have_to_let_it_through() {
        let out = || rule("tasks", Direction::Egress, 5432, End::Group("database".into()));
        let into = |port, peer| rule("database", Direction::Ingress, port, peer);
        assert_eq!(verdict(vec![out(), into(5432, End::Group("tasks".into()))]), Verdict::Passed);
        assert_eq!(verdict(vec![out(), into(5432, End::Anywhere)]), Verdict::Passed);
        assert_eq!(verdict(vec![out(), into(5433, End::Group("tasks".into()))]), Verdict::Failed);
        assert_eq!(verdict(vec![out(), into(5432, End::Group("others".into()))]), Verdict::Failed);
        assert_eq!(verdict(vec![into(5432, End::Anywhere)]), Verdict::Failed);
        assert_eq!(verdict(vec![out()]), Verdict::Failed);
        assert_eq!(verdict(vec![out(), into(5432, End::Elsewhere)]), Verdict::NotAsked);
    }

    #[test]
    fn a_database_has_a_usual_port() {
        assert_eq!((port_of("postgres"), port_of("mariadb")), (Some(5432), Some(3306)));
        assert_eq!(port_of("oracle-ee"), None);
    }
}
