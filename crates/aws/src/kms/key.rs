//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html>

use super::tags_of;
use crate::{
    Aws, Call,
    id::{Arn, KeyId},
    policy::{PolicyDocument, Principal, Statement},
    shown::shown,
};
use aws_sdk_kms::types::{KeyMetadata, KeyState, Tag};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Status, Tags,
    diff::Diff,
    error::Found,
    outputs, text,
    undo::{Mark, UndoRule},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A symmetric key that encrypts and decrypts. What it encrypted is lost with it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Key {
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Who may use it. `None`: whoever IAM lets, in this account.
    #[serde(default)]
    pub policy: Option<PolicyDocument>,
    /// Whether AWS makes new key material once a year. `None`: it does not.
    #[serde(default)]
    pub enable_key_rotation: Option<bool>,
    /// How many days a deletion can be called off, 7 to 30. `None`: 30.
    #[serde(default)]
    pub deletion_window_days: Option<i32>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a key tells others.
    pub struct KeyOutputs => KeyRefs {
        /// A UUID.
        pub key_id: KeyId,
        /// `arn:aws:kms:..:key/..`
        pub arn: Arn,
    }
}

/// A principal must have spread to KMS before a policy may name it, and the policy counts as malformed until then:
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_PutKeyPolicy.html>.
fn not_yet(policy: Option<&PolicyDocument>) -> &'static [&'static str] {
    if policy.is_some_and(PolicyDocument::names_principals) {
        &["MalformedPolicyDocumentException"]
    } else {
        &[]
    }
}

