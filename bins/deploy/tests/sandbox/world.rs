//! One account of the local cloud, a folder with a configuration, and the binary between them.
#![allow(dead_code, reason = "every test binary uses another part of it")]

use causeway_sandbox::{
    Sandbox, account,
    gateway::{Call, Rule, RuleId},
    shared,
};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(crate) const EXAMPLE: &str = include_str!("../../../../examples/ecs.toml");
pub(crate) const INVENTORY: &str = include_str!("inventory.py");

pub(crate) struct World {
    folder: TempDir,
    key: String,
    secret: String,
    forgotten: AtomicUsize,
}

/// What a command answered.
pub(crate) struct Answer {
    code: Option<i32>,
    output: String,
    text: String,
    what: String,
}

impl Answer {
    pub(crate) fn exits(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}:\n{}", self.what, self.text);
        self.text
    }

    /// The exit code, and what was told.
    pub(crate) fn code_and_text(self) -> (Option<i32>, String) {
        (self.code, self.text)
    }

    /// Whatever the exit code was.
    pub(crate) fn text(self) -> String {
        self.text
    }

    pub(crate) fn succeeds(self) -> String {
        self.exits(0)
    }

    /// What a command that succeeds writes to standard output: with `--json`, the document.
    pub(crate) fn output(self) -> String {
        let output = self.output.clone();
        self.succeeds();
        output
    }
}

/// A command that runs.
pub(crate) struct Started(Child);

impl Started {
    /// As Ctrl-C does; the exit code.
    pub(crate) fn interrupt(&mut self) -> Option<i32> {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}
impl Started {
    /// Whether it has ended, and with which exit code.
    pub(crate) fn ended(&mut self) -> Option<Option<i32>> {
        self.0.try_wait().unwrap().map(|status| status.code())
    }

    /// The exit code, once it has ended.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}
impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        sandbox().close_account(account::of(&self.key));
    }
}

/// The accounts that were given: tests run side by side.
static TAKEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

fn sandbox() -> &'static Sandbox {
    shared().unwrap_or_else(|e| panic!("no sandbox: {e:?}"))
}

impl World {
    /// An account of its own, with the example as its configuration.
    pub(crate) fn new(number: u64) -> Self {
        let world = World::with(number, EXAMPLE);
        world.image("v2.28.3", "");
        // Coder gets two minutes to migrate its database; a stand-in has nothing to migrate.
        world.edit("count = 1\n", "count = 1\nhealth_check_grace_seconds = 0\n");
        world
    }

    /// An account of its own with this configuration, and no image.
    pub(crate) fn with(number: u64, configuration: &str) -> Self {
        let free = TAKEN.lock().unwrap().insert(number);
        assert!(free, "account {number} is another test's already");
        World::again(number, configuration)
    }

    /// As [`World::with`], in an account that may have been given before.
    pub(crate) fn again(number: u64, configuration: &str) -> Self {
        let (key, secret) = sandbox().credentials(&format!("{number:012}")).unwrap();
        let world = World { folder: TempDir::new().unwrap(), key, secret, forgotten: AtomicUsize::new(0) };
        // Beside the file, where each test has its own, also where it would be in a bucket.
        let folder = match configuration.contains("[eks]") && !configuration.contains("[state]") {
            true => "\n[state]\nfolder = \".causeway\"\n",
            false => "",
        };
        fs::write(world.file(), format!("{configuration}{folder}")).unwrap();
        world
    }

    /// Puts another configuration in place of the one that is there, as it is.
    pub(crate) fn configure(&self, configuration: &str) {
        fs::write(self.file(), configuration).unwrap();
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("causeway.toml")
    }

