//! How a site spells its pages, and by which URL each file is asked for.

use causeway_site::Style;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What browsers escape in a path. The plus sign is left alone by them, and the router sees to it.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Pages of the root that hosts ask for by these names, whatever the style.
const OWN_NAMES: [&str; 3] = ["index.html", "404.html", "500.html"];

/// What the pages of a site say about its style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    /// Pages that are `…/index.html`, but for that of the root.
    pub(crate) folders: Vec<String>,
    /// Pages that are `….html` beside them, but for those that hosts look for.
    pub(crate) files: Vec<String>,
}

impl Pages {
    /// The pages among `paths`.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Pages {
        let mut pages = Pages::default();
        for path in paths.into_iter().filter(|path| path.ends_with(".html") && !OWN_NAMES.contains(path)) {
            if path.ends_with("/index.html") { &mut pages.folders } else { &mut pages.files }
                .push(path.to_owned());
        }
        pages
    }

    /// The style of the site; `None` if there are pages of both.
    pub(crate) fn style(&self) -> Option<Style> {
        match (self.folders.is_empty(), self.files.is_empty()) {
            (_, true) => Some(Style::Directory),
            (true, false) => Some(Style::File),
            (false, false) => None,
        }
    }
}

/// `path`, which has no slash at its start, as a URL spells it.
pub(crate) fn spelled(path: &str) -> String {
    format!("/{}", utf8_percent_encode(path, ESCAPED))
}

/// The URL by which visitors ask for the file at `path`.
pub(crate) fn url(style: Style, path: &str) -> String {
    let page = match (style, path) {
        (_, "index.html") => "",
        (Style::Directory, _) => match path.strip_suffix("index.html") {
            Some(folder) if folder.ends_with('/') => folder,
            _ => path,
        },
        (Style::File, _) => path.strip_suffix(".html").unwrap_or(path),
    };
    spelled(page)
}

/// Whether the router leads `url` to the file at `path` by itself; if not, it needs a rewrite.
pub(crate) fn is_led(style: Style, path: &str) -> bool {
    let url = url(style, path);
    let last = url.rsplit('/').next().unwrap_or_default();
    match style {
        Style::Directory => last.is_empty() || last.contains('.'),
        Style::File => url == "/" || path.ends_with(".html") != last.contains('.'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_say_the_style() {
        let style = |paths: &[&str]| Pages::of(paths.iter().copied()).style();
        assert_eq!(style(&["index.html", "404.html", "a/index.html"]), Some(Style::Directory));
        assert_eq!(style(&["index.html", "404.html", "a.html", "a/b.html"]), Some(Style::File));
        assert_eq!(style(&["index.html"]), Some(Style::Directory));
        assert_eq!(style(&["a.html", "b/index.html"]), None);
    }

    #[test]
    fn urls_are_spelled_as_browsers_do() {
        for (style, path, expected) in [
            (Style::Directory, "index.html", "/"),
            (Style::Directory, "a/index.html", "/a/"),
            (Style::Directory, "a/xindex.html", "/a/xindex.html"),
            (Style::Directory, "xindex.html", "/xindex.html"),
            (Style::File, "index.html", "/"),
            (Style::File, "a/b.html", "/a/b"),
            (Style::File, "a b/ä+$%.css", "/a%20b/%C3%A4+$%25.css"),
        ] {
            assert_eq!(url(style, path), expected);
        }
    }

    /// What the router does with a URL, but for redirects; `None` where it leads to another URL.
    fn routed(style: Style, url: &str) -> Option<String> {
        let last = url.rsplit('/').next().unwrap_or_default();
        match style {
            Style::Directory if last.is_empty() => Some(format!("{url}index.html")),
            Style::Directory if !last.contains('.') => None,
            Style::File if url == "/" => Some("/index.html".into()),
            Style::File if last.is_empty() => None,
            Style::File if !last.contains('.') => Some(format!("{url}.html")),
            _ => Some(url.to_owned()),
        }
    }

    #[test]
    fn a_file_is_led_to_exactly_if_the_router_does() {
        let paths = [
            "index.html",
            "404.html",
            "a.html",
            "a/index.html",
            "v1.2.html",
            "v1.2/index.html",
            "LICENSE",
            "a/LICENSE",
            ".well-known/security.txt",
            ".well-known/x",
            "a.css",
            "a b.html",
            "a.b/c",
            "x.html.html",
        ];
        for path in paths {
            for style in [Style::Directory, Style::File] {
                let leads = routed(style, &url(style, path)) == Some(spelled(path));
                assert_eq!(is_led(style, path), leads, "{path} {style:?}");
            }
        }
    }
}
