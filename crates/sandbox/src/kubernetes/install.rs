//! Builds Kubernetes, etcd and KWOK once with Go, into the cache, from the modules that `kubernetes/*/go.mod` pins.
//!
//! Nobody publishes the controller manager, the scheduler and KWOK together for every system that we run on; their modules
//! build anywhere Go does, and the proxy's checksums are the proof that they are what they say.

use std::path::PathBuf;

use crate::cache::Cache;
use crate::go::{self, Part};
use crate::install::{Error, Progress};

/// The Kubernetes of control planes.
pub const KUBERNETES: &str = "1.35.4";
/// The oldest Kubernetes in EKS's standard support.
pub const OLDEST: &str = "1.33.13";
/// The etcd under both.
pub const ETCD: &str = "3.6.5";
/// The version of KWOK.
pub const KWOK: &str = "0.8.0";

/// A Kubernetes version that the sandbox can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// [`OLDEST`]: its API server alone, to try manifests on.
    Oldest,
    /// [`KUBERNETES`]: whole control planes.
    Newest,
}

impl Version {
    /// Like `1.35.4`.
    pub fn number(self) -> &'static str {
        match self {
            Version::Oldest => OLDEST,
            Version::Newest => KUBERNETES,
        }
    }
}

/// The programs of a control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The store.
    pub etcd: PathBuf,
    /// The API server.
    pub apiserver: PathBuf,
    /// The controllers of Kubernetes itself.
    pub controller_manager: PathBuf,
    /// The scheduler.
    pub scheduler: PathBuf,
    /// What plays nodes and pods.
    pub kwok: PathBuf,
}

const CONTROL_PLANE: Part = Part {
    name: "kubernetes",
    version: KUBERNETES,
    module: include_str!("../../kubernetes/control-plane/go.mod"),
    sums: include_str!("../../kubernetes/control-plane/go.sum"),
    main: None,
    stamps: KUBERNETES_STAMPS,
    numbers: KUBERNETES_NUMBERS,
    renames: &[("server", "etcd")],
    programs: &["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"],
    step: "compile Kubernetes and etcd (about ten minutes, once)",
};

const STAND_IN: Part = Part {
    name: "kwok",
    version: KWOK,
    module: include_str!("../../kubernetes/kwok/go.mod"),
    sums: include_str!("../../kubernetes/kwok/go.sum"),
    main: None,
    stamps: &["sigs.k8s.io/kwok/pkg/consts.Version="],
    numbers: None,
    renames: &[],
    programs: &["kwok"],
    step: "compile KWOK (about three minutes, once)",
};

const OLD_SERVER: Part = Part {
    name: "kubernetes",
    version: OLDEST,
    module: include_str!("../../kubernetes/oldest/go.mod"),
    sums: include_str!("../../kubernetes/oldest/go.sum"),
    main: None,
    stamps: KUBERNETES_STAMPS,
    numbers: KUBERNETES_NUMBERS,
    renames: &[],
    programs: &["kube-apiserver"],
    step: "compile the oldest API server that EKS supports (about eight minutes, once)",
};

const KUBERNETES_STAMPS: &[&str] =
    &["k8s.io/component-base/version.gitVersion=v", "k8s.io/client-go/pkg/version.gitVersion=v"];
const KUBERNETES_NUMBERS: Option<&str> = Some("k8s.io/component-base/version");

/// Finds the programs for a version: those of `KUBEBUILDER_ASSETS` if all of Kubernetes and etcd are there, else what was
/// built. `None` if something is missing.
pub fn installed(cache: &Cache, version: Version) -> Option<Programs> {
    let own = CONTROL_PLANE.folder(cache);
    let assets = assets();
    let folder = match &assets {
        Some(folder) => folder.clone(),
        None => CONTROL_PLANE.is_built(cache).then(|| own.clone())?,
    };
    let kwok = match assets.map(|folder| folder.join("kwok")).filter(|kwok| kwok.is_file()) {
        Some(kwok) => kwok,
        None => STAND_IN.is_built(cache).then(|| STAND_IN.folder(cache).join("kwok"))?,
    };
    let apiserver = match version {
        Version::Newest => folder.join("kube-apiserver"),
        Version::Oldest => {
            OLD_SERVER.is_built(cache).then(|| OLD_SERVER.folder(cache).join("kube-apiserver"))?
        }
    };
    Some(Programs {
        etcd: folder.join("etcd"),
        apiserver,
        controller_manager: folder.join("kube-controller-manager"),
        scheduler: folder.join("kube-scheduler"),
        kwok,
    })
}

/// A folder with all of Kubernetes. That of `setup-envtest` lacks the controller manager and the scheduler, and those of
/// another version would not go with its API server.
fn assets() -> Option<PathBuf> {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty())?;
    let folder = std::path::absolute(&folder).ok()?;
    CONTROL_PLANE.programs.iter().all(|program| folder.join(program).is_file()).then_some(folder)
}

/// Builds what is missing and returns where everything is. Blocks: about a quarter of an hour on four cores with nothing
/// built before, milliseconds when all is there.
///
/// # Errors
///
/// [`Error`]: there is no Go, or one that is too old, or a build failed.
pub fn install(
    cache: &Cache,
    version: Version,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Programs, Error> {
    if let Some(installed) = installed(cache, version) {
        return Ok(installed);
    }
    let mut parts = Vec::new();
    if assets().is_none() {
        parts.push(&CONTROL_PLANE);
    }
    if assets().is_none_or(|folder| !folder.join("kwok").is_file()) {
        parts.push(&STAND_IN);
    }
    if version == Version::Oldest {
        parts.push(&OLD_SERVER);
    }
    go::build(cache, &parts, progress)?;
    let missing = || Error::Incomplete { step: "install Kubernetes", path: cache.root().to_owned() };
    installed(cache, version).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_name_the_versions_that_we_say() {
        for (module, path, version) in [
            (CONTROL_PLANE.module, "k8s.io/kubernetes", KUBERNETES),
            (CONTROL_PLANE.module, "go.etcd.io/etcd/server/v3", ETCD),
            (OLD_SERVER.module, "k8s.io/kubernetes", OLDEST),
            (STAND_IN.module, "sigs.k8s.io/kwok", KWOK),
        ] {
            assert!(module.contains(&format!("{path} v{version} ")), "{path} is not {version}");
        }
        assert!(STAND_IN.module.contains(&format!("\ngo {}", go::OLDEST)));
    }

    #[test]
    fn a_version_is_stamped_into_kubernetes() {
        let flags = OLD_SERVER.linker_flags();
        assert!(flags.contains("version.gitVersion=v1.33.13") && flags.contains("gitMinor=33"), "{flags}");
        assert_eq!(STAND_IN.linker_flags(), "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=0.8.0");
    }
}
