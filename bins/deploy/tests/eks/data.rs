//! Rows 52 to 62: databases, cache and registry.

use crate::{
    DESTROYED, EXAMPLE, OHIO, PASSWORD, VARIANT, find, list, mistakes, ohio, one, refused, region, rules,
    set, text, texts,
};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

fn database(identifier: &str) -> &'static Json {
    find(&region(OHIO)["databases"], "DBInstanceIdentifier", identifier)
}

fn zones(subnets: &Json) -> BTreeSet<&str> {
    let all = list(subnets).iter();
    all.map(|subnet| {
        let subnet = find(&region(OHIO)["subnets"], "SubnetId", text(&subnet["SubnetIdentifier"]));
        assert!(text(&subnet["Tags"]["Name"]).starts_with("ai-coder-private-"));
        text(&subnet["AvailabilityZone"])
    })
    .collect()
}

#[test]
fn row_052_database_subnets() {
    let group = one(&region(OHIO)["database_subnets"]);
    assert_eq!(group["DBSubnetGroupName"], "ai-coder-database");
    assert_eq!(zones(&group["Subnets"]).len(), 3);
    for identifier in ["ai-coder", "ai-coder-litellm"] {
        assert_eq!(database(identifier)["DBSubnetGroup"]["DBSubnetGroupName"], "ai-coder-database");
    }
}

/// What every instance is kept with.
fn is_kept(database: &Json) {
    for yes in ["StorageEncrypted", "DeletionProtection", "CopyTagsToSnapshot"] {
        assert_eq!(database[yes], true, "{yes}");
    }
    assert_eq!(database["PubliclyAccessible"], false);
    assert!(database["BackupRetentionPeriod"].as_i64().unwrap() >= 7);
}

/// PostgreSQL 16 where it was 15: every version can be chosen. A final snapshot has a name of ours when it is destroyed.
#[test]
fn row_053_coder_database() {
    let coder = database("ai-coder");
    is_kept(coder);
    assert_eq!((&coder["Engine"], &coder["DBName"]), (&json!("postgres"), &json!("coder")));
    assert!(text(&coder["EngineVersion"]).starts_with("16"));
    assert_eq!((&coder["DBInstanceClass"], &coder["MultiAZ"]), (&json!("db.m5.large"), &json!(true)));
    assert_eq!((&coder["AllocatedStorage"], &coder["BackupRetentionPeriod"]), (&json!(40), &json!(7)));
    let other = find(&ohio(&VARIANT.before)["databases"], "DBInstanceIdentifier", "options");
    let chosen = [&other["AllocatedStorage"], &other["MultiAZ"], &other["BackupRetentionPeriod"]];
    assert_eq!(chosen, [&json!(60), &json!(false), &json!(14)]);
    let told = mistakes("[eks.litellm.database]\nbackup_days = 6");
    assert!(told.contains("6 days of backups cannot be kept"), "{told}");
    let told = refused("[eks.litellm.database]\nbackup_days = 0");
    assert!(told.contains("no backups would be made") && told.contains("[backups-off]"), "{told}");
    // What was destroyed is kept, encrypted as it was.
    let kept = list(&ohio(&DESTROYED.left)["snapshots"]).iter();
    let last = kept.clone().find(|s| text(&s["DBSnapshotIdentifier"]).starts_with("coder-final-")).unwrap();
    assert_eq!((&last["DBInstanceIdentifier"], &last["Encrypted"]), (&json!("coder"), &json!(true)));
    assert!(list(&ohio(&DESTROYED.left)["databases"]).is_empty());
    // The one of the example: the version of before can still be had.
    let text = crate::AI_CODER.replace("version = \"16\"", "version = \"15.12\"");
    assert_eq!(
        causeway_config::Config::parse("causeway.toml", &text).unwrap().eks.unwrap().database.version,
        "15.12"
    );
}

/// An instance of its own, or a user and a database on that of Coder: the URL leads into it, also after the password has
/// changed, and not to what is Coder's.
#[test]
fn row_054_litellm_database() {
    let litellm = database("ai-coder-litellm");
    is_kept(litellm);
    assert_eq!((&litellm["DBName"], &litellm["AllocatedStorage"]), (&json!("litellm"), &json!(50)));
    assert_eq!(
        (&litellm["MasterUsername"], &litellm["DBInstanceClass"]),
        (&json!("litellm"), &json!("db.m5.large"))
    );
    assert_eq!(litellm["VpcSecurityGroups"], database("ai-coder")["VpcSecurityGroups"]);
    let shared = one(&ohio(&VARIANT.before)["databases"]);
    let url = &ohio(&VARIANT.before)["urls"]["options/litellm/database-url"];
    assert_eq!((&url["host"], &url["port"]), (&shared["Endpoint"]["Address"], &shared["Endpoint"]["Port"]));
    let [before, after] = &VARIANT.litellm;
    for told in [before, after] {
        assert_eq!(told.first, "litellm|litellm|f|f");
        assert!(told.stranger.contains("permission denied for table users"), "{}", told.stranger);
    }
    // What was written with the first password is there with the second.
    assert_eq!((before.kept.as_str(), after.kept.as_str()), ("1", "2"));
    assert_eq!(ohio(&VARIANT.after)["urls"]["options/litellm/database-url"]["length"], PASSWORD.len());
    let told = mistakes("[eks.litellm.connection]\ntunnel = \"15432\"");
    assert!(told.contains("is not where a tunnel listens"), "{told}");
}

