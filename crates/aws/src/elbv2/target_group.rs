//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html>

use super::{Attributes, Tagged, attributes, full_name, name, sdk_tags};
use crate::{
    Aws, Call,
    id::{Arn, VpcId},
    shown::shown,
};
use aws_sdk_elasticloadbalancingv2::types as sdk;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// What AWS sets by itself, for attributes that are taken out of a spec again.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html>
const DEFAULTS: &[(&str, &str)] = &[
    ("deregistration_delay.timeout_seconds", "300"),
    ("load_balancing.algorithm.type", "round_robin"),
    ("load_balancing.algorithm.anomaly_mitigation", "off"),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ("slow_start.duration_seconds", "0"),
    ("stickiness.enabled", "false"),
    ("stickiness.type", "lb_cookie"),
    ("stickiness.lb_cookie.duration_seconds", "86400"),
    ("stickiness.app_cookie.duration_seconds", "86400"),
];

/// The version of a group whose traffic is gRPC, which has health checks of its own.
const GRPC: &str = "GRPC";

/// What a load balancer sends requests to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Unique in the account and region; at most 32 letters, digits and hyphens. A generated name is cut to fit.
    pub name: Name,
    /// How targets are spoken to: `HTTP` or `HTTPS`.
    pub protocol: String,
    /// The port of targets that are registered without one.
    pub port: u16,
    /// The network that the targets are in.
    pub vpc_id: Value<VpcId>,
    /// `ip` for Fargate and for pods, or `instance`.
    pub target_type: String,
    /// `HTTP1`, `HTTP2` or `GRPC`. `None`: AWS chooses `HTTP1`.
    #[serde(default)]
    pub protocol_version: Option<String>,
    /// How a target is found healthy.
    #[serde(default)]
    pub health_check: HealthCheck,
    /// `deregistration_delay.timeout_seconds`, `stickiness.enabled` and the like.
    #[serde(default)]
    pub attributes: Attributes,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// How a target is found healthy. `None` anywhere: AWS chooses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// `HTTP` or `HTTPS`; AWS: `HTTP`.
    pub protocol: Option<String>,
    /// A port, or `traffic-port`, which AWS takes too.
    pub port: Option<String>,
    /// The path; AWS: `/`, and `/AWS.ALB/healthcheck` with gRPC.
    pub path: Option<String>,
    /// Good status codes, like `200` or `200-299`; AWS: `200`, and `12` with gRPC.
    pub matcher: Option<String>,
    /// Seconds between two checks, 5 to 300; AWS: 30.
    pub interval_seconds: Option<u16>,
    /// Seconds until a check without an answer fails, 2 to 120; AWS: 5.
    pub timeout_seconds: Option<u16>,
    /// Successes in a row until a target is healthy, 2 to 10; AWS: 5.
    pub healthy_threshold: Option<u8>,
    /// Failures in a row until a target is unhealthy, 2 to 10; AWS: 2.
    pub unhealthy_threshold: Option<u8>,
}

impl TargetGroup {
    /// A group of addresses that speak HTTP on `port` and are healthy when `path` answers 200.
    pub fn ip(name: impl Into<Name>, vpc_id: impl Into<Value<VpcId>>, port: u16, path: &str) -> Self {
        TargetGroup {
            name: name.into(),
            protocol: "HTTP".into(),
            port,
            vpc_id: vpc_id.into(),
            target_type: "ip".into(),
            protocol_version: None,
            health_check: HealthCheck { path: Some(path.to_owned()), ..HealthCheck::default() },
            attributes: Attributes::new(),
            tags: Tags::default(),
        }
    }

    /// Adds an attribute: `.attribute("deregistration_delay.timeout_seconds", "30")`.
    pub fn attribute(mut self, key: &str, value: impl Into<Value<String>>) -> Self {
        self.attributes.insert(key.to_owned(), value.into());
        self
    }
}

outputs! {
    /// What a target group tells others.
    pub struct TargetGroupOutputs => TargetGroupRefs {
        /// `arn:aws:elasticloadbalancing:..:targetgroup/<name>/<id>`
        pub arn: Arn,
        /// `targetgroup/<name>/<id>`: the dimension `TargetGroup` of CloudWatch.
        pub full_name: String,
        /// Its name, as it was generated.
        pub name: String,
    }
}

