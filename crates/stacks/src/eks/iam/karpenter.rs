//! Karpenter, which makes nodes.

use super::{Site, anywhere, on};
use causeway_aws::policy::{PolicyDocument, Statement};
use causeway_core::{Value, text};

/// What the rights are tied to.
pub(in crate::eks) struct Karpenter {
    /// The ARN of the interruption queue.
    pub queue: Value<String>,
    /// The ARN of the role of its nodes.
    pub node_role: Value<String>,
}

const NODE_POOL: &str = "karpenter.sh/nodepool";
const NODE_CLASS: &str = "karpenter.k8s.aws/ec2nodeclass";
const CLUSTER_NAME: &str = "eks:eks-cluster-name";
const REGION: &str = "topology.kubernetes.io/region";

/// What Karpenter 1.x calls: everything that it makes carries the tags of the cluster, and only that may it change.
/// <https://karpenter.sh/docs/reference/cloudformation/>
pub(in crate::eks) fn karpenter(site: &Site, karpenter: &Karpenter) -> PolicyDocument {
    let own = site.cluster_tag();
    let cluster = site.cluster.as_str();
    let region = site.region.as_str();
    let request = |tag: &str| format!("aws:RequestTag/{tag}");
    let resource = |tag: &str| format!("aws:ResourceTag/{tag}");
    // Karpenter writes the account of what it names as a wildcard: subnets may be shared by another account.
    let ec2 = |kind: &str| -> Value<String> {
        text!("arn:", site.partition, ":ec2:", region, ":*:", format!("{kind}/*"))
    };
    let made =
        ["fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"];
    let launch = ["ec2:RunInstances", "ec2:CreateFleet"];
    let requested = |statement: Statement| {
        statement
            .when("StringEquals", request(&own), ["owned"])
            .when("StringEquals", request(CLUSTER_NAME), [cluster])
            .when("StringLike", request(NODE_POOL), ["*"])
    };
    let ours = |statement: Statement| {
        statement.when("StringEquals", resource(&own), ["owned"]).when(
            "StringLike",
            resource(NODE_POOL),
            ["*"],
        )
    };
    let profiles = || [site.global("iam", "instance-profile/*")];
    let our_profiles = |statement: Statement| {
        statement
            .when("StringEquals", resource(&own), ["owned"])
            .when("StringEquals", resource(REGION), [region])
            .when("StringLike", resource(NODE_CLASS), ["*"])
    };
    let requested_profiles = |statement: Statement| {
        statement
            .when("StringEquals", request(&own), ["owned"])
            .when("StringEquals", request(CLUSTER_NAME), [cluster])
            .when("StringEquals", request(REGION), [region])
            .when("StringLike", request(NODE_CLASS), ["*"])
    };
    PolicyDocument::new([
        on(
            "LaunchFrom",
            &launch,
            [
                site.shared("ec2", "image/*"),
                site.shared("ec2", "snapshot/*"),
                ec2("security-group"),
                ec2("subnet"),
                ec2("capacity-reservation"),
            ],
        ),
        ours(on("LaunchFromTemplates", &launch, [ec2("launch-template")])),
        requested(on(
            "LaunchTagged",
            &["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"],
            made.map(ec2),
        )),
        requested(on("TagWhatIsMade", &["ec2:CreateTags"], made.map(ec2))).when(
            "StringEquals",
            "ec2:CreateAction",
            ["RunInstances", "CreateFleet", "CreateLaunchTemplate"],
        ),
        ours(on("TagNodes", &["ec2:CreateTags"], [ec2("instance")]))
            .when("StringEqualsIfExists", request(CLUSTER_NAME), [cluster])
            .when(
                "ForAllValues:StringEquals",
                "aws:TagKeys",
                [CLUSTER_NAME, "karpenter.sh/nodeclaim", "Name"],
            ),
        ours(on(
            "Remove",
            &["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            [ec2("instance"), ec2("launch-template")],
        )),
        anywhere(
            "Look",
            &[
                "ec2:DescribeCapacityReservations",
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeInstanceStatus",
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribePlacementGroups",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSpotPriceHistory",
                "ec2:DescribeSubnets",
            ],
        )
        .when("StringEquals", "aws:RequestedRegion", [region]),
        on("FindImages", &["ssm:GetParameter"], [site.shared("ssm", "parameter/aws/service/*")]),
        anywhere("ReadPrices", &["pricing:GetProducts"]),
        on(
            "HearOfInterruptions",
            &["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
            [karpenter.queue.clone()],
        ),
        on("HandOverTheRole", &["iam:PassRole"], [karpenter.node_role.clone()]).when(
            "StringEquals",
            "iam:PassedToService",
            ["ec2.amazonaws.com"],
        ),
        requested_profiles(on("MakeProfiles", &["iam:CreateInstanceProfile"], profiles())),
        requested_profiles(our_profiles(on("TagProfiles", &["iam:TagInstanceProfile"], profiles()))),
        our_profiles(on(
            "ChangeProfiles",
            &[
                "iam:AddRoleToInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
                "iam:DeleteInstanceProfile",
            ],
            profiles(),
        )),
        on("ReadProfiles", &["iam:GetInstanceProfile"], profiles()),
        anywhere("ListProfiles", &["iam:ListInstanceProfiles"]),
        on("FindTheCluster", &["eks:DescribeCluster"], [site.arn("eks", &format!("cluster/{cluster}"))]),
    ])
}
