//! What has to be done so that a release is whole in the bucket. Pure.

use crate::{
    bucket::{Headed, Listed},
    error::Error,
    wanted::Content,
};
use causeway_site::{File, Manifest, ReleaseId, layout};
use std::collections::{BTreeMap, HashMap};

/// How an object comes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// It is sent.
    Upload,
    /// It is copied inside the bucket, as it is.
    Copy(String),
    /// It is copied inside the bucket, or onto itself, and gets other headers.
    Retouch(String),
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The path of the file.
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) how: How,
}

/// What has to be done, in this order: who has a new page has all that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) shared: Vec<Step>,
    pub(crate) others: Vec<Step>,
    pub(crate) pages: Vec<Step>,
}

/// What is there already.
pub(crate) struct There<'a> {
    /// The manifest of the release that visitors get.
    pub(crate) live: Option<&'a Manifest>,
    /// Objects of the release that is made, by path.
    pub(crate) release: &'a BTreeMap<String, Listed>,
    /// Immutable objects, by path.
    pub(crate) shared: &'a BTreeMap<String, Listed>,
    /// What those of them are served as that are wanted, and of which the live release says nothing.
    pub(crate) served: &'a BTreeMap<String, Headed>,
}

/// The key of a file's object.
pub(crate) fn key(id: &ReleaseId, path: &str, file: &File) -> String {
    if file.immutable { layout::shared(path) } else { layout::object(id, path) }
}

/// What has to be done so that `content` is there as the release `id`.
///
/// # Errors
/// [`Error::Changed`]
pub(crate) fn steps(content: &Content, id: &ReleaseId, there: &There<'_>) -> Result<Steps, Error> {
    let mut steps = Steps::default();
    let live = there.live.map(|m| (&m.release.id, &m.files));
    let by_digest: HashMap<&str, (&String, &File)> = live
        .iter()
        .flat_map(|(_, files)| files.iter())
        .filter(|(_, file)| !file.immutable)
        .map(|(path, file)| (file.sha256.as_str(), (path, file)))
        .collect();
    for (path, file) in &content.files {
        let to = key(id, path, file);
        let step = |how| Step { path: path.clone(), key: to.clone(), how };
        if file.immutable {
            let before = live.and_then(|(_, files)| files.get(path)).filter(|before| before.immutable);
            if let Some(how) = shared(path, file, before, there)? {
                steps.shared.push(step(how));
            }
            continue;
        }
        if there.release.get(path).is_some_and(|object| object.size == file.size) {
            continue;
        }
        // The same path first: a copy then has its headers.
        let same_path =
            live.and_then(|(_, files)| files.get(path)).filter(|f| !f.immutable && f.sha256 == file.sha256);
        let source =
            same_path.map(|same| (path, same)).or_else(|| by_digest.get(file.sha256.as_str()).copied());
        let how = match (source, live) {
            (Some((from, as_it_was)), Some((live, _))) if as_it_was == file => {
                How::Copy(layout::object(live, from))
            }
            (Some((from, _)), Some((live, _))) => How::Retouch(layout::object(live, from)),
            _ => How::Upload,
        };
        let page = file.content_type.starts_with("text/html");
        if page { &mut steps.pages } else { &mut steps.others }.push(step(how));
    }
    Ok(steps)
}

fn shared(path: &str, file: &File, before: Option<&File>, there: &There<'_>) -> Result<Option<How>, Error> {
    if !there.shared.contains_key(path) {
        return Ok(Some(How::Upload));
    }
    let changed = || Error::Changed { path: path.to_owned() };
    let right = match (before, there.served.get(path)) {
        (Some(before), _) if before.sha256 != file.sha256 => return Err(changed()),
        (Some(before), _) => before == file,
        (None, Some(served)) if served.sha256.as_ref() != Some(&file.sha256) => return Err(changed()),
        (None, Some(served)) => served.serves(file),
        // It came while we looked.
        (None, None) => false,
    };
    Ok((!right).then(|| How::Retouch(layout::shared(path))))
}

