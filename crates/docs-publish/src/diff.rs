//! What has to be done so that a release is whole in the bucket. Pure.

use crate::{
    bucket::{Headed, Listed},
    error::Error,
    wanted::Content,
};
use causeway_site::{Encoding, File, Manifest, Release, ReleaseId, layout};
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
    /// How it is compressed.
    pub(crate) encoding: Option<Encoding>,
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
    /// Objects of the release that is made, by path and, if they are compressed, their ending.
    pub(crate) release: &'a BTreeMap<String, Listed>,
    /// Immutable objects, likewise.
    pub(crate) shared: &'a BTreeMap<String, Listed>,
    /// What those of them are served as that are wanted, and of which the live release says nothing.
    pub(crate) served: &'a BTreeMap<String, Headed>,
}

impl There<'_> {
    /// What the live release says of a form of the file at `path`; nothing if it has no such.
    pub(crate) fn before(&self, path: &str, encoding: Option<Encoding>) -> Option<&File> {
        let live = self.live?;
        let has = layout::forms(&live.release.encodings, path).any(|form| form == encoding);
        live.files.get(path).filter(|_| has)
    }
}

/// Immutable objects that are wanted and there, by path and ending, and of which the live release does not say what they are.
pub(crate) fn unknown(content: &Content, there: &There<'_>) -> Vec<String> {
    let shared = content.files.iter().filter(|(_, file)| file.immutable);
    let forms = shared.flat_map(|(path, _)| {
        let unknown = |encoding: &Option<Encoding>| {
            there.before(path, *encoding).is_none_or(|before| !before.immutable)
        };
        let forms = layout::forms(&content.encodings, path).filter(unknown);
        forms.map(|encoding| layout::form(path, encoding)).collect::<Vec<_>>()
    });
    forms.filter(|name| there.shared.contains_key(name)).collect()
}

/// The key of the object of a form of a file.
pub(crate) fn key(id: &ReleaseId, path: &str, file: &File, encoding: Option<Encoding>) -> String {
    let key = if file.immutable { layout::shared(path) } else { layout::object(id, path) };
    layout::form(&key, encoding)
}

/// What has to be done so that `content` is there as the release `id`.
///
/// # Errors
/// [`Error::Changed`]
pub(crate) fn steps(content: &Content, id: &ReleaseId, there: &There<'_>) -> Result<Steps, Error> {
    let mut steps = Steps::default();
    let live = there.live.map(|m| (&m.release.id, &m.files));
    let by_digest: HashMap<&str, &String> = live
        .iter()
        .flat_map(|(_, files)| files.iter())
        .filter(|(_, file)| !file.immutable)
        .map(|(path, file)| (file.sha256.as_str(), path))
        .collect();
    for (path, file) in &content.files {
        for encoding in layout::forms(&content.encodings, path) {
            let to = key(id, path, file, encoding);
            let step = |how| Step { path: path.clone(), encoding, key: to.clone(), how };
            if file.immutable {
                if let Some(how) = shared(path, file, encoding, there)? {
                    steps.shared.push(step(how));
                }
                continue;
            }
            // How many bytes it has when it is compressed nobody knows before; an object is there whole or not at all.
            let whole = |object: &Listed| encoding.is_some() || object.size == file.size;
            if there.release.get(&layout::form(path, encoding)).is_some_and(whole) {
                continue;
            }
            // The same path first: a copy then has its headers.
            let same = |from: &String| {
                let before = there.before(from, encoding)?;
                (!before.immutable && before.sha256 == file.sha256).then(|| (from.clone(), before))
            };
            let source = same(path).or_else(|| same(by_digest.get(file.sha256.as_str())?));
            let how = match (source, live) {
                (Some((from, before)), Some((live, _))) => {
                    let from = key(live, &from, before, encoding);
                    if before == file { How::Copy(from) } else { How::Retouch(from) }
                }
                _ => How::Upload,
            };
            let page = file.content_type.starts_with("text/html");
            if page { &mut steps.pages } else { &mut steps.others }.push(step(how));
        }
    }
    Ok(steps)
}

