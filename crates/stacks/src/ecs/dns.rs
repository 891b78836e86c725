//! The name and the certificate.

use super::{Ecs, balancer::Balancer};
use causeway_aws::{
    acm::{Certificate, CertificateIssued},
    id::{Arn, HostedZoneId},
    route53::{ExistingHostedZone, HostedZone, Record},
};
use causeway_core::{Set, Stack, Value};

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

/// Requests a certificate, proves the right to its names, and waits until it is issued.
fn requested(stack: &mut Stack, config: &Ecs, zone: &Value<HostedZoneId>) -> Value<Arn> {
    let mut wanted = Certificate::of(config.host());
    if let Some(wildcard) = &config.wildcard_access_url {
        wanted.subject_alternative_names = Set(vec![wildcard.clone().into()]);
    }
    let domains = wanted.validation_domains();
    let certificate = stack.add("certificate", wanted);
    let proofs = domains.iter().enumerate().map(|(i, domain)| {
        let name: Value<String> = certificate.validation.at(&format!("{i}/name"));
        let value: Value<String> = certificate.validation.at(&format!("{i}/value"));
        let proof = Record::new(zone.clone(), name, "CNAME", [value]);
        stack.add(&format!("proof-{domain}"), proof).fqdn.clone()
    });
    let validated_by = Set(proofs.collect());
    let issued = stack.add(
        "certificate-issued",
        CertificateIssued { certificate_arn: certificate.arn.clone(), validated_by },
    );
    stack.output("certificate_expires", &issued.not_after);
    issued.arn.clone()
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
