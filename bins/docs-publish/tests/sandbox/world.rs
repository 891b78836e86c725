//! A folder, an account with a site in it, the program, and a visitor.

use crate::site::{self, Lacks, Site};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use causeway_sandbox::{
    Sandbox,
    gateway::{Call, Pending},
};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    io::Read,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// What a run of the program said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn result(&self) -> Json {
        let document: Json = serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"));
        document["result"].clone()
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let said = format!("{}{}", self.out, self.err);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(text), "`{text}` is not in {self:#?}");
        self
    }
}

/// What a visitor sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    /// As text, decompressed.
    pub(crate) body: String,
    /// As it came.
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) sandbox: &'static Sandbox,
    pub(crate) config: SdkConfig,
    pub(crate) key: String,
    pub(crate) site: Site,
    pub(crate) folder: TempDir,
    secret: String,
    /// The calls that were seen so far.
    looked: AtomicUsize,
}

impl World {
    /// In an account of its own: `n` is used once.
    pub(crate) async fn new(n: u16) -> World {
        World::with(n, Lacks::Nothing).await
    }

    pub(crate) async fn with(n: u16, lacks: Lacks) -> World {
        World::made(n, lacks, Pending::default()).await
    }

    /// Where things pend for so long; but what visitors see is looked at right after it is written.
    pub(crate) async fn made(n: u16, lacks: Lacks, pending: Pending) -> World {
        let sandbox = causeway_sandbox::shared().unwrap();
        let (key, secret) = sandbox.credentials(&format!("0000008{n:05}")).unwrap();
        let pending = Pending { key_value_store: Duration::ZERO, ..pending };
        sandbox.gateway().set_pending_of(&key, pending);
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(sandbox.endpoint())
            .credentials_provider(Credentials::new(&key, &secret, None, None, "sandbox"))
            .region(Region::new("us-east-1"))
            .load()
            .await;
        let site = site::make(&config, &format!("docs-{n}"), lacks).await;
        let folder = tempfile::tempdir().unwrap();
        World { sandbox, config, key, site, folder, secret, looked: AtomicUsize::new(0) }
    }

    /// Writes a file of the site.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("site").join(path)
    }

    /// A site of a few pages with hashed files, as Next.js writes it.
    pub(crate) fn write_site(&self, version: &str) {
        let page = |name: &str| {
            format!(
                "<!doctype html><title>{name}</title><link rel=stylesheet href=/style.css>\
                 <script src=/_next/static/{version}.js></script><a href=/guide/>guide</a><p>{name} {version}"
            )
        };
        self.write("index.html", page("home"));
        self.write("guide/index.html", page("guide"));
        self.write("404.html", page("nothing"));
        self.write("style.css", format!("/* {version} */"));
        self.write("logo.svg", "<svg/>");
        self.write(&format!("_next/static/{version}.js"), format!("// {version}"));
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("AWS_ACCESS_KEY_ID", &self.key).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        command.env("AWS_ENDPOINT_URL", self.sandbox.endpoint()).env("AWS_REGION", "us-east-1");
        command.env("CAUSEWAY_EDGE_URL", format!("http://{}", self.sandbox.edge().address()));
        command.env("NO_PROXY", "127.0.0.1,localhost").env("AWS_EC2_METADATA_DISABLED", "true");
        if !arguments.iter().any(|a| a.starts_with("--site") || a.starts_with("--distribution")) {
            command.args(["--distribution", &self.site.distribution]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Publishes the folder, and says what was done.
    pub(crate) async fn publish(&self) -> Json {
        self.run(&["publish", "site", "--json"]).await.ends_with(0).result()
    }

    /// What a visitor gets at `path`.
    pub(crate) async fn visit(&self, path: &str) -> Seen {
        self.visit_with(path, &[]).await
    }

    pub(crate) async fn visit_with(&self, path: &str, headers: &[(&str, &str)]) -> Seen {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let url = format!("http://{}{path}", self.sandbox.edge().address());
        let mut request = client.get(url).header("host", &self.site.domain);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap_or_default().to_owned())
        };
        let headers: BTreeMap<String, String> = answer.headers().iter().map(header).collect();
        let bytes = answer.bytes().await.unwrap().to_vec();
        let body = plain(&bytes, headers.get("content-encoding").map_or("", String::as_str));
        Seen { status, headers, body, bytes }
    }

    /// The calls of this account since the last look, in the order of their ends.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let all: Vec<Call> = self.sandbox.gateway().calls_of(&self.key);
        let before = self.looked.swap(all.len(), Ordering::Relaxed);
        all[before..].to_vec()
    }

    /// Those of them that change something, by name, counted.
    pub(crate) fn changes(&self) -> BTreeMap<String, usize> {
        let mut counted = BTreeMap::new();
        for call in self.calls().iter().filter(|call| call.mutates) {
            *counted.entry(call.name()).or_default() += 1;
        }
        counted
    }

    pub(crate) fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(true).build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// All keys of the bucket.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let mut pages = self.s3().list_objects_v2().bucket(&self.site.bucket).into_paginator().send();
        let mut keys = vec![];
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents.unwrap_or_default().into_iter().filter_map(|o| o.key));
        }
        keys
    }

    /// The files of the bucket, with their releases called by their order.
    pub(crate) async fn remove_object(&self, key: &str) {
        self.s3().delete_object().bucket(&self.site.bucket).key(key).send().await.unwrap();
    }
}

/// What an answer holds, as text.
fn plain(bytes: &[u8], encoding: &str) -> String {
    let mut plain = Vec::new();
    let mut reader: Box<dyn Read> = match encoding {
        // A 304 says how it would be.
        _ if bytes.is_empty() => Box::new(bytes),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "" => Box::new(bytes),
        other => panic!("{other}"),
    };
    reader.read_to_end(&mut plain).unwrap();
    String::from_utf8_lossy(&plain).into_owned()
}

/// Beside the folder of this test. Cargo names it in a variable too, which no shell hands on, as it has a hyphen.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("docs-publish")
}