/// Which objects of a release are not there as its manifest says.
pub(crate) fn missing(
    manifest: &Manifest,
    release: &BTreeMap<String, Listed>,
    shared: &BTreeMap<String, Listed>,
) -> Vec<String> {
    let id = &manifest.release.id;
    let gone = |(path, file): &(&String, &File)| {
        let objects = if file.immutable { shared } else { release };
        objects.get(*path).is_none_or(|object| object.size != file.size)
    };
    manifest.files.iter().filter(gone).map(|(path, file)| key(id, path, file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wanted::Choices;
    use jiff::Timestamp;

    fn content(files: &[(&str, &str)]) -> Content {
        let found = |(path, sha256): &(&str, &str)| {
            ((*path).to_owned(), crate::scan::Found { sha256: (*sha256).into(), size: 3 })
        };
        let files = files.iter().map(found).collect();
        let tree = crate::scan::Tree { root: "x".into(), files, headers: None, redirects: None };
        Content::of(&tree, &Choices::default()).unwrap()
    }

    fn id(n: u8) -> ReleaseId {
        ReleaseId::new(Timestamp::from_second(i64::from(n)).unwrap(), [n; 32])
    }

    fn listed(paths: &[&str]) -> BTreeMap<String, Listed> {
        let one = |path: &&str| ((*path).to_owned(), Listed { size: 3, modified: Timestamp::UNIX_EPOCH });
        paths.iter().map(one).collect()
    }

    fn what(steps: &Steps) -> Vec<String> {
        let all = [&steps.shared, &steps.others, &steps.pages].into_iter().flatten();
        all.map(|step| match &step.how {
            How::Upload => format!("upload {}", step.key),
            How::Copy(from) => format!("copy {from} {}", step.key),
            How::Retouch(from) => format!("retouch {from} {}", step.key),
        })
        .collect()
    }

    #[test]
    fn only_what_changed_is_sent() {
        let before = content(&[
            ("index.html", "aa"),
            ("a/index.html", "bb"),
            ("b.css", "cc"),
            ("_next/static/x.js", "dd"),
            ("_next/static/y.js", "ee"),
        ]);
        let live = before.manifest(&id(1), Timestamp::UNIX_EPOCH);
        let mut now = content(&[
            ("index.html", "a1"),
            ("a/index.html", "bb"),
            ("c.css", "cc"),
            ("_next/static/x.js", "dd"),
            ("_next/static/y.js", "ee"),
            ("_next/static/z.js", "ff"),
        ]);
        now.files.get_mut("_next/static/y.js").unwrap().headers.insert("a".into(), "b".into());
        let shared = listed(&["_next/static/x.js", "_next/static/y.js"]);
        let none = BTreeMap::new();
        let there = There { live: Some(&live), release: &none, shared: &shared, served: &BTreeMap::new() };
        let (one, two) = (id(1), id(2));
        let done = what(&steps(&now, &two, &there).unwrap());
        assert_eq!(
            done,
            [
                "retouch shared/_next/static/y.js shared/_next/static/y.js".to_owned(),
                "upload shared/_next/static/z.js".to_owned(),
                format!("copy releases/{one}/b.css releases/{two}/c.css"),
                format!("copy releases/{one}/a/index.html releases/{two}/a/index.html"),
                format!("upload releases/{two}/index.html"),
            ]
        );
        // What an earlier run did is not done again; half a file is no file.
        let release = listed(&["c.css", "index.html"]);
        let there = There { release: &release, ..there };
        let left = what(&steps(&now, &two, &there).unwrap());
        assert!(!left.iter().any(
            |step| step.ends_with("c.css") || step.ends_with("/index.html") && step.starts_with("upload")
        ));
        assert_eq!(left.len(), 3);
    }

    #[test]
    fn an_immutable_file_does_not_change() {
        let before = content(&[("index.html", "aa"), ("_next/static/x.js", "dd")]);
        let live = before.manifest(&id(1), Timestamp::UNIX_EPOCH);
        let now = content(&[("index.html", "aa"), ("_next/static/x.js", "d1")]);
        let (none, shared) = (BTreeMap::new(), listed(&["_next/static/x.js"]));
        let there = There { live: Some(&live), release: &none, shared: &shared, served: &BTreeMap::new() };
        assert!(
            matches!(steps(&now, &id(2), &there), Err(Error::Changed { path }) if path == "_next/static/x.js")
        );
        // An object that is gone is sent again.
        let there = There { shared: &none, ..there };
        assert_eq!(what(&steps(&before, &id(2), &there).unwrap())[0], "upload shared/_next/static/x.js");
    }

    #[test]
    fn what_is_gone_is_missed() {
        let content = content(&[("index.html", "aa"), ("a.css", "bb"), ("_next/static/x.js", "dd")]);
        let manifest = content.manifest(&id(1), Timestamp::UNIX_EPOCH);
        let shared = listed(&["_next/static/x.js"]);
        assert!(missing(&manifest, &listed(&["index.html", "a.css", "more"]), &shared).is_empty());
        let mut damaged = listed(&["index.html", "a.css"]);
        damaged.get_mut("a.css").unwrap().size = 1;
        let gone = missing(&manifest, &damaged, &BTreeMap::new());
        assert_eq!(gone, ["shared/_next/static/x.js".to_owned(), format!("releases/{}/a.css", id(1))]);
    }
}
