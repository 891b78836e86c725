//! A database server.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html>

use super::{
    Sought, from_tags, not_now, to_tags,
    upgrade::{Snapshot, Way, before, shown, snapshot, way},
    write_tags,
};
use crate::{
    Aws, Call,
    id::{Arn, SecurityGroupId, key_as_wanted},
    shown::shown as given,
};
use aws_sdk_rds::types::{CloudwatchLogsExportConfiguration, DbInstance, DbSnapshot, PendingModifiedValues};
use aws_smithy_types::DateTime;
use causeway_core::{
    Class, Cx, Error, Live, Recovery, Resource, Secret, Set, Status, Tags, Timing, Value,
    diff::Diff,
    error::Found,
    outputs,
    undo::{Mark, UndoRule},
};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;

/// A database server.
///
/// Never deleted before a snapshot `<identifier>-kept-<instance>` can be used, nor without a final one,
/// `<identifier>-final-<instance>`, which has what was written meanwhile; and never upgraded to another major version
/// without a snapshot `<identifier>-before-<version>` (dots become dashes, as snapshot names have none).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Instance {
    /// Unique in the account and region: up to 63 lower-case letters, digits and dashes.
    pub identifier: String,
    /// Like `postgres`.
    pub engine: String,
    /// As precise as it matters: `16` is met by any `16.x`. `None`: AWS chooses, and moves it.
    ///
    /// A later minor version than the wanted one (automatic upgrades) counts as met: nothing goes back.
    pub engine_version: Option<String>,
    /// Like `db.m7g.large`.
    pub instance_class: String,
    /// GiB. Only grows. More than this counts as met up to `max_allocated_storage`.
    pub allocated_storage: i32,
    /// GiB up to which AWS may grow the storage by itself. `None`: it may not.
    pub max_allocated_storage: Option<i32>,
    /// Like `gp3`. `None`: AWS chooses.
    pub storage_type: Option<String>,
    /// Operations per second. `None`: what the storage type comes with.
    pub iops: Option<i32>,
    /// MiB per second. `None`: what the storage type comes with.
    pub storage_throughput: Option<i32>,
    /// Whether the storage is encrypted. `None`: not.
    pub storage_encrypted: Option<bool>,
    /// The key, by its ARN. `None`: the account's key for RDS.
    pub kms_key_id: Option<Value<Arn>>,
    /// The first database. `None`: none is made beside `postgres`.
    pub db_name: Option<String>,
    /// The first user.
    pub master_username: String,
    /// The secret that holds the first user's password, as text or as JSON with the key `password`. It is read when
    /// the instance is made and whenever this field or `master_password_version` changes; the value goes nowhere else.
    /// `None`: whatever it is (an adopted instance), or RDS keeps it.
    pub master_password_secret_arn: Option<Value<Arn>>,
    /// Anything that changes with the secret's value, like the secret's version: then the password is set again.
    pub master_password_version: Option<Value<String>>,
    /// Whether RDS makes the first user's password, keeps it in Secrets Manager and changes it every week. Goes without
    /// `master_password_secret_arn`, which is needed once more to turn it off. `None`: no.
    #[serde(default)]
    pub manage_master_user_password: Option<bool>,
    /// The key that RDS encrypts that secret with, by its ARN. `None`: Secrets Manager's own.
    #[serde(default)]
    pub master_user_secret_kms_key_id: Option<Value<Arn>>,
    /// `None`: the default subnet group.
    pub db_subnet_group_name: Option<Value<String>>,
    /// `None`: the default group of the VPC, or what it has.
    pub vpc_security_group_ids: Option<Set<SecurityGroupId>>,
    /// `None`: the engine's default, or what it has.
    pub db_parameter_group_name: Option<Value<String>>,
    /// `Some(true)`: reboots when a changed static parameter waits for it. `None`: it waits.
    pub parameters_applied: Option<bool>,
    /// A standby in another zone. `None`: no.
    pub multi_az: Option<bool>,
    /// Whether it has a public address. `None`: no.
    pub publicly_accessible: Option<bool>,
    /// Days; 0 turns backups off. `None`: 1.
    pub backup_retention_period: Option<i32>,
    /// UTC, like `08:00-09:00`. `None`: AWS chooses.
    pub preferred_backup_window: Option<String>,
    /// UTC, like `sun:09:30-sun:10:30`. `None`: AWS chooses.
    pub preferred_maintenance_window: Option<String>,
    /// Deletion turns it off first. `None`: off.
    pub deletion_protection: Option<bool>,
    /// `None`: yes.
    pub auto_minor_version_upgrade: Option<bool>,
    /// `None`: no.
    pub performance_insights_enabled: Option<bool>,
    /// Days: 7, a multiple of 31, or 731. `None`: 7.
    pub performance_insights_retention_period: Option<i32>,
    /// Like `postgresql` and `upgrade`. `None`: none.
    pub enabled_cloudwatch_logs_exports: Option<Set<String>>,
    /// `None`: no.
    pub copy_tags_to_snapshot: Option<bool>,
    /// Deletes without a final snapshot: for tests, never for data. `None`: takes one.
    pub skip_final_snapshot: Option<bool>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a database server tells others.
    pub struct InstanceOutputs => InstanceRefs {
        /// Its name.
        pub identifier: String,
        /// The ARN.
        pub arn: Arn,
        /// The DNS name.
        pub address: String,
        /// The TCP port.
        pub port: i32,
        /// `db-...`: what IAM policies for database logins name.
        pub resource_id: String,
        /// The whole version, like `16.4`.
        pub engine_version: String,
        /// The secret in which RDS keeps the first user's password, if it does: JSON with `username` and `password`.
        pub master_user_secret_arn: Option<Arn>,
    }
}

