//! A release: made in the bucket, proved, and switched to by one write.
//!
//! Visitors get the old release or the new one, whole, whenever this ends: nothing of the old one is touched, and who has a page
//! of the new one finds all that it needs. The next run goes on where this one ended.

use crate::{
    bucket::{Listed, Local, Served},
    check::{self, Finding, Rules},
    compress::{Compressed, Compressor},
    diff::{self, How, Step, There},
    error::Error,
    error_page, invalidate,
    place::Place,
    progress::{Event, Watch},
    redirects::Redirects,
    scan::Tree,
    store::Seen,
    wanted::Content,
};
use causeway_site::{Encoding, File, Manifest, Release, ReleaseId, layout};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// For how long whoever removes old releases is believed to be at work.
const COLLECTING: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// The key of the release that was live before the one that is.
pub(crate) const PREVIOUS: &str = "previous";

/// How a release is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many objects are made at once.
    pub jobs: usize,
    /// Whether visitors get it, or only who asks for a preview.
    pub switch: bool,
    /// Whether the release that visitors get now has to be whole, so that there is a way back.
    pub way_back: bool,
    /// For how long an invalidation is waited for.
    pub patience: Duration,
    /// What is looked for in the folder first.
    pub rules: Rules,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: 32,
            switch: true,
            way_back: true,
            patience: Duration::from_secs(900),
            rules: Rules::default(),
        }
    }
}

/// What a publish did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The release.
    pub release: Option<ReleaseId>,
    /// What visitors got before.
    pub before: Option<ReleaseId>,
    /// Objects that were sent.
    pub uploaded: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Objects that were copied inside the bucket.
    pub copied: usize,
    /// Objects that were copied with other headers.
    pub retouched: usize,
    /// Whether visitors get another release than before.
    pub switched: bool,
    /// Whether there is a new error page.
    pub error_page: bool,
    /// Paths that were invalidated.
    pub invalidated: Vec<String>,
    /// Paths of files that are new or different.
    pub changed: Vec<String>,
    /// What was found in the folder, and does not keep it from being published.
    pub findings: Vec<Finding>,
}

impl Published {
    /// Whether nothing was done, as nothing was to be done.
    pub fn is_nothing(&self) -> bool {
        !self.switched && !self.error_page && self.uploaded + self.copied + self.retouched == 0
    }
}

/// Makes `content` of the folder `tree` what visitors get.
///
/// # Errors
/// [`Error`]; visitors get what they got before, unless the error page or an invalidation is what failed.
pub async fn publish(
    place: &Place,
    tree: &Tree,
    content: &Content,
    options: &Options,
    watch: Watch<'_>,
) -> Result<Published, Error> {
    let seen = place.keys.see().await?;
    not_collecting(&seen)?;
    let live = live_manifest(place, &seen).await?;
    let mut done = Published { before: seen.live.as_ref().map(|l| l.id.clone()), ..Published::default() };
    if let Some(manifest) = live.as_ref().filter(|manifest| Content::published(manifest) == *content) {
        done.release = Some(manifest.release.id.clone());
        if options.switch {
            error_page::mend(place, seen, manifest, options.patience, watch, &mut done).await?;
        }
        return Ok(done);
    }
    done.findings = checked(tree, content, live.as_ref(), &options.rules).await?;
    let (id, complete) = choose(place, content).await?;
    done.release = Some(id.clone());
    done.changed = changed(live.as_ref(), content);
    let is_complete = complete.is_some();
    let mut manifest = complete.unwrap_or_else(|| content.manifest(&id, made(&id)));
    let mut invalidations = vec![];
    if !is_complete {
        let compressor = Compressor::new();
        let with = (&compressor, options, watch);
        let paths = fill(place, tree, &manifest, live.as_ref(), with, &mut done).await?;
        if !paths.is_empty() {
            let about = format!("{id} {}", seen.version());
            let begun =
                invalidate::begin(&place.cloudfront, &place.distribution, &paths, &about, options.patience);
            invalidations.push(begun.await?);
            done.invalidated.extend(paths);
        }
        if !content.encodings.is_empty() {
            let (release, shared) = objects(place, &manifest).await?;
            manifest.encoded = diff::encoded(&manifest, &release, &shared);
        }
        write_manifest(place, &compressor, &manifest).await?;
    }
    watch(Event::Proving);
    let release = prove(place, &manifest).await?;
    if let Some(live) = live.as_ref().filter(|_| options.way_back && options.switch) {
        prove(place, live).await?;
    }
    let mut puts = keys(&manifest, &release)?;
    if let Some(before) = done.before.as_ref().filter(|_| options.switch) {
        puts.push((PREVIOUS.to_owned(), before.to_string()));
    }
    let seen = match place.keys.update(seen, &puts, &[]).await {
        // Somebody publishes the very same.
        Err(Error::Lost(Some(other))) if other == id => return Ok(done),
        written => written?,
    };
    if options.switch {
        let seen = place.keys.switch(seen, &release, encoded(&release, "the release")?).await?;
        done.switched = true;
        watch(Event::Switched);
        error_page::mend(place, seen, &manifest, options.patience, watch, &mut done).await?;
    }
    for id in &invalidations {
        watch(Event::Invalidating);
        invalidate::wait(&place.cloudfront, &place.distribution, id, options.patience).await?;
    }
    Ok(done)
}

