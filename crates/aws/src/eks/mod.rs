//! Kubernetes clusters: the control plane, its nodes and add-ons, and who may enter.
//!
//! EKS describes one thing a call, so a read is a call each: clusters, node groups and add-ons are few.

mod access_entry;
mod addon;
mod addon_version;
mod cluster;
mod cluster_version;
mod leftovers;
mod next_version;
mod node_group;
mod pod_identity_association;
pub(crate) mod support;
mod token;
mod update;
mod upgrade;

pub use access_entry::{AccessEntry, AccessEntryOutputs, AccessEntryRefs, AccessPolicy};
pub use addon::{Addon, AddonOutputs, AddonRefs};
pub use addon_version::{AddonVersion, AddonVersionOutputs, AddonVersionRefs};
pub use cluster::{Cluster, ClusterOutputs, ClusterRefs};
pub use cluster_version::{ClusterVersion, ClusterVersionOutputs, ClusterVersionRefs};
pub use leftovers::{Leftover, Leftovers, LeftoversOutputs, LeftoversRefs, What};
pub use next_version::{NextVersion, NextVersionOutputs, NextVersionRefs};
pub use node_group::{LaunchTemplate, NodeGroup, NodeGroupOutputs, NodeGroupRefs, Scaling, Taint};
pub use pod_identity_association::{
    PodIdentityAssociation, PodIdentityAssociationOutputs, PodIdentityAssociationRefs,
};
pub use token::{Token, TokenError, token};

use crate::{Aws, Call, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_eks::types::{self, AddonInfo};
use causeway_core::{
    Class, Error, Tags, coalesce::Coalesce, diff::Diff, error::Found, registry::ProviderKinds,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Deref,
};

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds
        .add::<AccessEntry>()
        .add::<Addon>()
        .add::<AddonVersion>()
        .add::<Cluster>()
        .add::<ClusterVersion>()
        .add::<Leftovers>()
        .add::<NextVersion>()
        .add::<NodeGroup>()
        .add::<PodIdentityAssociation>()
}

/// The EKS client of one region.
pub struct Eks {
    api: aws_sdk_eks::Client,
    /// By Kubernetes version and name.
    pub(crate) addon_versions: Coalesce<(String, String), AddonInfo>,
    /// The id of an association, by cluster, namespace and service account.
    pub(crate) associations: Coalesce<[String; 3], String>,
    /// By name.
    pub(crate) clusters: Coalesce<String, types::Cluster>,
    pub(crate) updates: update::Updates,
}

impl Eks {
    /// With the region and the endpoints of `config`.
    pub fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_eks, config);
        let describe = api.clone();
        Eks {
            clusters: Coalesce::new(1, move |names| clusters(describe.clone(), names)),
            addon_versions: addon_version::offered(&api),
            associations: pod_identity_association::ids(&api),
            updates: update::Updates::default(),
            api,
        }
    }

    /// The ARNs and tags of the node groups of all clusters: the only kind here whose name may be generated.
    pub(crate) async fn tagged(&self) -> Result<Vec<(String, Tags)>, Error> {
        let clusters = self.list_clusters().into_paginator().items().send().try_collect().await;
        let mut found = vec![];
        for cluster in clusters.call("eks:ListClusters")? {
            let groups = self.list_nodegroups().cluster_name(&cluster).into_paginator().items().send();
            // A cluster that went in the meantime has none.
            let groups = groups.try_collect().await.call("eks:ListNodegroups").found()?.unwrap_or_default();
            for group in groups {
                let describe = self.describe_nodegroup().cluster_name(&cluster).nodegroup_name(&group);
                let group = describe.send().await.call("eks:DescribeNodegroup").found()?;
                let Some(group) = group.and_then(|g| g.nodegroup) else { continue };
                found.extend(group.nodegroup_arn.clone().map(|arn| (arn, from_tags(group.tags()))));
            }
        }
        Ok(found)
    }
}
impl Deref for Eks {
    type Target = aws_sdk_eks::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

async fn clusters(
    api: aws_sdk_eks::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, types::Cluster>, Error> {
    let mut found = BTreeMap::new();
    for name in names {
        let cluster = api.describe_cluster().name(&name).send().await.call("eks:DescribeCluster").found()?;
        found.extend(cluster.and_then(|found| Some((name, found.cluster?))));
    }
    Ok(found)
}

fn to_tags(tags: &Tags) -> Option<HashMap<String, String>> {
    let tags: HashMap<_, _> = tags.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    (!tags.is_empty()).then_some(tags)
}

fn from_tags(tags: Option<&HashMap<String, String>>) -> Tags {
    Tags::live(tags.into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_str())))
}

