//! Coder itself: its server, workspace proxies, provisioners, and the namespaces that workspaces run in.

pub mod logstream;
mod pod;
pub mod provisioner;
pub mod proxy;
pub mod server;
pub mod workspaces;

pub(crate) use pod::{Environment, run, secret_files};
pub use pod::{LoadBalancer, Tls};
