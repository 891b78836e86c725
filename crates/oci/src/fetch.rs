//! Whole images into folders: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.

use crate::{
    Digest, Error, Registries, Repository,
    manifest::{Descriptor, Parts},
    registries::{Came, TRIES, pause},
};
use futures::{StreamExt, TryStreamExt};
use reqwest::{StatusCode, header::CONTENT_RANGE};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use tokio::{
    fs::{self, File, OpenOptions},
    io::AsyncWriteExt,
};

/// How many parts of an image come at a time.
const AT_A_TIME: usize = 4;

/// What an image is in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// All of it, in bytes.
    pub size: u64,
    /// What was not there yet and came now, in bytes.
    pub came: u64,
}

/// Puts the image with this digest into `folder`, for all its platforms, as the only one in it. What is there already is
/// checked and kept, also of a blob that came only in part; `index.json` is written last. `name` is what others may call it.
/// `progress` is told how many bytes of how many are there.
///
/// # Errors
/// [`Error`]. What came stays, and the next call goes on there.
pub async fn fetch(
    registries: &Registries,
    from: &Repository,
    digest: &Digest,
    name: &str,
    folder: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Fetched, Error> {
    let blobs = folder.join("blobs").join("sha256");
    fs::create_dir_all(&blobs).await.map_err(file("make", &blobs))?;
    let place = Place { registries, from, blobs, came: AtomicU64::new(0) };
    let top = place.manifest(digest).await?;
    let (mut manifests, mut parts) = (vec![digest.clone()], BTreeMap::new());
    let mut size = length(&top.bytes);
    match &top.manifest.parts {
        Parts::Image { config, layers } => {
            parts.extend(layers.iter().chain([config]).map(|part| (part.digest.clone(), part.clone())));
        }
        Parts::Index { manifests: all } => {
            for one in all {
                let came = place.manifest(&one.digest).await?;
                size += length(&came.bytes);
                manifests.push(one.digest.clone());
                if let Parts::Image { config, layers } = came.manifest.parts {
                    parts.extend(layers.into_iter().chain([config]).map(|part| (part.digest.clone(), part)));
                }
            }
        }
    }
    size += parts.values().map(|part| part.size).sum::<u64>();
    let there = AtomicU64::new(0);
    let each = futures::stream::iter(parts.values()).map(|part| async {
        place.part(part).await?;
        progress(there.fetch_add(part.size, Ordering::Relaxed) + part.size, size);
        Ok::<_, Error>(())
    });
    each.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
    let descriptor = Descriptor {
        media_type: top.media_type,
        digest: digest.clone(),
        size: length(&top.bytes),
        platform: None,
        annotations: BTreeMap::from([("org.opencontainers.image.ref.name".to_owned(), name.to_owned())]),
    };
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    });
    put(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).await?;
    put(&folder.join("index.json"), index.to_string().as_bytes()).await?;
    let wanted = manifests.iter().chain(parts.keys());
    place.forget_others(&wanted.map(|digest| digest.hex().to_owned()).collect::<Vec<_>>()).await?;
    Ok(Fetched { size, came: place.came.into_inner() })
}

/// Where an image comes from and goes to.
struct Place<'a> {
    registries: &'a Registries,
    from: &'a Repository,
    blobs: PathBuf,
    came: AtomicU64,
}

