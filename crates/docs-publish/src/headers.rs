//! `_headers`: further headers by path, as on Cloudflare Pages and Netlify.
//! <https://developers.cloudflare.com/pages/configuration/headers/>
//!
//! A block is a path and indented lines `Name: value`; `! Name` takes back what blocks before gave. `*` stands for anything,
//! once, and is `:splat` in values; `:name` stands for anything without a slash, and for itself in values. All blocks that match
//! count; where two give the same header their values are joined by a comma.

use crate::mistake::Mistake;
use regex::{Captures, Regex};
use std::collections::BTreeMap;

const FILE: &str = "_headers";

/// What functions at the edge may not set, or what the edge and S3 say themselves.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/edge-function-restrictions-all.html>
const NOT_OURS: [&str; 22] = [
    "age",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "etag",
    "expect",
    "keep-alive",
    "last-modified",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "server",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "warning",
    "x-cache",
    "x-forwarded-proto",
    "x-real-ip",
];

const NOT_OURS_BY_START: [&str; 4] = ["x-accel-", "x-amz-", "x-amzn-", "x-edge-"];

/// What S3 keeps of metadata: names and values together.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html>
pub(crate) const MOST_BYTES: usize = 2048;

/// The most blocks. Cloudflare Pages has the same limit.
const MOST_BLOCKS: usize = 100;

/// A parsed file.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    blocks: Vec<Block>,
}

#[derive(Debug)]
struct Block {
    pattern: Regex,
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Set(String, String),
    TakeBack(String),
}

impl Headers {
    /// Reads the file.
    ///
    /// # Errors
    /// Every line that cannot be followed.
    pub(crate) fn parse(text: &str) -> Result<Headers, Vec<Mistake>> {
        let (mut blocks, mut mistakes): (Vec<Block>, Vec<Mistake>) = (vec![], vec![]);
        // After a path that cannot be followed its lines are read, and belong nowhere.
        let mut orphans = false;
        for (n, line) in text.lines().enumerate() {
            let words = line.trim();
            if words.is_empty() || words.starts_with('#') {
                continue;
            }
            let mut wrong = |message| mistakes.push(Mistake { file: FILE, line: n + 1, message });
            if !line.starts_with([' ', '\t']) {
                match pattern(words) {
                    Ok(pattern) => {
                        blocks.push(Block { pattern, lines: vec![] });
                        orphans = false;
                    }
                    Err(message) => {
                        wrong(message);
                        orphans = true;
                    }
                }
                if blocks.len() > MOST_BLOCKS {
                    wrong(format!("there are more than {MOST_BLOCKS} blocks; put them together with `*`"));
                    break;
                }
                continue;
            }
            match (header(words), blocks.last_mut()) {
                (Err(message), _) => wrong(message),
                (Ok(_), None) if !orphans => {
                    wrong("this header stands under no path; write one above, not indented".into());
                }
                (Ok(line), Some(block)) if !orphans => block.lines.push(line),
                (Ok(_), _) => {}
            }
        }
        if mistakes.is_empty() { Ok(Headers { blocks }) } else { Err(mistakes) }
    }

    /// The headers of what is asked for at `url`, by their names in lower case.
    pub(crate) fn at(&self, url: &str) -> BTreeMap<String, String> {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for block in &self.blocks {
            let Some(found) = block.pattern.captures(url) else { continue };
            for line in &block.lines {
                match line {
                    Line::TakeBack(name) => drop(headers.remove(name)),
                    Line::Set(name, value) => {
                        let value = filled(value, &block.pattern, &found);
                        let together = headers.get(name).map(|before| format!("{before}, {value}"));
                        headers.insert(name.clone(), together.unwrap_or(value));
                    }
                }
            }
        }
        headers
    }
}

