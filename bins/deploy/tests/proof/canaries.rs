//! Canaries: a secret nobody would write by chance in every place that takes one, and then a look at everything that the
//! program said and left behind.

use crate::world::World;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use causeway_sandbox::gateway::{Act, Rule};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// The part of each secret that is looked for. What stands around it is what escapes and encodings trip over.
const CANARIES: [(&str, &str); 6] = [
    ("env", "Envcanary7q3xW0mPzR5tK"),
    ("file", "Filecanary8s2yV1nQaS6u"),
    ("aws", "Awscanary9r4zU2oRbT7vL"),
    ("key", "Keycanary0t5aT3pScU8wM"),
    ("session", "Sessioncanary1u6bS4qTd"),
    ("unused", "Unusedcanary2v7cR5rUeV"),
];

fn canary(name: &str) -> &'static str {
    CANARIES.iter().find(|(n, _)| *n == name).unwrap().1
}

/// A secret with the characters that JSON, URLs and shells write otherwise.
fn secret(name: &str) -> String {
    format!("a/b+c\"d&{}%e f", canary(name))
}

/// Everything that `text` may have been written as.
fn forms(text: &str) -> Vec<String> {
    let hex = hex::encode(text);
    let percent: String = text.bytes().map(|b| format!("%{b:02x}")).collect();
    let reversed = text.chars().rev().collect();
    let mut forms = vec![text.to_owned(), hex.to_uppercase(), hex, percent.to_uppercase(), percent, reversed];
    // In Base64 a text looks threefold, by where it stands; the ends depend on what is around it.
    for before in 0..3 {
        let bytes = [&vec![0; before], text.as_bytes()].concat();
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&bytes);
            let first = (before * 8).div_ceil(6);
            let last = bytes.len() * 8 / 6;
            forms.push(encoded[first..last].to_owned());
        }
    }
    forms
}

/// Where a form of a canary stands in `bytes`, if any does.
fn found(bytes: &[u8], canaries: &BTreeMap<String, String>) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    canaries.iter().find_map(|(name, canary)| {
        let form = forms(canary).into_iter().find(|form| text.contains(form.as_str()))?;
        let at = text.find(&form)?;
        let around: String =
            text[..at].chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
        Some(format!("the secret `{name}` after: {around}"))
    })
}

/// All files below `folder`.
fn files(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path(), out),
            false => out.push(entry.path()),
        }
    }
}

/// A world with a canary in every place that takes a secret, and all that was said in it.
struct Aviary {
    world: World,
    canaries: BTreeMap<String, String>,
    leaks: Vec<String>,
    said: usize,
    runs: BTreeMap<String, Option<i32>>,
}

impl Aviary {
    fn new(number: u64) -> Self {
        let world = World::new(number);
        let script = format!(
            "import json; print(boto3.client('secretsmanager').create_secret(Name='theirs', SecretString=json.dumps({{'key': {:?}}}))['ARN'])",
            secret("aws")
        );
        let arn = world.boto3(&script).trim().to_owned();
        fs::write(world.folder().join("secret"), secret("file")).unwrap();
        let secrets = format!(
            "[ecs.secrets]\nCODER_OIDC_CLIENT_SECRET = \"env:OIDC\"\n\
             CODER_OAUTH2_GITHUB_CLIENT_SECRET = \"file:secret\"\n\
             CODER_EXTERNAL_TOKEN_ENCRYPTION_KEYS = \"aws-secret:{arn}#key\"\n\n[ecs.environment]"
        );
        world.edit("[ecs.environment]", &secrets);
        let canaries = CANARIES.iter().map(|(n, c)| ((*n).to_owned(), (*c).to_owned())).collect();
        Aviary { world, canaries, leaks: vec![], said: 0, runs: BTreeMap::new() }
    }

    fn command(&self) -> Command {
        let mut command = self.world.command(env!("CARGO_BIN_EXE_deploy"));
        command.env("OIDC", secret("env")).env("AWS_SECRET_ACCESS_KEY", canary("key"));
        command.env("AWS_SESSION_TOKEN", canary("session")).env("RUST_BACKTRACE", "full");
        // Something else in the environment is nobody's business either.
        command.env("SOMEBODYS_TOKEN", secret("unused")).stdin(Stdio::null());
        command
    }

    /// Runs the program and looks at what it says. One that does not end by itself is ended.
    fn run(&mut self, flags: &[&str]) -> Output {
        let output = self.start(flags);
        self.hear(flags, &output);
        output
    }

    fn start(&self, flags: &[&str]) -> Output {
        let child = self.command().args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        ended(child, Duration::from_secs(120))
    }

