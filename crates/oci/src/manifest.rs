//! What registries have under a digest: <https://github.com/opencontainers/image-spec/blob/main/manifest.md>.

use crate::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is asked for: images and lists of them, as OCI and as Docker write them.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// Points at something in the same repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What an image runs on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) os: String,
    pub(crate) architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

impl Platform {
    /// `linux/arm/v7`; nothing for what is no image, like an attestation.
    pub(crate) fn name(&self) -> Option<String> {
        let variant = self.variant.iter().map(|v| format!("/{v}"));
        (self.os != "unknown")
            .then(|| format!("{}/{}{}", self.os, self.architecture, variant.collect::<String>()))
    }
}

/// An image, or images of the same program for several platforms.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) media_type: Option<String>,
    #[serde(flatten)]
    pub(crate) parts: Parts,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Parts {
    Index { manifests: Vec<Descriptor> },
    Image { config: Descriptor, layers: Vec<Descriptor> },
}
