//! A namespace: what its pods may be, whom they may speak to, and how much they may use.

use crate::{objects::Objects, rbac::named};
use causeway_core::{Address, Stack};
use k8s_openapi::{
    api::{
        core::v1::{Namespace as Object, ResourceQuota, ResourceQuotaSpec},
        networking::v1::{
            IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
            NetworkPolicyPort, NetworkPolicySpec,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use std::collections::BTreeMap;

/// What pods may be. <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodSecurity {
    /// As little as is known to be enough.
    Restricted,
    /// Nothing that is known to lead out of a container.
    Baseline,
    /// Anything.
    Privileged,
}

impl PodSecurity {
    fn name(self) -> &'static str {
        match self {
            PodSecurity::Restricted => "restricted",
            PodSecurity::Baseline => "baseline",
            PodSecurity::Privileged => "privileged",
        }
    }
}

/// A port of TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Of TCP.
    Tcp(u16),
    /// Of UDP.
    Udp(u16),
}

impl From<&Port> for NetworkPolicyPort {
    fn from(port: &Port) -> Self {
        let (protocol, number) = match port {
            Port::Tcp(number) => ("TCP", number),
            Port::Udp(number) => ("UDP", number),
        };
        NetworkPolicyPort {
            protocol: Some(protocol.into()),
            port: Some(IntOrString::Int((*number).into())),
            end_port: None,
        }
    }
}

/// A namespace.
#[derive(Clone, Debug)]
pub struct Namespace<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its pods may be.
    pub security: PodSecurity,
    /// What its pods may be reached at, from anywhere. Pods of the namespace reach each other at any port.
    pub ingress: &'a [Port],
    /// What its pods may reach outside, beside names (port 53 of the cluster's DNS). Never the metadata of their node.
    pub egress: &'a [Port],
    /// How much all its pods may have together, like `pods` or `requests.cpu`. No bounds where it is empty.
    pub quota: BTreeMap<String, String>,
}

/// Where a node tells pods who it is: its credentials are not theirs.
const METADATA: &str = "169.254.169.254/32";

/// Adds the namespace with all that is in it from the start. What lives in it waits for the answer.
pub fn add(stack: &mut Stack, settings: &Namespace<'_>) -> Vec<Address> {
    let name = settings.name;
    let label =
        |what: &str| (format!("pod-security.kubernetes.io/{what}"), settings.security.name().to_owned());
    let mut labels = BTreeMap::from(["enforce", "audit", "warn"].map(label));
    labels.insert("pod-security.kubernetes.io/enforce-version".into(), "latest".into());
    let object =
        Object { metadata: ObjectMeta { labels: Some(labels), ..named(None, name) }, ..Object::default() };
    let mut objects = Objects::after(stack, []);
    objects.add("namespace", &object);
    objects.then();
    for (what, policy) in policies(settings) {
        let policy = NetworkPolicy { metadata: named(Some(name), what), spec: Some(policy) };
        objects.add(what, &policy);
    }
    if !settings.quota.is_empty() {
        let hard = settings.quota.iter().map(|(what, most)| (what.clone(), Quantity(most.clone())));
        let quota = ResourceQuota {
            metadata: named(Some(name), "all-pods"),
            spec: Some(ResourceQuotaSpec { hard: Some(hard.collect()), ..ResourceQuotaSpec::default() }),
            status: None,
        };
        objects.add("quota", &quota);
    }
    objects.all()
}

fn policies(settings: &Namespace<'_>) -> Vec<(&'static str, NetworkPolicySpec)> {
    let to_all_pods = |types: &[&str]| NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(types.iter().map(|&one| one.to_owned()).collect()),
        ..NetworkPolicySpec::default()
    };
    let same =
        NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    let system = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(
                "kubernetes.io/metadata.name".into(),
                "kube-system".into(),
            )])),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let anywhere = NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: "0.0.0.0/0".into(), except: Some(vec![METADATA.into()]) }),
        ..NetworkPolicyPeer::default()
    };
    let ports = |ports: &[Port]| Some(ports.iter().map(NetworkPolicyPort::from).collect::<Vec<_>>());
    let out = |to: NetworkPolicyPeer, at: Option<Vec<NetworkPolicyPort>>| NetworkPolicyEgressRule {
        to: Some(vec![to]),
        ports: at,
    };
    let mut all = vec![
        ("deny-all", to_all_pods(&["Ingress", "Egress"])),
        (
            "allow-each-other",
            NetworkPolicySpec {
                ingress: Some(vec![NetworkPolicyIngressRule { from: Some(vec![same.clone()]), ports: None }]),
                egress: Some(vec![out(same, None)]),
                ..to_all_pods(&["Ingress", "Egress"])
            },
        ),
        (
            "allow-names",
            NetworkPolicySpec {
                egress: Some(vec![out(system, ports(&[Port::Udp(53), Port::Tcp(53)]))]),
                ..to_all_pods(&["Egress"])
            },
        ),
    ];
    if !settings.ingress.is_empty() {
        let at = NetworkPolicyIngressRule { from: None, ports: ports(settings.ingress) };
        all.push(("allow-in", NetworkPolicySpec { ingress: Some(vec![at]), ..to_all_pods(&["Ingress"]) }));
    }
    if !settings.egress.is_empty() {
        let at = out(anywhere, ports(settings.egress));
        all.push(("allow-out", NetworkPolicySpec { egress: Some(vec![at]), ..to_all_pods(&["Egress"]) }));
    }
    all
}
