//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html>

use super::{is_as_left, listed::ListedProfile, live_tags, tag, tags};
use crate::{Aws, Call, id::Arn, shown::shown};
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// What gives an EC2 instance its role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstanceProfile {
    /// Unique in the account; 128 characters at most.
    pub name: Name,
    /// Like `/coder/`. `None`: `/`.
    #[serde(default)]
    pub path: Option<String>,
    /// The name of the role. A profile holds one.
    pub role: Value<String>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What an instance profile tells others.
    pub struct InstanceProfileOutputs => InstanceProfileRefs {
        /// `arn:aws:iam::..:instance-profile/..`
        pub arn: Arn,
        /// The name without the path.
        pub name: String,
    }
}

impl Resource for InstanceProfile {
    const KIND: &'static str = "aws.iam.instance_profile";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const KEEPS: &'static [&'static str] = &["path"];
    const REPLACE: &'static [&'static str] = &["name", "path"];
    type Client = Aws;
    type Outputs = InstanceProfileOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let iam = &cx.client.iam;
        let name = cx.name(&self.name);
        if let Some(recorded) = &cx.recorded
            && cx.is_survey()
        {
            let (listed, confirmed) = tokio::join!(
                iam.listing.profile(&name),
                iam.tag_index.confirms(cx, Some(&recorded.arn), &self.tags)
            );
            if let (Some(listed), Some(tags)) = (listed?, confirmed)
                && listed.arn == recorded.arn
            {
                let live = self.live(cx.instance, listed, tags);
                if is_as_left(self, &live.spec)? {
                    return Ok(Some(live));
                }
            }
        }
        let get = iam.get_instance_profile().instance_profile_name(&name);
        let found = get.send().await.call("iam:GetInstanceProfile").found()?;
        let Some(profile) = found.and_then(|found| found.instance_profile) else { return Ok(None) };
        let role = profile.roles().first().map(|role| role.role_name.clone());
        let tags = live_tags(profile.tags());
        let found = ListedProfile {
            name: profile.instance_profile_name,
            arn: profile.arn.into(),
            path: profile.path,
            role: role.unwrap_or_default(),
        };
        Ok(Some(self.live(cx.instance, found, tags)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let create = cx.client.iam.create_instance_profile().instance_profile_name(cx.name(&self.name));
        let create = create.set_path(self.path.clone()).set_tags(Some(tags(self.tags.iter())?));
        create.send().await.call("iam:CreateInstanceProfile")?;
        // The role is left to `update`.
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let iam = &cx.client.iam;
        let name = live.outputs.name.as_str();
        if diff.touches("role") {
            remove_role(cx, live).await?;
            let add = iam.add_role_to_instance_profile().instance_profile_name(name);
            let add = add.role_name(self.role.get()?).send().await;
            // The role may have been made a moment ago.
            add.call_later("iam:AddRoleToInstanceProfile", &["NoSuchEntity"])?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
            let set = iam.tag_instance_profile().instance_profile_name(name).set_tags(Some(set));
            set.send().await.call("iam:TagInstanceProfile")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = iam.untag_instance_profile().instance_profile_name(name).set_tag_keys(Some(keys));
            untag.send().await.call("iam:UntagInstanceProfile")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        remove_role(cx, live).await?;
        let delete = cx.client.iam.delete_instance_profile().instance_profile_name(&live.outputs.name);
        delete.send().await.call("iam:DeleteInstanceProfile").found()?;
        Ok(())
    }
}

impl InstanceProfile {
    fn live(&self, instance: &str, found: ListedProfile, tags: Tags) -> Live<Self> {
        Live {
            spec: InstanceProfile {
                name: self.name.live(instance, &found.name),
                path: shown(self.path.as_ref(), Some(found.path), "/".into()),
                role: found.role.into(),
                tags: tags.clone(),
            },
            outputs: InstanceProfileOutputs { arn: found.arn, name: found.name },
            status: Status::Ready,
            owner: tags.owner(),
        }
    }
}

async fn remove_role(cx: &Cx<'_, InstanceProfile>, live: &Live<InstanceProfile>) -> Result<(), Error> {
    let role = live.spec.role.get()?;
    if !role.is_empty() {
        let remove = cx.client.iam.remove_role_from_instance_profile();
        let remove = remove.instance_profile_name(&live.outputs.name).role_name(role).send().await;
        remove.call("iam:RemoveRoleFromInstanceProfile").found()?;
    }
    Ok(())
}
