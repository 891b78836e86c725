//! An add-on: <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAddon.html>

use super::{from_tags, issues, spread, tags_only, to_tags, update::Of, write_tags};
use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_eks::types::{self, AddonStatus, ResolveConflicts};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Software that EKS installs in a cluster and keeps as it should be, like `coredns`.
///
/// What others changed in it is written over. Taken out of a stack, it goes on running, and EKS looks after it no more.
/// A service account of it gets its role from a [`PodIdentityAssociation`](super::PodIdentityAssociation) that is made
/// first, or from `service_account_role_arn`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addon {
    /// The cluster.
    pub cluster_name: Value<String>,
    /// Like `vpc-cni`.
    pub name: String,
    /// Like `v1.11.4-eksbuild.2`; one that goes with the Kubernetes version of the cluster, as
    /// [`AddonVersion`](super::AddonVersion) finds it.
    pub version: Value<String>,
    /// The role of its service account, which must trust the OIDC provider of the cluster. `None`: none, or that of a
    /// pod identity association.
    #[serde(default)]
    pub service_account_role_arn: Option<Value<Arn>>,
    /// Its settings, as `aws eks describe-addon-configuration` describes them. `None`: as it comes.
    #[serde(default)]
    pub configuration: Option<Json>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What an add-on tells others.
    pub struct AddonOutputs => AddonRefs {
        /// `arn:aws:eks:..:addon/..`
        pub arn: Arn,
        /// The name.
        pub name: String,
        /// The version that is installed.
        pub version: String,
    }
}