fn shared(
    path: &str,
    file: &File,
    encoding: Option<Encoding>,
    there: &There<'_>,
) -> Result<Option<How>, Error> {
    let name = layout::form(path, encoding);
    if !there.shared.contains_key(&name) {
        return Ok(Some(How::Upload));
    }
    let changed = || Error::Changed { path: name.clone() };
    let before = there.before(path, encoding).filter(|before| before.immutable);
    let right = match (before, there.served.get(&name)) {
        (Some(before), _) if before.sha256 != file.sha256 => return Err(changed()),
        (Some(before), _) => before == file,
        (None, Some(served)) if !served.holds(file, encoding) => return Err(changed()),
        (None, Some(served)) => served.serves(file),
        // It came while we looked.
        (None, None) => false,
    };
    Ok((!right).then(|| How::Retouch(layout::shared(&name))))
}

/// Which objects of a release are not there as its manifest says.
pub(crate) fn missing(
    manifest: &Manifest,
    release: &BTreeMap<String, Listed>,
    shared: &BTreeMap<String, Listed>,
) -> Vec<String> {
    let (id, encodings) = (&manifest.release.id, &manifest.release.encodings);
    let mut missing = vec![];
    for (path, file) in &manifest.files {
        let objects = if file.immutable { shared } else { release };
        for encoding in layout::forms(encodings, path) {
            let size = match encoding {
                None => Some(&file.size),
                Some(encoding) => manifest.encoded.get(path).and_then(|sizes| sizes.get(&encoding)),
            };
            if objects.get(&layout::form(path, encoding)).map(|object| &object.size) != size || size.is_none()
            {
                missing.push(key(id, path, file, encoding));
            }
        }
    }
    let own =
        layout::forms(encodings, layout::MANIFEST).map(|encoding| layout::form(layout::MANIFEST, encoding));
    missing.extend(own.filter(|name| !release.contains_key(name)).map(|name| layout::object(id, &name)));
    missing
}

/// What the edge has to know of a release.
pub(crate) fn at_the_edge(manifest: &Manifest, shared: &BTreeMap<String, Listed>) -> Release {
    let all = |encoding: &&Encoding| {
        let mut text = shared.keys().filter(|name| layout::is_text(name));
        text.all(|name| shared.contains_key(&layout::form(name, Some(**encoding))))
    };
    let release = manifest.release.clone();
    Release { shared: release.encodings.iter().filter(all).copied().collect(), ..release }
}

