//! Certificate Manager: certificates that are validated by DNS, and the wait until they are issued.
//!
//! A certificate tells which records prove its names as soon as it is asked for; whoever holds the zone writes them,
//! and [`CertificateIssued`] stands between those records and whatever needs the certificate.

mod certificate;
mod certificate_issued;

pub use certificate::{Certificate, CertificateOutputs, CertificateRefs, ValidationRecord};
pub use certificate_issued::{CertificateIssued, CertificateIssuedOutputs, CertificateIssuedRefs};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use aws_sdk_acm::{Client, types as sdk};
use causeway_core::{Error, Status, Tags, coalesce::Coalesce, error::Found, registry::ProviderKinds};
use std::{collections::BTreeMap, ops::Deref};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Certificate>().add::<CertificateIssued>()
}

/// The client of Certificate Manager in one region.
pub struct Acm {
    api: Client,
    /// By ARN. One call each: a certificate and the wait for it ask at the same time.
    pub(crate) certificates: Coalesce<String, sdk::CertificateDetail>,
}

impl Acm {
    /// The client that `config` describes.
    pub fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_acm, config);
        let asking = api.clone();
        let certificates = Coalesce::new(1, move |arns: std::collections::BTreeSet<String>| {
            let api = asking.clone();
            async move {
                let mut out = BTreeMap::new();
                for arn in arns {
                    let answer = api.describe_certificate().certificate_arn(&arn).send().await;
                    let found = answer.call("acm:DescribeCertificate").found()?;
                    out.extend(found.and_then(|f| f.certificate).map(|c| (arn, c)));
                }
                Ok::<_, Error>(out)
            }
        });
        Acm { api, certificates }
    }
}

impl Acm {
    /// The ARNs of all certificates, of every kind of key.
    pub(crate) async fn all(&self) -> Result<Vec<sdk::CertificateSummary>, Error> {
        // Without the filter, the service lists RSA keys of up to 2048 bits only.
        let all_keys = sdk::KeyAlgorithm::values().iter().map(|k| sdk::KeyAlgorithm::from(*k)).collect();
        let list = self.list_certificates();
        let list = list.includes(sdk::Filters::builder().set_key_types(Some(all_keys)).build());
        let listed = list.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
        listed.call("acm:ListCertificates")
    }

    /// The tags of the certificate; none if it is gone.
    pub(crate) async fn tags_of(&self, arn: &str) -> Result<Option<Tags>, Error> {
        let tags = self.list_tags_for_certificate().certificate_arn(arn).send().await;
        let tags = tags.call("acm:ListTagsForCertificate").found()?;
        Ok(tags.map(|tags| certificate::live_tags(tags.tags)))
    }

    /// The ARNs and tags of all certificates.
    pub(crate) async fn tagged(&self) -> Result<Vec<(String, Tags)>, Error> {
        let mut found = vec![];
        for arn in self.all().await?.into_iter().filter_map(|c| c.certificate_arn) {
            let tags = self.tags_of(&arn).await?;
            found.extend(tags.map(|tags| (arn, tags)));
        }
        Ok(found)
    }
}

impl Deref for Acm {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.api
    }
}

/// Why a certificate will never be good (again) for its names.
/// <https://docs.aws.amazon.com/acm/latest/userguide/troubleshooting-failed.html>
fn failure(certificate: &sdk::CertificateDetail) -> Option<Status> {
    use sdk::CertificateStatus as S;
    let why = match certificate.status.as_ref()? {
        S::Failed => {
            let reason = certificate.failure_reason.as_ref().map_or("no reason given", |r| r.as_str());
            format!("the certificate was refused: {reason}")
        }
        S::ValidationTimedOut => {
            "the certificate was not validated within 72 hours; its records were not found in DNS".to_owned()
        }
        S::Expired => "the certificate has expired".to_owned(),
        S::Revoked => "the certificate was revoked".to_owned(),
        _ => return None,
    };
    Some(Status::Failed(why))
}

/// When it ends, in RFC 3339. `None` until it is issued.
fn not_after(certificate: &sdk::CertificateDetail) -> Option<String> {
    use aws_smithy_types::date_time::Format;
    certificate.not_after.as_ref().and_then(|t| t.fmt(Format::DateTime).ok())
}
