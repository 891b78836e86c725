//! <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListHostedZones.html>

use super::{bare_id, text};
use crate::{Aws, id::HostedZoneId};
use aws_sdk_route53::types as sdk;
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, Timing, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// The zone that a name lies in, which others made: the one with the longest name that `name` ends with. It is only
/// looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExistingHostedZone {
    /// A name in the zone, or the name of the zone: `coder.example.com` is in `example.com`.
    pub name: String,
    /// Whether it is looked for among the private zones instead of the public ones.
    #[serde(default)]
    pub private: bool,
}

impl ExistingHostedZone {
    /// The public zone that `name` lies in.
    pub fn holding(name: &str) -> Self {
        ExistingHostedZone { name: name.to_owned(), private: false }
    }
}

outputs! {
    /// What a zone tells others.
    pub struct ExistingHostedZoneOutputs => ExistingHostedZoneRefs {
        /// `Z..`
        pub zone_id: HostedZoneId,
        /// The name of the zone, without a dot at the end.
        pub zone_name: String,
    }
}

impl Resource for ExistingHostedZone {
    const KIND: &'static str = "aws.route53.existing_hosted_zone";
    const RECOVERY: Recovery = Recovery::Observed;
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = ExistingHostedZoneOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let zones = cx.client.route53.zones.get(()).await?.unwrap_or_default();
        match holding(&self.name, self.private, &zones).as_slice() {
            [] => Ok(None),
            [zone] => Ok(Some(Live {
                spec: self.clone(),
                outputs: ExistingHostedZoneOutputs {
                    zone_id: bare_id(&zone.id).into(),
                    zone_name: text::name(&zone.name),
                },
                status: Status::Ready,
                owner: Owner::Parent,
            })),
            several => Err(Error::Invalid(format!(
                "{} hosted zones are named `{}` ({}); give the id of the one that is meant instead",
                several.len(),
                text::name(&several[0].name),
                several.iter().map(|z| bare_id(&z.id)).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        let kind = if self.private { "private" } else { "public" };
        Err(Error::Invalid(format!(
            "no {kind} hosted zone of this account holds `{}`: make one and delegate to it, or use another name",
            self.name
        )))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

/// The zones of the longest name that `name` lies in; more than one where several have that name.
fn holding<'a>(name: &str, private: bool, zones: &'a [sdk::HostedZone]) -> Vec<&'a sdk::HostedZone> {
    let name = text::name(name);
    let holds = |zone: &str| name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
    let candidates: Vec<(usize, &sdk::HostedZone)> = zones
        .iter()
        .filter(|z| z.config.as_ref().is_some_and(|c| c.private_zone) == private)
        .filter(|z| holds(&text::name(&z.name)))
        .map(|z| (text::name(&z.name).len(), z))
        .collect();
    let longest = candidates.iter().map(|(length, _)| *length).max();
    candidates.into_iter().filter(|(length, _)| Some(*length) == longest).map(|(_, z)| z).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(id: &str, name: &str, private: bool) -> sdk::HostedZone {
        let config = sdk::HostedZoneConfig::builder().private_zone(private).build();
        sdk::HostedZone::builder().id(id).name(name).caller_reference("x").config(config).build().unwrap()
    }

    #[test]
    fn the_longest_name_that_fits_wins() {
        let zones = [
            zone("com", "example.com.", false),
            zone("dev", "dev.example.com.", false),
            zone("private", "coder.dev.example.com.", true),
            zone("trap", "oder.dev.example.com.", false),
        ];
        let ids = |name, private| -> Vec<&str> {
            holding(name, private, &zones).into_iter().map(|z| z.id.as_str()).collect()
        };
        assert_eq!(ids("coder.dev.example.com", false), ["dev"]);
        assert_eq!(ids("*.coder.example.com.", false), ["com"]);
        assert_eq!(ids("EXAMPLE.com", false), ["com"]);
        assert_eq!(ids("coder.dev.example.com", true), ["private"]);
        assert!(ids("example.org", false).is_empty());
    }

    #[test]
    fn two_zones_of_one_name_are_both_seen() {
        let zones = [zone("a", "example.com.", false), zone("b", "example.com.", false)];
        assert_eq!(holding("x.example.com", false, &zones).len(), 2);
    }
}
