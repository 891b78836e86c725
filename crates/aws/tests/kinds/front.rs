//! What stands between the internet and a program, through its life in the sandbox: zone, certificate and the
//! records that prove it, load balancer, listeners, rules and web ACL, all in one stack.
#![cfg(all(feature = "acm", feature = "ec2", feature = "elbv2", feature = "route53", feature = "wafv2"))]

use crate::in_sandbox::{REGION, client, registry};
use causeway_aws::{
    AwsStack,
    acm::{Certificate, CertificateIssued},
    ec2::{SecurityGroup, Subnet, Vpc},
    elbv2::{Action, Conditions, Listener, ListenerRule, LoadBalancer, TargetGroup},
    route53::{ExistingHostedZone, HostedZone, Record},
    wafv2::{ManagedRuleGroup, WebAcl, WebAclAssociation},
};
use causeway_core::{Name, Set, Stack, Tags, Value, plan, testing::Lifecycle};
use std::collections::BTreeMap;

/// What a test varies.
#[derive(Clone, Copy)]
struct Wanted {
    /// `None` takes it out of the spec, so that it goes back to the default of AWS.
    idle: Option<&'static str>,
    health: &'static str,
    interval: Option<u16>,
    dual: Option<&'static str>,
    paths: Option<&'static str>,
    ttl: Option<u32>,
    rate: Option<u32>,
    comment: Option<&'static str>,
    team: &'static str,
    /// The port of the targets, which replaces their group.
    port: u16,
}

const SAMPLE: Wanted = Wanted {
    idle: Some("300"),
    health: "/healthz",
    interval: Some(15),
    dual: Some("dualstack"),
    paths: None,
    ttl: Some(120),
    rate: Some(2000),
    comment: Some("for people"),
    team: "one",
    port: 7080,
};

fn subnet(
    stack: &mut Stack,
    name: &str,
    vpc: &Value<causeway_aws::id::VpcId>,
    cidr: &str,
    zone: &str,
) -> Value<causeway_aws::id::SubnetId> {
    let subnet = Subnet {
        vpc_id: vpc.clone(),
        cidr_block: cidr.into(),
        availability_zone: Some(format!("{REGION}{zone}").into()),
        map_public_ip_on_launch: None,
        private_dns_hostname_type_on_launch: None,
        tags: Tags::default(),
    };
    stack.add(name, subnet).subnet_id.clone()
}

fn front(wanted: Wanted) -> Stack {
    let mut stack = Stack::new("front");
    stack.tag("team", wanted.team);
    stack.region(REGION, |stack| {
        let host = "coder.example.com";
        let vpc = Vpc {
            cidr_block: "10.0.0.0/16".into(),
            enable_dns_support: None,
            enable_dns_hostnames: None,
            tags: Tags::default(),
        };
        let vpc = stack.add("vpc", vpc).vpc_id.clone();
        let subnets = Set(vec![
            subnet(stack, "subnet-a", &vpc, "10.0.1.0/24", "a"),
            subnet(stack, "subnet-b", &vpc, "10.0.2.0/24", "b"),
        ]);
        let group = stack.add("group", SecurityGroup::new("front", "clients", vpc.clone()));

        let zone =
            HostedZone { comment: wanted.comment.map(Into::into), ..HostedZone::public("example.com") };
        let zone = stack.add("zone", zone);
        let certificate = Certificate::with_wildcard(host);
        let domains = certificate.validation_domains();
        let certificate = stack.add("certificate", certificate);
        let mut proofs = vec![];
        for (i, domain) in domains.iter().enumerate() {
            let proof = Record::new(
                zone.zone_id.clone(),
                certificate.validation.at::<String>(&format!("{i}/name")),
                "CNAME",
                [certificate.validation.at::<String>(&format!("{i}/value"))],
            );
            proofs.push(stack.add(&format!("proof-{domain}"), proof).fqdn.clone());
        }
        let issued =
            CertificateIssued { certificate_arn: certificate.arn.clone(), validated_by: Set(proofs) };
        let issued = stack.add("issued", issued);

        let balancer = LoadBalancer::internet_facing(
            Name::generated("a-name-that-is-too-long"),
            subnets,
            Set(vec![group.security_group_id.clone()]),
        );
        let mut balancer = LoadBalancer { ip_address_type: wanted.dual.map(Into::into), ..balancer };
        if let Some(idle) = wanted.idle {
            balancer = balancer.attribute("idle_timeout.timeout_seconds", idle);
        }
        let balancer = stack.add("balancer", balancer);
        let mut targets = TargetGroup::ip(Name::generated("coder"), vpc, wanted.port, wanted.health)
            .attribute("deregistration_delay.timeout_seconds", "30");
        targets.health_check.interval_seconds = wanted.interval;
        let targets = stack.add("targets", targets);
        stack.add("http", Listener::http(balancer.arn.clone(), Action::redirect_to_https()));
        let none = Action::fixed_response(404, "nothing here");
        let https = stack.add("https", Listener::https(balancer.arn.clone(), issued.arn.clone(), none));
        let conditions = Conditions {
            path_pattern: wanted.paths.into_iter().collect(),
            ..Conditions::hosts([host, "*.coder.example.com"])
        };
        stack.add(
            "rule",
            ListenerRule {
                listener_arn: https.arn.clone(),
                priority: 10,
                conditions,
                action: Action::forward(targets.arn.clone()),
                tags: Tags::default(),
            },
        );
        let (name, of) = (balancer.dns_name.clone(), balancer.canonical_hosted_zone_id.clone());
        stack.add("host", Record::alias(zone.zone_id.clone(), host, name, of));
        let text =
            Record { ttl: wanted.ttl, ..Record::new(zone.zone_id.clone(), host, "TXT", ["say \"hi\""]) };
        stack.add("text", text);
        let acl = WebAcl {
            name: Name::generated("front"),
            description: None,
            managed_rule_groups: vec![ManagedRuleGroup::common()],
            rate_limit: wanted.rate,
            tags: Tags::default(),
        };
        let acl = stack.add("acl", acl);
        stack.add(
            "protection",
            WebAclAssociation { web_acl_arn: acl.arn.clone(), resource_arn: balancer.arn.clone() },
        );
    });
    stack
}

