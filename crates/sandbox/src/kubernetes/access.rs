//! EKS's access policies. On AWS an authorizer of its own knows them; here each is a group that the review of a token gives,
//! bound to the role of Kubernetes that is nearest.
//! <https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html>

use std::collections::BTreeSet;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::{Client, Error};
use crate::gateway::{BoxError, Inside, POLICY_GROUP, policy_groups};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const ADMIN_VIEW: &str = "eks-access-policy:admin-view";

/// The policy and the role.
const ROLES: &[(&str, &str)] = &[
    ("AmazonEKSClusterAdminPolicy", "cluster-admin"),
    ("AmazonEKSAdminPolicy", "admin"),
    ("AmazonEKSAdminViewPolicy", ADMIN_VIEW),
    ("AmazonEKSEditPolicy", "edit"),
    ("AmazonEKSViewPolicy", "view"),
];

fn binding(kind: &str, name: &str, role: &str, group: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }],
    })
}

/// Binds the policies that are for the whole cluster, once.
pub(super) async fn bind(client: &Client) -> Result<(), Error> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": ADMIN_VIEW },
        "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"] }],
    });
    client.apply(&format!("{RBAC}/clusterroles/{ADMIN_VIEW}"), &role).await?;
    for (policy, role) in ROLES {
        let name = format!("{POLICY_GROUP}{policy}");
        let object = binding("ClusterRoleBinding", &name, role, &name);
        client.apply(&format!("{RBAC}/clusterrolebindings/{name}"), &object).await?;
    }
    Ok(())
}

/// Binds the policies that are for namespaces, in the namespaces that there are. What is bound for nobody any more stays: no
/// review gives its group.
pub(super) async fn follow(
    client: &Client,
    aws: &Inside,
    bound: &mut BTreeSet<String>,
) -> Result<(), BoxError> {
    let mut scoped = BTreeSet::new();
    let entries = aws.eks("ListAccessEntries", "/access-entries").await?;
    for entry in entries["accessEntries"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let path =
            format!("/access-entries/{}/access-policies", utf8_percent_encode(entry, NON_ALPHANUMERIC));
        let policies = aws.eks("ListAssociatedAccessPolicies", &path).await?;
        let policies = policies["associatedAccessPolicies"].as_array().into_iter().flatten();
        scoped.extend(policies.flat_map(policy_groups).filter_map(|group| parts(&group)));
    }
    if scoped.is_empty() {
        return Ok(());
    }
    let namespaces = client.get("/api/v1/namespaces").await?.unwrap_or_default();
    for namespace in namespaces["items"].as_array().into_iter().flatten() {
        let Some(namespace) = namespace["metadata"]["name"].as_str() else { continue };
        for (policy, pattern) in &scoped {
            let Some((_, role)) = ROLES.iter().find(|(name, _)| name == policy) else { continue };
            let group = format!("{POLICY_GROUP}{policy}:{pattern}");
            if !fits(pattern, namespace) || bound.contains(&format!("{namespace} {group}")) {
                continue;
            }
            // A pattern is no name; what stands for its `*` is none of an object's other characters.
            let name = group.replace('*', "..");
            let object = binding("RoleBinding", &name, role, &group);
            client.apply(&format!("{RBAC}/namespaces/{namespace}/rolebindings/{name}"), &object).await?;
            bound.insert(format!("{namespace} {group}"));
        }
    }
    Ok(())
}

/// The policy and the namespaces of a group that is for some.
fn parts(group: &str) -> Option<(String, String)> {
    let (policy, namespaces) = group.strip_prefix(POLICY_GROUP)?.split_once(':')?;
    Some((policy.to_owned(), namespaces.to_owned()))
}

/// Whether a namespace is one of a pattern, which may end with `*`.
fn fits(pattern: &str, namespace: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => namespace.starts_with(start),
        None => pattern == namespace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_named_or_begin_alike() {
        assert!(fits("dev-*", "dev-a") && fits("dev", "dev") && fits("*", "x"));
        assert!(!fits("dev-*", "dev") && !fits("dev", "dev-a"));
    }

    #[test]
    fn only_a_group_for_namespaces_has_two_parts() {
        assert_eq!(
            parts("eks-access-policy:AmazonEKSEditPolicy:a"),
            Some(("AmazonEKSEditPolicy".into(), "a".into()))
        );
        assert_eq!(parts("eks-access-policy:AmazonEKSEditPolicy"), None);
    }
}