    /// Puts a file beside the configuration.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Changes the configuration, which must hold `from`.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(from), "the configuration does not hold {from:?}");
        fs::write(self.file(), text.replace(from, to)).unwrap();
    }

    /// Puts another image beside the configuration and names its version there.
    pub(crate) fn image(&self, version: &str, behaviour: &str) {
        write_image(&self.folder.path().join("image"), version, behaviour);
        let text = fs::read_to_string(self.file()).unwrap();
        let line = text.lines().find(|l| l.starts_with("version = \"v")).unwrap().to_owned();
        fs::write(self.file(), text.replace(&line, &format!("version = \"{version}\""))).unwrap();
    }

    pub(crate) fn has_local_journal(&self) -> bool {
        self.folder.path().join(".causeway").exists()
    }

    /// Works with the journal of `other`.
    pub(crate) fn take_journal(&self, other: &World) {
        let folder = |world: &World| world.folder.path().join(".causeway/workshop");
        fs::create_dir_all(folder(self)).unwrap();
        fs::copy(folder(other).join("journal.jsonl"), folder(self).join("journal.jsonl")).unwrap();
    }

    /// The folder that the configuration is in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its access key, for rules of the gateway.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The secret half of it.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// Lets the gateway do `rule` to the calls of this account.
    pub(crate) fn rule(&self, rule: Rule) -> RuleId {
        sandbox().gateway().rules().add(rule.access_key(&self.key))
    }

    /// How many calls a rule holds.
    pub(crate) fn held(&self, rule: RuleId) -> usize {
        sandbox().gateway().rules().held(rule)
    }

    /// How often a rule has acted.
    pub(crate) fn acted(&self, rule: RuleId) -> u64 {
        sandbox().gateway().rules().acted(rule)
    }

    /// Takes a rule away.
    pub(crate) fn unset(&self, rule: RuleId) {
        sandbox().gateway().rules().remove(rule);
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder.path());
        for name in ["PATH", "HOME", "CAUSEWAY_CACHE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // Programs of the test come first.
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.folder.path().join("bin").display()));
        command.envs(sandbox().env());
        command.env("AWS_ACCESS_KEY_ID", &self.key).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        command
    }

    pub(crate) fn deploy(&self, flags: &[&str]) -> Answer {
        let output =
            self.command(env!("CARGO_BIN_EXE_deploy")).args(flags).stdin(Stdio::null()).output().unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|t| String::from_utf8_lossy(&t).into_owned());
        let text = format!("{stdout}{stderr}");
        Answer {
            code: output.status.code(),
            output: stdout,
            text,
            what: format!("deploy {}", flags.join(" ")),
        }
    }

    /// Starts a command and does not wait for it.
    pub(crate) fn start(&self, flags: &[&str]) -> Started {
        let mut command = self.command(env!("CARGO_BIN_EXE_deploy"));
        let command = command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Started(command.spawn().unwrap())
    }

    /// What a command that succeeds prints for programs.
    pub(crate) fn stdout(&self, flags: &[&str]) -> String {
        let mut command = self.command(env!("CARGO_BIN_EXE_deploy"));
        let output = command.args(flags).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts an apply and kills it, with SIGKILL, when it has made `changes` changes.
    pub(crate) fn kill_after(&self, changes: usize, limit: Duration) {
        let mut apply = self.command(env!("CARGO_BIN_EXE_deploy"));
        let mut apply = apply
            .args(["apply", "--yes"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while self.mutations().len() < changes && apply.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < limit, "{changes} changes did not come about");
            std::thread::sleep(Duration::from_millis(10));
        }
        apply.kill().unwrap();
        apply.wait().unwrap();
    }

    pub(crate) fn boto3(&self, script: &str) -> String {
        let mut python = self.command(sandbox().installed().python.to_str().unwrap());
        let output = python.args(["-c", &format!("import boto3\n{script}")]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn inventory(&self) -> Json {
        serde_json::from_str(&self.boto3(INVENTORY)).unwrap()
    }

    /// The revision whose tasks run, and how many there are.
    pub(crate) fn serving(&self) -> Json {
        let script = "import json\n\
            ecs = boto3.client('ecs')\n\
            arns = ecs.list_tasks(cluster='workshop', serviceName='workshop', desiredStatus='RUNNING')['taskArns']\n\
            tasks = ecs.describe_tasks(cluster='workshop', tasks=arns)['tasks'] if arns else []\n\
            print(json.dumps(sorted(t['taskDefinitionArn'] for t in tasks if t['lastStatus'] == 'RUNNING')))";
        serde_json::from_str(&self.boto3(script)).unwrap()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        sandbox().gateway().calls_of(&self.key)
    }

    /// Calls that changed something, since [`World::forget_calls`].
    pub(crate) fn mutations(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|c| c.mutates).skip(self.forgotten.load(Ordering::SeqCst)).collect()
    }

    pub(crate) fn forget_calls(&self) {
        let all = self.calls().iter().filter(|c| c.mutates).count();
        self.forgotten.store(all, Ordering::SeqCst);
    }
}

/// An image in OCI layout, without layers: the sandbox runs none, and reads how to behave from the labels.
pub(crate) fn write_image(folder: &Path, version: &str, behaviour: &str) {
    let blobs = folder.join("blobs/sha256");
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(&blobs).unwrap();
    let put = |json: &Json, media: &str| {
        let bytes = json.to_string().into_bytes();
        let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        fs::write(blobs.join(&digest), &bytes).unwrap();
        json!({ "mediaType": media, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let labels = json!({ "org.opencontainers.image.version": version, "causeway.behaviour": behaviour });
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Labels": labels },
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    let config = put(&config, "application/vnd.oci.image.config.v1+json");
    let media = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({ "schemaVersion": 2, "mediaType": media, "config": config, "layers": [] });
    let manifest = put(&manifest, media);
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}
