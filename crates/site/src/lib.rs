//! What a static site looks like in a bucket and at the edge.
//!
//! | object key | holds |
//! | --- | --- |
//! | `releases/<id>/<path>` | one release: every file of it that is not immutable |
//! | `releases/<id>/.well-known/release.json` | its [`Manifest`], written last: a release without one is not complete |
//! | `shared/<path>` | immutable files of all releases: their names change with their content |
//! | `_errors/404.html` | the error page. CloudFront fetches it without asking a function, so it is in no release |
//!
//! | key in the key value store | value |
//! | --- | --- |
//! | `live` | the [`Release`] that visitors get. A switch is one write of it |
//! | `release:<id>` | the same of each release that is kept, for previews and for going back |
//! | `to:<id>:<path>` | `<status> <target>`, an exact redirect of a release; status 200 is a rewrite |
//! | `rules:<id>:<n>` | a list of `[pattern, status, target]` |
//!
//! A value and its key have 1 KB together: <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/kvs-with-functions.html>.

pub mod layout;
mod manifest;
mod release;

pub use manifest::{File, Manifest};
pub use release::{Encoding, InvalidReleaseId, Release, ReleaseId, Style};

/// The function for viewer requests, in JavaScript runtime 2.0; it needs the key value store.
pub const ROUTER: &str = include_str!("router.js");

/// The function for viewer responses, in JavaScript runtime 2.0.
pub const HEADERS: &str = include_str!("headers.js");
