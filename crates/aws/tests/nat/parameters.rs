//! Parameters of Systems Manager.

use crate::{
    change,
    in_sandbox::{REGION, client, registry},
    output, updates,
};
use causeway_aws::{
    AwsStack,
    ssm::{Parameter, ParameterValue},
};
use causeway_core::{Secret, Stack, Tags, testing::Lifecycle};

fn stack(plain: &str, secret: &str, description: Option<&str>) -> Stack {
    let mut stack = Stack::new("parameters");
    stack.region(REGION, |stack| {
        let config = Parameter::secure("nat-config", ParameterValue::Plain(plain.into()));
        let description = description.map(str::to_owned);
        let config = Parameter { description, tags: Tags::from([("Name", "nat")]), ..config };
        stack.add("config", config);
        let secret = ParameterValue::Secret(Secret::new(secret));
        stack.add("secret", Parameter::secure("/coder/secret", secret));
    });
    stack
}

#[tokio::test]
async fn row_030_parameters_are_encrypted_and_follow_what_is_wanted() {
    const ACCOUNT: &str = "200000000028";
    let ssm = &client(ACCOUNT).await.ssm;
    let value = async |name: &str| {
        let found = ssm.get_parameter().name(name).with_decryption(true).send().await.unwrap();
        let found = found.parameter.unwrap();
        (found.r#type.unwrap().as_str().to_owned(), found.value.unwrap())
    };
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack("{}", "one", None)).await;
    assert_eq!(value("nat-config").await, ("SecureString".into(), "{}".into()));
    assert_eq!(value("/coder/secret").await, ("SecureString".into(), "one".into()));
    assert!(!life.outputs("config").await.to_string().contains("{}"));

    let changed = change(&mut life, "values", stack(r#"{"a":1}"#, "two", None)).await;
    assert_eq!(changed, updates(&["config", "secret"]));
    assert_eq!(value("nat-config").await.1, r#"{"a":1}"#);
    assert_eq!(value("/coder/secret").await.1, "two");
    let changed = change(&mut life, "described", stack(r#"{"a":1}"#, "two", Some("for the agent"))).await;
    assert_eq!(changed, updates(&["config"]));
    assert_eq!(value("nat-config").await.1, r#"{"a":1}"#);

    life.drift("written by hand", "config", async {
        let put = ssm.put_parameter().name("nat-config").value("by hand").overwrite(true);
        put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send().await.unwrap();
    })
    .await;
    assert_eq!(value("nat-config").await.1, r#"{"a":1}"#);
    assert_eq!(output(&life, "config", "name").await, "nat-config");
    life.end().await;
    assert!(ssm.describe_parameters().send().await.unwrap().parameters().is_empty());
}
