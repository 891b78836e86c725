//! What a version of a launch template says, there and back:
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RequestLaunchTemplateData.html>

use super::LaunchTemplate;
use crate::{
    ec2::live_tags,
    id::{Arn, SecurityGroupId, SubnetId},
};
use aws_sdk_ec2::types::{
    LaunchTemplateBlockDeviceMappingRequest, LaunchTemplateEbsBlockDeviceRequest,
    LaunchTemplateIamInstanceProfileSpecificationRequest, LaunchTemplateInstanceMarketOptionsRequest,
    LaunchTemplateInstanceMetadataOptionsRequest, LaunchTemplateInstanceNetworkInterfaceSpecificationRequest,
    LaunchTemplateTagSpecificationRequest, LaunchTemplatesMonitoringRequest, MarketType,
    RequestLaunchTemplateData, ResponseLaunchTemplateData, Tag,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use causeway_core::{Error, Name, Set, Value, value::Unresolved};
use serde::{Deserialize, Serialize};

/// A disk on EBS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// As the image names it: `/dev/xvda`.
    pub device_name: String,
    /// `gp3`, `io2`, ..
    pub volume_type: String,
    /// In GiB.
    pub volume_size: i32,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The key that it is encrypted with. `None`: the account's default for EBS.
    #[serde(default)]
    pub kms_key_id: Option<Value<Arn>>,
    /// Operations a second. `None`: what the type comes with.
    #[serde(default)]
    pub iops: Option<i32>,
    /// MiB a second, for gp3. `None`: 125.
    #[serde(default)]
    pub throughput: Option<i32>,
    /// Whether it goes with its machine. `None`: as the image says.
    #[serde(default)]
    pub delete_on_termination: Option<bool>,
}

impl BlockDevice {
    /// An encrypted gp3 disk of `volume_size` GiB.
    pub fn gp3(device_name: &str, volume_size: i32) -> Self {
        BlockDevice {
            device_name: device_name.to_owned(),
            volume_type: "gp3".to_owned(),
            volume_size,
            encrypted: true,
            kms_key_id: None,
            iops: None,
            throughput: None,
            delete_on_termination: None,
        }
    }
}

/// An interface that a machine starts with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaunchInterface {
    /// From 0.
    pub device_index: i32,
    /// `None`: whoever uses the template says.
    #[serde(default)]
    pub subnet_id: Option<Value<SubnetId>>,
    /// Whether it gets a public address. `None`: as the subnet says.
    #[serde(default)]
    pub associate_public_ip_address: Option<bool>,
    /// Its security groups.
    #[serde(default)]
    pub groups: Set<SecurityGroupId>,
    /// Whether it goes with its machine. `None`: it does.
    #[serde(default)]
    pub delete_on_termination: Option<bool>,
}

/// The metadata service of a machine, in the API's words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetadataOptions {
    /// `enabled` or `disabled`.
    pub http_endpoint: String,
    /// `required`: only with a session (IMDSv2); `optional`.
    pub http_tokens: String,
    /// How far an answer may travel, 1 to 64. Containers on the machine need 2. `None`: 1, or as the image says.
    #[serde(default)]
    pub http_put_response_hop_limit: Option<i32>,
}

impl MetadataOptions {
    /// On, and only with a session. `hops` as in [`MetadataOptions::http_put_response_hop_limit`].
    pub fn imdsv2(hops: Option<i32>) -> Self {
        MetadataOptions {
            http_endpoint: "enabled".to_owned(),
            http_tokens: "required".to_owned(),
            http_put_response_hop_limit: hops,
        }
    }
}

