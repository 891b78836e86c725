//! `_redirects`: where paths lead, as on Cloudflare Pages and Netlify.
//! <https://developers.cloudflare.com/pages/configuration/redirects/>
//!
//! A line is `from to [status]`; without a status it is 302. `:name` stands for one segment of a path, and `*` at the end for the
//! rest, which is `:splat` in the target. Redirects are followed whether or not there is a file; exact ones come before patterns,
//! and of two that are alike the first counts. Status 200 shows another page of the site without leading there.

use crate::mistake::Mistake;
use std::collections::BTreeMap;

const FILE: &str = "_redirects";

const STATUSES: [u16; 6] = [200, 301, 302, 303, 307, 308];

/// The most patterns: the router tries them one after the other at each request. Cloudflare Pages has the same limit.
const MOST_RULES: usize = 100;

/// The most exact redirects, so that the releases that are kept fit into the 5 MB of a store.
const MOST_EXACT: usize = 2_000;

/// What a key and its value may have together.
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html#limits-keyvaluestores>
pub(crate) const MOST_BYTES: usize = 1024;

/// What a key may have.
const MOST_KEY_BYTES: usize = 512;

/// Bytes of a key beside the path: `to:<id>:`, with 25 for the id.
const KEY_BYTES: usize = 29;

/// A parsed file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Redirects {
    /// `<status> <target>` by path.
    pub(crate) exact: BTreeMap<String, String>,
    /// Pattern, status, target.
    pub(crate) rules: Vec<(String, u16, String)>,
}

impl Redirects {
    /// Reads the file.
    ///
    /// # Errors
    /// Every line that cannot be followed.
    pub(crate) fn parse(text: &str) -> Result<Redirects, Vec<Mistake>> {
        let (mut redirects, mut mistakes) = (Redirects::default(), vec![]);
        for (n, line) in text.lines().enumerate() {
            let words: Vec<&str> =
                line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
            if words.is_empty() {
                continue;
            }
            match rule(&words) {
                Ok((from, status, to)) => redirects.add(&from, status, to),
                Err(message) => mistakes.push(Mistake { file: FILE, line: n + 1, message }),
            }
        }
        let too_many = |most: usize, what: &str| Mistake {
            file: FILE,
            line: text.lines().count(),
            message: format!("there are more than {most} {what}; put some together by patterns"),
        };
        if redirects.exact.len() > MOST_EXACT {
            mistakes.push(too_many(MOST_EXACT, "exact redirects"));
        }
        if redirects.rules.len() > MOST_RULES {
            mistakes.push(too_many(MOST_RULES, "patterns"));
        }
        if mistakes.is_empty() { Ok(redirects) } else { Err(mistakes) }
    }

    fn add(&mut self, from: &str, status: u16, to: String) {
        if from.contains('*') || from.split('/').any(|segment| segment.starts_with(':')) {
            self.rules.push((from.to_owned(), status, to));
            return;
        }
        let value = format!("{status} {to}");
        // A path means the same with and without a slash at its end, but where one leads to the other.
        let last = from.rsplit('/').next().unwrap_or_default();
        let other = match from.strip_suffix('/') {
            Some("") => None,
            Some(bare) => Some(bare.to_owned()),
            None if last.contains('.') => None,
            None => Some(format!("{from}/")),
        };
        let leads_there = |path: &str| to.split(['?', '#']).next() == Some(path);
        if let Some(other) = other.filter(|other| !leads_there(other)) {
            self.exact.entry(other).or_insert_with(|| value.clone());
        }
        self.exact.entry(from.to_owned()).or_insert(value);
    }

    /// The rules in chunks, each of which fits into a value of the store.
    pub(crate) fn chunks(rules: &[(String, u16, String)]) -> Vec<String> {
        // `rules:<id>:<n>`, with three digits.
        let most = MOST_BYTES - "rules:".len() - 25 - ":999".len();
        let mut chunks: Vec<String> = vec![];
        for (pattern, status, target) in rules {
            let rule = serde_json::json!([pattern, status, target]).to_string();
            match chunks.last_mut().filter(|chunk| chunk.len() + rule.len() + 1 < most) {
                Some(chunk) => {
                    chunk.pop();
                    chunk.push_str(&format!(",{rule}]"));
                }
                None => chunks.push(format!("[{rule}]")),
            }
        }
        chunks
    }
}

