//! The NAT instance in the sandbox: made, rolled to another image, as one machine, and gone. Looked at with clients
//! beside the engine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use causeway_aws::{
    Aws, AwsStack, Region,
    ec2::{ElasticIp, Route, RouteTable, RouteTarget, Subnet, Vpc},
    id::ImageId,
};
use causeway_core::{Registry, Set, Stack, Tags, plan::Action, testing::Lifecycle};
use causeway_stacks::nat::{FckNat, NatPlace};
use std::collections::BTreeMap;

const REGION: &str = "us-east-2";
const ACCOUNT: &str = "200000000031";

async fn config() -> SdkConfig {
    let sandbox = causeway_sandbox::shared().unwrap_or_else(|e| panic!("{}", causeway_core::error::chain(e)));
    let (key, secret) = sandbox.credentials(ACCOUNT).expect("an account has twelve digits");
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(sandbox.endpoint())
        .credentials_provider(Credentials::new(key, secret, None, None, "sandbox"))
        .retry_config(causeway_aws::retries())
        .region(aws_config::Region::new(REGION))
        .load()
        .await
}

/// A private subnet whose way out is the NAT.
fn stack(change: impl FnOnce(&mut FckNat)) -> Stack {
    let mut stack = Stack::new("nat-test");
    stack.region(REGION, |stack| {
        let vpc = Vpc {
            cidr_block: "10.0.0.0/16".into(),
            enable_dns_support: Some(true),
            enable_dns_hostnames: Some(true),
            tags: Tags::default(),
        };
        let vpc = stack.add("vpc", vpc);
        let subnet = |stack: &mut Stack, name: &str, cidr: &str| {
            let subnet = Subnet {
                vpc_id: vpc.vpc_id.clone(),
                cidr_block: cidr.into(),
                availability_zone: Some("us-east-2a".into()),
                map_public_ip_on_launch: Some(false),
                private_dns_hostname_type_on_launch: Some("ip-name".into()),
                tags: Tags::default(),
            };
            stack.add(name, subnet).subnet_id.clone()
        };
        let public = subnet(stack, "public", "10.0.10.0/24");
        let private = subnet(stack, "private", "10.0.20.0/24");
        let address = stack.add("address", ElasticIp { tags: Tags::default() });
        let mut nat = FckNat::new("coder-nat");
        nat.allocation_id = Some(address.allocation_id.clone());
        change(&mut nat);
        let place = NatPlace {
            region: REGION.into(),
            vpc_id: vpc.vpc_id.clone(),
            vpc_cidr_blocks: vec!["10.0.0.0/16".into()],
            subnet_id: public,
        };
        let nat = stack.scope("nat", |stack| nat.add(stack, &place));
        let table =
            RouteTable { vpc_id: vpc.vpc_id.clone(), subnet_ids: Set(vec![private]), tags: Tags::default() };
        let table = stack.add("table", table);
        let target = RouteTarget::NetworkInterfaceId(nat.network_interface_id);
        stack.add("out", Route::anywhere(table.route_table_id.clone(), target));
    });
    stack
}

async fn change(life: &mut Lifecycle, what: &str, stack: Stack) -> BTreeMap<String, Action> {
    let steps = life.change(what, stack).await.into_iter();
    let quiet = |action: &Action| matches!(action, Action::Keep | Action::Wait | Action::Record);
    steps.filter(|(_, action)| !quiet(action)).map(|(address, action)| (address.0, action)).collect()
}

async fn output(life: &Lifecycle, address: &str, field: &str) -> String {
    let outputs = life.outputs(address).await;
    outputs[field].as_str().unwrap_or_else(|| panic!("no {field} in {outputs}")).to_owned()
}

