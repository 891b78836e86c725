//! The AWS Load Balancer Controller.

use super::{Site, anywhere, on};
use causeway_aws::policy::{PolicyDocument, Statement};
use causeway_core::Value;

/// The tag that the controller puts on all it makes.
const OWNER: &str = "elbv2.k8s.aws/cluster";

/// What the controller calls: it looks at everything and changes only what carries the tag of the cluster.
/// <https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/deploy/installation/>
pub(in crate::eks) fn load_balancer_controller(site: &Site) -> PolicyDocument {
    let cluster = site.cluster.as_str();
    let requests_ours = |s: Statement| s.when("StringEquals", format!("aws:RequestTag/{OWNER}"), [cluster]);
    let is_ours = |s: Statement| s.when("StringEquals", format!("aws:ResourceTag/{OWNER}"), [cluster]);
    // A tag that names an owner is not given to what has one.
    let keeps_owner = |s: Statement| is_ours(s).when("Null", format!("aws:RequestTag/{OWNER}"), ["true"]);
    let groups = || [site.arn("ec2", "security-group/*")];
    let balancing = |kinds: &[&str]| -> Vec<Value<String>> {
        kinds.iter().map(|kind| site.arn("elasticloadbalancing", kind)).collect()
    };
    let balancers = || balancing(&["targetgroup/*/*", "loadbalancer/net/*/*", "loadbalancer/app/*/*"]);
    let listeners = || {
        balancing(&[
            "listener/net/*/*/*",
            "listener/app/*/*/*",
            "listener-rule/net/*/*/*",
            "listener-rule/app/*/*/*",
        ])
    };
    let tag = ["elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"];
    let ingress = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"];
    let in_a_vpc = [site.arn("ec2", "security-group/*"), site.arn("ec2", "vpc/*")];
    PolicyDocument::new([
        on(
            "MakeTheServiceRole",
            &["iam:CreateServiceLinkedRole"],
            [site.global("iam", "role/aws-service-role/elasticloadbalancing.amazonaws.com/*")],
        )
        .when("StringEquals", "iam:AWSServiceName", ["elasticloadbalancing.amazonaws.com"]),
        anywhere(
            "Look",
            &[
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeAddresses",
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeVpcs",
                "ec2:DescribeVpcPeeringConnections",
                "ec2:DescribeSubnets",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeInstances",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeTags",
                "ec2:GetCoipPoolUsage",
                "ec2:DescribeCoipPools",
                "ec2:GetSecurityGroupsForVpc",
                "ec2:DescribeIpamPools",
                "ec2:DescribeRouteTables",
                "elasticloadbalancing:DescribeLoadBalancers",
                "elasticloadbalancing:DescribeLoadBalancerAttributes",
                "elasticloadbalancing:DescribeListeners",
                "elasticloadbalancing:DescribeListenerCertificates",
                "elasticloadbalancing:DescribeSSLPolicies",
                "elasticloadbalancing:DescribeRules",
                "elasticloadbalancing:DescribeTargetGroups",
                "elasticloadbalancing:DescribeTargetGroupAttributes",
                "elasticloadbalancing:DescribeTargetHealth",
                "elasticloadbalancing:DescribeTags",
                "elasticloadbalancing:DescribeTrustStores",
                "elasticloadbalancing:DescribeListenerAttributes",
                "elasticloadbalancing:DescribeCapacityReservation",
            ],
        ),
        anywhere(
            "UseCertificatesAndFirewalls",
            &[
                "cognito-idp:DescribeUserPoolClient",
                "acm:ListCertificates",
                "acm:DescribeCertificate",
                "iam:ListServerCertificates",
                "iam:GetServerCertificate",
                "waf-regional:GetWebACL",
                "waf-regional:GetWebACLForResource",
                "waf-regional:AssociateWebACL",
                "waf-regional:DisassociateWebACL",
                "wafv2:GetWebACL",
                "wafv2:GetWebACLForResource",
                "wafv2:AssociateWebACL",
                "wafv2:DisassociateWebACL",
                "shield:GetSubscriptionState",
                "shield:DescribeProtection",
                "shield:CreateProtection",
                "shield:DeleteProtection",
            ],
        ),
        // The groups of the nodes, which carry the other tag of the cluster.
        on("LetBalancersIn", &ingress, groups()).when(
            "StringEquals",
            format!("aws:ResourceTag/{}", site.cluster_tag()),
            ["owned"],
        ),
        on("MakeGroups", &["ec2:CreateSecurityGroup"], in_a_vpc),
        requests_ours(on("TagNewGroups", &["ec2:CreateTags"], groups())).when(
            "StringEquals",
            "ec2:CreateAction",
            ["CreateSecurityGroup"],
        ),
        keeps_owner(on("TagGroups", &["ec2:CreateTags", "ec2:DeleteTags"], groups())),
        is_ours(on("ChangeGroups", &[ingress[0], ingress[1], "ec2:DeleteSecurityGroup"], groups())),
        requests_ours(on(
            "MakeBalancers",
            &["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"],
            balancers(),
        )),
        is_ours(on(
            "MakeListeners",
            &[
                "elasticloadbalancing:CreateListener",
                "elasticloadbalancing:DeleteListener",
                "elasticloadbalancing:CreateRule",
                "elasticloadbalancing:DeleteRule",
            ],
            [balancing(&["loadbalancer/net/*/*", "loadbalancer/app/*/*"]), listeners()].concat(),
        )),
        keeps_owner(on("TagBalancers", &tag, balancers())),
        on("TagListeners", &tag, listeners()),
        is_ours(on(
            "ChangeBalancers",
            &[
                "elasticloadbalancing:ModifyLoadBalancerAttributes",
                "elasticloadbalancing:SetIpAddressType",
                "elasticloadbalancing:SetSecurityGroups",
                "elasticloadbalancing:SetSubnets",
                "elasticloadbalancing:DeleteLoadBalancer",
                "elasticloadbalancing:ModifyTargetGroup",
                "elasticloadbalancing:ModifyTargetGroupAttributes",
                "elasticloadbalancing:DeleteTargetGroup",
                "elasticloadbalancing:ModifyListenerAttributes",
                "elasticloadbalancing:ModifyCapacityReservation",
                "elasticloadbalancing:ModifyIpPools",
            ],
            [balancers(), listeners()].concat(),
        )),
        requests_ours(on("TagNewBalancers", &["elasticloadbalancing:AddTags"], balancers())).when(
            "StringEquals",
            "elasticloadbalancing:CreateAction",
            ["CreateTargetGroup", "CreateLoadBalancer"],
        ),
        on(
            "MoveTargets",
            &["elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets"],
            balancing(&["targetgroup/*/*"]),
        ),
        on(
            "ChangeListeners",
            &[
                "elasticloadbalancing:SetWebAcl",
                "elasticloadbalancing:ModifyListener",
                "elasticloadbalancing:AddListenerCertificates",
                "elasticloadbalancing:RemoveListenerCertificates",
                "elasticloadbalancing:ModifyRule",
                "elasticloadbalancing:SetRulePriorities",
            ],
            [balancing(&["loadbalancer/net/*/*", "loadbalancer/app/*/*"]), listeners()].concat(),
        ),
    ])
}
