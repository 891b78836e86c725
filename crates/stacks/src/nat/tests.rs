//! What a NAT instance is made of, to the letter: rows 23 to 34 of the parity list.

use super::*;
use causeway_aws::AwsStack as _;
use causeway_core::resource::Resource as _;
use serde_json::{Value as Json, json};

fn place() -> NatPlace {
    NatPlace {
        region: "us-east-2".into(),
        vpc_id: VpcId::from("vpc-1").into(),
        vpc_cidr_blocks: vec!["10.0.0.0/16".into(), "100.64.0.0/16".into()],
        subnet_id: SubnetId::from("subnet-1").into(),
    }
}

/// Specs by address.
fn parts(nat: &FckNat) -> BTreeMap<String, (&'static str, Json)> {
    let mut stack = Stack::new("test");
    stack.region("us-east-2", |stack| stack.scope("nat", |stack| nat.add(stack, &place())));
    stack.nodes().iter().map(|(address, node)| (address.0.clone(), (node.kind, node.spec.clone()))).collect()
}

fn spec(nat: &FckNat, name: &str) -> Json {
    parts(nat).remove(&format!("nat/{name}")).unwrap_or_else(|| panic!("no {name}")).1
}

fn document(nat: &FckNat) -> Json {
    let arn = Value::from("arn:aws:ssm:us-east-2:1:parameter/nat-cloudwatch-agent-config");
    let document = policy::document(nat, "us-east-2", nat.agent.as_ref().map(|_| arn));
    serde_json::from_str(&document.text().unwrap()).unwrap()
}

fn sids(nat: &FckNat) -> Vec<String> {
    let document = document(nat);
    let all = document["Statement"].as_array().unwrap().iter();
    all.map(|s| s["Sid"].as_str().unwrap().to_owned()).collect()
}

fn with_address() -> FckNat {
    let id = AllocationId::from("eipalloc-1");
    FckNat { allocation_id: Some(id.into()), ..FckNat::new("nat") }
}

#[test]
fn row_023_nat_ami_architecture_is_that_of_the_type() {
    for (instance_type, wanted) in [
        ("t4g.micro", "arm64"),
        ("c7gn.large", "arm64"),
        ("im4gn.large", "arm64"),
        ("g5g.xlarge", "arm64"),
        ("g5.xlarge", "x86_64"),
        ("t3.micro", "x86_64"),
        ("m6i.large", "x86_64"),
    ] {
        assert_eq!(architecture(instance_type), wanted, "{instance_type}");
    }
    let image = spec(&FckNat::new("nat"), "image");
    assert_eq!((&image["owner"], &image["name"]), (&json!("568608671756"), &json!("fck-nat-al2023-hvm-*")));
}

#[test]
fn row_024_nat_security_group() {
    let ssh = Ssh { key_name: Some("key".into()), from: vec!["192.0.2.0/24".into()] };
    let rules = |nat: &FckNat| -> Vec<String> {
        let rules = parts(nat).into_values().filter(|(kind, _)| *kind == SecurityGroupRule::KIND);
        let words = |rule: Json| {
            format!("{} {} {} {}", rule["direction"], rule["ip_protocol"], rule["from_port"], rule["peer"])
        };
        let mut rules: Vec<_> = rules.map(|(_, rule)| words(rule).replace('"', "")).collect();
        rules.sort();
        rules
    };
    let without = rules(&FckNat::new("nat"));
    assert_eq!(without.len(), 4, "{without:?}");
    for cidr in ["10.0.0.0/16", "100.64.0.0/16", "0.0.0.0/0", "::/0"] {
        assert!(without.iter().any(|rule| rule.contains(cidr) && rule.contains("-1")), "{without:?}");
    }
    let with = rules(&FckNat { ssh: Some(ssh), ..FckNat::new("nat") });
    let added: Vec<_> = with.iter().filter(|rule| !without.contains(rule)).collect();
    assert!(
        matches!(added[..], [rule] if rule.contains(" 22 ") && rule.contains("192.0.2.0/24")),
        "{added:?}"
    );
}

#[test]
fn row_025_nat_eni_has_the_name_that_the_policy_asks_for() {
    let interface = spec(&FckNat::new("nat"), "interface");
    assert_eq!(interface["source_dest_check"], json!(false));
    assert_eq!(interface["description"], json!("nat static private ENI"));
    assert_eq!(interface["tags"]["Name"], json!("nat"));
    let condition = &document(&FckNat::new("nat"))["Statement"][0]["Condition"];
    assert_eq!(*condition, json!({ "StringEquals": { "ec2:ResourceTag/Name": ["nat"] } }));
}

