//! What a file is served as, and how long it may be kept.

/// For files whose name changes with their content: a year, and never asked for again.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// For what belongs together in a release: browsers ask each time, and are mostly told that nothing changed. The edge may keep
/// it, as it keeps a release's files under the release's own name.
pub(crate) const REVALIDATED: &str = "public, max-age=0, s-maxage=31536000, must-revalidate";

/// For what looks the same for a while in any release: an hour.
pub(crate) const BRIEF: &str = "public, max-age=3600, s-maxage=31536000";

/// What the names of immutable files start with: Next.js, Astro, Nuxt, SvelteKit.
pub const PREFIXES: [&str; 4] = ["/_next/static/", "/_astro/", "/_nuxt/", "/_app/immutable/"];

/// The `Content-Type` of the file at `path`.
pub(crate) fn content_type(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    if last == "apple-app-site-association" {
        return "application/json".into();
    }
    let ending = last.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let known = match ending.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "application/xml; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "avif" => "image/avif",
        "webp" => "image/webp",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        _ => return mime_guess::from_path(path).first_or_octet_stream().to_string(),
    };
    known.to_owned()
}

/// The `Cache-Control` of what is served as `content_type` and has its name for longer than its content.
pub(crate) fn cache_control(content_type: &str) -> &'static str {
    let shown = ["image/", "font/", "audio/", "video/"].iter().any(|kind| content_type.starts_with(kind));
    if shown || content_type == "application/pdf" { BRIEF } else { REVALIDATED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_say_the_type() {
        for (path, expected) in [
            ("a.HTML", "text/html; charset=utf-8"),
            ("a/b.js", "text/javascript; charset=utf-8"),
            ("a.ico", "image/x-icon"),
            ("a.pdf", "application/pdf"),
            ("LICENSE", "application/octet-stream"),
            ("a.tar.gz", "application/gzip"),
            (".well-known/apple-app-site-association", "application/json"),
        ] {
            assert_eq!(content_type(path), expected, "{path}");
        }
    }

    #[test]
    fn what_belongs_together_is_asked_for_each_time() {
        assert_eq!(cache_control("text/css; charset=utf-8"), REVALIDATED);
        assert_eq!(cache_control("image/png"), BRIEF);
    }
}
