//! Builds Kubernetes, etcd and KWOK once with Go, into the cache, from the modules that `kubernetes/*/go.mod` pins.
//!
//! Nobody publishes the controller manager, the scheduler and KWOK together for every system that we run on; their modules
//! build anywhere Go does, and the proxy's checksums are the proof that they are what they say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Cache, Lock};
use crate::install::{Error, Progress, Steps, check, complete, io, is_complete, make, remove};

/// The Kubernetes of control planes.
pub const KUBERNETES: &str = "1.35.4";
/// The oldest Kubernetes in EKS's standard support.
pub const OLDEST: &str = "1.33.13";
/// The etcd under both.
pub const ETCD: &str = "3.6.5";
/// The version of KWOK.
pub const KWOK: &str = "0.8.0";
/// KWOK's module asks for it.
const GO: (u32, u32) = (1, 26);
const GO_TEXT: &str = "1.26";

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

/// One `go build`.
struct Part {
    name: &'static str,
    version: &'static str,
    module: &'static str,
    sums: &'static str,
    /// Where linker flags write the version.
    stamps: &'static [&'static str],
    programs: &'static [&'static str],
    step: &'static str,
}

const CONTROL_PLANE: Part = Part {
    name: "kubernetes",
    version: KUBERNETES,
    module: include_str!("../../kubernetes/control-plane/go.mod"),
    sums: include_str!("../../kubernetes/control-plane/go.sum"),
    stamps: KUBERNETES_STAMPS,
    programs: &["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"],
    step: "compile Kubernetes and etcd (about ten minutes, once)",
};

const STAND_IN: Part = Part {
    name: "kwok",
    version: KWOK,
    module: include_str!("../../kubernetes/kwok/go.mod"),
    sums: include_str!("../../kubernetes/kwok/go.sum"),
    stamps: &["sigs.k8s.io/kwok/pkg/consts.Version="],
    programs: &["kwok"],
    step: "compile KWOK (about three minutes, once)",
};

const OLD_SERVER: Part = Part {
    name: "kubernetes",
    version: OLDEST,
    module: include_str!("../../kubernetes/oldest/go.mod"),
    sums: include_str!("../../kubernetes/oldest/go.sum"),
    stamps: KUBERNETES_STAMPS,
    programs: &["kube-apiserver"],
    step: "compile the oldest API server that EKS supports (about eight minutes, once)",
};

const KUBERNETES_STAMPS: &[&str] =
    &["k8s.io/component-base/version.gitVersion=v", "k8s.io/client-go/pkg/version.gitVersion=v"];

impl Part {
    fn folder(&self, cache: &Cache) -> PathBuf {
        cache.root().join(format!("{}-{}", self.name, self.version))
    }

    /// `-X` for each stamp, and for the two numbers that Kubernetes keeps apart.
    fn linker_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        for stamp in self.stamps {
            flags += &format!(" -X {stamp}{}", self.version);
        }
        let mut numbers = self.version.split('.');
        if let (true, Some(major), Some(minor)) =
            (self.stamps == KUBERNETES_STAMPS, numbers.next(), numbers.next())
        {
            let package = "k8s.io/component-base/version";
            flags += &format!(" -X {package}.gitMajor={major} -X {package}.gitMinor={minor}");
        }
        flags
    }
}

