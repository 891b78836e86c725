//! <https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html>

use super::{failure, not_after};
use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_acm::types as sdk;
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff,
    error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A certificate that is validated by DNS. Ready as soon as it says which records prove its names; that it is issued
/// is what [`CertificateIssued`](super::CertificateIssued) waits for.
///
/// Names are written in lower case, as the service answers them. CloudFront takes certificates of `us-east-1` only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// The first name, like `coder.example.com` or `*.example.com`.
    pub domain_name: String,
    /// More names. The first one may be in it or not.
    #[serde(default)]
    pub subject_alternative_names: Set<String>,
    /// `RSA_2048`, `EC_prime256v1`, `EC_secp384r1`. `None`: AWS chooses `RSA_2048`.
    #[serde(default)]
    pub key_algorithm: Option<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A record that proves the right to a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// The name that it proves, without `*.`: a name and its wildcard share one record.
    pub domain: String,
    /// The name of the record, without a dot at the end.
    pub name: String,
    /// `CNAME`.
    #[serde(rename = "type")]
    pub record_type: String,
    /// The target of the record, without a dot at the end.
    pub value: String,
}

impl Certificate {
    /// A certificate for one name.
    pub fn of(domain_name: &str) -> Self {
        Certificate {
            domain_name: domain_name.to_lowercase(),
            subject_alternative_names: Set::default(),
            key_algorithm: None,
            tags: Tags::default(),
        }
    }

    /// A certificate for a name and everything one level below it.
    pub fn with_wildcard(domain_name: &str) -> Self {
        let wildcard = format!("*.{}", domain_name.to_lowercase());
        Certificate { subject_alternative_names: [wildcard].into_iter().collect(), ..Self::of(domain_name) }
    }

    /// The names that need a record, in the order of the output `validation`: the record of the first is at
    /// `validation.at("0/name")` and `validation.at("0/value")`, and so on. Known before anything is asked for, so
    /// that a stack can plan the records.
    pub fn validation_domains(&self) -> Vec<String> {
        let more = self.subject_alternative_names.0.iter().filter_map(|name| name.get().ok());
        let all: BTreeSet<&str> = more.chain([&self.domain_name]).map(|name| bare(name)).collect();
        all.into_iter().map(str::to_lowercase).collect()
    }
}

outputs! {
    /// What a certificate tells others.
    pub struct CertificateOutputs => CertificateRefs {
        /// `arn:aws:acm:..:certificate/<id>`
        pub arn: Arn,
        /// The records that prove its names, by domain; see [`Certificate::validation_domains`].
        pub validation: Vec<ValidationRecord>,
        /// When it ends, in RFC 3339; none until it is issued.
        pub not_after: Option<String>,
    }
}