/// Whether nothing but tags changes. Those are no update in the words of EKS, and go at any time.
fn tags_only(diff: &Diff) -> bool {
    diff.changes.iter().all(|c| c.path == "tags" || c.path.starts_with("tags."))
}

async fn write_tags(eks: &Eks, arn: &Arn, wanted: &Tags, live: &Tags, diff: &Diff) -> Result<(), Error> {
    let steps = wanted.steps(live, diff);
    if !steps.set.is_empty() {
        let tags = steps.set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let call = eks.tag_resource().resource_arn(arn.as_str()).set_tags(Some(tags));
        call.send().await.call("eks:TagResource")?;
    }
    if !steps.remove.is_empty() {
        let keys = steps.remove.iter().map(ToString::to_string).collect();
        let call = eks.untag_resource().resource_arn(arn.as_str()).set_tag_keys(Some(keys));
        call.send().await.call("eks:UntagResource")?;
    }
    Ok(())
}

/// EKS answers `InvalidParameterException` both for a role that is wrong and for one that IAM has not spread yet, and
/// only the message tells them apart from other mistakes.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>
fn spread<T>(result: Result<T, Error>) -> Result<T, Error> {
    result.map_err(|error| match error {
        Error::Call { call, class: Class::Final, source } if not_spread(&source.to_string()) => {
            Error::Call { call, class: Class::NotNow, source }
        }
        other => other,
    })
}

fn not_spread(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    answer.starts_with("invalidparameterexception")
        && [
            "could not be assumed because it does not exist",
            "trusted entity is not correct",
            "invalid principal",
            "role provided in the request does not exist",
            "the role with name",
        ]
        .iter()
        .any(|text| answer.contains(text))
}

fn not_now(call: &'static str, why: &str) -> Error {
    Error::Call { call, class: Class::NotNow, source: why.into() }
}

/// What is wrong with a thing, in the words of EKS.
fn issues(all: impl IntoIterator<Item = (Option<String>, Option<String>)>) -> String {
    let all = all.into_iter().map(|(code, message)| {
        let message = message.filter(|m| !m.is_empty());
        [code, message].into_iter().flatten().collect::<Vec<_>>().join(": ")
    });
    let all: Vec<_> = all.filter(|issue| !issue.is_empty()).collect();
    if all.is_empty() { "EKS does not say why".to_owned() } else { all.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_has_not_spread_is_told_from_what_is_wrong() {
        let class = |source: &str| {
            let error = Error::Call { call: "eks:CreateCluster", class: Class::Final, source: source.into() };
            spread::<()>(Err(error)).unwrap_err().class()
        };
        let role = "InvalidParameterException: Role with arn: arn:aws:iam::1:role/c, could not be assumed because \
                    it does not exist or the trusted entity is not correct";
        assert_eq!(class(role), Class::NotNow);
        assert_eq!(class("InvalidParameterException: unsupported Kubernetes version"), Class::Final);
        assert_eq!(class("ClientException: invalid principal"), Class::Final);
    }

    #[test]
    fn issues_are_told_in_the_words_of_eks() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(issues([(some("A"), some("b")), (some("C"), None)]), "A: b; C");
        assert_eq!(issues([(None, some(""))]), "EKS does not say why");
    }
}
