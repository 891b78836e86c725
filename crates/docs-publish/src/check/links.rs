//! Links inside the site that lead nowhere, as the edge would answer them.

use super::{Finding, Rules, Weight, unreadable};
use crate::{error::Error, scan::Tree, spelling, wanted::Content};
use causeway_site::Style;
use html5gum::{DefaultEmitter, IoReader, Token, Tokenizer};
use percent_encoding::percent_decode_str;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
};

/// What is told of a page at most: a menu with a mistake is on all of them.
const MOST_OF_A_PAGE: usize = 5;

/// In which attribute an element says where it leads.
const LEADS: [(&[u8], &[u8]); 10] = [
    (b"a", b"href"),
    (b"area", b"href"),
    (b"link", b"href"),
    (b"script", b"src"),
    (b"img", b"src"),
    (b"source", b"src"),
    (b"video", b"src"),
    (b"audio", b"src"),
    (b"iframe", b"src"),
    (b"embed", b"src"),
];

#[derive(Default)]
struct Page {
    links: BTreeSet<String>,
    places: BTreeSet<String>,
    base: Option<String>,
}

pub(super) fn look(tree: &Tree, content: &Content, rules: &Rules) -> Result<Vec<Finding>, Error> {
    let site = Site::of(content);
    let mut found = vec![];
    // Places of pages that others lead to, kept only if they are asked for.
    let mut places: HashMap<String, BTreeSet<String>> = HashMap::new();
    let mut anchors: Vec<(String, String, String)> = vec![];
    for path in content.files.keys().filter(|path| path.ends_with(".html")) {
        let local = tree.local(path);
        let page = read(File::open(&local).map_err(unreadable(&local))?).map_err(unreadable(&local))?;
        let base = page.base.clone().unwrap_or_else(|| spelling::url(content.style, path));
        let mut told = 0;
        for link in &page.links {
            let Some((to, place)) = resolved(&base, link) else { continue };
            match site.file(&to) {
                None if rules.links != Weight::Off && told < MOST_OF_A_PAGE => {
                    told += 1;
                    let message = format!("`{link}` leads to `{to}`, where there is nothing");
                    found.push(weighed("link", path, message, rules.links));
                }
                Some(Some(file)) if rules.anchors != Weight::Off => {
                    if let Some(place) = place.filter(|place| !place.is_empty() && file.ends_with(".html")) {
                        anchors.push((path.clone(), file.to_owned(), place));
                    }
                }
                _ => {}
            }
        }
        if rules.anchors != Weight::Off {
            places.insert(path.clone(), page.places);
        }
    }
    for (path, file, place) in anchors {
        if places.get(&file).is_some_and(|places| !places.contains(&place)) {
            let message = format!("`#{place}` leads to a place in `{file}` that is not there");
            found.push(weighed("anchor", &path, message, rules.anchors));
        }
    }
    Ok(found)
}

fn weighed(rule: &'static str, path: &str, message: String, weight: Weight) -> Finding {
    Finding { refuses: weight == Weight::Refuse, ..Finding::notes(rule, path, message) }
}

fn read(file: File) -> std::io::Result<Page> {
    let mut emitter: DefaultEmitter = DefaultEmitter::default();
    // What scripts hold is no markup.
    emitter.naively_switch_states(true);
    let mut page = Page::default();
    for token in Tokenizer::new_with_emitter(IoReader::new(file), emitter) {
        let Token::StartTag(tag) = token? else { continue };
        let value = |name: &[u8]| {
            let found = tag.attributes.iter().find(|(n, _)| n.as_slice() == name);
            found.map(|(_, value)| String::from_utf8_lossy(value.as_slice()).trim().to_owned())
        };
        page.places.extend([value(b"id"), value(b"name")].into_iter().flatten());
        if tag.name.as_slice() == b"base" {
            page.base = page.base.or(value(b"href"));
            continue;
        }
        // What a browser only prepares for, like another host, is no page.
        let rel = value(b"rel").unwrap_or_default();
        if tag.name.as_slice() == b"link" && (rel.contains("preconnect") || rel.contains("dns-prefetch")) {
            continue;
        }
        let leads = LEADS.iter().filter(|(element, _)| *element == tag.name.as_slice());
        page.links.extend(leads.filter_map(|(_, attribute)| value(attribute)));
    }
    Ok(page)
}

/// Where a link of the page at `base` leads: a path of this site, and the place in it. `None`: elsewhere.
fn resolved(base: &str, link: &str) -> Option<(String, Option<String>)> {
    let (link, place) = match link.split_once('#') {
        Some((link, place)) => (link, Some(percent_decode_str(place).decode_utf8_lossy().into_owned())),
        None => (link, None),
    };
    let link = link.split('?').next().unwrap_or(link);
    let scheme = link.split(['/', '.']).next().is_some_and(|first| first.contains(':'));
    if scheme || link.starts_with("//") || base.contains("://") {
        return None;
    }
    let folder = &base[..=base.rfind('/')?];
    let whole = match link {
        "" => base.to_owned(),
        _ if link.starts_with('/') => link.to_owned(),
        _ => format!("{folder}{link}"),
    };
    let mut segments: Vec<&str> = vec![];
    let all: Vec<&str> = whole.split('/').skip(1).collect();
    for (n, segment) in all.iter().enumerate() {
        let last = n + 1 == all.len();
        match *segment {
            ".." => {
                segments.pop();
                if last {
                    segments.push("");
                }
            }
            "." if last => segments.push(""),
            "." => {}
            other => segments.push(other),
        }
    }
    Some((format!("/{}", segments.join("/")), place))
}