/// The path of a block, as an expression that matches whole URLs.
fn pattern(path: &str) -> Result<Regex, String> {
    if path.starts_with("https://") || path.starts_with("http://") {
        return Err(
            "a block for one host cannot be followed: a release is the same at each of its names; write \
                    the path alone"
                .into(),
        );
    }
    if !path.starts_with('/') {
        return Err(format!("`{path}` is no path; one starts with `/`, and headers are indented"));
    }
    if path.matches('*').count() > 1 {
        return Err(format!("`{path}` has more than one `*`"));
    }
    let mut expression = String::from("^");
    for (i, segment) in path.split('/').enumerate() {
        if i > 0 {
            expression.push('/');
        }
        match segment.strip_prefix(':') {
            Some(name) if is_name(name) => expression.push_str(&format!("(?<{name}>[^/]+)")),
            _ => expression.push_str(&regex::escape(segment).replace(r"\*", "(?<splat>.*)")),
        }
    }
    expression.push('$');
    Regex::new(&expression)
        .map_err(|_| format!("`{path}` has a placeholder twice, or one that is called `splat`"))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn header(words: &str) -> Result<Line, String> {
    if let Some(name) = words.strip_prefix('!') {
        return Ok(Line::TakeBack(name.trim().to_ascii_lowercase()));
    }
    let Some((name, value)) = words.split_once(':') else {
        return Err(format!("`{words}` is no header; one is written `Name: value`"));
    };
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err(format!("`{name}` is no name of a header"));
    }
    if name == "basic-auth" {
        return Err("passwords cannot be asked for by a file that is published; take `Basic-Auth` out".into());
    }
    if name == "set-cookie" {
        return Err("cookies cannot be set by `_headers`: the edge would keep them for everybody".into());
    }
    if NOT_OURS.contains(&name.as_str()) || NOT_OURS_BY_START.iter().any(|start| name.starts_with(start)) {
        return Err(format!("CloudFront does not let `{name}` be set; take it out"));
    }
    if value.is_empty() {
        return Err(format!("`{name}` has no value; `! {name}` takes a header back"));
    }
    if !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(format!(
            "the value of `{name}` has characters that are not ASCII, which S3 does not keep as they are"
        ));
    }
    Ok(Line::Set(name, value.to_owned()))
}

fn filled(value: &str, pattern: &Regex, found: &Captures<'_>) -> String {
    // The longest first, as the name of one may be the beginning of another's.
    let mut names: Vec<&str> = pattern.capture_names().flatten().collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let one = |value: String, name: &str| match found.name(name) {
        Some(text) => value.replace(&format!(":{name}"), text.as_str()),
        None => value,
    };
    names.into_iter().fold(value.to_owned(), one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, url: &str) -> Vec<(String, String)> {
        Headers::parse(text).unwrap().at(url).into_iter().collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    const TEXT: &str = "\
# comment
/*
  X-Frame-Options: DENY
  X-Robots-Tag: noindex

/static/*
\tAccess-Control-Allow-Origin: *
  X-Robots-Tag: nosnippet
/blog/:year/:yearly
  Link: </feeds/:year/:yearly>; rel=alternate
  ! X-Frame-Options
/movies/*.html
  x-movie: is :splat
";

    #[test]
    fn all_blocks_that_match_count() {
        assert_eq!(at(TEXT, "/"), pairs(&[("x-frame-options", "DENY"), ("x-robots-tag", "noindex")]));
        assert_eq!(
            at(TEXT, "/static/a/b.css"),
            pairs(&[
                ("access-control-allow-origin", "*"),
                ("x-frame-options", "DENY"),
                ("x-robots-tag", "noindex, nosnippet")
            ])
        );
        assert_eq!(
            at(TEXT, "/blog/2026/x"),
            pairs(&[("link", "</feeds/2026/x>; rel=alternate"), ("x-robots-tag", "noindex")])
        );
        assert!(at(TEXT, "/movies/a/b.html").contains(&("x-movie".into(), "is a/b".into())));
        assert!(!at(TEXT, "/movies/a/b.htm").iter().any(|(name, _)| name == "x-movie"));
    }

    #[test]
    fn what_cannot_be_followed_is_told_with_its_line() {
        for (text, line, says) in [
            ("https://a.example/*\n  a: b", 1, "a block for one host"),
            ("\n  a: b", 2, "under no path"),
            ("a: b", 1, "is no path"),
            ("/*/*\n  a: b", 1, "more than one `*`"),
            ("/:a/:a\n  a: b", 1, "placeholder twice"),
            ("/\n  ab", 2, "is no header"),
            ("/\n  a b: c", 2, "is no name"),
            ("/\n  Via: c", 2, "CloudFront does not let `via`"),
            ("/\n  X-Amz-Cf-Id: c", 2, "CloudFront does not let"),
            ("/\n  Set-Cookie: a=b", 2, "cookies"),
            ("/\n  Basic-Auth: a:b", 2, "passwords"),
            ("/\n  a:", 2, "has no value"),
            ("/\n  a: ä", 2, "not ASCII"),
        ] {
            let mistakes = Headers::parse(text).unwrap_err();
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert_eq!(mistakes[0].line, line, "{mistakes:?}");
            assert!(mistakes[0].message.contains(says), "{mistakes:?}");
        }
    }
}
