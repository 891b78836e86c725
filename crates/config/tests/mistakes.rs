//! Wrong files, what is said about each, and at which line.

use causeway_config::{Config, Mistakes};
use std::fmt::Write;

const RIGHT: &str = r#"[stack]
name = "coder"
region = "us-east-1"

[ecs]
access_url = "https://coder.example.com"

[ecs.image]
version = "v2.28.3"

[ecs.service]
cpu = 1024
memory = 2048

[ecs.dns]
zone = "example.com"
"#;

/// A case: its name, the right file with `from` made into `to`, and line and message of each mistake.
struct Wrong {
    name: &'static str,
    from: &'static str,
    to: &'static str,
    said: &'static [(usize, &'static str)],
}

const fn wrong(
    name: &'static str,
    from: &'static str,
    to: &'static str,
    said: &'static [(usize, &'static str)],
) -> Wrong {
    Wrong { name, from, to, said }
}

const CASES: &[Wrong] = &[
    wrong("a quote is missing", "\"coder\"", "\"coder", &[(2, "invalid basic string")]),
    wrong("a value is missing", "cpu = 1024", "cpu =", &[(12, "string values must be quoted")]),
    wrong("no equals sign", "cpu = 1024", "cpu 1024", &[(12, "key with no value")]),
    wrong("a heading is not closed", "[ecs.image]", "[ecs.image", &[(8, "unclosed table")]),
    wrong("a key twice", "cpu = 1024", "cpu = 1024\ncpu = 512", &[(13, "duplicate key")]),
    wrong("a table twice", "[ecs.dns]", "[ecs.image]", &[(15, "duplicate key")]),
    wrong(
        "a slip in a key",
        "memory = 2048",
        "memroy = 2048",
        &[(13, "`memroy` is not known in [ecs.service]")],
    ),
    wrong(
        "a slip in a table",
        "[ecs.service]",
        "[ecs.services]",
        &[(11, "`services` is not known in [ecs]")],
    ),
    wrong("a slip at the top", "[stack]", "[stak]", &[(1, "[stack] is missing"), (1, "`stak` is not known")]),
    wrong("nothing like it", "memory = 2048", "zeal = 1", &[(13, "`zeal` is not known in [ecs.service]")]),
    wrong(
        "text for a number",
        "cpu = 1024",
        "cpu = \"1 vCPU\"",
        &[(12, "`cpu` has to be a whole number, and this is text")],
    ),
    wrong(
        "a fraction for a whole number",
        "cpu = 1024",
        "cpu = 0.5",
        &[(12, "`cpu` has to be a whole number, and this is a number with a fraction")],
    ),
    wrong(
        "a number for text",
        "version = \"v2.28.3\"",
        "version = 2.28",
        &[(9, "`version` has to be text in quotes, and this is a number with a fraction")],
    ),
    wrong(
        "text for yes or no",
        "cpu = 1024",
        "execute_command = \"yes\"",
        &[(12, "`execute_command` has to be true or false, and this is text")],
    ),
    wrong(
        "text for a list",
        "[ecs.dns]",
        "[ecs.network]\nallow = \"0.0.0.0/0\"\n[ecs.dns]",
        &[(16, "`allow` has to be a list, and this is text")],
    ),
    wrong(
        "a number in a list of texts",
        "[ecs.dns]",
        "[ecs.network]\nallow = [\n  \"10.0.0.0/8\",\n  10,\n]\n[ecs.dns]",
        &[(18, "`allow` has to be text in quotes, and this is a whole number")],
    ),
    wrong(
        "text for a table",
        "[ecs.service]\ncpu = 1024\nmemory = 2048",
        "[ecs.extra]\n[guard]\npublic_ports = 443",
        &[
            (11, "`extra` is not known in [ecs]"),
            (13, "`public_ports` has to be a list, and this is a whole number"),
        ],
    ),
    wrong(
        "a table where text belongs",
        "region = \"us-east-1\"",
        "[stack.region]\nname = \"us-east-1\"",
        &[(3, "`region` has to be text in quotes, and this is a table")],
    ),
    wrong(
        "too large for a port",
        "[ecs]",
        "[guard]\npublic_ports = [70000]\n[ecs]",
        &[(6, "`public_ports` has to be between 0 and 65535")],
    ),
    wrong("below nothing", "cpu = 1024", "cpu = -1", &[(12, "`cpu` has to be between 0 and 4294967295")]),
    wrong(
        "a word that is not offered",
        "cpu = 1024",
        "architecture = \"arm64\"",
        &[(12, "`architecture` has to be `X86_64` or `ARM64`")],
    ),
    wrong(
        "a required key is missing",
        "version = \"v2.28.3\"",
        "",
        &[(8, "`version` is missing in [ecs.image]")],
    ),
    wrong(
        "a required table is missing",
        "[ecs.image]\nversion = \"v2.28.3\"",
        "",
        &[(5, "[ecs.image] is missing")],
    ),
    wrong("no name", "name = \"coder\"", "", &[(1, "`name` is missing in [stack]")]),
    wrong(
        "a number under a name of one's own",
        "[ecs.dns]",
        "[ecs.environment]\nCODER_MAX = 5\n[ecs.dns]",
        &[(16, "`CODER_MAX` has to be text in quotes")],
    ),
    wrong(
        "a secret that is written down",
        "[ecs.dns]",
        "[ecs.secrets]\nCODER_OIDC_CLIENT_SECRET = \"hunter2\"\n[ecs.dns]",
        &[(16, "a secret is named, not written")],
    ),
    wrong(
        "three slips at once",
        "cpu = 1024\nmemory = 2048",
        "cpus = 1024\nmemory = \"2048\"\ncount = true",
        &[
            (12, "`cpus` is not known in [ecs.service]"),
            (13, "`memory` has to be a whole number, and this is text"),
            (14, "`count` has to be a whole number, and this is true or false"),
        ],
    ),
    wrong(
        "no target",
        "[ecs]\naccess_url = \"https://coder.example.com\"\n\n[ecs.image]\nversion = \"v2.28.3\"\n\n[ecs.service]\ncpu = 1024\nmemory = 2048\n\n[ecs.dns]\nzone = \"example.com\"\n",
        "",
        &[(1, "the file names no target")],
    ),
    wrong(
        "a name that AWS refuses",
        "name = \"coder\"",
        "name = \"My Coder\"",
        &[(2, "`My Coder` cannot be the name of a stack")],
    ),
    wrong("no region of AWS", "us-east-1", "virginia", &[(3, "`virginia` is not an AWS region")]),
    wrong(
        "an ownership tag",
        "region = \"us-east-1\"",
        "region = \"us-east-1\"\ntags = { \"causeway:stack\" = \"mine\" }",
        &[(4, "tags that start like `causeway:stack` are not yours to set")],
    ),
    wrong(
        "not encrypted",
        "https://",
        "http://",
        &[(6, "`http://coder.example.com` does not start with https://")],
    ),
    wrong(
        "in another zone",
        "zone = \"example.com\"",
        "zone = \"example.org\"",
        &[(16, "`coder.example.com` is not in the zone `example.org`")],
    ),
    wrong(
        "nobody who keeps zones",
        "zone = \"example.com\"",
        "zone = \"example.com\"\nprovider = \"gandi\"",
        &[(17, "`provider` has to be `cloudflare` or `route53`")],
    ),
    wrong(
        "a zone at Cloudflare without a token",
        "zone = \"example.com\"",
        "zone = \"example.com\"\nprovider = \"cloudflare\"",
        &[(15, "there is no token for Cloudflare")],
    ),
    wrong(
        "the key is not written down",
        "cpu = 1024\nmemory = 2048",
        "[ecs.logs]\ndays = 31\n[ecs.database]\nbackup_days = 40",
        &[(13, "logs cannot be kept for 31 days"), (15, "40 days of backups cannot be kept")],
    ),
    wrong(
        "a journal in two places",
        "[ecs]\n",
        "[state]\nfolder = \"state\"\ns3 = { bucket = \"deployments\" }\n[ecs]\n",
        &[(6, "the journal cannot be in a folder and in a bucket")],
    ),
    wrong(
        "a bucket that S3 refuses",
        "[ecs]\n",
        "[state.s3]\nbucket = \"My_Bucket\"\nprefix = \"a//b\"\n[ecs]\n",
        &[(6, "`My_Bucket` cannot be the name of a bucket"), (7, "`a//b` cannot be a prefix")],
    ),
    wrong(
        "a slip in a bucket",
        "[ecs]\n",
        "[state]\ns3 = { bucket = \"deployments\", key = \"arn:..\" }\n[ecs]\n",
        &[(6, "`key` is not known in [state.s3]")],
    ),
    wrong("no bucket", "[ecs]\n", "[state.s3]\n[ecs]\n", &[(5, "`bucket` is missing in [state.s3]")]),
    wrong(
        "a variable that does nothing",
        "[ecs.dns]",
        "[ecs.environment]\nCODER_POSTGRES_URL = \"postgres://\"\n[ecs.dns]",
        &[(16, "Coder does not know `CODER_POSTGRES_URL`")],
    ),
];

