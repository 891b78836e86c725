//! The template, the schema, and secrets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use causeway_config::{Config, Error, File, init_docs_template, init_template, schema};
use causeway_core::Address;
use std::{fs, path::Path};

const SECRETS: &str = r#"
[ecs.secrets]
CODER_OIDC_CLIENT_SECRET = "env:OIDC"
CODER_OAUTH2_GITHUB_CLIENT_SECRET = "file:secrets/github"
CODER_EXTERNAL_TOKEN_ENCRYPTION_KEYS = "aws-secret:arn:aws:secretsmanager:us-east-1:123456789012:secret:keys"
"#;

fn write(folder: &Path) -> File {
    let path = folder.join("causeway.toml");
    fs::write(&path, format!("{}{SECRETS}", init_template())).unwrap();
    File::read(&path).unwrap()
}

#[test]
fn the_template_is_a_right_file() {
    let config = Config::parse("causeway.toml", init_template()).unwrap();
    assert_eq!(config.stack.name, "coder");
    assert!(config.ecs.is_some());
}

/// What is commented out shows the default: with the comments taken away it has to mean the same.
#[test]
fn the_template_shows_the_defaults() {
    let examples = ["tags =", "wildcard_access_url", "digest =", "certificate_arn", "source ="];
    let mut optional = false;
    let shown: Vec<&str> = init_template()
        .lines()
        .filter_map(|line| {
            if line.starts_with("# [") || line.starts_with('[') {
                optional = line.starts_with('#');
            }
            let line = if optional { return None } else { line };
            match line.strip_prefix("# ") {
                Some(setting) if examples.iter().any(|e| setting.starts_with(e)) => None,
                Some(setting) if setting.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')) => {
                    Some(setting)
                }
                _ => Some(line),
            }
        })
        .collect();
    let shown = shown.join("\n");
    assert!(shown.contains("\nmulti_az = false"), "{shown}");
    assert_eq!(Config::parse("shown", &shown).unwrap(), Config::parse("template", init_template()).unwrap());
}

/// `UPDATE_SCHEMA=1` writes it anew.
#[test]
fn the_schema_in_docs_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/causeway.schema.json");
    let fresh = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == fresh,
        "docs/causeway.schema.json is stale: `deploy schema > docs/causeway.schema.json`"
    );
}

#[test]
fn the_template_of_a_site_shows_what_there_is() {
    let config = Config::parse("docs.toml", init_docs_template()).unwrap();
    assert!(config.ecs.is_none() && config.docs.is_some());
    // With the comments taken away it is still right, but for what excludes each other.
    let all: Vec<&str> = init_docs_template()
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.starts_with('[') || setting.starts_with('"') => setting,
            Some(setting) if setting.split_once(" = ").is_some_and(|(k, _)| !k.contains(' ')) => setting,
            _ => line,
        })
        .filter(|line| !line.starts_with("folder ="))
        .collect();
    let docs = Config::parse("all", &all.join("\n")).unwrap().docs.unwrap();
    assert!(docs.logs.is_some() && docs.waf.is_some() && docs.website.is_some());
}

/// The stack of a file, and the spec at an address of it.
fn wanted(text: &str, address: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.toml");
    fs::write(&path, text).unwrap();
    let file = File::read(&path).unwrap();
    let stack = file.stack(&file.given(&|_| None).unwrap()).unwrap();
    stack.check().unwrap();
    stack.nodes()[&Address::from(address)].spec.clone()
}

