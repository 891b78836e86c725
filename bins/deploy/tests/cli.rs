//! The built program, from outside: files and flags in, text and exit codes out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use serde_json::Value as Json;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A folder with nothing in it, and a program in it that finds no credentials anywhere.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Desk(tempfile::tempdir().unwrap())
    }

    /// With the configuration that `init` writes.
    fn started() -> Self {
        let desk = Desk::new();
        assert_eq!(code(&desk.run(&["init"])), 0);
        desk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deploy"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.args(flags).current_dir(self.path()).stdin(Stdio::null());
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path())
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    fn run(&self, flags: &[&str]) -> Output {
        self.command(flags).output().unwrap()
    }

    fn edit(&self, from: &str, to: &str) {
        let path = self.path().join("causeway.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// With a journal in which Ada makes a network and Bob makes it larger.
    fn deployed() -> Self {
        let desk = Desk::started();
        let folder = desk.path().join(".causeway/coder");
        fs::create_dir_all(&folder).unwrap();
        let request = |cidr: &str| {
            serde_json::json!({
                "kind": "aws.ec2.vpc", "place": { "provider": "aws", "spec": { "region": "us-east-1" } },
                "spec": { "cidr": cidr, "password": { "$sealed": "5ea1ed" } }, "after": [], "protect": true,
            })
        };
        let about = |rest: Json| {
            let mut entry = serde_json::json!({ "address": "network/vpc", "instance": "abc" });
            entry.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            entry
        };
        let done = || about(serde_json::json!({ "outputs": { "vpc_id": "vpc-1" }, "took_ms": 5 }));
        let begin =
            |act: &str, cidr: &str| about(serde_json::json!({ "act": act, "request": request(cidr) }));
        let entries = [
            serde_json::json!({ "opened": { "format": 1, "stack": "coder", "seal_key": "canary-key" } }),
            serde_json::json!({ "plan": { "digest": "d1", "actor": "ada@host" } }),
            serde_json::json!({ "begin": begin("create", "10.0.0.0/24") }),
            serde_json::json!({ "done": done() }),
            serde_json::json!({ "plan": { "digest": "d2", "actor": "bob@host" } }),
            serde_json::json!({ "begin": begin("update", "10.0.0.0/16") }),
            serde_json::json!({ "done": done() }),
        ];
        let lines = entries.iter().enumerate().map(|(i, entry)| {
            format!("{}\n", serde_json::json!({ "seq": i + 1, "at": "2026-11-21T19:30:00Z", "entry": entry }))
        });
        fs::write(folder.join("journal.jsonl"), lines.collect::<String>()).unwrap();
        desk
    }

    /// What is in the folder, without the configuration.
    fn others(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|n| n != "causeway.toml").collect()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one document on standard output.
fn document(output: &Output) -> Json {
    let json: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["exit_code"], code(output));
    json
}

#[test]
fn what_init_writes_is_valid() {
    let desk = Desk::new();
    let init = desk.run(&["init"]);
    assert_eq!(code(&init), 0, "{}", err(&init));
    let validate = desk.run(&["validate"]);
    assert_eq!(code(&validate), 0, "{}", err(&validate));
    assert!(
        out(&validate).starts_with("causeway.toml is right: stack `coder` in us-east-1"),
        "{}",
        out(&validate)
    );
}

#[test]
fn what_init_writes_for_a_site_is_valid() {
    let desk = Desk::new();
    let init = desk.run(&["init", "--docs"]);
    assert_eq!(code(&init), 0, "{}", err(&init));
    let validate = desk.run(&["validate"]);
    assert_eq!(code(&validate), 0, "{}", err(&validate));
    assert!(
        out(&validate).starts_with("causeway.toml is right: stack `docs` in us-east-1"),
        "{}",
        out(&validate)
    );
}

#[test]
fn init_never_writes_over_a_file() {
    let desk = Desk::new();
    fs::write(desk.path().join("causeway.toml"), "mine").unwrap();
    let init = desk.run(&["init"]);
    assert_eq!(code(&init), 64);
    assert_eq!(fs::read_to_string(desk.path().join("causeway.toml")).unwrap(), "mine");
    assert_eq!(code(&desk.run(&["init", "-f", "other.toml"])), 0);
}

#[test]
fn a_mistake_is_shown_at_its_place_and_nothing_else_happens() {
    let desk = Desk::started();
    desk.edit("region = \"us-east-1\"", "regoin = \"us-east-1\"");
    for command in [
        &["validate"][..],
        &["plan"],
        &["apply", "--yes"],
        &["destroy", "--yes"],
        &["drift"],
        &["status"],
        &["outputs"],
    ] {
        let output = desk.run(command);
        assert_eq!(code(&output), 64, "{command:?}");
        assert!(out(&output).is_empty(), "{command:?}");
        let said = err(&output);
        assert!(
            said.contains("did you mean `region`?") && said.contains("causeway.toml has 2 mistakes"),
            "{said}"
        );
        assert!(desk.others().is_empty(), "{command:?} left {:?}", desk.others());
    }
}

#[test]
fn a_file_that_is_not_there_leads_to_init() {
    let output = Desk::new().run(&["plan"]);
    assert_eq!(code(&output), 64);
    assert!(err(&output).contains("cannot read causeway.toml") && err(&output).contains("deploy init"));
}

#[test]
fn without_credentials_a_plan_says_so_soon() {
    let desk = Desk::started();
    let begun = std::time::Instant::now();
    let output = desk.run(&["plan"]);
    assert_eq!(code(&output), 69, "{}", err(&output));
    assert!(err(&output).contains("there are no AWS credentials"), "{}", err(&output));
    assert!(out(&output).is_empty());
    assert!(begun.elapsed().as_secs() < 15);
    assert!(desk.others().is_empty());
}

#[test]
fn where_nobody_can_be_asked_nothing_is_done() {
    let desk = Desk::started();
    for command in ["apply", "destroy"] {
        let output = desk.run(&[command]);
        assert_eq!(code(&output), 64);
        assert!(err(&output).contains("--yes"), "{}", err(&output));
        assert!(desk.others().is_empty());
    }
}

#[test]
fn a_secret_that_is_missing_is_named_before_anything_is_asked() {
    let desk = Desk::started();
    desk.edit("# [ecs.secrets]\n", "[ecs.secrets]\n");
    desk.edit("# CODER_OIDC_CLIENT_SECRET", "CODER_OIDC_CLIENT_SECRET");
    let validate = desk.run(&["validate"]);
    assert_eq!(code(&validate), 0, "{}", err(&validate));
    assert!(err(&validate).contains("OIDC_CLIENT_SECRET is not set"), "{}", err(&validate));
    let plan = desk.run(&["plan"]);
    assert_eq!(code(&plan), 64);
    assert!(err(&plan).contains("OIDC_CLIENT_SECRET is not set"), "{}", err(&plan));
    // With it, the next thing that is missing is the account.
    let plan = desk.command(&["plan"]).env("OIDC_CLIENT_SECRET", "hunter2").output().unwrap();
    assert_eq!(code(&plan), 69);
    assert!(!err(&plan).contains("hunter2"));
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let desk = Desk::started();
    for flags in [
        &["plan", "--sandbox", "--state", "x"][..],
        &["plann"],
        &["plan", "--only", "everything"],
        &["plan", "--parallelism", "0"],
        &[],
    ] {
        assert_eq!(code(&desk.run(flags)), 64, "{flags:?}");
    }
    assert_eq!(code(&desk.run(&["--help"])), 0);
    assert_eq!(code(&desk.run(&["--version"])), 0);
}

#[test]
fn json_is_one_document_whatever_happens() {
    let desk = Desk::new();
    let init = document(&desk.run(&["init", "--json"]));
    assert_eq!((&init["command"], &init["result"]["file"]), (&"init".into(), &"causeway.toml".into()));
    let validate = document(&desk.run(&["validate", "--json"]));
    assert_eq!(validate["result"]["stack"], "coder");
    let plan = document(&desk.run(&["plan", "--json"]));
    assert_eq!((&plan["command"], &plan["exit_code"]), (&"plan".into(), &69.into()));
    assert!(
        plan["error"]["message"].as_str().unwrap().contains("credentials") && plan.get("result").is_none()
    );
    let apply = document(&desk.run(&["apply", "--json"]));
    assert_eq!(apply["exit_code"], 64);
    desk.edit("region = \"us-east-1\"", "region = 1");
    let wrong = document(&desk.run(&["validate", "--json"]));
    let mistake = &wrong["error"]["mistakes"][0];
    assert!(mistake["line"].as_u64().unwrap() > 1 && mistake["file"] == "causeway.toml", "{wrong}");
}

#[test]
fn the_journal_answers_without_an_account() {
    let desk = Desk::deployed();
    let said = |flags: &[&str]| {
        let output = desk.run(flags);
        assert_eq!(code(&output), 0, "{}", err(&output));
        assert!(!out(&output).contains("canary-key"));
        out(&output)
    };
    assert_eq!(said(&["state", "list"]), "network/vpc  aws.ec2.vpc  us-east-1  ready, protected\n");
    let show = said(&["state", "show", "network/vpc"]);
    assert!(show.contains("cidr: \"10.0.0.0/16\"") && show.contains("password: (secret)"), "{show}");
    assert!(show.contains("vpc_id: \"vpc-1\"") && !show.contains("5ea1ed"), "{show}");
    let history = said(&["history"]);
    assert!(history.contains("@2 to @4") && history.contains("ada@host\n    plan d1\n+ network/vpc"));
    assert!(history.contains("bob@host\n    plan d2\n~ network/vpc"), "{history}");
    assert_eq!(
        said(&["diff", "@4", "@7"]),
        "~ network/vpc  aws.ec2.vpc\n    cidr: \"10.0.0.0/24\" -> \"10.0.0.0/16\"\n"
    );
    assert_eq!(said(&["diff", "4"]), said(&["diff", "@4", "@7"]));
    assert!(said(&["blame", "network/vpc.cidr"]).contains("by bob@host\n    plan d2"));
    assert!(said(&["blame", "network/vpc#vpc_id"]).contains("by ada@host\n    plan d1"));
    let blame: Json = serde_json::from_str(&said(&["blame", "network/vpc.cidr", "--json"])).unwrap();
    assert_eq!((&blame["result"]["seq"], &blame["result"]["act"]), (&7.into(), &"update".into()));
    let list: Json = serde_json::from_str(&said(&["state", "list", "--json"])).unwrap();
    assert_eq!(list["result"]["resources"][0]["address"], "network/vpc");
    let runs: Json = serde_json::from_str(&said(&["history", "--json"])).unwrap();
    assert_eq!(runs["result"]["runs"][1]["deeds"][0]["outcome"], "done");
}

#[test]
fn questions_that_the_journal_cannot_answer_are_refused() {
    let desk = Desk::deployed();
    for (flags, what) in [
        (&["state", "show", "network/vpcs"][..], "has no resource `network/vpcs`"),
        (&["diff", "@4", "@8"], "has no entry 8; its last one is 7"),
        (&["diff", "@x"], "like @12"),
        (&["blame", "network/vpc.cdir"], "it has #vpc_id, cidr, password"),
        (&["blame", "nothing"], "deploy state list"),
    ] {
        let output = desk.run(flags);
        assert_eq!(code(&output), 64, "{flags:?}");
        assert!(err(&output).contains(what), "{}", err(&output));
    }
    desk.edit("name = \"coder\"", "name = \"other\"");
    let journal = desk.path().join(".causeway/coder");
    let output = desk.run(&["history", "--state", journal.to_str().unwrap()]);
    assert_eq!(code(&output), 64, "a journal of another stack");
    // Before the first apply there is nothing, and nothing is made by asking.
    let desk = Desk::started();
    assert_eq!(code(&desk.run(&["state", "list"])), 0);
    assert_eq!(code(&desk.run(&["history"])), 0);
    assert!(desk.others().is_empty());
}

#[test]
fn what_is_no_saved_plan_is_refused_before_anything_is_asked() {
    let desk = Desk::started();
    let apply = |flags: &[&str]| {
        let output = desk.run(&[&["apply", "--yes"], flags].concat());
        (code(&output), err(&output))
    };
    let (exit, said) = apply(&["causeway.toml"]);
    assert!(exit == 64 && said.contains("causeway.toml cannot be applied: it is not a saved plan"), "{said}");
    let (exit, said) = apply(&["none.json"]);
    assert!(exit == 64 && said.contains("cannot read none.json"), "{said}");
    fs::write(desk.path().join("plan.json"), "{\"version\":\"0.1.0\",\"digest\":\"00\"}").unwrap();
    let (exit, said) = apply(&["plan.json"]);
    assert!(exit == 101 && said.contains("altered after it was made"), "{said}");
    for flags in [&["plan.json", "--adopt"][..], &["plan.json", "--only", "app"], &["--digest", "00"]] {
        assert_eq!(apply(flags).0, 64, "{flags:?}");
    }
}

#[test]
fn a_graph_is_drawn_without_an_account() {
    let desk = Desk::started();
    let dot = desk.run(&["graph"]);
    assert_eq!(code(&dot), 0, "{}", err(&dot));
    let text = out(&dot);
    assert!(text.starts_with("digraph {\n") && text.contains("\"network/vpc\" [label=\"vpc"), "{text}");
    assert_eq!(text.matches('{').count(), text.matches('}').count());
    let mermaid = out(&desk.run(&["graph", "--format", "mermaid"]));
    assert!(mermaid.starts_with("flowchart RL\n") && mermaid.contains(" --> "), "{mermaid}");
    assert_eq!(document(&desk.run(&["graph", "--json"]))["result"]["graph"], text);
    // What needs the cloud says so.
    assert_eq!(code(&desk.run(&["graph", "--plan"])), 69);
    assert_eq!(code(&desk.run(&["why", "network/vpc"])), 69);
    assert_eq!(code(&desk.run(&["plan", "--markdown", "--json"])), 64);
    assert!(desk.others().is_empty());
}

#[test]
fn schemas_are_schemas() {
    let desk = Desk::new();
    let config: Json = serde_json::from_slice(&desk.run(&["schema"]).stdout).unwrap();
    assert!(config["properties"]["ecs"].is_object());
    let output: Json = serde_json::from_slice(&desk.run(&["schema", "output"]).stdout).unwrap();
    assert!(output["anyOf"].as_array().unwrap().len() >= 8);
    // What is left out of documents where there is none of it must not be required.
    for (of, field) in [("Error", "mistakes"), ("Step", "data"), ("Document_Planned", "error")] {
        let definition = &output["$defs"][of];
        assert!(definition["properties"][field].is_object(), "{of} has no {field}");
        let required = definition["required"].as_array().unwrap();
        assert!(!required.contains(&field.into()), "{of} requires {field}");
    }
    // Every reference leads somewhere.
    for text in [config.to_string(), output.to_string()] {
        let json: Json = serde_json::from_str(&text).unwrap();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(json.pointer(pointer).is_some(), "{pointer}");
        }
    }
}

