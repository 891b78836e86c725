//! The AWS Load Balancer Controller. <https://kubernetes-sigs.github.io/aws-load-balancer-controller/>

use super::{custom_resource, spec};

custom_resource! {
    /// Puts the pods of a Service into a target group that somebody else made.
    TargetGroupBinding { "elbv2.k8s.aws" / "v1beta1", "targetgroupbindings", NamespaceResourceScope, TargetGroupBindingSpec }
}
custom_resource! {
    /// What all Ingresses of a class have in common.
    IngressClassParams { "elbv2.k8s.aws" / "v1beta1", "ingressclassparams", ClusterResourceScope, IngressClassParamsSpec }
}

spec! {
    /// Which Service, and which target group.
    struct TargetGroupBindingSpec {
        /// The port of the Service.
        service_ref: ServiceRef,
        /// The target group.
        #[serde(rename = "targetGroupARN")]
        target_group_arn: String,
        /// `instance` or `ip`.
        target_type: Option<String>,
    }
    /// The port of a Service.
    struct ServiceRef {
        /// Its name.
        name: String,
        /// The port's number.
        port: i32,
    }
    /// What all Ingresses of a class have in common.
    struct IngressClassParamsSpec {
        /// `internal` or `internet-facing`.
        scheme: Option<String>,
        /// `ipv4` or `dualstack`.
        ip_address_type: Option<String>,
    }
}
