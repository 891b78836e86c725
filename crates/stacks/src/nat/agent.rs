//! What the CloudWatch agent of a NAT instance collects:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Agent-Configuration-File-Details.html>

use serde_json::{Value as Json, json};

/// The agent's settings.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Seconds between two measurements.
    pub interval: u32,
    /// The namespace of the metrics; the machine may write into no other.
    pub namespace: String,
    /// Where metrics are sent to, for a VPC endpoint with a name of its own.
    pub endpoint_override: Option<String>,
}

impl Default for Agent {
    fn default() -> Self {
        Agent { interval: 60, namespace: "fck-nat".to_owned(), endpoint_override: None }
    }
}

impl Agent {
    /// The configuration, as the agent reads it.
    pub(super) fn config(&self) -> String {
        let measure =
            |name: &str, rename: &str, unit: &str| json!({ "name": name, "rename": rename, "unit": unit });
        // The machine's own interface and the one that it takes.
        let interfaces = ["eth0", "eth1"];
        let mut metrics = json!({
            "namespace": self.namespace,
            "append_dimensions": { "InstanceId": "${aws:InstanceId}" },
            "metrics_collected": {
                "net": {
                    "resources": interfaces,
                    "measurement": [
                        measure("bytes_recv", "BytesIn", "Bytes"),
                        measure("bytes_sent", "BytesOut", "Bytes"),
                        measure("packets_sent", "PacketsOutCount", "Count"),
                        measure("packets_recv", "PacketsInCount", "Count"),
                        measure("drop_in", "PacketsDropInCount", "Count"),
                        measure("drop_out", "PacketsDropOutCount", "Count"),
                    ],
                },
                "netstat": {
                    "measurement": [
                        measure("tcp_syn_sent", "ConnectionAttemptOutCount", "Count"),
                        measure("tcp_syn_recv", "ConnectionAttemptInCount", "Count"),
                        measure("tcp_established", "ConnectionEstablishedCount", "Count"),
                    ],
                },
                "ethtool": {
                    "interface_include": interfaces,
                    "metrics_include": [
                        "bw_in_allowance_exceeded",
                        "bw_out_allowance_exceeded",
                        "conntrack_allowance_exceeded",
                        "pps_allowance_exceeded",
                    ],
                },
                "mem": { "measurement": [measure("used_percent", "MemoryUsed", "Percent")] },
            },
        });
        if let Some(endpoint) = &self.endpoint_override {
            metrics["endpoint_override"] = Json::from(endpoint.as_str());
        }
        let agent = json!({
            "metrics_collection_interval": self.interval,
            "run_as_user": "root",
            "usage_data": false,
        });
        json!({ "agent": agent, "metrics": metrics }).to_string()
    }
}