    fn hear(&mut self, flags: &[&str], output: &Output) {
        let what = format!("deploy {}", flags.join(" "));
        for bytes in [&output.stdout, &output.stderr] {
            self.said += bytes.len();
            self.leaks.extend(found(bytes, &self.canaries).map(|leak| format!("{what} shows {leak}")));
        }
        self.runs.insert(what, output.status.code());
    }

    /// In the ways of being told that every command has. Only one of them may change anything at a time.
    fn every_way(&mut self, flags: &[&str]) {
        let ways = [&[][..], &["--json"], &["-vv"]].map(|way| [flags, way].concat());
        let outputs: Vec<Output> = match flags.contains(&"--yes") {
            true => ways.iter().map(|way| self.start(way)).collect(),
            false => std::thread::scope(|scope| {
                let runs: Vec<_> = ways.iter().map(|way| scope.spawn(|| self.start(way))).collect();
                runs.into_iter().map(|run| run.join().unwrap()).collect()
            }),
        };
        ways.iter().zip(&outputs).for_each(|(way, output)| self.hear(way, output));
    }

    /// The secrets that were made up, as Secrets Manager has them now.
    fn take_in(&mut self) {
        let script = "import json\n\
            client = boto3.client('secretsmanager')\n\
            names = [s['Name'] for s in client.list_secrets()['SecretList']]\n\
            print(json.dumps({n: client.get_secret_value(SecretId=n)['SecretString'] for n in names if n != 'theirs'}))";
        let all: BTreeMap<String, String> = serde_json::from_str(&self.world.boto3(script)).unwrap();
        let password = all.get("workshop/database-password").unwrap_or_else(|| panic!("{:?}", all.keys()));
        assert!(password.len() >= 16, "a password is worth looking for");
        self.canaries.insert("database-password".into(), password.clone());
        let token = "import base64; t = boto3.client('ecr').get_authorization_token()['authorizationData'][0]; \
                     print(base64.b64decode(t['authorizationToken']).decode().split(':', 1)[1])";
        let token = self.world.boto3(token).trim().to_owned();
        // A token that is short would be found by chance.
        if token.len() >= 12 {
            self.canaries.insert("registry-token".into(), token);
        }
    }

    /// Looks at every file that is left in the folder.
    fn look_around(&mut self) {
        let mut all = vec![];
        files(self.world.folder(), &mut all);
        let journals = all.iter().filter(|p| p.ends_with("journal.jsonl")).count();
        assert_eq!(journals, 1, "{all:?}");
        for path in all.iter().filter(|p| !p.ends_with("secret")) {
            let leak = found(&fs::read(path).unwrap(), &self.canaries);
            self.leaks.extend(leak.map(|leak| format!("{} holds {leak}", path.display())));
        }
    }
}

fn ended(mut child: Child, limit: Duration) -> Output {
    let begun = Instant::now();
    // Taken by threads, as a full pipe would hold the program up.
    let streams: [Box<dyn std::io::Read + Send>; 2] =
        [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    let [out, err] = streams.map(|mut stream| {
        std::thread::spawn(move || {
            let mut bytes = vec![];
            stream.read_to_end(&mut bytes).unwrap();
            bytes
        })
    });
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > limit {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Output { status, stdout: out.join().unwrap(), stderr: err.join().unwrap() }
}

/// The commands that `--help` names.
fn commands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    lines
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next().map(str::to_owned))
        .collect()
}

/// What is asked of each command when everything is deployed. One that is not here is run as it is.
const ASKED: [(&str, &[&[&str]]); 11] = [
    (
        "plan",
        &[
            &[],
            &["--detail"],
            &["--markdown"],
            &["--output", "later.json"],
            &["--only", "app"],
            &["--html", "plan.html"],
        ],
    ),
    ("apply", &[&["--yes", "--html", "apply.html"], &["--yes"], &["plan.json", "--yes"]]),
    ("destroy", &[&["--yes"]]),
    ("why", &[&["app/task"], &["database/url"], &["app/secrets/CODER_OIDC_CLIENT_SECRET"]]),
    ("graph", &[&[], &["--plan"], &["--format", "mermaid", "--plan"]]),
    (
        "state",
        &[
            &["list"],
            &["show", "database/password"],
            &["show", "database/url"],
            &["show", "app/task"],
            &["show", "app/secrets/CODER_OIDC_CLIENT_SECRET"],
        ],
    ),
    ("diff", &[&["@0"], &["@0", "@40"]]),
    ("blame", &[&["app/secrets/CODER_OIDC_CLIENT_SECRET.value"], &["database/instance#address"]]),
    ("schema", &[&["config"], &["output"]]),
    ("completions", &[&["bash"]]),
    // Of the machine and not of the stack.
    ("sandbox", &[&["status"]]),
];