/// The bytes of what is compressed of a release, as far as it is there.
pub(crate) fn encoded(
    manifest: &Manifest,
    release: &BTreeMap<String, Listed>,
    shared: &BTreeMap<String, Listed>,
) -> BTreeMap<String, BTreeMap<Encoding, u64>> {
    let sizes = |(path, file): (&String, &File)| {
        let objects = if file.immutable { shared } else { release };
        let forms = layout::forms(&manifest.release.encodings, path).flatten();
        let sizes = forms
            .filter_map(|encoding| Some((encoding, objects.get(&layout::form(path, Some(encoding)))?.size)));
        (path.clone(), sizes.collect::<BTreeMap<_, _>>())
    };
    manifest.files.iter().map(sizes).filter(|(_, sizes)| !sizes.is_empty()).collect()
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
        let whole = ["index.html", "a.css", layout::MANIFEST, "more"];
        assert!(missing(&manifest, &listed(&whole), &shared).is_empty());
        let gone = missing(&manifest, &listed(&["index.html", "a.css"]), &shared);
        assert_eq!(gone, [layout::object(&id(1), layout::MANIFEST)]);
        let mut damaged = listed(&whole);
        damaged.get_mut("a.css").unwrap().size = 1;
        let gone = missing(&manifest, &damaged, &BTreeMap::new());
        assert_eq!(gone, ["shared/_next/static/x.js".to_owned(), format!("releases/{}/a.css", id(1))]);
    }

    #[test]
    fn what_is_compressed_is_there_for_each_file_that_the_router_may_ask_for() {
        let mut now =
            content(&[("index.html", "aa"), ("a.png", "bb"), ("b.css", "cc"), ("_next/static/x.js", "dd")]);
        let before = now.manifest(&id(1), Timestamp::UNIX_EPOCH);
        now.encodings = vec![Encoding::Br, Encoding::Gzip];
        // Switched on: what is there as it is is copied, and what is compressed is sent.
        let (none, shared) = (BTreeMap::new(), listed(&["_next/static/x.js"]));
        let there = There { live: Some(&before), release: &none, shared: &shared, served: &BTreeMap::new() };
        let (one, two, three) = (id(1), id(2), id(3));
        let expected = [
            "upload shared/_next/static/x.js.br".to_owned(),
            "upload shared/_next/static/x.js.gz".to_owned(),
            format!("copy releases/{one}/a.png releases/{two}/a.png"),
            format!("copy releases/{one}/b.css releases/{two}/b.css"),
            format!("upload releases/{two}/b.css.br"),
            format!("upload releases/{two}/b.css.gz"),
            format!("copy releases/{one}/index.html releases/{two}/index.html"),
            format!("upload releases/{two}/index.html.br"),
            format!("upload releases/{two}/index.html.gz"),
        ];
        assert_eq!(what(&steps(&now, &two, &there).unwrap()), expected);
        // The next time all of it is copied, but for what the new name of a file brings.
        let mut live = now.manifest(&two, Timestamp::UNIX_EPOCH);
        let mut next = content(&[("index.html", "aa"), ("a.html", "bb"), ("_next/static/x.js", "dd")]);
        next.encodings.clone_from(&now.encodings);
        let shared = listed(&["_next/static/x.js", "_next/static/x.js.br", "_next/static/x.js.gz"]);
        let there = There { live: Some(&live), shared: &shared, ..there };
        let expected = [
            format!("retouch releases/{two}/a.png releases/{three}/a.html"),
            format!("upload releases/{three}/a.html.br"),
            format!("upload releases/{three}/a.html.gz"),
            format!("copy releases/{two}/index.html releases/{three}/index.html"),
            format!("copy releases/{two}/index.html.br releases/{three}/index.html.br"),
            format!("copy releases/{two}/index.html.gz releases/{three}/index.html.gz"),
        ];
        assert_eq!(what(&steps(&next, &three, &there).unwrap()), expected);
        // Files of other releases count as well: pages that are still open ask for them.
        assert_eq!(at_the_edge(&live, &shared).shared, [Encoding::Br, Encoding::Gzip]);
        let mut more = shared.clone();
        more.extend(listed(&["_next/static/old.js", "_next/static/old.js.gz", "_next/static/old.png"]));
        assert_eq!(at_the_edge(&live, &more).shared, [Encoding::Gzip]);
        assert_eq!(at_the_edge(&before, &shared).shared, []);
        // It is proved by the sizes that the manifest has of it.
        let all = ["index.html", "b.css", layout::MANIFEST];
        let all = all.iter().flat_map(|name| ["", ".br", ".gz"].map(|ending| format!("{name}{ending}")));
        let all: Vec<String> = all.chain(["a.png".to_owned()]).collect();
        let mut release = listed(&all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(missing(&live, &release, &shared).len(), 6, "nothing says how large they are");
        live.encoded = encoded(&live, &release, &shared);
        assert_eq!(missing(&live, &release, &shared), Vec::<String>::new());
        release.get_mut("b.css.br").unwrap().size = 4;
        release.remove("index.html.gz");
        release.remove(".well-known/release.json.br");
        let gone = ["b.css.br", "index.html.gz", ".well-known/release.json.br"];
        assert_eq!(missing(&live, &release, &shared), gone.map(|name| layout::object(&two, name)));
    }

    #[test]
    fn an_immutable_file_of_which_nothing_is_known_is_looked_at_in_each_of_its_forms() {
        let mut now =
            content(&[("index.html", "aa"), ("_next/static/x.js", "dd"), ("_next/static/y.png", "ee")]);
        let live = now.manifest(&id(1), Timestamp::UNIX_EPOCH);
        now.encodings = vec![Encoding::Br, Encoding::Gzip];
        let all = ["_next/static/x.js", "_next/static/x.js.br", "_next/static/y.png"];
        let (none, shared) = (BTreeMap::new(), listed(&all));
        let there = There { live: Some(&live), release: &none, shared: &shared, served: &BTreeMap::new() };
        assert_eq!(unknown(&now, &there), ["_next/static/x.js.br"], "from before it was switched off");
        let there = There { live: None, ..there };
        assert_eq!(unknown(&now, &there), all);
    }
}
