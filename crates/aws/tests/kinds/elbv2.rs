//! Load balancers, target groups, listeners and rules in the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "elbv2", feature = "acm", feature = "ec2"))]

use crate::by_hand::One;
use crate::changes::life;
use causeway_aws::{
    Aws,
    acm::Certificate,
    elbv2::{Action, Conditions, HealthCheck, Listener, ListenerRule, LoadBalancer, TargetGroup},
    id::{Arn, SecurityGroupId, SubnetId, VpcId},
};
use causeway_core::{Name, Set, Tags};

const ACCOUNT: &str = "000000003104";

/// A network that stands before the tests: the one that every region has from the start.
struct Network {
    vpc: VpcId,
    subnets: Vec<SubnetId>,
    groups: Vec<SecurityGroupId>,
}

async fn network(aws: &Aws, test: &str) -> Network {
    let ec2 = &aws.ec2;
    let subnets = ec2.describe_subnets().send().await.unwrap().subnets.unwrap();
    let vpc = subnets[0].vpc_id.clone().unwrap();
    let mut groups = vec![];
    for name in ["front", "back"] {
        let name = format!("{name}-{test}-{}", std::process::id());
        let made = ec2.create_security_group().vpc_id(&vpc).group_name(name).description("test").send().await;
        groups.push(SecurityGroupId(made.unwrap().group_id.unwrap()));
    }
    Network {
        vpc: VpcId(vpc),
        subnets: subnets.into_iter().filter_map(|s| s.subnet_id).map(SubnetId).collect(),
        groups,
    }
}

fn set<T: Clone>(items: &[T]) -> Set<T> {
    Set(items.iter().cloned().map(causeway_core::Value::Known).collect())
}

fn load_balancer(network: &Network) -> LoadBalancer {
    LoadBalancer {
        tags: Tags::from([("team", "platform"), ("cost", "1")]),
        ..LoadBalancer::internet_facing(
            Name::generated("a-prefix-that-is-far-too-long"),
            set(&network.subnets[..2]),
            set(&network.groups[..1]),
        )
    }
    .attribute("idle_timeout.timeout_seconds", "300")
    .attribute("routing.http.drop_invalid_header_fields.enabled", "true")
}

fn load_balancer_changes(network: &Network) -> Vec<(LoadBalancer, &'static [&'static str])> {
    let mut one = load_balancer(network).attribute("deletion_protection.enabled", "true");
    one.attributes.remove("routing.http.drop_invalid_header_fields.enabled");
    one.subnets = set(&network.subnets[1..3]);
    one.security_groups = set(&network.groups);
    one.ip_address_type = Some("dualstack".into());
    one.tags = Tags::from([("team", "other")]);
    let two = LoadBalancer { ip_address_type: None, ..one.clone() }
        .attribute("deletion_protection.enabled", "false");
    vec![
        (
            one,
            &[
                "attributes.deletion_protection.enabled",
                "attributes.routing.http.drop_invalid_header_fields.enabled",
                "ip_address_type",
                "security_groups",
                "subnets",
                "tags.cost",
                "tags.team",
            ],
        ),
        (two, &["attributes.deletion_protection.enabled", "ip_address_type"]),
    ]
}

fn target_group(network: &Network) -> TargetGroup {
    TargetGroup {
        tags: Tags::from([("team", "platform")]),
        ..TargetGroup::ip(Name::generated("coder"), network.vpc.clone(), 7080, "/healthz")
    }
    .attribute("deregistration_delay.timeout_seconds", "30")
    .attribute("stickiness.enabled", "true")
}

fn target_group_changes(network: &Network) -> Vec<(TargetGroup, &'static [&'static str])> {
    let mut one = target_group(network);
    one.health_check = HealthCheck {
        path: Some("/ready".into()),
        matcher: Some("200-299".into()),
        interval_seconds: Some(15),
        timeout_seconds: Some(4),
        healthy_threshold: Some(2),
        unhealthy_threshold: Some(3),
        ..HealthCheck::default()
    };
    one.attributes.remove("stickiness.enabled");
    let mut two = one.clone();
    two.health_check = HealthCheck { path: one.health_check.path.clone(), ..HealthCheck::default() };
    vec![
        (
            one,
            &[
                "attributes.stickiness.enabled",
                "health_check.healthy_threshold",
                "health_check.interval_seconds",
                "health_check.matcher",
                "health_check.path",
                "health_check.timeout_seconds",
                "health_check.unhealthy_threshold",
            ],
        ),
        (
            two,
            &[
                "health_check.healthy_threshold",
                "health_check.interval_seconds",
                "health_check.matcher",
                "health_check.timeout_seconds",
                "health_check.unhealthy_threshold",
            ],
        ),
    ]
}

