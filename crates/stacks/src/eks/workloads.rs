//! What runs inside the clusters: the platform, Coder, its proxies and provisioners, LiteLLM.

mod applications;
mod config;
mod jobs;
mod legal;
mod names;
mod platform;

pub(super) use applications::set_account;
pub use config::*;
pub(super) use legal::problems;

use super::{
    Built,
    config::Eks,
    data::{Data, Models},
    iam::Site,
    roles::Roles,
};
use crate::config::{Given, SecretSource};
use causeway_core::{Address, Secret, Stack, Value};
use causeway_k8s::{
    Access, Stored,
    kept::{Keeper, Kept},
    workload,
};
use std::collections::{BTreeMap, BTreeSet};

/// One region, and what is meant for the cluster in it.
pub(super) struct Wanted<'a> {
    pub config: &'a Eks,
    pub coder: &'a Coder,
    pub site: &'a Site,
    /// The region of the control plane.
    pub home: &'a str,
    pub built: &'a Built,
    pub roles: &'a Roles,
    pub given: &'a Given,
    pub here: Here<'a>,
}

/// What is in this region beside workspaces.
pub(super) enum Here<'a> {
    /// Coder itself.
    ControlPlane(&'a Data),
    /// A proxy, if it has been made known to Coder.
    Proxy(Option<&'a Proxy>),
}

/// Adds all of it. Everything waits until whoever deploys may enter the cluster and there are nodes, so that on the way
/// back controllers are there to clean up.
pub(super) fn workloads(stack: &mut Stack, wanted: &Wanted<'_>) {
    let Wanted { site, built, .. } = wanted;
    let access = Access {
        region: site.region.clone(),
        name: site.cluster.clone(),
        endpoint: built.cluster.endpoint.clone(),
        certificate_authority: built.cluster.certificate_authority.clone(),
    };
    let before: BTreeSet<Address> = stack.nodes().keys().cloned().collect();
    stack.at(&access, |stack| {
        let platform = platform::platform(stack, wanted);
        applications::applications(stack, wanted, &platform);
    });
    let inside: Vec<Address> = stack.nodes().keys().filter(|a| !before.contains(*a)).cloned().collect();
    for address in &inside {
        for earlier in &built.cluster.ready {
            stack.after(address, earlier);
        }
    }
}

/// The nodes that are there before Karpenter is.
fn system_nodes() -> workload::Nodes {
    let (label, value) = super::cluster::SYSTEM_LABEL;
    workload::Nodes {
        selector: BTreeMap::from([(label.to_owned(), value.to_owned())]),
        ..workload::Nodes::default()
    }
}

impl Wanted<'_> {
    /// Who puts the secret into the cluster that stands at `at` in the file.
    fn keeper(&self, at: &str, source: &SecretSource) -> Keeper {
        match source {
            SecretSource::Aws { id, key } => {
                Keeper::Vault(Stored { name: id.as_str().into(), key: key.clone(), version: None })
            }
            // What was not found was told when the file was read.
            SecretSource::Env(_) | SecretSource::File(_) => {
                Keeper::Us(self.given.secrets.get(at).cloned().unwrap_or_else(|| Secret::new("")))
            }
        }
    }

    fn kept(&self, at: &str, source: &SecretSource, secret: &str, key: &str) -> Kept {
        Kept { secret: secret.into(), key: key.into(), from: self.keeper(at, source) }
    }

    fn role(&self, name: &str) -> Option<Value<String>> {
        self.roles.get(name).map(Value::cast)
    }

    /// Where LiteLLM keeps what it keeps, where it is in this region.
    fn models(&self) -> Option<&Models> {
        match self.here {
            Here::ControlPlane(data) => data.models.as_ref(),
            Here::Proxy(_) => None,
        }
    }
}
