//! A control plane: <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html>

use super::{
    from_tags, issues, not_now, spread, tags_only, to_tags,
    update::Of,
    upgrade::{Minor, Way, way},
    write_tags,
};
use crate::{
    Aws, Call,
    id::{Arn, SecurityGroupId, SubnetId, VpcId},
    shown::shown,
};
use aws_sdk_eks::types::{
    self, AuthenticationMode, Category, ClusterStatus, CreateAccessConfigRequest, EncryptionConfig,
    InsightStatusValue, InsightSummary, InsightsFilter, KubernetesNetworkConfigRequest, LogSetup, LogType,
    Logging, Provider, SupportType, UpdateAccessConfigRequest, UpgradePolicyRequest, VpcConfigRequest,
};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, Value,
    diff::Diff,
    error::Found,
    outputs,
    undo::{Mark, UndoRule},
};
use serde::{Deserialize, Serialize};

/// A Kubernetes control plane.
///
/// Whoever makes it gets no rights in it: those come from [access entries](super::AccessEntry) alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    /// Unique in the account and region.
    pub name: String,
    /// Kubernetes, like `1.34`. It goes forward, one minor version at a time; [`NextVersion`](super::NextVersion) says
    /// which one is next.
    pub version: Value<String>,
    /// What the control plane acts as.
    pub role_arn: Value<Arn>,
    /// Where it has its network interfaces: subnets of one VPC, in two zones at least.
    pub subnet_ids: Set<SubnetId>,
    /// Groups of those interfaces, beside the one that EKS makes.
    #[serde(default)]
    pub security_group_ids: Set<SecurityGroupId>,
    /// Whether the API is reached from inside the VPC.
    pub endpoint_private_access: bool,
    /// The ranges that reach the API from the internet. Empty: none, there is no public endpoint.
    #[serde(default)]
    pub public_access_cidrs: Set<String>,
    /// The range that addresses of services come from. `None`: what EKS chooses.
    #[serde(default)]
    pub service_ipv4_cidr: Option<String>,
    /// A KMS key of ours around the keys that encrypt secrets. It can be added later, and never changed or taken away.
    /// `None`: a key that AWS owns.
    #[serde(default)]
    pub encryption_key_arn: Option<Value<Arn>>,
    /// What is logged to CloudWatch: `api`, `audit`, `authenticator`, `controllerManager`, `scheduler`.
    #[serde(default)]
    pub enabled_log_types: Set<String>,
    /// `API`, or `API_AND_CONFIG_MAP` where the map `aws-auth` still says who may enter. It goes from the map to the API
    /// and never back.
    pub authentication_mode: String,
    /// `STANDARD`: it is upgraded by AWS when standard support for its version ends. `EXTENDED`: it stays, for a higher
    /// price.
    pub support_type: String,
    /// Whether a deletion is refused. Deleting it with Causeway turns it off first.
    pub deletion_protection: bool,
    /// Names of upgrade insights that do not stop an upgrade although EKS calls them errors.
    #[serde(default)]
    pub accepted_insights: Option<Set<String>>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a cluster tells others.
    pub struct ClusterOutputs => ClusterRefs {
        /// The name.
        pub name: String,
        /// `arn:aws:eks:..:cluster/..`
        pub arn: Arn,
        /// The address of the API, with `https://`.
        pub endpoint: String,
        /// The certificate that the API is known by: PEM in base64.
        pub certificate_authority: String,
        /// Who signs the tokens of service accounts, with `https://`.
        pub oidc_issuer: String,
        /// The group that EKS made: of the control plane, and of nodes that name no other.
        pub cluster_security_group_id: SecurityGroupId,
        /// The VPC of its subnets.
        pub vpc_id: VpcId,
        /// Kubernetes, like `1.34`.
        pub version: String,
    }
}

impl Cluster {
    /// A cluster as it should be: private, all that says who did what is logged, protected, and only in versions that
    /// AWS supports as a matter of course.
    pub fn new(
        name: impl Into<String>,
        version: impl Into<Value<String>>,
        role_arn: Value<Arn>,
        subnet_ids: Set<SubnetId>,
    ) -> Self {
        Cluster {
            name: name.into(),
            version: version.into(),
            role_arn,
            subnet_ids,
            security_group_ids: Set::default(),
            endpoint_private_access: true,
            public_access_cidrs: Set::default(),
            service_ipv4_cidr: None,
            encryption_key_arn: None,
            enabled_log_types: Set::from_iter(["api", "audit", "authenticator"]),
            authentication_mode: AuthenticationMode::Api.as_str().to_owned(),
            support_type: SupportType::Standard.as_str().to_owned(),
            deletion_protection: true,
            accepted_insights: None,
            tags: Tags::default(),
        }
    }
}

