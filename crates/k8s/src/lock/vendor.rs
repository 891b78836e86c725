//! Everything that a cluster gets from the internet, in a folder: for networks without it.

use super::{FILE, Lock, update::NETWORK};
use crate::{
    crds::{self, Bundles, digest_of},
    images::{Images, PROGRAMS, Program},
};
use causeway_core::Error;
use causeway_oci::{Registries, fetch};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Where definitions are in the folder, as [`crds::Folder`] takes them.
pub const DEFINITIONS: &str = "definitions";
/// Where images are in it: each in a folder of its name, in OCI layout.
const IMAGES: &str = "images";
/// The file that says what is in it, which is written last.
pub const INDEX: &str = "index.json";
const FORMAT: u32 = 1;

/// What the folder has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Vendored {
    /// The version of this format.
    pub format: u32,
    /// The files with definitions.
    pub definitions: Vec<VendoredFile>,
    /// The images.
    pub images: Vec<VendoredImage>,
}

/// A file with definitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VendoredFile {
    /// Where it is published.
    pub url: String,
    /// Its digest, in hex.
    pub sha256: String,
    /// Where it is in the folder.
    pub path: String,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VendoredImage {
    /// As the lock calls it.
    pub name: String,
    /// Its tag.
    pub version: String,
    /// Where it is published.
    pub image: String,
    /// `sha256:..`
    pub digest: String,
    /// Where it is in the folder.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// How much of it came in this run, in bytes.
    #[serde(skip)]
    pub came: u64,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Fetching<'a> {
    /// What is fetched now.
    pub name: &'a str,
    /// How many bytes of it are there.
    pub there: u64,
    /// How many it has.
    pub size: u64,
}

