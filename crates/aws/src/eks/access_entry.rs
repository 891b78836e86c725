//! Who may enter: <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAccessEntry.html>

use super::{Eks, from_tags, spread, to_tags, write_tags};
use crate::{Aws, Call, id::Arn};
use aws_sdk_eks::types::{self, AccessScope, AccessScopeType};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// Lets a role or a user into a cluster, with these rights and no others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessEntry {
    /// The cluster.
    pub cluster_name: Value<String>,
    /// The role or the user. One entry each.
    pub principal_arn: Value<Arn>,
    /// The unique id of that role: an entry does not hold for another role that has got the same name, so it is made
    /// anew with it. `None`: nobody looks.
    #[serde(default)]
    pub principal_id: Option<Value<String>>,
    /// `STANDARD` for people and programs; `EC2_LINUX` for nodes that no node group manages, like Karpenter's.
    pub entry_type: String,
    /// Groups of Kubernetes RBAC. Only of a standard entry.
    #[serde(default)]
    pub kubernetes_groups: Set<String>,
    /// What EKS itself allows. Only of a standard entry.
    #[serde(default)]
    pub policies: Set<AccessPolicy>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

/// An access policy of EKS: <https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html>
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessPolicy {
    /// `arn:aws:eks::aws:cluster-access-policy/..`
    pub policy_arn: Arn,
    /// The namespaces that it is about. Empty: the whole cluster.
    #[serde(default)]
    pub namespaces: Set<String>,
}

outputs! {
    /// What an access entry tells others.
    pub struct AccessEntryOutputs => AccessEntryRefs {
        /// `arn:aws:eks:..:access-entry/..`
        pub arn: Arn,
    }
}

/// The type whose rights are chosen; EKS knows itself what nodes need.
const STANDARD: &str = "STANDARD";

impl AccessEntry {
    /// An entry of this type that allows nothing by itself.
    pub fn new(cluster_name: Value<String>, principal_arn: Value<Arn>, entry_type: &str) -> Self {
        AccessEntry {
            cluster_name,
            principal_arn,
            principal_id: None,
            entry_type: entry_type.to_owned(),
            kubernetes_groups: Set::default(),
            policies: Set::default(),
            tags: Tags::default(),
        }
    }

    /// Lets people and programs in, as far as these policies go.
    pub fn standard(
        cluster_name: Value<String>,
        principal_arn: Value<Arn>,
        policies: impl IntoIterator<Item = AccessPolicy>,
    ) -> Self {
        let policies = policies.into_iter().collect();
        AccessEntry { policies, ..AccessEntry::new(cluster_name, principal_arn, STANDARD) }
    }

    /// Lets Linux nodes with this role join.
    pub fn nodes(cluster_name: Value<String>, principal_arn: Value<Arn>) -> Self {
        AccessEntry::new(cluster_name, principal_arn, "EC2_LINUX")
    }
}

impl AccessPolicy {
    /// The policy of this name in the whole cluster, like `AmazonEKSClusterAdminPolicy`.
    pub fn cluster(name: &str) -> Self {
        let policy_arn = format!("arn:aws:eks::aws:cluster-access-policy/{name}").into();
        AccessPolicy { policy_arn, namespaces: Set::default() }
    }
}

