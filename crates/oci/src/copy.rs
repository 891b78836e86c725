//! Whole images from one registry to another:
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push>.
//!
//! Layers pass through, and are never here as a whole. Nothing is named before all that it needs is there, so whoever pulls
//! meanwhile gets the old image or the new one.

use crate::{
    Digest, Error, Registries, Repository,
    manifest::{Descriptor, Parts},
    registries::{Came, TRIES, judged, pause, silent},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use reqwest::{
    Body, Method, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LOCATION},
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// How many parts of an image go at a time.
const AT_A_TIME: usize = 4;
/// How many pieces of a part wait here for whoever is slower.
const PIECES: usize = 4;
/// How long the registry that an image comes from may say nothing. How long the other takes to store a part is its own business.
const SILENCE: Duration = Duration::from_secs(60);

/// What an image is, and what of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// All of it, in bytes.
    pub size: u64,
    /// What was not there yet, in bytes.
    pub went: u64,
}

/// Puts the image with this digest into `to`, for all its platforms, byte by byte as it is in `from`, and has `tag` stand for it
/// there once all of it is. What is there already is not sent again. `progress` is told how many bytes of how many are there.
///
/// # Errors
/// [`Error`]. What went stays, and the next call goes on there; the tag stands for what it stood for.
pub async fn copy(
    registries: &Registries,
    from: &Repository,
    digest: &Digest,
    to: &Repository,
    tag: &str,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Copied, Error> {
    let way = Way { registries, from, to, went: AtomicU64::new(0) };
    let image = way.image(digest).await?;
    let size = image.size();
    let there = AtomicU64::new(image.manifests.iter().map(|one| length(&one.bytes)).sum());
    let each = stream::iter(image.parts.values()).map(|part| async {
        way.part(part).await?;
        progress(there.fetch_add(part.size, Ordering::Relaxed) + part.size, size);
        Ok::<_, Error>(())
    });
    each.buffer_unordered(AT_A_TIME).try_collect::<()>().await?;
    for one in &image.manifests {
        way.manifest(one, &one.digest.to_string()).await?;
    }
    let before = registries.tagged(to, tag).await?;
    // The last one is what all others are for.
    if let Some(top) = image.manifests.last().filter(|top| before.as_ref() != Some(&top.digest)) {
        way.manifest(top, tag).await.map_err(|error| way.named(error, tag, before))?;
    }
    Ok(Copied { size, went: way.went.into_inner() })
}

/// What [`copy`] would send, and sends nothing.
///
/// # Errors
/// [`Error`]
pub async fn missing(
    registries: &Registries,
    from: &Repository,
    digest: &Digest,
    to: &Repository,
) -> Result<Copied, Error> {
    let way = Way { registries, from, to, went: AtomicU64::new(0) };
    let image = way.image(digest).await?;
    let each = stream::iter(image.parts.values()).map(|part| async {
        let there = way.has(part).await?;
        Ok::<_, Error>(if there { 0 } else { part.size })
    });
    let all: Vec<u64> = each.buffer_unordered(AT_A_TIME).try_collect().await?;
    Ok(Copied { size: image.size(), went: all.into_iter().sum() })
}

/// From where to where.
struct Way<'a> {
    registries: &'a Registries,
    from: &'a Repository,
    to: &'a Repository,
    went: AtomicU64,
}

/// An image, without what is in it.
struct Image {
    /// In the order in which they can be sent.
    manifests: Vec<Came>,
    parts: BTreeMap<Digest, Descriptor>,
}

impl Image {
    fn size(&self) -> u64 {
        let manifests = self.manifests.iter().map(|one| length(&one.bytes));
        manifests.chain(self.parts.values().map(|part| part.size)).sum()
    }
}

