//! The tables of wrong situations: those that need no cloud, and those in an account of the local cloud.

use crate::{Nobody, command, files::RIGHT, names, world::World};
use causeway_sandbox::gateway::{Act, Rule};
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

fn lock(folder: &Path, text: &str) {
    fs::write(folder.join("causeway.lock"), text).unwrap();
}
fn newer_lock(folder: &Path) {
    lock(folder, "format = 2\nimages = []\n");
}
fn misspelt_lock(folder: &Path) {
    lock(folder, "format = 1\n[images.karpenter]\nversoin = \"1.14.3\"\n");
}
fn lock_of_something_else(folder: &Path) {
    lock(folder, "format = 1\n[images.redis]\nversion = \"8\"\nimage = \"redis\"\n");
}
fn older_lock(folder: &Path) {
    lock(
        folder,
        "format = 1\n[images.karpenter]\nversion = \"0.1.0\"\nimage = \"public.ecr.aws/karpenter/controller\"\n",
    );
}
fn logins_that_are_none(folder: &Path) {
    fs::create_dir(folder.join(".docker")).unwrap();
    fs::write(folder.join(".docker/config.json"), "{\n\"auths\": \"canary\"}").unwrap();
}
fn nobody_there(folder: &Path) {
    let mirrors = "quay.io|public.ecr.aws|ghcr.io|raw.githubusercontent.com".split('|');
    let mirrors = mirrors.map(|host| format!("\"{host}\" = \"127.0.0.1:9\"\n"));
    lock(folder, &format!("format = 1\n[mirrors]\n{}", mirrors.collect::<String>()));
}

const LOCAL: &[Local] = &[
    local(
        "no such image",
        nothing,
        &["update", "codr"],
        64,
        "no image is called `codr`",
        "there are cert-manager",
    ),
    local(
        "a version that nobody chooses",
        nothing,
        &["update", "karpenter", "--version", "1.15.0"],
        64,
        "for `karpenter` are for 1.14.3",
        "a newer deploy has newer ones",
    ),
    local(
        "a version of all",
        nothing,
        &["update", "--version", "v1"],
        64,
        "is for one program",
        "deploy update coder",
    ),
    local("a newer lock", newer_lock, &["update"], 64, "has format 2", "the version of deploy that wrote it"),
    local("a misspelt lock", misspelt_lock, &["update"], 64, "unknown field `versoin`", "repair it"),
    local(
        "a lock of something else",
        lock_of_something_else,
        &["vendor", "out"],
        64,
        "`redis`",
        "take [images.redis] out",
    ),
    local(
        "an older lock",
        older_lock,
        &["vendor", "out"],
        64,
        "has `karpenter` 0.1.0",
        "`deploy update` moves it",
    ),
    local(
        "not pinned",
        nothing,
        &["vendor", "out"],
        64,
        "has no digest for cert-manager",
        "`deploy update` looks",
    ),
    local(
        "no logins",
        logins_that_are_none,
        &["update"],
        64,
        "config.json: line 2 is not as it should be\n",
        "REGISTRY_AUTH_FILE",
    ),
    local(
        "no registry",
        nobody_there,
        &["update", "coder"],
        69,
        "127.0.0.1:9 did not answer",
        "look at the network",
    ),
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

/// A wrong situation in an account of the local cloud.
struct InCloud {
    what: &'static str,
    /// Makes it so. What it makes is not counted.
    arrange: fn(&World),
    /// Where the flags end is where `--yes` goes, if the command may change something.
    flags: &'static [&'static str],
    exit: i32,
    says: &'static [&'static str],
    remedy: &'static str,
}

fn as_it_is(_: &World) {}

/// The smallest thing that an apply makes.
const NETWORK: &[&str] = &["apply", "--only", "network/*", "--yes"];

