//! Looks which zones offer some types of machines:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html>

use super::lookup::filter;
use crate::{Aws, Call};
use aws_sdk_ec2::types::{InstanceTypeOffering, LocationType};
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Set, Status, diff::Diff, outputs};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The availability zones that offer all of these types. Only looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct InstanceTypeOfferings {
    /// Like `t4g.micro`.
    pub instance_types: Set<String>,
    /// Zones that may be chosen, as a rule [`AvailabilityZones::names`](super::AvailabilityZonesRefs::names). Empty: any,
    /// also local zones.
    #[serde(default)]
    pub among: Set<String>,
    /// Without local zones and wavelength zones, which their names tell apart.
    #[serde(default)]
    pub no_local_zones: bool,
    /// How many zones there have to be. With fewer there is no plan. 0: none has to be there yet.
    #[serde(default)]
    pub at_least: usize,
}

outputs! {
    /// The zones, in the order of their names.
    pub struct InstanceTypeOfferingsOutputs => InstanceTypeOfferingsRefs {
        /// Like `us-east-2a`; `zones.at("0")` is the first.
        pub zones: Vec<String>,
    }
}

impl Resource for InstanceTypeOfferings {
    const KIND: &'static str = "aws.ec2.instance_type_offerings";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = InstanceTypeOfferingsOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let types = self.instance_types.get()?;
        let request = cx.client.ec2.describe_instance_type_offerings();
        let request = request.location_type(LocationType::AvailabilityZone);
        let request = request.filters(filter("instance-type", types.clone())).max_results(1000);
        let offered = request.into_paginator().items().send().try_collect().await;
        let offered: Vec<InstanceTypeOffering> = offered.call("ec2:DescribeInstanceTypeOfferings")?;
        let mut zones = zones(&offered, &types, &self.among.get()?);
        zones.retain(|zone| !self.no_local_zones || is_of_region(zone, &cx.client.region));
        if zones.len() < self.at_least {
            return Err(Error::Invalid(format!(
                "{} zones are needed, and {} of {} offer {}: choose another instance type, or another region",
                self.at_least,
                zones.len(),
                cx.client.region,
                types.join(" and ")
            )));
        }
        Ok((!zones.is_empty()).then(|| Live {
            spec: self.clone(),
            outputs: InstanceTypeOfferingsOutputs { zones },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let types = self.instance_types.get()?.join(" and ");
        Err(Error::Invalid(format!(
            "no availability zone of {} offers {types}: choose other instance types, or another region",
            cx.client.region
        )))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

/// The name of a zone is that of its region and a letter:
/// <https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html>
fn is_of_region(zone: &str, region: &str) -> bool {
    zone.strip_prefix(region).is_some_and(|letter| letter.len() == 1)
}

fn zones(offered: &[InstanceTypeOffering], types: &[String], among: &[String]) -> Vec<String> {
    let mut of_zone: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for offering in offered {
        if let (Some(zone), Some(kind)) = (offering.location(), offering.instance_type()) {
            of_zone.entry(zone).or_default().insert(kind.as_str());
        }
    }
    let all = |offers: &BTreeSet<&str>| types.iter().all(|kind| offers.contains(kind.as_str()));
    of_zone
        .into_iter()
        .filter(|(zone, offers)| all(offers) && (among.is_empty() || among.iter().any(|z| z == zone)))
        .map(|(zone, _)| zone.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_zone_is_told_by_its_name() {
        assert!(is_of_region("us-west-2a", "us-west-2"));
        for local in ["us-west-2-lax-1a", "us-west-2-wl1-las-wlz-1", "us-west-2"] {
            assert!(!is_of_region(local, "us-west-2"), "{local}");
        }
    }

    #[test]
    fn a_zone_offers_all_or_is_left_out() {
        let offer = |kind: &str, zone: &str| {
            InstanceTypeOffering::builder().instance_type(kind.into()).location(zone).build()
        };
        let offered = [
            offer("t4g.micro", "us-east-1c"),
            offer("t4g.micro", "us-east-1a"),
            offer("m5.large", "us-east-1a"),
            offer("t4g.micro", "us-east-1-bos-1a"),
            offer("m5.large", "us-east-1-bos-1a"),
        ];
        let types = ["t4g.micro".to_owned(), "m5.large".to_owned()];
        assert_eq!(zones(&offered, &types, &[]), ["us-east-1-bos-1a", "us-east-1a"]);
        let among = ["us-east-1a".to_owned(), "us-east-1c".to_owned()];
        assert_eq!(zones(&offered, &types, &among), ["us-east-1a"]);
        assert_eq!(zones(&offered, &types[..1], &among), ["us-east-1a", "us-east-1c"]);
    }
}
