//! <https://docs.aws.amazon.com/Route53/latest/APIReference/API_CreateHostedZone.html>

use super::{bare_id, text};
use crate::{
    Aws, Call,
    id::{HostedZoneId, VpcId},
    shown::shown,
};
use aws_sdk_route53::types as sdk;
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Owner, Recovery, Resource, Status, Tags, Timing, Value,
    diff::Diff,
    error::Found,
    outputs,
    undo::{Mark, UndoRule},
};
use serde::{Deserialize, Serialize};

/// A zone. What else is in it when it is deleted (records that others wrote) keeps the service from deleting it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostedZone {
    /// The name of the zone, like `example.com`. There can be several zones of one name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub comment: Option<String>,
    /// The network that alone sees it. `None`: the internet does, once the parent zone delegates to its name servers.
    #[serde(default)]
    pub vpc: Option<Vpc>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// The network that sees a private zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    /// The network.
    pub vpc_id: Value<VpcId>,
    /// Where it is, like `us-east-2`.
    pub region: String,
}

impl HostedZone {
    /// A zone that the internet sees.
    pub fn public(name: &str) -> Self {
        HostedZone { name: name.to_owned(), comment: None, vpc: None, tags: Tags::default() }
    }

    /// A zone that only a network sees, in its region.
    pub fn private(name: &str, vpc_id: impl Into<Value<VpcId>>, region: &str) -> Self {
        let vpc = Vpc { vpc_id: vpc_id.into(), region: region.to_owned() };
        HostedZone { vpc: Some(vpc), ..Self::public(name) }
    }
}

outputs! {
    /// What a zone tells others.
    pub struct HostedZoneOutputs => HostedZoneRefs {
        /// `Z..`
        pub zone_id: HostedZoneId,
        /// What the parent zone has to delegate to; empty for a private zone.
        pub name_servers: Vec<String>,
    }
}

impl Resource for HostedZone {
    const KIND: &'static str = "aws.route53.hosted_zone";
    const RECOVERY: Recovery = Recovery::Token;
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("zone_id");
    const REPLACE: &'static [&'static str] = &["name", "vpc"];
    const UNDO: &'static [UndoRule] = &[UndoRule::remove(
        Mark::Compensable,
        "another zone has other name servers, to which its domain must be delegated again",
    )];
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = HostedZoneOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let id = match &cx.recorded {
            Some(outputs) => Some(outputs.zone_id.0.clone()),
            None => self.find(cx).await?,
        };
        let Some(id) = id else { return Ok(None) };
        let route53 = &cx.client.route53;
        let zone = route53.get_hosted_zone().id(&id).send().await;
        let Some(zone) = zone.call("route53:GetHostedZone").found()? else { return Ok(None) };
        // Gone between the two calls.
        let Some(tags) = route53.tags_of(&id).await? else { return Ok(None) };
        Ok(live(self, zone, tags, &cx.token()))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let vpc = match &self.vpc {
            Some(vpc) => Some(
                sdk::Vpc::builder()
                    .vpc_id(vpc.vpc_id.get()?.as_str())
                    .vpc_region(sdk::VpcRegion::from(vpc.region.as_str()))
                    .build(),
            ),
            None => None,
        };
        let made = cx
            .client
            .route53
            .create_hosted_zone()
            .name(&self.name)
            .caller_reference(cx.token())
            .hosted_zone_config(
                sdk::HostedZoneConfig::builder()
                    .set_comment(self.comment.clone())
                    .private_zone(vpc.is_some())
                    .build(),
            )
            .set_vpc(vpc)
            .send()
            .await
            .call("route53:CreateHostedZone")?;
        // The call takes no tags. Until it has them, the zone is known by its caller reference.
        match made.hosted_zone {
            Some(zone) => change_tags(cx, bare_id(&zone.id), self.tags.iter(), []).await,
            None => Ok(()),
        }
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let (route53, id) = (&cx.client.route53, live.outputs.zone_id.as_str());
        if diff.touches("comment") {
            let comment = self.comment.clone().unwrap_or_default();
            let answer = route53.update_hosted_zone_comment().id(id).comment(comment).send().await;
            answer.call("route53:UpdateHostedZoneComment")?;
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        change_tags(cx, id, steps.set, steps.remove).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.zone_id.as_str();
        let answer = cx.client.route53.delete_hosted_zone().id(id).send().await;
        answer.call("route53:DeleteHostedZone").found()?;
        Ok(())
    }
}

