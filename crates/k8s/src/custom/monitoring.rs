//! The Prometheus operator. <https://prometheus-operator.dev/docs/api-reference/api/>

use super::{custom_resource, spec};
use std::collections::BTreeMap;

custom_resource! {
    /// Alerts.
    PrometheusRule { "monitoring.coreos.com" / "v1", "prometheusrules", NamespaceResourceScope, PrometheusRuleSpec }
}

spec! {
    /// Alerts.
    struct PrometheusRuleSpec {
        /// In groups that are looked at together.
        groups: Vec<RuleGroup>,
    }
    /// Alerts that are looked at together.
    struct RuleGroup {
        /// Unique in the object.
        name: String,
        /// The alerts.
        rules: Vec<Rule>,
    }
    /// An alert.
    struct Rule {
        /// What it is called.
        alert: Option<String>,
        /// It is raised where this has a value.
        expr: String,
        /// For so long, like `5m`.
        #[serde(rename = "for")]
        during: Option<String>,
        /// For whom, and how bad.
        labels: Option<BTreeMap<String, String>>,
        /// What it means and what to do.
        annotations: Option<BTreeMap<String, String>>,
    }
}
