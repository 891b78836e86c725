//! Rows 13 to 35: the network.

use crate::{
    ACCOUNT, DESTROYED, EXAMPLE, MANAGED, OHIO, PROXIES, REGIONS, SINGLE_REGION, VARIANT, find, list,
    mistakes, ohio, one, refused, region, rules, set, tags, text, texts, world::World,
};
use causeway_aws::AwsStack as _;
use causeway_core::Stack;
use causeway_stacks::nat::{FckNat, NatPlace, Ssh};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Every subnet as its addresses, its purpose and its zone.
fn subnets(region: &Json) -> BTreeMap<&str, (String, &str)> {
    let all = list(&region["subnets"]).iter();
    let name = |subnet: &Json| {
        let name = tags(subnet)["Name"].to_owned();
        name.trim_start_matches("ai-coder-").rsplit_once('-').unwrap().0.to_owned()
    };
    all.map(|s| (text(&s["CidrBlock"]), (name(s), text(&s["AvailabilityZone"])))).collect()
}

fn is_public(subnet: &Json) -> bool {
    tags(subnet)["Name"].contains("-public-")
}

fn nat_name(region: &str) -> String {
    format!("ai-coder-{region}-nat-1")
}

/// The template, the interface and the group of the NAT instance of a region.
fn nat(name: &str) -> (&Json, &Json, &Json) {
    let region = region(name);
    let nat = nat_name(name);
    let interfaces = list(&region["interfaces"]).iter();
    let interface = interfaces.clone().find(|i| i["Tags"]["Name"] == *nat).unwrap();
    let template = find(&region["templates"], "LaunchTemplateName", &nat);
    (template, interface, find(&region["scaling"], "AutoScalingGroupName", &nat))
}

/// The specs of a NAT instance, by the name of the part.
fn parts(nat: &FckNat) -> BTreeMap<String, Json> {
    let place = NatPlace {
        region: OHIO.into(),
        vpc_id: causeway_aws::id::VpcId::from("vpc-1").into(),
        vpc_cidr_blocks: vec!["10.0.0.0/16".into()],
        subnet_id: causeway_aws::id::SubnetId::from("subnet-1").into(),
    };
    let mut stack = Stack::new("test");
    stack.region(OHIO, |stack| stack.scope("nat", |stack| nat.add(stack, &place)));
    let all = stack.nodes().iter();
    all.map(|(at, node)| (at.0.trim_start_matches("nat/").to_owned(), node.spec.clone())).collect()
}

fn new() -> FckNat {
    FckNat::new("nat")
}

/// Sids of the policy of a NAT instance that is only composed.
fn sids(nat: &FckNat) -> Vec<String> {
    let document = parts(nat)["policy"]["document"].clone();
    list(&document["statements"]).iter().map(|statement| text(&statement["sid"]).to_owned()).collect()
}

/// Every region has a /16 of its own and not the same, so that regions can be peered.
#[test]
fn row_013_vpc() {
    for (name, cidr) in REGIONS.into_iter().zip(["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16"]) {
        let vpc = one(&region(name)["vpcs"]);
        assert_eq!(vpc["CidrBlock"], cidr);
        assert_eq!((&vpc["enableDnsSupport"], &vpc["enableDnsHostnames"]), (&json!(true), &json!(true)));
        assert_eq!(vpc["Tags"]["Name"], format!("ai-coder-{name}"));
    }
}

/// Two more than before: nodes of the proxy itself, and workspaces in the other zone.
#[test]
fn row_014_proxy_subnets() {
    for (name, net) in PROXIES.into_iter().zip(["10.1", "10.2"]) {
        let there = subnets(region(name));
        let wanted = [
            ("10.0/24", "public", "a"),
            ("11.0/24", "public", "b"),
            ("20.0/24", "system", "a"),
            ("21.0/24", "system", "b"),
            ("22.0/24", "coder-provisioner", "a"),
            ("23.0/24", "coder-server", "b"),
            ("16.0/22", "coder-ws-all", "b"),
            ("24.0/22", "coder-ws-all", "a"),
        ];
        for (cidr, purpose, zone) in wanted {
            let (is, at) = &there[format!("{net}.{cidr}").as_str()];
            assert_eq!((is.as_str(), *at), (purpose, format!("{name}{zone}").as_str()), "{cidr}");
        }
        assert_eq!(there.len(), wanted.len());
        for subnet in list(&region(name)["subnets"]) {
            assert_eq!(subnet["PrivateDnsNameOptionsOnLaunch"]["HostnameType"], "ip-name");
        }
    }
}

