//! What each kind costs.

use crate::{Price, Thing, table::Table};
use causeway_core::{Address, value::references};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What the thing at `address` costs each month. Kinds that are not named here cost nothing by themselves.
pub(crate) fn price(address: &Address, all: &BTreeMap<Address, Thing>, table: &Table) -> Price {
    let Some(thing) = all.get(address) else { return Price::default() };
    let spec = &thing.spec;
    let mut bill = Bill { table, price: Price::default(), factor: 1.0 };
    let number = |field: &str| spec[field].as_f64().unwrap_or_default();
    let is = |field: &str| spec[field].as_bool().unwrap_or_default();
    let text = |field: &str| spec[field].as_str().unwrap_or_default();
    match thing.kind.as_str() {
        "aws.ec2.nat_gateway" => {
            bill.hours("ec2/nat_gateway/hour", 1.0);
            bill.guess("traffic through NAT gateways", "ec2/nat_gateway/gb", table.volume("nat_gb"));
        }
        "aws.ec2.elastic_ip" => bill.hours("ec2/public_ipv4/hour", 1.0),
        "aws.elbv2.load_balancer" => {
            let of = if text("load_balancer_type") == "network" { "network" } else { "application" };
            bill.hours(&format!("elbv2/{of}/hour"), 1.0);
            let hours = table.volume("balancer_units") * table.hours();
            bill.guess("load of load balancers", &format!("elbv2/{of}/unit-hour"), hours);
            if text("scheme") == "internet-facing" {
                bill.hours("ec2/public_ipv4/hour", count(&spec["subnets"]));
            }
        }
        "aws.ecs.service" => {
            let (vcpu, gb) = task(spec, all);
            let tasks = spec["desired_count"].as_f64().unwrap_or(1.0);
            bill.hours("ecs/fargate_vcpu/hour", tasks * vcpu);
            bill.hours("ecs/fargate_gb/hour", tasks * gb);
        }
        "aws.eks.cluster" => bill.hours("eks/cluster/hour", 1.0),
        "aws.rds.instance" => {
            let nodes = if is("multi_az") { 2.0 } else { 1.0 };
            bill.hours(&format!("rds/{}/hour", text("instance_class")), nodes);
            bill.months("rds/gp3/gb-month", nodes * number("allocated_storage"));
        }
        "aws.elasticache.replication_group" => {
            let nodes = number("num_node_groups") * (1.0 + number("replicas_per_node_group"));
            let valkey = table.price("elasticache/valkey/share").map_or(1.0, |(share, _)| share);
            let share = if text("engine") == "valkey" { valkey } else { 1.0 };
            bill.hours(&format!("elasticache/{}/hour", text("cache_node_type")), nodes * share);
        }
        "aws.kms.key" => bill.months("kms/key/month", 1.0),
        "aws.secretsmanager.secret" => bill.months("secretsmanager/secret/month", 1.0),
        "aws.logs.log_group" => bill.guess("logs", "logs/gb", table.volume("log_gb")),
        "aws.cloudwatch.metric_alarm" => bill.months("cloudwatch/alarm/month", 1.0),
        "aws.route53.hosted_zone" => bill.months("route53/zone/month", 1.0),
        "aws.wafv2.web_acl" => {
            bill.months("wafv2/web_acl/month", 1.0);
            bill.months("wafv2/rule/month", count(&spec["rules"]));
        }
        // As many as it starts with: how many run later is decided elsewhere.
        "aws.eks.node_group" => {
            let template = template(&spec["launch_template"]["id"], all);
            let kinds = spec["instance_types"].as_array().and_then(|kinds| kinds.first());
            let scaling = &spec["scaling"];
            let machines = scaling["desired_size"].as_f64().or(scaling["min_size"].as_f64());
            bill.machines(machines, kinds.and_then(Json::as_str), template);
        }
        "aws.autoscaling.group" => {
            let template = template(&spec["launch_template_id"], all);
            bill.machines(spec["desired_capacity"].as_f64().or(spec["min_size"].as_f64()), None, template);
        }
        "aws.ec2.instance" => bill.machines(Some(1.0), spec["instance_type"].as_str(), None),
        "aws.ec2.vpc_endpoint" if text("vpc_endpoint_type") == "Interface" => {
            bill.hours("ec2/interface_endpoint/hour", count(&spec["subnet_ids"]));
        }
        _ => {}
    }
    let (factor, guessed) = table.region(&thing.region);
    bill.factor = factor;
    bill.total(guessed.then_some(thing.region.as_str()))
}