impl HostedZone {
    /// Looks for the zone that this incarnation asked for.
    async fn find(&self, cx: &Cx<'_, Self>) -> Result<Option<String>, Error> {
        if cx.instance.is_empty() {
            return Ok(None);
        }
        let token = cx.token();
        let zones = cx.client.route53.zones.get(()).await?.unwrap_or_default();
        let ours = zones.into_iter().find(|z| z.caller_reference == token);
        Ok(ours.map(|z| bare_id(&z.id).to_owned()))
    }
}

async fn change_tags<'a>(
    cx: &Cx<'_, HostedZone>,
    id: &str,
    set: impl IntoIterator<Item = (&'a str, &'a str)>,
    remove: impl IntoIterator<Item = &'a str>,
) -> Result<(), Error> {
    let set: Vec<_> = set.into_iter().map(|(k, v)| sdk::Tag::builder().key(k).value(v).build()).collect();
    let remove: Vec<_> = remove.into_iter().map(str::to_owned).collect();
    if set.is_empty() && remove.is_empty() {
        return Ok(());
    }
    cx.client
        .route53
        .change_tags_for_resource()
        .resource_type(sdk::TagResourceType::Hostedzone)
        .resource_id(id)
        // Empty lists are refused.
        .set_add_tags((!set.is_empty()).then_some(set))
        .set_remove_tag_keys((!remove.is_empty()).then_some(remove))
        .send()
        .await
        .call("route53:ChangeTagsForResource")?;
    Ok(())
}

fn live(
    wanted: &HostedZone,
    answer: aws_sdk_route53::operation::get_hosted_zone::GetHostedZoneOutput,
    tags: Tags,
    token: &str,
) -> Option<Live<HostedZone>> {
    let zone = answer.hosted_zone?;
    let owner = match tags.owner() {
        // Made by this incarnation, which had no time to write its tags.
        Owner::Nobody if zone.caller_reference == token => wanted.tags.owner(),
        owner => owner,
    };
    let is = text::name(&zone.name);
    let vpc = answer.vpcs.unwrap_or_default().into_iter().next();
    Some(Live {
        outputs: HostedZoneOutputs {
            zone_id: bare_id(&zone.id).into(),
            name_servers: answer.delegation_set.map(|d| d.name_servers).unwrap_or_default(),
        },
        status: Status::Ready,
        owner,
        spec: HostedZone {
            name: if text::name(&wanted.name) == is { wanted.name.clone() } else { is },
            comment: shown(wanted.comment.as_ref(), zone.config.and_then(|c| c.comment), String::new()),
            vpc: vpc.map(|v| Vpc {
                vpc_id: Value::Known(v.vpc_id.unwrap_or_default().into()),
                region: v.vpc_region.map(|r| r.as_str().to_owned()).unwrap_or_default(),
            }),
            tags,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_route53::operation::get_hosted_zone::GetHostedZoneOutput;

    fn answer(reference: &str) -> GetHostedZoneOutput {
        let zone = sdk::HostedZone::builder()
            .id("/hostedzone/Z1")
            .name("example.com.")
            .caller_reference(reference)
            .config(sdk::HostedZoneConfig::builder().comment("").build())
            .build()
            .unwrap();
        GetHostedZoneOutput::builder().hosted_zone(zone).build()
    }

    #[test]
    fn a_zone_without_its_tags_is_ours_by_its_caller_reference() {
        let tags = Tags::from([(Tags::STACK, "s"), (Tags::ADDRESS, "zone"), (Tags::INSTANCE, "abc")]);
        let wanted = HostedZone { tags: tags.clone(), ..HostedZone::public("Example.com.") };
        let ours = live(&wanted, answer("token"), Tags::default(), "token").unwrap();
        assert_eq!(ours.owner, tags.owner());
        assert_eq!(ours.outputs.zone_id.as_str(), "Z1");
        assert_eq!(ours.spec.name, "Example.com.");
        assert_eq!(ours.spec.comment, None);
        let other = live(&wanted, answer("other"), Tags::default(), "token").unwrap();
        assert_eq!(other.owner, Owner::Nobody);
    }
}
