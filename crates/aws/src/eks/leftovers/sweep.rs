//! Removes what is left.

use super::{Leftover, Leftovers, What};
use crate::{Aws, Call};
use aws_sdk_ec2::types::{Filter, IpPermission};
use aws_sdk_elasticloadbalancingv2::types::LoadBalancerAttribute;
use causeway_core::{Error, error::Found};

pub(super) async fn remove(of: &Leftovers, aws: &Aws, thing: &Leftover) -> Result<(), Error> {
    let id = thing.id.as_str();
    match thing.what {
        What::LoadBalancer => {
            // The controller's own protection, which only the controller would have taken off.
            let off =
                LoadBalancerAttribute::builder().key("deletion_protection.enabled").value("false").build();
            let call = aws.elbv2.modify_load_balancer_attributes().load_balancer_arn(id).attributes(off);
            call.send().await.call("elasticloadbalancing:ModifyLoadBalancerAttributes").found()?;
            let call = aws.elbv2.delete_load_balancer().load_balancer_arn(id).send().await;
            call.call("elasticloadbalancing:DeleteLoadBalancer").found().map(drop)
        }
        What::ClassicLoadBalancer => {
            let call = aws.elb.delete_load_balancer().load_balancer_name(id).send().await;
            call.call("elasticloadbalancing:DeleteLoadBalancer").found().map(drop)
        }
        What::TargetGroup => {
            let call = aws.elbv2.delete_target_group().target_group_arn(id).send().await;
            call.call("elasticloadbalancing:DeleteTargetGroup").found().map(drop)
        }
        What::Machine => {
            let call = aws.ec2.terminate_instances().instance_ids(id).send().await;
            call.call("ec2:TerminateInstances").found().map(drop)
        }
        What::LaunchTemplate => {
            let call = aws.ec2.delete_launch_template().launch_template_id(id).send().await;
            call.call("ec2:DeleteLaunchTemplate").found().map(drop)
        }
        What::LogGroup => {
            let call = aws.logs.delete_log_group().log_group_name(id).send().await;
            call.call("logs:DeleteLogGroup").found().map(drop)
        }
        What::Disk => {
            let call = aws.ec2.delete_volume().volume_id(id).send().await;
            call.call("ec2:DeleteVolume").found().map(drop)
        }
        What::Interface => {
            let call = aws.ec2.delete_network_interface().network_interface_id(id).send().await;
            call.call("ec2:DeleteNetworkInterface").found().map(drop)
        }
        What::InstanceProfile => {
            let found = aws.iam.get_instance_profile().instance_profile_name(id).send().await;
            let found =
                found.call("iam:GetInstanceProfile").found()?.and_then(|found| found.instance_profile);
            for role in found.iter().flat_map(|profile| profile.roles()) {
                let remove = aws.iam.remove_role_from_instance_profile().instance_profile_name(id);
                let remove = remove.role_name(role.role_name()).send().await;
                remove.call("iam:RemoveRoleFromInstanceProfile").found()?;
            }
            let call = aws.iam.delete_instance_profile().instance_profile_name(id).send().await;
            call.call("iam:DeleteInstanceProfile").found().map(drop)
        }
        What::SecurityGroup => {
            let_go(aws, of.vpc_id.get()?.as_str(), id).await?;
            let call = aws.ec2.delete_security_group().group_id(id).send().await;
            call.call("ec2:DeleteSecurityGroup").found().map(drop)
        }
    }
}

/// Takes the rules away that other groups of the network have about this one: the group of the nodes has some that the
/// load balancer controller added.
async fn let_go(aws: &Aws, vpc: &str, group: &str) -> Result<(), Error> {
    let inside = Filter::builder().name("vpc-id").values(vpc).build();
    let all = aws.ec2.describe_security_groups().filters(inside).into_paginator().items().send();
    let all: Vec<_> = all.try_collect().await.call("ec2:DescribeSecurityGroups")?;
    for other in all.iter().filter(|other| other.group_id() != Some(group)) {
        let id = other.group_id().unwrap_or_default();
        let about = about(other.ip_permissions(), group);
        if !about.is_empty() {
            let call = aws.ec2.revoke_security_group_ingress().group_id(id).set_ip_permissions(Some(about));
            call.send().await.call("ec2:RevokeSecurityGroupIngress").found()?;
        }
        let about = self::about(other.ip_permissions_egress(), group);
        if !about.is_empty() {
            let call = aws.ec2.revoke_security_group_egress().group_id(id).set_ip_permissions(Some(about));
            call.send().await.call("ec2:RevokeSecurityGroupEgress").found()?;
        }
    }
    Ok(())
}

/// The part of `permissions` that names `group`.
fn about(permissions: &[IpPermission], group: &str) -> Vec<IpPermission> {
    let part = |permission: &IpPermission| {
        let pairs = permission.user_id_group_pairs().iter().filter(|pair| pair.group_id() == Some(group));
        let pairs: Vec<_> = pairs.cloned().collect();
        let part = IpPermission::builder()
            .set_ip_protocol(permission.ip_protocol.clone())
            .set_from_port(permission.from_port)
            .set_to_port(permission.to_port);
        (!pairs.is_empty()).then(|| part.set_user_id_group_pairs(Some(pairs)).build())
    };
    permissions.iter().filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{IpRange, UserIdGroupPair};

    #[test]
    fn only_the_part_of_a_rule_goes_that_names_the_group() {
        let pair = |id: &str| UserIdGroupPair::builder().group_id(id).build();
        let both = IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(443)
            .to_port(443)
            .user_id_group_pairs(pair("sg-1"))
            .user_id_group_pairs(pair("sg-2"))
            .ip_ranges(IpRange::builder().cidr_ip("10.0.0.0/16").build())
            .build();
        let other = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(pair("sg-2")).build();
        let found = about(&[both, other], "sg-1");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].user_id_group_pairs(), [pair("sg-1")]);
        assert!(found[0].ip_ranges().is_empty());
    }
}