impl Resource for Instance {
    const KIND: &'static str = "aws.rds.instance";
    const RECOVERY: Recovery = Recovery::Name(&["identifier"]);
    const REPLACE: &'static [&'static str] =
        &["identifier", "engine", "storage_encrypted", "kms_key_id", "db_name", "master_username"];
    const MOVES: &'static [&'static str] = &["engine_version"];
    const DATA: bool = true;
    const UNDO: &'static [UndoRule] = &[
        UndoRule::change("engine_version", Mark::Irreversible, "RDS does not go back to an older version"),
        UndoRule::change("allocated_storage", Mark::Irreversible, "RDS storage grows and never shrinks"),
    ];
    // A multi-AZ instance takes a quarter of an hour; a major upgrade with its snapshot, or a final snapshot, far more.
    const TIMING: Timing = Timing::seconds(600, 10, 3 * 3600);
    type Client = Aws;
    type Outputs = InstanceOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let found = cx.client.rds.instances.get(Sought::Named(self.identifier.to_lowercase())).await?;
        Ok(found.map(|instance| self.live(&instance)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let managed = self.manage_master_user_password == Some(true);
        let password = self.password(cx).await?;
        if managed == password.is_some() {
            return Err(Error::Invalid(format!(
                "database `{}` needs either `master_password_secret_arn` or `manage_master_user_password`",
                self.identifier
            )));
        }
        let call = cx
            .client
            .rds
            .create_db_instance()
            .db_instance_identifier(&self.identifier)
            .engine(&self.engine)
            .set_engine_version(self.engine_version.clone())
            .db_instance_class(&self.instance_class)
            .allocated_storage(self.allocated_storage)
            .set_max_allocated_storage(self.max_allocated_storage)
            .set_storage_type(self.storage_type.clone())
            .set_iops(self.iops)
            .set_storage_throughput(self.storage_throughput)
            .set_storage_encrypted(self.storage_encrypted)
            .set_kms_key_id(known(&self.kms_key_id)?.map(String::from))
            .set_db_name(self.db_name.clone())
            .master_username(&self.master_username)
            .set_master_user_password(password.as_ref().map(Secret::expose).transpose()?.map(str::to_owned))
            .set_manage_master_user_password(managed.then_some(true))
            .set_master_user_secret_kms_key_id(
                known(&self.master_user_secret_kms_key_id)?.filter(|_| managed).map(String::from),
            )
            .set_db_subnet_group_name(known(&self.db_subnet_group_name)?)
            .set_vpc_security_group_ids(self.security_groups()?)
            .set_db_parameter_group_name(known(&self.db_parameter_group_name)?)
            .set_multi_az(self.multi_az)
            // Without it, AWS decides by the subnets.
            .publicly_accessible(self.publicly_accessible.unwrap_or(false))
            .set_backup_retention_period(self.backup_retention_period)
            .set_preferred_backup_window(self.preferred_backup_window.clone())
            .set_preferred_maintenance_window(self.preferred_maintenance_window.clone())
            .set_deletion_protection(self.deletion_protection)
            .set_auto_minor_version_upgrade(self.auto_minor_version_upgrade)
            .set_enable_performance_insights(self.performance_insights_enabled)
            .set_performance_insights_retention_period(self.performance_insights_retention_period)
            .set_enable_cloudwatch_logs_exports(self.logs()?)
            .set_copy_tags_to_snapshot(self.copy_tags_to_snapshot)
            .set_tags(Some(to_tags(&self.tags)));
        call.send().await.call("rds:CreateDBInstance").map(drop)
    }

    /// Tags, then the version, then everything else, then a reboot: RDS takes one modification at a time.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        if diff.touches("tags") {
            write_tags(&cx.client.rds, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await?;
        }
        match &self.engine_version {
            Some(wanted) if diff.touches("engine_version") => {
                self.upgrade(cx, &live.outputs.engine_version, wanted, diff).await
            }
            _ if modifies(diff) => self.modify(cx, live, diff).await,
            _ if diff.touches("parameters_applied") => {
                let call = cx.client.rds.reboot_db_instance().db_instance_identifier(&self.identifier);
                call.send().await.call("rds:RebootDBInstance").map(drop)
            }
            _ => Ok(()),
        }
    }

    async fn copy(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<Option<String>, Error> {
        // What goes already does so with its final snapshot, and no other can be taken any more.
        let going = matches!(&live.status, Status::Pending(on) if on == "deleting");
        if self.skip_final_snapshot == Some(true) || going {
            return Ok(None);
        }
        let base = format!("{}-kept-{}", self.identifier, cx.instance);
        match (self.ensure_snapshot(cx, &base).await, &live.status) {
            // RDS takes none in most states of failure, and they do not pass.
            (Err(error), Status::Failed(why)) if error.class() == Class::NotNow => {
                Err(Error::Invalid(format!(
                    "database `{}` is not deleted, as no snapshot of it can be taken: {why}; mend it, or delete it by hand",
                    self.identifier
                )))
            }
            (answer, _) => answer.map(|name| Some(format!("snapshot {name}"))),
        }
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let rds = &cx.client.rds;
        if live.spec.deletion_protection == Some(true) {
            let call = rds
                .modify_db_instance()
                .db_instance_identifier(&self.identifier)
                .deletion_protection(false)
                .apply_immediately(true);
            call.send().await.call("rds:ModifyDBInstance")?;
        }
        let skip = self.skip_final_snapshot == Some(true);
        let last = (!skip).then(|| format!("{}-final-{}", self.identifier, cx.instance));
        let call = rds
            .delete_db_instance()
            .db_instance_identifier(&self.identifier)
            .skip_final_snapshot(skip)
            .set_final_db_snapshot_identifier(last);
        call.send().await.call("rds:DeleteDBInstance").found().map(drop)
    }
}

