//! Alerts, for clusters that the Prometheus operator runs in. <https://prometheus-operator.dev/docs/developer/alerting/>
//!
//! They need what is usual beside the operator (node-exporter, kube-state-metrics, the kubelets, CoreDNS) and the metrics of
//! Coder and cert-manager. Severities are those of the runbook: `p0` is an outage, `p3` is told and no more.

use crate::{
    custom::{PrometheusRule, PrometheusRuleSpec, Rule, RuleGroup},
    objects::Objects,
    rbac::named,
};
use causeway_core::{Address, Stack};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// Where the alerts live, and what the operator finds them by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace.
    pub namespace: String,
    /// Labels that the operator selects rules by.
    pub labels: BTreeMap<String, String>,
    /// A pattern of the namespaces that workspaces are in, like `coder-ws.*`.
    pub workspaces: String,
}

/// Adds the alerts as one object. The caller says so only where the operator is.
pub fn add(stack: &mut Stack, settings: &Settings) -> Vec<Address> {
    let groups = [nodes(), workspaces(&settings.workspaces), coder(), certificates()];
    let rules = PrometheusRule {
        metadata: ObjectMeta {
            labels: Some(settings.labels.clone()).filter(|labels| !labels.is_empty()),
            ..named(Some(&settings.namespace), "causeway")
        },
        spec: PrometheusRuleSpec { groups: groups.into() },
    };
    let mut objects = Objects::after(stack, []);
    objects.add("alerts", &rules);
    objects.all()
}

fn alert(name: &str, severity: &str, during: &str, expr: String, summary: &str) -> Rule {
    Rule {
        alert: Some(name.into()),
        expr,
        during: Some(during.into()),
        labels: Some(BTreeMap::from([("severity".into(), severity.into())])),
        annotations: Some(BTreeMap::from([("summary".into(), summary.into())])),
    }
}

fn group(name: &str, rules: Vec<Rule>) -> RuleGroup {
    RuleGroup { name: format!("causeway-{name}"), rules }
}

fn nodes() -> RuleGroup {
    // Where pods write: the only disk of most systems, and the second one of Bottlerocket.
    let disk = r#"mountpoint=~"/|/local",fstype!~"tmpfs|squashfs|overlay""#;
    let used =
        format!("100 * (1 - node_filesystem_avail_bytes{{{disk}}} / node_filesystem_size_bytes{{{disk}}})");
    let storage = [(70, "p3"), (85, "p2"), (95, "p1")].map(|(percent, severity)| {
        alert(
            &format!("NodeStorage{percent}"),
            severity,
            "5m",
            format!("{used} > {percent}"),
            &format!("More than {percent} % of the disk of {{{{ $labels.instance }}}} is used; pods are evicted when it is full"),
        )
    });
    let mut rules = Vec::from(storage);
    rules.extend([
        alert(
            "NodeCpu",
            "p2",
            "15m",
            r#"100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m]))) > 90"#.into(),
            "{{ $labels.instance }} has had no CPU to spare for a quarter of an hour",
        ),
        alert(
            "NodeMemory",
            "p2",
            "10m",
            "100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) > 90".into(),
            "{{ $labels.instance }} has hardly any memory left",
        ),
        alert(
            "ImagePullSlow",
            "p3",
            "10m",
            "histogram_quantile(0.95, sum by (le) (rate(kubelet_image_pull_duration_seconds_bucket[15m]))) > 120"
                .into(),
            "One in twenty images takes more than two minutes to pull",
        ),
        alert(
            "ImagePullFails",
            "p2",
            "5m",
            r#"sum by (namespace, pod) (kube_pod_container_status_waiting_reason{reason=~"ErrImagePull|ImagePullBackOff"}) > 0"#
                .into(),
            "{{ $labels.namespace }}/{{ $labels.pod }} cannot pull its image",
        ),
        alert(
            "NamesFail",
            "p1",
            "5m",
            r#"sum(rate(coredns_dns_responses_total{rcode="SERVFAIL"}[5m])) / sum(rate(coredns_dns_responses_total[5m])) > 0.02"#
                .into(),
            "More than 2 % of all names asked of the cluster's DNS fail",
        ),
    ]);
    group("nodes", rules)
}

fn workspaces(namespaces: &str) -> RuleGroup {
    let restarts = format!(
        r#"increase(kube_pod_container_status_restarts_total{{namespace=~"{namespaces}"}}[15m]) > 0"#
    );
    let all = format!(r#"kube_pod_info{{namespace=~"{namespaces}"}}"#);
    let evicted = format!(r#"sum(kube_pod_status_reason{{namespace=~"{namespaces}",reason="Evicted"}}) > 0"#);
    group(
        "workspaces",
        vec![
            alert(
                "WorkspacesRestart",
                "p1",
                "5m",
                format!("count({restarts}) / count({all}) > 0.02"),
                "More than 2 % of the workspaces have restarted within a quarter of an hour",
            ),
            alert("WorkspacesEvicted", "p1", "1m", evicted, "Nodes have evicted workspaces: look at their disks"),
            alert(
                "WorkspaceBuildsFail",
                "p2",
                "10m",
                r#"sum(increase(coderd_workspace_builds_total{status="failed"}[30m])) / sum(increase(coderd_workspace_builds_total[30m])) > 0.02"#
                    .into(),
                "More than 2 % of the builds of workspaces fail",
            ),
        ],
    )
}

fn coder() -> RuleGroup {
    group(
        "coder",
        vec![
            alert(
                "ProvisionersBusy",
                "p2",
                "3m",
                r#"sum(coderd_provisionerd_jobs_current{status="pending"}) > 0"#.into(),
                "Builds wait for a provisioner: there are more of them than provisioners",
            ),
            alert(
                "CoderFails",
                "p1",
                "5m",
                r#"sum(rate(coderd_api_requests_processed_total{code=~"5.."}[5m])) / sum(rate(coderd_api_requests_processed_total[5m])) > 0.02"#
                    .into(),
                "More than 2 % of the requests to Coder fail",
            ),
            alert(
                "CoderPubsub",
                "p1",
                "5m",
                "increase(coder_pubsub_latency_measure_errs_total[5m]) > 0".into(),
                "Coder's replicas do not hear of each other through the database",
            ),
            alert(
                "LicenceSeats",
                "p3",
                "1h",
                "max(coderd_license_active_users) / max(coderd_license_limit_users > 0) > 0.9".into(),
                "Nine in ten seats of Coder's licence are taken",
            ),
            alert("Database", "p0", "2m", "pg_up == 0".into(), "The database does not answer"),
        ],
    )
}

fn certificates() -> RuleGroup {
    let left =
        |days: u32| format!("certmanager_certificate_expiration_timestamp_seconds - time() < {days} * 86400");
    let rule = |(days, severity): (u32, &str)| {
        let what = "The certificate {{ $labels.namespace }}/{{ $labels.name }}";
        alert(
            &format!("CertificateEnds{days}"),
            severity,
            "10m",
            left(days),
            &format!("{what} ends within {days} days; it should have been renewed 30 days before"),
        )
    };
    let mut rules = Vec::from([(15, "p2"), (7, "p1"), (1, "p0")].map(rule));
    rules.push(alert(
        "CertificateNotReady",
        "p2",
        "15m",
        r#"certmanager_certificate_ready_status{condition!="True"} == 1"#.into(),
        "The certificate {{ $labels.namespace }}/{{ $labels.name }} cannot be had or renewed",
    ));
    group("certificates", rules)
}
