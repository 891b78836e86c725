//! A namespace that workspaces run in: who they are, and how much they may use.

use crate::{
    objects::Objects,
    platform::namespace::{self, Namespace, PodSecurity},
    rbac::{Account, Rule, named, rule},
};
use causeway_core::{Address, Stack, Value};
use k8s_openapi::{
    api::{
        core::v1::{LimitRange, LimitRangeItem, LimitRangeSpec},
        networking::v1::{
            IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicySpec,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::LabelSelector},
};
use std::collections::BTreeMap;

/// The role of who makes workspaces.
pub(super) const ROLE: &str = "coder-workspace-perms";

const ALL: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// What workspaces are made of: all that their provisioner may touch.
pub(super) const RIGHTS: &[Rule] = &[
    rule(&[""], &["pods"], ALL),
    rule(&[""], &["persistentvolumeclaims"], ALL),
    rule(&["apps"], &["deployments"], ALL),
];

/// What people choose about a namespace of workspaces.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name, and that of the service account that workspaces run as.
    pub name: String,
    /// The role of AWS that workspaces act as.
    pub role_arn: Option<Value<String>>,
    /// What workspaces may be. `Baseline` leaves them root inside their container, which many templates need.
    pub security: PodSecurity,
    /// How much all pods may use together, like `requests.cpu`. No bounds where it is empty.
    pub quota: BTreeMap<String, String>,
    /// What a container has whose template does not say, as (request, limit) by resource. Without a limit on what it writes,
    /// one workspace fills the disk of all on its node.
    pub defaults: BTreeMap<String, (String, String)>,
}

impl Settings {
    /// Workspaces that may be root inside, with a bounded disk.
    pub fn new(name: &str) -> Self {
        let default = |name: &str, request: &str, limit: &str| {
            (name.to_owned(), (request.to_owned(), limit.to_owned()))
        };
        Settings {
            name: name.into(),
            role_arn: None,
            security: PodSecurity::Baseline,
            quota: BTreeMap::new(),
            defaults: BTreeMap::from([
                default("cpu", "500m", "4"),
                default("memory", "1Gi", "8Gi"),
                default("ephemeral-storage", "5Gi", "50Gi"),
            ]),
        }
    }
}

/// Where workspaces run: what provisioners and others in there wait for.
#[derive(Clone, Debug)]
pub struct Workspaces {
    /// The namespace.
    pub name: String,
    /// All that makes it up.
    pub made: Vec<Address>,
}

/// Adds the namespace.
pub fn add(stack: &mut Stack, settings: &Settings) -> Workspaces {
    let name = settings.name.as_str();
    let namespace = Namespace {
        name,
        security: settings.security,
        ingress: &[],
        egress: &[],
        quota: settings.quota.clone(),
    };
    let mut made = namespace::add(stack, &namespace);
    let mut objects = Objects::after(stack, made.clone());
    let mut account = Account::new(name, name).object(settings.role_arn.as_ref());
    // Templates name it, so it says where it comes from.
    account.metadata.labels = Some(
        ["instance", "name", "part-of"]
            .map(|label| (format!("app.kubernetes.io/{label}"), "coder-provisioner".to_owned()))
            .into(),
    );
    objects.add("service-account", &account);
    objects.add("allow-anywhere", &anywhere(name));
    if !settings.defaults.is_empty() {
        objects.add("defaults", &defaults(name, &settings.defaults));
    }
    made.extend(objects.all());
    Workspaces { name: name.to_owned(), made }
}

/// What people work with is anywhere, at any port; only who their node is, is not for them.
fn anywhere(namespace: &str) -> NetworkPolicy {
    let peer = NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: "0.0.0.0/0".into(), except: Some(vec!["169.254.169.254/32".into()]) }),
        ..NetworkPolicyPeer::default()
    };
    NetworkPolicy {
        metadata: named(Some(namespace), "allow-anywhere"),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector::default()),
            policy_types: Some(vec!["Egress".into()]),
            egress: Some(vec![NetworkPolicyEgressRule { to: Some(vec![peer]), ports: None }]),
            ingress: None,
        }),
    }
}

fn defaults(namespace: &str, all: &BTreeMap<String, (String, String)>) -> LimitRange {
    let pick = |one: fn(&(String, String)) -> &String| {
        Some(all.iter().map(|(name, both)| (name.clone(), Quantity(one(both).clone()))).collect())
    };
    LimitRange {
        metadata: named(Some(namespace), "defaults"),
        spec: Some(LimitRangeSpec {
            limits: vec![LimitRangeItem {
                type_: "Container".into(),
                default_request: pick(|both| &both.0),
                default: pick(|both| &both.1),
                ..LimitRangeItem::default()
            }],
        }),
    }
}
