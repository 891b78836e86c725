//! Coder on EKS: a region with the control plane of Coder, and regions with proxies.

mod cluster;
mod config;
mod data;
mod iam;
mod karpenter;
mod layout;
mod legal;
mod network;
mod registry;
mod roles;
mod security;
mod workloads;

use crate::config::{Given, Problem, StackConfig};
use causeway_aws::{AwsStack, iam::Deployer, id::Arn, sts::CallerIdentity};
use causeway_core::{Stack, Tags, Value};
use causeway_k8s::litellm::{Model, default_models};
pub use config::*;
pub use roles::llm_key_name;
use workloads::Here;
pub use workloads::{
    Alerts, Certificates, Coder, Dns, Jobs, LoadBalancer, Nodes, Organization, Pool, ProvisionerKind,
    ProvisionerSet, Proxy,
};

impl Eks {
    /// What cannot work in a stack like `common`, all of it.
    pub fn problems(&self, common: &StackConfig) -> Vec<Problem> {
        legal::problems(self, common)
    }

    /// The models that LiteLLM leads to; none where it is not part of the stack.
    pub fn language_models(&self) -> Vec<Model> {
        let runs = self.coder.is_some() && self.litellm.as_ref().is_some_and(|litellm| litellm.url.is_some());
        if runs { default_models(false) } else { vec![] }
    }
}

/// Builds the stack: everything of a region is in a scope of its name. Regions stand side by side; a proxy's needs of the
/// control plane's only the repositories and the secret with the key of LiteLLM, which are there early.
pub fn eks(stack: &mut Stack, common: &StackConfig, config: &Eks, given: &Given) {
    for (key, value) in &common.tags {
        stack.tag(key, value);
    }
    let home = in_region(stack, &common.region, |stack| {
        let caller = stack.add("caller", CallerIdentity::default());
        let regions: Vec<&str> = config.regions.keys().map(String::as_str).collect();
        let admitted = config.access.admits_deployer();
        let deployer = admitted.then(|| stack.add("deployer", Deployer::default()).arn.clone());
        let repositories = registry::registry(stack, &config.registry, &caller.account, &regions);
        let site = site(common, &common.region, &caller.account, &caller.partition);
        let place = Place {
            config,
            site,
            home: &common.region,
            network: &config.network,
            nodes: &config.system_nodes,
            deployer: deployer.as_ref(),
        };
        let built = in_place(stack, &place, &layout::CONTROL_PLANE);
        let data = data::data(stack, config, &built.network, &built.security);
        let llm_key =
            config.litellm.as_ref().map(|_| roles::llm_key(stack, &place.site, &built.security.key));
        let roles = place.roles(stack, &built, &repositories, llm_key.as_ref(), true);
        place.workloads(stack, &built, &roles, given, Here::ControlPlane(&data));
        let (account, partition) = (caller.account.clone(), caller.partition.clone());
        Home { account, partition, deployer, repositories, llm_key }
    });
    for (name, region) in &config.regions {
        let network = Network { cidr: region.cidr.clone(), ..config.network.clone() };
        let nodes = region.system_nodes.as_ref().unwrap_or(&config.system_nodes);
        let site = site(common, name, &home.account, &home.partition);
        let place = Place {
            config,
            site,
            home: &common.region,
            network: &network,
            nodes,
            deployer: home.deployer.as_ref(),
        };
        in_region(stack, name, |stack| {
            let built = in_place(stack, &place, &layout::PROXY);
            let roles = place.roles(stack, &built, &home.repositories, home.llm_key.as_ref(), false);
            place.workloads(stack, &built, &roles, given, Here::Proxy(region.proxy.as_ref()));
        });
    }
}

/// What the region of the control plane has for the others.
struct Home {
    account: Value<String>,
    partition: Value<String>,
    /// Who deploys, if that is somebody who may enter the clusters.
    deployer: Option<Value<Arn>>,
    repositories: Vec<Value<Arn>>,
    llm_key: Option<iam::KeySecret>,
}

/// What a region is built from.
struct Place<'a> {
    config: &'a Eks,
    site: iam::Site,
    /// The region of the control plane.
    home: &'a str,
    network: &'a Network,
    nodes: &'a SystemNodes,
    deployer: Option<&'a Value<Arn>>,
}

/// What every region has.
struct Built {
    network: network::Networks,
    security: security::Security,
    cluster: cluster::Cluster,
    karpenter: karpenter::Karpenter,
}

fn in_region<T>(stack: &mut Stack, region: &str, build: impl FnOnce(&mut Stack) -> T) -> T {
    stack.region(region, |stack| stack.scope(region, build))
}

fn site(common: &StackConfig, region: &str, account: &Value<String>, partition: &Value<String>) -> iam::Site {
    iam::Site {
        region: region.to_owned(),
        account: account.clone(),
        partition: partition.clone(),
        cluster: common.name.clone(),
    }
}

fn in_place(stack: &mut Stack, place: &Place<'_>, layout: &[layout::Block]) -> Built {
    let Place { config, site, nodes, .. } = place;
    // A region without addresses was told when the file was read.
    let cidr = place.network.cidr.clone().or_else(|| layout::default_cidr(&site.region)).unwrap_or_default();
    let network = network::network(
        stack,
        &network::Wanted {
            config: place.network,
            cidr: &cidr,
            layout,
            cluster: &site.cluster,
            instance_types: std::slice::from_ref(&nodes.instance_type),
            region: &site.region,
        },
    );
    let security = security::security(stack, &network.vpc_id, &site.cluster);
    let cluster = cluster::cluster(stack, config, nodes, site, &network, &security, place.deployer);
    let karpenter = karpenter::karpenter(stack, site, &cluster, config.permissions_boundary.as_deref());
    Built { network, security, cluster, karpenter }
}

impl Place<'_> {
    fn roles(
        &self,
        stack: &mut Stack,
        built: &Built,
        repositories: &[Value<Arn>],
        llm_key: Option<&iam::KeySecret>,
        control_plane: bool,
    ) -> roles::Roles {
        let wanted = roles::Wanted {
            config: self.config,
            site: &self.site,
            cluster: &built.cluster,
            karpenter: &built.karpenter,
            repositories,
            llm_key,
            control_plane,
        };
        roles::roles(stack, &wanted)
    }

    /// What runs inside, where the file says what.
    fn workloads(
        &self,
        stack: &mut Stack,
        built: &Built,
        roles: &roles::Roles,
        given: &Given,
        here: Here<'_>,
    ) {
        let config = self.config;
        let Some(coder) = &config.coder else { return };
        let wanted =
            workloads::Wanted { config, coder, site: &self.site, home: self.home, built, roles, given, here };
        workloads::workloads(stack, &wanted);
    }
}

/// The `Name` tag that AWS's own pages show.
fn named(stack: &Stack, what: &str) -> Tags {
    Tags::from([("Name", format!("{}-{what}", stack.name()))])
}
