//! One replication group of ElastiCache: what it was made with, and how ElastiCache shows that.

use std::collections::BTreeMap;
use std::time::Instant;

use super::elasticache::Refusal;
use crate::gateway::xml::Element;

/// A replication group.
pub(super) struct Group {
    /// The parameters that it was made with and changed by. Never a password.
    form: BTreeMap<String, String>,
    cluster: bool,
    node_groups: usize,
    replicas: usize,
    /// Log groups, by the log that goes there.
    logs: BTreeMap<String, String>,
    /// Whether clients need a password.
    token: bool,
    /// Since when it is being deleted.
    pub(super) going: Option<Instant>,
}

impl Group {
    pub(super) fn new(form: Vec<(String, String)>) -> Result<Group, Refusal> {
        let mut group = Group {
            form: BTreeMap::new(),
            cluster: false,
            node_groups: 1,
            replicas: 0,
            logs: BTreeMap::new(),
            token: false,
            going: None,
        };
        group.take(form)?;
        let number = |name: &str| group.form.get(name).and_then(|text| text.parse::<usize>().ok());
        // Without a word about it, the parameters decide.
        let cluster = group.text("CacheParameterGroupName").ends_with(".cluster.on")
            || group.text("ClusterMode") == "enabled";
        let node_groups = number("NumNodeGroups").unwrap_or(1);
        let replicas = match number("NumCacheClusters") {
            Some(nodes) if !cluster => nodes.saturating_sub(1),
            _ => number("ReplicasPerNodeGroup").unwrap_or(0),
        };
        (group.cluster, group.node_groups, group.replicas) = (cluster, node_groups, replicas);
        if !cluster && node_groups > 1 {
            return Err(combination("Cluster mode must be enabled for more than one node group."));
        }
        group.check()?;
        Ok(group)
    }

    /// What fits together: <https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html>.
    fn check(&self) -> Result<(), Refusal> {
        let on = |name: &str| self.text(name) == "true";
        if self.cluster && !on("AutomaticFailoverEnabled") {
            return Err(combination("Automatic failover must be enabled when cluster mode is enabled."));
        }
        if on("AutomaticFailoverEnabled") && !self.cluster && self.replicas == 0 {
            return Err(combination("Automatic failover needs at least one replica."));
        }
        if on("MultiAZEnabled") && (!on("AutomaticFailoverEnabled") || self.replicas == 0) {
            return Err(combination("Multi-AZ needs automatic failover and a replica in each node group."));
        }
        if self.token && !on("TransitEncryptionEnabled") {
            return Err(combination("AuthToken needs TransitEncryptionEnabled."));
        }
        if self.replicas > 5 {
            return Err(Refusal(
                400,
                "InvalidParameterValue",
                "A node group has up to five replicas.".into(),
            ));
        }
        Ok(())
    }

    /// Remembers the parameters, and of a password only that there is one.
    fn take(&mut self, form: Vec<(String, String)>) -> Result<(), Refusal> {
        if form.iter().any(|(name, _)| name.starts_with("SecurityGroupIds.")) {
            self.form.retain(|name, _| !name.starts_with("SecurityGroupIds."));
        }
        let logs =
            form.iter().filter(|(name, _)| name.starts_with("LogDelivery") && name.ends_with(".LogType"));
        for (name, log) in logs {
            let value = |of: &str| {
                let name = name.replace("LogType", of);
                form.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
            };
            match value("DestinationDetails.CloudWatchLogsDetails.LogGroup") {
                Some(group) if value("Enabled").as_deref() != Some("false") => {
                    self.logs.insert(log.clone(), group);
                }
                _ => drop(self.logs.remove(log)),
            }
        }
        for (name, value) in form {
            if name == "AuthToken" {
                let length = (16..=128).contains(&value.len());
                if !length || !value.bytes().all(|b| b.is_ascii_graphic() && !b"@\"/".contains(&b)) {
                    let message = "The AuthToken must be 16 to 128 printable characters without @, \" and /.";
                    return Err(Refusal(400, "InvalidParameterValue", message.into()));
                }
                self.token = true;
            } else if !name.starts_with("Tags.") && !name.starts_with("LogDelivery") {
                self.form.insert(name, value);
            }
        }
        Ok(())
    }