/// Fields that no modification of the instance sets.
const NOT_MODIFIED: [&str; 4] = ["tags", "engine_version", "parameters_applied", "skip_final_snapshot"];

fn modifies(diff: &Diff) -> bool {
    diff.changes.iter().any(|c| !NOT_MODIFIED.contains(&c.path.split('.').next().unwrap_or_default()))
}

fn known<T: Clone>(value: &Option<Value<T>>) -> Result<Option<T>, Error> {
    Ok(value.as_ref().map(Value::get).transpose()?.cloned())
}

impl Instance {
    async fn password(&self, cx: &Cx<'_, Self>) -> Result<Option<Secret>, Error> {
        let Some(arn) = known(&self.master_password_secret_arn)? else { return Ok(None) };
        let secret = cx.client.secretsmanager.value(&arn).await?;
        Ok(Some(Secret::new(password_in(secret.expose()?))))
    }

    fn security_groups(&self) -> Result<Option<Vec<String>>, Error> {
        let groups = self.vpc_security_group_ids.as_ref().map(Set::get).transpose()?;
        Ok(groups.map(|ids| ids.into_iter().map(String::from).collect()))
    }

    fn logs(&self) -> Result<Option<Vec<String>>, Error> {
        Ok(self.enabled_cloudwatch_logs_exports.as_ref().map(Set::get).transpose()?)
    }

