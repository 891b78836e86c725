//! The names of a site: certificate, and records.

use super::Docs;
use crate::{certificate, dns::Zone};
use causeway_aws::{cloudfront::DistributionRefs, id::Arn, route53::Record};
use causeway_core::{Stack, Value};

/// The certificate of the names, if there are any.
pub(super) fn certificate(stack: &mut Stack, config: &Docs, zone: Option<&Zone<'_>>) -> Option<Value<Arn>> {
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

/// The names that people type: aliases of the distribution, and elsewhere than in Route 53 other names for its own.
pub(super) fn records(
    stack: &mut Stack,
    config: &Docs,
    zone: Option<&Zone<'_>>,
    distribution: &DistributionRefs,
) {
    let Some(zone) = zone else { return };
    for host in config.names() {
        match zone {
            Zone::Route53(zone) => {
                for record_type in ["A", "AAAA"] {
                    let (name, at) = (distribution.domain_name.clone(), distribution.hosted_zone_id.clone());
                    let mut record = Record::alias(zone.clone(), host.as_str(), name, at);
                    record.r#type = record_type.into();
                    stack.add(&format!("{}-{host}", record_type.to_lowercase()), record);
                }
            }
            // Cloudflare's proxy would keep files by their path alone, whichever release they are of.
            Zone::Elsewhere(account) => {
                let at = format!("cname-{host}");
                account.lead(stack, &at, host.into(), &distribution.domain_name, Some(false));
            }
        }
    }
}
