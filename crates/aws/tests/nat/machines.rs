//! Launch templates and what is started from them.

use crate::{
    change,
    in_sandbox::{REGION, client, registry},
    left, output, updates, with_subnet,
};
use causeway_aws::{
    Aws, AwsStack,
    autoscaling::{Group, RefreshPreferences},
    ec2::{BlockDevice, Instance, LaunchInterface, LaunchTemplate, MetadataOptions},
};
use causeway_core::{Name, Set, Stack, Tags, plan::Action, testing::Lifecycle};
use std::collections::{BTreeMap, BTreeSet};

fn template(name: &str, change: impl FnOnce(&mut LaunchTemplate)) -> Stack {
    let mut stack = Stack::new(name);
    stack.region(REGION, |stack| {
        let mut template = LaunchTemplate {
            image_id: Some(causeway_aws::id::ImageId::from("ami-0fc4a700000000003").into()),
            instance_type: Some("t4g.micro".into()),
            block_device_mappings: vec![BlockDevice::gp3("/dev/xvda", 8)],
            metadata_options: Some(MetadataOptions::imdsv2(None)),
            tag_specifications: [("instance".into(), [("Name".into(), "nat".into())].into())].into(),
            user_data: Some("#!/bin/sh\necho one\n".into()),
            tags: Tags::from([("Name", "nat")]),
            ..LaunchTemplate::new(Name::generated("nat"))
        };
        change(&mut template);
        stack.add("template", template);
    });
    stack
}

async fn versions(aws: &Aws, id: &str) -> (Option<i64>, Option<i64>) {
    let found = aws.ec2.describe_launch_templates().launch_template_ids(id).send().await.unwrap();
    let found = &found.launch_templates()[0];
    (found.default_version_number(), found.latest_version_number())
}

#[tokio::test]
async fn a_changed_template_is_a_new_version() {
    const ACCOUNT: &str = "200000000024";
    const STACK: &str = "template";
    let aws = client(ACCOUNT).await;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, template(STACK, |_| ())).await;
    let id = output(&life, "template", "launch_template_id").await;
    assert_eq!(versions(&aws, &id).await, (Some(1), Some(1)));

    let second = |t: &mut LaunchTemplate| {
        t.user_data = Some("#!/bin/sh\necho two\n".into());
        t.spot = true;
        t.block_device_mappings[0].volume_size = 16;
    };
    assert_eq!(change(&mut life, "data", template(STACK, second)).await, updates(&["template"]));
    assert_eq!(versions(&aws, &id).await, (Some(2), Some(2)));
    assert_eq!(output(&life, "template", "latest_version").await, "2");

    // Tags of the template are no version of it.
    let tagged = |t: &mut LaunchTemplate| {
        second(t);
        t.tags = Tags::from([("Name", "nat"), ("team", "platform")]);
    };
    assert_eq!(change(&mut life, "tag", template(STACK, tagged)).await, updates(&["template"]));
    assert_eq!(versions(&aws, &id).await, (Some(2), Some(2)));

    life.drift("an older default", "template", async {
        let modify = aws.ec2.modify_launch_template().launch_template_id(&id).default_version("1");
        modify.send().await.unwrap();
    })
    .await;
    assert_eq!(versions(&aws, &id).await, (Some(2), Some(2)));

    life.drift("a version by hand, with a key pair", "template", async {
        let data = aws_sdk_ec2::types::RequestLaunchTemplateData::builder();
        let data = data.image_id("ami-0fc4a700000000003").key_name("somebody").build();
        let request = aws.ec2.create_launch_template_version().launch_template_id(&id);
        request.launch_template_data(data).send().await.unwrap();
    })
    .await;
    assert_eq!(versions(&aws, &id).await, (Some(4), Some(4)));
    life.end().await;
    assert_eq!(left(&aws, STACK).await, [""; 0]);
}

/// What a group of machines varies.
#[derive(Clone, Copy)]
struct Machines {
    user_data: &'static str,
    size: i32,
    metrics: &'static [&'static str],
    label: &'static str,
}

const MACHINES: Machines =
    Machines { user_data: "one", size: 1, metrics: &["GroupMinSize", "GroupTotalInstances"], label: "nat" };

fn from_template(
    name: &str,
    user_data: &str,
    build: impl FnOnce(&mut Stack, &causeway_core::Handle<LaunchTemplate>),
) -> Stack {
    with_subnet(name, |stack, _, subnet| {
        let template = LaunchTemplate {
            image_id: Some(causeway_aws::id::ImageId::from("ami-0fc4a700000000003").into()),
            instance_type: Some("t4g.micro".into()),
            network_interfaces: vec![LaunchInterface {
                device_index: 0,
                subnet_id: Some(subnet.subnet_id.clone()),
                associate_public_ip_address: Some(true),
                groups: Set::default(),
                delete_on_termination: None,
            }],
            user_data: Some(user_data.into()),
            ..LaunchTemplate::new("machines")
        };
        let template = stack.add("template", template);
        build(stack, &template);
    })
}

