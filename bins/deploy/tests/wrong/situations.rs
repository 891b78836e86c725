//! The tables of wrong situations: those that need no cloud, and those in an account of the local cloud.

use crate::{Nobody, command, files::RIGHT, names};
use std::{fs, path::Path, process::Command};

/// A wrong situation where nobody is to be called.
struct Local {
    what: &'static str,
    /// Makes it so, in a folder with a right configuration.
    arrange: fn(&Path),
    flags: &'static [&'static str],
    exit: i32,
    says: &'static str,
    remedy: &'static str,
}

const fn local(
    what: &'static str,
    arrange: fn(&Path),
    flags: &'static [&'static str],
    exit: i32,
    says: &'static str,
    remedy: &'static str,
) -> Local {
    Local { what, arrange, flags, exit, says, remedy }
}

fn nothing(_: &Path) {}

fn journal(folder: &Path, lines: &[&str]) {
    let folder = folder.join(".causeway/coder");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("journal.jsonl"), lines.concat()).unwrap();
}

const OPENED: &str = "{\"seq\":1,\"at\":\"2026-11-21T19:30:00Z\",\"entry\":{\"opened\":{\"format\":1,\"stack\":\"coder\",\"seal_key\":\"k\"}}}\n";
const PLANNED: &str =
    "{\"seq\":2,\"at\":\"2026-11-21T19:30:00Z\",\"entry\":{\"plan\":{\"digest\":\"d\",\"actor\":\"ada\"}}}\n";

fn newer_journal(folder: &Path) {
    journal(folder, &[&OPENED.replace("\"format\":1", "\"format\":99")]);
}
fn foreign_journal(folder: &Path) {
    journal(folder, &[&OPENED.replace("\"coder\"", "\"billing\"")]);
}
fn broken_journal(folder: &Path) {
    journal(folder, &[OPENED, "{\"seq\":2,\"at\n", PLANNED]);
}
fn journal_with_a_gap(folder: &Path) {
    journal(folder, &[OPENED, &PLANNED.replace("\"seq\":2", "\"seq\":7")]);
}
fn journal_without_a_start(folder: &Path) {
    journal(folder, &[&PLANNED.replace("\"seq\":2", "\"seq\":1")]);
}
fn latin1(folder: &Path) {
    let text = RIGHT.replace("[ecs.image]", "# caf\u{e9}\n[ecs.image]");
    fs::write(folder.join("causeway.toml"), text.chars().map(|c| c as u8).collect::<Vec<_>>()).unwrap();
}
fn altered_plan(folder: &Path) {
    fs::write(folder.join("plan.json"), "{\"version\":\"0.1.0\",\"digest\":\"00\"}").unwrap();
}

const LOCAL: &[Local] = &[
    local("no file", nothing, &["plan", "-f", "none.toml"], 64, "cannot read none.toml", "deploy init"),
    local("a folder", nothing, &["plan", "-f", "."], 64, "Is a directory", "-f FOLDER/causeway.toml"),
    local("not UTF-8", latin1, &["plan"], 64, "is not UTF-8 text", "save it as UTF-8"),
    local("the file is there", nothing, &["init"], 64, "cannot write causeway.toml", "-f FILE"),
    local(
        "cannot be written",
        nothing,
        &["init", "-f", "/proc/x.toml"],
        64,
        "cannot write /proc/x.toml",
        "-f FILE",
    ),
    local("no such command", nothing, &["aply"], 64, "'aply'", "'apply'"),
    local("no such flag", nothing, &["plan", "--adpot"], 64, "'--adpot'", "'--adopt'"),
    local(
        "flags that exclude each other",
        nothing,
        &["plan", "--sandbox", "--state", "x"],
        64,
        "cannot be used with",
        "--help",
    ),
    local(
        "no such part",
        nothing,
        &["plan", "--only", "databse"],
        64,
        "there is no part named `databse`",
        "known parts: infra, app",
    ),
    local("nobody can be asked", nothing, &["apply"], 64, "apply cannot ask without a terminal", "add --yes"),
    local(
        "no such plan",
        nothing,
        &["apply", "--yes", "none.json"],
        64,
        "cannot read none.json",
        "deploy plan --output",
    ),
    local(
        "no plan at all",
        nothing,
        &["apply", "--yes", "causeway.toml"],
        64,
        "it is not a saved plan",
        "deploy plan --output",
    ),
    local(
        "an altered plan",
        altered_plan,
        &["apply", "--yes", "plan.json"],
        101,
        "altered after it was made",
        "deploy plan --output",
    ),
    local(
        "no such resource",
        nothing,
        &["state", "show", "network/vpc"],
        64,
        "has no resource `network/vpc`",
        "deploy state list",
    ),
    local("no such entry", nothing, &["diff", "@1", "@2"], 64, "has no entry", "deploy history"),
    local(
        "a newer journal",
        newer_journal,
        &["state", "list"],
        69,
        "its format 99 is newer than this program",
        "the version that wrote it",
    ),
    local(
        "a journal of another stack",
        foreign_journal,
        &["state", "list"],
        64,
        "the journal is of the stack `billing`",
        "--state DIR",
    ),
    local(
        "a journal that is damaged",
        broken_journal,
        &["state", "list"],
        69,
        "entry 2 of ./.causeway/coder/journal.jsonl does not decode",
        "put a copy back",
    ),
    local("a journal with a gap", journal_with_a_gap, &["history"], 69, "7 comes after 1", "put a copy back"),
    local(
        "a journal without its start",
        journal_without_a_start,
        &["history"],
        69,
        "the journal was not opened",
        "put a copy back",
    ),
];

#[test]
fn every_wrong_situation_is_told_with_its_remedy_and_nobody_is_called() {
    let nobody = Nobody::listen();
    let mut wrong = vec![];
    for row in LOCAL {
        let desk = tempfile::tempdir().unwrap();
        fs::write(desk.path().join("causeway.toml"), RIGHT).unwrap();
        (row.arrange)(desk.path());
        let before = names(desk.path());
        let output = command(desk.path(), &nobody.address).args(row.flags).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let fits =
            output.status.code() == Some(row.exit) && said.contains(row.says) && said.contains(row.remedy);
        if !fits || names(desk.path()) != before {
            wrong.push(format!("{}: {} {said}", row.what, output.status));
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), LOCAL.len(), wrong.join("\n"));
    assert_eq!(nobody.visits(), 0, "somebody was called");
}

#[test]
fn without_credentials_or_where_nobody_answers_the_way_in_is_shown() {
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("causeway.toml"), RIGHT).unwrap();
    let said = |command: &mut Command| {
        let output = command.args(["apply", "--yes"]).output().unwrap();
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        assert_eq!(names(desk.path()), ["causeway.toml"]);
        String::from_utf8(output.stderr).unwrap()
    };
    // Port 1 is nobody's.
    let nowhere = "http://127.0.0.1:1";
    let none = said(command(desk.path(), nowhere).env_remove("AWS_ACCESS_KEY_ID"));
    assert!(none.contains("there are no AWS credentials") && none.contains("AWS_PROFILE"), "{none}");
    let down = said(&mut command(desk.path(), nowhere));
    assert!(down.contains("127.0.0.1:1") && down.contains("AWS_ENDPOINT_URL"), "{down}");
    let profile =
        said(command(desk.path(), nowhere).env_remove("AWS_ACCESS_KEY_ID").env("AWS_PROFILE", "ops"));
    assert!(profile.contains("there are no AWS credentials") && profile.contains("AWS_PROFILE"), "{profile}");
}
