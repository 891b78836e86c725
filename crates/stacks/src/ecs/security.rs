//! Who may reach whom, and the key that everything at rest is encrypted with.

use super::{Ecs, environment, network::Networks};
use causeway_aws::{
    ec2::{Peer, SecurityGroup, SecurityGroupRule},
    id::{Arn, SecurityGroupId},
    kms,
};
use causeway_core::{Set, Stack, Tags, Value};

/// The groups, from the outside to the inside, and the key.
pub(super) struct Security {
    pub balancer: Value<SecurityGroupId>,
    pub service: Value<SecurityGroupId>,
    pub database: Value<SecurityGroupId>,
    pub key: Value<Arn>,
}

/// PostgreSQL.
const DATABASE_PORT: u16 = 5432;

pub(super) fn security(stack: &mut Stack, config: &Ecs, network: &Networks) -> Security {
    stack.scope("security", |stack| {
        let group = |stack: &mut Stack, name: &str, description: &str| {
            let group = SecurityGroup {
                name: format!("{}-{name}", stack.name()).into(),
                description: description.into(),
                vpc_id: network.vpc_id.clone(),
                default_egress: false,
                foreign_rules: Some(Set::default()),
                tags: super::named(stack, name),
            };
            stack.add(name, group).security_group_id.clone()
        };
        let balancer = group(stack, "balancer", "The load balancer of Coder");
        let service = group(stack, "service", "The tasks of Coder");
        let database = group(stack, "database", "The database of Coder");

        for (i, cidr) in config.network.allow.iter().enumerate() {
            for (name, port) in [("https", 443), ("http", 80)] {
                let rule = SecurityGroupRule::tcp_in(&balancer, port, Peer::cidr(cidr.as_str()));
                stack.add(&format!("{name}-in-{}", i + 1), rule.described("Clients"));
            }
        }
        let mut rule = |name: &str, rule: SecurityGroupRule, why: &str| {
            stack.add(name, rule.described(why));
        };
        let port = environment::PORT;
        rule(
            "balancer-out",
            SecurityGroupRule::tcp_out(&balancer, port, Peer::group(&service)),
            "To the tasks",
        );
        rule(
            "service-in",
            SecurityGroupRule::tcp_in(&service, port, Peer::group(&balancer)),
            "Load balancer",
        );
        rule(
            "service-out",
            SecurityGroupRule::all_out(&service, Peer::anywhere()),
            "Registries, identity providers and clouds",
        );
        rule(
            "database-in",
            SecurityGroupRule::tcp_in(&database, DATABASE_PORT, Peer::group(&service)),
            "The tasks",
        );

        let key = stack.add(
            "key",
            kms::Key {
                description: Some(format!("Data of the stack {}", stack.name())),
                policy: None,
                enable_key_rotation: Some(true),
                deletion_window_days: Some(30),
                tags: Tags::default(),
            },
        );
        let name = format!("alias/causeway/{}", stack.name());
        stack.add("key-alias", kms::Alias { name, target_key_id: key.key_id.clone() });
        Security { balancer, service, database, key: key.arn.clone() }
    })
}
