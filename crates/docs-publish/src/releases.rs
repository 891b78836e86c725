//! The releases that are kept, and going back to one of them.

use crate::{
    error::Error,
    error_page,
    place::Place,
    progress::{Event, Watch},
    publish::{self, PREVIOUS, Published},
};
use causeway_site::{Encoding, Manifest, ReleaseId};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

/// How many manifests are read at once.
const AT_ONCE: usize = 4;

/// A release that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Its name.
    pub id: ReleaseId,
    /// When it was begun.
    pub made: Timestamp,
    /// Whether visitors get it.
    pub live: bool,
    /// Whether visitors got it before the one that is live.
    pub previous: bool,
    /// Its files; `None` if it was never finished.
    pub files: Option<usize>,
    /// Their bytes, before they are compressed.
    pub bytes: Option<u64>,
    /// How its text is there compressed besides.
    pub encodings: Vec<Encoding>,
}

/// All releases, oldest first.
///
/// # Errors
/// [`Error`]
pub async fn releases(place: &Place) -> Result<Vec<Kept>, Error> {
    let seen = place.keys.see().await?;
    let previous = place.keys.get(PREVIOUS).await?;
    let live = seen.live.map(|live| live.id);
    let ids = place.objects.releases().await?;
    let mut kept = vec![];
    for id in ids {
        let (live, previous) = (Some(&id) == live.as_ref(), previous.as_deref() == Some(id.as_str()));
        kept.push(async move {
            let manifest = publish::manifest(place, &id).await?;
            let files = manifest.as_ref().map(|m| m.files.len());
            let bytes = manifest.as_ref().map(|m| m.files.values().map(|file| file.size).sum());
            let encodings = manifest.map(|m| m.release.encodings).unwrap_or_default();
            Ok::<_, Error>(Kept { made: publish::made(&id), live, previous, files, bytes, encodings, id })
        });
    }
    stream::iter(kept).buffered(AT_ONCE).try_collect().await
}

/// Makes `to` what visitors get: the release before the live one if left out. One write, once it is seen that all of it is
/// there; then the error page, if it is another.
///
/// # Errors
/// [`Error`]
pub async fn rollback(
    place: &Place,
    to: Option<&ReleaseId>,
    patience: Duration,
    watch: Watch<'_>,
) -> Result<Published, Error> {
    let seen = place.keys.see().await?;
    publish::not_collecting(&seen)?;
    let live = seen.live.as_ref().map(|live| live.id.clone()).ok_or(Error::Nothing)?;
    let to = match to {
        Some(to) => to.clone(),
        None => earlier(place, &live).await?,
    };
    let manifest = publish::manifest(place, &to).await?.ok_or_else(|| Error::NoRelease(to.clone()))?;
    let mut done =
        Published { release: Some(to.clone()), before: Some(live.clone()), ..Published::default() };
    let seen = if to == live {
        seen
    } else {
        watch(Event::Proving);
        let release = publish::prove(place, &manifest).await?;
        let before = publish::manifest(place, &live).await?;
        done.changed = publish::changed(before.as_ref(), &crate::wanted::Content::published(&manifest));
        let value = publish::encoded(&release, "the release")?;
        let seen = place.keys.switch(seen, &release, value).await?;
        done.switched = true;
        watch(Event::Switched);
        seen
    };
    error_page::mend(place, seen, &manifest, patience, watch, &mut done).await?;
    Ok(done)
}

/// What visitors got before `live`; else the newest complete release that is older.
async fn earlier(place: &Place, live: &ReleaseId) -> Result<ReleaseId, Error> {
    let previous = place.keys.get(PREVIOUS).await?.and_then(|id| id.parse::<ReleaseId>().ok());
    if let Some(previous) = previous.filter(|previous| previous != live) {
        return Ok(previous);
    }
    for id in place.objects.releases().await?.into_iter().rev().filter(|id| id < live) {
        if publish::manifest(place, &id).await?.is_some() {
            return Ok(id);
        }
    }
    Err(Error::NoEarlier)
}

/// What a release holds.
///
/// # Errors
/// [`Error::NoRelease`], or a call that failed.
pub async fn manifest(place: &Place, id: &ReleaseId) -> Result<Manifest, Error> {
    publish::manifest(place, id).await?.ok_or_else(|| Error::NoRelease(id.clone()))
}

/// What visitors get; `None` if nothing is published.
///
/// # Errors
/// A call that failed.
pub async fn live(place: &Place) -> Result<Option<Manifest>, Error> {
    let seen = place.keys.see().await?;
    publish::live_manifest(place, &seen).await
}
