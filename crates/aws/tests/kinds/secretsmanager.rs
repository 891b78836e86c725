//! Secrets through their lives in the sandbox.
#![cfg(feature = "secretsmanager")]

use crate::by_hand::One;
use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    id::Arn,
    secretsmanager::{Secret, SecretValue},
};
use causeway_core::{Name, Set, Stack, Tags, plan::Action, testing::Lifecycle};

const ACCOUNT: &str = "000000000537";

fn sample() -> Secret {
    Secret {
        description: Some("of the database".into()),
        kms_key_id: Some(
            Arn::from("arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555").into(),
        ),
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..Secret::new(Name::generated("coder/database"), SecretValue::generated())
    }
}

fn changes() -> [(&'static str, Secret); 1] {
    let value = SecretValue::Plain(causeway_core::Secret::new("p@ss/word"));
    let one = Secret {
        description: None,
        kms_key_id: None,
        value: Some(value),
        recovery_window_days: Some(7),
        tags: Tags::from([("team", "other")]),
        ..sample()
    };
    [("all of it", one)]
}

fn stack(secret: &Secret) -> Stack {
    let mut stack = Stack::new("secretsmanager");
    stack.region(REGION, |stack| stack.add("secret", secret.clone()));
    stack
}

#[tokio::test]
async fn secret() {
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack(&sample())).await;
    for (what, changed) in changes() {
        assert_eq!(life.change(what, stack(&changed)).await, [("secret".into(), Action::Update)]);
    }
    life.end().await;
}

#[tokio::test]
async fn a_generated_value_is_made_once_and_again_only_when_asked() {
    let client = client(ACCOUNT).await;
    let spec = Secret { recovery_window_days: Some(0), ..Secret::new("once", SecretValue::generated()) };
    let mut one = One::new(&client, "once1");
    let (live, _) = one.apply(&spec).await;
    let first = client.secretsmanager.value(&live.outputs.arn).await.unwrap();
    assert_eq!(first.expose().unwrap().len(), 43);

    // As after a crash: the same incarnation, nothing recorded.
    let mut again = One::new(&client, "once1");
    let (live, touched) = again.apply(&spec).await;
    assert_eq!(touched, ["recovery_window_days", "value"]);
    assert_eq!(client.secretsmanager.value(&live.outputs.arn).await.unwrap(), first);

    let longer = SecretValue::Generated { length: 64, exclude_punctuation: false, prefix: "sk-".into() };
    let (changed, _) = again.apply(&Secret { value: Some(longer), ..spec.clone() }).await;
    let second = client.secretsmanager.value(&live.outputs.arn).await.unwrap();
    assert!(second.expose().unwrap().starts_with("sk-"));
    assert_eq!(second.expose().unwrap().len(), 3 + 64);
    assert_ne!(changed.outputs.version_id, live.outputs.version_id);
    again.delete(&spec).await;
}

#[tokio::test]
async fn a_template_holds_the_values_of_others() {
    let client = client(ACCOUNT).await;
    let password = SecretValue::Plain(causeway_core::Secret::new("p@ss/word"));
    let password = Secret { recovery_window_days: Some(0), ..Secret::new("password", password) };
    let mut one = One::new(&client, "t1");
    let (made, _) = one.apply(&password).await;

    let url = |version: &str| Secret {
        recovery_window_days: Some(0),
        ..Secret::new(
            "url",
            SecretValue::Template {
                text: "postgres://coder:{password}@host:5432/coder?sslmode=require".into(),
                secrets: [("password".into(), made.outputs.arn.clone().into())].into(),
                versions: Set::from_iter([version]),
            },
        )
    };
    let mut two = One::new(&client, "t2");
    let (live, _) = two.apply(&url("1")).await;
    let value = client.secretsmanager.value(&live.outputs.arn).await.unwrap();
    assert_eq!(value.expose().unwrap(), "postgres://coder:p%40ss%2Fword@host:5432/coder?sslmode=require");
    let (_, touched) = two.apply(&url("2")).await;
    assert_eq!(touched, ["value"]);
    two.delete(&url("2")).await;
    one.delete(&password).await;
}

#[tokio::test]
async fn a_deleted_secret_of_the_same_name_is_restored() {
    let client = client(ACCOUNT).await;
    let plain = |value: &str| Secret {
        description: Some(value.into()),
        ..Secret::new("back", SecretValue::Plain(causeway_core::Secret::new(value)))
    };
    let mut one = One::new(&client, "b1");
    let (first, _) = one.apply(&plain("old")).await;
    one.delete(&plain("old")).await;
    let mut two = One::new(&client, "b2");
    let (second, _) = two.apply(&plain("new")).await;
    assert_eq!(second.outputs.arn, first.outputs.arn);
    assert_eq!(second.spec.description.as_deref(), Some("new"));
    let value = client.secretsmanager.value(&second.outputs.arn).await.unwrap();
    assert_eq!(value.expose().unwrap(), "new");
    two.delete(&Secret { recovery_window_days: Some(0), ..plain("new") }).await;
}
