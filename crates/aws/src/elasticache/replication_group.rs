//! A cache: <https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html>.

use super::{
    tags_of, to_tags,
    version::{default_parameters, shown as shown_version},
    write_tags,
};
use crate::{
    Aws, Call,
    id::{Arn, SecurityGroupId, key_as_wanted},
    shown::shown,
};
use aws_sdk_elasticache::types::{
    AuthTokenUpdateStrategyType, AutomaticFailoverStatus, CacheCluster, CloudWatchLogsDestinationDetails,
    DestinationDetails, DestinationType, LogDeliveryConfigurationRequest, LogFormat, LogType, MultiAzStatus,
    ReplicationGroup as SdkGroup, ReplicationGroupPendingModifiedValues,
};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Secret, Set, Status, Tags, Timing, Value,
    diff::Diff,
    error::Found,
    outputs,
    undo::{Mark, UndoRule},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A cache of Valkey or Redis: one primary with replicas, or, in cluster mode, several such groups that share the keys.
///
/// Looking costs two calls for all groups of a region, and one for the tags of each. It is never deleted without a final
/// snapshot `<id>-final-<instance>`, unless `skip_final_snapshot` says so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicationGroup {
    /// Unique in the account and region: up to 40 lower-case letters, digits and dashes.
    pub id: String,
    /// For people.
    pub description: String,
    /// `valkey` or `redis`.
    pub engine: String,
    /// As precise as it matters: `8.0` is met by `8.0.1` and by `8.1`, as nothing goes back.
    pub engine_version: String,
    /// Like `cache.r7g.large`.
    pub cache_node_type: String,
    /// `None`: 6379.
    #[serde(default)]
    pub port: Option<i32>,
    /// Whether keys are shared out among groups of nodes. A client must know.
    pub cluster_enabled: bool,
    /// How many groups of nodes share the keys; 1 without cluster mode.
    pub num_node_groups: i32,
    /// How many replicas each primary has: 0 to 5.
    pub replicas_per_node_group: i32,
    /// Whether a replica becomes the primary when that fails. Cluster mode needs it. `None`: no.
    #[serde(default)]
    pub automatic_failover_enabled: Option<bool>,
    /// Whether the nodes of a group stand in different zones. Needs replicas and failover. `None`: as it comes.
    #[serde(default)]
    pub multi_az_enabled: Option<bool>,
    /// `None`: the default subnet group.
    #[serde(default)]
    pub cache_subnet_group_name: Option<Value<String>>,
    /// `None`: the default group of the VPC, or what it has.
    #[serde(default)]
    pub security_group_ids: Option<Set<SecurityGroupId>>,
    /// `None`: the one that comes with the version and the mode.
    #[serde(default)]
    pub cache_parameter_group_name: Option<Value<String>>,
    /// Whether it is encrypted where it is written to disk. `None`: no.
    #[serde(default)]
    pub at_rest_encryption_enabled: Option<bool>,
    /// The key for that, by its ARN. `None`: ElastiCache's own.
    #[serde(default)]
    pub kms_key_id: Option<Value<Arn>>,
    /// Whether clients speak TLS, and must. `None`: no.
    #[serde(default)]
    pub transit_encryption_enabled: Option<bool>,
    /// The secret that holds the password that clients send: 16 to 128 characters, without `@`, `"` and `/`. Needs TLS. It
    /// is read when the group is made and whenever this field or `auth_token_version` changes; the value goes nowhere else.
    /// `None`: none when it is made.
    #[serde(default)]
    pub auth_token_secret_arn: Option<Value<Arn>>,
    /// Anything that changes with the secret's value, like the secret's version: then the password is rotated, and the
    /// one before stays good until the next rotation.
    #[serde(default)]
    pub auth_token_version: Option<Value<String>>,
    /// For how many days daily snapshots are kept. `None`: none are taken.
    #[serde(default)]
    pub snapshot_retention_limit: Option<i32>,
    /// UTC, like `05:00-06:00`. `None`: AWS chooses.
    #[serde(default)]
    pub snapshot_window: Option<String>,
    /// UTC, like `sun:06:30-sun:07:30`. `None`: AWS chooses.
    #[serde(default)]
    pub preferred_maintenance_window: Option<String>,
    /// `None`: yes.
    #[serde(default)]
    pub auto_minor_version_upgrade: Option<bool>,
    /// Log groups that get its logs as JSON, by `slow-log` and `engine-log`.
    #[serde(default)]
    pub log_delivery: BTreeMap<String, Value<String>>,
    /// Deletes without a final snapshot: for caches that nobody misses. `None`: takes one.
    #[serde(default)]
    pub skip_final_snapshot: Option<bool>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a cache tells others.
    pub struct ReplicationGroupOutputs => ReplicationGroupRefs {
        /// Its id.
        pub id: String,
        /// The ARN.
        pub arn: Arn,
        /// Where a client begins: the configuration endpoint in cluster mode, the primary otherwise.
        pub address: String,
        /// Where replicas answer; none in cluster mode, whose clients find them.
        pub reader_address: Option<String>,
        /// The TCP port.
        pub port: i32,
        /// Whether a client must speak to it as to a cluster.
        pub cluster_enabled: bool,
    }
}