#[test]
fn coder_is_told_where_its_documentation_is() {
    const DOCS: &str = "\n[docs]\ndomain = \"docs.example.com\"\n[docs.dns]\nzone = \"example.com\"\n";
    let environment = |text: &str| {
        let task = wanted(text, "app/task").to_string();
        task.contains(r#""CODER_DOCS_URL":"https://docs.example.com""#)
    };
    assert!(!environment(init_template()));
    let both = format!("{}{DOCS}", init_template());
    assert!(environment(&both));
    // What the file says itself counts.
    let said = both.replacen("[ecs]\n", "[ecs]\ndocs_url = \"https://other.example.com\"\n", 1);
    assert!(!environment(&said));
    // One zone holds the names of both, and is looked for once, or made once.
    let record = wanted(&both, "docs/a-docs.example.com");
    assert_eq!(record["zone_id"], serde_json::json!({ "$ref": "dns/zone#zone_id" }));
}

/// Under `[eks]` it is a variable of the server like any other.
#[test]
fn coder_in_a_cluster_is_told_where_its_documentation_is() {
    const DOCS: &str = "\n[docs]\ndomain = \"docs.example.com\"\n[docs.dns]\nzone = \"example.com\"\n";
    let alone = include_str!("../../../examples/single-region.toml").to_owned();
    let told = |text: &str| {
        let server = wanted(text, "us-east-2/coder/deployment");
        let variables = server.pointer("/object/spec/template/spec/containers/0/env").unwrap();
        let named = |one: &&serde_json::Value| one["name"] == "CODER_DOCS_URL";
        let all: Vec<_> =
            variables.as_array().unwrap().iter().filter(named).map(|one| one["value"].clone()).collect();
        all
    };
    assert_eq!(told(&alone), Vec::<serde_json::Value>::new());
    let both = alone.clone() + DOCS;
    assert_eq!(told(&both), ["https://docs.example.com"]);
    let written = "\n[eks.coder.environment]\nCODER_DOCS_URL = \"https://other.example.com\"\n";
    assert_eq!(told(&(both + written)), ["https://other.example.com"]);
}

#[test]
fn secrets_are_looked_up_where_the_file_says() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    fs::write(folder.path().join("secrets/github"), "from a file\r\n").unwrap();
    let file = write(folder.path());
    let found = file.secrets(&|name| (name == "OIDC").then(|| "from outside".into())).unwrap();
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["ecs.secrets.CODER_OAUTH2_GITHUB_CLIENT_SECRET", "ecs.secrets.CODER_OIDC_CLIENT_SECRET"]
    );
    assert_eq!(found["ecs.secrets.CODER_OIDC_CLIENT_SECRET"].expose().unwrap(), "from outside");
    assert_eq!(found["ecs.secrets.CODER_OAUTH2_GITHUB_CLIENT_SECRET"].expose().unwrap(), "from a file");
}

#[test]
fn every_secret_that_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path());
    let mistakes = file.secrets(&|_| None).unwrap_err();
    let said: Vec<&str> = mistakes.all().iter().map(|m| m.message.as_str()).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0], "the environment variable OIDC is not set");
    assert!(
        said[1].starts_with("cannot read the secret in ") && said[1].contains("secrets/github"),
        "{}",
        said[1]
    );
    assert!(mistakes.position(&mistakes.all()[0]).0 > init_template().lines().count());
}

/// The template with `from` made into `to`, in a folder of its own.
fn edited(folder: &Path, from: &str, to: &str) -> File {
    let path = folder.join("causeway.toml");
    assert!(init_template().contains(from), "{from}");
    fs::write(&path, init_template().replacen(from, to, 1)).unwrap();
    File::read(&path).unwrap()
}

#[test]
fn what_is_to_be_protected_has_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let protect = |names: &str| edited(folder.path(), "# protect = []", &format!("protect = [{names}]"));
    let file = protect("\"database/instance\"");
    let stack = file.stack(&file.given_to_read()).unwrap();
    let protected: Vec<_> =
        stack.nodes().iter().filter(|(_, n)| n.protect).map(|(a, _)| a.0.as_str()).collect();
    assert!(protected.contains(&"database/instance"), "{protected:?}");
    let file = protect("\"databse/instance\"");
    let mistakes = file.stack(&file.given_to_read()).unwrap_err();
    assert_eq!(mistakes.all()[0].message, "there is no `databse/instance` to protect");
    assert!(mistakes.render(80, false).contains("protect = [\"databse/instance\"]"));
}

