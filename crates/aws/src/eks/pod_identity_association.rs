//! The role of a service account:
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreatePodIdentityAssociation.html>

use super::{from_tags, spread, to_tags, write_tags};
use crate::{Aws, Call, id::Arn};
use aws_sdk_eks::Client;
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Status, Tags, Value, coalesce::Coalesce, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Gives the pods of a service account the rights of a role, which must trust
/// [`trust::pod_identity`](crate::iam::trust::pod_identity).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PodIdentityAssociation {
    /// The cluster.
    pub cluster_name: Value<String>,
    /// The namespace. It need not exist yet.
    pub namespace: String,
    /// The service account, which can have one role. It need not exist yet.
    pub service_account: String,
    /// The role.
    pub role_arn: Value<Arn>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What an association tells others.
    pub struct PodIdentityAssociationOutputs => PodIdentityAssociationRefs {
        /// `a-..`
        pub association_id: String,
        /// `arn:aws:eks:..:podidentityassociation/..`
        pub arn: Arn,
    }
}

impl Resource for PodIdentityAssociation {
    const KIND: &'static str = "aws.eks.pod_identity_association";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["cluster_name", "namespace", "service_account"]);
    const REPLACE: &'static [&'static str] = &["cluster_name", "namespace", "service_account"];
    type Client = Aws;
    type Outputs = PodIdentityAssociationOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let eks = &cx.client.eks;
        let cluster = self.cluster_name.get()?;
        let key = || [cluster.clone(), self.namespace.clone(), self.service_account.clone()];
        let id = match &cx.recorded {
            Some(recorded) => Some(recorded.association_id.clone()),
            None => eks.associations.get(key()).await?,
        };
        let Some(id) = id else { return Ok(None) };
        let call = eks.describe_pod_identity_association().cluster_name(cluster).association_id(id);
        let found = call.send().await.call("eks:DescribePodIdentityAssociation").found()?;
        let Some(found) = found.and_then(|found| found.association) else { return Ok(None) };
        let tags = from_tags(found.tags());
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Ok(Some(Live {
            outputs: PodIdentityAssociationOutputs {
                association_id: text(found.association_id()),
                arn: found.association_arn().unwrap_or_default().into(),
            },
            status: Status::Ready,
            owner: tags.owner(),
            spec: PodIdentityAssociation {
                cluster_name: text(found.cluster_name()).into(),
                namespace: text(found.namespace()),
                service_account: text(found.service_account()),
                role_arn: Arn::from(found.role_arn().unwrap_or_default()).into(),
                tags,
            },
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let call = cx
            .client
            .eks
            .create_pod_identity_association()
            .client_request_token(cx.token())
            .cluster_name(self.cluster_name.get()?)
            .namespace(&self.namespace)
            .service_account(&self.service_account)
            .role_arn(self.role_arn.get()?.as_str())
            .set_tags(to_tags(&self.tags));
        spread(call.send().await.call("eks:CreatePodIdentityAssociation")).map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let eks = &cx.client.eks;
        write_tags(eks, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await?;
        if diff.touches("role_arn") {
            let call = eks.update_pod_identity_association().cluster_name(self.cluster_name.get()?);
            let call = call.association_id(&live.outputs.association_id);
            let call = call.role_arn(self.role_arn.get()?.as_str()).send().await;
            spread(call.call("eks:UpdatePodIdentityAssociation"))?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let call = cx.client.eks.delete_pod_identity_association().cluster_name(self.cluster_name.get()?);
        let call = call.association_id(&live.outputs.association_id).send().await;
        call.call("eks:DeletePodIdentityAssociation").found().map(drop)
    }
}

/// The ids of associations, those of a cluster with one call.
pub(super) fn ids(api: &Client) -> Coalesce<[String; 3], String> {
    let api = api.clone();
    Coalesce::new(usize::MAX, move |keys| list(api.clone(), keys))
}

async fn list(api: Client, keys: BTreeSet<[String; 3]>) -> Result<BTreeMap<[String; 3], String>, Error> {
    let clusters: BTreeSet<&String> = keys.iter().map(|[cluster, ..]| cluster).collect();
    let mut found = BTreeMap::new();
    for cluster in clusters {
        let call = api.list_pod_identity_associations().cluster_name(cluster);
        let all = call.into_paginator().items().send().try_collect().await;
        // A cluster that does not exist has none.
        let all = all.call("eks:ListPodIdentityAssociations").found()?.unwrap_or_default();
        for one in all {
            if let (Some(namespace), Some(account), Some(id)) =
                (one.namespace, one.service_account, one.association_id)
            {
                found.insert([cluster.clone(), namespace, account], id);
            }
        }
    }
    Ok(found)
}