#[test]
fn no_secret_is_shown_or_kept_anywhere() {
    let mut aviary = Aviary::new(1);
    let help = aviary.run(&["--help"]);
    let commands = commands(&String::from_utf8_lossy(&help.stdout));
    assert!(commands.len() >= 15, "{commands:?}");
    // Before there is anything, and with failures of all kinds.
    aviary.every_way(&["init", "-f", "other.toml"]);
    aviary.every_way(&["validate"]);
    aviary.every_way(&["plan", "--detail"]);
    for (operation, act) in [
        ("secretsmanager:CreateSecret", Act::Denied),
        ("secretsmanager:*", Act::CutBefore),
        ("rds:CreateDBInstance", Act::Quota),
    ] {
        let rule = aviary.world.rule(Rule::new(operation, act).changes());
        let output = aviary.run(&[
            "apply",
            "--yes",
            "-vv",
            "--only",
            "network/*",
            "--only",
            "security/*",
            "--only",
            "database/*",
            "--only",
            "app/secrets/*",
        ]);
        assert_eq!(output.status.code(), Some(100), "{}", String::from_utf8_lossy(&output.stderr));
        aviary.world.unset(rule);
    }
    let mine = aviary.run(&["apply", "--yes", "-vv"]);
    assert_eq!(mine.status.code(), Some(0), "{}", String::from_utf8_lossy(&mine.stderr));
    aviary.take_in();
    // An image that fails brings the program's own log lines along.
    aviary.world.image("v3.0.0", "crash");
    assert_eq!(aviary.run(&["apply", "--yes"]).status.code(), Some(100));
    aviary.world.image("v2.28.3", "");
    assert_eq!(aviary.run(&["apply", "--yes", "--json"]).status.code(), Some(0));
    // A secret that changes is in the plan, and its value is not.
    fs::write(aviary.world.folder().join("secret"), format!("{}2", secret("file"))).unwrap();
    let saved = aviary.run(&["plan", "--output", "plan.json"]);
    assert!(
        String::from_utf8_lossy(&saved.stdout).contains("CODER_OAUTH2_GITHUB_CLIENT_SECRET"),
        "{saved:?}"
    );
    for command in &commands {
        match ASKED.iter().find(|(name, _)| name == command) {
            Some((_, all)) => {
                for flags in *all {
                    aviary.every_way(&[&[command.as_str()], *flags].concat());
                }
            }
            None => aviary.every_way(&[command.as_str()]),
        }
    }
    // A secret that somebody wrote down is in the file, and nowhere else.
    let written = format!("\"{}\"", canary("unused"));
    aviary.world.edit("\"env:OIDC\"", &written);
    aviary.every_way(&["validate"]);
    aviary.every_way(&["plan"]);
    aviary.world.edit(&written, "\"env:OIDC\"");
    aviary.look_around();
    assert!(aviary.leaks.is_empty(), "{} leaks:\n{}", aviary.leaks.len(), aviary.leaks.join("\n\n"));
    // Enough was looked at for that to mean something.
    println!("{} runs, {} bytes, {:?}", aviary.runs.len(), aviary.said, aviary.runs);
    assert!(aviary.runs.len() > 60 && aviary.said > 200_000);
    let good = aviary.runs.values().filter(|code| **code == Some(0)).count();
    assert!(good * 2 > aviary.runs.len(), "{:?}", aviary.runs);
}

#[test]
fn a_run_that_is_aborted_leaves_no_core_file() {
    let world = World::new(2);
    let hold = world.rule(Rule::new("ec2:CreateVpc", Act::HoldBefore));
    let script = format!(
        "ulimit -c unlimited; exec '{}' apply --only 'network/*' --yes",
        env!("CARGO_BIN_EXE_deploy")
    );
    let mut apply = world.command("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while world.held(hold) == 0 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let before = fs::read_dir(world.folder()).unwrap().count();
    let aborted = Command::new("sh").args(["-c", &format!("kill -ABRT {}", apply.id())]).status().unwrap();
    assert!(aborted.success());
    let status = apply.wait().unwrap();
    assert_eq!(status.signal(), Some(6), "{status:?}");
    assert!(!status.core_dumped(), "{status:?}");
    assert_eq!(fs::read_dir(world.folder()).unwrap().count(), before);
    world.unset(hold);
    world.deploy(&["apply", "--only", "network/*", "--yes"]).succeeds();
}

#[test]
fn a_canary_is_found_however_it_is_written() {
    let canaries = BTreeMap::from([("c".to_owned(), "Envcanary7q3xW0mPzR5tK".to_owned())]);
    for before in ["", "a", "ab", "abc"] {
        let text = format!("{before}Envcanary7q3xW0mPzR5tK tail");
        for written in
            [text.clone(), STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text), hex::encode(&text)]
        {
            assert!(found(format!("x {written} y").as_bytes(), &canaries).is_some(), "{written}");
        }
    }
    assert!(found(b"Envcanary is a word", &canaries).is_none());
}