#[test]
fn a_move_that_makes_no_sense_is_told_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let moved = |text: &str| edited(folder.path(), "[guard]", &format!("{text}\n[guard]"));
    let given = |file: &File| file.given_to_read();
    let file = moved(
        "[[moved]]\nfrom = \"logs\"\nto = \"app/logs\"\n[[moved]]\nfrom = \"net/*\"\nto = \"network/*\"",
    );
    let stack = file.stack(&given(&file)).unwrap();
    assert_eq!(stack.moves().iter().map(|m| m.from.as_str()).collect::<Vec<_>>(), ["logs", "net/*"]);
    for (text, says) in [
        ("[[moved]]\nfrom = \"a\"\nto = \"b\"\n[[moved]]\nfrom = \"c*\"\nto = \"d\"", "write two addresses"),
        (
            "[[moved]]\nfrom = \"a\"\nto = \"b\"\n[[moved]]\nfrom = \"app/logs\"\nto = \"d\"",
            "is wanted itself",
        ),
        (
            "[[moved]]\nfrom = \"a\"\nto = \"b\"\n[[moved]]\nfrom = \"app/*\"\nto = \"d/*\"",
            "is wanted itself",
        ),
    ] {
        let file = moved(text);
        let mistakes = file.stack(&given(&file)).unwrap_err();
        let mistake = &mistakes.all()[0];
        assert!(mistake.message.contains(says), "{}", mistake.message);
        let line = std::fs::read_to_string(folder.path().join("causeway.toml")).unwrap();
        let first = line.lines().position(|l| l == "[[moved]]").unwrap() + 1;
        assert_eq!(mistakes.position(mistake).0, first + 4, "{text}");
    }
}

#[test]
fn a_missing_image_and_a_missing_secret_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let text = init_template().replacen("# source =", "source =", 1);
    fs::write(folder.path().join("causeway.toml"), format!("{text}{SECRETS}")).unwrap();
    let file = File::read(&folder.path().join("causeway.toml")).unwrap();
    let mistakes = file.given(&|_| Some("x".into())).unwrap_err();
    assert_eq!(mistakes.all().len(), 2, "{}", mistakes.render(80, false));
    assert!(mistakes.all()[0].help.as_ref().unwrap().contains("skopeo"), "{}", mistakes.render(80, false));
}

#[test]
fn the_rules_of_the_guard_come_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = edited(folder.path(), "# max_removals = 20", "max_removals = 3");
    let rules = file.config.rules(["database/instance".into()]);
    assert_eq!(rules.max_removals, Some(3));
    assert!(rules.permits.contains(&"database/instance".into()));
    assert_eq!(rules.public_ports, [80, 443].into());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = File::read(Path::new("nowhere/causeway.toml")).unwrap_err();
    assert!(matches!(&error, Error::Read { path, .. } if path == Path::new("nowhere/causeway.toml")));
    assert_eq!(error.to_string(), "cannot read nowhere/causeway.toml");
}

#[test]
fn what_is_claimed_is_said_to_the_stack() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("causeway.toml");
    let claims = |lines: &str| {
        let text = init_template().replace("[guard]", &format!("[adopt]\n{lines}\n\n[guard]"));
        fs::write(&path, text).unwrap();
        let file = File::read(&path).unwrap();
        file.stack(&file.given_to_read())
    };
    let stack = claims(
        "\"app/cluster\" = \"arn:aws:ecs:us-east-1:123456789012:cluster/old\"\n\"app/task\" = \"old:7\"",
    )
    .unwrap();
    assert_eq!(stack.claims()[&"app/cluster".into()], "old");
    assert_eq!(stack.claims()[&"app/task".into()], "old");
    let wrong =
        claims("\"app/clustre\" = \"x\"\n\"app/service\" = \"arn:aws:sns:us-east-1:1:x\"").unwrap_err();
    let said = format!("{wrong:?}");
    assert!(
        said.contains("did you mean `app/cluster`?") && said.contains("is the ARN of an aws.sns.topic"),
        "{said}"
    );
}
