//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html>

use crate::{
    Aws, Call,
    id::{Arn, key_as_wanted},
    shown::shown,
};
use causeway_core::{
    Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// How a live spec shows a group that keeps everything; the API takes no such number.
const FOREVER: i32 = 0;

/// A log group. Deleting it deletes what was logged.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogGroup {
    /// Unique in the account and region, like `/coder/server`.
    pub name: Name,
    /// How many days entries are kept; one of the values that the API takes. `None`: for ever.
    #[serde(default)]
    pub retention_in_days: Option<i32>,
    /// The key that entries are encrypted with; its policy must let `logs.<region>.amazonaws.com` use it. `None`:
    /// AWS's own.
    #[serde(default)]
    pub kms_key_id: Option<Value<Arn>>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a log group tells others.
    pub struct LogGroupOutputs => LogGroupRefs {
        /// Without the `:*` that policies put behind it.
        pub arn: Arn,
        /// The name.
        pub name: String,
    }
}

impl LogGroup {
    /// A log group that keeps entries for so many days.
    pub fn new(name: impl Into<Name>, retention_in_days: i32) -> Self {
        LogGroup {
            name: name.into(),
            retention_in_days: Some(retention_in_days),
            kms_key_id: None,
            tags: Tags::default(),
        }
    }
}

impl Resource for LogGroup {
    const KIND: &'static str = "aws.logs.log_group";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = LogGroupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let logs = &cx.client.logs;
        let name = cx.name(&self.name);
        // There is no look-up by name; of all that begin like it, the name itself sorts first.
        let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (groups, confirmed) = tokio::join!(
            logs.describe_log_groups().log_group_name_prefix(&name).send(),
            cx.client.tag_index.confirms(cx, recorded, &self.tags)
        );
        let groups = groups.call("logs:DescribeLogGroups")?.log_groups.unwrap_or_default();
        let Some(group) = groups.into_iter().find(|group| group.log_group_name() == Some(&name)) else {
            return Ok(None);
        };
        let arn = group.log_group_arn.or(group.arn).unwrap_or_default();
        let arn = Arn::from(arn.trim_end_matches(":*"));
        let tags = match confirmed {
            Some(tags) => tags,
            None => {
                let tags = logs.list_tags_for_resource().resource_arn(arn.as_str()).send().await;
                let Some(tags) = tags.call("logs:ListTagsForResource").found()? else { return Ok(None) };
                Tags::live(tags.tags.unwrap_or_default())
            }
        };
        Ok(Some(Live {
            spec: LogGroup {
                name: self.name.live(cx.instance, &name),
                retention_in_days: shown(self.retention_in_days.as_ref(), group.retention_in_days, FOREVER),
                kms_key_id: key_as_wanted(self.kms_key_id.as_ref(), group.kms_key_id.as_deref()),
                tags: tags.clone(),
            },
            outputs: LogGroupOutputs { arn, name },
            status: Status::Ready,
            owner: tags.owner(),
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        let key = self.kms_key_id.as_ref().map(Value::get).transpose()?;
        let mut create = cx.client.logs.create_log_group().log_group_name(&name);
        for (key, value) in self.tags.iter() {
            create = create.tags(key, value);
        }
        let create = create.set_kms_key_id(key.map(ToString::to_string)).send().await;
        create.call("logs:CreateLogGroup")?;
        match self.retention_in_days {
            Some(days) => retain(cx, &name, days).await,
            None => Ok(()),
        }
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let logs = &cx.client.logs;
        let (name, arn) = (live.outputs.name.as_str(), live.outputs.arn.as_str());
        if diff.touches("retention_in_days") {
            match self.retention_in_days {
                Some(days) => retain(cx, name, days).await?,
                None => {
                    let forever = logs.delete_retention_policy().log_group_name(name).send().await;
                    forever.call("logs:DeleteRetentionPolicy")?;
                }
            }
        }
        if diff.touches("kms_key_id") {
            match &self.kms_key_id {
                Some(key) => {
                    let associate = logs.associate_kms_key().log_group_name(name);
                    let associate = associate.kms_key_id(key.get()?.as_str()).send().await;
                    associate.call("logs:AssociateKmsKey")?;
                }
                None => {
                    let disassociate = logs.disassociate_kms_key().log_group_name(name).send().await;
                    disassociate.call("logs:DisassociateKmsKey")?;
                }
            }
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let mut set = logs.tag_resource().resource_arn(arn);
            for (key, value) in steps.set {
                set = set.tags(key, value);
            }
            set.send().await.call("logs:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = logs.untag_resource().resource_arn(arn).set_tag_keys(Some(keys)).send().await;
            untag.call("logs:UntagResource")?;
        }
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let delete = cx.client.logs.delete_log_group().log_group_name(&live.outputs.name).send().await;
        delete.call("logs:DeleteLogGroup").found()?;
        Ok(())
    }
}

async fn retain(cx: &Cx<'_, LogGroup>, name: &str, days: i32) -> Result<(), Error> {
    let put = cx.client.logs.put_retention_policy().log_group_name(name).retention_in_days(days);
    put.send().await.call("logs:PutRetentionPolicy")?;
    Ok(())
}
