//! Kubernetes objects as resources: any kind by server-side apply, waited for until it serves, in a cluster that may be
//! made by the same stack.
//!
//! A [`Manifest`] is composed from the types of `k8s-openapi`, or from those of [`custom`] for what controllers add. Only the
//! fields that are set are ours: the API server keeps who owns which, and what others add stays.

mod access;
mod balanced;
mod call;
pub mod coder;
pub mod crds;
pub mod cron;
pub mod custom;
pub mod images;
pub mod kept;
pub mod litellm;
pub mod lock;
mod looks;
mod manifest;
pub mod mirror;
mod noun;
pub mod objects;
pub mod platform;
pub mod preflight;
pub mod rbac;
mod reasons;
mod rollout;
mod shown;
mod vault;
pub mod workload;

pub use access::{Access, Kubernetes, Token, Tokens, here};
pub use k8s_openapi;
pub use kube::Client;
pub use manifest::{MANAGER, Manifest, ManifestOutputs, ManifestRefs, STACK};
pub use noun::{Noun, Scope};
pub use vault::{Stored, Vault};

use causeway_core::{Error, Registry};
use std::future::Future;

/// Adds every kind of object. `connect` makes the client of a cluster when it is first needed.
pub fn register<F, Fut>(registry: &mut Registry, connect: F)
where
    F: Fn(Access) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Kubernetes, Error>> + Send + 'static,
{
    noun::register(registry.provider(connect));
}
