//! What the API server asks the controller before it takes an object.
//!
//! Of Services it is asked only where somebody wants a load balancer and names no class, and then its silence is a yes: while
//! no pod of it runs, Services can still be made. Ours name their class. Without the condition every new Service of the
//! cluster would wait for the controller, its own included.

use super::{CERTIFICATE, NAME, NAMESPACE, SERVICE};
use crate::{objects::Objects, rbac::named};
use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference,
        ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
};
use std::collections::BTreeMap;

const CONFIGURATION: &str = "aws-load-balancer-webhook";
const BOTH: &[&str] = &["CREATE", "UPDATE"];
/// Whoever waits for it waits no longer than this.
const SECONDS: Option<i32> = Some(10);

pub(super) fn add(objects: &mut Objects<'_>) {
    let metadata = ObjectMeta {
        annotations: Some(BTreeMap::from([(
            "cert-manager.io/inject-ca-from".into(),
            format!("{NAMESPACE}/{CERTIFICATE}"),
        )])),
        ..named(None, CONFIGURATION)
    };
    let mutating = MutatingWebhookConfiguration {
        metadata: metadata.clone(),
        webhooks: Some(vec![
            MutatingWebhook {
                namespace_selector: Some(selector(
                    "elbv2.k8s.aws/pod-readiness-gate-inject",
                    "In",
                    "enabled",
                )),
                object_selector: Some(selector("app.kubernetes.io/name", "NotIn", NAME)),
                ..mutates("mpod", "/mutate-v1-pod", "Ignore", rule("", "v1", "pods", &["CREATE"]))
            },
            MutatingWebhook {
                object_selector: Some(selector("app.kubernetes.io/name", "NotIn", NAME)),
                match_conditions: Some(vec![MatchCondition {
                    name: "load-balancer-without-a-class".into(),
                    expression: "object.spec.type == 'LoadBalancer' && !has(object.spec.loadBalancerClass)"
                        .into(),
                }]),
                ..mutates("mservice", "/mutate-v1-service", "Ignore", rule("", "v1", "services", &["CREATE"]))
            },
            mutates(
                "mtargetgroupbinding",
                "/mutate-elbv2-k8s-aws-v1beta1-targetgroupbinding",
                "Fail",
                rule("elbv2.k8s.aws", "v1beta1", "targetgroupbindings", BOTH),
            ),
        ]),
    };
    objects.add("mutating", &mutating);
    let validating = ValidatingWebhookConfiguration {
        metadata,
        webhooks: Some(vec![
            validates(
                "vingressclassparams",
                "/validate-elbv2-k8s-aws-v1beta1-ingressclassparams",
                rule("elbv2.k8s.aws", "v1beta1", "ingressclassparams", BOTH),
            ),
            validates(
                "vtargetgroupbinding",
                "/validate-elbv2-k8s-aws-v1beta1-targetgroupbinding",
                rule("elbv2.k8s.aws", "v1beta1", "targetgroupbindings", BOTH),
            ),
            validates(
                "vingress",
                "/validate-networking-v1-ingress",
                rule("networking.k8s.io", "v1", "ingresses", BOTH),
            ),
        ]),
    };
    objects.add("validating", &validating);
}

fn mutates(name: &str, path: &str, policy: &str, rule: RuleWithOperations) -> MutatingWebhook {
    MutatingWebhook {
        name: format!("{name}.elbv2.k8s.aws"),
        rules: Some(vec![rule]),
        client_config: asked_at(path),
        admission_review_versions: vec!["v1beta1".into()],
        failure_policy: Some(policy.into()),
        side_effects: "None".into(),
        timeout_seconds: SECONDS,
        ..MutatingWebhook::default()
    }
}

fn validates(name: &str, path: &str, rule: RuleWithOperations) -> ValidatingWebhook {
    ValidatingWebhook {
        name: format!("{name}.elbv2.k8s.aws"),
        rules: Some(vec![rule]),
        client_config: asked_at(path),
        admission_review_versions: vec!["v1beta1".into()],
        match_policy: Some("Equivalent".into()),
        failure_policy: Some("Fail".into()),
        side_effects: "None".into(),
        timeout_seconds: SECONDS,
        ..ValidatingWebhook::default()
    }
}

fn rule(group: &str, version: &str, resource: &str, operations: &[&str]) -> RuleWithOperations {
    let texts = |all: &[&str]| Some(all.iter().map(|&text| text.to_owned()).collect());
    RuleWithOperations {
        api_groups: texts(&[group]),
        api_versions: texts(&[version]),
        operations: texts(operations),
        resources: texts(&[resource]),
        scope: None,
    }
}

fn asked_at(path: &str) -> WebhookClientConfig {
    WebhookClientConfig {
        service: Some(ServiceReference {
            name: SERVICE.into(),
            namespace: NAMESPACE.into(),
            path: Some(path.into()),
            port: None,
        }),
        ..WebhookClientConfig::default()
    }
}

fn selector(key: &str, operator: &str, value: &str) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: key.into(),
            operator: operator.into(),
            values: Some(vec![value.into()]),
        }]),
        ..LabelSelector::default()
    }
}