fn applied(world: &World) {
    world.deploy(NETWORK).succeeds();
}
fn saved(world: &World) {
    world.deploy(&["plan", "--only", "network/*", "--output", "plan.json"]).succeeds();
}
fn act(world: &World, operation: &str, act: Act) {
    world.rule(Rule::new(operation, act));
}
fn repository(world: &World, tags: &str) {
    let script = "boto3.client('ecr').create_repository(repositoryName='coder', tags=TAGS)";
    world.boto3(&script.replace("TAGS", tags));
}
/// The tags of another stack.
const THEIRS: &str = "[{'Key': 'causeway:stack', 'Value': 'billing'}, {'Key': 'causeway:address', 'Value': 'registry'}, \
                      {'Key': 'causeway:instance', 'Value': 'abc'}]";

fn image_elsewhere(world: &World) {
    world.deploy(&["apply", "--only", "registry", "--yes"]).succeeds();
    world.edit("source = \"image\"\n", "");
}

const IN_CLOUD: &[InCloud] = &[
    InCloud {
        what: "credentials have run out",
        arrange: |world| act(world, "*", Act::Expired),
        flags: &["apply", "--yes"],
        exit: 69,
        says: &["ExpiredToken"],
        remedy: "log in again",
    },
    InCloud {
        what: "credentials run out while it looks",
        arrange: |world| act(world, "ec2:*", Act::Expired),
        flags: &["apply", "--yes"],
        exit: 69,
        says: &["RequestExpired", "network/"],
        remedy: "log in again",
    },
    InCloud {
        what: "may not look",
        arrange: |world| act(world, "ec2:Describe*", Act::Denied),
        flags: &["plan"],
        exit: 69,
        says: &["UnauthorizedOperation", "network/"],
        remedy: "permission",
    },
    InCloud {
        what: "may not create",
        arrange: |world| act(world, "ec2:CreateVpc", Act::Denied),
        flags: NETWORK,
        exit: 100,
        says: &["network/vpc", "UnauthorizedOperation"],
        remedy: "permission",
    },
    InCloud {
        what: "a quota is used up",
        arrange: |world| act(world, "ec2:CreateVpc", Act::Quota),
        flags: NETWORK,
        exit: 100,
        says: &["network/vpc", "VpcLimitExceeded"],
        remedy: "quota",
    },
    InCloud {
        what: "the name is somebody's without tags",
        arrange: |world| repository(world, "[]"),
        flags: &["apply", "--only", "registry", "--yes"],
        exit: 101,
        says: &["registry"],
        remedy: "--adopt",
    },
    InCloud {
        what: "the name is another stack's",
        arrange: |world| repository(world, THEIRS),
        flags: &["apply", "--only", "registry", "--yes"],
        exit: 101,
        says: &["registry", "billing"],
        remedy: "rename one of them",
    },
    InCloud {
        what: "the name is another stack's, and it is to be taken over",
        arrange: |world| repository(world, THEIRS),
        flags: &["apply", "--only", "registry", "--adopt", "--yes"],
        exit: 101,
        says: &["registry", "billing"],
        remedy: "rename one of them",
    },
    InCloud {
        what: "nothing fits --only",
        arrange: as_it_is,
        flags: &["apply", "--only", "netwrok/*", "--yes"],
        exit: 64,
        says: &["--only fits nothing"],
        remedy: "network/*",
    },
    InCloud {
        what: "a permit that is of no use",
        arrange: applied,
        flags: &["destroy", "--permit", "database/instance", "--yes"],
        exit: 64,
        says: &["--permit database/instance: the plan does nothing to it"],
        remedy: "as the plan shows it",
    },
    InCloud {
        what: "a port is not allowed to be open",
        arrange: |world| world.edit("[80, 443]", "[443]"),
        flags: &["apply", "--only", "network/*", "--only", "security/*", "--yes"],
        exit: 101,
        says: &["security/http-in-1", "would open port 80 to the whole internet"],
        remedy: "add the port to `public_ports` in [guard]",
    },
    InCloud {
        what: "a lint speaks against what is only planned",
        arrange: |world| world.edit("[80, 443]", "[443]"),
        flags: &["plan"],
        exit: 101,
        says: &["`apply` would refuse this", "security/http-in-1", "[open-port]"],
        remedy: "allow = [\"open-port\"] in [guard]",
    },
    InCloud {
        what: "too much would go",
        arrange: |world| {
            world.edit("vpc = \"new\"", "vpc = \"new\"\nzones = 4");
            applied(world);
            world.edit("zones = 4", "zones = 2");
            world.edit("max_removals = 20", "max_removals = 3");
        },
        flags: NETWORK,
        exit: 101,
        says: &["resources would be removed and 3 are allowed"],
        remedy: "raise max_removals in [guard]",
    },
    InCloud {
        what: "something protected would go",
        arrange: |world| {
            world.edit("max_removals = 20", "max_removals = 20\nprotect = [\"network/vpc\"]");
            applied(world);
        },
        flags: &["destroy", "--yes"],
        exit: 101,
        says: &["network/vpc", "is protected and would be deleted"],
        remedy: "lift the protection",
    },
    InCloud {
        what: "data would go",
        arrange: |world| {
            world.deploy(&["apply", "--only", "security/key", "--yes"]).succeeds();
        },
        flags: &["destroy", "--yes"],
        exit: 101,
        says: &["security/key", "holds data and would be deleted"],
        remedy: "--permit security/key",
    },
    InCloud {
        what: "the stack goes to another region",
        arrange: |world| {
            applied(world);
            world.edit("us-east-1", "eu-west-1");
            world.edit("max_removals = 20", "max_removals = 2");
        },
        flags: NETWORK,
        exit: 101,
        says: &["resources would be removed and 2 are allowed"],
        remedy: "raise max_removals",
    },
    InCloud {
        what: "an altered plan",
        arrange: |world| {
            saved(world);
            let path = world.folder().join("plan.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replacen("10.0.0.0/16", "10.9.0.0/16", 1)).unwrap();
        },
        flags: &["apply", "plan.json", "--yes"],
        exit: 101,
        says: &["it was altered after it was made"],
        remedy: "deploy plan --output",
    },
    InCloud {
        what: "a stale plan",
        arrange: |world| {
            saved(world);
            applied(world);
        },
        flags: &["apply", "plan.json", "--yes"],
        exit: 101,
        says: &["network/vpc", "was to be created, and is not any more"],
        remedy: "save the plan again",
    },
    InCloud {
        what: "a plan with another digest",
        arrange: saved,
        flags: &["apply", "plan.json", "--digest", "00", "--yes"],
        exit: 101,
        says: &["its digest is"],
        remedy: "00 was asked for",
    },
    InCloud {
        what: "a plan over a file that is there",
        arrange: as_it_is,
        flags: &["plan", "--only", "network/*", "--output", "causeway.toml"],
        exit: 64,
        says: &["cannot write the plan to causeway.toml"],
        remedy: "name a file that is not there yet",
    },
    InCloud {
        what: "the journal has no place",
        arrange: as_it_is,
        flags: &["apply", "--only", "network/*", "--state", "/proc/journal", "--yes"],
        exit: 69,
        says: &["/proc/journal"],
        remedy: "--state",
    },
    InCloud {
        what: "the journal's place is a file",
        arrange: as_it_is,
        flags: &["apply", "--only", "network/*", "--state", "causeway.toml", "--yes"],
        exit: 69,
        says: &["causeway.toml"],
        remedy: "--state",
    },
    InCloud {
        what: "no such VPC",
        arrange: |world| {
            world.edit("vpc = \"new\"", "vpc = \"vpc-0123456789abcdef0\"");
            world.edit("cidr = \"10.0.0.0/16\"\n", "");
        },
        flags: NETWORK,
        exit: 100,
        says: &["network/vpc", "vpc-0123456789abcdef0"],
        remedy: "vpc-0123456789abcdef0",
    },
    InCloud {
        what: "no such zone",
        arrange: |world| world.edit("create_zone = true\n", ""),
        flags: &["apply", "--only", "dns/zone", "--yes"],
        exit: 100,
        says: &["dns/zone", "example.com"],
        remedy: "make one and delegate to it",
    },
    InCloud {
        what: "no such image",
        arrange: image_elsewhere,
        flags: &["apply", "--only", "registry", "--only", "app/image-digest", "--yes"],
        exit: 100,
        says: &["app/image-digest", "v2.28.3"],
        remedy: "push",
    },
];

/// What an answer of the program lacks of a row, if anything.
fn lacking(row: &InCloud, number: u64) -> Option<String> {
    let world = World::new(number);
    (row.arrange)(&world);
    world.forget_calls();
    let before = names(world.folder());
    let output = world.command(env!("CARGO_BIN_EXE_deploy")).args(row.flags).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let parts = row.says.iter().chain([&row.remedy]);
    let lacking: Vec<_> = parts.filter(|p| !said.contains(**p)).collect();
    let changes: Vec<String> =
        world.mutations().iter().filter(|c| c.status < 300).map(|c| c.name()).collect();
    let code = output.status.code();
    // A refusal leaves nothing; a run that was begun leaves its journal.
    let traces = row.exit != 100 && names(world.folder()) != before;
    (code != Some(row.exit) || !lacking.is_empty() || !changes.is_empty() || traces).then(|| {
        format!(
            "## {}: exit {code:?}, lacking {lacking:?}, changes {changes:?}, traces {traces}\n{said}",
            row.what
        )
    })
}

#[test]
fn in_an_account_every_wrong_situation_is_told_and_nothing_is_changed() {
    let rows: Vec<(u64, &InCloud)> = (1..).zip(IN_CLOUD).collect();
    let mut wrong = vec![];
    for some in rows.chunks(4) {
        std::thread::scope(|scope| {
            let begun: Vec<_> =
                some.iter().map(|(number, row)| scope.spawn(|| lacking(row, *number))).collect();
            wrong.extend(begun.into_iter().filter_map(|row| row.join().unwrap()));
        });
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), IN_CLOUD.len(), wrong.join("\n"));
}