fn mistakes(case: &Wrong) -> Mistakes {
    assert!(RIGHT.contains(case.from), "{}: `{}` is not in the right file", case.name, case.from);
    let text = RIGHT.replacen(case.from, case.to, 1);
    match Config::parse("causeway.toml", &text) {
        Err(mistakes) => mistakes,
        Ok(_) => panic!("{}: nothing was found wrong", case.name),
    }
}

#[test]
fn the_right_file_is_right() {
    Config::parse("causeway.toml", RIGHT).unwrap();
}

#[test]
fn every_mistake_is_said_at_its_line() {
    for case in CASES {
        let mistakes = mistakes(case);
        let said: Vec<(usize, &str)> =
            mistakes.all().iter().map(|m| (mistakes.position(m).0, m.message.as_str())).collect();
        let matches = said.len() == case.said.len()
            && case.said.iter().zip(&said).all(|(want, have)| want.0 == have.0 && have.1.starts_with(want.1));
        assert!(matches, "{}:\n  said     {said:?}\n  expected {:?}", case.name, case.said);
    }
}

#[test]
fn mistakes_read_well() {
    let mut out = String::new();
    for case in CASES {
        let _ = writeln!(out, "## {}\n\n{}", case.name, mistakes(case).render(80, false));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn a_secret_that_was_written_down_is_not_repeated() {
    let case = CASES.iter().find(|c| c.name == "a secret that is written down").unwrap();
    let text = mistakes(case).render(80, false);
    assert!(text.contains("*********") && !text.contains("hunter2"), "{text}");
    assert!(!format!("{:?}", mistakes(case)).contains("hunter2"));
}

/// Each was shown once: the file cannot be read, or the table of secrets is misspelt.
#[test]
fn a_secret_is_not_shown_where_the_file_is_torn() {
    for secrets in [
        "[ecs.secrets]\nA = \"hunter2",
        "[ecs.secrets]\nA = hunter2\"",
        "[ecs.secrets]\nB = 1 2\nA = \"hunter2\"",
        "[ecs.secrets\nA = \"hunter2\"",
        "[ecs.secrets]A = \"hunter2\"",
        "[ecs.secrets]\n[A = \"hunter2\"",
        "[ecs.secrets]\nA = \"\"\"\nhunter2\n",
        "[ecs.secret]\nA = \"hunter2\"",
        "[secrets]\nA = \"hunter2\"",
        "[ecs.secrets]\nA = [\"hunter2\"]",
        "[ecs.secrets.A]\nenv = \"hunter2\"",
        "[ecs]\nsecerts = { A = \"hunter2\" }",
    ] {
        let mistakes = Config::parse("causeway.toml", secrets).unwrap_err();
        let text = format!("{}{mistakes:?}", mistakes.render(80, false));
        assert!(!text.contains("hunter2"), "{secrets}\n{text}");
    }
}