/// Zones are what their names say, where several were not; workspaces are in three zones, and a third public subnet goes
/// with them.
#[test]
fn row_015_ohio_subnets() {
    let there = subnets(region(OHIO));
    let wanted = [
        ("10.0.10.0/24", "public", "a"),
        ("10.0.11.0/24", "public", "b"),
        ("10.0.12.0/24", "public", "c"),
        ("10.0.20.0/24", "private", "a"),
        ("10.0.21.0/24", "private", "b"),
        ("10.0.23.0/24", "private", "c"),
        ("10.0.16.0/22", "coder-ws-all", "a"),
        ("10.0.24.0/22", "coder-ws-all", "b"),
        ("10.0.28.0/22", "coder-ws-all", "c"),
        ("10.0.32.0/22", "coder-server", "a"),
        ("10.0.48.0/22", "coder-server", "b"),
        ("10.0.36.0/22", "coder-provisioner", "b"),
        ("10.0.40.0/22", "system", "a"),
        ("10.0.44.0/22", "system", "b"),
    ];
    for (cidr, purpose, zone) in wanted {
        let (is, at) = &there[cidr];
        assert_eq!((is.as_str(), *at), (purpose, format!("{OHIO}{zone}").as_str()), "{cidr}");
    }
    assert_eq!(there.len(), wanted.len());
}

/// Private subnets have a role too, the cluster is the real one, and so in all regions.
#[test]
fn row_016_role_tags() {
    for subnet in REGIONS.into_iter().flat_map(|name| list(&region(name)["subnets"])) {
        let tags = tags(subnet);
        let public = is_public(subnet);
        assert_eq!(tags.contains_key("kubernetes.io/role/elb"), public, "{tags:?}");
        assert_eq!(tags.contains_key("kubernetes.io/role/internal-elb"), !public, "{tags:?}");
        assert_eq!(tags["kubernetes.io/cluster/ai-coder"], "shared");
        let nodes = !public && !tags["Name"].contains("-private-");
        assert_eq!(tags.get("karpenter.sh/discovery").copied(), nodes.then_some("ai-coder"), "{tags:?}");
    }
}

/// One domain in all regions.
#[test]
fn row_017_owned_by_tags() {
    for name in REGIONS {
        let mut seen = BTreeSet::new();
        for subnet in list(&region(name)["subnets"]) {
            let tags = tags(subnet);
            let owned: Vec<_> = tags.iter().filter(|(key, _)| key.ends_with("/owned-by")).collect();
            if is_public(subnet) || tags["Name"].contains("-private-") {
                assert!(owned.is_empty(), "{tags:?}");
                continue;
            }
            let [(key, value)] = owned[..] else { panic!("{tags:?}") };
            let purpose = key.strip_prefix("subnet.coder.io/").unwrap().strip_suffix("/owned-by").unwrap();
            assert!(
                tags["Name"].starts_with(&format!("ai-coder-{purpose}-")) && *value == "ai-coder",
                "{tags:?}"
            );
            seen.insert(purpose.to_owned());
        }
        assert_eq!(seen, set(["coder-server", "coder-provisioner", "coder-ws-all", "system"]));
    }
}

/// No subnet gives public addresses: the NAT instance asks for its own. And no setting could make a private one do so.
#[test]
fn row_018_public_ip() {
    for subnet in REGIONS.into_iter().flat_map(|name| list(&region(name)["subnets"])) {
        assert_eq!(subnet["MapPublicIpOnLaunch"], false, "{}", subnet["CidrBlock"]);
    }
    let told = mistakes("[eks.network]\nmap_public_ip_on_launch = true");
    assert!(told.contains("map_public_ip_on_launch"), "{told}");
}

