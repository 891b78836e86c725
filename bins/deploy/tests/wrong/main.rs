//! Wrong configurations and wrong situations: what is said, where, what to do about it, with which exit code, and that
//! nothing was changed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod files;
mod lints;
mod situations;
#[path = "../sandbox/world.rs"]
mod world;

use files::{FILES, RIGHT, Wrong};
use serde_json::{Value as Json, json};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// An address of AWS where somebody counts who comes, and says nothing.
struct Nobody {
    address: String,
    visits: Arc<AtomicUsize>,
}

impl Nobody {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let visits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&visits);
        // Each visitor is counted and sent away; the thread ends with the process.
        std::thread::spawn(move || {
            listener.incoming().for_each(|_| {
                counted.fetch_add(1, Ordering::SeqCst);
            });
        });
        Nobody { address, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// The program in `folder`, with credentials that look right, where AWS is at `endpoint`.
pub(crate) fn deploy(folder: &Path, endpoint: &str, flags: &[&str]) -> Output {
    command(folder, endpoint).args(flags).output().unwrap()
}

pub(crate) fn command(folder: &Path, endpoint: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deploy"));
    command.current_dir(folder).stdin(Stdio::null()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", folder);
    command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("NO_PROXY", "127.0.0.1,localhost").env("EMPTY", "");
    command
}

/// The one document on standard output.
pub(crate) fn document(output: &Output) -> Json {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|e| {
        panic!("{e}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    })
}

/// An image folder of an index that lists `manifests`; parts that are `None` are not written.
fn image(folder: &Path, architectures: &[Option<&str>]) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let name = |n: usize| format!("{n:064}");
    let point = |n: usize, media: &str| json!({ "mediaType": media, "digest": format!("sha256:{}", name(n)), "size": 1 });
    let (manifest, config) =
        ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json");
    for (i, architecture) in architectures.iter().enumerate() {
        let Some(architecture) = architecture else { continue };
        let parts = json!({ "config": point(100 + i, config), "layers": [] });
        fs::write(blobs.join(name(i)), parts.to_string()).unwrap();
        fs::write(blobs.join(name(100 + i)), json!({ "architecture": architecture }).to_string()).unwrap();
    }
    let manifests: Vec<Json> = (0..architectures.len()).map(|i| point(i, manifest)).collect();
    fs::write(folder.join("index.json"), json!({ "manifests": manifests }).to_string()).unwrap();
}

/// A folder with everything that the rows name beside the configuration.
fn desk(row: &Wrong) -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    assert!(RIGHT.contains(row.from), "{}: `{}` is not in the right file", row.what, row.from);
    let text = if row.from.is_empty() { row.to.to_owned() } else { RIGHT.replacen(row.from, row.to, 1) };
    fs::write(desk.path().join("causeway.toml"), text).unwrap();
    fs::write(desk.path().join("empty"), "\n").unwrap();
    image(&desk.path().join("image"), &[Some("amd64")]);
    image(&desk.path().join("two"), &[Some("amd64"), Some("arm64")]);
    image(&desk.path().join("arm"), &[Some("arm64")]);
    image(&desk.path().join("torn"), &[None]);
    fs::create_dir(desk.path().join("other")).unwrap();
    fs::write(desk.path().join("other/index.json"), "{}").unwrap();
    desk
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What is wrong with how `row` is told, if anything.
fn told(row: &Wrong, nobody: &Nobody) -> Result<(), String> {
    let desk = desk(row);
    let before = names(desk.path());
    for flags in [&["plan", "--json"][..], &["apply", "--yes", "--json"]] {
        let output = deploy(desk.path(), &nobody.address, flags);
        if output.status.code() != Some(64) {
            return Err(format!("{flags:?} ends with {}: {:?}", output.status, document(&output)));
        }
        let document = document(&output);
        let mistakes = document["error"]["mistakes"].as_array().cloned().unwrap_or_default();
        let fits = |m: &Json| {
            let has = |field: &str, part: &str| m[field].as_str().is_some_and(|t| t.contains(part));
            m["line"] == row.line && has("message", row.says) && has("help", row.remedy)
        };
        if !mistakes.iter().any(fits) {
            return Err(format!("{flags:?} says {}", serde_json::to_string_pretty(&mistakes).unwrap()));
        }
        // For people there is the place, the words and the way out.
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !said.contains(&format!("causeway.toml:{}:", row.line)) || !said.contains("help: ") {
            return Err(format!("{flags:?} shows people {said}"));
        }
    }
    if names(desk.path()) != before {
        return Err(format!("it left {:?}", names(desk.path())));
    }
    Ok(())
}

#[test]
fn every_wrong_file_is_told_at_its_place_with_its_remedy_and_nobody_is_called() {
    let nobody = Nobody::listen();
    let right =
        desk(&Wrong { what: "nothing", from: "[guard]", to: "[guard]", line: 0, says: "", remedy: "" });
    let output = deploy(right.path(), &nobody.address, &["validate"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let wrong: Vec<String> = FILES
        .iter()
        .filter_map(|row| told(row, &nobody).err().map(|why| format!("{}: {why}", row.what)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), FILES.len(), wrong.join("\n"));
    assert_eq!(nobody.visits(), 0, "somebody was called");
    // The listener does count.
    deploy(right.path(), &nobody.address, &["plan"]);
    assert!(nobody.visits() > 0);
}
