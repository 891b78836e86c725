//! Who may do what: one role for each service account, with what its program calls and nothing more.
//!
//! Trust is by exact subject and audience. Where AWS lets a right be tied to the cluster, by an ARN, a tag or a
//! condition, it is.

mod bedrock;
mod cert_manager;
mod karpenter;
mod keys;
mod load_balancer_controller;
mod mirror;
mod provisioner;

pub(super) use bedrock::bedrock;
pub(super) use cert_manager::cert_manager;
pub(super) use karpenter::{Karpenter, karpenter};
pub(super) use keys::KeySecret;
pub(super) use load_balancer_controller::load_balancer_controller;
pub(super) use mirror::mirror;
pub(super) use provisioner::provisioner;

use causeway_aws::policy::Statement;
use causeway_core::{Value, text};

/// What the ARNs of one region are made from.
pub(super) struct Site {
    pub region: String,
    pub account: Value<String>,
    pub partition: Value<String>,
    /// The name of the cluster.
    pub cluster: String,
}

impl Site {
    /// In this region and account.
    fn arn(&self, service: &str, resource: &str) -> Value<String> {
        text!("arn:", self.partition, ":", service, ":", self.region, ":", self.account, ":", resource)
    }

    /// In this region, of whichever account: what AWS or others own.
    fn shared(&self, service: &str, resource: &str) -> Value<String> {
        text!("arn:", self.partition, ":", service, ":", self.region, "::", resource)
    }

    /// Of this account, where the service has no regions.
    fn global(&self, service: &str, resource: &str) -> Value<String> {
        text!("arn:", self.partition, ":", service, "::", self.account, ":", resource)
    }

    /// A managed policy of AWS, like `AmazonEKSClusterPolicy`.
    pub(super) fn managed(&self, name: &str) -> Value<causeway_aws::id::Arn> {
        text!("arn:", self.partition, ":iam::aws:policy/", name).cast()
    }

    /// The tag that controllers put on what belongs to the cluster.
    fn cluster_tag(&self) -> String {
        format!("kubernetes.io/cluster/{}", self.cluster)
    }
}

/// Allows `actions` on everything: for those that AWS ties to nothing.
fn anywhere(sid: &str, actions: &[&str]) -> Statement {
    named(sid, Statement::allow(actions.iter().copied(), ["*"]))
}

fn on(sid: &str, actions: &[&str], resources: impl IntoIterator<Item = Value<String>>) -> Statement {
    named(sid, Statement::allow(actions.iter().copied(), resources))
}

fn named(sid: &str, statement: Statement) -> Statement {
    Statement { sid: Some(sid.into()), ..statement }
}
