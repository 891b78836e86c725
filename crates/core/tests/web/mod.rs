//! A small web application on the simulated cloud, which tests change bit by bit.
#![allow(unreachable_pub, dead_code, reason = "every test binary uses another part of it")]

use causeway_core::{
    Secret, Stack,
    testing::sim::{Database, Gateway, Lookup, Network, Role, Service, SimPlace, Subnet, Task},
    value::Name,
};
use std::collections::BTreeMap;

/// What there is to change.
#[derive(Clone)]
pub struct Web {
    pub cidr: &'static str,
    pub dns: Option<bool>,
    pub role: Name,
    pub role_path: Option<&'static str>,
    pub policy: &'static str,
    pub image: &'static str,
    pub password: &'static str,
    pub engine: &'static str,
    pub version: u32,
    pub size: u32,
    pub backup_days: Option<u32>,
    pub gateway: bool,
    pub gateway_size: Option<u32>,
    pub service: bool,
    pub count: u32,
    pub tag: Option<&'static str>,
}

impl Default for Web {
    fn default() -> Self {
        Web {
            cidr: "10.0.0.0/16",
            dns: None,
            role: Name::from("web"),
            role_path: None,
            policy: "read",
            image: "web:1",
            password: "hunter2-canary",
            engine: "postgres",
            version: 14,
            size: 20,
            backup_days: None,
            gateway: true,
            gateway_size: None,
            service: true,
            count: 2,
            tag: None,
        }
    }
}

pub fn place() -> SimPlace {
    SimPlace { region: "sim-1".into() }
}

/// An empty stack of the same name.
pub fn nothing() -> Stack {
    Stack::new("web")
}

impl Web {
    pub fn stack(&self) -> Stack {
        let mut stack = nothing();
        if let Some(tag) = self.tag {
            stack.tag("team", tag);
        }
        stack.at(&place(), |stack| self.build(stack));
        stack
    }

    fn build(&self, stack: &mut Stack) {
        let base = stack.add("base", Lookup { name: "base".into() });
        let (network, subnets) = stack.scope("network", |stack| {
            let network = stack
                .add("network", Network { cidr: self.cidr.into(), dns: self.dns, tags: Default::default() });
            let mut subnets = vec![];
            for (name, cidr) in [("subnet-a", "10.0.1.0/24"), ("subnet-b", "10.0.2.0/24")] {
                let subnet = Subnet { network: network.network_id.clone(), cidr: cidr.into(), public: None };
                subnets.push(stack.add(name, subnet).subnet_id.clone());
            }
            if self.gateway {
                let gateway = Gateway {
                    network: network.network_id.clone(),
                    size: self.gateway_size,
                    tags: Default::default(),
                };
                stack.add("gateway", gateway);
            }
            (network, subnets)
        });
        let _ = network;
        let role = stack.add(
            "role",
            Role {
                name: self.role.clone(),
                path: self.role_path.map(str::to_owned),
                policy: self.policy.into(),
                tags: Default::default(),
            },
        );
        let database = stack.add(
            "database",
            Database {
                name: Name::from("web"),
                engine: self.engine.into(),
                version: self.version,
                size: self.size,
                backup_days: self.backup_days,
                password: Some(Secret::new(self.password)),
                subnets: subnets.iter().cloned().collect(),
                tags: Default::default(),
            },
        );
        let task = stack.add(
            "task",
            Task {
                family: "web".into(),
                image: self.image.into(),
                role: role.arn.clone(),
                environment: BTreeMap::from([
                    ("DATABASE".to_owned(), database.endpoint.clone()),
                    ("BASE".to_owned(), base.id.clone()),
                ]),
                tags: Default::default(),
            },
        );
        if self.service {
            stack.add(
                "service",
                Service {
                    name: Name::from("web"),
                    task: task.arn.clone(),
                    count: self.count,
                    subnets: subnets.into_iter().collect(),
                    tags: Default::default(),
                },
            );
        }
    }
}
