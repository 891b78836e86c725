//! A copy of an instance as it was.
//! <https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html>

use super::{from_tags, to_tags, write_tags};
use crate::{Aws, Call, id::Arn};
use causeway_core::{
    Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// A copy of an instance as it was when the copy was begun.
///
/// It stays when it is wanted no more: it is there for the day on which somebody needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Unique in the account and region; letters, digits and hyphens.
    pub identifier: String,
    /// The instance.
    pub db_instance_identifier: Value<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a snapshot tells others.
    pub struct SnapshotOutputs => SnapshotRefs {
        /// The ARN.
        pub arn: Arn,
        /// The identifier.
        pub identifier: String,
    }
}

impl Resource for Snapshot {
    const KIND: &'static str = "aws.rds.snapshot";
    const RECOVERY: Recovery = Recovery::Name(&["identifier"]);
    const REPLACE: &'static [&'static str] = &["identifier", "db_instance_identifier"];
    const DATA: bool = true;
    const RETAIN: bool = true;
    // It grows with what was written since the last one.
    const TIMING: Timing = Timing::seconds(180, 5, 6 * 3600);
    type Client = Aws;
    type Outputs = SnapshotOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let call = cx.client.rds.describe_db_snapshots().db_snapshot_identifier(&self.identifier);
        let found = call.send().await.call("rds:DescribeDBSnapshots").found()?;
        let Some(found) = found.and_then(|f| f.db_snapshots.unwrap_or_default().into_iter().next()) else {
            return Ok(None);
        };
        let tags = from_tags(found.tag_list());
        let status = match found.status() {
            Some("available") => Status::Ready,
            Some("failed") => Status::Failed("RDS could not take it".into()),
            other => {
                let done = found.percent_progress().unwrap_or(0);
                Status::Pending(format!("{}, {done} % done", other.unwrap_or("creating")))
            }
        };
        Ok(Some(Live {
            status,
            owner: tags.owner(),
            outputs: SnapshotOutputs {
                arn: found.db_snapshot_arn().unwrap_or_default().into(),
                identifier: self.identifier.clone(),
            },
            spec: Snapshot {
                identifier: self.identifier.clone(),
                db_instance_identifier: Value::from(found.db_instance_identifier().unwrap_or_default()),
                tags,
            },
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let call = cx
            .client
            .rds
            .create_db_snapshot()
            .db_snapshot_identifier(&self.identifier)
            .db_instance_identifier(self.db_instance_identifier.get()?)
            .set_tags(Some(to_tags(&self.tags)));
        call.send().await.call("rds:CreateDBSnapshot").map(drop)
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        write_tags(&cx.client.rds, &live.outputs.arn, &self.tags, &live.spec.tags, diff).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _live: &Live<Self>) -> Result<(), Error> {
        let call = cx.client.rds.delete_db_snapshot().db_snapshot_identifier(&self.identifier);
        call.send().await.call("rds:DeleteDBSnapshot").found().map(drop)
    }
}
