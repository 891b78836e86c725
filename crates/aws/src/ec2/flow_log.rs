//! A flow log: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html>

use super::{
    Spreads, live_tags,
    lookup::{Described, PAGE},
    tagged, unsuccessful,
};
use crate::{
    Aws, Call,
    id::{Arn, FlowLogId, VpcId},
};
use aws_sdk_ec2::{
    Client,
    types::{self, Filter, FlowLogsResourceType, LogDestinationType, ResourceType, Tag},
};
use causeway_core::{
    ClaimedBy, Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, outputs,
};
use serde::{Deserialize, Serialize};

/// Writes who spoke to whom in a network into a log group. A network has one for each group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FlowLog {
    /// The network.
    pub vpc_id: Value<VpcId>,
    /// The log group, by its name.
    pub log_group_name: Value<String>,
    /// The role that writes: assumed by `vpc-flow-logs.amazonaws.com`.
    pub deliver_logs_permission_arn: Value<Arn>,
    /// `ALL`, `ACCEPT` or `REJECT`.
    pub traffic_type: String,
    /// How many seconds are summed up in one line: 60 or 600.
    pub max_aggregation_interval: i32,
    /// Tags; `Name` is what the console shows.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a flow log tells others.
    pub struct FlowLogOutputs => FlowLogRefs {
        /// `fl-..`
        pub flow_log_id: FlowLogId,
    }
}

impl FlowLog {
    /// All traffic, in lines of ten minutes.
    pub fn new(vpc_id: Value<VpcId>, log_group_name: Value<String>, role: Value<Arn>) -> Self {
        FlowLog {
            vpc_id,
            log_group_name,
            deliver_logs_permission_arn: role,
            traffic_type: "ALL".to_owned(),
            max_aggregation_interval: 600,
            tags: Tags::default(),
        }
    }
}

impl Resource for FlowLog {
    const KIND: &'static str = "aws.ec2.flow_log";
    // Sent with a token, too; but there is one for a network and a group, so the old one has to go first.
    const RECOVERY: Recovery = Recovery::NaturalKey(&["vpc_id", "log_group_name"]);
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("flow_log_id");
    const REPLACE: &'static [&'static str] = &[
        "vpc_id",
        "log_group_name",
        "deliver_logs_permission_arn",
        "traffic_type",
        "max_aggregation_interval",
    ];
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = FlowLogOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let logs = &cx.client.ec2.flow_logs;
        let found = match &cx.recorded {
            Some(recorded) => logs.by_id(recorded.flow_log_id.as_str()).await?,
            None => logs.within(self.vpc_id.get()?.as_str(), self.log_group_name.get()?).await?,
        };
        Ok(found.as_ref().map(live))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        const CALL: &str = "ec2:CreateFlowLogs";
        let made = cx
            .client
            .ec2
            .create_flow_logs()
            .client_token(cx.token())
            .resource_type(FlowLogsResourceType::Vpc)
            .resource_ids(self.vpc_id.get()?.as_str())
            .traffic_type(self.traffic_type.as_str().into())
            .log_destination_type(LogDestinationType::CloudWatchLogs)
            .log_group_name(self.log_group_name.get()?)
            .deliver_logs_permission_arn(self.deliver_logs_permission_arn.get()?.as_str())
            .max_aggregation_interval(self.max_aggregation_interval)
            .set_tag_specifications(tagged(ResourceType::VpcFlowLog, &self.tags))
            .send()
            .await;
        // "Unable to assume given IAM role" is one meaning of it.
        let codes = cx.client.ec2.spreading.codes(cx.instance, &["InvalidParameter"]);
        unsuccessful(CALL, made.call_later(CALL, codes).not_yet()?.unsuccessful())
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let id = live.outputs.flow_log_id.as_str();
        cx.client.ec2.retag(id, self.tags.steps(&live.spec.tags, diff)).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        const CALL: &str = "ec2:DeleteFlowLogs";
        let id = live.outputs.flow_log_id.as_str();
        let delete = cx.client.ec2.delete_flow_logs().flow_log_ids(id).send().await;
        unsuccessful(CALL, delete.call(CALL)?.unsuccessful())
    }
}

impl Described for types::FlowLog {
    const ID: &'static str = "flow-log-id";
    const WITHIN: Option<[&'static str; 2]> = Some(["resource-id", "log-group-name"]);
    fn id(&self) -> Option<&str> {
        self.flow_log_id()
    }
    fn tags(&self) -> &[Tag] {
        self.tags()
    }
    fn within(&self) -> Option<[&str; 2]> {
        Some([self.resource_id()?, self.log_group_name()?])
    }
    async fn describe(api: &Client, filters: Vec<Filter>) -> Result<Vec<Self>, Error> {
        let request = api.describe_flow_logs().set_filter(Some(filters)).max_results(PAGE);
        request.into_paginator().items().send().try_collect().await.call("ec2:DescribeFlowLogs")
    }
}

fn live(log: &types::FlowLog) -> Live<FlowLog> {
    let tags = live_tags(log.tags());
    Live {
        outputs: FlowLogOutputs { flow_log_id: log.flow_log_id().unwrap_or_default().into() },
        status: match log.deliver_logs_status() {
            Some("FAILED") => Status::Failed(format!(
                "what it writes does not arrive: {}",
                log.deliver_logs_error_message().unwrap_or("AWS does not say why")
            )),
            _ => Status::Ready,
        },
        owner: tags.owner(),
        spec: FlowLog {
            vpc_id: VpcId::from(log.resource_id().unwrap_or_default()).into(),
            log_group_name: log.log_group_name().unwrap_or_default().into(),
            deliver_logs_permission_arn: Arn::from(log.deliver_logs_permission_arn().unwrap_or_default())
                .into(),
            traffic_type: log.traffic_type().map_or("", |t| t.as_str()).to_owned(),
            max_aggregation_interval: log.max_aggregation_interval().unwrap_or(600),
            tags,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_arrive_is_told_in_the_words_of_aws() {
        let log = types::FlowLog::builder().flow_log_id("fl-1").traffic_type(types::TrafficType::All);
        let there = live(&log.clone().deliver_logs_status("SUCCESS").build());
        assert_eq!((there.status, there.spec.traffic_type.as_str()), (Status::Ready, "ALL"));
        let failed = log.deliver_logs_status("FAILED").deliver_logs_error_message("Access error");
        let Status::Failed(why) = live(&failed.build()).status else { panic!("not failed") };
        assert!(why.ends_with("Access error"));
    }
}