    /// One step towards another engine version; a major one only once a snapshot is there.
    async fn upgrade(&self, cx: &Cx<'_, Self>, actual: &str, wanted: &str, diff: &Diff) -> Result<(), Error> {
        let rds = &cx.client.rds;
        let way = way(&self.engine, actual, wanted);
        match way {
            Way::Down => {
                return Err(Error::Invalid(format!(
                    "database `{}` runs version {actual}, and RDS cannot go back to {wanted}: restore a snapshot \
                     that was taken before the upgrade, under another identifier",
                    self.identifier
                )));
            }
            Way::Major => drop(self.ensure_snapshot(cx, &before(&self.identifier, wanted)).await?),
            Way::Minor => {}
        }
        // The parameter group belongs to a major version, so both change in one call.
        let group = diff
            .touches("db_parameter_group_name")
            .then(|| known(&self.db_parameter_group_name))
            .transpose()?
            .flatten();
        let call = rds
            .modify_db_instance()
            .db_instance_identifier(&self.identifier)
            .engine_version(wanted)
            .allow_major_version_upgrade(way == Way::Major)
            .set_db_parameter_group_name(group)
            .apply_immediately(true);
        call.send().await.call("rds:ModifyDBInstance").map(drop)
    }

    /// The name of the snapshot once it is available; until then "not now", so that the engine comes back.
    async fn ensure_snapshot(&self, cx: &Cx<'_, Self>, base: &str) -> Result<String, Error> {
        let look = || async {
            let there = self.snapshots(cx).await?;
            Ok::<_, Error>(snapshot(base, &there, DateTime::from(SystemTime::now())))
        };
        let mut found = look().await?;
        if let Snapshot::Take(name) = &found {
            let call = cx
                .client
                .rds
                .create_db_snapshot()
                .db_snapshot_identifier(name)
                .db_instance_identifier(&self.identifier)
                .set_tags(Some(to_tags(&self.tags)));
            call.send().await.call("rds:CreateDBSnapshot")?;
            found = look().await?;
        }
        match found {
            Snapshot::Ready(name) => Ok(name),
            Snapshot::Take(name) | Snapshot::Wait(name) => {
                Err(not_now("rds:CreateDBSnapshot", format!("snapshot {name} is not available yet")))
            }
        }
    }

    /// The manual snapshots of the instance.
    async fn snapshots(&self, cx: &Cx<'_, Self>) -> Result<Vec<DbSnapshot>, Error> {
        let mut out = vec![];
        let mut marker = None;
        loop {
            let call = cx
                .client
                .rds
                .describe_db_snapshots()
                .db_instance_identifier(&self.identifier)
                .snapshot_type("manual")
                .set_marker(marker);
            let page = call.send().await.call("rds:DescribeDBSnapshots")?;
            out.extend(page.db_snapshots.unwrap_or_default());
            marker = page.marker.filter(|m| !m.is_empty());
            if marker.is_none() {
                return Ok(out);
            }
        }
    }

