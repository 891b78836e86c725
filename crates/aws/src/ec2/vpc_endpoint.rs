//! A VPC endpoint: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html>

use super::{
    Spreads, live_tags,
    lookup::{Described, PAGE},
    standing, tagged, unsuccessful,
};
use crate::{
    Aws, Call,
    id::{RouteTableId, SecurityGroupId, SubnetId, VpcEndpointId, VpcId},
    policy::PolicyDocument,
};
use aws_sdk_ec2::{
    Client,
    types::{self, Filter, ResourceType, RouteState, Tag, VpcEndpointType},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Set, Status, Tags, Timing, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A way from a network to a service of AWS that does not lead through the internet or a NAT.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VpcEndpoint {
    /// The network.
    pub vpc_id: Value<VpcId>,
    /// Like `com.amazonaws.us-east-2.s3`.
    pub service_name: String,
    /// `Gateway`: by routes, for S3 and DynamoDB, and free. `Interface`: by addresses in subnets.
    pub vpc_endpoint_type: String,
    /// The tables that get its routes, for a gateway.
    #[serde(default)]
    pub route_table_ids: Set<RouteTableId>,
    /// Where its addresses are, for an interface: one subnet a zone.
    #[serde(default)]
    pub subnet_ids: Set<SubnetId>,
    /// Who may speak to it, for an interface.
    #[serde(default)]
    pub security_group_ids: Set<SecurityGroupId>,
    /// Whether the usual names of the service lead to it, for an interface. `None`: AWS decides.
    #[serde(default)]
    pub private_dns_enabled: Option<bool>,
    /// What may be done through it. `None`: whatever the caller may do.
    #[serde(default)]
    pub policy: Option<PolicyDocument>,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What an endpoint tells others.
    pub struct VpcEndpointOutputs => VpcEndpointRefs {
        /// `vpce-..`
        pub vpc_endpoint_id: VpcEndpointId,
    }
}

impl VpcEndpoint {
    /// A gateway to `service_name` in these tables.
    pub fn gateway(
        vpc_id: Value<VpcId>,
        service_name: impl Into<String>,
        route_table_ids: Set<RouteTableId>,
    ) -> Self {
        VpcEndpoint {
            vpc_id,
            service_name: service_name.into(),
            vpc_endpoint_type: VpcEndpointType::Gateway.as_str().to_owned(),
            route_table_ids,
            subnet_ids: Set::default(),
            security_group_ids: Set::default(),
            private_dns_enabled: None,
            policy: None,
            tags: Tags::default(),
        }
    }

    /// Addresses of `service_name` in these subnets, under its usual names.
    pub fn interface(
        vpc_id: Value<VpcId>,
        service_name: impl Into<String>,
        subnet_ids: Set<SubnetId>,
        security_group_ids: Set<SecurityGroupId>,
    ) -> Self {
        VpcEndpoint {
            vpc_endpoint_type: VpcEndpointType::Interface.as_str().to_owned(),
            subnet_ids,
            security_group_ids,
            private_dns_enabled: Some(true),
            ..VpcEndpoint::gateway(vpc_id, service_name, Set::default())
        }
    }
}

impl Resource for VpcEndpoint {
    const KIND: &'static str = "aws.ec2.vpc_endpoint";
    const RECOVERY: Recovery = Recovery::Token;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("vpc_endpoint_id");
    const REPLACE: &'static [&'static str] = &["vpc_id", "service_name", "vpc_endpoint_type"];
    const TIMING: Timing = Timing::seconds(45, 5, 900);
    type Client = Aws;
    type Outputs = VpcEndpointOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        if let Some(recorded) = &cx.recorded
            && self.is_shown_by_routes(cx)
            && let Some(tags) = self.tags_as_left(cx, &recorded.vpc_endpoint_id).await?
        {
            return Ok(Some(Live {
                outputs: VpcEndpointOutputs { vpc_endpoint_id: recorded.vpc_endpoint_id.clone() },
                status: Status::Ready,
                owner: tags.owner(),
                spec: VpcEndpoint { tags, ..self.clone() },
            }));
        }
        let recorded = cx.recorded.as_ref().map(|o| o.vpc_endpoint_id.as_str());
        let found = cx.client.ec2.vpc_endpoints.find(recorded, cx.instance).await?;
        found.as_ref().map(|found| self.live(found)).transpose()
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let policy = self.policy.as_ref().map(PolicyDocument::text).transpose()?;
        cx.client
            .ec2
            .create_vpc_endpoint()
            .client_token(cx.token())
            .vpc_id(self.vpc_id.get()?.as_str())
            .service_name(&self.service_name)
            .vpc_endpoint_type(self.vpc_endpoint_type.as_str().into())
            .set_route_table_ids(some(texts(&self.route_table_ids)?))
            .set_subnet_ids(some(texts(&self.subnet_ids)?))
            .set_security_group_ids(some(texts(&self.security_group_ids)?))
            .set_private_dns_enabled(self.private_dns_enabled)
            .set_policy_document(policy)
            .set_tag_specifications(tagged(ResourceType::VpcEndpoint, &self.tags))
            .send()
            .await
            .call("ec2:CreateVpcEndpoint")
            .not_yet()?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.vpc_endpoint_id.as_str();
        let fields = ["route_table_ids", "subnet_ids", "security_group_ids", "private_dns_enabled", "policy"];
        if fields.into_iter().any(|field| diff.touches(field)) {
            let there = &live.spec;
            let (add_tables, remove_tables) =
                steps(texts(&self.route_table_ids)?, texts(&there.route_table_ids)?);
            let (add_subnets, remove_subnets) = steps(texts(&self.subnet_ids)?, texts(&there.subnet_ids)?);
            let (add_groups, remove_groups) =
                steps(texts(&self.security_group_ids)?, texts(&there.security_group_ids)?);
            let mut modify = cx
                .client
                .ec2
                .modify_vpc_endpoint()
                .vpc_endpoint_id(id)
                .set_add_route_table_ids(add_tables)
                .set_remove_route_table_ids(remove_tables)
                .set_add_subnet_ids(add_subnets)
                .set_remove_subnet_ids(remove_subnets)
                .set_add_security_group_ids(add_groups)
                .set_remove_security_group_ids(remove_groups);
            if diff.touches("private_dns_enabled") {
                modify = modify.set_private_dns_enabled(self.private_dns_enabled);
            }
            if diff.touches("policy") {
                modify = match &self.policy {
                    Some(policy) => modify.policy_document(policy.text()?),
                    None => modify.reset_policy(true),
                };
            }
            modify.send().await.call("ec2:ModifyVpcEndpoint").not_yet()?;
        }
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.vpc_endpoint_id.as_str();
        let delete = cx.client.ec2.delete_vpc_endpoints().vpc_endpoint_ids(id).send().await;
        unsuccessful("ec2:DeleteVpcEndpoints", delete.call("ec2:DeleteVpcEndpoints")?.unsuccessful())
    }
}

