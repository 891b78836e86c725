//! <https://docs.aws.amazon.com/acm/latest/APIReference/API_DescribeCertificate.html>

use super::{failure, not_after};
use crate::{Aws, id::Arn};
use aws_sdk_acm::types as sdk;
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Set, Status, Timing, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};

/// The wait until a certificate is issued. It makes nothing and deletes nothing; what needs an issued certificate
/// takes its `arn` from here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateIssued {
    /// The certificate.
    pub certificate_arn: Value<Arn>,
    /// References to the records that prove its names, any output of them, so that the wait begins when they are
    /// there. Nothing else is done with them.
    #[serde(default)]
    pub validated_by: Set<String>,
}

outputs! {
    /// What an issued certificate tells others.
    pub struct CertificateIssuedOutputs => CertificateIssuedRefs {
        /// The ARN of the certificate.
        pub arn: Arn,
        /// When it ends, in RFC 3339.
        pub not_after: Option<String>,
    }
}

impl Resource for CertificateIssued {
    const KIND: &'static str = "aws.acm.certificate_issued";
    const RECOVERY: Recovery = Recovery::Observed;
    // Usually minutes after the records are in DNS; half an hour is what AWS asks people to wait.
    const TIMING: Timing = Timing::seconds(120, 5, 3600);
    type Client = Aws;
    type Outputs = CertificateIssuedOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let arn = self.certificate_arn.get()?;
        let Some(detail) = cx.client.acm.certificates.get(arn.0.clone()).await? else { return Ok(None) };
        Ok(Some(Live {
            spec: self.clone(),
            outputs: CertificateIssuedOutputs { arn: arn.clone(), not_after: not_after(&detail) },
            status: status(&detail),
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        let arn = self.certificate_arn.get()?;
        Err(Error::Invalid(format!("there is no certificate {arn} in this region to wait for")))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

fn status(detail: &sdk::CertificateDetail) -> Status {
    failure(detail).unwrap_or_else(|| match &detail.status {
        Some(sdk::CertificateStatus::Issued) => Status::Ready,
        Some(sdk::CertificateStatus::PendingValidation) => {
            let open = detail.domain_validation_options.iter().flatten();
            let open: Vec<&str> = open
                .filter(|o| o.validation_status != Some(sdk::DomainStatus::Success))
                .map(|o| o.domain_name.as_str())
                .collect();
            Status::Pending(format!("the validation of {}", open.join(", ")))
        }
        other => Status::Pending(other.as_ref().map_or("unknown", |s| s.as_str()).to_lowercase()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_issued_certificate_ends_the_wait() {
        use sdk::CertificateStatus as S;
        let with = |status| sdk::CertificateDetail::builder().status(status).build();
        assert_eq!(status(&with(S::Issued)), Status::Ready);
        assert!(matches!(status(&with(S::PendingValidation)), Status::Pending(_)));
        for end in [S::Failed, S::ValidationTimedOut, S::Expired, S::Revoked] {
            assert!(matches!(status(&with(end)), Status::Failed(_)));
        }
        let refused = sdk::CertificateDetail::builder()
            .status(S::Failed)
            .failure_reason(sdk::FailureReason::CaaError)
            .build();
        assert_eq!(status(&refused), Status::Failed("the certificate was refused: CAA_ERROR".into()));
    }

    #[test]
    fn a_wait_says_which_names_are_open() {
        let option = |name: &str, status| {
            sdk::DomainValidation::builder().domain_name(name).validation_status(status).build().unwrap()
        };
        let detail = sdk::CertificateDetail::builder()
            .status(sdk::CertificateStatus::PendingValidation)
            .domain_validation_options(option("a.example.com", sdk::DomainStatus::Success))
            .domain_validation_options(option("b.example.com", sdk::DomainStatus::PendingValidation))
            .build();
        assert_eq!(status(&detail), Status::Pending("the validation of b.example.com".into()));
    }
}
