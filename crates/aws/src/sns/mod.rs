//! Simple Notification Service.

mod subscription;
mod topic;

pub use subscription::{Subscription, SubscriptionOutputs, SubscriptionRefs};
pub use topic::{Topic, TopicOutputs, TopicRefs};

use crate::{Aws, Call, id::Arn};
use aws_config::SdkConfig;
use causeway_core::{Error, coalesce::Coalesce, registry::ProviderKinds};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Speaks to SNS.
pub struct Sns {
    api: aws_sdk_sns::Client,
    /// ARNs of topics, by name.
    pub(crate) topics: Coalesce<String, Arn>,
    /// Subscriptions that nobody confirmed and nobody wants any more: topic, protocol and endpoint. They cannot be
    /// deleted, SNS forgets them after some days.
    given_up: Mutex<BTreeSet<[String; 3]>>,
}

impl Sns {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_sns, config);
        let list = api.clone();
        let topics = Coalesce::new(usize::MAX, move |names| topics_by_name(list.clone(), names));
        Sns { api, topics, given_up: Mutex::default() }
    }

    pub(crate) fn given_up(&self) -> MutexGuard<'_, BTreeSet<[String; 3]>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
impl Deref for Sns {
    type Target = aws_sdk_sns::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Topic>().add::<Subscription>()
}

/// There is no look-up by name: the ARN holds the account.
async fn topics_by_name(
    api: aws_sdk_sns::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, Arn>, Error> {
    let mut found = BTreeMap::new();
    let mut pages = api.list_topics().into_paginator().items().send();
    while let Some(topic) = pages.next().await {
        let Some(arn) = topic.call("sns:ListTopics")?.topic_arn else { continue };
        if let Some(name) = arn.rsplit(':').next().filter(|name| names.contains(*name)) {
            found.insert(name.to_owned(), Arn(arn.clone()));
        }
    }
    Ok(found)
}
