//! Keys of objects, and of the key value store.

use crate::{Encoding, ReleaseId};

/// Releases, each under its id.
pub const RELEASES: &str = "releases/";
/// Immutable files of all releases.
pub const SHARED: &str = "shared/";
/// What visitors get for what there is not.
pub const ERROR_PAGE: &str = "_errors/404.html";
/// Where in a release its manifest is; visitors reach it there as well.
pub const MANIFEST: &str = ".well-known/release.json";
/// The key of what visitors get.
pub const LIVE: &str = "live";
/// What a header's name is kept under in an object's metadata, without `x-amz-meta-`.
pub const HEADER: &str = "header-";

/// What the names of files end in that are there compressed, too, in a release that has such: the router leads there by the name
/// alone, so none of them may be left out, however small.
pub const TEXT: [&str; 10] =
    [".html", ".css", ".js", ".mjs", ".json", ".svg", ".xml", ".txt", ".wasm", ".webmanifest"];

/// Whether a file is there compressed, in a release that has such.
pub fn is_text(path: &str) -> bool {
    TEXT.iter().any(|ending| path.ends_with(ending))
}

/// How a file is there in a release that has `encodings`: as it is, `None`, and compressed.
pub fn forms(encodings: &[Encoding], path: &str) -> impl Iterator<Item = Option<Encoding>> {
    let encodings = if is_text(path) { encodings } else { &[] };
    [None].into_iter().chain(encodings.iter().copied().map(Some))
}

/// What a form of a file is called: `name` may be its path, or the key of its object.
pub fn form(name: &str, encoding: Option<Encoding>) -> String {
    format!("{name}{}", encoding.map_or("", Encoding::ending))
}

/// The object of a file of a release; `path` has no slash at its start.
pub fn object(id: &ReleaseId, path: &str) -> String {
    format!("{RELEASES}{id}/{path}")
}

/// The object of an immutable file.
pub fn shared(path: &str) -> String {
    format!("{SHARED}{path}")
}

/// The key of a release in the key value store.
pub fn release_key(id: &ReleaseId) -> String {
    format!("release:{id}")
}

/// The key of an exact redirect; `path` starts with a slash, as it is asked for.
pub fn redirect_key(id: &ReleaseId, path: &str) -> String {
    format!("to:{id}:{path}")
}

/// The key of the rules of a release, one chunk of them.
pub fn rules_key(id: &ReleaseId, chunk: usize) -> String {
    format!("rules:{id}:{chunk}")
}