impl LaunchTemplate {
    /// As the API takes it.
    pub(super) fn data(&self) -> Result<RequestLaunchTemplateData, Error> {
        let some = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
        let groups = |set: &Set<SecurityGroupId>| -> Result<Vec<String>, Unresolved> {
            Ok(set.get()?.into_iter().map(String::from).collect())
        };
        let mut data = RequestLaunchTemplateData::builder()
            .set_image_id(self.image_id.as_ref().map(Value::get).transpose()?.map(ToString::to_string))
            .set_instance_type(self.instance_type.as_deref().map(Into::into))
            .set_key_name(self.key_name.clone())
            .set_security_group_ids(some(groups(&self.security_group_ids)?));
        if let Some(profile) = &self.iam_instance_profile {
            let profile = profile.get()?.as_str();
            let by_arn = LaunchTemplateIamInstanceProfileSpecificationRequest::builder().arn(profile);
            data = data.iam_instance_profile(by_arn.build());
        }
        for disk in &self.block_device_mappings {
            let key = disk.kms_key_id.as_ref().map(Value::get).transpose()?;
            let ebs = LaunchTemplateEbsBlockDeviceRequest::builder()
                .volume_type(disk.volume_type.as_str().into())
                .volume_size(disk.volume_size)
                .encrypted(disk.encrypted)
                .set_kms_key_id(key.map(ToString::to_string))
                .set_iops(disk.iops)
                .set_throughput(disk.throughput)
                .set_delete_on_termination(disk.delete_on_termination);
            let mapping = LaunchTemplateBlockDeviceMappingRequest::builder().device_name(&disk.device_name);
            data = data.block_device_mappings(mapping.ebs(ebs.build()).build());
        }
        for interface in &self.network_interfaces {
            let subnet = interface.subnet_id.as_ref().map(Value::get).transpose()?;
            let request = LaunchTemplateInstanceNetworkInterfaceSpecificationRequest::builder()
                .device_index(interface.device_index)
                .set_subnet_id(subnet.map(ToString::to_string))
                .set_associate_public_ip_address(interface.associate_public_ip_address)
                .set_delete_on_termination(interface.delete_on_termination)
                .set_groups(some(groups(&interface.groups)?));
            data = data.network_interfaces(request.build());
        }
        if let Some(metadata) = &self.metadata_options {
            let request = LaunchTemplateInstanceMetadataOptionsRequest::builder()
                .http_endpoint(metadata.http_endpoint.as_str().into())
                .http_tokens(metadata.http_tokens.as_str().into())
                .set_http_put_response_hop_limit(metadata.http_put_response_hop_limit);
            data = data.metadata_options(request.build());
        }
        if let Some(on) = self.monitoring {
            data = data.monitoring(LaunchTemplatesMonitoringRequest::builder().enabled(on).build());
        }
        if self.spot {
            let market = LaunchTemplateInstanceMarketOptionsRequest::builder().market_type(MarketType::Spot);
            data = data.instance_market_options(market.build());
        }
        for (of, tags) in &self.tag_specifications {
            let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
            let request = LaunchTemplateTagSpecificationRequest::builder().resource_type(of.as_str().into());
            data = data.tag_specifications(request.set_tags(Some(tags.collect())).build());
        }
        if let Some(text) = &self.user_data {
            data = data.user_data(STANDARD.encode(text.get()?));
        }
        Ok(data.build())
    }

    /// What the API shows, in our words. Name and tags are left as they are.
    pub(super) fn shown(&self, data: &ResponseLaunchTemplateData) -> LaunchTemplate {
        let there = LaunchTemplate {
            image_id: data.image_id().map(|id| Value::Known(id.into())),
            instance_type: data.instance_type().map(|t| t.as_str().to_owned()),
            key_name: data.key_name().map(str::to_owned),
            iam_instance_profile: data
                .iam_instance_profile()
                .and_then(|p| p.arn().or(p.name()))
                .map(|arn| Value::Known(arn.into())),
            block_device_mappings: data.block_device_mappings().iter().map(disk).collect(),
            network_interfaces: data.network_interfaces().iter().map(interface).collect(),
            security_group_ids: data
                .security_group_ids()
                .iter()
                .map(|id| SecurityGroupId::from(id.as_str()))
                .collect(),
            metadata_options: data.metadata_options().map(|m| MetadataOptions {
                http_endpoint: m.http_endpoint().map_or("enabled", |e| e.as_str()).to_owned(),
                http_tokens: m.http_tokens().map_or("optional", |t| t.as_str()).to_owned(),
                http_put_response_hop_limit: m.http_put_response_hop_limit(),
            }),
            monitoring: data.monitoring().and_then(|m| m.enabled()),
            spot: data.instance_market_options().is_some_and(|m| m.market_type() == Some(&MarketType::Spot)),
            tag_specifications: data
                .tag_specifications()
                .iter()
                .filter_map(|s| Some((s.resource_type()?.as_str().to_owned(), live_tags(s.tags()).0)))
                .collect(),
            user_data: data.user_data().map(|text| plain(text).into()),
            ..LaunchTemplate::new(Name::Fixed(String::new()))
        };
        let other_settings = self.others(data, &there).into_iter().collect();
        LaunchTemplate { other_settings, ..there }
    }

