//! A folder with a configuration, a zone, and the program.

use causeway_sandbox::cloudflare::{Call, Cloudflare, Options, Record, Token, Zone};
use serde_json::Value as Json;
use std::{path::PathBuf, process::Stdio};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub(crate) const ZONE: &str = "example.com";

/// What a run of the program said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

pub(crate) struct World {
    pub(crate) cloudflare: Cloudflare,
    pub(crate) folder: TempDir,
    pub(crate) token: String,
    /// What the program finds in its environment beside the token.
    pub(crate) env: Vec<(String, String)>,
}

impl World {
    pub(crate) async fn new() -> World {
        let cloudflare = Cloudflare::start(Options::default()).await.unwrap();
        cloudflare.add_zone(Zone::new(ZONE)).unwrap();
        let token = cloudflare.add_token(Token::dns("ci"));
        World { cloudflare, folder: tempfile::tempdir().unwrap(), token, env: vec![] }
    }

    /// The beginning of a configuration: owner, zone, a quick guard and a journal; then `rest`.
    pub(crate) fn configure(&self, rest: &str) {
        self.write("dns-sync.toml", &format!("{}\n[state]\nfolder = \"state\"\n{rest}", self.head()));
    }

    /// As [`World::configure`], and nothing is kept.
    pub(crate) fn configure_without_journal(&self, rest: &str) {
        self.write("dns-sync.toml", &format!("{}\n{rest}", self.head()));
    }

    /// As [`World::configure`], with a zone of another kind: what stands in its table.
    pub(crate) fn configure_at(&self, zone: &str, rest: &str) {
        self.write("dns-sync.toml", &format!("{}\n[state]\nfolder = \"state\"\n{rest}", head(zone)));
    }

    pub(crate) fn head(&self) -> String {
        let api = self.cloudflare.endpoint();
        head(&format!("provider = \"cloudflare\"\ntoken = \"env:CF\"\napi = \"{api}\"\n"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("CF", &self.token)
            .envs(self.env.clone())
            .stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        assert!(!ran.out.contains(&self.token) && !ran.err.contains(&self.token), "the token is told");
        ran
    }

    /// What is in the zone but marks, sorted: `name type value`.
    pub(crate) fn said(&self) -> Vec<String> {
        let records = self.cloudflare.records(ZONE);
        let plain = records.iter().filter(|r| !is_mark(r));
        let mut said: Vec<String> = plain.map(|r| format!("{} {} {}", r.name, r.kind, r.content)).collect();
        said.sort();
        said
    }

    pub(crate) fn marks(&self) -> usize {
        self.cloudflare.records(ZONE).iter().filter(|r| is_mark(r)).count()
    }

    /// The calls that would change something since the last time.
    pub(crate) fn mutations(&self) -> Vec<Call> {
        let mutations = self.cloudflare.mutations();
        self.cloudflare.reset_calls();
        mutations
    }
}

fn head(zone: &str) -> String {
    format!("owner = \"prod\"\n[zones.\"{ZONE}\"]\n{zone}[guard]\npause = 0\nchanges_percent = 100\n")
}

/// Beside the folder of this test. Cargo names it in a variable too, which no shell hands on, as it has a hyphen.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("dns-sync")
}

fn is_mark(record: &Record) -> bool {
    record.kind == "TXT" && record.content.contains("heritage=external-dns")
}