/// What the edge would find.
struct Site<'a> {
    content: &'a Content,
    /// Files by their paths as URLs spell them, decoded.
    files: BTreeMap<String, &'a String>,
}

impl<'a> Site<'a> {
    fn of(content: &'a Content) -> Self {
        Site { content, files: content.files.keys().map(|path| (format!("/{path}"), path)).collect() }
    }

    /// The file at `path`; `Some(None)` where a redirect leads on, `None` where there is nothing.
    fn file(&self, path: &str) -> Option<Option<&'a str>> {
        let known = |path: &str| self.content.redirects.get(path);
        if known(path).is_some_and(|lead| !lead.starts_with("200 ")) || self.has_rule(path) {
            return Some(None);
        }
        let path = known(path).and_then(|lead| lead.strip_prefix("200 ")).unwrap_or(path);
        let path = percent_decode_str(path).decode_utf8_lossy();
        let last = path.rsplit('/').next().unwrap_or_default();
        let file = |path: &str| self.files.get(path).map(|path| Some(path.as_str()));
        match self.content.style {
            // One is led to the other spelling.
            Style::Directory if last.is_empty() => file(&format!("{path}index.html")),
            Style::Directory => file(&path).or_else(|| file(&format!("{path}/index.html"))),
            Style::File if path == "/" => file("/index.html"),
            Style::File => {
                let bare = path.trim_end_matches('/');
                file(&path).or_else(|| file(&format!("{bare}.html")))
            }
        }
    }

    fn has_rule(&self, path: &str) -> bool {
        let given: Vec<&str> = path.split('/').collect();
        self.content.rules.iter().any(|(pattern, _, _)| {
            let wanted: Vec<&str> = pattern.split('/').collect();
            let fits = |(n, segment): (usize, &&str)| match given.get(n) {
                _ if *segment == "*" => true,
                Some(given) => segment.starts_with(':') && !given.is_empty() || segment == given,
                None => false,
            };
            wanted.iter().enumerate().all(fits)
                && (wanted.last() == Some(&"*") || wanted.len() == given.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Rules, Weight, tests::found};
    use super::*;

    #[test]
    fn links_are_followed_as_browsers_do() {
        for (base, link, expected) in [
            ("/a/b/", "c", Some("/a/b/c")),
            ("/a/b/", "../c/", Some("/a/c/")),
            ("/a/b", "./c?x=y", Some("/a/c")),
            ("/a/b/", "..", Some("/a/")),
            ("/", "../../x", Some("/x")),
            ("/a/", "", Some("/a/")),
            ("/a/", "/b", Some("/b")),
            ("/a/", "//host/x", None),
            ("/a/", "https://host/x", None),
            ("/a/", "mailto:a@b.c", None),
            ("/a/", "data:image/png;base64,x/y", None),
        ] {
            assert_eq!(resolved(base, link).map(|(to, _)| to).as_deref(), expected, "{base} {link}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_found() {
        let page = "<a href=/guide/#here>x</a><a href=/guide>x</a><a href=nowhere>x</a><a href=/old/1/2>x</a>\
                    <script>var x = '<a href=/script>';</script><img src=\"/a%20b.png\"><a href=/LICENSE>x</a>\
                    <link rel=preconnect href=/x><a href='#top'>x</a><a id=top></a><a href=/guide/#gone>";
        let files = [
            ("index.html", page),
            ("guide/index.html", "<h1 id=here>x</h1><a href=../>x</a><a href=../missing.css>x</a>"),
            ("a b.png", ""),
            ("LICENSE", ""),
            ("_redirects", "/old/:n/* /guide/"),
        ];
        let rules = Rules { anchors: Weight::Refuse, allow: ["name".to_owned()].into(), ..Rules::default() };
        let expected = [
            ("anchor", "index.html".to_owned(), true),
            ("link", "guide/index.html".to_owned(), false),
            ("link", "index.html".to_owned(), false),
        ];
        assert_eq!(found(&files, &rules), expected);
        assert_eq!(found(&files, &Rules { links: Weight::Off, anchors: Weight::Off, ..rules }), []);
    }

    #[test]
    fn pages_that_are_files_are_found() {
        let page = "<a href=/guide>x</a><a href=/guide/>x</a><a href=/guide.html>x</a><a href=/>x</a><a href=/no>x</a>";
        let files = [("index.html", page), ("guide.html", "")];
        let expected = [("link", "index.html".to_owned(), false)];
        assert_eq!(found(&files, &Rules::default()), expected);
    }
}