impl Resource for Cluster {
    const KIND: &'static str = "aws.eks.cluster";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name", "role_arn", "service_ipv4_cidr"];
    const MOVES: &'static [&'static str] = &["version"];
    // Everything in it goes with it: what runs, its secrets, and which volume belongs to what.
    const DATA: bool = true;
    const UNDO: &'static [UndoRule] = &[
        UndoRule::change(
            "version",
            Mark::Irreversible,
            "EKS does not go back to an older Kubernetes version",
        ),
        UndoRule::change(
            "encryption_key_arn",
            Mark::Irreversible,
            "a key around a cluster's secrets stays for as long as the cluster",
        ),
        UndoRule::change(
            "authentication_mode",
            Mark::Irreversible,
            "EKS goes from the map `aws-auth` to access entries and never back",
        ),
    ];
    const TIMING: Timing = Timing::seconds(600, 5, 5400);
    type Client = Aws;
    type Outputs = ClusterOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let eks = &cx.client.eks;
        let Some(cluster) = eks.clusters.get(self.name.clone()).await? else { return Ok(None) };
        let mut live = self.live(&cluster);
        live.status = eks.or_updating(Of::Cluster(self.name.clone()), live.status).await?;
        Ok(Some(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let access = CreateAccessConfigRequest::builder()
            .authentication_mode(self.authentication_mode.as_str().into())
            // Else whoever makes it would be its administrator for ever, and no entry would say so.
            .bootstrap_cluster_creator_admin_permissions(false)
            .build();
        let network = self
            .service_ipv4_cidr
            .as_ref()
            .map(|range| KubernetesNetworkConfigRequest::builder().service_ipv4_cidr(range).build());
        let call = cx
            .client
            .eks
            .create_cluster()
            .client_request_token(cx.token())
            .name(&self.name)
            .version(self.version.get()?)
            .role_arn(self.role_arn.get()?.as_str())
            .resources_vpc_config(self.endpoints(self.interfaces(VpcConfigRequest::builder())?)?.build())
            .set_kubernetes_network_config(network)
            .set_encryption_config(self.encryption()?)
            .logging(self.logging(&[])?)
            .access_config(access)
            .upgrade_policy(self.upgrade_policy())
            .deletion_protection(self.deletion_protection)
            .set_tags(to_tags(&self.tags));
        spread(call.send().await.call("eks:CreateCluster")).map(drop)
    }

    /// One kind of change a call, and one call at a time, as EKS wants it; the version last.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let eks = &cx.client.eks;
        if diff.touches("tags") {
            write_tags(eks, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await?;
        }
        if tags_only(diff) {
            return Ok(());
        }
        let on = |field: &str| diff.touches(field);
        // Without a token of ours: the same change may be made, undone and made again.
        let config = eks.update_cluster_config().name(&self.name);
        let config = if on("enabled_log_types") {
            config.logging(self.logging(&live.spec.enabled_log_types.get()?)?)
        } else if on("endpoint_private_access") || on("public_access_cidrs") {
            config.resources_vpc_config(self.endpoints(VpcConfigRequest::builder())?.build())
        } else if on("subnet_ids") || on("security_group_ids") {
            config.resources_vpc_config(self.interfaces(VpcConfigRequest::builder())?.build())
        } else if on("authentication_mode") {
            let mode = self.authentication_mode.as_str().into();
            config.access_config(UpdateAccessConfigRequest::builder().authentication_mode(mode).build())
        } else if on("support_type") {
            config.upgrade_policy(self.upgrade_policy())
        } else if on("deletion_protection") {
            config.deletion_protection(self.deletion_protection)
        } else if on("encryption_key_arn") {
            return self.encrypt(cx, live).await;
        } else if on("version") {
            return self.upgrade(cx, live).await;
        } else {
            return Ok(());
        };
        let update = config.send().await.call("eks:UpdateClusterConfig")?.update;
        eks.updates.began(Of::Cluster(self.name.clone()), update);
        Ok(())
    }

    /// Answers "not now" while it has node groups.
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let eks = &cx.client.eks;
        if live.status == Status::Pending("deleting".into()) {
            return Ok(());
        }
        if live.spec.deletion_protection && live.status == Status::Ready {
            let call = eks.update_cluster_config().name(&self.name).deletion_protection(false);
            let update = call.send().await.call("eks:UpdateClusterConfig")?.update;
            eks.updates.began(Of::Cluster(self.name.clone()), update);
            // Until that is through, a deletion counts as a mistake.
            return Err(not_now("eks:DeleteCluster", "its deletion protection is being turned off"));
        }
        eks.delete_cluster().name(&self.name).send().await.call("eks:DeleteCluster").found().map(drop)
    }
}

