//! Whether the certificate of every HTTPS listener and of every distribution is issued, lasts, and covers the names that people type:
//! <https://docs.aws.amazon.com/acm/latest/APIReference/API_DescribeCertificate.html>.
//!
//! A certificate that the stack itself requests is looked at once it is there.

use super::{Finding, Preflight};
use crate::{Aws, Call, cloudfront::Distribution, elbv2::Listener};
use aws_sdk_acm::types::{CertificateDetail, CertificateStatus, CertificateType};
use causeway_core::{Error, error::Found};
use std::{collections::BTreeMap, time::SystemTime};

/// What ACM issues is renewed sixty days before its end. Whatever is closer to it than this was not.
const SOON: i64 = 30 * 24 * 3600;

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut certificates: BTreeMap<String, &Aws> = BTreeMap::new();
    for (_, listener, aws) in preflight.all::<Listener>() {
        if let Some(Ok(arn)) = listener.certificate_arn.as_ref().map(|arn| arn.get()) {
            certificates.insert(arn.to_string(), aws);
        }
    }
    let mut findings = vec![];
    for (arn, aws) in certificates {
        if arn.split(':').nth(3) != Some(&aws.region) {
            let asked = asked(&arn, &preflight.hosts);
            let answer = format!("it is not in {}, where the load balancer is", aws.region);
            let remedy =
                "a load balancer takes certificates of its own region only: request or import one there";
            findings.push(Finding::failed(asked, answer, remedy));
            continue;
        }
        findings.push(look(&arn, aws, &preflight.hosts, "[ecs.dns]").await?);
    }
    for (_, distribution, aws) in preflight.all::<Distribution>() {
        let Some(Ok(arn)) = distribution.certificate.as_ref().map(|c| c.acm_arn.get()) else { continue };
        // That it is in the region that CloudFront takes them from was seen when the file was read.
        let hosts = distribution.aliases.get()?;
        findings.push(look(arn.as_str(), aws, &hosts, "[docs.dns]").await?);
    }
    Ok(findings)
}

fn asked(arn: &str, hosts: &[String]) -> String {
    format!("whether the certificate {arn} covers {}", hosts.join(" and "))
}

async fn look(arn: &str, aws: &Aws, hosts: &[String], table: &str) -> Result<Finding, Error> {
    let asked = asked(arn, hosts);
    let found = aws.acm.describe_certificate().certificate_arn(arn).send().await;
    let found = found.call("acm:DescribeCertificate").found()?.and_then(|answer| answer.certificate);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(match found {
        Some(found) => judge(asked, &found, hosts, i64::try_from(now).unwrap_or(i64::MAX)),
        None => Finding::failed(
            asked,
            "there is no such certificate in this account",
            format!("correct `certificate_arn` under {table}; `aws acm list-certificates` lists them"),
        ),
    })
}

/// `now` in seconds since 1970.
fn judge(asked: String, found: &CertificateDetail, hosts: &[String], now: i64) -> Finding {
    if found.status() != Some(&CertificateStatus::Issued) {
        let status = found.status().map_or("UNKNOWN", CertificateStatus::as_str);
        let remedy = match found.status() {
            Some(CertificateStatus::PendingValidation) => {
                "prove the right to its names: `aws acm describe-certificate` shows the records that are wanted"
            }
            _ => "request another one",
        };
        return Finding::failed(asked, format!("it is not issued: {status}"), remedy);
    }
    let names: Vec<&str> = found
        .domain_name()
        .into_iter()
        .chain(found.subject_alternative_names().iter().map(String::as_str))
        .collect();
    let missing: Vec<&str> =
        hosts.iter().map(String::as_str).filter(|host| !names.iter().any(|n| covers(n, host))).collect();
    if !missing.is_empty() {
        let answer = format!("it does not cover {}, only {}", missing.join(" and "), names.join(", "));
        return Finding::failed(
            asked,
            answer,
            format!("request one that also has {}", missing.join(" and ")),
        );
    }
    let left = found.not_after().map(|end| end.secs() - now);
    match left {
        Some(left) if left <= 0 => Finding::failed(asked, "it has expired", "import or request a new one"),
        Some(left) if left < SOON => {
            let remedy = match found.r#type() {
                Some(CertificateType::Imported) => {
                    "import a new one under the same ARN: ACM does not renew it"
                }
                _ => "look why it is not renewed: its validation records may be gone",
            };
            Finding::warning(asked, format!("it does, for {} more days", left / 86400), remedy)
        }
        Some(left) => Finding::passed(asked, format!("it does, for {} more days", left / 86400)),
        None => Finding::passed(asked, "it does"),
    }
}

/// Whether a certificate for `name` is good for `host`. A star stands for one label, and a wildcard host needs the same star.
fn covers(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(parent), Some((label, rest))) = (name.strip_prefix("*."), host.split_once('.')) else {
        return false;
    };
    label != "*" && parent.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::DateTime;
    use causeway_core::finding::Verdict;

    fn certificate(status: CertificateStatus, names: &[&str], end: i64) -> CertificateDetail {
        CertificateDetail::builder()
            .status(status)
            .domain_name(names[0])
            .set_subject_alternative_names(Some(names.iter().map(ToString::to_string).collect()))
            .not_after(DateTime::from_secs(end))
            .build()
    }

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(covers("*.example.com", "coder.example.com"));
        assert!(covers("*.coder.example.com", "*.coder.example.com"));
        assert!(!covers("*.example.com", "*.coder.example.com"));
        assert!(!covers("*.example.com", "*.example.org"));
        assert!(!covers("*.example.com", "a.b.example.com"));
        assert!(!covers("*.example.com", "example.com"));
    }

    #[test]
    fn every_flaw_is_told() {
        let hosts = ["coder.example.com".to_owned(), "*.coder.example.com".to_owned()];
        let both = ["coder.example.com", "*.coder.example.com"];
        let verdict = |c: &CertificateDetail| judge(String::new(), c, &hosts, 1_000_000);
        let good = certificate(CertificateStatus::Issued, &both, 1_000_000 + SOON);
        assert_eq!(verdict(&good).verdict, Verdict::Passed);
        let soon = certificate(CertificateStatus::Issued, &both, 1_000_000 + SOON - 1);
        assert_eq!(verdict(&soon).verdict, Verdict::Warning);
        let over = certificate(CertificateStatus::Issued, &both, 1_000_000);
        assert_eq!(verdict(&over).verdict, Verdict::Failed);
        let bare = verdict(&certificate(CertificateStatus::Issued, &both[..1], 9_000_000));
        assert_eq!(bare.verdict, Verdict::Failed);
        assert!(bare.answer.contains("does not cover *.coder.example.com"), "{}", bare.answer);
        let pending = verdict(&certificate(CertificateStatus::PendingValidation, &both, 9_000_000));
        assert!(pending.answer.contains("PENDING_VALIDATION"), "{}", pending.answer);
    }
}
