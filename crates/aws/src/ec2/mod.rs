//! EC2: networks, the ways in and out of them, and security groups.
//!
//! Reads of one kind share their calls: observing 200 security groups is a handful of requests.

mod availability_zones;
mod cidr;
mod default_security_group;
mod elastic_ip;
mod existing_vpc;
mod flow_log;
mod image;
mod instance;
mod instance_type_offerings;
mod internet_gateway;
mod launch_template;
mod lookup;
mod nat_gateway;
mod network_interface;
mod route;
mod route_table;
mod security_group;
mod security_group_rule;
mod standing;
mod subnet;
mod tag;
mod vpc;
mod vpc_endpoint;

pub use availability_zones::{AvailabilityZones, AvailabilityZonesOutputs, AvailabilityZonesRefs};
pub use cidr::Cidr;
pub use default_security_group::{
    DefaultRule, DefaultSecurityGroup, DefaultSecurityGroupOutputs, DefaultSecurityGroupRefs,
};
pub use elastic_ip::{ElasticIp, ElasticIpOutputs, ElasticIpRefs};
pub use existing_vpc::{ExistingVpc, ExistingVpcOutputs, ExistingVpcRefs, VpcSelector};
pub use flow_log::{FlowLog, FlowLogOutputs, FlowLogRefs};
pub use image::{Image, ImageOutputs, ImageRefs};
pub use instance::{Instance, InstanceOutputs, InstanceRefs};
pub use instance_type_offerings::{
    InstanceTypeOfferings, InstanceTypeOfferingsOutputs, InstanceTypeOfferingsRefs,
};
pub use internet_gateway::{InternetGateway, InternetGatewayOutputs, InternetGatewayRefs};
pub use launch_template::{
    BlockDevice, LaunchInterface, LaunchTemplate, LaunchTemplateOutputs, LaunchTemplateRefs, MetadataOptions,
};
pub use nat_gateway::{NatGateway, NatGatewayOutputs, NatGatewayRefs};
pub use network_interface::{NetworkInterface, NetworkInterfaceOutputs, NetworkInterfaceRefs};
pub use route::{Route, RouteOutputs, RouteRefs, RouteTarget};
pub use route_table::{RouteTable, RouteTableOutputs, RouteTableRefs};
pub use security_group::{SecurityGroup, SecurityGroupOutputs, SecurityGroupRefs};
pub use security_group_rule::{
    Direction, Peer, Protocol, SecurityGroupRule, SecurityGroupRuleOutputs, SecurityGroupRuleRefs,
};
pub use subnet::{Subnet, SubnetOutputs, SubnetRefs};
pub use tag::{Tag, TagOutputs, TagRefs};
pub use vpc::{Vpc, VpcOutputs, VpcRefs};
pub use vpc_endpoint::{VpcEndpoint, VpcEndpointOutputs, VpcEndpointRefs};

use crate::{Aws, Call, spreading::Spreading};
use aws_config::SdkConfig;
use aws_sdk_ec2::{
    Client,
    types::{self, ResourceType, TagSpecification},
};
use causeway_core::{
    Class, Error, Tags,
    coalesce::Coalesce,
    registry::ProviderKinds,
    resource::{Recovery, TagSteps},
};
use lookup::Lookup;
#[cfg(feature = "preflight")]
pub(crate) use lookup::filter;
use std::{collections::BTreeMap, ops::Deref, time::Duration};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds
        .add::<AvailabilityZones>()
        .add::<DefaultSecurityGroup>()
        .add::<ElasticIp>()
        .add::<ExistingVpc>()
        .add::<FlowLog>()
        .add::<Image>()
        .add::<Instance>()
        .add::<InstanceTypeOfferings>()
        .add::<InternetGateway>()
        .add::<LaunchTemplate>()
        .add::<NatGateway>()
        .add::<NetworkInterface>()
        .add::<Route>()
        .add::<RouteTable>()
        .add::<SecurityGroup>()
        .add::<SecurityGroupRule>()
        .add::<Subnet>()
        .add::<Tag>()
        .add::<Vpc>()
        .add::<VpcEndpoint>()
}

/// The EC2 client of a region, and the look-ups that share calls.
pub struct Ec2 {
    api: Client,
    pub(crate) addresses: Lookup<types::Address>,
    pub(crate) flow_logs: Lookup<types::FlowLog>,
    pub(crate) instances: Lookup<types::Instance>,
    pub(crate) internet_gateways: Lookup<types::InternetGateway>,
    /// With their newest versions, by id or name.
    pub(crate) launch_templates: Coalesce<String, (types::LaunchTemplate, types::LaunchTemplateVersion)>,
    /// Launch templates without what is in them, by id.
    pub(crate) numbered_templates: Coalesce<String, types::LaunchTemplate>,
    pub(crate) nat_gateways: Lookup<types::NatGateway>,
    pub(crate) network_interfaces: Lookup<types::NetworkInterface>,
    pub(crate) route_tables: Lookup<types::RouteTable>,
    /// All rules of a group, by the id of the group.
    pub(crate) rules_of_group: Coalesce<String, Vec<types::SecurityGroupRule>>,
    pub(crate) security_groups: Lookup<types::SecurityGroup>,
    pub(crate) subnets: Lookup<types::Subnet>,
    /// Tags, by the id of what they are on.
    pub(crate) tags: Coalesce<String, BTreeMap<String, String>>,
    pub(crate) spreading: Spreading,
    pub(crate) vpc_endpoints: Lookup<types::VpcEndpoint>,
    pub(crate) vpcs: Lookup<types::Vpc>,
}

