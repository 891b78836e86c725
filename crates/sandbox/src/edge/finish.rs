//! The last steps of a response: compression, the policy of headers, conditions and ranges.

use std::io::Write;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::function::{Asked, Given};
use super::site::{Behavior, HeadersPolicy};

/// What is compressed:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html>.
const COMPRESSED: &[&str] = &[
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/rss+xml",
    "application/wasm",
    "application/x-javascript",
    "application/xhtml+xml",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "text/css",
    "text/csv",
    "text/html",
    "text/javascript",
    "text/markdown",
    "text/plain",
    "text/xml",
];
const SMALLEST: usize = 1000;
const LARGEST: usize = 10_000_000;
/// Middling: quick, and nearly as small.
const QUALITY: u32 = 5;
const BUFFER: usize = 4096;

/// How a response is to be compressed, as far as the viewer and the behavior go; part of the key of the cache.
pub(super) fn encoding(behavior: &Behavior, accepted: Option<&str>) -> &'static str {
    if !behavior.compress {
        return "";
    }
    let likes = |wanted: &str| {
        accepted.unwrap_or_default().split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            named && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
        })
    };
    if behavior.cache.brotli && likes("br") {
        "br"
    } else if behavior.cache.gzip && likes("gzip") {
        "gzip"
    } else {
        ""
    }
}

/// Compresses what an origin gave, where it may be. Its ETag is a weak one then.
pub(super) fn compress(encoding: &str, status: StatusCode, headers: &mut HeaderMap, body: Bytes) -> Bytes {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = matches!(status.as_u16(), 200 | 403 | 404)
        && !headers.contains_key(header::CONTENT_ENCODING)
        && COMPRESSED.contains(&kind.as_str())
        && (SMALLEST..=LARGEST).contains(&body.len());
    let smaller = match encoding {
        "br" if fits => brotli_of(&body),
        "gzip" if fits => gzip_of(&body),
        _ => None,
    };
    let Some(smaller) = smaller else { return body };
    headers.remove(header::CONTENT_LENGTH);
    if let Ok(encoding) = encoding.parse() {
        headers.insert(header::CONTENT_ENCODING, encoding);
    }
    headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let strong =
        headers.get(header::ETAG).and_then(|etag| etag.to_str().ok()).filter(|etag| !etag.starts_with("W/"));
    if let Some(weak) = strong.and_then(|etag| format!("W/{etag}").parse().ok()) {
        headers.insert(header::ETAG, weak);
    }
    smaller.into()
}

fn brotli_of(body: &[u8]) -> Option<Vec<u8>> {
    let mut smaller = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut smaller, BUFFER, QUALITY, 22);
    writer.write_all(body).and_then(|()| writer.flush()).ok()?;
    drop(writer);
    Some(smaller)
}

fn gzip_of(body: &[u8]) -> Option<Vec<u8>> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(QUALITY));
    writer.write_all(body).ok()?;
    writer.finish().ok()
}

impl HeadersPolicy {
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name.to_ascii_lowercase().as_str());
        }
        for (name, value, replaces) in &self.set {
            let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) else {
                continue;
            };
            if *replaces || !headers.contains_key(&name) {
                headers.insert(name, value);
            }
        }
    }
}

/// Answers a condition with 304, a range with a part, and `HEAD` without a body.
pub(super) fn shorten(asked: &Asked, mut given: Given) -> Given {
    if given.status == StatusCode::OK && is_known(asked, &given.headers) {
        given.status = StatusCode::NOT_MODIFIED;
        given.headers.remove(header::CONTENT_LENGTH);
        given.body = Bytes::new();
        return given;
    }
    if given.status == StatusCode::OK && asked.method == Method::GET.as_str() {
        given = part(asked, given);
    }
    if asked.method == Method::HEAD.as_str() {
        if !given.body.is_empty() {
            given.headers.insert(header::CONTENT_LENGTH, given.body.len().into());
        }
        given.body = Bytes::new();
    }
    given
}

/// Whether the viewer has it already.
fn is_known(asked: &Asked, headers: &HeaderMap) -> bool {
    let of = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bare = |etag: &str| etag.trim().trim_start_matches("W/").to_owned();
    match (asked.header("if-none-match"), asked.header("if-modified-since")) {
        (Some("*"), _) => true,
        (Some(known), _) => {
            of(header::ETAG).is_some_and(|etag| known.split(',').any(|one| bare(one) == bare(etag)))
        }
        (None, Some(since)) => of(header::LAST_MODIFIED).is_some_and(|modified| {
            let read = |text| jiff::fmt::rfc2822::parse(text).ok().map(|at| at.timestamp());
            read(modified).zip(read(since)).is_some_and(|(modified, since)| modified <= since)
        }),
        (None, None) => false,
    }
}

