//! The error page, which lies in no release: CloudFront fetches it without asking a function. Which one the edge has is noted in
//! the store once no older one can be left there.

use crate::{
    bucket::Bucket,
    content::REVALIDATED,
    diff,
    error::Error,
    invalidate,
    place::Place,
    progress::{Event, Watch},
    publish::Published,
    store::Seen,
};
use causeway_site::{File, Manifest, layout};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The page of a site that becomes its error page.
const PAGE: &str = "404.html";

/// For sites that have none.
const PLAIN: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Not found</title>\
                     <h1>Not found</h1><p>There is no such page. <a href=\"/\">To the first page</a></p></html>\n";

/// Makes the error page that of the release that visitors get.
///
/// # Errors
/// [`Error::ErrorPage`]: the next run mends it. [`Error::Lost`]
pub(crate) async fn mend(
    place: &Place,
    seen: Seen,
    manifest: &Manifest,
    patience: Duration,
    watch: Watch<'_>,
    done: &mut Published,
) -> Result<(), Error> {
    write(place, seen, manifest, patience, watch, done).await.map_err(|error| match error {
        lost @ Error::Lost(_) => lost,
        error => Error::ErrorPage { id: manifest.release.id.clone(), source: Box::new(error) },
    })
}

async fn write(
    place: &Place,
    seen: Seen,
    manifest: &Manifest,
    patience: Duration,
    watch: Watch<'_>,
    done: &mut Published,
) -> Result<(), Error> {
    let page = manifest.files.get(PAGE).filter(|page| !page.immutable);
    let digest = page.map_or_else(|| hex::encode(Sha256::digest(PLAIN)), |page| page.sha256.clone());
    let before = place.keys.error_page().await?;
    if before.as_ref() == Some(&digest) {
        return Ok(());
    }
    let first = before.is_none() && place.objects.head(layout::ERROR_PAGE).await?.is_none();
    match page {
        Some(page) => copy(&place.objects, manifest, page).await?,
        None => {
            let file = served(digest.clone(), PLAIN.len() as u64);
            place.objects.put(layout::ERROR_PAGE, PLAIN.into(), &file).await?;
        }
    }
    done.error_page = true;
    // Before the first page there was none that the edge could have kept.
    if !first {
        let path = format!("/{}", layout::ERROR_PAGE);
        let paths = BTreeSet::from([path]);
        let about = format!("{} {}", manifest.release.id, seen.version());
        watch(Event::Invalidating);
        let id = invalidate::begin(&place.cloudfront, &place.distribution, &paths, &about, patience).await?;
        invalidate::wait(&place.cloudfront, &place.distribution, &id, patience).await?;
        done.invalidated.extend(paths);
    }
    place.keys.set_error_page(seen, &digest).await.map(drop)
}

async fn copy(objects: &Bucket, manifest: &Manifest, page: &File) -> Result<(), Error> {
    let file = served(page.sha256.clone(), page.size);
    let from = diff::key(&manifest.release.id, PAGE, page, None);
    match objects.copy(&from, layout::ERROR_PAGE, Some((&file).into())).await? {
        true => Ok(()),
        false => Err(Error::Incomplete { id: manifest.release.id.clone(), missing: vec![from] }),
    }
}

/// What the error page is served as. Further headers would not become ones: no function sees the answer.
fn served(sha256: String, size: u64) -> File {
    File {
        sha256,
        size,
        content_type: "text/html; charset=utf-8".into(),
        cache_control: REVALIDATED.into(),
        headers: BTreeMap::new(),
        immutable: false,
    }
}