fn texts<T: Clone + Into<String>>(set: &Set<T>) -> Result<Vec<String>, Error> {
    Ok(set.get()?.into_iter().map(Into::into).collect())
}

fn some(texts: Vec<String>) -> Option<Vec<String>> {
    (!texts.is_empty()).then_some(texts)
}

/// What to add and what to take away.
fn steps(wanted: Vec<String>, there: Vec<String>) -> (Option<Vec<String>>, Option<Vec<String>>) {
    let without = |from: &[String], what: &[String]| {
        some(from.iter().filter(|text| !what.contains(text)).cloned().collect())
    };
    (without(&wanted, &there), without(&there, &wanted))
}

fn leads_to(table: &types::RouteTable, endpoint: &str) -> bool {
    let mut routes = table.routes().iter();
    routes.any(|route| route.gateway_id() == Some(endpoint) && route.state() == Some(&RouteState::Active))
}

impl Described for types::VpcEndpoint {
    const ID: &'static str = "vpc-endpoint-id";
    fn id(&self) -> Option<&str> {
        self.vpc_endpoint_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_vpc_endpoints().set_filters(Some(filters)).max_results(PAGE);
        let found = request.into_paginator().items().send().try_collect().await;
        let mut found: Vec<Self> = found.call("ec2:DescribeVpcEndpoints")?;
        // A deleted one is shown for a while.
        found.retain(|endpoint| state(endpoint) != "deleted");
        Ok(found)
    }
}

/// EC2 writes these with a small letter, and documents them with a capital one.
fn state(endpoint: &types::VpcEndpoint) -> String {
    endpoint.state().map_or("available", |state| state.as_str()).to_ascii_lowercase()
}

/// Everything for everybody: what an endpoint has that was given no policy.
fn allows_all(policy: &PolicyDocument) -> bool {
    const ALL: &str = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;
    PolicyDocument::parse(ALL).is_ok_and(|all| {
        PolicyDocument { version: String::new(), ..all }
            .means(&PolicyDocument { version: String::new(), ..policy.clone() })
    })
}

impl VpcEndpoint {
    /// Whether all of it that is compared shows in other answers: a gateway has a route in every table that it is given
    /// to, which nobody else can make or take away.
    /// <https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html#gateway-endpoint-routing>
    fn is_shown_by_routes(&self, cx: &Cx<'_, Self>) -> bool {
        self.vpc_endpoint_type == VpcEndpointType::Gateway.as_str()
            && self.policy.is_none()
            && cx.may_skip_unset()
    }

