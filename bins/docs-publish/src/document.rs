//! What `--json` prints: one document a command, as `docs-publish schema output` describes it.

pub(crate) use causeway_ending::document::{Document, Error, Place, Refusal, done, failed, schema};

use causeway_docs_publish::{audit, check, gc::Collected, publish::Published, releases::Kept, verify};
use schemars::JsonSchema;
use serde::Serialize;

/// `publish`, `preview` and `rollback`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Release {
    /// The release.
    pub(crate) release: Option<String>,
    /// What visitors got before.
    pub(crate) before: Option<String>,
    /// The address of the site, or of the preview.
    pub(crate) url: String,
    /// Whether visitors get another release than before.
    pub(crate) switched: bool,
    /// Objects that were sent.
    pub(crate) uploaded: usize,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// Objects that were copied inside the bucket.
    pub(crate) copied: usize,
    /// Objects that were copied with other headers.
    pub(crate) retouched: usize,
    /// Whether there is a new error page.
    pub(crate) error_page: bool,
    /// Paths that were invalidated.
    pub(crate) invalidated: Vec<String>,
    /// What was found in the folder.
    pub(crate) findings: Vec<Finding>,
    /// What the edge said; nothing if it was not asked.
    pub(crate) verified: Option<Verified>,
}

/// Something in the folder.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// Which rule it is against.
    rule: String,
    /// Where.
    path: String,
    /// What, and what to do.
    message: String,
    /// Whether it keeps the folder from being published.
    refuses: bool,
}

impl From<&check::Finding> for Finding {
    fn from(found: &check::Finding) -> Self {
        let check::Finding { rule, path, message, refuses } = found.clone();
        Finding { rule: rule.to_owned(), path, message, refuses }
    }
}

/// `check`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Checked {
    /// What was found.
    pub(crate) findings: Vec<Finding>,
}

/// `audit`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Audited {
    /// The distribution.
    pub(crate) distribution: String,
    /// What was looked at.
    pub(crate) points: Vec<Point>,
}

/// Something that was looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Point {
    /// What.
    what: String,
    /// Whether it is `good`, `could be better`, or `wrong`.
    state: String,
    /// What is there.
    found: String,
    /// What mends it; nothing where it is good.
    mend: Option<String>,
}

impl From<&audit::Point> for Point {
    fn from(point: &audit::Point) -> Self {
        let audit::Point { what, state, found, mend } = point.clone();
        Point { what: what.to_owned(), state: state.to_string(), found, mend: mend.map(str::to_owned) }
    }
}

/// `verify`, and what `publish` and `rollback` saw afterwards.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Verified {
    /// The release that the edge serves.
    release: Option<String>,
    /// How much was asked.
    asked: usize,
    /// What is not as it was published.
    wrong: Vec<Wrong>,
}

/// An answer that is not as it was published.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Wrong {
    /// What was asked for.
    url: String,
    /// What is wrong with the answer.
    why: String,
}

impl From<&verify::Verified> for Verified {
    fn from(seen: &verify::Verified) -> Self {
        let wrong = |one: &verify::Wrong| Wrong { url: one.url.clone(), why: one.why.clone() };
        Verified {
            release: seen.release.as_ref().map(ToString::to_string),
            asked: seen.asked,
            wrong: seen.wrong.iter().map(wrong).collect(),
        }
    }
}

impl Release {
    pub(crate) fn of(done: &Published, url: String) -> Self {
        let text = |id: &Option<causeway_docs_publish::ReleaseId>| id.as_ref().map(ToString::to_string);
        Release {
            release: text(&done.release),
            before: text(&done.before),
            url,
            switched: done.switched,
            uploaded: done.uploaded,
            bytes: done.bytes,
            copied: done.copied,
            retouched: done.retouched,
            error_page: done.error_page,
            invalidated: done.invalidated.clone(),
            findings: done.findings.iter().map(Into::into).collect(),
            verified: None,
        }
    }
}

/// `diff`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Differences {
    /// What visitors get.
    pub(crate) live: Option<String>,
    /// Files that are new.
    pub(crate) added: Vec<String>,
    /// Files that have other content.
    pub(crate) changed: Vec<String>,
    /// Files of which only headers changed.
    pub(crate) headers: Vec<String>,
    /// Files that are gone.
    pub(crate) removed: Vec<String>,
    /// Whether redirects, patterns or the spelling of pages changed.
    pub(crate) rules: bool,
    /// Whether it changed how text is there compressed.
    pub(crate) compressed: bool,
}

/// `releases`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Releases {
    /// Every release, oldest first.
    pub(crate) releases: Vec<OneRelease>,
}

/// A release that is kept.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OneRelease {
    /// Its name.
    id: String,
    /// When it was begun.
    made: String,
    /// Whether visitors get it.
    live: bool,
    /// Whether visitors got it before the one that is live.
    previous: bool,
    /// Its files; nothing if it was never finished.
    files: Option<usize>,
    /// Their bytes, before they are compressed.
    bytes: Option<u64>,
    /// How its text is there compressed besides: `br`, `gzip`.
    encodings: Vec<String>,
}

impl From<Kept> for OneRelease {
    fn from(kept: Kept) -> Self {
        let Kept { id, made, live, previous, files, bytes, encodings } = kept;
        let encodings = encodings.iter().map(ToString::to_string).collect();
        OneRelease { id: id.to_string(), made: made.to_string(), live, previous, files, bytes, encodings }
    }
}

/// `gc`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Removed {
    /// Releases that are gone, or would be.
    releases: Vec<String>,
    /// Objects of them.
    objects: usize,
    /// Immutable files that nothing needs any more.
    shared: usize,
    /// Keys of the store.
    keys: usize,
    /// Uploads that were never finished.
    uploads: usize,
    /// Releases that stay.
    kept: usize,
}

impl From<Collected> for Removed {
    fn from(done: Collected) -> Self {
        let Collected { releases, objects, shared, keys, uploads, kept } = done;
        let releases = releases.iter().map(ToString::to_string).collect();
        Removed { releases, objects, shared, keys, uploads, kept }
    }
}
