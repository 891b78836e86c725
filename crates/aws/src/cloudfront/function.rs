//! <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateFunction.html>

use super::{STALE, built, items, quantity};
use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_cloudfront::{primitives::Blob, types as sdk};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Name, Owner, Recovery, Resource, Set, Status, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// Code that runs at the edge, on requests or on responses of viewers: what is published of it.
///
/// It carries no tags that every API shows; its name says whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Function {
    /// Unique in the account.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub comment: Option<String>,
    /// `cloudfront-js-2.0` or `cloudfront-js-1.0`. `None`: the first.
    #[serde(default)]
    pub runtime: Option<String>,
    /// The code, up to 10 KB.
    pub code: String,
    /// The key value stores that it reads: one at most.
    #[serde(default)]
    pub key_value_stores: Set<Arn>,
}

outputs! {
    /// What a function tells others.
    pub struct FunctionOutputs => FunctionRefs {
        /// `arn:aws:cloudfront::..:function/<name>`
        pub arn: Arn,
        /// Its name.
        pub name: String,
    }
}

const RUNTIME: &str = "cloudfront-js-2.0";

impl Function {
    /// Code in the newest runtime.
    pub fn new(name: impl Into<Name>, code: impl Into<String>) -> Self {
        Function {
            name: name.into(),
            comment: None,
            runtime: Some(RUNTIME.into()),
            code: code.into(),
            key_value_stores: Set::default(),
        }
    }
}

impl Resource for Function {
    const KIND: &'static str = "aws.cloudfront.function";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("name");
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = FunctionOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let (cloudfront, name) = (&cx.client.cloudfront, cx.name(&self.name));
        let published = cloudfront.functions.get(()).await?.unwrap_or_default();
        let published = published.into_iter().find(|one| one.name == name && is_live(one));
        let (summary, code) = match published {
            Some(summary) => {
                let get = cloudfront.get_function().name(&name).stage(sdk::FunctionStage::Live).send().await;
                // Deleted between the two calls.
                let Some(found) = get.call("cloudfront:GetFunction").found()? else { return Ok(None) };
                let code = found.function_code.map(Blob::into_inner).unwrap_or_default();
                (summary, String::from_utf8_lossy(&code).into_owned())
            }
            // Made, and never published.
            None => match self.draft(cx, &name).await? {
                Some((summary, _)) => (summary, String::new()),
                None => return Ok(None),
            },
        };
        let arn = summary.function_metadata.map(|meta| meta.function_arn).unwrap_or_default();
        let config = summary.function_config;
        let runtime = config.as_ref().map(|config| config.runtime.as_str().to_owned());
        let comment = config.as_ref().map(|config| config.comment.clone());
        let stores = config.and_then(|config| config.key_value_store_associations?.items);
        Ok(Some(Live {
            spec: Function {
                name: self.name.live(cx.instance, &name),
                comment: shown(self.comment.as_ref(), comment, String::new()),
                runtime: shown(self.runtime.as_ref(), runtime, RUNTIME.to_owned()),
                code,
                key_value_stores: stores
                    .unwrap_or_default()
                    .into_iter()
                    .map(|store| Arn(store.key_value_store_arn))
                    .collect(),
            },
            outputs: FunctionOutputs { arn: arn.into(), name },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        let create = cx.client.cloudfront.create_function().name(&name).function_config(self.config(None)?);
        let create = create.function_code(Blob::new(self.code.as_bytes())).send().await;
        let made = create.call("cloudfront:CreateFunction")?;
        match made.e_tag {
            Some(etag) => publish(cx, &name, &etag).await,
            // `update` sees that nothing is published.
            None => Ok(()),
        }
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let name = live.outputs.name.as_str();
        let Some((_, etag)) = self.draft(cx, name).await? else { return Ok(()) };
        let kept = live.spec.comment.clone().filter(|_| !diff.touches("comment"));
        let update = cx.client.cloudfront.update_function().name(name).if_match(etag);
        let update = update.function_config(self.config(kept)?);
        let update = update.function_code(Blob::new(self.code.as_bytes())).send().await;
        update.call_later("cloudfront:UpdateFunction", &STALE)?;
        let Some((_, etag)) = self.draft(cx, name).await? else { return Ok(()) };
        publish(cx, name, &etag).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let name = live.outputs.name.as_str();
        let Some((_, etag)) = self.draft(cx, name).await? else { return Ok(()) };
        let delete = cx.client.cloudfront.delete_function().name(name).if_match(etag).send().await;
        delete.call_later("cloudfront:DeleteFunction", &["FunctionInUse", STALE[0], STALE[1]]).found()?;
        Ok(())
    }
}

impl Function {
    /// What was written last, published or not, with its version.
    async fn draft(
        &self,
        cx: &Cx<'_, Self>,
        name: &str,
    ) -> Result<Option<(sdk::FunctionSummary, String)>, Error> {
        let describe = cx.client.cloudfront.describe_function().name(name);
        let found = describe.stage(sdk::FunctionStage::Development).send().await;
        let found = found.call("cloudfront:DescribeFunction").found()?;
        Ok(found.and_then(|found| Some((found.function_summary?, found.e_tag?))))
    }

    fn config(&self, kept: Option<String>) -> Result<sdk::FunctionConfig, Error> {
        let store = |arn: Arn| {
            let store = sdk::KeyValueStoreAssociation::builder().key_value_store_arn(arn.0);
            store.build().map_err(built)
        };
        let stores = self.key_value_stores.get()?.into_iter().map(store).collect::<Result<Vec<_>, _>>()?;
        let stores = sdk::KeyValueStoreAssociations::builder()
            .quantity(quantity(&stores))
            .set_items(items(stores))
            .build()
            .map_err(built)?;
        sdk::FunctionConfig::builder()
            .comment(self.comment.clone().or(kept).unwrap_or_default())
            .runtime(self.runtime.as_deref().unwrap_or(RUNTIME).into())
            .key_value_store_associations(stores)
            .build()
            .map_err(built)
    }
}

/// Gives it to the edges.
async fn publish(cx: &Cx<'_, Function>, name: &str, etag: &str) -> Result<(), Error> {
    let publish = cx.client.cloudfront.publish_function().name(name).if_match(etag).send().await;
    publish.call_later("cloudfront:PublishFunction", &STALE)?;
    Ok(())
}

fn is_live(function: &sdk::FunctionSummary) -> bool {
    let stage = function.function_metadata.as_ref().and_then(|meta| meta.stage.as_ref());
    stage == Some(&sdk::FunctionStage::Live)
}
