//! A parameter: <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>

use crate::{
    Aws, Call,
    id::{Arn, key_as_wanted},
    shown::shown,
};
use aws_sdk_ssm::types::{ParameterMetadata, ParameterTier, ParameterType, ResourceTypeForTagging, Tag};
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Secret, Status, Tags, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// A named text, encrypted or not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Parameter {
    /// Unique in the account and region; may be a path.
    pub name: Name,
    /// `SecureString`: encrypted; `String`.
    pub parameter_type: String,
    /// What it holds. `None` is only ever shown.
    pub value: Option<ParameterValue>,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// `Standard`: 4 KiB, free; `Advanced`: 8 KiB. An advanced one never becomes a standard one again. `None`: AWS
    /// decides (`Standard`).
    #[serde(default)]
    pub tier: Option<String>,
    /// The key of a `SecureString`. `None`: `alias/aws/ssm`.
    #[serde(default)]
    pub key_id: Option<Value<Arn>>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

/// What a parameter holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterValue {
    /// Anybody may know it: it is in plans and journals, and another one is noticed. Encrypted in AWS all the same, if
    /// that is what `parameter_type` says.
    Plain(Value<String>),
    /// Never shown and never read, so one that somebody else wrote is not noticed.
    Secret(Secret),
}

outputs! {
    /// What a parameter tells others.
    pub struct ParameterOutputs => ParameterRefs {
        /// `arn:aws:ssm:..:parameter/..`
        pub arn: Arn,
        /// The name.
        pub name: String,
        /// Counts the changes.
        pub version: i64,
    }
}

/// The key that encrypts where none is given.
const AWS_KEY: &str = "alias/aws/ssm";

impl Parameter {
    /// An encrypted parameter.
    pub fn secure(name: impl Into<Name>, value: ParameterValue) -> Self {
        Parameter {
            name: name.into(),
            parameter_type: ParameterType::SecureString.as_str().to_owned(),
            value: Some(value),
            description: None,
            tier: None,
            key_id: None,
            tags: Tags::default(),
        }
    }

    fn text(&self) -> Result<&str, Error> {
        match &self.value {
            Some(ParameterValue::Plain(text)) => Ok(text.get()?),
            Some(ParameterValue::Secret(secret)) => Ok(secret.expose()?),
            None => Err(Error::Invalid("a parameter needs a value".into())),
        }
    }
}

