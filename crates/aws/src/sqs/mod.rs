//! Simple Queue Service.

mod queue;

pub use queue::{Queue, QueueOutputs, QueueRefs};

use crate::Aws;
use aws_config::SdkConfig;
use causeway_core::registry::ProviderKinds;
use std::ops::Deref;

/// Speaks to SQS.
pub struct Sqs {
    api: aws_sdk_sqs::Client,
}

impl Sqs {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Sqs { api: crate::client::client!(aws_sdk_sqs, config) }
    }
}
impl Deref for Sqs {
    type Target = aws_sdk_sqs::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Queue>()
}