fn machines(name: &str, variant: Machines) -> Stack {
    let mut subnet_id = None;
    let mut stack = with_subnet(name, |_, _, subnet| subnet_id = Some(subnet.subnet_id.clone()));
    let subnet_id = subnet_id.unwrap();
    stack.region(REGION, |stack| {
        let template = LaunchTemplate {
            image_id: Some(causeway_aws::id::ImageId::from("ami-0fc4a700000000003").into()),
            instance_type: Some("t4g.micro".into()),
            user_data: Some(variant.user_data.into()),
            ..LaunchTemplate::new("machines")
        };
        let template = stack.add("template", template);
        let group =
            Group::fixed("machines", template.launch_template_id.clone(), Set(vec![subnet_id]), variant.size);
        let group = Group {
            enabled_metrics: variant.metrics.iter().copied().collect(),
            instance_version: Some(template.latest_version.clone()),
            refresh: Some(RefreshPreferences {
                min_healthy_percentage: Some(0),
                ..RefreshPreferences::default()
            }),
            propagated_tags: [("Name".to_owned(), variant.label.to_owned())].into(),
            ..group
        };
        stack.add("group", group);
    });
    stack
}

async fn of_group(aws: &Aws, name: &str) -> aws_sdk_autoscaling::types::AutoScalingGroup {
    let found = aws.autoscaling.describe_auto_scaling_groups().auto_scaling_group_names(name).send().await;
    found.unwrap().auto_scaling_groups.unwrap_or_default().remove(0)
}

fn ids(group: &aws_sdk_autoscaling::types::AutoScalingGroup) -> BTreeSet<String> {
    group.instances().iter().filter_map(|i| i.instance_id().map(str::to_owned)).collect()
}

#[tokio::test]
async fn machines_follow_their_template() {
    const ACCOUNT: &str = "200000000025";
    const STACK: &str = "machines";
    let aws = client(ACCOUNT).await;
    let mut life = Lifecycle::start(registry(ACCOUNT).await, machines(STACK, MACHINES)).await;
    let group = of_group(&aws, "machines").await;
    let first = ids(&group);
    assert_eq!(first.len(), 1);
    assert_eq!(group.enabled_metrics().len(), 2);
    let propagates: BTreeMap<_, _> =
        group.tags().iter().map(|t| (t.key().unwrap(), t.propagate_at_launch().unwrap())).collect();
    assert!(propagates["Name"] && !propagates[Tags::STACK]);

    // Another version of the template: the machine is replaced, and that is waited for.
    let second = Machines { user_data: "two", ..MACHINES };
    let changed = change(&mut life, "user data", machines(STACK, second)).await;
    assert_eq!(changed, updates(&["group", "template"]));
    let group = of_group(&aws, "machines").await;
    assert!(ids(&group).is_disjoint(&first) && group.instances().len() == 1);
    assert_eq!(group.instances()[0].launch_template().unwrap().version(), Some("2"));
    let refreshes = aws.autoscaling.describe_instance_refreshes().auto_scaling_group_name("machines");
    let refreshes = refreshes.send().await.unwrap().instance_refreshes.unwrap_or_default();
    assert_eq!(refreshes.len(), 1);

    let third = Machines { size: 2, metrics: &["GroupMaxSize"], label: "other", ..second };
    assert_eq!(change(&mut life, "size, metrics, tag", machines(STACK, third)).await, updates(&["group"]));
    let group = of_group(&aws, "machines").await;
    assert_eq!((group.instances().len(), group.min_size(), group.max_size()), (2, Some(2), Some(2)));
    assert_eq!(group.enabled_metrics()[0].metric(), Some("GroupMaxSize"));
    assert_eq!(group.enabled_metrics().len(), 1);

    life.drift("scaled by hand", "group", async {
        let update = aws.autoscaling.update_auto_scaling_group().auto_scaling_group_name("machines");
        update.min_size(1).max_size(1).desired_capacity(1).send().await.unwrap();
    })
    .await;
    life.drift("tagged by hand", "group", async {
        let tag = aws_sdk_autoscaling::types::Tag::builder().resource_id("machines");
        let tag = tag.resource_type("auto-scaling-group").key("Name").value("x").propagate_at_launch(true);
        aws.autoscaling.create_or_update_tags().tags(tag.build()).send().await.unwrap();
    })
    .await;
    life.end().await;
    assert_eq!(left(&aws, STACK).await, [""; 0]);
    let groups = aws.autoscaling.describe_auto_scaling_groups().send().await.unwrap();
    assert!(groups.auto_scaling_groups().is_empty());
}

#[tokio::test]
async fn row_028_nat_plain_mode_is_one_machine_that_may_change_itself() {
    const ACCOUNT: &str = "200000000026";
    const STACK: &str = "machine";
    let aws = client(ACCOUNT).await;
    let stack = |user_data: &str| {
        from_template(STACK, user_data, |stack, template| {
            let version = template.latest_version.clone();
            let machine = Instance::from_template(template.launch_template_id.clone(), version);
            stack.add("machine", Instance { tags: Tags::from([("Name", "nat")]), ..machine });
        })
    };
    let mut life = Lifecycle::start(registry(ACCOUNT).await, stack("one")).await;
    let id = output(&life, "machine", "instance_id").await;
    // As the machine itself does.
    let off = aws_sdk_ec2::types::AttributeBooleanValue::builder().value(false).build();
    let modify = aws.ec2.modify_instance_attribute().instance_id(&id).source_dest_check(off);
    modify.send().await.unwrap();
    life.drift("stopped by hand", "machine", async {
        aws.ec2.stop_instances().instance_ids(&id).send().await.unwrap();
    })
    .await;
    assert_eq!(output(&life, "machine", "instance_id").await, id);
    let changed = change(&mut life, "another version", stack("two")).await;
    assert_eq!(changed["machine"], Action::ReplaceCreateFirst);
    assert_ne!(output(&life, "machine", "instance_id").await, id);
    life.end().await;
    assert_eq!(left(&aws, STACK).await, [""; 0]);
}