impl Cluster {
    fn interfaces(
        &self,
        config: types::builders::VpcConfigRequestBuilder,
    ) -> Result<types::builders::VpcConfigRequestBuilder, Error> {
        let groups = self.security_group_ids.get()?.into_iter().map(String::from).collect();
        Ok(config
            .set_subnet_ids(Some(self.subnet_ids.get()?.into_iter().map(String::from).collect()))
            .set_security_group_ids(Some(groups)))
    }

    fn endpoints(
        &self,
        config: types::builders::VpcConfigRequestBuilder,
    ) -> Result<types::builders::VpcConfigRequestBuilder, Error> {
        let cidrs = self.public_access_cidrs.get()?;
        let public = !cidrs.is_empty();
        Ok(config
            .endpoint_private_access(self.endpoint_private_access)
            .endpoint_public_access(public)
            .set_public_access_cidrs(public.then_some(cidrs)))
    }

    /// What is left out stays as it is, so what is not wanted is turned off by name.
    fn logging(&self, live: &[String]) -> Result<Logging, Error> {
        let wanted = self.enabled_log_types.get()?;
        let unwanted: Vec<String> = live.iter().filter(|t| !wanted.contains(t)).cloned().collect();
        let setup = |types: Vec<String>, enabled| {
            let types: Vec<LogType> = types.iter().map(|t| t.as_str().into()).collect();
            LogSetup::builder().set_types(Some(types)).enabled(enabled).build()
        };
        let setups = [(wanted, true), (unwanted, false)].into_iter().filter(|(types, _)| !types.is_empty());
        let setups: Vec<LogSetup> = setups.map(|(types, enabled)| setup(types, enabled)).collect();
        Ok(Logging::builder().set_cluster_logging(Some(setups)).build())
    }

    #[allow(deprecated, reason = "EKS does not go by it any more, and asked for it for years")]
    fn encryption(&self) -> Result<Option<Vec<EncryptionConfig>>, Error> {
        let Some(key) = &self.encryption_key_arn else { return Ok(None) };
        let provider = Provider::builder().key_arn(key.get()?.as_str()).build();
        Ok(Some(vec![EncryptionConfig::builder().resources("secrets").provider(provider).build()]))
    }

    fn upgrade_policy(&self) -> UpgradePolicyRequest {
        UpgradePolicyRequest::builder().support_type(self.support_type.as_str().into()).build()
    }

    async fn encrypt(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let there = live.spec.encryption_key_arn.as_ref().map(Value::get).transpose()?;
        if let Some(key) = there.filter(|key| !key.0.is_empty()) {
            return Err(Error::Invalid(format!(
                "the secrets of cluster `{}` are encrypted under {key}, which EKS can neither change nor take away: \
                 name this key, or make another cluster",
                self.name
            )));
        }
        let call = cx.client.eks.associate_encryption_config().cluster_name(&self.name);
        let call = call.set_encryption_config(self.encryption()?);
        let update = call.send().await.call("eks:AssociateEncryptionConfig")?.update;
        cx.client.eks.updates.began(Of::Cluster(self.name.clone()), update);
        Ok(())
    }

    /// One minor version, once EKS knows of nothing that would break.
    async fn upgrade(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let (name, from, to) = (&self.name, &live.outputs.version, self.version.get()?);
        let refuse =
            |why: String| Err(Error::Invalid(format!("cluster `{name}` runs Kubernetes {from}, and {why}")));
        match way(from, to) {
            Way::Step => {}
            Way::There => return Ok(()),
            Way::Steps(first) => {
                return refuse(format!(
                    "EKS goes one minor version at a time: ask for {first}, let add-ons and nodes follow, and go on \
                     from there to {to}"
                ));
            }
            Way::Back => {
                return refuse(format!("EKS does not go back to {to}: ask for {from} or a newer one"));
            }
            Way::Unknown => return refuse(format!("`{to}` is no version like 1.34")),
        }
        let found = self.insights(cx, to).await?;
        let accepted = self.accepted_insights.as_ref().map(Set::get).transpose()?.unwrap_or_default();
        let refused: Vec<&InsightSummary> =
            found.iter().filter(|i| !i.name().is_some_and(|n| accepted.iter().any(|a| a == n))).collect();
        if !refused.is_empty() {
            return Err(Error::Invalid(in_the_way(name, to, &refused)));
        }
        let call = cx.client.eks.update_cluster_version().name(name).version(to);
        // EKS looks at the same insights, and takes the upgrade only if told that they were seen.
        let call = call.set_force((!found.is_empty()).then_some(true));
        let update = call.send().await.call("eks:UpdateClusterVersion")?.update;
        cx.client.eks.updates.began(Of::Cluster(name.clone()), update);
        Ok(())
    }