/// Looks at the folder before anything is sent. What visitors get already was looked at before.
async fn checked(
    tree: &Tree,
    content: &Content,
    live: Option<&Manifest>,
    rules: &Rules,
) -> Result<Vec<Finding>, Error> {
    let shrunken = live.and_then(|live| check::shrunken(live, content, rules));
    let (tree, content, rules) = (tree.clone(), content.clone(), rules.clone());
    let looked = tokio::task::spawn_blocking(move || check::look(&tree, &content, &rules)).await;
    let mut found = looked.map_err(Error::Thread)??;
    found.extend(shrunken);
    if found.iter().any(|finding| finding.refuses) { Err(Error::Findings(found)) } else { Ok(found) }
}

/// Refuses while old releases are being removed.
pub(crate) fn not_collecting(seen: &Seen) -> Result<(), Error> {
    let Some(since) = seen.collecting() else { return Ok(()) };
    let fresh =
        since.parse::<Timestamp>().is_ok_and(|since| Timestamp::now().duration_since(since) < COLLECTING);
    if fresh { Err(Error::Collecting(since.to_owned())) } else { Ok(()) }
}

/// The manifest of what visitors get. `None` as well if it is gone: then everything is sent anew.
pub(crate) async fn live_manifest(place: &Place, seen: &Seen) -> Result<Option<Manifest>, Error> {
    match &seen.live {
        Some(live) => manifest(place, &live.id).await,
        None => Ok(None),
    }
}

/// The manifest of a release; `None` if it is not complete.
pub(crate) async fn manifest(place: &Place, id: &ReleaseId) -> Result<Option<Manifest>, Error> {
    let Some(bytes) = place.objects.get(&layout::object(id, layout::MANIFEST)).await? else {
        return Ok(None);
    };
    let what = format!("the manifest of {id}");
    serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Decode { what, source })
}

/// The release to make: one of the same content, with its manifest if it is complete, begun by a run that did not end, or a new one.
async fn choose(place: &Place, content: &Content) -> Result<(ReleaseId, Option<Manifest>), Error> {
    let digest = content.digest().map_err(|source| Error::Decode { what: "the content".into(), source })?;
    let new = ReleaseId::new(Timestamp::now(), digest);
    let ending = new.as_str().rsplit('-').next().unwrap_or_default().to_owned();
    let mut begun = None;
    for id in place.objects.releases().await?.into_iter().rev().filter(|id| id.as_str().ends_with(&ending)) {
        match manifest(place, &id).await? {
            Some(found) if Content::published(&found) == *content => return Ok((id, Some(found))),
            Some(_) => {}
            None => begun = begun.or(Some(id)),
        }
    }
    Ok((begun.unwrap_or(new), None))
}

/// When a release was begun, which its name says.
pub(crate) fn made(id: &ReleaseId) -> Timestamp {
    let text = id.as_str().split('-').next().unwrap_or_default();
    let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text);
    at.and_then(|at| at.in_tz("UTC")).map_or(Timestamp::UNIX_EPOCH, |at| at.timestamp())
}

