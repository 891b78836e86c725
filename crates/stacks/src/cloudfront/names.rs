//! The names of a site: zone, certificate, and records.

use super::Docs;
use crate::certificate;
use causeway_aws::{
    cloudfront::DistributionRefs,
    id::{Arn, HostedZoneId},
    route53::{ExistingHostedZone, HostedZone, Record},
};
use causeway_core::{Stack, Value};

/// The zone, if DNS is kept in Route 53.
pub(super) fn zone(stack: &mut Stack, config: &Docs) -> Option<Value<HostedZoneId>> {
    let name = config.dns.zone.as_ref()?;
    if !config.dns.create_zone {
        return Some(stack.add("zone", ExistingHostedZone::holding(name)).zone_id.clone());
    }
    let zone = stack.add("zone", HostedZone::public(name));
    stack.output("docs_name_servers", &zone.name_servers);
    Some(zone.zone_id.clone())
}

/// The certificate of the names, if there are any.
pub(super) fn certificate(
    stack: &mut Stack,
    config: &Docs,
    zone: Option<&Value<HostedZoneId>>,
) -> Option<Value<Arn>> {
    let mut names = config.names().into_iter();
    let host = names.next()?;
    if let Some(arn) = &config.dns.certificate_arn {
        return Some(Arn::from(arn.as_str()).into());
    }
    // The configuration was checked: without a certificate there is a zone.
    let issued = certificate::issued(stack, &host, names.collect(), zone?);
    stack.output("docs_certificate_expires", &issued.not_after);
    Some(issued.arn)
}

/// The names that people type, as aliases of the distribution.
pub(super) fn records(
    stack: &mut Stack,
    config: &Docs,
    zone: Option<&Value<HostedZoneId>>,
    distribution: &DistributionRefs,
) {
    let Some(zone) = zone else { return };
    for host in config.names() {
        for record_type in ["A", "AAAA"] {
            let (name, at) = (distribution.domain_name.clone(), distribution.hosted_zone_id.clone());
            let mut record = Record::alias(zone.clone(), host.as_str(), name, at);
            record.r#type = record_type.into();
            stack.add(&format!("{}-{host}", record_type.to_lowercase()), record);
        }
    }
}
