//! Images in a folder, in OCI layout: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.

use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A folder that holds one image, for one platform or for several.
#[derive(Clone, Debug)]
pub struct Layout {
    folder: PathBuf,
    top: Descriptor,
}

/// Points at a blob of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// `sha256:..`
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

/// Why a folder is no image.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// A file is not what the layout says.
    #[error("{} is not what an OCI layout has there", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// The folder holds no image, or more than one.
    #[error("{} holds {found} images and not one; copy just the one that is meant into a folder of its own", path.display())]
    NotOne {
        /// The folder.
        path: PathBuf,
        /// How many it holds.
        found: usize,
    },
    /// A digest is not one.
    #[error("`{0}` is not a sha256 digest")]
    Digest(String),
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// What the configuration of an image says about where it runs.
#[derive(Deserialize)]
struct Platform {
    architecture: Option<String>,
}

/// What a manifest needs in a registry before it can be put there.
pub(super) enum Parts {
    /// An index: the manifests of the platforms.
    Manifests(Vec<Descriptor>),
    /// The image of one platform: its configuration and its layers.
    Blobs(Vec<Descriptor>),
}

impl Layout {
    /// Opens `folder`.
    ///
    /// # Errors
    /// If it is not in OCI layout, or does not hold exactly one image.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let folder = folder.into();
        let index: Index = decode(&folder.join("index.json"))?;
        match <[Descriptor; 1]>::try_from(index.manifests) {
            Ok([top]) => Ok(Layout { folder, top }),
            Err(all) => Err(LayoutError::NotOne { path: folder, found: all.len() }),
        }
    }

    /// The digest by which the image is deployed.
    pub fn digest(&self) -> &str {
        &self.top.digest
    }

    /// The processors that the image runs on, as OCI names them: `amd64`, `arm64`. Attestations, which build tools put
    /// beside an image, name none.
    ///
    /// # Errors
    /// If a file that says it is missing or is something else.
    pub fn architectures(&self) -> Result<Vec<String>, LayoutError> {
        let manifests = match self.parts(&self.top)? {
            Parts::Manifests(all) => all,
            Parts::Blobs(_) => vec![self.top.clone()],
        };
        let mut out = vec![];
        for manifest in manifests {
            let Manifest { config, .. } = decode(&self.path(&manifest)?)?;
            // Artifacts other than images have configurations of their own kinds.
            if config.media_type.ends_with("image.config.v1+json")
                || config.media_type.ends_with("container.image.v1+json")
            {
                let Platform { architecture } = decode(&self.path(&config)?)?;
                out.extend(architecture.filter(|a| a != "unknown"));
            }
        }
        Ok(out)
    }

    pub(super) fn top(&self) -> &Descriptor {
        &self.top
    }

    pub(super) fn parts(&self, of: &Descriptor) -> Result<Parts, LayoutError> {
        let path = self.path(of)?;
        if of.media_type.ends_with("image.index.v1+json") || of.media_type.ends_with("manifest.list.v2+json")
        {
            return decode::<Index>(&path).map(|i| Parts::Manifests(i.manifests));
        }
        let manifest: Manifest = decode(&path)?;
        Ok(Parts::Blobs([manifest.config].into_iter().chain(manifest.layers).collect()))
    }

    pub(super) fn bytes(&self, of: &Descriptor) -> Result<Vec<u8>, LayoutError> {
        read(&self.path(of)?)
    }

    fn path(&self, of: &Descriptor) -> Result<PathBuf, LayoutError> {
        let hex = of
            .digest
            .strip_prefix("sha256:")
            .filter(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()));
        let hex = hex.ok_or_else(|| LayoutError::Digest(of.digest.clone()))?;
        Ok(self.folder.join("blobs/sha256").join(hex))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LayoutError> {
    std::fs::read(path).map_err(|e| LayoutError::Read { path: path.to_owned(), source: Arc::new(e) })
}

fn decode<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, LayoutError> {
    serde_json::from_slice(&read(path)?)
        .map_err(|e| LayoutError::Decode { path: path.to_owned(), source: Arc::new(e) })
}
