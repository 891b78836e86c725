//! The definitions of custom resources that clusters of the sandbox take, in a folder by the address that they are published
//! at: `https://host/path` is `host/path` in it.
//!
//! They are upstream's own, out of the Go modules of the same tags. Only those of the AWS load balancer controller are a
//! stand-in, which takes any field.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::cache::{Cache, Lock};
use crate::go::{self, go};
use crate::install::{Error, complete, io, is_complete, make, remove};

/// A module on GitHub, its version, and the folder of the definitions in it.
const MODULES: [(&str, &str, &str); 3] = [
    ("cert-manager/cert-manager", "v1.18.2", "deploy/crds"),
    ("aws/karpenter-provider-aws", "v1.14.3", "pkg/apis/crds"),
    ("prometheus-operator/prometheus-operator", "v0.85.0", "example/prometheus-operator-crd"),
];

const STAND_IN: (&str, &str) = (
    "kubernetes-sigs/aws-load-balancer-controller/v2.13.2/helm/aws-load-balancer-controller/crds/crds.yaml",
    include_str!("../../kubernetes/definitions/load-balancer-controller.yaml"),
);

const HOST: &str = "raw.githubusercontent.com";
/// Changes with what is in the folder.
const FOLDER: &str = "definitions-1";
const STEP: &str = "fetch the definitions of custom resources";

/// The folder, made if it is not there. Blocks: seconds, as Go fetches the modules.
///
/// # Errors
///
/// [`Error`]: there is no Go, or it could not fetch a module.
pub fn definitions(cache: &Cache) -> Result<PathBuf, Error> {
    let place = cache.root().join(FOLDER);
    if is_complete(&place) {
        return Ok(place);
    }
    go::check()?;
    make(cache.root())?;
    let lock = cache.root().join("install.lock");
    let _lock = Lock::wait(&lock).map_err(io("lock", &lock))?;
    if is_complete(&place) {
        return Ok(place);
    }
    let made = cache.root().join("staging-definitions");
    remove(&made)?;
    make(&made)?;
    for (module, version, folder) in MODULES {
        let to = made.join(HOST).join(module).join(version).join(folder);
        make(&to)?;
        unpack(&fetched(&made, module, version)?, &format!("github.com/{module}@{version}/{folder}/"), &to)?;
    }
    let file = made.join(HOST).join(STAND_IN.0);
    make(file.parent().unwrap_or(&made))?;
    fs::write(&file, STAND_IN.1).map_err(io("write", &file))?;
    complete(&made, &place)?;
    Ok(place)
}

/// The archive of a module as Go keeps it, after its checksum database vouched for it. The module itself it does not unpack
/// where it needs a newer Go to be built.
fn fetched(within: &Path, module: &str, version: &str) -> Result<PathBuf, Error> {
    let mut command = go(within);
    command.args(["mod", "download", "-json"]).arg(format!("github.com/{module}@{version}"));
    let output = command.output().map_err(io("start", Path::new("go")))?;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let unsaid = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    said["Zip"].as_str().map(PathBuf::from).ok_or_else(|| Error::Step {
        step: STEP,
        command: format!("go mod download github.com/{module}@{version}"),
        status: output.status,
        output: said["Error"].as_str().map_or_else(unsaid, str::to_owned),
    })
}

/// Of all files of an archive that begin with `prefix` and are YAML.
const UNPACK: &str = "import pathlib, sys, zipfile
archive, prefix, to = zipfile.ZipFile(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
for name in archive.namelist():
    if name.startswith(prefix) and name.endswith('.yaml'):
        (to / pathlib.PurePosixPath(name).name).write_bytes(archive.read(name))";

fn unpack(archive: &Path, prefix: &str, to: &Path) -> Result<(), Error> {
    let mut command = Command::new("python3");
    command.args(["-I", "-c", UNPACK]).arg(archive).arg(prefix).arg(to);
    let output = command.output().map_err(io("start", Path::new("python3")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::Step {
            step: STEP,
            command: format!("unpacking {}", archive.display()),
            status: output.status,
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}
