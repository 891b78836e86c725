//! Who may assume the role of a service account: this one service account, by its exact name.

use super::oidc_provider::{OidcProviderRefs, STS};
use crate::{
    id::Arn,
    policy::{Principal, Statement},
};
use causeway_core::{Value, text};

/// The service account `name` in `namespace` of the cluster whose tokens `provider` knows, with a token for STS:
/// <https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html>
pub fn service_account(provider: &OidcProviderRefs, namespace: &str, name: &str) -> Statement {
    let key = |claim: &str| text!(provider.issuer, ":", claim);
    Statement::assume("sts:AssumeRoleWithWebIdentity", Principal::federated(text!(provider.arn)))
        .when("StringEquals", key("aud"), [STS])
        .when("StringEquals", key("sub"), [format!("system:serviceaccount:{namespace}:{name}")])
}

/// The service account `name` in `namespace` of this cluster, through pod identity:
/// <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html>
pub fn pod_identity(cluster_arn: &Value<Arn>, namespace: &str, name: &str) -> Statement {
    let tag = |key: &str| format!("aws:RequestTag/{key}");
    Statement::allow(["sts:AssumeRole", "sts:TagSession"], [""; 0])
        .to([Principal::service("pods.eks.amazonaws.com")])
        .when("StringEquals", tag("eks-cluster-arn"), [text!(cluster_arn)])
        .when("StringEquals", tag("kubernetes-namespace"), [namespace])
        .when("StringEquals", tag("kubernetes-service-account"), [name])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyDocument;
    use serde_json::json;

    fn written(statement: Statement) -> serde_json::Value {
        let text = PolicyDocument::new([statement]).text().unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["Statement"][0].clone()
    }

    #[test]
    fn one_service_account_is_trusted_and_no_other() {
        let provider = OidcProviderRefs {
            arn: Arn::from("arn:aws:iam::1:oidc-provider/oidc.eks/id/A").into(),
            issuer: "oidc.eks/id/A".to_owned().into(),
        };
        assert_eq!(
            written(service_account(&provider, "kube-system", "ebs")),
            json!({
                "Effect": "Allow",
                "Principal": { "Federated": ["arn:aws:iam::1:oidc-provider/oidc.eks/id/A"] },
                "Action": ["sts:AssumeRoleWithWebIdentity"],
                "Condition": { "StringEquals": {
                    "oidc.eks/id/A:aud": ["sts.amazonaws.com"],
                    "oidc.eks/id/A:sub": ["system:serviceaccount:kube-system:ebs"],
                } },
            })
        );
        let cluster = Arn::from("arn:aws:eks:us-east-1:1:cluster/c").into();
        let trusted = written(pod_identity(&cluster, "coder", "coder"));
        assert_eq!(trusted["Action"], json!(["sts:AssumeRole", "sts:TagSession"]));
        assert_eq!(
            trusted["Condition"]["StringEquals"]["aws:RequestTag/eks-cluster-arn"],
            json!(["arn:aws:eks:us-east-1:1:cluster/c"])
        );
        assert!(!trusted.to_string().contains('*'));
    }
}
