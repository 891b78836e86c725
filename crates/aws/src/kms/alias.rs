//! <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateAlias.html>

use crate::{
    Aws, Call,
    id::{Arn, KeyId},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Owner, Recovery, Resource, Status, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// A name for a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Alias {
    /// Like `alias/coder`. Unique in the account and region; `alias/aws/` is reserved.
    pub name: String,
    /// The key that it stands for.
    pub target_key_id: Value<KeyId>,
}

outputs! {
    /// What an alias tells others.
    pub struct AliasOutputs => AliasRefs {
        /// `arn:aws:kms:..:alias/..`
        pub arn: Arn,
    }
}

impl Resource for Alias {
    const KIND: &'static str = "aws.kms.alias";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Name("name");
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = AliasOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(key) = cx.client.kms.keys.get(self.name.clone()).await? else { return Ok(None) };
        // `arn:aws:kms:..:key/..`; KMS does not say that of the alias.
        let place = key.arn().and_then(|arn| arn.rsplit_once(':')).map_or("", |(place, _)| place);
        Ok(Some(Live {
            spec: Alias { name: self.name.clone(), target_key_id: KeyId(key.key_id.clone()).into() },
            outputs: AliasOutputs { arn: format!("{place}:{}", self.name).into() },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let create = cx.client.kms.create_alias().alias_name(&self.name);
        let create = create.target_key_id(self.target_key_id.get()?.as_str()).send().await;
        // The key may have been made a moment ago: KMS spreads over seconds.
        create.call_later("kms:CreateAlias", &["NotFoundException"])?;
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, _live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        if diff.touches("target_key_id") {
            let update = cx.client.kms.update_alias().alias_name(&self.name);
            let update = update.target_key_id(self.target_key_id.get()?.as_str()).send().await;
            update.call("kms:UpdateAlias")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.kms.delete_alias().alias_name(&self.name).send().await;
        delete.call("kms:DeleteAlias").found()?;
        Ok(())
    }
}
