//! What the API server asks cert-manager before it takes an object of cert-manager's.

use super::{NAMESPACE, WEBHOOK};
use crate::{objects::Objects, rbac::named};
use k8s_openapi::{
    api::admissionregistration::v1::{
        MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference,
        ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta},
};
use std::collections::BTreeMap;

const NAME: &str = "webhook.cert-manager.io";

pub(super) fn add(objects: &mut Objects<'_>) {
    let metadata = ObjectMeta {
        annotations: Some(BTreeMap::from([(
            "cert-manager.io/inject-ca-from-secret".into(),
            format!("{NAMESPACE}/{WEBHOOK}-ca"),
        )])),
        ..named(None, WEBHOOK)
    };
    let rules = |groups: &[&str], operations: &[&str], resource: &str| {
        let texts = |all: &[&str]| Some(all.iter().map(|&text| text.to_owned()).collect());
        let rule = RuleWithOperations {
            api_groups: texts(groups),
            api_versions: texts(&["v1"]),
            operations: texts(operations),
            resources: texts(&[resource]),
            scope: None,
        };
        Some(vec![rule])
    };
    let asked_at = |path: &str| WebhookClientConfig {
        service: Some(ServiceReference {
            name: WEBHOOK.into(),
            namespace: NAMESPACE.into(),
            path: Some(path.into()),
            port: None,
        }),
        ..WebhookClientConfig::default()
    };
    let mutating = MutatingWebhookConfiguration {
        metadata: metadata.clone(),
        webhooks: Some(vec![MutatingWebhook {
            name: NAME.into(),
            rules: rules(&["cert-manager.io"], &["CREATE"], "certificaterequests"),
            client_config: asked_at("/mutate"),
            admission_review_versions: vec!["v1".into()],
            match_policy: Some("Equivalent".into()),
            failure_policy: Some("Fail".into()),
            side_effects: "None".into(),
            timeout_seconds: Some(30),
            ..MutatingWebhook::default()
        }]),
    };
    objects.add("mutating", &mutating);
    let unless = LabelSelectorRequirement {
        key: "cert-manager.io/disable-validation".into(),
        operator: "NotIn".into(),
        values: Some(vec!["true".into()]),
    };
    let validating = ValidatingWebhookConfiguration {
        metadata,
        webhooks: Some(vec![ValidatingWebhook {
            name: NAME.into(),
            rules: rules(&["cert-manager.io", "acme.cert-manager.io"], &["CREATE", "UPDATE"], "*/*"),
            client_config: asked_at("/validate"),
            namespace_selector: Some(LabelSelector {
                match_expressions: Some(vec![unless]),
                ..LabelSelector::default()
            }),
            admission_review_versions: vec!["v1".into()],
            match_policy: Some("Equivalent".into()),
            failure_policy: Some("Fail".into()),
            side_effects: "None".into(),
            timeout_seconds: Some(30),
            ..ValidatingWebhook::default()
        }]),
    };
    objects.add("validating", &validating);
}