    /// What is set there and not asked for.
    fn others(&self, data: &ResponseLaunchTemplateData, there: &LaunchTemplate) -> Vec<String> {
        let settings = [
            ("image_id", there.image_id.is_some() && self.image_id.is_none()),
            ("instance_type", there.instance_type.is_some() && self.instance_type.is_none()),
            ("key_name", there.key_name.is_some() && self.key_name.is_none()),
            (
                "iam_instance_profile",
                there.iam_instance_profile.is_some() && self.iam_instance_profile.is_none(),
            ),
            ("metadata_options", there.metadata_options.is_some() && self.metadata_options.is_none()),
            ("monitoring", there.monitoring.is_some() && self.monitoring.is_none()),
            ("user_data", there.user_data.is_some() && self.user_data.is_none()),
            ("kernel_id", data.kernel_id().is_some()),
            ("ram_disk_id", data.ram_disk_id().is_some()),
            ("placement", data.placement().is_some()),
            ("ebs_optimized", data.ebs_optimized() == Some(true)),
            ("disable_api_termination", data.disable_api_termination() == Some(true)),
            ("disable_api_stop", data.disable_api_stop() == Some(true)),
            ("instance_initiated_shutdown_behavior", data.instance_initiated_shutdown_behavior().is_some()),
            ("security_groups", !data.security_groups().is_empty()),
            ("credit_specification", data.credit_specification().is_some()),
            ("cpu_options", data.cpu_options().is_some()),
            ("capacity_reservation_specification", data.capacity_reservation_specification().is_some()),
            ("license_specifications", !data.license_specifications().is_empty()),
            ("hibernation_options", data.hibernation_options().is_some()),
            ("enclave_options", data.enclave_options().is_some()),
            ("instance_requirements", data.instance_requirements().is_some()),
            ("private_dns_name_options", data.private_dns_name_options().is_some()),
            ("maintenance_options", data.maintenance_options().is_some()),
        ];
        let set = settings.into_iter().filter(|(_, set)| *set).map(|(name, _)| name.to_owned());
        let tags = there.tag_specifications.iter().flat_map(|(of, tags)| {
            let ours = self.tag_specifications.get(of);
            let foreign = tags.keys().filter(move |key| ours.is_none_or(|ours| !ours.contains_key(*key)));
            foreign.map(move |key| format!("tag {key} of {of}"))
        });
        set.chain(tags).collect()
    }
}

/// User data may be no text at all; then it is shown as the API shows it.
fn plain(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| base64.to_owned())
}

fn disk(mapping: &aws_sdk_ec2::types::LaunchTemplateBlockDeviceMapping) -> BlockDevice {
    let ebs = mapping.ebs();
    BlockDevice {
        device_name: mapping.device_name().unwrap_or_default().to_owned(),
        volume_type: ebs.and_then(|e| e.volume_type()).map_or("", |t| t.as_str()).to_owned(),
        volume_size: ebs.and_then(|e| e.volume_size()).unwrap_or_default(),
        encrypted: ebs.and_then(|e| e.encrypted()).unwrap_or_default(),
        kms_key_id: ebs.and_then(|e| e.kms_key_id()).map(|key| Value::Known(key.into())),
        iops: ebs.and_then(|e| e.iops()),
        throughput: ebs.and_then(|e| e.throughput()),
        delete_on_termination: ebs.and_then(|e| e.delete_on_termination()),
    }
}

fn interface(
    there: &aws_sdk_ec2::types::LaunchTemplateInstanceNetworkInterfaceSpecification,
) -> LaunchInterface {
    LaunchInterface {
        device_index: there.device_index().unwrap_or_default(),
        subnet_id: there.subnet_id().map(|id| Value::Known(id.into())),
        associate_public_ip_address: there.associate_public_ip_address(),
        groups: there.groups().iter().map(|id| SecurityGroupId::from(id.as_str())).collect(),
        delete_on_termination: there.delete_on_termination(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{LaunchTemplateTagSpecification, ResourceType};

    #[test]
    fn user_data_is_sent_as_base64_and_shown_as_text() {
        let mut template = LaunchTemplate::new("nat");
        template.user_data = Some("#!/bin/sh\necho 1\n".into());
        let data = template.data().unwrap();
        assert_eq!(data.user_data(), Some("IyEvYmluL3NoCmVjaG8gMQo="));
        let there = ResponseLaunchTemplateData::builder().user_data("IyEvYmluL3NoCmVjaG8gMQo=").build();
        assert_eq!(template.shown(&there).user_data, template.user_data);
        let binary = ResponseLaunchTemplateData::builder().user_data("/w==").build();
        assert_eq!(template.shown(&binary).user_data, Some("/w==".into()));
    }

    #[test]
    fn what_nobody_asked_for_is_told() {
        let mut template = LaunchTemplate::new("nat");
        template.instance_type = Some("t4g.micro".into());
        template.tag_specifications.insert("instance".into(), [("Name".into(), "nat".into())].into());
        let tags = LaunchTemplateTagSpecification::builder().resource_type(ResourceType::Instance);
        let tags = tags.tags(Tag::builder().key("Name").value("nat").build());
        let tags = tags.tags(Tag::builder().key("by").value("hand").build()).build();
        let data = ResponseLaunchTemplateData::builder()
            .instance_type("t4g.small".into())
            .key_name("somebody")
            .tag_specifications(tags)
            .build();
        let shown = template.shown(&data);
        assert_eq!(shown.instance_type.as_deref(), Some("t4g.small"));
        assert_eq!(shown.other_settings.get().unwrap(), ["key_name", "tag by of instance"]);
        assert!(template.shown(&ResponseLaunchTemplateData::builder().build()).other_settings.0.is_empty());
    }

    #[test]
    fn a_spot_market_is_asked_for_by_name_only() {
        let mut template = LaunchTemplate::new("nat");
        assert!(template.data().unwrap().instance_market_options().is_none());
        template.spot = true;
        let market = template.data().unwrap().instance_market_options().cloned().unwrap();
        assert_eq!(market.market_type(), Some(&MarketType::Spot));
        assert!(market.spot_options().is_none());
    }
}
