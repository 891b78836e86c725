//! Random stacks, as a few bytes that shrink to small stacks: one byte a resource, and what is divisible by four is not
//! there.

use causeway_core::{
    Address, Secret, Stack, Value,
    testing::sim::{Database, Gateway, Lookup, Network, Role, Service, SimPlace, Subnet, Task},
    value::Name,
};
use std::collections::BTreeMap;

/// Which resources there are, and how.
pub type Shape = [u8; 16];

/// What every password begins with, and nothing else does.
pub const CANARY: &str = "canary-";

/// The name of every random stack.
pub const STACK: &str = "random";

/// What to leave out of a stack, and how far its databases have been upgraded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Setting {
    /// The databases' version, which cannot go back.
    pub version: u32,
    /// Whether nothing is protected.
    pub unprotected: bool,
    /// Whether the image that never comes up is replaced by one that does.
    pub sound: bool,
}

/// The variant of a resource that is there.
fn there(byte: u8) -> Option<u8> {
    (!byte.is_multiple_of(4)).then_some(byte / 4)
}

fn bit(byte: u8, n: u8) -> bool {
    byte >> n & 1 == 1
}

/// Whether `shape` asks for an upgrade.
pub fn upgrades(shape: &Shape) -> bool {
    bit(shape[9], 7)
}

struct Building<'s> {
    stack: &'s mut Stack,
    at: Vec<Address>,
}

impl Building<'_> {
    /// Under another address when `moved`: a renamed resource is another one.
    fn add<T>(&mut self, name: &str, moved: bool, build: impl FnOnce(&mut Stack, &str) -> (Address, T)) -> T {
        let full = if moved { format!("app-{name}") } else { name.to_owned() };
        let (address, out) = if moved {
            self.stack.scope("app", |stack| build(stack, &full))
        } else {
            build(self.stack, &full)
        };
        self.at.push(address);
        out
    }
}

/// The stack that `shape` stands for.
pub fn stack(shape: &Shape, setting: Setting) -> Stack {
    let mut stack = Stack::new(STACK);
    if let Some(team) = [None, Some("red"), Some("blue")][usize::from(shape[13] % 3)] {
        stack.tag("team", team);
    }
    stack.at(&SimPlace { region: "sim-1".into() }, |stack| {
        let mut building = Building { stack, at: vec![] };
        build(shape, setting, &mut building);
        let at = building.at;
        // An order that no value asks for; later after earlier, so that it is no circle.
        let extra = usize::from(shape[14]);
        if !at.is_empty() && extra != 0 {
            let (later, earlier) = (extra % at.len(), extra / 16 % at.len());
            if earlier < later {
                stack.after(&at[later].clone(), &at[earlier].clone());
            }
        }
        if !setting.unprotected {
            let chosen = |i: usize| shape[15] != 0 && i % 8 == usize::from(shape[15] % 8);
            for (_, address) in at.iter().enumerate().filter(|(i, _)| chosen(*i)) {
                stack.protect(address);
            }
        }
    });
    stack
}

fn name(full: &str, variant: u8) -> Name {
    match variant % 3 {
        0 => Name::from(full),
        1 => Name::generated(full),
        _ => Name::from(format!("{full}-two").as_str()),
    }
}

