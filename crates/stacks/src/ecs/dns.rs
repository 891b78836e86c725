//! The name and the certificate.

use super::{Ecs, balancer::Balancer};
use crate::certificate;
use causeway_aws::{
    id::{Arn, HostedZoneId},
    route53::{ExistingHostedZone, HostedZone, Record},
};
use causeway_core::{Stack, Value};

/// The zone, if DNS is kept in Route 53, and the certificate.
pub(super) fn certificate(stack: &mut Stack, config: &Ecs) -> (Option<Value<HostedZoneId>>, Value<Arn>) {
    stack.scope("dns", |stack| {
        let zone = config.dns.zone.as_ref().map(|name| zone(stack, name, config.dns.create_zone));
        let certificate = match (&config.dns.certificate_arn, &zone) {
            (Some(arn), _) => Arn::from(arn.as_str()).into(),
            (None, Some(zone)) => requested(stack, config, zone),
            // The configuration was checked: one of them is there.
            (None, None) => Arn::from("").into(),
        };
        (zone, certificate)
    })
}

fn zone(stack: &mut Stack, name: &str, create: bool) -> Value<HostedZoneId> {
    if !create {
        return stack.add("zone", ExistingHostedZone::holding(name)).zone_id.clone();
    }
    let zone = stack.add("zone", HostedZone::public(name));
    stack.output("name_servers", &zone.name_servers);
    zone.zone_id.clone()
}

/// The certificate that is requested for its names.
fn requested(stack: &mut Stack, config: &Ecs, zone: &Value<HostedZoneId>) -> Value<Arn> {
    let more = Vec::from_iter(config.wildcard_access_url.clone());
    let issued = certificate::issued(stack, config.host(), more, zone);
    stack.output("certificate_expires", &issued.not_after);
    issued.arn
}

/// The names that people type, as aliases of the load balancer.
pub(super) fn records(
    stack: &mut Stack,
    config: &Ecs,
    zone: Option<Value<HostedZoneId>>,
    balancer: &Balancer,
) {
    let Some(zone) = zone else { return };
    let names = [("access", Some(config.host())), ("wildcard", config.wildcard_access_url.as_deref())];
    stack.scope("dns", |stack| {
        for (name, host) in names {
            let Some(host) = host else { continue };
            let record =
                Record::alias(zone.clone(), host, balancer.dns_name.clone(), balancer.dns_zone.clone());
            stack.add(name, record);
        }
    });
}