#[test]
fn row_026_nat_user_data_to_the_byte() {
    let interface = NetworkInterfaceId::from("eni-1").into();
    let config = Value::from("nat-cloudwatch-agent-config");
    let full = user_data(&interface, with_address().allocation_id.as_ref(), Some(&config));
    assert_eq!(
        full.get().unwrap(),
        "#!/bin/sh\n\
         \n\
         : > /etc/fck-nat.conf\n\
         echo \"eni_id=eni-1\" >> /etc/fck-nat.conf\n\
         echo \"eip_id=eipalloc-1\" >> /etc/fck-nat.conf\n\
         echo \"cwagent_enabled=true\" >> /etc/fck-nat.conf\n\
         echo \"cwagent_cfg_param_name=nat-cloudwatch-agent-config\" >> /etc/fck-nat.conf\n\
         \n\
         service fck-nat restart\n"
    );
    let least = user_data(&interface, None, None);
    assert!(
        least.get().unwrap().contains("echo \"eip_id=\" >> /etc/fck-nat.conf\necho \"cwagent_enabled=\" >>")
    );
}

#[test]
fn row_026_nat_launch_template() {
    let template =
        spec(&FckNat { tags: [("team".into(), "x".into())].into(), ..FckNat::new("nat") }, "template");
    assert_eq!(template["metadata_options"]["http_tokens"], json!("required"));
    let disk = &template["block_device_mappings"][0];
    let disk = [&disk["device_name"], &disk["volume_type"], &disk["volume_size"], &disk["encrypted"]];
    assert_eq!(disk, [&json!("/dev/xvda"), &json!("gp3"), &json!(8), &json!(true)]);
    let interface = &template["network_interfaces"][0];
    assert_eq!(interface["associate_public_ip_address"], json!(true));
    assert_eq!(interface["subnet_id"], json!("subnet-1"));
    let tags = json!({ "Name": "nat", "team": "x" });
    for of in ["instance", "network-interface", "volume"] {
        assert_eq!(template["tag_specifications"][of], tags);
    }
}

#[test]
fn row_027_nat_group_of_one() {
    let nat = FckNat { tags: [("team".into(), "x".into())].into(), ..FckNat::new("nat") };
    let group = spec(&nat, "group");
    for size in ["min_size", "max_size", "desired_capacity"] {
        assert_eq!(group[size], json!(1));
    }
    assert_eq!(group["launch_template_version"], json!("$Latest"));
    assert_eq!(group["health_check_type"], json!("EC2"));
    assert_eq!(group["enabled_metrics"]["$set"].as_array().unwrap().len(), 20);
    assert_eq!(group["propagated_tags"], json!({ "Name": "nat" }));
    assert_eq!(group["tags"], json!({ "team": "x" }));
}

#[test]
fn row_028_nat_plain_mode() {
    let plain = parts(&FckNat { high_availability: false, ..FckNat::new("nat") });
    assert!(plain.contains_key("nat/machine") && !plain.contains_key("nat/group"));
}