/// One range of bytes; several at once are answered with all.
fn part(asked: &Asked, mut given: Given) -> Given {
    let all = given.body.len();
    let wanted = asked.header("range").and_then(|range| range.strip_prefix("bytes="));
    let Some((from, to)) =
        wanted.filter(|wanted| !wanted.contains(',')).and_then(|wanted| wanted.split_once('-'))
    else {
        return given;
    };
    let range = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(all),
        (Ok(from), Err(_)) if to.is_empty() => from..all,
        (Err(_), Ok(last)) if from.is_empty() => all.saturating_sub(last)..all,
        _ => return given,
    };
    let shown = if range.start < range.end {
        given.status = StatusCode::PARTIAL_CONTENT;
        given.body = given.body.slice(range.clone());
        format!("bytes {}-{}/{all}", range.start, range.end - 1)
    } else {
        given.status = StatusCode::RANGE_NOT_SATISFIABLE;
        given.body = Bytes::new();
        format!("bytes */{all}")
    };
    given.headers.remove(header::CONTENT_LENGTH);
    if let Ok(shown) = shown.parse() {
        given.headers.insert(header::CONTENT_RANGE, shown);
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(&str, &str)]) -> Asked {
        let mut request = http::Request::get("/a");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Asked::of(&request.body(()).unwrap().into_parts().0)
    }

    fn given() -> Given {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("\"e\""));
        headers.insert(header::LAST_MODIFIED, HeaderValue::from_static("Sun, 22 Nov 2026 15:00:00 GMT"));
        Given { status: StatusCode::OK, headers, body: Bytes::from_static(b"0123456789") }
    }

    #[test]
    fn what_a_viewer_has_is_not_sent_again() {
        for (name, value, status) in [
            ("if-none-match", "\"x\", W/\"e\"", 304),
            ("if-none-match", "\"x\"", 200),
            ("if-modified-since", "Sun, 22 Nov 2026 15:00:00 GMT", 304),
            ("if-modified-since", "Sun, 22 Nov 2026 14:59:59 GMT", 200),
        ] {
            let short = shorten(&asked(&[(name, value)]), given());
            assert_eq!(short.status, status, "{name}: {value}");
            assert_eq!(short.body.is_empty(), status == 304);
        }
    }

    #[test]
    fn a_range_is_a_part() {
        for (range, status, body, shown) in [
            ("bytes=2-4", 206, "234", "bytes 2-4/10"),
            ("bytes=8-", 206, "89", "bytes 8-9/10"),
            ("bytes=-3", 206, "789", "bytes 7-9/10"),
            ("bytes=8-100", 206, "89", "bytes 8-9/10"),
            ("bytes=10-", 416, "", "bytes */10"),
            ("bytes=0-1,3-4", 200, "0123456789", ""),
            ("lines=1-2", 200, "0123456789", ""),
        ] {
            let short = shorten(&asked(&[("range", range)]), given());
            assert_eq!((short.status.as_u16(), &short.body[..]), (status, body.as_bytes()), "{range}");
            assert_eq!(short.headers.get("content-range").map_or("", |shown| shown.to_str().unwrap()), shown);
        }
    }

    #[test]
    fn text_is_compressed_and_what_is_small_or_compressed_is_not() {
        use std::io::Read;
        let text = Bytes::from("text ".repeat(1000));
        for (encoding, kind, body, expected) in [
            ("gzip", "text/html; charset=utf-8", text.clone(), true),
            ("br", "text/html", text.clone(), true),
            ("", "text/html", text.clone(), false),
            ("br", "image/png", text.clone(), false),
            ("br", "text/html", text.slice(..SMALLEST - 1), false),
        ] {
            let mut headers = given().headers;
            headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            let done = compress(encoding, StatusCode::OK, &mut headers, body.clone());
            assert_eq!(headers.contains_key(header::CONTENT_ENCODING), expected, "{encoding} {kind}");
            let mut plain = Vec::new();
            let mut reader: Box<dyn Read> =
                match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
                    Some(b"gzip") => Box::new(flate2::read::GzDecoder::new(&done[..])),
                    Some(b"br") => Box::new(brotli::Decompressor::new(&done[..], BUFFER)),
                    _ => Box::new(&done[..]),
                };
            reader.read_to_end(&mut plain).unwrap();
            assert_eq!(plain, body);
            assert_eq!(headers[header::ETAG].as_bytes().starts_with(b"W/"), expected);
        }
        // What the origin compressed is not compressed again.
        let mut headers = given().headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let before = headers.clone();
        assert_eq!(compress("br", StatusCode::OK, &mut headers, text.clone()), text);
        assert_eq!(headers, before);
    }

    #[test]
    fn a_headers_policy_replaces_only_where_it_says_so() {
        let set = |name: &str, replaces| (name.to_owned(), "policy".to_owned(), replaces);
        let policy = HeadersPolicy {
            set: vec![set("X-Kept", false), set("X-Set", true), set("X-New", false)],
            remove: vec!["Server".to_owned()],
        };
        let mut headers = HeaderMap::new();
        for name in ["x-kept", "x-set", "server"] {
            headers.insert(name, HeaderValue::from_static("origin"));
        }
        policy.apply(&mut headers);
        assert_eq!(headers["x-kept"], "origin");
        assert_eq!(headers["x-set"], "policy");
        assert_eq!(headers["x-new"], "policy");
        assert!(!headers.contains_key("server"));
    }
}
