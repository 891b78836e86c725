//! <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateOriginAccessControl.html>

use super::{STALE, built};
use crate::{Aws, Call, shown::shown};
use aws_sdk_cloudfront::types as sdk;
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Name, Owner, Recovery, Resource, Status, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// Lets distributions sign what they ask of private buckets. The bucket's policy says which distribution may.
///
/// It carries no tags; its name says whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OriginAccessControl {
    /// Unique in the account.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// `always`, `never`, or `no-override`: unless the viewer signed it. `None`: always.
    #[serde(default)]
    pub signing_behavior: Option<String>,
    /// What is asked: `s3`, `lambda`, `mediastore` or `mediapackagev2`. `None`: `s3`.
    #[serde(default)]
    pub origin_type: Option<String>,
}

outputs! {
    /// What an origin access control tells others.
    pub struct OriginAccessControlOutputs => OriginAccessControlRefs {
        /// `E..`
        pub id: String,
    }
}

const ALWAYS: &str = "always";
const S3: &str = "s3";

impl OriginAccessControl {
    /// One that signs all that is asked of a bucket.
    pub fn s3(name: impl Into<Name>) -> Self {
        OriginAccessControl {
            name: name.into(),
            description: None,
            signing_behavior: Some(ALWAYS.into()),
            origin_type: Some(S3.into()),
        }
    }

    fn config(
        &self,
        name: &str,
        live: Option<&Self>,
        diff: &Diff,
    ) -> Result<sdk::OriginAccessControlConfig, Error> {
        let kept = |field: &str, of: fn(&Self) -> &Option<String>| {
            of(self).clone().or_else(|| of(live?).clone().filter(|_| !diff.touches(field)))
        };
        let behavior = kept("signing_behavior", |s| &s.signing_behavior);
        let origin = kept("origin_type", |s| &s.origin_type);
        sdk::OriginAccessControlConfig::builder()
            .name(name)
            .set_description(kept("description", |s| &s.description))
            .signing_protocol(sdk::OriginAccessControlSigningProtocols::Sigv4)
            .signing_behavior(behavior.as_deref().unwrap_or(ALWAYS).into())
            .origin_access_control_origin_type(origin.as_deref().unwrap_or(S3).into())
            .build()
            .map_err(built)
    }

    async fn etag(&self, cx: &Cx<'_, Self>, id: &str) -> Result<Option<String>, Error> {
        let get = cx.client.cloudfront.get_origin_access_control().id(id).send().await;
        Ok(get.call("cloudfront:GetOriginAccessControl").found()?.and_then(|found| found.e_tag))
    }
}

impl Resource for OriginAccessControl {
    const KIND: &'static str = "aws.cloudfront.origin_access_control";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("name");
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = OriginAccessControlOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        let all = cx.client.cloudfront.access_controls.get(()).await?.unwrap_or_default();
        let Some(found) = all.into_iter().find(|one| one.name == name) else { return Ok(None) };
        Ok(Some(Live {
            spec: OriginAccessControl {
                name: self.name.live(cx.instance, &name),
                description: shown(self.description.as_ref(), Some(found.description), String::new()),
                signing_behavior: shown(
                    self.signing_behavior.as_ref(),
                    Some(found.signing_behavior.as_str().to_owned()),
                    ALWAYS.to_owned(),
                ),
                origin_type: shown(
                    self.origin_type.as_ref(),
                    Some(found.origin_access_control_origin_type.as_str().to_owned()),
                    S3.to_owned(),
                ),
            },
            outputs: OriginAccessControlOutputs { id: found.id },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let config = self.config(&cx.name(&self.name), None, &Diff::default())?;
        let create = cx.client.cloudfront.create_origin_access_control();
        let create = create.origin_access_control_config(config).send().await;
        create.call("cloudfront:CreateOriginAccessControl")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.id.as_str();
        let Some(etag) = self.etag(cx, id).await? else { return Ok(()) };
        let config = self.config(&cx.name(&self.name), Some(&live.spec), diff)?;
        let update = cx.client.cloudfront.update_origin_access_control().id(id).if_match(etag);
        let update = update.origin_access_control_config(config).send().await;
        update.call_later("cloudfront:UpdateOriginAccessControl", &STALE)?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.id.as_str();
        let Some(etag) = self.etag(cx, id).await? else { return Ok(()) };
        let delete = cx.client.cloudfront.delete_origin_access_control().id(id).if_match(etag).send().await;
        let later = ["OriginAccessControlInUse", STALE[0], STALE[1]];
        delete.call_later("cloudfront:DeleteOriginAccessControl", &later).found()?;
        Ok(())
    }
}
