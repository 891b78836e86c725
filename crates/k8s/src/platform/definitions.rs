//! Which definitions of custom resources each program comes with, and their digests.
//!
//! The digests are those of the files in the Go modules of the same tags, which the checksum database of Go vouches for.

use crate::{
    crds::{Crds, File},
    images::{CERT_MANAGER, KARPENTER, LOAD_BALANCER_CONTROLLER},
};

const RAW: &str = "https://raw.githubusercontent.com";

fn one(url: String, name: &str, sha256: &str) -> File {
    File { url, sha256: Some(sha256.to_owned()), names: vec![name.to_owned()] }
}

/// Those of cert-manager.
pub fn cert_manager() -> Crds {
    let files = [
        ("certificaterequests", "", "bae51a8380d6944a665f0394f953bf94290d093edd9d21cc86f2f488524545e6"),
        ("certificates", "", "25f58d784b3e7f9520dcb101db8d86f93294d2c91fc37616b378516f9a94cf28"),
        ("challenges", "acme.", "bbde88513ca86706d317abc7b26ba95e3103424649eab4cff5dbfb744a82704c"),
        ("clusterissuers", "", "c351a198e242aeb482892f86c5689f0c511d60a474f31bf73bd655d6337a17e1"),
        ("issuers", "", "0f85efacd383ce9cdfceed0894939d3064c5593f6b7927953e43f41d8d1256c3"),
        ("orders", "acme.", "f10e292dd9efe0ffa2549edf4e368857308ffeda1a8c2e196c405b11ba405bcc"),
    ];
    let file = |(plural, group, digest): (&str, &str, &str)| {
        let url = format!("{RAW}/cert-manager/cert-manager/{CERT_MANAGER}/deploy/crds/crd-{plural}.yaml");
        one(url, &format!("{plural}.{group}cert-manager.io"), digest)
    };
    Crds { name: "cert-manager".into(), files: files.map(file).into() }
}

/// Those of Karpenter.
pub fn karpenter() -> Crds {
    let files = [
        (
            "autoscaling.x-k8s.io",
            "capacitybuffers",
            "66fd5680b902b38fb9657ad2b432196a06c42b37d078e53be2e39909200a6342",
        ),
        (
            "karpenter.k8s.aws",
            "ec2nodeclasses",
            "62dec59f01c0972d4503ca3ed25f243ba9c2f561be0d964ce7a14c8df406132f",
        ),
        ("karpenter.sh", "nodeclaims", "96037dc241031fe0f7a09ddf78183d885ce6a1dfe115f7b3fbf8a12c564be694"),
        ("karpenter.sh", "nodeoverlays", "6ff6199aff096cc87cd9508f8c5ae62c6d3452aa90c2828ee36380340f3ece62"),
        ("karpenter.sh", "nodepools", "3bb64a20c80776b77aa19a699ebdaf34480a7b2e7ec4ef890b43225b3517f878"),
    ];
    let file = |(group, plural, digest): (&str, &str, &str)| {
        let of = format!("{RAW}/aws/karpenter-provider-aws/v{KARPENTER}/pkg/apis/crds");
        one(format!("{of}/{group}_{plural}.yaml"), &format!("{plural}.{group}"), digest)
    };
    Crds { name: "karpenter".into(), files: files.map(file).into() }
}

/// Those of the AWS Load Balancer Controller. It is no Go module that the proxy has, so nobody vouches for a digest: the
/// first apply keeps the one that it finds.
pub fn load_balancer_controller() -> Crds {
    let of = format!("{RAW}/kubernetes-sigs/aws-load-balancer-controller/{LOAD_BALANCER_CONTROLLER}");
    let file = File {
        url: format!("{of}/helm/aws-load-balancer-controller/crds/crds.yaml"),
        sha256: None,
        names: ["ingressclassparams", "targetgroupbindings"]
            .map(|kind| format!("{kind}.elbv2.k8s.aws"))
            .into(),
    };
    Crds { name: "load-balancer-controller".into(), files: vec![file] }
}
