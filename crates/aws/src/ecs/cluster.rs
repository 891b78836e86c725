//! A group of services and tasks.
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCluster.html>

use super::{from_tags, live_strategy, spread, strategy_items, to_tags, write_tags};
use crate::{Aws, Call, id::Arn};
use aws_sdk_ecs::types::{ClusterSetting, ClusterSettingName};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A group of services and tasks.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cluster {
    /// Unique in the account and region.
    pub name: String,
    /// How much CloudWatch measures. `None`: what the account's default says.
    pub container_insights: Option<ContainerInsights>,
    /// Like `FARGATE` and `FARGATE_SPOT`. `None`: none.
    pub capacity_providers: Option<Set<String>>,
    /// Where tasks go that say nothing else, by capacity provider. `None`: nothing is said.
    pub default_capacity_provider_strategy: Option<BTreeMap<String, Strategy>>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// How much CloudWatch measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerInsights {
    /// Nothing beyond what is free.
    Disabled,
    /// By cluster and service.
    Enabled,
    /// Down to tasks and containers.
    Enhanced,
}

impl ContainerInsights {
    fn text(self) -> &'static str {
        match self {
            ContainerInsights::Disabled => "disabled",
            ContainerInsights::Enabled => "enabled",
            ContainerInsights::Enhanced => "enhanced",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Disabled, Self::Enabled, Self::Enhanced].into_iter().find(|i| i.text() == text)
    }
}

/// How many tasks a capacity provider gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    /// Its share of the tasks beyond all bases.
    #[serde(default)]
    pub weight: i32,
    /// As many tasks at least; only one provider may have one.
    #[serde(default)]
    pub base: i32,
}

outputs! {
    /// What a cluster tells others.
    pub struct ClusterOutputs => ClusterRefs {
        /// The ARN.
        pub arn: Arn,
        /// The name.
        pub name: String,
    }
}

impl Resource for Cluster {
    const KIND: &'static str = "aws.ecs.cluster";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    // In a new account ECS makes its service-linked role first.
    const TIMING: Timing = Timing::seconds(5, 2, 600);
    type Client = Aws;
    type Outputs = ClusterOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        Ok(cx.client.ecs.clusters.get(self.name.clone()).await?.and_then(|c| live(&c)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let strategy = self.default_capacity_provider_strategy.as_ref().map(strategy_items).transpose()?;
        let call = cx
            .client
            .ecs
            .create_cluster()
            .cluster_name(&self.name)
            .set_settings(self.container_insights.map(|i| vec![setting(i)]))
            .set_capacity_providers(self.providers()?)
            .set_default_capacity_provider_strategy(strategy)
            .set_tags(to_tags(&self.tags));
        spread(call.send().await.call("ecs:CreateCluster")).map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let ecs = &cx.client.ecs;
        if diff.touches("container_insights") {
            let insights = self.container_insights.unwrap_or(ContainerInsights::Disabled);
            let call = ecs.update_cluster().cluster(&self.name).settings(setting(insights));
            call.send().await.call("ecs:UpdateCluster")?;
        }
        if diff.touches("capacity_providers") || diff.touches("default_capacity_provider_strategy") {
            let strategy = self.default_capacity_provider_strategy.clone().unwrap_or_default();
            let call = ecs
                .put_cluster_capacity_providers()
                .cluster(&self.name)
                // The call sets both, and both may be empty.
                .set_capacity_providers(Some(self.providers()?.unwrap_or_default()))
                .set_default_capacity_provider_strategy(Some(strategy_items(&strategy)?));
            call.send().await.call("ecs:PutClusterCapacityProviders")?;
        }
        write_tags(ecs, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _live: &Live<Self>) -> Result<(), Error> {
        let call = cx.client.ecs.delete_cluster().cluster(&self.name);
        call.send().await.call("ecs:DeleteCluster").found().map(drop)
    }
}

impl Cluster {
    fn providers(&self) -> Result<Option<Vec<String>>, Error> {
        Ok(self.capacity_providers.as_ref().map(Set::get).transpose()?)
    }
}

fn setting(insights: ContainerInsights) -> ClusterSetting {
    ClusterSetting::builder().name(ClusterSettingName::ContainerInsights).value(insights.text()).build()
}

/// `None` for one that was deleted: ECS shows it as inactive for a while.
fn live(cluster: &aws_sdk_ecs::types::Cluster) -> Option<Live<Cluster>> {
    let status = match cluster.status().unwrap_or_default() {
        "INACTIVE" => return None,
        "ACTIVE" if cluster.attachments_status() == Some("UPDATE_IN_PROGRESS") => {
            Status::Pending("capacity providers are being attached".into())
        }
        "ACTIVE" => Status::Ready,
        "FAILED" => Status::Failed("ECS could not make it".into()),
        "DEPROVISIONING" => Status::Pending("deleting".into()),
        other => Status::Pending(other.to_lowercase()),
    };
    let tags = from_tags(cluster.tags());
    let name = cluster.cluster_name().unwrap_or_default().to_owned();
    let insights = cluster
        .settings()
        .iter()
        .find(|s| s.name() == Some(&ClusterSettingName::ContainerInsights))
        .and_then(|s| ContainerInsights::from_text(s.value()?));
    Some(Live {
        outputs: ClusterOutputs { arn: cluster.cluster_arn().unwrap_or_default().into(), name: name.clone() },
        status,
        owner: tags.owner(),
        spec: Cluster {
            name,
            container_insights: insights,
            capacity_providers: Some(cluster.capacity_providers().iter().cloned().collect()),
            default_capacity_provider_strategy: Some(live_strategy(
                cluster.default_capacity_provider_strategy(),
            )),
            tags,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types;

    #[test]
    fn a_deleted_cluster_is_gone_although_it_is_shown() {
        let cluster = |status: &str| types::Cluster::builder().cluster_name("c").status(status).build();
        assert!(live(&cluster("INACTIVE")).is_none());
        assert_eq!(live(&cluster("ACTIVE")).unwrap().status, Status::Ready);
        assert!(matches!(live(&cluster("DEPROVISIONING")).unwrap().status, Status::Pending(_)));
    }

    #[test]
    fn settings_and_strategies_are_read_back() {
        let item = types::CapacityProviderStrategyItem::builder()
            .capacity_provider("FARGATE")
            .weight(1)
            .build()
            .unwrap();
        let cluster = types::Cluster::builder()
            .cluster_name("c")
            .status("ACTIVE")
            .settings(setting(ContainerInsights::Enhanced))
            .default_capacity_provider_strategy(item)
            .build();
        let spec = live(&cluster).unwrap().spec;
        assert_eq!(spec.container_insights, Some(ContainerInsights::Enhanced));
        assert_eq!(
            spec.default_capacity_provider_strategy.unwrap()["FARGATE"],
            Strategy { weight: 1, base: 0 }
        );
    }
}
