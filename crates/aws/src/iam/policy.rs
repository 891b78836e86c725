//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicy.html>

use super::{PolicyDocument, document, is_as_left, live_tags, tag, tags};
use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_iam::types::{ManagedPolicyDetail, PolicyVersion};
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Status, Tags, diff::Diff, error::Found as _, outputs,
};
use serde::{Deserialize, Serialize};

/// A customer managed policy, for several roles to share.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Unique in the account, whatever the path; 128 characters at most.
    pub name: Name,
    /// For people. Cannot be changed later.
    #[serde(default)]
    pub description: Option<String>,
    /// Like `/coder/`. `None`: `/`.
    #[serde(default)]
    pub path: Option<String>,
    /// What it allows. A change becomes a new default version; IAM keeps five, so the oldest makes room.
    pub document: PolicyDocument,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a policy tells others.
    pub struct PolicyOutputs => PolicyRefs {
        /// `arn:aws:iam::..:policy/..`
        pub arn: Arn,
        /// The name without the path.
        pub name: String,
    }
}

impl Policy {
    /// A policy with this document.
    pub fn new(name: impl Into<Name>, document: PolicyDocument) -> Self {
        Policy { name: name.into(), description: None, path: None, document, tags: Tags::default() }
    }
}

impl Resource for Policy {
    const KIND: &'static str = "aws.iam.policy";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const KEEPS: &'static [&'static str] = &["path", "description"];
    const REPLACE: &'static [&'static str] = &["name", "description", "path"];
    type Client = Aws;
    type Outputs = PolicyOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let iam = &cx.client.iam;
        if let Some(recorded) = &cx.recorded
            && cx.is_survey()
        {
            let (listed, confirmed) = tokio::join!(
                iam.listing.policy(&recorded.arn),
                iam.tag_index.confirms(cx, Some(&recorded.arn), &self.tags)
            );
            if let (Some(listed), Some(tags)) = (listed?, confirmed)
                && let Ok(live) = self.live(cx.instance, Found::listed(listed), tags)
                && is_as_left(self, &live.spec)?
            {
                return Ok(Some(live));
            }
        }
        let arn = match &cx.recorded {
            Some(recorded) => Some(recorded.arn.clone()),
            None => iam.policies.get(cx.name(&self.name)).await?,
        };
        let Some(arn) = arn else { return Ok(None) };
        let found = iam.get_policy().policy_arn(arn.as_str()).send().await.call("iam:GetPolicy").found()?;
        let Some(policy) = found.and_then(|found| found.policy) else { return Ok(None) };
        let version = policy.default_version_id.clone().unwrap_or_default();
        let found = iam.get_policy_version().policy_arn(arn.as_str()).version_id(version).send().await;
        let found = found.call("iam:GetPolicyVersion").found()?;
        let Some(version) = found.and_then(|found| found.policy_version) else { return Ok(None) };
        let tags = live_tags(policy.tags.as_deref().unwrap_or_default());
        let found = Found {
            name: policy.policy_name.unwrap_or_default(),
            arn,
            description: policy.description,
            path: policy.path,
            document: version.document.unwrap_or_default(),
        };
        self.live(cx.instance, found, tags).map(Some)
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .iam
            .create_policy()
            .policy_name(cx.name(&self.name))
            .policy_document(self.document.text()?)
            .set_description(self.description.clone())
            .set_path(self.path.clone())
            .set_tags(Some(tags(self.tags.iter())?))
            .send()
            .await
            .call("iam:CreatePolicy")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let iam = &cx.client.iam;
        let arn = live.outputs.arn.as_str();
        if diff.touches("document") {
            let versions = versions(cx, arn).await?;
            if let Some(oldest) = superfluous(&versions) {
                delete_version(cx, arn, oldest).await?;
            }
            let create = iam.create_policy_version().policy_arn(arn).set_as_default(true);
            let create = create.policy_document(self.document.text()?).send().await;
            create.call("iam:CreatePolicyVersion")?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
            iam.tag_policy().policy_arn(arn).set_tags(Some(set)).send().await.call("iam:TagPolicy")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = iam.untag_policy().policy_arn(arn).set_tag_keys(Some(keys)).send().await;
            untag.call("iam:UntagPolicy")?;
        }
        Ok(())
    }

    /// Answers "not now" while it is attached to anything.
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let arn = live.outputs.arn.as_str();
        for version in versions(cx, arn).await? {
            if let Some(id) = version.version_id.filter(|_| !version.is_default_version) {
                delete_version(cx, arn, &id).await?;
            }
        }
        let delete = cx.client.iam.delete_policy().policy_arn(arn).send().await;
        delete.call("iam:DeletePolicy").found()?;
        Ok(())
    }
}

