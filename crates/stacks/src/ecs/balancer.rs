//! The load balancer: HTTPS for people, HTTP to the tasks, and nothing else open.

use super::{Ecs, environment, network::Networks, security::Security};
use causeway_aws::{
    elbv2::{Action, Conditions, Listener, ListenerRule, LoadBalancer, TargetGroup},
    id::{Arn, HostedZoneId},
    wafv2::WebAclAssociation,
};
use causeway_core::{Address, Name, Set, Stack, Tags, Value};

/// What the rest of the stack needs of the load balancer.
pub(super) struct Balancer {
    pub dns_name: Value<String>,
    pub dns_zone: Value<HostedZoneId>,
    pub full_name: Value<String>,
    pub target_group: Value<Arn>,
    pub target_group_full_name: Value<String>,
    /// A service can register with a target group only once a listener uses it.
    pub listener: Address,
    /// What blue/green deployments need.
    pub green: Option<Green>,
    /// Where a rehearsal is checked, with what makes the load balancer check it.
    pub rehearsal: Option<(Value<Arn>, Address)>,
}

/// The other target group of blue/green deployments, and the rule in front of both.
pub(super) struct Green {
    pub target_group: Value<Arn>,
    pub target_group_full_name: Value<String>,
    pub rule: Value<Arn>,
}

/// The rule in front of the two groups: after every rule that people add for some requests, before the rehearsal's.
const PRODUCTION_PRIORITY: u16 = 49_000;

pub(super) fn balancer(
    stack: &mut Stack,
    config: &Ecs,
    network: &Networks,
    security: &Security,
    certificate: Value<Arn>,
) -> Balancer {
    stack.scope("balancer", |stack| {
        let prefix = stack.name().to_owned();
        let group = targets(stack, network);
        let balancer = LoadBalancer::internet_facing(
            prefix.as_str(),
            network.public.clone(),
            Set(vec![security.balancer.clone()]),
        );
        // Coder holds connections open for terminals; the default of a minute would cut them.
        let balancer = balancer.attribute("idle_timeout.timeout_seconds", "600");
        let balancer = balancer.attribute("routing.http.drop_invalid_header_fields.enabled", "true");
        let balancer = stack.add("load-balancer", balancer);
        let targets = stack.add("targets", group.clone());
        let https = Listener::https(balancer.arn.clone(), certificate, Action::forward(targets.arn.clone()));
        let https = stack.add("https", https);
        stack.add("http", Listener::http(balancer.arn.clone(), Action::redirect_to_https()));
        if let Some(waf) = &config.waf {
            let association = WebAclAssociation {
                web_acl_arn: Arn::from(waf.web_acl_arn.as_str()).into(),
                resource_arn: balancer.arn.clone(),
            };
            stack.add("waf", association);
        }
        let green = config.deployment.bake_minutes().map(|_| {
            let green = stack.add("green-targets", group);
            let rule = ListenerRule {
                listener_arn: https.arn.clone(),
                priority: PRODUCTION_PRIORITY,
                conditions: Conditions::paths(["/*"]),
                action: Action::BlueGreen {
                    target_group_arn: targets.arn.clone(),
                    alternate_target_group_arn: green.arn.clone(),
                },
                tags: Tags::default(),
            };
            Green {
                target_group: green.arn.clone(),
                target_group_full_name: green.full_name.clone(),
                rule: stack.add("production", rule).arn.clone(),
            }
        });
        let rehearsal = config.release.rehearse.then(|| rehearsal(stack, network, &https.arn));
        stack.output("load_balancer", &balancer.dns_name);
        Balancer {
            dns_name: balancer.dns_name.clone(),
            dns_zone: balancer.canonical_hosted_zone_id.clone(),
            full_name: balancer.full_name.clone(),
            target_group: targets.arn.clone(),
            target_group_full_name: targets.full_name.clone(),
            listener: https.address().clone(),
            green,
            rehearsal,
        }
    })
}

/// Where Coder's tasks are reached and checked.
fn targets(stack: &Stack, network: &Networks) -> TargetGroup {
    let name = Name::generated(stack.name().to_owned());
    let mut targets = TargetGroup::ip(name, network.vpc_id.clone(), environment::PORT, "/healthz");
    targets.health_check.interval_seconds = Some(15);
    targets.health_check.healthy_threshold = Some(2);
    targets.health_check.unhealthy_threshold = Some(3);
    targets.attribute("deregistration_delay.timeout_seconds", "60")
}

/// A target group that is checked, as a rule of the listener uses it, and that no request reaches: nobody comes from
/// the loopback address.
fn rehearsal(stack: &mut Stack, network: &Networks, listener: &Value<Arn>) -> (Value<Arn>, Address) {
    let name = Name::generated(stack.name().to_owned());
    let mut targets = TargetGroup::ip(name, network.vpc_id.clone(), environment::PORT, "/healthz");
    targets.health_check.interval_seconds = Some(10);
    targets.health_check.healthy_threshold = Some(2);
    targets.health_check.unhealthy_threshold = Some(3);
    let targets = targets.attribute("deregistration_delay.timeout_seconds", "0");
    let targets = stack.add("rehearsal-targets", targets);
    let nobody = Conditions { source_ip: Set(vec!["127.0.0.1/32".into()]), ..Conditions::default() };
    let rule = ListenerRule {
        listener_arn: listener.clone(),
        priority: 50_000,
        conditions: nobody,
        action: Action::forward(targets.arn.clone()),
        tags: Tags::default(),
    };
    let rule = stack.add("rehearsal", rule);
    (targets.arn.clone(), rule.address().clone())
}
