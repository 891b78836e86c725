//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html>

use crate::{
    Aws, Call,
    id::{Arn, key_as_wanted},
    policy::PolicyDocument,
    shown::shown,
};
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A queue of messages that is not ordered.
///
/// SQS has no call that describes many: looking costs two calls a queue, and a third where it was never recorded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queue {
    /// Unique in the account and region: up to 80 letters, digits, `-` and `_`.
    pub name: Name,
    /// Seconds after which a message is dropped: 60 to 1,209,600. `None`: four days.
    #[serde(default)]
    pub message_retention_period: Option<u32>,
    /// Seconds for which a message that was received is hidden from others: 0 to 43,200. `None`: 30.
    #[serde(default)]
    pub visibility_timeout: Option<u32>,
    /// Whether messages are encrypted with a key of SQS. Goes without `kms_master_key_id`. `None`: they are, unless that is
    /// named.
    #[serde(default)]
    pub sqs_managed_sse_enabled: Option<bool>,
    /// The key that messages are encrypted with. `None`: none of KMS.
    #[serde(default)]
    pub kms_master_key_id: Option<Value<Arn>>,
    /// Who may send and receive. Its statements name no resource: each is about this queue. `None`: this account, as IAM
    /// says.
    #[serde(default)]
    pub policy: Option<PolicyDocument>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a queue tells others.
    pub struct QueueOutputs => QueueRefs {
        /// `https://sqs.<region>.amazonaws.com/<account>/<name>`
        pub url: String,
        /// `arn:aws:sqs:..`
        pub arn: Arn,
        /// The name.
        pub name: String,
    }
}

impl Queue {
    /// A queue as SQS makes it when asked for nothing else.
    pub fn new(name: impl Into<Name>) -> Self {
        Queue {
            name: name.into(),
            message_retention_period: None,
            visibility_timeout: None,
            sqs_managed_sse_enabled: None,
            kms_master_key_id: None,
            policy: None,
            tags: Tags::default(),
        }
    }
}

/// Four days.
const RETENTION: u32 = 345_600;
const VISIBILITY: u32 = 30;

impl Resource for Queue {
    const KIND: &'static str = "aws.sqs.queue";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    // A deleted queue can be seen for a minute, and its name can be used again only after that.
    const TIMING: Timing = Timing::seconds(2, 2, 300);
    type Client = Aws;
    type Outputs = QueueOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let sqs = &cx.client.sqs;
        let name = cx.name(&self.name);
        let url = match &cx.recorded {
            Some(recorded) => Some(recorded.url.clone()),
            None => {
                let found = sqs.get_queue_url().queue_name(&name).send().await;
                found.call("sqs:GetQueueUrl").found()?.and_then(|found| found.queue_url)
            }
        };
        let Some(url) = url else { return Ok(None) };
        let found = async {
            tokio::try_join!(
                async {
                    let all = sqs.get_queue_attributes().queue_url(&url).attribute_names(Attribute::All);
                    all.send().await.call("sqs:GetQueueAttributes")
                },
                async {
                    let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
                    if let Some(tags) = cx.client.tag_index.confirms(cx, recorded, &self.tags).await {
                        return Ok(tags);
                    }
                    let tags = sqs.list_queue_tags().queue_url(&url).send().await;
                    Ok(Tags::live(tags.call("sqs:ListQueueTags")?.tags.unwrap_or_default()))
                }
            )
        };
        let Some((attributes, tags)) = found.await.found()? else { return Ok(None) };
        self.live(cx.instance, name, url, attributes.attributes.unwrap_or_default(), tags).map(Some)
    }

    /// Without its policy, which names the queue: `update` sets it.
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let create = cx.client.sqs.create_queue().queue_name(cx.name(&self.name));
        let create = create.set_attributes(Some(self.attributes(None)?));
        let tags = self.tags.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let created = create.set_tags(Some(tags)).send().await;
        // By the words of either protocol of SQS.
        let recently = ["QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently"];
        created.call_later("sqs:CreateQueue", &recently).map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let sqs = &cx.client.sqs;
        let url = &live.outputs.url;
        let mut attributes = self.attributes(Some(diff))?;
        if diff.touches("policy") {
            // No text takes it away.
            let policy = self.policy.as_ref().map(|policy| about(policy, &live.outputs.arn).text());
            attributes.insert(Attribute::Policy, policy.transpose()?.unwrap_or_default());
        }
        if !attributes.is_empty() {
            let set = sqs.set_queue_attributes().queue_url(url).set_attributes(Some(attributes));
            set.send().await.call("sqs:SetQueueAttributes")?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            sqs.tag_queue().queue_url(url).set_tags(Some(set)).send().await.call("sqs:TagQueue")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            sqs.untag_queue().queue_url(url).set_tag_keys(Some(keys)).send().await.call("sqs:UntagQueue")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.sqs.delete_queue().queue_url(&live.outputs.url).send().await;
        delete.call("sqs:DeleteQueue").found().map(drop)
    }
}