impl Resource for TargetGroup {
    const KIND: &'static str = "aws.elbv2.target_group";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] =
        &["name", "protocol", "port", "vpc_id", "target_type", "protocol_version"];
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = TargetGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(name) = name::of(&self.name, cx.instance)? else { return Ok(None) };
        let elbv2 = &cx.client.elbv2;
        let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (found, confirmed) = tokio::join!(
            elbv2.target_groups.get(name),
            cx.client.tag_index.confirms(cx, recorded, &self.tags)
        );
        let Some(found) = found? else { return Ok(None) };
        let arn = found.target_group_arn.clone();
        let (attributes, found) = tokio::join!(
            elbv2.describe_target_group_attributes().set_target_group_arn(arn.clone()).send(),
            elbv2.with_tags(found, arn.as_deref(), recorded, confirmed)
        );
        // Gone between the two calls.
        let Some(attributes) =
            attributes.call("elasticloadbalancing:DescribeTargetGroupAttributes").found()?
        else {
            return Ok(None);
        };
        let found = found?;
        let attributes = attributes.attributes.unwrap_or_default();
        let attributes =
            attributes::live(&self.attributes, attributes.into_iter().map(|a| (a.key, a.value)), DEFAULTS);
        let mut live = live(found, attributes);
        live.spec.name = name::live(&self.name, cx.instance, &live.outputs.name);
        live.spec.health_check = self.checks_shown(live.spec.health_check);
        live.spec.protocol_version =
            shown(self.protocol_version.as_ref(), live.spec.protocol_version, "HTTP1".to_owned());
        Ok(Some(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let check = &self.health_check;
        cx.client
            .elbv2
            .create_target_group()
            .set_name(name::of(&self.name, cx.instance)?)
            .protocol(sdk::ProtocolEnum::from(self.protocol.as_str()))
            .port(i32::from(self.port))
            .vpc_id(self.vpc_id.get()?.as_str())
            .target_type(sdk::TargetTypeEnum::from(self.target_type.as_str()))
            .set_protocol_version(self.protocol_version.clone())
            .set_health_check_protocol(check.protocol.as_deref().map(sdk::ProtocolEnum::from))
            .set_health_check_port(check.port.clone())
            .set_health_check_path(check.path.clone())
            .set_matcher(self.matcher(check.matcher.as_deref()))
            .set_health_check_interval_seconds(check.interval_seconds.map(i32::from))
            .set_health_check_timeout_seconds(check.timeout_seconds.map(i32::from))
            .set_healthy_threshold_count(check.healthy_threshold.map(i32::from))
            .set_unhealthy_threshold_count(check.unhealthy_threshold.map(i32::from))
            .set_tags(sdk_tags(&self.tags))
            .send()
            .await
            .call("elasticloadbalancing:CreateTargetGroup")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let (elbv2, arn) = (&cx.client.elbv2, live.outputs.arn.as_str());
        if diff.touches("health_check") {
            let check = self.checks_to_send(diff);
            elbv2
                .modify_target_group()
                .target_group_arn(arn)
                .set_health_check_protocol(check.protocol.as_deref().map(sdk::ProtocolEnum::from))
                .set_health_check_port(check.port)
                .set_health_check_path(check.path)
                .set_matcher(self.matcher(check.matcher.as_deref()))
                .set_health_check_interval_seconds(check.interval_seconds.map(i32::from))
                .set_health_check_timeout_seconds(check.timeout_seconds.map(i32::from))
                .set_healthy_threshold_count(check.healthy_threshold.map(i32::from))
                .set_unhealthy_threshold_count(check.unhealthy_threshold.map(i32::from))
                .send()
                .await
                .call("elasticloadbalancing:ModifyTargetGroup")?;
        }
        let steps = attributes::steps(&self.attributes, &live.spec.attributes, diff, DEFAULTS)?;
        if !steps.is_empty() {
            let attributes = steps
                .into_iter()
                .map(|(k, v)| sdk::TargetGroupAttribute::builder().key(k).value(v).build())
                .collect();
            elbv2
                .modify_target_group_attributes()
                .target_group_arn(arn)
                .set_attributes(Some(attributes))
                .send()
                .await
                .call("elasticloadbalancing:ModifyTargetGroupAttributes")?;
        }
        elbv2.tag(arn, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let arn = live.outputs.arn.as_str();
        let answer = cx.client.elbv2.delete_target_group().target_group_arn(arn).send().await;
        answer.call("elasticloadbalancing:DeleteTargetGroup").found()?;
        Ok(())
    }
}

impl TargetGroup {
    fn is_grpc(&self) -> bool {
        self.protocol_version.as_deref() == Some(GRPC)
    }

    fn matcher(&self, codes: Option<&str>) -> Option<sdk::Matcher> {
        let matcher = sdk::Matcher::builder();
        Some(match self.is_grpc() {
            true => matcher.grpc_code(codes?).build(),
            false => matcher.http_code(codes?).build(),
        })
    }

    /// What AWS chooses.
    fn default_checks(&self) -> HealthCheck {
        let (path, matcher) = if self.is_grpc() { ("/AWS.ALB/healthcheck", "12") } else { ("/", "200") };
        HealthCheck {
            protocol: Some("HTTP".into()),
            port: Some("traffic-port".into()),
            path: Some(path.into()),
            matcher: Some(matcher.into()),
            interval_seconds: Some(30),
            timeout_seconds: Some(5),
            healthy_threshold: Some(5),
            unhealthy_threshold: Some(2),
        }
    }

    /// The checks as wanted, and the defaults of AWS for those that were taken out.
    fn checks_to_send(&self, diff: &Diff) -> HealthCheck {
        let (check, default) = (self.health_check.clone(), self.default_checks());
        let removed = |field: &str| diff.touches(&format!("health_check.{field}"));
        HealthCheck {
            protocol: check.protocol.or(default.protocol.filter(|_| removed("protocol"))),
            port: check.port.or(default.port.filter(|_| removed("port"))),
            path: check.path.or(default.path.filter(|_| removed("path"))),
            matcher: check.matcher.or(default.matcher.filter(|_| removed("matcher"))),
            interval_seconds: check
                .interval_seconds
                .or(default.interval_seconds.filter(|_| removed("interval_seconds"))),
            timeout_seconds: check
                .timeout_seconds
                .or(default.timeout_seconds.filter(|_| removed("timeout_seconds"))),
            healthy_threshold: check
                .healthy_threshold
                .or(default.healthy_threshold.filter(|_| removed("healthy_threshold"))),
            unhealthy_threshold: check
                .unhealthy_threshold
                .or(default.unhealthy_threshold.filter(|_| removed("unhealthy_threshold"))),
        }
    }

    fn checks_shown(&self, live: HealthCheck) -> HealthCheck {
        let (check, default) = (&self.health_check, self.default_checks());
        HealthCheck {
            protocol: as_shown(check.protocol.as_ref(), live.protocol, default.protocol),
            port: as_shown(check.port.as_ref(), live.port, default.port),
            path: as_shown(check.path.as_ref(), live.path, default.path),
            matcher: as_shown(check.matcher.as_ref(), live.matcher, default.matcher),
            interval_seconds: as_shown(
                check.interval_seconds.as_ref(),
                live.interval_seconds,
                default.interval_seconds,
            ),
            timeout_seconds: as_shown(
                check.timeout_seconds.as_ref(),
                live.timeout_seconds,
                default.timeout_seconds,
            ),
            healthy_threshold: as_shown(
                check.healthy_threshold.as_ref(),
                live.healthy_threshold,
                default.healthy_threshold,
            ),
            unhealthy_threshold: as_shown(
                check.unhealthy_threshold.as_ref(),
                live.unhealthy_threshold,
                default.unhealthy_threshold,
            ),
        }
    }
}

fn as_shown<T: PartialEq>(wanted: Option<&T>, live: Option<T>, default: Option<T>) -> Option<T> {
    match default {
        Some(default) => shown(wanted, live, default),
        None => live,
    }
}

fn live(found: Tagged<sdk::TargetGroup>, attributes: Attributes) -> Live<TargetGroup> {
    let Tagged { thing, tags } = found;
    let arn = thing.target_group_arn.unwrap_or_default();
    let name = thing.target_group_name.unwrap_or_default();
    let matcher = thing.matcher.and_then(|m| m.http_code.or(m.grpc_code));
    Live {
        outputs: TargetGroupOutputs {
            full_name: full_name(&arn).to_owned(),
            arn: arn.into(),
            name: name.clone(),
        },
        status: Status::Ready,
        owner: tags.owner(),
        spec: TargetGroup {
            name: Name::Fixed(name),
            protocol: thing.protocol.map(|p| p.as_str().to_owned()).unwrap_or_default(),
            port: number(thing.port).unwrap_or_default(),
            vpc_id: Value::Known(thing.vpc_id.unwrap_or_default().into()),
            target_type: thing.target_type.map(|t| t.as_str().to_owned()).unwrap_or_default(),
            protocol_version: thing.protocol_version,
            health_check: HealthCheck {
                protocol: thing.health_check_protocol.map(|p| p.as_str().to_owned()),
                port: thing.health_check_port,
                path: thing.health_check_path,
                matcher,
                interval_seconds: number(thing.health_check_interval_seconds),
                timeout_seconds: number(thing.health_check_timeout_seconds),
                healthy_threshold: number(thing.healthy_threshold_count),
                unhealthy_threshold: number(thing.unhealthy_threshold_count),
            },
            attributes,
            tags,
        },
    }
}

fn number<N: TryFrom<i32>>(n: Option<i32>) -> Option<N> {
    n.and_then(|n| N::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::diff::{Change, FieldChange};
    use serde_json::json;

    fn removed(path: &str) -> Diff {
        let change = Change::Removed { from: json!("x") };
        Diff { changes: vec![FieldChange { path: path.into(), change }] }
    }

    #[test]
    fn a_check_that_was_taken_out_goes_back_to_the_default() {
        let group = TargetGroup::ip("web", VpcId::from("vpc-1"), 7080, "/healthz");
        let check = group.checks_to_send(&removed("health_check.matcher"));
        assert_eq!(check.matcher.as_deref(), Some("200"));
        assert_eq!(check.path.as_deref(), Some("/healthz"));
        assert_eq!(check.interval_seconds, None);
        let grpc = TargetGroup { protocol_version: Some(GRPC.into()), ..group };
        assert_eq!(grpc.checks_to_send(&removed("health_check.matcher")).matcher.as_deref(), Some("12"));
    }

    #[test]
    fn a_check_at_its_default_is_shown_only_to_whoever_wants_something() {
        let mut group = TargetGroup::ip("web", VpcId::from("vpc-1"), 7080, "/healthz");
        group.health_check.interval_seconds = Some(15);
        let shown = group.checks_shown(group.default_checks());
        assert_eq!(shown.path.as_deref(), Some("/"));
        assert_eq!(shown.interval_seconds, Some(30));
        assert_eq!(shown.matcher, None);
    }

    #[test]
    fn codes_go_where_the_protocol_version_wants_them() {
        let group = TargetGroup::ip("web", VpcId::from("vpc-1"), 7080, "/healthz");
        assert_eq!(group.matcher(Some("200")).unwrap().http_code(), Some("200"));
        let grpc = TargetGroup { protocol_version: Some(GRPC.into()), ..group };
        assert_eq!(grpc.matcher(Some("0")).unwrap().grpc_code(), Some("0"));
        assert_eq!(grpc.matcher(None), None);
    }

    #[test]
    fn what_aws_answers_reads_as_a_spec() {
        let thing = sdk::TargetGroup::builder()
            .target_group_arn("arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/web/73e2")
            .target_group_name("web")
            .protocol(sdk::ProtocolEnum::Http)
            .port(7080)
            .vpc_id("vpc-1")
            .target_type(sdk::TargetTypeEnum::Ip)
            .health_check_path("/healthz")
            .matcher(sdk::Matcher::builder().http_code("200").build())
            .health_check_interval_seconds(30)
            .build();
        let live = live(Tagged { thing, tags: Tags::default() }, Attributes::new());
        assert_eq!(live.outputs.full_name, "targetgroup/web/73e2");
        assert_eq!(live.spec.port, 7080);
        assert_eq!(live.spec.health_check.interval_seconds, Some(30));
        assert_eq!(live.spec.health_check.matcher.as_deref(), Some("200"));
    }
}
