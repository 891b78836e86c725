//! Requests to origins: buckets of the sandbox, and web servers on HTTP.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::BodyExt;

use super::policy::{Caller, allows};
use super::site::{Origin, Site};
use crate::gateway::{Act, Backend, BoxError, Element, Scope, State, full};

/// What an origin said.
#[derive(Debug)]
pub(super) struct Answer {
    /// When it was asked.
    pub(super) at: Instant,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A bucket as an origin names it.
#[derive(Debug, PartialEq, Eq)]
struct Bucket<'a> {
    name: &'a str,
    region: &'a str,
    website: bool,
}

/// Headers that S3 gives and CloudFront keeps to itself, and those of one connection.
const KEPT_BACK: &[&str] =
    &["x-amz-request-id", "x-amz-id-2", "connection", "transfer-encoding", "keep-alive"];

/// Asks an origin; `path` has its query string. Rules of the gateway for `edge:Origin` meet it.
pub(super) async fn fetch(
    state: &State,
    site: &Site,
    origin: &Origin,
    method: &Method,
    path: &str,
    headers: HeaderMap,
) -> Answer {
    let at = Instant::now();
    let Scope { access_key, region, .. } = &site.scope;
    let mut verdict = state.rules.judge("edge:Origin", access_key, region, false);
    if !verdict.delay.is_zero() {
        tokio::time::sleep(verdict.delay).await;
    }
    if let Some(hold) = verdict.hold.take() {
        hold.wait().await;
    }
    let failed = |status, why: &str| Answer {
        at,
        status,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(why.as_bytes()),
    };
    match verdict.act {
        Some(Act::Throttle) => return failed(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Some(Act::Denied | Act::Expired | Act::Quota) => {
            return failed(StatusCode::FORBIDDEN, "AccessDenied");
        }
        Some(Act::ErrorBefore | Act::ErrorAfter) => {
            return failed(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        Some(Act::CutBefore | Act::CutAfter) => {
            return failed(StatusCode::BAD_GATEWAY, "CloudFront wasn't able to connect to the origin.");
        }
        _ => {}
    }
    let path = format!("{}{path}", origin.path);
    let asked = Ask { state, site, origin, method, path: &path, headers };
    let answer = match bucket(&origin.domain) {
        Some(bucket) => asked.bucket(&bucket).await,
        None => asked.server().await,
    };
    match answer {
        Ok((status, mut headers, body)) => {
            for name in KEPT_BACK {
                headers.remove(*name);
            }
            Answer { at, status, headers, body }
        }
        Err(error) => {
            tracing::debug!(%error, origin = origin.domain, "the origin did not answer");
            failed(StatusCode::BAD_GATEWAY, "CloudFront wasn't able to connect to the origin.")
        }
    }
}

struct Ask<'a> {
    state: &'a State,
    site: &'a Site,
    origin: &'a Origin,
    method: &'a Method,
    path: &'a str,
    headers: HeaderMap,
}

type Parts = (StatusCode, HeaderMap, Bytes);

impl Ask<'_> {
    async fn bucket(self, bucket: &Bucket<'_>) -> Result<Parts, BoxError> {
        let scope =
            Scope { region: bucket.region.to_owned(), service: "s3".to_owned(), ..self.site.scope.clone() };
        let account = crate::account::of(&scope.access_key);
        let caller = match self.origin.signed && !bucket.website {
            true => Caller::Distribution { arn: &self.site.arn, account },
            false => Caller::Anybody,
        };
        let key = self.path.split('?').next().unwrap_or_default().trim_start_matches('/');
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
        let document = self.about(&scope, bucket.name, "policy").await?;
        let policy = document.and_then(|document| serde_json::from_str(&document).ok()).unwrap_or_default();
        let arn = format!("arn:aws:s3:::{}", bucket.name);
        let denied = || {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
            (StatusCode::FORBIDDEN, headers, Bytes::from_static(body.as_bytes()))
        };
        if !allows(&policy, &caller, "s3:GetObject", &format!("{arn}/{key}"))
            || self.is_closed(&scope, bucket, &caller).await?
        {
            return Ok(denied());
        }
        let mut request = self.request(self.path)?;
        let host = self.origin.domain.parse()?;
        request.headers_mut().insert(header::HOST, host);
        let answer = self.send(&scope, request).await?;
        // Who may not list a bucket is not told what is not in it.
        let may_list = bucket.website || allows(&policy, &caller, "s3:ListBucket", &arn);
        Ok(if answer.0 == StatusCode::NOT_FOUND && !may_list { denied() } else { answer })
    }

    /// Whether the bucket is closed to everybody whatever its policy says.
    async fn is_closed(
        &self,
        scope: &Scope,
        bucket: &Bucket<'_>,
        caller: &Caller<'_>,
    ) -> Result<bool, BoxError> {
        if !matches!(caller, Caller::Anybody) {
            return Ok(false);
        }
        let document = self.about(scope, bucket.name, "publicAccessBlock").await?;
        let block = document.and_then(|document| Element::parse(&document));
        Ok(block.and_then(|block| block.get("RestrictPublicBuckets")).is_some_and(|set| set == "true"))
    }

    /// A setting of a bucket; `None` if it has none.
    async fn about(&self, scope: &Scope, bucket: &str, setting: &str) -> Result<Option<String>, BoxError> {
        let request = Request::get(format!("/{bucket}?{setting}")).body(())?;
        let (status, _, body) = self.send(scope, request).await?;
        Ok(status.is_success().then(|| String::from_utf8_lossy(&body).into_owned()))
    }

    async fn send(&self, scope: &Scope, request: Request<()>) -> Result<Parts, BoxError> {
        let mut parts = request.into_parts().0;
        parts.headers.insert(header::AUTHORIZATION, scope.authorization("s3").parse()?);
        let response = self.state.pass(Backend::Fakecloud, scope, &parts).await?;
        let (parts, body) = response.into_parts();
        Ok((parts.status, parts.headers, body.collect().await?.to_bytes()))
    }

    fn request(&self, uri: &str) -> Result<Request<()>, BoxError> {
        let mut request = Request::builder().method(self.method).uri(uri).body(())?;
        request.headers_mut().extend(self.headers.clone());
        for (name, value) in &self.origin.headers {
            request.headers_mut().insert(name.parse::<http::HeaderName>()?, value.parse()?);
        }
        Ok(request)
    }

    async fn server(self) -> Result<Parts, BoxError> {
        if self.origin.https_only {
            return Err("the sandbox's edge speaks HTTP to origins".into());
        }
        let port = self.origin.http_port.filter(|_| !self.origin.domain.contains(':'));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let request = self.request(&format!("http://{}{port}{}", self.origin.domain, self.path))?;
        let response = self.state.client.request(request.map(|()| full(Bytes::new()))).await?;
        let (parts, body) = response.into_parts();
        Ok((parts.status, parts.headers, body.collect().await?.to_bytes()))
    }
}

/// The bucket that an address of S3 names.
/// <https://docs.aws.amazon.com/general/latest/gr/s3.html>
fn bucket(domain: &str) -> Option<Bucket<'_>> {
    let rest = domain.strip_suffix(".amazonaws.com")?;
    // A bucket's own name may have dots.
    let at = rest.rfind(".s3")?;
    let (name, end) = (&rest[..at], &rest[at + 3..]);
    let (website, end) = match end.strip_prefix("-website") {
        Some(end) => (true, end),
        None => (false, end.strip_prefix(".dualstack").unwrap_or(end)),
    };
    let region = match end {
        "" => "us-east-1",
        end => end.strip_prefix(['.', '-'])?,
    };
    let valid = !region.is_empty() && !name.is_empty() && !region.contains('.');
    valid.then_some(Bucket { name, region, website })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_buckets_are_known() {
        for (domain, name, region, website) in [
            ("a.s3.amazonaws.com", "a", "us-east-1", false),
            ("a.b.s3.eu-west-2.amazonaws.com", "a.b", "eu-west-2", false),
            ("a.s3-us-west-2.amazonaws.com", "a", "us-west-2", false),
            ("a.s3.dualstack.us-west-2.amazonaws.com", "a", "us-west-2", false),
            ("a.s3-website-us-east-1.amazonaws.com", "a", "us-east-1", true),
            ("a.s3-website.eu-central-1.amazonaws.com", "a", "eu-central-1", true),
        ] {
            assert_eq!(bucket(domain), Some(Bucket { name, region, website }), "{domain}");
        }
        for domain in ["localhost:80", "s3.amazonaws.com", "a.example.com", "a.s3.example.com"] {
            assert_eq!(bucket(domain), None, "{domain}");
        }
    }
}