async fn change(life: &mut Lifecycle, what: &str, wanted: Wanted) -> BTreeMap<String, plan::Action> {
    use plan::Action as A;
    life.change(what, front(wanted))
        .await
        .into_iter()
        .filter(|(_, action)| !matches!(action, A::Keep | A::Wait | A::Record))
        .map(|(address, action)| (address.0, action))
        .collect()
}

#[tokio::test]
async fn the_front_lives_changes_and_dies() {
    let account = "000000003101";
    let aws = client(account).await;
    let mut life = Lifecycle::start(registry(account).await, front(SAMPLE)).await;

    let next = Wanted {
        idle: None,
        health: "/ready",
        interval: None,
        dual: None,
        paths: Some("/api/*"),
        ttl: None,
        rate: None,
        comment: None,
        ..SAMPLE
    };
    let changed = change(&mut life, "change in place", next).await;
    let expected = ["acl", "balancer", "rule", "targets", "text", "zone"];
    assert_eq!(changed, expected.map(|a| (a.to_owned(), plan::Action::Update)).into());

    let changed = change(&mut life, "other tags", Wanted { team: "two", ..next }).await;
    assert!(changed.values().all(|a| *a == plan::Action::Update), "{changed:?}");
    for address in ["acl", "balancer", "certificate", "http", "https", "rule", "targets", "zone"] {
        assert!(changed.contains_key(address), "{address} carries tags: {changed:?}");
    }
    assert!(!changed.contains_key("text"), "a record carries no tags");

    let balancer = life.outputs("balancer").await["arn"].as_str().unwrap().to_owned();
    let targets = life.outputs("targets").await["arn"].as_str().unwrap().to_owned();
    life.drift("somebody changed the health check", "targets", async {
        let call = aws.elbv2.modify_target_group().target_group_arn(&targets);
        call.health_check_path("/elsewhere").send().await.unwrap();
    })
    .await;
    life.drift("somebody took the protection away", "protection", async {
        aws.wafv2.disassociate_web_acl().resource_arn(&balancer).send().await.unwrap();
    })
    .await;
    life.drift("somebody deleted a listener", "http", async {
        let all = aws.elbv2.describe_listeners().load_balancer_arn(&balancer).send().await.unwrap();
        let http = all.listeners().iter().find(|l| l.port == Some(80)).unwrap();
        aws.elbv2.delete_listener().listener_arn(http.listener_arn().unwrap()).send().await.unwrap();
    })
    .await;

    let changed = change(&mut life, "another port", Wanted { team: "two", port: 8080, ..next }).await;
    assert!(changed["targets"].replaces(), "{changed:?}");
    life.end().await;
}

#[tokio::test]
async fn a_zone_that_others_made_is_only_looked_at() {
    let account = "000000003102";
    let aws = client(account).await;
    let made = aws.route53.create_hosted_zone().name("example.com").caller_reference("others").send().await;
    let id = made.unwrap().hosted_zone.unwrap().id;
    let stack = |values: &[&'static str]| {
        let mut stack = Stack::new("zone");
        stack.region(REGION, |stack| {
            let zone = stack.add("zone", ExistingHostedZone::holding("coder.example.com"));
            let values: Vec<&str> = values.to_vec();
            stack.add("record", Record::new(zone.zone_id.clone(), "*.coder.example.com", "A", values));
        });
        stack
    };
    let mut life = Lifecycle::start(registry(account).await, stack(&["10.0.0.1"])).await;
    life.change("another address", stack(&["10.0.0.2", "10.0.0.3"])).await;
    life.end().await;
    let left = aws.route53.list_resource_record_sets().hosted_zone_id(&id).send().await.unwrap();
    assert!(left.resource_record_sets.iter().all(|r| matches!(r.r#type.as_str(), "NS" | "SOA")), "{left:?}");
    aws.route53.delete_hosted_zone().id(&id).send().await.unwrap();
}
