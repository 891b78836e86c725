//! Whether the zones offer the machines that the plan starts there:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html>.

use super::{Finding, Preflight};
use crate::{
    Aws, Call,
    autoscaling::Group,
    ec2::{LaunchTemplate, Subnet, filter},
    eks::NodeGroup,
    id::SubnetId,
};
use aws_sdk_ec2::types::{InstanceType, LocationType};
use causeway_core::{Address, Error, Set, Value, plan::Action};
use std::collections::{BTreeMap, BTreeSet};

/// Machines that the plan starts together.
pub(super) struct Machines<'a> {
    pub address: &'a Address,
    pub aws: &'a Aws,
    /// Any of these will do.
    pub types: Vec<String>,
    pub count: f64,
    /// GiB of gp3 that each has.
    pub gp3: f64,
    /// As far as they are known.
    pub zones: BTreeSet<String>,
    pub spot: bool,
}

/// All machines of groups that the plan makes.
pub(super) fn started(preflight: &Preflight) -> Vec<Machines<'_>> {
    let mut out = vec![];
    for (wanted, group, aws) in preflight.all::<NodeGroup>().filter(|(w, ..)| w.action == Action::Create) {
        let template = group.launch_template.as_ref().and_then(|t| template(preflight, &t.id));
        let own = template.as_ref().and_then(|t| t.instance_type.clone()).into_iter().collect();
        out.push(Machines {
            address: &wanted.address,
            aws,
            types: group.instance_types.unwrap_or(own),
            count: f64::from(group.scaling.desired_size.unwrap_or(group.scaling.min_size)),
            gp3: template.as_ref().map_or(0.0, gp3),
            zones: zones(preflight, &group.subnet_ids),
            spot: group.capacity_type.as_deref() == Some("SPOT"),
        });
    }
    for (wanted, group, aws) in preflight.all::<Group>().filter(|(w, ..)| w.action == Action::Create) {
        let Some(template) = template(preflight, &group.launch_template_id) else { continue };
        out.push(Machines {
            address: &wanted.address,
            aws,
            types: template.instance_type.clone().into_iter().collect(),
            count: f64::from(group.desired_capacity.unwrap_or(group.min_size)),
            gp3: gp3(&template),
            zones: zones(preflight, &group.subnet_ids),
            spot: template.spot,
        });
    }
    out
}

/// The template of the stack that has, or will have, this id.
fn template<T: ToString>(preflight: &Preflight, id: &Value<T>) -> Option<LaunchTemplate> {
    let is = |w: &causeway_core::wanted::Wanted| match id {
        Value::Ref(reference) => *reference.from() == w.address,
        Value::Known(id) => {
            w.outputs::<LaunchTemplate>().is_some_and(|o| o.launch_template_id.0 == id.to_string())
        }
        Value::Text(_) => false,
    };
    preflight.around::<LaunchTemplate>().find(|(w, _)| is(w)).map(|(_, template)| template)
}

fn gp3(template: &LaunchTemplate) -> f64 {
    let disks = template.block_device_mappings.iter().filter(|disk| disk.volume_type == "gp3");
    disks.map(|disk| f64::from(disk.volume_size)).sum()
}

/// The zone of a subnet of the stack, if it is known.
pub(super) fn zone(preflight: &Preflight, id: &Value<SubnetId>) -> Option<String> {
    preflight.around::<Subnet>().find_map(|(w, subnet)| {
        let is = match id {
            Value::Ref(reference) => *reference.from() == w.address,
            Value::Known(id) => w.outputs::<Subnet>().is_some_and(|o| o.subnet_id == *id),
            Value::Text(_) => false,
        };
        is.then(|| subnet.availability_zone.as_ref()?.get().ok().cloned()).flatten()
    })
}

fn zones(preflight: &Preflight, subnets: &Set<SubnetId>) -> BTreeSet<String> {
    subnets.0.iter().filter_map(|id| zone(preflight, id)).collect()
}

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![];
    for machines in started(preflight).iter().filter(|m| !m.types.is_empty()) {
        let request = machines.aws.ec2.describe_instance_type_offerings();
        let request = request.location_type(LocationType::AvailabilityZone);
        let request = request.filters(filter("instance-type", machines.types.clone())).max_results(1000);
        let offered = request.into_paginator().items().send().try_collect().await;
        let zones = offered.call("ec2:DescribeInstanceTypeOfferings")?;
        let offering: BTreeSet<&str> = zones.iter().filter_map(|offer| offer.location()).collect();
        findings.push(judge(machines, &offering));
    }
    Ok(findings)
}

fn judge(machines: &Machines<'_>, offering: &BTreeSet<&str>) -> Finding {
    let types = machines.types.join(" or ");
    let asked = format!("whether {} can be had where {} stands", types, machines.address);
    let region = &machines.aws.region;
    if offering.is_empty() {
        let remedy = "choose another type, or another region";
        return Finding::failed(asked, format!("no zone of {region} offers it"), remedy);
    }
    let without: Vec<&str> =
        machines.zones.iter().map(String::as_str).filter(|zone| !offering.contains(zone)).collect();
    let zones = offering.iter().copied().collect::<Vec<_>>().join(", ");
    if !without.is_empty() {
        let answer = format!("{} does not offer it; {zones} do", without.join(", "));
        return Finding::failed(asked, answer, "choose another type, or subnets in those zones");
    }
    Finding::passed(asked, format!("{zones} offer it"))
}

/// How many vCPUs machines of these types have, by type; a type that is not there is left out.
pub(super) async fn processors(aws: &Aws, types: &BTreeSet<String>) -> Result<BTreeMap<String, f64>, Error> {
    let mut out = BTreeMap::new();
    let types: Vec<&String> = types.iter().collect();
    for some in types.chunks(100) {
        let types = some.iter().map(|name| InstanceType::from(name.as_str())).collect();
        let request = aws.ec2.describe_instance_types().set_instance_types(Some(types));
        let found = request.into_paginator().items().send().try_collect().await;
        for one in found.call("ec2:DescribeInstanceTypes")? {
            let (Some(name), Some(info)) = (one.instance_type(), one.v_cpu_info()) else { continue };
            out.insert(name.as_str().to_owned(), f64::from(info.default_v_cpus().unwrap_or_default()));
        }
    }
    Ok(out)
}
