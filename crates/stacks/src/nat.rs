//! fck-nat: a NAT instance of a few dollars a month in place of a NAT gateway of thirty.
//! <https://fck-nat.dev/>
//!
//! Routes lead to a network interface that stays. A group of one machine keeps a machine alive that takes the interface
//! when it boots; when it dies, the next one does the same, and no route changes. What is down meanwhile is one zone's
//! way out, for as long as a machine boots.

mod agent;
mod policy;
#[cfg(test)]
mod tests;

use causeway_aws::{
    autoscaling::{Group, RefreshPreferences},
    ec2::{
        BlockDevice, Cidr, Image, Instance, LaunchInterface, LaunchTemplate, MetadataOptions,
        NetworkInterface, Peer, SecurityGroup, SecurityGroupRule,
    },
    iam::{InstanceProfile, Policy, Role},
    id::{AllocationId, Arn, ImageId, NetworkInterfaceId, SecurityGroupId, SubnetId, VpcId},
    ssm::{Parameter, ParameterValue},
};
use causeway_core::{Name, Set, Stack, Tags, Value, text};
use std::collections::BTreeMap;

pub use agent::Agent;

/// How a NAT instance is made. [`FckNat::new`] has what is right for most.
#[derive(Clone, Debug)]
pub struct FckNat {
    /// What all its parts are called; unique in the account and region. Its own permissions hang on it: it may only
    /// touch interfaces with this name.
    pub name: String,
    /// Like `t4g.micro`. Its architecture is that of the image.
    pub instance_type: String,
    /// The image. `None`: the newest that the makers of fck-nat publish, so that a newer one is a planned change.
    pub image_id: Option<ImageId>,
    /// Its disk, in GiB.
    pub volume_size: i32,
    /// The key of its disk and of its parameter. `None`: AWS's own.
    pub kms_key_id: Option<Value<Arn>>,
    /// Whether a group keeps a machine alive. Without it there is one machine, and when it dies it stays dead.
    pub high_availability: bool,
    /// An address that traffic comes from, whichever machine it is. `None`: another one for every machine.
    pub allocation_id: Option<Value<AllocationId>>,
    /// Whether people may log in through Session Manager.
    pub session_manager: bool,
    /// Whether it is a spot instance: cheaper, and taken away when AWS needs it.
    pub spot: bool,
    /// Metrics of the machine itself. `None`: no agent.
    pub agent: Option<Agent>,
    /// Who may log in with SSH. `None`: nobody.
    pub ssh: Option<Ssh>,
    /// Security groups of the machine beside its own.
    pub additional_security_group_ids: Vec<Value<SecurityGroupId>>,
    /// Tags of everything, beside `Name`.
    pub tags: BTreeMap<String, String>,
}

/// Logging in with SSH.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The key pair in EC2. `None`: the image's own ways.
    pub key_name: Option<String>,
    /// From where, IPv4 and IPv6.
    pub from: Vec<Cidr>,
}

/// Where a NAT instance stands.
#[derive(Clone, Debug)]
pub struct NatPlace {
    /// Like `us-east-2`.
    pub region: String,
    /// The network.
    pub vpc_id: Value<VpcId>,
    /// All ranges of the network: whoever may send through it.
    pub vpc_cidr_blocks: Vec<Cidr>,
    /// A public subnet.
    pub subnet_id: Value<SubnetId>,
}

/// What the rest of a stack needs of a NAT instance.
#[derive(Clone, Debug)]
pub struct Nat {
    /// Where private routes lead.
    pub network_interface_id: Value<NetworkInterfaceId>,
    /// Its security group.
    pub security_group_id: Value<SecurityGroupId>,
    /// Its role.
    pub role_arn: Value<Arn>,
}

/// The account of the makers of fck-nat, which publishes their images.
const OWNER: &str = "568608671756";
const IMAGES: &str = "fck-nat-al2023-hvm-*";

