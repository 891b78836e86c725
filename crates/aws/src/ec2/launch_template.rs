//! A launch template: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html>

mod data;

pub use data::{BlockDevice, LaunchInterface, MetadataOptions};

use super::{Spreads, live_tags, tagged};
use crate::{
    Aws, Call,
    id::{Arn, ImageId, LaunchTemplateId, SecurityGroupId},
};
use aws_sdk_ec2::{
    Client,
    types::{self, ResourceType},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, Value,
    coalesce::Coalesce, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How machines are made. A change is a new version, which becomes the default one; old versions stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// Unique in the account and region; 3 to 128 characters.
    pub name: Name,
    /// What they start from. `None`: whoever uses the template says.
    #[serde(default)]
    pub image_id: Option<Value<ImageId>>,
    /// Like `t4g.micro`. `None`: whoever uses the template says.
    #[serde(default)]
    pub instance_type: Option<String>,
    /// The name of the key pair for SSH.
    #[serde(default)]
    pub key_name: Option<String>,
    /// The profile that gives them their role, by its ARN.
    #[serde(default)]
    pub iam_instance_profile: Option<Value<Arn>>,
    /// Disks, in the order of the image.
    #[serde(default)]
    pub block_device_mappings: Vec<BlockDevice>,
    /// Interfaces. With them, security groups stand here and not in `security_group_ids`.
    #[serde(default)]
    pub network_interfaces: Vec<LaunchInterface>,
    /// Security groups, where no interfaces are given.
    #[serde(default)]
    pub security_group_ids: Set<SecurityGroupId>,
    /// How a machine is told about itself. `None`: as the image or the account says.
    #[serde(default)]
    pub metadata_options: Option<MetadataOptions>,
    /// Whether metrics come every minute, for money. `None`: every five minutes.
    #[serde(default)]
    pub monitoring: Option<bool>,
    /// Whether machines are spot instances, cheaper and taken away when AWS needs them.
    #[serde(default)]
    pub spot: bool,
    /// Tags of what is made from it, by type of resource: `instance`, `volume`, `network-interface`.
    #[serde(default)]
    pub tag_specifications: BTreeMap<String, BTreeMap<String, String>>,
    /// What a machine runs when it first starts, as plain text; sent as base64.
    #[serde(default)]
    pub user_data: Option<Value<String>>,
    /// Settings of the newest version that none of these fields ask for, in words: always empty, so that what somebody
    /// added is seen and taken away.
    #[serde(default)]
    pub other_settings: Set<String>,
    /// Whether the default version is the newest one: always.
    #[serde(default = "yes")]
    pub newest_is_default: bool,
    /// Tags of the template itself.
    #[serde(default)]
    pub tags: Tags,
}

fn yes() -> bool {
    true
}

outputs! {
    /// What a launch template tells others.
    pub struct LaunchTemplateOutputs => LaunchTemplateRefs {
        /// `lt-..`
        pub launch_template_id: LaunchTemplateId,
        /// Its name.
        pub name: String,
        /// The number of its newest version, as text, the way it is asked for.
        pub latest_version: String,
    }
}

impl LaunchTemplate {
    /// A template that says nothing yet.
    pub fn new(name: impl Into<Name>) -> Self {
        LaunchTemplate {
            name: name.into(),
            image_id: None,
            instance_type: None,
            key_name: None,
            iam_instance_profile: None,
            block_device_mappings: vec![],
            network_interfaces: vec![],
            security_group_ids: Set::default(),
            metadata_options: None,
            monitoring: None,
            spot: false,
            tag_specifications: BTreeMap::new(),
            user_data: None,
            other_settings: Set::default(),
            newest_is_default: true,
            tags: Tags::default(),
        }
    }
}

impl Resource for LaunchTemplate {
    const KIND: &'static str = "aws.ec2.launch_template";
    // A token is sent, too, but the name is what makes two of them impossible.
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("launch_template_id");
    const REPLACE: &'static [&'static str] = &["name"];
    const MOVES: &'static [&'static str] = &["latest_version"];
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = LaunchTemplateOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let key = match &cx.recorded {
            Some(recorded) => recorded.launch_template_id.0.clone(),
            None => cx.name(&self.name),
        };
        let ec2 = &cx.client.ec2;
        if let Some(recorded) = &cx.recorded
            && cx.is_survey()
            && let Some(template) = ec2.numbered_templates.get(key.clone()).await?
        {
            let live = self.shown_by_number(cx.instance, &template);
            // A version never changes, and no other gets its number: it is as the last apply left it.
            if live.outputs.latest_version == recorded.latest_version && live.spec.newest_is_default {
                return Ok(Some(live));
            }
        }
        let found = ec2.launch_templates.get(key).await?;
        Ok(found.map(|(template, version)| self.live(cx.instance, &template, &version)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .ec2
            .create_launch_template()
            .client_token(cx.token())
            .launch_template_name(cx.name(&self.name))
            .launch_template_data(self.data()?)
            .set_tag_specifications(tagged(ResourceType::LaunchTemplate, &self.tags))
            .send()
            .await
            .call("ec2:CreateLaunchTemplate")
            .not_yet()?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let ec2 = &cx.client.ec2;
        let id = live.outputs.launch_template_id.as_str();
        let beside = |path: &str| path.starts_with("tags.") || path == "tags" || path == "newest_is_default";
        let mut newest = live.outputs.latest_version.clone();
        if diff.changes.iter().any(|change| !beside(&change.path)) {
            // The same change of the same version makes one version, however often it is sent.
            let wanted = serde_json::to_string(self).unwrap_or_default();
            let made = ec2
                .create_launch_template_version()
                .client_token(cx.token_for(&format!("version after {newest}: {wanted}")))
                .launch_template_id(id)
                .launch_template_data(self.data()?)
                .send()
                .await
                .call("ec2:CreateLaunchTemplateVersion")
                .not_yet()?;
            let number = made.launch_template_version.and_then(|version| version.version_number);
            newest = number.map_or(newest, |number| number.to_string());
        }
        // A version that was made and not set is seen as one that is not the default.
        if newest != live.outputs.latest_version || diff.touches("newest_is_default") {
            let modify = ec2.modify_launch_template().launch_template_id(id).default_version(newest);
            modify.send().await.call("ec2:ModifyLaunchTemplate").not_yet()?;
        }
        ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.ec2.delete_launch_template();
        let delete = delete.launch_template_id(live.outputs.launch_template_id.as_str()).send().await;
        delete.call("ec2:DeleteLaunchTemplate")?;
        Ok(())
    }
}

