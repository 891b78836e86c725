//! What speaks against publishing a folder, found before anything is sent.

mod links;
mod names;
mod secrets;

use crate::{error::Error, scan::Tree, wanted::Content};
use causeway_site::{Manifest, layout};
use serde::Serialize;
use std::{collections::BTreeSet, path::Path};

/// Something in the folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Which rule it is against, as it is allowed by.
    pub rule: &'static str,
    /// Where.
    pub path: String,
    /// What, and what to do.
    pub message: String,
    /// Whether it keeps the folder from being published.
    pub refuses: bool,
}

impl Finding {
    fn refuses(rule: &'static str, path: &str, message: impl Into<String>) -> Finding {
        Finding { rule, path: path.to_owned(), message: message.into(), refuses: true }
    }

    fn notes(rule: &'static str, path: &str, message: impl Into<String>) -> Finding {
        Finding { refuses: false, ..Finding::refuses(rule, path, message) }
    }
}

/// The rules, as they are allowed by.
pub const RULES: [&str; 11] = [
    "home",
    "shrunken",
    "secret",
    "source-map",
    "budget",
    "reserved",
    "name",
    "case",
    "hidden",
    "link",
    "anchor",
];

/// What becomes of something that is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    /// It is not looked for.
    Off,
    /// It is told.
    #[default]
    Note,
    /// It keeps the folder from being published.
    Refuse,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Rules that do not count.
    pub allow: BTreeSet<String>,
    /// The most bytes of all files.
    pub most_bytes: Option<u64>,
    /// The most bytes of a file.
    pub most_file_bytes: Option<u64>,
    /// By how many percent a site may have fewer files than what visitors get now.
    pub shrink_percent: usize,
    /// Links inside the site that lead nowhere.
    pub links: Weight,
    /// Links to places in pages that are not there.
    pub anchors: Weight,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            allow: BTreeSet::new(),
            most_bytes: None,
            most_file_bytes: None,
            shrink_percent: 50,
            links: Weight::Note,
            anchors: Weight::Off,
        }
    }
}

/// What is found in the folder `tree`. Blocks.
///
/// # Errors
/// [`Error::Local`]: a file cannot be read any more.
pub fn look(tree: &Tree, content: &Content, rules: &Rules) -> Result<Vec<Finding>, Error> {
    let mut found = vec![];
    if !content.files.contains_key("index.html") && !content.redirects.contains_key("/") {
        let message =
            "there is no index.html: visitors of `/` would get the error page; is this the right folder?";
        found.push(Finding::refuses("home", "index.html", message));
    }
    for path in content.files.keys() {
        if path == layout::MANIFEST || path.starts_with("_preview/") || path.starts_with("_errors/") {
            let message = "the edge needs this name for itself; call it something else";
            found.push(Finding::refuses("reserved", path, message));
        }
        if path.ends_with(".map") {
            let message =
                "a source map shows everybody the sources; turn them off in the build, or allow `source-map`";
            found.push(Finding::refuses("source-map", path, message));
        }
    }
    found.extend(budget(content, rules));
    found.extend(names::look(content));
    if !rules.allow.contains("secret") {
        found.extend(secrets::look(tree, content)?);
    }
    if (rules.links, rules.anchors) != (Weight::Off, Weight::Off) {
        found.extend(links::look(tree, content, rules)?);
    }
    found.retain(|finding| !rules.allow.contains(finding.rule));
    found.sort();
    Ok(found)
}

/// Whether a site has much less than what visitors get: more likely a build that failed.
pub fn shrunken(live: &Manifest, content: &Content, rules: &Rules) -> Option<Finding> {
    let (before, now) = (live.files.len(), content.files.len());
    let least = before * 100_usize.saturating_sub(rules.shrink_percent) / 100;
    if rules.allow.contains("shrunken") || now >= least {
        return None;
    }
    let message = format!(
        "{now} files, where visitors get {before} now; look at the build, or allow `shrunken` if that is meant"
    );
    Some(Finding::refuses("shrunken", ".", message))
}

fn budget(content: &Content, rules: &Rules) -> Vec<Finding> {
    let mut found = vec![];
    if let Some(most) = rules.most_bytes.filter(|most| content.bytes() > *most) {
        let message = format!("{} bytes in all, and {most} are allowed", content.bytes());
        found.push(Finding::refuses("budget", ".", message));
    }
    for (path, file) in &content.files {
        if let Some(most) = rules.most_file_bytes.filter(|most| file.size > *most) {
            let message = format!("{} bytes, and a file may have {most}", file.size);
            found.push(Finding::refuses("budget", path, message));
        }
    }
    found
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Local { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scan, wanted::Choices};

    pub(super) fn found(files: &[(&str, &str)], rules: &Rules) -> Vec<(&'static str, String, bool)> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = scan::scan(folder.path()).unwrap();
        let content = Content::of(&tree, &Choices::default()).unwrap();
        let found = look(&tree, &content, rules).unwrap();
        found.into_iter().map(|f| (f.rule, f.path, f.refuses)).collect()
    }

    fn rows(all: &[(&'static str, &str, bool)]) -> Vec<(&'static str, String, bool)> {
        all.iter().map(|(rule, path, refuses)| (*rule, (*path).to_owned(), *refuses)).collect()
    }

    #[test]
    fn what_should_not_be_published_is_found() {
        let files = [
            ("a.js", "x"),
            ("a.js.map", "{}"),
            ("A.js", "x"),
            (".well-known/release.json", "{}"),
            ("b c.txt", "x"),
            ("large.bin", "0123456789"),
        ];
        let rules = Rules { most_file_bytes: Some(9), most_bytes: Some(20), ..Rules::default() };
        let expected = rows(&[
            ("budget", "large.bin", true),
            ("case", "a.js", false),
            ("home", "index.html", true),
            ("name", "b c.txt", false),
            ("reserved", ".well-known/release.json", true),
            ("source-map", "a.js.map", true),
        ]);
        assert_eq!(found(&files, &rules), expected);
        let allow = ["budget", "case", "home", "name", "reserved", "source-map"].map(str::to_owned).into();
        assert_eq!(found(&files, &Rules { allow, ..rules }), rows(&[]));
    }

    #[test]
    fn much_less_than_before_is_refused() {
        let content = |n: usize| {
            let found = |i: usize| (format!("{i}.css"), scan::Found { sha256: "00".into(), size: 1 });
            let files = (0..n).map(found).collect();
            let tree = Tree { root: "x".into(), files, headers: None, redirects: None };
            Content::of(&tree, &Choices::default()).unwrap()
        };
        let id = causeway_site::ReleaseId::new(jiff::Timestamp::UNIX_EPOCH, [0; 32]);
        let live = content(10).manifest(&id, jiff::Timestamp::UNIX_EPOCH);
        let rules = Rules::default();
        assert!(shrunken(&live, &content(5), &rules).is_none());
        assert!(shrunken(&live, &content(4), &rules).is_some());
        let allow = ["shrunken".to_owned()].into();
        assert!(shrunken(&live, &content(1), &Rules { allow, ..rules }).is_none());
    }
}
