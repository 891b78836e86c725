//! Whether EKS has the Kubernetes that clusters are to end up with, and add-ons that go with it:
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeClusterVersions.html>,
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeAddonVersions.html>.

use super::{Finding, Preflight};
use crate::{
    Aws, Call,
    eks::{AddonVersion, Cluster, NextVersion},
};
use aws_sdk_eks::types::{AddonInfo, ClusterVersionInformation, VersionStatus};
use causeway_core::Error;
use std::collections::BTreeMap;

pub(super) async fn run(preflight: &Preflight) -> Result<Vec<Finding>, Error> {
    let mut findings = vec![];
    for (region, aws) in &preflight.clients {
        let here = |other: &&Aws| other.region == *region;
        let goals = preflight.all::<NextVersion>().filter(|(_, _, aws)| here(aws));
        let mut versions: BTreeMap<String, String> =
            goals.map(|(_, next, _)| (next.cluster_name, next.wanted)).collect();
        for (_, cluster, _) in preflight.all::<Cluster>().filter(|(_, _, aws)| here(aws)) {
            if let Ok(version) = cluster.version.get() {
                versions.entry(cluster.name).or_insert_with(|| version.clone());
            }
        }
        if !versions.is_empty() {
            let all = aws.eks.describe_cluster_versions().include_all(true);
            let all = all.into_paginator().items().send().try_collect().await;
            let all = all.call("eks:DescribeClusterVersions")?;
            findings.extend(versions.iter().map(|(name, version)| judge(name, region, version, &all)));
        }
        let addons: Vec<AddonVersion> = preflight
            .all::<AddonVersion>()
            .filter(|(_, _, aws)| here(aws))
            .map(|(_, addon, _)| addon)
            .collect();
        findings.extend(compatible(aws, &addons).await?);
    }
    Ok(findings)
}

fn judge(name: &str, region: &str, version: &str, all: &[ClusterVersionInformation]) -> Finding {
    let asked = format!("whether EKS in {region} has Kubernetes {version}, for {name}");
    let found = all.iter().find(|v| v.cluster_version() == Some(version));
    let standard = all.iter().filter(|v| v.version_status() == Some(&VersionStatus::StandardSupport));
    let supported = standard.filter_map(|v| v.cluster_version()).collect::<Vec<_>>().join(", ");
    let take = format!("in standard support are {supported}");
    match found.and_then(|v| v.version_status()) {
        None => Finding::failed(asked, "it does not", take),
        Some(VersionStatus::StandardSupport) => Finding::passed(asked, "it does, in standard support"),
        Some(status) => {
            Finding::warning(asked, format!("it does, and calls it {status}, which costs more"), take)
        }
    }
}

/// Whether add-ons go with their Kubernetes, once it is known.
async fn compatible(aws: &Aws, addons: &[AddonVersion]) -> Result<Option<Finding>, Error> {
    let (mut good, mut wrong) = (vec![], vec![]);
    for addon in addons {
        let Ok(kubernetes) = addon.kubernetes_version.get() else { continue };
        let offered = aws.eks.addon_versions.get((kubernetes.clone(), addon.addon_name.clone())).await?;
        match addon.choose(kubernetes, offered.as_ref().map(AddonInfo::addon_versions).unwrap_or_default()) {
            Ok(chosen) => good.push(format!("{} {}", addon.addon_name, chosen.version)),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    let asked = format!("whether the add-ons in {} go with their Kubernetes", aws.region);
    Ok(match (good.is_empty(), wrong.is_empty()) {
        (true, true) => None,
        (_, true) => Some(Finding::passed(asked, good.join(", "))),
        (_, false) => Some(Finding::failed(
            asked,
            wrong.join("; "),
            "leave their versions out, or name some that do under [eks.addons]",
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use causeway_core::finding::Verdict;

    #[test]
    fn a_version_is_offered_and_supported() {
        let version = |version: &str, status| {
            ClusterVersionInformation::builder().cluster_version(version).version_status(status).build()
        };
        let all = [
            version("1.35", VersionStatus::StandardSupport),
            version("1.31", VersionStatus::ExtendedSupport),
        ];
        let judge = |version| judge("coder", "us-east-2", version, &all);
        assert_eq!(judge("1.35").verdict, Verdict::Passed);
        assert_eq!(judge("1.31").verdict, Verdict::Warning);
        let none = judge("1.99");
        assert_eq!(
            (none.verdict, none.remedy.as_deref()),
            (Verdict::Failed, Some("in standard support are 1.35"))
        );
    }
}
