//! Invalidations: the fewest paths that cover what changed, within what CloudFront takes.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-invalidations>
//!
//! A switch of releases needs none. What is left are objects that lie in no release: the error page, and immutable files whose
//! headers changed.

use crate::error::{Call, Error};
use aws_sdk_cloudfront::{
    Client,
    error::SdkError,
    types::{InvalidationBatch, Paths},
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// Files that may be in progress at once. A path with `*` is none.
pub const MOST_FILES: usize = 3_000;

/// Paths with `*` that may be in progress at once.
pub const MOST_WILDCARDS: usize = 15;

/// Between two looks at an invalidation.
const PAUSE: Duration = Duration::from_secs(5);

/// The first look: the sandbox is quick.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The fewest paths that cover all of `changed`, at most `most` of them, of which `wildcards` with `*`; what is in `others` is
/// covered only where it cannot be helped. `/*` is what remains when nothing else fits.
pub fn cover(
    changed: &BTreeSet<String>,
    others: &BTreeSet<String>,
    most: usize,
    wildcards: usize,
) -> BTreeSet<String> {
    // Folders of which everything changed, the largest first: one path each, and nothing else is met.
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for path in changed {
        for (at, _) in path.match_indices('/') {
            *folders.entry(&path[..=at]).or_default() += 1;
        }
    }
    let met = |folder: &str| others.range(folder.to_owned()..).next().is_some_and(|p| p.starts_with(folder));
    let mut whole: Vec<(&str, usize)> =
        folders.iter().filter(|(folder, n)| **n > 1 && !met(folder)).map(|(f, n)| (*f, *n)).collect();
    whole.sort_by_key(|(folder, n)| (std::cmp::Reverse(*n), folder.len()));
    let mut chosen: Vec<&str> = vec![];
    for (folder, _) in whole {
        if chosen.len() < wildcards && !chosen.iter().any(|c| folder.starts_with(c)) {
            chosen.push(folder);
        }
    }
    let single = changed.iter().filter(|path| !chosen.iter().any(|folder| path.starts_with(folder)));
    let mut paths: BTreeSet<String> = single.cloned().collect();
    if paths.len() + chosen.len() > most {
        return BTreeSet::from(["/*".to_owned()]);
    }
    paths.extend(chosen.into_iter().map(|folder| format!("{folder}*")));
    paths
}

/// Both spellings of each path: a page is asked for with and without the name of its file.
pub fn both_spellings(paths: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    let both = |path: String| match path.strip_suffix("index.html") {
        Some(folder) if folder.ends_with('/') => vec![folder.to_owned(), path],
        _ if path.ends_with('/') => vec![format!("{path}index.html"), path],
        _ => vec![path],
    };
    paths.into_iter().flat_map(both).collect()
}

/// The name of an invalidation: that of one which is asked for again is the same.
pub(crate) fn reference(paths: &BTreeSet<String>, about: &str) -> String {
    let mut hash = Sha256::new();
    for path in paths.iter().map(String::as_str).chain([about]) {
        hash.update(path.as_bytes());
        hash.update([0]);
    }
    format!("docs-publish-{}", hex::encode(&hash.finalize()[..16]))
}

/// Asks for an invalidation and returns its id. Waits, up to `limit`, while too many are in progress.
///
/// # Errors
/// [`Error::Full`]
pub(crate) async fn begin(
    client: &Client,
    distribution: &str,
    paths: &BTreeSet<String>,
    about: &str,
    limit: Duration,
) -> Result<String, Error> {
    let until = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    let count = i32::try_from(paths.len()).unwrap_or(i32::MAX);
    let items = Some(paths.iter().cloned().collect());
    loop {
        let listed = Paths::builder().quantity(count).set_items(items.clone()).build().ok();
        let batch = InvalidationBatch::builder().set_paths(listed).caller_reference(reference(paths, about));
        let call = client.create_invalidation().distribution_id(distribution);
        let answer = call.set_invalidation_batch(batch.build().ok()).send().await;
        let full = answer.as_ref().err().and_then(SdkError::as_service_error);
        if full.is_some_and(|e| e.is_too_many_invalidations_in_progress()) {
            if Instant::now() + pause >= until {
                return Err(Error::Full { paths: paths.len(), seconds: limit.as_secs() });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE * 6);
            continue;
        }
        let answer = answer.call(|| format!("invalidate {} path(s)", paths.len()))?;
        return Ok(answer.invalidation.map(|i| i.id).unwrap_or_default());
    }
}

/// Waits until an invalidation has come to its end.
pub(crate) async fn wait(
    client: &Client,
    distribution: &str,
    id: &str,
    limit: Duration,
) -> Result<(), Error> {
    let until = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = client.get_invalidation().distribution_id(distribution).id(id).send().await;
        let answer = answer.call(|| format!("look at the invalidation {id}"))?;
        if answer.invalidation.is_some_and(|i| i.status == "Completed") {
            return Ok(());
        }
        if Instant::now() + pause >= until {
            return Err(Error::Invalidating { id: id.to_owned(), seconds: limit.as_secs() });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(paths: &[&str]) -> BTreeSet<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn a_folder_of_which_all_changed_is_one_path() {
        let changed = set(&["/a/x", "/a/y/1", "/a/y/2", "/b/x", "/b/y"]);
        assert_eq!(cover(&changed, &set(&["/b/z"]), 100, 15), set(&["/a/*", "/b/x", "/b/y"]));
        assert_eq!(cover(&changed, &set(&[]), 100, 15), set(&["/*"]));
        assert_eq!(cover(&changed, &set(&["/a/z"]), 100, 0), changed, "no wildcards left");
        assert_eq!(cover(&changed, &set(&["/a/z", "/b/z"]), 3, 0), set(&["/*"]), "too many paths");
        assert_eq!(cover(&set(&["/one"]), &set(&[]), 100, 15), set(&["/one"]));
    }

    #[test]
    fn what_covers_is_complete_and_within_the_limits() {
        // A walk over many shapes, the same every time.
        let mut dice = 1_u64;
        let mut throw = |n: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % n
        };
        for _ in 0..2_000 {
            let (mut changed, mut others) = (BTreeSet::new(), BTreeSet::new());
            for _ in 0..throw(30) + 1 {
                let depth = throw(4);
                let path: String = (0..=depth).map(|_| format!("/{}", throw(3))).collect();
                if throw(3) > 0 { &mut changed } else { &mut others }.insert(path);
            }
            let others = &others - &changed;
            if changed.is_empty() {
                continue;
            }
            let (most, wildcards) = (throw(20) as usize + 1, throw(5) as usize);
            let paths = cover(&changed, &others, most, wildcards);
            let covers = |path: &String| {
                paths.iter().any(|p| p.strip_suffix('*').map_or(p == path, |folder| path.starts_with(folder)))
            };
            assert!(changed.iter().all(covers), "{changed:?} {paths:?}");
            assert!(paths.len() <= most);
            let stars = paths.iter().filter(|p| p.ends_with('*')).count();
            assert!(stars <= wildcards.max(1));
            assert!(paths.len() <= changed.len(), "never more than one by one");
            if paths != set(&["/*"]) {
                assert!(!others.iter().any(covers), "{others:?} {paths:?}");
            }
        }
    }

    #[test]
    fn pages_have_two_spellings() {
        let paths = both_spellings(["/a/".to_owned(), "/b/index.html".to_owned(), "/c".to_owned()]);
        assert_eq!(paths, set(&["/a/", "/a/index.html", "/b/", "/b/index.html", "/c"]));
    }

    #[test]
    fn the_same_is_asked_for_by_the_same_name() {
        let paths = set(&["/a", "/b"]);
        assert_eq!(reference(&paths, "x"), reference(&paths, "x"));
        assert_ne!(reference(&paths, "x"), reference(&paths, "y"));
        assert_ne!(reference(&set(&["/ab"]), "x"), reference(&paths, "x"));
    }
}