/// A private table for each zone, so that a way out for each is a change of routes alone.
#[test]
fn row_019_gateway_and_route_tables() {
    for name in REGIONS {
        let region = region(name);
        let gateway = one(&region["gateways"]);
        assert_eq!(gateway["Attachments"][0]["VpcId"], one(&region["vpcs"])["VpcId"]);
        let zones: BTreeSet<_> =
            list(&region["subnets"]).iter().map(|s| text(&s["AvailabilityZone"])).collect();
        for subnet in list(&region["subnets"]) {
            let mut tables = list(&region["tables"])
                .iter()
                .filter(|t| list(&t["Associations"]).iter().any(|a| a["SubnetId"] == subnet["SubnetId"]));
            let table = tables.next().unwrap();
            assert!(tables.next().is_none());
            let route = find(&table["Routes"], "DestinationCidrBlock", "0.0.0.0/0");
            if is_public(subnet) {
                assert_eq!(route["GatewayId"], gateway["InternetGatewayId"]);
            } else {
                assert_eq!(route["NetworkInterfaceId"], nat(name).1["NetworkInterfaceId"]);
                let zone = text(&subnet["AvailabilityZone"]).bytes().last().unwrap() - b'a' + 1;
                assert_eq!(tags(table)["Name"], format!("ai-coder-private-{zone}"));
            }
        }
        // One public, one for each zone, and the main one that no subnet uses and that leads nowhere.
        assert_eq!(list(&region["tables"]).len(), 2 + zones.len());
        let main = list(&region["tables"]).iter().find(|t| t["Associations"][0]["Main"] == true).unwrap();
        assert_eq!((list(&main["Associations"]).len(), list(&main["Routes"]).len()), (1, 1));
    }
}

/// The group emptied: what says nothing about its group reaches nothing. The list of the network is as AWS makes it, and
/// lets everything through: groups decide.
#[test]
fn row_020_default_group() {
    for name in REGIONS {
        let acl = one(&region(name)["acls"]);
        assert_eq!(acl["IsDefault"], true);
        let first = list(&acl["Entries"]).iter().filter(|entry| entry["RuleNumber"] == 100);
        let first: Vec<_> = first.map(|e| (&e["RuleAction"], &e["CidrBlock"], &e["Protocol"])).collect();
        let all = (&json!("allow"), &json!("0.0.0.0/0"), &json!("-1"));
        assert_eq!(first, [all, all]);
        for way in ["IpPermissions", "IpPermissionsEgress"] {
            assert!(rules(region(name), "default", way).is_empty());
        }
        let group = find(&region(name)["groups"], "GroupName", "default");
        assert_eq!(group["Tags"]["causeway:address"], format!("{name}/network/default-group"));
    }
}

/// A type of machines that is offered in fewer zones than there are subnets in.
const RARE: &str = r"
import collections
ec2 = boto3.client('ec2', region_name='us-east-2')
pages = ec2.get_paginator('describe_instance_type_offerings').paginate(LocationType='availability-zone')
zones = collections.Counter(offer['InstanceType'] for page in pages for offer in page['InstanceTypeOfferings'])
print(sorted(kind for kind, count in zones.items() if count < 3)[0])
";

/// Subnets are laid out in a /16 by us, so a range that does not hold them is the mistake that is left. Where zones are
/// missing there is no plan.
#[test]
fn row_021_cidr_validation() {
    let world = World::with(7108, SINGLE_REGION);
    let rare = world.boto3(RARE);
    let rare = rare.trim();
    world.edit("[eks]\n", &format!("[eks.system_nodes]\ninstance_type = \"{rare}\"\n\n[eks]\n"));
    let told = world.deploy(&["plan"]).text();
    assert!(told.contains("3 zones are needed") && told.contains(rare) && !told.contains("Plan:"), "{told}");
    for cidr in ["10.0.0.0/17", "10.0.1.0/16", "8.0.0.0/16", "10.0.0.0"] {
        let told = mistakes(&format!("[eks.network]\ncidr = \"{cidr}\""));
        assert!(told.contains("is not a private /16") && told.contains("eks.network"), "{told}");
    }
    let told = mistakes("[eks.regions.mars-north-1]");
    assert!(told.contains("no addresses are set aside for mars-north-1"), "{told}");
}