/// Finds the programs for a version: those of `KUBEBUILDER_ASSETS` if all of Kubernetes and etcd are there, else what was
/// built. `None` if something is missing.
pub fn installed(cache: &Cache, version: Version) -> Option<Programs> {
    let own = CONTROL_PLANE.folder(cache);
    let assets = assets();
    let folder = match &assets {
        Some(folder) => folder.clone(),
        None => is_complete(&own).then(|| own.clone())?,
    };
    let kwok = match assets.map(|folder| folder.join("kwok")).filter(|kwok| kwok.is_file()) {
        Some(kwok) => kwok,
        None => is_complete(&STAND_IN.folder(cache)).then(|| STAND_IN.folder(cache).join("kwok"))?,
    };
    let apiserver = match version {
        Version::Newest => folder.join("kube-apiserver"),
        Version::Oldest => {
            is_complete(&OLD_SERVER.folder(cache)).then(|| OLD_SERVER.folder(cache).join("kube-apiserver"))?
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
    check("go", "Go 1.26 or newer from https://go.dev/dl (the package golang or golang-go of your system)")?;
    make(cache.root())?;
    let lock = cache.root().join("install.lock");
    let _lock = Lock::wait(&lock).map_err(io("lock", &lock))?;
    let staging = cache.root().join("staging");
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
    parts.retain(|part| !is_complete(&part.folder(cache)));
    let of = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let mut steps = Steps { cache, staging: &staging, progress, number: 0, of };
    for (number, part) in (1..).zip(parts) {
        steps.part(number, part)?;
    }
    remove(&staging)?;
    let missing = || Error::Incomplete { step: "install Kubernetes", path: cache.root().to_owned() };
    installed(cache, version).ok_or_else(missing)
}

impl Steps<'_> {
    fn part(&mut self, number: u32, part: &Part) -> Result<(), Error> {
        let source = self.stage("source")?;
        let made = self.stage("made")?;
        for (name, text) in [("go.mod", part.module), ("go.sum", part.sums)] {
            fs::write(source.join(name), text).map_err(io("write", &source.join(name)))?;
        }
        check_go(&source)?;
        let mut build = go(&source);
        build.args([
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-mod=readonly",
            "-ldflags",
            &part.linker_flags(),
        ]);
        // A folder, because of the slash; `tool` stands for all that go.mod names.
        build.arg("-o").arg(format!("{}/", made.display())).arg("tool");
        self.run(number, part.step, build)?;
        // Go names a program after the last part of its path.
        if part.programs.contains(&"etcd") {
            fs::rename(made.join("server"), made.join("etcd")).map_err(io("rename", &made.join("server")))?;
        }
        for program in part.programs {
            let path = made.join(program);
            if !path.is_file() {
                return Err(Error::Incomplete { step: part.step, path });
            }
        }
        complete(&made, &part.folder(self.cache))
    }
}

/// Go in the folder of a module, without what a developer may have set for other modules.
pub(super) fn go(source: &Path) -> Command {
    let mut go = Command::new("go");
    // Without C compiler, and programs that run on any Linux.
    go.current_dir(source).env("CGO_ENABLED", "0").env("GOWORK", "off");
    for name in ["GOOS", "GOARCH", "GO111MODULE"] {
        go.env_remove(name);
    }
    go
}

/// A Go of 2023 or later fetches a newer one by itself, unless it is told not to; so it is asked where it will build.
fn check_go(source: &Path) -> Result<(), Error> {
    let output = go(source).args(["env", "GOVERSION"]).output().map_err(io("start", Path::new("go")))?;
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && new_enough(&found) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let found = if found.is_empty() { said } else { found };
    Err(Error::OldGo { found, needed: GO_TEXT })
}

/// Reads `go1.26.8`.
fn new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches("go").split(['.', '-', ' ']).map(|part| part.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= GO,
        _ => false,
    }
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
        assert!(STAND_IN.module.contains(&format!("\ngo {GO_TEXT}")));
    }

    #[test]
    fn old_and_strange_versions_of_go_are_told_apart() {
        assert!(new_enough("go1.26") && new_enough("go1.30.1") && new_enough("go2.0"));
        assert!(!new_enough("go1.25.9") && !new_enough("devel") && !new_enough(""));
    }

    #[test]
    fn a_version_is_stamped_into_kubernetes() {
        let flags = OLD_SERVER.linker_flags();
        assert!(flags.contains("version.gitVersion=v1.33.13") && flags.contains("gitMinor=33"), "{flags}");
        assert_eq!(STAND_IN.linker_flags(), "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=0.8.0");
    }
}
