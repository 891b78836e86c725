//! Keys and aliases through their lives in the sandbox.
#![cfg(feature = "kms")]

use crate::by_hand::One;
use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    kms::{Alias, Key},
    policy::{PolicyDocument, Principal, Statement},
};
use causeway_core::{Stack, Tags, plan::Action, testing::Lifecycle};

const ACCOUNT: &str = "000000000533";

fn sample() -> Key {
    Key {
        description: Some("of the database".into()),
        enable_key_rotation: Some(true),
        deletion_window_days: Some(7),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..Key::default()
    }
}

fn changes() -> [(&'static str, Key); 2] {
    let policy = PolicyDocument::new([
        Statement::allow(["kms:*"], ["*"]).to([Principal::aws("123456789012")]),
        Statement::allow(["kms:Encrypt*", "kms:Decrypt*"], ["*"])
            .to([Principal::service("logs.us-east-1.amazonaws.com")]),
    ]);
    let one = Key {
        description: Some("of the logs".into()),
        policy: Some(policy),
        enable_key_rotation: Some(false),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    let two = Key { policy: None, description: None, ..one.clone() };
    [("all of it", one), ("less said", two)]
}

fn stack(key: &Key, to_other: bool) -> Stack {
    let mut stack = Stack::new("kms");
    stack.region(REGION, |stack| {
        let key = stack.add("key", key.clone());
        let other = stack.add("other", Key::default());
        let target = if to_other { &other } else { &key };
        stack.add("alias", Alias { name: "alias/coder".into(), target_key_id: target.key_id.clone() });
    });
    stack
}

#[tokio::test]
async fn key_and_alias() {
    let kms = &client(ACCOUNT).await.kms;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(&sample(), false)).await;
    for (what, changed) in changes() {
        assert_eq!(life.change(what, stack(&changed, false)).await, [("key".into(), Action::Update)]);
    }
    let last = &changes()[1].1;
    assert_eq!(life.change("the other", stack(last, true)).await, [("alias".into(), Action::Update)]);
    let id = life.outputs("key").await["key_id"].as_str().expect("an id").to_owned();
    life.drift("rotated", "key", async {
        kms.enable_key_rotation().key_id(&id).send().await.expect("the emulator takes it");
    })
    .await;
    life.end().await;
}

#[tokio::test]
async fn a_key_whose_creation_was_not_recorded_is_found_by_its_tag() {
    let client = client(ACCOUNT).await;
    let (first, _) = One::new(&client, "k2").apply(&sample()).await;
    let mut again = One::new(&client, "k2");
    let (second, _) = again.apply(&sample()).await;
    assert_eq!(first.outputs, second.outputs);
    again.delete(&sample()).await;
    assert!(One::new(&client, "").read(&sample()).await.is_none());
}
