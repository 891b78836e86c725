//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html>

use super::{Attributes, Tagged, attributes, full_name, name, sdk_tags};
use crate::{
    Aws, Call,
    id::{Arn, HostedZoneId, SecurityGroupId, SubnetId},
    shown::shown,
};
use aws_sdk_elasticloadbalancingv2::types as sdk;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// The attribute that keeps a load balancer from being deleted.
const PROTECTION: &str = "deletion_protection.enabled";

/// What AWS chooses where nothing is asked for.
const IP_ADDRESS_TYPE: &str = "ipv4";

/// What AWS sets by itself, for attributes that are taken out of a spec again.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html>
const DEFAULTS: &[(&str, &str)] = &[
    (PROTECTION, "false"),
    ("access_logs.s3.enabled", "false"),
    ("access_logs.s3.bucket", ""),
    ("access_logs.s3.prefix", ""),
    ("client_keep_alive.seconds", "3600"),
    ("connection_logs.s3.enabled", "false"),
    ("connection_logs.s3.bucket", ""),
    ("connection_logs.s3.prefix", ""),
    ("idle_timeout.timeout_seconds", "60"),
    ("routing.http.desync_mitigation_mode", "defensive"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ("routing.http.preserve_host_header.enabled", "false"),
    ("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false"),
    ("routing.http.xff_client_port.enabled", "false"),
    ("routing.http.xff_header_processing.mode", "append"),
    ("routing.http2.enabled", "true"),
    ("waf.fail_open.enabled", "false"),
    ("zonal_shift.config.enabled", "false"),
];

/// An application load balancer.
///
/// # Deletion protection
/// With the attribute `deletion_protection.enabled` set to `true`, or turned on by somebody else, a delete is refused
/// before anything is asked of AWS: the protection is taken away by an apply of its own that sets the attribute to
/// `false`, never by the delete that it is there to stop. Only where the last apply wanted `false` and the cloud has
/// `true` does the delete turn it off first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Unique among the account's load balancers in the region; at most 32 letters, digits and hyphens. A generated
    /// name is cut to fit.
    pub name: Name,
    /// `internet-facing` or `internal`.
    pub scheme: String,
    /// `ipv4`, `dualstack` or `dualstack-without-public-ipv4`. `None`: AWS chooses `ipv4`.
    #[serde(default)]
    pub ip_address_type: Option<String>,
    /// At least two, in different zones.
    pub subnets: Set<SubnetId>,
    /// Those that let clients in, and that targets let in.
    pub security_groups: Set<SecurityGroupId>,
    /// `deletion_protection.enabled`, `idle_timeout.timeout_seconds`, `access_logs.s3.enabled`,
    /// `routing.http.drop_invalid_header_fields.enabled` and the like. The bucket of the access log must let the
    /// service write before its attribute is set.
    #[serde(default)]
    pub attributes: Attributes,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

impl LoadBalancer {
    /// One that the internet can reach.
    pub fn internet_facing(
        name: impl Into<Name>,
        subnets: Set<SubnetId>,
        security_groups: Set<SecurityGroupId>,
    ) -> Self {
        LoadBalancer {
            name: name.into(),
            scheme: "internet-facing".into(),
            ip_address_type: None,
            subnets,
            security_groups,
            attributes: Attributes::new(),
            tags: Tags::default(),
        }
    }

    /// One that only its network can reach.
    pub fn internal(
        name: impl Into<Name>,
        subnets: Set<SubnetId>,
        security_groups: Set<SecurityGroupId>,
    ) -> Self {
        LoadBalancer { scheme: "internal".into(), ..Self::internet_facing(name, subnets, security_groups) }
    }

    /// Adds an attribute: `.attribute("idle_timeout.timeout_seconds", "300")`.
    pub fn attribute(mut self, key: &str, value: impl Into<Value<String>>) -> Self {
        self.attributes.insert(key.to_owned(), value.into());
        self
    }
}

outputs! {
    /// What a load balancer tells others.
    pub struct LoadBalancerOutputs => LoadBalancerRefs {
        /// `arn:aws:elasticloadbalancing:..:loadbalancer/app/<name>/<id>`
        pub arn: Arn,
        /// Where it answers; the target of an alias record.
        pub dns_name: String,
        /// The hosted zone that `dns_name` lives in, for alias records.
        pub canonical_hosted_zone_id: HostedZoneId,
        /// `app/<name>/<id>`: the dimension `LoadBalancer` of CloudWatch.
        pub full_name: String,
    }
}

impl Resource for LoadBalancer {
    const KIND: &'static str = "aws.elbv2.load_balancer";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name", "scheme"];
    const TIMING: Timing = Timing::seconds(150, 5, 900);
    type Client = Aws;
    type Outputs = LoadBalancerOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(name) = name::of(&self.name, cx.instance)? else { return Ok(None) };
        let elbv2 = &cx.client.elbv2;
        let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (found, confirmed) = tokio::join!(
            elbv2.load_balancers.get(name),
            cx.client.tag_index.confirms(cx, recorded, &self.tags)
        );
        let Some(found) = found? else { return Ok(None) };
        let arn = found.load_balancer_arn.clone();
        let (attributes, found) = tokio::join!(
            elbv2.describe_load_balancer_attributes().set_load_balancer_arn(arn.clone()).send(),
            elbv2.with_tags(found, arn.as_deref(), recorded, confirmed)
        );
        // Gone between the two calls.
        let Some(attributes) =
            attributes.call("elasticloadbalancing:DescribeLoadBalancerAttributes").found()?
        else {
            return Ok(None);
        };
        let found = found?;
        let attributes = attributes.attributes.unwrap_or_default();
        let attributes =
            attributes::live(&self.attributes, attributes.into_iter().map(|a| (a.key, a.value)), DEFAULTS);
        let mut live = live(found, attributes);
        if let Name::Fixed(actual) = &live.spec.name {
            live.spec.name = name::live(&self.name, cx.instance, actual);
        }
        live.spec.ip_address_type =
            shown(self.ip_address_type.as_ref(), live.spec.ip_address_type, IP_ADDRESS_TYPE.to_owned());
        Ok(Some(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let ids = |ids: Vec<String>| (!ids.is_empty()).then_some(ids);
        cx.client
            .elbv2
            .create_load_balancer()
            .set_name(name::of(&self.name, cx.instance)?)
            .r#type(sdk::LoadBalancerTypeEnum::Application)
            .scheme(sdk::LoadBalancerSchemeEnum::from(self.scheme.as_str()))
            .set_ip_address_type(self.ip_address_type.as_deref().map(sdk::IpAddressType::from))
            .set_subnets(ids(self.subnets.get()?.into_iter().map(String::from).collect()))
            .set_security_groups(ids(self.security_groups.get()?.into_iter().map(String::from).collect()))
            .set_tags(sdk_tags(&self.tags))
            .send()
            .await
            .call("elasticloadbalancing:CreateLoadBalancer")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let (elbv2, arn) = (&cx.client.elbv2, live.outputs.arn.as_str());
        if diff.touches("security_groups") {
            elbv2
                .set_security_groups()
                .load_balancer_arn(arn)
                .set_security_groups(Some(
                    self.security_groups.get()?.into_iter().map(String::from).collect(),
                ))
                .send()
                .await
                .call("elasticloadbalancing:SetSecurityGroups")?;
        }
        if diff.touches("subnets") {
            elbv2
                .set_subnets()
                .load_balancer_arn(arn)
                .set_subnets(Some(self.subnets.get()?.into_iter().map(String::from).collect()))
                .send()
                .await
                .call("elasticloadbalancing:SetSubnets")?;
        }
        if diff.touches("ip_address_type") {
            let kind = self.ip_address_type.as_deref().unwrap_or(IP_ADDRESS_TYPE);
            elbv2
                .set_ip_address_type()
                .load_balancer_arn(arn)
                .ip_address_type(sdk::IpAddressType::from(kind))
                .send()
                .await
                .call("elasticloadbalancing:SetIpAddressType")?;
        }
        let steps = attributes::steps(&self.attributes, &live.spec.attributes, diff, DEFAULTS)?;
        if !steps.is_empty() {
            self.set_attributes(cx, arn, steps).await?;
        }
        elbv2.tag(arn, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let arn = live.outputs.arn.as_str();
        match protection(self, &live.spec) {
            Protection::Off => {}
            Protection::Drifted => {
                self.set_attributes(cx, arn, vec![(PROTECTION.to_owned(), "false".to_owned())]).await?;
            }
            Protection::On => {
                return Err(Error::Invalid(format!(
                    "the load balancer {arn} is protected from deletion: set `{PROTECTION}` to `false`, apply, \
                     and delete it then"
                )));
            }
        }
        let answer = cx.client.elbv2.delete_load_balancer().load_balancer_arn(arn).send().await;
        answer.call("elasticloadbalancing:DeleteLoadBalancer").found()?;
        Ok(())
    }
}

impl LoadBalancer {
    async fn set_attributes(
        &self,
        cx: &Cx<'_, Self>,
        arn: &str,
        attributes: Vec<(String, String)>,
    ) -> Result<(), Error> {
        let attributes = attributes
            .into_iter()
            .map(|(k, v)| sdk::LoadBalancerAttribute::builder().key(k).value(v).build())
            .collect();
        cx.client
            .elbv2
            .modify_load_balancer_attributes()
            .load_balancer_arn(arn)
            .set_attributes(Some(attributes))
            .send()
            .await
            .call("elasticloadbalancing:ModifyLoadBalancerAttributes")?;
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
enum Protection {
    Off,
    /// Turned on behind the back of a spec that says off.
    Drifted,
    On,
}

fn protection(wanted: &LoadBalancer, live: &LoadBalancer) -> Protection {
    let says =
        |spec: &LoadBalancer, text: &str| spec.attributes.get(PROTECTION) == Some(&Value::Known(text.into()));
    match says(live, "true") {
        false => Protection::Off,
        true if says(wanted, "false") => Protection::Drifted,
        true => Protection::On,
    }
}

fn live(found: Tagged<sdk::LoadBalancer>, attributes: Attributes) -> Live<LoadBalancer> {
    let Tagged { thing, tags } = found;
    let arn = thing.load_balancer_arn.unwrap_or_default();
    let zones = thing.availability_zones.unwrap_or_default();
    Live {
        outputs: LoadBalancerOutputs {
            full_name: full_name(&arn).to_owned(),
            arn: arn.into(),
            dns_name: thing.dns_name.unwrap_or_default(),
            canonical_hosted_zone_id: thing.canonical_hosted_zone_id.unwrap_or_default().into(),
        },
        status: status(thing.state),
        owner: tags.owner(),
        spec: LoadBalancer {
            name: Name::Fixed(thing.load_balancer_name.unwrap_or_default()),
            scheme: thing.scheme.map(|s| s.as_str().to_owned()).unwrap_or_default(),
            ip_address_type: thing.ip_address_type.map(|t| t.as_str().to_owned()),
            subnets: zones.into_iter().filter_map(|z| z.subnet_id).map(SubnetId).collect(),
            security_groups: thing
                .security_groups
                .unwrap_or_default()
                .into_iter()
                .map(SecurityGroupId)
                .collect(),
            attributes,
            tags,
        },
    }
}

fn status(state: Option<sdk::LoadBalancerState>) -> Status {
    let reason = state.as_ref().and_then(|s| s.reason.clone());
    match state.and_then(|s| s.code) {
        Some(sdk::LoadBalancerStateEnum::Failed) => {
            Status::Failed(reason.unwrap_or_else(|| "it could not be set up".into()))
        }
        // Impaired ones route traffic, only with fewer resources than they would like.
        Some(sdk::LoadBalancerStateEnum::Active | sdk::LoadBalancerStateEnum::ActiveImpaired) => {
            Status::Ready
        }
        Some(code) => Status::Pending(code.as_str().to_owned()),
        None => Status::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(protection: &str) -> LoadBalancer {
        LoadBalancer::internal("web", Set::default(), Set::default()).attribute(PROTECTION, protection)
    }

    #[test]
    fn only_a_spec_that_says_off_lets_a_delete_turn_protection_off() {
        let silent = LoadBalancer::internal("web", Set::default(), Set::default());
        assert_eq!(protection(&with("true"), &with("true")), Protection::On);
        assert_eq!(protection(&silent, &with("true")), Protection::On);
        assert_eq!(protection(&with("false"), &with("true")), Protection::Drifted);
        assert_eq!(protection(&with("true"), &with("false")), Protection::Off);
        assert_eq!(protection(&silent, &silent), Protection::Off);
    }

    #[test]
    fn it_is_pending_while_provisioning() {
        let state = |code| Some(sdk::LoadBalancerState::builder().code(code).build());
        assert_eq!(
            status(state(sdk::LoadBalancerStateEnum::Provisioning)),
            Status::Pending("provisioning".into())
        );
        assert_eq!(status(state(sdk::LoadBalancerStateEnum::Active)), Status::Ready);
        assert_eq!(status(state(sdk::LoadBalancerStateEnum::ActiveImpaired)), Status::Ready);
        assert!(matches!(status(state(sdk::LoadBalancerStateEnum::Failed)), Status::Failed(_)));
    }

    #[test]
    fn what_aws_answers_reads_as_a_spec() {
        let thing = sdk::LoadBalancer::builder()
            .load_balancer_arn(
                "arn:aws:elasticloadbalancing:us-east-2:123456789012:loadbalancer/app/web/50dc",
            )
            .load_balancer_name("web")
            .dns_name("web-1.us-east-2.elb.amazonaws.com")
            .canonical_hosted_zone_id("Z3AADJGX6KTTL2")
            .scheme(sdk::LoadBalancerSchemeEnum::Internal)
            .ip_address_type(sdk::IpAddressType::Ipv4)
            .availability_zones(sdk::AvailabilityZone::builder().subnet_id("subnet-2").build())
            .availability_zones(sdk::AvailabilityZone::builder().subnet_id("subnet-1").build())
            .security_groups("sg-1")
            .build();
        let live = live(Tagged { thing, tags: Tags::default() }, Attributes::new());
        let wanted = LoadBalancer {
            ip_address_type: Some("ipv4".into()),
            ..LoadBalancer::internal(
                "web",
                [SubnetId::from("subnet-1"), SubnetId::from("subnet-2")].into_iter().collect(),
                [SecurityGroupId::from("sg-1")].into_iter().collect(),
            )
        };
        assert_eq!(serde_json::to_value(&live.spec).unwrap(), serde_json::to_value(&wanted).unwrap());
        assert_eq!(live.outputs.full_name, "app/web/50dc");
    }
}
