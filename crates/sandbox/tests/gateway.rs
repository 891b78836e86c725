//! The gateway's corrections and faults as boto3 sees them, in front of the real emulators.

use std::process::Command;

use causeway_sandbox::{Sandbox, shared};
use serde_json::Value;

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
    eprintln!("{errors}");
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
