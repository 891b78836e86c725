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
        let Platform { os, architecture, variant } = self;
        match variant.as_deref() {
            _ if os == "unknown" => None,
            // There is no other, and half of all images do not say it.
            Some("v8") if architecture == "arm64" => Some(format!("{os}/{architecture}")),
            Some(variant) => Some(format!("{os}/{architecture}/{variant}")),
            None => Some(format!("{os}/{architecture}")),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_named_as_people_write_them() {
        let name = |json: &str| serde_json::from_str::<Platform>(json).unwrap().name();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(name(r#"{"os":"linux","architecture":"amd64","os.version":"1"}"#), named("linux/amd64"));
        assert_eq!(name(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#), named("linux/arm64"));
        assert_eq!(name(r#"{"os":"linux","architecture":"arm","variant":"v7"}"#), named("linux/arm/v7"));
        assert_eq!(name(r#"{"os":"unknown","architecture":"unknown"}"#), None);
    }
}