    /// Everything but the version, in one call.
    async fn modify(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let on = |field: &str| diff.touches(field);
        let storage = ["allocated_storage", "storage_type", "iops", "storage_throughput"].into_iter().any(on);
        let size = self.allocated_storage.max(live.spec.allocated_storage);
        if self.allocated_storage < live.spec.allocated_storage && on("allocated_storage") {
            return Err(Error::Invalid(format!(
                "database `{}` has {} GiB of storage, and RDS cannot make that {}",
                self.identifier, live.spec.allocated_storage, self.allocated_storage
            )));
        }
        let keeper = on("manage_master_user_password");
        let managed = self.manage_master_user_password == Some(true);
        let new = keeper || on("master_password_secret_arn") || on("master_password_version");
        let password = match new && !managed {
            true => self.password(cx).await?,
            false => None,
        };
        let wanted_logs = self.logs()?.unwrap_or_default();
        let live_logs = live.spec.logs()?.unwrap_or_default();
        let call = cx
            .client
            .rds
            .modify_db_instance()
            .db_instance_identifier(&self.identifier)
            .apply_immediately(true)
            .set_db_instance_class(on("instance_class").then(|| self.instance_class.clone()))
            .set_allocated_storage(storage.then_some(size))
            .set_storage_type(self.storage_type.clone().filter(|_| storage))
            .set_iops(self.iops.filter(|_| storage))
            .set_storage_throughput(self.storage_throughput.filter(|_| storage))
            // A limit at the present size is how RDS spells "no".
            .set_max_allocated_storage(
                on("max_allocated_storage").then(|| self.max_allocated_storage.unwrap_or(size)),
            )
            .set_master_user_password(password.as_ref().map(Secret::expose).transpose()?.map(str::to_owned))
            .set_manage_master_user_password(keeper.then_some(managed))
            .set_master_user_secret_kms_key_id(
                known(&self.master_user_secret_kms_key_id)?
                    .filter(|_| managed && (keeper || on("master_user_secret_kms_key_id")))
                    .map(String::from),
            )
            .set_db_subnet_group_name(
                known(&self.db_subnet_group_name)?.filter(|_| on("db_subnet_group_name")),
            )
            .set_vpc_security_group_ids(self.security_groups()?.filter(|_| on("vpc_security_group_ids")))
            .set_db_parameter_group_name(
                known(&self.db_parameter_group_name)?.filter(|_| on("db_parameter_group_name")),
            )
            .set_multi_az(on("multi_az").then(|| self.multi_az.unwrap_or(false)))
            .set_publicly_accessible(
                on("publicly_accessible").then(|| self.publicly_accessible.unwrap_or(false)),
            )
            .set_backup_retention_period(
                on("backup_retention_period").then(|| self.backup_retention_period.unwrap_or(1)),
            )
            .set_preferred_backup_window(
                self.preferred_backup_window.clone().filter(|_| on("preferred_backup_window")),
            )
            .set_preferred_maintenance_window(
                self.preferred_maintenance_window.clone().filter(|_| on("preferred_maintenance_window")),
            )
            .set_deletion_protection(
                on("deletion_protection").then(|| self.deletion_protection.unwrap_or(false)),
            )
            .set_auto_minor_version_upgrade(
                on("auto_minor_version_upgrade").then(|| self.auto_minor_version_upgrade.unwrap_or(true)),
            )
            .set_enable_performance_insights(
                on("performance_insights_enabled")
                    .then(|| self.performance_insights_enabled.unwrap_or(false)),
            )
            .set_performance_insights_retention_period(
                on("performance_insights_retention_period")
                    .then(|| self.performance_insights_retention_period.unwrap_or(7)),
            )
            .set_cloudwatch_logs_export_configuration(
                on("enabled_cloudwatch_logs_exports").then(|| exports(&wanted_logs, &live_logs)),
            )
            .set_copy_tags_to_snapshot(
                on("copy_tags_to_snapshot").then(|| self.copy_tags_to_snapshot.unwrap_or(false)),
            );
        call.send().await.call("rds:ModifyDBInstance").map(drop)
    }

