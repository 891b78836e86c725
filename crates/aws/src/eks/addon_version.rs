//! Looks which version of an add-on goes with a Kubernetes version:
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeAddonVersions.html>

use crate::{Aws, Call};
use aws_sdk_eks::{
    Client,
    types::{AddonInfo, AddonVersionInfo},
};
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Status, Value, coalesce::Coalesce, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A version of an add-on that goes with a Kubernetes version. Only looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddonVersion {
    /// Like `coredns`.
    pub addon_name: String,
    /// Like `1.34`.
    pub kubernetes_version: Value<String>,
    /// The version that it has to be, like `v1.12.1-eksbuild.2`. `None`: the one that EKS installs unless told
    /// otherwise, which AWS moves on from time to time.
    #[serde(default)]
    pub version: Option<String>,
}

outputs! {
    /// What EKS offers.
    pub struct AddonVersionOutputs => AddonVersionRefs {
        /// The version that was asked for, or the default one.
        pub version: String,
        /// All that go with the Kubernetes version, newest first.
        pub compatible: Vec<String>,
    }
}

impl Resource for AddonVersion {
    const KIND: &'static str = "aws.eks.addon_version";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = AddonVersionOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let kubernetes = self.kubernetes_version.get()?;
        let key = (kubernetes.clone(), self.addon_name.clone());
        let offered = cx.client.eks.addon_versions.get(key).await?;
        let outputs =
            self.choose(kubernetes, offered.as_ref().map(AddonInfo::addon_versions).unwrap_or_default());
        Ok(Some(Live { spec: self.clone(), outputs: outputs?, status: Status::Ready, owner: Owner::Parent }))
    }

    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        Err(Error::Invalid(format!("no version of add-on `{}` was found", self.addon_name)))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

impl AddonVersion {
    /// The version, of those that EKS has for `kubernetes`.
    ///
    /// # Errors
    /// None of them goes with it, or not the one that was asked for.
    pub(crate) fn choose(
        &self,
        kubernetes: &str,
        offered: &[AddonVersionInfo],
    ) -> Result<AddonVersionOutputs, Error> {
        let goes = |v: &&AddonVersionInfo, default: bool| {
            let with = v.compatibilities().iter().filter(|c| c.cluster_version() == Some(kubernetes));
            with.clone().count() > 0 && (!default || with.clone().any(|c| c.default_version()))
        };
        let name = |v: &AddonVersionInfo| v.addon_version().unwrap_or_default().to_owned();
        let compatible: Vec<String> = offered.iter().filter(|v| goes(v, false)).map(name).collect();
        let addon = &self.addon_name;
        let Some(newest) = compatible.first() else {
            return Err(Error::Invalid(format!("EKS has no add-on `{addon}` for Kubernetes {kubernetes}")));
        };
        let version = match &self.version {
            Some(version) if compatible.contains(version) => version.clone(),
            Some(version) => {
                let some = compatible.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
                return Err(Error::Invalid(format!(
                    "version {version} of add-on `{addon}` does not go with Kubernetes {kubernetes}; the newest that \
                     do: {some}"
                )));
            }
            None => offered.iter().find(|v| goes(v, true)).map_or_else(|| newest.clone(), name),
        };
        Ok(AddonVersionOutputs { version, compatible })
    }
}

/// The add-ons that a Kubernetes version has, many with a few calls.
pub(super) fn offered(api: &Client) -> Coalesce<(String, String), AddonInfo> {
    let api = api.clone();
    Coalesce::new(usize::MAX, move |keys| all(api.clone(), keys))
}

async fn all(
    api: Client,
    keys: BTreeSet<(String, String)>,
) -> Result<BTreeMap<(String, String), AddonInfo>, Error> {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (kubernetes, addon) in keys {
        wanted.entry(kubernetes).or_default().insert(addon);
    }
    let mut found = BTreeMap::new();
    for (kubernetes, mut addons) in wanted {
        if addons.len() > 1 {
            // Without what is sold on the marketplace, which is most of it.
            let request = api.describe_addon_versions().owners("aws").owners("community");
            collect(request, &kubernetes, &mut addons, &mut found).await?;
        }
        for addon in addons.clone() {
            let request = api.describe_addon_versions().addon_name(addon);
            collect(request, &kubernetes, &mut addons, &mut found).await?;
        }
    }
    Ok(found)
}

/// Moves what is found from `wanted` to `found`.
async fn collect(
    request: aws_sdk_eks::operation::describe_addon_versions::builders::DescribeAddonVersionsFluentBuilder,
    kubernetes: &str,
    wanted: &mut BTreeSet<String>,
    found: &mut BTreeMap<(String, String), AddonInfo>,
) -> Result<(), Error> {
    let request = request.kubernetes_version(kubernetes).max_results(100);
    let addons = request.into_paginator().items().send().try_collect().await;
    for addon in addons.call("eks:DescribeAddonVersions")? {
        if let Some(name) = addon.addon_name.clone().filter(|name| wanted.remove(name)) {
            found.insert((kubernetes.to_owned(), name), addon);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_eks::types::Compatibility;

    fn offered() -> Vec<AddonVersionInfo> {
        [("v3", false), ("v2", true), ("v1", false)]
            .map(|(version, default)| {
                let with = Compatibility::builder().cluster_version("1.34").default_version(default).build();
                AddonVersionInfo::builder().addon_version(version).compatibilities(with).build()
            })
            .into()
    }

    fn choose(version: Option<&str>, kubernetes: &str) -> Result<String, String> {
        let wanted = AddonVersion {
            addon_name: "coredns".into(),
            kubernetes_version: kubernetes.into(),
            version: version.map(str::to_owned),
        };
        wanted.choose(kubernetes, &offered()).map(|o| o.version).map_err(|e| e.to_string())
    }

    #[test]
    fn a_version_must_go_with_kubernetes() {
        assert_eq!(choose(None, "1.34").unwrap(), "v2");
        assert_eq!(choose(Some("v1"), "1.34").unwrap(), "v1");
        assert!(choose(Some("v0"), "1.34").unwrap_err().contains("the newest that do: v3, v2, v1"));
        assert!(choose(None, "1.35").unwrap_err().contains("no add-on `coredns` for Kubernetes 1.35"));
    }
}