impl Resource for Addon {
    const KIND: &'static str = "aws.eks.addon";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["cluster_name", "name"]);
    const REPLACE: &'static [&'static str] = &["cluster_name", "name"];
    const MOVES: &'static [&'static str] = &["version"];
    const TIMING: Timing = Timing::seconds(40, 3, 1800);
    type Client = Aws;
    type Outputs = AddonOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let eks = &cx.client.eks;
        let call = eks.describe_addon().cluster_name(self.cluster_name.get()?).addon_name(&self.name);
        let found = call.send().await.call("eks:DescribeAddon").found()?.and_then(|found| found.addon);
        let Some(addon) = found else { return Ok(None) };
        let mut live = self.live(&addon);
        live.status = eks.or_updating(self.of()?, live.status).await?;
        Ok(Some(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let call = cx
            .client
            .eks
            .create_addon()
            .client_request_token(cx.token())
            .cluster_name(self.cluster_name.get()?)
            .addon_name(&self.name)
            .addon_version(self.version.get()?)
            .resolve_conflicts(ResolveConflicts::Overwrite)
            .set_service_account_role_arn(self.role()?)
            .set_configuration_values(self.configuration.as_ref().map(Json::to_string))
            .set_tags(to_tags(&self.tags));
        spread(call.send().await.call("eks:CreateAddon")).map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let eks = &cx.client.eks;
        if diff.touches("tags") {
            write_tags(eks, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await?;
        }
        if tags_only(diff) {
            return Ok(());
        }
        // A role that is left out is taken away, so it is always said.
        let call = eks
            .update_addon()
            .cluster_name(self.cluster_name.get()?)
            .addon_name(&self.name)
            .addon_version(self.version.get()?)
            .resolve_conflicts(ResolveConflicts::Overwrite)
            .set_service_account_role_arn(self.role()?)
            .set_configuration_values(
                diff.touches("configuration")
                    .then(|| self.configuration.as_ref().map_or_else(|| "{}".into(), Json::to_string)),
            );
        let update = spread(call.send().await.call("eks:UpdateAddon"))?.update;
        eks.updates.began(self.of()?, update);
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        if live.status == Status::Pending("deleting".into()) {
            return Ok(());
        }
        let call = cx.client.eks.delete_addon().cluster_name(self.cluster_name.get()?).addon_name(&self.name);
        call.preserve(true).send().await.call("eks:DeleteAddon").found().map(drop)
    }
}

impl Addon {
    fn of(&self) -> Result<Of, Error> {
        Ok(Of::Addon(self.cluster_name.get()?.clone(), self.name.clone()))
    }

    fn role(&self) -> Result<Option<String>, Error> {
        let role = self.service_account_role_arn.as_ref().map(Value::get).transpose()?;
        Ok(role.map(|arn| arn.0.clone()))
    }

    fn live(&self, found: &types::Addon) -> Live<Self> {
        let tags = from_tags(found.tags());
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let version = text(found.addon_version());
        Live {
            outputs: AddonOutputs {
                arn: found.addon_arn().unwrap_or_default().into(),
                name: text(found.addon_name()),
                version: version.clone(),
            },
            status: status(found),
            owner: tags.owner(),
            spec: Addon {
                cluster_name: text(found.cluster_name()).into(),
                name: text(found.addon_name()),
                version: version.into(),
                service_account_role_arn: shown(
                    self.service_account_role_arn.as_ref(),
                    found.service_account_role_arn().map(|arn| Arn::from(arn).into()),
                    Arn::default().into(),
                ),
                configuration: shown(
                    self.configuration.as_ref(),
                    found.configuration_values().filter(|text| !text.is_empty()).map(configuration),
                    json!({}),
                ),
                tags,
            },
        }
    }
}

/// EKS takes YAML too, and gives back what it was given; that is shown as the text that it is.
fn configuration(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn status(found: &types::Addon) -> Status {
    let all = found.health().map(|h| h.issues()).unwrap_or_default().iter();
    let told = all.map(|i| (i.code().map(|c| c.as_str().to_owned()), i.message().map(str::to_owned)));
    match found.status() {
        Some(AddonStatus::Active) => Status::Ready,
        Some(
            broken @ (AddonStatus::CreateFailed | AddonStatus::UpdateFailed | AddonStatus::DeleteFailed),
        ) => Status::Failed(format!("{}: {}", broken.as_str().to_lowercase(), issues(told))),
        // Passes when there are nodes for its pods.
        Some(AddonStatus::Degraded) => Status::Pending(format!("degraded: {}", issues(told))),
        Some(other) => Status::Pending(other.as_str().to_lowercase()),
        None => Status::Pending("in a state that EKS does not tell".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_eks::types::{AddonHealth, AddonIssue, AddonIssueCode};

    fn wanted(configuration: Option<Json>) -> Addon {
        Addon {
            cluster_name: "c".into(),
            name: "coredns".into(),
            version: "v1".into(),
            service_account_role_arn: None,
            configuration,
            tags: Tags::default(),
        }
    }

    #[test]
    fn settings_are_compared_by_meaning() {
        let found = types::Addon::builder().configuration_values(r#"{ "replicaCount" :3}"#).build();
        let settings = json!({ "replicaCount": 3 });
        assert_eq!(wanted(Some(settings.clone())).live(&found).spec.configuration, Some(settings));
        let none = types::Addon::builder().build();
        assert_eq!(wanted(Some(json!({ "a": 1 }))).live(&none).spec.configuration, Some(json!({})));
        assert_eq!(wanted(None).live(&none).spec.configuration, None);
        assert_eq!(configuration("a: 1"), json!("a: 1"));
    }

    #[test]
    fn an_addon_without_nodes_waits_and_one_that_failed_says_why() {
        let issue = AddonIssue::builder()
            .code(AddonIssueCode::InsufficientNumberOfReplicas)
            .message("no nodes")
            .build();
        let found = |status| {
            let health = AddonHealth::builder().issues(issue.clone()).build();
            types::Addon::builder().status(status).health(health).build()
        };
        let why = "InsufficientNumberOfReplicas: no nodes";
        assert_eq!(status(&found(AddonStatus::Degraded)), Status::Pending(format!("degraded: {why}")));
        assert_eq!(
            status(&found(AddonStatus::CreateFailed)),
            Status::Failed(format!("create_failed: {why}"))
        );
    }
}
