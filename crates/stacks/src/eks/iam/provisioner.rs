//! Coder's provisioners, which run the Terraform of templates.

use super::{Site, anywhere, on};
use causeway_aws::policy::PolicyDocument;
use causeway_core::Value;

/// May make the machines, volumes and groups that templates ask for in this region, and hand `roles`, by their ARNs, to
/// the machines. Reading EC2 comes from the managed policy `AmazonEC2ReadOnlyAccess`.
pub(in crate::eks) fn provisioner(
    site: &Site,
    repositories: &[Value<String>],
    roles: &[Value<String>],
) -> PolicyDocument {
    let ec2 = |kinds: &[&str]| -> Vec<Value<String>> {
        kinds.iter().map(|kind| site.arn("ec2", &format!("{kind}/*"))).collect()
    };
    let machines = [
        "instance",
        "volume",
        "network-interface",
        "security-group",
        "subnet",
        "key-pair",
        "launch-template",
        "placement-group",
    ];
    let mut run = ec2(&machines);
    run.push(site.shared("ec2", "image/*"));
    run.push(site.shared("ec2", "snapshot/*"));
    PolicyDocument::new([
        on("EC2InstanceLaunch", &["ec2:RunInstances"], run),
        on(
            "EC2InstanceLifecycle",
            &[
                "ec2:StartInstances",
                "ec2:StopInstances",
                "ec2:TerminateInstances",
                "ec2:RebootInstances",
                "ec2:ModifyInstanceAttribute",
            ],
            ec2(&["instance", "security-group"]),
        ),
        on(
            "EC2ManageHostLifecycle",
            &["ec2:AllocateHosts", "ec2:ModifyHosts", "ec2:ReleaseHosts"],
            ec2(&["dedicated-host"]),
        ),
        on(
            "EBSVolumeLifecycle",
            &["ec2:CreateVolume", "ec2:AttachVolume", "ec2:DetachVolume", "ec2:DeleteVolume"],
            ec2(&["volume", "instance"]),
        ),
        on(
            "SecurityGroupLifecycle",
            &[
                "ec2:CreateSecurityGroup",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:DeleteSecurityGroup",
            ],
            ec2(&["security-group", "security-group-rule", "vpc"]),
        ),
        on(
            "TagLifecycle",
            &["ec2:CreateTags", "ec2:DeleteTags"],
            ec2(&[
                "instance",
                "volume",
                "network-interface",
                "security-group",
                "security-group-rule",
                "dedicated-host",
            ]),
        ),
        on(
            "NetworkInterfaceLifecycle",
            &[
                "ec2:CreateNetworkInterface",
                "ec2:AttachNetworkInterface",
                "ec2:DetachNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:ModifyNetworkInterfaceAttribute",
            ],
            ec2(&["network-interface", "subnet", "security-group", "instance"]),
        ),
        anywhere("ECRAuth", &["ecr:GetAuthorizationToken"]),
        on(
            "ECRDownloadImages",
            &["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            repositories.iter().cloned(),
        ),
        on(
            "ECRUploadImages",
            &["ecr:CompleteLayerUpload", "ecr:UploadLayerPart", "ecr:InitiateLayerUpload", "ecr:PutImage"],
            repositories.iter().cloned(),
        ),
        on(
            "IAMReadOnly",
            &["iam:GetInstanceProfile", "iam:GetRole", "iam:ListInstanceProfilesForRole"],
            [site.global("iam", "role/*"), site.global("iam", "instance-profile/*")],
        ),
        on("IAMPassRole", &["iam:PassRole"], roles.iter().cloned()).when(
            "StringEquals",
            "iam:PassedToService",
            ["ec2.amazonaws.com"],
        ),
    ])
}
