//! The IAM actions that each kind needs, by what is done to it:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>.
//!
//! A test compares the table with the calls in the sources, and another with what a whole deployment calls.

use crate::policy::{PolicyDocument, Statement};
use causeway_core::plan::Action;
use std::collections::{BTreeMap, BTreeSet};

/// What a kind needs. A create reads, and may end with what an update does.
struct Needs {
    kind: &'static str,
    read: &'static [&'static str],
    create: &'static [&'static str],
    update: &'static [&'static str],
    delete: &'static [&'static str],
    /// What AWS wants beside the create's own action: for tags in the same call, for roles and keys that are passed on.
    along: &'static [&'static str],
}

const NONE: &[&str] = &[];
const PASS_ROLE: &str = "iam:PassRole";

macro_rules! needs {
    ($kind:literal $(, $what:ident: [$($action:literal),* $(,)?])* $(,)?) => {
        Needs { $($what: &[$($action),*],)* ..Needs { kind: $kind, read: NONE, create: NONE, update: NONE, delete: NONE, along: NONE } }
    };
}

const TABLE: &[Needs] = &[
    needs!("aws.acm.certificate",
        read: ["acm:DescribeCertificate", "acm:ListCertificates", "acm:ListTagsForCertificate"],
        create: ["acm:RequestCertificate"], along: ["acm:AddTagsToCertificate"],
        update: ["acm:AddTagsToCertificate", "acm:RemoveTagsFromCertificate"],
        delete: ["acm:DeleteCertificate"]),
    needs!("aws.acm.certificate_issued", read: ["acm:DescribeCertificate"]),
    needs!("aws.autoscaling.group",
        // What has become of a replacement, or of a machine that does not start.
        read: ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeInstanceRefreshes",
            "autoscaling:DescribeScalingActivities"],
        create: ["autoscaling:CreateAutoScalingGroup"],
        along: ["autoscaling:CreateOrUpdateTags", "ec2:RunInstances", "ec2:CreateTags", "iam:PassRole",
            "iam:CreateServiceLinkedRole"],
        update: ["autoscaling:UpdateAutoScalingGroup", "autoscaling:EnableMetricsCollection",
            "autoscaling:DisableMetricsCollection", "autoscaling:StartInstanceRefresh",
            "autoscaling:CreateOrUpdateTags", "autoscaling:DeleteTags"],
        delete: ["autoscaling:DeleteAutoScalingGroup"]),
    needs!("aws.cloudfront.cache_policy",
        read: ["cloudfront:ListCachePolicies"], create: ["cloudfront:CreateCachePolicy"],
        update: ["cloudfront:GetCachePolicy", "cloudfront:UpdateCachePolicy"],
        delete: ["cloudfront:GetCachePolicy", "cloudfront:DeleteCachePolicy"]),
    needs!("aws.cloudfront.distribution",
        read: ["cloudfront:ListDistributions", "cloudfront:GetDistribution", "cloudfront:ListTagsForResource"],
        create: ["cloudfront:CreateDistribution"],
        // Logs are given to a bucket with the rights of whoever asks for them.
        along: ["cloudfront:TagResource", "acm:DescribeCertificate", "s3:GetBucketAcl", "s3:PutBucketAcl",
            "wafv2:GetWebACL"],
        update: ["cloudfront:UpdateDistribution", "cloudfront:TagResource", "cloudfront:UntagResource"],
        delete: ["cloudfront:UpdateDistribution", "cloudfront:DeleteDistribution"]),
    needs!("aws.cloudfront.function",
        read: ["cloudfront:ListFunctions", "cloudfront:DescribeFunction", "cloudfront:GetFunction"],
        create: ["cloudfront:CreateFunction", "cloudfront:PublishFunction"],
        update: ["cloudfront:UpdateFunction", "cloudfront:PublishFunction"],
        delete: ["cloudfront:DeleteFunction"]),
    needs!("aws.cloudfront.key_value_store",
        read: ["cloudfront:DescribeKeyValueStore"], create: ["cloudfront:CreateKeyValueStore"],
        update: ["cloudfront:UpdateKeyValueStore"], delete: ["cloudfront:DeleteKeyValueStore"]),
    needs!("aws.cloudfront.origin_access_control",
        read: ["cloudfront:ListOriginAccessControls"], create: ["cloudfront:CreateOriginAccessControl"],
        update: ["cloudfront:GetOriginAccessControl", "cloudfront:UpdateOriginAccessControl"],
        delete: ["cloudfront:GetOriginAccessControl", "cloudfront:DeleteOriginAccessControl"]),
    needs!("aws.cloudfront.response_headers_policy",
        read: ["cloudfront:ListResponseHeadersPolicies"], create: ["cloudfront:CreateResponseHeadersPolicy"],
        update: ["cloudfront:GetResponseHeadersPolicy", "cloudfront:UpdateResponseHeadersPolicy"],
        delete: ["cloudfront:GetResponseHeadersPolicy", "cloudfront:DeleteResponseHeadersPolicy"]),
    needs!("aws.cloudwatch.metric_alarm",
        read: ["cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"],
        create: ["cloudwatch:PutMetricAlarm"], along: ["cloudwatch:TagResource"],
        update: ["cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"],
        delete: ["cloudwatch:DeleteAlarms"]),
    needs!("aws.ec2.availability_zones", read: ["ec2:DescribeAvailabilityZones"]),
    needs!("aws.ec2.default_security_group",
        read: ["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules", "ec2:DescribeRouteTables",
            "ec2:DescribeTags"],
        update: ["ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress", "ec2:CreateTags", "ec2:DeleteTags"]),
    needs!("aws.ec2.elastic_ip",
        read: ["ec2:DescribeAddresses"], create: ["ec2:AllocateAddress"], along: ["ec2:CreateTags"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"], delete: ["ec2:ReleaseAddress"]),
    needs!("aws.ec2.existing_vpc",
        read: ["ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeRouteTables"]),
    needs!("aws.ec2.flow_log",
        read: ["ec2:DescribeFlowLogs"], create: ["ec2:CreateFlowLogs"], along: ["ec2:CreateTags", "iam:PassRole"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"], delete: ["ec2:DeleteFlowLogs"]),
    needs!("aws.ec2.image", read: ["ec2:DescribeImages"]),
    needs!("aws.ec2.instance",
        read: ["ec2:DescribeInstances"], create: ["ec2:RunInstances"], along: ["ec2:CreateTags", "iam:PassRole"],
        update: ["ec2:StartInstances", "ec2:CreateTags", "ec2:DeleteTags"], delete: ["ec2:TerminateInstances"]),
    needs!("aws.ec2.instance_type_offerings", read: ["ec2:DescribeInstanceTypeOfferings"]),
    needs!("aws.ec2.internet_gateway",
        read: ["ec2:DescribeInternetGateways", "ec2:DescribeRouteTables", "ec2:DescribeTags"],
        create: ["ec2:CreateInternetGateway"], along: ["ec2:CreateTags"],
        update: ["ec2:AttachInternetGateway", "ec2:DetachInternetGateway", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DetachInternetGateway", "ec2:DeleteInternetGateway"]),
    needs!("aws.ec2.launch_template",
        read: ["ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions"],
        create: ["ec2:CreateLaunchTemplate"], along: ["ec2:CreateTags"],
        update: ["ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteLaunchTemplate"]),
    needs!("aws.ec2.nat_gateway",
        read: ["ec2:DescribeNatGateways"], create: ["ec2:CreateNatGateway"], along: ["ec2:CreateTags"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"], delete: ["ec2:DeleteNatGateway"]),
    needs!("aws.ec2.network_interface",
        read: ["ec2:DescribeNetworkInterfaces"], create: ["ec2:CreateNetworkInterface"], along: ["ec2:CreateTags"],
        update: ["ec2:ModifyNetworkInterfaceAttribute", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteNetworkInterface"]),
    needs!("aws.ec2.route",
        read: ["ec2:DescribeRouteTables"], create: ["ec2:CreateRoute"], update: ["ec2:ReplaceRoute"],
        delete: ["ec2:DeleteRoute"]),
    needs!("aws.ec2.route_table",
        read: ["ec2:DescribeRouteTables"], create: ["ec2:CreateRouteTable"], along: ["ec2:CreateTags"],
        update: ["ec2:AssociateRouteTable", "ec2:DisassociateRouteTable", "ec2:ReplaceRouteTableAssociation",
            "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DisassociateRouteTable", "ec2:DeleteRouteTable"]),
    needs!("aws.ec2.security_group",
        read: ["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules", "ec2:DescribeTags"],
        create: ["ec2:CreateSecurityGroup"], along: ["ec2:CreateTags"],
        update: ["ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress",
            "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteSecurityGroup"]),
    needs!("aws.ec2.security_group_rule",
        read: ["ec2:DescribeSecurityGroupRules"],
        create: ["ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress"], along: ["ec2:CreateTags"],
        update: ["ec2:UpdateSecurityGroupRuleDescriptionsIngress", "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
            "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"]),
    needs!("aws.ec2.subnet",
        read: ["ec2:DescribeSubnets"], create: ["ec2:CreateSubnet"], along: ["ec2:CreateTags"],
        update: ["ec2:ModifySubnetAttribute", "ec2:CreateTags", "ec2:DeleteTags"], delete: ["ec2:DeleteSubnet"]),
    needs!("aws.ec2.tag",
        read: ["ec2:DescribeTags"], create: ["ec2:CreateTags"], update: ["ec2:CreateTags"],
        delete: ["ec2:DeleteTags"]),
    needs!("aws.ec2.vpc",
        read: ["ec2:DescribeVpcs", "ec2:DescribeVpcAttribute", "ec2:DescribeTags"], create: ["ec2:CreateVpc"],
        along: ["ec2:CreateTags"],
        update: ["ec2:ModifyVpcAttribute", "ec2:CreateTags", "ec2:DeleteTags"], delete: ["ec2:DeleteVpc"]),
    needs!("aws.ec2.vpc_endpoint",
        read: ["ec2:DescribeVpcEndpoints", "ec2:DescribeRouteTables", "ec2:DescribeTags"],
        create: ["ec2:CreateVpcEndpoint"], along: ["ec2:CreateTags"],
        update: ["ec2:ModifyVpcEndpoint", "ec2:CreateTags", "ec2:DeleteTags"], delete: ["ec2:DeleteVpcEndpoints"]),
    needs!("aws.ecr.existing_image", read: ["ecr:DescribeImages"]),
    needs!("aws.ecr.image",
        read: ["ecr:DescribeImages"],
        create: ["ecr:PutImage", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
            "ecr:CompleteLayerUpload"]),
    needs!("aws.ecr.replication_rule",
        read: ["ecr:DescribeRegistry"],
        create: ["ecr:PutReplicationConfiguration"], along: ["iam:CreateServiceLinkedRole"],
        update: ["ecr:PutReplicationConfiguration"], delete: ["ecr:PutReplicationConfiguration"]),
    needs!("aws.ecr.repository",
        read: ["ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy", "ecr:ListTagsForResource"],
        create: ["ecr:CreateRepository"], along: ["ecr:TagResource"],
        update: ["ecr:PutImageTagMutability", "ecr:PutImageScanningConfiguration", "ecr:PutLifecyclePolicy",
            "ecr:DeleteLifecyclePolicy", "ecr:SetRepositoryPolicy", "ecr:DeleteRepositoryPolicy", "ecr:TagResource",
            "ecr:UntagResource"],
        delete: ["ecr:DeleteRepository"]),
    needs!("aws.ecs.cluster",
        read: ["ecs:DescribeClusters"], create: ["ecs:CreateCluster"],
        along: ["ecs:TagResource", "iam:CreateServiceLinkedRole"],
        update: ["ecs:UpdateCluster", "ecs:PutClusterCapacityProviders", "ecs:TagResource", "ecs:UntagResource"],
        delete: ["ecs:DeleteCluster"]),
    needs!("aws.ecs.rehearsal",
        read: ["ecs:DescribeTaskDefinition", "ecs:DescribeTasks", "ecs:ListTasks",
            "elasticloadbalancing:DescribeTargetHealth", "logs:GetLogEvents"],
        create: ["ecs:RunTask", "ecs:StopTask", "ecs:TagResource", "elasticloadbalancing:RegisterTargets",
            "elasticloadbalancing:DeregisterTargets"],
        along: ["iam:PassRole"]),
    needs!("aws.ecs.service",
        // The reasons of a deployment that fails come from its tasks and their logs.
        read: ["ecs:DescribeServices", "ecs:ListServiceDeployments", "ecs:DescribeServiceDeployments",
            "ecs:DescribeServiceRevisions", "ecs:ListTasks",
            "ecs:DescribeTasks", "ecs:DescribeTaskDefinition", "logs:GetLogEvents",
            "elasticloadbalancing:DescribeTargetHealth"],
        // ECS gets a role to turn the listener rule of a blue/green deployment.
        create: ["ecs:CreateService"], along: ["ecs:TagResource", "iam:CreateServiceLinkedRole", "iam:PassRole"],
        update: ["ecs:UpdateService", "ecs:TagResource", "ecs:UntagResource"], delete: ["ecs:DeleteService"]),
    needs!("aws.ecs.task_definition",
        read: ["ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions"],
        create: ["ecs:RegisterTaskDefinition"], along: ["ecs:TagResource", "iam:PassRole"],
        update: ["ecs:RegisterTaskDefinition", "ecs:TagResource", "ecs:UntagResource"],
        delete: ["ecs:DeregisterTaskDefinition"]),
    needs!("aws.elasticache.replication_group",
        read: ["elasticache:DescribeReplicationGroups", "elasticache:DescribeCacheClusters",
            "elasticache:ListTagsForResource"],
        create: ["elasticache:CreateReplicationGroup", "secretsmanager:GetSecretValue"],
        along: ["elasticache:AddTagsToResource", "iam:CreateServiceLinkedRole", "kms:Decrypt", "kms:CreateGrant",
            "kms:DescribeKey"],
        update: ["elasticache:ModifyReplicationGroup", "elasticache:ModifyReplicationGroupShardConfiguration",
            "elasticache:IncreaseReplicaCount", "elasticache:DecreaseReplicaCount", "secretsmanager:GetSecretValue",
            "elasticache:AddTagsToResource", "elasticache:RemoveTagsFromResource"],
        delete: ["elasticache:DeleteReplicationGroup"]),
    needs!("aws.elasticache.subnet_group",
        read: ["elasticache:DescribeCacheSubnetGroups", "elasticache:ListTagsForResource"],
        create: ["elasticache:CreateCacheSubnetGroup"], along: ["elasticache:AddTagsToResource"],
        update: ["elasticache:ModifyCacheSubnetGroup", "elasticache:AddTagsToResource",
            "elasticache:RemoveTagsFromResource"],
        delete: ["elasticache:DeleteCacheSubnetGroup"]),
    needs!("aws.eks.access_entry",
        read: ["eks:DescribeAccessEntry", "eks:ListAssociatedAccessPolicies"],
        create: ["eks:CreateAccessEntry"], along: ["eks:TagResource"],
        update: ["eks:UpdateAccessEntry", "eks:AssociateAccessPolicy", "eks:DisassociateAccessPolicy", "eks:TagResource",
            "eks:UntagResource"],
        delete: ["eks:DeleteAccessEntry"]),
    needs!("aws.eks.addon",
        read: ["eks:DescribeAddon", "eks:DescribeUpdate"],
        create: ["eks:CreateAddon"], along: ["eks:TagResource", "iam:PassRole"],
        update: ["eks:UpdateAddon", "eks:TagResource", "eks:UntagResource"], delete: ["eks:DeleteAddon"]),
    needs!("aws.eks.addon_version", read: ["eks:DescribeAddonVersions"]),
    needs!("aws.eks.cluster",
        read: ["eks:DescribeCluster", "eks:DescribeUpdate"],
        create: ["eks:CreateCluster"],
        // EKS asks with the rights of whoever makes a cluster.
        along: ["eks:TagResource", "iam:PassRole", "iam:GetRole", "iam:CreateServiceLinkedRole", "ec2:DescribeSubnets",
            "ec2:DescribeVpcs", "ec2:DescribeSecurityGroups", "kms:DescribeKey", "kms:CreateGrant"],
        update: ["eks:UpdateClusterConfig", "eks:UpdateClusterVersion", "eks:AssociateEncryptionConfig",
            "eks:ListInsights", "eks:TagResource", "eks:UntagResource"],
        delete: ["eks:UpdateClusterConfig", "eks:DeleteCluster"]),
    needs!("aws.eks.cluster_version", read: ["eks:DescribeClusterVersions"]),
    needs!("aws.eks.leftovers",
    read: ["ec2:DescribeTags"], create: ["ec2:CreateTags"], update: ["ec2:CreateTags"],
    delete: [
        "ec2:DeleteLaunchTemplate", "ec2:DeleteNetworkInterface", "ec2:DeleteSecurityGroup", "ec2:DeleteTags",
        "ec2:DeleteVolume", "ec2:DescribeInstances", "ec2:DescribeLaunchTemplates", "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups", "ec2:DescribeVolumes", "ec2:RevokeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress", "ec2:TerminateInstances", "elasticloadbalancing:DeleteLoadBalancer",
        "elasticloadbalancing:DeleteTargetGroup", "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeTargetGroups",
        "elasticloadbalancing:ModifyLoadBalancerAttributes", "iam:DeleteInstanceProfile", "iam:GetInstanceProfile",
        "iam:ListInstanceProfiles", "iam:RemoveRoleFromInstanceProfile",
        "logs:DeleteLogGroup", "logs:DescribeLogGroups", "logs:ListTagsForResource",
    ]),
    needs!("aws.eks.next_version",
        read: ["eks:DescribeCluster", "eks:ListNodegroups", "eks:DescribeNodegroup"]),
    needs!("aws.eks.node_group",
        read: ["eks:DescribeNodegroup", "eks:DescribeUpdate"],
        create: ["eks:CreateNodegroup"],
        along: ["eks:TagResource", "iam:PassRole", "iam:GetRole", "iam:CreateServiceLinkedRole", "ec2:DescribeSubnets",
            "ec2:RunInstances", "ec2:CreateTags", "ec2:DescribeLaunchTemplateVersions"],
        update: ["eks:UpdateNodegroupConfig", "eks:UpdateNodegroupVersion", "eks:TagResource", "eks:UntagResource"],
        delete: ["eks:DeleteNodegroup"]),
    needs!("aws.eks.pod_identity_association",
        read: ["eks:ListPodIdentityAssociations", "eks:DescribePodIdentityAssociation"],
        create: ["eks:CreatePodIdentityAssociation"], along: ["eks:TagResource", "iam:PassRole", "iam:GetRole"],
        update: ["eks:UpdatePodIdentityAssociation", "eks:TagResource", "eks:UntagResource"],
        delete: ["eks:DeletePodIdentityAssociation"]),
    needs!("aws.elbv2.listener",
        read: ["elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeListenerCertificates",
            "elasticloadbalancing:DescribeTags"],
        create: ["elasticloadbalancing:CreateListener"], along: ["elasticloadbalancing:AddTags"],
        update: ["elasticloadbalancing:ModifyListener", "elasticloadbalancing:AddListenerCertificates",
            "elasticloadbalancing:RemoveListenerCertificates", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags"],
        delete: ["elasticloadbalancing:DeleteListener"]),
    needs!("aws.elbv2.listener_rule",
        read: ["elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTags"],
        create: ["elasticloadbalancing:CreateRule"], along: ["elasticloadbalancing:AddTags"],
        update: ["elasticloadbalancing:ModifyRule", "elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"],
        delete: ["elasticloadbalancing:DeleteRule"]),
    needs!("aws.elbv2.load_balancer",
        read: ["elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "elasticloadbalancing:DescribeTags"],
        create: ["elasticloadbalancing:CreateLoadBalancer"],
        along: ["elasticloadbalancing:AddTags", "iam:CreateServiceLinkedRole"],
        update: ["elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:SetSecurityGroups",
            "elasticloadbalancing:SetSubnets", "elasticloadbalancing:SetIpAddressType", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags"],
        delete: ["elasticloadbalancing:DeleteLoadBalancer"]),
    needs!("aws.elbv2.target_group",
        read: ["elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroupAttributes",
            "elasticloadbalancing:DescribeTags"],
        create: ["elasticloadbalancing:CreateTargetGroup"], along: ["elasticloadbalancing:AddTags"],
        update: ["elasticloadbalancing:ModifyTargetGroup", "elasticloadbalancing:ModifyTargetGroupAttributes",
            "elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"],
        delete: ["elasticloadbalancing:DeleteTargetGroup"]),
    needs!("aws.events.rule",
        read: ["events:ListRules", "events:ListTargetsByRule", "events:ListTagsForResource"],
        create: ["events:PutRule"], along: ["events:TagResource"],
        update: ["events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource",
            "events:UntagResource"],
        delete: ["events:RemoveTargets", "events:DeleteRule"]),
    needs!("aws.iam.deployer", read: ["sts:GetCallerIdentity", "iam:GetRole"]),
    needs!("aws.iam.instance_profile",
        read: ["iam:GetInstanceProfile"], create: ["iam:CreateInstanceProfile"],
        along: ["iam:TagInstanceProfile", "iam:PassRole"],
        update: ["iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:TagInstanceProfile",
            "iam:UntagInstanceProfile"],
        delete: ["iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"]),
    needs!("aws.iam.oidc_provider",
        read: ["iam:ListOpenIDConnectProviders", "iam:GetOpenIDConnectProvider"],
        create: ["iam:CreateOpenIDConnectProvider"], along: ["iam:TagOpenIDConnectProvider"],
        update: ["iam:AddClientIDToOpenIDConnectProvider", "iam:RemoveClientIDFromOpenIDConnectProvider",
            "iam:TagOpenIDConnectProvider", "iam:UntagOpenIDConnectProvider"],
        delete: ["iam:DeleteOpenIDConnectProvider"]),
    needs!("aws.iam.policy",
        read: ["iam:ListPolicies", "iam:GetPolicy", "iam:GetPolicyVersion"],
        create: ["iam:CreatePolicy"], along: ["iam:TagPolicy"],
        update: ["iam:CreatePolicyVersion", "iam:ListPolicyVersions", "iam:DeletePolicyVersion", "iam:TagPolicy",
            "iam:UntagPolicy"],
        delete: ["iam:ListPolicyVersions", "iam:DeletePolicyVersion", "iam:DeletePolicy"]),
    needs!("aws.iam.role",
        read: ["iam:GetRole", "iam:ListRolePolicies", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"],
        create: ["iam:CreateRole"], along: ["iam:TagRole"],
        update: ["iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:PutRolePermissionsBoundary",
            "iam:DeleteRolePermissionsBoundary", "iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePolicy",
            "iam:DeleteRolePolicy", "iam:TagRole", "iam:UntagRole"],
        delete: ["iam:DetachRolePolicy", "iam:DeleteRolePolicy", "iam:DeleteRole"]),
    needs!("aws.iam.service_linked_role",
        read: ["iam:ListRoles"], create: ["iam:CreateServiceLinkedRole"]),
    needs!("aws.kms.alias",
        read: ["kms:DescribeKey"], create: ["kms:CreateAlias"], update: ["kms:UpdateAlias"],
        delete: ["kms:DeleteAlias"]),
    needs!("aws.kms.key",
        read: ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListKeys", "kms:ListResourceTags"],
        create: ["kms:CreateKey"], along: ["kms:TagResource"],
        update: ["kms:UpdateKeyDescription", "kms:PutKeyPolicy", "kms:EnableKeyRotation", "kms:DisableKeyRotation",
            "kms:TagResource", "kms:UntagResource"],
        delete: ["kms:ScheduleKeyDeletion"]),
    needs!("aws.logs.log_group",
        read: ["logs:DescribeLogGroups", "logs:ListTagsForResource"],
        create: ["logs:CreateLogGroup"], along: ["logs:TagResource"],
        update: ["logs:PutRetentionPolicy", "logs:DeleteRetentionPolicy", "logs:AssociateKmsKey",
            "logs:DisassociateKmsKey", "logs:TagResource", "logs:UntagResource"],
        delete: ["logs:DeleteLogGroup"]),
    needs!("aws.rds.instance",
        read: ["rds:DescribeDBInstances", "rds:ListTagsForResource"],
        create: ["rds:CreateDBInstance", "secretsmanager:GetSecretValue"],
        along: ["rds:AddTagsToResource", "iam:CreateServiceLinkedRole", "kms:Decrypt"],
        update: ["rds:ModifyDBInstance", "rds:RebootDBInstance", "rds:DescribeDBSnapshots", "rds:CreateDBSnapshot",
            "rds:AddTagsToResource", "rds:RemoveTagsFromResource"],
        delete: ["rds:ModifyDBInstance", "rds:DeleteDBInstance"]),
    needs!("aws.rds.parameter_group",
        read: ["rds:DescribeDBParameterGroups", "rds:DescribeDBParameters", "rds:ListTagsForResource"],
        create: ["rds:CreateDBParameterGroup"], along: ["rds:AddTagsToResource"],
        update: ["rds:ModifyDBParameterGroup", "rds:ResetDBParameterGroup", "rds:AddTagsToResource",
            "rds:RemoveTagsFromResource"],
        delete: ["rds:DeleteDBParameterGroup"]),
    needs!("aws.rds.snapshot",
        read: ["rds:DescribeDBSnapshots", "rds:ListTagsForResource"],
        create: ["rds:CreateDBSnapshot"], along: ["rds:AddTagsToResource"],
        update: ["rds:AddTagsToResource", "rds:RemoveTagsFromResource"], delete: ["rds:DeleteDBSnapshot"]),
    needs!("aws.rds.subnet_group",
        read: ["rds:DescribeDBSubnetGroups", "rds:ListTagsForResource"],
        create: ["rds:CreateDBSubnetGroup"], along: ["rds:AddTagsToResource"],
        update: ["rds:ModifyDBSubnetGroup", "rds:AddTagsToResource", "rds:RemoveTagsFromResource"],
        delete: ["rds:DeleteDBSubnetGroup"]),
    needs!("aws.route53.existing_hosted_zone", read: ["route53:ListHostedZones"]),
    needs!("aws.route53.hosted_zone",
        read: ["route53:ListHostedZones", "route53:GetHostedZone", "route53:ListTagsForResource"],
        create: ["route53:CreateHostedZone"],
        update: ["route53:UpdateHostedZoneComment", "route53:ChangeTagsForResource"],
        delete: ["route53:DeleteHostedZone"]),
    needs!("aws.route53.record",
        read: ["route53:ListResourceRecordSets"], create: ["route53:ChangeResourceRecordSets"],
        update: ["route53:ChangeResourceRecordSets"], delete: ["route53:ChangeResourceRecordSets"]),
    // What IAM calls the calls; see `S3_CALLS`.
    needs!("aws.s3.bucket",
        read: ["s3:ListBucket", "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration",
            "s3:GetBucketPublicAccessBlock", "s3:GetBucketOwnershipControls", "s3:GetLifecycleConfiguration",
            "s3:GetBucketPolicy", "s3:GetBucketTagging"],
        create: ["s3:CreateBucket"], along: ["s3:PutBucketTagging"],
        update: ["s3:PutBucketPublicAccessBlock", "s3:PutBucketOwnershipControls", "s3:PutBucketVersioning",
            "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration", "s3:PutBucketPolicy",
            "s3:DeleteBucketPolicy", "s3:PutBucketTagging"],
        delete: ["s3:ListBucketVersions", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket"]),
    needs!("aws.s3.bucket_policy",
        read: ["s3:GetBucketPolicy"], create: ["s3:PutBucketPolicy"],
        update: ["s3:PutBucketPolicy"], delete: ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"]),
    needs!("aws.secretsmanager.secret",
        read: ["secretsmanager:DescribeSecret"],
        create: ["secretsmanager:CreateSecret", "secretsmanager:RestoreSecret", "secretsmanager:UpdateSecret",
            "secretsmanager:GetSecretValue"],
        along: ["secretsmanager:TagResource", "kms:GenerateDataKey", "kms:Decrypt"],
        update: ["secretsmanager:UpdateSecret", "secretsmanager:PutSecretValue", "secretsmanager:GetSecretValue",
            "secretsmanager:TagResource", "secretsmanager:UntagResource"],
        delete: ["secretsmanager:DeleteSecret"]),
    // A value that a Secret of a cluster is filled with, and the password of a user in a database.
    needs!("k8s.core.secret",
        read: [], create: ["secretsmanager:GetSecretValue"], along: ["kms:Decrypt"],
        update: ["secretsmanager:GetSecretValue"], delete: []),
    needs!("postgres.role",
        read: [], create: ["secretsmanager:GetSecretValue"], along: ["kms:Decrypt"],
        update: ["secretsmanager:GetSecretValue"], delete: []),
    needs!("aws.sns.subscription",
        read: ["sns:ListSubscriptionsByTopic"], create: ["sns:Subscribe"], delete: ["sns:Unsubscribe"]),
    needs!("aws.sns.topic",
        read: ["sns:ListTopics", "sns:GetTopicAttributes", "sns:ListTagsForResource"],
        create: ["sns:CreateTopic"], along: ["sns:TagResource"],
        update: ["sns:SetTopicAttributes", "sns:TagResource", "sns:UntagResource"], delete: ["sns:DeleteTopic"]),
    needs!("aws.sqs.queue",
        read: ["sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:ListQueueTags"],
        create: ["sqs:CreateQueue"], along: ["sqs:TagQueue"],
        update: ["sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"], delete: ["sqs:DeleteQueue"]),
    needs!("aws.sts.caller_identity", read: ["sts:GetCallerIdentity"]),
    needs!("aws.ssm.parameter",
        read: ["ssm:DescribeParameters", "ssm:GetParameters", "ssm:ListTagsForResource"],
        create: ["ssm:PutParameter"], along: ["ssm:AddTagsToResource", "kms:Encrypt", "kms:Decrypt"],
        update: ["ssm:PutParameter", "ssm:AddTagsToResource", "ssm:RemoveTagsFromResource"],
        delete: ["ssm:DeleteParameter"]),
    needs!("aws.wafv2.web_acl",
        read: ["wafv2:ListWebACLs", "wafv2:GetWebACL", "wafv2:ListTagsForResource"],
        create: ["wafv2:CreateWebACL"], along: ["wafv2:TagResource"],
        update: ["wafv2:UpdateWebACL", "wafv2:TagResource", "wafv2:UntagResource"], delete: ["wafv2:DeleteWebACL"]),
    needs!("aws.wafv2.web_acl_association",
        read: ["wafv2:GetWebACLForResource"], create: ["wafv2:AssociateWebACL"],
        along: ["elasticloadbalancing:SetWebAcl"], update: ["wafv2:AssociateWebACL"],
        delete: ["wafv2:DisassociateWebACL"]),
];

/// The IAM actions that are needed to do `action` to a resource of `kind`. `None` for a kind that is not declared.
pub fn actions(kind: &str, action: Action) -> Option<BTreeSet<&'static str>> {
    let needs = TABLE.iter().find(|n| n.kind == kind)?;
    let parts: &[&[&str]] = match action {
        Action::Keep | Action::Wait | Action::Record | Action::Forget => &[needs.read],
        Action::Create => &[needs.read, needs.create, needs.along, needs.update],
        // A role may be passed on anew.
        Action::Update | Action::Adopt if needs.along.contains(&PASS_ROLE) => {
            &[needs.read, needs.update, &[PASS_ROLE]]
        }
        Action::Update | Action::Adopt => &[needs.read, needs.update],
        Action::Delete => &[needs.read, needs.delete],
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => {
            &[needs.read, needs.create, needs.along, needs.update, needs.delete]
        }
    };
    Some(parts.iter().flat_map(|part| part.iter().copied()).collect())
}

/// The IAM actions that a kind calls itself, of what [`actions`] says: without those that AWS wants beside them. `None` for
/// a kind that is not declared.
pub fn calls(kind: &str) -> Option<BTreeSet<&'static str>> {
    let needs = TABLE.iter().find(|n| n.kind == kind)?;
    Some([needs.read, needs.create, needs.update, needs.delete].concat().into_iter().collect())
}

/// What a preflight itself asks, and only looks.
const ASKED: &[&str] = &[
    "acm:DescribeCertificate",
    "bedrock:GetFoundationModelAvailability",
    "bedrock:ListFoundationModels",
    "bedrock:ListInferenceProfiles",
    "ec2:DescribeAddresses",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeNatGateways",
    "ec2:DescribeRegions",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeSubnets",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
    "ecr:BatchGetImage",
    "eks:DescribeAddonVersions",
    "eks:DescribeClusterVersions",
    "eks:ListClusters",
    "elasticloadbalancing:DescribeLoadBalancers",
    "iam:GetRole",
    "iam:ListRoles",
    "iam:SimulatePrincipalPolicy",
    "kms:DescribeKey",
    "rds:DescribeDBInstances",
    "route53:GetHostedZone",
    "secretsmanager:DescribeSecret",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
];

/// What the actions of Route 53 begin with.
const ZONES: &str = "route53:";

/// What tells of many things at once. Without these, each is asked for alone.
const SHARED: &[&str] = &[
    "iam:GetAccountAuthorizationDetails",
    "iam:ListRoles",
    "secretsmanager:ListSecrets",
    "tag:GetResources",
];

/// A policy that allows `actions`, what a preflight asks, and what saves calls. Resources are not narrowed down: most ids
/// are not known before a create. Roles go to the services that need them and to no others.
pub fn policy(actions: &BTreeSet<&'static str>) -> PolicyDocument {
    let mut services: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    // Names may be kept elsewhere, and then Route 53 is asked for nothing.
    let zones = actions.iter().any(|action| action.starts_with(ZONES));
    let asked = ASKED.iter().filter(|action| zones || !action.starts_with(ZONES));
    let all: BTreeSet<&str> = actions.iter().chain(asked).chain(SHARED).copied().collect();
    for action in all.iter().filter(|a| !NARROW.contains(a)) {
        services.entry(action.split(':').next().unwrap_or_default()).or_default().push(action);
    }
    let mut statements: Vec<Statement> =
        services.into_values().map(|of_service| Statement::allow(of_service, ["*"])).collect();
    let [pass, link] = NARROW;
    if all.contains(pass) {
        let mut to = vec!["ecs-tasks.amazonaws.com"];
        if all.contains("ecs:CreateService") || all.contains("ecs:UpdateService") {
            to.push("ecs.amazonaws.com");
        }
        let machines = ["iam:AddRoleToInstanceProfile", "ec2:RunInstances"];
        if machines.iter().any(|action| all.contains(action)) {
            to.push("ec2.amazonaws.com");
        }
        if all.contains("eks:CreateCluster") || all.contains("eks:CreateAddon") {
            to.push("eks.amazonaws.com");
        }
        if all.contains("eks:CreateNodegroup") {
            to.extend(["eks.amazonaws.com", "ec2.amazonaws.com"]);
        }
        if all.contains("eks:CreatePodIdentityAssociation") {
            to.push("pods.eks.amazonaws.com");
        }
        if all.contains("ec2:CreateFlowLogs") {
            to.push("vpc-flow-logs.amazonaws.com");
        }
        statements.push(Statement::allow([pass], ["*"]).when("StringEquals", "iam:PassedToService", to));
    }
    if all.contains(link) {
        let mut of = vec![
            "ecs.amazonaws.com",
            "elasticache.amazonaws.com",
            "elasticloadbalancing.amazonaws.com",
            "rds.amazonaws.com",
            "replication.ecr.amazonaws.com",
        ];
        if all.contains("autoscaling:CreateAutoScalingGroup") {
            of.push("autoscaling.amazonaws.com");
        }
        if all.contains("eks:CreateCluster") {
            of.push("eks.amazonaws.com");
        }
        if all.contains("eks:CreateNodegroup") {
            of.extend(["autoscaling.amazonaws.com", "eks-nodegroup.amazonaws.com", "spot.amazonaws.com"]);
        }
        statements.push(Statement::allow([link], ["*"]).when("StringEquals", "iam:AWSServiceName", of));
    }
    PolicyDocument::new(statements)
}

/// Actions that would be far too much without a condition.
const NARROW: [&str; 2] = [PASS_ROLE, "iam:CreateServiceLinkedRole"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// Calls beside the engine: by programs that embed the crate, and by commands that look or run something.
    const BESIDE: [&str; 5] = [
        "ecr:GetAuthorizationToken",
        "ecs:ExecuteCommand",
        "eks:ListClusters",
        "logs:FilterLogEvents",
        "s3:ListAllMyBuckets",
    ];

    /// What IAM calls a call of S3, where it has another name for it.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>
    const S3_CALLS: [(&str, &[&str]); 11] = [
        ("s3:ListBuckets", &["s3:ListAllMyBuckets"]),
        ("s3:HeadBucket", &["s3:ListBucket"]),
        ("s3:GetBucketEncryption", &["s3:GetEncryptionConfiguration"]),
        ("s3:PutBucketEncryption", &["s3:PutEncryptionConfiguration"]),
        ("s3:GetPublicAccessBlock", &["s3:GetBucketPublicAccessBlock"]),
        ("s3:PutPublicAccessBlock", &["s3:PutBucketPublicAccessBlock"]),
        ("s3:GetBucketLifecycleConfiguration", &["s3:GetLifecycleConfiguration"]),
        ("s3:PutBucketLifecycleConfiguration", &["s3:PutLifecycleConfiguration"]),
        ("s3:DeleteBucketLifecycle", &["s3:PutLifecycleConfiguration"]),
        ("s3:ListObjectVersions", &["s3:ListBucketVersions"]),
        ("s3:DeleteObjects", &["s3:DeleteObject", "s3:DeleteObjectVersion"]),
    ];

    /// The actions that allow `call`.
    fn allowed_by(call: String) -> Vec<String> {
        match S3_CALLS.iter().find(|(name, _)| *name == call) {
            Some((_, actions)) => actions.iter().map(ToString::to_string).collect(),
            None => vec![call],
        }
    }

    fn in_sources(folder: &Path, out: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            // What keeps a journal in a bucket is no kind.
            let journal =
                ["lease.rs", "objects.rs", "store.rs"].iter().any(|n| path.ends_with(format!("s3/{n}")));
            if path.is_dir() && !path.ends_with("preflight") {
                in_sources(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") && path.is_file() && !journal {
                let text = fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]").next().unwrap();
                for start in [".call(\"", ".call_later(\"", "CALL: &str = \""] {
                    let found = text.split(start).skip(1).filter_map(|rest| rest.split('"').next());
                    out.extend(found.map(str::to_owned));
                }
            }
        }
    }

    #[test]
    fn the_table_has_what_the_sources_call_and_nothing_else() {
        let mut called = BTreeSet::new();
        in_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut called);
        assert!(called.len() > 150, "the sources were not found");
        let called: BTreeSet<String> = called.into_iter().flat_map(allowed_by).collect();
        let own = |n: &Needs| [n.read, n.create, n.update, n.delete].concat();
        let declared: BTreeSet<String> = TABLE.iter().flat_map(own).map(str::to_owned).collect();
        let beside = |call: &str| BESIDE.contains(&call) || SHARED.contains(&call);
        let undeclared: Vec<_> = called.difference(&declared).filter(|call| !beside(call)).collect();
        assert!(undeclared.is_empty(), "called and not in the table: {undeclared:?}");
        let unused: Vec<_> = declared.difference(&called).collect();
        assert!(unused.is_empty(), "in the table and never called: {unused:?}");
    }

    #[test]
    fn what_a_preflight_asks_is_allowed_by_the_policy() {
        // Without it the keys in a secret are not looked at; nobody should have to give it for that.
        const OPTIONAL: &str = "secretsmanager:GetSecretValue";
        let mut asked = BTreeSet::new();
        in_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/preflight"), &mut asked);
        assert!(asked.remove(OPTIONAL) && asked.len() > 15, "the sources were not found");
        let allowed: BTreeSet<String> = ASKED.iter().map(ToString::to_string).collect();
        let missing: Vec<_> = asked.difference(&allowed).collect();
        assert!(missing.is_empty(), "asked and not allowed: {missing:?}");
    }

    #[test]
    fn a_role_is_passed_to_ecs_and_to_nobody_else() {
        let actions = actions("aws.ecs.task_definition", Action::Create).unwrap();
        let text = policy(&actions).text().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let passes: Vec<_> = json["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s.to_string().contains("PassRole"))
            .collect();
        assert_eq!(passes.len(), 1, "{text}");
        let to = &passes[0]["Condition"]["StringEquals"]["iam:PassedToService"];
        assert_eq!(*to, serde_json::json!(["ecs-tasks.amazonaws.com"]));
        assert!(!text.contains("CreateServiceLinkedRole"));
    }

    #[test]
    fn every_kind_is_declared() {
        let mut registry = causeway_core::Registry::new();
        crate::register(&mut registry, aws_config::SdkConfig::builder().build());
        let missing: Vec<_> =
            registry.kinds().map(|k| k.kind()).filter(|k| actions(k, Action::Keep).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
