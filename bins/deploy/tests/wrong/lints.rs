//! The table of what a lint refuses: how a file, or a program where no file leads there, comes to want it; at which
//! resource and field it is told; and that its name in `[guard] allow` lets it be.

use crate::{Nobody, deploy, document, files::RIGHT};
use aws_config::SdkConfig;
use causeway_aws::{
    Region,
    ec2::{BlockDevice, LaunchTemplate},
    iam::{Policy, PolicyDocument, Principal, Role, Statement},
    lint::LINTS,
    sqs::Queue,
};
use causeway_core::{Registry, Stack, guard::Rules, lint::lint, wanted::unplanned};
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, fs};

const THREE_REGIONS: &str = include_str!("../../../../examples/ai-coder.toml");

enum From {
    /// An edit of a configuration in which nothing is wrong.
    File(&'static str, &'static str, &'static str),
    /// A stack that a program builds.
    Program(fn(&mut Stack)),
}

struct Row {
    lint: &'static str,
    from: From,
    address: &'static str,
    field: &'static str,
    says: &'static str,
}

const fn row(
    lint: &'static str,
    from: From,
    address: &'static str,
    field: &'static str,
    says: &'static str,
) -> Row {
    Row { lint, from, address, field, says }
}

const LINTED: &[Row] = &[
    row(
        "open-port",
        From::File(RIGHT, "max_removals = 20", "public_ports = [443]"),
        "security/http-in-1",
        "peer",
        "would open port 80 to the whole internet; narrow the range",
    ),
    row(
        "public-cluster-endpoint",
        From::File(THREE_REGIONS, "203.0.113.0/24", "0.0.0.0/0"),
        "us-west-2/cluster/cluster",
        "public_access_cidrs",
        "has 0.0.0.0/0: the whole internet could reach the API of the cluster; name the ranges",
    ),
    row(
        "unencrypted-storage",
        From::Program(|stack| {
            let queue = Queue { sqs_managed_sse_enabled: Some(false), ..Queue::new("q") };
            stack.add("it", queue);
        }),
        "it",
        "sqs_managed_sse_enabled",
        "is off, and there is no key of KMS",
    ),
    row(
        "unencrypted-storage",
        From::Program(|stack| {
            let disk = BlockDevice { encrypted: false, ..BlockDevice::gp3("/dev/xvda", 20) };
            let template = LaunchTemplate { block_device_mappings: vec![disk], ..LaunchTemplate::new("t") };
            stack.add("it", template);
        }),
        "it",
        "block_device_mappings./dev/xvda.encrypted",
        "the disk would not be encrypted",
    ),
    row(
        "wildcard-principal",
        From::Program(|stack| {
            let send = Statement::allow(["sqs:SendMessage"], [""; 0]).to([Principal::everybody()]);
            let queue = Queue { policy: Some(PolicyDocument::new([send])), ..Queue::new("q") };
            stack.add("it", queue);
        }),
        "it",
        "policy",
        "in its statement 1 lets everybody in; name who it is for",
    ),
    row(
        "wildcard-principal",
        From::Program(|stack| {
            let provider = Principal::federated("arn:aws:iam::1:oidc-provider/oidc.eks/id".to_owned());
            let trust = Statement::assume("sts:AssumeRoleWithWebIdentity", provider);
            let any = ["system:serviceaccount:*:*"];
            stack.add("it", Role::trusting("r", [trust.when("StringLike", "oidc.eks/id:sub", any)]));
        }),
        "it",
        "assume_role_policy",
        "trusts more than one service account: `system:serviceaccount:*:*`; name one",
    ),
    row(
        "broad-permissions",
        From::Program(|stack| {
            let pass = Statement::allow(["iam:PassRole"], ["*"]);
            stack.add("it", Policy::new("p", PolicyDocument::new([pass])));
        }),
        "it",
        "document",
        "allows iam:PassRole on every role",
    ),
    row(
        "broad-permissions",
        From::Program(|stack| {
            let become_anybody = Statement::allow(["sts:*"], ["*"]);
            stack.add("it", Policy::new("p", PolicyDocument::new([become_anybody])));
        }),
        "it",
        "document",
        "allows sts:*",
    ),
    row(
        "unpinned-version",
        From::File(RIGHT, "v2.28.3", "latest"),
        "app/image-digest",
        "tag",
        "is `latest`, which is something else after the next push; name the tag",
    ),
    row(
        "out-of-support",
        From::File(THREE_REGIONS, "version = \"1.35\"", "version = \"1.31\""),
        "us-west-2/cluster/cluster",
        "version",
        "is 1.31, whose standard support ended on 2025-11-26",
    ),
    row(
        "overlapping-ranges",
        From::File(
            THREE_REGIONS,
            "[eks.regions.eu-west-2]",
            "[eks.regions.eu-west-2]\ncidr = \"10.1.0.0/16\"",
        ),
        "eu-west-2/network/vpc",
        "cidr_block",
        "of `us-west-2/network/vpc` in us-west-2 has the same addresses; give each network its own",
    ),
    row(
        "backups-off",
        From::File(RIGHT, "version = \"16\"", "backup_days = 0"),
        "database/instance",
        "backup_retention_period",
        "is 0: no backups would be made; keep them for 7 days",
    ),
];

/// What `validate` refuses of `text`, with its exit code.
fn validated(text: &str, nobody: &Nobody) -> (Option<i32>, Vec<Json>) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("causeway.toml"), text).unwrap();
    let output = deploy(folder.path(), &nobody.address, &["validate", "--json"]);
    let refusals = document(&output)["result"]["refusals"].as_array().cloned();
    (output.status.code(), refusals.unwrap_or_else(|| panic!("{output:?}")))
}

