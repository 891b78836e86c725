//! `update` and `vendor` against a real registry: that of ECR in the sandbox, as a mirror of all others.

use crate::world::World;
use causeway_aws::ecr::Layout;
use causeway_sandbox::{cache::Cache, kubernetes::definitions, shared};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Output,
};

const ONE_REGION: &str = include_str!("../../../../examples/single-region.toml");
const PUSH: &str = include_str!("push.py");
const IMAGES: [(&str, &str); 9] = [
    ("jetstack/cert-manager-controller", "v1.18.2"),
    ("jetstack/cert-manager-webhook", "v1.18.2"),
    ("jetstack/cert-manager-cainjector", "v1.18.2"),
    ("jetstack/cert-manager-acmesolver", "v1.18.2"),
    ("eks/aws-load-balancer-controller", "v2.13.2"),
    ("karpenter/controller", "1.14.3"),
    ("coder/coder", "v2.28.3"),
    ("coder/coder-logstream-kube", "v0.0.11"),
    ("berriai/litellm-non_root", "v1.83.0-stable"),
];

struct Desk {
    world: World,
    registry: String,
}

impl Desk {
    fn new(account: u64) -> Self {
        let world = World::with(account, ONE_REGION);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sandbox = shared().unwrap();
        let account = format!("{account:012}");
        let registry = runtime.block_on(sandbox.fakecloud(&account, "us-east-1")).unwrap();
        let desk = Desk { world, registry: registry.trim_start_matches("http://").to_owned() };
        for (name, tag) in IMAGES {
            desk.push(name, tag, "");
        }
        let registry = &desk.registry;
        let published = publish(&definitions(&Cache::find().unwrap()).unwrap());
        let mirrors = format!(
            "format = 1\n[mirrors]\n\"quay.io\" = \"{registry}\"\n\"public.ecr.aws\" = \"{registry}\"\n\
             \"ghcr.io\" = \"{registry}\"\n\"raw.githubusercontent.com\" = \"{published}/raw.githubusercontent.com\"\n"
        );
        desk.world.write("causeway.lock", &mirrors);
        desk.world
            .write("auth.json", &format!(r#"{{"auths": {{"{registry}": {{"auth": "QVdTOmNhbmFyeQ=="}}}}}}"#));
        desk
    }

    /// Puts an image for two processors there, and answers with its digest.
    fn push(&self, name: &str, tag: &str, more: &str) -> String {
        let script = format!(
            "import sys\nsys.argv = ['', 'http://{}', '{name}', '{tag}', '{more}']\n{PUSH}",
            self.registry
        );
        self.world.boto3(&script).trim().to_owned()
    }

    /// As somebody who is logged in.
    fn run(&self, flags: &[&str]) -> Output {
        let mut command = self.world.command(env!("CARGO_BIN_EXE_deploy"));
        command.env("REGISTRY_AUTH_FILE", self.world.folder().join("auth.json"));
        command.args(flags).output().unwrap()
    }

    /// What it said, after it ended with this code.
    fn ends(&self, code: i32, flags: &[&str]) -> String {
        let output = self.run(flags);
        let text = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {text}");
        assert!(!text.contains("canary"), "a password was told: {text}");
        text
    }

    fn json(&self, flags: &[&str]) -> Json {
        let output = self.run(&[flags, &["--json"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice::<Json>(&output.stdout).unwrap()["result"].take()
    }

    fn lock(&self) -> String {
        fs::read_to_string(self.world.folder().join("causeway.lock")).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Serves the files of a folder, one connection after the other.
fn publish(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (name, folder) = (listener.local_addr().unwrap().to_string(), folder.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let first = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let path = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let (status, body) = match fs::read(folder.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", vec![]),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // Who has gone does not want it.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    name
}

#[test]
fn versions_are_pinned_moved_and_fetched() {
    let desk = Desk::new(71);
    let before = desk.lock();

    assert!(desk.ends(0, &["plan"]).contains("until `deploy update` pins them: cert-manager-controller, "));
    // Nothing is pinned, and nothing that is not pinned is kept for later.
    let said = desk.ends(64, &["vendor", "out"]);
    assert!(
        said.contains("has no digest for cert-manager-controller") && said.contains("`deploy update`"),
        "{said}"
    );
    assert!(!desk.world.folder().join("out").exists());

    let said = desk.ends(2, &["update", "--check"]);
    assert!(said.contains("+ karpenter") && said.contains("is as it was"), "{said}");
    assert_eq!(desk.lock(), before);
    // A stranger is told what to do.
    let stranger = desk.world.deploy(&["update"]).exits(69);
    assert!(stranger.contains("401 Unauthorized") && stranger.contains("docker login"), "{stranger}");
    assert_eq!(stranger.matches("docker login").count(), 1, "{stranger}");
    assert_eq!(desk.lock(), before);

    let said = desk.ends(0, &["update"]);
    assert!(said.contains("+ definitions of load-balancer-controller"), "{said}");
    let karpenter = desk.push("karpenter/controller", "1.14.3", "");
    let pinned = desk.lock();
    for line in [
        "[images.karpenter]\nversion = \"1.14.3\"\nimage = \"public.ecr.aws/karpenter/controller\"\n",
        &format!("digest = \"{karpenter}\""),
        &format!("\"ghcr.io\" = \"{}\"", desk.registry),
    ] {
        assert!(pinned.contains(line), "{line}: {pinned}");
    }
    assert_eq!(pinned.matches("\ndigest = ").count(), IMAGES.len());
    assert!(desk.ends(0, &["update", "--check"]).contains("nothing moves"));

    // What is planned is what is pinned, from where it is got.
    let planned = desk.ends(0, &["plan", "--json"]);
    let image = format!("{}/karpenter/controller:1.14.3@{karpenter}", desk.registry);
    assert!(planned.contains(&image), "the plan has no {image}");
    assert!(!planned.contains("named by tag"));
    desk.world.write("causeway.lock", &pinned.replace("1.14.3", "1.14.2"));
    let said = desk.ends(64, &["plan"]);
    assert!(said.contains("has `karpenter` 1.14.2") && said.contains("`deploy update` moves it"), "{said}");
    let said = desk.ends(0, &["update", "karpenter"]);
    assert!(said.contains("~ karpenter  1.14.2 -> 1.14.3"), "{said}");
    assert_eq!(desk.lock(), pinned);

    // Somebody pushes something else under a tag; another version of something that people choose.
    let moved = desk.push("coder/coder", "v2.28.3", "else");
    let said = desk.ends(2, &["update", "--check"]);
    assert!(said.contains("~ coder") && said.contains("the tag was moved"), "{said}");
    let chosen = desk.push("coder/coder", "v2.30.0", "newer");
    let result = desk.json(&["update", "coder", "--version", "v2.30.0"]);
    assert_eq!(result["moves"].as_array().unwrap().len(), 1, "{result}");
    assert_eq!(result["moves"][0]["to"]["digest"], chosen.as_str());
    assert_ne!(moved, chosen);
    assert_eq!(result["written"], true);
    // It stays at what was chosen.
    assert!(desk.ends(0, &["update"]).contains("nothing moves"));

    // What one registry does not have keeps everything as it was.
    let now = desk.lock();
    desk.push("eks/aws-load-balancer-controller", "v2.13.2", "else");
    desk.world.boto3(
        "boto3.client('ecr', region_name='us-east-1').delete_repository(repositoryName='karpenter/controller', force=True)",
    );
    let said = desk.ends(69, &["update"]);
    assert!(
        said.contains("`karpenter`: ")
            && said.contains("does not have the image karpenter/controller:1.14.3"),
        "{said}"
    );
    assert_eq!(desk.lock(), now);
    // What is not asked for does not matter.
    desk.ends(0, &["update", "load-balancer-controller"]);
    assert_ne!(desk.lock(), now);
}

#[test]
fn what_is_vendored_is_whole_and_of_the_right_digests() {
    let desk = Desk::new(72);
    // The login is with a credential helper, as with that of ECR.
    let helper = desk.world.folder().join("bin/docker-credential-canary");
    fs::create_dir(helper.parent().unwrap()).unwrap();
    let answer = r#"{"ServerURL":"","Username":"AWS","Secret":"canary"}"#;
    fs::write(
        &helper,
        format!("#!/bin/sh\n[ \"$1 $(cat)\" = 'get {}' ] && echo '{answer}'\n", desk.registry),
    )
    .unwrap();
    fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    desk.world.write("auth.json", &format!(r#"{{"credHelpers": {{"{}": "canary"}}}}"#, desk.registry));
    desk.ends(0, &["update"]);
    let first = desk.json(&["vendor", "out"]);
    let out = desk.world.folder().join("out");
    let index: Json = serde_json::from_slice(&fs::read(out.join("index.json")).unwrap()).unwrap();
    assert_eq!(first["vendored"], index);
    assert_eq!(index["images"].as_array().unwrap().len(), IMAGES.len());
    for image in index["images"].as_array().unwrap() {
        let folder = out.join(image["path"].as_str().unwrap());
        let layout = Layout::open(&folder).unwrap();
        assert_eq!(layout.digest(), image["digest"]);
        assert_eq!(layout.architectures().unwrap(), ["amd64", "arm64"]);
        for blob in fs::read_dir(folder.join("blobs/sha256")).unwrap() {
            let blob = blob.unwrap();
            let digest = Sha256::digest(fs::read(blob.path()).unwrap());
            assert_eq!(blob.file_name().to_str().unwrap(), hex::encode(digest));
        }
    }
    let files = index["definitions"].as_array().unwrap();
    assert_eq!(files.len(), 12);
    for file in files {
        let bytes = fs::read(out.join(file["path"].as_str().unwrap())).unwrap();
        assert_eq!(file["sha256"], hex::encode(Sha256::digest(bytes)).as_str());
        assert_eq!(file["path"], file["url"].as_str().unwrap().replace("https://", "definitions/"));
    }

    // The second time nothing comes; then only what is not there.
    assert_eq!(desk.json(&["vendor", "out"])["came"], 0);
    let karpenter = out.join("images/karpenter");
    fs::remove_dir_all(&karpenter).unwrap();
    let came = desk.json(&["vendor", "out"]);
    assert_eq!(
        came["came"],
        index["images"].as_array().unwrap().iter().find(|i| i["name"] == "karpenter").unwrap()["size"]
    );
    Layout::open(&karpenter).unwrap();

    desk.ends(0, &["vendor", "small", "--no-images"]);
    assert!(!desk.world.folder().join("small/images").exists());

    // A digest that nobody has.
    let lock = desk.lock();
    let digest = Layout::open(&karpenter).unwrap().digest().to_owned();
    desk.world.write("causeway.lock", &lock.replace(&digest, &format!("sha256:{}", "0".repeat(64))));
    let said = desk.ends(69, &["vendor", "out"]);
    assert!(
        said.contains("cannot fetch `karpenter`")
            && said.contains("does not have the image karpenter/controller@sha256:000"),
        "{said}"
    );
}
