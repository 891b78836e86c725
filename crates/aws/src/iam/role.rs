//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>

use super::{
    PolicyDocument, Principal, Statement, document, is_as_left, listed::ListedRole, live_tags, tag, tags,
};
use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_iam::types::AttachedPermissionsBoundary;
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff,
    error::Found as _, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A role with everything it may do. It owns its policies: others that are attached by hand are taken off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Unique in the account, whatever the path; 64 characters at most.
    pub name: Name,
    /// Who may assume it.
    pub assume_role_policy: PolicyDocument,
    /// For people. 1000 characters at most.
    #[serde(default)]
    pub description: Option<String>,
    /// Like `/coder/`. `None`: `/`.
    #[serde(default)]
    pub path: Option<String>,
    /// The longest session, in seconds, 3600 to 43200. `None`: an hour.
    #[serde(default)]
    pub max_session_duration: Option<i32>,
    /// A managed policy that limits whatever the others grant.
    #[serde(default)]
    pub permissions_boundary: Option<Value<Arn>>,
    /// Policies of this role alone, by name.
    #[serde(default)]
    pub inline_policies: BTreeMap<String, PolicyDocument>,
    /// Managed policies, of AWS or our own.
    #[serde(default)]
    pub managed_policy_arns: Set<Arn>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a role tells others.
    pub struct RoleOutputs => RoleRefs {
        /// `arn:aws:iam::..:role/..`
        pub arn: Arn,
        /// The name without the path.
        pub name: String,
        /// `AROA..`: differs when a role is made anew under the same name.
        pub role_id: String,
    }
}

impl Role {
    /// A role that only `service` may assume, like `ecs-tasks.amazonaws.com`, and that may do nothing yet.
    pub fn assumed_by(name: impl Into<Name>, service: &str) -> Self {
        Role::trusting(name, [Statement::assume("sts:AssumeRole", Principal::service(service))])
    }

    /// A role that may be assumed as `statements` say, and that may do nothing yet.
    pub fn trusting(name: impl Into<Name>, statements: impl IntoIterator<Item = Statement>) -> Self {
        Role {
            name: name.into(),
            assume_role_policy: PolicyDocument::new(statements),
            description: None,
            path: None,
            max_session_duration: None,
            permissions_boundary: None,
            inline_policies: BTreeMap::new(),
            managed_policy_arns: Set::default(),
            tags: Tags::default(),
        }
    }
}

/// In seconds.
const DEFAULT_SESSION: i32 = 3600;

/// IAM spreads over seconds: a principal, a boundary or a policy that was just made may not be seen yet.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency>
fn not_yet(document: &PolicyDocument) -> &'static [&'static str] {
    if document.names_principals() { &["MalformedPolicyDocument"] } else { &[] }
}

/// A policy of ours may have been made a moment ago; one of AWS is there or is a mistake.
fn not_yet_there(policy: &Arn) -> &'static [&'static str] {
    if policy.0.contains(":iam::aws:") { &[] } else { &["NoSuchEntity"] }
}

