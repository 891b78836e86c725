//! `causeway.lock`: which images run, by digest, and where they are got from. Without the file, or where it says nothing, it is
//! the tags of [`PROGRAMS`](crate::images::PROGRAMS).

mod update;
mod vendor;

pub use update::{Move, NotFound, Pinned, Updated, Wanted, WantedError, update};
pub use vendor::{DEFINITIONS, Fetching, INDEX, VendorError, Vendored, VendoredFile, VendoredImage, vendor};

use crate::images::{Images, Program};
use causeway_oci::{Digest, Reference, Repository};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// What the file is called. It stands beside the configuration.
pub const FILE: &str = "causeway.lock";
/// The format that we write.
const FORMAT: u32 = 1;
const HEADER: &str = "\
# Which images run in the clusters, by digest. `deploy update` writes this file, and keeps no other comments.
# [mirrors] and each `image` are yours to change; run `deploy update` after it. Keep the file with the configuration.

";

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The version of this format.
    format: u32,
    /// What is asked instead of a host, like `"quay.io" = "registry.example/quay"`: for images, in pods too, and for
    /// definitions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mirrors: BTreeMap<String, String>,
    /// By their names in [`PROGRAMS`](crate::images::PROGRAMS).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, Pin>,
    /// The SHA-256 of files with definitions that nobody else vouches for, in hex, by address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub definitions: BTreeMap<String, String>,
}

/// One image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The tag. It says what the digest is; the digest is what runs.
    pub version: String,
    /// Where its maker publishes it, or you.
    pub image: Repository,
    /// That of the index, for all processors. Until `deploy update` has looked, there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Default for Lock {
    fn default() -> Self {
        Lock {
            format: FORMAT,
            mirrors: BTreeMap::new(),
            images: BTreeMap::new(),
            definitions: BTreeMap::new(),
        }
    }
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file could not be read or written.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{} is no lock file", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// Where, and why not.
        #[source]
        source: toml::de::Error,
    },
    /// It is one of a newer version of this program.
    #[error("{} has format {found}, and this version of deploy knows {FORMAT}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It has another version of something than the one that our objects are for.
    #[error(
        "{FILE} has `{name}` {found}, and the objects that this version of deploy makes for it are for {wanted}"
    )]
    Other {
        /// What.
        name: &'static str,
        /// Its version.
        found: String,
        /// The version that it has to be.
        wanted: &'static str,
    },
    /// It says something that cannot be.
    #[error("{}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What.
        what: String,
        /// What to do.
        remedy: String,
    },
}

impl LockError {
    /// What to do about it.
    pub fn remedy(&self) -> &str {
        match self {
            LockError::File { .. } => "it stands beside the configuration; look at its rights",
            LockError::Text { .. } => {
                "repair it, or put it back from version control; without the file, `deploy update` writes a new one"
            }
            LockError::Newer { .. } => "use the version of deploy that wrote it, or a newer one",
            LockError::Other { .. } => "`deploy update` moves it",
            LockError::Wrong { remedy, .. } => remedy,
        }
    }
}

