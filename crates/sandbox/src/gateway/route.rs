//! Which emulator serves which service, and what the signature of a request says about it.

use http::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// An emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// moto, for what must agree on the ids of EC2.
    Moto,
    /// fakecloud, for the rest.
    Fakecloud,
}

/// The wire protocol of a service, which decides where the operation is named and how an error looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `Action=` in a form; errors as `ErrorResponse` XML.
    Query,
    /// Like `Query`, with EC2's own error document.
    Ec2,
    /// `X-Amz-Target`; errors as JSON with `__type`.
    Json,
    /// Method and path; errors as JSON with an `x-amzn-errortype` header.
    RestJson,
    /// Method and path; errors as XML.
    RestXml,
}

/// The routing table: the name in the credential scope, the emulator, the protocol.
pub const ROUTES: &[(&str, Backend, Protocol)] = &[
    ("acm", Backend::Moto, Protocol::Json),
    ("autoscaling", Backend::Moto, Protocol::Query),
    ("ec2", Backend::Moto, Protocol::Ec2),
    ("elasticache", Backend::Moto, Protocol::Query),
    ("elasticloadbalancing", Backend::Moto, Protocol::Query),
    ("iam", Backend::Moto, Protocol::Query),
    ("rds", Backend::Moto, Protocol::Query),
    ("ssm", Backend::Moto, Protocol::Json),
    ("sts", Backend::Moto, Protocol::Query),
    ("tagging", Backend::Moto, Protocol::Json),
    ("application-autoscaling", Backend::Fakecloud, Protocol::Json),
    ("bedrock", Backend::Fakecloud, Protocol::RestJson),
    ("cloudfront", Backend::Fakecloud, Protocol::RestXml),
    ("cloudfront-keyvaluestore", Backend::Fakecloud, Protocol::RestJson),
    ("dynamodb", Backend::Fakecloud, Protocol::Json),
    ("ecr", Backend::Fakecloud, Protocol::Json),
    ("ecs", Backend::Fakecloud, Protocol::Json),
    ("eks", Backend::Fakecloud, Protocol::RestJson),
    ("events", Backend::Fakecloud, Protocol::Json),
    ("kms", Backend::Fakecloud, Protocol::Json),
    ("logs", Backend::Fakecloud, Protocol::Json),
    ("monitoring", Backend::Fakecloud, Protocol::Query),
    ("route53", Backend::Fakecloud, Protocol::RestXml),
    ("s3", Backend::Fakecloud, Protocol::RestXml),
    ("secretsmanager", Backend::Fakecloud, Protocol::Json),
    ("servicequotas", Backend::Fakecloud, Protocol::Json),
    ("sns", Backend::Fakecloud, Protocol::Query),
    ("sqs", Backend::Fakecloud, Protocol::Json),
    ("wafv2", Backend::Fakecloud, Protocol::Json),
];

/// Looks a service up in [`ROUTES`].
pub(crate) fn route(service: &str) -> Option<(Backend, Protocol)> {
    ROUTES.iter().find(|(name, ..)| *name == service).map(|(_, backend, protocol)| (*backend, *protocol))
}

/// Services without regions: whatever region a client signs for, there is one of each.
const GLOBAL: &[&str] = &["cloudfront", "cloudfront-keyvaluestore"];
/// Where what is global lives.
const GLOBAL_REGION: &str = "us-east-1";

/// Who calls what, as the credential scope of the signature says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Scope {
    /// Reads the scope of a signed header or a presigned URL. `None` if the request is not signed.
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri) -> Option<Scope> {
        let credential = match headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok())
        {
            Some(value) => value
                .strip_prefix("AWS4-HMAC-SHA256")
                .or_else(|| value.strip_prefix("AWS4-ECDSA-P256-SHA256"))?
                .split(',')
                .find_map(|part| part.trim().strip_prefix("Credential="))?
                .to_owned(),
            None => {
                let raw = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
                percent_decode_str(raw).decode_utf8().ok()?.into_owned()
            }
        };
        // From the right, because nothing forbids a slash in an access key.
        let mut parts = credential.rsplitn(5, '/');
        let (end, service) = (parts.next()?, parts.next()?);
        let (region, access_key) = match (parts.next()?, parts.next()?, parts.next()) {
            (region, _date, Some(access_key)) => (region, access_key),
            // Signatures with elliptic curves are for any region.
            (_date, access_key, None) => (GLOBAL_REGION, access_key),
        };
        let region = if GLOBAL.contains(&service) { GLOBAL_REGION } else { region };
        (end == "aws4_request").then(|| Scope {
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }

    /// The same caller for another service, as an `Authorization` header. The emulators do not check signatures.
    pub(crate) fn authorization(&self, service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/{}/{service}/aws4_request, SignedHeaders=host, Signature=0",
            self.access_key, self.region
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(authorization: &str) -> Option<Scope> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", authorization.parse().unwrap());
        Scope::of(&headers, &Uri::from_static("/"))
    }

    #[test]
    fn a_signed_header_names_caller_region_and_service() {
        let found = scope(
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-2/ecs/aws4_request, SignedHeaders=host, Signature=ab",
        )
        .unwrap();
        assert_eq!((&*found.access_key, &*found.region, &*found.service), ("AKID", "eu-west-2", "ecs"));
        assert_eq!(scope(&found.authorization("ecs")).unwrap(), found);
    }

    #[test]
    fn a_presigned_url_counts_as_signed() {
        let uri = Uri::from_static(
            "/b/k?X-Amz-Credential=AKID%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=1",
        );
        assert_eq!(Scope::of(&HeaderMap::new(), &uri).unwrap().service, "s3");
    }

    #[test]
    fn a_signature_for_any_region_counts_and_what_is_global_has_one() {
        let found = scope(
            "AWS4-ECDSA-P256-SHA256 Credential=AKID/20260101/cloudfront-keyvaluestore/aws4_request, SignedHeaders=host, Signature=ab",
        )
        .unwrap();
        assert_eq!(
            (&*found.access_key, &*found.region, &*found.service),
            ("AKID", "us-east-1", "cloudfront-keyvaluestore")
        );
        let found =
            scope("AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-2/cloudfront/aws4_request, Signature=a");
        assert_eq!(found.unwrap().region, "us-east-1");
    }

    #[test]
    fn what_is_not_a_signature_is_none() {
        assert_eq!(scope("Basic dXNlcjpwYXNz"), None);
        assert_eq!(scope("AWS4-HMAC-SHA256 Credential=AKID/us-east-1/s3"), None);
        assert_eq!(scope("AWS4-HMAC-SHA256 Credential=AKID/s3/aws4_request"), None);
        assert_eq!(Scope::of(&HeaderMap::new(), &Uri::from_static("/?a=b")), None);
    }

    #[test]
    fn every_service_has_one_route() {
        let mut names: Vec<_> = ROUTES.iter().map(|(name, ..)| name).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(route("ec2"), Some((Backend::Moto, Protocol::Ec2)));
        assert_eq!(route("ecs"), Some((Backend::Fakecloud, Protocol::Json)));
        assert_eq!(route("quantum"), None);
    }
}