impl Resource for Role {
    const KIND: &'static str = "aws.iam.role";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const KEEPS: &'static [&'static str] = &["path"];
    const REPLACE: &'static [&'static str] = &["name", "path"];
    const TIMING: Timing = Timing::seconds(2, 1, 300);
    type Client = Aws;
    type Outputs = RoleOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        if cx.recorded.is_some()
            && cx.is_survey()
            && let Some(listed) = cx.client.iam.listing.role(&name, self.is_asked_for_whole(cx)).await?
            && let Ok(live) = Found::listed(listed).and_then(|found| self.live(cx.instance, found))
            && is_as_left(self, &live.spec)?
        {
            return Ok(Some(live));
        }
        Found::asked(cx, &name).await?.map(|found| self.live(cx.instance, found)).transpose()
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        let boundary = self.permissions_boundary.as_ref().map(Value::get).transpose()?;
        cx.client
            .iam
            .create_role()
            .role_name(&name)
            .assume_role_policy_document(self.assume_role_policy.text()?)
            .set_description(self.description.clone())
            .set_path(self.path.clone())
            .set_max_session_duration(self.max_session_duration)
            .set_permissions_boundary(boundary.map(ToString::to_string))
            .set_tags(Some(tags(self.tags.iter())?))
            .send()
            .await
            .call_later("iam:CreateRole", not_yet(&self.assume_role_policy))?;
        for (policy, document) in &self.inline_policies {
            put_inline(cx, &name, policy, document).await?;
        }
        // What is attached is left to `update`.
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let iam = &cx.client.iam;
        let name = cx.name(&self.name);
        if diff.touches("assume_role_policy") {
            iam.update_assume_role_policy()
                .role_name(&name)
                .policy_document(self.assume_role_policy.text()?)
                .send()
                .await
                .call_later("iam:UpdateAssumeRolePolicy", not_yet(&self.assume_role_policy))?;
        }
        if diff.touches("description") || diff.touches("max_session_duration") {
            // What is left out goes back to the default, so both are always sent.
            let (there, removed) = (&live.spec, |field| diff.touches(field));
            let description = self.description.clone();
            let description = description
                .or_else(|| there.description.clone().filter(|_| !removed("description")))
                .unwrap_or_default();
            let duration = self
                .max_session_duration
                .or_else(|| there.max_session_duration.filter(|_| !removed("max_session_duration")))
                .unwrap_or(DEFAULT_SESSION);
            iam.update_role()
                .role_name(&name)
                .description(description)
                .max_session_duration(duration)
                .send()
                .await
                .call("iam:UpdateRole")?;
        }
        if diff.touches("permissions_boundary") {
            match &self.permissions_boundary {
                Some(arn) => {
                    let put = iam.put_role_permissions_boundary().role_name(&name);
                    let put = put.permissions_boundary(arn.get()?.as_str()).send().await;
                    put.call("iam:PutRolePermissionsBoundary")?;
                }
                None => {
                    let gone = iam.delete_role_permissions_boundary().role_name(&name).send().await;
                    gone.call("iam:DeleteRolePermissionsBoundary").found()?;
                }
            }
        }
        for (policy, document) in &self.inline_policies {
            if diff.touches(&format!("inline_policies.{policy}")) {
                put_inline(cx, &name, policy, document).await?;
            }
        }
        for policy in live.spec.inline_policies.keys() {
            if !self.inline_policies.contains_key(policy)
                && diff.touches(&format!("inline_policies.{policy}"))
            {
                delete_inline(cx, &name, policy).await?;
            }
        }
        if diff.touches("managed_policy_arns") {
            let wanted = self.managed_policy_arns.get()?;
            let there = live.spec.managed_policy_arns.get()?;
            for arn in wanted.iter().filter(|arn| !there.contains(arn)) {
                let attach = iam.attach_role_policy().role_name(&name).policy_arn(arn.as_str());
                attach.send().await.call_later("iam:AttachRolePolicy", not_yet_there(arn))?;
            }
            for arn in there.iter().filter(|arn| !wanted.contains(arn)) {
                detach(cx, &name, arn).await?;
            }
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
            iam.tag_role().role_name(&name).set_tags(Some(set)).send().await.call("iam:TagRole")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            iam.untag_role().role_name(&name).set_tag_keys(Some(keys)).send().await.call("iam:UntagRole")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let name = &live.outputs.name;
        for arn in live.spec.managed_policy_arns.get()? {
            detach(cx, name, &arn).await?;
        }
        for policy in live.spec.inline_policies.keys() {
            delete_inline(cx, name, policy).await?;
        }
        cx.client.iam.delete_role().role_name(name).send().await.call("iam:DeleteRole").found()?;
        Ok(())
    }
}

/// What IAM shows of a role.
struct Found {
    outputs: RoleOutputs,
    path: String,
    /// URL-encoded.
    trust: String,
    description: Option<String>,
    max_session_duration: Option<i32>,
    boundary: Option<AttachedPermissionsBoundary>,
    inline_policies: BTreeMap<String, PolicyDocument>,
    managed_policy_arns: Set<Arn>,
    tags: Tags,
}

impl Found {
    /// Asks for it and for all that it has. `None` where there is none, also when it goes meanwhile.
    async fn asked(cx: &Cx<'_, Role>, name: &str) -> Result<Option<Found>, Error> {
        let found = cx.client.iam.get_role().role_name(name).send().await.call("iam:GetRole").found()?;
        let Some(role) = found.and_then(|found| found.role) else { return Ok(None) };
        let policies = async { tokio::try_join!(inline_policies(cx, name), attached(cx, name)) };
        let found = policies.await.found()?;
        Ok(found.map(|(inline_policies, managed_policy_arns)| Found {
            tags: live_tags(role.tags()),
            outputs: RoleOutputs { arn: role.arn.into(), name: role.role_name, role_id: role.role_id },
            path: role.path,
            trust: role.assume_role_policy_document.unwrap_or_default(),
            description: role.description,
            max_session_duration: role.max_session_duration,
            boundary: role.permissions_boundary,
            inline_policies,
            managed_policy_arns,
        }))
    }

