//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateInstanceProfile.html>

use super::{live_tags, tag, tags};
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
        let get = cx.client.iam.get_instance_profile().instance_profile_name(cx.name(&self.name));
        let found = get.send().await.call("iam:GetInstanceProfile").found()?;
        let Some(profile) = found.and_then(|found| found.instance_profile) else { return Ok(None) };
        let role = profile.roles().first().map(|role| role.role_name.clone());
        let tags = live_tags(profile.tags());
        Ok(Some(Live {
            spec: InstanceProfile {
                name: self.name.live(cx.instance, &profile.instance_profile_name),
                path: shown(self.path.as_ref(), Some(profile.path), "/".into()),
                role: role.unwrap_or_default().into(),
                tags: tags.clone(),
            },
            outputs: InstanceProfileOutputs { arn: profile.arn.into(), name: profile.instance_profile_name },
            status: Status::Ready,
            owner: tags.owner(),
        }))
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

async fn remove_role(cx: &Cx<'_, InstanceProfile>, live: &Live<InstanceProfile>) -> Result<(), Error> {
    let role = live.spec.role.get()?;
    if !role.is_empty() {
        let remove = cx.client.iam.remove_role_from_instance_profile();
        let remove = remove.instance_profile_name(&live.outputs.name).role_name(role).send().await;
        remove.call("iam:RemoveRoleFromInstanceProfile").found()?;
    }
    Ok(())
}
