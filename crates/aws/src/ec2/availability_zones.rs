//! Looks which zones a region has:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAvailabilityZones.html>

use super::lookup::filter;
use crate::{Aws, Call};
use aws_sdk_ec2::types::AvailabilityZone;
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Set, Status, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// The availability zones of the region that can be used. Only looked at; local zones and wavelength zones are left
/// out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AvailabilityZones {
    /// Ids of zones that are not wanted, like `use1-az3`, where EKS has no control planes. Unlike names, ids mean the
    /// same zone in every account.
    #[serde(default)]
    pub exclude_zone_ids: Set<String>,
}

outputs! {
    /// The zones, in the order of their names.
    pub struct AvailabilityZonesOutputs => AvailabilityZonesRefs {
        /// Like `us-east-2a`; `names.at("0")` is the first.
        pub names: Vec<String>,
        /// Like `use2-az1`, in the same order.
        pub zone_ids: Vec<String>,
    }
}

impl Resource for AvailabilityZones {
    const KIND: &'static str = "aws.ec2.availability_zones";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = AvailabilityZonesOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let request = cx.client.ec2.describe_availability_zones();
        let request = request.filters(filter("zone-type", ["availability-zone"]));
        let found = request.filters(filter("state", ["available"])).send().await;
        let zones = found.call("ec2:DescribeAvailabilityZones")?;
        let outputs = outputs(zones.availability_zones(), &self.exclude_zone_ids.get()?);
        Ok((!outputs.names.is_empty()).then(|| Live {
            spec: self.clone(),
            outputs,
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        Err(Error::Invalid(format!(
            "region {} has no availability zone left; take some out of `exclude_zone_ids`",
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

fn outputs(zones: &[AvailabilityZone], exclude: &[String]) -> AvailabilityZonesOutputs {
    let mut zones: Vec<_> = zones
        .iter()
        .filter_map(|z| Some((z.zone_name()?.to_owned(), z.zone_id()?.to_owned())))
        .filter(|(_, id)| !exclude.contains(id))
        .collect();
    zones.sort();
    let (names, zone_ids) = zones.into_iter().unzip();
    AvailabilityZonesOutputs { names, zone_ids }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_sorted_by_name_and_left_out_by_id() {
        let zone = |name: &str, id: &str| AvailabilityZone::builder().zone_name(name).zone_id(id).build();
        let zones =
            [zone("us-east-1c", "use1-az6"), zone("us-east-1a", "use1-az4"), zone("us-east-1e", "use1-az3")];
        let outputs = outputs(&zones, &["use1-az3".to_owned()]);
        assert_eq!(outputs.names, ["us-east-1a", "us-east-1c"]);
        assert_eq!(outputs.zone_ids, ["use1-az4", "use1-az6"]);
    }
}