impl Deref for Ec2 {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.api
    }
}

impl Ec2 {
    /// The client for the region and the credentials of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_ec2, config);
        Ec2 {
            addresses: Lookup::new(&api),
            flow_logs: Lookup::new(&api),
            instances: Lookup::new(&api),
            internet_gateways: Lookup::new(&api),
            launch_templates: launch_template::all(&api),
            numbered_templates: launch_template::numbered(&api),
            nat_gateways: Lookup::new(&api),
            network_interfaces: Lookup::new(&api),
            route_tables: Lookup::new(&api),
            rules_of_group: security_group_rule::of_groups(&api),
            security_groups: Lookup::new(&api),
            subnets: Lookup::new(&api),
            tags: tag::of_things(&api),
            spreading: Spreading::default(),
            vpc_endpoints: Lookup::new(&api),
            vpcs: Lookup::new(&api),
            api,
        }
    }

    /// The ids and tags of all that carries the tag of `stack`.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeTags.html>
    pub(crate) async fn tagged(&self, stack: &str) -> Result<Vec<(String, Tags)>, Error> {
        let filter = |name: &str, values: Vec<String>| {
            types::Filter::builder().name(name).set_values(Some(values)).build()
        };
        let list = async |filters| {
            let pages = self.describe_tags().set_filters(Some(filters)).into_paginator().items().send();
            pages.collect::<Result<Vec<_>, _>>().await.call("ec2:DescribeTags")
        };
        let ours = vec![filter("key", vec![Tags::STACK.into()]), filter("value", vec![stack.into()])];
        let ids: Vec<String> = list(ours).await?.into_iter().filter_map(|tag| tag.resource_id).collect();
        let mut found: BTreeMap<String, Tags> = BTreeMap::new();
        // As many values as a filter takes.
        for some in ids.chunks(200) {
            for tag in list(vec![filter("resource-id", some.to_vec())]).await? {
                if let (Some(id), Some(key), Some(value)) = (tag.resource_id, tag.key, tag.value) {
                    found.entry(id).or_default().0.insert(key, value);
                }
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Writes and removes tags of the thing with this id.
    pub(crate) async fn retag(&self, id: &str, steps: TagSteps<'_>) -> Result<(), Error> {
        if !steps.set.is_empty() {
            let tags = steps.set.iter().map(|(key, value)| tag(key).value(*value).build()).collect();
            self.create_tags()
                .resources(id)
                .set_tags(Some(tags))
                .send()
                .await
                .call("ec2:CreateTags")
                .not_yet()?;
        }
        if !steps.remove.is_empty() {
            let tags = steps.remove.iter().map(|key| tag(key).build()).collect();
            self.delete_tags().resources(id).set_tags(Some(tags)).send().await.call("ec2:DeleteTags")?;
        }
        Ok(())
    }
}

/// For kinds that have neither a name nor a token. EC2's own advice is to be ready for answers that lag by minutes;
/// in practice a tag is seen within seconds. Only a create whose answer was lost ever waits for this.
pub(crate) const BY_TAG: Recovery = Recovery::Tag { settle: Duration::from_secs(60) };

/// EC2 answers "not found" for what it has just made while word of it spreads. A create or an update names only what was
/// seen before, so there it means "not yet".
pub(crate) trait Spreads<T> {
    /// [`Class::NotNow`] in place of [`Class::NotFound`].
    ///
    /// # Errors
    /// The same, with that class.
    fn not_yet(self) -> Result<T, Error>;
}
impl<T> Spreads<T> for Result<T, Error> {
    fn not_yet(self) -> Result<T, Error> {
        self.map_err(|error| match error {
            Error::Call { call, class: Class::NotFound, source } => {
                Error::Call { call, class: Class::NotNow, source }
            }
            other => other,
        })
    }
}

/// What was refused in an answer that is a success otherwise. One thing was asked for, so there is one refusal at most.
pub(crate) fn unsuccessful(call: &'static str, items: &[types::UnsuccessfulItem]) -> Result<(), Error> {
    let Some(error) = items.first().and_then(types::UnsuccessfulItem::error) else { return Ok(()) };
    let (code, message) = (error.code().unwrap_or("?"), error.message().unwrap_or("EC2 does not say why"));
    let class = if code.ends_with(".NotFound") { Class::NotFound } else { Class::Final };
    Err(Error::Call { call, class, source: format!("{code}: {message}").into() })
}

fn tag(key: &str) -> types::builders::TagBuilder {
    types::Tag::builder().key(key)
}

/// Tags for a create call. `None` without tags: the API refuses an empty list.
pub(crate) fn tagged(resource_type: ResourceType, tags: &Tags) -> Option<Vec<TagSpecification>> {
    let tags: Vec<_> = tags.iter().map(|(key, value)| tag(key).value(value).build()).collect();
    (!tags.is_empty())
        .then(|| vec![TagSpecification::builder().resource_type(resource_type).set_tags(Some(tags)).build()])
}

/// All tags of an answer, also those that AWS itself puts there.
#[cfg(feature = "eks")]
pub(crate) fn every_tag(tags: &[types::Tag]) -> Tags {
    let pair = |tag: &types::Tag| Some((tag.key.clone()?, tag.value.clone()?));
    Tags(tags.iter().filter_map(pair).collect())
}

/// Tags from an answer.
pub(crate) fn live_tags(tags: &[types::Tag]) -> Tags {
    Tags::live(tags.iter().filter_map(|tag| Some((tag.key()?, tag.value()?))))
}