    /// What EKS says would break with `version`.
    /// <https://docs.aws.amazon.com/eks/latest/userguide/cluster-insights.html>
    async fn insights(&self, cx: &Cx<'_, Self>, version: &str) -> Result<Vec<InsightSummary>, Error> {
        let filter = InsightsFilter::builder()
            .categories(Category::UpgradeReadiness)
            .statuses(InsightStatusValue::Error)
            .build();
        let call = cx.client.eks.list_insights().cluster_name(&self.name).filter(filter);
        let found = call.into_paginator().items().send().try_collect().await.call("eks:ListInsights")?;
        Ok(found.into_iter().filter(|insight| concerns(insight, version)).collect())
    }

    fn live(&self, found: &types::Cluster) -> Live<Self> {
        let tags = from_tags(found.tags());
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let network = found.resources_vpc_config();
        let cidrs = network.filter(|n| n.endpoint_public_access()).map(|n| n.public_access_cidrs());
        let logged = found.logging().into_iter().flat_map(Logging::cluster_logging);
        let logged = logged.filter(|setup| setup.enabled() == Some(true)).flat_map(LogSetup::types);
        let key = found.encryption_config().iter().find_map(|c| c.provider()?.key_arn()).map(Arn::from);
        let range = found.kubernetes_network_config().and_then(|n| n.service_ipv4_cidr());
        let mode = found.access_config().and_then(|a| a.authentication_mode());
        let support = found.upgrade_policy().and_then(|p| p.support_type());
        Live {
            outputs: ClusterOutputs {
                name: text(found.name()),
                arn: found.arn().unwrap_or_default().into(),
                endpoint: text(found.endpoint()),
                certificate_authority: text(found.certificate_authority().and_then(|c| c.data())),
                oidc_issuer: text(found.identity().and_then(|i| i.oidc()?.issuer())),
                cluster_security_group_id: network
                    .and_then(|n| n.cluster_security_group_id())
                    .unwrap_or_default()
                    .into(),
                vpc_id: network.and_then(|n| n.vpc_id()).unwrap_or_default().into(),
                version: text(found.version()),
            },
            status: status(found),
            owner: tags.owner(),
            spec: Cluster {
                name: text(found.name()),
                version: text(found.version()).into(),
                role_arn: Arn::from(found.role_arn().unwrap_or_default()).into(),
                subnet_ids: network
                    .map(|n| n.subnet_ids().iter().map(|id| SubnetId::from(id.as_str())).collect())
                    .unwrap_or_default(),
                security_group_ids: network
                    .map(|n| {
                        n.security_group_ids().iter().map(|id| SecurityGroupId::from(id.as_str())).collect()
                    })
                    .unwrap_or_default(),
                endpoint_private_access: network.is_some_and(|n| n.endpoint_private_access()),
                public_access_cidrs: cidrs.into_iter().flatten().cloned().collect(),
                service_ipv4_cidr: self.service_ipv4_cidr.as_ref().and(range.map(str::to_owned)),
                encryption_key_arn: shown(
                    self.encryption_key_arn.as_ref(),
                    key.map(Value::Known),
                    Arn::default().into(),
                ),
                enabled_log_types: logged.map(|t| t.as_str().to_owned()).collect(),
                authentication_mode: text(mode.map(AuthenticationMode::as_str)),
                support_type: text(support.map(SupportType::as_str)),
                deletion_protection: found.deletion_protection().unwrap_or(false),
                accepted_insights: None,
                tags,
            },
        }
    }
}

fn status(found: &types::Cluster) -> Status {
    match found.status() {
        Some(ClusterStatus::Active) => Status::Ready,
        Some(ClusterStatus::Failed) => {
            let all = found.health().map(|h| h.issues()).unwrap_or_default().iter();
            Status::Failed(issues(
                all.map(|i| (i.code().map(|c| c.as_str().to_owned()), i.message().map(str::to_owned))),
            ))
        }
        Some(other) => Status::Pending(other.as_str().to_lowercase()),
        None => Status::Pending("in a state that EKS does not tell".into()),
    }
}

