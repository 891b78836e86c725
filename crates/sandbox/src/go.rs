//! Programs that are built once with Go, into the cache, each from a module of ours that pins what it is built from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Cache, Lock};
use crate::install::{self, Error, Progress, Steps, complete, io, is_complete, make, remove};

/// What the modules ask for, KWOK's first of all.
pub(crate) const OLDEST: &str = "1.26";
const NUMBERS: (u32, u32) = (1, 26);

/// One `go build`.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) module: &'static str,
    pub(crate) sums: &'static str,
    /// A `main.go` of ours, where upstream has none that can be had.
    pub(crate) main: Option<&'static str>,
    /// Where linker flags write the version.
    pub(crate) stamps: &'static [&'static str],
    /// The package of Kubernetes that keeps the version's first two numbers apart.
    pub(crate) numbers: Option<&'static str>,
    /// What Go names after the last part of a path, and what it is called.
    pub(crate) renames: &'static [(&'static str, &'static str)],
    pub(crate) programs: &'static [&'static str],
    pub(crate) step: &'static str,
}

impl Part {
    pub(crate) fn folder(&self, cache: &Cache) -> PathBuf {
        cache.root().join(format!("{}-{}", self.name, self.version))
    }

    pub(crate) fn is_built(&self, cache: &Cache) -> bool {
        is_complete(&self.folder(cache))
    }

    /// `-X` for each stamp and number.
    pub(crate) fn linker_flags(&self) -> String {
        let mut flags = "-s -w".to_owned();
        for stamp in self.stamps {
            flags += &format!(" -X {stamp}{}", self.version);
        }
        let mut numbers = self.version.split('.');
        if let (Some(package), Some(major), Some(minor)) = (self.numbers, numbers.next(), numbers.next()) {
            flags += &format!(" -X {package}.gitMajor={major} -X {package}.gitMinor={minor}");
        }
        flags
    }
}

/// Builds what is missing of some parts. Blocks.
pub(crate) fn build(
    cache: &Cache,
    parts: &[&Part],
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), Error> {
    check()?;
    make(cache.root())?;
    let lock = cache.root().join("install.lock");
    let _lock = Lock::wait(&lock).map_err(io("lock", &lock))?;
    let staging = cache.root().join("staging");
    let missing: Vec<&&Part> = parts.iter().filter(|part| !part.is_built(cache)).collect();
    let of = u32::try_from(missing.len()).unwrap_or(u32::MAX);
    let mut steps = Steps { cache, staging: &staging, progress, number: 0, of };
    for (number, part) in (1..).zip(missing) {
        steps.part(number, part)?;
    }
    remove(&staging)
}

impl Steps<'_> {
    fn part(&mut self, number: u32, part: &Part) -> Result<(), Error> {
        let source = self.stage("source")?;
        let made = self.stage("made")?;
        let main = part.main.map(|text| ("main.go", text));
        for (name, text) in [("go.mod", part.module), ("go.sum", part.sums)].into_iter().chain(main) {
            fs::write(source.join(name), text).map_err(io("write", &source.join(name)))?;
        }
        check_version(&source)?;
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
        for (built, name) in part.renames {
            fs::rename(made.join(built), made.join(name)).map_err(io("rename", &made.join(built)))?;
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

/// Says at once that there is no Go.
pub(crate) fn check() -> Result<(), Error> {
    install::check(
        "go",
        "Go 1.26 or newer from https://go.dev/dl (the package golang or golang-go of your system)",
    )
}

/// Go in the folder of a module, without what a developer may have set for other modules.
pub(crate) fn go(source: &Path) -> Command {
    let mut go = Command::new("go");
    // Without C compiler, and programs that run on any Linux.
    go.current_dir(source).env("CGO_ENABLED", "0").env("GOWORK", "off");
    for name in ["GOOS", "GOARCH", "GO111MODULE"] {
        go.env_remove(name);
    }
    go
}

/// A Go of 2023 or later fetches a newer one by itself, unless it is told not to; so it is asked where it will build.
fn check_version(source: &Path) -> Result<(), Error> {
    let output = go(source).args(["env", "GOVERSION"]).output().map_err(io("start", Path::new("go")))?;
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && new_enough(&found) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let found = if found.is_empty() { said } else { found };
    Err(Error::OldGo { found, needed: OLDEST })
}

/// Reads `go1.26.8`.
fn new_enough(version: &str) -> bool {
    let mut numbers = version.trim_start_matches("go").split(['.', '-', ' ']).map(|part| part.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= NUMBERS,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_strange_versions_of_go_are_told_apart() {
        assert!(new_enough("go1.26") && new_enough("go1.30.1") && new_enough("go2.0"));
        assert!(!new_enough("go1.25.9") && !new_enough("devel") && !new_enough(""));
    }
}
