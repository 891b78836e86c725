//! Keys and aliases against an emulator of KMS.
#![cfg(feature = "kms")]

mod by_hand;

use by_hand::{One, client};
use causeway_aws::{
    kms::{Alias, Key},
    policy::{PolicyDocument, Principal, Statement},
};
use causeway_core::Tags;

fn sample() -> Key {
    Key {
        description: Some("of the database".into()),
        enable_key_rotation: Some(true),
        deletion_window_days: Some(7),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..Key::default()
    }
}

fn changes() -> Vec<(Key, &'static [&'static str])> {
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
    let fields: &[&str] =
        &["description", "policy.statements", "enable_key_rotation", "tags.team", "tags.cost"];
    vec![(one, fields)]
}

#[tokio::test]
async fn key() {
    let Some(client) = client().await else { return };
    One::new(&client, "k1").life(sample(), changes()).await;
}

#[tokio::test]
async fn a_key_whose_creation_was_not_recorded_is_found_by_its_tag() {
    let Some(client) = client().await else { return };
    let (first, _) = One::new(&client, "k2").apply(&sample()).await;
    let mut again = One::new(&client, "k2");
    let (second, _) = again.apply(&sample()).await;
    assert_eq!(first.outputs, second.outputs);
    again.delete(&sample()).await;
    assert!(One::new(&client, "").read(&sample()).await.is_none());
}

#[tokio::test]
async fn alias() {
    let Some(client) = client().await else { return };
    let (mut one, mut two) = (One::new(&client, "k3"), One::new(&client, "k4"));
    let (first, _) = one.apply(&sample()).await;
    let (second, _) = two.apply(&sample()).await;
    let alias = |key: &causeway_aws::kms::KeyOutputs| Alias {
        name: "alias/coder".into(),
        target_key_id: key.key_id.clone().into(),
    };
    One::new(&client, "a1")
        .life(alias(&first.outputs), vec![(alias(&second.outputs), &["target_key_id"])])
        .await;
    one.delete(&sample()).await;
    two.delete(&sample()).await;
}