#[test]
fn row_029_nat_iam_statements() {
    let all = [
        "ManageNetworkInterface",
        "ManageEIPAllocation",
        "ManageEIPNetworkInterface",
        "CWAgentSSMParameter",
        "CWAgentMetrics",
        "SessionManager",
    ];
    assert_eq!(sids(&with_address()), all);
    assert_eq!(sids(&FckNat::new("nat")), [all[0], all[3], all[4], all[5]]);
    let least = FckNat { agent: None, session_manager: false, ..FckNat::new("nat") };
    assert_eq!(sids(&least), all[..1]);
    let statements = document(&with_address())["Statement"].clone();
    assert_eq!(
        statements,
        json!([
            {
                "Sid": "ManageNetworkInterface", "Effect": "Allow", "Resource": ["*"],
                "Action": ["ec2:AttachNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute"],
                "Condition": { "StringEquals": { "ec2:ResourceTag/Name": ["nat"] } },
            },
            {
                "Sid": "ManageEIPAllocation", "Effect": "Allow",
                "Action": ["ec2:AssociateAddress", "ec2:DisassociateAddress"],
                "Resource": ["arn:aws:ec2:us-east-2:*:elastic-ip/eipalloc-1"],
            },
            {
                "Sid": "ManageEIPNetworkInterface", "Effect": "Allow",
                "Action": ["ec2:AssociateAddress", "ec2:DisassociateAddress"],
                "Resource": ["arn:aws:ec2:us-east-2:*:network-interface/*"],
                "Condition": { "StringEquals": { "ec2:ResourceTag/Name": ["nat"] } },
            },
            {
                "Sid": "CWAgentSSMParameter", "Effect": "Allow", "Action": ["ssm:GetParameter"],
                "Resource": ["arn:aws:ssm:us-east-2:1:parameter/nat-cloudwatch-agent-config"],
            },
            {
                "Sid": "CWAgentMetrics", "Effect": "Allow", "Action": ["cloudwatch:PutMetricData"],
                "Resource": ["*"],
                "Condition": { "StringEquals": { "cloudwatch:namespace": ["fck-nat"] } },
            },
            {
                "Sid": "SessionManager", "Effect": "Allow", "Resource": ["*"],
                "Action": [
                    "ssm:UpdateInstanceInformation",
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ],
            },
        ])
    );
}

#[test]
fn row_030_nat_agent_configuration() {
    let parameter = spec(&FckNat::new("nat"), "agent-config");
    assert_eq!(parameter["name"], json!("nat-cloudwatch-agent-config"));
    assert_eq!(parameter["parameter_type"], json!("SecureString"));
    let config: Json = serde_json::from_str(parameter["value"]["plain"].as_str().unwrap()).unwrap();
    assert_eq!(
        config["agent"],
        json!({ "metrics_collection_interval": 60, "run_as_user": "root", "usage_data": false })
    );
    let metrics = &config["metrics"];
    assert_eq!(metrics["namespace"], json!("fck-nat"));
    assert!(metrics.get("endpoint_override").is_none());
    assert_eq!(metrics["append_dimensions"], json!({ "InstanceId": "${aws:InstanceId}" }));
    let renamed = |what: &str| -> Vec<String> {
        let all = metrics["metrics_collected"][what]["measurement"].as_array().unwrap().iter();
        all.map(|m| format!("{} {}", m["name"].as_str().unwrap(), m["rename"].as_str().unwrap())).collect()
    };
    assert_eq!(
        renamed("net"),
        [
            "bytes_recv BytesIn",
            "bytes_sent BytesOut",
            "packets_sent PacketsOutCount",
            "packets_recv PacketsInCount",
            "drop_in PacketsDropInCount",
            "drop_out PacketsDropOutCount",
        ]
    );
    assert_eq!(
        renamed("netstat"),
        [
            "tcp_syn_sent ConnectionAttemptOutCount",
            "tcp_syn_recv ConnectionAttemptInCount",
            "tcp_established ConnectionEstablishedCount",
        ]
    );
    assert_eq!(renamed("mem"), ["used_percent MemoryUsed"]);
    assert_eq!(metrics["metrics_collected"]["ethtool"]["metrics_include"].as_array().unwrap().len(), 4);
    let agent = Agent { endpoint_override: Some("logs.example.com".into()), ..Agent::default() };
    let other: Json = serde_json::from_str(&agent.config()).unwrap();
    assert_eq!(other["metrics"]["endpoint_override"], json!("logs.example.com"));
}

#[test]
fn row_034_each_switch_changes_its_part_and_no_other() {
    let changed = |nat: FckNat| -> Vec<String> {
        let (before, after) = (parts(&FckNat::new("nat")), parts(&nat));
        let all: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
        let differs = |name: &String| before.get(name) != after.get(name);
        all.into_iter().filter(differs).map(|name| name.trim_start_matches("nat/").to_owned()).collect()
    };
    let new = || FckNat::new("nat");
    assert_eq!(changed(FckNat { spot: true, ..new() }), ["template"]);
    assert_eq!(changed(FckNat { session_manager: false, ..new() }), ["policy"]);
    assert_eq!(changed(with_address()), ["policy", "template"]);
    assert_eq!(changed(FckNat { agent: None, ..new() }), ["agent-config", "policy", "template"]);
    assert_eq!(changed(FckNat { high_availability: false, ..new() }), ["group", "machine"]);
    assert_eq!(changed(FckNat { image_id: Some("ami-1".into()), ..new() }), ["image", "template"]);
}