/// An error and not only a warning.
#[test]
fn row_022_ranges_of_regions_differ() {
    let told =
        refused("[eks.network]\ncidr = \"10.9.0.0/16\"\n[eks.regions.us-west-2]\ncidr = \"10.9.0.0/16\"");
    assert!(
        told.contains("in us-west-2 has the same addresses") && told.contains("[overlapping-ranges]"),
        "{told}"
    );
}

#[test]
fn row_023_nat_ami() {
    for name in REGIONS {
        let mut images: Vec<_> = list(&region(name)["images"])
            .iter()
            .filter(|i| i["Architecture"] == "arm64" && text(&i["Name"]).starts_with("fck-nat-al2023-hvm-"))
            .collect();
        images.sort_by_key(|i| text(&i["CreationDate"]));
        assert!(images.len() > 1);
        assert_eq!(nat(name).0["Data"]["ImageId"], images.last().unwrap()["ImageId"]);
        assert_eq!(nat(name).0["Data"]["InstanceType"], "t4g.micro");
    }
    // Another architecture is another image.
    let template = find(&ohio(&VARIANT.after)["templates"], "LaunchTemplateName", "options-us-east-2-nat-1");
    let image = find(&ohio(&VARIANT.after)["images"], "ImageId", text(&template["Data"]["ImageId"]));
    assert_eq!(
        (&template["Data"]["InstanceType"], &image["Architecture"]),
        (&json!("t3.micro"), &json!("x86_64"))
    );
}

#[test]
fn row_024_nat_group() {
    for (name, cidr) in REGIONS.into_iter().zip(["10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16"]) {
        let nat = nat_name(name);
        assert_eq!(rules(region(name), &nat, "IpPermissions"), set([&format!("-1 {cidr}")]));
        assert_eq!(rules(region(name), &nat, "IpPermissionsEgress"), set(["-1 0.0.0.0/0", "-1 ::/0"]));
    }
    let open = rules(ohio(&VARIANT.before), "options-us-east-2-nat-1", "IpPermissions");
    assert_eq!(open, set(["-1 10.0.0.0/16", "tcp 22 192.0.2.0/24"]));
    let told = mistakes("[eks.network]\nnat_ssh_from = [\"everybody\"]");
    assert!(told.contains("eks.network") && told.contains("everybody"), "{told}");
}

#[test]
fn row_025_nat_interface() {
    for name in REGIONS {
        let nat_name = nat_name(name);
        let interface = nat(name).1;
        assert_eq!(interface["SourceDestCheck"], false);
        assert_eq!(interface["Description"], format!("{nat_name} static private ENI"));
        assert_eq!(one(&interface["Groups"])["GroupName"], nat_name);
        let subnet = find(&region(name)["subnets"], "SubnetId", text(&interface["SubnetId"]));
        assert!(is_public(subnet));
        let statement = find(&nat_policy(name)["Statement"], "Sid", "ManageNetworkInterface");
        assert_eq!(statement["Condition"], json!({ "StringEquals": { "ec2:ResourceTag/Name": [nat_name] } }));
    }
}

#[test]
fn row_026_nat_launch_template() {
    for name in REGIONS {
        let nat_name = nat_name(name);
        let (template, interface, _) = nat(name);
        let data = &template["Data"];
        assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
        let disk = json!({ "DeviceName": "/dev/xvda", "Ebs": { "Encrypted": true, "VolumeSize": 8, "VolumeType": "gp3" } });
        assert_eq!(data["BlockDeviceMappings"], json!([disk]));
        let card = one(&data["NetworkInterfaces"]);
        assert_eq!((&card["AssociatePublicIpAddress"], &card["DeviceIndex"]), (&json!(true), &json!(0)));
        assert_eq!(
            (&card["SubnetId"], &card["Groups"][0]),
            (&interface["SubnetId"], &interface["Groups"][0]["GroupId"])
        );
        let tags = json!([{ "Key": "Name", "Value": nat_name }]);
        for of in ["instance", "network-interface", "volume"] {
            assert_eq!(find(&data["TagSpecifications"], "ResourceType", of)["Tags"], tags);
        }
        let id = text(&interface["NetworkInterfaceId"]);
        let script = format!(
            "#!/bin/sh\n\n: > /etc/fck-nat.conf\necho \"eni_id={id}\" >> /etc/fck-nat.conf\n\
             echo \"eip_id=\" >> /etc/fck-nat.conf\necho \"cwagent_enabled=true\" >> /etc/fck-nat.conf\n\
             echo \"cwagent_cfg_param_name={nat_name}-cloudwatch-agent-config\" >> /etc/fck-nat.conf\n\n\
             service fck-nat restart\n"
        );
        assert_eq!(data["UserData"], script);
    }
}

