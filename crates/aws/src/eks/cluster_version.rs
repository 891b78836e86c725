//! Looks how long AWS supports a Kubernetes version:
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeClusterVersions.html>

use super::upgrade::Minor;
use crate::{Aws, Call};
use aws_sdk_eks::types::{ClusterVersionInformation, VersionStatus};
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Status, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// A Kubernetes version that EKS has. Only looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClusterVersion {
    /// Like `1.34`. `None`: the one that EKS takes unless told otherwise.
    #[serde(default)]
    pub version: Option<String>,
}

outputs! {
    /// What AWS says of a version.
    pub struct ClusterVersionOutputs => ClusterVersionRefs {
        /// Like `1.34`.
        pub version: String,
        /// Whether it is in standard support. Else it costs more, or is not supported at all.
        pub standard_support: bool,
        /// When its standard support ends, in seconds since 1970. 0: AWS does not say.
        pub end_of_standard_support: i64,
        /// All that are in standard support, newest first.
        pub in_standard_support: Vec<String>,
    }
}

impl Resource for ClusterVersion {
    const KIND: &'static str = "aws.eks.cluster_version";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = Aws;
    type Outputs = ClusterVersionOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let call = cx.client.eks.describe_cluster_versions().include_all(true);
        let all = call.into_paginator().items().send().try_collect().await;
        let outputs = self.choose(&all.call("eks:DescribeClusterVersions")?)?;
        Ok(Some(Live { spec: self.clone(), outputs, status: Status::Ready, owner: Owner::Parent }))
    }

    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        Err(Error::Invalid("EKS names no Kubernetes version".into()))
    }

    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}

impl ClusterVersion {
    fn choose(&self, all: &[ClusterVersionInformation]) -> Result<ClusterVersionOutputs, Error> {
        let is_standard =
            |v: &&ClusterVersionInformation| v.version_status() == Some(&VersionStatus::StandardSupport);
        let name = |v: &ClusterVersionInformation| v.cluster_version().unwrap_or_default().to_owned();
        let mut standard: Vec<String> = all.iter().filter(is_standard).map(name).collect();
        standard.sort_by_key(|v| std::cmp::Reverse(Minor::parse(v)));
        let found = all.iter().find(|v| match &self.version {
            Some(wanted) => v.cluster_version() == Some(wanted),
            None => v.default_version(),
        });
        let Some(found) = found else {
            let wanted = self.version.as_deref().unwrap_or("that it takes by itself");
            let known = standard.join(", ");
            return Err(Error::Invalid(format!(
                "EKS has no Kubernetes version {wanted}; it supports {known}"
            )));
        };
        Ok(ClusterVersionOutputs {
            version: name(found),
            standard_support: is_standard(&found),
            end_of_standard_support: found.end_of_standard_support_date().map_or(0, |date| date.secs()),
            in_standard_support: standard,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_sorted_as_numbers_and_told_by_their_support() {
        let version = |version: &str, status, default| {
            ClusterVersionInformation::builder()
                .cluster_version(version)
                .version_status(status)
                .default_version(default)
                .build()
        };
        let all = [
            version("1.9", VersionStatus::StandardSupport, false),
            version("1.10", VersionStatus::StandardSupport, true),
            version("1.8", VersionStatus::ExtendedSupport, false),
        ];
        let choose =
            |version: Option<&str>| ClusterVersion { version: version.map(str::to_owned) }.choose(&all);
        let default = choose(None).unwrap();
        assert_eq!((default.version.as_str(), default.standard_support), ("1.10", true));
        assert_eq!(default.in_standard_support, ["1.10", "1.9"]);
        assert!(!choose(Some("1.8")).unwrap().standard_support);
        assert!(choose(Some("1.99")).unwrap_err().to_string().contains("it supports 1.10, 1.9"));
    }
}