#[tokio::test]
async fn rows_024_to_033_nat_instance() {
    let config = config().await;
    let aws = Aws::new(&config, &Region::new(REGION));
    let mut registry = Registry::new();
    causeway_aws::register(&mut registry, config);
    let mut life = Lifecycle::start(registry, stack(|_| ())).await;

    // Row 25 and 19: the route leads to an interface that forwards.
    let interface = output(&life, "nat/interface", "network_interface_id").await;
    let table = output(&life, "table", "route_table_id").await;
    let leads_to_it = async || {
        let tables = aws.ec2.describe_route_tables().route_table_ids(&table).send().await.unwrap();
        tables.route_tables()[0].routes().iter().any(|r| r.network_interface_id() == Some(&interface))
    };
    assert!(leads_to_it().await);
    let shown = aws.ec2.describe_network_interfaces().network_interface_ids(&interface).send().await.unwrap();
    assert_eq!(shown.network_interfaces()[0].source_dest_check(), Some(false));

    // Rows 26, 30 and 33: what the machine is told, and the configuration of its agent.
    let template = output(&life, "nat/template", "launch_template_id").await;
    let newest = async || {
        let versions = aws.ec2.describe_launch_template_versions().launch_template_id(&template);
        let versions = versions.versions("$Latest").send().await.unwrap();
        versions.launch_template_versions()[0].launch_template_data().unwrap().clone()
    };
    let data = newest().await;
    let address = output(&life, "address", "allocation_id").await;
    let parameter = output(&life, "nat/agent-config", "name").await;
    let wanted = format!(
        "#!/bin/sh\n\n: > /etc/fck-nat.conf\necho \"eni_id={interface}\" >> /etc/fck-nat.conf\n\
         echo \"eip_id={address}\" >> /etc/fck-nat.conf\necho \"cwagent_enabled=true\" >> /etc/fck-nat.conf\n\
         echo \"cwagent_cfg_param_name={parameter}\" >> /etc/fck-nat.conf\n\nservice fck-nat restart\n"
    );
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    assert_eq!(String::from_utf8(STANDARD.decode(data.user_data().unwrap()).unwrap()).unwrap(), wanted);
    let first = data.image_id().unwrap().to_owned();
    let secure = aws.ssm.get_parameter().name(&parameter).with_decryption(true).send().await.unwrap();
    let secure = secure.parameter.unwrap();
    assert_eq!(secure.r#type.unwrap().as_str(), "SecureString");
    assert!(secure.value.unwrap().contains("ConnectionAttemptOutCount"));

    // Row 27.
    let group = async || {
        let found = aws.autoscaling.describe_auto_scaling_groups().auto_scaling_group_names("coder-nat");
        found.send().await.unwrap().auto_scaling_groups.unwrap_or_default().remove(0)
    };
    let there = group().await;
    assert_eq!((there.min_size(), there.max_size(), there.desired_capacity()), (Some(1), Some(1), Some(1)));
    assert_eq!(there.enabled_metrics().len(), 20);
    assert_eq!(there.launch_template().unwrap().version(), Some("$Latest"));
    let machine = there.instances()[0].instance_id().unwrap().to_owned();

    // Row 31: another image rolls the machine; interface and routes stay.
    let older = ImageId::from("ami-0fc4a700000000001");
    let changed = change(&mut life, "another image", stack(|nat| nat.image_id = Some(older.clone()))).await;
    let updates = ["nat/group", "nat/template"].map(|name| (name.to_owned(), Action::Update));
    assert_eq!(changed, updates.into());
    assert_ne!(newest().await.image_id(), Some(first.as_str()));
    assert_ne!(group().await.instances()[0].instance_id(), Some(machine.as_str()));
    assert_eq!(output(&life, "nat/interface", "network_interface_id").await, interface);
    assert!(leads_to_it().await);

    // Row 28.
    let plain = |nat: &mut FckNat| {
        nat.image_id = Some(older.clone());
        nat.high_availability = false;
    };
    let changed = change(&mut life, "one machine", stack(plain)).await;
    assert_eq!((changed["nat/machine"], changed["nat/group"]), (Action::Create, Action::Delete));
    life.end().await;
    let left = aws.ec2.describe_network_interfaces().send().await.unwrap();
    assert!(left.network_interfaces().iter().all(|i| i.network_interface_id() != Some(&interface)));
}
