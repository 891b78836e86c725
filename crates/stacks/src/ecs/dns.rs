//! The name and the certificate.

use super::{Ecs, balancer::Balancer};
use crate::{certificate, dns::Zone};
use causeway_aws::{id::Arn, route53::Record};
use causeway_core::{Stack, Value};

/// The zone, if it is ours to write, and the certificate.
pub(super) fn certificate<'c>(stack: &mut Stack, config: &'c Ecs) -> (Option<Zone<'c>>, Value<Arn>) {
    stack.scope("dns", |stack| {
        let hosted = config.dns.hosted_zone(stack, "name_servers").map(Zone::Route53);
        let zone = hosted.or_else(|| config.dns_account().map(Zone::Elsewhere));
        let certificate = match (&config.dns.certificate_arn, &zone) {
            (Some(arn), _) => Arn::from(arn.as_str()).into(),
            (None, Some(zone)) => requested(stack, config, zone),
            // The configuration was checked: one of them is there.
            (None, None) => Arn::from("").into(),
        };
        (zone, certificate)
    })
}

/// The certificate that is requested for its names.
fn requested(stack: &mut Stack, config: &Ecs, zone: &Zone<'_>) -> Value<Arn> {
    let more = Vec::from_iter(config.wildcard_access_url.clone());
    let issued = certificate::issued(stack, config.host(), more, zone);
    stack.output("certificate_expires", &issued.not_after);
    issued.arn
}

/// The names that people type: aliases of the load balancer, and elsewhere than in Route 53 other names for its own.
pub(super) fn records(stack: &mut Stack, config: &Ecs, zone: Option<Zone<'_>>, balancer: &Balancer) {
    let Some(zone) = zone else { return };
    let names = [("access", Some(config.host())), ("wildcard", config.wildcard_access_url.as_deref())];
    stack.scope("dns", |stack| {
        for (name, host) in names {
            let Some(host) = host else { continue };
            let target = balancer.dns_name.clone();
            match &zone {
                Zone::Route53(zone) => {
                    stack.add(name, Record::alias(zone.clone(), host, target, balancer.dns_zone.clone()));
                }
                Zone::Elsewhere(account) => {
                    account.lead(stack, &format!("cname-{name}"), host.into(), &target, None);
                }
            }
        }
    });
}
