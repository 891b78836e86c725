//! A network interface: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkInterface.html>

use super::{
    Spreads, live_tags,
    lookup::{Described, PAGE},
    tagged,
};
use crate::{
    Aws, Call,
    id::{NetworkInterfaceId, SecurityGroupId, SubnetId},
};
use aws_sdk_ec2::{
    Client,
    types::{self, AttributeBooleanValue, AttributeValue, Filter, ResourceType, Tag},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};

/// An interface of its own: it keeps its address and its place in routes while the machines behind it come and go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// Where it stands.
    pub subnet_id: Value<SubnetId>,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Its security groups. Empty: the default group of the network.
    #[serde(default)]
    pub groups: Set<SecurityGroupId>,
    /// Whether it only takes packets from and for itself; a machine that forwards needs `false`. `None`: AWS decides
    /// (yes).
    #[serde(default)]
    pub source_dest_check: Option<bool>,
    /// Its address. `None`: AWS chooses one of the subnet.
    #[serde(default)]
    pub private_ip_address: Option<String>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a network interface tells others.
    pub struct NetworkInterfaceOutputs => NetworkInterfaceRefs {
        /// `eni-..`
        pub network_interface_id: NetworkInterfaceId,
        /// Its address in the subnet.
        pub private_ip_address: String,
    }
}

impl Resource for NetworkInterface {
    const KIND: &'static str = "aws.ec2.network_interface";
    const RECOVERY: Recovery = Recovery::Token;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("network_interface_id");
    const KEEPS: &'static [&'static str] = &["private_ip_address"];
    const REPLACE: &'static [&'static str] = &["subnet_id", "private_ip_address"];
    // It can only go once the machine that it is attached to is gone.
    const TIMING: Timing = Timing::seconds(2, 2, 1200);
    type Client = Aws;
    type Outputs = NetworkInterfaceOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let recorded = cx.recorded.as_ref().map(|o| o.network_interface_id.as_str());
        let found = cx.client.ec2.network_interfaces.find(recorded, cx.instance).await?;
        Ok(found.as_ref().map(live))
    }

    /// Leaves the check of source and destination to `update`: the call does not take it.
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let groups: Vec<String> = self.groups.get()?.into_iter().map(String::from).collect();
        cx.client
            .ec2
            .create_network_interface()
            .client_token(cx.token())
            .subnet_id(self.subnet_id.get()?.as_str())
            .description(&self.description)
            .set_groups((!groups.is_empty()).then_some(groups))
            .set_private_ip_address(self.private_ip_address.clone())
            .set_tag_specifications(tagged(ResourceType::NetworkInterface, &self.tags))
            .send()
            .await
            .call("ec2:CreateNetworkInterface")
            .not_yet()?;
        Ok(())
    }

    /// One attribute a call is all that the API takes.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        const CALL: &str = "ec2:ModifyNetworkInterfaceAttribute";
        let id = live.outputs.network_interface_id.as_str();
        let modify = || cx.client.ec2.modify_network_interface_attribute().network_interface_id(id);
        if diff.touches("source_dest_check") {
            let on = AttributeBooleanValue::builder().value(self.source_dest_check.unwrap_or(true)).build();
            modify().source_dest_check(on).send().await.call(CALL).not_yet()?;
        }
        if diff.touches("description") {
            let text = AttributeValue::builder().value(&self.description).build();
            modify().description(text).send().await.call(CALL).not_yet()?;
        }
        let groups: Vec<String> = self.groups.get()?.into_iter().map(String::from).collect();
        if diff.touches("groups") && !groups.is_empty() {
            modify().set_groups(Some(groups)).send().await.call(CALL).not_yet()?;
        }
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    /// "Not now" while a machine has it: the call takes an id and nothing else, so a wrong value can only mean that.
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.network_interface_id.as_str();
        let delete = cx.client.ec2.delete_network_interface().network_interface_id(id).send().await;
        let in_use = ["InvalidParameterValue", "InvalidNetworkInterface.InUse"];
        delete.call_later("ec2:DeleteNetworkInterface", &in_use)?;
        Ok(())
    }
}

impl Described for types::NetworkInterface {
    const ID: &'static str = "network-interface-id";
    fn id(&self) -> Option<&str> {
        self.network_interface_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tag_set()
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_network_interfaces().set_filters(Some(filters)).max_results(PAGE);
        request.into_paginator().items().send().try_collect().await.call("ec2:DescribeNetworkInterfaces")
    }
}

fn live(interface: &types::NetworkInterface) -> Live<NetworkInterface> {
    let tags = live_tags(interface.tag_set());
    let address = interface.private_ip_address().unwrap_or_default().to_owned();
    Live {
        outputs: NetworkInterfaceOutputs {
            network_interface_id: interface.network_interface_id().unwrap_or_default().into(),
            private_ip_address: address.clone(),
        },
        status: match interface.status() {
            // The SDK has no word for it.
            Some(status) if status.as_str() == "pending" => Status::Pending(status.to_string()),
            // Machines take it and leave it; for what routes to it that makes no difference.
            _ => Status::Ready,
        },
        owner: tags.owner(),
        spec: NetworkInterface {
            subnet_id: SubnetId::from(interface.subnet_id().unwrap_or_default()).into(),
            description: interface.description().unwrap_or_default().to_owned(),
            groups: interface
                .groups()
                .iter()
                .filter_map(|g| g.group_id().map(SecurityGroupId::from))
                .collect(),
            source_dest_check: interface.source_dest_check(),
            private_ip_address: Some(address),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_told_as_it_is_wanted() {
        let interface = types::NetworkInterface::builder()
            .network_interface_id("eni-1")
            .subnet_id("subnet-1")
            .private_ip_address("10.0.10.7")
            .source_dest_check(false)
            .groups(types::GroupIdentifier::builder().group_id("sg-1").build());
        let there = live(&interface.clone().status("pending".into()).build());
        assert_eq!(there.status, Status::Pending("pending".into()));
        let there = live(&interface.status(types::NetworkInterfaceStatus::InUse).build());
        assert_eq!(there.status, Status::Ready);
        assert_eq!(there.spec.source_dest_check, Some(false));
        assert_eq!(there.spec.groups.get().unwrap(), [SecurityGroupId::from("sg-1")]);
        assert_eq!(there.outputs.private_ip_address, "10.0.10.7");
    }
}