impl Resource for Certificate {
    const KIND: &'static str = "aws.acm.certificate";
    const RECOVERY: Recovery = Recovery::Token;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("arn");
    const REPLACE: &'static [&'static str] = &["domain_name", "subject_alternative_names", "key_algorithm"];
    const TIMING: Timing = Timing::seconds(8, 2, 300);
    type Client = Aws;
    type Outputs = CertificateOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let arn = match &cx.recorded {
            Some(outputs) => Some(outputs.arn.clone()),
            None => self.find(cx).await?.map(Arn),
        };
        let Some(arn) = arn else { return Ok(None) };
        let acm = &cx.client.acm;
        let (detail, confirmed) = tokio::join!(
            acm.certificates.get(arn.0.clone()),
            cx.client.tag_index.confirms(cx, Some(&arn), &self.tags)
        );
        let Some(detail) = detail? else { return Ok(None) };
        let tags = match confirmed {
            Some(tags) => Some(tags),
            None => acm.tags_of(arn.as_str()).await?,
        };
        // Without tags, it went between the two calls.
        Ok(tags.map(|tags| self.live(detail, tags)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let names = self.subject_alternative_names.get()?;
        cx.client
            .acm
            .request_certificate()
            .domain_name(&self.domain_name)
            .validation_method(sdk::ValidationMethod::Dns)
            // An empty list is refused.
            .set_subject_alternative_names((!names.is_empty()).then_some(names))
            .idempotency_token(cx.token())
            .set_key_algorithm(self.key_algorithm.as_deref().map(sdk::KeyAlgorithm::from))
            .set_tags(sdk_tags(self.tags.iter()))
            .send()
            .await
            .call("acm:RequestCertificate")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let (acm, arn) = (&cx.client.acm, live.outputs.arn.as_str());
        let steps = self.tags.steps(&live.spec.tags, diff);
        if let Some(tags) = sdk_tags(steps.set.into_iter()) {
            let answer = acm.add_tags_to_certificate().certificate_arn(arn).set_tags(Some(tags)).send().await;
            answer.call("acm:AddTagsToCertificate")?;
        }
        if !steps.remove.is_empty() {
            let tags: Vec<_> = steps.remove.into_iter().filter_map(|k| tag(k, None)).collect();
            let answer =
                acm.remove_tags_from_certificate().certificate_arn(arn).set_tags(Some(tags)).send().await;
            answer.call("acm:RemoveTagsFromCertificate")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let arn = live.outputs.arn.as_str();
        let answer = cx.client.acm.delete_certificate().certificate_arn(arn).send().await;
        answer.call("acm:DeleteCertificate").found()?;
        Ok(())
    }
}

impl Certificate {
    /// Looks for the certificate of this incarnation. The token alone would find it only for an hour: after that the
    /// service makes another certificate for the same token.
    async fn find(&self, cx: &Cx<'_, Self>) -> Result<Option<String>, Error> {
        if cx.instance.is_empty() {
            return Ok(None);
        }
        let same_name = |domain: &str| domain.eq_ignore_ascii_case(&self.domain_name);
        let listed = cx.client.acm.all().await?;
        let alike = listed.into_iter().filter(|c| c.domain_name.as_deref().is_some_and(same_name));
        for arn in alike.filter_map(|c| c.certificate_arn) {
            // Another one that is being deleted meanwhile is not ours.
            let Some(tags) = cx.client.acm.tags_of(&arn).await? else { continue };
            if tags.0.get(Tags::INSTANCE).is_some_and(|i| i == cx.instance) {
                return Ok(Some(arn));
            }
        }
        Ok(None)
    }

    fn live(&self, detail: sdk::CertificateDetail, tags: Tags) -> Live<Self> {
        let (validation, missing) =
            validation(detail.domain_validation_options.as_deref().unwrap_or_default());
        let status = failure(&detail).unwrap_or(match missing {
            false => Status::Ready,
            true => Status::Pending("its validation records".into()),
        });
        let domain = detail.domain_name.clone().unwrap_or_default();
        // The service puts the first name into the list; the spec may leave it out.
        let repeats = self.subject_alternative_names.0.iter().any(|v| v.get().is_ok_and(|n| *n == domain));
        Live {
            outputs: CertificateOutputs {
                arn: detail.certificate_arn.clone().unwrap_or_default().into(),
                validation,
                not_after: not_after(&detail),
            },
            status,
            owner: tags.owner(),
            spec: Certificate {
                subject_alternative_names: detail
                    .subject_alternative_names
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|name| repeats || *name != domain)
                    .map(Value::Known)
                    .collect(),
                domain_name: domain,
                key_algorithm: shown(
                    self.key_algorithm.as_ref(),
                    detail.key_algorithm.map(|k| underscored(k.as_str())),
                    "RSA_2048".to_owned(),
                ),
                tags,
            },
        }
    }
}

/// The service takes `RSA_2048` and answers `RSA-2048`.
fn underscored(algorithm: &str) -> String {
    algorithm.replace('-', "_")
}

/// Without the wildcard and its dot.
fn bare(name: &str) -> &str {
    name.strip_prefix("*.").unwrap_or(name)
}

/// The records by domain, each once, and whether some are not known yet. The service makes them up seconds after the
/// request was answered.
fn validation(options: &[sdk::DomainValidation]) -> (Vec<ValidationRecord>, bool) {
    let mut records = BTreeMap::new();
    for option in options {
        let Some(record) = &option.resource_record else { continue };
        let domain = bare(&option.domain_name).to_lowercase();
        let without_dot = |name: &str| name.strip_suffix('.').unwrap_or(name).to_owned();
        records.entry(domain.clone()).or_insert_with(|| ValidationRecord {
            domain,
            name: without_dot(&record.name),
            record_type: record.r#type.as_str().to_owned(),
            value: without_dot(&record.value),
        });
    }
    let missing = options.is_empty() || options.iter().any(|o| o.resource_record.is_none());
    (records.into_values().collect(), missing)
}