impl Queue {
    /// What SQS is to be told: all that is wanted, or, where something is there already, what differs.
    fn attributes(&self, diff: Option<&Diff>) -> Result<HashMap<Attribute, String>, Error> {
        let mut told = HashMap::new();
        let mut tell = |field: &str, name: Attribute, wanted: Option<String>, default: &str| match diff {
            None => drop(wanted.map(|value| told.insert(name, value))),
            Some(diff) if diff.touches(field) => {
                told.insert(name, wanted.unwrap_or_else(|| default.to_owned()));
            }
            Some(_) => {}
        };
        let number = |number: Option<u32>| number.map(|n| n.to_string());
        tell(
            "message_retention_period",
            Attribute::MessageRetentionPeriod,
            number(self.message_retention_period),
            &RETENTION.to_string(),
        );
        tell(
            "visibility_timeout",
            Attribute::VisibilityTimeout,
            number(self.visibility_timeout),
            &VISIBILITY.to_string(),
        );
        let key = self.kms_master_key_id.as_ref().map(Value::get).transpose()?;
        tell("kms_master_key_id", Attribute::KmsMasterKeyId, key.map(|key| key.0.clone()), "");
        let default = if key.is_none() { "true" } else { "false" };
        tell(
            "sqs_managed_sse_enabled",
            Attribute::SqsManagedSseEnabled,
            self.sqs_managed_sse_enabled.map(|on| on.to_string()),
            default,
        );
        Ok(told)
    }

    fn live(
        &self,
        instance: &str,
        name: String,
        url: String,
        mut attributes: HashMap<Attribute, String>,
        tags: Tags,
    ) -> Result<Live<Self>, Error> {
        let arn = Arn(attributes.remove(&Attribute::QueueArn).unwrap_or_default());
        let policy = attributes.remove(&Attribute::Policy).filter(|text| !text.is_empty());
        let policy = policy.map(|text| PolicyDocument::parse(&text)).transpose();
        let policy =
            policy.map_err(|source| Error::Decode { what: "a policy document", kind: Self::KIND, source })?;
        let key = attributes.remove(&Attribute::KmsMasterKeyId);
        let number = |name: &Attribute| attributes.get(name).and_then(|text| text.parse().ok());
        // With a key of KMS, SQS turns its own off.
        let own = key.as_deref().unwrap_or_default().is_empty();
        Ok(Live {
            spec: Queue {
                name: self.name.live(instance, &name),
                message_retention_period: shown(
                    self.message_retention_period.as_ref(),
                    number(&Attribute::MessageRetentionPeriod),
                    RETENTION,
                ),
                visibility_timeout: shown(
                    self.visibility_timeout.as_ref(),
                    number(&Attribute::VisibilityTimeout),
                    VISIBILITY,
                ),
                sqs_managed_sse_enabled: shown(
                    self.sqs_managed_sse_enabled.as_ref(),
                    Some(attributes.get(&Attribute::SqsManagedSseEnabled).is_some_and(|on| on == "true")),
                    own,
                ),
                kms_master_key_id: key_as_wanted(self.kms_master_key_id.as_ref(), key.as_deref()),
                policy: shown(
                    self.policy.as_ref(),
                    policy.map(|policy| without(policy, &arn)),
                    PolicyDocument::nothing(),
                ),
                tags: tags.clone(),
            },
            outputs: QueueOutputs { url, arn, name },
            status: Status::Ready,
            owner: tags.owner(),
        })
    }
}