/// All metrics of a group but those that it only has beside a warm pool's own: they cost nothing.
const METRICS: [&str; 20] = [
    "GroupMinSize",
    "GroupMaxSize",
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
    "GroupInServiceCapacity",
    "GroupPendingCapacity",
    "GroupStandbyCapacity",
    "GroupTerminatingCapacity",
    "GroupTotalCapacity",
    "WarmPoolDesiredCapacity",
    "WarmPoolWarmedCapacity",
    "WarmPoolPendingCapacity",
    "WarmPoolTerminatingCapacity",
    "WarmPoolTotalCapacity",
    "GroupAndWarmPoolDesiredCapacity",
    "GroupAndWarmPoolTotalCapacity",
];

impl FckNat {
    /// A `t4g.micro` with an encrypted disk of 8 GiB that is kept alive, sends metrics, and that people reach through
    /// Session Manager.
    pub fn new(name: impl Into<String>) -> Self {
        FckNat {
            name: name.into(),
            instance_type: "t4g.micro".to_owned(),
            image_id: None,
            volume_size: 8,
            kms_key_id: None,
            high_availability: true,
            allocation_id: None,
            session_manager: true,
            spot: false,
            agent: Some(Agent::default()),
            ssh: None,
            additional_security_group_ids: vec![],
            tags: BTreeMap::new(),
        }
    }

    /// Adds it to `stack`, whose place is its region.
    pub fn add(&self, stack: &mut Stack, place: &NatPlace) -> Nat {
        let security_group_id = self.security_group(stack, place);
        let interface = NetworkInterface {
            subnet_id: place.subnet_id.clone(),
            description: format!("{} static private ENI", self.name),
            groups: Set(vec![security_group_id.clone()]),
            source_dest_check: Some(false),
            private_ip_address: None,
            tags: self.tagged(),
        };
        let interface = stack.add("interface", interface);
        let parameter = self.agent.as_ref().map(|agent| {
            let config = ParameterValue::Plain(agent.config().into());
            let parameter = Parameter::secure(format!("{}-cloudwatch-agent-config", self.name), config);
            let parameter = Parameter { key_id: self.kms_key_id.clone(), tags: self.tagged(), ..parameter };
            stack.add("agent-config", parameter)
        });
        let document = policy::document(self, &place.region, parameter.as_ref().map(|p| p.arn.cast()));
        let policy = Policy::new(Name::generated(format!("{}-main", self.name)), document);
        let policy = stack.add("policy", Policy { tags: self.tagged(), ..policy });
        let role = Role::assumed_by(Name::generated(&self.name), "ec2.amazonaws.com");
        let managed_policy_arns = Set(vec![policy.arn.clone()]);
        let role = stack.add("role", Role { managed_policy_arns, tags: self.tagged(), ..role });
        let profile = InstanceProfile {
            name: Name::generated(&self.name),
            path: None,
            role: role.name.clone(),
            tags: self.tagged(),
        };
        let profile = stack.add("profile", profile);
        let image_id = match &self.image_id {
            Some(id) => id.clone().into(),
            None => stack.add("image", self.image()).image_id.clone(),
        };
        let user_data = user_data(
            &interface.network_interface_id,
            self.allocation_id.as_ref(),
            parameter.as_ref().map(|p| &p.name),
        );
        let own = [security_group_id.clone()];
        let groups = own.iter().chain(&self.additional_security_group_ids).cloned().collect();
        let template = LaunchTemplate {
            image_id: Some(image_id),
            instance_type: Some(self.instance_type.clone()),
            key_name: self.ssh.as_ref().and_then(|ssh| ssh.key_name.clone()),
            iam_instance_profile: Some(profile.arn.clone()),
            block_device_mappings: vec![BlockDevice {
                kms_key_id: self.kms_key_id.clone(),
                ..BlockDevice::gp3("/dev/xvda", self.volume_size)
            }],
            network_interfaces: vec![LaunchInterface {
                device_index: 0,
                subnet_id: Some(place.subnet_id.clone()),
                associate_public_ip_address: Some(true),
                groups: Set(groups),
                delete_on_termination: None,
            }],
            metadata_options: Some(MetadataOptions::imdsv2(None)),
            spot: self.spot,
            tag_specifications: ["instance", "network-interface", "volume"]
                .map(|of| (of.to_owned(), self.tagged().0))
                .into(),
            user_data: Some(user_data),
            tags: self.tagged(),
            ..LaunchTemplate::new(self.name.as_str())
        };
        let template = stack.add("template", template);
        let (id, version) = (template.launch_template_id.clone(), template.latest_version.clone());
        if self.high_availability {
            let group = Group::fixed(self.name.as_str(), id, Set(vec![place.subnet_id.clone()]), 1);
            let (name, tags) = self.tagged().0.into_iter().partition(|(key, _)| key == "Name");
            let group = Group {
                enabled_metrics: METRICS.into_iter().collect(),
                instance_version: Some(version),
                // There is one machine, and one that waits for the interface serves nobody: the old one goes first.
                refresh: Some(RefreshPreferences {
                    min_healthy_percentage: Some(0),
                    ..RefreshPreferences::default()
                }),
                propagated_tags: name,
                tags: Tags(tags),
                ..group
            };
            stack.add("group", group);
        } else {
            let machine = Instance::from_template(id, version);
            stack.add("machine", Instance { tags: self.tagged(), ..machine });
        }
        Nat {
            network_interface_id: interface.network_interface_id.clone(),
            security_group_id,
            role_arn: role.arn.clone(),
        }
    }

