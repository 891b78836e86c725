//! The gateway's corrections and faults as boto3 sees them, in front of the real emulators.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::process::Command;

use causeway_sandbox::gateway::{Act, Rule};
use causeway_sandbox::{Sandbox, account, shared};
use serde_json::{Value, json};

const PRELUDE: &str = include_str!("gateway.py");

fn warm() -> &'static Sandbox {
    shared().unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(error)))
}

/// Runs one scenario of `gateway.py` as `account`.
fn scenario(account: &str, name: &str) -> Value {
    let sandbox = warm();
    let (key, secret) = sandbox.credentials(account).unwrap();
    let output = Command::new(&sandbox.installed().python)
        .args(["-c", PRELUDE, name])
        .envs(sandbox.env())
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_bad_revision_is_rolled_back_and_the_old_one_serves() {
    scenario("000000000101", "rollback");
}

#[test]
fn targets_are_probed_and_sick_tasks_are_replaced() {
    scenario("000000000102", "targets");
}

#[test]
fn tokens_dry_runs_and_dependencies_are_kept() {
    scenario("000000000103", "tokens");
}

#[test]
fn changes_that_come_at_once_are_all_made() {
    scenario("000000000108", "at_once");
}

#[test]
fn load_balancers_are_refused_as_by_aws() {
    scenario("000000000104", "balancers");
}

#[test]
fn policies_and_task_definitions_are_checked() {
    scenario("000000000105", "policies");
}

#[test]
fn a_database_instance_is_a_real_server_with_its_password() {
    let endpoint = scenario("000000000106", "databases");
    let port = endpoint["Port"].as_u64().unwrap();
    let connect = |password: &str| {
        let config = format!("host=127.0.0.1 port={port} user=coder dbname=coder password='{password}'");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            client.query_one("select current_user", &[]).await.map(|row| row.get::<_, String>(0))
        })
    };
    assert_eq!(connect("second").unwrap(), "coder");
    assert!(connect("first-pass\\'word").is_err(), "the old password must not work");
    scenario("000000000106", "end_of_databases");
}

#[test]
fn throttling_is_understood_in_every_protocol() {
    let account = "000000000107";
    let (key, _) = account::credentials(account).unwrap();
    let gateway = warm().gateway();
    let plain = scenario(account, "codes");
    assert!(plain.as_object().unwrap().values().all(|answer| answer == "ok"), "{plain}");

    let rule = gateway.rules().add(Rule::new("*", Act::Throttle).access_key(&key));
    let throttled = scenario(account, "codes");
    gateway.rules().remove(rule);
    for (service, answer) in throttled.as_object().unwrap() {
        let want = match service.as_str() {
            "ec2" => "RequestLimitExceeded 503",
            "s3" => "SlowDown 503",
            "eks" => "TooManyRequestsException 429",
            "iam" | "elbv2" | "rds" | "route53" | "cloudfront" | "sns" => "Throttling 400",
            _ => "ThrottlingException 400",
        };
        assert_eq!(answer, want, "{service}");
    }

    let rule = gateway.rules().add(Rule::new("*", Act::ErrorAfter).access_key(&key));
    let failed = scenario(account, "codes");
    gateway.rules().remove(rule);
    assert!(
        failed.as_object().unwrap().values().all(|one| one.as_str().unwrap().ends_with(" 500")),
        "{failed}"
    );

    let rule = gateway.rules().add(Rule::new("*", Act::CutBefore).access_key(&key));
    let cut = scenario(account, "codes");
    gateway.rules().remove(rule);
    assert!(cut.as_object().unwrap().values().all(|one| one == &json!("ConnectionClosedError")), "{cut}");
    assert!(!gateway.mutations().iter().any(|call| call.access_key == key), "only reads were sent");
}
