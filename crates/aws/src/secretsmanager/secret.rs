//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>

use super::SecretValue;
use crate::{
    Aws, Call,
    id::{Arn, key_as_wanted},
    shown::shown,
};
use aws_sdk_secretsmanager::{
    operation::describe_secret::DescribeSecretOutput,
    types::{SecretListEntry, Tag},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Value,
    diff::{Diff, is_unchanged},
    error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// A secret and what it holds.
///
/// Looking at it never reads the value, so a value that somebody else wrote is not noticed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Secret {
    /// Unique in the account and region.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// The key that it is encrypted with. `None`: `aws/secretsmanager`.
    #[serde(default)]
    pub kms_key_id: Option<Value<Arn>>,
    /// How many days it can be restored after it was deleted, 7 to 30; 0: not at all. `None`: 30.
    #[serde(default)]
    pub recovery_window_days: Option<i64>,
    /// What it holds. `None`: somebody else writes it.
    #[serde(default)]
    pub value: Option<SecretValue>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a secret tells others.
    pub struct SecretOutputs => SecretRefs {
        /// With the six characters that AWS adds to the name.
        pub arn: Arn,
        /// The name.
        pub name: String,
        /// The version that is in force, if there is one yet: another one after every write.
        pub version_id: Option<String>,
    }
}

impl Secret {
    /// A secret that holds `value`.
    pub fn new(name: impl Into<Name>, value: SecretValue) -> Self {
        Secret {
            name: name.into(),
            description: None,
            kms_key_id: None,
            recovery_window_days: None,
            value: Some(value),
            tags: Tags::default(),
        }
    }
}

impl Resource for Secret {
    const KIND: &'static str = "aws.secretsmanager.secret";
    // There is a token too, and it is sent, but it recognises only the same request: a generated value is another
    // one every time, so that a create is not simply repeated.
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const MOVES: &'static [&'static str] = &["version_id"];
    const DATA: bool = true;
    type Client = Aws;
    type Outputs = SecretOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        if let Some(recorded) = &cx.recorded
            && cx.is_survey()
            && let Some(listed) = cx.client.secretsmanager.listed.get(name.clone()).await?
        {
            let live = self.live(cx.instance, described(listed));
            if self.is_as_left(recorded, &live)? {
                return Ok(Some(live));
            }
        }
        let found = describe(cx, &name).await?;
        // AWS shows what can still be restored.
        Ok(found.filter(|secret| secret.deleted_date.is_none()).map(|secret| self.live(cx.instance, secret)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let secrets = &cx.client.secretsmanager;
        let name = cx.name(&self.name);
        let key = self.kms_key_id.as_ref().map(Value::get).transpose()?;
        let value = match &self.value {
            Some(value) => Some(value.make(secrets).await?),
            None => None,
        };
        let created = secrets
            .create_secret()
            .name(&name)
            .client_request_token(cx.token())
            .set_description(self.description.clone())
            .set_kms_key_id(key.map(ToString::to_string))
            .set_secret_string(value.clone())
            .set_tags(Some(self.tags.iter().map(|(key, value)| tag(key, value)).collect()))
            .send()
            .await;
        // This code has several meanings, so what is there decides.
        let refused =
            created.as_ref().err().and_then(ProvideErrorMetadata::code) == Some("InvalidRequestException");
        if refused
            && let Some(there) = describe(cx, &name).await?
            && there.deleted_date.is_some()
        {
            return self.restore(cx, there, value).await;
        }
        created.call("secretsmanager:CreateSecret")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let secrets = &cx.client.secretsmanager;
        let arn = live.outputs.arn.as_str();
        if diff.touches("description") || diff.touches("kms_key_id") {
            let mut update = secrets.update_secret().secret_id(arn);
            if diff.touches("description") {
                update = update.description(self.description.clone().unwrap_or_default());
            }
            if diff.touches("kms_key_id") {
                // Empty is the key of the service.
                let key = self.kms_key_id.as_ref().map(Value::get).transpose()?;
                update = update.kms_key_id(key.map(ToString::to_string).unwrap_or_default());
            }
            update.send().await.call("secretsmanager:UpdateSecret")?;
        }
        if diff.touches("value")
            && let Some(value) = &self.value
            && !self.is_made_already(cx, live)
        {
            let value = value.make(secrets).await?;
            let put = secrets.put_secret_value().secret_id(arn).secret_string(value);
            let put = put.client_request_token(token_after(cx, live.outputs.version_id.as_deref()));
            put.send().await.call("secretsmanager:PutSecretValue")?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect();
            let set = secrets.tag_resource().secret_id(arn).set_tags(Some(set)).send().await;
            set.call("secretsmanager:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = secrets.untag_resource().secret_id(arn).set_tag_keys(Some(keys)).send().await;
            untag.call("secretsmanager:UntagResource")?;
        }
        // The recovery window is only needed when it is deleted.
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.secretsmanager.delete_secret().secret_id(live.outputs.arn.as_str());
        let delete = match self.recovery_window_days {
            Some(0) => delete.force_delete_without_recovery(true),
            days => delete.set_recovery_window_in_days(days),
        };
        delete.send().await.call("secretsmanager:DeleteSecret").found()?;
        Ok(())
    }
}

impl Secret {
    fn live(&self, instance: &str, secret: DescribeSecretOutput) -> Live<Self> {
        let version_id = current(&secret);
        let tags = Tags::live(
            secret.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))),
        );
        let name = secret.name.unwrap_or_default();
        Live {
            spec: Secret {
                name: self.name.live(instance, &name),
                description: shown(self.description.as_ref(), secret.description, String::new()),
                kms_key_id: key_as_wanted(self.kms_key_id.as_ref(), secret.kms_key_id.as_deref()),
                recovery_window_days: None,
                value: None,
                tags: tags.clone(),
            },
            outputs: SecretOutputs { arn: secret.arn.unwrap_or_default().into(), name, version_id },
            status: Status::Ready,
            owner: tags.owner(),
        }
    }

    /// Whether `live` is what the last apply left, which is this; what it holds is in the version.
    fn is_as_left(&self, recorded: &SecretOutputs, live: &Live<Self>) -> Result<bool, Error> {
        let json = |secret: &Secret| {
            let json = serde_json::to_value(Secret { value: None, ..secret.clone() });
            json.map_err(|source| Error::Decode { what: "spec", kind: Self::KIND, source })
        };
        let there = &live.outputs;
        Ok(there.arn == recorded.arn
            && there.version_id == recorded.version_id
            && is_unchanged(&json(self)?, &json(&live.spec)?))
    }

    /// Whether this incarnation's create has generated the value and only its end was not recorded. Generating it
    /// again would be harmless then, but not when the journal was lost and rebuilt: the value may be in use.
    fn is_made_already(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> bool {
        matches!(self.value, Some(SecretValue::Generated { .. }))
            && cx.recorded.is_none()
            && live.outputs.version_id.is_some()
    }

    /// Takes up a deleted secret of this name instead of a new one, which AWS refuses until it is gone for good.
    async fn restore(
        &self,
        cx: &Cx<'_, Self>,
        there: DescribeSecretOutput,
        value: Option<String>,
    ) -> Result<(), Error> {
        let secrets = &cx.client.secretsmanager;
        let version = current(&there);
        let arn = there.arn.unwrap_or_default();
        secrets.restore_secret().secret_id(&arn).send().await.call("secretsmanager:RestoreSecret")?;
        let key = self.kms_key_id.as_ref().map(Value::get).transpose()?;
        // The value before the tags: a secret that is tagged as ours and has a value counts as made.
        let update = secrets
            .update_secret()
            .secret_id(&arn)
            .client_request_token(token_after(cx, version.as_deref()))
            .description(self.description.clone().unwrap_or_default())
            .kms_key_id(key.map(ToString::to_string).unwrap_or_default())
            .set_secret_string(value);
        update.send().await.call("secretsmanager:UpdateSecret")?;
        let tags = self.tags.iter().map(|(key, value)| tag(key, value)).collect();
        let set = secrets.tag_resource().secret_id(&arn).set_tags(Some(tags)).send().await;
        set.call("secretsmanager:TagResource")?;
        Ok(())
    }
}