#[test]
fn row_027_nat_auto_scaling_group() {
    for name in REGIONS {
        let (template, interface, group) = nat(name);
        for size in ["MinSize", "MaxSize", "DesiredCapacity"] {
            assert_eq!(group[size], 1);
        }
        assert_eq!(group["HealthCheckType"], "EC2");
        assert_eq!(group["VPCZoneIdentifier"], interface["SubnetId"]);
        assert_eq!(group["LaunchTemplate"]["LaunchTemplateId"], template["LaunchTemplateId"]);
        assert_eq!(group["LaunchTemplate"]["Version"], "$Latest");
        let metrics: BTreeSet<_> =
            list(&group["EnabledMetrics"]).iter().map(|m| text(&m["Metric"])).collect();
        assert_eq!(metrics.len(), 20);
        for prefix in
            ["GroupMin", "GroupMax", "GroupDesired", "GroupInService", "WarmPool", "GroupAndWarmPool"]
        {
            assert!(metrics.iter().any(|metric| metric.starts_with(prefix)), "{metrics:?}");
        }
        for tag in list(&group["Tags"]) {
            assert_eq!(tag["PropagateAtLaunch"], tag["Key"] == "Name", "{tag}");
        }
        assert_eq!(one(&group["Instances"])["LifecycleState"], "InService");
    }
}

/// A machine and no group. That it turns its own check of addresses off is no drift: the plan after it was clean.
#[test]
fn row_028_nat_plain_mode() {
    let made = ohio(&DESTROYED.made);
    assert!(list(&made["scaling"]).is_empty());
    let machine = list(&made["instances"]).iter().find(|i| i["Tags"]["Name"] == "coder-us-east-2-nat-1");
    let template = find(&made["templates"], "LaunchTemplateName", "coder-us-east-2-nat-1");
    assert_eq!(machine.unwrap()["ImageId"], template["Data"]["ImageId"]);
    let (kept, plain) = (parts(&new()), parts(&FckNat { high_availability: false, ..new() }));
    assert!(kept.contains_key("group") && !kept.contains_key("machine"));
    assert!(plain.contains_key("machine") && !plain.contains_key("group"));
    let others = |parts: &BTreeMap<String, Json>| -> BTreeMap<String, Json> {
        parts
            .iter()
            .filter(|(k, _)| !["group", "machine"].contains(&k.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    assert_eq!(others(&kept), others(&plain));
    let machine = &plain["machine"];
    assert_eq!(machine["tags"]["Name"], "nat");
    // What the machine turns off and the template carries is not asked for, so nothing drifts.
    for ours in ["source_dest_check", "user_data"] {
        assert!(machine.get(ours).is_none_or(Json::is_null), "{machine}");
    }
}

/// The policy of the NAT instance of a region.
fn nat_policy(name: &str) -> &'static Json {
    policy_of(&EXAMPLE.listing, &nat_name(name))
}

fn policy_of<'a>(listing: &'a Json, nat: &str) -> &'a Json {
    let policies = listing["iam"]["policies"].as_object().unwrap();
    let prefix = format!("{nat}-main-");
    policies.iter().find(|(policy, _)| policy.starts_with(&prefix)).unwrap().1
}