impl Way<'_> {
    async fn image(&self, digest: &Digest) -> Result<Image, Error> {
        let mut image = Image { manifests: vec![], parts: BTreeMap::new() };
        self.add(digest, &mut image).await?;
        Ok(image)
    }

    /// What it names comes before it: a registry refuses a manifest whose parts it does not have.
    fn add<'s>(&'s self, digest: &'s Digest, image: &'s mut Image) -> BoxFuture<'s, Result<(), Error>> {
        async move {
            if image.manifests.iter().any(|one| one.digest == *digest) {
                return Ok(());
            }
            let came = self.registries.manifest(self.from, &digest.to_string()).await?;
            match &came.manifest.parts {
                Parts::Index { manifests } => {
                    for one in manifests {
                        self.add(&one.digest, image).await?;
                    }
                }
                Parts::Image { config, layers } => {
                    let all = layers.iter().chain([config]);
                    image.parts.extend(all.map(|part| (part.digest.clone(), part.clone())));
                }
            }
            image.manifests.push(came);
            Ok(())
        }
        .boxed()
    }

    /// Whether a part is where it is to go. Who does not tell is sent it.
    async fn has(&self, part: &Descriptor) -> Result<bool, Error> {
        let url = format!("{}/blobs/{}", self.to.url(), part.digest);
        let request = || self.registries.client().request(Method::HEAD, &url);
        match self.registries.ask(self.to, &self.what(), &request).await {
            Ok(_) => Ok(true),
            Err(Error::Missing { .. } | Error::Refused { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn part(&self, part: &Descriptor) -> Result<(), Error> {
        if self.has(part).await? {
            return Ok(());
        }
        let mut tries = 0;
        loop {
            let error = match self.send(part).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            // A permit may have run out since the upload was begun.
            let permit =
                matches!(&error, Error::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED);
            if permit {
                self.registries.forget(self.to);
            }
            if tries + 1 == TRIES || !(error.passes() || permit && tries == 0) {
                return Err(error);
            }
            pause(tries).await;
            tries += 1;
        }
    }

    /// Once, from its start.
    async fn send(&self, part: &Descriptor) -> Result<(), Error> {
        let Some(place) = self.begin(part).await? else { return Ok(()) };
        let (pieces, body) = mpsc::channel::<io::Result<Bytes>>(PIECES);
        let body = stream::unfold(body, |mut body| async { body.recv().await.map(|piece| (piece, body)) });
        let mut request = self.registries.client().put(place.clone());
        request = request.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, part.size);
        if let Some(permit) = self.registries.known(self.to).filter(|_| self.is_there(&place)) {
            request = request.header(AUTHORIZATION, permit);
        }
        let (sent, came) =
            tokio::join!(request.body(Body::wrap_stream(body)).send(), self.pump(part, pieces));
        // What did not come is why it could not be sent.
        came?;
        judged(sent.map_err(silent(self.to, &self.what()))?, self.to, &self.what()).await?;
        self.went.fetch_add(part.size, Ordering::Relaxed);
        Ok(())
    }

    /// Where a part is to be sent; nowhere if the registry had it in another repository.
    async fn begin(&self, part: &Descriptor) -> Result<Option<Url>, Error> {
        let url = format!("{}/blobs/uploads/", self.to.url());
        let mount = [("mount", part.digest.to_string()), ("from", self.from.path().to_owned())];
        let request = || {
            let request = self.registries.client().post(&url).header(CONTENT_LENGTH, 0);
            if self.from.registry() == self.to.registry() { request.query(&mount) } else { request }
        };
        let what = format!("the repository {}", self.to.path());
        let answer = self.registries.ask(self.to, &what, &request).await?;
        if answer.status() == StatusCode::CREATED {
            return Ok(None);
        }
        let senseless = |source: Box<dyn std::error::Error + Send + Sync>| Error::Senseless {
            registry: self.to.registry().to_owned(),
            what: "the place of an upload".to_owned(),
            source,
        };
        let place = location(answer.headers()).ok_or_else(|| senseless("there is none".into()))?;
        let mut place = answer.url().join(place).map_err(|error| senseless(error.into()))?;
        place.query_pairs_mut().append_pair("digest", &part.digest.to_string());
        Ok(Some(place))
    }

    /// Whether this is the registry itself. Others get no permit of it.
    fn is_there(&self, place: &Url) -> bool {
        let own = Url::parse(&self.to.url()).ok();
        own.is_some_and(|own| own.origin() == place.origin())
    }

    /// Brings a part, as often as it breaks off, and hands it on. The last piece waits until all of it is what it should be.
    async fn pump(&self, part: &Descriptor, pieces: mpsc::Sender<io::Result<Bytes>>) -> Result<(), Error> {
        let (mut hash, mut there, mut held) = (Sha256::new(), 0, Bytes::new());
        let mut tries = 0;
        while there < part.size {
            let from = there;
            match self.pieces(part, &pieces, (&mut hash, &mut there, &mut held)).await {
                Ok(true) => {}
                // Whoever it is sent to has hung up, and says why.
                Ok(false) => return Ok(()),
                Err(error) if error.passes() && (there > from || tries + 1 < TRIES) => {
                    tries = if there > from { 0 } else { tries + 1 };
                    pause(tries).await;
                }
                Err(error) => return self.give_up(&pieces, error).await,
            }
        }
        let found = Digest::finished(hash);
        if found != part.digest {
            let (registry, what) = (self.from.registry().to_owned(), self.what());
            let error = Error::Digest { registry, what, found, wanted: part.digest.clone() };
            return self.give_up(&pieces, error).await;
        }
        // Whoever does not take it says why.
        let _ = pieces.send(Ok(held)).await;
        Ok(())
    }

    async fn give_up(&self, pieces: &mpsc::Sender<io::Result<Bytes>>, error: Error) -> Result<(), Error> {
        // Without it the upload would look whole.
        let _ = pieces.send(Err(io::Error::other("the rest did not come"))).await;
        Err(error)
    }

    /// What comes by one call, from where it was. Whether somebody still takes it.
    async fn pieces(
        &self,
        part: &Descriptor,
        pieces: &mpsc::Sender<io::Result<Bytes>>,
        (hash, there, held): (&mut Sha256, &mut u64, &mut Bytes),
    ) -> Result<bool, Error> {
        let mut answer = self.registries.blob(self.from, part, *there).await?;
        let mut skip = if goes_on(&answer, *there) { 0 } else { *there };
        loop {
            let quiet = || Error::Short {
                registry: self.from.registry().to_owned(),
                what: self.what(),
                got: *there,
                size: part.size,
            };
            let piece = timeout(SILENCE, answer.chunk()).await.map_err(|_| quiet())?;
            let Some(mut piece) = piece.map_err(silent(self.from, &self.what()))? else {
                return if *there < part.size { Err(quiet()) } else { Ok(true) };
            };
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= length(&piece.split_to(known));
            if piece.is_empty() {
                continue;
            }
            hash.update(&piece);
            *there += length(&piece);
            let before = std::mem::replace(held, piece);
            if !before.is_empty() && pieces.send(Ok(before)).await.is_err() {
                return Ok(false);
            }
            // It is something else, however long it goes on.
            if *there >= part.size {
                return Ok(true);
            }
        }
    }

    async fn manifest(&self, one: &Came, name: &str) -> Result<(), Error> {
        let url = format!("{}/manifests/{name}", self.to.url());
        let request = || {
            let request = self.registries.client().put(&url);
            request.header(CONTENT_TYPE, &one.media_type).body(one.bytes.clone())
        };
        self.registries.ask(self.to, &self.what_as(name), &request).await.map(drop)
    }

    /// A registry with tags that stay has several ways to say so.
    fn named(&self, error: Error, tag: &str, before: Option<Digest>) -> Error {
        match (error, before) {
            (Error::Refused { status, .. }, Some(there)) if status.is_client_error() => {
                Error::TagStays { registry: self.to.registry().to_owned(), what: self.what_as(tag), there }
            }
            (error, _) => error,
        }
    }

    fn what(&self) -> String {
        format!("a part of {}", self.from.path())
    }

    fn what_as(&self, name: &str) -> String {
        format!("the image {}:{name}", self.to.path()).replace(":sha256:", "@sha256:")
    }
}

fn goes_on(answer: &Response, from: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    answer.status() == StatusCode::PARTIAL_CONTENT
        && range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

fn location(headers: &HeaderMap) -> Option<&str> {
    headers.get(LOCATION)?.to_str().ok()
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
