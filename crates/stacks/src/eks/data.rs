//! What outlives every deployment: the databases of Coder and LiteLLM, and the cache of LiteLLM.

use super::{
    config::{self, Cache, Eks},
    network::Networks,
    security::{Security, for_nodes},
};
use causeway_aws::{
    elasticache::{self, ReplicationGroup},
    id::SecurityGroupId,
    rds::{Instance, ParameterGroup, SubnetGroup},
    secretsmanager::{Secret, SecretValue},
};
use causeway_core::{Handle, Name, Set, Stack, Tags, Value, text};
use causeway_k8s::Stored;
use causeway_postgres::Server;
use std::collections::BTreeMap;

/// <https://www.postgresql.org/docs/current/runtime-config-connection.html>
const POSTGRES: u16 = 5432;
const REDIS: u16 = 6379;

/// What programs are told of it.
pub(super) struct Data {
    /// How Coder reaches its database.
    pub coder_url: Stored,
    /// What LiteLLM is told, where there is one.
    pub models: Option<Models>,
}

/// What LiteLLM is told.
pub(super) struct Models {
    pub url: Stored,
    pub cache_host: Value<String>,
    pub cache_password: Stored,
    pub master_key: Stored,
    pub salt_key: Stored,
}

pub(super) fn data(stack: &mut Stack, config: &Eks, networks: &Networks, security: &Security) -> Data {
    let around = Around { networks, security };
    let (coder_url, litellm_url) = stack.scope("database", |stack| {
        let group = for_nodes(
            stack,
            "database",
            "PostgreSQL of the control plane",
            &networks.vpc_id,
            POSTGRES,
            &security.nodes,
        );
        let subnets = SubnetGroup {
            name: format!("{}-database", stack.name()).into(),
            description: "Where the databases may stand".into(),
            subnet_ids: networks.private.clone(),
            tags: Tags::default(),
        };
        let subnets = stack.add("subnets", subnets).name.clone();
        let prefix = stack.name().to_owned();
        let coder = stack.scope("coder", |stack| {
            postgres(
                stack,
                &around,
                &Postgres {
                    name: "coder",
                    identifier: prefix.clone(),
                    wanted: &config.database,
                    group: &group,
                    subnets: &subnets,
                },
            )
        });
        let litellm = config.litellm.as_ref();
        let litellm = litellm.map(|litellm| {
            stack.scope("litellm", |stack| match &litellm.database {
                Some(own) => {
                    let identifier = format!("{prefix}-litellm");
                    let wanted = Postgres {
                        name: "litellm",
                        identifier,
                        wanted: own,
                        group: &group,
                        subnets: &subnets,
                    };
                    postgres(stack, &around, &wanted).url
                }
                None => beside(stack, &around, &coder, "litellm"),
            })
        });
        (coder.url, litellm)
    });
    let cached = config.litellm.as_ref();
    let cached = cached.map(|litellm| stack.scope("cache", |stack| cache(stack, &around, &litellm.cache)));
    let told = litellm_url.zip(cached).filter(|_| config.coder.is_some());
    let models = told.map(|(url, (cache_host, cache_password))| {
        let mut key = |name: &str, what: &str, value| {
            let secret = Secret {
                description: Some(what.to_owned()),
                kms_key_id: Some(security.key.clone()),
                ..Secret::new(format!("{}/litellm/{name}", stack.name()), value)
            };
            stored(&stack.scope("litellm-keys", |stack| stack.add(name, secret)))
        };
        // LiteLLM takes no other for its master's.
        let master = SecretValue::starting_with("sk-");
        Models {
            url,
            cache_host,
            cache_password,
            master_key: key("master-key", "Who has it may do everything in LiteLLM", master),
            salt_key: key(
                "salt-key",
                "Encrypts what LiteLLM keeps in its database",
                SecretValue::generated(),
            ),
        }
    });
    Data { coder_url, models }
}

/// Where a secret is, for who puts it into a cluster.
fn stored(secret: &Handle<Secret>) -> Stored {
    Stored { name: secret.arn.cast(), key: None, version: Some(secret.version_id.cast()) }
}

