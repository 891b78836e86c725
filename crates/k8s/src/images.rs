//! What runs in a cluster: which images, of which versions, and the definitions that belong to them. The one table of all that.

use crate::{crds::Crds, lock::Lock, platform::definitions};
use std::collections::BTreeMap;

/// The version whose definitions and rights `platform::cert_manager` has.
pub(crate) const CERT_MANAGER: &str = "v1.18.2";
/// The version whose rights and webhooks `platform::load_balancer_controller` has.
pub(crate) const LOAD_BALANCER_CONTROLLER: &str = "v2.13.2";
/// The version whose definitions and rights `platform::karpenter` has.
pub(crate) const KARPENTER: &str = "1.14.3";

/// Something that runs in a cluster: one version, and the images of it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// What people call it.
    pub name: &'static str,
    /// The version, which is the tag of its images.
    pub version: &'static str,
    /// Whether our objects are for this version and no other: rights, webhooks and definitions differ between versions.
    /// Otherwise people choose it.
    pub fixed: bool,
    /// Its images: what they are called here, and where their makers publish them.
    pub images: &'static [(&'static str, &'static str)],
    definitions: Option<fn() -> Crds>,
}

impl Program {
    /// The definitions that it comes with.
    pub fn definitions(&self) -> Option<Crds> {
        self.definitions.map(|definitions| definitions())
    }

    /// Every program with every of its images.
    pub(crate) fn all_images() -> impl Iterator<Item = (&'static Program, &'static str, &'static str)> {
        PROGRAMS.iter().flat_map(|program| program.images.iter().map(move |(name, at)| (program, *name, *at)))
    }
}

/// All that there is.
pub const PROGRAMS: &[Program] = &[
    Program {
        name: "cert-manager",
        version: CERT_MANAGER,
        fixed: true,
        images: &[
            ("cert-manager-controller", "quay.io/jetstack/cert-manager-controller"),
            ("cert-manager-webhook", "quay.io/jetstack/cert-manager-webhook"),
            ("cert-manager-cainjector", "quay.io/jetstack/cert-manager-cainjector"),
            ("cert-manager-acmesolver", "quay.io/jetstack/cert-manager-acmesolver"),
        ],
        definitions: Some(definitions::cert_manager),
    },
    Program {
        name: "load-balancer-controller",
        version: LOAD_BALANCER_CONTROLLER,
        fixed: true,
        images: &[("load-balancer-controller", "public.ecr.aws/eks/aws-load-balancer-controller")],
        definitions: Some(definitions::load_balancer_controller),
    },
    Program {
        name: "karpenter",
        version: KARPENTER,
        fixed: true,
        images: &[("karpenter", "public.ecr.aws/karpenter/controller")],
        definitions: Some(definitions::karpenter),
    },
    Program {
        name: "coder",
        version: "v2.28.3",
        fixed: false,
        images: &[("coder", "ghcr.io/coder/coder")],
        definitions: None,
    },
    Program {
        name: "logstream",
        version: "v0.0.11",
        fixed: false,
        images: &[("logstream", "ghcr.io/coder/coder-logstream-kube")],
        definitions: None,
    },
    Program {
        name: "litellm",
        version: "v1.83.0-stable",
        fixed: false,
        images: &[("litellm", "ghcr.io/berriai/litellm-non_root")],
        definitions: None,
    },
];

/// The images as pods name them: by digest where the lock has one, otherwise by tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// cert-manager: asks for certificates and renews them.
    pub cert_manager: String,
    /// cert-manager: checks what people write, for the API server.
    pub cert_manager_webhook: String,
    /// cert-manager: tells the API server whom its webhooks are to be trusted by.
    pub cert_manager_injector: String,
    /// cert-manager: a pod that proves a name over HTTP.
    pub cert_manager_solver: String,
    /// The AWS Load Balancer Controller.
    pub load_balancer_controller: String,
    /// Karpenter.
    pub karpenter: String,
    /// Coder: its server, its proxies and its provisioners.
    pub coder: String,
    /// What shows people how their workspaces start.
    pub logstream: String,
    /// LiteLLM, for those who do not run as root.
    pub litellm: String,
    /// The digest of files with definitions that nobody vouches for, in hex, by address.
    pub definitions: BTreeMap<String, String>,
}

impl Default for Images {
    fn default() -> Self {
        Images::of(&Lock::default())
    }
}

impl Images {
    /// As the lock has them.
    pub(crate) fn of(lock: &Lock) -> Self {
        let image = |name: &str| lock.reference(name);
        Images {
            cert_manager: image("cert-manager-controller"),
            cert_manager_webhook: image("cert-manager-webhook"),
            cert_manager_injector: image("cert-manager-cainjector"),
            cert_manager_solver: image("cert-manager-acmesolver"),
            load_balancer_controller: image("load-balancer-controller"),
            karpenter: image("karpenter"),
            coder: image("coder"),
            logstream: image("logstream"),
            litellm: image("litellm"),
            definitions: lock.definitions.clone(),
        }
    }

    /// `definitions` with the digests that the lock has for those of their files that have none.
    pub(crate) fn pinned(&self, mut definitions: Crds) -> Crds {
        for file in &mut definitions.files {
            if file.sha256.is_none() {
                file.sha256 = self.definitions.get(&file.url).cloned();
            }
        }
        definitions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_of_the_table_is_one_and_names_an_image() {
        let names: BTreeSet<&str> = Program::all_images().map(|(_, name, _)| name).collect();
        assert_eq!(names.len(), Program::all_images().count());
        for (_, name, at) in Program::all_images() {
            assert_eq!(at.parse::<causeway_oci::Repository>().unwrap().to_string(), at, "{name}");
        }
        let images = Images::default();
        assert_eq!(images.cert_manager_solver, "quay.io/jetstack/cert-manager-acmesolver:v1.18.2");
        assert_eq!(images.karpenter, "public.ecr.aws/karpenter/controller:1.14.3");
        assert_eq!(images.litellm, "ghcr.io/berriai/litellm-non_root:v1.83.0-stable");
    }

    #[test]
    fn a_digest_of_the_lock_stands_in_for_none() {
        let url = definitions::load_balancer_controller().files[0].url.clone();
        let images = Images { definitions: BTreeMap::from([(url, "1".into())]), ..Images::default() };
        let pinned = images.pinned(definitions::load_balancer_controller());
        assert_eq!(pinned.files[0].sha256.as_deref(), Some("1"));
        let vouched = definitions::karpenter();
        assert_eq!(images.pinned(vouched.clone()).files, vouched.files);
    }
}