/// Only this of a file that may be of any format.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Lock {
    /// The lock in `folder`; where there is no file, an empty one.
    ///
    /// # Errors
    /// The file cannot be read, or says what cannot be.
    pub fn beside(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Lock::parse(&path, &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(source) => Err(LockError::File { act: "read", path, source }),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, LockError> {
        let refused = |source| LockError::Text { path: path.to_owned(), source };
        let Format { format } = toml::from_str(text).map_err(refused)?;
        if format > FORMAT {
            return Err(LockError::Newer { path: path.to_owned(), found: format });
        }
        let lock: Lock = toml::from_str(text).map_err(refused)?;
        match lock.problem() {
            None => Ok(lock),
            Some((what, remedy)) => Err(LockError::Wrong { path: path.to_owned(), what, remedy }),
        }
    }

    /// What cannot be, and what to do.
    fn problem(&self) -> Option<(String, String)> {
        if self.format == 0 {
            return Some(("there is no format 0".into(), format!("write `format = {FORMAT}`")));
        }
        for (name, pin) in &self.images {
            let known: Vec<&str> = Program::all_images().map(|(_, name, _)| name).collect();
            if !known.contains(&name.as_str()) {
                let remedy = format!("take [images.{name}] out; there are {}", known.join(", "));
                return Some((format!("no image is called `{name}`"), remedy));
            }
            if !is_tag(&pin.version) {
                let remedy = "write a tag of the image, in up to 128 letters, digits and `._-`".to_owned();
                return Some((format!("`{}` is no version of `{name}`", pin.version), remedy));
            }
        }
        for (host, instead) in &self.mirrors {
            if format!("{host}/a").parse::<Repository>().map(|r| r.registry() == host) != Ok(true) {
                let remedy = "write it like \"quay.io\" or \"docker.io\"".to_owned();
                return Some((format!("[mirrors] has `{host}`, which is no host"), remedy));
            }
            if format!("{instead}/a").parse::<Repository>().map(|r| r.to_string())
                != Ok(format!("{instead}/a"))
            {
                let remedy = "write a host, and a path if there is one: \"registry.example/quay\"".to_owned();
                return Some((format!("[mirrors] has `{instead}`, which is no place for images"), remedy));
            }
        }
        let digits = |hex: &str| format!("sha256:{hex}").parse::<Digest>().is_ok();
        let wrong = self.definitions.iter().find(|(_, hex)| !digits(hex));
        wrong.map(|(url, hex)| {
            (
                format!("`{hex}` is no SHA-256 of {url}"),
                "take the line out; `deploy update` writes it".to_owned(),
            )
        })
    }

    /// Writes it into `folder`: the whole of it or nothing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), LockError> {
        let path = folder.join(FILE);
        let beside = folder.join(format!("{FILE}.new"));
        let failed = |source| LockError::File { act: "write", path: path.clone(), source };
        let text = self.text().map_err(|error| failed(io::Error::other(error)))?;
        fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path)).map_err(failed)
    }

    fn text(&self) -> Result<String, toml::ser::Error> {
        Ok(format!("{HEADER}{}", toml::to_string(self)?))
    }

    /// The images as pods name them.
    ///
    /// # Errors
    /// [`LockError::Other`]: running one version under the rights of another fails when nobody looks.
    pub fn images(&self) -> Result<Images, LockError> {
        for (program, name, _) in Program::all_images().filter(|(program, ..)| program.fixed) {
            if let Some(pin) = self.images.get(name).filter(|pin| pin.version != program.version) {
                return Err(LockError::Other { name, found: pin.version.clone(), wanted: program.version });
            }
        }
        Ok(Images::of(self))
    }

    /// An image by its name: where it is published, its version and its digest.
    fn pin(&self, name: &str) -> Option<Pin> {
        if let Some(pin) = self.images.get(name) {
            return Some(pin.clone());
        }
        let (program, _, at) = Program::all_images().find(|(_, known, _)| *known == name)?;
        Some(Pin { version: program.version.to_owned(), image: at.parse().ok()?, digest: None })
    }

    /// An image where its maker publishes it, whatever stands in for that; nothing for a name that there is not.
    pub fn published(&self, name: &str) -> Option<Reference> {
        let Pin { version, image, digest } = self.pin(name)?;
        Some(Reference { repository: image, tag: version, digest })
    }

    /// An image as pods name it; empty for a name that there is not.
    pub(crate) fn reference(&self, name: &str) -> String {
        let Some(Pin { version, image, digest }) = self.pin(name) else { return String::new() };
        let digest = digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{}:{version}{digest}", self.mirrored(&image))
    }

    /// Where an image is got from.
    pub(crate) fn mirrored(&self, image: &Repository) -> Repository {
        let instead = self.mirrors.get(image.registry());
        let place = instead.and_then(|instead| format!("{instead}/{}", image.path()).parse().ok());
        place.unwrap_or_else(|| image.clone())
    }

    /// The images that are named by tag, which may come to be something else.
    pub fn by_tag(&self) -> Vec<&'static str> {
        let pinned = |name: &str| self.images.get(name).is_some_and(|pin| pin.digest.is_some());
        Program::all_images().map(|(_, name, _)| name).filter(|name| !pinned(name)).collect()
    }
}

