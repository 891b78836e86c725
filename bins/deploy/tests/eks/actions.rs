//! Each kind of the target calls what it declares, and nothing else: that is what `deploy iam-policy` is made from. One
//! region is made, changed and destroyed by an engine whose kinds tell their names with every call; the gateway counts.

use aws_config::{AppName, BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use causeway_aws::{
    Aws, Region,
    iam::{PolicyDocument, Principal, Statement},
    preflight::{actions, calls},
};
use causeway_config::Config;
use causeway_core::{
    Engine, Registry, Stack,
    engine::Run,
    error::chain,
    guard::Rules,
    plan::{Action, PlanOptions},
    render,
    store::MemoryStore,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const ACCOUNT: &str = "000000007111";

const BEFORE: &str = r#"
[stack]
name = "declared"
region = "us-east-2"
tags = { team = "one", old = "yes" }

[eks]
version = "1.34"

[eks.access]
from = ["203.0.113.0/24"]
admins = ["arn:aws:iam::000000007111:role/platform"]

[eks.network]
nat = "NAT"
endpoints = "all"
flow_log_days = 30

[eks.logs]
days = 30

[eks.database]
storage = 60
multi_az = false

[eks.litellm]

[eks.litellm.database]
instance_class = "db.t4g.medium"
multi_az = false

[eks.litellm.cache]
snapshot_days = 1

[eks.registry]
repositories = ["base-ws"]
readers = ["210987654321"]

[eks.regions.us-west-2]
"#;

/// What the file says later: nearly everything that can be changed in place.
const EDITS: [(&str, &str); 13] = [
    ("team = \"one\", old = \"yes\"", "team = \"two\""),
    ("version = \"1.34\"", "version = \"1.35\""),
    ("203.0.113.0/24", "198.51.100.0/24"),
    ("[eks.logs]\ndays = 30", "[eks.logs]\ndays = 60\ntypes = [\"api\"]"),
    ("storage = 60", "storage = 80\nbackup_days = 14"),
    ("flow_log_days = 30", "flow_log_days = 60"),
    ("instance_class = \"db.t4g.medium\"", "instance_class = \"db.t4g.large\""),
    ("snapshot_days = 1", "snapshot_days = 2"),
    ("readers = [\"210987654321\"]", "immutable_tags = false\nkeep_untagged = 5"),
    ("[eks.network]", "[eks.system_nodes]\nmin = 1\n[eks.network]"),
    ("admins = ", "viewers = [\"arn:aws:iam::000000007111:role/support\"]\nadmins = "),
    ("[eks.litellm]\n", "[eks.litellm]\nbedrock_models = [\"anthropic.*\", \"amazon.*\"]\n"),
    ("[eks.registry]", "[eks.addons]\ncoredns = \"v1.12.3-eksbuild.1\"\n[eks.registry]"),
];

/// What a kind calls for changes and in situations that this life does not have. `crates/aws/tests/kinds` has most of them.
const RARE: &[(&str, &[&str])] = &[
    (
        "aws.autoscaling.group",
        &[
            "autoscaling:DescribeInstanceRefreshes",
            "autoscaling:DescribeScalingActivities",
            "autoscaling:DisableMetricsCollection",
            "autoscaling:StartInstanceRefresh",
            "autoscaling:UpdateAutoScalingGroup",
        ],
    ),
    (
        "aws.ec2.default_security_group",
        &[
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupIngress",
        ],
    ),
    ("aws.ec2.launch_template", &["ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"]),
    ("aws.ec2.route", &["ec2:ReplaceRoute"]),
    ("aws.ec2.route_table", &["ec2:ReplaceRouteTableAssociation"]),
    ("aws.ec2.security_group", &["ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"]),
    (
        "aws.ec2.security_group_rule",
        &["ec2:UpdateSecurityGroupRuleDescriptionsEgress", "ec2:UpdateSecurityGroupRuleDescriptionsIngress"],
    ),
    ("aws.ec2.subnet", &["ec2:ModifySubnetAttribute"]),
    ("aws.ec2.vpc_endpoint", &["ec2:ModifyVpcEndpoint"]),
    ("aws.ecr.repository", &["ecr:DeleteLifecyclePolicy", "ecr:PutImageScanningConfiguration"]),
    ("aws.eks.access_entry", &["eks:DisassociateAccessPolicy", "eks:UpdateAccessEntry"]),
    ("aws.eks.addon", &["eks:DescribeUpdate", "eks:UpdateAddon"]),
    ("aws.eks.cluster", &["eks:AssociateEncryptionConfig"]),
    // No controller has made anything in these clusters.
    (
        "aws.eks.leftovers",
        &[
            "ec2:CreateTags",
            "ec2:DeleteLaunchTemplate",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteSecurityGroup",
            "ec2:DeleteTags",
            "ec2:DeleteVolume",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplates",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeTags",
            "ec2:DescribeVolumes",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:TerminateInstances",
            "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:DeleteTargetGroup",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTags",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:ModifyLoadBalancerAttributes",
            "iam:DeleteInstanceProfile",
            "iam:GetInstanceProfile",
            "iam:ListInstanceProfiles",
            "iam:RemoveRoleFromInstanceProfile",
            "logs:DeleteLogGroup",
            "logs:DescribeLogGroups",
            "logs:ListTagsForResource",
        ],
    ),
    ("aws.eks.pod_identity_association", &["eks:UpdatePodIdentityAssociation"]),
    (
        "aws.elasticache.replication_group",
        &[
            "elasticache:DecreaseReplicaCount",
            "elasticache:IncreaseReplicaCount",
            "elasticache:ModifyReplicationGroupShardConfiguration",
        ],
    ),
    ("aws.elasticache.subnet_group", &["elasticache:ModifyCacheSubnetGroup"]),
    (
        "aws.iam.oidc_provider",
        &["iam:AddClientIDToOpenIDConnectProvider", "iam:RemoveClientIDFromOpenIDConnectProvider"],
    ),
    ("aws.iam.policy", &["iam:CreatePolicyVersion", "iam:DeletePolicyVersion"]),
    (
        "aws.iam.role",
        &[
            "iam:DeleteRolePermissionsBoundary",
            "iam:PutRolePermissionsBoundary",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
        ],
    ),
    ("aws.kms.alias", &["kms:UpdateAlias"]),
    ("aws.kms.key", &["kms:DisableKeyRotation", "kms:PutKeyPolicy", "kms:UpdateKeyDescription"]),
    (
        "aws.logs.log_group",
        &["logs:AssociateKmsKey", "logs:DeleteRetentionPolicy", "logs:DisassociateKmsKey"],
    ),
    ("aws.rds.instance", &["rds:ListTagsForResource", "rds:RebootDBInstance"]),
    ("aws.rds.parameter_group", &["rds:ResetDBParameterGroup"]),
    ("aws.rds.subnet_group", &["rds:ModifyDBSubnetGroup"]),
    ("aws.secretsmanager.secret", &["secretsmanager:PutSecretValue"]),
];

/// What looks at many at once calls, and the policy always allows.
const SHARED: [&str; 4] =
    ["iam:GetAccountAuthorizationDetails", "iam:ListRoles", "secretsmanager:ListSecrets", "tag:GetResources"];

async fn config() -> SdkConfig {
    let sandbox = causeway_sandbox::shared().unwrap_or_else(|e| panic!("{}", chain(e)));
    let (key, secret) = sandbox.credentials(ACCOUNT).unwrap();
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(sandbox.endpoint())
        .credentials_provider(Credentials::new(key, secret, None, None, "sandbox"))
        .retry_config(causeway_aws::retries())
        .region(aws_config::Region::new("us-east-2"))
        .load()
        .await
}

/// All kinds, each with clients of its own that tell its name.
async fn registry() -> Registry {
    let config = config().await;
    let mut all = Registry::new();
    causeway_aws::register(&mut all, config.clone());
    let mut registry = Registry::new();
    for kind in all.kinds().map(|kind| kind.kind()) {
        let mut own = Registry::new();
        let name = AppName::new(kind).unwrap();
        causeway_aws::register(&mut own, config.to_builder().app_name(name).build());
        registry.add_kind(Arc::clone(own.get(kind).unwrap()));
    }
    registry
}

fn stack(text: &str) -> Stack {
    let config = Config::parse("causeway.toml", text).unwrap_or_else(|e| panic!("{}", e.render(120, false)));
    let mut stack = Stack::new(&config.stack.name);
    let given = causeway_stacks::config::Given::default();
    causeway_stacks::eks::eks(&mut stack, &config.stack, &config.eks.unwrap(), &given);
    stack
}

/// Applies until there is nothing to do: an upgrade takes several.
async fn settle(engine: &Engine, stack: &Stack) {
    for _ in 0..4 {
        let planned =
            engine.plan(stack, &PlanOptions::default()).await.unwrap_or_else(|e| panic!("{}", chain(&e)));
        if planned.plan.is_empty() {
            return;
        }
        let text = render::plan(&planned.plan, false);
        let permits = planned.plan.steps.iter().map(|step| step.address.clone()).collect();
        // It begins with an older Kubernetes, to see it upgraded.
        let allow = ["out-of-support".to_owned()].into();
        let rules = Rules { permits, max_removals: None, allow, ..Rules::default() };
        let report = engine.apply(planned, &Run { rules, ..Run::default() }).await;
        let report = report.unwrap_or_else(|e| panic!("{}: {e:?}\n{text}", chain(&e)));
        assert!(report.is_complete(), "{:#?}\n{:?}\n{text}", report.failed, report.skipped);
    }
    panic!("it does not come to rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_calls_what_it_declares() {
    let sandbox = causeway_sandbox::shared().unwrap();
    let (key, _) = sandbox.credentials(ACCOUNT).unwrap();
    let aws = Aws::new(&config().await, &Region::new("us-east-2"));
    for role in ["platform", "support"] {
        let trust = PolicyDocument::new([Statement::assume(
            "sts:AssumeRole",
            Principal::service("ec2.amazonaws.com"),
        )]);
        let made = aws.iam.create_role().role_name(role).assume_role_policy_document(trust.text().unwrap());
        made.send().await.unwrap();
    }
    let engine = Engine::new(registry().await, Arc::new(MemoryStore::default()));
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    for nat in ["managed", "fck-nat"] {
        let before = BEFORE.replace("NAT", nat);
        let mut after = before.clone();
        for (from, to) in EDITS {
            assert!(after.contains(from), "{from}");
            after = after.replacen(from, to, 1);
        }
        for text in [&before, &after] {
            let stack = stack(text);
            kinds.extend(stack.nodes().values().map(|node| node.kind));
            settle(&engine, &stack).await;
        }
        settle(&engine, &Stack::new("declared")).await;
    }
    let mut called: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in sandbox.gateway().calls_of(&key) {
        let name = call.name().replace("monitoring:", "cloudwatch:").replace("tagging:", "tag:");
        // Without a kind is what the test itself prepares.
        let Some(kind) = call.app else { continue };
        called.entry(kind).or_default().insert(name);
    }
    let mut wrong = vec![];
    for kind in kinds {
        let called = called.remove(kind).unwrap_or_default();
        let declared =
            actions(kind, Action::ReplaceCreateFirst).unwrap_or_else(|| panic!("{kind} declares nothing"));
        let undeclared: Vec<_> = called
            .iter()
            .filter(|call| !declared.contains(call.as_str()) && !SHARED.contains(&call.as_str()))
            .collect();
        let rare = RARE.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, rare)| rare);
        let own = calls(kind).unwrap_or_default();
        let unused: Vec<_> =
            own.iter().filter(|call| !called.contains(**call) && !rare.contains(call)).collect();
        let stale: Vec<_> = rare.iter().filter(|call| !own.contains(**call)).collect();
        if !(undeclared.is_empty() && unused.is_empty() && stale.is_empty()) {
            wrong.push(format!(
                "{kind}: undeclared {undeclared:?}, never called {unused:?}, not declared any more {stale:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
