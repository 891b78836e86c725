//! The next step of an upgrade: <https://docs.aws.amazon.com/eks/latest/userguide/update-cluster.html>

use super::upgrade::next;
use crate::{Aws, Call};
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, diff::Diff, error::Found, outputs};
use serde::{Deserialize, Serialize};

/// Which Kubernetes version a cluster is to have after this apply: one minor version further, and that only once all
/// its managed nodes have followed. Only looked at.
///
/// A stack gives this version to the cluster, to the look-ups of its add-ons and to its nodes, in this order; each apply
/// then is one step, and a run that was cut off is taken up where it was. `remaining` says what further applies do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NextVersion {
    /// The cluster. It need not exist: then it is made in the version that is wanted.
    pub cluster_name: String,
    /// Where it is to end, like `1.35`.
    pub wanted: String,
}

outputs! {
    /// Where a cluster is on its way.
    pub struct NextVersionOutputs => NextVersionRefs {
        /// The version of this apply.
        pub version: String,
        /// What runs now. Empty where there is no cluster.
        pub current: String,
        /// The versions that further applies go to.
        pub remaining: Vec<String>,
    }
}

impl Resource for NextVersion {
    const KIND: &'static str = "aws.eks.next_version";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = NextVersionOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let eks = &cx.client.eks;
        let cluster = eks.clusters.get(self.cluster_name.clone()).await?;
        let current = cluster.and_then(|cluster| cluster.version).unwrap_or_default();
        let (version, remaining) = if current.is_empty() || current == self.wanted {
            (self.wanted.clone(), vec![])
        } else {
            next(&current, &self.nodes(cx).await?, &self.wanted)
        };
        Ok(Some(Live {
            spec: self.clone(),
            outputs: NextVersionOutputs { version, current, remaining },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        Err(Error::Invalid(format!("no version of cluster `{}` was found", self.cluster_name)))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

impl NextVersion {
    /// The versions of its managed nodes.
    async fn nodes(&self, cx: &Cx<'_, Self>) -> Result<Vec<String>, Error> {
        let eks = &cx.client.eks;
        let groups = eks.list_nodegroups().cluster_name(&self.cluster_name).into_paginator().items().send();
        let mut versions = vec![];
        for group in groups.try_collect().await.call("eks:ListNodegroups")? {
            let describe = eks.describe_nodegroup().cluster_name(&self.cluster_name).nodegroup_name(group);
            let group = describe.send().await.call("eks:DescribeNodegroup").found()?;
            versions.extend(group.and_then(|found| found.nodegroup?.version));
        }
        Ok(versions)
    }
}