impl Resource for Parameter {
    const KIND: &'static str = "aws.ssm.parameter";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name", "parameter_type"];
    const MOVES: &'static [&'static str] = &["version"];
    type Client = Aws;
    type Outputs = ParameterOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ssm = &cx.client.ssm;
        let name = cx.name(&self.name);
        let recorded = cx.recorded.as_ref();
        let (found, confirmed) = tokio::join!(
            ssm.parameters.get(name.clone()),
            cx.client.tag_index.confirms(cx, recorded.map(|recorded| &recorded.arn), &self.tags)
        );
        let Some(found) = found? else { return Ok(None) };
        // Every write makes another version, so the one that the last apply left holds what it wrote. One that was made
        // anew begins with 1 again, but without our tags.
        let as_left =
            confirmed.is_some() && recorded.is_some_and(|recorded| recorded.version == found.version());
        let value = match &self.value {
            Some(ParameterValue::Plain(text)) if as_left => Some(text.get()?.clone()),
            Some(ParameterValue::Plain(_)) => ssm.values.get(name.clone()).await?,
            Some(ParameterValue::Secret(_)) | None => None,
        };
        let tags = match confirmed {
            Some(tags) => tags,
            None => ssm.tags(&name).await?,
        };
        Ok(Some(self.live(cx.instance, &found, value, tags)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let tags = self.tags.iter().map(|(key, value)| tag(key, value)).collect::<Result<Vec<_>, _>>()?;
        let key = self.key_id.as_ref().map(Value::get).transpose()?;
        cx.client
            .ssm
            .put_parameter()
            .name(cx.name(&self.name))
            .r#type(self.parameter_type.as_str().into())
            .value(self.text()?)
            .set_description(self.description.clone())
            .set_tier(self.tier.as_deref().map(ParameterTier::from))
            .set_key_id(key.map(ToString::to_string))
            .set_tags(Some(tags))
            .send()
            .await
            .call("ssm:PutParameter")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let ssm = &cx.client.ssm;
        let name = live.outputs.name.as_str();
        if ["value", "description", "tier", "key_id"].into_iter().any(|field| diff.touches(field)) {
            let key = self.key_id.as_ref().map(Value::get).transpose()?.map(ToString::to_string);
            let key = key.or_else(|| diff.touches("key_id").then(|| AWS_KEY.to_owned()));
            let description = self.description.clone();
            let description = description.or_else(|| diff.touches("description").then(String::new));
            ssm.put_parameter()
                .name(name)
                .r#type(self.parameter_type.as_str().into())
                .overwrite(true)
                .value(self.text()?)
                .set_description(description)
                .set_tier(self.tier.as_deref().map(ParameterTier::from))
                .set_key_id(key)
                .send()
                .await
                .call("ssm:PutParameter")?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        let of = ResourceTypeForTagging::Parameter;
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<Vec<_>, _>>()?;
            let add = ssm.add_tags_to_resource().resource_type(of.clone()).resource_id(name);
            add.set_tags(Some(set)).send().await.call("ssm:AddTagsToResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let remove = ssm.remove_tags_from_resource().resource_type(of).resource_id(name);
            remove.set_tag_keys(Some(keys)).send().await.call("ssm:RemoveTagsFromResource")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.ssm.delete_parameter().name(&live.outputs.name).send().await;
        delete.call("ssm:DeleteParameter").found()?;
        Ok(())
    }
}

impl Parameter {
    fn live(
        &self,
        instance: &str,
        found: &ParameterMetadata,
        value: Option<String>,
        tags: Tags,
    ) -> Live<Self> {
        let name = found.name().unwrap_or_default();
        let key = found.key_id().filter(|key| *key != AWS_KEY);
        Live {
            spec: Parameter {
                name: self.name.live(instance, name),
                parameter_type: found.r#type().map_or("", |t| t.as_str()).to_owned(),
                value: value.map(|text| ParameterValue::Plain(text.into())),
                description: shown(
                    self.description.as_ref(),
                    found.description().map(str::to_owned),
                    String::new(),
                ),
                tier: shown(
                    self.tier.as_ref(),
                    found.tier().map(|t| t.as_str().to_owned()),
                    ParameterTier::Standard.as_str().to_owned(),
                ),
                key_id: key_as_wanted(self.key_id.as_ref(), key),
                tags: tags.clone(),
            },
            outputs: ParameterOutputs {
                arn: found.arn().unwrap_or_default().into(),
                name: name.to_owned(),
                version: found.version(),
            },
            status: Status::Ready,
            owner: tags.owner(),
        }
    }
}

fn tag(key: &str, value: &str) -> Result<Tag, Error> {
    Tag::builder().key(key).value(value).build().map_err(|e| Error::Invalid(format!("tag `{key}`: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown_and_the_key_of_aws_is_no_key() {
        let found = ParameterMetadata::builder()
            .name("nat-config")
            .r#type(ParameterType::SecureString)
            .key_id(AWS_KEY)
            .tier(ParameterTier::Standard)
            .version(3)
            .build();
        let wanted = Parameter::secure("nat-config", ParameterValue::Secret(Secret::new("hunter2-canary")));
        let there = wanted.live("i", &found, None, Tags::default());
        assert!(there.spec.value.is_none() && there.spec.key_id.is_none() && there.spec.tier.is_none());
        assert_eq!((there.outputs.version, there.spec.parameter_type.as_str()), (3, "SecureString"));
        assert!(!format!("{wanted:?}").contains("canary"));
        let wanted = Parameter::secure("nat-config", ParameterValue::Plain("{}".into()));
        let there = wanted.live("i", &found, Some("{ }".into()), Tags::default());
        assert_eq!(there.spec.value, Some(ParameterValue::Plain("{ }".into())));
    }
}
