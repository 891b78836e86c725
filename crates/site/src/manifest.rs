//! What a release consists of.

use crate::{Encoding, Release};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a release consists of, for the next publish to compare with, for whoever goes back to it to see that nothing of
/// it is gone, and for a monitor to check what the edge serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What the edge knows of it.
    pub release: Release,
    /// When it was made.
    pub made: Timestamp,
    /// Each file by its path, without a slash at its start.
    pub files: BTreeMap<String, File>,
    /// Exact redirects and rewrites: `<status> <target>` by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redirects: BTreeMap<String, String>,
    /// Patterns, in their order: pattern, status, target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<(String, u16, String)>,
    /// The bytes of each file that is there compressed, too, by how it is. Nothing of it says what visitors get, so two releases may
    /// differ in it and be the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub encoded: BTreeMap<String, BTreeMap<Encoding, u64>>,
}

/// One file of a release: its content, and what it is served with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The SHA-256 digest of its content, before it is compressed; lower-case hexadecimal.
    pub sha256: String,
    /// Bytes, before it is compressed.
    pub size: u64,
    /// `Content-Type`
    pub content_type: String,
    /// `Cache-Control`
    pub cache_control: String,
    /// Further headers, by their names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whether it lies with the immutable files of all releases.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
}