fn build(shape: &Shape, setting: Setting, b: &mut Building<'_>) {
    let mut networks: Vec<Value<String>> = vec![];
    for (i, byte) in shape.iter().enumerate().take(2) {
        let Some(v) = there(*byte) else { continue };
        networks.push(b.add(&format!("net{i}"), bit(v, 5), |stack, name| {
            let cidr = if bit(v, 0) { "10.0.0.0/8" } else { "10.0.0.0/16" };
            let dns = bit(v, 1).then_some(false);
            let made = stack.add(name, Network { cidr: cidr.into(), dns, tags: Default::default() });
            (made.address().clone(), made.network_id.clone())
        }));
    }
    let network = |v: u8| networks.get(usize::from(v) % networks.len().max(1)).cloned();
    if let (Some(v), Some(network)) = (there(shape[2]), network(shape[2] >> 7)) {
        b.add("gateway", bit(v, 4), |stack, name| {
            let size = [None, Some(2), Some(3)][usize::from(v % 3)];
            let made = stack.add(name, Gateway { network, size, tags: Default::default() });
            (made.address().clone(), ())
        });
    }
    let mut subnets: Vec<Value<String>> = vec![];
    for i in 0..3u8 {
        let byte = shape[3 + usize::from(i)];
        let (Some(v), Some(network)) = (there(byte), network(byte >> 7)) else { continue };
        let moved = bit(v, 3);
        subnets.push(b.add(&format!("subnet{i}"), moved, |stack, name| {
            let third = i + 10 * u8::from(moved) + 100 * u8::from(bit(v, 0));
            let public = bit(v, 1).then_some(true);
            let made = stack.add(name, Subnet { network, cidr: format!("10.0.{third}.0/24"), public });
            (made.address().clone(), made.subnet_id.clone())
        }));
    }
    let some = |mask: u8| -> Vec<Value<String>> {
        subnets.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 1).map(|(_, s)| s.clone()).collect()
    };
    let mut roles: Vec<Value<String>> = vec![];
    for (i, region) in [(0u8, "sim-1"), (1, "sim-2")] {
        let Some(v) = there(shape[6 + usize::from(i)]) else { continue };
        roles.push(b.add(&format!("role{i}"), bit(v, 5), |stack, full| {
            let role = Role {
                name: name(full, v),
                path: bit(v, 3).then(|| "/service".to_owned()),
                policy: if bit(v, 4) { "write" } else { "read" }.into(),
                tags: Default::default(),
            };
            let made = stack.at(&SimPlace { region: region.into() }, |stack| stack.add(full, role));
            (made.address().clone(), made.arn.clone())
        }));
    }
    let base = there(shape[12]).map(|_| {
        b.add("base", false, |stack, name| {
            let made = stack.add(name, Lookup { name: "base".into() });
            (made.address().clone(), made.id.clone())
        })
    });
    let database = there(shape[8]).map(|v| {
        b.add("database", bit(v, 5), |stack, full| {
            let database = Database {
                name: name(full, u8::from(bit(v, 0))),
                engine: if bit(v, 1) { "mysql" } else { "postgres" }.into(),
                version: setting.version,
                size: if bit(v, 2) { 40 } else { 20 },
                backup_days: bit(v, 3).then_some(3),
                password: Some(Secret::new(format!("{CANARY}{}", bit(v, 4)))),
                subnets: some(shape[9] & 7).into_iter().collect(),
                tags: Default::default(),
            };
            let made = stack.add(full, database);
            (made.address().clone(), made.endpoint.clone())
        })
    });
    let role = roles.get(usize::from(shape[10] >> 7) % roles.len().max(1)).cloned();
    let (Some(v), Some(role)) = (there(shape[10]), role) else { return };
    let image = match v % 4 {
        3 if !setting.sound => "broken",
        n => ["web:1", "web:2", "web:3", "web:4"][usize::from(n)],
    };
    let mut environment = BTreeMap::new();
    environment.extend(database.map(|d| ("DATABASE".to_owned(), d)));
    environment.extend(base.map(|b| ("BASE".to_owned(), b)));
    environment.extend(networks.first().filter(|_| bit(v, 3)).map(|n| ("NETWORK".to_owned(), n.clone())));
    let task = b.add("task", bit(v, 4), |stack, full| {
        let made = stack.add(
            full,
            Task {
                family: full.to_owned(),
                image: image.into(),
                role,
                environment,
                tags: Default::default(),
            },
        );
        (made.address().clone(), made.arn.clone())
    });
    if let Some(v) = there(shape[11]) {
        b.add("service", bit(v, 5), |stack, full| {
            let service = Service {
                name: name(full, u8::from(bit(v, 0))),
                task,
                count: u32::from(v % 4),
                subnets: some(v >> 1 & 7).into_iter().collect(),
                tags: Default::default(),
            };
            let made = stack.add(full, service);
            (made.address().clone(), ())
        });
    }
}