/// Paths of files that are new or different.
pub(crate) fn changed(live: Option<&Manifest>, content: &Content) -> Vec<String> {
    let same = |path: &String, file: &File| live.is_some_and(|live| live.files.get(path) == Some(file));
    content.files.iter().filter(|(path, file)| !same(path, file)).map(|(path, _)| path.clone()).collect()
}

/// Makes all objects of a release but its manifest. Returns which paths have to be invalidated: those of what lies in no release
/// and got other headers.
async fn fill(
    place: &Place,
    tree: &Tree,
    manifest: &Manifest,
    live: Option<&Manifest>,
    (compressor, options, watch): (&Compressor, &Options, Watch<'_>),
    done: &mut Published,
) -> Result<BTreeSet<String>, Error> {
    let id = &manifest.release.id;
    let content = Content::published(manifest);
    let (release, shared) = objects(place, manifest).await?;
    let none = BTreeMap::new();
    let there = There { live, release: &release, shared: &shared, served: &none };
    let look = |name: String| async move {
        let headed = place.objects.head(&layout::shared(&name)).await?;
        Ok::<_, Error>(headed.map(|headed| (name, headed)))
    };
    let unknown = diff::unknown(&content, &there);
    let served = stream::iter(unknown.into_iter().map(look)).buffer_unordered(options.jobs.max(1));
    let served: BTreeMap<_, _> = served.try_collect::<Vec<_>>().await?.into_iter().flatten().collect();
    let steps = diff::steps(&content, id, &There { served: &served, ..there })?;
    let all = || [&steps.shared, &steps.others, &steps.pages].into_iter().flatten();
    // How many bytes there are when they are compressed, nobody knows yet.
    let sent = |step: &&Step| step.how == How::Upload && step.encoding.is_none();
    let size = |step: &Step| content.files.get(&step.path).map_or(0, |file| file.size);
    watch(Event::Begin { objects: all().count(), bytes: all().filter(sent).map(size).sum() });
    for phase in [&steps.shared, &steps.others, &steps.pages] {
        let make = |step: Step| {
            let file = content.files.get(&step.path).cloned();
            async move {
                let Some(file) = file else { return Ok((step, 0)) };
                let (step, bytes) = make(place, tree, compressor, step, &file).await?;
                watch(Event::Made { bytes });
                Ok::<_, Error>((step, bytes))
            }
        };
        // One after the other: thousands of uploads that have not begun yet would take more memory than all that have.
        let mut made = stream::iter(phase.iter().cloned().map(make)).buffer_unordered(options.jobs.max(1));
        while let Some((step, bytes)) = made.try_next().await? {
            match step.how {
                How::Upload => done.uploaded += 1,
                How::Copy(_) => done.copied += 1,
                How::Retouch(_) => done.retouched += 1,
            }
            done.bytes += bytes;
        }
    }
    let touched = steps.shared.iter().filter(|step| matches!(step.how, How::Retouch(_)));
    let touched: BTreeSet<String> = touched.flat_map(|step| known_as(&step.path, step.encoding)).collect();
    if touched.is_empty() {
        return Ok(BTreeSet::new());
    }
    let others = content.files.keys().chain(shared.keys()).flat_map(|path| known_as(path, None));
    let others = others.filter(|path| !touched.contains(path)).collect();
    Ok(invalidate::cover(&touched, &others, invalidate::MOST_FILES, invalidate::MOST_WILDCARDS))
}

/// How the edge knows an immutable file: by its URL, in both spellings of a page, and by what the function makes of it.
/// CloudFront asks for all of them.
fn known_as(path: &str, encoding: Option<Encoding>) -> BTreeSet<String> {
    let url = crate::spelling::spelled(path);
    let made = format!("/{}{url}", layout::SHARED.trim_end_matches('/'));
    let made = layout::form(&made, encoding);
    invalidate::both_spellings([url]).into_iter().chain([made]).collect()
}

/// Makes one object. Returns how it was made in the end, and how many bytes were sent.
async fn make(
    place: &Place,
    tree: &Tree,
    compressor: &Compressor,
    step: Step,
    file: &File,
) -> Result<(Step, u64), Error> {
    let served = Served { file, encoding: step.encoding };
    let copied = match &step.how {
        How::Upload => false,
        How::Copy(from) => place.objects.copy(from, &step.key, None).await?,
        How::Retouch(from) => place.objects.copy(from, &step.key, Some(served)).await?,
    };
    if copied {
        return Ok((step, 0));
    }
    // Also where what was to be copied is gone.
    let step = Step { how: How::Upload, ..step };
    let local = tree.local(&step.path);
    let Some(encoding) = step.encoding else {
        let local = Local { path: &local, size: file.size, sha256: &file.sha256 };
        place.objects.upload(&step.key, local, served).await?;
        return Ok((step, file.size));
    };
    let bytes = match compressor.file(local, file, encoding).await? {
        Compressed::Memory(body) => {
            let bytes = body.len() as u64;
            place.objects.put(&step.key, body, served).await?;
            bytes
        }
        Compressed::Disk(path, size, sha256) => {
            let local = Local { path: &path, size, sha256: &sha256 };
            place.objects.upload(&step.key, local, served).await?;
            size
        }
    };
    Ok((step, bytes))
}

/// Writes the manifest, compressed first: once it is there as it is, the release is complete.
async fn write_manifest(place: &Place, compressor: &Compressor, manifest: &Manifest) -> Result<(), Error> {
    let body = encoded(manifest, "the manifest")?.into_bytes();
    let file = File {
        sha256: hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&body)),
        size: body.len() as u64,
        content_type: "application/json".into(),
        cache_control: crate::content::REVALIDATED.into(),
        headers: BTreeMap::new(),
        immutable: false,
    };
    let key = layout::object(&manifest.release.id, layout::MANIFEST);
    let plain: Arc<[u8]> = body.as_slice().into();
    for encoding in layout::forms(&manifest.release.encodings, layout::MANIFEST).flatten() {
        let smaller = compressor.bytes("the manifest", plain.clone(), encoding).await?;
        let served = Served { file: &file, encoding: Some(encoding) };
        place.objects.put(&layout::form(&key, Some(encoding)), smaller, served).await?;
    }
    place.objects.put(&key, body, &file).await
}

