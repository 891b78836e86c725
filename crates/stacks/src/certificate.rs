//! A certificate that is requested, proved in the zone of its names, and waited for.

use crate::dns::Zone;
use causeway_aws::{
    acm::{Certificate, CertificateIssued},
    id::Arn,
    route53::Record,
};
use causeway_core::{Set, Stack, Value};

/// What became of the request.
pub(crate) struct Issued {
    /// Known once it is issued.
    pub(crate) arn: Value<Arn>,
    /// When it ends.
    pub(crate) not_after: Value<Option<String>>,
}

/// Requests a certificate for `host` and `more` names, proves the right to them in `zone`, and waits until it is issued.
/// The proofs stay: ACM looks at them again for each renewal.
pub(crate) fn issued(stack: &mut Stack, host: &str, more: Vec<String>, zone: &Zone<'_>) -> Issued {
    let mut wanted = Certificate::of(host);
    wanted.subject_alternative_names = Set(more.into_iter().map(Value::Known).collect());
    let domains = wanted.validation_domains();
    let certificate = stack.add("certificate", wanted);
    let proofs = domains.iter().enumerate().map(|(i, domain)| {
        let name: Value<String> = certificate.validation.at(&format!("{i}/name"));
        let value: Value<String> = certificate.validation.at(&format!("{i}/value"));
        match zone {
            Zone::Route53(zone) => {
                let proof = Record::new(zone.clone(), name, "CNAME", [value]);
                stack.add(&format!("proof-{domain}"), proof).fqdn.clone()
            }
            // Behind Cloudflare's proxy nobody would see a CNAME.
            Zone::Elsewhere(account) => {
                account.lead(stack, &format!("cname-proof-{domain}"), name, &value, Some(false))
            }
        }
    });
    let validated_by = Set(proofs.collect());
    let issued = stack.add(
        "certificate-issued",
        CertificateIssued { certificate_arn: certificate.arn.clone(), validated_by },
    );
    Issued { arn: issued.arn.clone(), not_after: issued.not_after.clone() }
}
