//! Finds what is left.

use super::{Leftover, Leftovers, NAMES, OWNED, What};
use crate::{Aws, Call, ec2};
use aws_sdk_ec2::types::{Filter, InstanceStateName, NetworkInterfaceStatus, VolumeState};
use causeway_core::{Error, Tags, error::Found};

/// Everything that was made for the cluster and is still there, in order.
pub(super) async fn all(of: &Leftovers, aws: &Aws) -> Result<Vec<Leftover>, Error> {
    let vpc = of.vpc_id.get()?.as_str();
    let (balancing, classic, machines, templates, logs, disks, interfaces, profiles, groups) = tokio::try_join!(
        balancing(of, aws, vpc),
        classic(of, aws, vpc),
        machines(of, aws, vpc),
        templates(of, aws),
        logs(of, aws),
        disks(of, aws),
        interfaces(of, aws, vpc),
        profiles(of, aws),
        groups(of, aws, vpc),
    )?;
    let mut all =
        [balancing, classic, machines, templates, logs, disks, interfaces, profiles, groups].concat();
    all.sort();
    // A disk may carry both tags.
    all.dedup();
    Ok(all)
}

fn leftover(what: What, id: Option<&str>, label: Option<&str>) -> Leftover {
    let id = id.unwrap_or_default().to_owned();
    let label = label.map_or_else(|| id.clone(), str::to_owned);
    Leftover { what, id, label, busy: false }
}

fn inside(vpc: &str) -> Filter {
    Filter::builder().name("vpc-id").values(vpc).build()
}

/// Things of EC2 that are in no network: by the keys that any of their tags may have.
fn keyed(of: &Leftovers) -> Filter {
    let keys = NAMES.iter().map(|key| (*key).to_owned()).chain([of.owned()]).collect();
    Filter::builder().name("tag-key").set_values(Some(keys)).build()
}

async fn balancing(of: &Leftovers, aws: &Aws, vpc: &str) -> Result<Vec<Leftover>, Error> {
    let balancers = aws.elbv2.describe_load_balancers().into_paginator().items().send().try_collect();
    let balancers: Vec<_> = balancers.await.call("elasticloadbalancing:DescribeLoadBalancers")?;
    let groups = aws.elbv2.describe_target_groups().into_paginator().items().send().try_collect();
    let groups: Vec<_> = groups.await.call("elasticloadbalancing:DescribeTargetGroups")?;
    let balancers = balancers
        .iter()
        .filter(|b| b.vpc_id() == Some(vpc))
        .map(|b| leftover(What::LoadBalancer, b.load_balancer_arn(), b.load_balancer_name()));
    let groups = groups
        .iter()
        .filter(|g| g.vpc_id() == Some(vpc))
        .map(|g| leftover(What::TargetGroup, g.target_group_arn(), g.target_group_name()));
    let there: Vec<Leftover> = balancers.chain(groups).collect();
    let tagged = there.into_iter().map(async |thing| {
        let tags = aws.elbv2.tags.get(thing.id.clone()).await?;
        Ok::<_, Error>(tags.filter(|tags| of.is_of(tags)).map(|_| thing))
    });
    Ok(futures::future::try_join_all(tagged).await?.into_iter().flatten().collect())
}

/// Load balancers of the generation before have no ARN; their name is theirs alone in the region.
async fn classic(of: &Leftovers, aws: &Aws, vpc: &str) -> Result<Vec<Leftover>, Error> {
    let all = aws.elb.describe_load_balancers().into_paginator().items().send().try_collect();
    let all: Vec<_> = all.await.call("elasticloadbalancing:DescribeLoadBalancers")?;
    let inside = all.into_iter().filter(|balancer| balancer.vpc_id() == Some(vpc));
    let names: Vec<String> = inside.filter_map(|balancer| balancer.load_balancer_name).collect();
    let mut out = vec![];
    // As many as one call takes:
    // https://docs.aws.amazon.com/elasticloadbalancing/2012-06-01/APIReference/API_DescribeTags.html
    for names in names.chunks(20) {
        let call = aws.elb.describe_tags().set_load_balancer_names(Some(names.to_vec())).send().await;
        for one in call.call("elasticloadbalancing:DescribeTags")?.tag_descriptions() {
            let tags = one
                .tags()
                .iter()
                .map(|tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned()));
            if of.is_of(&Tags(tags.collect())) {
                out.push(leftover(What::ClassicLoadBalancer, one.load_balancer_name(), None));
            }
        }
    }
    Ok(out)
}

async fn machines(of: &Leftovers, aws: &Aws, vpc: &str) -> Result<Vec<Leftover>, Error> {
    let call = aws.ec2.describe_instances().filters(inside(vpc)).into_paginator().items().send();
    let there: Vec<_> = call.try_collect().await.call("ec2:DescribeInstances")?;
    let all = there.iter().flat_map(|reservation| reservation.instances());
    let all = all.filter(|machine| {
        let gone = machine.state().and_then(|state| state.name()) == Some(&InstanceStateName::Terminated);
        // A node group removes its own.
        let kept = machine.tags().iter().any(|tag| tag.key() == Some("eks:nodegroup-name"));
        !gone && !kept && of.is_of(&ec2::every_tag(machine.tags()))
    });
    Ok(all.map(|machine| leftover(What::Machine, machine.instance_id(), None)).collect())
}