    /// What RDS shows, in our words. Fields that are not wanted and that nothing can take back stay unset.
    fn live(&self, found: &DbInstance) -> Live<Self> {
        let tags = from_tags(found.tag_list());
        let engine = found.engine().unwrap_or_default();
        let version = found.engine_version().unwrap_or_default();
        let size = found.allocated_storage().unwrap_or_default();
        let limit = found.max_allocated_storage().filter(|max| *max > size);
        let grown = size > self.allocated_storage && size <= self.max_allocated_storage.unwrap_or(0);
        let endpoint = found.endpoint();
        let kept = found.master_user_secret();
        // RDS writes weekdays in lower case.
        let window = |wanted: &Option<String>, actual: Option<&str>| {
            wanted
                .as_ref()
                .zip(actual)
                .map(|(w, a)| if w.eq_ignore_ascii_case(a) { w.clone() } else { a.into() })
        };
        Live {
            status: status(found),
            owner: tags.owner(),
            outputs: InstanceOutputs {
                identifier: found.db_instance_identifier().unwrap_or_default().to_owned(),
                arn: found.db_instance_arn().unwrap_or_default().into(),
                address: endpoint.and_then(|e| e.address()).unwrap_or_default().to_owned(),
                port: endpoint.and_then(|e| e.port()).or(found.db_instance_port()).unwrap_or_default(),
                resource_id: found.dbi_resource_id().unwrap_or_default().to_owned(),
                engine_version: version.to_owned(),
                master_user_secret_arn: kept.and_then(|secret| secret.secret_arn()).map(Arn::from),
            },
            spec: Instance {
                identifier: self.identifier.clone(),
                engine: engine.to_owned(),
                engine_version: self.engine_version.as_ref().map(|wanted| shown(engine, wanted, version)),
                instance_class: found.db_instance_class().unwrap_or_default().to_owned(),
                allocated_storage: if grown { self.allocated_storage } else { size },
                max_allocated_storage: match self.max_allocated_storage {
                    // Grown to its limit: the limit is still what was asked for.
                    Some(wanted) if found.max_allocated_storage() == Some(wanted) => Some(wanted),
                    _ => limit,
                },
                storage_type: self.storage_type.as_ref().and(found.storage_type().map(str::to_owned)),
                iops: self.iops.and(found.iops()),
                storage_throughput: self.storage_throughput.and(found.storage_throughput()),
                storage_encrypted: found.storage_encrypted(),
                kms_key_id: found.kms_key_id().filter(|k| !k.is_empty()).map(|k| Value::Known(k.into())),
                db_name: found.db_name().map(str::to_owned),
                master_username: found.master_username().unwrap_or_default().to_owned(),
                master_password_secret_arn: None,
                master_password_version: None,
                manage_master_user_password: given(
                    self.manage_master_user_password.as_ref(),
                    Some(kept.is_some()),
                    false,
                ),
                master_user_secret_kms_key_id: self
                    .master_user_secret_kms_key_id
                    .as_ref()
                    .and_then(|key| key_as_wanted(Some(key), kept.and_then(|secret| secret.kms_key_id()))),
                db_subnet_group_name: found
                    .db_subnet_group()
                    .and_then(|g| g.db_subnet_group_name())
                    .map(Value::from),
                vpc_security_group_ids: self.vpc_security_group_ids.as_ref().map(|_| {
                    let groups = found.vpc_security_groups().iter();
                    groups
                        .filter(|g| g.status() != Some("removing"))
                        .filter_map(|g| g.vpc_security_group_id())
                        .map(SecurityGroupId::from)
                        .collect()
                }),
                db_parameter_group_name: self.db_parameter_group_name.as_ref().and_then(|_| {
                    found.db_parameter_groups().first()?.db_parameter_group_name().map(Value::from)
                }),
                parameters_applied: self.parameters_applied.map(|_| {
                    let waits = |s: Option<&str>| s == Some("pending-reboot");
                    !found.db_parameter_groups().iter().any(|g| waits(g.parameter_apply_status()))
                }),
                multi_az: found.multi_az(),
                publicly_accessible: found.publicly_accessible(),
                backup_retention_period: found.backup_retention_period(),
                preferred_backup_window: window(
                    &self.preferred_backup_window,
                    found.preferred_backup_window(),
                ),
                preferred_maintenance_window: window(
                    &self.preferred_maintenance_window,
                    found.preferred_maintenance_window(),
                ),
                deletion_protection: found.deletion_protection(),
                auto_minor_version_upgrade: found.auto_minor_version_upgrade(),
                performance_insights_enabled: found.performance_insights_enabled(),
                performance_insights_retention_period: found.performance_insights_retention_period(),
                enabled_cloudwatch_logs_exports: Some(
                    found.enabled_cloudwatch_logs_exports().iter().cloned().collect(),
                ),
                copy_tags_to_snapshot: found.copy_tags_to_snapshot(),
                skip_final_snapshot: None,
                tags,
            },
        }
    }
}

