//! One image by its name.

use crate::{Digest, Repository};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An image as people write it: `ghcr.io/coder/coder:v2.28.3`, with `@sha256:..` at the end where it is known which that is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    /// Where it is.
    pub repository: Repository,
    /// What it is called there.
    pub tag: String,
    /// What it is.
    pub digest: Option<Digest>,
}

/// Why a text names no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no image; write it with its tag, like `ghcr.io/coder/coder:v2.28.3`, and `@sha256:..` after that if you know it"
)]
pub struct BadReference(String);

impl FromStr for Reference {
    type Err = BadReference;
    fn from_str(text: &str) -> Result<Self, BadReference> {
        let bad = || BadReference(text.to_owned());
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let (repository, tag) = named.rsplit_once(':').filter(|(_, tag)| is_tag(tag)).ok_or_else(bad)?;
        let repository = repository.parse().map_err(|_| bad())?;
        Ok(Reference { repository, tag: tag.to_owned(), digest })
    }
}

/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b".-".contains(&b))
}

impl TryFrom<String> for Reference {
    type Error = BadReference;
    fn try_from(text: String) -> Result<Self, BadReference> {
        text.parse()
    }
}
impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)?;
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_everywhere() {
        let digest = Digest::of(b"");
        for text in [
            "ghcr.io/coder/coder:v2.28.3".to_owned(),
            format!("localhost:5000/a/b:latest@{digest}"),
            "docker.io/library/postgres:17".to_owned(),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        assert_eq!("postgres:17".parse::<Reference>().unwrap().to_string(), "docker.io/library/postgres:17");
        for bad in
            ["", "ghcr.io/a", "localhost:5000/a", "ghcr.io/a:", "ghcr.io/a:v1@sha256:0", "ghcr.io/a:-1"]
        {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
