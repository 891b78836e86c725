//! PostgreSQL, which outlives every deployment of Coder.

use super::{Ecs, network::Networks, security::Security};
use causeway_aws::{
    id::Arn,
    rds::{Instance, ParameterGroup, SubnetGroup},
    secretsmanager::{Secret, SecretValue},
};
use causeway_core::{Name, Set, Stack, Tags, Value, text};
use std::collections::BTreeMap;

/// What the rest of the stack needs of the database.
pub(super) struct Database {
    /// The secret that holds the connection URL.
    pub url_secret: Value<Arn>,
    pub identifier: Value<String>,
}

pub(super) fn database(stack: &mut Stack, config: &Ecs, network: &Networks, security: &Security) -> Database {
    let wanted = &config.database;
    stack.scope("database", |stack| {
        let prefix = stack.name().to_owned();
        let subnets = stack.add(
            "subnets",
            SubnetGroup {
                name: format!("{prefix}-database").into(),
                description: "Where the database of Coder may stand".into(),
                subnet_ids: network.private.clone(),
                tags: Tags::default(),
            },
        );
        let major = wanted.version.split('.').next().unwrap_or_default();
        let parameters = stack.add(
            "parameters",
            ParameterGroup {
                // A major upgrade needs another family, and with it another group beside the old one.
                name: Name::generated(format!("{prefix}-postgres{major}")),
                family: format!("postgres{major}"),
                description: "PostgreSQL for Coder".into(),
                parameters: BTreeMap::from([("rds.force_ssl".into(), "1".into())]),
                tags: Tags::default(),
            },
        );
        let password = stack.add(
            "password",
            Secret {
                description: Some("Password of the database user of Coder".into()),
                kms_key_id: Some(security.key.clone()),
                ..Secret::new(format!("{prefix}/database-password"), SecretValue::generated())
            },
        );
        let instance = stack.add(
            "instance",
            Instance {
                identifier: prefix.clone(),
                engine: "postgres".into(),
                engine_version: Some(wanted.version.clone()),
                instance_class: wanted.instance_class.clone(),
                allocated_storage: i32::try_from(wanted.storage).unwrap_or(i32::MAX),
                max_allocated_storage: i32::try_from(wanted.max_storage).ok(),
                storage_type: Some("gp3".into()),
                iops: None,
                storage_throughput: None,
                storage_encrypted: Some(wanted.encrypted),
                // The key of RDS itself: ours goes when the stack goes, and the final snapshot has to outlive it.
                kms_key_id: None,
                db_name: Some(wanted.name.clone()),
                master_username: wanted.user.clone(),
                master_password_secret_arn: Some(password.arn.clone()),
                master_password_version: Some(password.version_id.cast()),
                manage_master_user_password: None,
                master_user_secret_kms_key_id: None,
                db_subnet_group_name: Some(subnets.name.clone()),
                vpc_security_group_ids: Some(Set(vec![security.database.clone()])),
                db_parameter_group_name: Some(parameters.name.clone()),
                parameters_applied: None,
                multi_az: Some(wanted.multi_az),
                publicly_accessible: Some(false),
                backup_retention_period: Some(i32::from(wanted.backup_days)),
                preferred_backup_window: None,
                preferred_maintenance_window: None,
                deletion_protection: Some(wanted.deletion_protection),
                auto_minor_version_upgrade: Some(true),
                performance_insights_enabled: None,
                performance_insights_retention_period: None,
                enabled_cloudwatch_logs_exports: None,
                copy_tags_to_snapshot: Some(true),
                skip_final_snapshot: None,
                tags: Tags::default(),
            },
        );
        for (field, setting) in [
            ("storage_encrypted", "ecs.database.encrypted"),
            ("db_name", "ecs.database.name"),
            ("master_username", "ecs.database.user"),
        ] {
            stack.setting(instance.address(), field, setting);
        }
        let url = text!(
            "postgres://",
            wanted.user.as_str(),
            ":{password}@",
            instance.address,
            ":",
            instance.port,
            "/",
            wanted.name.as_str(),
            "?sslmode=require"
        );
        let url = stack.add(
            "url",
            Secret {
                description: Some("How Coder reaches its database".into()),
                kms_key_id: Some(security.key.clone()),
                ..Secret::new(
                    format!("{prefix}/database-url"),
                    SecretValue::Template {
                        text: url,
                        secrets: BTreeMap::from([("password".into(), password.arn.clone())]),
                        versions: Set(vec![password.version_id.cast()]),
                    },
                )
            },
        );
        stack.output("database_address", &instance.address);
        stack.output("database_version", &instance.engine_version);
        Database { url_secret: url.arn.clone(), identifier: instance.identifier.clone() }
    })
}