/// A secret is the password itself, or JSON as RDS writes its own: `{"username": .., "password": ..}`.
fn password_in(secret: &str) -> String {
    serde_json::from_str::<serde_json::Value>(secret)
        .ok()
        .and_then(|json| json.get("password")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| secret.to_owned())
}

fn exports(wanted: &[String], live: &[String]) -> CloudwatchLogsExportConfiguration {
    let without = |all: &[String], some: &[String]| {
        let left: Vec<String> = all.iter().filter(|l| !some.contains(l)).cloned().collect();
        (!left.is_empty()).then_some(left)
    };
    CloudwatchLogsExportConfiguration::builder()
        .set_enable_log_types(without(wanted, live))
        .set_disable_log_types(without(live, wanted))
        .build()
}

/// <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html>
fn status(found: &DbInstance) -> Status {
    let pending = found.pending_modified_values().map(waiting).unwrap_or_default();
    match found.db_instance_status().unwrap_or_default() {
        "available" | "storage-optimization" if pending.is_empty() => Status::Ready,
        "available" | "storage-optimization" => {
            Status::Pending(format!("a change of {} is waiting", pending.join(", ")))
        }
        broken @ ("failed"
        | "restore-error"
        | "storage-full"
        | "insufficient-capacity"
        | "incompatible-credentials"
        | "incompatible-create"
        | "incompatible-network"
        | "incompatible-option-group"
        | "incompatible-parameters"
        | "incompatible-restore"
        | "inaccessible-encryption-credentials"
        | "inaccessible-encryption-credentials-recoverable"
        | "stopped") => Status::Failed(format!("RDS says `{broken}`")),
        other => Status::Pending(other.to_owned()),
    }
}