/// Whether it is about an upgrade to `version`, or to one before it.
fn concerns(insight: &InsightSummary, version: &str) -> bool {
    match (insight.kubernetes_version().and_then(Minor::parse), Minor::parse(version)) {
        (Some(about), Some(version)) => about <= version,
        _ => true,
    }
}

fn in_the_way(cluster: &str, to: &str, found: &[&InsightSummary]) -> String {
    let told = found.iter().map(|insight| {
        let reason = insight.insight_status().and_then(|s| s.reason()).unwrap_or("EKS does not say why");
        format!("`{}`: {reason}", insight.name().unwrap_or_default())
    });
    format!(
        "cluster `{cluster}` is not upgraded to Kubernetes {to}, as EKS says that something would break ({}); mend it \
         and let EKS look again, or name it in `accepted_insights`",
        told.collect::<Vec<_>>().join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_eks::types::{
        ClusterHealth, ClusterIssue, ClusterIssueCode, InsightStatus, VpcConfigResponse,
    };

    fn wanted() -> Cluster {
        Cluster::new("c", "1.34", Arn::from("arn:role").into(), Set::from_iter([SubnetId::from("subnet-1")]))
    }

    fn found(public: bool) -> types::builders::ClusterBuilder {
        let network = VpcConfigResponse::builder()
            .subnet_ids("subnet-1")
            .endpoint_public_access(public)
            .endpoint_private_access(true)
            .public_access_cidrs("0.0.0.0/0")
            .build();
        let log = |types: &[&str], enabled| {
            let types: Vec<LogType> = types.iter().map(|t| (*t).into()).collect();
            LogSetup::builder().set_types(Some(types)).enabled(enabled).build()
        };
        types::Cluster::builder()
            .name("c")
            .version("1.34")
            .resources_vpc_config(network)
            .logging(
                Logging::builder()
                    .cluster_logging(log(&["api", "audit"], true))
                    .cluster_logging(log(&["scheduler"], false))
                    .build(),
            )
            .status(ClusterStatus::Active)
    }

    #[test]
    fn without_a_public_endpoint_its_ranges_mean_nothing() {
        assert_eq!(wanted().live(&found(false).build()).spec.public_access_cidrs, Set::default());
        let open = wanted().live(&found(true).build()).spec.public_access_cidrs;
        assert_eq!(open, Set::from_iter(["0.0.0.0/0"]));
        let asked = wanted().endpoints(VpcConfigRequest::builder()).unwrap().build();
        assert_eq!((asked.endpoint_public_access, asked.public_access_cidrs), (Some(false), None));
    }

    #[test]
    fn what_is_logged_no_more_is_turned_off_by_name() {
        let live = wanted().live(&found(false).build());
        assert_eq!(live.spec.enabled_log_types, Set::from_iter(["api", "audit"]));
        let asked = Cluster { enabled_log_types: Set::from_iter(["audit"]), ..wanted() };
        let asked = asked.logging(&["api".to_owned(), "audit".to_owned()]).unwrap();
        let told: Vec<_> =
            asked.cluster_logging().iter().map(|s| (s.types()[0].as_str(), s.enabled())).collect();
        assert_eq!(told, [("audit", Some(true)), ("api", Some(false))]);
    }

    #[test]
    fn a_failed_cluster_says_why() {
        let issue = ClusterIssue::builder().code(ClusterIssueCode::AccessDenied).message("no").build();
        let health = ClusterHealth::builder().issues(issue).build();
        let failed = found(false).status(ClusterStatus::Failed).health(health).build();
        assert_eq!(wanted().live(&failed).status, Status::Failed("AccessDenied: no".into()));
        let deleting = found(false).status(ClusterStatus::Deleting).build();
        assert_eq!(wanted().live(&deleting).status, Status::Pending("deleting".into()));
    }

    #[test]
    fn an_insight_about_a_later_version_is_not_in_the_way() {
        let insight = |version: Option<&str>| {
            let status = InsightStatus::builder().status(InsightStatusValue::Error).reason("old API").build();
            let insight = InsightSummary::builder().name("Deprecated APIs").insight_status(status);
            insight.set_kubernetes_version(version.map(str::to_owned)).build()
        };
        assert!(concerns(&insight(Some("1.34")), "1.34"));
        assert!(concerns(&insight(None), "1.34"));
        assert!(!concerns(&insight(Some("1.35")), "1.34"));
        let text = in_the_way("c", "1.34", &[&insight(None)]);
        assert!(text.contains("`Deprecated APIs`: old API") && text.contains("accepted_insights"), "{text}");
    }
}