/// What the list shows of a secret, as if it had been asked for alone.
fn described(listed: SecretListEntry) -> DescribeSecretOutput {
    DescribeSecretOutput::builder()
        .set_arn(listed.arn)
        .set_name(listed.name)
        .set_description(listed.description)
        .set_kms_key_id(listed.kms_key_id)
        .set_tags(listed.tags)
        .set_version_ids_to_stages(listed.secret_versions_to_stages)
        .build()
}

async fn describe(cx: &Cx<'_, Secret>, name: &str) -> Result<Option<DescribeSecretOutput>, Error> {
    let found = cx.client.secretsmanager.describe_secret().secret_id(name).send().await;
    found.call("secretsmanager:DescribeSecret").found()
}

/// Repeated after the same version, it names the same write.
fn token_after(cx: &Cx<'_, Secret>, version: Option<&str>) -> String {
    cx.token_for(&format!("value after {}", version.unwrap_or_default()))
}

fn current(secret: &DescribeSecretOutput) -> Option<String> {
    let versions = secret.version_ids_to_stages.as_ref()?;
    let (id, _) = versions.iter().find(|(_, stages)| stages.iter().any(|stage| stage == "AWSCURRENT"))?;
    Some(id.clone())
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_shows_no_value_and_recognises_the_key() {
        let wanted = Secret {
            kms_key_id: Some(Arn::from("arn:aws:kms:us-east-1:1:key/abc").into()),
            ..Secret::new(Name::generated("db"), SecretValue::generated())
        };
        let there = DescribeSecretOutput::builder()
            .name("db-i1")
            .arn("arn:aws:secretsmanager:us-east-1:1:secret:db-i1-AbCdEf")
            .description("")
            .kms_key_id("abc")
            .version_ids_to_stages("v1", vec!["AWSPREVIOUS".into()])
            .version_ids_to_stages("v2", vec!["AWSCURRENT".into()])
            .tags(tag(Tags::STACK, "s"))
            .build();
        let live = wanted.live("i1", there);
        let json = serde_json::to_value(&live.spec).unwrap();
        assert!(json["value"].is_null() && json["description"].is_null());
        assert_eq!(live.spec.kms_key_id, wanted.kms_key_id);
        assert_eq!(live.spec.name, wanted.name);
        assert_eq!(live.outputs.version_id.as_deref(), Some("v2"));
    }
}
