//! Tokens for the Kubernetes API of a cluster: a call of STS that is signed and not sent. The control plane sends it,
//! and so learns who we are.
//! <https://docs.aws.amazon.com/eks/latest/userguide/cluster-auth.html>

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4::SigningParams,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use causeway_core::Secret;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::time::{Duration, SystemTime};

/// All but what stands for itself in any URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a token begins with.
const PREFIX: &str = "k8s-aws-v1.";
/// The header that binds a token to a cluster, by its name.
const CLUSTER: &str = "x-k8s-aws-id";
/// What stands in the URL. The control plane does not go by it.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// The control plane takes a token for a quarter of an hour; a minute is left for clocks that differ.
const LASTS: Duration = Duration::from_secs(14 * 60);

/// A bearer token.
#[derive(Clone, Debug)]
pub struct Token {
    /// For the header `Authorization: Bearer ..`.
    pub secret: Secret,
    /// From then on another one is needed.
    pub expires: SystemTime,
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("sign a token for cluster {cluster}")]
pub struct TokenError {
    /// The cluster.
    cluster: String,
    /// What the signer says.
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// A token with which `credentials` enter the cluster of this name in `region`. Nothing is sent.
///
/// # Errors
/// [`TokenError`] if the credentials cannot be signed with.
pub fn token(
    credentials: &Credentials,
    region: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<Token, TokenError> {
    let url = signed(credentials, region, cluster, now)
        .map_err(|source| TokenError { cluster: cluster.to_owned(), source })?;
    let expires = credentials.expiry().map_or(now + LASTS, |expiry| expiry.min(now + LASTS));
    Ok(Token { secret: Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url))), expires })
}

fn signed(
    credentials: &Credentials,
    region: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = format!("https://sts.{region}.{suffix}/?Action=GetCallerIdentity&Version=2011-06-15");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(SIGNED_FOR);
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()?;
    let request =
        SignableRequest::new("GET", &url, [(CLUSTER, cluster)].into_iter(), SignableBody::Bytes(b""))?;
    let (signed, _) = sign(request, &params.into())?.into_parts();
    let encode = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let added: String =
        signed.params().iter().map(|(name, value)| format!("&{}={}", encode(name), encode(value))).collect();
    Ok(url + &added)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(token: &Token) -> String {
        let text = token.secret.expose().unwrap().strip_prefix(PREFIX).unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_a_signed_question_who_we_are() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let credentials =
            Credentials::new("AKIDEXAMPLE", "hunter2", Some("sess+ion/tok==".into()), None, "test");
        let token = token(&credentials, "eu-west-2", "coder", now).unwrap();
        assert_eq!(token.expires, now + LASTS);
        let url = url(&token);
        assert!(url.starts_with(
            "https://sts.eu-west-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&"
        ));
        for part in [
            "&X-Amz-Expires=60&",
            "&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&",
            "AKIDEXAMPLE%2F20231114%2Feu-west-2%2Fsts%2Faws4_request",
            "sess%2Bion%2Ftok%3D%3D",
        ] {
            assert!(url.contains(part), "{part} is not in {url}");
        }
        // As botocore signs it.
        let signature = "617717a38e6e4dc9fba28d2e39c0b25be4075c29743eb758e286377c988fe632";
        assert!(url.contains(&format!("&X-Amz-Signature={signature}&")), "{url}");
        // The cluster is signed and not told, and the key is neither.
        assert!(!url.contains("coder") && !url.contains("hunter2"));
        assert!(!format!("{token:?}").contains(PREFIX));
    }

    #[test]
    fn a_token_lasts_no_longer_than_its_credentials() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let soon = now + Duration::from_secs(30);
        let credentials = Credentials::new("A", "s", None, Some(soon), "test");
        assert_eq!(token(&credentials, "cn-north-1", "c", now).unwrap().expires, soon);
        let other = token(&Credentials::new("A", "s", None, None, "test"), "cn-north-1", "d", now).unwrap();
        assert!(url(&other).starts_with("https://sts.cn-north-1.amazonaws.com.cn/"));
    }
}