pub(super) fn live_tags(tags: Option<Vec<sdk::Tag>>) -> Tags {
    Tags::live(tags.unwrap_or_default().into_iter().map(|t| (t.key, t.value.unwrap_or_default())))
}

fn tag(key: &str, value: Option<&str>) -> Option<sdk::Tag> {
    // Only a tag without a key does not build.
    sdk::Tag::builder().key(key).set_value(value.map(str::to_owned)).build().ok()
}

fn sdk_tags<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Vec<sdk::Tag>> {
    let tags: Vec<_> = tags.filter_map(|(k, v)| tag(k, Some(v))).collect();
    // An empty list is refused.
    (!tags.is_empty()).then_some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(domain: &str, record: Option<&str>) -> sdk::DomainValidation {
        let record = record.map(|name| {
            sdk::ResourceRecord::builder()
                .name(format!("{name}."))
                .r#type(sdk::RecordType::Cname)
                .value(format!("{name}.acm-validations.aws."))
                .build()
                .unwrap()
        });
        sdk::DomainValidation::builder().domain_name(domain).set_resource_record(record).build().unwrap()
    }

    #[test]
    fn a_name_and_its_wildcard_share_a_record() {
        let options = [
            option("z.example.com", Some("_z.z.example.com")),
            option("*.a.example.com", Some("_a.a.example.com")),
            option("a.example.com", Some("_a.a.example.com")),
        ];
        let (records, missing) = validation(&options);
        assert!(!missing);
        let names: Vec<_> = records.iter().map(|r| (r.domain.as_str(), r.name.as_str())).collect();
        assert_eq!(names, [("a.example.com", "_a.a.example.com"), ("z.example.com", "_z.z.example.com")]);
        assert_eq!(records[0].value, "_a.a.example.com.acm-validations.aws");
    }

    #[test]
    fn the_records_can_be_planned_before_they_are_known() {
        let mut spec = Certificate::with_wildcard("coder.example.com");
        spec.subject_alternative_names.0.push("api.example.com".into());
        assert_eq!(spec.validation_domains(), ["api.example.com", "coder.example.com"]);
    }

    #[test]
    fn it_is_pending_until_every_record_is_known() {
        let spec = Certificate::with_wildcard("a.example.com");
        let detail = |options: Vec<_>| {
            sdk::CertificateDetail::builder()
                .domain_name("a.example.com")
                .subject_alternative_names("a.example.com")
                .subject_alternative_names("*.a.example.com")
                .set_domain_validation_options(Some(options))
                .status(sdk::CertificateStatus::PendingValidation)
                .key_algorithm(sdk::KeyAlgorithm::from("RSA-2048"))
                .build()
        };
        let status = |options| spec.live(detail(options), Tags::default()).status;
        assert!(matches!(status(vec![]), Status::Pending(_)));
        assert!(matches!(
            status(vec![option("a.example.com", Some("_a")), option("*.a.example.com", None)]),
            Status::Pending(_)
        ));
        assert_eq!(status(vec![option("a.example.com", Some("_a"))]), Status::Ready);
    }

    #[test]
    fn the_first_name_is_in_the_list_only_where_the_spec_has_it() {
        let detail = sdk::CertificateDetail::builder()
            .domain_name("a.example.com")
            .subject_alternative_names("a.example.com")
            .subject_alternative_names("*.a.example.com")
            .key_algorithm(sdk::KeyAlgorithm::from("RSA-2048"))
            .build();
        let mut spec = Certificate::with_wildcard("a.example.com");
        spec.key_algorithm = Some("RSA_2048".into());
        let live = spec.live(detail.clone(), Tags::default());
        assert_eq!(serde_json::to_value(&live.spec).unwrap(), serde_json::to_value(&spec).unwrap());
        spec.subject_alternative_names.0.push("a.example.com".into());
        let live = spec.live(detail, Tags::default());
        assert_eq!(serde_json::to_value(&live.spec).unwrap(), serde_json::to_value(&spec).unwrap());
    }
}
