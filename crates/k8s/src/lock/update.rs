//! Moves what a lock pins: asks registries which digests the versions have now.

use super::{Lock, Pin, is_tag};
use crate::{
    crds::{Bundles, digest_of},
    images::Program,
};
use causeway_core::Error;
use causeway_oci::{Registries, Repository};
use futures::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;

/// What is to be looked up: everything, or only some images, perhaps in another version.
#[derive(Clone, Debug)]
pub struct Wanted {
    images: Vec<(&'static Program, &'static str, &'static str)>,
    version: Option<String>,
}

/// Why something cannot be wanted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// There is no such image.
    #[error("no image is called `{name}`; there are {known}")]
    Unknown {
        /// As it was given.
        name: String,
        /// All names.
        known: String,
    },
    /// A version is for one program.
    #[error("a version is for one program; name it, like `deploy update coder --version {0}`")]
    OfWhat(String),
    /// Nobody chooses that version.
    #[error(
        "the objects that this version of deploy makes for `{name}` are for {ours}; a newer deploy has newer ones"
    )]
    Fixed {
        /// Of what.
        name: &'static str,
        /// The version that it has to be.
        ours: &'static str,
    },
    /// No tag.
    #[error("`{0}` is no tag of an image; it is up to 128 letters, digits and `._-`")]
    NoTag(String),
}

impl Wanted {
    /// The images with these names, or of the programs with these names; without any, all of them. A `version` is what an
    /// image is moved to whose version people choose; others stay at the one that they have.
    ///
    /// # Errors
    /// [`WantedError`]
    pub fn new(names: &[String], version: Option<&str>) -> Result<Self, WantedError> {
        let is =
            |name: &str, (program, image, _): &(&Program, &str, &str)| *image == name || program.name == name;
        if let Some(name) = names.iter().find(|name| !Program::all_images().any(|one| is(name, &one))) {
            let all = Program::all_images().flat_map(|(program, image, _)| [program.name, image]);
            let known = all.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
            return Err(WantedError::Unknown { name: name.clone(), known });
        }
        let all = Program::all_images();
        let images: Vec<_> =
            all.filter(|one| names.is_empty() || names.iter().any(|name| is(name, one))).collect();
        if let Some(version) = version {
            let programs: BTreeSet<&str> = images.iter().map(|(program, ..)| program.name).collect();
            let Some((program, ..)) = images.first().filter(|_| programs.len() == 1) else {
                return Err(WantedError::OfWhat(version.to_owned()));
            };
            if program.fixed && program.version != version {
                return Err(WantedError::Fixed { name: program.name, ours: program.version });
            }
            if !is_tag(version) {
                return Err(WantedError::NoTag(version.to_owned()));
            }
        }
        Ok(Wanted { images, version: version.map(str::to_owned) })
    }
}

/// What a lock has of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pinned {
    /// The version.
    pub version: String,
    /// Where its maker publishes it, or you: an image, or a file.
    pub at: String,
    /// Which it is, if that is known: `sha256:..`
    pub digest: Option<String>,
}

/// Something that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Move {
    /// The image, or `definitions of PROGRAM`.
    pub name: String,
    /// What it was.
    pub from: Pinned,
    /// What it is.
    pub to: Pinned,
}

/// Why something could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// An image.
    #[error("`{name}`")]
    Image {
        /// What it is called.
        name: &'static str,
        /// Why.
        #[source]
        source: causeway_oci::Error,
    },
    /// Definitions.
    #[error("the definitions of `{name}`")]
    Definitions {
        /// Of which program.
        name: &'static str,
        /// Why.
        #[source]
        source: Error,
    },
}

impl NotFound {
    /// What to do about it.
    pub fn remedy(&self) -> &str {
        match self {
            NotFound::Image { source, .. } => source.remedy(),
            NotFound::Definitions { .. } => NETWORK,
        }
    }
}

/// What to do where nobody answers; as images have it.
pub(super) const NETWORK: &str =
    "look at the network; HTTPS_PROXY is honoured, and running this again goes on";