impl Place<'_> {
    fn of(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    async fn manifest(&self, digest: &Digest) -> Result<Came, Error> {
        let path = self.of(digest);
        let there = fs::read(&path).await.unwrap_or_default();
        if let Some(came) = Came::read(there).filter(|came| came.digest == *digest) {
            return Ok(came);
        }
        let came = self.registries.manifest(self.from, &digest.to_string()).await?;
        put(&path, &came.bytes).await?;
        self.came.fetch_add(length(&came.bytes), Ordering::Relaxed);
        Ok(came)
    }

    /// Sees to it that a blob is there.
    async fn part(&self, of: &Descriptor) -> Result<(), Error> {
        let path = self.of(&of.digest);
        let there = hashed(&path).await?;
        if there.is_some_and(|(hash, size)| size == of.size && Digest::finished(hash) == of.digest) {
            return Ok(());
        }
        let (begun, mut tries) = (path.with_extension("part"), 0);
        let mut fresh = !fs::try_exists(&begun).await.unwrap_or_default();
        loop {
            match self.try_part(of, &begun).await {
                Ok(()) => break,
                Err(error) if error.passes() && tries + 1 < TRIES => {
                    pause(tries).await;
                    tries += 1;
                }
                // What was there from an earlier time may have been wrong.
                Err(Error::Digest { .. }) if !fresh => fresh = true,
                Err(error) => return Err(error),
            }
        }
        fs::rename(&begun, &path).await.map_err(file("write", &path))
    }

    /// Once, from where it was.
    async fn try_part(&self, of: &Descriptor, begun: &Path) -> Result<(), Error> {
        let (mut hash, mut there) = hashed(begun).await?.unwrap_or_default();
        if there < of.size || there == 0 {
            let mut answer = self.registries.blob(self.from, of, there).await?;
            let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
            let goes_on = answer.status() == StatusCode::PARTIAL_CONTENT
                && range.is_some_and(|range| range.starts_with(&format!("bytes {there}-")));
            if !goes_on {
                (hash, there) = (Sha256::new(), 0);
            }
            let mut options = OpenOptions::new();
            options.create(true).append(goes_on).write(true).truncate(!goes_on);
            let mut out = options.open(begun).await.map_err(file("write", begun))?;
            let ended = self.copy(of, &mut answer, &mut out, (&mut hash, &mut there)).await;
            // What is written is for the next try, whether this one was cut off or not.
            let written = match out.flush().await {
                Ok(()) => out.sync_all().await,
                failed => failed,
            };
            written.map_err(file("write", begun))?;
            ended?;
        }
        let found = Digest::finished(hash);
        if found == of.digest {
            return Ok(());
        }
        fs::remove_file(begun).await.map_err(file("delete", begun))?;
        Err(Error::Digest { registry: self.registry(), what: self.what(), found, wanted: of.digest.clone() })
    }

    async fn copy(
        &self,
        of: &Descriptor,
        answer: &mut reqwest::Response,
        out: &mut File,
        (hash, there): (&mut Sha256, &mut u64),
    ) -> Result<(), Error> {
        let silent = |source: reqwest::Error| Error::Silent {
            registry: self.registry(),
            what: self.what(),
            source: source.without_url(),
        };
        while let Some(chunk) = answer.chunk().await.map_err(silent)? {
            hash.update(&chunk);
            *there += length(&chunk);
            out.write_all(&chunk).await.map_err(file("write", &self.of(&of.digest)))?;
            self.came.fetch_add(length(&chunk), Ordering::Relaxed);
            // It is something else, however long it goes on.
            if *there > of.size {
                return Ok(());
            }
        }
        if *there < of.size {
            let (registry, what) = (self.registry(), self.what());
            return Err(Error::Short { registry, what, got: *there, size: of.size });
        }
        Ok(())
    }

    /// Removes blobs of an image that was here before.
    async fn forget_others(&self, wanted: &[String]) -> Result<(), Error> {
        let mut all = fs::read_dir(&self.blobs).await.map_err(file("read", &self.blobs))?;
        while let Some(entry) = all.next_entry().await.map_err(file("read", &self.blobs))? {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let hex = name.trim_end_matches(".part");
            let ours = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            if ours && !wanted.iter().any(|wanted| *wanted == *name) {
                fs::remove_file(entry.path()).await.map_err(file("delete", &entry.path()))?;
            }
        }
        Ok(())
    }

    fn registry(&self) -> String {
        self.from.registry().to_owned()
    }

    fn what(&self) -> String {
        format!("a part of {}", self.from.path())
    }
}

impl Came {
    /// As it is in a folder.
    fn read(bytes: Vec<u8>) -> Option<Self> {
        let manifest: crate::manifest::Manifest = serde_json::from_slice(&bytes).ok()?;
        // What does not say itself what it is has to be asked for again.
        let media_type = manifest.media_type.clone()?;
        Some(Came { digest: Digest::of(&bytes), bytes, media_type, manifest })
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn file(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { act, path, source }
}

/// The file with all of this in it, or as it was.
async fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("part");
    fs::write(&beside, bytes).await.map_err(file("write", &beside))?;
    fs::rename(&beside, path).await.map_err(file("write", path))
}

/// What a file comes to so far, and its length; nothing if there is none.
async fn hashed(path: &Path) -> Result<Option<(Sha256, u64)>, Error> {
    let read = {
        let path = path.to_owned();
        move || {
            let mut file = match std::fs::File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                file => file?,
            };
            let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
            loop {
                let n = file.read(&mut buffer)?;
                if n == 0 {
                    return Ok(Some((hash, size)));
                }
                let some = buffer.get(..n).unwrap_or_default();
                hash.update(some);
                size += length(some);
            }
        }
    };
    let result = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).and_then(|result| result);
    result.map_err(file("read", path))
}