fn rule(words: &[&str]) -> Result<(String, u16, String), String> {
    let (from, to, status) = match words {
        [_] => return Err("a redirect is written `from to [status]`".into()),
        [from, to] => (*from, *to, "302"),
        [from, to, status] => (*from, *to, *status),
        [_, second, ..] if second.contains('=') => {
            return Err(
                "what depends on query parameters cannot be followed at the edge; take the line out".into()
            );
        }
        [_, _, _, more, ..] => {
            return Err(format!("`{more}`: conditions cannot be followed at the edge; take the line out"));
        }
        [] => return Err("a redirect is written `from to [status]`".into()),
    };
    // Netlify's mark for "even if there is a file", which is what is done anyway.
    let number = status.strip_suffix('!').unwrap_or(status);
    let status: u16 = number.parse().ok().filter(|status| STATUSES.contains(status)).ok_or_else(|| {
        let known = STATUSES.map(|status| status.to_string()).join(", ");
        format!("`{status}` is no status that can be given; these can: {known}")
    })?;
    if from.contains("://") {
        return Err(
            "what depends on the host cannot be followed: a release is the same at each of its names".into(),
        );
    }
    if !from.starts_with('/') {
        return Err(format!("`{from}` is no path; one starts with `/`"));
    }
    if from.contains(['?', '#']) {
        return Err(format!("`{from}`: a path has no `?` and no `#`"));
    }
    if !from.is_ascii() || from.bytes().any(|b| b.is_ascii_control() || b"\"<>\\^`{|}".contains(&b)) {
        return Err(format!("`{from}` is not as browsers send it; write it with percent signs"));
    }
    let segments: Vec<&str> = from.split('/').collect();
    let stars = segments.iter().position(|segment| segment.contains('*'));
    if stars.is_some_and(|at| segments[at] != "*" || at + 1 < segments.len()) {
        return Err(format!("`{from}`: `*` has to be all of the last segment, as in `/blog/*`"));
    }
    let elsewhere = to.starts_with("https://") || to.starts_with("http://");
    if !elsewhere && (!to.starts_with('/') || to.starts_with("//")) {
        return Err(format!("`{to}` is neither a path nor a URL with https://"));
    }
    if status == 200 && elsewhere {
        return Err("another host cannot be shown under this one; lead there with 302, or add an origin to the distribution".into());
    }
    if status == 200 && to.contains(['?', '#']) {
        return Err(format!("`{to}`: what is shown is a file, which has no `?` and no `#`"));
    }
    if status == 200 && stars.is_some() && !to.contains(":splat") {
        return Err(format!(
            "`{from}` would show `{to}` in the place of every file below; name the paths of the application, or \
             make its page the 404.html"
        ));
    }
    let unknown =
        |name: &&str| name.starts_with(|c: char| c.is_ascii_alphabetic()) && !names(from).contains(name);
    let path = to.split_once("://").map_or(to, |(_, rest)| rest);
    // A port is no placeholder.
    if let Some(name) = path.split(':').skip(1).map(word).find(unknown) {
        return Err(format!("`:{name}` stands in the target and not in `{from}`"));
    }
    if from == to {
        return Err(format!("`{from}` leads to itself"));
    }
    if KEY_BYTES + from.len() > MOST_KEY_BYTES || KEY_BYTES + from.len() + to.len() + 24 > MOST_BYTES {
        return Err(format!("a redirect has at most {} bytes in all here", MOST_BYTES - KEY_BYTES - 24));
    }
    Ok((from.to_owned(), status, to.to_owned()))
}

/// What the placeholders of a pattern are called.
fn names(from: &str) -> Vec<&str> {
    let named = from.split('/').filter_map(|segment| segment.strip_prefix(':'));
    named.chain(from.ends_with("/*").then_some("splat")).collect()
}

/// The beginning of `text` that may be a name.
fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_ones_and_patterns_keep_their_order() {
        let text = "\
# comment
/old /new 301   # why
/old /other
/with/ /with
/file.txt https://example.com:8080/x?a=b#c 308!
/blog/:year/* /news/:year/:splat 200
/gone/* https://example.com/:splat
";
        let redirects = Redirects::parse(text).unwrap();
        let exact: Vec<(&str, &str)> =
            redirects.exact.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(
            exact,
            [
                ("/file.txt", "308 https://example.com:8080/x?a=b#c"),
                ("/old", "301 /new"),
                ("/old/", "301 /new"),
                ("/with/", "302 /with"),
            ]
        );
        assert_eq!(
            redirects.rules,
            [
                ("/blog/:year/*".to_owned(), 200, "/news/:year/:splat".to_owned()),
                ("/gone/*".to_owned(), 302, "https://example.com/:splat".to_owned()),
            ]
        );
    }

    #[test]
    fn what_cannot_be_followed_is_told() {
        for (text, says) in [
            ("/a", "is written"),
            ("a /b", "is no path"),
            ("/a b", "is neither a path"),
            ("/a //evil.example", "is neither a path"),
            ("/a /b 404", "no status that can be given"),
            ("/a /b soon", "no status that can be given"),
            ("/a /b 301 Country=de", "conditions cannot be followed"),
            ("/a id=:id /b 301", "query parameters"),
            ("https://a.example/x /b", "depends on the host"),
            ("/a?b=c /b", "has no `?`"),
            ("/ä /b", "as browsers send it"),
            ("/a\"b /c", "as browsers send it"),
            ("/a*b /c", "last segment"),
            ("/*/x /c", "last segment"),
            ("/a https://b.example 200", "another host"),
            ("/* /index.html 200", "in the place of every file"),
            ("/a /b/:splat", "`:splat` stands in the target"),
            ("/:a /b/:ab", "`:ab` stands in the target"),
            ("/a /a", "leads to itself"),
        ] {
            let mistakes = Redirects::parse(text).unwrap_err();
            assert!(mistakes[0].message.contains(says), "{text}: {mistakes:?}");
        }
        let long = format!("/{} /x", "a".repeat(500));
        assert!(Redirects::parse(&long).unwrap_err()[0].message.contains("at most"));
    }

    #[test]
    fn chunks_hold_all_rules_in_order_and_fit() {
        for length in [1, 10, 100, 300] {
            let rule = |i: usize| {
                (format!("/{i}{}/*", "\"a".repeat(length / 2)), 301, format!("/{}", "b".repeat(length)))
            };
            let rules: Vec<(String, u16, String)> = (0..100).map(rule).collect();
            let chunks = Redirects::chunks(&rules);
            let read =
                chunks.iter().flat_map(|c| serde_json::from_str::<Vec<(String, u16, String)>>(c).unwrap());
            assert_eq!(read.collect::<Vec<_>>(), rules);
            let id = "20261122T151200Z-3f9ac1d2";
            for (n, chunk) in chunks.iter().enumerate() {
                assert!(format!("rules:{id}:{n}").len() + chunk.len() <= MOST_BYTES, "{length}");
            }
        }
        assert!(Redirects::chunks(&[]).is_empty());
    }
}
