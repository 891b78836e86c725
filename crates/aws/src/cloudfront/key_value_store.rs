//! <https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateKeyValueStore.html>

use super::STALE;
use crate::{Aws, Call, id::Arn, shown::shown};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Name, Owner, Recovery, Resource, Status, Timing, diff::Diff, error::Found,
    outputs,
};
use serde::{Deserialize, Serialize};

/// Keys and values that functions read at the edge. What is in it is written by whoever publishes, and is no part of a
/// stack; deleting the store deletes it.
///
/// It carries no tags that every API shows; its name says whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyValueStore {
    /// Unique in the account.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub comment: Option<String>,
}

outputs! {
    /// What a key value store tells others.
    pub struct KeyValueStoreOutputs => KeyValueStoreRefs {
        /// `arn:aws:cloudfront::..:key-value-store/<id>`
        pub arn: Arn,
        /// A UUID.
        pub id: String,
        /// Its name.
        pub name: String,
    }
}

impl KeyValueStore {
    /// An empty one.
    pub fn new(name: impl Into<Name>) -> Self {
        KeyValueStore { name: name.into(), comment: None }
    }
}

impl Resource for KeyValueStore {
    const KIND: &'static str = "aws.cloudfront.key_value_store";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("name");
    const REPLACE: &'static [&'static str] = &["name"];
    const DATA: bool = true;
    const TIMING: Timing = Timing::seconds(15, 2, 900);
    type Client = Aws;
    type Outputs = KeyValueStoreOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        let found = cx.client.cloudfront.describe_key_value_store().name(&name).send().await;
        let found = found.call("cloudfront:DescribeKeyValueStore").found()?;
        let Some(store) = found.and_then(|found| found.key_value_store) else { return Ok(None) };
        let status = match store.status.as_deref() {
            None | Some("READY") => Status::Ready,
            Some("FAILED") => Status::Failed("its provisioning failed".into()),
            Some(other) => Status::Pending(other.to_lowercase()),
        };
        Ok(Some(Live {
            spec: KeyValueStore {
                name: self.name.live(cx.instance, &name),
                comment: shown(self.comment.as_ref(), Some(store.comment), String::new()),
            },
            outputs: KeyValueStoreOutputs { arn: store.arn.into(), id: store.id, name: store.name },
            status,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let create = cx.client.cloudfront.create_key_value_store().name(cx.name(&self.name));
        let create = create.set_comment(self.comment.clone()).send().await;
        create.call("cloudfront:CreateKeyValueStore")?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, _: &Diff) -> Result<(), Error> {
        let name = live.outputs.name.as_str();
        let Some(etag) = self.etag(cx, name).await? else { return Ok(()) };
        let update = cx.client.cloudfront.update_key_value_store().name(name).if_match(etag);
        let update = update.comment(self.comment.clone().unwrap_or_default()).send().await;
        update.call_later("cloudfront:UpdateKeyValueStore", &STALE)?;
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let name = live.outputs.name.as_str();
        let Some(etag) = self.etag(cx, name).await? else { return Ok(()) };
        let delete = cx.client.cloudfront.delete_key_value_store().name(name).if_match(etag).send().await;
        // A function has to be gone from all edges before its store is free.
        let later = ["CannotDeleteEntityWhileInUse", STALE[0], STALE[1]];
        delete.call_later("cloudfront:DeleteKeyValueStore", &later).found()?;
        Ok(())
    }
}

impl KeyValueStore {
    async fn etag(&self, cx: &Cx<'_, Self>, name: &str) -> Result<Option<String>, Error> {
        let found = cx.client.cloudfront.describe_key_value_store().name(name).send().await;
        Ok(found.call("cloudfront:DescribeKeyValueStore").found()?.and_then(|found| found.e_tag))
    }
}
