//! Removing old releases: what no release needs that is kept.
//!
//! While it runs nobody publishes, and who began before it loses at the switch: otherwise an immutable file could be removed
//! that a release just counted on.

use crate::{
    error::Error,
    place::Place,
    publish::{self, PREVIOUS},
    store::Seen,
};
use causeway_site::{Encoding, ReleaseId, layout};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;

/// For how long a release that was never finished is left for its next run.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest releases.
    pub releases: usize,
    /// And all that are younger than so many days.
    pub days: u32,
    /// The most objects that may be removed.
    pub most: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Keep { releases: 10, days: 30, most: 100_000 }
    }
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Releases.
    pub releases: Vec<ReleaseId>,
    /// Objects of them.
    pub objects: usize,
    /// Immutable files that nothing needs any more.
    pub shared: usize,
    /// Keys of the store.
    pub keys: usize,
    /// Uploads that were never finished.
    pub uploads: usize,
    /// Releases that stay.
    pub kept: usize,
}

struct Plan {
    releases: Vec<ReleaseId>,
    objects: Vec<String>,
    keys: Vec<String>,
    kept: usize,
    shared: usize,
}

/// Removes what `keep` does not keep; with `dry` only says what that would be. What visitors get, and what they got before, is
/// always kept.
///
/// # Errors
/// [`Error`]; [`Error::TooMuch`] before anything is removed.
pub async fn collect(place: &Place, keep: &Keep, dry: bool) -> Result<Collected, Error> {
    let seen = place.keys.see().await?;
    publish::not_collecting(&seen)?;
    if dry {
        let plan = plan(place, &seen, keep).await?;
        return Ok(plan.report());
    }
    let now = Timestamp::now().to_string();
    let seen = place.keys.begin_collecting(seen, &now).await?;
    let removed = remove(place, &seen, keep).await;
    let (seen, removed) = match removed {
        Ok((seen, report)) => (seen, Ok(report)),
        Err(error) => (seen, Err(error)),
    };
    let ended = place.keys.end_collecting(seen, &now).await;
    let report = removed?;
    ended.map(|_| report)
}

async fn remove(place: &Place, seen: &Seen, keep: &Keep) -> Result<(Seen, Collected), Error> {
    let plan = plan(place, seen, keep).await?;
    // Nobody goes back to a release that is being removed.
    let seen = place.keys.update(seen.clone(), &[], &plan.keys).await?;
    place.objects.delete(&plan.objects).await?;
    let mut report = plan.report();
    let before = Timestamp::now().checked_sub(UNFINISHED).unwrap_or(Timestamp::MIN);
    report.uploads = place.objects.end_uploads(before).await?;
    Ok((seen, report))
}

async fn plan(place: &Place, seen: &Seen, keep: &Keep) -> Result<Plan, Error> {
    let now = Timestamp::now();
    let age = |at: Timestamp| now.duration_since(at);
    let young = SignedDuration::from_hours(24 * i64::from(keep.days));
    let live = seen.live.as_ref().map(|live| &live.id);
    let previous = place.keys.get(PREVIOUS).await?;
    let (mut kept, mut gone, mut needed) = (BTreeSet::new(), vec![], BTreeSet::new());
    let mut complete = 0;
    for id in place.objects.releases().await?.into_iter().rev() {
        let manifest = publish::manifest(place, &id).await?;
        let always = Some(&id) == live || previous.as_deref() == Some(id.as_str());
        let stays = match &manifest {
            Some(_) => {
                complete += 1;
                always || complete <= keep.releases || age(publish::made(&id)) < young
            }
            None => always || age(publish::made(&id)) < UNFINISHED,
        };
        if !stays {
            gone.push(id);
            continue;
        }
        let files = manifest.into_iter().flat_map(|manifest| manifest.files);
        for (path, _) in files.filter(|(_, file)| file.immutable) {
            // With each form that it may have: the edge takes them for there as long as the file is.
            needed.extend(layout::forms(&Encoding::ALL, &path).map(|encoding| layout::form(&path, encoding)));
        }
        kept.insert(id);
    }
    // Without its manifest nobody can say what it needs.
    if let Some(live) = live.filter(|live| !kept.contains(*live)) {
        return Err(Error::Incomplete {
            id: live.clone(),
            missing: vec![layout::object(live, layout::MANIFEST)],
        });
    }
    let shared = place.objects.list(layout::SHARED).await?;
    let unneeded =
        shared.iter().filter(|(path, object)| !needed.contains(*path) && age(object.modified) >= young);
    let mut objects: Vec<String> = unneeded.map(|(path, _)| layout::shared(path)).collect();
    let shared = objects.len();
    for id in &gone {
        // The manifest first: what is left of a release is then one that was never finished.
        objects.push(layout::object(id, layout::MANIFEST));
        let listed = place.objects.list(&layout::object(id, "")).await?;
        let others = listed.into_keys().filter(|path| path != layout::MANIFEST);
        objects.extend(others.map(|path| layout::object(id, &path)));
    }
    if objects.len() > keep.most {
        return Err(Error::TooMuch { wanted: objects.len(), most: keep.most });
    }
    let orphaned = |key: &String| release_of(key).is_some_and(|id| !kept.contains(&id));
    let keys = place.keys.all().await?.into_keys().filter(orphaned).collect();
    Ok(Plan { releases: gone, objects, keys, kept: kept.len(), shared })
}

/// The release that a key of the store belongs to.
fn release_of(key: &str) -> Option<ReleaseId> {
    let (kind, rest) = key.split_once(':')?;
    let id = rest.split(':').next()?;
    if ["release", "to", "rules"].contains(&kind) { id.parse().ok() } else { None }
}

impl Plan {
    fn report(&self) -> Collected {
        Collected {
            releases: self.releases.clone(),
            objects: self.objects.len() - self.shared,
            shared: self.shared,
            keys: self.keys.len(),
            uploads: 0,
            kept: self.kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_belong_to_releases() {
        let id = ReleaseId::new(Timestamp::UNIX_EPOCH, [1; 32]);
        let keys = [layout::release_key(&id), layout::redirect_key(&id, "/a:b"), layout::rules_key(&id, 3)];
        for key in keys {
            assert_eq!(release_of(&key), Some(id.clone()), "{key}");
        }
        for key in [layout::LIVE, PREVIOUS, "gc", "error-page", "release:live"] {
            assert_eq!(release_of(key), None, "{key}");
        }
    }
}