struct Around<'a> {
    networks: &'a Networks,
    security: &'a Security,
}

struct Postgres<'a> {
    /// The database inside it, and the user that owns it.
    name: &'static str,
    identifier: String,
    wanted: &'a config::Database,
    group: &'a Value<SecurityGroupId>,
    subnets: &'a Value<String>,
}

/// An instance that is there, and the password of its first user.
struct Made {
    instance: Handle<Instance>,
    user: &'static str,
    password: Handle<Secret>,
    /// Where the URL is.
    url: Stored,
}

/// An instance, its password, and the secret with the URL that leads to it.
fn postgres(stack: &mut Stack, around: &Around<'_>, postgres: &Postgres<'_>) -> Made {
    let Postgres { name, wanted, .. } = *postgres;
    let major = wanted.version.split('.').next().unwrap_or_default();
    let parameters = stack.add(
        "parameters",
        ParameterGroup {
            // A major upgrade needs another family, and with it another group beside the old one.
            name: Name::generated(format!("{}-postgres{major}", postgres.identifier)),
            family: format!("postgres{major}"),
            description: "PostgreSQL that is spoken to over TLS only".into(),
            parameters: BTreeMap::from([("rds.force_ssl".into(), "1".into())]),
            tags: Tags::default(),
        },
    );
    let password = password(stack, around, name);
    let instance = stack.add(
        "instance",
        Instance {
            identifier: postgres.identifier.clone(),
            engine: "postgres".into(),
            engine_version: Some(wanted.version.clone()),
            instance_class: wanted.instance_class.clone(),
            allocated_storage: i32::try_from(wanted.storage).unwrap_or(i32::MAX),
            max_allocated_storage: i32::try_from(wanted.max_storage).ok(),
            storage_type: Some("gp3".into()),
            iops: None,
            storage_throughput: None,
            storage_encrypted: Some(true),
            // The key of RDS itself: ours goes when the stack goes, and the final snapshot has to outlive it.
            kms_key_id: None,
            db_name: Some(name.into()),
            master_username: name.into(),
            master_password_secret_arn: Some(password.arn.clone()),
            master_password_version: Some(password.version_id.cast()),
            manage_master_user_password: None,
            master_user_secret_kms_key_id: None,
            db_subnet_group_name: Some(postgres.subnets.clone()),
            vpc_security_group_ids: Some(Set(vec![postgres.group.clone()])),
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
    let url = url(stack, around, name, &instance, &password);
    Made { instance, user: name, password, url }
}

/// A second user and its database on an instance that is there, made over a connection to it, and the secret with the URL
/// that leads to them.
fn beside(stack: &mut Stack, around: &Around<'_>, on: &Made, name: &str) -> Stored {
    let password = password(stack, around, name);
    let server = Server {
        address: on.instance.address.clone(),
        port: on.instance.port.clone(),
        user: on.user.to_owned(),
        password: on.password.arn.cast(),
        database: "postgres".into(),
    };
    stack.at(&server, |stack| {
        let role = causeway_postgres::Role {
            name: name.to_owned(),
            password: Some(password.arn.cast()),
            password_version: Some(password.version_id.cast()),
            connection_limit: None,
            tags: Tags::default(),
        };
        let role = stack.add("role", role);
        let database = causeway_postgres::Database {
            name: name.to_owned(),
            owner: role.name.clone(),
            public_connect: Some(false),
            tags: Tags::default(),
        };
        stack.add("database", database);
    });
    url(stack, around, name, &on.instance, &password)
}

fn password(stack: &mut Stack, around: &Around<'_>, name: &str) -> Handle<Secret> {
    let named = format!("{}/{name}/database-password", stack.name());
    let secret = Secret {
        description: Some(format!("Password of the user {name} in PostgreSQL")),
        kms_key_id: Some(around.security.key.clone()),
        ..Secret::new(named, SecretValue::generated())
    };
    stack.add("password", secret)
}

/// How `name` reaches the database that is called as it is.
fn url(
    stack: &mut Stack,
    around: &Around<'_>,
    name: &str,
    instance: &Handle<Instance>,
    password: &Handle<Secret>,
) -> Stored {
    let url = text!(
        "postgres://",
        name,
        ":{password}@",
        instance.address,
        ":",
        instance.port,
        "/",
        name,
        "?sslmode=require"
    );
    let url = Secret {
        description: Some(format!("How {name} reaches its database")),
        kms_key_id: Some(around.security.key.clone()),
        ..Secret::new(
            format!("{}/{name}/database-url", stack.name()),
            SecretValue::Template {
                text: url,
                secrets: BTreeMap::from([("password".into(), password.arn.clone())]),
                versions: Set(vec![password.version_id.cast()]),
            },
        )
    };
    let url = stack.add("url", url);
    stack.output(format!("{name}_database_url_secret"), &url.arn);
    stored(&url)
}

/// What LiteLLM is told of its cache, beside the password: as variables of its environment. A client of a cluster starts
/// from its nodes and asks them for the rest; one that was given a host would be sent away by every other shard.
/// <https://docs.litellm.ai/docs/proxy/caching>
fn client(cache: &Handle<ReplicationGroup>, cluster: bool) -> BTreeMap<&'static str, Value<String>> {
    let mut out = BTreeMap::from([("REDIS_SSL", "True".into())]);
    if cluster {
        let nodes = text!("[{\"host\":\"", cache.address, "\",\"port\":", cache.port, "}]");
        out.insert("REDIS_CLUSTER_NODES", nodes);
    } else {
        out.insert("REDIS_HOST", cache.address.clone());
        out.insert("REDIS_PORT", text!(cache.port));
    }
    out
}

/// Adds the cache; answers with its host and where its password is.
fn cache(stack: &mut Stack, around: &Around<'_>, wanted: &Cache) -> (Value<String>, Stored) {
    let Around { networks, security } = around;
    let prefix = stack.name().to_owned();
    let group = for_nodes(stack, "cache", "The cache of LiteLLM", &networks.vpc_id, REDIS, &security.nodes);
    let subnets = elasticache::SubnetGroup {
        name: format!("{prefix}-cache").into(),
        description: "Where the cache of LiteLLM may stand".into(),
        subnet_ids: networks.private.clone(),
        tags: Tags::default(),
    };
    let subnets = stack.add("subnets", subnets);
    let password = stack.add(
        "password",
        Secret {
            description: Some("Password of the cache of LiteLLM".into()),
            kms_key_id: Some(security.key.clone()),
            ..Secret::new(format!("{prefix}/litellm/cache-password"), SecretValue::generated())
        },
    );
    let cluster = wanted.cluster_mode;
    let cache = ReplicationGroup {
        id: format!("{prefix}-litellm"),
        description: "The cache of LiteLLM".into(),
        engine: "valkey".into(),
        engine_version: wanted.version.clone(),
        cache_node_type: wanted.node_type.clone(),
        port: Some(i32::from(REDIS)),
        cluster_enabled: cluster,
        num_node_groups: if cluster { i32::from(wanted.shards) } else { 1 },
        replicas_per_node_group: i32::from(wanted.replicas),
        automatic_failover_enabled: Some(true),
        multi_az_enabled: Some(true),
        cache_subnet_group_name: Some(subnets.name.clone()),
        security_group_ids: Some(Set(vec![group])),
        cache_parameter_group_name: None,
        at_rest_encryption_enabled: Some(true),
        kms_key_id: None,
        transit_encryption_enabled: Some(true),
        auth_token_secret_arn: Some(password.arn.clone()),
        auth_token_version: Some(password.version_id.cast()),
        snapshot_retention_limit: (wanted.snapshot_days > 0).then(|| i32::from(wanted.snapshot_days)),
        snapshot_window: None,
        preferred_maintenance_window: None,
        auto_minor_version_upgrade: Some(true),
        log_delivery: BTreeMap::new(),
        // What it holds can be had again from where it came.
        skip_final_snapshot: Some(true),
        tags: Tags::default(),
    };
    let cache = stack.add("nodes", cache);
    stack.output("cache_address", &cache.address);
    stack.output("litellm_cache", client(&cache, cluster));
    (cache.address.clone(), stored(&password))
}
