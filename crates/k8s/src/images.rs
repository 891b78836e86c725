//! Which image each program of the platform runs: all versions in one place.

/// The images of the platform, by tag.
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
}

impl Default for Images {
    fn default() -> Self {
        let cert_manager = |program: &str| format!("quay.io/jetstack/cert-manager-{program}:{CERT_MANAGER}");
        Images {
            cert_manager: cert_manager("controller"),
            cert_manager_webhook: cert_manager("webhook"),
            cert_manager_injector: cert_manager("cainjector"),
            cert_manager_solver: cert_manager("acmesolver"),
            load_balancer_controller: format!(
                "public.ecr.aws/eks/aws-load-balancer-controller:{LOAD_BALANCER_CONTROLLER}"
            ),
            karpenter: format!("public.ecr.aws/karpenter/controller:{KARPENTER}"),
        }
    }
}

/// The version whose definitions and rights `platform::cert_manager` has.
pub(crate) const CERT_MANAGER: &str = "v1.18.2";
/// The version whose rights and webhooks `platform::load_balancer_controller` has.
pub(crate) const LOAD_BALANCER_CONTROLLER: &str = "v2.13.2";
/// The version whose definitions and rights `platform::karpenter` has.
pub(crate) const KARPENTER: &str = "1.14.3";
