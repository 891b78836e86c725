//! What is to be published: the files of a folder with all that they are served with.

use crate::{
    content::{IMMUTABLE, PREFIXES, cache_control, content_type},
    headers::{self, Headers},
    mistake::Mistake,
    redirects::Redirects,
    scan::Tree,
    spelling::{self, Pages},
};
use causeway_site::{File, Manifest, Release, ReleaseId, layout};

pub use causeway_site::{Encoding, Style};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What people choose about a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// How its pages are spelled; seen from its files if left out.
    pub style: Option<Style>,
    /// What the paths of immutable files start with; [`PREFIXES`] if left out.
    pub immutable: Option<Vec<String>>,
    /// How text is there compressed besides as it is.
    pub encodings: Vec<Encoding>,
}

/// What a release holds, but for its name and time: two releases of the same content are the same to visitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Content {
    /// How its pages are spelled.
    pub style: Style,
    /// What the paths of immutable files start with.
    pub immutable: Vec<String>,
    /// How its text is there compressed besides as it is; each once, in order.
    pub encodings: Vec<Encoding>,
    /// Its files by path.
    pub files: BTreeMap<String, File>,
    /// Exact redirects: `<status> <target>` by path.
    pub redirects: BTreeMap<String, String>,
    /// Patterns: pattern, status, target.
    pub rules: Vec<(String, u16, String)>,
}

/// Why a folder is no site.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// Lines of `_headers` or `_redirects`.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Mistakes(Vec<Mistake>),
    /// Pages are spelled in both ways.
    #[error(
        "pages are spelled in both ways: `{folder}` would be asked for with a slash at the end and `{file}` without an ending"
    )]
    Mixture {
        /// A page that is a folder.
        folder: String,
        /// A page that is a file.
        file: String,
    },
    /// S3 does not keep so many headers.
    #[error("`{path}` has {bytes} bytes of headers, and S3 keeps {} of an object", headers::MOST_BYTES)]
    Headers {
        /// The file.
        path: String,
        /// Names and values together.
        bytes: usize,
    },
    /// A prefix that is none.
    #[error("`{0}` is no beginning of paths; one has a slash at its start and its end")]
    Prefix(String),
    /// A file that has the name under which another is there compressed.
    #[error(
        "`{path}` has the name under which `{of}` is there compressed; let the build leave such files out, or take `precompress` out"
    )]
    Taken {
        /// The file.
        path: String,
        /// The other.
        of: String,
    },
}

impl Content {
    /// What the folder `tree` holds.
    ///
    /// # Errors
    /// [`ContentError`]
    pub fn of(tree: &Tree, choices: &Choices) -> Result<Content, ContentError> {
        let immutable = match &choices.immutable {
            Some(chosen) => chosen.clone(),
            None => PREFIXES.map(str::to_owned).to_vec(),
        };
        if let Some(wrong) =
            immutable.iter().find(|p| p.len() < 3 || !p.starts_with('/') || !p.ends_with('/'))
        {
            return Err(ContentError::Prefix(wrong.clone()));
        }
        let pages = Pages::of(tree.files.keys().map(String::as_str));
        let style = match choices.style.or_else(|| pages.style()) {
            Some(style) => style,
            None => {
                let first = |pages: &[String]| pages.first().cloned().unwrap_or_default();
                return Err(ContentError::Mixture {
                    folder: first(&pages.folders),
                    file: first(&pages.files),
                });
            }
        };
        let headers = tree.headers.as_deref().map(Headers::parse).unwrap_or_else(|| Ok(Headers::default()));
        let redirects =
            tree.redirects.as_deref().map(Redirects::parse).unwrap_or_else(|| Ok(Redirects::default()));
        let (headers, redirects) = match (headers, redirects) {
            (Ok(headers), Ok(redirects)) => (headers, redirects),
            (headers, redirects) => {
                let mistakes =
                    headers.err().into_iter().flatten().chain(redirects.err().into_iter().flatten());
                return Err(ContentError::Mistakes(mistakes.collect()));
            }
        };
        let Redirects { exact: mut leads, rules } = redirects;
        let mut encodings = choices.encodings.clone();
        encodings.sort();
        encodings.dedup();
        let mut files = BTreeMap::new();
        for (path, found) in &tree.files {
            let file = served(path, found.size, found.sha256.clone(), style, &immutable, &headers)?;
            if !file.immutable && !spelling::is_led(style, path) {
                let rewrite = format!("200 {}", spelling::spelled(path));
                leads.entry(spelling::url(style, path)).or_insert(rewrite);
            }
            let compressed = layout::forms(&encodings, path).filter(Option::is_some);
            let mut names = compressed.map(|encoding| layout::form(path, encoding));
            if let Some(taken) = names.find(|name| tree.files.contains_key(name)) {
                return Err(ContentError::Taken { path: taken, of: path.clone() });
            }
            files.insert(path.clone(), file);
        }
        Ok(Content { style, immutable, encodings, files, redirects: leads, rules })
    }

    /// What a manifest says of it.
    pub fn published(manifest: &Manifest) -> Content {
        Content {
            style: manifest.release.style,
            immutable: manifest.release.immutable.clone(),
            encodings: manifest.release.encodings.clone(),
            files: manifest.files.clone(),
            redirects: manifest.redirects.clone(),
            rules: manifest.rules.clone(),
        }
    }

    /// The SHA-256 digest of all of it.
    ///
    /// # Errors
    /// None that can come: it is plain data.
    pub fn digest(&self) -> Result<[u8; 32], serde_json::Error> {
        Ok(Sha256::digest(serde_json::to_vec(self)?).into())
    }