    /// Its tags, where just the tables have its routes that the last apply gave it to.
    async fn tags_as_left(&self, cx: &Cx<'_, Self>, id: &VpcEndpointId) -> Result<Option<Tags>, Error> {
        let wanted: BTreeSet<String> = texts(&self.route_table_ids)?.into_iter().collect();
        let network = self.vpc_id.get()?.as_str();
        let stands = async {
            let tables = cx.client.ec2.route_tables.of_network(network).await?;
            let lead = tables.iter().filter(|table| leads_to(table, id.as_str()));
            let lead: BTreeSet<String> = lead.filter_map(|t| t.route_table_id().map(str::to_owned)).collect();
            Ok(!lead.is_empty() && lead == wanted)
        };
        Ok(standing::tags(cx, id.as_str(), stands).await?.map(|tags| live_tags(&tags)))
    }

    fn live(&self, endpoint: &types::VpcEndpoint) -> Result<Live<Self>, Error> {
        let tags = live_tags(endpoint.tags());
        let policy = endpoint.policy_document().map(PolicyDocument::parse).transpose();
        let policy = policy.map_err(|source| Error::Decode { what: "policy", kind: Self::KIND, source })?;
        let policy = policy.filter(|policy| self.policy.is_some() || !allows_all(policy));
        Ok(Live {
            outputs: VpcEndpointOutputs {
                vpc_endpoint_id: endpoint.vpc_endpoint_id().unwrap_or_default().into(),
            },
            status: match state(endpoint).as_str() {
                "available" => Status::Ready,
                state @ ("failed" | "rejected" | "expired" | "partial") => {
                    let why = endpoint.last_error().and_then(|e| e.message()).or(endpoint.failure_reason());
                    Status::Failed(why.map_or_else(|| state.to_owned(), |why| format!("{state}: {why}")))
                }
                state => Status::Pending(state.to_owned()),
            },
            owner: tags.owner(),
            spec: VpcEndpoint {
                vpc_id: VpcId::from(endpoint.vpc_id().unwrap_or_default()).into(),
                service_name: endpoint.service_name().unwrap_or_default().to_owned(),
                vpc_endpoint_type: endpoint.vpc_endpoint_type().map_or("", |t| t.as_str()).to_owned(),
                route_table_ids: endpoint
                    .route_table_ids()
                    .iter()
                    .map(|id| RouteTableId::from(id.as_str()))
                    .collect(),
                subnet_ids: endpoint.subnet_ids().iter().map(|id| SubnetId::from(id.as_str())).collect(),
                security_group_ids: endpoint
                    .groups()
                    .iter()
                    .filter_map(|g| g.group_id().map(SecurityGroupId::from))
                    .collect(),
                private_dns_enabled: endpoint.private_dns_enabled(),
                policy,
                tags,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(policy: &str) -> types::builders::VpcEndpointBuilder {
        types::VpcEndpoint::builder().vpc_endpoint_id("vpce-1").policy_document(policy)
    }

    #[test]
    fn a_policy_that_nobody_gave_is_not_shown() {
        let wanted = VpcEndpoint::gateway(VpcId::from("vpc-1").into(), "s3", Set::default());
        let all = r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;
        assert!(wanted.live(&endpoint(all).build()).unwrap().spec.policy.is_none());
        let none = all.replace("Allow", "Deny");
        assert!(wanted.live(&endpoint(&none).build()).unwrap().spec.policy.is_some());
    }

    #[test]
    fn a_failure_says_why() {
        let wanted = VpcEndpoint::gateway(VpcId::from("vpc-1").into(), "s3", Set::default());
        let status = |state: types::State| {
            wanted.live(&types::VpcEndpoint::builder().state(state).build()).unwrap().status
        };
        assert_eq!(status("available".into()), Status::Ready);
        assert_eq!(status(types::State::Available), Status::Ready);
        assert!(matches!(status("pending".into()), Status::Pending(_)));
        let failed =
            types::VpcEndpoint::builder().state(types::State::Failed).failure_reason("no address is left");
        let Status::Failed(why) = wanted.live(&failed.build()).unwrap().status else { panic!("not failed") };
        assert!(why.contains("no address is left"), "{why}");
    }

    #[test]
    fn steps_lead_from_what_is_there_to_what_is_wanted() {
        let list = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(steps(list(&["a", "b"]), list(&["b", "c"])), (Some(list(&["a"])), Some(list(&["c"]))));
        assert_eq!(steps(list(&["a"]), list(&["a"])), (None, None));
    }
}
