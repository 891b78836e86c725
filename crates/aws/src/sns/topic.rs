//! <https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html>

use crate::{
    Aws, Call,
    id::{Arn, key_as_wanted},
    policy::{OLD_VERSION, PolicyDocument, Principal, Statement},
    shown::shown,
};
use aws_sdk_sns::types::Tag;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// A topic that messages are published to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Topic {
    /// Unique in the account and region.
    pub name: Name,
    /// The sender of its mails and short messages.
    #[serde(default)]
    pub display_name: Option<String>,
    /// The key that messages are encrypted with. `None`: none.
    #[serde(default)]
    pub kms_master_key_id: Option<Value<Arn>>,
    /// Who may publish and subscribe. `None`: this account.
    #[serde(default)]
    pub policy: Option<PolicyDocument>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a topic tells others.
    pub struct TopicOutputs => TopicRefs {
        /// `arn:aws:sns:..`
        pub arn: Arn,
        /// The name.
        pub name: String,
    }
}

impl Topic {
    /// A topic for this account.
    pub fn new(name: impl Into<Name>) -> Self {
        Topic {
            name: name.into(),
            display_name: None,
            kms_master_key_id: None,
            policy: None,
            tags: Tags::default(),
        }
    }
}

impl Resource for Topic {
    const KIND: &'static str = "aws.sns.topic";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = TopicOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let sns = &cx.client.sns;
        let name = cx.name(&self.name);
        let arn = match &cx.recorded {
            Some(recorded) => Some(recorded.arn.clone()),
            None => sns.topics.get(name.clone()).await?,
        };
        let Some(arn) = arn else { return Ok(None) };
        let found = async {
            tokio::try_join!(
                async {
                    let attributes = sns.get_topic_attributes().topic_arn(arn.as_str()).send().await;
                    attributes.call("sns:GetTopicAttributes")
                },
                async {
                    if let Some(tags) = cx.client.tag_index.confirms(cx, Some(&arn), &self.tags).await {
                        return Ok(tags);
                    }
                    let tags = sns.list_tags_for_resource().resource_arn(arn.as_str()).send().await;
                    let tags = tags.call("sns:ListTagsForResource")?.tags.unwrap_or_default();
                    Ok(Tags::live(tags.into_iter().map(|tag| (tag.key, tag.value))))
                }
            )
        };
        let Some((attributes, tags)) = found.await.found()? else { return Ok(None) };
        let mut attributes = attributes.attributes.unwrap_or_default();
        let policy = attributes.remove("Policy").map(|text| PolicyDocument::parse(&text)).transpose();
        let policy =
            policy.map_err(|source| Error::Decode { what: "a policy document", kind: Self::KIND, source })?;
        Ok(Some(Live {
            spec: Topic {
                name: self.name.live(cx.instance, &name),
                display_name: shown(
                    self.display_name.as_ref(),
                    attributes.remove("DisplayName"),
                    String::new(),
                ),
                kms_master_key_id: key_as_wanted(
                    self.kms_master_key_id.as_ref(),
                    attributes.get("KmsMasterKeyId").map(String::as_str),
                ),
                // What a topic always has is not something that is left to take away.
                policy: policy.filter(|p| self.policy.is_some() || !p.means(&default_policy(&arn))),
                tags: tags.clone(),
            },
            outputs: TopicOutputs { arn, name },
            status: Status::Ready,
            owner: tags.owner(),
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let tags = self.tags.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
        let mut create = cx.client.sns.create_topic().name(cx.name(&self.name)).set_tags(Some(tags));
        if let Some(name) = &self.display_name {
            create = create.attributes("DisplayName", name);
        }
        if let Some(key) = &self.kms_master_key_id {
            create = create.attributes("KmsMasterKeyId", key.get()?.as_str());
        }
        if let Some(policy) = &self.policy {
            create = create.attributes("Policy", policy.text()?);
        }
        create.send().await.call("sns:CreateTopic")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let sns = &cx.client.sns;
        let arn = &live.outputs.arn;
        if diff.touches("display_name") {
            set(cx, arn, "DisplayName", self.display_name.as_deref().unwrap_or_default()).await?;
        }
        if diff.touches("kms_master_key_id") {
            let key = self.kms_master_key_id.as_ref().map(Value::get).transpose()?;
            set(cx, arn, "KmsMasterKeyId", key.map(Arn::as_str).unwrap_or_default()).await?;
        }
        if diff.touches("policy") {
            let policy = self.policy.clone().unwrap_or_else(|| default_policy(arn));
            set(cx, arn, "Policy", &policy.text()?).await?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
            let set = sns.tag_resource().resource_arn(arn.as_str()).set_tags(Some(set)).send().await;
            set.call("sns:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = sns.untag_resource().resource_arn(arn.as_str()).set_tag_keys(Some(keys)).send().await;
            untag.call("sns:UntagResource")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.sns.delete_topic().topic_arn(live.outputs.arn.as_str()).send().await;
        delete.call("sns:DeleteTopic").found()?;
        Ok(())
    }
}

async fn set(cx: &Cx<'_, Topic>, arn: &Arn, name: &str, value: &str) -> Result<(), Error> {
    let set = cx.client.sns.set_topic_attributes().topic_arn(arn.as_str());
    let set = set.attribute_name(name).attribute_value(value).send().await;
    set.call("sns:SetTopicAttributes")?;
    Ok(())
}

/// The account itself, as when a topic is made without a policy:
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html>.
fn default_policy(arn: &Arn) -> PolicyDocument {
    let account = arn.0.split(':').nth(4).unwrap_or_default();
    let actions = [
        "SNS:AddPermission",
        "SNS:DeleteTopic",
        "SNS:GetTopicAttributes",
        "SNS:ListSubscriptionsByTopic",
        "SNS:Publish",
        "SNS:RemovePermission",
        "SNS:SetTopicAttributes",
        "SNS:Subscribe",
    ];
    PolicyDocument {
        version: OLD_VERSION.into(),
        id: Some("__default_policy_ID".into()),
        statements: vec![Statement {
            sid: Some("__default_statement_ID".into()),
            ..Statement::allow(actions, [arn.as_str()]).to([Principal::aws("*")]).when(
                "StringEquals",
                "AWS:SourceOwner",
                [account],
            )
        }],
    }
}

fn tag(key: &str, value: &str) -> Result<Tag, Error> {
    Tag::builder().key(key).value(value).build().map_err(|e| Error::Invalid(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_policy_only_the_account_may_publish() {
        let text = default_policy(&"arn:aws:sns:us-east-1:111122223333:alerts".into()).text().unwrap();
        assert!(text.contains(r#""StringEquals":{"AWS:SourceOwner":["111122223333"]}"#), "{text}");
    }
}