#[test]
fn where_the_disk_is_full_nothing_is_made_that_the_journal_does_not_know() {
    let world = World::new(200);
    let flags = NETWORK.join(" ");
    // Files of no size at all, which is what a full disk allows.
    let script = format!("trap '' XFSZ; ulimit -f 0; exec '{}' {flags}", env!("CARGO_BIN_EXE_deploy"));
    let output = world.command("sh").args(["-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains(".causeway/workshop") && said.contains("File too large"), "{said}");
    assert!(said.contains("`--state` says where the journal is kept"), "{said}");
    assert!(world.mutations().is_empty());
    // With room again it goes on as if nothing had been.
    world.deploy(NETWORK).succeeds();
}

#[test]
fn a_second_run_is_told_who_is_at_work_and_changes_nothing() {
    let world = World::new(201);
    let hold = world.rule(Rule::new("ec2:CreateVpc", Act::HoldBefore));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| world.deploy(NETWORK));
        let begun = std::time::Instant::now();
        while world.held(hold) == 0 {
            assert!(begun.elapsed().as_secs() < 60, "the first run creates nothing");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let refused = world.deploy(NETWORK).exits(69);
        assert!(refused.contains("another run is at work") && refused.contains("process"), "{refused}");
        world.unset(hold);
        first.join().unwrap().succeeds();
    });
    assert_eq!(world.mutations().iter().filter(|c| c.operation == "CreateVpc").count(), 1);
}

#[test]
fn a_journal_of_another_account_is_refused() {
    let world = World::new(202);
    applied(&world);
    let other = World::new(203);
    other.take_journal(&world);
    for flags in [&["plan"][..], &["apply", "--yes"], &["destroy", "--yes"]] {
        let refused = other.deploy(flags).exits(64);
        assert!(refused.contains("000000000202") && refused.contains("--state"), "{refused}");
    }
    assert!(other.mutations().is_empty());
}