/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests>
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b".-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn parse(text: &str) -> Result<Lock, LockError> {
        Lock::parse(Path::new("causeway.lock"), text)
    }

    fn refused(text: &str) -> String {
        let error = parse(text).unwrap_err();
        let source = std::error::Error::source(&error).map(|s| s.to_string()).unwrap_or_default();
        format!("{error}: {source}; {}", error.remedy())
    }

    fn karpenter() -> String {
        format!(
            "format = 1\n[images.karpenter]\nversion = \"1.14.3\"\nimage = \"public.ecr.aws/karpenter/controller\"\ndigest = \"{DIGEST}\"\n"
        )
    }

    #[test]
    fn what_is_written_is_what_is_read_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Lock::beside(folder.path()).unwrap(), Lock::default());
        let mut lock = parse(&karpenter()).unwrap();
        let pin = Pin { version: "v1.18.2".into(), image: "quay.io/a".parse().unwrap(), digest: None };
        lock.images.insert("cert-manager-webhook".into(), pin);
        lock.mirrors.insert("quay.io".into(), "registry.example:5000/quay".into());
        lock.definitions.insert("https://here/a.yaml".into(), DIGEST[7..].into());
        lock.write(folder.path()).unwrap();
        assert_eq!(Lock::beside(folder.path()).unwrap(), lock);
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let heads: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
        assert_eq!(
            heads,
            ["[mirrors]", "[images.cert-manager-webhook]", "[images.karpenter]", "[definitions]"]
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn an_image_is_named_by_its_digest_and_by_where_it_is_got_from() {
        let mut lock = parse(&karpenter()).unwrap();
        assert_eq!(
            Images::of(&lock).karpenter,
            format!("public.ecr.aws/karpenter/controller:1.14.3@{DIGEST}")
        );
        assert_eq!(Images::of(&lock).coder, Images::default().coder);
        assert_eq!(lock.by_tag().len(), Lock::default().by_tag().len() - 1);
        lock.mirrors.insert("public.ecr.aws".into(), "registry.example/ecr-public".into());
        let wanted = format!("registry.example/ecr-public/karpenter/controller:1.14.3@{DIGEST}");
        assert_eq!(Images::of(&lock).karpenter, wanted);
        assert_eq!(Images::of(&lock).coder, Images::default().coder, "another host");
    }

    #[test]
    fn another_version_than_our_objects_are_for_does_not_run() {
        let lock = parse(&karpenter().replace("1.14.3", "1.14.2")).unwrap();
        let error = lock.images().unwrap_err();
        assert!(
            error.to_string().contains("`karpenter` 1.14.2") && error.to_string().contains("for 1.14.3"),
            "{error}"
        );
        let coder = format!(
            "format = 1\n[images.coder]\nversion = \"mine\"\nimage = \"a.b/c\"\ndigest = \"{DIGEST}\"\n"
        );
        assert_eq!(parse(&coder).unwrap().images().unwrap().coder, format!("a.b/c:mine@{DIGEST}"));
    }

    #[test]
    fn what_cannot_be_is_told_with_what_to_do() {
        let with = |what: &str, instead: &str| refused(&karpenter().replace(what, instead));
        for (found, said) in [
            (refused("format = 2\nwhatever = 1\n"), ["has format 2", "a newer one"]),
            (refused("images = 1\n"), ["missing field `format`", "repair it"]),
            (refused("format = 1\n[imags]\n"), ["unknown field `imags`", "repair it"]),
            (with("digest", "digset"), ["unknown field `digset`", "line 5"]),
            (with("sha256:", "sha256-"), ["is no digest", "line 5"]),
            (with("controller\"", "controller:1\""), ["is no place of images", "line 4"]),
            (
                with("images.karpenter", "images.karpentr"),
                ["no image is called `karpentr`", "there are cert-manager-c"],
            ),
            (with("1.14.3", "a b"), ["is no version of `karpenter`", "write a tag"]),
            (refused("format = 0"), ["no format 0", "format = 1"]),
            (refused("format = 1\n[mirrors]\n\"https://a.b\" = \"c.d\"\n"), ["no host", "\"quay.io\""]),
            (
                refused("format = 1\n[mirrors]\n\"a.b\" = \"http://c.d\"\n"),
                ["no place for images", "registry.example/quay"],
            ),
            (
                refused("format = 1\n[definitions]\n\"https://a\" = \"1\"\n"),
                ["no SHA-256 of https://a", "take the line out"],
            ),
        ] {
            assert!(said.iter().all(|said| found.contains(said)), "{found}");
        }
    }
}