#[test]
fn completions_are_offered_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Desk::new().run(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(out(&output).contains("deploy"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    let mut child = desk.command(&["schema"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0);
    assert_eq!(err(&output), "");
}

#[test]
fn nothing_is_coloured_for_programs() {
    let desk = Desk::started();
    desk.edit("region = \"us-east-1\"", "region = 1");
    let said = err(&desk.run(&["validate"]));
    assert!(!said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_sandbox_that_does_not_run_is_said_to_not_run() {
    let desk = Desk::new();
    let sandbox = |flags: &[&str]| desk.command(flags).env("CAUSEWAY_CACHE", desk.path()).output().unwrap();
    let status = sandbox(&["sandbox", "status"]);
    assert_eq!(code(&status), 0, "{}", err(&status));
    assert!(out(&status).contains("No sandbox is running"));
    assert_eq!(document(&sandbox(&["sandbox", "status", "--json"]))["result"]["running"], false);
    assert_eq!(code(&sandbox(&["sandbox", "down"])), 0);
}

/// With all features of everything on, as in tests, what the program did not ask for is there all the same.
#[test]
fn every_service_of_aws_is_in_the_program_as_people_build_it() {
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        cargo.args(arguments).args(["--package", "deploy", "--depth", "0", "--edges", "normal", "--offline"]);
        cargo
            .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
            .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION");
        let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let tree = ["tree", "--invert", "causeway-aws", "--format", "{f}"];
    let (built, all) = (cargo(&tree), cargo(&[&tree[..], &["--all-features"]].concat()));
    assert!(built.contains("s3"), "it is looked for rightly: {built}");
    assert_eq!(built, all);
    let manifest =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/aws/Cargo.toml")).unwrap();
    let features = manifest.split("[features]").nth(1).unwrap().split("[dependencies]").next().unwrap();
    let names = features.lines().filter(|line| !line.starts_with(['#', ' ', ']']));
    for name in names.filter_map(|line| line.split(" = ").next()).filter(|name| !name.is_empty()) {
        assert!(
            built.trim().split(',').any(|feature| feature == name),
            "`deploy` does not ask for `{name}`: {built}"
        );
    }
}