fn listener(balancer: &Arn, group: &Arn, certificates: &[Arn]) -> Listener {
    Listener {
        additional_certificate_arns: set(&certificates[1..2]),
        tags: Tags::from([("team", "platform")]),
        ..Listener::https(balancer.clone(), certificates[0].clone(), Action::forward(group.clone()))
    }
}

fn listener_changes(
    balancer: &Arn,
    group: &Arn,
    certificates: &[Arn],
) -> Vec<(Listener, &'static [&'static str])> {
    let one = Listener {
        certificate_arn: Some(certificates[1].clone().into()),
        additional_certificate_arns: set(&certificates[2..]),
        ssl_policy: None,
        default_action: Action::fixed_response(404, "nothing here"),
        tags: Tags::default(),
        ..listener(balancer, group, certificates)
    };
    let two = Listener { additional_certificate_arns: Set::default(), ..one.clone() };
    vec![
        (
            one,
            &[
                "additional_certificate_arns",
                "certificate_arn",
                "default_action.content_type",
                "default_action.message_body",
                "default_action.status_code",
                "default_action.target_group_arn",
                "default_action.type",
                "ssl_policy",
                "tags.team",
            ],
        ),
        (two, &["additional_certificate_arns"]),
    ]
}

fn rule(listener: &Arn, group: &Arn) -> ListenerRule {
    ListenerRule {
        listener_arn: listener.clone().into(),
        priority: 10,
        conditions: Conditions::hosts(["coder.example.com", "*.coder.example.com"]),
        action: Action::forward(group.clone()),
        tags: Tags::from([("team", "platform")]),
    }
}

fn rule_changes(listener: &Arn, group: &Arn) -> Vec<(ListenerRule, &'static [&'static str])> {
    let one = ListenerRule {
        conditions: Conditions {
            path_pattern: ["/api/*"].into_iter().collect(),
            source_ip: ["10.0.0.0/8"].into_iter().collect(),
            ..Conditions::hosts(["coder.example.com"])
        },
        ..rule(listener, group)
    };
    let two = ListenerRule { action: Action::redirect_to_https(), ..one.clone() };
    vec![
        (one, &["conditions.host_header", "conditions.path_pattern", "conditions.source_ip"]),
        (
            two,
            &[
                "action.port",
                "action.protocol",
                "action.status_code",
                "action.target_group_arn",
                "action.type",
            ],
        ),
    ]
}

async fn certificate(aws: &Aws, name: &str) -> Arn {
    let spec = Certificate::of(name);
    One::new(aws, &format!("{}{name}", std::process::id())).apply(&spec).await.0.outputs.arn
}

#[tokio::test]
async fn load_balancers_live_and_die() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let network = network(&aws, "load").await;
    let changes = load_balancer_changes(&network);
    life(One::new(&aws, &format!("lb{:010}", std::process::id())), load_balancer(&network), changes).await;
}

#[tokio::test]
async fn a_protected_load_balancer_stays() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let network = network(&aws, "protected").await;
    let spec = load_balancer(&network).attribute("deletion_protection.enabled", "true");
    let mut one = One::new(&aws, &format!("lbp{:010}", std::process::id()));
    let (live, _) = one.apply(&spec).await;
    let refused = causeway_core::Resource::delete(&spec, &one.cx(), &live).await;
    assert!(refused.unwrap_err().to_string().contains("deletion_protection.enabled"));
    assert!(one.read(&spec).await.is_some());
    one.delete(&spec.attribute("deletion_protection.enabled", "false")).await;
}

#[tokio::test]
async fn target_groups_live_and_die() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let network = network(&aws, "target").await;
    let changes = target_group_changes(&network);
    life(One::new(&aws, &format!("tg{:010}", std::process::id())), target_group(&network), changes).await;
}

#[tokio::test]
async fn listeners_and_rules_live_and_die() {
    let aws = crate::in_sandbox::client(ACCOUNT).await;
    let network = network(&aws, "listener").await;
    let id = format!("li{:010}", std::process::id());
    let balancer = load_balancer(&network);
    let group = target_group(&network);
    let balancer = One::new(&aws, &id).apply(&balancer).await.0.outputs.arn;
    let group = One::new(&aws, &id).apply(&group).await.0.outputs.arn;
    assert_eq!(aws.elbv2.target_health(&group).await.unwrap(), []);
    let mut certificates = vec![];
    for name in ["a.example.com", "b.example.com", "c.example.com"] {
        certificates.push(certificate(&aws, name).await);
    }

    let http = One::<Listener>::new(&aws, "http")
        .apply(&Listener::http(balancer.clone(), Action::redirect_to_https()))
        .await;
    life(
        One::new(&aws, "rule"),
        rule(&http.0.outputs.arn, &group),
        rule_changes(&http.0.outputs.arn, &group),
    )
    .await;
    life(
        One::new(&aws, "https"),
        listener(&balancer, &group, &certificates),
        listener_changes(&balancer, &group, &certificates),
    )
    .await;
}