/// The policy as SQS takes it: every statement names the queue.
fn about(policy: &PolicyDocument, arn: &Arn) -> PolicyDocument {
    let mut policy = policy.clone();
    for statement in policy.statements.iter_mut().filter(|s| s.resources.0.is_empty()) {
        statement.resources = Set::from_iter([arn.as_str()]);
    }
    policy
}

/// The policy as it is wanted: without the queue that it is about. A statement about something else is shown as it is.
fn without(mut policy: PolicyDocument, arn: &Arn) -> PolicyDocument {
    let only = Set::from_iter([arn.as_str()]);
    for statement in policy.statements.iter_mut().filter(|s| s.resources == only) {
        statement.resources = Set::default();
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Principal, Statement};

    const ARN: &str = "arn:aws:sqs:us-east-2:111122223333:interruptions";

    fn wanted() -> Queue {
        let send =
            Statement::allow(["sqs:SendMessage"], [""; 0]).to([Principal::service("events.amazonaws.com")]);
        Queue {
            message_retention_period: Some(300),
            policy: Some(PolicyDocument::new([send])),
            ..Queue::new("interruptions")
        }
    }

    fn live(wanted: &Queue, more: &[(Attribute, &str)]) -> Queue {
        let mut attributes = HashMap::from([
            (Attribute::QueueArn, ARN.to_owned()),
            (Attribute::MessageRetentionPeriod, "345600".to_owned()),
            (Attribute::VisibilityTimeout, "30".to_owned()),
            (Attribute::SqsManagedSseEnabled, "true".to_owned()),
        ]);
        attributes.extend(more.iter().map(|(name, value)| (name.clone(), value.to_string())));
        wanted.live("", "interruptions".into(), "https://q".into(), attributes, Tags::default()).unwrap().spec
    }

    #[test]
    fn a_policy_is_told_with_the_queue_and_read_without_it() {
        let wanted = wanted();
        let text = about(wanted.policy.as_ref().unwrap(), &ARN.into()).text().unwrap();
        assert!(text.contains(&format!(r#""Resource":["{ARN}"]"#)), "{text}");
        let live = live(&wanted, &[(Attribute::Policy, &text)]);
        assert!(live.policy.unwrap().means(wanted.policy.as_ref().unwrap()));
        let wider = text.replace(ARN, "*");
        let live = super::tests::live(&wanted, &[(Attribute::Policy, &wider)]);
        assert!(!live.policy.unwrap().means(wanted.policy.as_ref().unwrap()));
    }

    #[test]
    fn defaults_do_not_show_unless_they_are_wanted() {
        let plain = live(&Queue::new("q"), &[]);
        assert_eq!((plain.message_retention_period, plain.visibility_timeout), (None, None));
        assert_eq!(plain.sqs_managed_sse_enabled, None);
        let open = live(&Queue::new("q"), &[(Attribute::SqsManagedSseEnabled, "false")]);
        assert_eq!(open.sqs_managed_sse_enabled, Some(false));
        assert_eq!(live(&wanted(), &[]).message_retention_period, Some(RETENTION));
        let key = [(Attribute::KmsMasterKeyId, "alias/k"), (Attribute::SqsManagedSseEnabled, "false")];
        assert_eq!(live(&Queue::new("q"), &key).sqs_managed_sse_enabled, None);
    }
}
