//! Names that make trouble: other systems and URLs spell them differently, or nobody gets there.

use super::Finding;
use crate::{spelling, wanted::Content};
use std::collections::BTreeMap;

pub(super) fn look(content: &Content) -> Vec<Finding> {
    let mut found = vec![];
    let mut folded: BTreeMap<String, &String> = BTreeMap::new();
    for path in content.files.keys() {
        if let Some(odd) = path.chars().find(|c| !is_plain(*c)) {
            let message = match odd {
                c if c.is_control() => "a character that cannot be seen is in the name".to_owned(),
                _ => format!(
                    "`{odd}` is spelled differently in URLs; a link has to say `{}`",
                    spelling::spelled(path)
                ),
            };
            found.push(Finding::notes("name", path, message));
        }
        if let Some(other) = folded.insert(path.to_lowercase(), path) {
            let message =
                format!("differs from `{other}` only in its capitals; some systems keep one of the two");
            found.push(Finding::notes("case", path, message));
        }
        let url = spelling::url(content.style, path);
        let itself = format!("200 {}", spelling::spelled(path));
        if let Some(lead) = content.redirects.get(&url).filter(|lead| **lead != itself) {
            let target = lead.split_once(' ').map_or(lead.as_str(), |(_, target)| target);
            let message = format!("a redirect from `{url}` to `{target}` hides it");
            found.push(Finding::notes("hidden", path, message));
        }
    }
    found
}

/// Whether a character is the same in a name and in a URL, for every system between.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!@&'()*,;=:/[]".contains(c)
}

#[cfg(test)]
mod tests {
    use super::super::{Rules, tests::found};

    #[test]
    fn what_urls_spell_differently_is_told() {
        for name in ["a b.txt", "a+b.txt", "a%b.txt", "a$b.txt", "ä.txt", "a#b.txt", "a?b.txt"] {
            let rules = Rules::default();
            assert_eq!(found(&[("index.html", ""), (name, "")], &rules), [("name", name.to_owned(), false)]);
        }
        let plain = [("index.html", ""), ("a-b_c.1/[slug]/index.html", ""), ("@x/(y).css", "")];
        assert_eq!(found(&plain, &Rules::default()), []);
    }

    #[test]
    fn what_a_redirect_hides_is_told() {
        let files = [("index.html", ""), ("a/index.html", ""), ("LICENSE", ""), ("_redirects", "/a/ / 301")];
        assert_eq!(found(&files, &Rules::default()), [("hidden", "a/index.html".to_owned(), false)]);
    }
}