impl Resource for Key {
    const KIND: &'static str = "aws.kms.key";
    const RECOVERY: Recovery = Recovery::Tag { settle: Duration::from_secs(30) };
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("key_id");
    const UNDO: &'static [UndoRule] = &[
        UndoRule::create(
            Mark::Compensable,
            "a key is only gone, and paid for, when its waiting time is over",
        ),
        UndoRule::remove(
            Mark::Irreversible,
            "nothing that it encrypted can be read again once its waiting time is over",
        ),
    ];
    const DATA: bool = true;
    type Client = Aws;
    type Outputs = KeyOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let kms = &cx.client.kms;
        let id = match &cx.recorded {
            Some(recorded) => Some(recorded.key_id.clone()),
            None if cx.instance.is_empty() => None,
            None => kms.instances.get(cx.instance.to_owned()).await?,
        };
        let Some(KeyId(id)) = id else { return Ok(None) };
        let arn = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (found, confirmed) =
            tokio::join!(kms.keys.get(id.clone()), cx.client.tag_index.confirms(cx, arn, &self.tags));
        let Some(key) = found? else { return Ok(None) };
        let Some(status) = status(&key) else { return Ok(None) };
        let rest = async {
            tokio::try_join!(
                async {
                    if self.policy.is_none() && cx.may_skip_unset() {
                        return Ok(None);
                    }
                    let policy = kms.get_key_policy().key_id(&id).policy_name("default").send().await;
                    Ok(Some(policy.call("kms:GetKeyPolicy")?.policy.unwrap_or_default()))
                },
                async {
                    let rotation = kms.get_key_rotation_status().key_id(&id).send().await;
                    rotation.call("kms:GetKeyRotationStatus")
                },
                async {
                    match confirmed {
                        Some(tags) => Ok(Some(tags)),
                        None => tags_of(kms, &id).await,
                    }
                }
            )
        };
        let Some((policy, rotation, Some(tags))) = rest.await.found()? else { return Ok(None) };
        let policy = policy.as_deref().map(PolicyDocument::parse).transpose();
        let policy =
            policy.map_err(|source| Error::Decode { what: "a policy document", kind: Self::KIND, source })?;
        let arn = Arn(key.arn.unwrap_or_default());
        Ok(Some(Live {
            spec: Key {
                description: shown(self.description.as_ref(), key.description, String::new()),
                // What a key always has is not something that is left to take away.
                policy: policy.filter(|p| self.policy.is_some() || !p.means(&default_policy(&arn))),
                enable_key_rotation: shown(
                    self.enable_key_rotation.as_ref(),
                    Some(rotation.key_rotation_enabled),
                    false,
                ),
                deletion_window_days: None,
                tags: tags.clone(),
            },
            outputs: KeyOutputs { key_id: KeyId(key.key_id), arn },
            status,
            owner: tags.owner(),
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let tags = self.tags.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
        let policy = self.policy.as_ref().map(PolicyDocument::text).transpose()?;
        let create = cx.client.kms.create_key().set_description(self.description.clone());
        let create = create.set_policy(policy).set_tags(Some(tags)).send().await;
        create.call_later("kms:CreateKey", not_yet(self.policy.as_ref()))?;
        // Rotation is left to `update`, which sees that it is off.
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let kms = &cx.client.kms;
        let id = live.outputs.key_id.as_str();
        if diff.touches("description") {
            let update = kms.update_key_description().key_id(id);
            let update = update.description(self.description.clone().unwrap_or_default()).send().await;
            update.call("kms:UpdateKeyDescription")?;
        }
        if diff.touches("policy") {
            let policy = match &self.policy {
                Some(policy) => policy.clone(),
                None => default_policy(&live.outputs.arn),
            };
            let put = kms.put_key_policy().key_id(id).policy_name("default").policy(policy.text()?);
            put.send().await.call_later("kms:PutKeyPolicy", not_yet(Some(&policy)))?;
        }
        if diff.touches("enable_key_rotation") {
            if self.enable_key_rotation == Some(true) {
                kms.enable_key_rotation().key_id(id).send().await.call("kms:EnableKeyRotation")?;
            } else {
                kms.disable_key_rotation().key_id(id).send().await.call("kms:DisableKeyRotation")?;
            }
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
            kms.tag_resource().key_id(id).set_tags(Some(set)).send().await.call("kms:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = kms.untag_resource().key_id(id).set_tag_keys(Some(keys)).send().await;
            untag.call("kms:UntagResource")?;
        }
        Ok(())
    }

    /// Only schedules it; until then it can be called off in the console, and counts as gone.
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.kms.schedule_key_deletion().key_id(live.outputs.key_id.as_str());
        let delete = delete.set_pending_window_in_days(self.deletion_window_days).send().await;
        delete.call("kms:ScheduleKeyDeletion").found()?;
        Ok(())
    }
}

/// `None` where it is gone for everybody but the one who calls the deletion off.
fn status(key: &KeyMetadata) -> Option<Status> {
    Some(match key.key_state() {
        Some(KeyState::PendingDeletion | KeyState::PendingReplicaDeletion) => return None,
        Some(KeyState::Enabled) | None => Status::Ready,
        Some(state @ (KeyState::Creating | KeyState::Updating)) => {
            Status::Pending(state.as_str().to_lowercase())
        }
        Some(state) => Status::Failed(format!("the key is {}", state.as_str().to_lowercase())),
    })
}

/// What KMS gives a key that is made without a policy:
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html>.
fn default_policy(arn: &Arn) -> PolicyDocument {
    let parts: Vec<&str> = arn.0.split(':').collect();
    let (partition, account) = match parts[..] {
        [_, partition, _, _, account, _] => (partition, account),
        _ => ("aws", ""),
    };
    PolicyDocument {
        id: Some("key-default-1".into()),
        ..PolicyDocument::new([Statement {
            sid: Some("Enable IAM User Permissions".into()),
            ..Statement::allow(["kms:*"], ["*"])
                .to([Principal::aws(text!("arn:", partition, ":iam::", account, ":root"))])
        }])
    }
}

fn tag(key: &str, value: &str) -> Result<Tag, Error> {
    Tag::builder().tag_key(key).tag_value(value).build().map_err(|e| Error::Invalid(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_to_be_deleted_is_gone_and_a_disabled_one_is_not() {
        let in_state = |state| status(&KeyMetadata::builder().key_id("k").key_state(state).build().unwrap());
        assert_eq!(in_state(KeyState::PendingDeletion), None);
        assert_eq!(in_state(KeyState::Enabled), Some(Status::Ready));
        assert!(matches!(in_state(KeyState::Disabled), Some(Status::Failed(_))));
        assert!(matches!(in_state(KeyState::Creating), Some(Status::Pending(_))));
    }

    #[test]
    fn the_default_policy_is_about_the_account_of_the_key() {
        let policy = default_policy(&"arn:aws-cn:kms:cn-north-1:111122223333:key/k".into());
        assert!(policy.text().unwrap().contains("111122223333"));
    }
}