/// What one thing costs, line by line.
struct Bill<'a> {
    table: &'a Table,
    price: Price,
    factor: f64,
}

impl Bill<'_> {
    fn months(&mut self, key: &str, count: f64) {
        match self.table.price(key) {
            Some((price, guessed)) => {
                let amount = price * count;
                self.price.monthly += amount;
                if guessed {
                    self.price.guessed += amount;
                    self.price
                        .guesses
                        .insert(format!("the price of {}", key.split('/').nth(1).unwrap_or(key)));
                }
            }
            None => self.price.unknown = true,
        }
    }

    fn hours(&mut self, key: &str, count: f64) {
        self.months(key, count * self.table.hours());
    }

    /// `count` machines of this type, or of the one that their template names, with the disks of the template.
    fn machines(&mut self, count: Option<f64>, kind: Option<&str>, template: Option<&Json>) {
        let named = template.and_then(|template| template["instance_type"].as_str());
        let (Some(count), Some(kind)) = (count, kind.or(named)) else {
            self.price.unknown = true;
            return;
        };
        self.hours(&format!("ec2/{kind}/hour"), count);
        let Some(template) = template else { return };
        let all = |list: &str, field: &str| -> f64 {
            let list = template[list].as_array().into_iter().flatten();
            list.map(|one| one[field].as_f64().unwrap_or(f64::from(one[field] == true))).sum()
        };
        self.months("ec2/gp3/gb-month", count * all("block_device_mappings", "volume_size"));
        let public = all("network_interfaces", "associate_public_ip_address");
        self.hours("ec2/public_ipv4/hour", count * public);
    }

    /// As much as nobody can know before.
    fn guess(&mut self, what: &str, key: &str, volume: f64) {
        let amount = self.table.price(key).map_or(0.0, |(price, _)| price * volume);
        self.price.monthly += amount;
        self.price.guessed += amount;
        self.price.guesses.insert(what.to_owned());
    }

    /// In a region; `guessed` names one of which nobody checked how much more it costs: that part is a guess.
    fn total(mut self, guessed: Option<&str>) -> Price {
        let more = self.price.monthly * (self.factor - 1.0);
        self.price.guessed *= self.factor;
        self.price.monthly += more;
        if let Some(region) = guessed.filter(|_| self.price.monthly > 0.0) {
            self.price.guessed = self.price.monthly;
            self.price.guesses.insert(format!("prices in {region}"));
        }
        self.price
    }
}

fn count(list: &Json) -> f64 {
    let members = list.get("$set").unwrap_or(list).as_array();
    members.map_or(0, Vec::len) as f64
}

/// The launch template with this id: by reference, or as the cloud numbered it.
fn template<'a>(id: &Json, all: &'a BTreeMap<Address, Thing>) -> Option<&'a Json> {
    let mut named = BTreeSet::new();
    references(id, &mut named);
    let found = all.iter().find(|(address, thing)| {
        let numbered = || id.is_string() && thing.outputs["launch_template_id"] == *id;
        thing.kind == "aws.ec2.launch_template" && (named.contains(*address) || numbered())
    });
    found.map(|(_, thing)| &thing.spec)
}