/// Why the folder is not whole.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    /// Images that may be something else tomorrow.
    #[error("{FILE} has no digest for {}", .0.join(", "))]
    ByTag(Vec<&'static str>),
    /// An image could not be had.
    #[error("cannot fetch `{name}`")]
    Image {
        /// As the lock calls it.
        name: &'static str,
        /// Why not.
        #[source]
        source: causeway_oci::Error,
    },
    /// A file could not be had.
    #[error("cannot fetch the definitions of `{name}`")]
    Definitions {
        /// Of which program.
        name: &'static str,
        /// Why not.
        #[source]
        source: Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl VendorError {
    /// What to do about it.
    pub fn remedy(&self) -> &str {
        match self {
            VendorError::ByTag(_) => "`deploy update` looks the digests up",
            VendorError::Image { source, .. } => source.remedy(),
            VendorError::Definitions { source: Error::Invalid(_), .. } => {
                "a mirror may have another version; nothing was kept of it"
            }
            VendorError::Definitions { .. } => NETWORK,
            VendorError::Write { .. } => "look at the folder, its rights and the space that is left",
        }
    }
}

/// Fetches everything into `folder`, or `with_images` not set only the definitions. What is there already and right is kept.
///
/// # Errors
/// [`VendorError`]. What came stays, and the next call goes on there.
pub async fn vendor(
    lock: &Lock,
    folder: &Path,
    registries: &Registries,
    bundles: &dyn Bundles,
    with_images: bool,
    progress: &(dyn Fn(Fetching<'_>) + Sync),
) -> Result<Vendored, VendorError> {
    let by_tag = lock.by_tag();
    if with_images && !by_tag.is_empty() {
        return Err(VendorError::ByTag(by_tag));
    }
    let mut vendored = Vendored { format: FORMAT, definitions: vec![], images: vec![] };
    let images = Images::of(lock);
    for program in PROGRAMS {
        let files = program.definitions().into_iter().flat_map(|all| images.pinned(all).files);
        for file in files {
            vendored.definitions.push(definitions(program, &file, folder, bundles).await?);
        }
    }
    let pins = Program::all_images().filter_map(|(_, name, _)| Some((name, lock.pin(name)?)));
    for (name, pin) in pins.filter(|_| with_images) {
        let Some(digest) = &pin.digest else { continue };
        let path = format!("{IMAGES}/{name}");
        let told = |there, size| progress(Fetching { name, there, size });
        let (from, to) = (lock.mirrored(&pin.image), folder.join(&path));
        let fetched = fetch(registries, &from, digest, &pin.version, &to, &told);
        let fetched = fetched.await.map_err(|source| VendorError::Image { name, source })?;
        vendored.images.push(VendoredImage {
            name: name.to_owned(),
            version: pin.version,
            image: pin.image.to_string(),
            digest: digest.to_string(),
            path,
            size: fetched.size,
            came: fetched.came,
        });
    }
    let index = serde_json::to_vec_pretty(&vendored).map_err(io::Error::other);
    let path = folder.join(INDEX);
    match index {
        Ok(bytes) => put(&path, &bytes).await?,
        Err(source) => return Err(VendorError::Write { path, source }),
    }
    Ok(vendored)
}

/// One file, by its address.
async fn definitions(
    program: &Program,
    file: &crds::File,
    folder: &Path,
    bundles: &dyn Bundles,
) -> Result<VendoredFile, VendorError> {
    let failed = |source| VendorError::Definitions { name: program.name, source };
    let path = format!("{DEFINITIONS}/{}", file.url.trim_start_matches("https://"));
    let place = folder.join(&path);
    let there = tokio::fs::read(&place).await.ok().map(|bytes| digest_of(&bytes));
    let is_right = there.is_some() && there == file.sha256;
    let sha256 = match there.filter(|_| is_right) {
        Some(there) => there,
        None => {
            let bytes = bundles.fetch(&file.url).await.map_err(failed)?;
            let digest = digest_of(&bytes);
            crds::check(file, None, &digest).map_err(failed)?;
            put(&place, &bytes).await?;
            digest
        }
    };
    Ok(VendoredFile { url: file.url.clone(), sha256, path })
}

/// The file with all of this in it, or as it was.
async fn put(path: &Path, bytes: &[u8]) -> Result<(), VendorError> {
    let failed = |source| VendorError::Write { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(path);
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let beside = path.with_extension("part");
    tokio::fs::write(&beside, bytes).await.map_err(failed)?;
    tokio::fs::rename(&beside, path).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, future::BoxFuture};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Says the same for every address.
    struct Same(&'static [u8], AtomicUsize);
    impl Bundles for Same {
        fn fetch<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<u8>, Error>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            async { Ok(self.0.to_vec()) }.boxed()
        }
    }

    fn file(sha256: Option<String>) -> crds::File {
        crds::File { url: "https://here/v1/a.yaml".into(), sha256, names: vec![] }
    }

    #[tokio::test]
    async fn a_file_comes_once_and_is_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let bundles = Same(b"a: 1", AtomicUsize::default());
        let right = file(Some(digest_of(b"a: 1")));
        let get = async |file: &crds::File| definitions(&PROGRAMS[0], file, folder.path(), &bundles).await;
        let came = get(&right).await.unwrap();
        assert_eq!(came.path, "definitions/here/v1/a.yaml");
        let as_apply_reads_it = crds::Folder(folder.path().join(DEFINITIONS));
        assert_eq!(as_apply_reads_it.fetch(&right.url).await.unwrap(), b"a: 1");
        assert_eq!(get(&right).await.unwrap(), came);
        assert_eq!(bundles.1.load(Ordering::Relaxed), 1, "it was there");
        std::fs::write(folder.path().join(&came.path), "b").unwrap();
        get(&right).await.unwrap();
        assert_eq!(std::fs::read(folder.path().join(&came.path)).unwrap(), b"a: 1");

        let error = get(&file(Some(digest_of(b"b")))).await.unwrap_err();
        assert!(matches!(&error, VendorError::Definitions { source: Error::Invalid(_), .. }), "{error}");
        assert_eq!(
            std::fs::read(folder.path().join(&came.path)).unwrap(),
            b"a: 1",
            "what was refused is not kept"
        );
    }
}