    /// The tags of every part.
    fn tagged(&self) -> Tags {
        let name = [("Name".to_owned(), self.name.clone())];
        Tags(name.into_iter().chain(self.tags.clone()).collect())
    }

    fn image(&self) -> Image {
        Image {
            owner: OWNER.to_owned(),
            name: IMAGES.to_owned(),
            architecture: architecture(&self.instance_type).to_owned(),
            pin: None,
        }
    }

    /// Everything from the network comes in, everything goes out.
    fn security_group(&self, stack: &mut Stack, place: &NatPlace) -> Value<SecurityGroupId> {
        let description = format!("Used in {} instance of fck-nat", self.name);
        let group = SecurityGroup::new(self.name.as_str(), description, place.vpc_id.clone());
        let group = stack.add("security-group", SecurityGroup { tags: self.tagged(), ..group });
        let id = &group.security_group_id;
        for (n, cidr) in place.vpc_cidr_blocks.iter().enumerate() {
            stack.add(&format!("in-{}", n + 1), SecurityGroupRule::all_in(id, Peer::cidr(cidr.as_str())));
        }
        for (n, cidr) in self.ssh.iter().flat_map(|ssh| &ssh.from).enumerate() {
            stack
                .add(&format!("ssh-{}", n + 1), SecurityGroupRule::tcp_in(id, 22, Peer::cidr(cidr.as_str())));
        }
        stack.add("out", SecurityGroupRule::all_out(id, Peer::anywhere()));
        stack.add("out-v6", SecurityGroupRule::all_out(id, Peer::cidr("::/0")));
        id.clone()
    }
}

/// `arm64` for a family with a `g` behind its generation, like `t4g.` and `im4gn.`; else `x86_64`.
fn architecture(instance_type: &str) -> &'static str {
    let family = instance_type.split('.').next().unwrap_or_default();
    let family = family.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let options = family.trim_start_matches(|c: char| c.is_ascii_digit());
    if options.len() < family.len() && options.starts_with('g') { "arm64" } else { "x86_64" }
}

/// Writes what the service on the machine reads, and starts it again.
fn user_data(
    interface: &Value<NetworkInterfaceId>,
    allocation: Option<&Value<AllocationId>>,
    agent_config: Option<&Value<String>>,
) -> Value<String> {
    let nothing = || Value::<String>::from("");
    let enabled = if agent_config.is_some() { "true" } else { "" };
    text!(
        "#!/bin/sh\n\n: > /etc/fck-nat.conf\necho \"eni_id=",
        interface,
        "\" >> /etc/fck-nat.conf\necho \"eip_id=",
        allocation.map_or_else(nothing, Value::cast),
        "\" >> /etc/fck-nat.conf\necho \"cwagent_enabled=",
        enabled,
        "\" >> /etc/fck-nat.conf\necho \"cwagent_cfg_param_name=",
        agent_config.cloned().unwrap_or_else(nothing),
        "\" >> /etc/fck-nat.conf\n\nservice fck-nat restart\n",
    )
}