/// From the nodes alone, where it was the whole network.
#[test]
fn row_055_database_group() {
    assert_eq!(rules(region(OHIO), "ai-coder-database", "IpPermissions"), set(["tcp 5432 ai-coder-node"]));
    assert!(rules(region(OHIO), "ai-coder-database", "IpPermissionsEgress").is_empty());
    let group = find(&region(OHIO)["groups"], "GroupName", "ai-coder-database");
    for identifier in ["ai-coder", "ai-coder-litellm"] {
        assert_eq!(one(&database(identifier)["VpcSecurityGroups"])["VpcSecurityGroupId"], group["GroupId"]);
    }
}

/// The server takes no connection without TLS, and the URL follows another password.
#[test]
fn row_056_database_credentials() {
    for (name, identifier) in [("coder", "ai-coder"), ("litellm", "ai-coder-litellm")] {
        let url = &region(OHIO)["urls"][format!("ai-coder/{name}/database-url")];
        let database = database(identifier);
        assert_eq!((&url["scheme"], &url["user"]), (&json!("postgres"), &json!(name)));
        assert_eq!((&url["path"], &url["query"]), (&json!(format!("/{name}")), &json!("sslmode=require")));
        assert_eq!(
            (&url["host"], &url["port"]),
            (&database["Endpoint"]["Address"], &database["Endpoint"]["Port"])
        );
        assert_eq!((&url["holds_the_password"], &url["encoded"]), (&json!(true), &json!(true)));
        assert!(url["length"].as_u64().unwrap() >= 32);
        let parameters = text(&one(&database["DBParameterGroups"])["DBParameterGroupName"]);
        assert_eq!(region(OHIO)["database_parameters"][parameters]["rds.force_ssl"], "1");
    }
    let key = &region(OHIO)["keys"]["alias/causeway/ai-coder"]["Arn"];
    for secret in list(&region(OHIO)["secrets"]) {
        assert_eq!(secret["KmsKeyId"], *key, "{}", secret["Name"]);
    }
    let url = &ohio(&VARIANT.after)["urls"]["options/coder/database-url"];
    assert_eq!(url["length"], PASSWORD.len());
    assert_eq!((&url["holds_the_password"], &url["encoded"]), (&json!(true), &json!(true)));
    assert!(VARIANT.change.iter().any(|(call, ..)| call == "rds:ModifyDBInstance"));
}

/// One shard, which every client can use; cluster mode is a choice. Encrypted at rest, in two zones, with snapshots,
/// which it was not.
#[test]
fn row_057_cache() {
    let cache = one(&region(OHIO)["caches"]);
    let nodes = list(&region(OHIO)["cache_nodes"]);
    assert!(nodes.len() == 2 && nodes.iter().all(|node| text(&node["EngineVersion"]).starts_with("8.0")));
    for cache in [cache, one(&ohio(&VARIANT.before)["caches"])] {
        assert_eq!(
            (&cache["Engine"], &cache["CacheNodeType"]),
            (&json!("valkey"), &json!("cache.r7g.large"))
        );
        for yes in ["TransitEncryptionEnabled", "AtRestEncryptionEnabled", "AuthTokenEnabled"] {
            assert_eq!(cache[yes], true, "{yes}");
        }
        assert_eq!((&cache["AutomaticFailover"], &cache["MultiAZ"]), (&json!("enabled"), &json!("enabled")));
        assert!(cache["SnapshotRetentionLimit"].as_i64().unwrap() >= 1);
        for shard in list(&cache["NodeGroups"]) {
            assert_eq!(list(&shard["NodeGroupMembers"]).len(), 2);
        }
    }
    let spread = one(&ohio(&VARIANT.before)["caches"]);
    assert_eq!((&spread["ClusterEnabled"], list(&spread["NodeGroups"]).len()), (&json!(true), 2));
}