    pub(super) fn modify(&mut self, operation: &str, form: Vec<(String, String)>) -> Result<(), Refusal> {
        let given: BTreeMap<String, String> = form.iter().cloned().collect();
        let count = |name: &str| given.get(name).and_then(|text| text.parse::<usize>().ok());
        let (before, nodes) = (self.form.clone(), (self.node_groups, self.replicas));
        match operation {
            "ModifyReplicationGroupShardConfiguration" => {
                let wanted = count("NodeGroupCount").unwrap_or(self.node_groups);
                let gone = given.keys().filter(|name| name.starts_with("NodeGroupsToRemove.")).count();
                let kept = given.keys().any(|name| name.starts_with("NodeGroupsToRetain."));
                if wanted < self.node_groups && gone != self.node_groups - wanted && !kept {
                    return Err(combination("The node groups to remove must be named."));
                }
                self.node_groups = wanted;
            }
            "IncreaseReplicaCount" | "DecreaseReplicaCount" => {
                self.replicas = count("NewReplicaCount").unwrap_or(self.replicas);
            }
            _ => self.take(form)?,
        }
        let checked = self.check();
        if checked.is_err() {
            self.form = before;
            (self.node_groups, self.replicas) = nodes;
        }
        checked
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }

    fn or<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        Some(self.text(name)).filter(|text| !text.is_empty()).unwrap_or(default)
    }

    /// The names of its nodes: `<id>-001`, or `<id>-0001-001` in cluster mode.
    pub(super) fn nodes(&self, id: &str) -> impl Iterator<Item = String> {
        let (id, cluster, each) = (id.to_owned(), self.cluster, self.replicas + 1);
        (0..self.node_groups * each).map(move |n| match cluster {
            true => format!("{id}-{:04}-{:03}", n / each + 1, n % each + 1),
            false => format!("{id}-{:03}", n + 1),
        })
    }

    pub(super) fn show(&self, id: &str, arn: &str, region: &str) -> Element {
        let port = self.or("Port", "6379");
        // The middle part differs by account; here it is always the same.
        let domain = format!("{id}.c0ffee.{}.cache.amazonaws.com", short(region));
        let endpoint = |name: &str, at: &str| {
            Element::new(name).with_text("Address", &format!("{at}.{domain}")).with_text("Port", port)
        };
        let enabled = |name: &str| if self.text(name) == "true" { "enabled" } else { "disabled" };
        let status = if self.going.is_some() { "deleting" } else { "available" };
        let mut members = Element::new("MemberClusters");
        let mut groups = Element::new("NodeGroups");
        let nodes: Vec<String> = self.nodes(id).collect();
        for node in &nodes {
            members = members.with_text("ClusterId", node);
        }
        for (n, some) in nodes.chunks(self.replicas + 1).enumerate() {
            let mut group = Element::new("NodeGroup")
                .with_text("NodeGroupId", &format!("{:04}", n + 1))
                .with_text("Status", status);
            if self.cluster {
                let (from, to) = (n * 16384 / self.node_groups, (n + 1) * 16384 / self.node_groups - 1);
                group = group.with_text("Slots", &format!("{from}-{to}"));
            } else {
                group = group
                    .with(endpoint("PrimaryEndpoint", "master"))
                    .with(endpoint("ReaderEndpoint", "replica"));
            }
            let mut list = Element::new("NodeGroupMembers");
            for node in some {
                let member = Element::new("NodeGroupMember").with_text("CacheClusterId", node);
                list = list.with(member.with_text("CacheNodeId", "0001"));
            }
            groups = groups.with(group.with(list));
        }
        let mut shown = Element::new("ReplicationGroup")
            .with_text("ReplicationGroupId", id)
            .with_text("Description", self.text("ReplicationGroupDescription"))
            .with_text("Status", status)
            .with(Element::new("PendingModifiedValues"))
            .with(members)
            .with(groups)
            .with_text("AutomaticFailover", enabled("AutomaticFailoverEnabled"))
            .with_text("MultiAZ", enabled("MultiAZEnabled"))
            .with_text("SnapshotRetentionLimit", self.or("SnapshotRetentionLimit", "0"))
            .with_text("SnapshotWindow", self.or("SnapshotWindow", "05:00-06:00"))
            .with_text("ClusterEnabled", if self.cluster { "true" } else { "false" })
            .with_text("ClusterMode", if self.cluster { "enabled" } else { "disabled" })
            .with_text("CacheNodeType", self.text("CacheNodeType"))
            .with_text("AuthTokenEnabled", if self.token { "true" } else { "false" })
            .with_text("TransitEncryptionEnabled", self.or("TransitEncryptionEnabled", "false"))
            .with_text("AtRestEncryptionEnabled", self.or("AtRestEncryptionEnabled", "false"))
            .with_text("AutoMinorVersionUpgrade", self.or("AutoMinorVersionUpgrade", "true"))
            .with_text("Engine", self.or("Engine", "redis"))
            .with_text("ARN", arn);
        if self.cluster {
            shown = shown.with(endpoint("ConfigurationEndpoint", "clustercfg"));
        }
        let mut logs = Element::new("LogDeliveryConfigurations");
        for (of, to) in &self.logs {
            let mut log = Element::new("LogDeliveryConfiguration").with_text("LogType", of);
            log.set("DestinationType", "cloudwatch-logs");
            log.set("DestinationDetails/CloudWatchLogsDetails/LogGroup", to);
            log.set("LogFormat", "json");
            log.set("Status", "active");
            logs = logs.with(log);
        }
        shown = shown.with(logs);
        if !self.text("KmsKeyId").is_empty() {
            shown = shown.with_text("KmsKeyId", self.text("KmsKeyId"));
        }
        shown
    }

    pub(super) fn show_node(&self, group: &str, node: &str) -> Element {
        let mut groups = Element::new("SecurityGroups");
        for (_, id) in self.form.iter().filter(|(name, _)| name.starts_with("SecurityGroupIds.")) {
            let member =
                Element::new("member").with_text("SecurityGroupId", id).with_text("Status", "active");
            groups = groups.with(member);
        }
        // ElastiCache always tells the whole version.
        let version = self.or("EngineVersion", "7.1");
        let version =
            if version.matches('.').count() < 2 { format!("{version}.0") } else { version.to_owned() };
        let mut parameters = Element::new("CacheParameterGroup");
        parameters.set("CacheParameterGroupName", self.text("CacheParameterGroupName"));
        parameters.set("ParameterApplyStatus", "in-sync");
        Element::new("CacheCluster")
            .with_text("CacheClusterId", node)
            .with_text("ReplicationGroupId", group)
            .with_text("CacheClusterStatus", if self.going.is_some() { "deleting" } else { "available" })
            .with_text("CacheNodeType", self.text("CacheNodeType"))
            .with_text("Engine", self.or("Engine", "redis"))
            .with_text("EngineVersion", &version)
            .with_text("NumCacheNodes", "1")
            .with_text(
                "PreferredMaintenanceWindow",
                self.or("PreferredMaintenanceWindow", "sun:23:00-mon:01:30"),
            )
            .with_text("CacheSubnetGroupName", self.or("CacheSubnetGroupName", "default"))
            .with(parameters)
            .with(groups)
    }
}

/// `us-east-2` is `use2` in the names of caches.
fn short(region: &str) -> String {
    let parts: Vec<&str> = region.split('-').collect();
    let (last, first) =
        (parts.last().copied().unwrap_or_default(), parts.first().copied().unwrap_or_default());
    let middle: String = parts.iter().skip(1).rev().skip(1).filter_map(|part| part.chars().next()).collect();
    format!("{first}{middle}{last}")
}

fn combination(message: &str) -> Refusal {
    Refusal(400, "InvalidParameterCombination", message.to_owned())
}