/// vCPUs and GB of the tasks of a service: its definition is one of ours, by reference or by name.
fn task(service: &Json, all: &BTreeMap<Address, Thing>) -> (f64, f64) {
    let mut named = BTreeSet::new();
    references(&service["task_definition"], &mut named);
    let arn = service["task_definition"].as_str().unwrap_or_default();
    let family = arn.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or_default();
    let definition =
        all.iter().filter(|(_, thing)| thing.kind == "aws.ecs.task_definition").find(|(address, thing)| {
            named.contains(*address) || !family.is_empty() && thing.spec["family"].as_str() == Some(family)
        });
    let size = |field: &str| {
        definition.and_then(|(_, thing)| thing.spec[field].as_f64()).unwrap_or_default() / 1024.0
    };
    (size("cpu"), size("memory"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bill(kind: &str, region: &str, spec: Json) -> Price {
        let thing = Thing { kind: kind.into(), region: region.into(), spec, outputs: Json::Null };
        let address = Address::from("thing");
        price(&address, &BTreeMap::from([(address.clone(), thing)]), &Table::built_in())
    }
    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 0.005
    }

    #[test]
    fn a_database_in_two_zones_is_paid_twice() {
        let spec = |both: bool| json!({"instance_class": "db.t4g.medium", "allocated_storage": 50, "multi_az": both});
        let one = bill("aws.rds.instance", "us-east-2", spec(false));
        assert!(near(one.monthly, 0.065 * 730.0 + 50.0 * 0.115), "{one:?}");
        assert_eq!(one.guessed, 0.0);
        assert!(near(bill("aws.rds.instance", "us-east-2", spec(true)).monthly, 2.0 * one.monthly));
    }

    #[test]
    fn what_nobody_checked_is_a_guess() {
        let nat = bill("aws.ec2.nat_gateway", "us-west-2", json!({}));
        assert!(near(nat.monthly, 0.045 * 730.0 + 4.5) && near(nat.guessed, 4.5), "{nat:?}");
        let london = bill("aws.ec2.nat_gateway", "eu-west-2", json!({}));
        assert!(
            near(london.monthly, nat.monthly * 1.16) && near(london.guessed, london.monthly),
            "{london:?}"
        );
        let odd = json!({"instance_class": "db.z9.huge", "allocated_storage": 0});
        assert!(bill("aws.rds.instance", "us-east-1", odd).unknown);
        assert_eq!(bill("aws.ec2.subnet", "us-east-1", json!({})), Price::default());
    }

    #[test]
    fn a_cache_is_paid_by_node_and_valkey_is_cheaper() {
        let spec = |engine: &str| json!({"engine": engine, "cache_node_type": "cache.r7g.large", "num_node_groups": 2, "replicas_per_node_group": 1});
        let redis = bill("aws.elasticache.replication_group", "us-east-2", spec("redis"));
        assert!(near(redis.monthly, 4.0 * 0.219 * 730.0));
        let valkey = bill("aws.elasticache.replication_group", "us-east-2", spec("valkey"));
        assert!(near(valkey.monthly, 0.8 * redis.monthly));
    }

    #[test]
    fn a_service_costs_what_its_tasks_do() {
        let definition = Thing {
            kind: "aws.ecs.task_definition".into(),
            region: "us-east-1".into(),
            spec: json!({"family": "coder", "cpu": 2048, "memory": 4096}),
            outputs: Json::Null,
        };
        let service = Thing {
            kind: "aws.ecs.service".into(),
            region: "us-east-1".into(),
            spec: json!({"desired_count": 2, "task_definition": "arn:aws:ecs:us-east-1:1:task-definition/coder:3"}),
            outputs: Json::Null,
        };
        let all = BTreeMap::from([(Address::from("service"), service), (Address::from("task"), definition)]);
        let price = price(&Address::from("service"), &all, &Table::built_in());
        assert!(near(price.monthly, 2.0 * (2.0 * 0.04048 + 4.0 * 0.004445) * 730.0), "{price:?}");
    }

    #[test]
    fn nodes_cost_what_their_machines_and_disks_do() {
        let thing = |kind: &str, spec: Json, outputs: Json| Thing {
            kind: kind.into(),
            region: "us-east-1".into(),
            spec,
            outputs,
        };
        let disks = json!([{"device_name": "/dev/xvda", "volume_size": 50}]);
        let template = thing(
            "aws.ec2.launch_template",
            json!({"instance_type": "m5.large", "block_device_mappings": disks}),
            json!({"launch_template_id": "lt-1"}),
        );
        let nodes = json!({"scaling": {"min_size": 1, "desired_size": 2}, "instance_types": ["m5.xlarge"], "launch_template": {"id": "lt-1"}});
        let group = json!({"launch_template_id": "lt-1", "min_size": 1});
        let lost = json!({"launch_template_id": "lt-2", "min_size": 1});
        let all = BTreeMap::from([
            (Address::from("template"), template),
            (Address::from("nodes"), thing("aws.eks.node_group", nodes, Json::Null)),
            (Address::from("group"), thing("aws.autoscaling.group", group, Json::Null)),
            (Address::from("lost"), thing("aws.autoscaling.group", lost, Json::Null)),
        ]);
        let price = |name: &str| price(&Address::from(name), &all, &Table::built_in());
        assert!(near(price("nodes").monthly, 2.0 * (0.192 * 730.0 + 50.0 * 0.08)));
        assert!(near(price("group").monthly, 0.096 * 730.0 + 50.0 * 0.08));
        assert!(price("lost").unknown);
    }
}