/// What came of it.
#[derive(Debug)]
pub struct Updated {
    /// The lock as it should be. It is whole only if nothing failed.
    pub lock: Lock,
    /// What moved.
    pub moves: Vec<Move>,
    /// The images that do not run on both of the processors that AWS has, and what they run on.
    pub narrow: Vec<(&'static str, BTreeSet<String>)>,
    /// What could not be looked up.
    pub failed: Vec<NotFound>,
}

/// Looks up what is wanted, and answers with the lock that says it.
pub async fn update(lock: &Lock, wanted: &Wanted, registries: &Registries, bundles: &dyn Bundles) -> Updated {
    let mut updated = Updated { lock: lock.clone(), moves: vec![], narrow: vec![], failed: vec![] };
    let looks = wanted.images.iter().map(|(program, name, at)| async move {
        let version = match &wanted.version {
            Some(version) => version.clone(),
            None if program.fixed => program.version.to_owned(),
            None => lock.pin(name).map_or_else(|| program.version.to_owned(), |pin| pin.version),
        };
        let image: Option<Repository> = lock.pin(name).map(|pin| pin.image).or_else(|| at.parse().ok());
        let image = image?;
        let found = registries.look(&lock.mirrored(&image), &version).await;
        Some((*name, Pin { version, image, digest: None }, found))
    });
    for (name, mut pin, found) in join_all(looks).await.into_iter().flatten() {
        match found {
            Ok(found) => {
                if !["linux/amd64", "linux/arm64"].iter().all(|both| found.platforms.contains(*both)) {
                    updated.narrow.push((name, found.platforms));
                }
                pin.digest = Some(found.digest);
                if let Some(was) = lock.pin(name).filter(|was| *was != pin) {
                    updated.moves.push(Move { name: name.to_owned(), from: shown(&was), to: shown(&pin) });
                }
                updated.lock.images.insert(name.to_owned(), pin);
            }
            Err(source) => updated.failed.push(NotFound::Image { name, source }),
        }
    }
    definitions(lock, wanted, bundles, &mut updated).await;
    updated
}

/// The files that nobody else vouches for.
async fn definitions(lock: &Lock, wanted: &Wanted, bundles: &dyn Bundles, updated: &mut Updated) {
    let mut programs: Vec<&Program> = wanted.images.iter().map(|(program, ..)| *program).collect();
    programs.dedup_by_key(|program| program.name);
    for program in programs {
        let files = program.definitions().into_iter().flat_map(|definitions| definitions.files);
        for file in files.filter(|file| file.sha256.is_none()) {
            let bytes = match bundles.fetch(&file.url).await {
                Ok(bytes) => bytes,
                Err(source) => {
                    updated.failed.push(NotFound::Definitions { name: program.name, source });
                    continue;
                }
            };
            let is = digest_of(&bytes);
            let was = lock.definitions.get(&file.url);
            if was != Some(&is) {
                let pinned = |hex: Option<&String>| Pinned {
                    version: program.version.to_owned(),
                    at: file.url.clone(),
                    digest: hex.map(|hex| format!("sha256:{hex}")),
                };
                let name = format!("definitions of {}", program.name);
                updated.moves.push(Move { name, from: pinned(was), to: pinned(Some(&is)) });
            }
            updated.lock.definitions.insert(file.url, is);
        }
    }
    // Those of versions that are gone say nothing to anybody.
    let files = crate::images::PROGRAMS.iter().filter_map(Program::definitions).flat_map(|all| all.files);
    let known: BTreeSet<String> = files.map(|file| file.url).collect();
    updated.lock.definitions.retain(|url, _| known.contains(url));
}

fn shown(pin: &Pin) -> Pinned {
    Pinned {
        version: pin.version.clone(),
        at: pin.image.to_string(),
        digest: pin.digest.as_ref().map(ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str], version: Option<&str>) -> Result<Vec<&'static str>, WantedError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Wanted::new(&names, version)?.images.into_iter().map(|(_, name, _)| name).collect())
    }

    #[test]
    fn programs_and_images_are_wanted_by_name() {
        assert_eq!(wanted(&[], None).unwrap().len(), Program::all_images().count());
        assert_eq!(wanted(&["cert-manager"], None).unwrap().len(), 4);
        let both = wanted(&["cert-manager-webhook", "coder", "coder"], None).unwrap();
        assert_eq!(both, ["cert-manager-webhook", "coder"]);
        let error = wanted(&["codr"], None).unwrap_err().to_string();
        assert!(
            error.contains("`codr`") && error.contains("cert-manager, cert-manager-acmesolver"),
            "{error}"
        );
    }

    #[test]
    fn a_version_is_for_what_people_choose() {
        assert_eq!(wanted(&["coder"], Some("v2.30.0")).unwrap(), ["coder"]);
        assert_eq!(wanted(&["cert-manager"], Some("v1.18.2")).unwrap().len(), 4);
        let fixed = WantedError::Fixed { name: "karpenter", ours: "1.14.3" };
        assert_eq!(wanted(&["karpenter"], Some("1.15.0")), Err(fixed));
        for several in [&[][..], &["coder", "litellm"]] {
            assert!(matches!(wanted(several, Some("v1")), Err(WantedError::OfWhat(_))));
        }
        assert!(matches!(wanted(&["coder"], Some("a:b")), Err(WantedError::NoTag(_))));
    }
}
