//! What a survey knows of a thing that it does not describe: answers about other things show that it stands, what is not
//! a tag of it never changes, and its tags are told together with those of all others.
//!
//! A network, its gateway and its security groups then take no call of their own kind. What is not shown to stand, or does
//! not carry the tags of its incarnation, is described; and so is everything where tags may not be asked for.

use super::Ec2;
use crate::Aws;
use aws_sdk_ec2::types::{RouteState, Tag};
use causeway_core::{Class, Cx, Error, Owner, Resource, Tags};
use std::future::Future;

/// The tags of the thing with this id, if this is a survey, the thing `stands` and is the incarnation that is looked at.
/// `None`: describe it.
pub(super) async fn tags<R: Resource<Client = Aws>>(
    cx: &Cx<'_, R>,
    id: &str,
    stands: impl Future<Output = Result<bool, Error>>,
) -> Result<Option<Vec<Tag>>, Error> {
    if !cx.is_survey() {
        return Ok(None);
    }
    let tags = cx.client.ec2.tags.get(id.to_owned());
    match futures::future::try_join(stands, tags).await {
        Ok((stands, tags)) => {
            let tags = tags.unwrap_or_default();
            let owner = Tags::live(tags.clone()).owner();
            let ours = matches!(owner, Owner::Tagged { instance, .. } if instance == cx.instance);
            let tag = |(key, value)| Tag::builder().key(key).value(value).build();
            Ok((stands && ours).then(|| tags.into_iter().map(tag).collect()))
        }
        Err(error) if error.class() == Class::Denied => Ok(None),
        Err(error) => Err(error),
    }
}

impl Ec2 {
    /// Whether the network stands. Its main route table came with it, cannot be deleted, and goes with it:
    /// <https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Route_Tables.html>
    pub(super) async fn has_tables(&self, network: &str) -> Result<bool, Error> {
        Ok(!self.route_tables.of_network(network).await?.is_empty())
    }

    /// Whether a route of the network leads to this gateway, which then is attached to it: the route is a black hole
    /// else. <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Route.html>
    pub(super) async fn leads_to(&self, network: &str, gateway: &str) -> Result<bool, Error> {
        let tables = self.route_tables.of_network(network).await?;
        let mut routes = tables.iter().flat_map(|table| table.routes());
        Ok(routes
            .any(|route| route.gateway_id() == Some(gateway) && route.state() == Some(&RouteState::Active)))
    }
}
