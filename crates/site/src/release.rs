//! What the edge has to know of a release.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Names a release: when it was made, in UTC, and what it holds; `20261122T151200Z-3f9ac1d2`. Later ones sort after
/// earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(String);

/// What is not the name of a release.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no release; one looks like 20261122T151200Z-3f9ac1d2")]
pub struct InvalidReleaseId(pub String);

impl ReleaseId {
    /// The name of what is made at `at`, whose content has the SHA-256 digest `sha256`.
    pub fn new(at: Timestamp, sha256: [u8; 32]) -> Self {
        let [a, b, c, d, ..] = sha256;
        ReleaseId(format!("{}-{a:02x}{b:02x}{c:02x}{d:02x}", at.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ReleaseId {
    type Err = InvalidReleaseId;

    fn from_str(text: &str) -> Result<Self, InvalidReleaseId> {
        let digits = |part: &str, n: usize| part.len() == n && part.bytes().all(|b| b.is_ascii_digit());
        let valid = text.split_once('-').is_some_and(|(time, digest)| {
            let time = time.strip_suffix('Z').and_then(|time| time.split_once('T'));
            time.is_some_and(|(day, time)| digits(day, 8) && digits(time, 6))
                && digest.len() == 8
                && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        if valid { Ok(ReleaseId(text.to_owned())) } else { Err(InvalidReleaseId(text.to_owned())) }
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = InvalidReleaseId;

    fn try_from(text: String) -> Result<Self, InvalidReleaseId> {
        text.parse()
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> String {
        id.0
    }
}

/// What the edge knows of a release; the router reads it at each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which it is.
    pub id: ReleaseId,
    /// How its pages are spelled.
    pub style: Style,
    /// What the paths of immutable files start with, each with a slash at its start and its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub immutable: Vec<String>,
    /// Whether it has exact redirects.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact: bool,
    /// How many chunks of rules it has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rules: usize,
    /// How each file that [`layout::is_text`](crate::layout::is_text) names is there besides as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<Encoding>,
    /// How all immutable files are there compressed: also those of other releases, which pages that are still open ask for. It
    /// is found out when visitors are led to a release, so manifests do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<Encoding>,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// How the pages of a site are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// `/guide/`, from `guide/index.html`; `/guide` leads there.
    Directory,
    /// `/guide`, from `guide.html`; `/guide/` leads there.
    File,
}

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Brotli; the objects end in `.br`.
    Br,
    /// Gzip; the objects end in `.gz`.
    Gzip,
}

impl Encoding {
    /// All that there are.
    pub const ALL: [Encoding; 2] = [Encoding::Br, Encoding::Gzip];

    /// As `Accept-Encoding` and `Content-Encoding` spell it.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Br => "br",
            Encoding::Gzip => "gzip",
        }
    }

    /// What the keys of objects end in that are compressed so.
    pub fn ending(self) -> &'static str {
        match self {
            Encoding::Br => ".br",
            Encoding::Gzip => ".gz",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_time_and_its_digest() {
        let at: Timestamp = "2026-11-22T15:12:00Z".parse().unwrap();
        let id = ReleaseId::new(at, [0x3f; 32]);
        assert_eq!(id.as_str(), "20261122T151200Z-3f3f3f3f");
        assert_eq!(id.as_str().parse::<ReleaseId>().unwrap(), id);
    }

    #[test]
    fn what_could_leave_its_folder_is_no_id() {
        for text in [
            "",
            "..",
            "20261122T151200Z-3f3f3f3f/..",
            "20261122T151200Z-3F3f3f3f",
            "2026T15Z-3f3f3f3f",
            "live",
        ] {
            assert!(text.parse::<ReleaseId>().is_err(), "{text}");
        }
    }
}
