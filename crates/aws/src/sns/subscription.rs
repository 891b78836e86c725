//! <https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html>

use crate::{Aws, Call, id::Arn};
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Status, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// What SNS calls a subscription that waits for its confirmation, instead of an ARN.
const PENDING: &str = "PendingConfirmation";

/// Sends what is published on a topic somewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscription {
    /// The topic.
    pub topic_arn: Value<Arn>,
    /// `email`, `https`, `sqs`, `lambda`, `sms`, ..
    pub protocol: String,
    /// The address, URL or ARN. Mails and URLs have to be confirmed by whoever is there.
    pub endpoint: Value<String>,
}

outputs! {
    /// What a subscription tells others.
    pub struct SubscriptionOutputs => SubscriptionRefs {
        /// `PendingConfirmation` until it is confirmed.
        pub arn: Arn,
    }
}

impl SubscriptionOutputs {
    /// Whether whoever is at the endpoint has agreed. Until then nothing is sent there.
    pub fn is_confirmed(&self) -> bool {
        self.arn.0 != PENDING
    }
}

impl Resource for Subscription {
    const KIND: &'static str = "aws.sns.subscription";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["topic_arn", "protocol", "endpoint"]);
    const REPLACE: &'static [&'static str] = &["topic_arn", "protocol", "endpoint"];
    type Client = Aws;
    type Outputs = SubscriptionOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let sns = &cx.client.sns;
        let (topic, endpoint) = (self.topic_arn.get()?, self.endpoint.get()?);
        let mut pages =
            sns.list_subscriptions_by_topic().topic_arn(topic.as_str()).into_paginator().items().send();
        while let Some(found) = pages.next().await {
            let Some(found) = found.call("sns:ListSubscriptionsByTopic").found()? else { return Ok(None) };
            if found.protocol() != Some(&self.protocol) || found.endpoint() != Some(endpoint) {
                continue;
            }
            let arn = found.subscription_arn.unwrap_or_default();
            if arn == "Deleted" || (arn == PENDING && sns.given_up().contains(&self.key()?)) {
                continue;
            }
            // One that waits for somebody to agree is as ready as a deployment can make it.
            return Ok(Some(Live {
                spec: self.clone(),
                outputs: SubscriptionOutputs { arn: arn.into() },
                status: Status::Ready,
                owner: Owner::Parent,
            }));
        }
        Ok(None)
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let sns = &cx.client.sns;
        let subscribe = sns.subscribe().topic_arn(self.topic_arn.get()?.as_str()).protocol(&self.protocol);
        subscribe.endpoint(self.endpoint.get()?).send().await.call("sns:Subscribe")?;
        sns.given_up().remove(&self.key()?);
        Ok(())
    }

    /// Nothing can be changed in place.
    async fn update(&self, _cx: &Cx<'_, Self>, _live: &Live<Self>, _diff: &Diff) -> Result<(), Error> {
        Ok(())
    }

    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let sns = &cx.client.sns;
        if live.outputs.is_confirmed() {
            let unsubscribe = sns.unsubscribe().subscription_arn(live.outputs.arn.as_str()).send().await;
            unsubscribe.call("sns:Unsubscribe").found()?;
        } else {
            // SNS lets nobody delete it and forgets it by itself.
            sns.given_up().insert(self.key()?);
        }
        Ok(())
    }
}

impl Subscription {
    fn key(&self) -> Result<[String; 3], Error> {
        Ok([self.topic_arn.get()?.0.clone(), self.protocol.clone(), self.endpoint.get()?.clone()])
    }
}
