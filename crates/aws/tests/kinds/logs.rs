//! Log groups through their life in the sandbox.
#![cfg(feature = "logs")]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{AwsStack, id::Arn, logs::LogGroup};
use causeway_core::{Stack, Tags, plan::Action, testing::Lifecycle};

const ACCOUNT: &str = "000000000531";
const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555";

fn sample() -> LogGroup {
    LogGroup { tags: Tags::from([("team", "platform"), ("cost", "1")]), ..LogGroup::new("/coder/server", 30) }
}

fn changes() -> [(&'static str, LogGroup); 2] {
    let one = LogGroup {
        kms_key_id: Some(Arn::from(KEY).into()),
        retention_in_days: Some(90),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    let two = LogGroup { kms_key_id: None, retention_in_days: None, ..one.clone() };
    [("a key, and longer", one), ("for ever, without a key", two)]
}

fn stack(wanted: &LogGroup) -> Stack {
    let mut stack = Stack::new("logs");
    stack.region(REGION, |stack| {
        stack.add("group", wanted.clone());
        // Begins like the other one, and must not be taken for it.
        stack.add("beside", LogGroup::new("/coder/server-2", 1));
    });
    stack
}

#[tokio::test]
async fn log_group() {
    let logs = &client(ACCOUNT).await.logs;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(&sample())).await;
    life.drift("kept for ever", "group", async {
        let forever = logs.delete_retention_policy().log_group_name("/coder/server");
        forever.send().await.expect("the emulator takes it");
    })
    .await;
    for (what, changed) in changes() {
        assert_eq!(life.change(what, stack(&changed)).await, [("group".into(), Action::Update)]);
    }
    life.end().await;
}