#[test]
fn row_029_nat_iam() {
    for name in REGIONS {
        let nat = nat_name(name);
        let own = json!({ "StringEquals": { "ec2:ResourceTag/Name": [nat] } });
        let parameter = format!("arn:aws:ssm:{name}:{ACCOUNT}:parameter/{nat}-cloudwatch-agent-config");
        let wanted = [
            (
                "ManageNetworkInterface",
                vec!["ec2:AttachNetworkInterface", "ec2:ModifyNetworkInterfaceAttribute"],
                "*",
                own,
            ),
            ("CWAgentSSMParameter", vec!["ssm:GetParameter"], parameter.as_str(), Json::Null),
            (
                "CWAgentMetrics",
                vec!["cloudwatch:PutMetricData"],
                "*",
                json!({ "StringEquals": { "cloudwatch:namespace": ["fck-nat"] } }),
            ),
            (
                "SessionManager",
                vec![
                    "ssm:UpdateInstanceInformation",
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ],
                "*",
                Json::Null,
            ),
        ];
        let document = nat_policy(name);
        assert_eq!(list(&document["Statement"]).len(), wanted.len());
        for (sid, actions, resource, condition) in wanted {
            let statement = find(&document["Statement"], "Sid", sid);
            assert_eq!(texts(&statement["Action"]), actions.into_iter().collect());
            assert_eq!(statement["Resource"], json!([resource]));
            assert_eq!(statement["Condition"], condition);
        }
        let roles = EXAMPLE.listing["iam"]["roles"].as_object().unwrap();
        let (_, role) = roles.iter().find(|(role, _)| role.starts_with(&format!("{nat}-"))).unwrap();
        assert_eq!(
            role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"],
            json!({ "Service": ["ec2.amazonaws.com"] })
        );
        assert!(text(one(&role["managed"])).starts_with(&format!("{nat}-main-")));
    }
    let document = parts(&new())["policy"]["document"].clone();
    let read = find(&document["statements"], "sid", "CWAgentSSMParameter");
    assert!(read["resources"].to_string().contains("nat/agent-config#arn"), "{read}");
    // With an address of its own, and without an agent and Session Manager.
    let nat = "options-us-east-2-nat-1";
    let document = policy_of(&VARIANT.before, nat);
    assert_eq!(list(&document["Statement"]).len(), 3);
    let own = json!({ "StringEquals": { "ec2:ResourceTag/Name": [nat] } });
    let interface = find(&document["Statement"], "Sid", "ManageNetworkInterface");
    assert_eq!(interface["Condition"], own);
    let actions: BTreeSet<_> = ["ec2:AssociateAddress", "ec2:DisassociateAddress"].into();
    let address = find(&document["Statement"], "Sid", "ManageEIPAllocation");
    let id =
        text(&find(&ohio(&VARIANT.before)["addresses"], "AllocationId", &nat_address(nat))["AllocationId"]);
    assert_eq!(texts(&address["Action"]), actions);
    assert!(text(one(&address["Resource"])).ends_with(&format!(":elastic-ip/{id}")), "{address}");
    let of = find(&document["Statement"], "Sid", "ManageEIPNetworkInterface");
    assert_eq!((texts(&of["Action"]), &of["Condition"]), (actions, &own));
    assert!(text(one(&of["Resource"])).ends_with(":network-interface/*"), "{of}");
}