/// Without cluster mode there is one address for all keys; with it, one that tells clients of the shards.
#[test]
fn row_058_cache_client() {
    let cache = one(&region(OHIO)["caches"]);
    assert_eq!((&cache["ClusterEnabled"], list(&cache["NodeGroups"]).len()), (&json!(false), 1));
    assert_eq!(one(&cache["NodeGroups"])["PrimaryEndpoint"]["Port"], 6379);
    assert!(cache.get("ConfigurationEndpoint").is_none_or(Json::is_null));
    let spread = one(&ohio(&VARIANT.before)["caches"]);
    let nodes = text(&spread["ConfigurationEndpoint"]["Address"]);
    assert!(nodes.starts_with("clustercfg."), "{spread}");
    // What LiteLLM is started with: REDIS_HOST is for one address, REDIS_CLUSTER_NODES for a cluster.
    let primary = &one(&cache["NodeGroups"])["PrimaryEndpoint"]["Address"];
    assert_eq!(
        EXAMPLE.outputs["litellm_cache"],
        json!({ "REDIS_HOST": primary, "REDIS_PORT": "6379", "REDIS_SSL": "True" })
    );
    let told = &VARIANT.outputs["litellm_cache"];
    let start: Json = serde_json::from_str(text(&told["REDIS_CLUSTER_NODES"])).unwrap();
    assert_eq!(start, json!([{ "host": nodes, "port": 6379 }]));
    assert_eq!((told.get("REDIS_HOST"), &told["REDIS_SSL"]), (None, &json!("True")));
}

#[test]
fn row_059_cache_group() {
    assert_eq!(rules(region(OHIO), "ai-coder-cache", "IpPermissions"), set(["tcp 6379 ai-coder-node"]));
    assert!(rules(region(OHIO), "ai-coder-cache", "IpPermissionsEgress").is_empty());
    let group = one(&region(OHIO)["cache_subnets"]);
    assert_eq!(group["CacheSubnetGroupName"], "ai-coder-cache");
    assert_eq!(zones(&group["Subnets"]).len(), 3);
    let own = &find(&region(OHIO)["groups"], "GroupName", "ai-coder-cache")["GroupId"];
    for node in list(&region(OHIO)["cache_nodes"]) {
        assert_eq!(one(&node["SecurityGroups"])["SecurityGroupId"], *own);
    }
}

/// With `rotate-key`, which jobs used and nothing made; a tag always means the same image unless that is turned off;
/// what no tag names is removed; and the other regions have copies.
#[test]
fn row_060_repositories() {
    let names = ["base-ws", "claude-ws", "coder-preview", "fetch-and-store", "goose-ws", "rotate-key"];
    for (listing, mutability) in [(&EXAMPLE.listing, "IMMUTABLE"), (&VARIANT.before, "MUTABLE")] {
        let repositories = &ohio(listing)["repositories"];
        let there: BTreeSet<_> = list(repositories).iter().map(|r| text(&r["repositoryName"])).collect();
        assert_eq!(there, names.into());
        for repository in list(repositories) {
            assert_eq!(repository["imageScanningConfiguration"]["scanOnPush"], true);
            assert_eq!(repository["imageTagMutability"], mutability);
            let rule = one(&repository["lifecycle"]["rules"]);
            let selection =
                json!({ "tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 10 });
            assert_eq!((&rule["selection"], &rule["action"]["type"]), (&selection, &json!("expire")));
        }
    }
    let rule = one(&region(OHIO)["replication"]["rules"]);
    let to: BTreeSet<_> = list(&rule["destinations"]).iter().map(|d| text(&d["region"])).collect();
    assert_eq!(to, ["us-west-2", "eu-west-2"].into());
    let filters: BTreeSet<_> = list(&rule["repositoryFilters"]).iter().map(|f| text(&f["filter"])).collect();
    assert_eq!(filters, names.into());
}

/// Another account may pull, and neither push nor delete. Our own needs no policy for its own repositories.
#[test]
fn row_061_repository_policy() {
    for repository in list(&region(OHIO)["repositories"]) {
        assert!(repository["policy"].is_null());
    }
    for repository in list(&ohio(&VARIANT.before)["repositories"]) {
        let statement = one(&repository["policy"]["Statement"]);
        assert_eq!((&statement["Sid"], &statement["Effect"]), (&json!("Pull"), &json!("Allow")));
        assert!(statement["Principal"]["AWS"].to_string().contains("210987654321"));
        assert_eq!(
            texts(&statement["Action"]),
            [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:DescribeImages",
                "ecr:DescribeRepositories",
                "ecr:GetDownloadUrlForLayer",
                "ecr:ListImages",
            ]
            .into()
        );
    }
    let told = mistakes("[eks.registry]\nreaders = [\"12\"]");
    assert!(told.contains("`12` is not the number of an account"), "{told}");
}

#[test]
fn row_062_registry_login() {
    let registry = &region(OHIO)["registry"];
    assert_eq!(registry["user"], "AWS");
    assert_eq!(registry["answers"], json!({ "token": 200, "nobody": 401 }));
}