impl Resource for AccessEntry {
    const KIND: &'static str = "aws.eks.access_entry";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["cluster_name", "principal_arn"]);
    const REPLACE: &'static [&'static str] = &["cluster_name", "principal_arn", "principal_id", "entry_type"];
    type Client = Aws;
    type Outputs = AccessEntryOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let eks = &cx.client.eks;
        let (cluster, principal) = (self.cluster_name.get()?, self.principal_arn.get()?);
        let call = eks.describe_access_entry().cluster_name(cluster).principal_arn(principal.as_str());
        let found = call.send().await.call("eks:DescribeAccessEntry").found()?;
        let Some(entry) = found.and_then(|found| found.access_entry) else { return Ok(None) };
        let policies = match entry.r#type() {
            Some(STANDARD) => associated(eks, cluster, principal).await?,
            _ => Some(vec![]),
        };
        // The entry went while its policies were being read.
        let Some(policies) = policies else { return Ok(None) };
        let tags = from_tags(entry.tags());
        Ok(Some(Live {
            outputs: AccessEntryOutputs { arn: entry.access_entry_arn().unwrap_or_default().into() },
            status: Status::Ready,
            owner: tags.owner(),
            spec: AccessEntry {
                cluster_name: entry.cluster_name().unwrap_or_default().to_owned().into(),
                principal_arn: Arn::from(entry.principal_arn().unwrap_or_default()).into(),
                principal_id: None,
                entry_type: entry.r#type().unwrap_or_default().to_owned(),
                // EKS gives nodes groups of its own.
                kubernetes_groups: match entry.r#type() {
                    Some(STANDARD) => entry.kubernetes_groups().iter().cloned().collect(),
                    _ => self.kubernetes_groups.clone(),
                },
                policies: policies.iter().map(AccessPolicy::live).collect(),
                tags,
            },
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let groups = self.kubernetes_groups.get()?;
        let call = cx
            .client
            .eks
            .create_access_entry()
            .client_request_token(cx.token())
            .cluster_name(self.cluster_name.get()?)
            .principal_arn(self.principal_arn.get()?.as_str())
            .r#type(&self.entry_type)
            .set_kubernetes_groups((!groups.is_empty()).then_some(groups))
            .set_tags(to_tags(&self.tags));
        // Policies are left to `update`.
        spread(call.send().await.call("eks:CreateAccessEntry")).map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let eks = &cx.client.eks;
        let (cluster, principal) = (self.cluster_name.get()?, self.principal_arn.get()?.as_str());
        write_tags(eks, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await?;
        if diff.touches("kubernetes_groups") {
            let call = eks.update_access_entry().cluster_name(cluster).principal_arn(principal);
            let call = call.set_kubernetes_groups(Some(self.kubernetes_groups.get()?));
            call.send().await.call("eks:UpdateAccessEntry")?;
        }
        if diff.touches("policies") {
            let (wanted, there) = (self.policies.get()?, live.spec.policies.get()?);
            // One whose namespaces change is written over.
            for policy in wanted.iter().filter(|policy| !there.iter().any(|t| t.means(policy))) {
                let call = eks.associate_access_policy().cluster_name(cluster).principal_arn(principal);
                let call = call.policy_arn(policy.policy_arn.as_str()).access_scope(policy.scope()?);
                call.send().await.call("eks:AssociateAccessPolicy")?;
            }
            for policy in there.iter().filter(|t| !wanted.iter().any(|w| w.policy_arn == t.policy_arn)) {
                let call = eks.disassociate_access_policy().cluster_name(cluster).principal_arn(principal);
                let call = call.policy_arn(policy.policy_arn.as_str()).send().await;
                call.call("eks:DisassociateAccessPolicy").found()?;
            }
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _live: &Live<Self>) -> Result<(), Error> {
        let call = cx.client.eks.delete_access_entry().cluster_name(self.cluster_name.get()?);
        let call = call.principal_arn(self.principal_arn.get()?.as_str());
        call.send().await.call("eks:DeleteAccessEntry").found().map(drop)
    }
}

impl AccessPolicy {
    fn scope(&self) -> Result<AccessScope, Error> {
        let namespaces = self.namespaces.get()?;
        let scope = AccessScope::builder();
        Ok(if namespaces.is_empty() {
            scope.r#type(AccessScopeType::Cluster).build()
        } else {
            scope.r#type(AccessScopeType::Namespace).set_namespaces(Some(namespaces)).build()
        })
    }

    fn live(found: &types::AssociatedAccessPolicy) -> Self {
        let namespaces = found.access_scope().map(AccessScope::namespaces).unwrap_or_default();
        AccessPolicy {
            policy_arn: found.policy_arn().unwrap_or_default().into(),
            namespaces: namespaces.iter().cloned().collect(),
        }
    }

    /// Whether both say the same, whatever the order of the namespaces.
    fn means(&self, other: &Self) -> bool {
        serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }
}

/// `None` where there is no such entry.
async fn associated(
    eks: &Eks,
    cluster: &str,
    principal: &Arn,
) -> Result<Option<Vec<types::AssociatedAccessPolicy>>, Error> {
    let call = eks.list_associated_access_policies().cluster_name(cluster).principal_arn(principal.as_str());
    let pages = call.into_paginator().send().try_collect().await;
    let pages = pages.call("eks:ListAssociatedAccessPolicies").found()?;
    Ok(pages.map(|pages| {
        pages.into_iter().flat_map(|page| page.associated_access_policies.unwrap_or_default()).collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_about_the_cluster_or_about_namespaces() {
        let all = AccessPolicy::cluster("AmazonEKSClusterAdminPolicy");
        assert_eq!(all.scope().unwrap().r#type(), Some(&AccessScopeType::Cluster));
        let some = |names: [&str; 2]| AccessPolicy { namespaces: Set::from_iter(names), ..all.clone() };
        let scope = some(["a", "b"]).scope().unwrap();
        assert_eq!((scope.r#type(), scope.namespaces().len()), (Some(&AccessScopeType::Namespace), 2));
        let found = types::AssociatedAccessPolicy::builder()
            .policy_arn(all.policy_arn.as_str())
            .access_scope(scope)
            .build();
        assert!(AccessPolicy::live(&found).means(&some(["b", "a"])));
        assert!(!AccessPolicy::live(&found).means(&all));
    }
}