async fn templates(of: &Leftovers, aws: &Aws) -> Result<Vec<Leftover>, Error> {
    let call = aws.ec2.describe_launch_templates().filters(keyed(of)).into_paginator().items().send();
    let there: Vec<_> = call.try_collect().await.call("ec2:DescribeLaunchTemplates")?;
    let all = there.iter().filter(|template| of.is_of(&ec2::every_tag(template.tags())));
    let named = all.map(|t| leftover(What::LaunchTemplate, t.launch_template_id(), t.launch_template_name()));
    Ok(named.collect())
}

/// Log groups have names by custom, and tags only where somebody gave them some.
async fn logs(of: &Leftovers, aws: &Aws) -> Result<Vec<Leftover>, Error> {
    let mut out = vec![];
    for custom in ["/aws/eks/", "/aws/containerinsights/"] {
        let prefix = format!("{custom}{}/", of.cluster_name);
        let call =
            aws.logs.describe_log_groups().log_group_name_prefix(prefix).into_paginator().items().send();
        let there: Vec<_> = call.try_collect().await.call("logs:DescribeLogGroups")?;
        for group in there {
            let arn = group.arn().unwrap_or_default().trim_end_matches(":*");
            let tags = aws.logs.list_tags_for_resource().resource_arn(arn).send().await;
            let tags = tags.call("logs:ListTagsForResource")?.tags.unwrap_or_default();
            if !tags.contains_key(Tags::STACK) {
                out.push(leftover(What::LogGroup, group.log_group_name(), None));
            }
        }
    }
    Ok(out)
}

/// Disks that stay when their machine goes.
async fn disks(of: &Leftovers, aws: &Aws) -> Result<Vec<Leftover>, Error> {
    let by = [(of.owned(), OWNED), ("KubernetesCluster".to_owned(), of.cluster_name.as_str())];
    let mut there = vec![];
    for (key, value) in by {
        let filter = Filter::builder().name(format!("tag:{key}")).values(value).build();
        let call = aws.ec2.describe_volumes().filters(filter).into_paginator().items().send();
        let found: Vec<_> = call.try_collect().await.call("ec2:DescribeVolumes")?;
        there.extend(found);
    }
    let all = there.iter().filter(|volume| {
        let goes = volume.attachments().iter().any(|a| a.delete_on_termination() == Some(true));
        let gone = matches!(volume.state(), Some(VolumeState::Deleting | VolumeState::Deleted));
        !goes && !gone && of.is_of(&ec2::every_tag(volume.tags()))
    });
    Ok(all
        .map(|volume| {
            let size = volume.size().unwrap_or_default();
            let id = volume.volume_id().unwrap_or_default();
            let claim =
                volume.tags().iter().find(|tag| tag.key() == Some("kubernetes.io/created-for/pvc/name"));
            let claim = claim.and_then(|tag| tag.value()).map(|name| format!(", {name}")).unwrap_or_default();
            let label = format!("{id} ({size} GiB{claim})");
            let busy = volume.state() != Some(&VolumeState::Available);
            Leftover { busy, ..leftover(What::Disk, Some(id), Some(&label)) }
        })
        .collect())
}

async fn interfaces(of: &Leftovers, aws: &Aws, vpc: &str) -> Result<Vec<Leftover>, Error> {
    let call = aws.ec2.describe_network_interfaces().filters(inside(vpc)).into_paginator().items().send();
    let there: Vec<_> = call.try_collect().await.call("ec2:DescribeNetworkInterfaces")?;
    let all = there.iter().filter(|interface| of.is_of(&ec2::every_tag(interface.tag_set())));
    Ok(all
        .map(|interface| {
            let busy = interface.status() != Some(&NetworkInterfaceStatus::Available);
            Leftover { busy, ..leftover(What::Interface, interface.network_interface_id(), None) }
        })
        .collect())
}

/// IAM is of no region, so that Karpenter tells those of a cluster apart by their path:
/// <https://github.com/aws/karpenter-provider-aws/blob/main/designs/instance-profile-garbage-collection.md>
async fn profiles(of: &Leftovers, aws: &Aws) -> Result<Vec<Leftover>, Error> {
    let path = format!("/karpenter/{}/{}/", aws.region, of.cluster_name);
    let call = aws.iam.list_instance_profiles().path_prefix(&path).into_paginator().items().send();
    let there: Vec<_> = call.try_collect().await.call("iam:ListInstanceProfiles")?;
    let mut out = vec![];
    for profile in there.iter().filter(|profile| profile.path().starts_with(&path)) {
        let name = profile.instance_profile_name();
        // The list leaves tags out.
        let found = aws.iam.get_instance_profile().instance_profile_name(name).send().await;
        let found = found.call("iam:GetInstanceProfile").found()?.and_then(|found| found.instance_profile);
        let tags = found.and_then(|profile| profile.tags).unwrap_or_default();
        if of.is_of(&Tags(tags.into_iter().map(|tag| (tag.key, tag.value)).collect())) {
            out.push(leftover(What::InstanceProfile, Some(name), None));
        }
    }
    Ok(out)
}

async fn groups(of: &Leftovers, aws: &Aws, vpc: &str) -> Result<Vec<Leftover>, Error> {
    let call = aws.ec2.describe_security_groups().filters(inside(vpc)).into_paginator().items().send();
    let there: Vec<_> = call.try_collect().await.call("ec2:DescribeSecurityGroups")?;
    let all = there.iter().filter(|group| of.is_of(&ec2::every_tag(group.tags())));
    Ok(all.map(|group| leftover(What::SecurityGroup, group.group_id(), group.group_name())).collect())
}