/// The modifications that were accepted and are not in force.
fn waiting(pending: &PendingModifiedValues) -> Vec<&'static str> {
    [
        ("instance_class", pending.db_instance_class.is_some()),
        ("allocated_storage", pending.allocated_storage.is_some()),
        ("master password", pending.master_user_password.is_some()),
        ("port", pending.port.is_some()),
        ("backup_retention_period", pending.backup_retention_period.is_some()),
        ("multi_az", pending.multi_az.is_some()),
        ("engine_version", pending.engine_version.is_some()),
        ("iops", pending.iops.is_some()),
        ("storage_throughput", pending.storage_throughput.is_some()),
        ("storage_type", pending.storage_type.is_some()),
        ("certificate authority", pending.ca_certificate_identifier.is_some()),
        ("db_subnet_group_name", pending.db_subnet_group_name.is_some()),
        ("enabled_cloudwatch_logs_exports", pending.pending_cloudwatch_logs_exports.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is)| is.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Instance {
        serde_json::from_value(serde_json::json!({
            "identifier": "coder", "engine": "postgres", "engine_version": "16",
            "instance_class": "db.m7g.large", "allocated_storage": 20, "max_allocated_storage": 100,
            "master_username": "coder", "preferred_maintenance_window": "Sun:09:30-Sun:10:30"
        }))
        .unwrap()
    }
    fn found() -> aws_sdk_rds::types::builders::DbInstanceBuilder {
        DbInstance::builder()
            .db_instance_identifier("coder")
            .engine("postgres")
            .engine_version("16.4")
            .db_instance_class("db.m7g.large")
            .allocated_storage(20)
            .max_allocated_storage(100)
            .iops(3000)
            .db_instance_status("available")
            .preferred_maintenance_window("sun:09:30-sun:10:30")
    }

    #[test]
    fn live_speaks_the_words_of_the_spec() {
        let live = wanted().live(&found().allocated_storage(45).build());
        assert_eq!(live.status, Status::Ready);
        assert_eq!(live.outputs.engine_version, "16.4");
        assert_eq!(live.spec.engine_version.as_deref(), Some("16"));
        assert_eq!(live.spec.allocated_storage, 20, "grown by itself, within its limit");
        assert_eq!(live.spec.iops, None, "not asked for");
        assert_eq!(live.spec.preferred_maintenance_window.as_deref(), Some("Sun:09:30-Sun:10:30"));
        let live = wanted().live(&found().allocated_storage(101).build());
        assert_eq!(live.spec.allocated_storage, 101);
    }

    #[test]
    fn a_waiting_modification_is_not_ready() {
        let pending = PendingModifiedValues::builder().db_instance_class("db.m7g.xlarge").build();
        let status = wanted().live(&found().pending_modified_values(pending).build()).status;
        assert_eq!(status, Status::Pending("a change of instance_class is waiting".into()));
        let none = PendingModifiedValues::builder().build();
        assert_eq!(wanted().live(&found().pending_modified_values(none).build()).status, Status::Ready);
    }

    #[test]
    fn a_state_that_never_passes_ends_the_wait() {
        for (state, ends) in [("creating", false), ("deleting", false), ("incompatible-network", true)] {
            let status = wanted().live(&found().db_instance_status(state).build()).status;
            assert_eq!(matches!(status, Status::Failed(_)), ends, "{state}");
        }
    }

    #[test]
    fn a_password_is_text_or_json() {
        assert_eq!(password_in("plain"), "plain");
        assert_eq!(password_in(r#"{"username":"u","password":"p"}"#), "p");
        assert_eq!(password_in("12345678"), "12345678");
    }

    #[test]
    fn a_password_that_rds_keeps_is_seen() {
        let secret = aws_sdk_rds::types::MasterUserSecret::builder()
            .secret_arn("arn:aws:secretsmanager:us-east-2:1:secret:rds!db-1")
            .kms_key_id("arn:aws:kms:us-east-2:1:key/abc")
            .build();
        let kept = found().master_user_secret(secret).build();
        let live = wanted().live(&kept);
        assert_eq!(live.spec.manage_master_user_password, Some(true), "and nobody asked for it");
        assert_eq!(live.spec.master_user_secret_kms_key_id, None, "RDS chose it");
        assert!(live.outputs.master_user_secret_arn.unwrap().as_str().ends_with("rds!db-1"));
        let wanted = Instance { manage_master_user_password: Some(true), ..wanted() };
        assert_eq!(wanted.live(&found().build()).spec.manage_master_user_password, Some(false));
    }

    #[test]
    fn log_exports_change_by_difference() {
        let both = ["a".to_owned(), "b".to_owned()];
        let change = exports(&both[..1], &both[1..]);
        assert_eq!(change.enable_log_types(), ["a"]);
        assert_eq!(change.disable_log_types(), ["b"]);
        assert_eq!(exports(&both, &both[..1]).disable_log_types, None);
    }
}