/// The address that the machine of `nat` is told to take.
fn nat_address(nat: &str) -> String {
    let template = find(&ohio(&VARIANT.before)["templates"], "LaunchTemplateName", nat);
    let script = text(&template["Data"]["UserData"]);
    script.split("eip_id=").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn row_030_nat_agent_parameter() {
    for name in REGIONS {
        let parameter =
            find(&region(name)["parameters"], "Name", &format!("{}-cloudwatch-agent-config", nat_name(name)));
        assert_eq!(parameter["Type"], "SecureString");
        let config: Json = serde_json::from_str(text(&parameter["Value"])).unwrap();
        let agent = json!({ "metrics_collection_interval": 60, "run_as_user": "root", "usage_data": false });
        assert_eq!(config["agent"], agent);
        assert_eq!(config["metrics"]["namespace"], "fck-nat");
        assert_eq!(config["metrics"]["append_dimensions"], json!({ "InstanceId": "${aws:InstanceId}" }));
        let collected = &config["metrics"]["metrics_collected"];
        let renamed = |what: &str| -> Vec<(&str, &str)> {
            list(&collected[what]["measurement"])
                .iter()
                .map(|m| (text(&m["name"]), text(&m["rename"])))
                .collect()
        };
        assert_eq!(
            renamed("net"),
            [
                ("bytes_recv", "BytesIn"),
                ("bytes_sent", "BytesOut"),
                ("packets_sent", "PacketsOutCount"),
                ("packets_recv", "PacketsInCount"),
                ("drop_in", "PacketsDropInCount"),
                ("drop_out", "PacketsDropOutCount"),
            ]
        );
        assert_eq!(
            renamed("netstat"),
            [
                ("tcp_syn_sent", "ConnectionAttemptOutCount"),
                ("tcp_syn_recv", "ConnectionAttemptInCount"),
                ("tcp_established", "ConnectionEstablishedCount"),
            ]
        );
        assert_eq!(renamed("mem"), [("used_percent", "MemoryUsed")]);
        let exceeded =
            ["bw_in", "bw_out", "conntrack", "pps"].map(|what| format!("{what}_allowance_exceeded"));
        assert_eq!(collected["ethtool"]["metrics_include"], json!(exceeded));
    }
}

#[test]
fn row_031_nat_update() {
    let (before, after) = (ohio(&VARIANT.before), ohio(&VARIANT.after));
    let image = |region: &Json, nat: &str| {
        find(&region["templates"], "LaunchTemplateName", nat)["Data"]["ImageId"].clone()
    };
    for nat in ["options-us-east-2-nat-1", "options-us-east-2-nat-2", "options-us-east-2-nat-3"] {
        assert_ne!(image(before, nat), image(after, nat));
        let machine = |region: &Json| {
            let group = find(&region["scaling"], "AutoScalingGroupName", nat);
            find(&region["instances"], "InstanceId", text(&one(&group["Instances"])["InstanceId"])).clone()
        };
        let (old, new) = (machine(before), machine(after));
        assert_ne!(old["InstanceId"], new["InstanceId"]);
        assert_eq!(new["ImageId"], image(after, nat));
        let interface = |region: &Json| {
            let all = list(&region["interfaces"]).iter();
            all.filter(|i| i["Tags"]["Name"] == nat && i["SourceDestCheck"] == false)
                .map(|i| i["NetworkInterfaceId"].clone())
                .next()
        };
        assert!(interface(before).is_some());
        assert_eq!(interface(before), interface(after));
    }
    let routes = |region: &Json| -> BTreeMap<String, Json> {
        list(&region["tables"])
            .iter()
            .map(|t| (text(&t["RouteTableId"]).to_owned(), t["Routes"].clone()))
            .collect()
    };
    assert_eq!(routes(before), routes(after));
    let touched: Vec<_> = VARIANT
        .change
        .iter()
        .filter(|(name, ..)| name.contains("Route") && !name.contains("Describe"))
        .collect();
    assert!(touched.is_empty(), "{touched:?}");
}

/// Where each zone's private subnets lead by default.
fn ways(region: &Json, key: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for table in list(&region["tables"]) {
        let Some(name) = table["Tags"].get("Name").filter(|n| text(n).contains("-private-")) else {
            continue;
        };
        let route = find(&table["Routes"], "DestinationCidrBlock", "0.0.0.0/0");
        out.insert(text(name).to_owned(), text(&route[key]).to_owned());
    }
    out
}

/// A way out in each zone, of either sort: the zone of a table is that of its NAT.
#[test]
fn row_032_nat_per_zone() {
    let zone = |region: &Json, subnet: &Json| {
        text(&find(&region["subnets"], "SubnetId", text(subnet))["AvailabilityZone"]).to_owned()
    };
    let check = |region: &Json, key: &str, all: &str, id: &str| {
        let ways = ways(region, key);
        assert_eq!(ways.len(), 3);
        assert_eq!(ways.values().collect::<BTreeSet<_>>().len(), 3, "{ways:?}");
        for (table, way) in ways {
            let there = find(&region[all], id, &way);
            let wanted = match table.bytes().last().unwrap() {
                b'1' => "a",
                b'2' => "b",
                _ => "c",
            };
            assert_eq!(zone(region, &there["SubnetId"]), format!("{OHIO}{wanted}"), "{table}");
        }
    };
    check(ohio(&VARIANT.before), "NetworkInterfaceId", "interfaces", "NetworkInterfaceId");
    let managed = ohio(&MANAGED);
    check(managed, "NatGatewayId", "nat_gateways", "NatGatewayId");
    assert!(list(&managed["scaling"]).is_empty());
}

/// Those of NAT gateways, and one for each machine of fck-nat that is to come from the same address always.
#[test]
fn row_033_nat_address() {
    let wanted: BTreeSet<String> =
        (1..=3).map(|n| nat_address(&format!("options-us-east-2-nat-{n}"))).collect();
    let there: BTreeSet<String> = list(&ohio(&VARIANT.before)["addresses"])
        .iter()
        .map(|address| text(&address["AllocationId"]).to_owned())
        .collect();
    assert_eq!((wanted.len(), &wanted), (3, &there));
    assert!(list(&region(OHIO)["addresses"]).is_empty());
    let managed = ohio(&MANAGED);
    let allocations: BTreeSet<_> =
        list(&managed["addresses"]).iter().map(|a| text(&a["AllocationId"])).collect();
    let used: BTreeSet<_> = list(&managed["nat_gateways"])
        .iter()
        .map(|g| text(&g["NatGatewayAddresses"][0]["AllocationId"]))
        .collect();
    assert_eq!((allocations.len(), &allocations), (3, &used));
}

#[test]
fn row_034_nat_switches() {
    let before = parts(&new());
    let changed = |nat: FckNat| -> Vec<String> {
        let after = parts(&nat);
        let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        all.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
    };
    assert_eq!(changed(FckNat { spot: true, ..new() }), ["template"]);
    assert_eq!(changed(FckNat { session_manager: false, ..new() }), ["policy"]);
    assert_eq!(changed(FckNat { agent: None, ..new() }), ["agent-config", "policy", "template"]);
    let ssh = Ssh { key_name: Some("key".into()), from: vec!["192.0.2.0/24".into()] };
    assert_eq!(changed(FckNat { ssh: Some(ssh), ..new() }), ["ssh-1", "template"]);
    let before = sids(&new());
    let after = sids(&FckNat { session_manager: false, ..new() });
    assert_eq!(before.into_iter().filter(|sid| !after.contains(sid)).collect::<Vec<_>>(), ["SessionManager"]);
    // All of them turned in the file.
    let there = ohio(&VARIANT.before);
    let data = &find(&there["templates"], "LaunchTemplateName", "options-us-east-2-nat-1")["Data"];
    assert_eq!(data["InstanceMarketOptions"]["MarketType"], "spot");
    assert!(text(&data["UserData"]).contains("echo \"cwagent_enabled=\" >>"), "{data}");
    assert!(list(&there["parameters"]).is_empty());
}

/// S3 as it is, all on request, none on request; flow logs on request.
#[test]
fn row_035_endpoints_and_flow_logs() {
    let services = |region: &Json| -> BTreeSet<String> {
        list(&region["endpoints"])
            .iter()
            .map(|e| format!("{} {}", text(&e["VpcEndpointType"]), text(&e["ServiceName"])))
            .collect()
    };
    for name in REGIONS {
        assert_eq!(services(region(name)), set([&format!("Gateway com.amazonaws.{name}.s3")]));
        let tables = texts(&one(&region(name)["endpoints"])["RouteTableIds"]).len();
        assert_eq!(tables, ways(region(name), "NetworkInterfaceId").len());
        assert!(list(&region(name)["flow_logs"]).is_empty());
    }
    let all = [
        "Gateway com.amazonaws.us-east-2.s3",
        "Interface com.amazonaws.us-east-2.ecr.api",
        "Interface com.amazonaws.us-east-2.ecr.dkr",
        "Interface com.amazonaws.us-east-2.sts",
    ];
    let options = ohio(&VARIANT.before);
    assert_eq!(services(options), set(all));
    assert_eq!(rules(options, "options-endpoints", "IpPermissions"), set(["tcp 443 10.0.0.0/16"]));
    let log = one(&options["flow_logs"]);
    assert_eq!(log["ResourceId"], one(&options["vpcs"])["VpcId"]);
    let group = find(&options["logs"], "logGroupName", text(&log["LogGroupName"]));
    assert_eq!(group["retentionInDays"], 30);
    assert!(services(ohio(&MANAGED)).is_empty());
}