/// What IAM shows of a policy.
struct Found {
    name: String,
    arn: Arn,
    description: Option<String>,
    path: Option<String>,
    /// Of the version that counts, as IAM encodes it.
    document: String,
}

impl Found {
    fn listed(listed: ManagedPolicyDetail) -> Found {
        let counts = |version: &&PolicyVersion| version.is_default_version;
        let document = listed.policy_version_list().iter().find(counts).and_then(|v| v.document.clone());
        let arn = Arn(listed.arn.unwrap_or_default());
        Found {
            // The last part of the ARN, behind the path.
            name: arn.0.rsplit('/').next().unwrap_or_default().to_owned(),
            arn,
            description: listed.description,
            path: listed.path,
            document: document.unwrap_or_default(),
        }
    }
}

impl Policy {
    fn live(&self, instance: &str, found: Found, tags: Tags) -> Result<Live<Self>, Error> {
        Ok(Live {
            spec: Policy {
                name: self.name.live(instance, &found.name),
                description: shown(self.description.as_ref(), found.description, String::new()),
                path: shown(self.path.as_ref(), found.path, "/".into()),
                document: document(&found.document, Self::KIND)?,
                tags: tags.clone(),
            },
            outputs: PolicyOutputs { arn: found.arn, name: found.name },
            status: Status::Ready,
            owner: tags.owner(),
        })
    }
}

async fn versions(cx: &Cx<'_, Policy>, arn: &str) -> Result<Vec<PolicyVersion>, Error> {
    // Five at most, so there is one page.
    let versions = cx.client.iam.list_policy_versions().policy_arn(arn).send().await;
    let versions = versions.call("iam:ListPolicyVersions").found()?;
    Ok(versions.and_then(|found| found.versions).unwrap_or_default())
}

async fn delete_version(cx: &Cx<'_, Policy>, arn: &str, version: &str) -> Result<(), Error> {
    let delete = cx.client.iam.delete_policy_version().policy_arn(arn).version_id(version);
    delete.send().await.call("iam:DeletePolicyVersion").found()?;
    Ok(())
}

/// The version that has to go before there can be another one.
fn superfluous(versions: &[PolicyVersion]) -> Option<&str> {
    /// IAM keeps no more.
    const MOST: usize = 5;
    let number = |version: &&PolicyVersion| {
        version.version_id().and_then(|id| id.strip_prefix('v')?.parse::<u64>().ok()).unwrap_or(u64::MAX)
    };
    let oldest = versions.iter().filter(|version| !version.is_default_version).min_by_key(number);
    oldest.filter(|_| versions.len() >= MOST)?.version_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_version_that_is_not_in_force_makes_room() {
        let version =
            |id: &str, default| PolicyVersion::builder().version_id(id).is_default_version(default).build();
        let mut versions = vec![version("v11", false), version("v10", false), version("v2", true)];
        assert_eq!(superfluous(&versions), None);
        versions.extend([version("v9", false), version("v12", false)]);
        assert_eq!(superfluous(&versions), Some("v9"));
    }
}
