//! What a static site looks like in a bucket and at the edge.
//!
//! | object key | holds |
//! | --- | --- |
//! | `releases/<id>/<path>` | one release: every file of it that is not immutable |
//! | `releases/<id>/.well-known/release.json` | its [`Manifest`], written last: a release without one is not complete |
//! | `shared/<path>` | immutable files of all releases: their names change with their content |
//! | `….br`, `….gz` | the same compressed, where [`Release::encodings`] has it, of every file whose name ends as [`layout::TEXT`] says |
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

#[cfg(test)]
mod tests {
    use super::layout;

    #[test]
    fn the_router_and_the_layout_agree_on_what_is_compressed() {
        let endings = layout::TEXT.map(|ending| &ending[1..]).join("|");
        assert!(super::ROUTER.contains(&format!(r"/\.({endings})$/.test(path)")));
        assert!(layout::is_text("a/index.html") && layout::is_text(layout::MANIFEST));
        assert!(!layout::is_text("a.png") && !layout::is_text("a.js.map") && !layout::is_text("html"));
    }

    #[test]
    fn functions_are_as_small_and_as_plain_as_cloudfront_takes_them() {
        for function in [super::ROUTER, super::HEADERS] {
            assert!(function.len() <= 10 * 1024, "{} bytes", function.len());
            let code: String = function.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            for unknown in
                [" of ", "...", "?.", "??", "{ [", "const {", "const [", "let {", "let [", "class ", "`"]
            {
                assert!(!code.contains(unknown), "{unknown}");
            }
        }
    }
}
