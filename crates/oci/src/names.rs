//! How images are named.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// Where images of one program are: a registry and a path in it, like `quay.io/jetstack/cert-manager-controller`, without a
/// tag. A name without a registry is one of Docker Hub, as everywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Repository {
    registry: String,
    path: String,
}

/// Why a text names no repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place of images; write it like `quay.io/jetstack/cert-manager-controller`, without a scheme, a tag or a digest"
)]
pub struct BadRepository(String);

/// What people call it, and where it answers.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

impl Repository {
    /// The registry, as people write it: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where its parts are. A registry on this machine is spoken to without TLS, as Docker does.
    pub(crate) fn url(&self) -> String {
        let host = if self.registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { &self.registry };
        format!("{}://{host}/v2/{}", scheme(host), self.path)
    }
}

/// How a host is spoken to: `http` for this machine, `https` for all others.
pub fn scheme(host: &str) -> &'static str {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let here = name == "localhost" || name.parse().is_ok_and(|ip: std::net::Ipv4Addr| ip.is_loopback());
    if here { "http" } else { "https" }
}

impl FromStr for Repository {
    type Err = BadRepository;
    fn from_str(text: &str) -> Result<Self, BadRepository> {
        let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (registry, path) = match text.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest.to_owned()),
            Some(_) => (DOCKER_HUB.0, text.to_owned()),
            None => (DOCKER_HUB.0, format!("library/{text}")),
        };
        let (host, port) = registry.split_once(':').unwrap_or((registry, "1"));
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_host = !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
            && port.parse::<u16>().is_ok();
        let is_part = |part: &str| {
            let ends = [part.bytes().next(), part.bytes().last()];
            ends.iter().all(|end| end.is_some_and(lower))
                && part.bytes().all(|b| lower(b) || b"._-".contains(&b))
                && !part.contains("..")
        };
        if is_host && path.split('/').all(is_part) {
            Ok(Repository { registry: registry.to_owned(), path })
        } else {
            Err(BadRepository(text.to_owned()))
        }
    }
}

impl TryFrom<String> for Repository {
    type Error = BadRepository;
    fn try_from(text: String) -> Result<Self, BadRepository> {
        text.parse()
    }
}
impl From<Repository> for String {
    fn from(repository: Repository) -> Self {
        repository.to_string()
    }
}
impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// The SHA-256 of something in a registry: `sha256:..`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Why a text is no digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest; it is `sha256:` and 64 digits of 0-9 and a-f")]
pub struct BadDigest(String);

const ALGORITHM: &str = "sha256:";

impl Digest {
    /// That of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Digest::finished(Sha256::new_with_prefix(bytes))
    }

    pub(crate) fn finished(hash: Sha256) -> Self {
        Digest(format!("{ALGORITHM}{}", hex::encode(hash.finalize())))
    }

    /// The 64 digits.
    pub fn hex(&self) -> &str {
        self.0.trim_start_matches(ALGORITHM)
    }
}

impl FromStr for Digest {
    type Err = BadDigest;
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        match text.strip_prefix(ALGORITHM) {
            Some(hex) if hex.len() == 64 && hex.bytes().all(digit) => Ok(Digest(text.to_owned())),
            _ => Err(BadDigest(text.to_owned())),
        }
    }
}
impl TryFrom<String> for Digest {
    type Error = BadDigest;
    fn try_from(text: String) -> Result<Self, BadDigest> {
        text.parse()
    }
}
impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_named_as_everywhere() {
        let url = |text: &str| text.parse::<Repository>().unwrap().url();
        assert_eq!(url("quay.io/jetstack/a"), "https://quay.io/v2/jetstack/a");
        assert_eq!(url("localhost:5000/a/b__c"), "http://localhost:5000/v2/a/b__c");
        assert_eq!(url("127.0.0.1:5000/a"), "http://127.0.0.1:5000/v2/a");
        assert_eq!(url("127.0.0.1.example.com/a"), "https://127.0.0.1.example.com/v2/a");
        assert_eq!(url("postgres"), "https://registry-1.docker.io/v2/library/postgres");
        assert_eq!("litellm/litellm".parse::<Repository>().unwrap().to_string(), "docker.io/litellm/litellm");
        for bad in [
            "",
            "https://quay.io/a",
            "quay.io/a:1",
            "quay.io/a@sha256:0",
            "quay.io/",
            "quay.io/a/../b",
            "quay.io/A",
            "host:x/a",
            "quay.io/a b",
            "u@quay.io/a",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_digest_is_64_digits() {
        let digest = Digest::of(b"");
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!((digest.to_string().as_str(), digest.hex().len()), (text, 64));
        assert_eq!(text.parse(), Ok(digest));
        for bad in ["", "sha256:", "sha512:00", &text[7..], &text.to_uppercase(), &text[..70]] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