impl LaunchTemplate {
    fn live(
        &self,
        instance: &str,
        template: &types::LaunchTemplate,
        version: &types::LaunchTemplateVersion,
    ) -> Live<Self> {
        let nothing = types::ResponseLaunchTemplateData::builder().build();
        let there = self.shown(version.launch_template_data().unwrap_or(&nothing));
        there
            .numbered(self.name.live(instance, template.launch_template_name().unwrap_or_default()), template)
    }

    /// As it is if its newest version holds what is in here.
    fn shown_by_number(&self, instance: &str, template: &types::LaunchTemplate) -> Live<Self> {
        let name = self.name.live(instance, template.launch_template_name().unwrap_or_default());
        self.clone().numbered(name, template)
    }

    fn numbered(self, name: Name, template: &types::LaunchTemplate) -> Live<Self> {
        let tags = live_tags(template.tags());
        let newest = template.latest_version_number();
        Live {
            spec: LaunchTemplate {
                name,
                newest_is_default: template.default_version_number() == newest,
                tags: tags.clone(),
                ..self
            },
            outputs: LaunchTemplateOutputs {
                launch_template_id: template.launch_template_id().unwrap_or_default().into(),
                name: template.launch_template_name().unwrap_or_default().to_owned(),
                latest_version: newest.unwrap_or(1).to_string(),
            },
            status: Status::Ready,
            owner: tags.owner(),
        }
    }
}

type Found = (types::LaunchTemplate, types::LaunchTemplateVersion);

/// Answers in one page, the most that EC2 gives of these.
const PAGE: i32 = 200;

async fn templates(api: &Client) -> Result<Vec<types::LaunchTemplate>, Error> {
    let all = api.describe_launch_templates().max_results(PAGE).into_paginator().items().send();
    all.try_collect().await.call("ec2:DescribeLaunchTemplates")
}

/// Templates with the numbers of their versions and without what is in those, by id.
pub(super) fn numbered(api: &Client) -> Coalesce<String, types::LaunchTemplate> {
    let api = api.clone();
    Coalesce::new(usize::MAX, move |ids| {
        let api = api.clone();
        async move {
            let all = templates(&api).await?.into_iter();
            let all = all.filter_map(|template| Some((template.launch_template_id.clone()?, template)));
            Ok(all.filter(|(id, _)| ids.contains(id)).collect())
        }
    })
}

/// Templates with their newest versions, by id or name. EC2 has no filter by id, and newest versions of all come with
/// one call, so a look at any is a look at all: two calls.
pub(super) fn all(api: &Client) -> Coalesce<String, Found> {
    let api = api.clone();
    Coalesce::new(usize::MAX, move |keys| {
        let api = api.clone();
        async move {
            let versions = api.describe_launch_template_versions().versions("$Latest").max_results(PAGE);
            let versions = versions.into_paginator().items().send().try_collect();
            let (templates, versions) = tokio::join!(templates(&api), versions);
            let templates = templates?;
            let versions: Vec<types::LaunchTemplateVersion> =
                versions.call("ec2:DescribeLaunchTemplateVersions")?;
            let mut newest: BTreeMap<String, types::LaunchTemplateVersion> =
                versions.into_iter().filter_map(|v| Some((v.launch_template_id.clone()?, v))).collect();
            let mut found = BTreeMap::new();
            for template in templates {
                // One that appeared or went away between the two calls is not there.
                let Some(version) = template.launch_template_id().and_then(|id| newest.remove(id)) else {
                    continue;
                };
                let names = [template.launch_template_id.clone(), template.launch_template_name.clone()];
                for name in names.into_iter().flatten().filter(|name| keys.contains(name)) {
                    found.insert(name, (template.clone(), version.clone()));
                }
            }
            Ok(found)
        }
    })
}