    fn listed(listed: ListedRole) -> Result<Found, Error> {
        let ListedRole { detail, short } = listed;
        let tags = live_tags(detail.tags());
        let inline = detail.role_policy_list.unwrap_or_default().into_iter().map(|policy| {
            let text = policy.policy_document.unwrap_or_default();
            Ok::<_, Error>((policy.policy_name.unwrap_or_default(), document(&text, Role::KIND)?))
        });
        let attached = detail.attached_managed_policies.unwrap_or_default().into_iter();
        Ok(Found {
            outputs: RoleOutputs {
                arn: detail.arn.unwrap_or_default().into(),
                name: detail.role_name.unwrap_or_default(),
                role_id: detail.role_id.unwrap_or_default(),
            },
            path: detail.path.unwrap_or_default(),
            trust: detail.assume_role_policy_document.unwrap_or_default(),
            max_session_duration: short.as_ref().and_then(|role| role.max_session_duration),
            description: short.and_then(|role| role.description),
            boundary: detail.permissions_boundary,
            inline_policies: inline.collect::<Result<_, _>>()?,
            managed_policy_arns: attached.filter_map(|policy| policy.policy_arn.map(Arn)).collect(),
            tags,
        })
    }
}

impl Role {
    fn live(&self, instance: &str, found: Found) -> Result<Live<Self>, Error> {
        let Found { outputs, mut inline_policies, managed_policy_arns, tags, .. } = found;
        let boundary = found.boundary.and_then(|boundary| boundary.permissions_boundary_arn);
        for missing in self.inline_policies.keys() {
            inline_policies.entry(missing.clone()).or_insert_with(PolicyDocument::nothing);
        }
        Ok(Live {
            spec: Role {
                name: self.name.live(instance, &outputs.name),
                assume_role_policy: document(&found.trust, Self::KIND)?,
                description: shown(self.description.as_ref(), found.description, String::new()),
                path: shown(self.path.as_ref(), Some(found.path), "/".into()),
                max_session_duration: shown(
                    self.max_session_duration.as_ref(),
                    found.max_session_duration,
                    DEFAULT_SESSION,
                ),
                permissions_boundary: shown(
                    self.permissions_boundary.as_ref(),
                    boundary.map(|arn| Arn(arn).into()),
                    Arn::from("").into(),
                ),
                inline_policies,
                managed_policy_arns,
                tags: tags.clone(),
            },
            outputs,
            status: Status::Ready,
            owner: tags.owner(),
        })
    }

    /// Whether anything is compared that only the shorter list shows.
    fn is_asked_for_whole(&self, cx: &Cx<'_, Self>) -> bool {
        let unset = self.description.is_none() && self.max_session_duration.is_none();
        !(unset && cx.may_skip_unset())
    }
}

async fn inline_policies(cx: &Cx<'_, Role>, role: &str) -> Result<BTreeMap<String, PolicyDocument>, Error> {
    let iam = &cx.client.iam;
    let mut found = BTreeMap::new();
    let mut names = iam.list_role_policies().role_name(role).into_paginator().items().send();
    while let Some(name) = names.next().await {
        let name = name.call("iam:ListRolePolicies")?;
        let policy = iam.get_role_policy().role_name(role).policy_name(&name).send().await;
        // One that went away in between is not there.
        if let Some(policy) = policy.call("iam:GetRolePolicy").found()? {
            found.insert(name, document(&policy.policy_document, Role::KIND)?);
        }
    }
    Ok(found)
}

async fn attached(cx: &Cx<'_, Role>, role: &str) -> Result<Set<Arn>, Error> {
    let mut found = vec![];
    let mut pages =
        cx.client.iam.list_attached_role_policies().role_name(role).into_paginator().items().send();
    while let Some(policy) = pages.next().await {
        found.extend(policy.call("iam:ListAttachedRolePolicies")?.policy_arn.map(Arn));
    }
    Ok(Set::from_iter(found))
}

async fn detach(cx: &Cx<'_, Role>, role: &str, arn: &Arn) -> Result<(), Error> {
    let detach = cx.client.iam.detach_role_policy().role_name(role).policy_arn(arn.as_str());
    detach.send().await.call("iam:DetachRolePolicy").found()?;
    Ok(())
}

async fn put_inline(
    cx: &Cx<'_, Role>,
    role: &str,
    policy: &str,
    document: &PolicyDocument,
) -> Result<(), Error> {
    let put = cx.client.iam.put_role_policy().role_name(role).policy_name(policy);
    put.policy_document(document.text()?).send().await.call("iam:PutRolePolicy")?;
    Ok(())
}

async fn delete_inline(cx: &Cx<'_, Role>, role: &str, policy: &str) -> Result<(), Error> {
    let delete = cx.client.iam.delete_role_policy().role_name(role).policy_name(policy);
    delete.send().await.call("iam:DeleteRolePolicy").found()?;
    Ok(())
}
