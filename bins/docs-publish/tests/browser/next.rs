//! A static export of Next.js, built once for each way to spell its pages and kept in the sandbox's cache.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/next");
/// What Next.js needs.
const NODE: (u32, u32) = (20, 9);

/// The exports: with `trailingSlash`, and without. The error says why there are none.
pub(crate) fn exports() -> Result<[PathBuf; 2], String> {
    let version =
        Command::new("node").arg("--version").output().map_err(|_| "there is no node".to_owned())?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let mut numbers = version.trim_start_matches('v').split('.').map_while(|number| number.parse().ok());
    if numbers.next().zip(numbers.next()) < Some(NODE) {
        return Err(format!("node {version} is older than {}.{}", NODE.0, NODE.1));
    }
    let cache = causeway_sandbox::cache::Cache::find().ok_or("there is no cache folder")?;
    let source = files(Path::new(SOURCE)).map_err(|error| format!("{SOURCE}: {error}"))?;
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let folder = cache.root().join("next").join(format!("{:016x}", hasher.finish()));
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    // One at a time; who comes later finds it done.
    let lock = fs::File::create(folder.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let exports = ["true", "false"].map(|slash| folder.join(format!("export-{slash}")));
    if exports.iter().all(|export| export.exists()) {
        return Ok(exports);
    }
    for (path, content) in &source {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(failed)?;
        fs::write(path, content).map_err(failed)?;
    }
    run(&folder, &["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], "")?;
    for (export, slash) in exports.iter().zip(["true", "false"]) {
        run(&folder, &["npx", "next", "build"], slash)?;
        let _ = fs::remove_dir_all(export);
        fs::rename(folder.join("out"), export).map_err(failed)?;
    }
    // Large, and done with.
    for done in ["node_modules", ".next"] {
        fs::remove_dir_all(folder.join(done)).map_err(failed)?;
    }
    Ok(exports)
}

fn run(folder: &Path, command: &[&str], slash: &str) -> Result<(), String> {
    let output = Command::new(command[0])
        .args(&command[1..])
        .current_dir(folder)
        .env("TRAILING_SLASH", slash)
        .env("NEXT_TELEMETRY_DISABLED", "1")
        .output()
        .map_err(|error| format!("{}: {error}", command.join(" ")))?;
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{}: {}\n{}", command.join(" "), output.status, String::from_utf8_lossy(&said)))
    }
}

/// All files of the source, by path.
fn files(folder: &Path) -> std::io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut all = Vec::new();
    let mut left = vec![PathBuf::new()];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(folder.join(&at))? {
            let entry = entry?;
            let path = at.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                left.push(path);
            } else {
                all.push((path, fs::read(entry.path())?));
            }
        }
    }
    all.sort();
    Ok(all)
}
