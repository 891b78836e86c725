//! A machine: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>

use super::{
    Spreads, live_tags,
    lookup::{Described, PAGE},
    tagged,
};
use crate::{
    Aws, Call,
    id::{InstanceId, LaunchTemplateId},
};
use aws_sdk_ec2::{
    Client,
    types::{self, Filter, InstanceStateName, LaunchTemplateSpecification, ResourceType, Tag},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};

/// One machine, started from a launch template. What the template says is the machine's own business once it runs: it
/// may turn its check of source and destination off, as a NAT does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// The template. `None` is only ever shown.
    pub launch_template_id: Option<Value<LaunchTemplateId>>,
    /// Its version: another one is another machine. `None` is only ever shown.
    pub launch_template_version: Option<Value<String>>,
    /// Whether it runs: always, so that one that somebody stopped is started.
    #[serde(default = "yes")]
    pub running: bool,
    /// Tags, beside those that the template gives.
    #[serde(default)]
    pub tags: Tags,
}

fn yes() -> bool {
    true
}

outputs! {
    /// What a machine tells others.
    pub struct InstanceOutputs => InstanceRefs {
        /// `i-..`
        pub instance_id: InstanceId,
        /// Its address in the subnet.
        pub private_ip: String,
        /// Its public address, if it has one.
        pub public_ip: Option<String>,
    }
}

impl Instance {
    /// A machine from this version of this template.
    pub fn from_template(id: Value<LaunchTemplateId>, version: Value<String>) -> Self {
        Instance {
            launch_template_id: Some(id),
            launch_template_version: Some(version),
            running: true,
            tags: Tags::default(),
        }
    }
}

/// EC2 writes them on what it starts from a template.
const TEMPLATE: &str = "aws:ec2launchtemplate:id";
const VERSION: &str = "aws:ec2launchtemplate:version";

impl Resource for Instance {
    const KIND: &'static str = "aws.ec2.instance";
    const RECOVERY: Recovery = Recovery::Token;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("instance_id");
    const REPLACE: &'static [&'static str] = &["launch_template_id", "launch_template_version"];
    const TIMING: Timing = Timing::seconds(20, 3, 900);
    type Client = Aws;
    type Outputs = InstanceOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let recorded = cx.recorded.as_ref().map(|o| o.instance_id.as_str());
        let found = cx.client.ec2.instances.find(recorded, cx.instance).await?;
        Ok(found.as_ref().map(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let (Some(id), Some(version)) = (&self.launch_template_id, &self.launch_template_version) else {
            return Err(Error::Invalid("a machine is started from a version of a launch template".into()));
        };
        let template = LaunchTemplateSpecification::builder().launch_template_id(id.get()?.as_str());
        let started = cx
            .client
            .ec2
            .run_instances()
            .client_token(cx.token())
            .min_count(1)
            .max_count(1)
            .launch_template(template.version(version.get()?).build())
            .set_tag_specifications(tagged(ResourceType::Instance, &self.tags))
            .send()
            .await;
        // An instance profile that EC2 does not see yet is one meaning of it.
        let codes = cx.client.ec2.spreading.codes(cx.instance, &["InvalidParameterValue"]);
        started.call_later("ec2:RunInstances", codes).not_yet()?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.instance_id.as_str();
        if diff.touches("running") {
            let start = cx.client.ec2.start_instances().instance_ids(id).send().await;
            start.call_later("ec2:StartInstances", &["IncorrectInstanceState"])?;
        }
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.instance_id.as_str();
        cx.client.ec2.terminate_instances().instance_ids(id).send().await.call("ec2:TerminateInstances")?;
        Ok(())
    }
}

impl Described for types::Instance {
    const ID: &'static str = "instance-id";
    fn id(&self) -> Option<&str> {
        self.instance_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_instances().set_filters(Some(filters)).max_results(PAGE);
        let found = request.into_paginator().items().send().try_collect().await;
        let found: Vec<types::Reservation> = found.call("ec2:DescribeInstances")?;
        let mut found: Vec<Self> = found.into_iter().flat_map(|r| r.instances.unwrap_or_default()).collect();
        // A terminated one is shown for about an hour.
        found.retain(|i| i.state().and_then(|s| s.name()) != Some(&InstanceStateName::Terminated));
        Ok(found)
    }
}

fn live(instance: &types::Instance) -> Live<Instance> {
    let tags = live_tags(instance.tags());
    let written = |key: &str| {
        let tag = instance.tags().iter().find(|tag| tag.key() == Some(key));
        tag.and_then(|tag| tag.value()).map(str::to_owned)
    };
    let state = instance.state().and_then(|s| s.name());
    Live {
        outputs: InstanceOutputs {
            instance_id: instance.instance_id().unwrap_or_default().into(),
            private_ip: instance.private_ip_address().unwrap_or_default().to_owned(),
            public_ip: instance.public_ip_address().map(str::to_owned),
        },
        status: match state {
            Some(
                state @ (InstanceStateName::Pending
                | InstanceStateName::ShuttingDown
                | InstanceStateName::Stopping),
            ) => Status::Pending(state.to_string()),
            _ => Status::Ready,
        },
        owner: tags.owner(),
        spec: Instance {
            launch_template_id: written(TEMPLATE).map(|id| LaunchTemplateId::from(id).into()),
            launch_template_version: written(VERSION).map(Value::Known),
            running: !matches!(state, Some(InstanceStateName::Stopped | InstanceStateName::Stopping)),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::InstanceState;

    #[test]
    fn the_version_is_read_from_the_tags_of_ec2() {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let state = |name: InstanceStateName| InstanceState::builder().name(name).build();
        let machine =
            types::Instance::builder().instance_id("i-1").tags(tag(VERSION, "3")).tags(tag("a", "b"));
        let there = live(&machine.clone().state(state(InstanceStateName::Running)).build());
        assert_eq!(there.spec.launch_template_version, Some("3".into()));
        assert_eq!(there.spec.tags, Tags::from([("a", "b")]));
        assert!(there.spec.running && there.status == Status::Ready);
        let there = live(&machine.state(state(InstanceStateName::Stopped)).build());
        assert!(!there.spec.running);
    }
}