    /// The manifest of it as the release `id`.
    pub fn manifest(&self, id: &ReleaseId, made: Timestamp) -> Manifest {
        Manifest {
            release: Release {
                id: id.clone(),
                style: self.style,
                immutable: self.immutable.clone(),
                exact: !self.redirects.is_empty(),
                rules: Redirects::chunks(&self.rules).len(),
                encodings: self.encodings.clone(),
                shared: vec![],
            },
            made,
            files: self.files.clone(),
            redirects: self.redirects.clone(),
            rules: self.rules.clone(),
            encoded: BTreeMap::new(),
        }
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.size).sum()
    }
}

fn served(
    path: &str,
    size: u64,
    sha256: String,
    style: Style,
    prefixes: &[String],
    rules: &Headers,
) -> Result<File, ContentError> {
    let immutable = prefixes.iter().any(|prefix| format!("/{path}").starts_with(prefix.as_str()));
    let url = spelling::url(style, path);
    let mut headers = rules.at(&url);
    // A page is there by the name of its file, too.
    for (name, value) in rules.at(&spelling::spelled(path)) {
        headers.entry(name).or_insert(value);
    }
    let content_type = headers.remove("content-type").unwrap_or_else(|| content_type(path));
    let otherwise = if immutable { IMMUTABLE } else { cache_control(&content_type) };
    let cache_control = headers.remove("cache-control").unwrap_or_else(|| otherwise.to_owned());
    let bytes = headers.iter().map(|(name, value)| "header-".len() + name.len() + value.len()).sum::<usize>();
    // Beside them is the digest.
    if bytes + "sha256".len() + sha256.len() > headers::MOST_BYTES {
        return Err(ContentError::Headers { path: path.to_owned(), bytes });
    }
    Ok(File { sha256, size, content_type, cache_control, headers, immutable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Found;

    pub(crate) fn tree(paths: &[&str]) -> Tree {
        let found = |path: &&str| ((*path).to_owned(), Found { sha256: "00".repeat(32), size: 7 });
        Tree { root: "site".into(), files: paths.iter().map(found).collect(), headers: None, redirects: None }
    }

    #[test]
    fn files_get_what_they_are_served_with() {
        let mut tree = tree(&["index.html", "a/index.html", "_next/static/x.js", "LICENSE", "logo.png"]);
        tree.headers =
            Some("/a/\n  X-One: 1\n/LICENSE\n  Content-Type: text/plain\n/_next/*\n  x-two: 2".into());
        tree.redirects = Some("/b /a/ 301".into());
        let content = Content::of(&tree, &Choices::default()).unwrap();
        assert_eq!(content.style, Style::Directory);
        let file = |path: &str| content.files[path].clone();
        assert_eq!(file("a/index.html").headers["x-one"], "1");
        assert_eq!(file("index.html").headers.len(), 0);
        assert_eq!(file("LICENSE").content_type, "text/plain");
        assert!(file("_next/static/x.js").immutable && !file("logo.png").immutable);
        assert_eq!(file("_next/static/x.js").cache_control, IMMUTABLE);
        assert_eq!(file("_next/static/x.js").headers["x-two"], "2");
        let leads: Vec<&str> = content.redirects.keys().map(String::as_str).collect();
        assert_eq!(leads, ["/LICENSE", "/b", "/b/"], "the router would look for LICENSE/index.html");
        let id = ReleaseId::new(Timestamp::UNIX_EPOCH, content.digest().unwrap());
        let manifest = content.manifest(&id, Timestamp::UNIX_EPOCH);
        assert!(manifest.release.exact);
        assert_eq!(Content::published(&manifest), content);
    }

    #[test]
    fn what_is_unclear_is_asked() {
        let both = tree(&["index.html", "a.html", "b/index.html"]);
        assert!(matches!(Content::of(&both, &Choices::default()), Err(ContentError::Mixture { .. })));
        let chosen = Choices { style: Some(Style::File), ..Choices::default() };
        assert_eq!(Content::of(&both, &chosen).unwrap().style, Style::File);
        let wrong = Choices { immutable: Some(vec!["/".into()]), ..Choices::default() };
        assert!(matches!(Content::of(&tree(&["a"]), &wrong), Err(ContentError::Prefix(_))));
        let mut large = tree(&["index.html"]);
        large.headers = Some(format!("/*\n  a: {}\n  b: {}", "x".repeat(1000), "x".repeat(1000)));
        assert!(matches!(Content::of(&large, &Choices::default()), Err(ContentError::Headers { .. })));
    }

    #[test]
    fn a_site_that_is_compressed_otherwise_is_another_and_needs_the_names_for_it() {
        let of = |paths: &[&str], encodings: &[Encoding]| {
            let encodings = encodings.to_vec();
            Content::of(&tree(paths), &Choices { encodings, ..Choices::default() })
        };
        let (br, gzip) = (Encoding::Br, Encoding::Gzip);
        let plain = of(&["index.html"], &[]).unwrap();
        let both = of(&["index.html"], &[gzip, br, gzip]).unwrap();
        assert_eq!(both.encodings, [br, gzip]);
        assert_ne!(plain.digest().unwrap(), both.digest().unwrap());
        assert_eq!(of(&["index.html"], &[br, gzip]).unwrap(), both);
        let taken = |paths: &[&str], encodings: &[Encoding]| match of(paths, encodings) {
            Err(ContentError::Taken { path, of }) => Some((path, of)),
            _ => None,
        };
        let built = ["index.html", "app.js", "app.js.br", "a.png", "a.png.br"];
        assert_eq!(taken(&built, &[br]), Some(("app.js.br".into(), "app.js".into())));
        assert_eq!((taken(&built, &[gzip]), taken(&built, &[])), (None, None));
    }
}
