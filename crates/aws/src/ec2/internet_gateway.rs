//! An internet gateway: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateInternetGateway.html>

use super::{
    BY_TAG, Spreads, live_tags,
    lookup::{Described, PAGE},
    standing, tagged,
};
use crate::{
    Aws, Call,
    id::{InternetGatewayId, VpcId},
};
use aws_sdk_ec2::{
    Client,
    error::ProvideErrorMetadata,
    types::{self, AttachmentStatus, Filter, InternetGatewayAttachment, ResourceType, Tag},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// The way between a network and the internet. Attaching is part of it: a gateway that was made and not attached is
/// one that differs in `vpc_id`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InternetGateway {
    /// The network that it is attached to; each has at most one. An id of no characters is read back while it is
    /// attached to nothing.
    pub vpc_id: Value<VpcId>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What an internet gateway tells others.
    pub struct InternetGatewayOutputs => InternetGatewayRefs {
        /// `igw-..`
        pub internet_gateway_id: InternetGatewayId,
    }
}

impl Resource for InternetGateway {
    const KIND: &'static str = "aws.ec2.internet_gateway";
    const RECOVERY: Recovery = BY_TAG;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("internet_gateway_id");
    const TIMING: Timing = Timing::seconds(2, 1, 600);
    type Client = Aws;
    type Outputs = InternetGatewayOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let ec2 = &cx.client.ec2;
        if let (Some(recorded), Ok(vpc)) = (&cx.recorded, self.vpc_id.get()) {
            let (id, vpc) = (recorded.internet_gateway_id.as_str(), vpc.as_str());
            if let Some(tags) = standing::tags(cx, id, ec2.leads_to(vpc, id)).await? {
                let gateway = types::InternetGateway::builder().internet_gateway_id(id).set_tags(Some(tags));
                let attached = InternetGatewayAttachment::builder().vpc_id(vpc).build();
                return Ok(Some(live(&gateway.attachments(attached).build())));
            }
        }
        let recorded = cx.recorded.as_ref().map(|o| o.internet_gateway_id.as_str());
        let found = ec2.internet_gateways.find(recorded, cx.instance).await?;
        Ok(found.as_ref().map(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        cx.client
            .ec2
            .create_internet_gateway()
            .set_tag_specifications(tagged(ResourceType::InternetGateway, &self.tags))
            .send()
            .await
            .call("ec2:CreateInternetGateway")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.internet_gateway_id.as_str();
        if diff.touches("vpc_id") {
            detach(cx, live).await?;
            let request = cx.client.ec2.attach_internet_gateway().internet_gateway_id(id);
            match request.vpc_id(self.vpc_id.get()?.as_str()).send().await {
                // By an earlier try whose answer was lost.
                Err(e) if e.code() == Some("Resource.AlreadyAssociated") => {}
                attached => drop(attached.call("ec2:AttachInternetGateway").not_yet()?),
            }
        }
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        detach(cx, live).await?;
        let id = live.outputs.internet_gateway_id.as_str();
        let request = cx.client.ec2.delete_internet_gateway().internet_gateway_id(id);
        request.send().await.call("ec2:DeleteInternetGateway")?;
        Ok(())
    }
}

/// Answers "not now" while machines in the network have public addresses.
async fn detach(cx: &Cx<'_, InternetGateway>, live: &Live<InternetGateway>) -> Result<(), Error> {
    let vpc = live.spec.vpc_id.get()?.as_str();
    if vpc.is_empty() {
        return Ok(());
    }
    let id = live.outputs.internet_gateway_id.as_str();
    let request = cx.client.ec2.detach_internet_gateway().internet_gateway_id(id).vpc_id(vpc);
    // It may have been detached by an earlier try.
    request.send().await.call("ec2:DetachInternetGateway").found()?;
    Ok(())
}

impl Described for types::InternetGateway {
    const ID: &'static str = "internet-gateway-id";
    fn id(&self) -> Option<&str> {
        self.internet_gateway_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_internet_gateways().set_filters(Some(filters)).max_results(PAGE);
        request.into_paginator().items().send().try_collect().await.call("ec2:DescribeInternetGateways")
    }
}

fn live(gateway: &types::InternetGateway) -> Live<InternetGateway> {
    let tags = live_tags(gateway.tags());
    let attachment = gateway.attachments().iter().find(|a| a.state() != Some(&AttachmentStatus::Detached));
    let vpc_id = VpcId::from(attachment.and_then(|a| a.vpc_id()).unwrap_or_default());
    Live {
        outputs: InternetGatewayOutputs {
            internet_gateway_id: gateway.internet_gateway_id().unwrap_or_default().into(),
        },
        status: match attachment.and_then(|a| a.state()) {
            Some(state @ (AttachmentStatus::Attaching | AttachmentStatus::Detaching)) => {
                Status::Pending(state.to_string())
            }
            _ => Status::Ready,
        },
        owner: tags.owner(),
        spec: InternetGateway { vpc_id: vpc_id.into(), tags },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(state: &str) -> types::InternetGateway {
        let attachment = InternetGatewayAttachment::builder().vpc_id("vpc-1").state(state.into()).build();
        types::InternetGateway::builder().internet_gateway_id("igw-1").attachments(attachment).build()
    }

    #[test]
    fn a_gateway_that_was_not_attached_differs() {
        let alone = types::InternetGateway::builder().internet_gateway_id("igw-1").build();
        assert_eq!(live(&alone).spec.vpc_id, VpcId::from("").into());
        assert_eq!(live(&gateway("detached")).spec.vpc_id, VpcId::from("").into());
    }

    #[test]
    fn attached_gateways_are_available_in_the_words_of_the_api() {
        let live = live(&gateway("available"));
        assert_eq!((live.spec.vpc_id, live.status), (VpcId::from("vpc-1").into(), Status::Ready));
        assert_eq!(super::live(&gateway("attaching")).status, Status::Pending("attaching".into()));
    }
}
