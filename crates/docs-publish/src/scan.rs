//! The folder that is published: every file with its digest, read in pieces.

use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// What is beside the files and is no file of the site.
const RULES: [&str; 2] = ["_headers", "_redirects"];

/// What systems leave in folders; never part of a site.
const LITTER: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// A folder, read.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The folder.
    pub root: PathBuf,
    /// Its files by path, with `/` between folders and none at the start.
    pub files: BTreeMap<String, Found>,
    /// What is in `_headers`.
    pub headers: Option<String>,
    /// What is in `_redirects`.
    pub redirects: Option<String>,
}

impl Tree {
    /// Where the file at `path` is on this machine.
    pub fn local(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The SHA-256 digest of its content, in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// Why a folder cannot be published as it is.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It is not there.
    #[error("there is no folder {}", .0.display())]
    Missing(PathBuf),
    /// It is a file.
    #[error("{} is no folder", .0.display())]
    NotAFolder(PathBuf),
    /// Something in it cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A link that leads out of it: what it leads to would be published.
    #[error("{} leads out of the folder, to {}", link.display(), to.display())]
    Outside {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// Links that lead in a circle.
    #[error("{} leads back to a folder that it is in", .0.display())]
    Circle(PathBuf),
    /// A name that no URL can spell.
    #[error("{} has a name that is not UTF-8", .0.display())]
    Name(PathBuf),
    /// Neither a file nor a folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    Kind(PathBuf),
    /// Nothing in it.
    #[error("{} has no files", .0.display())]
    Empty(PathBuf),
}

/// Reads the folder `root`. Blocks.
///
/// # Errors
/// [`ScanError`]
pub fn scan(root: &Path) -> Result<Tree, ScanError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| ScanError::Read { path, source }
    };
    match std::fs::metadata(root) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(ScanError::NotAFolder(root.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ScanError::Missing(root.to_owned()));
        }
        Err(error) => return Err(unreadable(root)(error)),
    }
    let whole = root.canonicalize().map_err(unreadable(root))?;
    let mut paths = vec![];
    for entry in walkdir::WalkDir::new(root).follow_links(true) {
        let entry = entry.map_err(unwalkable)?;
        let path = entry.path();
        if entry.path_is_symlink() && entry.depth() > 0 {
            let to = path.canonicalize().map_err(unreadable(path))?;
            if !to.starts_with(&whole) {
                return Err(ScanError::Outside { link: path.to_owned(), to });
            }
        }
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            return Err(ScanError::Kind(path.to_owned()));
        }
        let name = relative(root, path).ok_or_else(|| ScanError::Name(path.to_owned()))?;
        let last = name.rsplit('/').next().unwrap_or_default();
        if !LITTER.contains(&last) {
            paths.push(name);
        }
    }
    let rules = |name: &str| match paths.iter().any(|path| path == name) {
        true => std::fs::read_to_string(root.join(name)).map(Some).map_err(unreadable(&root.join(name))),
        false => Ok(None),
    };
    let [headers, redirects] = RULES.map(rules);
    let (headers, redirects) = (headers?, redirects?);
    paths.retain(|path| !RULES.contains(&path.as_str()));
    if paths.is_empty() {
        return Err(ScanError::Empty(root.to_owned()));
    }
    let files = digests(root, &paths)?;
    Ok(Tree { root: root.to_owned(), files, headers, redirects })
}

fn unwalkable(error: walkdir::Error) -> ScanError {
    let path = error.path().map(Path::to_owned).unwrap_or_default();
    match error.into_io_error() {
        Some(source) => ScanError::Read { path, source },
        None => ScanError::Circle(path),
    }
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).ok()?.iter().map(|part| part.to_str());
    Some(parts.collect::<Option<Vec<_>>>()?.join("/"))
}

/// The digests of all files, on as many threads as there are processors.
fn digests(root: &Path, paths: &[String]) -> Result<BTreeMap<String, Found>, ScanError> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(8);
    let next = AtomicUsize::new(0);
    let found = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut piece = vec![0; PIECE];
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let local = root.join(path);
                    match digest(&local, &mut piece) {
                        Ok(one) => {
                            found.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone(), one);
                        }
                        Err(source) => {
                            let error = ScanError::Read { path: local, source };
                            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            next.store(paths.len(), Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn digest(path: &Path, piece: &mut [u8]) -> std::io::Result<Found> {
    let mut file = File::open(path)?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    loop {
        match file.read(piece)? {
            0 => return Ok(Found { sha256: hex::encode(hash.finalize()), size }),
            n => {
                hash.update(&piece[..n]);
                size += n as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn files_have_their_digest_and_rules_are_none() {
        let folder = folder(&[
            ("index.html", "abc"),
            ("a/b.css", ""),
            ("_headers", "/*\n  a: b"),
            ("a/_headers", "x"),
            ("a/.DS_Store", "x"),
        ]);
        let tree = scan(folder.path()).unwrap();
        let paths: Vec<&str> = tree.files.keys().map(String::as_str).collect();
        assert_eq!(paths, ["a/_headers", "a/b.css", "index.html"]);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(tree.files["index.html"], Found { sha256: abc.into(), size: 3 });
        assert_eq!((tree.headers.as_deref(), tree.redirects), (Some("/*\n  a: b"), None));
    }

    #[test]
    fn what_is_no_site_is_told() {
        let folder = folder(&[("site/index.html", "x"), ("secret", "x"), ("none/_headers", "")]);
        let at = |name: &str| folder.path().join(name);
        assert!(matches!(scan(&at("nowhere")), Err(ScanError::Missing(_))));
        assert!(matches!(scan(&at("secret")), Err(ScanError::NotAFolder(_))));
        assert!(matches!(scan(&at("none")), Err(ScanError::Empty(_))));
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_inside() {
        use std::os::unix::fs::symlink;
        let folder = folder(&[("site/index.html", "x"), ("secret", "x")]);
        let site = folder.path().join("site");
        symlink("index.html", site.join("again.html")).unwrap();
        assert_eq!(scan(&site).unwrap().files.len(), 2);
        symlink("../secret", site.join("out")).unwrap();
        assert!(matches!(scan(&site), Err(ScanError::Outside { .. })));
        std::fs::remove_file(site.join("out")).unwrap();
        symlink(".", site.join("circle")).unwrap();
        assert!(matches!(scan(&site), Err(ScanError::Circle(_))));
        std::fs::remove_file(site.join("circle")).unwrap();
        symlink("nothing", site.join("broken")).unwrap();
        assert!(matches!(scan(&site), Err(ScanError::Read { .. })));
    }
}
