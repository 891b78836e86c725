//! The programs of ours that run beside the emulators, written into the run folder.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(crate) const SUPERVISE: &str = include_str!("programs/supervise.py");
const CONTAINER: &str = include_str!("programs/container");
const CONTAINER_PY: &str = include_str!("programs/container.py");
const CODER_PY: &str = include_str!("programs/coder.py");
const MOTO_SERVER_PY: &str = include_str!("programs/moto_server.py");

/// Writes them into `folder`, which must exist. `container` is the stand-in for the docker program.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("supervise.py"), SUPERVISE)?;
    fs::write(folder.join("container.py"), CONTAINER_PY)?;
    fs::write(folder.join("coder.py"), CODER_PY)?;
    fs::write(folder.join("moto_server.py"), MOTO_SERVER_PY)?;
    fs::write(folder.join("container"), CONTAINER)?;
    fs::set_permissions(folder.join("container"), fs::Permissions::from_mode(0o755))
}