const PORT: i32 = 6379;

impl Resource for ReplicationGroup {
    const KIND: &'static str = "aws.elasticache.replication_group";
    const RECOVERY: Recovery = Recovery::Name(&["id"]);
    const REPLACE: &'static [&'static str] = &[
        "id",
        "engine",
        "port",
        "cluster_enabled",
        "cache_subnet_group_name",
        "at_rest_encryption_enabled",
        "kms_key_id",
        "transit_encryption_enabled",
    ];
    const DATA: bool = true;
    const UNDO: &'static [UndoRule] = &[UndoRule::change(
        "engine_version",
        Mark::Irreversible,
        "ElastiCache does not go back to an older version",
    )];
    // A group in several zones takes a quarter of an hour, sharing out its keys anew far more.
    const TIMING: Timing = Timing::seconds(720, 5, 2 * 3600);
    type Client = Aws;
    type Outputs = ReplicationGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let cache = &cx.client.elasticache;
        let id = self.id.to_lowercase();
        let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (group, node, confirmed) = tokio::join!(
            cache.groups.get(id.clone()),
            cache.nodes.get(id),
            cx.client.tag_index.confirms(cx, recorded, &self.tags)
        );
        let (Some(group), node) = (group?, node?) else { return Ok(None) };
        let tags = match confirmed {
            Some(tags) => Some(tags),
            None => tags_of(cache, group.arn().unwrap_or_default()).await.found()?,
        };
        let Some(tags) = tags else { return Ok(None) };
        Ok(Some(self.live(&group, node.as_ref(), tags)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let token = self.auth_token(cx).await?;
        let nodes = 1 + self.replicas_per_node_group;
        let call = cx
            .client
            .elasticache
            .create_replication_group()
            .replication_group_id(&self.id)
            .replication_group_description(&self.description)
            .engine(&self.engine)
            .engine_version(&self.engine_version)
            .cache_node_type(&self.cache_node_type)
            .set_port(self.port)
            .set_num_cache_clusters((!self.cluster_enabled).then_some(nodes))
            .set_num_node_groups(self.cluster_enabled.then_some(self.num_node_groups))
            .set_replicas_per_node_group(self.cluster_enabled.then_some(self.replicas_per_node_group))
            .cache_parameter_group_name(self.parameters()?)
            .set_automatic_failover_enabled(self.automatic_failover_enabled)
            .set_multi_az_enabled(self.multi_az_enabled)
            .set_cache_subnet_group_name(known(&self.cache_subnet_group_name)?)
            .set_security_group_ids(self.security_groups()?)
            .set_at_rest_encryption_enabled(self.at_rest_encryption_enabled)
            .set_kms_key_id(known(&self.kms_key_id)?.map(String::from))
            .set_transit_encryption_enabled(self.transit_encryption_enabled)
            .set_auth_token(token.as_ref().map(Secret::expose).transpose()?.map(str::to_owned))
            .set_snapshot_retention_limit(self.snapshot_retention_limit)
            .set_snapshot_window(self.snapshot_window.clone())
            .set_preferred_maintenance_window(self.preferred_maintenance_window.clone())
            .set_auto_minor_version_upgrade(self.auto_minor_version_upgrade)
            .set_log_delivery_configurations(self.logs(&BTreeMap::new())?)
            .set_tags(Some(to_tags(&self.tags)));
        call.send().await.call("elasticache:CreateReplicationGroup").map(drop)
    }

    /// One step: ElastiCache takes one modification at a time, and failover needs replicas for as long as it is on. The
    /// password comes last, alone: nothing shows that it was set, so another step after it would set it again.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let cache = &cx.client.elasticache;
        if diff.touches("tags") {
            return write_tags(cache, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await;
        }
        let (wanted, actual) = (self.replicas_per_node_group, live.spec.replicas_per_node_group);
        if diff.touches("replicas_per_node_group") && wanted > actual {
            let more = cache.increase_replica_count().replication_group_id(&self.id);
            let more = more.new_replica_count(wanted).apply_immediately(true).send().await;
            return more.call("elasticache:IncreaseReplicaCount").map(drop);
        }
        if modifies(diff) {
            return self.modify(cx, live, diff).await;
        }
        if diff.touches("num_node_groups") {
            return self.share_out(cx).await;
        }
        if diff.touches("replicas_per_node_group") && wanted < actual {
            let fewer = cache.decrease_replica_count().replication_group_id(&self.id);
            let fewer = fewer.new_replica_count(wanted).apply_immediately(true).send().await;
            return fewer.call("elasticache:DecreaseReplicaCount").map(drop);
        }
        if diff.touches("auth_token_secret_arn") || diff.touches("auth_token_version") {
            return self.rotate(cx).await;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        // What was never ready has nothing to keep, and a snapshot of it would be refused.
        let skip = self.skip_final_snapshot == Some(true) || matches!(live.status, Status::Failed(_));
        let last = (!skip).then(|| format!("{}-final-{}", self.id, cx.instance));
        let delete = cx.client.elasticache.delete_replication_group().replication_group_id(&self.id);
        let delete = delete.retain_primary_cluster(false).set_final_snapshot_identifier(last).send().await;
        delete.call("elasticache:DeleteReplicationGroup").found().map(drop)
    }
}

/// What a modification of the group sets.
const MODIFIED: [&str; 13] = [
    "description",
    "engine_version",
    "cache_node_type",
    "automatic_failover_enabled",
    "multi_az_enabled",
    "security_group_ids",
    "cache_parameter_group_name",
    "snapshot_retention_limit",
    "snapshot_window",
    "preferred_maintenance_window",
    "auto_minor_version_upgrade",
    "log_delivery",
    "port",
];

fn modifies(diff: &Diff) -> bool {
    MODIFIED.into_iter().any(|field| diff.touches(field))
}

fn known<T: Clone>(value: &Option<Value<T>>) -> Result<Option<T>, Error> {
    Ok(value.as_ref().map(Value::get).transpose()?.cloned())
}

impl ReplicationGroup {
    async fn auth_token(&self, cx: &Cx<'_, Self>) -> Result<Option<Secret>, Error> {
        match known(&self.auth_token_secret_arn)? {
            Some(arn) => cx.client.secretsmanager.value(&arn).await.map(Some),
            None => Ok(None),
        }
    }

    fn security_groups(&self) -> Result<Option<Vec<String>>, Error> {
        let groups = self.security_group_ids.as_ref().map(Set::get).transpose()?;
        Ok(groups.map(|ids| ids.into_iter().map(String::from).collect()))
    }

    fn parameters(&self) -> Result<String, Error> {
        let default = || default_parameters(&self.engine, &self.engine_version, self.cluster_enabled);
        Ok(known(&self.cache_parameter_group_name)?.unwrap_or_else(default))
    }

    /// The logs that are wanted, and those that are on and are not. `None` where there is nothing to say.
    fn logs(
        &self,
        live: &BTreeMap<String, Value<String>>,
    ) -> Result<Option<Vec<LogDeliveryConfigurationRequest>>, Error> {
        let mut logs = vec![];
        for (of, group) in &self.log_delivery {
            let to = CloudWatchLogsDestinationDetails::builder().log_group(group.get()?).build();
            let to = DestinationDetails::builder().cloud_watch_logs_details(to).build();
            let log = LogDeliveryConfigurationRequest::builder()
                .log_type(LogType::from(of.as_str()))
                .destination_type(DestinationType::CloudWatchLogs)
                .destination_details(to)
                .log_format(LogFormat::Json)
                .enabled(true);
            logs.push(log.build());
        }
        for of in live.keys().filter(|of| !self.log_delivery.contains_key(*of)) {
            let off = LogDeliveryConfigurationRequest::builder().log_type(LogType::from(of.as_str()));
            logs.push(off.enabled(false).build());
        }
        Ok((!logs.is_empty()).then_some(logs))
    }

    async fn modify(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let on = |field: &str| diff.touches(field);
        let upgrades = on("engine_version");
        // The parameters belong to a major version, so both change in one call.
        let other = major(&self.engine_version) != major(&live.spec.engine_version);
        let parameters = on("cache_parameter_group_name") || upgrades && other;
        let call = cx
            .client
            .elasticache
            .modify_replication_group()
            .replication_group_id(&self.id)
            .apply_immediately(true)
            .set_replication_group_description(on("description").then(|| self.description.clone()))
            .set_engine_version(upgrades.then(|| self.engine_version.clone()))
            .set_cache_parameter_group_name(parameters.then(|| self.parameters()).transpose()?)
            .set_cache_node_type(on("cache_node_type").then(|| self.cache_node_type.clone()))
            .set_automatic_failover_enabled(
                on("automatic_failover_enabled").then(|| self.automatic_failover_enabled.unwrap_or(false)),
            )
            .set_multi_az_enabled(on("multi_az_enabled").then(|| self.multi_az_enabled.unwrap_or(false)))
            .set_security_group_ids(self.security_groups()?.filter(|_| on("security_group_ids")))
            .set_snapshot_retention_limit(
                on("snapshot_retention_limit").then(|| self.snapshot_retention_limit.unwrap_or(0)),
            )
            .set_snapshot_window(self.snapshot_window.clone().filter(|_| on("snapshot_window")))
            .set_preferred_maintenance_window(
                self.preferred_maintenance_window.clone().filter(|_| on("preferred_maintenance_window")),
            )
            .set_auto_minor_version_upgrade(
                on("auto_minor_version_upgrade").then(|| self.auto_minor_version_upgrade.unwrap_or(true)),
            )
            .set_log_delivery_configurations(match on("log_delivery") {
                true => self.logs(&live.spec.log_delivery)?,
                false => None,
            });
        call.send().await.call("elasticache:ModifyReplicationGroup").map(drop)
    }

    /// <https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth.html#auth-modifyng-token>
    async fn rotate(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let Some(token) = self.auth_token(cx).await? else {
            return Err(Error::Invalid(format!(
                "the cache `{}` has a password, and ElastiCache takes it away only for users and their groups: keep \
                 `auth_token_secret_arn`",
                self.id
            )));
        };
        let call = cx.client.elasticache.modify_replication_group().replication_group_id(&self.id);
        let call = call.auth_token(token.expose()?).apply_immediately(true);
        let call = call.auth_token_update_strategy(AuthTokenUpdateStrategyType::Rotate).send().await;
        call.call("elasticache:ModifyReplicationGroup").map(drop)
    }

    /// Another number of groups of nodes; the last ones go where there are to be fewer.
    async fn share_out(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let cache = &cx.client.elasticache;
        let there = cache.groups.get(self.id.to_lowercase()).await?;
        let there = there.and_then(|group| group.node_groups).unwrap_or_default();
        let mut ids: Vec<String> = there.into_iter().filter_map(|group| group.node_group_id).collect();
        ids.sort();
        let keep = usize::try_from(self.num_node_groups).unwrap_or(1);
        let gone = ids.get(keep..).unwrap_or_default().to_vec();
        let call = cache
            .modify_replication_group_shard_configuration()
            .replication_group_id(&self.id)
            .node_group_count(self.num_node_groups)
            .set_node_groups_to_remove((!gone.is_empty()).then_some(gone))
            .apply_immediately(true);
        call.send().await.call("elasticache:ModifyReplicationGroupShardConfiguration").map(drop)
    }

    /// What ElastiCache shows, in our words. Fields that are not wanted and that nothing can take back stay unset.
    fn live(&self, found: &SdkGroup, node: Option<&CacheCluster>, tags: Tags) -> Live<Self> {
        let cluster = found.cluster_enabled().unwrap_or_default();
        let groups = found.node_groups();
        let first = groups.first();
        let endpoint = match cluster {
            true => found.configuration_endpoint(),
            false => first.and_then(|group| group.primary_endpoint()),
        };
        let reader = first.filter(|_| !cluster).and_then(|group| group.reader_endpoint()?.address());
        let wanted = self.replicas_per_node_group;
        // Where groups differ, the one that is not as it should be tells.
        let replicas = groups.iter().map(|group| group.node_group_members().len() as i32 - 1);
        let replicas = replicas.max_by_key(|count| (count - wanted).abs()).unwrap_or(wanted);
        let failover = found.automatic_failover().map(|status| {
            matches!(status, AutomaticFailoverStatus::Enabled | AutomaticFailoverStatus::Enabling)
        });
        // ElastiCache writes weekdays in lower case.
        let window = |wanted: &Option<String>, actual: Option<&str>| {
            wanted
                .as_ref()
                .zip(actual)
                .map(|(w, a)| if w.eq_ignore_ascii_case(a) { w.clone() } else { a.into() })
        };
        let port = endpoint.and_then(|e| e.port()).unwrap_or(self.port.unwrap_or(PORT));
        Live {
            status: status(found),
            owner: tags.owner(),
            outputs: ReplicationGroupOutputs {
                id: found.replication_group_id().unwrap_or_default().to_owned(),
                arn: found.arn().unwrap_or_default().into(),
                address: endpoint.and_then(|e| e.address()).unwrap_or_default().to_owned(),
                reader_address: reader.map(str::to_owned),
                port,
                cluster_enabled: cluster,
            },
            spec: ReplicationGroup {
                id: self.id.clone(),
                description: found.description().unwrap_or_default().to_owned(),
                engine: found.engine().unwrap_or(&self.engine).to_owned(),
                engine_version: node.and_then(|node| node.engine_version()).map_or_else(
                    || self.engine_version.clone(),
                    |live| shown_version(&self.engine_version, live),
                ),
                cache_node_type: found.cache_node_type().unwrap_or_default().to_owned(),
                port: shown(self.port.as_ref(), Some(port), PORT),
                cluster_enabled: cluster,
                num_node_groups: groups.len() as i32,
                replicas_per_node_group: replicas,
                automatic_failover_enabled: failover,
                multi_az_enabled: found.multi_az().map(|status| *status == MultiAzStatus::Enabled),
                cache_subnet_group_name: self
                    .cache_subnet_group_name
                    .as_ref()
                    .and_then(|_| node?.cache_subnet_group_name().map(Value::from)),
                security_group_ids: self.security_group_ids.as_ref().map(|_| {
                    let groups = node.map(|node| node.security_groups()).unwrap_or_default().iter();
                    groups.filter_map(|group| group.security_group_id()).map(SecurityGroupId::from).collect()
                }),
                cache_parameter_group_name: self.cache_parameter_group_name.as_ref().and_then(|_| {
                    node?.cache_parameter_group()?.cache_parameter_group_name().map(Value::from)
                }),
                at_rest_encryption_enabled: shown(
                    self.at_rest_encryption_enabled.as_ref(),
                    found.at_rest_encryption_enabled(),
                    false,
                ),
                kms_key_id: key_as_wanted(self.kms_key_id.as_ref(), found.kms_key_id()),
                transit_encryption_enabled: shown(
                    self.transit_encryption_enabled.as_ref(),
                    found.transit_encryption_enabled(),
                    false,
                ),
                auth_token_secret_arn: None,
                auth_token_version: None,
                snapshot_retention_limit: shown(
                    self.snapshot_retention_limit.as_ref(),
                    found.snapshot_retention_limit(),
                    0,
                ),
                snapshot_window: window(&self.snapshot_window, found.snapshot_window()),
                preferred_maintenance_window: window(
                    &self.preferred_maintenance_window,
                    node.and_then(|node| node.preferred_maintenance_window()),
                ),
                auto_minor_version_upgrade: found.auto_minor_version_upgrade(),
                log_delivery: log_delivery(found),
                skip_final_snapshot: None,
                tags,
            },
        }
    }
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

/// Logs that go to a log group, or are about to.
fn log_delivery(found: &SdkGroup) -> BTreeMap<String, Value<String>> {
    let of = |log: &aws_sdk_elasticache::types::LogDeliveryConfiguration| {
        let group = log.destination_details()?.cloud_watch_logs_details()?.log_group()?;
        Some((log.log_type()?.as_str().to_owned(), Value::from(group)))
    };
    found.log_delivery_configurations().iter().filter_map(of).collect()
}

/// <https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ReplicationGroup.html>
fn status(found: &SdkGroup) -> Status {
    let pending = found.pending_modified_values().map(waiting).unwrap_or_default();
    match found.status().unwrap_or_default() {
        "available" | "snapshotting" if pending.is_empty() => Status::Ready,
        "available" | "snapshotting" => {
            Status::Pending(format!("a change of {} is waiting", pending.join(", ")))
        }
        "create-failed" => Status::Failed("ElastiCache says `create-failed`".into()),
        other => Status::Pending(other.to_owned()),
    }
}

/// The modifications that were accepted and are not in force.
fn waiting(pending: &ReplicationGroupPendingModifiedValues) -> Vec<&'static str> {
    [
        ("automatic_failover_enabled", pending.automatic_failover_status.is_some()),
        ("num_node_groups", pending.resharding.is_some()),
        ("log_delivery", !pending.log_delivery_configurations().is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, is)| is.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_elasticache::types::{Endpoint, NodeGroup, NodeGroupMember};

    fn wanted(cluster: bool) -> ReplicationGroup {
        serde_json::from_value(serde_json::json!({
            "id": "litellm", "description": "keys", "engine": "valkey", "engine_version": "8.0",
            "cache_node_type": "cache.r7g.large", "cluster_enabled": cluster, "num_node_groups": if cluster { 2 } else { 1 },
            "replicas_per_node_group": 1, "preferred_maintenance_window": "Sun:06:30-Sun:07:30"
        }))
        .unwrap()
    }

    fn node_group(members: usize) -> NodeGroup {
        let at = |address: &str| Endpoint::builder().address(address).port(6379).build();
        let members = vec![NodeGroupMember::builder().build(); members];
        NodeGroup::builder()
            .primary_endpoint(at("master.litellm"))
            .reader_endpoint(at("replica.litellm"))
            .set_node_group_members(Some(members))
            .build()
    }

    fn found(
        cluster: bool,
        members: &[usize],
    ) -> aws_sdk_elasticache::types::builders::ReplicationGroupBuilder {
        SdkGroup::builder()
            .replication_group_id("litellm")
            .description("keys")
            .engine("valkey")
            .status("available")
            .cluster_enabled(cluster)
            .cache_node_type("cache.r7g.large")
            .configuration_endpoint(Endpoint::builder().address("clustercfg.litellm").port(6379).build())
            .set_node_groups(Some(members.iter().map(|count| node_group(*count)).collect()))
    }

    fn node() -> CacheCluster {
        CacheCluster::builder()
            .engine_version("8.0.1")
            .preferred_maintenance_window("sun:06:30-sun:07:30")
            .build()
    }

    #[test]
    fn a_client_begins_where_the_mode_says() {
        let cluster = wanted(true).live(&found(true, &[2, 2]).build(), Some(&node()), Tags::default());
        assert_eq!(
            (cluster.outputs.address.as_str(), cluster.outputs.cluster_enabled),
            ("clustercfg.litellm", true)
        );
        assert_eq!(cluster.outputs.reader_address, None);
        assert_eq!((cluster.spec.num_node_groups, cluster.spec.replicas_per_node_group), (2, 1));
        assert_eq!(cluster.spec.engine_version, "8.0");
        assert_eq!(cluster.spec.preferred_maintenance_window.as_deref(), Some("Sun:06:30-Sun:07:30"));
        let one = wanted(false).live(&found(false, &[2]).build(), Some(&node()), Tags::default());
        assert_eq!((one.outputs.address.as_str(), one.outputs.cluster_enabled), ("master.litellm", false));
        assert_eq!(one.outputs.reader_address.as_deref(), Some("replica.litellm"));
    }

    #[test]
    fn a_group_that_lost_a_replica_is_seen() {
        let live = wanted(true).live(&found(true, &[2, 1]).build(), Some(&node()), Tags::default());
        assert_eq!(live.spec.replicas_per_node_group, 0);
        let live = wanted(true).live(&found(true, &[2, 3]).build(), Some(&node()), Tags::default());
        assert_eq!(live.spec.replicas_per_node_group, 2);
    }

    #[test]
    fn a_state_that_never_passes_ends_the_wait() {
        let status = |state: &str| status(&found(true, &[2, 2]).status(state).build());
        assert_eq!(status("available"), Status::Ready);
        assert_eq!(status("creating"), Status::Pending("creating".into()));
        assert!(matches!(status("create-failed"), Status::Failed(_)));
        let resharding = ReplicationGroupPendingModifiedValues::builder()
            .resharding(aws_sdk_elasticache::types::ReshardingStatus::builder().build())
            .build();
        let waits = super::status(&found(true, &[2]).pending_modified_values(resharding).build());
        assert_eq!(waits, Status::Pending("a change of num_node_groups is waiting".into()));
    }

    #[test]
    fn logs_that_are_wanted_no_more_are_turned_off() {
        let mut wanted = wanted(false);
        wanted.log_delivery = [("slow-log".to_owned(), Value::from("/cache/slow"))].into();
        let live = [("engine-log".to_owned(), Value::from("/cache/engine"))].into();
        let told = wanted.logs(&live).unwrap().unwrap();
        let told: Vec<_> = told.iter().map(|log| (log.log_type().unwrap().as_str(), log.enabled())).collect();
        assert_eq!(told, [("slow-log", Some(true)), ("engine-log", Some(false))]);
        assert!(wanted.logs(&BTreeMap::new()).unwrap().is_some());
        assert!(super::tests::wanted(true).logs(&BTreeMap::new()).unwrap().is_none());
    }
}
