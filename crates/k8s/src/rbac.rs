//! Who a program is in its cluster, and what it may do there.
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

use crate::objects::Objects;
use causeway_core::Value;
use k8s_openapi::{
    api::{
        core::v1::ServiceAccount,
        rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use std::collections::BTreeMap;

/// The annotation with the role of AWS that pods of a service account act as.
pub const ROLE: &str = "eks.amazonaws.com/role-arn";

/// To look, and to be told of changes.
pub const READ: &[&str] = &["get", "list", "watch"];
/// To change what is there.
pub const CHANGE: &[&str] = &["update", "patch"];

/// Some verbs on some kinds.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    groups: &'static [&'static str],
    resources: &'static [&'static str],
    names: &'static [&'static str],
    verbs: &'static [&'static str],
}

/// `verbs` on all `resources` of `groups`; the core group is called "".
pub const fn rule(
    groups: &'static [&'static str],
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Rule {
    Rule { groups, resources, names: &[], verbs }
}

impl Rule {
    /// Only on objects with these names. Says nothing for `create`, as there is no name yet.
    pub const fn only(self, names: &'static [&'static str]) -> Rule {
        Rule { names, ..self }
    }
}

impl From<&Rule> for PolicyRule {
    fn from(rule: &Rule) -> Self {
        let texts = |all: &[&str]| Some(all.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        PolicyRule {
            api_groups: texts(rule.groups),
            resources: texts(rule.resources),
            resource_names: texts(rule.names).filter(|names| !names.is_empty()),
            verbs: rule.verbs.iter().map(|&verb| verb.to_owned()).collect(),
            non_resource_urls: None,
        }
    }
}

/// Who a program is: a service account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where it lives.
    pub namespace: String,
    /// Unique there.
    pub name: String,
}

impl Account {
    /// The one called `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Account { namespace: namespace.into(), name: name.into() }
    }

    /// The account itself. With `role`, its pods act as that role of AWS.
    pub fn object(&self, role: Option<&Value<String>>) -> ServiceAccount {
        let annotations = role.map(|role| BTreeMap::from([(ROLE.to_owned(), role.inline())]));
        ServiceAccount {
            metadata: ObjectMeta { annotations, ..named(Some(&self.namespace), &self.name) },
            ..ServiceAccount::default()
        }
    }

    /// It may do this everywhere: a role called `name`, and its binding.
    pub fn may(&self, objects: &mut Objects<'_>, name: &str, rules: &[Rule]) {
        objects.add(&format!("role-{name}"), &cluster_role(name, BTreeMap::new(), rules));
        let binding = ClusterRoleBinding {
            metadata: named(None, name),
            role_ref: referred("ClusterRole", name),
            subjects: Some(vec![self.subject()]),
        };
        objects.add(&format!("binding-{name}"), &binding);
    }

    /// It may do this in `namespace`: a role called `name`, and its binding.
    pub fn may_in(&self, objects: &mut Objects<'_>, namespace: &str, name: &str, rules: &[Rule]) {
        let role = Role {
            metadata: named(Some(namespace), name),
            rules: Some(rules.iter().map(PolicyRule::from).collect()),
        };
        objects.add(&format!("role-{name}"), &role);
        let binding = RoleBinding {
            metadata: named(Some(namespace), name),
            role_ref: referred("Role", name),
            subjects: Some(vec![self.subject()]),
        };
        objects.add(&format!("binding-{name}"), &binding);
    }

    fn subject(&self) -> Subject {
        Subject {
            kind: "ServiceAccount".into(),
            name: self.name.clone(),
            namespace: Some(self.namespace.clone()),
            api_group: None,
        }
    }
}

/// A role that others are made of, where its labels say so.
pub fn cluster_role(name: &str, labels: BTreeMap<String, String>, rules: &[Rule]) -> ClusterRole {
    ClusterRole {
        metadata: ObjectMeta {
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            ..named(None, name)
        },
        rules: Some(rules.iter().map(PolicyRule::from).collect()),
        aggregation_rule: None,
    }
}

/// A name, and the namespace where kinds have one.
pub fn named(namespace: Option<&str>, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: namespace.map(str::to_owned),
        ..ObjectMeta::default()
    }
}

fn referred(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: "rbac.authorization.k8s.io".into(), kind: kind.into(), name: name.into() }
}