/// Shows that all of a release is there. Returns what the edge has to know of it.
///
/// # Errors
/// [`Error::Incomplete`]
pub(crate) async fn prove(place: &Place, manifest: &Manifest) -> Result<Release, Error> {
    let (release, shared) = objects(place, manifest).await?;
    let missing = diff::missing(manifest, &release, &shared);
    if !missing.is_empty() {
        return Err(Error::Incomplete { id: manifest.release.id.clone(), missing });
    }
    Ok(diff::at_the_edge(manifest, &shared))
}

/// The objects of a release, and the immutable ones if it has such, or has to know how all of them are there.
async fn objects(
    place: &Place,
    manifest: &Manifest,
) -> Result<(BTreeMap<String, Listed>, BTreeMap<String, Listed>), Error> {
    let prefix = layout::object(&manifest.release.id, "");
    let shared = async {
        let asked = !manifest.release.encodings.is_empty();
        match asked || manifest.files.values().any(|file| file.immutable) {
            true => place.objects.list(layout::SHARED).await,
            false => Ok(BTreeMap::new()),
        }
    };
    futures::try_join!(place.objects.list(&prefix), shared)
}

/// What the edge has to know of a release, by key.
fn keys(manifest: &Manifest, release: &Release) -> Result<Vec<(String, String)>, Error> {
    let id = &manifest.release.id;
    let exact =
        manifest.redirects.iter().map(|(path, value)| (layout::redirect_key(id, path), value.clone()));
    let chunks = Redirects::chunks(&manifest.rules).into_iter().enumerate();
    let rules = chunks.map(|(n, chunk)| (layout::rules_key(id, n), chunk));
    let release = (layout::release_key(id), encoded(release, "the release")?);
    Ok(exact.chain(rules).chain([release]).collect())
}

pub(crate) fn encoded<T: Serialize>(value: &T, what: &str) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|source| Error::Decode { what: what.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_a_release_was_begun() {
        let at: Timestamp = "2026-11-22T15:12:07Z".parse().unwrap();
        assert_eq!(made(&ReleaseId::new(at, [1; 32])), at);
    }
}