fn linted(build: fn(&mut Stack), rules: &Rules) -> Vec<Json> {
    let mut registry = Registry::new();
    causeway_aws::register(&mut registry, SdkConfig::builder().build());
    let mut stack = Stack::new("program");
    stack.at(&Region::new("us-east-2"), build);
    stack.check().unwrap();
    lint(&registry, &unplanned(&stack), rules).iter().map(|refusal| json!(refusal)).collect()
}

/// What is wrong with how `row` is told, if anything.
fn told(row: &Row, nobody: &Nobody) -> Result<(), String> {
    let (refused, let_be) = match row.from {
        From::File(right, from, to) => {
            assert_eq!(
                validated(right, nobody),
                (Some(0), vec![]),
                "nothing is wrong with the file as it is"
            );
            assert!(right.contains(from), "`{from}` is not in the right file");
            let wrong = right.replacen(from, to, 1);
            let (code, refused) = validated(&wrong, nobody);
            if code != Some(101) {
                return Err(format!("exit {code:?}"));
            }
            let allow = format!("[guard]\nallow = [\"{}\"]", row.lint);
            let (code, let_be) = validated(&wrong.replacen("[guard]", &allow, 1), nobody);
            if code != Some(0) {
                return Err(format!("exit {code:?} although it is allowed"));
            }
            (refused, let_be)
        }
        From::Program(build) => {
            let allow = Rules { allow: [row.lint.to_owned()].into(), ..Rules::default() };
            (linted(build, &Rules::default()), linted(build, &allow))
        }
    };
    let fits = |refusal: &Json| {
        let says = refusal["why"].as_str().unwrap_or_default();
        let way = format!("or let it be: allow = [\"{}\"] in [guard]", row.lint);
        refusal["rule"] == row.lint
            && refusal["address"] == row.address
            && refusal["field"] == row.field
            && says.contains(row.says)
            && says.ends_with(&way)
    };
    if !refused.iter().any(fits) || refused.iter().any(|r| r["rule"] != row.lint) || !let_be.is_empty() {
        return Err(format!("{refused:#?}\nand with its name allowed {let_be:#?}"));
    }
    Ok(())
}

#[test]
fn every_lint_is_told_at_its_field_and_can_be_let_be_and_nobody_is_called() {
    let nobody = Nobody::listen();
    let wrong: Vec<String> = LINTED
        .iter()
        .filter_map(|row| told(row, &nobody).err().map(|why| format!("{}: {why}", row.lint)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), LINTED.len(), wrong.join("\n"));
    assert_eq!(nobody.visits(), 0, "somebody was called");
    let rows: BTreeSet<&str> = LINTED.iter().map(|row| row.lint).collect();
    assert_eq!(rows, LINTS.iter().map(|lint| lint.name).collect(), "a row for each lint");
}
